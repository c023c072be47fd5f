/* What report.html, report.pdf and eval.json promise to other programs: the policy names the one
 * script, no address is asked for, the tree follows docs/eval.schema.json, figures bring their
 * numbers, the PDF says its language. */
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
#include "eval/draw.h"
#include "eval/figure.h"
#include "eval/pdf_catalog.h"
#include "eval/report.h"
#include "eval/report_page.h"
#include <math.h>
#include "tests/unit/json_schema.h"

static char root[64];

static char *at(const char *name)
{
    static char path[16][256];
    static int k;
    k = (k + 1) % 16;
    snprintf(path[k], sizeof path[k], "%s/%s", root, name);
    return path[k];
}

static char *get(const char *name, size_t *n)
{
    char *s;
    size_t len;
    assert_true(fs_read(at(name), 64u << 20, &s, &len, NULL));
    if (n)
        *n = len;
    return s;
}

/* 240 exams of 120 women with everything that the tables of the report ask for. */
static int setup(void **state)
{
    static const cfg_group *const groups[] = {&eval_options};
    static const char *const view[] = {"CC", "MLO"}, *const vendor[] = {"</script>", "A&B", "C"};
    snprintf(root, sizeof root, "/tmp/test_eval_page.XXXXXX");
    if (!mkdtemp(root))
        return -1;
    text t;
    text_init(&t);
    text_add(&t, "exam_id,patient_id,image_id,laterality,view,score,y,age,vendor,exam_day,T,E,"
                 "density,recall\n");
    for (int i = 0; i < 960; i++) {
        int exam = i / 4, y = exam % 5 == 0;
        double score = 0.05 + 0.0007 * ((exam * 37 + i * 11) % 101) + 0.02 * y;
        text_addf(&t, "e%03d,p%03d,i%03d,%s,%s,%.5f,%d,%d,%s,%d,%.2f,%d,%c,%d\n", exam, exam / 2, i,
                  i % 2 ? "L" : "R", view[i / 2 % 2], score, y, 45 + exam % 30, vendor[exam % 3],
                  exam, y ? 0.1 + exam % 40 / 10.0 : 1 + exam % 70 / 10.0, y, 'A' + exam % 4,
                  exam % 7 == 0);
    }
    bool ok = fs_write(at("in.csv"), t.s, t.len, NULL);
    text_release(&t);
    const char *const in[] = {at("in.csv")};
    cfg *c = cfg_new(groups, 1);
    report_opts o = {.inputs = in, .n_inputs = 1, .out_dir = at("out"), .threads = 1};
    cfg_bind(c, &eval_options, &o.cfg);
    o.cfg.bootstrap = 50;
    err e = {0};
    ok = ok && report_write(&o, NULL, &e);
    cfg_free(c);
    if (!ok)
        fprintf(stderr, "%s\n", e.msg);
    return ok ? 0 : -1;
}

static int teardown(void **state)
{
    return fs_remove_tree(root, NULL) ? 0 : -1;
}

static void policy_names_the_one_script(void **state)
{
    char hex[65], want[128];
    unsigned char sum[32];
    char *html = get("out/report.html", NULL), *open = strstr(html, "<script>"), *end;
    assert_non_null(open);
    assert_null(strstr(open + 1, "<script>")); /* one that runs, the others are data */
    open += strlen("<script>");
    end = strstr(open, "</script>");
    assert_non_null(end);
    fs_sha256_of(open, (size_t)(end - open), hex);
    for (int i = 0; i < 32; i++) {
        unsigned v;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
        sum[i] = (unsigned char)v;
    }
    text t;
    text_init(&t);
    text_base64(&t, sum, sizeof sum);
    snprintf(want, sizeof want, "script-src 'sha256-%s'", t.s);
    assert_non_null(strstr(html, want));
    text_release(&t);
    assert_null(strstr(report_page_script(), "</"));
    mem_free(html);
}

/* Nothing that a browser would fetch: no address but the name of the SVG language, no url(), no
 * src or href that is not inside the file. */
static void page_asks_for_nothing(void **state)
{
    char *html = get("out/report.html", NULL);
    static const char *const never[] = {"url(",      "@import", "<link",   "<iframe",
                                        "<object",   "//www",   "XMLHttp", "fetch(",
                                        "WebSocket", "import(", NULL};
    for (int i = 0; never[i]; i++)
        for (const char *p = html; (p = strstr(p, never[i])); p++)
            if (strncmp(p, "//www.w3.org/2000/svg", 21))
                fail_msg("the page holds '%.60s'", p);
    for (const char *p = html; (p = strstr(p, " src=\"")); p++)
        assert_memory_equal(p, " src=\"data:", 11);
    for (const char *p = html; (p = strstr(p, " href=\"")); p++) {
        char id[96];
        assert_memory_equal(p, " href=\"#", 8); /* and it leads somewhere */
        snprintf(id, sizeof id, "id=\"%.*s\"", (int)strcspn(p + 8, "\""), p + 8);
        if (!strstr(html, id))
            fail_msg("nothing has %s", id);
    }
    mem_free(html);
}

/* Data of every figure, whole, behind nothing that could end its block. */
static void figures_bring_their_numbers(void **state)
{
    char *html = get("out/report.html", NULL);
    int shown = 0;
    json_t *tree = NULL;
    assert_true(json_read(at("out/eval.json"), &tree, NULL));
    for (int i = 0; figure_at(i); i++) {
        const figure *f = figure_at(i);
        char tag[96];
        if (!(f->curves || f->table))
            fail_msg("figure '%s' does not say where its numbers stand", f->id);
        if (f->paint(NULL, tree) <= 0)
            continue;
        shown++;
        snprintf(tag, sizeof tag, "<script type=\"application/json\" id=\"data-%s\">", f->id);
        char *p = strstr(html, tag);
        if (!p)
            fail_msg("no data of figure '%s'", f->id);
        p += strlen(tag);
        json_t *data = NULL;
        assert_true(json_parse(p, (size_t)(strstr(p, "</script>") - p), f->id, &data, NULL));
        assert_true(json_array_size(json_object_get(data, "rows")) > 0);
        json_decref(data);
        snprintf(tag, sizeof tag, "out/%s/%s.csv", f->curves ? "figures" : "tables",
                 f->curves ? f->id : f->table);
        assert_true(fs_exists(at(tag)));
    }
    assert_true(shown >= 4);
    char *csv = get("out/figures/roc.csv", NULL);
    assert_memory_equal(csv, "curve,x,y,lo,hi\n", 16);
    mem_free(csv);
    mem_free(html);
    json_decref(tree);
}

static void tree_follows_the_schema(void **state)
{
    json_t *schema = NULL, *tree = NULL;
    schema_fault f = {""};
    err e = {0};
    if (!json_read("docs/eval.schema.json", &schema, &e))
        fail_msg("%s", e.msg);
    assert_true(json_read(at("out/eval.json"), &tree, NULL));
    schema_check(schema, schema, tree, "eval", &f);
    if (f.what[0])
        fail_msg("%s", f.what);
    /* the check sees what is wrong */
    json_t *metric = json_array_get(json_object_get(tree, "metrics"), 0);
    json_object_set_new(metric, "value", json_string("0.7"));
    schema_check(schema, schema, tree, "eval", &f);
    assert_string_equal(f.what, "eval.metrics[0].value: string");
    json_object_del(metric, "value");
    f.what[0] = 0;
    schema_check(schema, schema, tree, "eval", &f);
    assert_string_equal(f.what, "eval.metrics[0]: value");
    json_decref(schema);
    json_decref(tree);
}

static void pdf_says_its_language(void **state)
{
    size_t n;
    char *pdf = get("out/report.pdf", &n);
    assert_true(n > 2000);
    const char *tail = NULL;
    for (size_t i = 0; i + 6 < n; i++)
        if (!memcmp(pdf + i, "/Lang ", 6))
            tail = pdf + i;
    assert_non_null(tail);
    assert_memory_equal(tail, "/Lang (en) /ViewerPreferences << /DisplayDocTitle true >>", 57);
    mem_free(pdf);
    text t;
    err e = {0};
    text_init(&t);
    text_add(&t, "%PDF-1.4\nnothing\nstartxref\n99999\n%%EOF\n");
    assert_false(pdf_catalog_add(&t, "/Lang (en)", &e));
    assert_string_equal(e.msg, "report.pdf: its catalogue is not where it should be");
    text_clear(&t);
    text_add(&t,
             "%PDF-1.4\nxref\n0 2\n0000000000 65535 f \n0000000900 00000 n \ntrailer\n<< /Size 2 "
             "/Root 1 0 R /Info 1 0 R >>\nstartxref\n9\n%%EOF\n");
    assert_false(pdf_catalog_add(&t, "/Lang (en)", &e));
    text_release(&t);
}

static double luminance(const char *hex)
{
    static const double part[] = {0.2126, 0.7152, 0.0722};
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        unsigned v;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
        double c = v / 255.0;
        sum += part[i] * (c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4));
    }
    return sum;
}

/* WCAG contrast of one variable against another in the n-th block of variables. */
static double contrast(const char *css, int block, const char *a, const char *b)
{
    const char *p = css;
    double l[2];
    const char *const name[] = {a, b};
    for (int i = 0; i <= block; i++)
        p = strstr(p, "--text:") + 1;
    p--;
    for (int i = 0; i < 2; i++) {
        const char *v = strstr(p, name[i]);
        assert_non_null(v);
        l[i] = luminance(strchr(v, '#') + 1);
    }
    return (fmax(l[0], l[1]) + 0.05) / (fmin(l[0], l[1]) + 0.05);
}

/* Text 4.5:1, signs 3:1, on paper and on panels, light and dark. evaluation.md 19. */
static void inks_can_be_seen(void **state)
{
    static const struct {
        const char *ink;
        double least;
    } rows[] = {
        {"--text:", 7}, {"--muted:", 4.5}, {"--main:", 4.5}, {"--second:", 4.5}, {"--edge:", 3}};
    text css;
    text_init(&css);
    draw_css(&css);
    for (int block = 0; block < 2; block++)
        for (size_t i = 0; i < COUNT_OF(rows); i++)
            for (int back = 0; back < 2; back++) {
                double c = contrast(css.s, block, rows[i].ink, back ? "--panel:" : "--paper:");
                if (c < rows[i].least)
                    fail_msg("%s in block %d: %.2f", rows[i].ink, block, c);
            }
    text_release(&css);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_names_the_one_script), cmocka_unit_test(page_asks_for_nothing),
        cmocka_unit_test(figures_bring_their_numbers), cmocka_unit_test(tree_follows_the_schema),
        cmocka_unit_test(pdf_says_its_language),       cmocka_unit_test(inks_can_be_seen),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, setup, teardown);
}
