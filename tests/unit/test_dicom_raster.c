/* PNG and TIFF pictures as members of an archive: samples against what was written, byte by byte
 * (PNG, plain and PackBits TIFF) or by libtiff (LZW, deflate, tiles); what is refused and why;
 * files cut, damaged and lying about their size; the same inside a sandboxed worker. */
#include "tests/unit/dicom_bytes.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/rng.h"
#include "core/worker.h"
#include "dicom/raster.h"
#include "dicom/scan.h"

#include <tiffio.h>
#include <unistd.h>
#include <zlib.h>

enum { W = 61, H = 45 };
static uint16_t level[2 * W * H * 4]; /* more than any test needs */
static arena *mem;

static void be(bytes *b, uint32_t v)
{
    put8(b, v >> 24);
    put8(b, v >> 16 & 255);
    put8(b, v >> 8 & 255);
    put8(b, v & 255);
}

/* ---- PNG, by hand ------------------------------------------------------------------------------
 */

static void chunk(bytes *b, const char *type, const void *data, size_t n)
{
    be(b, (uint32_t)n);
    size_t at = b->n;
    put(b, type, 4);
    put(b, data, n);
    be(b, (uint32_t)crc32(0, b->p + at, (uInt)(b->n - at)));
}

typedef struct png_kind {
    int w, h, depth, type, interlace; /* type: 0 grey, 2 RGB, 3 palette, 4 grey+alpha, 6 RGBA */
    uint32_t claim_w, claim_h;        /* other than the data; 0 = honest */
    uint32_t per_metre;               /* pHYs; 0 = none */
    bool transparent;                 /* tRNS */
    int unequal;                      /* RGB: the channel that differs in the last pixel */
    bool text;                        /* zTXt, iCCP: nothing we read */
} png_kind;

static int channels(int type)
{
    return type == 2 ? 3 : type == 4 ? 2 : type == 6 ? 4 : 1;
}

/* Pixel (x, y) of the picture, all channels, at the end of b. */
static void pixel(bytes *b, const png_kind *k, int x, int y)
{
    bool last = x == k->w - 1 && y == k->h - 1;
    for (int c = 0; c < channels(k->type); c++) {
        unsigned v = level[y * k->w + x] + (unsigned)(k->unequal && last && c == k->unequal);
        if (k->depth == 16)
            put8(b, v >> 8 & 255);
        put8(b, v & 255);
    }
}

/* Filter 0 in front of every row; the seven passes of Adam7, or one. */
static bytes rows_of(const png_kind *k)
{
    static const int from[7][4] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                   {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
    static const int all[4] = {0, 0, 1, 1};
    bytes raw = {0};
    for (int p = 0; p < (k->interlace ? 7 : 1); p++) {
        const int *f = k->interlace ? from[p] : all;
        for (int y = f[1]; y < k->h && f[0] < k->w; y += f[3]) {
            put8(&raw, 0);
            if (k->depth < 8)
                for (int i = 0; i < (k->w * k->depth + 7) / 8; i++)
                    put8(&raw, 0x1B);
            else
                for (int x = f[0]; x < k->w; x += f[2])
                    pixel(&raw, k, x, y);
        }
    }
    return raw;
}

static bytes png_file(png_kind k)
{
    bytes b = {0}, raw = rows_of(&k), head = {0}, phys = {0};
    put(&b, "\x89PNG\r\n\x1a\n", 8);
    be(&head, k.claim_w ? k.claim_w : (uint32_t)k.w);
    be(&head, k.claim_h ? k.claim_h : (uint32_t)k.h);
    put8(&head, (unsigned)k.depth);
    put8(&head, (unsigned)k.type);
    put(&head, "\0\0", 2);
    put8(&head, (unsigned)k.interlace);
    chunk(&b, "IHDR", head.p, head.n);
    if (k.text) {
        chunk(&b, "iCCP", "broken profile", 14);
        chunk(&b, "zTXt", "Comment\0\0 not deflated", 22);
    }
    if (k.type == 3)
        chunk(&b, "PLTE", "\0\0\0\xff\xff\xff", 6);
    if (k.transparent)
        chunk(&b, "tRNS", "\0\5", 2);
    if (k.per_metre) {
        be(&phys, k.per_metre);
        be(&phys, k.per_metre);
        put8(&phys, 1);
        chunk(&b, "pHYs", phys.p, phys.n);
    }
    uLongf n = compressBound(raw.n);
    uint8_t *z = malloc(n);
    assert_int_equal(compress2(z, &n, raw.p, raw.n, 6), Z_OK);
    size_t half = n / 2; /* two IDAT chunks */
    chunk(&b, "IDAT", z, half);
    chunk(&b, "IDAT", z + half, n - half);
    chunk(&b, "IEND", NULL, 0);
    free(z);
    free(raw.p);
    free(head.p);
    free(phys.p);
    return b;
}

/* ---- TIFF, by libtiff --------------------------------------------------------------------------
 */

typedef struct tiff_kind {
    const char *mode; /* "w" "wb" big-endian, "w8" BigTIFF */
    int w, h, bits, compression, predictor, tile, strip, pages, samples;
    int photometric, format, orientation, planar, thumbnail;
    float dpi;
    bool odd_page; /* the last page is narrower */
} tiff_kind;

static void tiff_tags(TIFF *t, const tiff_kind *k, int w)
{
    TIFFSetField(t, TIFFTAG_IMAGEWIDTH, w);
    TIFFSetField(t, TIFFTAG_IMAGELENGTH, k->h);
    TIFFSetField(t, TIFFTAG_BITSPERSAMPLE, k->bits);
    TIFFSetField(t, TIFFTAG_SAMPLESPERPIXEL, k->samples ? k->samples : 1);
    TIFFSetField(t, TIFFTAG_COMPRESSION, k->compression ? k->compression : 1);
    TIFFSetField(t, TIFFTAG_PHOTOMETRIC, k->photometric);
    TIFFSetField(t, TIFFTAG_PLANARCONFIG, k->planar ? k->planar : 1);
    if (k->predictor)
        TIFFSetField(t, TIFFTAG_PREDICTOR, k->predictor);
    if (k->format)
        TIFFSetField(t, TIFFTAG_SAMPLEFORMAT, k->format);
    if (k->orientation)
        TIFFSetField(t, TIFFTAG_ORIENTATION, k->orientation);
    if (k->dpi > 0) {
        TIFFSetField(t, TIFFTAG_RESOLUTIONUNIT, RESUNIT_INCH);
        TIFFSetField(t, TIFFTAG_XRESOLUTION, (double)k->dpi);
        TIFFSetField(t, TIFFTAG_YRESOLUTION, (double)k->dpi);
    }
    if (k->tile) {
        TIFFSetField(t, TIFFTAG_TILEWIDTH, k->tile);
        TIFFSetField(t, TIFFTAG_TILELENGTH, k->tile);
    } else {
        TIFFSetField(t, TIFFTAG_ROWSPERSTRIP, k->strip ? k->strip : 7);
    }
}

/* Row y of page p, starting at column x, n pixels: bytes in native order. */
static void tiff_row(const tiff_kind *k, int p, int w, int y, int x, int n, uint8_t *out)
{
    int samples = k->samples ? k->samples : 1, wide = k->bits / 8;
    memset(out, 0, (size_t)n * (size_t)samples * (size_t)wide);
    for (int i = 0; i < n && x + i < w; i++)
        for (int c = 0; c < samples; c++) {
            uint16_t v = level[(p * k->h + y) * k->w + x + i];
            if (k->bits == 8)
                out[i * samples + c] = (uint8_t)v;
            else if (k->bits == 16)
                memcpy(out + 2 * (i * samples + c), &v, 2);
        }
}

static void tiff_page(TIFF *t, const tiff_kind *k, int p, int w)
{
    static uint8_t buf[1 << 18];
    tiff_tags(t, k, w);
    if (k->tile) {
        size_t line = (size_t)k->tile * (size_t)k->bits / 8;
        for (int y = 0; y < k->h; y += k->tile)
            for (int x = 0; x < w; x += k->tile) {
                memset(buf, 0, line * (size_t)k->tile);
                for (int r = 0; r < k->tile && y + r < k->h; r++)
                    tiff_row(k, p, w, y + r, x, k->tile, buf + (size_t)r * line);
                assert_true(TIFFWriteTile(t, buf, (uint32_t)x, (uint32_t)y, 0, 0) > 0);
            }
        return;
    }
    int planes = k->planar == 2 ? k->samples : 1;
    for (int s = 0; s < planes; s++)
        for (int y = 0; y < k->h; y++) {
            tiff_row(k, p, w, y, 0, w, buf);
            assert_int_equal(TIFFWriteScanline(t, buf, (uint32_t)y, (uint16_t)s), 1);
        }
}

static bytes tiff_file(tiff_kind k)
{
    char path[] = "/tmp/mammovit-raster-XXXXXX";
    bytes b = {0};
    char *data;
    size_t n;
    err e = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    TIFF *t = TIFFFdOpen(fd, path, k.mode ? k.mode : "w");
    assert_non_null(t);
    k.w = k.w ? k.w : W;
    k.h = k.h ? k.h : H;
    k.photometric = k.photometric ? k.photometric : PHOTOMETRIC_MINISBLACK;
    if (k.photometric < 0)
        k.photometric = PHOTOMETRIC_MINISWHITE;
    for (int p = 0; p < (k.pages ? k.pages : 1); p++) {
        if (p && k.thumbnail)
            TIFFSetField(t, TIFFTAG_SUBFILETYPE, FILETYPE_REDUCEDIMAGE);
        tiff_page(t, &k, p, k.w - (k.odd_page && p == k.pages - 1 ? 8 : 0));
        assert_int_equal(TIFFWriteDirectory(t), 1);
    }
    TIFFClose(t);
    assert_true(fs_read(path, 1 << 28, &data, &n, &e));
    put(&b, data, n);
    mem_free(data);
    unlink(path);
    return b;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static reason decode(const bytes *b, const record *r, pixels *out)
{
    arena_reset(mem);
    return pixels_decode(b->p, b->n, r, true, mem, out);
}

/* Reads as `want` at the header or at the pixels; frees b. */
static void expect(const char *name, bytes b, reason want)
{
    record r;
    pixels px;
    reason why = record_read(b.p, b.n, &r);
    if (why == REASON_NONE)
        why = decode(&b, &r, &px);
    if (why != want)
        fail_msg("%s: %s, wanted %s", name, reason_name(why), reason_name(want));
    free(b.p);
}

static void expect_samples(const char *name, bytes b, int w, int h, int bits, int frames)
{
    record r;
    pixels px;
    char hash[33], sha[65];
    if (record_read(b.p, b.n, &r) != REASON_NONE || decode(&b, &r, &px) != REASON_NONE)
        fail_msg("%s: not read", name);
    size_t n = (size_t)w * (size_t)h;
    uint8_t *le = malloc(n * (size_t)frames * 2);
    for (size_t i = 0; i < n * (size_t)frames; i++) {
        if (bits == 16)
            memcpy(le + 2 * i, &level[i], 2);
        else
            le[i] = (uint8_t)level[i];
    }
    for (size_t i = 0; i < n; i++)
        if (px.stored[i] != (bits == 8 ? level[i] & 255 : level[i]))
            fail_msg("%s: sample %zu is %u, wanted %u", name, i, px.stored[i], level[i]);
    size_t size = n * (size_t)bits / 8;
    fs_xxh128_of(le, size, hash);
    fs_sha256_of(le, size * (size_t)frames, sha);
    assert_string_equal(px.hash, hash);
    assert_string_equal(px.sha256, sha);
    assert_int_equal(r.rows, h);
    assert_int_equal(r.cols, w);
    assert_int_equal(r.frames, frames);
    assert_int_equal(r.samples, 1);
    assert_int_equal(r.bits_allocated, bits);
    assert_int_equal(px.bits_stored, bits);
    assert_int_equal(px.high_bit, bits - 1);
    assert_string_equal(r.patient_id, "");
    assert_string_equal(r.modality, "");
    assert_int_equal(r.exam_day, RECORD_UNKNOWN);
    assert_true(raster_is(&r));
    free(le);
    free(b.p);
}

static void test_png(void **state)
{
    (void)state;
    expect_samples("8", png_file((png_kind){.w = W, .h = H, .depth = 8, .type = 0}), W, H, 8, 1);
    expect_samples("16", png_file((png_kind){.w = W, .h = H, .depth = 16, .type = 0}), W, H, 16, 1);
    expect_samples("16 interlaced",
                   png_file((png_kind){.w = W, .h = H, .depth = 16, .type = 0, .interlace = 1}), W,
                   H, 16, 1);
    expect_samples("8 interlaced",
                   png_file((png_kind){.w = W, .h = H, .depth = 8, .type = 0, .interlace = 1}), W,
                   H, 8, 1);
    expect_samples("1x1", png_file((png_kind){.w = 1, .h = 1, .depth = 16, .type = 0}), 1, 1, 16,
                   1);
    expect_samples("text",
                   png_file((png_kind){.w = W, .h = H, .depth = 16, .type = 0, .text = true}), W, H,
                   16, 1);
}

static void test_tiff(void **state)
{
    (void)state;
    static const char *const modes[] = {"w", "wb", "w8", "wb8"};
    static const int codes[] = {1, 5, 8, 32946, 32773};
    char name[64];
    for (size_t m = 0; m < COUNT_OF(modes); m++)
        for (size_t c = 0; c < COUNT_OF(codes); c++)
            for (int v = 0; v < 8; v++) {
                bool lossless = codes[c] == 5 || codes[c] == 8 || codes[c] == 32946;
                tiff_kind k = {.mode = modes[m],
                               .bits = v & 1 ? 16 : 8,
                               .compression = codes[c],
                               .tile = v & 2 ? 32 : 0,
                               .predictor = v & 4 && lossless ? 2 : 0};
                snprintf(name, sizeof name, "%s compression %d variant %d", modes[m], codes[c], v);
                expect_samples(name, tiff_file(k), W, H, k.bits, 1);
            }
    expect_samples("one strip", tiff_file((tiff_kind){.bits = 16, .strip = H}), W, H, 16, 1);
    expect_samples("3 pages", tiff_file((tiff_kind){.bits = 16, .pages = 2}), W, H, 16, 2);
    expect_samples("thumbnail", tiff_file((tiff_kind){.bits = 16, .pages = 2, .thumbnail = 1}), W,
                   H, 16, 1);
}

/* A TIFF without libtiff: one strip, PackBits or plain, both byte orders. */
static bytes plain_tiff(bool big, bool packed, int photometric, uint32_t claim)
{
    bytes data = {0}, b = {0};
    for (int y = 0; y < H; y++) { /* rows of literal runs */
        if (packed)
            put8(&data, W - 1);
        for (int x = 0; x < W; x++)
            put8(&data, level[y * W + x] & 255);
    }
    const uint32_t tag[][3] = {{256, 4, claim ? claim : W},
                               {257, 4, claim ? claim : H},
                               {258, 3, 8},
                               {259, 3, packed ? 32773 : 1},
                               {262, 3, (uint32_t)photometric},
                               {273, 4, 8},
                               {277, 3, 1},
                               {278, 4, claim ? claim : H},
                               {279, 4, (uint32_t)data.n}};
    uint32_t ifd = 8 + (uint32_t)data.n + (data.n & 1);
#define NUM(v, n)                                                                                  \
    for (int i_ = 0; i_ < (n); i_++)                                                               \
    put8(&b, (uint32_t)(v) >> 8 * (big ? (n)-1 - i_ : i_) & 255)
    put(&b, big ? "MM" : "II", 2);
    NUM(42, 2);
    NUM(ifd, 4);
    put(&b, data.p, data.n);
    if (data.n & 1)
        put8(&b, 0);
    NUM(COUNT_OF(tag), 2);
    for (size_t i = 0; i < COUNT_OF(tag); i++) {
        NUM(tag[i][0], 2);
        NUM(tag[i][1], 2);
        NUM(1, 4);
        if (tag[i][1] == 3) {
            NUM(tag[i][2], 2);
            NUM(0, 2);
        } else {
            NUM(tag[i][2], 4);
        }
    }
    NUM(0, 4);
    free(data.p);
    return b;
}

static void test_plain_tiff(void **state)
{
    (void)state;
    for (int v = 0; v < 4; v++)
        expect_samples("by hand", plain_tiff(v & 1, v & 2, 1, 0), W, H, 8, 1);
    record r;
    bytes b = plain_tiff(false, false, 0, 0);
    assert_int_equal(record_read(b.p, b.n, &r), REASON_NONE);
    assert_string_equal(r.photometric, "MONOCHROME1");
    free(b.p);
    b = tiff_file((tiff_kind){.bits = 16, .format = SAMPLEFORMAT_INT});
    assert_int_equal(record_read(b.p, b.n, &r), REASON_NONE);
    assert_int_equal(r.pixel_signed, 1);
    assert_string_equal(r.photometric, "MONOCHROME2");
    free(b.p);
}

static void test_refused(void **state)
{
    (void)state;
    expect("palette", png_file((png_kind){.w = W, .h = H, .depth = 8, .type = 3}),
           REASON_PIX_GEOMETRY);
    expect("grey and alpha", png_file((png_kind){.w = W, .h = H, .depth = 16, .type = 4}),
           REASON_PIX_GEOMETRY);
    expect("colour and alpha", png_file((png_kind){.w = W, .h = H, .depth = 8, .type = 6}),
           REASON_PIX_GEOMETRY);
    expect("transparent level",
           png_file((png_kind){.w = W, .h = H, .depth = 16, .type = 0, .transparent = true}),
           REASON_PIX_GEOMETRY);
    for (int depth = 1; depth < 8; depth *= 2)
        expect("few bits", png_file((png_kind){.w = W, .h = H, .depth = depth, .type = 0}),
               REASON_PIX_GEOMETRY);
    for (int c = 1; c < 3; c++)
        expect("colour", png_file((png_kind){.w = W, .h = H, .depth = 16, .type = 2, .unequal = c}),
               REASON_PIX_GEOMETRY);
    expect("tiff alpha", tiff_file((tiff_kind){.bits = 8, .samples = 2}), REASON_PIX_GEOMETRY);
    expect("4 channels", tiff_file((tiff_kind){.bits = 8, .samples = 4, .photometric = 2}),
           REASON_PIX_GEOMETRY);
    expect("float", tiff_file((tiff_kind){.bits = 32, .format = SAMPLEFORMAT_IEEEFP}),
           REASON_PIX_GEOMETRY);
    expect("half float", tiff_file((tiff_kind){.bits = 16, .format = SAMPLEFORMAT_IEEEFP}),
           REASON_PIX_GEOMETRY);
    expect("turned", tiff_file((tiff_kind){.bits = 8, .orientation = 6}), REASON_PIX_GEOMETRY);
    expect("planes", tiff_file((tiff_kind){.bits = 8, .samples = 3, .photometric = 2, .planar = 2}),
           REASON_PIX_GEOMETRY);
    expect("pages differ", tiff_file((tiff_kind){.bits = 8, .pages = 2, .odd_page = true}),
           REASON_PIX_GEOMETRY);
    expect("fax", tiff_file((tiff_kind){.bits = 1, .compression = 4}), REASON_TS_UNSUPPORTED);
    expect("palette tiff", plain_tiff(false, false, 3, 0), REASON_PIX_GEOMETRY);
}

static void test_grey_as_colour(void **state)
{
    (void)state;
    record r;
    pixels px;
    for (int v = 0; v < 3; v++) {
        bytes b = v == 2 ? tiff_file((tiff_kind){.bits = 16, .samples = 3, .photometric = 2})
                         : png_file((png_kind){.w = W, .h = H, .depth = v ? 16 : 8, .type = 2});
        assert_int_equal(record_read(b.p, b.n, &r), REASON_NONE);
        assert_int_equal(decode(&b, &r, &px), REASON_NONE);
        assert_true(reason_has(&px.notes, REASON_GREY_AS_COLOUR));
        for (int i = 0; i < W * H; i++)
            assert_int_equal(px.stored[i], v ? level[i] : level[i] & 255);
        free(b.p);
    }
}

static void test_resolution(void **state)
{
    (void)state;
    static const struct {
        uint32_t per_metre;
        float dpi;
        double mm;
    } t[] = {{14286, 0, 1000.0 / 14286},
             {3780, 0, 0},
             {1000, 0, 0},
             {50000, 0, 0},
             {0, 508, 0.05},
             {0, 96, 0},
             {0, 72, 0}};
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        record r;
        bytes b = t[i].per_metre
                      ? png_file((png_kind){
                            .w = W, .h = H, .depth = 16, .type = 0, .per_metre = t[i].per_metre})
                      : tiff_file((tiff_kind){.bits = 16, .dpi = t[i].dpi});
        assert_int_equal(record_read(b.p, b.n, &r), REASON_NONE);
        assert_float_equal(r.row_mm, t[i].mm, 1e-7);
        assert_float_equal(r.col_mm, t[i].mm, 1e-7);
        assert_string_equal(r.spacing_source, t[i].mm == 0          ? ""
                                              : t[i].per_metre != 0 ? "pHYs"
                                                                    : "XResolution");
        free(b.p);
    }
}

static void test_identity(void **state)
{
    (void)state;
    record a, c;
    bytes b = png_file((png_kind){.w = W, .h = H, .depth = 16, .type = 0});
    record_read(b.p, b.n, &a);
    record_read(b.p, b.n, &c);
    assert_int_equal(strncmp(a.sop_uid, "raster.", 7), 0);
    assert_string_equal(a.sop_uid, c.sop_uid);
    put8(&b, 0); /* behind IEND: another file, the same picture */
    assert_int_equal(record_read(b.p, b.n, &c), REASON_NONE);
    assert_string_not_equal(a.sop_uid, c.sop_uid);
    free(b.p);
    uint8_t dual[200] = "II*";
    assert_true(raster_sniff(dual, sizeof dual));
    memcpy(dual + 128, "DICM", 4);
    assert_false(raster_sniff(dual, sizeof dual));
    assert_false(raster_sniff("\x89PNG", 4));
}

/* ---- hostile -----------------------------------------------------------------------------------
 */

static bool coded(reason r)
{
    return r == REASON_IO_TRUNCATED || r == REASON_DEC_FAILED || r == REASON_DEC_WARNED ||
           r == REASON_IO_UNREADABLE || r == REASON_PIX_GEOMETRY || r == REASON_TS_UNSUPPORTED ||
           r == REASON_NOT_IMAGE;
}

typedef struct victim {
    const char *name;
    bytes b;
    bool checked; /* the format has a checksum over its samples */
} victim;

static int victims(victim *v)
{
    int n = 0;
    v[n++] = (victim){"png", png_file((png_kind){.w = W, .h = H, .depth = 16, .type = 0}), true};
    v[n++] =
        (victim){"png interlaced",
                 png_file((png_kind){.w = W, .h = H, .depth = 8, .type = 0, .interlace = 1}), true};
    v[n++] = (victim){"plain", tiff_file((tiff_kind){.bits = 16}), false};
    v[n++] = (victim){"lzw", tiff_file((tiff_kind){.bits = 16, .compression = 5}), false};
    v[n++] = (victim){"deflate", tiff_file((tiff_kind){.bits = 16, .compression = 8}), false};
    v[n++] = (victim){"packbits", tiff_file((tiff_kind){.bits = 8, .compression = 32773}), false};
    v[n++] =
        (victim){"tiles", tiff_file((tiff_kind){.bits = 16, .tile = 16, .compression = 8}), false};
    v[n++] = (victim){"pages", tiff_file((tiff_kind){.mode = "w8", .bits = 8, .pages = 2}), false};
    return n;
}

/* A copy in memory of exactly its length, so that a sanitizer sees every step beyond. */
static reason read_exact(const uint8_t *p, size_t n, pixels *px)
{
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, p, n);
    record r;
    bytes b = {copy, n, 0, 0};
    reason why = record_read(copy, n, &r);
    if (why == REASON_NONE)
        why = decode(&b, &r, px);
    free(copy);
    return why;
}

static void test_cut(void **state)
{
    (void)state;
    victim v[16];
    int n = victims(v);
    for (int i = 0; i < n; i++) {
        for (int k = 1; k <= 100; k++) {
            pixels px;
            size_t cut = k <= 50 ? v[i].b.n * (size_t)k / 51 : v[i].b.n - (size_t)(k - 50);
            if (cut < 8) /* not even a signature: any file that is no DICOM */
                continue;
            reason why = read_exact(v[i].b.p, cut, &px);
            if (why != REASON_IO_TRUNCATED)
                fail_msg("%s cut to %zu of %zu bytes: %s", v[i].name, cut, v[i].b.n,
                         reason_name(why));
        }
        free(v[i].b.p);
    }
}

static void test_damage(void **state)
{
    (void)state;
    victim v[16];
    int n = victims(v);
    for (int i = 0; i < n; i++) {
        pixels px;
        char good[33];
        assert_int_equal(read_exact(v[i].b.p, v[i].b.n, &px), REASON_NONE);
        memcpy(good, px.hash, sizeof good);
        for (size_t at = 8; at < v[i].b.n; at += 1 + v[i].b.n / 900)
            for (int bit = 0; bit < 8; bit += 7) {
                v[i].b.p[at] ^= (uint8_t)(1 << bit);
                reason why = read_exact(v[i].b.p, v[i].b.n, &px);
                v[i].b.p[at] ^= (uint8_t)(1 << bit);
                if (why != REASON_NONE && !coded(why))
                    fail_msg("%s: %s", v[i].name, reason_name(why));
                if (why == REASON_NONE && v[i].checked && strcmp(good, px.hash) != 0)
                    fail_msg("%s: byte %zu changed, and the samples with it, unnoticed", v[i].name,
                             at);
            }
        free(v[i].b.p);
    }
}

static void test_bombs(void **state)
{
    (void)state;
    expect("png 65535",
           png_file((png_kind){
               .w = W, .h = H, .depth = 16, .type = 0, .claim_w = 65535, .claim_h = 65535}),
           REASON_PIX_GEOMETRY);
    expect("png 2^31",
           png_file((png_kind){
               .w = W, .h = H, .depth = 8, .type = 0, .claim_w = 0x7FFFFFFF, .claim_h = 3}),
           REASON_PIX_GEOMETRY);
    expect("png 20000",
           png_file((png_kind){
               .w = W, .h = H, .depth = 16, .type = 0, .claim_w = 20000, .claim_h = 20000}),
           REASON_PIX_GEOMETRY);
    expect("png colour",
           png_file((png_kind){
               .w = W, .h = H, .depth = 16, .type = 2, .claim_w = 9000, .claim_h = 9000}),
           REASON_PIX_GEOMETRY);
    expect("png wider",
           png_file(
               (png_kind){.w = W, .h = H, .depth = 16, .type = 0, .claim_w = W + 1, .claim_h = H}),
           REASON_DEC_FAILED);
    expect("png lower",
           png_file(
               (png_kind){.w = W, .h = H, .depth = 16, .type = 0, .claim_w = W, .claim_h = H - 1}),
           REASON_DEC_WARNED);
    expect("tiff 65535", plain_tiff(false, true, 1, 65535), REASON_PIX_GEOMETRY);
    expect("tiff 2^31", plain_tiff(false, false, 1, 0x7FFFFFFF), REASON_PIX_GEOMETRY);
    expect("tiff 9000", plain_tiff(true, true, 1, 9000), REASON_PIX_GEOMETRY);
    expect("tiff 4000", plain_tiff(true, true, 1, 4000), REASON_DEC_FAILED);
    bytes b = tiff_file((tiff_kind){.bits = 8, .pages = 2}); /* pages in a circle */
    uint32_t first = (uint32_t)b.p[4] | (uint32_t)b.p[5] << 8 | (uint32_t)b.p[6] << 16;
    unsigned entries = b.p[first] | (unsigned)b.p[first + 1] << 8;
    memcpy(b.p + first + 2 + 12 * entries, b.p + 4, 4);
    expect("circle", b, REASON_IO_UNREADABLE);
}

/* Strips that lie, or end, outside the file, in a directory that is whole. */
static void test_strip_outside(void **state)
{
    (void)state;
    static const unsigned tags[] = {273, 279};
    for (int t = 0; t < 2; t++) {
        bytes b = plain_tiff(false, true, 1, 0);
        for (size_t at = 8 + W * H; at + 12 <= b.n; at++)
            if ((b.p[at] | (unsigned)b.p[at + 1] << 8) == tags[t] && b.p[at + 2] == 4 &&
                b.p[at + 4] == 1) {
                b.p[at + 10] = 1; /* 64 KiB further, or more of them */
                break;
            }
        expect("strip outside", b, REASON_IO_TRUNCATED);
    }
}

/* What libtiff puts right in silence, and what it does not read: lengths that contradict the size,
 * the check sum behind a deflate stream. */
static void test_tiff_claims(void **state)
{
    (void)state;
    static const int by[] = {-W * H, -2, 2};
    for (size_t i = 0; i < COUNT_OF(by); i++) {
        bytes b = plain_tiff(false, false, 1, 0);
        size_t at = b.n - 4 - 12 + 8; /* the value of the last entry, StripByteCounts */
        uint32_t n = (uint32_t)(W * H + by[i]);
        memcpy(b.p + at, &n, 4);
        expect("length of a strip", b, REASON_PIX_GEOMETRY);
    }
    bytes b = tiff_file((tiff_kind){
        .w = 16, .h = 16, .bits = 16, .compression = COMPRESSION_ADOBE_DEFLATE, .strip = 16});
    size_t dir = b.p[4] | (size_t)b.p[5] << 8;
    for (size_t at = 8; at + 1 < dir; at++) { /* a byte may follow, so that the directory is even */
        bytes bad = {0};
        put(&bad, b.p, b.n);
        bad.p[at] ^= 1;
        expect("byte of a deflate stream", bad, REASON_DEC_FAILED);
    }
    free(b.p);
}

static void test_worker(void **state)
{
    (void)state;
    worker *w = worker_new(&(worker_limits){20, (size_t)256 << 20, sizeof(scan_reply)});
    bytes files[] = {
        png_file((png_kind){.w = W, .h = H, .depth = 16, .type = 0}),
        tiff_file((tiff_kind){.bits = 16, .compression = 8, .tile = 32}),
        png_file((png_kind){
            .w = W, .h = H, .depth = 16, .type = 0, .claim_w = 65535, .claim_h = 65535})};
    for (size_t i = 0; i < COUNT_OF(files); i++)
        for (int task = 0; task < 2; task++) {
            const void *reply;
            size_t len;
            assert_int_equal(
                worker_call(w, task, NULL, files[i].p, files[i].n, NULL, 0, &reply, &len),
                WORKER_OK);
            if (task == 0) {
                const scan_reply *r = reply;
                assert_int_equal(len, sizeof *r);
                assert_int_equal(r->why, REASON_NONE);
                assert_true(raster_is(&r->rec) && r->header_hash[0]);
            } else {
                assert_int_equal(*(const reason *)reply,
                                 i == 2 ? REASON_PIX_GEOMETRY : REASON_NONE);
            }
        }
    for (size_t i = 0; i < COUNT_OF(files); i++)
        free(files[i].p);
    worker_free(w);
}

/* Worker task: decode, reply the reason. */
static size_t decode_task(const void *data, size_t len, const void *arg, size_t arg_len,
                          void *reply, size_t reply_cap)
{
    (void)arg;
    (void)arg_len;
    (void)reply_cap;
    record r;
    pixels px;
    arena *a = arena_new(1 << 16);
    reason why = record_read(data, len, &r);
    if (why == REASON_NONE)
        why = pixels_decode(data, len, &r, false, a, &px);
    memcpy(reply, &why, sizeof why);
    arena_free(a);
    return sizeof why;
}

static const worker_task tasks[] = {{"scan", scan_header_task, pixels_init},
                                    {"decode", decode_task, pixels_init}};

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_png),
                                       cmocka_unit_test(test_tiff),
                                       cmocka_unit_test(test_plain_tiff),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_grey_as_colour),
                                       cmocka_unit_test(test_resolution),
                                       cmocka_unit_test(test_identity),
                                       cmocka_unit_test(test_cut),
                                       cmocka_unit_test(test_damage),
                                       cmocka_unit_test(test_bombs),
                                       cmocka_unit_test(test_strip_outside),
                                       cmocka_unit_test(test_tiff_claims),
                                       cmocka_unit_test(test_worker)};
    err e = {0};
    rng g;
    if (!worker_start(tasks, COUNT_OF(tasks), &e))
        return 1;
    pixels_init();
    TIFFSetWarningHandler(NULL); /* of the writer */
    mem = arena_new(1 << 20);
    rng_init(&g, 3, RNG_TEST, 1, 1);
    for (size_t i = 0; i < COUNT_OF(level); i++) /* smooth with noise: compressible, not flat */
        level[i] = (uint16_t)(i % 997 * 60 + rng_below(&g, 64));
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(mem);
    worker_stop();
    return rc;
}
