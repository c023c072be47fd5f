/* Exact resize of u16 images (resize.h): integer weights per axis, one pass over the source. Rows
 * are added up first, whole and in order, which processors do well; columns then run over the
 * few rows that are left. */
#include "preprocess/resize.h"

#include "core/err.h"

#if defined(__x86_64__)
#define HAVE_AVX2 __builtin_cpu_supports("avx2")
#else
#define HAVE_AVX2 false
#endif

#define RESIZE_MAX 65535 /* source side: keeps a column's weighted sum inside 32 bits */

typedef struct axis { /* output i = sum of weight * source over count from first, / total */
    int *first, *count;
    uint32_t *weight; /* most per output */
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
        uint32_t *wt = x->weight + (size_t)j * (size_t)x->most;
        if (shrink) { /* source i covers [i*dst, (i+1)*dst), output j covers [j*src, (j+1)*src) */
            int64_t a0 = (int64_t)j * src, a1 = a0 + src;
            int i0 = (int)(a0 / dst), i1 = (int)((a1 - 1) / dst);
            x->first[j] = i0;
            x->count[j] = i1 - i0 + 1;
            for (int i = i0; i <= i1; i++) {
                int64_t lo = (int64_t)i * dst, hi = lo + dst;
                wt[i - i0] = (uint32_t)((hi < a1 ? hi : a1) - (lo > a0 ? lo : a0));
            }
        } else { /* centre of output j in source units, times 2*dst */
            int64_t pos = (2 * (int64_t)j + 1) * src - dst, unit = 2 * (int64_t)dst;
            pos = pos < 0 ? 0 : pos > (src - 1) * unit ? (src - 1) * unit : pos;
            int i0 = (int)(pos / unit);
            x->first[j] = i0;
            x->count[j] = i0 + 1 < src ? 2 : 1;
            wt[1] = x->count[j] == 2 ? (uint32_t)(pos % unit) : 0;
            wt[0] = (uint32_t)unit - wt[1];
        }
    }
}

/* acc += weight * line, twice built: the loop is the same. */
#define ADD_ROW(name, target)                                                                      \
    target static void name(uint32_t *acc, const uint16_t *line, uint32_t weight, int n)           \
    {                                                                                              \
        for (int i = 0; i < n; i++)                                                                \
            acc[i] += weight * line[i];                                                            \
    }
ADD_ROW(add_row, FAST_LOOPS)
ADD_ROW(add_row_avx2, FAST_LOOPS FOR_AVX2)

/* Four words are loaded and stored at once: the table's own loads are the limit then. */
static void look_up(const uint16_t *src, int n, const uint16_t *lut, uint16_t *dst)
{
    int i = 0;
    for (; i + 4 <= n; i += 4) {
        uint64_t in, out;
        memcpy(&in, src + i, sizeof in);
        out = lut[in & 0xFFFF];
        out |= (uint64_t)lut[in >> 16 & 0xFFFF] << 16;
        out |= (uint64_t)lut[in >> 32 & 0xFFFF] << 32;
        out |= (uint64_t)lut[in >> 48] << 48;
        memcpy(dst + i, &out, sizeof out);
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

/* Sums over rows -> one output row; / total, rounded half up. The quotient of the doubles is off by
 * one at most, and then set right: sums stay below 2^53. taps: columns per output, the last ones
 * without weight where fewer are wanted; a constant where it is small. */
static inline void finish(const axis *x, const uint32_t *acc, int taps, uint64_t total, int n,
                          uint16_t *dst)
{
    double inverse = 1 / (double)total;
    for (int k = 0; k < n; k++) {
        const uint32_t *wt = x->weight + (size_t)k * (size_t)x->most, *at = acc + x->first[k];
        uint64_t s = total / 2;
        for (int i = 0; i < taps; i++)
            s += (uint64_t)wt[i] * at[i];
        int64_t q = (int64_t)((double)(int64_t)s * inverse);
        int64_t left = (int64_t)(s - (uint64_t)q * total);
        dst[k] = (uint16_t)(q - (left < 0) + (left >= (int64_t)total));
    }
}

FAST_LOOPS static void finish_row(const axis *x, const uint32_t *acc, uint64_t total, int n,
                                  uint16_t *dst)
{
    switch (x->most) {
    case 2:
        finish(x, acc, 2, total, n, dst);
        break;
    case 3:
        finish(x, acc, 3, total, n, dst);
        break;
    case 4:
        finish(x, acc, 4, total, n, dst);
        break;
    case 5:
        finish(x, acc, 5, total, n, dst);
        break;
    default:
        finish(x, acc, x->most, total, n, dst);
    }
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
    uint32_t *acc = arena_alloc(a, wide * sizeof *acc);
    uint64_t total = (uint64_t)x.total * y.total;
    void (*add)(uint32_t *, const uint16_t *, uint32_t, int) = HAVE_AVX2 ? add_row_avx2 : add_row;
    const uint16_t *row = NULL;
    int held = -1; /* the source row in `row`: neighbours share their border row */
    for (int k = 0; k < j->dh; k++) {
        memset(acc, 0, wide * sizeof *acc);
        for (int i = 0; i < y.count[k]; i++) {
            uint32_t wt = y.weight[(size_t)k * (size_t)y.most + (size_t)i];
            if (y.first[k] + i != held)
                row = source_row(j, held = y.first[k] + i, line);
            add(acc, row, wt, j->w);
        }
        finish_row(&x, acc, total, j->dw, j->dst + (size_t)k * (size_t)j->dw);
    }
}
