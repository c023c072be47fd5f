/* Do subgroups differ? AUC and rates of every level of several variables from one bootstrap over
 * patients, and a test of equal AUC for each variable. evaluation.md 12. */
#ifndef EVAL_SUBGROUP_H
#define EVAL_SUBGROUP_H

#include "core/pool.h"
#include "eval/metric.h"

typedef struct subgroup_var {
    const int *level; /* [n] 0..n_levels-1; -1: the row is in no level */
    int n_levels;
    bool cases_only;    /* rows with y = 0 are the controls of every level, whatever their level */
    const bool *tested; /* [n_levels] levels that take part in the test */
} subgroup_var;

typedef struct subgroup_spec {
    metric_in in; /* rows in any order, with clusters */
    const subgroup_var *var;
    int n_vars;
    double threshold; /* positive: score >= threshold */
    int64_t replicates;
    int kind; /* boot_kind */
    uint64_t seed;
    pool *pool;
} subgroup_spec;

typedef struct subgroup_level {
    double auc, sens, spec;                    /* NaN where a class is missing */
    double sens_lo, sens_hi, spec_lo, spec_hi; /* percentiles; NaN below 20 defined replicates */
} subgroup_level;
typedef struct subgroup_test {
    double chi2, p; /* Wald's test that all tested levels have one AUC, covariance of the bootstrap;
                       NaN: fewer than two levels, or undefined replicates */
    int df;
} subgroup_test;
/* level[v][n_levels of v] and test[v] are filled. Replicates are drawn within patients that ever
 * have y = 1 and the others; the threshold stays. 0 replicates: values without intervals and tests.
 */
void subgroup_run(const subgroup_spec *s, subgroup_level *const *level, subgroup_test *test);

/* Observed over expected cases (sum of y over sum of scores) with an interval from the variance
 * between clusters, on the log scale. NaN without cases. */
typedef struct subgroup_ratio {
    double value, lo, hi;
} subgroup_ratio;
subgroup_ratio subgroup_oe(const metric_in *in);
#endif
