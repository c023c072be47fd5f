/* Pure metrics over (score, label, weight, cluster); each one row of a table. evaluation.md 2-4. */
#ifndef EVAL_METRIC_H
#define EVAL_METRIC_H

#include "core/err.h"

typedef struct metric_in {
    const double *score;
    const int *y;         /* 0 or 1 */
    const double *weight; /* NULL = 1; a weight of 0 leaves the row out */
    const int *cluster;   /* patient index 0..n_clusters-1; NULL = every row its own */
    int64_t n;
    int n_clusters;
    bool sorted; /* the rows are in ascending order of score */
} metric_in;

typedef struct metric_value {
    double value, lo, hi, var; /* NaN = undefined, see reason */
    const char *reason; /* NULL or "ONE_CLASS", "DEGENERATE" (no interval), "TOO_FEW_CLUSTERS" */
    const char *ci;     /* "delong", "clustered", "" */
    int64_t n, events;
    const char *flag; /* NULL or "FEW_EVENTS" (<5 of a class), "UNSTABLE" (5-19), "CLIPPED" */
    double logit_lo, logit_hi; /* the interval on the logit scale, for value > 0.95 or few events */
    int digits; /* decimals that a report shows and writes; 0: as it shows all others, and all of
                   them. Set by report_build_coarse */
} metric_value;

#define METRIC_Z95      1.959963984540054 /* two-sided 95 % normal quantile */
#define METRIC_FEW      5                 /* fewer of a class: counts only */
#define METRIC_UNSTABLE 20                /* fewer of a class: value printed with a flag */

/* Mann-Whitney AUC, ties 1/2, O(n log n). Interval: Obuchowski's clustered variance when a cluster
 * has more than one row, else DeLong (identical then). Weighted rows: the weighted forms of both.
 */
metric_value metric_auc(const metric_in *in);

/* AUC and its interval as the report prints it: the logit interval when value > 0.95 or fewer than
 * 50 cases, value null with reason FEW_EVENTS below METRIC_FEW of a class. The clustered logit
 * interval has Student's t with one degree of freedom less than patients with the rarer class. An
 * AUC of 0 or 1 has no variance: ci "exact-pairs" is Clopper and Pearson's interval of as many
 * independent trials as the patients make pairs of a case and a control, each patient in one. */
metric_value metric_auc_report(const metric_in *in);

/* Paired difference of two scores on the same rows (in->score against score_b), clustered. */
typedef struct metric_pair {
    double a, b, var_a, var_b, cov;
    double diff, lo, hi, z, p; /* NaN = undefined */
} metric_pair;
metric_pair metric_auc_pair(const metric_in *in, const double *score_b);

/* The four parts of the clustered variance, for tests and for the curious (evaluation.md 4). */
typedef struct metric_clustered {
    int i, i10, i01; /* clusters, with a case, with a control */
    double s10, s01, s11;
} metric_clustered;
metric_clustered metric_auc_parts(const metric_in *in);

/* Hanley and McNeil's planning variance of an AUC with m cases and n controls. */
double metric_hanley_mcneil(double auc, int64_t m, int64_t n);

/* Area under the part of the ROC curve with a false-positive rate in [from, to], 0 <= from < to <=
 * 1, by trapezoids, and on McClish's scale, where chance is 0.5 and perfect is 1: (1 + (area -
 * least) / (most - least)) / 2, least = (to^2 - from^2)/2, most = to - from. NaN for one class or
 * another range. */
typedef struct metric_area {
    double area, standardised;
} metric_area;
metric_area metric_pauc(const metric_in *in, double from, double to);

/* Wilson's 95 % interval of k out of n; false when n is 0. */
bool metric_wilson(double k, double n, double *lo, double *hi);
/* Clopper and Pearson's exact 95 % interval. */
bool metric_clopper_pearson(int64_t k, int64_t n, double *lo, double *hi);
/* A share of 0 or 1 of the rows of a class (y < 0: of all) with an interval of no width, as
 * resampling gives: Clopper and Pearson's interval of the patients, each counted once. False, and
 * nothing changed, for any other share or interval. */
bool metric_exact_share(const metric_in *in, int y, double share, double *lo, double *hi);

/* Positive and negative predictive value at a prevalence; NaN where undefined. */
double metric_ppv(double sens, double spec, double prevalence);
double metric_npv(double sens, double spec, double prevalence);

/* The table: every row gets an interval, a line in eval.json and in the report. */
typedef struct metric_def {
    const char *id;
    double (*point)(const metric_in *in); /* NaN = undefined (one class only) */
    double min, max;
    bool higher_is_better;
    const char *level; /* "exam" */
    const char *source;
} metric_def;
extern const metric_def metric_table[];
extern const int metric_table_n;
#endif
