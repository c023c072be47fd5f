/* Token reduction: published counts and token sequences, selection, fusing and merging against
 * their definitions, and what the acceptance list of token_reduction.md 9 asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "model/reduce.h"
#include "tests/fixtures/deit/formula.h"

/* ---- counts ---------------------------------------------------------------------------------- */

static model_cfg config(const char *name, int side, int reduction)
{
    return (model_cfg){.name = name,
                       .image_h = side,
                       .image_w = side,
                       .channels = 3,
                       .classes = 1000,
                       .keep_rate = 1,
                       .head_init = 0.02,
                       .reduction = reduction,
                       .reduction_layers = "3/6/9",
                       .evit_keep = 0.7,
                       .evit_fuse = true,
                       .ppt_tokens = 50,
                       .ppt_tau = 7e-5,
                       .ppt_size_bias = true};
}

static model_counts counted(const model_cfg *c, const char *path)
{
    model_counts n;
    err e = {0};
    if (!model_count_path(c, path, &n, &e))
        fail_msg("%s", e.msg);
    return n;
}

static int64_t torchprofile(const model_counts *n)
{
    return model_macs(&n->published, MODEL_TORCHPROFILE);
}

static void tokens_are(const model_counts *n, const int want[4])
{
    assert_int_equal(n->n_tokens, 12);
    for (int i = 0; i < 12; i++)
        assert_int_equal(n->tokens[i], want[(i > 3) + (i > 6) + (i > 9)]);
}

static void evit_counts_are_the_published_integers(void **state)
{
    (void)state;
    static const struct {
        double keep;
        bool fuse;
        int tokens[4];
        int64_t macs;
        double core;
    } want[] = {
        {.9, true, {197, 179, 163, 148}, 4025801396, 4.022},
        {.8, true, {197, 159, 129, 105}, 3480450218, 3.477},
        {.7, true, {197, 140, 100, 72}, 3032105162, 3.029},
        {.6, true, {197, 120, 74, 46}, 2637750292, 2.635},
        {.5, true, {197, 100, 52, 28}, 2311015474, 2.309},
        {.9, false, {197, 178, 161, 145}, 3991992275, 3.988},
        {.8, false, {197, 158, 127, 102}, 3447432641, 3.444},
        {.7, false, {197, 139, 98, 69}, 2999739005, 2.997},
        {.6, false, {197, 119, 72, 44}, 2610805579, 2.608},
        {.5, false, {197, 99, 50, 26}, 2284472521, 2.282},
    };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        model_cfg c = config("deit_small_patch16_224", 224, MODEL_EVIT);
        c.evit_keep = want[i].keep;
        c.evit_fuse = want[i].fuse;
        model_counts n = counted(&c, NULL);
        tokens_are(&n, want[i].tokens);
        assert_int_equal(torchprofile(&n), want[i].macs);
        assert_int_equal(llround((double)n.published.matmul / 1e6), llround(want[i].core * 1e3));
        assert_int_equal(n.params, 22050664);
        assert_true(model_macs(&n.executed, MODEL_CORE) < n.published.matmul);
    }
}

/* 2.4 and the last lines of 6: other sizes of image, the base network; in units of the figures. */
static void evit_counts_at_other_sizes(void **state)
{
    (void)state;
    static const struct {
        int side;
        double macs[3];
    } want[] = {
        {272, {4.56, 3.97, 3.48}},
        {288, {5.16, 4.50, 3.94}},
        {304, {5.81, 5.06, 4.44}},
        {384, {9.85, 8.57, 7.52}},
    };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        for (int k = 0; k < 3; k++) {
            model_cfg c = config("deit_small_patch16_224", want[i].side, MODEL_EVIT);
            c.evit_keep = (7 - k) / 10.0;
            model_counts n = counted(&c, NULL);
            assert_int_equal(llround((double)n.published.matmul / 1e7),
                             llround(want[i].macs[k] * 100));
        }
    }
    static const int base[] = {15395, 13327, 11610, 10088, 8820};
    for (int k = 0; k < 5; k++) {
        model_cfg c = config("deit_base_patch16_224", 224, MODEL_EVIT);
        c.evit_keep = (9 - k) / 10.0;
        model_counts n = counted(&c, NULL);
        assert_int_equal(llround((double)n.published.matmul / 1e6), base[k]);
    }
}

static void ppt_counts_are_the_published_integers(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int64_t macs;
    } want[] = {
        {"MPP", 2944411999}, {"PPP", 2943702819}, {"PPM", 2943896799}, {"PMP", 2944114399},
        {"PMM", 2944308379}, {"MPM", 2944605979}, {"MMP", 2944823579}, {"MMM", 2945017559},
    };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        model_cfg c = config("deit_small_patch16_224", 224, MODEL_PPT);
        for (int rule = MODEL_SCALE_FREE; rule <= MODEL_ABSOLUTE; rule++) {
            c.ppt_rule = rule;
            model_counts n = counted(&c, want[i].path);
            tokens_are(&n, (const int[]){197, 147, 97, 49});
            assert_int_equal(torchprofile(&n), want[i].macs);
            if (i == 0) /* 2940979200 and one matching of 99 x 98 keys of 64 */
                assert_int_equal(n.published.matmul, 2941600128);
        }
        c.ppt_tokens = 98 + (int64_t)i;
        model_counts n = counted(&c, want[i].path);
        tokens_are(&n, (const int[]){197, 99, 50, 26});
    }
}

static void refused(const model_cfg *c, const char *path, const char *why)
{
    model_counts n;
    err e = {0};
    assert_false(model_count_path(c, path, &n, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    if (!strstr(e.msg, why))
        fail_msg("'%s' does not say '%s'", e.msg, why);
}

static void unsound_configurations_are_refused(void **state)
{
    (void)state;
    static const char *const lists[] = {"", "3,6", "3/", "/3", "a", "6/3", "3/3", "-1", "99999"};
    model_cfg c = config("deit_small_patch16_224", 224, MODEL_EVIT);
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        c.reduction_layers = lists[i];
        refused(&c, NULL, "model.reduction_layers");
    }
    c.reduction_layers = NULL;
    refused(&c, NULL, "model.reduction_layers: no block is named");
    c.reduction_layers = "3/11";
    refused(&c, NULL, "block 11 of 12");
    c.reduction_layers = "0/10";
    assert_int_equal(counted(&c, NULL).tokens[1], 140);
    c.evit_keep = 0;
    refused(&c, NULL, "model.evit_keep: 0 is outside");
    c = config("pit_s_224", 224, MODEL_EVIT);
    refused(&c, NULL, "pit_s_224 cannot lose tokens between its blocks, because the convolutions");
    c = config("deit_small_patch16_224", 224, MODEL_EVIT);
    refused(&c, "MMM", "path 'MMM'");
    c = config("deit_small_patch16_224", 224, MODEL_PPT);
    refused(&c, "MM", "path 'MM'");
    refused(&c, "MMX", "path 'MMX'");
    c.ppt_tokens = 0;
    refused(&c, NULL, "model.ppt_tokens: 0");
    c.ppt_tokens = 50;
    c.ppt_tau = -1;
    refused(&c, NULL, "model.ppt_tau: -1");
    c = config("deit_small_patch16_224", 224, MODEL_PPT);
    c.keep_rate = 0.5; /* PatchDropout changes the number of tokens */
    assert_int_equal(counted(&c, NULL).tokens[4], 99 - 25);
    c.ppt_rule = MODEL_ABSOLUTE;
    refused(&c, NULL, "take scale_free");
    c.reduction = MODEL_EVIT;
    assert_int_equal(counted(&c, NULL).tokens[4], 1 + 69 + 1);
}

/* 2.1: the product is rounded as double, where float32 is wrong, and where double overshoots. */
static void kept_tokens_are_rounded_in_double(void **state)
{
    (void)state;
    assert_int_equal(reduce_kept(.6, 25), 15);
    assert_int_equal(reduce_kept(.55, 100), 56);
    assert_int_equal(reduce_kept(.7, 196), 138);
    int wrong = 0;
    for (int n = 1; n < 70000; n++) {
        wrong += reduce_kept(.6, n) != (int)ceilf(.6f * (float)n);
        for (int k = 5; k < 10; k++)
            assert_int_equal(reduce_kept(k / 10.0, n), (k * n + 9) / 10);
    }
    assert_int_equal(wrong, 5454);
}

/* ---- networks -------------------------------------------------------------------------------- */

enum { BATCH = 4, ROWS = 6, COLS = 5, PATCHES = ROWS * COLS, CLASSES = 3 };

typedef struct desk {
    pool *pool;
    backend *be;
    run *r;
} desk;

static desk desk_new(int threads)
{
    err e = {0};
    desk d = {.pool = pool_new(threads)};
    d.be = backend_new("cpu", d.pool, &e);
    assert_non_null(d.be);
    d.r = run_new(d.be, RUN_TRAIN);
    return d;
}

static void desk_free(desk *d)
{
    run_free(d->r);
    backend_free(d->be);
    pool_free(d->pool);
}

typedef struct world {
    desk k;
    model *m;
    uint16_t *image[BATCH];
    int32_t keep[BATCH * PATCHES];
    model_watch watch;
} world;

static model_cfg small_config(int reduction)
{
    model_cfg c = config("deit_tiny_patch16_224", 0, reduction);
    c.image_h = ROWS * 16;
    c.image_w = COLS * 16;
    c.channels = 1;
    c.classes = CLASSES;
    c.depth = 5;
    c.reduction_layers = "1/3";
    c.evit_keep = 0.5;
    return c;
}

static void fill_params(param_set *s)
{
    for (int i = 0; i < s->n; i++) {
        param *p = &s->p[i];
        float *x = mem_alloc((size_t)p->n * sizeof *x);
        formula_param(p->name, p->ndim, p->shape[0], p->n, 1.5, x);
        param_write(s, p, x);
        mem_free(x);
    }
}

static world *world_new(const model_cfg *c, int threads)
{
    world *w = MEM_NEW(world);
    err e = {0};
    w->k = desk_new(threads);
    w->m = model_new(c, w->k.be, 3, &e);
    if (!w->m)
        fail_msg("%s", e.msg);
    fill_params(model_params(w->m));
    for (int s = 0; s < BATCH; s++) {
        w->image[s] = mem_alloc((size_t)(c->image_h * c->image_w) * sizeof(uint16_t));
        formula_image(s, 1, (int)c->image_h, (int)c->image_w, w->image[s]);
        for (int i = 0; i < PATCHES; i++)
            w->keep[s * PATCHES + i] = i;
    }
    return w;
}

static void world_free(world *w)
{
    for (int s = 0; s < BATCH; s++)
        mem_free(w->image[s]);
    watch_release(&w->watch);
    model_free(w->m);
    desk_free(&w->k);
    mem_free(w);
}

static model_batch batch_of(world *w, int from, int n)
{
    const model_cfg *c = model_config(w->m);
    return (model_batch){.b = n,
                         .h = (int)c->image_h,
                         .w = (int)c->image_w,
                         .image = (const uint16_t *const *)w->image + from,
                         .mean = 0.5f,
                         .sd = 0.25f,
                         .watch = &w->watch};
}

static void infer(world *w, const model_batch *b, float *logits)
{
    run *r = run_new(w->k.be, RUN_INFER);
    run_read(r, model_forward(w->m, r, b), logits);
    run_free(r);
}

/* Logits of the whole batch and gradients of all parameters, in parts of `part` images. */
static void train(world *w, int part, float *logits, float *grads)
{
    param_set *s = model_params(w->m);
    param_zero_grad(s);
    for (int from = 0; from < BATCH; from += part) {
        model_batch b = batch_of(w, from, part);
        float dz[BATCH * CLASSES];
        run_reset(w->k.r);
        tensor *z = model_forward(w->m, w->k.r, &b);
        run_read(w->k.r, z, logits + from * CLASSES);
        for (int i = 0; i < part * CLASSES; i++)
            dz[i] = (float)((from * CLASSES + i) * 7 % 11 - 5) / 4;
        run_backward_from(w->k.r, z, dz);
    }
    for (int i = 0; i < s->n; grads += s->p[i].n, i++)
        backend_to_host(w->k.be, grads, s->p[i].g, (size_t)s->p[i].n * sizeof(float));
}

static double largest(const float *a, const float *b)
{
    double diff = 0;
    for (int i = 0; i < BATCH * CLASSES; i++)
        diff = fmax(diff, fabs((double)a[i] - (double)b[i]));
    return diff;
}

enum { MIXED = 2, PLANS = 9 };
static model_cfg plans[PLANS];
/* EViT fused, not fused; PPT with batches of both branches, all pooled, all pruned; no reduction;
 * with a distillation token and with registers. */
static int all_plans(void)
{
    static const int how[PLANS] = {MODEL_EVIT, MODEL_EVIT, MODEL_PPT, MODEL_PPT, MODEL_PPT,
                                   MODEL_FULL, MODEL_EVIT, MODEL_PPT, MODEL_PPT};
    for (int i = 0; i < PLANS; i++)
        plans[i] = small_config(how[i]);
    plans[1].evit_fuse = false;
    plans[3].ppt_tau = plans[7].ppt_tau = plans[8].ppt_tau = 1e6;
    plans[6].name = plans[7].name = "deit_tiny_distilled_patch16_224";
    plans[8].name = "vit_tiny_patch16_reg4_224";
    plans[4].ppt_tau = 0;
    world *w = world_new(&plans[4], 1);
    model_batch b = batch_of(w, 0, BATCH);
    float z[BATCH * CLASSES];
    infer(w, &b, z);
    const double *v = w->watch.layer[0].spread;
    plans[MIXED].ppt_tau = (v[0] + v[1]) / 2 / (196 * 196);
    world_free(w);
    return PLANS;
}

static int prefix_of(const model_cfg *c)
{
    return strstr(c->name, "distilled") ? 2 : strstr(c->name, "reg4") ? 5 : 1;
}

static void threads_and_cuts_change_no_byte(void **state)
{
    (void)state;
    int n = all_plans();
    for (int p = 0; p < n; p++) {
        float want[BATCH * CLASSES], got[BATCH * CLASSES], *grads = NULL;
        bool mixed = false;
        for (int threads = 1; threads <= 3; threads += 2) {
            world *w = world_new(&plans[p], threads);
            size_t total = (size_t)model_params(w->m)->total;
            float *g = MEM_ARRAY(float, total);
            for (int part = BATCH; part >= 1; part /= 2) {
                train(w, part, got, g);
                for (int i = 0; p == MIXED && part == BATCH && i < w->watch.layers; i++)
                    for (int s = 1; s < BATCH; s++)
                        mixed |= w->watch.layer[i].pooled[s] != w->watch.layer[i].pooled[0];
                if (!grads) {
                    memcpy(want, got, sizeof want);
                    grads = g;
                    g = MEM_ARRAY(float, total);
                    continue;
                }
                assert_memory_equal(got, want, sizeof want);
                assert_memory_equal(g, grads, total * sizeof *g);
            }
            model_batch b = batch_of(w, 0, BATCH);
            infer(w, &b, got); /* the bytes of inference are those of training */
            assert_memory_equal(got, want, sizeof want);
            mem_free(g);
            world_free(w);
        }
        assert_true(p != MIXED || mixed);
        mem_free(grads);
    }
}

/* The tokens that stay are those of the largest score, and the rows lead back to patches. */
static void evit_keeps_what_the_class_token_sees(void **state)
{
    (void)state;
    static const int rows[] = {31, 17, 10}; /* 1 + 30 > 1 + 15 + 1 > 1 + 8 + 1 */
    model_cfg c = small_config(MODEL_EVIT);
    world *w = world_new(&c, 2);
    model_batch b = batch_of(w, 0, BATCH);
    float z[BATCH * CLASSES];
    infer(w, &b, z);
    assert_int_equal(w->watch.layers, 2);
    for (int s = 0; s < BATCH; s++) {
        int patch[40], next[40] = {0};
        for (int i = 0; i < 40; i++)
            patch[i] = i - 1; /* of each row; -1 = CLS, fused */
        for (int i = 0; i < 2; i++) {
            const watch_layer *l = &w->watch.layer[i];
            const int32_t *dst = l->dst + s * l->n_in;
            const float *score = l->score + s * l->n_in;
            int keep = rows[i + 1] - 2;
            assert_int_equal(l->block, 1 + 2 * i);
            assert_int_equal(l->n_in, rows[i]);
            assert_int_equal(l->n_out, rows[i + 1]);
            assert_int_equal(l->fused, keep + 1);
            assert_int_equal(dst[0], 0);
            double sum = 0;
            for (int j = 0; j < l->n_in; j++) {
                int better = 0;
                sum += score[j];
                for (int k = 1; k < l->n_in; k++)
                    better += k != j && (score[k] > score[j] || (score[k] == score[j] && k < j));
                assert_int_equal(dst[j], j == 0 ? 0 : better < keep ? 1 + better : keep + 1);
                next[dst[j]] = patch[j];
            }
            assert_true(fabs(sum - 1) < 1e-5);
            next[keep + 1] = -1;
            memcpy(patch, next, sizeof patch);
            int32_t row[PATCHES], alone[40];
            watch_patches(&w->watch, s, i + 1, NULL, PATCHES, row, alone);
            for (int j = 0; j < l->n_out; j++)
                assert_int_equal(alone[j], patch[j]);
            for (int j = 0; j < PATCHES; j++)
                assert_true(row[j] > 0 && (alone[row[j]] == j || alone[row[j]] == -1));
        }
    }
    world_free(w);
}

static void the_rate_of_a_call(void **state)
{
    (void)state;
    float z[4][BATCH * CLASSES];
    for (int i = 0; i < 4; i++) {
        model_cfg c = small_config(i ? MODEL_EVIT : MODEL_FULL);
        c.evit_keep = i == 2 ? 1 : 0.5;
        world *w = world_new(&c, 2);
        model_batch b = batch_of(w, 0, BATCH);
        b.evit_keep = i == 1 ? 1 : i == 2 ? 0.3 : 0;
        infer(w, &b, z[i]);
        if (i && i < 3)
            assert_int_equal(w->watch.layer[0].n_out, PATCHES + 1);
        if (i == 3) { /* a rate of the call stands for the configured one */
            float y[BATCH * CLASSES];
            b.evit_keep = 0.5;
            infer(w, &b, y);
            assert_memory_equal(y, z[3], sizeof y);
            b.evit_keep = 0.3;
            infer(w, &b, y);
            assert_int_equal(w->watch.layer[0].n_out, 1 + 9 + 1);
            assert_true(largest(y, z[3]) > 1e-5);
        }
        world_free(w);
    }
    assert_memory_equal(z[0], z[1], sizeof z[0]); /* 1 = all tokens */
    assert_memory_equal(z[0], z[2], sizeof z[0]); /* a network without reduction has no rate */
    assert_true(largest(z[0], z[3]) > 1e-5);
}

/* 2.1: where one token would be fused, it is left alone unless the published form is asked for. */
static void a_single_token_is_not_fused(void **state)
{
    (void)state;
    for (int one = 0; one < 2; one++) {
        model_cfg c = small_config(MODEL_EVIT);
        float z[BATCH * CLASSES];
        c.evit_keep = 0.97; /* ceil(.97 * 30) = 30: nothing; .96: 29 of 30 */
        c.evit_fuse_one = one;
        world *w = world_new(&c, 1);
        model_batch b = batch_of(w, 0, BATCH);
        infer(w, &b, z);
        assert_null(w->watch.layer[0].score);
        b.evit_keep = 0.96;
        infer(w, &b, z);
        assert_int_equal(w->watch.layer[0].n_out, PATCHES + 1);
        assert_true((w->watch.layer[0].score != NULL) == one);
        assert_int_equal(w->watch.layer[0].fused, one ? 30 : -1);
        int32_t row[PATCHES], alone[PATCHES + 1];
        watch_patches(&w->watch, 0, 1, NULL, PATCHES, row, alone);
        for (int i = 0; i < PATCHES; i++)
            assert_int_equal(alone[row[i]], one && row[i] == 30 ? -1 : i);
        assert_int_equal(counted(&c, NULL).tokens[4], PATCHES + 1);
        world_free(w);
    }
}

/* 9: the order of the tokens after their positions counts only where PPT pools. */
static void the_order_of_tokens_counts_for_pooling_only(void **state)
{
    (void)state;
    int n = all_plans();
    for (int p = 0; p < n; p++) {
        world *w = world_new(&plans[p], 2);
        model_batch b = batch_of(w, 0, BATCH);
        float a[BATCH * CLASSES], z[BATCH * CLASSES];
        b.keep = w->keep;
        b.n_keep = PATCHES;
        infer(w, &b, a);
        for (int s = 0; s < BATCH; s++) {
            for (int i = 0; i < PATCHES; i++)
                w->keep[s * PATCHES + i] = (i * 7 + s) % PATCHES;
        }
        infer(w, &b, z);
        if (plans[p].reduction == MODEL_PPT && plans[p].ppt_tau > 0)
            assert_true(largest(a, z) > 1e-5);
        else
            assert_true(largest(a, z) < 1e-5);
        world_free(w);
    }
}

static void sizes_tell_what_became_of_all_patches(void **state)
{
    (void)state;
    static const int rows[] = {197, 147, 97, 49};
    for (int merge = 0; merge < 2; merge++) {
        model_cfg c = small_config(MODEL_PPT);
        c.image_h = c.image_w = 224;
        c.reduction_layers = "0/1/2";
        c.ppt_tau = merge ? 1e6 : 0;
        world *w = world_new(&c, 2);
        model_batch b = batch_of(w, 0, BATCH);
        float z[BATCH * CLASSES];
        infer(w, &b, z);
        assert_int_equal(w->watch.layers, 3);
        for (int i = 0; i < 3; i++) {
            const watch_layer *l = &w->watch.layer[i];
            assert_int_equal(l->n_in, rows[i]);
            assert_int_equal(l->n_out, rows[i + 1]);
            for (int s = 0; s < BATCH; s++) {
                int32_t row[196];
                float *held = MEM_ARRAY(float, l->n_out), sum = 0;
                assert_int_equal(l->pooled[s], merge);
                int32_t *alone = MEM_ARRAY(int32_t, l->n_out);
                watch_patches(&w->watch, s, i + 1, NULL, 196, row, alone);
                held[0] = 1;
                for (int j = 0; j < 196; j++)
                    held[row[j] < 0 ? 0 : row[j]] += row[j] >= 0;
                for (int j = 0; j < l->n_out; j++) {
                    sum += l->size[s * l->n_out + j];
                    assert_true(l->size[s * l->n_out + j] == held[j]); /* source columns sum to 1 */
                    assert_true((alone[j] >= 0) == (j > 0 && held[j] == 1));
                    assert_true(alone[j] < 0 || row[alone[j]] == j);
                }
                mem_free(alone);
                assert_true(sum == (merge ? 197 : (float)l->n_out));
                mem_free(held);
            }
        }
        world_free(w);
    }
}

/* 8.2: shares and spreads instead of numbers: the same at any number of tokens. */
static void scale_free_rules(void **state)
{
    (void)state;
    model_cfg c = small_config(MODEL_PPT);
    net_preset plain = {.prefix = 1};
    net_cfg n = {.m = c, .kind = &deit_kind, .preset = &plain};
    err e = {0};
    n.m.depth = 12;
    n.m.reduction_layers = "3/6/9";
    assert_true(reduce_resolve(&n, &e));
    static const double below[] = {2.689, 1.492, .645};
    static const int tokens[] = {196, 146, 96}, gone[] = {50, 50, 48};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(n.cut[i].block, 3 + 3 * i);
        assert_int_equal(n.cut[i].n, tokens[i]);
        assert_int_equal(n.cut[i].r, gone[i]);
        assert_int_equal(lround(n.cut[i].below * 1000), lround(below[i] * 1000));
    }
    c = config("deit_small_patch16_224", 896, MODEL_PPT); /* 3136 = 16 * 196 patches */
    model_counts k = counted(&c, NULL);
    tokens_are(&k, (const int[]){3137, 3137 - 800, 3137 - 1600, 769});
    c.ppt_rule = MODEL_ABSOLUTE;
    k = counted(&c, NULL);
    tokens_are(&k, (const int[]){3137, 3087, 3037, 2987});
    c = config("deit_small_patch16_224", 160, MODEL_PPT); /* 100 * 50 / 196 = 25.5 */
    assert_int_equal(counted(&c, NULL).tokens[4], 75);
}

/* The rows that go to the fused token alone are weighted. */
static void the_map_of_a_layer(void **state)
{
    (void)state;
    model_batch b = {.b = 2};
    net_preset plain = {.prefix = 2};
    net_cfg n = {.m = small_config(MODEL_EVIT), .kind = &deit_kind, .preset = &plain, .heads = 3};
    net_call call = {.cfg = &n, .batch = &b};
    run *r = run_new(NULL, RUN_SHAPE);
    reduce_layer l;
    err e = {0};
    assert_true(reduce_resolve(&n, &e));
    assert_false(reduce_open(r, &call, 0, 32, NULL, &l));
    assert_true(reduce_open(r, &call, 1, 33, NULL, &l)); /* 2 and 31, of which 16 stay */
    assert_int_equal(l.map.n_in, 33);
    assert_int_equal(l.map.n_out, 2 + 16 + 1);
    assert_int_equal(l.map.w_from, 2 + 16);
    n.m.evit_fuse = false;
    assert_true(reduce_open(r, &call, 3, 33, NULL, &l));
    assert_int_equal(l.map.n_out, 2 + 16);
    run_free(r);
}

/* A world where all patches look alike: blank images, one position for all. */
static void make_alike(world *w)
{
    param_set *s = model_params(w->m);
    param *pos = param_find(s, "pos_embed");
    float *x = mem_alloc((size_t)pos->n * sizeof *x);
    param_read(s, pos, x);
    for (int i = 2 * 192; i < pos->n; i++)
        x[i] = x[i - 192];
    param_write(s, pos, x);
    mem_free(x);
    for (int i = 0; i < BATCH; i++)
        memset(w->image[i], 0x50 + i, ROWS * COLS * 256 * sizeof(uint16_t));
}

/* 3.1: where equal tokens are merged and counted as often, nothing changes; it does without the
 * bias, where sizes start anew in every layer too. */
static void size_bias(void **state)
{
    (void)state;
    float z[4][BATCH * CLASSES];
    for (int p = 0; p < 4; p++) {
        model_cfg c = small_config(p ? MODEL_PPT : MODEL_FULL);
        c.ppt_tau = 1e6;
        c.ppt_size_bias = p == 2;
        c.reduction_layers = p < 3 ? "1/3" : "1";
        world *w = world_new(&c, 2);
        make_alike(w);
        model_batch b = batch_of(w, 0, BATCH);
        infer(w, &b, z[p]);
        float sum = 0;
        const watch_layer *last = &w->watch.layer[p < 3];
        for (int i = 0; p && i < last->n_out; i++)
            sum += last->size[i];
        assert_true(!p || sum == (p == 2 ? PATCHES + 1 : (float)last->n_in));
        world_free(w);
    }
    assert_true(largest(z[0], z[1]) > 1e-4);
    assert_true(largest(z[0], z[2]) < 1e-5);
    assert_true(largest(z[0], z[3]) > 1e-4);
}

/* The cheap form (last block for CLS only, kept patches embedded only) against the published one,
 * in a network of the same parameters. */
static void cheap_form_is_exact(void **state)
{
    (void)state;
    int n = all_plans();
    for (int p = 0; p < n; p++) {
        for (int n_keep = 0; n_keep <= 19; n_keep += 19) {
            world *w = world_new(&plans[p], 2);
            model_batch b = batch_of(w, 0, BATCH);
            float a[BATCH * CLASSES], z[BATCH * CLASSES];
            net_preset plain = {.prefix = prefix_of(&plans[p])};
            const net_kind *kind = plain.prefix == 5 ? &vit_reg_kind : &deit_kind;
            net_cfg nc = {.m = *model_config(w->m), .kind = kind, .preset = &plain};
            err e = {0};
            nc.width = 192;
            nc.heads = 3;
            nc.rows = ROWS;
            nc.cols = COLS;
            nc.patches = PATCHES;
            assert_true(reduce_resolve(&nc, &e));
            for (int i = 0; i < BATCH * n_keep; i++)
                w->keep[i] = i % n_keep + i / n_keep;
            b.keep = n_keep ? w->keep : NULL;
            b.n_keep = n_keep;
            infer(w, &b, a);
            void *net = mem_calloc(1, kind->size);
            param_set *s = param_set_new(w->k.be, kind->param_cap(&nc));
            kind->build(net, &nc, s);
            param_set_alloc(s);
            fill_params(s);
            run *r = run_new(w->k.be, RUN_INFER);
            watch_release(&w->watch);
            net_call call = {.cfg = &nc, .batch = &b, .published = true};
            run_read(r, kind->logits(net, r, kind->features(net, r, &call)), z);
            assert_true(largest(a, z) < 1e-6);
            run_free(r);
            param_set_free(s);
            mem_free(net);
            world_free(w);
        }
    }
}

static void swap_rows(param_set *s, const char *a, int i, const char *b, int j)
{
    param *p = param_find(s, a), *q = param_find(s, b);
    float *x = mem_alloc((size_t)p->n * sizeof *x), *y = mem_alloc((size_t)q->n * sizeof *y);
    param_read(s, p, x);
    param_read(s, q, y);
    float *to = p == q ? x : y;
    for (int c = 0; c < 192; c++) {
        float v = x[i * 192 + c];
        x[i * 192 + c] = to[j * 192 + c];
        to[j * 192 + c] = v;
    }
    if (p != q)
        param_write(s, q, y);
    param_write(s, p, x);
    mem_free(x);
    mem_free(y);
}

/* 8.3: both tokens that a head reads stay, and decide alike; so do registers, but they do not
 * decide. */
static void first_tokens_stay_and_those_read_decide(void **state)
{
    (void)state;
    int n = all_plans();
    for (int p = 6; p < n; p++) {
        world *w = world_new(&plans[p], 1);
        model_batch b = batch_of(w, 0, 1);
        int prefix = prefix_of(&plans[p]), rows = prefix + PATCHES;
        float z[CLASSES], first[5 + PATCHES];
        for (int swapped = 0; swapped < 2; swapped++) {
            infer(w, &b, z);
            for (int i = 0; i < w->watch.layers; i++) {
                for (int k = 0; k < prefix; k++)
                    assert_int_equal(w->watch.layer[i].dst[k], k);
            }
            const float *score = w->watch.layer[0].score;
            double diff = 0;
            for (int k = 0; k < rows; k++) {
                int was = prefix == 2 && k < 2 ? 1 - k : k;
                diff += swapped ? fabs(score[k] - first[was]) : 0;
            }
            assert_true(prefix == 2 ? diff < 1e-5 : !swapped || diff > 1e-3);
            memcpy(first, score, (size_t)rows * sizeof *first);
            swap_rows(model_params(w->m), "cls_token", 0, prefix == 2 ? "dist_token" : "reg_token",
                      0);
            swap_rows(model_params(w->m), "pos_embed", 0, "pos_embed", 1);
        }
        world_free(w);
    }
}

/* Hardly any token: nothing to reduce is no error. */
static void few_tokens(void **state)
{
    (void)state;
    int n = all_plans();
    for (int p = 0; p < n; p++) {
        world *w = world_new(&plans[p], 1);
        for (int n_keep = 1; n_keep <= 4; n_keep++) {
            model_batch b = batch_of(w, 0, BATCH);
            float z[BATCH * CLASSES];
            b.keep = w->keep;
            b.n_keep = n_keep;
            infer(w, &b, z);
            for (int i = 0; i < BATCH * CLASSES; i++)
                assert_true(isfinite(z[i]));
            for (int i = 0; i < w->watch.layers; i++)
                assert_true(w->watch.layer[i].n_out > prefix_of(&plans[p]));
        }
        world_free(w);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evit_counts_are_the_published_integers),
        cmocka_unit_test(evit_counts_at_other_sizes),
        cmocka_unit_test(ppt_counts_are_the_published_integers),
        cmocka_unit_test(unsound_configurations_are_refused),
        cmocka_unit_test(kept_tokens_are_rounded_in_double),
        cmocka_unit_test(threads_and_cuts_change_no_byte),
        cmocka_unit_test(evit_keeps_what_the_class_token_sees),
        cmocka_unit_test(the_rate_of_a_call),
        cmocka_unit_test(a_single_token_is_not_fused),
        cmocka_unit_test(the_order_of_tokens_counts_for_pooling_only),
        cmocka_unit_test(sizes_tell_what_became_of_all_patches),
        cmocka_unit_test(scale_free_rules),
        cmocka_unit_test(the_map_of_a_layer),
        cmocka_unit_test(size_bias),
        cmocka_unit_test(cheap_form_is_exact),
        cmocka_unit_test(first_tokens_stay_and_those_read_decide),
        cmocka_unit_test(few_tokens),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
