/* The state of a report under construction, and what every part needs to add to the tree. Parts
 * (part.h) read it and write into b->tree through these functions. */
#ifndef EVAL_REPORT_BUILD_H
#define EVAL_REPORT_BUILD_H

#include "eval/cohort_set.h"
#include "eval/compare.h"
#include "eval/operate.h"
#include "eval/risks.h"
#include "eval/report_tell.h"
#include "eval/report_tree.h"

/* What is loaded and computed once, before the first part runs. */
typedef struct report_build {
    const report_opts *opts;
    const report_sources *src; /* the inputs: rows of images, books, model card */
    pool *pool;                /* borrowed; for boot_run */
    const json_t *model;       /* the model card, borrowed */
    const char *split;         /* borrowed from the scores */
    int64_t rows_read, rows_split, rows_whole;
    cohort_set set;         /* the evaluated exams, mean over members */
    cohort_set val_set;     /* exams of --val; empty without */
    cohort_set *member;     /* [src->n_in] the same exams as each member scored them */
    cohort_view all, val;   /* arrays of set and val_set */
    compare_model *compare; /* [src->n_compare] other models on the same exams */
    operate_result operate; /* the shared bootstrap: operating points, metrics, ROC band */
    risks risks;            /* their scores as risks */
    report_tell tell;       /* which counts may be shown */
    char data_sha256[65];
    json_t *tree;
} report_build;

typedef struct report_metric {
    const char *id, *unit, *subset, *ci, *reason, *flag; /* reason, flag: NULL = none */
    const json_t *horizon;                               /* borrowed; NULL = none */
    double value, lo, hi;                                /* NaN = null */
    int64_t n_exams, n_patients, n_events;
} report_metric;
/* How scores become one, from the options. */
cohort_how report_build_how(const report_build *b);
/* Append an entry to tree.metrics; the entry is borrowed. */
json_t *report_build_metric(report_build *b, const report_metric *m);
/* Append a table of cells.h to tree.tables; takes the reference. */
void report_build_table(report_build *b, json_t *t);
/* A new curve {"id","x":[],"y":[],"lo":[],"hi":[]} at the end of tree.curves, borrowed. */
json_t *report_build_curve(report_build *b, const char *id);
/* Append v (NaN: null) to one of the lists "x", "y", "lo", "hi" of a curve. */
void report_build_point(json_t *c, const char *list, double v);
/* A curve of shares of the exams with (without) cancer by score, or by a risk that rises with it:
 * x are n + 1 edges of equal bins from lo to hi, count[n] exams. Neighbours are joined until every
 * edge is a cut of the scores that may be told; y is the share for each width of a bin, so that
 * areas stay right. A class of fewer than METRIC_FEW exams gets no bars. */
void report_build_histogram(report_build *b, const char *id, const double edge[2],
                            const int64_t *count, int n, bool cases);
/* Append the filled text `key` to a list of sentences. */
void report_build_sentence(json_t *list, const char *key, const char *const *pairs);
/* A sentence for the section "Limits of use", behind those of part_limits.c. */
void report_build_limit(report_build *b, const char *key, const char *const *pairs);
/* AUC of the exams row[n] of a set (row == NULL: the first n), also as an entry of tree.metrics,
 * with what may be told of their numbers. Back come n = patients and events = exams with cancer,
 * for a table. */
metric_value report_build_subset(report_build *b, const cohort_set *set, const int64_t *row,
                                 int64_t n, const char *subset, tell_sizes told);
/* How many decimals an AUC of a part of the exams may have (0: all): fewer exams support fewer, and
 * with all of them the number of pairs in the wrong order would follow. The one place that knows.
 */
int report_build_digits(const report_build *b, int64_t events, int64_t controls, bool told);
/* So rounds an AUC of these exams, its interval outward; told: are their numbers beside it? */
void report_build_coarse(const report_build *b, metric_value *a, int64_t events, int64_t controls,
                         bool told);
/* The cell of one that was rounded so. */
void report_build_auc(json_t *row, const metric_value *a);
/* The operating point that words speak of: the specificity nearest to 90 %; NULL: none is finite.
 */
const operate_point *report_build_usual_point(const report_build *b);
/* Cell of the column "remark": why there is no value, or the flag of one. */
void report_build_remark(json_t *row, const metric_value *a);
#endif
