/* Names of parameters in versions of timm: every row of the table in both directions, and files
 * that mix them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "train/names.h"

#define MANY 5

typedef struct named {
    const char *theirs[MANY], *ours[MANY]; /* up to NULL */
} named;

static int count(const char *const *s)
{
    int n = 0;
    while (n < MANY && s[n])
        n++;
    return n;
}

static void check(const names *k, const char *const *from, const char *const *to, int n, bool back)
{
    char got[NAMES_MAX];
    for (int i = 0; i < n; i++) {
        if (back)
            names_from_ours(k, from[i], got);
        else
            names_to_ours(k, from[i], got);
        assert_string_equal(got, to[i]);
    }
}

/* State dicts of timm 0.4.12 and 1.0, shortened to the names that differ. */
static const named timm[] = {
    {{"layers.0.blocks.1.attn.qkv.weight", "layers.1.downsample.norm.bias",
      "layers.3.downsample.reduction.weight", "head.fc.weight", "norm.weight"},
     {"layers.0.blocks.1.attn.qkv.weight", "layers.0.downsample.norm.bias",
      "layers.2.downsample.reduction.weight", "head.weight", "norm.weight"}},
    {{"transformers.0.blocks.1.mlp.fc1.bias", "transformers.1.pool.conv.weight",
      "transformers.2.pool.fc.bias", "head.weight", "head_dist.bias"},
     {"transformers.0.blocks.1.mlp.fc1.bias", "pools.0.conv.weight", "pools.1.fc.bias",
      "head.weight", "head_dist.bias"}},
    {{"blocks.0.norm1.weight", "head.weight", "head_dist.weight", "patch_embed.proj.bias"},
     {"blocks.0.norm1.weight", "head.weight", "head_dist.weight", "patch_embed.proj.bias"}},
};
static const named timm04[] = {
    {{"layers.0.blocks.1.attn.qkv.weight", "layers.0.downsample.norm.bias",
      "layers.2.downsample.reduction.weight", "head.weight"},
     {"layers.0.blocks.1.attn.qkv.weight", "layers.0.downsample.norm.bias",
      "layers.2.downsample.reduction.weight", "head.weight"}},
    {{"transformers.0.blocks.1.mlp.fc1.bias", "transformers.0.pool.conv.weight",
      "transformers.1.pool.fc.bias", "head.bias"},
     {"transformers.0.blocks.1.mlp.fc1.bias", "pools.0.conv.weight", "pools.1.fc.bias",
      "head.bias"}},
};

static void both_layouts(void **state)
{
    (void)state;
    names k;
    for (size_t i = 0; i < COUNT_OF(timm) + COUNT_OF(timm04); i++) {
        bool old = i >= COUNT_OF(timm);
        const named *f = old ? &timm04[i - COUNT_OF(timm)] : &timm[i];
        int n = count(f->theirs);
        names_of_file(&k, f->theirs, n);
        check(&k, f->theirs, f->ours, n, false);
        names_of_network(&k, f->ours, n, old ? NAMES_TIMM04 : NAMES_TIMM);
        check(&k, f->ours, f->theirs, n, true);
        names_of_file(&k, f->ours, n); /* our own files need no rename */
        check(&k, f->ours, f->ours, n, false);
    }
}

/* Downsampling of before 0.9 beside a head of after it; names of data-parallel training; numbers
 * and names that only look like those of the table. */
static void mixed_files(void **state)
{
    (void)state;
    names k;
    static const char *const theirs[] = {"module.layers.0.downsample.norm.bias",
                                         "module.layers.1.downsample.norm.bias",
                                         "module.head.fc.bias",
                                         "layers.x.downsample.norm",
                                         "layers.1.downsamplex.",
                                         "head.fcx.bias"};
    static const char *const ours[] = {
        "layers.0.downsample.norm.bias", "layers.1.downsample.norm.bias", "head.bias",
        "layers.x.downsample.norm",      "layers.1.downsamplex.",         "head.fcx.bias"};
    names_of_file(&k, theirs, COUNT_OF(theirs));
    check(&k, theirs, ours, COUNT_OF(theirs), false);
    char long_name[2 * NAMES_MAX], out[NAMES_MAX];
    for (int i = 0; i < 2 * NAMES_MAX; i++)
        long_name[i] = 'x';
    long_name[2 * NAMES_MAX - 1] = 0;
    names_to_ours(&k, long_name, out); /* cut, never beyond its room */
    assert_int_equal(out[NAMES_MAX - 1], 0);
    assert_true(names_is_buffer("layers.0.blocks.0.attn.relative_position_index"));
    assert_true(names_is_buffer("layers.0.blocks.1.attn_mask"));
    assert_false(names_is_buffer("layers.0.blocks.0.attn.relative_position_bias_table"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_layouts),
        cmocka_unit_test(mixed_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
