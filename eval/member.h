/* Several networks on the same exams: one score from many, and how far the networks differ.
 * evaluation.md 13. */
#ifndef EVAL_MEMBER_H
#define EVAL_MEMBER_H

#include "core/pool.h"
#include "eval/metric.h"

typedef enum member_rule {
    MEMBER_MEAN_PROB,  /* the default */
    MEMBER_MEAN_LOGIT, /* of risks clipped at 1e-7, taken back to a risk */
    MEMBER_MEAN_RANK,  /* of midranks (1..n, ties share their mean) as (rank - 0.5) / n: an order,
                          not a  risk */
    MEMBER_RULES
} member_rule;
const char *member_rule_name(member_rule r); /* "mean_prob", ... */

/* One score per exam of members x n scores; out[n] rounded to 12 decimals as exam scores are. The
 * order of the members does not matter. */
void member_combine(member_rule rule, const double *const *score, int members, int64_t n,
                    double *out);

/* Spread of one metric over runs; NaN values are not counted. sd with n - 1, NaN for one run: it is
 * the spread over training runs, no interval over patients. */
typedef struct member_spread {
    double mean, sd, min, max;
    int n;
} member_spread;
member_spread member_summary(const double *value, int n);

/* The mean AUC of n runs and its interval over women and runs together, for a claim about the
 * recipe of training (evaluation.md 5): a replicate draws women (in two strata: ever a case or not)
 * and runs with replacement. in[k] holds run k's scores of the same rows, with clusters. Type 7
 * percentiles; NaN with fewer than two runs, a class missing, or replicates < 20. Replicate b is a
 * function of (seed, b). */
typedef struct member_two_way {
    double mean, lo, hi, sd;
} member_two_way;
typedef struct member_draws {
    int64_t replicates;
    uint64_t seed;
    pool *pool; /* borrowed */
    int kind;   /* boot_kind */
} member_draws;
member_two_way member_recipe(const metric_in *in, int n, const member_draws *how);
#endif
