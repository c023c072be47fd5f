/* Time to diagnosis: mechanics of ties, weights, empty and censored sets, and a twin that visits
 * every pair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/mem.h"
#include "core/rng.h"
#include "eval/survive.h"
#include "tests/unit/eval_syn40.h"
#include <math.h>

#define ROWS  60
#define YEARS 3

static void near(double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("got %.15g, want %.15g", got, want);
}

/* ---- the specification's data ---------------------------------------------------------------- */

static survive_in syn(void)
{
    return (survive_in){.score = syn_a, .n_scores = 1, .t = syn_t, .event = syn_y, .n = 40};
}

static void concordance_of_the_specification(void **state)
{
    static int c[40];
    survive_in in = syn();
    survive_c h = survive_harrell(&in);
    near(h.value, .680045871559633, 1e-10);
    near(h.conc, 294, 0);
    near(h.disc, 137, 0);
    near(h.tied, 5, 0);
    near(h.var, .00515312738010947, 1e-10);
    assert_string_equal(h.ci, "jackknife");
    near(h.hi - h.value, METRIC_Z95 * sqrt(h.var), 1e-12);
    near(survive_uno(&in, NAN).value, .674612971966147, 1e-10);
    near(survive_mirai_compat(&in).value, .678833503, 1e-9);
    for (int i = 0; i < 40; i++)
        c[i] = i < 30 ? i : (i - 30) * 3;
    in.cluster = c;
    in.n_clusters = 30;
    h = survive_harrell(&in);
    near(h.var, .00574984905860756, 1e-10);
    assert_string_equal(h.ci, "jackknife-clustered");
}

static void years_of_the_specification(void **state)
{
    const double mirai[] = {.7236842105, .7196969697, .7209821429, .6764705882, .7305555556};
    const double ipcw[] = {.743243243, .696902655, .737286822, .659806802, .573038081};
    const int cases[] = {2, 6, 8, 16, 20}, controls[] = {38, 33, 28, 17, 9};
    survive_in in = syn();
    for (int y = 0; y < 5; y++) {
        metric_value v = survive_auc(&in, y + 1, SURVIVE_MIRAI);
        near(v.value, mirai[y], 1e-10);
        assert_int_equal(v.events, cases[y]);
        assert_int_equal(v.n - v.events, controls[y]);
        near(survive_auc(&in, y + 1, SURVIVE_IPCW).value, ipcw[y], 1e-9);
    }
    survive_risk r = survive_risk_at(&in, 3);
    near(r.brier, .199739351892, 1e-12);
    near(r.incidence, .209189189189, 1e-12);
    near(r.expected, 17.34 / 40, 1e-12);
    near(r.oe, .209189189189 / (17.34 / 40), 1e-10);
    assert_int_equal(r.n, 40);
    assert_int_equal(r.cases, 8);
    assert_int_equal(r.cases + r.beyond + r.lost, 40);
}

/* ---- a twin that visits every pair ----------------------------------------------------------- */

typedef struct sample {
    double score[YEARS * ROWS], t[ROWS], weight[ROWS];
    int event[ROWS], cluster[ROWS];
    survive_in in;
} sample;

/* Few distinct times and scores, so that everything ties with everything. */
static void draw(sample *s, int seed, int columns, bool weighted)
{
    rng g;
    rng_init(&g, 7, RNG_TEST, (uint64_t)seed, 0);
    for (int i = 0; i < ROWS; i++) {
        s->t[i] = rng_below(&g, 9) / 2.0;
        s->event[i] = rng_below(&g, 3) == 0;
        s->weight[i] = weighted ? 0.5 + rng_below(&g, 4) : 1;
        s->cluster[i] = (int)rng_below(&g, 25);
        for (int k = 0; k < YEARS; k++)
            s->score[k * ROWS + i] = rng_below(&g, 12) / 12.0;
    }
    s->in = (survive_in){.score = s->score,
                         .n_scores = columns,
                         .t = s->t,
                         .event = s->event,
                         .cluster = s->cluster,
                         .weight = weighted ? s->weight : NULL,
                         .n = ROWS,
                         .n_clusters = 25};
}

/* Kaplan-Meier by its definition: the product over all times up to t (or before t). */
static double twin_km(const survive_in *in, const double *w, bool censoring, double t, bool with_t)
{
    double s = 1, done = -1;
    for (;;) {
        double at = INFINITY, risk = 0, cancers = 0, censored = 0;
        for (int64_t i = 0; i < in->n; i++)
            if (in->t[i] > done)
                at = fmin(at, in->t[i]);
        if (at > t || (at == t && !with_t))
            return s;
        for (int64_t i = 0; i < in->n; i++) {
            risk += in->t[i] >= at ? w[i] : 0;
            cancers += in->t[i] == at && in->event[i] ? w[i] : 0;
            censored += in->t[i] == at && !in->event[i] ? w[i] : 0;
        }
        if (censoring && risk - cancers > 0)
            s *= 1 - censored / (risk - cancers);
        if (!censoring)
            s *= 1 - cancers / risk;
        done = at;
    }
}

typedef enum twin_kind { TWIN_HARRELL, TWIN_UNO, TWIN_MIRAI } twin_kind;

static double twin_pairs; /* weights of all pairs that twin_c met last */

/* C with the rows' weights w; the curves are those of the weights `known`. */
static double twin_c(const survive_in *in, twin_kind kind, double tau, const double *w,
                     const double *known)
{
    double won = 0, all = 0;
    for (int64_t i = 0; i < in->n; i++)
        for (int64_t j = 0; j < in->n; j++) {
            if (!in->event[i] ||
                !(in->t[i] < in->t[j] || (in->t[i] == in->t[j] && !in->event[j])) ||
                (kind == TWIN_UNO && in->t[i] > tau))
                continue;
            double t = kind == TWIN_MIRAI ? in->t[j] : in->t[i], curve = 1;
            if (kind == TWIN_UNO)
                curve = twin_km(in, known, true, t, false);
            if (kind == TWIN_MIRAI)
                curve = twin_km(in, known, false, t, true);
            int k = (int)fmin(fmax(ceil(t), 1), in->n_scores) - 1;
            double a = in->score[k * in->n + i], b = in->score[k * in->n + j];
            double pair = w[i] * w[j] / (curve * curve);
            all += pair;
            won += pair * (a > b ? 1 : a == b ? 0.5 : 0);
        }
    twin_pairs = all;
    return won / all;
}

/* The jackknife by its definition: differences of C when the weights of a patient's rows move. */
static double twin_var(const survive_in *in, twin_kind kind, double tau, const double *w)
{
    double var = 0;
    for (int c = 0; c < in->n_clusters; c++) {
        double value[2];
        for (int side = 0; side < 2; side++) {
            double moved[ROWS];
            for (int i = 0; i < ROWS; i++)
                moved[i] = w[i] * (in->cluster[i] == c ? 1 + (side ? 1e-4 : -1e-4) : 1);
            value[side] = twin_c(in, kind, tau, moved, w);
        }
        double slope = (value[1] - value[0]) / 2e-4;
        var += slope * slope;
    }
    return var;
}

static void concordance_is_that_of_all_pairs(void **state)
{
    static sample s;
    for (int seed = 0; seed < 12; seed++) {
        draw(&s, seed, seed % 2 ? YEARS : 1, seed % 3 == 0);
        survive_c h = survive_harrell(&s.in), u = survive_uno(&s.in, 2.5);
        near(h.value, twin_c(&s.in, TWIN_HARRELL, INFINITY, s.weight, s.weight), 1e-12);
        near(u.value, twin_c(&s.in, TWIN_UNO, 2.5, s.weight, s.weight), 1e-12);
        near(h.var, twin_var(&s.in, TWIN_HARRELL, INFINITY, s.weight), 1e-7);
        near(u.var, twin_var(&s.in, TWIN_UNO, 2.5, s.weight), 1e-7);
        s.event[0] = 0; /* somebody is seen after the last cancer */
        s.t[0] = 9;
        survive_c m = survive_mirai_compat(&s.in);
        near(m.value, twin_c(&s.in, TWIN_MIRAI, INFINITY, s.weight, s.weight), 1e-12);
        near((m.conc + m.disc + m.tied) / twin_pairs, 1, 1e-12);
    }
}

static void curves_are_those_of_the_definition(void **state)
{
    static sample s;
    for (int seed = 20; seed < 26; seed++) {
        draw(&s, seed, 1, seed % 2);
        for (int what = 0; what < 2; what++) {
            survive_km km;
            survive_km_build(&s.in, what ? SURVIVE_CENSORING : SURVIVE_CANCER, &km);
            for (double t = -0.25; t < 5; t += 0.25) {
                near(survive_km_at(&km, t), twin_km(&s.in, s.weight, what, t, true), 1e-12);
                near(survive_km_before(&km, t), twin_km(&s.in, s.weight, what, t, false), 1e-12);
            }
            survive_km_release(&km);
        }
    }
}

static void yearly_auc_is_that_of_all_pairs(void **state)
{
    static sample s;
    for (int seed = 30; seed < 36; seed++)
        for (int year = 1; year <= YEARS; year++) {
            draw(&s, seed, YEARS, seed % 2);
            const double *p = s.score + (year - 1) * ROWS;
            for (int rule = 0; rule < 2; rule++) {
                double won = 0, all = 0;
                for (int i = 0; i < ROWS; i++)
                    for (int j = 0; j < ROWS; j++) {
                        bool later = s.t[j] > year ||
                                     (rule == SURVIVE_MIRAI && s.t[j] == year && !s.event[j]);
                        if (!s.event[i] || s.t[i] > year || !later)
                            continue;
                        double g = twin_km(&s.in, s.weight, true, s.t[i], false);
                        double w = s.weight[i] * s.weight[j] / (rule == SURVIVE_IPCW ? g : 1);
                        all += w;
                        won += w * (p[i] > p[j] ? 1 : p[i] == p[j] ? 0.5 : 0);
                    }
                near(survive_auc(&s.in, year, (survive_rule)rule).value, won / all, 1e-12);
            }
        }
}

static void brier_is_that_of_all_rows(void **state)
{
    static sample s;
    draw(&s, 40, YEARS, true);
    const double h = 2, *p = s.score + ROWS;
    double loss = 0, all = 0, risk = 0, at_h = twin_km(&s.in, s.weight, true, h, true);
    for (int i = 0; i < ROWS; i++) {
        double g = twin_km(&s.in, s.weight, true, s.t[i], false), q = 1 - p[i];
        all += s.weight[i];
        risk += s.weight[i] * p[i];
        loss += s.t[i] > h   ? s.weight[i] * p[i] * p[i] / at_h
                : s.event[i] ? s.weight[i] * q * q / g
                             : 0;
    }
    survive_risk r = survive_risk_at(&s.in, h);
    near(r.brier, loss / all, 1e-12);
    near(r.expected, risk / all, 1e-12);
    near(r.incidence, 1 - twin_km(&s.in, s.weight, false, h, true), 1e-12);
}

static int by_time(const void *x, const void *y)
{
    int a = *(const int *)x, b = *(const int *)y;
    return syn_t[a] != syn_t[b] ? (syn_t[a] > syn_t[b]) - (syn_t[a] < syn_t[b]) : a - b;
}

/* Rows that come in order of time need no sorting and give the same numbers. */
static void rows_in_order_of_time(void **state)
{
    const double years[] = {1, 3, 5};
    int order[40], event[40];
    double score[40], t[40];
    for (int i = 0; i < 40; i++)
        order[i] = i;
    qsort(order, 40, sizeof *order, by_time);
    for (int i = 0; i < 40; i++) {
        score[i] = syn_a[order[i]];
        t[i] = syn_t[order[i]];
        event[i] = syn_y[order[i]];
    }
    survive_in in = syn(), sorted = in;
    sorted.score = score;
    sorted.t = t;
    sorted.event = event;
    sorted.sorted = true;
    near(survive_uno(&sorted, NAN).value, survive_uno(&in, NAN).value, 1e-15);
    near(survive_harrell(&sorted).var, survive_harrell(&in).var, 1e-15);
    survive_risk r[3];
    survive_risk_years(&sorted, years, 3, r);
    for (int k = 0; k < 3; k++) {
        survive_risk one = survive_risk_at(&in, years[k]);
        near(r[k].brier, one.brier, 1e-15);
        near(r[k].incidence, one.incidence, 1e-15);
        assert_int_equal(r[k].lost, one.lost);
    }
}

/* ---- edges ----------------------------------------------------------------------------------- */

static void columns_by_year(void **state)
{
    survive_in in = {.n_scores = 5};
    const double t[] = {0, 0.3, 1, 1.0001, 2, 4.5, 5, 5.1, 80};
    const int want[] = {0, 0, 0, 1, 1, 4, 4, 4, 4};
    for (size_t i = 0; i < COUNT_OF(t); i++)
        assert_int_equal(survive_column(&in, t[i]), want[i]);
}

static void rows_without_follow_up_have_no_part(void **state)
{
    double score[43], t[43], weight[43];
    int event[43];
    survive_in in = syn(), more = {.score = score,
                                   .n_scores = 1,
                                   .t = t,
                                   .event = event,
                                   .weight = weight,
                                   .n = 43};
    for (int i = 0; i < 40; i++) {
        score[i + 3] = syn_a[i];
        t[i + 3] = syn_t[i];
        event[i + 3] = syn_y[i];
        weight[i + 3] = 1;
    }
    score[0] = score[1] = score[2] = 0.5;
    t[0] = NAN, event[0] = 1, weight[0] = 1;
    t[1] = 2, event[1] = -1, weight[1] = 1;
    t[2] = 2, event[2] = 1, weight[2] = 0;
    survive_c a = survive_uno(&in, NAN), b = survive_uno(&more, NAN);
    near(b.value, a.value, 1e-14);
    near(b.var, a.var, 1e-14);
    assert_int_equal(b.n, 40);
    assert_int_equal(b.events, 20);
    near(survive_auc(&more, 3, SURVIVE_IPCW).value, survive_auc(&in, 3, SURVIVE_IPCW).value, 1e-14);
    near(survive_risk_at(&more, 3).brier, survive_risk_at(&in, 3).brier, 1e-14);
}

static void early_cancers_leave(void **state)
{
    survive_in in = syn();
    in.drop_early = true;
    in.early = 1;
    metric_value v = survive_auc(&in, 2, SURVIVE_MIRAI);
    assert_int_equal(v.events, 4); /* two of six were found by year 1 */
    assert_int_equal(v.n - v.events, 33);
    assert_int_equal(survive_harrell(&in).events, 18);
    in.early = 0;
    assert_int_equal(survive_harrell(&in).events, 20);
}

static void nobody_has_cancer(void **state)
{
    static const int none[40];
    survive_in in = syn();
    in.event = none;
    survive_c c = survive_harrell(&in);
    assert_true(isnan(c.value) && isnan(c.var) && isnan(c.lo));
    assert_string_equal(c.reason, "NO_PAIRS");
    assert_string_equal(survive_uno(&in, NAN).reason, "NO_PAIRS");
    assert_string_equal(survive_mirai_compat(&in).reason, "NO_PAIRS");
    assert_string_equal(survive_auc(&in, 3, SURVIVE_IPCW).reason, "ONE_CLASS");
    survive_risk r = survive_risk_at(&in, 3);
    near(r.incidence, 0, 0);
    near(r.oe, 0, 0);
}

static void everybody_has_cancer(void **state)
{
    int all[40];
    for (int i = 0; i < 40; i++)
        all[i] = 1;
    survive_in in = syn();
    in.event = all;
    survive_c h = survive_harrell(&in), u = survive_uno(&in, NAN);
    near(u.value, h.value, 1e-15); /* nobody is censored: every weight is 1 */
    near(u.var, h.var, 1e-15);
    assert_string_equal(survive_mirai_compat(&in).reason, "WEIGHT_INFINITE");
    assert_string_equal(survive_risk_at(&in, 7).reason, "BEYOND_FOLLOW_UP");
    assert_null(survive_risk_at(&in, 6).reason);
}

static void an_empty_set(void **state)
{
    survive_in in = syn();
    in.n = 0;
    assert_string_equal(survive_harrell(&in).reason, "NO_PAIRS");
    assert_string_equal(survive_auc(&in, 1, SURVIVE_MIRAI).reason, "ONE_CLASS");
    assert_string_equal(survive_risk_at(&in, 1).reason, "NO_FOLLOW_UP");
    survive_km km;
    survive_km_build(&in, SURVIVE_CANCER, &km);
    near(survive_km_at(&km, 3), 1, 0);
    assert_true(isnan(km.last));
    survive_km_release(&km);
}

static void degenerate_scores(void **state)
{
    double flat[40], perfect[40];
    for (int i = 0; i < 40; i++) {
        flat[i] = 0.5;
        perfect[i] = 1 - syn_t[i] / 10 - (syn_y[i] ? 0 : 0.01);
    }
    survive_in in = syn();
    in.score = flat;
    survive_c c = survive_harrell(&in);
    near(c.value, 0.5, 0);
    near(c.var, 0, 0);
    assert_string_equal(c.reason, "DEGENERATE");
    assert_true(isnan(c.lo));
    in.score = perfect;
    near(survive_uno(&in, NAN).value, 1, 0);
    perfect[0] = 1.5;
    assert_string_equal(survive_risk_at(&in, 3).reason, "NOT_RISK");
}

static void tau_cuts_and_ends(void **state)
{
    survive_in in = syn();
    near(survive_uno(&in, 1000).value, survive_uno(&in, NAN).value, 0);
    near(survive_uno(&in, 5).value, survive_uno(&in, INFINITY).value,
         0); /* the last cancer is at 5 */
    assert_true(fabs(survive_uno(&in, 4.99).value - survive_uno(&in, 5).value) > 1e-6);
    assert_string_equal(survive_uno(&in, 0.5).reason, "NO_PAIRS");
}

static void whole_weights_are_copies(void **state)
{
    double score[80], t[80], weight[40];
    int event[80], n = 0;
    survive_in in = syn();
    for (int i = 0; i < 40; i++) {
        weight[i] = i % 2 ? 2 : 1;
        for (int k = 0; k < weight[i]; k++, n++) {
            score[n] = syn_a[i];
            t[n] = syn_t[i];
            event[n] = syn_y[i];
        }
    }
    survive_in copies = {.score = score, .n_scores = 1, .t = t, .event = event, .n = n};
    in.weight = weight;
    /* two copies of one row are never a pair: both have the same time and state */
    near(survive_harrell(&in).value, survive_harrell(&copies).value, 1e-14);
    near(survive_harrell(&in).conc, survive_harrell(&copies).conc, 0);
    near(survive_uno(&in, 4).value, survive_uno(&copies, 4).value, 1e-13);
    near(survive_auc(&in, 4, SURVIVE_IPCW).value, survive_auc(&copies, 4, SURVIVE_IPCW).value,
         1e-13);
    near(survive_risk_at(&in, 4).brier, survive_risk_at(&copies, 4).brier, 1e-13);
}

static void bins_of_a_cancer(void **state)
{
    assert_int_equal(survive_bin_of(60 / 365.25, 1, 60, 730), SURVIVE_SCREEN);
    assert_int_equal(survive_bin_of(61 / 365.25, 1, 60, 730), SURVIVE_INTERVAL);
    assert_int_equal(survive_bin_of(730 / 365.25, 1, 60, 730), SURVIVE_INTERVAL);
    assert_int_equal(survive_bin_of(731 / 365.25, 1, 60, 730), SURVIVE_LATER);
    assert_int_equal(survive_bin_of(0, 1, 0, 730), SURVIVE_SCREEN);
    assert_int_equal(survive_bin_of(1, 0, 60, 730), SURVIVE_NONE);
    assert_int_equal(survive_bin_of(NAN, 1, 60, 730), SURVIVE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(concordance_of_the_specification),
        cmocka_unit_test(years_of_the_specification),
        cmocka_unit_test(concordance_is_that_of_all_pairs),
        cmocka_unit_test(curves_are_those_of_the_definition),
        cmocka_unit_test(yearly_auc_is_that_of_all_pairs),
        cmocka_unit_test(brier_is_that_of_all_rows),
        cmocka_unit_test(rows_in_order_of_time),
        cmocka_unit_test(columns_by_year),
        cmocka_unit_test(rows_without_follow_up_have_no_part),
        cmocka_unit_test(early_cancers_leave),
        cmocka_unit_test(nobody_has_cancer),
        cmocka_unit_test(everybody_has_cancer),
        cmocka_unit_test(an_empty_set),
        cmocka_unit_test(degenerate_scores),
        cmocka_unit_test(tau_cuts_and_ends),
        cmocka_unit_test(whole_weights_are_copies),
        cmocka_unit_test(bins_of_a_cancer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
