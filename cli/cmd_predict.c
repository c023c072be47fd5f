/* predict: checkpoint + cohort -> PRED/, or checkpoint + the DICOM files of one exam -> scores. */
#include "cli/cmd.h"

#include "cli/exam.h"
#include "cli/idle.h"
#include "train/maps.h"
#include "train/predict.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool predict_cohort(cmd_args *a, err *e)
{
    predict_result r = {0};
    predict_opts o = {
        .checkpoint = a->word,
        .n_checkpoints = a->n_words,
        .cohort = cmd_value(a, "--cohort"),
        .split = cmd_value(a, "--split"),
        .out = a->out,
        .config = a->config,
        .device = a->device,
        .threads = a->threads,
        .force = a->force,
        .robustness = cmd_value(a, "--robustness") != NULL,
    };
    if (!o.split)
        return err_set(e, ERR_USAGE, "--split is missing: train, val, val_natural, test or all");
    if (!predict_run(&o, &r, e))
        return false;
    bool test = !strcmp(o.split, "test");
    cmd_result(a,
               json_pack("{s:I, s:I, s:s, s:b}", "images", (json_int_t)r.images, "exams",
                         (json_int_t)r.exams, "split", o.split, "done_before", (int)r.made_before),
               "%" PRId64 " images of %" PRId64 " exams scored%s: %s/predictions.csv\n%s"
               "next: mammovit report %s -o REPORT -c CONFIG%s\n",
               r.images, r.exams, r.made_before ? " before, nothing to do" : "", a->out,
               !o.robustness     ? ""
               : r.robust_before ? "robustness.csv: made before\n"
                                 : "robustness.csv: made\n",
               a->out, test ? " --final --val PRED-VAL" : "");
    return true;
}

static bool predict(cmd_args *a, err *e)
{
    const char *dicom = cmd_value(a, "--dicom"), *cohort = cmd_value(a, "--cohort");
    if (!cmd_need_out(a, "the folder of the predictions, such as -o pred", e))
        return false;
    if (!dicom == !cohort)
        return err_set(e, ERR_USAGE, "give either --cohort COHORT.h5 or --dicom DIR");
    if (a->set_model)
        return err_set(e, ERR_USAGE,
                       "--set %.*s: the network comes from the checkpoint; to leave patches out "
                       "when scoring use predict.keep_rate",
                       (int)strcspn(a->set_model, "="), a->set_model);
    predict_cfg pc;
    cfg_bind(a->config, &predict_options, &pc);
    if (cmd_value(a, "--maps") && pc.maps == MAPS_NONE &&
        !cfg_set(a->config, "predict.maps=pages", e))
        return false;
    idle_warn(a, "predict");
    if (cohort)
        return predict_cohort(a, e);
    if (cmd_value(a, "--robustness"))
        return err_set(e, ERR_USAGE, "--robustness wants a cohort");
    if (a->n_words != 1)
        return err_set(e, ERR_USAGE, "--dicom wants exactly one checkpoint");
    if (pc.keep_rate < 1)
        return err_set(e, ERR_CONFIG,
                       "predict.keep_rate: one exam is scored for reading, with all its patches; "
                       "studies of stability take a cohort");
    return exam_predict(a, a->word[0], dicom, e);
}

static const cmd_opt opts[] = {
    {"--cohort", "COHORT.h5", "score the images of a cohort"},
    {"--split", "NAME", "train, val, val_natural, test or all"},
    {"--dicom", "DIR", "score the DICOM files of one exam, without a store"},
    {"--maps", NULL, "also draw what the network read and weighed: predict.maps: pages"},
    {"--robustness", NULL,
     "also score with patches and views missing (robust.*): robustness.csv; a long job"},
    {NULL, NULL, NULL},
};
const cmd cmd_predict = {
    .verb = "predict",
    .usage = "predict RUN|CKPT... (--cohort COHORT.h5 --split S | --dicom DIR) -o PRED [--maps] "
             "[--robustness]",
    .summary = "score a cohort, or one exam straight from its DICOM files",
    .help = "A RUN folder stands for its best checkpoint; several are averaged. With --dicom the "
            "files go through\nthe same preparation as the training images (the checkpoint carries "
            "it) and get the same scores,\nto the last bit. The same command again has nothing to "
            "do. A score\nis a research number, not a diagnosis.",
    .fn = predict,
    .opts = opts,
    .foreign_bytes = true,
    .min_words = 1,
    .max_words = -1,
};
