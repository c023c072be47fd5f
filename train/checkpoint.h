/* Checkpoints: RUN/ckpt-NNNNNN/{model.safetensors, optim.safetensors, state.json} and the file
 * RUN/best naming one of them. A folder with its final name is whole. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include "core/json.h"
#include "model/model.h"

/* All that predict needs beside the weights; stored in state.json and model.safetensors metadata. */
typedef struct checkpoint_info {
    model_cfg model;         /* strings owned by `json` */
    float mean, sd;          /* normalisation on [0,1] */
    char prepare_id[17];
    const char *prepare_yaml;
    double horizon_years[8];
    int n_horizons;
    char cohort_sha256[65], config_sha256[65], model_sha256[65];
    int64_t epoch, step;
    uint64_t seed;
    double val_auc;          /* NaN = none */
    json_t *json;            /* the whole state, owned */
} checkpoint_info;

/* path: a RUN folder (takes `best`, else the newest), or a checkpoint folder. */
MUST_CHECK bool checkpoint_read_info(const char *path, checkpoint_info *out, char dir[4096], err *e);
void checkpoint_release(checkpoint_info *c);
/* Build the model and load its weights. */
model *checkpoint_load(const char *dir, const checkpoint_info *c, backend *be, err *e);
#endif
