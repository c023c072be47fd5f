/* Token reduction as configured: published counts and token sequences, refusals, how many tokens
 * leave (token_reduction.md 6, 8.2, 8.3, 9). */
#include "tests/unit/reduction.h"

#include <math.h>
#include <string.h>

#include "model/reduce.h"

static int64_t torchprofile(const model_counts *n)
{
    return model_macs(&n->published, MODEL_TORCHPROFILE);
}

static void tokens_are(const model_counts *n, const int want[4])
{
    assert_int_equal(n->n_tokens, 12);
    for (int i = 0; i < 12; i++)
        assert_int_equal(n->tokens[i], want[(i > 3) + (i > 6) + (i > 9)]);
}

static void evit_counts_are_the_published_integers(void **state)
{
    (void)state;
    static const struct {
        double keep;
        bool fuse;
        int tokens[4];
        int64_t macs;
        double core;
    } want[] = {
        {.9, true, {197, 179, 163, 148}, 4025801396, 4.022},
        {.8, true, {197, 159, 129, 105}, 3480450218, 3.477},
        {.7, true, {197, 140, 100, 72}, 3032105162, 3.029},
        {.6, true, {197, 120, 74, 46}, 2637750292, 2.635},
        {.5, true, {197, 100, 52, 28}, 2311015474, 2.309},
        {.9, false, {197, 178, 161, 145}, 3991992275, 3.988},
        {.8, false, {197, 158, 127, 102}, 3447432641, 3.444},
        {.7, false, {197, 139, 98, 69}, 2999739005, 2.997},
        {.6, false, {197, 119, 72, 44}, 2610805579, 2.608},
        {.5, false, {197, 99, 50, 26}, 2284472521, 2.282},
    };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        model_cfg c = config("deit_small_patch16_224", 224, MODEL_EVIT);
        c.evit_keep = want[i].keep;
        c.evit_fuse = want[i].fuse;
        model_counts n = counted(&c, NULL);
        tokens_are(&n, want[i].tokens);
        assert_int_equal(torchprofile(&n), want[i].macs);
        assert_int_equal(llround((double)n.published.matmul / 1e6), llround(want[i].core * 1e3));
        assert_int_equal(n.params, 22050664);
        assert_true(model_macs(&n.executed, MODEL_CORE) < n.published.matmul);
    }
}

/* 2.4 and the last lines of 6: other sizes of image, the base network; in units of the figures. */
static void evit_counts_at_other_sizes(void **state)
{
    (void)state;
    static const struct {
        int side;
        double macs[3];
    } want[] = {
        {272, {4.56, 3.97, 3.48}},
        {288, {5.16, 4.50, 3.94}},
        {304, {5.81, 5.06, 4.44}},
        {384, {9.85, 8.57, 7.52}},
    };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        for (int k = 0; k < 3; k++) {
            model_cfg c = config("deit_small_patch16_224", want[i].side, MODEL_EVIT);
            c.evit_keep = (7 - k) / 10.0;
            model_counts n = counted(&c, NULL);
            assert_int_equal(llround((double)n.published.matmul / 1e7),
                             llround(want[i].macs[k] * 100));
        }
    }
    static const int base[] = {15395, 13327, 11610, 10088, 8820};
    for (int k = 0; k < 5; k++) {
        model_cfg c = config("deit_base_patch16_224", 224, MODEL_EVIT);
        c.evit_keep = (9 - k) / 10.0;
        model_counts n = counted(&c, NULL);
        assert_int_equal(llround((double)n.published.matmul / 1e6), base[k]);
    }
}

static void ppt_counts_are_the_published_integers(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int64_t macs;
    } want[] = {
        {"MPP", 2944411999}, {"PPP", 2943702819}, {"PPM", 2943896799}, {"PMP", 2944114399},
        {"PMM", 2944308379}, {"MPM", 2944605979}, {"MMP", 2944823579}, {"MMM", 2945017559},
    };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        model_cfg c = config("deit_small_patch16_224", 224, MODEL_PPT);
        for (int rule = MODEL_SCALE_FREE; rule <= MODEL_ABSOLUTE; rule++) {
            c.ppt_rule = rule;
            model_counts n = counted(&c, want[i].path);
            tokens_are(&n, (const int[]){197, 147, 97, 49});
            assert_int_equal(torchprofile(&n), want[i].macs);
            if (i == 0) /* 2940979200 and one matching of 99 x 98 keys of 64 */
                assert_int_equal(n.published.matmul, 2941600128);
        }
        c.ppt_tokens = 98 + (int64_t)i;
        model_counts n = counted(&c, want[i].path);
        tokens_are(&n, (const int[]){197, 99, 50, 26});
    }
}

static void refused(const model_cfg *c, const char *path, const char *why)
{
    model_counts n;
    err e = {0};
    assert_false(model_count_path(c, path, &n, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    if (!strstr(e.msg, why))
        fail_msg("'%s' does not say '%s'", e.msg, why);
}

static void unsound_configurations_are_refused(void **state)
{
    (void)state;
    static const char *const lists[] = {"", "3,6", "3/", "/3", "a", "6/3", "3/3", "-1", "99999"};
    model_cfg c = config("deit_small_patch16_224", 224, MODEL_EVIT);
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        c.reduction_layers = lists[i];
        refused(&c, NULL, "model.reduction_layers");
    }
    c.reduction_layers = NULL;
    refused(&c, NULL, "model.reduction_layers: no block is named");
    c.reduction_layers = "6/3";
    refused(&c, NULL, "'6/3' names block 3 after block 6; name the blocks in rising order");
    c.reduction_layers = "3/11";
    refused(&c, NULL, "block 11 of 12");
    c.reduction_layers = "0/10";
    assert_int_equal(counted(&c, NULL).tokens[1], 140);
    c.evit_keep = 0;
    refused(&c, NULL, "model.evit_keep: 0 is outside");
    c = config("pit_s_224", 224, MODEL_EVIT);
    refused(&c, NULL, "pit_s_224 cannot lose tokens between its blocks, because the convolutions");
    c = config("deit_small_patch16_224", 224, MODEL_EVIT);
    refused(&c, "MMM", "path 'MMM'");
    c = config("deit_small_patch16_224", 224, MODEL_PPT);
    refused(&c, "MM", "path 'MM'");
    refused(&c, "MMX", "path 'MMX'");
    c.ppt_tokens = 0;
    refused(&c, NULL, "model.ppt_tokens: 0");
    c.ppt_tokens = 50;
    c.ppt_tau = -1;
    refused(&c, NULL, "model.ppt_tau: -1");
    c = config("deit_small_patch16_224", 224, MODEL_PPT);
    c.keep_rate = 0.5; /* PatchDropout changes the number of tokens */
    assert_int_equal(counted(&c, NULL).tokens[4], 99 - 25);
    c.ppt_rule = MODEL_ABSOLUTE;
    refused(&c, NULL, "take scale_free");
    c.reduction = MODEL_EVIT;
    assert_int_equal(counted(&c, NULL).tokens[4], 1 + 69 + 1);
}

/* 2.1: the product is rounded as double, where float32 is wrong, and where double overshoots. */
static void kept_tokens_are_rounded_in_double(void **state)
{
    (void)state;
    assert_int_equal(reduce_kept(.6, 25), 15);
    assert_int_equal(reduce_kept(.55, 100), 56);
    assert_int_equal(reduce_kept(.7, 196), 138);
    int wrong = 0;
    for (int n = 1; n < 70000; n++) {
        wrong += reduce_kept(.6, n) != (int)ceilf(.6f * (float)n);
        for (int k = 5; k < 10; k++)
            assert_int_equal(reduce_kept(k / 10.0, n), (k * n + 9) / 10);
    }
    assert_int_equal(wrong, 5454);
}

/* 8.2: shares and spreads instead of numbers: the same at any number of tokens. */
static void scale_free_rules(void **state)
{
    (void)state;
    model_cfg c = small_config(MODEL_PPT);
    net_preset plain = {.prefix = 1};
    net_cfg n = {.m = c, .kind = &deit_kind, .preset = &plain};
    err e = {0};
    n.m.depth = 12;
    n.m.reduction_layers = "3/6/9";
    assert_true(reduce_resolve(&n, &e));
    static const double below[] = {2.689, 1.492, .645};
    static const int tokens[] = {196, 146, 96}, gone[] = {50, 50, 48};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(n.cut[i].block, 3 + 3 * i);
        assert_int_equal(n.cut[i].n, tokens[i]);
        assert_int_equal(n.cut[i].r, gone[i]);
        assert_int_equal(lround(n.cut[i].below * 1000), lround(below[i] * 1000));
    }
    c = config("deit_small_patch16_224", 896, MODEL_PPT); /* 3136 = 16 * 196 patches */
    model_counts k = counted(&c, NULL);
    tokens_are(&k, (const int[]){3137, 3137 - 800, 3137 - 1600, 769});
    c.ppt_rule = MODEL_ABSOLUTE;
    k = counted(&c, NULL);
    tokens_are(&k, (const int[]){3137, 3087, 3037, 2987});
    c = config("deit_small_patch16_224", 160, MODEL_PPT); /* 100 * 50 / 196 = 25.5 */
    assert_int_equal(counted(&c, NULL).tokens[4], 75);
}

/* The rows that go to the fused token alone are weighted. */
static void the_map_of_a_layer(void **state)
{
    (void)state;
    model_batch b = {.b = 2};
    net_preset plain = {.prefix = 2};
    net_cfg n = {.m = small_config(MODEL_EVIT), .kind = &deit_kind, .preset = &plain, .heads = 3};
    net_call call = {.cfg = &n, .batch = &b};
    run *r = run_new_shape(NULL, RUN_TRAIN);
    reduce_layer l;
    err e = {0};
    assert_true(reduce_resolve(&n, &e));
    assert_false(reduce_open(r, &call, 0, 32, NULL, &l));
    assert_true(reduce_open(r, &call, 1, 33, NULL, &l)); /* 2 and 31, of which 16 stay */
    assert_int_equal(l.map.n_in, 33);
    assert_int_equal(l.map.n_out, 2 + 16 + 1);
    assert_int_equal(l.map.w_from, 2 + 16);
    n.m.evit_fuse = false;
    assert_true(reduce_open(r, &call, 3, 33, NULL, &l));
    assert_int_equal(l.map.n_out, 2 + 16);
    run_free(r);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evit_counts_are_the_published_integers),
        cmocka_unit_test(evit_counts_at_other_sizes),
        cmocka_unit_test(ppt_counts_are_the_published_integers),
        cmocka_unit_test(unsound_configurations_are_refused),
        cmocka_unit_test(kept_tokens_are_rounded_in_double),
        cmocka_unit_test(scale_free_rules),
        cmocka_unit_test(the_map_of_a_layer),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
