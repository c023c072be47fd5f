/* JSON: sentences of the parser, bytes of the writer, typed members. */
#include "core/fs.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/rng.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static json_t *parsed(const char *s)
{
    err e = {0};
    json_t *j = NULL;
    if (!json_parse(s, strlen(s), "t.json", &j, &e))
        fail_msg("%s", e.msg);
    return j;
}

static void writes(const char *in, bool pretty, const char *want)
{
    json_t *j = parsed(in);
    text t;
    text_init(&t);
    json_write_text(j, pretty, &t);
    assert_string_equal(t.s, want);
    text_release(&t);
    json_decref(j);
}

static void bytes_of_the_writer(void **state)
{
    writes("{\"b\": 1, \"a\": [1, 2.50, true, null], \"\": {}}", false,
           "{\"\":{},\"a\":[1,2.5,true,null],\"b\":1}");
    writes("{\"z\":{\"k\":[{\"x\":1},[]]},\"B\":[1,2],\"a\":false}", true,
           "{\n  \"B\": [1, 2],\n  \"a\": false,\n  \"z\": {\n    \"k\": [\n      {\n"
           "        \"x\": 1\n      },\n      []\n    ]\n  }\n}");
    writes("[1.0, 1e2, 0.1, 1e300, -0.0, 9007199254740993, 1e-7, 123456789012345680]", false,
           "[1.0,100.0,0.1,1e+300,-0.0,9007199254740993,1e-07,123456789012345680]");
    writes("[0.30000000000000004, 0.1e0]", false, "[0.30000000000000004,0.1]");
    /* a block inside an HTML script element cannot be ended by data */
    writes(
        "[\"</script><!--\", \"q\\\"\\\\/\", \"\\n\\t\\u0001\\u007f\", \"\\u2028\\u2029\\u2027\"]",
        false,
        "[\"\\u003c/script>\\u003c!--\",\"q\\\"\\\\/\",\"\\n\\t\\u0001\\u007f\","
        "\"\\u2028\\u2029\xE2\x80\xA7\"]");
    writes("{\"a<b\": \"\xc3\xa5\"}", false, "{\"a\\u003cb\":\"\xc3\xa5\"}");
}

/* Random trees: written bytes parse to an equal tree, in both layouts, and are a fixed point. */
static json_t *tree(rng *r, int depth)
{
    char s[40];
    switch (rng_below(r, depth > 4 ? 5 : 7)) {
    case 0:
        return json_integer((json_int_t)rng_u64(r));
    case 1: {
        uint64_t bits = rng_u64(r);
        double v;
        memcpy(&v, &bits, sizeof v);
        return json_num(v);
    }
    case 2:
        return json_boolean(rng_below(r, 2));
    case 3:
        return json_null();
    case 4: {
        int n = (int)rng_below(r, 12);
        for (int i = 0; i < n; i++)
            s[i] = (char)(1 + rng_below(r, 127));
        return json_stringn(s, (size_t)n);
    }
    case 5: {
        json_t *a = json_array();
        for (int n = (int)rng_below(r, 5); n > 0; n--)
            json_array_append_new(a, tree(r, depth + 1));
        return a;
    }
    default: {
        json_t *o = json_object();
        for (int n = (int)rng_below(r, 5); n > 0; n--) {
            snprintf(s, sizeof s, "%c<%u", (char)(1 + rng_below(r, 127)), rng_below(r, 100));
            json_object_set_new(o, s, tree(r, depth + 1));
        }
        return o;
    }
    }
}

static void round_trip(void **state)
{
    for (uint64_t i = 0; i < 500; i++) {
        rng r;
        rng_init(&r, 4, RNG_TEST, i, 0);
        json_t *j = json_array();
        json_array_append_new(j, tree(&r, 0));
        for (int pretty = 0; pretty < 2; pretty++) {
            text a, b;
            text_init(&a);
            text_init(&b);
            json_write_text(j, pretty, &a);
            json_t *back = parsed(a.s);
            assert_true(json_equal(j, back));
            json_write_text(back, pretty, &b);
            assert_string_equal(a.s, b.s);
            assert_null(strchr(a.s, '<'));
            json_decref(back);
            text_release(&a);
            text_release(&b);
        }
        json_decref(j);
    }
}

static void refuses(const char *s, size_t n, const char *part)
{
    err e = {0};
    json_t *j = NULL;
    assert_false(json_parse(s, n, "state.json", &j, &e));
    assert_null(j);
    assert_int_equal(e.code, ERR_INPUT);
    assert_memory_equal(e.msg, "state.json: line ", 17);
    if (!strstr(e.msg, part))
        fail_msg("'%s' lacks '%s'", e.msg, part);
    assert_null(strstr(e.msg, "Svensson"));
}

static void broken_text(void **state)
{
#define REFUSES(s, part) refuses(s, sizeof(s) - 1, part)
    REFUSES("", "not valid JSON");
    REFUSES("{", "line 1");
    REFUSES("{\"a\":1,\n\"a\":2}", "a key appears twice");
    REFUSES("{\"name\": Svensson}", "line 1, column");
    REFUSES("[1,2] Svensson", "line 1");
    REFUSES("\n\n[1,]", "line 3");
    REFUSES("[1e999]", "line 1");
    REFUSES("[NaN]", "line 1");
    REFUSES("[99999999999999999999]", "line 1");
    REFUSES("[\"\xe5\"]", "unable to decode byte 0xe5");
    REFUSES("[\"a\0b\"]", "line 1");
    text deep;
    text_init(&deep);
    for (int i = 0; i < 100000; i++)
        text_add(&deep, "[");
    refuses(deep.s, deep.len, "line 1");
    text_release(&deep);
}

static void members(void **state)
{
    json_t *j = parsed("{\"i\":-5,\"r\":2.5,\"s\":\"x\",\"n\":null,\"o\":{}}");
    err e = {0};
    int64_t i = 0;
    double r = 0;
    const char *s = NULL;
    assert_true(json_get_i64(j, "i", &i, &e) && i == -5);
    assert_true(json_get_f64(j, "i", &r, &e) && r == -5);
    assert_true(json_get_f64(j, "r", &r, &e) && r == 2.5);
    assert_true(json_get_text(j, "s", &s, &e));
    assert_string_equal(s, "x");
    assert_false(json_get_i64(j, "r", &i, &e));
    assert_string_equal(e.msg, "key 'r' is a real number, a whole number is wanted");
    assert_false(json_get_f64(j, "n", &r, &e));
    assert_string_equal(e.msg, "key 'n' is null, a number is wanted");
    assert_false(json_get_text(j, "o", &s, &e));
    assert_string_equal(e.msg, "key 'o' is an object, text is wanted");
    assert_false(json_get_i64(j, "absent", &i, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_string_equal(e.msg, "key 'absent' is missing");
    assert_false(json_get_i64(json_object_get(j, "s"), "k", &i, &e));
    assert_string_equal(e.msg, "key 'k' is wanted, but its holder is text, not an object");
    assert_false(json_get_i64(NULL, "k", &i, &e));
    assert_true(i == -5 && r == 2.5);
    json_decref(j);
}

static void numbers_and_words(void **state)
{
    json_t *a = json_array();
    json_array_append_new(a, json_num(NAN));
    json_array_append_new(a, json_num(-INFINITY));
    json_array_append_new(a, json_num(3));
    json_array_append_new(a, json_words("ok \xc3\xa5"));
    json_array_append_new(a, json_words("G\xf6teborg \xff"));
    json_array_append_new(a, json_words(NULL));
    text t;
    text_init(&t);
    json_write_text(a, false, &t);
    assert_string_equal(t.s, "[null,null,3.0,\"ok \xc3\xa5\",\"G?teborg ?\",null]");
    text_release(&t);
    json_decref(a);
}

static void files(void **state)
{
    char dir[] = "/tmp/mammovit-json-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *path = fs_join(dir, "a.json"), *data;
    size_t len;
    err e = {0};
    json_t *j = parsed("{\"k\":[1.5]}"), *back = NULL;
    assert_true(json_write(path, j, false, &e));
    assert_true(fs_read(path, 100, &data, &len, &e));
    assert_string_equal(data, "{\"k\":[1.5]}\n");
    mem_free(data);
    assert_true(json_read(path, &back, &e));
    assert_true(json_equal(j, back));
    json_decref(back);
    json_decref(j);
    assert_true(fs_write(path, "{oops", 5, &e));
    assert_false(json_read(path, &back, &e));
    assert_memory_equal(e.msg, "a.json: line 1", 14);
    unlink(path);
    assert_false(json_read(path, &back, &e));
    assert_int_equal(e.code, ERR_IO);
    mem_free(path);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_the_writer), cmocka_unit_test(round_trip),
        cmocka_unit_test(broken_text),         cmocka_unit_test(members),
        cmocka_unit_test(numbers_and_words),   cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
