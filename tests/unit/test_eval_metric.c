/* Golden values of the evaluation specification (evaluation.md 16): R pROC, scikit-learn, closed
 * forms. The data set SYN-40 stands in evaluation.md 15. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "core/mem.h"
#include "eval/boot.h"
#include "eval/curve.h"
#include "eval/exam.h"
#include "eval/metric.h"
#include <math.h>
#include "tests/unit/eval_syn40.h"

#define TOL 1e-10
static void near(double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("got %.15g, want %.15g", got, want);
}

static metric_in syn(const double *s)
{
    return (metric_in){s, syn_y, NULL, NULL, 40, 0, false};
}

static metric_in syn_clustered(const double *s)
{
    static int c[40];
    for (int i = 0; i < 40; i++)
        c[i] = i < 30 ? i : (i - 30) * 3;
    return (metric_in){s, syn_y, NULL, c, 40, 30, false};
}

static double point(const char *id, const metric_in *in)
{
    for (int i = 0; i < metric_table_n; i++)
        if (!strcmp(metric_table[i].id, id))
            return metric_table[i].point(in);
    fail_msg("no metric %s", id);
    return 0;
}

static void g1_four_rows(void **state)
{
    const double s[] = {.1, .4, .35, .8};
    const int y[] = {0, 0, 1, 1};
    metric_in in = {s, y, NULL, NULL, 4, 0, false};
    metric_value v = metric_auc(&in);
    near(v.value, .75, TOL);
    near(v.var, .125, TOL);
    near(v.lo, .0570, 5e-5);
    near(v.hi, 1, 0);
    assert_string_equal(v.ci, "delong");
    assert_string_equal(v.flag, "FEW_EVENTS");
    near(point("ap", &in), .8333333333, TOL);
    metric_value r = metric_auc_report(&in); /* fewer than 5 of a class: counts only */
    assert_true(isnan(r.value));
    assert_string_equal(r.reason, "FEW_EVENTS");
    assert_int_equal(r.events, 2);
}

static void g4_g5_delong(void **state)
{
    metric_in in = syn(syn_a);
    metric_value v = metric_auc(&in);
    near(v.value, .68625, TOL);
    near(v.var, .00812483552631579, 1e-14);
    near(v.lo, .509583022046409, TOL);
    near(v.hi, .862916977953591, TOL);
    near(v.logit_lo, .490532452157841, TOL);
    near(v.logit_hi, .832460373659855, TOL);
    assert_null(v.flag);
    metric_value r = metric_auc_report(&in); /* 20 cases: the logit interval is the headline */
    near(r.lo, .490532452157841, TOL);
    assert_string_equal(r.ci, "delong-logit");
    in = syn(syn_b);
    v = metric_auc(&in);
    near(v.value, .7075, TOL);
    near(v.var, .0071453947368421, 1e-14);
}

static void g6_g7_pairs(void **state)
{
    metric_in in = syn(syn_a);
    metric_pair p = metric_auc_pair(&in, syn_b);
    near(p.cov, .00399111842105263, 1e-14);
    near(p.z, -.248917223695383, TOL);
    near(p.p, .80342481196284, TOL);
    near(p.lo, -.188571626254538, TOL);
    near(p.hi, .146071626254538, TOL);
    in = syn_clustered(syn_a);
    p = metric_auc_pair(&in, syn_b);
    near(p.var_a, .0105332868534483, 1e-14);
    near(p.var_b, .00796488706896552, 1e-14);
    near(p.cov, .00495938735632184, 1e-14);
    near(p.z, -.229419588322222, TOL);
    near(p.p, .818542812852061, TOL);
}

static void g8_clustered(void **state)
{
    metric_in in = syn_clustered(syn_a);
    metric_clustered c = metric_auc_parts(&in);
    assert_int_equal(c.i, 30);
    assert_int_equal(c.i10, 16);
    assert_int_equal(c.i01, 16);
    near(c.s10, .0281323333333, 1e-12);
    near(c.s01, .1799856666667, 1e-12);
    near(c.s11, .0254773706897, 1e-12);
    metric_value v = metric_auc(&in);
    near(v.lo, .485095363727, 1e-11);
    near(v.hi, .887404636273, 1e-11);
    assert_string_equal(v.ci, "clustered");
}

typedef struct boot_ctx {
    metric_in in;
} boot_ctx;

static bool boot_auc(void *ctx, const int32_t *times, double *out, int thread)
{
    boot_ctx *b = ctx;
    double w[40];
    metric_in in = b->in;
    for (int i = 0; i < 40; i++)
        w[i] = times[in.cluster ? in.cluster[i] : i];
    in.weight = w;
    *out = metric_table[0].point(&in);
    return !isnan(*out);
}

static void g9_bootstrap(void **state)
{
    boot_ctx c = {syn(syn_a)};
    pool *p = pool_new(2);
    boot_result r;
    double lo, hi, sd;
    boot_spec s = {40, syn_y, 2, 10000, 7, 1, boot_auc, &c, p};
    boot_run(&s, &r); /* exams, stratified by class */
    assert_true(boot_interval(&r, 0, .95, &lo, &hi, &sd));
    near(lo, .506, .008);
    near(hi, .849, .008);
    boot_release(&r);
    c.in = syn_clustered(syn_a);
    s.n_clusters = 30;
    s.stratum = NULL;
    boot_run(&s, &r); /* patients, not stratified */
    assert_true(boot_interval(&r, 0, .95, &lo, &hi, &sd));
    near(lo, .478, .008);
    near(hi, .873, .008);
    near(sd, .1007, .004);
    boot_result one;
    pool *single = pool_new(1);
    s.pool = single;
    boot_run(&s, &one);
    assert_memory_equal(one.value, r.value, 10000 * sizeof(double));
    boot_release(&one);
    boot_release(&r);
    pool_free(single);
    pool_free(p);
}

static void g10_other_metrics(void **state)
{
    metric_in a = syn(syn_a), b = syn(syn_b);
    near(point("ap", &a), .63370047212102, TOL);
    near(point("ap", &b), .722872909096701, TOL);
    near(point("pauc_10", &a), .513157894736842, TOL);
    near(metric_hanley_mcneil(.68625, 20, 20), .00714292830504524, 1e-14);
}

static void g11_weights(void **state)
{
    double w[40];
    for (int i = 0; i < 40; i++)
        w[i] = !syn_y[i] && i % 2 == 0 ? 3 : 1;
    metric_in in = syn(syn_a);
    in.weight = w;
    near(metric_auc(&in).value, .703645833333333, TOL);
}

static void g12_large_counts(void **state)
{
    const int n = 70000;
    double *s = MEM_ARRAY(double, 2 * n);
    int *y = MEM_ARRAY(int, 2 * n);
    for (int i = 0; i < n; i++) {
        s[i] = i;
        s[n + i] = i + .5;
        y[n + i] = 1;
    }
    metric_in in = {s, y, NULL, NULL, 2 * n, 0, false};
    metric_value v = metric_auc(&in);
    near(v.value, 70001. / 140000., 1e-15);
    near(v.var, 2.380986394557823e-6, 1e-16);
    mem_free(s);
    mem_free(y);
}

static void g13_degenerate(void **state)
{
    const double same[] = {.5, .5, .5, .5}, split[] = {.1, .2, .8, .9};
    const int y[] = {0, 0, 1, 1}, ones[] = {1, 1, 1, 1};
    metric_in in = {same, y, NULL, NULL, 4, 0, false};
    metric_value v = metric_auc(&in);
    near(v.value, .5, 0);
    near(v.var, 0, 0);
    assert_true(isnan(v.lo) && isnan(v.hi));
    assert_string_equal(v.reason, "DEGENERATE");
    in.score = split;
    v = metric_auc(&in);
    near(v.value, 1, 0);
    assert_string_equal(v.reason, "DEGENERATE");
    in.y = ones;
    v = metric_auc(&in);
    assert_true(isnan(v.value));
    assert_string_equal(v.reason, "ONE_CLASS");
    assert_int_equal(v.events, 4);
}

static void operating(const double *s, bool sens, double target, double value, double threshold)
{
    metric_in in = syn(s);
    curve c = {0};
    assert_true(curve_build(&in, &c));
    const curve_point *p = &c.p[sens ? curve_at_sens(&c, target) : curve_at_spec(&c, target)];
    near(sens ? 1 - p->fpr : p->tpr, value, TOL);
    near(p->threshold, threshold, 1e-15);
    assert_int_equal(curve_at_threshold(&c, p->threshold), p - c.p);
    curve_release(&c);
}

static void g14_g15_operating_points(void **state)
{
    operating(syn_a, false, .8, .20, .65);
    operating(syn_a, false, .9, .20, .68);
    operating(syn_a, false, .95, .10, .71);
    operating(syn_b, false, .8, .60, .34);
    operating(syn_b, false, .9, .40, .47);
    operating(syn_b, false, .95, .25, .54);
    operating(syn_a, true, .8, .60, .41);
    operating(syn_a, true, .9, .55, .34);
    operating(syn_a, true, .95, .45, .27);
}

static void g16_g17_proportions(void **state)
{
    double lo, hi;
    assert_true(metric_wilson(26, 41, &lo, &hi));
    near(lo, .48120701, 1e-8);
    near(hi, .76410169, 1e-8);
    assert_true(metric_clopper_pearson(26, 41, &lo, &hi));
    near(lo, .46936255, 1e-8);
    near(hi, .77877214, 1e-8);
    assert_true(metric_wilson(58, 72, &lo, &hi));
    near(lo, .69967241, 1e-8);
    near(hi, .88048521, 1e-8);
    assert_true(metric_clopper_pearson(58, 72, &lo, &hi));
    near(lo, .69533107, 1e-8);
    near(hi, .88941621, 1e-8);
    assert_true(metric_wilson(0, 20, &lo, &hi));
    near(lo, 0, 0);
    near(hi, .16112516, 1e-8);
    assert_true(metric_clopper_pearson(0, 20, &lo, &hi));
    near(hi, .16843347, 1e-8);
    assert_false(metric_wilson(0, 0, &lo, &hi));
}

static void g18_predictive_values(void **state)
{
    near(metric_ppv(.8, .9, .006), .0460652591, 1e-10);
    near(metric_npv(.8, .9, .006), .9986604153, 1e-10);
    assert_true(isnan(metric_ppv(0, 1, .006)));
}

/* First and last exam of each patient: exams 1..30 come first, 31..40 repeat 1, 4, 7 ... */
static void g28_one_exam_per_patient(void **state)
{
    double s[30];
    int y[30];
    for (int last = 0; last < 2; last++) {
        int cases = 0;
        for (int i = 0; i < 30; i++) {
            int k = last && i % 3 == 0 ? 30 + i / 3 : i;
            s[i] = syn_a[k];
            y[i] = syn_y[k];
            cases += y[i];
        }
        metric_in in = {s, y, NULL, NULL, 30, 0, false};
        metric_value v = metric_auc(&in);
        near(v.value, last ? .693333333333 : .72, 1e-11);
        assert_int_equal(cases, 15);
    }
}

static void g33_table(void **state)
{
    const int controls[] = {37, 20, 3, 8, 4}, cases[] = {2, 12, 1, 8, 18};
    double s[200];
    int y[200], n = 0;
    for (int k = 0; k < 5; k++)
        for (int i = 0; i < controls[k] + cases[k]; i++, n++) {
            s[n] = k + 1;
            y[n] = i >= controls[k];
        }
    metric_in in = {s, y, NULL, NULL, n, 0, false};
    metric_value v = metric_auc(&in);
    near(v.value, .823678861788618, TOL);
    near(v.var, .00146991470882363, 1e-14);
    near(v.lo, .748534887819453, TOL);
    near(v.hi, .898822835757783, TOL);
}

static void capture_of_ties(void **state)
{
    const double s[] = {.9, .8, .8, .8, .1, .1, .1, .1, .1, .1};
    const int y[] = {1, 1, 0, 0, 0, 0, 0, 0, 0, 1};
    metric_in in = {s, y, NULL, NULL, 10, 0, false};
    curve_top t;
    assert_true(curve_capture(&in, .2, &t)); /* one of the three tied rows is inside */
    assert_int_equal(t.k, 2);
    near(t.capture_min, 1. / 3, TOL);
    near(t.capture_max, 2. / 3, TOL);
    assert_true(curve_capture(&in, .4, &t));
    near(t.capture_min, 2. / 3, TOL);
    near(t.capture_max, 2. / 3, TOL);
    assert_false(curve_capture(&in, 0, &t));
}

static void quantiles_are_type_7(void **state)
{
    const double v[] = {1, 2, 3, 4};
    near(boot_quantile(v, 4, .025), 1.075, 1e-15);
    near(boot_quantile(v, 4, .5), 2.5, 1e-15);
    near(boot_quantile(v, 4, 1), 4, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(g1_four_rows),
        cmocka_unit_test(g4_g5_delong),
        cmocka_unit_test(g6_g7_pairs),
        cmocka_unit_test(g8_clustered),
        cmocka_unit_test(g9_bootstrap),
        cmocka_unit_test(g10_other_metrics),
        cmocka_unit_test(g11_weights),
        cmocka_unit_test(g12_large_counts),
        cmocka_unit_test(g13_degenerate),
        cmocka_unit_test(g14_g15_operating_points),
        cmocka_unit_test(g16_g17_proportions),
        cmocka_unit_test(g18_predictive_values),
        cmocka_unit_test(g28_one_exam_per_patient),
        cmocka_unit_test(g33_table),
        cmocka_unit_test(capture_of_ties),
        cmocka_unit_test(quantiles_are_type_7),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
