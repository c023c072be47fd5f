/* Pictures written and read back through the reader of pictures: the same values, size, resolution;
 * the description as it was given; no clock in the bytes; and the prepared canvas of a picture is
 * that of the DICOM file whose samples it holds. */
#include "tests/unit/dicom_bytes.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/rng.h"
#include "dicom/raster.h"
#include "preprocess/prepare.h"
#include "preprocess/raster_out.h"

#include <math.h>
#include <tiffio.h>
#include <unistd.h>

static char dir[64];

static char *at(const char *name)
{
    return fs_join(dir, name);
}

/* Read name back and compare with v. */
static void expect_same(const char *name, const uint16_t *v, int h, int w, double mm)
{
    err e = {0};
    char *path = at(name), *data;
    size_t n;
    record r;
    pixels px;
    arena *a = arena_new(1 << 20);
    assert_true(fs_read(path, 1 << 28, &data, &n, &e));
    assert_int_equal(record_read(data, n, &r), REASON_NONE);
    assert_int_equal(pixels_decode(data, n, &r, false, a, &px), REASON_NONE);
    assert_int_equal(px.rows, h);
    assert_int_equal(px.cols, w);
    assert_memory_equal(px.stored, v, (size_t)h * (size_t)w * 2);
    assert_string_equal(r.photometric, "MONOCHROME2");
    assert_float_equal(r.row_mm, mm, 2e-6);
    assert_float_equal(r.col_mm, mm, 2e-6);
    arena_free(a);
    mem_free(data);
    mem_free(path);
}

static void test_round_trip(void **state)
{
    (void)state;
    static uint16_t v[513 * 307];
    static const int size[][2] = {{513, 307}, {1, 1}, {1, 307}, {307, 1}};
    rng g;
    err e = {0};
    rng_init(&g, 9, RNG_TEST, 1, 1);
    for (size_t i = 0; i < COUNT_OF(v); i++)
        v[i] = (uint16_t)rng_below(&g, 65536);
    for (size_t k = 0; k < COUNT_OF(size); k++)
        for (int f = 0; f < 2; f++) {
            const char *name = f ? "a.png" : "a.tiff";
            char *path = at(name), *again = at("again"), *x, *y;
            size_t n, m;
            raster_out o = {v, size[k][0], size[k][1], k == 1 ? 0 : 0.0935, "{\"a\": 1}"};
            assert_true(raster_out_write(path, (raster_out_format)f, &o, &e));
            assert_true(raster_out_write(again, (raster_out_format)f, &o, &e));
            expect_same(name, v, o.h, o.w, o.mm_per_px);
            assert_true(fs_read(path, 1 << 28, &x, &n, &e) && fs_read(again, 1 << 28, &y, &m, &e));
            assert_int_equal(n, m);
            assert_memory_equal(x, y, n);
            assert_non_null(memmem(x, n, "{\"a\": 1}", 8));
            mem_free(x);
            mem_free(y);
            mem_free(path);
            mem_free(again);
        }
    char *path = at("a.tiff"); /* what another program sees */
    TIFF *t = TIFFOpen(path, "r");
    uint16_t code = 0, predictor = 0;
    const char *words = NULL;
    assert_non_null(t);
    TIFFGetField(t, TIFFTAG_COMPRESSION, &code);
    TIFFGetField(t, TIFFTAG_PREDICTOR, &predictor);
    TIFFGetField(t, TIFFTAG_IMAGEDESCRIPTION, &words);
    assert_int_equal(code, COMPRESSION_ADOBE_DEFLATE);
    assert_int_equal(predictor, PREDICTOR_HORIZONTAL);
    assert_string_equal(words, "{\"a\": 1}");
    TIFFClose(t);
    mem_free(path);
    raster_out o = {v, 2, 2, 0, ""};
    assert_false(raster_out_write("/nonexistent/x.tiff", RASTER_OUT_TIFF, &o, &e));
    assert_int_equal(e.code, ERR_IO);
}

/* ---- a picture in place of a DICOM file
 * ---------------------------------------------------------- */

enum { ROWS = 640, COLS = 480 };

static void breast(uint16_t *v)
{
    rng g;
    rng_init(&g, 11, RNG_TEST, 5, 0);
    for (int y = 0; y < ROWS; y++)
        for (int x = 0; x < COLS; x++) {
            double r = (double)x * x / (300 * 300) + (double)(y - 320) * (y - 320) / (250 * 250);
            int s = 30 + (int)rng_below(&g, 20);
            s += r < 1 ? (int)(700 + 2000 * (1 - r)) + (int)rng_below(&g, 80) : 0;
            v[y * COLS + (COLS - 1 - x)] = (uint16_t)s;
        }
}

/* A right CC of 12 bit, inverted if asked for, with a window or without. */
static bytes dicom(const uint16_t *v, bool inverted, bool window)
{
    bytes b = {0};
    preamble(&b, TS_EXPLICIT);
    str(&b, 0x0008, 0x0016, "UI", UID_MG);
    str(&b, 0x0008, 0x0018, "UI", "1.2.3.4");
    str(&b, 0x0008, 0x0020, "DA", "20200131");
    str(&b, 0x0008, 0x0060, "CS", "MG");
    str(&b, 0x0010, 0x0020, "LO", "P1");
    str(&b, 0x0018, 0x1164, "DS", "0.07\\0.07");
    str(&b, 0x0018, 0x5101, "CS", "CC");
    str(&b, 0x0020, 0x000D, "UI", "1.2.3.5");
    str(&b, 0x0020, 0x0062, "CS", "R");
    us(&b, 0x0028, 0x0002, 1);
    str(&b, 0x0028, 0x0004, "CS", inverted ? "MONOCHROME1" : "MONOCHROME2");
    us(&b, 0x0028, 0x0010, ROWS);
    us(&b, 0x0028, 0x0011, COLS);
    us(&b, 0x0028, 0x0100, 16);
    us(&b, 0x0028, 0x0101, 12);
    us(&b, 0x0028, 0x0102, 11);
    us(&b, 0x0028, 0x0103, 0);
    if (window) {
        str(&b, 0x0028, 0x1050, "DS", "1800");
        str(&b, 0x0028, 0x1051, "DS", "3000");
    }
    head(&b, 0x7FE0, 0x0010, "OW", ROWS * COLS * 2);
    put(&b, v, ROWS * COLS * 2);
    return b;
}

static void *prepare(const cfg *c, const void *data, size_t n, const record *facts)
{
    size_t arg_len, cap = prepare_reply_cap(c);
    void *reply = mem_calloc(1, cap), *arg = prepare_request(c, facts, &arg_len);
    prepare_image_task(data, n, arg, arg_len, reply, cap);
    mem_free(arg);
    return reply;
}

static void compare(const cfg *c, const bytes *dcm, const char *picture, const char *table)
{
    err e = {0};
    char *path = at(picture), *csv = at("facts.csv"), *data;
    size_t n;
    record facts;
    assert_true(fs_write(csv, table, strlen(table), &e));
    sidecar *s = sidecar_open(csv, &e);
    assert_non_null(s);
    assert_true(fs_read(path, 1 << 28, &data, &n, &e));
    assert_int_equal(record_read(data, n, &facts), REASON_NONE);
    assert_true(sidecar_apply(s, picture, &facts, &e));
    prepared *a = prepare(c, dcm->p, dcm->n, NULL), *b = prepare(c, data, n, &facts);
    assert_int_equal(a->primary, REASON_NONE);
    assert_string_equal(reason_name(b->primary), "");
    assert_string_equal(a->pixel_hash, b->pixel_hash);
    assert_string_equal(b->rec.sop_uid, facts.sop_uid);
    assert_int_equal(a->proc_flags, b->proc_flags);
    for (int i = 0; i < a->n_sizes; i++) {
        assert_memory_equal((char *)a + a->image_at[i], (char *)b + b->image_at[i],
                            (size_t)a->h[i] * (size_t)a->w[i] * 2);
        assert_memory_equal(a->affine[i], b->affine[i], sizeof a->affine[i]);
        assert_float_equal(a->mm_per_px[i], b->mm_per_px[i], 0);
        assert_float_equal(a->sumsq_breast[i], b->sumsq_breast[i], 0);
        assert_true(a->breast_pixels[i] > 100);
    }
    mem_free(a);
    mem_free(b);
    mem_free(data);
    sidecar_free(s);
    mem_free(csv);
    mem_free(path);
}

static void test_like_dicom(void **state)
{
    (void)state;
    static const cfg_group *const groups[] = {&prepare_options, &exclude_options};
    static uint16_t v[ROWS * COLS];
    err e = {0};
    char *tiff = at("p.tiff"), *png = at("p.png"), table[600];
    cfg *c = cfg_new(groups, COUNT_OF(groups));
    assert_true(cfg_set(c, "prepare.sizes=[256x208, 128x96]", &e));
    breast(v);
    for (int inverted = 0; inverted < 2; inverted++) {
        for (int i = 0; i < ROWS * COLS && inverted; i++)
            v[i] = (uint16_t)(4095 - v[i]);
        bool window = !inverted;
        bytes dcm = dicom(v, inverted, window);
        raster_out o = {v, ROWS, COLS, 0, ""};
        assert_true(raster_out_write(tiff, RASTER_OUT_TIFF, &o, &e));
        assert_true(raster_out_write(png, RASTER_OUT_PNG, &o, &e));
        for (int f = 0; f < 2; f++) {
            const char *name = f ? "p.png" : "p.tiff";
            snprintf(table, sizeof table,
                     "file,patient_id,study_uid,exam_date,modality,laterality,view,row_mm,"
                     "bits_stored,photometric%s\n"
                     "%s,P1,1.2.3.5,2020-01-31,MG,R,CC,0.07,12,MONOCHROME%d%s\n",
                     window ? ",window_center,window_width" : "", name, inverted ? 1 : 2,
                     window ? ",1800,3000" : "");
            compare(c, &dcm, name, table);
        }
        free(dcm.p);
    }
    cfg_free(c);
    mem_free(tiff);
    mem_free(png);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
                                       cmocka_unit_test(test_like_dicom)};
    err e = {0};
    snprintf(dir, sizeof dir, "/tmp/mammovit-raster-out-XXXXXX");
    if (!mkdtemp(dir))
        return 1;
    prepare_init();
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    return fs_remove_tree(dir, &e) ? rc : 1;
}
