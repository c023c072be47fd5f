/* Measurements for the pixel criteria (facts.h). All sums are integers or run in a fixed order. */
#include "preprocess/facts.h"

#include <math.h>
#include <stdlib.h>

#include "preprocess/component.h"
#include "preprocess/opencv_shim.h"

#define SATURATED    0.999 /* of full scale */
#define NOISE_STEP   16    /* grid of the noise estimate, stored pixels */
#define NOISE_BOXES  16    /* looked at together */
#define MAX_PARTS    1024  /* components looked at */
#define RIM_NEAR     1     /* thumbnail pixels: the rim of a part begins after its blurred edge */
#define RIM_FAR      3
#define METAL_LEVEL  0.97 /* of full scale: a thumbnail averages metal with its edge */
#define METAL_MIN    2.0  /* mm2: smaller bright parts are calcifications or noise */
#define BLOB_LEVEL   0.9  /* of full scale */
#define BORDER_BAND  0.01
#define OBJECT_LEVEL 0.1  /* above the background, of full scale */
#define DARK         0.15 /* of full scale: a background is darker */
#define TEXT_SIDE    1536 /* letters are sought on every n-th pixel: at most so many on a side */
#define TEXT_ABOVE   0.25 /* of full scale, above air */
#define TEXT_LOW_MM  0.5  /* height of a letter, dicom.md 8 */
#define TEXT_HIGH_MM 6.0
#define TEXT_PARTS   4096

/* ---- the whole image ------------------------------------------------------------------------- */

void facts_range(chain *s)
{
    uint64_t *count = arena_calloc(s->a, WINDOW_WORDS * sizeof *count), total = 0, seen = 0,
             top = 0;
    for (int raw = 0; raw < WINDOW_WORDS; raw++)
        if (!s->lut->pad[raw])
            count[s->lut->y[raw]] += s->hist[raw];
    for (int y = 0; y < WINDOW_WORDS; y++) {
        total += count[y];
        top = count[y] > top ? count[y] : top;
    }
    int lo = -1, hi = WINDOW_MAX;
    for (int y = 0; y < WINDOW_WORDS; y++) {
        seen += count[y];
        if (lo < 0 && seen * 1000 > total * 5)
            lo = y;
        if (seen * 1000 >= total * 995) {
            hi = y;
            break;
        }
    }
    s->facts->range = total && lo >= 0 ? (double)(hi - lo) / WINDOW_MAX : 0;
    s->facts->top_share = total ? (double)top / (double)total : 1;
}

/* ---- noise ----------------------------------------------------------------------------------- */

/* The value at `rank` (from 0) of a sorted list, from the count of each value [WINDOW_WORDS]. */
static int counted(const uint32_t *count, uint64_t rank)
{
    uint64_t seen = 0;
    int v = 0;
    while (v < WINDOW_MAX && (seen += count[v]) <= rank)
        v++;
    return v;
}

/* One value of as many boxes as are looked at together. */
typedef uint16_t values[NOISE_BOXES];

static ALWAYS_INLINE void sort2(values a, values b)
{
    for (int i = 0; i < NOISE_BOXES; i++) {
        uint16_t lo = a[i] < b[i] ? a[i] : b[i], hi = a[i] < b[i] ? b[i] : a[i];
        a[i] = lo;
        b[i] = hi;
    }
}

static ALWAYS_INLINE void sort3(values a, values b, values c)
{
    sort2(a, b);
    sort2(b, c);
    sort2(a, b);
}

/* Medians of boxes of nine values, left in v[4]: that of the largest minimum, the middle median and
 * the smallest maximum of three sorted triples. */
WIDE_LOOPS static void medians9(values v[9])
{
    for (int i = 0; i < 3; i++)
        sort3(v[3 * i], v[3 * i + 1], v[3 * i + 2]);
    for (int i = 0; i < 3; i++)
        sort3(v[i], v[i + 3], v[i + 6]);
    sort3(v[6], v[4], v[2]);
}

typedef struct residuals { /* against the 3x3 median: how often each occurs */
    uint32_t *count;
    uint64_t n;
} residuals;

static double spread_of(const residuals *r)
{
    return r->n ? 1.4826 * counted(r->count, r->n / 2) : 0;
}

enum { ALL, BREAST, AIR, PLACES }; /* where residuals are counted; ALL counts every one */

/* The boxes around stored pixels (x[i], y). */
static void add_residuals(const chain *s, const int *x, int n, int y, residuals of[PLACES])
{
    values v[9] = {0}, mid;
    size_t cols = (size_t)s->p->cols;
    for (int i = 0; i < n; i++) {
        const uint16_t *at = s->p->stored + (size_t)(y - 1) * cols + (size_t)x[i] - 1;
        for (int k = 0; k < 9; k++)
            v[k][i] = s->lut->y[at[(size_t)(k / 3) * cols + (size_t)(k % 3)]];
    }
    memcpy(mid, v[4], sizeof mid);
    medians9(v);
    for (int i = 0; i < n; i++) {
        int d = abs(mid[i] - v[4][i]), place = ALL;
        if (s->facts->breast_found) {
            size_t t = chain_thumb_at(s, x[i], y);
            place = s->found.mask[t] ? BREAST : s->keep[t] ? ALL : AIR;
        }
        of[ALL].count[d]++;
        of[ALL].n++;
        if (place != ALL) {
            of[place].count[d]++;
            of[place].n++;
        }
    }
}

void facts_noise(chain *s)
{
    const pixels *p = s->p;
    residuals of[PLACES];
    for (int i = 0; i < PLACES; i++)
        of[i] = (residuals){arena_calloc(s->a, WINDOW_WORDS * sizeof(uint32_t)), 0};
    for (int y = NOISE_STEP / 2; y + 1 < p->rows; y += NOISE_STEP) {
        int x[NOISE_BOXES], n = 0;
        for (int c = NOISE_STEP / 2; c + 1 < p->cols; c += NOISE_STEP) {
            if (s->lut->pad[p->stored[(size_t)y * (size_t)p->cols + (size_t)c]])
                continue;
            x[n++] = c;
            if (n == NOISE_BOXES) {
                add_residuals(s, x, n, y, of);
                n = 0;
            }
        }
        add_residuals(s, x, n, y, of);
    }
    if (s->facts->range > 0)
        s->facts->noise = spread_of(&of[ALL]) / (s->facts->range * WINDOW_MAX);
    if (s->breast_spread > 0)
        s->facts->breast_noise = spread_of(&of[BREAST]) / s->breast_spread;
    s->out->noise = (float)s->facts->breast_noise;
    s->facts->air_noise = spread_of(&of[AIR]) / WINDOW_MAX;
}

/* ---- parts of the breast --------------------------------------------------------------------- */

typedef struct parts {
    const segment_thumb *t;
    uint8_t *mask;
    int32_t *label;
    component *part;
    int n;
} parts;

static parts parts_new(const chain *s)
{
    size_t n = (size_t)s->thumb.h * (size_t)s->thumb.w;
    return (parts){.t = &s->thumb,
                   .mask = arena_calloc(s->a, n),
                   .label = arena_alloc(s->a, n * sizeof(int32_t)),
                   .part = arena_alloc(s->a, MAX_PARTS * sizeof(component))};
}

static void parts_find(parts *q, arena *a)
{
    q->n = component_find(q->mask, q->t->h, q->t->w, q->label, q->part, MAX_PARTS, a);
    q->n = q->n < MAX_PARTS ? q->n : MAX_PARTS;
}

static int parts_largest(const parts *q)
{
    int big = -1;
    for (int i = 0; i < q->n; i++)
        if (big < 0 || q->part[i].area > q->part[big].area)
            big = i;
    return big;
}

static void parts_keep(parts *q, int part)
{
    for (size_t i = 0; i < (size_t)q->t->h * (size_t)q->t->w; i++)
        q->mask[i] = q->label[i] == part + 1;
}

/* Is part k nearer to (y, x) than `reach`? */
static bool part_near(const parts *q, int k, int y, int x, int reach)
{
    for (int v = y - reach; v <= y + reach; v++)
        for (int u = x - reach; u <= x + reach; u++)
            if (v >= 0 && v < q->t->h && u >= 0 && u < q->t->w &&
                q->label[(size_t)v * (size_t)q->t->w + (size_t)u] == k + 1)
                return true;
    return false;
}

/* Pixels of the breast from this share of full scale on. */
WIDE_LOOPS static void bright_breast(const chain *s, double share, uint8_t *out)
{
    const uint16_t *v = s->thumb.v;
    const uint8_t *mask = s->found.mask;
    uint16_t cut = (uint16_t)ceil(WINDOW_MAX * share);
    for (size_t i = 0, n = (size_t)s->thumb.h * (size_t)s->thumb.w; i < n; i++)
        out[i] = mask[i] & (v[i] >= cut);
}

static int by_u16(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

/* Median level around a part inside the breast, of full scale; 1 where nothing is around it.
 * Bright tissue fades outwards, metal ends. */
static double part_rim(const chain *s, const parts *q, int k)
{
    const segment_thumb *t = q->t;
    const component *c = &q->part[k];
    size_t n = 0, cap = (size_t)(c->w + 2 * RIM_FAR) * (size_t)(c->h + 2 * RIM_FAR);
    uint16_t *v = arena_alloc(s->a, cap * sizeof *v);
    for (int y = c->y - RIM_FAR; y < c->y + c->h + RIM_FAR; y++)
        for (int x = c->x - RIM_FAR; x < c->x + c->w + RIM_FAR; x++) {
            if (y < 0 || y >= t->h || x < 0 || x >= t->w)
                continue;
            size_t i = (size_t)y * (size_t)t->w + (size_t)x;
            if (s->found.mask[i] && part_near(q, k, y, x, RIM_FAR) &&
                !part_near(q, k, y, x, RIM_NEAR))
                v[n++] = t->v[i];
        }
    if (!n)
        return 1;
    qsort(v, n, sizeof *v, by_u16);
    return (double)v[n / 2] / WINDOW_MAX;
}

/* Area of a thumbnail pixel. */
static double thumb_mm2(const chain *s)
{
    const record *r = &s->out->rec;
    bool known = r->row_mm > 0 && r->col_mm > 0;
    double one = known ? r->row_mm * r->col_mm : FACTS_NOMINAL_MM * FACTS_NOMINAL_MM;
    return one * s->p->rows * s->p->cols / ((double)s->thumb.h * s->thumb.w);
}

/* Flat, bright, convex and large: what an implant looks like, and metal does not. */
static void blob(chain *s)
{
    const segment_thumb *t = &s->thumb;
    size_t n = (size_t)t->h * (size_t)t->w;
    parts q = parts_new(s);
    uint8_t *smooth = arena_alloc(s->a, n);
    segment_flat(t, smooth, s->a);
    bright_breast(s, BLOB_LEVEL, q.mask);
    for (size_t i = 0; i < n; i++)
        q.mask[i] &= smooth[i];
    parts_find(&q, s->a);
    int big = parts_largest(&q);
    if (big < 0)
        return;
    parts_keep(&q, big);
    s->facts->blob_share = (double)q.part[big].area / (double)s->found.area;
    s->facts->blob_solidity = q.part[big].area / opencv_hull_area(q.mask, t->h, t->w);
}

/* Saturated parts with a sharp end. */
static void metal(chain *s)
{
    double mm2 = thumb_mm2(s);
    parts q = parts_new(s);
    bright_breast(s, METAL_LEVEL, q.mask);
    parts_find(&q, s->a);
    for (int k = 0; k < q.n; k++) {
        double area = q.part[k].area * mm2;
        if (area < METAL_MIN || part_rim(s, &q, k) > 1 - s->c->exclude.metal_contrast)
            continue;
        pixel_facts *f = s->facts;
        f->metal_least_mm2 = f->metal_least_mm2 > 0 ? fmin(f->metal_least_mm2, area) : area;
        f->metal_most_mm2 = fmax(f->metal_most_mm2, area);
    }
}

/* Shares of the top, bottom and front border that the mask reaches. */
static void borders(chain *s)
{
    const segment_thumb *t = &s->thumb;
    int band_y = (int)(t->h * BORDER_BAND) + 1, band_x = (int)(t->w * BORDER_BAND) + 1;
    int top = 0, bottom = 0, front = 0;
    for (int x = 0; x < t->w; x++) {
        bool up = false, down = false;
        for (int k = 0; k < band_y; k++) {
            up = up || s->found.mask[(size_t)k * (size_t)t->w + (size_t)x];
            down = down || s->found.mask[(size_t)(t->h - 1 - k) * (size_t)t->w + (size_t)x];
        }
        top += up;
        bottom += down;
    }
    for (int y = 0; y < t->h; y++) {
        bool hit = false;
        for (int k = 1; k <= band_x; k++)
            hit = hit || s->found.mask[(size_t)(y + 1) * (size_t)t->w - (size_t)k];
        front += hit;
    }
    s->facts->border_top = (double)top / t->w;
    s->facts->border_bottom = (double)bottom / t->w;
    s->facts->border_front = (double)front / t->h;
}

void facts_breast(chain *s)
{
    const segment_thumb *t = &s->thumb;
    const record *r = &s->out->rec;
    size_t n = (size_t)t->h * (size_t)t->w, k = 0, full = 0;
    uint32_t *count = arena_calloc(s->a, WINDOW_WORDS * sizeof *count);
    for (size_t i = 0; i < n; i++)
        if (s->found.mask[i]) {
            full += t->v[i] >= WINDOW_MAX * SATURATED;
            count[t->v[i]]++;
            k++;
        }
    s->facts->breast_area = (double)s->found.area / (double)n;
    if (r->row_mm > 0 && r->col_mm > 0)
        s->facts->breast_mm2 = (double)s->found.area * thumb_mm2(s);
    s->facts->breast_median = (double)counted(count, k / 2) / WINDOW_MAX;
    s->breast_spread = counted(count, k * 95 / 100) - counted(count, k * 5 / 100);
    s->facts->breast_saturated = (double)full / (double)k;
    borders(s);
    blob(s);
    metal(s);
}

void facts_object(chain *s)
{
    const segment_thumb *t = &s->thumb;
    size_t n = (size_t)t->h * (size_t)t->w, k = 0, flat = 0;
    uint32_t *count = arena_calloc(s->a, WINDOW_WORDS * sizeof *count);
    uint16_t low = WINDOW_MAX;
    parts q = parts_new(s);
    uint8_t *smooth = arena_alloc(s->a, n);
    segment_flat(t, smooth, s->a);
    for (size_t i = 0; i < n; i++)
        low = smooth[i] && t->v[i] < low ? t->v[i] : low;
    low = low < WINDOW_MAX * DARK ? low : 0; /* a field that fills the frame has no background */
    for (size_t i = 0; i < n; i++)
        q.mask[i] = !t->pad[i] && t->v[i] >= low + WINDOW_MAX * OBJECT_LEVEL;
    parts_find(&q, s->a);
    int big = parts_largest(&q);
    if (big < 0)
        return;
    const component *c = &q.part[big];
    for (size_t i = 0; i < n; i++)
        if (q.label[i] == big + 1) {
            flat += smooth[i];
            count[t->v[i]]++;
            k++;
        }
    s->facts->object_area = (double)c->area / (double)n;
    s->facts->object_extent = (double)c->area / ((double)c->w * c->h);
    s->facts->object_flat = (double)flat / c->area;
    s->facts->object_level = (double)counted(count, k / 2) / WINDOW_MAX;
    s->facts->object_spread =
        (double)(counted(count, k * 95 / 100) - counted(count, k * 5 / 100)) / WINDOW_MAX;
    s->facts->object_free = c->x > 0 && c->y > 0 && c->x + c->w < t->w && c->y + c->h < t->h;
}

/* ---- letters --------------------------------------------------------------------------------- */

typedef struct letter { /* a part of the size of a letter; along: the direction of writing */
    double along, across, size, length;
} letter;

static int by_along(const void *a, const void *b)
{
    double x = ((const letter *)a)->along, y = ((const letter *)b)->along;
    return (x > y) - (x < y);
}

/* Longest row of letters of one size, in line, with gaps of at most two of them; l is sorted by
 * along. */
static int longest_row(const letter *l, int n)
{
    int best = 0;
    for (int i = 0; i < n; i++) {
        int row = 1, last = i;
        for (int k = i + 1; k < n && l[k].along <= l[last].along + l[last].length + 2 * l[i].size;
             k++) {
            double ratio = l[k].size / l[i].size;
            bool same = ratio < 1.4 && ratio > 1 / 1.4;
            if (!same || fabs(l[k].across - l[last].across) > 0.35 * l[i].size ||
                l[k].along < l[last].along + 0.5 * l[last].length)
                continue;
            row++;
            last = k;
        }
        best = row > best ? row : best;
    }
    return best;
}

/* Letters of `upright` writing stand side by side, those of turned writing above each other. */
static int count_letters(const component *c, int n, double mm_x, double mm_y, bool upright,
                         arena *a)
{
    letter *l = arena_alloc(a, (size_t)(n ? n : 1) * sizeof *l);
    int found = 0;
    for (int i = 0; i < n; i++) {
        double w = c[i].w * mm_x, h = c[i].h * mm_y, size = upright ? h : w;
        double length = upright ? w : h;
        if (size < TEXT_LOW_MM || size > TEXT_HIGH_MM || length > 1.5 * size)
            continue;
        double x = c[i].x * mm_x, y = c[i].y * mm_y;
        l[found++] =
            upright ? (letter){x, y + h / 2, size, length} : (letter){y, x + w / 2, size, length};
    }
    qsort(l, (size_t)found, sizeof *l, by_along);
    return longest_row(l, found);
}

typedef struct samples { /* first to end - 1 of a row */
    int first, end;
} samples;

/* Samples of a row that lie beside the breast, as runs; at_x: places on the thumbnail of the w
 * samples of row 0, at_y: what the row adds. */
static int samples_beside(const uint8_t *keep, size_t at_y, const size_t *at_x, int w, samples *out)
{
    int n = 0;
    for (int x = 0; x < w; x++) {
        if (keep[at_y + at_x[x]])
            continue;
        if (n && out[n - 1].end == x)
            out[n - 1].end++;
        else
            out[n++] = (samples){x, x + 1};
    }
    return n;
}

/* Bright samples beside the breast on the grid of every step-th pixel: mask[h, w] and the box
 * around them. False: there are none. */
static bool bright_samples(const chain *s, int step, int h, int w, uint8_t *mask, int area[4])
{
    const pixels *p = s->p;
    int cut = s->found.air + (int)(TEXT_ABOVE * WINDOW_MAX), n = 0;
    int x0 = w, x1 = -1, y0 = h, y1 = -1;
    size_t *at_x = arena_alloc(s->a, (size_t)w * sizeof *at_x), origin = chain_thumb_at(s, 0, 0);
    samples *beside = arena_alloc(s->a, (size_t)w * sizeof *beside);
    for (int x = 0; x < w; x++) /* the place on the thumbnail is a sum of one per axis */
        at_x[x] = chain_thumb_at(s, x * step, 0) - origin;
    memset(mask, 0, (size_t)h * (size_t)w);
    for (int y = 0, last = -1; y < h; y++) {
        const uint16_t *row = p->stored + (size_t)y * (size_t)step * (size_t)p->cols;
        size_t at_y = chain_thumb_at(s, 0, y * step);
        if (last < 0 || at_y != chain_thumb_at(s, 0, last * step))
            n = samples_beside(s->keep, at_y, at_x, w, beside);
        last = y;
        for (int k = 0; k < n; k++)
            for (int x = beside[k].first; x < beside[k].end; x++) {
                if (s->lut->y[row[x * step]] <= cut)
                    continue;
                mask[(size_t)y * (size_t)w + (size_t)x] = 1;
                x0 = x < x0 ? x : x0;
                x1 = x > x1 ? x : x1;
                y0 = y < y0 ? y : y0;
                y1 = y;
            }
    }
    area[0] = x0;
    area[1] = y0;
    area[2] = x1 + 1 - x0;
    area[3] = y1 + 1 - y0;
    return x1 >= 0;
}

void facts_letters(chain *s)
{
    const pixels *p = s->p;
    const record *r = &s->out->rec;
    int side = p->rows > p->cols ? p->rows : p->cols, step = (side + TEXT_SIDE - 1) / TEXT_SIDE;
    int h = (p->rows + step - 1) / step, w = (p->cols + step - 1) / step, area[4];
    uint8_t *mask = arena_alloc(s->a, (size_t)h * (size_t)w);
    if (!bright_samples(s, step, h, w, mask, area))
        return;
    size_t n = (size_t)area[2] * (size_t)area[3];
    uint8_t *part = arena_alloc(s->a, n);
    for (int y = 0; y < area[3]; y++)
        memcpy(part + (size_t)y * (size_t)area[2],
               mask + (size_t)(area[1] + y) * (size_t)w + (size_t)area[0], (size_t)area[2]);
    int32_t *label = arena_alloc(s->a, n * sizeof *label);
    component *c = arena_alloc(s->a, TEXT_PARTS * sizeof *c);
    int parts_n = component_find(part, area[3], area[2], label, c, TEXT_PARTS, s->a);
    parts_n = parts_n < TEXT_PARTS ? parts_n : TEXT_PARTS;
    double mm_x = (r->col_mm > 0 ? r->col_mm : FACTS_NOMINAL_MM) * step;
    double mm_y = (r->row_mm > 0 ? r->row_mm : FACTS_NOMINAL_MM) * step;
    int across = count_letters(c, parts_n, mm_x, mm_y, true, s->a);
    int turned = count_letters(c, parts_n, mm_x, mm_y, false, s->a);
    s->facts->letters = across > turned ? across : turned;
}
