/* A libcublasLt.so.13 without a card: algorithms are numbers, a run of one advances a clock. For
 * the choice of algorithms, not for what they compute (gemm_on_cpu.cc does that). */
#include "tests/cuda_on_cpu/cublaslt_stand_in.h"

#include <cublasLt.h>
#include <stdlib.h>
#include <string.h>

static stand_in s;

stand_in *stand_in_of(void)
{
    return &s;
}

typedef struct desc {
    uint32_t epilogue;
    const void *bias, *aux;
} desc;

cublasStatus_t cublasLtCreate(cublasLtHandle_t *h)
{
    *h = (cublasLtHandle_t)&s;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t h)
{
    return h == (cublasLtHandle_t)&s ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

size_t cublasLtGetVersion(void)
{
    return s.version;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *d, cublasComputeType_t c,
                                        cudaDataType_t t)
{
    s.descs++;
    *d = calloc(1, sizeof(desc));
    return c == CUBLAS_COMPUTE_32F && t == CUDA_R_32F ? CUBLAS_STATUS_SUCCESS
                                                      : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d)
{
    s.descs_gone++;
    free(d);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d,
                                              cublasLtMatmulDescAttributes_t what, const void *v,
                                              size_t n)
{
    desc *own = (desc *)d;
    if (what == CUBLASLT_MATMUL_DESC_EPILOGUE)
        memcpy(&own->epilogue, v, n);
    if (what == CUBLASLT_MATMUL_DESC_BIAS_POINTER)
        memcpy(&own->bias, v, n);
    if (what == CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER)
        memcpy(&own->aux, v, n);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *l, cudaDataType t, uint64_t rows,
                                          uint64_t cols, int64_t ld)
{
    (void)t;
    s.layouts++;
    *l = malloc(1);
    return rows && cols && ld >= (int64_t)rows ? CUBLAS_STATUS_SUCCESS
                                               : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l)
{
    s.layouts_gone++;
    free(l);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *p)
{
    *p = malloc(1);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p)
{
    free(p);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p,
                                                    cublasLtMatmulPreferenceAttributes_t what,
                                                    const void *v, size_t n)
{
    (void)p;
    if (what == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES)
        memcpy(&s.align, v, n);
    return CUBLAS_STATUS_SUCCESS;
}

static void fill(cublasLtMatmulHeuristicResult_t *r, int algo)
{
    memset(r, 0, sizeof *r);
    r->algo.data[0] = (uint64_t)algo;
    r->state = s.bad_state[algo - 1] ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS;
}

/* Has the epilogue the pointers that it wants, and no others? */
static int pointers_set(const desc *d)
{
    int bias = d->epilogue & (CUBLASLT_EPILOGUE_BIAS | CUBLASLT_EPILOGUE_BGRADB);
    int aux = d->epilogue & 128; /* CUBLASLT_EPILOGUE_GELU_AUX less GELU */
    return !bias == !d->bias && !aux == !d->aux;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t h, cublasLtMatmulDesc_t d,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t e,
                                              cublasLtMatmulPreference_t p, int wanted,
                                              cublasLtMatmulHeuristicResult_t r[], int *found)
{
    const desc *own = (const desc *)d;
    (void)h, (void)a, (void)b, (void)c, (void)e, (void)p;
    s.asked++;
    s.wanted = wanted;
    *found = (int)own->epilogue == s.lacks ? 0 : wanted < s.found ? wanted : s.found;
    if (!pointers_set(own))
        *found = 0; /* it would infer their alignment from nothing */
    for (int i = 0; i < *found; i++)
        fill(&r[i], i + 1);
    return *found ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t h, cublasLtMatmulDesc_t d,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t e,
                                       const cublasLtMatmulAlgo_t *algo,
                                       cublasLtMatmulHeuristicResult_t *r)
{
    (void)h, (void)d, (void)a, (void)b, (void)c, (void)e;
    s.checks++;
    if (algo->data[0] < 1 || algo->data[0] > (uint64_t)s.found)
        return CUBLAS_STATUS_INVALID_VALUE;
    r->workspaceSize = s.workspace[algo->data[0] - 1]; /* nothing else is promised */
    r->state = CUBLAS_STATUS_INTERNAL_ERROR;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t h, cublasLtMatmulDesc_t desc_, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t la, const void *b,
                              cublasLtMatrixLayout_t lb, const void *beta, const void *c,
                              cublasLtMatrixLayout_t lc, void *d, cublasLtMatrixLayout_t ld,
                              const cublasLtMatmulAlgo_t *algo, void *workspace, size_t bytes,
                              cudaStream_t stream)
{
    int id = (int)algo->data[0];
    const desc *own = (const desc *)desc_;
    (void)h, (void)alpha, (void)la, (void)lb, (void)lc, (void)ld, (void)stream;
    if (!workspace || !bytes || c != d || s.fails[id - 1] || !pointers_set(own))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    stand_in_run *r = &s.log[s.runs % STAND_IN_LOG];
    *r = (stand_in_run){id, a, b, d, 0, (int)own->epilogue, own->bias, own->aux};
    memcpy(&r->beta, beta, sizeof r->beta);
    s.clock += own->epilogue > CUBLASLT_EPILOGUE_BIAS ? s.ends_ms : 0;
    s.clock += id == s.lucky && s.runs % 5 == 0 ? 0 : s.ms[id - 1];
    s.runs++;
    return CUBLAS_STATUS_SUCCESS;
}
