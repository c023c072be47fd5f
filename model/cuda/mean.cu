/* Mean over the rows of each sample: one column per lane, the warps' sums in their order. */
#include "model/cuda/cuda.cuh"

template <class T> __global__ void mean_kernel(const T *x, T *y, int n, int c)
{
    SHARED(float, slot, [CUDA_WARPS][CUDA_WARP]);
    int lane = threadIdx.x % CUDA_WARP, warp = threadIdx.x / CUDA_WARP;
    int column = blockIdx.x * CUDA_WARP + lane;
    int64_t sample = blockIdx.y;
    float sum = 0;
    for (int r = warp; r < n && column < c; r += CUDA_WARPS)
        sum += get(x, (sample * n + r) * c + column);
    slot[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < c) {
        for (int w = 1; w < CUDA_WARPS; w++)
            sum += slot[w][lane];
        put(y, sample * c + column, sum / (float)n);
    }
}

template <class T>
__global__ void mean_back_kernel(const T *dy, T *dx, int n, int c, int64_t count, bool add)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count)
        put_or_add(dx, i, get(dy, i / c / n * c + i % c) / (float)n, add);
}

extern "C" void cuda_mean_forward(backend *be, op_args *a)
{
    dim3 grid(cuda_blocks(a->x->c, CUDA_WARP), (unsigned)a->x->b);
    TYPED(a->x, T,
          cuda_launch(cuda_of(be), "mean", mean_kernel<T>, grid, CUDA_BLOCK, 0, values<T>(a->x),
                      values<T>(a->y), a->x->n, a->x->c));
}

extern "C" void cuda_mean_backward(backend *be, op_args *a)
{
    int64_t n = tensor_count(a->x);
    if (a->x->fixed)
        return;
    TYPED(a->x, T,
          cuda_launch(cuda_of(be), "mean backward", mean_back_kernel<T>, cuda_blocks(n, CUDA_BLOCK),
                      CUDA_BLOCK, 0, (const T *)(const void *)a->y->g, gradient<T>(a->x), a->x->n,
                      a->x->c, n, a->add_x));
}
