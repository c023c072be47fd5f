/* Learned tokens put before the rows of every sample. */
#include "model/cuda/cuda.cuh"

template <class T>
__global__ void prefix_kernel(const T *x, const float *tokens, T *y, int64_t first, int64_t rest,
                              int64_t n)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    int64_t sample = i / (first + rest), k = i % (first + rest);
    put(y, i, k < first ? tokens[k] : get(x, sample * rest + k - first));
}

/* One thread per element of a sample, the samples in their order for the tokens. */
template <class T>
__global__ void prefix_back_kernel(const T *dy, T *dx, float *dtokens, int64_t first, int64_t rest,
                                   int b, bool add)
{
    int64_t k = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= first + rest)
        return;
    float sum = 0;
    for (int s = 0; s < b; s++) {
        float g = get(dy, s * (first + rest) + k);
        if (k < first)
            sum += g;
        else if (dx)
            put_or_add(dx, s * rest + k - first, g, add);
    }
    if (k < first)
        dtokens[k] += sum;
}

extern "C" void cuda_prefix_forward(backend *be, op_args *a)
{
    int64_t n = tensor_count(a->y);
    TYPED(a->x, T,
          cuda_launch(cuda_of(be), "prefix", prefix_kernel<T>, cuda_blocks(n, CUDA_BLOCK),
                      CUDA_BLOCK, 0, values<T>(a->x), a->w->x, values<T>(a->y), a->w->n,
                      (int64_t)a->x->n * a->x->c, n));
}

extern "C" void cuda_prefix_backward(backend *be, op_args *a)
{
    int64_t n = (int64_t)a->y->n * a->y->c;
    TYPED(a->x, T,
          cuda_launch(cuda_of(be), "prefix backward", prefix_back_kernel<T>,
                      cuda_blocks(n, CUDA_BLOCK), CUDA_BLOCK, 0, (const T *)(const void *)a->y->g,
                      gradient<T>(a->x), a->w->g, a->w->n, (int64_t)a->x->n * a->x->c, a->y->b,
                      a->add_x));
}
