/* Subgroups: the levels of every variable, values and test against a twin that does one level at a
 * time, and the part through a whole report. */
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
#include "core/rng.h"
#include "eval/boot.h"
#include "eval/pair.h"
#include "eval/rate.h"
#include "eval/report.h"
#include "eval/report_tree.h"
#include "eval/strata.h"
#include "eval/subgroup.h"
#include <math.h>

#define ROWS     120
#define CLUSTERS 70
#define LEVELS   3

static char root[64];

static void near(double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol) && !(isnan(got) && isnan(want)))
        fail_msg("got %.15g, want %.15g", got, want);
}

/* ---- values and test ------------------------------------------------------------------------- */

typedef struct sample {
    double score[ROWS], weight[ROWS];
    int y[ROWS], cluster[ROWS], level[ROWS];
    subgroup_spec spec;
    subgroup_var var;
    bool tested[LEVELS];
} sample;

static void draw(sample *s, int seed, bool cases_only, bool weighted)
{
    rng g;
    rng_init(&g, 11, RNG_TEST, (uint64_t)seed, 0);
    for (int i = 0; i < ROWS; i++) {
        s->level[i] = (int)rng_below(&g, LEVELS + 1) - 1;
        s->y[i] = rng_below(&g, 2) == 0;
        s->score[i] = (double)rng_below(&g, 15) / 20 + (s->y[i] && s->level[i] == 1 ? 0.2 : 0);
        s->weight[i] = weighted ? 0.5 + rng_below(&g, 3) : 1;
        s->cluster[i] = (int)rng_below(&g, CLUSTERS);
    }
    for (int l = 0; l < LEVELS; l++)
        s->tested[l] = true;
    s->var = (subgroup_var){s->level, LEVELS, cases_only, s->tested};
    s->spec = (subgroup_spec){.in = {.score = s->score,
                                     .y = s->y,
                                     .weight = weighted ? s->weight : NULL,
                                     .cluster = s->cluster,
                                     .n = ROWS,
                                     .n_clusters = CLUSTERS},
                              .var = &s->var,
                              .n_vars = 1,
                              .threshold = 0.4};
}

/* AUC, sensitivity, specificity of one level by visiting every pair; w: weights of the rows. */
static void twin(const sample *s, int l, const double *w, double out[3])
{
    double won = 0, pairs = 0, hits = 0, cases = 0, passed = 0, controls = 0;
    for (int i = 0; i < ROWS; i++) {
        if (s->y[i] && s->level[i] == l) {
            cases += w[i];
            hits += s->score[i] >= 0.4 ? w[i] : 0;
        }
        if (!s->y[i] && (s->var.cases_only || s->level[i] == l)) {
            controls += w[i];
            passed += s->score[i] < 0.4 ? w[i] : 0;
        }
        for (int j = 0; j < ROWS; j++)
            if (s->y[i] && s->level[i] == l && !s->y[j] &&
                (s->var.cases_only || s->level[j] == l)) {
                double a = s->score[i], b = s->score[j];
                pairs += w[i] * w[j];
                won += w[i] * w[j] * (a > b ? 1 : a == b ? 0.5 : 0);
            }
    }
    out[0] = won / pairs;
    out[1] = hits / cases;
    out[2] = passed / controls;
}

static void values_are_those_of_each_level_alone(void **state)
{
    static sample s;
    for (int seed = 0; seed < 8; seed++) {
        subgroup_level x[LEVELS], *level[] = {x};
        subgroup_test test;
        draw(&s, seed, seed % 2, seed % 3 == 0);
        subgroup_run(&s.spec, level, &test);
        assert_true(isnan(test.p)); /* no replicates, no test */
        for (int l = 0; l < LEVELS; l++) {
            double want[3];
            twin(&s, l, s.weight, want);
            near(x[l].auc, want[0], 1e-12);
            near(x[l].sens, want[1], 1e-12);
            near(x[l].spec, want[2], 1e-12);
            assert_true(isnan(x[l].sens_lo));
        }
    }
}

static bool twin_stat(void *ctx, const int32_t *times, double *out, int thread)
{
    const sample *s = ctx;
    double w[ROWS];
    for (int i = 0; i < ROWS; i++)
        w[i] = times[s->cluster[i]] * s->weight[i];
    for (int l = 0; l < LEVELS; l++)
        twin(s, l, w, out + 3 * l);
    return true;
}

/* The same draws, every level by itself, and a chi-square of two differences written out. */
static void the_test_is_that_of_the_same_draws(void **state)
{
    static sample s;
    pool *p = pool_new(2);
    for (int seed = 20; seed < 24; seed++) {
        subgroup_level x[LEVELS], *level[] = {x};
        subgroup_test test;
        int ever[CLUSTERS] = {0};
        boot_result boot;
        draw(&s, seed, seed % 2, seed % 2 == 0);
        s.spec.replicates = 150;
        s.spec.seed = 5;
        s.spec.pool = p;
        subgroup_run(&s.spec, level, &test);
        for (int i = 0; i < ROWS; i++)
            ever[s.cluster[i]] |= s.y[i];
        boot_run(&(boot_spec){.n_clusters = CLUSTERS,
                              .stratum = ever,
                              .n_strata = 2,
                              .replicates = 150,
                              .seed = 5,
                              .n_stats = 3 * LEVELS,
                              .stat = twin_stat,
                              .ctx = &s,
                              .pool = p},
                 &boot);
        double m[2] = {0}, c[3] = {0}, want[3 * LEVELS], lo, hi, sd;
        for (int pass = 0; pass < 2; pass++)
            for (int b = 0; b < 150; b++) {
                const double *r = boot.value + b * boot.n_stats;
                double d1 = r[3] - r[0], d2 = r[6] - r[0];
                if (pass == 0) {
                    m[0] += d1 / 150;
                    m[1] += d2 / 150;
                } else {
                    c[0] += (d1 - m[0]) * (d1 - m[0]) / 149;
                    c[1] += (d1 - m[0]) * (d2 - m[1]) / 149;
                    c[2] += (d2 - m[1]) * (d2 - m[1]) / 149;
                }
            }
        for (int l = 0; l < LEVELS; l++)
            twin(&s, l, s.weight, want + 3 * l);
        double d1 = want[3] - want[0], d2 = want[6] - want[0];
        double chi2 =
            (c[2] * d1 * d1 - 2 * c[1] * d1 * d2 + c[0] * d2 * d2) / (c[0] * c[2] - c[1] * c[1]);
        assert_int_equal(test.df, 2);
        near(test.chi2, chi2, 1e-9 * chi2);
        near(test.p, exp(-chi2 / 2), 1e-12); /* two degrees of freedom */
        assert_true(boot_interval(&boot, 4, 0.95, &lo, &hi, &sd));
        near(x[1].sens_lo, lo, 1e-12);
        near(x[1].sens_hi, hi, 1e-12);
        assert_true(boot_interval(&boot, 5, 0.95, &lo, &hi, &sd));
        near(x[1].spec_lo, lo, 1e-12);
        s.tested[2] = false;
        subgroup_run(&s.spec, level, &test);
        assert_int_equal(test.df, 1);
        near(test.chi2, d1 * d1 / c[0], 1e-9 * test.chi2);
        s.tested[1] = false;
        subgroup_run(&s.spec, level, &test);
        assert_int_equal(test.df, 0);
        assert_true(isnan(test.p));
        boot_release(&boot);
    }
    pool_free(p);
}

static void tails_of_chi_square(void **state)
{
    near(rate_chi2(3.841458820694124, 1), 0.05, 1e-12); /* R: qchisq(.95, df) */
    near(rate_chi2(5.991464547107979, 2), 0.05, 1e-12);
    near(rate_chi2(18.30703805327515, 10), 0.05, 1e-12);
    near(rate_chi2(0, 3), 1, 0);
    near(rate_chi2(100, 2), exp(-50), 1e-12 * exp(-50)); /* far tails keep their digits */
}

static void observed_over_expected(void **state)
{
    const double score[] = {.2, .4, .1, .3}, weight[] = {1, 2, 1, 1};
    const int y[] = {0, 1, 1, 0}, cluster[] = {0, 1, 1, 2};
    metric_in in = {.score = score, .y = y, .n = 4};
    subgroup_ratio r = subgroup_oe(&in);
    near(r.value, 2, 1e-12);
    /* residuals y - 2 p = -.4 .2 .8 -.6 over 2, squares 1.2 / 4, factor 4/3 */
    near(r.hi, 2 * exp(1.959963984540054 * sqrt(.3 * 4 / 3)), 1e-9);
    near(r.lo * r.hi, 4, 1e-9);
    in.cluster = cluster;
    in.n_clusters = 3;
    r = subgroup_oe(&in); /* the middle two are one woman: .16 + 1 + .36 over 4, factor 3/2 */
    near(r.hi, 2 * exp(1.959963984540054 * sqrt(.38 * 1.5)), 1e-9);
    in.weight = weight;
    near(subgroup_oe(&in).value, 3 / 1.4, 1e-12);
    in.n = 1;
    assert_true(isnan(subgroup_oe(&in).value));
}

/* ---- levels ---------------------------------------------------------------------------------- */

#define HEAD                                                                                       \
    "exam_id,score,y,T,E,age,density,vendor,exam_year,round,prior_surgery,quality,"                \
    "cancer_laterality,cancer_type,cancer_size_mm,mode,scanner\n"

static const char levels_csv[] =
    HEAD "a,.1,1,.1,1,49,12.5,ACME,2015,1,1,ok,l,invasive,10,screen,x\n"
         "b,.1,1,1,1,50,30,ACME,2016,3,no,blurred,Right,in situ,10.5,interval,x\n"
         "c,.1,1,3,1,70,7,Beta,2015,first,TRUE,,both,,51,?,y\n"
         "d,.1,0,5,0,,22,,,,,unknown,L,invasive,3,screen,\n"
         "e,.1,0,5,0,69,,Beta,2016,2,0,ok,,,,,y\n"
         "f,.1,0,5,0,60,18,Beta,2016,0,maybe,ok,,,,,y\n";

/* "level:n level:n ..." of a variable. */
static void levels(const char *csv, const char *name, const char *wanted)
{
    char path[128];
    scores s;
    exam_table t;
    strata_var v;
    strata_groups g;
    text out;
    err e = {0};
    snprintf(path, sizeof path, "%s/levels.csv", root);
    assert_true(fs_write(path, csv, strlen(csv), NULL));
    scores_init(&s);
    if (!scores_read(&s, path, &e) || !exam_build(&s, EXAM_MEAN_IMAGES, &t, &e) ||
        !strata_find(name, &(strata_source){&t, 60, 730}, &v, &e))
        fail_msg("%s", e.msg);
    strata_split(&v, &t, &g);
    text_init(&out);
    int controls = 0;
    for (int64_t i = 0; i < t.n; i++)
        controls += t.row[i].y == 0;
    for (int i = 0; i < g.n; i++) {
        text_addf(&out, "%s%s:%d", i ? " | " : "", g.g[i].level, (int)g.g[i].own);
        assert_int_equal(g.g[i].n, g.g[i].own + (v.cases_only ? controls : 0));
        assert_int_equal(g.g[i].unknown, !strcmp(g.g[i].level, "unknown"));
    }
    assert_string_equal(out.s, wanted);
    assert_int_equal(g.known, strcmp(wanted, "unknown:6") && strcmp(wanted, "unknown:3"));
    text_release(&out);
    strata_release(&g);
    exam_release(&t);
    scores_release(&s);
}

static void levels_of_every_variable(void **state)
{
    levels(levels_csv, "age", "under 50:1 | 50-59:1 | 60-69:2 | 70 or older:1 | unknown:1");
    levels(levels_csv, "density",
           "lowest third (to 12.5):2 | middle third (over 12.5):1 | highest third (over 18):2 | "
           "unknown:1");
    levels(levels_csv, "vendor", "ACME:2 | Beta:3 | unknown:1");
    levels(levels_csv, "site", "unknown:6");
    levels(levels_csv, "year", "2015:2 | 2016:3 | unknown:1");
    levels(levels_csv, "views", "unknown:6");
    levels(levels_csv, "round", "0:1 | first:2 | subsequent:2 | unknown:1");
    levels(levels_csv, "prior_surgery", "maybe:1 | no:2 | yes:2 | unknown:1");
    levels(levels_csv, "implant", "unknown:6");
    levels(levels_csv, "quality", "blurred:1 | ok:3 | unknown:2");
    levels(levels_csv, "cancer_side", "left:1 | right:1 | both:1");
    levels(levels_csv, "cancer_type", "in situ:1 | invasive:1 | unknown:1");
    levels(levels_csv, "cancer_size", "up to 10 mm:1 | 10 to 20 mm:1 | over 50 mm:1");
    levels(levels_csv, "mode", "interval:1 | screen:1 | unknown:1");
    levels(levels_csv, "scanner", "x:2 | y:3 | unknown:1"); /* any other column */
}

static void levels_that_depend_on_the_table(void **state)
{
    levels("exam_id,score,y,T,E,density\na,.1,1,.1,1,2\nb,.1,1,1,1,3\nc,.1,1,3,1,B\n", "mode",
           "found by the exam:1 | interval:1 | later:1");
    levels("exam_id,score,y,density\na,.1,1,2\nb,.1,1,3\nc,.1,0,3\n", "density", "2:1 | 3:2");
    levels("exam_id,score,y,density\na,.1,1,B\nb,.1,1,12\nc,.1,0,B\n", "density", "12:1 | B:2");
}

static void an_unknown_variable_fails(void **state)
{
    exam_table t = {0};
    strata_var v;
    err e = {0};
    assert_false(strata_find("shoe", &(strata_source){&t, 60, 730}, &v, &e));
    assert_non_null(strstr(e.msg, "'shoe' is neither a subgroup (known: age, density,"));
    assert_int_equal(e.code, ERR_CONFIG);
}

/* ---- the part -------------------------------------------------------------------------------- */

static json_t *report(const char *csv, const char *out, const char *setting)
{
    static const cfg_group *const groups[] = {&eval_options};
    char in[128], dir[128], file[160];
    snprintf(in, sizeof in, "%s/in.csv", root);
    snprintf(dir, sizeof dir, "%s/%s", root, out);
    snprintf(file, sizeof file, "%s/eval.json", dir);
    cfg *c = cfg_new(groups, 1);
    const char *const inputs[] = {in};
    report_opts o = {.inputs = inputs, .n_inputs = 1, .out_dir = dir, .threads = 2};
    report_headline h;
    err e = {0};
    json_t *tree = NULL;
    assert_true(fs_write(in, csv, strlen(csv), NULL));
    assert_true(cfg_set(c, "eval.bootstrap=200", &e));
    assert_true(cfg_set(c, setting, &e));
    cfg_bind(c, &eval_options, &o.cfg);
    if (!report_write(&o, &h, &e))
        fail_msg("%s", e.msg);
    assert_true(json_read(file, &tree, NULL));
    cfg_free(c);
    return tree;
}

/* The cell of the table's row whose first texts are these; NULL when there is no such row. */
static const json_t *cell(const json_t *tree, const char *table, const char *first,
                          const char *second, const char *column)
{
    const json_t *t = report_tree_by_id(tree, "tables", table);
    size_t i;
    json_t *row;
    json_array_foreach(
        json_object_get(t, "rows"), i,
        row) if (!strcmp(json_string_value(json_array_get(row, 0)), first) &&
                 (!second ||
                  !strcmp(json_string_value(json_array_get(row, 1)),
                          second))) return json_array_get(row,
                                                          (size_t)report_tree_column(t, column));
    return NULL;
}

/* 300 exams of 150 women; scores tell cancers apart at site A, not at site B. */
static char *two_sites(void)
{
    rng g;
    text t;
    text_init(&t);
    text_add(&t, "exam_id,patient_id,score,y,site,cancer_type,age\n");
    rng_init(&g, 3, RNG_TEST, 0, 0);
    for (int i = 0, few = 0; i < 300; i++) {
        bool y = rng_below(&g, 4) == 0, a = (i / 2) % 2, rare = i < 3;
        double score = 0.1 + 0.5 * rng_f64(&g) + (y && a ? 0.39 : 0);
        text_addf(&t, "e%03d,p%03d,%.4f,%d,%s,%s,%d\n", i, i / 2, score, y,
                  rare ? "C"
                  : a  ? "A"
                       : "B",
                  !y                      ? "invasive" /* not read: there is no cancer */
                  : few++ < 3             ? "rare"
                  : rng_below(&g, 2) == 0 ? "invasive"
                                          : "",
                  45 + i % 4);
    }
    return text_take(&t);
}

static void the_part_in_a_report(void **state)
{
    char *csv = two_sites();
    json_t *j = report(csv, "sites", "eval.subgroups=site, cancer_type, age, round, implant");
    const bool with_a = cell(j, "subgroups", "Site", "B", "auc") != NULL;
    const char *large = with_a ? "B" : "A",
               *small = with_a ? "other groups together (A, C)" : "other groups together (B, C)";
    const json_t *a = cell(j, "subgroups", "Site", with_a ? small : large, "auc"),
                 *b = cell(j, "subgroups", "Site", with_a ? large : small, "auc");
    assert_true(report_tree_num(a, "v") > .9 && report_tree_num(b, "v") < .7);
    assert_true(report_tree_num(cell(j, "subgroups", "Site", large, "oe"), "lo") > 0);
    assert_false(isnan(report_tree_num(cell(j, "subgroups", "Site", large, "slope"), "hi")));
    /* three exams at site C: they go with those of the smaller site */
    assert_null(cell(j, "subgroups", "Site", "C", "exams"));
    assert_null(report_tree_metric(j, "auc", "site=C"));
    assert_false(isnan(report_tree_num(cell(j, "subgroups", "Site", small, "sens"), "v")));
    assert_true(report_tree_num(cell(j, "subgroups", "Site", large, "sens"), "lo") > 0);
    /* types of cancer share the exams without one */
    const json_t *all = report_tree_metric(j, "auc", "all");
    double controls = report_tree_num(all, "n_exams") - report_tree_num(all, "n_events"), sum = 0;
    static const char *const type = "Type of the cancer",
                             *const types[] = {"other groups together (invasive, rare)", "unknown"};
    for (int k = 0; k < 2; k++) {
        double own = json_number_value(cell(j, "subgroups", type, types[k], "cancers"));
        near(json_number_value(cell(j, "subgroups", type, types[k], "exams")), controls + own, 0);
        assert_true(isnan(report_tree_num(cell(j, "subgroups", type, types[k], "oe"), "v")));
        assert_false(isnan(report_tree_num(cell(j, "subgroups", type, types[k], "auc"), "v")));
        sum += own;
    }
    near(sum, report_tree_num(all, "n_events"), 0);
    /* sites differ; one known type or one age band has nothing to differ from */
    double p = json_number_value(cell(j, "interaction", "Site", NULL, "p"));
    assert_true(p >= 0 && p < 1e-4);
    assert_int_equal(json_integer_value(cell(j, "interaction", "Site", NULL, "groups")), 2);
    assert_null(cell(j, "interaction", "Type of the cancer", NULL, "p"));
    assert_null(cell(j, "interaction", "Age", NULL, "p"));
    const json_t *absent = json_object_get(report_tree_by_id(j, "tables", "subgroups"), "absent");
    assert_int_equal(json_array_size(absent), 2);
    assert_string_equal(json_string_value(json_array_get(absent, 0)), "Screening round");
    json_decref(j);
    mem_free(csv);
}

static void p_values_are_held_to_the_family(void **state)
{
    char *csv = two_sites();
    for (char *at = csv; (at = strstr(at, "cancer_type")) != NULL; at++)
        memcpy(at, "scannertype", 11);
    json_t *j = report(csv, "family", "eval.subgroups=site, scannertype");
    double p[2], holm[2];
    const char *const name[] = {"Site", "scannertype"};
    assert_null(cell(j, "interaction", name[1], NULL, "p")); /* one known level */
    json_decref(j);
    text t;
    text_init(&t);
    for (const char *s = csv; *s; s++) /* empty becomes a level of its own */
        text_addn(&t, s[0] == ',' && s[1] == ',' ? ",other" : s,
                  s[0] == ',' && s[1] == ',' ? 6 : 1);
    j = report(t.s, "family2", "eval.subgroups=site, scannertype");
    for (int k = 0; k < 2; k++) {
        p[k] = json_number_value(cell(j, "interaction", name[k], NULL, "p"));
        holm[k] = json_number_value(cell(j, "interaction", name[k], NULL, "p_holm"));
    }
    double want[2];
    pair_holm(p, 2, want);
    near(holm[0], want[0], 0);
    near(holm[1], want[1], 0);
    assert_true(holm[0] == 2 * p[0] || holm[1] == 2 * p[1]);
    json_decref(j);
    text_release(&t);
    mem_free(csv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_each_level_alone),
        cmocka_unit_test(the_test_is_that_of_the_same_draws),
        cmocka_unit_test(tails_of_chi_square),
        cmocka_unit_test(observed_over_expected),
        cmocka_unit_test(levels_of_every_variable),
        cmocka_unit_test(levels_that_depend_on_the_table),
        cmocka_unit_test(an_unknown_variable_fails),
        cmocka_unit_test(the_part_in_a_report),
        cmocka_unit_test(p_values_are_held_to_the_family),
    };
    log_set_level(LOG_ERROR);
    snprintf(root, sizeof root, "/tmp/test_eval_subgroup.XXXXXX");
    if (!mkdtemp(root))
        return 1;
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    return fs_remove_tree(root, NULL) ? rc : 1;
}
