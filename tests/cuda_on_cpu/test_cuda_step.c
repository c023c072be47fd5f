/* Training steps as pieces of work on the CUDA backend: graphs or single calls, streams that run
 * late, several token counts and accumulation give the same bytes; a step that comes again is one
 * launch without an allocation; the cache of graphs is bounded; a NaN stops the weights. */
#include "tests/cuda_on_cpu/cases.h"
#include "tests/cuda_on_cpu/device.h"

#include <stdio.h>

#include "model/model.h"
#include "tests/fixtures/deit/formula.h"
#include "train/optim.h"

enum { BATCH = 2, SIDE = 32, PIXELS = SIDE * SIDE, RING = 3, STEPS = 7, MOST = 64 };

/* streams.cc: 0 at once, 1 when forced, 2 the first stream late, 3 drawn. Absent on a card, as are
 * the counts. */
void cuda_on_cpu_streams(int delay, uint64_t seed) WEAK;
typedef struct counts {
    uint64_t allocations, waits, submitted, graphs, instantiated, updated;
} counts;
void cuda_on_cpu_counts(uint64_t out[6]) WEAK;

static counts counted(void)
{
    uint64_t n[6] = {0};
    if (cuda_on_cpu_counts)
        cuda_on_cpu_counts(n);
    return (counts){n[0], n[1], n[2], n[3], n[4], n[5]};
}

/* What a training does. */
typedef struct plan {
    backend_precision precision;
    int delay, accum;
    uint64_t seed;
    bool same;          /* train.deterministic */
    bool calls;         /* no graphs */
    int limit;          /* of the cache of graphs; 0 = the backend's own */
    int kept[4], kinds; /* patches of step k: kept[k % kinds] of 16 */
    int steps;
    optim_kind kind;
    int nan_at; /* a micro-batch whose labels' weights make its loss NaN, from 1 */
} plan;

typedef struct outcome {
    float loss[MOST];
    double norm[MOST];
    float *weights;
    int64_t n;
    size_t held; /* bytes of the device beside what was asked for */
    backend_graphed graphs;
    counts before_last, after; /* around the last step */
} outcome;

typedef struct lab {
    device d;
    model *m;
    run *r;
    optim *o;
    uint16_t *pixels; /* RING batches that the card fetches by itself */
    const uint16_t *image[BATCH];
    int32_t keep[BATCH * 16], label[BATCH];
    float weight[BATCH];
    int micro;
} lab;

static void delay_streams(int delay, uint64_t seed)
{
    if (cuda_on_cpu_streams)
        cuda_on_cpu_streams(delay, seed);
}

static void lab_open(lab *l, const plan *p)
{
    static const model_cfg tiny = {.name = "deit_tiny_patch16_224",
                                   .image_h = SIDE,
                                   .image_w = SIDE,
                                   .patch = 8,
                                   .depth = 1,
                                   .channels = 1,
                                   .classes = 3,
                                   .head_init = 0.02,
                                   .keep_rate = 1,
                                   .evit_keep = 0.7};
    err e = {0};
    memset(l, 0, sizeof *l);
    delay_streams(p->delay, p->seed);
    l->d = device_new();
    /* on a card cuDNN's fast backward pass in bf16 has no fixed order of sums */
    backend_how how = {.precision = p->precision, .deterministic = p->same || !cuda_on_cpu_counts};
    device_compute(l->d.cuda, how);
    backend_graphs(l->d.cuda, !p->calls);
    if (p->limit)
        cuda_graph_limit(l->d.cuda, p->limit);
    l->m = model_new(&tiny, l->d.cuda, 3, &e);
    if (!l->m)
        fail_msg("%s", e.msg);
    optim_cfg oc = {.kind = (int)p->kind,
                    .momentum = 0.9,
                    .beta1 = 0.9,
                    .beta2 = 0.99,
                    .eps = 1e-8,
                    .weight_decay = 0.05,
                    .clip = 0.5};
    l->o = optim_new(&oc, model_params(l->m));
    l->r = run_new(l->d.cuda, RUN_TRAIN);
    run_reserve(l->r, model_plan(l->m, RUN_TRAIN, RUN_KEEP, &(model_batch){.b = BATCH}).arena);
    l->pixels = backend_lock_alloc(l->d.cuda, (size_t)RING * BATCH * PIXELS * sizeof *l->pixels);
    assert_non_null(l->pixels);
}

static void lab_close(lab *l)
{
    backend_lock_free(l->d.cuda, l->pixels);
    run_free(l->r);
    optim_free(l->o);
    model_free(l->m);
    device_free(&l->d);
    delay_streams(0, 0);
}

/* Micro-batch l->micro: pixels, kept patches and labels of its own, written where the batch before
 * the one before the last had its. */
static model_batch next_batch(lab *l, const plan *p, int kept)
{
    uint16_t *to = l->pixels + (size_t)(l->micro % RING) * BATCH * PIXELS;
    for (int i = 0; i < BATCH * PIXELS; i++)
        to[i] = (uint16_t)(formula_raw((uint64_t)l->micro, i) >> 48);
    for (int i = 0; i < BATCH; i++) {
        l->image[i] = to + (size_t)i * PIXELS;
        l->label[i] = (l->micro + i) % 3;
        l->weight[i] = 1 + 0.25F * (float)((l->micro + 2 * i) % 5);
        for (int k = 0; k < kept; k++)
            l->keep[i * kept + k] = k * (16 / kept) + (l->micro + i) % (16 / kept);
    }
    if (l->micro + 1 == p->nan_at)
        l->weight[1] = NAN;
    l->micro++;
    return (model_batch){.b = BATCH,
                         .h = SIDE,
                         .w = SIDE,
                         .image = l->image,
                         .grey = true,
                         .mean = 0.4F,
                         .sd = 0.3F,
                         .keep = kept < 16 ? l->keep : NULL,
                         .n_keep = kept < 16 ? kept : 0};
}

static void step(lab *l, const plan *p, int k, outcome *out)
{
    backend *be = l->d.cuda;
    for (int i = 0; i < p->accum; i++) {
        model_batch b = next_batch(l, p, p->kept[k % p->kinds]);
        backend_begin(be);
        run_reset(l->r);
        tensor *loss = op_loss(l->r, model_forward(l->m, l->r, &b), l->label, l->weight, 0.1F);
        run_backward(l->r, loss);
        backend_later(be, &out->loss[k * p->accum + i], loss->x, sizeof(float));
        memset(l->label, 0xff, sizeof l->label); /* free again: the piece has its copy */
        memset(l->keep, 0xff, sizeof l->keep);
        backend_end(be);
    }
    backend_begin(be);
    optim_step(l->o, 0.01 * (k + 1), k + 1, p->accum, &out->norm[k]);
    param_zero_grad(model_params(l->m));
    backend_end(be);
}

static outcome train(const plan *p)
{
    lab l;
    outcome out = {0};
    assert_true(p->steps * p->accum <= MOST);
    lab_open(&l, p);
    param_set *s = model_params(l.m);
    param_zero_grad(s);
    for (int k = 0; k < p->steps; k++) {
        if (k == p->steps - 1)
            out.before_last = counted();
        step(&l, p, k, &out);
    }
    out.after = counted();
    backend_begin(l.d.cuda); /* an empty piece is one too */
    backend_wait(l.d.cuda, backend_end(l.d.cuda));
    out.n = s->total;
    out.weights = MEM_ARRAY(float, s->total);
    for (int i = 0, at = 0; i < s->n; at += (int)s->p[i++].n)
        param_read(s, &s->p[i], out.weights + at);
    backend_graphs_done(l.d.cuda, &out.graphs);
    out.held = backend_workspace(l.d.cuda);
    lab_close(&l);
    return out;
}

static void same(const plan *p, const outcome *a, const outcome *b, const char *what)
{
    if (memcmp(a->loss, b->loss, sizeof a->loss))
        fail_msg("%s: other losses", what);
    if (memcmp(a->norm, b->norm, sizeof a->norm))
        fail_msg("%s: other norms", what);
    if (memcmp(a->weights, b->weights, (size_t)a->n * sizeof(float)))
        fail_msg("%s: other weights", what);
    for (int k = 0; k < p->steps; k++)
        assert_true(isfinite(a->loss[k]) && a->norm[k] > 0);
}

/* One by one and at once is what every other way is held against. */
static void ways_agree(const plan *p, int first_delay, int last_delay)
{
    plan base = *p;
    base.calls = true;
    outcome want = train(&base);
    assert_int_equal(want.graphs.launched, 0);
    for (int delay = first_delay; delay <= last_delay; delay++) {
        for (int calls = 0; calls < 2; calls++) {
            char what[80];
            plan way = *p;
            way.delay = delay;
            way.calls = calls;
            way.seed = 17;
            snprintf(what, sizeof what, "delay %d, %s", delay, calls ? "calls" : "graphs");
            outcome got = train(&way);
            same(p, &want, &got, what);
            assert_true(calls ? got.graphs.launched == 0 : got.graphs.launched > 0);
            mem_free(got.weights);
        }
    }
    mem_free(want.weights);
}

static void every_way_gives_the_same_bytes(void **state)
{
    (void)state;
    plan p = {.precision = BACKEND_BF16,
              .accum = 1,
              .kept = {16, 8, 4},
              .kinds = 3,
              .steps = STEPS,
              .kind = OPTIM_ADAMW};
    ways_agree(&p, 0, 3);
}

/* With a deterministic backward pass of attention, which wants memory of its own. */
static void deterministic_steps_too(void **state)
{
    (void)state;
    plan p = {.precision = BACKEND_BF16, .accum = 2, .kept = {8, 4}, .kinds = 2, .steps = 4};
    outcome fast = train(&p);
    p.same = true;
    outcome same = train(&p);
    assert_true(!cuda_on_cpu_counts || same.held > fast.held);
    ways_agree(&p, 1, 2);
    mem_free(fast.weights);
    mem_free(same.weights);
}

static void accumulation_too(void **state)
{
    (void)state;
    plan p = {.precision = BACKEND_BF16_FAST, .accum = 3, .kept = {4}, .kinds = 1, .steps = 4};
    ways_agree(&p, 1, 2);
}

/* The third step of a shape and all after it: two graphs, the copies around them, no allocation,
 * and the host waits for nothing but the piece that it is four ahead of. */
static void a_step_that_comes_again_is_two_launches(void **state)
{
    (void)state;
    for (int kinds = 1; kinds <= 2; kinds++) {
        plan p = {.precision = BACKEND_BF16,
                  .delay = 1,
                  .accum = 1,
                  .kept = {8, 4},
                  .kinds = kinds,
                  .steps = 8};
        outcome o = train(&p);
        counts *a = &o.before_last, *b = &o.after;
        print_message("last step of %d shapes: %d graphs, %d copies, %d allocations, %d waits\n",
                      kinds, (int)(b->graphs - a->graphs), (int)(b->submitted - a->submitted),
                      (int)(b->allocations - a->allocations), (int)(b->waits - a->waits));
        /* staged arguments of both, one copy of images, loss, norm */
        assert_int_equal(b->graphs - a->graphs, cuda_on_cpu_counts ? 2 : 0);
        assert_int_equal(b->submitted - a->submitted, cuda_on_cpu_counts ? 5 : 0);
        assert_int_equal(b->allocations - a->allocations, 0);
        assert_true(b->waits - a->waits <= 3);
        assert_int_equal(b->instantiated - a->instantiated, 0);
        assert_int_equal(o.graphs.instantiated, kinds + 1);
        assert_int_equal(o.graphs.issued, kinds + 1); /* each list once by its calls */
        assert_int_equal(o.graphs.evicted, 0);
        mem_free(o.weights);
    }
}

/* From the second step of a shape on nothing is allocated, whatever becomes of its graph. */
static void steps_allocate_nothing(void **state)
{
    (void)state;
    plan p = {.precision = BACKEND_BF16, .accum = 2, .kept = {16, 4}, .kinds = 2};
    for (int steps = 3; steps <= 6; steps++) {
        p.steps = steps;
        outcome o = train(&p);
        assert_int_equal(o.after.allocations, o.before_last.allocations);
        mem_free(o.weights);
    }
}

static void few_graphs_are_kept(void **state)
{
    (void)state;
    plan p = {.accum = 1, .delay = 1, .kept = {16, 8, 4}, .kinds = 3, .steps = 12, .calls = true};
    outcome want = train(&p);
    p.calls = false;
    p.limit = 2;
    outcome got = train(&p);
    same(&p, &want, &got, "two graphs");
    print_message("two graphs for four lists: %d made, %d updated, %d given up\n",
                  (int)got.graphs.instantiated, (int)got.graphs.updated, (int)got.graphs.evicted);
    assert_true(got.graphs.evicted > 3);
    assert_true(got.graphs.updated > 0);
    assert_true(got.graphs.instantiated + got.graphs.updated == got.graphs.evicted + 2);
    mem_free(got.weights);
    mem_free(want.weights);
}

/* The step after a NaN, and those that were on their way behind it, leave the weights as they were;
 * losses before it are known. */
static void a_nan_stops_the_weights(void **state)
{
    (void)state;
    plan p = {.accum = 2, .delay = 1, .kept = {8}, .kinds = 1, .steps = 4, .nan_at = 6};
    plan before = p;
    outcome got = train(&p);
    before.steps = 2;
    before.nan_at = 0;
    outcome want = train(&before);
    for (int i = 0; i < 8; i++)
        assert_true(i == 5 ? isnan(got.loss[i]) : isfinite(got.loss[i]));
    assert_true(isfinite(got.norm[1]) && isnan(got.norm[2]) && isnan(got.norm[3]));
    assert_memory_equal(got.weights, want.weights, (size_t)want.n * sizeof(float));
    mem_free(want.weights);
    mem_free(got.weights);
}

/* What is read in the middle of a piece is what was asked for before; uploads may be of any size;
 * memory may go and come. */
static void a_piece_may_be_interrupted(void **state)
{
    (void)state;
    enum { N = 700000 };
    device d = device_new();
    delay_streams(1, 0);
    run *r = run_new(d.cuda, RUN_INFER);
    float *x = MEM_ARRAY(float, N), *y = MEM_ARRAY(float, N), after[2] = {0};
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < N; i++)
            x[i] = (float)(i % 1000 + round);
        backend_begin(d.cuda);
        run_reset(r);
        tensor *a = run_input(r, 1, N / 100, 100, x, true);
        const float *up = run_upload(r, x, N); /* beside it in staging memory */
        x[5] = -1;                             /* free again */
        tensor *sum = op_add(r, a, a, NULL);
        backend_later(d.cuda, after, sum->x, sizeof after);
        run_read(r, sum, y);
        for (int i = 0; i < N; i++)
            assert_true(y[i] == 2 * (float)(i % 1000 + round));
        void *p = backend_alloc(d.cuda, 100);
        backend_to_host(d.cuda, y, up, N * sizeof *y);
        assert_true(y[5] == (float)(5 + round) && y[N - 1] == (float)((N - 1) % 1000 + round));
        backend_dealloc(d.cuda, p);
        backend_wait(d.cuda, backend_end(d.cuda));
        assert_true(after[1] == 2 * (float)(1 + round));
    }
    backend_fixed
        fixed; /* what the input and the upload went through is what is planned for both */
    backend_fixed_of(d.cuda, 2 * N * sizeof *x, &fixed);
    assert_true(fixed.staging > 2 * N * sizeof *x);
    assert_int_equal(fixed.held, fixed.products + fixed.staging);
    mem_free(x);
    mem_free(y);
    run_free(r);
    device_free(&d);
    delay_streams(0, 0);
}

/* An upload that is larger than a next chunk of staging memory would be. */
static void an_upload_may_be_large(void **state)
{
    (void)state;
    enum { N = 3000000 };
    device d = device_new();
    run *r = run_new(d.cuda, RUN_INFER);
    float *x = MEM_ARRAY(float, N), last[2];
    x[N - 1] = 7;
    backend_begin(d.cuda);
    run_reset(r);
    backend_to_host(d.cuda, last, run_upload(r, x, N) + N - 2, sizeof last);
    backend_wait(d.cuda, backend_end(d.cuda));
    assert_true(last[0] == 0 && last[1] == 7);
    mem_free(x);
    run_free(r);
    device_free(&d);
}

/* First values of attention over heads of two sizes, the wider one first. */
static void two_widths(backend *be, run *r, const float *x, bool piece, float out[2])
{
    static const int head[2] = {256, 200};
    if (piece)
        backend_begin(be);
    run_reset(r);
    for (int i = 0; i < 2; i++) {
        tensor *in = run_input(r, 1, 4, 3 * head[i], x, true);
        tensor *y = op_attention(r, in, &(op_attention_spec){.heads = 1}, NULL);
        if (piece)
            backend_later(be, &out[i], y->x, sizeof out[i]);
        else
            backend_to_host(be, &out[i], y->x, sizeof out[i]);
    }
    if (piece)
        backend_wait(be, backend_end(be));
}

/* Kernels that want more shared memory than any may have, unlike amounts in one piece: it is issued
 * when the last of them has been asked for. */
static void a_piece_may_hold_unlike_kernels(void **state)
{
    (void)state;
    enum { N = 4 * 3 * 256 };
    float x[N], want[2], got[2] = {0};
    device d = device_new();
    run *r = run_new(d.cuda, RUN_INFER);
    for (int i = 0; i < N; i++)
        x[i] = (float)(i % 13) - 6;
    two_widths(d.cuda, r, x, false, want);
    two_widths(d.cuda, r, x, true, got);
    assert_true(want[0] != want[1] && isfinite(want[0]) && isfinite(want[1]));
    assert_memory_equal(got, want, sizeof want);
    run_free(r);
    device_free(&d);
}

/* Losses of three batches: in one piece, which two buffers of images are not enough for, or one by
 * one, their two images not in a row. */
static void three_losses(lab *l, run *r, const plan *p, bool piece, float loss[3])
{
    static uint16_t apart[PIXELS];
    backend *be = l->d.cuda;
    if (piece)
        backend_begin(be);
    run_reset(r);
    for (int i = 0; i < 3; i++) {
        model_batch b = next_batch(l, p, 8);
        memcpy(apart, l->image[1], sizeof apart);
        if (!piece)
            l->image[1] = apart;
        tensor *y = op_loss(r, model_forward(l->m, r, &b), l->label, l->weight, 0.1F);
        if (piece)
            backend_later(be, &loss[i], y->x, sizeof(float));
        else
            backend_to_host(be, &loss[i], y->x, sizeof(float));
    }
    if (piece)
        backend_wait(be, backend_end(be));
}

static void a_piece_may_hold_three_batches(void **state)
{
    (void)state;
    float want[3], got[3];
    for (int delay = -1; delay < 3; delay++) {
        plan p = {.delay = delay < 0 ? 0 : delay};
        lab l;
        lab_open(&l, &p);
        run *r = run_new(l.d.cuda, RUN_INFER);
        run_reserve(r, (size_t)4 << 20);
        three_losses(&l, r, &p, false, got); /* memory is there from now on */
        three_losses(&l, r, &p, delay >= 0, delay < 0 ? want : got);
        run_free(r);
        lab_close(&l);
        assert_true(want[0] != want[1] && want[1] != want[2] && want[0] != want[2]);
        assert_memory_equal(delay < 0 ? want : got, want, sizeof want);
    }
}

/* bf16 has the range of float32: a loss that is scaled by a power of two gives gradients that are
 * scaled by it, bit for bit, so there is nothing that loss scaling could save. */
static void loss_scaling_would_change_no_bit(void **state)
{
    (void)state;
    plan p = {.precision = BACKEND_BF16, .accum = 1, .kept = {8}, .kinds = 1};
    float *g[2];
    int64_t n = 0;
    for (int i = 0; i < 2; i++) {
        lab l;
        lab_open(&l, &p);
        param_set *s = model_params(l.m);
        model_batch b = next_batch(&l, &p, 8);
        const float one = i ? ldexpf(1, -24) : 1;
        param_zero_grad(s);
        run_backward_from(l.r, op_loss(l.r, model_forward(l.m, l.r, &b), l.label, l.weight, 0.1F),
                          &one);
        g[i] = MEM_ARRAY(float, s->total);
        n = 0;
        for (int k = 0; k < s->n; n += s->p[k++].n)
            backend_to_host(l.d.cuda, g[i] + n, s->p[k].g, (size_t)s->p[k].n * sizeof(float));
        lab_close(&l);
    }
    double least = 1;
    for (int64_t k = 0; k < n; k++) {
        assert_true(g[0][k] == ldexpf(g[1][k], 24));
        if (g[0][k] != 0)
            least = fmin(least, fabs((double)g[0][k]));
    }
    print_message("%lld gradients, the smallest %.1e: exact at 2^-24 of it\n", (long long)n, least);
    mem_free(g[0]);
    mem_free(g[1]);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_gives_the_same_bytes),
        cmocka_unit_test(deterministic_steps_too),
        cmocka_unit_test(accumulation_too),
        cmocka_unit_test(a_step_that_comes_again_is_two_launches),
        cmocka_unit_test(steps_allocate_nothing),
        cmocka_unit_test(few_graphs_are_kept),
        cmocka_unit_test(a_nan_stops_the_weights),
        cmocka_unit_test(a_piece_may_be_interrupted),
        cmocka_unit_test(an_upload_may_be_large),
        cmocka_unit_test(a_piece_may_hold_unlike_kernels),
        cmocka_unit_test(a_piece_may_hold_three_batches),
        cmocka_unit_test(loss_scaling_would_change_no_bit),
    };
    (void)argc;
    size_t n = cases_chosen(tests, COUNT_OF(tests), argv + 1);
    return _cmocka_run_group_tests("cuda_step", tests, n, NULL, NULL);
}
