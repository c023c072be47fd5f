/* The books as one flow: units in order, sums that add up, small reasons that do not stand alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/rng.h"
#include "eval/report_flow.h"
#include "eval/report_in.h"
#include "eval/report_tree.h"

static json_t *flow;

static void row(const char *stage, const char *unit, int in, int excluded)
{
    static int k;
    char step[16], reason[16];
    snprintf(step, sizeof step, "s%d", k);
    snprintf(reason, sizeof reason, "R%d", k++);
    json_array_append_new(flow, json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i}", "stage", stage,
                                          "unit", unit, "step", step, "reason", reason, "n_in", in,
                                          "n_out", in - excluded, "excluded", excluded));
}

static int at(size_t i, const char *key)
{
    return (int)json_integer_value(json_object_get(json_array_get(flow, i), key));
}

static const char *text_at(size_t i, const char *key)
{
    return report_tree_str(json_array_get(flow, i), key);
}

static int fresh(void **state)
{
    flow = json_array();
    return 0;
}

static int done(void **state)
{
    json_decref(flow);
    return 0;
}

static void adds_up(void)
{
    err e = {0};
    if (!report_in_check_flow(flow, &e))
        fail_msg("%s", e.msg);
}

static void units_stand_in_order(void **state)
{
    row("predict", "exams", 30, 0);
    row("scan", "files", 200, 20);
    row("labels", "rows", 7, 0);
    row("report", "women", 20, 0);
    row("report", "images", 180, 60);
    row("split", "files", 180, 0);
    report_flow_order(flow);
    static const char *const want[] = {"files", "files", "images", "exams", "women", "rows"};
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(text_at(i, "unit"), want[i]);
    assert_string_equal(text_at(1, "stage"), "split");
    adds_up();
}

static void small_reasons_are_joined(void **state)
{
    row("scan", "files", 100, 4);
    row("scan", "files", 96, 20);
    row("scan", "files", 76, 3);
    row("scan", "files", 73, 1);
    report_flow_join(flow, 5);
    assert_int_equal(json_array_size(flow), 2);
    assert_int_equal(at(0, "excluded"), 20);
    assert_int_equal(at(1, "excluded"), 8);
    assert_int_equal(at(1, "n_out"), 72);
    assert_true(json_is_true(json_object_get(json_array_get(flow, 1), "joined")));
    assert_non_null(strchr(text_at(1, "step"), ';'));
    adds_up();
}

static void one_alone_takes_the_next(void **state)
{
    row("scan", "files", 100, 2);
    row("scan", "files", 98, 30);
    row("scan", "files", 68, 6);
    report_flow_join(flow, 5);
    assert_int_equal(json_array_size(flow), 2);
    assert_int_equal(at(0, "excluded"), 30);
    assert_int_equal(at(1, "excluded"), 8);
    adds_up();
}

static void a_small_stage_goes_with_its_neighbour(void **state)
{
    row("scan", "files", 100, 2);
    row("prepare", "files", 98, 30);
    row("prepare", "files", 68, 0);
    report_flow_join(flow, 5);
    assert_int_equal(json_array_size(flow), 2);
    assert_int_equal(at(1, "excluded"), 32);
    assert_string_equal(text_at(1, "stage"), "prepare");
    assert_int_equal(at(0, "n_in"), 100);
    adds_up();
}

static void a_few_of_a_unit_are_not_counted(void **state)
{
    row("report", "exams", 50, 2);
    row("report", "women", 40, 0);
    report_flow_join(flow, 5);
    assert_int_equal(at(0, "n_in"), 48);
    assert_int_equal(at(0, "excluded"), 0);
    adds_up();
}

/* Random books: nothing of 1 to 4 remains, sums and ends are those of before. */
static void random_books(void **state)
{
    static const char *const stages[] = {"scan", "prepare", "split", "predict"};
    for (uint64_t seed = 0; seed < 300; seed++) {
        rng r;
        rng_init(&r, seed, RNG_TEST, 62, 0);
        json_array_clear(flow);
        int n = 5000, end;
        for (int s = 0; s < 4; s++)
            for (uint32_t k = rng_below(&r, 6); k > 0; k--) {
                int out = rng_below(&r, 3) ? (int)rng_below(&r, 6) : (int)rng_below(&r, 60);
                row(stages[s], "files", n, out);
                n -= out;
            }
        end = n;
        report_flow_join(flow, 5);
        adds_up();
        for (size_t i = 0; i < json_array_size(flow); i++)
            if (at(i, "excluded") > 0 && at(i, "excluded") < 5)
                fail_msg("seed %d: %d left out", (int)seed, at(i, "excluded"));
        if (json_array_size(flow))
            assert_int_equal(at(json_array_size(flow) - 1, "n_out"), end);
    }
}

static void without_a_minimum_all_stays(void **state)
{
    row("scan", "files", 100, 2);
    json_t *before = json_deep_copy(flow);
    report_flow_join(flow, 0);
    assert_true(json_equal(flow, before));
    json_decref(before);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fresh, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(units_stand_in_order),
        T(small_reasons_are_joined),
        T(one_alone_takes_the_next),
        T(a_small_stage_goes_with_its_neighbour),
        T(a_few_of_a_unit_are_not_counted),
        T(random_books),
        T(without_a_minimum_all_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
