/* One bootstrap for all: intervals of the metric table, of the operating points (the threshold is
 * chosen again in every replicate unless it was fixed beforehand) and a pointwise band of the ROC
 * curve. evaluation.md 5 and 6. */
#ifndef EVAL_OPERATE_H
#define EVAL_OPERATE_H

#include "eval/cohort_set.h"
#include "eval/curve.h"
#include "eval/report.h"
#include "core/pool.h"

typedef enum operate_kind { OPERATE_SPEC, OPERATE_SENS, OPERATE_TOP } operate_kind;

typedef struct operate_rate {
    double value, lo, hi; /* lo, hi NaN: no interval */
} operate_rate;

typedef struct operate_point {
    operate_kind kind;
    double target;    /* specificity, sensitivity or flagged share asked for */
    double threshold; /* +infinity: nothing is flagged */
    bool fixed;       /* the threshold comes from other exams */
    operate_rate sens, spec, flagged;
    int64_t tp, fp, fn, tn;          /* exams, without weights */
    double capture_min, capture_max; /* OPERATE_TOP: range over the order of tied exams */
    const char *ci;                  /* "wilson", "bootstrap", "bca", "" */
    bool cases_told, controls_told;  /* may counts and rates of this class be told? report_tell.h */
} operate_point;

#define OPERATE_GRID    101 /* false-positive rates of the band */
#define OPERATE_POINTS  (3 * CFG_LIST_MAX)
#define OPERATE_METRICS 16

typedef struct operate_result {
    operate_point point[OPERATE_POINTS];
    int n_points;
    bool band; /* the arrays below are filled */
    double tpr[OPERATE_GRID], tpr_lo[OPERATE_GRID], tpr_hi[OPERATE_GRID];
    operate_rate metric[OPERATE_METRICS]; /* in order of metric_table */
    double metric_sd[OPERATE_METRICS];
    int64_t replicates, redrawn, failed;
} operate_result;

/* The g-th of them, from 0 to 1: close where a curve is steep, near 0. */
double operate_fpr(int g);
/* `fixed`: exams that thresholds are chosen on, or NULL to choose them on `v`. `repeated`: patients
 * have several exams. Without both classes only the point values of the metrics are tried. */
void operate_run(const cohort_view *v, const cohort_view *fixed, bool repeated,
                 const report_cfg *want, pool *p, operate_result *out);
#endif
