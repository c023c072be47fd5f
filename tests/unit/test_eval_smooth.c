/* The smooth curve. Numbers: R 4.2.2 loess(degree = 1, surface = "direct") on SYN-40. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "eval/smooth.h"
#include "tests/unit/eval_syn40.h"
#include <math.h>

static void near(double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("got %.15g, want %.15g", got, want);
}

static void as_loess(void **state)
{
    metric_in in = {syn_a, syn_y, NULL, NULL, 40, 0, false};
    const double x[] = {.7, .1, .3, .5};
    const double want[] = {.5375810725279901, 0, .4276996780478908, .6819549257819360};
    smooth_point p[4];
    assert_true(smooth_curve(&in, SMOOTH_SPAN, x, 4, p));
    for (int i = 0; i < 4; i++) {
        near(p[i].y, want[i], 1e-12); /* R gives -0.08 at 0.1: rates end at 0 */
        assert_true(p[i].lo <= p[i].y && p[i].y <= p[i].hi && p[i].lo >= 0 && p[i].hi <= 1);
    }
    assert_true(p[0].hi - p[0].lo > p[3].hi - p[3].lo); /* fewer rows near the end */
}

static void a_line_stays_a_line(void **state)
{
    /* two rows of the same score whose mean is that score */
    const double s[] = {.25, .25, .25, .25, .5, .5, .5, .5, .75, .75, .75, .75};
    const int y[] = {1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0};
    const double x[] = {.25, .4, .5, .75};
    metric_in in = {s, y, NULL, NULL, 12, 0, false};
    smooth_point p[4];
    assert_true(smooth_curve(&in, 1, x, 4, p));
    for (int i = 1; i < 3; i++)
        near(p[i].y, x[i], 1e-12);
}

static void nothing_to_fit(void **state)
{
    const double s[] = {.3, .3, .3, .3}, w[] = {1, 0, 0, 3}, x[] = {.3, .9};
    const int y[] = {1, 0, 0, 0};
    metric_in in = {s, y, NULL, NULL, 4, 0, false};
    smooth_point p[2];
    assert_true(smooth_curve(&in, .75, x, 2, p)); /* equal scores: the mean of all, in any order */
    near(p[0].y, 1 / 4., 1e-15);
    in.weight = w;
    assert_true(smooth_curve(&in, .75, x, 1, p));
    near(p[0].y, .25, 1e-15);
    in.n = 0;
    assert_false(smooth_curve(&in, .75, x, 2, p));
}

/* A weight of 2 in a window that holds every row is a second row. */
static void weights_are_copies(void **state)
{
    double s[80], w[40];
    int y[80];
    int64_t n = 0;
    for (int i = 0; i < 40; i++) {
        w[i] = i % 3 ? 1 : 2;
        for (int k = 0; k < w[i]; k++, n++) {
            s[n] = syn_a[i];
            y[n] = syn_y[i];
        }
    }
    metric_in a = {syn_a, syn_y, w, NULL, 40, 0, false}, b = {s, y, NULL, NULL, n, 0, false};
    const double x[] = {.2, .6};
    smooth_point p[2], q[2];
    smooth_curve(&a, 1, x, 2, p);
    smooth_curve(&b, 1, x, 2, q);
    for (int i = 0; i < 2; i++)
        near(p[i].y, q[i].y, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_loess),
        cmocka_unit_test(a_line_stays_a_line),
        cmocka_unit_test(nothing_to_fit),
        cmocka_unit_test(weights_are_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
