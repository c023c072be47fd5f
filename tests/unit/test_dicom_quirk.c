/* Every row of the quirk table: a header that meets it and one just outside, what it changes, and
 * that applying it twice changes nothing. Device names that may leave the hospital. */
#include "tests/unit/dicom_record_case.h"
#include "dicom/quirk.h"

typedef void fill(bytes *b);

typedef struct quirk_case {
    const char *name;
    fill *met, *outside;
    void (*check)(void); /* of the record that met it; NULL: the name alone */
} quirk_case;

#define HEAD(name, ...)                                                                            \
    static void name(bytes *b)                                                                     \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
    }
#define VENDOR(v) str(b, 0x0008, 0x0070, "LO", v)
#define MODEL(v)  str(b, 0x0008, 0x1090, "LO", v)
#define TYPE(v)   str(b, 0x0008, 0x0008, "CS", v)
#define SIZE(rows, cols)                                                                           \
    us(b, 0x0028, 0x0010, rows);                                                                   \
    us(b, 0x0028, 0x0011, cols)
#define BITS(n)       us(b, 0x0028, 0x0101, n)
#define WINDOWS(c, w) str(b, 0x0028, 0x1050, "DS", c), str(b, 0x0028, 0x1051, "DS", w)

static void volume(bytes *b, const char *creator, unsigned block)
{
    bytes chunk = {0};
    head(&chunk, 0x7E01, block << 8 | 0x12, "OB", 4);
    put(&chunk, "abcd", 4);
    str(b, 0x7E01, block, "LO", creator);
    seq1(b, 0x7E01, block << 8 | 0x10, &chunk, 1);
    free(chunk.p);
}

HEAD(plain, VENDOR("ACME"))
HEAD(sop_same, str(b, 0x0008, 0x0018, "UI", "1.2.3.4.99"))
HEAD(sop_other, str(b, 0x0008, 0x0018, "UI", "1.2.3.4.5"))
HEAD(voi_odd, str(b, 0x0028, 0x1056, "CS", "CUBIC"))
HEAD(frames_odd, str(b, 0x0028, 0x0008, "IS", "None"))
HEAD(turned, str(b, 0x0018, 0x7032, "DS", "180"))
HEAD(flipped_not, str(b, 0x0018, 0x7032, "DS", "0"); str(b, 0x0018, 0x7034, "CS", "NO"))
HEAD(wsd, str(b, 0x0008, 0x0060, "CS", "MG"); str(b, 0x0008, 0x0064, "CS", "WSD"))
HEAD(wsd_other, str(b, 0x0008, 0x0060, "CS", "OT"); str(b, 0x0008, 0x0064, "CS", "WSD"))
HEAD(cassette, str(b, 0x0018, 0x7004, "CS", "STORAGE"))
HEAD(no_cassette, str(b, 0x0018, 0x7004, "CS", "DIRECT"))
HEAD(sco, volume(b, "HOLOGIC, Inc.", 0x10))
HEAD(sco_of_another, volume(b, "ACME", 0x10))
HEAD(fdr_derived, MODEL("FDR-3000AWS"); TYPE("DERIVED\\PRIMARY"))
HEAD(fdr_contrast, MODEL("FDR-3000AWS"); TYPE("DERIVED\\PRIMARY\\POST_CONTRAST"))
HEAD(cview, VENDOR("HOLOGIC, Inc."); TYPE("DERIVED\\PRIMARY\\\\GENERATED_2D"); BITS(10))
HEAD(cview_with_window, cview(b); WINDOWS("500", "1000"))
HEAD(hologic_large, VENDOR("LORAD"); SIZE(4096, 3328))
HEAD(hologic_magnified, hologic_large(b); str(b, 0x0018, 0x1114, "DS", "1.75"))
HEAD(hologic_odd, VENDOR("LORAD"); SIZE(4096, 3327))
HEAD(microdose, VENDOR("Sectra Imtec AB"); MODEL("MicroDose SI"))
HEAD(microdose_known, microdose(b); str(b, 0x0018, 0x1164, "DS", "0.1"))
HEAD(ge_windows, VENDOR("GE MEDICAL SYSTEMS"); WINDOWS("1\\2", "3\\4"))
HEAD(ge_window, VENDOR("GE MEDICAL SYSTEMS"); WINDOWS("1", "3"))
HEAD(ge_range, VENDOR("GE"); us(b, 0x0028, 0x0120, 0); us(b, 0x0028, 0x0121, 658))
HEAD(ge_value, VENDOR("GE"); us(b, 0x0028, 0x0120, 0))
HEAD(fuji_inverse, VENDOR("FUJIFILM"); str(b, 0x2050, 0x0020, "CS", "INVERSE"))
HEAD(fuji_identity, VENDOR("FUJIFILM"); str(b, 0x2050, 0x0020, "CS", "IDENTITY"))
HEAD(ims_sigmoid, VENDOR("IMS s.r.l."); str(b, 0x0028, 0x1056, "CS", "SIGMOID"))
HEAD(ims_linear, VENDOR("IMS s.r.l."); str(b, 0x0028, 0x1056, "CS", "LINEAR"))

static void is_volume(void)
{
    assert_true(r.text_flags & TEXT_PRIVATE_VOLUME);
}
static void is_synthetic(void)
{
    assert_true(r.text_flags & TEXT_SYNTHETIC);
}
static void has_cview_window(void)
{
    assert_int_equal(r.n_windows, 1);
    assert_float_equal(r.window_center[0], 540, 0);
    assert_float_equal(r.window_width[0], 580, 0);
}
static void is_70_um(void)
{
    assert_float_equal(r.row_mm, 0.07, 0);
    assert_float_equal(r.col_mm, 0.07, 0);
    assert_string_equal(r.spacing_source, RECORD_VENDOR_TABLE);
}
static void is_40_um(void)
{
    assert_float_equal(r.row_mm, 0.04, 1e-12); /* of the breast, 1.75 times on the detector */
    assert_float_equal(r.col_mm, 0.04, 1e-12);
}
static void is_50_um(void)
{
    assert_float_equal(r.row_mm, 0.05, 0);
}
static void uid_of_data_set(void)
{
    assert_string_equal(r.sop_uid, "1.2.3.4.5");
}

static const quirk_case cases[] = {
    {"meta_uid_differs", sop_other, sop_same, uid_of_data_set},
    {"voi_function_unknown", voi_odd, plain, NULL},
    {"frames_unusable", frames_odd, plain, NULL},
    {"fov_already_applied", turned, flipped_not, NULL},
    {"conversion_type_on_mg", wsd, wsd_other, NULL},
    {"cr_cassette", cassette, no_cassette, NULL},
    {"hologic_sco", sco, sco_of_another, is_volume},
    {"fuji_fdr3000_synthetic", fdr_derived, fdr_contrast, is_synthetic},
    {"hologic_cview", cview, cview_with_window, has_cview_window},
    {"hologic_pitch", hologic_large, hologic_odd, is_70_um},
    {"hologic_pitch", hologic_magnified, hologic_odd, is_40_um},
    {"philips_pitch", microdose, microdose_known, is_50_um},
    {"ge_voi_items", ge_windows, ge_window, NULL},
    {"ge_padding_range", ge_range, ge_value, NULL},
    {"fuji_planmed_polarity", fuji_inverse, fuji_identity, NULL},
    {"ims_voi_function", ims_sigmoid, ims_linear, NULL},
};

/* Sizes and bits of the case stand first and win; the pixel data is as small as it may be. */
static void read_filled(fill *f)
{
    bytes b = begin(TS_RLE);
    f(&b);
    us(&b, 0x0028, 0x0100, 16);
    items_begin(&b);
    item(&b, (const uint8_t *)"xx", 2);
    sequence_end(&b);
    assert_int_equal(read_and_free(&b), REASON_NONE);
}

static bool fired(const char *name)
{
    char words[RECORD_QUIRKS + 2], word[64];
    snprintf(words, sizeof(words), " %s ", r.quirks);
    snprintf(word, sizeof(word), " %s ", name);
    return strstr(words, word) != NULL;
}

static void each_row(void **state)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        read_filled(cases[i].outside);
        if (fired(cases[i].name))
            fail_msg("%s fires outside: '%s'", cases[i].name, r.quirks);
        read_filled(cases[i].met);
        if (!fired(cases[i].name))
            fail_msg("%s does not fire: '%s'", cases[i].name, r.quirks);
        if (cases[i].check)
            cases[i].check();
        record once = r;
        quirk_apply(&r, NULL);
        assert_memory_equal(&once, &r, sizeof(r));
    }
    for (int q = 0; q < quirk_count(); q++) { /* no row without a case */
        bool seen = strcmp(quirk_at(q)->name, "explicit_length_encapsulated") == 0;
        for (size_t i = 0; i < COUNT_OF(cases); i++)
            seen = seen || strcmp(cases[i].name, quirk_at(q)->name) == 0;
        if (!seen)
            fail_msg("%s has no case", quirk_at(q)->name);
    }
}

static void explicit_length(void **state)
{
    for (int items = 0; items < 2; items++) {
        bytes b = begin(TS_BASELINE);
        us(&b, 0x0028, 0x0100, 8);
        if (items) {
            items_begin(&b);
            item(&b, (const uint8_t *)"\xFF\xD8", 2);
            sequence_end(&b);
        } else {
            head(&b, 0x7FE0, 0x0010, "OB", 2);
            put(&b, "\xFF\xD8", 2);
        }
        assert_int_equal(read_and_free(&b), REASON_NONE);
        assert_int_equal(fired("explicit_length_encapsulated"), !items);
    }
}

/* A block elsewhere in the private group, and one nobody reserved. */
static void private_blocks(void **state)
{
    bytes b = begin(TS_EXPLICIT);
    str(&b, 0x7E01, 0x0011, "LO", "ACME");
    volume(&b, "HOLOGIC, Inc.", 0x42);
    read_case(&b);
    assert_true(r.text_flags & TEXT_PRIVATE_VOLUME);
    b = begin(TS_EXPLICIT);
    str(&b, 0x7E01, 0x0011, "LO", "HOLOGIC, Inc."); /* reserves another block than the one used */
    volume(&b, "ACME", 0x10);
    read_case(&b);
    assert_false(r.text_flags & TEXT_PRIVATE_VOLUME);
}

static void all_names_fit(void **state)
{
    size_t n = 0;
    for (int q = 0; q < quirk_count(); q++) {
        const quirk *k = quirk_at(q);
        n += strlen(k->name) + 1;
        assert_true(k->when[0] && k->what[0] && k->source[0]);
        assert_int_equal(strspn(k->name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(k->name));
    }
    assert_true(n <= RECORD_QUIRKS);
}

static void public_names(void **state)
{
    const struct {
        const char *maker, *model, *vendor, *public;
    } t[] = {
        {"HOLOGIC, Inc.", "Selenia Dimensions", "HOLOGIC", "SELENIA DIMENSIONS"},
        {"LORAD", "Lorad Selenia", "HOLOGIC", "LORAD SELENIA"},
        {"", "Mammomat Inspiration", "SIEMENS", "MAMMOMAT INSPIRATION"},
        {"", "Senograph DS ADS_43.10.1", "GE", "SENOGRAPH DS"},
        {"GE", "Senographe Essential of Dr. Jane Doe", "GE", "SENOGRAPHE ESSENTIAL"},
        {"", "fdr-3000aws", "FUJI", "FDR 3000AWS"},
        {"Private Clinic Jane Doe", "Jane's machine", "OTHER", "OTHER"},
        {"Private Clinic Jane Doe", "Selenia", "OTHER", "SELENIA"},
        {"", "Jane's machine", "", "OTHER"},
        {"", "MAMMOMATIC", "", "OTHER"}, /* whole words only */
        {"", "", "", ""},
    };
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        record_clear(&r);
        text_copy(r.manufacturer, sizeof(r.manufacturer), t[i].maker);
        text_copy(r.model, sizeof(r.model), t[i].model);
        record_set_vendor(&r);
        assert_string_equal(r.vendor, t[i].vendor);
        assert_string_equal(record_model_public(&r), t[i].public);
    }
}

/* The text for the pseudonymous side holds nothing that a person may have typed into a device. */
static void public_columns(void **state)
{
    char v[RECORD_COLUMN_MAX];
    bytes b = begin(TS_EXPLICIT);
    str(&b, 0x0008, 0x0070, "LO", "CANARY Manufacturer");
    str(&b, 0x0008, 0x1010, "SH", "CANARY");
    str(&b, 0x0008, 0x1090, "LO", "CANARY Mammomat Fusion");
    str(&b, 0x0010, 0x1000, "LO", "CANARY-2");
    str(&b, 0x0018, 0x1000, "LO", "CANARY-3");
    str(&b, 0x0018, 0x1020, "LO", "CANARY 4.1");
    str(&b, 0x0018, 0x700A, "SH", "CANARY-5");
    str(&b, 0x0020, 0x0010, "SH", "CANARY-6");
    str(&b, 0x0028, 0x1050, "DS", "1\\2");
    str(&b, 0x0028, 0x1051, "DS", "3\\4");
    str(&b, 0x0028, 0x1055, "LO", "CANARY\\NORMAL");
    read_case(&b);
    for (int i = 0; i < record_columns(); i++) {
        record_column_public(&r, i, v, sizeof(v));
        if (strstr(v, "CANARY"))
            fail_msg("column %s tells '%s'", record_column_name(i), v);
        if (strcmp(record_column_name(i), "model") == 0)
            assert_string_equal(v, "MAMMOMAT FUSION");
        if (strcmp(record_column_name(i), "manufacturer") == 0)
            assert_string_equal(v, "OTHER");
        if (strcmp(record_column_name(i), "windows") == 0)
            assert_string_equal(v, "1:3:;2:4:NORMAL");
    }
    assert_string_equal(r.station, "CANARY");
    assert_string_equal(r.serial, "CANARY-3");
    assert_string_equal(r.software, "CANARY 4.1");
    assert_string_equal(r.detector_id, "CANARY-5");
    assert_string_equal(r.study_id, "CANARY-6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row),       cmocka_unit_test(explicit_length),
        cmocka_unit_test(private_blocks), cmocka_unit_test(all_names_fit),
        cmocka_unit_test(public_names),   cmocka_unit_test(public_columns),
    };
    return cmocka_run_group_tests(tests, dictionary, NULL);
}
