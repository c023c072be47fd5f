/* What scan writes into the catalogue: facts of files, stamps of the run that met them, and the
 * join of shards. */
#include "dicom/catalog.h"

#include "core/fs.h"
#include "core/mem.h"

#include <stdio.h>
#include <string.h>

/* Columns of table file that scan fills, in the order of catalog_put. */
static const char fixed_columns[] = "root, path, size, mtime_ns, run, gone, facts, scan_reason,"
                                    " header_hash, patient, exam, image";
#define FIXED 12

static void add_names(text *t, const char *prefix)
{
    for (int i = 0; i < record_columns(); i++)
        text_addf(t, ",%s\"%s\"", prefix, record_column_name(i));
}

/* "a = excluded.a, ..." for every column but root and path. */
static void add_updates(text *t)
{
    static const char *const fixed[] = {"size",        "mtime_ns",    "run",     "gone", "facts",
                                        "scan_reason", "header_hash", "patient", "exam", "image"};
    for (size_t i = 0; i < COUNT_OF(fixed); i++)
        text_addf(t, "%s%s = excluded.%s", i ? ", " : "", fixed[i], fixed[i]);
    for (int i = 0; i < record_columns(); i++)
        text_addf(t, ", \"%s\" = excluded.\"%s\"", record_column_name(i), record_column_name(i));
}

bool catalog_next_run(catalog *c, int64_t *run, err *e)
{
    text t;
    char buf[24];
    text_init(&t);
    bool ok = catalog_get_note(c, "run", &t, e);
    if (ok && (!t.len || !text_i64(t.s, run)))
        *run = 0;
    if (ok) {
        snprintf(buf, sizeof(buf), "%lld", (long long)++*run);
        ok = catalog_set_note(c, "run", buf, e);
    }
    text_release(&t);
    return ok;
}

bool catalog_known(catalog *c, const catalog_file *f, int64_t run, bool *known, reason *why, err *e)
{
    *known = false;
    db_stmt *s = db_prepare(catalog_db(c),
                            "SELECT id, scan_reason FROM file WHERE root = ?1 AND path = ?2"
                            " AND size = ?3 AND mtime_ns = ?4 AND header_hash <> ''",
                            e);
    if (!s)
        return false;
    db_bind_text(s, 1, f->root);
    db_bind_text(s, 2, f->path);
    db_bind_i64(s, 3, (int64_t)f->size);
    db_bind_i64(s, 4, f->mtime_ns);
    int got = db_step(s, e);
    if (got != 1)
        return got == 0;
    int64_t id = db_i64(s, 0);
    *why = reason_find(db_text(s, 1));
    if (db_step(s, e) < 0)
        return false;
    s = db_prepare(catalog_db(c), "UPDATE file SET run = ?1, gone = 0 WHERE id = ?2", e);
    if (!s)
        return false;
    db_bind_i64(s, 1, run);
    db_bind_i64(s, 2, id);
    *known = true;
    return db_step(s, e) >= 0;
}

/* One hash over everything that prepare may have used. */
static void facts_hash(const catalog_file *f, char out[33])
{
    text t;
    char value[RECORD_COLUMN_MAX];
    text_init(&t);
    text_addf(&t, "%llu\n%lld\n%s\n%s\n%s\n%s\n%s\n", (unsigned long long)f->size,
              (long long)f->mtime_ns, reason_name(f->scan_reason), f->header_hash, f->patient,
              f->exam, f->image);
    for (int i = 0; i < record_columns(); i++) {
        record_column_text(f->rec, i, value, sizeof(value));
        text_addf(&t, "%s\n", value);
    }
    fs_xxh128_of(t.s, t.len, out);
    text_release(&t);
}

/* Drop the outcomes of a file whose facts changed. */
static bool forget_outcomes(catalog *c, const catalog_file *f, const char *facts, err *e)
{
    static const char *const sql[] = {
        "DELETE FROM prepared WHERE file IN"
        " (SELECT id FROM file WHERE root = ?1 AND path = ?2 AND facts <> ?3)",
        "DELETE FROM reason WHERE file IN"
        " (SELECT id FROM file WHERE root = ?1 AND path = ?2 AND facts <> ?3)"};
    for (size_t i = 0; i < COUNT_OF(sql); i++) {
        db_stmt *s = db_prepare(catalog_db(c), sql[i], e);
        if (!s)
            return false;
        db_bind_text(s, 1, f->root);
        db_bind_text(s, 2, f->path);
        db_bind_text(s, 3, facts);
        if (db_step(s, e) < 0)
            return false;
    }
    return true;
}

bool catalog_put(catalog *c, const catalog_file *f, int64_t run, err *e)
{
    char facts[33], value[RECORD_COLUMN_MAX];
    facts_hash(f, facts);
    if (!forget_outcomes(c, f, facts, e))
        return false;
    text t;
    text_init(&t);
    text_addf(&t, "INSERT INTO file(%s", fixed_columns);
    add_names(&t, " ");
    text_add(&t, ") VALUES(");
    for (int i = 0; i < FIXED + record_columns(); i++)
        text_addf(&t, "%s?%d", i ? "," : "", i + 1);
    text_add(&t, ") ON CONFLICT(root, path) DO UPDATE SET ");
    add_updates(&t);
    db_stmt *s = db_prepare(catalog_db(c), t.s, e);
    text_release(&t);
    if (!s)
        return false;
    db_bind_text(s, 1, f->root);
    db_bind_text(s, 2, f->path);
    db_bind_i64(s, 3, (int64_t)f->size);
    db_bind_i64(s, 4, f->mtime_ns);
    db_bind_i64(s, 5, run);
    db_bind_i64(s, 6, 0);
    db_bind_text(s, 7, facts);
    db_bind_text(s, 8, reason_name(f->scan_reason));
    db_bind_text(s, 9, f->header_hash);
    db_bind_text(s, 10, f->patient);
    db_bind_text(s, 11, f->exam);
    db_bind_text(s, 12, f->image);
    for (int i = 0; i < record_columns(); i++) {
        record_column_text(f->rec, i, value, sizeof(value));
        db_bind_text(s, FIXED + 1 + i, value);
    }
    return db_step(s, e) >= 0;
}

bool catalog_mark_gone(catalog *c, const char *root, int64_t run, int64_t *n, err *e)
{
    db_stmt *s = db_prepare(
        catalog_db(c), "UPDATE file SET gone = 1 WHERE root = ?1 AND run <> ?2 AND gone = 0", e);
    if (!s)
        return false;
    db_bind_text(s, 1, root);
    db_bind_i64(s, 2, run);
    if (db_step(s, e) < 0 || !(s = db_prepare(catalog_db(c), "SELECT changes()", e)) ||
        db_step(s, e) != 1)
        return false;
    *n += db_i64(s, 0);
    return db_step(s, e) >= 0;
}

bool catalog_merge(catalog *c, const char *path, err *e)
{
    db *d = catalog_db(c);
    db_stmt *s = db_prepare(d, "ATTACH DATABASE ?1 AS part", e);
    if (!s)
        return false;
    db_bind_text(s, 1, path);
    if (db_step(s, e) < 0)
        return false;
    text t;
    text_init(&t);
    text_add(&t, "BEGIN IMMEDIATE;");
    for (int i = 0; i < 2; i++)
        text_addf(&t,
                  "DELETE FROM main.%s WHERE file IN (SELECT m.id FROM main.file m JOIN part.file p"
                  " ON m.root = p.root AND m.path = p.path AND m.facts <> p.facts);",
                  i ? "reason" : "prepared");
    text_addf(&t, "INSERT INTO main.file(%s", fixed_columns);
    add_names(&t, " ");
    text_addf(&t, ") SELECT %s", fixed_columns);
    add_names(&t, " ");
    text_add(&t, " FROM part.file WHERE true ORDER BY root, path"
                 " ON CONFLICT(root, path) DO UPDATE SET ");
    add_updates(&t);
    text_add(&t, ";COMMIT;");
    bool ok = db_exec(d, t.s, e);
    text_release(&t);
    err ignored = {0};
    if (!ok && !db_exec(d, "ROLLBACK", &ignored))
        err_clear(&ignored); /* the first error tells more */
    return db_exec(d, "DETACH DATABASE part", ok ? e : &ignored) && ok;
}
