/* Which rows an epoch trains on, and in which order: a function of (cohort, seed, epoch) only. */
#ifndef TRAIN_SAMPLER_H
#define TRAIN_SAMPLER_H

#include "preprocess/cohort.h"

/* Rows that sampler_draw may write. */
int64_t sampler_cap(const cohort *c);
/* Shuffled training rows with a known class at `horizon`; returns their number. balanced: all
 * positives and, vendor by vendor, as many negatives, drawn afresh every epoch (with replacement
 * where a vendor has too few); else every row once. patchdropout.md 5. */
int64_t sampler_draw(const cohort *c, int horizon, bool balanced, uint64_t seed, int64_t epoch,
                     int64_t *out);
#endif
