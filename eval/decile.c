/* Observed and expected cases in groups of rising risk. */
#include "eval/decile.h"
#include "core/mem.h"
#include "eval/ksum.h"

/* Ratio of two shares at their effective numbers, exact counts without weights. */
static rate_value ratio(const calibrate_group *a, const calibrate_group *b)
{
    double n1 = calibrate_effective(a), n0 = calibrate_effective(b);
    return rate_ratio(a->observed / a->weight * n1, n1, b->observed / b->weight * n0, n0);
}

/* The group in the middle, or both together. */
static calibrate_group middle_of(const calibrate_group *g, int k)
{
    calibrate_group m = g[(k - 1) / 2], other = g[k / 2];
    if (k % 2 == 0) {
        m.observed += other.observed;
        m.weight += other.weight;
        m.squares += other.squares;
        m.case_squares += other.case_squares;
    }
    return m;
}

void decile_build(const metric_in *in, const int *of, int k, decile_table *out)
{
    memset(out, 0, sizeof *out);
    out->trend = (rate_trend){NAN, NAN};
    if (k < 1 || k > DECILE_MAX)
        BUG("decile: %d groups", k);
    calibrate_group *g = MEM_ARRAY(calibrate_group, k);
    int64_t *n = MEM_ARRAY(int64_t, k), *events = MEM_ARRAY(int64_t, k);
    out->k = of ? calibrate_groups_of(in, of, k, g) : calibrate_groups(in, CALIBRATE_MASS, k, g);
    if (!out->k)
        out->reason = calibrate_sums(in).reason;
    calibrate_group middle = {0};
    if (out->k)
        middle = middle_of(g, out->k);
    ksum cases = {0};
    for (int i = 0; i < out->k; i++) {
        out->row[i].group = g[i];
        out->tie_split = out->tie_split || g[i].tie_split;
        n[i] = g[i].n;
        events[i] = g[i].events;
        ksum_add(&cases, g[i].observed);
    }
    for (int i = 0; i < out->k; i++) {
        decile_row *r = &out->row[i];
        r->observed = g[i].observed;
        r->expected = g[i].expected;
        r->oe = rate_oe(g[i].observed, calibrate_event_scale(&g[i]), g[i].expected);
        r->share = ksum_get(&cases) > 0 ? g[i].observed / ksum_get(&cases) : NAN;
        r->versus_lowest = ratio(&g[i], &g[0]);
        r->versus_middle = ratio(&g[i], &middle);
    }
    if (out->k)
        out->trend = rate_trend_test(events, n, out->k);
    mem_free(events);
    mem_free(n);
    mem_free(g);
}
