/* Rank metrics and their variances. Counts are u64, sums are compensated and run in a fixed order,
 * so a result depends on nothing but the rows. Sources: Hanley and McNeil 1982, DeLong 1988,
 * Sun and Xu 2014, Obuchowski 1997, McClish 1989, Wilson 1927. */
#include "eval/metric.h"
#include "core/mem.h"
#include "eval/ksum.h"
#include "eval/rate.h"

#define VAR_ZERO  1e-20 /* variances at or below this are rounding noise around 0 */
#define PAUC_FPR  0.10  /* range of false-positive rate of the partial AUC */
#define LOGIT_AUC 0.95  /* above this the report uses the logit interval ... */
#define LOGIT_M   50    /* ... or with fewer cases than this */

static double weight_of(const metric_in *in, int64_t i)
{
    return in->weight ? in->weight[i] : 1.0;
}

/* ---- order ----------------------------------------------------------------------------------- */

static int cmp_score(const void *x, const void *y, void *ctx)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    const double *s = ctx;
    if (s[a] != s[b])
        return s[a] < s[b] ? -1 : 1;
    return a < b ? -1 : a > b;
}

/* Row indices in ascending (score, index) order; owned by the caller. */
static int64_t *order_of(const metric_in *in)
{
    int64_t *order = MEM_ARRAY(int64_t, in->n + 1);
    for (int64_t i = 0; i < in->n; i++)
        order[i] = i;
    if (!in->sorted)
        qsort_r(order, (size_t)in->n, sizeof *order, cmp_score, (void *)in->score);
    return order;
}

/* A run of equal scores, with what lies below it. */
typedef struct group {
    int64_t begin, end; /* in the order */
    double w1, w0;      /* weight of cases and controls inside */
    double below1, below0;
} group;

typedef struct totals {
    int64_t m, n; /* rows with weight */
    double w1, w0;
} totals;

static totals totals_of(const metric_in *in)
{
    totals t = {0};
    ksum w1 = {0}, w0 = {0};
    for (int64_t i = 0; i < in->n; i++) {
        double w = weight_of(in, i);
        if (w == 0)
            continue;
        if (in->y[i]) {
            t.m++;
            ksum_add(&w1, w);
        } else {
            t.n++;
            ksum_add(&w0, w);
        }
    }
    t.w1 = ksum_get(&w1);
    t.w0 = ksum_get(&w0);
    return t;
}

/* Next group of equal scores; g->end is where it starts. False at the end. */
static bool next_group(const metric_in *in, const int64_t *order, group *g, ksum below[2])
{
    if (g->end >= in->n)
        return false;
    if (g->end > 0) {
        ksum_add(&below[1], g->w1);
        ksum_add(&below[0], g->w0);
    }
    ksum in1 = {0}, in0 = {0};
    double score = in->score[order[g->end]];
    g->begin = g->end;
    for (; g->end < in->n && in->score[order[g->end]] == score; g->end++) {
        int64_t i = order[g->end];
        ksum_add(in->y[i] ? &in1 : &in0, weight_of(in, i));
    }
    g->w1 = ksum_get(&in1);
    g->w0 = ksum_get(&in0);
    g->below1 = ksum_get(&below[1]);
    g->below0 = ksum_get(&below[0]);
    return true;
}

/* ---- AUC ------------------------------------------------------------------------------------- */

/* Exact for rows without weights: twice the number of won pairs is an integer below 2^63. */
static double auc_counts(const metric_in *in, const int64_t *order, const totals *t)
{
    uint64_t below0 = 0, twice = 0;
    for (int64_t k = 0; k < in->n;) {
        double score = in->score[order[k]];
        uint64_t c1 = 0, c0 = 0;
        for (; k < in->n && in->score[order[k]] == score; k++) {
            c1 += in->y[order[k]] != 0;
            c0 += in->y[order[k]] == 0;
        }
        twice += c1 * (2 * below0 + c0);
        below0 += c0;
    }
    return (double)twice / (2.0 * (double)t->m * (double)t->n);
}

static double auc_weights(const metric_in *in, const int64_t *order, const totals *t)
{
    ksum below[2] = {{0}}, won = {0};
    group g = {0};
    while (next_group(in, order, &g, below))
        ksum_add(&won, g.w1 * (g.below0 + 0.5 * g.w0));
    return ksum_get(&won) / (t->w1 * t->w0);
}

static double auc_ordered(const metric_in *in, const int64_t *order, const totals *t)
{
    if (!t->m || !t->n)
        return NAN;
    return in->weight ? auc_weights(in, order, t) : auc_counts(in, order, t);
}

static double point_auc(const metric_in *in)
{
    totals t = totals_of(in);
    int64_t *order = order_of(in);
    double a = auc_ordered(in, order, &t);
    mem_free(order);
    return a;
}

/* Centred sums per cluster: u1 over its cases of w (V10 - A) / W1, u0 over its controls of
 * w (V01 - A) / W0. All variances and covariances below are products of these. */
typedef struct influence {
    double auc;
    totals t;
    int n_clusters; /* slots */
    double *u1, *u0;
    int32_t *n1, *n0; /* rows of each class per cluster */
    int i, i10, i01;  /* clusters with a row, a case, a control */
    bool repeated;    /* a cluster has more than one row */
} influence;

static void influence_release(influence *f)
{
    mem_free(f->u1);
    mem_free(f->u0);
    mem_free(f->n1);
    mem_free(f->n0);
}

static void influence_of(const metric_in *in, influence *f)
{
    memset(f, 0, sizeof *f);
    f->t = totals_of(in);
    f->auc = NAN;
    if (!f->t.m || !f->t.n)
        return;
    if (in->cluster == NULL && in->n > INT32_MAX)
        BUG("metric: %lld rows", (long long)in->n);
    f->n_clusters = in->cluster ? in->n_clusters : (int)in->n;
    f->u1 = MEM_ARRAY(double, f->n_clusters);
    f->u0 = MEM_ARRAY(double, f->n_clusters);
    f->n1 = MEM_ARRAY(int32_t, f->n_clusters);
    f->n0 = MEM_ARRAY(int32_t, f->n_clusters);
    int64_t *order = order_of(in);
    f->auc = auc_ordered(in, order, &f->t);
    ksum below[2] = {{0}};
    group g = {0};
    while (next_group(in, order, &g, below)) {
        double v10 = (g.below0 + 0.5 * g.w0) / f->t.w0;
        double v01 = (f->t.w1 - g.below1 - 0.5 * g.w1) / f->t.w1;
        for (int64_t k = g.begin; k < g.end; k++) {
            int64_t i = order[k];
            double w = weight_of(in, i);
            int c = in->cluster ? in->cluster[i] : (int)i;
            if (c < 0 || c >= f->n_clusters)
                BUG("metric: cluster %d of %d", c, f->n_clusters);
            if (w == 0)
                continue;
            if (in->y[i]) {
                f->u1[c] += w * (v10 - f->auc) / f->t.w1;
                f->n1[c]++;
            } else {
                f->u0[c] += w * (v01 - f->auc) / f->t.w0;
                f->n0[c]++;
            }
        }
    }
    mem_free(order);
    for (int c = 0; c < f->n_clusters; c++) {
        f->i += f->n1[c] + f->n0[c] > 0;
        f->i10 += f->n1[c] > 0;
        f->i01 += f->n0[c] > 0;
        f->repeated = f->repeated || f->n1[c] + f->n0[c] > 1;
    }
}

static double dot(const double *a, const double *b, int n)
{
    ksum k = {0};
    for (int i = 0; i < n; i++)
        ksum_add(&k, a[i] * b[i]);
    return ksum_get(&k);
}

/* k / (k - 1), the small-sample factor. */
static double unbias(int k)
{
    return k > 1 ? (double)k / (double)(k - 1) : NAN;
}

static double covariance(const influence *a, const influence *b)
{
    int n = a->n_clusters;
    double c10 = unbias(a->i10) * dot(a->u1, b->u1, n);
    double c01 = unbias(a->i01) * dot(a->u0, b->u0, n);
    if (!a->repeated)
        return c10 + c01; /* no cluster holds both classes: the cross terms are zero */
    return c10 + c01 + unbias(a->i) * (dot(a->u1, b->u0, n) + dot(b->u1, a->u0, n));
}

static const char *size_flag(int64_t m, int64_t n)
{
    int64_t least = m < n ? m : n;
    return least < METRIC_FEW ? "FEW_EVENTS" : least < METRIC_UNSTABLE ? "UNSTABLE" : NULL;
}

static void logit_interval(const metric_value *v, double quantile, double *lo, double *hi)
{
    double logit = log(v->value / (1 - v->value));
    double step = quantile * sqrt(v->var) / (v->value * (1 - v->value));
    *lo = 1 / (1 + exp(-(logit - step)));
    *hi = 1 / (1 + exp(-(logit + step)));
}

metric_value metric_auc(const metric_in *in)
{
    metric_value v = {NAN, NAN, NAN, NAN, NULL, "", 0, 0, NULL, NAN, NAN, 0};
    influence f;
    influence_of(in, &f);
    v.n = f.t.m + f.t.n;
    v.events = f.t.m;
    v.value = f.auc;
    v.flag = size_flag(f.t.m, f.t.n);
    if (isnan(f.auc)) {
        v.reason = "ONE_CLASS";
        goto done;
    }
    v.var = covariance(&f, &f);
    if (isnan(v.var)) {
        v.reason = "TOO_FEW_CLUSTERS";
        goto done;
    }
    if (v.var <= VAR_ZERO) {
        v.var = 0;
        v.reason = "DEGENERATE";
        goto done;
    }
    v.ci = f.repeated ? "clustered" : "delong";
    double half = METRIC_Z95 * sqrt(v.var);
    v.lo = v.value - half;
    v.hi = v.value + half;
    if (v.lo < 0 || v.hi > 1) {
        v.lo = fmax(v.lo, 0);
        v.hi = fmin(v.hi, 1);
        v.flag = v.flag ? v.flag : "CLIPPED";
    }
    if (v.value > 0 && v.value < 1)
        logit_interval(&v, METRIC_Z95, &v.logit_lo, &v.logit_hi);
done:
    influence_release(&f);
    return v;
}

/* Every pair of a case and a control is in order (or none is). Pairs of different patients, each
 * patient in one of them, are independent trials of the probability that is estimated. */
static void exact_pairs(const metric_in *in, metric_value *v)
{
    metric_clustered part = metric_auc_parts(in);
    int pairs = part.i10 < part.i01 ? part.i10 : part.i01;
    pairs = pairs < part.i / 2 ? pairs : part.i / 2;
    if (metric_clopper_pearson(v->value > 0 ? pairs : 0, pairs, &v->lo, &v->hi)) {
        v->reason = NULL;
        v->ci = "exact-pairs";
    }
}

metric_value metric_auc_report(const metric_in *in)
{
    metric_value v = metric_auc(in);
    int64_t controls = v.n - v.events;
    if (!v.reason && (v.value > LOGIT_AUC || v.events < LOGIT_M) && !isnan(v.logit_lo)) {
        bool clustered = !strcmp(v.ci, "clustered");
        v.lo = v.logit_lo;
        v.hi = v.logit_hi;
        v.ci = clustered ? "clustered-logit" : "delong-logit";
        v.flag = size_flag(v.events, controls);
        if (clustered) {
            /* the variance rests on few patients: Student's t (docs/evaluation.md, Coverage) */
            metric_clustered part = metric_auc_parts(in);
            int least = part.i10 < part.i01 ? part.i10 : part.i01;
            logit_interval(&v, rate_t_quantile(0.975, least - 1), &v.lo, &v.hi);
        }
    }
    if (v.reason && !strcmp(v.reason, "DEGENERATE") && (v.value <= 0 || v.value >= 1))
        exact_pairs(in, &v);
    if (v.value == v.value && (v.events < METRIC_FEW || controls < METRIC_FEW)) {
        v.value = v.lo = v.hi = v.var = v.logit_lo = v.logit_hi = NAN;
        v.reason = "FEW_EVENTS";
        v.ci = "";
    }
    return v;
}

metric_pair metric_auc_pair(const metric_in *in, const double *score_b)
{
    metric_pair p = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    metric_in other = *in;
    other.score = score_b;
    other.sorted = false;
    influence a, b;
    influence_of(in, &a);
    influence_of(&other, &b);
    p.a = a.auc;
    p.b = b.auc;
    p.diff = p.a - p.b;
    if (!isnan(p.diff)) {
        p.var_a = covariance(&a, &a);
        p.var_b = covariance(&b, &b);
        p.cov = covariance(&a, &b);
        double var = p.var_a + p.var_b - 2 * p.cov;
        if (var > VAR_ZERO) {
            p.z = p.diff / sqrt(var);
            p.p = erfc(fabs(p.z) / sqrt(2.0));
            p.lo = p.diff - METRIC_Z95 * sqrt(var);
            p.hi = p.diff + METRIC_Z95 * sqrt(var);
        }
    }
    influence_release(&a);
    influence_release(&b);
    return p;
}

metric_clustered metric_auc_parts(const metric_in *in)
{
    influence f;
    influence_of(in, &f);
    metric_clustered c = {f.i, f.i10, f.i01, NAN, NAN, NAN};
    if (!isnan(f.auc)) {
        double m = f.t.w1, n = f.t.w0;
        c.s10 = unbias(f.i10) * dot(f.u1, f.u1, f.n_clusters) * m;
        c.s01 = unbias(f.i01) * dot(f.u0, f.u0, f.n_clusters) * n;
        c.s11 = unbias(f.i) * dot(f.u1, f.u0, f.n_clusters) * m * n;
    }
    influence_release(&f);
    return c;
}

double metric_hanley_mcneil(double auc, int64_t m, int64_t n)
{
    double q1 = auc / (2 - auc), q2 = 2 * auc * auc / (1 + auc), a2 = auc * auc;
    return (auc * (1 - auc) + ((double)m - 1) * (q1 - a2) + ((double)n - 1) * (q2 - a2)) /
           ((double)m * (double)n);
}

/* ---- other rank metrics ---------------------------------------------------------------------- */

/* Average precision: sum over distinct thresholds, descending, of the step in recall times the
 * precision there. */
static double point_ap(const metric_in *in)
{
    totals t = totals_of(in);
    if (!t.m || !t.n)
        return NAN;
    int64_t *order = order_of(in);
    ksum tp = {0}, fp = {0}, ap = {0};
    for (int64_t k = in->n - 1; k >= 0;) {
        double score = in->score[order[k]];
        ksum step = {0};
        for (; k >= 0 && in->score[order[k]] == score; k--) {
            double w = weight_of(in, order[k]);
            ksum_add(in->y[order[k]] ? &tp : &fp, w);
            if (in->y[order[k]])
                ksum_add(&step, w);
        }
        double flagged = ksum_get(&tp) + ksum_get(&fp);
        if (flagged > 0)
            ksum_add(&ap, ksum_get(&step) / t.w1 * (ksum_get(&tp) / flagged));
    }
    mem_free(order);
    return ksum_get(&ap);
}

/* Height of the segment from (x0, y0) to (x1, y1) at x0 <= x <= x1. */
static double height(const double from[2], const double to[2], double x)
{
    return to[0] > from[0] ? from[1] + (to[1] - from[1]) * (x - from[0]) / (to[0] - from[0])
                           : to[1];
}

metric_area metric_pauc(const metric_in *in, double from, double to)
{
    metric_area r = {NAN, NAN};
    totals t = totals_of(in);
    if (!t.m || !t.n || !(from >= 0 && from < to && to <= 1))
        return r;
    int64_t *order = order_of(in);
    ksum tp = {0}, fp = {0}, area = {0};
    double a[2] = {0, 0};
    for (int64_t k = in->n - 1; k >= 0 && a[0] < to;) {
        double score = in->score[order[k]];
        for (; k >= 0 && in->score[order[k]] == score; k--)
            ksum_add(in->y[order[k]] ? &tp : &fp, weight_of(in, order[k]));
        double b[2] = {ksum_get(&fp) / t.w0, ksum_get(&tp) / t.w1};
        double x0 = fmax(a[0], from), x1 = fmin(b[0], to);
        if (x1 > x0)
            ksum_add(&area, (x1 - x0) * (height(a, b, x0) + height(a, b, x1)) / 2);
        a[0] = b[0];
        a[1] = b[1];
    }
    mem_free(order);
    double least = (to * to - from * from) / 2, most = to - from;
    r.area = ksum_get(&area);
    r.standardised = (1 + (r.area - least) / (most - least)) / 2;
    return r;
}

static double point_pauc(const metric_in *in)
{
    return metric_pauc(in, 0, PAUC_FPR).standardised;
}

const metric_def metric_table[] = {
    {"auc", point_auc, 0, 1, true, "exam", "Hanley and McNeil 1982"},
    {"pauc_10", point_pauc, 0, 1, true, "exam", "McClish 1989"},
    {"ap", point_ap, 0, 1, true, "exam", "sum over distinct thresholds, no interpolation"},
};
const int metric_table_n = (int)COUNT_OF(metric_table);

/* ---- proportions ----------------------------------------------------------------------------- */

bool metric_wilson(double k, double n, double *lo, double *hi)
{
    if (!(n > 0))
        return false;
    const double z = METRIC_Z95, z2 = z * z;
    double p = k / n, mid = p + z2 / (2 * n);
    double half = z * sqrt(p * (1 - p) / n + z2 / (4 * n * n)), scale = 1 + z2 / n;
    *lo = k <= 0 ? 0 : fmax(0, (mid - half) / scale);
    *hi = k >= n ? 1 : fmin(1, (mid + half) / scale);
    return true;
}

/* Upper tail P(X >= k) of a binomial, summed in logs from the largest term outwards. */
static double binomial_upper(int64_t k, int64_t n, double p)
{
    ksum s = {0};
    for (int64_t i = k; i <= n; i++)
        ksum_add(&s,
                 exp(lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) +
                     (double)i * log(p) + (double)(n - i) * log1p(-p)));
    return ksum_get(&s);
}

/* The p at which P(X >= k) equals `tail`; the tail grows with p. */
static double binomial_solve(int64_t k, int64_t n, double tail)
{
    double lo = 0, hi = 1;
    for (int i = 0; i < 80; i++) {
        double mid = (lo + hi) / 2;
        if (binomial_upper(k, n, mid) < tail)
            lo = mid;
        else
            hi = mid;
    }
    return (lo + hi) / 2;
}

bool metric_clopper_pearson(int64_t k, int64_t n, double *lo, double *hi)
{
    if (n <= 0 || k < 0 || k > n)
        return false;
    *lo = k == 0 ? 0 : binomial_solve(k, n, 0.025);
    *hi = k == n ? 1 : binomial_solve(k + 1, n, 0.975);
    return true;
}

bool metric_exact_share(const metric_in *in, int y, double share, double *lo, double *hi)
{
    if ((share > 0 && share < 1) || isnan(share) || *lo < share || *hi > share)
        return false;
    const int n = in->cluster ? in->n_clusters : (int)in->n;
    bool *seen = MEM_ARRAY(bool, n + 1);
    int64_t patients = 0;
    for (int64_t i = 0; i < in->n; i++) {
        bool *mine = &seen[in->cluster ? in->cluster[i] : (int)i];
        if ((y >= 0 && in->y[i] != y) || weight_of(in, i) == 0 || *mine)
            continue;
        *mine = true;
        patients++;
    }
    mem_free(seen);
    return metric_clopper_pearson(share > 0 ? patients : 0, patients, lo, hi);
}

double metric_ppv(double sens, double spec, double prevalence)
{
    double tp = sens * prevalence, fp = (1 - spec) * (1 - prevalence);
    return tp + fp > 0 ? tp / (tp + fp) : NAN;
}

double metric_npv(double sens, double spec, double prevalence)
{
    double tn = spec * (1 - prevalence), fn = (1 - sens) * prevalence;
    return tn + fn > 0 ? tn / (tn + fn) : NAN;
}
