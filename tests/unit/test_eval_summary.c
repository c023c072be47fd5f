/* The first page and table 1: what is said of a thousand women, of the exams left out, of the
 * weakest group, and the counts by outcome, each against numbers counted here. */
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
#include "eval/report.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
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

#define N 400

static int label(int i)
{
    return i % 8 == 0;
}

/* Exams of 70 years and more are scored at random, the others well; three exams of one vendor. */
static double score(int i)
{
    int old = i % 4 == 1 || i % 16 == 0;
    double noise = (i * 37 % 101) / 101.0;
    return old ? 0.1 + 0.5 * noise : 0.1 + 0.2 * noise + 0.5 * label(i);
}

static int age(int i)
{
    return i % 4 == 1 || i % 16 == 0 ? 72 : 55;
}

static json_t *tree;
static char *html;

/* A row of the books: files in and left out; exams (each of a woman of her own) in, lost, touched.
 * The last one also tells of all reasons together. */
static void book(text *out, const char *step, const int n[5])
{
    bool last = !strcmp(step, "fourth");
    text_addf(out,
              "%s{\"stage\":\"scan\",\"step\":\"%s\",\"reason\":\"%s\",\"unit\":\"files\","
              "\"n_in\":%d,\"n_out\":%d",
              n[0] == 460 ? "" : ",", step, step, n[0], n[0] - n[1]);
    for (int k = 0; k < 2; k++) {
        const char *what = k ? "women" : "exams";
        text_addf(out, ",\"%s_in\":%d,\"%s_out\":%d,\"%s_touched\":%d", what, n[2], what,
                  n[2] - n[3], what, n[4]);
    }
    text_add(out, "}");
    if (last)
        text_add(out, ",{\"stage\":\"scan\",\"step\":\"all\",\"reason\":\"\",\"unit\":\"files\","
                      "\"n_in\":400,\"n_out\":400,\"exams_in\":400,\"exams_out\":400,"
                      "\"exams_touched\":0,\"women_in\":400,\"women_out\":400,"
                      "\"women_touched\":0,\"exams_part\":9,\"women_part\":7}");
}

static int setup(void **state)
{
    static const cfg_group *const groups[] = {&eval_options};
    snprintf(root, sizeof root, "/tmp/test_eval_summary.XXXXXX");
    if (!mkdtemp(root) || !fs_mkdirs(at("p"), NULL))
        return -1;
    text t;
    text_init(&t);
    text_add(&t, "exam_id,patient_id,score,y,age,vendor\n");
    for (int i = 0; i < N; i++)
        text_addf(&t, "e%03d,p%03d,%.5f,%d,%d,%s\n", i, i, score(i), label(i), age(i),
                  i % 150 == 1 ? "Rare"
                  : i % 5 == 2 ? "Third"
                               : "Usual");
    bool ok = fs_write(at("p/predictions.csv"), t.s, t.len, NULL);
    text books;
    text_init(&books);
    text_add(&books, "{\"flow\":[");
    book(&books, "second", (const int[]){460, 20, 414, 5, 12});
    book(&books, "WITHIN_DETECTION", (const int[]){440, 35, 409, 8, 14});
    book(&books, "third", (const int[]){405, 4, 401, 1, 2});
    book(&books, "fourth", (const int[]){401, 1, 400, 0, 1});
    text_add(&books, "]}");
    ok = ok && fs_write(at("p/predictions.json"), books.s, books.len, NULL);
    text_release(&books);
    text_release(&t);
    const char *const in[] = {at("p")};
    cfg *c = cfg_new(groups, 1);
    report_opts o = {.inputs = in, .n_inputs = 1, .out_dir = at("out"), .threads = 1};
    cfg_bind(c, &eval_options, &o.cfg);
    o.cfg.bootstrap = 0;
    err e = {0};
    size_t n;
    ok = ok && report_write(&o, NULL, &e) && json_read(at("out/eval.json"), &tree, &e) &&
         fs_read(at("out/report.html"), 64u << 20, &html, &n, &e);
    cfg_free(c);
    if (!ok)
        fprintf(stderr, "%s\n", e.msg);
    return ok ? 0 : -1;
}

static int teardown(void **state)
{
    json_decref(tree);
    mem_free(html);
    return fs_remove_tree(root, NULL) ? 0 : -1;
}

static const json_t *cell(const char *table, int row, const char *column)
{
    const json_t *t = report_tree_by_id(tree, "tables", table);
    if (!t)
        fail_msg("no table %s", table);
    int k = report_tree_column(t, column);
    assert_true(k >= 0);
    return json_array_get(json_array_get(json_object_get(t, "rows"), (size_t)row), (size_t)k);
}

static double number(const char *table, int row, const char *column)
{
    return json_number_value(cell(table, row, column));
}

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9))
        fail_msg("got %.15g, want %.15g", got, want);
}

/* Counts at the threshold that the report gives for 90 % specificity. */
static void counts(double t, int n[2][2])
{
    memset(n, 0, 4 * sizeof n[0][0]);
    for (int i = 0; i < N; i++)
        n[score(i) >= t - 6e-6][label(i)]++; /* the table has five decimals */
}

/* Bars of the distribution: no bar of 1 to 4 exams, and together they are all exams. */
static void no_bar_tells_of_few(void **state)
{
    static const char *const ids[] = {"hist_control", "hist_case", "risk_control", "risk_case"};
    for (int k = 0; k < 4; k++) {
        const json_t *c = report_tree_by_id(tree, "curves", ids[k]);
        const json_t *x = json_object_get(c, "x"), *y = json_object_get(c, "y");
        size_t n = json_array_size(y);
        double all = k % 2 ? 50 : 350, sum = 0;
        assert_true(n >= 2 && json_array_size(x) == n + 1);
        double range =
            json_number_value(json_array_get(x, n)) - json_number_value(json_array_get(x, 0));
        for (size_t i = 0; i < n; i++) {
            double width = json_number_value(json_array_get(x, i + 1)) -
                           json_number_value(json_array_get(x, i));
            double exams =
                all * json_number_value(json_array_get(y, i)) * width / range * (k < 2 ? 24 : 40);
            assert_true(fabs(exams - round(exams)) < 1e-6);
            if (round(exams) > 0 && round(exams) < 5)
                fail_msg("%s: a bar of %.0f exams", ids[k], exams);
            sum += exams;
        }
        assert_true(fabs(sum - all) < 1e-6);
    }
}

static void a_thousand_women(void **state)
{
    int n[2][2];
    counts(number("operating", 1, "threshold"), n);
    double se = n[1][1] / 50.0, sp = n[0][0] / 350.0, pi = 0.006, sum = 0;
    assert_int_equal(n[1][1] + n[0][1], 50);
    assert_true(sp >= 0.9);
    near(number("thousand", 0, "women"), 1000 * se * pi);
    near(number("thousand", 1, "women"), 1000 * (1 - sp) * (1 - pi));
    near(number("thousand", 2, "women"), 1000 * (1 - se) * pi);
    for (int i = 0; i < 4; i++)
        sum += number("thousand", i, "women");
    near(sum, 1000);
    /* the plain words come before the AUC */
    const char *lead = strstr(html, "<p>Of 1,000 women in a population where 0.6 % have cancer"),
               *headline = strstr(html, "<div class=\"headline\">");
    assert_true(lead && headline && lead < headline);
}

static void cross_table_adds_up(void **state)
{
    int n[2][2];
    counts(number("operating", 1, "threshold"), n);
    for (int row = 0; row < 2; row++) {
        int flagged = row == 0;
        near(number("crosstab", row, "cancers"), n[flagged][1]);
        near(number("crosstab", row, "controls"), n[flagged][0]);
        near(number("crosstab", row, "exams"), n[flagged][1] + n[flagged][0]);
    }
    char box[64]; /* the last boxes of the flow diagram */
    snprintf(box, sizeof box, ">%d exams flagged</text>", n[1][1] + n[1][0]);
    assert_non_null(strstr(html, box));
}

static void weakest_group_and_reasons(void **state)
{
    assert_non_null(strstr(html, "separates least well for Age: 70 or older"));
    assert_non_null(strstr(
        html, "Of 460 files, 60 were left out (most frequent: WITHIN_DETECTION (35), several "
              "small reasons together, found in the archive (25)) and 0 belong to "
              "other splits."));
    assert_non_null(strstr(html, "25 of the files stand there in rows that count several"));
    /* all exams under another name are no weak group */
    assert_null(strstr(html, "separates least well for Breast density"));
}

/* The books in exams and women: in a sentence, in the table, in the flow diagram. */
static void exams_that_were_left_out(void **state)
{
    assert_non_null(
        strstr(html, "Of 414 exams of 414 women in the archive, 14 exams were left out "
                     "with all their images, 14 women with all their exams (most "
                     "frequent: WITHIN_DETECTION (8), several small reasons together, found in "
                     "the archive (6)): 400 exams of 400 women were left to be "
                     "scored."));
    assert_non_null(strstr(html, "9 exams of all splits stayed without some of their images."));
    near(number("flow_exams", 0, "exams_lost"), 8);
    near(number("flow_exams", 0, "exams_part"), 6);
    near(number("flow_exams", 2, "exams_lost"), 6); /* the joined row, at the end of its stage */
    near(number("flow_exams", 2, "women_out"), 400);
    assert_true(json_is_null(cell("flow_exams", 2, "exams_part")));
    assert_non_null(strstr(html, "found in the archive: 414"));
    assert_non_null(strstr(html, ": 8 exams"));
}

/* One exam in eight has cancer: the top 5 % cannot hold half of them. In a population it can. */
static void capture_is_of_a_population(void **state)
{
    const json_t *t = report_tree_by_id(tree, "tables", "capture_population");
    const int rows = (int)json_array_size(json_object_get(t, "rows"));
    static const double top[] = {.01, .02, .05, .1, .2};
    double before = 0;
    int told = 0;
    for (size_t k = 0; k < COUNT_OF(top); k++) {
        char name[64];
        snprintf(name, sizeof name, "top %.4g %% of a population", 100 * top[k]);
        if (told == rows ||
            strcmp(json_string_value(cell("capture_population", told, "point")), name)) {
            /* a row that would repeat the one above is left out, and the note names it */
            snprintf(name, sizeof name, "%.4g %%", 100 * top[k]);
            assert_non_null(strstr(strstr(report_tree_str(t, "note"), "cut a population"), name));
            continue;
        }
        double flagged = number("capture_population", told, "flagged_pop"),
               capture = report_tree_num(cell("capture_population", told, "capture_pop"), "v");
        int n[2][2];
        counts(number("capture_population", told, "threshold"), n);
        near(capture, n[1][1] / 50.0);
        near(flagged, .006 * n[1][1] / 50.0 + .994 * n[1][0] / 350.0);
        assert_true(flagged > before && flagged <= top[k]);
        before = flagged;
        told++;
    }
    assert_true(told > 0 && told == rows && rows < (int)COUNT_OF(top));
    assert_non_null(strstr(html, "its own top 5 % has room for 40 of 100"));
}

/* The risks of single exams are only as good as their slope. */
static void a_slope_away_from_one_is_said(void **state)
{
    const json_t *m = report_tree_metric(tree, "calibration_slope", "shifted");
    char words[64];
    assert_null(report_tree_metric(tree, "calibration_slope", "recalibrated"));
    assert_true(report_tree_num(m, "lo") > 1);
    snprintf(words, sizeof words, "The slope is %.2f: ", report_tree_num(m, "value"));
    assert_non_null(strstr(html, words));
    assert_non_null(strstr(html, "lie too close together"));
    assert_null(strstr(html, "lie too far apart"));
}

/* What the numbers are about: here the books say that early cancers are out. */
static void the_question_is_said(void **state)
{
    assert_non_null(strstr(html, "Exams that a cancer was found at, or soon after, were left out"));
    assert_null(strstr(html, "It is not recorded whether cancers"));
    assert_null(strstr(html, "The data are synthetic"));
    assert_non_null(strstr(html, "(eval.population)")); /* keys stand in one sentence alone */
    assert_null(strstr(strstr(html, "(eval.population)") + 2, "eval.population"));
}

static void participants_by_outcome(void **state)
{
    const json_t *t = report_tree_by_id(tree, "tables", "participants"), *row;
    size_t i;
    int old[2] = {0}, seen = 0;
    char want[2][32];
    for (int k = 0; k < N; k++)
        old[label(k)] += age(k) >= 70;
    snprintf(want[1], sizeof want[1], "%d (%.1f %%)", old[1], 100.0 * old[1] / 50);
    snprintf(want[0], sizeof want[0], "%d (%.1f %%)", old[0], 100.0 * old[0] / 350);
    assert_string_equal(json_string_value(cell("participants", 0, "group_all")), "400");
    assert_string_equal(json_string_value(cell("participants", 0, "group_cases")), "50");
    assert_int_equal(report_tree_column(t, "group_val"), -1); /* no --val here */
    for (i = 0; (row = json_array_get(json_object_get(t, "rows"), i)) != NULL; i++) {
        const char *level = json_string_value(json_array_get(row, 1));
        if (!strcmp(level, "70 or older")) {
            assert_string_equal(json_string_value(json_array_get(row, 3)), want[1]);
            assert_string_equal(json_string_value(json_array_get(row, 4)), want[0]);
            seen++;
        } else if (strstr(level, "Rare")) { /* three exams, with those of another */
            assert_true(!strcmp(level, "other groups together (Rare, Third)"));
            seen++;
        }
        for (size_t c = 0; c < json_array_size(row); c++)
            assert_string_not_equal(json_string_value(json_array_get(row, c)), "hidden");
    }
    assert_int_equal(seen, 2);
}

/* The place of one item of the guidelines; "" = the authors. */
static const char *answer(const json_t *of, const char *guideline, const char *item)
{
    const json_t *rows = json_object_get(report_tree_by_id(of, "tables", guideline), "rows"), *row;
    for (size_t i = 0; (row = json_array_get(rows, i)) != NULL; i++)
        if (!strcmp(json_string_value(json_array_get(row, 0)), item))
            return json_string_value(json_array_get(row, 2));
    fail_msg("no item %s in %s", item, guideline);
    return NULL;
}

/* An item is answered only by what the report holds. */
static void checklists_claim_what_is_there(void **state)
{
    assert_string_equal(answer(tree, "checklist_tripod", "20a"), "data"); /* the flow */
    assert_string_equal(answer(tree, "checklist_tripod", "17"), "");      /* ethics */
    assert_string_equal(answer(tree, "checklist_stard", "23"), "data");   /* the cross table */
    assert_string_equal(answer(tree, "checklist_tripod", "8a"), "");      /* no label recorded */
    assert_string_equal(answer(tree, "checklist_claim", "37"), "");       /* no readers */
    assert_string_equal(answer(tree, "checklist_claim", "22"), "");       /* no model card */
    assert_string_equal(answer(tree, "checklist_stard_ai", "25"), "data");
    assert_string_equal(answer(tree, "checklist_stard_ai", "15b"), ""); /* no training known */
    assert_string_equal(answer(tree, "checklist_stard_ai", "40b"), "reproduce");
    assert_non_null(strstr(html, "<td class=\"t\">needs author</td>"));
    assert_non_null(strstr(html, "<a href=\"#data\">Data and flow</a></td>"));
    static const cfg_group *const groups[] = {&eval_options};
    const char *const in[] = {at("p")};
    json_t *other = NULL;
    cfg *c = cfg_new(groups, 1);
    report_opts o = {.inputs = in, .n_inputs = 1, .out_dir = at("label"), .threads = 1};
    assert_true(cfg_set(c, "eval.label=cancer within two years, by registry", NULL));
    cfg_bind(c, &eval_options, &o.cfg);
    o.cfg.bootstrap = 0;
    assert_true(report_write(&o, NULL, NULL) && json_read(at("label/eval.json"), &other, NULL));
    assert_string_equal(answer(other, "checklist_tripod", "8a"), "data");
    assert_string_equal(answer(other, "checklist_claim", "14"), "data");
    json_decref(other);
    cfg_free(c);
}

/* One run with the words of a file. */
static bool translated(const char *words, const char *out, err *e)
{
    static const cfg_group *const groups[] = {&eval_options};
    const char *const in[] = {at("p")};
    char set[300];
    cfg *c = cfg_new(groups, 1);
    report_opts o = {.inputs = in, .n_inputs = 1, .out_dir = at(out), .threads = 1};
    assert_true(fs_write(at("words.json"), words, strlen(words), NULL));
    snprintf(set, sizeof set, "eval.strings=%s", at("words.json"));
    assert_true(cfg_set(c, set, NULL));
    cfg_bind(c, &eval_options, &o.cfg);
    o.cfg.bootstrap = 0;
    bool ok = report_write(&o, NULL, e);
    cfg_free(c);
    return ok;
}

static void words_of_another_language(void **state)
{
    static const char words[] =
        "{\"lang\":\"sv\",\"section.summary\":\"Sammanfattning\",\"headline.interval\":"
        "\"mellan {lo} och {hi} (95 %)\",\"point.spec\":\"specificitet {target}\"}";
    err e = {0};
    char *page;
    size_t n;
    assert_true(translated(words, "sv", &e));
    assert_true(fs_read(at("sv/report.html"), 64u << 20, &page, &n, NULL));
    assert_non_null(strstr(page, "<html lang=\"sv\">"));
    assert_non_null(strstr(page, ">Sammanfattning</h2>"));
    assert_non_null(strstr(page, "specificitet 90"));
    assert_non_null(strstr(page, "Research use only")); /* left out: English */
    mem_free(page);
    assert_true(fs_read(at("sv/report.pdf"), 64u << 20, &page, &n, NULL));
    bool lang = false;
    for (size_t i = 0; i + 10 < n; i++)
        lang = lang || !memcmp(page + i, "/Lang (sv)", 10);
    assert_true(lang);
    mem_free(page);
    assert_string_equal(report_text("lang"), "en"); /* the next report is English again */
    /* other words are another report */
    assert_false(translated("{\"lang\":\"no\"}", "sv", &e));
    assert_non_null(strstr(e.msg, "of other inputs: eval.strings"));
    static const char *const bad[][2] = {
        {"{\"nokey\":\"x\"}", "eval.strings: 'nokey' is no key of the report"},
        {"{\"lang\":5}", "eval.strings: 'lang' is not a text"},
        {"{\"headline.interval\":\"{low}\"}", "has a {name} that the English text has not"},
        {"{\"headline.interval\":\"{lo\"}", "has a {name} that the English text has not"},
        {"{\"lang\":\"a) /X\"}", "eval.strings: 'lang' is not a language tag"},
        {"[1]", "eval.strings: not an object of texts"},
        {"{", "eval.strings"}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        e = (err){0};
        assert_false(translated(bad[i][0], "none", &e));
        if (!strstr(e.msg, bad[i][1]))
            fail_msg("'%s' lacks '%s'", e.msg, bad[i][1]);
        assert_string_equal(report_text("lang"), "en");
    }
    assert_false(fs_exists(at("none/eval.json")));
    /* every word, translated by itself: nothing is lost */
    json_t *all = report_text_all();
    assert_int_equal(json_object_size(all), report_text_count());
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bar_tells_of_few),
        cmocka_unit_test(a_thousand_women),
        cmocka_unit_test(cross_table_adds_up),
        cmocka_unit_test(weakest_group_and_reasons),
        cmocka_unit_test(exams_that_were_left_out),
        cmocka_unit_test(the_question_is_said),
        cmocka_unit_test(capture_is_of_a_population),
        cmocka_unit_test(a_slope_away_from_one_is_said),
        cmocka_unit_test(participants_by_outcome),
        cmocka_unit_test(checklists_claim_what_is_there),
        cmocka_unit_test(words_of_another_language),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, setup, teardown);
}
