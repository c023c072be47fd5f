/* Optimiser state and one step over all parameters: SGD or AdamW through the backend, gradient
 * clipping by global or per-tensor norm. patchdropout.md 4. */
#ifndef TRAIN_OPTIM_H
#define TRAIN_OPTIM_H

#include "model/param.h"
#include "train/safetensors.h"

typedef enum optim_kind { OPTIM_SGD, OPTIM_ADAMW } optim_kind;
typedef enum optim_clip { OPTIM_CLIP_GLOBAL, OPTIM_CLIP_TENSOR } optim_clip;
typedef struct optim_cfg {
    int kind, clip_mode;
    double momentum, beta1, beta2, eps, weight_decay;
    double clip;       /* 0 = off */
    bool decay_tokens; /* decay what is no weight matrix but has two dimensions or more */
} optim_cfg;

typedef struct optim optim;
/* Without decay_tokens the decay flag of class and other prefix tokens, position embeddings and
 * tables of relative positions is taken away. */
optim *optim_new(const optim_cfg *c, param_set *s);
void optim_free(optim *o);
/* In a piece of work (model/backend.h): gradients are first divided by `parts` (accumulated
 * micro-batches). step counts from 1. *norm: the global gradient norm before clipping, known when
 * the piece is. After one that is not finite no step changes anything. */
void optim_step(optim *o, double lr, int64_t step, int parts, double *norm);
/* State arrays "m.<name>" and "v.<name>" to and from a safetensors file. */
MUST_CHECK bool optim_save(const optim *o, const char *path, err *e);
MUST_CHECK bool optim_load(optim *o, const char *path, err *e);
#endif
