/* Pure metrics over (score, label, weight, cluster); each one row of a table. evaluation.md 2-4. */
#ifndef EVAL_METRIC_H
#define EVAL_METRIC_H

#include "core/err.h"

typedef struct metric_in {
    const double *score;
    const int *y;          /* 0 or 1 */
    const double *weight;  /* NULL = 1 */
    const int *cluster;    /* patient index 0..n_clusters-1; NULL = every row its own */
    int64_t n;
    int n_clusters;
} metric_in;

typedef struct metric_value {
    double value, lo, hi, var; /* NaN = undefined, see reason */
    const char *reason;        /* NULL or "ONE_CLASS", "DEGENERATE", "FEW_EVENTS"... */
    const char *ci;            /* "delong", "clustered", "" */
    int64_t n, events;
    const char *flag;          /* NULL or "UNSTABLE", "CLIPPED" */
} metric_value;

/* Mann-Whitney AUC, ties 1/2, O(n log n). Interval: Obuchowski's clustered variance when a cluster
 * has more than one row, else DeLong (identical then). */
metric_value metric_auc(const metric_in *in);
#endif
