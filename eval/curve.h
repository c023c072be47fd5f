/* ROC and precision-recall points, and the operating points chosen on them. Positive means
 * score >= threshold; ties at the threshold are positive. evaluation.md 6. */
#ifndef EVAL_CURVE_H
#define EVAL_CURVE_H

#include "eval/metric.h"

typedef struct curve_point {
    double threshold;          /* +infinity for the first */
    double fpr, tpr;           /* weighted */
    double flagged1, flagged0; /* weight of the cases and controls at or above the threshold */
} curve_point;
typedef struct curve {
    curve_point *p; /* from threshold +infinity down: fpr and tpr never fall */
    int64_t n, cap;
    double w1, w0; /* total weight of cases and controls */
} curve;

/* One point per distinct score, plus the first. `c` starts zeroed and may be used again: its memory
 * is kept. False when a class has no weight. */
bool curve_build(const metric_in *in, curve *c);
void curve_release(curve *c);

/* Index of the point with the largest sensitivity whose specificity is at least s0 (the lowest such
 * threshold); always found: the first point has specificity 1. */
int64_t curve_at_spec(const curve *c, double s0);
/* The mirror image: the highest threshold whose sensitivity is at least q0. */
int64_t curve_at_sens(const curve *c, double q0);
/* Index of the last point whose threshold is at least t: what a fixed threshold does here. */
int64_t curve_at_threshold(const curve *c, double t);
/* tpr at a false-positive rate, linear between points (vertical steps give their upper end). */
double curve_tpr_at(const curve *c, double fpr);

/* Share of the cases among the k = ceil(q n) rows with the highest scores. Rows that tie with the
 * k-th make it a range. Weights are ignored. False when there is no case. */
typedef struct curve_top {
    int64_t k;
    double threshold; /* the k-th score */
    double capture_min, capture_max;
} curve_top;
bool curve_capture(const metric_in *in, double q, curve_top *out);
#endif
