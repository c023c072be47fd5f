/* Rules that make one score from those of several networks, and their spread. */
#include "eval/member.h"
#include "core/mem.h"
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

typedef struct keyed {
    double score;
    int64_t i;
} keyed;

static int cmp_keyed(const void *x, const void *y)
{
    const keyed *a = x, *b = y;
    if (a->score != b->score)
        return a->score < b->score ? -1 : 1;
    return (a->i > b->i) - (a->i < b->i);
}

/* Midrank of every score, as a place between 0 and 1. */
static void add_ranks(const double *score, int64_t n, keyed *k, ksum *sum)
{
    for (int64_t i = 0; i < n; i++)
        k[i] = (keyed){score[i], i};
    qsort(k, (size_t)n, sizeof *k, cmp_keyed);
    for (int64_t at = 0, end; at < n; at = end) {
        for (end = at + 1; end < n && k[end].score == k[at].score; end++)
            ;
        double rank = (double)(at + 1 + end) / 2;
        for (int64_t j = at; j < end; j++)
            ksum_add(&sum[k[j].i], (rank - 0.5) / (double)n);
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
