/* Option structs as JSON: round trip of every type, defaults for what is absent, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/cfg_json.h"

typedef struct sample {
    bool flag;
    int64_t count;
    double rate;
    const char *name;
    int mode;
} sample;

static const cfg_option table[] = {
    {"s.flag", CFG_BOOL, offsetof(sample, flag), "true", 0, 0, NULL, "", "a flag"},
    {"s.count", CFG_INT, offsetof(sample, count), "7", 1, 9, NULL, "", "a count"},
    {"s.rate", CFG_REAL, offsetof(sample, rate), "1e-3", 0, 1, NULL, "", "a rate"},
    {"s.name", CFG_TEXT, offsetof(sample, name), "none", 0, 0, NULL, "", "a name"},
    {"s.mode", CFG_ENUM, offsetof(sample, mode), "fast", 0, 0, "slow|fast|fastest", "", "a mode"},
};
static const cfg_group group = {"Sample", table, COUNT_OF(table)};

static bool read_text(const char *s, sample *out, err *e)
{
    json_t *o;
    assert_true(json_parse(s, strlen(s), "test", &o, e));
    bool ok = cfg_json_read(&group, o, out, e);
    json_decref(o);
    return ok;
}

static void round_trip(void **state)
{
    (void)state;
    sample a = {.flag = false, .count = 3, .rate = 0.25, .name = "x y", .mode = 2}, b;
    err e = {0};
    json_t *o = cfg_json_make(&group, &a);
    assert_string_equal(json_string_value(json_object_get(o, "mode")), "fastest");
    assert_true(cfg_json_read(&group, o, &b, &e));
    assert_false(b.flag);
    assert_int_equal(b.count, 3);
    assert_true(b.rate == 0.25);
    assert_string_equal(b.name, "x y");
    assert_int_equal(b.mode, 2);
    json_decref(o);
}

static void absent_is_default(void **state)
{
    (void)state;
    sample b;
    err e = {0};
    assert_true(read_text("{\"count\": 2}", &b, &e));
    assert_true(b.flag);
    assert_int_equal(b.count, 2);
    assert_true(b.rate == 1e-3);
    assert_string_equal(b.name, "none");
    assert_int_equal(b.mode, 1);
}

static void refusals(void **state)
{
    (void)state;
    static const char *const bad[] = {"{\"count\": 10}",   "{\"count\": 2.5}", "{\"rate\": -1}",
                                      "{\"mode\": \"f\"}", "{\"mode\": 1}",    "{\"flag\": 1}",
                                      "{\"name\": null}",  "{\"unknown\": 1}", "{\"mode\": \"\"}"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        sample b;
        err e = {0};
        assert_false(read_text(bad[i], &b, &e));
        assert_int_equal(e.code, ERR_INPUT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(absent_is_default),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
