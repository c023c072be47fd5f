/* The sidecar table: facts for files whose headers lost them. Rows are found by relative path
 * first, then by base name; messages name the line, never a value. */
#include "core/csv.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "dicom/quirk.h"
#include "dicom/raster.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum field {
    F_PATIENT_ID,
    F_STUDY_UID,
    F_EXAM_DATE,
    F_LATERALITY,
    F_VIEW,
    F_AGE,
    F_MODALITY,
    F_MANUFACTURER,
    F_ROW_MM,
    F_SOP_UID,
    F_ACCESSION,
    F_SEX,
    F_INTENT,
    F_IMPLANT,
    F_MODEL,
    F_BITS_STORED, /* from here on for pictures only: what their samples mean */
    F_PHOTOMETRIC,
    F_WINDOW_CENTER,
    F_WINDOW_WIDTH,
    F_COUNT
} field;
static const char *const field_names[F_COUNT] = {
    "patient_id",  "study_uid",   "exam_date",     "laterality",   "view",
    "age",         "modality",    "manufacturer",  "row_mm",       "sop_uid",
    "accession",   "sex",         "intent",        "implant",      "model",
    "bits_stored", "photometric", "window_center", "window_width",
};
#define SPACING_TOLERANCE 0.01 /* relative */

typedef struct row {
    char *file, *value[F_COUNT]; /* owned; NULL = not given */
    int line;
    bool met; /* the file was seen in the archive */
} row;

struct sidecar {
    char *name; /* base name of the table, for messages */
    row *rows;  /* sorted by file */
    size_t n, cap;
};

static bool refuse(const sidecar *s, const row *r, int f, const char *what, err *e)
{
    return err_set(e, ERR_INPUT, "%s line %d: %s %s", s->name, r->line, field_names[f], what);
}

static char side_of(const char *v)
{
    if (text_ieq(v, "L") || text_ieq(v, "left"))
        return 'L';
    if (text_ieq(v, "R") || text_ieq(v, "right"))
        return 'R';
    return text_ieq(v, "B") || text_ieq(v, "both") ? 'B' : 0;
}

static record_intent intent_of(const char *v)
{
    return text_ieq(v, "presentation") || text_ieq(v, "FOR PRESENTATION") ? INTENT_PRESENTATION
           : text_ieq(v, "processing") || text_ieq(v, "FOR PROCESSING")   ? INTENT_PROCESSING
                                                                          : INTENT_UNKNOWN;
}

static char sex_of(const char *v)
{
    return text_ieq(v, "F") || text_ieq(v, "female") ? 'F'
           : text_ieq(v, "M") || text_ieq(v, "male") ? 'M'
           : text_ieq(v, "O")                        ? 'O'
                                                     : 0;
}

static bool check_pixel_facts(const sidecar *s, const row *r, err *e)
{
    int64_t bits;
    double x;
    const char *const *v = (const char *const *)r->value;
    if (v[F_BITS_STORED] && (!text_i64(v[F_BITS_STORED], &bits) || bits < 6 || bits > 16))
        return refuse(s, r, F_BITS_STORED, "must be whole bits from 6 to 16", e);
    if (v[F_PHOTOMETRIC] && strcmp(v[F_PHOTOMETRIC], "MONOCHROME1") != 0 &&
        strcmp(v[F_PHOTOMETRIC], "MONOCHROME2") != 0)
        return refuse(s, r, F_PHOTOMETRIC, "must be MONOCHROME1 or MONOCHROME2", e);
    if (v[F_WINDOW_CENTER] && (!text_f64(v[F_WINDOW_CENTER], &x) || fabs(x) > 1e6))
        return refuse(s, r, F_WINDOW_CENTER, "must be a number of stored units", e);
    if (v[F_WINDOW_WIDTH] && (!text_f64(v[F_WINDOW_WIDTH], &x) || x < 1 || x > 1e6))
        return refuse(s, r, F_WINDOW_WIDTH, "must be 1 or more stored units", e);
    if (!v[F_WINDOW_CENTER] != !v[F_WINDOW_WIDTH])
        return refuse(s, r, F_WINDOW_WIDTH, "and window_center need each other", e);
    return true;
}

/* Every value is checked when the table is read, so that a typing error stops the run early. */
static bool check_row(const sidecar *s, const row *r, err *e)
{
    int32_t day;
    int64_t age;
    double mm;
    bool yes;
    const char *const *v = (const char *const *)r->value;
    if (v[F_EXAM_DATE] && !text_date(v[F_EXAM_DATE], &day))
        return refuse(s, r, F_EXAM_DATE, "is no date such as 2024-01-31", e);
    if (v[F_LATERALITY] && !side_of(v[F_LATERALITY]))
        return refuse(s, r, F_LATERALITY, "must be L, R or B", e);
    if (v[F_VIEW] && record_view_find(v[F_VIEW]) == VIEW_UNKNOWN)
        return refuse(s, r, F_VIEW, "is no known view; wanted CC, MLO, ML, LM, ...", e);
    if (v[F_AGE] && (!text_i64(v[F_AGE], &age) || age < 1 || age > 130))
        return refuse(s, r, F_AGE, "must be whole years from 1 to 130", e);
    if (v[F_ROW_MM] && (!text_f64(v[F_ROW_MM], &mm) || mm <= 0 || mm > 10))
        return refuse(s, r, F_ROW_MM, "must be a pixel size in mm, above 0 and at most 10", e);
    if (v[F_SEX] && !sex_of(v[F_SEX]))
        return refuse(s, r, F_SEX, "must be F, M or O", e);
    if (v[F_INTENT] && intent_of(v[F_INTENT]) == INTENT_UNKNOWN)
        return refuse(s, r, F_INTENT, "must be presentation or processing", e);
    if (v[F_IMPLANT] && !text_bool(v[F_IMPLANT], &yes))
        return refuse(s, r, F_IMPLANT, "must be yes or no", e);
    for (int f = 0; f < F_COUNT; f++)
        if (v[f] && strlen(v[f]) > (f == F_MODALITY ? 16 : 64))
            return refuse(s, r, f, "is too long", e);
    return check_pixel_facts(s, r, e);
}

static int by_file(const void *a, const void *b)
{
    return strcmp(((const row *)a)->file, ((const row *)b)->file);
}

/* A misspelt name would leave its facts out in silence. */
static void tell_ignored(const csv_reader *r, int file, const int col[F_COUNT])
{
    text list;
    int n = 0;
    text_init(&list);
    for (int c = 0; c < csv_columns(r); c++) {
        bool known = c == file;
        for (int f = 0; f < F_COUNT; f++)
            known = known || col[f] == c;
        if (!known)
            text_addf(&list, "%s%s", n++ ? ", " : "", csv_column_name(r, c));
    }
    if (n)
        log_warn("columns_ignored", "table=sidecar n=%d columns=\"%.500s\"", n, list.s);
    text_release(&list);
}

static bool read_rows(sidecar *s, csv_reader *r, err *e)
{
    int file, col[F_COUNT], got;
    if (!csv_require(r, "file", &file, e))
        return false;
    for (int f = 0; f < F_COUNT; f++)
        col[f] = csv_find(r, field_names[f]);
    tell_ignored(r, file, col);
    while ((got = csv_next(r, e)) == 1) {
        if (s->n == s->cap) {
            size_t cap = s->cap ? 2 * s->cap : 64;
            s->rows = mem_realloc(s->rows, s->cap * sizeof(row), cap * sizeof(row));
            s->cap = cap;
        }
        row *one = &s->rows[s->n++];
        memset(one, 0, sizeof(*one));
        one->file = mem_strdup(csv_field(r, file));
        one->line = csv_line(r);
        for (int f = 0; f < F_COUNT; f++)
            if (col[f] >= 0 && !csv_missing(r, col[f]))
                one->value[f] = mem_strdup(csv_field(r, col[f]));
        if (!one->file[0])
            return err_set(e, ERR_INPUT, "%s line %d: file is empty", s->name, one->line);
        if (!check_row(s, one, e))
            return false;
    }
    if (got < 0)
        return false;
    if (s->n)
        qsort(s->rows, s->n, sizeof(row), by_file);
    for (size_t i = 1; i < s->n; i++)
        if (strcmp(s->rows[i - 1].file, s->rows[i].file) == 0)
            return err_set(e, ERR_INPUT, "%s lines %d and %d are about the same file", s->name,
                           s->rows[i - 1].line, s->rows[i].line);
    return true;
}

sidecar *sidecar_open(const char *path, err *e)
{
    csv_reader *r = csv_open(path, e);
    if (!r)
        return NULL;
    sidecar *s = MEM_NEW(sidecar);
    s->name = mem_strdup(fs_base(path));
    bool ok = read_rows(s, r, e);
    csv_close(r);
    if (ok)
        return s;
    sidecar_free(s);
    return NULL;
}

void sidecar_free(sidecar *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++) {
        mem_free(s->rows[i].file);
        for (int f = 0; f < F_COUNT; f++)
            mem_free(s->rows[i].value[f]);
    }
    mem_free(s->rows);
    mem_free(s->name);
    mem_free(s);
}

static row *find_name(const sidecar *s, const char *name)
{
    row key = {.file = (char *)name};
    return s->n ? bsearch(&key, s->rows, s->n, sizeof(row), by_file) : NULL;
}

static row *find_row(const sidecar *s, const char *relative)
{
    row *r = find_name(s, relative);
    return r ? r : find_name(s, fs_base(relative));
}

void sidecar_meet(sidecar *s, const char *relative)
{
    row *r = find_row(s, relative);
    if (r)
        r->met = true;
}

int64_t sidecar_unmet(const sidecar *s, int *line)
{
    int64_t n = 0;
    *line = 0;
    for (size_t i = 0; i < s->n; i++)
        if (!s->rows[i].met) {
            n++;
            *line = !*line || s->rows[i].line < *line ? s->rows[i].line : *line;
        }
    return n;
}

/* Text fields: fill when absent; a different value is a contradiction. */
static bool take_text(const sidecar *s, const row *r, field f, char *dst, size_t cap, bool any_case,
                      err *e)
{
    const char *v = r->value[f];
    if (!v)
        return true;
    if (strlen(v) >= cap)
        return refuse(s, r, f, "is too long", e);
    if (!dst[0]) {
        text_copy(dst, cap, v);
        for (char *p = dst; any_case && *p; p++)
            *p = (char)toupper((unsigned char)*p);
        return true;
    }
    if (any_case ? text_ieq(dst, v) : strcmp(dst, v) == 0)
        return true;
    return refuse(s, r, f, "contradicts the header of its file", e);
}

static bool take_numbers(const sidecar *s, const row *r, record *rec, err *e)
{
    int32_t day;
    int64_t age;
    double mm;
    if (r->value[F_EXAM_DATE] && text_date(r->value[F_EXAM_DATE], &day)) {
        if (rec->exam_day != RECORD_UNKNOWN && rec->exam_day != day)
            return refuse(s, r, F_EXAM_DATE, "contradicts the header of its file", e);
        if (rec->exam_day == RECORD_UNKNOWN)
            text_copy(rec->date_source, sizeof(rec->date_source), "sidecar");
        rec->exam_day = day;
    }
    if (r->value[F_AGE] && text_i64(r->value[F_AGE], &age)) {
        if (rec->age >= 0 && rec->age != age)
            return refuse(s, r, F_AGE, "contradicts the header of its file", e);
        rec->age = (int)age;
    }
    if (r->value[F_ROW_MM] && text_f64(r->value[F_ROW_MM], &mm)) {
        /* the resolution of a picture is often a default of the program that wrote it, and what is
         * known of the device only gives way to what is known of the file */
        bool weak = rec->row_mm <= 0 || raster_is(rec) ||
                    strcmp(rec->spacing_source, RECORD_VENDOR_TABLE) == 0;
        if (!weak && fabs(rec->row_mm / mm - 1) > SPACING_TOLERANCE)
            return refuse(s, r, F_ROW_MM, "contradicts the header of its file", e);
        if (weak) {
            rec->row_mm = rec->col_mm = mm;
            text_copy(rec->spacing_source, sizeof(rec->spacing_source), "sidecar");
        }
    }
    return true;
}

/* Presence of an implant adds up over the sources: one that says no may only not know. */
static bool take_words(const sidecar *s, const row *r, record *rec, err *e)
{
    const char *const *v = (const char *const *)r->value;
    bool yes;
    if (v[F_SEX] && rec->sex && rec->sex != sex_of(v[F_SEX]))
        return refuse(s, r, F_SEX, "contradicts the header of its file", e);
    if (v[F_INTENT] && rec->intent != INTENT_UNKNOWN && rec->intent != intent_of(v[F_INTENT]))
        return refuse(s, r, F_INTENT, "contradicts the header of its file", e);
    if (v[F_SEX])
        rec->sex = sex_of(v[F_SEX]);
    if (v[F_INTENT])
        rec->intent = intent_of(v[F_INTENT]);
    if (v[F_IMPLANT] && text_bool(v[F_IMPLANT], &yes) && rec->implant != TRI_YES)
        rec->implant = yes ? TRI_YES : TRI_NO;
    return take_text(s, r, F_ACCESSION, rec->accession, sizeof(rec->accession), false, e) &&
           take_text(s, r, F_MODEL, rec->model, sizeof(rec->model), false, e);
}

/* What the samples of a picture mean; a DICOM file says it itself. */
static bool take_pixel_facts(const sidecar *s, const row *r, record *rec, err *e)
{
    int64_t bits;
    const char *const *v = (const char *const *)r->value;
    for (int f = F_BITS_STORED; f < F_COUNT; f++)
        if (v[f] && !raster_is(rec))
            return refuse(s, r, f, "is for PNG and TIFF pictures only", e);
    if (v[F_BITS_STORED] && text_i64(v[F_BITS_STORED], &bits)) {
        rec->bits_stored = (int)bits;
        rec->high_bit = rec->bits_stored - 1;
    }
    if (v[F_PHOTOMETRIC])
        text_copy(rec->photometric, sizeof(rec->photometric), v[F_PHOTOMETRIC]);
    if (v[F_WINDOW_CENTER] && text_f64(v[F_WINDOW_CENTER], &rec->window_center[0]) &&
        text_f64(v[F_WINDOW_WIDTH], &rec->window_width[0]))
        rec->n_windows = 1;
    return true;
}

bool sidecar_apply(const sidecar *s, const char *relative, record *rec, err *e)
{
    const row *r = find_row(s, relative);
    if (!r)
        return true;
    if (r->value[F_SOP_UID] && raster_is(rec))
        rec->sop_uid[0] = '\0'; /* a given identity replaces the one made from the bytes */
    if (!take_text(s, r, F_SOP_UID, rec->sop_uid, sizeof(rec->sop_uid), false, e) ||
        !take_text(s, r, F_PATIENT_ID, rec->patient_id, sizeof(rec->patient_id), false, e) ||
        !take_text(s, r, F_STUDY_UID, rec->study_uid, sizeof(rec->study_uid), false, e) ||
        !take_text(s, r, F_MODALITY, rec->modality, sizeof(rec->modality), true, e) ||
        !take_numbers(s, r, rec, e) || !take_words(s, r, rec, e) || !take_pixel_facts(s, r, rec, e))
        return false;
    const char *v = r->value[F_MANUFACTURER];
    if (v && rec->manufacturer[0] && strcmp(record_vendor(v), rec->vendor) != 0)
        return refuse(s, r, F_MANUFACTURER, "contradicts the header of its file", e);
    if (v && !rec->manufacturer[0]) {
        text_copy(rec->manufacturer, sizeof(rec->manufacturer), v);
        record_set_vendor(rec);
    }
    v = r->value[F_VIEW];
    if (v && rec->view != VIEW_UNKNOWN && rec->view != record_view_find(v))
        return refuse(s, r, F_VIEW, "contradicts the header of its file", e);
    if (v && rec->view == VIEW_UNKNOWN) {
        rec->view = record_view_find(v);
        text_copy(rec->view_source, sizeof(rec->view_source), "sidecar");
    }
    v = r->value[F_LATERALITY];
    if (v && rec->side && rec->side != side_of(v))
        rec->side_conflict = TRI_YES;
    if (v && !rec->side) {
        rec->side = side_of(v);
        text_copy(rec->side_source, sizeof(rec->side_source), "sidecar");
    }
    quirk_apply(rec, NULL);
    return true;
}
