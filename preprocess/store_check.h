/* Does a store hold what its books say? Every shard is hashed anew and every kept row looked up in
 * it; what does not belong is found by walking prep/. Reads only. */
#ifndef PREPROCESS_STORE_CHECK_H
#define PREPROCESS_STORE_CHECK_H

#include "dicom/catalog.h"
#include "preprocess/prepare.h"

typedef enum store_check_fault {
    STORE_CHECK_CONFIG,    /* prepare.yaml is missing or that of another preparation */
    STORE_CHECK_MISSING,   /* a shard that the catalogue names */
    STORE_CHECK_SWAPPED,   /* it holds the bytes of another shard */
    STORE_CHECK_TRUNCATED, /* it is shorter than recorded */
    STORE_CHECK_DAMAGED,   /* its bytes are not those that were written */
    STORE_CHECK_ROWS,      /* a row holds another image than the catalogue says */
    STORE_CHECK_ORPHAN,    /* a shard that nobody names */
    STORE_CHECK_LEFTOVER   /* a temporary file or folder */
} store_check_fault;
const char *store_check_fault_name(store_check_fault f);

typedef struct store_check_finding {
    store_check_fault fault;
    char id[17];      /* of the preparation, "" = none */
    int number, h, w; /* of the shard; -1 = no shard */
    bool sound;       /* the file is as recorded: only the books are wrong */
    char *name;       /* relative to the store, owned */
    char *why;        /* owned */
} store_check_finding;

typedef struct store_check_size { /* what was looked at: one canvas of one preparation */
    char id[17];
    int h, w;
    int64_t images, shards;
} store_check_size;

typedef struct store_check {
    store_check_finding *finding;
    int n;
    store_check_size *size;
    int n_sizes;
    struct { /* sound shards of a store from before shards were recorded */
        char id[17];
        catalog_shard shard;
    } * unrecorded;
    int n_unrecorded;
} store_check;

/* Look at one preparation, or at all (only = NULL). Fails where the books themselves cannot be
 * read; everything else is a finding. */
MUST_CHECK bool store_check_run(store_check *k, catalog *c, const char *store, const char *only,
                                err *e);
/* Record the hashes of the unrecorded, in one transaction. */
MUST_CHECK bool store_check_record(store_check *k, catalog *c, err *e);
void store_check_release(store_check *k);
#endif
