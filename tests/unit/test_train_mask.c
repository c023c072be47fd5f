/* Draws of missing patches: counts, shapes, regions, borders, and what a draw depends on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/mem.h"
#include "train/mask.h"

#define ROWS 12
#define COLS 8
#define ALL  (ROWS * COLS)

static const double rates[] = {0.9, 0.75, 0.5, 0.25, 0.1, 0.05};

static mask_draw draw_of(double keep, const uint8_t *breast, int repeat)
{
    return (mask_draw){.rows = ROWS,
                       .cols = COLS,
                       .keep = keep,
                       .breast = breast,
                       .seed = 3,
                       .exam = "exam",
                       .image = "image",
                       .repeat = repeat};
}

/* Kept patches as a map; checks that they ascend inside the grid. */
static int kept(mask_kind kind, const mask_draw *d, uint8_t on[ALL])
{
    int32_t out[ALL];
    int n = mask_patches(kind, d, out);
    memset(on, 0, ALL);
    for (int i = 0; i < n; i++) {
        assert_true(out[i] >= 0 && out[i] < ALL && (i == 0 || out[i] > out[i - 1]));
        on[out[i]] = 1;
    }
    return n;
}

static void test_counts(void **state)
{
    uint8_t on[ALL];
    for (size_t i = 0; i < COUNT_OF(rates); i++)
        for (int k = 1; k < 30; k++) {
            mask_draw d = draw_of(rates[i], NULL, k);
            assert_int_equal(kept(MASK_RANDOM, &d, on), (int)(ALL * rates[i]));
            assert_int_equal(kept(MASK_BLOCK, &d, on), (int)(ALL * rates[i]));
            assert_int_equal(kept(MASK_BORDER, &d, on), (int)(ALL * rates[i]));
        }
    mask_draw tiny = draw_of(1e-6, NULL, 1);
    assert_int_equal(kept(MASK_BLOCK, &tiny, on), 1); /* never none */
    (void)state;
}

/* What goes lies in a rectangle that it fills, but for its last row. */
static void test_block(void **state)
{
    uint8_t on[ALL];
    int first = -1, moved = 0;
    for (size_t i = 0; i < COUNT_OF(rates); i++)
        for (int k = 1; k < 30; k++) {
            int y0 = ROWS, y1 = -1, x0 = COLS, x1 = -1, gone = 0;
            mask_draw d = draw_of(rates[i], NULL, k);
            kept(MASK_BLOCK, &d, on);
            for (int p = 0; p < ALL; p++) {
                int y = p / COLS, x = p % COLS;
                if (on[p])
                    continue;
                gone++;
                y0 = y < y0 ? y : y0;
                y1 = y > y1 ? y : y1;
                x0 = x < x0 ? x : x0;
                x1 = x > x1 ? x : x1;
            }
            int h = y1 - y0 + 1, w = x1 - x0 + 1;
            assert_true(gone > (h - 1) * w && gone <= h * w);
            if (i == 2) { /* half of the grid: 12 x 8 in proportion */
                assert_true(h >= w && h <= 10);
                first = first < 0 ? y0 * COLS + x0 : first;
                moved += y0 * COLS + x0 != first;
            }
        }
    assert_true(moved > 5);
    (void)state;
}

static void test_regions(void **state)
{
    uint8_t breast[ALL], on[ALL];
    int n = 0;
    for (int p = 0; p < ALL; p++)
        n += breast[p] = p % COLS < 5;
    for (size_t i = 0; i < COUNT_OF(rates); i++) {
        int in = 0, out = 0;
        mask_draw d = draw_of(rates[i], breast, 1);
        kept(MASK_BREAST, &d, on);
        for (int p = 0; p < ALL; p++) {
            in += on[p] && breast[p];
            out += on[p] && !breast[p];
        }
        assert_int_equal(in, (int)(n * rates[i]));
        assert_int_equal(out, ALL - n);
        kept(MASK_BACKGROUND, &d, on);
        in = out = 0;
        for (int p = 0; p < ALL; p++) {
            in += on[p] && breast[p];
            out += on[p] && !breast[p];
        }
        assert_int_equal(in, n);
        assert_int_equal(out, (int)((ALL - n) * rates[i]));
    }
    memset(breast, 1, sizeof breast); /* all of it is breast */
    mask_draw d = draw_of(0.001, breast, 1);
    assert_int_equal(kept(MASK_BREAST, &d, on), 1);
    assert_int_equal(kept(MASK_BACKGROUND, &d, on), ALL);
    (void)state;
}

static int edge_of(int p)
{
    int y = p / COLS, x = p % COLS, e = y < ROWS - 1 - y ? y : ROWS - 1 - y;
    return e < COLS - 1 - x ? e : COLS - 1 - x;
}

/* No patch goes before one that lies nearer to an edge; the chest wall, left, is none. */
static void test_border(void **state)
{
    uint8_t on[ALL];
    for (size_t i = 0; i < COUNT_OF(rates); i++) {
        int inmost_gone = -1, outmost_kept = ROWS;
        mask_draw d = draw_of(rates[i], NULL, 1);
        kept(MASK_BORDER, &d, on);
        for (int p = 0; p < ALL; p++) {
            if (on[p])
                outmost_kept = edge_of(p) < outmost_kept ? edge_of(p) : outmost_kept;
            else
                inmost_gone = edge_of(p) > inmost_gone ? edge_of(p) : inmost_gone;
        }
        assert_true(inmost_gone <= outmost_kept);
    }
    mask_draw d = draw_of(0.5, NULL, 1);
    kept(MASK_BORDER, &d, on);
    assert_true(on[ROWS / 2 * COLS]);             /* at the chest wall */
    assert_false(on[ROWS / 2 * COLS + COLS - 1]); /* opposite */
    (void)state;
}

/* A draw depends on seed, exam, image, kind, share and number, and on nothing else. */
static void test_identity(void **state)
{
    uint8_t a[ALL], b[ALL];
    mask_draw d = draw_of(0.5, NULL, 1), other[5];
    kept(MASK_RANDOM, &d, a);
    kept(MASK_RANDOM, &d, b);
    assert_memory_equal(a, b, ALL);
    for (int i = 0; i < 5; i++)
        other[i] = d;
    other[0].seed = 4;
    other[1].exam = "exam2";
    other[2].image = "image2";
    other[3].repeat = 2;
    other[4].keep = 0.5000001; /* as many patches, another share */
    for (int i = 0; i < 5; i++) {
        kept(MASK_RANDOM, &other[i], b);
        assert_memory_not_equal(a, b, ALL);
    }
    for (int k = 0; k < MASK_KINDS; k++)
        assert_int_equal(mask_find(mask_name((mask_kind)k)), k);
    assert_int_equal(mask_find("views"), -1);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),   cmocka_unit_test(test_block),
        cmocka_unit_test(test_regions),  cmocka_unit_test(test_border),
        cmocka_unit_test(test_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
