/* The attributes we read, each with the reason why. Nothing outside this table is ever looked at,
 * so it is also the list of what can enter the catalogue. dicom.md 1. */
#ifndef DICOM_TAGS_H
#define DICOM_TAGS_H

#include <stdint.h>

typedef enum tag_type {
    TAG_CODE,   /* CS and coded strings: trimmed, upper case */
    TAG_STRING, /* text: trimmed */
    TAG_UID,
    TAG_DATE,   /* DA or DT */
    TAG_TIME,   /* TM or DT */
    TAG_NUMBER, /* DS, IS, US, SS... */
    TAG_SEQ,
    TAG_LUT
} tag_type;

/* X(id, group, element, type, macro group, macro element, why). The macro is the sequence that
 * holds the attribute inside a functional group of a multi-frame image (0,0 = none). */
#define TAG_LIST(X)                                                                                \
    X(MediaStorageSOPClassUID, 0x0002, 0x0002, UID, 0, 0, "SOP class when the data set has none")  \
    X(MediaStorageSOPInstanceUID, 0x0002, 0x0003, UID, 0, 0, "image identity, fallback")           \
    X(TransferSyntaxUID, 0x0002, 0x0010, UID, 0, 0, "how the pixels are coded")                    \
    X(ImageType, 0x0008, 0x0008, CODE, 0, 0, "original, derived, scout, tomosynthesis")            \
    X(FrameType, 0x0008, 0x9007, CODE, 0x0018, 0x9504, "image type of a multi-frame image")        \
    X(SOPClassUID, 0x0008, 0x0016, UID, 0, 0, "kind of image")                                     \
    X(SOPInstanceUID, 0x0008, 0x0018, UID, 0, 0, "image identity")                                 \
    X(StudyDate, 0x0008, 0x0020, DATE, 0, 0, "exam day, fallback")                                 \
    X(SeriesDate, 0x0008, 0x0021, DATE, 0, 0, "exam day, last fallback")                           \
    X(AcquisitionDate, 0x0008, 0x0022, DATE, 0, 0, "exam day")                                     \
    X(ContentDate, 0x0008, 0x0023, DATE, 0, 0, "exam day, fallback")                               \
    X(AcquisitionDateTime, 0x0008, 0x002A, DATE, 0, 0, "exam day, fallback")                       \
    X(FrameAcquisitionDateTime, 0x0018, 0x9074, DATE, 0x0020, 0x9111, "exam day, multi-frame")     \
    X(AcquisitionTime, 0x0008, 0x0032, TIME, 0, 0, "which of two equal views is later")            \
    X(ContentTime, 0x0008, 0x0033, TIME, 0, 0, "which of two equal views is later, fallback")      \
    X(AccessionNumber, 0x0008, 0x0050, STRING, 0, 0, "join with outcome tables")                   \
    X(Modality, 0x0008, 0x0060, CODE, 0, 0, "MG or not")                                           \
    X(ConversionType, 0x0008, 0x0064, CODE, 0, 0,                                                  \
      "digitised film and screen shots; never a reason alone")                                     \
    X(PresentationIntentType, 0x0008, 0x0068, CODE, 0, 0, "for presentation or processing")        \
    X(Manufacturer, 0x0008, 0x0070, STRING, 0, 0, "vendor")                                        \
    X(CodeValue, 0x0008, 0x0100, STRING, 0, 0, "the code inside a code sequence")                  \
    X(CodeMeaning, 0x0008, 0x0104, STRING, 0, 0, "the code in words")                              \
    X(StationName, 0x0008, 0x1010, STRING, 0, 0, "device; stays in the hospital")                  \
    X(StudyDescription, 0x0008, 0x1030, STRING, 0, 0, "biopsy, wire, specimen, quality control")   \
    X(SeriesDescription, 0x0008, 0x103E, STRING, 0, 0,                                             \
      "side, view and special exposures in words")                                                 \
    X(ManufacturerModelName, 0x0008, 0x1090, STRING, 0, 0, "device")                               \
    X(PatientName, 0x0010, 0x0010, STRING, 0, 0, "the word PHANTOM or TEST; never kept")           \
    X(PatientID, 0x0010, 0x0020, STRING, 0, 0, "person")                                           \
    X(IssuerOfPatientID, 0x0010, 0x0021, STRING, 0, 0, "person")                                   \
    X(PatientBirthDate, 0x0010, 0x0030, DATE, 0, 0, "age, fallback; never kept")                   \
    X(PatientSex, 0x0010, 0x0040, CODE, 0, 0, "screening is for women")                            \
    X(QualityControlSubject, 0x0010, 0x0200, CODE, 0, 0, "phantom")                                \
    X(OtherPatientIDs, 0x0010, 0x1000, STRING, 0, 0, "the same person under another number")       \
    X(OtherPatientIDsSequence, 0x0010, 0x1002, SEQ, 0, 0, "the same person under another number")  \
    X(PatientAge, 0x0010, 0x1010, CODE, 0, 0, "age")                                               \
    X(ClinicalTrialProtocolID, 0x0012, 0x0020, STRING, 0, 0,                                       \
      "the trial that numbers its subjects")                                                       \
    X(ClinicalTrialSubjectID, 0x0012, 0x0040, STRING, 0, 0, "the same person in a trial")          \
    X(BodyPartExamined, 0x0018, 0x0015, CODE, 0, 0, "breast images of other modalities")           \
    X(KVP, 0x0018, 0x0060, NUMBER, 0, 0, "aborted exposures, contrast images")                     \
    X(DeviceSerialNumber, 0x0018, 0x1000, STRING, 0, 0, "device; stays in the hospital")           \
    X(SecondaryCaptureDeviceManufacturer, 0x0018, 0x1016, STRING, 0, 0,                            \
      "screen shots; never a reason alone")                                                        \
    X(SoftwareVersions, 0x0018, 0x1020, STRING, 0, 0, "device; stays in the hospital")             \
    X(ProtocolName, 0x0018, 0x1030, STRING, 0, 0, "view in words")                                 \
    X(EstimatedRadiographicMagnificationFactor, 0x0018, 0x1114, NUMBER, 0, 0, "magnification")     \
    X(Exposure, 0x0018, 0x1152, NUMBER, 0, 0, "aborted exposures")                                 \
    X(ExposureInuAs, 0x0018, 0x1153, NUMBER, 0, 0, "aborted exposures, fallback")                  \
    X(ImagerPixelSpacing, 0x0018, 0x1164, NUMBER, 0, 0, "size of a pixel at the detector")         \
    X(AnodeTargetMaterial, 0x0018, 0x1191, CODE, 0, 0, "contrast images, quality control")         \
    X(BodyPartThickness, 0x0018, 0x11A0, NUMBER, 0, 0, "compressed thickness")                     \
    X(CompressionForce, 0x0018, 0x11A2, NUMBER, 0, 0, "compression force")                         \
    X(PaddleDescription, 0x0018, 0x11A4, STRING, 0, 0, "spot and magnification paddles")           \
    X(AcquisitionDeviceProcessingDescription, 0x0018, 0x1400, STRING, 0, 0,                        \
      "device; stays in the hospital")                                                             \
    X(AcquisitionDeviceProcessingCode, 0x0018, 0x1401, STRING, 0, 0,                               \
      "device; stays in the hospital")                                                             \
    X(RelativeXRayExposure, 0x0018, 0x1405, NUMBER, 0, 0, "under- and overexposure")               \
    X(BiopsyTargetSequence, 0x0018, 0x2041, SEQ, 0, 0, "stereotactic biopsy")                      \
    X(ViewPosition, 0x0018, 0x5101, CODE, 0, 0, "view in words")                                   \
    X(DetectorType, 0x0018, 0x7004, CODE, 0, 0, "cassettes or flat detectors")                     \
    X(DetectorID, 0x0018, 0x700A, STRING, 0, 0, "device; stays in the hospital")                   \
    X(DetectorElementSpacing, 0x0018, 0x7022, NUMBER, 0, 0, "size of a pixel, last fallback")      \
    X(FieldOfViewOrigin, 0x0018, 0x7030, NUMBER, 0, 0,                                             \
      "what was cut before storing: information only")                                             \
    X(FieldOfViewRotation, 0x0018, 0x7032, NUMBER, 0, 0,                                           \
      "what was turned before storing: information only")                                          \
    X(FieldOfViewHorizontalFlip, 0x0018, 0x7034, CODE, 0, 0,                                       \
      "what was flipped before storing: information only")                                         \
    X(FilterMaterial, 0x0018, 0x7050, CODE, 0, 0, "contrast images, quality control")              \
    X(ExposureStatus, 0x0018, 0x7064, CODE, 0, 0, "aborted exposures")                             \
    X(StudyInstanceUID, 0x0020, 0x000D, UID, 0, 0, "exam")                                         \
    X(SeriesInstanceUID, 0x0020, 0x000E, UID, 0, 0, "series")                                      \
    X(StudyID, 0x0020, 0x0010, STRING, 0, 0, "exam, as a person reads it")                         \
    X(PatientOrientation, 0x0020, 0x0020, CODE, 0x0020, 0x9450, "which way the image hangs")       \
    X(ImageOrientationPatient, 0x0020, 0x0037, NUMBER, 0x0020, 0x9116,                             \
      "which way the image hangs, multi-frame fallback")                                           \
    X(Laterality, 0x0020, 0x0060, CODE, 0, 0, "side of the series")                                \
    X(ImageLaterality, 0x0020, 0x0062, CODE, 0, 0, "side")                                         \
    X(FrameLaterality, 0x0020, 0x9072, CODE, 0x0020, 0x9071, "side of a multi-frame image")        \
    X(SamplesPerPixel, 0x0028, 0x0002, NUMBER, 0, 0, "grey or colour")                             \
    X(PhotometricInterpretation, 0x0028, 0x0004, CODE, 0, 0, "is low dark or bright")              \
    X(NumberOfFrames, 0x0028, 0x0008, NUMBER, 0, 0, "tomosynthesis")                               \
    X(Rows, 0x0028, 0x0010, NUMBER, 0, 0, "size")                                                  \
    X(Columns, 0x0028, 0x0011, NUMBER, 0, 0, "size")                                               \
    X(PixelSpacing, 0x0028, 0x0030, NUMBER, 0x0028, 0x9110, "size of a pixel, fallback")           \
    X(PixelAspectRatio, 0x0028, 0x0034, NUMBER, 0, 0, "pixels that are not square")                \
    X(BitsAllocated, 0x0028, 0x0100, NUMBER, 0, 0, "sample width")                                 \
    X(BitsStored, 0x0028, 0x0101, NUMBER, 0, 0, "sample width")                                    \
    X(HighBit, 0x0028, 0x0102, NUMBER, 0, 0, "sample position")                                    \
    X(PixelRepresentation, 0x0028, 0x0103, NUMBER, 0, 0, "sign")                                   \
    X(PixelPaddingValue, 0x0028, 0x0120, NUMBER, 0, 0, "pixels that are no image")                 \
    X(PixelPaddingRangeLimit, 0x0028, 0x0121, NUMBER, 0, 0, "pixels that are no image")            \
    X(QualityControlImage, 0x0028, 0x0300, CODE, 0, 0, "quality control")                          \
    X(BurnedInAnnotation, 0x0028, 0x0301, CODE, 0, 0, "text in the pixels")                        \
    X(RecognizableVisualFeatures, 0x0028, 0x0302, CODE, 0, 0, "what could identify a person")      \
    X(WindowCenter, 0x0028, 0x1050, NUMBER, 0x0028, 0x9132, "display window")                      \
    X(WindowWidth, 0x0028, 0x1051, NUMBER, 0x0028, 0x9132, "display window")                       \
    X(RescaleIntercept, 0x0028, 0x1052, NUMBER, 0x0028, 0x9145, "stored value to modality value")  \
    X(RescaleSlope, 0x0028, 0x1053, NUMBER, 0x0028, 0x9145, "stored value to modality value")      \
    X(RescaleType, 0x0028, 0x1054, CODE, 0, 0, "unit of the modality value")                       \
    X(WindowCenterWidthExplanation, 0x0028, 0x1055, CODE, 0x0028, 0x9132, "name of a window")      \
    X(VOILUTFunction, 0x0028, 0x1056, CODE, 0x0028, 0x9132, "shape of the window")                 \
    X(BreastImplantPresent, 0x0028, 0x1300, CODE, 0, 0, "implant")                                 \
    X(PartialView, 0x0028, 0x1350, CODE, 0, 0, "part of a breast")                                 \
    X(PartialViewDescription, 0x0028, 0x1351, STRING, 0, 0,                                        \
      "part of a breast; the words are not kept")                                                  \
    X(PartialViewCodeSequence, 0x0028, 0x1352, SEQ, 0, 0, "which part of a breast")                \
    X(LossyImageCompression, 0x0028, 0x2110, CODE, 0, 0, "lossy compression")                      \
    X(LossyImageCompressionRatio, 0x0028, 0x2112, NUMBER, 0, 0, "how much was lost")               \
    X(ModalityLUTSequence, 0x0028, 0x3000, SEQ, 0x0028, 0x9145, "stored value to modality value")  \
    X(LUTDescriptor, 0x0028, 0x3002, NUMBER, 0, 0, "size of a table")                              \
    X(LUTExplanation, 0x0028, 0x3003, STRING, 0, 0, "name of a table")                             \
    X(LUTData, 0x0028, 0x3006, LUT, 0, 0, "a table")                                               \
    X(VOILUTSequence, 0x0028, 0x3010, SEQ, 0x0028, 0x9132, "display table")                        \
    X(OrganDose, 0x0040, 0x0316, NUMBER, 0, 0, "dose")                                             \
    X(PerformedProcedureStepDescription, 0x0040, 0x0254, STRING, 0, 0, "biopsy, wire, specimen")   \
    X(CalibrationImage, 0x0050, 0x0004, CODE, 0, 0, "quality control")                             \
    X(ViewCodeSequence, 0x0054, 0x0220, SEQ, 0, 0, "view")                                         \
    X(ViewModifierCodeSequence, 0x0054, 0x0222, SEQ, 0, 0,                                         \
      "magnification, spot, displaced implant")                                                    \
    X(PresentationLUTShape, 0x2050, 0x0020, CODE, 0, 0, "is low dark or bright")                   \
    X(SharedFunctionalGroupsSequence, 0x5200, 0x9229, SEQ, 0, 0, "facts of all frames")            \
    X(PerFrameFunctionalGroupsSequence, 0x5200, 0x9230, SEQ, 0, 0, "facts of frame 1")

/* Vendors hide whole volumes in this private group of a secondary capture; only that they are there
 * is read. */
#define TAG_VOLUME_GROUP 0x7E01

typedef enum tag_id {
#define TAG_ENUM(id, g, e, t, mg, me, why) TAG_##id,
    TAG_LIST(TAG_ENUM)
#undef TAG_ENUM
        TAG_COUNT
} tag_id;

typedef struct tag {
    const char *keyword; /* DICOM PS3.6 */
    uint16_t group, element;
    tag_type type;
    uint16_t macro_group, macro_element;
    const char *why;
} tag;

const tag *tag_of(tag_id id);
#endif
