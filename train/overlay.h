/* One map drawn over one image for people: the untouched picture at full resolution, squares of
 * patches as translucent tints or hatches, outlines of regions, and a legend below. The same
 * drawing as PNG (cairo) and as SVG with the picture embedded. No clock; the names given are all
 * that is written. */
#ifndef TRAIN_OVERLAY_H
#define TRAIN_OVERLAY_H

#include "core/err.h"
#include "core/text.h"

#define OVERLAY_CLASSES 40
#define OVERLAY_PLAIN   255 /* the picture itself */

typedef struct overlay_class { /* one entry of the legend */
    char label[64];
    double rgb[3]; /* 0..1 */
    bool hatched;  /* one stroke across each patch; else the patch is tinted */
} overlay_class;

typedef struct overlay {
    const uint16_t *image; /* [h, w], borrowed */
    int h, w;
    int rows, cols;       /* patches; h and w are multiples */
    const uint8_t *fill;  /* [rows, cols] class, or OVERLAY_PLAIN */
    const int32_t *group; /* [rows, cols] patches of one number are outlined together, -1 = none */
    overlay_class class[OVERLAY_CLASSES];
    int classes;
    const char *plain, *outline; /* what an untinted patch, an outline means; "" = no entry */
    const char *title, *says, *subject; /* says: what the map shows, in one sentence */
} overlay;

/* Colour i of n from first to last, blue to yellow, distinct for colour-blind eyes and on grey. */
void overlay_ramp(int i, int n, double rgb[3]);
/* PATH.png and PATH.svg, atomic. ERR_RANGE for a picture larger than cairo draws (32767 px). */
MUST_CHECK bool overlay_write(const overlay *o, const char *path, err *e);
#endif
