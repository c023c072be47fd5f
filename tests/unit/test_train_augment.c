/* Augmentation: the identity is exact, flips and rotations go where they should, and every number
 * depends on its own key only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "train/augment.h"

static const augment_cfg off = {.enabled = true, .scale_min = 1, .scale_max = 1, .aspect_max = 1};

static bool same(const model_view *a, const model_view *b)
{
    return !memcmp(a, b, sizeof *a);
}

/* Where output point (x, y) is read from. */
static void expect(const model_view *v, double x, double y, double sx, double sy)
{
    double gx = (double)v->affine[0] * x + (double)v->affine[1] * y + (double)v->affine[2],
           gy = (double)v->affine[3] * x + (double)v->affine[4] * y + (double)v->affine[5];
    if (fabs(gx - sx) > 1e-4 || fabs(gy - sy) > 1e-4)
        fail_msg("(%g, %g) is read from (%g, %g), wanted (%g, %g)", x, y, gx, gy, sx, sy);
}

static void test_identity(void **state)
{
    augment_cfg c = {
        .flip_vertical = 1, .rotate = 10, .brightness = 1, .scale_max = 1, .aspect_max = 1};
    model_view v;
    for (uint64_t i = 0; i < 50; i++) {
        augment_view(&c, 40, 30, 1, i, 0, &v); /* not enabled */
        assert_true(same(&v, &model_view_identity));
        augment_view(&off, 40, 30, 1, i, 0, &v); /* nothing to do */
        assert_true(same(&v, &model_view_identity));
    }
}

static void test_flips(void **state)
{
    augment_cfg c = off;
    model_view v;
    c.flip_horizontal = 1;
    augment_view(&c, 40, 30, 1, 2, 3, &v);
    expect(&v, 0.5, 0.5, 29.5, 0.5);
    expect(&v, 29.5, 39.5, 0.5, 39.5);
    c.flip_horizontal = 0;
    c.flip_vertical = 1;
    augment_view(&c, 40, 30, 1, 2, 3, &v);
    expect(&v, 0.5, 0.5, 0.5, 39.5);
    expect(&v, 7.5, 10.5, 7.5, 29.5);
    c.flip_vertical = 0.5;
    int flipped = 0;
    for (uint64_t i = 0; i < 2000; i++) {
        augment_view(&c, 40, 30, 1, i, 0, &v);
        flipped += v.affine[4] < 0;
    }
    assert_in_range(flipped, 900, 1100);
}

static void test_rotation(void **state)
{
    augment_cfg c = off;
    model_view v;
    double low = 0, high = 0;
    c.rotate = 10;
    for (uint64_t i = 0; i < 500; i++) {
        augment_view(&c, 40, 30, 1, i, 0, &v);
        double a = atan2((double)v.affine[3], (double)v.affine[0]) * 180 / M_PI;
        expect(&v, 15, 20, 15, 20); /* about the centre */
        assert_true(fabs((double)v.affine[0] * (double)v.affine[4] -
                         (double)v.affine[1] * (double)v.affine[3] - 1) < 1e-5);
        assert_true(fabs(a) <= 10.0001);
        low = fmin(low, a);
        high = fmax(high, a);
    }
    assert_true(low < -9 && high > 9);
}

static void test_crop(void **state)
{
    augment_cfg c = off;
    model_view v;
    c.scale_min = c.scale_max = 0.25; /* a quarter of the area: half of each side */
    augment_view(&c, 40, 30, 1, 2, 3, &v);
    expect(&v, 0, 0, 7.5, 10);
    expect(&v, 30, 40, 22.5, 30);
    c.scale_min = c.scale_max = 1;
    c.translate = 0.1;
    for (uint64_t i = 0; i < 200; i++) {
        augment_view(&c, 40, 30, 1, i, 0, &v);
        assert_true(fabsf(v.affine[2]) <= 3 && fabsf(v.affine[5]) <= 4);
        assert_true(v.affine[0] == 1 && v.affine[4] == 1);
    }
}

/* The view applies v -> contrast * (v - 0.5) + 0.5 + brightness. */
static void test_jitter(void **state)
{
    augment_cfg c = off;
    model_view v;
    float low = 2, high = 0;
    c.contrast = 0.5;
    augment_view(&c, 40, 30, 1, 2, 3, &v);
    assert_true(v.brightness == 0); /* mid-grey stays */
    c.contrast = 0;
    c.brightness = 0.1;
    for (uint64_t i = 0; i < 500; i++) {
        augment_view(&c, 40, 30, 1, i, 0, &v); /* a factor: black stays black */
        assert_true(fabsf(v.contrast * -0.5f + 0.5f + v.brightness) < 1e-6f);
        low = fminf(low, v.contrast);
        high = fmaxf(high, v.contrast);
        assert_true(!memcmp(v.affine, model_view_identity.affine, sizeof v.affine));
    }
    assert_true(low >= 0.9f && low < 0.91f && high <= 1.1f && high > 1.09f);
}

static void test_keys(void **state)
{
    augment_cfg c = {.enabled = true,
                     .flip_vertical = 0.5,
                     .rotate = 10,
                     .scale_min = 0.8,
                     .scale_max = 1,
                     .aspect_max = 1.2,
                     .translate = 0.1,
                     .brightness = 0.1,
                     .contrast = 0.5};
    model_view a, b, d;
    augment_view(&c, 40, 30, 1, 2, 3, &a);
    augment_view(&c, 40, 30, 1, 2, 3, &b);
    assert_true(same(&a, &b));
    augment_view(&c, 40, 30, 2, 2, 3, &b);
    assert_false(same(&a, &b));
    augment_view(&c, 40, 30, 1, 3, 3, &b);
    assert_false(same(&a, &b));
    augment_view(&c, 40, 30, 1, 2, 4, &b);
    assert_false(same(&a, &b));
    /* switching one off leaves the others as they were */
    for (uint64_t i = 0; i < 20; i++) {
        augment_view(&c, 40, 30, 1, i, 3, &a);
        augment_cfg k = c;
        k.contrast = k.brightness = 0;
        augment_view(&k, 40, 30, 1, i, 3, &b);
        assert_memory_equal(a.affine, b.affine, sizeof a.affine);
        assert_true(b.contrast == 1 && b.brightness == 0);
        k = c;
        k.flip_vertical = 0;
        k.rotate = 0;
        augment_view(&k, 40, 30, 1, i, 3, &b);
        assert_true(a.contrast == b.contrast && a.brightness == b.brightness);
        k.translate = 0;
        augment_view(&k, 40, 30, 1, i, 3, &d);
        assert_true(b.affine[0] == d.affine[0] && b.affine[4] == d.affine[4]);
        assert_true(a.contrast == d.contrast);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity), cmocka_unit_test(test_flips),
        cmocka_unit_test(test_rotation), cmocka_unit_test(test_crop),
        cmocka_unit_test(test_jitter),   cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
