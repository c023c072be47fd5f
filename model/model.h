/* The table of networks and the one way to build and run them. Knows nothing of files, labels or
 * patients. A network is forward-only code over the ops of op.h; this header is all that train and
 * cli need beside tape.h, param.h and backend.h. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "core/cfg.h"
#include "model/param.h"
#include "model/tape.h"
#include "model/watch.h"

/* Options "model.*"; bound from model_options. */
typedef struct model_cfg {
    const char *name; /* timm name, such as "deit_small_patch16_224"; alias "*_in21k" */
    int64_t image_h;  /* px; 0 = the name's own size */
    int64_t image_w;
    int64_t patch;    /* px; 0 = the name's */
    int64_t stride;   /* px from patch to patch; 0 = in the name's proportion to patch */
    int64_t window;   /* tokens along a side of an attention window; 0 = the name's */
    int64_t depth;    /* blocks in all; 0 = the name's */
    int64_t channels; /* 1 for mammograms, 3 in published figures */
    int64_t classes;
    double keep_rate; /* 0 < k <= 1: fraction of patches kept in training */
    int keep_mode;    /* select_mode: how kept patches are drawn */
    double head_init; /* sd of the head's normal initialisation */
    int gelu;         /* model_gelu */
    bool full_last;   /* the last block makes all tokens, not only those that heads read */
    /* Token reduction on plain vision transformers (token_reduction.md 2, 3, 8.2) */
    int reduction;                /* model_reduction */
    const char *reduction_layers; /* "3/6/9": blocks from 0, after whose attention tokens leave */
    double evit_keep;
    bool evit_fuse, evit_fuse_one;
    int ppt_rule; /* model_ppt_rule */
    int64_t ppt_tokens;
    double ppt_tau;
    bool ppt_size_bias;
    int swin_sets; /* swin_sets: which windows share kept rows and columns */
    int swin_init; /* 0 timm, 1 PyTorch's own */
} model_cfg;
typedef enum model_gelu { MODEL_GELU_AUTO, MODEL_GELU_ERF, MODEL_GELU_TANH } model_gelu;
typedef enum model_reduction { MODEL_FULL, MODEL_EVIT, MODEL_PPT } model_reduction;
typedef enum model_ppt_rule { MODEL_SCALE_FREE, MODEL_ABSOLUTE } model_ppt_rule;
extern const cfg_group model_options;

typedef struct model model;
/* Build the network with its parameters initialised from `seed` (patchdropout.md 3 "Init").
 * Impossible shapes (image not divisible by the patch, unknown name with the nearest one) fail with
 * ERR_CONFIG. The model borrows the backend. */
model *model_new(const model_cfg *cfg, backend *be, uint64_t seed, err *e);
void model_free(model *m);
const model_cfg *model_config(const model *m); /* resolved: no zeros left */
param_set *model_params(model *m);
int model_patches(const model *m); /* N = grid rows x grid columns */
int model_width(const model *m);   /* D, size of the feature vector */
void model_grid(const model *m, int *rows, int *cols);
/* Does every block attend over all tokens of one sequence (ViT, DeiT)? Then tokens can leave
 * between blocks, and attention can be followed (rollout.h). */
bool model_is_sequence(const model *m);
/* Number of patches that a rate keeps: trunc(N * rate) in IEEE double where patches are drawn at
 * random (patchdropout.md 1); networks over windows keep trunc(rate * window) rows and columns of
 * each (2). */
int model_kept(const model *m, double rate);
/* Can the network drop patches at this rate? ERR_CONFIG says why not and names the option `key`. */
MUST_CHECK bool model_check_rate(const model *m, const char *key, double rate, err *e);

/* Which patches the images of one batch keep: a function of its fields only. */
typedef struct model_draw {
    int b;
    const uint64_t *sample; /* [b] identity of each image */
    const uint8_t *breast;  /* [b, N] is there breast in the patch; for model_wants_breast only */
    uint64_t seed, epoch;
    double rate;
} model_draw;
/* Does model_select want to know where the breast is (model.keep_mode: breast)? */
bool model_wants_breast(const model *m);
/* keep [b, model_kept(rate)], ascending patch indices of each image. */
void model_select(const model *m, const model_draw *d, int32_t *keep);
/* Why a batch of b images cannot keep these patches (ascending indices of the grid, as many for
 * each image), in words, or NULL: networks over windows take rows x columns of every window. */
const char *model_keep_fault(const model *m, int b, const int32_t *keep, int n_keep);

/* How one sample is read from its raw image: out(x, y) = image at affine * (x, y, 1), pixel centres
 * at integer + 0.5, bilinear, 0 outside; then v = contrast * (v - 0.5) + 0.5 + brightness on [0,1]
 * clipped to [0,1], then (v - mean) / sd. All of it inside op_patch, for kept patches only. */
typedef struct model_view {
    float affine[6]; /* source x = a0*x + a1*y + a2, source y = a3*x + a4*y + a5; px */
    float brightness, contrast;
} model_view;
extern const model_view model_view_identity; /* exact copy of the pixels, no interpolation */

/* A batch as the network takes it; everything borrowed until run_reset. */
typedef struct model_batch {
    int b;
    int h, w;                     /* size of the raw images = image_h, image_w */
    const uint16_t *const *image; /* b pointers to channels x [h, w], 65535 = 1.0 */
    bool grey;                    /* each image is one [h, w] plane, read for every channel */
    bool resident;                /* the images lie in backend memory, one after the other */
    const model_view *view;       /* b entries, or NULL = identity for all */
    float mean, sd;               /* normalisation on the [0,1] scale */
    const int32_t *keep; /* [b, n_keep] ascending patch indices 0..N-1, NULL = all patches */
    int n_keep;
    double evit_keep;   /* keep rate of this pass, for schedules; 0 = model.evit_keep */
    model_watch *watch; /* what token reduction and attention did, or NULL */
} model_batch;
/* -> logits [b, 1, classes]. In a run made for training every op is recorded. */
tensor *model_forward(model *m, run *r, const model_batch *batch);
/* As model_forward but returns the heads' input (final norm, CLS token) [b, 1, D]; a distilled
 * network's has a second row, the distillation token. */
tensor *model_features(model *m, run *r, const model_batch *batch);

/* Memory of one step that is not run. like: b, n_keep (0 = all), evit_keep and whether there are
 * views are read. */
typedef struct model_bytes {
    size_t arena;     /* of the run: values, what backward needs, gradients */
    size_t saved;     /* the part of it that lies there between forward and backward */
    size_t workspace; /* of the backend: packed weights, scratch */
    size_t staged;    /* small data of the host that the step hands over */
} model_bytes;
model_bytes model_plan(model *m, run_mode mode, run_level level, const model_batch *like);

/* Exact counts from a shape-only tape (design.md 3). published: given channels, all N patches
 * embedded, full last block; executed: the step as it is run. */
typedef struct model_counts {
    run_counts published, executed;
    int64_t params;
    int64_t image_h, image_w; /* px; resolved */
    int n_tokens;
    int tokens[256]; /* tokens entering each block */
} model_counts;
MUST_CHECK bool model_count(const model_cfg *cfg, model_counts *out, err *e);
/* PPT's branch depends on the image: path names it for each reducing layer, M = merge, P = prune;
 * model_count takes M for all. A path of another length or letter is ERR_CONFIG. */
MUST_CHECK bool model_count_path(const model_cfg *cfg, const char *path, model_counts *out, err *e);
/* "FLOPs" as the literature prints them, all of them multiply-adds (patchdropout.md 8,
 * token_reduction.md 6): core = matrix products only; fvcore = core + 5 per normalised element;
 * torchprofile = core + 1 per normalised element + scaled logits + what selectors compute. */
typedef enum model_convention { MODEL_FVCORE, MODEL_TORCHPROFILE, MODEL_CORE } model_convention;
int64_t model_macs(const run_counts *c, model_convention how);
#endif
