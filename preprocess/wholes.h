/* What becomes of exams and women when files are left out, one reason after the other: an exam is
 * lost at the reason that takes the last of its files, and touched by those before. The same holds
 * for a woman. Names are numbers of the caller; 0 = the file does not say. docs/formats.md 2. */
#ifndef PREPROCESS_WHOLES_H
#define PREPROCESS_WHOLES_H

#include "core/json.h"

typedef struct wholes_file {
    uint64_t exam, woman;
    int32_t step; /* in the order of judgement, from 0; WHOLES_KEPT: not left out */
    bool part;    /* private: of an exam that is kept and lost a file */
} wholes_file;
#define WHOLES_KEPT INT32_MAX

typedef struct wholes {
    wholes_file *file; /* [n] owned */
    int64_t n, cap;
} wholes;
void wholes_add(wholes *w, uint64_t exam, uint64_t woman, int32_t step);
void wholes_release(wholes *w);
/* The first half of a pseudonym as a number: of a few million, two are alike with a chance below
 * one in a million. hex: 32 digits, or "" for none. */
uint64_t wholes_name(const char *hex);

/* How many a step took: `touched` lost files, `lost` their last ones. */
typedef struct wholes_step {
    int64_t exams_touched, exams_lost, women_touched, women_lost;
} wholes_step;
typedef struct wholes_total {
    int64_t exams, women; /* that any file names */
    int64_t exams_part;   /* that are kept and lost a file on the way */
    int64_t women_part;   /* of these exams */
} wholes_total;
/* step: [steps]. Sorts the files. */
wholes_total wholes_count(wholes *w, wholes_step *step, int steps);

/* Write a step into a row of books: exams_in, exams_out, exams_touched and the same of women;
 * *exams and *women are what was there before, and become what is left. */
void wholes_put(json_t *row, const wholes_step *s, int64_t *exams, int64_t *women);
#endif
