/* STORE/catalog.db: one row per file ever seen, its facts, its outcome and where its image lies.
 * Written by scan and prepare, read by prepare, split and predict. Hospital side, mode 0600.
 * design.md 5. */
#ifndef DICOM_CATALOG_H
#define DICOM_CATALOG_H

#include "core/db.h"
#include "dicom/record.h"

typedef struct catalog catalog;
catalog *catalog_open(const char *store, bool write, err *e); /* creates the tables when writing */
/* The same for a file by name: the catalogue of one shard of a scan. */
catalog *catalog_open_file(const char *path, bool write, err *e);
void catalog_close(catalog *c);
db *catalog_db(catalog *c);

typedef struct catalog_row {
    int64_t id;
    const char *root, *path; /* archive root, relative path; identifiers may hide in them */
    record rec;
    char patient[33], exam[33], image[33]; /* pseudonyms, lower-case hex; "" when not derivable */
    reason scan_reason; /* why scan already gave up; REASON_NONE = a candidate for prepare */
    char file_hash[33], pixel_hash[33];
    /* of the current prepare config, see catalog_prepared_* */
    reason primary;       /* REASON_NONE = kept */
    reason_set reasons;   /* all that hit, flags included */
    bool prepared;        /* judged under this config */
    int shard, shard_row; /* -1 = no image */
} catalog_row;

/* Visit rows in the deterministic order (patient, exam day, side, view, image pseudonym, path).
 * config_id may be NULL (facts of scan only). The row is valid for the call. */
typedef bool catalog_visit(void *ctx, const catalog_row *row, err *e);
MUST_CHECK bool catalog_each(catalog *c, const char *config_id, catalog_visit *fn, void *ctx,
                             err *e);
int64_t catalog_count(catalog *c);
/* Record the outcome of one image under a prepare config, inside the caller's transaction. */
MUST_CHECK bool catalog_set_prepared(catalog *c, const char *config_id, const catalog_row *row,
                                     err *e);
MUST_CHECK bool catalog_begin(catalog *c, err *e);
MUST_CHECK bool catalog_commit(catalog *c, err *e);
/* Deterministic text export (CSV, pseudonymous columns only) for comparing two catalogues. */
MUST_CHECK bool catalog_export(catalog *c, const char *config_id, const char *path, err *e);
#endif
