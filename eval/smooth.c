/* Local linear regression on one covariate. Source: Cleveland 1979. */
#include "eval/smooth.h"
#include "core/mem.h"
#include "eval/ksum.h"

#define SINGULAR                                                                                   \
    1e-12 /* of the determinant against its terms: all scores of a window are equal                \
           */

typedef struct row {
    double x, w;
    int y;
    int64_t i;
} row;

static int cmp_row(const void *p, const void *q)
{
    const row *a = p, *b = q;
    if (a->x != b->x)
        return a->x < b->x ? -1 : 1;
    return (a->i > b->i) - (a->i < b->i);
}

/* The rows with weight in order of score; owned by the caller. */
static row *sorted_rows(const metric_in *in, int64_t *n)
{
    row *r = MEM_ARRAY(row, in->n + 1);
    *n = 0;
    for (int64_t i = 0; i < in->n; i++) {
        double w = in->weight ? in->weight[i] : 1.0;
        if (w > 0)
            r[(*n)++] = (row){in->score[i], w, in->y[i] != 0, i};
    }
    qsort(r, (size_t)*n, sizeof *r, cmp_row);
    return r;
}

/* Distance from x to the q-th nearest row; the q rows are [*from, *from + q). */
static double reach(const row *r, int64_t n, int64_t q, double x, int64_t *from)
{
    int64_t lo = 0, hi = n - q; /* least start whose window may not move right */
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (x - r[mid].x > r[mid + q].x - x)
            lo = mid + 1;
        else
            hi = mid;
    }
    *from = lo;
    return fmax(x - r[lo].x, r[lo + q - 1].x - x);
}

static double kernel(const row *r, double x, double h)
{
    double u = fabs(r->x - x) / h;
    if (h == 0)
        return r->x == x ? r->w : 0;
    if (u >= 1)
        return 0;
    double v = 1 - u * u * u;
    return r->w * v * v * v;
}

static smooth_point fit(const row *r, int64_t n, int64_t q, double x)
{
    int64_t from;
    double h = reach(r, n, q, x, &from);
    ksum s0 = {0}, s1 = {0}, s2 = {0}, t0 = {0}, t1 = {0}, ss = {0};
    for (int64_t i = from; i < from + q; i++) {
        double k = kernel(&r[i], x, h), d = r[i].x - x;
        ksum_add(&s0, k);
        ksum_add(&s1, k * d);
        ksum_add(&s2, k * d * d);
        ksum_add(&t0, k * r[i].y);
        ksum_add(&t1, k * d * r[i].y);
    }
    double a = ksum_get(&s0), b = ksum_get(&s1), c = ksum_get(&s2), det = a * c - b * b;
    bool level = !(det > SINGULAR * a * c); /* no slope: the mean */
    double at0 = level ? 1 / a : c / det, at1 = level ? 0 : -b / det;
    for (int64_t i = from; i < from + q; i++) {
        double l = kernel(&r[i], x, h) * (at0 + at1 * (r[i].x - x));
        ksum_add(&ss, l * l);
    }
    double y = at0 * ksum_get(&t0) + at1 * ksum_get(&t1);
    y = fmin(fmax(y, 0), 1);
    double half = METRIC_Z95 * sqrt(y * (1 - y) * ksum_get(&ss));
    return (smooth_point){x, y, fmax(0, y - half), fmin(1, y + half)};
}

bool smooth_curve(const metric_in *in, double span, const double *x, int n, smooth_point *out)
{
    int64_t rows;
    row *r = sorted_rows(in, &rows);
    int64_t q = (int64_t)floor(span * (double)rows + 1e-5);
    q = q < 2 ? 2 : q;
    q = q > rows ? rows : q;
    for (int i = 0; i < n && rows; i++)
        out[i] = fit(r, rows, q, x[i]);
    mem_free(r);
    return rows > 0;
}
