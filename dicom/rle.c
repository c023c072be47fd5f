/* RLE Lossless: a header of 16 words, then one PackBits segment per byte of the sample, most
 * significant first. A segment must give exactly rows * cols bytes and be used up. */
#include "dicom/codec.h"

#define RLE_HEADER   64
#define RLE_SEGMENTS 15
#define RLE_BLOCK    16

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Writes go in blocks, for speed: what a block writes behind its run is written again by the runs
 * that follow, since a segment fills the whole plane or is refused. */
static void put_literal(uint16_t *restrict dst, const uint8_t *restrict src, unsigned keep,
                        int shift)
{
    for (int i = 0; i < RLE_BLOCK; i++)
        dst[i] = (uint16_t)((dst[i] & keep) | (unsigned)src[i] << shift);
}

static void put_same(uint16_t *dst, unsigned value, unsigned keep)
{
    for (int i = 0; i < RLE_BLOCK; i++)
        dst[i] = (uint16_t)((dst[i] & keep) | value);
}

/* One byte plane: the bits of dst in `keep` stay. */
static codec_status unpack(const uint8_t *src, size_t len, uint16_t *dst, size_t n, int shift,
                           unsigned keep)
{
    size_t at = 0, out = 0;
    while (out < n) {
        if (at >= len)
            return CODEC_DAMAGED;
        unsigned c = src[at++];
        if (c == 128)
            continue;
        bool literal = c < 128;
        size_t run = literal ? c + 1 : 257 - c, bytes = literal ? run : 1, i = 0;
        if (run > n - out || bytes > len - at)
            return CODEC_DAMAGED;
        bool room = n - out >= run + RLE_BLOCK && (!literal || len - at >= run + RLE_BLOCK);
        for (; room && literal && i < run; i += RLE_BLOCK)
            put_literal(dst + out + i, src + at + i, keep, shift);
        for (; room && !literal && i < run; i += RLE_BLOCK)
            put_same(dst + out + i, (unsigned)src[at] << shift, keep);
        for (; i < run; i++)
            dst[out + i] =
                (uint16_t)((dst[out + i] & keep) | (unsigned)src[at + (literal ? i : 0)] << shift);
        out += run;
        at += bytes;
    }
    /* what may follow is padding: zeros to the next even offset, no-operation bytes */
    for (size_t left = len - at, i = at; i < len; i++)
        if (left > 2 && src[i] != 0 && src[i] != 128)
            return CODEC_DAMAGED;
    return CODEC_OK;
}

codec_status rle_decode(const uint8_t *src, size_t len, int rows, int cols, int bits_allocated,
                        uint16_t *dst)
{
    if (len < RLE_HEADER)
        return CODEC_BROKEN;
    uint32_t segments = get32(src), planes = (uint32_t)bits_allocated / 8;
    if (segments == 0 || segments > RLE_SEGMENTS)
        return CODEC_BROKEN;
    if (segments != planes)
        return CODEC_GEOMETRY;
    size_t n = (size_t)rows * (size_t)cols;
    for (uint32_t s = 0; s < segments; s++) {
        size_t from = get32(src + 4 + 4 * s);
        size_t to = s + 1 < segments ? get32(src + 8 + 4 * s) : len;
        if (from < RLE_HEADER || to < from)
            return CODEC_BROKEN;
        if (to > len)
            return CODEC_DAMAGED;
        codec_status st = unpack(src + from, to - from, dst, n, (int)(8 * (segments - 1 - s)),
                                 s == 0 ? 0 : 0xFF00);
        if (st != CODEC_OK)
            return st;
    }
    return CODEC_OK;
}
