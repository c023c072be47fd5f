/* GELU on its own, exact form x * Phi(x). */
#include "model/cuda/gelu.cuh"

template <class T> __global__ void gelu_kernel(const T *x, T *y, int64_t n)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        put(y, i, gelu(get(x, i)));
}

template <class T>
__global__ void gelu_back_kernel(const T *x, const T *dy, T *dx, int64_t n, bool add)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        put_or_add(dx, i, get(dy, i) * gelu_slope(get(x, i)), add);
}

void cuda_gelu(cuda *c, tensor_type type, const void *x, void *y, int64_t n)
{
    tensor t = {};
    t.type = type;
    TYPED(&t, T,
          cuda_launch(c, "gelu", gelu_kernel<T>, cuda_blocks(n, CUDA_BLOCK), CUDA_BLOCK, 0,
                      (const T *)x, (T *)y, n));
}

void cuda_gelu_back(cuda *c, tensor_type type, const void *x, const void *dy, void *dx, int64_t n,
                    bool add)
{
    tensor t = {};
    t.type = type;
    TYPED(&t, T,
          cuda_launch(c, "gelu backward", gelu_back_kernel<T>, cuda_blocks(n, CUDA_BLOCK),
                      CUDA_BLOCK, 0, (const T *)x, (const T *)dy, (T *)dx, n, add));
}

extern "C" void cuda_gelu_forward(backend *be, op_args *a)
{
    cuda_gelu(cuda_of(be), a->y->type, a->x->x, a->y->x, tensor_count(a->y));
}

extern "C" void cuda_gelu_backward(backend *be, op_args *a)
{
    if (!a->x->fixed)
        cuda_gelu_back(cuda_of(be), a->y->type, a->x->x, a->y->g, a->x->g, tensor_count(a->y),
                       a->add_x);
}
