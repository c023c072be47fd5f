/* Other models on the evaluated exams. */
#include "eval/compare.h"
#include "core/mem.h"
#include "eval/boot.h"
#include <math.h>

/* ---- loading --------------------------------------------------------------------------------- */

/* How many exams of a are not in b; both are in byte order of their names. */
static int64_t absent(const exam_table *a, const exam_table *b)
{
    int64_t n = 0, k = 0;
    for (int64_t i = 0; i < a->n; i++) {
        while (k < b->n && strcmp(b->row[k].exam, a->row[i].exam) < 0)
            k++;
        n += k == b->n || strcmp(b->row[k].exam, a->row[i].exam) != 0;
    }
    return n;
}

enum { WHOLE = 4 }; /* images of an exam, eval.require */

bool compare_load(scores *s, const char *name, const cohort_set *evaluated, const char *split,
                  const report_cfg *how, compare_model *out, err *e)
{
    out->name = name;
    scores_keep_split(s, split);
    if (how->require)
        scores_keep_whole(s, WHOLE);
    if (!s->n)
        return err_set(e, ERR_INPUT, "--compare %s: no row has the split '%s'", name, split);
    if (!cohort_set_build(s, how->rule, &out->set, e))
        return err_wrap(e, "--compare %s", name);
    const exam_table *a = &evaluated->exams, *b = &out->set.exams;
    int64_t less = absent(a, b), more = absent(b, a);
    if (less || more)
        return err_set(e, ERR_INPUT,
                       "--compare %s: not the same exams: %lld evaluated exams are missing there, "
                       "%lld of its exams are not evaluated",
                       name, (long long)less, (long long)more);
    for (int64_t i = 0; i < a->n; i++)
        if (a->row[i].y != b->row[i].y || strcmp(a->row[i].patient, b->row[i].patient))
            return err_set(e, ERR_INPUT, "--compare %s: an exam has another label or patient there",
                           name);
    cohort_view_build(&out->set, NULL, b->n, &out->view);
    return true;
}

bool compare_load_val(scores *s, const cohort_set *evaluated, const report_cfg *how,
                      compare_model *m, err *e)
{
    if (how->require)
        scores_keep_whole(s, WHOLE);
    if (!cohort_set_build(s, how->rule, &m->val_set, e))
        return err_wrap(e, "--compare %s, validation", m->name);
    int64_t shared = cohort_set_shared(evaluated, &m->val_set);
    if (shared || !m->val_set.exams.n)
        return err_set(e, ERR_INPUT,
                       "--compare %s: %lld evaluated exams are of patients who are also among its "
                       "%lld labelled validation exams; wanted some exams of other patients",
                       m->name, (long long)shared, (long long)m->val_set.exams.n);
    cohort_view_build(&m->val_set, NULL, m->val_set.exams.n, &m->val);
    m->has_val = true;
    return true;
}

void compare_judge(compare_model *m, const report_cfg *how)
{
    report_cfg own = *how;
    own.ensemble = MEMBER_MEAN_PROB; /* the rule for several inputs is not for this table */
    risks_build(&m->view, m->has_val ? &m->val : NULL, &own, &m->risks);
}

void compare_release(compare_model *m)
{
    risks_release(&m->risks);
    cohort_view_release(&m->val);
    cohort_set_release(&m->val_set);
    cohort_view_release(&m->view);
    cohort_set_release(&m->set);
}

/* ---- paired bootstrap ------------------------------------------------------------------------ */

typedef struct work {
    cohort_view *sorted; /* [n_models]: ours first, each in the order of its own score */
    int n_models;
    double **weight; /* [threads] */
} work;

static bool statistic(void *ctx, const int32_t *times, double *out, int thread)
{
    const work *w = ctx;
    double ours = NAN;
    for (int k = 0; k < w->n_models; k++) {
        metric_in in = w->sorted[k].in;
        double *weight = w->weight[thread];
        for (int64_t i = 0; i < in.n; i++)
            weight[i] = times[in.cluster[i]] * (in.weight ? in.weight[i] : 1.0);
        in.weight = weight;
        double auc = metric_table[0].point(&in);
        if (isnan(auc))
            return false;
        if (k == 0)
            ours = auc;
        else
            out[k - 1] = ours - auc;
    }
    return true;
}

void compare_bootstrap(const cohort_view *v, const double *const *other, int n,
                       const report_cfg *how, pool *p, compare_interval *out)
{
    for (int k = 0; k < n; k++)
        out[k] = (compare_interval){NAN, NAN, NAN};
    if (how->bootstrap < 1 || n < 1 || v->events == 0 || v->events == v->n)
        return;
    work w = {.n_models = n + 1};
    int *ever_case = MEM_ARRAY(int, v->in.n_clusters + 1);
    for (int64_t i = 0; i < v->n; i++)
        ever_case[v->cluster[i]] |= v->y[i];
    w.sorted = MEM_ARRAY(cohort_view, n + 1);
    for (int k = 0; k <= n; k++)
        cohort_view_sorted(v, k ? other[k - 1] : v->score, &w.sorted[k]);
    w.weight = MEM_ARRAY(double *, pool_threads(p));
    for (int t = 0; t < pool_threads(p); t++)
        w.weight[t] = MEM_ARRAY(double, v->n + 1);
    boot_result b;
    boot_run(&(boot_spec){.n_clusters = v->in.n_clusters,
                          .stratum = ever_case,
                          .n_strata = 2,
                          .replicates = how->bootstrap,
                          .seed = (uint64_t)how->seed,
                          .n_stats = n,
                          .stat = statistic,
                          .ctx = &w,
                          .pool = p,
                          .kind = how->boot_kind},
             &b);
    for (int k = 0; k < n; k++)
        if (!boot_interval(&b, k, 0.95, &out[k].lo, &out[k].hi, &out[k].sd))
            out[k] = (compare_interval){NAN, NAN, NAN};
    boot_release(&b);
    for (int k = 0; k <= n; k++)
        cohort_view_release(&w.sorted[k]);
    for (int t = 0; t < pool_threads(p); t++)
        mem_free(w.weight[t]);
    mem_free(w.weight);
    mem_free(w.sorted);
    mem_free(ever_case);
}
