/* predict: checkpoint + images -> image scores (PRED/, design.md 5). One scoring path serves the
 * cohort and a single exam's DICOM files. */
#ifndef TRAIN_PREDICT_H
#define TRAIN_PREDICT_H

#include "core/cfg.h"
#include "train/checkpoint.h"

/* Options "predict.*". */
typedef struct predict_cfg {
    int64_t pages; /* exams shown in PRED/pages */
    int64_t pages_seed, page_side;
    double keep_rate; /* below 1: a stability study, not for reading */
    int64_t keep_seed;
    int maps; /* maps_choice */
    bool evit_mask, evit_patch0;
} predict_cfg;
extern const cfg_group predict_options;

/* Scores of n canvases with all their patches (model->image_h x image_w, u16): score[n] = softmax
 * probability of class 1, logit[n] = its log-odds. The result of an image never depends on the
 * others. */
MUST_CHECK bool predict_images(model *m, backend *be, const checkpoint_info *c,
                               const uint16_t *const *image, int n, double *score, double *logit,
                               err *e);

typedef struct predict_opts {
    const char *const *checkpoint; /* RUN or CKPT folders; several = ensemble members */
    int n_checkpoints;
    const char *cohort, *split, *out; /* split: train val test val_natural all */
    const cfg *config;
    const char *device;
    int threads;
    bool force;      /* make it again in any case */
    bool replace;    /* a prediction from other inputs goes; the same one stays */
    bool robustness; /* also with missing patches and views (robustness.h) */
} predict_opts;
typedef struct predict_result {
    int64_t images, exams;
    bool made_before;   /* the folder held just this prediction: nothing was done */
    bool robust_before; /* and just these scores with missing patches */
} predict_result;
/* The same call again has nothing to do; with other inputs it is ERR_INPUT, which names them. */
MUST_CHECK bool predict_run(const predict_opts *o, predict_result *out, err *e);
#endif
