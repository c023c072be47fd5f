/* The parts of a preparation that was dealt to many machines: STORE/parts/<prepare id>/k-of-n/ with
 * shards of its own and outcomes.db, what became of each of its rows. A part locks nobody and
 * touches neither the catalogue nor another part; prepare --merge joins them (prepare_run.c). */
#ifndef PREPROCESS_PART_H
#define PREPROCESS_PART_H

#include "dicom/catalog.h"
#include "preprocess/prepare_work.h"

typedef struct part_outcome { /* of one row, waiting for its transaction or recorded */
    int64_t file;
    char facts[33]; /* of the row when it was judged */
    reason primary;
    reason_set reasons;
    char file_hash[33], pixel_hash[33];
    int shard, shard_row; /* -1 = no image */
} part_outcome;

/* STORE/parts/<id>, or the folder of one part; owned by the caller, mem_free. */
char *part_home(const char *store, const char *id);
char *part_folder(const char *store, const char *id, int k, int n);

typedef struct part part;
part *part_open(const char *folder, bool write, err *e);
void part_close(part *p);
MUST_CHECK bool part_begin(part *p, err *e);
MUST_CHECK bool part_commit(part *p, err *e);
MUST_CHECK bool part_put(part *p, const part_outcome *o, err *e);
MUST_CHECK bool part_put_shard(part *p, const catalog_shard *s, err *e);
MUST_CHECK bool part_find(part *p, int64_t file, bool *found, part_outcome *o, err *e);
/* Its recorded shards, ordered as catalog_shards; owned by the caller, mem_free. */
MUST_CHECK bool part_shards(part *p, catalog_shard **out, int *n, err *e);

typedef struct part_counts {
    int64_t total; /* rows that it has to judge, 0 until it knows */
    int64_t kept, excluded, failed;
    bool finished;
} part_counts;
MUST_CHECK bool part_count(part *p, part_counts *out, err *e);
MUST_CHECK bool part_set_total(part *p, int64_t total, err *e);
MUST_CHECK bool part_set_finished(part *p, err *e);

/* Which parts of a preparation exist: n (0 = none) and, for each k, whether its folder is there
 * (owned by the caller, mem_free). ERR_INPUT when parts of two different n lie there. */
MUST_CHECK bool part_list(const char *store, const char *id, int *n, bool **there, err *e);

/* All n finished parts as one table of outcomes. ERR_INPUT names those that are missing or not
 * finished. */
typedef struct part_join part_join;
part_join *part_join_open(const char *store, const char *id, const prepare_cfg *c, err *e);
void part_join_close(part_join *j);
/* What was found out about a row, with chunks where its image is kept. ERR_INPUT when no part knows
 * the row as it is now; ERR_MISMATCH when a shard of a part is missing or damaged. */
MUST_CHECK bool part_join_take(part_join *j, const todo *t, prepare_done *d, err *e);
#endif
