/* Two hundred steps of training: CPU in float32 against CUDA in bf16 and in bf16_fast (the same
 * network with GELU's tanh form), same start, same images. The
 * check must pass for what is right and fail for a training that loses the gradient of one bias,
 * the head's. Where the kernels run on the CPU the network is smaller and the steps are fewer. */
#include "tests/cuda_on_cpu/device.h"

#include <stdio.h>
#include <string.h>

#include "model/model.h"
#include "tests/cuda_on_cpu/curves.h"
#include "train/optim.h"

#define STEPS_MAX 200
#define SIDE_MAX  64
#define BATCH_MAX 16
#define FEATURES  0.05F /* size of what the head reads at first */

typedef struct task {
    int steps, side, batch, depth;
    double lr;
} task;

static const task on_a_card = {200, 64, 16, 4, 2e-2}, emulated = {40, 32, 8, 1, 2e-2};

typedef enum fault { SOUND, NO_BIAS_GRADIENT } fault;

/* One image in eight has a bright blob; all have noise. A function of step and place. */
static int32_t draw_image(const task *t, int step, int at, uint16_t *out)
{
    rng r;
    rng_init(&r, 20261122, RNG_TEST, (uint64_t)at, (uint64_t)step);
    bool positive = rng_below(&r, 8) == 0;
    int cx = (int)rng_below(&r, (uint32_t)t->side), cy = (int)rng_below(&r, (uint32_t)t->side);
    double radius = t->side / 4.0;
    for (int y = 0; y < t->side; y++)
        for (int x = 0; x < t->side; x++) {
            double d = ((x - cx) * (x - cx) + (y - cy) * (y - cy)) / (radius * radius);
            double v = 0.3 + 0.25 * rng_f64(&r) + (positive ? 0.4 * exp(-d) : 0);
            out[y * t->side + x] = (uint16_t)(65535 * v);
        }
    return positive;
}

static void drop_bias_gradient(param_set *s)
{
    param *p = param_find(s, "head.bias");
    float *zero = MEM_ARRAY(float, p->n);
    backend_to_device(s->be, p->g, zero, (size_t)p->n * sizeof *zero);
    mem_free(zero);
}

/* The head reads small features at first: its bias learns how rare the positives are, and a
 * training without its gradient falls behind at once. */
static void quiet_features(param_set *s)
{
    param *p = param_find(s, "norm.weight");
    float *x = MEM_ARRAY(float, p->n);
    for (int64_t i = 0; i < p->n; i++)
        x[i] = FEATURES;
    param_write(s, p, x);
    mem_free(x);
}

static void train(const task *t, backend *be, model_gelu gelu, fault f, float *loss)
{
    static uint16_t pixels[BATCH_MAX][SIDE_MAX * SIDE_MAX];
    const uint16_t *image[BATCH_MAX];
    int32_t label[BATCH_MAX];
    const model_cfg options = {.name = "vit_tiny_patch16_224",
                               .image_h = t->side,
                               .image_w = t->side,
                               .depth = t->depth,
                               .channels = 1,
                               .classes = 2,
                               .keep_rate = 1,
                               .gelu = gelu,
                               .head_init = 0.02};
    const optim_cfg sgd = {.kind = OPTIM_SGD, .momentum = 0.9, .weight_decay = 1e-4};
    err e = {0};
    model *m = model_new(&options, be, 1, &e);
    if (!m)
        fail_msg("%s", e.msg);
    quiet_features(model_params(m));
    run *r = run_new(be, RUN_TRAIN);
    optim *o = optim_new(&sgd, model_params(m));
    double norm;
    for (int step = 0; step < t->steps; step++) {
        for (int i = 0; i < t->batch; i++) {
            label[i] = draw_image(t, step, i, pixels[i]);
            image[i] = pixels[i];
        }
        model_batch in = {.b = t->batch,
                          .h = t->side,
                          .w = t->side,
                          .image = image,
                          .grey = true,
                          .mean = 0.45F,
                          .sd = 0.15F};
        run_reset(r);
        param_zero_grad(model_params(m));
        tensor *l = op_loss(r, model_forward(m, r, &in), label, NULL, 0.1F);
        run_backward(r, l);
        if (f == NO_BIAS_GRADIENT)
            drop_bias_gradient(model_params(m));
        backend_begin(be);
        optim_step(o, t->lr, step + 1, 1, &norm);
        backend_wait(be, backend_end(be));
        run_read(r, l, &loss[step]);
    }
    optim_free(o);
    run_free(r);
    model_free(m);
}

static void tell(const char *what, const curves_verdict *v)
{
    print_message("%s: largest part %.3f %% at step %d, fall %.1f %% and %.1f %%: %s%s\n", what,
                  100 * v->part, v->at + 1, 100 * v->fall[0], 100 * v->fall[1],
                  v->agree ? "agree" : "differ: ", v->why);
}

static void curves_are_those_of_the_cpu(void **state)
{
    bool fast = *state != NULL;
    model_gelu gelu = fast ? MODEL_GELU_TANH : MODEL_GELU_ERF;
    static float want[STEPS_MAX], got[STEPS_MAX], faulty[STEPS_MAX];
    device d = device_new();
    const task *t = backend_emulated(d.cuda) ? &emulated : &on_a_card;
    backend_how how = {.precision = fast ? BACKEND_BF16_FAST : BACKEND_BF16};
    train(t, d.cpu, gelu, SOUND, want);
    device_compute(d.cuda, how);
    train(t, d.cuda, gelu, SOUND, got);
    train(t, d.cuda, gelu, NO_BIAS_GRADIENT, faulty);
    for (int i = CURVES_WINDOW - 1; i < t->steps; i += CURVES_WINDOW)
        print_message("curve: step %3d cpu %.4f cuda %.4f planted %.4f\n", i + 1,
                      curves_mean(want, i), curves_mean(got, i), curves_mean(faulty, i));
    curves_verdict sound = curves_compare(want, got, t->steps),
                   planted = curves_compare(want, faulty, t->steps);
    print_message("CPU f32 and CUDA %s:\n", fast ? "bf16_fast" : "bf16");
    tell("both as they are", &sound);
    tell("CUDA without the gradient of a bias", &planted);
    assert_true(sound.agree);
    assert_false(planted.agree);
    device_free(&d);
}

static void arithmetic_finds_what_differs(void **state)
{
    float a[40], b[40];
    (void)state;
    for (int i = 0; i < 40; i++)
        a[i] = b[i] = 1.0F - 0.0075F * (float)i;
    assert_true(curves_compare(a, b, 40).agree);
    b[20] += 0.1F; /* 0.01 of a window whose mean is 0.7 and more */
    assert_true(curves_compare(a, b, 40).agree);
    b[20] += 0.2F;
    curves_verdict v = curves_compare(a, b, 40);
    assert_false(v.agree);
    assert_in_range(v.at, 20, 29);
    b[20] = NAN;
    assert_false(curves_compare(a, b, 40).agree);
    assert_false(curves_compare(a, a, 19).agree);
    for (int i = 0; i < 40; i++)
        a[i] = 1.0F - 0.005F * (float)i;
    v = curves_compare(a, a, 40);
    assert_false(v.agree);
    assert_true(v.part == 0 && v.fall[0] < CURVES_FALL);
}

int main(void)
{
    bool fast = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic_finds_what_differs),
        {"curves in bf16", curves_are_those_of_the_cpu, NULL, NULL, NULL},
        {"curves in bf16_fast", curves_are_those_of_the_cpu, NULL, NULL, &fast},
    };
    return cmocka_run_group_tests_name("cuda_curves", tests, NULL, NULL);
}
