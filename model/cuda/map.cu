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

template <class T>
__global__ void map_kernel(const T *x, T *y, const int32_t *dst, const int32_t *source,
                           map_weights w, int n_in, int n_out, int c, int64_t rows)
{
    int lane = threadIdx.x % CUDA_WARP;
    int64_t row = (int64_t)blockIdx.x * CUDA_WARPS + threadIdx.x / CUDA_WARP;
    if (row >= rows)
        return; /* whole warps */
    int64_t sample = row / n_out, first = sample * n_in;
    int to = (int)(row % n_out), from = source[row];
    if (from != SEVERAL) {
        float f = from == NONE ? 0 : weight_of(w, first + from, to);
        for (int i = lane; i < c; i += CUDA_WARP)
            put(y, row * c + i, from == NONE ? 0 : f * get(x, (first + from) * c + i));
        return;
    }
    for (int column = 0; column < c; column += CUDA_WARP) {
        int i = column + lane;
        float sum = 0;
        for (int k = 0; k < n_in; k += CUDA_WARP) {
            bool here = k + lane < n_in && dst[first + k + lane] == to;
            for (unsigned hits = __ballot_sync(FULL_MASK, here); hits; hits &= hits - 1) {
                int64_t r = first + k + __ffs((int)hits) - 1;
                if (i < c)
                    sum += weight_of(w, r, to) * get(x, r * c + i);
            }
        }
        if (i < c)
            put(y, row * c + i, sum);
    }
}

/* One warp per input row: dx = weight * dy of its output row, dweight = their product summed. */
template <class T>
__global__ void map_back_kernel(const T *dy, const T *x, T *dx, float *dweight, const int32_t *dst,
                                map_weights w, int n_in, int n_out, int c, int64_t rows, bool add_x,
                                bool add_w)
{
    int lane = threadIdx.x % CUDA_WARP;
    int64_t row = (int64_t)blockIdx.x * CUDA_WARPS + threadIdx.x / CUDA_WARP;
    if (row >= rows)
        return;
    int to = dst[row];
    int64_t at = row * c, out = (row / n_in * n_out + to) * c;
    if (dx) {
        float f = to >= 0 ? weight_of(w, row, to) : 0;
        for (int i = lane; i < c; i += CUDA_WARP) {
            if (to >= 0)
                put_or_add(dx, at + i, f * get(dy, out + i), add_x);
            else if (!add_x)
                put(dx, at + i, 0);
        }
    }
    if (dweight) {
        float sum = 0;
        for (int i = lane; i < c && to >= 0 && to >= w.w_from; i += CUDA_WARP)
            sum += get(dy, out + i) * get(x, at + i);
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
    TYPED(a->x, T,
          cuda_launch(c, "map", map_kernel<T>, cuda_blocks(out, CUDA_WARPS), CUDA_BLOCK, 0,
                      values<T>(a->x), values<T>(a->y), a->map.dst, source, weights_of(a), n_in,
                      n_out, a->x->c, out));
}

extern "C" void cuda_map_backward(backend *be, op_args *a)
{
    int64_t in = (int64_t)a->x->b * a->map.n_in;
    TYPED(a->x, T,
          cuda_launch(cuda_of(be), "map backward", map_back_kernel<T>, cuda_blocks(in, CUDA_WARPS),
                      CUDA_BLOCK, 0, (const T *)(const void *)a->y->g, values<T>(a->x),
                      gradient<T>(a->x), gradient<float>(a->x2), a->map.dst, weights_of(a),
                      a->map.n_in, a->map.n_out, a->x->c, in, a->add_x, a->add_x2));
}
