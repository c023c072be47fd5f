/* A smooth curve of the observed rate over the predicted risk: local linear regression with tricube
 * weights (Cleveland's loess of degree 1 without robustness steps; R: loess(y ~ p, weights = w,
 * span, degree = 1, family = "gaussian", surface = "direct")). evaluation.md 8. */
#ifndef EVAL_SMOOTH_H
#define EVAL_SMOOTH_H

#include "eval/metric.h"

#define SMOOTH_SPAN 0.75 /* share of the rows in a window */
#define SMOOTH_GRID 101  /* points of a printed curve */

typedef struct smooth_point {
    double x, y;   /* risk; fitted rate, clipped to 0..1 */
    double lo, hi; /* y +- z sqrt(y(1-y) sum l_i^2), l_i the smoother's coefficients: pointwise,
                      ignores repeated exams; clipped to 0..1 */
} smooth_point;

/* The curve at x[n], in any order. The window of x are the q = floor(span rows + 1e-5) rows with
 * scores nearest to x, at least 2; weights multiply the kernel. Where all scores of the window are
 * equal the fit is their mean. False when there is no row with weight. */
bool smooth_curve(const metric_in *in, double span, const double *x, int n, smooth_point *out);
#endif
