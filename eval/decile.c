/* Observed and expected cases in groups of rising risk. */
#include "eval/decile.h"
#include "core/mem.h"
#include "eval/ksum.h"

/* Cases and rows of a group as effective numbers: exact counts without weights. */
typedef struct effective {
    double k, n;
} effective;

static effective effective_of(const calibrate_group *g)
{
    double n = g->effective;
    return (effective){g->rate * n, n};
}

static effective middle_of(const decile_table *t)
{
    effective a = effective_of(&t->row[(t->k - 1) / 2].group);
    if (t->k % 2 == 0) {
        effective b = effective_of(&t->row[t->k / 2].group);
        a.k += b.k;
        a.n += b.n;
    }
    return a;
}

void decile_build(const metric_in *in, int k, decile_table *out)
{
    memset(out, 0, sizeof *out);
    out->trend = (rate_trend){NAN, NAN};
    if (k < 1 || k > DECILE_MAX)
        BUG("decile: %d groups", k);
    calibrate_group *g = MEM_ARRAY(calibrate_group, k);
    int64_t *n = MEM_ARRAY(int64_t, k), *events = MEM_ARRAY(int64_t, k);
    out->k = calibrate_groups(in, CALIBRATE_MASS, k, g);
    if (!out->k)
        out->reason = calibrate_sums(in).reason;
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
        effective me = effective_of(&g[i]), low = effective_of(&g[0]), mid = middle_of(out);
        r->observed = g[i].observed;
        r->expected = g[i].expected;
        r->oe = rate_oe(g[i].observed, g[i].event_scale, g[i].expected);
        r->share = ksum_get(&cases) > 0 ? g[i].observed / ksum_get(&cases) : NAN;
        r->versus_lowest = rate_ratio(me.k, me.n, low.k, low.n);
        r->versus_middle = rate_ratio(me.k, me.n, mid.k, mid.n);
    }
    if (out->k)
        out->trend = rate_trend_test(events, n, out->k);
    mem_free(events);
    mem_free(n);
    mem_free(g);
}
