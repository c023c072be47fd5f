/* Which patches stay when a part of an image is taken away on purpose, to see how much the score
 * depends on it (evaluation.md 14). Pure draws: functions of their arguments only. */
#ifndef TRAIN_MASK_H
#define TRAIN_MASK_H

#include "core/err.h"

typedef enum mask_kind {
    MASK_RANDOM,     /* any patches */
    MASK_BLOCK,      /* one block, as wide and high as the grid in proportion, anywhere, goes */
    MASK_BREAST,     /* only patches with breast go */
    MASK_BACKGROUND, /* only patches without breast go */
    MASK_BORDER,     /* the strips along the edges go, but not along the chest wall, from outside */
    MASK_VIEW,       /* no draw: one whole view goes */
    MASK_KINDS
} mask_kind;
const char *mask_name(mask_kind k); /* "random" "block" "breast" "background" "border" "view" */
int mask_find(const char *name);    /* -1 = no such kind */

typedef struct mask_draw {
    int rows, cols;
    double keep;           /* share of the patches that stays; of those with or without breast
                              for two kinds, which keep all others; at least one patch stays */
    const uint8_t *breast; /* [rows * cols]; for MASK_BREAST and MASK_BACKGROUND */
    uint64_t seed;
    const char *exam, *image; /* pseudonyms */
    int repeat;
} mask_draw;
/* out: room for rows * cols; ascending. Returns how many stay. BUG on MASK_VIEW. */
int mask_patches(mask_kind kind, const mask_draw *d, int32_t *out);
#endif
