/* Writers of 16-bit grey TIFF (libtiff) and PNG (libpng); raster_out.h. */
#include "preprocess/raster_out.h"

#include "core/fs.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/version.h"

#include <errno.h>
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <string.h>
#include <tiffio.h>
#include <unistd.h>

#define BIG_TIFF    UINT64_C(4000000000) /* bytes of samples from which offsets need 64 bit */
#define STRIP_BYTES ((size_t)256 << 10)

const char *raster_out_suffix(raster_out_format f)
{
    return f == RASTER_OUT_PNG ? "png" : "tiff";
}

/* ---- TIFF --------------------------------------------------------------------------------------
 */

static int silent(TIFF *t, void *user, const char *module, const char *format, va_list ap)
{
    (void)t;
    (void)user;
    (void)module;
    (void)format;
    (void)ap;
    return 1; /* the calls themselves say that they failed */
}

static TIFF *open_tiff(int fd, bool big)
{
    TIFFOpenOptions *o = TIFFOpenOptionsAlloc();
    if (!o)
        return NULL;
    TIFFOpenOptionsSetErrorHandlerExtR(o, silent, NULL);
    TIFFOpenOptionsSetWarningHandlerExtR(o, silent, NULL);
    TIFF *t = TIFFFdOpenExt(fd, "picture", big ? "w8l" : "wl", o);
    TIFFOpenOptionsFree(o);
    return t;
}

static bool tiff_tags(TIFF *t, const raster_out *o, uint32_t rows_per_strip)
{
    char maker[64];
    snprintf(maker, sizeof maker, "mammovit %s", version_number());
    bool ok = TIFFSetField(t, TIFFTAG_IMAGEWIDTH, (uint32_t)o->w) &&
              TIFFSetField(t, TIFFTAG_IMAGELENGTH, (uint32_t)o->h) &&
              TIFFSetField(t, TIFFTAG_BITSPERSAMPLE, 16) &&
              TIFFSetField(t, TIFFTAG_SAMPLESPERPIXEL, 1) &&
              TIFFSetField(t, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT) &&
              TIFFSetField(t, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK) &&
              TIFFSetField(t, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT) &&
              TIFFSetField(t, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE) &&
              TIFFSetField(t, TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL) &&
              TIFFSetField(t, TIFFTAG_ROWSPERSTRIP, rows_per_strip) &&
              TIFFSetField(t, TIFFTAG_SOFTWARE, maker);
    if (ok && o->text[0])
        ok = TIFFSetField(t, TIFFTAG_IMAGEDESCRIPTION, o->text);
    if (ok && o->mm_per_px > 0)
        ok = TIFFSetField(t, TIFFTAG_RESOLUTIONUNIT, RESUNIT_CENTIMETER) &&
             TIFFSetField(t, TIFFTAG_XRESOLUTION, 10 / o->mm_per_px) &&
             TIFFSetField(t, TIFFTAG_YRESOLUTION, 10 / o->mm_per_px);
    return ok;
}

/* libtiff's predictor works on a copy of its own. */
static bool tiff_strips(TIFF *t, const raster_out *o, uint32_t per)
{
    size_t row = (size_t)o->w * sizeof(uint16_t);
    uint8_t *from = (uint8_t *)(uintptr_t)o->v;
    for (uint32_t y = 0, k = 0; y < (uint32_t)o->h; y += per, k++) {
        tmsize_t n = (tmsize_t)(((uint32_t)o->h - y < per ? (uint32_t)o->h - y : per) * row);
        if (TIFFWriteEncodedStrip(t, k, from + y * row, n) != n)
            return false;
    }
    return TIFFWriteDirectory(t);
}

static bool write_tiff(const char *path, const raster_out *o, err *e)
{
    size_t row = (size_t)o->w * sizeof(uint16_t);
    uint32_t per = row < STRIP_BYTES ? (uint32_t)(STRIP_BYTES / row) : 1;
    char *tmp;
    int fd = fs_create_partial(path, 0666, &tmp, e);
    if (fd < 0)
        return false;
    errno = 0;
    TIFF *t = open_tiff(fd, (uint64_t)o->h * row > BIG_TIFF);
    bool ok = t && tiff_tags(t, o, per) && tiff_strips(t, o, per);
    if (!ok)
        err_errno(e, "%s: cannot write the picture", fs_base(path));
    if (t)
        TIFFClose(t); /* the descriptor with it */
    else
        close(fd);
    ok = ok && fs_commit(tmp, path, e);
    if (!ok)
        unlink(tmp);
    mem_free(tmp);
    return ok;
}

/* ---- PNG ---------------------------------------------------------------------------------------
 */

static void collect(png_structp png, png_bytep data, size_t len)
{
    text_addn(png_get_io_ptr(png), (const char *)data, len);
}

static void nothing(png_structp png)
{
    (void)png;
}

/* libpng's own calls only: a longjmp from it must not skip one of our frees. */
static bool encode(png_structp png, png_infop info, const raster_out *o, png_textp words, text *out)
{
    if (setjmp(png_jmpbuf(png)))
        return false;
    png_set_write_fn(png, out, collect, nothing);
    png_set_IHDR(png, info, (png_uint_32)o->w, (png_uint_32)o->h, 16, PNG_COLOR_TYPE_GRAY,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(png, 6);
    if (o->mm_per_px > 0)
        png_set_pHYs(png, info, (png_uint_32)lround(1000 / o->mm_per_px),
                     (png_uint_32)lround(1000 / o->mm_per_px), PNG_RESOLUTION_METER);
    if (o->text[0])
        png_set_text(png, info, words, 1);
    png_write_info(png, info);
    png_set_swap(png); /* PNG is big-endian */
    for (int y = 0; y < o->h; y++)
        png_write_row(png, (png_const_bytep)(o->v + (size_t)y * (size_t)o->w));
    png_write_end(png, info);
    return true;
}

static bool write_png(const char *path, const raster_out *o, err *e)
{
    text out;
    text_init(&out);
    char *copy = mem_strdup(o->text);
    png_text words = {.compression = PNG_TEXT_COMPRESSION_NONE,
                      .key = (char *)"Description",
                      .text = copy,
                      .text_length = strlen(copy)};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    bool ok = info && encode(png, info, o, &words, &out);
    png_destroy_write_struct(&png, &info);
    ok = ok ? fs_write(path, out.s, out.len, e)
            : err_set(e, ERR_MEMORY, "libpng could not encode a %d x %d image", o->h, o->w);
    mem_free(copy);
    text_release(&out);
    return ok;
}

bool raster_out_write(const char *path, raster_out_format f, const raster_out *o, err *e)
{
    if (o->h < 1 || o->w < 1)
        BUG("raster_out: %d x %d", o->h, o->w);
    return f == RASTER_OUT_PNG ? write_png(path, o, e) : write_tiff(path, o, e);
}
