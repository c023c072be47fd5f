/* A smooth curve of the observed rate over the predicted risk: local linear regression with tricube
 * weights (Cleveland's loess of degree 1 without robustness steps; R: loess(y ~ p, weights = w,
 * span, degree = 1, family = "gaussian", surface = "direct")). evaluation.md 8. */
#ifndef EVAL_SMOOTH_H
#define EVAL_SMOOTH_H

#include "eval/metric.h"

#define SMOOTH_SPAN 0.75 /* share of the rows in a window */
#define SMOOTH_GRID 101  /* points of a printed curve */

#define SMOOTH_SINGULAR                                                                            \
    1e-12 /* of the determinant against its terms: all scores of a window are equal                \
           */

typedef struct smooth_point {
    double x, y;   /* risk; fitted rate, clipped to 0..1 */
    double lo, hi; /* y +- z sqrt(y(1-y) sum l_i^2), l_i the smoother's coefficients: pointwise,
                      ignores repeated exams; clipped to 0..1 */
} smooth_point;

/* The curve at x[n], in any order. The window of x are the q = floor(span rows + 1e-5) rows with
 * scores nearest to x, at least 2; weights multiply the kernel. Where all scores of the window are
 * equal the fit is the mean of all rows with this score. False when there is no row with weight. */
bool smooth_curve(const metric_in *in, double span, const double *x, int n, smooth_point *out);

/* The percentiles of the scores of rows with weight, equal ones once: where a printed curve has its
 * points. Returns how many. */
int smooth_grid(const metric_in *in, double x[SMOOTH_GRID]);
/* The line between points k and k + 1 of n at `at`, or the value of the nearer one outside. */
double smooth_between(const double *x, const double *y, int n, int k, double at);
/* Integrated calibration index (Austin and Steyerberg 2019): the weighted mean over the rows of the
 * distance between the risk and the curve p[n] at smooth_grid, straight between its points. NaN
 * without points. */
double smooth_ici(const metric_in *in, const smooth_point *p, int n);
#endif
