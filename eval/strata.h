/* Subgroups of exams; a table of variables (evaluation.md 12). "unknown" is a level of its own and
 * never dropped. */
#ifndef EVAL_STRATA_H
#define EVAL_STRATA_H

#include "eval/exam.h"

typedef struct strata_source {
    const exam_table *exams;           /* labelled ones */
    double screen_days, interval_days; /* of a cancer whose way of detection is not recorded */
} strata_source;

typedef struct strata_var strata_var;
/* Writes the level of an exam; levels stand in order of the returned rank, then by name. */
typedef int strata_level(const strata_var *v, const exam_row *x, char *out, size_t cap);
struct strata_var {
    const char *name;
    bool cases_only; /* speaks of the cancer: exams without one have no level and are the controls
                        of every level */
    strata_level *level;
    bool ordered;                      /* levels have neighbours: only these are joined */
    const struct strata_bands *bands;  /* of numbers, or NULL */
    int fact;                          /* index into the facts, -1 = there is no such column */
    double cut[2];                     /* of tertiles; NaN when values are names */
    double screen_days, interval_days; /* of the source */
};
/* A variable of the table, or any other column by its name; the error names the known ones. */
MUST_CHECK bool strata_find(const char *name, const strata_source *s, strata_var *out, err *e);

/* The name for readers. */
const char *strata_title(const strata_var *v);

typedef struct strata_group {
    char *level;     /* for readers, owned */
    char **member;   /* [n_members] the levels that were joined in it, owned */
    int n_members;   /* in order of rank and name */
    int first, last; /* ranks of the members that have a place in an order */
    bool unknown;    /* a member is the unknown level */
    int64_t *row;    /* indices into the exam table, ascending; of cases_only: the cancers of this
                        level and every exam without cancer */
    int64_t n, own;  /* rows; those that have this level */
} strata_group;
typedef struct strata_groups {
    strata_group *g; /* in order of rank and name, "unknown" last */
    int n;
    bool known; /* some exam has a known level */
} strata_groups;
void strata_split(const strata_var *v, const exam_table *t, strata_groups *out);
/* Group b goes into group a < b, which gets a name of both: a range where levels have an order;
 * else it becomes the last one, of all others together. */
void strata_join(const strata_var *v, strata_groups *g, int a, int b);
/* Exams of another table in the groups of `like`, which some may be empty of; behind them a group
 * for every other level. */
void strata_follow(const strata_var *v, const exam_table *t, const strata_groups *like,
                   strata_groups *out);
void strata_release(strata_groups *s);
#endif
