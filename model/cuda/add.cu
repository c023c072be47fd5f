/* Residual addition; the branch may carry a drop-path factor per sample. A thread takes one pack.
 */
#include "model/cuda/cuda.cuh"

/* packs, and packs of one sample */
struct add_shape {
    uint32_t n, per_sample;
};

/* y may be x. */
template <int N, class X, class A, class Y>
__global__ void add_kernel(Y *y, const X *x, const A *__restrict__ add,
                           const float *__restrict__ scale, add_shape s)
{
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    int64_t at = (int64_t)i * N;
    if (i >= s.n)
        return;
    pack<N> v = get_pack<N>(x, at), branch = get_pack<N>(add, at);
    float factor = scale ? scale[i / s.per_sample] : 1.0f;
    for (int k = 0; k < N; k++)
        v.v[k] += factor * branch.v[k];
    put_pack(y, at, v);
}

template <int N, class X, class A, class Y>
__global__ void add_back_kernel(const Y *__restrict__ dy, X *dx, A *dadd,
                                const float *__restrict__ scale, add_shape s, bool add_x,
                                bool add_add)
{
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    int64_t at = (int64_t)i * N;
    if (i >= s.n)
        return;
    pack<N> d = get_pack<N>(dy, at);
    if (dx)
        put_or_add_pack(dx, at, d, add_x);
    if (!dadd)
        return;
    float factor = scale ? scale[i / s.per_sample] : 1.0f;
    for (int k = 0; k < N; k++)
        d.v[k] *= factor;
    put_or_add_pack(dadd, at, d, add_add);
}

template <int N> static add_shape shape_of(const op_args *a)
{
    add_shape s = {cuda_packs(tensor_count(a->y), N), cuda_packs((int64_t)a->y->n * a->y->c, N)};
    return s;
}

template <int N, class X, class A, class Y> static void forward(cuda *c, op_args *a)
{
    add_shape s = shape_of<N>(a);
    cuda_launch(c, "add", add_kernel<N, X, A, Y>, cuda_blocks(s.n, CUDA_BLOCK), CUDA_BLOCK, 0,
                values<Y>(a->y), values<X>(a->x), values<A>(a->x2), a->add.scale, s);
}

template <int N, class X, class A, class Y> static void backward(cuda *c, op_args *a)
{
    add_shape s = shape_of<N>(a);
    cuda_launch(c, "add backward", add_back_kernel<N, X, A, Y>, cuda_blocks(s.n, CUDA_BLOCK),
                CUDA_BLOCK, 0, (const Y *)(const void *)a->y->g, gradient<X>(a->x),
                gradient<A>(a->x2), a->add.scale, s, a->add_x, a->add_x2);
}

/* The sum is the stream, both parts may be a product's; a bf16 stream adds bf16 alone. */
#define BY_TYPES(a, run)                                                                           \
    do {                                                                                           \
        if ((a)->y->type == TENSOR_F32)                                                            \
            TYPED((a)->x, X,                                                                       \
                  TYPED((a)->x2, A,                                                                \
                        PACKED((a)->y->c, N, (X, A, float), run<N, X, A, float>(c, a))));          \
        else if ((a)->x->type == TENSOR_BF16 && (a)->x2->type == TENSOR_BF16)                      \
            PACKED((a)->y->c, N, (bf16), run<N, bf16, bf16, bf16>(c, a));                          \
        else                                                                                       \
            BUG("add: a float32 part of a bf16 stream");                                           \
    } while (0)

extern "C" void cuda_add_forward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    BY_TYPES(a, forward);
}

extern "C" void cuda_add_backward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    BY_TYPES(a, backward);
}
