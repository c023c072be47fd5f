/* What acting on a threshold risk would be worth. evaluation.md 9. */
#include "eval/part.h"
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/decision.h"
#include "eval/report_text.h"
#include <math.h>

#define GRID 61 /* points of a curve */

/* Flagged exams could be counted from the number itself. */
static bool hidden(const report_build *b, const decision_point *p)
{
    return !report_tell_both(b, p->tp, p->fp);
}

/* An enriched set is computed at its population's prevalence; its interval takes that as known.
 * Weights that are equal inside a class cancel then. */
static bool rows_of(const report_build *b, risks_form f, metric_in *in, double *prevalence)
{
    if (!risks_rows(&b->risks, f, in))
        return false;
    *prevalence = b->risks.pop.enriched ? b->risks.pop.prevalence : NAN;
    return true;
}

static void add_rows(report_build *b, risks_form f, json_t *t)
{
    const cfg_reals *want = &b->opts->cfg.decision;
    metric_in in;
    double prevalence;
    if (!rows_of(b, f, &in, &prevalence))
        return;
    decision_point *p = MEM_ARRAY(decision_point, want->n + 1);
    decision_curve(&in, prevalence, want->v, want->n, p);
    for (int i = 0; i < want->n; i++) {
        bool hide = hidden(b, &p[i]);
        json_t *row = cells_row(t);
        cells_text(row, risks_words(&b->risks, f));
        cells_num(row, p[i].pt);
        cells_num(row, hide ? NAN : p[i].flagged);
        cells_est(row, hide ? NAN : 1000 * p[i].nb, hide ? NAN : 1000 * p[i].lo,
                  hide ? NAN : 1000 * p[i].hi);
        cells_est(row, 1000 * p[i].nb_all, NAN, NAN);
        cells_num(row, hide ? NAN : p[i].nb_std);
        cells_num(row, hide ? NAN : p[i].avoided);
        cells_est(row, hide ? NAN : p[i].sens, NAN, NAN);
        cells_est(row, hide ? NAN : p[i].spec, NAN, NAN);
        cells_text(row, hide ? report_text("decision.few") : "");
    }
    mem_free(p);
}

/* Between the lowest and the highest threshold of the table. */
static void add_curve(report_build *b, risks_form f)
{
    const cfg_reals *want = &b->opts->cfg.decision;
    double lo = want->v[0], hi = lo, pt[GRID], prevalence;
    decision_point p[GRID];
    metric_in in;
    char id[64];
    if (!rows_of(b, f, &in, &prevalence))
        return;
    for (int i = 1; i < want->n; i++) {
        lo = fmin(lo, want->v[i]);
        hi = fmax(hi, want->v[i]);
    }
    for (int i = 0; i < GRID; i++)
        pt[i] = lo + (hi - lo) * i / (GRID - 1);
    decision_curve(&in, prevalence, pt, GRID, p);
    snprintf(id, sizeof id, f == RISKS_GIVEN ? "decision" : "decision_%s", risks_name(f));
    json_t *c = report_build_curve(b, id), *all = NULL;
    if (f == RISKS_GIVEN)
        all = report_build_curve(b, "decision_all");
    for (int i = 0; i < GRID; i++) {
        if (!hidden(b, &p[i])) { /* the line goes through what may be told */
            report_build_point(c, "x", pt[i]);
            report_build_point(c, "y", p[i].nb);
            report_build_point(c, "lo", p[i].lo);
            report_build_point(c, "hi", p[i].hi);
        }
        if (all) {
            report_build_point(all, "x", pt[i]);
            report_build_point(all, "y", p[i].nb_all);
        }
    }
}

static bool add(report_build *b, err *e)
{
    static const char *const columns[][2] = {
        {"risks", "text"}, {"pt", "pct"},     {"flagged", "pct"},  {"nb", "est"},
        {"nb_all", "est"}, {"nb_std", "num"}, {"avoided", "num1"}, {"sens", "est"},
        {"spec", "est"},   {"remark", "text"}};
    if (b->opts->cfg.decision.n < 1 || b->risks.reason)
        return true;
    json_t *t = cells_table("decision");
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, columns[i][0], columns[i][1]);
    for (int f = 0; f < RISKS_FORMS; f++) {
        add_rows(b, (risks_form)f, t);
        add_curve(b, (risks_form)f);
    }
    report_build_table(b, t);
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    const json_t *p = json_object_get(tree, "population");
    doc_number prevalence;
    if (!report_tree_by_id(tree, "tables", "decision"))
        return;
    report_doc_section(d, "decision");
    report_doc_fill(d, DOC_TEXT, "decision.intro",
                    (const char *const[]){
                        "prevalence",
                        doc_number_show(&prevalence, "4g", 100 * report_tree_num(p, "prevalence")),
                        NULL});
    report_doc_figure(d, tree, "decision");
    report_doc_table(d, tree, "decision", false);
}

const report_part part_decision = {"decision", add, show};
