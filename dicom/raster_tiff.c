/* TIFF by libtiff, from memory: classic and BigTIFF, strips and tiles, uncompressed, LZW, deflate
 * and PackBits. Every directory, every array and every strip is shown to lie inside the file before
 * libtiff sees it; whatever libtiff says while it decodes makes the picture damaged. */
#include "dicom/raster.h"

#include "core/mem.h"

#include <stdio.h>
#include <string.h>
#include <tiffio.h>
#include <zlib.h>

#define PAGES_MAX  4096
#define TILE_MAX   ((tmsize_t)64 << 20)  /* bytes of one tile */
#define SINGLE_MAX ((tmsize_t)512 << 20) /* bytes libtiff may ask for at once */

typedef struct source {
    const uint8_t *p;
    size_t len, at;
    int complaints;
    bool palette; /* some page has one; libtiff would take its indices for grey if it is missing */
} source;

/* ---- every length lies inside the file ---------------------------------------------------------
 */

static uint64_t number(const source *s, size_t at, int bytes)
{
    uint64_t v = 0;
    bool big = s->p[0] == 'M';
    for (int i = 0; i < bytes; i++)
        v |= (uint64_t)s->p[at + (size_t)i] << 8 * (big ? bytes - 1 - i : i);
    return v;
}

/* One directory; *next is where the following one lies. */
static reason walk_directory(source *s, bool big, uint64_t at, uint64_t *next)
{
    static const uint8_t size[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8};
    int count = big ? 8 : 2, entry = big ? 20 : 12, offset = big ? 8 : 4;
    if (at > s->len || s->len - at < (size_t)count)
        return REASON_IO_TRUNCATED;
    uint64_t n = number(s, at, count), left = s->len - at - (size_t)count;
    if (n == 0 || n > UINT16_MAX)
        return REASON_IO_UNREADABLE;
    if (left < n * (uint64_t)entry + (uint64_t)offset)
        return REASON_IO_TRUNCATED;
    for (uint64_t i = 0; i < n; i++) {
        size_t e = at + (size_t)count + i * (size_t)entry;
        uint64_t type = number(s, e + 2, 2), items = number(s, e + 4, offset);
        uint64_t each = type < COUNT_OF(size) ? size[type] : 0;
        if (each && items > UINT64_MAX / each)
            return REASON_IO_TRUNCATED;
        uint64_t bytes = items * each, where = number(s, e + 4 + (size_t)offset, offset);
        if (bytes > (uint64_t)offset && (where > s->len || bytes > s->len - where))
            return REASON_IO_TRUNCATED;
        if (number(s, e, 2) == TIFFTAG_PHOTOMETRIC && type == TIFF_SHORT &&
            number(s, e + 4 + (size_t)offset, 2) == PHOTOMETRIC_PALETTE)
            s->palette = true;
    }
    *next = number(s, at + (size_t)count + n * (size_t)entry, offset);
    return REASON_NONE;
}

static reason walk_directories(source *s)
{
    if (s->len < 8)
        return REASON_IO_TRUNCATED;
    bool big = number(s, 2, 2) == 43;
    if (big && s->len < 16)
        return REASON_IO_TRUNCATED;
    uint64_t at = big ? number(s, 8, 8) : number(s, 4, 4);
    for (int page = 0; at || !page; page++) {
        if (page == PAGES_MAX) /* a circle, or no mammogram */
            return REASON_IO_UNREADABLE;
        reason why = walk_directory(s, big, at, &at);
        if (why != REASON_NONE)
            return why;
    }
    return REASON_NONE;
}

/* ---- libtiff -----------------------------------------------------------------------------------
 */

static tmsize_t take(thandle_t h, void *to, tmsize_t n)
{
    source *s = h;
    size_t left = s->len - s->at, got = n < 0 ? 0 : (size_t)n < left ? (size_t)n : left;
    memcpy(to, s->p + s->at, got);
    s->at += got;
    return (tmsize_t)got;
}

static tmsize_t refuse(thandle_t h, void *from, tmsize_t n)
{
    (void)h;
    (void)from;
    (void)n;
    return -1;
}

static toff_t seek(thandle_t h, toff_t to, int whence)
{
    source *s = h;
    uint64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? s->at : s->len, at = from + to;
    if (at > s->len)
        return (toff_t)-1;
    s->at = (size_t)at;
    return at;
}

static int done(thandle_t h)
{
    (void)h;
    return 0;
}

static toff_t size_of(thandle_t h)
{
    return ((source *)h)->len;
}

static int on_message(TIFF *t, void *user, const char *module, const char *format, va_list ap)
{
    (void)t;
    (void)module;
    (void)format;
    (void)ap;
    ((source *)user)->complaints++;
    return 1; /* said; nothing is printed */
}

static TIFF *open_tiff(source *s)
{
    TIFFOpenOptions *o = TIFFOpenOptionsAlloc();
    if (!o)
        return NULL;
    TIFFOpenOptionsSetMaxSingleMemAlloc(o, SINGLE_MAX);
    TIFFOpenOptionsSetErrorHandlerExtR(o, on_message, s);
    TIFFOpenOptionsSetWarningHandlerExtR(o, on_message, s);
    TIFF *t =
        TIFFClientOpenExt("picture", "rm", s, take, refuse, seek, done, size_of, NULL, NULL, o);
    TIFFOpenOptionsFree(o);
    return t;
}

/* A picture of full resolution, neither a thumbnail nor a mask. */
static bool is_frame(TIFF *t)
{
    uint32_t kind = 0;
    TIFFGetFieldDefaulted(t, TIFFTAG_SUBFILETYPE, &kind);
    return !(kind & (FILETYPE_REDUCEDIMAGE | FILETYPE_MASK));
}

static int side(TIFF *t, uint32_t tag)
{
    uint32_t v = 0;
    TIFFGetField(t, tag, &v);
    return v > INT32_MAX ? INT32_MAX : (int)v;
}

static unsigned word(TIFF *t, uint32_t tag)
{
    uint16_t v = 0;
    return TIFFGetFieldDefaulted(t, tag, &v) ? v : 0;
}

static const char *photometric(TIFF *t)
{
    uint16_t v;
    if (!TIFFGetField(t, TIFFTAG_PHOTOMETRIC, &v))
        return "";
    return v == PHOTOMETRIC_MINISWHITE   ? "MONOCHROME1"
           : v == PHOTOMETRIC_MINISBLACK ? "MONOCHROME2"
           : v == PHOTOMETRIC_RGB        ? "RGB"
           : v == PHOTOMETRIC_PALETTE    ? "PALETTE COLOR"
                                         : "";
}

static void fill_head(TIFF *t, raster_head *h)
{
    float x = 0, y = 0;
    unsigned unit = word(t, TIFFTAG_RESOLUTIONUNIT), format = word(t, TIFFTAG_SAMPLEFORMAT);
    h->rows = side(t, TIFFTAG_IMAGELENGTH);
    h->cols = side(t, TIFFTAG_IMAGEWIDTH);
    h->samples = (int)word(t, TIFFTAG_SAMPLESPERPIXEL);
    h->bits = (int)word(t, TIFFTAG_BITSPERSAMPLE);
    h->is_signed = format == SAMPLEFORMAT_INT;
    h->photometric = photometric(t);
    bool plain = (format == SAMPLEFORMAT_UINT || format == SAMPLEFORMAT_INT ||
                  format == SAMPLEFORMAT_VOID) &&
                 word(t, TIFFTAG_ORIENTATION) == ORIENTATION_TOPLEFT &&
                 (h->samples == 1 || word(t, TIFFTAG_PLANARCONFIG) == PLANARCONFIG_CONTIG) &&
                 !(h->is_signed && h->samples > 1);
    if (!plain)
        h->photometric = ""; /* refused as no grey image */
    double mm = unit == RESUNIT_INCH ? 25.4 : unit == RESUNIT_CENTIMETER ? 10 : 0;
    if (mm > 0 && TIFFGetField(t, TIFFTAG_XRESOLUTION, &x) &&
        TIFFGetField(t, TIFFTAG_YRESOLUTION, &y)) {
        h->col_mm = raster_mm((double)x, mm);
        h->row_mm = raster_mm((double)y, mm);
        h->spacing_source = "XResolution";
    }
}

static bool same_head(const raster_head *a, const raster_head *b)
{
    return a->rows == b->rows && a->cols == b->cols && a->samples == b->samples &&
           a->bits == b->bits && a->is_signed == b->is_signed &&
           strcmp(a->photometric, b->photometric) == 0;
}

static bool compression_known(TIFF *t)
{
    switch (word(t, TIFFTAG_COMPRESSION)) {
    case COMPRESSION_NONE:
    case COMPRESSION_LZW:
    case COMPRESSION_PACKBITS:
    case COMPRESSION_ADOBE_DEFLATE:
    case COMPRESSION_DEFLATE:
        return true;
    default:
        return false;
    }
}

/* Do the bytes of a table of the current page say what libtiff says? It replaces lengths that it
 * finds odd by its own, and ignores those that are too many. A table that is not there is the
 * business of the caller. */
static bool table_is(TIFF *t, const source *s, unsigned tag, const uint64_t *v, uint32_t n)
{
    bool big = number(s, 2, 2) == 43;
    int count = big ? 8 : 2, entry = big ? 20 : 12, offset = big ? 8 : 4;
    size_t dir = (size_t)TIFFCurrentDirOffset(t); /* walked before */
    for (uint64_t i = 0; i < number(s, dir, count); i++) {
        size_t e = dir + (size_t)count + i * (size_t)entry, at = e + 4 + (size_t)offset;
        if (number(s, e, 2) != tag)
            continue;
        uint64_t type = number(s, e + 2, 2), items = number(s, e + 4, offset);
        int each = type == TIFF_SHORT ? 2 : type == TIFF_LONG ? 4 : type == TIFF_LONG8 ? 8 : 0;
        if (!each || items != n)
            return false;
        if (n * (uint64_t)each > (uint64_t)offset)
            at = (size_t)number(s, at, offset);
        for (uint32_t k = 0; k < n; k++)
            if (number(s, at + k * (size_t)each, each) != v[k])
                return false;
        return true;
    }
    return true;
}

/* Bytes of strip or tile k when it is decoded; the last strip may be as long as the others. */
static bool piece_size_is(TIFF *t, const raster_head *h, uint32_t k, uint64_t bytes)
{
    uint32_t per = 0, rows = (uint32_t)h->rows;
    if (TIFFIsTiled(t))
        return bytes == TIFFTileSize64(t);
    TIFFGetFieldDefaulted(t, TIFFTAG_ROWSPERSTRIP, &per);
    per = per > rows ? rows : per;
    uint64_t first = (uint64_t)k * per, left = first < rows ? rows - first : 0;
    return bytes == TIFFVStripSize64(t, per) ||
           (left < per && bytes >= TIFFVStripSize64(t, (uint32_t)left) &&
            bytes < TIFFVStripSize64(t, per));
}

/* Strips or tiles of the current page. */
static reason check_pieces(TIFF *t, const source *s, const raster_head *h, size_t *code_len)
{
    uint64_t *at = NULL, *bytes = NULL;
    bool tiled = TIFFIsTiled(t), plain = word(t, TIFFTAG_COMPRESSION) == COMPRESSION_NONE;
    unsigned places = tiled ? TIFFTAG_TILEOFFSETS : TIFFTAG_STRIPOFFSETS;
    unsigned lengths = tiled ? TIFFTAG_TILEBYTECOUNTS : TIFFTAG_STRIPBYTECOUNTS;
    uint32_t n = tiled ? TIFFNumberOfTiles(t) : TIFFNumberOfStrips(t);
    *code_len = 0;
    if (!TIFFGetField(t, places, &at) || !TIFFGetField(t, lengths, &bytes) || !at || !bytes)
        return REASON_IO_UNREADABLE;
    for (uint32_t i = 0; i < n; i++) {
        if (at[i] > s->len || bytes[i] > s->len - at[i])
            return REASON_IO_TRUNCATED;
        *code_len += (size_t)bytes[i];
    }
    if (!table_is(t, s, places, at, n) || !table_is(t, s, lengths, bytes, n))
        return REASON_PIX_GEOMETRY;
    for (uint32_t i = 0; i < n && plain && h->samples == 1; i++)
        if (!piece_size_is(t, h, i, bytes[i]))
            return REASON_PIX_GEOMETRY;
    return REASON_NONE;
}

/* The current page into h; frames are counted by the caller. */
static reason read_page(TIFF *t, const source *s, raster_head *h, size_t *code_len)
{
    fill_head(t, h);
    if (!compression_known(t))
        return REASON_TS_UNSUPPORTED;
    /* a size that nobody will read need not have its strips counted */
    if (h->rows > 65535 || h->cols > 65535)
        return REASON_NONE;
    return check_pieces(t, s, h, code_len);
}

reason raster_tiff_head(const uint8_t *p, size_t len, raster_head *out, size_t *code_len)
{
    source s = {.p = p, .len = len};
    raster_head h = {.photometric = "", .spacing_source = ""};
    int frames = 0;
    size_t code = 0;
    *code_len = 0;
    reason why = walk_directories(&s);
    TIFF *t = why == REASON_NONE ? open_tiff(&s) : NULL;
    if (why == REASON_NONE && !t)
        why = REASON_IO_UNREADABLE;
    for (bool more = t != NULL; more && why == REASON_NONE;) {
        if (is_frame(t)) {
            why = read_page(t, &s, &h, &code);
            if (!frames++) {
                *out = h;
                *code_len = code;
            } else if (!same_head(&h, out)) {
                out->photometric = ""; /* pages of different kinds are no volume */
            }
            *code_len = code < *code_len ? code : *code_len;
        }
        more = !TIFFLastDirectory(t);
        if (more && why == REASON_NONE && !TIFFReadDirectory(t))
            why = REASON_IO_UNREADABLE;
    }
    if (t)
        TIFFClose(t);
    out->frames = frames;
    if (s.palette)
        out->photometric = "PALETTE COLOR";
    return why == REASON_NONE && !frames ? REASON_NOT_IMAGE : why;
}

/* ---- pixels ------------------------------------------------------------------------------------
 */

/* libtiff stops inflating when a piece is full: neither the check sum behind it nor samples that
 * are too many would be seen. */
static bool deflate_is_whole(TIFF *t, const source *s, const raster_head *h, uint32_t k)
{
    uint8_t scrap[1 << 14];
    z_stream z = {.next_in = (Bytef *)(uintptr_t)(s->p + TIFFGetStrileOffset(t, k))};
    uint64_t left = TIFFGetStrileByteCount(t, k);
    int rc = left > UINT32_MAX || inflateInit(&z) != Z_OK ? Z_MEM_ERROR : Z_OK;
    if (rc != Z_OK)
        return false;
    z.avail_in = (uInt)left;
    while (rc == Z_OK) {
        z.next_out = scrap;
        z.avail_out = sizeof scrap;
        rc = inflate(&z, Z_NO_FLUSH);
    }
    inflateEnd(&z);
    return rc == Z_STREAM_END && piece_size_is(t, h, k, z.total_out);
}

static bool deflate_ok(TIFF *t, const source *s, const raster_head *h)
{
    unsigned how = word(t, TIFFTAG_COMPRESSION);
    bool ok = true;
    if (how != COMPRESSION_DEFLATE && how != COMPRESSION_ADOBE_DEFLATE)
        return true;
    uint32_t n = TIFFIsTiled(t) ? TIFFNumberOfTiles(t) : TIFFNumberOfStrips(t);
    for (uint32_t k = 0; k < n && ok; k++)
        ok = deflate_is_whole(t, s, h, k);
    return ok;
}

static bool read_strips(TIFF *t, const raster_head *h, uint8_t *out)
{
    size_t stride = (size_t)h->cols * (size_t)h->samples * (size_t)h->bits / 8;
    uint32_t per = 0, rows = (uint32_t)h->rows;
    TIFFGetFieldDefaulted(t, TIFFTAG_ROWSPERSTRIP, &per);
    if (per == 0 || TIFFScanlineSize64(t) != stride)
        return false;
    per = per > rows ? rows : per;
    for (uint32_t y = 0, k = 0; y < rows; y += per, k++) {
        tmsize_t want = (tmsize_t)((rows - y < per ? rows - y : per) * stride);
        if (TIFFReadEncodedStrip(t, k, out + y * stride, want) != want)
            return false;
    }
    return true;
}

static bool read_tiles(TIFF *t, const raster_head *h, uint8_t *out)
{
    size_t pixel = (size_t)h->samples * (size_t)h->bits / 8, stride = (size_t)h->cols * pixel;
    int tw = side(t, TIFFTAG_TILEWIDTH), th = side(t, TIFFTAG_TILELENGTH);
    tmsize_t size = TIFFTileSize(t);
    if (tw < 1 || th < 1 || tw > 65535 || th > 65535 || size < 1 || size > TILE_MAX ||
        (uint64_t)size != (uint64_t)tw * (uint64_t)th * pixel)
        return false;
    uint8_t *tile = mem_alloc((size_t)size);
    bool ok = true;
    uint32_t k = 0;
    for (int y = 0; y < h->rows && ok; y += th)
        for (int x = 0; x < h->cols && ok; x += tw, k++) {
            size_t width = (size_t)(h->cols - x < tw ? h->cols - x : tw) * pixel;
            ok = TIFFReadEncodedTile(t, k, tile, size) == size;
            for (int r = 0; ok && r < th && y + r < h->rows; r++)
                memcpy(out + (size_t)(y + r) * stride + (size_t)x * pixel,
                       tile + (size_t)r * (size_t)tw * pixel, width);
        }
    mem_free(tile);
    return ok;
}

/* Turn to the frame-th picture of full resolution. */
static bool go_to(TIFF *t, int frame)
{
    for (;;) {
        if (is_frame(t) && frame-- == 0)
            return true;
        if (TIFFLastDirectory(t) || !TIFFReadDirectory(t))
            return false;
    }
}

reason raster_tiff_frame(const uint8_t *p, size_t len, const raster_head *h, int frame,
                         uint8_t *out)
{
    source s = {.p = p, .len = len};
    TIFF *t = open_tiff(&s);
    bool ok = t && go_to(t, frame);
    s.complaints = 0; /* of tags that are unknown or odd */
    ok = ok && deflate_ok(t, &s, h) &&
         (TIFFIsTiled(t) ? read_tiles(t, h, out) : read_strips(t, h, out));
    if (t)
        TIFFClose(t);
    return !ok ? REASON_DEC_FAILED : s.complaints ? REASON_DEC_WARNED : REASON_NONE;
}

const char *raster_tiff_version(void)
{
    static char line[16];
    const char *all = TIFFGetVersion(), *v = strstr(all, "Version ");
    snprintf(line, sizeof(line), "%.*s", (int)strcspn(v ? v + 8 : all, "\n"), v ? v + 8 : all);
    return line;
}
