/* Other models on the same exams, paired exam by exam: difference of the AUC with clustered and
 * bootstrap intervals, Holm, the non-inferiority margin, detected cancers at one specificity,
 * subgroups, calibration. evaluation.md 3, 5, 6, 13. */
#include "eval/part.h"
#include "core/mem.h"
#include "eval/calibrate.h"
#include "eval/cells.h"
#include "eval/pair.h"
#include "eval/report_text.h"
#include "eval/strata.h"
#include <math.h>

#define POWER 0.80 /* of the smallest difference that these exams can show */

static json_t *table_of(report_build *b, const char *id, const char *const (*column)[2], size_t n)
{
    json_t *t = cells_table(id);
    for (size_t i = 0; i < n; i++)
        cells_column(t, column[i][0], column[i][1]);
    report_build_table(b, t);
    return t;
}

/* Both classes have enough exams for an AUC to be given. */
static bool enough(const cohort_view *v)
{
    return v->events >= METRIC_FEW && v->n - v->events >= METRIC_FEW;
}

static void verdict_cell(json_t *row, const char *verdict)
{
    char key[48];
    snprintf(key, sizeof key, "verdict.%s", verdict ? verdict : "none");
    cells_text(row, report_text(key));
}

/* ---- all exams ------------------------------------------------------------------------------- */

static void add_metric(report_build *b, const char *name, const metric_pair *d)
{
    char subset[64];
    snprintf(subset, sizeof subset, "compare=%s", name);
    report_build_metric(b, &(report_metric){.id = "auc_difference",
                                            .unit = "exam",
                                            .subset = subset,
                                            .value = d->diff,
                                            .lo = d->lo,
                                            .hi = d->hi,
                                            .ci = isnan(d->lo) ? "" : "clustered",
                                            .reason = isnan(d->lo) ? "DEGENERATE" : NULL,
                                            .n_exams = b->all.n,
                                            .n_patients = b->all.n_patients,
                                            .n_events = b->all.events});
}

static void compare_table(report_build *b)
{
    static const char *const columns[][2] = {
        {"model", "text"},    {"auc", "auc"},  {"difference", "auc"}, {"boot_difference", "auc"},
        {"p", "p"},           {"p_holm", "p"}, {"verdict", "text"},   {"correlation", "num"},
        {"detectable", "num"}};
    json_t *t = table_of(b, "compare", columns, COUNT_OF(columns)), *row = cells_row(t);
    int n = b->src->n_compare;
    metric_pair *pair = MEM_ARRAY(metric_pair, n);
    compare_interval *boot = MEM_ARRAY(compare_interval, n);
    const double **other = MEM_ARRAY(const double *, n);
    double *p = MEM_ARRAY(double, n), *holm = MEM_ARRAY(double, n);
    metric_value ours = metric_auc_report(&b->all.in);
    char margin[32];
    text note;
    for (int k = 0; k < n; k++) {
        other[k] = b->compare[k].view.score;
        pair[k] = metric_auc_pair(&b->all.in, other[k]);
        p[k] = pair[k].p;
    }
    pair_holm(p, n, holm);
    compare_bootstrap(&b->all, other, n, b->opts->cfg.bootstrap, (uint64_t)b->opts->cfg.seed,
                      b->pool, boot);
    cells_text(row, report_text("compare.this"));
    cells_est(row, ours.value, ours.lo, ours.hi);
    for (size_t i = 2; i < COUNT_OF(columns); i++)
        json_array_append_new(row, json_null());
    for (int k = 0; k < n; k++) {
        const metric_pair *d = &pair[k];
        metric_value theirs = metric_auc_report(&b->compare[k].view.in);
        pair_planning plan = pair_detectable(d, b->all.events, b->all.n - b->all.events, POWER);
        row = cells_row(t);
        cells_text(row, b->compare[k].name);
        cells_est(row, theirs.value, theirs.lo, theirs.hi);
        cells_est(row, d->diff, d->lo, d->hi);
        cells_est(row, d->diff, boot[k].lo, boot[k].hi);
        cells_num(row, p[k]);
        cells_num(row, holm[k]);
        verdict_cell(row, pair_verdict(d->lo, d->hi, b->opts->cfg.margin));
        cells_num(row, plan.r);
        cells_num(row, plan.observed);
        add_metric(b, b->compare[k].name, d);
    }
    snprintf(margin, sizeof margin, "%.4g", b->opts->cfg.margin);
    text_init(&note);
    report_fill(&note, "note.compare", (const char *const[]){"margin", margin, NULL});
    json_object_set_new(t, "note", json_string(note.s));
    text_release(&note);
    mem_free(pair);
    mem_free(boot);
    mem_free(other);
    mem_free(p);
    mem_free(holm);
}

/* ---- the same specificity -------------------------------------------------------------------- */

static double threshold_at(const metric_in *in, double spec)
{
    curve c = {0};
    double t = NAN;
    if (curve_build(in, &c))
        t = c.p[curve_at_spec(&c, spec)].threshold;
    curve_release(&c);
    return t;
}

static void points_table(report_build *b)
{
    static const char *const columns[][2] = {
        {"model", "text"},     {"point", "text"},    {"sens_this", "pct"},
        {"sens_other", "pct"}, {"sens_diff", "est"}, {"only_this", "int"},
        {"only_other", "int"}, {"p", "p"},           {"test", "text"}};
    json_t *t = table_of(b, "compare_points", columns, COUNT_OF(columns));
    for (int k = 0; k < b->src->n_compare; k++) {
        const cohort_view *other = &b->compare[k].view;
        for (int i = 0; i < b->opts->cfg.spec.n; i++) {
            double target = b->opts->cfg.spec.v[i];
            pair_rate r =
                pair_sensitivity(&b->all.in, other->score, threshold_at(&b->all.in, target),
                                 threshold_at(&other->in, target));
            char name[32], key[48];
            text point;
            text_init(&point);
            snprintf(name, sizeof name, "%.4g", 100 * target);
            report_fill(&point, "point.spec", (const char *const[]){"target", name, NULL});
            json_t *row = cells_row(t);
            cells_text(row, b->compare[k].name);
            cells_text(row, point.s);
            cells_num(row, r.a);
            cells_num(row, r.b);
            cells_est(row, r.diff, r.lo, r.hi);
            cells_int(row, r.only_a);
            cells_int(row, r.only_b);
            cells_num(row, r.p);
            const char *test = r.ci[0] == 'n' ? pair_mcnemar(r.only_a, r.only_b).method : r.ci;
            snprintf(key, sizeof key, "test.%s", test[0] ? test : "none");
            cells_text(row, report_text(key));
            text_release(&point);
        }
    }
}

/* ---- subgroups ------------------------------------------------------------------------------- */

typedef struct group_rows {
    double *p;
    json_t **cell; /* where the adjusted p-values go */
    int n, cap;
} group_rows;

static void remember(group_rows *g, double p, json_t *row)
{
    if (g->n == g->cap) {
        int cap = g->cap ? 2 * g->cap : 32;
        g->p = mem_realloc(g->p, (size_t)g->cap * sizeof *g->p, (size_t)cap * sizeof *g->p);
        g->cell =
            mem_realloc(g->cell, (size_t)g->cap * sizeof *g->cell, (size_t)cap * sizeof *g->cell);
        g->cap = cap;
    }
    g->p[g->n] = p;
    g->cell[g->n++] = row;
}

/* One group of exams under one pair of models. */
static void group_row(report_build *b, json_t *t, const compare_model *m, const strata_var *var,
                      const strata_group *g, group_rows *family)
{
    cohort_view ours, theirs;
    metric_pair d = {.diff = NAN, .lo = NAN, .hi = NAN, .p = NAN, .a = NAN, .b = NAN};
    cohort_view_build(&b->set, g->row, g->n, &ours);
    cohort_view_build(&m->set, g->row, g->n, &theirs);
    if (enough(&ours))
        d = metric_auc_pair(&ours.in, theirs.score);
    json_t *row = cells_row(t);
    cells_text(row, m->name);
    cells_text(row, strata_title(var));
    cells_text(row, g->level);
    cells_count(row, ours.n);
    cells_count(row, ours.events);
    cells_num(row, d.a);
    cells_num(row, d.b);
    cells_est(row, d.diff, d.lo, d.hi);
    cells_num(row, d.p);
    remember(family, d.p, row);
    cohort_view_release(&ours);
    cohort_view_release(&theirs);
}

static bool subgroups_table(report_build *b, err *e)
{
    static const char *const columns[][2] = {
        {"model", "text"},  {"variable", "text"}, {"level", "text"},    {"exams", "int"},
        {"cancers", "int"}, {"auc_this", "num"},  {"auc_other", "num"}, {"difference", "auc"},
        {"p", "p"},         {"p_holm", "p"}};
    json_t *t = table_of(b, "compare_subgroups", columns, COUNT_OF(columns));
    const report_cfg *c = &b->opts->cfg;
    const strata_source source = {&b->set.exams, c->screen_days, c->interval_days};
    bool ok = true;
    for (int k = 0; ok && k < b->src->n_compare; k++) {
        group_rows family = {0};
        for (int i = 0; ok && i < c->subgroups.n; i++) {
            strata_var var;
            strata_groups groups = {0};
            if (!(ok = strata_find(c->subgroups.v[i], &source, &var, e)))
                break;
            strata_split(&var, &b->set.exams, &groups);
            for (int g = 0; g < groups.n && groups.known; g++)
                group_row(b, t, &b->compare[k], &var, &groups.g[g], &family);
            strata_release(&groups);
        }
        pair_holm(family.p, family.n, family.p); /* over all groups of this pair of models */
        for (int i = 0; i < family.n; i++)
            cells_num(family.cell[i], family.p[i]);
        mem_free(family.p);
        mem_free(family.cell);
    }
    return ok;
}

/* ---- calibration ----------------------------------------------------------------------------- */

static void line_cell(json_t *row, const calibrate_line *c, double value, double se, double robust)
{
    double s = c->repeated ? robust : se;
    cells_est(row, value, value - METRIC_Z95 * s, value + METRIC_Z95 * s);
}

static void calibration_row(json_t *t, const char *name, const metric_in *in)
{
    calibrate_line slope = calibrate_slope(in), shift = calibrate_intercept(in);
    calibrate_total sums = calibrate_sums(in);
    json_t *row = cells_row(t);
    cells_text(row, name);
    line_cell(row, &slope, slope.b, slope.se_b, slope.robust_b);
    line_cell(row, &shift, shift.a, shift.se_a, shift.robust_a);
    cells_est(row, sums.oe, sums.oe_lo, sums.oe_hi);
    cells_num(row, sums.brier);
    cells_num(row, sums.log_loss);
}

/* A recalibrated table of the same model stands here beside the raw one: before and after. */
static void calibration_table(report_build *b)
{
    static const char *const columns[][2] = {{"model", "text"},    {"slope", "est"},
                                             {"intercept", "est"}, {"oe", "est"},
                                             {"brier", "score"},   {"log_loss", "score"}};
    json_t *t = table_of(b, "compare_calibration", columns, COUNT_OF(columns));
    calibration_row(t, report_text("compare.this"), &b->all.in);
    for (int k = 0; k < b->src->n_compare; k++)
        calibration_row(t, b->compare[k].name, &b->compare[k].view.in);
}

/* ---- the part -------------------------------------------------------------------------------- */

static bool add(report_build *b, err *e)
{
    if (!b->src->n_compare || !enough(&b->all))
        return true;
    compare_table(b);
    points_table(b);
    calibration_table(b);
    return subgroups_table(b, e);
}

static void show(report_doc *d, const json_t *tree)
{
    if (!report_tree_by_id(tree, "tables", "compare"))
        return;
    report_doc_section(d, "compare");
    report_doc_text(d, DOC_TEXT, report_text("compare.intro"));
    report_doc_table(d, tree, "compare", false);
    report_doc_table(d, tree, "compare_points", false);
    report_doc_table(d, tree, "compare_subgroups", false);
    report_doc_table(d, tree, "compare_calibration", false);
}

const report_part part_compare = {"compare", add, show};
