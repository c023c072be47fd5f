/* demo-archive: a synthetic screening archive to try everything on. */
#include "cli/cmd.h"

#include "core/text.h"
#include "dicom/synth.h"

#include <stdio.h>

static bool demo_archive(cmd_args *a, err *e)
{
    run_cfg rc;
    int64_t patients = 300;
    cfg_bind(a->config, &run_options, &rc);
    const char *n = cmd_value(a, "--patients");
    if (n && (!text_i64(n, &patients) || patients < 1 || patients > 1000000))
        return err_set(e, ERR_USAGE, "--patients '%s': wanted 1..1000000", n);
    synth_opts o = {
        .dir = a->word[0],
        .patients = (int)patients,
        .seed = (uint64_t)rc.seed,
        .threads = a->threads,
        .force = a->force,
    };
    if (!synth_write(&o, e))
        return false;
    cmd_result(
        a, json_pack("{s:o, s:I}", "dir", json_words(o.dir), "patients", (json_int_t)o.patients),
        "archive: %s/archive, outcomes: %s/clinical.csv, what each file is: %s/kinds.csv\n"
        "next: mammovit scan %s/archive -o STORE\n",
        o.dir, o.dir, o.dir, o.dir);
    return true;
}

static const cmd_opt opts[] = {
    {"--patients", "N",
     "women with ordinary exams (300); about a hundred more carry the odd files"},
    {NULL, NULL, NULL},
};
const cmd cmd_demo_archive = {
    .verb = "demo-archive",
    .usage = "demo-archive DIR [--patients N] [--seed S]",
    .summary = "write a synthetic screening archive with outcomes",
    .help = "Makes DICOM mammograms of breast phantoms from several make-believe vendors, with the "
            "oddities\nand damages of a real archive, and the clinical CSV that belongs to them. "
            "Nothing in it comes\nfrom a person. The same seed gives the same bytes.",
    .fn = demo_archive,
    .opts = opts,
    .min_words = 1,
    .max_words = 1,
};
