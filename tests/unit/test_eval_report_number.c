/* Numbers in the marks of a language: on the page and in figures, never in eval.json and CSV. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/report.h"
#include "eval/report_number.h"
#include "eval/report_text.h"

static char root[64];

static char *at(const char *name)
{
    static char path[8][128];
    static int k;
    k = (k + 1) % 8;
    snprintf(path[k], sizeof path[k], "%s/%s", root, name);
    return path[k];
}

static void german(void)
{
    static const char words[] = "{\"number.decimal\":\",\",\"number.thousands\":\"\xC2\xA0\","
                                "\"range.to\":\" bis \"}";
    err e = {0};
    assert_true(fs_write(at("de.json"), words, strlen(words), NULL));
    if (!report_text_use(at("de.json"), &e))
        fail_msg("%s", e.msg);
}

static void reads(const char *plain, const char *want)
{
    text t;
    text_init(&t);
    report_number(&t, plain);
    assert_string_equal(t.s, want);
    text_release(&t);
}

static void marks_of_a_language(void **state)
{
    reads("1234.5", "1234.5");
    german();
    reads("1234567.25", "1\xC2\xA0"
                        "234\xC2\xA0"
                        "567,25");
    reads("-0.5", "-0,5");
    reads("<0.001", "<0,001");
    reads("= 0.034", "= 0,034");
    reads("1e-05", "1e-05");
    reads("100", "100");
    reads("1000", "1\xC2\xA0"
                  "000");
    reads("nan", "nan");
    reads("", "");
    char s[16] = "0.75";
    report_number_in(s, sizeof s);
    assert_string_equal(s, "0,75");
    assert_true(report_text_use(NULL, NULL));
}

static void shows(double v, double lo, double hi, const char *want)
{
    json_t *row = json_array();
    text t;
    text_init(&t);
    cells_est(row, v, lo, hi);
    cells_show(json_array_get(row, 0), "est", &t);
    assert_string_equal(t.s, want);
    text_release(&t);
    json_decref(row);
}

static void ranges_below_zero_are_words(void **state)
{
    shows(.5, .25, .75,
          "0.50 (0.25\xE2\x80\x93"
          "0.75)");
    shows(-4.05, -4.32, -3.79, "-4.05 (-4.32 to -3.79)");
    shows(.1, -.2, .4, "0.10 (-0.20 to 0.40)");
    german();
    shows(-4.05, -4.32, -3.79, "-4,05 (-4,32 bis -3,79)");
    assert_true(report_text_use(NULL, NULL));
}

static char *get(const char *name)
{
    char *s;
    size_t n;
    assert_true(fs_read(at(name), 64u << 20, &s, &n, NULL));
    return s;
}

static void files_for_programs_keep_the_point(void **state)
{
    static const cfg_group *const groups[] = {&eval_options};
    cfg *c = cfg_new(groups, 1);
    const char *const in[] = {at("a.csv")};
    report_opts o = {.inputs = in, .n_inputs = 1, .out_dir = at("out"), .threads = 1};
    err e = {0};
    char set[160];
    text t;
    text_init(&t);
    text_add(&t, "exam_id,score,y\n");
    for (int i = 0; i < 1200; i++)
        text_addf(&t, "e%d,%.4f,%d\n", i, (i * 37 % 997) / 1000.0 + (i % 7 ? 0 : .001), i % 7 == 0);
    assert_true(fs_write(in[0], t.s, t.len, NULL));
    german();
    snprintf(set, sizeof set, "eval.strings=%s", at("de.json"));
    assert_true(cfg_set(c, set, &e) && cfg_set(c, "eval.bootstrap=0", &e));
    cfg_bind(c, &eval_options, &o.cfg);
    if (!report_write(&o, NULL, &e))
        fail_msg("%s", e.msg);
    char *html = get("out/report.html"), *csv = get("out/tables/metrics.csv"),
         *svg = get("out/figures/roc.svg"), *roc = get("out/figures/roc.csv");
    assert_non_null(strstr(html, "1\xC2\xA0"
                                 "200 exams"));
    assert_non_null(strstr(svg, ">0,2</text>"));
    assert_null(strstr(svg, ">0.2</text>"));
    assert_non_null(strstr(csv, ",0."));
    assert_null(strstr(csv, "0,5,"));
    assert_non_null(strstr(roc, ",0."));
    json_t *tree = NULL;
    assert_true(json_read(at("out/eval.json"), &tree, NULL)); /* numbers are numbers */
    json_decref(tree);
    mem_free(html);
    mem_free(csv);
    mem_free(svg);
    mem_free(roc);
    text_release(&t);
    cfg_free(c);
}

static int teardown(void **state)
{
    return fs_remove_tree(root, NULL) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_of_a_language),
        cmocka_unit_test(ranges_below_zero_are_words),
        cmocka_unit_test(files_for_programs_keep_the_point),
    };
    log_set_level(LOG_ERROR);
    snprintf(root, sizeof root, "/tmp/test_eval_number.XXXXXX");
    if (!mkdtemp(root))
        return 1;
    return cmocka_run_group_tests(tests, NULL, teardown);
}
