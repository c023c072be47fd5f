/* Comparison of two models: McNemar, paired rates, Holm, verdicts, planning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "eval/pair.h"
#include "tests/unit/eval_syn40.h"
#include <math.h>

static void near(double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("got %.15g, want %.15g", got, want);
}

static void mcnemar_exact_and_not(void **state)
{
    pair_discordant r = pair_mcnemar(12, 5); /* G32 */
    near(r.chi2, 2.88235294118, 1e-11);
    near(r.p_chi2, .0895550744136, 1e-12);
    near(r.p_exact, .143463134766, 1e-12);
    near(r.p, r.p_exact, 0);
    assert_string_equal(r.method, "mcnemar-exact");
    r = pair_mcnemar(16, 8); /* 24 */
    assert_string_equal(r.method, "mcnemar-exact");
    r = pair_mcnemar(16, 9); /* 25 */
    assert_string_equal(r.method, "mcnemar-chi2");
    near(r.p, r.p_chi2, 0);
    r = pair_mcnemar(0, 0);
    near(r.p, 1, 0);
    assert_true(isnan(r.chi2));
    near(pair_mcnemar(7, 7).p, 1, 1e-12); /* twice the tail is above 1 */
    near(pair_mcnemar(5, 12).p_exact, .143463134766, 1e-12);
}

static void paired_rates(void **state)
{
    metric_in in = {syn_a, syn_y, NULL, NULL, 40, 0, false};
    pair_rate s = pair_sensitivity(&in, syn_b, .45, .3);
    assert_int_equal(s.both + s.only_a + s.only_b + s.neither, 20);
    near(s.a, (double)(s.both + s.only_a) / 20, 1e-15);
    near(s.diff, s.a - s.b, 1e-15);
    near(s.p, pair_mcnemar(s.only_a, s.only_b).p, 0);
    assert_string_equal(s.ci, "newcombe");
    assert_true(s.lo < s.diff && s.diff < s.hi);
    pair_rate back =
        pair_sensitivity(&(metric_in){syn_b, syn_y, NULL, NULL, 40, 0, false}, syn_a, .3, .45);
    near(back.lo, -s.hi, 1e-15); /* which model comes first does not matter */
    near(back.hi, -s.lo, 1e-15);
    /* specificity is the sensitivity of the other class under turned scores */
    double na[40], nb[40];
    int ny[40];
    for (int i = 0; i < 40; i++) {
        na[i] = -syn_a[i];
        nb[i] = -syn_b[i];
        ny[i] = !syn_y[i];
    }
    pair_rate p = pair_specificity(&in, syn_b, .451, .301);
    pair_rate q =
        pair_sensitivity(&(metric_in){na, ny, NULL, NULL, 40, 0, false}, nb, -.4505, -.3005);
    near(p.diff, q.diff, 1e-15);
    near(p.lo, q.lo, 1e-15);
    /* ties at a threshold are positive */
    near(pair_sensitivity(&in, syn_a, .54, .54).diff, 0, 0);
    assert_true(pair_sensitivity(&in, syn_a, .54, .5401).only_a > 0);
}

/* The printed digits of Newcombe 1998 for 20 right under both, 12 and 2 under one, 16 under none.
 */
static void newcombe_as_published(void **state)
{
    double a[50], b[50];
    int y[50];
    for (int i = 0; i < 50; i++) {
        y[i] = 1;
        a[i] = i < 32;
        b[i] = i < 20 || (i >= 32 && i < 34);
    }
    metric_in in = {a, y, NULL, NULL, 50, 0, false};
    pair_rate r = pair_sensitivity(&in, b, .5, .5);
    assert_int_equal(r.both, 20);
    assert_int_equal(r.only_a, 12);
    assert_int_equal(r.only_b, 2);
    near(r.diff, .2, 1e-15);
    near(r.lo, .0562, 5e-5);
    near(r.hi, .3292, 5e-5);
}

static void repeated_exams_use_clusters(void **state)
{
    double a[40], b[40];
    int y[40], c[40];
    for (int i = 0; i < 40; i++) { /* 20 patients, each twice: as 20 rows */
        a[i] = i / 2 < 15;
        b[i] = i / 2 >= 6;
        y[i] = 1;
        c[i] = i / 2;
    }
    metric_in in = {a, y, NULL, c, 40, 20, false};
    pair_rate r = pair_sensitivity(&in, b, .5, .5);
    double d = .05, ss = 6 * (1 - d) * (1 - d) + 5 * (-1 - d) * (-1 - d) + 9 * d * d;
    assert_string_equal(r.ci, "clustered");
    near(r.diff, d, 1e-15);
    near(r.hi, d + METRIC_Z95 * sqrt(ss / 19 / 20), 1e-14);
    near(r.p, erfc(d / sqrt(ss / 19 / 20) / sqrt(2)), 1e-14);
    pair_rate same = pair_sensitivity(&in, a, .5, .5);
    assert_string_equal(same.reason, "DEGENERATE");
    assert_true(isnan(same.lo));
    in.n = 2;
    assert_string_equal(pair_sensitivity(&in, b, .5, .5).reason, "TOO_FEW_CLUSTERS");
    assert_string_equal(pair_specificity(&in, b, .5, .5).reason, "ONE_CLASS");
}

static void holm_as_in_r(void **state)
{
    const double p[] = {.01, .04, NAN, .03, .005, .9}, want[] = {.04, .09, NAN, .09, .025, .9};
    double q[6];
    pair_holm(p, 6, q);
    for (int i = 0; i < 6; i++)
        if (isnan(want[i]))
            assert_true(isnan(q[i]));
        else
            near(q[i], want[i], 1e-15);
    double in_place[] = {.5, .6};
    pair_holm(in_place, 2, in_place);
    near(in_place[0], 1, 0);
    near(in_place[1], 1, 0);
}

static void verdicts(void **state)
{
    assert_string_equal(pair_verdict(.01, .05, .02), "SUPERIOR");
    assert_string_equal(pair_verdict(-.01, .05, .02), "NON_INFERIOR");
    assert_string_equal(pair_verdict(-.02, .05, .02), "INCONCLUSIVE");
    assert_string_equal(pair_verdict(-.03, -.02, .02), "INCONCLUSIVE");
    assert_string_equal(pair_verdict(-.03, -.021, .02), "INFERIOR");
    assert_string_equal(pair_verdict(0, .05, 0), "INCONCLUSIVE");
    assert_null(pair_verdict(NAN, .1, .02));
}

static void unpaired_and_planned(void **state)
{
    metric_in a = {syn_a, syn_y, NULL, NULL, 40, 0, false}, b = a;
    b.score = syn_b;
    metric_value va = metric_auc(&a), vb = metric_auc(&b);
    metric_pair u = pair_unpaired(&va, &vb), p = metric_auc_pair(&a, syn_b);
    near(u.diff, -.02125, 1e-14);
    near(u.z, u.diff / sqrt(.00812483552631579 + .0071453947368421), 1e-12);
    assert_true(u.hi - u.lo > p.hi - p.lo); /* the pairing is worth something */
    pair_planning d = pair_detectable(&p, 20, 20, .8);
    near(d.r, p.cov / sqrt(p.var_a * p.var_b), 1e-15);
    near(d.observed, (METRIC_Z95 + 0.8416212335729143) * sqrt(p.var_a + p.var_b - 2 * p.cov),
         1e-13);
    assert_true(pair_detectable(&p, 80, 80, .8).planned < .51 * d.planned);
    assert_true(pair_detectable(&p, 20, 20, .9).planned > d.planned);
    metric_pair none = metric_auc_pair(&a, syn_a);
    near(pair_detectable(&none, 20, 20, .8).planned, 0, 1e-7);
    p.var_a = NAN;
    assert_true(isnan(pair_detectable(&p, 20, 20, .8).planned));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mcnemar_exact_and_not), cmocka_unit_test(paired_rates),
        cmocka_unit_test(newcombe_as_published), cmocka_unit_test(repeated_exams_use_clusters),
        cmocka_unit_test(holm_as_in_r),          cmocka_unit_test(verdicts),
        cmocka_unit_test(unpaired_and_planned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
