/* How much scores and AUC suffer when the network sees only a share of the patches, or not all
 * views (evaluation.md 14). Pure functions; who drew the masks and why is no matter here. */
#ifndef EVAL_ROBUST_H
#define EVAL_ROBUST_H

#include "core/err.h"

#define ROBUST_LOSS 0.01 /* of AUC, that the knee allows */

/* Scores of the same exams with all patches and with some of them. */
typedef struct robust_change {
    double mean;     /* of |full - masked| */
    double spearman; /* correlation of midranks; NaN: one side is constant, or n < 2 */
    double crossed;  /* share of exams that change sides of the threshold (score >= threshold is
                        positive); NaN where the threshold is NaN */
} robust_change;
/* n >= 1; all NaN for n = 0. */
robust_change robust_compare(const double *full, const double *masked, int64_t n, double threshold);

/* Midranks from 1; ties share their mean. out[n]. */
void robust_midranks(const double *v, int64_t n, double *out);

/* A curve of n points (keep[i], auc[i]) in any order of i; no two keep rates are the same. */
/* Trapezoid of auc over keep, divided by the range of keep; NaN for fewer than two points or where
 * an AUC is NaN. */
double robust_area(const double *keep, const double *auc, int n);
/* The smallest keep rate whose AUC is at least that of keep = 1 less `loss`, both compared on the
 * grid of exam scores (1e-12), so that a loss of exactly that much counts; NaN without a point at
 * keep = 1 or where its AUC is NaN. */
double robust_knee(const double *keep, const double *auc, int n, double loss);
#endif
