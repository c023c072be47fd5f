/* One bootstrap for all subgroups: rows are sorted by score once, a replicate is a pass over them
 * with whole weights for every variable. Sources: subgroup.h. */
#include "eval/subgroup.h"
#include "eval/keyed.h"
#include "core/mem.h"
#include "eval/boot.h"
#include "eval/ksum.h"
#include "eval/rate.h"
#include <math.h>
#include <string.h>

enum { STAT_AUC, STAT_SENS, STAT_SPEC, STATS };

/* What a pass over the rows knows of a level so far. */
typedef struct tally {
    double won, cases, hits;          /* weights; hits: cases at or above the threshold */
    double controls, passed;          /* passed: controls below the threshold */
    double tied_cases, tied_controls; /* of the score at hand */
} tally;

/* A row that was drawn. */
typedef struct active {
    double weight;
    int row;
    bool y, positive; /* positive: score at or above the threshold */
    bool alone, last; /* nobody shares its score; nobody after it does */
} active;

typedef struct work {
    const subgroup_spec *s;
    int64_t n;
    double *score, *weight; /* ascending */
    int *y, *cluster;
    int **level;       /* [n_vars][n] in this order */
    int *at;           /* [n_vars] first statistic of a variable */
    int n_stats, most; /* most: levels of any variable */
    active **thread_row;
    tally **thread_tally;
} work;

/* ---- one pass -------------------------------------------------------------------------------- */

/* Score by score: what the cases of a level win against the controls met so far. */
static void close_tie(tally *t, tally *against)
{
    t->won += t->tied_cases * (against->controls + 0.5 * against->tied_controls);
    t->cases += t->tied_cases;
    t->tied_cases = 0;
}

static void close_ties(tally *t, int n, bool shared)
{
    for (int l = 0; l < n; l++)
        close_tie(&t[l], shared ? &t[n] : &t[l]);
    for (int l = shared ? n : 0; l < (shared ? n + 1 : n); l++) {
        t[l].controls += t[l].tied_controls;
        t[l].tied_controls = 0;
    }
}

/* With shared controls they stand in one tally behind those of the levels. */
static void pass(const work *w, int v, const active *row, int64_t rows, tally *t)
{
    const subgroup_var *var = &w->s->var[v];
    const int *level = w->level[v];
    const bool shared = var->cases_only;
    int n = var->n_levels;
    memset(t, 0, (size_t)(n + 1) * sizeof *t);
    bool open = false; /* rows of the score at hand were met */
    for (int64_t i = 0; i < rows; i++) {
        const active *a = &row[i];
        int l = shared && !a->y ? n : level[a->row];
        if (l >= 0 && a->y) {
            t[l].tied_cases += a->weight;
            t[l].hits += a->positive ? a->weight : 0;
        } else if (l >= 0) {
            t[l].tied_controls += a->weight;
            t[l].passed += a->positive ? 0 : a->weight;
        }
        if (a->alone && l >= 0) {
            tally *against = shared ? &t[n] : &t[l];
            close_tie(&t[l], against);
            against->controls += against->tied_controls;
            against->tied_controls = 0;
            continue;
        }
        open = open || l >= 0;
        if (a->last && open) {
            close_ties(t, n, shared);
            open = false;
        }
    }
}

static void read_tally(const tally *t, int n, bool shared, double *out)
{
    for (int l = 0; l < n; l++, out += STATS) {
        const tally *against = shared ? &t[n] : &t[l];
        double pairs = t[l].cases * against->controls;
        out[STAT_AUC] = pairs > 0 ? t[l].won / pairs : NAN;
        out[STAT_SENS] = t[l].cases > 0 ? t[l].hits / t[l].cases : NAN;
        out[STAT_SPEC] = against->controls > 0 ? against->passed / against->controls : NAN;
    }
}

/* times == NULL: every row once. */
static void all_passes(const work *w, const int32_t *times, active *row, tally *t, double *out)
{
    int64_t n = 0;
    for (int64_t i = 0; i < w->n; i++) {
        double weight = (times ? times[w->cluster[i]] : 1) * w->weight[i];
        if (!(weight > 0))
            continue;
        bool fresh = !n || w->score[row[n - 1].row] != w->score[i];
        if (n && fresh) {
            row[n - 1].last = true;
        } else if (n) {
            row[n - 1].alone = false;
        }
        row[n++] = (active){.weight = weight,
                            .row = (int)i,
                            .y = w->y[i],
                            .positive = w->score[i] >= w->s->threshold,
                            .alone = fresh};
    }
    if (n)
        row[n - 1].last = true;
    for (int v = 0; v < w->s->n_vars; v++) {
        pass(w, v, row, n, t);
        read_tally(t, w->s->var[v].n_levels, w->s->var[v].cases_only, out + w->at[v]);
    }
}

static bool statistic(void *ctx, const int32_t *times, double *out, int thread)
{
    const work *w = ctx;
    all_passes(w, times, w->thread_row[thread], w->thread_tally[thread], out);
    return true;
}

/* ---- the test -------------------------------------------------------------------------------- */

/* Solve A x = b for a symmetric positive definite A [n,n] in place (Cholesky); false when it is
 * not. */
static bool solve(double *a, double *b, int n)
{
    for (int i = 0; i < n; i++) {
        for (int j = 0; j <= i; j++) {
            double s = a[i * n + j];
            for (int k = 0; k < j; k++)
                s -= a[i * n + k] * a[j * n + k];
            if (i > j)
                a[i * n + j] = s / a[j * n + j];
            else if (s > 1e-12 * a[i * n + i] && s > 0)
                a[i * n + i] = sqrt(s);
            else
                return false;
        }
    }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i; k++)
            b[i] -= a[i * n + k] * b[k];
        b[i] /= a[i * n + i];
    }
    return true;
}

/* Wald's chi-square of the differences to the first tested level: with A = L L', d' A^-1 d is the
 * square of L^-1 d. */
static subgroup_test wald(const work *w, int v, const double *value, const boot_result *boot)
{
    const subgroup_var *var = &w->s->var[v];
    subgroup_test t = {.chi2 = NAN, .p = NAN};
    int *col = MEM_ARRAY(int, var->n_levels + 1), n = 0;
    for (int l = 0; l < var->n_levels; l++)
        if (var->tested[l] && !isnan(value[w->at[v] + l * STATS + STAT_AUC]))
            col[n++] = w->at[v] + l * STATS + STAT_AUC;
    t.df = n > 1 ? n - 1 : 0;
    double *mean = MEM_ARRAY(double, n + 1), *d = MEM_ARRAY(double, n + 1),
           *cov = MEM_ARRAY(double, n *n + 1), *x = MEM_ARRAY(double, n + 1);
    int64_t used = 0;
    for (int again = 0; again < 2 && t.df > 0; again++)
        for (int64_t b = 0; b < boot->replicates; b++) {
            const double *r = boot->value + b * boot->n_stats;
            bool whole = true;
            for (int k = 0; k < n; k++)
                whole = whole && !isnan(r[col[k]]);
            used += whole && !again;
            for (int k = 0; k < t.df && whole; k++) {
                x[k] = r[col[k + 1]] - r[col[0]];
                if (!again)
                    mean[k] += x[k];
            }
            for (int k = 0; again && whole && k < t.df; k++)
                for (int m = 0; m <= k; m++)
                    cov[k * t.df + m] += (x[k] - mean[k] / (double)used) *
                                         (x[m] - mean[m] / (double)used) / (double)(used - 1);
        }
    for (int k = 0; k < t.df; k++)
        d[k] = value[col[k + 1]] - value[col[0]];
    if (t.df > 0 && used > t.df + 1 && solve(cov, d, t.df)) {
        ksum sum = {0};
        for (int k = 0; k < t.df; k++)
            ksum_add(&sum, d[k] * d[k]);
        t.chi2 = ksum_get(&sum);
        t.p = rate_chi2(t.chi2, t.df);
    }
    mem_free(col);
    mem_free(mean);
    mem_free(d);
    mem_free(cov);
    mem_free(x);
    return t;
}

/* ---- all together ---------------------------------------------------------------------------- */

static void work_init(work *w, const subgroup_spec *s)
{
    const metric_in *in = &s->in;
    keyed *k = MEM_ARRAY(keyed, in->n + 1);
    *w = (work){.s = s, .n = in->n};
    for (int64_t i = 0; i < in->n; i++)
        k[i] = (keyed){in->score[i], i};
    keyed_sort(k, in->n);
    w->score = MEM_ARRAY(double, in->n + 1);
    w->weight = MEM_ARRAY(double, in->n + 1);
    w->y = MEM_ARRAY(int, in->n + 1);
    w->cluster = MEM_ARRAY(int, in->n + 1);
    w->level = MEM_ARRAY(int *, s->n_vars + 1);
    w->at = MEM_ARRAY(int, s->n_vars + 1);
    for (int v = 0; v < s->n_vars; v++) {
        w->level[v] = MEM_ARRAY(int, in->n + 1);
        w->at[v] = w->n_stats;
        w->n_stats += s->var[v].n_levels * STATS;
        w->most = s->var[v].n_levels > w->most ? s->var[v].n_levels : w->most;
    }
    for (int64_t i = 0; i < in->n; i++) {
        int64_t row = k[i].row;
        w->score[i] = k[i].score;
        w->weight[i] = in->weight ? in->weight[row] : 1;
        w->y[i] = in->y[row];
        w->cluster[i] = in->cluster ? in->cluster[row] : (int)row;
        for (int v = 0; v < s->n_vars; v++)
            w->level[v][i] = s->var[v].level[row];
    }
    mem_free(k);
}

static void work_release(work *w)
{
    for (int v = 0; v < w->s->n_vars; v++)
        mem_free(w->level[v]);
    mem_free(w->score);
    mem_free(w->weight);
    mem_free(w->y);
    mem_free(w->cluster);
    mem_free(w->level);
    mem_free(w->at);
}

static void bootstrap(work *w, const double *value, subgroup_level *const *level,
                      subgroup_test *test)
{
    const subgroup_spec *s = w->s;
    int threads = pool_threads(s->pool);
    int n_clusters = s->in.cluster ? s->in.n_clusters : (int)s->in.n;
    int *ever = MEM_ARRAY(int, n_clusters + 1);
    boot_result boot;
    double sd;
    for (int64_t i = 0; i < w->n; i++)
        ever[w->cluster[i]] |= w->y[i];
    w->thread_row = MEM_ARRAY(active *, threads);
    w->thread_tally = MEM_ARRAY(tally *, threads);
    for (int t = 0; t < threads; t++) {
        w->thread_row[t] = MEM_ARRAY(active, w->n + 1);
        w->thread_tally[t] = MEM_ARRAY(tally, w->most + 1);
    }
    boot_run(&(boot_spec){.n_clusters = n_clusters,
                          .stratum = ever,
                          .n_strata = 2,
                          .replicates = s->replicates,
                          .seed = s->seed,
                          .n_stats = w->n_stats,
                          .stat = statistic,
                          .ctx = w,
                          .pool = s->pool,
                          .kind = s->kind},
             &boot);
    for (int v = 0; v < s->n_vars; v++) {
        for (int l = 0; l < s->var[v].n_levels; l++) {
            subgroup_level *x = &level[v][l];
            int at = w->at[v] + l * STATS;
            boot_interval(&boot, at + STAT_SENS, 0.95, &x->sens_lo, &x->sens_hi, &sd);
            boot_interval(&boot, at + STAT_SPEC, 0.95, &x->spec_lo, &x->spec_hi, &sd);
        }
        test[v] = wald(w, v, value, &boot);
    }
    boot_release(&boot);
    for (int t = 0; t < threads; t++) {
        mem_free(w->thread_row[t]);
        mem_free(w->thread_tally[t]);
    }
    mem_free(w->thread_row);
    mem_free(w->thread_tally);
    mem_free(ever);
}

void subgroup_run(const subgroup_spec *s, subgroup_level *const *level, subgroup_test *test)
{
    work w;
    if (s->in.n > INT32_MAX)
        BUG("subgroup: %lld rows", (long long)s->in.n);
    work_init(&w, s);
    double *value = MEM_ARRAY(double, w.n_stats + 1);
    tally *t = MEM_ARRAY(tally, w.most + 1);
    active *row = MEM_ARRAY(active, w.n + 1);
    all_passes(&w, NULL, row, t, value);
    mem_free(row);
    for (int v = 0; v < s->n_vars; v++) {
        test[v] = (subgroup_test){.chi2 = NAN, .p = NAN};
        for (int l = 0; l < s->var[v].n_levels; l++) {
            const double *x = value + w.at[v] + l * STATS;
            level[v][l] =
                (subgroup_level){x[STAT_AUC], x[STAT_SENS], x[STAT_SPEC], NAN, NAN, NAN, NAN};
        }
    }
    if (s->replicates > 0 && s->n_vars > 0)
        bootstrap(&w, value, level, test);
    mem_free(t);
    mem_free(value);
    work_release(&w);
}

/* ---- observed over expected ------------------------------------------------------------------ */

subgroup_ratio subgroup_oe(const metric_in *in)
{
    subgroup_ratio r = {NAN, NAN, NAN};
    int n = in->cluster ? in->n_clusters : (int)in->n, used = 0;
    double *u = MEM_ARRAY(double, n + 1);
    bool *seen = MEM_ARRAY(bool, n + 1);
    ksum observed = {0}, expected = {0}, spread = {0};
    for (int64_t i = 0; i < in->n; i++) {
        double w = in->weight ? in->weight[i] : 1;
        ksum_add(&observed, w * in->y[i]);
        ksum_add(&expected, w * in->score[i]);
    }
    double o = ksum_get(&observed), e = ksum_get(&expected);
    if (o > 0 && e > 0) {
        r.value = o / e;
        for (int64_t i = 0; i < in->n; i++) {
            int c = in->cluster ? in->cluster[i] : (int)i;
            u[c] += (in->weight ? in->weight[i] : 1) * (in->y[i] - r.value * in->score[i]) / o;
            used += !seen[c];
            seen[c] = true;
        }
        for (int c = 0; c < n; c++)
            ksum_add(&spread, u[c] * u[c]);
        if (used > 1 && ksum_get(&spread) > 0) {
            double step = METRIC_Z95 * sqrt(ksum_get(&spread) * used / (used - 1.0));
            r.lo = r.value * exp(-step);
            r.hi = r.value * exp(step);
        }
    }
    mem_free(u);
    mem_free(seen);
    return r;
}
