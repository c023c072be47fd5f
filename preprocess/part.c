/* One part's outcomes in a database of its own, and the join of all parts (part.h). A part knows
 * rows by their number in the catalogue and by the hash of their facts: a row that a later scan
 * changed is not taken from it. */
#include "preprocess/part.h"

#include <dirent.h>
#include <errno.h>

#include "core/db.h"
#include "core/fs.h"
#include "core/mem.h"

struct part {
    db *d;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS note(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS outcome(file INTEGER PRIMARY KEY, facts TEXT NOT NULL,"
    " primary_reason TEXT NOT NULL, reasons TEXT NOT NULL, shard INTEGER NOT NULL,"
    " shard_row INTEGER NOT NULL, file_hash TEXT NOT NULL, pixel_hash TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS shard(number INTEGER NOT NULL, h INTEGER NOT NULL,"
    " w INTEGER NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, n INTEGER NOT NULL,"
    " PRIMARY KEY(number, h, w)) WITHOUT ROWID;";

char *part_home(const char *store, const char *id)
{
    text t;
    text_init(&t);
    text_addf(&t, "%s/parts/%s", store, id);
    return text_take(&t);
}

char *part_folder(const char *store, const char *id, int k, int n)
{
    text t;
    text_init(&t);
    text_addf(&t, "%s/parts/%s/%d-of-%d", store, id, k, n);
    return text_take(&t);
}

part *part_open(const char *folder, bool write, err *e)
{
    char *path = fs_join(folder, "outcomes.db");
    part *p = MEM_NEW(part);
    bool ok = write || fs_exists(path);
    if (!ok)
        err_set(e, ERR_INPUT, "part %s has no outcomes", fs_base(folder));
    ok = ok && (p->d = db_open(path, write, e)) && (!write || db_exec(p->d, schema, e));
    mem_free(path);
    if (ok)
        return p;
    part_close(p);
    return NULL;
}

void part_close(part *p)
{
    if (!p)
        return;
    db_close(p->d);
    mem_free(p);
}

bool part_begin(part *p, err *e)
{
    return db_exec(p->d, "BEGIN IMMEDIATE", e);
}

bool part_commit(part *p, err *e)
{
    return db_exec(p->d, "COMMIT", e);
}

bool part_put(part *p, const part_outcome *o, err *e)
{
    text codes;
    db_stmt *s =
        db_prepare(p->d, "INSERT OR REPLACE INTO outcome VALUES(?1,?2,?3,?4,?5,?6,?7,?8)", e);
    if (!s)
        return false;
    text_init(&codes);
    for (int r = 1; r < REASON_COUNT; r++)
        if (reason_has(&o->reasons, (reason)r))
            text_addf(&codes, "%s,", reason_name((reason)r));
    db_bind_i64(s, 1, o->file);
    db_bind_text(s, 2, o->facts);
    db_bind_text(s, 3, reason_name(o->primary));
    db_bind_text(s, 4, codes.s);
    db_bind_i64(s, 5, o->shard);
    db_bind_i64(s, 6, o->shard_row);
    db_bind_text(s, 7, o->file_hash);
    db_bind_text(s, 8, o->pixel_hash);
    text_release(&codes);
    return db_step(s, e) >= 0;
}

bool part_put_shard(part *p, const catalog_shard *k, err *e)
{
    db_stmt *s = db_prepare(p->d, "INSERT OR REPLACE INTO shard VALUES(?1,?2,?3,?4,?5,?6)", e);
    if (!s)
        return false;
    db_bind_i64(s, 1, k->number);
    db_bind_i64(s, 2, k->h);
    db_bind_i64(s, 3, k->w);
    db_bind_text(s, 4, k->sha256);
    db_bind_i64(s, 5, k->bytes);
    db_bind_i64(s, 6, k->n);
    return db_step(s, e) >= 0;
}

/* "CODE,CODE," */
static reason_set read_codes(const char *s)
{
    reason_set set = {{0, 0}};
    for (const char *comma; (comma = strchr(s, ',')); s = comma + 1) {
        char one[64];
        size_t n = (size_t)(comma - s);
        if (n >= sizeof one)
            continue;
        memcpy(one, s, n);
        one[n] = 0;
        reason r = reason_find(one);
        if (r != REASON_NONE)
            reason_add(&set, r);
    }
    return set;
}

bool part_find(part *p, int64_t file, bool *found, part_outcome *o, err *e)
{
    db_stmt *s = db_prepare(p->d,
                            "SELECT facts, primary_reason, reasons, shard, shard_row, file_hash,"
                            " pixel_hash FROM outcome WHERE file = ?1",
                            e);
    if (!s)
        return false;
    db_bind_i64(s, 1, file);
    int got = db_step(s, e);
    *found = got == 1;
    if (got != 1)
        return got == 0;
    memset(o, 0, sizeof *o);
    o->file = file;
    text_copy(o->facts, sizeof o->facts, db_text(s, 0));
    o->primary = reason_find(db_text(s, 1));
    o->reasons = read_codes(db_text(s, 2));
    o->shard = (int)db_i64(s, 3);
    o->shard_row = (int)db_i64(s, 4);
    text_copy(o->file_hash, sizeof o->file_hash, db_text(s, 5));
    text_copy(o->pixel_hash, sizeof o->pixel_hash, db_text(s, 6));
    return db_step(s, e) >= 0;
}

bool part_shards(part *p, catalog_shard **out, int *n, err *e)
{
    return catalog_read_shards(
        db_prepare(p->d, "SELECT " CATALOG_SHARD_COLUMNS " FROM shard ORDER BY number, h, w", e),
        out, n, e);
}

static bool note_get(part *p, const char *key, int64_t *v, err *e)
{
    db_stmt *s = db_prepare(p->d, "SELECT value FROM note WHERE key = ?1", e);
    if (!s)
        return false;
    db_bind_text(s, 1, key);
    int got = db_step(s, e);
    *v = got == 1 ? db_i64(s, 0) : 0;
    return got == 0 || (got == 1 && db_step(s, e) >= 0);
}

static bool note_set(part *p, const char *key, int64_t v, err *e)
{
    db_stmt *s = db_prepare(p->d, "INSERT OR REPLACE INTO note VALUES(?1, ?2)", e);
    if (!s)
        return false;
    db_bind_text(s, 1, key);
    db_bind_i64(s, 2, v);
    return db_step(s, e) >= 0;
}

bool part_set_total(part *p, int64_t total, err *e)
{
    return note_set(p, "finished", 0, e) && note_set(p, "total", total, e);
}

bool part_set_finished(part *p, err *e)
{
    return note_set(p, "finished", 1, e);
}

bool part_count(part *p, part_counts *out, err *e)
{
    int64_t finished;
    memset(out, 0, sizeof *out);
    if (!note_get(p, "total", &out->total, e) || !note_get(p, "finished", &finished, e))
        return false;
    out->finished = finished == 1;
    db_stmt *s =
        db_prepare(p->d, "SELECT primary_reason, count(*) FROM outcome GROUP BY primary_reason", e);
    if (!s)
        return false;
    int got;
    while ((got = db_step(s, e)) == 1) {
        reason r = reason_find(db_text(s, 0));
        *(r == REASON_NONE    ? &out->kept
          : prepare_failed(r) ? &out->failed
                              : &out->excluded) += db_i64(s, 1);
    }
    return got == 0;
}

bool part_list(const char *store, const char *id, int *n, bool **there, err *e)
{
    char *home = part_home(store, id);
    DIR *d = opendir(home);
    int k, of, end;
    bool ok = true;
    *n = 0;
    *there = NULL;
    if (!d && errno != ENOENT)
        ok = err_errno(e, "cannot open the folder of the parts");
    for (struct dirent *f; d && ok && (f = readdir(d));) {
        end = 0;
        if (sscanf(f->d_name, "%d-of-%d%n", &k, &of, &end) != 2 || !end || f->d_name[end] ||
            k < 0 || k >= of || of > 100000)
            continue;
        if (*n && *n != of)
            ok = err_set(e, ERR_INPUT,
                         "parts of two divisions lie in the store, %d-fold and %d-fold; remove "
                         "those below parts/%s that are not wanted",
                         *n, of, id);
        if (!*n)
            *there = MEM_ARRAY(bool, of);
        *n = of;
        if (ok)
            (*there)[k] = true;
    }
    if (d)
        closedir(d);
    mem_free(home);
    return ok;
}

/* ---- join ------------------------------------------------------------------------------------ */

struct part_join {
    const prepare_cfg *cfg;
    char *store, id[17];
    int n, k; /* the open part */
    part *open;
    catalog_shard *shards; /* of the open part */
    int n_shards;
    int number; /* of the open shards, -1 = none */
    shard *file[PREPARE_SIZES];
};

static void close_shards(part_join *j)
{
    for (int i = 0; i < PREPARE_SIZES; i++) {
        shard_close(j->file[i]);
        j->file[i] = NULL;
    }
    j->number = -1;
}

static bool open_part(part_join *j, int k, err *e)
{
    close_shards(j);
    part_close(j->open);
    mem_free(j->shards);
    j->shards = NULL;
    j->n_shards = 0;
    j->k = k;
    char *folder = part_folder(j->store, j->id, k, j->n);
    j->open = part_open(folder, false, e);
    mem_free(folder);
    return j->open && part_shards(j->open, &j->shards, &j->n_shards, e);
}

/* Names of the parts that are missing or not finished, as `prepare --shard` takes them. */
static bool check_complete(part_join *j, const bool *there, err *e)
{
    text bad;
    text_init(&bad);
    int n_bad = 0;
    bool ok = true;
    for (int k = 0; ok && k < j->n; k++) {
        part_counts c = {0};
        err why = {0};
        bool has = there[k] && open_part(j, k, &why) && part_count(j->open, &c, &why);
        if (has && c.finished)
            continue;
        if (n_bad++ < 20)
            text_addf(&bad, "%s%d/%d%s", bad.len ? ", " : "", k, j->n,
                      there[k] ? " (not finished)" : "");
    }
    if (n_bad > 20)
        text_addf(&bad, " and %d more", n_bad - 20);
    if (n_bad)
        ok = err_set(e, ERR_INPUT,
                     "%d of %d parts are missing: %s; run prepare --shard for each of them first",
                     n_bad, j->n, bad.s);
    text_release(&bad);
    return ok;
}

part_join *part_join_open(const char *store, const char *id, const prepare_cfg *c, err *e)
{
    bool *there = NULL;
    part_join *j = MEM_NEW(part_join);
    j->cfg = c;
    j->store = mem_strdup(store);
    text_copy(j->id, sizeof j->id, id);
    j->number = -1;
    bool ok = part_list(store, id, &j->n, &there, e);
    if (ok && !j->n)
        ok = err_set(e, ERR_INPUT,
                     "the store holds no part of this preparation; make them with prepare "
                     "--shard k/n and the same config");
    ok = ok && check_complete(j, there, e) && open_part(j, 0, e);
    mem_free(there);
    if (ok)
        return j;
    part_join_close(j);
    return NULL;
}

void part_join_close(part_join *j)
{
    if (!j)
        return;
    close_shards(j);
    part_close(j->open);
    mem_free(j->shards);
    mem_free(j->store);
    mem_free(j);
}

/* The part that knows the row as it is now. Rows come in the order of the parts, so that the open
 * one nearly always does; all others are asked before giving up. */
static bool find(part_join *j, const todo *t, part_outcome *o, err *e)
{
    for (int tried = 0; tried < j->n; tried++) {
        bool found;
        if (tried && !open_part(j, (j->k + 1) % j->n, e))
            return false;
        if (!part_find(j->open, t->id, &found, o, e))
            return err_wrap(e, "part %d/%d", j->k, j->n);
        if (found && strcmp(o->facts, t->facts) == 0)
            return true;
    }
    return err_set(e, ERR_INPUT,
                   "no part knows row %lld of the catalogue as it is now: the archive was scanned "
                   "since; run prepare --shard k/%d for every k again (finished rows are kept), "
                   "then --merge",
                   (long long)t->id, j->n);
}

/* The hash of a part's shard is checked once, before its first image is taken. */
static bool open_shards(part_join *j, int number, err *e)
{
    char *folder = part_folder(j->store, j->id, j->k, j->n);
    bool ok = true;
    close_shards(j);
    for (int i = 0; ok && i < j->cfg->n_sizes; i++) {
        const catalog_shard *k = NULL;
        char sha[65] = "";
        for (int s = 0; s < j->n_shards; s++)
            if (j->shards[s].number == number && j->shards[s].h == j->cfg->h[i] &&
                j->shards[s].w == j->cfg->w[i])
                k = &j->shards[s];
        char *path = prepare_shard_in(folder, j->cfg->h[i], j->cfg->w[i], number);
        err why = {0};
        ok = k && fs_sha256_file(path, sha, &why) && strcmp(sha, k->sha256) == 0 &&
             (j->file[i] = shard_open(path, &why));
        mem_free(path);
        if (!ok)
            err_set(e, ERR_MISMATCH,
                    "shard %dx%d/%05d.h5 of part %d/%d is missing or damaged; make the part again "
                    "with prepare --shard %d/%d --force",
                    j->cfg->h[i], j->cfg->w[i], number, j->k, j->n, j->k, j->n);
    }
    mem_free(folder);
    j->number = ok ? number : -1;
    return ok;
}

bool part_join_take(part_join *j, const todo *t, prepare_done *d, err *e)
{
    part_outcome o;
    if (!find(j, t, &o, e))
        return false;
    prepare_done_reset(d);
    d->primary = o.primary;
    d->reasons = o.reasons;
    memcpy(d->file_hash, o.file_hash, sizeof d->file_hash);
    memcpy(d->pixel_hash, o.pixel_hash, sizeof d->pixel_hash);
    if (o.primary != REASON_NONE)
        return true;
    if (o.shard != j->number && !open_shards(j, o.shard, e))
        return false;
    for (int i = 0; i < j->cfg->n_sizes; i++) {
        shard_chunk *c = &d->image[i];
        if (!shard_read_meta(j->file[i], o.shard_row, &d->meta[i], e) ||
            !shard_read_chunk(j->file[i], o.shard_row, &c->data, &c->cap, &c->len, e))
            return err_wrap(e, "part %d/%d", j->k, j->n);
        if (strcmp(d->meta[i].image, t->image) != 0 ||
            strcmp(d->meta[i].pixel_hash, o.pixel_hash) != 0)
            return err_set(e, ERR_MISMATCH, "part %d/%d: shard %d row %d holds another image", j->k,
                           j->n, o.shard, o.shard_row);
        c = &d->mask[i];
        if (j->cfg->mask &&
            !shard_read_mask(j->file[i], o.shard_row, &c->data, &c->cap, &c->len, e))
            return err_wrap(e, "part %d/%d", j->k, j->n);
    }
    d->n_sizes = j->cfg->n_sizes;
    return true;
}
