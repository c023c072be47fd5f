/* Reason codes: why a file, an image or an exam is not used, or what was noticed on it. One
 * append-only list with a family letter each (ecosystem.md 13); the number is stored in no file,
 * the name is. */
#ifndef DICOM_REASON_H
#define DICOM_REASON_H

#include <stdint.h>

#define REASON_LIST(X)                                                                             \
    /* F: the file */                                                                              \
    X(F, IO_UNREADABLE, "the file cannot be read, or it is no DICOM file")                         \
    X(F, IO_TRUNCATED, "the file ends before its data does")                                       \
    X(F, NOT_IMAGE, "the file holds no pixel data")                                                \
    X(S, DECODER_CRASH, "the decoder process died on this file")                                   \
    X(S, DECODER_LIMIT, "the decoder hit its time or memory limit on this file")                   \
    /* X: transfer syntax; P: pixels */                                                            \
    X(X, TS_UNSUPPORTED, "the transfer syntax is not supported")                                   \
    X(X, TS_LIES, "transfer syntax and byte stream disagree")                                      \
    X(P, DEC_FAILED, "the pixel data cannot be decoded")                                           \
    X(P, DEC_WARNED, "the decoder reported damaged pixel data")                                    \
    X(P, PIX_GEOMETRY, "samples, bits or sizes do not describe a grey image")                      \
    X(P, BITS_LIE, "pixel values exceed BitsStored")                                               \
    X(P, POLARITY_CONFLICT, "PhotometricInterpretation and PresentationLUTShape disagree")         \
    X(P, POLARITY_FIXED, "the pixels show inverted contrast; it was corrected")                    \
    X(P, POLARITY_UNCERTAIN, "the pixels do not show which contrast is meant")                     \
    X(P, BLANK, "the image is blank")                                                              \
    /* M: modality and content */                                                                  \
    X(M, NOT_MG, "the image is not a mammogram")                                                   \
    X(M, FOR_PROCESSING, "the image is meant for processing, not for presentation")                \
    X(M, SC_CAPTURE, "secondary capture or screen shot")                                           \
    X(M, SCO_PRIVATE, "tomosynthesis in a private secondary capture")                              \
    X(M, CAD_OVERLAY, "computer-aided detection marks")                                            \
    X(M, MF_TOMO, "tomosynthesis volume or slice")                                                 \
    X(M, MF_PROJ, "tomosynthesis projections")                                                     \
    X(M, SYN_2D, "synthetic two-dimensional image")                                                \
    X(M, CESM, "contrast-enhanced image")                                                          \
    X(M, QC_IMAGE, "quality control image")                                                        \
    X(M, PHANTOM, "phantom")                                                                       \
    X(M, SPECIMEN, "specimen")                                                                     \
    X(M, BIOPSY_STEREO, "biopsy or stereotactic view")                                             \
    X(M, WIRE_LOC, "wire localisation")                                                            \
    X(M, POST_CLIP, "after clip placement")                                                        \
    X(M, EXPOSURE_ABORTED, "aborted exposure")                                                     \
    X(M, IMPLANT, "breast implant")                                                                \
    X(M, IMPLANT_DISPLACED, "implant-displaced view")                                              \
    X(M, MAGNIFICATION, "magnification view")                                                      \
    X(M, SPOT_COMPRESSION, "spot compression view")                                                \
    /* V: view */                                                                                  \
    X(V, VIEW_MODIFIER, "another view modifier is set")                                            \
    X(V, VIEW_NONSTANDARD, "the view is neither CC nor MLO")                                       \
    X(V, VIEW_UNKNOWN, "the view is not recorded")                                                 \
    X(V, LAT_UNKNOWN, "the side is not recorded")                                                  \
    X(V, LAT_BOTH, "both sides in one image")                                                      \
    X(V, LAT_CONFLICT, "the sources of the side disagree")                                         \
    X(V, PARTIAL_VIEW, "partial view")                                                             \
    X(V, BURNED_IN, "burned-in annotation")                                                        \
    X(V, ORIENT_CONFLICT, "orientation codes and pixels disagree")                                 \
    X(V, SEG_FAILED, "no breast was found")                                                        \
    X(V, LOW_BREAST_AREA, "the breast fills too little of the image")                              \
    X(V, HIGH_BREAST_AREA, "the breast fills too much of the image")                               \
    X(P, UNDEREXPOSED, "the image is underexposed")                                                \
    X(P, OVEREXPOSED, "the image is overexposed")                                                  \
    X(P, NOISE, "the image is too noisy")                                                          \
    X(P, LOSSY, "lossy compression")                                                               \
    /* L: identity, labels, clinical rules */                                                      \
    X(L, NO_PATIENT_ID, "no patient identifier")                                                   \
    X(L, NO_STUDY, "no study identifier")                                                          \
    X(L, NO_DATE, "no usable examination date")                                                    \
    X(L, NO_LABEL, "no outcome is known for this patient or exam")                                 \
    X(L, LABEL_CONFLICT, "two outcomes contradict each other")                                     \
    X(L, DUP_SOP, "the same image was seen before")                                                \
    X(L, DUP_PIXEL, "an image with the same pixels was seen before")                               \
    X(L, DUP_VIEW, "a better image of the same view exists in the exam")                           \
    X(L, AGE_RANGE, "age outside the configured range")                                            \
    X(L, NOT_FEMALE, "not recorded as female")                                                     \
    X(L, PRIOR_CANCER, "breast cancer before the exam")                                            \
    X(L, WITHIN_DETECTION, "cancer found within the detection window of the exam")                 \
    X(L, SHORT_FOLLOWUP, "cancer-free follow-up is too short")                                     \
    X(L, INCOMPLETE_EXAM, "the exam lacks required views")                                         \
    X(L, VENDOR_FILTER, "the vendor is not in the configured list")                                \
    X(L, SPLIT_CONFLICT, "the patient was assigned to two splits")                                 \
    X(V, NO_SPACING, "the pixel size is not recorded, and the canvas is in millimetres")           \
    X(V, CANVAS_CUT, "the breast is larger than the canvas")                                       \
    X(M, METAL_CLIP, "a small metal clip or marker in the breast")                                 \
    X(M, PACEMAKER, "a large metal object in the breast")                                          \
    X(F, IO_LOST, "the prepared image was lost, and its file is no longer what it was")            \
    X(P, GREY_AS_COLOUR, "a grey image stored as colour with three equal channels")                \
    X(L, NO_SPLIT, "the label table names no split for this patient")                              \
    X(L, LABEL_COARSE, "the time to the cancer is known too coarsely for the horizon")

typedef enum reason {
    REASON_NONE = 0,
#define REASON_ENUM(family, name, text) REASON_##name,
    REASON_LIST(REASON_ENUM)
#undef REASON_ENUM
        REASON_COUNT
} reason;

typedef struct reason_set {
    uint64_t bits[2];
} reason_set;
static inline void reason_add(reason_set *s, reason r)
{
    s->bits[(unsigned)r / 64] |= UINT64_C(1) << ((unsigned)r % 64);
}
static inline int reason_has(const reason_set *s, reason r)
{
    return (int)(s->bits[(unsigned)r / 64] >> ((unsigned)r % 64) & 1);
}

const char *reason_name(reason r);     /* "TS_UNSUPPORTED"; "" for REASON_NONE */
const char *reason_sentence(reason r); /* for reports */
char reason_family(reason r);
reason reason_find(const char *name); /* REASON_NONE = unknown */
#endif
