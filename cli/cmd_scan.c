/* scan: archives -> STORE/catalog.db. */
#include "cli/cmd.h"

#include "dicom/scan.h"

#include <inttypes.h>
#include <stdio.h>

static bool scan(cmd_args *a, err *e)
{
    scan_result r = {0};
    scan_opts o = {
        .archive = a->word,
        .n_archives = a->n_words,
        .store = a->out,
        .config = a->config,
        .threads = a->threads,
        .shard_k = a->shard_k,
        .shard_n = a->shard_n,
        .merge = cmd_value(a, "--merge") != NULL,
    };
    if (!cmd_need_out(a, "the store to write, such as -o store", e))
        return false;
    if (!o.merge && !o.n_archives)
        return err_set(e, ERR_USAGE, "no archive given; usage: mammovit %s", cmd_scan.usage);
    if (!scan_run(&o, &r, e))
        return false;
    char unmet[80] = "";
    if (r.unmet)
        snprintf(unmet, sizeof unmet, "rows of the sidecar about no file here: %" PRId64 "\n",
                 r.unmet);
    cmd_result(a,
               json_pack("{s:I, s:I, s:I, s:I, s:I}", "seen", (json_int_t)r.seen, "candidates",
                         (json_int_t)r.candidates, "failed", (json_int_t)r.failed, "unchanged",
                         (json_int_t)r.unchanged, "sidecar_unused", (json_int_t)r.unmet),
               "%" PRId64 " files: %" PRId64 " images to judge, %" PRId64
               " without a readable image (%" PRId64 " known from before)\n"
               "%snext: mammovit prepare %s -c CONFIG\n",
               r.seen, r.candidates, r.failed, r.unchanged, unmet, a->out);
    a->status = a->strict && r.failed ? 1 : 0;
    return true;
}

static const cmd_opt opts[] = {
    {"--merge", NULL, "join the catalogues that --shard runs left in the store"},
    {NULL, NULL, NULL},
};
const cmd cmd_scan = {
    .verb = "scan",
    .usage = "scan ARCHIVE... -o STORE [--shard k/n] [--merge]",
    .summary = "read every header of an archive into a catalogue",
    .help =
        "Walks folders or files, reads each header in an isolated process, and writes one row "
        "per\nfile into STORE/catalog.db: its facts, or why it cannot be read. Makes STORE/key, "
        "the key of\nall pseudonyms, at the first call. The same command again reads only what "
        "is new.\nFacts missing in the headers come from --set scan.sidecar=FILE.csv.",
    .fn = scan,
    .opts = opts,
    .foreign_bytes = true,
    .min_words = 0,
    .max_words = -1,
};
