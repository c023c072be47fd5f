/* train: the epoch loop over a cohort: sampling, augmentation, forward, backward, clipping,
 * optimiser, validation with exam-level AUC, early stopping, checkpoints, resume. RUN folder:
 * design.md 5. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "core/cfg.h"

extern const cfg_group train_options; /* "train.*" */
typedef struct train_opts {
    const char *cohort; /* COHORT.h5 */
    const char *run;    /* RUN folder */
    const cfg *config;  /* groups model_options, train_options, augment_options */
    const char *device;
    int threads;
    uint64_t seed;
    bool force, dry_run;
} train_opts;
typedef struct train_result {
    int epochs, best_epoch;
    double best_auc;          /* exam-level, validation; NaN where it is undefined */
    double images_per_second; /* of training steps, this call; 0 when nothing was left to do */
} train_result;
/* The same call again resumes; a finished run returns at once. ERR_STOPPED after a signal. */
MUST_CHECK bool train_run(const train_opts *o, train_result *out, err *e);
#endif
