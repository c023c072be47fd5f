/* Tokens beside CLS: the distillation token and its head, registers. What PyTorch computes is in
 * the fixtures; here stands what must hold for any values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "core/rng.h"
#include "model/model.h"

enum { BATCH = 3, SIDE = 48, PATCHES = 9, CLASSES = 3, KEPT = 4 };

typedef struct world {
    pool *pool;
    backend *be;
    model *m;
    uint16_t *image[BATCH];
    int32_t keep[BATCH * KEPT];
    model_batch batch;
} world;

static world *world_new(const char *name)
{
    world *w = MEM_NEW(world);
    err e = {0};
    rng r;
    w->pool = pool_new(1);
    w->be = backend_new("cpu", w->pool, &e);
    assert_non_null(w->be);
    model_cfg c = {.name = name, .image_h = SIDE, .image_w = SIDE, .depth = 2, .channels = 1};
    c.classes = CLASSES;
    c.keep_rate = 1;
    c.head_init = 0.5;
    w->m = model_new(&c, w->be, 5, &e);
    assert_non_null(w->m);
    for (int s = 0; s < BATCH; s++) {
        w->image[s] = MEM_ARRAY(uint16_t, SIDE * SIDE);
        rng_init(&r, 3, RNG_TEST, (uint64_t)s, 0);
        for (int i = 0; i < SIDE * SIDE; i++)
            w->image[s][i] = (uint16_t)rng_u32(&r);
        rng_subset(&r, PATCHES, KEPT, w->keep + s * KEPT);
    }
    w->batch = (model_batch){.b = BATCH, .h = SIDE, .w = SIDE, .mean = 0.5f, .sd = 0.25f};
    w->batch.image = (const uint16_t *const *)w->image;
    w->batch.keep = w->keep;
    w->batch.n_keep = KEPT;
    return w;
}

static void world_free(world *w)
{
    for (int s = 0; s < BATCH; s++)
        mem_free(w->image[s]);
    model_free(w->m);
    backend_free(w->be);
    pool_free(w->pool);
    mem_free(w);
}

static float *values(world *w, const char *name)
{
    param *p = param_find(model_params(w->m), name);
    assert_non_null(p);
    float *x = MEM_ARRAY(float, p->n);
    param_read(model_params(w->m), p, x);
    return x;
}

/* Swap rows a and b of a parameter [1, n, d]. */
static void swap_rows(world *w, const char *name, int a, int b)
{
    param *p = param_find(model_params(w->m), name);
    int d = model_width(w->m);
    float *x = values(w, name);
    for (int i = 0; i < d; i++) {
        float t = x[a * d + i];
        x[a * d + i] = x[b * d + i];
        x[b * d + i] = t;
    }
    param_write(model_params(w->m), p, x);
    mem_free(x);
}

static void infer(world *w, float *logits)
{
    run *r = run_new(w->be, RUN_INFER);
    tensor *z = model_forward(w->m, r, &w->batch);
    assert_int_equal(tensor_count(z), BATCH * CLASSES);
    run_read(r, z, logits);
    run_free(r);
}

static double largest(const float *a, const float *b)
{
    double diff = 0;
    for (int i = 0; i < BATCH * CLASSES; i++)
        diff = fmax(diff, fabs((double)a[i] - (double)b[i]));
    return diff;
}

static double head(const float *w, const float *b, const float *x, int k, int d)
{
    double z = b[k];
    for (int i = 0; i < d; i++)
        z += (double)w[k * d + i] * x[i];
    return z;
}

static void a_distilled_network_is_the_mean_of_its_heads(void **state)
{
    (void)state;
    world *w = world_new("deit_tiny_distilled_patch16_224");
    int d = model_width(w->m);
    float z[BATCH * CLASSES], *x = MEM_ARRAY(float, BATCH * 2 * d);
    float *hw = values(w, "head.weight"), *hb = values(w, "head.bias");
    float *dw = values(w, "head_dist.weight"), *db = values(w, "head_dist.bias");
    run *r = run_new(w->be, RUN_TRAIN);
    tensor *f = model_features(w->m, r, &w->batch);
    assert_int_equal(f->n, 2);
    run_read(r, f, x);
    infer(w, z);
    for (int s = 0; s < BATCH; s++) {
        for (int k = 0; k < CLASSES; k++) {
            double cls = head(hw, hb, x + 2 * s * d, k, d);
            double dist = head(dw, db, x + (2 * s + 1) * d, k, d);
            assert_true(fabs(cls - dist) > 0.01);
            assert_true(fabs(z[s * CLASSES + k] - (cls + dist) / 2) < 1e-5);
        }
    }
    run_free(r);
    mem_free(hw);
    mem_free(hb);
    mem_free(dw);
    mem_free(db);
    mem_free(x);
    world_free(w);
}

/* Registers are a set: their order does not matter as long as each has its own position. They are
 * no patches and not CLS. */
static void registers_are_a_set_of_their_own(void **state)
{
    (void)state;
    world *w = world_new("vit_tiny_patch16_reg4_224");
    float a[BATCH * CLASSES], b[BATCH * CLASSES];
    const param *reg = param_find(model_params(w->m), "reg_token");
    const param *pos = param_find(model_params(w->m), "pos_embed");
    assert_int_equal(reg->shape[1], 4);
    assert_int_equal(pos->shape[1], 1 + 4 + PATCHES);
    infer(w, a);
    swap_rows(w, "reg_token", 0, 3);
    infer(w, b);
    assert_true(largest(a, b) > 1e-2);
    swap_rows(w, "pos_embed", 1, 4);
    infer(w, b);
    assert_true(largest(a, b) < 1e-4);
    swap_rows(w, "pos_embed", 0, 1); /* that of CLS */
    infer(w, b);
    assert_true(largest(a, b) > 1e-2);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_distilled_network_is_the_mean_of_its_heads),
        cmocka_unit_test(registers_are_a_set_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
