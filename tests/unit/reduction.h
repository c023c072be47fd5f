/* Configurations of networks with token reduction, and their counts, for tests. */
#ifndef TESTS_UNIT_REDUCTION_H
#define TESTS_UNIT_REDUCTION_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

/* As published, at any size. */
static inline model_cfg config(const char *name, int side, int reduction)
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

static inline model_counts counted(const model_cfg *c, const char *path)
{
    model_counts n;
    err e = {0};
    if (!model_count_path(c, path, &n, &e))
        fail_msg("%s", e.msg);
    return n;
}

enum { BATCH = 4, ROWS = 6, COLS = 5, PATCHES = ROWS * COLS, CLASSES = 3 };

static inline model_cfg small_config(int reduction)
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

#endif
