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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_warmup), cmocka_unit_test(test_step),
                                       cmocka_unit_test(test_cosine)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
