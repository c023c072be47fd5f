/* The summary: the headline AUC and what it means in plain sentences. */
#include "eval/part.h"
#include "eval/cells.h"
#include "eval/report_text.h"
#include <math.h>

#define SUMMARY_SPEC       0.90 /* the operating point that the summary speaks of */
#define SUMMARY_TOP        0.10
#define SUMMARY_PREVALENCE 0.006

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
    doc_number top, share;
    const json_t *row =
        row_named(report_tree_by_id(tree, "tables", "capture"), "point.top", SUMMARY_TOP);
    double v = row ? report_tree_num(json_array_get(row, 2), "v") : NAN;
    if (isnan(v))
        return;
    report_doc_fill(d, DOC_ITEM, "sum.flag",
                    (const char *const[]){"top", doc_number_show(&top, "4g", 100 * SUMMARY_TOP),
                                          "capture", doc_number_show(&share, "0", 100 * v), NULL});
}

static void sentence_thousand(report_doc *d, const json_t *tree)
{
    const json_t *row =
        row_named(report_tree_by_id(tree, "tables", "operating"), "point.spec", SUMMARY_SPEC);
    if (!row)
        return;
    double se = report_tree_num(json_array_get(row, 2), "v"),
           sp = report_tree_num(json_array_get(row, 3), "v");
    if (isnan(se) || isnan(sp))
        return;
    double found = 1000 * se * SUMMARY_PREVALENCE,
           wrong = 1000 * (1 - sp) * (1 - SUMMARY_PREVALENCE);
    bool val = !strcmp(report_tree_str(json_object_get(tree, "options"), "thresholds"), "val");
    doc_number spec, prevalence, flagged, hit, no, missed;
    report_doc_fill(d, DOC_ITEM, "sum.thousand",
                    (const char *const[]){
                        "where", report_text(val ? "where.val" : "where.same"), "spec",
                        doc_number_show(&spec, "4g", 100 * SUMMARY_SPEC), "prevalence",
                        doc_number_show(&prevalence, "4g", 100 * SUMMARY_PREVALENCE), "flagged",
                        doc_number_show(&flagged, "0", found + wrong), "found",
                        doc_number_show(&hit, "1", found), "false",
                        doc_number_show(&no, "1", wrong), "missed",
                        doc_number_show(&missed, "1", 1000 * SUMMARY_PREVALENCE - found), NULL});
}

static void sentence_excluded(report_doc *d, const json_t *tree)
{
    const json_t *flow = json_object_get(tree, "flow"), *first = json_array_get(flow, 0);
    const char *unit = report_tree_str(first, "unit");
    int64_t left = 0;
    size_t i;
    json_t *row;
    json_array_foreach(flow, i, row) if (!strcmp(report_tree_str(row, "unit"), unit)) left +=
        json_integer_value(json_object_get(row, "excluded"));
    doc_number n, all;
    doc_number_show(&n, "0", (double)left);
    report_doc_fill(d, DOC_ITEM, "sum.excluded",
                    (const char *const[]){"excluded", n.s, "files",
                                          doc_number_count(&all, json_object_get(first, "n_in")),
                                          "unit", unit, NULL});
}

static void show(report_doc *d, const json_t *tree)
{
    const json_t *m = report_tree_metric(tree, "auc", "all");
    doc_number n, p, k;
    report_doc_section(d, "summary");
    headline(d, m);
    sentence_pairs(d, m);
    report_doc_fill(
        d, DOC_ITEM, "sum.size",
        (const char *const[]){"exams", doc_number_count(&n, json_object_get(m, "n_exams")),
                              "patients", doc_number_count(&p, json_object_get(m, "n_patients")),
                              "cases", doc_number_count(&k, json_object_get(m, "n_events")), NULL});
    sentence_flag(d, tree);
    sentence_thousand(d, tree);
    sentence_excluded(d, tree);
    report_doc_text(d, DOC_ITEM, report_text("sum.use"));
    report_doc_figure(d, tree, "roc");
}

const report_part part_summary = {"summary", NULL, show};
