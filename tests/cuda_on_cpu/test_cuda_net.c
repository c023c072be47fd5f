/* Small networks of every kind on the CUDA backend against the CPU backend: logits, loss and every
 * gradient, with kept patches, views, grey and colour images, weighted and smoothed labels; then
 * the optimiser steps, gradient norms and the NaN guard. */
#include "tests/cuda_on_cpu/cases.h"
#include "tests/cuda_on_cpu/device.h"
#include "tests/cuda_on_cpu/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fs.h"
#include "model/model.h"
#include "tests/fixtures/deit/formula.h"

#define BATCH     2
#define CLASSES   3
#define F32_LIMIT 5e-5

typedef struct subject {
    const char *what;
    model_cfg cfg;
    double keep; /* rate, 1 = all */
    bool views, grey;
} subject;

#define NET(net_, h_, w_, ...)                                                                     \
    {                                                                                              \
        .name = net_, .image_h = h_, .image_w = w_, .classes = CLASSES, .head_init = 0.02,         \
        .keep_rate = 1, .evit_keep = 0.7, __VA_ARGS__                                              \
    }

static const subject subjects[] = {
    {"DeiT, views, grey", NET("deit_tiny_patch16_224", 48, 64, .channels = 1, .depth = 2), 1, true,
     true},
    {"DeiT, dropped, colour", NET("deit_tiny_patch16_224", 48, 64, .channels = 3, .depth = 2), 0.5,
     false, false},
    {"DeiT, tanh",
     NET("deit_tiny_patch16_224", 48, 64, .channels = 1, .depth = 3, .gelu = MODEL_GELU_TANH), 0.7,
     true, true},
    {"distilled", NET("deit_tiny_distilled_patch16_224", 32, 48, .channels = 1, .depth = 2), 1,
     false, true},
    {"registers", NET("vit_tiny_patch16_reg4_224", 32, 48, .channels = 1, .depth = 2), 0.7, false,
     true},
    {"EViT",
     NET("deit_tiny_patch16_224", 64, 64, .channels = 1, .depth = 3, .reduction = MODEL_EVIT,
         .reduction_layers = "1", .evit_fuse = true),
     1, false, true},
    {"PPT, dropped",
     NET("deit_tiny_patch16_224", 80, 80, .channels = 1, .depth = 3, .reduction = MODEL_PPT,
         .reduction_layers = "0/1", .ppt_tokens = 4, .ppt_tau = 0.02, .ppt_size_bias = true),
     0.8, false, true},
    {"Swin", NET("swin_tiny_patch4_window7_224", 64, 64, .channels = 1, .window = 2, .depth = 12),
     1, false, true},
    {"PiT", NET("pit_ti_224", 64, 64, .channels = 1), 1, false, true},
};

/* One side: a network with formula weights and the batch that both sides see. */
typedef struct side {
    model *m;
    run *r;
    model_batch batch;
    uint16_t *image[BATCH];
    model_view view[BATCH];
    int32_t *keep;
} side;

/* gain: sharpness of the attention. */
static void side_new(side *s, const subject *t, backend *be, double gain)
{
    err e = {0};
    memset(s, 0, sizeof *s);
    s->m = model_new(&t->cfg, be, 1, &e);
    if (!s->m)
        fail_msg("%s: %s", t->what, e.msg);
    param_set *set = model_params(s->m);
    for (int i = 0; i < set->n; i++) {
        param *p = &set->p[i];
        float *x = MEM_ARRAY(float, p->n);
        formula_param(p->name, p->ndim, p->shape[0], p->n, gain, x);
        param_write(set, p, x);
        mem_free(x);
    }
    s->r = run_new(be, RUN_TRAIN);
    const model_cfg *c = model_config(s->m);
    int64_t pixels = (t->grey ? 1 : c->channels) * c->image_h * c->image_w;
    for (int i = 0; i < BATCH; i++) {
        s->image[i] = MEM_ARRAY(uint16_t, pixels);
        for (int64_t k = 0; k < pixels; k++)
            s->image[i][k] = (uint16_t)(formula_raw((uint64_t)i + 7, k) >> 48);
        s->view[i] = (model_view){{0.9F, 0.1F * (float)i, 1.3F, -0.07F, 1.05F, -2}, 0.05F, 1.2F};
    }
    s->view[1] = model_view_identity;
    s->batch = (model_batch){.b = BATCH,
                             .h = (int)c->image_h,
                             .w = (int)c->image_w,
                             .image = (const uint16_t *const *)s->image,
                             .grey = t->grey,
                             .view = t->views ? s->view : NULL,
                             .mean = 0.4F,
                             .sd = 0.3F};
    if (t->keep < 1) {
        static const uint64_t sample[BATCH] = {11, 12};
        s->batch.n_keep = model_kept(s->m, t->keep);
        s->batch.keep = s->keep = MEM_ARRAY(int32_t, BATCH * s->batch.n_keep);
        model_select(s->m, &(model_draw){BATCH, sample, NULL, 5, 1, t->keep}, s->keep);
    }
}

static void side_free(side *s)
{
    for (int i = 0; i < BATCH; i++)
        mem_free(s->image[i]);
    mem_free(s->keep);
    run_free(s->r);
    model_free(s->m);
}

typedef struct outcome {
    float logits[BATCH * CLASSES], loss;
} outcome;

static outcome side_step(side *s)
{
    static const int32_t label[BATCH] = {2, 0};
    static const float weight[BATCH] = {0.75F, 1.5F};
    outcome o;
    run_reset(s->r);
    param_zero_grad(model_params(s->m));
    tensor *z = model_forward(s->m, s->r, &s->batch);
    tensor *l = op_loss(s->r, z, label, weight, 0.1F);
    run_backward(s->r, l);
    run_read(s->r, z, o.logits);
    run_read(s->r, l, &o.loss);
    return o;
}

static float *gradient_of(backend *be, const param *p)
{
    float *g = MEM_ARRAY(float, p->n);
    backend_to_host(be, g, p->g, (size_t)p->n * sizeof *g);
    return g;
}

/* A gradient that is nothing but rounding (the bias of the keys) is measured by the whole. */
static double compare_gradients(const device *d, const side *a, const side *b, char where[160])
{
    param_set *want = model_params(a->m), *got = model_params(b->m);
    double *norm = MEM_ARRAY(double, want->n), *norm2 = MEM_ARRAY(double, want->n), all = 0;
    double worst = 0;
    backend_grad_norms(d->cpu, want, norm);
    backend_grad_norms(d->cuda, got, norm2);
    for (int i = 0; i < want->n; i++)
        all += norm[i];
    for (int i = 0; i < want->n; i++) {
        float *x = gradient_of(d->cpu, &want->p[i]), *y = gradient_of(d->cuda, &got->p[i]);
        double error = 0;
        for (int64_t k = 0; k < want->p[i].n; k++)
            error += ((double)x[k] - y[k]) * ((double)x[k] - y[k]);
        error = sqrt(error) / (sqrt(norm[i]) + 1e-3 * sqrt(all));
        if (!(error <= worst)) {
            worst = error;
            snprintf(where, 160, "%s", want->p[i].name);
        }
        assert_true(fabs(norm[i] - norm2[i]) <= 1e-4 * (norm[i] + 1e-6 * all));
        mem_free(y);
        mem_free(x);
    }
    mem_free(norm2);
    mem_free(norm);
    return worst;
}

static void networks_are_those_of_the_cpu(void **state)
{
    const subject *t = *state;
    device d = device_new();
    side a, b;
    char where[160] = "";
    guard_on(d.cuda);
    side_new(&a, t, d.cpu, 2);
    side_new(&b, t, d.cuda, 2);
    outcome want = side_step(&a), got = side_step(&b);
    double logits = device_error(want.logits, got.logits, BATCH * CLASSES);
    double loss = fabs((double)want.loss - got.loss), grads = compare_gradients(&d, &a, &b, where);
    print_message("%-22s logits %.1e, loss %.1e, gradients %.1e (%s)\n", t->what, logits, loss,
                  grads, where);
    assert_true(logits <= F32_LIMIT);
    assert_true(loss <= F32_LIMIT);
    assert_true(grads <= 4 * F32_LIMIT);
    assert_null(run_first_nonfinite(b.r));
    side_free(&b);
    side_free(&a);
    device_free(&d);
}

/* The loss and the direction of all gradients; bf16_fast: of the same network with GELU's tanh
 * form.
 */
static void network_in(const subject *t, bool fast)
{
    device d = device_new();
    side a, b;
    subject own = *t;
    backend_how how = {.precision = fast ? BACKEND_BF16_FAST : BACKEND_BF16};
    own.cfg.gelu = fast ? MODEL_GELU_TANH : MODEL_GELU_ERF;
    side_new(&a, &own, d.cpu, 1);
    device_compute(d.cuda, how);
    own.cfg.gelu = MODEL_GELU_AUTO; /* the precision says the form */
    side_new(&b, &own, d.cuda, 1);
    assert_int_equal(model_config(b.m)->gelu, model_config(a.m)->gelu);
    outcome want = side_step(&a), got = side_step(&b);
    double least;
    param_set *pa = model_params(a.m), *pb = model_params(b.m);
    double dot = 0, xx = 0, yy = 0;
    for (int i = 0; i < pa->n; i++) {
        float *x = gradient_of(d.cpu, &pa->p[i]), *y = gradient_of(d.cuda, &pb->p[i]);
        for (int64_t k = 0; k < pa->p[i].n; k++) {
            dot += (double)x[k] * y[k];
            xx += (double)x[k] * x[k];
            yy += (double)y[k] * y[k];
        }
        mem_free(y);
        mem_free(x);
    }
    least = dot / sqrt(xx * yy);
    print_message("%-22s %s: loss %.4f against %.4f, cosine of all gradients %.5f\n", t->what,
                  fast ? "bf16_fast" : "bf16", got.loss, want.loss, least);
    assert_true(fabs((double)want.loss - got.loss) <= 0.03 * want.loss);
    assert_true(least > 0.999);
    side_free(&b);
    side_free(&a);
    device_free(&d);
}

static void networks_in_bf16(void **state)
{
    const subject *t = *state;
    if (t->cfg.gelu != MODEL_GELU_TANH)
        network_in(t, false);
    network_in(t, true);
}

/* ---- deterministic ----------------------------------------------------------------------------
 */

extern size_t shim_memory_free WEAK;

/* One step in bf16 on a device that has `room` bytes free; the workspace that was planned. */
static size_t deterministic_step(bool deterministic, size_t room)
{
    device d = device_new();
    side s;
    backend_how how = {.precision = BACKEND_BF16, .deterministic = deterministic};
    device_compute(d.cuda, how);
    side_new(&s, &subjects[0], d.cuda, 1);
    model_bytes plan = model_plan(s.m, RUN_TRAIN, RUN_KEEP, &s.batch);
    shim_memory_free = room;
    side_step(&s);
    side_free(&s);
    device_free(&d);
    return plan.workspace;
}

/* Where the workspace does not fit, the program ends with its figure; without the flag, or with the
 * memory, it runs. */
static void deterministic_wants_its_workspace(void **state)
{
    char log[300], *said;
    size_t len;
    err e = {0};
    const char *top = getenv("TMPDIR");
    (void)state;
    if (!cuda_on_cpu_order) {
        print_message("skip: memory is not the test's on a card\n");
        skip();
    }
    size_t fast = deterministic_step(false, 10), same = deterministic_step(true, (size_t)64 << 20);
    /* 13 tokens, 3 heads, 2 images take more than anything else here */
    assert_true(same > fast && same - fast < (size_t)BATCH * 3 * 128 * 64 * 2);
    snprintf(log, sizeof log, "%s/deterministic.%d", top && *top ? top : "/tmp", (int)getpid());
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        if (!freopen(log, "w", stderr))
            _exit(99);
        _exit(deterministic_step(true, 10) ? 98 : 97);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), err_exit(ERR_MEMORY));
    assert_true(fs_read(log, 1 << 16, &said, &len, &e));
    assert_non_null(strstr(said, "train.deterministic: the backward pass of attention over 13 "
                                 "tokens, 3 heads and 2 images wants a workspace of 0.0 GiB"));
    unlink(log);
    mem_free(said);
}

/* ---- the optimiser ----------------------------------------------------------------------------
 */

enum { TENSORS = 40, LONG = 40000 };

typedef struct weights {
    backend *be;
    param_set *set;
    float *m[TENSORS], *v[TENSORS];
} weights;

static void weights_new(weights *w, backend *be)
{
    w->be = be;
    w->set = param_set_new(be, TENSORS);
    for (int i = 0; i < TENSORS; i++) {
        char name[32];
        int shape[2] = {i == 3 ? LONG : 1 + i * 7, 1 + i % 2};
        snprintf(name, sizeof name, "part%d", i);
        param_add(w->set, name, 1 + i % 2, shape);
    }
    param_set_alloc(w->set);
    for (int i = 0; i < TENSORS; i++) {
        param *p = &w->set->p[i];
        float *x = MEM_ARRAY(float, p->n), *g = MEM_ARRAY(float, p->n);
        for (int64_t k = 0; k < p->n; k++) {
            x[k] = (float)formula_unit((uint64_t)i, k);
            g[k] = (float)formula_unit((uint64_t)i + 100, k);
        }
        param_write(w->set, p, x);
        backend_to_device(be, p->g, g, (size_t)p->n * sizeof *g);
        w->m[i] = backend_alloc(be, (size_t)p->n * sizeof(float));
        w->v[i] = backend_alloc(be, (size_t)p->n * sizeof(float));
        mem_free(g);
        mem_free(x);
    }
}

static void weights_free(weights *w)
{
    for (int i = 0; i < TENSORS; i++) {
        backend_dealloc(w->be, w->m[i]);
        backend_dealloc(w->be, w->v[i]);
    }
    param_set_free(w->set);
}

static void steps_are_those_of_the_cpu(void **state)
{
    (void)state;
    device d = device_new();
    weights w[2];
    float clip[TENSORS];
    for (int i = 0; i < TENSORS; i++)
        clip[i] = 0.5F + 0.1F * (float)(i % 7);
    for (int adam = 0; adam < 2; adam++) {
        double norm[2][TENSORS];
        weights_new(&w[0], d.cpu);
        weights_new(&w[1], d.cuda);
        for (int s = 0; s < 2; s++) {
            float *scale = backend_alloc(w[s].be, sizeof clip);
            backend_to_device(w[s].be, scale, clip, sizeof clip);
            for (int step = 1; step <= 3; step++) {
                backend_sgd sgd = {0.1F, 0.9F, 0.05F, 0.7F, scale};
                backend_adamw adamw = {0.01F, 0.9F, 0.999F, 1e-8F, 0.05F, 0.7F, step, scale};
                if (adam)
                    backend_step_adamw(w[s].be, w[s].set, w[s].m, w[s].v, &adamw);
                else
                    backend_step_sgd(w[s].be, w[s].set, w[s].v, &sgd);
            }
            backend_grad_norms(w[s].be, w[s].set, norm[s]);
            backend_dealloc(w[s].be, scale);
        }
        for (int i = 0; i < TENSORS; i++) {
            param *p = &w[0].set->p[i];
            float *x = MEM_ARRAY(float, p->n), *y = MEM_ARRAY(float, p->n);
            param_read(w[0].set, p, x);
            param_read(w[1].set, &w[1].set->p[i], y);
            assert_true(device_error(x, y, p->n) <= 1e-6);
            assert_true(fabs(norm[0][i] - norm[1][i]) <= 1e-9 * norm[0][i]);
            mem_free(y);
            mem_free(x);
        }
        weights_free(&w[1]);
        weights_free(&w[0]);
    }
    device_free(&d);
}

/* Each case once in float32 and once in bf16, under its name; arguments: names, none = all. */
int main(int argc, char **argv)
{
    struct CMUnitTest tests[2 * COUNT_OF(subjects) + 2] = {0};
    size_t n = 0;
    for (size_t i = 0; i < 2 * COUNT_OF(subjects); i++) {
        const subject *s = &subjects[i % COUNT_OF(subjects)];
        bool bf16 = i >= COUNT_OF(subjects);
        tests[n++] =
            (struct CMUnitTest){s->what, bf16 ? networks_in_bf16 : networks_are_those_of_the_cpu,
                                NULL, NULL, (void *)(uintptr_t)s};
    }
    tests[n++] =
        (struct CMUnitTest){"deterministic", deterministic_wants_its_workspace, NULL, NULL, NULL};
    tests[n++] =
        (struct CMUnitTest){"optimiser steps", steps_are_those_of_the_cpu, NULL, NULL, NULL};
    (void)argc;
    return _cmocka_run_group_tests("cuda_net", tests, cases_chosen(tests, n, argv + 1), NULL, NULL);
}
