/* The part on missing patches: hand-made robustness.csv on SYN-40, whose AUC are golden; and that
 * file as foreign bytes. evaluation.md 14. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <math.h>

#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"
#include "eval/report.h"
#include "eval/report_tree.h"
#include "eval/robust_in.h"
#include "tests/unit/eval_syn40.h"

#define AUC_A .68625
#define AUC_B .7075

static char root[64], path[192];

static const char *at(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static void put(const char *name, const text *t)
{
    assert_true(fs_write(at(name), t->s, t->len, NULL));
}

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-10))
        fail_msg("got %.15g, want %.15g", got, want);
}

static json_t *run(const char *in, const char *out)
{
    cfg *c = cfg_new((const cfg_group *[]){&eval_options}, 1);
    report_opts o = {.n_inputs = 1, .threads = 1};
    char input[192], output[192];
    json_t *tree = NULL;
    err e = {0};
    snprintf(input, sizeof input, "%s/%s", root, in);
    snprintf(output, sizeof output, "%s/%s", root, out);
    o.inputs = (const char *const[]){input};
    o.out_dir = output;
    assert_true(cfg_set(c, "eval.bootstrap=0", &e) && cfg_set(c, "eval.min_count=0", &e));
    cfg_bind(c, &eval_options, &o.cfg);
    if (!report_write(&o, NULL, &e))
        fail_msg("%s", e.msg);
    snprintf(input, sizeof input, "%s/%s/eval.json", root, out);
    assert_true(json_read(input, &tree, NULL));
    cfg_free(c);
    return tree;
}

static double cell(const json_t *tree, const char *table, size_t row, size_t column)
{
    const json_t *rows = json_object_get(report_tree_by_id(tree, "tables", table), "rows"),
                 *v = json_array_get(json_array_get(rows, row), column);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* Half of the patches in two draws: the scores of B, and those of A again; a view that every other
 * exam has; rows of an exam that is not evaluated. */
static void put_study(const char *dir)
{
    text p, r;
    text_init(&p);
    text_init(&r);
    text_add(&p, "exam_id,patient_id,image_id,score,y\n");
    text_add(&r, "exam_id,mask,keep,repeat,score,tokens,ms\n");
    for (int i = 0; i < 40; i++) {
        text_addf(&p, "e%02d,p%02d,i%02d,%.2f,%d\n", i, syn_patient(i), i, syn_a[i], syn_y[i]);
        text_addf(&r, "e%02d,none,1,0,%.2f,100,8\n", i, syn_a[i]);
        text_addf(&r, "e%02d,random,0.5,1,%.2f,50,4\n", i, syn_b[i]);
        text_addf(&r, "e%02d,random,0.5,2,%.2f,50,2\n", i, syn_a[i]);
        if (i % 2)
            text_addf(&r, "e%02d,view_RCC,%.2f,0,%.2f,75,6\n", i, i % 3 ? 0.75 : 0.5, syn_b[i]);
    }
    text_add(&r, "stranger,none,1,0,0.5,100,8\nstranger,random,0.5,1,0.9,50,4\n");
    snprintf(path, sizeof path, "%s/%s", root, dir);
    assert_true(fs_mkdirs(path, NULL));
    snprintf(path, sizeof path, "%s/%s/predictions.csv", root, dir);
    assert_true(fs_write(path, p.s, p.len, NULL));
    snprintf(path, sizeof path, "%s/%s/robustness.csv", root, dir);
    assert_true(fs_write(path, r.s, r.len, NULL));
    text_release(&p);
    text_release(&r);
}

enum { MASK, KEEP, AUC, SD, FULL, CHANGE, RANK, CROSSED, TOKENS, MS, DRAWS, EXAMS };

static void test_part(void **state)
{
    double change = 0, crossed = 0, even[2] = {0}, pairs = 0;
    put_study("p");
    json_t *t = run("p", "rep");
    const double threshold =
        json_number_value(json_object_get(json_object_get(t, "robustness"), "threshold"));
    near(threshold, .68); /* golden G14: specificity of at least 0.9 */
    for (int i = 0; i < 40; i++) {
        change += fabs(syn_a[i] - syn_b[i]) / 40;
        crossed += ((syn_a[i] >= .68) != (syn_b[i] >= .68)) / 40.0;
    }
    near(cell(t, "robustness", 0, AUC), AUC_A);
    near(cell(t, "robustness", 0, CHANGE), 0);
    near(cell(t, "robustness", 0, TOKENS), 100);
    near(cell(t, "robustness", 1, KEEP), 0.5);
    near(cell(t, "robustness", 1, AUC), (AUC_A + AUC_B) / 2);
    near(cell(t, "robustness", 1, SD), (AUC_B - AUC_A) / sqrt(2));
    near(cell(t, "robustness", 1, FULL), AUC_A);
    near(cell(t, "robustness", 1, CHANGE), change / 2);
    near(cell(t, "robustness", 1, CROSSED), crossed / 2);
    near(cell(t, "robustness", 1, TOKENS), 50);
    near(cell(t, "robustness", 1, DRAWS), 2);
    near(cell(t, "robustness", 1, EXAMS), 40);
    assert_true(cell(t, "robustness", 1, RANK) > .5 && cell(t, "robustness", 1, RANK) < 1);
    /* the view: every other exam, against the same exams whole; AUC as shares of pairs */
    for (int i = 1; i < 40; i += 2)
        for (int k = 1; k < 40; k += 2)
            if (syn_y[i] && !syn_y[k]) {
                pairs++;
                even[0] += syn_b[i] > syn_b[k] ? 1 : syn_b[i] == syn_b[k] ? 0.5 : 0;
                even[1] += syn_a[i] > syn_a[k] ? 1 : syn_a[i] == syn_a[k] ? 0.5 : 0;
            }
    near(cell(t, "robustness", 2, AUC), even[0] / pairs);
    near(cell(t, "robustness", 2, FULL), even[1] / pairs);
    near(cell(t, "robustness", 2, EXAMS), 20);
    assert_true(isnan(cell(t, "robustness", 2, KEEP)));
    near(cell(t, "robust_summary", 0, 1), (AUC_A + (AUC_A + AUC_B) / 2) / 2);
    near(cell(t, "robust_summary", 0, 2), 0.5);
    assert_int_equal(
        json_array_size(json_object_get(report_tree_by_id(t, "tables", "robust_summary"), "rows")),
        1); /* a view has no curve */
    const json_t *c = report_tree_by_id(t, "curves", "robust_random");
    near(json_number_value(json_array_get(json_object_get(c, "x"), 0)), 0.5);
    near(json_number_value(json_array_get(json_object_get(c, "y"), 1)), AUC_A);
    snprintf(path, sizeof path, "%s/rep/figures/robustness.svg", root);
    assert_true(fs_exists(path));
    json_decref(t);
    (void)state;
}

/* Without such a file the report has no such section. */
static void test_absent(void **state)
{
    put_study("q");
    snprintf(path, sizeof path, "%s/q/robustness.csv", root);
    assert_true(fs_remove_tree(path, NULL));
    json_t *t = run("q", "rep2");
    assert_null(report_tree_by_id(t, "tables", "robustness"));
    assert_null(json_object_get(t, "robustness"));
    json_decref(t);
    (void)state;
}

#define HEAD "exam_id,mask,keep,repeat,score,tokens,ms\n"

static void test_hostile(void **state)
{
    static const struct {
        const char *csv, *words;
    } bad[] = {
        {"exam_id,mask,keep\n", "repeat"},
        {HEAD "e,none,1,0,1.5,1,1\n", "row 2: 'score' is not a number of 0 to 1"},
        {HEAD "e,none,1,0,nan,1,1\n", "'score' is not a number"},
        {HEAD "e,none,0,0,.5,1,1\n", "'keep' is not a number"},
        {HEAD "e,<b>,1,0,.5,1,1\n", "'mask' is not a word"},
        {HEAD "e,,1,0,.5,1,1\n", "'mask' is not a word"},
        {HEAD "e,aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,1,0,.5,1,1\n", "'mask' is not a word"},
        {HEAD ",none,1,0,.5,1,1\n", "'exam_id' is empty or too long"},
        {HEAD "e,none,1,0,.5,1,1\ne,none,1,0,.5,1,1\n", "an exam has the mask 'none' twice"},
        {HEAD "e,none,1,0,.5,1,1\nf,none,1,0,.5,1,1\ne,random,1,1,.5,1,1\n",
         "the rows of an exam do not stand together"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        robust_in r;
        err e = {0};
        text t;
        text_init(&t);
        text_add(&t, bad[i].csv);
        put("bad.csv", &t);
        robust_in_init(&r);
        if (robust_in_read(&r, at("bad.csv"), &e))
            fail_msg("%s is taken", bad[i].csv);
        if (!strstr(e.msg, bad[i].words) || !strstr(e.msg, "robustness.csv: "))
            fail_msg("'%s' lacks '%s'", e.msg, bad[i].words);
        robust_in_release(&r);
        text_release(&t);
    }
    (void)state;
}

static int teardown(void **state)
{
    err e = {0};
    (void)state;
    return fs_remove_tree(root, &e) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_part),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_hostile),
    };
    log_set_level(LOG_ERROR);
    snprintf(root, sizeof root, "/tmp/test_eval_robustness.XXXXXX");
    if (!mkdtemp(root))
        return 1;
    return cmocka_run_group_tests(tests, NULL, teardown);
}
