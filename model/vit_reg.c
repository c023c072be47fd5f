/* ViT with registers (Darcet and others, "Vision Transformers Need Registers"): learned tokens
 * behind CLS that no head reads, so that patches need not serve as notebooks. Names and order as
 * timm's VisionTransformer(reg_tokens=4): positions belong to all tokens. The worked example of
 * docs/adding-a-network.md. */
#include "model/block.h"

#define PREFIX 5 /* CLS, 4 registers */

typedef struct vit_reg {
    stem stem;
    trunk trunk;
    head head;
} vit_reg;

static const net_preset presets[] = {
    {"vit_tiny_patch16_reg4_224", 192, {12}, 3, 16, 224, .prefix = PREFIX},
    {"vit_small_patch16_reg4_224", 384, {12}, 6, 16, 224, .prefix = PREFIX},
    {"vit_base_patch16_reg4_224", 768, {12}, 12, 16, 224, .prefix = PREFIX},
    {NULL},
};

static int param_cap(const net_cfg *c)
{
    return (int)c->m.depth * BLOCK_PARAMS + STEM_PARAMS + HEAD_PARAMS;
}

static void build(void *net, const net_cfg *c, param_set *s)
{
    vit_reg *v = net;
    stem_params(&v->stem, s, c, "reg_token");
    trunk_params(&v->trunk, s, &(trunk_spec){"", (int)c->m.depth, c->width, c->heads, c->tanh});
    head_params(&v->head, s, c, c->width, 1);
}

static tensor *features(void *net, run *r, const net_call *call)
{
    const vit_reg *v = net;
    stream x = {.x = stem_forward(r, &v->stem, call)};
    x = trunk_forward(r, &v->trunk, x, call, v->head.reads);
    return head_features(r, &v->head, x, call);
}

static tensor *logits(void *net, run *r, tensor *f)
{
    const vit_reg *v = net;
    return head_logits(r, &v->head, f);
}

const net_kind vit_reg_kind = {
    .presets = presets,
    .size = sizeof(vit_reg),
    .param_cap = param_cap,
    .build = build,
    .features = features,
    .logits = logits,
    .sequence = true,
};
