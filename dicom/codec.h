/* Decoders of one compressed frame into 16-bit words: RLE (PS3.5 annex G) and lossless JPEG
 * (ITU-T T.81 process 14, any predictor). Both account for every byte: a stream that ends early or
 * leaves data over is reported, never filled up. */
#ifndef DICOM_CODEC_H
#define DICOM_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum codec_status {
    CODEC_OK,
    CODEC_DAMAGED,    /* the structure is sound but samples are missing or left over */
    CODEC_BROKEN,     /* the structure makes no sense */
    CODEC_GEOMETRY,   /* size or samples differ from the header */
    CODEC_UNSUPPORTED /* another member of the family (jpeg_sniff tells which) */
} codec_status;

/* src[len]: one frame. dst[rows * cols] of 8- or 16-bit samples widened to 16 bit. */
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
#endif
