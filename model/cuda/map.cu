/* The token map: each input row adds its weight times itself to at most one output row. An output
 * row is one warp's: it finds the rows that go there in the order of the input, so that fused rows
 * sum in a fixed order. Most rows have one source; a first pass notes it. */
#include "model/cuda/cuda.cuh"

#define NONE    (-1)
#define SEVERAL (-2)

struct map_weights {
    const float *fixed, *carried; /* [b, n_in]; at most one of them */
    int w_from;
};

__device__ static inline float weight_of(const map_weights &w, int64_t row, int to)
{
    if (w.carried)
        return to >= w.w_from ? w.carried[row] : 1.0f;
    return w.fixed ? w.fixed[row] : 1.0f;
}

template <int N> __device__ static inline pack<N> scaled(float f, pack<N> a)
{
    for (int k = 0; k < N; k++)
        a.v[k] *= f;
    return a;
}

/* source[b, n_out]: the only input row of each output row, or NONE or SEVERAL. Whatever the order
 * of the threads, the last state is the same. */
__global__ void sources_kernel(const int32_t *dst, int32_t *source, int n_in, int n_out, int64_t n)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n || dst[i] < 0)
        return;
    int32_t *to = &source[i / n_in * n_out + dst[i]];
    if (atomicCAS(to, NONE, (int32_t)(i % n_in)) != NONE)
        atomicExch(to, SEVERAL);
}

__global__ void fill_kernel(int32_t *x, int32_t v, int64_t n)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        x[i] = v;
}

/* Lanes take N neighbours at once. */
template <class T, int N>
__global__ void map_kernel(const T *__restrict__ x, T *__restrict__ y, const int32_t *dst,
                           const int32_t *source, map_weights w, int n_in, int n_out, int c,
                           int64_t rows)
{
    int at = threadIdx.x % CUDA_WARP * N;
    int64_t row = (int64_t)blockIdx.x * CUDA_WARPS + threadIdx.x / CUDA_WARP;
    if (row >= rows)
        return; /* whole warps */
    int64_t sample = row / n_out, first = sample * n_in;
    int to = (int)(row % n_out), from = source[row];
    if (from == NONE) {
        for (int i = at; i < c; i += CUDA_WARP * N)
            put_pack(y, row * c + i, pack<N>{});
        return;
    }
    if (from != SEVERAL) {
        float f = weight_of(w, first + from, to);
#pragma unroll 4
        for (int i = at; i < c; i += CUDA_WARP * N)
            put_pack(y, row * c + i, scaled(f, get_pack<N>(x, (first + from) * c + i)));
        return;
    }
    for (int column = 0; column < c; column += CUDA_WARP * N) {
        pack<N> sum = {};
        for (int k = 0; k < n_in; k += CUDA_WARP) {
            int r = k + threadIdx.x % CUDA_WARP;
            bool here = r < n_in && dst[first + r] == to;
            for (unsigned hits = __ballot_sync(FULL_MASK, here); hits; hits &= hits - 1) {
                int64_t hit = first + k + __ffs((int)hits) - 1;
                if (column + at >= c)
                    continue;
                pack<N> v = scaled(weight_of(w, hit, to), get_pack<N>(x, hit * c + column + at));
                for (int i = 0; i < N; i++)
                    sum.v[i] += v.v[i];
            }
        }
        if (column + at < c)
            put_pack(y, row * c + column + at, sum);
    }
}

/* One warp per input row: dx = weight * dy of its output row, dweight = their product summed. */
template <class T, int N>
__global__ void map_back_kernel(const T *__restrict__ dy, const T *x, T *__restrict__ dx,
                                float *dweight, const int32_t *dst, map_weights w, int n_in,
                                int n_out, int c, int64_t rows, bool add_x, bool add_w)
{
    int lane = threadIdx.x % CUDA_WARP;
    int64_t row = (int64_t)blockIdx.x * CUDA_WARPS + threadIdx.x / CUDA_WARP;
    if (row >= rows)
        return;
    int to = dst[row];
    int64_t at = row * c, out = (row / n_in * n_out + to) * c;
    if (dx && to >= 0) {
        float f = weight_of(w, row, to);
#pragma unroll 4
        for (int i = lane * N; i < c; i += CUDA_WARP * N)
            put_or_add_pack(dx, at + i, scaled(f, get_pack<N>(dy, out + i)), add_x);
    } else if (dx && !add_x) {
        for (int i = lane * N; i < c; i += CUDA_WARP * N)
            put_pack(dx, at + i, pack<N>{});
    }
    if (dweight) {
        float sum = 0;
        for (int i = lane * N; i < c && to >= 0 && to >= w.w_from; i += CUDA_WARP * N) {
            pack<N> d = get_pack<N>(dy, out + i), v = get_pack<N>(x, at + i);
            for (int k = 0; k < N; k++)
                sum += d.v[k] * v.v[k];
        }
        sum = warp_sum(sum);
        if (lane == 0)
            put_or_add(dweight, row, sum, add_w);
    }
}

static map_weights weights_of(const op_args *a)
{
    map_weights w = {a->map.weight, a->x2 ? a->x2->x : NULL, a->map.w_from};
    return w;
}

template <class T, int N>
static void forward(cuda *c, const op_args *a, const int32_t *source, int64_t rows)
{
    cuda_launch(c, "map", map_kernel<T, N>, cuda_blocks(rows, CUDA_WARPS), CUDA_BLOCK, 0,
                values<T>(a->x), values<T>(a->y), a->map.dst, source, weights_of(a), a->map.n_in,
                a->map.n_out, a->x->c, rows);
}

template <class T, int N> static void backward(cuda *c, const op_args *a, int64_t rows)
{
    cuda_launch(c, "map backward", map_back_kernel<T, N>, cuda_blocks(rows, CUDA_WARPS), CUDA_BLOCK,
                0, (const T *)(const void *)a->y->g, values<T>(a->x), gradient<T>(a->x),
                gradient<float>(a->x2), a->map.dst, weights_of(a), a->map.n_in, a->map.n_out,
                a->x->c, rows, a->add_x, a->add_x2);
}

extern "C" void cuda_map_forward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    int n_in = a->map.n_in, n_out = a->map.n_out, b = a->x->b;
    int64_t in = (int64_t)b * n_in, out = (int64_t)b * n_out;
    int32_t *source =
        (int32_t *)cuda_scratch_get(c, &c->scratch, (size_t)(out + 1) * sizeof(int32_t));
    cuda_launch(c, "map", fill_kernel, cuda_blocks(out, CUDA_BLOCK), CUDA_BLOCK, 0, source, NONE,
                out);
    cuda_launch(c, "map", sources_kernel, cuda_blocks(in, CUDA_BLOCK), CUDA_BLOCK, 0, a->map.dst,
                source, n_in, n_out, in);
    TYPED(a->x, T, PACKED(a->x->c, N, (T), (forward<T, N>(c, a, source, out))));
}

extern "C" void cuda_map_backward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    int64_t in = (int64_t)a->x->b * a->map.n_in;
    TYPED(a->x, T, PACKED(a->x->c, N, (T), (backward<T, N>(c, a, in))));
}
