/* Makes damaged PNG and TIFF pictures for test_damage.sh, with a row each in damage.csv and in
 * sidecar.csv. Has writers of its own and calls neither the program nor libpng nor libtiff, so that
 * a mistake there cannot hide here. PNG (ISO 15948); TIFF 6.0, BigTIFF.
 *
 * damage_picture OUT SEED: the columns and words of damage.csv are those of damage.c. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define W    96
#define H    112
#define ROWS 16 /* of a strip */
#define TILE 64 /* sides of a tile */

typedef struct bytes {
    uint8_t *p;
    size_t n;
} bytes;

typedef enum verdict { REFUSED, KEPT, SAME, ANY, BLIND } verdict;
static const char *const words[] = {[REFUSED] = "yes,refused",
                                    [KEPT] = "no,kept",
                                    [SAME] = "either,same",
                                    [ANY] = "either,any",
                                    [BLIND] = "no,any"};

static const char open_rule[] = "the standard leaves it open";
static const char *folder, *source;
static FILE *list, *side;
static int made;
static uint64_t state;

/* ---- small helpers --------------------------------------------------------------------------- */

static void die(const char *what)
{
    fprintf(stderr, "damage_picture: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t draw(uint64_t below) /* splitmix64 */
{
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (z ^ z >> 31) % below;
}

static void append(bytes *b, const void *p, size_t n)
{
    b->p = realloc(b->p, b->n + n + 1);
    if (!b->p)
        die("memory");
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}

static bytes copy_of(const void *p, size_t n)
{
    bytes b = {0};
    append(&b, p, n);
    return b;
}

static void store(uint8_t *p, uint64_t v, int n, bool big)
{
    for (int i = 0; i < n; i++)
        p[big ? n - 1 - i : i] = (uint8_t)(v >> 8 * i);
}

static uint64_t load(const uint8_t *p, int n, bool big)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v |= (uint64_t)p[big ? n - 1 - i : i] << 8 * i;
    return v;
}

static void number(bytes *b, uint64_t v, int n, bool big)
{
    uint8_t w[8];
    store(w, v, n, big);
    append(b, w, (size_t)n);
}

static void flip(bytes *b, size_t at)
{
    b->p[at] ^= (uint8_t)(1u << draw(8));
}

/* Writes b as one more file and frees it. */
static void emit(const char *class, verdict v, const char *rule, bytes b)
{
    char name[128], path[4096];
    const char *ending = strncmp(source, "png", 3) == 0 ? "png" : "tiff";
    snprintf(name, sizeof name, "%s.%s.%05d.%s", class, source, ++made, ending);
    if ((size_t)snprintf(path, sizeof path, "%s/files/%s", folder, name) >= sizeof path)
        die("the folder's name is too long");
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(b.p, 1, b.n, f) != b.n || fclose(f))
        die(path);
    fprintf(list, "%s,%s,%s,%s,%s\n", name, source, class, words[v],
            v == SAME || v == ANY ? open_rule : rule);
    fprintf(side, "%s,p%d,1.2.3.%d,MG,%s,%s\n", name, made, made, made % 2 ? "L" : "R",
            made % 3 ? "MLO" : "CC");
    free(b.p);
}

/* Half an ellipse of tissue with noise, on black. */
static unsigned level(int x, int y)
{
    int dy = y - H / 2, in = x * x * 3 + dy * dy * 2 < 70 * 70 * 2;
    unsigned noise = (((unsigned)x * 7919u + (unsigned)y * 104729u) * 2654435761u >> 22);
    return in ? 1200 + (unsigned)(20 * (W - x)) + noise : noise / 64;
}

static bytes squeeze(const uint8_t *p, size_t n)
{
    uLongf size = compressBound(n);
    bytes b = {malloc(size), 0};
    if (!b.p || compress2(b.p, &size, p, n, 6) != Z_OK)
        die("zlib");
    b.n = size;
    return b;
}

/* ---- PNG ------------------------------------------------------------------------------------- */

static void chunk(bytes *b, const char *type, const void *p, size_t n)
{
    number(b, n, 4, true);
    size_t at = b->n;
    append(b, type, 4);
    append(b, p, n);
    number(b, crc32(0, b->p + at, (uInt)(n + 4)), 4, true);
}

typedef struct png {
    int bits, pieces; /* of the stream of rows */
    uint8_t head[13];
    bytes rows, code;
} png;

static png png_new(int bits, int pieces)
{
    png k = {.bits = bits, .pieces = pieces, .head = {0, 0, 0, W, 0, 0, 0, H, (uint8_t)bits}};
    for (int y = 0; y < H; y++) {
        number(&k.rows, 0, 1, true); /* no filter */
        for (int x = 0; x < W; x++)
            number(&k.rows, bits == 8 ? level(x, y) >> 4 : level(x, y), bits / 8, true);
    }
    k.code = squeeze(k.rows.p, k.rows.n);
    return k;
}

/* order: a digit is a piece of the code, a letter one of the chunks below. */
static bytes png_file(const png *k, const bytes *code, const char *order)
{
    bytes b = copy_of("\x89PNG\r\n\x1a\n", 8);
    size_t step = code->n / (size_t)k->pieces;
    for (; *order; order++) {
        size_t i = (size_t)(*order - '0');
        static const uint8_t many[9] = {0, 0, 1, 0, 0, 0, 1, 0, 1};
        switch (*order) {
        case 'H':
            chunk(&b, "IHDR", k->head, 13);
            break;
        case 'E':
            chunk(&b, "IEND", "", 0);
            break;
        case 't':
            chunk(&b, "tEXt", "Comment\0damage", 14);
            break;
        case 'p':
            chunk(&b, "pHYs", many, 9);
            break;
        case 'T':
            chunk(&b, "tRNS", "\0\1", 2);
            break;
        case 'P':
            chunk(&b, "PLTE", "\0\1\2\3\4\5", 6);
            break;
        case 'u':
            chunk(&b, "quIt", many, 9);
            break;
        case 'U':
            chunk(&b, "QUIT", many, 9);
            break;
        case 'z': /* a profile that says it is one */
            chunk(&b, "iCCP", "x\0\0junk", 7);
            break;
        default:
            chunk(&b, "IDAT", code->p + i * step,
                  i + 1 == (size_t)k->pieces ? code->n - i * step : step);
        }
    }
    return b;
}

static void png_orders(const png *k)
{
    static const struct {
        const char *order;
        verdict v;
        const char *class, *rule;
    } t[] = {{"H0123E", KEPT, "whole", "not damaged"},
             {"Htp0123E", KEPT, "chunk_extra", "chunks that say nothing of samples"},
             {"H0123tE", KEPT, "chunk_extra", "chunks that say nothing of samples"},
             {"Huz0123E", KEPT, "chunk_extra", "chunks that say nothing of samples"},
             {"H0123", REFUSED, "chunk_drop", "the picture has no end"},
             {"0123E", REFUSED, "chunk_drop", "the picture has no head"},
             {"HE", REFUSED, "chunk_drop", "no samples"},
             {"H123E", REFUSED, "chunk_drop", "samples are missing"},
             {"H023E", REFUSED, "chunk_drop", "samples are missing"},
             {"H012E", REFUSED, "chunk_drop", "samples are missing"},
             {"H0E", REFUSED, "chunk_drop", "samples are missing"},
             {"H1023E", REFUSED, "chunk_swap", "the check sum of the stream"},
             {"H0213E", REFUSED, "chunk_swap", "the check sum of the stream"},
             {"H0132E", REFUSED, "chunk_swap", "the check sum of the stream"},
             {"H00123E", REFUSED, "chunk_twice", "the check sum of the stream"},
             {"H01123E", REFUSED, "chunk_twice", "the check sum of the stream"},
             {"H01230123E", SAME, "chunk_behind", ""},
             {"HH0123E", REFUSED, "chunk_twice", "two heads"},
             {"tH0123E", REFUSED, "chunk_place", "the head is not the first"},
             {"H01t23E", SAME, "chunk_place", ""},
             {"H0123HE", SAME, "chunk_place", ""},
             {"HP0123E", SAME, "chunk_place", ""},
             {"H0123E0123E", SAME, "chunk_place", ""},
             {"HT0123E", REFUSED, "chunk_transparent", "no grey picture"},
             {"HU0123E", REFUSED, "chunk_unknown", "a critical chunk that nobody knows"}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        emit(t[i].class, t[i].v, t[i].rule, png_file(k, &k->code, t[i].order));
}

/* Heads that contradict the stream; every check sum is right. */
static void png_heads(const png *k)
{
    static const struct {
        int at, n;
        uint32_t v;
    } t[] = {
        {0, 4, 0},        {0, 4, 1},     {0, 4, W - 1},      {0, 4, W + 1},      {0, 4, W / 2},
        {0, 4, 2 * W},    {0, 4, 65535}, {0, 4, 0x7FFFFFFF}, {0, 4, UINT32_MAX}, {4, 4, 0},
        {4, 4, 1},        {4, 4, H - 1}, {4, 4, H + 1},      {4, 4, 65535},      {4, 4, 0x7FFFFFFF},
        {4, 4, 1u << 31}, {8, 1, 0},     {8, 1, 1},          {8, 1, 2},          {8, 1, 4},
        {8, 1, 8},        {8, 1, 16},    {8, 1, 12},         {8, 1, 255},        {9, 1, 1},
        {9, 1, 2},        {9, 1, 3},     {9, 1, 4},          {9, 1, 6},          {9, 1, 255},
        {10, 1, 1},       {10, 1, 255},  {11, 1, 1},         {11, 1, 255},       {12, 1, 1},
        {12, 1, 2},       {12, 1, 255}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        png lie = *k;
        store(lie.head + t[i].at, t[i].v, t[i].n, true);
        if (memcmp(lie.head, k->head, 13))
            emit("head_lie", REFUSED, "the head contradicts the samples",
                 png_file(&lie, &k->code, "H0123E"));
    }
    static const uint32_t size[][2] = {{65535, 65535}, {1, 65535}, {65535, 1}, {30000, 20000}};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        png lie = *k;
        store(lie.head, size[i][0], 4, true);
        store(lie.head + 4, size[i][1], 4, true);
        emit("bomb_head", REFUSED, "far more samples than the code can hold",
             png_file(&lie, &k->code, "H0123E"));
    }
}

/* Streams with wrong contents in chunks whose check sums are right. */
static void png_streams(const png *k)
{
    static const char sum[] = "the check sum of the stream";
    for (int i = 0; i < 60; i++) {
        bytes b = copy_of(k->code.p, k->code.n);
        if (i < 4) /* its last four bytes are the sum itself */
            flip(&b, b.n - 1 - (size_t)i);
        else
            flip(&b, draw(b.n));
        emit("flip_stream", REFUSED, sum, png_file(k, &b, "H0123E"));
        free(b.p);
    }
    for (int i = 0; i < 12; i++) {
        bytes b = copy_of(k->code.p, i < 6 ? k->code.n - 1 - (size_t)i : draw(k->code.n));
        emit("cut_stream", REFUSED, "samples are missing", png_file(k, &b, "H0123E"));
        free(b.p);
    }
    const size_t size[] = {k->rows.n - 1, k->rows.n - (size_t)W, k->rows.n + 1, k->rows.n * 2};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        bytes rows = {calloc(size[i], 1), size[i]};
        memcpy(rows.p, k->rows.p, size[i] < k->rows.n ? size[i] : k->rows.n);
        bytes b = squeeze(rows.p, rows.n);
        emit("rows_lie", REFUSED, "not as many rows as the head says", png_file(k, &b, "H0123E"));
        free(rows.p);
        free(b.p);
    }
    for (int i = 0; i < 6; i++) {
        bytes rows = copy_of(k->rows.p, k->rows.n);
        rows.p[draw(H) * (k->rows.n / H)] = (uint8_t)(5 + draw(250));
        bytes b = squeeze(rows.p, rows.n);
        emit("filter_lie", REFUSED, "no such filter", png_file(k, &b, "H0123E"));
        free(rows.p);
        free(b.p);
    }
    bytes zeros = {calloc(1, (size_t)256 << 20), (size_t)256 << 20}, b = squeeze(zeros.p, zeros.n);
    emit("bomb_stream", REFUSED, "far more bytes than samples", png_file(k, &b, "H0123E"));
    free(zeros.p);
    free(b.p);
}

static void cuts(const bytes *whole)
{
    static const char rule[] = "the file ends before its data";
    for (size_t i = 1; i <= 40; i++) {
        size_t n = i <= 8 ? whole->n - i : i <= 16 ? i - 8 : 17 + draw(whole->n - 18);
        emit("cut", REFUSED, rule, copy_of(whole->p, n));
    }
}

static void noise(const uint8_t *magic, size_t n)
{
    static const size_t size[] = {0, 1, 4, 8, 16, 100, 5000, 200000};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++)
        for (int form = 0; form < 3; form++) {
            bytes b = copy_of(magic, n);
            for (size_t k = 0; k < size[i]; k++)
                number(&b, form == 0 ? 0 : form == 1 ? 255 : draw(256), 1, true);
            emit("noise", REFUSED, "no picture", b);
        }
}

static void png_damage(const char *name, int bits)
{
    png k = png_new(bits, 4);
    source = name;
    png_orders(&k);
    png_heads(&k);
    png_streams(&k);
    bytes whole = png_file(&k, &k.code, "H0123E");
    cuts(&whole);
    for (int i = 0; i < 120; i++) { /* a sum stands behind every byte */
        bytes b = copy_of(whole.p, whole.n);
        flip(&b, 8 + draw(b.n - 8));
        emit("flip", REFUSED, "a check sum", b);
    }
    for (size_t at = 8; at < whole.n; at += 12 + load(whole.p + at, 4, true)) {
        static const uint32_t v[] = {0, 1, 0x7FFFFFFF, 1u << 31, UINT32_MAX};
        for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
            bytes b = copy_of(whole.p, whole.n);
            if (load(b.p + at, 4, true) == v[i]) {
                free(b.p);
                continue;
            }
            store(b.p + at, v[i], 4, true);
            emit("length", REFUSED, "no reading ends with the file", b);
        }
    }
    bytes b = copy_of(whole.p, whole.n);
    append(&b, "behind the end", 14);
    emit("trailing", SAME, "", b);
    noise(whole.p, 8);
    free(whole.p);
    free(k.rows.p);
    free(k.code.p);
}

/* ---- TIFF ------------------------------------------------------------------------------------ */

enum { NONE = 1, LZW = 5, DEFLATE = 8, PACKBITS = 32773 };

typedef struct tiff {
    const char *name;
    int code, bits;
    bool big_endian, big, tiled, difference, head_first;
} tiff;

typedef struct entry {
    unsigned tag, type;
    uint64_t count, value; /* or the place of the values */
} entry;

static int width_of(unsigned type)
{
    return type == 3 ? 2 : type == 4 ? 4 : 8;
}

static void put_code(bytes *b, unsigned code, uint32_t *left, int *have)
{
    *left = *left << 9 | code;
    for (*have += 9; *have >= 8; *have -= 8)
        number(b, *left >> (*have - 8) & 0xFF, 1, true);
}

/* Codes of 9 bits, none of them for more than one byte. */
static bytes lzw(const uint8_t *p, size_t n)
{
    bytes b = {0};
    uint32_t left = 0;
    int have = 0;
    for (size_t i = 0; i < n; i++) {
        if (i % 240 == 0)
            put_code(&b, 256, &left, &have); /* clear, before codes grow */
        put_code(&b, p[i], &left, &have);
    }
    put_code(&b, 257, &left, &have);
    if (have)
        number(&b, left << (8 - have) & 0xFF, 1, true);
    return b;
}

static bytes packbits(const uint8_t *p, size_t n, size_t row)
{
    bytes b = {0};
    for (size_t i = 0; i < n;) {
        size_t left = row - i % row, m = left < 100 ? left : 100;
        number(&b, m - 1, 1, true);
        append(&b, p + i, m);
        i += m;
    }
    return b;
}

/* Strip or tile k, coded. */
static bytes piece(const tiff *t, int k)
{
    int across = (W + TILE - 1) / TILE, w = t->tiled ? TILE : W, h = t->tiled ? TILE : ROWS;
    int x0 = t->tiled ? k % across * TILE : 0, y0 = t->tiled ? k / across * TILE : k * ROWS;
    bytes raw = {0}, b;
    for (int y = y0; y < y0 + h; y++)
        for (int x = x0, before = 0; x < x0 + w; x++) {
            bool in = x < W && y < H;
            int v = !in ? 0 : (int)(t->bits == 8 ? level(x, y) >> 4 : level(x, y));
            number(&raw, (uint64_t)(t->difference ? v - before : v), t->bits / 8, t->big_endian);
            before = v;
        }
    if (t->code == NONE)
        return raw;
    b = t->code == LZW       ? lzw(raw.p, raw.n)
        : t->code == DEFLATE ? squeeze(raw.p, raw.n)
                             : packbits(raw.p, raw.n, (size_t)w * (size_t)t->bits / 8);
    free(raw.p);
    return b;
}

/* The file, and where its directory and its samples lie. */
typedef struct layout {
    bytes file;
    size_t dir, samples, samples_end;
    int entries, pieces;
} layout;

static void add_directory(const tiff *t, bytes *b, const entry *e, int n)
{
    number(b, (uint64_t)n, t->big ? 8 : 2, t->big_endian);
    for (int i = 0; i < n; i++) {
        number(b, e[i].tag, 2, t->big_endian);
        number(b, e[i].type, 2, t->big_endian);
        number(b, e[i].count, t->big ? 8 : 4, t->big_endian);
        int w = e[i].count == 1 ? width_of(e[i].type) : t->big ? 8 : 4, all = t->big ? 8 : 4;
        number(b, e[i].value, w, t->big_endian);
        number(b, 0, all - w, t->big_endian);
    }
    number(b, 0, t->big ? 8 : 4, t->big_endian);
}

static layout tiff_file(const tiff *t)
{
    layout l = {.pieces = t->tiled ? ((W + TILE - 1) / TILE) * ((H + TILE - 1) / TILE) : H / ROWS};
    int n = 0, wide = t->big ? 8 : 4;
    size_t head = t->big ? 16 : 8, dir_size = (size_t)(t->big ? 8 + 13 * 20 + 8 : 2 + 13 * 12 + 4);
    bytes code = {0}, at = {0}, size = {0};
    uint64_t p = (uint64_t)l.pieces;
    size_t tables = 2 * (size_t)wide * p, first = head + (t->head_first ? dir_size + tables : 0);
    for (int k = 0; k < l.pieces; k++) {
        bytes one = piece(t, k);
        number(&at, first + code.n, wide, t->big_endian);
        number(&size, one.n, wide, t->big_endian);
        append(&code, one.p, one.n);
        free(one.p);
    }
    if (code.n & 1)
        append(&code, "", 1);
    size_t where = t->head_first ? head + dir_size : head + code.n;
    entry e[16];
    unsigned list_type = t->big ? 16 : 4, base = t->tiled ? 324 : 273;
    e[n++] = (entry){256, 3, 1, W};
    e[n++] = (entry){257, 3, 1, H};
    e[n++] = (entry){258, 3, 1, (uint64_t)t->bits};
    e[n++] = (entry){259, 3, 1, (uint64_t)t->code};
    e[n++] = (entry){262, 3, 1, 1};
    if (!t->tiled)
        e[n++] = (entry){273, list_type, p, where};
    e[n++] = (entry){277, 3, 1, 1};
    if (!t->tiled) {
        e[n++] = (entry){278, 3, 1, ROWS};
        e[n++] = (entry){279, list_type, p, where + p * (uint64_t)wide};
    }
    e[n++] = (entry){284, 3, 1, 1};
    e[n++] = (entry){296, 3, 1, 1};
    e[n++] = (entry){317, 3, 1, t->difference ? 2 : 1};
    if (t->tiled) {
        e[n++] = (entry){322, 3, 1, TILE};
        e[n++] = (entry){323, 3, 1, TILE};
        e[n++] = (entry){base, list_type, p, where};
        e[n++] = (entry){base + 1, list_type, p, where + p * (uint64_t)wide};
    }
    e[n++] = (entry){339, 3, 1, 1};
    l.entries = n;
    dir_size = (size_t)(t->big ? 8 + n * 20 + 8 : 2 + n * 12 + 4);
    l.dir = t->head_first ? head : head + code.n + tables;
    l.samples = first;
    l.samples_end = first + code.n;
    append(&l.file, t->big_endian ? "MM" : "II", 2);
    number(&l.file, t->big ? 43 : 42, 2, t->big_endian);
    if (t->big) {
        number(&l.file, 8, 2, t->big_endian);
        number(&l.file, 0, 2, t->big_endian);
    }
    number(&l.file, l.dir, wide, t->big_endian);
    if (t->head_first)
        add_directory(t, &l.file, e, n);
    else
        append(&l.file, code.p, code.n);
    if (t->head_first && l.file.n != head + dir_size)
        die("the directory has another size");
    append(&l.file, at.p, at.n);
    append(&l.file, size.p, size.n);
    if (t->head_first)
        append(&l.file, code.p, code.n);
    else
        add_directory(t, &l.file, e, n);
    free(at.p);
    free(size.p);
    free(code.p);
    return l;
}

/* Where the entry of a tag lies; 0 = the file has none. */
static size_t entry_of(const tiff *t, const layout *l, unsigned tag)
{
    for (int i = 0; i < l->entries; i++) {
        size_t at = l->dir + (size_t)(t->big ? 8 + 20 * i : 2 + 12 * i);
        if (load(l->file.p + at, 2, t->big_endian) == tag)
            return at;
    }
    return 0;
}

typedef struct lie {
    unsigned tag;
    char field; /* t type, n count, v value, x the tag itself */
    uint64_t v;
    verdict verdict;
} lie;

static void tiff_lie(const tiff *t, const layout *l, const lie *x, const char *class)
{
    size_t at = entry_of(t, l, x->tag);
    if (!at)
        return;
    bytes b = copy_of(l->file.p, l->file.n);
    int wide = t->big ? 8 : 4;
    uint8_t *e = b.p + at;
    if (x->field == 'x')
        store(e, x->v, 2, t->big_endian);
    else if (x->field == 't')
        store(e + 2, x->v, 2, t->big_endian);
    else if (x->field == 'n')
        store(e + 4, x->v, wide, t->big_endian);
    else if (load(e + 4, wide, t->big_endian) == 1)
        store(e + 4 + wide, x->v, width_of((unsigned)load(e + 2, 2, t->big_endian)), t->big_endian);
    else
        store(e + 4 + wide, x->v, wide, t->big_endian);
    if (memcmp(b.p, l->file.p, b.n) == 0)
        free(b.p);
    else
        emit(class, x->verdict, "the picture cannot be as the directory says", b);
}

static void tiff_lies(const tiff *t, const layout *l)
{
    /* LZW and PackBits tell no length: what a smaller picture leaves over is not decoded */
    const bool open_end = t->code == LZW || t->code == PACKBITS;
    const verdict less = open_end ? BLIND : REFUSED;
    const verdict sides = t->tiled ? BLIND : REFUSED; /* a tile may hold more than the picture */
    const lie all[] = {{256, 'v', 0, REFUSED},
                       {256, 'v', W - 1, open_end ? BLIND : sides},
                       {256, 'v', W + 1, sides},
                       {256, 'v', W / 4, less},
                       {256, 'v', 2 * W, REFUSED},
                       {256, 'v', 65535, REFUSED},
                       {257, 'v', 0, REFUSED},
                       {257, 'v', H - 1, BLIND},
                       {257, 'v', H + 1, sides},
                       {257, 'v', H / 4, REFUSED},
                       {257, 'v', 2 * H, REFUSED},
                       {257, 'v', 65535, REFUSED},
                       {258, 'v', 0, REFUSED},
                       {258, 'v', 1, REFUSED},
                       {258, 'v', 8, less},
                       {258, 'v', 12, REFUSED},
                       {258, 'v', 16, REFUSED},
                       {258, 'v', 32, REFUSED},
                       {258, 'v', 65535, REFUSED},
                       {259, 'v', 0, REFUSED},
                       {259, 'v', NONE, REFUSED},
                       {259, 'v', 2, REFUSED},
                       {259, 'v', LZW, REFUSED},
                       {259, 'v', 7, REFUSED},
                       {259, 'v', DEFLATE, REFUSED},
                       {259, 'v', PACKBITS, REFUSED},
                       {259, 'v', 34712, REFUSED},
                       {259, 'v', 65535, REFUSED},
                       {262, 'v', 0, SAME},
                       {262, 'v', 2, REFUSED},
                       {262, 'v', 3, REFUSED},
                       {262, 'v', 6, REFUSED},
                       {262, 'v', 65535, REFUSED},
                       {277, 'v', 0, REFUSED},
                       {277, 'v', 2, REFUSED},
                       {277, 'v', 3, REFUSED},
                       {277, 'v', 65535, REFUSED},
                       {278, 'v', 0, REFUSED},
                       {278, 'v', 1, REFUSED},
                       {278, 'v', ROWS / 2, REFUSED},
                       {278, 'v', ROWS - 1, REFUSED},
                       {278, 'v', ROWS + 1, REFUSED},
                       {278, 'v', 2 * ROWS, REFUSED},
                       {278, 'v', 65535, REFUSED},
                       {284, 'v', 2, SAME},
                       {284, 'v', 0, SAME},
                       {317, 'v', 3, SAME},
                       {317, 'v', 99, SAME},
                       {322, 'v', 0, REFUSED},
                       {322, 'v', 16, REFUSED},
                       {322, 'v', TILE - 16, REFUSED},
                       {322, 'v', 2 * TILE, REFUSED},
                       {322, 'v', 65535, REFUSED},
                       {323, 'v', 0, REFUSED},
                       {323, 'v', 16, REFUSED},
                       {323, 'v', 2 * TILE, REFUSED},
                       {323, 'v', 65535, REFUSED},
                       {339, 'v', 2, SAME},
                       {339, 'v', 3, REFUSED},
                       {339, 'v', 6, REFUSED}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tiff_lie(t, l, &all[i], "directory_lie");
    static const unsigned needed[] = {256, 257, 262, 273, 324},
                          other[] = {258, 259, 277, 278, 279, 284, 317, 322, 323, 325};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        tiff_lie(t, l, &(lie){needed[i], 'x', 65000, REFUSED}, "directory_missing");
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        tiff_lie(t, l, &(lie){other[i], 'x', 65000, ANY}, "directory_missing");
    static const unsigned tables[] = {273, 279, 324, 325};
    static const uint64_t count[] = {0, 1, 2, 1 << 20, UINT32_MAX},
                          place[] = {0x7FFFFFFF, UINT32_MAX};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        for (size_t k = 0; k < sizeof count / sizeof *count; k++)
            tiff_lie(t, l, &(lie){tables[i], 'n', count[k], REFUSED}, "table_lie");
        tiff_lie(t, l, &(lie){tables[i], 'n', (uint64_t)l->pieces - 1, REFUSED}, "table_lie");
        tiff_lie(t, l, &(lie){tables[i], 'n', (uint64_t)l->pieces + 1, ANY}, "table_lie");
        for (size_t k = 0; k < sizeof place / sizeof *place; k++)
            tiff_lie(t, l, &(lie){tables[i], 'v', place[k], REFUSED}, "table_lie");
        tiff_lie(t, l, &(lie){tables[i], 't', 3, ANY}, "table_lie");
        tiff_lie(t, l, &(lie){tables[i], 't', 0, REFUSED}, "table_lie");
    }
}

/* Places and lengths of the pieces. */
static void tiff_pieces(const tiff *t, const layout *l)
{
    static const char outside[] = "a piece lies outside of the file", few[] = "samples are missing";
    const int wide = t->big ? 8 : 4;
    const size_t e = entry_of(t, l, t->tiled ? 324 : 273);
    const size_t at = load(l->file.p + e + 4 + wide, wide, t->big_endian);
    const size_t size = at + (size_t)(wide * l->pieces);
    for (int k = 0; k < l->pieces; k++) {
        static const uint64_t far[] = {0x7FFFFFFF, 0xFFFFFFFE};
        size_t here = at + (size_t)(k * wide), n = size + (size_t)(k * wide);
        uint64_t len = load(l->file.p + n, wide, t->big_endian);
        for (int i = 0; i < 2; i++) {
            bytes b = copy_of(l->file.p, l->file.n);
            store(b.p + here, far[i], wide, t->big_endian);
            emit("piece_place", REFUSED, outside, b);
            b = copy_of(l->file.p, l->file.n);
            store(b.p + n, far[i], wide, t->big_endian);
            emit("piece_length", REFUSED, outside, b);
        }
        const uint64_t less[] = {0, 1, len / 2, len - 8};
        for (size_t i = 0; i < sizeof less / sizeof *less; i++) {
            bytes b = copy_of(l->file.p, l->file.n);
            store(b.p + n, less[i], wide, t->big_endian);
            emit("piece_length", REFUSED, few, b);
        }
        bytes b = copy_of(l->file.p, l->file.n);
        store(b.p + here, load(b.p + here, wide, t->big_endian) + 2, wide, t->big_endian);
        /* a deflate stream has a head and a sum; without one, any bytes are samples */
        bool known = t->code == DEFLATE;
        emit("piece_shift", known ? REFUSED : BLIND, "other bytes", b);
    }
}

static void tiff_directories(const tiff *t, const layout *l)
{
    static const char rule[] = "no directory lies there";
    const int wide = t->big ? 8 : 4;
    const size_t link = (size_t)(t->big ? 8 : 4);
    const size_t next = l->dir + (size_t)(t->big ? 8 + 20 * l->entries : 2 + 12 * l->entries);
    const uint64_t first[] = {0, 1, l->file.n, l->file.n - 1, 0x7FFFFFFF, 0xFFFFFFFF};
    const uint64_t more[] = {l->dir, 1, l->file.n, l->file.n - 1, 0x7FFFFFFF, 0xFFFFFFFF};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        bytes b = copy_of(l->file.p, l->file.n);
        store(b.p + link, first[i], wide, t->big_endian);
        emit("directory_place", REFUSED, rule, b);
        b = copy_of(l->file.p, l->file.n);
        store(b.p + next, more[i], wide, t->big_endian);
        emit("directory_next", REFUSED, i ? rule : "a circle", b);
    }
    static const uint64_t count[] = {0, 1, 4, 65535};
    for (size_t i = 0; i < sizeof count / sizeof *count; i++) {
        bytes b = copy_of(l->file.p, l->file.n);
        store(b.p + l->dir, count[i], t->big ? 8 : 2, t->big_endian);
        emit("directory_count", REFUSED, rule, b);
    }
    for (int i = 0; i < 60; i++) {
        bytes b = copy_of(l->file.p, l->file.n);
        flip(&b, l->dir + draw(next - l->dir));
        emit("flip_directory", ANY, "", b);
    }
}

static void tiff_samples(const tiff *t, const layout *l)
{
    /* deflate carries a sum; the other codes do not */
    bool known = t->code == DEFLATE;
    for (int i = 0; i < 40; i++) {
        bytes b = copy_of(l->file.p, l->file.n);
        flip(&b, l->samples + draw(l->samples_end - l->samples - 1));
        emit("flip_code", known ? REFUSED : BLIND,
             known ? "the check sum of the stream" : "a code that still decodes shows nothing", b);
    }
    for (int i = 0; i < 20; i++) {
        bytes b = copy_of(l->file.p, l->file.n);
        for (int k = 0; k < 32; k++)
            flip(&b, draw(b.n));
        emit("flip_many", ANY, "", b);
    }
}

static void tiff_damage(const tiff *t)
{
    layout l = tiff_file(t);
    source = t->name;
    emit("whole", KEPT, "not damaged", copy_of(l.file.p, l.file.n));
    bytes b = copy_of(l.file.p, l.file.n);
    append(&b, "behind the end", 14);
    emit("trailing", SAME, "", b);
    cuts(&l.file);
    tiff_lies(t, &l);
    tiff_pieces(t, &l);
    tiff_directories(t, &l);
    tiff_samples(t, &l);
    noise(l.file.p, t->big ? 8 : 4);
    free(l.file.p);
}

int main(int argc, char **argv)
{
    static const tiff kinds[] = {
        {"tiff", NONE, 16, .head_first = true},
        {"tiff_mm", NONE, 16, .big_endian = true},
        {"tiff_8", NONE, 8, .tiled = false},
        {"tiff_lzw", LZW, 16, .tiled = false},
        {"tiff_packbits", PACKBITS, 8, .tiled = false},
        {"tiff_deflate", DEFLATE, 16, .big_endian = true},
        {"tiff_difference", DEFLATE, 16, .difference = true},
        {"tiff_tiles", NONE, 16, .tiled = true},
        {"tiff_tiles_deflate", DEFLATE, 16, .tiled = true},
        {"bigtiff", NONE, 16, .big = true},
        {"bigtiff_deflate", DEFLATE, 16, .big = true, .big_endian = true, .difference = true},
    };
    char path[4096];
    if (argc != 3) {
        fputs("usage: damage_picture OUT SEED\n", stderr);
        return 2;
    }
    folder = argv[1];
    state = strtoull(argv[2], NULL, 10) * 0x9E3779B97F4A7C15u + 7;
    snprintf(path, sizeof path, "%s/damage.csv", folder);
    list = fopen(path, "w");
    snprintf(path, sizeof path, "%s/sidecar.csv", folder);
    side = fopen(path, "w");
    if (!list || !side)
        die(path);
    fputs("file,source,class,detectable,accept,rule\n", list);
    fputs("file,patient_id,study_uid,modality,laterality,view\n", side);
    png_damage("png_16", 16);
    png_damage("png_8", 8);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        tiff_damage(&kinds[i]);
    if (fclose(list) || fclose(side))
        die("the lists");
    printf("%d files from %zu kinds of pictures\n", made, 2 + sizeof kinds / sizeof *kinds);
    return 0;
}
