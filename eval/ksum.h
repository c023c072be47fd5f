/* Compensated (Neumaier) sum: the error does not grow with the number of terms. Terms are always
 * added in one fixed order, so a sum has the same bits for any number of threads. */
#ifndef EVAL_KSUM_H
#define EVAL_KSUM_H

#include <math.h>
#include <stdint.h>

typedef struct ksum {
    double s, c;
    int64_t n; /* terms */
} ksum;

static inline void ksum_add(ksum *k, double v)
{
    double t = k->s + v;
    k->c += fabs(k->s) >= fabs(v) ? (k->s - t) + v : (v - t) + k->s;
    k->s = t;
    k->n++;
}

static inline double ksum_get(const ksum *k)
{
    return k->s + k->c;
}

/* NaN without a term. */
static inline double ksum_mean(const ksum *k)
{
    return ksum_get(k) / (double)k->n;
}
#endif
