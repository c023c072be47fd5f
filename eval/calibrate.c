/* Calibration lines by Newton's method, sums, groups and calibration errors. Sources: Cox 1958, Van
 * Calster 2016, Brier 1950, Guo 2017; the sandwich variance as in Liang and Zeger 1986. */
#include "eval/calibrate.h"
#include "eval/keyed.h"
#include "core/mem.h"
#include "core/rng.h"
#include "eval/ksum.h"
#include "eval/rate.h"

#define STEP_TOL  1e-12
#define STEPS_MAX 100
#define HALVINGS  40
#define LL_SLACK  1e-10 /* a log-likelihood this much lower, relatively, is rounding */

double calibrate_logit(double p, int64_t *clipped)
{
    double q = fmin(fmax(p, CALIBRATE_CLIP), 1 - CALIBRATE_CLIP);
    if (clipped)
        *clipped += q != p;
    return log(q / (1 - q));
}

double calibrate_risk(double logit)
{
    return 1 / (1 + exp(-logit));
}

static double weight_of(const metric_in *in, int64_t i)
{
    return in->weight ? in->weight[i] : 1.0;
}

/* NULL, or why there is nothing to compute. */
static const char *unfit(const metric_in *in)
{
    int64_t n = 0;
    for (int64_t i = 0; i < in->n; i++) {
        if (weight_of(in, i) == 0)
            continue;
        n++;
        if (!(in->score[i] >= 0 && in->score[i] <= 1))
            return "NOT_RISK";
    }
    return n ? NULL : "EMPTY";
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* Rows with weight; eta = offset x + A u + B z, where z = (x - centre) / scale. */
typedef struct line_data {
    double *x, *w;
    int *y, *cluster;
    int64_t n;
    int n_clusters;
    bool free_a, free_b;
    double offset; /* factor of x that is not estimated */
    double centre, scale;
} line_data;

static void data_release(line_data *d)
{
    mem_free(d->x);
    mem_free(d->w);
    mem_free(d->y);
    mem_free(d->cluster);
}

/* False when a cluster repeats or a weight differs from 1. */
static bool data_fill(const metric_in *in, line_data *d, int64_t *clipped)
{
    bool plain = true;
    d->x = MEM_ARRAY(double, in->n + 1);
    d->w = MEM_ARRAY(double, in->n + 1);
    d->y = MEM_ARRAY(int, in->n + 1);
    d->cluster = MEM_ARRAY(int, in->n + 1);
    d->n_clusters = in->cluster ? in->n_clusters : (int)in->n;
    bool *seen = MEM_ARRAY(bool, d->n_clusters + 1);
    for (int64_t i = 0; i < in->n; i++) {
        double w = weight_of(in, i);
        int c = in->cluster ? in->cluster[i] : (int)i;
        if (w == 0)
            continue;
        plain = plain && w == 1 && !seen[c];
        seen[c] = true;
        d->x[d->n] = calibrate_logit(in->score[i], clipped);
        d->w[d->n] = w;
        d->y[d->n] = in->y[i] != 0;
        d->cluster[d->n++] = c;
    }
    mem_free(seen);
    return plain;
}

/* With one covariate the maximum is finite exactly where the classes overlap (Albert and Anderson
 * 1984): a case below a control and a case above a control. Through the origin: a row on either
 * wrong side, (2y - 1) x of both signs. */
static const char *data_state(const line_data *d)
{
    double lo[2] = {INFINITY, INFINITY}, hi[2] = {-INFINITY, -INFINITY};
    bool right = false, wrong = false;
    for (int64_t i = 0; i < d->n; i++) {
        int y = d->y[i];
        lo[y] = fmin(lo[y], d->x[i]);
        hi[y] = fmax(hi[y], d->x[i]);
        right = right || (y ? d->x[i] > 0 : d->x[i] < 0);
        wrong = wrong || (y ? d->x[i] < 0 : d->x[i] > 0);
    }
    if (hi[0] < lo[0] || hi[1] < lo[1])
        return "ONE_CLASS";
    if (!d->free_b)
        return NULL;
    if (!d->free_a)
        return !right && !wrong ? "CONSTANT" : right && wrong ? NULL : "SEPARATION";
    if (fmin(lo[0], lo[1]) == fmax(hi[0], hi[1]))
        return "CONSTANT";
    return lo[1] < hi[0] && lo[0] < hi[1] ? NULL : "SEPARATION";
}

/* Centre and scale make the two directions of the likelihood alike; the estimate is taken back. */
static void data_scale(line_data *d)
{
    ksum w = {0}, x = {0}, xx = {0};
    d->centre = 0;
    d->scale = 1;
    if (!d->free_b)
        return;
    for (int64_t i = 0; i < d->n; i++) {
        ksum_add(&w, d->w[i]);
        ksum_add(&x, d->w[i] * d->x[i]);
    }
    if (d->free_a)
        d->centre = ksum_get(&x) / ksum_get(&w);
    for (int64_t i = 0; i < d->n; i++)
        ksum_add(&xx, d->w[i] * (d->x[i] - d->centre) * (d->x[i] - d->centre));
    d->scale = sqrt(ksum_get(&xx) / ksum_get(&w));
}

static double z_of(const line_data *d, int64_t i)
{
    return (d->x[i] - d->centre) / d->scale;
}

static double eta_of(const line_data *d, const double beta[2], int64_t i)
{
    return d->offset * d->x[i] + beta[0] + beta[1] * z_of(d, i);
}

static double log_likelihood(const line_data *d, const double beta[2])
{
    ksum ll = {0};
    for (int64_t i = 0; i < d->n; i++) {
        double eta = eta_of(d, beta, i), t = d->y[i] ? -eta : eta;
        ksum_add(&ll, -d->w[i] * (t > 0 ? t + log1p(exp(-t)) : log1p(exp(t))));
    }
    return ksum_get(&ll);
}

/* Inverse information and score; what is not free has zeros. */
typedef struct newton {
    double g[2], inv[3]; /* inverse: aa, ab, bb */
} newton;

static void newton_at(const line_data *d, const double beta[2], newton *out)
{
    ksum g[2] = {{0}}, h[3] = {{0}};
    for (int64_t i = 0; i < d->n; i++) {
        double mu = calibrate_risk(eta_of(d, beta, i)), z = z_of(d, i);
        double r = d->w[i] * (d->y[i] - mu), v = d->w[i] * mu * (1 - mu);
        ksum_add(&g[0], r);
        ksum_add(&g[1], r * z);
        ksum_add(&h[0], v);
        ksum_add(&h[1], v * z);
        ksum_add(&h[2], v * z * z);
    }
    double a = ksum_get(&h[0]), b = ksum_get(&h[1]), c = ksum_get(&h[2]);
    memset(out, 0, sizeof *out);
    out->g[0] = d->free_a ? ksum_get(&g[0]) : 0;
    out->g[1] = d->free_b ? ksum_get(&g[1]) : 0;
    if (d->free_a && d->free_b) {
        double det = a * c - b * b;
        out->inv[0] = c / det;
        out->inv[1] = -b / det;
        out->inv[2] = a / det;
    } else {
        out->inv[0] = d->free_a ? 1 / a : 0;
        out->inv[2] = d->free_b ? 1 / c : 0;
    }
}

/* Steps that would lower the likelihood are halved. */
static bool solve(const line_data *d, double beta[2], int *steps)
{
    double ll = log_likelihood(d, beta);
    for (*steps = 1; *steps <= STEPS_MAX; ++*steps) {
        newton at;
        newton_at(d, beta, &at);
        double step[2] = {at.inv[0] * at.g[0] + at.inv[1] * at.g[1],
                          at.inv[1] * at.g[0] + at.inv[2] * at.g[1]};
        double next[2], next_ll = NAN;
        if (!isfinite(step[0]) || !isfinite(step[1]))
            return false;
        for (int k = 0; k < HALVINGS; k++) {
            next[0] = beta[0] + step[0];
            next[1] = beta[1] + step[1];
            next_ll = log_likelihood(d, next);
            if (next_ll >= ll - LL_SLACK * (1 + fabs(ll)))
                break;
            step[0] /= 2;
            step[1] /= 2;
        }
        beta[0] = next[0];
        beta[1] = next[1];
        ll = next_ll;
        if (fmax(fabs(step[0]), fabs(step[1])) < STEP_TOL)
            return true;
    }
    return false;
}

/* Variances of the line a + b x from those of A + B z, for the matrix v = {AA, AB, BB}. */
static void spread(const line_data *d, const double v[3], double *se_a, double *se_b)
{
    double c = d->centre / d->scale;
    *se_a = sqrt(fmax(0, v[0] - 2 * c * v[1] + c * c * v[2]));
    *se_b = sqrt(fmax(0, v[2])) / d->scale;
}

static void robust(const line_data *d, const double beta[2], const newton *at, calibrate_line *l)
{
    double *u = MEM_ARRAY(double, 2 * (int64_t)d->n_clusters + 2);
    bool *seen = MEM_ARRAY(bool, d->n_clusters + 1);
    int clusters = 0;
    ksum m[3] = {{0}};
    for (int64_t i = 0; i < d->n; i++) {
        double r = d->w[i] * (d->y[i] - calibrate_risk(eta_of(d, beta, i)));
        int c = d->cluster[i];
        clusters += !seen[c];
        seen[c] = true;
        u[2 * c] += r;
        u[2 * c + 1] += r * z_of(d, i);
    }
    for (int c = 0; c < d->n_clusters; c++) {
        double a = at->inv[0] * u[2 * c] + at->inv[1] * u[2 * c + 1];
        double b = at->inv[1] * u[2 * c] + at->inv[2] * u[2 * c + 1];
        ksum_add(&m[0], a * a);
        ksum_add(&m[1], a * b);
        ksum_add(&m[2], b * b);
    }
    mem_free(u);
    mem_free(seen);
    l->robust_a = l->robust_b = NAN;
    if (clusters < 2)
        return;
    double f = (double)clusters / (clusters - 1);
    double v[3] = {f * ksum_get(&m[0]), f * ksum_get(&m[1]), f * ksum_get(&m[2])};
    spread(d, v, &l->robust_a, &l->robust_b);
}

static calibrate_line fit(const metric_in *in, line_data *d)
{
    calibrate_line l = {NAN, NAN, NAN, NAN, NAN, NAN, false, 0, 0, 0, 0, unfit(in)};
    if (l.reason) {
        l.reason = !strcmp(l.reason, "EMPTY") ? "ONE_CLASS" : l.reason;
        return l;
    }
    l.repeated = !data_fill(in, d, &l.clipped);
    l.n = d->n;
    for (int64_t i = 0; i < d->n; i++)
        l.events += d->y[i];
    l.reason = data_state(d);
    double beta[2] = {0, 0};
    newton at;
    if (l.reason)
        goto done;
    data_scale(d);
    if (!solve(d, beta, &l.steps)) {
        l.reason = "NOT_CONVERGED";
        goto done;
    }
    newton_at(d, beta, &at);
    l.b = d->free_b ? beta[1] / d->scale : d->offset;
    l.a = d->free_a ? beta[0] - (d->free_b ? l.b * d->centre : 0) : 0;
    spread(d, at.inv, &l.se_a, &l.se_b);
    robust(d, beta, &at, &l);
done:
    data_release(d);
    return l;
}

calibrate_line calibrate_slope(const metric_in *in)
{
    return fit(in, &(line_data){.free_a = true, .free_b = true});
}

calibrate_line calibrate_intercept(const metric_in *in)
{
    return fit(in, &(line_data){.free_a = true, .offset = 1});
}

calibrate_line calibrate_scale(const metric_in *in)
{
    return fit(in, &(line_data){.free_b = true});
}

static calibrate_est est_of(double value, double half)
{
    return (calibrate_est){value, value - half, value + half};
}

calibrate_est calibrate_slope_est(const calibrate_line *l)
{
    return est_of(l->b, METRIC_Z95 * (l->repeated ? l->robust_b : l->se_b));
}

calibrate_est calibrate_intercept_est(const calibrate_line *l)
{
    return est_of(l->a, METRIC_Z95 * (l->repeated ? l->robust_a : l->se_a));
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* A row's part in log(observed / expected) is w (y / observed - p / expected). */
static double oe_spread(const metric_in *in, double observed, double expected)
{
    int slots = in->cluster ? in->n_clusters : (int)in->n, clusters = 0;
    double *u = MEM_ARRAY(double, slots + 1);
    bool *seen = MEM_ARRAY(bool, slots + 1);
    ksum ss = {0};
    for (int64_t i = 0; i < in->n; i++) {
        double w = weight_of(in, i);
        int c = in->cluster ? in->cluster[i] : (int)i;
        clusters += w != 0 && !seen[c];
        seen[c] = seen[c] || w != 0;
        u[c] += w * ((in->y[i] != 0) / observed - in->score[i] / expected);
    }
    for (int c = 0; c < slots; c++)
        ksum_add(&ss, u[c] * u[c]);
    mem_free(u);
    mem_free(seen);
    return clusters > 1 && observed > 0 && expected > 0
               ? sqrt(ksum_get(&ss) * clusters / (clusters - 1))
               : NAN;
}

calibrate_total calibrate_sums(const metric_in *in)
{
    calibrate_total t = {.observed = NAN,
                         .expected = NAN,
                         .oe = NAN,
                         .oe_lo = NAN,
                         .oe_hi = NAN,
                         .oe_se = NAN,
                         .brier = NAN,
                         .brier_scaled = NAN,
                         .log_loss = NAN,
                         .reason = unfit(in)};
    if (t.reason)
        return t;
    ksum w = {0}, w2 = {0}, w2y = {0}, o = {0}, x = {0}, brier = {0}, loss = {0};
    for (int64_t i = 0; i < in->n; i++) {
        double v = weight_of(in, i), p = in->score[i], y = in->y[i] != 0;
        if (v == 0)
            continue;
        double q = fmin(fmax(p, CALIBRATE_CLIP), 1 - CALIBRATE_CLIP);
        t.n++;
        t.events += y != 0;
        t.clipped += q != p;
        ksum_add(&w, v);
        ksum_add(&w2, v * v);
        ksum_add(&w2y, v * v * y);
        ksum_add(&o, v * y);
        ksum_add(&x, v * p);
        ksum_add(&brier, v * (p - y) * (p - y));
        ksum_add(&loss, -v * (y != 0 ? log(q) : log1p(-q)));
    }
    t.observed = ksum_get(&o);
    t.expected = ksum_get(&x);
    rate_value oe =
        rate_oe(t.observed, t.events ? ksum_get(&w2y) / t.observed : ksum_get(&w2) / ksum_get(&w),
                t.expected);
    t.oe = oe.value;
    t.oe_lo = oe.lo;
    t.oe_hi = oe.hi;
    t.oe_se = oe_spread(in, t.observed, t.expected);
    double mean = t.observed / ksum_get(&w);
    t.brier = ksum_get(&brier) / ksum_get(&w);
    t.log_loss = ksum_get(&loss) / ksum_get(&w);
    if (t.events && t.events < t.n)
        t.brier_scaled = 1 - t.brier / (mean * (1 - mean));
    else
        t.reason = "ONE_CLASS";
    return t;
}

calibrate_est calibrate_oe_est(const calibrate_total *t, bool repeated)
{
    if (!repeated)
        return (calibrate_est){t->oe, t->oe_lo, t->oe_hi};
    double f = exp(METRIC_Z95 * t->oe_se);
    return (calibrate_est){t->oe, t->oe / f, t->oe * f};
}

/* ---- groups ---------------------------------------------------------------------------------- */

static int width_group(double p, int k)
{
    int g = (int)(p * k); /* p k is rounded: the borders decide */
    while (g > 0 && (double)g / k > p)
        g--;
    while (g + 1 < k && (double)(g + 1) / k <= p)
        g++;
    return g < k ? g : k - 1;
}

/* Group of every row, -1 for rows without weight; owned by the caller. Returns how many groups. */
static int assign(const metric_in *in, calibrate_binning how, int k, int **out)
{
    int *g = MEM_ARRAY(int, in->n + 1);
    keyed *order = MEM_ARRAY(keyed, in->n + 1);
    int64_t n = 0;
    for (int64_t i = 0; i < in->n; i++) {
        g[i] = weight_of(in, i) == 0 ? -1 : width_group(in->score[i], k);
        if (g[i] >= 0)
            order[n++] = (keyed){in->score[i], i};
    }
    if (how == CALIBRATE_MASS) {
        k = n < k ? (int)n : k;
        keyed_sort(order, n);
        for (int64_t j = 0, at = 0; j < n; j++) {
            while (at + 1 < k && j >= (at + 1) * n / k)
                at++;
            g[order[j].row] = (int)at;
        }
    }
    mem_free(order);
    *out = g;
    return k;
}

typedef struct group_sums {
    ksum w, w2, w2y, o, e;
} group_sums;

double calibrate_effective(const calibrate_group *g)
{
    double r = g->observed / g->weight, spread = g->case_squares * (1 - 2 * r) + r * r * g->squares;
    if (r <= 0 || r >= 1)
        return g->weight / g->unit[r <= 0];
    if (!(spread > 0))
        return g->weight * g->weight / g->squares;
    return r * (1 - r) * g->weight * g->weight / spread;
}

double calibrate_event_scale(const calibrate_group *g)
{
    return g->observed > 0 ? g->case_squares / g->observed : g->unit[1];
}

/* Mean weight of a control and of a case: sum w^2 / sum w of the class, of all rows where a class
 * has none. */
static void units_of(const metric_in *in, double unit[2])
{
    ksum w[2] = {{0}}, w2[2] = {{0}};
    for (int64_t i = 0; i < in->n; i++) {
        double x = weight_of(in, i);
        ksum_add(&w[in->y[i] != 0], x);
        ksum_add(&w2[in->y[i] != 0], x * x);
    }
    double all = (ksum_get(&w2[0]) + ksum_get(&w2[1])) / (ksum_get(&w[0]) + ksum_get(&w[1]));
    for (int y = 0; y < 2; y++)
        unit[y] = ksum_get(&w[y]) > 0 ? ksum_get(&w2[y]) / ksum_get(&w[y]) : all;
}

static void group_finish(const group_sums *s, calibrate_group *g)
{
    g->weight = ksum_get(&s->w);
    g->squares = ksum_get(&s->w2);
    g->case_squares = ksum_get(&s->w2y);
    g->observed = ksum_get(&s->o);
    g->expected = ksum_get(&s->e);
    g->mean_p = g->rate = g->lo = g->hi = g->effective = NAN;
    if (!g->n)
        return;
    g->mean_p = g->expected / g->weight;
    g->rate = g->observed / g->weight;
    g->effective = calibrate_effective(g);
    metric_wilson(g->rate * g->effective, g->effective, &g->lo, &g->hi);
}

static void collect(const metric_in *in, const int *of, int k, calibrate_group *group)
{
    group_sums *s = MEM_ARRAY(group_sums, k + 1);
    double unit[2];
    units_of(in, unit);
    for (int g = 0; g < k; g++)
        group[g] = (calibrate_group){.least = NAN, .most = NAN, .unit = {unit[0], unit[1]}};
    for (int64_t i = 0; i < in->n; i++) {
        if (of[i] < 0)
            continue;
        calibrate_group *g = &group[of[i]];
        group_sums *t = &s[of[i]];
        double w = weight_of(in, i), y = in->y[i] != 0, p = in->score[i];
        g->least = g->n ? fmin(g->least, p) : p;
        g->most = g->n ? fmax(g->most, p) : p;
        g->n++;
        g->events += in->y[i] != 0;
        ksum_add(&t->w, w);
        ksum_add(&t->w2, w * w);
        ksum_add(&t->w2y, w * w * y);
        ksum_add(&t->o, w * y);
        ksum_add(&t->e, w * p);
    }
    for (int g = 0; g < k; g++) {
        group_finish(&s[g], &group[g]);
        group[g].tie_split =
            g && group[g].n && group[g - 1].n && group[g].least == group[g - 1].most;
    }
    mem_free(s);
}

int calibrate_groups(const metric_in *in, calibrate_binning how, int k, calibrate_group *group)
{
    if (unfit(in))
        return 0;
    int *of;
    k = assign(in, how, k, &of);
    collect(in, of, k, group);
    mem_free(of);
    return k;
}

int calibrate_groups_of(const metric_in *in, const int *of, int k, calibrate_group *group)
{
    if (unfit(in))
        return 0;
    collect(in, of, k, group);
    return k;
}

/* ---- calibration error ----------------------------------------------------------------------- */

static double ece_of(const calibrate_group *group, const double *observed, int k, double *worst)
{
    ksum gap = {0}, all = {0};
    *worst = 0;
    for (int g = 0; g < k; g++) {
        if (!group[g].n)
            continue;
        double d = fabs(observed[g] - group[g].expected);
        ksum_add(&gap, d);
        ksum_add(&all, group[g].weight);
        *worst = fmax(*worst, d / group[g].weight);
    }
    return ksum_get(&gap) / ksum_get(&all);
}

/* Mean error of outcomes drawn from the risks of rows without weights; draw s of row i is a
 * function of (seed, s, i). */
static double ece_expected(const metric_in *in, const calibrate_group *group, const int *of, int k,
                           uint64_t seed)
{
    double *observed = MEM_ARRAY(double, k + 1), worst;
    ksum mean = {0};
    for (int s = 0; s < CALIBRATE_SIMULATIONS; s++) {
        rng r;
        rng_init(&r, seed, RNG_CALIBRATE, (uint64_t)s, 0);
        memset(observed, 0, (size_t)k * sizeof *observed);
        for (int64_t i = 0; i < in->n; i++)
            observed[of[i]] += rng_f64(&r) < in->score[i];
        ksum_add(&mean, ece_of(group, observed, k, &worst));
    }
    mem_free(observed);
    return ksum_mean(&mean);
}

calibrate_error calibrate_ece(const metric_in *in, calibrate_binning how, int k, uint64_t seed)
{
    calibrate_error r = {NAN, NAN, NAN, unfit(in)};
    if (r.reason)
        return r;
    int *of;
    k = assign(in, how, k, &of);
    calibrate_group *group = MEM_ARRAY(calibrate_group, k + 1);
    double *observed = MEM_ARRAY(double, k + 1);
    collect(in, of, k, group);
    for (int g = 0; g < k; g++)
        observed[g] = group[g].observed;
    r.ece = ece_of(group, observed, k, &r.mce);
    if (!in->weight)
        r.expected = ece_expected(in, group, of, k, seed);
    mem_free(observed);
    mem_free(group);
    mem_free(of);
    return r;
}
