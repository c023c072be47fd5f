/* What a report may tell of counts: the ledgers of its exams (disclose.h), filled in order of
 * importance before the first part runs. A part asks here before it shows a count, or a rate that a
 * count could be worked out from; what has been told once is told again. */
#ifndef EVAL_REPORT_TELL_H
#define EVAL_REPORT_TELL_H

#include "core/text.h"
#include "eval/disclose.h"
#include "eval/operate.h"
#include "eval/strata.h"

/* The variables of the report, those that are shown whatever eval.subgroups says first. */
#define REPORT_TELL_ALWAYS 4
extern const char *const report_tell_always[REPORT_TELL_ALWAYS];

/* One variable, in groups that may be told (coarse.h): the same for all tables. */
typedef struct tell_variable {
    strata_var var;
    bool always, asked;   /* one of REPORT_TELL_ALWAYS; of eval.subgroups */
    strata_groups groups; /* of the evaluated exams */
    strata_groups val; /* of those of --val: the same first groups.n, which may be empty here, and
                          then the levels that only they have */
    bool shown;        /* false: all exams together would be the only group */
    bool joined;       /* a group has several levels */
    bool val_told;     /* numbers of `val` */
    bool sens, spec;   /* signs at the threshold, of all groups */
} tell_variable;

/* Groups of both sets; those that only --val has are counted only where numbers of it are told. */
int tell_variable_groups(const tell_variable *v);

/* The evaluated exams in groups of equal count by rising score, as few of them joined as must be.
 */
typedef struct tell_bands {
    int asked, n;      /* groups; n < asked: some were joined; 1 or 0: nothing to show */
    int *of;           /* [exams] their group, -1: no weight */
    int *first, *last; /* [n] the groups of equal count that each is made of, from 1 */
} tell_bands;

typedef struct report_tell {
    disclose *all, *val; /* of the evaluated exams, of those of --val (NULL without) */
    int cases, controls; /* orders of `all`: its exams of a class, highest scores first */
    int rest;            /* as `controls`, for groups of known numbers of exams alone: */
    double threshold;    /* of the subgroups; NaN: none */
    bool *positive;      /* [exams] at or above it; NULL without a threshold */
    tell_variable *variable;
    int n_variables;
    tell_bands deciles, tenths; /* eval.risk_groups groups; CALIBRATE_BINS groups */
} report_tell;

struct report_build;
void report_tell_init(struct report_build *b);
void report_tell_release(report_tell *t);

/* A new order of a ledger: the exams of a class in a view, highest scores first. */
int report_tell_order(disclose *d, const cohort_view *v, const double *score, int y);
/* NULL: no such variable. */
const tell_variable *report_tell_variable(const struct report_build *b, const char *name);
/* Groups of a band table as they are named: "3", or "1 to 3". */
void report_tell_band_name(const tell_bands *t, int group, text *out);
/* A cut of the scores: `flagged` exams with (without) cancer at or above it. */
bool report_tell_cases(const struct report_build *b, int64_t flagged);
bool report_tell_controls(const struct report_build *b, int64_t flagged);
bool report_tell_both(const struct report_build *b, int64_t cases, int64_t controls);

typedef struct tell_sizes {
    bool exams, cancers; /* may be told; exams: women, too */
} tell_sizes;
/* A subset of the evaluated exams. */
tell_sizes report_tell_subset(const struct report_build *b, const int64_t *row, int64_t n);
#endif
