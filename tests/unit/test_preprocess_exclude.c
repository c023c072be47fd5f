/* Every criterion: one record (or one set of pixel facts) that hits, one just outside; order,
 * actions and config keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/record.h"
#include "preprocess/exclude.h"

static record good_record(void)
{
    record r;
    memset(&r, 0, sizeof r);
    snprintf(r.sop_class, sizeof r.sop_class, "1.2.840.10008.5.1.4.1.1.1.2");
    snprintf(r.modality, sizeof r.modality, "MG");
    snprintf(r.patient_id, sizeof r.patient_id, "P1");
    snprintf(r.study_uid, sizeof r.study_uid, "1.2.3");
    snprintf(r.image_type[0], 17, "ORIGINAL");
    snprintf(r.image_type[1], 17, "PRIMARY");
    r.intent = INTENT_PRESENTATION;
    r.exam_day = 17000;
    r.frames = 1;
    r.view = VIEW_CC;
    r.side = 'L';
    r.kvp = r.exposure = -1;
    r.magnification = 1;
    r.implant = r.partial = r.burned_in = r.lossy = r.qc = r.aborted = TRI_NO;
    return r;
}

static pixel_facts good_pixels(void)
{
    return (pixel_facts){.range = 0.5,
                         .top_share = 0.6,
                         .breast_found = true,
                         .breast_area = 0.3,
                         .breast_median = 0.4,
                         .breast_noise = 0.02};
}

static exclude_cfg config(const char *set)
{
    const cfg_group *groups[] = {&exclude_options};
    exclude_cfg x;
    err e = {0};
    cfg *c = cfg_new(groups, 1);
    if (set)
        assert_true(cfg_set(c, set, &e));
    cfg_bind(c, &exclude_options, &x);
    cfg_free(c);
    return x;
}

static reason judge(const exclude_cfg *c, const record *r, const pixel_facts *p, reason_set *set)
{
    reason primary = REASON_NONE;
    memset(set, 0, sizeof *set);
    exclude_judge(c, EXCLUDE_HEADER, r, NULL, set, &primary);
    if (p)
        exclude_judge(c, EXCLUDE_PIXELS, r, p, set, &primary);
    return primary;
}

typedef struct change { /* of a good record; hits: the code must be in the set */
    reason code;
    bool hits;
    void (*make)(record *r);
} change;

#define MAKE(name, code)                                                                           \
    static void name(record *r)                                                                    \
    {                                                                                              \
        code;                                                                                      \
    }
#define SET(field, v)    snprintf(r->field, sizeof r->field, "%s", v)
#define SET_OF(field, v) snprintf(r.field, sizeof r.field, "%s", v)
#define MG               "1.2.840.10008.5.1.4.1.1."
MAKE(m_ct, SET(modality, "CT"))
MAKE(m_none_mg, SET(modality, ""))
MAKE(m_dx_breast, SET(modality, "DX"); SET(sop_class, MG "1.1"); SET(body_part, "BREAST"))
MAKE(m_dx_chest, SET(modality, "DX"); SET(sop_class, MG "1.1"); SET(body_part, "CHEST"))
MAKE(m_cr_unknown, SET(modality, "CR"); SET(sop_class, MG "1"))
MAKE(m_ultrasound, SET(sop_class, MG "6.1"))
MAKE(m_none_other, SET(modality, ""); SET(sop_class, MG "2"))
MAKE(m_proc, r->intent = INTENT_PROCESSING)
MAKE(m_intent_unknown, r->intent = INTENT_UNKNOWN)
MAKE(m_sc, SET(sop_class, MG "7"))
MAKE(m_sc_multi, SET(sop_class, MG "7.2"))
MAKE(m_sc_not, SET(sop_class, MG "77.1.5.1"))
MAKE(m_private, r->text_flags = TEXT_PRIVATE_VOLUME)
MAKE(m_secondary, SET(image_type[1], "SECONDARY"))
MAKE(m_cad, r->text_flags = TEXT_CAD)
MAKE(m_frames2, r->frames = 2)
MAKE(m_bto, SET(sop_class, MG "13.1.3"))
MAKE(m_tomosynthesis, SET(image_type[2], "TOMOSYNTHESIS"))
MAKE(m_tomo_text, r->text_flags = TEXT_TOMO)
MAKE(m_proj, SET(image_type[2], "TOMO_PROJ"); r->frames = 15)
MAKE(m_proj_class, SET(sop_class, MG "13.1.4"))
MAKE(m_syn, SET(image_type[3], "GENERATED_2D"))
MAKE(m_syn_of_volume, SET(image_type[2], "TOMOSYNTHESIS"); SET(image_type[3], "GENERATED_2D"))
MAKE(m_syn_text, r->text_flags = TEXT_SYNTHETIC)
MAKE(m_derived, SET(image_type[0], "DERIVED"))
MAKE(m_contrast, SET(image_type[2], "POST_CONTRAST"))
MAKE(m_low, SET(image_type[4], "LOW_ENERGY"))
MAKE(m_v3_other, SET(image_type[2], "NONE"))
MAKE(m_qc, r->qc = TRI_YES)
MAKE(m_qc_unknown, r->qc = TRI_UNKNOWN)
MAKE(m_phantom, r->text_flags = TEXT_PHANTOM)
MAKE(m_specimen, r->view = VIEW_SPECIMEN)
MAKE(m_specimen_text, r->text_flags = TEXT_SPECIMEN)
MAKE(m_stereo, SET(image_type[2], "STEREO_PLUS"))
MAKE(m_postfire, SET(image_type[2], "POSTFIRE_MINUS"))
MAKE(m_biopsy, r->text_flags = TEXT_BIOPSY)
MAKE(m_wire, r->text_flags = TEXT_WIRE)
MAKE(m_clip, r->text_flags = TEXT_CLIP)
MAKE(m_marker, SET(image_type[2], "POSTMARKER"))
MAKE(m_aborted, r->aborted = TRI_YES)
MAKE(m_kvp0, r->kvp = 0)
MAKE(m_kvp28, r->kvp = 28)
MAKE(m_exposure0, r->exposure = 0)
MAKE(m_implant, r->implant = TRI_YES)
MAKE(m_implant_unknown, r->implant = TRI_UNKNOWN)
MAKE(m_implant_displaced, r->implant = TRI_YES; r->modifiers = MODIFIER_IMPLANT_DISPLACED)
MAKE(m_displaced, r->modifiers = MODIFIER_IMPLANT_DISPLACED)
MAKE(m_mag, r->modifiers = MODIFIER_MAGNIFICATION)
MAKE(m_mag_factor, r->magnification = 1.21)
MAKE(m_mag_edge, r->magnification = 1.2)
MAKE(m_spot, r->modifiers = MODIFIER_SPOT)
MAKE(m_spot_text, r->text_flags = TEXT_SPOT)
MAKE(m_other, r->modifiers = MODIFIER_OTHER)
MAKE(m_ml, r->view = VIEW_ML)
MAKE(m_mlo, r->view = VIEW_MLO)
MAKE(m_view_unknown, r->view = VIEW_UNKNOWN)
MAKE(m_side_unknown, r->side = 0)
MAKE(m_side_both, r->side = 'B')
MAKE(m_side_right, r->side = 'R')
MAKE(m_side_conflict, r->side_conflict = TRI_YES)
MAKE(m_side_agree, r->side_conflict = TRI_NO)
MAKE(m_partial, r->partial = TRI_YES)
MAKE(m_burned, r->burned_in = TRI_YES)
MAKE(m_lossy, r->lossy = TRI_YES)
MAKE(m_no_patient, SET(patient_id, ""))
MAKE(m_no_study, SET(study_uid, ""))
MAKE(m_no_date, r->exam_day = RECORD_UNKNOWN)
MAKE(m_day0, r->exam_day = 0)

static const change header[] = {
    {REASON_NOT_MG, true, m_ct},
    {REASON_NOT_MG, false, m_none_mg},
    {REASON_NOT_MG, true, m_dx_breast},
    {REASON_NOT_MG, true, m_dx_chest},
    {REASON_NOT_MG, true, m_cr_unknown},
    {REASON_NOT_MG, true, m_ultrasound},
    {REASON_NOT_MG, false, m_sc},
    {REASON_NOT_MG, true, m_none_other},
    {REASON_FOR_PROCESSING, true, m_proc},
    {REASON_FOR_PROCESSING, false, m_intent_unknown},
    {REASON_FOR_PRESENTATION, false, m_proc},
    {REASON_FOR_PRESENTATION, true, m_intent_unknown},
    {REASON_SC_CAPTURE, true, m_sc},
    {REASON_SC_CAPTURE, true, m_sc_multi},
    {REASON_SC_CAPTURE, false, m_sc_not},
    {REASON_SCO_PRIVATE, true, m_private},
    {REASON_SCO_PRIVATE, false, m_sc},
    {REASON_MF_TOMO, false, m_syn_of_volume},
    {REASON_SYN_2D, true, m_syn_of_volume},
    {REASON_SC_CAPTURE, true, m_secondary},
    {REASON_CAD_OVERLAY, true, m_cad},
    {REASON_MF_TOMO, true, m_frames2},
    {REASON_MF_TOMO, true, m_bto},
    {REASON_MF_TOMO, true, m_tomosynthesis},
    {REASON_MF_TOMO, false, m_tomo_text},
    {REASON_MF_TOMO, false, m_proj},
    {REASON_MF_PROJ, true, m_proj},
    {REASON_MF_PROJ, true, m_proj_class},
    {REASON_MF_PROJ, false, m_bto},
    {REASON_SYN_2D, true, m_syn},
    {REASON_SYN_2D, true, m_syn_text},
    {REASON_SYN_2D, false, m_derived},
    {REASON_CESM, true, m_contrast},
    {REASON_CESM, true, m_low},
    {REASON_CESM, false, m_v3_other},
    {REASON_QC_IMAGE, true, m_qc},
    {REASON_QC_IMAGE, false, m_qc_unknown},
    {REASON_PHANTOM, true, m_phantom},
    {REASON_PHANTOM, false, m_specimen_text},
    {REASON_SPECIMEN, true, m_specimen},
    {REASON_SPECIMEN, true, m_specimen_text},
    {REASON_SPECIMEN, false, m_biopsy},
    {REASON_BIOPSY_STEREO, true, m_stereo},
    {REASON_BIOPSY_STEREO, true, m_postfire},
    {REASON_BIOPSY_STEREO, true, m_biopsy},
    {REASON_BIOPSY_STEREO, false, m_marker},
    {REASON_WIRE_LOC, true, m_wire},
    {REASON_WIRE_LOC, false, m_clip},
    {REASON_POST_CLIP, true, m_clip},
    {REASON_POST_CLIP, true, m_marker},
    {REASON_POST_CLIP, false, m_postfire},
    {REASON_EXPOSURE_ABORTED, true, m_aborted},
    {REASON_EXPOSURE_ABORTED, true, m_kvp0},
    {REASON_EXPOSURE_ABORTED, true, m_exposure0},
    {REASON_EXPOSURE_ABORTED, false, m_kvp28},
    {REASON_IMPLANT, true, m_implant},
    {REASON_IMPLANT, false, m_implant_unknown},
    {REASON_IMPLANT, false, m_implant_displaced},
    {REASON_IMPLANT_DISPLACED, true, m_implant_displaced},
    {REASON_IMPLANT_DISPLACED, true, m_displaced},
    {REASON_IMPLANT_DISPLACED, false, m_implant},
    {REASON_MAGNIFICATION, true, m_mag},
    {REASON_MAGNIFICATION, true, m_mag_factor},
    {REASON_MAGNIFICATION, false, m_mag_edge},
    {REASON_SPOT_COMPRESSION, true, m_spot},
    {REASON_SPOT_COMPRESSION, true, m_spot_text},
    {REASON_SPOT_COMPRESSION, false, m_mag},
    {REASON_VIEW_MODIFIER, true, m_other},
    {REASON_VIEW_MODIFIER, false, m_spot},
    {REASON_VIEW_NONSTANDARD, true, m_ml},
    {REASON_VIEW_NONSTANDARD, false, m_mlo},
    {REASON_VIEW_UNKNOWN, true, m_view_unknown},
    {REASON_VIEW_UNKNOWN, false, m_ml},
    {REASON_LAT_UNKNOWN, true, m_side_unknown},
    {REASON_LAT_UNKNOWN, false, m_side_both},
    {REASON_LAT_BOTH, true, m_side_both},
    {REASON_LAT_BOTH, false, m_side_right},
    {REASON_LAT_CONFLICT, true, m_side_conflict},
    {REASON_LAT_CONFLICT, false, m_side_agree},
    {REASON_PARTIAL_VIEW, true, m_partial},
    {REASON_PARTIAL_VIEW, false, m_side_agree},
    {REASON_BURNED_IN, true, m_burned},
    {REASON_LOSSY, true, m_lossy},
    {REASON_NO_PATIENT_ID, true, m_no_patient},
    {REASON_NO_STUDY, true, m_no_study},
    {REASON_NO_DATE, true, m_no_date},
    {REASON_NO_DATE, false, m_day0},
};

/* A hit sets its code and nothing set to `exclude` before it; just outside, not even a flag. */
static void test_header(void **state)
{
    (void)state;
    exclude_cfg c = config(NULL);
    reason_set set;
    record r = good_record();
    assert_int_equal(judge(&c, &r, NULL, &set), REASON_NONE);
    assert_true(set.bits[0] == 0 && set.bits[1] == 0);
    for (size_t i = 0; i < COUNT_OF(header); i++) {
        r = good_record();
        header[i].make(&r);
        c.want_processing = header[i].code == REASON_FOR_PRESENTATION;
        reason primary = judge(&c, &r, NULL, &set);
        if (!!reason_has(&set, header[i].code) != header[i].hits)
            fail_msg("row %zu: %s %s", i, reason_name(header[i].code),
                     header[i].hits ? "does not hit" : "hits");
        int row = 0;
        while (exclude_code(row) != header[i].code)
            row++;
        if (header[i].hits && c.action[row] == EXCLUDE_DROP)
            assert_string_equal(reason_name(primary), reason_name(header[i].code));
        if (header[i].hits && c.action[row] == EXCLUDE_FLAG)
            assert_int_equal(primary, REASON_NONE);
    }
    for (int row = 0; row < EXCLUDE_ROWS; row++) { /* no header criterion without a case */
        bool seen = exclude_row_phase(row) == EXCLUDE_PIXELS;
        for (size_t i = 0; i < COUNT_OF(header); i++)
            seen = seen || (header[i].hits && header[i].code == exclude_code(row));
        if (!seen)
            fail_msg("%s has no case", reason_name(exclude_code(row)));
    }
}

typedef struct pixel_case {
    reason code;
    bool hits;
    pixel_facts p;
} pixel_case;

#define PX(...)                                                                                    \
    {                                                                                              \
        .range = 0.5, .top_share = 0.6, .breast_found = true, .breast_area = 0.3,                  \
        .breast_median = 0.4, .breast_noise = 0.02, __VA_ARGS__                                    \
    }
#define NONE(...)                                                                                  \
    {                                                                                              \
        .range = 0.5, .top_share = 0.6, .object_flat = 0.6, __VA_ARGS__                            \
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static const pixel_case pixel[] = {
    {REASON_NO_SPACING, true, PX(.mm_wanted = true)},
    {REASON_NO_SPACING, false, PX(.mm_wanted = true, .mm_known = true)},
    {REASON_BLANK, true, PX(.range = 0.0199)},
    {REASON_BLANK, false, PX(.range = 0.02)},
    {REASON_BLANK, true, PX(.top_share = 0.996)},
    {REASON_BLANK, false, PX(.top_share = 0.995)},
    {REASON_POLARITY_CONFLICT, true, PX(.polarity_conflict = true)},
    {REASON_POLARITY_FIXED, true, PX(.polarity_fixed = true)},
    {REASON_POLARITY_UNCERTAIN, true, PX(.polarity_uncertain = true)},
    {REASON_SEG_FAILED, true, PX(.breast_found = false)},
    {REASON_ORIENT_CONFLICT, true, PX(.orient_conflict = true)},
    {REASON_LOW_BREAST_AREA, true, PX(.breast_area = 0.039)},
    {REASON_LOW_BREAST_AREA, false, PX(.breast_area = 0.04)},
    {REASON_HIGH_BREAST_AREA, true, PX(.breast_area = 0.91)},
    {REASON_HIGH_BREAST_AREA, false, PX(.breast_area = 0.9)},
    {REASON_UNDEREXPOSED, true, PX(.breast_median = 0.029)},
    {REASON_UNDEREXPOSED, false, PX(.breast_median = 0.03)},
    {REASON_OVEREXPOSED, true, PX(.breast_saturated = 0.21)},
    {REASON_OVEREXPOSED, false, PX(.breast_saturated = 0.2)},
    {REASON_NOISE, true, PX(.breast_noise = 0.051)},
    {REASON_NOISE, false, PX(.breast_noise = 0.05)},
    {REASON_NOISE, true, PX(.air_noise = 0.021)},
    {REASON_NOISE, false, PX(.air_noise = 0.02)},
    {REASON_CANVAS_CUT, true, PX(.canvas_cut = true)},
    {REASON_LOW_BREAST_AREA, true, PX(.breast_mm2 = 1499)},
    {REASON_LOW_BREAST_AREA, false, PX(.breast_mm2 = 1500)},
    {REASON_HIGH_BREAST_AREA, true, PX(.breast_mm2 = 60001)},
    {REASON_HIGH_BREAST_AREA, false, PX(.breast_mm2 = 60000)},
    {REASON_EXPOSURE_ABORTED, true, PX(.range = 0.09, .noise = 0.11)},
    {REASON_EXPOSURE_ABORTED, false, PX(.range = 0.1, .noise = 0.11)},
    {REASON_EXPOSURE_ABORTED, false, PX(.range = 0.09, .noise = 0.1)},
    {REASON_PHANTOM, true, NONE(.object_area = 0.3, .object_extent = 0.91)},
    {REASON_PHANTOM, false, NONE(.object_area = 0.3, .object_extent = 0.9)},
    {REASON_PHANTOM, false, NONE(.object_area = 0.8, .object_extent = 0.91)},
    {REASON_PHANTOM, false, NONE(.object_area = 0.3, .object_extent = 1, .object_spread = 0.35)},
    {REASON_PHANTOM, false, NONE(.object_area = 0.3, .object_extent = 1, .object_flat = 0.5)},
    {REASON_PHANTOM, false, PX(.object_area = 0.3, .object_extent = 1, .object_flat = 1)},
    {REASON_QC_IMAGE, true, NONE(.object_area = 0.8, .object_flat = 0.91)},
    {REASON_QC_IMAGE, false, NONE(.object_area = 0.79, .object_flat = 0.91)},
    {REASON_QC_IMAGE, false, NONE(.object_area = 0.8, .object_flat = 0.9)},
    {REASON_QC_IMAGE, false, PX(.object_area = 0.8, .object_flat = 0.95)},
    {REASON_SPECIMEN, true, NONE(.object_area = 0.14, .object_level = 0.31, .object_free = true)},
    {REASON_SPECIMEN, false, NONE(.object_area = 0.15, .object_level = 0.31, .object_free = true)},
    {REASON_SPECIMEN, false, NONE(.object_area = 0.14, .object_level = 0.3, .object_free = true)},
    {REASON_SPECIMEN, false, NONE(.object_area = 0.14, .object_level = 0.31)},
    {REASON_SPECIMEN, false, PX(.object_area = 0.1, .object_level = 0.5, .object_free = true)},
    {REASON_LAT_CONFLICT, true, PX(.side_conflict = true)},
    {REASON_LAT_CONFLICT, false, PX(.orient_conflict = true)},
    {REASON_PARTIAL_VIEW, true, PX(.border_front = 0.06, .border_top = 0.06)},
    {REASON_PARTIAL_VIEW, true, PX(.border_front = 0.06, .border_bottom = 0.06)},
    {REASON_PARTIAL_VIEW, false, PX(.border_front = 0.06)},
    {REASON_PARTIAL_VIEW, false, PX(.border_top = 0.06, .border_bottom = 0.06)},
    {REASON_PARTIAL_VIEW, false, PX(.border_front = 0.05, .border_top = 0.06)},
    {REASON_IMPLANT, true, PX(.blob_share = 0.16, .blob_solidity = 0.91)},
    {REASON_IMPLANT, false, PX(.blob_share = 0.15, .blob_solidity = 0.91)},
    {REASON_IMPLANT, false, PX(.blob_share = 0.16, .blob_solidity = 0.9)},
    {REASON_METAL_CLIP, true, PX(.metal_least_mm2 = 99, .metal_most_mm2 = 99)},
    {REASON_METAL_CLIP, false, PX(.metal_least_mm2 = 100, .metal_most_mm2 = 100)},
    {REASON_METAL_CLIP, false, PX(.metal_least_mm2 = 0)},
    {REASON_PACEMAKER, true, PX(.metal_least_mm2 = 3, .metal_most_mm2 = 100)},
    {REASON_PACEMAKER, false, PX(.metal_least_mm2 = 3, .metal_most_mm2 = 99)},
    {REASON_PACEMAKER, false,
     PX(.metal_most_mm2 = 900, .blob_share = 0.2, .blob_solidity = 0.95)}, /* an implant */
    {REASON_BURNED_IN, true, PX(.letters = 6)},
    {REASON_BURNED_IN, false, PX(.letters = 5)},
};
#pragma GCC diagnostic pop

static void test_pixels(void **state)
{
    (void)state;
    exclude_cfg c = config(NULL);
    reason_set set;
    record r = good_record();
    pixel_facts p = good_pixels();
    assert_int_equal(judge(&c, &r, &p, &set), REASON_NONE);
    assert_true(set.bits[0] == 0 && set.bits[1] == 0);
    for (size_t i = 0; i < COUNT_OF(pixel); i++) {
        judge(&c, &r, &pixel[i].p, &set);
        if (!!reason_has(&set, pixel[i].code) != pixel[i].hits)
            fail_msg("case %zu: %s", i, reason_name(pixel[i].code));
    }
    p = good_pixels();
    reason_add(&p.notes, REASON_TS_LIES);
    reason_add(&p.notes, REASON_BITS_LIE);
    reason_add(&p.notes, REASON_GREY_AS_COLOUR);
    const reason_set notes = p.notes; /* of the decoder: each is a code of its own */
    assert_int_equal(judge(&c, &r, &p, &set), REASON_NONE);
    assert_memory_equal(&set, &notes, sizeof set);
    p = good_pixels();
    p.breast_found = false;
    assert_int_equal(judge(&c, &r, &p, &set), REASON_SEG_FAILED);
    for (int row = 0; row < EXCLUDE_ROWS; row++) { /* no pixel criterion without a case */
        bool seen =
            exclude_row_phase(row) == EXCLUDE_HEADER || reason_has(&notes, exclude_code(row));
        for (size_t i = 0; i < COUNT_OF(pixel); i++)
            seen = seen || (pixel[i].hits && pixel[i].code == exclude_code(row));
        if (!seen)
            fail_msg("%s has no case", exclude_key(row));
    }
}

/* A code with two rows: the header excludes, the pixels flag; each has its own key, and either way
 * it is one code. */
static void test_two_rows(void **state)
{
    (void)state;
    int twice = 0;
    reason_set set;
    record r = good_record();
    pixel_facts p = good_pixels();
    p.blob_share = 0.5;
    p.blob_solidity = 0.99;
    exclude_cfg c = config(NULL);
    assert_int_equal(judge(&c, &r, &p, &set), REASON_NONE);
    assert_true(reason_has(&set, REASON_IMPLANT));
    c = config("exclude.implant_pixels=exclude");
    assert_int_equal(judge(&c, &r, &p, &set), REASON_IMPLANT);
    c = config("exclude.implant_pixels=off");
    assert_int_equal(judge(&c, &r, &p, &set), REASON_NONE);
    assert_false(reason_has(&set, REASON_IMPLANT));
    for (int row = 0; row < EXCLUDE_ROWS; row++) {
        if (!strstr(exclude_key(row), "_pixels"))
            continue;
        twice++;
        assert_int_equal(exclude_row_phase(row), EXCLUDE_PIXELS);
        assert_string_equal(exclude_default(row), "flag");
        int first = 0;
        while (exclude_code(first) != exclude_code(row))
            first++;
        assert_int_equal(exclude_row_phase(first), EXCLUDE_HEADER);
        size_t n = strlen(exclude_key(first));
        assert_memory_equal(exclude_key(row), exclude_key(first), n);
        assert_string_equal(exclude_key(row) + n, "_pixels");
    }
    assert_int_equal(twice, 8);
}

/* A blank image says nothing else: no row behind BLANK is judged, unless BLANK is off. */
static void test_blank_is_last(void **state)
{
    (void)state;
    reason_set set;
    record r = good_record();
    pixel_facts p = good_pixels();
    p.range = 0;
    p.breast_found = false;
    exclude_cfg c = config("exclude.blank=flag");
    assert_int_equal(judge(&c, &r, &p, &set), REASON_NONE);
    assert_true(reason_has(&set, REASON_BLANK));
    assert_false(reason_has(&set, REASON_SEG_FAILED));
    c = config("exclude.blank=off");
    assert_int_equal(judge(&c, &r, &p, &set), REASON_SEG_FAILED);
}

static void test_policies(void **state)
{
    (void)state;
    reason_set set;
    record r = good_record();
    pixel_facts p = good_pixels();
    SET_OF(modality, "DX");
    SET_OF(body_part, "BREAST");
    exclude_cfg c = config(NULL), admit = config("exclude.admit_dx_breast=true");
    assert_int_equal(judge(&c, &r, NULL, &set), REASON_NOT_MG);
    assert_int_equal(judge(&admit, &r, NULL, &set), REASON_NONE);
    SET_OF(modality, "CR");
    assert_int_equal(judge(&admit, &r, NULL, &set), REASON_NONE);
    SET_OF(body_part, "CHEST");
    assert_int_equal(judge(&admit, &r, NULL, &set), REASON_NOT_MG);
    SET_OF(body_part, "BREAST");
    SET_OF(modality, "CT");
    assert_int_equal(judge(&admit, &r, NULL, &set), REASON_NOT_MG);
    r = good_record(); /* an implant-displaced view of a woman with an implant */
    r.implant = TRI_YES;
    r.modifiers = MODIFIER_IMPLANT_DISPLACED;
    assert_int_equal(judge(&c, &r, NULL, &set), REASON_IMPLANT_DISPLACED);
    c = config("exclude.implant_displaced=flag");
    assert_int_equal(judge(&c, &r, NULL, &set), REASON_NONE);
    r.modifiers = 0;
    assert_int_equal(judge(&c, &r, NULL, &set), REASON_IMPLANT);
    r = good_record();
    p.letters = 6;
    c = config("exclude.letters=7");
    judge(&c, &r, &p, &set);
    assert_false(reason_has(&set, REASON_BURNED_IN));
    c = config("exclude.letters=0");
    judge(&c, &r, &p, &set);
    assert_false(reason_has(&set, REASON_BURNED_IN));
}

static void test_order_and_actions(void **state)
{
    (void)state;
    reason_set set;
    record r = good_record();
    r.view = VIEW_ML;
    r.implant = TRI_YES;
    r.modifiers = MODIFIER_SPOT;
    exclude_cfg c = config(NULL);
    assert_int_equal(judge(&c, &r, NULL, &set), REASON_IMPLANT);
    assert_true(reason_has(&set, REASON_SPOT_COMPRESSION) &&
                reason_has(&set, REASON_VIEW_NONSTANDARD));
    c = config("exclude.implant=flag");
    assert_int_equal(judge(&c, &r, NULL, &set), REASON_SPOT_COMPRESSION);
    assert_true(reason_has(&set, REASON_IMPLANT));
    c = config("exclude.implant=off");
    assert_int_equal(judge(&c, &r, NULL, &set), REASON_SPOT_COMPRESSION);
    assert_false(reason_has(&set, REASON_IMPLANT));
    r = good_record();
    r.burned_in = TRI_YES;
    c = config("exclude.burned_in=exclude");
    assert_int_equal(judge(&c, &r, NULL, &set), REASON_BURNED_IN);
    r = good_record();
    snprintf(r.image_type[4], 17, "LOW_ENERGY");
    c = config("exclude.keep_low_energy=true");
    assert_int_equal(judge(&c, &r, NULL, &set), REASON_NONE);
    r = good_record();
    r.magnification = 1.5;
    c = config("exclude.max_magnification=1.6");
    assert_int_equal(judge(&c, &r, NULL, &set), REASON_NONE);
    /* a primary that decoding set earlier stays */
    reason primary = REASON_DEC_FAILED;
    r.implant = TRI_YES;
    exclude_judge(&c, EXCLUDE_HEADER, &r, NULL, &set, &primary);
    assert_int_equal(primary, REASON_DEC_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header),   cmocka_unit_test(test_pixels),
        cmocka_unit_test(test_two_rows), cmocka_unit_test(test_blank_is_last),
        cmocka_unit_test(test_policies), cmocka_unit_test(test_order_and_actions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
