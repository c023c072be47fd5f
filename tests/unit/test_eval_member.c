/* Several networks: rules and spread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_by_hand),
        cmocka_unit_test(ties_share_their_rank),
        cmocka_unit_test(spread_over_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
