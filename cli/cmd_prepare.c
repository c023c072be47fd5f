/* prepare: catalogue -> HDF5 shards of training-ready images. */
#include "cli/cmd.h"

#include "preprocess/prepare.h"

#include <inttypes.h>
#include <stdio.h>

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
    };
    int n, h[PREPARE_SIZES], w[PREPARE_SIZES];
    if (!prepare_sizes(a->config, &n, h, w, e) || !prepare_run(&o, &r, e))
        return false;
    text sizes;
    text_init(&sizes);
    for (int i = 0; i < n; i++)
        text_addf(&sizes, "%s%dx%d", i ? ", " : "", h[i], w[i]);
    cmd_result(
        a,
        json_pack("{s:I, s:I, s:I, s:I, s:s}", "seen", (json_int_t)r.seen, "kept",
                  (json_int_t)r.kept, "excluded", (json_int_t)r.excluded, "failed",
                  (json_int_t)r.failed, "prepare_id", r.config_id),
        "%" PRId64 " files: %" PRId64 " kept, %" PRId64 " excluded, %" PRId64
        " failed (%s pixels, prepare id %s)\nreasons: %s/exclusions.csv, counts: %s/flow.json\n"
        "next: mammovit split %s --labels CLINICAL.csv -c CONFIG -o COHORT.h5\n",
        r.seen, r.kept, r.excluded, r.failed, sizes.s, r.config_id, o.store, o.store, o.store);
    text_release(&sizes);
    a->status = a->strict && r.failed ? 1 : 0;
    return true;
}

const cmd cmd_prepare = {
    .verb = "prepare",
    .usage = "prepare STORE -c CONFIG",
    .summary = "decode, judge, window, orient, crop and resize the images",
    .help =
        "Takes every image of the catalogue through the technical exclusion table and the pixel "
        "pipeline,\nand writes the accepted ones as HDF5 shards below STORE/prep. Every file "
        "gets an outcome.\nKilled at any moment, the same command again continues and ends with "
        "the same bytes.",
    .fn = prepare,
    .foreign_bytes = true,
    .min_words = 1,
    .max_words = 1,
};
