/* prepare --dry-run: what is to do, what it will take. Nothing is stored; a few images are decoded
 * to time them. */
#ifndef PREPROCESS_PREPARE_PLAN_H
#define PREPROCESS_PREPARE_PLAN_H

#include "dicom/catalog.h"
#include "preprocess/prepare.h"

#define PREPARE_PLAN_SAMPLE 16

typedef struct prepare_plan {
    char config_id[17];
    int64_t files, judged, unreadable; /* of the catalogue; unreadable ones need no decoding */
    int64_t todo;                      /* images to decode */
    double kept_share;                 /* expected, of todo */
    const char *kept_from;             /* "done", "sample" or "assumed" */
    int n_sizes, h[PREPARE_SIZES], w[PREPARE_SIZES];
    double image_bytes[PREPARE_SIZES]; /* of one kept image in a shard */
    const char *bytes_from[PREPARE_SIZES];
    double bytes;            /* of all shards to come */
    double free_bytes;       /* where the store lies */
    int sample;              /* images that were timed */
    double image_seconds;    /* of one image in one thread, NaN = nothing to time */
    double cpu_hours, hours; /* hours: at the number of threads asked for */
    int threads;
} prepare_plan;
/* `groups` is called for every transfer syntax and size of the images to do. */
MUST_CHECK bool prepare_plan_make(prepare_plan *p, const prepare_opts *o,
                                  catalog_group_visit *groups, void *ctx, err *e);
#endif
