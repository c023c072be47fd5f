/* The pixel chain: stored samples -> display values -> oriented breast -> canvases. Pure steps in
 * the fixed order of dicom.md 2 and 5, integer arithmetic wherever a sum could depend on order. */
#ifndef PREPROCESS_IMAGE_H
#define PREPROCESS_IMAGE_H

#include "dicom/pixels.h"
#include "preprocess/prepare_cfg.h"

#define IMAGE_WORDS 65536 /* one table entry per 16-bit word */
#define IMAGE_MAX   65535 /* full scale of display values: black 0, white 65535 */
#define IMAGE_THUMB 512   /* longest side of the thumbnail */

enum { /* proc_flags: what was done to an image; append only, stored in shards */
       IMAGE_VOI_LUT = 1,
       IMAGE_VOI_WINDOW = 2,
       IMAGE_VOI_FULL = 4,
       IMAGE_MODALITY_LUT = 8,
       IMAGE_RESCALED = 16,
       IMAGE_PADDING = 32,
       IMAGE_INVERTED = 64,
       IMAGE_POLARITY_FIXED = 128,
       IMAGE_TRANSPOSED = 256,
       IMAGE_FLIP_H = 512,
       IMAGE_FLIP_V = 1024,
       IMAGE_CROPPED = 2048,
       IMAGE_ERASED = 4096,
       IMAGE_UPSCALED = 8192,
       IMAGE_CUT = 16384
};

/* One table from the raw decoded word to the display value, polarity included; padding gives 0. */
typedef struct image_lut {
    uint16_t y[IMAGE_WORDS];
    uint8_t pad[IMAGE_WORDS]; /* 1: the word is padding */
    uint32_t flags;           /* IMAGE_VOI_* .. IMAGE_INVERTED */
} image_lut;

/* Stored value of a raw word: shifted by HighBit, masked to BitsStored, sign-extended. */
int32_t image_stored(const pixels *p, uint16_t raw);
/* Count of each raw word over the image. hist[IMAGE_WORDS]. */
void image_histogram(const pixels *p, uint32_t *hist);
/* Presentation by metadata: LUT shape over photometric. *conflict: the two contradict. */
bool image_inverse(const record *r, bool *conflict);
/* Build the table for the window mode of c. hist: raw words of the whole image; breast: of the
 * breast only or NULL (percentile then falls back to all pixels, as before the breast is known).
 * dicom.md 2 steps 2-6; rounds half up. */
void image_window(const prepare_cfg *c, const record *r, const pixels *p, const uint32_t *hist,
                  const uint32_t *breast, bool invert, arena *a, image_lut *out);

/* Resize a rectangle: exact area averaging per axis where it shrinks, bilinear where it grows.
 * Integer weights and sums, rounded half up: the same bytes everywhere. */
typedef struct image_resize {
    const uint16_t *src; /* borrowed; stride in pixels */
    int stride, x0, y0, w, h;
    const uint16_t *lut; /* applied to each source pixel, or NULL */
    uint16_t *dst;       /* [dh, dw], dense */
    int dw, dh;
} image_resize;
void image_resize_run(const image_resize *j, arena *a);

/* How stored pixels become "chest wall left, head up": transpose, then flips. */
typedef struct image_orient {
    bool transpose, flip_h, flip_v;
} image_orient;
/* Copy [h,w] into dst with the orientation applied; dst is [w,h] after a transpose. */
void image_orient_copy(image_orient o, const uint16_t *src, int h, int w, uint16_t *dst);

/* The chain: decoded pixels -> facts, canvases and geometry in out, canvases at
 * (uint8_t *)reply + out->image_at[i]. out->rec is read. */
void image_chain(const prepare_cfg *c, const pixels *p, arena *a, prepared *out, pixel_facts *facts,
                 void *reply);
#endif
