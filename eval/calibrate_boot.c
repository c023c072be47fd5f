/* Measures of calibration in replicates of the bootstrap, fast enough for 100,000 exams: rows in
 * order of risk, or bins of them, are summed once for a replicate; what iterates (the lines, the
 * smooth curve) walks the sums. Source of the ICI: Austin and Steyerberg 2019. */
#include "eval/calibrate_boot.h"
#include "core/mem.h"
#include "eval/boot.h"
#include "eval/keyed.h"
#include "eval/smooth.h"
#include <math.h>

#define ORDER    4 /* of the Taylor series inside a bin */
#define STEPS    60
#define STEP_TOL 1e-11
#define BORDER   1e-6  /* nearer to the border of a window a weight is below rounding */
#define NEAR     1e-12 /* risks that are one: the mean of a bin of equal ones is rounded */

/* Sums of the drawn rows of one class in one bin. */
typedef struct part {
    double w[ORDER + 1]; /* of weight x (logit - centre)^k */
    double p;            /* of weight x risk */
    double rows;         /* drawn */
} part;

typedef struct point { /* of the smooth curve: a bin of both classes */
    double x, w, wy, rows;
} point;

typedef struct scratch {
    part *bin; /* [bins][2] */
    point *at; /* [bins] */
} scratch;

struct calibrate_rows {
    int64_t n;
    int bins;
    double prevalence;
    double *offset, *w, *risk, *brier, *loss; /* [n] in order of risk; offset: logit - centre */
    int *y, *cluster, *bin;
    double *centre;    /* [bins], logits */
    double mean;       /* of the logits, for a well-conditioned line */
    double a, b, only; /* where the lines begin: those of all rows; NaN: there is none */
    double grid[SMOOTH_GRID];
    int n_grid;
    int threads;
    scratch *scratch;
};

/* ---- rows ------------------------------------------------------------------------------------ */

static void make_bins(calibrate_rows *r)
{
    double lo = r->offset[0], hi = r->offset[r->n - 1], width = (hi - lo) / CALIBRATE_POINTS;
    r->bins = r->n <= CALIBRATE_POINTS ? (int)r->n : CALIBRATE_POINTS;
    r->centre = MEM_ARRAY(double, r->bins);
    for (int64_t i = 0; i < r->n; i++) {
        int k = (int)i;
        if (r->n > CALIBRATE_POINTS) {
            k = width > 0 ? (int)((r->offset[i] - lo) / width) : 0;
            k = k < r->bins ? k : r->bins - 1;
            r->centre[k] = lo + (k + 0.5) * width;
        } else {
            r->centre[k] = r->offset[i];
        }
        r->bin[i] = k;
    }
    for (int64_t i = 0; i < r->n; i++)
        r->offset[i] -= r->centre[r->bin[i]];
}

static void fill_rows(const metric_in *in, calibrate_rows *r)
{
    keyed *order = MEM_ARRAY(keyed, in->n + 1);
    double sum = 0, all = 0;
    for (int64_t i = 0; i < in->n; i++)
        order[i] = (keyed){in->score[i], i};
    keyed_sort(order, in->n);
    for (int64_t j = 0; j < in->n; j++) {
        int64_t i = order[j].row;
        double w = in->weight ? in->weight[i] : 1, p = in->score[i];
        double q = fmin(fmax(p, CALIBRATE_CLIP), 1 - CALIBRATE_CLIP);
        if (w == 0)
            continue;
        int64_t k = r->n++;
        r->y[k] = in->y[i] != 0;
        r->cluster[k] = in->cluster ? in->cluster[i] : (int)i;
        r->w[k] = w;
        r->risk[k] = p;
        r->offset[k] = calibrate_logit(p, NULL);
        r->brier[k] = (p - r->y[k]) * (p - r->y[k]);
        r->loss[k] = r->y[k] ? -log(q) : -log1p(-q);
        sum += w * r->offset[k];
        all += w;
    }
    r->mean = sum / all;
    mem_free(order);
}

calibrate_rows *calibrate_rows_new(const metric_in *in, double prevalence, int threads)
{
    calibrate_line slope = calibrate_slope(in), shift = calibrate_intercept(in);
    if (shift.reason)
        return NULL;
    calibrate_rows *r = MEM_NEW(calibrate_rows);
    double **const columns[] = {&r->offset, &r->w, &r->risk, &r->brier, &r->loss};
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        *columns[i] = MEM_ARRAY(double, in->n + 1);
    r->y = MEM_ARRAY(int, in->n + 1);
    r->cluster = MEM_ARRAY(int, in->n + 1);
    r->bin = MEM_ARRAY(int, in->n + 1);
    r->prevalence = prevalence;
    fill_rows(in, r);
    make_bins(r);
    r->b = slope.b;
    r->a = slope.a + slope.b * r->mean;
    r->only = shift.a;
    r->n_grid = smooth_grid(in, r->grid);
    r->threads = threads;
    r->scratch = MEM_ARRAY(scratch, threads);
    for (int t = 0; t < threads; t++) {
        r->scratch[t].bin = MEM_ARRAY(part, 2 * (int64_t)r->bins);
        r->scratch[t].at = MEM_ARRAY(point, r->bins);
    }
    return r;
}

void calibrate_rows_free(calibrate_rows *r)
{
    if (!r)
        return;
    void *const owned[] = {r->offset, r->w,   r->risk,   r->brier,  r->loss,
                           r->y,      r->bin, r->centre, r->cluster};
    for (size_t i = 0; i < COUNT_OF(owned); i++)
        mem_free(owned[i]);
    for (int t = 0; t < r->threads; t++) {
        mem_free(r->scratch[t].bin);
        mem_free(r->scratch[t].at);
    }
    mem_free(r->scratch);
    mem_free(r);
}

/* ---- sums of a replicate --------------------------------------------------------------------- */

typedef struct totals {
    double w[2], p[2], brier[2], loss[2]; /* by class */
} totals;

static void sum_rows(const calibrate_rows *r, const int32_t *times, part *bin, totals *t)
{
    memset(bin, 0, 2 * (size_t)r->bins * sizeof *bin);
    *t = (totals){.w = {0}};
    for (int64_t i = 0; i < r->n; i++) {
        double rows = times[r->cluster[i]], w = rows * r->w[i], d = r->offset[i];
        int y = r->y[i]; /* rows that are not drawn add 0: cheaper than asking */
        part *b = &bin[2 * r->bin[i] + y];
        t->w[y] += w;
        t->p[y] += w * r->risk[i];
        t->brier[y] += w * r->brier[i];
        t->loss[y] += w * r->loss[i];
        b->rows += rows;
        b->p += w * r->risk[i];
        for (int k = 0; k <= ORDER; k++, w *= d)
            b->w[k] += w;
    }
}

/* What the weights of a class are multiplied with: as many in all, but the share of cases wanted.
 */
static void mix(const calibrate_rows *r, const totals *t, double f[2])
{
    double all = t->w[0] + t->w[1];
    f[0] = f[1] = 1;
    if (isnan(r->prevalence))
        return;
    f[1] = r->prevalence * all / t->w[1];
    f[0] = (1 - r->prevalence) * all / t->w[0];
}

/* ---- lines ----------------------------------------------------------------------------------- */

typedef struct gradient {
    double g[2], h[3];
} gradient;

/* Of cases less expected, alone and against the centred logit; the information from the centres. */
static void walk(const calibrate_rows *r, const part *bin, const double f[2], double a, double b,
                 gradient *out)
{
    *out = (gradient){.g = {0}};
    for (int k = 0; k < r->bins; k++) {
        const part *zero = &bin[2 * k], *one = zero + 1;
        if (zero->rows + one->rows == 0)
            continue;
        double s[ORDER + 1], x = r->centre[k] - r->mean, mu = calibrate_risk(a + b * x);
        for (int j = 0; j <= ORDER; j++)
            s[j] = f[0] * zero->w[j] + f[1] * one->w[j];
        double v = mu * (1 - mu), d1 = b * v, d2 = b * b * v * (1 - 2 * mu) / 2;
        double d3 = b * b * b * v * (1 - 6 * v) / 6;
        double d4 = b * b * b * b * v * (1 - 2 * mu) * (1 - 12 * v) / 24;
        double expected = mu * s[0] + d1 * s[1] + d2 * s[2] + d3 * s[3] + d4 * s[4];
        double against = mu * s[1] + d1 * s[2] + d2 * s[3] + d3 * s[4];
        double cases = f[1] * one->w[0], more = f[1] * one->w[1];
        out->g[0] += cases - expected;
        out->g[1] += x * (cases - expected) + more - against;
        out->h[0] += v * s[0];
        out->h[1] += v * s[0] * x;
        out->h[2] += v * s[0] * x * x;
    }
}

/* A step, with the other one at most 1 long: far from the solution Newton's would leap. */
static double bounded(double step, double other)
{
    return step / fmax(1, fmax(fabs(step), fabs(other)));
}

static double fit_intercept(const calibrate_rows *r, const part *bin, const double f[2])
{
    double a = r->only;
    gradient g;
    for (int k = 0; k < STEPS; k++) {
        walk(r, bin, f, a + r->mean, 1, &g); /* a + x = (a + mean) + (x - mean) */
        double step = bounded(g.g[0] / g.h[0], 0);
        a += step;
        if (!(fabs(step) >= STEP_TOL))
            return a;
    }
    return NAN;
}

/* Is there a case below a control and one above a control? Else the slope is not finite. */
static bool overlap(const calibrate_rows *r, const part *bin)
{
    int lo[2] = {r->bins, r->bins}, hi[2] = {-1, -1};
    for (int k = 0; k < r->bins; k++)
        for (int y = 0; y < 2; y++)
            if (bin[2 * k + y].rows > 0) {
                lo[y] = lo[y] < k ? lo[y] : k;
                hi[y] = k;
            }
    return r->centre[lo[1]] < r->centre[hi[0]] && r->centre[lo[0]] < r->centre[hi[1]];
}

static double fit_slope(const calibrate_rows *r, const part *bin, const double f[2])
{
    double a = r->a, b = r->b;
    gradient g;
    if (isnan(b) || !overlap(r, bin))
        return NAN;
    for (int k = 0; k < STEPS; k++) {
        walk(r, bin, f, a, b, &g);
        double det = g.h[0] * g.h[2] - g.h[1] * g.h[1];
        double da = (g.h[2] * g.g[0] - g.h[1] * g.g[1]) / det,
               db = (g.h[0] * g.g[1] - g.h[1] * g.g[0]) / det;
        if (!isfinite(da) || !isfinite(db))
            return NAN;
        a += bounded(da, db);
        b += bounded(db, da);
        if (fmax(fabs(da), fabs(db)) < STEP_TOL)
            return b;
    }
    return NAN;
}

/* ---- smooth curve ---------------------------------------------------------------------------- */

static int make_points(const calibrate_rows *r, const part *bin, const double f[2], point *at)
{
    int n = 0;
    for (int k = 0; k < r->bins; k++) {
        const part *zero = &bin[2 * k], *one = zero + 1;
        double w = f[0] * zero->w[0] + f[1] * one->w[0];
        if (w > 0)
            at[n++] = (point){r->n <= CALIBRATE_POINTS ? r->risk[k] /* bin k is row k */
                                                       : (f[0] * zero->p + f[1] * one->p) / w,
                              w, f[1] * one->w[0], zero->rows + one->rows};
    }
    return n;
}

/* Local linear fit at x through the points next to it that stand for `want` rows: smooth_curve of a
 * table in which a drawn row stands as often as it was drawn. `from`: a point at or above x. */
static double fit_at(const point *p, int n, int from, double want, double x)
{
    int lo = from, hi = from; /* the window is [lo, hi) */
    double h = 0, rows = 0, s[3] = {0}, t[2] = {0};
    while (rows < want && (lo > 0 || hi < n)) {
        bool left = hi == n || (lo > 0 && x - p[lo - 1].x <= p[hi].x - x);
        const point *q = left ? &p[--lo] : &p[hi++];
        h = fabs(q->x - x);
        rows += q->rows;
    }
    h = h > NEAR ? h : 0;
    for (; h == 0 && lo > 0 && x - p[lo - 1].x <= NEAR; lo--)
        ;
    for (; h == 0 && hi < n && p[hi].x - x <= NEAR; hi++)
        ;
    for (int i = lo; i < hi; i++) {
        double d = p[i].x - x, u = h > 0 ? fabs(d) / h : 0, k = 1 - u * u * u;
        if (k < BORDER)
            continue;
        d = fabs(d) > NEAR ? d : 0;
        k = k * k * k;
        s[0] += k * p[i].w;
        s[1] += k * p[i].w * d;
        s[2] += k * p[i].w * d * d;
        t[0] += k * p[i].wy;
        t[1] += k * p[i].wy * d;
    }
    double det = s[0] * s[2] - s[1] * s[1];
    bool level = !(det > SMOOTH_SINGULAR * s[0] * s[2]);
    double y = level ? t[0] / s[0] : (s[2] * t[0] - s[1] * t[1]) / det;
    return fmin(fmax(y, 0), 1);
}

static double find_ici(const calibrate_rows *r, const point *p, int n)
{
    double y[SMOOTH_GRID], rows = 0, gap = 0, w = 0;
    for (int i = 0; i < n; i++)
        rows += p[i].rows;
    double want = fmin(fmax(floor(SMOOTH_SPAN * rows + 1e-5), 2), rows);
    for (int g = 0, i = 0; g < r->n_grid; g++) {
        while (i < n && p[i].x < r->grid[g])
            i++;
        y[g] = fit_at(p, n, i, want, r->grid[g]);
    }
    for (int i = 0, g = 0; i < n; i++) {
        while (g + 2 < r->n_grid && p[i].x > r->grid[g + 1])
            g++;
        gap += p[i].w * fabs(p[i].x - smooth_between(r->grid, y, r->n_grid, g, p[i].x));
        w += p[i].w;
    }
    return gap / w;
}

/* ---- a replicate ----------------------------------------------------------------------------- */

bool calibrate_rows_measure(calibrate_rows *r, const int32_t *times, int thread,
                            double out[CALIBRATE_MEASURES])
{
    scratch *s = &r->scratch[thread];
    totals t;
    double f[2];
    sum_rows(r, times, s->bin, &t);
    if (!(t.w[0] > 0 && t.w[1] > 0))
        return false;
    mix(r, &t, f);
    double cases = f[1] * t.w[1], all = cases + f[0] * t.w[0], rate = cases / all;
    out[CALIBRATE_OE] = cases / (f[0] * t.p[0] + f[1] * t.p[1]);
    out[CALIBRATE_BRIER] = (f[0] * t.brier[0] + f[1] * t.brier[1]) / all;
    out[CALIBRATE_BRIER_SCALED] = 1 - out[CALIBRATE_BRIER] / (rate * (1 - rate));
    out[CALIBRATE_LOG_LOSS] = (f[0] * t.loss[0] + f[1] * t.loss[1]) / all;
    out[CALIBRATE_INTERCEPT] = fit_intercept(r, s->bin, f);
    out[CALIBRATE_SLOPE] = fit_slope(r, s->bin, f);
    out[CALIBRATE_ICI] = find_ici(r, s->at, make_points(r, s->bin, f, s->at));
    return true;
}

static bool statistic(void *ctx, const int32_t *times, double *out, int thread)
{
    return calibrate_rows_measure(ctx, times, thread, out);
}

void calibrate_boot(const metric_in *in, const calibrate_draws *how,
                    calibrate_interval out[CALIBRATE_MEASURES])
{
    calibrate_rows *r = how->replicates > 0
                            ? calibrate_rows_new(in, how->prevalence, pool_threads(how->pool))
                            : NULL;
    for (int k = 0; k < CALIBRATE_MEASURES; k++)
        out[k] = (calibrate_interval){NAN, NAN};
    if (!r)
        return;
    int *ever_case = MEM_ARRAY(int, in->n_clusters + 1);
    boot_result b;
    for (int64_t i = 0; i < in->n; i++)
        ever_case[in->cluster[i]] |= in->y[i] != 0;
    boot_run(&(boot_spec){.n_clusters = in->n_clusters,
                          .stratum = ever_case,
                          .n_strata = 2,
                          .replicates = how->replicates,
                          .seed = how->seed,
                          .n_stats = CALIBRATE_MEASURES,
                          .stat = statistic,
                          .ctx = r,
                          .pool = how->pool,
                          .kind = how->kind},
             &b);
    for (int k = 0; k < CALIBRATE_MEASURES; k++) {
        double sd;
        boot_interval(&b, k, 0.95, &out[k].lo, &out[k].hi, &sd);
    }
    boot_release(&b);
    mem_free(ever_case);
    calibrate_rows_free(r);
}
