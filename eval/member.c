/* Rules that make one score from those of several networks, and their spread. */
#include "eval/member.h"
#include "eval/keyed.h"
#include "core/mem.h"
#include "eval/boot.h"
#include "eval/calibrate.h"
#include "eval/exam.h"
#include "eval/ksum.h"

static const char *const names[MEMBER_RULES] = {"mean_prob", "mean_logit", "mean_rank"};

const char *member_rule_name(member_rule r)
{
    if ((unsigned)r >= MEMBER_RULES)
        BUG("member rule %d", (int)r);
    return names[r];
}

/* Midrank of every score, as a place between 0 and 1. */
static void add_ranks(const double *score, int64_t n, keyed *k, ksum *sum)
{
    for (int64_t i = 0; i < n; i++)
        k[i] = (keyed){score[i], i};
    keyed_sort(k, n);
    for (int64_t at = 0, end; at < n; at = end) {
        for (end = at + 1; end < n && k[end].score == k[at].score; end++)
            ;
        double rank = (double)(at + 1 + end) / 2;
        for (int64_t j = at; j < end; j++)
            ksum_add(&sum[k[j].row], (rank - 0.5) / (double)n);
    }
}

void member_combine(member_rule rule, const double *const *score, int members, int64_t n,
                    double *out)
{
    ksum *sum = MEM_ARRAY(ksum, n + 1);
    keyed *k = rule == MEMBER_MEAN_RANK ? MEM_ARRAY(keyed, n + 1) : NULL;
    for (int m = 0; m < members; m++) {
        if (rule == MEMBER_MEAN_RANK) {
            add_ranks(score[m], n, k, sum);
            continue;
        }
        for (int64_t i = 0; i < n; i++)
            ksum_add(&sum[i],
                     rule == MEMBER_MEAN_LOGIT ? calibrate_logit(score[m][i], NULL) : score[m][i]);
    }
    for (int64_t i = 0; i < n; i++) {
        double mean = ksum_mean(&sum[i]);
        out[i] = exam_round(rule == MEMBER_MEAN_LOGIT ? calibrate_risk(mean) : mean);
    }
    mem_free(k);
    mem_free(sum);
}

member_spread member_summary(const double *value, int n)
{
    member_spread r = {NAN, NAN, NAN, NAN, 0};
    ksum sum = {0}, ss = {0};
    for (int i = 0; i < n; i++) {
        if (isnan(value[i]))
            continue;
        r.min = r.n ? fmin(r.min, value[i]) : value[i];
        r.max = r.n ? fmax(r.max, value[i]) : value[i];
        ksum_add(&sum, value[i]);
        r.n++;
    }
    if (!r.n)
        return r;
    r.mean = ksum_mean(&sum);
    for (int i = 0; i < n; i++)
        if (!isnan(value[i]))
            ksum_add(&ss, (value[i] - r.mean) * (value[i] - r.mean));
    if (r.n > 1)
        r.sd = sqrt(ksum_get(&ss) / (r.n - 1));
    return r;
}

/* ---- women and runs together ----------------------------------------------------------------- */

/* One run's rows in ascending order of score: a replicate is new weights on them. */
typedef struct sorted {
    metric_in in;
    double *score, *weight; /* weight: of the table */
    int *y, *cluster;
} sorted;

typedef struct recipe {
    sorted *run;
    int n, women;
    double **weight; /* per thread */
} recipe;

static void sorted_fill(const metric_in *in, sorted *s)
{
    keyed *k = MEM_ARRAY(keyed, in->n + 1);
    for (int64_t i = 0; i < in->n; i++)
        k[i] = (keyed){in->score[i], i};
    keyed_sort(k, in->n);
    s->score = MEM_ARRAY(double, in->n + 1);
    s->weight = MEM_ARRAY(double, in->n + 1);
    s->y = MEM_ARRAY(int, in->n + 1);
    s->cluster = MEM_ARRAY(int, in->n + 1);
    for (int64_t i = 0; i < in->n; i++) {
        s->score[i] = k[i].score;
        s->weight[i] = in->weight ? in->weight[k[i].row] : 1.0;
        s->y[i] = in->y[k[i].row] != 0;
        s->cluster[i] = in->cluster[k[i].row];
    }
    mem_free(k);
    s->in = (metric_in){s->score, s->y, NULL, s->cluster, in->n, in->n_clusters, true};
}

static void sorted_release(sorted *s)
{
    mem_free(s->score);
    mem_free(s->weight);
    mem_free(s->y);
    mem_free(s->cluster);
}

/* Runs are the clusters behind the women. */
static bool recipe_stat(void *ctx, const int32_t *times, double *out, int thread)
{
    const recipe *r = ctx;
    ksum sum = {0};
    int drawn = 0;
    for (int k = 0; k < r->n; k++) {
        int32_t often = times[r->women + k];
        const sorted *s = &r->run[k];
        metric_in in = s->in;
        if (!often)
            continue;
        for (int64_t i = 0; i < in.n; i++)
            r->weight[thread][i] = times[s->cluster[i]] * s->weight[i];
        in.weight = r->weight[thread];
        double auc = metric_table[0].point(&in); /* row 0 is the AUC */
        if (isnan(auc))
            return false;
        ksum_add(&sum, often * auc);
        drawn += often;
    }
    out[0] = ksum_get(&sum) / drawn;
    return true;
}

static void recipe_run(recipe *r, const member_draws *how, member_two_way *out)
{
    const metric_in *in = &r->run[0].in;
    int *stratum = MEM_ARRAY(int, r->women + r->n);
    int threads = pool_threads(how->pool);
    for (int64_t i = 0; i < in->n; i++)
        stratum[in->cluster[i]] |= in->y[i];
    for (int k = 0; k < r->n; k++)
        stratum[r->women + k] = 2;
    r->weight = MEM_ARRAY(double *, threads);
    for (int t = 0; t < threads; t++)
        r->weight[t] = MEM_ARRAY(double, in->n + 1);
    boot_result b;
    boot_run(&(boot_spec){.n_clusters = r->women + r->n,
                          .stratum = stratum,
                          .n_strata = 3,
                          .replicates = how->replicates,
                          .seed = how->seed,
                          .n_stats = 1,
                          .stat = recipe_stat,
                          .ctx = r,
                          .pool = how->pool,
                          .kind = how->kind},
             &b);
    boot_interval(&b, 0, 0.95, &out->lo, &out->hi, &out->sd);
    boot_release(&b);
    for (int t = 0; t < threads; t++)
        mem_free(r->weight[t]);
    mem_free(r->weight);
    mem_free(stratum);
}

member_two_way member_recipe(const metric_in *in, int n, const member_draws *how)
{
    member_two_way out = {NAN, NAN, NAN, NAN};
    recipe r = {.n = n, .women = n > 0 ? in[0].n_clusters : 0};
    ksum mean = {0};
    for (int k = 0; k < n; k++)
        ksum_add(&mean, metric_table[0].point(&in[k]));
    out.mean = ksum_mean(&mean);
    if (n < 2 || isnan(out.mean))
        return out;
    r.run = MEM_ARRAY(sorted, n);
    for (int k = 0; k < n; k++)
        sorted_fill(&in[k], &r.run[k]);
    recipe_run(&r, how, &out);
    for (int k = 0; k < n; k++)
        sorted_release(&r.run[k]);
    mem_free(r.run);
    return out;
}
