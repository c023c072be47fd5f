/* What the stage and repair share about the making of shards. Private to prepare_run.c and
 * repair.c. */
#ifndef PREPROCESS_PREPARE_STAGE_H
#define PREPROCESS_PREPARE_STAGE_H

#include "dicom/catalog.h"
#include "preprocess/prepare_cfg.h"
#include "preprocess/shard.h"

/* What every shard says about its making, as JSON; nothing of when or where. Owned by the caller,
 * mem_free. */
char *prepare_provenance(const char *store, const cfg *c, err *e);
/* Images of one shard. */
int prepare_rows_per_shard(const prepare_cfg *c);
/* shard_commit, with what the catalogue records of the file. Frees w. */
MUST_CHECK bool prepare_commit_shard(shard_writer *w, const char *path, const char *provenance,
                                     catalog_shard *out, err *e);
/* Write FOLDER/prepare.yaml where it is missing. */
MUST_CHECK bool prepare_write_yaml(const char *folder, const cfg *c, err *e);
#endif
