/* Counts and proportions: exact intervals, ratios, trend, predictive values. Numbers: R
 * poisson.test, prop.trend.test, qnorm, qt; closed forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "eval/rate.h"
#include <math.h>

static void near(double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("got %.15g, want %.15g", got, want);
}

static void quantiles_of_the_normal(void **state)
{
    near(rate_normal_quantile(0.5), 0, 1e-15);
    near(rate_normal_quantile(0.975), 1.959963984540054, 1e-14);
    near(rate_normal_quantile(0.8), 0.8416212335729143, 1e-14);
    near(rate_normal_quantile(1e-10), -6.361340902404056, 1e-12);
}

static void quantiles_of_student(void **state)
{
    const int df[] = {1, 2, 5, 15, 1000};
    const double want[] = {12.7062047361747, 4.30265272974946, 2.57058183563631, 2.13144954555978,
                           1.96233908082641};
    for (int i = 0; i < 5; i++)
        near(rate_t_quantile(.975, df[i]), want[i], 1e-12 * want[i]);
    near(rate_t_quantile(.1, 4), -1.53320627405894, 1e-13);
    near(rate_t_quantile(.5, 3), 0, 1e-15);
}

static void poisson_is_exact(void **state)
{
    double lo, hi;
    rate_poisson(0, &lo, &hi);
    near(lo, 0, 0);
    near(hi, -log(0.025), 1e-12); /* closed form */
    rate_poisson(5, &lo, &hi);
    near(lo, 1.6234863901184178, 1e-11);
    near(hi, 11.668332079322675, 1e-11);
    rate_poisson(2500, &lo, &hi);
    near(lo, 2402.95236543, 1e-7);
    near(hi, 2599.96148434, 1e-7);
}

static void observed_over_expected(void **state)
{
    rate_value r = rate_oe(5, 1, 10), w = rate_oe(10, 2, 20);
    near(r.value, 0.5, 0);
    near(r.lo, 0.16234863901184178, 1e-12);
    near(w.lo, r.lo, 1e-15); /* weight 2 everywhere changes nothing */
    near(w.hi, r.hi, 1e-15);
    r = rate_oe(3, 1, 0);
    assert_true(isnan(r.value) && isnan(r.lo));
    assert_string_equal(r.reason, "NO_EVENTS");
}

static void ratios_and_their_gaps(void **state)
{
    rate_value r = rate_ratio(10, 100, 5, 100);
    double se = sqrt(1 / 10. - 1 / 100. + 1 / 5. - 1 / 100.);
    near(r.value, 2, 1e-15);
    near(r.lo, 2 * exp(-1.959963984540054 * se), 1e-14);
    near(r.hi, 2 * exp(1.959963984540054 * se), 1e-14);
    assert_null(r.reason);
    r = rate_ratio(0, 100, 5, 100);
    near(r.value, 0, 0);
    assert_true(isnan(r.lo));
    assert_string_equal(r.reason, "NO_EVENTS");
    r = rate_ratio(5, 100, 0, 100);
    assert_true(isnan(r.value));
    assert_string_equal(r.reason, "NO_EVENTS");
    r = rate_ratio(0, 0, 5, 100);
    assert_string_equal(r.reason, "EMPTY");
}

static void trend_as_in_r(void **state)
{
    const int64_t events[] = {1, 6, 8, 5}, n[] = {10, 10, 10, 10}, none[] = {0, 0, 0, 0};
    rate_trend t = rate_trend_test(events, n, 4);
    near(t.z * t.z, 3.92, 1e-12);
    near(t.p, 0.04771488, 1e-8);
    assert_true(t.z > 0);
    const int64_t down[] = {5, 8, 6, 1};
    near(rate_trend_test(down, n, 4).z, -t.z, 1e-15);
    assert_true(isnan(rate_trend_test(none, n, 4).z));
    assert_true(isnan(rate_trend_test(n, n, 4).p));
}

static void prevalence_and_ratios(void **state)
{
    near(rate_prior_shift(.9, .5, .006), .0515267176, 1e-10);
    near(rate_prior_shift(rate_prior_shift(.3, .5, .01), .01, .5), .3, 1e-15); /* and back */
    near(rate_prior_shift(0, .5, .006), 0, 0);
    near(rate_prior_shift(1, .5, .006), 1, 0);
    assert_true(isnan(rate_prior_shift(.5, 0, .006)));
    assert_true(isnan(rate_prior_shift(.5, .5, 1)));
    near(rate_lr_positive(.8, .9), 8, 1e-12);
    near(rate_lr_negative(.8, .9), 2 / 9., 1e-15);
    assert_true(isnan(rate_lr_positive(.8, 1)));
    assert_true(isnan(rate_lr_negative(.8, 0)));
    near(rate_nns(.05), 20, 1e-13);
    assert_true(isnan(rate_nns(0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_of_the_normal), cmocka_unit_test(quantiles_of_student),
        cmocka_unit_test(poisson_is_exact),        cmocka_unit_test(observed_over_expected),
        cmocka_unit_test(ratios_and_their_gaps),   cmocka_unit_test(trend_as_in_r),
        cmocka_unit_test(prevalence_and_ratios),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
