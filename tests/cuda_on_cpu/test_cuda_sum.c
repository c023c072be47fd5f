/* Sums of gradients on the CUDA backend: micro-batches in memory; two processes through a stand-in
 * for NCCL that writes down what it is asked for and works when its stream comes to it. Late and
 * drawn streams show a bucket that leaves too early and a sum that nobody waits for as other bytes.
 * On a card: NCCL itself, with a group of one. */
#include "tests/cuda_on_cpu/device.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/log.h"
#include "tests/cuda_on_cpu/cases.h"
#include "tests/cuda_on_cpu/nccl_stand_in.h"
#include "tests/step_leaf.h"

/* When work of a stream runs (shim_streams.h). */
void cuda_on_cpu_streams(int delay, uint64_t seed) WEAK;

#define LEAVES 4
#define LIMIT  2e-5
#define HALF   2e-2 /* bf16 on the way */

typedef struct place { /* one process's network on one device */
    backend *be;
    model *net;
    run *r;
} place;

static pool *threads;
static nccl_stand_in *library; /* NULL: NCCL itself */
static bool no_library;        /* the emulator without the stand-in */
static step_image image[LEAVES];

static place place_new(backend *be)
{
    return (place){be, step_model(be, 2), run_new(be, RUN_TRAIN)};
}

static void place_free(place *p)
{
    run_free(p->r);
    model_free(p->net);
    backend_free(p->be);
}

static int64_t count_of(const place *p)
{
    return param_grads(model_params(p->net));
}

/* The gradients of a step with these micro-batches, read back. */
static float *step(place *p, grads *g, int first, int count, int active)
{
    grads_begin(g, &(grads_share){.count = count, .active = active});
    for (int i = first; i < first + count; i++)
        step_leaf(p->net, p->r, g, image, i);
    grads_end(g);
    float *out = MEM_ARRAY(float, count_of(p));
    backend_to_host(p->be, out, model_params(p->net)->g, (size_t)count_of(p) * sizeof(float));
    return out;
}

static float *on_cpu(int first, int count)
{
    err e = {0};
    place p = place_new(backend_new("cpu", threads, &e));
    grads *g = grads_new(model_params(p.net), 1 << 20);
    float *x = step(&p, g, first, count, 1);
    grads_free(g);
    place_free(&p);
    return x;
}

/* One step of one process on the card, alone. */
static float *on_card_alone(int first, int count)
{
    err e = {0};
    place p = place_new(cuda_open(0, threads, &e));
    grads *g = grads_new(model_params(p.net), 1 << 20);
    float *x = step(&p, g, first, count, 1);
    grads_free(g);
    place_free(&p);
    return x;
}

static void tell_library(const nccl_stand_in *other)
{
    assert_int_equal(library->joined, 1);
    assert_int_equal(library->calls, 1); /* joining ends with a sum */
    free(library->kept[0]);
    library->kept[0] = NULL;
    library->calls = 0;
    library->other = other;
    library->wrong = NULL;
}

/* What it wrote; the copies go with the record. Places, not addresses. */
static void take_record(const param_set *s, tensor_type travel, nccl_stand_in *out)
{
    *out = *library;
    memset(library->kept, 0, sizeof library->kept);
    for (int i = 0; i < out->calls; i++)
        assert_non_null(out->kept[i]); /* else it is still to come */
    library->calls = 0;
    library->other = NULL;
    for (int i = 0; i < out->calls && travel == TENSOR_F32; i++)
        out->call[i].x = (void *)((const float *)library->call[i].x - (size_t)s->g / sizeof(float));
}

/* What a process of a group does there. */
typedef struct member {
    int first, count; /* micro-batches */
    tensor_type travel;
    const nccl_stand_in *other; /* what it meets */
    int steps;                  /* all the same */
    bool calls;                 /* no graphs */
    /* filled */
    nccl_stand_in wrote;
    backend_graphed before, graphs; /* before the last step, and in the end */
} member;

/* The gradients of its last step. */
static float *on_card_as(member *w)
{
    err e = {0};
    float *x = NULL;
    backend *be = cuda_open(0, threads, &e);
    if (library)
        library->calls = 0;
    if (!be || !backend_join(be, NULL, w->travel, &e))
        fail_msg("%s", e.msg);
    if (library)
        tell_library(w->other);
    backend_graphs(be, !w->calls);
    place p = place_new(be);
    grads *g = grads_new(model_params(p.net), (size_t)1 << 19);
    for (int i = 0; i < w->steps; i++) {
        backend_graphs_done(be, &w->before);
        float *now = step(&p, g, w->first, w->count, 2);
        assert_true(!x || !memcmp(now, x, (size_t)count_of(&p) * sizeof(float)));
        mem_free(x);
        x = now;
    }
    backend_graphs_done(be, &w->graphs);
    assert_true(!library || library->calls <= NCCL_CALLS);
    if (library && library->wrong)
        fail_msg("%s", library->wrong);
    if (library)
        take_record(model_params(p.net), w->travel, &w->wrote);
    grads_free(g);
    place_free(&p);
    assert_true(!library || library->joined == 0);
    return x;
}

static float *on_card(int first, int count, tensor_type travel, const nccl_stand_in *other,
                      nccl_stand_in *wrote)
{
    member w = {.first = first, .count = count, .travel = travel, .other = other, .steps = 1};
    float *x = on_card_as(&w);
    *wrote = w.wrote;
    return x;
}

static void forget(nccl_stand_in *w)
{
    for (int i = 0; i < w->calls; i++)
        free(w->kept[i]);
}

static int setup(void **state)
{
    threads = pool_new(1);
    step_images(image, LEAVES);
    if (!cuda_on_cpu_streams)
        return 0;
    const char *build = getenv("BUILD");
    char path[4096];
    snprintf(path, sizeof path, "%s/shim/nccl", build && *build ? build : "build");
    setenv("MAMMOVIT_CUDA_LIBS", path, 1);
    strncat(path, "/libnccl.so.2", sizeof path - strlen(path) - 1);
    void *at = dlopen(path, RTLD_NOW);
    no_library = !at;
    if (at) {
        library = dlsym(at, "nccl_stand_in_state");
        library->version = 22809;
    }
    return 0;
}

static int teardown(void **state)
{
    pool_free(threads);
    return 0;
}

#define SKIP_IF(why_not, reason)                                                                   \
    do {                                                                                           \
        if (why_not) {                                                                             \
            printf("skip: " reason "\n");                                                          \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

/* ---- tests ----------------------------------------------------------------------------------- */

/* Any length, and nothing behind it. */
static void test_fold(void **state)
{
    device d = device_new();
    for (int64_t n = 1; n < 3000; n = n * 2 + n % 3) {
        float *host = MEM_ARRAY(float, 2 * n + 8), *x = backend_alloc(d.cuda, (size_t)n * 4 + 16),
              *y = backend_alloc(d.cuda, (size_t)n * 4);
        for (int64_t i = 0; i < 2 * n + 8; i++)
            host[i] = (float)i * 0.3F;
        backend_to_device(d.cuda, x, host, (size_t)n * 4 + 16);
        backend_to_device(d.cuda, y, host + n, (size_t)n * 4);
        backend_fold(d.cuda, x, y, n);
        float *got = MEM_ARRAY(float, n + 4);
        backend_to_host(d.cuda, got, x, (size_t)n * 4 + 16);
        for (int64_t i = 0; i < n + 4; i++)
            assert_true(got[i] == (i < n ? host[i] + host[n + i] : host[i]));
        mem_free(got);
        mem_free(host);
        backend_dealloc(d.cuda, x);
        backend_dealloc(d.cuda, y);
    }
    device_free(&d);
}

/* Process 0 has micro-batches 0 and 1, process 1 has 2 and 3: the sum of both is the step that the
 * CPU makes alone, with streams of every kind, and the same bytes in all of them. */
static void two_processes(tensor_type travel, double limit)
{
    SKIP_IF(!library, "the other process is a stand-in, which is not here");
    float *want = on_cpu(0, LEAVES), *first = NULL;
    for (int kind = 0; kind < 3 + 3; kind++) {
        nccl_stand_in one, zero;
        cuda_on_cpu_streams(kind < 3 ? kind : 3, (uint64_t)kind);
        float *x1 = on_card(2, 2, travel, NULL, &one);
        float *x0 = on_card(0, 2, travel, &one, &zero);
        err e = {0};
        backend *be = backend_new("cpu", threads, &e);
        place p = place_new(be);
        double off = device_error(want, x0, count_of(&p));
        if (first) /* whenever the work is done */
            assert_memory_equal(first, x0, (size_t)count_of(&p) * sizeof(float));
        place_free(&p);
        if (!(off <= limit))
            fail_msg("streams %d: off by %g", kind, off);
        assert_int_equal(zero.calls, one.calls);
        assert_true(zero.calls > 3);
        for (int i = 0; i < zero.calls; i++) {
            assert_true(zero.call[i].n == one.call[i].n);
            assert_true(travel != TENSOR_F32 || zero.call[i].x == one.call[i].x);
            assert_int_equal(zero.call[i].type, travel == TENSOR_F32 ? 7 : 9);
            assert_ptr_equal(zero.call[i].stream, zero.call[0].stream);
        }
        /* the first bucket left while much of the walk was still to come */
        assert_true(zero.call[zero.calls - 1].before > zero.call[0].before + 50);
        first = first ? first : x0;
        forget(&one);
        forget(&zero);
        mem_free(x1);
        if (first != x0)
            mem_free(x0);
    }
    cuda_on_cpu_streams(0, 0);
    mem_free(first);
    mem_free(want);
}

static void test_two_f32(void **state)
{
    two_processes(TENSOR_F32, LIMIT);
}

static void test_two_bf16(void **state)
{
    two_processes(TENSOR_BF16, HALF);
}

/* A step that comes again: the same sums in the same order on one stream in both processes, none of
 * them in a graph, everything between them launched as graphs, one from each sum to the next; and
 * the bytes are those of single calls. */
static void test_graphs_between_sums(void **state)
{
    SKIP_IF(!library, "the other process is a stand-in, which is not here");
    enum { STEPS = 4 };
    float *want = NULL;
    for (int kind = 0; kind < 4; kind++) {
        for (int calls = 1; calls >= 0; calls--) {
            cuda_on_cpu_streams(kind, 5);
            member one = {.first = 2, .count = 2, .steps = STEPS, .calls = calls}, zero = one;
            float *x1 = on_card_as(&one);
            zero.first = 0;
            zero.other = &one.wrote;
            float *x0 = on_card_as(&zero);
            place p = place_new(backend_new("cpu", threads, &(err){0}));
            assert_true(!want || !memcmp(want, x0, (size_t)count_of(&p) * sizeof(float)));
            place_free(&p);
            int n = zero.wrote.calls / STEPS;
            assert_int_equal(zero.wrote.calls, STEPS * n);
            assert_int_equal(one.wrote.calls, STEPS * n);
            for (int i = 0; i < STEPS * n; i++) {
                const nccl_call *c = &zero.wrote.call[i], *d = &one.wrote.call[i],
                                *first = &zero.wrote.call[i % n];
                assert_true(c->x == d->x && c->n == d->n && c->type == d->type);
                assert_true(c->x == first->x && c->n == first->n && c->stream == first->stream);
                if (!calls && i >= 2 * n && i % n)
                    assert_int_equal(c->graphs - c[-1].graphs, 1);
            }
            assert_int_equal(zero.graphs.issued - zero.before.issued, 0);
            assert_int_equal(zero.graphs.launched - zero.before.launched, calls ? 0 : n + 1);
            assert_int_equal(zero.graphs.evicted, 0);
            if (want)
                mem_free(x0);
            want = want ? want : x0;
            mem_free(x1);
            forget(&one.wrote);
            forget(&zero.wrote);
        }
    }
    cuda_on_cpu_streams(0, 0);
    mem_free(want);
}

/* What the library takes with its first sum is known when the group is joined. */
static void test_what_the_library_takes(void **state)
{
    SKIP_IF(!library, "the stand-in for NCCL is not here");
    err e = {0};
    backend_fixed alone, joined;
    backend *be = cuda_open(0, threads, &e);
    backend_fixed_of(be, 0, &alone);
    library->channels = 5 << 20;
    assert_true(backend_join(be, NULL, TENSOR_BF16, &e));
    backend_fixed_of(be, 0, &joined);
    assert_int_equal(joined.libraries - alone.libraries, 5 << 20);
    library->channels = 0;
    nccl_stand_in wrote;
    take_record(NULL, TENSOR_BF16, &wrote);
    forget(&wrote);
    backend_free(be);
}

static bool lacks_nccl(void)
{
    err e = {0};
    backend *be = cuda_open(0, threads, &e);
    bool lacks = be && !backend_join(be, NULL, TENSOR_F32, &e) && strstr(e.msg, "was not found");
    backend_free(be);
    return lacks;
}

/* A group of one changes nothing; one without a micro-batch brings zeros and asks for the same. */
static void test_alone_and_idle(void **state)
{
    SKIP_IF(no_library || lacks_nccl(), "no NCCL and no stand-in for it here");
    nccl_stand_in busy = {0}, idle = {0};
    float *want = on_card_alone(0, 1), *x = on_card(0, 1, TENSOR_F32, NULL, &busy),
          *none = on_card(0, 0, TENSOR_F32, NULL, &idle);
    err e = {0};
    place p = place_new(backend_new("cpu", threads, &e));
    assert_true(device_error(want, x, count_of(&p)) < 1e-6);
    for (int64_t i = 0; i < count_of(&p); i++)
        assert_true(none[i] == 0);
    place_free(&p);
    assert_int_equal(busy.calls, idle.calls);
    for (int i = 0; i < busy.calls; i++)
        assert_true(busy.call[i].n == idle.call[i].n);
    float *half = on_card(0, 1, TENSOR_BF16, NULL, &idle);
    p = place_new(backend_new("cpu", threads, &e));
    assert_true(device_error(want, half, count_of(&p)) < HALF);
    place_free(&p);
    forget(&busy);
    mem_free(want);
    mem_free(x);
    mem_free(none);
    mem_free(half);
}

/* A fault that NCCL reports while sums are on their way ends this process, with the words. */
static void test_fault(void **state)
{
    SKIP_IF(!library, "the stand-in for NCCL is not here");
    char said[400] = "";
    int ends[2], status = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        nccl_stand_in wrote;
        dup2(ends[1], 2);
        cuda_on_cpu_streams(1, 0);
        library->fault = 3;
        on_card(0, 1, TENSOR_F32, NULL, &wrote);
        _exit(99);
    }
    close(ends[1]);
    for (size_t at = 0; at < sizeof said - 1;) {
        ssize_t n = read(ends[0], said + at, sizeof said - 1 - at);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), err_exit(ERR_IO));
    assert_non_null(strstr(said, "internal error; the job ends, the same command continues"));
}

static void refused(const char *words)
{
    err e = {0};
    backend *be = cuda_open(0, threads, &e);
    assert_non_null(be);
    assert_false(backend_join(be, NULL, TENSOR_F32, &e));
    if (e.code != ERR_CONFIG || !strstr(e.msg, words))
        fail_msg("%s", e.msg);
    backend_free(be);
}

static void test_refusals(void **state)
{
    SKIP_IF(!library, "the stand-in for NCCL is not here");
    library->version = 2804;
    refused("libnccl.so.2 is version 2804, at least 21000 is needed");
    library->version = 22809;
    library->refuse = 5;
    refused("NCCL: joining the group: invalid usage");
    library->refuse = 0;
}

static NORETURN void child_whose_sums_fail(void)
{
    err e = {0};
    backend *be = cuda_open(0, threads, &e);
    if (!be || !backend_join(be, NULL, TENSOR_F32, &e))
        _exit(98);
    library->fails = 3;
    place p = place_new(be);
    step(&p, grads_new(model_params(p.net), (size_t)1 << 19), 0, 1, 2);
    _exit(97);
}

/* A peer that is gone is no bug of ours: the job ends with the library's words. */
static void test_a_sum_that_fails(void **state)
{
    SKIP_IF(!library, "the stand-in for NCCL is not here");
    const char *top = getenv("TMPDIR");
    char path[300], *said;
    size_t len;
    int status = 0;
    err e = {0};
    snprintf(path, sizeof path, "%s/sum_fails.%d", top && *top ? top : "/tmp", (int)getpid());
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        if (freopen(path, "w", stderr) && !setvbuf(stderr, NULL, _IONBF, 0))
            child_whose_sums_fail();
        _exit(99);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), err_exit(ERR_IO));
    assert_true(fs_read(path, 1 << 16, &said, &len, &e));
    assert_non_null(strstr(said, "values by NCCL: internal error; the job ends"));
    unlink(path);
    mem_free(said);
}

int main(int argc, char **argv)
{
    log_set_level(LOG_ERROR);
    struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fold),
        cmocka_unit_test(test_two_f32),
        cmocka_unit_test(test_two_bf16),
        cmocka_unit_test(test_graphs_between_sums),
        cmocka_unit_test(test_what_the_library_takes),
        cmocka_unit_test(test_alone_and_idle),
        cmocka_unit_test(test_fault),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_a_sum_that_fails),
    };
    (void)argc;
    return _cmocka_run_group_tests("cuda_sum", tests,
                                   cases_chosen(tests, COUNT_OF(tests), argv + 1), setup, teardown);
}
