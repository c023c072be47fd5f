/* Kaplan-Meier curves, yearly AUC, concordance and Brier score of followed exams. Concordance runs
 * in O(n log n): rows enter a tree of ranks in order of time, so that every row meets the rows that
 * it forms pairs with. Sources: survive.h. */
#include "eval/survive.h"
#include "core/mem.h"
#include "eval/ksum.h"
#include <math.h>

#define VAR_ZERO 1e-20 /* variances at or below this are rounding noise around 0 */

static double weight_of(const survive_in *in, int64_t i)
{
    return in->weight ? in->weight[i] : 1.0;
}

static bool used(const survive_in *in, int64_t i)
{
    if (!(weight_of(in, i) > 0))
        return false;
    double t = in->t[i];
    int e = in->event[i];
    return t >= 0 && (e == 0 || e == 1) && !(in->drop_early && e && t <= in->early);
}

int survive_column(const survive_in *in, double t)
{
    if (!(t > 1))
        return 0;
    return t > in->n_scores ? in->n_scores - 1 : (int)ceil(t) - 1;
}

static int cmp_value(const void *x, const void *y, void *ctx)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    const double *v = ctx;
    if (v[a] != v[b])
        return v[a] < v[b] ? -1 : 1;
    return a < b ? -1 : a > b;
}

/* The used rows in (t, row) order; owned by the caller. */
static int64_t *rows_by_time(const survive_in *in, int64_t *n)
{
    int64_t *row = MEM_ARRAY(int64_t, in->n + 1);
    *n = 0;
    for (int64_t i = 0; i < in->n; i++)
        if (used(in, i))
            row[(*n)++] = i;
    if (!in->sorted)
        qsort_r(row, (size_t)*n, sizeof *row, cmp_value, (void *)in->t);
    return row;
}

/* One past the last of the rows that share the time of row[i]. */
static int64_t tied_end(const survive_in *in, const int64_t *row, int64_t n, int64_t i)
{
    int64_t end = i + 1;
    while (end < n && in->t[row[end]] == in->t[row[i]])
        end++;
    return end;
}

/* ---- Kaplan-Meier ---------------------------------------------------------------------------- */

/* The used rows in order of time, and how much is still there. */
typedef struct timeline {
    int64_t *row, n;
    double *left; /* [n + 1] weight of row[k..n) */
} timeline;

static void timeline_init(timeline *l, const survive_in *in)
{
    ksum sum = {0};
    l->row = rows_by_time(in, &l->n);
    l->left = MEM_ARRAY(double, l->n + 1);
    for (int64_t k = l->n - 1; k >= 0; k--) {
        ksum_add(&sum, weight_of(in, l->row[k]));
        l->left[k] = ksum_get(&sum);
    }
}

static void timeline_release(timeline *l)
{
    mem_free(l->row);
    mem_free(l->left);
}

static void km_walk(const survive_in *in, const timeline *l, survive_what what, survive_km *out)
{
    const int64_t *row = l->row;
    *out = (survive_km){.time = MEM_ARRAY(double, l->n + 1),
                        .after = MEM_ARRAY(double, l->n + 1),
                        .last = l->n ? in->t[row[l->n - 1]] : NAN};
    double s = 1;
    for (int64_t k = 0, end; k < l->n; k = end) {
        ksum leave[2] = {{0}};
        end = tied_end(in, row, l->n, k);
        for (int64_t i = k; i < end; i++)
            ksum_add(&leave[in->event[row[i]]], weight_of(in, row[i]));
        double cancers = ksum_get(&leave[1]), censored = ksum_get(&leave[0]), stay = l->left[end];
        double fall = what == SURVIVE_CANCER ? cancers : censored;
        if (!(fall > 0))
            continue;
        s *= what == SURVIVE_CANCER ? (censored + stay) / (cancers + censored + stay)
                                    : stay / (censored + stay);
        out->time[out->n] = in->t[row[k]];
        out->after[out->n++] = s;
    }
}

void survive_km_build(const survive_in *in, survive_what what, survive_km *out)
{
    timeline l;
    timeline_init(&l, in);
    km_walk(in, &l, what, out);
    timeline_release(&l);
}

void survive_km_release(survive_km *km)
{
    mem_free(km->time);
    mem_free(km->after);
    memset(km, 0, sizeof *km);
}

/* The curve after its falls at times < t, or <= t. */
static double km_value(const survive_km *km, double t, bool with_t)
{
    int64_t lo = 0, hi = km->n; /* falls that count: [0, lo) do, [hi, n) do not */
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (km->time[mid] < t || (with_t && km->time[mid] == t))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? km->after[lo - 1] : 1;
}

double survive_km_at(const survive_km *km, double t)
{
    return km_value(km, t, true);
}

double survive_km_before(const survive_km *km, double t)
{
    return km_value(km, t, false);
}

/* ---- AUC at year h --------------------------------------------------------------------------- */

void survive_rows_build(const survive_in *in, double h, survive_rule rule, survive_rows *out)
{
    const double *score = in->score + survive_column(in, h) * in->n;
    bool ipcw = rule == SURVIVE_IPCW;
    survive_km g = {0};
    *out = (survive_rows){.score = MEM_ARRAY(double, in->n + 1),
                          .weight = MEM_ARRAY(double, in->n + 1),
                          .y = MEM_ARRAY(int, in->n + 1),
                          .cluster = MEM_ARRAY(int, in->n + 1)};
    if (ipcw)
        survive_km_build(in, SURVIVE_CENSORING, &g);
    for (int64_t i = 0; i < in->n; i++) {
        if (!used(in, i))
            continue;
        bool is_case = in->event[i] && in->t[i] <= h;
        if (!is_case && !(in->t[i] > h || (!ipcw && in->t[i] == h))) {
            out->lost++;
            continue;
        }
        double w = weight_of(in, i);
        out->score[out->n] = score[i];
        out->y[out->n] = is_case;
        out->weight[out->n] = ipcw && is_case ? w / survive_km_before(&g, in->t[i]) : w;
        out->cluster[out->n++] = in->cluster ? in->cluster[i] : (int)i;
        out->cases += is_case;
    }
    out->in = (metric_in){.score = out->score,
                          .y = out->y,
                          .weight = in->weight || g.n ? out->weight : NULL,
                          .cluster = in->cluster ? out->cluster : NULL,
                          .n = out->n,
                          .n_clusters = in->n_clusters};
    survive_km_release(&g);
}

void survive_rows_release(survive_rows *r)
{
    mem_free(r->score);
    mem_free(r->weight);
    mem_free(r->y);
    mem_free(r->cluster);
    memset(r, 0, sizeof *r);
}

metric_value survive_auc(const survive_in *in, double h, survive_rule rule)
{
    survive_rows r;
    survive_rows_build(in, h, rule, &r);
    metric_value v = metric_auc(&r.in);
    survive_rows_release(&r);
    return v;
}

/* ---- concordance ----------------------------------------------------------------------------- */

/* Weights by rank of score, with sums over all lower ranks (Fenwick 1994). */
typedef struct rank_tree {
    double *sum, *at; /* [n + 1], [n] */
    int64_t n;
    double total;
} rank_tree;

static void tree_clear(rank_tree *t)
{
    memset(t->sum, 0, (size_t)(t->n + 1) * sizeof *t->sum);
    memset(t->at, 0, (size_t)t->n * sizeof *t->at);
    t->total = 0;
}

static void tree_add(rank_tree *t, int64_t rank, double w)
{
    t->at[rank] += w;
    t->total += w;
    for (int64_t k = rank + 1; k <= t->n; k += k & -k)
        t->sum[k] += w;
}

static double tree_below(const rank_tree *t, int64_t rank)
{
    double s = 0;
    for (int64_t k = rank; k > 0; k -= k & -k)
        s += t->sum[k];
    return s;
}

/* The used rows in order of time, and what each of them wins, loses and ties. Which of the two rows
 * of a pair names its weight and its column of scores: the earlier one (the cancer), or the later
 * one. */
typedef struct field {
    const survive_in *in;
    bool later; /* the later row decides */
    int64_t n;
    int64_t *row, *order; /* order: scratch of rank_scores */
    int64_t *rank;        /* in the column at hand, equal scores share one */
    double *pair;         /* weight of the pairs that a row decides */
    double *conc, *disc, *tied;
    rank_tree tree;
} field;

static void field_init(field *f, const survive_in *in)
{
    memset(f, 0, sizeof *f);
    f->in = in;
    f->row = rows_by_time(in, &f->n);
    f->order = MEM_ARRAY(int64_t, f->n + 1);
    f->rank = MEM_ARRAY(int64_t, f->n + 1);
    f->pair = MEM_ARRAY(double, f->n + 1);
    f->conc = MEM_ARRAY(double, f->n + 1);
    f->disc = MEM_ARRAY(double, f->n + 1);
    f->tied = MEM_ARRAY(double, f->n + 1);
    f->tree.sum = MEM_ARRAY(double, f->n + 1);
    f->tree.at = MEM_ARRAY(double, f->n + 1);
    for (int64_t k = 0; k < f->n; k++)
        f->pair[k] = 1;
}

static void field_release(field *f)
{
    mem_free(f->row);
    mem_free(f->order);
    mem_free(f->rank);
    mem_free(f->pair);
    mem_free(f->conc);
    mem_free(f->disc);
    mem_free(f->tied);
    mem_free(f->tree.sum);
    mem_free(f->tree.at);
}

static bool is_cancer(const field *f, int64_t k)
{
    return f->in->event[f->row[k]] != 0;
}

static bool decides(const field *f, int64_t k, int column)
{
    return survive_column(f->in, f->in->t[f->row[k]]) == column;
}

typedef struct by_score {
    const double *score;
    const int64_t *row;
} by_score;

static int cmp_score(const void *x, const void *y, void *ctx)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    const by_score *s = ctx;
    double u = s->score[s->row[a]], v = s->score[s->row[b]];
    if (u != v)
        return u < v ? -1 : 1;
    return a < b ? -1 : a > b;
}

static void rank_scores(field *f, int column)
{
    by_score s = {f->in->score + column * f->in->n, f->row};
    for (int64_t k = 0; k < f->n; k++)
        f->order[k] = k;
    qsort_r(f->order, (size_t)f->n, sizeof *f->order, cmp_score, &s);
    f->tree.n = 0;
    for (int64_t k = 0; k < f->n; k++) {
        f->tree.n += k && s.score[f->row[f->order[k]]] != s.score[f->row[f->order[k - 1]]];
        f->rank[f->order[k]] = f->tree.n;
    }
    f->tree.n += f->n > 0;
}

/* What the rows in the tree are to row k, which is the earlier or the later of the pair. */
static void meet(field *f, int64_t k, bool earlier, double weight)
{
    double below = tree_below(&f->tree, f->rank[k]), same = f->tree.at[f->rank[k]];
    double above = f->tree.total - below - same;
    f->conc[k] += weight * (earlier ? below : above);
    f->disc[k] += weight * (earlier ? above : below);
    f->tied[k] += weight * same;
}

static void enter(field *f, int64_t k, double weight)
{
    tree_add(&f->tree, f->rank[k], weight * weight_of(f->in, f->row[k]));
}

/* Back in time: every cancer of the column meets the rows that were still without at its time. */
static void sweep_back(field *f, int column)
{
    tree_clear(&f->tree);
    for (int64_t end = f->n, first; end > 0; end = first) {
        first = end - 1;
        while (first > 0 && f->in->t[f->row[first - 1]] == f->in->t[f->row[first]])
            first--;
        for (int64_t k = first; k < end; k++)
            if (!is_cancer(f, k))
                enter(f, k, 1);
        for (int64_t k = first; k < end; k++)
            if (is_cancer(f, k) && decides(f, k, column))
                meet(f, k, true, f->pair[k]);
        for (int64_t k = first; k < end; k++)
            if (is_cancer(f, k))
                enter(f, k, 1);
    }
}

static void sweep_meet_earlier(field *f, int64_t k, int column)
{
    if (!f->later)
        meet(f, k, false, 1);
    else if (decides(f, k, column))
        meet(f, k, false, f->pair[k]);
}

/* Forward in time: every row meets the cancers found while it was still without. */
static void sweep_forward(field *f, int column)
{
    tree_clear(&f->tree);
    for (int64_t first = 0, end; first < f->n; first = end) {
        end = tied_end(f->in, f->row, f->n, first);
        for (int64_t k = first; k < end; k++)
            if (is_cancer(f, k))
                sweep_meet_earlier(f, k, column);
        for (int64_t k = first; k < end; k++)
            if (is_cancer(f, k) && (f->later || decides(f, k, column)))
                enter(f, k, f->later ? 1 : f->pair[k]);
        for (int64_t k = first; k < end; k++)
            if (!is_cancer(f, k))
                sweep_meet_earlier(f, k, column);
    }
}

/* Value and counts. A pair stands with both of its rows, unless the later one alone decides. */
static survive_c field_total(field *f)
{
    survive_c c = {.value = NAN, .var = NAN, .lo = NAN, .hi = NAN, .n = f->n, .ci = ""};
    ksum conc = {0}, disc = {0}, tied = {0};
    double share = f->later ? 1 : 0.5;
    for (int column = 0; column < f->in->n_scores; column++) {
        rank_scores(f, column);
        if (!f->later)
            sweep_back(f, column);
        sweep_forward(f, column);
    }
    for (int64_t k = 0; k < f->n; k++) {
        double w = share * weight_of(f->in, f->row[k]);
        ksum_add(&conc, w * f->conc[k]);
        ksum_add(&disc, w * f->disc[k]);
        ksum_add(&tied, w * f->tied[k]);
        c.events += is_cancer(f, k);
    }
    c.conc = ksum_get(&conc);
    c.disc = ksum_get(&disc);
    c.tied = ksum_get(&tied);
    double pairs = c.conc + c.disc + c.tied;
    if (pairs > 0)
        c.value = (c.conc + 0.5 * c.tied) / pairs;
    else
        c.reason = "NO_PAIRS";
    return c;
}

/* Infinitesimal jackknife: the derivative of C by the weight of each row, summed within clusters
 * (Therneau, survival::concordance). */
static void field_variance(const field *f, survive_c *c)
{
    const survive_in *in = f->in;
    if (!in->cluster && in->n > INT32_MAX)
        BUG("survive: %lld rows", (long long)in->n);
    int n_clusters = in->cluster ? in->n_clusters : (int)in->n;
    double *u = MEM_ARRAY(double, n_clusters + 1), pairs = c->conc + c->disc + c->tied;
    bool *seen = MEM_ARRAY(bool, n_clusters + 1), repeated = false;
    for (int64_t k = 0; k < f->n; k++) {
        int64_t i = f->row[k];
        int g = in->cluster ? in->cluster[i] : (int)i;
        if (g < 0 || g >= n_clusters)
            BUG("survive: cluster %d of %d", g, n_clusters);
        u[g] +=
            weight_of(in, i) *
            ((1 - c->value) * f->conc[k] + (0.5 - c->value) * f->tied[k] - c->value * f->disc[k]) /
            pairs;
        repeated = repeated || seen[g];
        seen[g] = true;
    }
    ksum sum = {0};
    for (int g = 0; g < n_clusters; g++)
        ksum_add(&sum, u[g] * u[g]);
    c->var = ksum_get(&sum);
    mem_free(u);
    mem_free(seen);
    if (c->var <= VAR_ZERO) {
        c->var = 0;
        c->reason = "DEGENERATE";
        return;
    }
    c->ci = repeated ? "jackknife-clustered" : "jackknife";
    c->lo = c->value - METRIC_Z95 * sqrt(c->var);
    c->hi = c->value + METRIC_Z95 * sqrt(c->var);
    if (c->lo < 0 || c->hi > 1) {
        c->lo = fmax(c->lo, 0);
        c->hi = fmin(c->hi, 1);
        c->flag = "CLIPPED";
    }
}

static survive_c concordance(field *f)
{
    survive_c c = field_total(f);
    if (!c.reason)
        field_variance(f, &c);
    field_release(f);
    return c;
}

survive_c survive_harrell(const survive_in *in)
{
    field f;
    field_init(&f, in);
    return concordance(&f);
}

survive_c survive_uno(const survive_in *in, double tau)
{
    field f;
    survive_km g;
    field_init(&f, in);
    survive_km_build(in, SURVIVE_CENSORING, &g);
    for (int64_t k = 0; k < f.n; k++) {
        double t = in->t[f.row[k]], at = survive_km_before(&g, t);
        /* G is above 0 wherever a cancer was seen; censored rows decide no pair */
        f.pair[k] = t > tau || !is_cancer(&f, k) ? 0 : 1 / (at * at);
    }
    survive_km_release(&g);
    return concordance(&f);
}

survive_c survive_mirai_compat(const survive_in *in)
{
    field f;
    survive_km s;
    bool infinite = false;
    field_init(&f, in);
    f.later = true;
    survive_km_build(in, SURVIVE_CANCER, &s);
    for (int64_t k = 0; k < f.n; k++) {
        double at = survive_km_at(&s, in->t[f.row[k]]);
        infinite = infinite || !(at > 0);
        f.pair[k] = at > 0 ? 1 / (at * at) : 0;
    }
    survive_c c = field_total(&f);
    if (infinite) {
        c.value = c.conc = c.disc = c.tied = NAN;
        c.reason = "WEIGHT_INFINITE";
    }
    survive_km_release(&s);
    field_release(&f);
    return c;
}

/* ---- probabilities --------------------------------------------------------------------------- */

/* Sums at one year. */
typedef struct risk_sums {
    const double *p;                /* column of scores */
    ksum risk, missed, false_alarm; /* w p; w (1-p)^2 / G(t-) of cases; w p^2 of t > h */
    bool not_risk;
} risk_sums;

static void risk_add(risk_sums *s, survive_risk *r, double w, double p, bool beyond, double g)
{
    s->not_risk = s->not_risk || !(p >= 0 && p <= 1);
    ksum_add(&s->risk, w * p);
    if (beyond) {
        r->beyond++;
        ksum_add(&s->false_alarm, w * p * p);
    } else if (g > 0) {
        r->cases++;
        ksum_add(&s->missed, w * (1 - p) * (1 - p) / g);
    } else {
        r->lost++;
    }
}

/* Row by row, so that the sums of the years run side by side. */
void survive_risk_years(const survive_in *in, const double *h, int n, survive_risk *out)
{
    timeline l;
    survive_km s, g;
    risk_sums *sum = MEM_ARRAY(risk_sums, n + 1);
    timeline_init(&l, in);
    km_walk(in, &l, SURVIVE_CANCER, &s);
    km_walk(in, &l, SURVIVE_CENSORING, &g);
    for (int k = 0; k < n; k++) {
        out[k] = (survive_risk){.brier = NAN, .incidence = NAN, .expected = NAN, .oe = NAN};
        sum[k].p = in->score + survive_column(in, h[k]) * in->n;
    }
    for (int64_t i = 0; i < l.n; i++) {
        int64_t row = l.row[i];
        double t = in->t[row], w = weight_of(in, row);
        double before = in->event[row] ? survive_km_before(&g, t) : 0;
        for (int k = 0; k < n; k++)
            risk_add(&sum[k], &out[k], w, sum[k].p[row], t > h[k], before);
    }
    for (int k = 0; k < n; k++) {
        survive_risk *r = &out[k];
        r->n = l.n;
        r->reason = !r->n             ? "NO_FOLLOW_UP"
                    : sum[k].not_risk ? "NOT_RISK"
                    : !r->beyond      ? "BEYOND_FOLLOW_UP"
                                      : NULL;
        if (r->reason)
            continue;
        double alarms = ksum_get(&sum[k].false_alarm) / survive_km_at(&g, h[k]);
        r->brier = (ksum_get(&sum[k].missed) + alarms) / l.left[0];
        r->incidence = 1 - survive_km_at(&s, h[k]);
        r->expected = ksum_get(&sum[k].risk) / l.left[0];
        r->oe = r->expected > 0 ? r->incidence / r->expected : NAN;
    }
    survive_km_release(&s);
    survive_km_release(&g);
    timeline_release(&l);
    mem_free(sum);
}

survive_risk survive_risk_at(const survive_in *in, double h)
{
    survive_risk r;
    survive_risk_years(in, &h, 1, &r);
    return r;
}

/* ---- when a cancer was found ----------------------------------------------------------------- */

survive_bin survive_bin_of(double t, int event, double screen_days, double interval_days)
{
    if (event != 1 || !(t >= 0))
        return SURVIVE_NONE;
    /* days are divided as predict divides them: a cancer on the limit's day is inside exactly */
    return t <= screen_days / SURVIVE_YEAR     ? SURVIVE_SCREEN
           : t <= interval_days / SURVIVE_YEAR ? SURVIVE_INTERVAL
                                               : SURVIVE_LATER;
}
