/* Net benefit over threshold risks. Source: Vickers and Elkin 2006. */
#include "eval/decision.h"
#include "core/mem.h"
#include "eval/ksum.h"

#define VAR_ZERO 1e-20 /* variances at or below this are rounding noise around 0 */

/* The rows and what does not depend on the threshold. */
typedef struct rows {
    const metric_in *in;
    double w1, w0, prevalence; /* prevalence NaN: counted */
    int n_clusters, clusters;  /* slots; with a row */
    double *u;                 /* [n_clusters] */
} rows;

static double weight_of(const metric_in *in, int64_t i)
{
    return in->weight ? in->weight[i] : 1.0;
}

static void rows_fill(const metric_in *in, double prevalence, rows *r)
{
    ksum w[2] = {{0}};
    *r = (rows){.in = in, .prevalence = prevalence};
    r->n_clusters = in->cluster ? in->n_clusters : (int)in->n;
    r->u = MEM_ARRAY(double, r->n_clusters + 1);
    bool *seen = MEM_ARRAY(bool, r->n_clusters + 1);
    for (int64_t i = 0; i < in->n; i++) {
        int c = in->cluster ? in->cluster[i] : (int)i;
        if (weight_of(in, i) == 0)
            continue;
        ksum_add(&w[in->y[i] != 0], weight_of(in, i));
        r->clusters += !seen[c];
        seen[c] = true;
    }
    mem_free(seen);
    r->w1 = ksum_get(&w[1]);
    r->w0 = ksum_get(&w[0]);
}

/* Variance of the net benefit: cluster sums of each row's part in it. Counted, it is the mean of
 * y flag - (1-y) flag odds; at a given prevalence a sum of two means, one per class. */
static double variance(const rows *r, const decision_point *p, double odds)
{
    bool given = !isnan(r->prevalence);
    double all = r->w1 + r->w0;
    ksum ss = {0};
    if (r->clusters < 2)
        return NAN;
    memset(r->u, 0, (size_t)r->n_clusters * sizeof *r->u);
    for (int64_t i = 0; i < r->in->n; i++) {
        double w = weight_of(r->in, i), part;
        bool flag = r->in->score[i] >= p->pt, y = r->in->y[i] != 0;
        if (!given)
            part = ((flag ? (y ? 1 : -odds) : 0) - p->nb) / all;
        else if (y)
            part = r->prevalence * (flag - p->sens) / r->w1;
        else
            part = -(1 - r->prevalence) * odds * (flag - (1 - p->spec)) / r->w0;
        r->u[r->in->cluster ? r->in->cluster[i] : (int)i] += w * part;
    }
    for (int c = 0; c < r->n_clusters; c++)
        ksum_add(&ss, r->u[c] * r->u[c]);
    return ksum_get(&ss) * r->clusters / (r->clusters - 1);
}

static decision_point at_threshold(const rows *r, double pt)
{
    decision_point p = {pt, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, 0, 0, NULL};
    double pi = isnan(r->prevalence) ? r->w1 / (r->w1 + r->w0) : r->prevalence;
    double odds = pt / (1 - pt);
    ksum flagged[2] = {{0}};
    for (int64_t i = 0; i < r->in->n; i++) {
        double w = weight_of(r->in, i);
        bool y = r->in->y[i] != 0;
        if (w == 0 || !(r->in->score[i] >= pt))
            continue;
        ksum_add(&flagged[y], w);
        p.tp += y;
        p.fp += !y;
    }
    if (!(r->w1 > 0) || !(r->w0 > 0)) {
        p.reason = r->w1 + r->w0 > 0 ? "ONE_CLASS" : "EMPTY";
        return p;
    }
    if (!(pt > 0 && pt < 1 && pi > 0 && pi < 1)) {
        p.reason = "RANGE";
        return p;
    }
    p.sens = ksum_get(&flagged[1]) / r->w1;
    p.spec = 1 - ksum_get(&flagged[0]) / r->w0;
    double fpr = ksum_get(&flagged[0]) / r->w0;
    p.flagged = p.sens * pi + fpr * (1 - pi);
    p.nb = p.sens * pi - fpr * (1 - pi) * odds;
    p.nb_all = pi - (1 - pi) * odds;
    p.nb_std = p.nb / pi;
    p.avoided = 100 * (p.nb - p.nb_all) / odds;
    double var = variance(r, &p, odds);
    if (var > VAR_ZERO) {
        p.lo = p.nb - METRIC_Z95 * sqrt(var);
        p.hi = p.nb + METRIC_Z95 * sqrt(var);
    }
    return p;
}

void decision_curve(const metric_in *in, double prevalence, const double *pt, int n,
                    decision_point *out)
{
    rows r;
    rows_fill(in, prevalence, &r);
    for (int i = 0; i < n; i++)
        out[i] = at_threshold(&r, pt[i]);
    mem_free(r.u);
}
