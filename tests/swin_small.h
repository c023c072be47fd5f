/* A Swin network of few channels and blocks for tests: the real code behind a preset of our own. */
#ifndef TESTS_SWIN_SMALL_H
#define TESTS_SWIN_SMALL_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/mem.h"
#include "core/pool.h"
#include "model/net.h"
#include "model/swin_plan.h"
#include "tests/fixtures/deit/formula.h"
#include "tests/device.h"

enum { SMALL_CHANNELS = 2, SMALL_CLASSES = 3, SMALL_BATCH = 5, SMALL_WIDTH = 12 };

typedef struct small {
    net_cfg cfg;
    pool *pool;
    backend *be;
    param_set *set;
    void *net;
    model_batch batch; /* SMALL_BATCH images, no patch dropped */
    uint16_t *image[SMALL_BATCH];
    int32_t *keep;
} small;

/* A test may change its depths while it runs. */
static net_preset small_preset = {"small", SMALL_WIDTH, {2, 2, 1, 1}, 2, 2, 64, .window = 2};

static inline small *small_new(int threads, int h, int w, int window, int sets)
{
    small *n = MEM_NEW(small);
    err e = {0};
    n->pool = pool_new(threads);
    n->be = backend_new(test_device(), n->pool, &e);
    assert_non_null(n->be);
    n->cfg = (net_cfg){.preset = &small_preset, .width = SMALL_WIDTH, .heads = 2};
    n->cfg.m = (model_cfg){.name = "small", .image_h = h, .image_w = w, .patch = 2, .stride = 2};
    n->cfg.m.window = window;
    n->cfg.m.channels = SMALL_CHANNELS;
    n->cfg.m.classes = SMALL_CLASSES;
    n->cfg.m.keep_rate = 1;
    n->cfg.m.swin_sets = sets;
    if (!swin_kind.grid(&n->cfg, &e))
        fail_msg("%s", e.msg);
    n->cfg.patches = n->cfg.rows * n->cfg.cols;
    n->set = param_set_new(n->be, swin_kind.param_cap(&n->cfg));
    n->net = mem_calloc(1, swin_kind.size);
    swin_kind.build(n->net, &n->cfg, n->set);
    param_set_alloc(n->set);
    for (int i = 0; i < n->set->n; i++) {
        param *p = &n->set->p[i];
        float *x = mem_alloc((size_t)p->n * sizeof(float));
        formula_param(p->name, p->ndim, p->shape[0], p->n, 1.3, x);
        param_write(n->set, p, x);
        mem_free(x);
    }
    for (int s = 0; s < SMALL_BATCH; s++) {
        n->image[s] = mem_alloc((size_t)SMALL_CHANNELS * (size_t)h * (size_t)w * sizeof(uint16_t));
        formula_image(s, SMALL_CHANNELS, h, w, n->image[s]);
    }
    n->batch = (model_batch){.b = SMALL_BATCH, .h = h, .w = w, .mean = 0.5f, .sd = 0.25f};
    n->batch.image = (const uint16_t *const *)n->image;
    return n;
}

/* Kept patches for the first b images; rate 1: all of them, as a list. */
static inline void small_draw(small *n, int b, double rate, uint64_t epoch)
{
    static const uint64_t sample[SMALL_BATCH] = {3, 1, 4, 15, 9};
    model_draw d = {.b = b, .sample = sample, .seed = 7, .epoch = epoch, .rate = rate};
    mem_free(n->keep);
    n->batch.b = b;
    n->batch.n_keep = swin_plan_kept(&n->cfg, rate);
    n->keep = MEM_ARRAY(int32_t, b * n->batch.n_keep);
    swin_plan_select(&n->cfg, &d, n->keep);
    n->batch.keep = n->keep;
}

static inline tensor *small_logits(const small *n, run *r, const model_batch *batch, bool published)
{
    net_call call = {.cfg = &n->cfg, .batch = batch, .published = published};
    return swin_kind.logits(n->net, r, swin_kind.features(n->net, r, &call));
}

static inline void small_free(small *n)
{
    for (int s = 0; s < SMALL_BATCH; s++)
        mem_free(n->image[s]);
    mem_free(n->keep);
    mem_free(n->net);
    param_set_free(n->set);
    backend_free(n->be);
    pool_free(n->pool);
    mem_free(n);
}
#endif
