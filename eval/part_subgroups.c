/* AUC and rates of subgroups under one threshold. evaluation.md 12. */
#include "eval/part.h"
#include "eval/cells.h"
#include "eval/report_text.h"
#include "eval/strata.h"
#include <math.h>

/* Threshold at which all exams together keep the wanted specificity. */
static double global_threshold(const report_build *b)
{
    curve c = {0};
    double t = NAN;
    const cohort_view *v = b->src->val ? &b->val : &b->all;
    if (curve_build(&v->in, &c))
        t = c.p[curve_at_spec(&c, b->opts->cfg.subgroup_spec)].threshold;
    curve_release(&c);
    return t;
}

static void rates_cells(json_t *row, const report_build *b, const strata_group *g, double threshold)
{
    int64_t hit[2] = {0}, all[2] = {0};
    for (int64_t i = 0; i < g->n; i++) {
        const exam_row *x = &b->set.exams.row[g->row[i]];
        all[x->y]++;
        hit[x->y] += x->score >= threshold;
    }
    for (int y = 1; y >= 0; y--) {
        double lo = NAN, hi = NAN, k = (double)(y ? hit[1] : all[0] - hit[0]);
        if (isnan(threshold) || all[y] < METRIC_FEW) {
            cells_est(row, NAN, NAN, NAN);
            continue;
        }
        if (!b->set.repeated && !b->set.weighted)
            metric_wilson(k, (double)all[y], &lo, &hi);
        cells_est(row, k / (double)all[y], lo, hi);
    }
}

static void subgroup_rows(report_build *b, json_t *t, const strata_var *var, double threshold)
{
    strata_groups groups;
    strata_split(var, &b->set.exams, &groups);
    for (int i = 0; i < groups.n; i++) {
        const strata_group *g = &groups.g[i];
        text subset;
        text_init(&subset);
        text_addf(&subset, "%s=%s", var->name, g->level);
        metric_value a = report_build_subset(b, &b->set, g->row, g->n, subset.s);
        char key[48];
        json_t *row = cells_row(t);
        snprintf(key, sizeof key, "var.%s", var->name);
        cells_text(row, report_text(key));
        cells_text(row, g->level);
        cells_count(row, g->n);
        cells_count(row, a.n);
        cells_count(row, a.events);
        cells_est(row, a.value, a.lo, a.hi);
        rates_cells(row, b, g, threshold);
        report_build_remark(row, &a);
        text_release(&subset);
    }
    strata_release(&groups);
}

static bool add(report_build *b, err *e)
{
    static const char *const columns[][2] = {
        {"variable", "text"}, {"level", "text"},  {"exams", "int"},
        {"patients", "int"},  {"cancers", "int"}, {"auc", "auc"},
        {"sens", "est"},      {"spec", "est"},    {"remark", "text"}};
    json_t *t = cells_table("subgroups");
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, columns[i][0], columns[i][1]);
    report_build_table(b, t);
    double threshold = global_threshold(b);
    json_object_set_new(t, "threshold", json_num(isinf(threshold) ? NAN : threshold));
    for (int i = 0; i < b->opts->cfg.subgroups.n; i++) {
        const strata_var *var = strata_find(b->opts->cfg.subgroups.v[i], e);
        if (!var)
            return false;
        subgroup_rows(b, t, var, threshold);
    }
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    report_doc_section(d, "subgroups");
    report_doc_figure(d, tree, "forest");
    report_doc_table(d, tree, "subgroups", false);
}

const report_part part_subgroups = {"subgroups", add, show};
