/* A network's parameters from pretrained files and to safetensors, under timm's names: other names
 * of the same layers, another grid, one channel, another head, more blocks. Containers are in
 * train/source.h, names in train/names.h. patchdropout.md 3. */
#ifndef TRAIN_WEIGHTS_H
#define TRAIN_WEIGHTS_H

#include "core/json.h"
#include "core/text.h"
#include "model/model.h"
#include "train/names.h"
#include "train/resample.h"

typedef struct weights_opts {
    resample_how resample; /* of pos_embed to the model's grid */
    bool exact;            /* every parameter must be there with its own name and shape, nothing
                            * else: for checkpoints of ours */
} weights_opts;

typedef struct weights_report {
    int loaded;  /* copied as they are */
    int resized; /* positions resampled, stem folded to fewer channels */
    int kept;    /* left at their initial values: absent in the file, or head of other classes */
    int unused;  /* arrays of the file that the model has no use for */
    text table;  /* one line per parameter and per unused array; text_init before, release after */
} weights_report;

/* Fill the model's parameters from a safetensors, PyTorch or AugReg file. A file without any of the
 * model's block weights, with arrays in its blocks that the model does not compute, or with a shape
 * that no rule explains, fails with ERR_INPUT; the model is unchanged then. `report` may be NULL.
 */
MUST_CHECK bool weights_load(model *m, const char *path, const weights_opts *opts,
                             weights_report *report, err *e);
/* All parameters under our names, f32. metadata: object of strings or NULL. Atomic. */
MUST_CHECK bool weights_save(model *m, const char *path, const json_t *metadata, err *e);
/* The same under the names of a version of timm. */
MUST_CHECK bool weights_export(model *m, const char *path, names_layout layout,
                               const json_t *metadata, err *e);
#endif
