/* Header facts: precedence, side and view, dates, numbers as people write them, vendors, text
 * columns, and files that are cut, nested too deep or no DICOM at all. */
#include "tests/unit/dicom_record_case.h"
#include "dicom/views.h"
#include "core/mem.h"

static void plain_facts(void **state)
{
    const char *syntax[] = {TS_EXPLICIT, TS_IMPLICIT};
    for (int i = 0; i < 2; i++) {
        bytes b = begin(syntax[i]);
        identity(&b);
        str(&b, 0x0020, 0x0062, "CS", "L ");
        finish(&b);
        assert_int_equal(read_and_free(&b), REASON_NONE);
        assert_string_equal(r.transfer_syntax, syntax[i]);
        assert_string_equal(r.sop_uid, "1.2.3.4.5");
        assert_string_equal(r.study_uid, "1.2.3.4");
        assert_string_equal(r.patient_id, "W-0001");
        assert_string_equal(r.modality, "MG");
        assert_int_equal(r.intent, INTENT_PRESENTATION);
        int32_t day;
        assert_true(text_date("20200131", &day));
        assert_int_equal(r.exam_day, day);
        assert_string_equal(r.date_source, "StudyDate");
        assert_int_equal(r.side, 'L');
        assert_int_equal(r.rows, 8);
        assert_int_equal(r.cols, 6);
        assert_int_equal(r.bits_stored, 12);
        assert_int_equal(r.high_bit, 11);
        assert_int_equal(r.frames, 1);
        assert_string_equal(r.photometric, "MONOCHROME2");
        assert_int_equal(r.age, -1);
        assert_true(r.kvp < 0);
    }
}

/* Only the file's own group 0002 names the image. */
static void identity_from_meta(void **state)
{
    bytes b = begin(TS_EXPLICIT);
    finish(&b);
    assert_int_equal(read_and_free(&b), REASON_NONE);
    assert_string_equal(r.sop_uid, "1.2.3.4.99");
    assert_string_equal(r.sop_class, UID_MG);
    assert_string_equal(r.patient_id, "");
    assert_int_equal(r.exam_day, RECORD_UNKNOWN);
    assert_int_equal(r.view, VIEW_UNKNOWN);
    assert_int_equal(r.side, 0);
}

/* 64 letters of several bytes fit; what does not fit is no number at all, for two women whose
 * numbers begin alike must not become one. */
static void long_numbers(void **state)
{
    char number[300];
    for (size_t n = 250; n < 260; n += 3) {
        memset(number, 'X', n);
        number[n] = '\0';
        read_one(0x0010, 0x0020, "LO", number);
        assert_string_equal(r.patient_id, n < RECORD_ID ? number : "");
        read_one(0x0008, 0x0050, "SH", number);
        assert_string_equal(r.accession, n < RECORD_ID ? number : "");
    }
    memset(number, '1', 70);
    number[70] = '\0';
    read_one(0x0020, 0x000D, "UI", number);
    assert_string_equal(r.study_uid, "");
    number[64] = '\0';
    read_one(0x0020, 0x000D, "UI", number);
    assert_string_equal(r.study_uid, number);
}

/* An icon and a source image repeat attributes of the image; neither may leak into the record. */
static void nested_is_not_read(void **state)
{
    bytes b = begin(TS_EXPLICIT), icon = {0}, src = {0};
    str(&src, 0x0018, 0x5101, "CS", "MLO");
    str(&src, 0x0020, 0x0062, "CS", "R");
    seq1(&b, 0x0008, 0x2112, &src, 1);
    us(&icon, 0x0028, 0x0010, 64);
    us(&icon, 0x0028, 0x0011, 53);
    str(&icon, 0x0010, 0x0020, "LO", "ICON");
    finish(&b);
    /* the icon would stand before the pixel data in tag order; the reader must not depend on it */
    bytes c = begin(TS_EXPLICIT);
    seq1(&c, 0x0088, 0x0200, &icon, 0);
    finish(&c);
    assert_int_equal(read_and_free(&b), REASON_NONE);
    assert_int_equal(r.view, VIEW_UNKNOWN);
    assert_int_equal(r.side, 0);
    assert_int_equal(read_and_free(&c), REASON_NONE);
    assert_int_equal(r.rows, 8);
    assert_string_equal(r.patient_id, "");
    free(icon.p);
    free(src.p);
}

static void view_codes(void **state)
{
    const struct {
        const char *code, *scheme, *meaning;
        record_view want;
    } t[] = {{"399162004", "SCT", "cranio-caudal", VIEW_CC},
             {"R-10242", "SNM3", "", VIEW_CC},
             {"399368009", "SCT", "", VIEW_MLO},
             {"R-10226", "SRT", "", VIEW_MLO},
             {"399260004", "SCT", "", VIEW_ML},
             {"399352003", "SCT", "", VIEW_LM},
             {"127457009", "SCT", "", VIEW_SPECIMEN},
             {"99-LOCAL", "99X", "Medio-Lateral Oblique", VIEW_MLO},
             {"99-LOCAL", "99X", "something new", VIEW_OTHER}};
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        bytes b = begin(TS_EXPLICIT), item = {0}, mod = {0};
        code_item(&item, t[i].code, t[i].scheme, t[i].meaning);
        if (i == 0) { /* modifier nested in the view's item */
            code_item(&mod, "399209000", "SCT", "Implant Displaced");
            seq1(&item, 0x0054, 0x0222, &mod, 1);
        }
        seq1(&b, 0x0054, 0x0220, &item, (int)i % 2);
        finish(&b);
        assert_int_equal(read_and_free(&b), REASON_NONE);
        assert_int_equal(r.view, t[i].want);
        assert_string_equal(r.view_source, "ViewCodeSequence");
        assert_int_equal(r.modifiers, i == 0 ? MODIFIER_IMPLANT_DISPLACED : 0);
        free(item.p);
        free(mod.p);
    }
}

static void words(void **state)
{
    const struct {
        const char *text;
        int position;
        record_view view;
        char side;
        uint32_t modifiers;
    } t[] = {
        {"LCC", 1, VIEW_CC, 'L', 0},
        {"RMLO", 1, VIEW_MLO, 'R', 0},
        {"R MLO ID", 1, VIEW_MLO, 'R', MODIFIER_IMPLANT_DISPLACED},
        {"RCCID", 1, VIEW_CC, 'R', MODIFIER_IMPLANT_DISPLACED},
        {"LML", 1, VIEW_ML, 'L', 0},
        {"LM", 1, VIEW_LM, 0, 0},
        {"LMO", 1, VIEW_LMO, 0, 0},
        {"RLM", 1, VIEW_LM, 'R', 0},
        {"RIGHT CC", 1, VIEW_CC, 'R', 0},
        {"XCCL", 1, VIEW_XCCL, 0, 0},
        {"LCC SPOT MAG", 1, VIEW_CC, 'L', MODIFIER_SPOT | MODIFIER_MAGNIFICATION},
        {"Mammo screening L-CC", 0, VIEW_CC, 'L', 0},
        {"MLO bilateral, left and right", 0, VIEW_MLO, 0, 0},
        {"CC and MLO", 0, VIEW_UNKNOWN, 0, 0},
        {"ID 4711", 0, VIEW_UNKNOWN, 0, 0},
        {"MAMMOSCREENING 1E LEZING", 0, VIEW_UNKNOWN, 0, 0},
        {"SUCCESS", 0, VIEW_UNKNOWN, 0, 0},
        {"", 1, VIEW_UNKNOWN, 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        views_words w;
        views_of_words(t[i].text, t[i].position, &w);
        if (w.view != t[i].view || w.side != t[i].side || w.modifiers != t[i].modifiers)
            fail_msg("'%s': view %d side %d modifiers %u", t[i].text, (int)w.view, w.side,
                     (unsigned)w.modifiers);
    }
    assert_int_equal(views_text_flags("post-biopsy CLIP", ~0u), TEXT_BIOPSY | TEXT_CLIP);
    assert_int_equal(views_text_flags("Needle loc. right", ~0u), TEXT_WIRE);
    assert_int_equal(views_text_flags("L CC C-View", ~0u), TEXT_SYNTHETIC);
    assert_int_equal(views_text_flags("screening with CAD", TEXT_TOMO | TEXT_QC), 0);
    assert_int_equal(views_text_flags("eclipse", ~0u), 0);
    assert_int_equal(views_text_flags("preloc", ~0u), 0);
    assert_int_equal(views_text_flags("locked", ~0u), 0);
    assert_int_equal(views_text_flags("preclip clipper clip", ~0u), TEXT_CLIP);
    assert_int_equal(views_text_flags("", ~0u), 0);
}

static void sides(void **state)
{
    bytes b = begin(TS_EXPLICIT);
    str(&b, 0x0018, 0x5101, "CS", "LCC");
    str(&b, 0x0020, 0x0062, "CS", "R");
    finish(&b);
    assert_int_equal(read_and_free(&b), REASON_NONE);
    assert_int_equal(r.side, 'R');
    assert_int_equal(r.side_conflict, TRI_YES);
    assert_int_equal(r.view, VIEW_CC);
    b = begin(TS_EXPLICIT);
    str(&b, 0x0020, 0x0020, "CS", "P\\FL");
    finish(&b);
    assert_int_equal(read_and_free(&b), REASON_NONE);
    assert_int_equal(r.side, 'R');
    assert_string_equal(r.side_source, "PatientOrientation");
    assert_int_equal(r.view, VIEW_MLO);
    assert_string_equal(r.orientation[0], "P");
    assert_string_equal(r.orientation[1], "FL");
    /* orientation never contradicts: a workstation may have flipped the image */
    b = begin(TS_EXPLICIT);
    str(&b, 0x0020, 0x0020, "CS", "P\\L");
    str(&b, 0x0020, 0x0062, "CS", "L");
    finish(&b);
    assert_int_equal(read_and_free(&b), REASON_NONE);
    assert_int_equal(r.side, 'L');
    assert_int_equal(r.side_conflict, TRI_UNKNOWN);
    b = begin(TS_EXPLICIT);
    str(&b, 0x0020, 0x0062, "CS", "B");
    finish(&b);
    assert_int_equal(read_and_free(&b), REASON_NONE);
    assert_int_equal(r.side, 'B');
}

/* Multi-frame images keep the side in functional groups. */
static void functional_groups(void **state)
{
    bytes b = begin(TS_EXPLICIT), inner = {0}, group = {0};
    image m = IMAGE(.ts = TS_EXPLICIT);
    image_module(&b, m);
    str(&inner, 0x0020, 0x9072, "CS", "R");
    seq1(&group, 0x0020, 0x9071, &inner, 1);
    seq1(&b, 0x5200, 0x9229, &group, 1);
    native_pixels(&b, &m);
    assert_int_equal(read_and_free(&b), REASON_NONE);
    assert_int_equal(r.side, 'R');
    assert_string_equal(r.side_source, "FrameLaterality");
    free(inner.p);
    free(group.p);
}

static void dates_and_ages(void **state)
{
    const struct {
        const char *acquisition, *study, *want, *source;
    } t[] = {{"20210304", "20210301", "2021-03-04", "AcquisitionDate"},
             {"", "20210301", "2021-03-01", "StudyDate"},
             {"20990909", "20210301", "2021-03-01", "StudyDate"},
             {"19000101", "00000000", "", ""},
             {"20210230", "2021.03.01", "2021-03-01", "StudyDate"}};
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        bytes b = begin(TS_EXPLICIT);
        str(&b, 0x0008, 0x0020, "DA", t[i].study);
        str(&b, 0x0008, 0x0022, "DA", t[i].acquisition);
        finish(&b);
        assert_int_equal(read_and_free(&b), REASON_NONE);
        char day[11] = "";
        if (r.exam_day != RECORD_UNKNOWN)
            text_from_days(r.exam_day, day);
        assert_string_equal(day, t[i].want);
        assert_string_equal(r.date_source, t[i].source);
    }
    const struct {
        const char *age, *birth;
        int want;
    } a[] = {{"053Y", "", 53},     {"640M", "", 53},     {"000Y", "", -1},
             {"", "19700302", 49}, {"", "19700301", 50}, {"xx", "19700301", 50},
             {"", "20250101", -1}};
    for (size_t i = 0; i < COUNT_OF(a); i++) {
        bytes b = begin(TS_EXPLICIT);
        str(&b, 0x0008, 0x0020, "DA", "20200301");
        str(&b, 0x0010, 0x0030, "DA", a[i].birth);
        str(&b, 0x0010, 0x1010, "AS", a[i].age);
        finish(&b);
        assert_int_equal(read_and_free(&b), REASON_NONE);
        assert_int_equal(r.age, a[i].want);
    }
}

static void numbers(void **state)
{
    bytes b = begin(TS_EXPLICIT);
    str(&b, 0x0018, 0x0060, "DS", " 29,5 ");
    str(&b, 0x0018, 0x1153, "IS", "67300");
    str(&b, 0x0018, 0x1164, "DS", "0.07\\0.08");
    image m = IMAGE(.ts = TS_EXPLICIT, .is_signed = 1);
    image_module(&b, m);
    us(&b, 0x0028, 0x0120, 65535); /* wrong sign for signed pixels */
    str(&b, 0x0028, 0x1050, "DS", "+2.0e3\\100\\5");
    str(&b, 0x0028, 0x1051, "DS", "900\\0");
    str(&b, 0x0028, 0x1052, "DS", "-10");
    str(&b, 0x0028, 0x1053, "DS", "1");
    str(&b, 0x0028, 0x1055, "LO", "NOR:MAL\\HARDER");
    str(&b, 0x0028, 0x1056, "CS", "SIGMOID");
    native_pixels(&b, &m);
    assert_int_equal(read_and_free(&b), REASON_NONE);
    assert_float_equal(r.kvp, 29.5, 0);
    assert_float_equal(r.exposure, 67.3, 1e-12);
    assert_float_equal(r.row_mm, 0.07, 0);
    assert_float_equal(r.col_mm, 0.08, 0);
    assert_string_equal(r.spacing_source, "ImagerPixelSpacing");
    assert_int_equal(r.has_padding, 1);
    assert_int_equal(r.padding, -1);
    assert_int_equal(r.n_windows, 1);
    assert_float_equal(r.window_center[0], 2000, 0);
    assert_string_equal(r.window_name[0], "NOR MAL");
    assert_int_equal(r.has_rescale, 1);
    assert_float_equal(r.intercept, -10, 0);
    assert_int_equal(r.voi, VOI_SIGMOID);
}

static void vendors(void **state)
{
    assert_string_equal(record_vendor("LORAD, A Hologic Company"), "HOLOGIC");
    assert_string_equal(record_vendor("GE MEDICAL SYSTEMS"), "GE");
    assert_string_equal(record_vendor("ge"), "GE");
    assert_string_equal(record_vendor("Gentle Imaging"), "OTHER");
    assert_string_equal(record_vendor("Philips Digital Mammography Sweden AB"), "PHILIPS");
    assert_string_equal(record_vendor("Sectra Imtec AB"), "PHILIPS");
    assert_string_equal(record_vendor("IMSOMETHING"), "OTHER");
    assert_string_equal(record_vendor("I.M.S. Internazionale"), "IMS");
    assert_string_equal(record_vendor(""), "");
    bytes b = begin(TS_EXPLICIT);
    str(&b, 0x0008, 0x1090, "LO", "Mammomat Inspiration");
    finish(&b);
    assert_int_equal(read_and_free(&b), REASON_NONE);
    assert_string_equal(r.vendor, "SIEMENS");
}

/* Every column of a filled record survives text. */
static void columns(void **state)
{
    record a, c;
    err e = {0};
    char v[RECORD_COLUMN_MAX], w[RECORD_COLUMN_MAX];
    bytes b = begin(TS_EXPLICIT);
    identity(&b);
    str(&b, 0x0018, 0x1164, "DS", "0.0940909090909");
    str(&b, 0x0028, 0x1050, "DS", "2065\\2107.125");
    str(&b, 0x0028, 0x1051, "DS", "900\\750");
    str(&b, 0x0028, 0x1055, "LO", "NORMAL\\HARDER");
    finish(&b);
    assert_int_equal(read_and_free(&b), REASON_NONE);
    a = r;
    a.side_conflict = TRI_YES;
    a.view = VIEW_MLO;
    a.padding = -5;
    a.sex = 'F';
    a.age = 61;
    memset(&c, 0xAB, sizeof(c));
    record_clear(&c);
    int identifiers = 0;
    for (int i = 0; i < record_columns(); i++) {
        record_column_text(&a, i, v, sizeof(v));
        if (!record_column_parse(&c, i, v, &e))
            fail_msg("%s", e.msg);
        record_column_text(&c, i, w, sizeof(w));
        assert_string_equal(v, w);
        identifiers += record_column_is_identifier(i);
    }
    assert_int_equal(c.n_windows, 2);
    assert_float_equal(c.window_center[1], 2107.125, 0);
    assert_int_equal(c.exam_day, a.exam_day);
    assert_int_equal(c.view, VIEW_MLO);
    assert_float_equal(c.row_mm, a.row_mm, 0);
    assert_true(identifiers >= 8);
    assert_false(record_column_parse(&c, 0,
                                     "11111111111111111111111111111111111111111111111111111111111"
                                     "111111111",
                                     &e));
    assert_null(strstr(e.msg, "1111")); /* an identifier is never quoted */
}

static void refused(void **state)
{
    bytes b = {0};
    assert_int_equal(record_read("", 0, &r), REASON_IO_UNREADABLE);
    put(&b, "this is a letter to the editor, and no image of any kind at all", 63);
    assert_int_equal(read_and_free(&b), REASON_IO_UNREADABLE);
    b = begin(TS_EXPLICIT);
    identity(&b);
    assert_int_equal(read_and_free(&b), REASON_NOT_IMAGE);
    assert_string_equal(r.patient_id, "W-0001");
    b = begin(TS_DEFLATED);
    put(&b, "\x78\x9c\x01\x02\x03\x04\x05\x06\x07", 9);
    assert_int_equal(read_and_free(&b), REASON_IO_UNREADABLE); /* not raw deflate */
    /* pixel data declared shorter than the image */
    b = begin(TS_EXPLICIT);
    image m = IMAGE(.rows = 8);
    image_module(&b, m);
    m.rows = 7;
    native_pixels(&b, &m);
    assert_int_equal(read_and_free(&b), REASON_IO_TRUNCATED);
}

/* Cut at every byte: a file is whole or it is refused. */
static void cut_everywhere(void **state)
{
    image m[] = {IMAGE(.ts = TS_EXPLICIT), IMAGE(.ts = TS_IMPLICIT), IMAGE(.ts = TS_JLL)};
    for (size_t k = 0; k < COUNT_OF(m); k++) {
        bytes b = whole_file(m[k]);
        assert_int_equal(record_read(b.p, b.n, &r), REASON_NONE);
        for (size_t n = 0; n < b.n; n++)
            assert_int_not_equal(record_read(b.p, n, &r), REASON_NONE);
        assert_int_equal(record_read(b.p, b.n - 1, &r), REASON_IO_TRUNCATED);
        free(b.p);
    }
}

/* Zeros behind the pixel data are padding; anything else there is damage. */
/* Leave `byte` behind in freed memory of many sizes. */
static void poison(int byte)
{
    void *p[200];
    for (size_t i = 0; i < 200; i++)
        assert_non_null(p[i] = malloc(8 + 4 * i));
    for (size_t i = 0; i < 200; i++)
        memset(p[i], byte, 8 + 4 * i);
    for (size_t i = 0; i < 200; i++)
        free(p[i]);
}

/* What a cut file is said to hold comes from its bytes, never from what lay in memory before. */
static void cut_values_are_dropped(void **state)
{
    bytes b = begin(TS_EXPLICIT);
    finish(&b);
    for (size_t n = 132; n < b.n; n++) {
        record first;
        poison('1');
        (void)record_read(b.p, n, &first);
        poison('7');
        (void)record_read(b.p, n, &r);
        assert_memory_equal(&first, &r, sizeof r);
    }
    free(b.p);
}

static void padded_file(void **state)
{
    for (int n = 0; n < 40; n += 3) {
        bytes b = whole_file(IMAGE(.ts = TS_EXPLICIT));
        for (int i = 0; i < n; i++)
            put8(&b, 0);
        assert_int_equal(read_and_free(&b), REASON_NONE);
    }
    bytes b = whole_file(IMAGE(.ts = TS_EXPLICIT));
    put(&b, "abc", 3);
    assert_int_equal(read_and_free(&b), REASON_IO_TRUNCATED);
}

static void old_characters(void **state)
{
    bytes b = begin(TS_EXPLICIT);
    str(&b, 0x0008, 0x0070, "LO", "M\xFCller Ger\xE4te");
    str(&b, 0x0008, 0x1090, "LO", "M\xC3\xBCller");
    str(&b, 0x0028, 0x1050, "DS", "100");
    str(&b, 0x0028, 0x1051, "DS", "200");
    str(&b, 0x0028, 0x1055, "LO", "H\xE4rter");
    finish(&b);
    assert_int_equal(read_and_free(&b), REASON_NONE);
    assert_int_equal(r.n_windows, 1);
    assert_string_equal(r.window_name[0], "H?RTER");
    assert_string_equal(r.manufacturer, "M?ller Ger?te");
    assert_string_equal(r.model, "M\xC3\xBCller");
}

static void depth(int levels, int undefined, reason want)
{
    bytes b = begin(TS_EXPLICIT), in = {0};
    str(&in, 0x0008, 0x0100, "SH", "X");
    for (int i = 0; i < levels; i++) {
        bytes out = {0};
        seq1(&out, 0x0040, 0xA730, &in, undefined);
        free(in.p);
        in = out;
    }
    put(&b, in.p, in.n);
    free(in.p);
    finish(&b);
    assert_int_equal(read_and_free(&b), want);
}

static void nesting(void **state)
{
    for (int undefined = 0; undefined < 2; undefined++) {
        depth(10, undefined, REASON_NONE);
        depth(64, undefined, REASON_NONE);
        depth(66, undefined, REASON_IO_UNREADABLE);
        depth(3000, undefined, REASON_IO_UNREADABLE);
    }
}

/* Lengths beyond the file and absurd multiplicities cost neither memory nor time. */
static void hostile_lengths(void **state)
{
    bytes b = begin(TS_EXPLICIT);
    head(&b, 0x0009, 0x1001, "OB", 0xFFFFFFF0u);
    put(&b, "abcd", 4);
    assert_int_equal(read_and_free(&b), REASON_IO_TRUNCATED);
    b = begin(TS_EXPLICIT);
    head(&b, 0x0028, 0x1050, "UT", 2000000);
    for (int i = 0; i < 1000000; i++)
        put(&b, "1\\", 2);
    finish(&b);
    assert_int_equal(read_and_free(&b), REASON_NONE);
    assert_int_equal(r.n_windows, 0);
    b = begin(TS_EXPLICIT);
    image m = IMAGE(.cols = 6), none = m;
    none.rows = 0;
    image_module(&b, none);
    native_pixels(&b, &m);
    assert_int_equal(read_and_free(&b), REASON_NONE); /* judged when its pixels are asked for */
}

/* Every number that names the person: once each, with who gave it, as long as whole ones fit. */
static void other_numbers(void **state)
{
    bytes b = begin(TS_EXPLICIT), items = {0}, one = {0};
    str(&b, 0x0010, 0x0020, "LO", "W-1");
    str(&b, 0x0010, 0x0021, "LO", "HOUSE|A");
    str(&b, 0x0010, 0x1000, "LO", "W-2\\ W-1 \\\\W-2");
    str(&one, 0x0010, 0x0020, "LO", "X-9");
    str(&one, 0x0010, 0x0021, "LO", "NORTH");
    item_head(&items, (uint32_t)one.n);
    put(&items, one.p, one.n);
    one.n = 0;
    str(&one, 0x0010, 0x0020, "LO", "W-3");
    item_head(&items, (uint32_t)one.n);
    put(&items, one.p, one.n);
    head(&b, 0x0010, 0x1002, "SQ", (uint32_t)items.n);
    put(&b, items.p, items.n);
    str(&b, 0x0012, 0x0020, "LO", "P7");
    str(&b, 0x0012, 0x0040, "LO", "12");
    finish(&b);
    assert_int_equal(read_and_free(&b), REASON_NONE);
    assert_string_equal(r.patient_id, "W-1");
    assert_string_equal(r.other_ids, "HOUSE A|W-2\\NORTH|X-9\\HOUSE A|W-3\\trial P7|12");
    free(items.p);
    free(one.p);
    b = begin(TS_EXPLICIT);
    char many[700] = "";
    for (int i = 0; i < 14; i++) /* 40 letters each */
        snprintf(many + strlen(many), sizeof(many) - strlen(many), "%s%040d", i ? "\\" : "", i);
    str(&b, 0x0010, 0x1000, "LO", many);
    finish(&b);
    assert_int_equal(read_and_free(&b), REASON_NONE);
    assert_int_equal(strlen(r.other_ids), 12 * 41 + 11);
}

static void exposure_and_quality(void **state)
{
    bytes b = begin(TS_EXPLICIT);
    str(&b, 0x0008, 0x0064, "CS", "WSD");
    str(&b, 0x0018, 0x1016, "LO", "Screen grabber");
    str(&b, 0x0018, 0x1114, "DS", "1.073");
    str(&b, 0x0018, 0x1191, "CS", "tungsten");
    str(&b, 0x0018, 0x1405, "IS", "350");
    str(&b, 0x0018, 0x7004, "CS", "DIRECT");
    str(&b, 0x0018, 0x7050, "CS", "RHODIUM\\SILVER");
    str(&b, 0x0028, 0x0302, "CS", "NO");
    str(&b, 0x0028, 0x2110, "CS", "01");
    str(&b, 0x0028, 0x2112, "DS", "4\\2.5");
    finish(&b);
    assert_int_equal(read_and_free(&b), REASON_NONE);
    assert_string_equal(r.conversion_type, "WSD");
    assert_string_equal(r.sc_manufacturer, "Screen grabber");
    assert_float_equal(r.magnification, 1.073, 0);
    assert_string_equal(r.anode, "TUNGSTEN");
    assert_string_equal(r.filter, "RHODIUM\\SILVER");
    assert_float_equal(r.relative_exposure, 350, 0);
    assert_string_equal(r.detector_type, "DIRECT");
    assert_int_equal(r.recognizable, TRI_NO);
    assert_int_equal(r.lossy, TRI_YES);
    assert_float_equal(r.lossy_ratio, 10, 0);
    const struct {
        unsigned g, e;
        const char *value;
        record_tri want;
    } qc[] = {{0x0028, 0x0300, "YES", TRI_YES},    {0x0028, 0x0300, "BOTH", TRI_YES},
              {0x0028, 0x0300, "NO", TRI_NO},      {0x0050, 0x0004, "YES", TRI_YES},
              {0x0050, 0x0004, "NO", TRI_UNKNOWN}, {0x0010, 0x0200, "YES", TRI_YES}};
    for (size_t i = 0; i < COUNT_OF(qc); i++) {
        read_one(qc[i].g, qc[i].e, "CS", qc[i].value);
        assert_int_equal(r.qc, qc[i].want);
    }
    const char *status[] = {"ABORTED", "NORMAL", ""};
    const record_tri aborted[] = {TRI_YES, TRI_NO, TRI_UNKNOWN};
    for (size_t i = 0; i < COUNT_OF(status); i++) {
        read_one(0x0018, 0x7064, "CS", status[i]);
        assert_int_equal(r.aborted, aborted[i]);
    }
    const char *lossy[] = {"01", "1", "00", "", "YES"};
    const record_tri lost[] = {TRI_YES, TRI_YES, TRI_NO, TRI_UNKNOWN, TRI_UNKNOWN};
    for (size_t i = 0; i < COUNT_OF(lossy); i++) {
        read_one(0x0028, 0x2110, "CS", lossy[i]);
        assert_int_equal(r.lossy, lost[i]);
    }
}

/* The order of the days, each one dropped in turn; the clock beside them. */
static void order_of_days(void **state)
{
    const char *const source[] = {
        "AcquisitionDate", "AcquisitionDateTime", "FrameAcquisitionDateTime",
        "ContentDate",     "StudyDate",           "SeriesDate"};
    for (int from = 0; from < 6; from++) {
        bytes b = begin(TS_EXPLICIT), inner = {0};
#define DAY(i) (from <= (i) ? "2020020" #i : "19000101")
        str(&b, 0x0008, 0x0020, "DA", DAY(4));
        str(&b, 0x0008, 0x0021, "DA", DAY(5));
        str(&b, 0x0008, 0x0022, "DA", DAY(0)[7] == '0' ? "20200210" : "20990909");
        str(&b, 0x0008, 0x0023, "DA", DAY(3));
        if (from <= 1)
            str(&b, 0x0008, 0x002A, "DT", "20200201123456.5");
        if (from <= 2) {
            str(&inner, 0x0018, 0x9074, "DT", "20200202070809");
            in_group(&b, 0, 0x0020, 0x9111, &inner);
        }
#undef DAY
        finish(&b);
        assert_int_equal(read_and_free(&b), REASON_NONE);
        char day[11];
        text_from_days(r.exam_day, day);
        assert_string_equal(r.date_source, source[from]);
        assert_int_equal(day[9], '0' + from);
        assert_int_equal(r.acquisition_time, from <= 1   ? 12 * 3600 + 34 * 60 + 56
                                             : from == 2 ? 7 * 3600 + 8 * 60 + 9
                                                         : -1);
    }
    read_one(0x0008, 0x0032, "TM", "12:34:56");
    assert_int_equal(r.acquisition_time, 12 * 3600 + 34 * 60 + 56);
    read_one(0x0008, 0x0032, "TM", "126156");
    assert_int_equal(r.acquisition_time, -1);
    const struct {
        const char *as, *birth;
        int want;
    } ages[] = {{"400W", "", 7},        {"004D", "", -1},      {"131Y", "", -1},
                {"", "1950.02.11", 69}, {"", "19000101", -1},  {"", "00010101", -1},
                {"", "19300210", 90},   {"Y", "19500210", 70}, {"053y", "", 53}};
    for (size_t i = 0; i < COUNT_OF(ages); i++) {
        bytes b = begin(TS_EXPLICIT);
        str(&b, 0x0008, 0x0020, "DA", "20200210");
        str(&b, 0x0010, 0x0030, "DA", ages[i].birth);
        str(&b, 0x0010, 0x1010, "AS", ages[i].as);
        finish(&b);
        assert_int_equal(read_and_free(&b), REASON_NONE);
        assert_int_equal(r.age, ages[i].want);
    }
    const char *sexes[] = {"F", "f", "M", "O", "X", ""};
    const char sex[] = {'F', 'F', 'M', 'O', 0, 0};
    for (size_t i = 0; i < COUNT_OF(sexes); i++) {
        read_one(0x0010, 0x0040, "CS", sexes[i]);
        assert_int_equal(r.sex, sex[i]);
    }
}

/* Words that make an image special, where they count and where they do not. */
static void special_words(void **state)
{
    const struct {
        unsigned g, e;
        const char *value;
        uint32_t want;
    } t[] = {
        {0x0008, 0x1030, "Stereo guided", TEXT_STEREO},
        {0x0008, 0x1030, "Mamma BIOPSY rechts", TEXT_BIOPSY},
        {0x0008, 0x1030, "needle", TEXT_BIOPSY},
        {0x0040, 0x0254, "wire", TEXT_WIRE},
        {0x0040, 0x0254, "Needle Loc", TEXT_WIRE},
        {0x0008, 0x103E, "post CLIP", TEXT_CLIP},
        {0x0008, 0x103E, "CAD", TEXT_CAD},
        {0x0008, 0x103E, "R CC C-View", TEXT_SYNTHETIC},
        {0x0008, 0x103E, "L MLO S-View", TEXT_SYNTHETIC},
        {0x0008, 0x103E, "V-Preview", TEXT_SYNTHETIC},
        {0x0008, 0x103E, "Insight 2D", TEXT_SYNTHETIC},
        {0x0008, 0x103E, "Intelligent 2D", TEXT_SYNTHETIC},
        {0x0008, 0x103E, "Synthetic", TEXT_SYNTHETIC},
        {0x0008, 0x1030, "C-View", 0}, /* of the study: not of every image in it */
        {0x0010, 0x0020, "PHANTOM-1", TEXT_PHANTOM},
        {0x0010, 0x0010, "Flat^Field^Test", TEXT_QC},
        {0x0010, 0x0020, "QA20", 0},
        {0x0010, 0x0020, "Mass-Test_P_00016_LEFT_CC", 0}, /* a woman of a public archive */
        {0x0010, 0x0020, "TEST-0001", TEXT_QC},
        {0x0010, 0x0010, "Acceptance Test_2", TEXT_QC},
        {0x0010, 0x0010, "MAMMO_PHANTOM", TEXT_PHANTOM},
        {0x0008, 0x1030, "daily QC", TEXT_QC},
        {0x0008, 0x1030, "ACR", TEXT_QC},
    };
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        read_one(t[i].g, t[i].e, "LO", t[i].value);
        if (r.text_flags != t[i].want)
            fail_msg("'%s': %u", t[i].value, (unsigned)r.text_flags);
    }
    bytes b = begin(TS_EXPLICIT), target = {0};
    str(&target, 0x0018, 0x2042, "UI", "1.2");
    seq1(&b, 0x0018, 0x2041, &target, 1);
    free(target.p);
    finish(&b);
    assert_int_equal(read_and_free(&b), REASON_NONE);
    assert_int_equal(r.text_flags, TEXT_BIOPSY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_facts),
        cmocka_unit_test(identity_from_meta),
        cmocka_unit_test(long_numbers),
        cmocka_unit_test(nested_is_not_read),
        cmocka_unit_test(view_codes),
        cmocka_unit_test(words),
        cmocka_unit_test(sides),
        cmocka_unit_test(functional_groups),
        cmocka_unit_test(dates_and_ages),
        cmocka_unit_test(numbers),
        cmocka_unit_test(vendors),
        cmocka_unit_test(columns),
        cmocka_unit_test(refused),
        cmocka_unit_test(cut_everywhere),
        cmocka_unit_test(cut_values_are_dropped),
        cmocka_unit_test(padded_file),
        cmocka_unit_test(old_characters),
        cmocka_unit_test(nesting),
        cmocka_unit_test(hostile_lengths),
        cmocka_unit_test(other_numbers),
        cmocka_unit_test(exposure_and_quality),
        cmocka_unit_test(order_of_days),
        cmocka_unit_test(special_words),
    };
    return cmocka_run_group_tests(tests, dictionary, NULL);
}
