/* How algorithms of matrix products are chosen and remembered (model/cuda/gemm_cublaslt.c): its own
 * file, the toolkit's headers, and stand-ins for cuBLASLt (a library beside this program) and for
 * the few calls of the runtime, below. No card is needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/mem.h"
#include "model/cuda/gemm.h"
#include "tests/cuda_on_cpu/cublaslt_stand_in.h"
#include "tests/unit/said.h"

/* ---- the runtime ------------------------------------------------------------------------------
 */

static stand_in *s;
static size_t room;     /* bytes that can be had */
static int allocations; /* since the start */
static bool capturing;
static int events;

cudaError_t cudaMalloc(void **p, size_t n)
{
    allocations++;
    if (n > room)
        return cudaErrorMemoryAllocation;
    *p = mem_alloc(n);
    return cudaSuccess;
}
cudaError_t cudaFree(void *p)
{
    mem_free(p);
    return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    (void)kind, (void)stream;
    memcpy(to, from, n);
    return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void *p, int v, size_t n, cudaStream_t stream)
{
    (void)stream;
    memset(p, v, n);
    return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t *e)
{
    events++;
    *e = (cudaEvent_t)mem_alloc(sizeof(double));
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    mem_free(e);
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t stream)
{
    (void)stream;
    memcpy(e, &s->clock, sizeof s->clock);
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    return e ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t a, cudaEvent_t b)
{
    double from, to;
    memcpy(&from, a, sizeof from);
    memcpy(&to, b, sizeof to);
    *ms = (float)(to - from);
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    (void)stream;
    return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
    (void)stream;
    *status = capturing ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}
cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}
const char *cudaGetErrorString(cudaError_t e)
{
    (void)e;
    return "an error";
}

/* ---- a desk -----------------------------------------------------------------------------------
 */

enum { M = 40, N = 24, K = 16 };
#define CARD "sm_90, NVIDIA H200, 132 processors, driver 13000"

static char folder[256];
#define ALIGNED __attribute__((aligned(256)))
static char a[1 << 16] ALIGNED, b[1 << 16] ALIGNED, d[1 << 16] ALIGNED, bias[256] ALIGNED;
static char aux[1 << 14] ALIGNED;
static const cuda_gemm plain = {M, N, K, K, N, N, .in = TENSOR_BF16, .out = TENSOR_BF16};
static const cuda_gemm_call call = {.a = a, .b = b, .d = d, .bias = bias, .aux = aux};

static int desk_open(void **state)
{
    const char *top = getenv("TMPDIR");
    (void)state;
    snprintf(folder, sizeof folder, "%s/choice.XXXXXX", top && *top ? top : "/tmp");
    *s = (stand_in){.found = 8,
                    .ms = {5, 4, 1, 2, 6, 2, 1.5, 3},
                    .bad_state[2] = 1, /* would be the fastest */
                    .fails[6] = 1,     /* the next */
                    .lucky = 5,
                    .version = 130100};
    room = SIZE_MAX;
    allocations = events = 0;
    capturing = false;
    return mkdtemp(folder) ? 0 : -1;
}

static int desk_close(void **state)
{
    err e = {0};
    (void)state;
    return fs_remove_tree(folder, &e) ? 0 : -1;
}

typedef struct desk {
    cache *store;
    cuda_gemm_context *c;
} desk;

static desk open_context(bool timed, const char *card)
{
    err e = {0};
    desk k = {cache_open(folder, CACHE_LIMIT), cuda_gemm_open(NULL, &e)};
    if (!k.c)
        fail_msg("%s", e.msg);
    cuda_gemm_choose(k.c, &(cuda_gemm_choice){timed, k.store, card, 100000});
    return k;
}

static void close_context(desk k)
{
    cuda_gemm_close(k.c);
    cache_close(k.store);
    assert_int_equal(s->descs, s->descs_gone);
    assert_int_equal(s->layouts, s->layouts_gone);
}

/* Runs once and gives the algorithm of that run; *more: runs beside it. */
static int run_once(cuda_gemm_context *c, const cuda_gemm *g, int *more)
{
    int before = s->runs;
    cuda_gemm_run(c, g, &call);
    *more = s->runs - before - 1;
    const stand_in_run *last = &s->log[(s->runs - 1) % STAND_IN_LOG];
    assert_ptr_equal(last->d, d);
    assert_ptr_equal(last->a, b); /* the library sees the transposes in reverse order */
    return last->algo;
}

/* ---- tests ------------------------------------------------------------------------------------
 */

static void the_first_guess_without_timing(void **state)
{
    int more;
    (void)state;
    for (int run = 0; run < 3; run++) { /* three programs */
        desk k = open_context(false, CARD);
        assert_int_equal(run_once(k.c, &plain, &more), 1);
        assert_int_equal(more, 0);
        assert_int_equal(s->wanted, 1);
        close_context(k);
    }
    assert_int_equal(events, 0);
    assert_int_equal(allocations, 3); /* workspaces */
}

/* Algorithm 4 has the smallest median; 6 is equal and later; 5 has a lucky run; 3 is not supported,
 * 7 does not run. */
static void the_fastest_of_the_guesses(void **state)
{
    int more;
    (void)state;
    desk k = open_context(true, CARD);
    assert_int_equal(run_once(k.c, &plain, &more), 4);
    assert_int_equal(s->wanted, 16);
    assert_int_equal(more, 6 * 6); /* six that run: once to warm up and five times */
    const void *seen[64];
    int different = 0;
    for (int i = 0; i < more; i++) {
        const stand_in_run *r = &s->log[i];
        assert_true((char *)r->d < d || (char *)r->d >= d + sizeof d); /* memory of its own */
        int j = 0;
        while (j < different && seen[j] != r->d)
            j++;
        if (j == different)
            seen[different++] = r->d;
    }
    assert_int_equal(different, 6); /* warm-up and the five runs: another set each */
    for (int i = 0; i < 10; i++) {
        assert_int_equal(run_once(k.c, &plain, &more), 4);
        assert_int_equal(more, 0);
    }
    assert_int_equal(s->descs, 1);
    assert_int_equal(s->layouts, 3);
    assert_int_equal(s->asked, 1);
    close_context(k);
}

/* What beta adds to is not touched by a timing. */
static void timing_leaves_the_result_alone(void **state)
{
    int more;
    cuda_gemm g = plain;
    (void)state;
    g.add = true;
    g.out = TENSOR_F32;
    memset(d, 7, sizeof d);
    desk k = open_context(true, CARD);
    run_once(k.c, &g, &more);
    assert_true(more > 0);
    assert_true(s->log[s->runs - 1].beta > 0);
    for (size_t i = 0; i < sizeof d; i++)
        assert_int_equal(d[i], 7);
    close_context(k);
}

static void a_choice_is_remembered(void **state)
{
    int more;
    (void)state;
    desk k = open_context(true, CARD);
    run_once(k.c, &plain, &more);
    close_context(k);
    s->ms[0] = 0.5; /* it would win now */
    k = open_context(true, CARD);
    assert_int_equal(run_once(k.c, &plain, &more), 4);
    assert_int_equal(more, 0);
    assert_int_equal(s->checks, 1);
    close_context(k);
    k = open_context(false, CARD); /* a deterministic run does not look there */
    assert_int_equal(run_once(k.c, &plain, &more), 1);
    close_context(k);
}

/* Whatever an algorithm depends on is in the key. */
static void other_keys_are_timed_again(void **state)
{
    const cuda_gemm other[] = {
        {M + 1, N, K, K, N, N, .in = TENSOR_BF16, .out = TENSOR_BF16},
        {M, N - 8, K, K, N, N, .in = TENSOR_BF16, .out = TENSOR_BF16},
        {M, N, K - 8, K, N, N, .in = TENSOR_BF16, .out = TENSOR_BF16},
        {M, N, K, K + 8, N, N, .in = TENSOR_BF16, .out = TENSOR_BF16},
        {M, N, K, K, N + 8, N, .in = TENSOR_BF16, .out = TENSOR_BF16},
        {M, N, K, K, N, N + 8, .in = TENSOR_BF16, .out = TENSOR_BF16},
        {M, N, K, M, N, N, .ta = true, .in = TENSOR_BF16, .out = TENSOR_BF16},
        {M, N, K, K, N, N, .tb = true, .in = TENSOR_BF16, .out = TENSOR_BF16},
        {M, N, K, K, N, N, .add = true, .in = TENSOR_BF16, .out = TENSOR_BF16},
        {M, N, K, K, N, N, .in = TENSOR_F32, .out = TENSOR_BF16},
        {M, N, K, K, N, N, .in = TENSOR_BF16, .out = TENSOR_F32},
        {M, N, K, K, N, N, .in = TENSOR_BF16, .out = TENSOR_BF16, .end = CUDA_GEMM_BIAS},
        {M, N, K, K, N, N, .in = TENSOR_BF16, .out = TENSOR_BF16, .end = CUDA_GEMM_GELU},
        {M, N, K, K, N, N, .in = TENSOR_BF16, .out = TENSOR_BF16, .end = CUDA_GEMM_DGELU},
    };
    int more;
    (void)state;
    desk k = open_context(true, CARD);
    run_once(k.c, &plain, &more);
    for (size_t i = 0; i < COUNT_OF(other); i++) {
        run_once(k.c, &other[i], &more);
        if (more == 0)
            fail_msg("shape %zu took the choice of another", i);
    }
    close_context(k);
    k = open_context(true, "another card");
    run_once(k.c, &plain, &more);
    assert_true(more > 0);
    close_context(k);
    s->version++;
    k = open_context(true, CARD);
    run_once(k.c, &plain, &more);
    assert_true(more > 0);
    for (size_t shift = 2; shift <= 128; shift *= 2) { /* less aligned pointers */
        cuda_gemm_call less = call;
        int before = s->runs;
        less.d = (char *)d + shift;
        cuda_gemm_run(k.c, &plain, &less);
        assert_true(s->runs - before > 1);
        assert_int_equal(s->align, shift);
    }
    close_context(k);
}

static bool first_file(void *ctx, const fs_entry *f, err *e)
{
    (void)e;
    snprintf(ctx, 512, "%s", f->path);
    return true;
}

/* A kept choice that is none: of another length, or refused by the library. */
static void a_wrong_choice_is_made_again(void **state)
{
    char key[CACHE_KEY_MAX] = "", path[512], log[600], *bytes;
    size_t n, len = 0;
    int more;
    err e = {0};
    (void)state;
    desk k = open_context(true, CARD);
    run_once(k.c, &plain, &more);
    assert_true(fs_walk(folder, first_file, path, &e));
    assert_true(fs_read(path, 4096, &bytes, &n, &e));
    memcpy(&len, bytes + 16, 4);
    memcpy(key, bytes + 56, len);
    assert_non_null(strstr(key, "cuBLASLt 130100, " CARD));
    const cublasLtMatmulAlgo_t wrong = {{99}};
    snprintf(log, sizeof log, "%s/said", folder);
    for (int i = 0; i < 2; i++) {
        cache_put(k.store, key, &wrong, i ? sizeof wrong : 5);
        desk other = open_context(true, CARD);
        said was = said_begin(log);
        int got = run_once(other.c, &plain, &more);
        assert_true(said_end(was, log, "product_ignored"));
        assert_int_equal(got, 4);
        assert_true(more > 0);
        cuda_gemm_close(other.c);
        cache_close(other.store);
    }
    mem_free(bytes);
    close_context(k);
}

/* Under capture nothing is timed, allocated or waited for. */
static void nothing_is_timed_while_captured(void **state)
{
    int more, before;
    (void)state;
    desk k = open_context(true, CARD);
    before = allocations;
    capturing = true;
    assert_int_equal(run_once(k.c, &plain, &more), 1);
    assert_int_equal(more, 0);
    assert_int_equal(events, 0);
    assert_int_equal(allocations, before);
    close_context(k);
}

static void without_memory_the_first_guess(void **state)
{
    char log[600];
    int more;
    (void)state;
    desk k = open_context(true, CARD);
    cuda_gemm two = plain;
    two.m++;
    room = 1000;
    snprintf(log, sizeof log, "%s/said", folder);
    said was = said_begin(log);
    assert_int_equal(run_once(k.c, &plain, &more), 1);
    assert_true(said_end(was, log, "products_not_timed"));
    was = said_begin(log);
    assert_int_equal(run_once(k.c, &two, &more), 1);
    assert_false(said_end(was, log, "products_not_timed")); /* it was said */
    assert_int_equal(more, 0);
    close_context(k);
}

/* Epilogues, and the pointers that the library is shown before it is asked. */
static void epilogues_are_asked_with_their_pointers(void **state)
{
    static const struct {
        cuda_gemm_end end;
        int epilogue;
        bool bias, aux;
    } row[] = {
        {CUDA_GEMM_PLAIN, CUBLASLT_EPILOGUE_DEFAULT, false, false},
        {CUDA_GEMM_BIAS, CUBLASLT_EPILOGUE_BIAS, true, false},
        {CUDA_GEMM_GELU, CUBLASLT_EPILOGUE_GELU_AUX_BIAS, true, true},
        {CUDA_GEMM_DGELU, CUBLASLT_EPILOGUE_DGELU, false, true},
        {CUDA_GEMM_BGRAD, CUBLASLT_EPILOGUE_BGRADB, true, false},
    };
    (void)state;
    desk k = open_context(true, CARD);
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        cuda_gemm g = plain;
        cuda_gemm_call own = call;
        float sums[M];
        g.end = row[i].end;
        g.out = g.end == CUDA_GEMM_BGRAD ? TENSOR_F32 : TENSOR_BF16;
        own.sums = sums;
        assert_true(cuda_gemm_has(k.c, &g, &own));
        assert_int_equal(s->epilogue, row[i].epilogue);
        const void *want = g.end == CUDA_GEMM_BGRAD ? (const void *)sums : bias;
        assert_ptr_equal(s->bias, row[i].bias ? want : NULL);
        assert_ptr_equal(s->aux, row[i].aux ? aux : NULL);
    }
    cuda_gemm g = plain;
    g.end = CUDA_GEMM_GELU;
    cuda_gemm_call no_aux = call;
    no_aux.aux = NULL;
    assert_true(cuda_gemm_has(k.c, &g, &no_aux));
    assert_int_equal(s->epilogue, CUBLASLT_EPILOGUE_GELU_BIAS);
    g.n = g.ldb = g.ldd = N + 1; /* rows of aux that the library does not take */
    assert_false(cuda_gemm_has(k.c, &g, &call));
    s->found = 0;
    g.n = g.ldb = g.ldd = N + 8;
    assert_false(cuda_gemm_has(k.c, &g, &call));
    close_context(k);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, desk_open, desk_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_guess_without_timing),
        TEST(the_fastest_of_the_guesses),
        TEST(timing_leaves_the_result_alone),
        TEST(a_choice_is_remembered),
        TEST(other_keys_are_timed_again),
        TEST(a_wrong_choice_is_made_again),
        TEST(nothing_is_timed_while_captured),
        TEST(without_memory_the_first_guess),
        TEST(epilogues_are_asked_with_their_pointers),
    };
    setenv("MAMMOVIT_CUDA_LIBS", STAND_IN_FOLDER, 1);
    void *library = dlopen(STAND_IN_FOLDER "/libcublasLt.so.13", RTLD_NOW | RTLD_LOCAL);
    void *at = library ? dlsym(library, "stand_in_of") : NULL;
    stand_in *(*of)(void);
    if (!at)
        BUG("%s", dlerror());
    memcpy(&of, &at, sizeof of);
    s = of();
    return cmocka_run_group_tests_name("gemm_choice", tests, NULL, NULL);
}
