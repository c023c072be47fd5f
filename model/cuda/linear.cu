/* y = x W^T + bias; GELU of y, and GELU's slope behind the input gradient. Weights are float32;
 * where activations are bf16 the product reads the bf16 copies. Gradients of weights and biases are
 * float32 and are added to. The tanh form of GELU and the bias gradient are ends of products. */
#include "model/cuda/gelu.cuh"

#define SUM_TILE 64 /* columns of one block */

/* A thread sums N neighbouring columns of every DOWN-th row of its block's part; the sums of one
 * column are added in the order of their first rows. */
template <class T, int N>
__global__ void column_sum_kernel(const T *x, float *parts, int64_t rows, int64_t per_part, int c)
{
    enum { ACROSS = SUM_TILE / N, DOWN = CUDA_BLOCK / ACROSS };
    SHARED(float, slot, [DOWN][SUM_TILE]);
    int at = threadIdx.x % ACROSS * N, down = threadIdx.x / ACROSS, first = blockIdx.x * SUM_TILE;
    int64_t from = blockIdx.y * per_part, to = from + per_part < rows ? from + per_part : rows;
    pack<N> sum = {};
    if (first + at >= c)
        to = from;
#pragma unroll 4
    for (int64_t r = from + down; r < to; r += DOWN) {
        pack<N> v = get_pack<N>(x, r * c + first + at);
        for (int k = 0; k < N; k++)
            sum.v[k] += v.v[k];
    }
    for (int k = 0; k < N; k++)
        slot[down][at + k] = sum.v[k];
    __syncthreads();
    int column = first + (int)threadIdx.x;
    if (threadIdx.x < SUM_TILE && column < c) {
        float all = 0;
        for (int d = 0; d < DOWN; d++)
            all += slot[d][threadIdx.x];
        parts[(int64_t)blockIdx.y * c + column] = all;
    }
}

template <class T, int N>
static void column_sums_by(cuda *c, const cuda_gemm *g, const cuda_gemm_call *call, int count)
{
    dim3 grid(cuda_blocks(g->m, SUM_TILE), (unsigned)count);
    cuda_launch(c, "bias gradient", column_sum_kernel<T, N>, grid, CUDA_BLOCK, 0,
                (const T *)call->a, call->parts, (int64_t)g->k, plan_rows_per_part(g->k, PLAN_ROWS),
                g->m);
}

/* Into call->parts; -> how many. */
static int column_sums(cuda *c, const cuda_gemm *g, const cuda_gemm_call *call)
{
    int count = plan_parts(g->k, PLAN_ROWS);
    tensor t = {};
    t.type = g->in;
    TYPED(&t, T, PACKED(g->m, N, (T), (column_sums_by<T, N>(c, g, call, count))));
    return count;
}

extern "C" void cuda_linear_finish(void *ctx, const cuda_gemm *g, const cuda_gemm_call *call,
                                   bool done)
{
    cuda *c = (cuda *)ctx;
    int64_t n = (int64_t)g->m * g->n;
    const void *u = call->aux ? call->aux : call->d;
    if (g->end == CUDA_GEMM_BGRAD)
        cuda_sum_columns(c, call->sums, call->parts, done ? 1 : column_sums(c, g, call), g->m,
                         g->m);
    else if (g->end == CUDA_GEMM_GELU && !done)
        cuda_gelu(c, {g->out, true, false, u, NULL, call->d, n});
    else if (g->end == CUDA_GEMM_DGELU && !done)
        cuda_gelu_back(c, {g->out, true, false, u, call->d, call->d, n});
}

struct gemm_job {
    cuda_gemm how;
    cuda_gemm_call call;
};

static void run_gemm(cuda *c, const gemm_job &j)
{
    cuda_gemm_run(c->gemm, &j.how, &j.call);
}

/* Elements of the given type behind `p`. */
static const void *element(const void *p, tensor_type type, int64_t i)
{
    return (const char *)p + i * (type == TENSOR_BF16 ? 2 : 4);
}

extern "C" void cuda_linear_forward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    int64_t rows = (int64_t)a->y->b * a->y->n;
    int in = a->x->c, out = a->y->c;
    if (rows == 0)
        return;
    const void *w = cuda_param(c, a->w, a->x->type);
    const void *b = a->b ? cuda_param(c, a->b, a->y->type) : NULL;
    bool ends = a->y2 && a->linear.tanh && b;
    cuda_gemm_end end = ends ? CUDA_GEMM_GELU : b ? CUDA_GEMM_BIAS : CUDA_GEMM_PLAIN;
    gemm_job j = {};
    j.how = {(int)rows, out, in, in, in, out, false, true, false, a->x->type, a->y->type, end};
    j.call.a = a->x->x;
    j.call.b = element(w, a->x->type, (int64_t)a->linear.row0 * in);
    j.call.bias = b ? element(b, a->y->type, a->linear.row0) : NULL;
    j.call.d = ends ? a->y2->x : a->y->x;
    j.call.aux = ends && a->y->x != a->y2->x ? a->y->x : NULL;
    cuda_call<gemm_job, run_gemm>(c, j);
    if (a->y2 && !ends) {
        laps_enter(be, LAPS_GELU);
        cuda_gelu(c, {a->y->type, a->linear.tanh, false, a->y->x, NULL, a->y2->x, rows * out});
        laps_enter(be, LAPS_LINEAR);
    }
}

static void weight_backward(cuda *c, const op_args *a)
{
    int64_t rows = (int64_t)a->y->b * a->y->n;
    int in = a->x->c, out = a->y->c;
    cuda_gemm_end end = a->b ? CUDA_GEMM_BGRAD : CUDA_GEMM_PLAIN;
    gemm_job j = {};
    j.how = {out, in, (int)rows, out, in, in, true, false, true, a->y->type, TENSOR_F32, end};
    j.call.a = a->y->g;
    j.call.b = a->x->x;
    j.call.d = a->w->g + (int64_t)a->linear.row0 * in;
    if (a->b) {
        size_t floats = (size_t)plan_parts(rows, PLAN_ROWS) * (size_t)out;
        j.call.sums = a->b->g + a->linear.row0;
        j.call.parts = (float *)cuda_scratch_get(c, &c->parts, floats * sizeof(float));
    }
    cuda_call<gemm_job, run_gemm>(c, j);
}

extern "C" void cuda_linear_backward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    const tensor *x = op_linear_source(a);
    int64_t rows = (int64_t)a->y->b * a->y->n;
    int in = x->c, out = a->y->c;
    if (rows == 0)
        return;
    if (x->type != a->y->type)
        BUG("linear: gradients of two types");
    weight_backward(c, a);
    if (x->fixed)
        return;
    bool ends = a->x2 && a->linear.tanh;
    cuda_gemm_end end = ends ? CUDA_GEMM_DGELU : CUDA_GEMM_PLAIN;
    const void *w = cuda_param(c, a->w, a->y->type);
    gemm_job j = {};
    j.how = {(int)rows, in, out, out, in, in, false, false, a->add_x, a->y->type, x->type, end};
    j.call.a = a->y->g;
    j.call.b = element(w, a->y->type, (int64_t)a->linear.row0 * in);
    j.call.d = x->g;
    j.call.aux = ends ? x->x : NULL;
    cuda_call<gemm_job, run_gemm>(c, j);
    if (a->x2 && !ends) {
        laps_enter(be, LAPS_GELU);
        cuda_gelu_back(c, {x->type, a->linear.tanh, false, x->x, x->g, x->g, rows * in});
        laps_enter(be, LAPS_LINEAR);
    }
}
