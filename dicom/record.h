/* One image's facts as read from its header: a POD that travels from the isolated worker to the
 * catalogue and onwards. Hospital side: it holds identifiers. Filled by record_read (dicom.md 1).
 */
#ifndef DICOM_RECORD_H
#define DICOM_RECORD_H

#include "core/csv.h"
#include "core/err.h"
#include "dicom/reason.h"

#define RECORD_UNKNOWN INT32_MIN /* of a date in days */

typedef enum record_view { /* CC and MLO are the screening views */
                           VIEW_UNKNOWN,
                           VIEW_CC,
                           VIEW_MLO,
                           VIEW_ML,
                           VIEW_LM,
                           VIEW_LMO,
                           VIEW_XCCL,
                           VIEW_XCCM,
                           VIEW_FB,
                           VIEW_SIO,
                           VIEW_ISO,
                           VIEW_SPECIMEN,
                           VIEW_OTHER
} record_view;
enum { /* record.modifiers; OTHER is set with every one below it, and for those nobody knows */
       MODIFIER_IMPLANT_DISPLACED = 1,
       MODIFIER_MAGNIFICATION = 2,
       MODIFIER_SPOT = 4,
       MODIFIER_OTHER = 8,
       MODIFIER_CLEAVAGE = 16,
       MODIFIER_AXILLARY_TAIL = 32,
       MODIFIER_AXILLARY_TISSUE = 64,
       MODIFIER_TANGENTIAL = 128,
       MODIFIER_ANTERIOR_COMPRESSION = 256,
       MODIFIER_NIPPLE_IN_PROFILE = 512,
       MODIFIER_INFRAMAMMARY_FOLD = 1024,
       MODIFIER_ROLLED = 2048
};
typedef enum record_tri { TRI_UNKNOWN, TRI_NO, TRI_YES } record_tri;
typedef enum record_intent { INTENT_UNKNOWN, INTENT_PRESENTATION, INTENT_PROCESSING } record_intent;
typedef enum record_pls { PLS_ABSENT, PLS_IDENTITY, PLS_INVERSE } record_pls;
typedef enum record_voi { VOI_LINEAR, VOI_LINEAR_EXACT, VOI_SIGMOID } record_voi;
enum { /* record.text_flags: words found in descriptions (upper case, whole words) */
       TEXT_STEREO = 1,
       TEXT_BIOPSY = 2,
       TEXT_WIRE = 4,
       TEXT_CLIP = 8,
       TEXT_SPECIMEN = 16,
       TEXT_PHANTOM = 32,
       TEXT_QC = 64,
       TEXT_SPOT = 128,
       TEXT_MAG = 256,
       TEXT_CAD = 512,
       TEXT_SYNTHETIC = 1024,
       TEXT_TOMO = 2048,
       TEXT_PRIVATE_VOLUME = 4096 /* a private volume in a secondary capture (7E01,xx10) */
};
#define RECORD_WINDOWS   8
#define RECORD_QUIRKS    385 /* all names together */
#define RECORD_ID        257 /* 64 letters of four bytes and a NUL */
#define RECORD_OTHER_IDS 513 /* bytes of other_ids */
#define RECORD_VENDOR_TABLE                                                                        \
    "vendor table" /* spacing_source of a pixel size known from the device */

typedef struct record {
    /* identity: raw identifiers, "" = absent */
    char sop_uid[65], study_uid[65], series_uid[65], sop_class[65];
    char patient_id[RECORD_ID], issuer[RECORD_ID], accession[RECORD_ID], study_id[17];
    /* other numbers of the same person: "ISSUER|ID" joined by '\\', whole ones only; numbers of a
     * clinical trial have the issuer "trial PROTOCOL" (pseudo_others) */
    char other_ids[RECORD_OTHER_IDS];
    int32_t exam_day;     /* days since 1970-01-01, RECORD_UNKNOWN */
    char date_source[32]; /* keyword of the attribute used */
    int acquisition_time; /* seconds since midnight, -1 unknown */
    int age;              /* years at the exam, -1 unknown */
    char sex;             /* 'F', 'M', 'O', 0 */
    /* what it is */
    char modality[17], body_part[17];
    record_intent intent;
    char image_type[5][17]; /* values 1..5, "" = absent */
    record_view view;
    char view_source[24];
    uint32_t modifiers;
    char side; /* 'L', 'R', 'B', 0 unknown */
    char side_source[24];
    record_tri side_conflict; /* TRI_YES: sources disagree */
    record_tri implant, partial, burned_in, lossy, qc, aborted, recognizable;
    char partial_sections[65]; /* of PartialViewCodeSequence: "LATERAL INFERIOR" */
    double lossy_ratio;        /* 0 = absent */
    char conversion_type[17];  /* never a reason by itself */
    uint32_t text_flags;
    double magnification; /* EstimatedRadiographicMagnificationFactor, up to 10; 0 = absent */
    double kvp, exposure; /* -1 = absent; 0 is a value */
    double thickness_mm, force_n, organ_dose, relative_exposure; /* -1 = absent */
    char filter[33], anode[17];
    /* device; the serial numbers and what people configure stay in the hospital */
    char manufacturer[65], model[65];
    char software[65], station[17], serial[65], detector_id[17], processing[65],
        processing_code[17], sc_manufacturer[65];
    char detector_type[17];
    char vendor[17]; /* HOLOGIC GE SIEMENS FUJI PHILIPS IMS PLANMED KONICA CARESTREAM AGFA OTHER */
    /* pixels as the header describes them */
    char transfer_syntax[65];
    int rows, cols; /* 0: absent or outside 1..65535 */
    int frames;     /* 0: a number that cannot be true, which no decoder will believe */
    int samples, bits_allocated, bits_stored, high_bit, pixel_signed;
    char photometric[17];
    record_pls pls;
    double row_mm, col_mm; /* at the object, as far as the magnification is known; 0 = unknown */
    char spacing_source[24];
    double aspect;           /* height / width of a pixel; 0 = not told */
    char orientation[2][17]; /* PatientOrientation: row code, column code */
    /* what the device had done before it stored the pixels: information only, never done again */
    int fov_rotation; /* degrees, -1 = absent */
    record_tri fov_flip;
    double fov_origin_row, fov_origin_col;
    int has_rescale; /* slope and intercept both present, slope not 0 */
    double slope, intercept;
    char rescale_type[17];
    int has_modality_lut, n_voi_luts;
    record_voi voi;
    int n_windows;
    double window_center[RECORD_WINDOWS], window_width[RECORD_WINDOWS];
    char window_name[RECORD_WINDOWS][17];
    int has_padding, has_padding_limit;
    int32_t padding, padding_limit;
    char quirks[RECORD_QUIRKS]; /* names of the rows of quirk.h that fired, joined by ' ' */
} record;

/* Read the header of a whole DICOM file (or a PNG or TIFF picture, dicom/raster.h) held in memory;
 * pixel data is skipped, not touched. On
 * failure returns the reason with what could be read in out: IO_UNREADABLE, IO_TRUNCATED (also when
 * the file ends inside its pixel data), NOT_IMAGE, TS_UNSUPPORTED (a header that is itself
 * compressed). Never reads into sequences by accident. Runs in an isolated worker after
 * pixels_init. */
reason record_read(const void *data, size_t len, record *out);
/* The same, and what the walk over its bytes found. */
struct walk;
reason record_read_walk(const void *data, size_t len, record *out, struct walk *w);

/* Everything unknown. */
void record_clear(record *r);
/* Manufacturer, or else model, to vendor; set wherever either of them changes. */
void record_set_vendor(record *r);
/* HOLOGIC, GE...; "" for an empty manufacturer, OTHER for an unknown one. */
const char *record_vendor(const char *manufacturer);
/* The product's name for the pseudonymous side: from a table of known products, never text of the
 * file. "" for an empty model, OTHER for an unknown one. */
const char *record_model_public(const record *r);

/* The record as named columns: one table drives catalogue, CSV and `show`. */
int record_columns(void);
const char *record_column_name(int i);
bool record_column_is_identifier(int i); /* never leaves the hospital side */
bool record_column_is_words(int i);      /* holds characters of the file, not only numbers */
#define RECORD_COLUMN_MAX 1024           /* bytes that always suffice for one column's text */
void record_column_text(const record *r, int i, char *out, size_t cap);
/* The same for the pseudonymous side: device names and window names from tables only. Of a column
 * that is an identifier: "". */
void record_column_public(const record *r, int i, char *out, size_t cap);
MUST_CHECK bool record_column_parse(record *r, int i, const char *text, err *e);
const char *record_view_name(record_view v); /* "CC", "MLO"..., "" unknown */
record_view record_view_find(const char *name);

/* A sidecar CSV supplies facts for files whose headers lack them: columns file (base name or
 * relative path) and any of patient_id, study_uid, exam_date, laterality, view, age, modality,
 * manufacturer, row_mm, sop_uid, accession, sex, intent, implant, model; for PNG and TIFF pictures
 * also bits_stored, photometric, window_center, window_width. Its values win over absent ones only;
 * a contradiction with the header is LAT_CONFLICT for the side and ERR_INPUT for the rest. */
typedef struct sidecar sidecar;
sidecar *sidecar_open(const char *path, err *e);
void sidecar_free(sidecar *s);
MUST_CHECK bool sidecar_apply(const sidecar *s, const char *relative, record *r, err *e);
/* The archive holds this file: the row about it, if there is one, is of use. */
void sidecar_meet(sidecar *s, const char *relative);
/* Rows about no file that was met, misspelt or of another archive; *line: the first of them in the
 * table, 0 = none. */
int64_t sidecar_unmet(const sidecar *s, int *line);
#endif
