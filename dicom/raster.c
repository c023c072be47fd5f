/* Pictures as members of an archive: what both formats have in common. raster.h. */
#include "dicom/raster.h"

#include "core/fs.h"
#include "core/text.h"
#include "dicom/codec.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MM_LEAST   0.03 /* pixel sizes of detectors and film scanners, also halved once */
#define MM_MOST    0.3
#define SCREEN_DPI 96 /* written by programs that do not know the resolution */

typedef struct format {
    const char *name; /* in place of a transfer syntax */
    const char *magic[4];
    int magic_len;
    reason (*head)(const uint8_t *p, size_t len, raster_head *out, size_t *code_len);
    reason (*frame)(const uint8_t *p, size_t len, const raster_head *h, int frame, uint8_t *out);
} format;

static const format formats[] = {
    {"PNG", {"\x89PNG\r\n\x1a\n"}, 8, raster_png_head, raster_png_frame},
    {"TIFF", {"II*\0", "MM\0*", "II+\0", "MM\0+"}, 4, raster_tiff_head, raster_tiff_frame},
};

static const format *format_of(const void *data, size_t len)
{
    if (len >= 132 && memcmp((const char *)data + 128, "DICM", 4) == 0)
        return NULL;
    for (size_t i = 0; i < COUNT_OF(formats); i++)
        for (size_t k = 0; k < COUNT_OF(formats[i].magic) && formats[i].magic[k]; k++)
            if (len >= (size_t)formats[i].magic_len &&
                memcmp(data, formats[i].magic[k], (size_t)formats[i].magic_len) == 0)
                return &formats[i];
    return NULL;
}

bool raster_sniff(const void *data, size_t len)
{
    return format_of(data, len) != NULL;
}

bool raster_is(const record *r)
{
    for (size_t i = 0; i < COUNT_OF(formats); i++)
        if (strcmp(r->transfer_syntax, formats[i].name) == 0)
            return true;
    return false;
}

double raster_mm(double per_unit, double unit_mm)
{
    double mm = per_unit > 0 ? unit_mm / per_unit : 0;
    bool screen = fabs(mm * SCREEN_DPI / 25.4 - 1) < 1e-3;
    return mm >= MM_LEAST && mm <= MM_MOST && !screen ? mm : 0;
}

static void fill(const format *f, const raster_head *h, record *r)
{
    text_copy(r->transfer_syntax, sizeof(r->transfer_syntax), f->name);
    r->rows = h->rows;
    r->cols = h->cols;
    r->frames = h->frames;
    r->samples = h->samples;
    r->bits_allocated = r->bits_stored = h->bits;
    r->high_bit = h->bits - 1;
    r->pixel_signed = h->is_signed;
    text_copy(r->photometric, sizeof(r->photometric), h->photometric);
    if (h->row_mm > 0 && h->col_mm > 0) {
        r->row_mm = h->row_mm;
        r->col_mm = h->col_mm;
        text_copy(r->spacing_source, sizeof(r->spacing_source), h->spacing_source);
    }
}

reason raster_record(const void *data, size_t len, record *out)
{
    const format *f = format_of(data, len);
    raster_head h = {.photometric = "", .spacing_source = ""};
    char hash[33];
    size_t code_len;
    record_clear(out);
    reason why = f->head(data, len, &h, &code_len);
    fill(f, &h, out);
    fs_xxh128_of(data, len, hash);
    snprintf(out->sop_uid, sizeof(out->sop_uid), "raster.%s", hash);
    return why;
}

/* A grey image, or a colour image that may turn out to be grey; see grey_from_colour. */
static bool geometry(const raster_head *h, size_t code_len)
{
    bool grey = h->samples == 1 && strncmp(h->photometric, "MONOCHROME", 10) == 0;
    bool colour = h->samples == 3 && strcmp(h->photometric, "RGB") == 0;
    if (!(grey || colour) || (h->bits != 8 && h->bits != 16) || h->frames < 1 || h->rows < 1 ||
        h->cols < 1 || h->rows > PIXELS_SIDE_MAX || h->cols > PIXELS_SIDE_MAX)
        return false;
    int64_t n = (int64_t)h->rows * h->cols * h->samples;
    return n <= PIXELS_FRAME_MAX &&
           ((uint64_t)n * 2 <= FRAME_LARGE || (uint64_t)code_len * FRAME_RATIO >= (uint64_t)n);
}

/* [n, 3] -> [n], in place. False: the channels differ. */
static bool grey_from_colour(uint8_t *p, size_t n, size_t width)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t *rgb = p + 3 * width * i;
        if (memcmp(rgb, rgb + width, width) != 0 || memcmp(rgb, rgb + 2 * width, width) != 0)
            return false;
        memmove(p + width * i, rgb, width);
    }
    return true;
}

/* BitsStored of the sidecar against the samples. */
static void settle_bits(const record *r, size_t n, pixels *out)
{
    unsigned all = 0;
    out->bits_stored = r->bits_stored;
    out->is_signed = r->pixel_signed;
    for (size_t i = 0; i < n; i++)
        all |= out->stored[i];
    if (!out->is_signed && all >> out->bits_stored) {
        reason_add(&out->notes, REASON_BITS_LIE);
        while (all >> out->bits_stored)
            out->bits_stored++;
    }
    out->high_bit = out->bits_stored - 1;
}

/* Bytes of one frame, grey. */
static reason read_frame(const format *f, const uint8_t *p, size_t len, const raster_head *h,
                         int frame, uint8_t *bytes, pixels *out)
{
    reason why = f->frame(p, len, h, frame, bytes);
    if (why != REASON_NONE || h->samples == 1)
        return why;
    if (!grey_from_colour(bytes, (size_t)h->rows * (size_t)h->cols, (size_t)h->bits / 8))
        return REASON_PIX_GEOMETRY;
    reason_add(&out->notes, REASON_GREY_AS_COLOUR);
    return REASON_NONE;
}

/* Samples of the first frame, 8-bit ones widened. 16-bit ones stay where they were decoded. */
static uint16_t *widened(uint8_t *bytes, size_t n, size_t width, arena *a)
{
    if (width == 2)
        return (uint16_t *)(void *)bytes; /* the arena aligns */
    uint16_t *v = arena_alloc(a, n * sizeof(uint16_t));
    for (size_t i = 0; i < n; i++)
        v[i] = bytes[i];
    return v;
}

reason raster_pixels(const void *data, size_t len, const record *r, bool want_sha256, arena *a,
                     pixels *out)
{
    const format *f = format_of(data, len);
    raster_head h = {.photometric = "", .spacing_source = ""};
    size_t code_len = 0;
    memset(out, 0, sizeof(*out));
    reason why = f->head(data, len, &h, &code_len);
    if (why != REASON_NONE)
        return why;
    if (!geometry(&h, code_len) || r->bits_stored < 1 || r->bits_stored > h.bits)
        return REASON_PIX_GEOMETRY;
    size_t n = (size_t)h.rows * (size_t)h.cols, width = (size_t)h.bits / 8;
    size_t size = n * (size_t)h.samples * width;
    uint8_t *first = arena_alloc(a, size), *other = NULL;
    fs_sha256 *sha = want_sha256 ? fs_sha256_new() : NULL;
    for (int k = 0; k < (want_sha256 ? h.frames : 1) && why == REASON_NONE; k++) {
        if (k > 0 && !other)
            other = arena_alloc(a, size);
        uint8_t *bytes = k ? other : first;
        why = read_frame(f, data, len, &h, k, bytes, out);
        if (why == REASON_NONE && sha)
            fs_sha256_add(sha, bytes, n * width);
    }
    if (sha)
        fs_sha256_end(sha, out->sha256);
    out->rows = h.rows;
    out->cols = h.cols;
    if (why != REASON_NONE)
        return why;
    fs_xxh128_of(first, n * width, out->hash);
    out->stored = widened(first, n, width, a);
    settle_bits(r, n, out);
    return REASON_NONE;
}

const char *raster_libraries(void)
{
    static char line[64];
    if (!line[0])
        snprintf(line, sizeof(line), "libpng %s, libtiff %s", raster_png_version(),
                 raster_tiff_version());
    return line;
}
