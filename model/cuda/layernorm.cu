/* LayerNorm, with the residual sum before it where there is one. One warp per row; the row waits in
 * shared memory, so that it is read from the card once. */
#include "model/cuda/cuda.cuh"

#define ROW_WARPS PLAN_NORM_ROWS

/* X: the stream that comes in, A: the branch, Y: the normalised rows; the sum is float32. */
template <class X, class A, class Y>
__global__ void norm_kernel(const X *x, const A *add, const float *scale, const float *w,
                            const float *b, float eps, float *sum, Y *y, float *stat, int64_t rows,
                            int n, int c)
{
    SHARED_DYNAMIC(float, shared);
    int lane = threadIdx.x % CUDA_WARP, warp = threadIdx.x / CUDA_WARP;
    int64_t row = (int64_t)blockIdx.x * ROW_WARPS + warp;
    if (row >= rows)
        return;                              /* whole warps, and no barrier follows */
    float *own = shared + (int64_t)warp * c; /* each lane reads what it wrote itself */
    int64_t at = row * c;
    float factor = scale ? scale[row / n] : 1.0f, total = 0, square = 0;
    for (int i = lane; i < c; i += CUDA_WARP) {
        float v = get(x, at + i);
        if (add)
            v += factor * get(add, at + i);
        if (sum)
            sum[at + i] = v;
        own[i] = v;
        total += v;
    }
    float mean = warp_sum(total) / (float)c;
    for (int i = lane; i < c; i += CUDA_WARP) {
        float d = own[i] - mean;
        square += d * d;
    }
    float rstd = 1.0f / sqrtf(warp_sum(square) / (float)c + eps);
    for (int i = lane; i < c; i += CUDA_WARP)
        put(y, at + i, (own[i] - mean) * rstd * w[i] + b[i]);
    if (stat && lane == 0) {
        stat[2 * row] = mean;
        stat[2 * row + 1] = rstd;
    }
}

/* dx of a row = (g - mean(g) - xhat * mean(g * xhat)) * rstd + what came through the sum, with
 * g = dy * w. Each warp walks over rows and keeps its sums of dw and db in shared memory. */
template <class S, class Y, class X, class A>
__global__ void norm_back_kernel(const S *in, const Y *dy, const float *dsum, const float *w,
                                 const float *stat, const float *scale, X *dx, A *dadd, bool add_x,
                                 bool add_add, float *parts, int64_t rows, int n, int c)
{
    SHARED_DYNAMIC(float, shared); /* per warp: dw[c], db[c] */
    int lane = threadIdx.x % CUDA_WARP, warp = threadIdx.x / CUDA_WARP;
    float *dw = shared + (int64_t)warp * 2 * c, *db = dw + c;
    for (int i = lane; i < c; i += CUDA_WARP)
        dw[i] = db[i] = 0;
    for (int64_t row = (int64_t)blockIdx.x * ROW_WARPS + warp; row < rows;
         row += (int64_t)gridDim.x * ROW_WARPS) {
        int64_t at = row * c;
        float mean = stat[2 * row], rstd = stat[2 * row + 1], a = 0, b = 0;
        for (int i = lane; i < c; i += CUDA_WARP) {
            float d = get(dy, at + i), hat = (get(in, at + i) - mean) * rstd, g = d * w[i];
            a += g;
            b += g * hat;
            dw[i] += d * hat;
            db[i] += d;
        }
        a = warp_sum(a) / (float)c;
        b = warp_sum(b) / (float)c;
        float factor = scale ? scale[row / n] : 1.0f;
        for (int i = lane; i < c; i += CUDA_WARP) {
            float hat = (get(in, at + i) - mean) * rstd;
            float g = rstd * (get(dy, at + i) * w[i] - a - hat * b);
            if (dsum)
                g += dsum[at + i];
            if (dx)
                put_or_add(dx, at + i, g, add_x);
            if (dadd)
                put_or_add(dadd, at + i, factor * g, add_add);
        }
    }
    __syncthreads();
    float *part = parts + (int64_t)blockIdx.x * 2 * c;
    for (int i = threadIdx.x; i < 2 * c; i += ROW_WARPS * CUDA_WARP) {
        float v = 0;
        for (int k = 0; k < ROW_WARPS; k++)
            v += shared[(int64_t)k * 2 * c + i];
        part[i] = v;
    }
}

template <class X, class A, class Y> static void forward(cuda *c, op_args *a)
{
    int64_t rows = (int64_t)a->y->b * a->y->n;
    int w = a->y->c;
    size_t shared = (size_t)ROW_WARPS * (size_t)w * sizeof(float);
    cuda_shared(norm_kernel<X, A, Y>, shared, "layernorm: rows too wide");
    cuda_launch(c, "layernorm", norm_kernel<X, A, Y>, cuda_blocks(rows, ROW_WARPS),
                ROW_WARPS * CUDA_WARP, shared, values<X>(a->x), values<A>(a->x2), a->norm.scale,
                a->w->x, a->b->x, a->norm.eps, a->y2 ? a->y2->x : NULL, values<Y>(a->y), a->save,
                rows, a->y->n, w);
}

template <class S, class Y, class X, class A> static void backward(cuda *c, op_args *a, const S *in)
{
    int64_t rows = (int64_t)a->y->b * a->y->n;
    int w = a->y->c;
    size_t shared = (size_t)ROW_WARPS * 2 * (size_t)w * sizeof(float);
    int blocks = plan_norm_parts(rows);
    float *parts =
        (float *)cuda_scratch_get(c, &c->scratch, (size_t)blocks * 2 * (size_t)w * sizeof(float));
    cuda_shared(norm_back_kernel<S, Y, X, A>, shared, "layernorm: rows too wide");
    cuda_launch(c, "layernorm backward", norm_back_kernel<S, Y, X, A>, (unsigned)blocks,
                ROW_WARPS * CUDA_WARP, shared, in, (const Y *)(const void *)a->y->g,
                a->y2 ? (const float *)a->y2->g : NULL, a->w->x, a->save, a->norm.scale,
                gradient<X>(a->x), gradient<A>(a->x2), a->add_x, a->add_x2, parts, rows, a->y->n,
                w);
    cuda_sum_columns(c, a->w->g, parts, blocks, w, 2 * w);
    cuda_sum_columns(c, a->b->g, parts + w, blocks, w, 2 * w);
}

extern "C" void cuda_layernorm_forward(backend *be, op_args *a)
{
    const tensor *branch = a->x2 ? a->x2 : a->x;
    TYPED(a->x, X, TYPED(branch, A, TYPED(a->y, Y, (forward<X, A, Y>(cuda_of(be), a)))));
}

extern "C" void cuda_layernorm_backward(backend *be, op_args *a)
{
    const tensor *branch = a->x2 ? a->x2 : a->x;
    cuda *c = cuda_of(be);
    if (tensor_count(a->y) == 0)
        return;
    TYPED(a->x, X, TYPED(branch, A, TYPED(a->y, Y, {
                             if (a->y2)
                                 backward<float, Y, X, A>(c, a, a->y2->x);
                             else /* the branch is x */
                                 backward<X, Y, X, X>(c, a, values<X>(a->x));
                         })));
}
