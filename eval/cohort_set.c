/* Analysed exams: labelled ones, averaged over members, viewed as arrays. */
#include "eval/cohort_set.h"
#include "eval/keyed.h"
#include "core/json.h"
#include "core/mem.h"
#include <math.h>

static bool labelled(const exam_row *x)
{
    return x->y >= 0;
}

static bool followed(const exam_row *x)
{
    return x->event >= 0 && !isnan(x->t_years);
}

typedef bool wanted(const exam_row *x);

static bool build(const scores *s, int rule, wanted *keep, cohort_set *out, err *e)
{
    memset(out, 0, sizeof *out);
    if (!exam_build(s, (exam_rule)rule, &out->exams, e))
        return false;
    exam_table *t = &out->exams;
    int64_t kept = 0;
    for (int64_t i = 0; i < t->n; i++) {
        if (!keep(&t->row[i])) {
            out->n_unlabelled++;
            continue;
        }
        out->n_images += t->row[i].n_images;
        out->weighted = out->weighted || t->row[i].weight != 1;
        t->row[kept++] = t->row[i];
    }
    t->n = kept;
    exam_number_patients(t);
    out->repeated = t->n_patients < t->n;
    return true;
}

bool cohort_set_build(const scores *s, int rule, cohort_set *out, err *e)
{
    return build(s, rule, labelled, out, e);
}

/* Scores of all members, or their risks of a year, as one column of out. */
static void combine(const cohort_set *member, int n, member_rule rule, int year, exam_table *out)
{
    double **column = MEM_ARRAY(double *, n), *one = MEM_ARRAY(double, out->n + 1);
    for (int m = 0; m < n; m++) {
        column[m] = MEM_ARRAY(double, out->n + 1);
        for (int64_t i = 0; i < out->n; i++) {
            const exam_row *x = &member[m].exams.row[i];
            column[m][i] = year < 0 ? x->score : x->year[year];
        }
    }
    member_combine(rule, (const double *const *)column, n, out->n, one);
    for (int64_t i = 0; i < out->n; i++)
        *(year < 0 ? &out->row[i].score : &out->row[i].year[year]) = one[i];
    for (int m = 0; m < n; m++)
        mem_free(column[m]);
    mem_free(column);
    mem_free(one);
}

static bool ensemble(const scores *const *s, int n, cohort_how how, wanted *keep, cohort_set *out,
                     cohort_set *member, err *e)
{
    memset(out, 0, sizeof *out);
    for (int m = 0; m < n; m++) {
        if (!build(s[m], how.rule, keep, &member[m], e))
            return n > 1 ? err_wrap(e, "input %d", m + 1) : false;
        const exam_table *a = &member[0].exams, *b = &member[m].exams;
        if (a->n_years != b->n_years)
            return err_set(e, ERR_INPUT,
                           "input 1 has %d columns of risk by year (score_h1 ...), input %d has %d",
                           a->n_years, m + 1, b->n_years);
        bool same = a->n == b->n;
        for (int64_t i = 0; same && i < a->n; i++)
            same = !strcmp(a->row[i].exam, b->row[i].exam) && a->row[i].y == b->row[i].y &&
                   !strcmp(a->row[i].patient, b->row[i].patient);
        if (!same)
            return err_set(e, ERR_INPUT,
                           "inputs 1 and %d do not hold the same exams, patients and labels; "
                           "several inputs are members of one ensemble",
                           m + 1);
    }
    *out = member[0];
    exam_copy(&member[0].exams, &out->exams);
    for (int k = -1; k < out->exams.n_years; k++)
        combine(member, n, how.ensemble, k, &out->exams);
    return true;
}

bool cohort_set_ensemble(const scores *const *s, int n, cohort_how how, cohort_set *out,
                         cohort_set *member, err *e)
{
    return ensemble(s, n, how, labelled, out, member, e);
}

bool cohort_set_followed(const scores *const *s, int n, cohort_how how, cohort_set *out, err *e)
{
    cohort_set *member = MEM_ARRAY(cohort_set, n);
    bool ok = ensemble(s, n, how, followed, out, member, e);
    for (int m = 0; m < n; m++)
        cohort_set_release(&member[m]);
    mem_free(member);
    return ok;
}

int64_t cohort_set_shared(const cohort_set *a, const cohort_set *b)
{
    json_t *seen = json_object();
    int64_t shared = 0;
    for (int64_t i = 0; i < b->exams.n; i++)
        json_object_set_new_nocheck(seen, b->exams.row[i].patient, json_true());
    for (int64_t i = 0; i < a->exams.n; i++)
        shared += json_object_get(seen, a->exams.row[i].patient) != NULL;
    json_decref(seen);
    return shared;
}

void cohort_set_release(cohort_set *c)
{
    exam_release(&c->exams);
    memset(c, 0, sizeof *c);
}

void cohort_view_build(const cohort_set *c, const int64_t *row, int64_t n, cohort_view *out)
{
    memset(out, 0, sizeof *out);
    out->n = n;
    out->score = MEM_ARRAY(double, n + 1);
    out->weight = MEM_ARRAY(double, n + 1);
    out->y = MEM_ARRAY(int, n + 1);
    out->cluster = MEM_ARRAY(int, n + 1);
    bool *seen = MEM_ARRAY(bool, c->exams.n_patients + 1);
    for (int64_t i = 0; i < n; i++) {
        const exam_row *x = &c->exams.row[row ? row[i] : i];
        out->score[i] = x->score;
        out->weight[i] = x->weight;
        out->y[i] = x->y;
        out->cluster[i] = x->patient_index;
        out->events += x->y;
        out->n_patients += !seen[x->patient_index];
        seen[x->patient_index] = true;
    }
    mem_free(seen);
    out->in = (metric_in){.score = out->score,
                          .y = out->y,
                          .weight = c->weighted ? out->weight : NULL,
                          .cluster = out->cluster,
                          .n = n,
                          .n_clusters = c->exams.n_patients};
}

void cohort_view_sorted(const cohort_view *v, const double *score, cohort_view *out)
{
    keyed *k = MEM_ARRAY(keyed, v->n + 1);
    for (int64_t i = 0; i < v->n; i++)
        k[i] = (keyed){score[i], i};
    keyed_sort(k, v->n);
    *out = *v;
    out->score = MEM_ARRAY(double, v->n + 1);
    out->weight = MEM_ARRAY(double, v->n + 1);
    out->y = MEM_ARRAY(int, v->n + 1);
    out->cluster = MEM_ARRAY(int, v->n + 1);
    for (int64_t i = 0; i < v->n; i++) {
        out->score[i] = k[i].score;
        out->weight[i] = v->weight[k[i].row];
        out->y[i] = v->y[k[i].row];
        out->cluster[i] = v->cluster[k[i].row];
    }
    mem_free(k);
    out->in.score = out->score;
    out->in.weight = v->in.weight ? out->weight : NULL;
    out->in.y = out->y;
    out->in.cluster = out->cluster;
    out->in.sorted = true;
}

void cohort_view_release(cohort_view *v)
{
    mem_free(v->score);
    mem_free(v->weight);
    mem_free(v->y);
    mem_free(v->cluster);
    memset(v, 0, sizeof *v);
}
