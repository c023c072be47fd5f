/* Scores of cohort rows by a network, and what they are worth: the one scoring loop that validation
 * and predict share. */
#ifndef TRAIN_VALIDATE_H
#define TRAIN_VALIDATE_H

#include "core/ranks.h"
#include "eval/metric.h"
#include "train/checkpoint.h"
#include "train/loader.h"

#define VALIDATE_BATCH 16 /* images that are scored together */

typedef struct validate_rows { /* all borrowed */
    model *net;
    loader *load;
    const checkpoint_info *info;
    const int64_t *row; /* [n] */
    int64_t n;
    const keep_plan *keep; /* patches drawn for each image by its name; NULL: all */
    ranks *ranks;          /* processes that share the rows, and all get the scores; NULL: alone */
} validate_rows;
/* score[i], logit[i] of row[i]: softmax probability of class 1 and log-odds. The result of an image
 * never depends on its neighbours. */
MUST_CHECK bool validate_score(const validate_rows *v, double *score, double *logit, err *e);

typedef struct validate_result {
    double loss;              /* mean cross-entropy without smoothing */
    metric_value image, exam; /* AUC */
} validate_result;
/* Rows of c; numbers that decide are those of process 0. */
MUST_CHECK bool validate_run(const validate_rows *v, const cohort *c, validate_result *out, err *e);

/* Probability of class 1 and log-odds against the rest from K logits, in double. */
void validate_probability(const float *logits, int classes, double *score, double *logit);
#endif
