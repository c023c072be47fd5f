/* PiT: its pooling against a plain loop, grids, names, refusals, initial values. Counts are in
 * test_model_published.c, gradients in tests/prop, what PyTorch computes in the fixtures.
 * token_reduction.md 4 and 9. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "core/rng.h"
#include "model/net.h"
#include "tests/device.h"

typedef struct world {
    pool *pool;
    backend *be;
} world;

static world world_open(void)
{
    world w;
    err e = {0};
    w.pool = pool_new(2);
    w.be = backend_new(test_device(), w.pool, &e);
    assert_non_null(w.be);
    return w;
}

static void world_close(world *w)
{
    backend_free(w->be);
    pool_free(w->pool);
}

static model_cfg config(const char *name, int h, int w)
{
    return (model_cfg){.name = name,
                       .image_h = h,
                       .image_w = w,
                       .channels = 3,
                       .classes = 1000,
                       .keep_rate = 1,
                       .head_init = 0.02};
}

/* ---- the op --------------------------------------------------------------------------------- */

enum { B = 2, C = 3, MAX = 400 };

typedef struct grid {
    int t, h, w, oh, ow;
} grid;

static void fill(rng *r, float *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = (float)rng_normal(r);
}

/* By the definition: a zero border is laid around each channel, and the kernel of output channel o
 * steps over channel floor(o / 2) by two. x, y behind the first rows. */
static double by_hand(const grid *g, const float *x, const float *weight, const float *bias, int o,
                      int i, int k)
{
    double sum = bias[o];
    for (int u = 0; u < 3; u++) {
        for (int v = 0; v < 3; v++) {
            int row = 2 * i + u - 1, col = 2 * k + v - 1;
            bool border = row == -1 || col == -1 || row == g->h || col == g->w;
            if (!border)
                sum += (double)weight[(o * 3 + u) * 3 + v] * x[(row * g->w + col) * C + o / 2];
        }
    }
    return sum;
}

static void pool_case(world *w, const grid *g, uint64_t seed)
{
    const int weight_shape[4] = {2 * C, 1, 3, 3}, bias_shape = 2 * C;
    param_set *s = param_set_new(w->be, 2);
    param *weight = param_add(s, "w", 4, weight_shape), *bias = param_add(s, "b", 1, &bias_shape);
    param_set_alloc(s);
    float x[MAX], tokens[MAX], wx[2 * C * 9], bx[2 * C], y[MAX];
    int rows = g->t + g->h * g->w, out = g->t + g->oh * g->ow;
    assert_true(B * rows * C <= MAX && B * out * 2 * C <= MAX);
    rng r;
    rng_init(&r, seed, RNG_TEST, 0, 0);
    fill(&r, x, B * rows * C);
    fill(&r, tokens, B * g->t * 2 * C);
    fill(&r, wx, COUNT_OF(wx));
    fill(&r, bx, COUNT_OF(bx));
    param_write(s, weight, wx);
    param_write(s, bias, bx);
    run *t = run_new(w->be, RUN_TRAIN);
    tensor *result = op_pool(t, run_input(t, B, rows, C, x, false),
                             run_input(t, B, g->t, 2 * C, tokens, false), g->h, g->w, weight, bias);
    assert_int_equal(result->b, B);
    assert_int_equal(result->n, out);
    assert_int_equal(result->c, 2 * C);
    assert_int_equal(run_counted(t).matmul, B * 9 * g->oh * g->ow * 2 * C);
    run_read(t, result, y);
    for (int b = 0; b < B; b++) {
        const float *yb = y + b * out * 2 * C, *xb = x + (b * rows + g->t) * C;
        assert_memory_equal(yb, tokens + b * g->t * 2 * C,
                            (size_t)g->t * 2 * C * sizeof(float)); /* given rows come first */
        for (int p = 0; p < g->oh * g->ow; p++) {
            for (int o = 0; o < 2 * C; o++) {
                double want = by_hand(g, xb, wx, bx, o, p / g->ow, p % g->ow);
                assert_true(fabs(yb[(g->t + p) * 2 * C + o] - want) < 1e-5);
            }
        }
    }
    run_free(t);
    param_set_free(s);
}

static void pooling_is_a_grouped_convolution(void **state)
{
    (void)state;
    static const grid grids[] = {{1, 5, 5, 3, 3}, {1, 4, 4, 2, 2}, {2, 4, 7, 2, 4}, {2, 7, 4, 4, 2},
                                 {1, 1, 1, 1, 1}, {1, 1, 6, 1, 3}, {3, 2, 9, 1, 5}};
    world w = world_open();
    for (size_t i = 0; i < COUNT_OF(grids); i++) {
        assert_int_equal(op_pool_side(grids[i].h), grids[i].oh);
        assert_int_equal(op_pool_side(grids[i].w), grids[i].ow);
        pool_case(&w, &grids[i], i);
    }
    world_close(&w);
}

/* ---- the network ----------------------------------------------------------------------------- */

static void grids_of_the_stages(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int h, w, patch, stride, prefix;
        int grid[3][2], depth[3];
    } nets[] = {
        {"pit_ti_224", 224, 224, 0, 0, 1, {{27, 27}, {14, 14}, {7, 7}}, {2, 6, 4}},
        {"pit_xs_224", 0, 0, 0, 0, 1, {{27, 27}, {14, 14}, {7, 7}}, {2, 6, 4}},
        {"pit_s_distilled_224", 224, 224, 0, 0, 2, {{27, 27}, {14, 14}, {7, 7}}, {2, 6, 4}},
        {"pit_b_224", 224, 224, 0, 0, 1, {{31, 31}, {16, 16}, {8, 8}}, {3, 6, 4}},
        {"pit_s_224", 896, 896, 0, 0, 1, {{111, 111}, {56, 56}, {28, 28}}, {2, 6, 4}},
        {"pit_s_224", 1152, 896, 32, 0, 1, {{71, 55}, {36, 28}, {18, 14}}, {2, 6, 4}},
        {"pit_s_224", 1152, 896, 32, 32, 1, {{36, 28}, {18, 14}, {9, 7}}, {2, 6, 4}},
        {"pit_b_distilled_224", 1022, 1022, 0, 0, 2, {{145, 145}, {73, 73}, {37, 37}}, {3, 6, 4}},
        {"pit_b_224", 1024, 1024, 16, 0, 1, {{127, 127}, {64, 64}, {32, 32}}, {3, 6, 4}},
    };
    for (size_t i = 0; i < COUNT_OF(nets); i++) {
        model_cfg c = config(nets[i].name, nets[i].h, nets[i].w);
        c.patch = nets[i].patch;
        c.stride = nets[i].stride;
        model_counts n;
        err e = {0};
        int block = 0;
        if (!model_count(&c, &n, &e))
            fail_msg("%s", e.msg);
        for (int s = 0; s < 3; s++) {
            for (int k = 0; k < nets[i].depth[s]; k++)
                assert_int_equal(n.tokens[block++],
                                 nets[i].prefix + nets[i].grid[s][0] * nets[i].grid[s][1]);
        }
        assert_int_equal(n.n_tokens, block);
    }
}

static void want_shape(model *m, const char *name, int ndim, const int shape[4])
{
    const param *p = param_find(model_params(m), name);
    if (!p)
        fail_msg("no parameter %s", name);
    assert_int_equal(p->ndim, ndim);
    for (int i = 0; i < ndim; i++)
        assert_int_equal(p->shape[i], shape[i]);
}

/* Number of parameters of one preset, by shapes only. */
static int keys(const net_kind *kind, int i)
{
    net_cfg c = {.m = config(kind->presets[i].name, 224, 224), .preset = &kind->presets[i]};
    void *net = mem_calloc(1, kind->size);
    c.width = c.preset->width;
    c.heads = c.preset->heads;
    c.m.patch = c.preset->patch;
    for (int s = 0; s < (int)COUNT_OF(c.preset->depth); s++)
        c.m.depth += c.preset->depth[s];
    c.rows = c.cols = c.patches = 1;
    param_set *set = param_set_new(NULL, kind->param_cap(&c));
    kind->build(net, &c, set);
    int n = set->n;
    param_set_free(set);
    mem_free(net);
    return n;
}

static void names_and_shapes(void **state)
{
    (void)state;
    static const int want[] = {160, 160, 160, 172, 162, 162, 162, 174}; /* ti xs s b, distilled */
    for (int i = 0; i < (int)COUNT_OF(want); i++)
        assert_int_equal(keys(&pit_kind, i), want[i]);
    assert_int_equal(keys(&deit_kind, 0), 152);
    world w = world_open();
    err e = {0};
    model_cfg c = config("pit_s_distilled_224", 64, 96);
    c.channels = 1;
    model *m = model_new(&c, w.be, 1, &e);
    assert_non_null(m);
    assert_int_equal(model_width(m), 576);
    want_shape(m, "pos_embed", 4, (const int[4]){1, 144, 7, 11});
    want_shape(m, "cls_token", 3, (const int[4]){1, 2, 144});
    want_shape(m, "patch_embed.conv.weight", 4, (const int[4]){144, 1, 16, 16});
    want_shape(m, "patch_embed.conv.bias", 1, (const int[4]){144});
    want_shape(m, "transformers.0.blocks.1.attn.qkv.weight", 2, (const int[4]){432, 144});
    want_shape(m, "transformers.1.blocks.5.mlp.fc1.bias", 1, (const int[4]){1152});
    want_shape(m, "transformers.2.blocks.3.mlp.fc2.weight", 2, (const int[4]){576, 2304});
    want_shape(m, "pools.0.conv.weight", 4, (const int[4]){288, 1, 3, 3});
    want_shape(m, "pools.1.conv.bias", 1, (const int[4]){576});
    want_shape(m, "pools.1.fc.weight", 2, (const int[4]){576, 288});
    want_shape(m, "norm.weight", 1, (const int[4]){576});
    want_shape(m, "head.weight", 2, (const int[4]){1000, 576});
    want_shape(m, "head_dist.bias", 1, (const int[4]){1000});
    model_free(m);
    world_close(&w);
}

static void refused(model_cfg c, const char *why)
{
    model_counts n;
    err e = {0};
    assert_false(model_count(&c, &n, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    if (!strstr(e.msg, why))
        fail_msg("'%s' does not say '%s'", e.msg, why);
}

static void refusals(void **state)
{
    (void)state;
    model_cfg c = config("pit_b_224", 1024, 2048);
    refused(c, "image of 1024x2048 px would lose its last 2 rows and 4 columns");
    refused(c, "the nearest height and width are 1022 and 2051");
    refused(config("pit_ti_224", 224, 225), "its last 0 rows and 1 columns");
    refused(config("pit_ti_224", 8, 224), "8x224 px is smaller than a patch of 16 px");
    c = config("pit_ti_224", 224, 224);
    c.stride = 17;
    refused(c, "model.stride: patches of 16 px every 17 px leave out the pixels between them");
    c = config("pit_ti_224", 224, 224);
    c.keep_rate = 0.5;
    refused(c, "pit_ti_224 cannot drop patches: the convolutions between its stages need the "
               "whole grid");
    c = config("pit_ti_224", 224, 224);
    c.depth = 6;
    refused(c, "pit_ti_224 has 3 stages of fixed depth");
    c = config("pit_ti_224", 224, 224);
    c.window = 7;
    refused(c, "pit_ti_224 has no windows");
    refused(config("pit_tiny_224", 224, 224), "did you mean 'pit_ti_224'?");
}

/* Largest size of a parameter's values, and their standard deviation. */
static void spread(model *m, const char *name, double *top, double *sd)
{
    const param *p = param_find(model_params(m), name);
    assert_non_null(p);
    float *x = MEM_ARRAY(float, p->n);
    double sum = 0;
    *top = 0;
    param_read(model_params(m), p, x);
    for (int64_t i = 0; i < p->n; i++) {
        *top = fmax(*top, fabs((double)x[i]));
        sum += (double)x[i] * x[i];
    }
    *sd = sqrt(sum / (double)p->n);
    mem_free(x);
}

/* The framework's own values wherever PiT sets none: uniform within 1/sqrt(fan-in). */
static void initial_values(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double fan_in;
    } uniform[] = {
        {"patch_embed.conv.weight", 3 * 256},
        {"patch_embed.conv.bias", 3 * 256},
        {"transformers.0.blocks.0.attn.qkv.weight", 64},
        {"transformers.0.blocks.0.attn.qkv.bias", 64},
        {"transformers.1.blocks.2.mlp.fc2.bias", 512},
        {"transformers.2.blocks.3.attn.proj.weight", 256},
        {"pools.0.conv.weight", 9},
        {"pools.1.conv.bias", 9},
        {"pools.1.fc.weight", 128},
        {"pools.1.fc.bias", 128},
    };
    world w = world_open();
    err e = {0};
    double top, sd;
    model_cfg c = config("pit_ti_distilled_224", 224, 224);
    model *m = model_new(&c, w.be, 3, &e);
    assert_non_null(m);
    for (size_t i = 0; i < COUNT_OF(uniform); i++) {
        double bound = 1 / sqrt(uniform[i].fan_in);
        spread(m, uniform[i].name, &top, &sd);
        if (!(top <= bound * (1 + 1e-6) && top > 0.9 * bound && sd > 0.45 * bound &&
              sd < 0.7 * bound))
            fail_msg("%s: up to %g, sd %g; bound %g", uniform[i].name, top, sd, bound);
    }
    static const char *const normal[] = {"pos_embed", "cls_token", "head.weight",
                                         "head_dist.weight"};
    for (size_t i = 0; i < COUNT_OF(normal); i++) {
        spread(m, normal[i], &top, &sd);
        assert_true(sd > 0.017 && sd < 0.023);
    }
    static const char *const zero[] = {"head.bias", "head_dist.bias", "norm.bias",
                                       "transformers.1.blocks.0.norm1.bias"};
    for (size_t i = 0; i < COUNT_OF(zero); i++) {
        spread(m, zero[i], &top, &sd);
        assert_true(top == 0);
    }
    spread(m, "transformers.1.blocks.0.norm1.weight", &top, &sd);
    assert_true(top == 1 && sd == 1);
    model_free(m);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pooling_is_a_grouped_convolution),
        cmocka_unit_test(grids_of_the_stages),
        cmocka_unit_test(names_and_shapes),
        cmocka_unit_test(refusals),
        cmocka_unit_test(initial_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
