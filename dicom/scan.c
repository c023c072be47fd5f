/* The walk over archives: one thread walks and writes the catalogue, isolated workers read headers.
 * Log lines carry counts and reason codes only: paths and values may identify a woman. */
#include "dicom/scan.h"

#include "core/fs.h"
#include "core/kill.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/worker.h"
#include "dicom/catalog.h"
#include "dicom/pixels.h"
#include "dicom/pseudo.h"
#include "dicom/walk.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SCAN_BATCH  4096 /* files between two walks of the pipe */
#define SCAN_COMMIT 8192 /* rows per transaction */
#define SCAN_FACTS  "3"  /* raise when record_read learns something: all headers are read again */
#define HASH_MAX    ((size_t)1 << 20)

static const cfg_option table[] = {
    {"scan.sidecar", CFG_TEXT, offsetof(scan_cfg, sidecar), "", 0, 0, NULL, "",
     "CSV with facts that the headers lack: file and any of patient_id, study_uid, exam_date, "
     "laterality, view, age, modality, manufacturer, row_mm, ... (docs/formats.md 1)"},
    {"scan.seconds", CFG_REAL, offsetof(scan_cfg, seconds), "20", 0.1, 3600, NULL, "s",
     "time limit for reading one header"},
    {"scan.memory_mib", CFG_INT, offsetof(scan_cfg, memory_mib), "512", 64, 65536, NULL, "MiB",
     "memory limit for reading one header"},
};
const cfg_group scan_options = {"Scan of archives", table, COUNT_OF(table)};

size_t scan_header_task(const void *data, size_t len, const void *arg, size_t arg_len, void *reply,
                        size_t reply_cap)
{
    scan_reply *r = reply;
    if (reply_cap < sizeof(*r))
        return 0;
    memset(r, 0, sizeof(*r));
    walk w;
    r->why = record_read_walk(data, len, &r->rec, &w);
    fs_xxh128_of(data, w.header_len < HASH_MAX ? w.header_len : HASH_MAX, r->header_hash);
    return sizeof(*r);
}

typedef struct entry {
    size_t path, relative; /* offsets in job.names */
    const char *bad;
    uint64_t size;
    int64_t mtime_ns;
} entry;

typedef struct job {
    const scan_opts *o;
    scan_cfg cfg;
    scan_result *res;
    catalog *cat;
    pseudo *keys;
    sidecar *side;
    pool *threads;
    worker **workers; /* one per thread */
    const char *root;
    char *store; /* absolute */
    int64_t run;
    catalog_met *met;
    text names; /* of the files in the batch */
    entry *batch;
    int n;
    int open_rows; /* rows written since the last commit */
    log_progress progress;
} job;

static bool step_commit(job *j, bool now, err *e)
{
    if (j->open_rows < (now ? 1 : SCAN_COMMIT))
        return true;
    j->open_rows = 0;
    kill_point("scan_before_commit");
    if (!catalog_commit(j->cat, e))
        return false;
    kill_point("scan_after_commit");
    return catalog_begin(j->cat, e);
}

/* One slot of the pipe: a message to a worker and its answers. */
typedef struct handful {
    scan_reply r[WORKER_BATCH];
} handful;

static const char *name_of(const job *j, size_t at)
{
    return j->names.s + at;
}

static reason reason_of(worker_result result)
{
    return result == WORKER_CRASH   ? REASON_DECODER_CRASH
           : result == WORKER_LIMIT ? REASON_DECODER_LIMIT
                                    : REASON_IO_UNREADABLE;
}

static void read_handful(void *ctx, int64_t i, void *item, int thread)
{
    const job *j = ctx;
    handful *h = item;
    const entry *f = &j->batch[i * WORKER_BATCH];
    int count = j->n - (int)i * WORKER_BATCH, n = 0;
    const char *paths[WORKER_BATCH] = {NULL};
    int at[WORKER_BATCH];
    worker_answer a[WORKER_BATCH];
    count = count < WORKER_BATCH ? count : WORKER_BATCH;
    for (int k = 0; k < count; k++) {
        memset(&h->r[k], 0, sizeof(h->r[k]));
        record_clear(&h->r[k].rec);
        h->r[k].why = REASON_IO_UNREADABLE;
        if (f[k].bad)
            continue;
        at[n] = k;
        paths[n++] = name_of(j, f[k].path);
    }
    worker_batch(j->workers[thread], SCAN_TASK, paths, n, a);
    for (int k = 0; k < n; k++) {
        scan_reply *r = &h->r[at[k]];
        if (a[k].result != WORKER_OK)
            r->why = reason_of(a[k].result);
        else if (a[k].len == sizeof(*r))
            memcpy(r, a[k].reply, sizeof(*r));
    }
}

static bool store_one(job *j, int i, scan_reply *r, err *e)
{
    const entry *f = &j->batch[i];
    const char *relative = name_of(j, f->relative);
    char patient[33], exam[33], image[33];
    if (j->side && !sidecar_apply(j->side, relative, &r->rec, e))
        return err_wrap(e, "sidecar");
    pseudo_patient(j->keys, r->rec.issuer, r->rec.patient_id, patient);
    pseudo_name(j->keys, "exam", r->rec.study_uid, exam);
    pseudo_name(j->keys, "image", r->rec.sop_uid, image);
    catalog_file row = {.root = j->root,
                        .path = relative,
                        .size = f->size,
                        .mtime_ns = f->mtime_ns,
                        .scan_reason = r->why,
                        .header_hash = r->header_hash,
                        .rec = &r->rec,
                        .patient = patient,
                        .exam = exam,
                        .image = image};
    if (!catalog_put(j->cat, &row, j->run, e))
        return false;
    *(r->why == REASON_NONE ? &j->res->candidates : &j->res->failed) += 1;
    j->open_rows++;
    log_progress_step(&j->progress, (uint64_t)j->res->seen - (uint64_t)(j->n - 1 - i), NULL);
    return step_commit(j, false, e);
}

static bool store_handful(void *ctx, int64_t i, void *item, err *e)
{
    job *j = ctx;
    handful *h = item;
    int first = (int)i * WORKER_BATCH;
    for (int k = 0; k < WORKER_BATCH && first + k < j->n; k++)
        if (!store_one(j, first + k, &h->r[k], e))
            return false;
    return true;
}

static bool flush_batch(job *j, err *e)
{
    bool ok = true;
    if (j->n > 0) {
        pool_pipe_spec s = {.n = (j->n + WORKER_BATCH - 1) / WORKER_BATCH,
                            .item_size = sizeof(handful),
                            .work = read_handful,
                            .sink = store_handful,
                            .ctx = j};
        ok = pool_pipe(j->threads, &s, e);
    }
    text_clear(&j->names);
    j->n = 0;
    return ok;
}

/* Dealt by a hash of the relative path, so that every machine agrees without talking. */
static bool mine(const scan_opts *o, const char *relative)
{
    char hash[33];
    if (o->shard_n <= 1)
        return true;
    fs_xxh128_of(relative, strlen(relative), hash);
    hash[8] = '\0';
    return (int)(strtoul(hash, NULL, 16) % (unsigned long)o->shard_n) == o->shard_k;
}

static bool inside(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool visit(void *ctx, const fs_entry *f, err *e)
{
    job *j = ctx;
    if (pool_stop_asked())
        return err_set(e, ERR_STOPPED, "scan stopped on request; the same command continues it");
    if (inside(f->path, j->store))
        return true;
    if (j->side)
        sidecar_meet(j->side, f->relative);
    if (!mine(j->o, f->relative))
        return true;
    j->res->seen++;
    bool known = false;
    reason why = REASON_NONE;
    catalog_file row = {
        .root = j->root, .path = f->relative, .size = f->size, .mtime_ns = f->mtime_ns};
    if (!f->bad && !catalog_known(j->cat, &row, j->met, &known, &why, e))
        return false;
    if (known) {
        j->res->unchanged++;
        *(why == REASON_NONE ? &j->res->candidates : &j->res->failed) += 1;
        log_progress_step(&j->progress, (uint64_t)j->res->seen, NULL);
        return true;
    }
    size_t at = j->names.len;
    text_addn(&j->names, f->path, strlen(f->path) + 1);
    j->batch[j->n++] = (entry){.path = at,
                               .relative = at + (size_t)(f->relative - f->path),
                               .bad = f->bad,
                               .size = f->size,
                               .mtime_ns = f->mtime_ns};
    return j->n < SCAN_BATCH || flush_batch(j, e);
}

/* The archive as an absolute path; for a single file, the folder that holds it. */
static char *absolute_root(const char *archive, int number, char **walked, bool *folder, err *e)
{
    char *real = realpath(archive, NULL);
    if (!real) {
        err_errno(e, "cannot open archive number %d", number);
        return NULL;
    }
    *walked = mem_strdup(real);
    free(real);
    *folder = fs_is_dir(*walked);
    char *root = mem_strdup(*walked);
    char *slash = strrchr(root, '/');
    if (!*folder && slash)
        slash[slash == root] = '\0';
    return root;
}

static bool scan_archive(job *j, int i, err *e)
{
    char *walked = NULL;
    bool folder = false;
    char *root = absolute_root(j->o->archive[i], i + 1, &walked, &folder, e);
    if (!root)
        return false;
    int64_t gone = 0;
    j->root = root;
    bool ok = fs_walk(walked, visit, j, e);
    /* what was read before the stop is worth keeping */
    err late = {0};
    bool flushed = flush_batch(j, ok ? e : &late);
    ok = flushed && ok;
    /* a lone file says nothing about its neighbours */
    if (ok && folder)
        ok = catalog_mark_gone(j->cat, root, j->run, j->met, &gone, e);
    j->open_rows++;
    if (!step_commit(j, true, ok ? e : &late))
        ok = false;
    if (ok && gone)
        log_warn("files_gone", "n=%lld", (long long)gone);
    mem_free(root);
    mem_free(walked);
    return ok;
}

/* Rows of before are trusted only if they were read by the same rules and the same sidecar. */
static bool check_rules(job *j, err *e)
{
    char sidecar_hash[65] = "";
    text rules, old;
    text_init(&rules);
    text_init(&old);
    bool ok = !j->cfg.sidecar[0] || fs_sha256_file(j->cfg.sidecar, sidecar_hash, e);
    text_addf(&rules, "facts " SCAN_FACTS " %s sidecar %s", pixels_libraries(), sidecar_hash);
    ok = ok && catalog_get_note(j->cat, "rules", &old, e);
    if (ok && strcmp(rules.s, old.s) != 0)
        ok = db_exec(catalog_db(j->cat), "UPDATE file SET header_hash = ''", e) &&
             catalog_set_note(j->cat, "rules", rules.s, e);
    text_release(&rules);
    text_release(&old);
    return ok;
}

static void close_job(job *j)
{
    for (int i = 0; j->workers && i < pool_threads(j->threads); i++)
        worker_free(j->workers[i]);
    mem_free(j->workers);
    pool_free(j->threads);
    sidecar_free(j->side);
    pseudo_free(j->keys);
    catalog_close(j->cat);
    catalog_met_free(j->met);
    text_release(&j->names);
    mem_free(j->batch);
    mem_free(j->store);
}

static bool open_job(job *j, err *e)
{
    const scan_opts *o = j->o;
    char name[64];
    snprintf(name, sizeof(name), o->shard_n > 1 ? "catalog-%d-of-%d.db" : "catalog.db", o->shard_k,
             o->shard_n);
    char *path = fs_join(o->store, name);
    j->cat = catalog_open_file(path, true, e);
    mem_free(path);
    char *real = j->cat ? realpath(o->store, NULL) : NULL;
    if (!real)
        return j->cat ? err_errno(e, "cannot open the store") : false;
    j->store = mem_strdup(real);
    free(real);
    if (!(j->keys = pseudo_open(o->store, true, e)))
        return false;
    if (j->cfg.sidecar[0] && !(j->side = sidecar_open(j->cfg.sidecar, e)))
        return false;
    j->threads = pool_new(o->threads);
    j->workers = MEM_ARRAY(worker *, pool_threads(j->threads));
    worker_limits limits = {j->cfg.seconds, (size_t)j->cfg.memory_mib << 20, sizeof(scan_reply)};
    for (int i = 0; i < pool_threads(j->threads); i++)
        j->workers[i] = worker_new_batch(&limits);
    j->batch = MEM_ARRAY(entry, SCAN_BATCH);
    j->met = catalog_met_new();
    return true;
}

/* A misspelt file name would leave its facts out in silence. */
static void tell_unmet(job *j)
{
    int line;
    j->res->unmet = sidecar_unmet(j->side, &line);
    if (j->res->unmet)
        log_warn("sidecar_rows_unused", "n=%lld first_line=%d why=\"no such file in the archive\"",
                 (long long)j->res->unmet, line);
}

static bool walk_archives(const scan_opts *o, const scan_cfg *c, scan_result *res, err *e)
{
    job j = {.o = o, .cfg = *c, .res = res};
    text_init(&j.names);
    bool ok = open_job(&j, e) && catalog_begin(j.cat, e) && check_rules(&j, e) &&
              catalog_next_run(j.cat, &j.run, e) && catalog_commit(j.cat, e) &&
              catalog_begin(j.cat, e);
    log_progress_init(&j.progress, "scan", "files", 0);
    for (int i = 0; ok && i < o->n_archives; i++)
        ok = scan_archive(&j, i, e);
    log_progress_end(&j.progress);
    if (ok && j.side)
        tell_unmet(&j);
    ok = ok && catalog_commit(j.cat, e) && (o->shard_n > 1 || catalog_index(j.cat, e));
    if (ok && !worker_sandboxed())
        log_warn("sandbox", "level=rlimits only: this kernel has no seccomp");
    close_job(&j);
    return ok;
}

/* ---- merge ----------------------------------------------------------------------------------- */

/* The shards in the store: all of one n, each k once. */
static bool find_shards(const char *store, int *n, err *e)
{
    DIR *d = opendir(store);
    if (!d)
        return err_errno(e, "cannot open the store");
    int found = 0, k, of, end;
    bool ok = true;
    *n = 0;
    for (struct dirent *f; ok && (f = readdir(d));) {
        end = 0;
        if (sscanf(f->d_name, "catalog-%d-of-%d.db%n", &k, &of, &end) != 2 || !end ||
            f->d_name[end] || k < 0 || k >= of)
            continue;
        if (*n && *n != of)
            ok = err_set(e, ERR_INPUT, "the store holds shards of two scans, %d-fold and %d-fold",
                         *n, of);
        *n = of;
        found++;
    }
    closedir(d);
    if (ok && !*n)
        ok = err_set(e, ERR_INPUT, "the store holds no catalog-k-of-n.db to merge");
    if (ok && found != *n)
        ok = err_set(e, ERR_INPUT, "only %d of %d shards are in the store; scan the others first",
                     found, *n);
    return ok;
}

static bool count_row(void *ctx, const catalog_row *row, err *e)
{
    scan_result *res = ctx;
    res->seen++;
    *(row->scan_reason == REASON_NONE ? &res->candidates : &res->failed) += 1;
    return true;
}

static bool merge(const scan_opts *o, scan_result *res, err *e)
{
    int n = 0;
    if (!find_shards(o->store, &n, e))
        return false;
    char *whole = fs_join(o->store, "catalog.db");
    catalog *c = catalog_open_file(whole, true, e);
    mem_free(whole);
    bool ok = c != NULL;
    for (int k = 0; ok && k < n; k++) {
        char name[64];
        snprintf(name, sizeof(name), "catalog-%d-of-%d.db", k, n);
        char *path = fs_join(o->store, name);
        ok = catalog_merge(c, path, e) || err_wrap(e, "%s", name);
        mem_free(path);
    }
    ok = ok && catalog_index(c, e) && catalog_each(c, NULL, count_row, res, e);
    catalog_close(c);
    return ok;
}

bool scan_run(const scan_opts *o, scan_result *out, err *e)
{
    scan_cfg c;
    memset(out, 0, sizeof(*out));
    if (o->shard_n > 1 && (o->shard_k < 0 || o->shard_k >= o->shard_n))
        return err_set(e, ERR_USAGE, "shard %d/%d: k counts from 0 to n-1", o->shard_k, o->shard_n);
    cfg_bind(o->config, &scan_options, &c);
    bool fresh = !fs_exists(o->store);
    if (!pixels_ready(e) || !fs_mkdirs(o->store, e))
        return false;
    /* shards of one scan share the store; each writes its own catalogue */
    fs_lock *lock = NULL;
    bool whole = !o->merge && o->shard_n <= 1;
    if ((o->merge || whole) && !(lock = fs_lock_take(o->store, e)))
        return false;
    bool ok = o->merge ? merge(o, out, e) : walk_archives(o, &c, out, e);
    if (ok && whole && !out->seen)
        ok = err_set(e, ERR_INPUT, "no file lies there; is the archive mounted?");
    err ignored = {0};
    if (!ok && whole && fresh && !out->seen && !fs_remove_tree(o->store, &ignored))
        log_warn("store_left", "reason=\"%s\"", ignored.msg);
    fs_lock_release(lock);
    if (ok)
        log_info("scan_done", "files=%lld candidates=%lld failed=%lld unchanged=%lld",
                 (long long)out->seen, (long long)out->candidates, (long long)out->failed,
                 (long long)out->unchanged);
    return ok;
}
