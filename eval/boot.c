/* Patient-clustered bootstrap with counter-based draws; percentile and BCa intervals. */
#include "eval/boot.h"
#include "core/mem.h"
#include "core/rng.h"
#include "eval/rate.h"
#include <math.h>
#include <string.h>

#define BOOT_TRIES     100 /* draws before a replicate counts as failed */
#define BOOT_MIN_VALID 20  /* defined replicates that an interval needs */

typedef struct run {
    const boot_spec *s;
    boot_result *out;
    int *member, *start; /* clusters grouped by stratum; start[n_strata + 1] */
    int32_t **times;     /* per thread */
    int32_t *tries;      /* per replicate */
} run;

static void draw(const run *r, int64_t b, int attempt, int32_t *times)
{
    const boot_spec *s = r->s;
    rng g;
    rng_init(&g, s->seed, RNG_BOOT, (uint64_t)b, (uint64_t)attempt);
    memset(times, 0, (size_t)s->n_clusters * sizeof *times);
    for (int k = 0; k < s->n_strata; k++) {
        int n = r->start[k + 1] - r->start[k];
        const int *member = r->member + r->start[k];
        for (int i = 0; i < n; i++)
            times[member[rng_below(&g, (uint32_t)n)]]++;
    }
}

static void replicate(void *ctx, int64_t b, int thread)
{
    run *r = ctx;
    double *out = r->out->value + b * r->s->n_stats;
    for (int t = 0; t < BOOT_TRIES; t++) {
        draw(r, b, t, r->times[thread]);
        if (r->s->stat(r->s->ctx, r->times[thread], out, thread)) {
            r->tries[b] = t;
            return;
        }
    }
    r->tries[b] = BOOT_TRIES;
    for (int k = 0; k < r->s->n_stats; k++)
        out[k] = NAN;
}

/* ---- jackknife ------------------------------------------------------------------------------- */

const char *boot_name(boot_kind k)
{
    return k == BOOT_BCA ? "bca" : "bootstrap";
}

static int groups_of(const run *r, int stratum)
{
    int n = r->start[stratum + 1] - r->start[stratum];
    return n < BOOT_GROUPS ? n : BOOT_GROUPS;
}

/* Group g, counted through the strata, is left out; -1: none. */
static void leave_out(const run *r, int g, int32_t *times)
{
    for (int c = 0; c < r->s->n_clusters; c++)
        times[c] = 1;
    for (int k = 0; k < r->s->n_strata && g >= 0; k++) {
        int groups = groups_of(r, k);
        for (int i = r->start[k] + g; g < groups && i < r->start[k + 1]; i += groups)
            times[r->member[i]] = 0;
        g = g < groups ? -1 : g - groups;
    }
}

/* Statistics without group g; NaN where undefined. */
static void without(void *ctx, int64_t g, int thread)
{
    run *r = ctx;
    double *out = r->out->influence + g * r->s->n_stats;
    leave_out(r, (int)g, r->times[thread]);
    if (!r->s->stat(r->s->ctx, r->times[thread], out, thread))
        for (int k = 0; k < r->s->n_stats; k++)
            out[k] = NAN;
}

/* (G - 1)(value - value without the group) / G in a stratum of G groups; 0 where undefined. */
static void jackknife(run *r)
{
    const boot_spec *s = r->s;
    boot_result *out = r->out;
    for (int k = 0; k < s->n_strata; k++)
        out->n_groups += groups_of(r, k);
    out->point = MEM_ARRAY(double, s->n_stats + 1);
    out->influence = MEM_ARRAY(double, (int64_t)out->n_groups * s->n_stats + 1);
    leave_out(r, -1, r->times[0]);
    if (!s->stat(s->ctx, r->times[0], out->point, 0))
        for (int i = 0; i < s->n_stats; i++)
            out->point[i] = NAN;
    pool_for(s->pool, out->n_groups, without, r);
    for (int k = 0, g = 0; k < s->n_strata; k++) {
        int n = groups_of(r, k);
        for (int end = g + n; g < end; g++)
            for (int i = 0; i < s->n_stats; i++) {
                double *l = &out->influence[(int64_t)g * s->n_stats + i];
                *l = isnan(*l) ? 0 : (out->point[i] - *l) * (n - 1) / n;
            }
    }
}

/* ---- all together ---------------------------------------------------------------------------- */

void boot_run(const boot_spec *spec, boot_result *out)
{
    boot_spec s = *spec;
    if (!s.stratum)
        s.n_strata = 1;
    run r = {.s = &s, .out = out};
    *out = (boot_result){.replicates = s.replicates, .n_stats = s.n_stats};
    out->value = MEM_ARRAY(double, s.replicates *s.n_stats + 1);
    r.member = MEM_ARRAY(int, s.n_clusters + 1);
    r.start = MEM_ARRAY(int, s.n_strata + 2);
    for (int k = 0, at = 0; k < s.n_strata; k++) {
        r.start[k] = at;
        for (int c = 0; c < s.n_clusters; c++)
            if (!s.stratum || s.stratum[c] == k)
                r.member[at++] = c;
        r.start[k + 1] = at;
    }
    int threads = pool_threads(s.pool);
    r.times = MEM_ARRAY(int32_t *, threads);
    for (int t = 0; t < threads; t++)
        r.times[t] = MEM_ARRAY(int32_t, s.n_clusters + 1);
    r.tries = MEM_ARRAY(int32_t, s.replicates + 1);
    pool_for(s.pool, s.replicates, replicate, &r);
    for (int64_t b = 0; b < s.replicates; b++) {
        out->redrawn += r.tries[b];
        out->failed += r.tries[b] == BOOT_TRIES;
    }
    if (s.kind == BOOT_BCA)
        jackknife(&r);
    mem_free(r.tries);
    for (int t = 0; t < threads; t++)
        mem_free(r.times[t]);
    mem_free(r.times);
    mem_free(r.start);
    mem_free(r.member);
}

void boot_release(boot_result *r)
{
    mem_free(r->value);
    mem_free(r->point);
    mem_free(r->influence);
    memset(r, 0, sizeof *r);
}

static int cmp_f64(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

double boot_quantile(const double *sorted, int64_t n, double p)
{
    double h = (double)(n - 1) * p;
    int64_t k = (int64_t)floor(h);
    if (k >= n - 1)
        return sorted[n - 1];
    return sorted[k] + (h - (double)k) * (sorted[k + 1] - sorted[k]);
}

static double normal_below(double z)
{
    return erfc(-z / sqrt(2)) / 2;
}

/* The shares of the sorted replicates that are the ends of a BCa interval. */
static bool bca_shares(const boot_result *r, int stat, const double *sorted, int64_t n,
                       double share[2])
{
    double at = r->point[stat], below = 0, l2 = 0, l3 = 0;
    for (int64_t i = 0; i < n; i++)
        below += sorted[i] < at ? 1 : sorted[i] > at ? 0 : 0.5;
    if (isnan(at) || below == 0 || below == (double)n)
        return false;
    for (int g = 0; g < r->n_groups; g++) {
        double l = r->influence[(int64_t)g * r->n_stats + stat];
        l2 += l * l;
        l3 += l * l * l;
    }
    double w = rate_normal_quantile(below / (double)n), a = l2 > 0 ? l3 / (6 * l2 * sqrt(l2)) : 0;
    for (int k = 0; k < 2; k++) {
        double z = w + rate_normal_quantile(share[k]);
        share[k] = normal_below(w + z / (1 - a * z));
    }
    return true;
}

bool boot_interval(const boot_result *r, int stat, double level, double *lo, double *hi, double *sd)
{
    double *v = MEM_ARRAY(double, r->replicates + 1), mean = 0, ss = 0;
    double share[2] = {(1 - level) / 2, (1 + level) / 2};
    int64_t n = 0;
    for (int64_t b = 0; b < r->replicates; b++) {
        double x = r->value[b * r->n_stats + stat];
        if (!isnan(x))
            v[n++] = x;
    }
    qsort(v, (size_t)n, sizeof *v, cmp_f64);
    if (n < BOOT_MIN_VALID || (r->influence && !bca_shares(r, stat, v, n, share))) {
        mem_free(v);
        return false;
    }
    *lo = boot_quantile(v, n, share[0]);
    *hi = boot_quantile(v, n, share[1]);
    for (int64_t i = 0; i < n; i++)
        mean += v[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        ss += (v[i] - mean) * (v[i] - mean);
    *sd = sqrt(ss / (double)(n - 1));
    mem_free(v);
    return true;
}
