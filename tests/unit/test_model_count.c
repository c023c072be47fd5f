/* What a count tells beside the published figures (test_model_published): tokens, the step as it is
 * run, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/pool.h"
#include "model/model.h"

typedef struct row {
    const char *name;
    int side, patch, depth;
    double keep;
    int tokens;
} row;

static const row rows[] = {
    {"vit_base_patch16_224", 896, 0, 0, .05, 157},
    {"vit_base_patch16_224", 896, 0, 0, 1, 3137},
    {"vit_base_patch8_224", 64, 0, 0, .25, 17},
    {"vit_large_patch16_224", 224, 0, 0, .25, 50},
    {"deit_base_patch16_224", 224, 0, 48, .25, 50},
    {"vit_base_patch8_224_in21k", 0, 0, 0, .25, 197},
    {"deit_tiny_patch16_224", 0, 0, 0, 1, 197},
    {"vit_base_patch16_224", 448, 8, 0, .25, 785},
};

static model_cfg config(const char *name, int side, int classes, double keep)
{
    return (model_cfg){.name = name,
                       .image_h = side,
                       .image_w = side,
                       .channels = 3,
                       .classes = classes,
                       .keep_rate = keep,
                       .head_init = 0.02};
}

static void tokens_entering_each_block(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const row *k = &rows[i];
        model_cfg c = config(k->name, k->side, 1000, k->keep);
        c.patch = k->patch;
        c.depth = k->depth;
        model_counts n;
        err e = {0};
        assert_true(model_count(&c, &n, &e));
        assert_int_equal(n.n_tokens, k->depth ? k->depth : strstr(k->name, "large") ? 24 : 12);
        for (int b = 0; b < n.n_tokens; b++)
            assert_int_equal(n.tokens[b], k->tokens);
        assert_true(model_macs(&n.executed, MODEL_FVCORE) < model_macs(&n.published, MODEL_FVCORE));
    }
}

/* What is left out when the step really runs: patches that are dropped, and all of the last block
 * and norm that does not reach the CLS token. Worked by hand for one configuration. */
static void executed_macs(void **state)
{
    (void)state;
    model_cfg c = config("vit_tiny_patch16_224", 224, 10, .25);
    model_counts n;
    err e = {0};
    assert_true(model_count(&c, &n, &e));
    int64_t t = 50, d = 192, full = 12 * t * d * d + 2 * t * t * d + 10 * t * d;
    int64_t last = 5 * t * d + 2 * t * d * d + d * d + 2 * t * d + d * d + 5 * d + 8 * d * d;
    assert_int_equal(model_macs(&n.executed, MODEL_FVCORE),
                     49 * d * 768 + 11 * full + last + 5 * d + 10 * d);
}

static void refusals(void **state)
{
    (void)state;
    model_counts n;
    err e = {0};
    model_cfg c = config("deit_smal_patch16_224", 224, 2, 1);
    assert_false(model_count(&c, &n, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_non_null(strstr(e.msg, "did you mean 'deit_small_patch16_224'? "
                                  "docs/networks.md has all names"));
    c = config("deit_small_patch16_224_in21k", 224, 2, 1); /* only vit_* exist as 21k */
    assert_false(model_count(&c, &n, &e));
    c = config("vit_small_patch16_reg4_224_in21k", 224, 2, 1); /* nor those with registers */
    assert_false(model_count(&c, &n, &e));
    assert_non_null(strstr(e.msg, "'vit_small_patch16_reg4_224_in21k' is not known"));
    c = config("deit_small_patch16_224", 225, 2, 1);
    assert_false(model_count(&c, &n, &e));
    assert_non_null(strstr(e.msg, "225x225 px is not divisible by patches of 16 px"));
    assert_non_null(strstr(e.msg, "model.image_h, model.image_w: "));
    assert_non_null(strstr(e.msg, "the nearest height and width are 224 and 224 (both keys follow "
                                  "prepare.sizes)"));
    c.image_h = 900; /* down, up, and never to nothing */
    c.image_w = 1193;
    assert_false(model_count(&c, &n, &e));
    assert_non_null(strstr(e.msg, "the nearest height and width are 896 and 1200"));
    c.image_h = 3;
    assert_false(model_count(&c, &n, &e));
    assert_non_null(strstr(e.msg, "the nearest height and width are 16 and 1200"));
    c = config("deit_small_patch16_224", 224, 2, 0);
    assert_false(model_count(&c, &n, &e));
    assert_non_null(strstr(e.msg, "model.keep_rate: 0 is outside"));
}

/* Swin embeds the kept patches only, its published count all of them. */
static void swin_executed(void **state)
{
    (void)state;
    for (int k = 1; k <= 7; k++) {
        model_cfg c = config("swin_base_patch4_window7_224", 0, 1000, k / 7.0);
        model_counts n;
        err e = {0};
        assert_true(model_count(&c, &n, &e));
        int64_t saved = (int64_t)(3136 - 64 * k * k) * 128 * (48 + 5);
        assert_int_equal(model_macs(&n.executed, MODEL_FVCORE),
                         model_macs(&n.published, MODEL_FVCORE) - saved);
        assert_int_equal(n.n_tokens, 24);
        assert_int_equal(n.tokens[0], 64 * k * k);
        assert_int_equal(n.tokens[23], k * k);
    }
}

/* The number of kept patches is the exact floor for all rates in hundredths (patchdropout.md 1). */
static void kept_patches(void **state)
{
    (void)state;
    err e = {0};
    pool *p = pool_new(1);
    backend *be = backend_new("cpu", p, &e);
    assert_non_null(be);
    static const int sides[] = {64, 112, 128, 224, 448, 896};
    for (size_t s = 0; s < COUNT_OF(sides); s++) {
        model_cfg c = config("vit_tiny_patch16_224", sides[s], 2, 1);
        c.depth = 1;
        model *m = model_new(&c, be, 1, &e);
        assert_non_null(m);
        int n = model_patches(m);
        assert_int_equal(n, sides[s] / 16 * (sides[s] / 16));
        for (int j = 1; j <= 100; j++)
            assert_int_equal(model_kept(m, j / 100.0), n * j / 100);
        model_free(m);
    }
    backend_free(be);
    pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_entering_each_block),
        cmocka_unit_test(executed_macs),
        cmocka_unit_test(swin_executed),
        cmocka_unit_test(refusals),
        cmocka_unit_test(kept_patches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
