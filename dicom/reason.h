/* Reason codes: why a file, an image or an exam is not used, or what was noticed on it. One
 * append-only list with a family letter each (ecosystem.md 13); the number is stored in no file,
 * the name is. */
#ifndef DICOM_REASON_H
#define DICOM_REASON_H

#include <stdint.h>

#define REASON_LIST(ROW)                                                                           \
    /* F: the file */                                                                              \
    ROW(F, IO_UNREADABLE, "the file cannot be read, or it is no DICOM file")                       \
    ROW(F, IO_TRUNCATED, "the file ends before its data does")                                     \
    ROW(F, NOT_IMAGE, "the file holds no pixel data")                                              \
    ROW(S, DECODER_CRASH, "the decoder process died on this file")                                 \
    ROW(S, DECODER_LIMIT, "the decoder hit its time or memory limit on this file")                 \
    /* X: transfer syntax; P: pixels */                                                            \
    ROW(X, TS_UNSUPPORTED, "the transfer syntax is not supported")                                 \
    ROW(X, TS_LIES, "transfer syntax and byte stream disagree")                                    \
    ROW(P, DEC_FAILED, "the pixel data cannot be decoded")                                         \
    ROW(P, DEC_WARNED, "the decoder reported damaged pixel data")                                  \
    ROW(P, PIX_GEOMETRY, "samples, bits or sizes do not describe a grey image")                    \
    ROW(P, BITS_LIE, "pixel values exceed BitsStored")                                             \
    ROW(P, POLARITY_CONFLICT, "PhotometricInterpretation and PresentationLUTShape disagree")       \
    ROW(P, POLARITY_FIXED, "the pixels show inverted contrast; it was corrected")                  \
    ROW(P, POLARITY_UNCERTAIN, "the pixels do not show which contrast is meant")                   \
    ROW(P, BLANK, "the image is blank")                                                            \
    /* M: modality and content */                                                                  \
    ROW(M, NOT_MG, "the image is not a mammogram")                                                 \
    ROW(M, FOR_PROCESSING, "the image is meant for processing, not for presentation")              \
    ROW(M, SC_CAPTURE, "secondary capture or screen shot")                                         \
    ROW(M, SCO_PRIVATE, "tomosynthesis in a private secondary capture")                            \
    ROW(M, CAD_OVERLAY, "computer-aided detection marks")                                          \
    ROW(M, MF_TOMO, "tomosynthesis volume or slice")                                               \
    ROW(M, MF_PROJ, "tomosynthesis projections")                                                   \
    ROW(M, SYN_2D, "synthetic two-dimensional image")                                              \
    ROW(M, CESM, "contrast-enhanced image")                                                        \
    ROW(M, QC_IMAGE, "quality control image")                                                      \
    ROW(M, PHANTOM, "phantom")                                                                     \
    ROW(M, SPECIMEN, "specimen")                                                                   \
    ROW(M, BIOPSY_STEREO, "biopsy or stereotactic view")                                           \
    ROW(M, WIRE_LOC, "wire localisation")                                                          \
    ROW(M, POST_CLIP, "after clip placement")                                                      \
    ROW(M, EXPOSURE_ABORTED, "aborted exposure")                                                   \
    ROW(M, IMPLANT, "breast implant")                                                              \
    ROW(M, IMPLANT_DISPLACED, "implant-displaced view")                                            \
    ROW(M, MAGNIFICATION, "magnification view")                                                    \
    ROW(M, SPOT_COMPRESSION, "spot compression view")                                              \
    /* V: view */                                                                                  \
    ROW(V, VIEW_MODIFIER, "another view modifier is set")                                          \
    ROW(V, VIEW_NONSTANDARD, "the view is neither CC nor MLO")                                     \
    ROW(V, VIEW_UNKNOWN, "the view is not recorded")                                               \
    ROW(V, LAT_UNKNOWN, "the side is not recorded")                                                \
    ROW(V, LAT_BOTH, "both sides in one image")                                                    \
    ROW(V, LAT_CONFLICT, "the sources of the side disagree")                                       \
    ROW(V, PARTIAL_VIEW, "partial view")                                                           \
    ROW(V, BURNED_IN, "burned-in annotation")                                                      \
    ROW(V, ORIENT_CONFLICT, "orientation codes and pixels disagree")                               \
    ROW(V, SEG_FAILED, "no breast was found")                                                      \
    ROW(V, LOW_BREAST_AREA, "the breast fills too little of the image")                            \
    ROW(V, HIGH_BREAST_AREA, "the breast fills too much of the image")                             \
    ROW(P, UNDEREXPOSED, "the image is underexposed")                                              \
    ROW(P, OVEREXPOSED, "the image is overexposed")                                                \
    ROW(P, NOISE, "the image is too noisy")                                                        \
    ROW(P, LOSSY, "lossy compression")                                                             \
    /* L: identity, labels, clinical rules */                                                      \
    ROW(L, NO_PATIENT_ID, "no patient identifier")                                                 \
    ROW(L, NO_STUDY, "no study identifier")                                                        \
    ROW(L, NO_DATE, "no usable examination date")                                                  \
    ROW(L, NO_LABEL, "no outcome is known for this patient or exam")                               \
    ROW(L, LABEL_CONFLICT, "two outcomes contradict each other")                                   \
    ROW(L, DUP_SOP, "the same image was seen before")                                              \
    ROW(L, DUP_PIXEL, "an image with the same pixels was seen before")                             \
    ROW(L, DUP_VIEW, "a better image of the same view exists in the exam")                         \
    ROW(L, AGE_RANGE, "age outside the configured range")                                          \
    ROW(L, NOT_FEMALE, "not recorded as female")                                                   \
    ROW(L, PRIOR_CANCER, "breast cancer before the exam")                                          \
    ROW(L, WITHIN_DETECTION, "cancer found within the detection window of the exam")               \
    ROW(L, SHORT_FOLLOWUP, "cancer-free follow-up is too short")                                   \
    ROW(L, INCOMPLETE_EXAM, "the exam lacks required views")                                       \
    ROW(L, VENDOR_FILTER, "the vendor is not in the configured list")                              \
    ROW(L, SPLIT_CONFLICT, "the patient was assigned to two splits")                               \
    ROW(V, NO_SPACING, "the pixel size is not recorded, and the canvas is in millimetres")         \
    ROW(V, CANVAS_CUT, "the breast is larger than the canvas")                                     \
    ROW(M, METAL_CLIP, "a small metal clip or marker in the breast")                               \
    ROW(M, PACEMAKER, "a large metal object in the breast")                                        \
    ROW(F, IO_LOST, "the prepared image was lost, and its file is no longer what it was")          \
    ROW(P, GREY_AS_COLOUR, "a grey image stored as colour with three equal channels")              \
    ROW(L, NO_SPLIT, "the label table names no split for this patient")                            \
    ROW(L, LABEL_COARSE, "the time to the cancer is known too coarsely for the horizon")           \
    ROW(M, FOR_PRESENTATION, "the image is not meant for processing, and such images are wanted")

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
