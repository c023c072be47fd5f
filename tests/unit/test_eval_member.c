/* Several networks: rules and spread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "core/rng.h"
#include "eval/member.h"
#include "tests/unit/eval_syn40.h"
#include <math.h>

static void near(double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("got %.15g, want %.15g", got, want);
}

static void rules_by_hand(void **state)
{
    const double a[] = {.1, .2, .9}, b[] = {.3, .2, .5};
    const double *s[] = {a, b}, *turned[] = {b, a};
    double out[3], other[3];
    member_combine(MEMBER_MEAN_PROB, s, 2, 3, out);
    near(out[0], .2, 1e-15);
    near(out[2], .7, 1e-15);
    member_combine(MEMBER_MEAN_LOGIT, s, 2, 3, out);
    near(out[0], 1 / (1 + sqrt(9 * 7 / 3.)), 1e-12);
    near(out[1], .2, 1e-12);
    member_combine(MEMBER_MEAN_RANK, s, 2, 3, out);
    near(out[0], (.5 + 1.5) / 6, 1e-12);
    near(out[1], (1.5 + .5) / 6, 1e-12);
    near(out[2], 2.5 / 3, 1e-12);
    for (int r = 0; r < MEMBER_RULES; r++) {
        member_combine((member_rule)r, s, 2, 3, out);
        member_combine((member_rule)r, turned, 2, 3, other);
        assert_memory_equal(out, other, sizeof out);
    }
    assert_string_equal(member_rule_name(MEMBER_MEAN_RANK), "mean_rank");
}

static void ties_share_their_rank(void **state)
{
    const double a[] = {.4, .1, .4, .4}, *s[] = {a};
    double out[4];
    member_combine(MEMBER_MEAN_RANK, s, 1, 4, out);
    near(out[1], .5 / 4, 1e-15);
    near(out[0], 2.5 / 4, 1e-15);
    near(out[3], out[0], 0);
    const double edge[] = {0, 1, .5}, *e[] = {edge};
    member_combine(MEMBER_MEAN_LOGIT, e, 1, 3, out); /* clipped, finite */
    near(out[0], 1e-7, 1e-12);
    near(out[1], 1 - 1e-7, 1e-12);
}

static void spread_over_runs(void **state)
{
    const double v[] = {.70, .72, NAN, .71, .73, .74}, one[] = {.7}, none[] = {NAN};
    member_spread s = member_summary(v, 6); /* G30 */
    near(s.mean, .72, 1e-15);
    near(s.sd, .0158113883008419, 1e-15);
    near(s.min, .70, 0);
    near(s.max, .74, 0);
    assert_int_equal(s.n, 5);
    s = member_summary(one, 1);
    near(s.mean, .7, 0);
    assert_true(isnan(s.sd));
    s = member_summary(none, 1);
    assert_true(isnan(s.mean) && s.n == 0);
}

/* Runs that agree add nothing to the women's interval; runs that differ widen it. */
static void women_and_runs_together(void **state)
{
    enum { N = 400 };
    static double score[3][N], same[3][N];
    static int y[N], c[N];
    rng r;
    rng_init(&r, 3, RNG_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        y[i] = i % 4 == 0;
        c[i] = i;
        double x = rng_normal(&r) + 1.0 * y[i];
        for (int k = 0; k < 3; k++) {
            same[k][i] = x;
            score[k][i] = x + (k == 0 ? 0 : k == 1 ? 1.5 : 4) * rng_normal(&r);
        }
    }
    pool *one = pool_new(1), *two = pool_new(2);
    metric_in in[3], copies[3];
    double mean = 0;
    for (int k = 0; k < 3; k++) {
        in[k] = (metric_in){score[k], y, NULL, c, N, N, false};
        copies[k] = (metric_in){same[k], y, NULL, c, N, N, false};
        mean += metric_auc(&in[k]).value / 3;
    }
    member_draws how = {400, 7, one, 0}, threads = {400, 7, two, 0};
    member_two_way w = member_recipe(in, 3, &how), v = member_recipe(in, 3, &threads);
    near(w.mean, mean, 1e-14);
    near(v.lo, w.lo, 0);
    near(v.hi, w.hi, 0);
    assert_true(w.lo < w.mean && w.mean < w.hi);
    member_two_way s = member_recipe(copies, 3, &how);
    double de_long = sqrt(metric_auc(&copies[0]).var);
    near(s.sd, de_long, .15 * de_long);
    assert_true(w.sd > 1.3 * s.sd);
    /* the runs' part alone: their spread around the mean, over three draws */
    double spread = 0;
    for (int k = 0; k < 3; k++) {
        double d = metric_auc(&in[k]).value - mean;
        spread += d * d / 3 / 3;
    }
    assert_true(w.sd > sqrt(spread));
    member_two_way none = member_recipe(in, 1, &how);
    assert_true(isnan(none.lo));
    near(none.mean, metric_auc(&in[0]).value, 0);
    pool_free(one);
    pool_free(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_by_hand),
        cmocka_unit_test(ties_share_their_rank),
        cmocka_unit_test(spread_over_runs),
        cmocka_unit_test(women_and_runs_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
