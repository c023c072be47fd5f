/* Learnt maps from risk to risk. Sources: Platt 1999 and Cox 1958, Ayer 1955 (pool adjacent
 * violators), Guo 2017. */
#include "eval/recalibrate.h"
#include "core/mem.h"
#include "eval/calibrate.h"

static const char *const names[RECALIBRATE_KINDS] = {"none", "platt", "isotonic", "temperature"};

const char *recalibrate_name(recalibrate_kind k)
{
    if ((unsigned)k >= RECALIBRATE_KINDS)
        BUG("recalibration %d", (int)k);
    return names[k];
}

static void fit_line(const calibrate_line *l, recalibrate_map *out)
{
    out->rows = l->n;
    out->events = l->events;
    out->a = l->a;
    out->b = l->b;
    out->reason = l->reason ? l->reason : l->b <= 0 ? "INVERTED" : NULL;
}

/* ---- isotonic -------------------------------------------------------------------------------- */

/* Neighbouring scores with one fitted value. */
typedef struct block {
    double first, last, w, wy;
} block;

typedef struct keyed {
    double score, w;
    int y;
    int64_t i;
} keyed;

static int cmp_keyed(const void *x, const void *y)
{
    const keyed *a = x, *b = y;
    if (a->score != b->score)
        return a->score < b->score ? -1 : 1;
    return (a->i > b->i) - (a->i < b->i);
}

static void knot(recalibrate_map *m, double x, double y)
{
    m->x[m->n] = x;
    m->y[m->n++] = y;
}

/* Blocks on a stack; one that is not above the block below is joined with it. */
static int64_t pool_violators(const keyed *k, int64_t n, block *stack)
{
    int64_t top = 0;
    for (int64_t i = 0; i < n;) {
        block b = {k[i].score, k[i].score, 0, 0};
        for (; i < n && k[i].score == b.first; i++) {
            b.w += k[i].w;
            b.wy += k[i].w * k[i].y;
        }
        while (top && stack[top - 1].wy * b.w >= b.wy * stack[top - 1].w) {
            top--;
            b.first = stack[top].first;
            b.w += stack[top].w;
            b.wy += stack[top].wy;
        }
        stack[top++] = b;
    }
    return top;
}

static void fit_isotonic(const metric_in *in, recalibrate_map *out)
{
    keyed *k = MEM_ARRAY(keyed, in->n + 1);
    block *stack = MEM_ARRAY(block, in->n + 1);
    bool risk = true;
    for (int64_t i = 0; i < in->n; i++) {
        double w = in->weight ? in->weight[i] : 1.0;
        if (w == 0)
            continue;
        risk = risk && in->score[i] >= 0 && in->score[i] <= 1;
        out->events += in->y[i] != 0;
        k[out->rows++] = (keyed){in->score[i], w, in->y[i] != 0, i};
    }
    if (!out->rows || !risk) {
        out->reason = risk ? "EMPTY" : "NOT_RISK";
        goto done;
    }
    if (out->events == 0 || out->events == out->rows) {
        out->reason = "ONE_CLASS";
        goto done;
    }
    qsort(k, (size_t)out->rows, sizeof *k, cmp_keyed);
    int64_t blocks = pool_violators(k, out->rows, stack);
    out->x = MEM_ARRAY(double, 2 * blocks);
    out->y = MEM_ARRAY(double, 2 * blocks);
    for (int64_t i = 0; i < blocks; i++) {
        double y = stack[i].wy / stack[i].w;
        knot(out, stack[i].first, y);
        if (stack[i].last > stack[i].first)
            knot(out, stack[i].last, y);
    }
done:
    mem_free(stack);
    mem_free(k);
}

static double between(const recalibrate_map *m, double p)
{
    int64_t lo = 0, hi = m->n - 1;
    if (p <= m->x[lo])
        return m->y[lo];
    if (p >= m->x[hi])
        return m->y[hi];
    while (hi - lo > 1) {
        int64_t mid = lo + (hi - lo) / 2;
        if (m->x[mid] <= p)
            lo = mid;
        else
            hi = mid;
    }
    return m->y[lo] + (m->y[hi] - m->y[lo]) * (p - m->x[lo]) / (m->x[hi] - m->x[lo]);
}

/* ---- all kinds ------------------------------------------------------------------------------- */

bool recalibrate_fit(recalibrate_kind kind, const metric_in *in, recalibrate_map *out)
{
    *out = (recalibrate_map){.kind = kind, .b = 1};
    recalibrate_name(kind); /* BUG on a kind that does not exist */
    if (kind == RECALIBRATE_PLATT) {
        calibrate_line l = calibrate_slope(in);
        fit_line(&l, out);
    } else if (kind == RECALIBRATE_TEMPERATURE) {
        calibrate_line l = calibrate_scale(in);
        fit_line(&l, out);
    } else if (kind == RECALIBRATE_ISOTONIC) {
        fit_isotonic(in, out);
    }
    return out->reason == NULL;
}

double recalibrate_apply(const recalibrate_map *m, double p)
{
    if (m->reason)
        BUG("recalibration %s without a map: %s", recalibrate_name(m->kind), m->reason);
    if (m->kind == RECALIBRATE_NONE)
        return p;
    if (m->kind == RECALIBRATE_ISOTONIC)
        return between(m, p);
    return calibrate_risk(m->a + m->b * calibrate_logit(p, NULL));
}

void recalibrate_release(recalibrate_map *m)
{
    mem_free(m->x);
    mem_free(m->y);
    memset(m, 0, sizeof *m);
}
