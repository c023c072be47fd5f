/* prepare, the stage: catalogue rows in, shards and verdicts out. Isolated workers judge and
 * render, pool threads compress, one thread (the sink) writes. Rows are taken in the catalogue's
 * order and a shard ends after a number of images that depends on the configuration only, so the
 * bytes do not depend on the number of threads or on where an earlier run stopped: what is not yet
 * in the catalogue is done again. Order of a commit: shard files, then one transaction with their
 * rows and hashes. A part (part.h) is the same with another folder and another table of outcomes;
 * the merge is the same with parts in the place of workers. */
#include <stdio.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/kill.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"
#include "dicom/catalog.h"
#include "preprocess/part.h"
#include "preprocess/prepare_books.h"
#include "preprocess/prepare_stage.h"
#include "preprocess/prepare_work.h"
#include "preprocess/progress.h"

#define FLUSH_ROWS 4096 /* excluded rows written without a shard once this many wait */

typedef struct stage {
    const prepare_opts *o;
    prepare_crew crew;
    prepare_cfg cfg;
    pool *pool;
    char id[17], *folder; /* STORE/prep/<id>, or that of the part */
    char *provenance;
    catalog *cat;
    part *part; /* outcomes go there; NULL = into the catalogue */
    prepare_rows rows;
    shard_writer *out[PREPARE_SIZES];
    catalog_shard made[PREPARE_SIZES]; /* committed, not yet recorded */
    int n_made;
    int shard; /* number of the next or open shard */
    int shard_rows, rows_per_shard;
    part_outcome *wait; /* for the next transaction */
    int64_t n_wait, cap_wait;
    log_progress line;
    progress state;
} stage;

static bool is_part(const stage *s)
{
    return s->o->shard_n > 1;
}

/* ---- writing --------------------------------------------------------------------------------- */

static bool record_one(stage *s, const part_outcome *v, err *e)
{
    if (s->part)
        return part_put(s->part, v, e);
    catalog_row r;
    memset(&r, 0, sizeof r);
    r.id = v->file;
    r.primary = v->primary;
    r.reasons = v->reasons;
    r.prepared = true;
    r.shard = v->shard;
    r.shard_row = v->shard_row;
    memcpy(r.file_hash, v->file_hash, sizeof r.file_hash);
    memcpy(r.pixel_hash, v->pixel_hash, sizeof r.pixel_hash);
    return catalog_set_prepared(s->cat, s->id, &r, e);
}

static bool record_all(stage *s, err *e)
{
    for (int i = 0; i < s->n_made; i++)
        if (!(s->part ? part_put_shard(s->part, &s->made[i], e)
                      : catalog_put_shard(s->cat, s->id, &s->made[i], e)))
            return false;
    for (int64_t i = 0; i < s->n_wait; i++) {
        if (!record_one(s, &s->wait[i], e))
            return false;
        kill_point("prepare_in_db");
    }
    return true;
}

static bool write_verdicts(stage *s, err *e)
{
    kill_point("prepare_before_db");
    bool ok = (s->part ? part_begin(s->part, e) : catalog_begin(s->cat, e)) && record_all(s, e) &&
              (s->part ? part_commit(s->part, e) : catalog_commit(s->cat, e));
    if (!ok)
        return err_wrap(e, "prepare");
    kill_point("prepare_after_db");
    s->n_wait = 0;
    s->n_made = 0;
    return true;
}

static char *shard_path(const stage *s, int size)
{
    return prepare_shard_in(s->folder, s->cfg.h[size], s->cfg.w[size], s->shard);
}

/* Finish the open shard of every size, then record the rows that wait. */
static bool commit(stage *s, err *e)
{
    for (int i = 0; i < s->cfg.n_sizes && s->shard_rows; i++) {
        shard_writer *w = s->out[i];
        catalog_shard *k = &s->made[s->n_made++];
        *k = (catalog_shard){.number = s->shard, .h = s->cfg.h[i], .w = s->cfg.w[i]};
        char *path = shard_path(s, i);
        s->out[i] = NULL;
        kill_point("prepare_before_shard");
        bool ok = prepare_commit_shard(w, path, s->provenance, k, e);
        mem_free(path);
        if (!ok)
            return err_wrap(e, "prepare");
        kill_point("prepare_after_shard");
    }
    if (s->n_wait && !write_verdicts(s, e))
        return false;
    s->shard += s->shard_rows > 0;
    s->shard_rows = 0;
    return true;
}

static bool open_shards(stage *s, err *e)
{
    for (int i = 0; i < s->cfg.n_sizes; i++) {
        char *path = shard_path(s, i);
        s->out[i] = shard_create(path, s->cfg.h[i], s->cfg.w[i], e);
        mem_free(path);
        if (!s->out[i])
            return err_wrap(e, "prepare");
    }
    return true;
}

static bool append(stage *s, const prepare_done *d, err *e)
{
    if (!s->shard_rows && !open_shards(s, e))
        return false;
    for (int i = 0; i < d->n_sizes; i++)
        if (!prepare_done_append(d, i, s->out[i], e))
            return err_wrap(e, "prepare");
    s->shard_rows++;
    kill_point("prepare_mid_shard");
    return true;
}

static part_outcome *next_outcome(stage *s)
{
    if (s->n_wait == s->cap_wait) {
        int64_t cap = s->cap_wait ? s->cap_wait * 2 : 256;
        s->wait = mem_realloc(s->wait, (size_t)s->cap_wait * sizeof *s->wait,
                              (size_t)cap * sizeof *s->wait);
        s->cap_wait = cap;
    }
    part_outcome *v = &s->wait[s->n_wait++];
    memset(v, 0, sizeof *v);
    return v;
}

/* One judged row, in order. The next row to come is read here: this thread owns the catalogue. */
static bool sink(void *ctx, int64_t i, void *slot, err *e)
{
    stage *s = ctx;
    prepare_done *d = slot;
    const todo *t = prepare_rows_at(&s->rows, i);
    part_outcome *v = next_outcome(s);
    v->file = t->id;
    memcpy(v->facts, t->facts, sizeof v->facts);
    v->primary = d->primary;
    v->reasons = d->reasons;
    v->shard = v->shard_row = -1;
    memcpy(v->file_hash, d->file_hash, sizeof v->file_hash);
    memcpy(v->pixel_hash, d->pixel_hash, sizeof v->pixel_hash);
    if (d->primary == REASON_NONE) {
        v->shard = s->shard;
        v->shard_row = s->shard_rows;
        if (!append(s, d, e))
            return false;
    }
    bool full = s->shard_rows == s->rows_per_shard;
    bool idle = s->shard_rows == 0 && s->n_wait >= FLUSH_ROWS;
    if (((full || idle) && !commit(s, e)) || !prepare_rows_load(&s->rows, i + 1 + s->rows.ahead, e))
        return false;
    progress_step(&s->state, prepare_failed(d->primary));
    log_progress_step(&s->line, (uint64_t)(i + 1), NULL);
    if (pool_stop_asked())
        return err_set(e, ERR_STOPPED,
                       "prepare: stopped on request; the same command continues from the last "
                       "finished shard");
    return true;
}

static void work(void *ctx, int64_t i, void *slot, int thread)
{
    stage *s = ctx;
    prepare_crew_work(&s->crew, thread, prepare_rows_at(&s->rows, i), slot);
}

static void drop(void *ctx, void *slot)
{
    (void)ctx;
    prepare_done_release(slot);
}

/* ---- the stage ------------------------------------------------------------------------------- */

/* --force: what the books say of old shards goes first, so that a run killed in between finds
 * nothing done. A part keeps its folder, where its lock lies. */
static bool forget_all(stage *s, err *e)
{
    static const char *const own[] = {"outcomes.db", "outcomes.db-wal", "outcomes.db-shm"};
    if (!is_part(s))
        return catalog_begin(s->cat, e) && catalog_forget_prepared(s->cat, s->id, e) &&
               catalog_commit(s->cat, e) && fs_remove_tree(s->folder, e);
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        char *path = fs_join(s->folder, own[i]);
        bool ok = fs_remove_tree(path, e);
        mem_free(path);
        if (!ok)
            return false;
    }
    return true;
}

static bool make_folders(stage *s, err *e)
{
    s->folder = is_part(s) ? part_folder(s->o->store, s->id, s->o->shard_k, s->o->shard_n) : NULL;
    if (!s->folder) {
        text t;
        text_init(&t);
        text_addf(&t, "%s/prep/%s", s->o->store, s->id);
        s->folder = text_take(&t);
    }
    if (s->o->force && !forget_all(s, e))
        return false;
    for (int i = 0; i < s->cfg.n_sizes; i++) {
        char name[32];
        snprintf(name, sizeof name, "%dx%d", s->cfg.h[i], s->cfg.w[i]);
        char *dir = fs_join(s->folder, name);
        bool ok = fs_mkdirs(dir, e);
        mem_free(dir);
        if (!ok)
            return false;
    }
    return prepare_write_yaml(s->folder, s->o->config, e);
}

/* The first free number. Every shard that the books name must be there: a number taken twice would
 * give old rows new pixels. */
static bool find_number(stage *s, err *e)
{
    int *number = NULL, n = 0;
    catalog_shard *k = NULL;
    bool ok = s->part ? part_shards(s->part, &k, &n, e)
                      : catalog_shard_numbers(s->cat, s->id, &number, &n, e);
    for (int i = 0; ok && i < n; i++)
        for (int z = 0; ok && z < s->cfg.n_sizes; z++) {
            s->shard = k ? k[i].number : number[i];
            char *path = shard_path(s, z);
            if (!fs_exists(path))
                ok = err_set(e, ERR_MISMATCH,
                             "shard %dx%d/%05d.h5 is in the catalogue but not in the store; %s",
                             s->cfg.h[z], s->cfg.w[z], s->shard,
                             s->part ? "--force makes this part again"
                                     : "mammovit repair makes it again");
            mem_free(path);
        }
    s->shard += n > 0;
    mem_free(number);
    mem_free(k);
    return ok;
}

/* Shards that no row names: left by a run that was stopped for good before its transaction. */
static void remove_orphans(stage *s)
{
    for (int i = 0; i < s->cfg.n_sizes; i++)
        for (int k = s->shard;; k++) {
            char *path = prepare_shard_in(s->folder, s->cfg.h[i], s->cfg.w[i], k);
            text t;
            text_init(&t);
            text_addf(&t, "%s.partial", path);
            bool there = fs_exists(path) || fs_exists(t.s);
            unlink(path);
            unlink(t.s);
            text_release(&t);
            mem_free(path);
            if (!there)
                break;
        }
}

static bool run_pipe(stage *s, err *e)
{
    pool_pipe_spec spec = {.n = s->rows.n,
                           .depth = s->rows.ahead - 1,
                           .item_size = sizeof(prepare_done),
                           .work = work,
                           .sink = sink,
                           .ctx = s,
                           .drop = drop};
    return prepare_crew_start(&s->crew, s->o->config, pool_threads(s->pool), e) &&
           pool_pipe(s->pool, &spec, e) && commit(s, e);
}

/* The rows in the same order through the same sink, with what the parts found out. */
static bool run_join(stage *s, err *e)
{
    part_join *j = part_join_open(s->o->store, s->id, &s->cfg, e);
    prepare_done d;
    memset(&d, 0, sizeof d);
    bool ok = j != NULL;
    for (int64_t i = 0; ok && i < s->rows.n; i++)
        ok = part_join_take(j, prepare_rows_at(&s->rows, i), &d, e) && sink(s, i, &d, e);
    ok = ok && commit(s, e);
    prepare_done_release(&d);
    part_join_close(j);
    return ok;
}

static bool run_rows(stage *s, err *e)
{
    char task[64];
    if (is_part(s))
        snprintf(task, sizeof task, "%s-%d-of-%d", s->id, s->o->shard_k, s->o->shard_n);
    else
        text_copy(task, sizeof task, s->id);
    log_progress_init(&s->line, s->o->merge ? "merge" : "prepare", "images", (uint64_t)s->rows.n);
    progress_begin(&s->state, s->o->store, task, s->rows.n);
    bool ok = prepare_rows_load(&s->rows, s->rows.ahead, e) &&
              (s->o->merge ? run_join(s, e) : run_pipe(s, e));
    progress_end(&s->state);
    log_progress_end(&s->line);
    return ok;
}

/* The parts vanish under another name at once, so that a merge that is killed here does not find
 * some of them. */
static bool remove_parts(stage *s, err *e)
{
    char *home = part_home(s->o->store, s->id);
    text gone;
    text_init(&gone);
    text_addf(&gone, "%s.partial", home);
    kill_point("merge_before_remove");
    bool ok = fs_remove_tree(gone.s, e);
    if (ok && fs_exists(home) && rename(home, gone.s) != 0)
        ok = err_errno(e, "cannot move the merged parts away");
    kill_point("merge_inside_remove");
    ok = ok && fs_remove_tree(gone.s, e);
    text_release(&gone);
    mem_free(home);
    return ok;
}

static bool known(void *ctx, const catalog_line *line, bool *skip, err *e)
{
    stage *s = ctx;
    part_outcome o;
    bool found;
    if (!part_find(s->part, line->id, &found, &o, e))
        return false;
    *skip = found && strcmp(o.facts, line->facts) == 0;
    return true;
}

static bool run_part(stage *s, prepare_result *out, err *e)
{
    part_counts c;
    s->part = part_open(s->folder, true, e);
    if (!s->part || !find_number(s, e) ||
        !prepare_rows_collect(&s->rows, s->o->shard_k, s->o->shard_n, known, s, e) ||
        !part_count(s->part, &c, e) ||
        !part_set_total(s->part, c.kept + c.excluded + c.failed + s->rows.n, e))
        return false;
    if (s->rows.n && (!prepare_rows_mounted(&s->rows, e) || !run_rows(s, e)))
        return false;
    remove_orphans(s);
    if (!part_set_finished(s->part, e) || !part_count(s->part, &c, e))
        return false;
    out->kept = c.kept;
    out->excluded = c.excluded;
    out->failed = c.failed;
    out->seen = c.kept + c.excluded + c.failed;
    return true;
}

static bool run_store(stage *s, prepare_result *out, err *e)
{
    if (!find_number(s, e) || !prepare_rows_collect(&s->rows, 0, 1, NULL, NULL, e))
        return false;
    if (s->rows.seen == 0)
        return err_set(e, ERR_INPUT, "prepare: the catalogue is empty; run 'mammovit scan' first");
    if (s->rows.n && ((!s->o->merge && !prepare_rows_mounted(&s->rows, e)) || !run_rows(s, e)))
        return false;
    remove_orphans(s);
    return prepare_books(s->cat, s->o->store, s->id, out, e) &&
           (!s->o->merge || remove_parts(s, e));
}

static bool run(stage *s, prepare_result *out, err *e)
{
    s->rows_per_shard = prepare_rows_per_shard(&s->cfg);
    s->provenance = prepare_provenance(s->o->store, s->o->config, e);
    s->cat = s->provenance ? catalog_open(s->o->store, !is_part(s), e) : NULL;
    if (!s->cat || !make_folders(s, e))
        return false;
    s->pool = pool_new(s->o->threads);
    prepare_rows_init(&s->rows, s->cat, s->id, 2 * pool_threads(s->pool) + 3);
    return is_part(s) ? run_part(s, out, e) : run_store(s, out, e);
}

static void stage_release(stage *s)
{
    for (int i = 0; i < PREPARE_SIZES; i++)
        shard_discard(s->out[i]);
    prepare_crew_stop(&s->crew);
    prepare_rows_release(&s->rows);
    pool_free(s->pool);
    part_close(s->part);
    catalog_close(s->cat);
    mem_free(s->wait);
    mem_free(s->folder);
    mem_free(s->provenance);
}

/* A part locks its own folder: the others and a look at the store go on beside it. */
static fs_lock *take_lock(const stage *s, err *e)
{
    if (!is_part(s))
        return fs_lock_take(s->o->store, e);
    char *dir = part_folder(s->o->store, s->id, s->o->shard_k, s->o->shard_n);
    fs_lock *l = fs_mkdirs(dir, e) ? fs_lock_take(dir, e) : NULL;
    mem_free(dir);
    return l;
}

bool prepare_run(const prepare_opts *o, prepare_result *out, err *e)
{
    stage s;
    memset(&s, 0, sizeof s);
    memset(out, 0, sizeof *out);
    s.o = o;
    if (o->merge && o->shard_n > 1)
        return err_set(e, ERR_USAGE, "prepare: --merge joins all parts; give it without --shard");
    if (o->merge && o->force)
        return err_set(e, ERR_USAGE, "prepare: --merge adds what is missing; it takes no --force");
    if (!prepare_bind(o->config, &s.cfg, e))
        return false;
    prepare_id(o->config, s.id);
    memcpy(out->config_id, s.id, sizeof out->config_id);
    if (!fs_is_dir(o->store))
        return err_set(e, ERR_INPUT, "prepare: the store is no folder; run 'mammovit scan' first");
    fs_lock *lock = take_lock(&s, e);
    if (!lock)
        return false;
    bool ok = run(&s, out, e);
    stage_release(&s);
    fs_lock_release(lock);
    return ok;
}
