/* From raw decoded words to display values, black 0 to white 65535 (dicom.md 2). */
#ifndef PREPROCESS_WINDOW_H
#define PREPROCESS_WINDOW_H

#include "dicom/pixels.h"
#include "preprocess/prepare_cfg.h"

#define WINDOW_WORDS 65536 /* one table entry per 16-bit word */
#define WINDOW_MAX   65535 /* full scale of display values */

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
       IMAGE_CUT = 16384,
       IMAGE_VOI_OTHER_ITEM = 32768,   /* the item that prepare.voi_item names is not there */
       IMAGE_VOI_ODD_FUNCTION = 65536, /* an unknown VOILUTFunction, taken for LINEAR */
       IMAGE_LUT_ODD = 131072,         /* a table whose descriptor does not fit it was used */
       IMAGE_PROCESSING = 262144       /* an image for processing, by prepare.processing */
};

/* One table from the raw decoded word to the display value, polarity included; padding gives 0. */
typedef struct window_lut {
    uint16_t y[WINDOW_WORDS];
    uint8_t pad[WINDOW_WORDS]; /* 1: the word is padding */
    uint32_t flags;            /* IMAGE_VOI_* .. IMAGE_INVERTED */
    int item;                  /* of the header's LUTs or windows: the one used; -1 none */
} window_lut;

/* Stored value of a raw word: shifted by HighBit, masked to BitsStored, sign-extended. */
int32_t window_stored(const pixels *p, uint16_t raw);
/* Count of each raw word over every step-th row of the image. hist[WINDOW_WORDS]. */
void window_histogram(const pixels *p, int step, uint32_t *hist);
/* Presentation by metadata: LUT shape over photometric. *conflict: the two contradict. */
bool window_inverse(const record *r, bool *conflict);
/* Build the table for the window mode of c. hist: raw words of the whole image; breast: of the
 * breast only or NULL (percentile then falls back to all pixels, as before the breast is known).
 * dicom.md 2 steps 2-6; rounds half up. */
void window_build(const prepare_cfg *c, const record *r, const pixels *p, const uint32_t *hist,
                  const uint32_t *breast, bool invert, arena *a, window_lut *out);
#endif
