/* Risk strata: rows in (score, index) order cut into groups of equal count, lowest first.
 * evaluation.md 10. */
#ifndef EVAL_DECILE_H
#define EVAL_DECILE_H

#include "eval/calibrate.h"
#include "eval/rate.h"

#define DECILE_MAX 100

/* With weights: counts n and events stay those of rows; everything else is weighted, intervals use
 * the effective numbers of calibrate.h. No interval knows of repeated exams. */
typedef struct decile_row {
    calibrate_group
        group;       /* n, events, mean risk, rate with Wilson's interval, scores, tie_split */
    double observed; /* weighted cases */
    double expected; /* weighted sum of risks */
    rate_value oe;   /* observed / expected, exact Poisson interval */
    double share;    /* of all (weighted) cases; NaN without a case */
    rate_value versus_lowest; /* rate ratio against the first group */
    rate_value
        versus_middle; /* against the middle: group (k-1)/2, or for even k both middle groups */
} decile_row;
typedef struct decile_table {
    decile_row row[DECILE_MAX];
    int k;              /* groups: as asked, or fewer when there are fewer rows */
    rate_trend trend;   /* of the unweighted rates over the groups */
    bool tie_split;     /* equal scores straddle a cut somewhere */
    const char *reason; /* NULL, "EMPTY", "NOT_RISK" */
} decile_table;
/* of[n]: the group of every row, lowest first, -1: in none; NULL: k groups of equal count. */
void decile_build(const metric_in *in, const int *of, int k, decile_table *out);
#endif
