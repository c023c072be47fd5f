/* The micro-batches of a step, for the tests of sums of gradients: a small network, one image of
 * noise for each, every second one with half of its patches. */
#ifndef TESTS_STEP_LEAF_H
#define TESTS_STEP_LEAF_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/rng.h"
#include "model/grads.h"
#include "model/model.h"

#define STEP_SIDE 32

typedef uint16_t step_image[STEP_SIDE * STEP_SIDE];

static inline model *step_model(backend *be, int depth)
{
    err e = {0};
    model_cfg c = {.name = "deit_tiny_patch16_224",
                   .image_h = STEP_SIDE,
                   .image_w = STEP_SIDE,
                   .channels = 1,
                   .classes = 2,
                   .patch = 8,
                   .depth = depth,
                   .keep_rate = 1,
                   .head_init = 0.02};
    model *m = be ? model_new(&c, be, 3, &e) : NULL;
    if (!m)
        fail_msg("%s", e.msg);
    return m;
}

static inline void step_images(step_image *x, int n)
{
    for (int i = 0; i < n; i++) {
        rng g;
        rng_init(&g, 4, RNG_TEST, (uint64_t)i, 0);
        for (int k = 0; k < STEP_SIDE * STEP_SIDE; k++)
            x[i][k] = (uint16_t)rng_below(&g, 65536);
    }
}

/* Micro-batch i: forward and backward as one piece of work, and its gradients go where the tree of
 * sums wants them. */
static inline void step_leaf(model *m, run *r, grads *g, const step_image *x, int i)
{
    static const int32_t kept[] = {0, 2, 5, 7, 8, 9, 12, 15};
    const uint16_t *image[] = {x[i]};
    int32_t label = i % 2;
    model_batch in = {.b = 1,
                      .h = STEP_SIDE,
                      .w = STEP_SIDE,
                      .image = image,
                      .grey = true,
                      .mean = 0.4F,
                      .sd = 0.3F,
                      .keep = i % 2 ? kept : NULL,
                      .n_keep = i % 2 ? 8 : 0};
    backend *be = model_params(m)->be;
    backend_begin(be);
    run_reset(r);
    grads_walk(g, r, op_loss(r, model_forward(m, r, &in), &label, NULL, 0));
    backend_end(be);
    grads_keep(g);
}
#endif
