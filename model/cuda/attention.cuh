/* Softmax attention over groups of rows, for the ops `attention` (a group is an image) and `window`
 * (a group is a window): kernels that run for every type and shape, without tensor cores. One warp
 * works on one query (backward also: on one key); the other side passes by in tiles. Probabilities
 * are never stored: forward keeps the log-sum-exp and backward makes them again. Every sum runs in
 * the order of the rows. */
#ifndef MODEL_CUDA_ATTENTION_CUH
#define MODEL_CUDA_ATTENTION_CUH

#include "model/cuda/cuda.cuh"

#define ATTENTION_TILE     32 /* rows that wait in shared memory: one per lane */
#define ATTENTION_CHANNELS 8  /* of a head per lane at most: heads of up to 256 */

/* What is added to the scaled logit of (query, key) in group g. */
struct attention_extra {
    const float *bias; /* full: [groups, keys] or NULL */
    /* windows */
    const float *entry;   /* [entries, heads]; NULL: full */
    const int32_t *index; /* [tables, tokens, tokens] in 0 .. 2 * entries - 1 */
    const int32_t *table; /* [groups] */
    int entries;
};

template <class T> struct attention_job {
    const T *q, *k, *v; /* of the first group and head */
    int ldq, ldk;       /* row lengths of the tensors with q, with k and v */
    int heads, head, d; /* d = heads * head */
    int queries, keys;  /* of a group */
    int64_t groups;
    float scale;
    attention_extra extra;
    /* score of the first `readers` rows, and its gradient */
    int readers;
    const float *dscore; /* [groups, keys] */
    float *lse;          /* [groups, heads, queries] */
    float *delta;        /* likewise; backward */
    const T *y, *dy;     /* [groups, queries, d] */
    float *dlogit;       /* [groups, heads, queries, keys] or NULL */
};

template <class T>
__device__ static inline float extra_of(const attention_job<T> &j, int64_t g, int h, int row,
                                        int key)
{
    const attention_extra &x = j.extra;
    if (x.entry) {
        int e = x.index[((int64_t)x.table[g] * j.queries + row) * j.keys + key];
        return e < x.entries ? x.entry[e * j.heads + h]
                             : x.entry[(e - x.entries) * j.heads + h] + OP_WINDOW_MASK;
    }
    return x.bias ? x.bias[g * j.keys + key] : 0.0f;
}

/* Rows from .. from + ATTENTION_TILE - 1 (below n) of a tensor, one head wide, into a padded tile,
 * by the whole block. */
template <class T>
__device__ static inline void load_tile(float *tile, const T *x, int ld, int from, int n, int head)
{
    int count = n - from < ATTENTION_TILE ? n - from : ATTENTION_TILE;
    for (int i = threadIdx.x; i < count * head; i += CUDA_BLOCK)
        tile[i / head * (head + 1) + i % head] = get(x, (int64_t)(from + i / head) * ld + i % head);
}

__device__ static inline float dot_row(const float *a, const float *b, int n)
{
    float sum = 0;
    for (int c = 0; c < n; c++)
        sum += a[c] * b[c];
    return sum;
}

/* Which group, head and first row a block works on; `rows` of the side that warps take. */
struct attention_place {
    int64_t g;
    int h, row;
};

template <class T>
__device__ static inline attention_place place_of(const attention_job<T> &j, int rows)
{
    int tiles = (rows + CUDA_WARPS - 1) / CUDA_WARPS;
    int64_t i = blockIdx.x;
    attention_place p = {i / tiles / j.heads, (int)(i / tiles % j.heads),
                         (int)(i % tiles) * CUDA_WARPS + (int)threadIdx.x / CUDA_WARP};
    return p;
}

template <class T> __global__ void attention_kernel(attention_job<T> j, T *y)
{
    SHARED_DYNAMIC(float, shared); /* q [warps][head], then tiles of k and v */
    int lane = threadIdx.x % CUDA_WARP, warp = threadIdx.x / CUDA_WARP;
    attention_place p = place_of(j, j.queries);
    float *q = shared + warp * j.head, *k = shared + CUDA_WARPS * j.head;
    float *v = k + ATTENTION_TILE * (j.head + 1), o[ATTENTION_CHANNELS] = {0};
    float top = -INFINITY, total = 0;
    bool here = p.row < j.queries;
    int64_t at = p.g * j.queries + p.row;
    for (int c = lane; here && c < j.head; c += CUDA_WARP)
        q[c] = get(j.q, at * j.ldq + p.h * j.head + c);
    for (int from = 0; from < j.keys; from += ATTENTION_TILE) {
        int64_t first = p.g * j.keys * j.ldk + p.h * j.head;
        __syncthreads();
        load_tile(k, j.k + first, j.ldk, from, j.keys, j.head);
        load_tile(v, j.v + first, j.ldk, from, j.keys, j.head);
        __syncthreads();
        if (!here)
            continue; /* whole warps */
        float s = -INFINITY;
        if (from + lane < j.keys)
            s = j.scale * dot_row(q, k + lane * (j.head + 1), j.head) +
                extra_of(j, p.g, p.h, p.row, from + lane);
        float next = fmaxf(top, warp_max(s)), shrink = expf(top - next), e = expf(s - next);
        total = total * shrink + warp_sum(e);
        top = next;
        for (int i = 0; i < ATTENTION_CHANNELS; i++)
            o[i] *= shrink;
        int count = j.keys - from < ATTENTION_TILE ? j.keys - from : ATTENTION_TILE;
        for (int t = 0; t < count; t++) {
            float w = __shfl_sync(FULL_MASK, e, t);
            for (int i = 0, c = lane; c < j.head; i++, c += CUDA_WARP)
                o[i] += w * v[t * (j.head + 1) + c];
        }
    }
    if (!here)
        return;
    for (int i = 0, c = lane; c < j.head; i++, c += CUDA_WARP)
        put(y, at * j.d + p.h * j.head + c, o[i] / total);
    if (lane == 0)
        j.lse[(p.g * j.heads + p.h) * j.queries + p.row] = top + logf(total);
}

/* Probability of (row, key), by one thread straight from memory: for the few rows that are read. */
template <class T>
__device__ static inline float probability(const attention_job<T> &j, int64_t g, int h, int row,
                                           int key)
{
    const T *q = j.q + (g * j.queries + row) * j.ldq + h * j.head;
    const T *k = j.k + (g * j.keys + key) * j.ldk + h * j.head;
    float s = 0;
    for (int c = 0; c < j.head; c++)
        s += get(q, c) * get(k, c);
    return expf(j.scale * s + extra_of(j, g, h, row, key) -
                j.lse[(g * j.heads + h) * j.queries + row]);
}

/* score[groups, keys]: mean over heads and readers; one thread per key. */
template <class T> __global__ void attention_score_kernel(attention_job<T> j, float *score)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= j.groups * j.keys)
        return;
    float sum = 0;
    for (int h = 0; h < j.heads; h++) {
        for (int r = 0; r < j.readers; r++)
            sum += probability(j, i / j.keys, h, r, (int)(i % j.keys));
    }
    score[i] = sum / (float)(j.heads * j.readers);
}

/* delta = sum of y * dy over the head, and for rows that are read what softmax takes off the
 * gradient of the score. One warp per row and head. */
template <class T> __global__ void attention_delta_kernel(attention_job<T> j)
{
    int lane = threadIdx.x % CUDA_WARP;
    int64_t i = (int64_t)blockIdx.x * CUDA_WARPS + threadIdx.x / CUDA_WARP;
    if (i >= j.groups * j.heads * j.queries)
        return;
    int row = (int)(i % j.queries), h = (int)(i / j.queries % j.heads);
    int64_t g = i / j.queries / j.heads, at = (g * j.queries + row) * j.d + h * j.head;
    float sum = 0;
    for (int c = lane; c < j.head; c += CUDA_WARP)
        sum += get(j.y, at + c) * get(j.dy, at + c);
    sum = warp_sum(sum);
    if (row < j.readers) {
        float read = 0;
        for (int key = lane; key < j.keys; key += CUDA_WARP)
            read += probability(j, g, h, row, key) * j.dscore[g * j.keys + key];
        sum += warp_sum(read) / (float)(j.heads * j.readers);
    }
    if (lane == 0)
        j.delta[i] = sum;
}

/* Gradient of the logit of (row, key): p is its probability, dp the product dy . v. */
template <class T>
__device__ static inline float dlogit_of(const attention_job<T> &j, int64_t g, int row, int key,
                                         float p, float dp, float delta)
{
    if (row < j.readers)
        dp += j.dscore[g * j.keys + key] / (float)(j.heads * j.readers);
    return p * (dp - delta);
}

template <class T> __global__ void attention_query_kernel(attention_job<T> j, T *dq, bool add)
{
    SHARED_DYNAMIC(float, shared); /* q and dy [warps][head], then tiles of k and v */
    int lane = threadIdx.x % CUDA_WARP, warp = threadIdx.x / CUDA_WARP;
    attention_place p = place_of(j, j.queries);
    float *q = shared + warp * j.head, *g = shared + (CUDA_WARPS + warp) * j.head;
    float *k = shared + 2 * CUDA_WARPS * j.head, *v = k + ATTENTION_TILE * (j.head + 1);
    float sum[ATTENTION_CHANNELS] = {0}, lse = 0, delta = 0;
    bool here = p.row < j.queries;
    int64_t at = p.g * j.queries + p.row, line = (p.g * j.heads + p.h) * j.queries + p.row;
    for (int c = lane; here && c < j.head; c += CUDA_WARP) {
        q[c] = get(j.q, at * j.ldq + p.h * j.head + c);
        g[c] = get(j.dy, at * j.d + p.h * j.head + c);
    }
    if (here) {
        lse = j.lse[line];
        delta = j.delta[line];
    }
    for (int from = 0; from < j.keys; from += ATTENTION_TILE) {
        int64_t first = p.g * j.keys * j.ldk + p.h * j.head;
        __syncthreads();
        load_tile(k, j.k + first, j.ldk, from, j.keys, j.head);
        load_tile(v, j.v + first, j.ldk, from, j.keys, j.head);
        __syncthreads();
        if (!here)
            continue;
        int key = from + lane;
        float ds = 0;
        if (key < j.keys) {
            float s = j.scale * dot_row(q, k + lane * (j.head + 1), j.head) +
                      extra_of(j, p.g, p.h, p.row, key);
            float dp = dot_row(g, v + lane * (j.head + 1), j.head);
            ds = dlogit_of(j, p.g, p.row, key, expf(s - lse), dp, delta);
            if (j.dlogit)
                j.dlogit[line * j.keys + key] = ds;
        }
        int count = j.keys - from < ATTENTION_TILE ? j.keys - from : ATTENTION_TILE;
        for (int t = 0; t < count; t++) {
            float w = __shfl_sync(FULL_MASK, ds, t) * j.scale;
            for (int i = 0, c = lane; c < j.head; i++, c += CUDA_WARP)
                sum[i] += w * k[t * (j.head + 1) + c];
        }
    }
    for (int i = 0, c = lane; here && dq && c < j.head; i++, c += CUDA_WARP)
        put_or_add(dq, at * j.ldq + p.h * j.head + c, sum[i], add);
}

template <class T> __global__ void attention_key_kernel(attention_job<T> j, T *dk, T *dv, bool add)
{
    SHARED_DYNAMIC(float, shared); /* k and v [warps][head], tiles of q and dy, lse, delta */
    int lane = threadIdx.x % CUDA_WARP, warp = threadIdx.x / CUDA_WARP;
    attention_place p = place_of(j, j.keys);
    float *k = shared + warp * j.head, *v = shared + (CUDA_WARPS + warp) * j.head;
    float *q = shared + 2 * CUDA_WARPS * j.head, *g = q + ATTENTION_TILE * (j.head + 1);
    float *lse = g + ATTENTION_TILE * (j.head + 1), *delta = lse + ATTENTION_TILE;
    float to_k[ATTENTION_CHANNELS] = {0}, to_v[ATTENTION_CHANNELS] = {0};
    bool here = p.row < j.keys;
    int64_t at = (p.g * j.keys + p.row) * j.ldk + p.h * j.head;
    for (int c = lane; here && c < j.head; c += CUDA_WARP) {
        k[c] = get(j.k, at + c);
        v[c] = get(j.v, at + c);
    }
    for (int from = 0; from < j.queries; from += ATTENTION_TILE) {
        int64_t first = p.g * j.queries, line = (p.g * j.heads + p.h) * j.queries;
        __syncthreads();
        load_tile(q, j.q + first * j.ldq + p.h * j.head, j.ldq, from, j.queries, j.head);
        load_tile(g, j.dy + first * j.d + p.h * j.head, j.d, from, j.queries, j.head);
        if (threadIdx.x < ATTENTION_TILE && from + (int)threadIdx.x < j.queries) {
            lse[threadIdx.x] = j.lse[line + from + threadIdx.x];
            delta[threadIdx.x] = j.delta[line + from + threadIdx.x];
        }
        __syncthreads();
        if (!here)
            continue;
        int row = from + lane;
        float e = 0, ds = 0;
        if (row < j.queries) {
            float s = j.scale * dot_row(k, q + lane * (j.head + 1), j.head) +
                      extra_of(j, p.g, p.h, row, p.row);
            float dp = dot_row(v, g + lane * (j.head + 1), j.head);
            e = expf(s - lse[lane]);
            ds = dlogit_of(j, p.g, row, p.row, e, dp, delta[lane]) * j.scale;
        }
        int count = j.queries - from < ATTENTION_TILE ? j.queries - from : ATTENTION_TILE;
        for (int t = 0; t < count; t++) {
            float w = __shfl_sync(FULL_MASK, ds, t), u = __shfl_sync(FULL_MASK, e, t);
            for (int i = 0, c = lane; c < j.head; i++, c += CUDA_WARP) {
                to_k[i] += w * q[t * (j.head + 1) + c];
                to_v[i] += u * g[t * (j.head + 1) + c];
            }
        }
    }
    for (int i = 0, c = lane; here && c < j.head; i++, c += CUDA_WARP) {
        put_or_add(dk, at + c, to_k[i], add);
        put_or_add(dv, at + c, to_v[i], add);
    }
}

/* ---- launches -------------------------------------------------------------------------------- */

template <class T> static inline unsigned attention_grid(const attention_job<T> &j, int rows)
{
    return cuda_blocks(j.groups * j.heads * ((rows + CUDA_WARPS - 1) / CUDA_WARPS), 1);
}

template <class K> static inline size_t attention_shared(K *kernel, int head, int sides, int lines)
{
    if (head > ATTENTION_CHANNELS * CUDA_WARP)
        BUG("attention: heads of %d channels", head);
    size_t n = (size_t)(sides * CUDA_WARPS * head + 2 * ATTENTION_TILE * (head + 1) +
                        lines * ATTENTION_TILE);
    cuda_shared(kernel, n * sizeof(float), "attention: heads too wide");
    return n * sizeof(float);
}

template <class T> static void attention_forward(cuda *c, const attention_job<T> &j, T *y)
{
    size_t shared = attention_shared(attention_kernel<T>, j.head, 1, 0);
    cuda_launch(c, "attention", attention_kernel<T>, attention_grid(j, j.queries), CUDA_BLOCK,
                shared, j, y);
}

/* dq, dk, dv: NULL where no gradient is wanted (dlogit may be wanted all the same). */
template <class T>
static void attention_backward(cuda *c, const attention_job<T> &j, T *dq, T *dk, T *dv, bool add_q,
                               bool add_kv)
{
    cuda_launch(c, "attention delta", attention_delta_kernel<T>,
                cuda_blocks(j.groups * j.heads * j.queries, CUDA_WARPS), CUDA_BLOCK, 0, j);
    if (dq || j.dlogit) {
        size_t shared = attention_shared(attention_query_kernel<T>, j.head, 2, 0);
        cuda_launch(c, "attention queries", attention_query_kernel<T>, attention_grid(j, j.queries),
                    CUDA_BLOCK, shared, j, dq, add_q);
    }
    if (dk) {
        size_t shared = attention_shared(attention_key_kernel<T>, j.head, 2, 2);
        cuda_launch(c, "attention keys", attention_key_kernel<T>, attention_grid(j, j.keys),
                    CUDA_BLOCK, shared, j, dk, dv, add_kv);
    }
}

#endif
