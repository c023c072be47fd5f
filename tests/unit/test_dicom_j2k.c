/* JPEG 2000 streams as archives hold them: padded, without an end marker, in boxes. What is whole
 * is read, what lacks a tile or a part of one is not, whatever stands at its end. */
#include "tests/unit/dicom_bytes.h"
#include "dicom/codec.h"
#include "core/mem.h"

#include <openjpeg.h>

enum { ROWS = 40, COLS = 50, N = ROWS * COLS, PARTS = 64 };

static uint16_t want[N], got[N];
static int precision;

static OPJ_SIZE_T keep(void *p, OPJ_SIZE_T n, void *user)
{
    put(user, p, n);
    return n;
}
static OPJ_BOOL seek_none(OPJ_OFF_T n, void *user)
{
    return OPJ_FALSE;
}

/* tile: side of the tiles, 0 = one; parts: one tile part for each resolution. */
static bytes encode(int tile, bool parts)
{
    bytes b = {0};
    opj_cparameters_t c;
    opj_image_cmptparm_t m = {.dx = 1, .dy = 1, .w = COLS, .h = ROWS, .prec = 12, .bpp = 12};
    opj_set_default_encoder_parameters(&c);
    c.tcp_numlayers = 1;
    c.cp_disto_alloc = 1;
    c.numresolution = 3;
    c.tile_size_on = tile > 0;
    c.cp_tdx = c.cp_tdy = tile;
    c.tp_on = parts;
    c.tp_flag = 'R';
    opj_image_t *im = opj_image_create(1, &m, OPJ_CLRSPC_GRAY);
    im->x1 = COLS;
    im->y1 = ROWS;
    for (int i = 0; i < N; i++) {
        want[i] = (uint16_t)sample(i, 12);
        im->comps[0].data[i] = want[i];
    }
    opj_codec_t *codec = opj_create_compress(OPJ_CODEC_J2K);
    opj_stream_t *s = opj_stream_create(1 << 16, OPJ_FALSE);
    opj_stream_set_write_function(s, keep);
    opj_stream_set_seek_function(s, seek_none);
    opj_stream_set_user_data(s, &b, NULL);
    assert_true(opj_setup_encoder(codec, &c, im) && opj_start_compress(codec, im, s) &&
                opj_encode(codec, s) && opj_end_compress(codec, s));
    opj_stream_destroy(s);
    opj_destroy_codec(codec);
    opj_image_destroy(im);
    return b;
}

static codec_status decode(const uint8_t *p, size_t n)
{
    uint8_t *exact = malloc(n); /* a read behind the end is seen by the sanitizers */
    memcpy(exact, p, n);
    memset(got, 0xEE, sizeof(got));
    codec_status s = j2k_decode(exact, n, ROWS, COLS, got, &precision);
    free(exact);
    if (s == CODEC_OK)
        assert_memory_equal(got, want, sizeof(want));
    return s;
}

/* Start and length of the tile parts. */
static int parts_of(const bytes *b, size_t at[PARTS], size_t len[PARTS])
{
    int n = 0;
    for (size_t i = 0; i + 12 < b->n && n < PARTS; i++) {
        if (memcmp(b->p + i, "\xFF\x90\x00\x0A", 4) != 0)
            continue;
        at[n] = i;
        len[n] = (size_t)b->p[i + 6] << 24 | (size_t)b->p[i + 7] << 16 | (size_t)b->p[i + 8] << 8 |
                 b->p[i + 9];
        i += len[n++] - 1;
    }
    return n;
}

static void what_stands_behind(void **state)
{
    for (int k = 0; k < 4; k++) {
        bytes b = encode(k % 2 ? 16 : 0, k / 2);
        size_t whole = b.n;
        assert_int_equal(decode(b.p, b.n), CODEC_OK);
        assert_int_equal(precision, 12);
        for (int i = 0; i < 40; i++)
            put8(&b, 0);
        for (size_t n = whole; n <= b.n; n++)
            assert_int_equal(decode(b.p, n), CODEC_OK);
        b.n = whole;
        put(&b, "\x12\x34\xFF\xD9\x56", 5);
        assert_int_equal(decode(b.p, b.n), CODEC_OK);
        free(b.p);
    }
}

static void no_end_marker(void **state)
{
    for (int k = 0; k < 4; k++) {
        bytes b = encode(k % 2 ? 16 : 0, k / 2);
        size_t at[PARTS], len[PARTS];
        int n = parts_of(&b, at, len);
        assert_int_equal(n, (k % 2 ? 12 : 1) * (k / 2 ? 3 : 1));
        assert_int_equal(decode(b.p, b.n - 2), CODEC_OK);
        b.p[b.n - 2] = 0; /* a zero of padding in its place */
        assert_int_equal(decode(b.p, b.n - 1), CODEC_OK);
        b.p[b.n - 2] = 0xFF;
        /* the number of parts is not told: the marker alone proves that this was the last */
        for (int i = 0; i < n; i++)
            b.p[at[i] + 11] = 0;
        assert_int_equal(decode(b.p, b.n), CODEC_OK);
        assert_int_equal(decode(b.p, b.n - 2), CODEC_DAMAGED);
        /* a last part of open length needs the marker, too */
        memset(b.p + at[n - 1] + 6, 0, 4);
        assert_int_equal(decode(b.p, b.n), CODEC_OK);
        assert_int_equal(decode(b.p, b.n - 2), CODEC_DAMAGED);
        free(b.p);
    }
}

static void a_part_is_missing(void **state)
{
    for (int k = 1; k < 4; k++) {
        bytes b = encode(k % 2 ? 16 : 0, k / 2), c = {0};
        size_t at[PARTS], len[PARTS];
        int n = parts_of(&b, at, len);
        for (int i = 0; i < n; i++) {
            c.n = 0;
            put(&c, b.p, at[i]);
            put(&c, b.p + at[i] + len[i], b.n - at[i] - len[i]);
            assert_int_equal(decode(c.p, c.n), CODEC_DAMAGED);
        }
        b.p[at[n - 1] + 4] = 0x7F; /* a tile that the image does not have */
        assert_int_equal(decode(b.p, b.n), CODEC_BROKEN);
        free(b.p);
        free(c.p);
    }
}

static void cut(void **state)
{
    for (int k = 0; k < 4; k++) {
        bytes b = encode(k % 2 ? 16 : 0, k / 2);
        uint8_t *copy = malloc(b.n + 2);
        for (size_t n = 0; n + 2 < b.n; n++) {
            assert_int_not_equal(decode(b.p, n), CODEC_OK);
            memcpy(copy, b.p, n);
            memcpy(copy + n, "\xFF\xD9", 2);
            assert_int_not_equal(decode(copy, n + 2), CODEC_OK);
        }
        free(copy);
        free(b.p);
    }
}

static void box_head(bytes *b, uint32_t n, const char *type)
{
    const uint8_t be[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    put(b, be, 4);
    put(b, type, 4);
}

enum { LENGTH, OPEN, LONG };

/* The stream in JP2 boxes; how: the way in which the last box tells its length. */
static bytes boxed(const bytes *code, int how, bool palette)
{
    bytes b = {0};
    put(&b, "\0\0\0\x0CjP  \x0D\x0A\x87\x0A", 12);
    box_head(&b, 20, "ftyp");
    put(&b, "jp2 \0\0\0\0jp2 ", 12);
    box_head(&b, 8 + 22 + 15 + (palette ? 12 : 0), "jp2h");
    box_head(&b, 22, "ihdr");
    put(&b, "\0\0\0\x28\0\0\0\x32\0\1\x0B\7\0\0", 14);
    box_head(&b, 15, "colr");
    put(&b, "\1\0\0\0\0\0\x11", 7);
    if (palette) {
        box_head(&b, 12, "pclr");
        put(&b, "\0\1\1\7", 4);
    }
    box_head(&b, how == OPEN ? 0 : how == LONG ? 1 : 8 + (uint32_t)code->n, "jp2c");
    if (how == LONG) {
        put(&b, "\0\0\0\0\0\0", 6);
        put8(&b, (16 + (unsigned)code->n) >> 8);
        put8(&b, (16 + (unsigned)code->n) & 255);
    }
    put(&b, code->p, code->n);
    return b;
}

static void boxes(void **state)
{
    bytes code = encode(0, false);
    for (int how = LENGTH; how <= LONG; how++) {
        bytes b = boxed(&code, how, false);
        assert_true(j2k_sniff(b.p, b.n));
        assert_int_equal(decode(b.p, b.n), CODEC_OK);
        if (how == OPEN)
            assert_int_equal(decode(b.p, b.n - 2), CODEC_OK); /* without an end marker */
        else
            assert_int_equal(decode(b.p, b.n - 2), CODEC_DAMAGED);
        put8(&b, 0);
        assert_int_equal(decode(b.p, b.n), CODEC_OK);
        for (size_t n = 12; n < 120; n++)
            assert_int_not_equal(decode(b.p, n), CODEC_OK);
        free(b.p);
        b = boxed(&code, how, true);
        assert_int_equal(decode(b.p, b.n), CODEC_GEOMETRY);
        free(b.p);
    }
    free(code.p);
}

/* Any wrong byte is noticed or leaves a stream that decodes; never a crash. */
static void wrong_byte(void **state)
{
    bytes b = encode(16, true);
    int noticed = 0;
    for (size_t i = 0; i < b.n; i += i < 200 ? 1 : 7) {
        b.p[i] ^= 0xA5;
        noticed += j2k_decode(b.p, b.n, ROWS, COLS, got, &precision) != CODEC_OK;
        b.p[i] ^= 0xA5;
    }
    assert_true(noticed > 100);
    free(b.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stands_behind),
        cmocka_unit_test(no_end_marker),
        cmocka_unit_test(a_part_is_missing),
        cmocka_unit_test(cut),
        cmocka_unit_test(boxes),
        cmocka_unit_test(wrong_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
