/* Patient-clustered bootstrap with counter-based draws and percentile intervals. */
#include "eval/boot.h"
#include "core/mem.h"
#include "core/rng.h"
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

bool boot_interval(const boot_result *r, int stat, double level, double *lo, double *hi, double *sd)
{
    double *v = MEM_ARRAY(double, r->replicates + 1), mean = 0, ss = 0;
    int64_t n = 0;
    for (int64_t b = 0; b < r->replicates; b++) {
        double x = r->value[b * r->n_stats + stat];
        if (!isnan(x))
            v[n++] = x;
    }
    if (n < BOOT_MIN_VALID) {
        mem_free(v);
        return false;
    }
    qsort(v, (size_t)n, sizeof *v, cmp_f64);
    *lo = boot_quantile(v, n, (1 - level) / 2);
    *hi = boot_quantile(v, n, (1 + level) / 2);
    for (int64_t i = 0; i < n; i++)
        mean += v[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        ss += (v[i] - mean) * (v[i] - mean);
    *sd = sqrt(ss / (double)(n - 1));
    mem_free(v);
    return true;
}
