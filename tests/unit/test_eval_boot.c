/* BCa intervals of the bootstrap: R's on the same draws of SYN-40, any number of threads, groups of
 * many clusters, what has no interval. Percentiles are in test_eval_golden.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "core/mem.h"
#include "eval/boot.h"
#include "eval/metric.h"
#include "tests/unit/eval_syn40.h"

static void near(double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("got %.17g, want %.17g", got, want);
}

/* AUC of A, and the share of cases at or above .4, of drawn patients. */
static bool statistic(void *ctx, const int32_t *times, double *out, int thread)
{
    double w[40], cases = 0, flagged = 0;
    for (int i = 0; i < 40; i++) {
        w[i] = times[syn_patient(i)];
        cases += w[i] * syn_y[i];
        flagged += w[i] * syn_y[i] * (syn_a[i] >= .4);
    }
    metric_in in = {.score = syn_a, .y = syn_y, .weight = w, .n = 40};
    out[0] = metric_auc(&in).value;
    out[1] = flagged / cases;
    return !isnan(out[0]);
}

static void syn_run(int threads, int kind, boot_result *out)
{
    int ever[30] = {0};
    pool *p = pool_new(threads);
    for (int i = 0; i < 40; i++)
        ever[syn_patient(i)] |= syn_y[i];
    boot_run(&(boot_spec){.n_clusters = 30,
                          .stratum = ever,
                          .n_strata = 2,
                          .replicates = 200,
                          .seed = 11,
                          .n_stats = 2,
                          .stat = statistic,
                          .pool = p,
                          .kind = kind},
             out);
    pool_free(p);
}

/* Recorded by eval_peers.R from these draws: the first pair by R's package boot 1.3.28.1, the
 * second (equal replicates on both sides of the value) from the definition. */
static void bca_as_in_r(void **state)
{
    static const double want[2][2] = {{0.46791603110068858, 0.89014168085181677},
                                      {0.58036014590893681, 0.94999999999999996}};
    boot_result r, four, plain;
    double lo, hi, sd, a, b;
    syn_run(1, BOOT_BCA, &r);
    syn_run(4, BOOT_BCA, &four);
    syn_run(1, BOOT_PERCENTILE, &plain);
    assert_int_equal(r.n_groups, 30);
    assert_memory_equal(r.value, plain.value, 400 * sizeof(double));
    assert_memory_equal(r.influence, four.influence, 60 * sizeof(double));
    for (int k = 0; k < 2; k++) {
        assert_true(boot_interval(&r, k, .95, &lo, &hi, &sd));
        near(lo, want[k][0], 1e-12);
        near(hi, want[k][1], 1e-12);
        assert_true(boot_interval(&plain, k, .95, &a, &b, &sd));
        assert_true(a > lo); /* the values lean to one side */
    }
    near(r.point[0], .68625, 1e-12); /* G4 */
    assert_null(plain.influence);
    boot_release(&r);
    boot_release(&four);
    boot_release(&plain);
}

/* The mean of numbers 0, 1 ... of one cluster each, with one thing undefined and one constant. */
static bool means(void *ctx, const int32_t *times, double *out, int thread)
{
    int n = *(const int *)ctx;
    double sum = 0, all = 0, distinct = 0;
    for (int c = 0; c < n; c++) {
        distinct += times[c] > 0;
        int v = (int)(((uint32_t)c * 2654435761u >> 12) %
                      (uint32_t)n); /* the order of clusters says nothing, as that of pseudonyms */
        sum += times[c] * (v < 2 * n / 3 ? 1. * v : 5. * v); /* skewed */
        all += times[c];
    }
    out[0] = sum / all;
    out[1] = times[0] ? NAN : 1;
    out[2] = 7;
    out[3] = distinct; /* of all: the largest */
    return true;
}

static void many_clusters_in_groups(void **state)
{
    int n = 1000;
    pool *p = pool_new(2);
    boot_result r;
    double lo, hi, sd, l2 = 0;
    boot_run(&(boot_spec){.n_clusters = n,
                          .replicates = 400,
                          .seed = 3,
                          .n_stats = 4,
                          .stat = means,
                          .ctx = &n,
                          .pool = p,
                          .kind = BOOT_BCA},
             &r);
    assert_int_equal(r.n_groups, BOOT_GROUPS);
    assert_true(boot_interval(&r, 0, .95, &lo, &hi, &sd));
    assert_true(lo < r.point[0] && r.point[0] < hi);
    /* influences of a mean: their squares sum to its variance, but for (G - 1)/G */
    for (int g = 0; g < r.n_groups; g++)
        l2 += r.influence[g * 4] * r.influence[g * 4];
    near(sqrt(l2) / sd, 1, .1);
    assert_true(isnan(r.point[1]) && !boot_interval(&r, 1, .95, &lo, &hi, &sd));
    assert_true(boot_interval(&r, 2, .95, &lo, &hi, &sd)); /* constant: all equal */
    assert_true(lo == 7 && hi == 7);
    assert_false(boot_interval(&r, 3, .95, &lo, &hi, &sd)); /* the value beside all replicates */
    boot_release(&r);
    pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bca_as_in_r),
                                       cmocka_unit_test(many_clusters_in_groups)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
