/* JPEG 2000 and HTJ2K frames through OpenJPEG: bare code streams and those in JP2 boxes. Strict: a
 * stream that ends early, and any warning of the library, is damage. The library takes a missing
 * tile for black and insists on the end marker with nothing behind it, so the chain of tile parts
 * is followed here first. ITU-T T.800 annexes A and I. */
#include "dicom/codec.h"

#include "core/mem.h"

#include <openjpeg.h>
#include <string.h>

#define TILES_MAX  65535
#define SOT_LENGTH 12 /* bytes of a tile part's header up to SOD or the first optional marker */
#define SIZ_LENGTH 38 /* bytes of SIZ that are read here */

enum { M_SOT = 0xFF90, M_EOC = 0xFFD9 };

typedef struct source {
    const uint8_t *p;
    size_t len, at;
} source;

static OPJ_SIZE_T source_read(void *to, OPJ_SIZE_T n, void *user)
{
    source *s = user;
    size_t left = s->len - s->at;
    if (!left)
        return (OPJ_SIZE_T)-1;
    n = n < left ? n : left;
    memcpy(to, s->p + s->at, n);
    s->at += n;
    return n;
}

static OPJ_OFF_T source_skip(OPJ_OFF_T n, void *user)
{
    source *s = user;
    size_t left = s->len - s->at;
    if (n < 0 || (uint64_t)n > left) {
        s->at = s->len;
        return -1;
    }
    s->at += (size_t)n;
    return n;
}

static OPJ_BOOL source_seek(OPJ_OFF_T at, void *user)
{
    source *s = user;
    if (at < 0 || (uint64_t)at > s->len)
        return OPJ_FALSE;
    s->at = (size_t)at;
    return OPJ_TRUE;
}

static void count(const char *message, void *user)
{
    (void)message; /* may quote the stream */
    ++*(int *)user;
}

static void ignore(const char *message, void *user)
{
    (void)message;
    (void)user;
}

static unsigned be16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static bool is_box(const uint8_t *p, size_t len)
{
    static const uint8_t box[] = {0, 0, 0, 0x0C, 0x6A, 0x50, 0x20, 0x20, 0x0D, 0x0A, 0x87, 0x0A};
    return len >= sizeof box && !memcmp(p, box, sizeof box);
}

static bool is_stream(const uint8_t *p, size_t len)
{
    static const uint8_t stream[] = {0xFF, 0x4F, 0xFF, 0x51};
    return len >= sizeof stream && !memcmp(p, stream, sizeof stream);
}

bool j2k_sniff(const uint8_t *p, size_t len)
{
    return is_stream(p, len) || is_box(p, len);
}

typedef struct span {
    const uint8_t *p;
    size_t len;
} span;

/* The next box of *in; false when there is none that lies inside. */
static bool next_box(span *in, uint32_t *type, span *payload)
{
    if (in->len < 8)
        return false;
    uint64_t n = be32(in->p), head = 8;
    *type = be32(in->p + 4);
    if (n == 1 && in->len >= 16) {
        n = (uint64_t)be32(in->p + 8) << 32 | be32(in->p + 12);
        head = 16;
    }
    n = n == 0 ? in->len : n; /* up to the end */
    if (n < head || n > in->len)
        return false;
    *payload = (span){in->p + head, (size_t)(n - head)};
    *in = (span){in->p + n, in->len - (size_t)n};
    return true;
}

/* The code stream inside its boxes. The other boxes say nothing about samples of one grey
 * component, but for a palette, which no grey image has. */
static codec_status unbox(span *s)
{
    enum {
        HEADER = 0x6A703268,  /* jp2h */
        PALETTE = 0x70636C72, /* pclr */
        CODE = 0x6A703263     /* jp2c */
    };
    span box, inner;
    uint32_t type;
    while (next_box(s, &type, &box)) {
        while (type == HEADER && next_box(&box, &type, &inner)) {
            if (type == PALETTE)
                return CODEC_GEOMETRY;
            type = HEADER;
        }
        if (type == CODE) {
            *s = box;
            return is_stream(box.p, box.len) ? CODEC_OK : CODEC_BROKEN;
        }
    }
    return CODEC_DAMAGED;
}

typedef struct tiles {
    uint32_t n;
    uint8_t *seen, *announced; /* tile parts of each tile; 0 = not told */
} tiles;

/* How many tiles the image has; 0 when the header makes no sense. A.5.1 */
static uint32_t count_tiles(const span *s)
{
    if (s->len < 2 + SIZ_LENGTH + 2)
        return 0;
    const uint8_t *z = s->p + 4; /* behind SOC and the marker SIZ */
    uint64_t w = be32(z + 4), h = be32(z + 8), tw = be32(z + 20), th = be32(z + 24),
             tx = be32(z + 28), ty = be32(z + 32);
    if (!tw || !th || w <= tx || h <= ty)
        return 0;
    uint64_t n = ((w - tx + tw - 1) / tw) * ((h - ty + th - 1) / th);
    return n <= TILES_MAX ? (uint32_t)n : 0;
}

/* Start of the first tile part, 0 = none. */
static size_t first_part(const span *s)
{
    size_t at = 2;
    while (s->len - at >= 4 && be16(s->p + at) != M_SOT) {
        size_t n = be16(s->p + at + 2);
        if (s->p[at] != 0xFF || n < 2 || n > s->len - at - 2)
            return 0;
        at += 2 + n;
    }
    return s->len - at >= SOT_LENGTH ? at : 0;
}

/* The last end marker behind `from`, 0 = none. */
static size_t last_end(const span *s, size_t from)
{
    for (size_t at = s->len; at >= from + 2; at--)
        if (be16(s->p + at - 2) == M_EOC)
            return at;
    return 0;
}

/* No marker at `at`, where the last part ends: its samples must not run into one, since code never
 * holds 0xFF before a byte above 0x8F, and only padding may follow. */
static bool ends_cleanly(const span *s, size_t at)
{
    for (size_t i = at; i < s->len; i++)
        if (s->p[i])
            return false;
    return s->p[at - 1] != 0xFF && be16(s->p + at - 2) <= 0xFF8F;
}

/* Follows the tile parts. *end: behind the last of them, or behind the end marker when *marked.
 * Damaged when a part goes on beyond the bytes or when parts are missing. */
static codec_status follow_parts(const span *s, tiles *t, size_t *end, bool *marked)
{
    size_t at = first_part(s);
    bool told = true;
    *marked = false;
    if (!at)
        return CODEC_DAMAGED;
    while (s->len - at >= SOT_LENGTH && be16(s->p + at) == M_SOT) {
        uint32_t tile = be16(s->p + at + 4), n = be32(s->p + at + 6);
        if (tile >= t->n || t->seen[tile] == UINT8_MAX)
            return CODEC_BROKEN;
        t->seen[tile]++;
        if (s->p[at + 11])
            t->announced[tile] = s->p[at + 11];
        if (n == 0) { /* the last part, up to the end marker */
            *end = last_end(s, at + SOT_LENGTH);
            *marked = true;
            break;
        }
        if (n < SOT_LENGTH || n > s->len - at)
            return CODEC_DAMAGED;
        at += n;
    }
    if (!*marked) {
        *marked = s->len - at >= 2 && be16(s->p + at) == M_EOC;
        *end = at + (*marked ? 2 : 0);
        if (!*marked && !ends_cleanly(s, at))
            return CODEC_DAMAGED;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        if (!t->seen[i] || (t->announced[i] && t->seen[i] != t->announced[i]))
            return CODEC_DAMAGED;
        told = told && t->announced[i];
    }
    /* without an end marker only the announced numbers prove that nothing is missing */
    return *end && (*marked || told) ? CODEC_OK : CODEC_DAMAGED;
}

/* Cuts the stream behind its end marker. *copy: owned, the same with an end marker, when it has
 * none. */
static codec_status settle_end(span *s, uint8_t **copy)
{
    tiles t = {.n = count_tiles(s)};
    size_t end = 0;
    bool marked;
    if (!t.n)
        return CODEC_BROKEN;
    t.seen = mem_calloc(2 * (size_t)t.n, 1);
    t.announced = t.seen + t.n;
    codec_status status = follow_parts(s, &t, &end, &marked);
    mem_free(t.seen);
    if (status != CODEC_OK)
        return status;
    s->len = end;
    if (marked)
        return CODEC_OK;
    *copy = mem_alloc(end + 2);
    memcpy(*copy, s->p, end);
    memcpy(*copy + end, "\xFF\xD9", 2);
    *s = (span){*copy, end + 2};
    return CODEC_OK;
}

/* Only grey images of the promised size are worth memory. */
static codec_status check_header(const opj_image_t *im, int rows, int cols)
{
    const opj_image_comp_t *c = im->numcomps == 1 ? im->comps : NULL;
    if (!c || c->dx != 1 || c->dy != 1 || c->prec < 1 || c->prec > 16 ||
        im->x1 - im->x0 != (OPJ_UINT32)cols || im->y1 - im->y0 != (OPJ_UINT32)rows ||
        c->w != (OPJ_UINT32)cols || c->h != (OPJ_UINT32)rows)
        return CODEC_GEOMETRY;
    return CODEC_OK;
}

static codec_status decode(opj_codec_t *codec, opj_stream_t *stream, int rows, int cols,
                           const int *complaints, opj_image_t **image)
{
    opj_dparameters_t how;
    opj_set_default_decoder_parameters(&how);
    if (!opj_setup_decoder(codec, &how) || !opj_decoder_set_strict_mode(codec, OPJ_TRUE) ||
        !opj_read_header(stream, codec, image))
        return CODEC_BROKEN;
    codec_status s = check_header(*image, rows, cols);
    if (s != CODEC_OK)
        return s;
    if (!opj_decode(codec, stream, *image) || !opj_end_decompress(codec, stream))
        return CODEC_DAMAGED;
    if (*complaints || !(*image)->comps[0].data)
        return CODEC_DAMAGED;
    return check_header(*image, rows, cols);
}

static codec_status decode_stream(const span *in, int rows, int cols, uint16_t *dst, int *precision)
{
    source from = {in->p, in->len, 0};
    int complaints = 0;
    opj_image_t *image = NULL;
    opj_codec_t *codec = opj_create_decompress(OPJ_CODEC_J2K);
    opj_stream_t *stream = opj_stream_create((OPJ_SIZE_T)1 << 16, OPJ_TRUE);
    codec_status s = CODEC_BROKEN;
    if (codec && stream) {
        opj_set_info_handler(codec, ignore, NULL);
        opj_set_warning_handler(codec, count, &complaints);
        opj_set_error_handler(codec, count, &complaints);
        opj_stream_set_read_function(stream, source_read);
        opj_stream_set_skip_function(stream, source_skip);
        opj_stream_set_seek_function(stream, source_seek);
        opj_stream_set_user_data(stream, &from, NULL);
        opj_stream_set_user_data_length(stream, from.len);
        s = decode(codec, stream, rows, cols, &complaints, &image);
    }
    if (s == CODEC_OK) {
        const opj_image_comp_t *c = image->comps;
        size_t n = (size_t)rows * (size_t)cols;
        *precision = (int)c->prec;
        for (size_t i = 0; i < n; i++)
            dst[i] = (uint16_t)((uint32_t)c->data[i] & 0xFFFFu);
    }
    opj_image_destroy(image);
    if (codec)
        opj_destroy_codec(codec);
    if (stream)
        opj_stream_destroy(stream);
    return s;
}

codec_status j2k_decode(const uint8_t *src, size_t len, int rows, int cols, uint16_t *dst,
                        int *precision)
{
    span s = {src, len};
    uint8_t *copy = NULL;
    codec_status status = is_box(src, len) ? unbox(&s) : CODEC_OK;
    if (status == CODEC_OK)
        status = settle_end(&s, &copy);
    if (status == CODEC_OK)
        status = decode_stream(&s, rows, cols, dst, precision);
    mem_free(copy);
    return status;
}

const char *j2k_version(void)
{
    return opj_version();
}
