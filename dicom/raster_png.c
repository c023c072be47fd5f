/* PNG by libpng, from memory. Every chunk is shown to lie inside the file before libpng sees it;
 * chunks that say nothing about the samples or their size are passed over unread; whatever libpng
 * warns of while it decodes makes the picture damaged. */
#include "dicom/raster.h"

#include "core/mem.h"

#include <png.h>
#include <string.h>

#define SIGNATURE 8

typedef struct source {
    const uint8_t *p;
    size_t len, at;
    int warnings;
} source;

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Lengths of the chunks, from the signature to IEND. */
static reason walk_chunks(const uint8_t *p, size_t len, size_t *code_len)
{
    *code_len = 0;
    for (size_t at = SIGNATURE;;) {
        if (len - at < 12)
            return REASON_IO_TRUNCATED;
        size_t n = be32(p + at);
        const uint8_t *type = p + at + 4;
        if (at == SIGNATURE && (memcmp(type, "IHDR", 4) != 0 || n != 13))
            return REASON_IO_UNREADABLE;
        if (n > len - at - 12)
            return REASON_IO_TRUNCATED;
        if (memcmp(type, "IDAT", 4) == 0)
            *code_len += n;
        if (memcmp(type, "IEND", 4) == 0)
            return REASON_NONE;
        at += n + 12;
    }
}

static void take(png_structp png, png_bytep to, size_t n)
{
    source *s = png_get_io_ptr(png);
    if (n > s->len - s->at)
        png_error(png, "end of data");
    memcpy(to, s->p + s->at, n);
    s->at += n;
}

static void on_error(png_structp png, png_const_charp message)
{
    (void)message;
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    source *s = png_get_error_ptr(png);
    (void)message;
    s->warnings++;
}

/* A limit on memory ends the worker, as everywhere: it must not look like a damaged file. */
static png_voidp get_memory(png_structp png, png_alloc_size_t n)
{
    (void)png;
    return mem_alloc(n);
}

static void give_memory(png_structp png, png_voidp p)
{
    (void)png;
    mem_free(p);
}

static png_structp open_png(source *s, png_infop *info)
{
    png_structp png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, s, on_error, on_warning, NULL,
                                               get_memory, give_memory);
    *info = png ? png_create_info_struct(png) : NULL;
    if (!*info)
        png_destroy_read_struct(&png, NULL, NULL);
    return png;
}

/* libpng's own calls only between setjmp and return: nothing of ours is skipped by a jump. */
static bool read_info(png_structp png, png_infop info, source *s)
{
    static const png_byte wanted[] = "pHYs";
    if (setjmp(png_jmpbuf(png)))
        return false;
    png_set_read_fn(png, s, take);
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* judged by the caller */
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_AS_DEFAULT, wanted, 1);
    png_read_info(png, info);
    return true;
}

static void fill_head(png_structp png, png_infop info, raster_head *h)
{
    png_uint_32 x, y;
    int unit, type = png_get_color_type(png, info);
    h->rows = (int)png_get_image_height(png, info);
    h->cols = (int)png_get_image_width(png, info);
    h->bits = png_get_bit_depth(png, info);
    h->frames = 1;
    /* one level declared transparent is a channel more */
    h->samples = png_get_channels(png, info) + (png_get_valid(png, info, PNG_INFO_tRNS) ? 1 : 0);
    h->photometric = type & PNG_COLOR_MASK_PALETTE ? "PALETTE COLOR"
                     : type & PNG_COLOR_MASK_COLOR ? "RGB"
                                                   : "MONOCHROME2";
    if (png_get_pHYs(png, info, &x, &y, &unit) && unit == PNG_RESOLUTION_METER) {
        h->col_mm = raster_mm(x, 1000);
        h->row_mm = raster_mm(y, 1000);
        h->spacing_source = "pHYs";
    }
}

reason raster_png_head(const uint8_t *p, size_t len, raster_head *out, size_t *code_len)
{
    reason why = walk_chunks(p, len, code_len);
    source s = {.p = p, .len = len};
    png_infop info;
    if (why != REASON_NONE)
        return why;
    png_structp png = open_png(&s, &info);
    bool ok = png && read_info(png, info, &s);
    if (ok)
        fill_head(png, info, out);
    png_destroy_read_struct(&png, &info, NULL);
    return ok ? REASON_NONE : REASON_DEC_FAILED;
}

static bool read_rows(png_structp png, png_infop info, png_bytepp row)
{
    if (setjmp(png_jmpbuf(png)))
        return false;
    if (png_get_bit_depth(png, info) == 16)
        png_set_swap(png); /* PNG is big-endian */
    png_read_image(png, row);
    png_read_end(png, NULL);
    return true;
}

reason raster_png_frame(const uint8_t *p, size_t len, const raster_head *h, int frame, uint8_t *out)
{
    source s = {.p = p, .len = len};
    png_infop info;
    size_t stride = (size_t)h->cols * (size_t)h->samples * (size_t)h->bits / 8;
    if (frame != 0)
        BUG("a PNG has no frame %d", frame);
    png_structp png = open_png(&s, &info);
    png_bytepp row = MEM_ARRAY(png_bytep, h->rows);
    for (int y = 0; y < h->rows; y++)
        row[y] = out + (size_t)y * stride;
    bool ok = png && read_info(png, info, &s) && png_get_rowbytes(png, info) == stride &&
              (int)png_get_image_height(png, info) == h->rows && read_rows(png, info, row);
    png_destroy_read_struct(&png, &info, NULL);
    mem_free(row);
    return !ok ? REASON_DEC_FAILED : s.warnings ? REASON_DEC_WARNED : REASON_NONE;
}

const char *raster_png_version(void)
{
    return png_get_libpng_ver(NULL);
}
