/* The ledger of told counts. A set of exams is a vector over exams (1 inside); the size of a set
 * follows from told sizes when its vector lies in their span. The span is kept in echelon form
 * modulo a prime, and beside it the remainder of every guarded set: one that becomes 0 would be
 * given away. With very many exams a vector is folded: every exam has a bucket and a factor of its
 * own. Folding is linear, so what could be worked out is still found; that two sets look alike by
 * chance is next to impossible, and would hide a number more. */
#include "eval/disclose.h"
#include "core/err.h"
#include "core/mem.h"
#include <stdlib.h>
#include <string.h>

#define PRIME   2147483647u /* 2^31 - 1 */
#define BUCKETS 1024

typedef struct vector {
    uint32_t *x;     /* [width] */
    int pivot;       /* of the basis: x[pivot] = 1, and 0 in all later vectors */
    uint32_t *taken; /* of the basis: [guards then] factors that it was taken off them with */
    int n_taken;
} vector;

typedef struct list {
    vector *v;
    int n, cap;
} list;

typedef struct order {
    int64_t *row, n;
    bool *told; /* [n + 1] cuts */
} order;

struct disclose {
    int *woman, *y, *stamp; /* [n]; stamp: [women] of the last count */
    int64_t n, minimum;
    int women, round, width;
    list told, guarded;
    order *order;
    int n_orders;
};

/* ---- arithmetic ------------------------------------------------------------------------------ */

static uint32_t times(uint32_t a, uint32_t b)
{
    return (uint32_t)((uint64_t)a * b % PRIME);
}

static uint32_t inverse(uint32_t a)
{
    uint32_t r = 1;
    for (uint32_t k = PRIME - 2; k; k >>= 1, a = times(a, a))
        if (k & 1)
            r = times(r, a);
    return r;
}

/* x += factor * b */
static void add_times(uint32_t *x, const uint32_t *b, uint32_t factor, int width)
{
    for (int i = 0; factor && i < width; i++)
        x[i] = (uint32_t)((x[i] + (uint64_t)b[i] * factor) % PRIME);
}

static uint32_t minus(uint32_t a)
{
    return a ? PRIME - a : 0;
}

static int first_of(const uint32_t *x, int width)
{
    for (int i = 0; i < width; i++)
        if (x[i])
            return i;
    return -1;
}

/* A factor of an exam that looks like chance (splitmix). */
static uint32_t factor_of(uint64_t exam)
{
    uint64_t z = (exam + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return 1 + (uint32_t)((z ^ (z >> 31)) % (PRIME - 1));
}

/* ---- sets ------------------------------------------------------------------------------------ */

static bool inside(const disclose *d, const disclose_set *s, int64_t i)
{
    int64_t r = s->row[i];
    return (s->y == DISCLOSE_ALL || (d->y[r] != 0) == (s->y == DISCLOSE_CASES)) &&
           (!s->positive || s->positive[r] == s->want);
}

int64_t disclose_women(disclose *d, const disclose_set *s)
{
    int64_t n = 0;
    d->round++;
    for (int64_t i = 0; i < s->n; i++)
        if (inside(d, s, i) && d->stamp[d->woman[s->row[i]]] != d->round) {
            d->stamp[d->woman[s->row[i]]] = d->round;
            n++;
        }
    return n;
}

int64_t disclose_exams(const disclose *d, const disclose_set *s)
{
    int64_t n = 0;
    for (int64_t i = 0; i < s->n; i++)
        n += inside(d, s, i);
    return n;
}

static void add_set(const disclose *d, const disclose_set *s, uint32_t *x)
{
    for (int64_t i = 0; i < s->n; i++)
        if (inside(d, s, i)) {
            uint32_t *at = &x[s->row[i] % d->width];
            *at = (uint32_t)(((uint64_t)*at + factor_of((uint64_t)s->row[i])) % PRIME);
        }
}

static vector *grow(list *l)
{
    if (l->n == l->cap) {
        int cap = l->cap ? 2 * l->cap : 64;
        l->v = mem_realloc(l->v, (size_t)l->cap * sizeof *l->v, (size_t)cap * sizeof *l->v);
        l->cap = cap;
    }
    l->v[l->n] = (vector){.pivot = -1};
    return &l->v[l->n];
}

/* The remainder of a vector behind the told ones. */
static void reduce(const disclose *d, uint32_t *x)
{
    for (int k = 0; k < d->told.n; k++) {
        const vector *b = &d->told.v[k];
        add_times(x, b->x, minus(x[b->pivot]), d->width);
    }
}

/* Take the newest vector of the basis off the guarded ones; does one of them become 0? */
static bool gives_away(disclose *d, vector *b)
{
    bool bare = false;
    b->taken = MEM_ARRAY(uint32_t, d->guarded.n + 1);
    b->n_taken = d->guarded.n;
    for (int k = 0; k < d->guarded.n; k++) {
        uint32_t *x = d->guarded.v[k].x;
        b->taken[k] = x[b->pivot];
        if (!x[b->pivot])
            continue;
        add_times(x, b->x, minus(x[b->pivot]), d->width);
        bare = bare || first_of(x, d->width) < 0;
    }
    return bare;
}

/* Unlearn the newest vector of the basis. */
static void forget(disclose *d)
{
    vector *b = &d->told.v[--d->told.n];
    for (int k = 0; k < b->n_taken; k++)
        add_times(d->guarded.v[k].x, b->x, b->taken[k], d->width);
    mem_free(b->x);
    mem_free(b->taken);
}

/* Tell one set; `always`: whatever follows from it. */
static bool learn(disclose *d, const disclose_set *s, bool always)
{
    uint32_t *x = MEM_ARRAY(uint32_t, d->width);
    add_set(d, s, x);
    reduce(d, x);
    int pivot = first_of(x, d->width);
    if (pivot < 0) {
        mem_free(x);
        return true;
    }
    uint32_t unit = inverse(x[pivot]);
    for (int i = 0; i < d->width; i++)
        x[i] = times(x[i], unit);
    vector *b = grow(&d->told);
    b->x = x;
    b->pivot = pivot;
    d->told.n++;
    if (gives_away(d, b) && !always) {
        forget(d);
        return false;
    }
    return true;
}

/* ---- the ledger ------------------------------------------------------------------------------ */

disclose *disclose_new(const int *woman, const int *y, int64_t n, int64_t minimum)
{
    disclose *d = MEM_NEW(disclose);
    int64_t *all = MEM_ARRAY(int64_t, n + 1);
    *d = (disclose){.n = n, .minimum = minimum, .width = n < BUCKETS ? (int)n + 1 : BUCKETS};
    d->woman = MEM_ARRAY(int, n + 1);
    d->y = MEM_ARRAY(int, n + 1);
    for (int64_t i = 0; i < n; i++) {
        d->woman[i] = woman[i];
        d->y[i] = y[i];
        d->women = woman[i] >= d->women ? woman[i] + 1 : d->women;
        all[i] = i;
    }
    d->stamp = MEM_ARRAY(int, d->women + 1);
    if (minimum > 1) {
        learn(d, &(disclose_set){all, n, DISCLOSE_ALL, NULL, false}, true);
        learn(d, &(disclose_set){all, n, DISCLOSE_CASES, NULL, false}, true);
    }
    mem_free(all);
    return d;
}

void disclose_free(disclose *d)
{
    if (!d)
        return;
    list *lists[] = {&d->told, &d->guarded};
    for (int l = 0; l < 2; l++) {
        for (int k = 0; k < lists[l]->n; k++) {
            mem_free(lists[l]->v[k].x);
            mem_free(lists[l]->v[k].taken);
        }
        mem_free(lists[l]->v);
    }
    for (int k = 0; k < d->n_orders; k++) {
        mem_free(d->order[k].row);
        mem_free(d->order[k].told);
    }
    mem_free(d->order);
    mem_free(d->woman);
    mem_free(d->y);
    mem_free(d->stamp);
    mem_free(d);
}

int64_t disclose_minimum(const disclose *d)
{
    return d->minimum;
}

bool disclose_few(int64_t minimum, int64_t v)
{
    return v > 0 && v < minimum;
}

bool disclose_small(disclose *d, const disclose_set *s)
{
    return disclose_few(d->minimum, disclose_women(d, s));
}

/* Guard the vector, which the ledger takes. One that is already told, or guarded, is not again. */
static void guard_vector(disclose *d, uint32_t *x)
{
    reduce(d, x);
    bool known = first_of(x, d->width) < 0;
    for (int k = 0; k < d->guarded.n && !known; k++)
        known = !memcmp(d->guarded.v[k].x, x, (size_t)d->width * sizeof *x);
    if (known) {
        mem_free(x);
        return;
    }
    grow(&d->guarded)->x = x;
    d->guarded.n++;
}

void disclose_guard(disclose *d, const disclose_set *s)
{
    if (!disclose_small(d, s))
        return;
    uint32_t *x = MEM_ARRAY(uint32_t, d->width);
    add_set(d, s, x);
    guard_vector(d, x);
}

bool disclose_tell(disclose *d, const disclose_set *s, int n)
{
    int before = d->told.n;
    for (int k = 0; k < n && d->minimum > 1; k++)
        if (!learn(d, &s[k], false)) {
            while (d->told.n > before)
                forget(d);
            return false;
        }
    return true;
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* What is counted of a group: exams, by class, by class and sign. */
static const struct kind {
    disclose_class y;
    bool by_sign, want;
} kinds[] = {
    {DISCLOSE_ALL, false, false},      {DISCLOSE_CASES, false, false},
    {DISCLOSE_CONTROLS, false, false}, {DISCLOSE_CASES, true, true},
    {DISCLOSE_CASES, true, false},     {DISCLOSE_CONTROLS, true, true},
    {DISCLOSE_CONTROLS, true, false},
};

static disclose_set set_of(const disclose_level *l, const struct kind *k, const bool *positive)
{
    return (disclose_set){l->row, l->n, k->y, k->by_sign ? positive : NULL, k->want};
}

/* Small groups are guarded one by one, and together: their sum may be what all others leave of the
 * total, and with at least one woman in each it can be as telling as a single one. */
void disclose_guard_levels(disclose *d, const disclose_level *l, int n, const bool *positive)
{
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        uint32_t *together = MEM_ARRAY(uint32_t, d->width);
        int64_t women = 0, members = 0;
        for (int i = 0; i < n && (positive || !kinds[k].by_sign); i++) {
            disclose_set s = set_of(&l[i], &kinds[k], positive);
            int64_t w = disclose_women(d, &s);
            if (!disclose_few(d->minimum, w))
                continue;
            disclose_guard(d, &s);
            add_set(d, &s, together);
            women += w;
            members++;
        }
        if (members > 1 && disclose_few(d->minimum, women - members + 1))
            guard_vector(d, together);
        else
            mem_free(together);
    }
}

typedef struct by_size {
    int64_t n;
    int level;
} by_size;

static int cmp_size(const void *x, const void *y)
{
    const by_size *a = x, *b = y;
    if (a->n != b->n)
        return a->n < b->n ? 1 : -1;
    return (a->level > b->level) - (a->level < b->level);
}

/* The largest first, so that what is hidden beside a small group is as small as can be. */
void disclose_tell_levels(disclose *d, disclose_level *l, int n)
{
    by_size *by = MEM_ARRAY(by_size, n + 1);
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < n; i++) {
            disclose_set s = {l[i].row, l[i].n, k ? DISCLOSE_CASES : DISCLOSE_ALL, NULL, false};
            by[i] = (by_size){disclose_exams(d, &s), i};
        }
        qsort(by, (size_t)n, sizeof *by, cmp_size);
        for (int i = 0; i < n; i++) {
            disclose_level *x = &l[by[i].level];
            disclose_set all = {x->row, x->n, DISCLOSE_ALL, NULL, false},
                         cases = {x->row, x->n, DISCLOSE_CASES, NULL, false};
            if (k == 0)
                x->exams = disclose_tell(d, &all, 1);
            else
                x->cancers = x->exams && disclose_tell(d, &cases, 1);
        }
    }
    mem_free(by);
}

/* ---- cuts ------------------------------------------------------------------------------------ */

int disclose_order(disclose *d, const int64_t *row, int64_t n)
{
    d->order = mem_realloc(d->order, (size_t)d->n_orders * sizeof *d->order,
                           (size_t)(d->n_orders + 1) * sizeof *d->order);
    order *o = &d->order[d->n_orders];
    *o = (order){MEM_ARRAY(int64_t, n + 1), n, MEM_ARRAY(bool, n + 1)};
    if (n)
        memcpy(o->row, row, (size_t)n * sizeof *row);
    o->told[0] = o->told[n] = true;
    return d->n_orders++;
}

/* Is the cut far enough from the told ones on either side? */
static bool cut_fits(disclose *d, const order *o, int64_t at)
{
    int64_t below = at, above = at;
    while (!o->told[below])
        below--;
    while (!o->told[above])
        above++;
    disclose_set left = {o->row + below, at - below, DISCLOSE_ALL, NULL, false},
                 right = {o->row + at, above - at, DISCLOSE_ALL, NULL, false};
    return !disclose_small(d, &left) && !disclose_small(d, &right);
}

bool disclose_cut(disclose *d, const int *which, const int64_t *at, int n)
{
    for (int k = 0; k < n && d->minimum > 1; k++) {
        const order *o = &d->order[which[k]];
        if (at[k] < 0 || at[k] > o->n)
            BUG("disclose: a cut at %lld of %lld", (long long)at[k], (long long)o->n);
        if (!cut_fits(d, o, at[k]))
            return false;
    }
    for (int k = 0; k < n && d->minimum > 1; k++)
        d->order[which[k]].told[at[k]] = true;
    return true;
}
