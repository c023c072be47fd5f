/* What a report may tell of counts: the ledgers of its exams (disclose.h), filled in order of
 * importance before the first part runs. A part asks here before it shows a count, or a rate that a
 * count could be worked out from; what has been told once is told again. */
#ifndef EVAL_REPORT_TELL_H
#define EVAL_REPORT_TELL_H

#include "eval/disclose.h"
#include "eval/operate.h"
#include "eval/strata.h"

typedef struct report_tell {
    disclose *all, *val; /* of the evaluated exams, of those of --val (NULL without) */
    int cases, controls; /* orders of `all`: its exams of a class, highest scores first */
    int rest;            /* as `controls`, for groups of known numbers of exams alone: */
    double threshold;    /* of the subgroups; NaN: none */
    bool *positive;      /* [exams] at or above it; NULL without a threshold */
} report_tell;

/* One variable of subgroups for a ledger: rows, and what may be told. */
typedef struct tell_groups {
    disclose_level *l; /* [n] in the order of the groups */
    int n;
    int64_t *row; /* private */
    int64_t rows;
} tell_groups;
void tell_groups_release(tell_groups *t);

/* Variables that are shown whatever eval.subgroups says. */
#define REPORT_TELL_ALWAYS 4
extern const char *const report_tell_always[REPORT_TELL_ALWAYS];

struct report_build;
void report_tell_init(struct report_build *b);
void report_tell_release(report_tell *t);

/* A new order of a ledger: the exams of a class in a view, highest scores first. */
int report_tell_order(disclose *d, const cohort_view *v, const double *score, int y);
/* Ask again for the groups of the evaluated exams, or (val) of those of --val. */
void report_tell_groups(const struct report_build *b, bool val, const strata_groups *g,
                        const strata_var *v, tell_groups *out);
/* A cut of the scores: `flagged` exams with (without) cancer at or above it. */
bool report_tell_cases(const struct report_build *b, int64_t flagged);
bool report_tell_controls(const struct report_build *b, int64_t flagged);
bool report_tell_both(const struct report_build *b, int64_t cases, int64_t controls);
/* The edge of a group of equal count. Beside a threshold it may tell of few exams without cancer
 * that lie between the two, of whom nothing else is known; of few with cancer it never does. */
bool report_tell_edge(const struct report_build *b, int64_t cases, int64_t controls);

typedef struct tell_sizes {
    bool exams, cancers; /* may be told; exams: women, too */
} tell_sizes;
/* A subset of the evaluated exams. */
tell_sizes report_tell_subset(const struct report_build *b, const int64_t *row, int64_t n);
#endif
