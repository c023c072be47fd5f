/* The same exams under other rules, or a subset of them. evaluation.md 1. */
#include "eval/part.h"
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/report_text.h"
#include <math.h>

/* The exams row[n] of a set, NULL: all. */
static void sensitivity_row(report_build *b, json_t *t, const char *id, const cohort_set *set,
                            const int64_t *rows, int64_t n)
{
    char key[64];
    /* other rules read the same exams */
    tell_sizes told = rows ? report_tell_subset(b, rows, n) : (tell_sizes){true, true};
    metric_value a = report_build_subset(b, set, rows, n, id, told);
    snprintf(key, sizeof key, "subset.%s", id);
    json_t *row = cells_row(t);
    cells_text(row, report_text(key));
    cells_count(row, n, told.exams);
    cells_count(row, a.n, told.exams);
    cells_count(row, a.events, told.cancers);
    report_build_auc(row, &a);
    report_build_remark(row, &a);
}

/* One exam per patient: the earliest or the latest by exam_day; false if a day is unknown. */
static bool pick_exams(const report_build *b, bool last, int64_t *row, int64_t *n)
{
    const exam_table *t = &b->set.exams;
    int64_t *best = MEM_ARRAY(int64_t, t->n_patients + 1);
    bool known = true;
    for (int p = 0; p < t->n_patients; p++)
        best[p] = -1;
    for (int64_t i = 0; i < t->n; i++) {
        int64_t *k = &best[t->row[i].patient_index];
        known = known && !isnan(t->row[i].exam_day);
        if (*k < 0 || (last ? t->row[i].exam_day >= t->row[*k].exam_day
                            : t->row[i].exam_day < t->row[*k].exam_day))
            *k = i;
    }
    *n = 0;
    for (int64_t i = 0; i < t->n; i++)
        if (best[t->row[i].patient_index] == i)
            row[(*n)++] = i;
    mem_free(best);
    return known;
}

static void other_rules(report_build *b, json_t *t)
{
    for (int r = 0; r < EXAM_RULES; r++) {
        cohort_set set;
        cohort_set *member = MEM_ARRAY(cohort_set, b->src->n_in);
        const scores **s = MEM_ARRAY(const scores *, b->src->n_in);
        char id[64];
        cohort_how how = report_build_how(b);
        how.rule = (exam_rule)r;
        for (int i = 0; i < b->src->n_in; i++)
            s[i] = &b->src->in[i].scores;
        snprintf(id, sizeof id, "rule_%s", exam_rule_name((exam_rule)r));
        /* a rule that these tables cannot carry (no laterality, no view) has no row */
        if (r != b->opts->cfg.rule &&
            cohort_set_ensemble(s, b->src->n_in, how, &set, member, NULL)) {
            sensitivity_row(b, t, id, &set, NULL, set.exams.n);
            cohort_set_release(&set);
        }
        for (int i = 0; i < b->src->n_in; i++)
            cohort_set_release(&member[i]);
        mem_free(s);
        mem_free(member);
    }
}

static bool add(report_build *b, err *e)
{
    static const char *const columns[][2] = {{"analysis", "text"}, {"exams", "int"},
                                             {"patients", "int"},  {"cancers", "int"},
                                             {"auc", "auc"},       {"remark", "text"}};
    json_t *t = cells_table("sensitivity");
    const exam_table *x = &b->set.exams;
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, columns[i][0], columns[i][1]);
    report_build_table(b, t);
    int64_t *row = MEM_ARRAY(int64_t, x->n + 1), n = 0;
    for (int64_t i = 0; i < x->n; i++)
        if (x->row[i].views == EXAM_ALL_VIEWS)
            row[n++] = i;
    if (n > 0 && n < x->n)
        sensitivity_row(b, t, "four_views", &b->set, row, n);
    for (int last = 0; last < 2 && b->set.repeated; last++) {
        if (!pick_exams(b, last, row, &n))
            continue;
        sensitivity_row(b, t, last ? "last_exam" : "first_exam", &b->set, row, n);
    }
    mem_free(row);
    other_rules(b, t);
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    report_doc_table(d, tree, "sensitivity", false);
}

const report_part part_sensitivity = {"sensitivity", add, show};
