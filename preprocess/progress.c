/* Progress files (progress.h). */
#include "preprocess/progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"

#define PROGRESS_EVERY_S 2.0

double progress_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static char *path_of(const char *store, const char *task)
{
    text t;
    text_init(&t);
    text_addf(&t, "%s/progress/%s.json", store, task);
    return text_take(&t);
}

/* A run goes on without its progress file. */
static void save(progress *p, double now, bool ended)
{
    double s = now - p->start;
    err e = {0};
    json_t *j = json_pack("{s:I, s:I, s:I, s:f, s:f, s:b}", "total", (json_int_t)p->total, "done",
                          (json_int_t)p->done, "failed", (json_int_t)p->failed, "seconds", s,
                          "per_second", s > 0 ? (double)p->done / s : 0.0, "ended", (int)ended);
    p->last = now;
    if (!p->broken && !json_write(p->path, j, false, &e)) {
        p->broken = true;
        log_warn("progress_file", "reason=\"%s\"", e.msg);
    }
    json_decref(j);
}

void progress_begin(progress *p, const char *store, const char *task, int64_t total)
{
    err e = {0};
    memset(p, 0, sizeof *p);
    p->path = path_of(store, task);
    p->total = total;
    p->start = progress_now();
    char *dir = fs_join(store, "progress");
    if (!fs_mkdirs(dir, &e)) {
        p->broken = true;
        log_warn("progress_file", "reason=\"%s\"", e.msg);
    }
    mem_free(dir);
    save(p, p->start, false);
}

void progress_step(progress *p, bool failed)
{
    double now = progress_now();
    p->done++;
    p->failed += failed;
    if (now - p->last >= PROGRESS_EVERY_S)
        save(p, now, false);
}

void progress_end(progress *p)
{
    if (!p->path)
        return;
    save(p, progress_now(), true);
    mem_free(p->path);
    p->path = NULL;
}

bool progress_read(const char *store, const char *task, progress_state *out)
{
    char *path = path_of(store, task);
    json_t *j = NULL;
    err e = {0};
    memset(out, 0, sizeof *out);
    bool ok =
        fs_exists(path) && json_read(path, &j, &e) && json_get_i64(j, "total", &out->total, &e) &&
        json_get_i64(j, "done", &out->done, &e) && json_get_i64(j, "failed", &out->failed, &e) &&
        json_get_f64(j, "seconds", &out->seconds, &e) &&
        json_get_f64(j, "per_second", &out->per_second, &e);
    out->ended = ok && json_is_true(json_object_get(j, "ended"));
    json_decref(j);
    mem_free(path);
    return ok;
}
