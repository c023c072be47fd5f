/* Grey pictures and their PNG files (picture.h). */
#include "train/picture.h"

#include "core/fs.h"
#include "core/mem.h"

#include <math.h>
#include <png.h>
#include <string.h>

/* ---- PNG ------------------------------------------------------------------------------------- */

static void collect(png_structp png, png_bytep data, size_t len)
{
    text_addn(png_get_io_ptr(png), (const char *)data, len);
}

static void nothing(png_structp png)
{
    (void)png;
}

/* libpng's own calls only: a longjmp from it must not skip one of our frees. */
static bool encode_with(png_structp png, png_infop info, const uint8_t *grey, int h, int w,
                        text *out)
{
    if (setjmp(png_jmpbuf(png)))
        return false;
    png_set_write_fn(png, out, collect, nothing);
    png_set_IHDR(png, info, (png_uint_32)w, (png_uint_32)h, 8, PNG_COLOR_TYPE_GRAY,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(png, 6);
    png_write_info(png, info);
    for (int y = 0; y < h; y++)
        png_write_row(png, grey + (size_t)y * (size_t)w);
    png_write_end(png, NULL);
    return true;
}

static bool encode(const uint8_t *grey, int h, int w, text *out, err *e)
{
    bool ok = false;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (info)
        ok = encode_with(png, info, grey, h, w, out);
    png_destroy_write_struct(&png, &info);
    return ok || err_set(e, ERR_MEMORY, "libpng could not encode a %d x %d image", w, h);
}

bool picture_write(const char *path, const uint8_t *grey, int h, int w, err *e)
{
    text out;
    text_init(&out);
    bool ok = encode(grey, h, w, &out, e) && fs_write(path, out.s, out.len, e);
    text_release(&out);
    return ok;
}

/* Box mean over f x f pixels, then the high byte, rounded. */
static uint8_t *shrink(const uint16_t *image, int h, int w, int f, int *oh, int *ow)
{
    *oh = (h + f - 1) / f;
    *ow = (w + f - 1) / f;
    uint8_t *grey = MEM_ARRAY(uint8_t, (size_t)*oh * (size_t)*ow);
    for (int y = 0; y < *oh; y++)
        for (int x = 0; x < *ow; x++) {
            uint64_t sum = 0;
            int n = 0;
            for (int yy = y * f; yy < h && yy < (y + 1) * f; yy++)
                for (int xx = x * f; xx < w && xx < (x + 1) * f; xx++, n++)
                    sum += image[(size_t)yy * (size_t)w + (size_t)xx];
            grey[(size_t)y * (size_t)*ow + (size_t)x] = picture_grey(sum / (uint64_t)n);
        }
    return grey;
}

bool picture_encode(const uint16_t *image, int h, int w, int side, text *out, err *e)
{
    int f = ((h > w ? h : w) + side - 1) / side, oh, ow;
    uint8_t *grey = shrink(image, h, w, f < 1 ? 1 : f, &oh, &ow);
    bool ok = encode(grey, oh, ow, out, e);
    mem_free(grey);
    return ok;
}

bool picture_png(const char *path, const uint16_t *image, int h, int w, int side, err *e)
{
    text out;
    text_init(&out);
    bool ok = picture_encode(image, h, w, side, &out, e) && fs_write(path, out.s, out.len, e);
    text_release(&out);
    return ok;
}

/* ---- a view on the page ---------------------------------------------------------------------- */

static int up_to(int n, int patch, int most)
{
    n = n < 1 ? 1 : n;
    n = (n + patch - 1) / patch * patch;
    return n < most ? n : most;
}

static void crop(const uint16_t *image, int patch, picture_view *v)
{
    uint16_t air = image[(size_t)v->h * (size_t)v->w - 1];
    int rows = 0, cols = 0;
    for (int y = 0; y < v->h; y++) {
        const uint16_t *row = image + (size_t)y * (size_t)v->w;
        int n = v->w;
        while (n > 0 && row[n - 1] == air)
            n--;
        cols = n > cols ? n : cols;
        rows = n > 0 ? y + 1 : rows;
    }
    v->crop_h = up_to(rows, patch, v->h);
    v->crop_w = up_to(cols, patch, v->w);
}

picture_view picture_view_of(const uint16_t *image, int h, int w, int patch, const float affine[6],
                             float mm_per_px, char side)
{
    picture_view v = {.h = h, .w = w, .mm_h = 1, .mm_w = 1, .mirror = side == 'R'};
    /* canvas pixels per stored pixel along each side: the canvas may be squashed */
    double x = hypot((double)affine[0], (double)affine[1]);
    double y = hypot((double)affine[3], (double)affine[4]);
    if (x > 0 && y > 0 && isfinite(x) && isfinite(y)) {
        v.mm_w = sqrt(y / x);
        v.mm_h = sqrt(x / y);
    }
    v.known = mm_per_px > 0 && isfinite(mm_per_px);
    if (v.known) {
        v.mm_w *= (double)mm_per_px;
        v.mm_h *= (double)mm_per_px;
    }
    crop(image, patch, &v);
    return v;
}

void picture_view_forget(picture_view *v)
{
    v->mm_h /= sqrt(v->mm_h * v->mm_w);
    v->mm_w = 1 / v->mm_h;
    v->known = false;
}

/* Mean of src[0..n-1], each `step` apart, over the part [from, to) of its length. */
static double mean_of(const double *src, size_t step, int n, double from, double to)
{
    double sum = 0;
    for (int i = (int)from; i < n && i < to; i++) {
        double a = fmax(from, i), b = fmin(to, i + 1.0);
        sum += (b - a) * src[(size_t)i * step];
    }
    return sum / (to - from);
}

static int pixels_of(int n, double mm, double mm_out)
{
    double v = floor(n * mm / mm_out + 0.5);
    return v < 1 ? 1 : v > 32767 ? 32767 : (int)v;
}

uint8_t *picture_hang(const picture_view *v, const uint16_t *image, double mm, int *oh, int *ow)
{
    *oh = pixels_of(v->crop_h, v->mm_h, mm);
    *ow = pixels_of(v->crop_w, v->mm_w, mm);
    double sy = (double)v->crop_h / *oh, sx = (double)v->crop_w / *ow;
    double *line = MEM_ARRAY(double, v->crop_w);
    double *wide = MEM_ARRAY(double, (size_t)v->crop_h *(size_t)*ow); /* shrunk along x only */
    uint8_t *grey = MEM_ARRAY(uint8_t, (size_t)*oh * (size_t)*ow);
    for (int y = 0; y < v->crop_h; y++) {
        for (int x = 0; x < v->crop_w; x++)
            line[x] = image[(size_t)y * (size_t)v->w + (size_t)x];
        for (int x = 0; x < *ow; x++)
            wide[(size_t)y * (size_t)*ow + (size_t)x] =
                mean_of(line, 1, v->crop_w, x * sx, (x + 1) * sx);
    }
    for (int y = 0; y < *oh; y++)
        for (int x = 0; x < *ow; x++) {
            double g = mean_of(wide + x, (size_t)*ow, v->crop_h, y * sy, (y + 1) * sy);
            int at = v->mirror ? *ow - 1 - x : x;
            grey[(size_t)y * (size_t)*ow + (size_t)at] =
                picture_grey((uint64_t)fmin(65535, fmax(0, floor(g + 0.5))));
        }
    mem_free(line);
    mem_free(wide);
    return grey;
}
