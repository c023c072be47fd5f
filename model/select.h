/* Token selectors: they fill keep lists and token maps; no gradient, no arithmetic on values.
 * Every draw is a function of (seed, sample, epoch). patchdropout.md 1. */
#ifndef MODEL_SELECT_H
#define MODEL_SELECT_H

#include "model/op.h"

/* How kept patches are drawn. random: k distinct patches, uniform over subsets (PatchDropout).
 * structured: random rows x random columns; cropping: one random block; grid: every second row and
 * column and so on, offset 0: these three keep select_count patches, near keep * N. breast: as
 * random, but background goes first. */
typedef enum select_mode {
    SELECT_RANDOM,
    SELECT_STRUCTURED,
    SELECT_CROPPING,
    SELECT_GRID,
    SELECT_BREAST
} select_mode;

/* Number of kept patches: SELECT_RANDOM, BREAST trunc(N*keep); STRUCTURED, CROPPING:
 * trunc(rows*sqrt(keep))
 * * trunc(cols*sqrt(keep)); GRID: ceil(rows/s) * ceil(cols/s), s = round(1/sqrt(keep)). */
int select_count(select_mode mode, int rows, int cols, double keep);
/* out[select_count] ascending patch indices of one sample. keep == 1: all, without a draw. Not for
 * SELECT_BREAST. */
void select_patches(select_mode mode, int rows, int cols, double keep, uint64_t seed,
                    uint64_t sample, uint64_t epoch, int32_t *out);
/* SELECT_BREAST: k of n patches, breast [n] telling which of them hold breast: uniform over subsets
 * of these, or all of them and the rest of background. The same draw as SELECT_RANDOM where all
 * patches hold breast. */
void select_breast(const uint8_t *breast, int n, int k, uint64_t seed, uint64_t sample,
                   uint64_t epoch, int32_t *out);

/* Map that keeps the batch's kept patches behind `prefix` tokens; memory of the run. */
void select_kept(run *r, const model_batch *batch, int patches, int prefix, op_map_spec *out);
/* Rows from .. from + n - 1 of every sample, as they are. */
tensor *select_rows(run *r, tensor *x, int from, int n);
#endif
