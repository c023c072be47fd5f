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

/* Bits of exam_row.views. */
enum { EXAM_RCC = 1, EXAM_LCC = 2, EXAM_RMLO = 4, EXAM_LMLO = 8, EXAM_ALL_VIEWS = 15 };

typedef struct exam_row {
    const char *exam, *patient; /* borrowed from the scores */
    int patient_index;          /* 0.. dense, patients in byte order of the pseudonym */
    double score;               /* rounded to 12 decimals */
    int y;                      /* max over images; -1 if any image is unknown */
    int n_images, n_views;      /* n_views: distinct of RCC LCC RMLO LMLO */
    double weight, t_years;
    int event, age;
    const char *vendor;                        /* "mixed" if the images disagree */
    const char *device_model, *site, *density; /* likewise */
    const char *split;
    unsigned views;  /* which of the four */
    double exam_day; /* NaN unknown */
    double *year;    /* [n_years] risk by year k+1, from the images as the score; of table */
    const char *const *fact; /* [n_facts] "mixed" if the images disagree; of the table */
} exam_row;
typedef struct exam_table {
    exam_row *row; /* byte order of exam pseudonym */
    int64_t n;
    int n_patients;
    int n_years, n_facts;
    const char *const *fact_name; /* borrowed from the scores */
    double *year;                 /* private: what the rows point at, as is fact */
    const char **fact;
} exam_table;
/* Aggregate all rows. Members (several networks) are averaged per exam after the rule; every member
 * must have scored the same images. Contradictions inside an exam (two patients, two times, two
 * weights, two ages) fail, as do mean_views without views and max_breast without laterality. */
MUST_CHECK bool exam_build(const scores *s, exam_rule rule, exam_table *out, err *e);
void exam_release(exam_table *t);
/* A table of its own with the same rows. */
void exam_copy(const exam_table *from, exam_table *to);
/* The index of a fact, or -1. */
int exam_fact(const exam_table *t, const char *name);
/* The grid on which scores are compared, so that the order of a sum never makes or breaks a tie. */
double exam_round(double score);
/* Number the patients again after rows were removed; rows stay in order. */
void exam_number_patients(exam_table *t);
#endif
