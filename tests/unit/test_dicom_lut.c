/* Tables of a header: every way in which a descriptor and its data disagree, and which of the
 * places that may describe frame 1 decides. */
#include "tests/unit/dicom_bytes.h"
#include "dicom/pixels.h"
#include "core/mem.h"

#define MODALITY 0x3000
#define VOI      0x3010

static arena *mem;
static record r;
static pixels px;

typedef struct table { /* what is written: descriptor, and entry i = i * step in `width` bytes */
    unsigned n, first, bits, entries, step, width;
    const char *vr, *descriptor_vr, *name;
} table;
#define TABLE(count, from, width_of, written, by, ...)                                             \
    ((table){.n = (count),                                                                         \
             .first = (from),                                                                      \
             .bits = (width_of),                                                                   \
             .entries = (written),                                                                 \
             .step = (by),                                                                         \
             __VA_ARGS__})

static void lut_item(bytes *in, table t)
{
    head(in, 0x0028, 0x3002, t.descriptor_vr ? t.descriptor_vr : "US", 6);
    put16(in, t.n);
    put16(in, t.first);
    put16(in, t.bits);
    if (t.name)
        str(in, 0x0028, 0x3003, "LO", t.name);
    unsigned width = t.width ? t.width : 2, total = t.entries * width;
    head(in, 0x0028, 0x3006, t.vr ? t.vr : "US", total + total % 2);
    for (unsigned i = 0; i < t.entries; i++)
        for (unsigned k = 0; k < width; k++)
            put8(in, i * t.step >> (8 * k) & 255);
    if (total % 2)
        put8(in, 0);
}

static void lut(bytes *b, unsigned element, table t)
{
    bytes in = {.implicit = b->implicit};
    lut_item(&in, t);
    seq1(b, 0x0028, element, &in, 1);
    free(in.p);
}

static bytes begin(image m)
{
    bytes b = {0};
    preamble(&b, m.ts);
    identity(&b);
    image_module(&b, m);
    return b;
}

static void finish(bytes *b, image m)
{
    native_pixels(b, &m);
    arena_reset(mem);
    assert_int_equal(record_read(b->p, b->n, &r), REASON_NONE);
    assert_int_equal(pixels_decode(b->p, b->n, &r, false, mem, &px), REASON_NONE);
    free(b->p);
}

static const pixels_lut *one(unsigned element, table t, bool is_signed)
{
    image m = IMAGE(.is_signed = is_signed);
    bytes b = begin(m);
    lut(&b, element, t);
    finish(&b, m);
    return element == VOI ? &px.voi[0] : &px.modality;
}

static void as_the_standard_says(void **state)
{
    const pixels_lut *l = one(MODALITY, TABLE(100, 37, 12, 100, 5), false);
    assert_true(l->n == 100 && l->first == 37 && l->bits == 12 && l->data[99] == 495 && !l->odd);
    assert_int_equal(r.has_modality_lut, 1);
    l = one(VOI, TABLE(800, 5, 12, 800, 5, .width = 2, .vr = "OW"), false);
    assert_true(l->n == 800 && l->first == 5 && l->bits == 12 && l->data[799] == 3995 && !l->odd);
    l = one(VOI, TABLE(64, 5, 8, 64, 3, .width = 1, .vr = "OW"), false); /* two bytes in a word */
    assert_true(l->n == 64 && l->bits == 8 && l->data[1] == 3 && l->data[63] == 189 && !l->odd);
    l = one(VOI, TABLE(65, 5, 8, 65, 3, .width = 1, .vr = "OW"), false); /* and a byte of padding */
    assert_true(l->n == 65 && l->data[64] == 192 && !l->odd);
    l = one(VOI, TABLE(0, 0, 16, 65536, 1, .width = 2, .vr = "OW"), false);
    assert_true(l->n == 65536 && l->data[65535] == 65535 && l->bits == 16);
    l = one(VOI, TABLE(40000, 0, 16, 40000, 1, .width = 2, .vr = "OW", .descriptor_vr = "SS"),
            false); /* SS: n is -25536 */
    assert_true(l->n == 40000 && l->data[39999] == 39999);
}

static void sign_of_the_first_value(void **state)
{
    table t = TABLE(300, 0xFFF6, 10, 300, 3);
    assert_int_equal(one(MODALITY, t, false)->first, 65526);
    assert_int_equal(one(MODALITY, t, true)->first, -10);
    assert_int_equal(one(VOI, t, true)->first, -10);
    t.descriptor_vr = "SS"; /* the VR is often wrong: the pixels decide */
    assert_int_equal(one(VOI, t, false)->first, 65526);
    t.descriptor_vr = "US";
    for (int k = 0; k < 4; k++) { /* a VOI table takes modality values */
        static const struct {
            const char *slope, *intercept;
            int is_signed, first;
        } c[] = {{"1", "-1000", 0, -10},
                 {"1", "0", 0, 65526},
                 {"-1", "0", 0, -10},
                 {"1", "2048", 1, 65526}};
        image m = IMAGE(.is_signed = c[k].is_signed);
        bytes b = begin(m);
        str(&b, 0x0028, 0x1052, "DS", c[k].intercept);
        str(&b, 0x0028, 0x1053, "DS", c[k].slope);
        lut(&b, VOI, t);
        finish(&b, m);
        assert_int_equal(px.voi[0].first, c[k].first);
    }
    image m = IMAGE(.is_signed = 1); /* whatever enters a modality table, what leaves is unsigned */
    bytes b = begin(m);
    lut(&b, MODALITY, TABLE(100, 0xFFF6, 12, 100, 5));
    lut(&b, VOI, t);
    finish(&b, m);
    assert_int_equal(px.modality.first, -10);
    assert_int_equal(px.voi[0].first, 65526);
}

static void descriptors_that_lie(void **state)
{
    const pixels_lut *l = one(VOI, TABLE(1000, 0, 10, 1000, 5), false);
    assert_true(l->n == 1000 && l->bits == 13 && l->odd); /* up to 4995 */
    l = one(VOI, TABLE(1000, 0, 16, 1000, 4), false);
    assert_true(l->bits == 12 && l->odd); /* up to 3996: white would be a sixteenth */
    l = one(VOI, TABLE(1000, 0, 16, 1000, 20), false);
    assert_true(l->bits == 16 && !l->odd); /* up to 19980 of 65535: a dark table, believed */
    l = one(VOI, TABLE(1000, 0, 0, 1000, 4), false);
    assert_true(l->n == 1000 && l->bits == 12 && l->odd);
    l = one(VOI, TABLE(1000, 0, 77, 1000, 4), false);
    assert_true(l->bits == 12 && l->odd);
    l = one(VOI, TABLE(100, 0, 16, 100, 2, .width = 1, .vr = "OW"),
            false); /* bytes, called 16 bit */
    assert_true(l->n == 100 && l->data[99] == 198 && l->bits == 8 && l->odd);
    l = one(VOI, TABLE(200, 0, 12, 100, 40), false); /* n counts bytes */
    assert_true(l->n == 100 && l->data[99] == 3960 && l->bits == 12 && l->odd);
    l = one(VOI, TABLE(100, 0, 12, 100, 40, .width = 4, .vr = "OW"), false); /* 32-bit entries */
    assert_true(l->n == 100 && l->data[99] == 3960 && l->odd);
    l = one(VOI, TABLE(100, 0, 13, 200, 40), false); /* more entries than declared */
    assert_true(l->n == 100 && l->data[99] == 3960 && l->bits == 13 && !l->odd);
    /* nothing fits: no table */
    assert_int_equal(one(VOI, TABLE(100, 0, 12, 40, 5), false)->n, 0);
    assert_int_equal(one(VOI, TABLE(100, 0, 12, 75, 5), false)->n, 0);
    assert_int_equal(one(VOI, TABLE(100, 0, 12, 0, 5), false)->n, 0);
}

static void several_items(void **state)
{
    image m = IMAGE();
    bytes b = begin(m), in = {0}, all = {0};
    static const char *const names[] = {"harder", " Normal ", "USER"};
    for (unsigned i = 0; i < 12; i++) {
        in.n = 0;
        lut_item(&in, TABLE(100, i, 12, i == 1 ? 7 : 100, 40, .name = i < 3 ? names[i] : NULL));
        item_head(&all, (uint32_t)in.n);
        put(&all, in.p, in.n);
    }
    head(&b, 0x0028, VOI, "SQ", (uint32_t)all.n);
    put(&b, all.p, all.n);
    finish(&b, m);
    assert_int_equal(px.n_voi, PIXELS_VOI_LUTS);
    assert_string_equal(px.voi[0].name, "HARDER");
    assert_string_equal(px.voi[1].name, "NORMAL");
    assert_int_equal(px.voi[1].n, 0); /* keeps its number, is no table */
    assert_int_equal(px.voi[2].first, 2);
    assert_string_equal(px.voi[7].name, "");
    free(in.p);
    free(all.p);
}

/* Functional groups: what = 1 table, 2 number beside it. A group that holds one of them decides. */
static void add_group(bytes *b, unsigned group, unsigned macro, const bytes *content)
{
    bytes inner = {0};
    if (content->n)
        seq1(&inner, 0x0028, macro, content, 1);
    seq1(b, 0x5200, group, &inner, 1);
    free(inner.p);
}

static void groups_of_frames(void **state)
{
    enum { NOTHING, ITEM, NUMBER };
    static const struct {
        int frame, shared, top, first; /* first of the table that holds, -1 = none */
    } c[] = {{ITEM, ITEM, ITEM, 1},       {NOTHING, ITEM, ITEM, 2},
             {NOTHING, NOTHING, ITEM, 3}, {NUMBER, ITEM, ITEM, -1},
             {NOTHING, NUMBER, ITEM, -1}, {ITEM, NUMBER, NUMBER, 1},
             {NOTHING, ITEM, NUMBER, 2},  {NOTHING, NOTHING, NOTHING, -1}};
    for (size_t k = 0; k < COUNT_OF(c); k++)
        for (int voi = 0; voi < 2; voi++) {
            image m = IMAGE();
            const int what[3] = {c[k].frame, c[k].shared, c[k].top};
            bytes b = begin(m), part[3] = {{0}, {0}, {0}};
            for (int i = 0; i < 3; i++) {
                table t = TABLE(100, (unsigned)i + 1, 12, 100, 40);
                if (what[i] == NUMBER) {
                    str(&part[i], 0x0028, voi ? 0x1050 : 0x1052, "DS", voi ? "2000" : "0");
                    str(&part[i], 0x0028, voi ? 0x1051 : 0x1053, "DS", voi ? "1000" : "1");
                }
                if (what[i] == ITEM)
                    lut(&part[i], voi ? VOI : MODALITY, t);
            }
            put(&b, part[2].p, part[2].n);
            add_group(&b, 0x9229, voi ? 0x9132 : 0x9145, &part[1]);
            add_group(&b, 0x9230, voi ? 0x9132 : 0x9145, &part[0]);
            finish(&b, m);
            const pixels_lut *l = voi ? &px.voi[0] : &px.modality;
            assert_int_equal(px.n_voi, voi && c[k].first >= 0);
            assert_int_equal(l->n ? l->first : -1, c[k].first);
            for (int i = 0; i < 3; i++)
                free(part[i].p);
        }
}

static void unknown_function(void **state)
{
    static const struct {
        const char *word;
        bool odd;
    } c[] = {{"LINEAR", false},
             {"", false},
             {"sigmoid", false},
             {"LINEAR_EXACT", false},
             {"LOGARITHM", true}};
    for (size_t k = 0; k < COUNT_OF(c); k++)
        for (int in_group = 0; in_group < 2; in_group++) {
            image m = IMAGE();
            bytes b = begin(m), word = {0};
            str(in_group ? &word : &b, 0x0028, 0x1056, "CS", c[k].word);
            if (in_group)
                add_group(&b, 0x9229, 0x9132, &word);
            finish(&b, m);
            assert_int_equal(px.odd_function, c[k].odd);
            free(word.p);
        }
}

/* Implicit VR: the reader takes the VR from its dictionary. */
static void implicit(void **state)
{
    image m = IMAGE(.ts = TS_IMPLICIT, .is_signed = 1);
    bytes b = begin(m);
    lut(&b, VOI, TABLE(64, 0xFFFE, 8, 64, 3, .width = 1));
    finish(&b, m);
    assert_true(px.voi[0].n == 64 && px.voi[0].first == -2 && px.voi[0].data[63] == 189);
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
        cmocka_unit_test(as_the_standard_says),
        cmocka_unit_test(sign_of_the_first_value),
        cmocka_unit_test(descriptors_that_lie),
        cmocka_unit_test(several_items),
        cmocka_unit_test(groups_of_frames),
        cmocka_unit_test(unknown_function),
        cmocka_unit_test(implicit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
