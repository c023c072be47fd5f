/* A small DICOM writer for the demo archive: a set of elements, the encodings of the pixel data and
 * the bytes of a file in any transfer syntax, right or deliberately wrong. It shares no code with
 * the reader, so that writer and reader check each other. DICOM PS3.5. */
#ifndef DICOM_SYNTH_FILE_H
#define DICOM_SYNTH_FILE_H

#include "core/mem.h"
#include "core/text.h"

#define SYNTH_TS         "1.2.840.10008.1.2"
#define SYNTH_IMPLICIT   SYNTH_TS
#define SYNTH_EXPLICIT   SYNTH_TS ".1"
#define SYNTH_DEFLATED   SYNTH_TS ".1.99"
#define SYNTH_BIG_ENDIAN SYNTH_TS ".2"
#define SYNTH_RLE        SYNTH_TS ".5"
#define SYNTH_BASELINE   SYNTH_TS ".4.50"
#define SYNTH_JLL_SV1    SYNTH_TS ".4.70"
#define SYNTH_JPEG_LS    SYNTH_TS ".4.80"
#define SYNTH_J2K        SYNTH_TS ".4.90"
#define SYNTH_JPEG_XL    SYNTH_TS ".4.110"

typedef struct synth_set synth_set;
typedef struct synth_elem {
    uint32_t tag; /* group << 16 | element */
    char vr[3];
    uint8_t *value; /* arena; little endian; even length */
    size_t len;
    const synth_set *item[4]; /* SQ */
    int n_items;
} synth_elem;

#define SYNTH_ELEMS 112
struct synth_set {
    arena *a; /* borrowed: values live there */
    synth_elem e[SYNTH_ELEMS];
    int n;
};

synth_set *synth_set_new(arena *a);
/* Put replaces an element with the same tag. Values are copied and padded to even length. */
void synth_put(synth_set *s, uint32_t tag, const char *vr, const void *value, size_t len);
void synth_str(synth_set *s, uint32_t tag, const char *vr, const char *fmt, ...) PRINTF_LIKE(4, 5);
void synth_us(synth_set *s, uint32_t tag, unsigned v);
void synth_words(synth_set *s, uint32_t tag, const char *vr, const uint16_t *v, size_t n);
void synth_item(synth_set *s, uint32_t tag,
                const synth_set *item); /* one more item of a sequence */
void synth_drop(synth_set *s, uint32_t tag);
synth_elem *synth_find(synth_set *s, uint32_t tag); /* NULL = absent */

/* Encodings of px[rows, cols]; appended to out. */
void synth_rle(const uint16_t *px, int rows, int cols, text *out);
/* JPEG lossless, process 14, first-order prediction (ITU-T T.81 H); precision 2..16 bits. */
void synth_jll(const uint16_t *px, int rows, int cols, int precision, text *out);
void synth_jls(const uint16_t *px, int rows, int cols, int precision, text *out); /* lossless */
void synth_j2k(const uint16_t *px, int rows, int cols, int precision, text *out); /* lossless */

/* Pixel data as it goes into the file. */
typedef struct synth_pixels {
    const void *bytes;
    size_t len;
    bool items;       /* encapsulated, in `fragments` pieces after an empty offset table */
    int fragments;    /* 1 or 2 */
    int bits;         /* 8 or 16: width of native samples */
    size_t cut_value; /* native: declare the whole length but write only so many bytes; 0 = all */
} synth_pixels;

/* Append the file: preamble, meta header naming `ts_said`, and the data set in the encoding of
 * `ts_real`. pixels NULL: no pixel data. */
void synth_encode(const synth_set *s, const synth_pixels *px, const char *ts_said,
                  const char *ts_real, text *out);
#endif
