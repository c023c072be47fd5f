/* LUT sequence items as they are in the wild: descriptors with the wrong sign, with the wrong
 * number of bits or that count bytes, entries of 8, 16 or 32 bits. */
#include "dicom/lut.h"

#include "core/text.h"
#include "dicom/tags.h"

#include <ctype.h>
#include <string.h>

#define LUT_ENTRIES_MAX 65536
#define LUT_BITS_MAX    16

typedef struct levels { /* where frame 1 is described, the most special first */
    const dcm_item *root, *groups[2];
} levels;

/* The item that would hold the attribute at one level: the macro's, or the data set itself. */
static const dcm_item *holder(const levels *v, int level, const tag *t)
{
    if (level == (int)COUNT_OF(v->groups))
        return v->root;
    return v->groups[level] && t->macro_group
               ? dcm_child(v->groups[level], t->macro_group, t->macro_element, 0)
               : NULL;
}

/* The level that decides: the first that has the table's sequence or the number beside it. Returns
 * the item with the sequence, NULL when there is none. */
static const dcm_item *deciding(const levels *v, tag_id sequence, tag_id number)
{
    const tag *s = tag_of(sequence), *n = tag_of(number);
    for (int i = 0; i <= (int)COUNT_OF(v->groups); i++) {
        const dcm_item *in = holder(v, i, s);
        char line[64];
        if (in && dcm_items(in, s->group, s->element) > 0)
            return in;
        if (in && dcm_text(in, n->group, n->element, line, sizeof(line)) && line[0])
            return NULL;
    }
    return NULL;
}

static int bits_of(unsigned v)
{
    int n = 0;
    while (v >> n)
        n++;
    return n;
}

static unsigned largest(const uint16_t *v, int n)
{
    unsigned max = 0;
    for (int i = 0; i < n; i++)
        max = v[i] > max ? v[i] : max;
    return max;
}

/* A curve for display rises or falls throughout and stays below its limit. Entries that are read in
 * the wrong width jump. */
static bool is_curve(const uint16_t *v, int n, int bits)
{
    bool rises = true, falls = true;
    for (int i = 1; i < n; i++) {
        rises = rises && v[i] >= v[i - 1];
        falls = falls && v[i] <= v[i - 1];
    }
    return n >= 2 && (rises || falls) && bits_of(largest(v, n)) <= bits;
}

static bool is_wide(const uint16_t *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (words[2 * i + 1])
            return false;
    return true;
}

static void unpack(const uint16_t *words, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i++) /* two bytes in a word: the first one is the low one */
        out[i] = words[i / 2] >> (i % 2 ? 8 : 0) & 0xFF;
}

/* Entries as words, from however they are packed; false when they are too few. */
static bool take_entries(pixels_lut *l, const uint16_t *words, size_t bytes, arena *a)
{
    size_t n = (size_t)l->n;
    bool packed = bytes == n || bytes == n + 1, wide = bytes >= 4 * n && is_wide(words, n);
    if (!packed && bytes < 2 * n)
        return false;
    l->data = arena_alloc(a, n * sizeof(*l->data));
    l->odd = wide || (packed && l->bits > 8);
    if (packed) {
        unpack(words, n, l->data);
        if (l->bits <= 8 || is_curve(l->data, l->n, 8) || !is_curve(words, (int)(n / 2), l->bits))
            return true;
        l->n = (int)(n /= 2); /* the descriptor counts bytes */
    }
    for (size_t i = 0; i < n; i++)
        l->data[i] = words[wide ? 2 * i : i];
    return true;
}

/* The declared number of bits scales the table to white. It is believed unless the entries do not
 * fit into it, or leave at least two of its bits empty: then white would stay below a quarter. */
static void settle_output(pixels_lut *l)
{
    int used = bits_of(largest(l->data, l->n));
    if (l->bits >= 1 && l->bits <= LUT_BITS_MAX && used <= l->bits && used > l->bits - 2)
        return;
    l->odd = true;
    l->bits = used > 1 ? used : 1;
}

static void read_item(const dcm_item *item, bool first_signed, arena *a, pixels_lut *out)
{
    const tag *descriptor = tag_of(TAG_LUTDescriptor), *name = tag_of(TAG_LUTExplanation),
              *data = tag_of(TAG_LUTData);
    const uint16_t *d, *words;
    size_t bytes;
    char line[128];
    memset(out, 0, sizeof(*out));
    if (!item)
        return;
    if (dcm_text(item, name->group, name->element, line, sizeof(line))) {
        size_t start = strspn(line, " ");
        text_copy(out->name, sizeof(out->name), line + start);
        for (char *p = out->name; *p; p++)
            *p = (char)toupper((unsigned char)*p);
    }
    if (!dcm_words(item, descriptor->group, descriptor->element, &d, &bytes) || bytes < 6)
        return;
    pixels_lut l = *out;
    /* words, whatever the VR says: n is unsigned with 0 for 65536, first has the sign of its input
     */
    l.n = d[0] ? d[0] : LUT_ENTRIES_MAX;
    l.first = first_signed ? (int16_t)d[1] : d[1];
    l.bits = d[2];
    if (!dcm_words(item, data->group, data->element, &words, &bytes) ||
        !take_entries(&l, words, bytes, a))
        return;
    *out = l;
}

/* Has what the VOI step takes values below zero? */
static bool voi_input_signed(const record *r, const pixels *p)
{
    if (p->modality.n)
        return false;
    double low = p->is_signed ? -(double)(1 << (p->bits_stored - 1)) : 0;
    double high = p->is_signed ? -low - 1 : (double)((1 << p->bits_stored) - 1);
    if (!r->has_rescale)
        return p->is_signed;
    return r->slope * (r->slope > 0 ? low : high) + r->intercept < 0;
}

void lut_read(const dcm_item *root, const record *r, arena *a, pixels *out)
{
    static const char *const functions[] = {"", "LINEAR", "LINEAR_EXACT", "SIGMOID"};
    const tag *frame = tag_of(TAG_PerFrameFunctionalGroupsSequence),
              *shared = tag_of(TAG_SharedFunctionalGroupsSequence),
              *m = tag_of(TAG_ModalityLUTSequence), *voi = tag_of(TAG_VOILUTSequence),
              *f = tag_of(TAG_VOILUTFunction);
    levels v = {root,
                {dcm_child(root, frame->group, frame->element, 0),
                 dcm_child(root, shared->group, shared->element, 0)}};
    const dcm_item *in = deciding(&v, TAG_ModalityLUTSequence, TAG_RescaleSlope);
    if (in)
        read_item(dcm_child(in, m->group, m->element, 0), out->is_signed, a, &out->modality);
    in = deciding(&v, TAG_VOILUTSequence, TAG_WindowCenter);
    out->n_voi = in ? dcm_items(in, voi->group, voi->element) : 0;
    if (out->n_voi > PIXELS_VOI_LUTS)
        out->n_voi = PIXELS_VOI_LUTS;
    for (int i = 0; i < out->n_voi; i++) {
        pixels_lut *l = &out->voi[i];
        read_item(dcm_child(in, voi->group, voi->element, i), voi_input_signed(r, out), a, l);
        if (l->n)
            settle_output(l);
    }
    for (int i = 0; i <= (int)COUNT_OF(v.groups); i++) {
        char word[32];
        in = holder(&v, i, f);
        if (!in || !dcm_text(in, f->group, f->element, word, sizeof(word)) || !word[0])
            continue;
        out->odd_function = true;
        for (size_t k = 0; k < COUNT_OF(functions); k++)
            if (text_ieq(word + strspn(word, " "), functions[k]))
                out->odd_function = false;
        break;
    }
}
