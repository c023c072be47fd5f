/* Softmax attention: per sample and head, tiles of query rows against all keys; two matrix products
 * around one softmax pass. Forward keeps the log-sum-exp only; backward makes the probabilities
 * again. Tiles depend on the token count only. The score of the first rows, all of them in the
 * first tile, is summed head by head and never needs more than one row of keys for each head. */
#include "model/cpu/gemm.h"

#include <math.h>

#define TILE_WHOLE 256 /* up to this many queries: one tile */
#define TILE_ROWS  128

typedef struct attention_job {
    cpu *c;
    op_args *a;
    int heads, d, head, queries, keys, tile, tiles;
    int ldq, ldk; /* row lengths of the tensors with q, with k and v */
    const float *q, *k, *v;
    float *dq, *dk, *dv;
    const float *bias; /* [b, keys] or NULL */
    float *part;       /* score of each head [b, heads, keys] */
    float scale;
    gemm *scores[2], *values[2];        /* [last tile] */
    gemm *dp[2], *to_q[2], *to_k[2][2]; /* to_k: also for v; [last tile][add] */
    gemm *to_v[2][2];
} attention_job;

int cpu_attention_tile(int queries)
{
    return queries <= TILE_WHOLE ? queries : TILE_ROWS;
}

static attention_job job_new(cpu *c, op_args *a)
{
    attention_job j = {.c = c, .a = a, .heads = a->attention.heads, .d = a->y->c};
    const tensor *kv = a->x2 ? a->x2 : a->x;
    j.head = j.d / j.heads;
    j.queries = a->y->n;
    j.keys = kv->n;
    j.tile = cpu_attention_tile(j.queries);
    j.tiles = (j.queries + j.tile - 1) / j.tile;
    j.ldq = a->x->c;
    j.ldk = kv->c;
    j.q = a->x->x;
    j.k = a->x2 ? kv->x : kv->x + j.d;
    j.v = j.k + j.d;
    j.dq = a->x->g;
    j.dk = kv->g ? (a->x2 ? kv->g : kv->g + j.d) : NULL;
    j.dv = j.dk ? j.dk + j.d : NULL;
    j.scale = (float)(1.0 / sqrt((double)j.head));
    j.bias = a->attention.bias ? a->attention.bias->x : NULL;
    if (a->attention.readers > j.tile)
        BUG("attention: a score of %d rows", a->attention.readers);
    return j;
}

static int tile_rows(const attention_job *j, int t)
{
    return t + 1 < j->tiles ? j->tile : j->queries - (j->tiles - 1) * j->tile;
}

static void products_forward(attention_job *j)
{
    for (int last = 0; last < 2; last++) {
        int m = tile_rows(j, last ? j->tiles - 1 : 0);
        gemm_key s = {.m = m, .n = j->keys, .k = j->head, .ldc = j->keys, .tb = true};
        s.lda = j->ldq;
        s.ldb = j->ldk;
        j->scores[last] = gemm_get(j->c, &s);
        gemm_key o = {.m = m, .n = j->head, .k = j->keys, .lda = j->keys, .ldc = j->d};
        o.ldb = j->ldk;
        j->values[last] = gemm_get(j->c, &o);
    }
}

/* The bias counts before the scaling that softmax does. */
static void add_bias(const attention_job *j, int64_t sample, float *s)
{
    if (j->bias)
        j->c->k->axpy(s, j->bias + sample * j->keys, 1.0f / j->scale, true, j->keys);
}

/* What one query row of the rows that are read attends to, its share of the mean. */
static void note_score(const attention_job *j, int64_t sample, int h, int row, const float *p,
                       float total)
{
    int readers = j->a->attention.readers;
    float *to = j->part + (sample * j->heads + h) * j->keys;
    j->c->k->axpy(to, p, 1.0f / (total * (float)(j->heads * readers)), row > 0, j->keys);
}

static void forward_task(void *ctx, int64_t i, int thread)
{
    const attention_job *j = ctx;
    const kernels *k = j->c->k;
    int t = (int)(i % j->tiles), h = (int)(i / j->tiles % j->heads);
    int64_t s = i / j->tiles / j->heads, from = (int64_t)t * j->tile;
    int rows = tile_rows(j, t), last = t + 1 == j->tiles;
    const float *key = j->k + s * j->keys * j->ldk + h * j->head;
    const float *q = j->q + (s * j->queries + from) * j->ldq + h * j->head;
    float *p = cpu_scratch_get(&j->c->own[thread], (size_t)j->tile * (size_t)j->keys);
    gemm_run(j->c, j->scores[last], thread, q, key, NULL, p);
    float total[TILE_WHOLE], lse;
    for (int r = 0; r < rows; r++) {
        float *row = p + (int64_t)r * j->keys;
        add_bias(j, s, row);
        total[r] = k->softmax(row, j->keys, j->scale, &lse);
        if (from + r < j->a->attention.readers)
            note_score(j, s, h, r, row, total[r]);
        if (j->a->save)
            j->a->save[(s * j->heads + h) * j->queries + from + r] = lse;
    }
    float *y = j->a->y->x + (s * j->queries + from) * j->d + h * j->head;
    gemm_run(j->c, j->values[last], thread, p, j->v + s * j->keys * j->ldk + h * j->head, NULL, y);
    for (int r = 0; r < rows; r++)
        k->axpy(y + (int64_t)r * j->d, y + (int64_t)r * j->d, 1.0f / total[r], false, j->head);
}

/* One sample: its heads in order. */
static void score_task(void *ctx, int64_t s, int thread)
{
    const attention_job *j = ctx;
    const float *part = j->part + s * j->heads * j->keys;
    float *y = j->a->y2->x + s * j->keys;
    memcpy(y, part, (size_t)j->keys * sizeof(float));
    for (int h = 1; h < j->heads; h++)
        j->c->k->add(y, part + (int64_t)h * j->keys, j->keys);
}

void cpu_attention_forward(backend *be, op_args *a)
{
    attention_job j = job_new(cpu_of(be), a);
    if (tensor_count(a->y) == 0)
        return;
    products_forward(&j);
    if (a->y2)
        j.part = cpu_scratch_get(&j.c->shared, (size_t)a->y->b * (size_t)(j.heads * j.keys));
    pool_for(be->pool, (int64_t)a->y->b * j.heads * j.tiles, forward_task, &j);
    if (a->y2)
        pool_for(be->pool, a->y->b, score_task, &j);
}

static void products_backward(attention_job *j)
{
    bool add_q = j->a->add_x, add_kv = j->a->x2 ? j->a->add_x2 : j->a->add_x;
    for (int last = 0; last < 2; last++) {
        int m = tile_rows(j, last ? j->tiles - 1 : 0);
        gemm_key s = {.m = m, .n = j->keys, .k = j->head, .ldc = j->keys, .tb = true};
        s.ldb = j->ldk;
        s.lda = j->d;
        j->dp[last] = gemm_get(j->c, &s);
        gemm_key q = {.m = m, .n = j->head, .k = j->keys, .lda = j->keys, .add = add_q};
        q.ldb = j->ldk;
        q.ldc = j->ldq;
        j->to_q[last] = gemm_get(j->c, &q);
        for (int later = 0; later < 2; later++) {
            gemm_key t = {.m = j->keys, .n = j->head, .k = m, .lda = j->keys, .ta = true};
            t.add = later || add_kv;
            t.ldc = j->ldk;
            t.ldb = j->ldq;
            j->to_k[last][later] = gemm_get(j->c, &t);
            t.ldb = j->d;
            j->to_v[last][later] = gemm_get(j->c, &t);
        }
    }
}

/* p = probabilities of one row, dp = gradient of its logits before the scale. A row whose score was
 * read gets the score's gradient into dP too, and with it into the sum that softmax takes off. */
static void row_backward(const attention_job *j, int64_t sample, int64_t row, float *p, float *dp,
                         float lse, float delta)
{
    const kernels *k = j->c->k;
    int readers = j->a->attention.readers;
    add_bias(j, sample, p);
    if (row >= readers) {
        k->softmax_back(p, dp, j->keys, j->scale, lse, delta);
        return;
    }
    const float *g = j->a->y2->g + sample * j->keys;
    float share = 1.0f / (float)(j->heads * readers);
    k->axpy(dp, g, share, true, j->keys);
    k->softmax_back(p, dp, j->keys, j->scale, lse, delta);
    k->axpy(dp, p, -j->scale * share * k->dot(p, g, j->keys), true, j->keys);
}

static void backward_task(void *ctx, int64_t i, int thread)
{
    const attention_job *j = ctx;
    const kernels *k = j->c->k;
    int h = (int)(i % j->heads);
    int64_t s = i / j->heads, kv = s * j->keys * j->ldk + h * j->head;
    size_t tile = (size_t)j->tile * (size_t)j->keys;
    tile = (tile + 15) / 16 * 16;
    float *p = cpu_scratch_get(&j->c->own[thread], 2 * tile), *dp = p + tile;
    for (int t = 0; t < j->tiles; t++) {
        int rows = tile_rows(j, t), last = t + 1 == j->tiles, later = t > 0;
        int64_t row = s * j->queries + (int64_t)t * j->tile;
        const float *q = j->q + row * j->ldq + h * j->head;
        const float *o = j->a->y->x + row * j->d + h * j->head;
        const float *go = j->a->y->g + row * j->d + h * j->head;
        const float *lse = j->a->save + (s * j->heads + h) * j->queries + (int64_t)t * j->tile;
        gemm_run(j->c, j->scores[last], thread, q, j->k + kv, NULL, p);
        gemm_run(j->c, j->dp[last], thread, go, j->v + kv, NULL, dp);
        for (int r = 0; r < rows; r++) {
            float delta = k->dot(o + (int64_t)r * j->d, go + (int64_t)r * j->d, j->head);
            row_backward(j, s, (int64_t)t * j->tile + r, p + (int64_t)r * j->keys,
                         dp + (int64_t)r * j->keys, lse[r], delta);
        }
        if (j->dv)
            gemm_run(j->c, j->to_v[last][later], thread, p, go, NULL, j->dv + kv);
        if (j->dk)
            gemm_run(j->c, j->to_k[last][later], thread, dp, q, NULL, j->dk + kv);
        if (j->dq)
            gemm_run(j->c, j->to_q[last], thread, dp, j->k + kv, NULL,
                     j->dq + row * j->ldq + h * j->head);
    }
}

void cpu_attention_backward(backend *be, op_args *a)
{
    attention_job j = job_new(cpu_of(be), a);
    if (tensor_count(a->y) == 0)
        return;
    products_forward(&j);
    products_backward(&j);
    pool_for(be->pool, (int64_t)a->y->b * j.heads, backward_task, &j);
}
