/* Risk strata: what is in a group, ratios against others, ties at a cut, weights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "core/mem.h"
#include "eval/decile.h"
#include "tests/unit/eval_syn40.h"
#include <math.h>

static void near(double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("got %.15g, want %.15g", got, want);
}

static void groups_of_ten(void **state)
{
    metric_in in = {syn_a, syn_y, NULL, NULL, 40, 0, false};
    decile_table *t = MEM_NEW(decile_table);
    decile_build(&in, NULL, 4, t);
    const double o[] = {1, 6, 8, 5}, e[] = {1.81, 3.61, 5.01, 6.91}; /* G22 */
    double share = 0;
    assert_int_equal(t->k, 4);
    for (int i = 0; i < 4; i++) {
        const decile_row *r = &t->row[i];
        near(r->observed, o[i], 0);
        near(r->expected, e[i], 1e-14);
        near(r->oe.value, o[i] / e[i], 1e-14);
        near(r->share, o[i] / 20, 1e-15);
        near(r->versus_lowest.value, o[i], 1e-14);
        near(r->versus_middle.value, o[i] / 7, 1e-14); /* the two in the middle: 14 of 20 */
        share += r->share;
    }
    near(share, 1, 1e-15);
    near(t->row[0].oe.lo, 0.0253178 / 1.81, 1e-7);
    near(t->trend.z * t->trend.z, 3.92, 1e-12);
    assert_false(t->tie_split);
    decile_build(&in, NULL, 5, t); /* an odd number has one in the middle */
    near(t->row[2].versus_middle.value, 1, 1e-15);
    mem_free(t);
}

static void ties_and_few_rows(void **state)
{
    const double s[] = {.1, .1, .1, .2}, odd[] = {.1, .2, 3, .4};
    const int y[] = {0, 0, 1, 1}, none[] = {0, 0, 0, 0};
    metric_in in = {s, y, NULL, NULL, 4, 0, false};
    decile_table *t = MEM_NEW(decile_table);
    decile_build(&in, NULL, 2, t);
    assert_true(t->tie_split && t->row[1].group.tie_split);
    assert_int_equal(t->row[0].group.events, 0);
    assert_int_equal(t->row[1].group.events, 2);
    assert_string_equal(t->row[1].versus_lowest.reason, "NO_EVENTS");
    assert_true(isnan(t->row[1].versus_lowest.value));
    decile_build(&in, NULL, 10, t);
    assert_int_equal(t->k, 4);
    in.y = none;
    decile_build(&in, NULL, 2, t);
    assert_true(isnan(t->row[0].share) && isnan(t->trend.z));
    in.score = odd;
    decile_build(&in, NULL, 2, t);
    assert_int_equal(t->k, 0);
    assert_string_equal(t->reason, "NOT_RISK");
    in.n = 0;
    decile_build(&in, NULL, 2, t);
    assert_string_equal(t->reason, "EMPTY");
    mem_free(t);
}

/* The same weight everywhere changes no rate, ratio or interval. */
static void equal_weights_change_nothing(void **state)
{
    double w[40];
    for (int i = 0; i < 40; i++)
        w[i] = 3;
    metric_in in = {syn_a, syn_y, NULL, NULL, 40, 0, false}, weighted = in;
    weighted.weight = w;
    decile_table *a = MEM_NEW(decile_table), *b = MEM_NEW(decile_table);
    decile_build(&in, NULL, 4, a);
    decile_build(&weighted, NULL, 4, b);
    for (int i = 0; i < 4; i++) {
        const decile_row *p = &a->row[i], *q = &b->row[i];
        near(q->observed, 3 * p->observed, 1e-13);
        near(q->oe.lo, p->oe.lo, 1e-13);
        near(q->oe.hi, p->oe.hi, 1e-13);
        near(q->group.lo, p->group.lo, 1e-13);
        near(q->versus_middle.hi, p->versus_middle.hi, 1e-12);
        near(q->share, p->share, 1e-15);
        assert_int_equal(q->group.events, p->group.events);
    }
    mem_free(a);
    mem_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_of_ten),
        cmocka_unit_test(ties_and_few_rows),
        cmocka_unit_test(equal_weights_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
