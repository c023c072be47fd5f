/* The pixel chain: stored samples -> display values -> oriented breast -> canvases. Pure steps in
 * the fixed order of dicom.md 2 and 5, integer arithmetic wherever a sum could depend on order. */
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

/* The chain: decoded pixels -> facts, canvases and geometry in out, canvases at
 * (uint8_t *)reply + out->image_at[i], masks of 0 and 1 at out->mask_at[i] where prepare.mask asks
 * for them. out->rec is read. */
void image_chain(const prepare_cfg *c, const pixels *p, arena *a, prepared *out, pixel_facts *facts,
                 void *reply);
#endif
