/* Repair of one preparation (repair.h). The check says which shards are broken; their rows go
 * through the same workers as in prepare and into a shard of the same order, so that the bytes are
 * those recorded. Order of a commit: shard file, then one transaction with its hash and with the
 * rows that were lost. Killed between the two, the file is sound by its recorded hash or is made
 * again. */
#include "preprocess/repair.h"

#include <stdio.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/kill.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"
#include "preprocess/prepare_books.h"
#include "preprocess/prepare_stage.h"
#include "preprocess/prepare_work.h"
#include "preprocess/store_check.h"

typedef struct fix { /* a row whose outcome must change */
    int64_t id;
    int row; /* its place in the shard, -1 = lost */
    char pixel_hash[33];
} fix;

typedef struct job {
    const repair_opts *o;
    repair_result *res;
    prepare_crew crew;
    pool *pool;
    catalog *cat;
    char id[17], *folder, *provenance;
    /* one shard number */
    int number;
    bool broken[PREPARE_SIZES];
    const catalog_shard *rec[PREPARE_SIZES]; /* NULL = not recorded */
    catalog_place *place;
    int n_places;
    prepare_rows rows;
    shard_writer *out[PREPARE_SIZES];
    int limit;   /* rows that a shard can have */
    int written; /* rows in the open shards */
    fix *fix;
    int n_fixes;
} job;

static void say(const job *j, const char *what, const char *done, const char *why)
{
    j->o->say(j->o->ctx, what, done, why);
}

static void add_fix(job *j, int64_t id, int row, const char *pixel_hash)
{
    j->fix = mem_realloc(j->fix, (size_t)j->n_fixes * sizeof *j->fix,
                         ((size_t)j->n_fixes + 1) * sizeof *j->fix);
    fix *f = &j->fix[j->n_fixes++];
    *f = (fix){.id = id, .row = row};
    text_copy(f->pixel_hash, sizeof f->pixel_hash, pixel_hash);
}

static void lose(job *j, const catalog_place *p, const char *why)
{
    char what[80];
    snprintf(what, sizeof what, "row %lld, image %s", (long long)p->id, p->image);
    say(j, what, "lost", why);
    add_fix(j, p->id, -1, "");
    j->res->lost++;
}

/* ---- rows into a shard ----------------------------------------------------------------------- */

/* A place that no outcome names: it keeps the rows after it where they were. t may be NULL. */
static bool append_empty(job *j, const todo *t, err *e)
{
    const prepare_cfg *c = &j->crew.cfg;
    shard_meta m;
    reason_set lost = {{0, 0}};
    reason_add(&lost, REASON_IO_LOST);
    memset(&m, 0, sizeof m);
    memcpy(m.reasons, lost.bits, sizeof m.reasons);
    if (t) {
        memcpy(m.image, t->image, sizeof m.image);
        memcpy(m.exam, t->exam, sizeof m.exam);
        memcpy(m.patient, t->patient, sizeof m.patient);
    }
    bool ok = true;
    for (int i = 0; ok && i < c->n_sizes; i++) {
        if (!j->out[i])
            continue;
        size_t len;
        uint16_t *black = mem_calloc((size_t)c->h[i] * (size_t)c->w[i], sizeof *black);
        void *chunk = shard_compress(black, c->h[i], c->w[i], &len);
        ok = shard_append(j->out[i], chunk, len, &m, e);
        mem_free(chunk);
        if (c->mask) {
            chunk = shard_compress_mask((const uint8_t *)black, c->h[i], c->w[i], &len);
            ok = ok && shard_append_mask(j->out[i], chunk, len, e);
            mem_free(chunk);
        }
        mem_free(black);
    }
    j->written++;
    return ok;
}

static bool fill(job *j, int upto, err *e)
{
    while (j->written < upto)
        if (!append_empty(j, NULL, e))
            return false;
    return true;
}

/* NULL: the same image as when the row was judged. */
static const char *why_lost(const catalog_place *p, const prepare_done *d)
{
    if (d->primary == REASON_IO_UNREADABLE)
        return "its file is gone or cannot be read";
    if (d->file_hash[0] && strcmp(d->file_hash, p->file_hash) != 0)
        return "its file has changed; run scan, then prepare";
    if (d->primary != REASON_NONE)
        return reason_sentence(d->primary);
    return NULL;
}

static bool sink(void *ctx, int64_t i, void *slot, err *e)
{
    job *j = ctx;
    prepare_done *d = slot;
    const todo *t = prepare_rows_at(&j->rows, i);
    const catalog_place *p = &j->place[i];
    const char *why = why_lost(p, d);
    /* an archive that is not mounted must not cost a row */
    if (why && !fs_exists(t->root))
        return err_set(e, ERR_IO,
                       "an archive folder of this catalogue is not there now; mount it and run the "
                       "same command again");
    bool place = p->row >= j->written && p->row < j->limit;
    if (place && !fill(j, p->row, e))
        return false;
    if (!place) {
        lose(j, p, "its place in the shard is that of another row, or none");
    } else if (why) {
        lose(j, p, why);
        if (!append_empty(j, t, e))
            return false;
    } else {
        for (int k = 0; k < d->n_sizes; k++)
            if (j->out[k] && !prepare_done_append(d, k, j->out[k], e))
                return false;
        j->written++;
        if (strcmp(d->pixel_hash, p->pixel_hash) != 0) {
            add_fix(j, p->id, p->row, d->pixel_hash);
            j->res->mended++;
        }
    }
    kill_point("repair_mid_shard");
    if (pool_stop_asked())
        return err_set(e, ERR_STOPPED, "repair: stopped on request; the same command continues");
    return prepare_rows_load(&j->rows, i + 1 + j->rows.ahead, e);
}

static void work(void *ctx, int64_t i, void *slot, int thread)
{
    job *j = ctx;
    prepare_crew_work(&j->crew, thread, prepare_rows_at(&j->rows, i), slot);
}

static void drop(void *ctx, void *slot)
{
    (void)ctx;
    prepare_done_release(slot);
}

static bool render(job *j, err *e)
{
    int depth = 2 * pool_threads(j->pool) + 2;
    prepare_rows_init(&j->rows, j->cat, j->id, depth + 1);
    for (int i = 0; i < j->n_places; i++)
        prepare_rows_add(&j->rows, j->place[i].id);
    pool_pipe_spec spec = {.n = j->n_places,
                           .depth = depth,
                           .item_size = sizeof(prepare_done),
                           .work = work,
                           .sink = sink,
                           .ctx = j,
                           .drop = drop};
    bool ok = prepare_rows_load(&j->rows, j->rows.ahead, e) && pool_pipe(j->pool, &spec, e);
    prepare_rows_release(&j->rows);
    return ok;
}

/* ---- books ----------------------------------------------------------------------------------- */

typedef struct change {
    job *j;
    const fix *f;
} change;

static bool change_row(void *ctx, const catalog_row *r, err *e)
{
    change *c = ctx;
    catalog_row *now = MEM_NEW(catalog_row);
    *now = *r;
    now->shard_row = c->f->row;
    memcpy(now->pixel_hash, c->f->pixel_hash, sizeof now->pixel_hash);
    if (c->f->row < 0) {
        memset(&now->reasons, 0, sizeof now->reasons);
        now->primary = REASON_IO_LOST;
        reason_add(&now->reasons, REASON_IO_LOST);
        now->shard = -1;
    }
    bool ok = catalog_set_prepared(c->j->cat, c->j->id, now, e);
    mem_free(now);
    return ok;
}

static bool write_books(job *j, const catalog_shard *made, int n_made, err *e)
{
    kill_point("repair_before_db");
    bool ok = catalog_begin(j->cat, e);
    for (int i = 0; ok && i < n_made; i++)
        ok = catalog_put_shard(j->cat, j->id, &made[i], e);
    for (int i = 0; ok && i < j->n_fixes; i++) {
        change c = {j, &j->fix[i]};
        ok = catalog_read(j->cat, j->id, j->fix[i].id, change_row, &c, e);
    }
    ok = ok && catalog_commit(j->cat, e);
    kill_point("repair_after_db");
    return ok;
}

/* The shard is what was written, byte by byte, so it knows better than a row that disagrees with
 * it where the image lies and which pixels it holds. */
static bool mend_rows(job *j, int size, err *e)
{
    const prepare_cfg *c = &j->crew.cfg;
    char *path = prepare_shard_in(j->folder, c->h[size], c->w[size], j->number);
    shard *s = shard_open(path, e);
    bool ok = s != NULL;
    for (int i = 0; ok && i < j->n_places; i++) {
        const catalog_place *p = &j->place[i];
        shard_meta m;
        int at = p->row, r = 0;
        bool there = at < shard_n(s) && shard_read_meta(s, at, &m, e);
        if (there && !strcmp(m.image, p->image) && !strcmp(m.pixel_hash, p->pixel_hash))
            continue;
        there = there && !strcmp(m.image, p->image);
        for (; !there && r < shard_n(s); r++) {
            ok = ok && shard_read_meta(s, r, &m, e);
            there = ok && !strcmp(m.image, p->image);
            at = r;
        }
        if (!ok)
            break;
        if (there) {
            add_fix(j, p->id, at, m.pixel_hash);
            j->res->mended++;
        } else {
            lose(j, p, "no shard holds it; run prepare again");
        }
    }
    shard_close(s);
    mem_free(path);
    return ok;
}

/* ---- one shard number ------------------------------------------------------------------------ */

static bool open_broken(job *j, err *e)
{
    const prepare_cfg *c = &j->crew.cfg;
    for (int i = 0; i < c->n_sizes; i++) {
        if (!j->broken[i])
            continue;
        char *path = prepare_shard_in(j->folder, c->h[i], c->w[i], j->number);
        j->out[i] = shard_create(path, c->h[i], c->w[i], e);
        mem_free(path);
        if (!j->out[i])
            return false;
    }
    return true;
}

static bool commit_broken(job *j, err *e)
{
    const prepare_cfg *c = &j->crew.cfg;
    catalog_shard made[PREPARE_SIZES];
    int n = 0;
    for (int i = 0; i < c->n_sizes; i++) {
        if (!j->out[i])
            continue;
        shard_writer *w = j->out[i];
        catalog_shard *k = &made[n++];
        *k = (catalog_shard){.number = j->number, .h = c->h[i], .w = c->w[i]};
        char *path = prepare_shard_in(j->folder, k->h, k->w, k->number), name[64];
        snprintf(name, sizeof name, "prep/%s/%dx%d/%05d.h5", j->id, k->h, k->w, k->number);
        j->out[i] = NULL;
        bool ok = prepare_commit_shard(w, path, j->provenance, k, e);
        mem_free(path);
        if (!ok)
            return false;
        kill_point("repair_after_shard");
        bool same = j->rec[i] && !strcmp(j->rec[i]->sha256, k->sha256);
        j->res->rebuilt++;
        j->res->changed += !same;
        say(j, name, "rebuilt",
            same        ? "the same bytes as before"
            : j->rec[i] ? "other bytes than before; run split again"
                        : "its bytes of before were not recorded");
    }
    return write_books(j, made, n, e);
}

/* Recorded, but every row that lay there was judged anew since. */
static bool forget_unused(job *j, err *e)
{
    bool ok = catalog_begin(j->cat, e);
    for (int i = 0; ok && i < j->crew.cfg.n_sizes; i++) {
        if (!j->broken[i] || !j->rec[i])
            continue;
        const catalog_shard *k = j->rec[i];
        char *path = prepare_shard_in(j->folder, k->h, k->w, k->number), name[64];
        snprintf(name, sizeof name, "prep/%s/%dx%d/%05d.h5", j->id, k->h, k->w, k->number);
        ok = catalog_drop_shard(j->cat, j->id, k, e);
        unlink(path);
        mem_free(path);
        j->res->removed++;
        say(j, name, "removed", "no row of the catalogue needs it");
    }
    return ok && catalog_commit(j->cat, e);
}

/* books: some size is sound, and rows of the catalogue disagree with it. */
static bool repair_number(job *j, int books, err *e)
{
    bool any = false, ok;
    int last = 0;
    j->written = j->n_fixes = 0;
    if (!catalog_shard_rows(j->cat, j->id, j->number, &j->place, &j->n_places, e))
        return false;
    for (int i = 0; i < j->crew.cfg.n_sizes; i++) {
        any = any || j->broken[i];
        if (j->rec[i] && j->rec[i]->n > last)
            last = (int)j->rec[i]->n;
    }
    j->limit =
        last > prepare_rows_per_shard(&j->crew.cfg) ? last : prepare_rows_per_shard(&j->crew.cfg);
    if (j->n_places == 0) {
        ok = forget_unused(j, e);
    } else if (books >= 0) { /* first the books; what is broken is seen again with them */
        ok = mend_rows(j, books, e) && write_books(j, NULL, 0, e);
        if (ok && any) {
            mem_free(j->place);
            j->place = NULL;
            return repair_number(j, -1, e);
        }
    } else {
        ok = open_broken(j, e) && render(j, e) && fill(j, last, e) && commit_broken(j, e);
    }
    for (int i = 0; i < PREPARE_SIZES; i++) {
        shard_discard(j->out[i]);
        j->out[i] = NULL;
    }
    mem_free(j->place);
    j->place = NULL;
    return ok;
}

/* ---- the store ------------------------------------------------------------------------------- */

static int size_of(const job *j, const store_check_finding *f)
{
    for (int i = 0; i < j->crew.cfg.n_sizes; i++)
        if (j->crew.cfg.h[i] == f->h && j->crew.cfg.w[i] == f->w)
            return i;
    return -1;
}

/* Everything that was found about shards, number by number. */
static bool repair_shards(job *j, const store_check *k, const catalog_shard *rec, int n_rec, err *e)
{
    for (int number = -1;;) {
        int next = INT32_MAX, books = -1;
        for (int i = 0; i < k->n; i++)
            if (k->finding[i].number > number && k->finding[i].number < next)
                next = k->finding[i].number;
        if (next == INT32_MAX)
            return true;
        j->number = number = next;
        memset(j->broken, 0, sizeof j->broken);
        memset(j->rec, 0, sizeof j->rec);
        for (int i = 0; i < k->n; i++) {
            int z = k->finding[i].number == number ? size_of(j, &k->finding[i]) : -1;
            if (z >= 0 && k->finding[i].sound)
                books = z;
            else if (z >= 0)
                j->broken[z] = true;
        }
        for (int i = 0; i < n_rec; i++)
            for (int z = 0; rec[i].number == number && z < j->crew.cfg.n_sizes; z++)
                if (rec[i].h == j->crew.cfg.h[z] && rec[i].w == j->crew.cfg.w[z])
                    j->rec[z] = &rec[i];
        if (!repair_number(j, books, e))
            return err_wrap(e, "repair: shard %05d", number);
    }
}

static bool remove_strangers(job *j, const store_check *k, err *e)
{
    for (int i = 0; i < k->n; i++) {
        const store_check_finding *f = &k->finding[i];
        if (f->fault != STORE_CHECK_ORPHAN && f->fault != STORE_CHECK_LEFTOVER)
            continue;
        char *path = fs_join(j->o->store, f->name);
        kill_point("repair_before_remove");
        bool ok = fs_remove_tree(path, e);
        mem_free(path);
        if (!ok)
            return false;
        j->res->removed++;
        say(j, f->name, "removed", f->why);
    }
    return true;
}

static bool repair_config(job *j, const store_check *k, err *e)
{
    for (int i = 0; i < k->n; i++) {
        if (k->finding[i].fault != STORE_CHECK_CONFIG)
            continue;
        char *path = fs_join(j->o->store, k->finding[i].name);
        unlink(path);
        mem_free(path);
        if (!fs_mkdirs(j->folder, e) || !prepare_write_yaml(j->folder, j->o->config, e))
            return false;
        say(j, k->finding[i].name, "rebuilt", k->finding[i].why);
    }
    for (int i = 0; i < j->crew.cfg.n_sizes; i++) {
        char name[32];
        snprintf(name, sizeof name, "%dx%d", j->crew.cfg.h[i], j->crew.cfg.w[i]);
        char *dir = fs_join(j->folder, name);
        bool ok = fs_mkdirs(dir, e);
        mem_free(dir);
        if (!ok)
            return false;
    }
    return true;
}

static bool note_unjudged(void *ctx, const catalog_line *line, err *e)
{
    (void)e;
    *(bool *)ctx = *(bool *)ctx || !line->prepared;
    return true;
}

/* flow.json and exclusions.csv are written when prepare has been through. */
static bool repair_books(job *j, err *e)
{
    bool unjudged = false;
    prepare_result r = {0};
    return catalog_outline(j->cat, j->id, note_unjudged, &unjudged, e) &&
           (unjudged || prepare_books(j->cat, j->o->store, j->id, &r, e));
}

static bool repair(job *j, err *e)
{
    store_check k = {0};
    catalog_shard *rec = NULL;
    int n_rec = 0, *number = NULL, n_numbers = 0;
    bool ok = catalog_shard_numbers(j->cat, j->id, &number, &n_numbers, e);
    if (ok && !n_numbers)
        ok = err_set(e, ERR_INPUT,
                     "repair: the catalogue knows no shard of prepare id %s; run prepare with this "
                     "config",
                     j->id);
    ok = ok && catalog_shards(j->cat, j->id, &rec, &n_rec, e) &&
         store_check_run(&k, j->cat, j->o->store, j->id, e) && repair_config(j, &k, e) &&
         repair_shards(j, &k, rec, n_rec, e) && remove_strangers(j, &k, e) &&
         store_check_record(&k, j->cat, e) && repair_books(j, e);
    store_check_release(&k);
    mem_free(rec);
    mem_free(number);
    return ok;
}

bool repair_run(const repair_opts *o, repair_result *out, err *e)
{
    job j = {.o = o, .res = out};
    memset(out, 0, sizeof *out);
    if (!fs_is_dir(o->store))
        return err_set(e, ERR_INPUT, "repair: the store is no folder");
    fs_lock *lock = fs_lock_take(o->store, e);
    if (!lock)
        return false;
    char relative[32];
    prepare_id(o->config, j.id);
    snprintf(relative, sizeof relative, "prep/%s", j.id);
    j.folder = fs_join(o->store, relative);
    j.pool = pool_new(o->threads);
    bool ok = prepare_crew_start(&j.crew, o->config, pool_threads(j.pool), e) &&
              (j.provenance = prepare_provenance(o->store, o->config, e)) &&
              (j.cat = catalog_open(o->store, true, e)) && repair(&j, e);
    prepare_crew_stop(&j.crew);
    pool_free(j.pool);
    catalog_close(j.cat);
    mem_free(j.fix);
    mem_free(j.folder);
    mem_free(j.provenance);
    fs_lock_release(lock);
    return ok;
}
