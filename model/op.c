/* Front ends of the ops: check shapes, allocate outputs and what backward needs, count, record. */
#include "model/op.h"

#include "model/ops_table.h"

static const char *const names[] = {
#define X(upper, lower) #lower,
    OP_LIST(X)
#undef X
};
_Static_assert(sizeof names / sizeof names[0] == OP_COUNT, "one name per op");

const char *op_name(int kind)
{
    return names[kind];
}

unsigned op_reads_back(const op_args *a)
{
    switch (a->kind) {
    case OP_LINEAR:
        return OP_READS_X | OP_READS_X2;
    case OP_GELU:
    case OP_POOL:
        return OP_READS_X;
    case OP_LAYERNORM:
        return a->y2 ? OP_READS_Y2 : OP_READS_X;
    case OP_ATTENTION:
        return OP_READS_X | OP_READS_X2 | OP_READS_Y;
    case OP_WINDOW:
        return OP_READS_X | OP_READS_Y;
    case OP_MAP:
        return a->x2 ? OP_READS_X | OP_READS_X2 : 0;
    default:
        return 0;
    }
}

static int64_t rows_of(const tensor *t)
{
    return (int64_t)t->b * t->n;
}

static void want_vector(const param *p, int n, const char *what)
{
    if (p && p->n != n)
        BUG("%s %s: %lld values, %d wanted", what, p->name, (long long)p->n, n);
}

tensor *op_patch(run *r, const model_batch *batch, int channels, int p, int stride)
{
    if (p < 1 || stride < 1 || batch->h < p || batch->w < p)
        BUG("patch: %d px every %d px of an image of %dx%d", p, stride, batch->h, batch->w);
    int n = batch->keep ? batch->n_keep
                        : op_patch_side(batch->h, p, stride) * op_patch_side(batch->w, p, stride);
    tensor *y = run_tensor(r, run_type(r), batch->b, n, channels * p * p);
    y->fixed = true;
    op_args a = {.kind = OP_PATCH, .y = y, .patch = {*batch, channels, p, stride}};
    a.patch.batch.keep = run_upload_ints(r, batch->keep, (int64_t)batch->b * n);
    a.patch.batch.view = run_upload_bytes(r, batch->view, (size_t)batch->b * sizeof *batch->view);
    return run_record(r, &a, (run_counts){0});
}

/* The linear layer that `a` begins to describe: x, w, b, its rows. gelu: GELU of it is wanted, too.
 */
static tensor *linear(run *r, op_args a, tensor **gelu)
{
    const tensor *x = a.x;
    const param *w = a.w;
    int row0 = a.linear.row0, rows = a.linear.rows;
    if (w->n != (int64_t)w->shape[0] * x->c)
        BUG("linear %s: input has %d channels, weight wants %lld", w->name, x->c,
            (long long)(w->n / w->shape[0]));
    if (row0 < 0 || rows < 1 || row0 + rows > w->shape[0])
        BUG("linear %s: rows %d+%d of %d", w->name, row0, rows, w->shape[0]);
    want_vector(a.b, w->shape[0], "linear");
    a.kind = OP_LINEAR;
    a.y = run_tensor(r, x->type, x->b, x->n, rows);
    if (gelu) {
        *gelu = a.y2 = run_mode_of(r) == RUN_INFER ? run_alias(r, a.y)
                                                   : run_tensor(r, x->type, x->b, x->n, rows);
        a.y2->fixed = true; /* gradients go through what it is GELU of */
    }
    return run_record(r, &a, (run_counts){.matmul = rows_of(x) * x->c * rows});
}

tensor *op_linear(run *r, tensor *x, param *w, param *bias)
{
    return op_linear_rows(r, x, w, bias, 0, w->shape[0]);
}

tensor *op_linear_rows(run *r, tensor *x, param *w, param *bias, int row0, int rows)
{
    return linear(r, (op_args){.x = x, .w = w, .b = bias, .linear = {row0, rows, false}}, NULL);
}

tensor *op_mlp(run *r, tensor *x, const op_mlp_spec *k)
{
    op_args first = {
        .x = x, .w = k->w1, .b = k->b1, .linear = {.rows = k->w1->shape[0], .tanh = k->tanh}};
    op_args second = {.w = k->w2, .b = k->b2, .linear = {.rows = k->w2->shape[0], .tanh = k->tanh}};
    second.x2 = linear(r, first, &second.x);
    return linear(r, second, NULL);
}

/* May x be overwritten by the stream that is made of it? */
static bool in_place(const run *r, const tensor *x)
{
    return run_mode_of(r) == RUN_INFER && x->type == run_stream(r);
}

static void same_shape(const tensor *x, const tensor *y, const char *what)
{
    if (x->b != y->b || x->n != y->n || x->c != y->c)
        BUG("%s: [%d, %d, %d] and [%d, %d, %d]", what, x->b, x->n, x->c, y->b, y->n, y->c);
}

tensor *op_layernorm(run *r, tensor *x, param *w, param *b, float eps)
{
    want_vector(w, x->c, "layernorm");
    want_vector(b, x->c, "layernorm");
    op_args a = {.kind = OP_LAYERNORM, .x = x, .w = w, .b = b, .norm = {eps, NULL}};
    a.y = run_tensor(r, run_type(r), x->b, x->n, x->c);
    a.saves = 2 * (size_t)rows_of(x) * sizeof(float);
    return run_record(r, &a, (run_counts){.norm = tensor_count(x)});
}

tensor *op_add_layernorm(run *r, tensor *x, tensor *add, const float *scale, param *w, param *b,
                         float eps, tensor **sum)
{
    same_shape(x, add, "layernorm of a sum");
    want_vector(w, x->c, "layernorm");
    want_vector(b, x->c, "layernorm");
    op_args a = {.kind = OP_LAYERNORM, .x = x, .x2 = add, .w = w, .b = b, .norm = {eps}};
    a.norm.scale = run_upload(r, scale, x->b);
    a.y = run_tensor(r, run_type(r), x->b, x->n, x->c);
    a.y2 = in_place(r, x) ? run_alias(r, x) : run_tensor(r, run_stream(r), x->b, x->n, x->c);
    a.saves = 2 * (size_t)rows_of(x) * sizeof(float);
    *sum = a.y2;
    return run_record(r, &a, (run_counts){.norm = tensor_count(x)});
}

tensor *op_add(run *r, tensor *x, tensor *add, const float *scale)
{
    same_shape(x, add, "add");
    op_args a = {.kind = OP_ADD, .x = x, .x2 = add};
    a.add.scale = run_upload(r, scale, x->b);
    a.y = in_place(r, x) ? run_alias(r, x) : run_tensor(r, run_stream(r), x->b, x->n, x->c);
    return run_record(r, &a, (run_counts){0});
}

tensor *op_gelu(run *r, tensor *x, bool tanh)
{
    op_args a = {.kind = OP_GELU, .y = run_tensor(r, x->type, x->b, x->n, x->c), .x = x};
    a.gelu.tanh = tanh;
    return run_record(r, &a, (run_counts){0});
}

tensor *op_attention(run *r, tensor *x, const op_attention_spec *how, tensor **score)
{
    const tensor *kv = how->kv ? how->kv : x, *bias = how->bias;
    int heads = how->heads, d = how->kv ? x->c : x->c / 3;
    if (how->kv ? kv->c != 2 * d || kv->b != x->b : x->c % 3)
        BUG("attention: q [%d, %d, %d], kv [%d, %d, %d]", x->b, x->n, x->c, kv->b, kv->n, kv->c);
    if (heads < 1 || d % heads)
        BUG("attention: %d channels over %d heads", d, heads);
    if (bias && (!bias->fixed || bias->b != x->b || bias->n != kv->n || bias->c != 1))
        BUG("attention: bias [%d, %d, %d] of %d keys", bias->b, bias->n, bias->c, kv->n);
    if (score && (how->readers < 1 || how->readers > x->n))
        BUG("attention: the score of %d rows of %d", how->readers, x->n);
    op_args a = {.kind = OP_ATTENTION, .x = x, .x2 = how->kv};
    a.attention.heads = heads;
    a.attention.bias = bias;
    a.attention.readers = score ? how->readers : 0;
    a.y = run_tensor(r, x->type, x->b, x->n, d);
    if (score)
        *score = a.y2 = run_tensor(r, TENSOR_F32, x->b, kv->n, 1);
    a.saves = (size_t)(rows_of(x) * heads) * sizeof(float);
    run_counts cost = {.matmul = 2 * rows_of(x) * kv->n * d, .scale = rows_of(x) * kv->n * heads};
    return run_record(r, &a, cost);
}

tensor *op_window_attention(run *r, tensor *qkv, int heads, param *bias, const op_window_spec *w)
{
    int d = qkv->c / 3;
    if (qkv->c % 3 || heads < 1 || d % heads)
        BUG("window: %d channels are not q, k and v over %d heads", qkv->c, heads);
    if (w->tokens < 1 || qkv->n % w->tokens)
        BUG("window: %d rows in windows of %d", qkv->n, w->tokens);
    if (bias->ndim != 2 || bias->shape[1] != heads)
        BUG("window %s: %d heads wanted", bias->name, heads);
    op_args a = {.kind = OP_WINDOW, .x = qkv, .w = bias, .window = {heads, *w}};
    a.y = run_tensor(r, qkv->type, qkv->b, qkv->n, d);
    a.saves = (size_t)(rows_of(qkv) * heads) * sizeof(float);
    run_counts cost = {.matmul = 2 * rows_of(qkv) * w->tokens * d};
    cost.scale = rows_of(qkv) * w->tokens * heads;
    return run_record(r, &a, cost);
}

tensor *op_map(run *r, tensor *x, const op_map_spec *map, tensor *w)
{
    int merge = map->merge ? map->merge : 1;
    if (map->n_in != x->n || map->n_out < 0 || map->n_out % merge)
        BUG("map: %d -> %d rows by %d, input has %d", map->n_in, map->n_out, merge, x->n);
    if (w && (map->weight || w->b != x->b || w->n != x->n || w->c != 1))
        BUG("map: weights [%d, %d, %d]", w->b, w->n, w->c);
    op_args a = {.kind = OP_MAP, .x = x, .x2 = w, .map = *map};
    int n = map->n_out / merge, c = x->c * merge;
    if (run_mode_of(r) == RUN_INFER && map->into) {
        if (map->into == x || map->into->type != x->type ||
            tensor_count(map->into) < (int64_t)x->b * n * c)
            BUG("map: no room for %d rows of %d", n, c);
        a.y = run_alias(r, map->into);
        a.y->n = n;
        a.y->c = c;
    } else {
        a.y = run_tensor(r, x->type, x->b, n, c);
    }
    a.y->fixed = x->fixed && (!w || w->fixed);
    int64_t weighted = w && map->n_in > map->w_from ? map->n_in - map->w_from : 0;
    return run_record(r, &a, (run_counts){.score = x->b * weighted * x->c});
}

/* Selectors have no value that a gradient could go to: their own result is an empty tensor. */
static tensor *nothing(run *r, int b)
{
    tensor *t = run_tensor(r, TENSOR_F32, b, 0, 1);
    t->fixed = true;
    return t;
}

void op_topk(run *r, tensor *score, const op_topk_spec *how)
{
    int others = score->n - how->prefix;
    if (score->c != 1 || how->prefix < 0 || how->keep < 0 || how->keep > others)
        BUG("topk: %d of %d rows of [%d, %d, %d]", how->keep, others, score->b, score->n, score->c);
    op_args a = {.kind = OP_TOPK, .x = score, .y = nothing(r, score->b), .topk = *how};
    run_record(r, &a, (run_counts){.score = (int64_t)score->b * others});
}

void op_match(run *r, tensor *score, tensor *qkv, const op_match_spec *how)
{
    int n = score->n, d = qkv->c / 3, head = d / how->heads;
    const tensor *size = how->size;
    if (score->c != 1 || qkv->n != n || qkv->b != score->b || qkv->c != 3 * head * how->heads)
        BUG("match: score [%d, %d, %d], qkv [%d, %d, %d]", score->b, n, score->c, qkv->b, qkv->n,
            qkv->c);
    if (how->gone < 1 || how->gone > (n - how->prefix) / 2 || (size && size->n != n))
        BUG("match: %d of %d rows are to go", how->gone, n);
    op_args a = {.kind = OP_MATCH, .x = score, .x2 = qkv, .y = nothing(r, score->b), .match = *how};
    int64_t rows = rows_of(score), pairs = (int64_t)score->b * ((n + 1) / 2) * (n / 2);
    run_counts cost = {.score = rows + 2 * score->b};
    if (how->prunes)
        cost.score += 4 * score->b;
    else
        cost.score += rows * d + rows * head;
    cost.matmul = how->prunes ? 0 : pairs * head;
    run_record(r, &a, cost);
}

tensor *op_prefix(run *r, tensor *x, param *tokens)
{
    if (tokens->n % x->c)
        BUG("prefix %s: %lld values for rows of %d", tokens->name, (long long)tokens->n, x->c);
    op_args a = {.kind = OP_PREFIX, .x = x, .w = tokens};
    a.y = run_tensor(r, x->type, x->b, x->n + (int)(tokens->n / x->c), x->c);
    return run_record(r, &a, (run_counts){0});
}

tensor *op_position(run *r, tensor *x, param *pos, int prefix, const int32_t *keep)
{
    int64_t rows = pos->n / x->c;
    if (pos->ndim == 4 && (prefix || keep || pos->shape[1] != x->c))
        BUG("position %s: a planar map takes all patches and no other token", pos->name);
    if (pos->n % x->c || prefix > x->n || prefix > rows || (!keep && x->n > rows))
        BUG("position %s: %lld rows for %d tokens", pos->name, (long long)rows, x->n);
    op_args a = {.kind = OP_POSITION, .x = x, .w = pos, .position = {.prefix = prefix}};
    a.position.keep = run_upload_ints(r, keep, (int64_t)x->b * (x->n - prefix));
    a.y = run_tensor(r, run_stream(r), x->b, x->n, x->c);
    return run_record(r, &a, (run_counts){0});
}

tensor *op_pool(run *r, tensor *x, tensor *tokens, int h, int w, param *weight, param *bias)
{
    int t = tokens->n, c = 2 * x->c, points = op_pool_side(h) * op_pool_side(w);
    if (h < 1 || w < 1 || x->n != t + h * w || tokens->b != x->b || tokens->c != c)
        BUG("pool: %dx%d patches and %d tokens of %d channels, x [%d, %d, %d]", h, w, t, tokens->c,
            x->b, x->n, x->c);
    want_vector(weight, 9 * c, "pool");
    want_vector(bias, c, "pool");
    op_args a = {.kind = OP_POOL, .x = x, .x2 = tokens, .w = weight, .b = bias, .pool = {h, w}};
    a.y = run_tensor(r, run_stream(r), x->b, t + points, c);
    return run_record(r, &a, (run_counts){.matmul = (int64_t)x->b * points * c * 9});
}

tensor *op_mean(run *r, tensor *x)
{
    op_args a = {.kind = OP_MEAN, .x = x, .y = run_tensor(r, x->type, x->b, 1, x->c)};
    return run_record(r, &a, (run_counts){0});
}

tensor *op_loss(run *r, tensor *logits, const int32_t *labels, const float *weights,
                float smoothing)
{
    if (logits->n != 1)
        BUG("loss: logits [%d, %d, %d]", logits->b, logits->n, logits->c);
    if (!run_is_shape(r)) {
        for (int i = 0; i < logits->b; i++) {
            if (labels[i] < 0 || labels[i] >= logits->c)
                BUG("loss: label %d of %d classes", labels[i], logits->c);
        }
    }
    op_args a = {.kind = OP_LOSS, .x = logits, .loss = {.smoothing = smoothing}};
    a.loss.label = run_upload_ints(r, labels, logits->b);
    a.loss.weight = run_upload(r, weights, logits->b);
    a.y = run_tensor(r, TENSOR_F32, 1, 1, 1);
    a.saves = (size_t)tensor_count(logits) * sizeof(float);
    return run_record(r, &a, (run_counts){0});
}
