/* Time to diagnosis: discrimination and accuracy of a score when exams are followed for unequal
 * times. Pure functions over arrays. evaluation.md 11. Sources: Kaplan and Meier 1958, Harrell
 * 1996, Graf 1999, Antolini 2005, Uno 2007 and 2011, Yala 2021 (Mirai). */
#ifndef EVAL_SURVIVE_H
#define EVAL_SURVIVE_H

#include "eval/metric.h"

/* Rows whose t is NaN or negative, whose event is neither 0 nor 1, or whose weight is 0 are left
 * out by every function; so are cancers at t <= early when drop_early is set. */
typedef struct survive_in {
    const double *score;  /* [n_scores, n]; score[k*n + i]: risk of row i by the end of year k+1 */
    int n_scores;         /* 1: one score for every time */
    const double *t;      /* years from the exam to the cancer, or to the last time seen without */
    const int *event;     /* 1 cancer at t, 0 without cancer until t */
    const int *cluster;   /* patient index 0..n_clusters-1; NULL = every row its own */
    const double *weight; /* NULL = 1 */
    int64_t n;
    int n_clusters;
    bool drop_early; /* leave out cancers at t <= early: those the exam itself could show */
    double early;    /* years */
    bool sorted;     /* the rows are in ascending order of t */
} survive_in;

/* The column of `score` that speaks of time t: years (k, k+1] have column k, 0 has column 0, times
 * after the last column have the last one. */
int survive_column(const survive_in *in, double t);

/* ---- Kaplan-Meier ---------------------------------------------------------------------------- */

typedef enum survive_what {
    SURVIVE_CANCER,   /* S: still without cancer */
    SURVIVE_CENSORING /* G: still observed; at equal times cancers leave before censorings */
} survive_what;
typedef struct survive_km {
    double *time,
        *after; /* [n] ascending times at which the curve falls; its value from there on */
    int64_t n;
    double last; /* largest time of any row; NaN without rows */
} survive_km;
void survive_km_build(const survive_in *in, survive_what what, survive_km *out);
void survive_km_release(survive_km *km);
double survive_km_at(const survive_km *km, double t);     /* right-continuous: falls at t count */
double survive_km_before(const survive_km *km, double t); /* left limit: falls at t do not count */

/* ---- AUC at year h --------------------------------------------------------------------------- */

typedef enum survive_rule {
    /* Cases: cancer at t <= h. Controls: t >= h and not a case (later cancers too). Others have no
     * part. Weights as given. */
    SURVIVE_MIRAI,
    /* Uno 2007, cumulative/dynamic. Cases: cancer at t <= h, weight w / G(t-). Controls: t > h,
     * weight w. Others have no part. */
    SURVIVE_IPCW
} survive_rule;
/* The cases and controls at h > 0 as rows for the functions of metric.h; the score is that of the
 * column of h. */
typedef struct survive_rows {
    double *score, *weight;
    int *y, *cluster;
    int64_t n, cases, lost; /* lost: followed, but neither case nor control */
    metric_in in;           /* of the arrays above */
} survive_rows;
void survive_rows_build(const survive_in *in, double h, survive_rule rule, survive_rows *out);
void survive_rows_release(survive_rows *r);
/* metric_auc of those rows: value, DeLong or clustered interval (G taken as known), n, events,
 * reason ONE_CLASS without cases or controls. */
metric_value survive_auc(const survive_in *in, double h, survive_rule rule);

/* ---- concordance ----------------------------------------------------------------------------- */

/* A pair (i, j) counts if i has cancer and t_i < t_j, or t_i = t_j and j has none. Concordant: the
 * score of i is higher; tied scores count one half; two cancers at one time are no pair. With
 * several columns both rows are read in the column of t_i (Antolini). */
typedef struct survive_c {
    double value;            /* NaN = undefined, see reason */
    double var, lo, hi;      /* infinitesimal jackknife, by cluster where given; NaN = undefined */
    double conc, disc, tied; /* sums of the pairs' weights (w_i w_j, for Uno over G(t_i-)^2) */
    int64_t n, events;
    const char *reason; /* NULL, "NO_PAIRS", "DEGENERATE" (no interval), "WEIGHT_INFINITE" */
    const char *ci;     /* "jackknife", "jackknife-clustered" or "" */
    const char *flag;   /* NULL or "CLIPPED" */
} survive_c;
/* Harrell's C. The variance is that of R's survival::concordance, with cluster= where given. */
survive_c survive_harrell(const survive_in *in);
/* Uno's C: pairs weighted 1 / G(t_i-)^2, pairs with t_i > tau left out (tau NaN or infinite: none).
 * R: concordance(timewt = "n/G2", ymax = tau); G is taken as known in the variance. */
survive_c survive_uno(const survive_in *in, double tau);
/* What Mirai's program prints, for comparison with published numbers only: Kaplan-Meier of the
 * cancers in place of the censorings, right-continuous and at the later time: a pair has weight
 * 1 / S(t_j)^2 and is read in the column of t_j. No variance. Reason WEIGHT_INFINITE: S is 0 at the
 * end. */
survive_c survive_mirai_compat(const survive_in *in);

/* ---- probabilities --------------------------------------------------------------------------- */

/* The score of the column of h, read as the probability of cancer by h. */
typedef struct survive_risk {
    double brier;                   /* Graf 1999, weights 1/G; sum over rows / sum of weights */
    double incidence;               /* 1 - S(h) */
    double expected;                /* weighted mean of the score */
    double oe;                      /* incidence / expected */
    int64_t n, cases, beyond, lost; /* cancer at t <= h; t > h; without cancer at t <= h */
    const char *reason; /* NULL; all NaN: "NO_FOLLOW_UP" (no rows), "NOT_RISK" (a score outside
                           0..1), "BEYOND_FOLLOW_UP" (no t > h) */
} survive_risk;
survive_risk survive_risk_at(const survive_in *in, double h);
/* The same at several years: out[n]. */
void survive_risk_years(const survive_in *in, const double *h, int n, survive_risk *out);

/* ---- when a cancer was found ----------------------------------------------------------------- */

typedef enum survive_bin {
    SURVIVE_NONE,   /* no cancer, or unknown */
    SURVIVE_SCREEN, /* t <= screen_days / SURVIVE_YEAR */
    SURVIVE_INTERVAL,
    SURVIVE_LATER /* t > interval_days / SURVIVE_YEAR */
} survive_bin;
#define SURVIVE_YEAR 365.25 /* days */
survive_bin survive_bin_of(double t, int event, double screen_days, double interval_days);
#endif
