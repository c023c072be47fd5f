/* Inputs of a report: a PRED folder (predictions.csv, predictions.json, pages/,
 * robustness.csv) or a bare CSV.
 * Whatever is missing stays absent; whatever is present is checked. */
#ifndef EVAL_REPORT_IN_H
#define EVAL_REPORT_IN_H

#include "core/json.h"
#include "eval/pages_in.h"
#include "eval/robust_in.h"
#include "eval/scores.h"

typedef struct report_in {
    scores scores;
    json_t *flow;   /* array of checked rows: stage, step, unit, reason, n_in, n_out, excluded */
    json_t *model;  /* object, possibly empty */
    json_t *hashes; /* object of strings, possibly empty */
    char *config;   /* owned text or NULL */
    pages_in pages;
    robust_in robust;
} report_in;

void report_in_init(report_in *in);
void report_in_release(report_in *in);
/* max_pages: exams whose images are read; 0 reads none. */
MUST_CHECK bool report_in_read(report_in *in, const char *path, int64_t max_pages, err *e);
/* Check that flow rows add up; fills the missing "excluded", "unit", "stage" members. */
MUST_CHECK bool report_in_check_flow(json_t *flow, err *e);
#endif
