/* The part "time to diagnosis" through whole reports: golden numbers in eval.json, exams without a
 * label, risks by year, sets without follow-up, same bytes for any number of threads. */
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
#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "eval/report.h"
#include "eval/report_tree.h"
#include <math.h>
#include "tests/unit/eval_syn40.h"

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

/* Report on the table with these settings ("key=value", NULL at the end); the tree is the caller's.
 */
static json_t *report(const char *csv, const char *out, int threads, const char *const *settings)
{
    static const cfg_group *const groups[] = {&eval_options};
    cfg *c = cfg_new(groups, 1);
    report_opts o = {.n_inputs = 1, .out_dir = at(out), .threads = threads};
    report_headline h;
    err e = {0};
    json_t *tree = NULL;
    const char *const inputs[] = {at("a.csv")};
    o.inputs = inputs;
    assert_true(fs_write(inputs[0], csv, strlen(csv), NULL));
    assert_true(cfg_set(c, "eval.bootstrap=100", &e) && cfg_set(c, "eval.min_count=0", &e));
    for (int i = 0; settings[i]; i++)
        if (!cfg_set(c, settings[i], &e))
            fail_msg("%s", e.msg);
    cfg_bind(c, &eval_options, &o.cfg);
    if (!report_write(&o, &h, &e))
        fail_msg("%s", e.msg);
    char *file = fs_join(o.out_dir, "eval.json");
    assert_true(json_read(file, &tree, NULL));
    mem_free(file);
    cfg_free(c);
    return tree;
}

/* A member of the metric with this horizon (0: none). */
static double metric(const json_t *tree, const char *id, const char *subset, double year,
                     const char *member)
{
    size_t i;
    json_t *m;
    json_array_foreach(json_object_get(tree, "metrics"), i, m)
    {
        const json_t *h = json_object_get(m, "horizon");
        if (!strcmp(report_tree_str(m, "id"), id) &&
            !strcmp(report_tree_str(m, "subset"), subset) &&
            (year > 0 ? json_number_value(h) == year : json_is_null(h)))
            return report_tree_num(m, member);
    }
    fail_msg("no metric %s of %s at %g", id, subset, year);
    return 0;
}

/* SYN-40; `y` false leaves the labels of exams without cancer before year 5 empty. */
static char *syn_csv(bool all_labels, bool years)
{
    text t;
    text_init(&t);
    text_addf(&t, "exam_id,patient_id,score,y,T,E%s\n",
              years ? ",score_h1,score_h2,score_h3,score_h4" : "");
    for (int i = 0; i < 40; i++) {
        bool known = all_labels || syn_y[i] || syn_t[i] >= 5;
        text_addf(&t, "e%02d,p%02d,%.2f,%s,%g,%d", i, syn_patient(i), syn_a[i],
                  !known     ? ""
                  : syn_y[i] ? "1"
                             : "0",
                  syn_t[i], syn_y[i]);
        for (int k = 0; years && k < 4; k++)
            text_addf(&t, ",%.2f", k == 2 ? syn_a[i] : syn_b[i]);
        text_add(&t, "\n");
    }
    return text_take(&t);
}

/* Does the page of a report say this? */
static bool says(const char *out, const char *words)
{
    char name[64], *html;
    size_t n;
    snprintf(name, sizeof name, "%s/report.html", out);
    assert_true(fs_read(at(name), 64u << 20, &html, &n, NULL));
    bool found = strstr(html, words) != NULL;
    mem_free(html);
    return found;
}

/* One name, three ratios: beside each stands what it compares. */
static void ratios_are_told_apart(const json_t *j, const char *out)
{
    const struct {
        double v;
        const char *of;
    } ratio[] = {
        {metric(j, "oe", "all", 0, "value"), "the scores as they are, against a population in"},
        {metric(j, "risk_oe", "followed", 3, "value"), "(Time to diagnosis): the same scores"},
        {metric(j, "oe", "shifted", 0, "value"), "the scores moved to that population, against"},
    };
    char words[128];
    for (size_t i = 0; i < COUNT_OF(ratio); i++) {
        snprintf(words, sizeof words, "%.2f%s %s", ratio[i].v, i == 1 ? "" : ":", ratio[i].of);
        if (!says(out, words))
            fail_msg("the page lacks '%s'", words);
    }
}

static void golden_numbers_in_eval_json(void **state)
{
    const char *const settings[] = {"eval.horizon=3", "eval.years=1, 2, 3, 4, 5", NULL};
    char *csv = syn_csv(true, false);
    json_t *j = report(csv, "golden", 1, settings);
    const double mirai[] = {NAN, .7196969697, .7209821429, .6764705882, .7305555556};
    const double ipcw[] = {NAN, .696902655, .737286822, .659806802};
    for (int y = 2; y <= 5; y++) {
        near(metric(j, "auc_year_mirai", "followed", y, "value"), mirai[y - 1], 1e-10);
        if (y < 5)
            near(metric(j, "auc_year_ipcw", "followed", y, "value"), ipcw[y - 1], 1e-9);
    }
    assert_true(isnan(metric(j, "auc_year_ipcw", "followed", 5, "value")));  /* four controls */
    assert_true(isnan(metric(j, "auc_year_mirai", "followed", 1, "value"))); /* two cancers */
    near(metric(j, "auc_year_mirai", "followed", 1, "n_events"), 2, 0);
    near(metric(j, "cindex_uno", "followed", 0, "value"), .674612971966147, 1e-10);
    near(metric(j, "cindex_harrell", "followed", 0, "value"), .680045871559633, 1e-10);
    near(metric(j, "cindex_harrell", "followed", 0, "hi"),
         .680045871559633 + 1.959963984540054 * sqrt(.00574984905860756), 1e-10);
    near(metric(j, "cindex_mirai_compat", "followed", 0, "value"), .678833503, 1e-9);
    near(metric(j, "brier", "followed", 3, "value"), .199739351892, 1e-12);
    near(metric(j, "risk_observed", "followed", 3, "value"), .209189189189, 1e-12);
    near(metric(j, "risk_oe", "followed", 3, "value"), .209189189189 / (17.34 / 40), 1e-10);
    double lo = metric(j, "risk_observed", "followed", 3, "lo"),
           hi = metric(j, "risk_observed", "followed", 3, "hi");
    assert_true(lo > .02 && lo < .15 && hi > .27 && hi < .5);
    near(metric(j, "cindex_uno", "followed", 0, "n_exams"), 40, 0);
    near(metric(j, "cindex_uno", "followed", 0, "n_patients"), 30, 0);
    /* nobody was found within 60 days here: the later cancers are all of them, and told once */
    assert_null(report_tree_by_id(j, "curves", "years_ipcw_later"));
    assert_false(says("golden", "without those found by the exam"));
    assert_true(says("golden", "None of the cancers here was found by the exam itself"));
    assert_true(says("golden", "No cancer here was found by the exam itself (within 60 days)"));
    ratios_are_told_apart(j, "golden");
    json_decref(j);
    mem_free(csv);
}

static void early_cancers_are_left_out(void **state)
{
    const char *const settings[] = {"eval.screen_days=800", "eval.interval_days=1200",
                                    "eval.min_count=5", NULL};
    char *csv = syn_csv(true, false);
    json_t *j = report(csv, "early", 1, settings);
    near(metric(j, "cindex_harrell", "followed", 0, "n_events"), 20, 0);
    near(metric(j, "cindex_harrell", "later_cancers", 0, "n_events"), 14, 0); /* six by year 2 */
    const json_t *years = report_tree_by_id(j, "tables", "years"),
                 *left = json_object_get(years, "left_out");
    size_t shown = json_array_size(json_object_get(years, "rows"));
    assert_true(json_array_size(left) > 0); /* few were found or lost between them */
    assert_int_equal(json_array_size(left) + shown / 2, 5);
    const json_t *rows = json_object_get(report_tree_by_id(j, "tables", "found"), "rows");
    const int exams[] = {6, 14, 20, 0}; /* two go with the twelve behind them */
    assert_int_equal(json_array_size(rows), COUNT_OF(exams));
    for (size_t k = 0; k < COUNT_OF(exams); k++)
        assert_int_equal(json_integer_value(json_array_get(json_array_get(rows, k), 1)), exams[k]);
    const char *name = json_string_value(json_array_get(json_array_get(rows, 1), 0));
    assert_non_null(strstr(name, "between rounds (within 1200 days) to later"));
    assert_true(says("early", "itself found (within 800 days) are counted: 6 exams."));
    assert_true(says("early", "without those found by the exam"));
    json_decref(j);
    mem_free(csv);
}

/* An exam that was lost before the horizon has no label, but counts until then. */
static void exams_without_a_label_are_followed(void **state)
{
    const char *const settings[] = {NULL};
    char *csv = syn_csv(false, false);
    json_t *j = report(csv, "unlabelled", 1, settings);
    assert_true(report_tree_num(report_tree_metric(j, "auc", "all"), "n_exams") < 40);
    near(metric(j, "cindex_uno", "followed", 0, "n_exams"), 40, 0);
    near(metric(j, "cindex_uno", "followed", 0, "value"), .674612971966147, 1e-10);
    json_decref(j);
    mem_free(csv);
}

static void risks_by_year(void **state)
{
    const char *const settings[] = {NULL};
    char *csv = syn_csv(true, true);
    json_t *j = report(csv, "by_year", 1, settings);
    near(metric(j, "auc_year_mirai", "followed", 3, "value"), .7209821429, 1e-10); /* score_h3 */
    near(metric(j, "brier", "followed", 3, "value"), .199739351892, 1e-12);
    assert_true(fabs(metric(j, "brier", "followed", 4, "value") - .2) < .2);
    assert_true(fabs(metric(j, "auc_year_mirai", "followed", 2, "value") - .7196969697) > .01);
    assert_true(fabs(metric(j, "cindex_harrell", "followed", 0, "value") - .680045871559633) >
                .001);
    const json_t *rows = json_object_get(report_tree_by_id(j, "tables", "risk"), "rows");
    assert_int_equal(json_array_size(rows), 4);
    assert_string_equal(json_string_value(json_array_get(json_array_get(rows, 0), 0)), "1 y");
    json_decref(j);
    mem_free(csv);
}

static void few_cancers_are_counts_only(void **state)
{
    const char *const settings[] = {"eval.horizon=4", NULL};
    text t;
    text_init(&t);
    text_add(&t, "exam_id,score,y,T,E\n");
    for (int i = 0; i < 40; i++)
        text_addf(&t, "e%d,%.2f,%d,%g,%d\n", i, syn_a[i], i < 4, syn_t[i], i < 4);
    json_t *j = report(t.s, "few", 1, settings);
    assert_true(isnan(metric(j, "cindex_uno", "followed", 0, "value")));
    assert_true(isnan(metric(j, "cindex_uno", "followed", 0, "lo")));
    near(metric(j, "cindex_uno", "followed", 0, "n_events"), 4, 0); /* a total */
    assert_true(isnan(metric(j, "risk_oe", "followed", 4, "value")));
    assert_true(isnan(metric(j, "risk_oe", "followed", 4, "lo")));
    json_decref(j);
    text_release(&t);
}

static void without_follow_up_the_section_is_missing(void **state)
{
    const char *const settings[] = {NULL};
    json_t *j =
        report("exam_id,score,y,T,E\na,.1,0,2,0\nb,.2,1,,1\nc,.3,0,3,0\n", "nobody", 1, settings);
    assert_null(report_tree_by_id(j, "tables", "concordance"));
    json_decref(j);
    j = report("exam_id,score,y\na,.1,0\nb,.2,1\nc,.3,0\n", "none", 1, settings);
    assert_null(report_tree_by_id(j, "tables", "years"));
    assert_null(report_tree_by_id(j, "tables", "concordance"));
    bool said = false;
    size_t i;
    json_t *l;
    json_array_foreach(json_object_get(j, "limits"), i, l) said =
        said || strstr(json_string_value(l), "no times to diagnosis");
    assert_true(said);
    json_decref(j);
}

static void one_score_without_a_horizon_is_no_risk(void **state)
{
    const char *const settings[] = {NULL};
    char *csv = syn_csv(true, false);
    json_t *j = report(csv, "no_horizon", 1, settings);
    assert_null(report_tree_by_id(j, "tables", "risk"));
    assert_non_null(report_tree_by_id(j, "tables", "years"));
    json_decref(j);
    mem_free(csv);
}

static void threads_do_not_change_a_byte(void **state)
{
    const char *const settings[] = {"eval.horizon=4", NULL};
    char *csv = syn_csv(true, true);
    text a, b;
    text_init(&a);
    text_init(&b);
    json_t *one = report(csv, "j1", 1, settings), *four = report(csv, "j4", 4, settings);
    json_write_text(one, false, &a);
    json_write_text(four, false, &b);
    assert_string_equal(a.s, b.s);
    json_decref(one);
    json_decref(four);
    text_release(&a);
    text_release(&b);
    mem_free(csv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_numbers_in_eval_json),
        cmocka_unit_test(early_cancers_are_left_out),
        cmocka_unit_test(exams_without_a_label_are_followed),
        cmocka_unit_test(risks_by_year),
        cmocka_unit_test(few_cancers_are_counts_only),
        cmocka_unit_test(without_follow_up_the_section_is_missing),
        cmocka_unit_test(one_score_without_a_horizon_is_no_risk),
        cmocka_unit_test(threads_do_not_change_a_byte),
    };
    log_set_level(LOG_ERROR);
    snprintf(root, sizeof root, "/tmp/test_eval_time.XXXXXX");
    if (!mkdtemp(root))
        return 1;
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    return fs_remove_tree(root, NULL) ? rc : 1;
}
