/* Learnt values brought to another grid: against torch's own interpolation, against values worked
 * out by hand, and what holds for every rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "core/mem.h"
#include "train/resample.h"
#include "train/source.h"

/* One channel, rows x cols, behind one value that stays. */
static void resample(const float *src, int gh, int gw, float *dst, int th, int tw, resample_how how)
{
    resample_grid g = {1, 1, gh, gw, th, tw};
    dst[0] = src[0];
    resample_values(&g, how, src + 1, dst + 1);
}

/* Values worked out with torch.nn.functional.interpolate's definition: 2x2 -> 3x3 and 4 -> 2. */
static void positions_are_resampled(void **state)
{
    (void)state;
    const float src[5] = {9, 0, 1, 2, 3};
    float dst[10], back[2 * 5];
    resample(src, 2, 2, dst, 3, 3, RESAMPLE_BILINEAR);
    const float want[10] = {9, 0, 0.5f, 1, 1, 1.5f, 2, 2, 2.5f, 3};
    for (int i = 0; i < 10; i++)
        assert_true(fabsf(dst[i] - want[i]) < 1e-6f);
    const float row[5] = {0, 1, 2, 4, 8}; /* 1x4 -> 1x2: no antialias takes the middle of pairs */
    resample(row, 1, 4, back, 1, 2, RESAMPLE_BILINEAR);
    assert_true(fabsf(back[1] - 1.5f) < 1e-6f && fabsf(back[2] - 6) < 1e-6f);
    resample(row, 1, 4, back, 1, 2, RESAMPLE_BICUBIC);
    /* weights at 0.5: -0.09375, 0.59375, 0.59375, -0.09375, edges repeated */
    assert_true(fabsf(back[1] - (-0.09375f * 1 + 0.59375f * 3 - 0.09375f * 4)) < 1e-5f);
    assert_true(fabsf(back[2] - (-0.09375f * 2 + 0.59375f * 12 - 0.09375f * 8)) < 1e-5f);
    for (int how = RESAMPLE_BILINEAR; how <= RESAMPLE_BICUBIC_AA; how++) {
        float flat[26], out[64];
        for (int i = 0; i < 26; i++)
            flat[i] = 3;
        resample(flat, 5, 5, out, 9, 7, (resample_how)how);
        for (int i = 0; i < 64; i++)
            assert_true(fabsf(out[i] - 3) < 1e-5f); /* weights sum to 1 */
        float same[26];
        for (int i = 0; i < 26; i++)
            flat[i] = (float)(i * i % 7);
        resample(flat, 5, 5, same, 5, 5, (resample_how)how);
        for (int i = 0; i < 26; i++)
            assert_true(fabsf(flat[i] - same[i]) < 1e-6f); /* the same grid: the same values */
    }
}

/* record_weights.py: two channels in planes, and the same with channels last. */
static void as_torch_does(void **state)
{
    (void)state;
    err e = {0};
    source *s = source_open("tests/fixtures/weights/grids.safetensors", &e);
    assert_non_null(s);
    float *src = source_values(s, source_get(s, "source"), &e), last[40], out[54];
    for (int i = 0; i < 40; i++)
        last[i % 20 * 2 + i / 20] = src[i];
    for (int how = RESAMPLE_BILINEAR; how <= RESAMPLE_BICUBIC_AA; how++) {
        float *want = source_values(s, source_get(s, resample_name((resample_how)how)), &e);
        assert_non_null(want);
        resample_values(&(resample_grid){2, 1, 5, 4, 9, 3}, (resample_how)how, src, out);
        for (int i = 0; i < 54; i++)
            assert_true(fabsf(out[i] - want[i]) < 2e-6f);
        resample_values(&(resample_grid){1, 2, 5, 4, 9, 3}, (resample_how)how, last, out);
        for (int i = 0; i < 54; i++)
            assert_true(fabsf(out[i % 27 * 2 + i / 27] - want[i]) < 2e-6f);
        assert_int_equal(resample_of(resample_name((resample_how)how)), how);
        mem_free(want);
    }
    mem_free(src);
    source_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_are_resampled),
        cmocka_unit_test(as_torch_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
