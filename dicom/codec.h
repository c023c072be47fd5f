/* Decoders of one compressed frame into 16-bit words: our own for RLE (PS3.5 annex G) and lossless
 * JPEG (ITU-T T.81 process 14, any predictor), libraries for the rest. All account for every byte:
 * a stream that ends early or leaves data over is reported, never filled up.
 * src[len]: one frame. dst[rows * cols]: samples widened to 16 bit; *precision: bits per sample
 * that the stream declares. Negative samples of a signed stream keep their low 16 bits. */
#ifndef DICOM_CODEC_H
#define DICOM_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is believed of a frame, before memory is taken. */
#define PIXELS_SIDE_MAX  65535
#define PIXELS_FRAME_MAX (INT64_C(512) << 20) /* samples in one frame */
#define FRAME_LARGE      ((size_t)64 << 20)   /* bytes */
#define FRAME_RATIO      400 /* of a larger one: most bytes of samples per byte of code */

typedef enum codec_status {
    CODEC_OK,
    CODEC_DAMAGED,    /* the structure is sound but samples are missing or left over */
    CODEC_BROKEN,     /* the structure makes no sense */
    CODEC_GEOMETRY,   /* size or samples differ from the header */
    CODEC_UNSUPPORTED /* another member of the family (jpeg_sniff tells which) */
} codec_status;

codec_status rle_decode(const uint8_t *src, size_t len, int rows, int cols, int bits_allocated,
                        uint16_t *dst);

typedef struct jpeg_head {
    int process; /* last byte of the SOF marker: 0xC0 baseline, 0xC1, 0xC3 lossless, 0xF7 JPEG-LS */
    int precision, rows, cols, components;
} jpeg_head;
/* Read the markers up to the frame header; false when the bytes are no JPEG stream. */
bool jpeg_sniff(const uint8_t *src, size_t len, jpeg_head *out);
codec_status jll_decode(const uint8_t *src, size_t len, int rows, int cols, uint16_t *dst,
                        int *precision);
/* Processes 1 to 12, 8 or 12 bit (DCMTK's IJG). */
codec_status jpeg_lossy_decode(const uint8_t *src, size_t len, int rows, int cols, uint16_t *dst,
                               int *precision);
/* JPEG-LS, lossless and near-lossless (CharLS). */
codec_status jls_decode(const uint8_t *src, size_t len, int rows, int cols, uint16_t *dst,
                        int *precision);
/* JPEG 2000 and HTJ2K, code stream or JP2 file (OpenJPEG, strict). */
const char *j2k_version(void);
const char *jls_version(void);
bool j2k_sniff(const uint8_t *src, size_t len);
codec_status j2k_decode(const uint8_t *src, size_t len, int rows, int cols, uint16_t *dst,
                        int *precision);

#ifdef __cplusplus
}
#endif
#endif
