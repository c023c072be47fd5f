/* Optimiser steps against the formulas in double: SGD, AdamW, both kinds of clipping, accumulation,
 * decay groups, and state that survives a file. */
#include "tests/unit/store.h"

#include <math.h>

#include "train/optim.h"

static char dir[64];
static pool *threads;
static backend *be;

enum { N0 = 5, N1 = 3 };
static const double x0[] = {1, -2, 0.5, 3, -0.25}, x1[] = {0.1, -0.2, 0.3};

typedef struct twin { /* the same numbers by hand */
    double x[N0 + N1], m[N0 + N1], v[N0 + N1], g[N0 + N1];
} twin;

static param_set *make_set(twin *t)
{
    param_set *s = param_set_new(be, 2);
    float x[N0];
    param_add(s, "w", 2, (int[]){1, N0});
    param_add(s, "b", 1, (int[]){N1});
    param_set_alloc(s);
    memset(t, 0, sizeof *t);
    for (int i = 0; i < N0; i++)
        t->x[i] = x[i] = (float)x0[i];
    param_write(s, &s->p[0], x);
    for (int i = 0; i < N1; i++)
        t->x[N0 + i] = x[i] = (float)x1[i];
    param_write(s, &s->p[1], x);
    assert_true(s->p[0].decay);
    assert_false(s->p[1].decay);
    return s;
}

static void give_gradient(param_set *s, twin *t, int round)
{
    float g[N0 + N1];
    for (int i = 0; i < N0 + N1; i++)
        t->g[i] = g[i] = (float)(sin(3.0 * i + round) * (i < N0 ? 4 : 0.25));
    backend_to_device(be, s->p[0].g, g, N0 * sizeof(float));
    backend_to_device(be, s->p[1].g, g + N0, N1 * sizeof(float));
}

static void expect(const param_set *s, const twin *t)
{
    float x[N0];
    for (int k = 0; k < 2; k++) {
        param_read(s, &s->p[k], x);
        for (int i = 0; i < (k ? N1 : N0); i++) {
            double want = t->x[k * N0 + i];
            if (fabs((double)x[i] - want) > 1e-6 * fmax(1, fabs(want)))
                fail_msg("parameter %d entry %d is %.9g, wanted %.9g", k, i, (double)x[i], want);
        }
    }
}

static double norm_of(const twin *t, int from, int to)
{
    double s = 0;
    for (int i = from; i < to; i++)
        s += t->g[i] * t->g[i];
    return sqrt(s);
}

/* Scale of each of the two tensors, as the published code or globally. */
static void clip_scales(const optim_cfg *c, const twin *t, int parts, double out[2])
{
    double n[2] = {norm_of(t, 0, N0) / parts, norm_of(t, N0, N0 + N1) / parts};
    double all = hypot(n[0], n[1]);
    for (int k = 0; k < 2; k++) {
        double norm = c->clip_mode == OPTIM_CLIP_GLOBAL ? all : n[k];
        out[k] = (c->clip > 0 ? fmin(1, c->clip / (norm + 1e-6)) : 1) / parts;
    }
}

static void twin_step(const optim_cfg *c, twin *t, double lr, int64_t step, int parts)
{
    double scale[2];
    clip_scales(c, t, parts, scale);
    for (int i = 0; i < N0 + N1; i++) {
        double g = t->g[i] * scale[i >= N0], wd = i < N0 ? c->weight_decay : 0;
        if (c->kind == OPTIM_SGD) {
            t->v[i] = c->momentum * t->v[i] + g + wd * t->x[i];
            t->x[i] -= lr * t->v[i];
        } else {
            t->x[i] -= lr * wd * t->x[i];
            t->m[i] = c->beta1 * t->m[i] + (1 - c->beta1) * g;
            t->v[i] = c->beta2 * t->v[i] + (1 - c->beta2) * g * g;
            double m = t->m[i] / (1 - pow(c->beta1, (double)step)),
                   v = t->v[i] / (1 - pow(c->beta2, (double)step));
            t->x[i] -= lr * m / (sqrt(v) + c->eps);
        }
    }
}

/* One step in a piece of its own; the norm. */
static double stepped(optim *o, double lr, int64_t step, int parts)
{
    double norm;
    backend_begin(be);
    optim_step(o, lr, step, parts, &norm);
    backend_wait(be, backend_end(be));
    return norm;
}

static void compare(const optim_cfg *c, int parts)
{
    twin t;
    param_set *s = make_set(&t);
    optim *o = optim_new(c, s);
    for (int64_t step = 1; step <= 6; step++) {
        double lr = 0.01 * (double)step;
        give_gradient(s, &t, (int)step);
        double norm = stepped(o, lr, step, parts);
        assert_true(fabs(norm - norm_of(&t, 0, N0 + N1) / parts) < 1e-5);
        twin_step(c, &t, lr, step, parts);
        expect(s, &t);
    }
    optim_free(o);
    param_set_free(s);
}

static void test_steps(void **state)
{
    for (int kind = OPTIM_SGD; kind <= OPTIM_ADAMW; kind++)
        for (int clip = 0; clip < 4; clip++)
            for (int parts = 1; parts <= 4; parts += 3) {
                static const double limit[] = {0, 1, 100, 1};
                optim_cfg c = {.kind = kind,
                               .clip_mode = clip == 3 ? OPTIM_CLIP_TENSOR : OPTIM_CLIP_GLOBAL,
                               .momentum = 0.9,
                               .beta1 = 0.9,
                               .beta2 = 0.99,
                               .eps = 1e-8,
                               .weight_decay = 0.05,
                               .clip = limit[clip]};
                compare(&c, parts);
            }
}

/* One SGD step by hand: g = 2, momentum 0.5, decay 0.1, rate 0.1 on x = 1. */
static void test_by_hand(void **state)
{
    param_set *s = param_set_new(be, 1);
    optim_cfg c = {.kind = OPTIM_SGD, .momentum = 0.5, .weight_decay = 0.1};
    float x = 1, g = 2;
    param_add(s, "w", 2, (int[]){1, 1});
    param_set_alloc(s);
    param_write(s, &s->p[0], &x);
    optim *o = optim_new(&c, s);
    backend_to_device(be, s->p[0].g, &g, sizeof g);
    assert_true(stepped(o, 0.1, 1, 1) == 2);
    param_read(s, &s->p[0], &x);
    assert_true(fabs((double)x - 0.79) < 1e-7); /* v = 2.1 */
    stepped(o, 0.1, 2, 1);
    param_read(s, &s->p[0], &x);
    assert_true(fabs((double)x - (0.79 - 0.1 * (1.05 + 2.079))) < 1e-6);
    g = 30;
    backend_to_device(be, s->p[0].g, &g, sizeof g);
    assert_true(stepped(o, 0, 3, 10) == 3); /* parts divide before the norm */
    g = NAN;
    backend_to_device(be, s->p[0].g, &g, sizeof g);
    param_read(s, &s->p[0], &x);
    assert_true(isnan(stepped(o, 0.1, 4, 1)));
    g = 1;
    backend_to_device(be, s->p[0].g, &g, sizeof g);
    assert_true(isnan(stepped(o, 0.1, 5, 1))); /* what a NaN ended stays ended */
    float after;
    param_read(s, &s->p[0], &after);
    assert_true(after == x);
    optim_free(o);
    param_set_free(s);
}

/* Saved in the middle and loaded into a new optimiser, the steps go on as if nothing had been. */
static void test_state(void **state)
{
    char *path = fs_join(dir, "optim.safetensors");
    for (int kind = OPTIM_SGD; kind <= OPTIM_ADAMW; kind++) {
        optim_cfg c = {.kind = kind, .momentum = 0.9, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8};
        twin t;
        param_set *s = make_set(&t);
        optim *o = optim_new(&c, s);
        for (int64_t step = 1; step <= 4; step++) {
            if (step == 3) {
                OK(optim_save(o, path, e));
                optim_free(o);
                o = optim_new(&c, s);
                OK(optim_load(o, path, e));
            }
            give_gradient(s, &t, (int)step);
            stepped(o, 0.02, step, 1);
            twin_step(&c, &t, 0.02, step, 1);
            expect(s, &t);
        }
        optim_free(o);
        if (kind == OPTIM_SGD) { /* its file lacks what AdamW needs */
            err e = {0};
            c.kind = OPTIM_ADAMW;
            o = optim_new(&c, s);
            assert_false(optim_load(o, path, &e));
            assert_string_equal(e.msg, "optimiser state: 'm.w' is missing or has another size");
            optim_free(o);
        }
        param_set_free(s);
    }
    mem_free(path);
}

static int setup(void **state)
{
    threads = pool_new(2);
    OK((be = backend_new("cpu", threads, e)));
    return store_tmp("optim", dir) ? 0 : -1;
}

static int teardown(void **state)
{
    err e = {0};
    backend_free(be);
    pool_free(threads);
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

/* Which names count as tokens: prefix tokens, positions and tables of relative positions, of any
 * stage; the rest decays by its shape as ever. */
static void test_decay_groups(void **state)
{
    static const struct {
        const char *name;
        int ndim;
        bool with, without;
    } t[] = {{"cls_token", 3, true, false},
             {"dist_token", 3, true, false},
             {"reg_token", 3, true, false},
             {"pos_embed", 3, true, false},
             {"layers.1.blocks.0.attn.relative_position_bias_table", 2, true, false},
             {"patch_embed.proj.weight", 4, true, true},
             {"blocks.0.attn.qkv.weight", 2, true, true},
             {"blocks.0.attn.qkv.bias", 1, false, false},
             {"norm.weight", 1, false, false}};
    for (int tokens = 0; tokens < 2; tokens++) {
        param_set *s = param_set_new(be, COUNT_OF(t));
        for (size_t i = 0; i < COUNT_OF(t); i++)
            param_add(s, t[i].name, t[i].ndim, (int[]){1, 1, 1, 1});
        param_set_alloc(s);
        optim *o = optim_new(&(optim_cfg){.decay_tokens = tokens}, s);
        for (size_t i = 0; i < COUNT_OF(t); i++)
            if (s->p[i].decay != (tokens ? t[i].with : t[i].without))
                fail_msg("%s: decay %d with decay_tokens %d", t[i].name, s->p[i].decay, tokens);
        optim_free(o);
        param_set_free(s);
    }
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps), cmocka_unit_test(test_by_hand),
                                       cmocka_unit_test(test_state),
                                       cmocka_unit_test(test_decay_groups)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
