/* Matrix products of the CUDA backend: one door to cuBLASLt (gemm_cublaslt.c). The tests put a
 * plain one in its place where there is no card (tests/cuda_on_cpu/gemm_on_cpu.cc). */
#ifndef MODEL_CUDA_GEMM_H
#define MODEL_CUDA_GEMM_H

#include "core/err.h"
#include "model/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cuda_gemm_context cuda_gemm_context;

/* Row-major d[m,n] (+)= op(a)[m,k] op(b)[k,n] + bias[n]; op(a) is stored [k,m] when ta, op(b) [n,k]
 * when tb; row lengths lda, ldb, ldd. a and b are of type in, d and bias of type out (a bias goes
 * with a d that is not added to); products are summed in float32. */
typedef struct cuda_gemm {
    int m, n, k, lda, ldb, ldd;
    bool ta, tb, add;
    tensor_type in, out;
} cuda_gemm;

/* stream: a cudaStream_t. ERR_CONFIG: the library is missing or too old, with where it was looked
 * for. */
cuda_gemm_context *cuda_gemm_open(void *stream, err *e);
void cuda_gemm_close(cuda_gemm_context *c);
void cuda_gemm_run(cuda_gemm_context *c, const cuda_gemm *g, const void *a, const void *b,
                   const void *bias, void *d);

#ifdef __cplusplus
}
#endif
#endif
