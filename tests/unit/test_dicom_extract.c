/* extract: what is copied for DCMTK, that it reads the same facts from it, and when a file is
 * better read as it is. */
#include "tests/unit/dicom_bytes.h"
#include "core/mem.h"
#include "dicom/dcmtk_shim.h"
#include "dicom/extract.h"
#include "dicom/pixels.h"
#include "dicom/record.h"
#include "dicom/tags.h"

static bytes file_of(const char *ts)
{
    bytes b = {0}, code = {0};
    image m = IMAGE(.ts = TS_EXPLICIT);
    preamble(&b, ts);
    str(&b, 0x0008, 0x0005, "CS", "ISO_IR 100"); /* not read */
    identity(&b);
    str(&b, 0x0009, 0x0010, "LO", "UNKNOWN PRIVATE");
    str(&b, 0x0009, 0x1001, "LT", "MANY PRIVATE BYTES");
    code.implicit = b.implicit;
    code_item(&code, "R-10242", "SRT", "cranio-caudal");
    seq1(&b, 0x0054, 0x0220, &code, 1);
    seq1(&b, 0x0054, 0x0999, &code, 0); /* an unknown sequence with known elements inside */
    image_module(&b, m);
    native_pixels(&b, &m);
    str(&b, 0x7FE1, 0x1001, "LT", "BEHIND THE PIXELS");
    free(code.p);
    return b;
}

static bool holds(const void *p, size_t n, const char *word)
{
    return memmem(p, n, word, strlen(word)) != NULL;
}

static void copies_what_is_known(void **state)
{
    const char *const syntax[] = {TS_EXPLICIT, TS_IMPLICIT};
    for (size_t i = 0; i < 2; i++) {
        bytes b = file_of(syntax[i]);
        walk w, plain, again;
        size_t n;
        walk_file(b.p, b.n, &plain);
        char *x = extract_known(b.p, b.n, &w, &n);
        assert_non_null(x);
        assert_memory_equal(&w, &plain, sizeof(w));
        assert_true(n < w.header_len);
        assert_true(holds(x, n, "W-0001"));
        assert_true(holds(x, n, "R-10242"));
        assert_false(holds(x, n, "ISO_IR"));
        assert_false(holds(x, n, "PRIVATE"));
        assert_false(holds(x, n, "BEHIND"));
        walk_file(x, n, &again);
        assert_int_equal(again.status, WALK_OK);
        assert_false(again.has_pixels);
        dcm_file *f;
        char text[64];
        assert_int_equal(dcm_open(x, n, &f), DCM_OK);
        assert_true(dcm_text(dcm_root(f), 0x0010, 0x0020, text, sizeof(text)));
        assert_string_equal(text, "W-0001");
        assert_false(dcm_has(dcm_root(f), 0x0054, 0x0999));
        const dcm_item *view = dcm_child(dcm_root(f), 0x0054, 0x0220, 0);
        assert_non_null(view);
        assert_true(dcm_text(view, 0x0008, 0x0100, text, sizeof(text)));
        assert_string_equal(text, "R-10242");
        assert_true(dcm_text(dcm_root(f), 0x0028, 0x0004, text, sizeof(text)));
        assert_string_equal(text, "MONOCHROME2");
        dcm_close(f);
        mem_free(x);
        free(b.p);
    }
}

static bool extracted(const bytes *b, size_t n)
{
    walk w;
    size_t out;
    void *x = extract_known(b->p, n, &w, &out);
    mem_free(x);
    return x != NULL;
}

static void as_it_is(void **state)
{
    bytes b = file_of(TS_EXPLICIT);
    walk w;
    walk_file(b.p, b.n, &w);
    assert_true(extracted(&b, b.n));
    assert_true(extracted(&b, w.pixel_at + 4));    /* cut inside the pixel data */
    assert_false(extracted(&b, w.header_len - 3)); /* cut before it */
    assert_false(extracted(&b, 0));
    b.p[132 + 8]++; /* a length of the meta header that is wrong */
    assert_false(extracted(&b, b.n));
    free(b.p);
    bytes bare = file_of(NULL); /* no transfer syntax */
    assert_false(extracted(&bare, bare.n));
    free(bare.p);
    bytes big = file_of(TS_BIG);
    assert_false(extracted(&big, big.n));
    free(big.p);
    /* a private volume */
    bytes v = {0};
    size_t size = (size_t)5 << 20;
    uint8_t *zero = calloc(1, size);
    image m = IMAGE(.ts = TS_EXPLICIT);
    preamble(&v, TS_EXPLICIT);
    identity(&v);
    image_module(&v, m);
    str(&v, 0x7E01, 0x0010, "LO", "HOLOGIC, Inc.");
    head(&v, 0x7E01, 0x1010, "OB", (uint32_t)size);
    put(&v, zero, size);
    native_pixels(&v, &m);
    assert_false(extracted(&v, v.n));
    record r;
    assert_int_equal(record_read(v.p, v.n, &r), REASON_NONE);
    assert_true(r.text_flags & TEXT_PRIVATE_VOLUME);
    assert_string_equal(r.patient_id, "W-0001");
    free(zero);
    free(v.p);
}

/* The first of two elements with one tag counts, and elements may come in any order. */
static void order_of_elements(void **state)
{
    bytes b = {0};
    image m = IMAGE(.ts = TS_EXPLICIT);
    preamble(&b, TS_EXPLICIT);
    str(&b, 0x0010, 0x0040, "CS", "F");
    str(&b, 0x0010, 0x0020, "LO", "FIRST");
    identity(&b); /* with W-0001 */
    image_module(&b, m);
    native_pixels(&b, &m);
    record r;
    assert_int_equal(record_read(b.p, b.n, &r), REASON_NONE);
    assert_string_equal(r.patient_id, "FIRST");
    assert_int_equal(r.sex, 'F');
    assert_string_equal(r.modality, "MG");
    free(b.p);
}

/* Elements of an item are found whether they are few or more than are kept by tag, in the order of
 * their tags or not. */
static void found_in_any_item(void **state)
{
    static const int counts[] = {1, 40, 511, 512, 513, 900};
    for (size_t i = 0; i < COUNT_OF(counts); i++)
        for (int down = 0; down < 2; down++) {
            bytes b = {0};
            preamble(&b, TS_EXPLICIT);
            for (int k = 0; k < counts[i]; k++) {
                unsigned at = (unsigned)(down ? counts[i] - 1 - k : k);
                char word[16];
                snprintf(word, sizeof(word), "W%u", at);
                str(&b, 0x0009, 0x1000 + at, "LO", word);
            }
            dcm_file *f;
            assert_int_equal(dcm_open(b.p, b.n, &f), DCM_OK);
            const dcm_item *root = dcm_root(f), *meta = dcm_meta(f);
            for (int k = 0; k < counts[i]; k += 7) {
                char text[64], word[16];
                snprintf(word, sizeof(word), "W%d", k);
                assert_true(dcm_text(root, 0x0009, (uint16_t)(0x1000 + k), text, sizeof(text)));
                assert_string_equal(text, word);
                assert_false(dcm_has(meta, 0x0009, (uint16_t)(0x1000 + k)));
                assert_true(dcm_has(meta, 0x0002, 0x0010));
            }
            assert_false(dcm_has(root, 0x0009, (uint16_t)(0x1000 + counts[i])));
            assert_false(dcm_has(root, 0x0009, 0x0FFF));
            assert_true(dcm_has_group(root, 0x0009));
            assert_false(dcm_has_group(root, 0x0008));
            assert_false(dcm_has_group(root, 0x000A));
            assert_false(dcm_has_group(NULL, 0x0009));
            dcm_close(f);
            free(b.p);
        }
}

/* What is private is not looked up in the list. */
static void list_is_standard(void **state)
{
    for (int i = 0; i < TAG_COUNT; i++)
        assert_int_equal(tag_of((tag_id)i)->group % 2, 0);
}

int main(void)
{
    pixels_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_what_is_known), cmocka_unit_test(as_it_is),
        cmocka_unit_test(order_of_elements),    cmocka_unit_test(found_in_any_item),
        cmocka_unit_test(list_is_standard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
