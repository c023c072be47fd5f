/* Grey PNG and TIFF pictures in an archive, beside DICOM files: the same record, the same pixels.
 * A picture knows its size and little else; the sidecar table names the woman, the day and the
 * view. Which file is a picture is decided by its first bytes. docs/formats.md 1. */
#ifndef DICOM_RASTER_H
#define DICOM_RASTER_H

#include "dicom/pixels.h"

typedef struct raster_head { /* what a picture says about itself */
    int rows, cols;
    int frames;                 /* pages of full resolution */
    int samples, bits;          /* per pixel, per sample */
    int is_signed;              /* two's complement */
    const char *photometric;    /* DICOM's word; "" = none that fits */
    double row_mm, col_mm;      /* 0 = unknown or not believable */
    const char *spacing_source; /* "" = unknown */
} raster_head;

/* Is it a picture? A DICOM file may begin like a TIFF (its preamble is free): that is none. */
bool raster_sniff(const void *data, size_t len);
/* record_read and pixels_decode for pictures. Everything that a picture does not hold stays
 * unknown, but for sop_uid: a name made from the file's bytes, the same wherever it lies. */
reason raster_record(const void *data, size_t len, record *out);
reason raster_pixels(const void *data, size_t len, const record *r, bool want_sha256, arena *a,
                     pixels *out);
bool raster_is(const record *r); /* by its transfer syntax, "PNG" or "TIFF" */

/* ---- the two formats, for raster.c -------------------------------------------------------------
 */

/* Header and proof that every length lies inside the file. IO_TRUNCATED, IO_UNREADABLE,
 * TS_UNSUPPORTED (a compression that is not accepted). *code_len: bytes of compressed pixels. */
reason raster_png_head(const uint8_t *p, size_t len, raster_head *out, size_t *code_len);
reason raster_tiff_head(const uint8_t *p, size_t len, raster_head *out, size_t *code_len);
/* One frame as [rows, cols, samples] of 8 or 16 bit in native order, dense. h is of the function
 * above, and was found acceptable. */
reason raster_png_frame(const uint8_t *p, size_t len, const raster_head *h, int frame,
                        uint8_t *out);
reason raster_tiff_frame(const uint8_t *p, size_t len, const raster_head *h, int frame,
                         uint8_t *out);
/* Millimetres from pixels per unit; 0 when no detector or film scanner has such pixels. */
double raster_mm(double per_unit, double unit_mm);
const char *raster_libraries(void);
const char *raster_png_version(void);
const char *raster_tiff_version(void);
#endif
