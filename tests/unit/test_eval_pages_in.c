/* PRED/pages as foreign bytes: what is taken over, what is refused and in which words, what does
 * not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/fs.h"
#include "core/mem.h"
#include "core/text.h"
#include "eval/pages_in.h"

static char dir[64];

static void put(const char *name, const void *data, size_t len)
{
    char *path = fs_join(dir, name);
    assert_true(fs_write(path, data, len, NULL));
    mem_free(path);
}

/* A head of a PNG file of 3 x 5 pixels, and `more` bytes behind it. */
static void put_png(const char *name, size_t more)
{
    static const unsigned char head[33] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0,
                                           0,    13,  'I', 'H', 'D',  'R',  0,    0,    0, 3,
                                           0,    0,   0,   5,   8,    0,    0,    0,    0};
    char *bytes = MEM_ARRAY(char, sizeof head + more);
    memcpy(bytes, head, sizeof head);
    put(name, bytes, sizeof head + more);
    mem_free(bytes);
}

#define LAYER                                                                                      \
    "{\"map\":\"rollout\",\"title\":\"t\",\"shows\":\"s\",\"plain\":\"p\",\"classes\":[{"          \
    "\"label\":\"a\",\"colour\":\"#0a1b2c\",\"hatched\":true}],\"patches\":[\"0.\",\".0\"]}"
#define VIEW(more)                                                                                 \
    "{\"view\":\"RCC\",\"file\":\"a.png\",\"chest_wall\":\"right\",\"score\":0.25,"                \
    "\"mm_per_px\":0.5" more "}"
#define EXAM(views)  "{\"exam_id\":\"e\",\"why\":\"highest\",\"views\":[" views "]}"
#define INDEX(exams) "{\"format\":\"mammovit.pages/2\",\"exams\":[" exams "]}"

static bool read_index(const char *index, pages_in *p, err *e)
{
    put("index.json", index, strlen(index));
    pages_in_init(p);
    return pages_in_read(p, dir, 10, e);
}

static void test_good(void **state)
{
    pages_in p;
    err e = {0};
    put_png("a.png", 0);
    if (!read_index(INDEX(EXAM(VIEW(",\"layers\":[" LAYER "],\"secret\":\"x\""))), &p, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.image[0].width, 3);
    assert_int_equal(p.image[0].height, 5);
    assert_int_equal(p.left_out, 0);
    const json_t *exam = json_array_get(p.exams, 0),
                 *view = json_array_get(json_object_get(exam, "views"), 0),
                 *layer = json_array_get(json_object_get(view, "layers"), 0);
    assert_string_equal(json_string_value(json_object_get(exam, "why")), "highest");
    assert_true(json_number_value(json_object_get(view, "mm_per_px")) == 0.5);
    assert_int_equal(json_integer_value(json_object_get(view, "height")), 5);
    assert_int_equal(json_integer_value(json_object_get(view, "image")), 0);
    assert_int_equal(json_string_length(json_object_get(view, "sha256")), 64);
    assert_null(json_object_get(view, "secret")); /* known members only */
    assert_string_equal(json_string_value(json_array_get(json_object_get(layer, "patches"), 1)),
                        ".0");
    pages_in_release(&p);
    (void)state;
}

static void test_absent(void **state)
{
    pages_in p;
    pages_in_init(&p);
    assert_true(pages_in_read(&p, "/nowhere", 10, NULL));
    assert_int_equal(json_array_size(p.exams), 0);
    pages_in_release(&p);
    (void)state;
}

#define IN_LAYER(text) INDEX(EXAM(VIEW(",\"layers\":[" text "]")))
#define BAD_LAYER(classes, patches)                                                                \
    IN_LAYER(                                                                                      \
        "{\"map\":\"m\",\"title\":\"t\",\"shows\":\"s\",\"plain\":\"p\",\"classes\":[" classes     \
        "],\"patches\":" patches "}")
#define CLASS "{\"label\":\"a\",\"colour\":\"#0a1b2c\"}"

static void test_refused(void **state)
{
    static const struct {
        const char *index, *words;
    } bad[] = {
        {"[]", "its format is not mammovit.pages/2; run predict again"},
        {"{\"format\":\"mammovit.pages/1\",\"exams\":[]}", "its format is not mammovit.pages/2"},
        {"{\"format\":\"mammovit.pages/2\"}", "'exams' is not a list"},
        {INDEX("7"), "pages/index.json exam 1"},
        {INDEX(EXAM("")), "0 views, wanted 1 to 64"},
        {INDEX("{\"views\":[" VIEW("") "]}"), "exam_id"},
        {INDEX(EXAM("{\"view\":\"RCC\",\"chest_wall\":\"right\"}")), "file"},
        {INDEX(EXAM("{\"view\":\"RCC\",\"file\":\"../a.png\",\"chest_wall\":\"left\"}")),
         "exam 1: view 1: 'file' is not a plain file name"},
        {INDEX(EXAM("{\"view\":\"RCC\",\"file\":\".\",\"chest_wall\":\"left\"}")),
         "'file' is not a plain file name"},
        {INDEX(EXAM("{\"view\":\"RCC\",\"file\":\"a.png\",\"chest_wall\":\"up\"}")),
         "'chest_wall' is neither left nor right"},
        {INDEX(EXAM("{\"view\":\"RCC\",\"file\":\"none.png\",\"chest_wall\":\"left\"}")),
         "none.png"},
        {INDEX(EXAM("{\"view\":\"RCC\",\"file\":\"t.png\",\"chest_wall\":\"left\"}")),
         "pages/t.png: not a PNG file"},
        {INDEX(EXAM("{\"view\":\"RCC\",\"file\":\"big.png\",\"chest_wall\":\"left\"}")),
         "pages/big.png: 4294967295 x 5 pixels"},
        {INDEX(EXAM("{\"view\":\"RCC\",\"file\":\"a.png\",\"chest_wall\":\"left\","
                    "\"score\":2}")),
         "'score' is not a number of 0 to 1"},
        {INDEX(EXAM("{\"view\":\"RCC\",\"file\":\"a.png\",\"chest_wall\":\"left\","
                    "\"mm_per_px\":-1}")),
         "'mm_per_px' is not a number of 0.001 to 1000"},
        {IN_LAYER("{\"map\":\"<b>\",\"title\":\"t\",\"shows\":\"s\",\"plain\":\"p\"}"),
         "'map' is not a word of small letters"},
        {BAD_LAYER("", "[\".\"]"), "a layer of 0 classes, wanted 1 to 40"},
        {BAD_LAYER("{\"label\":\"a\",\"colour\":\"red\"}", "[\".\"]"),
         "'colour' is not # and six hexadecimal digits"},
        {BAD_LAYER("{\"label\":\"a\",\"colour\":\"#00000g\"}", "[\".\"]"),
         "'colour' is not # and six hexadecimal digits"},
        {BAD_LAYER(CLASS, "[]"), "'patches' has 0 rows, wanted 1 to 1024"},
        {BAD_LAYER(CLASS, "[\"0.\",\"0\"]"), "'patches' is no grid"},
        {BAD_LAYER(CLASS, "[\"0.\",7]"), "'patches' is no grid"},
        {BAD_LAYER(CLASS, "[\"01\"]"), "'patches' names a class that is not there"},
        {BAD_LAYER(CLASS, "[\"0<\"]"), "layer 1: 'patches' names a class that is not there"},
    };
    put_png("a.png", 0);
    put("t.png", "not a picture at all, but long enough to be one", 47);
    put_png("big.png", 0);
    char *path = fs_join(dir, "big.png"), *bytes;
    size_t len;
    assert_true(fs_read(path, 1000, &bytes, &len, NULL));
    memset(bytes + 16, 255, 4);
    put("big.png", bytes, len);
    mem_free(bytes);
    mem_free(path);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        pages_in p;
        err e = {0};
        if (read_index(bad[i].index, &p, &e))
            fail_msg("%s is taken", bad[i].index);
        if (!strstr(e.msg, bad[i].words))
            fail_msg("'%s' lacks '%s'", e.msg, bad[i].words);
        pages_in_release(&p);
    }
    (void)state;
}

/* Exams beyond what is asked for, or what a report of 25 MB holds, are left out and counted. */
static void test_left_out(void **state)
{
    pages_in p;
    text t;
    err e = {0};
    text_init(&t);
    put_png("a.png", 3900000); /* 5.2 MB in the report: three exams fit */
    text_add(&t, "{\"format\":\"mammovit.pages/2\",\"exams\":[");
    for (int i = 0; i < 6; i++)
        text_addf(&t, "%s%s", i ? "," : "", EXAM(VIEW("")));
    text_add(&t, "]}");
    assert_true(read_index(t.s, &p, &e));
    assert_int_equal(json_array_size(p.exams), 3);
    assert_int_equal(p.n, 3);
    assert_int_equal(p.left_out, 3);
    pages_in_release(&p);
    put_png("a.png", 0);
    pages_in_init(&p);
    assert_true(pages_in_read(&p, dir, 4, &e));
    assert_int_equal(json_array_size(p.exams), 4);
    assert_int_equal(p.left_out, 2);
    pages_in_release(&p);
    pages_in_init(&p);
    assert_true(pages_in_read(&p, dir, 6, &e));
    assert_int_equal(p.left_out, 0);
    pages_in_release(&p);
    text_release(&t);
    (void)state;
}

static int teardown(void **state)
{
    err e = {0};
    (void)state;
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_left_out),
    };
    snprintf(dir, sizeof dir, "/tmp/test_eval_pages_in.XXXXXX");
    if (!mkdtemp(dir))
        return 1;
    return cmocka_run_group_tests(tests, NULL, teardown);
}
