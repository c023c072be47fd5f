/* Residual addition; the branch may carry a drop-path factor per sample. The stream is float32 in
 * every precision; branch and stream may come in as bf16. */
#include "model/cuda/cuda.cuh"

template <class X, class A>
__global__ void add_kernel(float *y, const X *x, const A *add, const float *scale,
                           int64_t per_sample, int64_t n)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        y[i] = get(x, i) + (scale ? scale[i / per_sample] : 1.0f) * get(add, i);
}

template <class X, class A>
__global__ void add_back_kernel(const float *dy, X *dx, A *dadd, const float *scale,
                                int64_t per_sample, int64_t n, bool add_x, bool add_add)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    if (dx)
        put_or_add(dx, i, dy[i], add_x);
    if (dadd)
        put_or_add(dadd, i, (scale ? scale[i / per_sample] : 1.0f) * dy[i], add_add);
}

extern "C" void cuda_add_forward(backend *be, op_args *a)
{
    int64_t n = tensor_count(a->y), per_sample = (int64_t)a->y->n * a->y->c;
    TYPED(a->x, X,
          TYPED(a->x2, A,
                cuda_launch(cuda_of(be), "add", add_kernel<X, A>, cuda_blocks(n, CUDA_BLOCK),
                            CUDA_BLOCK, 0, a->y->x, values<X>(a->x), values<A>(a->x2), a->add.scale,
                            per_sample, n)));
}

extern "C" void cuda_add_backward(backend *be, op_args *a)
{
    int64_t n = tensor_count(a->y), per_sample = (int64_t)a->y->n * a->y->c;
    TYPED(a->x, X,
          TYPED(a->x2, A,
                cuda_launch(cuda_of(be), "add backward", add_back_kernel<X, A>,
                            cuda_blocks(n, CUDA_BLOCK), CUDA_BLOCK, 0, a->y->g, gradient<X>(a->x),
                            gradient<A>(a->x2), a->add.scale, per_sample, n, a->add_x, a->add_x2)));
}
