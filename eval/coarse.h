/* Groups that are coarse enough to be told: small ones are joined before anything is computed of
 * them, so that no row of a table has to be hidden for its size. A minimum of 0 or 1 joins nothing.
 * evaluation.md 1. */
#ifndef EVAL_COARSE_H
#define EVAL_COARSE_H

#include "eval/disclose.h"
#include "eval/strata.h"

/* The small ones of these groups, also by the sign of their exams (positive, or NULL), must not be
 * worked out from what is told. Before anything is joined or told. */
void coarse_guard(disclose *d, const strata_groups *g, const bool *positive);
/* Joins until every group has the minimum of women with cancer and of women without, and exams and
 * cancers of all groups may be told: then they are. Levels in an order go with the smaller
 * neighbour, others together. False: they end in one group. */
bool coarse_groups(disclose *d, const strata_var *v, strata_groups *g);
/* May it be told how many exams every group holds? Then it is; also of groups without any. */
bool coarse_counts(disclose *d, const strata_var *v, const strata_groups *g);
/* May it be told of the exams of a class how many are positive, in every group? Only when each has
 * the minimum of women on both sides: a group without anybody on one side would tell where all of
 * them are. */
bool coarse_signs(disclose *d, const strata_groups *g, disclose_class y, const bool *positive);

/* Cuts exams with falling scores, row[n], behind edge[k] of them: keeps the cuts between which both
 * classes have the minimum of women, and that fit(ctx, cases, controls) allows, from the highest
 * score on. Returns how many are left in edge. */
int coarse_edges(disclose *d, const int64_t *row, int64_t n, int64_t *edge, int k,
                 bool (*fit)(void *ctx, int64_t cases, int64_t controls), void *ctx);
#endif
