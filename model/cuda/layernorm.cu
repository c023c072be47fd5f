/* LayerNorm, with the residual sum before it where there is one. A row is spread over the threads
 * of a warp's part, a warp or several, ROW_PART values each, and stays in their registers: every
 * value is read from the card once. */
#include "model/cuda/cuda.cuh"

#define ROW_PART   PLAN_NORM_PART
#define ROW_WARPS  (PLAN_NORM_LANES / CUDA_WARP)
#define ROW_VALUES (CUDA_BLOCK * ROW_PART) /* of all rows of a block that holds several */

/* The rows, and how many threads share one: plan_norm_lanes. n: rows of a sample. */
struct norm_rows {
    int rows, n, c, lanes;
};

/* What a thread holds of a row: packs of N neighbours, `lanes` packs apart, so that what the
 * threads read at once has no gaps. Zeros where the row has ended. */
struct norm_part {
    float v[ROW_PART];
};

template <int N> __device__ static inline int column_of(const norm_rows &r, int pack, int lane)
{
    return (pack * r.lanes + lane) * N;
}

template <int N, class T>
__device__ static inline norm_part part_get(const T *p, const norm_rows &r, int lane, int c)
{
    norm_part a;
    for (int k = 0; k < ROW_PART / N; k++) {
        int i = column_of<N>(r, k, lane);
        pack<N> v = {};
        if (i < c)
            v = get_pack<N>(p, i);
        for (int j = 0; j < N; j++)
            a.v[k * N + j] = v.v[j];
    }
    return a;
}

template <int N, class T>
__device__ static inline void part_put(T *p, const norm_rows &r, int lane, int c,
                                       const norm_part &a, bool add)
{
    for (int k = 0; k < ROW_PART / N; k++) {
        int i = column_of<N>(r, k, lane);
        pack<N> v;
        for (int j = 0; j < N; j++)
            v.v[j] = a.v[k * N + j];
        if (i < c)
            put_or_add_pack(p, i, v, add);
    }
}

/* Sums over the threads of row `own` of the block, known to all of them. `slot`: of this sum alone,
 * until every thread has passed the next one's barrier. */
template <int M>
__device__ static inline void row_sums(float (&sum)[M], int own, int lanes, float (*slot)[M])
{
    for (int d = CUDA_WARP / 2; d > 0; d /= 2) {
        if (d < lanes) { /* alike for the whole block, as below */
            for (int m = 0; m < M; m++)
                sum[m] += __shfl_xor_sync(FULL_MASK, sum[m], d);
        }
    }
    if (lanes > CUDA_WARP) {
        int warps = lanes / CUDA_WARP, first = own * warps;
        for (int m = 0; m < M && threadIdx.x % CUDA_WARP == 0; m++)
            slot[threadIdx.x / CUDA_WARP][m] = sum[m];
        __syncthreads();
        for (int m = 0; m < M; m++) {
            sum[m] = 0;
            for (int w = first; w < first + warps; w++)
                sum[m] += slot[w][m];
        }
    }
}

/* X: the stream that comes in, S: the sum, T: the branch and the normalised rows. A sum is
 * normalised as it is written, so that the backward pass makes the same from it. */
template <int N, class X, class S, class T>
__global__ void __launch_bounds__(PLAN_NORM_LANES)
    norm_kernel(const X *x, const T *__restrict__ add, const float *scale,
                const float *__restrict__ w, const float *__restrict__ b, float eps, S *sum,
                T *__restrict__ y, float *__restrict__ stat, norm_rows r)
{
    SHARED(float, slot, [2][ROW_WARPS][1]);
    int lane = threadIdx.x % r.lanes, own = threadIdx.x / r.lanes;
    int row = blockIdx.x * (blockDim.x / r.lanes) + own;
    int64_t at = (int64_t)row * r.c;
    int c = row < r.rows ? r.c : 0; /* all threads reach the barriers */
    norm_part v = part_get<N>(x + at, r, lane, c);
    if (add) {
        norm_part branch = part_get<N>(add + at, r, lane, c);
        float factor = scale && c ? scale[row / r.n] : 1.0f;
        for (int i = 0; i < ROW_PART; i++)
            v.v[i] = rounded<S>(v.v[i] + factor * branch.v[i]);
    }
    if (sum)
        part_put<N>(sum + at, r, lane, c, v, false);
    float total[1] = {0}, square[1] = {0};
    for (int i = 0; i < ROW_PART; i++)
        total[0] += v.v[i];
    row_sums(total, own, r.lanes, slot[0]);
    float mean = total[0] / (float)r.c;
    for (int k = 0; k < ROW_PART / N; k++) {
        for (int j = 0; j < N; j++) {
            float d = v.v[k * N + j] - mean;
            square[0] += column_of<N>(r, k, lane) < c ? d * d : 0;
        }
    }
    row_sums(square, own, r.lanes, slot[1]);
    norm_part weight = part_get<N>(w, r, lane, c), bias = part_get<N>(b, r, lane, c);
    float rstd = 1.0f / sqrtf(square[0] / (float)r.c + eps);
    for (int i = 0; i < ROW_PART; i++)
        v.v[i] = (v.v[i] - mean) * rstd * weight.v[i] + bias.v[i];
    part_put<N>(y + at, r, lane, c, v, false);
    if (stat && c && lane == 0)
        *reinterpret_cast<float2 *>(stat + 2 * row) = make_float2(mean, rstd);
}

/* part[c] = sum over the rows of the block, in their order, of what their threads hold. */
template <int N>
__device__ static inline void put_columns(float *part, const norm_part &own, const norm_rows &r,
                                          int lane, float4 *shared)
{
    int lanes = r.lanes, threads = blockDim.x;
    if (threads == lanes) { /* one row: no shared memory, which would not hold it */
        part_put<N>(part, r, lane, r.c, own, false);
        return;
    }
    float *sums = reinterpret_cast<float *>(shared);
    __syncthreads();
    part_put<N>(sums + threadIdx.x / lanes * r.c, r, lane, r.c, own, false);
    __syncthreads();
    for (int i = threadIdx.x; i < r.c; i += threads) {
        float v = 0;
        for (int k = 0; k < threads / lanes; k++)
            v += sums[k * r.c + i];
        part[i] = v;
    }
}

/* dx of a row = (g - mean(g) - xhat * mean(g * xhat)) * rstd + what came through the sum, with
 * g = dy * w. Each thread walks over rows and sums dw and db of its own columns. */
template <int N, class X, class S, class T>
__global__ void __launch_bounds__(PLAN_NORM_LANES)
    norm_back_kernel(const S *__restrict__ in, const T *__restrict__ dy, const S *__restrict__ dsum,
                     const float *__restrict__ w, const float *__restrict__ stat,
                     const float *scale, X *dx, T *dadd, bool add_x, bool add_add,
                     float *__restrict__ parts, norm_rows r)
{
    SHARED(float, slot, [2][ROW_WARPS][2]);
    SHARED(float4, columns, [ROW_VALUES / 4]);
    int lane = threadIdx.x % r.lanes, own = threadIdx.x / r.lanes, step = blockDim.x / r.lanes;
    int turn = 0;
    float each = 1.0f / (float)r.c;
    norm_part dw = {}, db = {};
    for (int first = blockIdx.x * step; first < r.rows; first += gridDim.x * step, turn ^= 1) {
        int row = first + own;
        int64_t at = (int64_t)row * r.c;
        int c = row < r.rows ? r.c : 0;
        norm_part d = part_get<N>(dy + at, r, lane, c), hat = part_get<N>(in + at, r, lane, c), g;
        norm_part weight = part_get<N>(w, r, lane, c), through = {};
        float2 saved = c ? *reinterpret_cast<const float2 *>(stat + 2 * row) : make_float2(0, 0);
        float sum[2] = {0, 0}; /* of g and of g * hat */
        for (int i = 0; i < ROW_PART; i++) {
            hat.v[i] = (hat.v[i] - saved.x) * saved.y;
            dw.v[i] += d.v[i] * hat.v[i];
            db.v[i] += d.v[i];
            d.v[i] *= weight.v[i];
            sum[0] += d.v[i];
            sum[1] += d.v[i] * hat.v[i];
        }
        if (dsum) /* not before: the registers of `weight` are free */
            through = part_get<N>(dsum + at, r, lane, c);
        row_sums(sum, own, r.lanes, slot[turn]);
        float a = sum[0] * each, b = sum[1] * each;
        float factor = scale && c ? scale[row / r.n] : 1.0f;
        for (int i = 0; i < ROW_PART; i++)
            g.v[i] = saved.y * (d.v[i] - a - hat.v[i] * b) + through.v[i];
        if (dx)
            part_put<N>(dx + at, r, lane, c, g, add_x);
        for (int i = 0; i < ROW_PART; i++)
            g.v[i] *= factor;
        if (dadd)
            part_put<N>(dadd + at, r, lane, c, g, add_add);
    }
    parts += (int64_t)blockIdx.x * 2 * r.c;
    put_columns<N>(parts, dw, r, lane, columns);
    put_columns<N>(parts + r.c, db, r, lane, columns);
}

static norm_rows rows_of(const op_args *a)
{
    norm_rows r = {a->y->b * a->y->n, a->y->n, a->y->c, plan_norm_lanes(a->y->c)};
    if (r.lanes > PLAN_NORM_LANES)
        BUG("layernorm: rows of %d values, at most %d", r.c, PLAN_NORM_LANES * ROW_PART);
    return r;
}

template <int N, class X, class S, class T> static void forward(cuda *c, op_args *a)
{
    norm_rows r = rows_of(a);
    int block = plan_norm_rows(r.c) * r.lanes;
    cuda_launch(c, "layernorm", norm_kernel<N, X, S, T>,
                cuda_blocks((int64_t)r.rows * r.lanes, block), block, 0, values<X>(a->x),
                values<T>(a->x2), a->norm.scale, a->w->x, a->b->x, a->norm.eps, values<S>(a->y2),
                values<T>(a->y), a->save, r);
}

template <int N, class X, class S, class T> static void backward(cuda *c, op_args *a)
{
    norm_rows r = rows_of(a);
    int blocks = plan_norm_parts(r.rows, r.c);
    float *parts =
        (float *)cuda_scratch_get(c, &c->scratch, (size_t)blocks * 2 * (size_t)r.c * sizeof(float));
    const tensor *in = a->y2 ? a->y2 : a->x;
    cuda_launch(c, "layernorm backward", norm_back_kernel<N, X, S, T>, (unsigned)blocks,
                plan_norm_rows(r.c) * r.lanes, 0, values<S>(in), gradient<T>(a->y),
                gradient<S>(a->y2), a->w->x, a->save, a->norm.scale, gradient<X>(a->x),
                gradient<T>(a->x2), a->add_x, a->add_x2, parts, r);
    cuda_sum_columns(c, a->w->g, parts, blocks, r.c, 2 * r.c);
    cuda_sum_columns(c, a->b->g, parts + r.c, blocks, r.c, 2 * r.c);
}

/* Rows that packs do not divide go value by value. */
#define BY_WIDTH(a, run, X, S, T) PACKED((a)->y->c, N, (X, S, T), (run<N, X, S, T>(c, a)))

/* The mixtures that there are: float32; bf16 with the stream in float32, whose first values may be
 * a product's; all bf16. */
#define BY_TYPES(a, run)                                                                           \
    do {                                                                                           \
        bool in = (a)->x->type == TENSOR_BF16, out = (a)->y->type == TENSOR_BF16;                  \
        bool sum = (a)->y2 ? (a)->y2->type == TENSOR_BF16 : in;                                    \
        if (out && in && sum)                                                                      \
            BY_WIDTH(a, run, bf16, bf16, bf16);                                                    \
        else if (out && in)                                                                        \
            BY_WIDTH(a, run, bf16, float, bf16);                                                   \
        else if (out && !sum)                                                                      \
            BY_WIDTH(a, run, float, float, bf16);                                                  \
        else if (!in && !sum)                                                                      \
            BY_WIDTH(a, run, float, float, float);                                                 \
        else                                                                                       \
            BUG("layernorm: a mixture of types that nothing makes");                               \
    } while (0)

extern "C" void cuda_layernorm_forward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    BY_TYPES(a, forward);
}

extern "C" void cuda_layernorm_backward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    if (tensor_count(a->y) > 0)
        BY_TYPES(a, backward);
}
