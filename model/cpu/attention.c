/* Softmax attention: per sample and head, tiles of query rows against all keys; two matrix products
 * around one softmax pass. Forward keeps the log-sum-exp only; backward makes the probabilities
 * again. Tiles depend on the token count only. */
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
    float scale;
    gemm *scores[2], *values[2];        /* [last tile] */
    gemm *dp[2], *to_q[2], *to_k[2][2]; /* to_k: also for v; [last tile][add] */
    gemm *to_v[2][2];
} attention_job;

static attention_job job_new(cpu *c, op_args *a)
{
    attention_job j = {.c = c, .a = a, .heads = a->attention.heads, .d = a->y->c};
    const tensor *kv = a->x2 ? a->x2 : a->x;
    j.head = j.d / j.heads;
    j.queries = a->y->n;
    j.keys = kv->n;
    j.tile = j.queries <= TILE_WHOLE ? j.queries : TILE_ROWS;
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
        total[r] = k->softmax(p + (int64_t)r * j->keys, j->keys, j->scale, &lse);
        if (j->a->save)
            j->a->save[(s * j->heads + h) * j->queries + from + r] = lse;
    }
    float *y = j->a->y->x + (s * j->queries + from) * j->d + h * j->head;
    gemm_run(j->c, j->values[last], thread, p, j->v + s * j->keys * j->ldk + h * j->head, NULL, y);
    for (int r = 0; r < rows; r++)
        k->axpy(y + (int64_t)r * j->d, y + (int64_t)r * j->d, 1.0f / total[r], false, j->head);
}

void cpu_attention_forward(backend *be, op_args *a)
{
    attention_job j = job_new(cpu_of(be), a);
    if (tensor_count(a->y) == 0)
        return;
    products_forward(&j);
    pool_for(be->pool, (int64_t)a->y->b * j.heads * j.tiles, forward_task, &j);
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
            k->softmax_back(p + (int64_t)r * j->keys, dp + (int64_t)r * j->keys, j->keys, j->scale,
                            lse[r], delta);
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
