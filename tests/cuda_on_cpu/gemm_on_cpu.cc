/* The matrix products of the CUDA backend without cuBLASLt: the definition, in the order of k. Of
 * ends behind BIAS it knows those of every other shape; the kernels do the rest. */
#include "model/cuda/gemm.h"
#include "model/cuda/plan.h"

#include <cmath>
#include <cuda_bf16.h>
#include <cuda_runtime.h>

struct cuda_gemm_context {
    cudaStream_t stream;
    void *workspace; // of nobody: the card has it
    cuda_gemm_finish *finish;
    void *ctx;
};

static float get(tensor_type type, const void *p, size_t i)
{
    return type == TENSOR_F32 ? static_cast<const float *>(p)[i]
                              : __bfloat162float(static_cast<const __nv_bfloat16 *>(p)[i]);
}

extern "C" cuda_gemm_context *cuda_gemm_open(void *stream, cuda_gemm_finish *finish, void *ctx,
                                             err *e)
{
    void *workspace = nullptr;
    if (cudaMalloc(&workspace, PLAN_PRODUCTS) != cudaSuccess) {
        err_set(e, ERR_MEMORY, "device cuda: no room for the workspace of products");
        return nullptr;
    }
    return new cuda_gemm_context{static_cast<cudaStream_t>(stream), workspace, finish, ctx};
}

extern "C" void cuda_gemm_close(cuda_gemm_context *c)
{
    if (c)
        cudaFree(c->workspace);
    delete c;
}

extern "C" void cuda_gemm_choose(cuda_gemm_context *, const cuda_gemm_choice *)
{
}

static void put(tensor_type type, void *p, size_t i, float v)
{
    if (type == TENSOR_F32)
        static_cast<float *>(p)[i] = v;
    else
        static_cast<__nv_bfloat16 *>(p)[i] = __float2bfloat16_rn(v);
}

/* The tanh form: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). */
static double gelu(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double gelu_slope(double x)
{
    double t = tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
}

static float a_at(const cuda_gemm *g, const void *a, int i, int k)
{
    return get(g->in, a, g->ta ? (size_t)k * g->lda + i : (size_t)i * g->lda + k);
}

/* Element (i, j) from its product, by the definition of what it ends in. */
static void finish(const cuda_gemm *g, const cuda_gemm_call *call, int i, int j, float sum)
{
    size_t at = (size_t)i * g->ldd + j;
    if (g->end == CUDA_GEMM_BIAS || g->end == CUDA_GEMM_GELU)
        sum += get(g->out, call->bias, j);
    if (g->end == CUDA_GEMM_GELU) {
        if (call->aux)
            put(g->out, call->aux, at, sum);
        sum = (float)gelu(sum);
    }
    if (g->end == CUDA_GEMM_DGELU)
        sum *= (float)gelu_slope(get(g->out, call->aux, at));
    if (g->add)
        sum += get(g->out, call->d, at);
    put(g->out, call->d, at, sum);
}

static cudaError_t multiply(const cuda_gemm *g, const cuda_gemm_call *call)
{
    for (int i = 0; i < g->m; i++) {
        for (int j = 0; j < g->n; j++) {
            float sum = 0;
            for (int k = 0; k < g->k; k++)
                sum += a_at(g, call->a, i, k) *
                       get(g->in, call->b, g->tb ? (size_t)j * g->ldb + k : (size_t)k * g->ldb + j);
            finish(g, call, i, j, sum);
        }
        if (g->end == CUDA_GEMM_BGRAD) {
            double sum = 0;
            for (int k = 0; k < g->k; k++)
                sum += a_at(g, call->a, i, k);
            call->parts[i] = (float)sum;
        }
    }
    return cudaSuccess;
}

static cuda_gemm_end plainer(cuda_gemm_end end)
{
    return end == CUDA_GEMM_GELU ? CUDA_GEMM_BIAS : end > CUDA_GEMM_BIAS ? CUDA_GEMM_PLAIN : end;
}

extern "C" void cuda_gemm_run(cuda_gemm_context *c, const cuda_gemm *g, const cuda_gemm_call *call)
{
    cuda_gemm how = *g;
    cuda_gemm_call at = *call;
    bool done = (g->m + g->n + g->k) % 2 == 0;
    if (!done && g->end == CUDA_GEMM_GELU && call->aux)
        at.d = call->aux;
    if (!done)
        how.end = plainer(g->end);
    shim_node n = {SHIM_LIBRARY, [=] { return multiply(&how, &at); }, {}};
    shim_words(n.words, at);
    if (shim_submit(c->stream, n) != cudaSuccess)
        abort();
    if (g->end > CUDA_GEMM_BIAS)
        c->finish(c->ctx, g, call, done);
}
