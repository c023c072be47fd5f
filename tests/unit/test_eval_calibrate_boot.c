/* Measures of calibration of drawn women: those of the same rows written as often as they were
 * drawn, for rows by themselves and for bins; classes mixed anew; threads; what is undefined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <math.h>
#include "core/mem.h"
#include "core/rng.h"
#include "eval/boot.h"
#include "eval/calibrate_boot.h"
#include "eval/smooth.h"
#include "tests/unit/eval_syn40.h"

typedef struct data {
    int64_t n;
    int women;
    double *p, *w;
    int *y, *cluster;
    metric_in in;
} data;

static void near(double got, double want, double tol, const char *what)
{
    if (isnan(got) != isnan(want) || !(isnan(got) || fabs(got - want) <= tol))
        fail_msg("%s: got %.15g, want %.15g", what, got, want);
}

static void data_new(data *d, int64_t n)
{
    *d = (data){.n = n,
                .p = MEM_ARRAY(double, n),
                .w = MEM_ARRAY(double, n),
                .y = MEM_ARRAY(int, n),
                .cluster = MEM_ARRAY(int, n)};
    d->in = (metric_in){.score = d->p, .y = d->y, .weight = d->w, .cluster = d->cluster, .n = n};
}

static void data_release(data *d)
{
    mem_free(d->p);
    mem_free(d->w);
    mem_free(d->y);
    mem_free(d->cluster);
}

/* Risks that are too extreme, or some levels of risk, women with one to three exams, weights. */
static void draw_data(data *d, int64_t n, int levels, uint64_t seed)
{
    rng r;
    rng_init(&r, seed, RNG_TEST, 60, 0);
    data_new(d, n);
    for (int64_t i = 0; i < n; i++) {
        double z = 1.4 * rng_normal(&r) - 1.2;
        d->p[i] = i % 50 ? calibrate_risk(1.5 * z) : i % 100 ? 1e-6 : 1 - 1e-6; /* wide bins */
        if (levels)
            d->p[i] = (floor(d->p[i] * levels) + .5) / levels;
        d->y[i] = rng_f64(&r) < calibrate_risk(z);
        d->w[i] = i % 7 ? 1 : 0.25 + i % 3;
        d->women += i == 0 || rng_below(&r, 2);
        d->cluster[i] = d->women - 1;
    }
    d->in.n_clusters = d->women;
}

static int32_t *draw_times(const data *d, uint64_t seed)
{
    rng r;
    int32_t *times = MEM_ARRAY(int32_t, d->women);
    rng_init(&r, seed, RNG_TEST, 61, 0);
    for (int c = 0; c < d->women; c++)
        times[rng_below(&r, (uint32_t)d->women)]++;
    return times;
}

/* The rows as often as they were drawn, their classes mixed to the prevalence. */
static void expand(const data *d, const int32_t *times, double prevalence, data *out)
{
    double w[2] = {0};
    int64_t n = 0;
    for (int64_t i = 0; i < d->n; i++)
        n += times[d->cluster[i]];
    data_new(out, n);
    n = 0;
    for (int64_t i = 0; i < d->n; i++)
        for (int k = 0; k < times[d->cluster[i]]; k++, n++) {
            out->p[n] = d->p[i];
            out->y[n] = d->y[i];
            out->w[n] = d->w[i];
            w[d->y[i]] += d->w[i];
        }
    for (int64_t i = 0; i < n && !isnan(prevalence); i++)
        out->w[i] *= out->y[i] ? prevalence / w[1] : (1 - prevalence) / w[0];
    out->in.cluster = NULL;
}

/* Mean distance to the curve of the drawn rows at the percentiles of all rows. */
static double ici_by_hand(const metric_in *all, const data *drawn)
{
    double x[SMOOTH_GRID], gap = 0, w = 0;
    smooth_point p[SMOOTH_GRID];
    int n = smooth_grid(all, x);
    assert_true(smooth_curve(&drawn->in, SMOOTH_SPAN, x, n, p));
    for (int64_t i = 0; i < drawn->n; i++) {
        int k = 0;
        while (k + 2 < n && drawn->p[i] > x[k + 1])
            k++;
        double share = n > 1 ? (drawn->p[i] - x[k]) / (x[k + 1] - x[k]) : 0,
               next = n > 1 ? p[k + 1].y : 0;
        gap += drawn->w[i] * fabs(drawn->p[i] - p[k].y - share * (next - p[k].y));
        w += drawn->w[i];
    }
    return gap / w;
}

static void compare(const data *d, double prevalence, double line_tol, double ici_tol)
{
    calibrate_rows *r = calibrate_rows_new(&d->in, prevalence, 2);
    assert_non_null(r);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        int32_t *times = draw_times(d, seed);
        double got[CALIBRATE_MEASURES];
        data drawn;
        expand(d, times, prevalence, &drawn);
        calibrate_total t = calibrate_sums(&drawn.in);
        assert_true(calibrate_rows_measure(r, times, (int)seed % 2, got));
        near(got[CALIBRATE_OE], t.oe, 1e-11, "oe");
        near(got[CALIBRATE_BRIER], t.brier, 1e-12, "brier");
        near(got[CALIBRATE_BRIER_SCALED], t.brier_scaled, 1e-10, "scaled");
        near(got[CALIBRATE_LOG_LOSS], t.log_loss, 1e-12, "log loss");
        near(got[CALIBRATE_INTERCEPT], calibrate_intercept(&drawn.in).a, line_tol, "intercept");
        near(got[CALIBRATE_SLOPE], calibrate_slope(&drawn.in).b, line_tol, "slope");
        near(got[CALIBRATE_ICI], ici_by_hand(&d->in, &drawn), ici_tol, "ici");
        data_release(&drawn);
        mem_free(times);
    }
    calibrate_rows_free(r);
}

static void drawn_rows_by_themselves(void **state)
{
    data d;
    draw_data(&d, 700, 0, 1);
    compare(&d, NAN, 1e-11, 1e-11);
    compare(&d, 0.01, 1e-11, 1e-11);
    data_release(&d);
}

/* Windows in which all risks are equal, and borders on which many lie. */
static void equal_risks(void **state)
{
    static const int levels[] = {1, 2, 5, 9};
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        data d;
        draw_data(&d, 400, levels[i], 4);
        compare(&d, NAN, 1e-11, 1e-11);
        compare(&d, 0.02, 1e-11, 1e-11);
        data_release(&d);
        draw_data(&d, 2 * CALIBRATE_POINTS, levels[i], 5);
        compare(&d, NAN, 1e-11, 1e-11);
        data_release(&d);
    }
}

/* The same through bins: the series inside a bin is exact, the curve's points are means. */
static void drawn_rows_in_bins(void **state)
{
    data d;
    draw_data(&d, 3 * CALIBRATE_POINTS, 0, 2);
    compare(&d, NAN, 1e-11, 5e-4);
    compare(&d, 0.01, 1e-11, 5e-4);
    data_release(&d);
}

/* All drawn once: the value that stands in the report. */
static void the_value_itself(void **state)
{
    data d;
    double got[CALIBRATE_MEASURES];
    draw_data(&d, 500, 0, 3);
    int32_t *once = MEM_ARRAY(int32_t, d.women);
    for (int c = 0; c < d.women; c++)
        once[c] = 1;
    calibrate_rows *r = calibrate_rows_new(&d.in, NAN, 1);
    assert_true(calibrate_rows_measure(r, once, 0, got));
    double at[SMOOTH_GRID];
    smooth_point p[SMOOTH_GRID];
    int n = smooth_grid(&d.in, at);
    assert_true(smooth_curve(&d.in, SMOOTH_SPAN, at, n, p));
    near(got[CALIBRATE_ICI], smooth_ici(&d.in, p, n), 1e-12, "ici");
    near(got[CALIBRATE_SLOPE], calibrate_slope(&d.in).b, 1e-11, "slope");
    memset(once, 0, (size_t)d.women * sizeof *once);
    assert_false(calibrate_rows_measure(r, once, 0, got)); /* nobody: drawn again */
    calibrate_rows_free(r);
    mem_free(once);
    data_release(&d);
}

/* SYN-40: any number of threads; more uncertain than by Wald, where exams are women. */
static void intervals(void **state)
{
    int cluster[40];
    for (int i = 0; i < 40; i++)
        cluster[i] = syn_patient(i);
    metric_in in = {.score = syn_a, .y = syn_y, .cluster = cluster, .n = 40, .n_clusters = 30};
    pool *one = pool_new(1), *four = pool_new(4);
    calibrate_interval a[CALIBRATE_MEASURES], b[CALIBRATE_MEASURES];
    calibrate_boot(&in, &(calibrate_draws){NAN, 400, 7, BOOT_PERCENTILE, one}, a);
    calibrate_boot(&in, &(calibrate_draws){NAN, 400, 7, BOOT_PERCENTILE, four}, b);
    assert_memory_equal(a, b, sizeof a);
    calibrate_line s = calibrate_slope(&in);
    calibrate_est wald = calibrate_slope_est(&s);
    assert_true(a[CALIBRATE_SLOPE].lo < s.b && s.b < a[CALIBRATE_SLOPE].hi);
    near((a[CALIBRATE_SLOPE].hi - a[CALIBRATE_SLOPE].lo) / (wald.hi - wald.lo), 1.1, .4, "width");
    double brier = calibrate_sums(&in).brier;
    assert_true(a[CALIBRATE_BRIER].lo < brier && brier < a[CALIBRATE_BRIER].hi);
    calibrate_boot(&in, &(calibrate_draws){NAN, 400, 7, BOOT_BCA, four}, b);
    assert_true(b[CALIBRATE_BRIER].lo != a[CALIBRATE_BRIER].lo);
    calibrate_boot(&in, &(calibrate_draws){NAN, 0, 7, BOOT_PERCENTILE, one}, b);
    assert_true(isnan(b[CALIBRATE_OE].lo)); /* no replicates */
    pool_free(one);
    pool_free(four);
}

/* Risks that part the classes have no slope in any replicate; constant ones have none; one class
 * and scores that are no risks have nothing. */
static void what_is_undefined(void **state)
{
    double p[30], same[30], odd[30];
    int y[30], ones[30], cluster[30];
    pool *one = pool_new(1);
    calibrate_interval got[CALIBRATE_MEASURES];
    for (int i = 0; i < 30; i++) {
        y[i] = i >= 15;
        ones[i] = 1;
        p[i] = y[i] ? .6 + i / 1000. : .2 + i / 1000.;
        same[i] = .4;
        odd[i] = i / 10.;
        cluster[i] = i;
    }
    metric_in in = {.score = p, .y = y, .cluster = cluster, .n = 30, .n_clusters = 30};
    const calibrate_draws how = {NAN, 100, 1, BOOT_PERCENTILE, one};
    calibrate_boot(&in, &how, got);
    assert_true(isnan(got[CALIBRATE_SLOPE].lo) && !isnan(got[CALIBRATE_INTERCEPT].lo));
    in.score = same;
    calibrate_boot(&in, &how, got);
    assert_true(isnan(got[CALIBRATE_SLOPE].lo) && !isnan(got[CALIBRATE_OE].lo));
    assert_true(!isnan(got[CALIBRATE_ICI].lo));
    in.score = odd;
    calibrate_boot(&in, &how, got);
    assert_true(isnan(got[CALIBRATE_OE].lo));
    in.score = p;
    in.y = ones;
    calibrate_boot(&in, &how, got);
    assert_true(isnan(got[CALIBRATE_OE].lo));
    pool_free(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drawn_rows_by_themselves),
        cmocka_unit_test(drawn_rows_in_bins),
        cmocka_unit_test(equal_risks),
        cmocka_unit_test(the_value_itself),
        cmocka_unit_test(intervals),
        cmocka_unit_test(what_is_undefined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
