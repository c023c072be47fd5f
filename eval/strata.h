/* Subgroups of exams by a column; a table of variables (evaluation.md 12). "unknown" is a level of
 * its own and never dropped. */
#ifndef EVAL_STRATA_H
#define EVAL_STRATA_H

#include "eval/exam.h"

typedef struct strata_var {
    const char *name, *title;
    /* Writes the level of an exam; levels are shown in order of the returned rank, then by name. */
    int (*level)(const exam_row *x, char *out, size_t cap);
} strata_var;
/* NULL when there is no such variable; the error names the known ones. */
const strata_var *strata_find(const char *name, err *e);

typedef struct strata_group {
    char level[64];
    int64_t *row; /* indices into the exam table, ascending */
    int64_t n;
} strata_group;
typedef struct strata_groups {
    strata_group *g; /* in order of rank and name, "unknown" last */
    int n;
} strata_groups;
void strata_split(const strata_var *v, const exam_table *t, strata_groups *out);
void strata_release(strata_groups *s);
#endif
