/* split: join labels, judge exams, make folds, write COHORT.h5 and split.csv (dicom.md 4, 6). */
#ifndef PREPROCESS_SPLIT_H
#define PREPROCESS_SPLIT_H

#include "core/cfg.h"
#include "preprocess/labels.h"

extern const cfg_group split_options; /* "split.*", "exam.*", "clinical.*" */
/* Which of two images of one view is the better one: no modifier, more breast, smaller pixel hash.
 * < 0: x. The same rule serves the split and the scoring of a single exam. */
typedef struct split_choice {
    uint32_t modifiers, breast_pixels;
    const char *pixel_hash;
} split_choice;
int split_better(const split_choice *x, const split_choice *y);
bool split_keeps_best_view(const cfg *c); /* exam.duplicate_view is best */

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
