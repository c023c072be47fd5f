/* Runs of a thumbnail's mask against the bilinear value worked out pixel by pixel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/rng.h"
#include "preprocess/mask.h"

#define MH 9
#define MW 11

/* Value of the mask at a position counted in mask pixels, 0..1; borders are continued. */
static double value(const uint8_t *mask, double x, double y)
{
    x = x < 0 ? 0 : x > MW - 1 ? MW - 1 : x;
    y = y < 0 ? 0 : y > MH - 1 ? MH - 1 : y;
    int x0 = (int)x, y0 = (int)y, x1 = x0 + 1 < MW ? x0 + 1 : x0, y1 = y0 + 1 < MH ? y0 + 1 : y0;
    double fx = x - x0, fy = y - y0;
    double top = mask[y0 * MW + x0] * (1 - fx) + mask[y0 * MW + x1] * fx;
    double low = mask[y1 * MW + x0] * (1 - fx) + mask[y1 * MW + x1] * fx;
    return top * (1 - fy) + low * fy;
}

static void check(const uint8_t *mask, int h, int w, double x0, double y0, double sx, double sy)
{
    arena *a = arena_new(1 << 12);
    mask_axis ax, ay;
    mask_run run[MW / 2 + 2];
    mask_axis_make(&ax, w, MW, x0, sx, a);
    mask_axis_make(&ay, h, MH, y0, sy, a);
    for (int y = 0; y < h; y++) {
        int n = mask_row(mask, &ax, &ay, y, run);
        assert_in_range(n, 0, (MW + 1) / 2 + 1);
        for (int k = 0; k < n; k++) {
            assert_in_range(run[k].x0, k ? run[k - 1].x1 + 1 : 0, w - 1);
            assert_in_range(run[k].x1, run[k].x0 + 1, w);
        }
        for (int x = 0, k = 0; x < w; x++) {
            double v = value(mask, x0 + (x + 0.5) * sx - 0.5, y0 + (y + 0.5) * sy - 0.5);
            while (k < n && x >= run[k].x1)
                k++;
            bool in = k < n && x >= run[k].x0;
            if (v > 0.5 + 1.0 / 128)
                assert_true(in);
            if (v < 0.5 - 1.0 / 128)
                assert_false(in);
        }
    }
    arena_free(a);
}

static void test_random(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        uint8_t mask[MH * MW];
        rng r;
        rng_init(&r, 5, RNG_TEST, (uint64_t)round, 0);
        for (int i = 0; i < MH * MW; i++)
            mask[i] = rng_u32(&r) % 3 != 0;
        check(mask, 40, 53, 0, 0, MW / 53.0, MH / 40.0);   /* whole, larger */
        check(mask, 5, 4, 0, 0, MW / 4.0, MH / 5.0);       /* smaller: columns are jumped over */
        check(mask, 30, 30, 2.3, 1.7, 6.1 / 30, 5.2 / 30); /* a crop */
        check(mask, MH, MW, 0, 0, 1, 1);                   /* one to one: the mask itself */
    }
}

static void test_same_size(void **state)
{
    const uint8_t mask[MH * MW] = {[0] = 1, [1] = 1, [MW - 1] = 1, [MW + 3] = 1};
    arena *a = arena_new(1 << 12);
    mask_axis ax, ay;
    mask_run run[MW / 2 + 2];
    (void)state;
    mask_axis_make(&ax, MW, MW, 0, 1, a);
    mask_axis_make(&ay, MH, MH, 0, 1, a);
    assert_int_equal(mask_row(mask, &ax, &ay, 0, run), 2);
    assert_int_equal(run[0].x0, 0);
    assert_int_equal(run[0].x1, 2);
    assert_int_equal(run[1].x0, MW - 1);
    assert_int_equal(run[1].x1, MW);
    assert_int_equal(mask_row(mask, &ax, &ay, 1, run), 1);
    assert_int_equal(run[0].x0, 3);
    assert_int_equal(run[0].x1, 4);
    assert_int_equal(mask_row(mask, &ax, &ay, 2, run), 0);
    /* between two mask pixels: one half is inside */
    mask_axis_make(&ax, MW, MW, 0.5, 1, a);
    assert_int_equal(mask_row(mask, &ax, &ay, 0, run), 2);
    assert_true(run[0].x0 == 0 && run[0].x1 == 2);
    assert_true(run[1].x0 == MW - 2 && run[1].x1 == MW);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_same_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
