/* The summary: the headline AUC and what it means in plain sentences. */
#include "eval/part.h"
#include "eval/cells.h"
#include "eval/report_text.h"
#include <math.h>

#define SUMMARY_SPEC       0.90 /* the operating point that the summary speaks of */
#define SUMMARY_TOP        0.05
#define SUMMARY_PREVALENCE 0.006
#define SUMMARY_REASONS    3 /* for leaving images out */

static void headline(report_doc *d, const json_t *m)
{
    doc_number a, lo, hi, n, p, k;
    const char *reason = report_tree_str(m, "reason"), *ci = report_tree_str(m, "ci");
    char key[64];
    text t;
    text_init(&t);
    json_t *h = json_object();
    bool known = !isnan(report_tree_num(m, "value"));
    json_object_set_new(h, "value",
                        json_string(known ? doc_number_show(&a, "auc", report_tree_num(m, "value"))
                                          : "\xE2\x80\x93"));
    json_object_set_new(h, "caption", json_string(report_text("headline.caption")));
    if (!isnan(report_tree_num(m, "lo"))) {
        report_fill(
            &t, "headline.interval",
            (const char *const[]){"lo", doc_number_show(&lo, "auc", report_tree_num(m, "lo")), "hi",
                                  doc_number_show(&hi, "auc", report_tree_num(m, "hi")), NULL});
    } else {
        snprintf(key, sizeof key, "reason.%s", reason[0] ? reason : "none");
        report_fill(&t, known ? "headline.no_interval" : "headline.undefined",
                    (const char *const[]){"reason", report_text(key), NULL});
    }
    json_object_set_new(h, "interval", cells_string(t.s));
    text_clear(&t);
    snprintf(key, sizeof key, "ci.%s", ci[0] ? ci : "none");
    report_fill(
        &t, "headline.method",
        (const char *const[]){"method", report_text(key), "exams",
                              doc_number_count(&n, json_object_get(m, "n_exams")), "patients",
                              doc_number_count(&p, json_object_get(m, "n_patients")), "cases",
                              doc_number_count(&k, json_object_get(m, "n_events")), NULL});
    json_object_set_new(h, "method", cells_string(t.s));
    text_release(&t);
    report_doc_data(d, DOC_HEADLINE, h);
}

static void sentence_pairs(report_doc *d, const json_t *m)
{
    doc_number a, lo, hi;
    double v = report_tree_num(m, "value");
    if (isnan(v))
        return;
    const char *const pairs[] = {"auc", doc_number_show(&a, "0", 100 * v),
                                 "lo",  doc_number_show(&lo, "0", 100 * report_tree_num(m, "lo")),
                                 "hi",  doc_number_show(&hi, "0", 100 * report_tree_num(m, "hi")),
                                 NULL};
    bool interval = !isnan(report_tree_num(m, "lo"));
    report_doc_fill(d, DOC_ITEM, interval ? "sum.pairs" : "sum.pairs_bare", pairs);
    if (interval && report_tree_num(m, "lo") <= 0.5 && report_tree_num(m, "hi") >= 0.5)
        report_doc_text(d, DOC_ITEM, report_text("sum.chance"));
}

/* Row whose operating point has this name; NULL when absent. */
static const json_t *row_named(const json_t *table, const char *key, double target)
{
    doc_number n;
    text name;
    size_t i;
    json_t *row;
    const json_t *found = NULL;
    text_init(&name);
    report_fill(&name, key,
                (const char *const[]){"target", doc_number_show(&n, "4g", 100 * target), NULL});
    json_array_foreach(json_object_get(table, "rows"), i, row)
    {
        const char *v = json_string_value(json_array_get(row, 0));
        if (!found && v && !strcmp(v, name.s))
            found = row;
    }
    text_release(&name);
    return found;
}

static void sentence_flag(report_doc *d, const json_t *tree)
{
    doc_number top, share, threshold;
    const json_t *row =
        row_named(report_tree_by_id(tree, "tables", "capture"), "point.top", SUMMARY_TOP);
    double v = row ? report_tree_num(json_array_get(row, 2), "v") : NAN;
    if (isnan(v))
        return;
    doc_number_show(&threshold, "4g", json_number_value(json_array_get(row, 1)));
    report_doc_fill(d, DOC_ITEM, "sum.flag",
                    (const char *const[]){"top", doc_number_show(&top, "4g", 100 * SUMMARY_TOP),
                                          "threshold", threshold.s, "capture",
                                          doc_number_show(&share, "0", 100 * v), NULL});
}

/* The lead: what a flag at one threshold would mean for 1,000 women. */
static void sentence_thousand(report_doc *d, const json_t *tree)
{
    const json_t *t = report_tree_by_id(tree, "tables", "thousand"),
                 *rows = json_object_get(t, "rows");
    bool val = !strcmp(report_tree_str(json_object_get(tree, "options"), "thresholds"), "val");
    double women[4];
    bool whole = true;
    doc_number spec, prevalence, flagged, hit, no, missed;
    if (json_array_size(rows) != COUNT_OF(women))
        return;
    for (size_t i = 0; i < COUNT_OF(women); i++) {
        women[i] = json_number_value(json_array_get(json_array_get(rows, i), 1));
        whole = whole && women[i] == round(women[i]);
    }
    report_doc_fill(
        d, DOC_TEXT, "sum.thousand",
        (const char *const[]){"where", report_text(val ? "where.val" : "where.same"), "spec",
                              doc_number_show(&spec, "4g", 100 * SUMMARY_SPEC), "prevalence",
                              doc_number_show(&prevalence, "4g", 100 * SUMMARY_PREVALENCE),
                              "flagged", doc_number_show(&flagged, "0", women[0] + women[1]),
                              "found", doc_number_show(&hit, whole ? "0" : "1", women[0]), "false",
                              doc_number_show(&no, whole ? "0" : "1", women[1]), "missed",
                              doc_number_show(&missed, whole ? "0" : "1", women[2]), NULL});
}

/* The most frequent reasons among all rows of the books. */
static void add_reasons(const json_t *flow, text *out)
{
    json_t *left = json_array(), *row;
    size_t i;
    json_array_foreach(flow, i, row)
    {
        if (json_integer_value(json_object_get(row, "excluded")) > 0)
            json_array_append(left, row);
    }
    for (int k = 0; k < SUMMARY_REASONS && json_array_size(left); k++) {
        size_t best = 0;
        json_int_t most = -1;
        json_array_foreach(left, i, row)
        {
            json_int_t n = json_integer_value(json_object_get(row, "excluded"));
            if (n > most) {
                most = n;
                best = i;
            }
        }
        text_addf(out, "%s%s (%lld)", k ? ", " : "",
                  report_tree_str(json_array_get(left, best), "step"), (long long)most);
        json_array_remove(left, best);
    }
    json_decref(left);
}

static void sentence_excluded(report_doc *d, const json_t *tree)
{
    const json_t *flow = json_object_get(tree, "flow"), *first = json_array_get(flow, 0);
    const char *unit = report_tree_str(first, "unit");
    int64_t left = 0;
    size_t i;
    json_t *row;
    text reasons;
    json_array_foreach(flow, i, row)
    {
        if (!strcmp(report_tree_str(row, "unit"), unit))
            left += json_integer_value(json_object_get(row, "excluded"));
    }
    text_init(&reasons);
    add_reasons(flow, &reasons);
    doc_number n, all;
    doc_number_show(&n, "0", (double)left);
    report_doc_fill(d, DOC_ITEM, reasons.len ? "sum.excluded" : "sum.excluded_none",
                    (const char *const[]){"excluded", n.s, "files",
                                          doc_number_count(&all, json_object_get(first, "n_in")),
                                          "unit", unit, "reasons", reasons.s, NULL});
    text_release(&reasons);
}

/* The group that the model separates least well, among those with enough exams to tell. */
static void sentence_weakest(report_doc *d, const json_t *tree)
{
    const json_t *t = report_tree_by_id(tree, "tables", "subgroups"), *worst = NULL;
    int variable = report_tree_column(t, "variable"), level = report_tree_column(t, "level"),
        auc = report_tree_column(t, "auc"), remark = report_tree_column(t, "remark");
    double least = INFINITY;
    int64_t groups = 0, small = 0;
    size_t i;
    json_t *row;
    if (variable < 0 || level < 0 || auc < 0 || remark < 0)
        return;
    json_array_foreach(json_object_get(t, "rows"), i, row)
    {
        const char *why = json_string_value(json_array_get(row, (size_t)remark));
        const json_t *cell = json_array_get(row, (size_t)auc);
        double v = report_tree_num(cell, "v");
        groups++;
        if ((why && why[0]) || isnan(v) || isnan(report_tree_num(cell, "lo"))) {
            small++;
        } else if (v < least) {
            least = v;
            worst = row;
        }
    }
    if (!worst)
        return;
    const json_t *cell = json_array_get(worst, (size_t)auc);
    doc_number v, lo, hi, n, k;
    doc_number_show(&n, "0", (double)groups);
    doc_number_show(&k, "0", (double)small);
    report_doc_fill(d, DOC_ITEM, "sum.weakest",
                    (const char *const[]){
                        "variable", json_string_value(json_array_get(worst, (size_t)variable)),
                        "level", json_string_value(json_array_get(worst, (size_t)level)), "auc",
                        doc_number_show(&v, "auc", least), "lo",
                        doc_number_show(&lo, "auc", report_tree_num(cell, "lo")), "hi",
                        doc_number_show(&hi, "auc", report_tree_num(cell, "hi")), "groups", n.s,
                        "small", k.s, NULL});
}

/* ---- the tree -------------------------------------------------------------------------------- */

static void women_row(json_t *t, const char *key, double women)
{
    json_t *row = cells_row(t);
    cells_text(row, report_text(key));
    cells_num(row, women);
}

static void thousand_table(report_build *b, const operate_point *o)
{
    double pi = SUMMARY_PREVALENCE, se = o->sens.value, sp = o->spec.value;
    json_t *t = cells_table("thousand");
    cells_column(t, "result", "text");
    cells_column(t, "women", "num1");
    const double women[] = {1000 * se * pi, 1000 * (1 - sp) * (1 - pi), 1000 * (1 - se) * pi,
                            1000 * sp * (1 - pi)};
    /* whole women do not tell of single exams */
    const bool whole = !o->cases_told || !o->controls_told;
    static const char *const keys[] = {"thousand.found", "thousand.false", "thousand.missed",
                                       "thousand.rest"};
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        women_row(t, keys[i], whole ? round(women[i]) : women[i]);
    report_build_table(b, t);
}

/* STARD's cross table of the index test and the reference standard. */
static void crosstab(report_build *b, const operate_point *o)
{
    json_t *t = cells_table("crosstab");
    char threshold[32];
    text note;
    cells_column(t, "result", "text");
    cells_column(t, "exams", "int");
    cells_column(t, "cancers", "int");
    cells_column(t, "controls", "int");
    for (int flagged = 1; flagged >= 0; flagged--) {
        json_t *row = cells_row(t);
        int64_t y1 = flagged ? o->tp : o->fn, y0 = flagged ? o->fp : o->tn;
        cells_text(row, report_text(flagged ? "crosstab.flagged" : "crosstab.not_flagged"));
        cells_count(row, y1 + y0, o->cases_told && o->controls_told);
        cells_count(row, y1, o->cases_told);
        cells_count(row, y0, o->controls_told);
    }
    snprintf(threshold, sizeof threshold, "%.4g", o->threshold);
    text_init(&note);
    report_fill(&note, "note.crosstab",
                (const char *const[]){"threshold", threshold, "chosen",
                                      report_text(o->fixed ? "chosen.val" : "chosen.same"), NULL});
    json_object_set_new(t, "note", json_string(note.s));
    text_release(&note);
    report_build_table(b, t);
}

static bool add(report_build *b, err *e)
{
    for (int i = 0; i < b->operate.n_points; i++) {
        const operate_point *o = &b->operate.point[i];
        if (o->kind != OPERATE_SPEC || fabs(o->target - SUMMARY_SPEC) > 1e-9 ||
            b->all.events < METRIC_FEW || b->all.n - b->all.events < METRIC_FEW)
            continue;
        thousand_table(b, o);
        if (!isinf(o->threshold))
            crosstab(b, o);
    }
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    const json_t *m = report_tree_metric(tree, "auc", "all");
    doc_number n, p, k;
    report_doc_section(d, "summary");
    sentence_thousand(d, tree);
    report_doc_figure(d, tree, "thousand");
    report_doc_table(d, tree, "thousand", true);
    headline(d, m);
    sentence_pairs(d, m);
    report_doc_fill(
        d, DOC_ITEM, "sum.size",
        (const char *const[]){"exams", doc_number_count(&n, json_object_get(m, "n_exams")),
                              "patients", doc_number_count(&p, json_object_get(m, "n_patients")),
                              "cases", doc_number_count(&k, json_object_get(m, "n_events")), NULL});
    sentence_flag(d, tree);
    sentence_weakest(d, tree);
    sentence_excluded(d, tree);
    report_doc_text(d, DOC_ITEM, report_text("sum.use"));
    report_doc_figure(d, tree, "roc");
}

const report_part part_summary = {"summary", add, show};
