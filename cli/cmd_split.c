/* split: prepared images + outcomes -> COHORT.h5 and split.csv. */
#include "cli/cmd.h"

#include "preprocess/cohort.h"
#include "preprocess/split.h"

#include <inttypes.h>
#include <stdio.h>

static bool split(cmd_args *a, err *e)
{
    split_result r = {0};
    split_opts o = {
        .store = a->word[0],
        .labels_csv = cmd_value(a, "--labels"),
        .out = a->out,
        .keep = cmd_value(a, "--keep"),
        .config = a->config,
        .threads = a->threads,
        .force = a->force,
    };
    if (!cmd_need_out(a, "the cohort to write, such as -o cohort.h5", e))
        return false;
    if (!o.labels_csv)
        return err_set(e, ERR_USAGE, "--labels is missing: the CSV with the outcomes");
    if (!split_run(&o, &r, e))
        return false;
    json_t *folds = json_object();
    text table;
    text_init(&table);
    for (int f = 0; f < COHORT_FOLDS; f++) {
        const char *name = cohort_fold_name((cohort_fold)f);
        if (!r.fold_exams[f])
            continue;
        text_addf(&table,
                  "  %-12s %6" PRId64 " patients, %6" PRId64 " exams, %5" PRId64
                  " of them with cancer, %6" PRId64 " images\n",
                  name, r.fold_patients[f], r.fold_exams[f], r.fold_positives[f], r.fold_images[f]);
        json_object_set_new(
            folds, name,
            json_pack("{s:I, s:I, s:I, s:I}", "patients", (json_int_t)r.fold_patients[f], "exams",
                      (json_int_t)r.fold_exams[f], "positives", (json_int_t)r.fold_positives[f],
                      "images", (json_int_t)r.fold_images[f]));
    }
    cmd_result(a,
               json_pack("{s:I, s:I, s:I, s:I, s:o}", "images", (json_int_t)r.images, "exams",
                         (json_int_t)r.exams, "patients", (json_int_t)r.patients, "positives",
                         (json_int_t)r.positives, "folds", folds),
               "%" PRId64 " images of %" PRId64 " exams of %" PRId64 " patients, %" PRId64
               " exams with cancer within the first horizon\n%s"
               "next: mammovit train -c CONFIG --set run.cohort=%s -o RUN\n",
               r.images, r.exams, r.patients, r.positives, table.s, a->out);
    text_release(&table);
    return true;
}

static const cmd_opt opts[] = {
    {"--labels", "CSV", "clinical table: who had cancer when (docs/formats.md)"},
    {"--keep", "OLD_split.csv", "nobody of an earlier split moves; only new patients are assigned"},
    {NULL, NULL, NULL},
};
const cmd cmd_split = {
    .verb = "split",
    .usage = "split STORE --labels CSV -c CONFIG -o COHORT.h5 [--keep OLD_split.csv]",
    .summary = "join outcomes, judge exams, divide patients into train, val and test",
    .help = "Joins the clinical CSV to the prepared images, removes duplicates, incomplete exams "
            "and exams\nthat do not belong to the question (60-day rule, earlier cancer, short "
            "follow-up: keys\nclinical.*), divides the patients, and writes COHORT.h5 and "
            "split.csv: all that training opens.\nNo pixel is decoded again.",
    .fn = split,
    .opts = opts,
    .min_words = 1,
    .max_words = 1,
};
