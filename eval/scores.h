/* Prediction tables in memory: one row per image (evaluation.md 1). */
#ifndef EVAL_SCORES_H
#define EVAL_SCORES_H

#include "core/err.h"

/* Columns that not every table has. */
typedef struct scores_more {
    int n_years, n_facts;
    const double *year;      /* [n_years] column score_h<k+1>: probability of cancer by year k+1 */
    const char *const *fact; /* [n_facts] text of the columns scores.fact_name; "" when missing */
} scores_more;

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
    const char *device_model, *site;    /* "" when absent */
    const char *density;                /* "" when absent */
    const char *member;                 /* which network made the score; "" when only one did */
    double exam_day;                    /* day of the exam on any common axis; NaN unknown */
    int line;                           /* of the file, for messages; 0 when not read from one */
    const scores_more *more;            /* NULL when the table has no such column */
} scores_row;

/* Bits of scores.columns. */
enum {
    SCORES_HAS_PATIENT = 1,
    SCORES_HAS_IMAGE = 2,
    SCORES_HAS_SIDE = 4,
    SCORES_HAS_VIEW = 8,
    SCORES_HAS_TIME = 16,
    SCORES_HAS_SPLIT = 32,
    SCORES_HAS_VENDOR = 64,
    SCORES_HAS_AGE = 128,
    SCORES_HAS_WEIGHT = 256
};

typedef struct scores {
    scores_row *row;
    int64_t n;
    struct scores_strings *strings; /* owner of the interned text */
    int64_t cap;                    /* private */
    int64_t n_merged;               /* rows that repeated an earlier one in every column */
    unsigned columns;               /* which optional columns the file had */
    int n_years, n_facts;           /* of every row's `more` */
    const char *const *fact_name;   /* [n_facts] columns that have no other meaning here, in lower
                                       case and byte order */
} scores;

#define SCORES_YEARS 10 /* most columns score_h<k> */

void scores_init(scores *s);
void scores_release(scores *s);
/* Append a row; its strings are copied. NULL strings count as "". `more` is kept only where the
 * table has such columns. */
void scores_add(scores *s, const scores_row *r);
/* Read a predictions.csv (or any CSV with exam_id, score, y; other columns optional). Without a
 * patient_id column every exam is its own patient. Columns score_h1, score_h2 ... are risks by
 * year, columns of unknown names are kept as facts. Rows end up in a canonical order that does not
 * depend on the order in the file. Fails on a missing column, a score outside [0,1], an empty exam
 * or patient, two labels for one image, an image in two exams, a patient in two splits. Messages
 * name the file and line, never an identifier. */
MUST_CHECK bool scores_read(scores *s, const char *path, err *e);
/* Keep only the rows of one split ("" keeps all). */
void scores_keep_split(scores *s, const char *split);
/* Keep only exams of exactly n images (of each network, where several made the scores). The rows
 * are those of scores_read. */
void scores_keep_whole(scores *s, int n);
/* Lower-case hex SHA-256 of the canonical rows: the same for any order of rows and columns. */
void scores_hash(const scores *s, char out[65]);
#endif
