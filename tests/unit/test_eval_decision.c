/* Net benefit: counted and at a given prevalence, its interval, and where it has no meaning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "eval/decision.h"
#include "tests/unit/eval_syn40.h"
#include <math.h>

static void near(double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("got %.15g, want %.15g", got, want);
}

static const metric_in syn = {syn_a, syn_y, NULL, NULL, 40, 0, false};

static decision_point one(const metric_in *in, double prevalence, double pt)
{
    decision_point p;
    decision_curve(in, prevalence, &pt, 1, &p);
    return p;
}

static void counted_and_given_agree(void **state)
{
    const double pt[] = {.2, .3, .5}, want[] = {.4125, .342857142857143, .075}; /* G23 */
    const double all[] = {.375, .285714285714286, 0};
    for (int i = 0; i < 3; i++) {
        decision_point c = one(&syn, NAN, pt[i]), g = one(&syn, .5, pt[i]);
        near(c.nb, want[i], 1e-14);
        near(c.nb_all, all[i], 1e-14);
        near(c.nb_std, 2 * want[i], 1e-14);
        near(c.nb, ((double)c.tp - (double)c.fp * pt[i] / (1 - pt[i])) / 40, 1e-15);
        near(c.avoided, 100 * (want[i] - all[i]) / (pt[i] / (1 - pt[i])), 1e-11);
        near(g.nb, c.nb, 1e-15);
        near(g.nb_all, c.nb_all, 1e-15);
        assert_true(c.lo < c.nb && c.nb < c.hi && g.hi - g.lo < c.hi - c.lo);
    }
    decision_point p = one(&syn, .01, .02); /* everyone is flagged: no more than treating all */
    near(p.nb, p.nb_all, 1e-15);
    near(p.avoided, 0, 1e-12);
    near(p.sens, 1, 0);
    near(p.flagged, 1, 1e-15);
}

/* Counted, it is a mean of independent rows; its interval is the mean's. */
static void interval_is_of_a_mean(void **state)
{
    double z[40], mean = 0, ss = 0;
    for (int i = 0; i < 40; i++) {
        z[i] = syn_a[i] >= .3 ? (syn_y[i] ? 1 : -.3 / .7) : 0;
        mean += z[i] / 40;
    }
    for (int i = 0; i < 40; i++)
        ss += (z[i] - mean) * (z[i] - mean);
    decision_point p = one(&syn, NAN, .3);
    near(p.hi - p.nb, METRIC_Z95 * sqrt(ss / 39 / 40), 1e-14);
    decision_point g = one(&syn, .01, .4); /* two means of 20 rows */
    double a = .01 * .01 * g.sens * (1 - g.sens) / 20, odds = .4 / .6;
    double b = .99 * .99 * odds * odds * g.spec * (1 - g.spec) / 20;
    near(g.nb - g.lo, METRIC_Z95 * sqrt((a + b) * 40 / 39), 1e-14);
}

/* Every exam twice, under one patient each: the same interval as once. */
static void copies_of_a_patient_add_nothing(void **state)
{
    double s[80];
    int y[80], c[80];
    for (int i = 0; i < 80; i++) {
        s[i] = syn_a[i / 2];
        y[i] = syn_y[i / 2];
        c[i] = i / 2;
    }
    metric_in in = {s, y, NULL, c, 80, 40, false};
    for (int given = 0; given < 2; given++) {
        decision_point a = one(&syn, given ? .01 : NAN, .4), b = one(&in, given ? .01 : NAN, .4);
        near(a.nb, b.nb, 1e-15);
        near(a.hi, b.hi, 1e-14);
        in.cluster = c;
    }
    double w[40];
    for (int i = 0; i < 40; i++)
        w[i] = syn_y[i] ? 1 : 99; /* sampled one to one from a population with 1 % cases */
    metric_in weighted = syn;
    weighted.weight = w;
    near(one(&weighted, NAN, .4).nb, one(&syn, .01, .4).nb, 1e-15);
    near(one(&weighted, NAN, .4).flagged, one(&syn, .01, .4).flagged, 1e-15);
}

static void no_meaning(void **state)
{
    const int none[40] = {0};
    metric_in in = syn;
    in.y = none;
    assert_string_equal(one(&in, NAN, .1).reason, "ONE_CLASS");
    assert_true(isnan(one(&in, NAN, .1).nb));
    in.n = 0;
    assert_string_equal(one(&in, NAN, .1).reason, "EMPTY");
    assert_string_equal(one(&syn, NAN, 1).reason, "RANGE");
    assert_string_equal(one(&syn, NAN, 0).reason, "RANGE");
    assert_string_equal(one(&syn, 1.5, .1).reason, "RANGE");
    decision_point p = one(&syn, NAN, .99); /* nobody is flagged */
    near(p.nb, 0, 0);
    assert_true(isnan(p.lo));
    assert_int_equal(p.tp + p.fp, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counted_and_given_agree),
        cmocka_unit_test(interval_is_of_a_mean),
        cmocka_unit_test(copies_of_a_patient_add_nothing),
        cmocka_unit_test(no_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
