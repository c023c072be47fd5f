/* Which counts of a report may be told, so that no set of 1 to minimum - 1 women can be counted by
 * adding and subtracting numbers that are told. Every count of a table, rate and curve goes through
 * a ledger of this kind, in order of importance: what comes later and would give a small set away
 * stays hidden. Sets are sets of exams; women in them are counted. evaluation.md 1.
 *
 * The ledger knows the size of the set of all exams and of those with cancer: they are always told.
 * A set that is a sum or difference of told ones is told. A set is told when no guarded small set
 * becomes such a sum by it: that hides small sets, and beside a hidden one as much as is needed. */
#ifndef EVAL_DISCLOSE_H
#define EVAL_DISCLOSE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct disclose disclose;

/* [n] exams: whose (dense from 0) and with cancer or not; copied. minimum 0 or 1: all is told. */
disclose *disclose_new(const int *woman, const int *y, int64_t n, int64_t minimum);
void disclose_free(disclose *d);
int64_t disclose_minimum(const disclose *d);

typedef enum disclose_class { DISCLOSE_CONTROLS, DISCLOSE_CASES, DISCLOSE_ALL } disclose_class;
typedef struct disclose_set {
    const int64_t *row; /* [n] indices of exams, borrowed */
    int64_t n;
    disclose_class y;     /* of these exams, those of a class */
    const bool *positive; /* NULL, or [all exams]: of them those with positive[i] == want */
    bool want;
} disclose_set;

int64_t disclose_women(disclose *d, const disclose_set *s);
int64_t disclose_exams(const disclose *d, const disclose_set *s);
/* Fewer women than the minimum, but not none? */
bool disclose_small(disclose *d, const disclose_set *s);
/* The set is of interest: when it is small its size must not follow from what is told. Comes before
 * the sets that it could be worked out from. */
void disclose_guard(disclose *d, const disclose_set *s);
/* May the sizes of all these sets be told? Then they are; else none of them. */
bool disclose_tell(disclose *d, const disclose_set *s, int n);

/* Groups of exams that share none: guards first, for all groupings, then tells. */
typedef struct disclose_level {
    const int64_t *row; /* [n] borrowed */
    int64_t n;
    bool exams, cancers; /* out: may be told; cancers only with exams */
} disclose_level;
/* positive: the sign of every exam, or NULL: groups by sign and class are guarded, too. */
void disclose_guard_levels(disclose *d, const disclose_level *l, int n, const bool *positive);
void disclose_tell_levels(disclose *d, disclose_level *l, int n);

/* Exams in an order (by score, by time), cut in two: told cuts lie 0 or at least `minimum` women
 * apart, and as far from both ends. */
int disclose_order(disclose *d, const int64_t *row, int64_t n); /* its number */
/* All these cuts, order[k] behind its first at[k] exams, or none. The sets before them are not told
 * to the rest of the ledger. */
bool disclose_cut(disclose *d, const int *order, const int64_t *at, int n);

/* Numbers without a set of exams behind them (files of a flow): 1 to minimum - 1? */
bool disclose_few(int64_t minimum, int64_t v);
#endif
