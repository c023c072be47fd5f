/* How sure are the measures of calibration? Women are drawn with replacement; every measure is made
 * again in every replicate, the mixture of classes of an enriched set too. evaluation.md 5, 8. */
#ifndef EVAL_CALIBRATE_BOOT_H
#define EVAL_CALIBRATE_BOOT_H

#include "core/pool.h"
#include "eval/calibrate.h"

typedef enum calibrate_measure {
    CALIBRATE_OE,
    CALIBRATE_INTERCEPT,
    CALIBRATE_SLOPE,
    CALIBRATE_BRIER,
    CALIBRATE_BRIER_SCALED,
    CALIBRATE_LOG_LOSS,
    CALIBRATE_ICI,
    CALIBRATE_MEASURES
} calibrate_measure;

/* Up to this many rows the measures of a replicate are those of its rows. More are put into so many
 * bins of equal width in the logit: intercept and slope by a Taylor series of order 4 inside a bin
 * (exact to about 1e-12), the smooth curve through the bins' means. */
#define CALIBRATE_POINTS 2048

/* Rows made ready for many replicates; `in` and what it borrows outlive it. */
typedef struct calibrate_rows calibrate_rows;
/* prevalence: classes are mixed anew so that this share are cases; NaN: as they are. NULL when a
 * score is no risk or a class is missing. */
calibrate_rows *calibrate_rows_new(const metric_in *in, double prevalence, int threads);
void calibrate_rows_free(calibrate_rows *r);
/* Measures of the rows of drawn clusters; NaN where undefined. False when a class is missing. */
bool calibrate_rows_measure(calibrate_rows *r, const int32_t *times, int thread,
                            double out[CALIBRATE_MEASURES]);

typedef struct calibrate_draws {
    double prevalence; /* as in calibrate_rows_new */
    int64_t replicates;
    uint64_t seed;
    int kind;   /* boot_kind */
    pool *pool; /* borrowed */
} calibrate_draws;
typedef struct calibrate_interval {
    double lo, hi; /* NaN: none */
} calibrate_interval;
/* 95 % intervals; strata: ever a case. `in` has clusters. */
void calibrate_boot(const metric_in *in, const calibrate_draws *how,
                    calibrate_interval out[CALIBRATE_MEASURES]);
#endif
