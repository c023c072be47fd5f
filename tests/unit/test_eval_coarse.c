/* Groups that are joined until each is large enough to be told: neighbours, others, what another
 * grouping tells, signs of all groups or of none, cuts of an order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/mem.h"
#include "eval/coarse.h"

#define MANY 400

static exam_table table;
static exam_row rows[MANY];
static int woman[MANY], y[MANY];
static bool positive[MANY];

static void begin(void)
{
    memset(rows, 0, sizeof rows);
    table = (exam_table){.row = rows};
}

/* `cases` exams with cancer and `controls` without, every one of another woman. */
static void add(int age, const char *vendor, const char *model, int cases, int controls)
{
    for (int i = 0; i < cases + controls; i++) {
        int64_t k = table.n++;
        assert_true(k < MANY);
        rows[k].age = age;
        rows[k].vendor = (char *)vendor;
        rows[k].device_model = (char *)model;
        rows[k].y = y[k] = i < cases;
        woman[k] = (int)k;
        positive[k] = false;
    }
}

static void split(const char *name, strata_var *v, strata_groups *g)
{
    const strata_source source = {&table, 60, 730};
    assert_true(strata_find(name, &source, v, NULL));
    strata_split(v, &table, g);
}

static disclose *ledger(int64_t minimum)
{
    return disclose_new(woman, y, table.n, minimum);
}

/* The variable alone in a ledger of its own; names of its groups, NULL ends them. */
static void gives(const char *name, int64_t minimum, bool shown, const char *const *want)
{
    strata_var v;
    strata_groups g;
    disclose *d = ledger(minimum);
    int k = 0;
    split(name, &v, &g);
    coarse_guard(d, &g, NULL);
    assert_int_equal(coarse_groups(d, &v, &g), shown);
    for (; k < g.n && want[k]; k++)
        assert_string_equal(g.g[k].level, want[k]);
    if (k < g.n || want[k])
        fail_msg("%s: %d groups, %s", name, g.n, want[k] ? want[k] : "too many");
    strata_release(&g);
    disclose_free(d);
}

static void an_order_joins_neighbours(void **state)
{
    begin();
    add(45, "A", "a", 4, 20); /* few with cancer: with the next */
    add(55, "A", "a", 9, 20);
    add(65, "A", "a", 8, 20);
    add(75, "A", "a", 7, 4); /* few without */
    gives("age", 5, true, (const char *const[]){"under 60", "60 or older", NULL});
    gives("age", 0, true, (const char *const[]){"under 50", "50-59", "60-69", "70 or older", NULL});
    begin();
    add(45, "A", "a", 6, 20);
    add(55, "A", "a", 4, 9); /* with the smaller neighbour */
    add(65, "A", "a", 8, 12);
    add(75, "A", "a", 7, 30);
    add(-1, "A", "a", 2, 1); /* no age: no neighbour but the last */
    gives("age", 5, true,
          (const char *const[]){"under 50", "50-69", "70 or older or unknown", NULL});
}

static void names_go_together_as_others(void **state)
{
    begin();
    add(50, "A", "a", 9, 40);
    add(50, "B", "b", 8, 20);
    add(50, "C", "c", 2, 20);
    add(50, "D", "d", 9, 3);
    add(50, "", "", 6, 9);
    gives("vendor", 5, true,
          (const char *const[]){"A", "B", "other groups together (C, D)", "unknown", NULL});
    begin();
    add(50, "A", "a", 9, 40);
    add(50, "B", "b", 8, 20);
    add(50, "C", "c", 0, 20); /* no cancer at all: that would tell where all of them are */
    gives("vendor", 5, true, (const char *const[]){"A", "other groups together (B, C)", NULL});
    begin();
    add(50, "A", "a", 9, 40);
    add(50, "B", "b", 1, 20);
    gives("vendor", 5, false, (const char *const[]){"other groups together (A, B)", NULL});
    begin();
    add(50, "A", "a", 1, 40); /* one group from the start tells nothing but the total */
    gives("vendor", 5, true, (const char *const[]){"A", NULL});
}

/* Vendor A less its model a1 would be the two exams of a2. */
static void groupings_know_each_other(void **state)
{
    strata_var vendor, model;
    strata_groups by_vendor, by_model;
    begin();
    add(50, "A", "a1", 9, 40);
    add(50, "A", "a2", 1, 1);
    add(50, "B", "b1", 8, 20);
    add(50, "C", "c1", 7, 12);
    disclose *d = ledger(5);
    split("vendor", &vendor, &by_vendor);
    split("device_model", &model, &by_model);
    coarse_guard(d, &by_vendor, NULL);
    coarse_guard(d, &by_model, NULL);
    assert_true(coarse_groups(d, &vendor, &by_vendor) && coarse_groups(d, &model, &by_model));
    assert_int_equal(by_vendor.n, 3);
    assert_int_equal(by_model.n, 2); /* a1 may not stand alone */
    assert_string_equal(by_model.g[0].level, "b1");
    assert_string_equal(by_model.g[1].level, "other groups together (a1, a2, c1)");
    strata_release(&by_vendor);
    strata_release(&by_model);
    disclose_free(d);
}

static bool signs(disclose_class class)
{
    strata_var v;
    strata_groups g;
    disclose *d = ledger(5);
    split("vendor", &v, &g);
    coarse_guard(d, &g, positive);
    bool ok = coarse_groups(d, &v, &g) && coarse_signs(d, &g, class, positive);
    strata_release(&g);
    disclose_free(d);
    return ok;
}

static void signs_of_all_groups_or_none(void **state)
{
    begin();
    add(50, "A", "a", 12, 40);
    add(50, "B", "b", 12, 20);
    for (int i = 0; i < table.n; i++)
        positive[i] = i % 2; /* 6 of 12, 20 of 40; 6 of 12, 10 of 20 */
    assert_true(signs(DISCLOSE_CASES));
    assert_true(signs(DISCLOSE_CONTROLS));
    for (int i = 0; i < 12; i++)
        positive[i] = true; /* no miss in A: all are in B */
    assert_false(signs(DISCLOSE_CASES));
    assert_true(signs(DISCLOSE_CONTROLS));
    positive[0] = positive[1] = false; /* two are few */
    assert_false(signs(DISCLOSE_CASES));
}

/* Exams of another table in the groups of this one. */
static void another_table_follows(void **state)
{
    strata_var v;
    strata_groups g, there;
    begin();
    add(50, "A", "a", 9, 40);
    add(50, "B", "b", 8, 20);
    add(50, "C", "c", 2, 20);
    disclose *d = ledger(5);
    split("vendor", &v, &g);
    assert_true(coarse_groups(d, &v, &g));
    disclose_free(d);
    begin();
    add(50, "C", "c", 3, 3);
    add(50, "E", "e", 1, 1);
    add(50, "B", "b", 2, 5);
    strata_follow(&v, &table, &g, &there);
    assert_int_equal(there.n, 3);
    const struct {
        const char *level;
        int64_t own;
    } want[] = {{"A", 0}, {"other groups together (B, C)", 13}, {"E", 2}};
    for (int i = 0; i < 3; i++) {
        assert_string_equal(there.g[i].level, want[i].level);
        assert_int_equal(there.g[i].own, want[i].own);
        for (int64_t k = 1; k < there.g[i].n; k++)
            assert_true(there.g[i].row[k] > there.g[i].row[k - 1]);
    }
    d = ledger(5);
    assert_false(coarse_counts(d, &v, &there)); /* two of E */
    disclose_free(d);
    strata_release(&g);
    strata_release(&there);
}

static bool refuses(void *ctx, int64_t cases, int64_t controls)
{
    const int64_t *never = ctx;
    assert_true(cases >= 5 && controls >= 5);
    return cases + controls != *never;
}

static void edges_hold_both_classes(void **state)
{
    int64_t order[100], edge[] = {10, 20, 30, 40, 50, 60, 70, 80, 90}, never = 60;
    begin();
    for (int i = 0; i < 10; i++)
        add(50, "A", "a", i < 2 ? 9 : i < 8 ? 3 : 0, i < 2 ? 1 : i < 8 ? 7 : 10);
    for (int i = 0; i < 100; i++)
        order[i] = i;
    disclose *d = ledger(5);
    /* 10: one without cancer; 20: two; 30: 21 and 9; 50: 6 and 14; 60 is refused; 70: 6 and 14;
     * behind it 3 are left */
    assert_int_equal(coarse_edges(d, order, 100, edge, 9, refuses, &never), 2);
    assert_true(edge[0] == 30 && edge[1] == 50);
    disclose_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_joins_neighbours), cmocka_unit_test(names_go_together_as_others),
        cmocka_unit_test(groupings_know_each_other), cmocka_unit_test(signs_of_all_groups_or_none),
        cmocka_unit_test(another_table_follows),     cmocka_unit_test(edges_hold_both_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
