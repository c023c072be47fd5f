/* Prediction tables in memory: one row per image (evaluation.md 1). */
#ifndef EVAL_SCORES_H
#define EVAL_SCORES_H

#include "core/err.h"

typedef struct scores_row {
    const char *exam, *patient, *image; /* pseudonyms, interned in the table */
    char side;                          /* 'L', 'R', '?' */
    char view;                          /* 'C' CC, 'M' MLO, '?' */
    double score;                       /* probability */
    int y;                              /* 0, 1; -1 unknown */
    double t_years;                     /* time to event or censoring; NaN unknown */
    int event;                          /* 1, 0; -1 unknown */
    double weight;                      /* 1 when absent */
    int age;                            /* years; -1 unknown */
    const char *split, *vendor;         /* "" when absent */
} scores_row;

typedef struct scores {
    scores_row *row;
    int64_t n;
    struct scores_strings *strings; /* owner of the interned text */
} scores;

void scores_init(scores *s);
void scores_release(scores *s);
/* Append a row; its strings are copied. */
void scores_add(scores *s, const scores_row *r);
/* Read a predictions.csv (or any CSV with exam_id, score, y; other columns optional). Fails on a
 * missing column, a score outside [0,1], two labels for one image, a patient in two splits. */
MUST_CHECK bool scores_read(scores *s, const char *path, err *e);
#endif
