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
    compare_bootstrap(&b->all, other, n, &b->opts->cfg, b->pool, boot);
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

/* Both thresholds from validation exams, each of its own model: or both from these exams. */
static bool own_thresholds(const report_build *b, const compare_model *m)
{
    return b->src->val && m->has_val;
}

/* What may be told of the exams of a class that two models flag. */
typedef struct flags_told {
    bool here, there, both; /* both: also how many only one of them flags */
} flags_told;

/* Exams of a class by what two models say of them: both flag, only one, none. Order: of the other
 * model's scores. */
static flags_told tell_flags(const report_build *b, const double *other, const double t[2], int y,
                             int order)
{
    int64_t *row[4], n[4] = {0}, flagged[2] = {0};
    disclose_level l[4];
    flags_told f;
    for (int k = 0; k < 4; k++)
        row[k] = MEM_ARRAY(int64_t, b->all.n + 1);
    for (int64_t i = 0; i < b->all.n; i++)
        if ((b->all.y[i] != 0) == y) {
            bool a = b->all.score[i] >= t[0], c = other[i] >= t[1];
            flagged[0] += a;
            flagged[1] += c;
            row[2 * a + c][n[2 * a + c]++] = i;
        }
    for (int k = 0; k < 4; k++)
        l[k] = (disclose_level){.row = row[k], .n = n[k]};
    f.here = y ? report_tell_cases(b, flagged[0]) : report_tell_controls(b, flagged[0]);
    f.there = disclose_cut(b->tell.all, &order, &flagged[1], 1);
    disclose_guard_levels(b->tell.all, l, 4, NULL);
    disclose_tell_levels(b->tell.all, l, 4);
    f.both = f.here && f.there && l[0].exams && l[1].exams && l[2].exams && l[3].exams;
    for (int k = 0; k < 4; k++)
        mem_free(row[k]);
    return f;
}

static void rate_row(json_t *t, const compare_model *m, const char *point, bool fixed,
                     const pair_rate *r, flags_told told)
{
    char key[48];
    json_t *row = cells_row(t);
    cells_text(row, m->name);
    cells_text(row, point);
    cells_text(row, report_text(fixed ? "chosen.val" : "chosen.same"));
    cells_num(row, told.here ? r->a : NAN);
    cells_num(row, told.there ? r->b : NAN);
    cells_rate(row, (double[]){r->diff, r->lo, r->hi}, told.both);
    cells_count(row, r->only_a, told.both);
    cells_count(row, r->only_b, told.both);
    cells_num(row, told.both ? r->p : NAN); /* of the two counts */
    const char *test = !told.both        ? ""
                       : r->ci[0] == 'n' ? pair_mcnemar(r->only_a, r->only_b).method
                                         : r->ci;
    snprintf(key, sizeof key, "test.%s", test[0] ? test : "none");
    cells_text(row, report_text(key));
}

/* cases: sensitivities; else specificities, which are only worth a table where thresholds were
 * fixed before: chosen on these exams they are all but equal. */
static json_t *rates_of(report_build *b, bool cases)
{
    static const char *const columns[][2] = {
        {"model", "text"},    {"point", "text"},     {"chosen", "text"},
        {"sens_this", "pct"}, {"sens_other", "pct"}, {"sens_diff", "est"},
        {"only_this", "int"}, {"only_other", "int"}, {"p", "p"},
        {"test", "text"}};
    static const char *const spec[][2] = {
        {"model", "text"},    {"point", "text"},     {"chosen", "text"},
        {"spec_this", "pct"}, {"spec_other", "pct"}, {"spec_diff", "est"},
        {"only_this", "int"}, {"only_other", "int"}, {"p", "p"},
        {"test", "text"}};
    json_t *t = cells_table(cases ? "compare_points" : "compare_spec");
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, cases ? columns[i][0] : spec[i][0], columns[i][1]);
    for (int k = 0; k < b->src->n_compare; k++) {
        const compare_model *m = &b->compare[k];
        bool fixed = own_thresholds(b, m);
        int order = report_tell_order(b->tell.all, &b->all, m->view.score, cases);
        const metric_in *ours = fixed ? &b->val.in : &b->all.in,
                        *theirs = fixed ? &m->val.in : &m->view.in;
        for (int i = 0; i < b->opts->cfg.spec.n && (cases || fixed); i++) {
            double target = b->opts->cfg.spec.v[i], here = threshold_at(ours, target),
                   there = threshold_at(theirs, target);
            pair_rate r = (cases ? pair_sensitivity : pair_specificity)(&b->all.in, m->view.score,
                                                                        here, there);
            char name[32];
            text point;
            text_init(&point);
            snprintf(name, sizeof name, "%.4g", 100 * target);
            report_fill(&point, "point.spec", (const char *const[]){"target", name, NULL});
            rate_row(t, m, point.s, fixed, &r,
                     tell_flags(b, m->view.score, (double[]){here, there}, cases, order));
            text_release(&point);
        }
    }
    return t;
}

static void points_tables(report_build *b)
{
    report_build_table(b, rates_of(b, true));
    json_t *t = rates_of(b, false);
    if (json_array_size(json_object_get(t, "rows")))
        report_build_table(b, t);
    else
        json_decref(t);
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
    cells_int(row, ours.n);
    cells_int(row, ours.events);
    const double one[] = {d.a, d.b, d.diff};
    for (int k = 0; k < 3; k++) {
        metric_value x = {.value = one[k], .lo = k < 2 ? NAN : d.lo, .hi = k < 2 ? NAN : d.hi};
        report_build_coarse(b, &x, ours.events, ours.n - ours.events, true);
        report_build_auc(row, &x);
    }
    cells_num(row, d.p);
    remember(family, d.p, row);
    cohort_view_release(&ours);
    cohort_view_release(&theirs);
}

static void subgroups_table(report_build *b)
{
    static const char *const columns[][2] = {
        {"model", "text"},  {"variable", "text"}, {"level", "text"},    {"exams", "int"},
        {"cancers", "int"}, {"auc_this", "auc"},  {"auc_other", "auc"}, {"difference", "auc"},
        {"p", "p"},         {"p_holm", "p"}};
    json_t *t = table_of(b, "compare_subgroups", columns, COUNT_OF(columns));
    const report_cfg *c = &b->opts->cfg;
    for (int k = 0; k < b->src->n_compare; k++) {
        group_rows family = {0};
        for (int i = 0; i < c->subgroups.n; i++) {
            const tell_variable *v = report_tell_variable(b, c->subgroups.v[i]);
            for (int g = 0; v && v->shown && v->groups.known && g < v->groups.n; g++)
                group_row(b, t, &b->compare[k], &v->var, &v->groups.g[g], &family);
        }
        pair_holm(family.p, family.n, family.p); /* over all groups of this pair of models */
        for (int i = 0; i < family.n; i++)
            cells_num(family.cell[i], family.p[i]);
        mem_free(family.p);
        mem_free(family.cell);
    }
}

/* ---- calibration ----------------------------------------------------------------------------- */

static void calibration_row(json_t *t, const char *name, const char *form, const metric_in *in)
{
    calibrate_line slope = calibrate_slope(in), shift = calibrate_intercept(in);
    calibrate_total sums = calibrate_sums(in);
    const calibrate_est est[] = {calibrate_slope_est(&slope), calibrate_intercept_est(&shift),
                                 calibrate_oe_est(&sums, shift.repeated)};
    json_t *row = cells_row(t);
    cells_text(row, name);
    cells_text(row, form);
    for (size_t i = 0; i < COUNT_OF(est); i++)
        cells_est(row, est[i].value, est[i].lo, est[i].hi);
    cells_num(row, sums.brier);
    cells_num(row, sums.log_loss);
}

/* Every form of the risks of one model: before and after, each on its own validation exams. */
static void calibration_rows(json_t *t, const char *name, const risks *r)
{
    for (int f = 0; f < RISKS_FORMS; f++) {
        metric_in in;
        if (risks_rows(r, (risks_form)f, &in))
            calibration_row(t, name, risks_words(r, (risks_form)f), &in);
    }
}

static void calibration_table(report_build *b)
{
    static const char *const columns[][2] = {
        {"model", "text"}, {"risks", "text"},  {"slope", "est"},     {"intercept", "est"},
        {"oe", "est"},     {"brier", "score"}, {"log_loss", "score"}};
    json_t *t = table_of(b, "compare_calibration", columns, COUNT_OF(columns));
    calibration_rows(t, report_text("compare.this"), &b->risks);
    for (int k = 0; k < b->src->n_compare; k++)
        calibration_rows(t, b->compare[k].name, &b->compare[k].risks);
}

/* The validation exams of two models need not be the same: then that differs, too. */
static void limit_of_val(report_build *b, const compare_model *m)
{
    const exam_table *x = &b->val_set.exams, *y = &m->val_set.exams;
    bool same = x->n == y->n;
    for (int64_t i = 0; same && i < x->n; i++)
        same = !strcmp(x->row[i].exam, y->row[i].exam) && x->row[i].y == y->row[i].y;
    if (m->has_val && b->src->val && !same)
        report_build_limit(b, "limit.compare_val", (const char *const[]){"model", m->name, NULL});
}

/* ---- the part -------------------------------------------------------------------------------- */

static bool add(report_build *b, err *e)
{
    if (!b->src->n_compare || !enough(&b->all))
        return true;
    compare_table(b);
    points_tables(b);
    calibration_table(b);
    for (int k = 0; k < b->src->n_compare; k++)
        limit_of_val(b, &b->compare[k]);
    subgroups_table(b);
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    if (!report_tree_by_id(tree, "tables", "compare"))
        return;
    report_doc_section(d, "compare");
    report_doc_text(d, DOC_TEXT, report_text("compare.intro"));
    report_doc_table(d, tree, "compare", false);
    report_doc_table(d, tree, "compare_points", false);
    if (report_tree_by_id(tree, "tables", "compare_spec"))
        report_doc_table(d, tree, "compare_spec", false);
    report_doc_table(d, tree, "compare_subgroups", false);
    report_doc_table(d, tree, "compare_calibration", false);
}

const report_part part_compare = {"compare", add, show};
