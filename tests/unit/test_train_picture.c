/* Pictures: PNG bytes; a view as it hangs: crop, mirror, one scale, squashed canvases set right. */
#include "tests/unit/store.h"

#include <math.h>
#include <png.h>

#include "train/picture.h"

static char dir[64];

static void test_png(void **state)
{
    char *a = fs_join(dir, "a.png"), *b = fs_join(dir, "b.png"), sum[2][65];
    enum { H = 9, W = 6 };
    uint16_t v[H * W];
    for (int i = 0; i < H * W; i++)
        v[i] = (uint16_t)(i * 1200);
    OK(picture_png(a, v, H, W, 100, e));
    OK(picture_png(b, v, H, W, 100, e));
    OK(fs_sha256_file(a, sum[0], e));
    OK(fs_sha256_file(b, sum[1], e));
    assert_string_equal(sum[0], sum[1]);
    png_image image = {.version = PNG_IMAGE_VERSION};
    uint8_t grey[H * W];
    assert_int_not_equal(png_image_begin_read_from_file(&image, a), 0);
    image.format = PNG_FORMAT_GRAY;
    assert_int_equal(image.width, W);
    assert_int_equal(image.height, H);
    assert_int_not_equal(png_image_finish_read(&image, NULL, grey, 0, NULL), 0);
    for (int i = 0; i < H * W; i++)
        assert_int_equal(grey[i], (int)floor(v[i] / 257.0 + 0.5));
    OK(picture_png(a, v, H, W, 4, e)); /* shrunk three times: 3 x 2 */
    image = (png_image){.version = PNG_IMAGE_VERSION};
    assert_int_not_equal(png_image_begin_read_from_file(&image, a), 0);
    image.format = PNG_FORMAT_GRAY;
    assert_int_equal(image.width, 2);
    assert_int_equal(image.height, 3);
    assert_int_not_equal(png_image_finish_read(&image, NULL, grey, 0, NULL), 0);
    int corner = 0; /* mean of the first 3 x 3 pixels: of 0 1 2 6 7 8 12 13 14 = 7 */
    corner = (7 * 1200 * 255 + 32767) / 65535;
    assert_int_equal(grey[0], corner);
    mem_free(a);
    mem_free(b);
}

/* A canvas of 12 x 8: breast in the upper left 7 x 3, air of 100 around it. */
static void canvas(uint16_t v[12 * 8])
{
    for (int i = 0; i < 12 * 8; i++)
        v[i] = i / 8 < 7 && i % 8 < 3 ? (uint16_t)(1000 * (1 + i % 8 + 10 * (i / 8 % 2))) : 100;
}

static const float none[6] = {0};

static void test_crop(void **state)
{
    uint16_t v[12 * 8];
    canvas(v);
    picture_view p = picture_view_of(v, 12, 8, 1, none, 0, 'L');
    assert_int_equal(p.crop_h, 7);
    assert_int_equal(p.crop_w, 3);
    assert_false(p.known || p.mirror);
    assert_true(p.mm_h == 1 && p.mm_w == 1);
    p = picture_view_of(v, 12, 8, 4, none, 0, 'R'); /* whole patches */
    assert_int_equal(p.crop_h, 8);
    assert_int_equal(p.crop_w, 4);
    assert_true(p.mirror);
    for (int i = 0; i < 12 * 8; i++) /* nothing but air: one patch is left */
        v[i] = 100;
    p = picture_view_of(v, 12, 8, 4, none, 0, 'L');
    assert_int_equal(p.crop_h, 4);
    assert_int_equal(p.crop_w, 4);
    v[12 * 8 - 1] = 7; /* a corner that differs: nothing is border */
    p = picture_view_of(v, 12, 8, 4, none, 0, 'L');
    assert_int_equal(p.crop_h, 12);
    assert_int_equal(p.crop_w, 8);
    (void)state;
}

/* Canvas pixel for canvas pixel, mirrored on the right. */
static void test_hang(void **state)
{
    uint16_t v[12 * 8];
    int h, w;
    canvas(v);
    for (int right = 0; right < 2; right++) {
        picture_view p = picture_view_of(v, 12, 8, 1, none, 0.5f, right ? 'R' : 'L');
        assert_true(p.known && p.mm_h == 0.5 && p.mm_w == 0.5);
        uint8_t *g = picture_hang(&p, v, 0.5, &h, &w);
        assert_int_equal(h, 7);
        assert_int_equal(w, 3);
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++)
                assert_int_equal(g[y * w + (right ? w - 1 - x : x)], picture_grey(v[y * 8 + x]));
        mem_free(g);
    }
    (void)state;
}

/* At 1.25 mm a picture of 7 x 3 pixels of 0.5 mm has 3 x 1: area means over fractions of pixels. */
static void test_scale(void **state)
{
    uint16_t v[12 * 8];
    int h, w;
    canvas(v);
    picture_view p = picture_view_of(v, 12, 8, 1, none, 0.5f, 'L');
    uint8_t *g = picture_hang(&p, v, 1.25, &h, &w);
    assert_int_equal(h, 3);
    assert_int_equal(w, 1);
    double row[2] = {2000, 12000}; /* means of even and odd rows */
    double top = (row[0] + row[1] + row[0] / 3) / (7 / 3.0);
    assert_int_equal(g[0], picture_grey((uint64_t)floor(top + 0.5)));
    mem_free(g);
    (void)state;
}

/* A squashed canvas: twice as many pixels a millimetre across as along. */
static void test_squashed(void **state)
{
    static const float wide[6] = {0.5f, 0, 3, 0, 0.25f, 9}, turned[6] = {0, -0.25f, 3, 0.5f, 0, 9};
    uint16_t v[12 * 8];
    int h, w;
    canvas(v);
    picture_view p = picture_view_of(v, 12, 8, 1, wide, 0.4f, 'L');
    assert_true(fabs(p.mm_h / p.mm_w - 2) < 1e-6 && fabs(p.mm_h * p.mm_w - 0.16) < 1e-6);
    mem_free(picture_hang(&p, v, p.mm_h, &h, &w));
    assert_int_equal(h, 7);
    assert_int_equal(w, 2); /* 3 of half the size */
    p = picture_view_of(v, 12, 8, 1, turned, 0.4f, 'L');
    assert_true(fabs(p.mm_h / p.mm_w - 0.5) < 1e-6);
    picture_view_forget(&p);
    assert_true(!p.known && fabs(p.mm_h * p.mm_w - 1) < 1e-12);
    assert_true(fabs(p.mm_h / p.mm_w - 0.5) < 1e-6);
    (void)state;
}

static int setup(void **state)
{
    (void)state;
    return store_tmp("picture", dir) ? 0 : -1;
}

static int teardown(void **state)
{
    err e = {0};
    (void)state;
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png),   cmocka_unit_test(test_crop),     cmocka_unit_test(test_hang),
        cmocka_unit_test(test_scale), cmocka_unit_test(test_squashed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
