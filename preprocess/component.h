/* Connected components of small masks. */
#ifndef PREPROCESS_COMPONENT_H
#define PREPROCESS_COMPONENT_H

#include <stdint.h>

#include "core/mem.h"

typedef struct component { /* the box around it, and its pixels */
    int x, y, w, h, area;
} component;
/* 8-connected components of mask [h,w] of 0 and 1 in the order of their first pixels, row by
 * row; labels [h,w] (0 background, i + 1 for out[i]). Returns their number; at most cap are
 * described, all are labelled. */
int component_find(const uint8_t *mask, int h, int w, int32_t *labels, component *out, int cap,
                   arena *a);
#endif
