/* View, modifiers, side, orientation and partial views: every code, every word, the order of the
 * sources and what counts as a conflict. dicom.md 1. */
#include "tests/unit/dicom_record_case.h"
#include "dicom/views.h"

/* One ViewCodeSequence item, with modifiers inside it or at top level. */
static void read_codes(const char *code, const char *scheme, const char *meaning, const char *mod,
                       const char *mod_meaning, bool inside)
{
    bytes b = begin(TS_EXPLICIT), view = {0}, one = {0};
    code_item(&view, code, scheme, meaning);
    if (mod)
        code_item(&one, mod, scheme, mod_meaning);
    if (mod && inside)
        seq1(&view, 0x0054, 0x0222, &one, 1);
    seq1(&b, 0x0054, 0x0220, &view, 0);
    if (mod && !inside)
        seq1(&b, 0x0054, 0x0222, &one, 0);
    free(view.p);
    free(one.p);
    read_case(&b);
}

static void every_view_code(void **state)
{
    const struct {
        const char *sct, *srt, *meaning;
        record_view want;
    } t[] = {{"399162004", "R-10242", "cranio-caudal", VIEW_CC},
             {"399368009", "R-10226", "medio-lateral oblique", VIEW_MLO},
             {"399260004", "R-10224", "medio-lateral", VIEW_ML},
             {"399352003", "R-10228", "latero-medial", VIEW_LM},
             {"399099002", "R-10230", "latero-medial oblique", VIEW_LMO},
             {"399192008", "R-1024A", "cranio-caudal exaggerated laterally", VIEW_XCCL},
             {"399101009", "R-1024B", "cranio-caudal exaggerated medially", VIEW_XCCM},
             {"399196006", "R-10244", "caudo-cranial (from below)", VIEW_FB},
             {"399188001", "R-102D0", "superolateral to inferomedial oblique", VIEW_SIO},
             {"441555000", "R-40AAA", "inferomedial to superolateral oblique", VIEW_ISO},
             {"127457009", "G-8310", "tissue specimen from breast", VIEW_SPECIMEN}};
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        /* the code wins over what is said beside it */
        read_codes(t[i].sct, "SCT", "left cranio-caudal of sorts", NULL, NULL, false);
        assert_int_equal(r.view, t[i].want);
        read_codes(t[i].srt, "SRT", t[(i + 1) % COUNT_OF(t)].meaning, NULL, NULL, false);
        assert_int_equal(r.view, t[i].want);
        read_codes(t[i].srt, "SNM3", "", NULL, NULL, false);
        assert_int_equal(r.view, t[i].want);
        read_codes("L-1", "99LOCAL", t[i].meaning, NULL, NULL, false);
        assert_int_equal(r.view, t[i].want);
        assert_string_equal(r.view_source, "ViewCodeSequence");
    }
    read_codes("R-99999", "SRT", "something else", NULL, NULL, false);
    assert_int_equal(r.view, VIEW_OTHER);
}

static void every_modifier_code(void **state)
{
    const struct {
        const char *sct, *srt, *meaning;
        uint32_t want;
    } t[] = {
        {"399209000", "R-102D5", "Implant displaced", MODIFIER_IMPLANT_DISPLACED},
        {"399163009", "R-102D6", "Magnification", MODIFIER_MAGNIFICATION},
        {"399055006", "R-102D7", "Spot compression", MODIFIER_SPOT},
        {"399161006", "R-102D2", "Cleavage", MODIFIER_OTHER | MODIFIER_CLEAVAGE},
        {"399011000", "R-102D1", "Axillary tail", MODIFIER_OTHER | MODIFIER_AXILLARY_TAIL},
        {"442580003", "R-40AB2", "Axillary tissue", MODIFIER_OTHER | MODIFIER_AXILLARY_TISSUE},
        {"399110001", "R-102C2", "Tangential", MODIFIER_OTHER | MODIFIER_TANGENTIAL},
        {"441752004", "P2-00161", "Anterior compression",
         MODIFIER_OTHER | MODIFIER_ANTERIOR_COMPRESSION},
        {"442581004", "R-40AB3", "Nipple in profile", MODIFIER_OTHER | MODIFIER_NIPPLE_IN_PROFILE},
        {"442593008", "R-40ABE", "Infra-mammary fold", MODIFIER_OTHER | MODIFIER_INFRAMAMMARY_FOLD},
        {"399197002", NULL, "rolled lateral", MODIFIER_OTHER | MODIFIER_ROLLED},
        {"399226006", NULL, "rolled medial", MODIFIER_OTHER | MODIFIER_ROLLED},
        {"415670009", NULL, "rolled superior", MODIFIER_OTHER | MODIFIER_ROLLED},
        {"414493004", NULL, "rolled inferior", MODIFIER_OTHER | MODIFIER_ROLLED},
    };
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        read_codes("399162004", "SCT", "", t[i].sct, "", i % 2 == 0);
        assert_int_equal(r.modifiers, t[i].want);
        if (t[i].srt) {
            read_codes("R-10242", "SRT", "", t[i].srt, "no word of it", i % 2 == 1);
            assert_int_equal(r.modifiers, t[i].want);
        }
        read_codes("R-10242", "SRT", "", "L-7", t[i].meaning, true);
        assert_int_equal(r.modifiers, t[i].want);
    }
    read_codes("R-10242", "SRT", "", "L-8", "upside down", true);
    assert_int_equal(r.modifiers, MODIFIER_OTHER);
    /* an implant that is pushed back is an implant, whatever the attribute says */
    bytes b = begin(TS_EXPLICIT);
    str(&b, 0x0018, 0x5101, "CS", "CCID");
    str(&b, 0x0028, 0x1300, "CS", "NO");
    read_case(&b);
    assert_int_equal(r.implant, TRI_YES);
    read_one(0x0028, 0x1300, "CS", "NO");
    assert_int_equal(r.implant, TRI_NO);
}

static void words_of_view_position(void **state)
{
    const struct {
        const char *text;
        record_view view;
        char side;
        uint32_t modifiers;
    } t[] = {
        {"LCC", VIEW_CC, 'L', 0},
        {"R MLO", VIEW_MLO, 'R', 0},
        {"RIGHT CC", VIEW_CC, 'R', 0},
        {"CCID", VIEW_CC, 0, MODIFIER_IMPLANT_DISPLACED},
        {"RCCSPOT", VIEW_CC, 'R', MODIFIER_SPOT},
        {"LMLOMAG", VIEW_MLO, 'L', MODIFIER_MAGNIFICATION},
        {"LCCSPOTMAG", VIEW_CC, 'L', MODIFIER_SPOT | MODIFIER_MAGNIFICATION},
        {"CCTAN", VIEW_CC, 0, MODIFIER_OTHER | MODIFIER_TANGENTIAL},
        {"CCNP", VIEW_CC, 0, MODIFIER_OTHER | MODIFIER_NIPPLE_IN_PROFILE},
        {"CCAC", VIEW_CC, 0, MODIFIER_OTHER | MODIFIER_ANTERIOR_COMPRESSION},
        {"MLO IMF", VIEW_MLO, 0, MODIFIER_OTHER | MODIFIER_INFRAMAMMARY_FOLD},
        {"CCRL", VIEW_CC, 0, MODIFIER_OTHER | MODIFIER_ROLLED},
        {"CC2", VIEW_CC, 0, 0},
        {"CCX", VIEW_UNKNOWN, 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        read_one(0x0018, 0x5101, "CS", t[i].text);
        if (r.view != t[i].view || r.side != t[i].side || r.modifiers != t[i].modifiers)
            fail_msg("'%s': view %d side %d modifiers %u", t[i].text, (int)r.view, r.side,
                     (unsigned)r.modifiers);
    }
    const char *paddles[] = {"SPOT COMPRESSION", "10CM SPT", "7.5 cm MAG"};
    const uint32_t wanted[] = {MODIFIER_SPOT, MODIFIER_SPOT, MODIFIER_MAGNIFICATION};
    for (size_t i = 0; i < COUNT_OF(paddles); i++) {
        read_one(0x0018, 0x11A4, "LO", paddles[i]);
        assert_int_equal(r.modifiers, wanted[i]);
    }
    read_one(0x0018, 0x11A4, "LO", "18CM X 24CM");
    assert_int_equal(r.modifiers, 0);
}

/* Each source of the view yields to those before it. */
static void order_of_views(void **state)
{
    const char *const source[] = {"ViewCodeSequence", "ViewPosition", "SeriesDescription",
                                  "ProtocolName", "PatientOrientation"};
    const record_view want[] = {VIEW_LM, VIEW_ML, VIEW_XCCL, VIEW_XCCM, VIEW_MLO};
    for (int from = 0; from < 5; from++) {
        bytes b = begin(TS_EXPLICIT), view = {0};
        code_item(&view, "399352003", "SCT", "");
        if (from <= 2)
            str(&b, 0x0008, 0x103E, "LO", "XCCL");
        if (from <= 3)
            str(&b, 0x0018, 0x1030, "LO", "XCCM");
        if (from <= 1)
            str(&b, 0x0018, 0x5101, "CS", "ML");
        str(&b, 0x0020, 0x0020, "CS", "A\\FR");
        if (from == 0)
            seq1(&b, 0x0054, 0x0220, &view, 1);
        free(view.p);
        read_case(&b);
        assert_int_equal(r.view, want[from]);
        assert_string_equal(r.view_source, source[from]);
    }
}

/* Each source of the side yields to those before it; all but the last two can contradict. */
static void order_of_sides(void **state)
{
    const char *const source[] = {"ImageLaterality",   "FrameLaterality",   "Laterality",
                                  "ViewPosition",      "SeriesDescription", "ProtocolName",
                                  "PatientOrientation"};
    for (int from = 0; from < 7; from++)
        for (int other = from; other < 7; other++) { /* says R, all others L */
            bytes b = begin(TS_EXPLICIT), inner = {0};
#define SIDE(i) (other == (i) && other > from ? "R" : "L")
            if (from <= 4)
                str(&b, 0x0008, 0x103E, "LO", SIDE(4)[0] == 'R' ? "R MLO" : "L MLO");
            if (from <= 5)
                str(&b, 0x0018, 0x1030, "LO", SIDE(5)[0] == 'R' ? "R MLO" : "L MLO");
            if (from <= 3)
                str(&b, 0x0018, 0x5101, "CS", SIDE(3)[0] == 'R' ? "RMLO" : "LMLO");
            str(&b, 0x0020, 0x0020, "CS", SIDE(6)[0] == 'R' ? "P\\FL" : "A\\FR");
            if (from <= 2)
                str(&b, 0x0020, 0x0060, "CS", SIDE(2));
            if (from <= 0)
                str(&b, 0x0020, 0x0062, "CS", SIDE(0));
            if (from <= 1) {
                str(&inner, 0x0020, 0x9072, "CS", SIDE(1));
                in_group(&b, 0, 0x0020, 0x9071, &inner);
            }
#undef SIDE
            read_case(&b);
            assert_int_equal(r.side, 'L');
            assert_string_equal(r.side_source, source[from]);
            bool conflict = other > from && other < 5;
            assert_int_equal(r.side_conflict, conflict ? TRI_YES : TRI_UNKNOWN);
        }
}

static void sides_that_are_none(void **state)
{
    read_one(0x0020, 0x0062, "CS", "B");
    assert_int_equal(r.side, 'B');
    /* unpaired: no other source may invent a side, and none contradicts */
    bytes b = begin(TS_EXPLICIT);
    str(&b, 0x0018, 0x5101, "CS", "LCC");
    str(&b, 0x0020, 0x0062, "CS", "U");
    read_case(&b);
    assert_int_equal(r.side, 0);
    assert_string_equal(r.side_source, "ImageLaterality");
    assert_int_equal(r.side_conflict, TRI_UNKNOWN);
    b = begin(TS_EXPLICIT);
    str(&b, 0x0020, 0x0060, "CS", "U");
    str(&b, 0x0020, 0x0062, "CS", "L");
    read_case(&b);
    assert_int_equal(r.side, 'L');
    assert_int_equal(r.side_conflict, TRI_UNKNOWN);
}

/* The frame's own orientation, and letters from direction cosines where a volume has no letters. */
static void orientation(void **state)
{
    bytes b = begin(TS_EXPLICIT), inner = {0};
    str(&b, 0x0020, 0x0020, "CS", "A\\R");
    str(&inner, 0x0020, 0x0020, "CS", "P\\FL");
    in_group(&b, 0, 0x0020, 0x9450, &inner);
    read_case(&b);
    assert_string_equal(r.orientation[0], "P");
    assert_string_equal(r.orientation[1], "FL");
    const struct {
        const char *cosines, *row, *col;
        char side;
        record_view view;
    } t[] = {
        {"0\\-1\\0\\-1\\0\\0", "A", "R", 'L', VIEW_CC},
        {"0\\1\\0\\0.7071\\0\\-0.7071", "P", "FL", 'R', VIEW_MLO},
        {"0\\-1\\0\\-0.82\\0\\-0.57", "A", "FR", 'L', VIEW_MLO}, /* flat: the foot still leads */
        {"0\\-1\\0\\-0.99\\0\\-0.10", "A", "R", 'L', VIEW_CC},
        {"0\\-1\\0\\7\\0\\-0.10", "", "", 0, VIEW_UNKNOWN},
        {"0\\-1\\0\\1", "", "", 0, VIEW_UNKNOWN},
    };
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        b = begin(TS_EXPLICIT);
        str(&inner, 0x0020, 0x0037, "DS", t[i].cosines);
        in_group(&b, 1, 0x0020, 0x9116, &inner);
        read_case(&b);
        assert_string_equal(r.orientation[0], t[i].row);
        assert_string_equal(r.orientation[1], t[i].col);
        assert_int_equal(r.side, t[i].side);
        assert_int_equal(r.view, t[i].view);
    }
}

static void partial_views(void **state)
{
    bytes b = begin(TS_EXPLICIT), items = {0}, one = {0}, two = {0};
    code_item(&one, "49370004", "SCT", "Lateral");
    code_item(&two, "L-1", "99X", "inferior");
    item_head(&items, (uint32_t)one.n);
    put(&items, one.p, one.n);
    item_head(&items, (uint32_t)two.n);
    put(&items, two.p, two.n);
    head(&b, 0x0028, 0x1352, "SQ", (uint32_t)items.n);
    put(&b, items.p, items.n);
    free(items.p);
    free(one.p);
    free(two.p);
    read_case(&b);
    assert_int_equal(r.partial, TRI_YES); /* a section is named: it is one */
    assert_string_equal(r.partial_sections, "LATERAL INFERIOR");
    read_one(0x0028, 0x1351, "ST", "upper part of Mrs Doe");
    assert_int_equal(r.partial, TRI_YES);
    assert_string_equal(r.partial_sections, "");
    read_one(0x0028, 0x1350, "CS", "NO");
    assert_int_equal(r.partial, TRI_NO);
    read_one(0x0028, 0x1350, "CS", "YES");
    assert_int_equal(r.partial, TRI_YES);
    read_one(0x0028, 0x1350, "CS", "");
    assert_int_equal(r.partial, TRI_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_view_code),
        cmocka_unit_test(every_modifier_code),
        cmocka_unit_test(words_of_view_position),
        cmocka_unit_test(order_of_views),
        cmocka_unit_test(order_of_sides),
        cmocka_unit_test(sides_that_are_none),
        cmocka_unit_test(orientation),
        cmocka_unit_test(partial_views),
    };
    return cmocka_run_group_tests(tests, dictionary, NULL);
}
