/* Matrix products by cuBLASLt. A row-major product d = op(a) op(b) is the column-major one of the
 * transposes in reverse order: d' = op(b)' op(a)'. Descriptors and the algorithm are made once for
 * each shape (gpu.md 6). */
#include "model/cuda/gemm.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <string.h>

#include "core/mem.h"
#include "model/cuda/library.h"

#define WORKSPACE ((size_t)32 << 20)
#define LIBRARY   "libcublasLt.so.13"

/* The functions of the library that are used. */
#define FUNCTIONS(X)                                                                               \
    X(cublasLtCreate)                                                                              \
    X(cublasLtDestroy)                                                                             \
    X(cublasLtMatmul)                                                                              \
    X(cublasLtMatmulDescCreate)                                                                    \
    X(cublasLtMatmulDescDestroy)                                                                   \
    X(cublasLtMatmulDescSetAttribute)                                                              \
    X(cublasLtMatrixLayoutCreate)                                                                  \
    X(cublasLtMatrixLayoutDestroy)                                                                 \
    X(cublasLtMatmulPreferenceCreate)                                                              \
    X(cublasLtMatmulPreferenceDestroy)                                                             \
    X(cublasLtMatmulPreferenceSetAttribute)                                                        \
    X(cublasLtMatmulAlgoGetHeuristic)

/* One shape: what the library needs to run it. */
typedef struct product {
    cuda_gemm key;
    bool bias;
    uint32_t align; /* bytes that all its pointers are multiples of, 256 at most */
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, d; /* of the library's first and second factor, and the result */
    cublasLtMatmulAlgo_t algo;
} product;

struct cuda_gemm_context {
#define X(name) __typeof__(name) *name;
    FUNCTIONS(X)
#undef X
    cublasLtHandle_t handle;
    cublasLtMatmulPreference_t prefer;
    cudaStream_t stream;
    void *workspace;
    product *made;
    int n, cap;
};

/* The library's own errors are of shapes and pointers that we gave: bugs. */
static void check(cublasStatus_t status, const char *what)
{
    if (status != CUBLAS_STATUS_SUCCESS)
        BUG("cuBLASLt: %s: status %d", what, (int)status);
}

cuda_gemm_context *cuda_gemm_open(void *stream, err *e)
{
    void *library = library_open(LIBRARY, e);
    if (!library)
        return NULL;
    cuda_gemm_context *c = MEM_NEW(cuda_gemm_context);
    bool ok = true;
#define X(name) ok = ok && library_symbol(library, #name, &c->name, e);
    FUNCTIONS(X)
#undef X
    if (ok && c->cublasLtCreate(&c->handle) != CUBLAS_STATUS_SUCCESS)
        ok = err_set(e, ERR_CONFIG, "device cuda: " LIBRARY " does not start on this card");
    if (ok && cudaMalloc(&c->workspace, WORKSPACE) != cudaSuccess)
        ok = err_set(e, ERR_MEMORY, "device cuda: no room for " LIBRARY "'s workspace");
    if (!ok) {
        cuda_gemm_close(c);
        return NULL;
    }
    const size_t most = WORKSPACE;
    c->stream = stream;
    check(c->cublasLtMatmulPreferenceCreate(&c->prefer), "preference");
    check(c->cublasLtMatmulPreferenceSetAttribute(
              c->prefer, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof most),
          "workspace");
    return c;
}

void cuda_gemm_close(cuda_gemm_context *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->n; i++) {
        c->cublasLtMatrixLayoutDestroy(c->made[i].a);
        c->cublasLtMatrixLayoutDestroy(c->made[i].b);
        c->cublasLtMatrixLayoutDestroy(c->made[i].d);
        c->cublasLtMatmulDescDestroy(c->made[i].desc);
    }
    if (c->prefer)
        c->cublasLtMatmulPreferenceDestroy(c->prefer);
    if (c->handle)
        c->cublasLtDestroy(c->handle);
    cudaFree(c->workspace);
    mem_free(c->made);
    mem_free(c);
}

static cudaDataType_t type_of(tensor_type t)
{
    return t == TENSOR_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static void set(cuda_gemm_context *c, product *p, cublasLtMatmulDescAttributes_t which,
                const void *value, size_t size)
{
    check(c->cublasLtMatmulDescSetAttribute(p->desc, which, value, size), "description");
}

static void prefer(cuda_gemm_context *c, const product *p)
{
    static const cublasLtMatmulPreferenceAttributes_t which[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    for (size_t i = 0; i < COUNT_OF(which); i++)
        check(c->cublasLtMatmulPreferenceSetAttribute(c->prefer, which[i], &p->align,
                                                      sizeof p->align),
              "alignment");
}

static void make(cuda_gemm_context *c, product *p, const void *bias)
{
    const cuda_gemm *g = &p->key;
    cublasOperation_t first = g->tb ? CUBLAS_OP_T : CUBLAS_OP_N,
                      second = g->ta ? CUBLAS_OP_T : CUBLAS_OP_N;
    cudaDataType_t out = type_of(g->out), in = type_of(g->in);
    check(c->cublasLtMatmulDescCreate(&p->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), "description");
    set(c, p, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first);
    set(c, p, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second);
    if (p->bias) {
        cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
        set(c, p, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
        set(c, p, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &out, sizeof out);
        set(c, p, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
    }
    check(c->cublasLtMatrixLayoutCreate(&p->a, in, (uint64_t)(g->tb ? g->k : g->n),
                                        (uint64_t)(g->tb ? g->n : g->k), g->ldb),
          "layout of b");
    check(c->cublasLtMatrixLayoutCreate(&p->b, in, (uint64_t)(g->ta ? g->m : g->k),
                                        (uint64_t)(g->ta ? g->k : g->m), g->lda),
          "layout of a");
    check(c->cublasLtMatrixLayoutCreate(&p->d, out, (uint64_t)g->n, (uint64_t)g->m, g->ldd),
          "layout of d");
    cublasLtMatmulHeuristicResult_t best;
    int found = 0;
    prefer(c, p);
    cublasStatus_t status = c->cublasLtMatmulAlgoGetHeuristic(c->handle, p->desc, p->a, p->b, p->d,
                                                              p->d, c->prefer, 1, &best, &found);
    if (status != CUBLAS_STATUS_SUCCESS || !found)
        BUG("cuBLASLt: no way to multiply %dx%d by %dx%d: status %d", g->m, g->k, g->k, g->n,
            (int)status);
    p->algo = best.algo;
}

static product *find(cuda_gemm_context *c, const cuda_gemm *g, const void *bias, uint32_t align)
{
    for (int i = 0; i < c->n; i++) {
        const cuda_gemm *k = &c->made[i].key;
        if (k->m == g->m && k->n == g->n && k->k == g->k && k->lda == g->lda && k->ldb == g->ldb &&
            k->ldd == g->ldd && k->ta == g->ta && k->tb == g->tb && k->add == g->add &&
            k->in == g->in && k->out == g->out && c->made[i].bias == (bias != NULL) &&
            c->made[i].align == align)
            return &c->made[i];
    }
    if (c->n == c->cap) {
        int cap = c->cap ? 2 * c->cap : 64;
        c->made =
            mem_realloc(c->made, (size_t)c->cap * sizeof *c->made, (size_t)cap * sizeof *c->made);
        c->cap = cap;
    }
    product *p = &c->made[c->n++];
    memset(p, 0, sizeof *p);
    p->key = *g;
    p->bias = bias != NULL;
    p->align = align;
    make(c, p, bias);
    return p;
}

void cuda_gemm_run(cuda_gemm_context *c, const cuda_gemm *g, const void *a, const void *b,
                   const void *bias, void *d)
{
    const float one = 1, beta = g->add ? 1 : 0;
    uintptr_t bits = (uintptr_t)a | (uintptr_t)b | (uintptr_t)d | 256;
    product *p = find(c, g, bias, (uint32_t)(bits & -bits));
    if (bias)
        set(c, p, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
    check(c->cublasLtMatmul(c->handle, p->desc, &one, b, p->a, a, p->b, &beta, d, p->d, d, p->d,
                            &p->algo, c->workspace, WORKSPACE, c->stream),
          "product");
}
