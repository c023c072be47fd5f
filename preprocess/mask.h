/* The thumbnail's mask on a canvas: which pixels of a canvas row lie in it, as runs. The mask is
 * read bilinearly between the centres of its pixels; a half or more is inside. */
#ifndef PREPROCESS_MASK_H
#define PREPROCESS_MASK_H

#include <stdint.h>

#include "core/mem.h"

typedef struct mask_axis { /* one axis of the canvas: from its pixels to mask pixels */
    int n;                 /* canvas pixels */
    int mask_n;            /* mask pixels */
    int *at;               /* [n] the mask pixel at or before, arena */
    int *share;            /* [n] of the next one, 0..256 */
    int *first;     /* [mask_n + 1] first canvas pixel whose `at` is not below; n at the end */
    uint16_t *line; /* [mask_n] scratch of mask_row */
} mask_axis;
/* Canvas pixel i has its centre at from + (i + 0.5) * step mask pixels (0.5: centre of the first).
 */
void mask_axis_make(mask_axis *x, int n, int mask_n, double from, double step, arena *a);

typedef struct mask_run {
    int x0, x1; /* end exclusive */
} mask_run;
/* Runs of row y inside the mask [y.mask_n, x.mask_n] of 0/1, from left to right; returns their
 * number, at most (x.mask_n + 1) / 2 + 1. ax->line is written. */
int mask_row(const uint8_t *mask, const mask_axis *ax, const mask_axis *ay, int y, mask_run *out);
#endif
