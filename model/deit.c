/* ViT and DeiT: stem, equal blocks, norm, a head on the CLS token. A distilled DeiT has a second
 * token with a head of its own; both heads count alike (token_reduction.md 1). */
#include "model/block.h"

#define DISTILLED 2 /* prefix tokens of a distilled network: CLS, distillation */

typedef struct deit {
    stem stem;
    trunk trunk;
    head head;
} deit;

static const net_preset presets[] = {
    {"vit_tiny_patch16_224", 192, {12}, 3, 16, 224, .prefix = 1},
    {"vit_small_patch16_224", 384, {12}, 6, 16, 224, .prefix = 1},
    {"vit_base_patch16_224", 768, {12}, 12, 16, 224, .prefix = 1},
    {"vit_large_patch16_224", 1024, {24}, 16, 16, 224, .prefix = 1},
    {"vit_base_patch8_224", 768, {12}, 12, 8, 224, .prefix = 1},
    {"deit_tiny_patch16_224", 192, {12}, 3, 16, 224, .prefix = 1},
    {"deit_small_patch16_224", 384, {12}, 6, 16, 224, .prefix = 1},
    {"deit_base_patch16_224", 768, {12}, 12, 16, 224, .prefix = 1},
    {"deit_tiny_distilled_patch16_224", 192, {12}, 3, 16, 224, .prefix = DISTILLED},
    {"deit_small_distilled_patch16_224", 384, {12}, 6, 16, 224, .prefix = DISTILLED},
    {"deit_base_distilled_patch16_224", 768, {12}, 12, 16, 224, .prefix = DISTILLED},
    {NULL},
};

static int param_cap(const net_cfg *c)
{
    return (int)c->m.depth * BLOCK_PARAMS + STEM_PARAMS + HEAD_PARAMS;
}

static void build(void *net, const net_cfg *c, param_set *s)
{
    deit *d = net;
    stem_params(&d->stem, s, c, "dist_token");
    trunk_params(&d->trunk, s, &(trunk_spec){"", (int)c->m.depth, c->width, c->heads, c->tanh});
    head_params(&d->head, s, c, c->width, c->preset->prefix);
}

static tensor *features(void *net, run *r, const net_call *call)
{
    const deit *d = net;
    stream x = {.x = stem_forward(r, &d->stem, call)};
    x = trunk_forward(r, &d->trunk, x, call, d->head.reads);
    return head_features(r, &d->head, x, call);
}

static tensor *logits(void *net, run *r, tensor *f)
{
    const deit *d = net;
    return head_logits(r, &d->head, f);
}

const net_kind deit_kind = {
    .presets = presets,
    .size = sizeof(deit),
    .param_cap = param_cap,
    .build = build,
    .features = features,
    .logits = logits,
    .sequence = true,
};
