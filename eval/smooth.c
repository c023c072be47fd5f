/* Local linear regression on one covariate. Source: Cleveland 1979. */
#include "eval/smooth.h"
#include "core/mem.h"
#include "eval/boot.h"
#include "eval/ksum.h"

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
    if (h == 0) { /* more rows have this very score than a window holds: all of them */
        int64_t end = from + q;
        while (from > 0 && r[from - 1].x == x)
            from--;
        while (end < n && r[end].x == x)
            end++;
        q = end - from;
    }
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
    bool level = !(det > SMOOTH_SINGULAR * a * c); /* no slope: the mean */
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

/* ---- distance from the diagonal -------------------------------------------------------------- */

static int cmp_f64(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

int smooth_grid(const metric_in *in, double x[SMOOTH_GRID])
{
    double *sorted = MEM_ARRAY(double, in->n + 1);
    int64_t rows = 0;
    int n = 0;
    for (int64_t i = 0; i < in->n; i++)
        if (!in->weight || in->weight[i] > 0)
            sorted[rows++] = in->score[i];
    qsort(sorted, (size_t)rows, sizeof *sorted, cmp_f64);
    for (int k = 0; k < SMOOTH_GRID && rows; k++) {
        double v = boot_quantile(sorted, rows, (double)k / (SMOOTH_GRID - 1));
        if (!n || v > x[n - 1])
            x[n++] = v;
    }
    mem_free(sorted);
    return n;
}

double smooth_between(const double *x, const double *y, int n, int k, double at)
{
    if (n == 1 || at <= x[k])
        return y[k];
    if (at >= x[k + 1])
        return y[k + 1];
    return y[k] + (y[k + 1] - y[k]) * (at - x[k]) / (x[k + 1] - x[k]);
}

double smooth_ici(const metric_in *in, const smooth_point *p, int n)
{
    double x[SMOOTH_GRID], y[SMOOTH_GRID];
    ksum gap = {0}, all = {0};
    for (int k = 0; k < n; k++) {
        x[k] = p[k].x;
        y[k] = p[k].y;
    }
    for (int64_t i = 0; i < in->n && n; i++) {
        double w = in->weight ? in->weight[i] : 1;
        int k = 0, end = n - 1;
        while (end - k > 1) {
            int mid = (k + end) / 2;
            *(x[mid] <= in->score[i] ? &k : &end) = mid;
        }
        ksum_add(&gap, w * fabs(in->score[i] - smooth_between(x, y, n, k, in->score[i])));
        ksum_add(&all, w);
    }
    return ksum_get(&gap) / ksum_get(&all);
}
