/* export: prepared images -> TIFF or PNG files with a table. */
#include "cli/cmd.h"

#include "core/text.h"
#include "preprocess/cohort.h"
#include "preprocess/export.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_options(const cmd_args *a, export_opts *o, err *e)
{
    const char *split = cmd_value(a, "--split"), *format = cmd_value(a, "--format");
    const char *size = cmd_value(a, "--size");
    char end;
    o->fold = -1;
    if (split && o->is_store)
        return err_set(e, ERR_USAGE, "--split is for a cohort; a store has no split yet");
    for (int f = 0; split && f < COHORT_FOLDS; f++)
        if (!strcmp(split, cohort_fold_name((cohort_fold)f)))
            o->fold = f;
    if (split && o->fold < 0)
        return err_set(e, ERR_USAGE, "--split '%s': wanted train, val, test or val_natural", split);
    if (format && strcmp(format, "tiff") && strcmp(format, "png"))
        return err_set(e, ERR_USAGE, "--format '%s': wanted tiff or png", format);
    o->format = format && !strcmp(format, "png") ? RASTER_OUT_PNG : RASTER_OUT_TIFF;
    if (size && (sscanf(size, "%dx%d%c", &o->h, &o->w, &end) != 2 || o->h < 1 || o->w < 1))
        return err_set(e, ERR_USAGE, "--size '%s': wanted HxW such as 896x896", size);
    return true;
}

static bool export(cmd_args *a, err *e)
{
    export_result r = {0};
    export_opts o = {.from = a->word[0],
                     .is_store = cmd_kind_of(a->word[0]) == CMD_STORE,
                     .out = a->out,
                     .config = a->config,
                     .threads = a->threads,
                     .force = a->force};
    cmd_kind kind = cmd_kind_of(o.from);
    if (!cmd_need_out(a, "the folder for the pictures", e) || !read_options(a, &o, e))
        return false;
    if (kind == CMD_NOTHING)
        return cmd_not_ours(o.from, e);
    if (kind != CMD_STORE && kind != CMD_FILE)
        return err_set(e, ERR_INPUT, "'%s' is neither a store nor a cohort; export takes these",
                       o.from);
    if (!export_run(&o, &r, e))
        return false;
    cmd_result(a,
               json_pack("{s:I, s:I, s:I, s:i, s:i, s:s}", "images", (json_int_t)r.images,
                         "written", (json_int_t)r.written, "repeated", (json_int_t)r.repeated, "h",
                         r.h, "w", r.w, "prepare_id", r.prepare_id),
               "%" PRId64 " images of %dx%d px, %" PRId64 " written now, %" PRId64
               " left out as repeated (prepare id %s)\ntable: %s/images.csv\n",
               r.images, r.h, r.w, r.written, r.repeated, r.prepare_id, o.out);
    return true;
}

static const cmd_opt opts[] = {
    {"--split", "S", "of a cohort: train, val, test or val_natural; default all"},
    {"--format", "tiff|png", "16-bit TIFF (default) or 16-bit PNG"},
    {"--size", "HxW", "which canvas; default the first"},
    {NULL, NULL, NULL},
};
const cmd cmd_export = {
    .verb = "export",
    .usage = "export STORE|COHORT.h5 -o DIR [--split S] [--format tiff|png] [--size HxW]",
    .summary = "prepared images as TIFF or PNG files",
    .help = "Writes the prepared images as 16-bit files, named by pseudonym, with size and "
            "orientation in their\ntags, and images.csv beside them. Of a store: all kept images "
            "under the config's prepare id.\nKilled at any moment, the same command again "
            "continues.",
    .fn = export,
    .opts = opts,
    .min_words = 1,
    .max_words = 1,
};
