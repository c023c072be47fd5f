/* The grammar of a DICOM data set, checked without recursion: a small stack of open sequences and
 * items replaces the call stack, and every length is compared with the bytes that are left. */
#include "dicom/walk.h"

#include <string.h>

#define UNDEFINED   UINT32_MAX
#define NO_END      SIZE_MAX
#define FRAMES      (2 * WALK_DEPTH + 2)
#define TAG(g, e)   ((uint32_t)(g) << 16 | (uint32_t)(e))
#define ITEM        TAG(0xFFFE, 0xE000)
#define ITEM_END    TAG(0xFFFE, 0xE00D)
#define SEQ_END     TAG(0xFFFE, 0xE0DD)
#define PIXEL_DATA  TAG(0x7FE0, 0x0010)
#define OFFSETS     TAG(0x7FE0, 0x0001)
#define SYNTAX_TAG  TAG(0x0002, 0x0010)
#define META_AT     132
#define HEADER_MIN  8 /* bytes of the shortest element header */
#define SYNTAX_DEFL "1.2.840.10008.1.2.1.99"
#define SYNTAX_GE   "1.2.840.113619.5.2" /* implicit little endian, but for the pixel data */

typedef struct frame {
    size_t end; /* NO_END = closed by a delimiter */
    bool items; /* a sequence, holding items; else an item, holding elements */
    bool explicit_vr;
} frame;

typedef struct reader {
    const uint8_t *d;
    size_t len, at;
    bool explicit_vr, big;
    frame open[FRAMES];
    int depth;
    walk *w;
    walk_visit *visit; /* NULL = nobody wants the elements */
    void *ctx;
    uint32_t top_tag; /* the element of the top level that r->at lies in; 0 = none */
    size_t top_at;
} reader;

typedef struct element {
    uint32_t tag, length;
    char vr[2];
    bool vr_known;
} element;

static unsigned get16(const reader *r, size_t at)
{
    const uint8_t *p = r->d + at;
    return r->big ? (unsigned)p[0] << 8 | p[1] : (unsigned)p[1] << 8 | p[0];
}

static uint32_t get32(const reader *r, size_t at)
{
    const uint8_t *p = r->d + at;
    if (r->big)
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static bool vr_letters(const uint8_t *p)
{
    return p[0] >= 'A' && p[0] <= 'Z' && p[1] >= 'A' && p[1] <= 'Z';
}

static bool vr_is(const char *vr, const char *name)
{
    return vr[0] == name[0] && vr[1] == name[1];
}

/* Bytes of the length field of each value representation, PS3.5 table 7.1-1; 0 = no such one. */
#define VR(a, b, n) [a - 'A'][b - 'A'] = n
static const uint8_t length_bytes[26][26] = {
    VR('O', 'B', 4), VR('O', 'W', 4), VR('O', 'F', 4), VR('O', 'D', 4), VR('O', 'L', 4),
    VR('O', 'V', 4), VR('S', 'Q', 4), VR('U', 'C', 4), VR('U', 'N', 4), VR('U', 'R', 4),
    VR('U', 'T', 4), VR('S', 'V', 4), VR('U', 'V', 4), VR('A', 'E', 2), VR('A', 'S', 2),
    VR('A', 'T', 2), VR('C', 'S', 2), VR('D', 'A', 2), VR('D', 'S', 2), VR('D', 'T', 2),
    VR('F', 'L', 2), VR('F', 'D', 2), VR('I', 'S', 2), VR('L', 'O', 2), VR('L', 'T', 2),
    VR('P', 'N', 2), VR('S', 'H', 2), VR('S', 'L', 2), VR('S', 'S', 2), VR('S', 'T', 2),
    VR('T', 'M', 2), VR('U', 'I', 2), VR('U', 'L', 2), VR('U', 'S', 2),
};

/* Read the header at r->at and step behind it. */
static walk_status read_header(reader *r, element *e)
{
    size_t left = r->len - r->at;
    if (left < HEADER_MIN)
        return WALK_CUT;
    *e = (element){.tag = TAG(get16(r, r->at), get16(r, r->at + 2))};
    if (!r->explicit_vr || e->tag >> 16 == 0xFFFE) {
        e->length = get32(r, r->at + 4);
        r->at += 8;
        return WALK_OK;
    }
    const uint8_t *vr = r->d + r->at + 4;
    bool letters = vr_letters(vr);
    memcpy(e->vr, vr, 2);
    e->vr_known = letters;
    /* an unknown pair is taken for the long form when its reserved bytes are zero */
    int bytes = letters ? length_bytes[vr[0] - 'A'][vr[1] - 'A'] : 0;
    if (bytes == 2 || (!bytes && get16(r, r->at + 6) != 0)) {
        e->length = get16(r, r->at + 6);
        r->at += 8;
        return WALK_OK;
    }
    if (left < 12)
        return WALK_CUT;
    e->length = get32(r, r->at + 8);
    r->at += 12;
    return WALK_OK;
}

static walk_status push(reader *r, size_t end, bool items, bool explicit_vr)
{
    if (r->depth == FRAMES)
        return WALK_DEEP;
    r->open[r->depth++] = (frame){end, items, r->explicit_vr};
    r->explicit_vr = explicit_vr;
    return WALK_OK;
}

static void pop(reader *r)
{
    r->explicit_vr = r->open[--r->depth].explicit_vr;
}

/* The bytes make no sense: go on behind the innermost container that says where it ends. */
static walk_status recover(reader *r)
{
    while (r->depth > 0) {
        size_t end = r->open[r->depth - 1].end;
        pop(r);
        if (end != NO_END) {
            r->at = end;
            return WALK_OK;
        }
    }
    return WALK_ODD;
}

static bool starts_with_item(const reader *r, size_t at, size_t n)
{
    return n >= 8 && TAG(get16(r, at), get16(r, at + 2)) == ITEM;
}

/* Items of encapsulated pixel data from r->at up to the delimiter or `end`. */
static walk_status pixel_items(reader *r, size_t end)
{
    size_t count = 0;
    bool fixed = end != NO_END;
    size_t limit = fixed ? end : r->len;
    r->w->pixel_items = true;
    for (;;) {
        r->w->pixel_len = r->at - r->w->pixel_at;
        r->w->pixel_fragments = count ? count - 1 : 0;
        if (fixed && r->at == end)
            return WALK_OK;
        if (limit - r->at < 8) {
            r->w->pixel_cut = true;
            return WALK_CUT;
        }
        uint32_t tag = TAG(get16(r, r->at), get16(r, r->at + 2)), n = get32(r, r->at + 4);
        if (tag == SEQ_END) {
            r->at += 8;
            return WALK_OK;
        }
        if (tag != ITEM || n == UNDEFINED)
            return WALK_ODD;
        if (n > limit - r->at - 8) {
            r->w->pixel_cut = true;
            return WALK_CUT;
        }
        r->at += 8 + (size_t)n;
        count++;
    }
}

static walk_status enter_pixels(reader *r, const element *e, size_t header_at)
{
    walk *w = r->w;
    bool encapsulated = strncmp(w->transfer_syntax, "1.2.840.10008.1.2.", 18) == 0 &&
                        strcmp(w->transfer_syntax, "1.2.840.10008.1.2.1") != 0 &&
                        strcmp(w->transfer_syntax, "1.2.840.10008.1.2.2") != 0;
    w->has_pixels = true;
    w->pixel_words = !e->vr_known || vr_is(e->vr, "OW");
    w->header_len = header_at;
    w->pixel_at = r->at;
    if (e->length == UNDEFINED)
        return pixel_items(r, NO_END);
    w->pixel_len = e->length;
    if (e->length > r->len - r->at) {
        w->pixel_cut = true;
        return WALK_CUT;
    }
    if (encapsulated && starts_with_item(r, r->at, e->length))
        return pixel_items(r, r->at + e->length);
    r->at += e->length;
    return WALK_OK;
}

static walk_status enter_value(reader *r, const element *e)
{
    bool sequence = e->vr_known ? vr_is(e->vr, "SQ") : !r->explicit_vr;
    if (e->length == UNDEFINED) {
        if (!sequence && !vr_is(e->vr, "UN") && e->vr_known)
            return recover(r);
        /* an unknown value of undefined length is implicit inside, PS3.5 6.2.2 note 4 */
        return push(r, NO_END, true, e->vr_known && vr_is(e->vr, "SQ") && r->explicit_vr);
    }
    size_t limit = r->len;
    bool bounded = false, table = e->tag == OFFSETS && r->depth == 0;
    for (int i = r->depth - 1; i >= 0 && !bounded; i--)
        if (r->open[i].end != NO_END) {
            limit = r->open[i].end;
            bounded = true;
        }
    if (e->length > limit - r->at)
        return bounded ? recover(r) : WALK_CUT;
    if (sequence && starts_with_item(r, r->at, e->length))
        return push(r, r->at + e->length, true, r->explicit_vr);
    r->w->offsets_at = table ? r->at : r->w->offsets_at;
    r->w->offsets_len = table ? e->length : r->w->offsets_len;
    r->at += e->length;
    return WALK_OK;
}

static walk_status in_sequence(reader *r, const element *e)
{
    frame *top = &r->open[r->depth - 1];
    if (e->tag == SEQ_END && top->end == NO_END) {
        pop(r);
        return WALK_OK;
    }
    if (e->tag != ITEM)
        return recover(r);
    if (e->length == UNDEFINED)
        return push(r, NO_END, false, r->explicit_vr);
    size_t limit = top->end != NO_END ? top->end : r->len;
    for (int i = r->depth - 2; i >= 0; i--)
        if (r->open[i].end != NO_END && r->open[i].end < limit)
            limit = r->open[i].end;
    if (e->length > limit - r->at)
        return limit == r->len && top->end == NO_END ? WALK_CUT : recover(r);
    return push(r, r->at + e->length, false, r->explicit_vr);
}

/* Some archives pad their files. */
static bool only_zeros(const reader *r)
{
    for (size_t i = r->at; i < r->len; i++)
        if (r->d[i] != 0)
            return false;
    return true;
}

/* r->at is behind an element of the top level. */
static void end_top(reader *r)
{
    if (r->top_tag && r->visit)
        r->visit(r->ctx, r->top_tag, r->top_at, r->at);
    r->top_tag = 0;
}

static walk_status walk_dataset(reader *r)
{
    for (;;) {
        while (r->depth > 0 && r->at >= r->open[r->depth - 1].end)
            pop(r);
        if (r->depth == 0)
            end_top(r);
        if (r->at == r->len)
            return r->depth > 0 ? WALK_CUT : WALK_OK;
        if (r->depth == 0 && r->w->has_pixels && only_zeros(r)) {
            r->w->data_len = r->at;
            return WALK_OK;
        }
        size_t header_at = r->at;
        element e;
        bool top = r->depth == 0;
        walk_status s = read_header(r, &e);
        if (s != WALK_OK)
            return s;
        if (top && (e.tag != PIXEL_DATA || r->w->has_pixels)) {
            r->top_tag = e.tag;
            r->top_at = header_at;
        }
        if (r->depth > 0 && r->open[r->depth - 1].end != NO_END &&
            r->at > r->open[r->depth - 1].end)
            s = recover(r);
        else if (r->depth > 0 && r->open[r->depth - 1].items)
            s = in_sequence(r, &e);
        else if (e.tag == ITEM_END && r->depth > 0 && r->open[r->depth - 1].end == NO_END)
            pop(r);
        else if (e.tag >> 16 == 0xFFFE)
            s = recover(r);
        else if (e.tag == PIXEL_DATA && r->depth == 0 && !r->w->has_pixels)
            s = enter_pixels(r, &e, header_at);
        else
            s = enter_value(r, &e);
        if (s != WALK_OK)
            return s;
    }
}

/* Group 0002 from r->at on: explicit little endian by definition. */
static walk_status walk_meta(reader *r)
{
    while (r->len - r->at >= HEADER_MIN && get16(r, r->at) == 0x0002) {
        element e;
        r->explicit_vr = vr_letters(r->d + r->at + 4);
        walk_status s = read_header(r, &e);
        if (s != WALK_OK)
            return s;
        if (e.length > r->len - r->at)
            return WALK_CUT;
        if (e.tag == SYNTAX_TAG && e.length < sizeof(r->w->transfer_syntax)) {
            size_t n = e.length;
            memcpy(r->w->transfer_syntax, r->d + r->at, n);
            while (n > 0 &&
                   (r->w->transfer_syntax[n - 1] == '\0' || r->w->transfer_syntax[n - 1] == ' '))
                n--;
            r->w->transfer_syntax[n] = '\0';
            for (size_t i = 0; i < n; i++) /* a UID has digits and dots only */
                if (!strchr("0123456789.", r->w->transfer_syntax[i]))
                    r->w->transfer_syntax[i] = '?';
        }
        r->at += e.length;
    }
    return WALK_OK;
}

/* Is this how a data set may begin: a low group, and either a value representation or a length
 * that fits. */
static bool plausible_start(const reader *r)
{
    if (r->len - r->at < HEADER_MIN)
        return false;
    unsigned group = get16(r, r->at);
    if (group == 0 || group > 0x0018)
        return false;
    return vr_letters(r->d + r->at + 4) || get32(r, r->at + 4) <= r->len - r->at - 8;
}

void walk_file(const void *data, size_t len, walk *out)
{
    walk_elements(data, len, out, NULL, NULL);
}

void walk_elements(const void *data, size_t len, walk *out, walk_visit *visit, void *ctx)
{
    memset(out, 0, sizeof(*out));
    out->header_len = out->data_len = len;
    reader r = {.d = data, .len = len, .w = out, .visit = visit, .ctx = ctx};
    bool marked = len >= META_AT && memcmp((const char *)data + 128, "DICM", 4) == 0;
    r.at = marked ? META_AT : 0;
    if (!marked && !plausible_start(&r)) {
        r.big = true;
        if (!plausible_start(&r)) {
            out->status = WALK_NOT_DICOM;
            return;
        }
    }
    if (!r.big) {
        out->status = walk_meta(&r);
        if (out->status != WALK_OK)
            return;
    }
    out->dataset_at = r.at;
    const char *ts = out->transfer_syntax;
    if (strcmp(ts, SYNTAX_DEFL) == 0) {
        out->status = WALK_DEFLATED;
        return;
    }
    if (r.len - r.at < HEADER_MIN) {
        out->status = marked || r.at > 0 ? WALK_CUT : WALK_NOT_DICOM;
        return;
    }
    if (ts[0]) {
        r.big = strcmp(ts, "1.2.840.10008.1.2.2") == 0;
        r.explicit_vr = strcmp(ts, "1.2.840.10008.1.2") != 0 && strcmp(ts, SYNTAX_GE) != 0;
    } else {
        r.big = r.big || get16(&r, r.at) >= 0x0100;
        r.explicit_vr = vr_letters(r.d + r.at + 4);
    }
    out->explicit_vr = r.explicit_vr;
    out->big_endian = r.big;
    out->pixel_big = r.big || strcmp(ts, SYNTAX_GE) == 0;
    out->status = walk_dataset(&r);
}

bool walk_is_reference(const char *transfer_syntax)
{
    static const char *const tails[] = {"94", "95", "204", "205"};
    if (strncmp(transfer_syntax, "1.2.840.10008.1.2.4.", 20) != 0)
        return false;
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++)
        if (strcmp(transfer_syntax + 20, tails[i]) == 0)
            return true;
    return false;
}

bool walk_fragment(const void *data, const walk *w, size_t *cursor, const uint8_t **item,
                   size_t *item_len)
{
    if (!w->pixel_items || w->pixel_len - *cursor < 8)
        return false;
    reader r = {.d = data, .big = w->big_endian};
    size_t at = w->pixel_at + *cursor;
    *item_len = get32(&r, at + 4);
    *item = r.d + at + 8;
    *cursor += 8 + *item_len;
    return true;
}
