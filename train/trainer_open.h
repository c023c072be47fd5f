/* A training while it runs, and all that happens before its first step: the options, what they and
 * the cohort fit together to, the claim on the folder, the state of an earlier call. Private to the
 * trainer. */
#ifndef TRAIN_TRAINER_OPEN_H
#define TRAIN_TRAINER_OPEN_H

#include "model/grads.h"
#include "train/augment.h"
#include "train/checkpoint.h"
#include "train/keep.h"
#include "train/keep_log.h"
#include "train/loader.h"
#include "train/trainer.h"

typedef struct train_cfg {
    int64_t epochs, batch, accum, val_every, patience, size, horizon, save_steps;
    int64_t evit_start, evit_warmup, bucket_mib;
    double lr, lr_final, warmup_epochs, drop_epoch, smoothing;
    int schedule, lr_counts, sampling, normalize, init_resample;
    backend_how how;
    int reduce; /* 0 float32, 1 bf16: a tensor_type */
    bool accum_average;
    const char *init;
    optim_cfg optim;
} train_cfg;

/* A step that was asked for: what the device owes of it, and what the processes tell each other. */
typedef struct trainer_owed {
    int64_t piece;       /* the last one of the step */
    int64_t step, batch; /* its number, and its first micro-batch */
    int parts;           /* micro-batches of all processes */
    grads_share own;
    float *loss; /* [own.count] */
    double norm;
    keep_log kept; /* what the own ones kept */
    bool failed;
    err e; /* why */
} trainer_owed;
#define TRAINER_OWED 2

typedef struct trainer {
    const train_opts *o;
    train_cfg c;
    augment_cfg aug;
    keep_cfg keep;
    keep_log kept, replay; /* of the running epoch */
    model_cfg mc;
    cohort data;
    pool *threads;
    backend *be;
    model *net;
    loader *load;
    loader_plan plan; /* of the running epoch */
    optim *opt;
    grads *grads;
    run *tape;
    room_cfg room;
    run_level level;
    bool joined;        /* to the other processes */
    checkpoint_info at; /* where training stands; loss_sum: of the losses that are known */
    trainer_owed owed[TRAINER_OWED]; /* a ring, oldest first */
    int first_owed, n_owed;
    int64_t known; /* micro-batches of this epoch whose loss is */
    int64_t *val, n_val, *epoch_rows, n_epoch;
    int64_t steps_per_epoch; /* optimiser steps */
    int64_t images_done;
    double seconds;
    bool warm; /* train.init is read */
    text yaml; /* of the run's config */
} trainer;

/* Process 0 writes and speaks; the others follow. */
static inline bool trainer_leads(const trainer *t)
{
    return ranks_rank(t->o->ranks) == 0;
}
/* Rows of an epoch into epoch_rows, and how many micro-batches they make. */
void trainer_draw(trainer *t, int64_t epoch);
int64_t trainer_micro_batches(const trainer *t);
/* Does the device want few numbers of tokens? A card does: each has plans and choices of its own.
 */
bool trainer_few_shapes(const trainer *t);
/* Cohort, network, optimiser, tape, and what a checkpoint says of them. The caller releases t in
 * any case. */
MUST_CHECK bool trainer_open(trainer *t, err *e);
/* What a new run reads is proven before it claims its folder; a wrong path leaves nothing behind. A
 * run that continues has its weights. */
MUST_CHECK bool trainer_prove_inputs(trainer *t, err *e);
/* A new run writes its config; a resumed one must have the same. */
MUST_CHECK bool trainer_claim_folder(trainer *t, err *e);
/* Gradients are summed over all processes from now on. One alone sums nothing, unless
 * MAMMOVIT_TEST_GROUP makes it a group of one (docs/formats.md). */
MUST_CHECK bool trainer_join(trainer *t, err *e);
/* All processes stand at the same place of the same run. */
MUST_CHECK bool trainer_same(trainer *t, err *e);
/* Continue from the newest checkpoint, if there is one. */
MUST_CHECK bool trainer_resume(trainer *t, err *e);
keep_plan trainer_keep_plan(const trainer *t);
/* What the memory of this training depends on; t->replay is open. And that against what the device
 * has now that all is open which takes some of it. */
footprint_ask trainer_footprint(const trainer *t);
void trainer_room(trainer *t, room_plan *out);
/* The log of kept patches that the epoch follows, where there is one. */
keep_log_want trainer_kept_want(const trainer *t);
MUST_CHECK bool trainer_open_replay(trainer *t, err *e);
#endif
