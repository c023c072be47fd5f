/* The report as a whole: books, splits, golden numbers in eval.json, escaping, identical bytes. */
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
#include "eval/cells.h"
#include "eval/report.h"
#include "eval/report_in.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include <math.h>
#include "tests/unit/eval_syn40.h"
#include "tests/unit/said.h"

static char root[64];

static char *at(const char *name)
{
    static char path[64][256];
    static int k;
    k = (k + 1) % 64;
    snprintf(path[k], sizeof path[k], "%s/%s", root, name);
    return path[k];
}

static void put(const char *name, const char *s)
{
    assert_true(fs_write(at(name), s, strlen(s), NULL));
}

static char *get(const char *name)
{
    char *s;
    size_t n;
    err e = {0};
    if (!fs_read(at(name), 64u << 20, &s, &n, &e))
        fail_msg("%s", e.msg);
    return s;
}

/* Run the report; *message gets the error text, NULL wanted = success. */
static report_headline run(const char *const *inputs, int n, const char *out, const char *settings,
                           const report_opts *flags, const char *wanted)
{
    static const cfg_group *const groups[] = {&eval_options};
    cfg *c = cfg_new(groups, 1);
    report_opts o = *flags;
    report_headline h = {0};
    err e = {0};
    if (settings[0])
        assert_true(cfg_set(c, settings, &e));
    o.inputs = inputs;
    o.n_inputs = n;
    o.out_dir = at(out);
    if (!o.threads)
        o.threads = 1;
    cfg_bind(c, &eval_options, &o.cfg);
    if (o.cfg.bootstrap == 2000)
        o.cfg.bootstrap = 200;
    bool ok = report_write(&o, &h, &e);
    if (ok != (wanted == NULL))
        fail_msg("%s", ok ? "the report should have failed" : e.msg);
    if (wanted && !strstr(e.msg, wanted))
        fail_msg("message '%s' lacks '%s'", e.msg, wanted);
    cfg_free(c);
    return h;
}

static report_headline run_one(const char *input, const char *out, const char *wanted)
{
    const char *const inputs[] = {at(input)};
    return run(inputs, 1, out, "", &(report_opts){0}, wanted);
}

static void syn40(const char *name, const double *score)
{
    text t;
    text_init(&t);
    text_add(&t, "exam_id,patient_id,score,y,exam_day\n");
    for (int i = 0; i < 40; i++)
        text_addf(&t, "e%02d,p%02d,%.2f,%d,%d\n", i, i < 30 ? i : (i - 30) * 3, score[i], syn_y[i],
                  i);
    put(name, t.s);
    text_release(&t);
}

static double metric(const json_t *tree, const char *id, const char *subset, const char *member)
{
    const json_t *m = report_tree_metric(tree, id, subset);
    if (!m)
        fail_msg("no metric %s of %s", id, subset);
    const json_t *v = json_object_get(m, member);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static void near(double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("got %.15g, want %.15g", got, want);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void golden_numbers_in_eval_json(void **state)
{
    json_t *j = NULL;
    syn40("a.csv", syn_a);
    report_headline h = run_one("a.csv", "golden", NULL);
    near(h.auc, .68625, 1e-10);
    assert_int_equal(h.n_exams, 40);
    assert_int_equal(h.n_patients, 30);
    assert_int_equal(h.n_events, 20);
    assert_string_equal(h.ci, "clustered-logit");
    assert_true(json_read(at("golden/eval.json"), &j, NULL));
    near(metric(j, "auc", "all", "value"), .68625, 1e-10);
    near(metric(j, "auc_wald", "all", "lo"), .485095363727, 1e-10);
    near(metric(j, "auc_wald", "all", "hi"), .887404636273, 1e-10);
    near(metric(j, "ap", "all", "value"), .63370047212102, 1e-10);
    near(metric(j, "pauc_10", "all", "value"), .513157894736842, 1e-10);
    near(metric(j, "auc", "first_exam", "value"), .7, 1e-10); /* 225 pairs: one decimal */
    assert_int_equal(metric(j, "auc", "first_exam", "n_events"), 15);
    const json_t *row = json_array_get(
        json_object_get(report_tree_by_id(j, "tables", "operating"), "rows"), 0); /* spec >= .8 */
    near(json_number_value(json_array_get(row, 1)), .65, 1e-12);
    /* 4 of 20 cancers are flagged: neither they nor the share of .20 that tells of them is shown */
    assert_true(json_is_null(json_object_get(json_array_get(row, 2), "v")));
    assert_true(json_is_null(json_array_get(row, 4)));
    assert_true(json_is_null(json_array_get(row, 5)));
    assert_string_equal(json_string_value(json_array_get(row, 7)), "hidden");
    assert_string_equal(json_string_value(json_array_get(row, 9)), "hidden");
    row = json_array_get(json_object_get(report_tree_by_id(j, "tables", "predictive"), "rows"), 0);
    assert_true(!row || !strstr(json_string_value(json_array_get(row, 0)), "80 %"));
    json_decref(j);
    const char *const in[] = {at("a.csv")};
    run(in, 1, "golden_all", "eval.min_count=0", &(report_opts){0}, NULL);
    assert_true(json_read(at("golden_all/eval.json"), &j, NULL));
    near(metric(j, "auc", "first_exam", "value"), .72, 1e-10);
    near(metric(j, "auc", "last_exam", "value"), .693333333333, 1e-10);
    json_decref(j);
}

static void ensemble_is_the_mean_of_probabilities(void **state)
{
    json_t *j = NULL;
    syn40("a.csv", syn_a);
    syn40("b.csv", syn_b);
    const char *const both[] = {at("a.csv"), at("b.csv")};
    report_headline h = run(both, 2, "ens", "", &(report_opts){0}, NULL);
    /* .73 in exact fractions. Sums of binary fractions without the grid of exam_round break two
     * true ties and give the .7275 of golden G29. */
    near(h.auc, .73, 1e-10);
    assert_true(json_read(at("ens/eval.json"), &j, NULL));
    const json_t *rows = json_object_get(report_tree_by_id(j, "tables", "members"), "rows");
    near(json_number_value(json_object_get(json_array_get(json_array_get(rows, 4), 1), "v")), .7075,
         1e-10);
    near(json_number_value(json_object_get(json_array_get(json_array_get(rows, 0), 1), "v")), .73,
         1e-10); /* the headline's rule, then the others */
    near(json_number_value(json_object_get(json_array_get(json_array_get(rows, 1), 1), "v")), .7325,
         1e-10);
    near(json_number_value(json_object_get(json_array_get(json_array_get(rows, 2), 1), "v")),
         .71625, 1e-10);
    near(json_number_value(json_object_get(json_array_get(json_array_get(rows, 6), 1), "v")),
         .02125 / sqrt(2), 1e-10);
    json_decref(j);
    h = run(both, 2, "ens3", "eval.ensemble=mean_rank", &(report_opts){0}, NULL); /* G29 */
    near(h.auc, .71625, 1e-10);
    put("seeds.csv", "exam_id,image_id,score,y,seed\nx,i,.5,1,1\nx,i,.6,1,2\n");
    const char *const seeds[] = {at("seeds.csv")};
    run(seeds, 1, "ens4", "eval.ensemble=mean_logit", &(report_opts){0},
        "needs one table for each network");
    put("other.csv", "exam_id,score,y\nx,.5,1\n");
    const char *const odd[] = {at("a.csv"), at("other.csv")};
    run(odd, 2, "ens2", "", &(report_opts){0}, "do not hold the same exams");
}

static void undefined_is_null_with_a_reason(void **state)
{
    json_t *j = NULL;
    put("one.csv", "exam_id,score,y\na,.1,0\nb,.4,0\n");
    report_headline h = run_one("one.csv", "one", NULL);
    assert_true(isnan(h.auc));
    assert_string_equal(h.reason, "ONE_CLASS");
    put("few.csv", "exam_id,score,y\na,.1,0\nb,.4,0\nc,.35,1\nd,.8,1\n");
    h = run_one("few.csv", "few", NULL);
    assert_string_equal(h.reason, "FEW_EVENTS");
    assert_true(json_read(at("few/eval.json"), &j, NULL));
    assert_true(json_is_null(json_object_get(report_tree_metric(j, "auc", "all"), "value")));
    assert_true(json_is_null(json_object_get(report_tree_metric(j, "ap", "all"), "value")));
    json_decref(j);
    put("none.csv", "exam_id,score,y\na,.1,\n");
    run_one("none.csv", "none", "no exam has a label");
}

/* ---- rules ----------------------------------------------------------------------------------- */

static void test_split_needs_final(void **state)
{
    text t;
    text_init(&t);
    text_add(&t, "exam_id,score,y,split\n");
    for (int i = 0; i < 20; i++)
        text_addf(&t, "e%d,.%02d,%d,%s\n", i, i, i % 2, i < 12 ? "test" : "val");
    put("mix.csv", t.s);
    text_release(&t);
    const char *const in[] = {at("mix.csv")};
    run(in, 1, "mix", "", &(report_opts){0}, "the table holds several splits ('test' and 'val')");
    run(in, 1, "mix", "eval.split=test", &(report_opts){0}, "test metrics need --final");
    assert_false(fs_exists(at("mix/report.html")));
    report_headline h = run(in, 1, "mix", "eval.split=test", &(report_opts){.final = true}, NULL);
    assert_int_equal(h.n_exams, 12);
    run(in, 1, "mix", "eval.split=test", &(report_opts){.final = true}, NULL); /* nothing to do */
    char *log = get("mix/final.log"), *end = strchr(log, '\n');
    assert_string_equal(end, "\n");
    mem_free(log);
    run(in, 1, "mix", "eval.split=test", &(report_opts){.final = true, .force = true}, NULL);
    log = get("mix/final.log");
    end = strchr(log, '\n');
    assert_non_null(strchr(end + 1, '\n')); /* two looks, two lines */
    assert_non_null(strstr(log, "data_sha256="));
    mem_free(log);
    h = run(in, 1, "val", "eval.split=val", &(report_opts){0}, NULL);
    assert_int_equal(h.n_exams, 8);
    run(in, 1, "val1", "eval.split=val", &(report_opts){.final = true},
        "--final is for test exams; these are of the split 'val'");
    assert_false(fs_exists(at("val1/final.log")));
    put("ours.csv", "exam_id,score,y,split\na,.1,0,outside\nb,.2,1,outside\nc,.3,0,outside\n");
    const char *const ours[] = {at("ours.csv")};
    h = run(ours, 1, "ours", "", &(report_opts){.final = true}, NULL);
    assert_int_equal(h.n_exams, 3);
    assert_true(fs_exists(at("ours/final.log")));
    run(in, 1, "val2", "eval.split=nosuch", &(report_opts){0}, "no row has the split 'nosuch'");
}

static void thresholds_from_other_women(void **state)
{
    json_t *j = NULL;
    text t;
    text_init(&t);
    text_add(&t, "exam_id,score,y\n");
    for (int i = 0; i < 40; i++)
        text_addf(&t, "v%02d,%.2f,%d\n", i, syn_b[i], syn_y[i]);
    put("v.csv", t.s);
    text_release(&t);
    syn40("a.csv", syn_a);
    const char *const in[] = {at("a.csv")};
    run(in, 1, "fixed", "", &(report_opts){.val = at("v.csv")}, NULL);
    assert_true(json_read(at("fixed/eval.json"), &j, NULL));
    const json_t *row =
        json_array_get(json_object_get(report_tree_by_id(j, "tables", "operating"), "rows"), 0);
    near(json_number_value(json_array_get(row, 1)), .34, 1e-12); /* of B, golden G14 */
    json_decref(j);
    run(in, 1, "fixed2", "", &(report_opts){.val = at("a.csv")}, "who are also in --val");
}

/* 40 exams; vendor of exam i: 'A' below a, 'B' below b, else 'C'. */
static void of_vendors(const char *name, char who, int a, int b)
{
    text t;
    text_init(&t);
    text_add(&t, "exam_id,patient_id,score,y,vendor\n");
    for (int i = 0; i < 40; i++)
        text_addf(&t, "%c%02d,%c%02d,%.2f,%d,%s\n", who, i, who, i, syn_a[i], syn_y[i],
                  i < a   ? "A"
                  : i < b ? "B"
                          : "C");
    put(name, t.s);
    text_release(&t);
}

/* A maker that only the other set has, of `there` - 20 exams. */
static void whose_thresholds(int there)
{
    json_t *j = NULL;
    of_vendors("here.csv", 'h', 20, 20);     /* 20 of A, 20 of C */
    of_vendors("there.csv", 't', 20, there); /* 20 of A, 3 or 6 of B, the rest of C */
    const char *const in[] = {at("here.csv")};
    run(in, 1, "origin", "", &(report_opts){.val = at("there.csv"), .force = true}, NULL);
    assert_true(json_read(at("origin/eval.json"), &j, NULL));
    const json_t *t = report_tree_by_id(j, "tables", "threshold_mix"),
                 *rows = json_object_get(t, "rows");
    typedef struct wanted {
        const char *level;
        double there, here; /* NaN: hidden */
    } wanted;
    static const wanted few[] = {{"A", NAN, 20}, {"C", NAN, 20}, {"unknown", 40, 40}},
                        many[] = {{"A", 20, 20}, {"C", 14, 20}, {"B", 6, 0}, {"unknown", 40, 40}};
    const wanted *want = there < 25 ? few : many; /* of few of one maker none is counted there */
    assert_int_equal(json_array_size(rows), there < 25 ? COUNT_OF(few) : COUNT_OF(many));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        assert_string_equal(json_string_value(json_array_get(row, 1)), want[i].level);
        if (isnan(want[i].there)) {
            assert_string_equal(json_string_value(json_array_get(row, 2)), "hidden");
            assert_true(json_is_null(json_array_get(row, 3)));
        } else {
            near(json_number_value(json_array_get(row, 2)), want[i].there, 0);
            near(json_number_value(json_array_get(row, 3)), want[i].there / 40, 1e-12);
        }
        near(json_number_value(json_array_get(row, 4)), want[i].here, 0);
        near(json_number_value(json_array_get(row, 5)), want[i].here / 40, 1e-12);
    }
    json_decref(j);
}

static void thresholds_say_whose_they_are(void **state)
{
    whose_thresholds(23);
    whose_thresholds(26);
}

static void flow_fails(const char *flow, const char *wanted)
{
    err e = {0};
    json_t *j = NULL;
    assert_true(json_parse(flow, strlen(flow), "flow", &j, NULL));
    bool ok = report_in_check_flow(j, &e);
    if (ok != (wanted == NULL) || (wanted && !strstr(e.msg, wanted)))
        fail_msg("got '%s', wanted '%s'", ok ? "success" : e.msg, wanted ? wanted : "success");
    json_decref(j);
}

static void books_must_balance(void **state)
{
    flow_fails("[{\"n_in\":10,\"n_out\":7},{\"n_in\":7,\"n_out\":7}]", NULL);
    flow_fails("[{\"n_in\":10,\"n_out\":7,\"excluded\":3}]", NULL);
    flow_fails("[{\"n_in\":10,\"n_out\":7,\"excluded\":2}]",
               "does not add up: 10 in - 7 out is not 2");
    flow_fails("[{\"n_in\":7,\"n_out\":10}]", "7 in, 10 out");
    flow_fails("[{\"n_in\":10,\"n_out\":7},{\"n_in\":8,\"n_out\":8}]",
               "begins with 8, the row before it ended with 7");
    flow_fails("[{\"n_in\":10,\"n_out\":7,\"stage\":\"a\",\"unit\":\"files\"},"
               "{\"n_in\":8,\"n_out\":8,\"stage\":\"b\",\"unit\":\"files\"}]",
               "begins with 8");
    flow_fails("[{\"n_in\":10,\"n_out\":7,\"unit\":\"files\"},{\"n_in\":2,\"n_out\":2,\"unit\":"
               "\"exams\"}]",
               NULL);
    flow_fails("[{\"n_in\":10}]", "flow row 1");
    flow_fails("[5]", "not an object");
}

/* ---- a whole PRED folder --------------------------------------------------------------------- */

static const unsigned char png[] = {0x89, 'P', 'N', 'G',  '\r', '\n', 0x1a, '\n', 0,    0, 0, 13,
                                    'I',  'H', 'D', 'R',  0,    0,    0,    1,    0,    0, 0, 1,
                                    8,    0,   0,   0,    0,    0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0,
                                    10,   'I', 'D', 'A',  'T',  0x78, 0x9c, 0x63, 0x60, 0, 0, 0,
                                    2,    0,   1,   0x48, 0xaf, 0xa4, 0x71, 0,    0,    0, 0, 'I',
                                    'E',  'N', 'D', 0xae, 0x42, 0x60, 0x82};

/* A PRED folder whose rows stand in an order drawn from `order_seed`. */
static void make_pred(const char *dir, uint64_t order_seed)
{
    char name[128];
    text t, rows[120];
    int64_t order[120];
    rng r;
    for (int i = 0; i < 120; i++) {
        rng_init(&r, 9, RNG_TEST, (uint64_t)(i / 4), 0);
        int y = i / 4 % 3 == 0;
        double base = 0.3 * rng_f64(&r) + 0.2 * y;
        text_init(&rows[i]);
        text_addf(&rows[i], "e%02d,p%02d,i%03d,%s,%s,%.6f,%d,%d,%s,val\n", i / 4, i / 8, i,
                  i % 2 ? "L" : "R", i % 4 < 2 ? "CC" : "MLO", base + 0.01 * (i % 4), y,
                  45 + i / 4 % 3, i / 4 < 26 ? "\"<i>ACME & Sons</i>\"" : "Rare");
        order[i] = i;
    }
    rng_init(&r, order_seed, RNG_TEST, 999, 0);
    if (order_seed)
        rng_shuffle(&r, 120, order);
    text_init(&t);
    text_add(&t, "exam_id,patient_id,image_id,laterality,view,score,y,age,vendor,split\n");
    for (int i = 0; i < 120; i++)
        text_add(&t, rows[order[i]].s);
    snprintf(name, sizeof name, "%s/pages", dir);
    assert_true(fs_mkdirs(at(name), NULL));
    snprintf(name, sizeof name, "%s/predictions.csv", dir);
    put(name, t.s);
    snprintf(name, sizeof name, "%s/predictions.json", dir);
    put(name,
        "{\"flow\":[{\"stage\":\"scan\",\"step\":\"<b>unreadable</b>\",\"reason\":\"F_BAD\","
        "\"n_in\":130,\"n_out\":120,\"unit\":\"files\"}],"
        "\"model\":{\"name\":\"<script>alert(1)</script>\",\"image_h\":256,"
        "\"training_vendors\":[\"Other\"],\"synthetic\":true},"
        "\"hashes\":{\"model\":\"abc\"},\"config_yaml\":\"a: </pre><script>\\n\",\"more\":1}");
    snprintf(name, sizeof name, "%s/pages/x.png", dir);
    assert_true(fs_write(at(name), png, sizeof png, NULL));
    snprintf(name, sizeof name, "%s/pages/index.json", dir);
    put(name, "{\"format\":\"mammovit.pages/2\",\"exams\":["
              "{\"exam_id\":\"e01\",\"why\":\"random\",\"views\":[{\"view\":\"RCC\",\"file\":"
              "\"x.png\",\"score\":0.25,\"chest_wall\":\"right\"}]},"
              "{\"exam_id\":\"<img src=x>\",\"note\":\"<img src=x>\",\"views\":[{\"view\":"
              "\"<b>unread\",\"file\":\"x.png\",\"chest_wall\":\"left\"}]}]}");
    for (int i = 0; i < 120; i++)
        text_release(&rows[i]);
    text_release(&t);
}

static const char *const outputs[] = {
    "eval.json",        "report.html",          "report.pdf",           "figures/roc.svg",
    "figures/flow.svg", "figures/forest.svg",   "figures/scores.svg",   "tables/metrics.csv",
    "tables/flow.csv",  "tables/subgroups.csv", "tables/operating.csv", "tables/sensitivity.csv"};

static void same_bytes_for_any_threads_and_order(void **state)
{
    char name[128], sum[3][65];
    make_pred("p1", 0);
    make_pred("p2", 77);
    for (int k = 0; k < 3; k++) {
        const char *const in[] = {at(k == 2 ? "p2" : "p1")};
        snprintf(name, sizeof name, "same%d", k);
        run(in, 1, name, "", &(report_opts){.threads = k == 0 ? 1 : 4}, NULL);
    }
    for (size_t i = 0; i < COUNT_OF(outputs); i++) {
        for (int k = 0; k < 3; k++) {
            snprintf(name, sizeof name, "same%d/%s", k, outputs[i]);
            assert_true(fs_sha256_file(at(name), sum[k], NULL));
        }
        assert_string_equal(sum[0], sum[1]);
        assert_string_equal(sum[0], sum[2]);
    }
}

static void nothing_foreign_reaches_the_page_unescaped(void **state)
{
    static const char *const never[] = {"<script>alert", "<i>ACME", "<b>unread", "<img src=x",
                                        "javascript:",   "url(",    "@import",   NULL};
    make_pred("p3", 0);
    run_one("p3", "esc", NULL);
    char *html = get("esc/report.html"), *svg = get("esc/figures/flow.svg");
    for (int i = 0; never[i]; i++)
        if (strstr(html, never[i]) || strstr(svg, never[i]))
            fail_msg("the page holds '%s'", never[i]);
    assert_non_null(strstr(html, "&lt;script&gt;alert(1)"));
    assert_non_null(strstr(html, "&lt;i&gt;ACME &amp; Sons&lt;/i&gt;"));
    assert_non_null(strstr(html, "default-src 'none'"));
    assert_non_null(strstr(html, "src=\"data:image/png;base64,iVBORw0KGgo"));
    assert_non_null(strstr(html, "not acquired"));
    /* what single exams, and made-up ones, do not tell */
    assert_non_null(strstr(html, "No training image came from this manufacturer (&lt;i&gt;ACME"));
    assert_null(strstr(html, "No exam that the thresholds come from")); /* there is no --val */
    assert_non_null(strstr(html, "there is no clear miss to show"));
    assert_non_null(strstr(html, "These data are synthetic"));
    assert_non_null(strstr(html, "The data are synthetic: images and outcomes"));
    assert_non_null(strstr(html, "It is not recorded whether cancers that the exam itself found"));
    assert_non_null(strstr(html, "made by a program, no women"));
    assert_non_null(strstr(html, "The exam pages show 2 single women under pseudonyms"));
    for (const char *p = html; (p = strstr(p, "http")) != NULL; p++) /* only names, no addresses */
        if (strncmp(p, "http://www.w3.org/2000/svg", 26) && strncmp(p, "http-equiv", 10))
            fail_msg("the page holds '%.40s'", p);
    mem_free(html);
    mem_free(svg);
}

static void small_groups_are_no_groups(void **state)
{
    make_pred("p4", 0);
    run_one("p4", "mask", NULL);
    char *csv = get("mask/tables/subgroups.csv");
    /* four exams of a rare manufacturer, one of them with cancer: the other would follow */
    assert_null(strstr(csv, "Manufacturer"));
    assert_null(strstr(csv, "hidden"));
    char *html = get("mask/report.html");
    assert_non_null(strstr(html, "Not shown: Manufacturer. Only one group would hold 5 women"));
    assert_null(strstr(html, "Rare"));
    mem_free(html);
    mem_free(csv);
}

/* Pages of single exams: risks by year where the table has them; a false alarm that was early. */
static void pages_tell_years_and_early_alarms(void **state)
{
    text t;
    text_init(&t);
    text_add(&t,
             "exam_id,patient_id,image_id,laterality,view,score,y,T,E,split,score_h1,score_h2\n");
    for (int i = 0; i < 40; i++) /* e00: cancer in year 4; e01: never */
        text_addf(&t, "e%02d,p%02d,i%02d,L,CC,%.3f,%d,%g,%d,val,%.4f,%.4f\n", i, i, i,
                  i < 2 ? .9 - .01 * i : .2 + .01 * i, i % 4 == 3,
                  !i           ? 4.
                  : i % 4 == 3 ? 1.
                               : 5.,
                  i % 4 == 3 || !i, i ? .01 : .012, i ? .02 : .034);
    assert_true(fs_mkdirs(at("yearly/pages"), NULL));
    put("yearly/predictions.csv", t.s);
    assert_true(fs_write(at("yearly/pages/x.png"), png, sizeof png, NULL));
    text_clear(&t);
    text_add(&t, "{\"format\":\"mammovit.pages/2\",\"exams\":[");
    for (int i = 0; i < 2; i++)
        text_addf(&t,
                  "%s{\"exam_id\":\"e%02d\",\"why\":\"false_alarm\",\"views\":[{\"view\":"
                  "\"LCC\",\"file\":\"x.png\",\"score\":0.9,\"chest_wall\":\"left\"}]}",
                  i ? "," : "", i);
    text_add(&t, "]}");
    put("yearly/pages/index.json", t.s);
    text_release(&t);
    run_one("yearly", "yearly_out", NULL);
    char *html = get("yearly_out/report.html"),
         *early = strstr(html, "counted as a false alarm of the model, but cancer"),
         *plain = strstr(html, "upper half: a false alarm of the model.");
    assert_true(early && plain && early < plain); /* the first page, then the second */
    assert_null(strstr(early + 1, "counted as a false alarm of the model, but cancer"));
    assert_non_null(strstr(html, "in 1,000 exams like this one: year 1: 12, year 2: 34."));
    assert_non_null(strstr(html, "cancer 4.0 years after the exam"));
    mem_free(html);
}

static void flow_ends_with_the_table(void **state)
{
    json_t *j = NULL, *row;
    make_pred("p5", 0);
    run_one("p5", "books", NULL);
    assert_true(json_read(at("books/eval.json"), &j, NULL));
    const json_t *flow = json_object_get(j, "flow");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(flow, 0), "excluded")), 10);
    row = json_array_get(flow, json_array_size(flow) - 2);
    assert_int_equal(json_integer_value(json_object_get(row, "n_out")), 30);
    assert_string_equal(json_string_value(json_object_get(row, "unit")), "exams");
    row = json_array_get(flow, json_array_size(flow) - 1);
    assert_int_equal(json_integer_value(json_object_get(row, "n_out")), 15);
    assert_string_equal(json_string_value(json_object_get(row, "unit")), "women");
    json_decref(j);
    put("p5/predictions.json", "{\"flow\":[{\"n_in\":130,\"n_out\":121,\"unit\":\"images\"}]}");
    run_one("p5", "books2", "the flow ends with 121 images, but predictions.csv has 120 rows");
    put("p5/predictions.json", "{\"flow\":[{\"n_in\":3,\"n_out\":5}]}");
    run_one("p5", "books2", "predictions.json: flow row 1");
    put("p5/predictions.json", "{\"flow\":7}");
    run_one("p5", "books2", "'flow' is not a list");
}

static void bad_pages_fail(void **state)
{
    make_pred("p6", 0);
    put("p6/pages/index.json", "[]");
    run_one("p6", "pages", "its format is not mammovit.pages/2; run predict again");
    put("p6/pages/index.json", "{\"format\":\"mammovit.pages/2\",\"exams\":[{\"exam_id\":\"e\","
                               "\"views\":[{\"view\":\"RCC\",\"file\":\"../predictions.csv\","
                               "\"chest_wall\":\"left\"}]}]}");
    run_one("p6", "pages", "exam 1: view 1: 'file' is not a plain file name");
    assert_false(fs_exists(at("pages/eval.json")));
}

/* A report with exam pages says what it shows, three times; one option leaves them out. */
static void single_women_are_announced_or_left_out(void **state)
{
    static const char *const says[] = {
        "The exam pages show 2 single women under pseudonyms", /* beside the small counts */
        "class=\"warn\">This part shows single women: 2 exams",
        "This report shows 2 single women on its exam pages: it stays in the hospital"};
    make_pred("p7", 0);
    for (int pages = 1; pages >= 0; pages--) {
        const char *const in[] = {at("p7")};
        json_t *j = NULL;
        run(in, 1, "single", pages ? "eval.pages=12" : "eval.pages=0",
            &(report_opts){.force = true}, NULL);
        char *html = get("single/report.html");
        for (size_t i = 0; i < COUNT_OF(says); i++)
            if ((strstr(html, says[i]) != NULL) != pages)
                fail_msg("pages %d: '%s'", pages, says[i]);
        assert_int_equal(strstr(html, "data:image/png") != NULL, pages);
        assert_true(json_read(at("single/eval.json"), &j, NULL));
        assert_int_equal(json_array_size(json_object_get(j, "pages")), pages ? 2 : 0);
        json_decref(j);
        mem_free(html);
    }
}

/* Each page tells the rank of its exam among those evaluated, which side of the threshold it is on,
 * the exam before, and what became known, by the label. */
static void exam_pages_say_what_is_known(void **state)
{
    static const char *const says[] = {
        "Shown because its score is among the highest.",
        "The score is 0.800, among the highest 20 of 100 in this set.", /* 7 exams: enough */
        "As a risk: about 78 in 1,000 exams like this one where 0.6 % of exams have cancer.",
        "It lies above the threshold 0.8, which keeps 90 % specificity on these exams: the exam "
        "would be flagged.",
        "Her exam 2.0 years before had the score 0.100; the change is +0.700.",
        "Not acquired or not usable: LCC, RMLO, LMLO.",
        "What became known: cancer, 1.5 years after the exam.",
        "Shown because it was drawn at random.",
        "It lies below the threshold",
        "What became known: no cancer in the time that the label looks at; cancer 3.5 years after "
        "the exam.",
        "This exam is not among the evaluated ones"};
    text t;
    text_init(&t);
    text_add(&t, "exam_id,patient_id,image_id,score,y,T,E,exam_day\n");
    for (int i = 0; i < 36; i++) { /* 0.1 twelve times without cancer, then 0.2, and 0.8 last */
        const char *score = i < 12 ? "0.1" : i < 30 ? "0.2" : i < 32 ? "0.9" : "0.8";
        text_addf(&t, "e%02d,p%02d,i%02d,%s,%d,%s,%d,%d\n", i, i == 35 ? 0 : i, i, score, i >= 28,
                  i >= 28  ? "1.5"
                  : i == 1 ? "3.5"
                           : "5",
                  i >= 28 || i == 1, i == 35 ? 731 : 0);
    }
    assert_true(fs_mkdirs(at("p8/pages"), NULL));
    put("p8/predictions.csv", t.s);
    assert_true(fs_write(at("p8/pages/x.png"), png, sizeof png, NULL));
    text_clear(&t);
    text_add(&t, "{\"format\":\"mammovit.pages/2\",\"exams\":[");
    static const char *const exam[][2] = {{"e35", "highest"}, {"e01", "random"}, {"x", ""}};
    for (int i = 0; i < 3; i++)
        text_addf(&t,
                  "%s{\"exam_id\":\"%s\",\"why\":\"%s\",\"views\":[{\"view\":\"RCC\",\"file\":"
                  "\"x.png\",\"chest_wall\":\"right\"}]}",
                  i ? "," : "", exam[i][0], exam[i][1]);
    text_add(&t, "]}");
    put("p8/pages/index.json", t.s);
    run_one("p8", "exams", NULL);
    char *html = get("exams/report.html");
    const char *p = html;
    for (size_t i = 0; i < COUNT_OF(says); i++) {
        const char *found = strstr(p, says[i]);
        if (!found)
            fail_msg("the page lacks '%s' behind '%.300s'", says[i], strstr(p, "<li>Shown"));
        p = found;
    }
    assert_null(strstr(strstr(html, "id=\"images\""), "p-value"));
    mem_free(html);
    text_release(&t);
    (void)state;
}

static void names_and_uids_are_noticed(void **state)
{
    json_t *j = NULL;
    make_pred("p7", 0);
    put("p7/predictions.json", "{\"model\":{\"a\":\"DOE^JANE\",\"b\":\"1.2.840.113619.2.55.3.6\","
                               "\"c\":\"19500101-1234\",\"d\":\"0.25, 0.5 and 1.2.3\"}}");
    run_one("p7", "ids", NULL);
    assert_true(json_read(at("ids/eval.json"), &j, NULL));
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(j, "privacy"), "suspicious")), 3);
    json_decref(j);
    char *html = get("ids/report.html");
    assert_non_null(strstr(html, "3 of "));
    mem_free(html);
}

/* Four images an exam; the rest: every third row twice, and exams of three and of five images whose
 * scores say the opposite of their labels. */
static void put_views(const char *name, bool rest)
{
    text t;
    text_init(&t);
    text_add(&t, "exam_id,patient_id,image_id,score,y\n");
    for (int i = 0; i < 200; i++) {
        int n = i < 40 || !rest ? 4 : i % 2 ? 3 : 5;
        if (i >= 40 && !rest)
            break;
        for (int k = 0; k < n; k++) {
            double v = i < 40 ? 0.9 * syn_a[i] + 0.02 * k : i % 3 ? 0.9 : 0.1;
            int y = i < 40 ? syn_y[i] : i % 3 == 0;
            for (int twice = 0; twice < (rest && k == 1 ? 2 : 1); twice++)
                text_addf(&t, "e%03d,p%03d,i%03d-%d,%.3f,%d\n", i, i, i, k, v, y);
        }
    }
    put(name, t.s);
    text_release(&t);
}

/* patchdropout.md 11: the exam AUC is the same with repeated rows and with exams that have not four
 * images, once these are not asked for. */
static void exams_without_four_images_change_nothing(void **state)
{
    put_views("four.csv", false);
    put_views("rest.csv", true);
    const char *const four[] = {at("four.csv")}, *const rest[] = {at("rest.csv")};
    report_headline a = run(four, 1, "four", "", &(report_opts){0}, NULL);
    report_headline b = run(rest, 1, "rest4", "eval.require=exactly4", &(report_opts){0}, NULL);
    report_headline c = run(rest, 1, "rest", "", &(report_opts){0}, NULL);
    assert_int_equal(a.n_exams, 40);
    assert_int_equal(b.n_exams, 40);
    assert_int_equal(c.n_exams, 200);
    assert_true(a.auc == b.auc && a.lo == b.lo && a.hi == b.hi);
    assert_true(fabs(a.auc - c.auc) > 0.1);
    json_t *j = NULL;
    assert_true(json_read(at("rest4/eval.json"), &j, NULL));
    const json_t *flow = json_object_get(j, "flow"), *step = NULL;
    for (size_t i = 0; i < json_array_size(flow); i++)
        if (!strcmp(json_string_value(json_object_get(json_array_get(flow, i), "reason")),
                    "INCOMPLETE_EXAM"))
            step = json_array_get(flow, i);
    assert_non_null(step);
    assert_int_equal(json_integer_value(json_object_get(step, "n_out")), 160);
    assert_int_equal(json_integer_value(json_object_get(step, "n_in")), 160 + 80 * 8);
    json_decref(j);
    syn40("three.csv", syn_a);
    const char *const three[] = {at("three.csv")};
    run(three, 1, "three", "eval.require=exactly4", &(report_opts){0},
        "no exam has exactly 4 images (eval.require)");
}

/* Scores of images with patches left out are called a study of stability. */
static void dropped_patches_are_said(void **state)
{
    make_pred("p9", 0);
    said s = said_begin(at("said"));
    run_one("p9", "whole", NULL);
    assert_false(said_end(s, at("said"), "study"));
    put("p9/predictions.json", "{\"model\":{\"predict_keep_rate\":0.5}}");
    s = said_begin(at("said"));
    run_one("p9", "dropped", NULL);
    assert_true(said_end(s, at("said"), "warn stability_study why=\"patches were left out"));
    char *whole = get("whole/report.html"), *dropped = get("dropped/report.html");
    assert_null(strstr(whole, "a study of stability"));
    assert_non_null(strstr(dropped, "a study of stability"));
    assert_non_null(strstr(dropped, "Patches kept when scoring"));
    mem_free(whole);
    mem_free(dropped);
}

static void put_meta(const char *name, const char *model, const char *hash, const char *config)
{
    char s[512];
    snprintf(s, sizeof s,
             "{\"model\":{\"name\":\"vit\",\"lr\":0.1%s},\"hashes\":{\"model\":\"%s\"},"
             "\"config_yaml\":\"%s\"}",
             model, hash, config);
    put(name, s);
}

#define RECIPE "model:\\n  depth: 12\\ntrain:\\n  lr: 0.1\\n  cache_mib: 1\\n"

/* Only seeds of one recipe are averaged; a bare table says nothing of its recipe. */
static void only_seeds_of_one_recipe_are_averaged(void **state)
{
    make_pred("s1", 0);
    make_pred("s2", 0);
    const char *const two[] = {at("s1"), at("s2")}, *const bare[] = {at("s1/predictions.csv"),
                                                                     at("s2")};
    put_meta("s1/predictions.json", "", "aaaaaaaaaaaaaaaa", RECIPE);
    put_meta("s2/predictions.json", ",\"seed\":2", "bb",
             "model:\\n  depth: 12\\ntrain:\\n  lr: 0.1\\n  cache_mib: 7\\n");
    run(two, 2, "seeds1", "", &(report_opts){0}, NULL);
    put_meta("s2/predictions.json", "", "aaaaaaaaaaaaaaaa", RECIPE);
    run(two, 2, "seeds2", "", &(report_opts){0},
        "inputs 1 and 2 were scored by the same checkpoint (aaaaaaaaaaaa)");
    put_meta("s2/predictions.json", "", "bb",
             "model:\\n  depth: 12\\ntrain:\\n  lr: 0.2\\n  cache_mib: 1\\n");
    run(two, 2, "seeds2", "", &(report_opts){0},
        "inputs 1 and 2 are not seeds of one recipe: train: 'lr: 0.1' and 'lr: 0.2'");
    put_meta("s2/predictions.json", ",\"depth\":5", "bb", RECIPE);
    run(two, 2, "seeds2", "", &(report_opts){0}, "depth is absent and 5");
    put_meta("s2/predictions.json", ",\"predict_keep_rate\":0.5", "bb", RECIPE);
    run(two, 2, "seeds2", "", &(report_opts){0}, "predict.keep_rate is 1 and 0.5");
    assert_false(fs_exists(at("seeds2")));
    /* the mark of a study comes from any input */
    run(bare, 2, "seeds3", "", &(report_opts){0}, NULL);
    char *html = get("seeds3/report.html");
    assert_non_null(strstr(html, "a study of stability"));
    mem_free(html);
}

static void put_side(const char *name, char who, const char *checkpoint)
{
    text t;
    text_init(&t);
    text_addf(&t, "exam_id,patient_id,score,y%s\n", checkpoint ? ",checkpoint,seed" : "");
    for (int i = 0; i < 40; i++) {
        text_addf(&t, "%c%02d,%c%02d,%.2f,%d", who, i, who, i, syn_a[i], syn_y[i]);
        text_addf(&t, checkpoint ? ",%s,%d\n" : "\n", checkpoint, who);
    }
    put(name, t.s);
    text_release(&t);
}

/* Thresholds come from the networks that are evaluated, scored the same way. */
static void val_is_of_the_same_networks(void **state)
{
    const char *const one[] = {at("t1/predictions.csv")}, *const pred[] = {at("t1")},
                      *const two[] = {at("t1/predictions.csv"), at("t2.csv")};
    report_opts o = {.val = at("v1")};
    assert_true(fs_mkdirs(at("t1"), NULL) && fs_mkdirs(at("v1"), NULL));
    put_side("t1/predictions.csv", 't', "abc");
    put_side("v1/predictions.csv", 'v', "abc");
    run(one, 1, "val1", "", &o, NULL);
    put_side("v1/predictions.csv", 'v', "abd");
    run(one, 1, "val2", "", &o, "checkpoint 'abc' is only of the evaluated ones");
    put_side("v1/predictions.csv", 'v', "abc+abd");
    run(one, 1, "val2", "", &o, "checkpoint 'abd' is only of the validation ones");
    put_side("t2.csv", 't', "abd");
    run(two, 2, "val3", "", &o, NULL);
    put_side("v1/predictions.csv", 'v', NULL);
    run(one, 1, "val4", "", &o, NULL);
    put("t1/predictions.json", "{\"model\":{\"name\":\"vit\"}}");
    put("v1/predictions.json", "{\"model\":{\"name\":\"vit\",\"predict_keep_rate\":0.5}}");
    run(pred, 1, "val2", "", &o,
        "predict.keep_rate was 1 for the evaluated exams and 0.5 for the validation exams");
    assert_false(fs_exists(at("val2")));
}

static void tools_accept_the_files(void **state)
{
    char command[512];
    make_pred("p8", 0);
    run_one("p8", "tools", NULL);
    if (system("command -v tidy >/dev/null 2>&1") == 0) {
        snprintf(command, sizeof command, "tidy -q -e '%s' >/dev/null 2>&1",
                 at("tools/report.html"));
        assert_true(system(command) / 256 < 2); /* 1 = warnings, 2 = errors */
    }
    if (system("command -v qpdf >/dev/null 2>&1") == 0) {
        snprintf(command, sizeof command, "qpdf --check '%s' >/dev/null 2>&1",
                 at("tools/report.pdf"));
        assert_int_equal(system(command), 0);
    }
    char *pdf = get("tools/report.pdf");
    assert_memory_equal(pdf, "%PDF-", 5);
    mem_free(pdf);
}

static void every_word_is_unique(void **state)
{
    for (int i = 0; i < report_text_count(); i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(report_text_key(i), report_text_key(k));
    text t;
    text_init(&t);
    report_fill(&t, "headline.interval", (const char *const[]){"hi", "2", "lo", "1", NULL});
    assert_string_equal(t.s, "95 % confidence interval 1 to 2");
    text_release(&t);
}

static int teardown(void **state)
{
    return fs_remove_tree(root, NULL) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thresholds_say_whose_they_are),
        cmocka_unit_test(golden_numbers_in_eval_json),
        cmocka_unit_test(ensemble_is_the_mean_of_probabilities),
        cmocka_unit_test(undefined_is_null_with_a_reason),
        cmocka_unit_test(test_split_needs_final),
        cmocka_unit_test(thresholds_from_other_women),
        cmocka_unit_test(books_must_balance),
        cmocka_unit_test(same_bytes_for_any_threads_and_order),
        cmocka_unit_test(nothing_foreign_reaches_the_page_unescaped),
        cmocka_unit_test(small_groups_are_no_groups),
        cmocka_unit_test(pages_tell_years_and_early_alarms),
        cmocka_unit_test(flow_ends_with_the_table),
        cmocka_unit_test(bad_pages_fail),
        cmocka_unit_test(single_women_are_announced_or_left_out),
        cmocka_unit_test(exam_pages_say_what_is_known),
        cmocka_unit_test(names_and_uids_are_noticed),
        cmocka_unit_test(exams_without_four_images_change_nothing),
        cmocka_unit_test(dropped_patches_are_said),
        cmocka_unit_test(only_seeds_of_one_recipe_are_averaged),
        cmocka_unit_test(val_is_of_the_same_networks),
        cmocka_unit_test(tools_accept_the_files),
        cmocka_unit_test(every_word_is_unique),
    };
    log_set_level(LOG_ERROR);
    snprintf(root, sizeof root, "/tmp/test_eval_report.XXXXXX");
    if (!mkdtemp(root))
        return 1;
    return cmocka_run_group_tests(tests, NULL, teardown);
}
