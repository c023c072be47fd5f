/* Networks with token reduction: what the acceptance list of token_reduction.md 9 asks for, seen
 * through the record of what became of the tokens. */
#include "tests/unit/desk.h"
#include "tests/unit/reduction.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "model/reduce.h"
#include "tests/fixtures/deit/formula.h"

typedef struct world {
    desk k;
    model *m;
    uint16_t *image[BATCH];
    int32_t keep[BATCH * PATCHES];
    model_watch watch;
} world;

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

/* What a block needed is free again where tokens left too, but for a few words for each token. */
static void inference_frees_early(void **state)
{
    (void)state;
    int n = all_plans();
    for (int p = 0; p < n; p++) {
        world *w = world_new(&plans[p], 1);
        model_batch b = batch_of(w, 0, BATCH);
        run *r = run_new(w->k.be, RUN_INFER);
        size_t stream = (size_t)BATCH * (size_t)(prefix_of(&plans[p]) + PATCHES) * 192 * 4;
        model_forward(w->m, r, &b);
        if (run_bytes(r) > 16 * stream) /* the stem, and the last block, which is whole */
            fail_msg("plan %d: %zu bytes for a stream of %zu", p, run_bytes(r), stream);
        run_free(r);
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
        cmocka_unit_test(threads_and_cuts_change_no_byte),
        cmocka_unit_test(evit_keeps_what_the_class_token_sees),
        cmocka_unit_test(the_rate_of_a_call),
        cmocka_unit_test(a_single_token_is_not_fused),
        cmocka_unit_test(the_order_of_tokens_counts_for_pooling_only),
        cmocka_unit_test(sizes_tell_what_became_of_all_patches),
        cmocka_unit_test(size_bias),
        cmocka_unit_test(cheap_form_is_exact),
        cmocka_unit_test(first_tokens_stay_and_those_read_decide),
        cmocka_unit_test(inference_frees_early),
        cmocka_unit_test(few_tokens),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
