/* split: prepared images + outcomes -> COHORT.h5 and split.csv. */
#include "cli/cmd.h"

#include "cli/idle.h"

#include "core/log.h"
#include "preprocess/cohort.h"
#include "preprocess/split.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void say_column(const json_t *c, const char **table, text *t)
{
    const char *name = json_string_value(json_object_get(c, "table"));
    if (!*table || strcmp(*table, name))
        text_addf(t, "table %s: %" PRId64 " rows\n", name,
                  (int64_t)json_integer_value(json_object_get(c, "rows")));
    *table = name;
    const char *becomes = json_string_value(json_object_get(c, "becomes"));
    int64_t filled = json_integer_value(json_object_get(c, "filled"));
    text_addf(t, "  %-28s %s", json_string_value(json_object_get(c, "column")), becomes);
    if (strcmp(becomes, "ignored") && strcmp(becomes, "unknown"))
        text_addf(t, "; in %" PRId64 " rows", filled);
    text_add(t, "\n");
}

/* What each column would become and how many rows and images find each other. */
static bool dry_run(cmd_args *a, const split_opts *o, err *e)
{
    labels_cfg c;
    labels_matches m;
    const char *table = NULL;
    cfg_bind(a->config, &labels_options, &c);
    labels *l = labels_read(o->labels_csv, &c, e);
    if (!l || !labels_try(l, o->store, e)) {
        labels_free(l);
        return false;
    }
    labels_count(l, &m);
    json_t *columns = labels_columns(l), *column;
    size_t i;
    text t;
    text_init(&t);
    json_array_foreach(columns, i, column) say_column(column, &table, &t);
    text_addf(&t,
              "%" PRId64 " of %" PRId64 " images have a row, %" PRId64 " of %" PRId64
              " rows have an image\n",
              m.images_matched, m.images, m.rows_matched, m.rows);
    if (m.would)
        text_addf(&t, "%" PRId64 " more images would match with labels.normalise=%s\n", m.would,
                  m.how);
    cmd_result(a,
               json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:s}", "columns", columns, "images",
                         (json_int_t)m.images, "images_matched", (json_int_t)m.images_matched,
                         "rows", (json_int_t)m.rows, "rows_matched", (json_int_t)m.rows_matched,
                         "would_match", (json_int_t)m.would, "normalise", m.how),
               "%snothing was written\n", t.s);
    text_release(&t);
    labels_free(l);
    return true;
}

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
    if (!o.labels_csv)
        return err_set(e, ERR_USAGE, "--labels is missing: the CSV with the outcomes");
    idle_warn(a, "split");
    if (a->dry_run)
        return dry_run(a, &o, e);
    if (!cmd_need_out(a, "the cohort to write, such as -o cohort.h5", e))
        return false;
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
               json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "images", (json_int_t)r.images,
                         "exams", (json_int_t)r.exams, "patients", (json_int_t)r.patients,
                         "positives", (json_int_t)r.positives, "images_unmatched",
                         (json_int_t)(r.matches.images - r.matches.images_matched),
                         "rows_unmatched", (json_int_t)(r.matches.rows - r.matches.rows_matched),
                         "folds", folds),
               "%" PRId64 " images of %" PRId64 " exams of %" PRId64 " patients, %" PRId64
               " exams with cancer within the first horizon\n%s"
               "  %" PRId64 " of %" PRId64 " prepared images left out (split_exclusions.csv)\n"
               "  %" PRId64 " of %" PRId64 " prepared images have a row, %" PRId64 " of %" PRId64
               " rows have an image (split_unmatched.csv)\n"
               "next: mammovit train -c CONFIG --set run.cohort=%s -o RUN\n",
               r.images, r.exams, r.patients, r.positives, table.s, r.matches.images - r.images,
               r.matches.images, r.matches.images_matched, r.matches.images, r.matches.rows_matched,
               r.matches.rows, a->out);
    text_release(&table);
    if (!r.fold_positives[COHORT_TRAIN])
        log_warn("nothing_to_learn", "no exam of the training fold has a cancer within the first "
                                     "horizon; see split_exclusions.csv and labels.horizons");
    return true;
}

static const cmd_opt opts[] = {
    {"--labels", "CSV", "clinical table: who had cancer when (docs/formats.md)"},
    {"--keep", "OLD_split.csv", "nobody of an earlier split moves; only new patients are assigned"},
    {NULL, NULL, NULL},
};
const cmd cmd_split = {
    .verb = "split",
    .usage = "split STORE --labels CSV -c CONFIG -o COHORT.h5 [--keep OLD_split.csv] [--dry-run]",
    .summary = "join outcomes, judge exams, divide patients into train, val and test",
    .help =
        "Joins the clinical CSV to the prepared images, removes duplicates, incomplete exams "
        "and exams\nthat do not belong to the question (60-day rule, earlier cancer, short "
        "follow-up: keys\nclinical.*), divides the patients, and writes COHORT.h5 and "
        "split.csv: all that training opens.\nNo pixel is decoded again. --dry-run prints what "
        "each "
        "column of the table would become and how\nmany rows match, and writes nothing; it needs "
        "the scan only.",
    .fn = split,
    .opts = opts,
    .min_words = 1,
    .max_words = 1,
};
