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
    const tell_variable *of;
    int *level;   /* [exams] index into the groups, -1 = none */
    bool *tested; /* [groups] */
    subgroup_level *result;
    double fewest, most; /* exams without cancer per cancer among the tested groups */
} variable;

typedef struct variables {
    variable *v;
    int n;
    bool sens, spec; /* some variable has them */
    /* names of variables: that no exam has a value of; of one group; without the column */
    json_t *absent, *single, *no_sens, *no_spec;
} variables;

static void prepare(const report_build *b, variable *v)
{
    const exam_table *t = &b->set.exams;
    const strata_groups *groups = &v->of->groups;
    v->level = MEM_ARRAY(int, t->n + 1);
    v->tested = MEM_ARRAY(bool, groups->n + 1);
    v->result = MEM_ARRAY(subgroup_level, groups->n + 1);
    v->fewest = INFINITY;
    for (int64_t i = 0; i < t->n; i++)
        v->level[i] = -1;
    for (int l = 0; l < groups->n; l++) {
        const strata_group *g = &groups->g[l];
        int64_t cases = 0, controls = 0;
        for (int64_t k = 0; k < g->n; k++) {
            bool y = t->row[g->row[k]].y;
            cases += y;
            controls += !y;
            if (y || !v->of->var.cases_only)
                v->level[g->row[k]] = l;
        }
        v->tested[l] =
            !(g->unknown && g->n_members < 2) && cases >= METRIC_FEW && controls >= METRIC_FEW;
        if (v->tested[l]) {
            v->fewest = fmin(v->fewest, (double)controls / (double)cases);
            v->most = fmax(v->most, (double)controls / (double)cases);
        }
    }
}

static void name_to(json_t *list, const tell_variable *v)
{
    json_array_append_new(list, cells_string(strata_title(&v->var)));
}

static bool load(const report_build *b, variables *all, err *e)
{
    const report_cfg *c = &b->opts->cfg;
    const strata_source source = {&b->set.exams, c->screen_days, c->interval_days};
    all->v = MEM_ARRAY(variable, c->subgroups.n + 1);
    all->absent = json_array();
    all->single = json_array();
    all->no_sens = json_array();
    all->no_spec = json_array();
    for (int i = 0; i < c->subgroups.n; i++) {
        const tell_variable *of = report_tell_variable(b, c->subgroups.v[i]);
        strata_var unknown;
        if (!of)
            return strata_find(c->subgroups.v[i], &source, &unknown, e);
        if (!of->groups.known || !of->shown) {
            name_to(of->groups.known ? all->single : all->absent, of);
            continue;
        }
        variable *v = &all->v[all->n++];
        v->of = of;
        prepare(b, v);
        all->sens = all->sens || of->sens;
        all->spec = all->spec || of->spec;
        if (!of->sens)
            name_to(all->no_sens, of);
        if (!of->spec && !of->var.cases_only)
            name_to(all->no_spec, of);
    }
    return true;
}

static void release(variables *all)
{
    for (int i = 0; i < all->n; i++) {
        mem_free(all->v[i].level);
        mem_free(all->v[i].tested);
        mem_free(all->v[i].result);
    }
    mem_free(all->v);
    json_decref(all->absent);
    json_decref(all->single);
    json_decref(all->no_sens);
    json_decref(all->no_spec);
}

static void compare(const report_build *b, variables *all, subgroup_test *test)
{
    subgroup_var *var = MEM_ARRAY(subgroup_var, all->n + 1);
    subgroup_level **level = MEM_ARRAY(subgroup_level *, all->n + 1);
    for (int i = 0; i < all->n; i++) {
        const variable *v = &all->v[i];
        var[i] = (subgroup_var){v->level, v->of->groups.n, v->of->var.cases_only, v->tested};
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

/* Observed over predicted cancers, and the calibration slope. A group that is made of cancers has
 * neither. */
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

static void group_row(report_build *b, json_t *t, const variables *all, const variable *v, int l)
{
    const subgroup_level *x = &v->result[l];
    const tell_variable *of = v->of;
    const strata_group *g = &of->groups.g[l];
    cohort_view view;
    text subset;
    text_init(&subset);
    text_addf(&subset, "%s=%s", of->var.name, g->level);
    metric_value a =
        report_build_subset(b, &b->set, g->row, g->n, subset.s, (tell_sizes){true, true});
    cohort_view_build(&b->set, g->row, g->n, &view);
    json_t *cells = cells_row(t);
    cells_text(cells, strata_title(&of->var));
    cells_text(cells, g->level);
    cells_int(cells, g->n);
    cells_int(cells, a.n);
    cells_int(cells, a.events);
    report_build_auc(cells, &a);
    if (all->sens)
        rate_cell(cells, b, (double[]){x->sens, x->sens_lo, x->sens_hi}, &view, 1, of->sens);
    if (all->spec)
        rate_cell(cells, b, (double[]){x->spec, x->spec_lo, x->spec_hi}, &view, 0, of->spec);
    calibration_cells(cells, b, &view, of->var.cases_only);
    if (g->n == b->all.n) /* not a part: nothing to set it beside */
        cells_text(cells, report_text("subgroup.whole"));
    else
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
        if ((all->sens || strcmp(columns[i][0], "sens")) &&
            (all->spec || strcmp(columns[i][0], "spec")))
            cells_column(t, columns[i][0], columns[i][1]);
    json_object_set_new(t, "threshold", json_num(isinf(threshold) ? NAN : threshold));
    json_object_set(t, "absent", all->absent);
    json_object_set(t, "single", all->single);
    json_object_set(t, "no_sens", all->no_sens);
    json_object_set(t, "no_spec", all->no_spec);
    report_build_table(b, t);
    for (int i = 0; i < all->n; i++)
        for (int l = 0; l < all->v[i].of->groups.n; l++)
            group_row(b, t, all, &all->v[i], l);
}

/* ---- do they differ? ------------------------------------------------------------------------- */

static void controls_cell(json_t *row, const variable *v)
{
    char low[32], high[32];
    text t;
    text_init(&t);
    snprintf(low, sizeof low, "%.2g", v->fewest);
    snprintf(high, sizeof high, "%.2g", v->most);
    report_fill(&t, v->of->var.cases_only ? "controls.shared" : "controls.range",
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
        cells_text(row, strata_title(&all->v[i].of->var));
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
    report_doc_section(d, "subgroups");
    report_doc_figure(d, tree, "forest");
    report_doc_table(d, tree, "subgroups", false);
    report_doc_names(d, tree, "subgroups", "no_sens", "subgroups.no_sens");
    report_doc_names(d, tree, "subgroups", "no_spec", "subgroups.no_spec");
    report_doc_names(d, tree, "subgroups", "single", "small.single");
    report_doc_table(d, tree, "interaction", false);
    report_doc_names(d, tree, "subgroups", "absent", "subgroups.absent");
}

const report_part part_subgroups = {"subgroups", add, show};
