/* PRED/pages: the views of chosen exams as PNG, and their index. The pictures are the prepared
 * canvases; nothing that identifies a person. */
#ifndef TRAIN_PAGES_H
#define TRAIN_PAGES_H

#include "train/loader.h"

/* Choose n exams (of rows row[0..n_rows-1] with image scores) and write them to dir: by turns the
 * highest and lowest scored, the most misjudged of either kind, and a middle one. A pure function
 * of its arguments. */
MUST_CHECK bool pages_write(const char *dir, loader *l, const cohort *c, const int64_t *row,
                            int64_t n_rows, const double *score, int horizon, int n, err *e);
/* Which of the rows belong to these exams: chosen[n_rows], in the order of row. */
void pages_choose(const cohort *c, const int64_t *row, int64_t n_rows, const double *score,
                  int horizon, int n, bool *chosen);
/* 8-bit grey of a u16 value; the bytes of pages_png. */
static inline uint8_t pages_grey(uint64_t v)
{
    return (uint8_t)((v * 255 + 32767) / 65535);
}
MUST_CHECK bool pages_encode(const uint16_t *image, int h, int w, int side, text *out, err *e);
/* 8-bit grey PNG of a u16 [h,w] image, shrunk by an integer factor to at most `side`; no clock, no
 * text chunk. Atomic. */
MUST_CHECK bool pages_png(const char *path, const uint16_t *image, int h, int w, int side, err *e);
#endif
