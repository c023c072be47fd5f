/* Fills a record from the header of one file: precedence of the sources, trimming, units and
 * plausibility, and nothing else; what a fact means for use is decided in preprocess. dicom.md 1.
 */
#include "dicom/record.h"

#include "core/text.h"
#include "core/mem.h"
#include "dicom/deflated.h"
#include "dicom/extract.h"
#include "dicom/raster.h"
#include "dicom/record_part.h"
#include "dicom/views.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define YEAR_DAYS         365.2425
#define AGE_MAX           130
#define MAGNIFICATION_MAX 10

/* DA, DT and the old "yyyy.mm.dd"; from and before bound it as yyyymmdd. */
static bool day_between(const char *s, const char *from, const char *before, int32_t *days)
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
    return n == 8 && strcmp(digits, from) >= 0 && strcmp(digits, before) < 0 &&
           text_date(digits, days);
}

/* Dates outside 1950..2098 are placeholders of de-identifiers (19000101, 20990909, 00000000). */
static bool day_of(const char *s, int32_t *days)
{
    return day_between(s, "19500101", "20990101", days);
}

/* TM, the old "hh:mm:ss", or what follows the day in a DT. */
static bool seconds_of(const char *s, int *out)
{
    int digit[6], n = 0;
    for (; *s && n < 6; s++) {
        if (isdigit((unsigned char)*s))
            digit[n++] = *s - '0';
        else if (*s != ':')
            return false;
    }
    int hour = n == 6 ? 10 * digit[0] + digit[1] : 24;
    if (hour > 23 || digit[2] > 5 || 10 * digit[4] + digit[5] > 60)
        return false;
    *out = hour * 3600 + (10 * digit[2] + digit[3]) * 60 + 10 * digit[4] + digit[5];
    return true;
}

static void read_dates(const header *h, record *r)
{
    static const tag_id days[] = {
        TAG_AcquisitionDate, TAG_AcquisitionDateTime, TAG_FrameAcquisitionDateTime,
        TAG_ContentDate,     TAG_StudyDate,           TAG_SeriesDate};
    static const struct {
        tag_id id;
        size_t skip; /* the day of a DT */
    } times[] = {{TAG_AcquisitionTime, 0},
                 {TAG_AcquisitionDateTime, 8},
                 {TAG_FrameAcquisitionDateTime, 8},
                 {TAG_ContentTime, 0}};
    char part[64];
    for (size_t i = 0; i < COUNT_OF(days); i++)
        if (header_part(h, days[i], 0, part, sizeof(part)) && day_of(part, &r->exam_day)) {
            text_copy(r->date_source, sizeof(r->date_source), tag_of(days[i])->keyword);
            break;
        }
    for (size_t i = 0; i < COUNT_OF(times); i++)
        if (header_part(h, times[i].id, 0, part, sizeof(part)) && strlen(part) > times[i].skip &&
            seconds_of(part + times[i].skip, &r->acquisition_time))
            break;
}

/* Append "ISSUER|ID" unless it is there, is the person's first number, or does not fit whole. */
static void add_other_id(record *r, const char *issuer, const char *id)
{
    char entry[2 * RECORD_ID + 2], by[RECORD_ID];
    text_copy(by, sizeof(by), issuer);
    for (char *p = by; *p; p++)
        if (*p == '|' || *p == '\\')
            *p = ' ';
    if (!id[0] || (strcmp(id, r->patient_id) == 0 && strcmp(issuer, r->issuer) == 0))
        return;
    int n = snprintf(entry, sizeof(entry), "%s|%s", by, id);
    for (const char *p = r->other_ids; *p; p += strcspn(p, "\\"), p += *p == '\\')
        if (strcspn(p, "\\") == (size_t)n && strncmp(p, entry, (size_t)n) == 0)
            return;
    size_t at = strlen(r->other_ids);
    if (at + (size_t)n + 2 <= sizeof(r->other_ids))
        snprintf(r->other_ids + at, sizeof(r->other_ids) - at, "%s%s", at ? "\\" : "", entry);
}

/* Further numbers of the same person. Without an issuer of their own they are of the same house; a
 * trial numbers its subjects from 1, so that its numbers mean something inside the trial only. */
static void read_other_ids(const header *h, record *r)
{
    char part[RECORD_ID], issuer[RECORD_ID];
    for (int i = 0; i < 16; i++)
        if (header_part(h, TAG_OtherPatientIDs, i, part, sizeof(part)))
            add_other_id(r, r->issuer, part);
    for (int i = 0; i < 16; i++) {
        header item = header_alone(header_child(h, TAG_OtherPatientIDsSequence, i));
        if (!item.root)
            break;
        if (!header_identifier(&item, TAG_PatientID, part, sizeof(part)))
            continue;
        bool own = header_identifier(&item, TAG_IssuerOfPatientID, issuer, sizeof(issuer));
        add_other_id(r, own ? issuer : r->issuer, part);
    }
    if (header_identifier(h, TAG_ClinicalTrialSubjectID, part, sizeof(part))) {
        char protocol[50];
        header_line(h, TAG_ClinicalTrialProtocolID, protocol, sizeof(protocol));
        snprintf(issuer, sizeof(issuer), "trial %s", protocol);
        add_other_id(r, issuer, part);
    }
}

static int age_of(const char *as)
{
    char number[64];
    size_t n = strlen(as);
    char unit = n ? as[n - 1] : 0;
    double v, per_year = unit == 'Y'   ? 1
                         : unit == 'M' ? 12
                         : unit == 'W' ? YEAR_DAYS / 7
                         : unit == 'D' ? YEAR_DAYS
                                       : 0;
    snprintf(number, sizeof(number), "%.*s", n ? (int)n - 1 : 0, as);
    /* "000Y" is what a de-identifier leaves behind */
    if (per_year == 0 || !header_number_of(number, &v) || v < per_year || v > AGE_MAX * per_year)
        return -1;
    return (int)floor(v / per_year);
}

/* Whole years between two days: the birthday may lie later in the year. */
static int years_between(int32_t birth, int32_t day)
{
    char b[11], x[11];
    text_from_days(birth, b);
    text_from_days(day, x);
    int years = (int)strtol(x, NULL, 10) - (int)strtol(b, NULL, 10);
    return years - (strcmp(x + 5, b + 5) < 0);
}

static void read_person(const header *h, record *r)
{
    char part[64];
    int32_t birth;
    header_identifier(h, TAG_PatientID, r->patient_id, sizeof(r->patient_id));
    header_identifier(h, TAG_IssuerOfPatientID, r->issuer, sizeof(r->issuer));
    header_identifier(h, TAG_AccessionNumber, r->accession, sizeof(r->accession));
    header_line(h, TAG_StudyID, r->study_id, sizeof(r->study_id));
    read_other_ids(h, r);
    if (header_part(h, TAG_PatientSex, 0, part, sizeof(part)) && strchr("FMO", part[0]))
        r->sex = part[0];
    if (header_part(h, TAG_PatientAge, 0, part, sizeof(part)))
        r->age = age_of(part);
    /* 19000101 and earlier placeholders are no birthdays of anyone who is X-rayed */
    if (r->age < 0 && r->exam_day != RECORD_UNKNOWN &&
        header_part(h, TAG_PatientBirthDate, 0, part, sizeof(part)) &&
        day_between(part, "19000102", "20990101", &birth) && birth < r->exam_day) {
        int years = years_between(birth, r->exam_day);
        r->age = years >= 1 && years <= AGE_MAX ? years : -1;
    }
}

static void read_image_type(const header *h, record *r)
{
    char value[HEADER_VALUE_MAX] = "";
    const dcm_item *place[HEADER_PLACES];
    const tag *t = tag_of(TAG_FrameType);
    int n = header_places(h, TAG_FrameType, place);
    for (int i = 0; i < n && !value[0]; i++)
        if (place[i] != h->root)
            dcm_text(place[i], t->group, t->element, value, sizeof(value));
    if (!value[0] && !header_value(h, TAG_ImageType, value, sizeof(value)))
        header_value(h, TAG_FrameType, value, sizeof(value));
    for (int i = 0; i < (int)COUNT_OF(r->image_type); i++)
        header_component(value, i, true, r->image_type[i], sizeof(r->image_type[i]));
}

static void read_intent(const header *h, record *r)
{
    if (header_is(h, TAG_PresentationIntentType, "FOR PRESENTATION"))
        r->intent = INTENT_PRESENTATION;
    else if (header_is(h, TAG_PresentationIntentType, "FOR PROCESSING"))
        r->intent = INTENT_PROCESSING;
    else if (strcmp(r->sop_class, "1.2.840.10008.5.1.4.1.1.1.2") == 0 || /* PS3.4 B.5: MG, DX */
             strcmp(r->sop_class, "1.2.840.10008.5.1.4.1.1.1.1") == 0)
        r->intent = INTENT_PRESENTATION;
    else if (strcmp(r->sop_class, "1.2.840.10008.5.1.4.1.1.1.2.1") == 0 ||
             strcmp(r->sop_class, "1.2.840.10008.5.1.4.1.1.1.1.1") == 0)
        r->intent = INTENT_PROCESSING;
}

static void read_identity(const header *h, record *r, quirk_file *q)
{
    char meta[65];
    bool has_meta = header_part(h, TAG_MediaStorageSOPInstanceUID, 0, meta, sizeof(meta));
    if (header_identifier(h, TAG_SOPInstanceUID, r->sop_uid, sizeof(r->sop_uid)))
        q->uid_differs = has_meta && strcmp(meta, r->sop_uid) != 0;
    else if (has_meta)
        text_copy(r->sop_uid, sizeof(r->sop_uid), meta);
    if (!header_part(h, TAG_SOPClassUID, 0, r->sop_class, sizeof(r->sop_class)))
        header_part(h, TAG_MediaStorageSOPClassUID, 0, r->sop_class, sizeof(r->sop_class));
    header_identifier(h, TAG_StudyInstanceUID, r->study_uid, sizeof(r->study_uid));
    header_identifier(h, TAG_SeriesInstanceUID, r->series_uid, sizeof(r->series_uid));
    header_part(h, TAG_Modality, 0, r->modality, sizeof(r->modality));
    header_part(h, TAG_BodyPartExamined, 0, r->body_part, sizeof(r->body_part));
    read_image_type(h, r);
    read_intent(h, r);
}

static void read_device(const header *h, record *r)
{
    header_line(h, TAG_Manufacturer, r->manufacturer, sizeof(r->manufacturer));
    header_line(h, TAG_ManufacturerModelName, r->model, sizeof(r->model));
    record_set_vendor(r);
    header_line(h, TAG_SoftwareVersions, r->software, sizeof(r->software));
    header_line(h, TAG_StationName, r->station, sizeof(r->station));
    header_line(h, TAG_DeviceSerialNumber, r->serial, sizeof(r->serial));
    header_line(h, TAG_DetectorID, r->detector_id, sizeof(r->detector_id));
    header_part(h, TAG_DetectorType, 0, r->detector_type, sizeof(r->detector_type));
    header_line(h, TAG_AcquisitionDeviceProcessingDescription, r->processing,
                sizeof(r->processing));
    header_line(h, TAG_AcquisitionDeviceProcessingCode, r->processing_code,
                sizeof(r->processing_code));
    header_line(h, TAG_SecondaryCaptureDeviceManufacturer, r->sc_manufacturer,
                sizeof(r->sc_manufacturer));
    header_part(h, TAG_ConversionType, 0, r->conversion_type, sizeof(r->conversion_type));
}

static void read_exposure(const header *h, record *r)
{
    r->aborted = header_is(h, TAG_ExposureStatus, "ABORTED")  ? TRI_YES
                 : header_is(h, TAG_ExposureStatus, "NORMAL") ? TRI_NO
                                                              : TRI_UNKNOWN;
    double v;
    if (header_number(h, TAG_EstimatedRadiographicMagnificationFactor, 0, &v) && v > 0 &&
        v <= MAGNIFICATION_MAX)
        r->magnification = v;
    r->kvp = header_positive(h, TAG_KVP);
    r->exposure = header_positive(h, TAG_Exposure);
    if (r->exposure < 0 && header_positive(h, TAG_ExposureInuAs) >= 0)
        r->exposure = header_positive(h, TAG_ExposureInuAs) / 1000;
    r->thickness_mm = header_positive(h, TAG_BodyPartThickness);
    r->force_n = header_positive(h, TAG_CompressionForce);
    r->organ_dose = header_positive(h, TAG_OrganDose);
    r->relative_exposure = header_positive(h, TAG_RelativeXRayExposure);
    header_line(h, TAG_FilterMaterial, r->filter, sizeof(r->filter));
    header_part(h, TAG_AnodeTargetMaterial, 0, r->anode, sizeof(r->anode));
}

static record_tri lossy_of(const header *h)
{
    double v;
    if (!header_number(h, TAG_LossyImageCompression, 0, &v))
        return TRI_UNKNOWN;
    return v == 1 ? TRI_YES : v == 0 ? TRI_NO : TRI_UNKNOWN;
}

/* One ratio per compression step: the image lost as much as all of them together. */
static double lossy_ratio_of(const header *h)
{
    double all = 0, v;
    for (int i = 0; i < 8 && header_number(h, TAG_LossyImageCompressionRatio, i, &v); i++)
        if (v > 0 && v < 1e6)
            all = all > 0 ? all * v : v;
    return all;
}

/* Names and numbers of persons. A phantom is called so anywhere; QC, TEST and the like count only
 * where a part begins with them: public archives number women "Mass-Test_P_00016". */
static uint32_t identity_flags(const char *line)
{
    char starts[HEADER_VALUE_MAX];
    size_t n = 0;
    bool keep = true;
    for (; *line && n + 1 < sizeof(starts); line++) {
        bool between = *line == ' ' || *line == '^';
        keep = between || (keep && *line != '-' && *line != '_');
        if (keep)
            starts[n++] = *line;
    }
    starts[n] = '\0';
    return views_text_flags(starts, TEXT_QC);
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
        {TAG_PatientID, TEXT_PHANTOM},
        {TAG_PatientName, TEXT_PHANTOM},
    };
    char line[HEADER_VALUE_MAX];
    for (size_t i = 0; i < COUNT_OF(sources); i++)
        if (header_line(h, sources[i].id, line, sizeof(line))) {
            uint32_t flags = views_text_flags(line, sources[i].wanted);
            /* "mammo screening w CAD" names the reading, not marks in the pixels */
            if (strcmp(r->modality, "MG") == 0 && r->intent == INTENT_PRESENTATION &&
                strncmp(r->image_type[0], "ORIGINAL", 8) == 0)
                flags &= ~(uint32_t)TEXT_CAD;
            if (sources[i].id == TAG_PatientID || sources[i].id == TAG_PatientName)
                flags |= identity_flags(line);
            r->text_flags |= flags;
            if (sources[i].id == TAG_PaddleDescription)
                r->modifiers |= (flags & TEXT_SPOT ? MODIFIER_SPOT : 0u) |
                                (flags & TEXT_MAG ? MODIFIER_MAGNIFICATION : 0u);
        }
    if (header_child(h, TAG_BiopsyTargetSequence, 0))
        r->text_flags |= TEXT_BIOPSY;
    /* the attribute is often missing or wrong; a displaced implant is one */
    r->implant = r->modifiers & MODIFIER_IMPLANT_DISPLACED
                     ? TRI_YES
                     : header_yes_no(h, TAG_BreastImplantPresent);
    r->burned_in = header_yes_no(h, TAG_BurnedInAnnotation);
    r->recognizable = header_yes_no(h, TAG_RecognizableVisualFeatures);
    r->lossy = lossy_of(h);
    r->lossy_ratio = lossy_ratio_of(h);
    r->qc = header_yes_no(h, TAG_QualityControlImage);
    if (header_is(h, TAG_QualityControlImage, "BOTH") ||
        header_is(h, TAG_CalibrationImage, "YES") || header_is(h, TAG_QualityControlSubject, "YES"))
        r->qc = TRI_YES;
}

/* Older character sets are not translated: their letters become '?', so that every text of the
 * record can stand in JSON and CSV. */
static void keep_utf8(record *r)
{
    char value[RECORD_COLUMN_MAX];
    for (int i = 0; i < record_columns(); i++) {
        if (!record_column_is_words(i))
            continue;
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

static bool is_encapsulated(const char *ts)
{
    return strncmp(ts, "1.2.840.10008.1.2.4.", 20) == 0 || strcmp(ts, "1.2.840.10008.1.2.5") == 0;
}

static void read_all(const dcm_file *f, const walk *w, record *r)
{
    header h = header_of(f);
    quirk_file q = {.root = h.root,
                    .explicit_length =
                        w->has_pixels && !w->pixel_items && is_encapsulated(w->transfer_syntax)};
    read_identity(&h, r, &q);
    read_device(&h, r);
    read_dates(&h, r);
    read_person(&h, r);
    record_view_read(&h, r);
    read_special(&h, r);
    read_exposure(&h, r);
    record_pixel_read(&h, w, r, &q);
    keep_utf8(r);
    quirk_apply(r, &q);
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
    if (walk_is_reference(w->transfer_syntax)) {
        mem_free(known);
        return REASON_TS_UNSUPPORTED;
    }
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
        read_all(f, w, out);
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
