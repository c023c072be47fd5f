/* Matrix products by cuBLASLt. A row-major product d = op(a) op(b) is the column-major one of the
 * transposes in reverse order: d' = op(b)' op(a)'. Descriptors are made once for each shape, when
 * it is chosen how it runs: by the clock, or by a rule and the library's guess (gpu.md 6). */
#include "model/cuda/gemm.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "model/cuda/library.h"
#include "model/cuda/plan.h"

#define WORKSPACE PLAN_PRODUCTS
#define LIBRARY   "libcublasLt.so.13"
#define GUESSES   16 /* algorithms that are timed */
#define TIMES     5  /* runs of each; the median counts */
#define AUX_ROW   8  /* the library wants rows of aux to be a multiple of this */
#define SETS      16 /* most copies of the operands that a timing turns through */

/* The functions of the library that are used. */
#define FUNCTIONS(X)                                                                               \
    X(cublasLtCreate)                                                                              \
    X(cublasLtDestroy)                                                                             \
    X(cublasLtGetVersion)                                                                          \
    X(cublasLtMatmul)                                                                              \
    X(cublasLtMatmulDescCreate)                                                                    \
    X(cublasLtMatmulDescDestroy)                                                                   \
    X(cublasLtMatmulDescSetAttribute)                                                              \
    X(cublasLtMatrixLayoutCreate)                                                                  \
    X(cublasLtMatrixLayoutDestroy)                                                                 \
    X(cublasLtMatmulPreferenceCreate)                                                              \
    X(cublasLtMatmulPreferenceDestroy)                                                             \
    X(cublasLtMatmulPreferenceSetAttribute)                                                        \
    X(cublasLtMatmulAlgoCheck)                                                                     \
    X(cublasLtMatmulAlgoGetHeuristic)

/* Who makes the end: the library; the caller's `finish`, behind a product that ends plainer. */
enum { WHOLE, APART, WAYS };

/* How a product can run; also the bytes that are kept on disk. */
typedef struct recipe {
    cublasLtMatmulAlgo_t algo;
    int64_t way;
} recipe;

/* One shape: what the library needs to run it. */
typedef struct product {
    cuda_gemm key;
    bool aux;                        /* of GELU: its argument is wanted */
    uint32_t align;                  /* bytes that all its pointers are multiples of, 256 at most */
    cublasLtMatmulDesc_t desc[WAYS]; /* NULL: it cannot run so */
    cublasLtMatrixLayout_t a, b, d;  /* of the library's first and second factor, and the result */
    bool possible;
    recipe best;
} product;

struct cuda_gemm_context {
#define X(name) __typeof__(name) *name;
    FUNCTIONS(X)
#undef X
    cublasLtHandle_t handle;
    cublasLtMatmulPreference_t prefer;
    cudaStream_t stream;
    cuda_gemm_finish *finish;
    void *ctx; /* of finish */
    void *workspace;
    bool timed, told_memory;
    cache *store;
    char card[256];
    size_t beyond;
    product *made;
    int n, cap;
};

/* The library's own errors are of shapes and pointers that we gave: bugs. */
static void check(cublasStatus_t status, const char *what)
{
    if (status != CUBLAS_STATUS_SUCCESS)
        BUG("cuBLASLt: %s: status %d", what, (int)status);
}

static void must(cudaError_t status, const char *what)
{
    if (status != cudaSuccess)
        BUG("cuda: %s: %s", what, cudaGetErrorString(status));
}

cuda_gemm_context *cuda_gemm_open(void *stream, cuda_gemm_finish *finish, void *ctx, err *e)
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
    c->finish = finish;
    c->ctx = ctx;
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
        for (int k = 0; k < WAYS; k++)
            if (c->made[i].desc[k])
                c->cublasLtMatmulDescDestroy(c->made[i].desc[k]);
    }
    if (c->prefer)
        c->cublasLtMatmulPreferenceDestroy(c->prefer);
    if (c->handle)
        c->cublasLtDestroy(c->handle);
    cudaFree(c->workspace);
    mem_free(c->made);
    mem_free(c);
}

void cuda_gemm_choose(cuda_gemm_context *c, const cuda_gemm_choice *how)
{
    c->timed = how->timed;
    c->store = how->store;
    c->beyond = how->beyond;
    snprintf(c->card, sizeof c->card, "%s", how->card);
}

static cudaDataType_t type_of(tensor_type t)
{
    return t == TENSOR_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static void set(cuda_gemm_context *c, cublasLtMatmulDesc_t desc,
                cublasLtMatmulDescAttributes_t which, const void *value, size_t size)
{
    check(c->cublasLtMatmulDescSetAttribute(desc, which, value, size), "description");
}

/* ---- what a shape is to the library -----------------------------------------------------------
 */

/* Where a sum is split into parts they are added in float32, never in a result's bf16. */
static void prefer(cuda_gemm_context *c, const product *p)
{
    const uint32_t adding = p->key.out == TENSOR_BF16 ? CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE
                                                      : CUBLASLT_REDUCTION_SCHEME_MASK;
    static const cublasLtMatmulPreferenceAttributes_t which[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    for (size_t i = 0; i < COUNT_OF(which); i++)
        check(c->cublasLtMatmulPreferenceSetAttribute(c->prefer, which[i], &p->align,
                                                      sizeof p->align),
              "alignment");
    check(c->cublasLtMatmulPreferenceSetAttribute(
              c->prefer, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &adding, sizeof adding),
          "how parts of sums are added");
}

/* What the library's product ends in. */
static cuda_gemm_end end_of(const product *p, int64_t way)
{
    cuda_gemm_end end = p->key.end;
    if (way == WHOLE || end <= CUDA_GEMM_BIAS)
        return end;
    return end == CUDA_GEMM_GELU ? CUDA_GEMM_BIAS : CUDA_GEMM_PLAIN;
}

static void point(cuda_gemm_context *c, const product *p, int64_t way, const cuda_gemm_call *call)
{
    cuda_gemm_end end = end_of(p, way);
    const void *bias = end == CUDA_GEMM_BGRAD ? call->parts : call->bias;
    if (end == CUDA_GEMM_BIAS || end == CUDA_GEMM_GELU || end == CUDA_GEMM_BGRAD)
        set(c, p->desc[way], CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
    if (p->aux && way == WHOLE)
        set(c, p->desc[way], CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &call->aux,
            sizeof call->aux);
}

static cublasLtEpilogue_t epilogue_of(cuda_gemm_end end, bool aux)
{
    switch (end) {
    case CUDA_GEMM_BIAS:
        return CUBLASLT_EPILOGUE_BIAS;
    case CUDA_GEMM_GELU:
        return aux ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_BIAS;
    case CUDA_GEMM_DGELU:
        return CUBLASLT_EPILOGUE_DGELU;
    case CUDA_GEMM_BGRAD: /* our a is the library's second factor */
        return CUBLASLT_EPILOGUE_BGRADB;
    default:
        return CUBLASLT_EPILOGUE_DEFAULT;
    }
}

/* Guesses are asked for with pointers of the epilogue that are multiples of no more than those of
 * every later run: the library reads that off their values, and nothing else. */
static void point_as_aligned(cuda_gemm_context *c, const product *p, int64_t way)
{
    void *at = (void *)(uintptr_t)p->align;
    point(c, p, way, &(cuda_gemm_call){.bias = at, .aux = at, .parts = at});
}

static void describe_way(cuda_gemm_context *c, product *p, int64_t way)
{
    const cuda_gemm *g = &p->key;
    cublasOperation_t first = g->tb ? CUBLAS_OP_T : CUBLAS_OP_N,
                      second = g->ta ? CUBLAS_OP_T : CUBLAS_OP_N;
    cudaDataType_t out = type_of(g->out), sums = CUDA_R_32F;
    cuda_gemm_end end = end_of(p, way);
    cublasLtEpilogue_t epilogue = epilogue_of(end, p->aux);
    cublasLtMatmulDesc_t desc = NULL;
    int64_t ld = g->ldd;
    check(c->cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), "description");
    set(c, desc, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first);
    set(c, desc, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second);
    set(c, desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    if (end == CUDA_GEMM_BIAS || end == CUDA_GEMM_GELU)
        set(c, desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &out, sizeof out);
    if (end == CUDA_GEMM_BGRAD)
        set(c, desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &sums, sizeof sums);
    if (p->aux && way == WHOLE) {
        set(c, desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &ld, sizeof ld);
        set(c, desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, &out, sizeof out);
    }
    p->desc[way] = desc;
    point_as_aligned(c, p, way);
}

static void describe(cuda_gemm_context *c, product *p)
{
    const cuda_gemm *g = &p->key;
    cudaDataType_t out = type_of(g->out), in = type_of(g->in);
    if (!p->aux || g->ldd % AUX_ROW == 0)
        describe_way(c, p, WHOLE);
    if (g->end > CUDA_GEMM_BIAS)
        describe_way(c, p, APART);
    check(c->cublasLtMatrixLayoutCreate(&p->a, in, (uint64_t)(g->tb ? g->k : g->n),
                                        (uint64_t)(g->tb ? g->n : g->k), g->ldb),
          "layout of b");
    check(c->cublasLtMatrixLayoutCreate(&p->b, in, (uint64_t)(g->ta ? g->m : g->k),
                                        (uint64_t)(g->ta ? g->k : g->m), g->lda),
          "layout of a");
    check(c->cublasLtMatrixLayoutCreate(&p->d, out, (uint64_t)g->n, (uint64_t)g->m, g->ldd),
          "layout of d");
}

static cublasStatus_t issue(cuda_gemm_context *c, const product *p, const recipe *h,
                            const cuda_gemm_call *call)
{
    const float one = 1, beta = p->key.add ? 1 : 0;
    cuda_gemm_end end = p->key.end;
    void *d = h->way == APART && end == CUDA_GEMM_GELU && call->aux ? call->aux : call->d;
    point(c, p, h->way, call);
    cublasStatus_t status =
        c->cublasLtMatmul(c->handle, p->desc[h->way], &one, call->b, p->a, call->a, p->b, &beta, d,
                          p->d, d, p->d, &h->algo, c->workspace, WORKSPACE, c->stream);
    if (status == CUBLAS_STATUS_SUCCESS && end > CUDA_GEMM_BIAS)
        c->finish(c->ctx, &p->key, call, h->way == WHOLE);
    return status;
}

/* ---- the choice -------------------------------------------------------------------------------
 */

static size_t bytes_of(int rows, int ld, tensor_type t)
{
    return (size_t)rows * (size_t)ld * tensor_size(t);
}

/* Copies of the operands, so that no run finds its own in the L2 cache: each set is a, b, d and
 * what the epilogue writes. */
typedef struct sets {
    char *memory;
    size_t a, b, d, aux, sums, parts; /* bytes, multiples of 256 */
    size_t each;                      /* of one set */
    int n;
} sets;

static size_t rounded(size_t n)
{
    return (n + 255) / 256 * 256;
}

static bool sets_new(cuda_gemm_context *c, const product *p, const cuda_gemm_call *call, sets *s)
{
    const cuda_gemm *g = &p->key;
    size_t a = bytes_of(g->ta ? g->k : g->m, g->lda, g->in);
    size_t b = bytes_of(g->tb ? g->n : g->k, g->ldb, g->in), d = bytes_of(g->m, g->ldd, g->out);
    size_t sums = g->end == CUDA_GEMM_BGRAD ? (size_t)g->m * sizeof(float) : 0;
    *s = (sets){.a = rounded(a), .b = rounded(b), .d = rounded(d), .n = 1};
    s->aux = p->aux ? s->d : 0;
    s->sums = rounded(sums);
    s->parts = rounded(sums * (size_t)plan_parts(g->k, PLAN_ROWS));
    s->each = s->a + s->b + s->d + s->aux + s->sums + s->parts;
    while (s->n < SETS && (size_t)s->n * s->each <= c->beyond)
        s->n++;
    if (cudaMalloc((void **)&s->memory, (size_t)s->n * s->each) != cudaSuccess) {
        cudaGetLastError();
        return false;
    }
    for (int i = 0; i < s->n; i++) {
        char *at = s->memory + (size_t)i * s->each;
        must(cudaMemcpyAsync(at, call->a, a, cudaMemcpyDeviceToDevice, c->stream), "copying a");
        must(cudaMemcpyAsync(at + s->a, call->b, b, cudaMemcpyDeviceToDevice, c->stream),
             "copying b");
        must(cudaMemsetAsync(at + s->a + s->b, 0, s->d, c->stream), "clearing d");
        if (g->end == CUDA_GEMM_DGELU)
            must(cudaMemcpyAsync(at + s->a + s->b + s->d, call->aux, d, cudaMemcpyDeviceToDevice,
                                 c->stream),
                 "copying what GELU was applied to");
    }
    return true;
}

/* One run on set number i. */
static cublasStatus_t run_set(cuda_gemm_context *c, const product *p, const recipe *h,
                              const sets *s, int i, const cuda_gemm_call *call)
{
    char *at = s->memory + (size_t)(i % s->n) * s->each, *d = at + s->a + s->b;
    cuda_gemm_call own = {.a = at, .b = at + s->a, .d = d, .bias = call->bias};
    own.aux = p->aux ? d + s->d : NULL;
    own.sums = (float *)(void *)(d + s->d + s->aux);
    own.parts = (float *)(void *)(d + s->d + s->aux + s->sums);
    return issue(c, p, h, &own);
}

/* Median of a few runs in ms, or -1 where it does not run so. */
static float time_of(cuda_gemm_context *c, const product *p, const recipe *h, const sets *s,
                     const cuda_gemm_call *call, cudaEvent_t at[2])
{
    float ms[TIMES];
    if (run_set(c, p, h, s, 0, call) != CUBLAS_STATUS_SUCCESS)
        return -1;
    for (int i = 0; i < TIMES; i++) {
        float t;
        must(cudaEventRecord(at[0], c->stream), "timing");
        check(run_set(c, p, h, s, i + 1, call), "timed product");
        must(cudaEventRecord(at[1], c->stream), "timing");
        must(cudaEventSynchronize(at[1]), "timing");
        must(cudaEventElapsedTime(&t, at[0], at[1]), "timing");
        int k = i;
        for (; k > 0 && ms[k - 1] > t; k--)
            ms[k] = ms[k - 1];
        ms[k] = t;
    }
    return ms[TIMES / 2];
}

/* The fastest of the guesses; the earlier one where two are equal. */
static void race(cuda_gemm_context *c, product *p, const recipe *guess, int n,
                 const cuda_gemm_call *call)
{
    sets s;
    cudaEvent_t at[2];
    float best = -1;
    if (!sets_new(c, p, call, &s)) {
        if (!c->told_memory)
            log_warn("products_not_timed", "why=\"no memory for copies on the card\"");
        c->told_memory = true;
        return;
    }
    for (int i = 0; i < 2; i++)
        must(cudaEventCreate(&at[i]), "an event");
    for (int i = 0; i < n; i++) {
        float ms = time_of(c, p, &guess[i], &s, call, at);
        if (ms >= 0 && (best < 0 || ms < best)) {
            best = ms;
            p->best = guess[i];
        }
    }
    must(cudaStreamSynchronize(c->stream), "timing");
    for (int i = 0; i < 2; i++)
        cudaEventDestroy(at[i]);
    must(cudaFree(s.memory), "memory of a timing");
}

static void key_of(const cuda_gemm_context *c, const product *p, char key[CACHE_KEY_MAX])
{
    const cuda_gemm *g = &p->key;
    snprintf(key, CACHE_KEY_MAX,
             "cuBLASLt %zu, %s, product and end, sums float32, m %d, n %d, k %d, rows %d %d %d, "
             "turned %d %d, add %d, in %d, out %d, end %d %d, alignment %u",
             c->cublasLtGetVersion(), c->card, g->m, g->n, g->k, g->lda, g->ldb, g->ldd, g->ta,
             g->tb, g->add, (int)g->in, (int)g->out, (int)g->end, p->aux, (unsigned)p->align);
}

/* The choice of an earlier run, if the library still takes it. A check says so by what it returns:
 * the result has a status only behind a question for guesses. */
static bool remembered(cuda_gemm_context *c, product *p, const char *key)
{
    size_t len = 0;
    cublasLtMatmulHeuristicResult_t r = {0};
    recipe h;
    char *kept = cache_get(c->store, key, &len);
    bool ok = kept && len == sizeof h;
    if (ok)
        memcpy(&h, kept, sizeof h);
    ok = ok && h.way >= 0 && h.way < WAYS && p->desc[h.way] &&
         c->cublasLtMatmulAlgoCheck(c->handle, p->desc[h.way], p->a, p->b, p->d, p->d, &h.algo,
                                    &r) == CUBLAS_STATUS_SUCCESS &&
         r.workspaceSize <= WORKSPACE;
    if (ok)
        p->best = h;
    else if (kept)
        log_warn("product_ignored",
                 "why=\"a kept algorithm is none for %dx%dx%d\" "
                 "action=chosen_again",
                 p->key.m, p->key.n, p->key.k);
    mem_free(kept);
    return ok;
}

/* Timing waits for the card: never while a stream is captured. */
static bool captured(const cuda_gemm_context *c)
{
    enum cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    must(cudaStreamIsCapturing(c->stream, &status), "is the stream captured");
    return status != cudaStreamCaptureStatusNone;
}

/* At most `most` of the library's guesses; -> how many. */
static int ask(cuda_gemm_context *c, const product *p, int64_t way, int most, recipe *out)
{
    cublasLtMatmulHeuristicResult_t guess[GUESSES];
    int found = 0, n = 0;
    if (!p->desc[way] ||
        c->cublasLtMatmulAlgoGetHeuristic(c->handle, p->desc[way], p->a, p->b, p->d, p->d,
                                          c->prefer, most, guess, &found) != CUBLAS_STATUS_SUCCESS)
        return 0;
    for (int i = 0; i < found; i++)
        if (guess[i].state == CUBLAS_STATUS_SUCCESS)
            out[n++] = (recipe){guess[i].algo, way};
    return n;
}

/* Ends of the backward pass are made apart where nothing is timed: the library's are not known to
 * be faster (gpu.md 6). */
static void choose(cuda_gemm_context *c, product *p, const cuda_gemm_call *call)
{
    recipe guess[WAYS * GUESSES];
    char key[CACHE_KEY_MAX];
    int64_t first = p->key.end > CUDA_GEMM_GELU ? APART : WHOLE,
            other = first == APART ? WHOLE : APART;
    prefer(c, p);
    int n = ask(c, p, first, c->timed ? GUESSES : 1, guess);
    if (c->timed || n == 0)
        n += ask(c, p, other, c->timed ? GUESSES : 1, guess + n);
    p->possible = n > 0;
    if (!p->possible)
        return;
    p->best = guess[0];
    if (!c->timed || n == 1 || captured(c))
        return;
    key_of(c, p, key);
    if (remembered(c, p, key))
        return;
    race(c, p, guess, n, call);
    cache_put(c->store, key, &p->best, sizeof p->best);
}

/* ---- runs -------------------------------------------------------------------------------------
 */

static bool same_shape(const cuda_gemm *k, const cuda_gemm *g)
{
    return k->m == g->m && k->n == g->n && k->k == g->k && k->lda == g->lda && k->ldb == g->ldb &&
           k->ldd == g->ldd && k->ta == g->ta && k->tb == g->tb && k->add == g->add &&
           k->in == g->in && k->out == g->out && k->end == g->end;
}

static product *find(cuda_gemm_context *c, const cuda_gemm *g, const cuda_gemm_call *call)
{
    uintptr_t bits = (uintptr_t)call->a | (uintptr_t)call->b | (uintptr_t)call->d | 256;
    bool aux = g->end == CUDA_GEMM_DGELU || (g->end == CUDA_GEMM_GELU && call->aux);
    if (aux)
        bits |= (uintptr_t)call->aux;
    if (g->end == CUDA_GEMM_BIAS || g->end == CUDA_GEMM_GELU)
        bits |= (uintptr_t)call->bias;
    if (g->end == CUDA_GEMM_BGRAD)
        bits |= (uintptr_t)call->parts;
    uint32_t align = (uint32_t)(bits & -bits);
    for (int i = 0; i < c->n; i++) {
        const product *p = &c->made[i];
        if (same_shape(&p->key, g) && p->aux == aux && p->align == align)
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
    p->aux = aux;
    p->align = align;
    describe(c, p);
    choose(c, p, call);
    return p;
}

void cuda_gemm_run(cuda_gemm_context *c, const cuda_gemm *g, const cuda_gemm_call *call)
{
    product *p = find(c, g, call);
    if (!p->possible)
        BUG("cuBLASLt: no way to multiply %dx%d by %dx%d with end %d", g->m, g->k, g->k, g->n,
            (int)g->end);
    check(issue(c, p, &p->best, call), "product");
}
