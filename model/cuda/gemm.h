/* Matrix products of the CUDA backend: one door to cuBLASLt (gemm_cublaslt.c). The tests put a
 * plain one in its place where there is no card (tests/cuda_on_cpu/gemm_on_cpu.cc). */
#ifndef MODEL_CUDA_GEMM_H
#define MODEL_CUDA_GEMM_H

#include "core/err.h"
#include "model/cuda/cache.h"
#include "model/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cuda_gemm_context cuda_gemm_context;

/* What a product ends in. Those behind BIAS are done by the library, or by kernels of ours behind a
 * product with a plainer end: the faster of the two where products are timed; else GELU by the
 * library, DGELU and BGRAD by the kernels; by the kernels wherever the library has no way. */
typedef enum cuda_gemm_end {
    CUDA_GEMM_PLAIN,
    CUDA_GEMM_BIAS,  /* + bias[n] */
    CUDA_GEMM_GELU,  /* the tanh GELU of that; its argument goes to aux, unless that is NULL */
    CUDA_GEMM_DGELU, /* times the slope of the tanh GELU at aux */
    CUDA_GEMM_BGRAD, /* sums[m] += sums of the rows of op(a) */
} cuda_gemm_end;

/* Row-major d[m,n] (+)= op(a)[m,k] op(b)[k,n]; op(a) is stored [k,m] when ta, op(b) [n,k] when tb;
 * row lengths lda, ldb, ldd. a and b are of type in; d, aux and a bias that is added of type out;
 * sums are float32. Only PLAIN and BGRAD add to d. aux is shaped like d. */
typedef struct cuda_gemm {
    int m, n, k, lda, ldb, ldd;
    bool ta, tb, add;
    tensor_type in, out;
    cuda_gemm_end end;
} cuda_gemm;

typedef struct cuda_gemm_call {
    const void *a, *b;
    void *d;
    const void *bias; /* of BIAS and GELU */
    void *aux;        /* of GELU and DGELU */
    float *sums;      /* of BGRAD */
    float *parts;     /* of BGRAD: scratch, plan_parts(k, PLAN_ROWS) x m; the library's sums come
                         first */
} cuda_gemm_call;

/* Behind each product with such an end. done: the library made the end; of BGRAD, parts[m]. Else
 * what aux (of GELU; d where that is NULL) and d hold has no end yet. */
typedef void cuda_gemm_finish(void *ctx, const cuda_gemm *g, const cuda_gemm_call *call, bool done);

/* Where the choice of an algorithm comes from. */
typedef struct cuda_gemm_choice {
    bool timed;   /* the fastest of the library's guesses on this card; false: the first one, which
                     is always the same */
    cache *store; /* of timed choices: borrowed, or NULL */
    const char *card; /* whatever a time depends on, in words; borrowed for the call */
    size_t beyond;    /* bytes that a timing reads before it reads any again: above the L2 cache */
} cuda_gemm_choice;

/* stream: a cudaStream_t. ERR_CONFIG: the library is missing or too old, with where it was looked
 * for. */
cuda_gemm_context *cuda_gemm_open(void *stream, cuda_gemm_finish *finish, void *ctx, err *e);
void cuda_gemm_close(cuda_gemm_context *c);
/* From now on; before the first call it is the library's first guess. */
void cuda_gemm_choose(cuda_gemm_context *c, const cuda_gemm_choice *how);
/* The first run of a shape chooses its algorithm: timing reads the pointers' values, writes memory
 * of its own, and never happens while the stream is captured. */
void cuda_gemm_run(cuda_gemm_context *c, const cuda_gemm *g, const cuda_gemm_call *call);

#ifdef __cplusplus
}
#endif
#endif
