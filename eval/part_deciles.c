/* Observed and expected cancers in groups of rising risk. evaluation.md 10. */
#include "eval/part.h"
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/decile.h"
#include "eval/report_text.h"
#include <math.h>

#define POPULATION_EXAMS 10000

static void cell_value(json_t *row, const rate_value *v)
{
    cells_est(row, v->value, v->lo, v->hi);
}

/* "3", or "1 to 3" where groups of equal count are shown together. */
static void cell_group(json_t *row, const tell_bands *bands, int i)
{
    text name;
    text_init(&name);
    report_tell_band_name(bands, i, &name);
    if (bands->first[i] == bands->last[i])
        cells_int(row, bands->first[i]);
    else
        cells_text(row, name.s);
    text_release(&name);
}

/* With weights, observed and expected are both of a population, per 10,000 of its exams; what was
 * counted stands before them. */
static void add_counts(const decile_table *t, const tell_bands *bands, json_t *table, bool weighted)
{
    double total = 0;
    for (int i = 0; i < t->k; i++)
        total += t->row[i].group.weight;
    const double scale = weighted ? POPULATION_EXAMS / total : 1;
    for (int i = 0; i < t->k; i++) {
        const decile_row *r = &t->row[i];
        json_t *row = cells_row(table);
        cell_group(row, bands, i);
        cells_int(row, r->group.n);
        cells_int(row, r->group.events);
        if (weighted)
            cells_num(row, scale * r->observed);
        cells_num(row, scale * r->expected);
        cell_value(row, &r->oe);
        cells_est(row, r->group.mean_p, NAN, NAN);
        cells_est(row, r->group.rate, r->group.lo, r->group.hi);
    }
}

static void add_ratios(const decile_table *t, const tell_bands *bands, json_t *table)
{
    for (int i = 0; i < t->k; i++) {
        const decile_row *r = &t->row[i];
        json_t *row = cells_row(table);
        cell_group(row, bands, i);
        cells_est(row, r->group.least, NAN, NAN);
        cells_est(row, r->group.most, NAN, NAN);
        cells_num(row, r->share);
        cell_value(row, &r->versus_middle);
        cell_value(row, &r->versus_lowest);
        cells_text(row, r->group.tie_split ? report_text("tie_split") : "");
    }
}

/* x: the middle of the groups that are shown together; width: their number. */
static void add_curves(report_build *b, const decile_table *t, const tell_bands *bands)
{
    json_t *seen = report_build_curve(b, "deciles"),
           *expected = report_build_curve(b, "deciles_expected");
    json_object_set_new(seen, "width", json_array());
    for (int i = 0; i < t->k; i++) {
        const calibrate_group *g = &t->row[i].group;
        double x = 0.5 * (bands->first[i] + bands->last[i]);
        report_build_point(seen, "x", x);
        report_build_point(seen, "y", g->rate);
        report_build_point(seen, "lo", g->lo);
        report_build_point(seen, "hi", g->hi);
        report_build_point(seen, "width", bands->last[i] - bands->first[i] + 1);
        report_build_point(expected, "x", x);
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
    static const char *const plain[][2] = {
        {"group", "int"}, {"exams", "int"},   {"cancers", "int"}, {"expected_n", "num1"},
        {"oe", "est"},    {"mean_p", "risk"}, {"rate", "risk"}};
    static const char *const mixed[][2] = {
        {"group", "int"},         {"exams", "int"}, {"cancers", "int"}, {"observed_pop", "num1"},
        {"expected_pop", "num1"}, {"oe", "est"},    {"mean_p", "risk"}, {"rate", "risk"}};
    static const char *const ratios[][2] = {
        {"group", "int"},     {"least", "risk"},    {"most", "risk"},  {"share", "pct"},
        {"rr_middle", "est"}, {"rr_lowest", "est"}, {"remark", "text"}};
    metric_in in;
    risks_form form = risks_of_population(&b->risks);
    if (!risks_rows(&b->risks, form, &in))
        return true;
    const tell_bands *bands = &b->tell.deciles;
    decile_table *t = MEM_NEW(decile_table);
    const bool weighted = in.weight != NULL;
    json_t *table = weighted ? table_of(b, "deciles", mixed, COUNT_OF(mixed))
                             : table_of(b, "deciles", plain, COUNT_OF(plain));
    if (bands->n > 1 || bands->asked == 1)
        decile_build(&in, bands->of, bands->n, t);
    else
        json_object_set_new(table, "single", json_pack("[s]", report_text("section.deciles")));
    if (t->k) {
        add_counts(t, bands, table, weighted);
        add_ratios(t, bands, table_of(b, "decile_ratios", ratios, COUNT_OF(ratios)));
        add_curves(b, t, bands);
        json_object_set_new(table, "risks", json_string(risks_words(&b->risks, form)));
        json_object_set_new(table, "joined", json_boolean(bands->n < bands->asked));
        json_t *flags = json_array();
        if (t->tie_split)
            json_array_append_new(flags, json_string("TIE_SPLIT"));
        json_object_set_new(table, "flags", flags);
        json_object_set_new(table, "trend_z", json_num(t->trend.z));
        json_object_set_new(table, "trend_p", json_num(t->trend.p));
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
    if (json_is_true(json_object_get(pop, "enriched")) && report_tree_str(t, "risks")[0])
        report_doc_fill(
            d, DOC_NOTE, "deciles.enriched",
            (const char *const[]){
                "prevalence",
                doc_number_show(&prevalence, "4g", 100 * report_tree_num(pop, "prevalence")),
                "risks", report_tree_str(t, "risks"), NULL});
    report_doc_names(d, tree, "deciles", "single", "small.single");
    report_doc_figure(d, tree, "deciles");
    report_doc_joined(d, tree, t);
    report_doc_table(d, tree, "deciles", false);
    report_doc_table(d, tree, "decile_ratios", true);
    if (!isnan(report_tree_num(t, "trend_z")))
        report_doc_fill(d, DOC_NOTE, "deciles.trend",
                        (const char *const[]){
                            "z", doc_number_show(&z, "4g", report_tree_num(t, "trend_z")), "p",
                            doc_number_show(&p, "p", report_tree_num(t, "trend_p")), NULL});
}

const report_part part_deciles = {"deciles", add, show};
