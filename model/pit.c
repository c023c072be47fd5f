/* PiT: overlapping patches, three stages of blocks, between them a convolution that halves the grid
 * and doubles the width (token_reduction.md 4; names as in the published state dicts). Positions
 * are a map of the grid and belong to patches only. A distilled PiT has a second token with a head
 * of its own; both heads count alike. */
#include "model/block.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/text.h"
#include "model/select.h"

#define STAGES    3
#define DISTILLED 2 /* prefix tokens of a distilled network: CLS, distillation */

typedef struct pit_pool {
    param *conv_w, *conv_b, *fc_w, *fc_b; /* patches; tokens */
} pit_pool;

typedef struct pit {
    param *pos, *cls, *conv_w, *conv_b;
    trunk stage[STAGES];
    pit_pool pool[STAGES - 1];
    head head;
} pit;

static const net_preset presets[] = {
    {"pit_ti_224", 64, {2, 6, 4}, 2, 16, 224, 8, .prefix = 1},
    {"pit_xs_224", 96, {2, 6, 4}, 2, 16, 224, 8, .prefix = 1},
    {"pit_s_224", 144, {2, 6, 4}, 3, 16, 224, 8, .prefix = 1},
    {"pit_b_224", 256, {3, 6, 4}, 4, 14, 224, 7, .prefix = 1},
    {"pit_ti_distilled_224", 64, {2, 6, 4}, 2, 16, 224, 8, .prefix = DISTILLED},
    {"pit_xs_distilled_224", 96, {2, 6, 4}, 2, 16, 224, 8, .prefix = DISTILLED},
    {"pit_s_distilled_224", 144, {2, 6, 4}, 3, 16, 224, 8, .prefix = DISTILLED},
    {"pit_b_distilled_224", 256, {3, 6, 4}, 4, 14, 224, 7, .prefix = DISTILLED},
    {NULL},
};

/* Pixels behind the last patch of a side. */
static int64_t lost(int64_t side, const model_cfg *m)
{
    return (side - m->patch) % m->stride;
}

static bool refuse_size(const model_cfg *m, err *e)
{
    char why[160];
    if (m->image_h < m->patch || m->image_w < m->patch)
        snprintf(why, sizeof why, "is smaller than a patch of %lld px", (long long)m->patch);
    else
        snprintf(why, sizeof why,
                 "would lose its last %lld rows and %lld columns to patches of %lld px every %lld "
                 "px",
                 (long long)lost(m->image_h, m), (long long)lost(m->image_w, m),
                 (long long)m->patch, (long long)m->stride);
    return model_refuse_size(m, m->patch, m->stride, why, e);
}

static bool grid(net_cfg *c, err *e)
{
    const model_cfg *m = &c->m;
    int64_t h = m->image_h, w = m->image_w;
    if (m->stride > m->patch)
        return err_set(e, ERR_CONFIG,
                       "model.stride: patches of %lld px every %lld px leave out the pixels "
                       "between them; the largest stride is %lld",
                       (long long)m->patch, (long long)m->stride, (long long)m->patch);
    if (h < m->patch || w < m->patch || lost(h, m) || lost(w, m))
        return refuse_size(m, e);
    c->rows = op_patch_side((int)h, (int)m->patch, (int)m->stride);
    c->cols = op_patch_side((int)w, (int)m->patch, (int)m->stride);
    return true;
}

/* PiT keeps the framework's values: uniform within 1/sqrt(inputs of one output), weights and biases
 * alike. The heads follow model.head_init as everywhere. */
static bool init(const net_cfg *c, const param *p, param_dist *dist, double *scale)
{
    char name[sizeof p->name + 8];
    size_t n = strlen(p->name);
    if (strncmp(p->name, "head", 4) == 0)
        return false;
    snprintf(name, sizeof name, "%s", p->name);
    if (text_ends(name, ".bias"))
        snprintf(name + n - 5, sizeof name - n + 5, ".weight");
    const param *w = param_find(p->set, name);
    if (!text_ends(name, ".weight") || !w || w->ndim == 1)
        return false;
    *dist = PARAM_UNIFORM;
    *scale = 1 / sqrt((double)(w->n / w->shape[0]));
    return true;
}

static int param_cap(const net_cfg *c)
{
    return (int)c->m.depth * BLOCK_PARAMS + 4 + (STAGES - 1) * 4 + HEAD_PARAMS;
}

static void pool_params(pit_pool *k, param_set *s, int i, int d)
{
    const int to = 2 * d, conv[4] = {to, 1, 3, 3}, fc[2] = {to, d};
    char name[32];
    snprintf(name, sizeof name, "pools.%d.conv.weight", i);
    k->conv_w = param_add(s, name, 4, conv);
    snprintf(name, sizeof name, "pools.%d.conv.bias", i);
    k->conv_b = param_add(s, name, 1, &to);
    snprintf(name, sizeof name, "pools.%d.fc.weight", i);
    k->fc_w = param_add(s, name, 2, fc);
    snprintf(name, sizeof name, "pools.%d.fc.bias", i);
    k->fc_b = param_add(s, name, 1, &to);
}

static void build(void *net, const net_cfg *c, param_set *s)
{
    pit *p = net;
    int d = c->width, tokens = c->preset->prefix, patch = (int)c->m.patch;
    const int pos[4] = {1, d, c->rows, c->cols}, cls[3] = {1, tokens, d};
    const int conv[4] = {d, (int)c->m.channels, patch, patch};
    p->pos = param_add(s, "pos_embed", 4, pos);
    p->cls = param_add(s, "cls_token", 3, cls);
    p->conv_w = param_add(s, "patch_embed.conv.weight", 4, conv);
    p->conv_b = param_add(s, "patch_embed.conv.bias", 1, &d);
    for (int i = 0; i < STAGES; i++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "transformers.%d.", i);
        trunk_params(&p->stage[i], s,
                     &(trunk_spec){prefix, c->preset->depth[i], d << i, c->heads << i, c->tanh});
    }
    for (int i = 0; i + 1 < STAGES; i++)
        pool_params(&p->pool[i], s, i, d << i);
    head_params(&p->head, s, c, d << (STAGES - 1), tokens);
}

static tensor *pooled(run *r, const pit_pool *k, stream x, int tokens, const int side[2])
{
    tensor *sum = x.add ? op_add(r, x.x, x.add, NULL) : x.x;
    tensor *front = op_linear(r, select_rows(r, sum, 0, tokens), k->fc_w, k->fc_b);
    return op_pool(r, sum, front, side[0], side[1], k->conv_w, k->conv_b);
}

static tensor *features(void *net, run *r, const net_call *call)
{
    const pit *p = net;
    const model_cfg *m = &call->cfg->m;
    int side[2] = {call->cfg->rows, call->cfg->cols}, tokens = p->head.reads;
    tensor *t = op_patch(r, call->batch, (int)m->channels, (int)m->patch, (int)m->stride);
    t = op_linear(r, t, p->conv_w, p->conv_b);
    t = op_position(r, t, p->pos, 0, call->batch->keep);
    stream x = {.x = op_prefix(r, t, p->cls)};
    for (int i = 0; i + 1 < STAGES; i++) {
        x = trunk_forward(r, &p->stage[i], x, call, 0);
        x = (stream){.x = pooled(r, &p->pool[i], x, tokens, side)};
        side[0] = op_pool_side(side[0]);
        side[1] = op_pool_side(side[1]);
    }
    x = trunk_forward(r, &p->stage[STAGES - 1], x, call, tokens);
    return head_features(r, &p->head, stream_first(r, x, tokens), call); /* no norm of patches */
}

static tensor *logits(void *net, run *r, tensor *f)
{
    const pit *p = net;
    return head_logits(r, &p->head, f);
}

const net_kind pit_kind = {
    .presets = presets,
    .size = sizeof(pit),
    .grid = grid,
    .dense = "the convolutions between its stages need the whole grid",
    .init = init,
    .param_cap = param_cap,
    .build = build,
    .features = features,
    .logits = logits,
};
