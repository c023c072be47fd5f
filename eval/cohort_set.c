/* Analysed exams: labelled ones, averaged over members, viewed as arrays. */
#include "eval/cohort_set.h"
#include "core/mem.h"

bool cohort_set_build(const scores *s, int rule, cohort_set *out, err *e)
{
    memset(out, 0, sizeof *out);
    if (!exam_build(s, (exam_rule)rule, &out->exams, e))
        return false;
    exam_table *t = &out->exams;
    int64_t kept = 0;
    for (int64_t i = 0; i < t->n; i++) {
        if (t->row[i].y < 0) {
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

bool cohort_set_ensemble(const scores *const *s, int n, int rule, cohort_set *out,
                         cohort_set *member, err *e)
{
    memset(out, 0, sizeof *out);
    for (int m = 0; m < n; m++) {
        if (!cohort_set_build(s[m], rule, &member[m], e))
            return n > 1 ? err_wrap(e, "input %d", m + 1) : false;
        const exam_table *a = &member[0].exams, *b = &member[m].exams;
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
    out->exams.row = MEM_ARRAY(exam_row, out->exams.n + 1);
    for (int64_t i = 0; i < out->exams.n; i++) {
        out->exams.row[i] = member[0].exams.row[i];
        double sum = 0, rest = 0; /* compensated */
        for (int m = 0; m < n; m++) {
            double v = member[m].exams.row[i].score - rest, t = sum + v;
            rest = (t - sum) - v;
            sum = t;
        }
        out->exams.row[i].score = exam_round(sum / n);
    }
    return true;
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

void cohort_view_release(cohort_view *v)
{
    mem_free(v->score);
    mem_free(v->weight);
    mem_free(v->y);
    mem_free(v->cluster);
    memset(v, 0, sizeof *v);
}
