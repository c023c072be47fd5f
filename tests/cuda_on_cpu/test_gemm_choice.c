/* How algorithms of matrix products are chosen and remembered, and who makes their ends
 * (model/cuda/gemm_cublaslt.c): its own file, the toolkit's headers, and stand-ins for cuBLASLt (a
 * library beside this program) and for the few calls of the runtime, below. No card is needed. */
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
static float sums[M] ALIGNED, parts[M] ALIGNED;
static const cuda_gemm_call call = {a, b, d, bias, aux, sums, parts};

/* What makes the ends that the library does not make. */
static struct {
    int runs;
    double ms; /* of one run */
    bool done; /* as the last run was told */
    cuda_gemm_call call;
    bool touched; /* sums that are not a timing's own, in a run before the last */
} ours;

static void finish(void *ctx, const cuda_gemm *g, const cuda_gemm_call *now, bool done)
{
    assert_ptr_equal(ctx, &ours);
    assert_true(g->end > CUDA_GEMM_BIAS);
    ours.touched = ours.touched || (ours.runs && ours.call.sums == sums);
    ours.runs++;
    ours.done = done;
    ours.call = *now;
    s->clock += done ? 0 : ours.ms;
}

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
    memset(&ours, 0, sizeof ours);
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
    desk k = {cache_open(folder, CACHE_LIMIT), cuda_gemm_open(NULL, finish, &ours, &e)};
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
    s->workspace[3] = ((size_t)32 << 20) + 1; /* more than it is lent */
    k = open_context(true, CARD);
    assert_int_equal(run_once(k.c, &plain, &more), 1);
    assert_true(more > 0);
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
        {M, N, K, K, N, N, .in = TENSOR_BF16, .out = TENSOR_BF16, .end = CUDA_GEMM_BGRAD},
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
    close_context(k);
}

/* The library also reads off the pointers of an end what they are multiples of. */
static void less_aligned_pointers_are_timed_again(void **state)
{
    static const cuda_gemm_end ends[] = {CUDA_GEMM_PLAIN, CUDA_GEMM_BIAS, CUDA_GEMM_DGELU,
                                         CUDA_GEMM_BGRAD};
    (void)state;
    desk k = open_context(true, CARD);
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        cuda_gemm g = plain;
        g.end = ends[i];
        g.out = g.end == CUDA_GEMM_BGRAD ? TENSOR_F32 : TENSOR_BF16;
        for (size_t shift = 4; shift <= 128; shift *= 2) {
            cuda_gemm_call less = call;
            int before = s->runs;
            less.d = d + (g.end == CUDA_GEMM_PLAIN ? shift : 0);
            less.bias = bias + (g.end == CUDA_GEMM_BIAS ? shift : 0);
            less.aux = aux + (g.end == CUDA_GEMM_DGELU ? shift : 0);
            less.parts = parts + (g.end == CUDA_GEMM_BGRAD ? shift / sizeof *parts : 0);
            cuda_gemm_run(k.c, &g, &less);
            assert_true(s->runs - before > 1);
            assert_int_equal(s->align, shift);
        }
    }
    close_context(k);
}

static bool first_file(void *ctx, const fs_entry *f, err *e)
{
    (void)e;
    snprintf(ctx, 512, "%s", f->path);
    return true;
}

/* A kept choice that is none: of another length, refused by the library, of an end that a plain
 * product does not have, or of none. */
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
    const struct {
        cublasLtMatmulAlgo_t algo;
        int64_t way;
    } wrong[] = {{{{4}}, 0}, {{{99}}, 0}, {{{4}}, 1}, {{{4}}, 7}};
    snprintf(log, sizeof log, "%s/said", folder);
    for (int i = 0; i < 4; i++) {
        cache_put(k.store, key, &wrong[i], i ? sizeof wrong[i] : 5);
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

/* A product with such an end, run once: what of it the library made, and where it wrote. */
static const stand_in_run *ended(cuda_gemm_context *c, cuda_gemm_end end, const cuda_gemm_call *at)
{
    cuda_gemm g = plain;
    g.end = end;
    g.out = end == CUDA_GEMM_BGRAD ? TENSOR_F32 : TENSOR_BF16;
    g.add = end == CUDA_GEMM_BGRAD;
    memset(&ours.call, 0, sizeof ours.call);
    cuda_gemm_run(c, &g, at);
    if (end > CUDA_GEMM_BIAS)
        assert_memory_equal(&ours.call, at, sizeof *at); /* it is told where the values lie */
    return &s->log[(s->runs - 1) % STAND_IN_LOG];
}

/* Who makes an end without timing; with its pointers, before the library is asked and when it runs.
 * What the library lacks is made by ours. */
static void ends_without_timing(void **state)
{
    static const struct {
        cuda_gemm_end end;
        int lacks, epilogue;
        bool no_aux, done;
        const void *to, *bias, *aux;
    } row[] = {
        {CUDA_GEMM_PLAIN, 0, CUBLASLT_EPILOGUE_DEFAULT, false, false, d, NULL, NULL},
        {CUDA_GEMM_BIAS, 0, CUBLASLT_EPILOGUE_BIAS, false, false, d, bias, NULL},
        {CUDA_GEMM_GELU, 0, CUBLASLT_EPILOGUE_GELU_AUX_BIAS, false, true, d, bias, aux},
        {CUDA_GEMM_GELU, 0, CUBLASLT_EPILOGUE_GELU_BIAS, true, true, d, bias, NULL},
        {CUDA_GEMM_GELU, CUBLASLT_EPILOGUE_GELU_AUX_BIAS, CUBLASLT_EPILOGUE_BIAS, false, false, aux,
         bias, NULL},
        {CUDA_GEMM_GELU, CUBLASLT_EPILOGUE_GELU_BIAS, CUBLASLT_EPILOGUE_BIAS, true, false, d, bias,
         NULL},
        {CUDA_GEMM_DGELU, 0, CUBLASLT_EPILOGUE_DEFAULT, false, false, d, NULL, NULL},
        {CUDA_GEMM_DGELU, CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_DGELU, false, true, d, NULL,
         aux},
        {CUDA_GEMM_BGRAD, 0, CUBLASLT_EPILOGUE_DEFAULT, false, false, d, NULL, NULL},
        {CUDA_GEMM_BGRAD, CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_BGRADB, false, true, d,
         parts, NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        desk k = open_context(false, CARD);
        cuda_gemm_call at = call;
        int before = s->runs, of_ours = ours.runs;
        s->lacks = row[i].lacks;
        at.aux = row[i].no_aux ? NULL : at.aux;
        const stand_in_run *last = ended(k.c, row[i].end, &at);
        assert_int_equal(s->runs, before + 1);
        assert_int_equal(ours.runs, of_ours + (row[i].end > CUDA_GEMM_BIAS));
        assert_int_equal(last->epilogue, row[i].epilogue);
        assert_ptr_equal(last->d, row[i].to);
        assert_ptr_equal(last->bias, row[i].bias);
        assert_ptr_equal(last->aux, row[i].aux);
        if (row[i].end > CUDA_GEMM_BIAS)
            assert_int_equal(ours.done, row[i].done);
        close_context(k);
    }
}

/* Rows of aux that the library does not take. */
static void odd_rows_are_ours(void **state)
{
    (void)state;
    desk k = open_context(true, CARD);
    cuda_gemm g = plain;
    g.end = CUDA_GEMM_GELU;
    g.n = g.ldb = g.ldd = N + 1;
    s->ends_ms = -0.5; /* it would win */
    cuda_gemm_run(k.c, &g, &call);
    assert_false(ours.done);
    assert_int_equal(s->log[(s->runs - 1) % STAND_IN_LOG].epilogue, CUBLASLT_EPILOGUE_BIAS);
    close_context(k);
}

/* With timing the faster of the two makes the end: the library's product against a plainer one and
 * our kernel. The next program remembers who it was. */
static void ends_race(void **state)
{
    static const cuda_gemm_end ends[] = {CUDA_GEMM_GELU, CUDA_GEMM_DGELU, CUDA_GEMM_BGRAD};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        for (int done = 0; done < 2; done++) {
            char card[64];
            snprintf(card, sizeof card, "card %zu %d", i, done);
            s->ends_ms = done ? 0.25 : 0.75;
            ours.ms = 0.5;
            ours.runs = 0;
            ours.touched = false;
            desk k = open_context(true, card);
            const stand_in_run *last = ended(k.c, ends[i], &call);
            assert_int_equal(ours.done, done);
            assert_int_equal(last->algo, 4);
            assert_int_equal(ours.runs, 2 * 6 * 6 + 1);
            assert_false(ours.touched);
            close_context(k);
            s->ends_ms = done ? 0.75 : 0.25;
            ours.runs = 0;
            k = open_context(true, card);
            ended(k.c, ends[i], &call);
            assert_int_equal(ours.done, done);
            assert_int_equal(ours.runs, 1);
            close_context(k);
        }
    }
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
        TEST(less_aligned_pointers_are_timed_again),
        TEST(a_wrong_choice_is_made_again),
        TEST(nothing_is_timed_while_captured),
        TEST(without_memory_the_first_guess),
        TEST(ends_without_timing),
        TEST(odd_rows_are_ours),
        TEST(ends_race),
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
