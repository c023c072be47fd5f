/* The breast on a thumbnail (segment.h). Thresholds are shares of the full scale or of the
 * thumbnail's size; the algorithm and its numbers are those of dicom.md 2 (polarity test) and 5. */
#include "preprocess/segment.h"

#include <math.h>

#include "preprocess/component.h"
#include "preprocess/opencv_shim.h"

#define BINS          1024 /* of histograms over 0..65535 */
#define BIN_SHIFT     6
#define MAX_PARTS     256  /* components described; thumbnails rarely have more than a dozen */
#define FRAME_MAX     0.05 /* bright border lines at most this share of the size */
#define DARK_MAX      0.10 /* dark columns before the chest wall */
#define LINE_SD       0.005
#define LINE_BRIGHT   0.9
#define OPEN_RADIUS   0.01
#define LOW_ABOVE_AIR 0.01 /* full scale */
#define RECT_EXTENT   0.95
#define MIN_AREA      0.01
#define MAX_AREA      0.985
#define MIN_SOLIDITY  0.75
#define MAX_CENTROID  0.60
#define CHEST_STRIP   0.05 /* columns compared on both sides */
#define CHEST_RATIO   1.5

/* ---- orientation by metadata ----------------------------------------------------------------- */

/* PatientOrientation codes: A/P along rows is upright; along columns means a transposed image. */
image_orient segment_orient(const record *r, segment_source *by)
{
    image_orient o = {false, false, false};
    const char *row = r->orientation[0], *col = r->orientation[1];
    bool row_ap = row[0] == 'A' || row[0] == 'P', col_ap = col[0] == 'A' || col[0] == 'P';
    if (!row_ap && col_ap) {
        const char *t = row;
        o.transpose = true;
        row = col;
        col = t;
        row_ap = true;
    }
    *by = row_ap                             ? SEGMENT_BY_CODES
          : r->side == 'L' || r->side == 'R' ? SEGMENT_BY_SIDE
                                             : SEGMENT_BY_NOTHING;
    o.flip_h = row_ap ? row[0] == 'P' : r->side == 'R';
    if (!row_ap)
        return o;
    if (r->view == VIEW_CC)
        o.flip_v = r->side && col[0] == r->side;
    else if (r->view == VIEW_MLO || r->view == VIEW_ML || r->view == VIEW_LM)
        o.flip_v = col[0] == 'H';
    return o;
}

/* ---- small statistics ------------------------------------------------------------------------ */

typedef struct tally {
    uint32_t bin[BINS];
    uint64_t n;
} tally;

static void tally_add(tally *t, uint16_t v)
{
    t->bin[v >> BIN_SHIFT]++;
    t->n++;
}

static uint16_t bin_value(int b)
{
    return (uint16_t)((b << BIN_SHIFT) + (1 << BIN_SHIFT) / 2);
}

static uint16_t tally_median(const tally *t)
{
    uint64_t seen = 0;
    for (int b = 0; b < BINS; b++) {
        seen += t->bin[b];
        if (seen * 2 >= t->n && t->n)
            return bin_value(b);
    }
    return 0;
}

/* Most frequent bin below `end`; -1 = all of them empty. */
static int tally_mode(const tally *t, int end)
{
    int best = -1;
    for (int b = 0; b < end; b++)
        if (t->bin[b] && (best < 0 || t->bin[b] > t->bin[best]))
            best = b;
    return best;
}

static int tally_otsu(const tally *t)
{
    double all = 0, n = (double)t->n, w0 = 0, s0 = 0, best = -1;
    int at = 0;
    for (int b = 0; b < BINS; b++)
        all += (double)b * t->bin[b];
    for (int b = 0; b < BINS - 1; b++) {
        w0 += t->bin[b];
        s0 += (double)b * t->bin[b];
        if (w0 == 0 || w0 == n)
            continue;
        double d = s0 / w0 - (all - s0) / (n - w0), between = w0 * (n - w0) * d * d;
        if (between > best) {
            best = between;
            at = b + 1;
        }
    }
    return at;
}

static uint16_t px(const segment_thumb *t, int y, int x)
{
    return t->v[(size_t)y * (size_t)t->w + (size_t)x];
}

/* ---- polarity -------------------------------------------------------------------------------- */

/* Edges of the frame without the left one, or only the quieter of left and right when the side is
 * unknown; padding left out. */
static uint16_t edge_median(const segment_thumb *t, bool side_known, arena *a)
{
    tally *edge = arena_calloc(a, sizeof *edge);
    int inset = 1; /* the outermost line is often a frame */
    int side = t->w - 1 - inset;
    if (!side_known) {
        double sd[2];
        for (int k = 0; k < 2; k++) {
            double s = 0, q = 0;
            for (int y = 0; y < t->h; y++) {
                double v = px(t, y, k ? t->w - 1 - inset : inset);
                s += v;
                q += v * v;
            }
            sd[k] = q / t->h - s / t->h * (s / t->h);
        }
        side = sd[0] < sd[1] ? inset : t->w - 1 - inset;
    }
    for (int y = 0; y < t->h; y++)
        if (!t->pad[(size_t)y * (size_t)t->w + (size_t)side])
            tally_add(edge, px(t, y, side));
    for (int x = 0; side_known && x < t->w; x++)
        for (int k = 0; k < 2; k++) {
            int y = k ? t->h - 1 - inset : inset;
            if (!t->pad[(size_t)y * (size_t)t->w + (size_t)x])
                tally_add(edge, px(t, y, x));
        }
    return tally_median(edge);
}

/* Sums of three rows around y, and of their squares, per column. */
WIDE_LOOPS static void sum_three(const segment_thumb *t, int y, uint32_t *sum, uint64_t *square)
{
    const uint16_t *a = t->v + (size_t)(y - 1) * (size_t)t->w, *b = a + t->w, *c = b + t->w;
    for (int x = 0; x < t->w; x++) {
        uint32_t p = a[x], q = b[x], r = c[x];
        sum[x] = p + q + r;
        square[x] = (uint64_t)(p * p) + (uint64_t)(q * q) + (uint64_t)(r * r);
    }
}

/* Columns whose 3x3 values vary less than 1 % of the scale: 81 times their variance is whole. */
WIDE_LOOPS static void flat_row(const uint32_t *sum, const uint64_t *square, int n, uint8_t *flat)
{
    const uint64_t limit = (uint64_t)ceil(0.01 * WINDOW_MAX * 0.01 * WINDOW_MAX * 81);
    for (int x = 1; x + 1 < n; x++) {
        uint32_t s = sum[x - 1] + sum[x] + sum[x + 1];
        uint64_t q = square[x - 1] + square[x] + square[x + 1];
        flat[x] = 9 * q - (uint64_t)s * s < limit;
    }
}

/* Takes away what touches padding: p is the row above. */
FAST_LOOPS static void clear_padded(const uint8_t *p, int n, uint8_t *flat)
{
    const uint8_t *q = p + n, *r = q + n;
    for (int x = 1; x + 1 < n; x++)
        flat[x] &=
            !(p[x - 1] | p[x] | p[x + 1] | q[x - 1] | q[x] | q[x + 1] | r[x - 1] | r[x] | r[x + 1]);
}

void segment_flat(const segment_thumb *t, uint8_t *flat, arena *a)
{
    bool padded = memchr(t->pad, 1, (size_t)t->h * (size_t)t->w) != NULL;
    uint32_t *sum = arena_alloc(a, (size_t)t->w * sizeof *sum);
    uint64_t *square = arena_alloc(a, (size_t)t->w * sizeof *square);
    memset(flat, 0, (size_t)t->h * (size_t)t->w);
    for (int y = 1; y + 1 < t->h; y++) {
        uint8_t *out = flat + (size_t)y * (size_t)t->w;
        sum_three(t, y, sum, square);
        flat_row(sum, square, t->w, out);
        if (padded)
            clear_padded(t->pad + (size_t)(y - 1) * (size_t)t->w, t->w, out);
    }
}

/* Where padding replaces the air it says nothing about contrast, but the skin line does: next to
 * the padding a breast is darker than inside. */
static bool dark_rim(const segment_thumb *t, arena *a)
{
    size_t n = (size_t)t->h * (size_t)t->w, pads = 0;
    if (!memchr(t->pad, 1, n))
        return false;
    uint8_t *near = arena_alloc(a, n);
    tally *rim = arena_calloc(a, sizeof *rim), *all = arena_calloc(a, sizeof *all);
    memcpy(near, t->pad, n);
    opencv_dilate(near, t->h, t->w, 2);
    for (size_t i = 0; i < n; i++) {
        pads += t->pad[i];
        if (t->pad[i])
            continue;
        tally_add(all, t->v[i]);
        if (near[i])
            tally_add(rim, t->v[i]);
    }
    if (pads < n / 20 || !rim->n)
        return false;
    return tally_median(rim) < 0.6 * tally_median(all);
}

segment_polarity segment_polarity_test(const segment_thumb *t, bool side_known, arena *a)
{
    if (t->h < 16 || t->w < 16)
        return SEGMENT_UNCERTAIN;
    if (dark_rim(t, a))
        return SEGMENT_DARK_BACKGROUND;
    size_t n = (size_t)t->h * (size_t)t->w;
    uint8_t *flat = arena_alloc(a, n);
    int32_t *label = arena_alloc(a, n * sizeof *label);
    component *part = arena_alloc(a, MAX_PARTS * sizeof *part);
    tally *ground = arena_calloc(a, sizeof *ground), *fore = arena_calloc(a, sizeof *fore);
    segment_flat(t, flat, a);
    int parts = component_find(flat, t->h, t->w, label, part, MAX_PARTS, a), big = -1;
    parts = parts < MAX_PARTS ? parts : MAX_PARTS;
    for (int i = 0; i < parts; i++)
        if (big < 0 || part[i].area > part[big].area)
            big = i;
    if (big < 0) /* padding may have covered all of the air: black is the background then */
        return SEGMENT_UNCERTAIN;
    for (size_t i = 0; i < n; i++)
        if (label[i] == big + 1)
            tally_add(ground, t->v[i]);
    double b = bin_value(tally_mode(ground, BINS));
    for (size_t i = 0; i < n; i++)
        if (!t->pad[i] && fabs(t->v[i] - b) > 0.03 * WINDOW_MAX)
            tally_add(fore, t->v[i]);
    if (!fore->n)
        return SEGMENT_UNCERTAIN;
    double e = edge_median(t, side_known, a), f = tally_median(fore), y = WINDOW_MAX;
    if (e < 0.15 * y && b < 0.2 * y && b < f)
        return SEGMENT_DARK_BACKGROUND;
    if (e > 0.85 * y && b > 0.8 * y && b > f)
        return SEGMENT_BRIGHT_BACKGROUND;
    return SEGMENT_UNCERTAIN;
}

/* ---- mask ------------------------------------------------------------------------------------ */

typedef struct box { /* end exclusive */
    int x0, y0, x1, y1;
} box;

static void line_stats(const segment_thumb *t, bool column, int at, double *mean, double *sd)
{
    int n = column ? t->h : t->w;
    double s = 0, q = 0;
    for (int i = 0; i < n; i++) {
        double v = column ? px(t, i, at) : px(t, at, i);
        s += v;
        q += v * v;
    }
    *mean = s / n / WINDOW_MAX;
    double var = q / n / WINDOW_MAX / WINDOW_MAX - *mean * *mean;
    *sd = var > 0 ? sqrt(var) : 0;
}

static bool line_is_frame(const segment_thumb *t, bool column, int at)
{
    double mean, sd;
    line_stats(t, column, at, &mean, &sd);
    return sd < LINE_SD && mean > LINE_BRIGHT;
}

/* Bright frame lines go on all sides; constant dark columns only before the chest wall, so that the
 * breast touches column x0. */
static box trim(const segment_thumb *t)
{
    box b = {0, 0, t->w, t->h};
    int mx = (int)(t->w * FRAME_MAX), my = (int)(t->h * FRAME_MAX);
    while (b.x0 < mx && line_is_frame(t, true, b.x0))
        b.x0++;
    while (t->w - b.x1 < mx && line_is_frame(t, true, b.x1 - 1))
        b.x1--;
    while (b.y0 < my && line_is_frame(t, false, b.y0))
        b.y0++;
    while (t->h - b.y1 < my && line_is_frame(t, false, b.y1 - 1))
        b.y1--;
    int start = b.x0;
    for (double mean, sd; b.x0 - start < (int)(t->w * DARK_MAX); b.x0++) {
        line_stats(t, true, b.x0, &mean, &sd);
        if (sd >= LINE_SD || mean > 0.1)
            break;
    }
    if (b.x0 - start >= (int)(t->w * DARK_MAX))
        b.x0 = start; /* not an edge: the breast lies elsewhere */
    return b;
}

typedef struct levels { /* display values */
    uint16_t air;
    uint16_t low;  /* just above the spread of the air: keeps fatty tissue under the skin */
    uint16_t high; /* at least half of Otsu's: holds where the air is uneven */
} levels;

FAST_LOOPS static levels find_levels(const segment_thumb *t, const box *b, arena *a)
{
    tally *all = arena_calloc(a, sizeof *all), *rim = arena_calloc(a, sizeof *rim);
    tally *dev = arena_calloc(a, sizeof *dev);
    int strip = (b->x1 - b->x0) / 50 + 2, mid = (b->x0 + b->x1) / 2;
    for (int y = b->y0; y < b->y1; y++)
        for (int x = b->x0; x < b->x1; x++) {
            uint16_t v = px(t, y, x);
            if (t->pad[(size_t)y * (size_t)t->w + (size_t)x])
                continue; /* a collimated strip would pass for the air */
            tally_add(all, v);
            bool far_rows = y < b->y0 + strip || y >= b->y1 - strip;
            if (x >= b->x1 - strip || (far_rows && x > mid))
                tally_add(rim, v);
        }
    int mode = tally_mode(rim, BINS / 2);
    if (mode < 0)
        mode = tally_mode(all, BINS / 2);
    int otsu = tally_otsu(all);
    if (mode < 0) /* nothing dark at all */
        return (levels){0, bin_value(otsu), bin_value(otsu)};
    for (int i = 0; i < BINS / 2; i++) {
        int d = i > mode ? i - mode : mode - i;
        if (d < BINS / 10) {
            dev->bin[d] += rim->bin[i];
            dev->n += rim->bin[i];
        }
    }
    int mad = dev->n ? tally_median(dev) >> BIN_SHIFT : 0;
    int low = mode + 4 * mad + (int)(BINS * LOW_ABOVE_AIR) + 1;
    int high = otsu / 2 + 1 > low ? otsu / 2 + 1 : low;
    return (levels){mode ? bin_value(mode) : 0, bin_value(low < BINS ? low : BINS - 1),
                    bin_value(high < BINS ? high : BINS - 1)};
}

typedef struct span { /* x0 to x1 - 1 */
    int y, x0, x1;
} span;

typedef struct flood { /* of what is no mask, from column x0 on */
    const uint8_t *mask;
    uint8_t *out;
    int h, w, x0;
    span *stack; /* reached, its neighbours not looked at */
    size_t top;
} flood;

/* Where the bytes are no longer what they are at x. */
static int same_until(const uint8_t *row, int x, int n)
{
    const uint8_t *other = memchr(row + x, !row[x], (size_t)(n - x));
    return other ? (int)(other - row) : n;
}

/* The water reaches (y, x), and with it the whole run. Returns the end of the run, or of what was
 * in its way. */
static int flood_run(flood *f, int y, int x)
{
    const uint8_t *row = f->mask + (size_t)y * (size_t)f->w;
    uint8_t *out = f->out + (size_t)y * (size_t)f->w;
    int first = x;
    if (row[x] || out[x])
        return same_until(row[x] ? row : out, x, f->w);
    while (first > f->x0 && !row[first - 1])
        first--;
    int end = same_until(row, x, f->w);
    memset(out + first, 1, (size_t)(end - first));
    f->stack[f->top++] = (span){y, first, end};
    return end;
}

WIDE_LOOPS static void turn_over(const uint8_t *in, int n, uint8_t *out)
{
    for (int x = 0; x < n; x++)
        out[x] = !in[x];
}

/* Fill everything the right, top and bottom border cannot reach, and holes at the chest wall
 * between its first and last row. */
static void fill_holes(uint8_t *mask, int h, int w, int x0, arena *a)
{
    flood f = {mask, arena_calloc(a, (size_t)h * (size_t)w),
               h,    w,
               x0,   arena_alloc(a, (size_t)h * (size_t)(w / 2 + 1) * sizeof *f.stack),
               0};
    int first = -1, last = -1;
    for (int y = 0; y < h; y++)
        if (mask[(size_t)y * (size_t)w + (size_t)x0]) {
            first = first < 0 ? y : first;
            last = y;
        }
    for (int x = x0; x < w;)
        x = flood_run(&f, 0, x);
    for (int x = x0; x < w;)
        x = flood_run(&f, h - 1, x);
    for (int y = 0; y < h; y++) {
        flood_run(&f, y, w - 1);
        if (y < first || y > last)
            flood_run(&f, y, x0);
    }
    while (f.top) {
        span s = f.stack[--f.top];
        for (int y = s.y - 1; y <= s.y + 1; y += 2)
            for (int x = s.x0; x < s.x1 && y >= 0 && y < h;)
                x = flood_run(&f, y, x);
    }
    for (int y = 0; y < h; y++) {
        uint8_t *row = mask + (size_t)y * (size_t)w;
        memset(row, 0, (size_t)x0);
        turn_over(f.out + (size_t)y * (size_t)w + x0, w - x0, row + x0);
    }
}

static int chest_contact(const int32_t *label, int h, int w, int x0, int part)
{
    int n = 0;
    for (int y = 0; y < h; y++) {
        bool hit = false;
        for (int x = x0; x < x0 + 3 && x < w; x++)
            hit = hit || label[(size_t)y * (size_t)w + (size_t)x] == part + 1;
        n += hit;
    }
    return n;
}

/* The component with the largest area x chest contact that is no rectangle; -1 = none. */
FAST_LOOPS static int choose_part(const segment_thumb *t, const box *b, const uint8_t *mask,
                                  int32_t *label, arena *a)
{
    component *part = arena_alloc(a, MAX_PARTS * sizeof *part);
    int parts = component_find(mask, t->h, t->w, label, part, MAX_PARTS, a), best = -1;
    double score = 0;
    parts = parts < MAX_PARTS ? parts : MAX_PARTS;
    for (int i = 0; i < parts; i++) {
        double extent = (double)part[i].area / ((double)part[i].w * part[i].h);
        bool frame_wide = part[i].w > 0.9 * t->w && part[i].h > 0.9 * t->h;
        if (extent > RECT_EXTENT && !frame_wide)
            continue;
        double s = (double)part[i].area * chest_contact(label, t->h, t->w, b->x0, i);
        if (s > score) {
            score = s;
            best = i;
        }
    }
    return best;
}

static bool plausible(const segment_thumb *t, const segment_found *f, double centroid)
{
    double n = (double)f->area, all = (double)t->h * t->w;
    if (n < MIN_AREA * all || n > MAX_AREA * all || centroid > MAX_CENTROID * t->w)
        return false;
    return n / opencv_hull_area(f->mask, t->h, t->w) >= MIN_SOLIDITY;
}

/* Pixels of one row of a mask, and the sum of their columns. */
WIDE_LOOPS static uint32_t row_sums(const uint8_t *row, int n, uint32_t *columns)
{
    uint32_t area = 0, sum = 0;
    for (int x = 0; x < n; x++) {
        area += row[x];
        sum += row[x] * (uint32_t)x;
    }
    *columns = sum;
    return area;
}

/* Area and box of the mask, whose breast begins in column x0; returns its mean column. */
static double measure(const segment_thumb *t, int x0, segment_found *out)
{
    uint64_t columns = 0;
    out->area = 0;
    out->x0 = x0;
    out->y0 = t->h;
    out->x1 = out->y1 = 0;
    for (int y = 0; y < t->h; y++) {
        const uint8_t *row = out->mask + (size_t)y * (size_t)t->w;
        uint32_t sum, n = row_sums(row, t->w, &sum);
        if (!n)
            continue;
        out->area += n;
        columns += sum;
        out->y0 = y < out->y0 ? y : out->y0;
        out->y1 = y + 1;
        int end = t->w;
        while (end > out->x1 && !row[end - 1])
            end--;
        out->x1 = end;
    }
    double n = (double)out->area;
    return ((double)columns + 0.5 * n) / n;
}

/* Values from the cut on that are no padding. */
WIDE_LOOPS static void above(const uint16_t *v, const uint8_t *pad, int n, uint16_t cut,
                             uint8_t *out)
{
    for (int x = 0; x < n; x++)
        out[x] = (v[x] >= cut) & !pad[x];
}

WIDE_LOOPS static void labelled(const int32_t *label, size_t n, int32_t wanted, uint8_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = label[i] == wanted;
}

static bool find_at(const segment_thumb *t, const box *b, uint16_t cut, arena *a,
                    segment_found *out)
{
    size_t n = (size_t)t->h * (size_t)t->w;
    int32_t *label = arena_alloc(a, n * sizeof *label);
    out->mask = arena_calloc(a, n);
    for (int y = b->y0; y < b->y1; y++) {
        size_t i = (size_t)y * (size_t)t->w + (size_t)b->x0;
        above(t->v + i, t->pad + i, b->x1 - b->x0, cut, out->mask + i);
    }
    opencv_open(out->mask, t->h, t->w, (int)(t->w * OPEN_RADIUS + 0.5));
    int part = choose_part(t, b, out->mask, label, a);
    if (part < 0)
        return false;
    labelled(label, n, part + 1, out->mask);
    fill_holes(out->mask, t->h, t->w, b->x0, a);
    return plausible(t, out, measure(t, b->x0, out));
}

bool segment_find(const segment_thumb *t, arena *a, segment_found *out)
{
    if (t->h < 16 || t->w < 16)
        return false;
    box b = trim(t);
    levels l = find_levels(t, &b, a);
    out->air = l.air;
    return find_at(t, &b, l.low, a, out) || find_at(t, &b, l.high, a, out);
}

int segment_chest(const segment_thumb *t, arena *a)
{
    if (t->h < 16 || t->w < 16)
        return 0;
    tally *all = arena_calloc(a, sizeof *all);
    for (size_t i = 0; i < (size_t)t->h * (size_t)t->w; i++)
        tally_add(all, t->v[i]);
    uint16_t cut = bin_value(tally_otsu(all) / 2 + 1);
    int strip = (int)(t->w * CHEST_STRIP) + 1;
    int64_t side[2] = {0, 0};
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < strip; i++) {
            int x = k ? t->w - 1 - i : i;
            if (line_is_frame(t, true, x))
                continue;
            for (int y = 0; y < t->h; y++)
                side[k] += px(t, y, x) >= cut;
        }
    if ((double)side[0] > CHEST_RATIO * (double)side[1])
        return 1;
    return (double)side[1] > CHEST_RATIO * (double)side[0] ? -1 : 0;
}
