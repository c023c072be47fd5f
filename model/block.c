/* The parts of a plain vision transformer: pre-norm blocks, CLS token (patchdropout.md 3).
 */
#include "model/block.h"

#include <stdio.h>

#include "model/reduce.h"
#include "model/rollout.h"
#include "model/select.h"

#define VIT_EPS 1e-6f

static param *add(param_set *s, const char *prefix, const char *name, int rows, int cols)
{
    char full[sizeof s->p->name];
    int n = snprintf(full, sizeof full, "%s%s", prefix, name);
    if (n < 0 || n >= (int)sizeof full)
        BUG("parameter name '%s%s' is too long", prefix, name);
    const int shape[2] = {rows, cols};
    return param_add(s, full, cols ? 2 : 1, shape);
}

typedef struct weight_spec {
    param **w, **b;
    const char *name;
    int rows, cols; /* cols 0 = a norm */
} weight_spec;

static void add_pair(param_set *s, const char *prefix, const weight_spec *k)
{
    char name[48];
    snprintf(name, sizeof name, "%s.weight", k->name);
    *k->w = add(s, prefix, name, k->rows, k->cols);
    snprintf(name, sizeof name, "%s.bias", k->name);
    *k->b = add(s, prefix, name, k->rows, 0);
}

void block_params(block *k, param_set *s, const char *prefix, int d, int heads)
{
    const weight_spec spec[] = {
        {&k->norm1_w, &k->norm1_b, "norm1", d, 0},   {&k->qkv_w, &k->qkv_b, "attn.qkv", 3 * d, d},
        {&k->proj_w, &k->proj_b, "attn.proj", d, d}, {&k->norm2_w, &k->norm2_b, "norm2", d, 0},
        {&k->fc1_w, &k->fc1_b, "mlp.fc1", 4 * d, d}, {&k->fc2_w, &k->fc2_b, "mlp.fc2", d, 4 * d},
    };
    for (size_t i = 0; i < COUNT_OF(spec); i++)
        add_pair(s, prefix, &spec[i]);
    k->heads = heads;
    k->eps = VIT_EPS;
}

/* x + add, normalised; *sum is the residual stream from here on. */
static tensor *norm_stream(run *r, stream in, param *w, param *b, float eps, tensor **sum)
{
    if (in.add)
        return op_add_layernorm(r, in.x, in.add, NULL, w, b, eps, sum);
    *sum = in.x;
    return op_layernorm(r, in.x, w, b, eps);
}

/* The first norm of a block: all that comes behind can be made again from its sum. */
static tensor *norm_in(run *r, const block *k, stream in, tensor **x)
{
    tensor *h = norm_stream(r, in, k->norm1_w, k->norm1_b, k->eps, x);
    run_boundary(r, *x, h);
    return h;
}

static stream mlp(run *r, const block *k, stream in)
{
    stream out = in;
    tensor *h = norm_stream(r, in, k->norm2_w, k->norm2_b, k->eps, &out.x);
    out.add = op_mlp(r, h, &(op_mlp_spec){k->fc1_w, k->fc1_b, k->fc2_w, k->fc2_b, .tanh = k->tanh});
    return out;
}

/* Fewer rows after the attention: x + o, mapped. The sum takes o's memory where memory is reused,
 * so that the rows which stay can have x's. */
static stream reduce(run *r, reduce_layer *cut, tensor *x, tensor *o, model_watch *watch)
{
    tensor *sum = op_add(r, o, x, NULL);
    cut->map.into = x;
    stream out = {
        .x = op_map(r, sum, &cut->map, cut->w), .size = cut->pool.new_size, .watch = watch};
    if (cut->call->cfg->m.ppt_size_bias)
        out.bias = cut->pool.log_size;
    return out;
}

/* In inference the sum of the stream goes into x's own memory, and what the block took since the
 * mark is free again. */
static stream settle(run *r, stream out, run_point mark)
{
    if (run_mode_of(r) == RUN_INFER) {
        out.x = op_add(r, out.x, out.add, NULL);
        out.add = NULL;
        run_rewind(r, mark);
    }
    return out;
}

/* cut: NULL = all tokens go on. */
static stream forward(run *r, const block *k, stream in, reduce_layer *cut, int reads)
{
    run_point mark = run_mark(r);
    op_attention_spec how = {.heads = k->heads, .bias = in.bias, .readers = reads};
    tensor *x, *score = NULL;
    tensor *h = norm_in(r, k, in, &x);
    tensor *qkv = op_linear(r, h, k->qkv_w, k->qkv_b);
    rollout_note(r, in.watch, qkv, &how);
    h = op_attention(r, qkv, &how, cut ? &score : NULL);
    tensor *o = op_linear(r, h, k->proj_w, k->proj_b);
    stream out = {x, o, in.size, in.bias, in.watch};
    if (cut) {
        reduce_select(r, cut, score, qkv);
        out = reduce(r, cut, x, o, in.watch);
    }
    return settle(r, mlp(r, k, out), mark);
}

stream block_forward_windows(run *r, const block *k, stream in, const op_window_spec *w)
{
    run_point mark = run_mark(r);
    tensor *x;
    tensor *h = norm_in(r, k, in, &x);
    h = op_window_attention(r, op_linear(r, h, k->qkv_w, k->qkv_b), k->heads, k->bias, w);
    h = op_linear(r, h, k->proj_w, k->proj_b);
    return settle(r, mlp(r, k, (stream){.x = x, .add = h}), mark);
}

/* Block i, with the token reduction that the call's configuration asks for there; what the first
 * `reads` tokens attend to decides which leave. */
static stream forward_reduced(run *r, const block *k, stream in, const net_call *call, int i,
                              int reads)
{
    reduce_layer cut;
    bool fewer = reduce_open(r, call, i, in.x->n, in.size, &cut); /* memory outlives the block */
    return forward(r, k, in, fewer ? &cut : NULL, reads ? reads : 1);
}

stream stream_first(run *r, stream in, int rows)
{
    in.x = select_rows(r, in.x, 0, rows);
    in.add = in.add ? select_rows(r, in.add, 0, rows) : NULL;
    return in;
}

/* The last block of a network whose heads read only the first `rows` tokens: everything that does
 * not reach them is left out. */
static stream forward_first(run *r, const block *k, stream in, int rows)
{
    tensor *x;
    tensor *h = norm_in(r, k, in, &x);
    int d = x->c;
    tensor *kv = op_linear_rows(r, h, k->qkv_w, k->qkv_b, d, 2 * d);
    tensor *q = op_linear_rows(r, select_rows(r, h, 0, rows), k->qkv_w, k->qkv_b, 0, d);
    op_attention_spec how = {.heads = k->heads, .kv = kv, .bias = in.bias, .readers = rows};
    rollout_note(r, in.watch, q, &how);
    tensor *o = op_attention(r, q, &how, NULL);
    o = op_linear(r, o, k->proj_w, k->proj_b);
    return mlp(r, k, (stream){.x = select_rows(r, x, 0, rows), .add = o});
}

void trunk_params(trunk *t, param_set *s, const trunk_spec *k)
{
    if (k->depth > TRUNK_MAX)
        BUG("trunk of %d blocks", k->depth);
    t->depth = k->depth;
    for (int i = 0; i < k->depth; i++) {
        char prefix[48];
        snprintf(prefix, sizeof prefix, "%sblocks.%d.", k->prefix, i);
        block_params(&t->block[i], s, prefix, k->width, k->heads);
        t->block[i].tanh = k->tanh;
    }
}

stream trunk_forward(run *r, const trunk *t, stream x, const net_call *call, int reads)
{
    for (int i = 0; i < t->depth; i++) {
        if (call->trace)
            call->trace->tokens[call->trace->n_tokens++] = x.x->n;
        bool cut = reads && i + 1 == t->depth && !call->published && !call->cfg->m.full_last;
        x.watch = call->batch->watch;
        x = cut ? forward_first(r, &t->block[i], x, reads)
                : forward_reduced(r, &t->block[i], x, call, i, reads);
    }
    return x;
}

void stem_params(stem *k, param_set *s, const net_cfg *c, const char *more)
{
    int d = c->width;
    k->prefix = c->preset->prefix;
    k->channels = (int)c->m.channels;
    k->patch = (int)c->m.patch;
    const int cls[3] = {1, 1, d}, rest[3] = {1, k->prefix - 1, d};
    const int pos[3] = {1, k->prefix + c->patches, d};
    const int proj[4] = {d, k->channels, k->patch, k->patch};
    k->cls = param_add(s, "cls_token", 3, cls);
    k->more = k->prefix > 1 ? param_add(s, more, 3, rest) : NULL;
    k->pos = param_add(s, "pos_embed", 3, pos);
    k->proj_w = param_add(s, "patch_embed.proj.weight", 4, proj);
    k->proj_b = param_add(s, "patch_embed.proj.bias", 1, &d);
}

/* The patches of the batch, behind the other tokens, with their positions. */
static tensor *embed(run *r, const stem *k, const model_batch *batch)
{
    tensor *x = op_patch(r, batch, k->channels, k->patch, k->patch);
    x = op_linear(r, x, k->proj_w, k->proj_b);
    x = k->more ? op_prefix(r, x, k->more) : x;
    return op_position(r, op_prefix(r, x, k->cls), k->pos, k->prefix, batch->keep);
}

/* All patches are embedded first; the kept ones go on: the published order of work. */
static tensor *stem_published(run *r, const stem *k, const net_call *call)
{
    model_batch all = *call->batch;
    all.keep = NULL;
    tensor *x = embed(r, k, &all);
    if (!call->batch->keep)
        return x;
    op_map_spec map;
    select_kept(r, call->batch, call->cfg->patches, k->prefix, &map);
    return op_map(r, x, &map, NULL);
}

tensor *stem_forward(run *r, const stem *k, const net_call *call)
{
    return call->published ? stem_published(r, k, call) : embed(r, k, call->batch);
}

void head_params(head *k, param_set *s, const net_cfg *c, int d, int reads)
{
    const weight_spec norm = {&k->norm_w, &k->norm_b, "norm", d, 0};
    const weight_spec linear = {&k->w, &k->b, "head", (int)c->m.classes, d};
    const weight_spec dist = {&k->dist_w, &k->dist_b, "head_dist", (int)c->m.classes, d};
    add_pair(s, "", &norm);
    add_pair(s, "", &linear);
    if (reads == 2)
        add_pair(s, "", &dist);
    k->reads = reads;
    k->eps = VIT_EPS;
}

tensor *head_features(run *r, const head *k, stream in, const net_call *call)
{
    tensor *x;
    if (!call->published) /* norm works on rows: pick first */
        in = stream_first(r, in, k->reads);
    tensor *y = norm_stream(r, in, k->norm_w, k->norm_b, k->eps, &x);
    y = select_rows(r, y, 0, k->reads);
    run_boundary(r, NULL, y);
    return y;
}

tensor *head_mean(run *r, const head *k, stream in)
{
    tensor *x;
    tensor *y = op_mean(r, norm_stream(r, in, k->norm_w, k->norm_b, k->eps, &x));
    run_boundary(r, NULL, y);
    return y;
}

/* (a + b) / 2, rows [b, 1, c]. */
static tensor *mean_of(run *r, tensor *a, tensor *b)
{
    int32_t *dst = run_host(r, (size_t)a->b * sizeof *dst);
    float *half = run_host(r, (size_t)a->b * sizeof *half);
    for (int s = 0; s < a->b; s++) {
        dst[s] = 0;
        half[s] = 0.5f;
    }
    op_map_spec map = {.n_in = 1, .n_out = 1, .dst = run_upload_ints(r, dst, a->b)};
    map.weight = run_upload(r, half, a->b);
    return op_map(r, op_add(r, a, b, NULL), &map, NULL);
}

tensor *head_logits(run *r, const head *k, tensor *f)
{
    if (!k->dist_w)
        return op_linear(r, f, k->w, k->b);
    tensor *z = op_linear(r, select_rows(r, f, 0, 1), k->w, k->b);
    return mean_of(r, z, op_linear(r, select_rows(r, f, 1, 1), k->dist_w, k->dist_b));
}
