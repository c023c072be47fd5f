/* Helper of test_conformance.sh: source images as DICOM files that no reader or encoder of the
 * program made, and the comparison of what the program decodes with what went in.
 *   conformance_probe sources DIR           DIR/KEY.dcm and the samples alone, sign-extended in
 *                                           DIR/KEY.rawl and cut to BitsStored in KEY.bits.rawl,
 *                                           as an image without a sign in KEY.bits.dcm
 *   conformance_probe wrap TS LOSSY KEY STREAM OUT.dcm    a code stream as encapsulated pixel data
 *   conformance_probe check < LIST          one verdict per line of the list
 * A key describes an image: ALLOCATED_STORED_SIGN_PHOTOMETRIC_LUT_COLSxROWS, 16_12_u_m2_none_67x45.
 * A line of the list: ROW, KEY, FILE, RAW, CHECKS with tabs between them; verdict: ok or no, ROW,
 * KEY, why. CHECKS has commas between: exact and near:N (against RAW), psnr:N (decibels, against
 * RAW), dcm:FILE and raw:FILE (equal to what another decoder wrote; dcm2, raw2: within 2), lut (the
 * header's tables came through), lossy (the header says so). */
#include "tests/unit/dicom_bytes.h"

#include <errno.h>
#include <math.h>

#include "core/fs.h"
#include "core/mem.h"
#include "core/text.h"
#include "dicom/pixels.h"

enum { LUT_ENTRIES = 300, LUT_BITS = 12, FRAGMENT = 8192, LINE_SIZE = 4096 };

typedef enum lut_case { LUT_NONE, LUT_RESCALE, LUT_MODALITY, LUT_VOI, LUT_CASES } lut_case;
static const char *const lut_names[] = {"none", "rescale", "modality", "voi"};

typedef struct picture {
    int allocated, stored, is_signed, inverse, cols, rows; /* inverse: MONOCHROME1 */
    lut_case lut;
} picture;

static void die(const char *what, const char *which)
{
    fprintf(stderr, "conformance_probe: %s: %s\n", what, which);
    exit(2);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void key_of(const picture *p, char *out, size_t cap)
{
    snprintf(out, cap, "%d_%d_%c_m%d_%s_%dx%d", p->allocated, p->stored, p->is_signed ? 's' : 'u',
             p->inverse ? 1 : 2, lut_names[p->lut], p->cols, p->rows);
}

static picture key_read(const char *key)
{
    picture p = {0};
    char sign, lut[16];
    int m;
    if (sscanf(key, "%d_%d_%c_m%d_%15[a-z]_%dx%d", &p.allocated, &p.stored, &sign, &m, lut, &p.cols,
               &p.rows) != 7)
        die("this is no key", key);
    p.is_signed = sign == 's';
    p.inverse = m == 1;
    while (p.lut < LUT_CASES && strcmp(lut_names[p.lut], lut) != 0)
        p.lut++;
    if (p.lut == LUT_CASES)
        die("this is no key", key);
    return p;
}

static size_t n_samples(const picture *p)
{
    return (size_t)p->rows * (size_t)p->cols;
}

/* ---- sources --------------------------------------------------------------------------------- */

/* A slope with noise, and a corner with blocks of the two extremes and of both in turn: the largest
 * differences that a predictor or a transform can meet. */
static int32_t value_at(const picture *p, int x, int y)
{
    int32_t lo = p->is_signed ? -(1 << (p->stored - 1)) : 0, span = (1 << p->stored) - 1;
    if (y < 8 && x < 24)
        return x < 8 ? lo : x < 16 ? lo + span : (x + y) % 2 ? lo + span : lo;
    uint32_t h = (uint32_t)(y * p->cols + x + 1) * 2654435761u;
    h = (h ^ h >> 15) * 2246822519u;
    h ^= h >> 13;
    int64_t noise = (int64_t)(h % (uint32_t)(span / 8 + 1)) - span / 16;
    int64_t v = (int64_t)span * (x + y) / (p->cols + p->rows - 2) + noise;
    return lo + (int32_t)(v < 0 ? 0 : v > span ? span : v);
}

static bool is_small(const picture *p)
{
    return p->cols < 100;
}

/* The word as it stands in a file. What is above BitsStored is the sign in small images and zero in
 * large ones: both occur. */
static unsigned word_of(const picture *p, int32_t v)
{
    unsigned keep = is_small(p) ? p->allocated : p->stored;
    return (unsigned)v & ((1u << keep) - 1);
}

/* A falling table: whoever applied it would show other values. */
static void put_lut(bytes *b, const picture *p, unsigned element, bool modality)
{
    bytes item = {0};
    const char *vr = p->is_signed && modality ? "SS" : "US";
    head(&item, 0x0028, 0x3002, vr, 6);
    put16(&item, LUT_ENTRIES);
    put16(&item, p->is_signed && modality ? 0xFFF6 : 10);
    put16(&item, LUT_BITS);
    if (modality)
        str(&item, 0x0028, 0x3004, "LO", "US");
    head(&item, 0x0028, 0x3006, "OW", 2 * LUT_ENTRIES);
    for (unsigned i = 0; i < LUT_ENTRIES; i++)
        put16(&item, (LUT_ENTRIES - 1 - i) * 13);
    seq1(b, 0x0028, element, &item, 0);
    free(item.p);
}

static void put_header(bytes *b, const picture *p, const char *ts, bool lossy)
{
    image m =
        IMAGE(.rows = p->rows, .cols = p->cols, .allocated = p->allocated, .stored = p->stored,
              .is_signed = p->is_signed, .photometric = p->inverse ? "MONOCHROME1" : "MONOCHROME2");
    preamble(b, ts);
    identity(b);
    image_module(b, m);
    if (p->lut == LUT_RESCALE) {
        str(b, 0x0028, 0x1050, "DS", "300");
        str(b, 0x0028, 0x1051, "DS", "200");
        str(b, 0x0028, 0x1052, "DS", "-100");
        str(b, 0x0028, 0x1053, "DS", "2.5");
        str(b, 0x0028, 0x1054, "LO", "US");
    }
    if (lossy)
        str(b, 0x0028, 0x2110, "CS", "01");
    if (p->lut == LUT_MODALITY)
        put_lut(b, p, 0x3000, true);
    if (p->lut == LUT_VOI)
        put_lut(b, p, 0x3010, false);
}

static void save(const char *path, const bytes *b)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(b->p, 1, b->n, f) != b->n || fclose(f) != 0)
        die(strerror(errno), path);
}

static void put_word(bytes *b, const picture *p, unsigned v)
{
    if (p->allocated == 16)
        put16(b, v);
    else
        put8(b, v);
}

/* DIR/KEY and an ending. */
static void save_as(const char *dir, const picture *p, const char *ending, const bytes *b)
{
    char key[64], path[LINE_SIZE];
    key_of(p, key, sizeof key);
    snprintf(path, sizeof path, "%s/%s%s", dir, key, ending);
    save(path, b);
}

static bytes plain_file(const picture *p, const bytes *samples_of)
{
    bytes file = {0};
    put_header(&file, p, TS_EXPLICIT, false);
    head(&file, 0x7FE0, 0x0010, p->allocated == 16 ? "OW" : "OB",
         (uint32_t)(samples_of->n + samples_of->n % 2));
    put(&file, samples_of->p, samples_of->n);
    if (samples_of->n % 2)
        put8(&file, 0);
    return file;
}

static void make_source(const char *dir, const picture *p)
{
    char key[64];
    bytes stored = {0}, raw = {0}, cut = {0};
    for (int y = 0; y < p->rows; y++)
        for (int x = 0; x < p->cols; x++) {
            int32_t v = value_at(p, x, y);
            put_word(&stored, p, word_of(p, v));
            put_word(&raw, p, (unsigned)v);
            put_word(&cut, p, (unsigned)v & ((1u << p->stored) - 1));
        }
    picture without_sign = *p;
    without_sign.is_signed = 0;
    bytes file = plain_file(p, &stored), bits = plain_file(&without_sign, &cut);
    save_as(dir, p, ".dcm", &file);
    save_as(dir, p, ".rawl", &raw);
    save_as(dir, p, ".bits.dcm", &bits);
    save_as(dir, p, ".bits.rawl", &cut);
    key_of(p, key, sizeof key);
    puts(key);
    free(stored.p);
    free(raw.p);
    free(cut.p);
    free(file.p);
    free(bits.p);
}

static void make_sources(const char *dir)
{
    static const int depths[][2] = {{8, 8}, {16, 10}, {16, 12}, {16, 14}, {16, 16}};
    for (size_t d = 0; d < COUNT_OF(depths); d++)
        for (int sign = 0; sign < 2; sign++) {
            picture p = {.allocated = depths[d][0], .stored = depths[d][1], .is_signed = sign};
            for (int inverse = 0; inverse < 2; inverse++)
                for (int lut = 0; lut < LUT_CASES; lut++) {
                    p.inverse = inverse;
                    p.lut = (lut_case)lut;
                    p.cols = 67; /* odd times odd: a byte of padding where samples are bytes */
                    p.rows = 45;
                    make_source(dir, &p);
                }
            p.inverse = 0;
            p.lut = LUT_NONE;
            p.cols = 512;
            p.rows = 400;
            make_source(dir, &p);
        }
}

/* ---- wrap ------------------------------------------------------------------------------------ */

static bytes load(const char *path)
{
    err e = {0};
    char *p;
    size_t n;
    if (!fs_read(path, (size_t)1 << 28, &p, &n, &e))
        die(e.msg, path);
    return (bytes){.p = (uint8_t *)p, .n = n};
}

/* One fragment for a small image, several for a large one. */
static void wrap(char **word)
{
    picture p = key_read(word[2]);
    bytes stream = load(word[3]), file = {0};
    size_t most = is_small(&p) ? stream.n : FRAGMENT;
    put_header(&file, &p, word[0], strcmp(word[1], "1") == 0);
    head(&file, 0x7FE0, 0x0010, "OB", UINT32_MAX);
    item_head(&file, 0); /* no offset table */
    for (size_t at = 0; at < stream.n; at += most) {
        size_t n = stream.n - at < most ? stream.n - at : most;
        item_head(&file, (uint32_t)(n + n % 2));
        put(&file, stream.p + at, n);
        if (n % 2)
            put8(&file, 0);
    }
    sequence_end(&file);
    save(word[4], &file);
    mem_free(stream.p);
    free(file.p);
}

/* ---- check ----------------------------------------------------------------------------------- */

typedef struct subject {
    picture p;
    const char *raw;
    record r;
    pixels px;
    char why[256];
} subject;

static int32_t meaning(unsigned word, int bits, int high, bool is_signed)
{
    uint32_t up = (uint32_t)word << (31 - high);
    return is_signed ? (int32_t)up >> (32 - bits) : (int32_t)(up >> (32 - bits));
}

static int32_t decoded(const subject *s, size_t i)
{
    return meaning(s->px.stored[i], s->px.bits_stored, s->px.high_bit, s->px.is_signed);
}

/* Samples as another program wrote them: plain, in the allocated width, little-endian. */
static unsigned plain(const uint8_t *q, int allocated, size_t i)
{
    return allocated == 16 ? (unsigned)q[2 * i] | (unsigned)q[2 * i + 1] << 8 : q[i];
}

static bool against_source(subject *s, const char *how, double bound)
{
    bytes raw = load(s->raw);
    size_t n = n_samples(&s->p), worst = 0;
    int64_t largest = 0;
    double sum = 0;
    if (raw.n != n * (size_t)(s->p.allocated / 8))
        die("wrong size", s->raw);
    for (size_t i = 0; i < n; i++) {
        unsigned word = plain(raw.p, s->p.allocated, i);
        int32_t want = meaning(word, s->p.allocated, s->p.allocated - 1, s->p.is_signed);
        int64_t d = llabs((int64_t)decoded(s, i) - want);
        sum += (double)(d * d);
        if (d > largest) {
            largest = d;
            worst = i;
        }
    }
    mem_free(raw.p);
    double peak = (1 << s->p.stored) - 1, psnr = sum > 0 ? 10 * log10(peak * peak * n / sum) : 999;
    bool good = strcmp(how, "psnr") == 0 ? psnr >= bound : (double)largest <= bound;
    snprintf(s->why, sizeof s->why, "%s %g: largest difference %lld at sample %zu, %.1f dB", how,
             bound, (long long)largest, worst, psnr);
    return good;
}

/* The other decoder's file: uncompressed, with the pixel data as the last element, or only them. */
static bool against_decoder(subject *s, const char *path, bool is_dicom, int bound)
{
    bytes other = load(path);
    int allocated = s->r.bits_allocated;
    size_t n = n_samples(&s->p), size = n * (size_t)(allocated / 8), odd = is_dicom ? size % 2 : 0;
    bool good = other.n >= size + odd + (is_dicom ? 12 : 0);
    const uint8_t *q = good ? other.p + other.n - size - odd : NULL;
    if (good && is_dicom)
        good = memcmp(q - 12, "\xE0\x7F\x10\x00", 4) == 0 &&
               ((size_t)q[-4] | (size_t)q[-3] << 8 | (size_t)q[-2] << 16 | (size_t)q[-1] << 24) ==
                   size + odd;
    else if (good)
        good = other.n == size;
    if (!good)
        snprintf(s->why, sizeof s->why, "the other decoder's samples have another size");
    for (size_t i = 0; i < n && good; i++) {
        int32_t want =
            meaning(plain(q, allocated, i), s->px.bits_stored, s->px.high_bit, s->px.is_signed);
        good = abs(decoded(s, i) - want) <= bound;
        if (!good)
            snprintf(s->why, sizeof s->why, "sample %zu is %d, the other decoder has %d", i,
                     decoded(s, i), want);
    }
    mem_free(other.p);
    return good;
}

static bool lut_is(const pixels_lut *l, bool wanted, int first)
{
    if (!wanted)
        return l->n == 0;
    bool same = l->n == LUT_ENTRIES && l->first == first && l->bits == LUT_BITS;
    for (int i = 0; i < LUT_ENTRIES && same; i++)
        same = l->data[i] == (LUT_ENTRIES - 1 - i) * 13;
    return same;
}

static bool luts_came_through(subject *s)
{
    lut_case c = s->p.lut;
    bool rescale = c == LUT_RESCALE ? s->r.has_rescale && s->r.slope == 2.5 &&
                                          s->r.intercept == -100 && s->r.n_windows == 1
                                    : !s->r.has_rescale;
    snprintf(s->why, sizeof s->why, "tables of the header: rescale %d, modality LUT %d, VOI LUT %d",
             s->r.has_rescale, s->px.modality.n, s->px.voi[0].n);
    return rescale && lut_is(&s->px.modality, c == LUT_MODALITY, s->p.is_signed ? -10 : 10) &&
           lut_is(&s->px.voi[0], c == LUT_VOI, 10);
}

static bool header_is(subject *s, bool as_made, bool lossy)
{
    const record *r = &s->r;
    const char *photometric = s->p.inverse ? "MONOCHROME1" : "MONOCHROME2";
    reason_set allowed = {{0}};
    reason_add(&allowed, REASON_LOSSY);
    bool same = r->rows == s->p.rows && r->cols == s->p.cols &&
                strcmp(r->photometric, photometric) == 0 && s->px.rows == s->p.rows &&
                s->px.cols == s->p.cols;
    if (as_made)
        same = same && s->px.bits_stored == s->p.stored && s->px.high_bit == s->p.stored - 1 &&
               s->px.is_signed == s->p.is_signed;
    snprintf(s->why, sizeof s->why, "header: %dx%d %s, %d bits up to %d, signed %d", r->cols,
             r->rows, r->photometric, s->px.bits_stored, s->px.high_bit, s->px.is_signed);
    if (!same)
        return false;
    for (int i = 1; i < REASON_COUNT; i++)
        if (reason_has(&s->px.notes, (reason)i) && !reason_has(&allowed, (reason)i)) {
            snprintf(s->why, sizeof s->why, "unexpected note %s", reason_name((reason)i));
            return false;
        }
    snprintf(s->why, sizeof s->why, "LOSSY is %snoted", lossy ? "not " : "");
    return reason_has(&s->px.notes, REASON_LOSSY) == lossy;
}

static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += n)
        if ((at == list || at[-1] == ',') && (at[n] == '\0' || at[n] == ',' || at[n] == ':'))
            return true;
    return false;
}

static bool run_checks(subject *s, char *checks)
{
    bool lossy = has_word(checks, "lossy"), as_made = has_word(checks, "lut"), compared = false;
    if (!header_is(s, as_made, lossy))
        return false;
    char *rest = checks, *one;
    while ((one = strsep(&rest, ",")) != NULL) {
        char *arg = strchr(one, ':');
        bool good = true;
        if (arg)
            *arg++ = '\0';
        if (strcmp(one, "lut") == 0)
            good = luts_came_through(s);
        else if (strcmp(one, "exact") == 0)
            good = against_source(s, one, 0);
        else if (arg && (strcmp(one, "near") == 0 || strcmp(one, "psnr") == 0))
            good = against_source(s, one, atof(arg));
        else if (arg && (strncmp(one, "dcm", 3) == 0 || strncmp(one, "raw", 3) == 0))
            good = against_decoder(s, arg, one[0] == 'd', atoi(one + 3));
        else if (strcmp(one, "lossy") != 0)
            die("unknown check", one);
        compared = compared || (strcmp(one, "lut") != 0 && strcmp(one, "lossy") != 0);
        if (!good)
            return false;
    }
    if (!compared)
        die("no comparison was asked for", s->raw);
    return true;
}

/* field: ROW, KEY, FILE, RAW, CHECKS */
static bool check_file(char **field, arena *a, subject *s)
{
    memset(s, 0, sizeof *s);
    s->p = key_read(field[1]);
    s->raw = field[3];
    bytes file = load(field[2]);
    arena_reset(a);
    reason why = record_read(file.p, file.n, &s->r);
    const char *step = "record_read";
    if (why == REASON_NONE) {
        step = "pixels_decode";
        why = pixels_decode(file.p, file.n, &s->r, false, a, &s->px);
    }
    snprintf(s->why, sizeof s->why, "%s: %s", step, reason_name(why));
    bool good = why == REASON_NONE && run_checks(s, field[4]);
    mem_free(file.p); /* samples may lie in it */
    return good;
}

static void check_all(void)
{
    static subject s;
    char line[LINE_SIZE];
    arena *a = arena_new((size_t)1 << 20);
    while (fgets(line, sizeof line, stdin)) {
        char *field[5], *rest = line;
        line[strcspn(line, "\n")] = '\0';
        for (int i = 0; i < 5; i++) {
            field[i] = strsep(&rest, "\t");
            if (!field[i])
                die("a line of the list is short", line);
        }
        bool good = check_file(field, a, &s);
        printf("%s\t%s\t%s\t%s\n", good ? "ok" : "no", field[0], field[1], s.why);
    }
    arena_free(a);
}

int main(int argc, char **argv)
{
    pixels_init();
    if (argc == 3 && strcmp(argv[1], "sources") == 0)
        make_sources(argv[2]);
    else if (argc == 7 && strcmp(argv[1], "wrap") == 0)
        wrap(argv + 2);
    else if (argc == 2 && strcmp(argv[1], "check") == 0)
        check_all();
    else
        die("usage", "sources DIR | wrap TS LOSSY KEY STREAM OUT | check < LIST");
    return 0;
}
