/* The reason codes are an append-only list: catalogues, shards and reports of older versions name
 * them by word and by place. A code that moves, changes its family or goes away fails here; new
 * ones are added at the end, here as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "dicom/reason.h"

static const char *const frozen[] = {
    "F IO_UNREADABLE",
    "F IO_TRUNCATED",
    "F NOT_IMAGE",
    "S DECODER_CRASH",
    "S DECODER_LIMIT",
    "X TS_UNSUPPORTED",
    "X TS_LIES",
    "P DEC_FAILED",
    "P DEC_WARNED",
    "P PIX_GEOMETRY",
    "P BITS_LIE",
    "P POLARITY_CONFLICT",
    "P POLARITY_FIXED",
    "P POLARITY_UNCERTAIN",
    "P BLANK",
    "M NOT_MG",
    "M FOR_PROCESSING",
    "M SC_CAPTURE",
    "M SCO_PRIVATE",
    "M CAD_OVERLAY",
    "M MF_TOMO",
    "M MF_PROJ",
    "M SYN_2D",
    "M CESM",
    "M QC_IMAGE",
    "M PHANTOM",
    "M SPECIMEN",
    "M BIOPSY_STEREO",
    "M WIRE_LOC",
    "M POST_CLIP",
    "M EXPOSURE_ABORTED",
    "M IMPLANT",
    "M IMPLANT_DISPLACED",
    "M MAGNIFICATION",
    "M SPOT_COMPRESSION",
    "V VIEW_MODIFIER",
    "V VIEW_NONSTANDARD",
    "V VIEW_UNKNOWN",
    "V LAT_UNKNOWN",
    "V LAT_BOTH",
    "V LAT_CONFLICT",
    "V PARTIAL_VIEW",
    "V BURNED_IN",
    "V ORIENT_CONFLICT",
    "V SEG_FAILED",
    "V LOW_BREAST_AREA",
    "V HIGH_BREAST_AREA",
    "P UNDEREXPOSED",
    "P OVEREXPOSED",
    "P NOISE",
    "P LOSSY",
    "L NO_PATIENT_ID",
    "L NO_STUDY",
    "L NO_DATE",
    "L NO_LABEL",
    "L LABEL_CONFLICT",
    "L DUP_SOP",
    "L DUP_PIXEL",
    "L DUP_VIEW",
    "L AGE_RANGE",
    "L NOT_FEMALE",
    "L PRIOR_CANCER",
    "L WITHIN_DETECTION",
    "L SHORT_FOLLOWUP",
    "L INCOMPLETE_EXAM",
    "L VENDOR_FILTER",
    "L SPLIT_CONFLICT",
    "V NO_SPACING",
    "V CANVAS_CUT",
    "M METAL_CLIP",
    "M PACEMAKER",
    "F IO_LOST",
    "P GREY_AS_COLOUR",
    "L NO_SPLIT",
    "L LABEL_COARSE",
};
enum { N = sizeof frozen / sizeof frozen[0] };

static void test_frozen(void **state)
{
    (void)state;
    assert_true(REASON_COUNT - 1 >= N);
    for (int i = 0; i < N; i++) {
        char now[64];
        snprintf(now, sizeof now, "%c %s", reason_family((reason)(i + 1)),
                 reason_name((reason)(i + 1)));
        assert_string_equal(now, frozen[i]);
    }
}

static void test_words(void **state)
{
    (void)state;
    assert_string_equal(reason_name(REASON_NONE), "");
    assert_string_equal(reason_name(REASON_COUNT), "");
    assert_int_equal(reason_find(""), REASON_NONE);
    assert_int_equal(reason_find("NO_SUCH_CODE"), REASON_NONE);
    for (int i = 1; i < REASON_COUNT; i++) {
        assert_int_equal(reason_find(reason_name((reason)i)), i);
        assert_true(reason_sentence((reason)i)[0] != 0);
        assert_non_null(strchr("FSXPMVL", reason_family((reason)i)));
        for (int k = 1; k < i; k++)
            assert_string_not_equal(reason_sentence((reason)i), reason_sentence((reason)k));
    }
}

static void test_set(void **state)
{
    (void)state;
    for (int i = 1; i < REASON_COUNT; i++) {
        reason_set s = {{0}};
        reason_add(&s, (reason)i);
        for (int k = 1; k < REASON_COUNT; k++)
            assert_int_equal(reason_has(&s, (reason)k), k == i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
