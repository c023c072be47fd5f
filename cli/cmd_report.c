/* report: prediction tables -> report.html, report.pdf, eval.json. */
#include "cli/cmd.h"

#include "eval/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

void cmd_print_headline(const cmd_args *a, const report_headline *h)
{
    text auc;
    text_init(&auc);
    if (isnan(h->auc))
        text_addf(&auc, "exam-level AUC: undefined (%s)", h->reason);
    else if (isnan(h->lo))
        text_addf(&auc, "exam-level AUC %.4f, no interval (%s)", h->auc, h->reason);
    else
        text_addf(&auc, "exam-level AUC %.4f (95 %% CI %.4f to %.4f, %s)", h->auc, h->lo, h->hi,
                  h->ci);
    cmd_result(a,
               json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:o}", "auc", json_num(h->auc), "lo",
                         json_num(h->lo), "hi", json_num(h->hi), "n_exams", (json_int_t)h->n_exams,
                         "n_patients", (json_int_t)h->n_patients, "n_events",
                         (json_int_t)h->n_events, "report", json_words(h->html)),
               "%s; %" PRId64 " exams of %" PRId64 " patients, %" PRId64
               " with cancer\nreport: %s\n",
               auc.s, h->n_exams, h->n_patients, h->n_events, h->html);
    text_release(&auc);
}

static bool report(cmd_args *a, err *e)
{
    report_headline h = {0};
    const char *compare[CMD_VALUES];
    int n = 0;
    for (int i = 0; i < a->n_values; i++)
        if (!strcmp(a->value[i].opt->name, "--compare"))
            compare[n++] = a->value[i].value;
    report_opts o = {
        .inputs = a->word,
        .n_inputs = a->n_words,
        .out_dir = a->out,
        .compare = compare,
        .n_compare = n,
        .val = cmd_value(a, "--val"),
        .final = cmd_value(a, "--final") != NULL,
        .force = a->force,
        .threads = a->threads,
    };
    cfg_bind(a->config, &eval_options, &o.cfg);
    if (!cmd_need_out(a, "the folder of the report, such as -o report", e) ||
        !report_write(&o, &h, e))
        return false;
    cmd_print_headline(a, &h);
    return true;
}

static const cmd_opt opts[] = {
    {"--val", "PRED", "predictions of the validation exams: thresholds come from there"},
    {"--compare", "NAME=PRED[,VALPRED]",
     "another model on the same exams; may be repeated. previous: the release before; whole: the "
     "same model with all patches. VALPRED: its own validation exams, for its thresholds and its "
     "recalibration"},
    {"--final", NULL, "these are test exams and this is the one look at them"},
    {NULL, NULL, NULL},
};
const cmd cmd_report = {
    .verb = "report",
    .usage = "report PRED|CSV... -o REPORT [--val PRED] [--compare NAME=PRED[,VALPRED]]... "
             "[--final]",
    .summary = "exam-level AUC and the report a clinician can read",
    .help = "Reads PRED folders or any CSV with exam_id, patient_id, score and y, and writes one "
            "self-contained\nreport.html, report.pdf, eval.json, CSV tables and SVG figures. "
            "Several inputs are seeds of one\nrecipe. Test exams need --final: looking at them "
            "twice is choosing on them.",
    .fn = report,
    .opts = opts,
    .min_words = 1,
    .max_words = -1,
};
