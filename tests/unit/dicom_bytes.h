/* Builds small DICOM files byte by byte for the tests, without any library: an independent view of
 * the format. Also a plain lossless JPEG encoder and an RLE encoder. Values are synthetic. */
#ifndef TESTS_DICOM_BYTES_H
#define TESTS_DICOM_BYTES_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TS_IMPLICIT "1.2.840.10008.1.2"
#define TS_EXPLICIT "1.2.840.10008.1.2.1"
#define TS_BIG      "1.2.840.10008.1.2.2"
#define TS_DEFLATED "1.2.840.10008.1.2.1.99"
#define TS_RLE      "1.2.840.10008.1.2.5"
#define TS_JLL57    "1.2.840.10008.1.2.4.57"
#define TS_JLL      "1.2.840.10008.1.2.4.70"
#define TS_BASELINE "1.2.840.10008.1.2.4.50"
#define TS_J2K      "1.2.840.10008.1.2.4.90"
#define UID_MG      "1.2.840.10008.5.1.4.1.1.1.2"

typedef struct bytes {
    uint8_t *p;
    size_t n, cap;
    int implicit; /* the data set's value representations are left out */
} bytes;

static inline void put(bytes *b, const void *p, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = 2 * (b->n + n) + 256;
        b->p = realloc(b->p, b->cap);
        assert_non_null(b->p);
    }
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}
static inline void put8(bytes *b, unsigned v)
{
    put(b, &(uint8_t){(uint8_t)v}, 1);
}
static inline void put16(bytes *b, unsigned v)
{
    put8(b, v & 255);
    put8(b, v >> 8 & 255);
}
static inline void put32(bytes *b, uint32_t v)
{
    put16(b, v & 0xFFFF);
    put16(b, v >> 16);
}
/* Element header; the long form where the value representation asks for it. */
static inline void head(bytes *b, unsigned g, unsigned e, const char *vr, uint32_t len)
{
    put16(b, g);
    put16(b, e);
    if (b->implicit && g != 2) {
        put32(b, len);
        return;
    }
    put(b, vr, 2);
    if (strstr("OB OW UN SQ UT", vr)) {
        put16(b, 0);
        put32(b, len);
    } else {
        put16(b, len);
    }
}
static inline void str(bytes *b, unsigned g, unsigned e, const char *vr, const char *value)
{
    size_t n = strlen(value);
    head(b, g, e, vr, (uint32_t)(n + n % 2));
    put(b, value, n);
    if (n % 2)
        put8(b, strcmp(vr, "UI") == 0 ? 0 : ' ');
}
static inline void us(bytes *b, unsigned g, unsigned e, unsigned v)
{
    head(b, g, e, "US", 2);
    put16(b, v);
}
static inline void item_head(bytes *b, uint32_t len)
{
    put16(b, 0xFFFE);
    put16(b, 0xE000);
    put32(b, len);
}
static inline void sequence_end(bytes *b)
{
    put16(b, 0xFFFE);
    put16(b, 0xE0DD);
    put32(b, 0);
}
/* A sequence of one item that holds `inner`. */
static inline void seq1(bytes *b, unsigned g, unsigned e, const bytes *inner, int undefined)
{
    head(b, g, e, "SQ", undefined ? UINT32_MAX : (uint32_t)inner->n + 8);
    item_head(b, (uint32_t)inner->n);
    put(b, inner->p, inner->n);
    if (undefined)
        sequence_end(b);
}
static inline void code_item(bytes *b, const char *value, const char *designator,
                             const char *meaning)
{
    str(b, 0x0008, 0x0100, "SH", value);
    str(b, 0x0008, 0x0102, "SH", designator);
    str(b, 0x0008, 0x0104, "LO", meaning);
}
static inline void preamble(bytes *b, const char *ts)
{
    bytes m = {0};
    str(&m, 0x0002, 0x0002, "UI", UID_MG);
    str(&m, 0x0002, 0x0003, "UI", "1.2.3.4.99");
    if (ts)
        str(&m, 0x0002, 0x0010, "UI", ts);
    uint8_t zero[128] = {0};
    put(b, zero, sizeof(zero));
    put(b, "DICM", 4);
    head(b, 0x0002, 0x0000, "UL", 4);
    put32(b, (uint32_t)m.n);
    put(b, m.p, m.n);
    free(m.p);
    b->implicit = ts && strcmp(ts, TS_IMPLICIT) == 0;
}

/* What a test may vary in the image module. */
typedef struct image {
    const char *ts;
    int rows, cols, frames, allocated, stored, is_signed, samples;
    const char *photometric;
} image;
/* What is left zero gets a plain default. */
static inline image image_of(image m)
{
    m.ts = m.ts ? m.ts : TS_EXPLICIT;
    m.rows = m.rows ? m.rows : 8;
    m.cols = m.cols ? m.cols : 6;
    m.frames = m.frames ? m.frames : 1;
    m.allocated = m.allocated ? m.allocated : 16;
    m.stored = m.stored ? m.stored : m.allocated == 8 ? 8 : 12;
    m.samples = m.samples ? m.samples : 1;
    m.photometric = m.photometric ? m.photometric : "MONOCHROME2";
    return m;
}
#define IMAGE(...) image_of((image){__VA_ARGS__})

static inline void identity(bytes *b)
{
    str(b, 0x0008, 0x0016, "UI", UID_MG);
    str(b, 0x0008, 0x0018, "UI", "1.2.3.4.5");
    str(b, 0x0008, 0x0020, "DA", "20200131");
    str(b, 0x0008, 0x0060, "CS", "MG");
    str(b, 0x0010, 0x0020, "LO", "W-0001");
    str(b, 0x0020, 0x000D, "UI", "1.2.3.4");
}
static inline void image_module(bytes *b, image m)
{
    char n[16];
    us(b, 0x0028, 0x0002, (unsigned)m.samples);
    str(b, 0x0028, 0x0004, "CS", m.photometric);
    if (m.frames > 1) {
        snprintf(n, sizeof(n), "%d", m.frames);
        str(b, 0x0028, 0x0008, "IS", n);
    }
    us(b, 0x0028, 0x0010, (unsigned)m.rows);
    us(b, 0x0028, 0x0011, (unsigned)m.cols);
    us(b, 0x0028, 0x0100, (unsigned)m.allocated);
    us(b, 0x0028, 0x0101, (unsigned)m.stored);
    us(b, 0x0028, 0x0102, (unsigned)m.stored - 1);
    us(b, 0x0028, 0x0103, (unsigned)m.is_signed);
}
/* Samples that no constant and no shift reproduces. */
static inline unsigned sample(int i, int bits)
{
    return ((unsigned)i * 2654435761u >> 7) & ((1u << bits) - 1);
}
static inline void samples(bytes *b, const image *m, int frame)
{
    for (int i = 0; i < m->rows * m->cols * m->samples; i++) {
        unsigned v = sample(i + 1000 * frame, m->stored);
        if (m->allocated == 16)
            put16(b, v);
        else
            put8(b, v);
    }
}
static inline void native_pixels(bytes *b, const image *m)
{
    bytes v = {0};
    for (int f = 0; f < m->frames; f++)
        samples(&v, m, f);
    if (v.n % 2)
        put8(&v, 0);
    head(b, 0x7FE0, 0x0010, m->allocated == 16 ? "OW" : "OB", (uint32_t)v.n);
    put(b, v.p, v.n);
    free(v.p);
}
static inline void items_begin(bytes *b)
{
    b->implicit = 0;
    head(b, 0x7FE0, 0x0010, "OB", UINT32_MAX);
    item_head(b, 0);
}
static inline void item(bytes *b, const uint8_t *p, size_t n)
{
    item_head(b, (uint32_t)(n + n % 2));
    put(b, p, n);
    if (n % 2)
        put8(b, 0);
}

/* ---- encoders ---- */

typedef struct bit_writer {
    bytes *b;
    uint32_t hold;
    int n;
} bit_writer;
static inline void bit_put(bit_writer *w, unsigned v, int n)
{
    for (int i = n - 1; i >= 0; i--) {
        w->hold = w->hold << 1 | (v >> i & 1);
        if (++w->n == 8) {
            put8(w->b, w->hold & 255);
            if ((w->hold & 255) == 255)
                put8(w->b, 0);
            w->n = 0;
            w->hold = 0;
        }
    }
}
static inline void bit_flush(bit_writer *w)
{
    while (w->n)
        bit_put(w, 1, 1);
}
static inline int jpeg_predict(int k, int a, int b, int c)
{
    return k == 1   ? a
           : k == 2 ? b
           : k == 3 ? c
           : k == 4 ? a + b - c
           : k == 5 ? a + ((b - c) >> 1)
           : k == 6 ? b + ((a - c) >> 1)
                    : (a + b) >> 1;
}
/* T.81 annex H with a table of 17 codes of five bits. restart: lines between markers, 0 = none. */
static inline void jpeg_encode(bytes *b, const uint16_t *px, int rows, int cols, int precision,
                               int predictor, int transform, int restart)
{
    static const uint8_t dht[] = {0xFF, 0xC4, 0, 36, 0x00, 0, 0, 0, 0, 17, 0,
                                  0,    0,    0, 0,  0,    0, 0, 0, 0, 0};
    put(b, "\xFF\xD8", 2);
    put(b, dht, sizeof(dht));
    for (unsigned i = 0; i < 17; i++)
        put8(b, i);
    uint8_t sof[] = {0xFF,
                     0xC3,
                     0,
                     11,
                     (uint8_t)precision,
                     (uint8_t)(rows >> 8),
                     (uint8_t)rows,
                     (uint8_t)(cols >> 8),
                     (uint8_t)cols,
                     1,
                     1,
                     0x11,
                     0};
    put(b, sof, sizeof(sof));
    if (restart) {
        unsigned n = (unsigned)(restart * cols);
        uint8_t dri[] = {0xFF, 0xDD, 0, 4, (uint8_t)(n >> 8), (uint8_t)n};
        put(b, dri, sizeof(dri));
    }
    uint8_t sos[] = {0xFF, 0xDA, 0, 8, 1, 1, 0, (uint8_t)predictor, 0, (uint8_t)transform};
    put(b, sos, sizeof(sos));
    bit_writer w = {.b = b};
    for (int y = 0, left = restart, m = 0; y < rows; y++) {
        int fresh = y == 0 || (restart && left == restart);
        for (int x = 0; x < cols; x++) {
            int at = y * cols + x, v = px[at] >> transform, up = 0, a = 0, c = 0;
            if (x)
                a = px[at - 1] >> transform;
            if (y)
                up = px[at - cols] >> transform;
            if (x && y)
                c = px[at - cols - 1] >> transform;
            int guess = x == 0  ? (fresh ? 1 << (precision - transform - 1) : up)
                        : fresh ? a
                                : jpeg_predict(predictor, a, up, c);
            int d = (int16_t)(uint16_t)(v - guess), size = 0;
            if (d == -32768) {
                bit_put(&w, 16, 5);
                continue;
            }
            while ((d < 0 ? -d : d) >> size)
                size++;
            bit_put(&w, (unsigned)size, 5);
            bit_put(&w, (unsigned)(d < 0 ? d + (1 << size) - 1 : d), size);
        }
        if (restart && --left == 0 && y + 1 < rows) {
            bit_flush(&w);
            put8(b, 0xFF);
            put8(b, 0xD0 + (unsigned)m);
            m = (m + 1) & 7;
            left = restart;
        }
    }
    bit_flush(&w);
    put(b, "\xFF\xD9", 2);
}

/* PS3.5 annex G; runs where three bytes repeat, literals elsewhere. */
static inline void rle_segment(bytes *b, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t run = 1;
        while (i + run < n && run < 128 && p[i + run] == p[i])
            run++;
        if (run >= 3) {
            put8(b, (unsigned)(257 - run));
            put8(b, p[i]);
            i += run;
            continue;
        }
        size_t lit = 1;
        while (i + lit < n && lit < 128 &&
               !(i + lit + 2 < n && p[i + lit] == p[i + lit + 1] && p[i + lit] == p[i + lit + 2]))
            lit++;
        put8(b, (unsigned)(lit - 1));
        put(b, p + i, lit);
        i += lit;
    }
    if (b->n % 2)
        put8(b, 0);
}
static inline void rle_encode(bytes *b, const uint16_t *px, int n, int allocated)
{
    size_t start = b->n;
    int planes = allocated / 8;
    uint8_t header[64] = {(uint8_t)planes}, *plane = malloc((size_t)n);
    put(b, header, sizeof(header));
    for (int s = 0; s < planes; s++) {
        uint32_t at = (uint32_t)(b->n - start);
        memcpy(b->p + start + 4 + 4 * (size_t)s, &at, 4);
        for (int i = 0; i < n; i++)
            plane[i] = (uint8_t)(px[i] >> (8 * (planes - 1 - s)));
        rle_segment(b, plane, (size_t)n);
    }
    free(plane);
}

/* A whole synthetic mammogram in the given syntax. */
static inline bytes whole_file(image m)
{
    bytes b = {0}, code = {0};
    int n = m.rows * m.cols;
    preamble(&b, m.ts);
    identity(&b);
    image_module(&b, m);
    if (strcmp(m.ts, TS_RLE) != 0 && strcmp(m.ts, TS_JLL) != 0 && strcmp(m.ts, TS_JLL57) != 0) {
        native_pixels(&b, &m);
        return b;
    }
    uint16_t *px = malloc((size_t)n * 2);
    items_begin(&b);
    for (int f = 0; f < m.frames; f++) {
        for (int i = 0; i < n; i++)
            px[i] = (uint16_t)sample(i + 1000 * f, m.stored);
        code.n = 0;
        if (strcmp(m.ts, TS_RLE) == 0)
            rle_encode(&code, px, n, m.allocated);
        else
            jpeg_encode(&code, px, m.rows, m.cols, m.stored, 1, 0, 0);
        item(&b, code.p, code.n);
    }
    sequence_end(&b);
    free(code.p);
    free(px);
    return b;
}
#endif
