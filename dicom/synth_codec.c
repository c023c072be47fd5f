/* Encoders of synth_file.h: RLE (PS3.5 annex G) and lossless JPEG (ITU-T T.81, process 14 with
 * selection value 1). */
#include "dicom/synth_file.h"

#include <string.h>

/* ---- RLE ------------------------------------------------------------------------------------- */

/* One row of bytes, PackBits; runs never cross rows. */
static void pack_row(const uint8_t *b, int n, text *out)
{
    int i = 0;
    while (i < n) {
        int run = 1;
        while (i + run < n && run < 128 && b[i + run] == b[i])
            run++;
        if (run > 1) {
            char two[2] = {(char)(257 - run), (char)b[i]};
            text_addn(out, two, 2);
            i += run;
            continue;
        }
        int from = i;
        while (i < n && i - from < 128 && !(i + 1 < n && b[i + 1] == b[i]))
            i++;
        char count = (char)(i - from - 1);
        text_addn(out, &count, 1);
        text_addn(out, (const char *)b + from, (size_t)(i - from));
    }
}

void synth_rle(const uint16_t *px, int rows, int cols, text *out)
{
    uint32_t head[16] = {2, 64};
    size_t start = out->len;
    uint8_t *row = mem_alloc((size_t)cols);
    text_addn(out, (const char *)head, sizeof(head));
    for (int plane = 0; plane < 2; plane++) {
        head[1 + plane] = (uint32_t)(out->len - start);
        for (int y = 0; y < rows; y++) {
            const uint16_t *src = px + (size_t)y * (size_t)cols;
            for (int x = 0; x < cols; x++)
                row[x] = (uint8_t)(plane == 0 ? src[x] >> 8 : src[x] & 0xFF);
            pack_row(row, cols, out);
        }
        if ((out->len - start) & 1)
            text_addn(out, "", 1);
    }
    memcpy(out->s + start, head, sizeof(head));
    mem_free(row);
}

/* ---- lossless JPEG --------------------------------------------------------------------------- */

/* Code lengths of the difference categories 0..16; noise makes 3 to 6 the most frequent. The code
 * is incomplete, so that no word consists of ones only. */
static const uint8_t lengths[17] = {4, 4, 4, 3, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12};

typedef struct bits {
    uint8_t *p; /* room for the worst case */
    size_t n;
    uint64_t acc;
    int have;
} bits;

static void bits_byte(bits *b, uint8_t v)
{
    b->p[b->n++] = v;
    if (v == 0xFF)
        b->p[b->n++] = 0;
}

static void bits_add(bits *b, uint32_t v, int n)
{
    b->acc = b->acc << n | v;
    b->have += n;
    for (; b->have >= 8; b->have -= 8)
        bits_byte(b, (uint8_t)(b->acc >> (b->have - 8)));
}

static void add_be(text *out, unsigned v)
{
    char two[2] = {(char)(v >> 8 & 0xFF), (char)(v & 0xFF)};
    text_addn(out, two, 2);
}

/* Canonical codes in order of length, then category; also the two lists of the DHT segment. */
static void make_codes(uint16_t code[17], uint8_t counts[16], uint8_t values[17])
{
    unsigned next = 0, n = 0;
    memset(counts, 0, 16);
    for (unsigned len = 1; len <= 16; len++, next <<= 1)
        for (unsigned c = 0; c <= 16; c++)
            if (lengths[c] == len) {
                code[c] = (uint16_t)next++;
                values[n++] = (uint8_t)c;
                counts[len - 1]++;
            }
}

static void jpeg_head(int rows, int cols, int precision, const uint8_t counts[16],
                      const uint8_t values[17], text *out)
{
    add_be(out, 0xFFD8);
    add_be(out, 0xFFC3);
    add_be(out, 11);
    char p = (char)precision;
    text_addn(out, &p, 1);
    add_be(out, (unsigned)rows);
    add_be(out, (unsigned)cols);
    text_addn(out, "\1\1\x11\0", 4);
    add_be(out, 0xFFC4);
    add_be(out, 2 + 1 + 16 + 17);
    text_addn(out, "\0", 1);
    text_addn(out, (const char *)counts, 16);
    text_addn(out, (const char *)values, 17);
    add_be(out, 0xFFDA);
    add_be(out, 8);
    text_addn(out, "\1\1\0\1\0\0", 6);
}

void synth_jll(const uint16_t *px, int rows, int cols, int precision, text *out)
{
    uint16_t code[17];
    uint8_t counts[16], values[17];
    size_t w = (size_t)cols;
    make_codes(code, counts, values);
    jpeg_head(rows, cols, precision, counts, values, out);
    /* at most 28 bits a sample, every byte possibly stuffed */
    bits b = {.p = mem_alloc(w * (size_t)rows * 8 + 16)};
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < cols; x++) {
            const uint16_t *s = px + (size_t)y * w + x;
            int guess = x ? s[-1] : y ? *(s - w) : 1 << (precision - 1);
            int diff = (int16_t)(uint16_t)(*s - guess);
            int cat = 0;
            for (int m = abs(diff); m; m >>= 1)
                cat++;
            bits_add(&b, code[cat], lengths[cat]);
            if (cat > 0 && cat < 16) {
                uint32_t low = (uint32_t)(diff > 0 ? diff : diff - 1) & ((1u << cat) - 1);
                bits_add(&b, low, cat);
            }
        }
    if (b.have)
        bits_byte(&b, (uint8_t)(b.acc << (8 - b.have) | ((1u << (8 - b.have)) - 1)));
    text_addn(out, (const char *)b.p, b.n);
    mem_free(b.p);
    add_be(out, 0xFFD9);
}
