/* Points of the ROC curve and the choice of operating points on observed thresholds. */
#include "eval/curve.h"
#include "core/mem.h"
#include <math.h>

#define RATE_SLACK 1e-12 /* a rate this little below its target reaches it: rounding of a ratio */

static int cmp_down(const void *x, const void *y, void *ctx)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    const double *s = ctx;
    if (s[a] != s[b])
        return s[a] > s[b] ? -1 : 1;
    return a < b ? -1 : a > b;
}

/* Row at place k of the descending order; order is NULL when the rows are sorted ascending. */
static int64_t row_at(const metric_in *in, const int64_t *order, int64_t k)
{
    return order ? order[k] : in->n - 1 - k;
}

static int64_t *order_down(const metric_in *in)
{
    if (in->sorted)
        return NULL;
    int64_t *order = MEM_ARRAY(int64_t, in->n + 1);
    for (int64_t i = 0; i < in->n; i++)
        order[i] = i;
    qsort_r(order, (size_t)in->n, sizeof *order, cmp_down, (void *)in->score);
    return order;
}

static void push(curve *c, double threshold, double f1, double f0)
{
    if (c->n == c->cap) {
        int64_t cap = c->cap ? 2 * c->cap : 256;
        c->p = mem_realloc(c->p, (size_t)c->cap * sizeof *c->p, (size_t)cap * sizeof *c->p);
        c->cap = cap;
    }
    c->p[c->n++] = (curve_point){threshold, 0, 0, f1, f0};
}

bool curve_build(const metric_in *in, curve *c)
{
    int64_t *order = order_down(in);
    double f1 = 0, f0 = 0;
    c->n = 0;
    push(c, INFINITY, 0, 0);
    for (int64_t k = 0; k < in->n;) {
        double score = in->score[row_at(in, order, k)], before = f1 + f0;
        for (; k < in->n; k++) {
            int64_t i = row_at(in, order, k);
            if (in->score[i] != score)
                break;
            double w = in->weight ? in->weight[i] : 1.0;
            f1 += in->y[i] ? w : 0;
            f0 += in->y[i] ? 0 : w;
        }
        if (f1 + f0 > before)
            push(c, score, f1, f0);
    }
    mem_free(order);
    c->w1 = f1;
    c->w0 = f0;
    if (!(f1 > 0) || !(f0 > 0))
        return false;
    for (int64_t i = 0; i < c->n; i++) {
        c->p[i].tpr = c->p[i].flagged1 / f1;
        c->p[i].fpr = c->p[i].flagged0 / f0;
    }
    return true;
}

void curve_release(curve *c)
{
    mem_free(c->p);
    memset(c, 0, sizeof *c);
}

int64_t curve_at_spec(const curve *c, double s0)
{
    int64_t lo = 0, hi = c->n - 1; /* specificity falls along the curve */
    while (lo < hi) {
        int64_t mid = lo + (hi - lo + 1) / 2;
        if (1 - c->p[mid].fpr >= s0 - RATE_SLACK)
            lo = mid;
        else
            hi = mid - 1;
    }
    return lo;
}

int64_t curve_at_sens(const curve *c, double q0)
{
    int64_t lo = 0, hi = c->n - 1;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (c->p[mid].tpr >= q0 - RATE_SLACK)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

int64_t curve_at_threshold(const curve *c, double t)
{
    int64_t lo = 0, hi = c->n - 1;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo + 1) / 2;
        if (c->p[mid].threshold >= t)
            lo = mid;
        else
            hi = mid - 1;
    }
    return lo;
}

double curve_tpr_at(const curve *c, double fpr)
{
    int64_t lo = 0, hi = c->n - 1; /* last point with fpr <= wanted */
    while (lo < hi) {
        int64_t mid = lo + (hi - lo + 1) / 2;
        if (c->p[mid].fpr <= fpr)
            lo = mid;
        else
            hi = mid - 1;
    }
    const curve_point *a = &c->p[lo];
    if (lo + 1 >= c->n || a->fpr >= fpr)
        return a->tpr;
    const curve_point *b = a + 1;
    return a->tpr + (b->tpr - a->tpr) * (fpr - a->fpr) / (b->fpr - a->fpr);
}

bool curve_capture(const metric_in *in, double q, curve_top *out)
{
    int64_t *order = order_down(in), cases = 0, above = 0, above1 = 0, tied = 0, tied1 = 0;
    for (int64_t i = 0; i < in->n; i++)
        cases += in->y[i] != 0;
    out->k = (int64_t)ceil(q * (double)in->n - 1e-9);
    if (!cases || out->k < 1 || out->k > in->n) {
        mem_free(order);
        return false;
    }
    out->threshold = in->score[row_at(in, order, out->k - 1)];
    mem_free(order);
    for (int64_t i = 0; i < in->n; i++) {
        above += in->score[i] > out->threshold;
        above1 += in->score[i] > out->threshold && in->y[i];
        tied += in->score[i] == out->threshold;
        tied1 += in->score[i] == out->threshold && in->y[i];
    }
    int64_t open = out->k - above, tied0 = tied - tied1; /* places left for tied rows */
    int64_t most = open < tied1 ? open : tied1, least = open > tied0 ? open - tied0 : 0;
    out->capture_min = (double)(above1 + least) / (double)cases;
    out->capture_max = (double)(above1 + most) / (double)cases;
    return true;
}
