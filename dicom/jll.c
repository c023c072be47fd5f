/* Lossless JPEG, ITU-T T.81 annex H: Huffman-coded differences to one of seven predictions. One
 * grey component of 2 to 16 bits, restart intervals, point transform. The last bit must belong to
 * the last sample and only padding and EOI may follow, so a cut stream never passes for a whole one
 * even when it ends in a well-formed EOI. */
#include "dicom/codec.h"

#include "core/mem.h"

#include <string.h>

#define LOOKUP_BITS 12   /* four of them fit into what a refill leaves */
#define DIFF_BITS   32   /* most bits of one difference: a code of 16, 16 beside it */
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
    int32_t max_code[17]; /* largest code of each length, -1 = none */
    int32_t first_code[17], first_value[17];
    /* what the next bits mean: difference << 16 | bits of code and difference; 0 = more bits */
    uint32_t lookup[1 << LOOKUP_BITS];
} huffman;

/* Bits of one interval without the stuffed zeros. Behind its end lie zeros for a whole line, so the
 * end is looked for once per line only. */
typedef struct bits {
    const uint8_t *p; /* first byte that is not wholly in hold */
    uint64_t hold;    /* the next bits, left-aligned */
    unsigned n;       /* how many of them count */
    bool bad;         /* a code was met that is not in the table */
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

/* The difference that `extra` bits stand for in a category, annex H.1.2.2. */
static unsigned extend(unsigned category, unsigned extra)
{
    if (category == 0 || category == 16)
        return category ? 32768 : 0;
    return extra < 1u << (category - 1) ? extra - (1u << category) + 1 : extra;
}

/* All continuations of one code in the table of the next bits. */
static void fill_lookup(huffman *h, unsigned code, unsigned length, unsigned category)
{
    unsigned extra = category < 16 ? category : 0, used = length + extra;
    if (used > LOOKUP_BITS)
        return;
    unsigned spare = LOOKUP_BITS - used;
    for (unsigned v = 0; v < 1u << extra; v++)
        for (unsigned i = 0; i < 1u << spare; i++)
            h->lookup[(code << extra | v) << spare | i] = extend(category, v) << 16 | used;
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
            fill_lookup(h, (unsigned)code, (unsigned)l, h->values[k]);
        }
        h->max_code[l] = counts[l - 1] ? code - 1 : -1;
        code <<= 1;
    }
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

/* Copies the scan from *at up to the next marker or the end, leaving out the zero behind each 0xFF,
 * and puts `slack` zeros behind it. Returns the bytes copied. */
static size_t take_interval(const jll *j, size_t *at, size_t slack, uint8_t *to)
{
    const uint8_t *p = j->src + *at, *end = j->src + j->len;
    uint8_t *out = to;
    while (p < end) {
        const uint8_t *mark = memchr(p, 0xFF, (size_t)(end - p));
        bool stuffed = mark && end - mark >= 2 && mark[1] == 0;
        size_t n = (size_t)((mark ? mark : end) - p) + stuffed;
        memcpy(out, p, n);
        out += n;
        p += n + stuffed;
        if (!stuffed)
            break;
    }
    memset(out, 0, slack);
    *at = (size_t)(p - j->src);
    return (size_t)(out - to);
}

/* At least 56 bits in hold. */
static inline bits refill(bits b)
{
    const uint8_t *p = b.p;
    uint64_t next = (uint64_t)p[0] << 56 | (uint64_t)p[1] << 48 | (uint64_t)p[2] << 40 |
                    (uint64_t)p[3] << 32 | (uint64_t)p[4] << 24 | (uint64_t)p[5] << 16 |
                    (uint64_t)p[6] << 8 | p[7];
    b.hold |= next >> b.n;
    b.p += (63 - b.n) >> 3;
    b.n |= 56;
    return b;
}

/* A difference that the table of the next bits does not know. */
static bits long_difference(bits b, const huffman *h, unsigned *diff)
{
    b = refill(b);
    int length = 1;
    while (length <= 16 && (int32_t)(b.hold >> (64 - length)) > h->max_code[length])
        length++;
    int32_t code = length <= 16 ? (int32_t)(b.hold >> (64 - length)) : -1;
    *diff = 0;
    if (code < 0 || code < h->first_code[length]) {
        b.bad = true;
        return b;
    }
    unsigned category = h->values[h->first_value[length] + code - h->first_code[length]];
    unsigned extra = category < 16 ? category : 0;
    b.hold <<= length;
    *diff = extend(category, extra ? (unsigned)(b.hold >> (64 - extra)) : 0);
    b.hold <<= extra;
    b.n -= (unsigned)length + extra;
    return refill(b);
}

/* The samples of a line from `x` on, one function per predictor: a is the sample to the left, u the
 * one above, c the one above to the left. A line takes at most DIFF_BITS per sample. */
#define DEFINE_LINE(number, prediction)                                                            \
    static bits line_##number(bits b, const huffman *h, uint16_t *row, const uint16_t *up, int x,  \
                              int cols)                                                            \
    {                                                                                              \
        int a = row[x - 1], c = up[x - 1];                                                         \
        while (x < cols) {                                                                         \
            b = refill(b);                                                                         \
            for (int end = cols - x < 4 ? cols : x + 4; x < end; x++) {                            \
                uint32_t entry = h->lookup[b.hold >> (64 - LOOKUP_BITS)];                          \
                unsigned diff = entry >> 16;                                                       \
                const int u = up[x];                                                               \
                if (entry) {                                                                       \
                    b.hold <<= entry & 63;                                                         \
                    b.n -= entry & 63;                                                             \
                } else {                                                                           \
                    b = long_difference(b, h, &diff);                                              \
                }                                                                                  \
                a = (uint16_t)((unsigned)(prediction) + diff);                                     \
                row[x] = (uint16_t)a;                                                              \
                c = u;                                                                             \
            }                                                                                      \
        }                                                                                          \
        (void)c;                                                                                   \
        return b;                                                                                  \
    }
DEFINE_LINE(1, a)
DEFINE_LINE(2, u)
DEFINE_LINE(3, c)
DEFINE_LINE(4, a + u - c)
DEFINE_LINE(5, a + ((u - c) >> 1))
DEFINE_LINE(6, u + ((a - c) >> 1))
DEFINE_LINE(7, (a + u) >> 1)

typedef bits line_fn(bits b, const huffman *h, uint16_t *row, const uint16_t *up, int x, int cols);

/* The first sample of a line, by itself: there is none to its left. */
static bits first_sample(bits b, const huffman *h, unsigned prediction, uint16_t *to)
{
    b = refill(b);
    uint32_t entry = h->lookup[b.hold >> (64 - LOOKUP_BITS)];
    unsigned diff = entry >> 16;
    if (entry) {
        b.hold <<= entry & 63;
        b.n -= entry & 63;
    } else {
        b = long_difference(b, h, &diff);
    }
    *to = (uint16_t)(prediction + diff);
    return b;
}

/* Lines first..end-1, which are one interval whose bits are data[n] and zeros behind them. */
static bool decode_lines(const jll *j, const uint8_t *data, size_t n, int first, int end,
                         uint16_t *dst)
{
    static line_fn *const line_of[8] = {NULL,   line_1, line_2, line_3,
                                        line_4, line_5, line_6, line_7};
    const huffman *h = &j->tables[j->table];
    const int cols = j->head.cols, depth = j->head.precision - j->transform;
    const size_t total = 8 * n;
    bits b = {.p = data};
    size_t used = 0;
    for (int y = first; y < end; y++) {
        uint16_t *row = dst + (size_t)y * (size_t)cols, over = 0;
        /* the first line of an interval is predicted from the left only */
        const uint16_t *up = y > first ? row - cols : row;
        b = first_sample(b, h, y > first ? up[0] : 1u << (depth - 1), row);
        b = (y > first ? line_of[j->predictor] : line_1)(b, h, row, up, 1, cols);
        used = 8 * (size_t)(b.p - data) - b.n;
        /* differences are taken modulo 2^16; a sample of more bits comes from a wrong one */
        for (int x = 0; x < cols; x++)
            over |= row[x];
        if (b.bad || used > total || over >> depth)
            return false;
    }
    return total - used < 8; /* padding, no data */
}

/* Between intervals: fill bytes and RSTm. */
static bool take_restart(const jll *j, size_t *at, int m)
{
    while (j->len - *at > 2 && j->src[*at] == 0xFF && j->src[*at + 1] == 0xFF)
        ++*at;
    if (j->len - *at < 2 || j->src[*at] != 0xFF || j->src[*at + 1] != M_RST0 + m)
        return false;
    *at += 2;
    return true;
}

static codec_status decode_scan(jll *j, uint16_t *dst)
{
    const int cols = j->head.cols, rows = j->head.rows;
    if (j->restart && j->restart % (uint32_t)cols != 0)
        return CODEC_BROKEN; /* annex H.1.1: an interval is a whole number of lines */
    const int lines = j->restart ? (int)(j->restart / (uint32_t)cols) : rows;
    const size_t slack = (size_t)cols * (DIFF_BITS / 8) + 2 * sizeof(uint64_t);
    uint8_t *data = mem_alloc(j->len - j->at + slack);
    bool ok = true;
    for (int y = 0, m = 0; y < rows && ok; y += lines) {
        int end = rows - y < lines ? rows : y + lines;
        size_t n = take_interval(j, &j->at, slack, data);
        ok = decode_lines(j, data, n, y, end, dst);
        if (ok && end < rows)
            ok = take_restart(j, &j->at, m);
        m = (m + 1) & 7;
    }
    mem_free(data);
    return ok ? CODEC_OK : CODEC_DAMAGED;
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
    size_t n;
    int marker;
    if (!next_marker(src, len, &j.at, &marker, &n) || marker != M_EOI)
        return CODEC_DAMAGED;
    if (j.transform)
        for (size_t i = 0, total = (size_t)rows * (size_t)cols; i < total; i++)
            dst[i] = (uint16_t)(dst[i] << j.transform);
    return CODEC_OK;
}
