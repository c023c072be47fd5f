/* Image -> exam aggregation; a table of rules (evaluation.md 1). */
#ifndef EVAL_EXAM_H
#define EVAL_EXAM_H

#include "eval/scores.h"

typedef enum exam_rule {
    EXAM_MEAN_IMAGES, /* the headline */
    EXAM_MEAN_VIEWS,
    EXAM_MAX_BREAST,
    EXAM_MAX_IMAGES,
    EXAM_MEAN_LOGIT,
    EXAM_RULES
} exam_rule;
const char *exam_rule_name(exam_rule r);

typedef struct exam_row {
    const char *exam, *patient; /* borrowed from the scores */
    int patient_index;          /* 0.. dense, patients in byte order of the pseudonym */
    double score;               /* rounded to 12 decimals */
    int y;                      /* max over images; -1 if any image is unknown */
    int n_images, n_views;      /* n_views: distinct of RCC LCC RMLO LMLO */
    double weight, t_years;
    int event, age;
    const char *vendor;
} exam_row;
typedef struct exam_table {
    exam_row *row; /* byte order of exam pseudonym */
    int64_t n;
    int n_patients;
} exam_table;
/* Aggregate all rows. Contradictions inside an exam (two patients, two times) fail. */
MUST_CHECK bool exam_build(const scores *s, exam_rule rule, exam_table *out, err *e);
void exam_release(exam_table *t);
#endif
