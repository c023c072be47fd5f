/* Exams and women behind files that are left out: a hand-worked set, and random ones against a
 * count that walks the steps one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/rng.h"
#include "preprocess/wholes.h"

#define STEPS 4

static void by_hand(void **state)
{
    /* woman 1: exam 1 keeps one of three, exam 2 goes at step 2; woman 2: exam 3 goes, in two
     * steps; one file says neither, one only its woman */
    static const struct {
        uint64_t exam, woman;
        int32_t step;
    } files[] = {{1, 1, 0}, {1, 1, 2}, {1, 1, WHOLES_KEPT}, {2, 1, 2}, {3, 2, 1},
                 {3, 2, 1}, {3, 2, 3}, {0, 0, 0},           {0, 3, 1}, {4, 4, WHOLES_KEPT}};
    wholes w = {0};
    wholes_step s[STEPS];
    (void)state;
    for (size_t i = COUNT_OF(files); i-- > 0;)
        wholes_add(&w, files[i].exam, files[i].woman, files[i].step);
    wholes_total t = wholes_count(&w, s, STEPS);
    assert_int_equal(t.exams, 4);
    assert_int_equal(t.women, 4);
    assert_int_equal(t.exams_part, 1);
    assert_int_equal(t.women_part, 1);
    static const wholes_step want[STEPS] = {{1, 0, 1, 0}, {1, 0, 2, 1}, {2, 1, 1, 0}, {1, 1, 1, 1}};
    for (int k = 0; k < STEPS; k++)
        assert_memory_equal(&s[k], &want[k], sizeof want[k]);
    json_t *row = json_object();
    int64_t exams = t.exams, women = t.women;
    wholes_put(row, &s[2], &exams, &women);
    assert_int_equal(json_integer_value(json_object_get(row, "exams_in")), 4);
    assert_int_equal(json_integer_value(json_object_get(row, "exams_out")), 3);
    assert_int_equal(json_integer_value(json_object_get(row, "exams_touched")), 2);
    assert_int_equal(json_integer_value(json_object_get(row, "women_out")), 4);
    assert_true(exams == 3 && women == 4);
    json_decref(row);
    wholes_release(&w);
    wholes_count(&w, s, STEPS); /* nothing at all */
    assert_int_equal(s[0].exams_touched, 0);
}

/* What is left of an exam (a woman) before and behind a step, file by file. */
static int64_t left(const wholes_file *f, int n, uint64_t name, bool woman, int32_t from)
{
    int64_t k = 0;
    for (int i = 0; i < n; i++)
        k += (woman ? f[i].woman : f[i].exam) == name && f[i].step >= from;
    return k;
}

static void at_random(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        wholes_file f[60];
        wholes w = {0};
        wholes_step s[STEPS];
        rng r;
        rng_init(&r, seed, RNG_TEST, 71, 0);
        int n = (int)rng_below(&r, COUNT_OF(f)) + 1;
        for (int i = 0; i < n; i++) {
            uint32_t step = rng_below(&r, STEPS + 2);
            f[i] = (wholes_file){rng_below(&r, 12), 0, step < STEPS ? (int32_t)step : WHOLES_KEPT,
                                 false};
            f[i].woman = f[i].exam ? f[i].exam / 2 + 1 : 0;
            wholes_add(&w, f[i].exam, f[i].woman, f[i].step);
        }
        wholes_count(&w, s, STEPS);
        for (int32_t k = 0; k < STEPS; k++) {
            wholes_step want = {0};
            for (uint64_t name = 1; name < 12; name++)
                for (int woman = 0; woman < 2; woman++) {
                    int64_t before = left(f, n, name, woman, k),
                            after = left(f, n, name, woman, k + 1);
                    *(woman ? &want.women_touched : &want.exams_touched) += before > after;
                    *(woman ? &want.women_lost : &want.exams_lost) += before > 0 && after == 0;
                }
            if (memcmp(&s[k], &want, sizeof want) != 0)
                fail_msg("seed %d, step %d", (int)seed, (int)k);
        }
        wholes_release(&w);
    }
}

static void names(void **state)
{
    (void)state;
    assert_true(wholes_name("") == 0);
    assert_true(wholes_name("00000000000000ffaaaaaaaaaaaaaaaa") == 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(at_random),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
