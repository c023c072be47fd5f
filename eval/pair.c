/* Paired and unpaired comparisons. Sources: McNemar 1947, Newcombe 1998 (Statistics in Medicine
 * 17:2635, method 10), Holm 1979, Hanley and McNeil 1982. */
#include "eval/pair.h"
#include "core/mem.h"
#include "eval/ksum.h"
#include "eval/rate.h"

#define VAR_ZERO 1e-20 /* variances at or below this are rounding noise around 0 */

static double two_sided(double z)
{
    return erfc(fabs(z) / sqrt(2.0));
}

/* ---- proportions ----------------------------------------------------------------------------- */

pair_discordant pair_mcnemar(int64_t a, int64_t b)
{
    pair_discordant r = {NAN, NAN, 1, NAN, "mcnemar-exact"};
    int64_t n = a + b, few = a < b ? a : b;
    if (n > 0) {
        ksum tail = {0};
        for (int64_t i = 0; i <= few; i++)
            ksum_add(&tail, exp(lgamma((double)n + 1) - lgamma((double)i + 1) -
                                lgamma((double)(n - i) + 1) - (double)n * log(2.0)));
        r.p_exact = fmin(1, 2 * ksum_get(&tail));
        r.chi2 = (double)(a - b) * (double)(a - b) / (double)n;
        r.p_chi2 = two_sided(sqrt(r.chi2));
    }
    if (n >= PAIR_EXACT)
        r.method = "mcnemar-chi2";
    r.p = n >= PAIR_EXACT ? r.p_chi2 : r.p_exact;
    return r;
}

/* The hybrid score interval: Wilson's intervals of both rates, joined by the correlation. */
static void newcombe(pair_rate *r)
{
    double n = (double)r->n, l1, u1, l2, u2;
    double e = (double)r->both, f = (double)r->only_a, g = (double)r->only_b,
           h = (double)r->neither;
    metric_wilson(e + f, n, &l1, &u1);
    metric_wilson(e + g, n, &l2, &u2);
    double cross = e * h - f * g, below = (e + f) * (g + h) * (e + g) * (f + h);
    if (cross > 0)
        cross = fmax(cross - n / 2, 0);
    double phi = below > 0 ? cross / sqrt(below) : 0;
    double dl1 = r->a - l1, du1 = u1 - r->a, dl2 = r->b - l2, du2 = u2 - r->b;
    r->lo = r->diff - sqrt(fmax(0, dl1 * dl1 - 2 * phi * dl1 * du2 + du2 * du2));
    r->hi = r->diff + sqrt(fmax(0, du1 * du1 - 2 * phi * du1 * dl2 + dl2 * dl2));
    r->p = pair_mcnemar(r->only_a, r->only_b).p;
    r->ci = "newcombe";
}

/* Sums over a cluster of w (hit_a - hit_b - diff) / W, squared and added. */
static void clustered(const double *u, int clusters, int with_row, pair_rate *r)
{
    ksum ss = {0};
    for (int c = 0; c < clusters; c++)
        ksum_add(&ss, u[c] * u[c]);
    if (with_row < 2) {
        r->reason = "TOO_FEW_CLUSTERS";
        return;
    }
    double var = ksum_get(&ss) * with_row / (with_row - 1);
    if (var <= VAR_ZERO) {
        r->reason = "DEGENERATE";
        return;
    }
    r->lo = fmax(-1, r->diff - METRIC_Z95 * sqrt(var));
    r->hi = fmin(1, r->diff + METRIC_Z95 * sqrt(var));
    r->p = two_sided(r->diff / sqrt(var));
    r->ci = "clustered";
}

/* One row of the compared class: is it right under the two models? */
typedef struct verdict {
    bool use, a, b;
    double w;
    int cluster;
} verdict;

typedef struct sides {
    const metric_in *in;
    const double *score_b;
    double t_a, t_b;
    int y;
} sides;

static verdict judge(const sides *s, int64_t i)
{
    verdict v = {.w = s->in->weight ? s->in->weight[i] : 1.0,
                 .cluster = s->in->cluster ? s->in->cluster[i] : (int)i};
    v.use = (s->in->y[i] != 0) == s->y && v.w > 0;
    v.a = (s->in->score[i] >= s->t_a) == s->y;
    v.b = (s->score_b[i] >= s->t_b) == s->y;
    return v;
}

static pair_rate compare(const sides *s)
{
    pair_rate r = {NAN, NAN, NAN, NAN, NAN, NAN, 0, 0, 0, 0, 0, "", NULL};
    const metric_in *in = s->in;
    int clusters = in->cluster ? in->n_clusters : (int)in->n, with_row = 0;
    bool plain = true;
    ksum w = {0}, a = {0}, b = {0};
    int32_t *rows = MEM_ARRAY(int32_t, clusters + 1);
    double *u = MEM_ARRAY(double, clusters + 1);
    for (int64_t i = 0; i < in->n; i++) {
        verdict v = judge(s, i);
        if (!v.use)
            continue;
        r.n++;
        r.both += v.a && v.b;
        r.only_a += v.a && !v.b;
        r.only_b += v.b && !v.a;
        r.neither += !v.a && !v.b;
        ksum_add(&w, v.w);
        ksum_add(&a, v.a ? v.w : 0);
        ksum_add(&b, v.b ? v.w : 0);
        with_row += rows[v.cluster] == 0;
        rows[v.cluster]++;
        plain = plain && rows[v.cluster] == 1 && v.w == 1;
    }
    if (!r.n) {
        r.reason = "ONE_CLASS";
        goto done;
    }
    r.a = ksum_get(&a) / ksum_get(&w);
    r.b = ksum_get(&b) / ksum_get(&w);
    r.diff = (ksum_get(&a) - ksum_get(&b)) / ksum_get(&w);
    if (plain) {
        newcombe(&r);
        goto done;
    }
    for (int64_t i = 0; i < in->n; i++) {
        verdict v = judge(s, i);
        if (v.use)
            u[v.cluster] += v.w * (v.a - v.b - r.diff) / ksum_get(&w);
    }
    clustered(u, clusters, with_row, &r);
done:
    mem_free(rows);
    mem_free(u);
    return r;
}

pair_rate pair_sensitivity(const metric_in *in, const double *score_b, double t_a, double t_b)
{
    return compare(&(sides){in, score_b, t_a, t_b, 1});
}

pair_rate pair_specificity(const metric_in *in, const double *score_b, double t_a, double t_b)
{
    return compare(&(sides){in, score_b, t_a, t_b, 0});
}

/* ---- AUC ------------------------------------------------------------------------------------- */

metric_pair pair_unpaired(const metric_value *a, const metric_value *b)
{
    metric_pair p = {a->value, b->value, a->var, b->var, 0, a->value - b->value,
                     NAN,      NAN,      NAN,    NAN};
    double var = a->var + b->var;
    if (var > VAR_ZERO) {
        p.z = p.diff / sqrt(var);
        p.p = two_sided(p.z);
        p.lo = p.diff - METRIC_Z95 * sqrt(var);
        p.hi = p.diff + METRIC_Z95 * sqrt(var);
    }
    return p;
}

pair_planning pair_detectable(const metric_pair *p, int64_t m, int64_t n, double power)
{
    pair_planning r = {NAN, NAN, NAN};
    if (!(p->var_a > 0 && p->var_b > 0) || m < 1 || n < 1)
        return r;
    double z = METRIC_Z95 + rate_normal_quantile(power);
    double va = metric_hanley_mcneil(p->a, m, n), vb = metric_hanley_mcneil(p->b, m, n);
    r.r = p->cov / sqrt(p->var_a * p->var_b);
    r.planned = z * sqrt(fmax(0, va + vb - 2 * r.r * sqrt(va * vb)));
    r.observed = z * sqrt(fmax(0, p->var_a + p->var_b - 2 * p->cov));
    return r;
}

/* ---- conclusions ----------------------------------------------------------------------------- */

typedef struct ranked {
    double p;
    int i;
} ranked;

static int cmp_ranked(const void *x, const void *y)
{
    const ranked *a = x, *b = y;
    if (a->p != b->p)
        return a->p < b->p ? -1 : 1;
    return a->i - b->i;
}

void pair_holm(const double *p, int n, double *adjusted)
{
    ranked *r = MEM_ARRAY(ranked, n + 1);
    int k = 0;
    double least = 0;
    for (int i = 0; i < n; i++)
        if (!isnan(p[i]))
            r[k++] = (ranked){p[i], i};
        else
            adjusted[i] = NAN;
    qsort(r, (size_t)k, sizeof *r, cmp_ranked);
    for (int j = 0; j < k; j++) {
        least = fmax(least, fmin(1, (k - j) * r[j].p));
        adjusted[r[j].i] = least;
    }
    mem_free(r);
}

const char *pair_verdict(double lo, double hi, double margin)
{
    if (isnan(lo) || isnan(hi))
        return NULL;
    if (lo > 0)
        return "SUPERIOR";
    if (lo > -margin)
        return "NON_INFERIOR";
    return hi < -margin ? "INFERIOR" : "INCONCLUSIVE";
}
