/* Do predicted risks agree with what happened? Scores are probabilities here; rows with weight 0
 * are left out; order is (score, row index): rows come in exam order. evaluation.md 8. */
#ifndef EVAL_CALIBRATE_H
#define EVAL_CALIBRATE_H

#include "eval/metric.h"

#define CALIBRATE_CLIP        1e-7 /* risks are clipped to [clip, 1 - clip] before a logarithm */
#define CALIBRATE_BINS        10   /* groups of ECE and of the reliability diagram */
#define CALIBRATE_SIMULATIONS 200  /* of the ECE that perfect risks would have */

/* logit(risk) of a clipped risk; *clipped (may be NULL) counts the risks that were changed. */
double calibrate_logit(double p, int64_t *clipped);
double calibrate_risk(double logit);

/* A logistic line logit P(y=1) = a + b logit(p). */
typedef struct calibrate_line {
    double a, b;       /* NaN = undefined, see reason */
    double se_a, se_b; /* from the information matrix: independent rows, weights taken as counts */
    double robust_a, robust_b; /* sandwich over clusters: G/(G-1) H^-1 (sum s_g s_g') H^-1, G
                                  clusters with a row of weight > 0 (rows when cluster is NULL) */
    bool repeated; /* a cluster has several rows, or weights differ: use the robust one */
    int64_t n, events, clipped;
    int steps;          /* of Newton's method, to |step| < 1e-12 */
    const char *reason; /* NULL, "ONE_CLASS", "CONSTANT" (all risks equal: no slope), "SEPARATION"
                           (risks part the classes: the slope is not finite), "NOT_RISK" (a score
                           outside 0..1), "NOT_CONVERGED" */
} calibrate_line;
/* Both free (Cox 1958): b < 1 = predictions too extreme. */
calibrate_line calibrate_slope(const metric_in *in);
/* b fixed at 1, se_b and robust_b 0: calibration-in-the-large; a > 0 = risks too low. */
calibrate_line calibrate_intercept(const metric_in *in);

/* a fixed at 0, se_a and robust_a 0: 1/b is a temperature. "SEPARATION" also when every row is on
 * its side of 1/2; "CONSTANT" when every risk is 1/2. */
calibrate_line calibrate_scale(const metric_in *in);

/* Slope or intercept with its 95 % interval: +- z se, the robust one where `repeated`. */
typedef struct calibrate_est {
    double value, lo, hi;
} calibrate_est;
calibrate_est calibrate_slope_est(const calibrate_line *l);
calibrate_est calibrate_intercept_est(const calibrate_line *l);

typedef struct calibrate_total {
    int64_t n, events, clipped;
    double observed, expected; /* weighted sums of y and of p */
    double oe;                 /* observed / expected, NaN when expected is 0 */
    double oe_lo, oe_hi;       /* exact Poisson interval of the (weights: effective) count over
                                  `expected`; ignores repeated exams */
    double oe_se; /* standard error of log(oe) over clusters (linearised, G/(G-1)): for repeated
                     exams and weights; NaN without cases or with one cluster */
    double brier; /* mean (p-y)^2 */
    double brier_scaled; /* 1 - brier / (ybar (1-ybar)); NaN for one class */
    double log_loss;     /* natural logarithm, risks clipped */
    const char *reason;  /* NULL, "EMPTY", "NOT_RISK"; "ONE_CLASS": only brier_scaled is NaN */
} calibrate_total;
calibrate_total calibrate_sums(const metric_in *in);
/* O/E with its interval: Poisson's, or, where rows repeat or carry weights, oe exp(+- z oe_se). */
calibrate_est calibrate_oe_est(const calibrate_total *t, bool repeated);

typedef enum calibrate_binning {
    CALIBRATE_WIDTH, /* [g/k, (g+1)/k), the last one closed */
    CALIBRATE_MASS   /* rows floor(g n/k) .. floor((g+1) n/k) - 1 of the (score, index) order */
} calibrate_binning;

typedef struct calibrate_group {
    int64_t n, events;
    double observed, expected;    /* weighted sums of y and of p */
    double squares, case_squares; /* sum of w^2 over all rows and over the cases */
    double weight;                /* sum of weights */
    double unit[2];      /* mean weight of a control and of a case of all groups together */
    double mean_p;       /* weighted; NaN in an empty group, as are the next four */
    double rate, lo, hi; /* weighted share of cases with Wilson's interval at the effective
                            number; ignores repeated exams */
    double effective;    /* rows that an unweighted group would need for the same precision */
    double least, most;  /* scores */
    bool tie_split;      /* its lowest score is also in the group below */
} calibrate_group;
/* rate (1 - rate) / variance of the rate, whose variance is sum w^2 (y - rate)^2 / (sum w)^2: the
 * number of rows without weights. Where the rate is 0 (1) that formula has no limit of its own: the
 * first case (control) would weigh what one weighs elsewhere, so sum w / unit. In a set whose two
 * classes are mixed anew these are Wilson's limits of the plain counts, moved to the prevalence as
 * the rate is. Only the sums of g are read, so that groups can be added. */
double calibrate_effective(const calibrate_group *g);
/* Mean weight of a case, sum w^2 / sum w over the cases of the group (of all groups when it has
 * none): what one effective event of O/E weighs. */
double calibrate_event_scale(const calibrate_group *g);
/* Fills group[k]; returns how many there are: k, or for CALIBRATE_MASS at most the number of rows.
 * 0 when there is no row or a score is outside 0..1. */
int calibrate_groups(const metric_in *in, calibrate_binning how, int k, calibrate_group *group);
/* The same for groups that are known: of[n], -1: in none. */
int calibrate_groups_of(const metric_in *in, const int *of, int k, calibrate_group *group);

typedef struct calibrate_error {
    double ece;      /* sum over groups (W_g/W) |rate - mean_p| */
    double mce;      /* largest |rate - mean_p| */
    double expected; /* mean ece of CALIBRATE_SIMULATIONS sets y ~ Bernoulli(p): what perfect risks
                        would show at this size. NaN with weights: they may depend on y */
    const char *reason; /* NULL, "EMPTY", "NOT_RISK" */
} calibrate_error;
calibrate_error calibrate_ece(const metric_in *in, calibrate_binning how, int k, uint64_t seed);
#endif
