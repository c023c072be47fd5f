/* Same bytes for any number of threads and any cut of a batch; PatchDropout's identities
 * (patchdropout.md 11); memory flat over steps; the guard against non-finite values. */
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
#include "model/select.h"

enum { BATCH = 5, SIDE_H = 48, SIDE_W = 80, PATCH = 16, PATCHES = 15, CLASSES = 3 };

typedef struct world {
    pool *pool;
    backend *be;
    model *m;
    uint16_t *image[BATCH];
    model_view view[BATCH];
    int32_t keep[BATCH * PATCHES];
    int32_t label[BATCH];
} world;

static world *world_of(const char *name, int threads, int side_w)
{
    world *w = MEM_NEW(world);
    err e = {0};
    w->pool = pool_new(threads);
    w->be = backend_new("auto", w->pool, &e);
    assert_non_null(w->be);
    model_cfg c = {.name = name, .image_h = SIDE_H, .image_w = side_w};
    c.depth = strncmp(name, "pit_", 4) ? 3 : 0;
    c.channels = 2;
    c.classes = CLASSES;
    c.keep_rate = 1;
    c.head_init = 0.02;
    w->m = model_new(&c, w->be, 7, &e);
    assert_non_null(w->m);
    rng r;
    for (int s = 0; s < BATCH; s++) {
        w->image[s] = MEM_ARRAY(uint16_t, 2 * SIDE_H * side_w);
        rng_init(&r, 3, RNG_TEST, (uint64_t)s, 0);
        for (int i = 0; i < 2 * SIDE_H * side_w; i++)
            w->image[s][i] = (uint16_t)rng_u32(&r);
        w->view[s] = (model_view){{0.9f, 0.1f, 2, -0.1f, 0.9f, 3}, 0.05f, 1.1f};
        w->label[s] = s % CLASSES;
    }
    return w;
}

static world *world_new(int threads, int side_w)
{
    return world_of("deit_tiny_patch16_224", threads, side_w);
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

static model_batch batch_of(const world *w, int from, int n, int n_keep)
{
    model_batch b = {.b = n, .h = SIDE_H, .image = (const uint16_t *const *)w->image + from};
    b.w = (int)model_config(w->m)->image_w;
    b.view = w->view + from;
    b.mean = 0.4f;
    b.sd = 0.3f;
    b.n_keep = n_keep;
    b.keep = n_keep ? w->keep + (int64_t)from * n_keep : NULL;
    return b;
}

static void draw(world *w, int n_keep)
{
    for (int s = 0; s < BATCH; s++)
        select_patches(SELECT_RANDOM, 3, 5, (n_keep + .01) / PATCHES, 11, (uint64_t)s, 2,
                       w->keep + (int64_t)s * n_keep);
}

/* logits [BATCH, CLASSES] and gradients of all parameters, with the batch cut into parts of `part`.
 */
static void pass(world *w, int part, int n_keep, float *logits, float *grads)
{
    run *r = run_new(w->be, RUN_TRAIN);
    param_set *s = model_params(w->m);
    param_zero_grad(s);
    for (int from = 0; from < BATCH; from += part) {
        int n = from + part < BATCH ? part : BATCH - from;
        model_batch b = batch_of(w, from, n, n_keep);
        run_reset(r);
        tensor *z = model_forward(w->m, r, &b);
        run_read(r, z, logits + (int64_t)from * CLASSES);
        float dz[BATCH * CLASSES];
        for (int i = 0; i < n * CLASSES; i++)
            dz[i] = (float)((from * CLASSES + i) * 7 % 11 - 5) / 4;
        run_backward_from(r, z, dz);
    }
    for (int i = 0; i < s->n; grads += s->p[i].n, i++)
        backend_to_host(w->be, grads, s->p[i].g, (size_t)s->p[i].n * sizeof(float));
    run_free(r);
}

/* One network with `n_keep` kept patches (0: all): 1..4 threads, a batch of 5 as 5; 3+2; 1+1+1+1+1.
 */
static void same_bytes(const char *name, int n_keep)
{
    float want[BATCH * CLASSES], *want_g = NULL;
    for (int threads = 1; threads <= 4; threads++) {
        world *w = world_of(name, threads, SIDE_W);
        if (n_keep)
            draw(w, n_keep);
        size_t n = (size_t)model_params(w->m)->total;
        float got[BATCH * CLASSES], *g = MEM_ARRAY(float, n);
        for (int part = BATCH; part >= 1; part -= 2) {
            pass(w, part, n_keep, got, g);
            if (!want_g) {
                memcpy(want, got, sizeof want);
                want_g = g;
                g = MEM_ARRAY(float, n);
                continue;
            }
            assert_memory_equal(got, want, sizeof want);
            assert_memory_equal(g, want_g, n * sizeof(float));
        }
        mem_free(g);
        world_free(w);
    }
    mem_free(want_g);
}

static void threads_and_cuts_change_no_byte(void **state)
{
    (void)state;
    static const int keeps[] = {0, 7, 1};
    for (size_t k = 0; k < COUNT_OF(keeps); k++)
        same_bytes("deit_tiny_patch16_224", keeps[k]);
    same_bytes("deit_tiny_distilled_patch16_224", 7);
    same_bytes("vit_tiny_patch16_reg4_224", 7);
    same_bytes("pit_ti_distilled_224", 0);
}

static void infer(world *w, int n_keep, float *logits)
{
    run *r = run_new(w->be, RUN_INFER);
    model_batch b = batch_of(w, 0, BATCH, n_keep);
    run_read(r, model_forward(w->m, r, &b), logits);
    run_free(r);
}

static void inference_gives_the_bytes_of_training(void **state)
{
    (void)state;
    static const char *const names[] = {"deit_tiny_patch16_224", "pit_ti_distilled_224"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        world *w = world_of(names[i], 2, SIDE_W);
        int n_keep = i ? 0 : 6;
        float a[BATCH * CLASSES], b[BATCH * CLASSES];
        float *g = MEM_ARRAY(float, model_params(w->m)->total);
        draw(w, 6);
        pass(w, BATCH, n_keep, a, g);
        infer(w, n_keep, b);
        assert_memory_equal(a, b, sizeof a);
        assert_true(a[0] != a[CLASSES]); /* samples differ */
        mem_free(g);
        world_free(w);
    }
}

static void keeping_all_is_the_plain_network(void **state)
{
    (void)state;
    world *w = world_new(2, SIDE_W);
    float a[BATCH * CLASSES], b[BATCH * CLASSES];
    infer(w, 0, a);
    for (int s = 0; s < BATCH; s++)
        select_patches(SELECT_RANDOM, 3, 5, 1, 1, (uint64_t)s, 0, w->keep + s * PATCHES);
    infer(w, PATCHES, b);
    assert_memory_equal(a, b, sizeof a);
    world_free(w);
}

static double largest(const float *a, const float *b)
{
    double diff = 0;
    for (int i = 0; i < BATCH * CLASSES; i++)
        diff = fmax(diff, fabs((double)a[i] - (double)b[i]));
    return diff;
}

static void order_of_kept_patches_does_not_matter(void **state)
{
    (void)state;
    world *w = world_new(1, SIDE_W);
    float a[BATCH * CLASSES], b[BATCH * CLASSES];
    draw(w, 9);
    infer(w, 9, a);
    for (int s = 0; s < BATCH; s++) {
        for (int i = 0; i < 4; i++) {
            int32_t *k = w->keep + s * 9, t = k[i];
            k[i] = k[8 - i];
            k[8 - i] = t;
        }
    }
    infer(w, 9, b);
    assert_true(largest(a, b) < 1e-6);
    draw(w, 9);
    for (int s = 0; s < BATCH; s++) /* another set of patches is another result */
        w->keep[s * 9] = w->keep[s * 9] ? 0 : w->keep[s * 9];
    infer(w, 9, b);
    assert_true(largest(a, b) > 1e-4);
    world_free(w);
}

static void dropped_patches_leave_no_trace(void **state)
{
    (void)state;
    world *w = world_new(2, SIDE_W);
    param_set *s = model_params(w->m);
    size_t n = (size_t)s->total;
    float a[BATCH * CLASSES], b[BATCH * CLASSES];
    float *g = MEM_ARRAY(float, n), *h = MEM_ARRAY(float, n);
    bool kept[PATCHES] = {false};
    for (int i = 0; i < BATCH; i++) {
        w->view[i] = model_view_identity;
        for (int k = 0; k < 4; k++)
            w->keep[i * 4 + k] = (int32_t)(3 * k + i % 2); /* 0 3 6 9 or 1 4 7 10 */
        for (int k = 0; k < 4; k++)
            kept[w->keep[i * 4 + k]] = true;
    }
    pass(w, BATCH, 4, a, g);
    int d = model_width(w->m);
    const param *pos = param_find(s, "pos_embed");
    for (int row = 0; row < PATCHES + 1; row++) {
        double sum = 0;
        for (int i = 0; i < d; i++)
            sum += fabs((double)pos->g[row * d + i]);
        assert_true((sum > 0) == (row == 0 || kept[row - 1]));
    }
    /* pixels of patches that sample i drops are never read */
    for (int i = 0; i < BATCH; i++) {
        for (int p = 0; p < PATCHES; p++) {
            bool used = false;
            for (int k = 0; k < 4; k++)
                used = used || w->keep[i * 4 + k] == p;
            for (int y = 0; !used && y < 2 * PATCH; y++) {
                int64_t line = (int64_t)(y / PATCH) * SIDE_H + p / 5 * PATCH + y % PATCH;
                for (int x = 0; x < PATCH; x++)
                    w->image[i][line * SIDE_W + p % 5 * PATCH + x] ^= 0x5555;
            }
        }
    }
    pass(w, BATCH, 4, b, h);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_equal(g, h, n * sizeof(float));
    mem_free(g);
    mem_free(h);
    world_free(w);
}

/* Logits of the published form: the same parameters under the private build. */
static void published(world *w, const net_kind *kind, const net_preset *preset, int n_keep,
                      float *logits)
{
    net_cfg nc = {.m = *model_config(w->m), .kind = kind, .preset = preset};
    nc.width = preset->width;
    nc.heads = preset->heads;
    nc.patches = model_patches(w->m);
    model_grid(w->m, &nc.rows, &nc.cols);
    void *net = mem_calloc(1, kind->size);
    param_set *s = param_set_new(w->be, kind->param_cap(&nc));
    kind->build(net, &nc, s);
    param_set_alloc(s);
    for (int i = 0; i < s->n; i++) {
        param *from = param_find(model_params(w->m), s->p[i].name);
        backend_to_device(w->be, s->p[i].x, from->x, (size_t)from->n * sizeof(float));
    }
    run *r = run_new(w->be, RUN_INFER);
    model_batch batch = batch_of(w, 0, BATCH, n_keep);
    net_call call = {.cfg = &nc, .batch = &batch, .published = true};
    run_read(r, kind->logits(net, r, kind->features(net, r, &call)), logits);
    run_free(r);
    param_set_free(s);
    mem_free(net);
}

/* The cheap form (kept patches embedded only, last block for what heads read only) against the
 * published one. */
static void cheap_form_is_exact(void **state)
{
    (void)state;
    static const struct {
        const net_kind *kind;
        int preset;
        bool drops;
    } nets[] = {
        {&deit_kind, 0, true},                           /* CLS */
        {&deit_kind, 8, true},                           /* CLS, distillation */
        {&vit_reg_kind, 0, true},                        /* CLS, registers */
        {&pit_kind, 0, false},    {&pit_kind, 4, false}, /* distilled */
    };
    float a[BATCH * CLASSES], b[BATCH * CLASSES];
    for (size_t i = 0; i < COUNT_OF(nets); i++) {
        const net_preset *preset = &nets[i].kind->presets[nets[i].preset];
        world *w = world_of(preset->name, 2, SIDE_W);
        for (int n_keep = 0; n_keep <= (nets[i].drops ? 8 : 0); n_keep += 4) {
            if (n_keep)
                draw(w, n_keep);
            infer(w, n_keep, a);
            published(w, nets[i].kind, preset, n_keep, b);
            assert_true(largest(a, b) < 1e-6);
        }
        world_free(w);
    }
}

static void memory_is_flat_over_steps(void **state)
{
    (void)state;
    world *w = world_new(2, SIDE_W);
    param_set *s = model_params(w->m);
    run *r = run_new(w->be, RUN_TRAIN);
    float **v = MEM_ARRAY(float *, s->n);
    for (int i = 0; i < s->n; i++)
        v[i] = backend_alloc(w->be, (size_t)s->p[i].n * sizeof(float));
    size_t held = 0, used = 0;
    float first = 0, loss = 0;
    for (int step = 0; step < 30; step++) {
        draw(w, 10);
        model_batch b = batch_of(w, 0, BATCH, 10);
        run_reset(r);
        param_zero_grad(s);
        tensor *l = op_loss(r, model_forward(w->m, r, &b), w->label, NULL, 0);
        run_backward(r, l);
        run_read(r, l, &loss);
        backend_step_sgd(w->be, s, v,
                         &(backend_sgd){.lr = 0.02f, .momentum = 0.9f, .grad_scale = 1});
        if (step == 0) {
            held = run_held(r);
            used = run_bytes(r);
            first = loss;
        }
        assert_int_equal(run_held(r), held);
        assert_int_equal(run_bytes(r), used);
    }
    assert_true(used > 0);
    assert_true(loss < 0.7f * first); /* it learns five images by heart */
    for (int i = 0; i < s->n; i++)
        backend_dealloc(w->be, v[i]);
    mem_free(v);
    run_free(r);
    world_free(w);
}

static void inference_frees_early(void **state)
{
    (void)state;
    world *w = world_new(1, 160);
    model_batch b = batch_of(w, 0, BATCH, 0);
    run *r = run_new(w->be, RUN_INFER), *t = run_new(w->be, RUN_TRAIN);
    model_forward(w->m, r, &b);
    model_forward(w->m, t, &b);
    assert_true(run_bytes(r) * 2 < run_bytes(t));
    run_free(r);
    run_free(t);
    world_free(w);
}

static void the_guard_names_the_op(void **state)
{
    (void)state;
    world *w = world_new(1, SIDE_W);
    param_set *s = model_params(w->m);
    param *p = param_find(s, "blocks.1.attn.proj.bias");
    float *x = MEM_ARRAY(float, p->n);
    run *r = run_new(w->be, RUN_TRAIN);
    model_batch b = batch_of(w, 0, BATCH, 0);
    model_forward(w->m, r, &b);
    assert_null(run_first_nonfinite(r));
    param_read(s, p, x);
    x[3] = NAN;
    param_write(s, p, x);
    run_reset(r);
    model_forward(w->m, r, &b);
    assert_non_null(run_first_nonfinite(r));
    assert_non_null(strstr(run_first_nonfinite(r), "linear blocks.1.attn.proj.weight"));
    mem_free(x);
    run_free(r);
    world_free(w);
}

static void devices_by_name(void **state)
{
    (void)state;
    pool *p = pool_new(1);
    err e = {0};
    /* not built, no card, or not so many cards: always a sentence */
    assert_null(backend_new("cuda:255", p, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_non_null(strstr(e.msg, "device cuda"));
    assert_null(backend_new("gpu", p, &e));
    assert_non_null(strstr(e.msg, "'gpu' is not one of"));
    backend *b = backend_new("cpu", p, &e);
    assert_string_equal(backend_name(b), "cpu");
    assert_true(strlen(backend_isa(b)) > 3);
    backend_free(b);
    pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_cuts_change_no_byte),
        cmocka_unit_test(inference_gives_the_bytes_of_training),
        cmocka_unit_test(keeping_all_is_the_plain_network),
        cmocka_unit_test(order_of_kept_patches_does_not_matter),
        cmocka_unit_test(dropped_patches_leave_no_trace),
        cmocka_unit_test(cheap_form_is_exact),
        cmocka_unit_test(memory_is_flat_over_steps),
        cmocka_unit_test(inference_frees_early),
        cmocka_unit_test(the_guard_names_the_op),
        cmocka_unit_test(devices_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
