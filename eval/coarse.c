/* Which groups are joined (coarse.h). Who is small is a matter of women; whose size could be worked
 * out from other groupings, the ledger knows. */
#include "eval/coarse.h"
#include "core/mem.h"
#include <string.h>

static disclose_set set_of(const strata_group *g, disclose_class y)
{
    return (disclose_set){.row = g->row, .n = g->n, .y = y};
}

static bool enough(disclose *d, const strata_group *g)
{
    disclose_set cases = set_of(g, DISCLOSE_CASES), controls = set_of(g, DISCLOSE_CONTROLS);
    return disclose_women(d, &cases) >= disclose_minimum(d) &&
           disclose_women(d, &controls) >= disclose_minimum(d);
}

void coarse_guard(disclose *d, const strata_groups *g, const bool *positive)
{
    disclose_level *l = MEM_ARRAY(disclose_level, g->n + 1);
    for (int i = 0; i < g->n; i++)
        l[i] = (disclose_level){.row = g->g[i].row, .n = g->g[i].n};
    disclose_guard_levels(d, l, g->n, positive);
    mem_free(l);
}

/* ---- joining --------------------------------------------------------------------------------- */

/* The smallest group, of the small ones if there are any; not `except`. */
static int smallest(const strata_groups *g, const bool *small, int except)
{
    int best = -1;
    for (int i = 0; i < g->n; i++)
        if (i != except && (best < 0 || small[i] > small[best] ||
                            (small[i] == small[best] && g->g[i].own < g->g[best].own)))
            best = i;
    return best;
}

/* The smaller neighbour, but not the unknown ones where there is another. */
static int neighbour(const strata_groups *g, int i)
{
    bool below = i > 0, above = i + 1 < g->n;
    if (below && above)
        below = g->g[i + 1].unknown || g->g[i - 1].own <= g->g[i + 1].own;
    return below ? i - 1 : i + 1;
}

/* The group of others, if there is one. */
static int others(const strata_groups *g, int except)
{
    for (int i = 0; i < g->n; i++)
        if (i != except && g->g[i].n_members > 1)
            return i;
    return -1;
}

typedef struct couple {
    int a, b; /* a < b; -1: none */
} couple;

static couple couple_of(int a, int b)
{
    return (couple){a < b ? a : b, a < b ? b : a};
}

static couple smallest_couple(const strata_var *v, const strata_groups *g, const bool *small)
{
    int a = smallest(g, small, -1), b = v->ordered ? neighbour(g, a) : others(g, a);
    return couple_of(a, b < 0 ? smallest(g, small, a) : b);
}

/* Sizes of all groups, or none; a couple counts as one group. */
static bool tell(disclose *d, const strata_var *v, const strata_groups *g, bool cancers, couple c)
{
    disclose_set *s = MEM_ARRAY(disclose_set, 2 * g->n + 1);
    int64_t *both = NULL;
    int n = 0;
    for (int i = 0; i < g->n; i++) {
        strata_group x = g->g[i];
        if (i == c.b)
            continue;
        if (i == c.a) {
            const strata_group *other = &g->g[c.b];
            both = MEM_ARRAY(int64_t, x.n + other->n + 1);
            memcpy(both, x.row, (size_t)x.n * sizeof *both);
            memcpy(both + x.n, other->row, (size_t)other->n * sizeof *both);
            x.row = both;
            x.n += other->n;
        }
        if (!v->cases_only) /* the exams without cancer of such a group are all there are */
            s[n++] = set_of(&x, DISCLOSE_ALL);
        if (cancers || v->cases_only)
            s[n++] = set_of(&x, DISCLOSE_CASES);
    }
    bool ok = disclose_tell(d, s, n);
    mem_free(both);
    mem_free(s);
    return ok;
}

/* The couple of fewest exams that may be told together with all other groups, and is then: of
 * neighbours, or of the others and one more. None: -1. */
static couple tellable_couple(disclose *d, const strata_var *v, const strata_groups *g,
                              const bool *small)
{
    bool *tried = MEM_ARRAY(bool, g->n + 1);
    int with = others(g, -1), best;
    couple c = {-1, -1};
    if (with < 0)
        with = smallest(g, small, -1);
    do {
        best = -1;
        int64_t least = 0;
        for (int i = v->ordered; i < g->n; i++) {
            int64_t n = g->g[i].own + g->g[v->ordered ? i - 1 : with].own;
            if (tried[i] || (!v->ordered && i == with) || (best >= 0 && n >= least))
                continue;
            best = i;
            least = n;
        }
        if (best >= 0) {
            tried[best] = true;
            c = couple_of(best, v->ordered ? best - 1 : with);
        }
    } while (best >= 0 && !tell(d, v, g, true, c));
    mem_free(tried);
    return best < 0 ? (couple){-1, -1} : c;
}

bool coarse_groups(disclose *d, const strata_var *v, strata_groups *g)
{
    const couple none = {-1, -1};
    bool *small = MEM_ARRAY(bool, g->n + 1), joined = false, done = disclose_minimum(d) <= 1;
    while (!done && g->n > 1) {
        couple c = none;
        bool any = false;
        for (int i = 0; i < g->n; i++)
            any = (small[i] = !enough(d, &g->g[i])) || any;
        done = !any && tell(d, v, g, true, none);
        if (!any && !done) {
            c = tellable_couple(d, v, g, small);
            done = c.a >= 0;
        }
        if (!done)
            c = smallest_couple(v, g, small);
        if (c.a >= 0) {
            strata_join(v, g, c.a, c.b);
            joined = true;
        }
    }
    mem_free(small);
    return g->n > 1 || !joined;
}

bool coarse_counts(disclose *d, const strata_var *v, const strata_groups *g)
{
    for (int i = 0; i < g->n; i++) {
        disclose_set s = set_of(&g->g[i], v->cases_only ? DISCLOSE_CASES : DISCLOSE_ALL);
        if (disclose_small(d, &s))
            return false;
    }
    return tell(d, v, g, false, (couple){-1, -1});
}

bool coarse_signs(disclose *d, const strata_groups *g, disclose_class y, const bool *positive)
{
    disclose_set *s = MEM_ARRAY(disclose_set, g->n + 1);
    bool ok = true;
    for (int i = 0; i < g->n && ok && disclose_minimum(d) > 1; i++) {
        s[i] = set_of(&g->g[i], y);
        s[i].positive = positive;
        for (int side = 0; side < 2 && ok; side++) {
            s[i].want = side;
            ok = disclose_women(d, &s[i]) >= disclose_minimum(d);
        }
    }
    ok = ok && disclose_tell(d, s, g->n);
    mem_free(s);
    return ok;
}

/* ---- cuts of an order ------------------------------------------------------------------------ */

static bool enough_between(disclose *d, const int64_t *row, int64_t from, int64_t to)
{
    strata_group g = {.row = (int64_t *)row + from, .n = to - from};
    return enough(d, &g);
}

int coarse_edges(disclose *d, const int64_t *row, int64_t n, int64_t *edge, int k,
                 bool (*fit)(void *ctx, int64_t cases, int64_t controls), void *ctx)
{
    int kept = 0;
    for (int i = 0; i < k; i++) {
        int64_t last = kept ? edge[kept - 1] : 0, at = edge[i];
        disclose_set cases = {.row = row, .n = at, .y = DISCLOSE_CASES};
        int64_t with = disclose_exams(d, &cases);
        if (enough_between(d, row, last, at) && enough_between(d, row, at, n) &&
            fit(ctx, with, at - with))
            edge[kept++] = at;
    }
    return kept;
}
