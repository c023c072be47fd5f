/* The ledger of told counts: what is small, what follows from what is told, what is hidden beside a
 * small count, cuts of an order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/disclose.h"
#include "eval/report_build.h"
#include <math.h>

#define MANY 5000

/* Exams 0..n-1, one of each woman unless `shared`, the first `cases` with cancer. */
static disclose *ledger(int64_t n, int64_t cases, int shared, int64_t minimum)
{
    int *woman = MEM_ARRAY(int, n), *y = MEM_ARRAY(int, n);
    for (int64_t i = 0; i < n; i++) {
        woman[i] = (int)(i / shared);
        y[i] = i < cases;
    }
    disclose *d = disclose_new(woman, y, n, minimum);
    mem_free(woman);
    mem_free(y);
    return d;
}

static int64_t row[MANY];

static disclose_set part(int64_t from, int64_t to)
{
    return (disclose_set){row + from, to - from, DISCLOSE_ALL, NULL, false};
}

static bool tells(disclose *d, int64_t from, int64_t to)
{
    disclose_set s = part(from, to);
    return disclose_tell(d, &s, 1);
}

static void women_are_counted_not_exams(void **state)
{
    disclose *d = ledger(100, 30, 2, 5);
    disclose_set four = part(0, 8), five = part(0, 10), none = part(3, 3);
    assert_true(disclose_small(d, &four));
    assert_false(disclose_small(d, &five));
    assert_false(disclose_small(d, &none));
    disclose_free(d);
    d = ledger(100, 30, 2, 0); /* nothing is small */
    assert_false(disclose_small(d, &four));
    disclose_free(d);
}

static void a_difference_is_noticed(void **state)
{
    disclose *d = ledger(100, 30, 1, 5);
    disclose_set few = part(40, 43);
    disclose_guard(d, &few);
    assert_false(tells(d, 40, 43));
    assert_true(tells(d, 20, 60));
    assert_true(tells(d, 20, 40));
    assert_false(tells(d, 43, 60)); /* 40 less 20 less 17 */
    assert_true(tells(d, 42, 60));
    assert_true(tells(d, 43, 70));
    assert_false(tells(d, 60, 70)); /* another way to 43..59 */
    assert_true(tells(d, 0, 100));  /* the total is known */
    assert_true(tells(d, 60, 100));
    assert_false(tells(d, 70, 100)); /* 60..69 again */
    disclose_free(d);
}

static void all_or_none(void **state)
{
    disclose *d = ledger(100, 30, 1, 5);
    disclose_set few = part(0, 3), pair[] = {part(0, 50), part(3, 50)};
    disclose_guard(d, &few);
    assert_false(disclose_tell(d, pair, 2));
    assert_true(tells(d, 3, 50)); /* the first of the pair was taken back */
    assert_false(tells(d, 0, 50));
    disclose_free(d);
}

/* With very many exams vectors are folded: differences are still found. */
static void large_sets_fold(void **state)
{
    disclose *d = ledger(MANY, 600, 1, 5);
    disclose_set few = part(4000, 4002);
    disclose_guard(d, &few);
    assert_true(tells(d, 1000, 4500));
    assert_true(tells(d, 1000, 4000));
    assert_false(tells(d, 4002, 4500));
    for (int i = 0; i < 200; i++)
        assert_true(tells(d, i * 10, i * 10 + 7));
    disclose_free(d);
}

static void levels_of(disclose *d, disclose_level *l, const int *n, int k)
{
    int64_t at = 0;
    for (int i = 0; i < k; i++) {
        l[i] = (disclose_level){.row = row + at, .n = n[i]};
        at += n[i];
    }
    disclose_guard_levels(d, l, k, NULL);
    disclose_tell_levels(d, l, k);
}

static void a_small_group_takes_another_along(void **state)
{
    disclose_level l[5];
    disclose *d = ledger(100, 0, 1, 5);
    levels_of(d, l, (const int[]){50, 30, 3, 10, 7}, 5);
    const bool one[] = {true, true, false, true, false}; /* the next smallest */
    for (int i = 0; i < 5; i++)
        assert_int_equal(l[i].exams, one[i]);
    disclose_free(d);
    d = ledger(100, 0, 1, 5); /* 2 + 2: together still few */
    levels_of(d, l, (const int[]){50, 36, 2, 10, 2}, 5);
    const bool two[] = {true, true, false, false, false};
    for (int i = 0; i < 5; i++)
        assert_int_equal(l[i].exams, two[i]);
    disclose_free(d);
    d = ledger(100, 0, 1, 5); /* 4 + 4: each can be 1 to 7 */
    levels_of(d, l, (const int[]){50, 32, 4, 10, 4}, 5);
    const bool enough[] = {true, true, false, true, false};
    for (int i = 0; i < 5; i++)
        assert_int_equal(l[i].exams, enough[i]);
    disclose_free(d);
    d = ledger(100, 0, 1, 5); /* 1 + 1 + 1 + 2: six women in four groups would be one each */
    levels_of(d, l, (const int[]){95, 1, 1, 1, 2}, 5);
    for (int i = 0; i < 5; i++)
        assert_false(l[i].exams);
    disclose_free(d);
    d = ledger(100, 0, 1, 5); /* an empty one tells nothing */
    levels_of(d, l, (const int[]){50, 40, 0, 10, 0}, 5);
    for (int i = 0; i < 5; i++)
        assert_true(l[i].exams && l[i].cancers);
    disclose_free(d);
}

/* Three levels of 20 exams with 8, 2 and 8 cancers. */
static void classes_are_guarded(void **state)
{
    int woman[60], y[60];
    for (int i = 0; i < 60; i++) {
        woman[i] = i;
        y[i] = i % 20 < (i / 20 == 1 ? 2 : 8);
    }
    disclose *d = disclose_new(woman, y, 60, 5);
    disclose_level l[3];
    levels_of(d, l, (const int[]){20, 20, 20}, 3);
    assert_true(l[0].exams && l[1].exams && l[2].exams);
    assert_false(l[1].cancers);
    assert_true(l[0].cancers != l[2].cancers);
    disclose_free(d);
}

/* Two groupings: one level of the first is one of the second, by another name. */
static void groupings_know_each_other(void **state)
{
    disclose *d = ledger(100, 0, 1, 5);
    disclose_level a[3], b[4];
    int64_t at = 0;
    const int n[] = {60, 37, 3}, m[] = {30, 30, 37, 3};
    for (int i = 0; i < 3; at += n[i++])
        a[i] = (disclose_level){.row = row + at, .n = n[i]};
    at = 0;
    for (int i = 0; i < 4; at += m[i++])
        b[i] = (disclose_level){.row = row + at, .n = m[i]};
    disclose_guard_levels(d, a, 3, NULL);
    disclose_guard_levels(d, b, 4, NULL);
    disclose_tell_levels(d, a, 3);
    disclose_tell_levels(d, b, 4);
    assert_true(a[0].exams && !a[1].exams && !a[2].exams);
    assert_true(!b[2].exams && !b[3].exams); /* not the 37 after all */
    assert_true(b[0].exams && b[1].exams);
    disclose_free(d);
}

static void cuts_keep_apart(void **state)
{
    disclose *d = ledger(100, 100, 1, 5);
    int o = disclose_order(d, row, 100), p = disclose_order(d, row, 100);
    const struct {
        int64_t at;
        bool told;
    } cut[] = {{0, true},  {3, false}, {50, true},  {50, true}, {53, false}, {46, false},
               {55, true}, {60, true}, {97, false}, {95, true}, {100, true}};
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++)
        assert_int_equal(disclose_cut(d, &o, &cut[i].at, 1), cut[i].told);
    /* one of two that does not fit takes the other along */
    assert_false(disclose_cut(d, (int[]){p, o}, (int64_t[]){30, 98}, 2));
    assert_true(disclose_cut(d, &p, (int64_t[]){32}, 1));
    disclose_free(d);
    d = ledger(100, 100, 4, 5); /* four exams of each woman: 20 between two cuts */
    o = disclose_order(d, row, 100);
    assert_false(disclose_cut(d, &o, (int64_t[]){16}, 1));
    assert_true(disclose_cut(d, &o, (int64_t[]){20}, 1));
    disclose_free(d);
}

static void without_a_minimum_all_is_told(void **state)
{
    for (int64_t minimum = 0; minimum < 2; minimum++) {
        disclose *d = ledger(10, 3, 1, minimum);
        disclose_level l[3];
        int o = disclose_order(d, row, 10);
        levels_of(d, l, (const int[]){1, 1, 8}, 3);
        for (int i = 0; i < 3; i++)
            assert_true(l[i].exams && l[i].cancers);
        assert_true(disclose_cut(d, &o, (int64_t[]){1}, 1));
        disclose_free(d);
    }
}

/* An AUC of few pairs tells their number by its decimals: one step of the last is worth at least
 * five pairs. Intervals reach outward. */
static void an_auc_has_the_decimals_of_its_exams(void **state)
{
    static report_opts opts = {.cfg = {.min_count = 5}};
    static report_build b = {.opts = &opts};
    b.all.n = 100000;
    const struct {
        int64_t events, controls;
        bool told;
        int digits;
    } want[] = {{5, 5, true, 1},        {5, 99, true, 1},   {5, 100, true, 2},
                {10, 499, true, 2},     {10, 500, true, 3}, {500, 5000, true, 3},
                {500, 5000, false, 2},  {5, 20, false, 1},  {2000, 98000, true, 0},
                {2000, 98000, false, 2}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_int_equal(report_build_digits(&b, want[i].events, want[i].controls, want[i].told),
                         want[i].digits);
    metric_value a = {.value = .98387, .lo = .8849, .hi = .9966, .ci = "clustered"};
    report_build_coarse(&b, &a, 2000, 98000, true);
    assert_true(a.value == .98387 && a.lo == .8849);
    report_build_coarse(&b, &a, 500, 5000, false);
    assert_true(a.value == .98 && a.lo == .88 && a.hi == 1 && a.digits == 2);
    a = (metric_value){.value = 1, .lo = .48, .hi = 1, .ci = "exact-pairs"};
    report_build_coarse(&b, &a, 5, 50, true);
    assert_true(a.value == 1 && a.lo == .4 && a.hi == 1 && a.digits == 1);
    report_build_coarse(&b, &a, 5, 50, false); /* its width would tell how many */
    assert_true(isnan(a.lo) && isnan(a.hi));
    json_t *cells = json_array();
    text shown;
    text_init(&shown);
    cells_rounded(cells, (double[]){.9, .8, 1}, 1);
    cells_show(json_array_get(cells, 0), "auc", &shown);
    assert_string_equal(shown.s, "0.9 (0.8\xE2\x80\x93"
                                 "1.0)");
    text_release(&shown);
    json_decref(cells);
    opts.cfg.min_count = 0; /* nothing is hidden */
    assert_int_equal(report_build_digits(&b, 5, 5, true), 0);
}

int main(void)
{
    for (int64_t i = 0; i < MANY; i++)
        row[i] = i;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(women_are_counted_not_exams),
        cmocka_unit_test(a_difference_is_noticed),
        cmocka_unit_test(all_or_none),
        cmocka_unit_test(large_sets_fold),
        cmocka_unit_test(a_small_group_takes_another_along),
        cmocka_unit_test(classes_are_guarded),
        cmocka_unit_test(groupings_know_each_other),
        cmocka_unit_test(cuts_keep_apart),
        cmocka_unit_test(without_a_minimum_all_is_told),
        cmocka_unit_test(an_auc_has_the_decimals_of_its_exams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
