/* prepare: catalogue -> HDF5 shards of training-ready images; its parts, their merge, its plan. */
#include "cli/cmd.h"

#include "cli/idle.h"

#include "core/log.h"
#include "core/text.h"
#include "preprocess/audit.h"
#include "preprocess/prepare_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MIB (1024.0 * 1024.0)

static void print_part(const cmd_args *a, const prepare_opts *o, const prepare_result *r)
{
    cmd_result(a,
               json_pack("{s:i, s:i, s:I, s:I, s:I, s:I, s:s}", "part", o->shard_k, "parts",
                         o->shard_n, "seen", (json_int_t)r->seen, "kept", (json_int_t)r->kept,
                         "excluded", (json_int_t)r->excluded, "failed", (json_int_t)r->failed,
                         "prepare_id", r->config_id),
               "part %d/%d: %" PRId64 " files: %" PRId64 " kept, %" PRId64 " excluded, %" PRId64
               " failed (prepare id %s)\nnext, when all %d parts are done: mammovit prepare %s -c "
               "CONFIG --merge\n",
               o->shard_k, o->shard_n, r->seen, r->kept, r->excluded, r->failed, r->config_id,
               o->shard_n, o->store);
}

static void print_store(const cmd_args *a, const prepare_opts *o, const prepare_result *r,
                        const char *sizes, const audit_result *q)
{
    json_t *j = json_pack("{s:I, s:I, s:I, s:I, s:s}", "seen", (json_int_t)r->seen, "kept",
                          (json_int_t)r->kept, "excluded", (json_int_t)r->excluded, "failed",
                          (json_int_t)r->failed, "prepare_id", r->config_id);
    text sheets;
    text_init(&sheets);
    if (q) {
        json_object_set_new(j, "audit",
                            json_pack("{s:i, s:i, s:i}", "sheets", q->sheets, "pictures",
                                      q->pictures, "not_shown", q->left));
        text_addf(&sheets,
                  "%d contact sheets with %d pictures (%d more could not be shown): "
                  "%s/audit/%s/index.html\n",
                  q->sheets, q->pictures, q->left, o->store, r->config_id);
    }
    cmd_result(
        a, j,
        "%" PRId64 " files: %" PRId64 " kept, %" PRId64 " excluded, %" PRId64
        " failed (%s pixels, prepare id %s)\nreasons: %s/exclusions.csv, counts: %s/flow.json\n%s"
        "next: mammovit split %s --labels CLINICAL.csv -c CONFIG -o COHORT.h5\n",
        r->seen, r->kept, r->excluded, r->failed, sizes, r->config_id, o->store, o->store, sheets.s,
        o->store);
    text_release(&sheets);
}

/* 0: not asked for. */
static bool audit_images(const cmd_args *a, int *out, err *e)
{
    const char *word = cmd_value(a, "--audit");
    int64_t n = 0;
    if (word && (!text_i64(word, &n) || n < 1 || n > AUDIT_MAX))
        return err_set(e, ERR_USAGE, "--audit '%s': wanted 1..%d images per code", word, AUDIT_MAX);
    if (word && a->shard_n > 1)
        return err_set(e, ERR_USAGE, "--audit looks at a whole store; --shard makes a part of one");
    *out = (int)n;
    return true;
}

static void print_group(void *ctx, const catalog_group *g)
{
    cmd_result(ctx,
               json_pack("{s:o, s:I, s:I, s:I, s:I}", "transfer_syntax",
                         json_words(g->transfer_syntax), "rows", (json_int_t)g->rows, "cols",
                         (json_int_t)g->cols, "images", (json_int_t)g->n, "bytes",
                         (json_int_t)g->bytes),
               "%9" PRId64 " images of %" PRId64 "x%" PRId64 ", transfer syntax %s, %.1f MiB\n",
               g->n, g->rows, g->cols, g->transfer_syntax, (double)g->bytes / MIB);
}

static json_t *plan_json(const prepare_plan *p)
{
    json_t *sizes = json_array();
    for (int i = 0; i < p->n_sizes; i++)
        json_array_append_new(
            sizes, json_pack("{s:i, s:i, s:f, s:s, s:f}", "h", p->h[i], "w", p->w[i], "image_bytes",
                             p->image_bytes[i], "from", p->bytes_from[i], "bytes",
                             p->image_bytes[i] * p->kept_share * (double)p->todo));
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:s, s:o, s:f, s:f, s:i, s:o, s:o, s:o, s:i}",
                     "prepare_id", p->config_id, "files", (json_int_t)p->files, "judged",
                     (json_int_t)p->judged, "unreadable", (json_int_t)p->unreadable, "todo",
                     (json_int_t)p->todo, "kept_share", p->kept_share, "kept_from", p->kept_from,
                     "sizes", sizes, "bytes", p->bytes, "free_bytes", p->free_bytes, "sample",
                     p->sample, "image_seconds", json_num(p->image_seconds), "cpu_hours",
                     json_num(p->cpu_hours), "hours", json_num(p->hours), "threads", p->threads);
}

static bool plan(cmd_args *a, const prepare_opts *o, err *e)
{
    prepare_plan p;
    text t;
    if (!prepare_plan_make(&p, o, print_group, a, e))
        return false;
    text_init(&t);
    text_addf(&t,
              "%" PRId64 " files: %" PRId64 " judged before, %" PRId64
              " without a readable image, %" PRId64 " images to decode; nothing was stored\n",
              p.files, p.judged, p.unreadable, p.todo);
    text_addf(&t, "expected to be kept: %.0f %% (%s)\n", 100 * p.kept_share, p.kept_from);
    for (int i = 0; i < p.n_sizes; i++)
        text_addf(&t, "%dx%d: %.1f MiB of shards, %.0f bytes per image (%s)\n", p.h[i], p.w[i],
                  p.image_bytes[i] * p.kept_share * (double)p.todo / MIB, p.image_bytes[i],
                  p.bytes_from[i]);
    if (p.sample)
        text_addf(&t,
                  "time: %.2f s per image, from %d images decoded now but not stored: %.2f CPU "
                  "hours, %.2f hours at -j %d\n",
                  p.image_seconds, p.sample, p.cpu_hours, p.hours, p.threads);
    text_addf(&t, "disk: %.1f MiB wanted, %.1f MiB free\n", p.bytes / MIB, p.free_bytes / MIB);
    cmd_result(a, plan_json(&p), "%s", t.s);
    text_release(&t);
    if (p.bytes > p.free_bytes)
        log_warn("disk_space", "wanted_mib=%.0f free_mib=%.0f", p.bytes / MIB, p.free_bytes / MIB);
    return true;
}

/* A forgotten -c decodes the whole store once more, for the defaults: said before work starts. What
 * is wrong with the store is left to the stage. */
static void tell_defaults(const cmd_args *a, const prepare_opts *o)
{
    char id[17];
    text other;
    err e = {0};
    catalog *c = a->has_config ? NULL : catalog_open(o->store, false, &e);
    if (!c)
        return;
    text_init(&other);
    prepare_id(o->config, id);
    bool ok = catalog_next_config(c, "", &other, &e);
    if (ok && strcmp(other.s, id) == 0)
        ok = catalog_next_config(c, id, &other, &e);
    if (ok && other.len)
        log_warn("no_config",
                 "prepare_id=%s why=\"no -c was given, and the store holds the preparation %s of "
                 "another config; this one goes beside it, flow.json and exclusions.csv become "
                 "its own\"",
                 id, other.s);
    text_release(&other);
    catalog_close(c);
}

static bool prepare(cmd_args *a, err *e)
{
    prepare_result r = {0};
    prepare_opts o = {
        .store = a->word[0],
        .config = a->config,
        .threads = a->threads,
        .shard_k = a->shard_k,
        .shard_n = a->shard_n,
        .force = a->force,
        .merge = cmd_value(a, "--merge") != NULL,
    };
    int n, h[PREPARE_SIZES], w[PREPARE_SIZES], images = 0;
    audit_result q;
    tell_defaults(a, &o);
    idle_warn(a, "prepare");
    if (a->dry_run)
        return plan(a, &o, e);
    if (!audit_images(a, &images, e) || !prepare_sizes(a->config, &n, h, w, e) ||
        !prepare_run(&o, &r, e))
        return false;
    if (images && !audit_run(&(audit_opts){o.store, o.config, images, o.threads}, &q, e))
        return false;
    text sizes;
    text_init(&sizes);
    for (int i = 0; i < n; i++)
        text_addf(&sizes, "%s%dx%d", i ? ", " : "", h[i], w[i]);
    if (r.seen && !r.kept && o.shard_n <= 1)
        log_warn("nothing_kept",
                 "every image was left out; exclusions.csv says why (NO_SPACING: the "
                 "sidecar's row_mm, or another prepare.fit)");
    if (o.shard_n > 1)
        print_part(a, &o, &r);
    else
        print_store(a, &o, &r, sizes.s, images ? &q : NULL);
    text_release(&sizes);
    a->status = a->strict && r.failed ? 1 : 0;
    return true;
}

static const cmd_opt opts[] = {
    {"--audit", "N", "also contact sheets below STORE/audit: N images for every reason code"},
    {"--merge", NULL, "join the finished parts that --shard k/n left in the store"},
    {NULL, NULL, NULL},
};
const cmd cmd_prepare = {
    .verb = "prepare",
    .usage = "prepare STORE -c CONFIG [--shard k/n] [--merge] [--dry-run] [--audit N]",
    .summary = "decode, judge, window, orient, crop and resize the images",
    .help =
        "Takes every image of the catalogue through the technical exclusion table and the pixel "
        "pipeline,\nand writes the accepted ones as HDF5 shards below STORE/prep. Every file "
        "gets an outcome.\nKilled at any moment, the same command again continues and ends with "
        "the same bytes. With --shard\nk/n (k from 0) many machines share the work, each on its "
        "own part; --merge then packs what they\nmade into the shards that one machine would "
        "have written. --dry-run tells what is to do and what it takes.",
    .fn = prepare,
    .opts = opts,
    .foreign_bytes = true,
    .min_words = 1,
    .max_words = 1,
};
