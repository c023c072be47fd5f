/* PRED/robustness.csv (docs/formats.md 5): scores of exams under masks, checked as foreign bytes
 * are. Absent: no condition. */
#ifndef EVAL_ROBUST_IN_H
#define EVAL_ROBUST_IN_H

#include "core/err.h"

#define ROBUST_IN_MASK 24

typedef struct robust_condition {
    char mask[ROBUST_IN_MASK]; /* "none", "random", ..., "view_RCC" */
    double keep;               /* NaN for views, where it differs from exam to exam */
    int repeat;
    double tokens, ms; /* sums over its exams */
    int64_t n;         /* of these */
} robust_condition;

typedef struct robust_in {
    char **exam; /* [n_exams], owned; pseudonyms in the order of the file */
    int64_t n_exams;
    robust_condition *condition; /* in the order of the file */
    int n_conditions;
    double *score; /* [n_conditions, n_exams]; NaN: no such row */
    char sha256[65];
} robust_in;

void robust_in_init(robust_in *r);
void robust_in_release(robust_in *r);
/* path may be absent. */
MUST_CHECK bool robust_in_read(robust_in *r, const char *path, err *e);
#endif
