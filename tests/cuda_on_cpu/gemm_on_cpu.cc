/* The matrix products of the CUDA backend without cuBLASLt: the definition, in the order of k. */
#include "model/cuda/gemm.h"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

struct cuda_gemm_context {
    cudaStream_t stream;
};

static float get(tensor_type type, const void *p, size_t i)
{
    return type == TENSOR_F32 ? static_cast<const float *>(p)[i]
                              : __bfloat162float(static_cast<const __nv_bfloat16 *>(p)[i]);
}

extern "C" cuda_gemm_context *cuda_gemm_open(void *stream, err *)
{
    return new cuda_gemm_context{static_cast<cudaStream_t>(stream)};
}

extern "C" void cuda_gemm_close(cuda_gemm_context *c)
{
    delete c;
}

static cudaError_t multiply(const cuda_gemm *g, const void *a, const void *b, const void *bias,
                            void *d)
{
    for (int i = 0; i < g->m; i++) {
        for (int j = 0; j < g->n; j++) {
            size_t at = (size_t)i * g->ldd + j;
            float sum = 0;
            for (int k = 0; k < g->k; k++)
                sum += get(g->in, a, g->ta ? (size_t)k * g->lda + i : (size_t)i * g->lda + k) *
                       get(g->in, b, g->tb ? (size_t)j * g->ldb + k : (size_t)k * g->ldb + j);
            if (bias)
                sum += get(g->out, bias, j);
            if (g->add)
                sum += get(g->out, d, at);
            if (g->out == TENSOR_F32)
                static_cast<float *>(d)[at] = sum;
            else
                static_cast<__nv_bfloat16 *>(d)[at] = __float2bfloat16_rn(sum);
        }
    }
    return cudaSuccess;
}

extern "C" void cuda_gemm_run(cuda_gemm_context *c, const cuda_gemm *g, const void *a,
                              const void *b, const void *bias, void *d)
{
    cuda_gemm how = *g;
    shim_node n = {SHIM_LIBRARY, [=] { return multiply(&how, a, b, bias, d); }, {}};
    for (const void *p : {a, b, bias, static_cast<const void *>(d)})
        shim_words(n.words, p);
    if (shim_submit(c->stream, n) != cudaSuccess)
        abort();
}
