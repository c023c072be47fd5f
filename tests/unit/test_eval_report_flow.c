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

/* After joining: how many each row leaves out; -1 ends the list. */
static void joined_is(const int *excluded)
{
    size_t n = 0;
    report_flow_join(flow, 5);
    for (; excluded[n] >= 0; n++)
        assert_int_equal(at(n, "excluded"), excluded[n]);
    assert_int_equal(json_array_size(flow), n);
    adds_up();
}

static void small_reasons_are_joined(void **state)
{
    row("scan", "files", 100, 4);
    row("scan", "files", 96, 20);
    row("scan", "files", 76, 3);
    row("scan", "files", 73, 1);
    joined_is((const int[]){20, 8, -1});
    assert_int_equal(at(1, "n_out"), 72);
    assert_true(json_is_true(json_object_get(json_array_get(flow, 1), "joined")));
    assert_non_null(strchr(text_at(1, "step"), ';'));
}

/* That a file is damaged tells nothing of a woman; that she has an implant does. */
static void reasons_of_files_stand_alone(void **state)
{
    static const char *const reason[] = {"DEC_FAILED", "IMPLANT", "PRIOR_CANCER", "MF_TOMO"};
    for (size_t k = 0; k < COUNT_OF(reason); k++) {
        row("prepare", "files", 100 - 4 * (int)k, 4);
        json_object_set_new(json_array_get(flow, k), "reason", json_string(reason[k]));
    }
    joined_is((const int[]){4, 4, 8, -1});
    assert_string_equal(text_at(0, "reason"), "DEC_FAILED");
    assert_string_equal(text_at(1, "reason"), "MF_TOMO");
}

static void one_alone_takes_the_next(void **state)
{
    row("scan", "files", 100, 2);
    row("scan", "files", 98, 30);
    row("scan", "files", 68, 6);
    joined_is((const int[]){30, 8, -1});
}

static void a_small_stage_goes_with_its_neighbour(void **state)
{
    row("scan", "files", 100, 2);
    row("prepare", "files", 98, 30);
    row("prepare", "files", 68, 0);
    joined_is((const int[]){0, 32, -1});
    assert_string_equal(text_at(1, "stage"), "prepare");
    assert_int_equal(at(0, "n_in"), 100);
}

static void a_few_of_a_unit_are_not_counted(void **state)
{
    row("report", "exams", 50, 2);
    row("report", "women", 40, 0);
    joined_is((const int[]){0, 0, -1});
    assert_int_equal(at(0, "n_in"), 48);
}

/* ---- exams and women behind files ------------------------------------------------------------ */

/* A row of files with exams (in, lost, touched) and women (the same). */
static void whole(const char *stage, int in, int excluded, const int exams[3], const int women[3])
{
    row(stage, "files", in, excluded);
    json_t *r = json_array_get(flow, json_array_size(flow) - 1);
    json_object_update_new(r, json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "exams_in", exams[0],
                                        "exams_out", exams[0] - exams[1], "exams_touched", exams[2],
                                        "women_in", women[0], "women_out", women[0] - women[1],
                                        "women_touched", women[2]));
}

static bool has(size_t i, const char *key)
{
    return json_object_get(json_array_get(flow, i), key) != NULL;
}

static void few_women_are_joined_whatever_their_files(void **state)
{
    whole("scan", 100, 30, (const int[]){40, 12, 20}, (const int[]){30, 9, 20});
    whole("scan", 70, 12, (const int[]){28, 4, 4}, (const int[]){21, 2, 2});
    whole("scan", 58, 8, (const int[]){24, 6, 8}, (const int[]){19, 5, 8});
    joined_is((const int[]){30, 20, -1});
    assert_int_equal(at(0, "exams_lost"), 12);
    assert_int_equal(at(0, "exams_part"), 8);
    assert_int_equal(at(1, "exams_in"), 28);
    assert_int_equal(at(1, "exams_lost"), 10);
    assert_int_equal(at(1, "exams_out"), 18);
    assert_int_equal(at(1, "women_lost"), 7);
    assert_int_equal(at(1, "women_out"), 14);
    assert_true(json_is_null(json_object_get(json_array_get(flow, 1), "exams_part")));
    for (size_t i = 0; i < 2; i++)
        assert_false(has(i, "women_touched") || has(i, "exams_touched"));
}

/* Some images of few women: the exams that they belong to are not counted. */
static void a_part_of_few_is_hidden(void **state)
{
    whole("scan", 100, 30, (const int[]){40, 12, 14}, (const int[]){30, 9, 14});
    joined_is((const int[]){30, -1});
    assert_true(json_is_null(json_object_get(json_array_get(flow, 0), "exams_part")));
}

/* Two exams of two women alone were lost: neither they nor a difference may tell of them. */
static void what_no_joining_hides_is_forgotten(void **state)
{
    whole("scan", 100, 30, (const int[]){40, 2, 20}, (const int[]){30, 2, 20});
    whole("split", 70, 0, (const int[]){38, 0, 0}, (const int[]){28, 0, 0});
    joined_is((const int[]){30, 0, -1});
    for (size_t i = 0; i < 2; i++)
        assert_false(has(i, "exams_in") || has(i, "women_out") || has(i, "exams_lost"));
}

/* An unlabelled exam goes uncounted; what was left before it must not give it away. */
static void few_behind_the_files_take_their_numbers_along(void **state)
{
    whole("scan", 100, 0, (const int[]){50, 0, 0}, (const int[]){40, 0, 0});
    row("report", "exams", 50, 2);
    joined_is((const int[]){0, 0, -1});
    assert_int_equal(at(1, "n_in"), 48);
    assert_false(has(0, "exams_out"));
}

static void wholes_must_add_up(void **state)
{
    static const struct {
        const char *key, *wanted;
        int value;
    } bad[] = {
        {"exams_in", "it begins with 41 exams, the row before it ended with 40", 41},
        {"exams_out", "40 exams in, 41 out", 41},
        {"women_touched", "1 touched", 1},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        err e = {0};
        json_array_clear(flow);
        whole("scan", 100, 0, (const int[]){40, 0, 0}, (const int[]){30, 0, 0});
        whole("scan", 100, 30, (const int[]){40, 12, 20}, (const int[]){30, 9, 20});
        adds_up();
        json_object_set_new(json_array_get(flow, 1), bad[i].key, json_integer(bad[i].value));
        assert_false(report_in_check_flow(flow, &e));
        if (!strstr(e.msg, bad[i].wanted))
            fail_msg("%s", e.msg);
    }
    json_object_set_new(json_array_get(flow, 1), "women_touched", json_string("x"));
    assert_false(report_in_check_flow(flow, NULL));
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
        T(reasons_of_files_stand_alone),
        T(one_alone_takes_the_next),
        T(a_small_stage_goes_with_its_neighbour),
        T(a_few_of_a_unit_are_not_counted),
        T(few_women_are_joined_whatever_their_files),
        T(a_part_of_few_is_hidden),
        T(what_no_joining_hides_is_forgotten),
        T(few_behind_the_files_take_their_numbers_along),
        T(wholes_must_add_up),
        T(random_books),
        T(without_a_minimum_all_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
