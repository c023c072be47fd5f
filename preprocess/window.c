/* Stored samples -> display values: one table of 65536 entries per image (window.h; dicom.md 2
 * steps 2-6). Order: unpack, padding, modality, VOI, polarity; rounded half up once at the end. */
#include "preprocess/window.h"

#include "core/text.h"

#include <math.h>

int32_t window_stored(const pixels *p, uint16_t raw)
{
    int shift = p->high_bit + 1 - p->bits_stored;
    int32_t v = (int32_t)((uint32_t)raw >> (shift > 0 ? shift : 0)) & ((1 << p->bits_stored) - 1);
    if (p->is_signed) {
        int32_t s = 1 << (p->bits_stored - 1);
        v = (v ^ s) - s;
    }
    return v;
}

void window_histogram(const pixels *p, int step, uint32_t *hist)
{
    memset(hist, 0, WINDOW_WORDS * sizeof *hist);
    for (int y = 0; y < p->rows; y += step) {
        const uint16_t *row = p->stored + (size_t)y * (size_t)p->cols;
        uint64_t four, same = 0; /* air is long runs of one word */
        uint32_t runs = 0;
        int x = 0;
        for (; x + 4 <= p->cols; x += 4) {
            memcpy(&four, row + x, sizeof four);
            if (four == same) {
                runs += 4;
            } else if (four == (four & 0xFFFF) * UINT64_C(0x0001000100010001)) {
                hist[same & 0xFFFF] += runs;
                same = four;
                runs = 4;
            } else {
                for (int k = 0; k < 4; k++)
                    hist[row[x + k]]++;
            }
        }
        for (; x < p->cols; x++)
            hist[row[x]]++;
        hist[same & 0xFFFF] += runs;
    }
}

/* How many words tables must know. */
static int words_of(const pixels *p)
{
    return p->words > 0 ? p->words : WINDOW_WORDS;
}

bool window_inverse(const record *r, bool *conflict)
{
    bool mono1 = strcmp(r->photometric, "MONOCHROME1") == 0;
    *conflict = r->pls != PLS_ABSENT && mono1 != (r->pls == PLS_INVERSE);
    return r->pls == PLS_ABSENT ? mono1 : r->pls == PLS_INVERSE;
}

static bool is_padding(const record *r, int32_t v)
{
    if (!r->has_padding)
        return false;
    int32_t a = r->padding, b = r->has_padding_limit ? r->padding_limit : r->padding;
    return a <= b ? v >= a && v <= b : v >= b && v <= a;
}

/* Words that are padding. A padding value that does not fit into the stored bits stands in the raw
 * word, where the bits above them are not masked away. */
static void mark_padding(const record *r, const pixels *p, uint8_t *pad)
{
    int32_t low = p->is_signed ? -(1 << (p->bits_stored - 1)) : 0;
    bool outside =
        r->has_padding && (r->padding < low || r->padding > low + (1 << p->bits_stored) - 1);
    for (int raw = 0, words = words_of(p); raw < words; raw++) {
        int32_t word = p->is_signed ? (int16_t)(uint16_t)raw : raw;
        pad[raw] =
            is_padding(r, window_stored(p, (uint16_t)raw)) || (outside && word == r->padding);
    }
}

static double lut_index(const pixels_lut *l, double x)
{
    double i = floor(x + 0.5) - l->first;
    return i < 0 ? 0 : i > l->n - 1 ? l->n - 1 : i;
}

/* Modality value of every raw word. */
static void modality(const record *r, const pixels *p, double *m, uint32_t *flags)
{
    bool lut = p->modality.n >= 1;
    for (int raw = 0, words = words_of(p); raw < words; raw++) {
        double v = window_stored(p, (uint16_t)raw);
        if (lut)
            m[raw] = p->modality.data[(int)lut_index(&p->modality, v)];
        else
            m[raw] = r->has_rescale ? r->slope * v + r->intercept : v;
    }
    if (lut)
        *flags |= IMAGE_MODALITY_LUT | (p->modality.odd ? IMAGE_LUT_ODD : 0);
    else if (r->has_rescale)
        *flags |= IMAGE_RESCALED;
}

typedef struct voi { /* one way from modality to 0..1 */
    record_voi fn;
    double c, w;
    const pixels_lut *lut;
    double lut_max;
    double lo, hi; /* plain ramp when lut is NULL and w is 0 */
    int item;      /* 1: the first LUT or window of the header; 0: none of them */
} voi;

static double voi_value(const voi *v, double x)
{
    if (v->lut)
        return v->lut->data[(int)lut_index(v->lut, x)] / v->lut_max;
    if (v->w == 0)
        return v->hi > v->lo ? (x - v->lo) / (v->hi - v->lo) : x >= v->hi;
    switch (v->fn) {
    case VOI_SIGMOID:
        return 1 / (1 + exp(-4 * (x - v->c) / v->w));
    case VOI_LINEAR_EXACT:
        if (x <= v->c - v->w / 2)
            return 0;
        return x > v->c + v->w / 2 ? 1 : (x - v->c) / v->w + 0.5;
    case VOI_LINEAR:
    default:
        if (x <= v->c - 0.5 - (v->w - 1) / 2)
            return 0;
        if (x > v->c - 0.5 + (v->w - 1) / 2)
            return 1;
        return (x - (v->c - 0.5)) / (v->w - 1) + 0.5;
    }
}

/* ---- items of the header: tables and windows, each with a name and a number ------------------ */

static bool lut_usable(const record *r, const pixels *p, int i)
{
    const pixels_lut *l = &p->voi[i];
    for (int k = 0; k < l->n; k++)
        if (l->data[k])
            return l->n > 1;
    return false;
}

static bool window_usable(const record *r, const pixels *p, int i)
{
    double c = r->window_center[i], w = r->window_width[i];
    return isfinite(c) && isfinite(w) && (r->voi == VOI_LINEAR ? w >= 1 : w > 0);
}

typedef struct items {
    int n;
    bool (*usable)(const record *r, const pixels *p, int i);
} items;

static items items_of(const record *r, const pixels *p, bool luts)
{
    return luts ? (items){p->n_voi, lut_usable} : (items){r->n_windows, window_usable};
}

static const char *item_name(const record *r, const pixels *p, bool luts, int i)
{
    return luts ? p->voi[i].name : r->window_name[i];
}

/* The item with this name or number, "" for the first; -1: not there, or it makes no sense. */
static int find_item(const record *r, const pixels *p, bool luts, const char *wanted)
{
    items all = items_of(r, p, luts);
    int64_t number;
    if (text_i64(wanted, &number))
        return number >= 1 && number <= all.n && all.usable(r, p, (int)number - 1) ? (int)number - 1
                                                                                   : -1;
    for (int i = 0; i < all.n; i++)
        if (all.usable(r, p, i) && (!wanted[0] || text_ieq(item_name(r, p, luts, i), wanted)))
            return i;
    return -1;
}

static uint32_t voi_item(const record *r, const pixels *p, bool luts, int i, voi *out)
{
    if (!luts) {
        *out =
            (voi){.fn = r->voi, .c = r->window_center[i], .w = r->window_width[i], .item = i + 1};
        return IMAGE_VOI_WINDOW | (p->odd_function ? IMAGE_VOI_ODD_FUNCTION : 0);
    }
    *out = (voi){.lut = &p->voi[i], .lut_max = (1 << p->voi[i].bits) - 1, .item = i + 1};
    return IMAGE_VOI_LUT | (p->voi[i].odd ? IMAGE_LUT_ODD : 0);
}

static void voi_full(const record *r, const pixels *p, const double *m, voi *out)
{
    double lo = 0, hi = (1 << p->bits_stored) - 1;
    if (!p->modality.n && r->has_rescale) {
        int32_t s = p->is_signed ? -(1 << (p->bits_stored - 1)) : 0;
        double a = r->slope * s + r->intercept, b = r->slope * (s + hi) + r->intercept;
        lo = a < b ? a : b;
        hi = a < b ? b : a;
    } else if (p->modality.n) {
        for (int i = 0; i < p->modality.n; i++)
            hi = p->modality.data[i] > hi ? p->modality.data[i] : hi;
    } else if (p->is_signed) {
        lo = -(1 << (p->bits_stored - 1));
        hi = -lo - 1;
    }
    *out = (voi){.lo = lo, .hi = hi};
}

static void voi_minmax(int words, const double *m, const uint8_t *pad, const uint32_t *hist,
                       voi *out)
{
    double lo = INFINITY, hi = -INFINITY;
    for (int raw = 0; raw < words; raw++)
        if (hist[raw] && !pad[raw]) {
            lo = m[raw] < lo ? m[raw] : lo;
            hi = m[raw] > hi ? m[raw] : hi;
        }
    if (lo > hi)
        lo = hi = 0;
    *out = (voi){.fn = VOI_LINEAR, .c = (lo + hi + 1) / 2, .w = hi - lo + 1};
}

typedef struct level {
    double m;
    uint32_t n;
} level;

static int by_level(const void *a, const void *b)
{
    double x = ((const level *)a)->m, y = ((const level *)b)->m;
    return (x > y) - (x < y);
}

static void voi_percentile(const prepare_cfg *c, int words, const double *m, const uint8_t *pad,
                           const uint32_t *hist, arena *a, voi *out)
{
    level *l = arena_alloc(a, WINDOW_WORDS * sizeof *l);
    int n = 0;
    uint64_t total = 0, seen = 0;
    for (int raw = 0; raw < words; raw++)
        if (hist[raw] && !pad[raw]) {
            l[n++] = (level){m[raw], hist[raw]};
            total += hist[raw];
        }
    *out = (voi){.lo = 0, .hi = 0};
    if (!n)
        return;
    qsort(l, (size_t)n, sizeof *l, by_level);
    double at_lo = c->percentile_low / 100 * (double)total;
    double at_hi = c->percentile_high / 100 * (double)total;
    bool have_lo = false;
    out->hi = l[n - 1].m;
    for (int i = 0; i < n; i++) {
        seen += l[i].n;
        if (!have_lo && (double)seen >= at_lo) {
            out->lo = l[i].m;
            have_lo = true;
        }
        if ((double)seen >= at_hi) {
            out->hi = l[i].m;
            break;
        }
    }
}

/* Kinds in the preferred order, first for the item that the configuration asks for, then for the
 * one called NORMAL, else the first. */
static uint32_t voi_choose(const prepare_cfg *c, const record *r, const pixels *p, const double *m,
                           voi *out)
{
    bool lut_first = c->voi_prefer == PREPARE_PREFER_LUT;
    uint32_t flags = 0;
    for (int k = 0; k < 2 && c->voi_item[0]; k++) {
        bool luts = lut_first == (k == 0);
        int i = find_item(r, p, luts, c->voi_item);
        if (i >= 0)
            return voi_item(r, p, luts, i, out);
        flags = IMAGE_VOI_OTHER_ITEM;
    }
    for (int k = 0; k < 2; k++) {
        bool luts = lut_first == (k == 0);
        int i = find_item(r, p, luts, "NORMAL");
        i = i >= 0 ? i : find_item(r, p, luts, "");
        if (i >= 0)
            return flags | voi_item(r, p, luts, i, out);
    }
    voi_full(r, p, m, out);
    return flags | IMAGE_VOI_FULL;
}

/* An image for processing: values from 1 on, their logarithm, turned round where low is bright, its
 * square, stretched from the least to the greatest: m becomes 0..1. The recipe of DeepLIBRA,
 * dicom.md 2 step 7. */
static void processing_values(int words, const uint8_t *pad, const uint32_t *hist, bool invert,
                              double *m)
{
    double low = INFINITY, high = -INFINITY;
    for (int raw = 0; raw < words; raw++)
        if (hist[raw] && !pad[raw]) {
            low = m[raw] < low ? m[raw] : low;
            high = m[raw] > high ? m[raw] : high;
        }
    if (low >= high) { /* nothing to stretch */
        memset(m, 0, (size_t)words * sizeof *m);
        return;
    }
    double shift = low < 1 ? 1 - low : 0;
    double from = log(low + shift), to = log(high + shift);
    /* turned round: the greatest minus each, so that the least is 0 */
    double least = invert ? 0 : from * from;
    double span = (invert ? (to - from) * (to - from) : to * to) - least;
    for (int raw = 0; raw < words; raw++) {
        double x = m[raw] < low ? low : m[raw] > high ? high : m[raw];
        double v = log(x + shift), u = invert ? to - v : v;
        m[raw] = (u * u - least) / span;
    }
}

void window_build(const prepare_cfg *c, const record *r, const pixels *p, const uint32_t *hist,
                  const uint32_t *breast, bool invert, arena *a, window_lut *out)
{
    double *m = arena_alloc(a, WINDOW_WORDS * sizeof *m);
    voi v = {0};
    int words = words_of(p);
    memset(out, 0, sizeof *out);
    out->flags = invert ? IMAGE_INVERTED : 0;
    modality(r, p, m, &out->flags);
    mark_padding(r, p, out->pad);
    if (r->has_padding)
        out->flags |= IMAGE_PADDING;
    bool recipe = c->processing == PREPARE_PROCESSING_DEEPLIBRA;
    if (recipe) {
        processing_values(words, out->pad, hist, invert, m);
        out->flags |= IMAGE_PROCESSING;
    }
    switch (recipe ? -1 : c->voi) {
    case -1:
        break;
    case PREPARE_VOI_HEADER:
        out->flags |= voi_choose(c, r, p, m, &v);
        break;
    case PREPARE_VOI_MINMAX:
        voi_minmax(words, m, out->pad, hist, &v);
        break;
    case PREPARE_VOI_WINDOW:
        v = (voi){
            .fn = (record_voi)c->window_function, .c = c->window_center, .w = c->window_width};
        out->flags |= IMAGE_VOI_WINDOW;
        break;
    case PREPARE_VOI_PERCENTILE:
        voi_percentile(c, words, m, out->pad, breast ? breast : hist, a, &v);
        break;
    default:
        voi_full(r, p, m, &v);
        out->flags |= IMAGE_VOI_FULL;
    }
    out->item = v.item - 1;
    for (int raw = 0; raw < words; raw++) {
        double y = recipe ? m[raw] : voi_value(&v, m[raw]);
        bool turn = invert && !recipe; /* the recipe has done so */
        y = y > 0 ? y < 1 ? y : 1 : 0; /* NaN becomes 0 */
        int q = (int)floor(y * WINDOW_MAX + 0.5);
        out->y[raw] = out->pad[raw] ? 0 : (uint16_t)(turn ? WINDOW_MAX - q : q);
    }
}
