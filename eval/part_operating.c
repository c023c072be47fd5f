/* Operating points, captured cancers, predictive values at a prevalence. evaluation.md 6, 7. */
#include "eval/part.h"
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/rate.h"
#include "eval/report_text.h"
#include "eval/strata.h"
#include <math.h>

static void point_name(const operate_point *o, text *out)
{
    static const char *const keys[] = {"point.spec", "point.sens", "point.top"};
    char target[32];
    snprintf(target, sizeof target, "%.4g", 100 * o->target);
    report_fill(out, keys[o->kind], (const char *const[]){"target", target, NULL});
}

static void cell_rate(json_t *row, const operate_rate *r, bool hide)
{
    cells_est(row, hide ? NAN : r->value, hide ? NAN : r->lo, hide ? NAN : r->hi);
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
        const bool hide1 = operate_hides_cases(o), hide0 = operate_hides_controls(o);
        const double se = hide1 || hide0 ? NAN : o->sens.value;
        char key[32];
        text name;
        text_init(&name);
        point_name(o, &name);
        json_t *row = cells_row(t);
        cells_text(row, name.s);
        cells_num(row, isinf(o->threshold) ? NAN : o->threshold);
        cell_rate(row, &o->sens, hide1);
        cell_rate(row, &o->spec, hide0);
        cells_num(row, hide1 || hide0 ? NAN : o->flagged.value);
        cells_num(row, rate_lr_positive(se, o->spec.value));
        cells_num(row, rate_lr_negative(se, o->spec.value));
        cells_side(row, o->tp, o->fn);
        cells_side(row, o->fp, o->tn);
        cells_side(row, o->fn, o->tp);
        cells_side(row, o->tn, o->fp);
        snprintf(key, sizeof key, "ci.%s", o->ci[0] ? o->ci : "none");
        cells_text(row, report_text(key));
        cells_text(row, report_text(o->fixed ? "chosen.val" : "chosen.same"));
        text_release(&name);
    }
    report_build_table(b, t);
}

static void capture_table(report_build *b)
{
    json_t *t = cells_table("capture");
    cells_column(t, "point", "text");
    cells_column(t, "threshold", "score");
    cells_column(t, "capture", "est");
    cells_column(t, "capture_min", "num");
    cells_column(t, "capture_max", "num");
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
        const bool hide = operate_hides_cases(o);
        cell_rate(row, &o->sens, hide);
        cells_num(row, hide ? NAN : o->capture_min);
        cells_num(row, hide ? NAN : o->capture_max);
        snprintf(key, sizeof key, "ci.%s", o->ci[0] ? o->ci : "none");
        cells_text(row, report_text(key));
        text_release(&name);
    }
    report_build_table(b, t);
}

static void predictive_row(json_t *t, const operate_point *o, double pi)
{
    const bool hide = operate_hides_cases(o) || operate_hides_controls(o);
    double se = hide ? NAN : o->sens.value, sp = o->spec.value, ppv = metric_ppv(se, sp, pi);
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
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, columns[i][0], columns[i][1]);
    for (int i = 0; i < b->operate.n_points; i++) {
        const operate_point *o = &b->operate.point[i];
        for (int k = 0; o->kind == OPERATE_SPEC && k < b->opts->cfg.prevalence.n; k++)
            predictive_row(t, o, b->opts->cfg.prevalence.v[k]);
        if (o->kind == OPERATE_SPEC && !b->risks.pop.enriched) /* the set is a population */
            predictive_row(t, o, b->risks.pop.share);
    }
    report_build_table(b, t);
}

/* ---- whom thresholds come from --------------------------------------------------------------- */

typedef struct mix {
    const strata_group *here, *there; /* NULL: no such exam */
} mix;

static const strata_group *level_of(const strata_groups *g, const char *level)
{
    for (int i = 0; i < g->n; i++)
        if (!strcmp(g->g[i].level, level))
            return &g->g[i];
    return NULL;
}

/* One set's exams of a level and their share: hidden when few, and when the others would tell. */
static void mix_cells(json_t *row, const strata_group *g, int64_t total, bool hide)
{
    int64_t n = g ? g->n : 0;
    hide ? cells_text(row, report_text("hidden")) : cells_int(row, n);
    cells_num(row, hide || !total ? NAN : (double)n / (double)total);
}

static void mix_rows(json_t *t, const char *title, const strata_groups *here,
                     const strata_groups *there, const int64_t total[2])
{
    int cap = here->n + there->n + 1, k = 0;
    mix *m = MEM_ARRAY(mix, cap);
    int64_t *n[2] = {MEM_ARRAY(int64_t, cap), MEM_ARRAY(int64_t, cap)};
    bool *hide[2] = {MEM_ARRAY(bool, cap), MEM_ARRAY(bool, cap)};
    for (int i = 0; i < there->n; i++)
        m[k++] = (mix){level_of(here, there->g[i].level), &there->g[i]};
    for (int i = 0; i < here->n; i++)
        if (!level_of(there, here->g[i].level))
            m[k++] = (mix){&here->g[i], NULL};
    for (int i = 0; i < k; i++) {
        n[0][i] = m[i].there ? m[i].there->n : 0;
        n[1][i] = m[i].here ? m[i].here->n : 0;
    }
    cells_mask(n[0], n[0], k, hide[0]);
    cells_mask(n[1], n[1], k, hide[1]);
    for (int i = 0; i < k; i++) {
        json_t *row = cells_row(t);
        cells_text(row, title);
        cells_text(row, m[i].there ? m[i].there->level : m[i].here->level);
        mix_cells(row, m[i].there, total[0], hide[0][i]);
        mix_cells(row, m[i].here, total[1], hide[1][i]);
    }
    for (int i = 0; i < 2; i++) {
        mem_free(n[i]);
        mem_free(hide[i]);
    }
    mem_free(m);
}

/* Vendors and sites of the exams that thresholds were chosen on, beside those of the evaluated
 * ones: a threshold does not travel between machines. */
static bool mix_table(report_build *b, err *e)
{
    static const char *const names[] = {"vendor", "site"};
    if (!b->src->val)
        return true;
    const exam_table *sets[] = {&b->val_set.exams, &b->set.exams};
    json_t *t = cells_table("threshold_mix");
    cells_column(t, "variable", "text");
    cells_column(t, "level", "text");
    cells_column(t, "mix_there", "int");
    cells_column(t, "mix_there_share", "pct");
    cells_column(t, "mix_here", "int");
    cells_column(t, "mix_here_share", "pct");
    report_build_table(b, t);
    for (size_t k = 0; k < COUNT_OF(names); k++) {
        strata_groups g[2] = {{0}};
        const char *title = NULL;
        for (int i = 0; i < 2; i++) {
            strata_var v;
            const strata_source s = {sets[i], b->opts->cfg.screen_days, b->opts->cfg.interval_days};
            if (!strata_find(names[k], &s, &v, e)) {
                strata_release(&g[0]);
                return false;
            }
            strata_split(&v, sets[i], &g[i]);
            title = strata_title(&v);
        }
        mix_rows(t, title, &g[1], &g[0], (int64_t[]){sets[0]->n, sets[1]->n});
        strata_release(&g[0]);
        strata_release(&g[1]);
    }
    return true;
}

static bool add(report_build *b, err *e)
{
    operating_table(b);
    if (!mix_table(b, e))
        return false;
    capture_table(b);
    predictive_table(b);
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    report_doc_section(d, "operating");
    report_doc_table(d, tree, "operating", false);
    if (report_tree_by_id(tree, "tables", "threshold_mix"))
        report_doc_table(d, tree, "threshold_mix", false);
    report_doc_table(d, tree, "capture", false);
    report_doc_table(d, tree, "predictive", false);
}

const report_part part_operating = {"operating", add, show};
