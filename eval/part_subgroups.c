/* Subgroups under one threshold: separation, rates, calibration, and whether they differ.
 * evaluation.md 12. */
#include "eval/part.h"
#include "core/mem.h"
#include "eval/calibrate.h"
#include "eval/cells.h"
#include "eval/pair.h"
#include "eval/report_text.h"
#include "eval/strata.h"
#include "eval/subgroup.h"
#include <math.h>

/* One variable: its groups, and the group of every exam. */
typedef struct variable {
    strata_var var;
    strata_groups groups;
    int *level;   /* [exams] index into groups.g, -1 = none */
    bool *tested; /* [groups.n] */
    tell_groups told;
    subgroup_level *result;
    double fewest, most; /* exams without cancer per cancer among the tested groups */
} variable;

typedef struct variables {
    variable *v;
    int n;
    json_t *absent; /* names of variables that no exam has a value of */
} variables;

static void prepare(const report_build *b, variable *v)
{
    const exam_table *t = &b->set.exams;
    v->level = MEM_ARRAY(int, t->n + 1);
    v->tested = MEM_ARRAY(bool, v->groups.n + 1);
    v->result = MEM_ARRAY(subgroup_level, v->groups.n + 1);
    v->fewest = INFINITY;
    for (int64_t i = 0; i < t->n; i++)
        v->level[i] = -1;
    for (int l = 0; l < v->groups.n; l++) {
        const strata_group *g = &v->groups.g[l];
        int64_t cases = 0, controls = 0;
        for (int64_t k = 0; k < g->n; k++) {
            bool y = t->row[g->row[k]].y;
            cases += y;
            controls += !y;
            if (y || !v->var.cases_only)
                v->level[g->row[k]] = l;
        }
        v->tested[l] = !g->unknown && cases >= METRIC_FEW && controls >= METRIC_FEW;
    }
    report_tell_groups(b, false, &v->groups, &v->var, &v->told);
    for (int l = 0; l < v->groups.n; l++) { /* the range of what is told */
        double cases = 0, n = (double)v->groups.g[l].n;
        for (int64_t k = 0; k < v->groups.g[l].n; k++)
            cases += t->row[v->groups.g[l].row[k]].y;
        if (v->tested[l] && v->told.l[l].cancers) {
            v->fewest = fmin(v->fewest, (n - cases) / cases);
            v->most = fmax(v->most, (n - cases) / cases);
        }
    }
}

static bool load(const report_build *b, variables *all, err *e)
{
    const report_cfg *c = &b->opts->cfg;
    const strata_source source = {&b->set.exams, c->screen_days, c->interval_days};
    all->v = MEM_ARRAY(variable, c->subgroups.n + 1);
    all->absent = json_array();
    for (int i = 0; i < c->subgroups.n; i++) {
        variable *v = &all->v[all->n];
        if (!strata_find(c->subgroups.v[i], &source, &v->var, e))
            return false;
        strata_split(&v->var, &b->set.exams, &v->groups);
        if (v->groups.known) {
            prepare(b, v);
            all->n++;
        } else {
            json_array_append_new(all->absent, cells_string(strata_title(&v->var)));
            strata_release(&v->groups);
        }
    }
    return true;
}

static void release(variables *all)
{
    for (int i = 0; i < all->n; i++) {
        strata_release(&all->v[i].groups);
        mem_free(all->v[i].level);
        mem_free(all->v[i].tested);
        tell_groups_release(&all->v[i].told);
        mem_free(all->v[i].result);
    }
    mem_free(all->v);
    json_decref(all->absent);
}

static void compare(const report_build *b, variables *all, subgroup_test *test)
{
    subgroup_var *var = MEM_ARRAY(subgroup_var, all->n + 1);
    subgroup_level **level = MEM_ARRAY(subgroup_level *, all->n + 1);
    for (int i = 0; i < all->n; i++) {
        const variable *v = &all->v[i];
        var[i] = (subgroup_var){v->level, v->groups.n, v->var.cases_only, v->tested};
        level[i] = v->result;
    }
    subgroup_run(&(subgroup_spec){.in = b->all.in,
                                  .var = var,
                                  .n_vars = all->n,
                                  .threshold = b->tell.threshold,
                                  .replicates = b->opts->cfg.bootstrap,
                                  .kind = b->opts->cfg.boot_kind,
                                  .seed = (uint64_t)b->opts->cfg.seed,
                                  .pool = b->pool},
                 level, test);
    mem_free(var);
    mem_free(level);
}

/* ---- one group ------------------------------------------------------------------------------- */

/* A share of the n exams of class y of a group. Wilson's interval where it holds, else that of the
 * bootstrap, at 0 and 1 the exact one. */
static void rate_cell(json_t *row, const report_build *b, double v[3], const cohort_view *group,
                      int y, bool told)
{
    int64_t n = y ? group->events : group->n - group->events;
    told = told && n >= METRIC_FEW;
    if (!b->set.repeated && !b->set.weighted && !isnan(v[0]))
        metric_wilson(v[0] * (double)n, (double)n, &v[1], &v[2]);
    else
        metric_exact_share(&group->in, y, v[0], &v[1], &v[2]);
    cells_rate(row, v, told);
}

static int64_t flagged_controls(const report_build *b)
{
    int64_t n = 0;
    for (int64_t i = 0; i < b->all.n; i++)
        n += !b->all.y[i] && b->all.score[i] >= b->tell.threshold;
    return n;
}

/* Observed over predicted cancers, and the calibration slope. A group that is made of cancers has
 * neither, nor has one whose cancers are hidden. */
static void calibration_cells(json_t *row, const report_build *b, const cohort_view *v, bool none)
{
    if (none || v->events < METRIC_FEW || v->n - v->events < METRIC_FEW) {
        cells_est(row, NAN, NAN, NAN);
        cells_est(row, NAN, NAN, NAN);
        return;
    }
    if (b->set.repeated || b->set.weighted) {
        subgroup_ratio r = subgroup_oe(&v->in);
        cells_est(row, r.value, r.lo, r.hi);
    } else {
        calibrate_total t = calibrate_sums(&v->in);
        cells_est(row, t.oe, t.oe_lo, t.oe_hi);
    }
    calibrate_line s = calibrate_slope(&v->in);
    double step = METRIC_Z95 * (s.repeated ? s.robust_b : s.se_b);
    cells_est(row, s.b, s.b - step, s.b + step);
}

static void group_row(report_build *b, json_t *t, const variable *v, int l)
{
    const subgroup_level *x = &v->result[l];
    const strata_group *g = &v->groups.g[l];
    const disclose_level *may = &v->told.l[l];
    /* of cancers beside all exams without one the sum would tell how many */
    tell_sizes told = {v->var.cases_only ? may->cancers : may->exams, may->cancers};
    bool spec = v->var.cases_only ? report_tell_controls(b, flagged_controls(b)) : may->spec;
    cohort_view view;
    text subset;
    text_init(&subset);
    text_addf(&subset, "%s=%s", v->var.name, g->level);
    metric_value a = report_build_subset(b, &b->set, g->row, g->n, subset.s, told);
    cohort_view_build(&b->set, g->row, g->n, &view);
    json_t *cells = cells_row(t);
    cells_text(cells, strata_title(&v->var));
    cells_text(cells, g->level);
    cells_count(cells, g->n, told.exams);
    cells_count(cells, a.n, told.exams);
    cells_count(cells, a.events, told.cancers);
    cells_est(cells, a.value, a.lo, a.hi);
    /* a share of a hidden number would tell it: 0.909 of at most 14 exams is 10 of 11 */
    rate_cell(cells, b, (double[]){x->sens, x->sens_lo, x->sens_hi}, &view, 1, may->sens);
    rate_cell(cells, b, (double[]){x->spec, x->spec_lo, x->spec_hi}, &view, 0, spec);
    calibration_cells(cells, b, &view, v->var.cases_only || !told.cancers);
    report_build_remark(cells, &a);
    cohort_view_release(&view);
    text_release(&subset);
}

static void groups_table(report_build *b, const variables *all)
{
    double threshold = b->tell.threshold;
    static const char *const columns[][2] = {
        {"variable", "text"}, {"level", "text"}, {"exams", "int"},  {"patients", "int"},
        {"cancers", "int"},   {"auc", "auc"},    {"sens", "est"},   {"spec", "est"},
        {"oe", "est"},        {"slope", "est"},  {"remark", "text"}};
    json_t *t = cells_table("subgroups");
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, columns[i][0], columns[i][1]);
    json_object_set_new(t, "threshold", json_num(isinf(threshold) ? NAN : threshold));
    json_object_set(t, "absent", all->absent);
    report_build_table(b, t);
    for (int i = 0; i < all->n; i++)
        for (int l = 0; l < all->v[i].groups.n; l++)
            group_row(b, t, &all->v[i], l);
}

/* ---- do they differ? ------------------------------------------------------------------------- */

static void controls_cell(json_t *row, const variable *v)
{
    char low[32], high[32];
    text t;
    text_init(&t);
    snprintf(low, sizeof low, "%.2g", v->fewest);
    snprintf(high, sizeof high, "%.2g", v->most);
    report_fill(&t,
                v->var.cases_only  ? "controls.shared"
                : isinf(v->fewest) ? "hidden"
                                   : "controls.range",
                (const char *const[]){"low", low, "high", high, NULL});
    cells_text(row, t.s);
    text_release(&t);
}

static void test_table(report_build *b, const variables *all, const subgroup_test *test)
{
    static const char *const columns[][2] = {{"variable", "text"}, {"groups", "int"},
                                             {"chi2", "num"},      {"p", "p"},
                                             {"p_holm", "p"},      {"controls_ratio", "text"}};
    double *p = MEM_ARRAY(double, all->n + 1), *holm = MEM_ARRAY(double, all->n + 1);
    json_t *t = cells_table("interaction");
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, columns[i][0], columns[i][1]);
    for (int i = 0; i < all->n; i++)
        p[i] = test[i].p;
    pair_holm(p, all->n, holm);
    for (int i = 0; i < all->n; i++) {
        if (isnan(p[i]))
            continue;
        json_t *row = cells_row(t);
        cells_text(row, strata_title(&all->v[i].var));
        cells_int(row, test[i].df + 1);
        cells_num(row, test[i].chi2);
        cells_num(row, p[i]);
        cells_num(row, holm[i]);
        controls_cell(row, &all->v[i]);
    }
    report_build_table(b, t);
    mem_free(p);
    mem_free(holm);
}

static bool add(report_build *b, err *e)
{
    variables all = {0};
    bool ok = load(b, &all, e);
    if (ok) {
        subgroup_test *test = MEM_ARRAY(subgroup_test, all.n + 1);
        compare(b, &all, test);
        groups_table(b, &all);
        test_table(b, &all, test);
        mem_free(test);
    }
    release(&all);
    return ok;
}

static void show(report_doc *d, const json_t *tree)
{
    const json_t *absent =
        json_object_get(report_tree_by_id(tree, "tables", "subgroups"), "absent");
    report_doc_section(d, "subgroups");
    report_doc_figure(d, tree, "forest");
    report_doc_table(d, tree, "subgroups", false);
    report_doc_table(d, tree, "interaction", false);
    if (json_array_size(absent)) {
        text names;
        size_t i;
        json_t *v;
        text_init(&names);
        json_array_foreach(absent, i, v)
            text_addf(&names, "%s%s", i ? ", " : "", json_string_value(v));
        report_doc_fill(d, DOC_NOTE, "subgroups.absent",
                        (const char *const[]){"names", names.s, NULL});
        text_release(&names);
    }
}

const report_part part_subgroups = {"subgroups", add, show};
