/* Makes damaged copies of DICOM files for test_damage.sh: whole files in, some thousand broken ones
 * out, each with a row in damage.csv that says what must become of it. Works on raw bytes with a
 * small parser of its own and calls nothing of the program, so that a mistake in the program's
 * reader cannot hide here. DICOM PS3.5 chapters 7 and 8, annex A; ITU-T T.81, T.87, T.800.
 *
 * damage rows CATALOG: prints what the catalogue says of each file, tab-separated: path, reason of
 * scan, reason of prepare, hash of the stored samples, all codes, row id.
 * damage OUT SEED demo|real|wrap FILE...: of the files, the smallest of each transfer syntax is
 * damaged; `wrap` makes only what surrounds a code stream (tables of frames, JP2 boxes), which
 * needs a configuration that keeps several frames.
 * Rows: file, source, class, detectable, accept, rule. accept:
 *   refused  the bytes prove the damage: the image must be left out
 *   noticed  left out, or the same stored samples as the whole file and the note TS_LIES
 *   kept     a legal variant: the same stored samples as the whole file
 *   same     the standard leaves it open; who keeps it keeps the same stored samples
 *   any      nothing can be demanded */
#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define UID         "1.2.840.10008.1.2"
#define ITEM        0xFFFEE000u
#define ITEM_END    0xFFFEE00Du
#define SEQ_END     0xFFFEE0DDu
#define PIXELS      0x7FE00010u
#define OFFSETS     0x7FE00001u
#define LENGTHS     0x7FE00002u
#define ROWS        0x00280010u
#define COLS        0x00280011u
#define SYNTAX      0x00020010u
#define PRIVATE_SQ  0x00291010u
#define UNDEFINED   0xFFFFFFFFu
#define PREAMBLE    132
#define DEPTH_MAX   16
#define SOURCES_MAX 32
#define BLOCK       ((size_t)64 << 20) /* zeros in one piece of a deflate bomb */

typedef struct bytes {
    uint8_t *p;
    size_t n;
} bytes;

/* One element of the data set, of the meta header, or an item of encapsulated pixel data. */
typedef struct elem {
    uint32_t tag, len;
    size_t at, len_at, value, end; /* offsets: header, length field, value, behind the value */
    int len_bytes, depth;
} elem;

typedef struct tree {
    const uint8_t *d;
    size_t len;
    bool big, explicit_vr;
    bool odd_is_long; /* which form of header an unknown value representation is taken for */
    elem *e;
    int n, cap;
    bool items; /* the pixel data is encapsulated: its items are elements of tag ITEM, depth -1 */
} tree;

typedef struct source {
    char name[80];
    const char *tail; /* of the transfer syntax */
    char uid[65];
    bytes file;
    bytes set;   /* the data set, inflated where the file is deflated */
    size_t used; /* what a deflated one takes in the file */
    size_t head; /* bytes before the data set */
    bool deflated;
    tree t, meta;
} source;

typedef enum verdict { REFUSED, NOTICED, KEPT, SAME, ANY, BLIND } verdict;
static const struct {
    const char *detectable, *accept;
} words[] = {
    [REFUSED] = {"yes", "refused"}, [NOTICED] = {"yes", "noticed"}, [KEPT] = {"no", "kept"},
    [SAME] = {"either", "same"},    [ANY] = {"either", "any"},      [BLIND] = {"no", "any"}};

static const char *folder;
static FILE *list;
static bool real, wrap;
static int made;
static uint64_t state;

/* ---- small helpers --------------------------------------------------------------------------- */

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("damage: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

static void *need(size_t n)
{
    void *p = calloc(n ? n : 1, 1);
    if (!p)
        die("no memory for %zu bytes", n);
    return p;
}

static uint64_t draw(uint64_t below) /* splitmix64 */
{
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return below ? z % below : z;
}

static bytes copy_of(const void *p, size_t n)
{
    bytes b = {need(n), n};
    if (n)
        memcpy(b.p, p, n);
    return b;
}

/* Replace `cut` bytes at `at` by put[n]. */
static void splice(bytes *b, size_t at, size_t cut, const void *put, size_t n)
{
    uint8_t *p = need(b->n - cut + n);
    memcpy(p, b->p, at);
    if (n)
        memcpy(p + at, put, n);
    memcpy(p + at + n, b->p + at + cut, b->n - at - cut);
    free(b->p);
    *b = (bytes){p, b->n - cut + n};
}

static void append(bytes *b, const void *put, size_t n)
{
    splice(b, b->n, 0, put, n);
}

static void store(uint8_t *p, uint64_t v, int n, bool big)
{
    for (int i = 0; i < n; i++)
        p[big ? n - 1 - i : i] = (uint8_t)(v >> (8 * i));
}

static uint32_t load(const uint8_t *p, int n, bool big)
{
    uint32_t v = 0;
    for (int i = 0; i < n; i++)
        v |= (uint32_t)p[big ? n - 1 - i : i] << (8 * i);
    return v;
}

static void store_tag(uint8_t *p, uint32_t tag, bool big)
{
    store(p, tag >> 16, 2, big);
    store(p + 2, tag & 0xFFFF, 2, big);
}

/* ---- the small parser ------------------------------------------------------------------------ */

static elem *new_elem(tree *t)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 128;
        t->e = realloc(t->e, (size_t)t->cap * sizeof *t->e);
        if (!t->e)
            die("no memory");
    }
    memset(&t->e[t->n], 0, sizeof *t->e);
    return &t->e[t->n++];
}

static bool one_of(const uint8_t *vr, const char *names)
{
    for (; *names; names += 2)
        if (vr[0] == names[0] && vr[1] == names[1])
            return true;
    return false;
}

/* The header at `at`; false when it does not fit before `end`. */
static bool read_head(const tree *t, size_t at, size_t end, elem *x, bool *sequence)
{
    if (end < at || end - at < 8)
        return false;
    const uint8_t *p = t->d + at;
    *x = (elem){.at = at, .len_at = at + 4, .value = at + 8, .len_bytes = 4};
    x->tag = load(p, 2, t->big) << 16 | load(p + 2, 2, t->big);
    *sequence = !t->explicit_vr;
    if (t->explicit_vr && x->tag >> 16 != 0xFFFE) {
        bool wide = one_of(p + 4, "OBOWOFODOLOVSQUCUNURUTSVUV");
        bool small = one_of(p + 4, "AEASATCSDADSDTFLFDISLOLTPNSHSLSSSTTMUIULUS");
        *sequence = one_of(p + 4, "SQUN");
        if (wide || (!small && t->odd_is_long)) {
            x->len_at = at + 8;
            x->value = at + 12;
            if (end - at < 12)
                return false;
        } else {
            x->len_at = at + 6;
            x->len_bytes = 2;
        }
    }
    x->len = load(t->d + x->len_at, x->len_bytes, t->big);
    return true;
}

static bool read_set(tree *t, size_t *at, size_t end, bool open, int depth);

static bool read_items(tree *t, size_t *at, size_t end, bool open, int depth)
{
    while (*at < end) {
        elem x;
        bool unused;
        if (!read_head(t, *at, end, &x, &unused))
            return false;
        *at = x.value;
        if (x.tag == SEQ_END)
            return open;
        bool endless = x.len == UNDEFINED;
        if (x.tag != ITEM || (!endless && x.len > end - *at) || depth >= DEPTH_MAX)
            return false;
        if (!read_set(t, at, endless ? end : *at + x.len, endless, depth + 1))
            return false;
    }
    return !open;
}

static bool read_fragments(tree *t, size_t *at, size_t end)
{
    t->items = true;
    for (;;) {
        elem x;
        bool unused;
        if (!read_head(t, *at, end, &x, &unused))
            return false;
        *at = x.value;
        if (x.tag == SEQ_END)
            return true;
        if (x.tag != ITEM || x.len > end - *at)
            return false;
        x.depth = -1;
        x.end = *at += x.len;
        *new_elem(t) = x;
    }
}

/* Files may be padded with zeros behind their last element. */
static bool only_padding(const tree *t, size_t at, int depth)
{
    bool done = false;
    for (int i = 0; i < t->n && depth == 0; i++)
        done |= t->e[i].tag == PIXELS && t->e[i].depth == 0;
    while (done && at < t->len && !t->d[at])
        at++;
    return done && at == t->len;
}

/* Elements up to `end`, or, where the set is open, up to its delimiter. */
static bool read_set(tree *t, size_t *at, size_t end, bool open, int depth)
{
    while (*at < end) {
        elem x;
        bool sequence;
        if (only_padding(t, *at, depth)) {
            *at = end;
            break;
        }
        if (!read_head(t, *at, end, &x, &sequence))
            return false;
        *at = x.value;
        if (x.tag == ITEM_END)
            return open;
        if (x.tag >> 16 == 0xFFFE)
            return false;
        x.depth = depth;
        int mine = t->n;
        *new_elem(t) = x;
        if (x.tag == PIXELS && depth == 0 && x.len == UNDEFINED) {
            if (!read_fragments(t, at, end))
                return false;
        } else if (x.len == UNDEFINED) {
            if (!sequence || !read_items(t, at, end, true, depth))
                return false;
        } else {
            if (x.len > end - *at)
                return false;
            size_t to = *at + x.len;
            bool inside =
                sequence && x.len >= 8 &&
                (load(t->d + *at, 2, t->big) << 16 | load(t->d + *at + 2, 2, t->big)) == ITEM;
            if (inside && !read_items(t, at, to, false, depth))
                return false;
            *at = to;
        }
        t->e[mine].end = *at;
    }
    return !open;
}

static bool parse(tree *t, const uint8_t *d, size_t len)
{
    size_t at = 0;
    t->d = d;
    t->len = len;
    t->n = 0;
    t->items = false;
    return read_set(t, &at, len, false, 0) && at == len;
}

/* No reading of these bytes ends where the data set ends. */
static bool impossible(const source *s, const bytes *set)
{
    bool fits = false;
    for (int form = 0; form < 2 && !fits; form++) {
        tree t = {.big = s->t.big, .explicit_vr = s->t.explicit_vr, .odd_is_long = form};
        fits = parse(&t, set->p, set->n);
        free(t.e);
    }
    return !fits;
}

static const elem *find(const tree *t, uint32_t tag)
{
    for (int i = 0; i < t->n; i++)
        if (t->e[i].depth == 0 && t->e[i].tag == tag)
            return &t->e[i];
    return NULL;
}

/* Item k of the encapsulated pixel data, the offset table first. */
static const elem *item_of(const tree *t, int k)
{
    for (int i = 0; i < t->n; i++)
        if (t->e[i].depth == -1 && k-- == 0)
            return &t->e[i];
    return NULL;
}

static uint32_t number_of(const source *s, uint32_t tag)
{
    const elem *x = find(&s->t, tag);
    return x && x->len == 2 ? load(s->set.p + x->value, 2, s->t.big) : 0;
}

/* ---- deflate --------------------------------------------------------------------------------- */

static bytes squeeze(const uint8_t *p, size_t n, int flush)
{
    z_stream z = {0};
    if (deflateInit2(&z, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        die("zlib");
    bytes b = {need(deflateBound(&z, n) + 64), deflateBound(&z, n) + 64};
    z.next_in = (Bytef *)(uintptr_t)p;
    z.avail_in = (uInt)n;
    z.next_out = b.p;
    z.avail_out = (uInt)b.n;
    int rc = deflate(&z, flush);
    if (rc != (flush == Z_FINISH ? Z_STREAM_END : Z_OK) || z.avail_in)
        die("zlib: %d", rc);
    b.n = z.total_out;
    deflateEnd(&z);
    return b;
}

static bytes inflated(const uint8_t *p, size_t n, size_t *used)
{
    z_stream z = {0};
    bytes b = {need(1u << 26), 1u << 26};
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
        die("zlib");
    z.next_in = (Bytef *)(uintptr_t)p;
    z.avail_in = (uInt)n;
    z.next_out = b.p;
    z.avail_out = (uInt)b.n;
    bool whole = inflate(&z, Z_FINISH) == Z_STREAM_END;
    b.n = whole ? z.total_out : 0;
    *used = z.total_in;
    inflateEnd(&z);
    return b;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Writes b as one more damaged file and frees it. */
static void emit(const source *s, const char *class, verdict v, const char *rule, bytes b)
{
    char name[128], path[4096];
    snprintf(name, sizeof name, "%s.%s.%05d.dcm", class, s ? s->name : "none", ++made);
    if ((size_t)snprintf(path, sizeof path, "%s/files/%s", folder, name) >= sizeof path)
        die("the folder's name is too long");
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(b.p, 1, b.n, f) != b.n || fclose(f))
        die("cannot write a file: %s", strerror(errno));
    if (fprintf(list, "%s,%s,%s,%s,%s,%s\n", name, s ? s->name : "none", class, words[v].detectable,
                words[v].accept, rule) < 0)
        die("cannot write the list");
    free(b.p);
}

/* The same with a changed data set. */
static void emit_set(const source *s, const char *class, verdict v, const char *rule, bytes set)
{
    bytes b = copy_of(s->file.p, s->head);
    if (s->deflated) {
        bytes z = squeeze(set.p, set.n, Z_FINISH);
        append(&b, z.p, z.n);
        free(z.p);
    } else {
        append(&b, set.p, set.n);
    }
    free(set.p);
    emit(s, class, v, rule, b);
}

static bytes set_of(const source *s)
{
    return copy_of(s->set.p, s->set.n);
}

static bytes head_bytes(const source *s, uint32_t tag, const char *vr, uint32_t len)
{
    bytes b = {need(12), 8};
    bool big = s->t.big;
    store_tag(b.p, tag, big);
    if (!s->t.explicit_vr || !vr) {
        store(b.p + 4, len, 4, big);
        return b;
    }
    memcpy(b.p + 4, vr, 2);
    if (one_of((const uint8_t *)vr, "OBOWOFOVSQUNUT")) {
        b.n = 12;
        store(b.p + 8, len, 4, big);
    } else {
        store(b.p + 6, len, 2, big);
    }
    return b;
}

/* Put an element into the set, in place of the old one or at its place in the order. */
static void put(const source *s, bytes *set, uint32_t tag, const char *vr, const void *v, size_t n)
{
    tree t = {.big = s->t.big, .explicit_vr = s->t.explicit_vr};
    size_t at = set->n, cut = 0;
    parse(&t, set->p, set->n);
    const elem *old = find(&t, tag);
    if (old) {
        at = old->at;
        cut = old->end - old->at;
    } else {
        for (int i = t.n - 1; i >= 0; i--)
            if (t.e[i].depth == 0 && t.e[i].tag > tag)
                at = t.e[i].at;
    }
    bytes b = head_bytes(s, tag, vr, (uint32_t)n);
    append(&b, v, n);
    splice(set, at, cut, b.p, b.n);
    free(b.p);
    free(t.e);
}

static void put_us(const source *s, bytes *set, uint32_t tag, unsigned v)
{
    uint8_t w[2];
    store(w, v, 2, s->t.big);
    put(s, set, tag, "US", w, 2);
}

static void put_text(const source *s, bytes *set, uint32_t tag, const char *vr, const char *v)
{
    char even[128];
    size_t n = (size_t)snprintf(even, sizeof even, "%s", v);
    if (n & 1)
        even[n++] = ' ';
    put(s, set, tag, vr, even, n);
}

static const char SAME_RULE[] = "the standard leaves it open";

/* ---- cuts ------------------------------------------------------------------------------------ */

static void cut_at(const source *s, const char *class, size_t at)
{
    emit(s, class, REFUSED, "the file ends before its data", copy_of(s->file.p, at));
}

static void cuts(const source *s)
{
    const elem *px = find(&s->t, PIXELS);
    size_t from = s->head + (s->deflated ? 0 : px->at), body = s->head + px->value;
    size_t to = s->head + (s->deflated ? s->used : px->end);
    int n = real ? 6 : 16;
    for (int i = 0; i < n; i++)
        cut_at(s, "cut_header", 1 + draw(from - 1));
    static const size_t marks[] = {0, 4, 127, 128, 131, 132, 133, 140, 144};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        cut_at(s, "cut_start", marks[i]);
    for (size_t k = 1; k <= (real ? 4 : 9); k++) {
        cut_at(s, "cut_end", to - k);
        if (!s->deflated)
            cut_at(s, "cut_pixels_start", body + k - 1);
    }
    for (int i = 1; i < n; i++)
        cut_at(s, "cut_pixels", from + 1 + (size_t)((to - from - 2) * (double)i / n));
    /* element borders: the bytes are a data set, yet without an image */
    for (int i = 0; i < s->t.n && !s->deflated; i += 9)
        if (s->t.e[i].depth == 0 && s->t.e[i].tag < PIXELS)
            cut_at(s, "cut_border", s->head + s->t.e[i].end);
}

/* ---- flips ----------------------------------------------------------------------------------- */

static const elem *some_elem(const tree *t)
{
    for (;;) {
        const elem *x = &t->e[draw((uint64_t)t->n)];
        if (x->depth == 0)
            return x;
    }
}

/* Where the entropy-coded part of the first fragment begins. */
static size_t code_at(const source *s, const elem *x)
{
    const uint8_t *p = s->set.p + x->value;
    if (strcmp(s->tail, ".5") == 0)
        return x->value + 64;
    bool j2k = p[0] == 0xFF && p[1] == 0x4F;
    for (size_t i = 0; i + 4 < x->len; i++)
        if (p[i] == 0xFF && p[i + 1] == (j2k ? 0x93 : 0xDA))
            return x->value + i + (j2k ? 2 : 2 + load(p + i + 2, 2, true));
    return x->value + x->len / 8;
}

static void flip(bytes *b, size_t at)
{
    b->p[at] ^= (uint8_t)(1u << draw(8));
}

static void flips_of_code(const source *s, int n)
{
    const elem *x = item_of(&s->t, 1);
    size_t code = code_at(s, x);
    if (x->end < code + 4)
        return;
    for (int i = 0; i < n; i++) {
        bytes b = set_of(s);
        flip(&b, code + draw(x->end - code - 2));
        emit_set(s, "flip_code", BLIND, "a code that still decodes shows nothing", b);
        if (i % 2)
            continue;
        b = set_of(s);
        flip(&b, x->value + draw(code - x->value));
        emit_set(s, "flip_code_head", ANY, SAME_RULE, b);
    }
}

static void flips(const source *s)
{
    const elem *px = find(&s->t, PIXELS);
    int n = real ? 10 : 24;
    for (int i = 0; i < n; i++) {
        bytes b = set_of(s);
        flip(&b, draw(px->at));
        emit_set(s, "flip_header", SAME, SAME_RULE, b);
        b = set_of(s);
        const elem *x = some_elem(&s->t);
        flip(&b, x->len_at + draw((uint64_t)x->len_bytes));
        verdict v = impossible(s, &b) ? REFUSED : SAME;
        emit_set(s, "flip_length", v, v == REFUSED ? "no reading ends with the file" : SAME_RULE,
                 b);
        b = set_of(s);
        x = some_elem(&s->t);
        flip(&b, x->at + draw(x->len_at - x->at));
        emit_set(s, "flip_tag", SAME, SAME_RULE, b);
        b = set_of(s);
        b.p[draw(px->at)] = (uint8_t)draw(256);
        emit_set(s, "byte_header", SAME, SAME_RULE, b);
        if (i % 3)
            continue;
        bytes whole = copy_of(s->file.p, s->file.n);
        flip(&whole, PREAMBLE - 4 + draw(s->head - PREAMBLE + 4));
        emit(s, "flip_meta", SAME, SAME_RULE, whole);
        whole = copy_of(s->file.p, s->file.n);
        for (int k = 0; k < 64; k++)
            flip(&whole, draw(s->file.n));
        emit(s, "flip_many", ANY, SAME_RULE, whole);
    }
    if (s->t.items) {
        flips_of_code(s, n);
        return;
    }
    for (int i = 0; i < n / 2; i++) {
        bytes b = set_of(s);
        flip(&b, px->value + draw(px->len));
        emit_set(s, "flip_sample", BLIND, "every sample is a legal one", b);
    }
    for (int i = 0; s->deflated && i < n; i++) {
        bytes b = copy_of(s->file.p, s->head), z = squeeze(s->set.p, s->set.n, Z_FINISH);
        append(&b, z.p, z.n);
        flip(&b, s->head + draw(z.n));
        free(z.p);
        emit(s, "flip_deflated", ANY, "deflate carries no check sum", b);
    }
}

/* ---- items and fragments --------------------------------------------------------------------- */

static void item_lies(const source *s)
{
    static const uint32_t len[] = {0, 1, 7, 0x7FFFFFFF, 0x80000000u, 0xFFFFFFFEu, UNDEFINED};
    static const uint32_t tag[] = {ITEM_END, SEQ_END, 0, 0xFFFFFFFFu, PIXELS, 0xFFFEE001u};
    static const char rule[] = "no reading ends with the file";
    for (int k = 0; item_of(&s->t, k); k++) {
        const elem *x = item_of(&s->t, k);
        for (size_t i = 0; i < sizeof len / sizeof *len + 4; i++) {
            static const int by[] = {-2, -1, 1, 2};
            size_t m = sizeof len / sizeof *len;
            uint32_t v = i < m ? len[i] : x->len + (uint32_t)by[i - m];
            bytes b = set_of(s);
            store(b.p + x->len_at, v, 4, s->t.big);
            if (v == x->len)
                free(b.p);
            else
                emit_set(s, "item_length", impossible(s, &b) ? REFUSED : ANY, rule, b);
        }
        for (size_t i = 0; i < sizeof tag / sizeof *tag; i++) {
            bytes b = set_of(s);
            store_tag(b.p + x->at, tag[i], s->t.big);
            emit_set(s, "item_tag", impossible(s, &b) ? REFUSED : ANY, rule, b);
        }
        for (int i = 0; i < 4; i++) {
            bytes b = set_of(s);
            flip(&b, x->at + draw(8));
            emit_set(s, "flip_item", impossible(s, &b) ? REFUSED : ANY, rule, b);
        }
    }
}

static void add_item(bytes *b, const uint8_t *p, size_t n)
{
    uint8_t h[8];
    store_tag(h, ITEM, false);
    store(h + 4, n, 4, false);
    append(b, h, 8);
    append(b, p, n);
}

/* The set with a new table and the pieces of `code` in the order of `order` (-1 an empty one), 5
 * equal pieces of even length. */
#define PIECES 5
static bytes pieces(const source *s, const bytes *table, const bytes *code, const char *order)
{
    const elem *px = find(&s->t, PIXELS);
    bytes b = copy_of(s->set.p, px->value);
    if (table)
        add_item(&b, table->p, table->n);
    size_t step = code->n / PIECES & ~(size_t)1;
    for (; *order; order++) {
        size_t k = (size_t)(*order - '0');
        if (*order == 'e')
            add_item(&b, code->p, 0);
        else if (*order == 'w')
            add_item(&b, code->p, code->n);
        else
            add_item(&b, code->p + k * step, k == PIECES - 1 ? code->n - k * step : step);
    }
    uint8_t end[8];
    store_tag(end, SEQ_END, false);
    store(end + 4, 0, 4, false);
    append(&b, end, 8);
    append(&b, s->set.p + px->end, s->set.n - px->end);
    return b;
}

/* All fragments of a single-frame image in one piece. */
static bytes code_of(const source *s)
{
    bytes code = {need(1), 0};
    for (int k = 1; item_of(&s->t, k); k++)
        append(&code, s->set.p + item_of(&s->t, k)->value, item_of(&s->t, k)->len);
    return code;
}

static void fragments(const source *s)
{
    static const struct {
        const char *order;
        verdict v;
        const char *class, *rule;
    } t[] = {{"w", KEPT, "fragment_whole", "one fragment"},
             {"01234", KEPT, "fragment_split", "five fragments of one frame"},
             {"10234", REFUSED, "fragment_swap", "the code does not begin with its head"},
             {"40123", REFUSED, "fragment_swap", "the code does not begin with its head"},
             {"43210", REFUSED, "fragment_swap", "the code does not begin with its head"},
             {"02134", BLIND, "fragment_swap_inner", "a code that still decodes shows nothing"},
             {"01324", BLIND, "fragment_swap_inner", "a code that still decodes shows nothing"},
             {"1234", REFUSED, "fragment_drop", "the code does not begin with its head"},
             {"0234", REFUSED, "fragment_drop", "samples are missing"},
             {"0134", REFUSED, "fragment_drop", "samples are missing"},
             {"0124", REFUSED, "fragment_drop", "samples are missing"},
             {"0123", REFUSED, "fragment_drop", "samples are missing"},
             {"0", REFUSED, "fragment_drop", "samples are missing"},
             {"", REFUSED, "fragment_drop", "no code at all"},
             {"e", REFUSED, "fragment_drop", "no code at all"},
             {"eeeee", REFUSED, "fragment_drop", "no code at all"},
             {"011234", REFUSED, "fragment_twice", "more code than samples"},
             {"012234", REFUSED, "fragment_twice", "more code than samples"},
             {"001234", REFUSED, "fragment_twice", "a head inside the code"},
             {"012344", SAME, "fragment_twice_last", SAME_RULE},
             {"ww", SAME, "fragment_twice_last", SAME_RULE},
             {"e01234", SAME, "fragment_empty", SAME_RULE},
             {"01e234", SAME, "fragment_empty", SAME_RULE},
             {"01234e", SAME, "fragment_empty", SAME_RULE}};
    bytes none = {NULL, 0}, code = code_of(s);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        emit_set(s, t[i].class, t[i].v, t[i].rule, pieces(s, &none, &code, t[i].order));
    emit_set(s, "table_missing", REFUSED, "the first item is the table",
             pieces(s, NULL, &code, "w"));
    static const struct {
        size_t n;
        uint32_t first;
        verdict v;
    } table[] = {{4, 0, KEPT},          {4, 2, SAME},  {4, 0x7FFFFFFF, SAME}, {4, UNDEFINED, SAME},
                 {8, 0, SAME},          {3, 0, SAME},  {2, 0, SAME},          {1 << 18, 0, SAME},
                 {1 << 16, 1234, SAME}, {12, 8, SAME}, {40, 0, SAME}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        bytes b = {need(table[i].n + 4), table[i].n};
        store(b.p, table[i].first, 4, false);
        emit_set(s, "table_lie", table[i].v, "one frame needs no table",
                 pieces(s, &b, &code, i % 2 ? "01234" : "w"));
        free(b.p);
    }
    free(code.p);
}

/* The code ends early although every length in the file is right. */
static void short_code(const source *s)
{
    bytes code = code_of(s), none = {NULL, 0};
    static const double share[] = {0.02, 0.2, 0.5, 0.8, 0.95, 0.99};
    bool rle = strcmp(s->tail, ".5") == 0;
    for (size_t i = 0; i < sizeof share / sizeof *share + 4; i++) {
        size_t m = sizeof share / sizeof *share;
        size_t n = i < m ? (size_t)((double)code.n * share[i]) & ~(size_t)1
                         : code.n - (size_t[]){4, 8, 16, 32}[i - m];
        bytes part = copy_of(code.p, n);
        emit_set(s, "code_cut", REFUSED, "samples are missing", pieces(s, &none, &part, "w"));
        if (!rle) { /* a proper end hides nothing */
            while (n > 2 && part.p[n - 3] == 0xFF)
                n -= 2;
            part.n = n;
            memcpy(part.p + n - 2, "\xFF\xD9", 2);
            emit_set(s, "code_cut_ended", REFUSED, "samples are missing",
                     pieces(s, &none, &part, "w"));
        }
        free(part.p);
    }
    free(code.p);
}

/* Heads of code streams that contradict the header. Offsets count from `at`. */
typedef struct head_lie {
    int at, n;
    int64_t v; /* absolute, or a difference where `relative` */
    bool relative;
} head_lie;

static void lie_in_code(const source *s, const bytes *code, size_t base, const head_lie *lie,
                        bool big)
{
    bytes b = copy_of(code->p, code->n), none = {NULL, 0};
    uint8_t *p = b.p + base + lie->at;
    uint32_t old = load(p, lie->n, big);
    uint32_t v = lie->relative ? old + (uint32_t)lie->v : (uint32_t)lie->v;
    store(p, v, lie->n, big);
    if (load(p, lie->n, big) != old)
        emit_set(s, "code_head", REFUSED, "the code's head contradicts the header",
                 pieces(s, &none, &b, "w"));
    free(b.p);
}

/* First FF xx of the frame header: SOF for the JPEG family, SIZ for JPEG 2000; 0 = none. */
static size_t frame_head(const bytes *code)
{
    for (size_t i = 0; i + 40 < code->n && i < 4096; i++) {
        uint8_t m = code->p[i + 1];
        if (code->p[i] == 0xFF && (m == 0x51 || m == 0xF7 || (m >= 0xC0 && m <= 0xC3)))
            return i;
    }
    return 0;
}

static void code_heads(const source *s)
{
    static const head_lie jpeg[] = {
        {5, 2, 0, 0},  {5, 2, 1, 1},   {5, 2, -1, 1},  {5, 2, 65535, 0},
        {7, 2, 0, 0},  {7, 2, 1, 1},   {7, 2, -1, 1},  {7, 2, 65535, 0},
        {9, 1, 0, 0},  {9, 1, 3, 0},   {9, 1, 255, 0}, {4, 1, 0, 0},
        {4, 1, 17, 0}, {4, 1, 255, 0}, {2, 2, 2, 0},   {2, 2, 65535, 0}};
    static const head_lie j2k[] = {
        {6, 4, 0, 0},   {6, 4, 1, 1},   {6, 4, -1, 1},     {6, 4, 0xFFFFFFFF, 0}, {10, 4, 0, 0},
        {10, 4, 1, 1},  {10, 4, -1, 1}, {10, 4, 65535, 0}, {14, 4, 1, 0},         {18, 4, 7, 0},
        {22, 4, 0, 0},  {26, 4, 0, 0},  {38, 2, 0, 0},     {38, 2, 3, 0},         {38, 2, 16384, 0},
        {40, 1, 37, 0}, {41, 1, 2, 0},  {41, 1, 0, 0},     {42, 1, 255, 0},       {2, 2, 3, 0}};
    static const head_lie rle[] = {{0, 4, 0, 0},  {0, 4, 1, 0},  {0, 4, 3, 0},
                                   {0, 4, 15, 0}, {0, 4, 16, 0}, {0, 4, 0xFFFFFFFF, 0},
                                   {4, 4, 0, 0},  {4, 4, 63, 0}, {4, 4, 0xFFFFFFFF, 0},
                                   {8, 4, 0, 0},  {8, 4, 1, 0},  {8, 4, 0x7FFFFFFF, 0},
                                   {8, 4, -2, 1}};
    bytes code = code_of(s);
    if (strcmp(s->tail, ".5") == 0 && number_of(s, 0x00280100u) == 16) {
        for (size_t i = 0; i < sizeof rle / sizeof *rle; i++)
            lie_in_code(s, &code, 0, &rle[i], false);
    } else if (frame_head(&code)) {
        size_t at = frame_head(&code);
        bool wavelet = code.p[at + 1] == 0x51;
        const head_lie *t = wavelet ? j2k : jpeg;
        size_t n = wavelet ? sizeof j2k / sizeof *j2k : sizeof jpeg / sizeof *jpeg;
        for (size_t i = 0; i < n; i++)
            lie_in_code(s, &code, at, &t[i], true);
    }
    free(code.p);
}

/* ---- what surrounds a code stream -------------------------------------------------------------
 */

/* Two frames of five fragments each, the same image twice, with an extended offset table of n
 * bytes and, where `basic`, a basic one of both entries. PS3.5 A.4, PS3.3 C.7.6.3.1.8. */
static bytes two_frames(const source *s, const bytes *code, const uint64_t *at, size_t n,
                        const uint32_t *basic)
{
    uint8_t table[64], small[8];
    bytes none = {small, basic ? 8 : 0};
    for (int i = 0; i < 8; i++)
        store(table + 8 * i, i < 2 ? at[i] : at[1] + (uint64_t)i, 8, false);
    for (int i = 0; basic && i < 2; i++)
        store(small + 4 * i, basic[i], 4, false);
    bytes b = pieces(s, &none, code, "0123401234");
    source two = *s; /* its tree is read anew by put */
    put(&two, &b, OFFSETS, "OV", table, n);
    for (int i = 0; i < 2; i++)
        store(table + 8 * i, code->n, 8, false);
    put(&two, &b, LENGTHS, "OV", table, 16);
    put_text(&two, &b, 0x00280008u, "IS", "2");
    return b;
}

static void frame_tables(const source *s)
{
    bytes code = code_of(s), none = {NULL, 0}, b;
    const uint64_t step = code.n / PIECES & ~(uint64_t)1, last = code.n - (PIECES - 1) * step;
    const uint64_t next = code.n + PIECES * 8;
    const struct {
        uint64_t at[2];
        size_t n;
        verdict v;
    } t[] = {{{0, next}, 16, KEPT},
             {{0, next - last - 8}, 16, REFUSED}, /* without its last fragment */
             {{0, step + 8}, 16, REFUSED},
             {{0, next + step + 8}, 16, SAME},
             {{0, next + 2}, 16, SAME},
             {{0, 0}, 16, SAME},
             {{next, 0}, 16, SAME},
             {{next, next}, 16, SAME},
             {{8, next}, 16, SAME},
             {{0, UINT64_MAX}, 16, SAME},
             {{0, INT64_MAX}, 16, SAME},
             {{0, next | (uint64_t)1 << 32}, 16, SAME}, /* right in its low half */
             {{UINT64_MAX, UINT64_MAX - 7}, 16, SAME},
             {{0, next}, 0, SAME},
             {{0, next}, 7, SAME},
             {{0, next}, 8, SAME},
             {{0, next}, 15, SAME},
             {{0, next}, 17, SAME},
             {{0, next}, 24, SAME},
             {{0, next}, 64, SAME}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        const uint32_t good[] = {0, (uint32_t)next}, bad[] = {4, 2};
        const char *rule = t[i].v == REFUSED ? "samples are missing" : SAME_RULE;
        emit_set(s, "frames_table", t[i].v, rule, two_frames(s, &code, t[i].at, t[i].n, NULL));
        /* the extended table wins where it is legal, whatever the basic one says */
        emit_set(s, "frames_table", t[i].v, rule, two_frames(s, &code, t[i].at, t[i].n, bad));
        verdict v = t[i].v == SAME ? SAME : t[i].v;
        emit_set(s, "frames_table", v, rule, two_frames(s, &code, t[i].at, t[i].n, good));
        b = pieces(s, &none, &code, "01234"); /* one frame needs no table */
        uint8_t table[16];
        for (int k = 0; k < 2; k++)
            store(table + 8 * k, t[i].at[k], 8, false);
        put(s, &b, OFFSETS, "OV", table, t[i].n < 16 ? t[i].n : 16);
        emit_set(s, "frame_table", SAME, SAME_RULE, b);
    }
    static const uint32_t len[] = {UNDEFINED, 0x7FFFFFFF, 0x80000000u, 0xFFFFFFF8u, 8, 24, 1 << 20};
    for (size_t i = 0; i < sizeof len / sizeof *len; i++) {
        b = two_frames(s, &code, t[0].at, 16, NULL);
        tree x = {.big = s->t.big, .explicit_vr = s->t.explicit_vr};
        parse(&x, b.p, b.n);
        store(b.p + find(&x, OFFSETS)->len_at, len[i], 4, false);
        free(x.e);
        verdict v = impossible(s, &b) ? REFUSED : SAME;
        emit_set(s, "frames_table_length", v,
                 v == REFUSED ? "no reading ends with the file" : SAME_RULE, b);
    }
    free(code.p);
}

/* A JP2 file around the code: signature, ftyp, jp2h with ihdr and colr, jp2c. T.800 annex I. */
enum { BOX_TYPE = 12, BOX_HEAD = 32, BOX_IMAGE = 40, BOX_COLOUR = 62, BOX_CODE = 77, CODE_AT = 85 };
static bytes boxed(const source *s, const bytes *code)
{
    static const char before[] = "\0\0\0\x0CjP  \r\n\x87\n"
                                 "\0\0\0\x14"
                                 "ftypjp2 \0\0\0\0jp2 "
                                 "\0\0\0\x2Djp2h\0\0\0\x16ihdr\0\0\0\0\0\0\0\0\0\1\0\7\1\0"
                                 "\0\0\0\x0F"
                                 "colr\1\0\0\0\0\0\x11\0\0\0\0jp2c";
    bytes b = copy_of(before, sizeof before - 1);
    if (b.n != CODE_AT)
        die("the boxes take %zu bytes", b.n);
    store(b.p + BOX_IMAGE + 8, number_of(s, ROWS), 4, true);
    store(b.p + BOX_IMAGE + 12, number_of(s, COLS), 4, true);
    store(b.p + BOX_IMAGE + 18, number_of(s, 0x00280101u) - 1, 1, true);
    store(b.p + BOX_CODE, code->n + 8, 4, true);
    append(&b, code->p, code->n);
    return b;
}

/* Takes the file in boxes. */
static void emit_boxed(const source *s, verdict v, const char *rule, bytes file)
{
    bytes none = {NULL, 0};
    if (file.n & 1)
        append(&file, "", 1);
    emit_set(s, v == KEPT ? "boxes" : "boxes_lie", v, rule, pieces(s, &none, &file, "w"));
    free(file.p);
}

static void boxes(const source *s)
{
    static const char lost[] = "no whole code stream lies in the boxes";
    static const struct {
        head_lie lie;
        verdict v;
    } t[] = {{{BOX_CODE, 4, 0, false}, KEPT}, /* up to the end */
             {{BOX_CODE, 4, 1, false}, REFUSED},
             {{BOX_CODE, 4, 7, false}, REFUSED},
             {{BOX_CODE, 4, 8, false}, REFUSED},
             {{BOX_CODE, 4, -64, true}, REFUSED},
             {{BOX_CODE, 4, 2, true}, REFUSED},
             {{BOX_CODE, 4, 0x7FFFFFFF, false}, REFUSED},
             {{BOX_CODE, 4, 0xFFFFFFFF, false}, REFUSED},
             {{BOX_CODE + 4, 4, 0x6A703278, false}, REFUSED},
             {{BOX_HEAD, 4, 0, false}, REFUSED},
             {{BOX_HEAD, 4, 7, false}, REFUSED},
             {{BOX_HEAD, 4, 1, true}, REFUSED},
             {{BOX_HEAD, 4, -1, true}, REFUSED},
             {{BOX_HEAD, 4, 0xFFFFFFFF, false}, REFUSED},
             {{BOX_TYPE, 4, 0, false}, REFUSED},
             {{BOX_TYPE, 4, 4, true}, REFUSED},
             {{BOX_TYPE, 4, 0x80000000, false}, REFUSED},
             {{0, 4, 13, false}, REFUSED},
             {{8, 4, 0, false}, REFUSED},
             {{BOX_COLOUR + 4, 4, 0x70636C72, false}, REFUSED}, /* a palette */
             {{BOX_COLOUR, 4, 0xFFFF, false}, SAME},
             {{BOX_IMAGE, 4, 0xFFFF, false}, SAME},
             {{BOX_IMAGE + 8, 4, 1, true}, SAME},
             {{BOX_IMAGE + 12, 4, 0, false}, SAME}};
    bytes code = code_of(s);
    if (code.n < 4 || memcmp(code.p, "\xFF\x4F\xFF\x51", 4)) {
        free(code.p);
        return;
    }
    emit_boxed(s, KEPT, "a file of one code stream", boxed(s, &code));
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        const head_lie *l = &t[i].lie;
        bytes b = boxed(s, &code);
        uint32_t old = load(b.p + l->at, l->n, true);
        store(b.p + l->at, l->relative ? old + (uint32_t)l->v : (uint32_t)l->v, l->n, true);
        emit_boxed(s, t[i].v, t[i].v == REFUSED ? lost : SAME_RULE, b);
    }
    static const uint64_t wide[] = {0, 15, 16, 17, 1ull << 32, 1ull << 63, UINT64_MAX};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) { /* lengths of 64 bit */
        bytes b = boxed(s, &code);
        uint8_t n[8];
        store(n, i ? wide[i] : code.n + 16, 8, true);
        store(b.p + BOX_CODE, 1, 4, true);
        splice(&b, CODE_AT, 0, n, 8);
        emit_boxed(s, i ? REFUSED : KEPT, i ? lost : "a length of 64 bit", b);
    }
    static const size_t cut[] = {12, 20, 31, 32, 40, 60, 76, 80, 84, 85, 86, 90};
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        bytes b = boxed(s, &code);
        b.n = cut[i];
        emit_boxed(s, REFUSED, lost, b);
    }
    for (int i = 0; i < 40; i++) {
        bytes b = boxed(s, &code);
        flip(&b, draw(CODE_AT));
        emit_boxed(s, SAME, SAME_RULE, b);
    }
    free(code.p);
}

/* ---- lying headers --------------------------------------------------------------------------- */

typedef struct lie {
    uint32_t tag;
    char how; /* = + * / */
    int v;
    verdict verdict;
} lie;

static const lie lies[] = {{ROWS, '=', 0, REFUSED},           {ROWS, '=', 1, REFUSED},
                           {ROWS, '+', -1, REFUSED},          {ROWS, '+', 1, REFUSED},
                           {ROWS, '/', 2, REFUSED},           {ROWS, '*', 2, REFUSED},
                           {ROWS, '=', 65535, REFUSED},       {ROWS, '+', -100, REFUSED},
                           {COLS, '=', 0, REFUSED},           {COLS, '=', 1, REFUSED},
                           {COLS, '+', -1, REFUSED},          {COLS, '+', 1, REFUSED},
                           {COLS, '/', 2, REFUSED},           {COLS, '*', 2, REFUSED},
                           {COLS, '=', 65535, REFUSED},       {COLS, '+', -100, REFUSED},
                           {0x00280100u, '=', 0, REFUSED},    {0x00280100u, '=', 1, REFUSED},
                           {0x00280100u, '/', 2, REFUSED},    {0x00280100u, '=', 12, REFUSED},
                           {0x00280100u, '=', 24, REFUSED},   {0x00280100u, '=', 32, REFUSED},
                           {0x00280100u, '=', 64, REFUSED},   {0x00280100u, '=', 65535, REFUSED},
                           {0x00280101u, '=', 0, REFUSED},    {0x00280101u, '=', 17, REFUSED},
                           {0x00280101u, '=', 32, REFUSED},   {0x00280101u, '=', 65535, REFUSED},
                           {0x00280101u, '+', -1, SAME},      {0x00280101u, '=', 1, SAME},
                           {0x00280102u, '=', 0, REFUSED},    {0x00280102u, '=', 16, REFUSED},
                           {0x00280102u, '=', 31, REFUSED},   {0x00280102u, '=', 65535, REFUSED},
                           {0x00280102u, '=', 15, SAME},      {0x00280103u, '=', 1, SAME},
                           {0x00280103u, '=', 2, SAME},       {0x00280103u, '=', 65535, SAME},
                           {0x00280002u, '=', 0, REFUSED},    {0x00280002u, '=', 2, REFUSED},
                           {0x00280002u, '=', 3, REFUSED},    {0x00280002u, '=', 4, REFUSED},
                           {0x00280002u, '=', 65535, REFUSED}};

static const char *name_of(uint32_t tag)
{
    return tag == ROWS                                ? "lie_rows"
           : tag == COLS                              ? "lie_columns"
           : tag == 0x00280002u                       ? "lie_samples"
           : tag == 0x00280100u                       ? "lie_bits"
           : tag == 0x00280101u || tag == 0x00280102u ? "lie_bits_stored"
                                                      : "lie_sign";
}

static void header_lies(const source *s)
{
    static const char rule[] = "the image cannot be as the header says";
    bool rle = strcmp(s->tail, ".5") == 0;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        const lie *l = &lies[i];
        unsigned old = number_of(s, l->tag);
        int v = l->how == '='   ? l->v
                : l->how == '+' ? (int)old + l->v
                : l->how == '*' ? (int)old * l->v
                                : (int)old / l->v;
        if (v < 0 || v > 65535 || (unsigned)v == old)
            continue;
        bytes b = set_of(s);
        put_us(s, &b, l->tag, (unsigned)v);
        emit_set(s, name_of(l->tag), l->verdict, rule, b);
    }
    static const struct {
        unsigned rows, cols;
    } huge[] = {{65535, 65535}, {65535, 1}, {1, 65535}, {0, 0}, {32768, 32768}, {16384, 16384}};
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        bytes b = set_of(s);
        put_us(s, &b, ROWS, huge[i].rows);
        put_us(s, &b, COLS, huge[i].cols);
        emit_set(s, "lie_size", REFUSED, rule, b);
    }
    if (number_of(s, ROWS) != number_of(s, COLS)) {
        bytes b = set_of(s);
        put_us(s, &b, ROWS, number_of(s, COLS));
        put_us(s, &b, COLS, number_of(s, ROWS));
        bool blind = rle || !s->t.items;
        emit_set(s, "lie_turned", blind ? BLIND : REFUSED,
                 blind ? "the number of samples is right" : rule, b);
    }
    if (number_of(s, 0x00280100u) == 16) { /* a whole description, of half the bytes */
        bytes b = set_of(s);
        put_us(s, &b, 0x00280100u, 8);
        put_us(s, &b, 0x00280101u, 8);
        put_us(s, &b, 0x00280102u, 7);
        emit_set(s, "lie_bits", REFUSED, rule, b);
    }
}

static void word_lies(const source *s)
{
    static const struct {
        const char *class;
        uint32_t tag;
        const char *vr, *v;
        verdict verdict;
    } t[] = {{"lie_frames", 0x00280008u, "IS", "2", REFUSED},
             {"lie_frames", 0x00280008u, "IS", "3", REFUSED},
             {"lie_frames", 0x00280008u, "IS", "1000", REFUSED},
             {"lie_frames", 0x00280008u, "IS", "65536", REFUSED},
             {"lie_frames", 0x00280008u, "IS", "2147483647", REFUSED},
             {"lie_frames", 0x00280008u, "IS", "2147483648", REFUSED},
             {"lie_frames", 0x00280008u, "IS", "4294967297", REFUSED},
             {"lie_frames", 0x00280008u, "IS", "0", SAME},
             {"lie_frames", 0x00280008u, "IS", "-1", SAME},
             {"lie_frames", 0x00280008u, "IS", "many", SAME},
             {"lie_frames", 0x00280008u, "IS", "", SAME},
             {"lie_frames", 0x00280008u, "IS", "1\\2\\3", SAME},
             {"lie_colour", 0x00280004u, "CS", "RGB", REFUSED},
             {"lie_colour", 0x00280004u, "CS", "YBR_FULL_422", REFUSED},
             {"lie_colour", 0x00280004u, "CS", "PALETTE COLOR", REFUSED},
             {"lie_colour", 0x00280004u, "CS", "MONOCHROME3", REFUSED},
             {"lie_colour", 0x00280004u, "CS", "", REFUSED},
             {"lie_colour", 0x00280004u, "CS", "MONOCHROME1", SAME},
             {"lie_colour", 0x00280004u, "CS", "MONOCHROME2", SAME},
             {"lie_display", 0x00281051u, "DS", "0", SAME},
             {"lie_display", 0x00281051u, "DS", "-4096", SAME},
             {"lie_display", 0x00281051u, "DS", "1e308", SAME},
             {"lie_display", 0x00281051u, "DS", "1e-308", SAME},
             {"lie_display", 0x00281051u, "DS", "nan", SAME},
             {"lie_display", 0x00281050u, "DS", "1e999", SAME},
             {"lie_display", 0x00281050u, "DS", "-1e308", SAME},
             {"lie_display", 0x00281053u, "DS", "0", SAME},
             {"lie_display", 0x00281053u, "DS", "inf", SAME},
             {"lie_display", 0x00281053u, "DS", "1e308", SAME},
             {"lie_display", 0x00281052u, "DS", "-1e308", SAME},
             {"lie_display", 0x00281056u, "CS", "NO SUCH FUNCTION", SAME},
             {"lie_display", 0x00280120u, "US", "\xFF\xFF", SAME},
             {"lie_spacing", 0x00181164u, "DS", "0\\0", SAME},
             {"lie_spacing", 0x00181164u, "DS", "1e308\\1e-308", SAME},
             {"lie_spacing", 0x00181164u, "DS", "-0.1\\nan", SAME},
             {"lie_spacing", 0x00181164u, "DS", "1e-9\\1e-9", SAME},
             {"lie_spacing", 0x00181164u, "DS", "99\\99", SAME}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        if (s->t.items && t[i].verdict == SAME && t[i].tag >> 16 != 0x0028 && i % 4)
            continue;
        bytes b = set_of(s);
        put_text(s, &b, t[i].tag, t[i].vr, t[i].v);
        emit_set(s, t[i].class, t[i].verdict,
                 t[i].verdict == REFUSED ? "the image cannot be as the header says" : SAME_RULE, b);
    }
    /* a text of a million values */
    bytes many = {need(2000000), 2000000}, b = set_of(s);
    for (size_t i = 0; i < many.n; i++)
        many.p[i] = i % 2 ? '\\' : '1';
    put(s, &b, 0x00204000u, s->t.explicit_vr ? "UT" : "LT", many.p, many.n);
    emit_set(s, "long_text", SAME, SAME_RULE, b);
    free(many.p);
}

/* ---- lengths, nesting ------------------------------------------------------------------------ */

static void length_lies(const source *s)
{
    static const uint32_t tags[] = {0x00080060u, 0x00100020u, ROWS,        0x0020000Du, PIXELS,
                                    0x00540220u, 0x00281050u, 0x00080008u, 0x00080018u};
    static const int64_t v[] = {0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0, -1, 1, -2, 2};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        const elem *x = find(&s->t, tags[i]);
        for (size_t k = 0; x && k < sizeof v / sizeof *v; k++) {
            uint32_t n = k < 5 ? (uint32_t)v[k] : x->len + (uint32_t)v[k];
            if (k < 4 && x->len_bytes == 2)
                n = k == 0 ? 0xFFFF : k == 1 ? 0x7FFF : k == 2 ? 0x8000 : 0xFFFE;
            if (n == x->len)
                continue;
            bytes b = set_of(s);
            store(b.p + x->len_at, n, x->len_bytes, s->t.big);
            verdict w = impossible(s, &b) ? REFUSED : SAME;
            emit_set(s, "length", w, w == REFUSED ? "no reading ends with the file" : SAME_RULE, b);
        }
    }
    const elem *px = find(&s->t, PIXELS);
    if (!s->t.items) {
        bytes b = set_of(s); /* less, and the file ends there */
        store(b.p + px->len_at, px->len - 2, 4, s->t.big);
        splice(&b, px->end - 2, 2, NULL, 0);
        emit_set(s, "length_short", REFUSED, "fewer bytes than samples", b);
        b = set_of(s); /* twice the bytes */
        store(b.p + px->len_at, (uint64_t)px->len * 2, 4, s->t.big);
        splice(&b, px->end, 0, s->set.p + px->value, px->len);
        emit_set(s, "length_twice", REFUSED, "twice the bytes of the image", b);
    } else {
        bytes b = set_of(s); /* a defined length around the items, without a delimiter */
        store(b.p + px->len_at, px->end - px->value - 8, 4, s->t.big);
        splice(&b, px->end - 8, 8, NULL, 0);
        emit_set(s, "length_defined", SAME, SAME_RULE, b);
    }
}

/* `levels` sequences inside each other, of undefined length, closed or not. */
static bytes nest(const source *s, const char *vr, int levels, bool closed)
{
    bytes open = head_bytes(s, PRIVATE_SQ, vr, UNDEFINED), b = {NULL, 0};
    bytes item = head_bytes(s, ITEM, NULL, UNDEFINED);
    size_t one = open.n + item.n;
    b.n = one * (size_t)levels + (closed ? 16 * (size_t)levels : 0);
    b.p = need(b.n);
    for (int i = 0; i < levels; i++) {
        memcpy(b.p + one * (size_t)i, open.p, open.n);
        memcpy(b.p + one * (size_t)i + open.n, item.p, item.n);
        uint8_t *end = b.p + one * (size_t)levels + 16 * (size_t)i;
        if (closed) {
            store_tag(end, ITEM_END, s->t.big);
            store_tag(end + 8, SEQ_END, s->t.big);
        }
    }
    free(open.p);
    free(item.p);
    return b;
}

/* The same with defined lengths, built from the inside. */
static bytes nest_defined(const source *s, int levels)
{
    bytes b = {need(1), 0};
    for (int i = 0; i < levels; i++) {
        bytes item = head_bytes(s, ITEM, NULL, (uint32_t)b.n);
        append(&item, b.p, b.n);
        free(b.p);
        b = head_bytes(s, PRIVATE_SQ, "SQ", (uint32_t)item.n);
        append(&b, item.p, item.n);
        free(item.p);
    }
    return b;
}

static void insert(const source *s, const char *class, verdict v, const char *rule, bytes what)
{
    bytes b = set_of(s);
    const elem *next = NULL;
    for (int i = s->t.n - 1; i >= 0; i--)
        if (s->t.e[i].depth == 0 && s->t.e[i].tag > PRIVATE_SQ)
            next = &s->t.e[i];
    splice(&b, next->at, 0, what.p, what.n);
    free(what.p);
    emit_set(s, class, v, rule, b);
}

static void nesting(const source *s)
{
    static const char deep[] = "deeper than a reader can follow", open[] = "it is never closed";
    insert(s, "nest_shallow", KEPT, "ten levels are legal", nest(s, "SQ", 10, true));
    insert(s, "nest_shallow", KEPT, "ten levels are legal", nest_defined(s, 10));
    insert(s, "nest_deep", REFUSED, deep, nest(s, "SQ", 1000, true));
    insert(s, "nest_deep", REFUSED, deep, nest_defined(s, 1000));
    insert(s, "nest_deep", REFUSED, deep, nest(s, "SQ", 20000, true));
    insert(s, "nest_deep", REFUSED, deep, nest(s, "SQ", 20000, false));
    insert(s, "nest_open", REFUSED, open, nest(s, "SQ", 1, false));
    insert(s, "nest_open", REFUSED, open, nest(s, "SQ", 10, false));
    insert(s, "nest_open", REFUSED, open, nest(s, "SQ", 1000, false));
    if (s->t.explicit_vr && !s->t.big) {
        source plain = *s; /* inside UN everything is implicit, PS3.5 6.2.2 */
        plain.t.explicit_vr = false;
        bytes b = head_bytes(s, PRIVATE_SQ, "UN", UNDEFINED), in = nest(&plain, "SQ", 1000, true);
        uint8_t h[24] = {0};
        store_tag(h, ITEM, false);
        store(h + 4, UNDEFINED, 4, false);
        append(&b, h, 8);
        append(&b, in.p, in.n);
        store_tag(h + 8, ITEM_END, false);
        store_tag(h + 16, SEQ_END, false);
        append(&b, h + 8, 16);
        free(in.p);
        insert(s, "nest_deep", REFUSED, deep, b);
    }
    uint8_t stray[8];
    static const uint32_t tags[] = {ITEM, ITEM_END, SEQ_END};
    for (int i = 0; i < 3; i++) {
        store_tag(stray, tags[i], s->t.big);
        store(stray + 4, 0, 4, s->t.big);
        insert(s, "stray_item", REFUSED, "an item outside a sequence", copy_of(stray, 8));
    }
}

/* ---- transfer syntax, missing attributes ----------------------------------------------------- */

/* The whole file with another value of a meta element; the group length is put right. NULL: the
 * element is removed. */
static bytes with_meta(const source *s, uint32_t tag, const char *v)
{
    bytes b = copy_of(s->file.p, s->file.n);
    const elem *x = find(&s->meta, tag), *group = find(&s->meta, 0x00020000u);
    char even[128] = {0};
    size_t n = v ? strlen(v) : 0, old = b.n;
    n += n & 1;
    if (v) {
        memcpy(even, v, strlen(v));
        store(b.p + PREAMBLE + x->len_at, n, x->len_bytes, false);
        splice(&b, PREAMBLE + x->value, x->len, even, n);
    } else {
        splice(&b, PREAMBLE + x->at, x->end - x->at, NULL, 0);
    }
    if (group && group->len == 4 && tag != 0x00020000u) {
        uint8_t *p = b.p + PREAMBLE + group->value;
        store(p, load(p, 4, false) + (uint32_t)(b.n - old), 4, false);
    }
    return b;
}

/* Both names admit the same streams. */
static bool akin(const char *a, const char *b)
{
    static const char *const family[] = {".4.50 .4.51 .4.53 .4.55 ", ".4.57 .4.70 ", ".4.80 .4.81 ",
                                         ".4.90 .4.91 .4.201 .4.202 .4.203 "};
    for (size_t i = 0; i < sizeof family / sizeof *family; i++) {
        char x[32], y[32];
        snprintf(x, sizeof x, "%s ", a);
        snprintf(y, sizeof y, "%s ", b);
        if (strstr(family[i], x) && strstr(family[i], y))
            return true;
    }
    return false;
}

static void syntaxes(const source *s)
{
    static const char *const tails[] = {"",      ".1",    ".1.99", ".2",    ".5",
                                        ".4.50", ".4.51", ".4.57", ".4.70", ".4.80",
                                        ".4.81", ".4.90", ".4.91", ".4.201"};
    static const char *const wrong[] = {UID ".4.102", UID ".4.110", UID ".99", "1.2.3",
                                        "",           "not a uid",  UID "."};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        char uid[65];
        if (strcmp(tails[i], s->tail) == 0)
            continue;
        snprintf(uid, sizeof uid, UID "%s", tails[i]);
        bool same = akin(tails[i], s->tail);
        emit(s, "syntax", same ? SAME : NOTICED,
             same ? SAME_RULE : "the syntax is not that of the bytes", with_meta(s, SYNTAX, uid));
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        emit(s, "syntax_unknown", i < 3 ? REFUSED : SAME, "nobody can decode this syntax",
             with_meta(s, SYNTAX, wrong[i]));
}

static void missing(const source *s)
{
    static const struct {
        uint32_t tag;
        verdict v;
    } t[] = {
        {ROWS, REFUSED},     {COLS, REFUSED},        {0x00280100u, REFUSED}, {0x00280004u, REFUSED},
        {PIXELS, REFUSED},   {0x00280002u, SAME},    {0x00280101u, SAME},    {0x00280102u, SAME},
        {0x00280103u, SAME}, {0x0020000Du, REFUSED}, {0x00100020u, REFUSED}, {0x00181164u, REFUSED},
        {0x00080008u, SAME}, {0x00080016u, SAME},    {0x00080018u, SAME},    {0x00080020u, SAME},
        {0x00080022u, SAME}, {0x00080060u, SAME},    {0x00080068u, SAME},    {0x00080070u, SAME},
        {0x00181152u, SAME}, {0x00185101u, SAME},    {0x00200020u, SAME},    {0x00200062u, SAME},
        {0x00281050u, SAME}, {0x00281051u, SAME},    {0x00540220u, SAME},    {0x20500020u, SAME}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        const elem *x = find(&s->t, t[i].tag);
        /* identity and size decide only where the demo's configuration judges them */
        bool pixels = t[i].tag >> 16 == 0x0028 || t[i].tag == PIXELS;
        if (!x || (real && !pixels))
            continue;
        const char *rule = t[i].v == REFUSED ? "nothing can stand in for it" : SAME_RULE;
        bytes b = set_of(s);
        splice(&b, x->at, x->end - x->at, NULL, 0);
        emit_set(s, "missing", t[i].v, rule, b);
        if (x->len == UNDEFINED)
            continue;
        b = set_of(s);
        store(b.p + x->len_at, 0, x->len_bytes, s->t.big);
        splice(&b, x->value, x->len, NULL, 0);
        emit_set(s, "missing_value", t[i].v, rule, b);
    }
    for (int i = 0; i < s->meta.n; i++)
        emit(s, "missing_meta", SAME, SAME_RULE, with_meta(s, s->meta.e[i].tag, NULL));
    emit(s, "missing_preamble", SAME, SAME_RULE,
         copy_of(s->file.p + PREAMBLE, s->file.n - PREAMBLE));
    emit(s, "missing_head", SAME, SAME_RULE, copy_of(s->file.p + s->head, s->file.n - s->head));
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* A LUT sequence with one item: descriptor words (n of them) and `entries` words of data, -1 none.
 */
static void lut(const source *s, uint32_t tag, const unsigned *d, int n, int entries)
{
    bytes item = {need(1), 0};
    uint8_t w[2];
    if (n) {
        bytes h = head_bytes(s, 0x00283002u, "US", (uint32_t)(2 * n));
        append(&item, h.p, h.n);
        free(h.p);
        for (int i = 0; i < n; i++) {
            store(w, d[i % 3], 2, s->t.big);
            append(&item, w, 2);
        }
    }
    if (entries >= 0) {
        bytes h = head_bytes(s, 0x00283006u, "OW", (uint32_t)(2 * entries));
        bytes data = {need((size_t)entries * 2), (size_t)entries * 2};
        for (int i = 0; i < entries; i++)
            store(data.p + 2 * i, (uint64_t)i * 16 % 65536, 2, s->t.big);
        append(&item, h.p, h.n);
        append(&item, data.p, data.n);
        free(h.p);
        free(data.p);
    }
    bytes v = head_bytes(s, ITEM, NULL, (uint32_t)item.n), b = set_of(s);
    append(&v, item.p, item.n);
    put(s, &b, tag, "SQ", v.p, v.n);
    emit_set(s, "lut", SAME, SAME_RULE, b);
    free(item.p);
    free(v.p);
}

static void luts(const source *s)
{
    static const struct {
        unsigned d[3];
        int n, entries;
    } t[] = {{{4096, 0, 16}, 3, 4096},
             {{0, 0, 16}, 3, 16},
             {{1, 0, 16}, 3, 1},
             {{65535, 0, 16}, 3, 16},
             {{4096, 65535, 16}, 3, 4096},
             {{4096, 32768, 16}, 3, 4096},
             {{4096, 0, 0}, 3, 4096},
             {{4096, 0, 17}, 3, 4096},
             {{4096, 0, 65535}, 3, 4096},
             {{4096, 0, 1}, 3, 4096},
             {{4096, 0, 16}, 3, 1},
             {{4096, 0, 16}, 3, 0},
             {{4096, 0, 16}, 3, -1},
             {{4096, 0, 16}, 0, 4096},
             {{4096, 0, 16}, 1, 4096},
             {{4096, 0, 16}, 99, 4096},
             {{16, 0, 8}, 3, 8}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        lut(s, 0x00283000u, t[i].d, t[i].n, t[i].entries);
        lut(s, 0x00283010u, t[i].d, t[i].n, t[i].entries);
    }
}

/* ---- bombs ----------------------------------------------------------------------------------- */

static void deflate_bomb(const source *s, int blocks, uint32_t length)
{
    const elem *px = find(&s->t, PIXELS);
    bytes zeros = {need(BLOCK), BLOCK}, head = copy_of(s->set.p, px->value);
    store(head.p + px->len_at, length, 4, false);
    bytes first = squeeze(head.p, head.n, Z_FULL_FLUSH);
    bytes block = squeeze(zeros.p, zeros.n, Z_FULL_FLUSH), last = squeeze(NULL, 0, Z_FINISH);
    bytes b = {need(s->head + first.n + (size_t)blocks * block.n + last.n), 0};
    const bytes parts[] = {{s->file.p, s->head}, first};
    for (int i = 0; i < blocks + 3; i++) {
        const bytes *x = i < 2 ? &parts[i] : i < blocks + 2 ? &block : &last;
        memcpy(b.p + b.n, x->p, x->n);
        b.n += x->n;
    }
    free(zeros.p);
    free(head.p);
    free(first.p);
    free(block.p);
    free(last.p);
    emit(s, "bomb_deflate", REFUSED, "far more bytes than samples", b);
}

static void code_bomb(const source *s, unsigned rows, unsigned cols, size_t keep)
{
    bytes code = code_of(s), none = {NULL, 0}, b;
    size_t at = frame_head(&code);
    bool wavelet = at && code.p[at + 1] == 0x51;
    if (wavelet) {
        store(code.p + at + 6, cols, 4, true);
        store(code.p + at + 10, rows, 4, true);
        store(code.p + at + 22, keep % 2 ? 1 : cols, 4,
              true); /* tiles of one sample, or one tile */
        store(code.p + at + 26, keep % 2 ? 1 : rows, 4, true);
    } else if (at) {
        store(code.p + at + 5, rows, 2, true);
        store(code.p + at + 7, cols, 2, true);
    }
    if (keep > 1 && keep < code.n)
        code.n = keep & ~(size_t)1;
    b = pieces(s, &none, &code, "w");
    put_us(s, &b, ROWS, rows);
    put_us(s, &b, COLS, cols);
    /* a wavelet codes one flat row of any length with a few bytes */
    verdict v = wavelet && rows == 1 ? BLIND : REFUSED;
    emit_set(s, "bomb_code", v, "far more samples than the code can hold", b);
    free(code.p);
}

static void bombs(const source *s)
{
    static const unsigned size[][2] = {{65535, 65535}, {65535, 8192}, {16384, 16384}, {1, 65535}};
    static const size_t keep[] = {0, 300, 301};
    if (s->deflated) {
        deflate_bomb(s, 1, (uint32_t)BLOCK);
        deflate_bomb(s, 20, (uint32_t)(20 * BLOCK));
        deflate_bomb(s, 70, 0xFFFFFFFEu);
        deflate_bomb(s, 70, 0);
    }
    for (size_t i = 0; s->t.items && i < sizeof size / sizeof *size; i++)
        for (size_t k = 0; k < sizeof keep / sizeof *keep; k++)
            code_bomb(s, size[i][0], size[i][1], keep[k]);
}

/* ---- no image at all ------------------------------------------------------------------------- */

static void noise(const source *s)
{
    static const size_t size[] = {0,   1,   2,   8,    127,  128,   131,    132,
                                  133, 140, 200, 1000, 4096, 65536, 300001, 1 << 20};
    static const char rule[] = "no DICOM file";
    for (size_t i = 0; i < sizeof size / sizeof *size; i++)
        for (int form = 0; form < 4; form++) {
            bytes b = {need(size[i]), size[i]};
            for (size_t k = 0; form != 1 && k < b.n; k++)
                b.p[k] = form == 3 ? "a line of text\n"[k % 15] : (uint8_t)draw(256);
            if (form == 2 && b.n >= PREAMBLE)
                memcpy(b.p + PREAMBLE - 4, "DICM", 4);
            emit(NULL, "noise", REFUSED, rule, b);
        }
    for (int i = 0; i < 20; i++) { /* a proper head, and nothing behind it */
        bytes b = copy_of(s->file.p, s->head), tail = {need(5000), 5000};
        for (size_t k = 0; k < tail.n; k++)
            tail.p[k] = (uint8_t)draw(256);
        append(&b, tail.p, i == 0 ? 0 : tail.n);
        free(tail.p);
        emit(NULL, "noise_head", REFUSED, rule, b);
    }
}

/* ---- sources --------------------------------------------------------------------------------- */

static bool read_file(const char *path, bytes *out)
{
    FILE *f = fopen(path, "rb");
    long n = -1;
    if (f && !fseek(f, 0, SEEK_END))
        n = ftell(f);
    if (n < PREAMBLE || n > 16 << 20 || fseek(f, 0, SEEK_SET)) {
        if (f)
            fclose(f);
        return false;
    }
    *out = (bytes){need((size_t)n), (size_t)n};
    bool ok = fread(out->p, 1, out->n, f) == out->n;
    fclose(f);
    return ok;
}

/* Only grey single-frame images of a known syntax, whole by this parser's own judgement. */
static bool open_source(const char *path, source *s)
{
    memset(s, 0, sizeof *s);
    if (!read_file(path, &s->file) || memcmp(s->file.p + PREAMBLE - 4, "DICM", 4))
        return false;
    size_t at = PREAMBLE;
    s->meta.d = s->file.p + PREAMBLE;
    s->meta.explicit_vr = true;
    for (;;) {
        elem x;
        bool unused;
        if (!read_head(&s->meta, at - PREAMBLE, s->file.n - PREAMBLE, &x, &unused))
            return false;
        if (x.tag >> 16 != 2)
            break;
        if (x.len > s->file.n - PREAMBLE - x.value)
            return false;
        x.end = x.value + x.len;
        at = PREAMBLE + x.end;
        *new_elem(&s->meta) = x;
    }
    const elem *ts = find(&s->meta, SYNTAX);
    if (!ts || ts->len >= sizeof s->uid)
        return false;
    memcpy(s->uid, s->meta.d + ts->value, ts->len);
    if (strncmp(s->uid, UID, strlen(UID)))
        return false;
    s->tail = s->uid + strlen(UID);
    s->head = at;
    s->deflated = strcmp(s->tail, ".1.99") == 0;
    s->t.big = strcmp(s->tail, ".2") == 0;
    s->t.explicit_vr = s->tail[0] != '\0';
    s->set = s->deflated ? inflated(s->file.p + at, s->file.n - at, &s->used)
                         : copy_of(s->file.p + at, s->file.n - at);
    snprintf(s->name, sizeof s->name, "ts%s", s->tail);
    for (char *p = s->name; *p; p++)
        *p = *p == '.' ? '_' : *p;
    if (!s->set.n || !parse(&s->t, s->set.p, s->set.n))
        return false;
    const elem *px = find(&s->t, PIXELS), *frames = find(&s->t, 0x00280008u);
    bool one =
        !frames || frames->len == 0 || strtol((char *)s->set.p + frames->value, NULL, 10) == 1;
    return px && one && number_of(s, 0x00280002u) == 1 && number_of(s, ROWS) > 16 &&
           number_of(s, COLS) > 16 && (s->t.items ? item_of(&s->t, 1) != NULL : px->len > 0);
}

static void close_source(source *s)
{
    free(s->file.p);
    free(s->set.p);
    free(s->t.e);
    free(s->meta.e);
}

static void damage(const source *s, int number)
{
    state ^= (uint64_t)(number + 1) * 0xD1342543DE82EF95u;
    emit(s, "whole", KEPT, "not damaged", copy_of(s->file.p, s->file.n));
    if (s->t.items && (real || wrap)) {
        frame_tables(s);
        boxes(s);
    }
    if (wrap)
        return;
    cuts(s);
    flips(s);
    header_lies(s);
    word_lies(s);
    length_lies(s);
    nesting(s);
    syntaxes(s);
    missing(s);
    luts(s);
    if (s->t.items) {
        item_lies(s);
        fragments(s);
        short_code(s);
        code_heads(s);
    }
    bombs(s);
}

static int print_rows(const char *catalog)
{
    static const char query[] =
        "SELECT f.path, f.scan_reason, ifnull(p.primary_reason, 'NOT_JUDGED'),"
        " ifnull(p.pixel_hash, ''), ifnull((SELECT group_concat(code, ' ') FROM reason r"
        " WHERE r.file = f.id), ''), f.id"
        " FROM file f LEFT JOIN prepared p ON p.file = f.id ORDER BY f.path";
    sqlite3 *db;
    sqlite3_stmt *q;
    if (sqlite3_open_v2(catalog, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, query, -1, &q, NULL) != SQLITE_OK)
        die("%s", sqlite3_errmsg(db));
    int rc;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW)
        for (int i = 0; i < 6; i++)
            printf("%s%c", (const char *)sqlite3_column_text(q, i), i < 5 ? '\t' : '\n');
    sqlite3_finalize(q);
    sqlite3_close(db);
    return rc == SQLITE_DONE ? 0 : 1;
}

int main(int argc, char **argv)
{
    static source chosen[SOURCES_MAX];
    int n = 0;
    char path[4096];
    if (argc == 3 && strcmp(argv[1], "rows") == 0)
        return print_rows(argv[2]);
    if (argc < 5)
        die("usage: damage OUT SEED demo|real|wrap FILE...");
    folder = argv[1];
    state = strtoull(argv[2], NULL, 10) * 0x9E3779B97F4A7C15u + 1;
    real = strcmp(argv[3], "real") == 0;
    wrap = strcmp(argv[3], "wrap") == 0;
    for (int i = 4; i < argc; i++) {
        source s;
        int k = 0;
        if (!open_source(argv[i], &s)) {
            close_source(&s);
            continue;
        }
        while (k < n && strcmp(chosen[k].uid, s.uid))
            k++;
        if (k == n && n < SOURCES_MAX)
            n++;
        if (k == SOURCES_MAX || (chosen[k].file.p && chosen[k].file.n <= s.file.n)) {
            close_source(&s);
            continue;
        }
        close_source(&chosen[k]);
        chosen[k] = s;
        chosen[k].tail = chosen[k].uid + strlen(UID);
    }
    snprintf(path, sizeof path, "%s/damage.csv", folder);
    list = fopen(path, "w");
    if (!list || n == 0)
        die(n ? "cannot write the list" : "none of the files can be used");
    fputs("file,source,class,detectable,accept,rule\n", list);
    for (int i = 0; i < n; i++)
        damage(&chosen[i], i);
    if (!wrap)
        noise(&chosen[0]);
    if (fclose(list))
        die("cannot write the list");
    printf("%d files from %d sources:", made, n);
    for (int i = 0; i < n; i++) {
        printf(" %s", chosen[i].uid);
        close_source(&chosen[i]);
    }
    putchar('\n');
    return 0;
}
