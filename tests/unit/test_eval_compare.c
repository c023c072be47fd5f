/* Other models on the same exams: golden paired numbers through the report, the paired bootstrap
 * against a naive twin, what is refused, comparators, readers; and when a report is made again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"
#include "eval/boot.h"
#include "eval/compare.h"
#include "eval/report.h"
#include "eval/report_look.h"
#include "eval/report_tree.h"
#include <math.h>
#include "tests/unit/eval_syn40.h"

static char root[64];

static char *at(const char *name)
{
    static char path[256][256];
    static int k;
    k = (k + 1) % 256;
    snprintf(path[k], sizeof path[k], "%s/%s", root, name);
    return path[k];
}

static void put(const char *name, const char *s)
{
    assert_true(fs_write(at(name), s, strlen(s), NULL));
}

/* SYN-40 with ages, densities and the readers' decision; `skip` leaves exam e05 out. */
static void syn40(const char *name, const double *score, bool skip, int flip)
{
    text t;
    text_init(&t);
    text_add(&t, "exam_id,patient_id,score,y,age,density,recall,split\n");
    for (int i = 0; i < 40; i++)
        if (!skip || i != 5)
            text_addf(&t, "e%02d,p%02d,%.2f,%d,%d,%c,%s,test\n", i, i < 30 ? i : (i - 30) * 3,
                      score[i], i == flip ? !syn_y[i] : syn_y[i], 40 + i % 35, 'A' + i % 4,
                      i % 5 == 0       ? ""
                      : score[i] > 0.5 ? "1"
                                       : "0");
    put(name, t.s);
    text_release(&t);
}

/* wanted: the message, or NULL for success. */
static json_t *run(const report_opts *flags, const char *settings, const char *out,
                   const char *wanted)
{
    static const cfg_group *const groups[] = {&eval_options};
    cfg *c = cfg_new(groups, 1);
    const char *const in[] = {at("a.csv")};
    report_opts o = *flags;
    char name[128];
    json_t *tree = NULL;
    err e = {0};
    assert_true(cfg_set(c, "eval.min_count=0", &e)); /* what is hidden: test_eval_disclose.c */
    if (settings[0])
        assert_true(cfg_set(c, settings, &e));
    o.inputs = in;
    o.n_inputs = 1;
    o.out_dir = at(out);
    o.final = true;
    o.threads = o.threads ? o.threads : 1;
    cfg_bind(c, &eval_options, &o.cfg);
    if (o.cfg.bootstrap == 2000)
        o.cfg.bootstrap = 300;
    bool ok = report_write(&o, NULL, &e);
    cfg_free(c);
    if (ok != (wanted == NULL))
        fail_msg("%s", ok ? "the report should have failed" : e.msg);
    if (wanted && !strstr(e.msg, wanted))
        fail_msg("message '%s' lacks '%s'", e.msg, wanted);
    snprintf(name, sizeof name, "%s/eval.json", out);
    if (ok)
        assert_true(json_read(at(name), &tree, NULL));
    return tree;
}

static const json_t *cell(const json_t *tree, const char *table, int row, const char *column)
{
    const json_t *t = report_tree_by_id(tree, "tables", table);
    if (!t)
        fail_msg("no table %s", table);
    int k = report_tree_column(t, column);
    assert_true(k >= 0);
    return json_array_get(json_array_get(json_object_get(t, "rows"), (size_t)row), (size_t)k);
}

static void near(double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("got %.15g, want %.15g", got, want);
}

/* G7 of evaluation.md 16: clustered, paired. */
static void golden_pair_in_the_report(void **state)
{
    const char *const other[] = {at("b.csv")};
    syn40("a.csv", syn_a, false, -1);
    syn40("b.csv", syn_b, false, -1);
    json_t *j = run(&(report_opts){.compare = other, .n_compare = 1}, "eval.sampling=population",
                    "gold", NULL);
    const json_t *d = cell(j, "compare", 1, "difference");
    double var = 0.0105332868534483 + 0.00796488706896552 - 2 * 0.00495938735632184;
    near(report_tree_num(d, "v"), .68625 - .7075, 1e-12);
    near(report_tree_num(d, "lo"), .68625 - .7075 - 1.959963984540054 * sqrt(var), 1e-9);
    near(json_number_value(cell(j, "compare", 1, "p")), .818542812852061, 1e-9);
    near(json_number_value(cell(j, "compare", 1, "p_holm")), .818542812852061, 1e-9);
    near(json_number_value(cell(j, "compare", 1, "correlation")),
         0.00495938735632184 / sqrt(0.0105332868534483 * 0.00796488706896552), 1e-9);
    assert_string_equal(json_string_value(cell(j, "compare", 1, "model")), "model-2");
    assert_string_equal(json_string_value(cell(j, "compare", 1, "verdict")), "inconclusive");
    const json_t *m = report_tree_metric(j, "auc_difference", "compare=model-2");
    near(report_tree_num(m, "value"), -.02125, 1e-12);
    assert_string_equal(report_tree_str(m, "ci"), "clustered");
    /* G20, G21: calibration of A; the interval over women stands around the slope */
    near(report_tree_num(cell(j, "compare_calibration", 0, "slope"), "v"), .815646271, 1e-8);
    near(report_tree_num(cell(j, "compare_calibration", 0, "oe"), "v"), 20 / 17.34, 1e-9);
    near(json_number_value(cell(j, "compare_calibration", 0, "brier")), .230645, 1e-9);
    json_decref(j);
    /* two of them: Holm doubles the smaller p at least */
    char name[300];
    snprintf(name, sizeof name, "copy=%s", at("b.csv"));
    const char *const both[] = {other[0], name};
    j = run(&(report_opts){.compare = both, .n_compare = 2}, "", "two", NULL);
    near(json_number_value(cell(j, "compare", 1, "p_holm")), 1, 1e-12);
    assert_string_equal(json_string_value(cell(j, "compare", 2, "model")), "copy");
    json_decref(j);
}

/* A margin turns the same interval into another verdict. */
static void margin_decides(void **state)
{
    char previous[300];
    syn40("a.csv", syn_a, false, -1);
    syn40("b.csv", syn_b, false, -1);
    snprintf(previous, sizeof previous, "previous=%s", at("b.csv"));
    const char *const other[] = {previous};
    report_opts o = {.compare = other, .n_compare = 1};
    json_t *j = run(&o, "eval.noninferiority_margin=0.3", "margin", NULL);
    assert_string_equal(json_string_value(cell(j, "compare", 1, "verdict")), "not inferior");
    const json_t *t = report_tree_by_id(j, "tables", "compare");
    assert_non_null(strstr(report_tree_str(t, "note"), "above -0.3"));
    /* the previous release is a comparator, the one with all patches is named as missing */
    assert_string_equal(json_string_value(cell(j, "comparators", 3, "comparator")),
                        "the previous release");
    near(report_tree_num(cell(j, "comparators", 3, "auc"), "v"), .7075, 1e-12);
    assert_string_equal(json_string_value(cell(j, "comparators", 4, "remark")),
                        "not given (--compare whole=PRED)");
    json_decref(j);
}

/* The same scores, but of other women, as validation exams. */
static void val40(const char *name, const double *score, int leave_out)
{
    text t;
    text_init(&t);
    text_add(&t, "exam_id,patient_id,score,y,split\n");
    for (int i = 0; i < 40; i++)
        if (i != leave_out)
            text_addf(&t, "v%02d,w%02d,%.2f,%d,val\n", i, i, score[i], syn_y[i]);
    put(name, t.s);
    text_release(&t);
}

static double share(const double *score, int y, double threshold, bool above)
{
    int n = 0, k = 0;
    for (int i = 0; i < 40; i++) {
        n += syn_y[i] == y;
        k += syn_y[i] == y && (score[i] >= threshold) == above;
    }
    return (double)k / n;
}

/* The lowest score of a set that keeps 90 % of its controls below. */
static double lowest(const double *score)
{
    double t = INFINITY;
    for (int i = 0; i < 40; i++)
        if (share(score, 0, score[i], false) >= .9)
            t = fmin(t, score[i]);
    return t;
}

static bool limit_says(const json_t *tree, const char *words)
{
    const json_t *limits = json_object_get(tree, "limits");
    bool said = false;
    for (size_t i = 0; i < json_array_size(limits); i++)
        said = said || strstr(json_string_value(json_array_get(limits, i)), words);
    return said;
}

/* Thresholds and recalibration of both models from validation exams of their own. Those are the
 * evaluated scores again, so that the thresholds are known, and a Cox line that is learnt there
 * leaves slope 1, intercept 0 and as many cancers as expected: before and after. */
static void each_model_has_its_own_validation(void **state)
{
    char other[600];
    syn40("a.csv", syn_a, false, -1);
    syn40("b.csv", syn_b, false, -1);
    val40("va.csv", syn_a, -1);
    val40("vb.csv", syn_b, -1);
    snprintf(other, sizeof other, "old=%s,%s", at("b.csv"), at("vb.csv"));
    const char *const compare[] = {other};
    report_opts o = {.compare = compare, .n_compare = 1, .val = at("va.csv")};
    json_t *j = run(&o, "eval.sampling=population", "ownval", NULL);
    double here = lowest(syn_a), there = lowest(syn_b);
    assert_string_equal(json_string_value(cell(j, "compare_points", 1, "chosen")), "other women");
    near(json_number_value(cell(j, "compare_points", 1, "sens_this")), share(syn_a, 1, here, true),
         1e-12);
    near(json_number_value(cell(j, "compare_points", 1, "sens_other")),
         share(syn_b, 1, there, true), 1e-12);
    near(json_number_value(cell(j, "compare_spec", 1, "spec_this")), share(syn_a, 0, here, false),
         1e-12);
    near(json_number_value(cell(j, "compare_spec", 1, "spec_other")), share(syn_b, 0, there, false),
         1e-12);
    for (int row = 0; row < 4; row++) { /* ours before and after, the other's */
        bool after = row & 1;
        near(report_tree_num(cell(j, "compare_calibration", row, "slope"), "v"),
             after      ? 1
             : row == 0 ? .815646271
                        : report_tree_num(cell(j, "compare_calibration", 2, "slope"), "v"),
             1e-8);
        if (after)
            near(report_tree_num(cell(j, "compare_calibration", row, "intercept"), "v"), 0, 1e-8);
        if (after)
            near(report_tree_num(cell(j, "compare_calibration", row, "oe"), "v"), 1, 1e-8);
        assert_string_equal(json_string_value(cell(j, "compare_calibration", row, "risks")),
                            after ? "recalibrated (Platt)" : "as predicted");
    }
    assert_true(fabs(report_tree_num(cell(j, "compare_calibration", 2, "slope"), "v") - 1) > 0.01);
    assert_false(limit_says(j, "'old'"));
    json_decref(j);
    /* another set of validation exams is said, and makes another report */
    val40("vb.csv", syn_b, 3);
    run(&o, "eval.sampling=population", "ownval", "of other inputs: validation of old; --force");
    o.replace = true;
    j = run(&o, "eval.sampling=population", "ownval", NULL);
    assert_true(limit_says(j, "'old'"));
    json_decref(j);
    /* without --val nobody has thresholds of other women */
    o.val = NULL;
    j = run(&o, "eval.sampling=population", "ownval", NULL);
    assert_string_equal(json_string_value(cell(j, "compare_points", 1, "chosen")), "these exams");
    assert_null(report_tree_by_id(j, "tables", "compare_spec"));
    json_decref(j);
    o.val = at("va.csv");
    snprintf(other, sizeof other, "old=%s,%s", at("b.csv"), at("b.csv"));
    run(&o, "", "no", "--compare old: 40 evaluated exams are of patients who are also among its");
    snprintf(other, sizeof other, "old=%s,%s", at("b.csv"), at("nowhere.csv"));
    run(&o, "", "no", "--compare old, validation");
}

/* An enriched set: as everywhere, calibration is told of the stated prevalence. */
static void calibration_is_of_the_population(void **state)
{
    const char *const other[] = {at("b.csv")};
    syn40("a.csv", syn_a, false, -1);
    syn40("b.csv", syn_b, false, -1);
    json_t *j = run(&(report_opts){.compare = other, .n_compare = 1}, "eval.population=0.01",
                    "enriched", NULL);
    const json_t *mine = report_tree_metric(j, "calibration_intercept", "shifted");
    const json_t *here = cell(j, "compare_calibration", 1, "intercept");
    assert_string_equal(json_string_value(cell(j, "compare_calibration", 1, "risks")),
                        "moved to the prevalence");
    near(report_tree_num(here, "v"), report_tree_num(mine, "value"), 0);
    near(report_tree_num(here, "lo"), report_tree_num(mine, "lo"), 0);
    mine = report_tree_metric(j, "oe", "all");
    near(report_tree_num(cell(j, "compare_calibration", 0, "oe"), "hi"),
         report_tree_num(mine, "hi"), 0);
    json_decref(j);
}

static void other_exams_are_refused(void **state)
{
    const char *const less[] = {at("less.csv")}, *const flip[] = {at("flip.csv")};
    syn40("a.csv", syn_a, false, -1);
    syn40("less.csv", syn_b, true, -1);
    syn40("flip.csv", syn_b, false, 7);
    run(&(report_opts){.compare = less, .n_compare = 1}, "", "no",
        "--compare model-2: not the same exams: 1 evaluated exams are missing there, 0 of its");
    run(&(report_opts){.compare = flip, .n_compare = 1}, "", "no",
        "--compare model-2: an exam has another label or patient there");
    const char *const bad[] = {"a/b=x.csv"};
    run(&(report_opts){.compare = bad, .n_compare = 1}, "", "no", "a name is of 1 to 32");
    const char *const none[] = {"old=nowhere.csv"};
    run(&(report_opts){.compare = none, .n_compare = 1}, "", "no", "--compare old");
    assert_false(fs_exists(at("no/eval.json")));
}

/* ---- readers --------------------------------------------------------------------------------- */

/* Sensitivity and specificity of the column recall, counted here by hand; exams without it are left
 * out; the model's threshold keeps the readers' specificity. */
static void readers_are_a_point(void **state)
{
    int n[2] = {0}, right[2] = {0};
    syn40("a.csv", syn_a, false, -1);
    json_t *j = run(&(report_opts){0}, "", "readers", NULL);
    for (int i = 0; i < 40; i++)
        if (i % 5) {
            n[syn_y[i]]++;
            right[syn_y[i]] += (syn_a[i] > 0.5) == (syn_y[i] == 1);
        }
    near(report_tree_num(cell(j, "readers", 0, "sens"), "v"), (double)right[1] / n[1], 1e-12);
    near(report_tree_num(cell(j, "readers", 0, "spec"), "v"), (double)right[0] / n[0], 1e-12);
    assert_int_equal(json_integer_value(cell(j, "readers", 0, "exams")), n[0] + n[1]);
    assert_true(report_tree_num(cell(j, "readers", 1, "spec"), "v") >= (double)right[0] / n[0]);
    /* the recall was made of this score, so the model finds as many at least */
    assert_true(report_tree_num(cell(j, "readers", 1, "sens"), "v") >= (double)right[1] / n[1]);
    char *html;
    size_t len;
    assert_true(fs_read(at("readers/report.html"), 64u << 20, &html, &len, NULL));
    assert_non_null(strstr(html, ">radiologists</text>"));
    mem_free(html);
    json_decref(j);
}

/* ---- the bootstrap --------------------------------------------------------------------------- */

typedef struct naive {
    const cohort_view *v;
    const double *b;
} naive;

static double slow_auc(const naive *n, const double *s, const int32_t *times)
{
    double sum = 0, pairs = 0;
    for (int64_t i = 0; i < n->v->n; i++)
        for (int64_t k = 0; n->v->y[i] && k < n->v->n; k++) {
            if (n->v->y[k])
                continue;
            double w = (double)times[n->v->cluster[i]] * times[n->v->cluster[k]];
            sum += w * (s[i] > s[k] ? 1 : s[i] == s[k] ? 0.5 : 0);
            pairs += w;
        }
    return pairs > 0 ? sum / pairs : NAN;
}

static bool slow(void *ctx, const int32_t *times, double *out, int thread)
{
    const naive *n = ctx;
    *out = slow_auc(n, n->v->score, times) - slow_auc(n, n->b, times);
    return !isnan(*out);
}

static void bootstrap_as_the_naive_one(void **state)
{
    scores s;
    cohort_set set;
    cohort_view v;
    err e = {0};
    syn40("a.csv", syn_a, false, -1);
    scores_init(&s);
    assert_true(scores_read(&s, at("a.csv"), &e));
    assert_true(cohort_set_build(&s, 0, &set, &e));
    cohort_view_build(&set, NULL, set.exams.n, &v);
    const double *const other[] = {syn_b, syn_a}; /* rows are in the order of the names */
    compare_interval got[2];
    int ever[64] = {0};
    for (int64_t i = 0; i < v.n; i++)
        ever[v.cluster[i]] |= v.y[i];
    naive n = {&v, syn_b};
    pool *one = pool_new(1), *four = pool_new(4);
    boot_result r;
    double lo, hi, sd;
    boot_run(&(boot_spec){.n_clusters = v.in.n_clusters,
                          .stratum = ever,
                          .n_strata = 2,
                          .replicates = 300,
                          .seed = 5,
                          .n_stats = 1,
                          .stat = slow,
                          .ctx = &n,
                          .pool = one},
             &r);
    assert_true(boot_interval(&r, 0, 0.95, &lo, &hi, &sd));
    boot_release(&r);
    compare_bootstrap(&v, other, 2, &(report_cfg){.bootstrap = 300, .seed = 5}, four, got);
    near(got[0].lo, lo, 1e-12);
    near(got[0].hi, hi, 1e-12);
    near(got[0].sd, sd, 1e-12);
    assert_true(got[1].lo == 0 && got[1].hi == 0); /* the model beside itself */
    compare_bootstrap(&v, other, 2, &(report_cfg){.seed = 5}, one, got);
    assert_true(isnan(got[0].lo));
    pool_free(one);
    pool_free(four);
    cohort_view_release(&v);
    cohort_set_release(&set);
    scores_release(&s);
}

/* ---- made again ------------------------------------------------------------------------------ */

static int64_t looks(const char *dir)
{
    report_look l;
    assert_true(report_look_read(at(dir), &l, NULL));
    return l.n;
}

static void again_has_nothing_to_do(void **state)
{
    const char *const other[] = {at("b.csv")};
    syn40("a.csv", syn_a, false, -1);
    syn40("b.csv", syn_b, false, -1);
    report_opts o = {.compare = other, .n_compare = 1};
    json_decref(run(&o, "", "again", NULL));
    assert_int_equal(unlink(at("again/figures/roc.svg")), 0); /* to see that nothing is written */
    json_decref(run(&o, "", "again", NULL));
    assert_false(fs_exists(at("again/figures/roc.svg")));
    assert_int_equal(looks("again"), 1);
    run(&o, "eval.bootstrap=100", "again", "of other inputs: eval.bootstrap; --force");
    syn40("b.csv", syn_a, false, -1);
    run(&o, "", "again", "of other inputs: --compare model-2; --force");
    run(&(report_opts){0}, "", "again", "of other inputs: --compare model-2; --force");
    syn40("a.csv", syn_b, false, -1);
    run(&o, "", "again", "input 1, --compare model-2");
    o.replace = true;
    json_t *j = run(&o, "", "again", NULL);
    near(report_tree_num(report_tree_metric(j, "auc", "all"), "value"), .7075, 1e-12);
    assert_true(fs_exists(at("again/figures/roc.svg")));
    assert_int_equal(looks("again"), 2);
    json_decref(j);
    /* the second look is said */
    j = run(&o, "", "again", NULL);
    const json_t *limits = json_object_get(j, "limits");
    bool said = false;
    for (size_t i = 0; i < json_array_size(limits); i++)
        said =
            said || strstr(json_string_value(json_array_get(limits, i)), "look number 2") != NULL;
    assert_true(said);
    json_decref(j);
    /* a report without its PDF is made again */
    assert_int_equal(unlink(at("again/report.pdf")), 0);
    o.replace = false;
    json_decref(run(&o, "", "again", NULL));
    assert_true(fs_exists(at("again/report.pdf")));
    put("again/eval.json", "{}");
    run(&o, "", "again", "of unknown inputs; --force");
    put("again/eval.json", "broken");
    run(&o, "", "again", "of unknown inputs; --force");
}

static void looks_are_counted_by_model(void **state)
{
    report_look l;
    assert_true(fs_mkdirs(at("log"), NULL));
    assert_true(report_look_read(at("log"), &l, NULL));
    assert_int_equal(l.n, 0);
    put("log/final.log",
        "2026-01-01T00:00:00Z git=a data_sha256=d model_sha256=m1 config_sha256=c\n"
        "2026-01-02T00:00:00Z git=a data_sha256=d model_sha256=m2 config_sha256=c\n"
        "2026-01-03T00:00:00Z git=a data_sha256=d model_sha256=m1 config_sha256=c\n"
        "no such key\n");
    assert_true(report_look_read(at("log"), &l, NULL));
    assert_int_equal(l.n, 4);
    assert_int_equal(l.models, 3); /* m1, m2 and an unknown one */
}

static int teardown(void **state)
{
    return fs_remove_tree(root, NULL) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_pair_in_the_report),
        cmocka_unit_test(margin_decides),
        cmocka_unit_test(each_model_has_its_own_validation),
        cmocka_unit_test(calibration_is_of_the_population),
        cmocka_unit_test(other_exams_are_refused),
        cmocka_unit_test(readers_are_a_point),
        cmocka_unit_test(bootstrap_as_the_naive_one),
        cmocka_unit_test(again_has_nothing_to_do),
        cmocka_unit_test(looks_are_counted_by_model),
    };
    log_set_level(LOG_ERROR);
    snprintf(root, sizeof root, "/tmp/test_eval_compare.XXXXXX");
    if (!mkdtemp(root))
        return 1;
    return cmocka_run_group_tests(tests, NULL, teardown);
}
