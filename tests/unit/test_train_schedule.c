/* The learning rate by hand-worked numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>

#include "train/schedule.h"

static void is(const schedule *s, int64_t step, double want)
{
    double got = schedule_lr(s, step);
    if (fabs(got - want) > 1e-15)
        fail_msg("step %lld: %.17g, wanted %.17g", (long long)step, got, want);
}

static void test_warmup(void **state)
{
    schedule s = {.kind = SCHEDULE_CONSTANT, .base = 0.3, .warmup = 5, .total = 100};
    is(&s, 0, 0);
    is(&s, 1, 0.075);
    is(&s, 2, 0.15);
    is(&s, 4, 0.3);
    is(&s, 5, 0.3);
    is(&s, 99, 0.3);
    s.warmup = 0;
    is(&s, 0, 0.3);
    s.warmup = 1; /* one step of warm-up is both the first and the last */
    is(&s, 0, 0.3);
    s.warmup = 2;
    is(&s, 0, 0);
    is(&s, 1, 0.3);
}

static void test_step(void **state)
{
    schedule s = {.kind = SCHEDULE_STEP, .base = 0.3, .warmup = 2, .total = 100, .drop = 40};
    is(&s, 0, 0);
    is(&s, 39, 0.3);
    is(&s, 40, 0.03);
    is(&s, 99, 0.03);
}

static void test_cosine(void **state)
{
    schedule s = {.kind = SCHEDULE_COSINE, .base = 1, .final = 0.2, .warmup = 10, .total = 110};
    is(&s, 0, 0);
    is(&s, 9, 1);
    is(&s, 10, 1);
    is(&s, 60, 0.6); /* half way between base and final */
    is(&s, 110, 0.2);
    is(&s, 500, 0.2); /* and never up again */
    for (int64_t i = 11; i < 110; i++)
        assert_true(schedule_lr(&s, i) < schedule_lr(&s, i - 1));
    s.total = 10; /* nothing after the warm-up */
    is(&s, 10, 1);
}

/* The check values of token_reduction.md 2.3, and both ends. */
static void test_evit(void **state)
{
    schedule_evit_ramp s = {.keep = .7, .start = 10, .ramp = 100, .steps = 7};
    static const struct {
        int64_t epoch;
        double keep;
    } want[] = {{0, 1}, {35, .956066}, {60, .85}, {85, .743934}, {110, .7}, {300, .7}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_true(fabs(schedule_evit(&s, 7 * want[i].epoch) - want[i].keep) < 5e-7);
    assert_true(schedule_evit(&s, 69) == 1 && schedule_evit(&s, 70) == 1);
    for (int64_t i = 71; i < 770; i++)
        assert_true(schedule_evit(&s, i) < schedule_evit(&s, i - 1));
    assert_true(schedule_evit(&s, 770) == .7);
    s.ramp = 0; /* a step */
    assert_true(schedule_evit(&s, 69) == 1 && schedule_evit(&s, 70) == .7);
    s.start = 0;
    assert_true(schedule_evit(&s, 0) == .7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_warmup), cmocka_unit_test(test_step),
                                       cmocka_unit_test(test_cosine), cmocka_unit_test(test_evit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
