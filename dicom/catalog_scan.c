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
#define FIXED      12
#define VALUES_MAX 128

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

/* ---- the rows that a scan met ---------------------------------------------------------------- */

/* One bit for each row id. A stamp in the row itself would make every scan write the whole
 * catalogue. */
struct catalog_met {
    uint64_t *word;
    size_t n;
};

catalog_met *catalog_met_new(void)
{
    return MEM_NEW(catalog_met);
}

void catalog_met_free(catalog_met *m)
{
    if (m)
        mem_free(m->word);
    mem_free(m);
}

static void met_add(catalog_met *m, int64_t id)
{
    size_t at = (size_t)id / 64;
    if (at >= m->n) {
        size_t n = at + at / 2 + 64;
        m->word = mem_realloc(m->word, m->n * sizeof(*m->word), n * sizeof(*m->word));
        memset(m->word + m->n, 0, (n - m->n) * sizeof(*m->word));
        m->n = n;
    }
    m->word[at] |= (uint64_t)1 << (id % 64);
}

static bool met_has(const catalog_met *m, int64_t id)
{
    size_t at = (size_t)id / 64;
    return at < m->n && (m->word[at] >> (id % 64) & 1);
}

static bool set_gone(catalog *c, int64_t id, int gone, err *e)
{
    db_stmt *s = db_prepare(catalog_db(c), "UPDATE file SET gone = ?1 WHERE id = ?2", e);
    if (!s)
        return false;
    db_bind_i64(s, 1, gone);
    db_bind_i64(s, 2, id);
    return db_step(s, e) >= 0;
}

bool catalog_known(catalog *c, const catalog_file *f, catalog_met *met, bool *known, reason *why,
                   err *e)
{
    *known = false;
    db_stmt *s = db_prepare(catalog_db(c),
                            "SELECT id, scan_reason, gone FROM file WHERE root = ?1 AND path = ?2"
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
    bool gone = db_i64(s, 2) != 0;
    if (db_step(s, e) < 0)
        return false;
    met_add(met, id);
    *known = true;
    return !gone || set_gone(c, id, 0, e);
}

/* ---- one row --------------------------------------------------------------------------------- */

/* The columns of a record as one text each, NUL-terminated, in the order of the table. */
typedef struct values {
    text t;
    size_t at[VALUES_MAX + 1];
} values;

/* One hash over everything that prepare may have used; leaves the columns in v. */
static void facts_hash(const catalog_file *f, values *v, char out[33])
{
    char value[RECORD_COLUMN_MAX];
    int n = record_columns();
    if (n > VALUES_MAX)
        BUG("catalogue: %d columns", n);
    text_clear(&v->t);
    text_addf(&v->t, "%llu\n%lld\n", (unsigned long long)f->size, (long long)f->mtime_ns);
    const char *const fixed[] = {reason_name(f->scan_reason), f->header_hash, f->patient, f->exam,
                                 f->image};
    for (size_t i = 0; i < COUNT_OF(fixed); i++) {
        text_add(&v->t, fixed[i]);
        text_addn(&v->t, "\n", 1);
    }
    for (int i = 0; i < n; i++) {
        record_column_text(f->rec, i, value, sizeof(value));
        v->at[i] = v->t.len;
        text_add(&v->t, value);
        text_addn(&v->t, "\n", 1);
    }
    v->at[n] = v->t.len;
    fs_xxh128_of(v->t.s, v->t.len, out);
    for (int i = 0; i < n; i++)
        v->t.s[v->at[i + 1] - 1] = '\0';
}

static bool forget(catalog *c, const char *sql, int64_t file, err *e)
{
    db_stmt *s = db_prepare(catalog_db(c), sql, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, file);
    return db_step(s, e) >= 0;
}

/* Drop the outcomes of a file whose facts changed. */
static bool forget_outcomes(catalog *c, const catalog_file *f, const char *facts, err *e)
{
    db_stmt *s = db_prepare(catalog_db(c),
                            "SELECT id FROM file WHERE root = ?1 AND path = ?2 AND facts <> ?3", e);
    if (!s)
        return false;
    db_bind_text(s, 1, f->root);
    db_bind_text(s, 2, f->path);
    db_bind_text(s, 3, facts);
    int got = db_step(s, e);
    if (got != 1)
        return got == 0;
    int64_t id = db_i64(s, 0);
    return db_step(s, e) >= 0 && forget(c, "DELETE FROM prepared WHERE file = ?1", id, e) &&
           forget(c, "DELETE FROM reason WHERE file = ?1", id, e);
}

char *catalog_put_sql(void)
{
    text t;
    text_init(&t);
    text_addf(&t, "INSERT INTO file(%s", fixed_columns);
    add_names(&t, " ");
    text_add(&t, ") VALUES(");
    for (int i = 0; i < FIXED + record_columns(); i++)
        text_addf(&t, "%s?%d", i ? "," : "", i + 1);
    text_add(&t, ") ON CONFLICT(root, path) DO UPDATE SET ");
    add_updates(&t);
    return text_take(&t);
}

static bool put_row(catalog *c, const catalog_file *f, int64_t run, values *v, err *e)
{
    char facts[33];
    facts_hash(f, v, facts);
    if (!forget_outcomes(c, f, facts, e))
        return false;
    db_stmt *s = db_prepare(catalog_db(c), catalog_put_text(c), e);
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
    for (int i = 0; i < record_columns(); i++)
        db_bind_lent(s, FIXED + 1 + i, v->t.s + v->at[i], v->at[i + 1] - v->at[i] - 1);
    return db_step(s, e) >= 0;
}

bool catalog_put(catalog *c, const catalog_file *f, int64_t run, err *e)
{
    values v;
    text_init(&v.t);
    bool ok = put_row(c, f, run, &v, e);
    text_release(&v.t);
    return ok;
}

bool catalog_mark_gone(catalog *c, const char *root, int64_t run, const catalog_met *met,
                       int64_t *n, err *e)
{
    db_stmt *s = db_prepare(catalog_db(c),
                            "SELECT id FROM file WHERE root = ?1 AND run <> ?2 AND gone = 0", e);
    if (!s)
        return false;
    db_bind_text(s, 1, root);
    db_bind_i64(s, 2, run);
    int64_t *gone = NULL;
    size_t count = 0, cap = 0;
    int got;
    while ((got = db_step(s, e)) == 1) {
        int64_t id = db_i64(s, 0);
        if (met_has(met, id))
            continue;
        if (count == cap) {
            cap = cap ? 2 * cap : 256;
            gone = mem_realloc(gone, count * sizeof(*gone), cap * sizeof(*gone));
        }
        gone[count++] = id;
    }
    bool ok = got == 0;
    for (size_t i = 0; ok && i < count; i++)
        ok = set_gone(c, gone[i], 1, e);
    *n += ok ? (int64_t)count : 0;
    mem_free(gone);
    return ok;
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
