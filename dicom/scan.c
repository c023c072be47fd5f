/* The walk over archives: one thread walks and writes the catalogue, isolated workers read headers.
 * Log lines carry counts and reason codes only: paths and values may identify a woman. */
#include "dicom/scan.h"

#include "core/fs.h"
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
#define SCAN_COMMIT 512  /* rows per transaction */
#define SCAN_FACTS  "2"  /* raise when record_read learns something: all headers are read again */
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
    r->why = record_read(data, len, &r->rec);
    walk w;
    walk_file(data, len, &w);
    fs_xxh128_of(data, w.header_len < HASH_MAX ? w.header_len : HASH_MAX, r->header_hash);
    return sizeof(*r);
}

typedef struct entry {
    char *path, *relative; /* owned */
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
    return catalog_commit(j->cat, e) && catalog_begin(j->cat, e);
}

static void read_one(void *ctx, int64_t i, void *item, int thread)
{
    const job *j = ctx;
    scan_reply *r = item;
    const entry *f = &j->batch[i];
    const void *reply;
    size_t len;
    memset(r, 0, sizeof(*r));
    record_clear(&r->rec);
    r->why = REASON_IO_UNREADABLE;
    if (f->bad)
        return;
    switch (worker_call(j->workers[thread], SCAN_TASK, f->path, NULL, 0, NULL, 0, &reply, &len)) {
    case WORKER_OK:
        if (len == sizeof(*r))
            memcpy(r, reply, sizeof(*r));
        return;
    case WORKER_CRASH:
        r->why = REASON_DECODER_CRASH;
        return;
    case WORKER_LIMIT:
        r->why = REASON_DECODER_LIMIT;
        return;
    case WORKER_IO:
        return;
    }
}

static bool store_one(void *ctx, int64_t i, void *item, err *e)
{
    job *j = ctx;
    scan_reply *r = item;
    const entry *f = &j->batch[i];
    char patient[33], exam[33], image[33];
    if (j->side && !sidecar_apply(j->side, f->relative, &r->rec, e))
        return err_wrap(e, "sidecar");
    pseudo_patient(j->keys, r->rec.issuer, r->rec.patient_id, patient);
    pseudo_name(j->keys, "exam", r->rec.study_uid, exam);
    pseudo_name(j->keys, "image", r->rec.sop_uid, image);
    catalog_file row = {.root = j->root,
                        .path = f->relative,
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

static bool flush_batch(job *j, err *e)
{
    bool ok = true;
    if (j->n > 0) {
        pool_pipe_spec s = {.n = j->n,
                            .item_size = sizeof(scan_reply),
                            .work = read_one,
                            .sink = store_one,
                            .ctx = j};
        ok = pool_pipe(j->threads, &s, e);
    }
    for (int i = 0; i < j->n; i++) {
        mem_free(j->batch[i].path);
        mem_free(j->batch[i].relative);
    }
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
    if (!mine(j->o, f->relative) || inside(f->path, j->store))
        return true;
    j->res->seen++;
    bool known = false;
    reason why = REASON_NONE;
    catalog_file row = {
        .root = j->root, .path = f->relative, .size = f->size, .mtime_ns = f->mtime_ns};
    if (!f->bad && !catalog_known(j->cat, &row, j->run, &known, &why, e))
        return false;
    if (known) {
        j->res->unchanged++;
        *(why == REASON_NONE ? &j->res->candidates : &j->res->failed) += 1;
        j->open_rows++;
        return step_commit(j, false, e);
    }
    j->batch[j->n++] = (entry){.path = mem_strdup(f->path),
                               .relative = mem_strdup(f->relative),
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
        ok = catalog_mark_gone(j->cat, root, j->run, &gone, e);
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
        j->workers[i] = worker_new(&limits);
    j->batch = MEM_ARRAY(entry, SCAN_BATCH);
    return true;
}

static bool walk_archives(const scan_opts *o, const scan_cfg *c, scan_result *res, err *e)
{
    job j = {.o = o, .cfg = *c, .res = res};
    bool ok = open_job(&j, e) && catalog_begin(j.cat, e) && check_rules(&j, e) &&
              catalog_next_run(j.cat, &j.run, e) && catalog_commit(j.cat, e) &&
              catalog_begin(j.cat, e);
    log_progress_init(&j.progress, "scan", "files", 0);
    for (int i = 0; ok && i < o->n_archives; i++)
        ok = scan_archive(&j, i, e);
    log_progress_end(&j.progress);
    if (ok)
        ok = catalog_commit(j.cat, e);
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
    catalog *c = catalog_open(o->store, true, e);
    bool ok = c != NULL;
    for (int k = 0; ok && k < n; k++) {
        char name[64];
        snprintf(name, sizeof(name), "catalog-%d-of-%d.db", k, n);
        char *path = fs_join(o->store, name);
        ok = catalog_merge(c, path, e) || err_wrap(e, "%s", name);
        mem_free(path);
    }
    ok = ok && catalog_each(c, NULL, count_row, res, e);
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
    if (!pixels_ready(e) || !fs_mkdirs(o->store, e))
        return false;
    /* shards of one scan share the store; each writes its own catalogue */
    fs_lock *lock = NULL;
    if ((o->merge || o->shard_n <= 1) && !(lock = fs_lock_take(o->store, e)))
        return false;
    bool ok = o->merge ? merge(o, out, e) : walk_archives(o, &c, out, e);
    fs_lock_release(lock);
    if (ok && !o->merge && o->shard_n <= 1 && !out->seen)
        ok = err_set(e, ERR_INPUT, "no file lies there; is the archive mounted?");
    if (ok)
        log_info("scan_done", "files=%lld candidates=%lld failed=%lld unchanged=%lld",
                 (long long)out->seen, (long long)out->candidates, (long long)out->failed,
                 (long long)out->unchanged);
    return ok;
}
