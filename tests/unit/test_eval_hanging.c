/* The hanging protocol: places, what is beside, one scale in millimetres or none. */
#include "tests/unit/eval_page.h"

#include "eval/hanging.h"

static json_t *page_of(int n, json_t *const *views)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, views[i]);
    return json_pack("{s:o}", "views", list);
}

static void test_places(void **state)
{
    report_image m = {.width = 100, .height = 200};
    json_t *wrong = page_view_json("RMLO", 5, &m, 0.5, NULL);
    json_object_set_new(wrong, "chest_wall", json_string("left")); /* not hung as its place wants */
    json_t *page = page_of(6, (json_t *[]){page_view_json("LMLO", 0, &m, 0.5, NULL),
                                           page_view_json("RCC", 1, &m, 0.5, NULL),
                                           page_view_json("LCC", 2, &m, 0.5, NULL),
                                           page_view_json("RCC", 3, &m, 0.5, NULL),
                                           page_view_json("L", 4, &m, 0.5, NULL), wrong});
    hanging h;
    hanging_of(page, 50, &h);
    static const int image[HANGING_PLACES] = {1, 2, -1, 0};
    for (int k = 0; k < HANGING_PLACES; k++) {
        if (image[k] < 0)
            assert_null(h.place[k]);
        else
            assert_int_equal(json_integer_value(json_object_get(h.place[k], "image")), image[k]);
    }
    assert_int_equal(h.n_placed, 3);
    const json_t *views = json_object_get(page, "views");
    static const bool held[] = {true, true, true, false, false, false};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(hanging_holds(&h, json_array_get(views, i)), held[i]);
    json_decref(page);
    (void)state;
}

static void test_scale(void **state)
{
    report_image small = {.width = 100, .height = 200}, large = {.width = 300, .height = 100};
    hanging h;
    json_t *a = page_of(2, (json_t *[]){page_view_json("RCC", 0, &small, 0.5, NULL),
                                        page_view_json("LCC", 1, &large, 0.25, NULL)});
    json_t *b = page_of(2, (json_t *[]){page_view_json("RCC", 0, &small, 0.5, NULL),
                                        page_view_json("LCC", 1, &large, 0, NULL)});
    json_t *both = json_pack("[O, O]", a, b);
    assert_true(hanging_widest_mm(both) == 75);
    hanging_of(a, 75, &h);
    assert_true(h.in_mm && h.widest == 75);
    assert_true(hanging_width(&h, h.place[HANGING_RCC]) == 50);
    assert_true(hanging_height(&h, h.place[HANGING_LCC]) == 25);
    hanging_of(b, 75, &h); /* one size unknown: pixels, and the exam's own scale */
    assert_true(!h.in_mm && h.widest == 300);
    assert_true(hanging_width(&h, h.place[HANGING_RCC]) == 100);
    hanging_of(a, NAN, &h);
    assert_true(!h.in_mm && h.widest == 300);
    json_decref(both);
    json_decref(a);
    json_decref(b);
    (void)state;
}

static void test_layers(void **state)
{
    report_image m = {.width = 10, .height = 10};
    json_t *two = json_array();
    json_array_append_new(two, page_layer_json("survival", "..", ".."));
    json_array_append_new(two, page_layer_json("rollout", "..", ".."));
    json_t *one = json_pack("[o]", page_layer_json("rollout", "..", ".."));
    json_t *page = page_of(2, (json_t *[]){page_view_json("RCC", 0, &m, 0, one),
                                           page_view_json("LCC", 1, &m, 0, two)});
    hanging h;
    hanging_of(page, NAN, &h);
    assert_int_equal(h.n_layers, 2);
    assert_string_equal(h.layer[0], "rollout");
    assert_string_equal(h.layer[1], "survival");
    assert_null(hanging_layer(h.place[HANGING_RCC], "survival"));
    assert_non_null(hanging_layer(h.place[HANGING_LCC], "survival"));
    json_decref(page);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
