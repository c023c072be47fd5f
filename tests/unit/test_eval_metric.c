/* What the metrics promise beyond the golden answers of test_eval_golden.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "eval/boot.h"
#include "eval/curve.h"
#include <math.h>

static void near(double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("got %.15g, want %.15g", got, want);
}

static void capture_of_ties(void **state)
{
    const double s[] = {.9, .8, .8, .8, .1, .1, .1, .1, .1, .1};
    const int y[] = {1, 1, 0, 0, 0, 0, 0, 0, 0, 1};
    metric_in in = {s, y, NULL, NULL, 10, 0, false};
    curve_top t;
    assert_true(curve_capture(&in, .2, &t)); /* one of the three tied rows is inside */
    assert_int_equal(t.k, 2);
    near(t.capture_min, 1. / 3, 1e-15);
    near(t.capture_max, 2. / 3, 1e-15);
    assert_true(curve_capture(&in, .4, &t));
    near(t.capture_min, 2. / 3, 1e-15);
    near(t.capture_max, 2. / 3, 1e-15);
    assert_false(curve_capture(&in, 0, &t));
}

static void quantiles_are_type_7(void **state)
{
    const double v[] = {1, 2, 3, 4};
    near(boot_quantile(v, 4, .025), 1.075, 1e-15);
    near(boot_quantile(v, 4, .5), 2.5, 1e-15);
    near(boot_quantile(v, 4, 1), 4, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capture_of_ties),
        cmocka_unit_test(quantiles_are_type_7),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
