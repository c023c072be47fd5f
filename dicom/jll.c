/* Lossless JPEG, ITU-T T.81 annex H: Huffman-coded differences to one of seven predictions. One
 * grey component of 2 to 16 bits, restart intervals, point transform. The last bit must belong to
 * the last sample and only padding and EOI may follow, so a cut stream never passes for a whole one
 * even when it ends in a well-formed EOI. */
#include "dicom/codec.h"

#include <string.h>

#define LOOKUP_BITS 12
#define MARKERS_MAX 1000 /* segments before the scan; more is an attack */

enum {
    M_SOF0 = 0xC0,
    M_SOF3 = 0xC3,
    M_DHT = 0xC4,
    M_SOF15 = 0xCF,
    M_JPG = 0xC8,
    M_DAC = 0xCC,
    M_RST0 = 0xD0,
    M_RST7 = 0xD7,
    M_SOI = 0xD8,
    M_EOI = 0xD9,
    M_SOS = 0xDA,
    M_DRI = 0xDD,
    M_SOF55 = 0xF7
};

typedef struct huffman {
    bool set;
    uint8_t values[256];
    int count;
    int32_t max_code[18]; /* largest code of each length, -1 = none */
    int32_t first_code[17], first_value[17];
    uint16_t lookup[1 << LOOKUP_BITS]; /* length << 8 | category; 0 = longer */
} huffman;

typedef struct bits {
    const uint8_t *p, *end;
    uint64_t hold; /* the next bits, left-aligned */
    int n;         /* how many of them are from the stream */
    bool marker;   /* p stands at a marker or the end: no more data */
} bits;

typedef struct jll {
    const uint8_t *src;
    size_t len, at;
    jpeg_head head;
    huffman tables[4];
    int table, predictor, transform;
    uint32_t restart; /* samples between restart markers, 0 = none */
    uint8_t component;
} jll;

static unsigned be16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* Next marker and its payload; stand-alone markers have none. */
static bool next_marker(const uint8_t *src, size_t len, size_t *at, int *marker, size_t *payload)
{
    if (*at >= len || src[*at] != 0xFF)
        return false;
    while (*at < len && src[*at] == 0xFF)
        ++*at;
    if (*at >= len || src[*at] == 0)
        return false;
    *marker = src[(*at)++];
    *payload = 0;
    if (*marker == M_SOI || *marker == M_EOI || (*marker >= M_RST0 && *marker <= M_RST7) ||
        *marker == 0x01)
        return true;
    if (len - *at < 2)
        return false;
    size_t n = be16(src + *at);
    if (n < 2 || n > len - *at)
        return false;
    *at += 2;
    *payload = n - 2;
    return true;
}

static bool is_frame(int m)
{
    return (m >= M_SOF0 && m <= M_SOF15 && m != M_DHT && m != M_JPG && m != M_DAC) || m == M_SOF55;
}

static bool read_frame(const uint8_t *p, size_t n, int marker, jpeg_head *out)
{
    if (n < 6 || n < 6 + 3 * (size_t)p[5])
        return false;
    *out = (jpeg_head){marker, p[0], (int)be16(p + 1), (int)be16(p + 3), p[5]};
    return true;
}

bool jpeg_sniff(const uint8_t *src, size_t len, jpeg_head *out)
{
    size_t at = 0, n;
    int marker;
    if (!next_marker(src, len, &at, &marker, &n) || marker != M_SOI)
        return false;
    for (int i = 0; i < MARKERS_MAX && next_marker(src, len, &at, &marker, &n); i++) {
        if (is_frame(marker))
            return read_frame(src + at, n, marker, out);
        if (marker == M_SOS || marker == M_EOI)
            return false;
        at += n;
    }
    return false;
}

/* Annex C: the codes of each length follow one another. */
static bool build_table(huffman *h, const uint8_t counts[16])
{
    int32_t code = 0;
    int k = 0;
    memset(h->lookup, 0, sizeof(h->lookup));
    for (int l = 1; l <= 16; l++) {
        h->first_code[l] = code;
        h->first_value[l] = k;
        for (int i = 0; i < counts[l - 1]; i++, code++, k++) {
            if (code >= 1 << l || h->values[k] > 16)
                return false;
            for (int pad = 0; l <= LOOKUP_BITS && pad < 1 << (LOOKUP_BITS - l); pad++)
                h->lookup[(code << (LOOKUP_BITS - l)) + pad] = (uint16_t)(l << 8 | h->values[k]);
        }
        h->max_code[l] = counts[l - 1] ? code - 1 : -1;
        code <<= 1;
    }
    h->max_code[17] = INT32_MAX;
    h->set = k > 0;
    return h->set;
}

static bool read_tables(jll *j, size_t n)
{
    const uint8_t *p = j->src + j->at, *end = p + n;
    while (p < end) {
        if (end - p < 17 || p[0] > 3) /* class 0 only: no AC tables in this process */
            return false;
        huffman *h = &j->tables[p[0]];
        int total = 0;
        for (int i = 1; i <= 16; i++)
            total += p[i];
        if (total > 256 || total > end - p - 17)
            return false;
        memset(h->values, 0, sizeof(h->values));
        memcpy(h->values, p + 17, (size_t)total);
        h->count = total;
        if (!build_table(h, p + 1))
            return false;
        p += 17 + total;
    }
    return true;
}

static bool read_scan(jll *j, size_t n)
{
    const uint8_t *p = j->src + j->at;
    if (n < 6 || p[0] != 1 || p[1] != j->component)
        return false;
    j->table = p[2] >> 4;
    j->predictor = p[3];
    j->transform = p[5] & 15;
    return j->table < 4 && j->tables[j->table].set && j->predictor >= 1 && j->predictor <= 7 &&
           p[4] == 0 && p[5] >> 4 == 0 && j->transform < j->head.precision;
}

/* Everything up to the first byte of the scan. */
static codec_status read_headers(jll *j, int rows, int cols)
{
    size_t n;
    int marker;
    bool frame = false;
    if (!next_marker(j->src, j->len, &j->at, &marker, &n) || marker != M_SOI)
        return CODEC_BROKEN;
    for (int i = 0; i < MARKERS_MAX; i++) {
        if (!next_marker(j->src, j->len, &j->at, &marker, &n))
            return CODEC_BROKEN;
        if (is_frame(marker)) {
            if (frame || !read_frame(j->src + j->at, n, marker, &j->head))
                return CODEC_BROKEN;
            if (marker != M_SOF3)
                return CODEC_UNSUPPORTED;
            if (j->head.components != 1 || j->head.rows != rows || j->head.cols != cols)
                return CODEC_GEOMETRY;
            if (j->head.precision < 2 || j->head.precision > 16)
                return CODEC_BROKEN;
            j->component = j->src[j->at + 6];
            frame = true;
        } else if (marker == M_DHT) {
            if (!read_tables(j, n))
                return CODEC_BROKEN;
        } else if (marker == M_DRI) {
            if (n != 2)
                return CODEC_BROKEN;
            j->restart = be16(j->src + j->at);
        } else if (marker == M_SOS) {
            if (!frame || !read_scan(j, n))
                return CODEC_BROKEN;
            j->at += n;
            return CODEC_OK;
        } else if (n == 0) {
            return CODEC_BROKEN;
        }
        j->at += n;
    }
    return CODEC_BROKEN;
}

static void refill(bits *b)
{
    while (b->n <= 56) {
        if (b->marker || b->p >= b->end) {
            b->marker = true;
            return;
        }
        unsigned c = *b->p;
        if (c == 0xFF) {
            if (b->p + 1 >= b->end || b->p[1] != 0) {
                b->marker = true;
                return;
            }
            b->p++;
        }
        b->p++;
        b->hold |= (uint64_t)c << (56 - b->n);
        b->n += 8;
    }
}

/* The next difference (annex H.1.2.2); false when the bits run out or form no code. */
static bool difference(bits *b, const huffman *h, int *out)
{
    if (b->n < 32)
        refill(b);
    unsigned entry = h->lookup[b->hold >> (64 - LOOKUP_BITS)];
    int length = (int)(entry >> 8), category = (int)(entry & 255);
    if (entry == 0) {
        length = LOOKUP_BITS + 1;
        int32_t code = (int32_t)(b->hold >> (64 - length));
        while (length <= 16 && code > h->max_code[length]) {
            length++;
            code = (int32_t)(b->hold >> (64 - length));
        }
        if (length > 16 || code < h->first_code[length])
            return false;
        category = h->values[h->first_value[length] + code - h->first_code[length]];
    }
    int extra = category < 16 ? category : 0;
    if (length + extra > b->n)
        return false;
    b->hold <<= length;
    *out = category == 16 ? 32768 : 0;
    if (extra > 0) {
        int v = (int)(b->hold >> (64 - extra));
        *out = v < 1 << (extra - 1) ? v - (1 << extra) + 1 : v;
        b->hold <<= extra;
    }
    b->n -= length + extra;
    return true;
}

/* Between intervals: fewer than 8 padding bits, then RSTm. */
static bool take_restart(bits *b, int m)
{
    refill(b);
    if (!b->marker || b->n >= 8 || b->end - b->p < 2)
        return false;
    while (b->end - b->p > 2 && b->p[0] == 0xFF && b->p[1] == 0xFF)
        b->p++;
    if (b->p[0] != 0xFF || b->p[1] != M_RST0 + m)
        return false;
    b->p += 2;
    b->hold = 0;
    b->n = 0;
    b->marker = false;
    return true;
}

static int predict(int predictor, int a, int b, int c)
{
    switch (predictor) {
    case 1:
        return a;
    case 2:
        return b;
    case 3:
        return c;
    case 4:
        return a + b - c;
    case 5:
        return a + ((b - c) >> 1);
    case 6:
        return b + ((a - c) >> 1);
    default:
        return (a + b) >> 1;
    }
}

static codec_status decode_scan(jll *j, uint16_t *dst)
{
    const huffman *h = &j->tables[j->table];
    const int cols = j->head.cols, rows = j->head.rows;
    const int start = 1 << (j->head.precision - j->transform - 1);
    bits b = {.p = j->src + j->at, .end = j->src + j->len};
    uint32_t until = j->restart;
    int marker = 0;
    bool first = true; /* first line of an interval: predicted from the left */
    if (j->restart && j->restart % (uint32_t)cols != 0)
        return CODEC_BROKEN; /* annex H.1.1: an interval is a whole number of lines */
    for (int y = 0; y < rows; y++) {
        uint16_t *row = dst + (size_t)y * (size_t)cols, *up = row - (y ? cols : 0);
        int diff;
        if (!difference(&b, h, &diff))
            return CODEC_DAMAGED;
        row[0] = (uint16_t)((first ? start : up[0]) + diff);
        if (first || j->predictor == 1)
            for (int x = 1; x < cols; x++) {
                if (!difference(&b, h, &diff))
                    return CODEC_DAMAGED;
                row[x] = (uint16_t)(row[x - 1] + diff);
            }
        else
            for (int x = 1; x < cols; x++) {
                if (!difference(&b, h, &diff))
                    return CODEC_DAMAGED;
                row[x] = (uint16_t)(predict(j->predictor, row[x - 1], up[x], up[x - 1]) + diff);
            }
        first = false;
        if (j->restart && (until -= (uint32_t)cols) == 0 && y + 1 < rows) {
            if (!take_restart(&b, marker))
                return CODEC_DAMAGED;
            marker = (marker + 1) & 7;
            until = j->restart;
            first = true;
        }
    }
    refill(&b);
    if (!b.marker || b.n >= 8)
        return CODEC_DAMAGED; /* data after the last sample */
    j->at = (size_t)(b.p - j->src);
    return CODEC_OK;
}

codec_status jll_decode(const uint8_t *src, size_t len, int rows, int cols, uint16_t *dst,
                        int *precision)
{
    jll j = {.src = src, .len = len};
    codec_status s = read_headers(&j, rows, cols);
    *precision = j.head.precision;
    if (s == CODEC_OK)
        s = decode_scan(&j, dst);
    if (s != CODEC_OK)
        return s;
    size_t n, total = (size_t)rows * (size_t)cols;
    int marker;
    if (!next_marker(src, len, &j.at, &marker, &n) || marker != M_EOI)
        return CODEC_DAMAGED;
    const int mask = (1 << j.head.precision) - 1;
    unsigned over = 0;
    for (size_t i = 0; i < total; i++) {
        unsigned v = (unsigned)dst[i] << j.transform;
        over |= v & ~(unsigned)mask & 0xFFFFu;
        dst[i] = (uint16_t)v;
    }
    /* differences are taken modulo 2^16; a sample beyond the precision comes from a wrong bit */
    return over ? CODEC_DAMAGED : CODEC_OK;
}
