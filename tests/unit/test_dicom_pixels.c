/* Pixels: every supported syntax gives the samples that were written; lies between syntax, header
 * and bytes are told apart; cut and corrupt files never give other pixels silently. */
#include "tests/unit/dicom_bytes.h"
#include "dicom/pixels.h"
#include "core/fs.h"
#include "core/mem.h"

static arena *mem;
static record r;
static pixels px;

static reason decode(const bytes *b)
{
    arena_reset(mem);
    reason why = record_read(b->p, b->n, &r);
    return why != REASON_NONE ? why : pixels_decode(b->p, b->n, &r, true, mem, &px);
}

static void expect(const bytes *b, const image *m)
{
    bytes want = {0};
    char sha[65], xxh[33];
    size_t frame;
    unsigned all = 0;
    assert_int_equal(decode(b), REASON_NONE);
    assert_int_equal(px.rows, m->rows);
    assert_int_equal(px.cols, m->cols);
    for (int i = 0; i < m->rows * m->cols; i++)
        assert_int_equal(px.stored[i], sample(i, m->stored));
    for (int i = 0; i < m->rows * m->cols; i++)
        all |= px.stored[i];
    assert_true(all < (unsigned)px.words && 2 * all + 1 >= (unsigned)px.words);
    for (int f = 0; f < m->frames; f++)
        samples(&want, m, f);
    frame = want.n / (size_t)m->frames;
    fs_sha256_of(want.p, want.n, sha);
    fs_xxh128_of(want.p, frame, xxh);
    assert_string_equal(px.sha256, sha);
    assert_string_equal(px.hash, xxh);
    free(want.p);
}

static void every_syntax(void **state)
{
    static const char *const ts[] = {TS_IMPLICIT, TS_EXPLICIT, TS_RLE, TS_JLL57, TS_JLL};
    for (size_t i = 0; i < COUNT_OF(ts); i++)
        for (int allocated = 8; allocated <= 16; allocated += 8)
            for (int frames = 1; frames <= 3; frames += 2) {
                image m = IMAGE(.ts = ts[i], .allocated = allocated, .frames = frames, .rows = 9,
                                .cols = 7);
                bytes b = whole_file(m);
                expect(&b, &m);
                assert_int_equal(px.bits_stored, m.stored);
                assert_int_equal(px.notes.bits[0] | px.notes.bits[1], 0);
                free(b.p);
            }
}

static void unsupported(void **state)
{
    static const char *const ts[] = {"1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.100",
                                     "1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.8.1",
                                     "1.2.3.4.5.6"};
    for (size_t i = 0; i < COUNT_OF(ts); i++) {
        image m = IMAGE(.ts = TS_JLL);
        bytes b = whole_file(m), c = {0};
        preamble(&c, ts[i]);
        size_t skip = 0; /* the same data set behind another syntax */
        for (size_t k = 132; k + 4 < b.n; k++)
            if (memcmp(b.p + k, "\x08\x00\x16\x00", 4) == 0) {
                skip = k;
                break;
            }
        put(&c, b.p + skip, b.n - skip);
        assert_int_equal(decode(&c), REASON_TS_UNSUPPORTED);
        free(b.p);
        free(c.p);
    }
}

/* One encapsulated item with the given bytes. */
static bytes with_item(const char *ts, image m, const uint8_t *p, size_t n)
{
    bytes b = {0};
    preamble(&b, ts);
    identity(&b);
    image_module(&b, m);
    items_begin(&b);
    item(&b, p, n);
    sequence_end(&b);
    return b;
}

static bytes jpeg_of(const image *m, int rows, int cols, int precision)
{
    bytes code = {0};
    uint16_t *v = malloc((size_t)(rows * cols) * 2);
    for (int i = 0; i < rows * cols; i++)
        v[i] = (uint16_t)sample(i, m->stored);
    jpeg_encode(&code, v, rows, cols, precision, 1, 0, 0);
    free(v);
    return code;
}

static void lies(void **state)
{
    image m = IMAGE(.ts = TS_JLL);
    bytes code = jpeg_of(&m, m.rows, m.cols, 12), b;
    /* lossless JPEG that says RLE: the bytes win, and it is noted */
    b = with_item(TS_RLE, m, code.p, code.n);
    expect(&b, &m);
    assert_true(reason_has(&px.notes, REASON_TS_LIES));
    free(b.p);
    /* items in a syntax that has none: the bytes are believed, unless they say nothing */
    b = with_item(TS_EXPLICIT, m, code.p, code.n);
    expect(&b, &m);
    assert_true(reason_has(&px.notes, REASON_TS_LIES));
    free(b.p);
    b = with_item(TS_EXPLICIT, m, (const uint8_t *)"no image at all, only words", 27);
    assert_int_equal(decode(&b), REASON_TS_LIES);
    free(b.p);
    /* a baseline header before a lossless scan, which says lossless */
    for (size_t i = 0; i + 1 < code.n; i++)
        if (code.p[i] == 0xFF && code.p[i + 1] == 0xC3)
            code.p[i + 1] = 0xC0;
    b = with_item(TS_JLL, m, code.p, code.n);
    assert_int_equal(decode(&b), REASON_DEC_FAILED);
    assert_true(reason_has(&px.notes, REASON_TS_LIES));
    free(b.p);
    /* JPEG 2000 that says lossless JPEG */
    b = with_item(TS_JLL, m, (const uint8_t *)"\xFF\x4F\xFF\x51\x00\x29\x00\x00", 8);
    assert_int_equal(decode(&b), REASON_DEC_FAILED);
    free(b.p);
    b = with_item(TS_JLL, m, (const uint8_t *)"no image at all, only words", 27);
    assert_int_equal(decode(&b), REASON_TS_LIES);
    free(b.p);
    free(code.p);
}

/* Baseline JPEG of 8 x 8 pixels under a lossless syntax, worked by hand: quantisers of 8, a table
 * with 0 for category 0 and 10 for category 7, one with 0 for the end of a block. The first
 * coefficient is 100: every sample is 128 + 100 * 8 / 8 = 228. */
static void baseline_under_lossless(void **state)
{
    bytes code = {0};
    put(&code, "\xFF\xD8\xFF\xDB\x00\x43\x00", 7);
    for (int i = 0; i < 64; i++)
        put8(&code, 8);
    put(&code, "\xFF\xC0\x00\x0B\x08\x00\x08\x00\x08\x01\x01\x11\x00", 13);
    put(&code, "\xFF\xC4\x00\x15\x00\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x00\x07", 23);
    put(&code, "\xFF\xC4\x00\x14\x10\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x00", 22);
    put(&code, "\xFF\xDA\x00\x08\x01\x01\x00\x00\x3F\x00", 10);
    put(&code, "\xB2\x3F\xFF\xD9", 4); /* 10 1100100 0, then ones */
    image m = IMAGE(.ts = TS_JLL, .allocated = 8, .rows = 8, .cols = 8);
    bytes b = with_item(TS_JLL, m, code.p, code.n);
    assert_int_equal(decode(&b), REASON_NONE);
    assert_true(reason_has(&px.notes, REASON_TS_LIES));
    for (int i = 0; i < 64; i++)
        assert_int_equal(px.stored[i], 228);
    free(b.p);
    free(code.p);
}

/* GE's private syntax: a little-endian implicit header, words of pixels in big-endian order. */
static void private_ge(void **state)
{
    image m = IMAGE(.rows = 5, .cols = 7);
    bytes b = {0};
    preamble(&b, "1.2.840.113619.5.2");
    b.implicit = 1;
    identity(&b);
    image_module(&b, m);
    head(&b, 0x7FE0, 0x0010, "OW", 70);
    for (int i = 0; i < 35; i++) {
        put8(&b, sample(i, 12) >> 8);
        put8(&b, sample(i, 12) & 255);
    }
    expect(&b, &m);
    assert_int_equal(px.notes.bits[0] | px.notes.bits[1], 0);
    free(b.p);
}

/* Pixels behind an address: no decoder is asked. */
static void by_reference(void **state)
{
    static const char *const ts[] = {"1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95",
                                     "1.2.840.10008.1.2.4.204", "1.2.840.10008.1.2.4.205"};
    for (size_t i = 0; i < COUNT_OF(ts); i++) {
        bytes b = {0};
        preamble(&b, ts[i]);
        if (i % 2) { /* deflated: bytes that make no data set */
            put(&b, "\x8b\x48\x2d\x2a\xce\xcc\xcf\x53\x30", 9);
        } else {
            identity(&b);
            image_module(&b, IMAGE(.ts = ts[i]));
            str(&b, 0x0028, 0x7FE0, "UT", "https://example.org/jpip");
        }
        assert_int_equal(decode(&b), REASON_TS_UNSUPPORTED);
        free(b.p);
    }
}

/* Pixel data with an explicit length in a compressed syntax: raw samples, or a bare stream. */
static void explicit_length(void **state)
{
    image m = IMAGE(.ts = TS_JLL);
    bytes b = {0}, code = jpeg_of(&m, m.rows, m.cols, 12);
    preamble(&b, TS_JLL);
    identity(&b);
    image_module(&b, m);
    size_t start = b.n;
    native_pixels(&b, &m);
    expect(&b, &m);
    assert_true(reason_has(&px.notes, REASON_TS_LIES));
    b.n = start;
    if (code.n % 2)
        put8(&code, 0);
    head(&b, 0x7FE0, 0x0010, "OB", (uint32_t)code.n);
    put(&b, code.p, code.n);
    expect(&b, &m);
    assert_false(reason_has(&px.notes, REASON_TS_LIES));
    free(b.p);
    free(code.p);
}

static void fragments(void **state)
{
    image m = IMAGE(.ts = TS_JLL, .frames = 2, .rows = 20, .cols = 20);
    bytes b = {0}, code[2] = {{0}, {0}};
    uint16_t v[400];
    for (int f = 0; f < 2; f++) {
        for (int i = 0; i < 400; i++)
            v[i] = (uint16_t)sample(i + 1000 * f, 12);
        jpeg_encode(&code[f], v, 20, 20, 12, 1, 0, 0);
    }
    /* three pieces for frame 1, one for frame 2: with a table, and by looking for the starts */
    for (int table = 0; table < 2; table++) {
        b.n = 0;
        preamble(&b, TS_JLL);
        identity(&b);
        image_module(&b, m);
        b.implicit = 0;
        head(&b, 0x7FE0, 0x0010, "OB", UINT32_MAX);
        item_head(&b, table ? 8 : 0);
        size_t table_at = b.n;
        if (table) {
            put32(&b, 0);
            put32(&b, 0);
        }
        size_t first = b.n;
        item(&b, code[0].p, 100);
        item(&b, code[0].p + 100, 200);
        item(&b, code[0].p + 300, code[0].n - 300);
        uint32_t second = (uint32_t)(b.n - first);
        if (table)
            memcpy(b.p + table_at + 4, &second, 4);
        item(&b, code[1].p, code[1].n);
        sequence_end(&b);
        expect(&b, &m);
    }
    free(b.p);
    free(code[0].p);
    free(code[1].p);
}

static void put64(bytes *b, uint64_t v)
{
    put32(b, (uint32_t)v);
    put32(b, (uint32_t)(v >> 32));
}

/* RLE has no sign of a beginning: only a table tells which of three fragments start a frame. The
 * extended one comes first; one that does not fit the fragments is no table. */
static void offset_tables(void **state)
{
    image m = IMAGE(.ts = TS_RLE, .frames = 2, .rows = 20, .cols = 20);
    bytes code[2] = {{0}, {0}};
    uint16_t v[400];
    for (int f = 0; f < 2; f++) {
        for (int i = 0; i < 400; i++)
            v[i] = (uint16_t)sample(i + 1000 * f, 12);
        rle_encode(&code[f], v, 400, 16);
    }
    static const struct {
        int extended, wrong_extended, basic, wrong_basic;
        reason why;
    } c[] = {{1, 0, 0, 0, REASON_NONE},       {0, 0, 1, 0, REASON_NONE},
             {1, 1, 1, 0, REASON_NONE},       {1, 0, 1, 1, REASON_NONE},
             {1, 1, 0, 0, REASON_DEC_FAILED}, {0, 0, 1, 1, REASON_DEC_FAILED},
             {0, 0, 0, 0, REASON_DEC_FAILED}};
    for (size_t k = 0; k < COUNT_OF(c); k++) {
        bytes b = {0};
        const uint32_t second = 8 + 100 + 8 + (uint32_t)code[0].n - 100;
        preamble(&b, TS_RLE);
        identity(&b);
        image_module(&b, m);
        if (c[k].extended) {
            put16(&b, 0x7FE0);
            put16(&b, 0x0001);
            put(&b, "OV\0", 4);
            put32(&b, 16);
            put64(&b, 0);
            put64(&b, second + (c[k].wrong_extended ? 2 : 0));
        }
        head(&b, 0x7FE0, 0x0010, "OB", UINT32_MAX);
        item_head(&b, c[k].basic ? 8 : 0);
        if (c[k].basic) {
            put32(&b, 0);
            put32(&b, second + (c[k].wrong_basic ? 2 : 0));
        }
        item(&b, code[0].p, 100);
        item(&b, code[0].p + 100, code[0].n - 100);
        item(&b, code[1].p, code[1].n);
        sequence_end(&b);
        if (c[k].why == REASON_NONE)
            expect(&b, &m);
        else
            assert_int_equal(decode(&b), c[k].why);
        free(b.p);
    }
    free(code[0].p);
    free(code[1].p);
}

static void geometry(void **state)
{
    const image bad[] = {
        IMAGE(.samples = 3),
        IMAGE(.photometric = "RGB"),
        IMAGE(.photometric = "PALETTE COLOR"),
        IMAGE(.stored = 17),
        IMAGE(.allocated = 32, .stored = 32),
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        bytes b = {0};
        image big = IMAGE(.rows = 40, .cols = 40);
        preamble(&b, TS_EXPLICIT);
        identity(&b);
        image_module(&b, bad[i]);
        native_pixels(&b, &big);
        assert_int_equal(decode(&b), REASON_PIX_GEOMETRY);
        free(b.p);
    }
    /* more samples than the image has */
    image m = IMAGE(.ts = TS_EXPLICIT), big = IMAGE(.rows = 40, .cols = 40);
    bytes b = {0};
    preamble(&b, TS_EXPLICIT);
    identity(&b);
    image_module(&b, m);
    native_pixels(&b, &big);
    assert_int_equal(decode(&b), REASON_PIX_GEOMETRY);
    free(b.p);
    m.ts = TS_JLL;
    bytes code = jpeg_of(&m, m.rows, m.cols - 1, 12);
    b = with_item(TS_JLL, m, code.p, code.n);
    assert_int_equal(decode(&b), REASON_PIX_GEOMETRY);
    free(b.p);
    free(code.p);
    /* a bomb: 60000 x 60000 from a hundred bytes */
    code = jpeg_of(&m, m.rows, m.cols, 12);
    for (size_t i = 0; i + 1 < code.n; i++)
        if (code.p[i] == 0xFF && code.p[i + 1] == 0xC3)
            memcpy(code.p + i + 5, "\x50\x00\x50\x00", 4);
    m.rows = m.cols = 0x5000;
    b = with_item(TS_JLL, m, code.p, code.n);
    size_t before = arena_held(mem);
    assert_int_equal(decode(&b), REASON_DEC_WARNED);
    assert_true(arena_held(mem) < before + (1 << 20));
    m.rows = m.cols = 65535;
    bytes c = with_item(TS_JLL, m, code.p, code.n);
    assert_int_equal(decode(&c), REASON_PIX_GEOMETRY);
    free(b.p);
    free(c.p);
    free(code.p);
}

static void precision(void **state)
{
    /* the stream has 10 bits, the header says 12: the stream is believed */
    image m = IMAGE(.ts = TS_JLL, .stored = 10), h = m;
    h.stored = 12;
    bytes code = jpeg_of(&m, m.rows, m.cols, 10), b = with_item(TS_JLL, h, code.p, code.n);
    expect(&b, &m);
    assert_int_equal(px.bits_stored, 10);
    assert_int_equal(px.high_bit, 9);
    assert_false(reason_has(&px.notes, REASON_BITS_LIE));
    free(b.p);
    free(code.p);
    /* samples of 14 bits, the header says 12 */
    m = IMAGE(.ts = TS_JLL, .stored = 14);
    h = m;
    h.stored = 12;
    code = jpeg_of(&m, m.rows, m.cols, 14);
    b = with_item(TS_JLL, h, code.p, code.n);
    expect(&b, &m);
    assert_int_equal(px.bits_stored, 14);
    assert_true(reason_has(&px.notes, REASON_BITS_LIE));
    free(b.p);
    free(code.p);
    /* the same in native words, and not when an overlay is declared in the high bits */
    for (int overlay = 0; overlay < 2; overlay++) {
        b = (bytes){0};
        preamble(&b, TS_EXPLICIT);
        identity(&b);
        image_module(&b, h);
        if (overlay)
            us(&b, 0x6000, 0x0102, 13);
        native_pixels(&b, &m);
        expect(&b, &m);
        assert_int_equal(px.bits_stored, overlay ? 12 : 14);
        assert_int_equal(reason_has(&px.notes, REASON_BITS_LIE), !overlay);
        free(b.p);
    }
}

/* One word of a large image is enough, wherever it stands. */
static void one_word_lies(void **state)
{
    static const int places[] = {0, 200 * 100 + 1, 400 * 300 - 1};
    for (size_t k = 0; k < sizeof(places) / sizeof(places[0]); k++) {
        image m = IMAGE(.rows = 400, .cols = 300, .stored = 12);
        bytes b = {0};
        preamble(&b, TS_EXPLICIT);
        identity(&b);
        image_module(&b, m);
        head(&b, 0x7FE0, 0x0010, "OW", 400 * 300 * 2);
        for (int i = 0; i < 400 * 300; i++)
            put16(&b, i == places[k] ? 0x2001 : 7);
        assert_int_equal(decode(&b), REASON_NONE);
        assert_true(reason_has(&px.notes, REASON_BITS_LIE));
        assert_int_equal(px.bits_stored, 14);
        free(b.p);
    }
}

static void sign_extension_is_no_lie(void **state)
{
    image m = IMAGE(.is_signed = 1);
    bytes b = {0};
    preamble(&b, TS_EXPLICIT);
    identity(&b);
    image_module(&b, m);
    head(&b, 0x7FE0, 0x0010, "OW", 96);
    for (int i = 0; i < 48; i++)
        put16(&b, (unsigned)(i - 20) & 0xFFFF);
    assert_int_equal(decode(&b), REASON_NONE);
    assert_false(reason_has(&px.notes, REASON_BITS_LIE));
    assert_int_equal(px.is_signed, 1);
    assert_int_equal(px.bits_stored, 12);
    assert_int_equal(px.stored[0], 65536 - 20);
    free(b.p);
}

/* A stream of 12 bits carries copies of the sign up to its own width only: no lie. Zeros there are
 * one: the samples are no small negative numbers. */
static void sign_within_the_stream(void **state)
{
    image m = IMAGE(.ts = TS_JLL, .stored = 10, .is_signed = 1);
    for (int lie = 0; lie < 2; lie++) {
        uint16_t v[48];
        bytes code = {0};
        for (int i = 0; i < 48; i++)
            v[i] = (uint16_t)((i - 20) & 0xFFF);
        v[7] = lie ? 0x3F0 : v[7];
        jpeg_encode(&code, v, 8, 6, 12, 1, 0, 0);
        bytes b = with_item(TS_JLL, m, code.p, code.n);
        assert_int_equal(decode(&b), REASON_NONE);
        assert_int_equal(reason_has(&px.notes, REASON_BITS_LIE), lie);
        assert_int_equal(px.bits_stored, lie ? 12 : 10);
        free(b.p);
        free(code.p);
    }
}

/* Words of padding above BitsStored do not make the header a liar; other words do. */
static void padding_above_the_bits(void **state)
{
    for (int other = 0; other < 2; other++) {
        image m = IMAGE(.stored = 12);
        bytes b = {0};
        preamble(&b, TS_EXPLICIT);
        identity(&b);
        image_module(&b, m);
        us(&b, 0x0028, 0x0120, 0xFFFF);
        head(&b, 0x7FE0, 0x0010, "OW", 96);
        for (int i = 0; i < 48; i++)
            put16(&b, i < 30 ? 0xFFFF : i == 40 && other ? 0x1FFF : (unsigned)i);
        assert_int_equal(decode(&b), REASON_NONE);
        assert_int_equal(reason_has(&px.notes, REASON_BITS_LIE), other);
        assert_int_equal(px.bits_stored, other ? 13 : 12);
        free(b.p);
    }
}

/* Cut at every byte, and every byte damaged: other pixels are never returned without a word. RLE
 * and native samples carry no check of their own, so a changed sample byte there is beyond
 * detection. */
static void corrupt(void **state)
{
    static const char *const ts[] = {TS_EXPLICIT, TS_RLE, TS_JLL};
    for (size_t k = 0; k < COUNT_OF(ts); k++) {
        image m = IMAGE(.ts = ts[k], .rows = 16, .cols = 15, .stored = 12);
        bytes b = whole_file(m);
        expect(&b, &m);
        for (size_t n = 0; n < b.n; n++) {
            bytes c = {.p = b.p, .n = n};
            assert_int_not_equal(decode(&c), REASON_NONE);
        }
        for (size_t i = 132; i < b.n; i += 3) {
            b.p[i] ^= 0x55;
            decode(&b); /* must come back */
            b.p[i] ^= 0x55;
        }
        /* the stream inside a sound container is cut */
        if (k > 0) {
            uint16_t v[240];
            bytes code = {0};
            for (int i = 0; i < 240; i++)
                v[i] = (uint16_t)sample(i, 12);
            if (k == 1)
                rle_encode(&code, v, 240, 16);
            else
                jpeg_encode(&code, v, 16, 15, 12, 1, 0, 0);
            for (size_t n = 66; n + 2 < code.n; n += 2) {
                uint8_t *cut = malloc(n + 2);
                memcpy(cut, code.p, n);
                if (k == 2)
                    memcpy(cut + n, "\xFF\xD9", 2);
                bytes c = with_item(ts[k], m, cut, k == 2 ? n + 2 : n);
                assert_int_equal(decode(&c), REASON_DEC_WARNED);
                free(c.p);
                free(cut);
            }
            free(code.p);
        }
        free(b.p);
    }
}

static int setup(void **state)
{
    pixels_init();
    mem = arena_new(1 << 16);
    return 0;
}
static int teardown(void **state)
{
    arena_free(mem);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_syntax),
        cmocka_unit_test(unsupported),
        cmocka_unit_test(lies),
        cmocka_unit_test(explicit_length),
        cmocka_unit_test(fragments),
        cmocka_unit_test(geometry),
        cmocka_unit_test(precision),
        cmocka_unit_test(sign_extension_is_no_lie),
        cmocka_unit_test(corrupt),
        cmocka_unit_test(baseline_under_lossless),
        cmocka_unit_test(private_ge),
        cmocka_unit_test(by_reference),
        cmocka_unit_test(one_word_lies),
        cmocka_unit_test(offset_tables),
        cmocka_unit_test(sign_within_the_stream),
        cmocka_unit_test(padding_above_the_bits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
