/* Kept patches on disk: what the micro-batches of one epoch kept, written as it is used and
 * replayed instead of a draw, for parity with another program. docs/formats.md 4. */
#ifndef TRAIN_KEEP_LOG_H
#define TRAIN_KEEP_LOG_H

#include "core/err.h"

#define KEEP_LOG_ROWS (1 << 24) /* cohorts with more rows cannot be logged */

/* The micro-batches of one epoch in order. */
typedef struct keep_log {
    int64_t epoch; /* counts from 1 */
    int patches;   /* N of the network */
    int n;         /* micro-batches */
    int *images;   /* [n] images of each */
    int *kept;     /* [n] patches that each of its images keeps, patches = all */
    int64_t *at;   /* [n] where its patches begin in index */
    int32_t *row;  /* [n_rows] cohort rows, batch after batch */
    int64_t n_rows;
    int32_t *index; /* [n_index] ascending patch indices, image after image; nothing where all are
                       kept */
    int64_t n_index;
    int64_t cap[3]; /* of images, row, index; private */
} keep_log;

void keep_log_init(keep_log *l, int64_t epoch, int patches);
void keep_log_release(keep_log *l);
/* One more micro-batch of b images. keep [b, n_keep], or NULL for all patches. */
void keep_log_add(keep_log *l, int b, const int64_t *row, const int32_t *keep, int n_keep);
/* Forget all but the first n micro-batches. */
void keep_log_cut(keep_log *l, int n);
/* DIR/kept-epoch-NNNNNN.safetensors of the log's epoch. */
MUST_CHECK bool keep_log_write(const keep_log *l, const char *dir, err *e);
/* ERR_INPUT for anything but a whole log: every number is checked. l is to be released by the
 * caller in any case. */
MUST_CHECK bool keep_log_read(keep_log *l, const char *path, err *e);

/* What an epoch takes: these rows in this order, `batch` at a time (the last batch may be smaller),
 * of images with so many patches. */
typedef struct keep_log_want {
    int64_t epoch;
    const int64_t *row;
    int64_t n_rows;
    int batch, patches;
} keep_log_want;
/* The log of this epoch to be gone on with after `done` micro-batches: empty for 0, else from DIR.
 * ERR_INPUT names the first difference to what the epoch takes. */
MUST_CHECK bool keep_log_resume(keep_log *l, const char *dir, const keep_log_want *w, int64_t done,
                                err *e);
/* Is there a log for each of so many epochs? ERR_INPUT names the first that is missing. */
MUST_CHECK bool keep_log_lasts(const char *path, int64_t epochs, err *e);
/* Patches that are kept at most, and on average over all images as a share of N. */
int keep_log_most(const keep_log *l);
double keep_log_share(const keep_log *l);
/* The log of this epoch in a folder, or that one file. ERR_INPUT names the first difference. */
MUST_CHECK bool keep_log_replay(keep_log *l, const char *path, const keep_log_want *w, err *e);
#endif
