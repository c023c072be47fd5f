/* The plan of prepare (prepare_plan.h): counts from the catalogue, bytes from finished shards or
 * from the sample, time from the sample. */
#include "preprocess/prepare_plan.h"

#include <math.h>
#include <sys/statvfs.h>

#include "core/mem.h"
#include "core/pool.h"
#include "preprocess/prepare_work.h"
#include "preprocess/progress.h"

/* Compressed share of a u16 canvas where nothing was measured: mammograms on letterboxed canvases
 * of 256 to 2048 pixels lie between 0.2 and 0.5. */
#define PLAN_RATIO 0.4

typedef struct plan_job {
    prepare_plan *p;
    catalog *cat;
    catalog_group_visit *groups;
    void *ctx;
    double sum[PREPARE_SIZES], seconds; /* of the sample */
    int kept;
} plan_job;

static void count_group(void *ctx, const catalog_group *g)
{
    plan_job *j = ctx;
    j->p->todo += g->n;
    j->groups(j->ctx, g);
}

static bool count(plan_job *j, err *e)
{
    int64_t scan[REASON_COUNT], done[REASON_COUNT], kept = 0;
    prepare_plan *p = j->p;
    if (!catalog_todo(j->cat, p->config_id, count_group, j, e) ||
        !catalog_tally(j->cat, NULL, scan, e) || !catalog_tally(j->cat, p->config_id, done, e))
        return false;
    for (int r = 0; r < REASON_COUNT; r++) {
        p->files += scan[r];
        p->judged += r == REASON_IO_LOST ? 0 : done[r];
    }
    kept = done[REASON_NONE];
    p->unreadable = p->files - p->judged - p->todo;
    p->kept_share = 1;
    p->kept_from = "assumed";
    int64_t decoded = p->judged; /* those that scan gave up on were never decoded */
    for (int r = 1; r < REASON_COUNT; r++)
        decoded -= scan[r] < done[r] ? scan[r] : done[r];
    if (kept > 0 && decoded >= kept) {
        p->kept_share = (double)kept / (double)decoded;
        p->kept_from = "done";
    }
    return true;
}

/* Up to PREPARE_PLAN_SAMPLE readable images, evenly over what is to do. */
static bool sample(plan_job *j, const prepare_opts *o, err *e)
{
    prepare_plan *p = j->p;
    prepare_rows all, one;
    prepare_crew crew;
    prepare_done d;
    memset(&d, 0, sizeof d);
    memset(&crew, 0, sizeof crew);
    prepare_rows_init(&all, j->cat, p->config_id, 1);
    bool ok = prepare_rows_collect(&all, 0, 1, NULL, NULL, e) && prepare_rows_mounted(&all, e) &&
              prepare_crew_start(&crew, o->config, 1, e);
    /* the beginnings of 16 equal stretches, then the rows after them, until 16 were readable */
    int64_t stretch = (all.n + PREPARE_PLAN_SAMPLE - 1) / PREPARE_PLAN_SAMPLE;
    int64_t tries = PREPARE_PLAN_SAMPLE * (stretch < 4 ? stretch : 4);
    for (int64_t i = 0; ok && i < tries && p->sample < PREPARE_PLAN_SAMPLE; i++) {
        int64_t at = i % PREPARE_PLAN_SAMPLE * stretch + i / PREPARE_PLAN_SAMPLE;
        if (at >= all.n)
            continue;
        prepare_rows_init(&one, j->cat, p->config_id, 1);
        prepare_rows_add(&one, all.id[at]);
        ok = prepare_rows_load(&one, 1, e);
        const todo *t = prepare_rows_at(&one, 0);
        if (ok && t->scan_reason == REASON_NONE) {
            double from = progress_now();
            prepare_crew_work(&crew, 0, t, &d);
            j->seconds += progress_now() - from;
            p->sample++;
            j->kept += d.n_sizes > 0;
            for (int k = 0; k < d.n_sizes; k++)
                j->sum[k] += (double)d.image[k].len;
        }
        prepare_rows_release(&one);
        if (pool_stop_asked())
            ok = err_set(e, ERR_STOPPED, "prepare: stopped on request");
    }
    prepare_done_release(&d);
    prepare_crew_stop(&crew);
    prepare_rows_release(&all);
    return ok;
}

/* Bytes of one kept image: of finished shards, else of the sample, else a stated ratio. */
static bool size_up(plan_job *j, err *e)
{
    prepare_plan *p = j->p;
    catalog_shard *rec = NULL;
    int n = 0;
    if (!catalog_shards(j->cat, p->config_id, &rec, &n, e))
        return false;
    for (int i = 0; i < p->n_sizes; i++) {
        double bytes = 0, images = 0;
        for (int k = 0; k < n; k++)
            if (rec[k].h == p->h[i] && rec[k].w == p->w[i]) {
                bytes += (double)rec[k].bytes;
                images += (double)rec[k].n;
            }
        p->bytes_from[i] = images > 0 ? "done" : j->kept ? "sample" : "ratio";
        p->image_bytes[i] = images > 0 ? bytes / images
                            : j->kept  ? j->sum[i] / j->kept
                                       : PLAN_RATIO * 2.0 * p->h[i] * p->w[i];
        p->bytes += p->image_bytes[i] * p->kept_share * (double)p->todo;
    }
    mem_free(rec);
    return true;
}

bool prepare_plan_make(prepare_plan *p, const prepare_opts *o, catalog_group_visit *groups,
                       void *ctx, err *e)
{
    plan_job j = {.p = p, .groups = groups, .ctx = ctx};
    struct statvfs fs;
    memset(p, 0, sizeof *p);
    prepare_id(o->config, p->config_id);
    if (o->shard_n > 1 || o->merge || o->force)
        return err_set(e, ERR_USAGE,
                       "prepare: --dry-run plans what is left of the whole store; give it without "
                       "--shard, --merge and --force");
    if (!prepare_sizes(o->config, &p->n_sizes, p->h, p->w, e))
        return false;
    j.cat = catalog_open(o->store, false, e);
    bool ok = j.cat && count(&j, e) && (p->todo == 0 || sample(&j, o, e));
    if (ok && p->sample && strcmp(p->kept_from, "assumed") == 0) {
        p->kept_share = (double)j.kept / p->sample;
        p->kept_from = "sample";
    }
    ok = ok && size_up(&j, e);
    catalog_close(j.cat);
    if (!ok)
        return false;
    pool *threads = pool_new(o->threads);
    p->threads = pool_threads(threads);
    pool_free(threads);
    p->image_seconds = p->sample ? j.seconds / p->sample : NAN;
    p->cpu_hours = p->todo ? p->image_seconds * (double)p->todo / 3600 : 0;
    p->hours = p->cpu_hours / p->threads;
    if (statvfs(o->store, &fs) != 0)
        return err_errno(e, "prepare: cannot ask for the free space of the store");
    p->free_bytes = (double)fs.f_bavail * (double)fs.f_frsize;
    return true;
}
