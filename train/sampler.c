/* Balanced sampling per vendor, or all rows; every number is keyed by seed and epoch. */
#include "train/sampler.h"

#include "core/mem.h"
#include "core/rng.h"

#include <string.h>

static bool is_training_row(const cohort *c, int horizon, int64_t i)
{
    return c->row[i].fold == COHORT_TRAIN && c->row[i].y[horizon] >= 0;
}

/* One vendor's share: all its positives and as many negatives. */
static int64_t draw_vendor(const cohort *c, int horizon, const char *vendor, rng *r, int64_t *out)
{
    int64_t n = 0, n_neg = 0, *neg = MEM_ARRAY(int64_t, c->n);
    for (int64_t i = 0; i < c->n; i++)
        if (is_training_row(c, horizon, i) && !strcmp(c->row[i].vendor, vendor)) {
            if (c->row[i].y[horizon] > 0)
                out[n++] = i;
            else
                neg[n_neg++] = i;
        }
    int64_t positives = n;
    if (n_neg >= positives)
        rng_shuffle(r, n_neg, neg);
    for (int64_t k = 0; k < positives && n_neg; k++)
        out[n++] = n_neg >= positives ? neg[k] : neg[rng_below(r, (uint32_t)n_neg)];
    mem_free(neg);
    return n;
}

/* Distinct vendors of the training rows in byte order; out[c->n]. */
static int list_vendors(const cohort *c, int horizon, const char **out)
{
    int n = 0;
    for (int64_t i = 0; i < c->n; i++) {
        int k = 0;
        if (!is_training_row(c, horizon, i))
            continue;
        while (k < n && strcmp(out[k], c->row[i].vendor) < 0)
            k++;
        if (k < n && !strcmp(out[k], c->row[i].vendor))
            continue;
        memmove(out + k + 1, out + k, (size_t)(n - k) * sizeof *out);
        out[k] = c->row[i].vendor;
        n++;
    }
    return n;
}

int64_t sampler_cap(const cohort *c)
{
    return 2 * c->n + 2;
}

int64_t sampler_draw(const cohort *c, int horizon, bool balanced, uint64_t seed, int64_t epoch,
                     int64_t *out)
{
    int64_t n = 0;
    rng r;
    if (balanced) {
        const char **vendor = MEM_ARRAY(const char *, c->n ? c->n : 1);
        int vendors = list_vendors(c, horizon, vendor);
        for (int v = 0; v < vendors; v++) {
            rng_init(&r, seed, RNG_SAMPLER, (uint64_t)v + 1, (uint64_t)epoch);
            n += draw_vendor(c, horizon, vendor[v], &r, out + n);
        }
        mem_free(vendor);
    } else {
        for (int64_t i = 0; i < c->n; i++)
            if (is_training_row(c, horizon, i))
                out[n++] = i;
    }
    rng_init(&r, seed, RNG_SAMPLER, 0, (uint64_t)epoch);
    rng_shuffle(&r, n, out);
    return n;
}
