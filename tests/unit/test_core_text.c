/* Growable text, strict numbers and dates, shortest reals, and all of it under a Swedish locale. */
#include "core/mem.h"
#include "core/rng.h"
#include "core/text.h"

#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void grows(void **state)
{
    text t;
    text_init(&t);
    assert_string_equal(t.s, "");
    text_clear(&t);
    text_addn(&t, NULL, 0);
    assert_string_equal(t.s, "");
    char want[3001] = "";
    size_t n = 0;
    for (int i = 0; n + 16 < sizeof want; i++) {
        n += (size_t)snprintf(want + n, sizeof want - n, "%d,", i);
        text_addf(&t, "%d,", i);
        assert_int_equal(t.len, n);
    }
    assert_string_equal(t.s, want);
    text_addf(&t, "%s", want); /* longer than any inner buffer */
    assert_int_equal(t.len, 2 * n);
    assert_string_equal(t.s + n, want);
    text_clear(&t);
    assert_string_equal(t.s, "");
    text_addn(&t, "a\0b", 3);
    assert_int_equal(t.len, 3);
    assert_memory_equal(t.s, "a\0b", 4);
    char *s = text_take(&t);
    assert_memory_equal(s, "a\0b", 4);
    mem_free(s);
    assert_string_equal(t.s, "");
    s = text_take(&t);
    assert_string_equal(s, "");
    mem_free(s);
    text_release(&t);
    text_release(&t);
    text_release(NULL);
}

static void integers(void **state)
{
    static const char *const bad[] = {"",
                                      "+",
                                      "-",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x10",
                                      "1e3",
                                      "--1",
                                      "+-1",
                                      "1_0",
                                      "a",
                                      "1a",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999999",
                                      "\xd9\xa1"};
    static const struct {
        const char *s;
        int64_t v;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"+7", 7},
                {"007", 7},
                {"-42", -42},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        int64_t v = 77;
        assert_false(text_i64(bad[i], &v));
        assert_int_equal(v, 77);
    }
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        int64_t v = 77;
        assert_true(text_i64(good[i].s, &v));
        assert_true(v == good[i].v);
    }
}

static void reals(void)
{
    static const char *const bad[] = {"",     ".",        "+",     "e5",    "1e",     "1e+",
                                      "1.5x", " 1",       "1 ",    "0x1p3", "inf",    "nan",
                                      "-INF", "1,5",      "1.2.3", "1e999", "-1e999", "1e5.5",
                                      "NaN",  "infinity", "1d3"};
    static const struct {
        const char *s;
        double v;
    } good[] = {{"0", 0},        {".5", 0.5},
                {"5.", 5},       {"-1.25e-2", -0.0125},
                {"+3E+2", 300},  {"1e-400", 0},
                {"0.1", 0.1},    {"1797e305", 1797e305},
                {"00.25", 0.25}, {"1234567.875", 1234567.875}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        double v = 77;
        assert_false(text_f64(bad[i], &v));
        assert_true(v == 77);
    }
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        double v = 77;
        assert_true(text_f64(good[i].s, &v));
        assert_true(v == good[i].v);
    }
    double v = 77;
    assert_true(text_ratio("3/7", &v) && v == 3.0 / 7.0);
    assert_true(text_ratio("0.25", &v) && v == 0.25);
    assert_true(text_ratio("-1.5/2", &v) && v == -0.75);
    static const char *const no_ratio[] = {"1/0",   "/2",  "1/", "1/2/3",
                                           "1 / 2", "a/2", "",   "1e300/1e-300"};
    v = 77;
    for (size_t i = 0; i < COUNT_OF(no_ratio); i++)
        assert_false(text_ratio(no_ratio[i], &v));
    assert_true(v == 77);
}

static void shortest(void)
{
    static const struct {
        double v;
        const char *s;
    } known[] = {{0, "0"},
                 {0.1, "0.1"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {1.0 / 3, "0.3333333333333333"},
                 {1e22, "1e+22"},
                 {-2.5, "-2.5"},
                 {123456, "123456"},
                 {5e-324, "5e-324"},
                 {DBL_MAX, "1.7976931348623157e+308"},
                 {0.5f, "0.5"}};
    char out[32];
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        text_shortest(known[i].v, out);
        assert_string_equal(out, known[i].s);
    }
    text_shortest(NAN, out);
    assert_string_equal(out, "");
    text_shortest(INFINITY, out);
    assert_string_equal(out, "");
    text_shortest(-0.0, out);
    double back = 1;
    assert_true(text_f64(out, &back) && back == 0 && signbit(back));
    rng r;
    rng_init(&r, 1, RNG_TEST, 2, 3);
    for (int i = 0; i < 20000; i++) { /* random bits: every exponent */
        uint64_t bits = rng_u64(&r);
        double v;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        text_shortest(v, out);
        assert_true(strlen(out) < 32);
        assert_true(text_f64(out, &back));
        assert_memory_equal(&back, &v, sizeof v);
    }
}

/* What headers hold: the same text as by trying. */
static void few_decimals(void **state)
{
    rng r;
    rng_init(&r, 1, RNG_TEST, 2, 4);
    for (int i = 0; i < 200000; i++) {
        char out[32], tried[512];
        double scale = pow(10, (double)(rng_u64(&r) % 9)), one = 0;
        double v = (double)(int64_t)(rng_u64(&r) % 2000001 - 1000000) / scale;
        if (i % 4 == 0)
            v = nextafter(v, 1); /* needs all its digits */
        int precision = 15;
        do
            snprintf(tried, sizeof tried, "%.*g", precision++, v);
        while (strtod(tried, NULL) != v);
        text_shortest(v, out);
        if (v == floor(v))
            assert_true(text_f64(out, &one) && one == v); /* without an exponent */
        else
            assert_string_equal(out, tried);
    }
}

static void real_numbers(void **state)
{
    reals();
    shortest();
}

/* The same under a locale with a decimal comma, compiled on the spot where the system has none. */
static void swedish_locale(void **state)
{
    char dir[] = "/tmp/mammovit-locale-XXXXXX", cmd[256];
    assert_non_null(mkdtemp(dir));
    bool have = setlocale(LC_ALL, "sv_SE.UTF-8") != NULL;
    if (!have) {
        snprintf(cmd, sizeof cmd, "localedef -i sv_SE -f UTF-8 %s/sv_SE.UTF-8 >/dev/null 2>&1",
                 dir);
        int status = system(cmd);
        setenv("LOCPATH", dir, 1);
        have = status != -1 && setlocale(LC_ALL, "sv_SE.UTF-8") != NULL;
    }
    char control[16] = "";
    if (have)
        snprintf(control, sizeof control, "%.1f", 0.5);
    bool worked = true;
    if (have) {
        assert_string_equal(control, "0,5"); /* the locale is really in force */
        reals();
        shortest();
        text t;
        text_init(&t);
        text_addf(&t, "%.2f %g", 1.25, 0.5);
        worked = strcmp(t.s, "1.25 0.5") == 0;
        text_release(&t);
        snprintf(control, sizeof control, "%.1f", 0.5);
        worked &= strcmp(control, "0,5") == 0; /* and was put back after each call */
        setlocale(LC_ALL, "C");
    }
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    assert_int_equal(system(cmd), 0);
    if (!have) {
        print_message("skip: no Swedish locale can be made here (localedef)\n");
        skip();
    }
    assert_true(worked);
}

static void truth_values(void **state)
{
    static const char *const yes[] = {"true", "YES", "On", "1"}, *const no[] = {"False", "no",
                                                                                "OFF", "0"};
    bool v;
    for (size_t i = 0; i < 4; i++) {
        v = false;
        assert_true(text_bool(yes[i], &v) && v);
        assert_true(text_bool(no[i], &v) && !v);
    }
    static const char *const bad[] = {"", "t", "y", "2", "truee", " true", "01"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(text_bool(bad[i], &v));
}

/* Against timegm, day by day over 10000 years where the platform agrees, and by hand. */
static void dates(void **state)
{
    static const struct {
        const char *s;
        int32_t days;
    } known[] = {{"19700101", 0},         {"1970-01-02", 1},      {"1969-12-31", -1},
                 {"2000-02-29", 11016},   {"20260131", 20484},    {"1900-03-01", -25508},
                 {"0001-01-01", -719162}, {"9999-12-31", 2932896}};
    int32_t d;
    char out[11];
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        assert_true(text_date(known[i].s, &d));
        assert_int_equal(d, known[i].days);
    }
    for (int32_t day = -719162; day <= 2932896; day++) {
        text_from_days(day, out);
        d = INT32_MAX;
        if (!text_date(out, &d) || d != day)
            fail_msg("day %d gave %s gave %d", day, out, d);
        if (day % 97 == 0) {
            time_t t = (time_t)day * 86400;
            struct tm tm;
            char ref[40];
            gmtime_r(&t, &tm);
            snprintf(ref, sizeof ref, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                     tm.tm_mday);
            assert_string_equal(out, ref);
        }
    }
    static const char *const bad[] = {
        "",           "2023-02-29", "19000229",      "2024-13-01", "2024-00-10", "2024-01-00",
        "2024-04-31", "2024-1-01",  "2024/01/01",    "2024-01-1",  "202401011",  "2024-01-01 ",
        "0000-01-01", "20240a01",   "2024-01-0\xc3", "+2024-01-1", "-024-01-01"};
    d = 77;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(text_date(bad[i], &d));
    assert_int_equal(d, 77);
    text_from_days(INT32_MAX, out);
    assert_string_equal(out, "");
    text_from_days(INT32_MIN, out);
    assert_string_equal(out, "");
}

static void comparing_and_copying(void **state)
{
    assert_true(text_ieq("", ""));
    assert_true(text_ieq("NaN", "nan"));
    assert_false(text_ieq("na", "nan"));
    assert_false(text_ieq("nan", "na"));
    assert_false(text_ieq("[", "{")); /* differ by the case bit only */
    assert_true(text_ends("head.bias", ".bias"));
    assert_true(text_ends(".bias", ".bias"));
    assert_true(text_ends("x", ""));
    assert_false(text_ends("bias", ".bias"));
    assert_false(text_ends("head.bias.", ".bias"));
    char out[8];
    text_copy(out, sizeof out, "abcdefghij");
    assert_string_equal(out, "abcdefg");
    text_copy(out, sizeof out, "a\nb\x1b");
    assert_string_equal(out, "a?b?");
    text_copy(out, sizeof out, "abcdef\xe2\x82\xac"); /* no half character */
    assert_string_equal(out, "abcdef");
    text_copy(out, sizeof out, "abcd\xe2\x82\xac");
    assert_string_equal(out, "abcd\xe2\x82\xac");
    text_copy(out, sizeof out, "abcd\xe2\x82\xacx");
    assert_string_equal(out, "abcd\xe2\x82\xac");
    text_copy(out, 1, "abc");
    assert_string_equal(out, "");
    out[0] = 'Z';
    text_copy(out, 0, "abc");
    assert_int_equal(out[0], 'Z');
}

static void distances(void **state)
{
    assert_int_equal(text_distance("", ""), 0);
    assert_int_equal(text_distance("kitten", "sitting"), 3);
    assert_int_equal(text_distance("sitting", "kitten"), 3);
    assert_int_equal(text_distance("", "abc"), 3);
    assert_int_equal(text_distance("train.lr", "train.lr"), 0);
    assert_int_equal(text_distance("flaw", "lawn"), 2);
    char *big = mem_calloc(1, 2000001);
    memset(big, 'x', 2000000);
    assert_int_equal(text_distance(big, "x"), 2000000);
    mem_free(big);
}

static void words(void **state)
{
    static const struct {
        const char *s, *plain, *foreign;
    } t[] = {
        {"", " ", " "},
        {" .-", " ", " "},
        {"Mammomat  Novation_DR", " MAMMOMAT NOVATION DR ", " MAMMOMAT NOVATION DR "},
        {"(l30) ", " L30 ", " L30 "},
        {"v\xe4nster cc", " V NSTER CC ", " V\xe4NSTER CC "},
        {"\xc3\xa5", " ", " \xc3\xa5 "},
    };
    char out[32];
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        text_words(t[i].s, false, out, sizeof out);
        assert_string_equal(out, t[i].plain);
        text_words(t[i].s, true, out, sizeof out);
        assert_string_equal(out, t[i].foreign);
    }
    memset(out, 'x', sizeof out);
    text_words("abcdef", false, out, 6);
    assert_string_equal(out, " ABC "); /* cut, still with both spaces */
    assert_int_equal(out[6], 'x');
    text_words("MAMMOMAT DRX DR", false, out, sizeof out);
    assert_true(text_has_words(out, "MAMMOMAT") && text_has_words(out, "DR") &&
                text_has_words(out, "DRX DR"));
    assert_false(text_has_words(out, "MAMMOMAT DR") || text_has_words(out, "MOMAT") ||
                 text_has_words(out, "RX"));
    text_words("", false, out, sizeof out);
    assert_false(text_has_words(out, "DR"));
}

static void hex(void **state)
{
    char out[9] = "zzzzzzzz";
    text_hex("\x00\x7f\xab\xff", 4, out);
    assert_string_equal(out, "007fabff");
    text_hex("", 0, out);
    assert_string_equal(out, "");
}

/* Every code point in its only valid form, and the classical invalid forms. */
static void utf8(void **state)
{
    for (uint32_t c = 1; c < 0x120000; c++) {
        char s[4];
        size_t n = 0;
        if (c < 0x80) {
            s[n++] = (char)c;
        } else if (c < 0x800) {
            s[n++] = (char)(0xC0 | c >> 6);
        } else if (c < 0x10000) {
            s[n++] = (char)(0xE0 | c >> 12);
            s[n++] = (char)(0x80 | (c >> 6 & 63));
        } else {
            s[n++] = (char)(0xF0 | c >> 18);
            s[n++] = (char)(0x80 | (c >> 12 & 63));
            s[n++] = (char)(0x80 | (c >> 6 & 63));
        }
        if (c >= 0x80)
            s[n++] = (char)(0x80 | (c & 63));
        bool valid = c < 0x110000 && !(c >= 0xD800 && c < 0xE000);
        assert_int_equal(text_utf8(s, n), valid ? n : 0);
        if (n > 1)
            assert_int_equal(text_utf8(s, n - 1), 0);
    }
    assert_int_equal(text_utf8("ab\xc0\x80", 4), 2);
    assert_int_equal(text_utf8("\xe0\x80\xaf", 3), 0);
    assert_int_equal(text_utf8("\xf0\x80\x80\x80", 4), 0);
    assert_int_equal(text_utf8("a\x80", 2), 1);
    assert_int_equal(text_utf8("a\xe5r", 3), 1); /* Latin-1 */
}

/* The vectors of RFC 4648, 10, and a byte above 127. */
static void base64(void **state)
{
    static const char *const want[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                       "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    (void)state;
    for (size_t n = 0; n < COUNT_OF(want); n++) {
        text t;
        text_init(&t);
        text_base64(&t, "foobar", n);
        assert_string_equal(t.s, want[n]);
        text_base64(&t, "\xff\xfe\xfd", 3);
        assert_string_equal(t.s + strlen(want[n]), "//79");
        text_release(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows),          cmocka_unit_test(integers),
        cmocka_unit_test(real_numbers),   cmocka_unit_test(few_decimals),
        cmocka_unit_test(swedish_locale), cmocka_unit_test(truth_values),
        cmocka_unit_test(dates),          cmocka_unit_test(comparing_and_copying),
        cmocka_unit_test(distances),      cmocka_unit_test(hex),
        cmocka_unit_test(base64),         cmocka_unit_test(utf8),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
