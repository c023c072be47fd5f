/* train: the epoch loop over a cohort: sampling, augmentation, forward, backward, clipping,
 * optimiser, validation with exam-level AUC, early stopping, checkpoints, resume. RUN folder:
 * design.md 5. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "core/cfg.h"
#include "core/ranks.h"
#include "train/room.h"

extern const cfg_group train_options; /* "train.*" */
typedef struct train_opts {
    const char *cohort; /* COHORT.h5 */
    const char *run;    /* RUN folder */
    const cfg *config;  /* groups model_options, train_options, augment_options */
    const char *device;
    int threads;
    uint64_t seed;
    bool force, dry_run;
    ranks *ranks;     /* the processes that train together; NULL: this one alone */
    bool whole_exams; /* the config asks for exams of exactly four images, which only split obeys */
} train_opts;
/* What --dry-run tells. */
typedef struct train_plan {
    char model[64];
    int64_t h, w, batch, accum, rows, steps, epochs, val_images;
    int64_t params;
    room_plan memory;
    int64_t macs; /* per image, forward */
    int kept, patches;
} train_plan;
typedef struct train_result {
    train_plan plan; /* filled by a dry run only */
    int epochs, best_epoch;
    double best_auc;          /* exam-level, validation; NaN where it is undefined */
    double images_per_second; /* of training steps, this call; 0 when nothing was left to do */
} train_result;
/* The same call again resumes; a finished run returns at once. ERR_STOPPED after a signal. */
MUST_CHECK bool train_run(const train_opts *o, train_result *out, err *e);
#endif
