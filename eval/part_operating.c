/* Operating points, captured cancers, predictive values at a prevalence. evaluation.md 6, 7. */
#include "eval/part.h"
#include "eval/cells.h"
#include "eval/rate.h"
#include "eval/report_text.h"
#include <math.h>

static void point_name(const operate_point *o, text *out)
{
    static const char *const keys[] = {"point.spec", "point.sens", "point.top"};
    char target[32];
    snprintf(target, sizeof target, "%.4g", 100 * o->target);
    report_fill(out, keys[o->kind], (const char *const[]){"target", target, NULL});
}

static void cell_rate(json_t *row, const operate_rate *r, bool told)
{
    cells_rate(row, (double[]){r->value, r->lo, r->hi}, told);
}

static void operating_table(report_build *b)
{
    static const char *const columns[][2] = {
        {"point", "text"},  {"threshold", "score"}, {"sens", "est"},   {"spec", "est"},
        {"flagged", "pct"}, {"lr_pos", "num1"},     {"lr_neg", "num"}, {"tp", "int"},
        {"fp", "int"},      {"fn", "int"},          {"tn", "int"},     {"ci_method", "text"},
        {"chosen", "text"}};
    json_t *t = cells_table("operating");
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, columns[i][0], columns[i][1]);
    for (int i = 0; i < b->operate.n_points; i++) {
        const operate_point *o = &b->operate.point[i];
        if (o->kind == OPERATE_TOP)
            continue;
        const bool both = o->cases_told && o->controls_told;
        const double se = both ? o->sens.value : NAN;
        char key[32];
        text name;
        text_init(&name);
        point_name(o, &name);
        json_t *row = cells_row(t);
        cells_text(row, name.s);
        cells_num(row, isinf(o->threshold) ? NAN : o->threshold);
        cell_rate(row, &o->sens, o->cases_told);
        cell_rate(row, &o->spec, o->controls_told);
        cells_num(row, both ? o->flagged.value : NAN);
        cells_num(row, rate_lr_positive(se, o->spec.value));
        cells_num(row, rate_lr_negative(se, o->spec.value));
        cells_count(row, o->tp, o->cases_told);
        cells_count(row, o->fp, o->controls_told);
        cells_count(row, o->fn, o->cases_told);
        cells_count(row, o->tn, o->controls_told);
        snprintf(key, sizeof key, "ci.%s", o->ci[0] ? o->ci : "none");
        cells_text(row, report_text(key));
        cells_text(row, report_text(o->fixed ? "chosen.val" : "chosen.same"));
        text_release(&name);
    }
    report_build_table(b, t);
}

/* What a threshold does in a population of eval.population. */
typedef struct at_population {
    double threshold, flagged, capture, lo, hi; /* NaN: no such threshold may be told */
} at_population;

/* The lowest threshold that flags at most the share q of the population, of those whose counts may
 * be told. */
static at_population population_at(const report_build *b, const curve *c, double q)
{
    const double pi = b->opts->cfg.population;
    at_population a = {NAN, NAN, NAN, NAN, NAN};
    for (int64_t i = c->n - 1; i > 0; i--) {
        double share = pi * c->p[i].tpr + (1 - pi) * c->p[i].fpr;
        int64_t n[2] = {0};
        if (share > q)
            continue;
        for (int64_t k = 0; k < b->all.n; k++)
            n[b->all.y[k] != 0] += b->all.score[k] >= c->p[i].threshold;
        if (!report_tell_both(b, n[1], n[0]))
            continue;
        a = (at_population){c->p[i].threshold, share, c->p[i].tpr, NAN, NAN};
        if (!b->set.repeated && !b->set.weighted)
            metric_wilson((double)n[1], (double)b->all.events, &a.lo, &a.hi);
        break;
    }
    return a;
}

/* The highest scores of these exams, as they are mixed here. */
static void capture_table(report_build *b)
{
    json_t *t = cells_table("capture");
    cells_column(t, "point", "text");
    cells_column(t, "threshold", "score");
    cells_column(t, "capture", "est");
    cells_column(t, "capture_min", "num2");
    cells_column(t, "capture_max", "num2");
    cells_column(t, "ci_method", "text");
    for (int i = 0; i < b->operate.n_points; i++) {
        const operate_point *o = &b->operate.point[i];
        if (o->kind != OPERATE_TOP)
            continue;
        char key[32];
        text name;
        text_init(&name);
        point_name(o, &name);
        json_t *row = cells_row(t);
        cells_text(row, name.s);
        cells_num(row, o->threshold);
        cell_rate(row, &o->sens, o->cases_told);
        cells_num(row, o->cases_told ? o->capture_min : NAN);
        cells_num(row, o->cases_told ? o->capture_max : NAN);
        snprintf(key, sizeof key, "ci.%s", o->ci[0] ? o->ci : "none");
        cells_text(row, report_text(key));
        text_release(&name);
    }
    report_build_table(b, t);
}

/* The prevalence, and which shares have no cut of their own. */
static void population_note(const report_build *b, json_t *t, const char *same)
{
    char prevalence[32];
    text note;
    snprintf(prevalence, sizeof prevalence, "%.4g", 100 * b->opts->cfg.population);
    text_init(&note);
    report_fill(&note, "note.capture_population",
                (const char *const[]){"prevalence", prevalence, NULL});
    if (same[0]) {
        text_add(&note, " ");
        report_fill(&note, "capture.same", (const char *const[]){"points", same, NULL});
    }
    json_object_set_new(t, "note", cells_string(note.s));
    text_release(&note);
}

/* The highest scores in a population, each row with the threshold that cuts them off. */
static void population_table(report_build *b)
{
    curve c = {0};
    bool known = curve_build(&b->all.in, &c);
    double cut = 0; /* the largest share of the rows so far */
    text same;
    text_init(&same);
    json_t *t = cells_table("capture_population");
    cells_column(t, "point", "text");
    cells_column(t, "threshold", "score");
    cells_column(t, "flagged_pop", "pct");
    cells_column(t, "capture_pop", "est");
    for (int i = 0; known && i < b->operate.n_points; i++) {
        const operate_point *o = &b->operate.point[i];
        if (o->kind != OPERATE_TOP)
            continue;
        at_population a = population_at(b, &c, o->target);
        char target[32];
        snprintf(target, sizeof target, "%.4g", 100 * o->target);
        if (!(a.flagged > cut)) { /* none, or that of the row above */
            text_addf(&same, "%s%s %%", same.len ? ", " : "", target);
            continue;
        }
        cut = a.flagged;
        text name;
        text_init(&name);
        report_fill(&name, "point.top_population", (const char *const[]){"target", target, NULL});
        json_t *row = cells_row(t);
        cells_text(row, name.s);
        cells_num(row, a.threshold);
        cells_num(row, a.flagged);
        cells_est(row, a.capture, a.lo, a.hi);
        text_release(&name);
    }
    curve_release(&c);
    population_note(b, t, same.s);
    text_release(&same);
    report_build_table(b, t);
}

static void predictive_row(json_t *t, const operate_point *o, double pi)
{
    double se = o->sens.value, sp = o->spec.value, ppv = metric_ppv(se, sp, pi);
    text name;
    text_init(&name);
    point_name(o, &name);
    json_t *row = cells_row(t);
    cells_text(row, name.s);
    cells_num(row, pi);
    cells_num(row, 1000 * (se * pi + (1 - sp) * (1 - pi)));
    cells_num(row, 1000 * se * pi);
    cells_num(row, 1000 * (1 - se) * pi);
    cells_num(row, ppv);
    cells_num(row, metric_npv(se, sp, pi));
    cells_num(row, rate_nns(ppv));
    text_release(&name);
}

static void predictive_table(report_build *b)
{
    static const char *const columns[][2] = {
        {"point", "text"},      {"prevalence", "pct"}, {"per1000", "num1"}, {"found1000", "num1"},
        {"missed1000", "num1"}, {"ppv", "pct"},        {"npv", "pct4"},     {"nns", "num1"}};
    json_t *t = cells_table("predictive");
    if (b->risks.pop.enriched)
        json_object_set_new(t, "note", json_string(report_text("predictive.enriched")));
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, columns[i][0], columns[i][1]);
    for (int i = 0; i < b->operate.n_points; i++) {
        const operate_point *o = &b->operate.point[i];
        if (!o->cases_told || !o->controls_told)
            continue;
        for (int k = 0; o->kind == OPERATE_SPEC && k < b->opts->cfg.prevalence.n; k++)
            predictive_row(t, o, b->opts->cfg.prevalence.v[k]);
        if (o->kind == OPERATE_SPEC && !b->risks.pop.enriched) /* the set is a population */
            predictive_row(t, o, b->risks.pop.share);
    }
    report_build_table(b, t);
}

/* ---- whom thresholds come from --------------------------------------------------------------- */

/* Exams of a group and their share of a set. */
static void mix_cells(json_t *row, int64_t n, int64_t total, bool told)
{
    cells_count(row, n, told);
    cells_num(row, told && total ? (double)n / (double)total : NAN);
}

/* Vendors and sites of the exams that thresholds were chosen on, beside those of the evaluated
 * ones: a threshold does not travel between machines. */
static void mix_table(report_build *b)
{
    static const char *const names[] = {"vendor", "site"};
    if (!b->src->val)
        return;
    json_t *t = cells_table("threshold_mix");
    cells_column(t, "variable", "text");
    cells_column(t, "level", "text");
    cells_column(t, "mix_there", "int");
    cells_column(t, "mix_there_share", "pct");
    cells_column(t, "mix_here", "int");
    cells_column(t, "mix_here_share", "pct");
    report_build_table(b, t);
    json_t *single = json_array();
    json_object_set_new(t, "single", single);
    for (size_t k = 0; k < COUNT_OF(names); k++) {
        const tell_variable *v = report_tell_variable(b, names[k]);
        if (!v->shown)
            json_array_append_new(single, cells_string(strata_title(&v->var)));
        for (int i = 0; v->shown && i < tell_variable_groups(v); i++) {
            json_t *row = cells_row(t);
            cells_text(row, strata_title(&v->var));
            cells_text(row, v->val.g[i].level);
            mix_cells(row, v->val.g[i].own, b->val_set.exams.n, v->val_told);
            mix_cells(row, i < v->groups.n ? v->groups.g[i].own : 0, b->set.exams.n, true);
        }
    }
}

static bool add(report_build *b, err *e)
{
    operating_table(b);
    mix_table(b);
    capture_table(b);
    population_table(b);
    predictive_table(b);
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    report_doc_section(d, "operating");
    report_doc_table(d, tree, "operating", false);
    if (report_tree_by_id(tree, "tables", "threshold_mix"))
        report_doc_table(d, tree, "threshold_mix", false);
    report_doc_names(d, tree, "threshold_mix", "single", "small.single");
    report_doc_table(d, tree, "capture", false);
    report_doc_table(d, tree, "capture_population", false);
    report_doc_table(d, tree, "predictive", false);
}

const report_part part_operating = {"operating", add, show};
