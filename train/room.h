/* Memory of a training against what its device has: which level of recompute it takes, which batch
 * would fit, and what is said when there is too little. */
#ifndef TRAIN_ROOM_H
#define TRAIN_ROOM_H

#include "core/cfg.h"
#include "core/text.h"
#include "train/footprint.h"

#define ROOM_LEVELS 3 /* of run_level */

/* Options of the machine that a training runs on: they change no byte of a result, so a run goes on
 * with others. */
extern const cfg_group room_options;
typedef struct room_cfg {
    int recompute;     /* 0 auto, else a run_level + 1 */
    double memory_gib; /* 0 = ask the device */
    int64_t cache_mib; /* of the loader */
    bool cuda_graphs;
    double patience_s; /* with other processes */
} room_cfg;

typedef struct room_plan {
    run_level level; /* that the training takes */
    footprint at[ROOM_LEVELS];
    int64_t largest[ROOM_LEVELS]; /* train.batch that fits; 0 = none */
    int64_t room, batch;          /* bytes of the device that a training may take; train.batch */
    int64_t reserve;           /* bytes that are free too, left to code that libraries load later */
    int64_t libraries, before; /* backend_fixed: what else is taken of the card */
    footprint_ask ask;         /* what it was made of, borrowed */
} room_plan;

const char *room_level_name(run_level level); /* "ln_gelu" */
/* auto: the first level that fits, block where none does. */
void room_fill(const room_cfg *c, const footprint_ask *k, int64_t batch, int64_t room,
               room_plan *out);
/* On a card a plan that does not fit is ERR_MEMORY with what would; on a machine, whose memory is
 * asked for piece by piece and may be swapped, a warning. */
MUST_CHECK bool room_enough(const room_plan *p, err *e);
/* What fits, in words, where there are no more than `all` bytes: for backend_on_shortage; ctx is a
 * room_plan. */
void room_advice(void *ctx, int64_t all, char *out, size_t size);

#endif
