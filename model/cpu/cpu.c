/* The CPU device: opening, memory, sums over parts, and the table of its functions. */
#include "model/cpu/cpu.h"

#include <math.h>
#include <omp.h>
#include <string.h>
#include <time.h>

#include "model/cpu/gemm.h"
#include "model/laps.h"

#define SUM_COLUMNS 256 /* columns of one piece of cpu_sum_parts */

float *cpu_scratch_get(cpu_scratch *s, size_t n)
{
    if (n > s->n) {
        mem_free(s->data);
        s->data = mem_alloc(n * sizeof(float));
        s->n = n;
    }
    return s->data;
}

typedef struct sum_job {
    const kernels *k;
    float *g;
    const float *parts;
    int64_t count;
    int n;
} sum_job;

static void sum_piece(void *ctx, int64_t i, int thread)
{
    const sum_job *j = ctx;
    int from = (int)i * SUM_COLUMNS;
    int n = j->n - from < SUM_COLUMNS ? j->n - from : SUM_COLUMNS;
    for (int64_t p = 0; p < j->count; p++)
        j->k->add(j->g + from, j->parts + p * j->n + from, n);
}

void cpu_sum_parts(cpu *c, float *g, const float *parts, int64_t count, int n)
{
    sum_job j = {c->k, g, parts, count, n};
    int pieces = (n + SUM_COLUMNS - 1) / SUM_COLUMNS;
    if (count * n < 65536) {
        for (int i = 0; i < pieces; i++)
            sum_piece(&j, i, 0);
    } else {
        pool_for(c->base.pool, pieces, sum_piece, &j);
    }
}

static void *cpu_alloc(backend *be, size_t bytes)
{
    (void)be;
    return mem_alloc(bytes);
}

static void cpu_dealloc(backend *be, void *p)
{
    (void)be;
    mem_free(p);
}

static void cpu_zero(backend *be, void *p, size_t bytes)
{
    (void)be;
    memset(p, 0, bytes);
}

static void cpu_copy(backend *be, void *dst, const void *src, size_t bytes)
{
    laps_class was = laps_enter(be, LAPS_COPIES);
    if (bytes)
        memcpy(dst, src, bytes);
    laps_enter(be, was);
}

static void *cpu_mark(backend *be, void *mark)
{
    struct timespec *t = mark ? mark : MEM_NEW(struct timespec);
    (void)be;
    clock_gettime(CLOCK_MONOTONIC, t);
    return t;
}

static double cpu_between(backend *be, void *from, void *to)
{
    const struct timespec *a = from, *b = to;
    (void)be;
    return (double)(b->tv_sec - a->tv_sec) + 1e-9 * (double)(b->tv_nsec - a->tv_nsec);
}

static void cpu_unmark(backend *be, void *mark)
{
    (void)be;
    mem_free(mark);
}

/* Everything is done when it is asked for, and the host's memory is the device's. */
static void cpu_begin(backend *be)
{
}

static int64_t cpu_end(backend *be)
{
    return 0;
}

static void cpu_wait(backend *be, int64_t piece)
{
}

static void cpu_graphs(backend *be, bool on)
{
}

static void *cpu_stage(backend *be, const void *x, size_t bytes)
{
    return NULL;
}

static void *cpu_lock_alloc(backend *be, size_t bytes)
{
    return NULL;
}

static void cpu_lock_free(backend *be, void *p)
{
}

static int64_t cpu_nonfinite(backend *be, const tensor *t)
{
    (void)be;
    for (int64_t i = 0; i < tensor_count(t); i++) {
        if (!isfinite(t->x[i]))
            return i;
    }
    return -1;
}

static void cpu_close(backend *be)
{
    cpu *c = cpu_of(be);
    gemm_close(c);
    for (int t = 0; t < c->threads; t++) {
        dnnl_stream_destroy(c->stream[t]);
        mem_free(c->own[t].data);
        mem_free(c->library[t].data);
    }
    mem_free(c->shared.data);
    mem_free(c->stream);
    mem_free(c->own);
    mem_free(c->library);
    dnnl_engine_destroy(c->engine);
    mem_free(c);
}

/* Every sum has an order of its own here, for any number of threads: deterministic is a fact. */
static bool cpu_compute(backend *be, const backend_how *how, err *e)
{
    (void)be;
    return how->precision == BACKEND_F32 ||
           err_set(e, ERR_CONFIG,
                   "precision bf16%s: the cpu backend computes in f32; GELU's tanh form is "
                   "model.gelu: tanh",
                   how->precision == BACKEND_BF16_FAST ? "_fast" : "");
}

static size_t cpu_workspace(const backend *be)
{
    const cpu *c = (const cpu *)be;
    size_t floats = c->shared.n;
    for (int t = 0; t < c->threads; t++)
        floats += c->own[t].n + c->library[t].n;
    return c->packed + floats * sizeof(float);
}

static int64_t cpu_room(backend *be)
{
    (void)be;
    return mem_machine();
}

static void cpu_fixed(const backend *be, size_t staged, backend_fixed *out)
{
    (void)be;
    (void)staged;
    *out = (backend_fixed){0};
}

static const backend_ops cpu_ops = {
    .name = "cpu",
    .close = cpu_close,
    .compute = cpu_compute,
    .alloc = cpu_alloc,
    .dealloc = cpu_dealloc,
    .zero = cpu_zero,
    .to_host = cpu_copy,
    .to_device = cpu_copy,
    .drop_pack = gemm_pack_drop,
    .step_sgd = cpu_step_sgd,
    .step_adamw = cpu_step_adamw,
    .grad_norms = cpu_grad_norms,
    .fold = cpu_fold,
    .join = cpu_join,
    .sum_start = cpu_sum_start,
    .sum_wait = cpu_sum_wait,
    .grad_scales = cpu_grad_scales,
    .begin = cpu_begin,
    .end = cpu_end,
    .later = cpu_copy,
    .wait = cpu_wait,
    .graphs = cpu_graphs,
    .stage = cpu_stage,
    .lock_alloc = cpu_lock_alloc,
    .lock_free = cpu_lock_free,
    .nonfinite = cpu_nonfinite,
    .plan = cpu_plan,
    .workspace = cpu_workspace,
    .room = cpu_room,
    .fixed = cpu_fixed,
    .copy = cpu_copy,
    .mark = cpu_mark,
    .between = cpu_between,
    .unmark = cpu_unmark,
    .op =
        {
#define X(upper, lower) [OP_##upper] = {cpu_##lower##_forward, cpu_##lower##_backward},
            OP_LIST(X)
#undef X
        },
};
/* The table above names one pair of functions for each line of OP_LIST, and has room for no more.
 */
#define X(upper, lower) +1
_Static_assert(COUNT_OF(cpu_ops.op) == 0 OP_LIST(X), "the CPU backend implements every op");
#undef X

static const struct {
    dnnl_cpu_isa_t isa;
    const char *name;
    bool avx512, avx2;
} isas[] = {
    {dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx", true, true},
    {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16", true, true},
    {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni", true, true},
    {dnnl_cpu_isa_avx512_core, "avx512_core", true, true},
    {dnnl_cpu_isa_avx2_vnni, "avx2_vnni", false, true},
    {dnnl_cpu_isa_avx2, "avx2", false, true},
    {dnnl_cpu_isa_avx, "avx", false, false},
    {dnnl_cpu_isa_sse41, "sse41", false, false},
};

backend *cpu_open(pool *p, err *e)
{
    cpu *c = MEM_NEW(cpu);
    c->base.ops = &cpu_ops;
    c->base.pool = p;
    c->threads = pool_threads(p);
    text_copy(c->base.isa, sizeof c->base.isa, "plain");
    c->k = kernels_for(false, false);
    dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    for (size_t i = 0; i < COUNT_OF(isas); i++) {
        if (isas[i].isa == isa) {
            text_copy(c->base.isa, sizeof c->base.isa, isas[i].name);
            c->k = kernels_for(isas[i].avx512, isas[i].avx2);
        }
    }
    omp_set_num_threads(1);
    if (dnnl_engine_create(&c->engine, dnnl_cpu, 0) != dnnl_success) {
        err_set(e, ERR_CONFIG, "oneDNN has no CPU engine on this machine (SSE4.1 is needed)");
        mem_free(c);
        return NULL;
    }
    c->stream = MEM_ARRAY(dnnl_stream_t, c->threads);
    c->own = MEM_ARRAY(cpu_scratch, c->threads);
    c->library = MEM_ARRAY(cpu_scratch, c->threads);
    for (int t = 0; t < c->threads; t++) {
        if (dnnl_stream_create(&c->stream[t], c->engine, dnnl_stream_in_order) != dnnl_success)
            BUG("oneDNN: no stream on the CPU engine");
    }
    return &c->base;
}
