/* Rows of a cohort -> ordered batches, prefetched by one background thread. A batch is a function
 * of the plan and its index only. Inflated images are kept while they fit the cache, which changes
 * nothing but speed. */
#ifndef TRAIN_LOADER_H
#define TRAIN_LOADER_H

#include "model/model.h"
#include "preprocess/cohort.h"
#include "preprocess/shard.h"
#include "train/augment.h"
#include "train/keep.h"

typedef struct loader loader;
/* The cohort is borrowed. size: index into cohort.h[]; cache: bytes of inflated images kept. */
loader *loader_new(const cohort *c, int size, size_t cache, err *e);
void loader_free(loader *l);
/* Batches are for this device, borrowed until loader_free: their pixels lie where it can fetch them
 * by itself (model/backend.h). Before the first plan. */
void loader_use(loader *l, backend *be);
void loader_size(const loader *l, int *h, int *w);
/* Bytes of pixels held with batches of this size, once `rows` rows were read. */
size_t loader_bytes(const loader *l, int batch, int64_t rows);
size_t loader_ahead(const loader *l, int batch); /* the part of it that batches lie in */

typedef struct loader_plan {
    const int64_t *row; /* cohort rows in order, borrowed until loader_stop */
    int64_t n;
    int batch;           /* rows per batch; the last one may be smaller */
    int64_t first;       /* batch to begin with (resume) */
    const int64_t *only; /* batches to make instead, n_only numbers in this order; NULL: all;
                          * borrowed until loader_stop */
    int64_t n_only;
    const augment_cfg *aug; /* NULL: images as they are */
    uint64_t seed, epoch;   /* of augmentation */
    const keep_plan *keep;  /* borrowed until loader_stop; NULL: all patches */
    bool by_image;          /* kept patches are keyed by the image's name, not by its row */
    int horizon;            /* index of the label */
} loader_plan;

typedef struct loader_batch {
    model_batch in;       /* mean and sd are the caller's */
    int64_t first_row;    /* place of its first sample in the plan */
    const int64_t *row;   /* cohort rows, b of them */
    const int32_t *label; /* [b]; -1 where unknown */
} loader_batch;

/* *lacking: the first shard of the cohort without masks, NULL where all have them. */
MUST_CHECK bool loader_masks(loader *l, const char **lacking, err *e);
/* ERR_CONFIG unless every shard of the cohort has masks (model_wants_breast). */
MUST_CHECK bool loader_need_masks(loader *l, err *e);
void loader_start(loader *l, const loader_plan *p);
/* Next batch: 1, end of the plan: 0, error: -1. Valid until the next call; its pixels until the
 * next but one. */
int loader_next(loader *l, loader_batch *out, err *e);
void loader_stop(loader *l);
/* One image, inflated into out [h,w]; its mask, 1 = breast, where its shard has masks. */
MUST_CHECK bool loader_image(loader *l, int64_t row, uint16_t *out, err *e);
MUST_CHECK bool loader_mask(loader *l, int64_t row, uint8_t *out, err *e);
/* What its shard says of it. */
MUST_CHECK bool loader_meta(loader *l, int64_t row, shard_meta *out, err *e);
#endif
