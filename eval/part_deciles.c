/* Observed and expected cancers in groups of rising risk. evaluation.md 10. */
#include "eval/part.h"
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/decile.h"
#include "eval/report_text.h"
#include <math.h>

static void cell_value(json_t *row, const rate_value *v, bool told)
{
    cells_rate(row, (double[]){v->value, v->lo, v->hi}, told);
}

/* What may be told of the groups; a ratio only when both of its groups may. */
typedef struct veil {
    bool told[DECILE_MAX], lowest, middle, all;
} veil;

static void veil_of(const report_build *b, const decile_table *t, veil *v)
{
    report_build_groups(b, t->row, t->k, sizeof *t->row, v->told);
    v->lowest = v->told[0];
    v->middle = v->told[(t->k - 1) / 2] && v->told[t->k / 2];
    v->all = true;
    for (int i = 0; i < t->k; i++)
        v->all = v->all && v->told[i];
}

static void add_counts(const decile_table *t, const veil *v, json_t *table)
{
    for (int i = 0; i < t->k; i++) {
        const decile_row *r = &t->row[i];
        bool told = v->told[i];
        json_t *row = cells_row(table);
        cells_int(row, i + 1);
        cells_int(row, r->group.n);
        cells_count(row, r->group.events, told);
        cells_num(row, told ? r->expected : NAN); /* with the mean it would tell the weights */
        cell_value(row, &r->oe, told);
        cells_est(row, r->group.mean_p, NAN, NAN);
        cells_rate(row, (double[]){r->group.rate, r->group.lo, r->group.hi}, told);
    }
}

static void add_ratios(const decile_table *t, const veil *v, json_t *table)
{
    for (int i = 0; i < t->k; i++) {
        const decile_row *r = &t->row[i];
        json_t *row = cells_row(table);
        cells_int(row, i + 1);
        cells_est(row, r->group.least, NAN, NAN);
        cells_est(row, r->group.most, NAN, NAN);
        cells_num(row, v->told[i] ? r->share : NAN);
        cell_value(row, &r->versus_middle, v->told[i] && v->middle);
        cell_value(row, &r->versus_lowest, v->told[i] && v->lowest);
        cells_text(row, r->group.tie_split ? report_text("tie_split") : "");
    }
}

static void add_curves(report_build *b, const decile_table *t, const veil *v)
{
    json_t *seen = report_build_curve(b, "deciles"),
           *expected = report_build_curve(b, "deciles_expected");
    for (int i = 0; i < t->k; i++) {
        const calibrate_group *g = &t->row[i].group;
        report_build_point(seen, "x", i + 1);
        report_build_point(seen, "y", v->told[i] ? g->rate : NAN);
        report_build_point(seen, "lo", v->told[i] ? g->lo : NAN);
        report_build_point(seen, "hi", v->told[i] ? g->hi : NAN);
        report_build_point(expected, "x", i + 1);
        report_build_point(expected, "y", g->mean_p);
    }
}

static json_t *table_of(report_build *b, const char *id, const char *const columns[][2], size_t n)
{
    json_t *t = cells_table(id);
    for (size_t i = 0; i < n; i++)
        cells_column(t, columns[i][0], columns[i][1]);
    report_build_table(b, t);
    return t;
}

static bool add(report_build *b, err *e)
{
    static const char *const counts[][2] = {
        {"group", "int"}, {"exams", "int"},   {"cancers", "int"}, {"expected_n", "num1"},
        {"oe", "est"},    {"mean_p", "risk"}, {"rate", "risk"}};
    static const char *const ratios[][2] = {
        {"group", "int"},     {"least", "risk"},    {"most", "risk"},  {"share", "pct"},
        {"rr_middle", "est"}, {"rr_lowest", "est"}, {"remark", "text"}};
    metric_in in;
    risks_form form = risks_of_population(&b->risks);
    if (!risks_rows(&b->risks, form, &in))
        return true;
    decile_table *t = MEM_NEW(decile_table);
    veil v = {0};
    decile_build(&in, (int)b->opts->cfg.risk_groups, t);
    if (t->k) {
        json_t *table = table_of(b, "deciles", counts, COUNT_OF(counts));
        veil_of(b, t, &v);
        add_counts(t, &v, table);
        add_ratios(t, &v, table_of(b, "decile_ratios", ratios, COUNT_OF(ratios)));
        add_curves(b, t, &v);
        json_object_set_new(table, "risks", json_string(risks_words(&b->risks, form)));
        json_t *flags = json_array();
        if (t->tie_split)
            json_array_append_new(flags, json_string("TIE_SPLIT"));
        json_object_set_new(table, "flags", flags);
        /* a sum over all groups: what is hidden of them would follow */
        json_object_set_new(table, "trend_z", json_num(v.all ? t->trend.z : NAN));
        json_object_set_new(table, "trend_p", json_num(v.all ? t->trend.p : NAN));
    }
    mem_free(t);
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    const json_t *t = report_tree_by_id(tree, "tables", "deciles"),
                 *pop = json_object_get(tree, "population");
    doc_number z, p, prevalence;
    if (!t)
        return;
    report_doc_section(d, "deciles");
    if (json_is_true(json_object_get(pop, "enriched")))
        report_doc_fill(
            d, DOC_NOTE, "deciles.enriched",
            (const char *const[]){
                "prevalence",
                doc_number_show(&prevalence, "4g", 100 * report_tree_num(pop, "prevalence")),
                "risks", report_tree_str(t, "risks"), NULL});
    report_doc_figure(d, tree, "deciles");
    report_doc_hidden(d, tree, "deciles");
    report_doc_table(d, tree, "deciles", false);
    report_doc_table(d, tree, "decile_ratios", true);
    if (!isnan(report_tree_num(t, "trend_z")))
        report_doc_fill(d, DOC_NOTE, "deciles.trend",
                        (const char *const[]){
                            "z", doc_number_show(&z, "4g", report_tree_num(t, "trend_z")), "p",
                            doc_number_show(&p, "p", report_tree_num(t, "trend_p")), NULL});
}

const report_part part_deciles = {"deciles", add, show};
