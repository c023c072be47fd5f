/* Exact resize of u16 images (resize.h): integer weights per axis, one pass over the source. Rows
 * are added up first, whole and in order, which processors do well; columns then run over the
 * few rows that are left. */
#include "preprocess/resize.h"

#include <math.h>

#include "core/err.h"

#define RESIZE_MAX 65535       /* source side: keeps a column's weighted sum inside 32 bits */
#define BAND       8           /* output rows that are finished together, one lane each */
#define CHUNK      64          /* ... and as many of their pixels at once as stay near */
#define AHEAD      2048        /* words that are asked for before they are needed */
#define BIAS       2147483648. /* what sums are stored less: signed ones become doubles quickly */

typedef double double4 LANES(double, 4);
typedef int32_t sums4 LANES(int32_t, 4);
typedef uint16_t pixels4 LANES(uint16_t, 4);

typedef struct axis { /* output i = sum of weight * source over count from first, / total */
    int *first, *count;
    double *weight; /* whole numbers, most per output */
    int most;
    uint32_t total;
} axis;

static void axis_make(axis *x, int src, int dst, arena *a)
{
    bool shrink = dst <= src;
    x->most = shrink ? src / dst + 2 : 2;
    x->total = shrink ? (uint32_t)src : 2 * (uint32_t)dst;
    x->first = arena_alloc(a, (size_t)dst * sizeof *x->first);
    x->count = arena_alloc(a, (size_t)dst * sizeof *x->count);
    x->weight = arena_calloc(a, (size_t)dst * (size_t)x->most * sizeof *x->weight);
    for (int j = 0; j < dst; j++) {
        double *wt = x->weight + (size_t)j * (size_t)x->most;
        if (shrink) { /* source i covers [i*dst, (i+1)*dst), output j covers [j*src, (j+1)*src) */
            int64_t a0 = (int64_t)j * src, a1 = a0 + src;
            int i0 = (int)(a0 / dst), i1 = (int)((a1 - 1) / dst);
            x->first[j] = i0;
            x->count[j] = i1 - i0 + 1;
            for (int i = i0; i <= i1; i++) {
                int64_t lo = (int64_t)i * dst, hi = lo + dst;
                wt[i - i0] = (double)((hi < a1 ? hi : a1) - (lo > a0 ? lo : a0));
            }
        } else { /* centre of output j in source units, times 2*dst */
            int64_t pos = (2 * (int64_t)j + 1) * src - dst, unit = 2 * (int64_t)dst;
            pos = pos < 0 ? 0 : pos > (src - 1) * unit ? (src - 1) * unit : pos;
            int i0 = (int)(pos / unit);
            x->first[j] = i0;
            x->count[j] = i0 + 1 < src ? 2 : 1;
            wt[1] = x->count[j] == 2 ? (double)(pos % unit) : 0;
            wt[0] = (double)unit - wt[1];
        }
    }
}

WIDE_LOOPS static void start_row(int32_t *acc, int n)
{
    for (int i = 0; i < n; i++)
        acc[i] = INT32_MIN;
}

/* acc += weight * line */
WIDE_LOOPS static void add_row(int32_t *acc, const uint16_t *line, uint32_t weight, int n)
{
    for (int i = 0; i < n; i++)
        acc[i] = (int32_t)((uint32_t)acc[i] + weight * line[i]);
}

static ALWAYS_INLINE void look_up_four(uint64_t in, const uint16_t *lut, uint16_t *dst)
{
    dst[0] = lut[in & 0xFFFF];
    dst[1] = lut[in >> 16 & 0xFFFF];
    dst[2] = lut[in >> 32 & 0xFFFF];
    dst[3] = lut[in >> 48];
}

/* Eight words at once: the table's own loads are the limit then. Air is long stretches of the same
 * four. The source is large and far away: it is asked for early, where a page ends the processor
 * does not do so by itself. */
static void look_up(const uint16_t *src, int n, const uint16_t *lut, uint16_t *dst)
{
    uint64_t in, more, same = 0, out = lut[0] * UINT64_C(0x0001000100010001);
    int i = 0;
    for (; i + 8 <= n; i += 8) {
        __builtin_prefetch(src + i + AHEAD);
        memcpy(&in, src + i, sizeof in);
        memcpy(&more, src + i + 4, sizeof more);
        if (((in ^ same) | (more ^ same)) == 0) {
            memcpy(dst + i, &out, sizeof out);
            memcpy(dst + i + 4, &out, sizeof out);
            continue;
        }
        look_up_four(in, lut, dst + i);
        look_up_four(more, lut, dst + i + 4);
        if (in == more) {
            same = in;
            memcpy(&out, dst + i, sizeof out);
        }
    }
    for (; i < n; i++)
        dst[i] = lut[src[i]];
}

/* A source row, through the table if there is one. */
static const uint16_t *source_row(const resize *j, int y, uint16_t *line)
{
    const uint16_t *src = j->src + (size_t)(j->y0 + y) * (size_t)j->stride + j->x0;
    if (!j->lut)
        return src;
    look_up(src, j->w, j->lut, line);
    return line;
}

/* The sums of a band side by side: those of one column lie together. */
WIDE_LOOPS static void interleave(const int32_t *acc, size_t stride, int n, int32_t *out)
{
    for (int i = 0; i < n; i++)
        for (int b = 0; b < BAND; b++)
            out[i * BAND + b] = acc[(size_t)b * stride + (size_t)i];
}

/* Sums over rows -> output pixels of all rows of the band; / total, rounded half up. Whole numbers
 * below 2^48 and halves are exact in doubles; half a unit more keeps every quotient farther from
 * the next whole number than its rounding errs. taps: columns per output, the last ones without
 * weight where fewer are wanted; a constant where it is small. */
static inline void finish(const axis *x, int from, int to, const sums4 *acc, int taps, double total,
                          pixels4 *dst)
{
    const double start = floor(total / 2) + 0.5 + (double)x->total * BIAS;
    const double4 inverse = 1 / total - (double4){0};
    for (int k = from; k < to; k++) {
        const double *wt = x->weight + (size_t)k * (size_t)x->most;
        const sums4 *at = acc + (size_t)(x->first[k] - x->first[from]) * 2;
        double4 lo = start - (double4){0}, hi = lo;
        for (int i = 0; i < taps; i++) {
            lo += wt[i] * __builtin_convertvector(at[2 * i], double4);
            hi += wt[i] * __builtin_convertvector(at[2 * i + 1], double4);
        }
        lo *= inverse;
        hi *= inverse;
        *dst++ = __builtin_convertvector(__builtin_convertvector(lo, sums4), pixels4);
        *dst++ = __builtin_convertvector(__builtin_convertvector(hi, sums4), pixels4);
    }
}

WIDE_LOOPS static void finish_band(const axis *x, int from, int to, const sums4 *acc, double total,
                                   pixels4 *dst)
{
    switch (x->most) {
    case 2:
        finish(x, from, to, acc, 2, total, dst);
        break;
    case 3:
        finish(x, from, to, acc, 3, total, dst);
        break;
    case 4:
        finish(x, from, to, acc, 4, total, dst);
        break;
    case 5:
        finish(x, from, to, acc, 5, total, dst);
        break;
    default:
        finish(x, from, to, acc, x->most, total, dst);
    }
}

/* Back from the band to its rows; backwards where they are mirrored. */
WIDE_LOOPS static void spread(const uint16_t *band, int rows, int n, bool mirror, uint16_t *dst,
                              ptrdiff_t stride)
{
    for (int b = 0; b < rows; b++, dst += stride)
        if (mirror)
            for (int k = 0; k < n; k++)
                dst[n - 1 - k] = band[k * BAND + b];
        else
            for (int k = 0; k < n; k++)
                dst[k] = band[k * BAND + b];
}

void resize_run(const resize *j, arena *a)
{
    if (j->w < 1 || j->h < 1 || j->dw < 1 || j->dh < 1 || j->w > RESIZE_MAX || j->h > RESIZE_MAX ||
        j->dw > RESIZE_MAX / 2 || j->dh > RESIZE_MAX / 2)
        BUG("resize: %d x %d to %d x %d", j->h, j->w, j->dh, j->dw);
    axis x, y;
    axis_make(&x, j->w, j->dw, a);
    axis_make(&y, j->h, j->dh, a);
    uint16_t *line = arena_alloc(a, (size_t)j->w * sizeof *line);
    size_t wide = (size_t)j->w + (size_t)x.most; /* taps without weight may lie behind the end */
    int32_t *acc = arena_calloc(a, BAND * wide * sizeof *acc);
    int32_t *side_by_side = arena_alloc(a, BAND * wide * sizeof *side_by_side);
    uint16_t *band = arena_alloc(a, CHUNK * BAND * sizeof *band);
    double total = (double)x.total * y.total;
    const uint16_t *row = NULL;
    int held = -1; /* the source row in `row`: neighbours share their border row */
    for (int k = 0; k < j->dh; k++) {
        int32_t *sums = acc + (size_t)(k % BAND) * wide;
        start_row(sums, j->w);
        for (int i = 0; i < y.count[k]; i++) {
            uint32_t wt = (uint32_t)y.weight[(size_t)k * (size_t)y.most + (size_t)i];
            if (y.first[k] + i != held)
                row = source_row(j, held = y.first[k] + i, line);
            add_row(sums, row, wt, j->w);
        }
        int rows = k % BAND + 1;
        if (rows < BAND && k + 1 < j->dh)
            continue;
        uint16_t *dst = j->dst + (k + 1 - rows) * j->dst_stride;
        for (int from = 0; from < j->dw; from += CHUNK) {
            int to = from + CHUNK < j->dw ? from + CHUNK : j->dw;
            interleave(acc + x.first[from], wide, x.first[to - 1] + x.most - x.first[from],
                       side_by_side);
            finish_band(&x, from, to, (const sums4 *)(const void *)side_by_side, total,
                        (pixels4 *)(void *)band);
            spread(band, rows, to - from, j->mirror, dst + (j->mirror ? j->dw - to : from),
                   j->dst_stride);
        }
    }
}
