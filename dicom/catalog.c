/* The catalogue for its readers and for prepare: schema, ordered visit, outcomes, export. What scan
 * writes is in catalog_scan.c. Identifiers stay inside: no message quotes a value. */
#include "dicom/catalog.h"

#include "core/csv.h"
#include "core/fs.h"
#include "core/mem.h"

#include <stdio.h>
#include <string.h>

#define CATALOG_FORMAT "1"
#define AGE_POOLED     90 /* older is exported as 90, dicom.md 8 */

struct catalog {
    db *d;
    char *select, *select_one, *outline; /* of catalog_each, catalog_read, catalog_outline */
    char *put;                           /* of catalog_put */
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS note(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS prepared(file INTEGER NOT NULL REFERENCES file(id),"
    " config_id TEXT NOT NULL, primary_reason TEXT NOT NULL, shard INTEGER NOT NULL,"
    " shard_row INTEGER NOT NULL, file_hash TEXT NOT NULL, pixel_hash TEXT NOT NULL,"
    " PRIMARY KEY(config_id, file)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS reason(file INTEGER NOT NULL REFERENCES file(id),"
    " config_id TEXT NOT NULL, code TEXT NOT NULL,"
    " PRIMARY KEY(config_id, file, code)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS prepared_file ON prepared(file);"
    "CREATE INDEX IF NOT EXISTS reason_file ON reason(file);"
    "CREATE INDEX IF NOT EXISTS prepared_shard ON prepared(config_id, shard, shard_row);"
    "CREATE TABLE IF NOT EXISTS shard(config_id TEXT NOT NULL, number INTEGER NOT NULL,"
    " h INTEGER NOT NULL, w INTEGER NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,"
    " n INTEGER NOT NULL, PRIMARY KEY(config_id, number, h, w)) WITHOUT ROWID;";

static void add_columns(text *t, const char *prefix, const char *suffix)
{
    for (int i = 0; i < record_columns(); i++)
        text_addf(t, ",%s\"%s\"%s", prefix, record_column_name(i), suffix);
}

/* Which columns of a record table file has, one bool for each. Owned. */
static bool *present_columns(catalog *c, err *e)
{
    db_stmt *s = db_prepare(c->d, "SELECT name FROM pragma_table_info('file')", e);
    if (!s)
        return NULL;
    bool *has = MEM_ARRAY(bool, record_columns());
    int got;
    while ((got = db_step(s, e)) == 1)
        for (int i = 0; i < record_columns(); i++)
            has[i] = has[i] || strcmp(db_text(s, 0), record_column_name(i)) == 0;
    if (got == 0)
        return has;
    mem_free(has);
    return NULL;
}

/* A catalogue of an older version lacks columns: until scan has read its headers again (it does:
 * scan's rules changed with the columns) they say that nothing is known. */
static bool add_missing_columns(catalog *c, err *e)
{
    record nothing;
    char value[RECORD_COLUMN_MAX];
    text t;
    bool *has = present_columns(c, e), ok = has != NULL;
    text_init(&t);
    record_clear(&nothing);
    for (int i = 0; i < record_columns() && ok; i++) {
        if (has[i])
            continue;
        record_column_text(&nothing, i, value, sizeof(value));
        text_clear(&t);
        text_addf(&t, "ALTER TABLE file ADD COLUMN \"%s\" TEXT NOT NULL DEFAULT '%s'",
                  record_column_name(i), value);
        ok = db_exec(c->d, t.s, e);
    }
    mem_free(has);
    text_release(&t);
    return ok;
}

/* Only scan may add what is missing: to everyone else it would look like facts that no header has.
 */
static bool check_columns(catalog *c, err *e)
{
    bool *has = present_columns(c, e), ok = has != NULL;
    for (int i = 0; i < record_columns() && ok; i++)
        if (!has[i])
            ok = err_set(e, ERR_INPUT,
                         "an older version of this program made it, without the column '%s'; "
                         "read the headers again with mammovit scan ARCHIVE -o STORE",
                         record_column_name(i));
    mem_free(has);
    return ok;
}

static bool create_tables(catalog *c, err *e)
{
    text t, note;
    text_init(&t);
    text_init(&note);
    text_add(&t, "CREATE TABLE IF NOT EXISTS file(id INTEGER PRIMARY KEY, root TEXT NOT NULL,"
                 " path TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,"
                 " run INTEGER NOT NULL, gone INTEGER NOT NULL, facts TEXT NOT NULL,"
                 " scan_reason TEXT NOT NULL, header_hash TEXT NOT NULL, patient TEXT NOT NULL,"
                 " exam TEXT NOT NULL, image TEXT NOT NULL");
    add_columns(&t, " ", " TEXT NOT NULL");
    text_add(&t, ", UNIQUE(root, path));");
    text_add(&t, schema);
    bool ok = db_exec(c->d, t.s, e) && catalog_get_note(c, "format", &note, e);
    if (ok && !note.len)
        ok = catalog_set_note(c, "format", CATALOG_FORMAT, e);
    text_release(&t);
    text_release(&note);
    return ok;
}

static bool check_format(catalog *c, err *e)
{
    text note;
    text_init(&note);
    bool ok = catalog_get_note(c, "format", &note, e);
    if (ok && strcmp(note.s, CATALOG_FORMAT) != 0)
        ok = err_set(e, ERR_INPUT,
                     "the catalogue has format '%.16s', this program reads format " CATALOG_FORMAT,
                     note.s);
    text_release(&note);
    return ok;
}

/* The one order of rows: by patient, then as an exam is looked at. */
#define IN_ORDER " ORDER BY f.patient, f.exam_day, f.side, f.view, f.image, f.path, f.id"

/* Rows with their outcome under config ?1: whole, or what an outline needs. */
static char *select_of(const char *which, bool whole)
{
    text t;
    text_init(&t);
    text_add(&t, "SELECT f.id, f.root");
    if (whole) {
        text_add(&t, ", f.path, f.scan_reason, f.patient, f.exam, f.image, p.primary_reason,"
                     " p.shard, p.shard_row, p.file_hash, p.pixel_hash, f.facts");
        add_columns(&t, " f.", "");
    } else {
        text_add(&t, ", f.facts, p.primary_reason");
    }
    text_addf(&t, " FROM file f LEFT JOIN prepared p ON p.file = f.id AND p.config_id = ?1 %s",
              which);
    return text_take(&t);
}

/* `grows`: a catalogue of an older version gets the columns that it lacks; else it is refused. */
static catalog *open_file(const char *path, bool write, bool grows, err *e)
{
    if (!write && !fs_exists(path)) {
        err_set(e, ERR_INPUT, "the store has no catalogue; make it with mammovit scan");
        return NULL;
    }
    catalog *c = MEM_NEW(catalog);
    c->select = select_of("WHERE f.gone = 0" IN_ORDER, true);
    c->select_one = select_of("WHERE f.id = ?2", true);
    c->outline = select_of("WHERE f.gone = 0" IN_ORDER, false);
    c->put = catalog_put_sql();
    c->d = db_open(path, write, e);
    if (c->d && (!write || create_tables(c, e)) && check_format(c, e) &&
        (grows ? add_missing_columns(c, e) : check_columns(c, e)))
        return c;
    err_wrap(e, "catalogue");
    catalog_close(c);
    return NULL;
}

catalog *catalog_open_file(const char *path, bool write, err *e)
{
    return open_file(path, write, write, e);
}

catalog *catalog_open(const char *store, bool write, err *e)
{
    char *path = fs_join(store, "catalog.db");
    catalog *c = open_file(path, write, false, e);
    mem_free(path);
    if (c && write && !catalog_index(c, e)) {
        err_wrap(e, "catalogue");
        catalog_close(c);
        return NULL;
    }
    return c;
}

/* Not part of the schema: to sort two million rows once is minutes faster than to keep an index of
 * random names in order while they come. */
bool catalog_index(catalog *c, err *e)
{
    return db_exec(c->d,
                   "CREATE INDEX IF NOT EXISTS file_order ON"
                   " file(patient, exam_day, side, view, image, path)",
                   e);
}

const char *catalog_put_text(const catalog *c)
{
    return c->put;
}

void catalog_close(catalog *c)
{
    if (!c)
        return;
    db_close(c->d);
    mem_free(c->select);
    mem_free(c->select_one);
    mem_free(c->outline);
    mem_free(c->put);
    mem_free(c);
}

db *catalog_db(catalog *c)
{
    return c->d;
}

bool catalog_begin(catalog *c, err *e)
{
    return db_exec(c->d, "BEGIN IMMEDIATE", e);
}

bool catalog_commit(catalog *c, err *e)
{
    return db_exec(c->d, "COMMIT", e);
}

bool catalog_get_note(catalog *c, const char *key, text *out, err *e)
{
    text_clear(out);
    db_stmt *s = db_prepare(c->d, "SELECT value FROM note WHERE key = ?1", e);
    if (!s)
        return false;
    db_bind_text(s, 1, key);
    int got = db_step(s, e);
    if (got == 1) {
        text_add(out, db_text(s, 0));
        got = db_step(s, e);
    }
    return got >= 0;
}

bool catalog_set_note(catalog *c, const char *key, const char *value, err *e)
{
    db_stmt *s = db_prepare(c->d, "INSERT OR REPLACE INTO note VALUES(?1, ?2)", e);
    if (!s)
        return false;
    db_bind_text(s, 1, key);
    db_bind_text(s, 2, value);
    return db_step(s, e) >= 0;
}

static bool add_reasons(catalog *c, const char *config_id, catalog_row *row, err *e)
{
    db_stmt *s = db_prepare(c->d, "SELECT code FROM reason WHERE config_id = ?1 AND file = ?2", e);
    if (!s)
        return false;
    db_bind_text(s, 1, config_id);
    db_bind_i64(s, 2, row->id);
    int got;
    while ((got = db_step(s, e)) == 1) {
        reason r = reason_find(db_text(s, 0));
        if (r != REASON_NONE)
            reason_add(&row->reasons, r);
    }
    return got == 0;
}

static bool read_row(catalog *c, db_stmt *s, const char *config_id, catalog_row *row, err *e)
{
    memset(row, 0, sizeof(*row));
    row->id = db_i64(s, 0);
    row->root = db_text(s, 1);
    row->path = db_text(s, 2);
    row->scan_reason = reason_find(db_text(s, 3));
    text_copy(row->patient, sizeof(row->patient), db_text(s, 4));
    text_copy(row->exam, sizeof(row->exam), db_text(s, 5));
    text_copy(row->image, sizeof(row->image), db_text(s, 6));
    row->prepared = !db_is_null(s, 7);
    row->primary = reason_find(db_text(s, 7));
    row->shard = row->prepared ? (int)db_i64(s, 8) : -1;
    row->shard_row = row->prepared ? (int)db_i64(s, 9) : -1;
    text_copy(row->file_hash, sizeof(row->file_hash), db_text(s, 10));
    text_copy(row->pixel_hash, sizeof(row->pixel_hash), db_text(s, 11));
    text_copy(row->facts, sizeof(row->facts), db_text(s, 12));
    record_clear(&row->rec);
    for (int i = 0; i < record_columns(); i++)
        if (!record_column_parse(&row->rec, i, db_text(s, 13 + i), e))
            return err_wrap(e, "catalogue row %lld", (long long)row->id);
    return !row->prepared || add_reasons(c, config_id, row, e);
}

bool catalog_each(catalog *c, const char *config_id, catalog_visit *fn, void *ctx, err *e)
{
    const char *id = config_id ? config_id : "";
    db_stmt *s = db_prepare(c->d, c->select, e);
    if (!s)
        return false;
    db_bind_text(s, 1, id);
    catalog_row *row = MEM_NEW(catalog_row);
    int got;
    while ((got = db_step(s, e)) == 1)
        if (!read_row(c, s, id, row, e) || !fn(ctx, row, e)) {
            got = -1;
            break;
        }
    mem_free(row);
    if (got < 0) /* a visit that stopped early must not keep the table open */
        (void)!db_prepare(c->d, c->select, NULL);
    return got == 0;
}

bool catalog_outline(catalog *c, const char *config_id, catalog_line_visit *fn, void *ctx, err *e)
{
    db_stmt *s = db_prepare(c->d, c->outline, e);
    if (!s)
        return false;
    db_bind_text(s, 1, config_id);
    int got;
    while ((got = db_step(s, e)) == 1) {
        catalog_line line = {.id = db_i64(s, 0),
                             .root = db_text(s, 1),
                             .facts = db_text(s, 2),
                             .prepared = !db_is_null(s, 3),
                             .primary = reason_find(db_text(s, 3))};
        if (!fn(ctx, &line, e)) {
            got = -1;
            break;
        }
    }
    if (got < 0)
        (void)!db_prepare(c->d, c->outline, NULL);
    return got == 0;
}

bool catalog_read(catalog *c, const char *config_id, int64_t id, catalog_visit *fn, void *ctx,
                  err *e)
{
    db_stmt *s = db_prepare(c->d, c->select_one, e);
    if (!s)
        return false;
    db_bind_text(s, 1, config_id);
    db_bind_i64(s, 2, id);
    catalog_row *row = MEM_NEW(catalog_row);
    int got = db_step(s, e);
    if (got == 0)
        err_set(e, ERR_INPUT, "the catalogue has no row %lld", (long long)id);
    bool ok = got == 1 && read_row(c, s, config_id, row, e) && fn(ctx, row, e);
    mem_free(row);
    (void)!db_prepare(c->d, c->select_one, NULL); /* nothing stays open between two reads */
    return ok;
}

int64_t catalog_count(catalog *c)
{
    db_stmt *s = db_prepare(c->d, "SELECT count(*) FROM file WHERE gone = 0", NULL);
    if (!s || db_step(s, NULL) != 1)
        return -1;
    int64_t n = db_i64(s, 0);
    return db_step(s, NULL) == 0 ? n : -1;
}

static bool forget(catalog *c, const char *sql, const char *config_id, int64_t file, err *e)
{
    db_stmt *s = db_prepare(c->d, sql, e);
    if (!s)
        return false;
    db_bind_text(s, 1, config_id);
    db_bind_i64(s, 2, file);
    return db_step(s, e) >= 0;
}

bool catalog_set_prepared(catalog *c, const char *config_id, const catalog_row *row, err *e)
{
    if (!forget(c, "DELETE FROM reason WHERE config_id = ?1 AND file = ?2", config_id, row->id, e))
        return false;
    db_stmt *s = db_prepare(c->d,
                            "INSERT OR REPLACE INTO prepared(config_id, file, primary_reason,"
                            " shard, shard_row, file_hash, pixel_hash)"
                            " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                            e);
    if (!s)
        return false;
    db_bind_text(s, 1, config_id);
    db_bind_i64(s, 2, row->id);
    db_bind_text(s, 3, reason_name(row->primary));
    db_bind_i64(s, 4, row->shard);
    db_bind_i64(s, 5, row->shard_row);
    db_bind_text(s, 6, row->file_hash);
    db_bind_text(s, 7, row->pixel_hash);
    if (db_step(s, e) < 0)
        return false;
    for (int r = 1; r < REASON_COUNT; r++) {
        if (!reason_has(&row->reasons, (reason)r))
            continue;
        s = db_prepare(c->d, "INSERT INTO reason(config_id, file, code) VALUES(?1, ?2, ?3)", e);
        if (!s)
            return false;
        db_bind_text(s, 1, config_id);
        db_bind_i64(s, 2, row->id);
        db_bind_text(s, 3, reason_name((reason)r));
        if (db_step(s, e) < 0)
            return false;
    }
    return true;
}

/* ---- export ---------------------------------------------------------------------------------- */

typedef struct export_job {
    csv_writer *w;
    char patient[33]; /* whose first day is known */
    int32_t first_day;
} export_job;

static bool export_row(void *ctx, const catalog_row *row, err *e)
{
    export_job *j = ctx;
    const record *r = &row->rec;
    char value[RECORD_COLUMN_MAX];
    csv_put(j->w, row->patient);
    csv_put(j->w, row->exam);
    csv_put(j->w, row->image);
    if (strcmp(j->patient, row->patient) != 0) {
        text_copy(j->patient, sizeof(j->patient), row->patient);
        j->first_day = RECORD_UNKNOWN;
    }
    if (j->first_day == RECORD_UNKNOWN)
        j->first_day = r->exam_day; /* rows come by day; unknown ones first */
    if (row->patient[0] && r->exam_day != RECORD_UNKNOWN)
        csv_put_i64(j->w, r->exam_day - j->first_day);
    else
        csv_put(j->w, "");
    csv_put(j->w, reason_name(row->scan_reason));
    for (int i = 0; i < record_columns(); i++) {
        if (record_column_is_identifier(i))
            continue;
        record_column_public(r, i, value, sizeof(value));
        if (strcmp(record_column_name(i), "age") == 0 && r->age > AGE_POOLED)
            snprintf(value, sizeof(value), "%d", AGE_POOLED);
        if (text_utf8(value, strlen(value)) < strlen(value))
            for (char *p = value; *p; p++) /* an old character set */
                *p = (unsigned char)*p < 0x80 ? *p : '?';
        csv_put(j->w, value);
    }
    csv_put(j->w, row->prepared ? "yes" : "no");
    csv_put(j->w, reason_name(row->primary));
    text codes;
    text_init(&codes);
    for (int k = 1; k < REASON_COUNT; k++)
        if (reason_has(&row->reasons, (reason)k))
            text_addf(&codes, "%s%s", codes.len ? ";" : "", reason_name((reason)k));
    csv_put(j->w, codes.s);
    text_release(&codes);
    csv_put(j->w, row->pixel_hash);
    csv_put_i64(j->w, row->shard);
    csv_put_i64(j->w, row->shard_row);
    csv_end_row(j->w);
    return true;
}

bool catalog_export(catalog *c, const char *config_id, const char *path, err *e)
{
    export_job j = {.w = csv_create(path, e), .first_day = RECORD_UNKNOWN};
    if (!j.w)
        return false;
    static const char *const before[] = {"patient", "exam", "image", "day", "scan_reason"};
    static const char *const after[] = {"prepared",   "primary", "reasons",
                                        "pixel_hash", "shard",   "shard_row"};
    for (size_t i = 0; i < COUNT_OF(before); i++)
        csv_put(j.w, before[i]);
    for (int i = 0; i < record_columns(); i++)
        if (!record_column_is_identifier(i))
            csv_put(j.w, record_column_name(i));
    for (size_t i = 0; i < COUNT_OF(after); i++)
        csv_put(j.w, after[i]);
    csv_end_row(j.w);
    if (catalog_each(c, config_id, export_row, &j, e))
        return csv_commit(j.w, e);
    csv_discard(j.w);
    return false;
}

static bool identity_row(void *ctx, const catalog_row *row, err *e)
{
    csv_writer *w = ctx;
    const record *r = &row->rec;
    (void)e;
    if (!row->patient[0] && !row->image[0])
        return true;
    const char *const cell[] = {row->patient, row->exam,    row->image, r->patient_id,
                                r->issuer,    r->study_uid, r->sop_uid, r->accession};
    for (size_t i = 0; i < COUNT_OF(cell); i++)
        csv_put(w, cell[i]);
    csv_end_row(w);
    return true;
}

bool catalog_identities(catalog *c, const char *path, err *e)
{
    static const char *const head[] = {"patient", "exam",      "image",   "patient_id",
                                       "issuer",  "study_uid", "sop_uid", "accession"};
    csv_writer *w = csv_create_private(path, e);
    if (!w)
        return false;
    for (size_t i = 0; i < COUNT_OF(head); i++)
        csv_put(w, head[i]);
    csv_end_row(w);
    if (catalog_each(c, NULL, identity_row, w, e))
        return csv_commit(w, e);
    csv_discard(w);
    return false;
}
