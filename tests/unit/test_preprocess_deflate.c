/* Deflate: two inflates that share nothing with it give every plane back; the stream stays inside
 * its bound, is small where a plane is simple, and depends on the plane alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <libdeflate.h>
#include <string.h>
#include <zlib.h>

#include "core/mem.h"
#include "core/rng.h"
#include "preprocess/deflate.h"

#define ROOM   0xEE /* what lies around buffers */
#define BEHIND 64   /* bytes behind them */

/* Compresses a plane that lies `off` bytes into memory full of `soil`, with as dirty an arena. */
static uint8_t *stream_of(const uint8_t *plane, size_t n, size_t off, uint8_t soil, size_t *len)
{
    size_t bound = deflate_bound(n);
    uint8_t *raw = mem_alloc(off + n + BEHIND), *out = mem_alloc(bound + BEHIND);
    memset(raw, soil, off + n + BEHIND);
    memset(out, ROOM, bound + BEHIND);
    memcpy(raw + off, plane, n);
    arena *a = arena_new(4096);
    memset(arena_alloc(a, (size_t)1 << 20), soil, (size_t)1 << 20);
    arena_reset(a);
    *len = deflate_plane(raw + off, n, a, out);
    arena_free(a);
    assert_true(*len <= bound);
    for (size_t i = 0; i < BEHIND; i++)
        assert_int_equal(out[bound + i], ROOM);
    mem_free(raw);
    return out;
}

static void check(const uint8_t *plane, size_t n, size_t at_most)
{
    size_t len, again, got = 0;
    uint8_t *a = stream_of(plane, n, 0, 0, &len), *b = stream_of(plane, n, 13, 0xA5, &again);
    uint8_t *back = mem_alloc(n + 1);
    assert_int_equal(len, again);
    assert_memory_equal(a, b, len);
    assert_true(len <= at_most);
    uLongf zlib_got = (uLongf)n + 1;
    assert_int_equal(uncompress(back, &zlib_got, a, (uLong)len), Z_OK);
    assert_int_equal(zlib_got, n);
    assert_memory_equal(back, plane, n);
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    memset(back, 0, n);
    assert_int_equal(libdeflate_zlib_decompress(d, a, len, back, n, &got), LIBDEFLATE_SUCCESS);
    assert_int_equal(got, n);
    assert_memory_equal(back, plane, n);
    libdeflate_free_decompressor(d);
    mem_free(back);
    mem_free(a);
    mem_free(b);
}

static void test_small(void **state)
{
    (void)state;
    uint8_t v[64];
    for (size_t n = 0; n < sizeof v; n++) {
        memset(v, 7, sizeof v);
        check(v, n, n + 16);
        for (size_t i = 0; i < n; i++)
            v[i] = (uint8_t)(i * 5);
        check(v, n, n + 16);
        for (size_t i = 0; i < n; i++)
            v[i] = "abcd"[i % 4];
        check(v, n, n + 16);
    }
}

/* One value: matches of the greatest length and every rest that a length leaves. */
static void test_run(void **state)
{
    (void)state;
    size_t n = 9000000;
    uint8_t *v = mem_calloc(n, 1);
    for (size_t k = 0; k < 530; k++)
        check(v, 4000 + k, 100);
    check(v, n, n / 500);
    mem_free(v);
}

/* Noise of all bytes is stored, of half of them takes seven bits and codes. */
static void test_noise(void **state)
{
    (void)state;
    static const size_t size[] = {1, 300, 32767, 32768, 32769, 65535, 65536, 131072, 200001};
    rng r;
    uint8_t *v = mem_alloc(200001);
    rng_init(&r, 1, RNG_TEST, 0, 0);
    for (size_t k = 0; k < COUNT_OF(size); k++) {
        for (size_t i = 0; i < size[k]; i++)
            v[i] = (uint8_t)rng_u32(&r);
        check(v, size[k], size[k] + 5 * (size[k] / 32768 + 1) + 6);
        for (size_t i = 0; i < size[k]; i++)
            v[i] = (uint8_t)(rng_u32(&r) & 0x7F);
        check(v, size[k], size[k] < 32767 ? size[k] + 11 : size[k] * 9 / 10);
    }
    mem_free(v);
}

/* Each value half as frequent as the one before: Huffman's tree is deeper than a code may be. */
static void test_deep(void **state)
{
    (void)state;
    size_t n = 0, cap = (size_t)1 << 21;
    rng r;
    uint8_t *v = mem_alloc(cap);
    rng_init(&r, 2, RNG_TEST, 0, 0);
    for (; n < cap; n++)
        v[n] = (uint8_t)(3 * __builtin_ctz(rng_u32(&r) | 1u << 20));
    check(v, n, n * 2 / 5);     /* two bits a byte, and matches that cost more */
    for (n = 0; n < 30000; n++) /* Fibonacci's numbers, in an order without repeats */
        v[n] = 0;
    uint32_t a = 1, b = 1;
    for (int s = 1; s < 22 && n + b < cap; s++) {
        for (uint32_t i = 0; i < b; i++)
            v[n++] = (uint8_t)s;
        uint32_t c = a + b;
        a = b;
        b = c;
    }
    for (size_t i = n - 1; i > 0; i--) {
        size_t k = rng_below(&r, (uint32_t)i + 1);
        uint8_t t = v[i];
        v[i] = v[k];
        v[k] = t;
    }
    check(v, n, n / 2);
    mem_free(v);
}

/* Repeats at every distance that a match reaches, which are not all found, and just beyond. */
static void test_distances(void **state)
{
    (void)state;
    rng r;
    uint8_t *v = mem_alloc(100000);
    rng_init(&r, 3, RNG_TEST, 0, 0);
    for (size_t dist = 1; dist < 40000; dist += 1 + dist / 3) {
        for (size_t i = 0; i < 100000; i++)
            v[i] = i < dist ? (uint8_t)rng_u32(&r) : v[i - dist];
        check(v, 100000, dist > 32768 ? 100200 : 2 * dist + 3000);
    }
    for (size_t dist = 32766; dist < 32771; dist++) {
        for (size_t i = 0; i < 100000; i++)
            v[i] = i < dist ? (uint8_t)rng_u32(&r) : v[i - dist];
        check(v, 100000, dist > 32768 ? 100200 : 40000);
    }
    mem_free(v);
}

/* What is counted is unlike all the rest: air before each strip of tissue, and the other way. The
 * codes are bad then, the stream is whole and inside its bound; and a plane that repeats itself
 * from strip to strip is as small as if all of it had been counted. */
static void test_counted_strips(void **state)
{
    (void)state;
    enum { KIB = 1024, STRIP = 32 * KIB, STRIDE = 256 * KIB };
    rng r;
    size_t n = (size_t)5 * STRIDE / 2;
    uint8_t *v = mem_alloc(n);
    rng_init(&r, 5, RNG_TEST, 0, 0);
    for (int other = 0; other < 2; other++) {
        for (size_t i = 0; i < n; i++)
            v[i] = (i % STRIDE < STRIP) == other ? (uint8_t)(rng_u32(&r) & 0xF) : 0;
        check(v, n, other ? n / 8 : deflate_bound(n));
        for (size_t i = 0; i < n; i++)
            v[i] = (i % STRIDE < STRIP) == other ? (uint8_t)rng_u32(&r) : 255;
        check(v, n, other ? n / 6 : deflate_bound(n));
    }
    for (size_t i = 0; i < n; i++)
        v[i] = (uint8_t)(rng_u32(&r) & 0xF);
    check(v, n, n * 11 / 20);
    for (size_t size = STRIDE - 1; size <= STRIDE + 1; size++)
        check(v, size, size * 11 / 20);
    mem_free(v);
}

/* Rows of noisy low bytes, smooth high bytes and air: what shards hold. */
static void test_plane(void **state)
{
    (void)state;
    enum { SIDE = 512 };
    rng r;
    size_t n = SIDE * SIDE;
    uint8_t *v = mem_calloc(2 * n, 1);
    for (int seed = 0; seed < 4; seed++) {
        rng_init(&r, 4, RNG_TEST, (uint64_t)seed, 0);
        for (size_t y = 0; y < SIDE; y++)
            for (size_t x = 0; x < 200 + y / 4; x++) {
                unsigned w = (unsigned)(x * 60 + y * 40 + 3000 + rng_below(&r, 600));
                v[y * SIDE + x] = (uint8_t)w;
                v[n + y * SIDE + x] = (uint8_t)(w >> 8);
            }
        check(v, 2 * n, n * 9 / 10);
    }
    mem_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),     cmocka_unit_test(test_run),
        cmocka_unit_test(test_noise),     cmocka_unit_test(test_deep),
        cmocka_unit_test(test_distances), cmocka_unit_test(test_counted_strips),
        cmocka_unit_test(test_plane),
    };
    return cmocka_run_group_tests_name("preprocess/deflate", tests, NULL, NULL);
}
