/* The rows that prepare has to do, in the catalogue's order: their numbers are known from the
 * start (8 bytes each), their facts are read shortly before they are needed, so that memory does
 * not grow with the archive. */
#ifndef PREPROCESS_PREPARE_ROWS_H
#define PREPROCESS_PREPARE_ROWS_H

#include "dicom/catalog.h"

typedef struct todo { /* one row whose facts were read */
    int64_t id;
    const char *root; /* borrowed from the rows */
    char *path;       /* owned by the rows */
    char patient[33], exam[33], image[33], facts[33];
    reason scan_reason;
    record rec;
} todo;

typedef struct prepare_rows {
    catalog *cat; /* borrowed */
    char config_id[17];
    int64_t *id, n, cap;
    int64_t seen; /* rows of the catalogue */
    char **root;
    int n_roots;
    todo *ring;
    int ahead;      /* rows that exist at once */
    int64_t loaded; /* rows 0..loaded-1 were read */
} prepare_rows;

/* `ahead`: how many rows may be in use at once. */
void prepare_rows_init(prepare_rows *r, catalog *cat, const char *config_id, int ahead);
void prepare_rows_release(prepare_rows *r);
void prepare_rows_add(prepare_rows *r, int64_t id);

/* Which rows: part k of n of the catalogue (0, 1 = all; contiguous in its order, borders from the
 * number of rows only), without those that `skip` (may be NULL) wants left out. A row whose image
 * was lost counts as not judged. */
typedef bool prepare_rows_skip(void *ctx, const catalog_line *line, bool *skip, err *e);
MUST_CHECK bool prepare_rows_collect(prepare_rows *r, int k, int n, prepare_rows_skip *skip,
                                     void *ctx, err *e);
/* ERR_IO when an archive folder of a row to do is not there: an archive that is not mounted must
 * not turn its files into unreadable ones. */
MUST_CHECK bool prepare_rows_mounted(const prepare_rows *r, err *e);
/* Read the facts of rows up to `upto` (cut at n). Called by the one thread that owns the
 * catalogue, while no other uses a row below upto - ahead. */
MUST_CHECK bool prepare_rows_load(prepare_rows *r, int64_t upto, err *e);
todo *prepare_rows_at(const prepare_rows *r, int64_t i);
#endif
