/* Grey pictures of 16 bit, out: TIFF and PNG of a prepared image for other programs. */
#ifndef PREPROCESS_RASTER_OUT_H
#define PREPROCESS_RASTER_OUT_H

#include "core/err.h"

typedef enum raster_out_format { RASTER_OUT_TIFF, RASTER_OUT_PNG } raster_out_format;

typedef struct raster_out {
    const uint16_t *v; /* [h, w], borrowed; written as they are */
    int h, w;
    double mm_per_px; /* resolution of the file; 0 = none is written */
    const char *text; /* ImageDescription of a TIFF, Description of a PNG; "" = none. UTF-8 */
} raster_out;

/* Atomic. TIFF: deflate with the horizontal predictor, BigTIFF above 4 GiB. The same picture gives
 * the same bytes. Fails ERR_IO, ERR_MEMORY. */
MUST_CHECK bool raster_out_write(const char *path, raster_out_format f, const raster_out *o,
                                 err *e);
const char *raster_out_suffix(raster_out_format f); /* "tiff", "png" */
#endif
