/* Which exams the image page shows, and why: by turns one of each kind, so that nobody picks the
 * pictures that please. A pure function of scores, labels and a seed. */
#ifndef TRAIN_PAGE_CHOICE_H
#define TRAIN_PAGE_CHOICE_H

#include "preprocess/cohort.h"

typedef enum page_why {
    PAGE_HIGHEST,
    PAGE_MISSED,      /* cancer, and a score in the lower half; the lowest first */
    PAGE_FALSE_ALARM, /* no cancer, and a score in the upper half; the highest first */
    PAGE_LOWEST,
    PAGE_RANDOM,
    PAGE_NOT_CHOSEN
} page_why;
const char *page_why_name(page_why w); /* "highest" "missed" "false_alarm" "lowest" "random" */

typedef struct page_exam {
    const char *id;    /* borrowed from the cohort */
    double score;      /* mean of its images */
    double percentile; /* share of exams that score lower, ties counted half, in per cent */
    int y;
    int64_t first, last; /* places in row[] */
    page_why why;
} page_exam;

typedef struct page_scored { /* all borrowed */
    const cohort *data;
    const int64_t *row; /* [n]; the rows of an exam are neighbours */
    const double *score;
    int64_t n;
    int horizon;
} page_scored;
/* All exams, ascending by score, then name; `want` of them are chosen. Owned by the caller. */
page_exam *page_choice_make(const page_scored *s, int want, uint64_t seed, int64_t *n);
#endif
