/* Counts come from the catalogues, rates from the progress files (store_status.h). */
#include "preprocess/store_status.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>

#include "core/fs.h"
#include "core/mem.h"
#include "preprocess/part.h"
#include "preprocess/progress.h"

typedef struct status {
    catalog *cat;
    const char *store;
    store_status_visit *fn;
    void *ctx;
    int64_t files; /* of the catalogue */
} status;

static void add_rate(const status *s, store_status *t)
{
    char task[64];
    progress_state p;
    t->per_second = t->eta_seconds = NAN;
    if (t->n > 1)
        snprintf(task, sizeof task, "%s-%d-of-%d", t->id, t->k, t->n);
    else
        text_copy(task, sizeof task, t->id);
    if (!progress_read(s->store, task, &p) || p.done == 0)
        return;
    /* rows are recorded with their shard: those of an open one are work done, not yet on the books
     */
    t->started = true;
    t->session_done = p.done;
    t->session_total = p.total;
    t->per_second = p.per_second;
    if (t->left >= 0 && p.per_second > 0) {
        int64_t left = p.ended || p.total - p.done > t->left ? t->left : p.total - p.done;
        t->eta_seconds = (double)left / p.per_second;
    }
}

static void add_counts(store_status *t, const int64_t by_reason[REASON_COUNT])
{
    for (int r = 0; r < REASON_COUNT; r++) {
        if (t->id[0] && r == REASON_IO_LOST)
            continue; /* to be done again */
        t->done += by_reason[r];
        t->failed += t->id[0] ? (prepare_failed((reason)r) ? by_reason[r] : 0)
                              : (r != REASON_NONE ? by_reason[r] : 0);
    }
}

static bool scan_of(const status *s, catalog *c, int k, int n, err *e)
{
    int64_t by_reason[REASON_COUNT];
    store_status t = {.task = "scan", .k = k, .n = n, .started = true, .left = -1};
    t.per_second = t.eta_seconds = NAN;
    if (!catalog_tally(c, NULL, by_reason, e))
        return false;
    add_counts(&t, by_reason);
    s->fn(s->ctx, &t);
    return true;
}

/* catalog-k-of-n.db, by k */
static bool scan_parts(const status *s, err *e)
{
    int n = 0, k, of, end;
    DIR *d = opendir(s->store);
    for (struct dirent *f; d && (f = readdir(d));) {
        end = 0;
        if (sscanf(f->d_name, "catalog-%d-of-%d.db%n", &k, &of, &end) == 2 && end &&
            !f->d_name[end] && of > n)
            n = of;
    }
    if (d)
        closedir(d);
    bool ok = true;
    for (k = 0; ok && k < n; k++) {
        char name[64];
        snprintf(name, sizeof name, "catalog-%d-of-%d.db", k, n);
        char *path = fs_join(s->store, name);
        if (fs_exists(path)) {
            catalog *c = catalog_open_file(path, false, e);
            ok = c && scan_of(s, c, k, n, e);
            catalog_close(c);
        } else {
            store_status t = {.task = "scan", .k = k, .n = n, .left = -1};
            t.per_second = t.eta_seconds = NAN;
            s->fn(s->ctx, &t);
        }
        mem_free(path);
    }
    return ok;
}

static bool prepare_part(const status *s, const char *id, int k, int n, bool there, err *e)
{
    store_status t = {.task = "prepare", .k = k, .n = n, .left = -1};
    text_copy(t.id, sizeof t.id, id);
    char *folder = part_folder(s->store, id, k, n), *file = fs_join(folder, "outcomes.db");
    bool ok = true;
    if (there && fs_exists(file)) {
        part_counts c = {0};
        part *p = part_open(folder, false, e);
        ok = p && part_count(p, &c, e);
        part_close(p);
        t.started = true;
        t.done = c.kept + c.excluded + c.failed;
        t.failed = c.failed;
        t.left = c.finished ? 0 : c.total > 0 ? c.total - t.done : -1;
    }
    mem_free(file);
    mem_free(folder);
    if (!ok)
        return false;
    add_rate(s, &t);
    s->fn(s->ctx, &t);
    return true;
}

static bool preparation(const status *s, const char *id, err *e)
{
    int64_t by_reason[REASON_COUNT];
    store_status t = {.task = "prepare", .n = 1};
    bool *there = NULL;
    int n = 0;
    text_copy(t.id, sizeof t.id, id);
    if (!catalog_tally(s->cat, id, by_reason, e))
        return false;
    add_counts(&t, by_reason);
    t.left = s->files - t.done;
    t.started = t.done > 0;
    add_rate(s, &t);
    s->fn(s->ctx, &t);
    bool ok = part_list(s->store, id, &n, &there, e);
    for (int k = 0; ok && k < n; k++)
        ok = prepare_part(s, id, k, n, there[k], e);
    mem_free(there);
    return ok;
}

bool store_status_each(catalog *c, const char *store, const char *id, store_status_visit *fn,
                       void *ctx, err *e)
{
    status s = {.cat = c, .store = store, .fn = fn, .ctx = ctx, .files = catalog_count(c)};
    bool named = false;
    text next;
    if (s.files < 0)
        return err_set(e, ERR_INPUT, "the catalogue cannot be read");
    text_init(&next);
    bool ok = scan_of(&s, c, 0, 1, e) && scan_parts(&s, e) && catalog_next_config(c, "", &next, e);
    while (ok && next.len) {
        char *now = text_take(&next);
        named = named || strcmp(now, id) == 0;
        ok = preparation(&s, now, e) && catalog_next_config(c, now, &next, e);
        mem_free(now);
    }
    text_release(&next);
    return ok && (named || preparation(&s, id, e));
}
