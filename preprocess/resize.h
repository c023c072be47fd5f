/* Resizing a rectangle of a u16 image. */
#ifndef PREPROCESS_RESIZE_H
#define PREPROCESS_RESIZE_H

#include <stdint.h>

#include "core/mem.h"

/* Resize a rectangle: exact area averaging per axis where it shrinks, bilinear where it grows.
 * Integer weights and sums, rounded half up: the same bytes everywhere. */
typedef struct resize {
    const uint16_t *src; /* borrowed; stride in pixels */
    int stride, x0, y0, w, h;
    const uint16_t *lut; /* applied to each source pixel, or NULL */
    uint16_t *dst;       /* [dh, dw], rows dst_stride pixels apart, downwards or upwards */
    int dw, dh;
    ptrdiff_t dst_stride;
    bool mirror; /* the first column last */
} resize;
void resize_run(const resize *j, arena *a);
#endif
