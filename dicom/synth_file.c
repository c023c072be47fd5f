/* Element sets and the bytes of a DICOM file. Pixel encodings are in synth_codec.c. */
#include "dicom/synth_file.h"

#include <stdio.h>
#include <string.h>

#define VALUE_MAX 4096

synth_set *synth_set_new(arena *a)
{
    synth_set *s = arena_calloc(a, sizeof(*s));
    s->a = a;
    return s;
}

synth_elem *synth_find(synth_set *s, uint32_t tag)
{
    for (int i = 0; i < s->n; i++)
        if (s->e[i].tag == tag)
            return &s->e[i];
    return NULL;
}

void synth_drop(synth_set *s, uint32_t tag)
{
    synth_elem *x = synth_find(s, tag);
    if (!x)
        return;
    memmove(x, x + 1, (size_t)(s->e + s->n - x - 1) * sizeof(*x));
    s->n--;
}

/* The element, new or emptied, at its place in ascending order. */
static synth_elem *place(synth_set *s, uint32_t tag, const char *vr)
{
    synth_drop(s, tag);
    if (s->n == SYNTH_ELEMS)
        BUG("synth set holds more than %d elements", SYNTH_ELEMS);
    int i = s->n++;
    for (; i > 0 && s->e[i - 1].tag > tag; i--)
        s->e[i] = s->e[i - 1];
    s->e[i] = (synth_elem){.tag = tag};
    text_copy(s->e[i].vr, sizeof(s->e[i].vr), vr);
    return &s->e[i];
}

void synth_put(synth_set *s, uint32_t tag, const char *vr, const void *value, size_t len)
{
    synth_elem *x = place(s, tag, vr);
    bool zero_pad = !strcmp(vr, "UI") || !strcmp(vr, "OB");
    x->len = len + (len & 1);
    x->value = arena_calloc(s->a, x->len + 1);
    if (len)
        memcpy(x->value, value, len);
    if (len & 1)
        x->value[len] = zero_pad ? '\0' : ' ';
}

void synth_str(synth_set *s, uint32_t tag, const char *vr, const char *fmt, ...)
{
    char buf[VALUE_MAX];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(buf))
        BUG("synth value of %d characters", n);
    synth_put(s, tag, vr, buf, (size_t)n);
}

void synth_us(synth_set *s, uint32_t tag, unsigned v)
{
    uint16_t w = (uint16_t)v;
    synth_words(s, tag, "US", &w, 1);
}

void synth_words(synth_set *s, uint32_t tag, const char *vr, const uint16_t *v, size_t n)
{
    synth_put(s, tag, vr, v, 2 * n);
}

void synth_item(synth_set *s, uint32_t tag, const synth_set *item)
{
    synth_elem *x = synth_find(s, tag);
    if (!x)
        x = place(s, tag, "SQ");
    if (x->n_items == (int)COUNT_OF(x->item))
        BUG("synth sequence has too many items");
    x->item[x->n_items++] = item;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

typedef struct syntax {
    bool implicit, big;
} syntax;

static void add_int(text *out, uint32_t v, int bytes, bool big)
{
    char b[4];
    for (int i = 0; i < bytes; i++)
        b[big ? bytes - 1 - i : i] = (char)(v >> (8 * i) & 0xFF);
    text_addn(out, b, (size_t)bytes);
}

static bool long_form(const char *vr)
{
    static const char *const names[] = {"OB", "OW", "OF", "SQ", "UT", "UN"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (!strcmp(vr, names[i]))
            return true;
    return false;
}

static void add_tag(text *out, uint32_t tag, bool big)
{
    add_int(out, tag >> 16, 2, big);
    add_int(out, tag & 0xFFFF, 2, big);
}

static void add_head(text *out, uint32_t tag, const char *vr, size_t len, syntax y)
{
    add_tag(out, tag, y.big);
    if (y.implicit) {
        add_int(out, (uint32_t)len, 4, y.big);
        return;
    }
    text_addn(out, vr, 2);
    if (long_form(vr))
        add_int(out, 0, 2, y.big);
    add_int(out, (uint32_t)len, long_form(vr) ? 4 : 2, y.big);
}

static void add_value(text *out, const char *vr, const uint8_t *v, size_t len, syntax y)
{
    bool words = !strcmp(vr, "US") || !strcmp(vr, "SS") || !strcmp(vr, "OW");
    if (!words || !y.big) {
        text_addn(out, (const char *)v, len);
        return;
    }
    for (size_t i = 0; i + 1 < len; i += 2)
        add_int(out, (uint32_t)(v[i] | v[i + 1] << 8), 2, true);
}

static void add_set(text *out, const synth_set *s, syntax y)
{
    for (int i = 0; i < s->n; i++) {
        const synth_elem *x = &s->e[i];
        if (strcmp(x->vr, "SQ") != 0) {
            add_head(out, x->tag, x->vr, x->len, y);
            add_value(out, x->vr, x->value, x->len, y);
            continue;
        }
        add_head(out, x->tag, "SQ", 0xFFFFFFFFu, y);
        for (int k = 0; k < x->n_items; k++) {
            text item;
            text_init(&item);
            add_set(&item, x->item[k], y);
            add_tag(out, 0xFFFEE000u, y.big);
            add_int(out, (uint32_t)item.len, 4, y.big);
            text_addn(out, item.s, item.len);
            text_release(&item);
        }
        add_tag(out, 0xFFFEE0DDu, y.big);
        add_int(out, 0, 4, y.big);
    }
}

static void add_items(text *out, const synth_pixels *px)
{
    static const syntax y = {false, false};
    size_t half = px->fragments == 2 ? px->len / 4 * 2 : px->len;
    add_head(out, 0x7FE00010u, "OB", 0xFFFFFFFFu, y);
    add_tag(out, 0xFFFEE000u, false);
    add_int(out, 0, 4, false);
    for (size_t at = 0; at < px->len;) {
        size_t n = at == 0 ? half : px->len - at;
        add_tag(out, 0xFFFEE000u, false);
        add_int(out, (uint32_t)(n + (n & 1)), 4, false);
        text_addn(out, (const char *)px->bytes + at, n);
        if (n & 1)
            text_addn(out, "", 1);
        at += n;
    }
    add_tag(out, 0xFFFEE0DDu, false);
    add_int(out, 0, 4, false);
}

static void add_pixels(text *out, const synth_pixels *px, syntax y)
{
    if (px->items) {
        add_items(out, px);
        return;
    }
    const char *vr = px->bits == 16 || y.implicit ? "OW" : "OB";
    size_t even = px->len + (px->len & 1), n = px->cut_value ? px->cut_value : px->len;
    add_head(out, 0x7FE00010u, vr, even, y);
    add_value(out, px->bits == 16 ? "OW" : "OB", px->bytes, n, y);
    if (!px->cut_value && even != px->len)
        text_addn(out, "", 1);
}

/* Stored (uncompressed) blocks are valid deflate data. RFC 1951 3.2.4. */
static void add_deflated(text *out, const text *plain)
{
    size_t at = 0;
    do {
        size_t n = plain->len - at < 65535 ? plain->len - at : 65535;
        add_int(out, at + n == plain->len, 1, false);
        add_int(out, (uint32_t)n, 2, false);
        add_int(out, (uint32_t)n ^ 0xFFFFu, 2, false);
        text_addn(out, plain->s + at, n);
        at += n;
    } while (at < plain->len);
}

void synth_encode(const synth_set *s, const synth_pixels *px, const char *ts_said,
                  const char *ts_real, text *out)
{
    static const char preamble[128];
    syntax y = {!strcmp(ts_real, SYNTH_IMPLICIT), !strcmp(ts_real, SYNTH_BIG_ENDIAN)};
    synth_set *meta = synth_set_new(s->a);
    static const uint8_t version[2] = {0, 1};
    static const struct {
        uint32_t from, to;
    } same[] = {{0x00080016u, 0x00020002u}, {0x00080018u, 0x00020003u}};
    synth_put(meta, 0x00020001u, "OB", version, 2);
    for (size_t i = 0; i < COUNT_OF(same); i++)
        for (int k = 0; k < s->n; k++)
            if (s->e[k].tag == same[i].from)
                synth_put(meta, same[i].to, "UI", s->e[k].value,
                          strnlen((const char *)s->e[k].value, s->e[k].len));
    synth_str(meta, 0x00020010u, "UI", "%s", ts_said);
    synth_str(meta, 0x00020012u, "UI", "2.25.209386012351877");
    synth_str(meta, 0x00020013u, "SH", "MAMMOVIT_DEMO");
    text head, body;
    text_init(&head);
    text_init(&body);
    add_set(&head, meta, (syntax){false, false});
    add_set(&body, s, y);
    if (px)
        add_pixels(&body, px, y);
    text_addn(out, preamble, sizeof(preamble));
    text_addn(out, "DICM", 4);
    add_head(out, 0x00020000u, "UL", 4, (syntax){false, false});
    add_int(out, (uint32_t)head.len, 4, false);
    text_addn(out, head.s, head.len);
    if (!strcmp(ts_real, SYNTH_DEFLATED))
        add_deflated(out, &body);
    else
        text_addn(out, body.s, body.len);
    text_release(&head);
    text_release(&body);
}
