/* Checkpoints: RUN/ckpt-NNNNNN/{model.safetensors, optim.safetensors, state.json} and the file
 * RUN/best naming one of them. A folder with its final name is whole: it is written as .partial,
 * fsynced and renamed. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include "core/json.h"
#include "model/model.h"
#include "train/optim.h"

/* All that predict needs beside the weights, and where training stands; stored in state.json. */
typedef struct checkpoint_info {
    model_cfg model; /* strings owned by `json` */
    float mean, sd;  /* normalisation on [0,1] */
    char prepare_id[17];
    const char *prepare_yaml; /* owned by `json` */
    double horizon_years[8];
    int n_horizons;
    int horizon; /* index of the one that was learnt */
    char cohort_sha256[65], config_sha256[65], model_sha256[65];
    int64_t epoch;   /* epochs completed */
    int64_t step;    /* optimiser steps done */
    int64_t batch;   /* micro-batches done in the running epoch; 0 at its border */
    double loss_sum; /* of these */
    uint64_t seed;
    double val_auc;                /* of this checkpoint's epoch; NaN = none */
    double best;                   /* best criterion so far */
    int64_t best_epoch, best_step; /* 0 = none yet */
    bool finished;
    const char
        *config_yaml; /* how it was trained: model, augmentation, training; as prepare_yaml */
    json_t *recipe;   /* the same in few words, for a report: optimizer, lr, batch_size, pretrained;
                       * borrowed from json after reading */
    json_t *history;  /* array of one object per epoch; borrowed from json after reading */
    json_t *json;     /* the whole state, owned */
} checkpoint_info;

/* path: a RUN folder (its `best`; its newest before the first validation), the file RUN/best, or a
 * checkpoint folder.
 * dir: the checkpoint folder. */
MUST_CHECK bool checkpoint_read_info(const char *path, checkpoint_info *out, char dir[4096],
                                     err *e);
/* The file of weights of such a path; any other path as it is. */
MUST_CHECK bool checkpoint_weights(const char *path, text *out, err *e);
/* The newest whole checkpoint of a run: 1 found, 0 none, -1 error. */
int checkpoint_newest(const char *folder, checkpoint_info *out, char dir[4096], err *e);
void checkpoint_release(checkpoint_info *c);
/* Build the model and load its weights. */
model *checkpoint_load(const char *dir, const checkpoint_info *c, backend *be, err *e);
/* Make RUN/best and the set of folders agree with `info`: the end of a save, and the begin of a
 * resumed run. */
MUST_CHECK bool checkpoint_settle(const char *folder, const checkpoint_info *info, err *e);
/* Write RUN/ckpt-<step>; then RUN/best; then remove every other checkpoint but the best and this
 * one. Fills info->model_sha256. */
MUST_CHECK bool checkpoint_save(const char *folder, checkpoint_info *info, model *m, const optim *o,
                                err *e);
#endif
