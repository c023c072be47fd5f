/* deid-check: no original identifier may be in what leaves the hospital. */
#include "cli/cmd.h"

#include "preprocess/deid.h"

#include <inttypes.h>
#include <stdio.h>

static void tell(void *ctx, const deid_hit *h)
{
    const cmd_args *a = ctx;
    char where[40] = "in its name, or in a value inside it";
    if (h->at >= 0)
        snprintf(where, sizeof where, "first at byte %" PRId64, h->at);
    cmd_result(a,
               json_pack("{s:o, s:s, s:I, s:I}", "file", json_words(h->file), "kind", h->kind,
                         "count", (json_int_t)h->count, "at", (json_int_t)h->at),
               "%s: %s, %" PRId64 " times, %s\n", h->file, h->kind, h->count, where);
}

static bool deid(cmd_args *a, err *e)
{
    deid_result r;
    if (!deid_check(a->word[0], a->word + 1, a->n_words - 1, tell, a, &r, e))
        return false;
    cmd_result(a,
               json_pack("{s:I, s:I, s:I, s:I, s:I, s:b}", "identifiers", (json_int_t)r.identifiers,
                         "too_short", (json_int_t)r.too_short, "files", (json_int_t)r.files,
                         "bytes", (json_int_t)r.bytes, "hits", (json_int_t)r.hits, "key_known",
                         (int)r.key_known),
               "%" PRId64 " identifiers looked for in %" PRId64 " files (%.1f MiB): %s\n"
               "not looked for: %" PRId64 " values too short to be told from other words; names, "
               "which the store does not hold%s\n",
               r.identifiers, r.files, (double)r.bytes / 1048576,
               r.hits ? "some were FOUND, see above" : "none was found", r.too_short,
               r.key_known ? "" : "; the key, which is kept elsewhere");
    return !r.hits || err_set(e, ERR_MISMATCH,
                              "original identifiers were found; nothing of this "
                              "may leave the hospital");
}

const cmd cmd_deid_check = {
    .verb = "deid-check",
    .usage = "deid-check STORE PATH...",
    .summary = "search files that are to leave for original identifiers",
    .help = "Takes every identifier that STORE knows (UIDs, patient, accession and issuer, exam "
            "dates, names\nof image files) and its key, and searches the given files and folders "
            "for them: every byte, and\nthe values inside HDF5 files. Prints where something was "
            "found and what "
            "kind it is, never the value. Exit 6\nwhen something was found. Pixels and the "
            "compressed parts of PNG and PDF are not looked into.",
    .fn = deid,
    .min_words = 2,
    .max_words = CMD_WORDS,
};
