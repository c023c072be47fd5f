/* Learned tokens put before the rows of every sample. A thread takes one pack. */
#include "model/cuda/cuda.cuh"

/* packs of the tokens, and of a sample's other rows */
struct prefix_shape {
    uint32_t first, rest;
};

template <int N, class T>
__global__ void prefix_kernel(const T *__restrict__ x, const float *__restrict__ tokens,
                              T *__restrict__ y, prefix_shape s, uint32_t n)
{
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    uint32_t sample = i / (s.first + s.rest), k = i % (s.first + s.rest);
    if (k < s.first)
        put_pack(y, (int64_t)i * N, get_pack<N>(tokens, (int64_t)k * N));
    else
        put_pack(y, (int64_t)i * N, get_pack<N>(x, ((int64_t)sample * s.rest + k - s.first) * N));
}

/* What is not a token's goes back; the first sample's threads sum the tokens', the samples in their
 * order. */
template <int N, class T>
__global__ void prefix_back_kernel(const T *__restrict__ dy, T *__restrict__ dx,
                                   float *__restrict__ dtokens, prefix_shape s, int b, uint32_t n,
                                   bool add)
{
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x, all = s.first + s.rest;
    if (i >= n)
        return;
    uint32_t sample = i / all, k = i % all;
    if (k >= s.first) {
        int64_t to = (int64_t)sample * s.rest + k - s.first;
        if (dx)
            put_or_add_pack(dx, to * N, get_pack<N>(dy, (int64_t)i * N), add);
        return;
    }
    if (sample > 0)
        return;
    pack<N> sum = {};
    for (int64_t row = 0; row < b; row++) {
        pack<N> d = get_pack<N>(dy, (row * all + k) * N);
        for (int j = 0; j < N; j++)
            sum.v[j] += d.v[j];
    }
    put_or_add_pack(dtokens, (int64_t)k * N, sum, true);
}

template <int N> static prefix_shape shape_of(const op_args *a)
{
    prefix_shape s = {cuda_packs(a->w->n, N), cuda_packs((int64_t)a->x->n * a->x->c, N)};
    return s;
}

template <int N, class T> static void forward(cuda *c, op_args *a)
{
    uint32_t n = cuda_packs(tensor_count(a->y), N);
    cuda_launch(c, "prefix", prefix_kernel<N, T>, cuda_blocks(n, CUDA_BLOCK), CUDA_BLOCK, 0,
                values<T>(a->x), a->w->x, values<T>(a->y), shape_of<N>(a), n);
}

template <int N, class T> static void backward(cuda *c, op_args *a)
{
    uint32_t n = cuda_packs(tensor_count(a->y), N);
    cuda_launch(c, "prefix backward", prefix_back_kernel<N, T>, cuda_blocks(n, CUDA_BLOCK),
                CUDA_BLOCK, 0, (const T *)(const void *)a->y->g, gradient<T>(a->x), a->w->g,
                shape_of<N>(a), a->y->b, n, a->add_x);
}

extern "C" void cuda_prefix_forward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    TYPED(a->x, T, PACKED(a->y->c, N, (T), forward<N, T>(c, a)));
}

extern "C" void cuda_prefix_backward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    TYPED(a->x, T, PACKED(a->y->c, N, (T), backward<N, T>(c, a)));
}
