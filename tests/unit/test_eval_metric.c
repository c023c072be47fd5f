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

/* 10 women: 4 with cancer at their second exam, which score highest; a fifth has only that one.
 * Rows 2 i and 2 i + 1 are woman i's. */
typedef struct parted {
    double s[20], w[20];
    int y[20], c[20];
    metric_in in;
} parted;

static void part(parted *p)
{
    *p = (parted){{0}, {0}, {0}, {0}, {0}};
    for (int i = 0; i < 20; i++) {
        p->c[i] = i / 2;
        p->y[i] = (i % 2 == 1 && i < 10) || i == 8;
        p->s[i] = p->y[i] + .01 * i;
        p->w[i] = 1;
    }
    p->in = (metric_in){p->s, p->y, p->w, p->c, 20, 10, false};
}

/* 5 women with cancer, 9 women without, 10 in all: 5 pairs of different women. */
static void a_perfect_auc_is_not_certain(void **state)
{
    parted p;
    part(&p);
    metric_value v = metric_auc_report(&p.in);
    near(v.value, 1, 0);
    near(v.lo, pow(.025, 1. / 5), 1e-9);
    near(v.hi, 1, 0);
    assert_null(v.reason);
    assert_string_equal(v.ci, "exact-pairs");
    for (int i = 0; i < 20; i++)
        p.s[i] = -p.s[i];
    v = metric_auc_report(&p.in);
    near(v.value, 0, 0);
    near(v.hi, 1 - pow(.025, 1. / 5), 1e-9);
    p.w[1] = 0; /* one woman with cancer less */
    near(metric_auc_report(&p.in).hi, 1 - pow(.025, 1. / 4), 1e-9);
    for (int i = 0; i < 20; i++)
        p.c[i] = i / 2 % 6; /* 6 women: 3 pairs at most, whoever they are */
    p.in.n_clusters = 6;
    near(metric_auc_report(&p.in).hi, 1 - pow(.025, 1. / 3), 1e-9);
    for (int i = 0; i < 20; i++)
        p.s[i] = 1; /* no order at all: nothing to be exact about */
    assert_string_equal(metric_auc_report(&p.in).reason, "DEGENERATE");
}

static void shares_of_all_and_none(void **state)
{
    parted p;
    part(&p);
    double lo = 1, hi = 1;
    assert_true(metric_exact_share(&p.in, 1, 1, &lo, &hi));
    near(lo, pow(.025, 1. / 5), 1e-9); /* five women, one with two exams */
    near(hi, 1, 0);
    lo = hi = 0;
    assert_true(metric_exact_share(&p.in, -1, 0, &lo, &hi));
    near(hi, 1 - pow(.025, 1. / 10), 1e-9);
    lo = .9;
    hi = 1;
    assert_false(metric_exact_share(&p.in, 1, 1, &lo, &hi)); /* resampling saw others */
    near(lo, .9, 0);
    lo = hi = NAN;
    assert_false(metric_exact_share(&p.in, 1, .5, &lo, &hi));
    assert_false(metric_exact_share(&p.in, 1, NAN, &lo, &hi));
    assert_true(isnan(lo));
}

/* The same through the operating points of women with several exams. */
static void rates_of_one_have_a_width(void **state)
{
    parted p;
    part(&p);
    report_cfg want = {.bootstrap = 200, .seed = 1};
    want.spec.n = want.top.n = 1;
    want.spec.v[0] = .5;
    want.top.v[0] = .2;
    pool *threads = pool_new(1);
    operate_result *r = MEM_NEW(operate_result);
    p.in.weight = NULL;
    cohort_view v = {p.s, p.w, p.y, p.c, 20, 6, 10, p.in};
    operate_run(&v, &v, true, &want, threads, r);
    near(r->point[0].sens.value, 1, 0);
    near(r->point[0].sens.lo, pow(.025, 1. / 5), 1e-9);
    assert_string_equal(r->point[0].ci, "bootstrap-exact");
    assert_true(isnan(r->metric[0].lo)); /* the AUC of every draw is 1 */
    mem_free(r);
    pool_free(threads);
}

/* The band is made at some false-positive rates and drawn straight between them: it still holds
 * the curve, here one that is up before the first of 100 equal steps. */
static void the_band_holds_the_curve(void **state)
{
    enum { CASES = 40, ALL = 10040 };
    static int c[ALL], y[ALL];
    static double s[ALL], w[ALL];
    for (int i = 0; i < ALL; i++) {
        double part = i / (double)CASES;
        c[i] = i;
        y[i] = i < CASES;
        s[i] = y[i] ? 1 - .003 * part * part : (i - CASES + .5) / (ALL - CASES);
        w[i] = 1;
    }
    metric_in in = {s, y, NULL, c, ALL, ALL, false};
    cohort_view v = {s, w, y, c, ALL, CASES, ALL, in};
    report_cfg want = {.bootstrap = 200, .seed = 3};
    pool *p = pool_new(1);
    operate_result *r = MEM_NEW(operate_result);
    curve at = {0};
    operate_run(&v, NULL, false, &want, p, r);
    assert_true(r->band && curve_build(&in, &at));
    near(operate_fpr(0), 0, 0);
    near(operate_fpr(OPERATE_GRID - 1), 1, 0);
    for (int64_t i = 0; i + 1 < at.n; i++) {
        int g = 0;
        if (at.p[i + 1].fpr == at.p[i].fpr) /* straight up: the band is of the upper end */
            continue;
        while (operate_fpr(g + 1) <= at.p[i].fpr)
            g++;
        double part = (at.p[i].fpr - operate_fpr(g)) / (operate_fpr(g + 1) - operate_fpr(g)),
               lo = r->tpr_lo[g] + part * (r->tpr_lo[g + 1] - r->tpr_lo[g]),
               hi = r->tpr_hi[g] + part * (r->tpr_hi[g + 1] - r->tpr_hi[g]);
        if (at.p[i].tpr < lo - 1e-12 || at.p[i].tpr > hi + 1e-12)
            fail_msg("at %g: %g is not in %g to %g", at.p[i].fpr, at.p[i].tpr, lo, hi);
    }
    curve_release(&at);
    mem_free(r);
    pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capture_of_ties),
        cmocka_unit_test(top_share_is_of_whole_exams),
        cmocka_unit_test(partial_areas_add_up),
        cmocka_unit_test(quantiles_are_type_7),
        cmocka_unit_test(few_women_widen_the_headline),
        cmocka_unit_test(a_perfect_auc_is_not_certain),
        cmocka_unit_test(shares_of_all_and_none),
        cmocka_unit_test(rates_of_one_have_a_width),
        cmocka_unit_test(the_band_holds_the_curve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
