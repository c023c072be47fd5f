/* PPT's selector: the importance of each token decides image by image whether tokens are pooled or
 * pruned; pooling pairs similar tokens, those at even positions with those at odd ones. Only each
 * row's best similarity is kept. token_reduction.md 3.1. */
#include "model/cuda/rank.cuh"

#define KEYS 32 /* odd tokens that wait in shared memory */

/* Where things lie: everything but `how` is scratch of this op. */
struct match_job {
    int n, d, head, heads, prefix, gone, others;
    int even, odd;   /* first position of either side behind the prefix */
    int evens, odds; /* tokens on either side */
    bool scale_free;
    double below;
    const float *score, *size;
    float *importance; /* [b, others] */
    float *unit;       /* [b, evens + odds, head] mean keys of length 1, evens first */
    float *best;       /* [b, evens] similarity to the most similar odd token */
    int32_t *pick;     /* [b, evens] which that is */
    int32_t *rank;     /* [b, evens] of best */
    int32_t *dst, *pooled;
    float *weight, *new_size, *log_size;
    double *spread;
};

/* One warp per token behind the prefix: importance = score * |v|. */
template <class T> __global__ void importance_kernel(match_job j, const T *qkv, int64_t tokens)
{
    int lane = threadIdx.x % CUDA_WARP;
    int64_t i = (int64_t)blockIdx.x * CUDA_WARPS + threadIdx.x / CUDA_WARP;
    if (i >= tokens)
        return;
    int64_t row = i / j.others * j.n + j.prefix + i % j.others;
    double square = 0;
    for (int k = lane; k < j.d; k += CUDA_WARP) {
        double v = get(qkv, row * 3 * j.d + 2 * j.d + k);
        square += v * v;
    }
    square = warp_sum(square);
    if (lane == 0)
        j.importance[i] = (float)((double)j.score[row] * sqrt(square));
}

/* One block per image: is its importance spread evenly? */
__global__ void judge_kernel(match_job j)
{
    SHARED(double, slot, [CUDA_WARP]);
    const float *u = j.importance + (int64_t)blockIdx.x * j.others;
    double sum = 0, square = 0;
    for (int i = threadIdx.x; i < j.others; i += CUDA_BLOCK)
        sum += u[i];
    sum = block_sum(sum, slot);
    for (int i = threadIdx.x; i < j.others; i += CUDA_BLOCK) {
        double off = u[i] / sum - 1.0 / j.others;
        square += off * off;
    }
    square = block_sum(square, slot);
    if (threadIdx.x == 0) {
        double var = square / (j.others - 1), spread = var * j.others * j.others;
        j.spread[blockIdx.x] = spread;
        j.pooled[blockIdx.x] = (j.scale_free ? spread : var) < j.below;
    }
}

/* Pruned images: the most important tokens stay, in falling order. */
__global__ void prune_kernel(match_job j)
{
    SHARED(uint64_t, tile, [CUDA_BLOCK]);
    int64_t s = blockIdx.y;
    int i = (int)(blockIdx.x * CUDA_BLOCK + threadIdx.x);
    if (j.pooled[s])
        return; /* the whole block */
    int rank = rank_of(j.importance + s * j.others, j.others, i, tile);
    if (i < j.others)
        j.dst[s * j.n + j.prefix + i] = rank < j.others - j.gone ? j.prefix + rank : -1;
    if (i < j.prefix)
        j.dst[s * j.n + i] = i;
}

/* One warp per token: mean of the heads' keys, scaled to length 1 (a zero key stays zero). */
template <class T> __global__ void unit_kernel(match_job j, const T *qkv, int64_t tokens)
{
    int lane = threadIdx.x % CUDA_WARP;
    int64_t t = (int64_t)blockIdx.x * CUDA_WARPS + threadIdx.x / CUDA_WARP;
    if (t >= tokens || !j.pooled[t / j.others])
        return;
    int64_t s = t / j.others;
    int i = j.prefix + (int)(t % j.others);
    int64_t at = i % 2 ? j.evens + (i - j.odd) / 2 : (i - j.even) / 2;
    float *to = j.unit + (s * (j.evens + j.odds) + at) * j.head;
    double square = 0;
    for (int k = lane; k < j.head; k += CUDA_WARP) {
        float sum = 0;
        for (int h = 0; h < j.heads; h++)
            sum += get(qkv, (s * j.n + i) * 3 * j.d + j.d + h * j.head + k);
        to[k] = sum;
        square += (double)sum * (double)sum;
    }
    square = warp_sum(square);
    float scale = square > 0 ? (float)(1 / sqrt(square)) : 1;
    for (int k = lane; k < j.head; k += CUDA_WARP)
        to[k] *= scale; /* what this lane wrote itself */
}

/* One thread per even token; odd ones pass by in tiles. The first of equally similar ones counts.
 */
__global__ void similar_kernel(match_job j)
{
    SHARED_DYNAMIC(float, tile); /* [KEYS][head] */
    int64_t s = blockIdx.y;
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (!j.pooled[s])
        return; /* the whole block */
    const float *side = j.unit + s * (j.evens + j.odds) * j.head;
    float best = -INFINITY;
    int pick = 0;
    for (int from = 0; from < j.odds; from += KEYS) {
        int count = j.odds - from < KEYS ? j.odds - from : KEYS;
        __syncthreads();
        for (int k = threadIdx.x; k < count * j.head; k += blockDim.x)
            tile[k] = side[(int64_t)(j.evens + from) * j.head + k];
        __syncthreads();
        for (int k = 0; k < count && i < j.evens; k++) {
            float dot = 0;
            for (int c = 0; c < j.head; c++)
                dot += side[(int64_t)i * j.head + c] * tile[k * j.head + c];
            if (dot > best) {
                best = dot;
                pick = from + k;
            }
        }
    }
    if (i < j.evens) {
        j.best[s * j.evens + i] = best;
        j.pick[s * j.evens + i] = pick;
    }
}

__global__ void pair_rank_kernel(match_job j)
{
    SHARED(uint64_t, tile, [CUDA_BLOCK]);
    int64_t s = blockIdx.y;
    int i = (int)(blockIdx.x * CUDA_BLOCK + threadIdx.x);
    if (!j.pooled[s])
        return;
    int rank = rank_of(j.best + s * j.evens, j.evens, i, tile);
    if (i < j.evens)
        j.rank[s * j.evens + i] = rank;
}

/* The `gone` even tokens with the best partners go into these; the even ones that stay come first,
 * then all odd ones. */
__global__ void pool_rows_kernel(match_job j)
{
    int64_t s = blockIdx.y;
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    int32_t *dst = j.dst + s * j.n;
    int odd = j.prefix + j.evens - j.gone;
    if (!j.pooled[s])
        return;
    if (i < j.prefix)
        dst[i] = i;
    if (i < j.odds)
        dst[j.odd + 2 * i] = odd + i;
    if (i >= j.evens)
        return;
    const int32_t *rank = j.rank + s * j.evens;
    int before = 0;
    for (int k = 0; k < i; k++)
        before += rank[k] >= j.gone;
    dst[j.even + 2 * i] = rank[i] < j.gone ? odd + j.pick[s * j.evens + i] : j.prefix + before;
}

/* Sizes of the rows that come out, in the order of those that go in; one thread per row. */
__global__ void size_kernel(match_job j)
{
    int64_t s = blockIdx.y;
    int o = (int)(blockIdx.x * blockDim.x + threadIdx.x), n_out = j.n - j.gone;
    if (o >= n_out)
        return;
    float sum = 0;
    for (int i = 0; i < j.n; i++) {
        if (j.dst[s * j.n + i] == o)
            sum += j.size ? j.size[s * j.n + i] : 1;
    }
    j.new_size[s * n_out + o] = sum;
    j.log_size[s * n_out + o] = logf(sum);
}

__global__ void weight_kernel(match_job j)
{
    int64_t s = blockIdx.y;
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x), n_out = j.n - j.gone;
    if (i >= j.n)
        return;
    int to = j.dst[s * j.n + i];
    float own = j.size ? j.size[s * j.n + i] : 1;
    j.weight[s * j.n + i] = to >= 0 ? own / j.new_size[s * n_out + to] : 0;
}

static match_job job_of(cuda *c, const op_args *a)
{
    const op_match_spec *how = &a->match;
    match_job j = {};
    j.n = a->x->n;
    j.d = a->x2->c / 3;
    j.heads = how->heads;
    j.head = j.d / how->heads;
    j.prefix = how->prefix;
    j.gone = how->gone;
    j.others = j.n - j.prefix;
    j.even = (how->prefix + 1) / 2 * 2;
    j.odd = how->prefix | 1;
    j.evens = (j.n - j.even + 1) / 2;
    j.odds = (j.n - j.odd + 1) / 2;
    j.scale_free = how->scale_free;
    j.below = how->below;
    j.score = a->x->x;
    j.size = how->size ? how->size->x : NULL;
    j.dst = how->dst;
    j.pooled = how->pooled;
    j.weight = how->weight;
    j.new_size = how->new_size->x;
    j.log_size = how->log_size->x;
    j.spread = how->spread;
    size_t b = (size_t)a->x->b, evens = (size_t)j.evens, others = (size_t)j.others;
    float *at = (float *)cuda_scratch_get(
        c, &c->scratch,
        b * (others + (evens + (size_t)j.odds) * (size_t)j.head + 3 * evens) * sizeof(float));
    j.importance = at;
    j.unit = j.importance + b * others;
    j.best = j.unit + b * (evens + (size_t)j.odds) * (size_t)j.head;
    j.pick = (int32_t *)(void *)(j.best + b * evens);
    j.rank = j.pick + b * evens;
    return j;
}

template <class T> static void match(cuda *c, const match_job &j, const T *qkv, int b)
{
    int64_t tokens = (int64_t)b * j.others;
    unsigned images = (unsigned)b, warps = cuda_blocks(tokens, CUDA_WARPS);
    dim3 rows(cuda_blocks(j.n, CUDA_BLOCK), images),
        evens(cuda_blocks(j.evens, CUDA_BLOCK), images);
    size_t tile = KEYS * (size_t)j.head * sizeof(float);
    cuda_shared(similar_kernel, tile, "match: heads too wide");
    cuda_launch(c, "match", importance_kernel<T>, warps, CUDA_BLOCK, 0, j, qkv, tokens);
    cuda_launch(c, "match", judge_kernel, images, CUDA_BLOCK, 0, j);
    cuda_launch(c, "match", prune_kernel, rows, CUDA_BLOCK, 0, j);
    cuda_launch(c, "match", unit_kernel<T>, warps, CUDA_BLOCK, 0, j, qkv, tokens);
    cuda_launch(c, "match", similar_kernel, evens, CUDA_BLOCK, tile, j);
    cuda_launch(c, "match", pair_rank_kernel, evens, CUDA_BLOCK, 0, j);
    cuda_launch(c, "match", pool_rows_kernel, rows, CUDA_BLOCK, 0, j);
    cuda_launch(c, "match", size_kernel, rows, CUDA_BLOCK, 0, j);
    cuda_launch(c, "match", weight_kernel, rows, CUDA_BLOCK, 0, j);
}

extern "C" void cuda_match_forward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    match_job j = job_of(c, a);
    TYPED(a->x2, T, match<T>(c, j, values<T>(a->x2), a->x->b));
}

extern "C" void cuda_match_backward(backend *be, op_args *a)
{
    (void)be;
    (void)a;
    BUG("a selector has no gradient");
}
