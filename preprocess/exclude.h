/* Technical exclusion: one ordered table of criteria, judged on one image alone (design.md 1;
 * dicom.md 4). Header rows run before the pixels are decoded, pixel rows after. Every criterion has
 * a config key "exclude.<code>: exclude|flag|off"; the first hit set to `exclude` is the primary
 * reason, every hit that is not off is recorded. Relational rules (duplicates, labels) are in
 * split. */
#ifndef PREPROCESS_EXCLUDE_H
#define PREPROCESS_EXCLUDE_H

#include "core/cfg.h"
#include "dicom/record.h"

typedef enum exclude_phase { EXCLUDE_HEADER, EXCLUDE_PIXELS } exclude_phase;
typedef enum exclude_action { EXCLUDE_DROP, EXCLUDE_FLAG, EXCLUDE_OFF } exclude_action;

/* The criteria in the order of judgement: row, reason code, config key, phase, default action,
 * source. What the header may lack the pixels may show: then a code has a second row, with a key of
 * its own because its thresholds are proposals (dicom.md 4) until they are calibrated per vendor:
 * it only flags. The sentence of each code is in dicom/reason.h. */
#define EXCLUDE_LIST(X)                                                                            \
    X(NOT_MG, NOT_MG, not_mg, HEADER, exclude, "Modality (0008,0060), SOP class")                  \
    X(FOR_PROCESSING, FOR_PROCESSING, for_processing, HEADER, exclude,                             \
      "PresentationIntentType (0008,0068)")                                                        \
    X(FOR_PRESENTATION, FOR_PRESENTATION, for_presentation, HEADER, exclude,                       \
      "PresentationIntentType while prepare.processing is not refuse")                             \
    X(SCO_PRIVATE, SCO_PRIVATE, sco_private, HEADER, exclude,                                      \
      "private group 7E01 of a secondary capture")                                                 \
    X(SC_CAPTURE, SC_CAPTURE, sc_capture, HEADER, exclude, "SOP class, ImageType value 2")         \
    X(CAD_OVERLAY, CAD_OVERLAY, cad_overlay, HEADER, flag, "word CAD in a description")            \
    X(MF_TOMO, MF_TOMO, mf_tomo, HEADER, exclude,                                                  \
      "NumberOfFrames (0028,0008), SOP class, ImageType")                                          \
    X(MF_PROJ, MF_PROJ, mf_proj, HEADER, exclude, "SOP class, ImageType value 3")                  \
    X(SYN_2D, SYN_2D, syn_2d, HEADER, exclude, "ImageType value 4, descriptions, device")          \
    X(CESM, CESM, cesm, HEADER, exclude, "ImageType values 3 to 5")                                \
    X(QC_IMAGE, QC_IMAGE, qc_image, HEADER, exclude,                                               \
      "QualityControlImage (0028,0300), descriptions")                                             \
    X(PHANTOM, PHANTOM, phantom, HEADER, exclude, "descriptions")                                  \
    X(SPECIMEN, SPECIMEN, specimen, HEADER, exclude, "view code 127457009, descriptions")          \
    X(BIOPSY_STEREO, BIOPSY_STEREO, biopsy_stereo, HEADER, exclude,                                \
      "ImageType value 3, descriptions")                                                           \
    X(WIRE_LOC, WIRE_LOC, wire_loc, HEADER, exclude, "descriptions")                               \
    X(POST_CLIP, POST_CLIP, post_clip, HEADER, exclude, "ImageType value 3, descriptions")         \
    X(EXPOSURE_ABORTED, EXPOSURE_ABORTED, exposure_aborted, HEADER, exclude,                       \
      "ExposureStatus (0018,7064), exposure or KVP of 0")                                          \
    X(IMPLANT, IMPLANT, implant, HEADER, exclude, "BreastImplantPresent (0028,1300)")              \
    X(IMPLANT_DISPLACED, IMPLANT_DISPLACED, implant_displaced, HEADER, exclude,                    \
      "view modifier 399209000")                                                                   \
    X(MAGNIFICATION, MAGNIFICATION, magnification, HEADER, exclude,                                \
      "view modifier, factor (0018,1114)")                                                         \
    X(SPOT_COMPRESSION, SPOT_COMPRESSION, spot_compression, HEADER, exclude,                       \
      "view modifier, paddle, descriptions")                                                       \
    X(VIEW_MODIFIER, VIEW_MODIFIER, view_modifier, HEADER, exclude,                                \
      "ViewModifierCodeSequence (0054,0222)")                                                      \
    X(VIEW_NONSTANDARD, VIEW_NONSTANDARD, view_nonstandard, HEADER, exclude,                       \
      "ViewCodeSequence (0054,0220)")                                                              \
    X(VIEW_UNKNOWN, VIEW_UNKNOWN, view_unknown, HEADER, exclude, "no source of the view")          \
    X(LAT_UNKNOWN, LAT_UNKNOWN, lat_unknown, HEADER, exclude, "no source of the side")             \
    X(LAT_BOTH, LAT_BOTH, lat_both, HEADER, exclude, "ImageLaterality (0020,0062)")                \
    X(LAT_CONFLICT, LAT_CONFLICT, lat_conflict, HEADER, exclude, "sources of the side disagree")   \
    X(PARTIAL_VIEW, PARTIAL_VIEW, partial_view, HEADER, exclude, "PartialView (0028,1350)")        \
    X(BURNED_IN, BURNED_IN, burned_in, HEADER, flag, "BurnedInAnnotation (0028,0301)")             \
    X(LOSSY, LOSSY, lossy, HEADER, flag, "LossyImageCompression (0028,2110)")                      \
    X(NO_PATIENT_ID, NO_PATIENT_ID, no_patient_id, HEADER, exclude, "PatientID (0010,0020)")       \
    X(NO_STUDY, NO_STUDY, no_study, HEADER, exclude, "StudyInstanceUID (0020,000D)")               \
    X(NO_DATE, NO_DATE, no_date, HEADER, flag, "no usable date attribute")                         \
    X(TS_LIES, TS_LIES, ts_lies, PIXELS, flag, "transfer syntax against the bytes")                \
    X(BITS_LIE, BITS_LIE, bits_lie, PIXELS, flag, "BitsStored against the values")                 \
    X(GREY_AS_COLOUR, GREY_AS_COLOUR, grey_as_colour, PIXELS, flag,                                \
      "channels of a PNG or TIFF picture")                                                         \
    X(NO_SPACING, NO_SPACING, no_spacing, PIXELS, exclude,                                         \
      "pixel size unknown while prepare.fit is mm")                                                \
    X(BLANK, BLANK, blank, PIXELS, exclude, "range of the display values")                         \
    X(EXPOSURE_ABORTED_PIXELS, EXPOSURE_ABORTED, exposure_aborted_pixels, PIXELS, flag,            \
      "small range of display values, mostly noise")                                               \
    X(POLARITY_CONFLICT, POLARITY_CONFLICT, polarity_conflict, PIXELS, flag,                       \
      "(0028,0004) against (2050,0020)")                                                           \
    X(POLARITY_FIXED, POLARITY_FIXED, polarity_fixed, PIXELS, flag, "pixel polarity test")         \
    X(POLARITY_UNCERTAIN, POLARITY_UNCERTAIN, polarity_uncertain, PIXELS, flag,                    \
      "pixel polarity test")                                                                       \
    X(PHANTOM_PIXELS, PHANTOM, phantom_pixels, PIXELS, flag,                                       \
      "no breast but a rectangular, smooth object")                                                \
    X(QC_IMAGE_PIXELS, QC_IMAGE, qc_image_pixels, PIXELS, flag, "no breast but one uniform field") \
    X(SPECIMEN_PIXELS, SPECIMEN, specimen_pixels, PIXELS, flag,                                    \
      "a small bright object in the middle of the image")                                          \
    X(SEG_FAILED, SEG_FAILED, seg_failed, PIXELS, exclude, "breast segmentation")                  \
    X(ORIENT_CONFLICT, ORIENT_CONFLICT, orient_conflict, PIXELS, flag,                             \
      "PatientOrientation against the pixels")                                                     \
    X(LAT_CONFLICT_PIXELS, LAT_CONFLICT, lat_conflict_pixels, PIXELS, flag,                        \
      "chest wall not where the side has it, without PatientOrientation")                          \
    X(PARTIAL_VIEW_PIXELS, PARTIAL_VIEW, partial_view_pixels, PIXELS, flag,                        \
      "breast cut at the front and at the top or bottom")                                          \
    X(IMPLANT_PIXELS, IMPLANT, implant_pixels, PIXELS, flag,                                       \
      "large, bright, smooth, convex part of the breast")                                          \
    X(METAL_CLIP, METAL_CLIP, metal_clip, PIXELS, flag,                                            \
      "small saturated part of the breast with a sharp edge")                                      \
    X(PACEMAKER, PACEMAKER, pacemaker, PIXELS, flag,                                               \
      "large saturated part of the breast with a sharp edge")                                      \
    X(BURNED_IN_PIXELS, BURNED_IN, burned_in_pixels, PIXELS, flag,                                 \
      "letters in a row beside the breast")                                                        \
    X(LOW_BREAST_AREA, LOW_BREAST_AREA, low_breast_area, PIXELS, flag, "breast area / image area") \
    X(HIGH_BREAST_AREA, HIGH_BREAST_AREA, high_breast_area, PIXELS, flag,                          \
      "breast area / image area")                                                                  \
    X(UNDEREXPOSED, UNDEREXPOSED, underexposed, PIXELS, flag, "median of the breast")              \
    X(OVEREXPOSED, OVEREXPOSED, overexposed, PIXELS, flag, "share of saturated breast pixels")     \
    X(NOISE, NOISE, noise, PIXELS, flag, "residual against a 3x3 median in the breast")            \
    X(CANVAS_CUT, CANVAS_CUT, canvas_cut, PIXELS, flag,                                            \
      "breast larger than the canvas while prepare.fit is mm")

typedef enum exclude_row {
#define EXCLUDE_ENUM(row, code, key, phase, action, source) EXCLUDE_##row,
    EXCLUDE_LIST(EXCLUDE_ENUM)
#undef EXCLUDE_ENUM
        EXCLUDE_ROWS
} exclude_row;

typedef struct exclude_cfg { /* POD, bound from exclude_options */
    int action[EXCLUDE_ROWS];
    bool keep_low_energy, admit_dx_breast;
    bool want_processing; /* of prepare.processing: images for processing and no others */
    double max_magnification;
    double blank_range, blank_share;
    double aborted_range, aborted_noise;
    double min_breast_area, max_breast_area, min_breast_mm2, max_breast_mm2;
    double min_median, max_saturated, max_noise, max_air_noise;
    double implant_share, implant_solidity;
    double metal_contrast, metal_mm2;
    double partial_border;
    double phantom_extent, phantom_flat, phantom_spread, qc_area, qc_flat, specimen_area,
        specimen_level;
    int64_t letters;
} exclude_cfg;
extern const cfg_group exclude_options;

typedef struct pixel_facts { /* what the pixel chain measured; shares are 0..1 */
    bool mm_wanted, mm_known;
    double range;     /* (p99.5 - p0.5) / full scale of the display values, padding left out */
    double top_share; /* share of the most frequent display value */
    double noise;     /* 1.4826 MAD of (I - 3x3 median) / range, whole image */
    bool polarity_conflict, polarity_fixed, polarity_uncertain, orient_conflict, canvas_cut;
    bool side_conflict; /* the side alone said where the chest wall is, and the pixels disagree */
    bool breast_found;
    double breast_area;      /* mask / image */
    double breast_mm2;       /* 0: pixel size unknown */
    double breast_median;    /* of full scale */
    double breast_saturated; /* share at full scale */
    double breast_noise;     /* 1.4826 MAD of (I - 3x3 median) / (p95 - p5) */
    double air_noise;        /* the same MAD of the air / full scale */
    double border_top, border_bottom, border_front; /* share of the border the breast reaches */
    double blob_share,
        blob_solidity; /* largest smooth part above 0.9 of full scale: / mask, / hull */
    double metal_least_mm2, metal_most_mm2; /* saturated parts with a sharp edge; 0: none */
    int letters;                            /* longest row of letters beside the breast */
    /* without a breast: the largest thing brighter than the background */
    double object_area, object_extent; /* / image, / its bounding box */
    double object_flat, object_level;  /* share of smooth pixels; median, of full scale */
    double object_spread;              /* p95 - p5, of full scale */
    bool object_free;                  /* touches no border */
    reason_set notes;                  /* of pixels_decode */
} pixel_facts;

/* Judge one phase: adds every hit to *set; *primary is set to the first hit whose action is exclude
 * unless it is set already. px is NULL in the header phase. */
void exclude_judge(const exclude_cfg *c, exclude_phase phase, const record *r,
                   const pixel_facts *px, reason_set *set, reason *primary);
/* Is an image with this code left out, wherever the code comes from? A code without a row always.
 */
bool exclude_drops(const exclude_cfg *c, reason r);
/* The row's code, config key (without "exclude."), phase and default action. */
reason exclude_code(int row);
const char *exclude_key(int row);
exclude_phase exclude_row_phase(int row);
const char *exclude_default(int row);
#endif
