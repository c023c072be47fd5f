/* Counts and proportions: intervals, ratios, trend, predictive values. Pure arithmetic on a few
 * numbers; tables of rows are the business of decile and decision. evaluation.md 6, 7, 10. */
#ifndef EVAL_RATE_H
#define EVAL_RATE_H

#include "core/err.h"

/* A number with its 95 % interval; NaN = undefined, then `reason` says why. */
typedef struct rate_value {
    double value, lo, hi;
    const char
        *reason; /* NULL, "EMPTY" (no row), "NO_EVENTS" (a ratio's reference has none), ... */
} rate_value;

/* z with P(Z <= z) = p of the standard normal, 0 < p < 1. */
double rate_normal_quantile(double p);
/* t with P(T <= t) = p of Student's distribution with a whole number df >= 1 of degrees of freedom,
 * 0 < p < 1. */
double rate_t_quantile(double p, int df);

/* Exact 95 % interval of a Poisson mean from the count k >= 0 (Garwood 1936): the 2.5 % quantile of
 * Gamma(k) and the 97.5 % quantile of Gamma(k + 1). k need not be whole: weighted counts enter as
 * their effective number. */
void rate_poisson(double k, double *lo, double *hi);

/* observed / expected with that interval; `scale`: weight of one effective event (1 without
 * weights). expected = 0: undefined, reason "NO_EVENTS". */
rate_value rate_oe(double observed, double scale, double expected);

/* P(X > x) of chi-square with df > 0 degrees of freedom. */
double rate_chi2(double x, double df);

/* (k1/n1) / (k0/n0), interval on the log scale (Katz 1978): var = 1/k1 - 1/n1 + 1/k0 - 1/n0.
 * k1 = 0: value 0 without an interval, reason "NO_EVENTS"; k0 = 0: undefined, "NO_EVENTS". */
rate_value rate_ratio(double k1, double n1, double k0, double n0);

/* Cochran-Armitage test of a trend of the rates events[i]/n[i] over the scores 0, 1 ... k-1 (as R's
 * prop.trend.test: chi-square = z^2). z > 0 when rates rise. NaN when rates are all 0 or all 1. */
typedef struct rate_trend {
    double z, p;
} rate_trend;
rate_trend rate_trend_test(const int64_t *events, const int64_t *n, int k);

/* Risk at prevalence `to` of a risk learnt at prevalence `from`:
 * odds' = odds * [to/(1-to)] * [(1-from)/from]. NaN unless 0 < from < 1 and 0 < to < 1; 0 and 1
 * stay as they are. */
double rate_prior_shift(double p, double from, double to);

/* Likelihood ratios and the number of flagged exams per cancer; NaN where a divisor is 0. */
double rate_lr_positive(double sens, double spec); /* sens / (1 - spec) */
double rate_lr_negative(double sens, double spec); /* (1 - sens) / spec */
double rate_nns(double ppv);                       /* 1 / ppv */
#endif
