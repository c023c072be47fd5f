/* PiT's pooling: a convolution 3x3 with stride 2 and padding 1 over the grid behind the first rows,
 * output channel o from input channel o / 2 alone. Each kernel gathers, so nothing is added to
 * twice. S: the stream, before and behind;
 * K: the tokens that replace the first rows, bf16 where products are. */
#include "model/cuda/cuda.cuh"

#define TAPS 9

struct pool_grid {
    int t, h, w, oh, ow, c; /* first rows; grids of input and output; input channels */
};

__device__ static inline int64_t in_at(const pool_grid &g, int64_t s, int i, int k)
{
    return (s * (g.t + g.h * g.w) + g.t + (int64_t)i * g.w + k) * g.c;
}

__device__ static inline int64_t out_at(const pool_grid &g, int64_t s, int i, int k)
{
    return (s * (g.t + g.oh * g.ow) + g.t + (int64_t)i * g.ow + k) * 2 * g.c;
}

/* One thread per element of the result. */
template <class S, class K>
__global__ void pool_kernel(const S *x, const K *tokens, const float *w, const float *b, S *y,
                            pool_grid g, int64_t n)
{
    int64_t e = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (e >= n)
        return;
    int o = (int)(e % (2 * g.c)), rows = g.t + g.oh * g.ow;
    int64_t row = e / (2 * g.c), s = row / rows;
    int at = (int)(row % rows);
    if (at < g.t) {
        put(y, e, get(tokens, (s * g.t + at) * 2 * g.c + o));
        return;
    }
    int oi = (at - g.t) / g.ow, ok = (at - g.t) % g.ow;
    float sum = b[o];
    for (int tap = 0; tap < TAPS; tap++) {
        int i = 2 * oi - 1 + tap / 3, k = 2 * ok - 1 + tap % 3;
        if (i >= 0 && i < g.h && k >= 0 && k < g.w)
            sum += w[o * TAPS + tap] * get(x, in_at(g, s, i, k) + o / 2);
    }
    put(y, e, sum);
}

/* One thread per element of the input. The first rows are not read by the op: no gradient. */
template <class S>
__global__ void pool_input_kernel(const S *dy, const float *w, S *dx, pool_grid g, int64_t n,
                                  bool add)
{
    int64_t e = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (e >= n)
        return;
    int c = (int)(e % g.c), rows = g.t + g.h * g.w;
    int64_t row = e / g.c, s = row / rows;
    int at = (int)(row % rows);
    float sum = 0;
    if (at >= g.t) {
        int i = (at - g.t) / g.w, k = (at - g.t) % g.w;
        for (int tap = 0; tap < TAPS; tap++) {
            int oi = i + 1 - tap / 3, ok = k + 1 - tap % 3;
            if (oi % 2 || ok % 2 || oi < 0 || ok < 0 || oi / 2 >= g.oh || ok / 2 >= g.ow)
                continue;
            int64_t out = out_at(g, s, oi / 2, ok / 2) + 2 * c;
            sum += w[(2 * c) * TAPS + tap] * get(dy, out) +
                   w[(2 * c + 1) * TAPS + tap] * get(dy, out + 1);
        }
    }
    put_or_add(dx, e, sum, add);
}

template <class S, class K>
__global__ void pool_tokens_kernel(const S *dy, K *dtokens, pool_grid g, int64_t n, bool add)
{
    int64_t e = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (e >= n)
        return;
    int64_t per = (int64_t)g.t * 2 * g.c;
    put_or_add(dtokens, e, get(dy, e / per * (g.t + g.oh * g.ow) * 2 * g.c + e % per), add);
}

/* One block per output channel: its nine taps and its bias, summed over all points of all samples
 * in an order that depends on the shape only. */
template <class S>
__global__ void pool_weight_kernel(const S *x, const S *dy, float *dw, float *db, pool_grid g,
                                   int b)
{
    SHARED(float, slot, [CUDA_WARP]);
    int o = blockIdx.x, points = g.oh * g.ow;
    float sum[TAPS + 1] = {0};
    for (int64_t e = threadIdx.x; e < (int64_t)b * points; e += CUDA_BLOCK) {
        int64_t s = e / points;
        int oi = (int)(e % points) / g.ow, ok = (int)(e % points) % g.ow;
        float d = get(dy, out_at(g, s, oi, ok) + o);
        sum[TAPS] += d;
        for (int tap = 0; tap < TAPS; tap++) {
            int i = 2 * oi - 1 + tap / 3, k = 2 * ok - 1 + tap % 3;
            if (i >= 0 && i < g.h && k >= 0 && k < g.w)
                sum[tap] += d * get(x, in_at(g, s, i, k) + o / 2);
        }
    }
    for (int tap = 0; tap <= TAPS; tap++) {
        float total = block_sum(sum[tap], slot);
        if (threadIdx.x == 0)
            *(tap < TAPS ? &dw[o * TAPS + tap] : &db[o]) += total;
    }
}

static pool_grid grid_of(const op_args *a)
{
    int h = a->pool.h, w = a->pool.w;
    pool_grid g = {a->x2->n, h, w, op_pool_side(h), op_pool_side(w), a->x->c};
    return g;
}

template <class S, class K> static void forward(cuda *c, op_args *a)
{
    int64_t n = tensor_count(a->y);
    cuda_launch(c, "pool", pool_kernel<S, K>, cuda_blocks(n, CUDA_BLOCK), CUDA_BLOCK, 0,
                values<S>(a->x), values<K>(a->x2), a->w->x, a->b->x, values<S>(a->y), grid_of(a),
                n);
}

template <class S, class K> static void backward(cuda *c, op_args *a)
{
    int64_t in = tensor_count(a->x), tokens = tensor_count(a->x2);
    const S *dy = (const S *)(const void *)a->y->g;
    cuda_launch(c, "pool weights", pool_weight_kernel<S>, (unsigned)a->y->c, CUDA_BLOCK, 0,
                values<S>(a->x), dy, a->w->g, a->b->g, grid_of(a), a->y->b);
    if (!a->x->fixed)
        cuda_launch(c, "pool backward", pool_input_kernel<S>, cuda_blocks(in, CUDA_BLOCK),
                    CUDA_BLOCK, 0, dy, a->w->x, gradient<S>(a->x), grid_of(a), in, a->add_x);
    if (!a->x2->fixed)
        cuda_launch(c, "pool tokens", pool_tokens_kernel<S, K>, cuda_blocks(tokens, CUDA_BLOCK),
                    CUDA_BLOCK, 0, dy, gradient<K>(a->x2), grid_of(a), tokens, a->add_x2);
}

#define BY_TYPES(a, run)                                                                           \
    do {                                                                                           \
        if ((a)->x->type != (a)->y->type)                                                          \
            BUG("pool: the stream changes its type");                                              \
        else if ((a)->x->type == TENSOR_F32)                                                       \
            TYPED((a)->x2, K, run<float, K>(c, a));                                                \
        else if ((a)->x2->type == TENSOR_BF16)                                                     \
            run<bf16, bf16>(c, a);                                                                 \
        else                                                                                       \
            BUG("pool: float32 tokens in a bf16 stream");                                          \
    } while (0)

extern "C" void cuda_pool_forward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    BY_TYPES(a, forward);
}

extern "C" void cuda_pool_backward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    BY_TYPES(a, backward);
}
