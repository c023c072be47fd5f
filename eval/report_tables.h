/* The state of a report under construction, and the builder of its tables. Private to report_tree.c
 * and report_tables.c. */
#ifndef EVAL_REPORT_TABLES_H
#define EVAL_REPORT_TABLES_H

#include "eval/cohort_set.h"
#include "eval/operate.h"
#include "eval/report_tree.h"

typedef struct report_build {
    const report_opts *opts;
    const report_sources *src;
    const json_t *model; /* the model card, borrowed */
    const char *split;   /* borrowed from the scores */
    int64_t rows_read, rows_split, rows_whole;
    cohort_set set, val_set, *member;
    cohort_view all, val;
    operate_result operate;
    char data_sha256[65];
    json_t *tree;
} report_build;

typedef struct report_metric {
    const char *id, *unit, *subset, *ci, *reason, *flag;
    const json_t *horizon;
    double value, lo, hi;
    int64_t n_exams, n_patients, n_events;
} report_metric;
json_t *report_metric_new(const report_metric *m);

/* Adds every table to tree.tables and the subsets' AUC to tree.metrics. */
MUST_CHECK bool report_tables_add(report_build *b, err *e);
#endif
