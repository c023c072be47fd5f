/* Finding the breast on a thumbnail: orientation codes, pixel polarity test, side of the chest
 * wall, mask (dicom.md 2 and 5). Thumbnails are display values, oriented so that the chest wall is
 * expected at column 0. */
#ifndef PREPROCESS_SEGMENT_H
#define PREPROCESS_SEGMENT_H

#include "preprocess/image.h"

typedef struct segment_thumb {
    int h, w;
    uint16_t *v;  /* [h,w] display values */
    uint8_t *pad; /* [h,w] 1: mostly padding */
} segment_thumb;

/* What decided the horizontal flip: PatientOrientation, else the side, else nothing. */
typedef enum segment_source {
    SEGMENT_BY_NOTHING,
    SEGMENT_BY_SIDE,
    SEGMENT_BY_CODES
} segment_source;
/* Orientation by metadata. */
image_orient segment_orient(const record *r, segment_source *by);

typedef enum segment_polarity {
    SEGMENT_DARK_BACKGROUND,
    SEGMENT_BRIGHT_BACKGROUND,
    SEGMENT_UNCERTAIN
} segment_polarity;
segment_polarity segment_polarity_test(const segment_thumb *t, bool side_known, arena *a);

/* flat[h,w]: 1 where the 3x3 neighbourhood varies by less than 1 % of full scale, padding apart. */
void segment_flat(const segment_thumb *t, uint8_t *flat, arena *a);

/* +1: the chest wall lies left, -1: right, 0: the pixels do not tell. */
int segment_chest(const segment_thumb *t, arena *a);

typedef struct segment_found {
    uint8_t *mask;      /* [h,w] 0/1, arena */
    int x0, y0, x1, y1; /* bounding box, end exclusive; x0 is the first column after a dark edge */
    int64_t area;
    uint16_t air; /* display value of the background */
} segment_found;
/* False: no breast that passes the checks (area, extent, chest contact, centroid, solidity). */
bool segment_find(const segment_thumb *t, arena *a, segment_found *out);
#endif
