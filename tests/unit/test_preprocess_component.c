/* Connected components against a flood fill, on noise of every density and on drawn masks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/rng.h"
#include "preprocess/component.h"

#define H   37
#define W   61
#define CAP 900

static arena *mem;

/* Labels the part around (y, x) with k and describes it. */
static void flood(const uint8_t *mask, int32_t *label, int y, int x, int k, component *c)
{
    int stack[H * W], top = 0, x1 = x, y1 = y;
    stack[top++] = y * W + x;
    label[y * W + x] = k;
    *c = (component){x, y, 0, 0, 0};
    while (top) {
        int at = stack[--top], v = at / W, u = at % W;
        c->area++;
        c->x = u < c->x ? u : c->x;
        c->y = v < c->y ? v : c->y;
        x1 = u > x1 ? u : x1;
        y1 = v > y1 ? v : y1;
        for (int dy = -1; dy <= 1; dy++)
            for (int dx = -1; dx <= 1; dx++) {
                int q = (v + dy) * W + u + dx;
                if (v + dy < 0 || v + dy >= H || u + dx < 0 || u + dx >= W || !mask[q] || label[q])
                    continue;
                label[q] = k;
                stack[top++] = q;
            }
    }
    c->w = x1 + 1 - c->x;
    c->h = y1 + 1 - c->y;
}

static void check(const uint8_t *mask, int cap)
{
    int32_t wanted[H * W] = {0}, got[H * W];
    component want[CAP], have[CAP];
    int n = 0;
    for (int i = 0; i < H * W; i++)
        if (mask[i] && !wanted[i]) {
            assert_true(n < CAP);
            flood(mask, wanted, i / W, i % W, n + 1, &want[n]);
            n++;
        }
    memset(got, 0xAA, sizeof got);
    memset(have, 0xAA, sizeof have);
    assert_int_equal(component_find(mask, H, W, got, have, cap, mem), n);
    assert_memory_equal(got, wanted, sizeof got);
    int described = n < cap ? n : cap;
    if (described)
        assert_memory_equal(have, want, (size_t)described * sizeof *have);
    if (described < CAP)
        assert_int_equal(have[described].area, (int)0xAAAAAAAA);
    arena_reset(mem);
}

static void test_noise(void **state)
{
    (void)state;
    uint8_t mask[H * W];
    rng g;
    rng_init(&g, 5, RNG_TEST, 0, 0);
    for (int round = 0; round < 400; round++) {
        uint32_t share = (uint32_t)(round % 20) + 1;
        for (int i = 0; i < H * W; i++)
            mask[i] = rng_below(&g, 20) < share;
        check(mask, round % 3 ? CAP : 3);
    }
}

/* Arms that meet late, a spiral, nothing and everything. */
static void test_drawn(void **state)
{
    (void)state;
    uint8_t mask[H * W] = {0};
    check(mask, CAP);
    for (int x = 0; x < W; x += 2) /* a comb, joined in its last row */
        for (int y = 0; y < H; y++)
            mask[y * W + x] = 1;
    check(mask, CAP);
    memset(mask + (H - 1) * W, 1, W);
    check(mask, CAP);
    memset(mask, 0, sizeof mask);
    for (int k = 0; 2 * k < H / 2 - 2; k++) { /* nested rings with a gap each, on changing sides */
        int a = 2 * k, y1 = H - 1 - a, x1 = W - 1 - a;
        for (int x = a; x <= x1; x++)
            mask[a * W + x] = mask[y1 * W + x] = 1;
        for (int y = a; y <= y1; y++)
            mask[y * W + a] = mask[y * W + x1] = 1;
        mask[(k % 2 ? a : y1) * W + W / 2] = 0;
    }
    check(mask, CAP);
    memset(mask, 1, sizeof mask);
    check(mask, CAP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_noise), cmocka_unit_test(test_drawn)};
    mem = arena_new(1 << 16);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(mem);
    return failed;
}
