/* Recalibration: what a map does to the rows it was learnt on, and when there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "eval/calibrate.h"
#include "eval/recalibrate.h"
#include "tests/unit/eval_syn40.h"
#include <math.h>

static void near(double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("got %.15g, want %.15g", got, want);
}

static const metric_in syn = {syn_a, syn_y, NULL, NULL, 40, 0, false};

static metric_in mapped(const recalibrate_map *m, double out[40])
{
    for (int i = 0; i < 40; i++)
        out[i] = recalibrate_apply(m, syn_a[i]);
    metric_in in = syn;
    in.score = out;
    return in;
}

static void a_line_mends_itself(void **state)
{
    recalibrate_map m;
    double out[40];
    assert_true(recalibrate_fit(RECALIBRATE_PLATT, &syn, &m));
    metric_in in = mapped(&m, out);
    near(calibrate_slope(&in).b, 1, 1e-10);
    near(calibrate_slope(&in).a, 0, 1e-10);
    near(calibrate_sums(&in).oe, 1, 1e-12);
    near(metric_auc(&in).value, metric_auc(&syn).value, 0); /* the order stays */
    assert_int_equal(m.rows, 40);
    assert_int_equal(m.events, 20);
    recalibrate_release(&m);
    assert_true(recalibrate_fit(RECALIBRATE_TEMPERATURE, &syn, &m));
    in = mapped(&m, out);
    near(calibrate_scale(&in).b, 1, 1e-10);
    near(recalibrate_apply(&m, .5), .5, 1e-15);
    recalibrate_release(&m);
    assert_true(recalibrate_fit(RECALIBRATE_NONE, &syn, &m));
    near(recalibrate_apply(&m, .123), .123, 0);
    recalibrate_release(&m);
}

static void violators_are_pooled(void **state)
{
    const double s[] = {.1, .2, .2, .3, .4, .5, .6};
    const int y[] = {0, 1, 0, 0, 0, 1, 1};
    metric_in in = {s, y, NULL, NULL, 7, 0, false};
    recalibrate_map m;
    assert_true(recalibrate_fit(RECALIBRATE_ISOTONIC, &in, &m));
    /* .2 .3 .4 become one block of 1/4, .5 and .6 one of 1 */
    const double x[] = {.1, .2, .4, .5, .6}, want[] = {0, .25, .25, 1, 1};
    assert_int_equal(m.n, 5);
    for (int i = 0; i < 5; i++) {
        near(m.x[i], x[i], 0);
        near(m.y[i], want[i], 1e-15);
    }
    near(recalibrate_apply(&m, .15), .125, 1e-15); /* linear between knots */
    near(recalibrate_apply(&m, .3), .25, 1e-15);
    near(recalibrate_apply(&m, .45), .625, 1e-15);
    near(recalibrate_apply(&m, 0), 0, 0); /* flat outside */
    near(recalibrate_apply(&m, .99), 1, 0);
    recalibrate_release(&m);
    const double w[] = {1, 3, 1, 1, 1, 1, 0};
    in.weight = w;
    assert_true(recalibrate_fit(RECALIBRATE_ISOTONIC, &in, &m));
    near(recalibrate_apply(&m, .3), .5, 1e-15);
    assert_int_equal(m.rows, 6);
    recalibrate_release(&m);
}

/* Neighbours with one and the same rate are one level stretch: two knots. */
static void equal_rates_are_one_stretch(void **state)
{
    const double s[] = {.1, .1, .2, .2, .3, .3};
    const int y[] = {0, 1, 1, 0, 0, 1};
    metric_in in = {s, y, NULL, NULL, 6, 0, false};
    recalibrate_map m;
    assert_true(recalibrate_fit(RECALIBRATE_ISOTONIC, &in, &m));
    assert_int_equal(m.n, 2);
    near(m.x[1], .3, 0);
    near(recalibrate_apply(&m, .2), .5, 0);
    recalibrate_release(&m);
}

/* Of all rising maps the isotonic one has the least squared error: no worse than none, and within
 * each level stretch the mean is the value. */
static void isotonic_is_calibrated(void **state)
{
    recalibrate_map m;
    double out[40];
    assert_true(recalibrate_fit(RECALIBRATE_ISOTONIC, &syn, &m));
    metric_in in = mapped(&m, out);
    assert_true(calibrate_sums(&in).brier < calibrate_sums(&syn).brier);
    near(calibrate_sums(&in).oe, 1, 1e-12);
    for (int i = 0; i < 40; i++) {
        double got = 0, n = 0;
        for (int j = 0; j < 40; j++) {
            got += out[j] == out[i] && syn_y[j];
            n += out[j] == out[i];
        }
        near(got / n, out[i], 1e-15);
    }
    recalibrate_release(&m);
}

static void no_map(void **state)
{
    const double s[] = {.1, .2, .6, .7}, odd[] = {.1, 2, .6, .7};
    const int parted[] = {0, 0, 1, 1}, turned[] = {1, 0, 1, 0}, ones[] = {1, 1, 1, 1};
    const struct {
        recalibrate_kind kind;
        const double *s;
        const int *y;
        int64_t n;
        const char *reason;
    } row[] = {
        {RECALIBRATE_PLATT, s, parted, 4, "SEPARATION"},
        {RECALIBRATE_TEMPERATURE, s, parted, 4, "SEPARATION"},
        {RECALIBRATE_PLATT, s, turned, 4, "INVERTED"},
        {RECALIBRATE_TEMPERATURE, s, turned, 4, "INVERTED"},
        {RECALIBRATE_ISOTONIC, s, ones, 4, "ONE_CLASS"},
        {RECALIBRATE_ISOTONIC, odd, parted, 4, "NOT_RISK"},
        {RECALIBRATE_ISOTONIC, s, parted, 0, "EMPTY"},
        {RECALIBRATE_PLATT, s, parted, 0, "ONE_CLASS"},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        metric_in in = {row[i].s, row[i].y, NULL, NULL, row[i].n, 0, false};
        recalibrate_map m;
        assert_false(recalibrate_fit(row[i].kind, &in, &m));
        assert_string_equal(m.reason, row[i].reason);
        recalibrate_release(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_mends_itself),
        cmocka_unit_test(violators_are_pooled),
        cmocka_unit_test(equal_rates_are_one_stretch),
        cmocka_unit_test(isotonic_is_calibrated),
        cmocka_unit_test(no_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
