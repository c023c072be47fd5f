/* The record as a table of named columns (text in and out), and its vocabularies. */
#include "dicom/record.h"

#include "core/text.h"

#include <stdio.h>
#include <string.h>

typedef enum column_kind {
    COL_TEXT,     /* char[size] */
    COL_CHAR,     /* one letter, 0 = "" */
    COL_INT,      /* int */
    COL_COUNT,    /* int, -1 = "" */
    COL_DAY,      /* int32_t days */
    COL_BITS,     /* uint32_t */
    COL_I32,      /* int32_t */
    COL_REAL,     /* double */
    COL_POSITIVE, /* double, negative = "" */
    COL_NAME,     /* an enum, by its words */
    COL_WINDOWS   /* center:width:name;... */
} column_kind;

typedef struct column {
    const char *name;
    size_t at, size;
    column_kind kind;
    bool identifier;
    const char *const *words; /* COL_NAME: NULL-terminated */
} column;

static const char *const tri_words[] = {"", "no", "yes", NULL};
static const char *const intent_words[] = {"", "presentation", "processing", NULL};
static const char *const pls_words[] = {"", "IDENTITY", "INVERSE", NULL};
static const char *const voi_words[] = {"LINEAR", "LINEAR_EXACT", "SIGMOID", NULL};
static const char *const view_names[] = {"",     "CC", "MLO", "ML",  "LM",       "LMO",   "XCCL",
                                         "XCCM", "FB", "SIO", "ISO", "SPECIMEN", "OTHER", NULL};
_Static_assert(sizeof(record_view) == sizeof(int), "enums are read and written as int");

#define AT(f) offsetof(record, f), sizeof(((record *)0)->f)
#define PLAIN(f, k)                                                                                \
    {                                                                                              \
#f, AT(f), k, false, NULL                                                                  \
    }
#define SECRET(f, k)                                                                               \
    {                                                                                              \
#f, AT(f), k, true, NULL                                                                   \
    }
#define NAMED(f, w)                                                                                \
    {                                                                                              \
#f, AT(f), COL_NAME, false, w                                                              \
    }
#define PART(n, f, k)                                                                              \
    {                                                                                              \
        n, AT(f), k, false, NULL                                                                   \
    }

static const column columns[] = {
    SECRET(sop_uid, COL_TEXT),
    SECRET(study_uid, COL_TEXT),
    SECRET(series_uid, COL_TEXT),
    PLAIN(sop_class, COL_TEXT),
    SECRET(patient_id, COL_TEXT),
    SECRET(issuer, COL_TEXT),
    SECRET(accession, COL_TEXT),
    SECRET(study_id, COL_TEXT),
    SECRET(other_ids, COL_TEXT),
    SECRET(exam_day, COL_DAY),
    PLAIN(date_source, COL_TEXT),
    SECRET(acquisition_time, COL_COUNT),
    PLAIN(age, COL_COUNT),
    PLAIN(sex, COL_CHAR),
    PLAIN(modality, COL_TEXT),
    PLAIN(body_part, COL_TEXT),
    NAMED(intent, intent_words),
    PART("image_type_1", image_type[0], COL_TEXT),
    PART("image_type_2", image_type[1], COL_TEXT),
    PART("image_type_3", image_type[2], COL_TEXT),
    PART("image_type_4", image_type[3], COL_TEXT),
    PART("image_type_5", image_type[4], COL_TEXT),
    NAMED(view, view_names),
    PLAIN(view_source, COL_TEXT),
    PLAIN(modifiers, COL_BITS),
    PLAIN(side, COL_CHAR),
    PLAIN(side_source, COL_TEXT),
    NAMED(side_conflict, tri_words),
    NAMED(implant, tri_words),
    NAMED(partial, tri_words),
    NAMED(burned_in, tri_words),
    NAMED(lossy, tri_words),
    NAMED(qc, tri_words),
    NAMED(aborted, tri_words),
    NAMED(recognizable, tri_words),
    PLAIN(partial_sections, COL_TEXT),
    PLAIN(lossy_ratio, COL_REAL),
    PLAIN(conversion_type, COL_TEXT),
    PLAIN(text_flags, COL_BITS),
    PLAIN(magnification, COL_REAL),
    PLAIN(kvp, COL_POSITIVE),
    PLAIN(exposure, COL_POSITIVE),
    PLAIN(thickness_mm, COL_POSITIVE),
    PLAIN(force_n, COL_POSITIVE),
    PLAIN(organ_dose, COL_POSITIVE),
    PLAIN(relative_exposure, COL_POSITIVE),
    PLAIN(filter, COL_TEXT),
    PLAIN(anode, COL_TEXT),
    PLAIN(manufacturer, COL_TEXT),
    PLAIN(model, COL_TEXT),
    PLAIN(vendor, COL_TEXT),
    SECRET(software, COL_TEXT),
    SECRET(station, COL_TEXT),
    SECRET(serial, COL_TEXT),
    SECRET(detector_id, COL_TEXT),
    SECRET(processing, COL_TEXT),
    SECRET(processing_code, COL_TEXT),
    SECRET(sc_manufacturer, COL_TEXT),
    PLAIN(detector_type, COL_TEXT),
    PLAIN(transfer_syntax, COL_TEXT),
    PLAIN(rows, COL_INT),
    PLAIN(cols, COL_INT),
    PLAIN(frames, COL_INT),
    PLAIN(samples, COL_INT),
    PLAIN(bits_allocated, COL_INT),
    PLAIN(bits_stored, COL_INT),
    PLAIN(high_bit, COL_INT),
    PLAIN(pixel_signed, COL_INT),
    PLAIN(photometric, COL_TEXT),
    NAMED(pls, pls_words),
    PLAIN(row_mm, COL_REAL),
    PLAIN(col_mm, COL_REAL),
    PLAIN(spacing_source, COL_TEXT),
    PART("orientation_row", orientation[0], COL_TEXT),
    PART("orientation_col", orientation[1], COL_TEXT),
    PLAIN(aspect, COL_REAL),
    PLAIN(fov_rotation, COL_COUNT),
    NAMED(fov_flip, tri_words),
    PLAIN(fov_origin_row, COL_REAL),
    PLAIN(fov_origin_col, COL_REAL),
    PLAIN(has_rescale, COL_INT),
    PLAIN(slope, COL_REAL),
    PLAIN(intercept, COL_REAL),
    PLAIN(rescale_type, COL_TEXT),
    PLAIN(has_modality_lut, COL_INT),
    PLAIN(n_voi_luts, COL_INT),
    NAMED(voi, voi_words),
    PART("windows", n_windows, COL_WINDOWS),
    PLAIN(has_padding, COL_INT),
    PLAIN(has_padding_limit, COL_INT),
    PLAIN(padding, COL_I32),
    PLAIN(padding_limit, COL_I32),
    PLAIN(quirks, COL_TEXT),
};

void record_clear(record *r)
{
    memset(r, 0, sizeof(*r));
    r->exam_day = RECORD_UNKNOWN;
    r->acquisition_time = r->age = r->fov_rotation = -1;
    r->kvp = r->exposure = r->thickness_mm = r->force_n = r->organ_dose = r->relative_exposure = -1;
    r->slope = 1;
}

int record_columns(void)
{
    return (int)COUNT_OF(columns);
}

static const column *column_at(int i)
{
    if (i < 0 || i >= record_columns())
        BUG("record has no column %d", i);
    return &columns[i];
}

const char *record_column_name(int i)
{
    return column_at(i)->name;
}

bool record_column_is_identifier(int i)
{
    return column_at(i)->identifier;
}

bool record_column_is_words(int i)
{
    column_kind k = column_at(i)->kind;
    return k == COL_TEXT || k == COL_CHAR || k == COL_WINDOWS;
}

const char *record_view_name(record_view v)
{
    return (unsigned)v < COUNT_OF(view_names) - 1 ? view_names[v] : "";
}

record_view record_view_find(const char *name)
{
    for (int i = 0; *name && view_names[i]; i++)
        if (text_ieq(view_names[i], name))
            return (record_view)i;
    return VIEW_UNKNOWN;
}

static void windows_text(const record *r, char *out, size_t cap)
{
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; i < r->n_windows && i < RECORD_WINDOWS; i++) {
        char c[32], w[32];
        text_shortest(r->window_center[i], c);
        text_shortest(r->window_width[i], w);
        int k = snprintf(out + n, cap - n, "%s%s:%s:%s", i ? ";" : "", c, w, r->window_name[i]);
        if (k < 0 || (size_t)k >= cap - n)
            return;
        n += (size_t)k;
    }
}

/* No printf for most columns: they are written a hundred times for each file of an archive. */
static void put_text(const char *s, size_t max, char *out, size_t cap)
{
    size_t n = strnlen(s, max < cap - 1 ? max : cap - 1);
    memcpy(out, s, n);
    out[n] = '\0';
}

static void put_number(int64_t v, char *out, size_t cap)
{
    char digits[24];
    size_t at = sizeof(digits) - 1;
    uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    digits[at] = '\0';
    do
        digits[--at] = (char)('0' + left % 10);
    while ((left /= 10) != 0);
    if (v < 0)
        digits[--at] = '-';
    put_text(digits + at, cap, out, cap);
}

void record_column_text(const record *r, int i, char *out, size_t cap)
{
    const column *c = column_at(i);
    const void *p = (const char *)r + c->at;
    char number[32];
    double d;
    int v;
    out[0] = '\0';
    switch (c->kind) {
    case COL_TEXT:
        put_text(p, c->size - 1, out, cap);
        break;
    case COL_CHAR:
        put_text(p, 1, out, cap);
        break;
    case COL_INT:
    case COL_COUNT:
        memcpy(&v, p, sizeof(v));
        if (c->kind == COL_INT || v >= 0)
            put_number(v, out, cap);
        break;
    case COL_DAY:
        if (*(const int32_t *)p != RECORD_UNKNOWN && cap >= 11)
            text_from_days(*(const int32_t *)p, out);
        break;
    case COL_BITS:
        put_number(*(const uint32_t *)p, out, cap);
        break;
    case COL_I32:
        put_number(*(const int32_t *)p, out, cap);
        break;
    case COL_REAL:
    case COL_POSITIVE:
        d = *(const double *)p;
        if (c->kind == COL_POSITIVE && d < 0)
            break;
        text_shortest(d, number);
        put_text(number, sizeof(number), out, cap);
        break;
    case COL_NAME:
        memcpy(&v, p, sizeof(v));
        put_text(c->words[v], cap, out, cap);
        break;
    case COL_WINDOWS:
        windows_text(r, out, cap);
        break;
    }
}

void record_column_public(const record *r, int i, char *out, size_t cap)
{
    /* the names that DICOM devices give their windows; anything else may be a person's own word */
    static const char *const names[] = {"NORMAL", "HARDER", "SOFTER", "USER", "WINDOW1", "WINDOW2"};
    const column *c = column_at(i);
    out[0] = '\0';
    if (c->identifier)
        return;
    if (c->at == offsetof(record, model)) {
        snprintf(out, cap, "%s", record_model_public(r));
    } else if (c->at == offsetof(record, manufacturer)) {
        snprintf(out, cap, "%s", r->vendor);
    } else if (c->kind == COL_WINDOWS) {
        record known = *r;
        for (int k = 0; k < known.n_windows && k < RECORD_WINDOWS; k++) {
            bool found = false;
            for (size_t n = 0; n < COUNT_OF(names); n++)
                found = found || strcmp(known.window_name[k], names[n]) == 0;
            if (!found)
                known.window_name[k][0] = '\0';
        }
        record_column_text(&known, i, out, cap);
    } else {
        record_column_text(r, i, out, cap);
    }
}

static bool windows_parse(record *r, const char *value)
{
    char buf[RECORD_COLUMN_MAX];
    if (strlen(value) >= sizeof(buf))
        return false;
    memcpy(buf, value, strlen(value) + 1);
    r->n_windows = 0;
    for (char *p = buf, *next; p && *p; p = next) {
        next = strchr(p, ';');
        if (next)
            *next++ = '\0';
        char *width = strchr(p, ':'), *name = width ? strchr(width + 1, ':') : NULL;
        if (!name || r->n_windows == RECORD_WINDOWS)
            return false;
        *width++ = *name++ = '\0';
        int i = r->n_windows++;
        if (!text_f64(p, &r->window_center[i]) || !text_f64(width, &r->window_width[i]))
            return false;
        text_copy(r->window_name[i], sizeof(r->window_name[i]), name);
    }
    return true;
}

static bool parse_value(record *r, const column *c, const char *value)
{
    void *p = (char *)r + c->at;
    int64_t n = 0;
    double d = c->kind == COL_POSITIVE ? -1 : 0;
    bool given = value[0] != '\0';
    switch (c->kind) {
    case COL_TEXT:
        if (strlen(value) >= c->size)
            return false;
        text_copy(p, c->size, value);
        return true;
    case COL_CHAR:
        *(char *)p = value[0];
        return !given || value[1] == '\0';
    case COL_DAY:
        *(int32_t *)p = RECORD_UNKNOWN;
        return !given || text_date(value, p);
    case COL_INT:
    case COL_COUNT:
    case COL_I32:
    case COL_BITS:
        if (c->kind == COL_COUNT && !given)
            n = -1;
        else if (!text_i64(value, &n) || n < INT32_MIN || n > UINT32_MAX ||
                 (c->kind != COL_BITS && n > INT32_MAX) || (c->kind == COL_BITS && n < 0))
            return false;
        if (c->kind == COL_BITS)
            *(uint32_t *)p = (uint32_t)n;
        else
            *(int32_t *)p = (int32_t)n;
        return true;
    case COL_REAL:
    case COL_POSITIVE:
        if (given && !text_f64(value, &d))
            return false;
        *(double *)p = d;
        return true;
    case COL_NAME:
        for (int i = 0; c->words[i]; i++)
            if (text_ieq(c->words[i], value)) {
                memcpy(p, &i, sizeof(i));
                return true;
            }
        return false;
    case COL_WINDOWS:
        return windows_parse(r, value);
    }
    return false;
}

bool record_column_parse(record *r, int i, const char *value, err *e)
{
    const column *c = column_at(i);
    if (parse_value(r, c, value))
        return true;
    if (c->identifier)
        return err_set(e, ERR_INPUT, "record column '%s' holds a value that cannot be read",
                       c->name);
    return err_set(e, ERR_INPUT, "record column '%s' holds '%.40s', which cannot be read", c->name,
                   value);
}
