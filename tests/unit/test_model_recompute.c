/* Levels of recompute: every network's loss and gradients are the same bytes at each of them, less
 * is held, and what a boundary let go is not read by mistake. Also as DEVICE=cuda, there in bf16; a
 * product that ends in GELU's tanh form rounds once less than the kernel which makes that again. */
#include "tests/unit/reduction.h"

#include <string.h>

#include "core/mem.h"
#include "core/pool.h"
#include "model/ops_table.h"
#include "tests/device.h"
#include "tests/prop/op_graphs.h"

enum { SAMPLES = 2 };

typedef struct subject {
    const char *what;
    model_cfg cfg;
    double keep;
    bool cpu_only; /* too slow on an emulator */
} subject;

#define NET(net_, h_, w_, ...)                                                                     \
    {                                                                                              \
        .name = net_, .image_h = h_, .image_w = w_, .classes = 3, .channels = 1,                   \
        .head_init = 0.02, .keep_rate = 1, .evit_keep = 0.6, __VA_ARGS__                           \
    }

static const subject subjects[] = {
    {"DeiT, dropped", NET("deit_tiny_patch16_224", 48, 64, .depth = 3), 0.5, false},
    {"DeiT, tanh", NET("deit_tiny_patch16_224", 48, 64, .depth = 2, .gelu = MODEL_GELU_TANH), 1,
     false},
    {"distilled", NET("deit_tiny_distilled_patch16_224", 32, 48, .depth = 3), 1, true},
    {"registers", NET("vit_tiny_patch16_reg4_224", 32, 48, .depth = 3), 0.7, true},
    {"EViT, fused",
     NET("deit_tiny_patch16_224", 64, 64, .depth = 4, .reduction = MODEL_EVIT,
         .reduction_layers = "1/2", .evit_fuse = true),
     1, false},
    {"PPT, dropped",
     NET("deit_tiny_patch16_224", 80, 80, .depth = 4, .reduction = MODEL_PPT,
         .reduction_layers = "0/1/2", .ppt_tokens = 4, .ppt_tau = 0.02, .ppt_size_bias = true),
     0.8, false},
    {"Swin", NET("swin_tiny_patch4_window7_224", 64, 64, .window = 2, .depth = 12), 1, true},
    {"Swin, dropped", NET("swin_tiny_patch4_window7_224", 96, 96, .window = 3, .depth = 12), 0.7,
     true},
    {"PiT", NET("pit_ti_224", 64, 64), 1, true},
};

typedef struct world {
    pool *pool;
    backend *be;
    model *m;
    model_batch batch;
    uint16_t *image[SAMPLES];
    int32_t *keep;
} world;

/* Within so much of the whole; 0: the same bytes. */
static bool is_near(const float *want, const float *got, size_t n, double within)
{
    double diff = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        diff += pow((double)want[i] - (double)got[i], 2);
        norm += pow((double)want[i], 2);
    }
    return within > 0 ? diff <= within * within * norm : !memcmp(want, got, n * sizeof *got);
}

static bool on_cpu(void)
{
    return !strcmp(test_device(), "cpu");
}

static void world_open(world *w, const subject *t, tensor_type type)
{
    err e = {0};
    /* on a card cuDNN's fast backward pass in bf16 has no fixed order of sums */
    backend_how how = {.precision = type, .deterministic = true};
    *w = (world){.pool = pool_new(2)};
    w->be = backend_new(test_device(), w->pool, &e);
    if (!w->be || !backend_compute(w->be, &how, &e))
        fail_msg("%s", e.msg);
    w->m = model_new(&t->cfg, w->be, 1, &e);
    if (!w->m)
        fail_msg("%s: %s", t->what, e.msg);
    param_set *set = model_params(w->m);
    for (int i = 0; i < set->n; i++) {
        param *p = &set->p[i];
        float *x = MEM_ARRAY(float, p->n);
        formula_param(p->name, p->ndim, p->shape[0], p->n, 2, x);
        param_write(set, p, x);
        mem_free(x);
    }
    int64_t pixels = t->cfg.image_h * t->cfg.image_w;
    for (int i = 0; i < SAMPLES; i++) {
        w->image[i] = MEM_ARRAY(uint16_t, pixels);
        for (int64_t k = 0; k < pixels; k++)
            w->image[i][k] = (uint16_t)(formula_raw((uint64_t)i + 7, k) >> 48);
    }
    w->batch = (model_batch){.b = SAMPLES,
                             .h = (int)t->cfg.image_h,
                             .w = (int)t->cfg.image_w,
                             .image = (const uint16_t *const *)w->image,
                             .mean = 0.4F,
                             .sd = 0.3F};
    if (t->keep < 1) {
        static const uint64_t sample[SAMPLES] = {11, 12};
        w->batch.n_keep = model_kept(w->m, t->keep);
        w->batch.keep = w->keep = MEM_ARRAY(int32_t, SAMPLES * w->batch.n_keep);
        model_select(w->m, &(model_draw){SAMPLES, sample, NULL, 5, 1, t->keep}, w->keep);
    }
}

static void world_close(world *w)
{
    for (int i = 0; i < SAMPLES; i++)
        mem_free(w->image[i]);
    mem_free(w->keep);
    model_free(w->m);
    backend_free(w->be);
    pool_free(w->pool);
}

/* Loss, then all gradients; of two steps, so that the second works in used memory. */
static float *step(world *w, run_level level, size_t *saved)
{
    static const int32_t label[SAMPLES] = {2, 0};
    param_set *set = model_params(w->m);
    float *out = MEM_ARRAY(float, 1 + set->total);
    run *r = run_new(w->be, RUN_TRAIN);
    run_recompute(r, level);
    run_reserve(r, model_plan(w->m, RUN_TRAIN, level, &w->batch).arena);
    size_t held = run_held(r);
    for (int i = on_cpu() ? 0 : 1; i < 2; i++) { /* one on an emulator: it is slow */
        run_reset(r);
        param_zero_grad(set);
        tensor *l = op_loss(r, model_forward(w->m, r, &w->batch), label, NULL, 0.1F);
        *saved = run_bytes(r);
        run_read(r, l, out);
        run_backward(r, l);
    }
    assert_int_equal(run_held(r), held); /* the plan had room for all of it */
    backend_to_host(w->be, out + 1, set->g, (size_t)set->total * sizeof *out);
    run_free(r);
    return out;
}

static void levels_give_the_same_bytes(void **state)
{
    const subject *t = *state;
    world w;
    size_t saved[3];
    world_open(&w, t, on_cpu() ? TENSOR_F32 : TENSOR_BF16);
    size_t n = 1 + (size_t)model_params(w.m)->total;
    float *want = step(&w, RUN_KEEP, &saved[RUN_KEEP]);
    assert_true(want[0] > 0);
    for (int level = RUN_LN_GELU; level <= RUN_BLOCK; level++) {
        float *got = step(&w, (run_level)level, &saved[level]);
        if (!is_near(want, got, n, t->cfg.gelu == MODEL_GELU_TANH && !on_cpu() ? 5e-3 : 0))
            fail_msg("%s: level %d changes loss or gradients", t->what, level);
        mem_free(got);
    }
    mem_free(want);
    print_message("%-14s saved %zu, %zu, %zu KiB\n", t->what, saved[0] >> 10, saved[1] >> 10,
                  saved[2] >> 10);
    assert_true(saved[RUN_BLOCK] < saved[RUN_LN_GELU]);
    assert_true(saved[RUN_LN_GELU] < saved[RUN_KEEP]);
    world_close(&w);
}

/* The last block with all tokens, or with those that heads read: one result, to rounding. */
static void a_small_last_block_is_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(subjects); i++) {
        float *got[2];
        int64_t n = 0;
        double diff = 0, norm = 0;
        if (!on_cpu() && subjects[i].cpu_only)
            continue;
        for (int full = 0; full < 2; full++) {
            subject t = subjects[i];
            world w;
            size_t saved;
            t.cfg.full_last = full;
            world_open(&w, &t, TENSOR_F32);
            got[full] = step(&w, RUN_KEEP, &saved);
            n = 1 + model_params(w.m)->total;
            world_close(&w);
        }
        for (int64_t k = 0; k < n; k++) {
            diff += pow((double)got[0][k] - (double)got[1][k], 2);
            norm += pow((double)got[0][k], 2);
        }
        print_message("%-14s last block small or full: %.1e\n", subjects[i].what,
                      sqrt(diff / norm));
        assert_true(fabsf(got[0][0] - got[1][0]) <= 1e-6F * got[0][0]);
        assert_true(diff <= 1e-10 * norm);
        mem_free(got[0]);
        mem_free(got[1]);
    }
}

/* Every op alone: all of its values go but those that its backward pass is said to read, and at the
 * highest level these too. */
static void ops_read_back_what_they_say(void **state)
{
    (void)state;
    err e = {0};
    pool *threads = pool_new(1);
    backend *be = backend_new(test_device(), threads, &e);
    assert_non_null(be);
    for (size_t i = 0; i < COUNT_OF(graphs); i++) {
        bench t;
        float *want = NULL, *got = NULL;
        bench_open(&t, &graphs[i], be, 5);
        int64_t n = t.set->total, inputs = 0;
        for (int k = 0; k < t.n_in; k++)
            inputs += in_count(t.g, k);
        for (int level = -1; level <= RUN_BLOCK; level++) { /* -1: no boundary */
            tensor *in[MAX_IN];
            float *g = MEM_ARRAY(float, n + inputs), *at = g + n;
            param_zero_grad(t.set);
            run_recompute(t.r, level < 0 ? RUN_KEEP : (run_level)level);
            tensor *y = bench_forward(&t, t.r, in);
            for (int k = 0; k < 2 && level >= 0; k++)
                run_boundary(t.r, in[0], k ? NULL : y);
            run_backward_from(t.r, y, t.dir);
            backend_to_host(be, g, t.set->g, (size_t)n * sizeof *g);
            for (int k = 0; k < t.n_in; at += in_count(t.g, k++))
                run_read_grad(t.r, in[k], at);
            *(level < 0 ? &want : &got) = g;
            double within = !on_cpu() && !strcmp(t.g->op, "mlp_tanh") ? 1e-5 : 0;
            if (got && !is_near(want, got, (size_t)(n + inputs), within))
                fail_msg("%s, %s: level %d changes gradients", t.g->op, t.g->name, level);
            mem_free(got);
            got = NULL;
        }
        mem_free(want);
        bench_close(&t);
    }
    backend_free(be);
    pool_free(threads);
}

/* ---- a graph of our own ------------------------------------------------------------------------
 */

enum { ROWS_ = 40, WIDTH = 24, LAYERS = 3 };

typedef struct desk {
    pool *pool;
    backend *be;
    param_set *set;
    param *norm, *zero, *w[LAYERS], *b[LAYERS];
} desk;

static void desk_open(desk *d)
{
    err e = {0};
    d->pool = pool_new(1);
    d->be = backend_new(test_device(), d->pool, &e);
    assert_non_null(d->be);
    d->set = param_set_new(d->be, 2 + 2 * LAYERS);
    d->norm = param_add(d->set, "norm", 1, (int[]){WIDTH});
    d->zero = param_add(d->set, "zero", 1, (int[]){WIDTH});
    for (int i = 0; i < LAYERS; i++) {
        char name[2][16] = {{'w', (char)('0' + i)}, {'b', (char)('0' + i)}};
        d->w[i] = param_add(d->set, name[0], 2, (int[]){WIDTH, WIDTH});
        d->b[i] = param_add(d->set, name[1], 1, (int[]){WIDTH});
    }
    param_set_alloc(d->set);
    param_init(d->set, d->norm, PARAM_CONST, 1, 1);
    for (int i = 0; i < LAYERS; i++) {
        param_init(d->set, d->w[i], PARAM_NORMAL, 0.3, 1);
        param_init(d->set, d->b[i], PARAM_NORMAL, 0.3, 1);
    }
}

static void desk_close(desk *d)
{
    param_set_free(d->set);
    backend_free(d->be);
    pool_free(d->pool);
}

/* Residual layers whose branch is dropped or scaled by sample. */
static tensor *residuals(const desk *d, run *r, tensor *x)
{
    static const float factor[LAYERS][SAMPLES] = {{0, 1.25F}, {1.25F, 0}, {1.25F, 1.25F}};
    tensor *h = op_layernorm(r, x, d->norm, d->zero, 1e-6F);
    for (int i = 0; i < LAYERS; i++) {
        run_boundary(r, x, h);
        tensor *a = op_mlp(r, h, &(op_mlp_spec){d->w[i], d->b[i], d->w[0], d->b[0], false});
        h = op_add_layernorm(r, x, a, factor[i], d->norm, d->zero, 1e-6F, &x);
    }
    return op_add(r, x, op_gelu(r, h, false), NULL);
}

static float *residual_step(const desk *d, run_level level, float *dx)
{
    static float x[SAMPLES * ROWS_ * WIDTH], dy[SAMPLES * ROWS_ * WIDTH];
    for (int i = 0; i < SAMPLES * ROWS_ * WIDTH; i++) {
        x[i] = (float)formula_unit(1, i);
        dy[i] = (float)formula_unit(2, i);
    }
    run *r = run_new(d->be, RUN_TRAIN);
    run_recompute(r, level);
    param_zero_grad(d->set);
    tensor *in = run_input(r, SAMPLES, ROWS_, WIDTH, x, false);
    run_backward_from(r, residuals(d, r, in), dy);
    run_read_grad(r, in, dx);
    run_free(r);
    float *g = MEM_ARRAY(float, d->set->total);
    backend_to_host(d->be, g, d->set->g, (size_t)d->set->total * sizeof *g);
    return g;
}

static void dropped_branches_stay_dropped(void **state)
{
    (void)state;
    desk d;
    float dx[3][SAMPLES * ROWS_ * WIDTH];
    desk_open(&d);
    float *want = residual_step(&d, RUN_KEEP, dx[RUN_KEEP]);
    for (int level = RUN_LN_GELU; level <= RUN_BLOCK; level++) {
        float *got = residual_step(&d, (run_level)level, dx[level]);
        assert_memory_equal(got, want, (size_t)d.set->total * sizeof *got);
        assert_memory_equal(dx[level], dx[RUN_KEEP], sizeof dx[level]);
        mem_free(got);
    }
    mem_free(want);
    desk_close(&d);
}

/* What is let go has no values: whoever reads it all the same ends the program. */
static void values_that_went_are_gone(void **state)
{
    (void)state;
    desk d;
    desk_open(&d);
    run *r = run_new(d.be, RUN_TRAIN);
    run_recompute(r, RUN_BLOCK);
    tensor *in = run_input(r, SAMPLES, ROWS_, WIDTH, NULL, false), *sum = NULL;
    tensor *h = op_layernorm(r, in, d.norm, d.zero, 1e-6F);
    run_boundary(r, in, h);
    tensor *a = op_mlp(r, h, &(op_mlp_spec){d.w[0], d.b[0], d.w[0], d.b[0], false});
    tensor *k = op_add_layernorm(r, in, a, NULL, d.norm, d.zero, 1e-6F, &sum);
    assert_true(h->x && a->x);
    run_boundary(r, sum, k);
    assert_false(h->x || a->x);
    assert_true(in->x && sum->x && k->x); /* an input, a state, what was passed on */
    op_linear(r, k, d.w[1], d.b[1]);
    run_boundary(r, sum, NULL);
    assert_null(k->x);
    assert_true(in->x && sum->x);
    run_free(r);
    desk_close(&d);
}

/* Where a branch that was let go became bad, the guard still says so. */
static void the_guard_looks_behind_boundaries(void **state)
{
    (void)state;
    desk d;
    desk_open(&d);
    float bad[WIDTH] = {0};
    bad[3] = NAN;
    param_write(d.set, d.b[1], bad);
    for (int level = RUN_KEEP; level <= RUN_BLOCK; level++) {
        run *r = run_new(d.be, RUN_TRAIN);
        run_recompute(r, (run_level)level);
        residuals(&d, r, run_input(r, SAMPLES, ROWS_, WIDTH, NULL, false));
        const char *op = run_first_nonfinite(r);
        assert_non_null(op);
        assert_non_null(strstr(op, "linear w1"));
        run_free(r);
    }
    desk_close(&d);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(subjects) + 5] = {0};
    size_t n = 0;
    for (size_t i = 0; i < COUNT_OF(subjects); i++)
        if (on_cpu() || !subjects[i].cpu_only)
            tests[n++] = (struct CMUnitTest){subjects[i].what, levels_give_the_same_bytes, NULL,
                                             NULL, (void *)(uintptr_t)&subjects[i]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(a_small_last_block_is_exact);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(ops_read_back_what_they_say);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(dropped_branches_stay_dropped);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(values_that_went_are_gone);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(the_guard_looks_behind_boundaries);
    return _cmocka_run_group_tests("recompute", tests, n, NULL, NULL);
}
