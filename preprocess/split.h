/* split: join labels, judge exams, make folds, write COHORT.h5 and split.csv (dicom.md 4, 6). */
#ifndef PREPROCESS_SPLIT_H
#define PREPROCESS_SPLIT_H

#include "core/cfg.h"
#include "dicom/record.h"
#include "preprocess/cohort.h"
#include "preprocess/labels.h"

extern const cfg_group split_options; /* "split.*", "exam.*", "clinical.*" */
/* Which of two images of one view is the better one: for presentation, not synthetic, no modifier,
 * the wanted implant view, more breast, the later exposure, the smaller pixel hash. < 0: x. The
 * same rule serves the split and the scoring of a single exam, which has no pseudonyms: the hash of
 * the pixels, never equal here, is the last word in both. dicom.md 4. */
typedef struct split_choice {
    bool processing, synthetic, prefer_displaced;
    uint32_t modifiers, breast_pixels;
    int time;               /* of acquisition, seconds since midnight; -1 unknown */
    const char *pixel_hash; /* lower-case hex */
} split_choice;
int split_better(const split_choice *x, const split_choice *y);
bool split_is_synthetic(const record *r, const reason_set *noticed);
bool split_keeps_best_view(const cfg *c);   /* exam.duplicate_view is best */
bool split_prefers_displaced(const cfg *c); /* exam.implant_displaced is prefer */

typedef struct split_opts {
    const char *store, *labels_csv, *out; /* out: COHORT.h5; split.csv beside it */
    const char *keep;                     /* OLD_split.csv or NULL */
    const cfg *config;
    int threads;
    bool force;
} split_opts;
typedef struct split_result {
    int64_t images, exams, patients, positives; /* exams positive at the first horizon */
    int64_t fold_patients[COHORT_FOLDS], fold_images[COHORT_FOLDS];
    int64_t fold_exams[COHORT_FOLDS], fold_positives[COHORT_FOLDS];
    labels_matches matches;
} split_result;
MUST_CHECK bool split_run(const split_opts *o, split_result *out, err *e);
#endif
