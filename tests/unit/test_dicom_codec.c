/* Codecs against an encoder of the test: every predictor, width and restart, and every way in which
 * a stream may be cut or wrong. */
#include "tests/unit/dicom_bytes.h"
#include "dicom/codec.h"

#include <time.h>

#define ROWS 13
#define COLS 9
#define N    (ROWS * COLS)

static void fill(uint16_t *px, int bits, int transform)
{
    for (int i = 0; i < N; i++)
        px[i] = (uint16_t)(sample(i, bits) >> transform << transform);
}

static void jpeg_round_trip(void **state)
{
    uint16_t px[N], got[N];
    for (int predictor = 1; predictor <= 7; predictor++)
        for (int bits = 2; bits <= 16; bits++)
            for (int transform = 0; transform < (bits > 3 ? 3 : 1); transform++)
                for (int restart = 0; restart <= 4; restart += 4) {
                    bytes b = {0};
                    int precision = 0;
                    fill(px, bits, transform);
                    jpeg_encode(&b, px, ROWS, COLS, bits, predictor, transform, restart);
                    memset(got, 0xEE, sizeof(got));
                    assert_int_equal(jll_decode(b.p, b.n, ROWS, COLS, got, &precision), CODEC_OK);
                    assert_memory_equal(px, got, sizeof(px));
                    assert_int_equal(precision, bits);
                    free(b.p);
                }
}

/* A difference of 32768 has its own category without extra bits. */
static void jpeg_widest_difference(void **state)
{
    uint16_t px[N], got[N];
    for (int i = 0; i < N; i++)
        px[i] = i % 2 ? 0 : 32768;
    bytes b = {0};
    int precision;
    jpeg_encode(&b, px, ROWS, COLS, 16, 1, 0, 0);
    assert_int_equal(jll_decode(b.p, b.n, ROWS, COLS, got, &precision), CODEC_OK);
    assert_memory_equal(px, got, sizeof(px));
    free(b.p);
}

/* Codes of 16 bits with 15 beside them, among short ones: 31 + 3 * 12 bits in a row. The table has
 * 00000 for category 7 and 0000100000000000 for category 15. */
static void jpeg_longest_codes(void **state)
{
    static const int diff[8] = {100, 20000, 100, -100, 64, -20000, 100, 64};
    static const uint16_t want[8] = {32868, 52868, 52968, 52868, 52932, 32932, 33032, 33096};
    uint16_t got[8];
    int precision;
    bytes b = {0};
    put(&b, "\xFF\xD8\xFF\xC3\x00\x0B\x10\x00\x01\x00\x08\x01\x01\x11\x00", 15);
    put(&b, "\xFF\xC4\x00\x15\x00\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\1\x07\x0F", 23);
    put(&b, "\xFF\xDA\x00\x08\x01\x01\x00\x01\x00\x00", 10);
    bit_writer w = {.b = &b};
    for (int i = 0; i < 8; i++) {
        int category = abs(diff[i]) < 128 ? 7 : 15;
        bit_put(&w, category == 7 ? 0 : 1u << 11, category == 7 ? 5 : 16);
        bit_put(&w, (unsigned)(diff[i] < 0 ? diff[i] + (1 << category) - 1 : diff[i]), category);
    }
    bit_flush(&w);
    put(&b, "\xFF\xD9", 2);
    assert_int_equal(jll_decode(b.p, b.n, 1, 8, got, &precision), CODEC_OK);
    assert_memory_equal(got, want, sizeof(want));
    free(b.p);
}

/* A difference that leads out of the precision is a wrong bit, not a sample. */
static void jpeg_beyond_precision(void **state)
{
    uint16_t px[N], got[N];
    int precision;
    for (int over = 0; over < 2; over++) {
        bytes b = {0};
        fill(px, 12, 0);
        px[N / 2] = over ? 4096 : 4095;
        jpeg_encode(&b, px, ROWS, COLS, 12, 1, 0, 0);
        assert_int_equal(jll_decode(b.p, b.n, ROWS, COLS, got, &precision),
                         over ? CODEC_DAMAGED : CODEC_OK);
        free(b.p);
    }
}

/* Cut anywhere, with and without a well-formed end: never accepted. */
static void jpeg_cut(void **state)
{
    uint16_t px[N], got[N];
    bytes b = {0};
    int precision;
    fill(px, 12, 0);
    jpeg_encode(&b, px, ROWS, COLS, 12, 1, 0, 0);
    uint8_t *copy = malloc(b.n + 2);
    for (size_t n = 0; n < b.n; n++) {
        assert_int_not_equal(jll_decode(b.p, n, ROWS, COLS, got, &precision), CODEC_OK);
        if (n < b.n - 2) {
            memcpy(copy, b.p, n);
            memcpy(copy + n, "\xFF\xD9", 2);
            codec_status s = jll_decode(copy, n + 2, ROWS, COLS, got, &precision);
            if (s == CODEC_OK) /* only padding bits may be missing */
                fail_msg("accepted with %zu of %zu bytes", n, b.n);
        }
    }
    free(copy);
    free(b.p);
}

static void jpeg_left_over(void **state)
{
    uint16_t px[N], got[N];
    bytes b = {0};
    int precision;
    fill(px, 12, 0);
    jpeg_encode(&b, px, ROWS, COLS, 12, 1, 0, 0);
    b.n -= 2;
    put(&b, "\x11\x22\xFF\xD9", 4);
    assert_int_equal(jll_decode(b.p, b.n, ROWS, COLS, got, &precision), CODEC_DAMAGED);
    free(b.p);
}

static void jpeg_other_sizes(void **state)
{
    uint16_t px[N], got[4 * N];
    bytes b = {0};
    int precision;
    jpeg_head h;
    fill(px, 12, 0);
    jpeg_encode(&b, px, ROWS, COLS, 12, 1, 0, 0);
    assert_int_equal(jll_decode(b.p, b.n, COLS, ROWS, got, &precision), CODEC_GEOMETRY);
    assert_int_equal(jll_decode(b.p, b.n, 2 * ROWS, COLS, got, &precision), CODEC_GEOMETRY);
    assert_true(jpeg_sniff(b.p, b.n, &h));
    assert_int_equal(h.process, 0xC3);
    assert_int_equal(h.rows, ROWS);
    assert_int_equal(h.cols, COLS);
    for (size_t i = 0; i + 1 < b.n; i++)
        if (b.p[i] == 0xFF && b.p[i + 1] == 0xC3) {
            b.p[i + 1] = 0xC0;
            break;
        }
    assert_int_equal(jll_decode(b.p, b.n, ROWS, COLS, got, &precision), CODEC_UNSUPPORTED);
    assert_true(jpeg_sniff(b.p, b.n, &h));
    assert_int_equal(h.process, 0xC0);
    free(b.p);
}

/* Any single wrong byte is either noticed or leaves a stream that decodes; never a crash. */
static void jpeg_wrong_byte(void **state)
{
    uint16_t px[N], got[N];
    bytes b = {0};
    int precision, noticed = 0;
    fill(px, 12, 0);
    jpeg_encode(&b, px, ROWS, COLS, 12, 4, 0, 3);
    for (size_t i = 0; i < b.n; i++)
        for (unsigned x = 1; x < 256; x += 37) {
            b.p[i] ^= (uint8_t)x;
            noticed += jll_decode(b.p, b.n, ROWS, COLS, got, &precision) != CODEC_OK;
            b.p[i] ^= (uint8_t)x;
        }
    assert_true(noticed > (int)b.n);
    free(b.p);
}

static void rle_round_trip(void **state)
{
    uint16_t px[N], got[N];
    for (int bits = 8; bits <= 16; bits += 8)
        for (int shape = 0; shape < 3; shape++) {
            bytes b = {0};
            for (int i = 0; i < N; i++)
                px[i] = (uint16_t)(shape == 0   ? sample(i, bits)
                                   : shape == 1 ? sample(i / 40, bits)
                                                : 7);
            rle_encode(&b, px, N, bits);
            memset(got, 0xEE, sizeof(got));
            assert_int_equal(rle_decode(b.p, b.n, ROWS, COLS, bits, got), CODEC_OK);
            assert_memory_equal(px, got, sizeof(px));
            free(b.p);
        }
}

static void rle_cut(void **state)
{
    uint16_t px[N], got[N];
    bytes b = {0};
    fill(px, 12, 0);
    rle_encode(&b, px, N, 16);
    for (size_t n = 0; n + 1 < b.n; n++) /* the last byte may be padding */
        if (rle_decode(b.p, n, ROWS, COLS, 16, got) == CODEC_OK)
            fail_msg("accepted with %zu of %zu bytes", n, b.n);
    put(&b, "abcdef", 6);
    assert_int_equal(rle_decode(b.p, b.n, ROWS, COLS, 16, got), CODEC_DAMAGED);
    free(b.p);
}

static void rle_headers(void **state)
{
    uint16_t px[N], got[N];
    bytes b = {0};
    fill(px, 12, 0);
    rle_encode(&b, px, N, 16);
    assert_int_equal(rle_decode(b.p, b.n, ROWS, COLS, 8, got), CODEC_GEOMETRY);
    b.p[0] = 0;
    assert_int_equal(rle_decode(b.p, b.n, ROWS, COLS, 16, got), CODEC_BROKEN);
    b.p[0] = 200;
    assert_int_equal(rle_decode(b.p, b.n, ROWS, COLS, 16, got), CODEC_BROKEN);
    b.p[0] = 2;
    b.p[11] = 0x7F; /* the second segment far outside */
    assert_int_not_equal(rle_decode(b.p, b.n, ROWS, COLS, 16, got), CODEC_OK);
    free(b.p);
}

/* The library looks for runs in zeros that are not there, seconds long, when the data ends. */
static void jls_cut(void **state)
{
    (void)state;
    enum { SIDE = 512 };
    static const uint8_t head[] = {0xFF, 0xD8, 0xFF, 0xF7, 0, 11, 12, 2, 0, 2, 0, 1, 1,
                                   0x11, 0,    0xFF, 0xDA, 0, 8,  1,  1, 0, 0, 0, 0};
    static uint8_t code[sizeof head + 800];
    static uint16_t dst[SIDE * SIDE];
    int precision;
    memcpy(code, head, sizeof head);
    for (size_t i = sizeof head; i < sizeof code; i++)
        code[i] = (uint8_t)(0x80 >> (i - sizeof head) % 3);
    clock_t t0 = clock();
    assert_int_equal(jls_decode(code, sizeof code, SIDE, SIDE, dst, &precision), CODEC_DAMAGED);
    assert_true((double)(clock() - t0) / CLOCKS_PER_SEC < 0.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jpeg_round_trip),
        cmocka_unit_test(jpeg_widest_difference),
        cmocka_unit_test(jpeg_cut),
        cmocka_unit_test(jpeg_left_over),
        cmocka_unit_test(jpeg_other_sizes),
        cmocka_unit_test(jpeg_wrong_byte),
        cmocka_unit_test(rle_round_trip),
        cmocka_unit_test(rle_cut),
        cmocka_unit_test(rle_headers),
        cmocka_unit_test(jpeg_longest_codes),
        cmocka_unit_test(jpeg_beyond_precision),
        cmocka_unit_test(jls_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
