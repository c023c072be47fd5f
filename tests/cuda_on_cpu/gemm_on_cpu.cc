/* The matrix products of the CUDA backend without cuBLASLt: the definition, in the order of k. */
#include "model/cuda/gemm.h"

#include <cstdlib>
#include <cuda_bf16.h>

struct cuda_gemm_context {
    int unused;
};

static float get(tensor_type type, const void *p, size_t i)
{
    return type == TENSOR_F32 ? static_cast<const float *>(p)[i]
                              : __bfloat162float(static_cast<const __nv_bfloat16 *>(p)[i]);
}

extern "C" cuda_gemm_context *cuda_gemm_open(void *, err *)
{
    return static_cast<cuda_gemm_context *>(calloc(1, sizeof(cuda_gemm_context)));
}

extern "C" void cuda_gemm_close(cuda_gemm_context *c)
{
    free(c);
}

extern "C" void cuda_gemm_run(cuda_gemm_context *, const cuda_gemm *g, const void *a, const void *b,
                              const void *bias, void *d)
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
}
