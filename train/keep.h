/* Which patches the images of a batch keep (PatchDropout, patchdropout.md 1): one rate for the
 * whole batch, then a draw for every image. Numbers are functions of (seed, epoch, batch, sample)
 * only; validation keeps all. */
#ifndef TRAIN_KEEP_H
#define TRAIN_KEEP_H

#include "core/cfg.h"
#include "model/model.h"
#include "train/keep_log.h"

/* fixed: model.keep_rate. paper: uniform in 0.5..1. code: a fair coin between 1 and a uniform draw
 * from 1, 0.95, ..., 0.5, as in the published program. The last two ignore model.keep_rate. */
typedef enum keep_schedule { KEEP_FIXED, KEEP_PAPER, KEEP_CODE } keep_schedule;
#define KEEP_LOWEST 0.5 /* of paper and code */

/* Options "train.keep_*". */
typedef struct keep_cfg {
    int schedule;
    bool grid;             /* paper: in steps of 1/20 */
    double rate_grid;      /* on a card, where the rate varies: steps of the rate; 0 = none */
    int64_t token_quantum; /* likewise: kept patches are a multiple of it; 1 = any */
    bool log;
    const char *replay; /* "" = none */
} keep_cfg;
extern const cfg_group keep_options;

typedef struct keep_plan {
    const model *net; /* borrowed */
    keep_schedule schedule;
    double rate; /* of KEEP_FIXED */
    bool grid;
    double rate_grid; /* of a device that wants few shapes; 0 = exact */
    int quantum;      /* likewise; below 2 = exact */
    uint64_t seed, epoch;
    const keep_log *replay; /* instead of all of that; NULL = none */
} keep_plan;

/* Is the schedule, with this rate where it is fixed, sound for the network? ERR_CONFIG says what it
 * cannot do; `key` is the option that gave the rate. */
MUST_CHECK bool keep_check(keep_schedule schedule, const char *key, double rate, const model *net,
                           err *e);
/* Says so where the rate `key` is not the share of the patches: in windows it is that of rows and
 * of columns. */
void keep_warn_share(const char *key, double rate, const model *net);
/* Can the network keep what the log says? ERR_INPUT names the first micro-batch that it cannot. */
MUST_CHECK bool keep_replay_check(const keep_log *l, const model *net, err *e);
/* The nearest rate below 1 by whole steps of the grid (0 = none), and no lower than `least`. */
double keep_rate_step(double rate, double grid, double least);
/* The share that batch number `batch` of the epoch keeps. */
double keep_rate(const keep_plan *p, int64_t batch);
/* Patches that each image of that batch keeps. */
int keep_count(const keep_plan *p, int64_t batch);
/* Patches that an image keeps at most; room for keep_draw. */
int keep_most(const keep_plan *p);
/* out [b, result]: kept patches of each image, ascending; breast [b, patches] as in model_draw.
 * Returns the number that every image keeps; where that is all of them, nothing is drawn and out is
 * not written. */
int keep_draw(const keep_plan *p, int64_t batch, int b, const uint64_t *sample,
              const uint8_t *breast, int32_t *out);
#endif
