/* Grey pictures of prepared canvases as PNG (libpng): as they are, or as a view hangs on the image
 * page. No clock, no text chunk, nothing that identifies a person. */
#ifndef TRAIN_PICTURE_H
#define TRAIN_PICTURE_H

#include "core/err.h"
#include "core/text.h"

/* 8-bit grey of a u16 value; the bytes of all pictures here. */
static inline uint8_t picture_grey(uint64_t v)
{
    return (uint8_t)((v * 255 + 32767) / 65535);
}
/* 8-bit grey PNG of a u16 [h,w] image, shrunk by an integer factor to at most `side`. */
MUST_CHECK bool picture_encode(const uint16_t *image, int h, int w, int side, text *out, err *e);
MUST_CHECK bool picture_png(const char *path, const uint16_t *image, int h, int w, int side,
                            err *e); /* atomic */

/* A view on the page. Canvases have the chest wall on the left; on the page it is in the middle, so
 * the right breast is mirrored. */
typedef struct picture_view {
    int h, w;           /* of the canvas */
    int crop_h, crop_w; /* what is shown, from the canvas's upper left corner */
    double mm_h, mm_w;  /* of a canvas pixel; where its size is unknown in pixels of mean side 1 */
    bool known;         /* mm_h and mm_w are millimetres */
    bool mirror;
} picture_view;
/* The empty border below and right of the breast goes (rows and columns of one value), up to a
 * multiple of `patch`. affine, mm_per_px: of the shard (formats.md 2); stored pixels are taken as
 * square. */
picture_view picture_view_of(const uint16_t *image, int h, int w, int patch, const float affine[6],
                             float mm_per_px, char side);
/* The same with pixels of unknown size. */
void picture_view_forget(picture_view *v);
/* Grey [*oh, *ow] at `mm` a pixel (area means), owned by the caller, mem_free. */
uint8_t *picture_hang(const picture_view *v, const uint16_t *image, double mm, int *oh, int *ow);
MUST_CHECK bool picture_write(const char *path, const uint8_t *grey, int h, int w, err *e);
#endif
