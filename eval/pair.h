/* Two models on the same exams, and what may be concluded; the difference of two AUC is
 * metric_auc_pair. evaluation.md 3, 6, 13. */
#ifndef EVAL_PAIR_H
#define EVAL_PAIR_H

#include "eval/metric.h"

#define PAIR_EXACT 25 /* fewer discordant pairs than this: the exact test */

typedef struct pair_discordant {
    double chi2;            /* (a-b)^2/(a+b), without continuity correction; NaN when a + b = 0 */
    double p_chi2, p_exact; /* two-sided; exact: binomial(a+b, 1/2), 1 when a + b = 0 */
    double p;               /* the exact one below PAIR_EXACT discordant pairs, else the other */
    const char *method;     /* "mcnemar-exact", "mcnemar-chi2" */
} pair_discordant;
/* McNemar's test of a and b discordant pairs. */
pair_discordant pair_mcnemar(int64_t a, int64_t b);

typedef struct pair_rate {
    double a, b, diff, lo, hi, p;             /* rates of the two models, a - b; NaN = undefined */
    int64_t n, both, only_a, only_b, neither; /* rows that are right under the two models */
    const char *ci; /* "newcombe" (1998, method 10) with McNemar's p when no cluster has two rows
                       and nothing is weighted; else "clustered": difference +- z se over clusters,
                       factor G/(G-1), p from z; "" */
    const char
        *reason; /* NULL, "ONE_CLASS" (no row of the class), "DEGENERATE", "TOO_FEW_CLUSTERS" */
} pair_rate;
/* Share of the cases at or above the models' own thresholds (in->score >= t_a, score_b >= t_b). */
pair_rate pair_sensitivity(const metric_in *in, const double *score_b, double t_a, double t_b);
/* Share of the controls below them. */
pair_rate pair_specificity(const metric_in *in, const double *score_b, double t_a, double t_b);

/* Difference of two AUC on different exams: covariance 0. */
metric_pair pair_unpaired(const metric_value *a, const metric_value *b);

/* Holm's adjusted p-values (as R's p.adjust). NaN stays NaN and is not counted. adjusted may be p.
 */
void pair_holm(const double *p, int n, double *adjusted);

/* What an interval of a difference (new minus old, more is better) says at a margin >= 0:
 * "SUPERIOR" lo > 0, "NON_INFERIOR" lo > -margin, "INFERIOR" hi < -margin, "INCONCLUSIVE"; NULL
 * when there is no interval. */
const char *pair_verdict(double lo, double hi, double margin);

/* Smallest true difference found with this power by a two-sided 5 % test: (z.975 + z.power) sd. */
typedef struct pair_planning {
    double r;        /* correlation of the two AUC: cov / sqrt(var_a var_b) */
    double planned;  /* sd^2 = V_a + V_b - 2 r sqrt(V_a V_b), V by Hanley and McNeil at m, n */
    double observed; /* sd^2 = var_a + var_b - 2 cov */
} pair_planning;
/* m cases, n controls; NaN where undefined. */
pair_planning pair_detectable(const metric_pair *p, int64_t m, int64_t n, double power);
#endif
