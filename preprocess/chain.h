/* The state of the pixel chain while it runs on one image: image.c takes the steps, facts.c
 * measures, preview.c shows what was decided. Everything lives in the arena of the image. */
#ifndef PREPROCESS_CHAIN_H
#define PREPROCESS_CHAIN_H

#include "preprocess/segment.h"

typedef struct chain {
    const prepare_cfg *c;
    const pixels *p;
    arena *a;
    prepared *out;
    pixel_facts *facts;
    uint32_t *hist;
    window_lut *lut;
    segment_source hung_by;    /* what said where the chest wall is */
    segment_polarity contrast; /* what the pixels say about the header's polarity */
    int chest;                 /* segment_chest after the polarity was settled */
    image_orient orient;
    segment_thumb thumb; /* oriented */
    segment_found found;
    uint8_t *keep; /* mask grown by the erase margin, oriented thumbnail; NULL without a mask */
    double breast_spread; /* p95 - p5 of the display values in the mask, by facts_breast */
    bool invert;
    int ow, oh;         /* oriented full size */
    int cx, cy, cw, ch; /* crop in oriented full pixels */
} chain;

/* Index into the thumbnail of the stored pixel (x, y). */
size_t chain_thumb_at(const chain *s, int x, int y);
/* The oriented rectangle at the crop's corner, cw x ch, in stored pixels: x, y, w, h. */
void chain_stored_rect(const chain *s, int cw, int ch, int rect[4]);
/* One step of the chain: the crop through the table onto canvas i, air around it. For chains that
 * have run. */
void chain_draw(chain *s, int i, uint16_t *canvas);
/* The whole chain: decoded pixels -> facts, canvases and geometry in out, canvases at
 * (uint8_t *)reply + out->image_at[i], masks of 0 and 1 at out->mask_at[i] where prepare.mask asks
 * for them. s: c, p, a, out and facts are set, the rest is zero; out->rec is read. */
void chain_run(chain *s, void *reply);
#endif
