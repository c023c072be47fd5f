/* y = x W^T + bias, and with a GELU behind it. Weights are float32; where activations are bf16 the
 * product reads the bf16 copies. Gradients of weights and biases are float32 and are added to. */
#include "model/cuda/gelu.cuh"

/* One column per lane, one part of the rows per block; the warps' sums are added in order. */
template <class T>
__global__ void column_sum_kernel(const T *x, float *parts, int64_t rows, int64_t per_part, int c)
{
    SHARED(float, slot, [CUDA_WARPS][CUDA_WARP]);
    int lane = threadIdx.x % CUDA_WARP, warp = threadIdx.x / CUDA_WARP;
    int column = blockIdx.x * CUDA_WARP + lane;
    int64_t from = blockIdx.y * per_part, to = from + per_part < rows ? from + per_part : rows;
    float sum = 0;
    for (int64_t r = from + warp; r < to && column < c; r += CUDA_WARPS)
        sum += get(x, r * c + column);
    slot[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < c) {
        for (int w = 1; w < CUDA_WARPS; w++)
            sum += slot[w][lane];
        parts[(int64_t)blockIdx.y * c + column] = sum;
    }
}

static void bias_backward(cuda *c, const op_args *a, const void *dy)
{
    int64_t rows = (int64_t)a->y->b * a->y->n;
    int n = a->y->c;
    if (!a->b || rows == 0)
        return;
    int64_t per_part = plan_rows_per_part(rows, PLAN_ROWS);
    unsigned count = (unsigned)plan_parts(rows, PLAN_ROWS);
    float *parts =
        (float *)cuda_scratch_get(c, &c->parts, (size_t)count * (size_t)n * sizeof(float));
    dim3 grid(cuda_blocks(n, CUDA_WARP), count);
    TYPED(a->y, T,
          cuda_launch(c, "bias gradient", column_sum_kernel<T>, grid, CUDA_BLOCK, 0, (const T *)dy,
                      parts, rows, per_part, n));
    cuda_sum_columns(c, a->b->g + a->linear.row0, parts, (int)count, n, n);
}

struct gemm_job {
    cuda_gemm how;
    cuda_gemm_call call;
};

static void run_gemm(cuda *c, const gemm_job &j)
{
    cuda_gemm_run(c->gemm, &j.how, &j.call);
}

void cuda_multiply(cuda *c, const cuda_gemm *g, const void *a, const void *b, const void *bias,
                   void *d)
{
    gemm_job j = {*g, {a, b, d, bias, NULL, NULL}};
    cuda_call<gemm_job, run_gemm>(c, j);
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
    void *to = a->linear.gelu && a->save ? (void *)a->save : (void *)a->y->x;
    cuda_gemm g = {(int)rows, out,        in,         in,
                   in,        out,        false,      true,
                   false,     a->x->type, a->y->type, b ? CUDA_GEMM_BIAS : CUDA_GEMM_PLAIN};
    cuda_multiply(c, &g, a->x->x, element(w, a->x->type, (int64_t)a->linear.row0 * in),
                  b ? element(b, a->y->type, a->linear.row0) : NULL, to);
    if (a->linear.gelu) {
        laps_enter(be, LAPS_GELU);
        cuda_gelu(c, a->y->type, to, a->y->x, rows * out);
        laps_enter(be, LAPS_LINEAR);
    }
}

extern "C" void cuda_linear_backward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    int64_t rows = (int64_t)a->y->b * a->y->n;
    int in = a->x->c, out = a->y->c;
    const void *dy = a->y->g;
    if (rows == 0)
        return;
    if (a->linear.gelu) {
        void *du = cuda_scratch_get(c, &c->scratch, (size_t)(rows * out) * tensor_size(a->y->type));
        laps_enter(be, LAPS_GELU);
        cuda_gelu_back(c, a->y->type, a->save, dy, du, rows * out, false);
        laps_enter(be, LAPS_LINEAR);
        dy = du;
    }
    bias_backward(c, a, dy);
    cuda_gemm dw = {out,  in,    (int)rows, out,        in,         in,
                    true, false, true,      a->y->type, TENSOR_F32, CUDA_GEMM_PLAIN};
    if (a->x->type != a->y->type)
        BUG("linear: gradients of two types");
    cuda_multiply(c, &dw, dy, a->x->x, NULL, a->w->g + (int64_t)a->linear.row0 * in);
    if (a->x->fixed)
        return;
    const void *w = cuda_param(c, a->w, a->y->type);
    cuda_gemm dx = {(int)rows, in,    out,      out,        in,         in,
                    false,     false, a->add_x, a->y->type, a->x->type, CUDA_GEMM_PLAIN};
    cuda_multiply(c, &dx, dy, element(w, a->y->type, (int64_t)a->linear.row0 * in), NULL, a->x->g);
}
