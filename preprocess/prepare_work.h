/* One row of the catalogue through an isolated worker: its outcome and, where it is kept, the
 * compressed canvases with what a shard says about them. Used by the stage, by repair and by the
 * plan. */
#ifndef PREPROCESS_PREPARE_WORK_H
#define PREPROCESS_PREPARE_WORK_H

#include "core/worker.h"
#include "preprocess/prepare_cfg.h"
#include "preprocess/prepare_rows.h"
#include "preprocess/shard.h"

typedef struct prepare_done {
    reason primary;
    reason_set reasons;
    char file_hash[33], pixel_hash[33];
    int n_sizes; /* 0 = not kept */
    shard_meta meta[PREPARE_SIZES];
    shard_chunk image[PREPARE_SIZES], mask[PREPARE_SIZES]; /* owned; masks of length 0 = without */
} prepare_done;
void prepare_done_reset(prepare_done *d);   /* for the next row: empty, the room stays */
void prepare_done_release(prepare_done *d); /* frees the chunks */
/* The canvas of size i, and its mask, as the next row of a shard. */
MUST_CHECK bool prepare_done_append(const prepare_done *d, int i, shard_writer *w, err *e);

/* n isolated workers, one for each thread. */
typedef struct prepare_crew {
    const cfg *config; /* borrowed */
    prepare_cfg cfg;
    worker **worker;
    arena **memory; /* of each thread, for compression */
    int n;
} prepare_crew;
MUST_CHECK bool prepare_crew_start(prepare_crew *c, const cfg *config, int n, err *e);
void prepare_crew_stop(prepare_crew *c);
/* Fills d, which is reset before. Whatever happens inside the worker is an outcome. */
void prepare_crew_work(const prepare_crew *c, int thread, const todo *t, prepare_done *d);
#endif
