/* repair: make again what verify finds broken in a store. */
#include "cli/cmd.h"

#include "preprocess/prepare.h"
#include "preprocess/repair.h"

static void print_done(void *ctx, const char *what, const char *done, const char *why)
{
    cmd_result(ctx,
               json_pack("{s:o, s:s, s:o}", "what", json_words(what), "done", done, "why",
                         json_words(why)),
               "%s: %s: %s\n", what, done, why);
}

static bool repair(cmd_args *a, err *e)
{
    repair_result r = {0};
    char id[17];
    repair_opts o = {.store = a->word[0],
                     .config = a->config,
                     .threads = a->threads,
                     .say = print_done,
                     .ctx = a};
    if (cmd_kind_of(o.store) != CMD_STORE)
        return err_set(e, ERR_INPUT, "'%s' is no store", o.store);
    if (!repair_run(&o, &r, e))
        return false;
    prepare_id(a->config, id);
    cmd_result(a,
               json_pack("{s:s, s:i, s:i, s:i, s:i, s:i}", "prepare_id", id, "rebuilt", r.rebuilt,
                         "changed", r.changed, "removed", r.removed, "mended", r.mended, "lost",
                         r.lost),
               "prepare id %s: %d shards rebuilt (%d with other bytes), %d files removed, %d rows "
               "mended, %d rows lost\n",
               id, r.rebuilt, r.changed, r.removed, r.mended, r.lost);
    if (r.lost || r.changed)
        return err_set(
            e, ERR_MISMATCH, "%d rows are lost, %d shards have other bytes than before%s", r.lost,
            r.changed, r.lost ? "; run scan, then prepare, which takes those rows again" : "");
    return true;
}

const cmd cmd_repair = {
    .verb = "repair",
    .usage = "repair STORE -c CONFIG",
    .summary = "make again what is broken in a store, and nothing else",
    .help = "Checks the preparation of this config as verify does. Missing and damaged shards are "
            "rendered from\nthe archive to the bytes that were recorded, what does not belong is "
            "removed, sound files are not\ntouched. A row whose file is gone or has changed is "
            "named, gets the outcome IO_LOST, and prepare\ntakes it again. Exit 6 when rows were "
            "lost or a shard has other bytes than before.",
    .fn = repair,
    .foreign_bytes = true,
    .min_words = 1,
    .max_words = 1,
};
