/* What the ten tests of traps.c share: a mammogram written byte by byte, the program called as a
 * user calls it, its 16-bit pictures and its catalogue read back. Pseudonyms and curves are worked
 * out here from their published formulas; no code of the program is used. */
#ifndef TESTS_TRAPS_KIT_H
#define TESTS_TRAPS_KIT_H

#include "tests/unit/dicom_bytes.h"

#include <math.h>
#include <openssl/hmac.h>
#include <png.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { SIDE = 128, TALL = 160, PATH_SIZE = 512, SAID = 1 << 20 };
#define FULL 65535.0

static struct {
    const char *name; /* of the test that runs */
    char why[600];    /* its first complaint; empty: none */
    int complaints, failed;
    const char *program, *work;
} test;
static char said[SAID]; /* stdout and stderr of the last call of the program */

__attribute__((format(printf, 1, 2))) static inline void complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!test.complaints++)
        vsnprintf(test.why, sizeof(test.why), format, args);
    va_end(args);
}
#define WANT(ok, ...) ((ok) ? (void)0 : complain(__VA_ARGS__))

/* ---- the program
 * --------------------------------------------------------------------------------- */

/* Runs a shell line in which @ is the program and % the folder of this test; exit status. */
static inline int call(const char *line)
{
    char full[8192];
    size_t n = (size_t)snprintf(full, sizeof(full), "{ ");
    for (const char *p = line; *p && n + PATH_SIZE < sizeof(full); p++) {
        if (*p == '@')
            n += (size_t)snprintf(full + n, sizeof(full) - n, "%s", test.program);
        else if (*p == '%')
            n += (size_t)snprintf(full + n, sizeof(full) - n, "%s/%s", test.work, test.name);
        else
            full[n++] = *p;
    }
    snprintf(full + n, sizeof(full) - n, "\n} 2>&1 </dev/null");
    FILE *f = popen(full, "r");
    size_t got = f ? fread(said, 1, sizeof(said) - 1, f) : 0;
    said[got] = 0;
    int status = f ? pclose(f) : -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
static inline void must(const char *line)
{
    int status = call(line);
    WANT(status == 0, "exit status %d of %s: %.300s", status, line, said);
}
static inline const char *place(const char *name)
{
    static char path[4][2 * PATH_SIZE];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s/%s", test.work, test.name, name);
    return path[turn];
}
static inline void save(const char *name, const void *p, size_t n)
{
    FILE *f = fopen(place(name), "wb");
    if (!f || fwrite(p, 1, n, f) != n || fclose(f) != 0) {
        perror(name);
        exit(2);
    }
}
static inline bytes load(const char *path)
{
    bytes b = {0};
    uint8_t part[4096];
    size_t n;
    FILE *f = fopen(path, "rb");
    while (f && (n = fread(part, 1, sizeof(part), f)) > 0)
        put(&b, part, n);
    if (f)
        fclose(f);
    return b;
}

/* Every file of % /archive through scan and prepare; values in % /out, facts in % /catalog.csv. A
 * canvas of the image's own size and no crop: a pixel of the canvas is a pixel of the image. */
static char settings[1024];
static inline void prepare(const char *more)
{
    char line[4096];
    snprintf(settings, sizeof(settings), "%s", more);
    must("rm -rf %/out; @ scan %/archive -o %/store -q");
    snprintf(line, sizeof(line), "@ prepare %%/store %s -q", settings);
    must(line);
    snprintf(line, sizeof(line), "@ export %%/store -o %%/out --format png %s -q", settings);
    must(line);
    snprintf(line, sizeof(line), "@ show %%/store --export %%/catalog.csv --force %s -q", settings);
    must(line);
}
#define PLAIN                                                                                      \
    "--set prepare.crop=false --set prepare.erase_outside=false --set exclude.seg_failed=flag "    \
    "--set exclude.blank=off "
#define AS_IS PLAIN "--set 'prepare.sizes=[160x128]' "

/* One test: an empty folder with an archive, the test, its verdict. */
static inline void run_trap(const char *name, void (*trap)(void))
{
    test.name = name;
    test.complaints = 0;
    mkdir(place(""), 0700);
    mkdir(place("archive"), 0700);
    trap();
    if (test.complaints) {
        printf("not ok %s: %s (%d complaints)\n", name, test.why, test.complaints);
        test.failed++;
    } else {
        printf("ok %s\n", name);
    }
    fflush(stdout);
}

/* ---- pseudonyms, pictures, catalogue
 * --------------------------------------------------------------- */

/* First 128 bits of HMAC-SHA-256(key, "DOMAIN|VALUE") in hex; the key is a file of 32 bytes. */
static inline const char *pseudonym(const char *key_file, const char *domain, const char *value)
{
    static char hex[33];
    char text[300];
    uint8_t mac[32];
    bytes key = load(key_file);
    int n = snprintf(text, sizeof(text), "%s|%s", domain, value);
    WANT(key.n == 32, "the key has %zu bytes", key.n);
    HMAC(EVP_sha256(), key.p, (int)key.n, (uint8_t *)text, (size_t)n, mac, NULL);
    for (int i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", mac[i]);
    free(key.p);
    return hex;
}

typedef struct grey {
    int h, w;
    uint16_t *v; /* owned; NULL: there is none */
} grey;
static inline uint16_t grey_at(const grey *g, int y, int x)
{
    return g->v[y * g->w + x];
}
static inline grey grey_read(const char *path)
{
    grey g = {0};
    FILE *f = fopen(path, "rb");
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (f && info && !setjmp(png_jmpbuf(png))) {
        png_init_io(png, f);
        png_read_info(png, info);
        WANT(png_get_bit_depth(png, info) == 16, "%s has no 16 bits", path);
        png_set_swap(png);
        g.h = (int)png_get_image_height(png, info);
        g.w = (int)png_get_image_width(png, info);
        g.v = calloc((size_t)g.h * (size_t)g.w, 4);
        for (int y = 0; y < g.h; y++)
            png_read_row(png, (png_bytep)(g.v + y * g.w), NULL);
    }
    png_destroy_read_struct(&png, &info, NULL);
    if (f)
        fclose(f);
    return g;
}
static inline const char *image_name(const char *uid)
{
    return pseudonym(place("store/key"), "image", uid);
}
/* The prepared image of an instance; v is NULL where it was left out. */
static inline grey prepared(const char *uid)
{
    char path[3 * PATH_SIZE];
    snprintf(path, sizeof(path), "%s/%s.png", place("out"), image_name(uid));
    return grey_read(path);
}
/* A column of the catalogue's row of an instance; empty where there is none. */
static inline const char *fact(const char *uid, const char *column)
{
    static char line[8192], head_line[8192], value[256];
    char name[33];
    snprintf(name, sizeof(name), "%s", image_name(uid));
    FILE *f = fopen(place("catalog.csv"), "r");
    value[0] = 0;
    if (!f || !fgets(head_line, sizeof(head_line), f)) {
        complain("no catalogue");
        return value;
    }
    while (fgets(line, sizeof(line), f)) {
        if (!strstr(line, name))
            continue;
        char *h = head_line, *v = line, *cell, *title;
        while ((title = strsep(&h, ",\n")) && (cell = strsep(&v, ",\n")))
            if (strcmp(title, column) == 0)
                snprintf(value, sizeof(value), "%s", cell);
        break;
    }
    fclose(f);
    return value;
}
static inline int noticed(const char *uid, const char *code)
{
    return strstr(fact(uid, "reasons"), code) != NULL;
}

/* ---- a mammogram
 * ----------------------------------------------------------------------------------- */

/* What is NULL is left out; what is 0 gets the default in brackets. */
typedef struct mg {
    const char *uid;                                /* also the name of the file */
    const char *patient, *study, *accession, *name; /* [W-0001], [1.2.3.4] */
    const char *side, *view, *row_code, *col_code;  /* [L], [CC] */
    const char *flip, *rotation, *day;              /* day [20200131] */
    const char *photometric, *pls;                  /* [MONOCHROME2] */
    const char *center, *width, *function;
    const char *slope, *intercept, *ts, *spacing;
    int rows, cols, stored, is_signed, pad; /* [160], [128], [12]; pad 0: none */
    const uint16_t *px;                     /* borrowed */
    bytes in8, in28, in88, stream;          /* further elements; a code stream instead of px */
    int raw_fragment;                       /* px as a fragment */
} mg;

static inline void opt(bytes *b, unsigned g, unsigned e, const char *vr, const char *value)
{
    if (value)
        str(b, g, e, vr, value);
}
static inline bytes mammogram(const mg *m)
{
    bytes b = {0}, code = {0};
    int rows = m->rows ? m->rows : TALL, cols = m->cols ? m->cols : SIDE;
    char orientation[40];
    preamble(&b, m->ts ? m->ts : TS_EXPLICIT);
    str(&b, 0x0008, 0x0008, "CS", "ORIGINAL\\PRIMARY\\");
    str(&b, 0x0008, 0x0016, "UI", UID_MG);
    str(&b, 0x0008, 0x0018, "UI", m->uid);
    str(&b, 0x0008, 0x0020, "DA", m->day ? m->day : "20200131");
    opt(&b, 0x0008, 0x0050, "SH", m->accession);
    str(&b, 0x0008, 0x0060, "CS", "MG");
    str(&b, 0x0008, 0x0068, "CS", "FOR PRESENTATION");
    put(&b, m->in8.p, m->in8.n);
    opt(&b, 0x0010, 0x0010, "PN", m->name);
    str(&b, 0x0010, 0x0020, "LO", m->patient ? m->patient : "W-0001");
    str(&b, 0x0010, 0x0040, "CS", "F");
    str(&b, 0x0010, 0x1010, "AS", "055Y");
    opt(&b, 0x0018, 0x1164, "DS", m->spacing);
    str(&b, 0x0018, 0x5101, "CS", m->view ? m->view : "CC");
    opt(&b, 0x0018, 0x7032, "DS", m->rotation);
    opt(&b, 0x0018, 0x7034, "CS", m->flip);
    str(&b, 0x0020, 0x000D, "UI", m->study ? m->study : "1.2.3.4");
    if (m->row_code) {
        snprintf(orientation, sizeof(orientation), "%s\\%s", m->row_code, m->col_code);
        str(&b, 0x0020, 0x0020, "CS", orientation);
    }
    str(&b, 0x0020, 0x0062, "CS", m->side ? m->side : "L");
    image_module(&b, IMAGE(.rows = rows, .cols = cols, .stored = m->stored,
                           .is_signed = m->is_signed, .photometric = m->photometric));
    if (m->pad)
        us(&b, 0x0028, 0x0120, (unsigned)m->pad);
    opt(&b, 0x0028, 0x1050, "DS", m->center);
    opt(&b, 0x0028, 0x1051, "DS", m->width);
    opt(&b, 0x0028, 0x1052, "DS", m->intercept);
    opt(&b, 0x0028, 0x1053, "DS", m->slope);
    opt(&b, 0x0028, 0x1056, "CS", m->function);
    put(&b, m->in28.p, m->in28.n);
    put(&b, m->in88.p, m->in88.n);
    opt(&b, 0x2050, 0x0020, "CS", m->pls);
    for (int i = 0; m->px && i < rows * cols; i++)
        put16(&code, m->px[i]);
    if (m->stream.p || m->raw_fragment) {
        items_begin(&b);
        item(&b, m->stream.p ? m->stream.p : code.p, m->stream.p ? m->stream.n : code.n);
        sequence_end(&b);
    } else {
        head(&b, 0x7FE0, 0x0010, "OW", (uint32_t)code.n);
        put(&b, code.p, code.n);
    }
    free(code.p);
    return b;
}
static inline void save_mg(mg m)
{
    char name[PATH_SIZE];
    bytes b = mammogram(&m);
    snprintf(name, sizeof(name), "archive/%s", m.uid);
    save(name, b.p, b.n);
    free(b.p);
}

/* Noise that is the same everywhere, 0 to n - 1. */
static inline int dice(int i, int n)
{
    return (int)(((unsigned)i * 2654435761u >> 9) % (unsigned)n);
}
/* Half an ellipse of tissue at the left edge, off the middle and textured, so that every mirror
 * image differs; air at a level with noise of some amplitude. Values of 12 bits. */
static inline int inside(int y, int x, int rows, int cols)
{
    double a = (y - 0.47 * rows) / (0.38 * rows), b = x / (0.62 * cols);
    return a * a + b * b < 1;
}
static inline uint16_t *phantom(int rows, int cols, int air, int noise)
{
    uint16_t *px = malloc((size_t)(rows * cols) * 2);
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < cols; x++) {
            int i = y * cols + x;
            px[i] = (uint16_t)(air + (noise ? dice(i, noise) : 0));
            if (inside(y, x, rows, cols)) /* brighter towards the chest wall and the lower side */
                px[i] = (uint16_t)(1300 + 1200 * (cols - x) / cols + 300 * y / rows + dice(i, 60));
        }
    return px;
}
static inline uint16_t *flipped(const uint16_t *px, int rows, int cols, int horizontal)
{
    uint16_t *to = malloc((size_t)(rows * cols) * 2);
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < cols; x++)
            to[y * cols + x] =
                horizontal ? px[y * cols + cols - 1 - x] : px[(rows - 1 - y) * cols + x];
    return to;
}

/* ---- curves, as the standard writes them
 * ------------------------------------------------------------- */

typedef struct curve {
    enum { RAW, LINEAR, LINEAR_EXACT, SIGMOID, TABLE } kind;
    double c, w, slope, intercept;
    int bits, invert, first, n, table_bits; /* bits of a stored value: RAW */
    const uint16_t *table;
} curve;
static inline double curve_at(const curve *k, double v)
{
    double x = k->slope != 0 ? k->slope * v + k->intercept : v, y = 0, c = k->c, w = k->w;
    if (k->kind == RAW)
        y = FULL * x / ((1 << k->bits) - 1);
    else if (k->kind == LINEAR)
        y = x <= c - 0.5 - (w - 1) / 2  ? 0
            : x > c - 0.5 + (w - 1) / 2 ? FULL
                                        : ((x - (c - 0.5)) / (w - 1) + 0.5) * FULL;
    else if (k->kind == LINEAR_EXACT)
        y = x <= c - w / 2 ? 0 : x > c + w / 2 ? FULL : ((x - c) / w + 0.5) * FULL;
    else if (k->kind == SIGMOID)
        y = FULL / (1 + exp(-4 * (x - c) / w));
    else {
        double at = x - k->first < 0 ? 0 : x - k->first > k->n - 1 ? k->n - 1 : x - k->first;
        y = FULL * k->table[(int)at] / ((1 << k->table_bits) - 1);
    }
    return floor((k->invert ? FULL - y : y) + 0.5);
}
/* Every pixel of the prepared image is the curve of the stored one. */
static inline void want_curve(const char *uid, const uint16_t *px, const curve *k)
{
    grey g = prepared(uid);
    int wrong = 0, n = g.h * g.w, i0 = 0;
    WANT(g.v, "%s gave no image: %s", uid, fact(uid, "primary"));
    for (int i = n - 1; g.v && i >= 0; i--)
        if (g.v[i] != curve_at(k, px[i])) {
            wrong++;
            i0 = i;
        }
    WANT(!wrong, "%s: %d of %d pixels differ, stored %d became %d, not %.0f", uid, wrong, n, px[i0],
         g.v[i0], curve_at(k, px[i0]));
    free(g.v);
}
#endif
