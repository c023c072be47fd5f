/* What the steps of the pixel chain (chain.h) share with those who look at their results: the size
 * of the thumbnail and the orientation. */
#ifndef PREPROCESS_IMAGE_H
#define PREPROCESS_IMAGE_H

#include "preprocess/resize.h"
#include "preprocess/window.h"

#define IMAGE_THUMB 512 /* longest side of the thumbnail */

/* How stored pixels become "chest wall left, head up": transpose, then flips. */
typedef struct image_orient {
    bool transpose, flip_h, flip_v;
} image_orient;
/* Copy [h,w] into dst with the orientation applied; dst is [w,h] after a transpose, its rows
 * `stride` pixels apart. */
void image_orient_copy(image_orient o, const uint16_t *src, int h, int w, uint16_t *dst,
                       int stride);
#endif
