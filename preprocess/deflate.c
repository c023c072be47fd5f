/* Deflate for planes of pixels by ISA-L's level 0 (deflate.h), with Huffman codes made for the
 * plane from an eighth of it: counting all of it costs as much as compressing, and makes mammograms
 * a thousandth smaller. Not its levels 1 and 2: there the address of a structure can choose between
 * equal matches. All memory is cleared first: ISA-L does not set every field that it reads. */
#include "preprocess/deflate.h"

#include <isa-l/igzip_lib.h>
#include <string.h>

#define STORED 65535              /* bytes of a stored block, RFC 1951 3.2.4 */
#define STRIP  ((size_t)32 << 10) /* counted at once: as far back as a match can reach */
#define STRIDE (8 * STRIP)        /* from strip to strip; a plane of one stride is counted whole */

typedef struct work {
    struct isal_zstream stream;
    struct isal_huff_histogram counts;
    struct isal_hufftables codes;
} work;

/* ISA-L stores what does not become smaller: 5 bytes for each block, 6 around all. */
size_t deflate_bound(size_t n)
{
    return n + (n / STORED + 1) * 5 + 6;
}

static void count(uint8_t *in, size_t n, struct isal_huff_histogram *counts)
{
    size_t strip = n > STRIDE ? STRIP : n;
    for (size_t at = 0; at < n; at += STRIDE)
        isal_update_histogram(in + at, (int)(n - at < strip ? n - at : strip), counts);
}

size_t deflate_plane(const uint8_t *raw, size_t n, arena *a, uint8_t *out)
{
    work *k = arena_alloc(a, sizeof *k);
    uint8_t *in = (uint8_t *)raw; /* only read */
    if (n > INT32_MAX)
        BUG("deflate_plane: %zu bytes", n);
    memset(k, 0, sizeof *k);
    count(in, n, &k->counts);
    /* Codes for all symbols: the compressor sees what was not counted. */
    int rc = isal_create_hufftables(&k->codes, &k->counts);
    if (rc)
        BUG("deflate_plane: no codes (%d)", rc);
    isal_deflate_stateless_init(&k->stream);
    k->stream.hufftables = &k->codes;
    k->stream.gzip_flag = IGZIP_ZLIB;
    k->stream.end_of_stream = 1;
    k->stream.next_in = in;
    k->stream.avail_in = (uint32_t)n;
    k->stream.next_out = out;
    k->stream.avail_out = (uint32_t)deflate_bound(n);
    rc = isal_deflate_stateless(&k->stream);
    if (rc != COMP_OK)
        BUG("deflate_plane: %zu bytes do not fit their bound (%d)", n, rc);
    return k->stream.total_out;
}
