/* Fills a record from the header of one file: precedence of the sources, trimming, units and
 * plausibility, and nothing else; what a fact means for use is decided in preprocess. dicom.md 1.
 */
#include "dicom/record.h"

#include "core/text.h"
#include "core/mem.h"
#include "dicom/dcmtk_shim.h"
#include "dicom/deflated.h"
#include "dicom/extract.h"
#include "dicom/raster.h"
#include "dicom/tags.h"
#include "dicom/views.h"
#include "dicom/walk.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define VALUE_MAX 1024
#define YEAR_DAYS 365.2425

typedef struct header {
    const dcm_item *root, *meta, *frame, *shared; /* frame and shared: functional groups, or NULL */
} header;

static bool get_in(const dcm_item *group, const tag *t, char *out, size_t cap)
{
    const dcm_item *macro = group ? dcm_child(group, t->macro_group, t->macro_element, 0) : NULL;
    return macro && dcm_text(macro, t->group, t->element, out, cap) && out[0];
}

/* The raw value: top level, then the functional groups of frame 1, then the shared ones. */
static bool get(const header *h, tag_id id, char *out, size_t cap)
{
    const tag *t = tag_of(id);
    const dcm_item *root = t->group == 0x0002 ? h->meta : h->root;
    out[0] = '\0';
    if (root && dcm_text(root, t->group, t->element, out, cap) && out[0])
        return true;
    if (t->macro_group)
        return get_in(h->frame, t, out, cap) || get_in(h->shared, t, out, cap);
    return false;
}

static void trim(char *s, bool upper)
{
    size_t start = strspn(s, " "), n = strlen(s);
    while (n > start && s[n - 1] == ' ')
        n--;
    n -= start;
    memmove(s, s + start, n);
    s[n] = '\0';
    for (size_t i = 0; upper && i < n; i++)
        s[i] = (char)toupper((unsigned char)s[i]);
}

/* Component i of a value with backslashes; "" when there are fewer. */
static bool component(const char *value, int i, bool upper, char *out, size_t cap)
{
    out[0] = '\0';
    for (; i > 0 && value; i--) {
        value = strchr(value, '\\');
        value = value ? value + 1 : NULL;
    }
    if (!value)
        return false;
    size_t n = strcspn(value, "\\");
    n = n < cap ? n : cap - 1;
    memcpy(out, value, n);
    out[n] = '\0';
    trim(out, upper);
    return out[0] != '\0';
}

static bool get_part(const header *h, tag_id id, int i, char *out, size_t cap)
{
    char value[VALUE_MAX];
    out[0] = '\0';
    return get(h, id, value, sizeof(value)) &&
           component(value, i, tag_of(id)->type == TAG_CODE, out, cap);
}

/* Text that may hold backslashes as a whole. */
static bool get_line(const header *h, tag_id id, char *out, size_t cap)
{
    if (!get(h, id, out, cap))
        return false;
    trim(out, tag_of(id)->type == TAG_CODE);
    return out[0] != '\0';
}

/* Decimal and integer strings as written in the wild: blanks, a plus sign, a decimal comma. */
static bool number_of(const char *s, double *out)
{
    char buf[64];
    size_t n = strlen(s);
    if (n == 0 || n >= sizeof(buf))
        return false;
    for (size_t i = 0; i <= n; i++)
        buf[i] = s[i] == ',' ? '.' : s[i];
    return text_f64(buf[0] == '+' ? buf + 1 : buf, out) && isfinite(*out);
}

static bool get_number(const header *h, tag_id id, int i, double *out)
{
    char part[64];
    return get_part(h, id, i, part, sizeof(part)) && number_of(part, out);
}

static int get_int(const header *h, tag_id id, int absent)
{
    double v;
    if (!get_number(h, id, 0, &v) || v < INT32_MIN || v > INT32_MAX || v != floor(v))
        return absent;
    return (int)v;
}

static double get_positive(const header *h, tag_id id)
{
    double v;
    return get_number(h, id, 0, &v) && v >= 0 ? v : -1;
}

static bool get_is(const header *h, tag_id id, const char *wanted)
{
    char part[64];
    return get_part(h, id, 0, part, sizeof(part)) && strcmp(part, wanted) == 0;
}

static record_tri get_yes_no(const header *h, tag_id id)
{
    if (get_is(h, id, "YES"))
        return TRI_YES;
    return get_is(h, id, "NO") ? TRI_NO : TRI_UNKNOWN;
}

/* DA, DT and the old "yyyy.mm.dd". Dates outside 1950..2098 are placeholders of de-identifiers
 * (19000101, 20990909). */
static bool day_of(const char *s, int32_t *days)
{
    char digits[9];
    int n = 0;
    for (; *s && n < 8; s++) {
        if (isdigit((unsigned char)*s))
            digits[n++] = *s;
        else if (*s != '.' && *s != '-')
            return false;
    }
    digits[n] = '\0';
    return n == 8 && strcmp(digits, "19500101") >= 0 && strcmp(digits, "20990101") < 0 &&
           text_date(digits, days);
}

static void read_dates(const header *h, record *r)
{
    static const tag_id sources[] = {
        TAG_AcquisitionDate, TAG_AcquisitionDateTime, TAG_FrameAcquisitionDateTime,
        TAG_ContentDate,     TAG_StudyDate,           TAG_SeriesDate};
    char part[64];
    for (size_t i = 0; i < COUNT_OF(sources); i++)
        if (get_part(h, sources[i], 0, part, sizeof(part)) && day_of(part, &r->exam_day)) {
            text_copy(r->date_source, sizeof(r->date_source), tag_of(sources[i])->keyword);
            break;
        }
    const char *clock = NULL;
    if (get_part(h, TAG_AcquisitionTime, 0, part, sizeof(part)))
        clock = part;
    else if (get_part(h, TAG_AcquisitionDateTime, 0, part, sizeof(part)) && strlen(part) >= 14)
        clock = part + 8;
    else if (get_part(h, TAG_ContentTime, 0, part, sizeof(part)))
        clock = part;
    int hour, minute, second;
    if (clock && sscanf(clock, "%2d%2d%2d", &hour, &minute, &second) == 3 && hour >= 0 &&
        hour < 24 && minute >= 0 && minute < 60 && second >= 0 && second <= 60)
        r->acquisition_time = hour * 3600 + minute * 60 + second;
}

static void read_person(const header *h, record *r)
{
    char part[64];
    int32_t birth;
    get_line(h, TAG_PatientID, r->patient_id, sizeof(r->patient_id));
    get_line(h, TAG_IssuerOfPatientID, r->issuer, sizeof(r->issuer));
    get_line(h, TAG_AccessionNumber, r->accession, sizeof(r->accession));
    if (get_part(h, TAG_PatientSex, 0, part, sizeof(part)) && strchr("FMO", part[0]))
        r->sex = part[0];
    if (get_part(h, TAG_PatientAge, 0, part, sizeof(part))) {
        char unit = part[strlen(part) - 1];
        double per_year = unit == 'Y'   ? 1
                          : unit == 'M' ? 12
                          : unit == 'W' ? YEAR_DAYS / 7
                          : unit == 'D' ? YEAR_DAYS
                                        : 0;
        part[strlen(part) - 1] = '\0';
        double v;
        /* "000Y" is what a de-identifier leaves behind */
        if (per_year > 0 && number_of(part, &v) && v / per_year >= 1 && v / per_year <= 130)
            r->age = (int)floor(v / per_year);
    }
    if (r->age < 0 && r->exam_day != RECORD_UNKNOWN &&
        get_part(h, TAG_PatientBirthDate, 0, part, sizeof(part)) && strlen(part) >= 8) {
        part[8] = '\0';
        if (text_date(part, &birth) && birth < r->exam_day) {
            char b[11], x[11];
            text_from_days(birth, b);
            text_from_days(r->exam_day, x);
            int years = (int)strtol(x, NULL, 10) - (int)strtol(b, NULL, 10);
            years -= strcmp(x + 5, b + 5) < 0; /* birthday later in the year */
            r->age = years >= 1 && years <= 110 ? years : -1;
        }
    }
}

/* De-identifiers drop the manufacturer more often than the product's name. */
static const char *vendor_of_model(const char *model)
{
    static const struct {
        const char *word, *vendor;
    } table[] = {{"SENOGRAPH", "GE"},      {"PRISTINA", "GE"},        {"MAMMOMAT", "SIEMENS"},
                 {"SELENIA", "HOLOGIC"},   {"DIMENSIONS", "HOLOGIC"}, {"LORAD", "HOLOGIC"},
                 {"MICRODOSE", "PHILIPS"}, {"AMULET", "FUJI"},        {"FDR-", "FUJI"},
                 {"NUANCE", "PLANMED"},    {"CLARITY", "PLANMED"},    {"GIOTTO", "IMS"}};
    char upper[65];
    size_t n = 0;
    for (; model[n] && n + 1 < sizeof(upper); n++)
        upper[n] = (char)toupper((unsigned char)model[n]);
    upper[n] = '\0';
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (strstr(upper, table[i].word))
            return table[i].vendor;
    return "";
}

static void read_identity(const header *h, record *r)
{
    if (!get_part(h, TAG_SOPInstanceUID, 0, r->sop_uid, sizeof(r->sop_uid)))
        get_part(h, TAG_MediaStorageSOPInstanceUID, 0, r->sop_uid, sizeof(r->sop_uid));
    if (!get_part(h, TAG_SOPClassUID, 0, r->sop_class, sizeof(r->sop_class)))
        get_part(h, TAG_MediaStorageSOPClassUID, 0, r->sop_class, sizeof(r->sop_class));
    get_part(h, TAG_StudyInstanceUID, 0, r->study_uid, sizeof(r->study_uid));
    get_part(h, TAG_SeriesInstanceUID, 0, r->series_uid, sizeof(r->series_uid));
    get_part(h, TAG_Modality, 0, r->modality, sizeof(r->modality));
    get_part(h, TAG_BodyPartExamined, 0, r->body_part, sizeof(r->body_part));
    char value[VALUE_MAX];
    if (get(h, TAG_ImageType, value, sizeof(value)) || get(h, TAG_FrameType, value, sizeof(value)))
        for (int i = 0; i < (int)COUNT_OF(r->image_type); i++)
            component(value, i, true, r->image_type[i], sizeof(r->image_type[i]));
    char intent[32];
    if (get_part(h, TAG_PresentationIntentType, 0, intent, sizeof(intent)))
        r->intent = strcmp(intent, "FOR PRESENTATION") == 0 ? INTENT_PRESENTATION
                    : strcmp(intent, "FOR PROCESSING") == 0 ? INTENT_PROCESSING
                                                            : INTENT_UNKNOWN;
    if (r->intent == INTENT_UNKNOWN) { /* mammography and digital X-ray, PS3.4 B.5 */
        if (strcmp(r->sop_class, "1.2.840.10008.5.1.4.1.1.1.2") == 0 ||
            strcmp(r->sop_class, "1.2.840.10008.5.1.4.1.1.1.1") == 0)
            r->intent = INTENT_PRESENTATION;
        else if (strcmp(r->sop_class, "1.2.840.10008.5.1.4.1.1.1.2.1") == 0 ||
                 strcmp(r->sop_class, "1.2.840.10008.5.1.4.1.1.1.1.1") == 0)
            r->intent = INTENT_PROCESSING;
    }
    get_line(h, TAG_Manufacturer, r->manufacturer, sizeof(r->manufacturer));
    get_line(h, TAG_ManufacturerModelName, r->model, sizeof(r->model));
    text_copy(r->vendor, sizeof(r->vendor), record_vendor(r->manufacturer));
    if (!r->vendor[0])
        text_copy(r->vendor, sizeof(r->vendor), vendor_of_model(r->model));
}

/* A side from one source: the first source decides, a later one that differs is a conflict. */
static void offer_side(record *r, char side, const char *source, bool weak)
{
    if (!side)
        return;
    if (!r->side) {
        r->side = side;
        text_copy(r->side_source, sizeof(r->side_source), source);
    } else if (!weak && r->side != side) {
        r->side_conflict = TRI_YES;
    }
}

static char side_letter(const header *h, tag_id id)
{
    char part[32];
    if (!get_part(h, id, 0, part, sizeof(part)))
        return 0;
    if (strcmp(part, "L") == 0 || strcmp(part, "LEFT") == 0)
        return 'L';
    if (strcmp(part, "R") == 0 || strcmp(part, "RIGHT") == 0)
        return 'R';
    return strcmp(part, "B") == 0 || strcmp(part, "BOTH") == 0 ? 'B' : 0;
}

static void add_modifiers(const dcm_item *item, record *r)
{
    const tag *seq = tag_of(TAG_ViewModifierCodeSequence), *code = tag_of(TAG_CodeValue),
              *meaning = tag_of(TAG_CodeMeaning);
    int n = item ? dcm_items(item, seq->group, seq->element) : 0;
    for (int i = 0; i < n && i < 16; i++) {
        const dcm_item *m = dcm_child(item, seq->group, seq->element, i);
        char c[32], w[128];
        dcm_text(m, code->group, code->element, c, sizeof(c));
        dcm_text(m, meaning->group, meaning->element, w, sizeof(w));
        trim(c, true);
        if (c[0] || w[0])
            r->modifiers |= views_modifier_of_code(c, w);
    }
}

/* What PatientOrientation says when nothing else does: the column of a CC view runs to the other
 * side of the body, that of an oblique one to the foot as well. */
static void read_orientation_words(record *r)
{
    const char *row = r->orientation[0], *col = r->orientation[1];
    bool upright = (strcmp(row, "A") == 0 || strcmp(row, "P") == 0) && col[0];
    if (!upright)
        return;
    bool left = strchr(col, 'L') != NULL, right = strchr(col, 'R') != NULL;
    if (left == right)
        return;
    offer_side(r, left ? 'R' : 'L', "PatientOrientation", true);
    if (r->view == VIEW_UNKNOWN && (col[1] == '\0' || col[0] == 'F')) {
        r->view = col[1] == '\0' ? VIEW_CC : VIEW_MLO;
        text_copy(r->view_source, sizeof(r->view_source), "PatientOrientation");
    }
}

static void offer_view(record *r, record_view v, const char *source)
{
    if (v == VIEW_UNKNOWN || (r->view != VIEW_UNKNOWN && r->view != VIEW_OTHER))
        return;
    if (r->view == VIEW_OTHER && v == VIEW_OTHER)
        return;
    r->view = v;
    text_copy(r->view_source, sizeof(r->view_source), source);
}

static void read_view_and_side(const header *h, record *r)
{
    const tag *seq = tag_of(TAG_ViewCodeSequence), *code = tag_of(TAG_CodeValue),
              *meaning = tag_of(TAG_CodeMeaning);
    const dcm_item *v = h->root ? dcm_child(h->root, seq->group, seq->element, 0) : NULL;
    if (v) {
        char c[32], w[128];
        dcm_text(v, code->group, code->element, c, sizeof(c));
        dcm_text(v, meaning->group, meaning->element, w, sizeof(w));
        trim(c, true);
        if (c[0] || w[0])
            offer_view(r, views_of_code(c, w), seq->keyword);
        add_modifiers(v, r);
    }
    add_modifiers(h->root, r);
    static const tag_id letters[] = {TAG_ImageLaterality, TAG_FrameLaterality, TAG_Laterality};
    for (size_t i = 0; i < COUNT_OF(letters); i++)
        offer_side(r, side_letter(h, letters[i]), tag_of(letters[i])->keyword, false);
    static const tag_id words[] = {TAG_ViewPosition, TAG_SeriesDescription, TAG_ProtocolName};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        char line[VALUE_MAX];
        views_words found;
        if (!get_line(h, words[i], line, sizeof(line)))
            continue;
        views_of_words(line, words[i] == TAG_ViewPosition, &found);
        offer_view(r, found.view, tag_of(words[i])->keyword);
        /* a protocol is chosen for the whole exam: it never contradicts */
        offer_side(r, found.side, tag_of(words[i])->keyword, words[i] == TAG_ProtocolName);
        if (words[i] == TAG_ViewPosition)
            r->modifiers |= found.modifiers;
    }
    for (int i = 0; i < 2; i++)
        get_part(h, TAG_PatientOrientation, i, r->orientation[i], sizeof(r->orientation[i]));
    read_orientation_words(r);
}

static void read_special(const header *h, record *r)
{
    static const struct {
        tag_id id;
        uint32_t wanted;
    } sources[] = {
        /* the study's words hold for all its images: only what the study was made for */
        {TAG_StudyDescription, TEXT_STEREO | TEXT_BIOPSY | TEXT_WIRE | TEXT_CLIP | TEXT_SPECIMEN |
                                   TEXT_PHANTOM | TEXT_QC},
        {TAG_PerformedProcedureStepDescription,
         TEXT_STEREO | TEXT_BIOPSY | TEXT_WIRE | TEXT_CLIP | TEXT_SPECIMEN | TEXT_PHANTOM},
        {TAG_SeriesDescription, ~(uint32_t)0},
        {TAG_PaddleDescription, TEXT_SPOT | TEXT_MAG},
        {TAG_PatientID, TEXT_PHANTOM | TEXT_QC},
        {TAG_PatientName, TEXT_PHANTOM | TEXT_QC},
    };
    char line[VALUE_MAX];
    for (size_t i = 0; i < COUNT_OF(sources); i++)
        if (get_line(h, sources[i].id, line, sizeof(line))) {
            uint32_t flags = views_text_flags(line, sources[i].wanted);
            /* "mammo screening w CAD" names the reading, not marks in the pixels */
            if (strcmp(r->modality, "MG") == 0 && r->intent == INTENT_PRESENTATION &&
                strncmp(r->image_type[0], "ORIGINAL", 8) == 0)
                flags &= ~(uint32_t)TEXT_CAD;
            r->text_flags |= flags;
            if (sources[i].id == TAG_PaddleDescription)
                r->modifiers |= (flags & TEXT_SPOT ? MODIFIER_SPOT : 0u) |
                                (flags & TEXT_MAG ? MODIFIER_MAGNIFICATION : 0u);
        }
    const tag *target = tag_of(TAG_BiopsyTargetSequence);
    if (h->root && dcm_items(h->root, target->group, target->element) > 0)
        r->text_flags |= TEXT_BIOPSY;
    for (uint16_t block = 0x10; h->root && block <= 0x13; block++)
        if (dcm_has(h->root, TAG_VOLUME_GROUP, (uint16_t)(block << 8 | 0x10)))
            r->text_flags |= TEXT_PRIVATE_VOLUME;
    r->implant = get_yes_no(h, TAG_BreastImplantPresent);
    r->partial = get_yes_no(h, TAG_PartialView);
    r->burned_in = get_yes_no(h, TAG_BurnedInAnnotation);
    r->lossy = get_is(h, TAG_LossyImageCompression, "01")   ? TRI_YES
               : get_is(h, TAG_LossyImageCompression, "00") ? TRI_NO
                                                            : TRI_UNKNOWN;
    r->qc = get_yes_no(h, TAG_QualityControlImage);
    if (get_is(h, TAG_QualityControlImage, "BOTH") || get_is(h, TAG_CalibrationImage, "YES") ||
        get_is(h, TAG_QualityControlSubject, "YES"))
        r->qc = TRI_YES;
    r->aborted = get_is(h, TAG_ExposureStatus, "ABORTED")  ? TRI_YES
                 : get_is(h, TAG_ExposureStatus, "NORMAL") ? TRI_NO
                                                           : TRI_UNKNOWN;
    double v;
    if (get_number(h, TAG_EstimatedRadiographicMagnificationFactor, 0, &v) && v > 0)
        r->magnification = v;
    r->kvp = get_positive(h, TAG_KVP);
    r->exposure = get_positive(h, TAG_Exposure);
    if (r->exposure < 0 && get_positive(h, TAG_ExposureInuAs) >= 0)
        r->exposure = get_positive(h, TAG_ExposureInuAs) / 1000;
    r->thickness_mm = get_positive(h, TAG_BodyPartThickness);
    r->force_n = get_positive(h, TAG_CompressionForce);
    r->organ_dose = get_positive(h, TAG_OrganDose);
}

static void read_spacing(const header *h, record *r)
{
    static const tag_id sources[] = {TAG_ImagerPixelSpacing, TAG_PixelSpacing,
                                     TAG_DetectorElementSpacing};
    for (size_t i = 0; i < COUNT_OF(sources); i++) {
        double a, b;
        if (!get_number(h, sources[i], 0, &a) || a <= 0 || a > 100)
            continue;
        if (!get_number(h, sources[i], 1, &b) || b <= 0 || b > 100)
            b = a;
        r->row_mm = a;
        r->col_mm = b;
        text_copy(r->spacing_source, sizeof(r->spacing_source), tag_of(sources[i])->keyword);
        return;
    }
}

static void read_display(const header *h, record *r)
{
    char part[64];
    if (get_part(h, TAG_PresentationLUTShape, 0, part, sizeof(part)))
        r->pls = strcmp(part, "INVERSE") == 0    ? PLS_INVERSE
                 : strcmp(part, "IDENTITY") == 0 ? PLS_IDENTITY
                                                 : PLS_ABSENT;
    double slope, intercept;
    if (get_number(h, TAG_RescaleSlope, 0, &slope) && slope != 0 &&
        get_number(h, TAG_RescaleIntercept, 0, &intercept)) {
        r->has_rescale = 1;
        r->slope = slope;
        r->intercept = intercept;
    }
    const tag *lut = tag_of(TAG_ModalityLUTSequence), *voi = tag_of(TAG_VOILUTSequence);
    r->has_modality_lut = h->root && dcm_items(h->root, lut->group, lut->element) > 0;
    r->n_voi_luts = h->root ? dcm_items(h->root, voi->group, voi->element) : 0;
    if (get_part(h, TAG_VOILUTFunction, 0, part, sizeof(part)))
        r->voi = strcmp(part, "SIGMOID") == 0        ? VOI_SIGMOID
                 : strcmp(part, "LINEAR_EXACT") == 0 ? VOI_LINEAR_EXACT
                                                     : VOI_LINEAR;
    for (int i = 0; i < RECORD_WINDOWS; i++) {
        double c, w;
        if (!get_number(h, TAG_WindowCenter, i, &c) || !get_number(h, TAG_WindowWidth, i, &w))
            break;
        if (w <= 0)
            continue;
        int n = r->n_windows++;
        r->window_center[n] = c;
        r->window_width[n] = w;
        if (get_part(h, TAG_WindowCenterWidthExplanation, i, part, sizeof(part)))
            for (char *p = part; *p; p++)
                if (*p == ':' || *p == ';')
                    *p = ' ';
        text_copy(r->window_name[n], sizeof(r->window_name[n]), part);
    }
}

/* A padding value written with the other sign than the pixels is turned into theirs. */
static int32_t like_pixels(const record *r, int v)
{
    if (r->bits_allocated == 16 && r->pixel_signed && v > INT16_MAX && v <= UINT16_MAX)
        return v - 65536;
    if (r->bits_allocated == 16 && !r->pixel_signed && v < 0 && v >= INT16_MIN)
        return v + 65536;
    return v;
}

static void read_pixel_facts(const header *h, record *r)
{
    double v;
    r->rows = get_int(h, TAG_Rows, 0);
    r->cols = get_int(h, TAG_Columns, 0);
    r->samples = get_int(h, TAG_SamplesPerPixel, 1);
    r->bits_allocated = get_int(h, TAG_BitsAllocated, 0);
    r->bits_stored = get_int(h, TAG_BitsStored, r->bits_allocated);
    r->high_bit = get_int(h, TAG_HighBit, r->bits_stored - 1);
    r->pixel_signed = get_int(h, TAG_PixelRepresentation, 0) == 1;
    /* "None", "0" and nothing all stand for one frame */
    r->frames =
        get_number(h, TAG_NumberOfFrames, 0, &v) && v >= 1 ? (v <= INT32_MAX ? (int)v : 0) : 1;
    get_part(h, TAG_PhotometricInterpretation, 0, r->photometric, sizeof(r->photometric));
    if (get_number(h, TAG_PixelPaddingValue, 0, &v) && fabs(v) <= UINT16_MAX) {
        r->has_padding = 1;
        r->padding = like_pixels(r, (int)v);
        if (get_number(h, TAG_PixelPaddingRangeLimit, 0, &v) && fabs(v) <= UINT16_MAX) {
            r->has_padding_limit = 1;
            r->padding_limit = like_pixels(r, (int)v);
        }
    }
}

/* Older character sets are not translated: their letters become '?', so that every text of the
 * record can stand in JSON and CSV. */
static void keep_utf8(record *r)
{
    char value[RECORD_COLUMN_MAX];
    for (int i = 0; i < record_columns(); i++) {
        record_column_text(r, i, value, sizeof(value));
        size_t n = strlen(value);
        if (text_utf8(value, n) == n)
            continue;
        for (size_t k = 0; k < n; k++)
            value[k] = (unsigned char)value[k] < 0x80 ? value[k] : '?';
        err e;
        if (!record_column_parse(r, i, value, &e))
            BUG("column %d does not take back its own text", i);
    }
}

static void read_all(const dcm_file *f, record *r)
{
    header h = {.root = dcm_root(f), .meta = dcm_meta(f)};
    const tag *frame = tag_of(TAG_PerFrameFunctionalGroupsSequence),
              *shared = tag_of(TAG_SharedFunctionalGroupsSequence);
    if (h.root) {
        h.frame = dcm_child(h.root, frame->group, frame->element, 0);
        h.shared = dcm_child(h.root, shared->group, shared->element, 0);
    }
    read_identity(&h, r);
    read_dates(&h, r);
    read_person(&h, r);
    read_view_and_side(&h, r);
    read_special(&h, r);
    read_spacing(&h, r);
    read_pixel_facts(&h, r);
    read_display(&h, r);
    keep_utf8(r);
}

/* Uncompressed pixel data that is declared too short for the image it belongs to. */
static bool short_pixels(const walk *w, const void *data, const record *r)
{
    const uint8_t *p = (const uint8_t *)data + w->pixel_at;
    bool native = strcmp(r->transfer_syntax, "1.2.840.10008.1.2") == 0 ||
                  strcmp(r->transfer_syntax, "1.2.840.10008.1.2.1") == 0;
    bool jpeg = w->pixel_len >= 2 && p[0] == 0xFF && p[1] == 0xD8;
    if (!w->has_pixels || !native || w->pixel_items || jpeg || r->rows < 1 || r->cols < 1 ||
        r->samples < 1 || r->bits_allocated < 1 || r->bits_allocated > 64)
        return false;
    double need = (double)r->rows * r->cols * r->samples * r->frames * r->bits_allocated / 8;
    return (double)w->pixel_len < need && strncmp(r->photometric, "YBR_FULL_422", 12) != 0;
}

reason record_read_walk(const void *data, size_t len, record *out, walk *w)
{
    if (raster_sniff(data, len)) {
        walk_file(data, len, w);
        return raster_record(data, len, out);
    }
    record_clear(out);
    size_t n;
    void *known = extract_known(data, len, w, &n), *plain;
    text_copy(out->transfer_syntax, sizeof(out->transfer_syntax), w->transfer_syntax);
    if (w->status == WALK_DEFLATED) {
        reason why = deflated_expand(data, len, w, &plain, &n);
        if (why != REASON_NONE)
            return why;
        why = record_read(plain, n, out);
        text_copy(out->transfer_syntax, sizeof(out->transfer_syntax), w->transfer_syntax);
        mem_free(plain);
        return why;
    }
    if (w->status == WALK_NOT_DICOM || w->status == WALK_DEEP)
        return REASON_IO_UNREADABLE;
    dcm_file *f;
    dcm_status s = known ? dcm_open(known, n, &f) : dcm_open(data, w->data_len, &f);
    if (f) {
        read_all(f, out);
        if (!out->transfer_syntax[0] && s == DCM_OK)
            text_copy(out->transfer_syntax, sizeof(out->transfer_syntax), dcm_parsed_syntax(f));
    }
    dcm_close(f);
    mem_free(known);
    if (w->status == WALK_CUT)
        return REASON_IO_TRUNCATED;
    if (s != DCM_OK)
        return s == DCM_CUT ? REASON_IO_TRUNCATED : REASON_IO_UNREADABLE;
    if (w->status == WALK_ODD)
        return REASON_IO_UNREADABLE;
    if (!w->has_pixels)
        return REASON_NOT_IMAGE;
    return short_pixels(w, data, out) ? REASON_IO_TRUNCATED : REASON_NONE;
}

reason record_read(const void *data, size_t len, record *out)
{
    walk w;
    return record_read_walk(data, len, out, &w);
}
