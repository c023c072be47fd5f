/* core/cfg on mutated files: every text is either loaded or refused with a sentence, and whatever
 * was loaded dumps to a text that loads to the same configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "core/cfg.h"
#include "core/rng.h"

typedef struct all_cfg {
    bool b;
    int64_t i;
    double r;
    const char *s;
    int k;
    cfg_reals reals;
    cfg_texts texts;
} all_cfg;

static const cfg_option options[] = {
    {"a.b", CFG_BOOL, offsetof(all_cfg, b), "no", 0, 0, NULL, "", "b"},
    {"a.i", CFG_INT, offsetof(all_cfg, i), "3", -50, INFINITY, NULL, "mm", "i"},
    {"a.c.r", CFG_REAL, offsetof(all_cfg, r), "0.5", 0, 0, NULL, "", "r"},
    {"a.c.s", CFG_TEXT, offsetof(all_cfg, s), "x", 0, 0, NULL, "", "s"},
    {"d.k", CFG_ENUM, offsetof(all_cfg, k), "two", 0, 0, "one|two", "", "k"},
    {"d.n", CFG_REALS, offsetof(all_cfg, reals), "1, 2", 0, 9, NULL, "", "n"},
    {"t", CFG_TEXTS, offsetof(all_cfg, texts), "", 0, 0, NULL, "", "t"},
};
static const cfg_group group = {"All", options, COUNT_OF(options)};
static const cfg_group *const groups[] = {&group};

static const char seed_text[] = "a:\n  b: true\n  i: 12\n  c: {r: 3/7, s: \"q #\\t\"}\n"
                                "d:\n  k: one\n  n: [1, 2.5e-1]\nt:\n- x\n- 'it''s'\n- |\n  k\n";

static size_t mutate(rng *r, char *s, size_t len, size_t cap)
{
    static const char bits[] = "\n :-[]{},'\"#&*!|>?@%~=\\0a.e1\t\x80\xc3";
    for (uint32_t n = 1 + rng_below(r, 4); n > 0 && len > 1; n--) {
        size_t at = rng_below(r, (uint32_t)len);
        char ch = bits[rng_below(r, (uint32_t)sizeof(bits))];
        switch (rng_below(r, 4)) {
        case 0:
            s[at] = ch;
            break;
        case 1:
            memmove(s + at, s + at + 1, len - at - 1);
            len--;
            break;
        case 2:
            len = at + 1;
            break;
        default:
            if (len < cap) {
                memmove(s + at + 1, s + at, len - at);
                s[at] = ch;
                len++;
            }
        }
    }
    return len;
}

static void test_mutations(void **state)
{
    int loaded = 0;
    for (uint64_t id = 0; id < 20000; id++) {
        rng r;
        rng_init(&r, 20, RNG_TEST, id, 0);
        char s[sizeof(seed_text) + 16];
        memcpy(s, seed_text, sizeof(seed_text));
        size_t len = mutate(&r, s, sizeof(seed_text) - 1, sizeof(s));
        err e = {0};
        cfg *c = cfg_new(groups, 1);
        if (!cfg_load_text(c, s, len, "m.yaml", &e)) {
            assert_int_equal(e.code, ERR_CONFIG);
            assert_memory_equal(e.msg, "m.yaml:", 7);
            cfg_free(c);
            continue;
        }
        loaded++;
        text a, b;
        text_init(&a);
        text_init(&b);
        cfg_dump(c, NULL, false, &a);
        cfg *d = cfg_new(groups, 1);
        if (!cfg_load_text(d, a.s, a.len, "dump.yaml", &e))
            fail_msg("id %llu: %s\n%s", (unsigned long long)id, e.msg, a.s);
        cfg_dump(d, NULL, false, &b);
        assert_string_equal(a.s, b.s);
        text_release(&b);
        text_release(&a);
        cfg_free(d);
        cfg_free(c);
    }
    /* Both ways are really taken. */
    assert_true(loaded > 2000 && loaded < 18000);
}

int main(void)
{
    const struct CMUnitTest all[] = {cmocka_unit_test(test_mutations)};
    return cmocka_run_group_tests(all, NULL, NULL);
}
