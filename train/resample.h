/* Learnt values on a grid brought to another grid: position embeddings and tables of relative
 * positions, as torch's interpolate does it with align_corners = false. */
#ifndef TRAIN_RESAMPLE_H
#define TRAIN_RESAMPLE_H

#include "core/err.h"

typedef enum resample_how {
    RESAMPLE_BILINEAR,  /* timm 0.4.12: no antialias */
    RESAMPLE_BICUBIC,   /* a = -0.75, no antialias (timm 0.4.13 to 0.8) */
    RESAMPLE_BICUBIC_AA /* a = -0.5, filter widened when shrinking (timm 0.9 on) */
} resample_how;
#define RESAMPLE_WORDS "bilinear|bicubic|bicubic_aa" /* of the configuration, in that order */
const char *resample_name(resample_how how);         /* its word */
resample_how resample_of(const char *word);          /* BUG for any other word */

/* Values [outer][rows][cols][inner]. */
typedef struct resample_grid {
    int64_t outer, inner;
    int from_rows, from_cols, to_rows, to_cols;
} resample_grid;
void resample_values(const resample_grid *g, resample_how how, const float *src, float *dst);
#endif
