/* prepare: catalogue -> HDF5 shards of training-ready images; its parts, their merge, its plan. */
#include "cli/cmd.h"

#include "core/text.h"
#include "preprocess/audit.h"
#include "preprocess/prepare.h"

#include <inttypes.h>
#include <stdio.h>

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
    if (!audit_images(a, &images, e) || !prepare_sizes(a->config, &n, h, w, e) ||
        !prepare_run(&o, &r, e))
        return false;
    if (images && !audit_run(&(audit_opts){o.store, o.config, images, o.threads}, &q, e))
        return false;
    text sizes;
    text_init(&sizes);
    for (int i = 0; i < n; i++)
        text_addf(&sizes, "%s%dx%d", i ? ", " : "", h[i], w[i]);
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
    .usage = "prepare STORE -c CONFIG [--shard k/n] [--merge] [--audit N]",
    .summary = "decode, judge, window, orient, crop and resize the images",
    .help =
        "Takes every image of the catalogue through the technical exclusion table and the pixel "
        "pipeline,\nand writes the accepted ones as HDF5 shards below STORE/prep. Every file "
        "gets an outcome.\nKilled at any moment, the same command again continues and ends with "
        "the same bytes. With --shard\nk/n (k from 0) many machines share the work, each on its "
        "own part; --merge then packs what they\nmade into the shards that one machine would "
        "have written.",
    .fn = prepare,
    .opts = opts,
    .foreign_bytes = true,
    .min_words = 1,
    .max_words = 1,
};
