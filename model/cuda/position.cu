/* Position embedding: each kept token gets the row of its own place. A planar map is stored channel
 * by channel and belongs to all patches. A thread takes one pack of a row. */
#include "model/cuda/cuda.cuh"

struct position_map {
    const int32_t *keep; /* [b, n - prefix] ascending, or NULL = all */
    int prefix, n, c;
    bool planar;
    uint32_t packs; /* of a row */
};

__device__ static inline int place_of(const position_map &m, int64_t sample, int row)
{
    if (row < m.prefix || !m.keep)
        return row;
    return m.prefix + m.keep[sample * (m.n - m.prefix) + row - m.prefix];
}

/* N channels of a row of the embedding. */
template <int N>
__device__ static inline pack<N> get_place(const float *pos, const position_map &m, int row,
                                           int channel)
{
    if (!m.planar)
        return get_pack<N>(pos, (int64_t)row * m.c + channel);
    pack<N> v;
    for (int k = 0; k < N; k++)
        v.v[k] = pos[(int64_t)(channel + k) * m.n + row];
    return v;
}

template <int N, class T, class Y>
__global__ void position_kernel(const T *__restrict__ x, const float *__restrict__ pos,
                                Y *__restrict__ y, position_map m, uint32_t n)
{
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x, row = i / m.packs;
    if (i >= n)
        return;
    int sample = (int)(row / m.n), channel = (int)(i % m.packs) * N;
    pack<N> v = get_pack<N>(x, (int64_t)i * N);
    pack<N> place = get_place<N>(pos, m, place_of(m, sample, (int)(row % m.n)), channel);
    for (int k = 0; k < N; k++)
        v.v[k] += place.v[k];
    put_pack(y, (int64_t)i * N, v);
}

/* Index of `patch` in an ascending list, or -1. */
__device__ static inline int find(const int32_t *list, int n, int32_t patch)
{
    int lo = 0, hi = n;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (list[mid] < patch)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && list[lo] == patch ? lo : -1;
}

/* One thread per pack of a row of the embedding: the samples that kept its place, in their order.
 */
template <int N, class Y>
__global__ void position_back_kernel(const Y *__restrict__ dy, float *__restrict__ dpos,
                                     position_map m, int b, uint32_t n)
{
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    int channel = (int)(i % m.packs) * N, row = (int)(i / m.packs), kept = m.n - m.prefix;
    pack<N> sum = {};
    for (int64_t s = 0; s < b; s++) {
        int at = row;
        if (m.keep && row >= m.prefix) {
            at = find(m.keep + s * kept, kept, row - m.prefix);
            at = at < 0 ? -1 : at + m.prefix;
        }
        if (at >= 0 && at < m.n) {
            pack<N> d = get_pack<N>(dy, (s * m.n + at) * m.c + channel);
            for (int k = 0; k < N; k++)
                sum.v[k] += d.v[k];
        }
    }
    if (!m.planar)
        put_or_add_pack(dpos, (int64_t)row * m.c + channel, sum, true);
    for (int k = 0; k < N && m.planar; k++)
        dpos[(int64_t)(channel + k) * m.n + row] += sum.v[k];
}

template <int N, class T, class Y>
__global__ void position_input_kernel(const Y *__restrict__ dy, T *__restrict__ dx, uint32_t n,
                                      bool add)
{
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        put_or_add_pack(dx, (int64_t)i * N, get_pack<N>(dy, (int64_t)i * N), add);
}

static position_map map_of(const op_args *a, int pack)
{
    position_map m = {a->position.keep, a->position.prefix, a->x->n,
                      a->x->c,          a->w->ndim == 4,    cuda_packs(a->x->c, pack)};
    return m;
}

template <int N, class T, class Y> static void forward(cuda *c, op_args *a)
{
    uint32_t n = cuda_packs(tensor_count(a->y), N);
    cuda_launch(c, "position", position_kernel<N, T, Y>, cuda_blocks(n, CUDA_BLOCK), CUDA_BLOCK, 0,
                values<T>(a->x), a->w->x, values<Y>(a->y), map_of(a, N), n);
}

template <int N, class T, class Y> static void backward(cuda *c, op_args *a)
{
    uint32_t n = cuda_packs(tensor_count(a->y), N), entries = cuda_packs(a->w->n, N);
    const Y *dy = (const Y *)(const void *)a->y->g;
    cuda_launch(c, "position gradient", position_back_kernel<N, Y>,
                cuda_blocks(entries, CUDA_BLOCK), CUDA_BLOCK, 0, dy, a->w->g, map_of(a, N), a->y->b,
                entries);
    if (!a->x->fixed)
        cuda_launch(c, "position backward", position_input_kernel<N, T, Y>,
                    cuda_blocks(n, CUDA_BLOCK), CUDA_BLOCK, 0, dy, gradient<T>(a->x), n, a->add_x);
}

/* The result is the stream; in bf16 what comes in is, too. */
#define BY_TYPES(a, run)                                                                           \
    do {                                                                                           \
        if ((a)->y->type == TENSOR_F32)                                                            \
            TYPED((a)->x, T, PACKED((a)->y->c, N, (T, float), run<N, T, float>(c, a)));            \
        else if ((a)->x->type == TENSOR_BF16)                                                      \
            PACKED((a)->y->c, N, (bf16), run<N, bf16, bf16>(c, a));                                \
        else                                                                                       \
            BUG("position: float32 into a bf16 stream");                                           \
    } while (0)

extern "C" void cuda_position_forward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    BY_TYPES(a, forward);
}

extern "C" void cuda_position_backward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    BY_TYPES(a, backward);
}
