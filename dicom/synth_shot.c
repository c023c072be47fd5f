/* Vendors, header and stored values of an ordinary exposure. The stored values are the inverse of
 * the vendor's own display chain, so that every vendor shows about the same picture. */
#include "dicom/synth_shot.h"

#include "core/rng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define FIELD_HEIGHT_MM 110.0
#define FIELD_WIDTH_MM  80.0
#define LEVELS          16384 /* steps of the table from display to stored value */
#define SHARE_CASE      0.75  /* texture A among the marked patches, cancer within two years */
#define SHARE_LATER     0.32  /* cancer later than that */
#define SHARE_CONTROL   0.25
#define TWO_YEARS       730

typedef enum display { SHOW_LINEAR, SHOW_EXACT, SHOW_SIGMOID, SHOW_LUT } display;

/* Make-believe devices with the habits of dicom.md 1. */
typedef struct vendor {
    const char *manufacturer, *model;
    double mm;
    int bits;
    bool inverse; /* MONOCHROME1 + INVERSE */
    display how;
    double center, width;
    bool rescale, several, padding, label;
    double air, air_noise, gain;
    const char *scheme; /* of the view codes */
    const char *ts;
} vendor;

static const vendor vendors[] = {
    {"HOLOGIC, Inc.", "Selenia Dimensions", 0.14, 12, false, SHOW_LINEAR, 2047, 4095, false, false,
     false, true, 0, 0, 1.0, "SCT", SYNTH_JLL_SV1},
    {"GE MEDICAL SYSTEMS", "Senographe Essential", 0.2, 12, false, SHOW_SIGMOID, 2000, 1500, true,
     true, true, false, 0.02, 0.002, 0.95, "SNM3", SYNTH_RLE},
    {"GE HEALTHCARE", "Senographe Pristina", 0.2, 14, false, SHOW_LUT, 0, 0, false, true, false,
     true, 0.03, 0.002, 1.02, "SNM3", SYNTH_IMPLICIT},
    {"SIEMENS", "MAMMOMAT Inspiration", 0.17, 12, false, SHOW_LINEAR, 1800, 2900, true, false,
     false, false, 0.04, 0.004, 0.98, "SRT", SYNTH_EXPLICIT},
    {"SIEMENS", "Mammomat Novation DR", 0.17, 14, true, SHOW_LINEAR, 8191, 14000, false, false,
     false, true, 0.03, 0.004, 1.04, "SRT", SYNTH_JLL_SV1},
    {"FUJIFILM Corporation", "AMULET Innovality", 0.2, 10, true, SHOW_EXACT, 512, 1000, true, false,
     false, false, 0.01, 0.003, 1.0, "SRT", SYNTH_RLE},
};

int synth_vendors(void)
{
    return (int)COUNT_OF(vendors);
}

void synth_uid(uint64_t seed, const char *what, int a, int b, int c, char out[65])
{
    uint64_t id = 1469598103934665603u; /* FNV-1a over what and the indices */
    for (; *what; what++)
        id = (id ^ (uint8_t)*what) * 1099511628211u;
    for (int i = 0; i < 3; i++)
        id = (id ^ (uint64_t)(i == 0 ? a : i == 1 ? b : c)) * 1099511628211u + 77;
    rng r;
    rng_init(&r, seed, RNG_SYNTH, id, 90);
    uint64_t hi = rng_u64(&r) >> 1, lo = rng_u64(&r) % UINT64_C(1000000000000000000);
    snprintf(out, 65, "2.25.%llu%018llu", (unsigned long long)(hi % 100000000000000000u) + 1,
             (unsigned long long)lo);
}

/* ---- stored values --------------------------------------------------------------------------- */

#define LUT_ENTRIES 4000
#define LUT_FIRST   200
#define LUT_POWER   1.3

/* The stored value that the vendor's display chain turns into q. */
static double stored_of(const vendor *v, double q)
{
    if (v->inverse)
        q = 1 - q;
    switch (v->how) {
    case SHOW_EXACT:
        return v->center + (q - 0.5) * v->width;
    case SHOW_SIGMOID:
        q = fmin(fmax(q, 0.01), 0.99);
        return v->center + v->width / 4 * log(q / (1 - q));
    case SHOW_LUT:
        return LUT_FIRST + (LUT_ENTRIES - 1) * pow(q, 1 / LUT_POWER);
    default:
        return v->center - 0.5 + (q - 0.5) * (v->width - 1);
    }
}

static void store(synth_shot *s, const vendor *v, const float *q)
{
    uint16_t *table = arena_alloc(s->a, LEVELS * sizeof(*table));
    double top = (1 << v->bits) - 1;
    for (int i = 0; i < LEVELS; i++) {
        double x = (double)i / (LEVELS - 1);
        x = stored_of(v, fmin(x * v->gain, 1));
        table[i] = (uint16_t)(fmin(fmax(x, 0), top) + 0.5);
    }
    size_t n = (size_t)s->rows * (size_t)s->cols;
    for (size_t i = 0; i < n; i++)
        s->px[i] = table[(int)(q[i] * (LEVELS - 1) + 0.5f)];
    if (!v->padding)
        return;
    /* a collimated strip beside the field */
    int strip = (int)(2 / v->mm);
    for (int y = 0; y < s->rows; y++)
        for (int x = 0; x < strip; x++)
            s->px[(size_t)y * (size_t)s->cols +
                  (size_t)(s->scene.chest_right ? x : s->cols - 1 - x)] = (uint16_t)(x % 3);
}

/* ---- header ---------------------------------------------------------------------------------- */

static void put_date(synth_set *s, uint32_t tag, int32_t days)
{
    char iso[11];
    text_from_days(days, iso);
    synth_str(s, tag, "DA", "%.4s%.2s%.2s", iso, iso + 5, iso + 8);
}

static void put_view(synth_shot *s, const vendor *v)
{
    bool old = strcmp(v->scheme, "SCT") != 0;
    synth_set *code = synth_set_new(s->a);
    synth_str(code, 0x00080100u, "SH", "%s",
              s->oblique ? (old ? "R-10226" : "399368009") : (old ? "R-10242" : "399162004"));
    synth_str(code, 0x00080102u, "SH", "%s", v->scheme);
    synth_str(code, 0x00080104u, "LO", "%s",
              s->oblique ? "medio-lateral oblique" : "cranio-caudal");
    synth_item(s->set, 0x00540220u, code);
    synth_str(s->set, 0x00185101u, "CS", "%s", s->oblique ? "MLO" : "CC");
    synth_str(s->set, 0x00200062u, "CS", "%c", s->side);
    /* which way rows and columns run, after the flips of the scene */
    bool down = s->scene.upside_down;
    char col = s->side == 'R' ? 'L' : 'R';
    if (s->oblique)
        synth_str(s->set, 0x00200020u, "CS", "%s\\%c%c", s->scene.chest_right ? "P" : "A",
                  down ? 'H' : 'F', down ? (col == 'L' ? 'R' : 'L') : col);
    else
        synth_str(s->set, 0x00200020u, "CS", "%s\\%c", s->scene.chest_right ? "P" : "A",
                  down ? s->side : col);
}

static void put_identity(synth_shot *s, const vendor *v)
{
    const synth_exam *x = s->exam;
    synth_set *t = s->set;
    char uid[65], birth[11], day[11];
    text_from_days(x->birth, birth);
    text_from_days(x->day, day);
    long age = strtol(day, NULL, 10) - strtol(birth, NULL, 10) - (strcmp(day + 5, birth + 5) < 0);
    synth_str(t, 0x00080008u, "CS", "ORIGINAL\\PRIMARY\\");
    synth_str(t, 0x00080016u, "UI", "1.2.840.10008.5.1.4.1.1.1.2");
    synth_uid(x->seed, "sop", x->woman, x->number, s->number, uid);
    synth_str(t, 0x00080018u, "UI", "%s", uid);
    put_date(t, 0x00080020u, x->day);
    put_date(t, 0x00080022u, x->day);
    put_date(t, 0x00080023u, x->day);
    synth_str(t, 0x00080030u, "TM", "%02d%02d00", 8 + x->woman % 9, x->woman * 7 % 60);
    synth_str(t, 0x00080032u, "TM", "%02d%02d%02d", 8 + x->woman % 9, x->woman * 7 % 60,
              s->number % 60);
    synth_str(t, 0x00080050u, "SH", "A%06d%d", x->woman, x->number);
    synth_str(t, 0x00080060u, "CS", "MG");
    synth_str(t, 0x00080068u, "CS", "FOR PRESENTATION");
    synth_str(t, 0x00080070u, "LO", "%s", v->manufacturer);
    synth_str(t, 0x00080080u, "LO", "Demo Screening Unit");
    synth_str(t, 0x00081030u, "LO", "Screening mammography");
    synth_str(t, 0x0008103Eu, "LO", "%c %s", s->side, s->oblique ? "MLO" : "CC");
    synth_str(t, 0x00081090u, "LO", "%s", v->model);
    synth_str(t, 0x00100010u, "PN", "Anonymous^%s", x->patient_id);
    synth_str(t, 0x00100020u, "LO", "%s", x->patient_id);
    put_date(t, 0x00100030u, x->birth);
    synth_str(t, 0x00100040u, "CS", "F");
    synth_str(t, 0x00101010u, "AS", "%03ldY", age);
    synth_str(t, 0x00180015u, "CS", "BREAST");
    synth_uid(x->seed, "study", x->woman, x->number, 0, uid);
    synth_str(t, 0x0020000Du, "UI", "%s", uid);
    synth_uid(x->seed, "series", x->woman, x->number, s->number, uid);
    synth_str(t, 0x0020000Eu, "UI", "%s", uid);
    synth_str(t, 0x00200010u, "SH", "%d", x->number + 1);
    synth_str(t, 0x00200011u, "IS", "%d", s->number + 1);
    synth_str(t, 0x00200013u, "IS", "1");
}

static void put_display(synth_shot *s, const vendor *v)
{
    synth_set *t = s->set;
    if (v->rescale) {
        synth_str(t, 0x00281052u, "DS", "0");
        synth_str(t, 0x00281053u, "DS", "1");
        synth_str(t, 0x00281054u, "LO", "US");
    }
    if (v->how == SHOW_LUT) {
        uint16_t entries[LUT_ENTRIES], descriptor[3] = {LUT_ENTRIES, LUT_FIRST, 12};
        for (int i = 0; i < LUT_ENTRIES; i++)
            entries[i] = (uint16_t)(4095 * pow((double)i / (LUT_ENTRIES - 1), LUT_POWER) + 0.5);
        static const char *const names[] = {"NORMAL", "HARDER"};
        for (int i = 0; i < 2; i++) {
            synth_set *lut = synth_set_new(s->a);
            synth_words(lut, 0x00283002u, "US", descriptor, 3);
            synth_str(lut, 0x00283003u, "LO", "%s", names[i]);
            for (int k = 0; i == 1 && k < LUT_ENTRIES; k++)
                entries[k] = (uint16_t)(entries[k] / 2);
            synth_words(lut, 0x00283006u, "OW", entries, LUT_ENTRIES);
            synth_item(t, 0x00283010u, lut);
        }
        return;
    }
    if (v->several) {
        synth_str(t, 0x00281050u, "DS", "%g\\%g\\%g", v->center, v->center, v->center - 100);
        synth_str(t, 0x00281051u, "DS", "%g\\%g\\%g", v->width, v->width * 0.7, v->width * 1.3);
        synth_str(t, 0x00281055u, "LO", "NORMAL\\HARDER\\SOFTER");
    } else {
        synth_str(t, 0x00281050u, "DS", "%g", v->center);
        synth_str(t, 0x00281051u, "DS", "%g", v->width);
    }
    if (v->how == SHOW_SIGMOID)
        synth_str(t, 0x00281056u, "CS", "SIGMOID");
    else if (v->how == SHOW_EXACT)
        synth_str(t, 0x00281056u, "CS", "LINEAR_EXACT");
}

static void put_pixels(synth_shot *s, const vendor *v)
{
    synth_set *t = s->set;
    synth_us(t, 0x00280002u, 1);
    synth_str(t, 0x00280004u, "CS", "%s", v->inverse ? "MONOCHROME1" : "MONOCHROME2");
    synth_us(t, 0x00280010u, (unsigned)s->rows);
    synth_us(t, 0x00280011u, (unsigned)s->cols);
    synth_us(t, 0x00280100u, 16);
    synth_us(t, 0x00280101u, (unsigned)s->bits);
    synth_us(t, 0x00280102u, (unsigned)s->bits - 1);
    synth_us(t, 0x00280103u, 0);
    if (v->padding) {
        synth_us(t, 0x00280120u, 0);
        synth_us(t, 0x00280121u, 40);
    }
    synth_str(t, 0x00280301u, "CS", "NO");
    synth_str(t, 0x00282110u, "CS", "00");
    synth_str(t, 0x20500020u, "CS", "%s", v->inverse ? "INVERSE" : "IDENTITY");
    synth_str(t, 0x00181164u, "DS", "%g\\%g", v->mm, v->mm);
    synth_str(t, 0x00180060u, "DS", "%d", 27 + s->exam->woman % 5);
    synth_str(t, 0x00181152u, "IS", "%d", 60 + s->exam->woman % 50);
    synth_str(t, 0x001811A0u, "DS", "%d", 40 + s->exam->woman % 30);
    synth_str(t, 0x00187064u, "CS", "NORMAL");
    synth_str(t, 0x00281300u, "CS", "NO");
}

/* ---- the exposure ---------------------------------------------------------------------------- */

void synth_shot_init(synth_shot *s, const synth_exam *x, int number, char side, bool oblique,
                     arena *a)
{
    const vendor *v = &vendors[x->vendor];
    memset(s, 0, sizeof(*s));
    s->exam = x;
    s->a = a;
    s->number = number;
    s->side = side;
    s->oblique = oblique;
    s->ts_said = s->ts_real = v->ts;
    s->bits = v->bits;
    text_init(&s->stream);
    synth_scene *c = &s->scene;
    c->seed = x->seed;
    c->id = ((uint64_t)x->woman << 16 | (uint64_t)x->number << 8 | (uint64_t)number) + 1;
    synth_phantom_breast(x->seed, (uint64_t)x->woman, &c->breast);
    c->oblique = oblique;
    c->a_share = x->days_to_cancer >= 0 && x->days_to_cancer <= TWO_YEARS ? SHARE_CASE
                 : x->days_to_cancer != SYNTH_NEVER                       ? SHARE_LATER
                                                                          : SHARE_CONTROL;
    c->mm = v->mm;
    c->rows = (int)(FIELD_HEIGHT_MM / v->mm);
    c->cols = (int)(FIELD_WIDTH_MM / v->mm);
    c->chest_right = side == 'R' && (x->woman + x->number) % 5 != 0; /* some were mirrored before */
    c->air = v->air;
    c->air_noise = v->air_noise;
    c->label = v->label;
    snprintf(c->marker, sizeof(c->marker), "%c%s", side, oblique ? "MLO" : "CC");
}

void synth_shot_draw(synth_shot *s)
{
    const vendor *v = &vendors[s->exam->vendor];
    s->rows = s->scene.rows;
    s->cols = s->scene.cols;
    size_t n = (size_t)s->rows * (size_t)s->cols;
    float *q = arena_alloc(s->a, n * sizeof(*q));
    s->px = arena_alloc(s->a, n * sizeof(*s->px));
    synth_phantom_draw(&s->scene, s->a, q);
    store(s, v, q);
    s->set = synth_set_new(s->a);
    put_identity(s, v);
    put_view(s, v);
    put_display(s, v);
    put_pixels(s, v);
}

void synth_shot_renumber(synth_shot *s, int number)
{
    char uid[65];
    s->number = number;
    synth_uid(s->exam->seed, "sop", s->exam->woman, s->exam->number, number, uid);
    synth_str(s->set, 0x00080018u, "UI", "%s", uid);
}

void synth_shot_pixels(synth_shot *s)
{
    text_clear(&s->stream);
    s->body = (synth_pixels){.bits = 16, .fragments = 1};
    if (!strcmp(s->ts_real, SYNTH_RLE)) {
        synth_rle(s->px, s->rows, s->cols, &s->stream);
    } else if (!strcmp(s->ts_real, SYNTH_JLL_SV1)) {
        synth_jll(s->px, s->rows, s->cols, s->bits, &s->stream);
        s->body.fragments = 1 + s->exam->woman % 2;
    } else if (!strcmp(s->ts_real, SYNTH_JPEG_LS)) {
        synth_jls(s->px, s->rows, s->cols, s->bits, &s->stream);
    } else if (!strcmp(s->ts_real, SYNTH_J2K)) {
        synth_j2k(s->px, s->rows, s->cols, s->bits, &s->stream);
    } else {
        s->body.bytes = s->px;
        s->body.len = (size_t)s->rows * (size_t)s->cols * sizeof(*s->px);
        return;
    }
    s->body.items = true;
    s->body.bytes = s->stream.s;
    s->body.len = s->stream.len;
}

void synth_shot_encode(synth_shot *s, text *file)
{
    synth_encode(s->set, s->body.bytes ? &s->body : NULL, s->ts_said, s->ts_real, file);
}

void synth_shot_release(synth_shot *s)
{
    text_release(&s->stream);
}
