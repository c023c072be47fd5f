/* PPT's selector: the importance of each token decides image by image whether tokens are pooled or
 * pruned; pooling pairs similar tokens, those at even positions with those at odd ones.
 * Similarities are made in tiles and only each row's best one is kept. token_reduction.md 3.1. */
#include <math.h>
#include <string.h>

#include "model/cpu/gemm.h"

#define TILE_ROWS 128
#define TILE_COLS 512

typedef struct match_job {
    cpu *c;
    const op_match_spec *how;
    const float *score, *qkv;
    int n, d, head;
    int even, odd;       /* first position of either side behind the prefix */
    int evens, odds;     /* tokens on either side */
    int tiles;           /* of the even side */
    float *unit;         /* [b, evens + odds, head] mean keys of length 1, evens first */
    float *best;         /* [b, evens] similarity to the most similar odd token */
    int32_t *pick;       /* [b, evens] which that is; -1 = stays by itself */
    gemm *product[2][2]; /* [last rows][last columns] */
} match_job;

/* Prefix rows stay first; the others follow as told. Then weights and sizes from where rows go. */
static void weigh(const match_job *j, int64_t s)
{
    const op_match_spec *how = j->how;
    int n_out = j->n - how->gone;
    const int32_t *dst = how->dst + s * j->n;
    const float *size = how->size ? how->size->x + s * j->n : NULL;
    float *weight = how->weight + s * j->n, *sum = how->new_size->x + s * n_out;
    memset(sum, 0, (size_t)n_out * sizeof *sum);
    for (int i = 0; i < j->n; i++) {
        if (dst[i] >= 0)
            sum[dst[i]] += size ? size[i] : 1;
    }
    for (int i = 0; i < j->n; i++)
        weight[i] = dst[i] >= 0 ? (size ? size[i] : 1) / sum[dst[i]] : 0;
    for (int i = 0; i < n_out; i++)
        how->log_size->x[s * n_out + i] = logf(sum[i]);
}

static void prune(const match_job *j, int64_t s, const float *importance, uint64_t *key)
{
    int prefix = j->how->prefix, others = j->n - prefix;
    int32_t *dst = j->how->dst + s * j->n;
    cpu_rank(importance, others, key);
    for (int i = 0; i < prefix; i++)
        dst[i] = i;
    for (int i = 0; i < others; i++)
        dst[prefix + (int32_t)(uint32_t)key[i]] = i < others - j->how->gone ? prefix + i : -1;
    weigh(j, s);
}

/* Mean of the heads' keys, scaled to length 1 (a zero key stays zero). */
static void unit_keys(const match_job *j, int64_t s)
{
    const kernels *k = j->c->k;
    for (int i = j->how->prefix; i < j->n; i++) {
        const float *key = j->qkv + (s * j->n + i) * 3 * j->d + j->d;
        int64_t at = i % 2 ? j->evens + (i - j->odd) / 2 : (i - j->even) / 2;
        float *to = j->unit + (s * (j->evens + j->odds) + at) * j->head;
        memcpy(to, key, (size_t)j->head * sizeof *to);
        for (int h = 1; h < j->how->heads; h++)
            k->add(to, key + (int64_t)h * j->head, j->head);
        double norm = sqrt(k->sumsq(to, j->head));
        if (norm > 0)
            k->axpy(to, to, (float)(1 / norm), false, j->head);
    }
}

static void judge_task(void *ctx, int64_t s, int thread)
{
    const match_job *j = ctx;
    const op_match_spec *how = j->how;
    int prefix = how->prefix, others = j->n - prefix;
    float *own = cpu_scratch_get(&j->c->own[thread], 3 * (size_t)others);
    uint64_t *key = (uint64_t *)(void *)own;
    float *u = own + 2 * (size_t)others;
    double sum = 0, square = 0;
    for (int i = 0; i < others; i++) {
        const float *v = j->qkv + (s * j->n + prefix + i) * 3 * j->d + 2 * (int64_t)j->d;
        u[i] = (float)(j->score[s * j->n + prefix + i] * sqrt(j->c->k->sumsq(v, j->d)));
        sum += u[i];
    }
    for (int i = 0; i < others; i++) {
        double off = u[i] / sum - 1.0 / others;
        square += off * off;
    }
    double var = square / (others - 1), spread = var * others * others;
    how->spread[s] = spread;
    how->pooled[s] = (how->scale_free ? spread : var) < how->below;
    if (how->pooled[s])
        unit_keys(j, s);
    else
        prune(j, s, u, key);
}

static int tile(int i, int tiles, int size, int n)
{
    return i + 1 < tiles ? size : n - (tiles - 1) * size;
}

static void similar_task(void *ctx, int64_t i, int thread)
{
    const match_job *j = ctx;
    int t = (int)(i % j->tiles), cols = (j->odds + TILE_COLS - 1) / TILE_COLS;
    int64_t s = i / j->tiles;
    if (!j->how->pooled[s])
        return;
    const float *side = j->unit + s * (j->evens + j->odds) * j->head;
    const float *x = side + (int64_t)t * TILE_ROWS * j->head,
                *y = side + (int64_t)j->evens * j->head;
    int rows = tile(t, j->tiles, TILE_ROWS, j->evens);
    float *out = cpu_scratch_get(&j->c->own[thread], TILE_ROWS * TILE_COLS);
    float *best = j->best + s * j->evens + (int64_t)t * TILE_ROWS;
    int32_t *pick = j->pick + s * j->evens + (int64_t)t * TILE_ROWS;
    for (int r = 0; r < rows; r++) {
        best[r] = -INFINITY;
        pick[r] = 0;
    }
    for (int c = 0; c < cols; c++) {
        gemm_run(j->c, j->product[t + 1 == j->tiles][c + 1 == cols], thread, x,
                 y + (int64_t)c * TILE_COLS * j->head, NULL, out);
        int width = tile(c, cols, TILE_COLS, j->odds);
        for (int r = 0; r < rows; r++) {
            const float *row = out + (int64_t)r * TILE_COLS;
            for (int k = 0; k < width; k++) {
                if (row[k] > best[r]) {
                    best[r] = row[k];
                    pick[r] = c * TILE_COLS + k;
                }
            }
        }
    }
}

/* The `gone` even tokens with the best partners go into these; the even ones that stay come first,
 * then all odd ones. */
static void pool_task(void *ctx, int64_t s, int thread)
{
    const match_job *j = ctx;
    const op_match_spec *how = j->how;
    if (!how->pooled[s])
        return;
    uint64_t *key = (uint64_t *)(void *)cpu_scratch_get(&j->c->own[thread], 2 * (size_t)j->evens);
    int32_t *dst = how->dst + s * j->n, *pick = j->pick + s * j->evens;
    cpu_rank(j->best + s * j->evens, j->evens, key);
    for (int i = how->gone; i < j->evens; i++)
        pick[(uint32_t)key[i]] = -1;
    int at = how->prefix, odd = how->prefix + j->evens - how->gone;
    for (int i = 0; i < how->prefix; i++)
        dst[i] = i;
    for (int i = 0; i < j->evens; i++)
        dst[j->even + 2 * i] = pick[i] < 0 ? at++ : odd + pick[i];
    for (int i = 0; i < j->odds; i++)
        dst[j->odd + 2 * i] = odd + i;
    weigh(j, s);
}

static void products(match_job *j)
{
    int cols = (j->odds + TILE_COLS - 1) / TILE_COLS;
    for (int r = 0; r < 2; r++) {
        for (int c = 0; c < 2; c++) {
            gemm_key k = {.m = tile(r ? j->tiles - 1 : 0, j->tiles, TILE_ROWS, j->evens),
                          .n = tile(c ? cols - 1 : 0, cols, TILE_COLS, j->odds)};
            k.k = k.lda = k.ldb = j->head;
            k.ldc = TILE_COLS;
            k.tb = true;
            j->product[r][c] = gemm_get(j->c, &k);
        }
    }
}

void cpu_match_forward(backend *be, op_args *a)
{
    const op_match_spec *how = &a->match;
    match_job j = {.c = cpu_of(be), .how = how, .score = a->x->x, .qkv = a->x2->x, .n = a->x->n};
    size_t b = (size_t)a->x->b;
    j.d = a->x2->c / 3;
    j.head = j.d / how->heads;
    j.even = (how->prefix + 1) / 2 * 2;
    j.odd = how->prefix | 1;
    j.evens = (j.n - j.even + 1) / 2;
    j.odds = (j.n - j.odd + 1) / 2;
    j.tiles = (j.evens + TILE_ROWS - 1) / TILE_ROWS;
    size_t keys = b * (size_t)(j.evens + j.odds) * (size_t)j.head;
    j.unit = cpu_scratch_get(&j.c->shared, keys + 2 * b * (size_t)j.evens);
    j.best = j.unit + keys;
    j.pick = (int32_t *)(void *)(j.best + b * (size_t)j.evens);
    products(&j);
    pool_for(be->pool, (int64_t)b, judge_task, &j);
    pool_for(be->pool, (int64_t)b * j.tiles, similar_task, &j);
    pool_for(be->pool, (int64_t)b, pool_task, &j);
}

void cpu_match_backward(backend *be, op_args *a)
{
    BUG("a selector has no gradient");
}
