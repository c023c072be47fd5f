/* prepare, the stage: catalogue rows in, shards and verdicts out. Isolated workers judge and
 * render, pool threads compress, one thread (the sink) writes. Rows are taken in the catalogue's
 * order and a shard ends after a number of images that depends on the configuration only, so the
 * bytes do not depend on the number of threads or on where an earlier run stopped: what is not yet
 * in the catalogue is done again. Order of a commit: shard files, then one transaction with their
 * rows. */
#include <errno.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/kill.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/worker.h"
#include "dicom/catalog.h"
#include "dicom/pixels.h"
#include "dicom/pseudo.h"
#include "preprocess/prepare_books.h"
#include "preprocess/prepare_cfg.h"
#include "preprocess/shard.h"

#define FLUSH_ROWS 4096 /* excluded rows written without a shard once this many wait */

typedef struct todo { /* one row of the catalogue that has no verdict under this config */
    int64_t id;
    int root;   /* index into stage.roots */
    char *path; /* owned */
    char patient[33], exam[33], image[33];
    reason scan_reason;
    record *facts; /* owned until the work is done; NULL for rows scan gave up on */
} todo;

typedef struct done { /* one slot of the pipe */
    prepared p;
    void *chunk[PREPARE_SIZES];
    size_t len[PREPARE_SIZES];
} done;

typedef struct verdict { /* waits for the next transaction */
    int64_t row;         /* index into stage.row */
    reason primary;
    reason_set reasons;
    char file_hash[33], pixel_hash[33];
    int shard, shard_row;
} verdict;

typedef struct stage {
    const prepare_opts *o;
    prepare_cfg cfg;
    char id[17], *folder; /* STORE/prep/<id> */
    text yaml;
    char *provenance;
    catalog *cat;
    char **roots;
    int n_roots;
    todo *row;
    int64_t n, cap;
    int64_t seen, judged;
    worker **worker;
    int n_workers;
    shard_writer *out[PREPARE_SIZES];
    int shard; /* number of the next or open shard */
    int shard_rows, rows_per_shard;
    verdict *wait;
    int64_t n_wait, cap_wait;
    log_progress progress;
} stage;

/* ---- what is to do --------------------------------------------------------------------------- */

static int root_index(stage *s, const char *root)
{
    for (int i = s->n_roots - 1; i >= 0; i--)
        if (strcmp(s->roots[i], root) == 0)
            return i;
    s->roots = mem_realloc(s->roots, (size_t)s->n_roots * sizeof *s->roots,
                           ((size_t)s->n_roots + 1) * sizeof *s->roots);
    s->roots[s->n_roots] = mem_strdup(root);
    return s->n_roots++;
}

static bool collect(void *ctx, const catalog_row *r, err *e)
{
    stage *s = ctx;
    (void)e;
    s->seen++;
    if (r->prepared && !s->o->force) {
        s->judged++;
        if (r->shard >= s->shard)
            s->shard = r->shard + 1;
        return true;
    }
    if (s->n == s->cap) {
        int64_t cap = s->cap ? s->cap * 2 : 1024;
        s->row = mem_realloc(s->row, (size_t)s->cap * sizeof *s->row, (size_t)cap * sizeof *s->row);
        s->cap = cap;
    }
    todo *t = &s->row[s->n++];
    memset(t, 0, sizeof *t);
    t->id = r->id;
    t->root = root_index(s, r->root);
    t->path = mem_strdup(r->path);
    text_copy(t->patient, sizeof t->patient, r->patient);
    text_copy(t->exam, sizeof t->exam, r->exam);
    text_copy(t->image, sizeof t->image, r->image);
    t->scan_reason = r->scan_reason;
    if (r->scan_reason == REASON_NONE) {
        t->facts = mem_alloc(sizeof *t->facts);
        *t->facts = r->rec;
    }
    return true;
}

/* An archive that is not mounted must not turn its files into unreadable ones. */
static bool check_roots(const stage *s, err *e)
{
    for (int i = 0; i < s->n_roots; i++)
        if (!fs_exists(s->roots[i]))
            return err_set(e, ERR_IO,
                           "archive folder %d of %d of this catalogue is not there now; mount it "
                           "and run the same command again",
                           i + 1, s->n_roots);
    return true;
}

static bool check_shards(const stage *s, err *e)
{
    for (int k = 0; k < s->shard; k++)
        for (int i = 0; i < s->cfg.n_sizes; i++) {
            char *path = prepare_shard_path(s->o->store, s->id, s->cfg.h[i], s->cfg.w[i], k);
            bool there = fs_exists(path);
            mem_free(path);
            if (!there)
                return err_set(e, ERR_MISMATCH,
                               "shard %dx%d/%05d.h5 is in the catalogue but not in the store; "
                               "--force prepares everything again",
                               s->cfg.h[i], s->cfg.w[i], k);
        }
    return true;
}

/* ---- workers --------------------------------------------------------------------------------- */

static bool is_hex(const char *s, size_t cap, bool empty_ok)
{
    size_t n = strnlen(s, cap);
    if (n == cap || (n == 0 && !empty_ok))
        return false;
    return strspn(s, "0123456789abcdef") == n;
}

/* The reply comes from a process that read foreign bytes: believe nothing. */
static bool reply_ok(const stage *s, const prepared *p, size_t len)
{
    if ((unsigned)p->primary >= REASON_COUNT || !is_hex(p->file_hash, 33, false) ||
        !is_hex(p->pixel_hash, 33, true))
        return false;
    if (p->primary != REASON_NONE)
        return p->n_sizes == 0;
    if (p->n_sizes != s->cfg.n_sizes || !p->pixel_hash[0])
        return false;
    for (int i = 0; i < p->n_sizes; i++) {
        size_t bytes = (size_t)s->cfg.h[i] * (size_t)s->cfg.w[i] * 2;
        if (p->h[i] != s->cfg.h[i] || p->w[i] != s->cfg.w[i] || p->image_at[i] % 2 ||
            p->image_at[i] < sizeof *p || p->image_at[i] > len || len - p->image_at[i] < bytes)
            return false;
    }
    return true;
}

static void set_reason(prepared *p, reason why)
{
    memset(p, 0, sizeof *p);
    p->primary = why;
    reason_add(&p->reasons, why);
}

static void done_clear(done *d)
{
    for (int i = 0; i < PREPARE_SIZES; i++) {
        mem_free(d->chunk[i]);
        d->chunk[i] = NULL;
    }
}

static void drop(void *ctx, void *slot)
{
    (void)ctx;
    done_clear(slot);
}

static void work(void *ctx, int64_t i, void *slot, int thread)
{
    stage *s = ctx;
    todo *t = &s->row[i];
    done *d = slot;
    done_clear(d);
    if (t->scan_reason != REASON_NONE) {
        set_reason(&d->p, t->scan_reason);
        return;
    }
    size_t arg_len, len = 0;
    const void *reply = NULL;
    void *arg = prepare_request(s->o->config, t->facts, &arg_len);
    const char *root = s->roots[t->root];
    char *path = fs_is_dir(root) ? fs_join(root, t->path) : mem_strdup(root);
    worker_result got =
        worker_call(s->worker[thread], PREPARE_TASK, path, NULL, 0, arg, arg_len, &reply, &len);
    mem_free(path);
    mem_free(arg);
    mem_free(t->facts);
    t->facts = NULL;
    switch (got) {
    case WORKER_CRASH:
        set_reason(&d->p, REASON_DECODER_CRASH);
        return;
    case WORKER_LIMIT:
        set_reason(&d->p, REASON_DECODER_LIMIT);
        return;
    case WORKER_IO:
        set_reason(&d->p, REASON_IO_UNREADABLE);
        return;
    case WORKER_OK:
        break;
    }
    if (len < sizeof d->p) {
        set_reason(&d->p, REASON_DECODER_CRASH);
        return;
    }
    memcpy(&d->p, reply, sizeof d->p);
    if (!reply_ok(s, &d->p, len)) {
        set_reason(&d->p, REASON_DECODER_CRASH);
        return;
    }
    for (int k = 0; k < d->p.n_sizes; k++)
        d->chunk[k] = shard_compress((const uint16_t *)((const char *)reply + d->p.image_at[k]),
                                     d->p.h[k], d->p.w[k], &d->len[k]);
}

static bool start_workers(stage *s, err *e)
{
    worker_limits limits = {s->cfg.seconds, (size_t)s->cfg.memory_mib << 20,
                            prepare_reply_cap(s->o->config)};
    s->worker = MEM_ARRAY(worker *, s->n_workers);
    for (int i = 0; i < s->n_workers; i++) {
        s->worker[i] = worker_new(&limits);
        if (!s->worker[i])
            return err_set(e, ERR_IO, "prepare: cannot start an isolated worker");
    }
    return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

static bool write_verdicts(stage *s, err *e)
{
    kill_point("prepare_before_db");
    if (!catalog_begin(s->cat, e))
        return false;
    for (int64_t i = 0; i < s->n_wait; i++) {
        const verdict *v = &s->wait[i];
        catalog_row r;
        memset(&r, 0, sizeof r);
        r.id = s->row[v->row].id;
        r.primary = v->primary;
        r.reasons = v->reasons;
        r.prepared = true;
        r.shard = v->shard;
        r.shard_row = v->shard_row;
        memcpy(r.file_hash, v->file_hash, sizeof r.file_hash);
        memcpy(r.pixel_hash, v->pixel_hash, sizeof r.pixel_hash);
        if (!catalog_set_prepared(s->cat, s->id, &r, e))
            return err_wrap(e, "prepare");
        kill_point("prepare_in_db");
    }
    if (!catalog_commit(s->cat, e))
        return false;
    kill_point("prepare_after_db");
    s->n_wait = 0;
    return true;
}

/* Finish the open shard of every size, then record the rows that wait. */
static bool commit(stage *s, err *e)
{
    char sha[65];
    for (int i = 0; i < s->cfg.n_sizes && s->shard_rows; i++) {
        shard_writer *w = s->out[i];
        s->out[i] = NULL;
        kill_point("prepare_before_shard");
        if (!shard_commit(w, s->provenance, sha, e))
            return err_wrap(e, "prepare");
        kill_point("prepare_after_shard");
        log_debug("shard_written", "size=%dx%d number=%d rows=%d sha256=%s", s->cfg.h[i],
                  s->cfg.w[i], s->shard, s->shard_rows, sha);
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
        char *path = prepare_shard_path(s->o->store, s->id, s->cfg.h[i], s->cfg.w[i], s->shard);
        s->out[i] = shard_create(path, s->cfg.h[i], s->cfg.w[i], e);
        mem_free(path);
        if (!s->out[i])
            return err_wrap(e, "prepare");
    }
    return true;
}

static bool append(stage *s, const todo *t, const done *d, err *e)
{
    const prepared *p = &d->p;
    if (!s->shard_rows && !open_shards(s, e))
        return false;
    for (int i = 0; i < p->n_sizes; i++) {
        shard_meta m;
        memset(&m, 0, sizeof m);
        memcpy(m.image, t->image, sizeof m.image);
        memcpy(m.exam, t->exam, sizeof m.exam);
        memcpy(m.patient, t->patient, sizeof m.patient);
        memcpy(m.pixel_hash, p->pixel_hash, sizeof m.pixel_hash);
        memcpy(m.affine, p->affine[i], sizeof m.affine);
        memcpy(m.reasons, p->reasons.bits, sizeof m.reasons);
        m.side = p->rec.side;
        m.view = p->rec.view == VIEW_CC ? 'C' : p->rec.view == VIEW_MLO ? 'M' : 0;
        m.mm_per_px = (float)p->mm_per_px[i];
        m.proc_flags = p->proc_flags;
        m.breast_pixels = p->breast_pixels[i];
        m.sum_all = p->sum_all[i];
        m.sumsq_all = p->sumsq_all[i];
        m.sum_breast = p->sum_breast[i];
        m.sumsq_breast = p->sumsq_breast[i];
        if (!shard_append(s->out[i], d->chunk[i], d->len[i], &m, e))
            return err_wrap(e, "prepare");
    }
    s->shard_rows++;
    kill_point("prepare_mid_shard");
    return true;
}

static bool sink(void *ctx, int64_t i, void *slot, err *e)
{
    stage *s = ctx;
    done *d = slot;
    todo *t = &s->row[i];
    if (s->n_wait == s->cap_wait) {
        int64_t cap = s->cap_wait ? s->cap_wait * 2 : 256;
        s->wait = mem_realloc(s->wait, (size_t)s->cap_wait * sizeof *s->wait,
                              (size_t)cap * sizeof *s->wait);
        s->cap_wait = cap;
    }
    verdict *v = &s->wait[s->n_wait++];
    memset(v, 0, sizeof *v);
    v->row = i;
    v->primary = d->p.primary;
    v->reasons = d->p.reasons;
    v->shard = v->shard_row = -1;
    memcpy(v->file_hash, d->p.file_hash, sizeof v->file_hash);
    memcpy(v->pixel_hash, d->p.pixel_hash, sizeof v->pixel_hash);
    if (d->p.primary == REASON_NONE) {
        v->shard = s->shard;
        v->shard_row = s->shard_rows;
        if (!append(s, t, d, e))
            return false;
    }
    done_clear(d);
    mem_free(t->path);
    t->path = NULL;
    bool full = s->shard_rows == s->rows_per_shard;
    bool idle = s->shard_rows == 0 && s->n_wait >= FLUSH_ROWS;
    if ((full || idle) && !commit(s, e))
        return false;
    log_progress_step(&s->progress, (uint64_t)(s->judged + i + 1), NULL);
    if (pool_stop_asked())
        return err_set(e, ERR_STOPPED,
                       "prepare: stopped on request; the same command continues from the last "
                       "finished shard");
    return true;
}

/* ---- the stage ------------------------------------------------------------------------------- */

static bool write_yaml(const stage *s, err *e)
{
    char *path = fs_join(s->folder, "prepare.yaml");
    bool ok = fs_exists(path) || fs_write(path, s->yaml.s, s->yaml.len, e);
    mem_free(path);
    return ok;
}

static bool make_folders(stage *s, err *e)
{
    text t;
    text_init(&t);
    text_addf(&t, "%s/prep/%s", s->o->store, s->id);
    s->folder = text_take(&t);
    if (s->o->force && !fs_remove_tree(s->folder, e))
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
    return write_yaml(s, e);
}

/* What every shard says about its making; nothing of when or where. */
static bool make_provenance(stage *s, err *e)
{
    char key[17];
    pseudo *p = pseudo_open(s->o->store, false, e);
    if (!p)
        return false;
    pseudo_key_id(p, key);
    pseudo_free(p);
    json_t *j = json_pack("{s:s,s:s,s:s,s:s}", "prepare_id", s->id, "prepare", s->yaml.s, "key_id",
                          key, "decoder", pixels_libraries());
    if (!j)
        BUG("prepare: provenance");
    text t;
    text_init(&t);
    json_write_text(j, false, &t);
    json_decref(j);
    s->provenance = text_take(&t);
    return true;
}

/* Shards that no row names: left by a run that was stopped for good before its transaction. */
static void remove_orphans(const stage *s)
{
    for (int i = 0; i < s->cfg.n_sizes; i++)
        for (int k = s->shard;; k++) {
            char *path = prepare_shard_path(s->o->store, s->id, s->cfg.h[i], s->cfg.w[i], k);
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

static void count_rows(stage *s)
{
    int64_t largest = 0;
    for (int i = 0; i < s->cfg.n_sizes; i++) {
        int64_t bytes = (int64_t)s->cfg.h[i] * s->cfg.w[i] * 2;
        largest = bytes > largest ? bytes : largest;
    }
    int64_t rows = (s->cfg.shard_mib << 20) / largest;
    s->rows_per_shard = rows < 1 ? 1 : rows > 1000000 ? 1000000 : (int)rows;
}

static bool run_pipe(stage *s, err *e)
{
    pool *p = pool_new(s->o->threads);
    s->n_workers = pool_threads(p);
    pool_pipe_spec spec = {
        .n = s->n, .item_size = sizeof(done), .work = work, .sink = sink, .ctx = s, .drop = drop};
    log_progress_init(&s->progress, "prepare", "images", (uint64_t)s->seen);
    bool ok = start_workers(s, e) && pool_pipe(p, &spec, e) && commit(s, e);
    log_progress_end(&s->progress);
    pool_free(p);
    return ok;
}

static bool run(stage *s, prepare_result *out, err *e)
{
    count_rows(s);
    prepare_yaml(s->o->config, &s->yaml);
    s->cat = catalog_open(s->o->store, true, e);
    if (!s->cat || !make_provenance(s, e))
        return false;
    if (!make_folders(s, e) || !catalog_each(s->cat, s->id, collect, s, e))
        return false;
    if (s->seen == 0)
        return err_set(e, ERR_INPUT, "prepare: the catalogue is empty; run 'mammovit scan' first");
    if (!check_shards(s, e))
        return false;
    if (s->n && (!check_roots(s, e) || !run_pipe(s, e)))
        return false;
    remove_orphans(s);
    return prepare_books(s->cat, s->o->store, s->id, out, e);
}

static void stage_release(stage *s)
{
    for (int i = 0; i < PREPARE_SIZES; i++)
        shard_discard(s->out[i]);
    for (int i = 0; s->worker && i < s->n_workers; i++)
        worker_free(s->worker[i]);
    for (int64_t i = 0; i < s->n; i++) {
        mem_free(s->row[i].path);
        mem_free(s->row[i].facts);
    }
    for (int i = 0; i < s->n_roots; i++)
        mem_free(s->roots[i]);
    catalog_close(s->cat);
    text_release(&s->yaml);
    mem_free(s->worker);
    mem_free(s->row);
    mem_free(s->roots);
    mem_free(s->wait);
    mem_free(s->folder);
    mem_free(s->provenance);
}

bool prepare_run(const prepare_opts *o, prepare_result *out, err *e)
{
    stage s;
    memset(&s, 0, sizeof s);
    memset(out, 0, sizeof *out);
    s.o = o;
    if (o->shard_n > 1)
        return err_set(e, ERR_USAGE, "prepare: --shard is not available for this verb");
    if (!prepare_bind(o->config, &s.cfg, e))
        return false;
    prepare_id(o->config, s.id);
    memcpy(out->config_id, s.id, sizeof out->config_id);
    if (!fs_is_dir(o->store))
        return err_set(e, ERR_INPUT, "prepare: the store is no folder; run 'mammovit scan' first");
    fs_lock *lock = fs_lock_take(o->store, e);
    if (!lock)
        return false;
    text_init(&s.yaml);
    bool ok = run(&s, out, e);
    stage_release(&s);
    fs_lock_release(lock);
    return ok;
}
