/* Calibration, net benefit and risk groups in the report: what an enriched set may say, what is
 * learnt on other women, what stays hidden. The formulas have tests of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/fs.h"
#include "core/mem.h"
#include "core/rng.h"
#include "eval/calibrate.h"
#include "eval/cells.h"
#include "eval/decile.h"
#include "eval/decision.h"
#include "eval/rate.h"
#include "eval/report.h"
#include "eval/report_tree.h"
#include "eval/risks.h"
#include <math.h>

static char root[64];

static char *at(const char *name)
{
    static char path[16][256];
    static int k;
    k = (k + 1) % 16;
    snprintf(path[k], sizeof path[k], "%s/%s", root, name);
    return path[k];
}

static void near(double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("got %.15g, want %.15g", got, want);
}

/* ---- a set of exams -------------------------------------------------------------------------- */

#define MOST 4000
typedef struct set {
    double score[MOST];
    int y[MOST];
    int64_t n;
} set;

/* Risks with mean near `mean`; outcomes follow odds * wrong. Scores carry six decimals, as the
 * table does. */
static void make(set *s, uint64_t seed, int64_t n, double mean, double wrong)
{
    rng r;
    rng_init(&r, seed, RNG_TEST, 1, 0);
    s->n = n;
    for (int64_t i = 0; i < n; i++) {
        double logit = log(mean / (1 - mean)) + 1.2 * rng_normal(&r);
        double p = round(1e6 / (1 + exp(-logit))) / 1e6, odds = p / (1 - p) * wrong;
        s->score[i] = p;
        s->y[i] = rng_f64(&r) < odds / (1 + odds);
    }
}

static void put(const char *name, const set *s, char who)
{
    text t;
    text_init(&t);
    text_add(&t, "exam_id,patient_id,score,y\n");
    for (int64_t i = 0; i < s->n; i++)
        text_addf(&t, "%c%06d,%cp%06d,%.6f,%d\n", who, (int)i, who, (int)i, s->score[i], s->y[i]);
    assert_true(fs_write(at(name), t.s, t.len, NULL));
    text_release(&t);
}

static metric_in rows(const set *s)
{
    return (metric_in){s->score, s->y, NULL, NULL, s->n, 0, false};
}

static json_t *report(const char *input, const char *second, const char *val, const char *settings)
{
    static const cfg_group *const groups[] = {&eval_options};
    static int run;
    char out[32], file[64];
    snprintf(out, sizeof out, "out%d", run++);
    snprintf(file, sizeof file, "%s/eval.json", out);
    const char *inputs[] = {at(input), second ? at(second) : NULL};
    cfg *c = cfg_new(groups, 1);
    err e = {0};
    if (!cfg_set(c, "eval.min_count=0", &e) || (settings && !cfg_set(c, settings, &e)))
        fail_msg("%s", e.msg);
    report_opts o = {.inputs = inputs,
                     .n_inputs = second ? 2 : 1,
                     .out_dir = at(out),
                     .val = val ? at(val) : NULL,
                     .threads = 1};
    cfg_bind(c, &eval_options, &o.cfg);
    o.cfg.bootstrap = 0;
    report_headline h;
    if (!report_write(&o, &h, &e))
        fail_msg("%s", e.msg);
    json_t *j = NULL;
    assert_true(json_read(at(file), &j, NULL));
    cfg_free(c);
    return j;
}

static double metric(const json_t *j, const char *id, const char *subset, const char *member)
{
    const json_t *m = report_tree_metric(j, id, subset);
    if (!m)
        fail_msg("no metric %s of %s", id, subset);
    return report_tree_num(m, member);
}

static const json_t *cell(const json_t *j, const char *table, int row, const char *column)
{
    const json_t *t = report_tree_by_id(j, "tables", table);
    if (!t)
        fail_msg("no table %s", table);
    int k = report_tree_column(t, column);
    assert_true(k >= 0);
    return json_array_get(json_array_get(json_object_get(t, "rows"), (size_t)row), (size_t)k);
}

static set a, b;

/* ---- a population ---------------------------------------------------------------------------- */

static void a_population_as_it_is(void **state)
{
    make(&a, 1, 4000, .004, 1.5);
    put("pop.csv", &a, 'a');
    json_t *j = report("pop.csv", NULL, NULL, NULL);
    metric_in in = rows(&a);
    calibrate_total t = calibrate_sums(&in);
    calibrate_line l = calibrate_slope(&in);
    near(metric(j, "oe", "all", "value"), t.oe, 1e-12);
    near(metric(j, "oe", "all", "lo"), t.oe_lo, 1e-12);
    near(metric(j, "calibration_slope", "all", "hi"), l.b + METRIC_Z95 * l.se_b, 1e-12);
    near(metric(j, "log_loss", "all", "value"), t.log_loss, 1e-12);
    near(metric(j, "ece_mass_expected", "all", "value"),
         calibrate_ece(&in, CALIBRATE_MASS, 10, 1).expected, 1e-15);
    assert_false(json_is_true(json_object_get(json_object_get(j, "population"), "enriched")));
    decision_point p;
    const double pt = .01;
    decision_curve(&in, NAN, &pt, 1, &p);
    near(json_number_value(cell(j, "decision", 2, "pt")), pt, 0);
    near(report_tree_num(cell(j, "decision", 2, "nb"), "v"), 1000 * p.nb, 1e-9);
    near(report_tree_num(cell(j, "decision", 2, "nb"), "lo"), 1000 * p.lo, 1e-9);
    /* the observed share is a row of the predictive values: five rows for each point */
    near(json_number_value(cell(j, "predictive", 4, "prevalence")), t.observed / 4000, 1e-15);
    assert_null(report_tree_metric(j, "oe", "recalibrated"));
    assert_null(json_object_get(j, "recalibration"));
    json_decref(j);
}

/* The map is learnt on --val alone, stored with the hash of its rows, and applied unchanged. */
static void a_map_from_other_women(void **state)
{
    double after[MOST];
    char hash[65];
    recalibrate_map m;
    report_in val;
    make(&a, 2, 4000, .002, 3);
    make(&b, 3, 4000, .002, 3);
    put("a.csv", &a, 'a');
    put("b.csv", &b, 'b');
    json_t *j = report("a.csv", NULL, "b.csv", NULL);
    metric_in learn = rows(&b), in = rows(&a);
    assert_true(recalibrate_fit(RECALIBRATE_PLATT, &learn, &m));
    for (int64_t i = 0; i < a.n; i++)
        after[i] = recalibrate_apply(&m, a.score[i]);
    in.score = after;
    const json_t *r = json_object_get(j, "recalibration");
    assert_string_equal(report_tree_str(r, "kind"), "platt");
    near(report_tree_num(r, "a"), m.a, 1e-12);
    near(report_tree_num(r, "b"), m.b, 1e-12);
    assert_int_equal(report_tree_num(r, "n_exams"), 4000);
    report_in_init(&val);
    assert_true(report_in_read(&val, at("b.csv"), 0, NULL));
    scores_hash(&val.scores, hash);
    assert_string_equal(report_tree_str(r, "data_sha256"), hash);
    report_in_release(&val);
    near(metric(j, "oe", "recalibrated", "value"), calibrate_sums(&in).oe, 1e-12);
    assert_true(metric(j, "oe", "all", "value") > 2);
    near(metric(j, "oe", "recalibrated", "value"), 1, .3);
    near(metric(j, "auc", "all", "value"), metric_auc(&in).value, 1e-12); /* the order stays */
    assert_non_null(report_tree_by_id(j, "curves", "decision_recalibrated"));
    json_decref(j);
    j = report("a.csv", NULL, "b.csv", "eval.recalibration=isotonic");
    r = json_object_get(j, "recalibration");
    assert_true(json_array_size(json_object_get(r, "x")) > 2);
    assert_int_equal(json_array_size(json_object_get(r, "x")),
                     json_array_size(json_object_get(r, "y")));
    json_decref(j);
    j = report("a.csv", NULL, "b.csv", "eval.recalibration=none");
    assert_null(json_object_get(j, "recalibration"));
    assert_null(report_tree_metric(j, "oe", "recalibrated"));
    json_decref(j);
    set *few = MEM_NEW(set);
    *few = b;
    for (int64_t i = 0, seen = 0; i < few->n; i++) {
        seen += few->y[i];
        few->y[i] = few->y[i] && seen <= 4;
    }
    put("d.csv", few, 'b');
    mem_free(few);
    j = report("a.csv", NULL, "d.csv", NULL);
    assert_string_equal(report_tree_str(json_object_get(j, "recalibration"), "reason"),
                        "FEW_EVENTS");
    assert_null(report_tree_metric(j, "oe", "recalibrated"));
    json_decref(j);
    for (int64_t i = 0; i < b.n; i++) /* no map from risks that are the wrong way round */
        b.score[i] = 1 - b.score[i];
    put("c.csv", &b, 'b');
    j = report("a.csv", NULL, "c.csv", NULL);
    assert_string_equal(report_tree_str(json_object_get(j, "recalibration"), "reason"), "INVERTED");
    assert_null(report_tree_metric(j, "oe", "recalibrated"));
    json_decref(j);
}

/* ---- an enriched set ------------------------------------------------------------------------- */

/* Every number that depends on prevalence is one of the stated prevalence: as if the controls had
 * been counted so often. */
static void an_enriched_set_speaks_of_a_population(void **state)
{
    double w[MOST], shifted[MOST];
    make(&a, 4, 1500, .25, 1);
    put("enr.csv", &a, 'a');
    json_t *j = report("enr.csv", NULL, NULL, "eval.population=0.01");
    metric_in in = rows(&a);
    double share = calibrate_sums(&in).observed / (double)a.n;
    for (int64_t i = 0; i < a.n; i++) {
        w[i] = a.y[i] ? 1 : .99 / .01 * share / (1 - share);
        shifted[i] = rate_prior_shift(a.score[i], share, .01);
    }
    in.weight = w;
    calibrate_total t = calibrate_sums(&in);
    near(metric(j, "oe", "all", "value"), t.oe, 1e-12);
    assert_true(t.oe < .1);
    near(metric(j, "brier", "all", "value"), t.brier, 1e-12);
    calibrate_line l = calibrate_intercept(&in);
    near(metric(j, "calibration_intercept", "all", "value"), l.a, 1e-11);
    near(metric(j, "calibration_intercept", "all", "lo"), l.a - METRIC_Z95 * l.robust_a, 1e-9);
    in.score = shifted;
    near(metric(j, "oe", "shifted", "value"), calibrate_sums(&in).oe, 1e-12);
    near(metric(j, "oe", "shifted", "value"), 1, .25);
    const json_t *flags = json_object_get(report_tree_metric(j, "oe", "all"), "flags");
    assert_string_equal(json_string_value(json_array_get(flags, 0)), "REWEIGHTED");
    assert_true(isnan(metric(j, "ece_mass_expected", "all", "value")));
    in.score = a.score;
    in.weight = NULL;
    decision_point p;
    const double pt = .01;
    decision_curve(&in, .01, &pt, 1, &p);
    near(report_tree_num(cell(j, "decision", 2, "nb"), "v"), 1000 * p.nb, 1e-9);
    near(report_tree_num(cell(j, "decision", 2, "nb"), "hi"), 1000 * p.hi, 1e-9);
    /* no row of the observed share: the prevalences of the config alone */
    const json_t *rows_of = json_object_get(report_tree_by_id(j, "tables", "predictive"), "rows");
    assert_int_equal(json_array_size(rows_of), 4 * 4);
    /* a group's share and interval are those of its counts, moved to the prevalence */
    const json_t *n = cell(j, "deciles", 9, "exams"), *k = cell(j, "deciles", 9, "cancers");
    double lo, hi, x = json_number_value(k) / json_number_value(n);
    const json_t *rate = cell(j, "deciles", 9, "rate");
    near(report_tree_num(rate, "v"), rate_prior_shift(x, share, .01), 1e-12);
    metric_wilson(json_number_value(k), json_number_value(n), &lo, &hi);
    near(report_tree_num(rate, "lo"), rate_prior_shift(lo, share, .01),
         .15 * report_tree_num(rate, "v"));
    near(report_tree_num(rate, "hi"), rate_prior_shift(hi, share, .01),
         .15 * report_tree_num(rate, "v"));
    near(report_tree_num(json_object_get(j, "population"), "prevalence"), .01, 0);
    /* observed and expected of a group are of one population, and so is their ratio */
    double observed = 0;
    for (int i = 0; i < 10; i++) {
        double o = json_number_value(cell(j, "deciles", i, "observed_pop")),
               expected = json_number_value(cell(j, "deciles", i, "expected_pop"));
        observed += o;
        near(report_tree_num(cell(j, "deciles", i, "oe"), "v"), o / expected, 1e-9);
    }
    near(observed, 10000 * .01, 1e-9);
    json_decref(j);
    j = report("enr.csv", NULL, NULL, "eval.sampling=population"); /* the user says so */
    near(metric(j, "oe", "all", "value"), calibrate_sums(&in).oe, 1e-12);
    assert_null(report_tree_metric(j, "oe", "shifted"));
    assert_int_equal(report_tree_column(report_tree_by_id(j, "tables", "deciles"), "observed_pop"),
                     -1); /* counted cancers are the observed ones */
    json_decref(j);
    make(&b, 5, 4000, .005, 1);
    put("low.csv", &b, 'b');
    j = report("low.csv", NULL, NULL, "eval.sampling=enriched");
    assert_non_null(report_tree_metric(j, "oe", "shifted"));
    json_decref(j);
}

/* ---- what stays hidden ----------------------------------------------------------------------- */

static void few_cancers_give_no_numbers(void **state)
{
    make(&a, 6, 300, .01, 1);
    for (int64_t i = 0; i < a.n; i++)
        a.y[i] = i % 75 == 0; /* 4 */
    put("few.csv", &a, 'a');
    json_t *j = report("few.csv", NULL, NULL, NULL);
    static const char *const tables[] = {"calibration", "calibration_error", "reliability",
                                         "decision", "deciles"};
    for (size_t i = 0; i < COUNT_OF(tables); i++)
        assert_null(report_tree_by_id(j, "tables", tables[i]));
    assert_null(report_tree_metric(j, "oe", "all"));
    assert_string_equal(report_tree_str(json_object_get(j, "population"), "reason"), "FEW_EVENTS");
    json_decref(j);
    a.y[1] = 1; /* 5: numbers, with a flag */
    put("five.csv", &a, 'a');
    j = report("five.csv", NULL, NULL, NULL);
    const json_t *flags = json_object_get(report_tree_metric(j, "oe", "all"), "flags");
    assert_string_equal(json_string_value(json_array_get(flags, 0)), "UNSTABLE");
    json_decref(j);
}

static void ranks_are_no_risks(void **state)
{
    make(&a, 7, 2000, .005, 1);
    put("r1.csv", &a, 'a');
    json_t *j = report("r1.csv", "r1.csv", NULL, "eval.ensemble=mean_rank");
    assert_null(report_tree_by_id(j, "tables", "calibration"));
    assert_string_equal(report_tree_str(json_object_get(j, "population"), "reason"), "RANKS");
    assert_true(metric(j, "auc", "all", "value") > .5);
    json_decref(j);
}

static void small_groups_are_joined(void **state)
{
    make(&a, 8, 3000, .004, 1);
    put("mask.csv", &a, 'a');
    json_t *j = report("mask.csv", NULL, NULL, "eval.min_count=5");
    const json_t *curve = report_tree_by_id(j, "curves", "deciles"), *width;
    metric_in in = rows(&a);
    decile_table *t = MEM_NEW(decile_table);
    decile_build(&in, NULL, 10, t);
    int groups = 0, joined = 0;
    size_t shown = 0;
    width = json_object_get(curve, "width");
    for (; shown < json_array_size(width); shown++) {
        int64_t events = 0, wide = llround(json_number_value(json_array_get(width, shown)));
        double share = 0;
        for (int64_t k = 0; k < wide; k++, groups++) {
            events += t->row[groups].group.events;
            share += t->row[groups].share;
        }
        joined += wide > 1;
        assert_true(events >= 5);
        near(json_number_value(cell(j, "deciles", (int)shown, "cancers")), (double)events, 0);
        near(json_number_value(cell(j, "decile_ratios", (int)shown, "share")), share, 1e-12);
        const json_t *name = cell(j, "deciles", (int)shown, "group");
        char want[32];
        snprintf(want, sizeof want, "%d to %d", groups - (int)wide + 1, groups);
        if (wide > 1)
            assert_string_equal(json_string_value(name), want);
        else
            assert_int_equal(json_integer_value(name), groups);
    }
    assert_int_equal(groups, 10);
    assert_true(joined > 0 && shown > 1);
    assert_int_equal(
        json_array_size(json_object_get(report_tree_by_id(j, "tables", "deciles"), "rows")), shown);
    assert_true(isnan(metric(j, "ece_mass", "all", "value"))); /* a sum over all ten */
    for (int64_t i = 0; i < a.n; i++)
        a.score[i] = round(a.score[i] * 500) / 500;
    put("ties.csv", &a, 'a');
    json_t *tied = report("ties.csv", NULL, NULL, NULL);
    assert_string_equal(
        json_string_value(json_array_get(
            json_object_get(report_tree_by_id(tied, "tables", "deciles"), "flags"), 0)),
        "TIE_SPLIT");
    json_decref(tied);
    make(&a, 8, 3000, .004, 1);
    /* thresholds that flag few exams say nothing, nor do those that lie few exams apart */
    const json_t *nb = report_tree_by_id(j, "curves", "decision");
    size_t points = json_array_size(json_object_get(nb, "x"));
    int64_t last[2] = {0};
    assert_true(points >= 2 && points < 61);
    for (size_t i = 0; i < points; i++) {
        decision_point p;
        double pt = json_number_value(json_array_get(json_object_get(nb, "x"), i));
        decision_curve(&in, NAN, &pt, 1, &p);
        const int64_t now[2] = {p.tp, p.fp};
        for (int k = 0; k < 2; k++) {
            int64_t step = i ? last[k] - now[k] : 5;
            assert_true((now[k] == 0 || now[k] >= 5) && (step == 0 || step >= 5));
            last[k] = now[k];
        }
    }
    mem_free(t);
    json_decref(j);
}

static int setup(void **state)
{
    snprintf(root, sizeof root, "/tmp/mm_risks_XXXXXX");
    return mkdtemp(root) ? 0 : 1;
}

static int teardown(void **state)
{
    return fs_remove_tree(root, NULL) ? 0 : 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_population_as_it_is),
        cmocka_unit_test(a_map_from_other_women),
        cmocka_unit_test(an_enriched_set_speaks_of_a_population),
        cmocka_unit_test(few_cancers_give_no_numbers),
        cmocka_unit_test(ranks_are_no_risks),
        cmocka_unit_test(small_groups_are_joined),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
