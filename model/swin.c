/* Swin Transformer (timm 0.4.12's): stages of blocks with attention in windows, every second block
 * shifted, and merging of four neighbours between stages; structured PatchDropout after the stem.
 * Tokens stay in the order of the windows of the block that works on them: where neighbouring
 * blocks differ, one map carries them from order to order. patchdropout.md 2 and 3. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "model/block.h"
#include "model/select.h"
#include "model/swin_plan.h"

#define SWIN_EPS        1e-5f
#define SWIN_BLOCKS     32
#define SWIN_WINDOW_MAX 64

typedef struct merge {
    param *norm_w, *norm_b, *w; /* 4C -> 2C */
} merge;

typedef struct swin {
    param *proj_w, *proj_b, *norm_w, *norm_b;
    int channels, patch;
    int depth[SWIN_STAGES];
    block block[SWIN_BLOCKS];
    merge merge[SWIN_STAGES - 1];
    head head;
} swin;

static const net_preset presets[] = {
    {"swin_tiny_patch4_window7_224", 96, {2, 2, 6, 2}, 3, 4, 224, .window = 7},
    {"swin_small_patch4_window7_224", 96, {2, 2, 18, 2}, 3, 4, 224, .window = 7},
    {"swin_base_patch4_window7_224", 128, {2, 2, 18, 2}, 4, 4, 224, .window = 7},
    {"swin_large_patch4_window7_224", 192, {2, 2, 18, 2}, 6, 4, 224, .window = 7},
    {NULL},
};

/* ---- configuration --------------------------------------------------------------------------- */

/* The window nearest to the one asked for that cuts the image, 0 = none of at least half its side.
 */
static int64_t other_window(const model_cfg *m)
{
    int64_t unit = m->patch << (SWIN_STAGES - 1), best = 0;
    for (int64_t w = (m->window + 1) / 2; w <= SWIN_WINDOW_MAX; w++) {
        if (m->image_h % (unit * w) == 0 && m->image_w % (unit * w) == 0 &&
            (!best || llabs(w - m->window) < llabs(best - m->window)))
            best = w;
    }
    return best;
}

static bool refuse_size(const model_cfg *m, int64_t unit, err *e)
{
    char why[256];
    int64_t other = other_window(m);
    int n = snprintf(why, sizeof why,
                     "is not divisible by %lld px, which the windows of %lld patches of %lld px of "
                     "the last stage cover",
                     (long long)unit, (long long)m->window, (long long)m->patch);
    if (other)
        snprintf(why + n, sizeof why - (size_t)n, "; model.window=%lld would be possible",
                 (long long)other);
    return model_refuse_size(m, unit, unit, why, e);
}

static bool grid(net_cfg *c, err *e)
{
    const model_cfg *m = &c->m;
    if (m->window < 1 || m->window > SWIN_WINDOW_MAX)
        return err_set(e, ERR_CONFIG, "model.window: %lld is outside 1..%d", (long long)m->window,
                       SWIN_WINDOW_MAX);
    int64_t unit = m->patch * m->window << (SWIN_STAGES - 1);
    if (m->image_h % unit || m->image_w % unit)
        return refuse_size(m, unit, e);
    c->rows = (int)(m->image_h / m->patch);
    c->cols = (int)(m->image_w / m->patch);
    return true;
}

/* Inputs of a linear in a block, by the end of its parameter's name; rows = outputs / rows_of. */
static double inputs_of(const param *p)
{
    static const struct {
        const char *tail;
        double per_output;
    } linears[] = {{".attn.qkv.bias", 1.0 / 3},
                   {".attn.proj.bias", 1},
                   {".mlp.fc1.bias", 0.25},
                   {".mlp.fc2.bias", 4}};
    for (size_t i = 0; i < COUNT_OF(linears); i++) {
        size_t n = strlen(p->name), k = strlen(linears[i].tail);
        if (n > k && strcmp(p->name + n - k, linears[i].tail) == 0)
            return linears[i].per_output * p->shape[0];
    }
    return 0;
}

/* The published program builds its blocks anew, after timm's initialisation. */
static bool init(const net_cfg *c, const param *p, param_dist *dist, double *scale)
{
    if (!c->m.swin_init || !strstr(p->name, ".blocks.") || strstr(p->name, "bias_table"))
        return false;
    double inputs = p->ndim == 2 ? p->shape[1] : inputs_of(p);
    *dist = PARAM_UNIFORM;
    *scale = inputs > 0 ? 1 / sqrt(inputs) : 0;
    return inputs > 0;
}

/* ---- parameters ------------------------------------------------------------------------------ */

static int blocks_of(const net_cfg *c)
{
    int n = 0;
    for (int s = 0; s < SWIN_STAGES; s++)
        n += c->preset->depth[s];
    return n;
}

static int param_cap(const net_cfg *c)
{
    return blocks_of(c) * (BLOCK_PARAMS + 1) + 3 * (SWIN_STAGES - 1) + 4 + HEAD_PARAMS;
}

static param *layer_param(param_set *s, int stage, const char *name, int rows, int cols)
{
    char full[sizeof s->p->name];
    const int shape[2] = {rows, cols};
    snprintf(full, sizeof full, "layers.%d.%s", stage, name);
    return param_add(s, full, cols ? 2 : 1, shape);
}

static void build(void *net, const net_cfg *c, param_set *s)
{
    swin *n = net;
    int wide = 2 * (int)c->m.window - 1;
    if (blocks_of(c) > SWIN_BLOCKS)
        BUG("swin: %d blocks", blocks_of(c));
    n->channels = (int)c->m.channels;
    n->patch = (int)c->m.patch;
    const int proj[4] = {c->width, n->channels, n->patch, n->patch};
    n->proj_w = param_add(s, "patch_embed.proj.weight", 4, proj);
    n->proj_b = param_add(s, "patch_embed.proj.bias", 1, proj);
    n->norm_w = param_add(s, "patch_embed.norm.weight", 1, proj);
    n->norm_b = param_add(s, "patch_embed.norm.bias", 1, proj);
    block *k = n->block;
    for (int stage = 0; stage < SWIN_STAGES; stage++) {
        int d = c->width << stage, heads = c->heads << stage;
        n->depth[stage] = c->preset->depth[stage];
        for (int i = 0; i < n->depth[stage]; i++, k++) {
            char prefix[32], name[64];
            snprintf(prefix, sizeof prefix, "layers.%d.blocks.%d.", stage, i);
            block_params(k, s, prefix, d, heads);
            snprintf(name, sizeof name, "blocks.%d.attn.relative_position_bias_table", i);
            k->bias = layer_param(s, stage, name, wide * wide, heads);
            k->eps = SWIN_EPS;
            k->tanh = c->tanh;
        }
        if (stage + 1 < SWIN_STAGES) {
            merge *m = &n->merge[stage];
            m->norm_w = layer_param(s, stage, "downsample.norm.weight", 4 * d, 0);
            m->norm_b = layer_param(s, stage, "downsample.norm.bias", 4 * d, 0);
            m->w = layer_param(s, stage, "downsample.reduction.weight", 2 * d, 4 * d);
        }
    }
    head_params(&n->head, s, c, c->width << (SWIN_STAGES - 1), 1);
    n->head.eps = SWIN_EPS;
}

/* ---- forward --------------------------------------------------------------------------------- */

/* One forward pass: the stream, and the order that its rows stand in. */
typedef struct pass {
    const swin *n;
    const swin_plan *plan;
    run *r;
    stream x;
    int stage;
    bool shifted;             /* the rows' order */
    op_window_spec window[2]; /* of this stage, made when first used: plain, shifted */
    op_map_spec move[2];      /* to plain, to shifted */
    bool made[2], moved[2];
    tensor *spare; /* memory of an order that was left (inference) */
} pass;

/* Embedded, normalised patches in the order of the first stage's windows. */
static tensor *embed(pass *p, const net_call *call)
{
    const swin *n = p->n;
    model_batch batch = *call->batch;
    batch.keep = call->published ? NULL : swin_plan_stem(p->plan, p->r);
    batch.n_keep = call->batch->keep ? call->batch->n_keep : call->cfg->patches;
    tensor *x = op_patch(p->r, &batch, n->channels, n->patch, n->patch);
    x = op_linear(p->r, x, n->proj_w, n->proj_b);
    x = op_layernorm(p->r, x, n->norm_w, n->norm_b, SWIN_EPS);
    if (!call->published)
        return x;
    op_map_spec drop = swin_plan_drop(p->plan, p->r);
    return op_map(p->r, x, &drop, NULL);
}

static tensor *sum_of(run *r, stream x)
{
    return x.add ? op_add(r, x.x, x.add, NULL) : x.x;
}

static void enter_order(pass *p, bool shifted)
{
    if (p->shifted == shifted)
        return;
    if (!p->moved[shifted])
        p->move[shifted] = swin_plan_move(p->plan, p->r, p->stage, shifted);
    p->moved[shifted] = true;
    op_map_spec m = p->move[shifted];
    tensor *from = sum_of(p->r, p->x);
    m.into = p->spare;
    p->x = (stream){.x = op_map(p->r, from, &m, NULL)};
    p->spare = from;
    p->shifted = shifted;
}

static void run_block(pass *p, const block *k, bool shifted)
{
    enter_order(p, shifted);
    if (!p->made[shifted])
        p->window[shifted] = swin_plan_windows(p->plan, p->r, p->stage, shifted);
    p->made[shifted] = true;
    p->x = block_forward_windows(p->r, k, p->x, &p->window[shifted]);
}

static void next_stage(pass *p)
{
    const merge *k = &p->n->merge[p->stage];
    op_map_spec m = swin_plan_merge(p->plan, p->r, p->stage, p->shifted);
    tensor *x = op_map(p->r, sum_of(p->r, p->x), &m, NULL);
    x = op_linear(p->r, op_layernorm(p->r, x, k->norm_w, k->norm_b, SWIN_EPS), k->w, NULL);
    *p = (pass){.n = p->n, .plan = p->plan, .r = p->r, .x = {.x = x}, .stage = p->stage + 1};
}

static tensor *features(void *net, run *r, const net_call *call)
{
    const swin *n = net;
    swin_plan *plan = swin_plan_new(call->cfg, call->batch, run_is_shape(r));
    pass p = {.n = n, .plan = plan, .r = r};
    const block *k = n->block;
    p.x = (stream){.x = embed(&p, call)};
    for (int s = 0; s < SWIN_STAGES; s++) {
        for (int i = 0; i < n->depth[s]; i++) {
            if (call->trace)
                call->trace->tokens[call->trace->n_tokens++] = p.x.x->n;
            run_block(&p, k++, i % 2 == 1 && swin_plan_grid(plan, s)->shift > 0);
        }
        if (s + 1 < SWIN_STAGES)
            next_stage(&p);
    }
    swin_plan_free(plan);
    return head_mean(r, &n->head, p.x);
}

static tensor *logits(void *net, run *r, tensor *f)
{
    const swin *n = net;
    return head_logits(r, &n->head, f);
}

const net_kind swin_kind = {
    .presets = presets,
    .size = sizeof(swin),
    .grid = grid,
    .kept = swin_plan_kept,
    .select = swin_plan_select,
    .keep_fault = swin_plan_fault,
    .init = init,
    .param_cap = param_cap,
    .build = build,
    .features = features,
    .logits = logits,
};
