/* Robustness to missing patches: the golden curve of the spec, hand-worked changes, midranks
 * against counting pairs. evaluation.md 14 and 16 (G31). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "core/rng.h"
#include "eval/robust.h"

static void near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-10))
        fail_msg("%.17g, wanted %.17g", a, b);
}

static void test_golden_curve(void **state)
{
    const double keep[] = {1, .75, .5, .25}, auc[] = {.80, .79, .76, .66};
    near(robust_area(keep, auc, 4), .76);
    near(robust_knee(keep, auc, 4, ROBUST_LOSS), .75);
    /* in any order of points */
    const double mixed[] = {.5, 1, .25, .75}, same[] = {.76, .80, .66, .79};
    near(robust_area(mixed, same, 4), .76);
    near(robust_knee(mixed, same, 4, ROBUST_LOSS), .75);
    near(robust_knee(keep, auc, 4, 0.0099), 1);
    near(robust_knee(keep, auc, 4, 0.2), .25);
    (void)state;
}

static void test_undefined_curve(void **state)
{
    const double keep[] = {1, .5}, auc[] = {.8, NAN}, none[] = {NAN, .8}, part[] = {.75, .5};
    const double flat[] = {.8, .8};
    assert_true(isnan(robust_area(keep, auc, 2)));
    assert_true(isnan(robust_area(keep, flat, 1)));
    assert_true(isnan(robust_area(keep, flat, 0)));
    near(robust_knee(keep, auc, 2, ROBUST_LOSS), 1);
    assert_true(isnan(robust_knee(keep, none, 2, ROBUST_LOSS)));
    assert_true(isnan(robust_knee(part, flat, 2, ROBUST_LOSS)));
    near(robust_area(keep, flat, 2), .8);
    (void)state;
}

static void test_change_by_hand(void **state)
{
    /* 0.3 is on the positive side of 0.3; exams 1 and 3 change sides */
    const double full[] = {.1, .3, .5, .2}, masked[] = {.2, .29, .6, .3};
    robust_change c = robust_compare(full, masked, 4, .3);
    near(c.mean, (.1 + .01 + .1 + .1) / 4);
    near(c.crossed, .5);
    /* ranks 1 3 4 2 against 1 2 4 3: 1 - 6 * (0 + 1 + 0 + 1) / (4 * 15) */
    near(c.spearman, .8);
    c = robust_compare(full, masked, 4, NAN);
    assert_true(isnan(c.crossed));
    const double same[] = {.4, .4, .4, .4};
    c = robust_compare(full, same, 4, .3);
    assert_true(isnan(c.spearman));
    near(c.crossed, .5);
    c = robust_compare(full, masked, 0, .3);
    assert_true(isnan(c.mean) && isnan(c.spearman) && isnan(c.crossed));
    (void)state;
}

/* With ties: rank = 1 + (number below) + (number of equals besides it) / 2. */
static void test_midranks_by_counting(void **state)
{
    enum { N = 60 };
    double v[N], rank[N];
    for (uint64_t trial = 0; trial < 20; trial++) {
        rng r;
        rng_init(&r, 5, RNG_TEST, trial, 0);
        for (int i = 0; i < N; i++)
            v[i] = rng_below(&r, 1 + 3 * (uint32_t)trial);
        robust_midranks(v, N, rank);
        for (int i = 0; i < N; i++) {
            int below = 0, equal = 0;
            for (int j = 0; j < N; j++) {
                below += v[j] < v[i];
                equal += v[j] == v[i] && j != i;
            }
            near(rank[i], 1 + below + equal / 2.0);
        }
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_curve),
        cmocka_unit_test(test_undefined_curve),
        cmocka_unit_test(test_change_by_hand),
        cmocka_unit_test(test_midranks_by_counting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
