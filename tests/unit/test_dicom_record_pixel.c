/* What a header says of its pixels: places and their order in multi-frame images, pixel size,
 * frames, bounds, rescale, windows, padding. dicom.md 1. */
#include "tests/unit/dicom_record_case.h"

/* The same attribute at top level, in the shared group and in the frame's: the frame's wins. */
static void nearest_group_wins(void **state)
{
    const char *sizes[] = {"0.05\\0.05", "0.06\\0.06", "0.07\\0.07"}; /* top, shared, frame */
    for (int levels = 1; levels <= 3; levels++) {
        bytes b = begin(TS_EXPLICIT), inner = {0};
        str(&b, 0x0028, 0x0030, "DS", sizes[0]);
        if (levels >= 2) {
            str(&inner, 0x0028, 0x0030, "DS", sizes[1]);
            in_group(&b, 1, 0x0028, 0x9110, &inner);
        }
        if (levels >= 3) {
            str(&inner, 0x0028, 0x0030, "DS", sizes[2]);
            in_group(&b, 0, 0x0028, 0x9110, &inner);
        }
        read_case(&b);
        assert_float_equal(r.row_mm, 0.04 + 0.01 * levels, 1e-12);
        assert_string_equal(r.spacing_source, "PixelSpacing");
    }
    /* an empty value in a group is none */
    bytes b = begin(TS_EXPLICIT), inner = {0};
    str(&b, 0x0028, 0x0030, "DS", sizes[0]);
    str(&inner, 0x0028, 0x0030, "DS", "");
    in_group(&b, 0, 0x0028, 0x9110, &inner);
    read_case(&b);
    assert_float_equal(r.row_mm, 0.05, 1e-12);
}

static void frame_type_wins(void **state)
{
    bytes b = begin(TS_EXPLICIT), inner = {0};
    str(&b, 0x0008, 0x0008, "CS", "ORIGINAL\\PRIMARY\\");
    read_case(&b);
    assert_string_equal(r.image_type[0], "ORIGINAL");
    assert_string_equal(r.image_type[1], "PRIMARY");
    assert_string_equal(r.image_type[2], "");
    b = begin(TS_EXPLICIT);
    str(&b, 0x0008, 0x0008, "CS", "original\\primary\\volume\\none");
    read_case(&b);
    assert_string_equal(r.image_type[2], "VOLUME");
    b = begin(TS_EXPLICIT);
    str(&b, 0x0008, 0x0008, "CS", "DERIVED\\PRIMARY");
    str(&inner, 0x0008, 0x9007, "CS", "ORIGINAL\\PRIMARY\\TOMOSYNTHESIS\\NONE");
    in_group(&b, 1, 0x0018, 0x9504, &inner);
    read_case(&b);
    assert_string_equal(r.image_type[0], "ORIGINAL");
    assert_string_equal(r.image_type[2], "TOMOSYNTHESIS");
    b = begin(TS_EXPLICIT);
    str(&b, 0x0008, 0x9007, "CS", "DERIVED\\SECONDARY");
    read_case(&b);
    assert_string_equal(r.image_type[1], "SECONDARY");
}

/* Slope and intercept come from one place or not at all. */
static void rescale_pairs(void **state)
{
    bytes b = begin(TS_EXPLICIT), inner = {0};
    str(&b, 0x0028, 0x1052, "DS", "-5");
    str(&b, 0x0028, 0x1053, "DS", "2");
    str(&b, 0x0028, 0x1054, "LO", "us");
    str(&inner, 0x0028, 0x1053, "DS", "9"); /* an orphan */
    in_group(&b, 0, 0x0028, 0x9145, &inner);
    read_case(&b);
    assert_int_equal(r.has_rescale, 1);
    assert_float_equal(r.slope, 2, 0);
    assert_float_equal(r.intercept, -5, 0);
    assert_string_equal(r.rescale_type, "US");
    b = begin(TS_EXPLICIT);
    str(&b, 0x0028, 0x1052, "DS", "-5");
    str(&b, 0x0028, 0x1053, "DS", "2");
    str(&inner, 0x0028, 0x1052, "DS", "7");
    str(&inner, 0x0028, 0x1053, "DS", "-1.5");
    in_group(&b, 1, 0x0028, 0x9145, &inner);
    read_case(&b);
    assert_float_equal(r.slope, -1.5, 0);
    assert_float_equal(r.intercept, 7, 0);
    read_one(0x0028, 0x1053, "DS", "2");
    assert_int_equal(r.has_rescale, 0);
    b = begin(TS_EXPLICIT);
    str(&b, 0x0028, 0x1052, "DS", "3");
    str(&b, 0x0028, 0x1053, "DS", "0");
    read_case(&b);
    assert_int_equal(r.has_rescale, 0);
    assert_float_equal(r.slope, 1, 0);
}

/* Windows, function and names come from one place, paired by index. */
static void windows(void **state)
{
    bytes b = begin(TS_EXPLICIT), inner = {0};
    str(&b, 0x0028, 0x1050, "DS", "100\\200\\300");
    str(&b, 0x0028, 0x1051, "DS", "10\\20");
    str(&b, 0x0028, 0x1055, "LO", "NORMAL\\HARDER");
    str(&b, 0x0028, 0x1056, "CS", "SIGMOID");
    read_case(&b);
    assert_int_equal(r.n_windows, 2);
    assert_float_equal(r.window_center[1], 200, 0);
    assert_float_equal(r.window_width[1], 20, 0);
    assert_string_equal(r.window_name[1], "HARDER");
    assert_int_equal(r.voi, VOI_SIGMOID);
    b = begin(TS_EXPLICIT);
    str(&b, 0x0028, 0x1050, "DS", "100");
    str(&b, 0x0028, 0x1051, "DS", "10");
    str(&b, 0x0028, 0x1056, "CS", "SIGMOID");
    str(&inner, 0x0028, 0x1050, "DS", "512");
    str(&inner, 0x0028, 0x1051, "DS", "1024");
    in_group(&b, 1, 0x0028, 0x9132, &inner);
    read_case(&b);
    assert_int_equal(r.n_windows, 1);
    assert_float_equal(r.window_center[0], 512, 0);
    assert_int_equal(r.voi, VOI_LINEAR); /* the other place's function is not this window's */
    bytes lut = {0};
    b = begin(TS_EXPLICIT);
    str(&lut, 0x0028, 0x3003, "LO", "NORMAL");
    seq1(&inner, 0x0028, 0x3010, &lut, 1);
    in_group(&b, 1, 0x0028, 0x9132, &inner);
    free(lut.p);
    read_case(&b);
    assert_int_equal(r.n_voi_luts, 1);
    assert_int_equal(r.has_modality_lut, 0);
    const char *functions[] = {"", "LINEAR", "LINEAR_EXACT", "SIGMOID", "QUADRATIC"};
    const record_voi want[] = {VOI_LINEAR, VOI_LINEAR, VOI_LINEAR_EXACT, VOI_SIGMOID, VOI_LINEAR};
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        read_one(0x0028, 0x1056, "CS", functions[i]);
        assert_int_equal(r.voi, want[i]);
        assert_int_equal(strstr(r.quirks, "voi_function_unknown") != NULL, i == 4);
    }
}

static void pixel_sizes(void **state)
{
    const struct {
        const char *imager, *spacing, *element, *magnification, *aspect;
        double row, col;
        const char *source;
    } t[] = {
        {"0.07\\0.08", "0.1", "0.05", "", "", 0.07, 0.08, "ImagerPixelSpacing"},
        {"", "0.1\\0.1", "0.05", "", "", 0.1, 0.1, "PixelSpacing"},
        {"", "", "0.05\\0.05", "", "", 0.05, 0.05, "DetectorElementSpacing"},
        {"0.07", "", "", "", "", 0.07, 0.07, "ImagerPixelSpacing"},
        {"0.08", "", "", "", "2\\1", 0.08, 0.04, "ImagerPixelSpacing"},
        {"0.04\\0.2", "", "", "", "", 0.04, 0.2, "ImagerPixelSpacing"}, /* the bounds themselves */
        {"0.039", "0.1", "", "", "", 0.1, 0.1, "PixelSpacing"},         /* no detector is so fine */
        {"0.07\\0.21", "", "0.09", "", "", 0.09, 0.09, "DetectorElementSpacing"},
        {"1\\1", "0\\0", "", "", "", 0, 0, ""},
        {"0.09", "", "", "1.8", "", 0.05, 0.05, "ImagerPixelSpacing"},
        {"", "0.09", "", "1.8", "", 0.09, 0.09, "PixelSpacing"}, /* calibrated already */
        {"", "", "0.09", "1.8", "", 0.05, 0.05, "DetectorElementSpacing"},
        {"0.09", "", "", "0.5", "", 0.09, 0.09, "ImagerPixelSpacing"},
        {"0.09", "", "", "11", "", 0.09, 0.09, "ImagerPixelSpacing"},
    };
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        bytes b = begin(TS_EXPLICIT);
        str(&b, 0x0018, 0x1114, "DS", t[i].magnification);
        str(&b, 0x0018, 0x1164, "DS", t[i].imager);
        str(&b, 0x0018, 0x7022, "DS", t[i].element);
        str(&b, 0x0028, 0x0030, "DS", t[i].spacing);
        str(&b, 0x0028, 0x0034, "IS", t[i].aspect);
        read_case(&b);
        if (r.row_mm - t[i].row > 1e-12 || t[i].row - r.row_mm > 1e-12 ||
            r.col_mm - t[i].col > 1e-12 || t[i].col - r.col_mm > 1e-12 ||
            strcmp(r.spacing_source, t[i].source) != 0)
            fail_msg("case %zu: %g %g %s", i, r.row_mm, r.col_mm, r.spacing_source);
    }
    read_one(0x0028, 0x0034, "IS", "3\\2");
    assert_float_equal(r.aspect, 1.5, 0);
    read_one(0x0028, 0x0034, "IS", "0\\0");
    assert_float_equal(r.aspect, 0, 0);
}

static void frames_and_sides(void **state)
{
    const struct {
        const char *frames;
        int stored; /* frames of pixel data */
        int want;
        bool odd;
    } t[] = {{"", 1, 1, false},           {"1", 1, 1, false},   {"1.0", 1, 1, false},
             {"2", 2, 2, false},          {"None", 1, 1, true}, {"0", 1, 1, true},
             {"-3", 1, 1, true},          {"None", 2, 0, true}, {"0", 3, 0, true},
             {"99999999999", 1, 0, false}};
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        bytes b = begin(TS_EXPLICIT);
        image m = IMAGE(.ts = TS_EXPLICIT);
        str(&b, 0x0028, 0x0008, "IS", t[i].frames);
        image_module(&b, m);
        m.frames = t[i].stored;
        native_pixels(&b, &m);
        assert_int_equal(read_and_free(&b), REASON_NONE);
        assert_int_equal(r.frames, t[i].want);
        assert_int_equal(strstr(r.quirks, "frames_unusable") != NULL, t[i].odd);
    }
    const char *sides[] = {"8", "8.0", "65535", "65536", "0", "-8", "8.5", "many"};
    const int want[] = {8, 8, 65535, 0, 0, 0, 0, 0};
    for (size_t i = 0; i < COUNT_OF(sides); i++) {
        bytes b = begin(TS_EXPLICIT);
        str(&b, 0x0028, 0x0010, "IS", sides[i]);
        str(&b, 0x0028, 0x0011, "IS", sides[i]);
        head(&b, 0x7FE0, 0x0010, "OW", 2);
        put16(&b, 0);
        reason why = read_and_free(&b);
        assert_true(why == REASON_NONE || why == REASON_IO_TRUNCATED);
        assert_int_equal(r.rows, want[i]);
        assert_int_equal(r.cols, want[i]);
    }
}

/* What was done before storing is told, and nothing else comes of it. */
static void field_of_view(void **state)
{
    bytes b = begin(TS_EXPLICIT);
    str(&b, 0x0018, 0x7030, "DS", "12\\34.5");
    str(&b, 0x0018, 0x7032, "DS", "180");
    str(&b, 0x0018, 0x7034, "CS", "YES");
    str(&b, 0x0020, 0x0020, "CS", "P\\FL");
    read_case(&b);
    assert_int_equal(r.fov_rotation, 180);
    assert_int_equal(r.fov_flip, TRI_YES);
    assert_float_equal(r.fov_origin_row, 12, 0);
    assert_float_equal(r.fov_origin_col, 34.5, 0);
    assert_string_equal(r.orientation[0], "P");
    assert_string_equal(r.orientation[1], "FL");
    read_one(0x0018, 0x7032, "DS", "45");
    assert_int_equal(r.fov_rotation, -1);
    assert_int_equal(r.fov_flip, TRI_UNKNOWN);
}

static void padding(void **state)
{
    bytes b = begin(TS_EXPLICIT);
    us(&b, 0x0028, 0x0120, 0);
    us(&b, 0x0028, 0x0121, 658);
    read_case(&b);
    assert_int_equal(r.has_padding, 1);
    assert_int_equal(r.has_padding_limit, 1);
    assert_int_equal(r.padding_limit, 658);
    b = begin(TS_EXPLICIT);
    us(&b, 0x0028, 0x0121, 658); /* a limit of nothing */
    read_case(&b);
    assert_int_equal(r.has_padding, 0);
    assert_int_equal(r.has_padding_limit, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearest_group_wins), cmocka_unit_test(frame_type_wins),
        cmocka_unit_test(rescale_pairs),      cmocka_unit_test(windows),
        cmocka_unit_test(pixel_sizes),        cmocka_unit_test(frames_and_sides),
        cmocka_unit_test(field_of_view),      cmocka_unit_test(padding),
    };
    return cmocka_run_group_tests(tests, dictionary, NULL);
}
