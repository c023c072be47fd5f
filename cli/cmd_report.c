/* report: prediction tables -> report.html, report.pdf, eval.json. */
#include "cli/cmd.h"

#include "eval/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

void cmd_print_headline(const report_headline *h, bool as_json)
{
    if (as_json) {
        printf("{\"auc\": %.12g, \"lo\": %.12g, \"hi\": %.12g, \"n_exams\": %" PRId64
               ", \"n_patients\": %" PRId64 ", \"n_events\": %" PRId64 "}\n",
               h->auc, h->lo, h->hi, h->n_exams, h->n_patients, h->n_events);
        return;
    }
    if (isnan(h->auc))
        printf("exam-level AUC: undefined (%s)", h->reason);
    else if (isnan(h->lo))
        printf("exam-level AUC %.4f, no interval (%s)", h->auc, h->reason);
    else
        printf("exam-level AUC %.4f (95 %% CI %.4f to %.4f, %s)", h->auc, h->lo, h->hi, h->ci);
    printf("; %" PRId64 " exams of %" PRId64 " patients, %" PRId64 " with cancer\nreport: %s\n",
           h->n_exams, h->n_patients, h->n_events, h->html);
}

static bool report(cmd_args *a, err *e)
{
    report_headline h = {0};
    report_opts o = {
        .inputs = a->word,
        .n_inputs = a->n_words,
        .out_dir = a->out,
        .val = cmd_value(a, "--val"),
        .final = cmd_value(a, "--final") != NULL,
        .force = a->force,
        .threads = a->threads,
    };
    cfg_bind(a->config, &eval_options, &o.cfg);
    if (!cmd_need_out(a, "the folder of the report, such as -o report", e) ||
        !report_write(&o, &h, e))
        return false;
    cmd_print_headline(&h, a->json);
    return true;
}

static const cmd_opt opts[] = {
    {"--val", "PRED", "predictions of the validation exams: thresholds come from there"},
    {"--final", NULL, "these are test exams and this is the one look at them"},
    {NULL, NULL, NULL},
};
const cmd cmd_report = {
    .verb = "report",
    .usage = "report PRED|CSV... -o REPORT [--val PRED] [--final]",
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
