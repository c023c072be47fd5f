/* libcublasLt.so.13 in front of the toolkit's own (CUBLASLT, its path), which it is linked to:
 * descriptors are made by the real library. Without a card no handle can be had, for the library's
 * runtime starts with no driver but NVIDIA's. But the library looks at its arguments before it
 * looks for the card: with a handle of no card it answers INVALID_VALUE to a description that is
 * wrong in itself, and NOT_SUPPORTED to a sound one. That is what is asked here, and written down;
 * an algorithm without a name is handed out, and products run by doing nothing. With a card the
 * library's answers are those for the card. */
#include "tests/cuda_on_cpu/cublaslt_door.h"

#include <cublasLt.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { KNOWN = 130100, WORKSPACE = 32 << 20, AUX_ROW = 8 };

static door_book book;
static char no_card[4096]; /* a handle that says of itself that it is open */

door_book *door_book_of(void)
{
    return &book;
}

/* The function that this door has the name of. */
static void *real(const char *name)
{
    static void *library;
    if (!library)
        library = dlopen(CUBLASLT, RTLD_NOW | RTLD_LOCAL);
    return library ? dlsym(library, name) : NULL;
}

#define REAL(name) __typeof__(name) *to = (__typeof__(name) *)real(#name)

cublasStatus_t cublasLtCreate(cublasLtHandle_t *h)
{
    REAL(cublasLtCreate);
    free(book.asked);
    memset(&book, 0, sizeof book);
    memset(no_card, 1, sizeof no_card);
    book.known = cublasLtGetVersion() == KNOWN;
    book.card = to(h) == CUBLAS_STATUS_SUCCESS;
    book.closed = !book.card && !book.known;
    if (!book.card)
        *h = (cublasLtHandle_t)(void *)no_card;
    return book.closed ? CUBLAS_STATUS_NOT_INITIALIZED : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t h)
{
    REAL(cublasLtDestroy);
    return book.card ? to(h) : CUBLAS_STATUS_SUCCESS;
}

/* ---- a description, read back ---------------------------------------------------------------- */

static uint64_t of_desc(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t what, size_t size)
{
    uint64_t v = 0;
    size_t n;
    if (cublasLtMatmulDescGetAttribute(d, what, &v, size, &n) != CUBLAS_STATUS_SUCCESS || n != size)
        abort();
    return v;
}

static uint64_t of_layout(cublasLtMatrixLayout_t l, cublasLtMatrixLayoutAttribute_t what,
                          size_t size)
{
    uint64_t v = 0;
    size_t n;
    if (cublasLtMatrixLayoutGetAttribute(l, what, &v, size, &n) != CUBLAS_STATUS_SUCCESS ||
        n != size)
        abort();
    return v;
}

static uint64_t of_preference(cublasLtMatmulPreference_t p,
                              cublasLtMatmulPreferenceAttributes_t what, size_t size)
{
    uint64_t v = 0;
    size_t n;
    if (cublasLtMatmulPreferenceGetAttribute(p, what, &v, size, &n) != CUBLAS_STATUS_SUCCESS ||
        n != size)
        abort();
    return v;
}

/* Largest power of two up to 256 that divides a pointer. */
static uint32_t multiple(uint64_t pointer)
{
    uint64_t bits = pointer | 256;
    return (uint32_t)(bits & -bits);
}

enum { HAS_BIAS = 4 | 16 | 256 | 512, HAS_AUX = 128 }; /* bits of cublasLtEpilogue_t */

/* Rules of the manual that only a card's algorithms look at. */
static const char *fault_of(const door_question *q, cublasLtMatmulDesc_t d,
                            cublasLtMatmulPreference_t p)
{
    uint64_t bias = of_desc(d, CUBLASLT_MATMUL_DESC_BIAS_POINTER, 8);
    uint64_t aux = of_desc(d, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, 8);
    if (of_desc(d, CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, 4) != CUBLAS_COMPUTE_32F)
        return "sums are not float32";
    if (!(q->in == CUDA_R_16BF && (q->out == CUDA_R_16BF || q->out == CUDA_R_32F)) &&
        !(q->in == CUDA_R_32F && q->out == CUDA_R_32F))
        return "a pair of types that the manual's table has not";
    if (!(q->epilogue & HAS_BIAS) != !bias)
        return "a bias that is missing, or not asked for";
    if (!(q->epilogue & HAS_AUX) != !aux)
        return "what GELU is applied to is missing, or not asked for";
    if (aux && of_desc(d, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, 8) % AUX_ROW)
        return "rows of what GELU is applied to are no multiple of 8";
    if (of_preference(p, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, 8) != WORKSPACE)
        return "another workspace";
    if (q->out == CUDA_R_16BF && of_preference(p, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, 4) !=
                                     CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE)
        return "parts of sums are added in bf16";
    for (int i = CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
         i <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES; i++)
        if (of_preference(p, (cublasLtMatmulPreferenceAttributes_t)i, 4) != q->align)
            return "matrices of unlike alignment";
    return NULL;
}

static door_question *note(cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a,
                           cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t out,
                           cublasLtMatmulPreference_t p)
{
    if (book.n == book.cap) {
        book.cap = book.cap ? 2 * book.cap : 1024;
        book.asked = realloc(book.asked, (size_t)book.cap * sizeof *book.asked);
        if (!book.asked)
            abort();
    }
    door_question *q = &book.asked[book.n++];
    *q = (door_question){.product = book.ran, .desc = d};
    q->epilogue = (uint32_t)of_desc(d, CUBLASLT_MATMUL_DESC_EPILOGUE, 4);
    q->trans_a = (int32_t)of_desc(d, CUBLASLT_MATMUL_DESC_TRANSA, 4);
    q->trans_b = (int32_t)of_desc(d, CUBLASLT_MATMUL_DESC_TRANSB, 4);
    q->bias_align = multiple(of_desc(d, CUBLASLT_MATMUL_DESC_BIAS_POINTER, 8));
    q->align = (uint32_t)of_preference(p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 4);
    q->in = (int32_t)of_layout(a, CUBLASLT_MATRIX_LAYOUT_TYPE, 4);
    q->out = (int32_t)of_layout(out, CUBLASLT_MATRIX_LAYOUT_TYPE, 4);
    q->m = of_layout(out, CUBLASLT_MATRIX_LAYOUT_ROWS, 8);
    q->n = of_layout(out, CUBLASLT_MATRIX_LAYOUT_COLS, 8);
    q->k = of_layout(a, q->trans_a ? CUBLASLT_MATRIX_LAYOUT_ROWS : CUBLASLT_MATRIX_LAYOUT_COLS, 8);
    q->fault = (int32_t)of_layout(b, CUBLASLT_MATRIX_LAYOUT_TYPE, 4) != q->in
                   ? "factors of two types"
                   : fault_of(q, d, p);
    return q;
}

/* ---- questions and products ------------------------------------------------------------------ */

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t h, cublasLtMatmulDesc_t d,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t out,
                                              cublasLtMatmulPreference_t p, int wanted,
                                              cublasLtMatmulHeuristicResult_t r[], int *found)
{
    REAL(cublasLtMatmulAlgoGetHeuristic);
    door_question *q = note(d, a, b, out, p);
    *found = 0;
    q->status = to(h, d, a, b, c, out, p, wanted, r, found);
    q->found = *found;
    q->workspace = *found ? r[0].workspaceSize : 0;
    memset(&r[0], 0, sizeof r[0]);
    *found = 1; /* so that all ways are asked for, and the test says what was refused */
    return CUBLAS_STATUS_SUCCESS;
}

/* The last question with this description. */
static const door_question *asked_with(cublasLtMatmulDesc_t d)
{
    for (int i = book.n - 1; i >= 0; i--)
        if (book.asked[i].desc == (const void *)d)
            return &book.asked[i];
    return NULL;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t h, cublasLtMatmulDesc_t d, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t la, const void *b,
                              cublasLtMatrixLayout_t lb, const void *beta, const void *c,
                              cublasLtMatrixLayout_t lc, void *out, cublasLtMatrixLayout_t lout,
                              const cublasLtMatmulAlgo_t *algo, void *workspace, size_t bytes,
                              cudaStream_t stream)
{
    const door_question *q = asked_with(d);
    uint64_t pointers = (uint64_t)a | (uint64_t)b | (uint64_t)c | (uint64_t)out;
    (void)h, (void)alpha, (void)beta, (void)la, (void)lb, (void)lc, (void)lout, (void)algo;
    (void)stream;
    if (!q || !workspace || (uint64_t)workspace % 256 || bytes != WORKSPACE || c != out)
        book.fault = "a product without a question or a workspace";
    else if (multiple(pointers) < q->align)
        book.fault = "matrices that are less aligned than was said";
    else if (multiple(of_desc(d, CUBLASLT_MATMUL_DESC_BIAS_POINTER, 8)) < q->bias_align)
        book.fault = "a bias that is less aligned than the one that was asked with";
    book.ran++;
    return CUBLAS_STATUS_SUCCESS;
}
