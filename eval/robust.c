/* Robustness to missing patches (robust.h). evaluation.md 14. */
#include "eval/robust.h"

#include "core/mem.h"
#include "eval/exam.h"

#include <math.h>
#include <stdlib.h>

typedef struct ranked {
    double v;
    int64_t at;
} ranked;

static int by_value(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return (x->v > y->v) - (x->v < y->v);
}

void robust_midranks(const double *v, int64_t n, double *out)
{
    ranked *r = MEM_ARRAY(ranked, n ? n : 1);
    for (int64_t i = 0; i < n; i++)
        r[i] = (ranked){v[i], i};
    qsort(r, (size_t)n, sizeof *r, by_value);
    for (int64_t a = 0, b; a < n; a = b) {
        for (b = a + 1; b < n && r[b].v == r[a].v; b++)
            ;
        for (int64_t i = a; i < b; i++)
            out[r[i].at] = (double)(a + b + 1) / 2; /* the mean of ranks a + 1 .. b */
    }
    mem_free(r);
}

/* Pearson's correlation of midranks, whose mean is (n + 1) / 2 whatever the ties. */
static double spearman(const double *a, const double *b, int64_t n)
{
    double *x = MEM_ARRAY(double, n ? n : 1), *y = MEM_ARRAY(double, n ? n : 1);
    double mean = (double)(n + 1) / 2, xx = 0, yy = 0, xy = 0;
    robust_midranks(a, n, x);
    robust_midranks(b, n, y);
    for (int64_t i = 0; i < n; i++) {
        xx += (x[i] - mean) * (x[i] - mean);
        yy += (y[i] - mean) * (y[i] - mean);
        xy += (x[i] - mean) * (y[i] - mean);
    }
    mem_free(x);
    mem_free(y);
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : NAN;
}

robust_change robust_compare(const double *full, const double *masked, int64_t n, double threshold)
{
    robust_change c = {NAN, NAN, NAN};
    double sum = 0;
    int64_t crossed = 0;
    if (n < 1)
        return c;
    for (int64_t i = 0; i < n; i++) {
        sum += fabs(full[i] - masked[i]);
        crossed += (full[i] >= threshold) != (masked[i] >= threshold);
    }
    c.mean = sum / (double)n;
    c.spearman = spearman(full, masked, n);
    c.crossed = isnan(threshold) ? NAN : (double)crossed / (double)n;
    return c;
}

double robust_area(const double *keep, const double *auc, int n)
{
    double low = INFINITY, high = -INFINITY, area = 0;
    for (int i = 0; i < n; i++) {
        int next = -1; /* the point right of i */
        if (isnan(auc[i]))
            return NAN;
        for (int j = 0; j < n; j++)
            if (keep[j] > keep[i] && (next < 0 || keep[j] < keep[next]))
                next = j;
        if (next >= 0)
            area += (keep[next] - keep[i]) * (auc[i] + auc[next]) / 2;
        low = fmin(low, keep[i]);
        high = fmax(high, keep[i]);
    }
    return n > 1 && high > low ? area / (high - low) : NAN;
}

double robust_knee(const double *keep, const double *auc, int n, double loss)
{
    double full = NAN, knee = NAN;
    for (int i = 0; i < n; i++)
        if (keep[i] == 1)
            full = auc[i];
    for (int i = 0; i < n; i++)
        if (exam_round(auc[i]) >= exam_round(full - loss) && !(knee <= keep[i]))
            knee = keep[i];
    return knee;
}
