/* A network's parameters from and to safetensors files with timm's names.
 * Import of pretrained weights (another grid, one channel, another head) and plain export; the
 * container itself is in train/safetensors.h. patchdropout.md 3. */
#ifndef TRAIN_WEIGHTS_H
#define TRAIN_WEIGHTS_H

#include "core/json.h"
#include "core/text.h"
#include "model/model.h"

typedef enum weights_resample {
    WEIGHTS_BILINEAR,  /* timm 0.4.12: align_corners = false, no antialias */
    WEIGHTS_BICUBIC,   /* a = -0.75, no antialias (timm 0.4.13 to 0.8) */
    WEIGHTS_BICUBIC_AA /* a = -0.5, filter widened when shrinking (timm 0.9 on) */
} weights_resample;

typedef struct weights_opts {
    weights_resample resample; /* of pos_embed to the model's grid */
    bool exact;                /* every parameter must be there with its own shape, nothing else:
                                * for checkpoints of ours */
} weights_opts;

typedef struct weights_report {
    int loaded;  /* copied as they are */
    int resized; /* pos_embed resampled, stem folded to fewer channels */
    int kept;    /* left at their initial values: absent in the file, or head of other classes */
    int unused;  /* arrays of the file that the model has no use for */
    text table;  /* one line per parameter and per unused array; text_init before, release after */
} weights_report;

/* Fill the model's parameters. A file without any of the model's block weights, or a shape that no
 * rule explains, fails with ERR_INPUT; the model is unchanged then. `report` may be NULL. */
MUST_CHECK bool weights_load(model *m, const char *path, const weights_opts *opts,
                             weights_report *report, err *e);
/* All parameters, timm's names and shapes, f32. metadata: object of strings or NULL. Atomic. */
MUST_CHECK bool weights_save(model *m, const char *path, const json_t *metadata, err *e);
/* pos_embed [1 + gh*gw, d] (row 0 = CLS) -> [1 + th*tw, d]; exposed for tests. */
void weights_resample_pos(const float *src, int gh, int gw, float *dst, int th, int tw, int d,
                          weights_resample how);
#endif
