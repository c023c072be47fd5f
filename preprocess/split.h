/* split: join labels, judge exams, make folds, write COHORT.h5 and split.csv (dicom.md 4, 6). */
#ifndef PREPROCESS_SPLIT_H
#define PREPROCESS_SPLIT_H

#include "core/cfg.h"
#include "preprocess/labels.h"

extern const cfg_group split_options; /* "split.*", "exam.*", "clinical.*" */
typedef struct split_opts {
    const char *store, *labels_csv, *out; /* out: COHORT.h5; split.csv beside it */
    const char *keep;                     /* OLD_split.csv or NULL */
    const cfg *config;
    int threads;
    bool force;
} split_opts;
typedef struct split_result {
    int64_t images, exams, patients, positives; /* exams positive at the first horizon */
    int64_t fold_exams[4], fold_positives[4];
} split_result;
MUST_CHECK bool split_run(const split_opts *o, split_result *out, err *e);
#endif
