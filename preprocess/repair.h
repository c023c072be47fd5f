/* repair: make again what a check of the store found broken, and nothing else. */
#ifndef PREPROCESS_REPAIR_H
#define PREPROCESS_REPAIR_H

#include "core/cfg.h"
#include "core/err.h"

/* Told of everything that is done: a file of the store or "row N", one word, a sentence. */
typedef void repair_say(void *ctx, const char *what, const char *done, const char *why);
typedef struct repair_opts {
    const char *store;
    const cfg *config; /* of the preparation to repair */
    int threads;
    repair_say *say;
    void *ctx;
} repair_opts;
typedef struct repair_result {
    int rebuilt; /* shard files written again */
    int changed; /* of these: with other bytes than recorded */
    int removed; /* orphans and leftovers */
    int mended;  /* rows whose books were wrong */
    int lost;    /* rows whose image is gone: outcome IO_LOST */
} repair_result;
/* Under the lock of the store. A shard that is missing or damaged is rendered from the archive, row
 * by row at its old place; a row whose file is gone or is another one now leaves an empty place and
 * the outcome IO_LOST. Safe to kill, the same command goes on. Success also where rows were lost or
 * bytes changed: the caller asks the result. Fails ERR_IO when the archive is not mounted. */
MUST_CHECK bool repair_run(const repair_opts *o, repair_result *out, err *e);
#endif
