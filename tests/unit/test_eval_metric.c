/* What the metrics promise beyond the golden answers of test_eval_golden.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "core/mem.h"
#include "core/pool.h"
#include "eval/operate.h"
#include "eval/boot.h"
#include "eval/curve.h"
#include "tests/unit/eval_syn40.h"
#include <math.h>
#include <string.h>

static void near(double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("got %.15g, want %.15g", got, want);
}

static void capture_of_ties(void **state)
{
    const double s[] = {.9, .8, .8, .8, .1, .1, .1, .1, .1, .1};
    const int y[] = {1, 1, 0, 0, 0, 0, 0, 0, 0, 1};
    metric_in in = {s, y, NULL, NULL, 10, 0, false};
    curve_top t;
    assert_true(curve_capture(&in, .2, &t)); /* one of the three tied rows is inside */
    assert_int_equal(t.k, 2);
    near(t.capture_min, 1. / 3, 1e-15);
    near(t.capture_max, 2. / 3, 1e-15);
    assert_true(curve_capture(&in, .4, &t));
    near(t.capture_min, 2. / 3, 1e-15);
    near(t.capture_max, 2. / 3, 1e-15);
    assert_false(curve_capture(&in, 0, &t));
}

static void quantiles_are_type_7(void **state)
{
    const double v[] = {1, 2, 3, 4};
    near(boot_quantile(v, 4, .025), 1.075, 1e-15);
    near(boot_quantile(v, 4, .5), 2.5, 1e-15);
    near(boot_quantile(v, 4, 1), 4, 0);
}

/* Parts of the range add up to the whole; a range is cut between points of the curve. */
static void partial_areas_add_up(void **state)
{
    metric_in in = {syn_a, syn_y, NULL, NULL, 40, 0, false};
    double sum = 0;
    for (int k = 0; k < 8; k++)
        sum += metric_pauc(&in, k / 8., (k + 1) / 8.).area;
    near(sum, metric_auc(&in).value, 1e-14);
    near(metric_pauc(&in, 0, 1).standardised, metric_auc(&in).value, 1e-14);
    near(metric_pauc(&in, 0, .1).standardised, .513157894736842, 1e-14);
    const double s[] = {.1, .2, .3, .4};
    const int y[] = {0, 1, 0, 1};
    metric_in four = {s, y, NULL, NULL, 4, 0, false};
    near(metric_pauc(&four, .25, .75).area, .25 * .5 + .25, 1e-15);
    near(metric_pauc(&four, .5, 1).standardised, 1, 1e-15);
    assert_true(isnan(metric_pauc(&four, .5, .5).area));
    assert_true(isnan(metric_pauc(&four, -.1, .5).area));
    four.n = 1;
    assert_true(isnan(metric_pauc(&four, 0, 1).area));
}

/* The first 36 exams: cases of 15 women, controls of 16. The headline has Student's t with 14
 * degrees of freedom (R: qt), the plain logit interval stays beside it. */
static void few_women_widen_the_headline(void **state)
{
    int c[36], y[36];
    for (int i = 0; i < 36; i++) {
        c[i] = syn_patient(i);
        y[i] = !syn_y[i];
    }
    metric_in in = {syn_a, syn_y, NULL, c, 36, 30, false};
    metric_value v = metric_auc_report(&in);
    assert_string_equal(v.ci, "clustered-logit");
    near(v.lo, .418153518530169, 1e-12);
    near(v.hi, .853017399798320, 1e-12);
    assert_true(v.logit_lo > v.lo + .01 && v.logit_hi < v.hi - .005);
    in.y = y; /* the class with fewer women decides, whichever it is */
    metric_value w = metric_auc_report(&in);
    near(w.lo, 1 - v.hi, 1e-12);
    near(w.hi, 1 - v.lo, 1e-12);
}

/* 5 % of 7 exams is the first one, whole: the rate that is reported is the share that is counted.
 */
static void top_share_is_of_whole_exams(void **state)
{
    (void)state;
    double score[7] = {.1, .2, .3, .4, .5, .6, .9};
    int y[7] = {0, 1, 0, 0, 1, 0, 1}, cluster[7] = {0, 1, 2, 3, 4, 5, 6};
    double weight[7] = {1, 1, 1, 1, 1, 1, 1};
    cohort_view v = {.score = score, .weight = weight, .y = y, .cluster = cluster, .n = 7};
    v.events = 3;
    v.n_patients = 7;
    v.in = (metric_in){.score = score, .y = y, .cluster = cluster, .n = 7, .n_clusters = 7};
    static const double shares[] = {.05, .4}, found[] = {1. / 3, 2. / 3},
                        flagged[] = {1. / 7, 3. / 7};
    report_cfg want = {0};
    want.top.n = 2;
    memcpy(want.top.v, shares, sizeof shares);
    operate_result *r = MEM_NEW(operate_result);
    pool *p = pool_new(1);
    operate_run(&v, NULL, false, &want, p, r);
    assert_int_equal(r->n_points, 2);
    for (int i = 0; i < 2; i++) {
        near(r->point[i].sens.value, found[i], 1e-15);
        near(r->point[i].flagged.value, flagged[i], 1e-15);
        near(r->point[i].capture_min, found[i], 1e-15);
        near(r->point[i].capture_max, found[i], 1e-15);
    }
    pool_free(p);
    mem_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capture_of_ties),
        cmocka_unit_test(top_share_is_of_whole_exams),
        cmocka_unit_test(partial_areas_add_up),
        cmocka_unit_test(quantiles_are_type_7),
        cmocka_unit_test(few_women_widen_the_headline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
