/* The summary: the headline AUC and what it means in plain sentences. */
#include "eval/part.h"
#include "eval/cells.h"
#include "eval/report_text.h"
#include <math.h>

#define SUMMARY_SPEC    0.90 /* the operating point that the summary speaks of */
#define SUMMARY_TOP     0.05
#define SUMMARY_REASONS 3 /* for leaving images out */

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

/* Of 100 pairs; what is not quite all of them does not become 100. */
static const char *of_pairs(doc_number *n, double v)
{
    return v < 1 && v > 0.995 ? report_text("sum.pairs_most") : doc_number_show(n, "0", 100 * v);
}

static void sentence_pairs(report_doc *d, const json_t *m)
{
    doc_number a, lo, hi;
    double v = report_tree_num(m, "value");
    if (isnan(v))
        return;
    const char *const pairs[] = {"auc", of_pairs(&a, v),
                                 "lo",  of_pairs(&lo, report_tree_num(m, "lo")),
                                 "hi",  of_pairs(&hi, report_tree_num(m, "hi")),
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

/* Of an enriched set the top share is full of cancers: what it holds is bounded by the number of
 * places. Then the share is one of a population, with the threshold that cuts it off. */
static void sentence_flag_population(report_doc *d, const json_t *tree, double exams, double cases)
{
    const json_t *t = report_tree_by_id(tree, "tables", "capture_population"), *best = NULL, *row;
    const size_t flagged = (size_t)report_tree_column(t, "flagged_pop"),
                 capture = (size_t)report_tree_column(t, "capture_pop"),
                 at = (size_t)report_tree_column(t, "threshold");
    doc_number top, share, threshold, prevalence, ceiling, places;
    size_t i;
    json_array_foreach(json_object_get(t, "rows"), i, row)
    {
        if (json_number_value(json_array_get(row, flagged)) <= SUMMARY_TOP)
            best = row; /* rows rise */
    }
    if (!best)
        return;
    report_doc_fill(
        d, DOC_ITEM, "sum.flag_population",
        (const char *const[]){
            "top",
            doc_number_show(&top, "1", 100 * json_number_value(json_array_get(best, flagged))),
            "threshold",
            doc_number_show(&threshold, "4g", json_number_value(json_array_get(best, at))),
            "capture",
            doc_number_show(&share, "0", 100 * report_tree_num(json_array_get(best, capture), "v")),
            "ceiling",
            doc_number_show(&ceiling, "0",
                            fmin(100, 100 * ceil(SUMMARY_TOP * exams - 1e-9) / cases)),
            "prevalence",
            doc_number_show(&prevalence, "4g",
                            100 *
                                report_tree_num(json_object_get(tree, "population"), "prevalence")),
            "share", doc_number_show(&places, "0", 100 * SUMMARY_TOP), NULL});
}

static void sentence_flag(report_doc *d, const json_t *tree)
{
    const json_t *t = report_tree_by_id(tree, "tables", "capture"),
                 *row = row_named(t, "point.top", SUMMARY_TOP),
                 *m = report_tree_metric(tree, "auc", "all");
    if (json_is_true(json_object_get(json_object_get(tree, "population"), "enriched"))) {
        sentence_flag_population(d, tree, report_tree_num(m, "n_exams"),
                                 report_tree_num(m, "n_events"));
        return;
    }
    double v =
        row ? report_tree_num(json_array_get(row, (size_t)report_tree_column(t, "capture")), "v")
            : NAN;
    doc_number top, share, threshold;
    if (isnan(v))
        return;
    report_doc_fill(d, DOC_ITEM, "sum.flag",
                    (const char *const[]){
                        "top", doc_number_show(&top, "4g", 100 * SUMMARY_TOP), "threshold",
                        doc_number_show(&threshold, "4g",
                                        json_number_value(json_array_get(
                                            row, (size_t)report_tree_column(t, "threshold")))),
                        "capture", doc_number_show(&share, "0", 100 * v), NULL});
}

/* Are cancers that the exam itself found among the evaluated ones? By the books, else by times. */
static void sentence_early(report_doc *d, const json_t *tree)
{
    const json_t *flow = json_object_get(tree, "flow"), *row,
                 *early = json_object_get(report_tree_by_id(tree, "tables", "found"), "early");
    doc_number days, n;
    const char *key = "sum.early_unknown";
    size_t i;
    if (early)
        key = json_is_integer(early) && !json_integer_value(early) ? "sum.early_none"
                                                                   : "sum.early_in";
    json_array_foreach(flow, i, row)
    {
        if (strstr(report_tree_str(row, "reason"), "WITHIN_DETECTION") &&
            strcmp(key, "sum.early_in") != 0)
            key = "sum.early_out";
    }
    if (json_is_integer(early))
        doc_number_count(&n, early);
    else
        snprintf(n.s, sizeof n.s, "%s", report_text("hidden"));
    report_doc_fill(
        d, DOC_ITEM, key,
        (const char *const[]){
            "days",
            doc_number_show(&days, "4g",
                            report_tree_num(json_object_get(tree, "options"), "screen_days")),
            "n", n.s, NULL});
}

/* Women of a thousand: a number, or less than the smallest one that can be said. */
static const char *women_words(text *out, double women, double step)
{
    doc_number n;
    bool whole = step >= 1, few = women < (whole ? 0.5 : 0.05);
    text_init(out);
    if (few)
        report_fill(out, "fewer_than",
                    (const char *const[]){"n", doc_number_show(&n, "0", whole ? step : 1), NULL});
    else
        text_add(out, doc_number_show(&n, whole || women == round(women) ? "0" : "1", women));
    return out->s;
}

/* The lead: what a flag at one threshold would mean for 1,000 women. */
static void sentence_thousand(report_doc *d, const json_t *tree)
{
    const json_t *t = report_tree_by_id(tree, "tables", "thousand"),
                 *rows = json_object_get(t, "rows"), *steps = json_object_get(t, "steps");
    bool val = !strcmp(report_tree_str(json_object_get(tree, "options"), "thresholds"), "val");
    double women[4];
    doc_number spec, prevalence, flagged;
    text hit, no, missed;
    if (json_array_size(rows) != COUNT_OF(women))
        return;
    for (size_t i = 0; i < COUNT_OF(women); i++)
        women[i] = json_number_value(json_array_get(json_array_get(rows, i), 1));
    double step1 = json_number_value(json_array_get(steps, 0)),
           step0 = json_number_value(json_array_get(steps, 1));
    report_doc_fill(d, DOC_TEXT, "sum.thousand",
                    (const char *const[]){
                        "where", report_text(val ? "where.val" : "where.same"), "spec",
                        doc_number_show(&spec, "4g", 100 * SUMMARY_SPEC), "prevalence",
                        doc_number_show(&prevalence, "4g", 100 * report_tree_num(t, "prevalence")),
                        "flagged", doc_number_show(&flagged, "0", women[0] + women[1]), "found",
                        women_words(&hit, women[0], step1), "false",
                        women_words(&no, women[1], step0), "missed",
                        women_words(&missed, women[2], step1), NULL});
    text_release(&hit);
    text_release(&no);
    text_release(&missed);
}

/* Was the row left out, or is it of another split of the same cohort? */
static bool other_split(const json_t *row)
{
    return !strcmp(report_tree_str(row, "reason"), "OTHER_SPLIT");
}

/* The most frequent reasons of this unit, by a count of its rows. */
static void add_reasons(const json_t *flow, const char *unit, const char *count_of, text *out)
{
    json_t *left = json_array(), *row;
    size_t i;
    json_array_foreach(flow, i, row)
    {
        if (json_integer_value(json_object_get(row, count_of)) > 0 && !other_split(row) &&
            !strcmp(report_tree_str(row, "unit"), unit))
            json_array_append(left, row);
    }
    for (int k = 0; k < SUMMARY_REASONS && json_array_size(left); k++) {
        size_t best = 0;
        json_int_t most = -1;
        doc_number n;
        json_array_foreach(left, i, row)
        {
            json_int_t count = json_integer_value(json_object_get(row, count_of));
            if (count > most) {
                most = count;
                best = i;
            }
        }
        row = json_array_get(left, best);
        char key[48];
        text_add(out, k ? ", " : "");
        snprintf(key, sizeof key, "stage.%.32s", report_tree_str(row, "stage"));
        if (json_is_true(json_object_get(row, "joined")))
            report_fill(out, "flow.joined_short",
                        (const char *const[]){"stage",
                                              report_text_find(key) ? report_text(key)
                                                                    : report_tree_str(row, "stage"),
                                              NULL});
        else
            text_add(out, report_tree_str(row, "step"));
        text_addf(out, " (%s)", doc_number_count(&n, json_object_get(row, count_of)));
        json_array_remove(left, best);
    }
    json_decref(left);
}

/* Exams and women, from the archive to those that were scored, where the books tell. */
static void sentence_wholes(report_doc *d, const json_t *tree)
{
    const json_t *flow = json_object_get(tree, "flow"), *first = NULL, *last = NULL, *part = NULL;
    int64_t lost[2] = {0}, others = 0;
    size_t i;
    json_t *row;
    json_array_foreach(flow, i, row)
    {
        const json_t *exams = json_object_get(row, "exams_lost");
        if (!exams)
            continue;
        first = first ? first : row;
        last = row;
        if (other_split(row)) {
            others += json_integer_value(exams);
            continue;
        }
        lost[0] += json_integer_value(exams);
        lost[1] += json_integer_value(json_object_get(row, "women_lost"));
        if (!report_tree_str(row, "reason")[0] && json_object_get(row, "exams_part"))
            part = json_object_get(row, "exams_part"); /* of all reasons together */
    }
    if (!first)
        return;
    doc_number n, w, e, f, o, k, l, p;
    text reasons;
    text_init(&reasons);
    add_reasons(flow, "files", "exams_lost", &reasons);
    report_doc_fill(d, DOC_ITEM,
                    !reasons.len ? "sum.exams_all"
                    : others     ? "sum.exams"
                                 : "sum.exams_one",
                    (const char *const[]){
                        "exams", doc_number_count(&n, json_object_get(first, "exams_in")), "women",
                        doc_number_count(&w, json_object_get(first, "women_in")), "lost",
                        doc_number_show(&e, "0", (double)lost[0]), "gone",
                        doc_number_show(&f, "0", (double)lost[1]), "reasons", reasons.s, "others",
                        doc_number_show(&o, "0", (double)others), "left",
                        doc_number_count(&k, json_object_get(last, "exams_out")), "left_women",
                        doc_number_count(&l, json_object_get(last, "women_out")), NULL});
    if (json_is_integer(part) && json_integer_value(part))
        report_doc_fill(d, DOC_ITEM, "sum.exams_part",
                        (const char *const[]){"n", doc_number_count(&p, part), NULL});
    text_release(&reasons);
}

/* How many were left out in rows that join small reasons; what the flow says of single ones. */
static void sentence_joined(report_doc *d, const json_t *tree)
{
    int64_t n = 0;
    doc_number v;
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(tree, "flow"), i, row)
    {
        if (json_is_true(json_object_get(row, "joined")) &&
            !strcmp(report_tree_str(row, "unit"), "files"))
            n += json_integer_value(json_object_get(row, "excluded"));
    }
    if (n)
        report_doc_fill(d, DOC_ITEM, "sum.joined",
                        (const char *const[]){"n", doc_number_show(&v, "0", (double)n), NULL});
}

/* One sentence for every unit that something was left out of. */
static void sentence_excluded(report_doc *d, const json_t *tree)
{
    static const char *const units[] = {"files", "images", "exams", "women"};
    const json_t *flow = json_object_get(tree, "flow");
    bool any = false;
    for (size_t u = 0; u < COUNT_OF(units); u++) {
        int64_t left = 0, others = 0;
        const json_t *first = NULL;
        size_t i;
        json_t *row;
        json_array_foreach(flow, i, row)
        {
            if (strcmp(report_tree_str(row, "unit"), units[u]))
                continue;
            first = first ? first : row;
            *(other_split(row) ? &others : &left) +=
                json_integer_value(json_object_get(row, "excluded"));
        }
        if (!left && !others)
            continue;
        doc_number n, all, o;
        text reasons, name;
        text_init(&reasons);
        text_init(&name);
        text_addf(&name, "unit.%s", units[u]);
        add_reasons(flow, units[u], "excluded", &reasons);
        report_doc_fill(d, DOC_ITEM, reasons.len ? "sum.excluded" : "sum.excluded_split",
                        (const char *const[]){
                            "excluded", doc_number_show(&n, "0", (double)left), "files",
                            doc_number_count(&all, json_object_get(first, "n_in")), "unit",
                            report_text(name.s), "others", doc_number_show(&o, "0", (double)others),
                            "reasons", reasons.s, NULL});
        text_release(&reasons);
        text_release(&name);
        any = true;
    }
    if (!any && json_array_size(flow))
        report_doc_text(d, DOC_ITEM, report_text("sum.excluded_none"));
}

/* Columns of the table of subgroups, and the row at hand. */
typedef struct group_at {
    const json_t *row;
    int variable, level, exams, cancers, auc;
} group_at;

/* A part of the exams, not all of them under another name, whose AUC has an interval. */
static bool can_be_weak(const group_at *g, const json_t *all)
{
    const json_t *auc = json_array_get(g->row, (size_t)g->auc),
                 *exams = json_array_get(g->row, (size_t)g->exams);
    return json_is_integer(exams) &&
           json_integer_value(exams) < json_integer_value(json_object_get(all, "n_exams")) &&
           !isnan(report_tree_num(auc, "v")) && !isnan(report_tree_num(auc, "lo"));
}

/* The group that the model separates least well, among those with enough exams to tell, and how
 * sure that is. */
static void sentence_weakest(report_doc *d, const json_t *tree)
{
    const json_t *t = report_tree_by_id(tree, "tables", "subgroups"), *worst = NULL,
                 *all = report_tree_metric(tree, "auc", "all");
    group_at g = {NULL,
                  report_tree_column(t, "variable"),
                  report_tree_column(t, "level"),
                  report_tree_column(t, "exams"),
                  report_tree_column(t, "cancers"),
                  report_tree_column(t, "auc")};
    double least = INFINITY, whole = report_tree_num(all, "value");
    int64_t groups = 0, judged = 0;
    size_t i;
    json_t *row;
    if (!t)
        return;
    json_array_foreach(json_object_get(t, "rows"), i, row)
    {
        g.row = row;
        double v = report_tree_num(json_array_get(row, (size_t)g.auc), "v");
        groups++;
        if (!can_be_weak(&g, all))
            continue;
        judged++;
        if (v < least) {
            least = v;
            worst = row;
        }
    }
    if (!worst)
        return;
    const json_t *cell = json_array_get(worst, (size_t)g.auc),
                 *cancers = json_array_get(worst, (size_t)g.cancers);
    doc_number v, lo, hi, n, k, c, w;
    doc_number_show(&n, "0", (double)groups);
    doc_number_show(&k, "0", (double)judged);
    if (json_is_integer(cancers))
        doc_number_count(&c, cancers);
    else
        snprintf(c.s, sizeof c.s, "%s", report_text("hidden"));
    report_doc_fill(d, DOC_ITEM,
                    report_tree_num(cell, "hi") < whole ? "sum.weakest" : "sum.weakest_unsure",
                    (const char *const[]){
                        "variable", json_string_value(json_array_get(worst, (size_t)g.variable)),
                        "level", json_string_value(json_array_get(worst, (size_t)g.level)), "auc",
                        doc_number_auc(&v, cell, "v"), "lo", doc_number_auc(&lo, cell, "lo"), "hi",
                        doc_number_auc(&hi, cell, "hi"), "groups", n.s, "judged", k.s, "cancers",
                        c.s, "all", doc_number_show(&w, "auc", whole), NULL});
}

/* ---- the tree -------------------------------------------------------------------------------- */

/* Numbers of women that do not tell of single exams: the smallest round step that at least the
 * hidden number of exams share. 0: the number may be told as it is. */
static double step_of(const report_build *b, double women, int64_t exams, bool told)
{
    static const double steps[] = {1, 2, 5, 10, 20, 50, 100, 200, 500};
    double least = women * (double)disclose_minimum(b->tell.all) / (double)exams;
    for (size_t i = 0; !told && i < COUNT_OF(steps); i++)
        if (steps[i] >= least)
            return steps[i];
    return told ? 0 : 1000;
}

static double in_steps(double women, double step)
{
    return step > 0 ? step * round(women / step) : women;
}

static void thousand_table(report_build *b, const operate_point *o)
{
    static const char *const keys[] = {"thousand.found", "thousand.false", "thousand.missed",
                                       "thousand.rest"};
    double pi = b->opts->cfg.population, with = 1000 * pi, without = 1000 - with;
    double step1 = step_of(b, with, b->all.events, o->cases_told),
           step0 = step_of(b, without, b->all.n - b->all.events, o->controls_told);
    const bool whole = step1 > 0 || step0 > 0;
    double found = in_steps(o->sens.value * with, step1),
           no = in_steps((1 - o->spec.value) * without, step0);
    double women[] = {found, no, fmax(0, with - found), fmax(0, without - no)};
    json_t *t = cells_table("thousand");
    cells_column(t, "result", "text");
    cells_column(t, "women", whole ? "int" : "num1");
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        json_t *row = cells_row(t);
        cells_text(row, report_text(keys[i]));
        if (whole)
            cells_int(row, llround(women[i]));
        else
            cells_num(row, women[i]);
    }
    json_object_set_new(t, "prevalence", json_num(pi));
    json_object_set_new(
        t, "steps",
        json_pack("[f, f]", whole ? fmax(1, step1) : 0.0, whole ? fmax(1, step0) : 0.0));
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
    sentence_early(d, tree);
    if (json_is_true(json_object_get(tree, "synthetic")))
        report_doc_text(d, DOC_ITEM, report_text("sum.synthetic"));
    sentence_flag(d, tree);
    sentence_weakest(d, tree);
    sentence_wholes(d, tree);
    sentence_excluded(d, tree);
    sentence_joined(d, tree);
    report_doc_text(d, DOC_ITEM, report_text("sum.use"));
    report_doc_figure(d, tree, "roc");
}

const report_part part_summary = {"summary", add, show};
