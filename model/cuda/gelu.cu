/* GELU on its own, by both forms. A thread works on N neighbours, 16 bytes of them where the
 * buffers begin at a multiple of 16 bytes; all that it reads is read before it writes, so results
 * may take the place of what they are made of. */
#include "model/cuda/gelu.cuh"

template <int N> __device__ static inline void gelu_values(float *v, bool tanh)
{
    if (tanh)
        for (int k = 0; k < N; k++)
            v[k] = gelu_tanh(v[k]);
    else
        for (int k = 0; k < N; k++)
            v[k] = gelu(v[k]);
}

/* d *= slope at v. */
template <int N> __device__ static inline void gelu_slopes(const float *v, float *d, bool tanh)
{
    if (tanh)
        for (int k = 0; k < N; k++)
            d[k] *= gelu_tanh_slope(v[k]);
    else
        for (int k = 0; k < N; k++)
            d[k] *= gelu_slope(v[k]);
}

template <int N, class T>
__device__ static inline void gelu_at(const T *x, T *y, int64_t i, bool tanh)
{
    pack<N> a = get_pack<N>(x, i);
    gelu_values<N>(a.v, tanh);
    put_pack(y, i, a);
}

template <int N, class T>
__device__ static inline void gelu_back_at(const T *x, const T *dy, T *dx, int64_t i, bool tanh,
                                           bool add)
{
    pack<N> a = get_pack<N>(x, i), d = get_pack<N>(dy, i);
    gelu_slopes<N>(a.v, d.v, tanh);
    put_or_add_pack(dx, i, d, add);
}

template <class T, int N> __global__ void gelu_kernel(const T *x, T *y, int64_t n, bool tanh)
{
    int64_t i = ((int64_t)blockIdx.x * CUDA_BLOCK + threadIdx.x) * N;
    if (i + N <= n)
        gelu_at<N>(x, y, i, tanh);
    else
        for (; i < n; i++)
            gelu_at<1>(x, y, i, tanh);
}

template <class T, int N>
__global__ void gelu_back_kernel(const T *x, const T *dy, T *dx, int64_t n, bool tanh, bool add)
{
    int64_t i = ((int64_t)blockIdx.x * CUDA_BLOCK + threadIdx.x) * N;
    if (i + N <= n)
        gelu_back_at<N>(x, dy, dx, i, tanh, add);
    else
        for (; i < n; i++)
            gelu_back_at<1>(x, dy, dx, i, tanh, add);
}

/* 16-byte accesses where every buffer takes them, else value by value. */
template <class T, int N> static void forward(cuda *c, const cuda_gelu_job &j)
{
    cuda_launch(c, "gelu", gelu_kernel<T, N>, cuda_blocks(j.n, CUDA_BLOCK * N), CUDA_BLOCK, 0,
                (const T *)j.x, (T *)j.to, j.n, j.tanh);
}

template <class T, int N> static void backward(cuda *c, const cuda_gelu_job &j)
{
    cuda_launch(c, "gelu backward", gelu_back_kernel<T, N>, cuda_blocks(j.n, CUDA_BLOCK * N),
                CUDA_BLOCK, 0, (const T *)j.x, (const T *)j.dy, (T *)j.to, j.n, j.tanh, j.add);
}

static bool is_wide(const cuda_gelu_job &j)
{
    return ((uintptr_t)j.x | (uintptr_t)j.dy | (uintptr_t)j.to) % 16 == 0;
}

void cuda_gelu(cuda *c, const cuda_gelu_job &j)
{
    tensor t = {};
    t.type = j.type;
    TYPED(&t, T, is_wide(j) ? forward<T, cuda_pack<T>()>(c, j) : forward<T, 1>(c, j));
}

void cuda_gelu_back(cuda *c, const cuda_gelu_job &j)
{
    tensor t = {};
    t.type = j.type;
    TYPED(&t, T, is_wide(j) ? backward<T, cuda_pack<T>()>(c, j) : backward<T, 1>(c, j));
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
