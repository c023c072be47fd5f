/* Philox 4x32-10: known answers (Random123 distribution, kat_vectors), addressing, statistics.
 * The seeds are fixed, so every bound below holds for good; they are 5 standard deviations wide. */
#include "core/rng.h"
#include "core/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void known_answers(void **state)
{
    static const struct {
        uint32_t ctr[4], key[2], out[4];
    } kat[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < COUNT_OF(kat); i++) {
        rng r;
        memset(&r, 0, sizeof r);
        memcpy(r.ctr, kat[i].ctr, sizeof r.ctr);
        memcpy(r.key, kat[i].key, sizeof r.key);
        for (int k = 0; k < 4; k++)
            assert_int_equal(rng_u32(&r), kat[i].out[k]);
    }
}

/* The documented mapping: key = seed ^ purpose << 56, words 2..3 = id | step << 40. */
static void mapping(void **state)
{
    rng r;
    rng_init(&r, 0x1122334455667788u, RNG_BOOT, 0x123456789Au, 0xABCDEFu);
    assert_int_equal(r.key[0], 0x55667788);
    assert_int_equal(r.key[1], 0x11223344u ^ ((uint32_t)RNG_BOOT << 24));
    assert_int_equal(r.ctr[0], 0);
    assert_int_equal(r.ctr[1], 0);
    assert_int_equal(r.ctr[2], 0x3456789A);
    assert_int_equal(r.ctr[3], 0xABCDEF12);
    rng_init(&r, 1, RNG_TEST, 1ull << 40, 0);
    assert_int_equal(r.ctr[1] >> 31, 1);
    rng_init(&r, 1, RNG_TEST, 0, 1ull << 24);
    assert_int_equal(r.ctr[1] >> 31, 1);
}

static void blocks_carry(void **state)
{
    rng r;
    rng_init(&r, 1, RNG_TEST, 1ull << 50, 3);
    uint32_t high = r.ctr[1];
    r.ctr[0] = 0xffffffff;
    rng_u32(&r);
    assert_int_equal(r.ctr[0], 0);
    assert_int_equal(r.ctr[1], (high & 0x80000000u) | ((high + 1) & 0x7fffffffu));
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* First 64 bits of many neighbouring streams: no two are alike. */
static void streams_differ(void **state)
{
    static const uint64_t ids[] = {
        0, 1, 2, 255, 256, (1ull << 40) - 1, 1ull << 40, (1ull << 40) + 1, 1ull << 63, UINT64_MAX};
    static const uint64_t steps[] = {0, 1, 2, (1u << 24) - 1, 1u << 24, UINT64_MAX};
    uint64_t all[4 * 4 * 10 * 6];
    size_t n = 0;
    for (uint64_t seed = 0; seed < 4; seed++)
        for (int purpose = RNG_TEST; purpose <= RNG_AUGMENT; purpose++)
            for (size_t i = 0; i < COUNT_OF(ids); i++)
                for (size_t s = 0; s < COUNT_OF(steps); s++) {
                    rng r;
                    rng_init(&r, seed, (rng_purpose)purpose, ids[i], steps[s]);
                    all[n++] = rng_u64(&r);
                }
    assert_int_equal(n, COUNT_OF(all));
    qsort(all, n, sizeof all[0], by_value);
    for (size_t i = 1; i < n; i++)
        assert_true(all[i] != all[i - 1]);
}

static void same_address_same_numbers(void **state)
{
    rng a, b;
    rng_init(&a, 42, RNG_SAMPLER, 7, 9);
    rng_init(&b, 42, RNG_SAMPLER, 7, 9);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(rng_u32(&a), rng_u32(&b));
    rng_init(&a, 5, RNG_TEST, 1, 1);
    rng_init(&b, 5, RNG_TEST, 1, 1);
    uint64_t low = rng_u32(&a), high = rng_u32(&a);
    assert_true(rng_u64(&b) == (low | high << 32));
}

static double chi_square(const int *count, int n, double expected)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (count[i] - expected) * (count[i] - expected) / expected;
    return sum;
}

static void uniform_numbers(void **state)
{
    enum { N = 1 << 18, BINS = 256 };
    int f64[BINS] = {0}, f32[BINS] = {0};
    double mean = 0, lag = 0, before = 0.5;
    rng r;
    rng_init(&r, 7, RNG_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        double u = rng_f64(&r);
        float v = rng_f32(&r);
        assert_true(u >= 0 && u < 1);
        assert_true(v >= 0 && v < 1);
        f64[(int)(u * BINS)]++;
        f32[(int)(v * BINS)]++;
        mean += u;
        lag += (u - 0.5) * (before - 0.5);
        before = u;
    }
    assert_true(fabs(mean / N - 0.5) < 5 * sqrt(1.0 / 12 / N));
    assert_true(fabs(lag / N) < 5.0 / 12 / sqrt(N));
    double wide = 5 * sqrt(2.0 * (BINS - 1));
    assert_true(fabs(chi_square(f64, BINS, (double)N / BINS) - (BINS - 1)) < wide);
    assert_true(fabs(chi_square(f32, BINS, (double)N / BINS) - (BINS - 1)) < wide);
}

/* n just above 2^31 would show the bias of a plain remainder at once: 0..n/3 would be drawn 1/2. */
static void below_has_no_bias(void **state)
{
    enum { N = 60000 };
    rng r;
    rng_init(&r, 8, RNG_TEST, 0, 0);
    uint32_t n = 3221225472u; /* 3 * 2^30 */
    int third[3] = {0};
    for (int i = 0; i < N; i++) {
        uint32_t v = rng_below(&r, n);
        assert_true(v < n);
        third[v / (n / 3)]++;
    }
    assert_true(chi_square(third, 3, N / 3.0) < 2 + 5 * sqrt(4.0));
    int face[6] = {0};
    for (int i = 0; i < N; i++)
        face[rng_below(&r, 6)]++;
    assert_true(chi_square(face, 6, N / 6.0) < 5 + 5 * sqrt(10.0));
    for (int i = 0; i < 100; i++)
        assert_int_equal(rng_below(&r, 1), 0);
}

static void normal_numbers(void **state)
{
    enum { N = 200000 };
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0;
    int beyond = 0;
    rng r;
    rng_init(&r, 9, RNG_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        double x = rng_normal(&r);
        assert_true(isfinite(x));
        m1 += x;
        m2 += x * x;
        m3 += x * x * x;
        m4 += x * x * x * x;
        beyond += fabs(x) > 1.959963984540054;
    }
    assert_true(fabs(m1 / N) < 5 * sqrt(1.0 / N));
    assert_true(fabs(m2 / N - 1) < 5 * sqrt(2.0 / N));
    assert_true(fabs(m3 / N) < 5 * sqrt(15.0 / N));
    assert_true(fabs(m4 / N - 3) < 5 * sqrt(96.0 / N));
    assert_true(fabs(beyond - 0.05 * N) < 5 * sqrt(0.05 * 0.95 * N));
}

/* Every index is kept k/n of the time, every pair k(k-1)/n(n-1), every 2-subset of 5 equally. */
static void subset_is_uniform(void **state)
{
    enum { N = 40000, LEN = 14, K = 5 };
    int one[LEN] = {0}, pair[LEN][LEN] = {{0}}, small[5][5] = {{0}};
    for (int t = 0; t < N; t++) {
        rng r;
        int32_t out[K];
        rng_init(&r, 10, RNG_PATCHDROP, (uint64_t)t, 3);
        rng_subset(&r, LEN, K, out);
        for (int i = 0; i < K; i++) {
            assert_true(out[i] >= 0 && out[i] < LEN);
            if (i)
                assert_true(out[i] > out[i - 1]);
            one[out[i]]++;
            for (int j = 0; j < i; j++)
                pair[out[j]][out[i]]++;
        }
        rng_subset(&r, 5, 2, out);
        small[out[0]][out[1]]++;
    }
    double p1 = (double)K / LEN, p2 = (double)K * (K - 1) / (LEN * (LEN - 1.0));
    for (int i = 0; i < LEN; i++) {
        assert_true(fabs(one[i] - N * p1) < 5 * sqrt(N * p1 * (1 - p1)));
        for (int j = i + 1; j < LEN; j++)
            assert_true(fabs(pair[i][j] - N * p2) < 5 * sqrt(N * p2 * (1 - p2)));
    }
    for (int i = 0; i < 5; i++)
        for (int j = i + 1; j < 5; j++)
            assert_true(fabs(small[i][j] - N * 0.1) < 5 * sqrt(N * 0.09));
    rng r;
    int32_t all[LEN];
    rng_init(&r, 11, RNG_TEST, 0, 0);
    rng_subset(&r, LEN, LEN, all);
    for (int i = 0; i < LEN; i++)
        assert_int_equal(all[i], i);
    all[0] = 99;
    rng_subset(&r, LEN, 0, all);
    rng_subset(&r, 0, 0, all);
    assert_int_equal(all[0], 99);
}

static void shuffle_is_uniform(void **state)
{
    enum { N = 48000 };
    int count[24] = {0};
    rng r;
    rng_init(&r, 12, RNG_SAMPLER, 0, 0);
    for (int t = 0; t < N; t++) {
        int64_t v[4] = {0, 1, 2, 3};
        rng_shuffle(&r, 4, v);
        int seen = 0, code = 0;
        for (int i = 0; i < 4; i++) {
            seen |= 1 << v[i];
            int less = 0;
            for (int j = i + 1; j < 4; j++)
                less += v[j] < v[i];
            code = code * (4 - i) + less;
        }
        assert_int_equal(seen, 15);
        count[code]++;
    }
    assert_true(chi_square(count, 24, N / 24.0) < 23 + 5 * sqrt(46.0));
    rng_shuffle(&r, 0, NULL);
}

/* patchdropout.md 4 and 11; further numbers are those of torch 1.13 itself. */
static void randperm_prefix(void **state)
{
    static const int64_t first[] = {542, 618, 816, 68, 94, 215, 60, 585, 942, 165},
                         last[] = {219, 318, 894, 2, 770, 335, 284, 638, 96, 455},
                         large[] = {18719, 22458, 40730, 25847, 33082},
                         small[] = {15, 17, 9, 12, 7,  1, 19, 3,  4, 11,
                                    18, 8,  2, 14, 16, 0, 10, 13, 6, 5};
    enum { N = 50000 };
    int64_t *v = malloc(N * sizeof *v), sum = 0;
    assert_non_null(v);
    rng_torch_permutation(42, 1000, v);
    assert_memory_equal(v, first, sizeof first);
    assert_memory_equal(v + 990, last, sizeof last);
    rng_torch_permutation(42, N, v); /* many turns of the state */
    assert_memory_equal(v + N - 5, large, sizeof large);
    for (int64_t i = 0; i < N; i++)
        sum += (i + 1) * v[i];
    assert_int_equal(sum, 31282961465637);
    rng_torch_permutation(7 + (1ull << 32), 20, v); /* torch drops the high word of a seed */
    assert_memory_equal(v, small, sizeof small);
    v[0] = 99;
    rng_torch_permutation(42, 0, v);
    assert_int_equal(v[0], 99);
    rng_torch_permutation(42, 1, v);
    assert_int_equal(v[0], 0);
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(mapping),
        cmocka_unit_test(blocks_carry),
        cmocka_unit_test(streams_differ),
        cmocka_unit_test(same_address_same_numbers),
        cmocka_unit_test(uniform_numbers),
        cmocka_unit_test(below_has_no_bias),
        cmocka_unit_test(normal_numbers),
        cmocka_unit_test(subset_is_uniform),
        cmocka_unit_test(shuffle_is_uniform),
        cmocka_unit_test(randperm_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
