/* GELU on its own, by both forms. */
#include "model/cuda/gelu.cuh"

template <class T> __global__ void gelu_kernel(const T *x, T *y, int64_t n, bool tanh)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        put(y, i, tanh ? gelu_tanh(get(x, i)) : gelu(get(x, i)));
}

template <class T>
__global__ void gelu_back_kernel(const T *x, const T *dy, T *dx, int64_t n, bool tanh, bool add)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        float slope = tanh ? gelu_tanh_slope(get(x, i)) : gelu_slope(get(x, i));
        put_or_add(dx, i, get(dy, i) * slope, add);
    }
}

void cuda_gelu(cuda *c, const cuda_gelu_job &j)
{
    tensor t = {};
    t.type = j.type;
    TYPED(&t, T,
          cuda_launch(c, "gelu", gelu_kernel<T>, cuda_blocks(j.n, CUDA_BLOCK), CUDA_BLOCK, 0,
                      (const T *)j.x, (T *)j.to, j.n, j.tanh));
}

void cuda_gelu_back(cuda *c, const cuda_gelu_job &j)
{
    tensor t = {};
    t.type = j.type;
    TYPED(&t, T,
          cuda_launch(c, "gelu backward", gelu_back_kernel<T>, cuda_blocks(j.n, CUDA_BLOCK),
                      CUDA_BLOCK, 0, (const T *)j.x, (const T *)j.dy, (T *)j.to, j.n, j.tanh,
                      j.add));
}

extern "C" void cuda_gelu_forward(backend *be, op_args *a)
{
    cuda_gelu(cuda_of(be),
              {a->y->type, a->gelu.tanh, false, a->x->x, NULL, a->y->x, tensor_count(a->y)});
}

extern "C" void cuda_gelu_backward(backend *be, op_args *a)
{
    if (!a->x->fixed)
        cuda_gelu_back(cuda_of(be), {a->y->type, a->gelu.tanh, a->add_x, a->x->x, a->y->g, a->x->g,
                                     tensor_count(a->y)});
}
