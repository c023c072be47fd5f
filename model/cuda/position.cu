/* Position embedding: each kept token gets the row of its own place. A planar map is stored channel
 * by channel and belongs to all patches. The result is the float32 stream. */
#include "model/cuda/cuda.cuh"

struct position_map {
    const int32_t *keep; /* [b, n - prefix] ascending, or NULL = all */
    int prefix, n, c;
    bool planar;
};

__device__ static inline int64_t place_of(const position_map &m, int64_t sample, int row)
{
    if (row < m.prefix || !m.keep)
        return row;
    return m.prefix + m.keep[sample * (m.n - m.prefix) + row - m.prefix];
}

template <class T>
__global__ void position_kernel(const T *x, const float *pos, float *y, position_map m, int64_t n)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    int64_t row = i / m.c, sample = row / m.n;
    int at = (int)(row % m.n), channel = (int)(i % m.c);
    int64_t from = m.planar ? (int64_t)channel * m.n + at : place_of(m, sample, at) * m.c + channel;
    y[i] = get(x, i) + pos[from];
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

/* One thread per entry of the embedding: the samples that kept its place, in their order. */
__global__ void position_back_kernel(const float *dy, float *dpos, position_map m, int b,
                                     int64_t entries)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= entries)
        return;
    int channel = m.planar ? (int)(i / m.n) : (int)(i % m.c);
    int row = m.planar ? (int)(i % m.n) : (int)(i / m.c), kept = m.n - m.prefix;
    float sum = 0;
    for (int64_t s = 0; s < b; s++) {
        int at = row;
        if (m.keep && row >= m.prefix) {
            at = find(m.keep + s * kept, kept, row - m.prefix);
            at = at < 0 ? -1 : at + m.prefix;
        }
        if (at >= 0 && at < m.n)
            sum += dy[(s * m.n + at) * m.c + channel];
    }
    dpos[i] += sum;
}

template <class T>
__global__ void position_input_kernel(const float *dy, T *dx, int64_t n, bool add)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        put_or_add(dx, i, dy[i], add);
}

static position_map map_of(const op_args *a)
{
    position_map m = {a->position.keep, a->position.prefix, a->x->n, a->x->c, a->w->ndim == 4};
    return m;
}

extern "C" void cuda_position_forward(backend *be, op_args *a)
{
    int64_t n = tensor_count(a->y);
    TYPED(a->x, T,
          cuda_launch(cuda_of(be), "position", position_kernel<T>, cuda_blocks(n, CUDA_BLOCK),
                      CUDA_BLOCK, 0, values<T>(a->x), a->w->x, a->y->x, map_of(a), n));
}

extern "C" void cuda_position_backward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    int64_t n = tensor_count(a->y);
    cuda_launch(c, "position gradient", position_back_kernel, cuda_blocks(a->w->n, CUDA_BLOCK),
                CUDA_BLOCK, 0, a->y->g, a->w->g, map_of(a), a->y->b, a->w->n);
    if (a->x->fixed)
        return;
    TYPED(a->x, T,
          cuda_launch(c, "position backward", position_input_kernel<T>, cuda_blocks(n, CUDA_BLOCK),
                      CUDA_BLOCK, 0, a->y->g, gradient<T>(a->x), n, a->add_x));
}
