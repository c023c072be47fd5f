/* Other models on the evaluated exams: loading them, and the paired bootstrap. Paired tests are in
 * pair.h and metric.h. evaluation.md 5, 13. */
#ifndef EVAL_COMPARE_H
#define EVAL_COMPARE_H

#include "core/json.h"
#include "core/pool.h"
#include "eval/cohort_set.h"
#include "eval/report.h"
#include "eval/risks.h"

typedef struct compare_model {
    const char *name;   /* borrowed; words of the caller */
    const json_t *card; /* the model card, borrowed */
    cohort_set set;
    cohort_view view; /* the arrays of `set`: exam i is exam i of the evaluated ones */
    bool has_val;     /* its own validation exams were given: */
    cohort_set val_set;
    cohort_view val;
    risks risks; /* its scores as risks, recalibrated on its own validation exams */
} compare_model;
/* Rows of s outside `split` are dropped. Fails ERR_INPUT unless the table holds just the evaluated
 * exams with their patients and labels. */
MUST_CHECK bool compare_load(scores *s, const char *name, const cohort_set *evaluated,
                             const char *split, const report_cfg *how, compare_model *out, err *e);
/* Its validation exams, which are of other women than the evaluated ones (else ERR_INPUT). */
MUST_CHECK bool compare_load_val(scores *s, const cohort_set *evaluated, const report_cfg *how,
                                 compare_model *m, err *e);
/* Fill m->risks. */
void compare_judge(compare_model *m, const report_cfg *how);
void compare_release(compare_model *m);

/* Bootstrap interval and standard deviation of AUC(v) - AUC(other[k]), the same drawn women for
 * both (strata: ever a case). NaN where undefined. */
typedef struct compare_interval {
    double lo, hi, sd;
} compare_interval;
void compare_bootstrap(const cohort_view *v, const double *const *other, int n,
                       const report_cfg *how, pool *p, compare_interval *out);
#endif
