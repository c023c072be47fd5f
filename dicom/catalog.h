/* STORE/catalog.db: one row per file ever seen, its facts, its outcome and where its image lies.
 * Written by scan and prepare, read by prepare, split and predict. Hospital side, mode 0600.
 * design.md 5. */
#ifndef DICOM_CATALOG_H
#define DICOM_CATALOG_H

#include "core/db.h"
#include "core/text.h"
#include "dicom/record.h"

typedef struct catalog catalog;
catalog *catalog_open(const char *store, bool write, err *e); /* creates the tables when writing */
/* The same for a file by name, without the index of catalog_each: for scan, which fills it first,
 * and which alone may add the columns that a catalogue of an older version lacks. */
catalog *catalog_open_file(const char *path, bool write, err *e);
MUST_CHECK bool catalog_index(catalog *c, err *e); /* that index, if it is not there */
void catalog_close(catalog *c);
db *catalog_db(catalog *c);

typedef struct catalog_row {
    int64_t id;
    const char *root, *path; /* archive root, relative path; identifiers may hide in them */
    record rec;
    char patient[33], exam[33], image[33]; /* pseudonyms, lower-case hex; "" when not derivable */
    reason scan_reason; /* why scan already gave up; REASON_NONE = a candidate for prepare */
    char facts[33];     /* hash over all that prepare may have used: another one is another file */
    char file_hash[33], pixel_hash[33];
    /* of the current prepare config, see catalog_prepared_* */
    reason primary;       /* REASON_NONE = kept */
    reason_set reasons;   /* all that hit, flags included */
    bool prepared;        /* judged under this config */
    int shard, shard_row; /* -1 = no image */
} catalog_row;

/* ---- scan's side; all but the reads inside catalog_begin .. catalog_commit */
typedef struct catalog_file {
    const char *root, *path;
    uint64_t size;
    int64_t mtime_ns;
    reason scan_reason;
    const char *header_hash; /* "" = not read at all: read again next time */
    const record *rec;
    const char *patient, *exam, *image;
} catalog_file;
/* Number of the next scan; the rows it writes are stamped with it. */
MUST_CHECK bool catalog_next_run(catalog *c, int64_t *run, err *e);
/* The rows that one scan met unchanged; one bit per row. */
typedef struct catalog_met catalog_met;
catalog_met *catalog_met_new(void);
void catalog_met_free(catalog_met *m);
/* Is the file there, with this size and time? Then it is noted in met, and *why is its
 * scan_reason. Writes nothing, unless the file was gone before. */
MUST_CHECK bool catalog_known(catalog *c, const catalog_file *f, catalog_met *met, bool *known,
                              reason *why, err *e);
/* Insert or replace the facts of a file. When they differ from before, what prepare had found is
 * forgotten. */
MUST_CHECK bool catalog_put(catalog *c, const catalog_file *f, int64_t run, err *e);
/* Flag the rows of this root that the run neither wrote nor met. */
MUST_CHECK bool catalog_mark_gone(catalog *c, const char *root, int64_t run, const catalog_met *met,
                                  int64_t *n, err *e);
const char *catalog_put_text(const catalog *c); /* the statement of catalog_put, made once */
char *catalog_put_sql(void);                    /* makes it; owned by the caller */
/* A small text of the catalogue itself, such as the hash of the sidecar; "" = not set. */
MUST_CHECK bool catalog_get_note(catalog *c, const char *key, text *out, err *e);
MUST_CHECK bool catalog_set_note(catalog *c, const char *key, const char *value, err *e);
/* Take over the rows of another catalogue (a shard of a scan). Its own transaction. */
MUST_CHECK bool catalog_merge(catalog *c, const char *path, err *e);

/* Visit rows in the deterministic order (patient, exam day, side, view, image pseudonym, path).
 * config_id may be NULL (facts of scan only). The row is valid for the call. */
typedef bool catalog_visit(void *ctx, const catalog_row *row, err *e);
MUST_CHECK bool catalog_each(catalog *c, const char *config_id, catalog_visit *fn, void *ctx,
                             err *e);
/* The same order in outline, for whoever needs to know all rows at once: nothing is parsed. */
typedef struct catalog_line {
    int64_t id;
    const char *root, *facts; /* valid for the call */
    bool prepared;            /* judged under the config */
    reason primary;
} catalog_line;
typedef bool catalog_line_visit(void *ctx, const catalog_line *line, err *e);
MUST_CHECK bool catalog_outline(catalog *c, const char *config_id, catalog_line_visit *fn,
                                void *ctx, err *e);
/* Visit one row by its number, gone or not. ERR_INPUT when there is none. */
MUST_CHECK bool catalog_read(catalog *c, const char *config_id, int64_t id, catalog_visit *fn,
                             void *ctx, err *e);
int64_t catalog_count(catalog *c); /* rows that catalog_each visits; -1 = unreadable */
/* Record the outcome of one image under a prepare config, inside the caller's transaction. */
MUST_CHECK bool catalog_set_prepared(catalog *c, const char *config_id, const catalog_row *row,
                                     err *e);
/* Drop every outcome and shard of a prepare config, inside the caller's transaction. */
MUST_CHECK bool catalog_forget_prepared(catalog *c, const char *config_id, err *e);

/* ---- shards: what is recorded about each file of a preparation, from its commit on */
typedef struct catalog_shard {
    int number, h, w;
    char sha256[65]; /* "" = not recorded: written before shards were recorded */
    int64_t bytes, n;
} catalog_shard;
/* Insert or replace, inside the caller's transaction. */
MUST_CHECK bool catalog_put_shard(catalog *c, const char *config_id, const catalog_shard *s,
                                  err *e);
MUST_CHECK bool catalog_drop_shard(catalog *c, const char *config_id, const catalog_shard *s,
                                   err *e);
/* Those recorded for a config, by number, height, width; none in a catalogue of before. *out is
 * owned by the caller (mem_free). */
MUST_CHECK bool catalog_shards(catalog *c, const char *config_id, catalog_shard **out, int *n,
                               err *e);
/* The same from a bound query of CATALOG_SHARD_COLUMNS, whatever database it is of (parts have
 * their own); NULL fails with the error that it failed with. */
#define CATALOG_SHARD_COLUMNS "number, h, w, sha256, bytes, n"
MUST_CHECK bool catalog_read_shards(db_stmt *s, catalog_shard **out, int *n, err *e);
/* Numbers of all shards that an outcome of the config names or that are recorded, ascending; *out
 * is owned by the caller (mem_free). */
MUST_CHECK bool catalog_shard_numbers(catalog *c, const char *config_id, int **out, int *n, err *e);
/* The config after `after` ("" = the first) that has outcomes; "" in `next` = there is none. */
MUST_CHECK bool catalog_next_config(catalog *c, const char *after, text *next, err *e);
/* Rows by reason: of scan (config_id NULL), or the primary ones under a config; by_reason[0] = no
 * reason. */
MUST_CHECK bool catalog_tally(catalog *c, const char *config_id, int64_t by_reason[REASON_COUNT],
                              err *e);
/* Readable images that a config has not judged, by transfer syntax and size, in that order. */
typedef struct catalog_group {
    const char *transfer_syntax; /* valid for the call */
    int64_t rows, cols, n, bytes;
} catalog_group;
typedef void catalog_group_visit(void *ctx, const catalog_group *g);
MUST_CHECK bool catalog_todo(catalog *c, const char *config_id, catalog_group_visit *fn, void *ctx,
                             err *e);
/* The rows of one shard by place, gone files included. */
typedef struct catalog_place {
    int64_t id;
    int row;
    char image[33], pixel_hash[33], file_hash[33];
} catalog_place;
MUST_CHECK bool catalog_shard_rows(catalog *c, const char *config_id, int number,
                                   catalog_place **out, int *n, err *e);
MUST_CHECK bool catalog_begin(catalog *c, err *e);
MUST_CHECK bool catalog_commit(catalog *c, err *e);
/* Deterministic text export (CSV) for comparing two catalogues: pseudonyms, facts that identify
 * nobody, days counted from the patient's first exam; no path, time or raw identifier. config_id
 * may be NULL. */
MUST_CHECK bool catalog_export(catalog *c, const char *config_id, const char *path, err *e);
/* The way back, for the hospital side only: a CSV (0600) of every image's pseudonyms and raw
 * identifiers. dicom.md 8. */
MUST_CHECK bool catalog_identities(catalog *c, const char *path, err *e);
#endif
