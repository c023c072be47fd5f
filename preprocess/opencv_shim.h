/* The only door to OpenCV: binary morphology and the convex hull of small masks.
 * Plain C, POD only; no exception leaves it (a failure is a BUG: sizes come from our own code).
 * Single-threaded. */
#ifndef PREPROCESS_OPENCV_SHIM_H
#define PREPROCESS_OPENCV_SHIM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Once per process: one thread, tables warmed up before a sandbox closes. */
void opencv_init(void);
/* mask [h,w] of 0/1, in place, with an elliptic element of the given radius in pixels. */
void opencv_open(uint8_t *mask, int h, int w, int radius);
void opencv_dilate(uint8_t *mask, int h, int w, int radius);

/* Area of the convex hull of all set pixels, in pixels. */
double opencv_hull_area(const uint8_t *mask, int h, int w);

#ifdef __cplusplus
}
#endif
#endif
