/* What prepare leaves in the catalogue about its shards: their hashes, and which rows lie where.
 * Outcomes of single rows are in catalog.c. */
#include "dicom/catalog.h"

#include "core/mem.h"

#include <string.h>

static bool run(db_stmt *s, const char *config_id, err *e)
{
    if (!s)
        return false;
    db_bind_text(s, 1, config_id);
    return db_step(s, e) >= 0;
}

bool catalog_forget_prepared(catalog *c, const char *config_id, err *e)
{
    db *d = catalog_db(c);
    return run(db_prepare(d, "DELETE FROM reason WHERE config_id = ?1", e), config_id, e) &&
           run(db_prepare(d, "DELETE FROM prepared WHERE config_id = ?1", e), config_id, e) &&
           run(db_prepare(d, "DELETE FROM shard WHERE config_id = ?1", e), config_id, e);
}

bool catalog_put_shard(catalog *c, const char *config_id, const catalog_shard *s, err *e)
{
    db_stmt *q = db_prepare(catalog_db(c),
                            "INSERT OR REPLACE INTO shard(config_id, number, h, w, sha256, bytes,"
                            " n) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                            e);
    if (!q)
        return false;
    db_bind_text(q, 1, config_id);
    db_bind_i64(q, 2, s->number);
    db_bind_i64(q, 3, s->h);
    db_bind_i64(q, 4, s->w);
    db_bind_text(q, 5, s->sha256);
    db_bind_i64(q, 6, s->bytes);
    db_bind_i64(q, 7, s->n);
    return db_step(q, e) >= 0;
}

bool catalog_drop_shard(catalog *c, const char *config_id, const catalog_shard *k, err *e)
{
    db_stmt *s = db_prepare(
        catalog_db(c),
        "DELETE FROM shard WHERE config_id = ?1 AND number = ?2 AND h = ?3 AND w = ?4", e);
    if (!s)
        return false;
    db_bind_text(s, 1, config_id);
    db_bind_i64(s, 2, k->number);
    db_bind_i64(s, 3, k->h);
    db_bind_i64(s, 4, k->w);
    return db_step(s, e) >= 0;
}

/* A catalogue that no newer program has written to lacks the table. */
static bool has_shards(catalog *c, bool *has, err *e)
{
    db_stmt *s =
        db_prepare(catalog_db(c),
                   "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'shard'", e);
    if (!s || db_step(s, e) != 1)
        return false;
    *has = db_i64(s, 0) == 1;
    return db_step(s, e) == 0;
}

/* Room for one more of `size` bytes after n. */
static void *grow(void *at, int n, size_t size)
{
    bool full = n == 0 || (n >= 64 && (n & (n - 1)) == 0);
    if (!full)
        return at;
    return mem_realloc(at, (size_t)n * size, (n ? (size_t)n * 2 : 64) * size);
}

bool catalog_read_shards(db_stmt *s, catalog_shard **out, int *n, err *e)
{
    *out = NULL;
    *n = 0;
    if (!s)
        return false;
    int got;
    while ((got = db_step(s, e)) == 1) {
        *out = grow(*out, *n, sizeof **out);
        catalog_shard *k = &(*out)[(*n)++];
        *k = (catalog_shard){.number = (int)db_i64(s, 0),
                             .h = (int)db_i64(s, 1),
                             .w = (int)db_i64(s, 2),
                             .bytes = db_i64(s, 4),
                             .n = db_i64(s, 5)};
        text_copy(k->sha256, sizeof k->sha256, db_text(s, 3));
    }
    return got == 0;
}

bool catalog_shards(catalog *c, const char *config_id, catalog_shard **out, int *n, err *e)
{
    bool has;
    *out = NULL;
    *n = 0;
    if (!has_shards(c, &has, e))
        return false;
    if (!has)
        return true;
    db_stmt *s = db_prepare(catalog_db(c),
                            "SELECT " CATALOG_SHARD_COLUMNS " FROM shard WHERE config_id = ?1"
                            " ORDER BY number, h, w",
                            e);
    if (s)
        db_bind_text(s, 1, config_id);
    return catalog_read_shards(s, out, n, e);
}

bool catalog_shard_numbers(catalog *c, const char *config_id, int **out, int *n, err *e)
{
    static const char plain[] = "SELECT DISTINCT shard FROM prepared WHERE config_id = ?1"
                                " AND shard >= 0 ORDER BY 1";
    static const char both[] = "SELECT shard FROM prepared WHERE config_id = ?1 AND shard >= 0"
                               " UNION SELECT number FROM shard WHERE config_id = ?1 ORDER BY 1";
    bool has;
    *out = NULL;
    *n = 0;
    if (!has_shards(c, &has, e))
        return false;
    db_stmt *s = db_prepare(catalog_db(c), has ? both : plain, e);
    if (!s)
        return false;
    db_bind_text(s, 1, config_id);
    int got;
    while ((got = db_step(s, e)) == 1) {
        *out = grow(*out, *n, sizeof **out);
        (*out)[(*n)++] = (int)db_i64(s, 0);
    }
    return got == 0;
}

bool catalog_shard_rows(catalog *c, const char *config_id, int number, catalog_place **out, int *n,
                        err *e)
{
    *out = NULL;
    *n = 0;
    db_stmt *s = db_prepare(catalog_db(c),
                            "SELECT f.id, p.shard_row, f.image, p.pixel_hash, p.file_hash"
                            " FROM prepared p JOIN file f ON f.id = p.file"
                            " WHERE p.config_id = ?1 AND p.shard = ?2 ORDER BY p.shard_row",
                            e);
    if (!s)
        return false;
    db_bind_text(s, 1, config_id);
    db_bind_i64(s, 2, number);
    int got;
    while ((got = db_step(s, e)) == 1) {
        *out = grow(*out, *n, sizeof **out);
        catalog_place *k = &(*out)[(*n)++];
        k->id = db_i64(s, 0);
        k->row = (int)db_i64(s, 1);
        text_copy(k->image, sizeof k->image, db_text(s, 2));
        text_copy(k->pixel_hash, sizeof k->pixel_hash, db_text(s, 3));
        text_copy(k->file_hash, sizeof k->file_hash, db_text(s, 4));
    }
    return got == 0;
}

bool catalog_next_config(catalog *c, const char *after, text *next, err *e)
{
    text_clear(next);
    db_stmt *s =
        db_prepare(catalog_db(c), "SELECT min(config_id) FROM prepared WHERE config_id > ?1", e);
    if (!s)
        return false;
    db_bind_text(s, 1, after);
    int got = db_step(s, e);
    if (got == 1)
        text_add(next, db_text(s, 0));
    return got >= 0 && db_step(s, e) >= 0;
}

bool catalog_tally(catalog *c, const char *config_id, int64_t by_reason[REASON_COUNT], err *e)
{
    static const char scan[] =
        "SELECT scan_reason, count(*) FROM file WHERE gone = 0 GROUP BY scan_reason";
    static const char prepare[] =
        "SELECT p.primary_reason, count(*) FROM prepared p JOIN file f ON f.id = p.file"
        " WHERE p.config_id = ?1 AND f.gone = 0 GROUP BY p.primary_reason";
    memset(by_reason, 0, REASON_COUNT * sizeof *by_reason);
    db_stmt *s = db_prepare(catalog_db(c), config_id ? prepare : scan, e);
    if (!s)
        return false;
    if (config_id)
        db_bind_text(s, 1, config_id);
    int got;
    while ((got = db_step(s, e)) == 1)
        by_reason[reason_find(db_text(s, 0))] += db_i64(s, 1);
    return got == 0;
}

bool catalog_todo(catalog *c, const char *config_id, catalog_group_visit *fn, void *ctx, err *e)
{
    db_stmt *s = db_prepare(
        catalog_db(c),
        "SELECT f.\"transfer_syntax\", CAST(f.\"rows\" AS INTEGER), CAST(f.\"cols\" AS INTEGER),"
        " count(*), sum(f.size) FROM file f LEFT JOIN prepared p ON p.file = f.id AND"
        " p.config_id = ?1 WHERE f.gone = 0 AND f.scan_reason = '' AND"
        " (p.file IS NULL OR p.primary_reason = 'IO_LOST') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        e);
    if (!s)
        return false;
    db_bind_text(s, 1, config_id);
    int got;
    while ((got = db_step(s, e)) == 1) {
        catalog_group g = {db_text(s, 0), db_i64(s, 1), db_i64(s, 2), db_i64(s, 3), db_i64(s, 4)};
        fn(ctx, &g);
    }
    return got == 0;
}
