/* What the model has to beat: chance, age alone, density alone, the release before, the same model
 * with all patches, and the radiologists' decision to recall as a point. evaluation.md 13. */
#include "eval/part.h"
#include "core/mem.h"
#include "core/text.h"
#include "eval/cells.h"
#include "eval/pair.h"
#include "eval/report_text.h"
#include <math.h>

#define POWER 0.80

/* ---- scores made of one column --------------------------------------------------------------- */

static double age_of(const exam_row *x)
{
    return x->age >= 0 ? x->age : NAN;
}

/* A to D (with or without "BI-RADS"), 1 to 4, or per cent. */
static double density_of(const exam_row *x)
{
    const char *s = x->density;
    double v;
    if (text_f64(s, &v))
        return v;
    if (((*s >= 'A' && *s <= 'D') || (*s >= 'a' && *s <= 'd')) && !s[1])
        return (*s & 31);
    return NAN;
}

typedef struct comparator {
    const char *id; /* words "comparator.<id>" */
    double (*score)(const exam_row *x);
} comparator;

static void words(json_t *row, const char *key)
{
    cells_text(row, report_text(key));
}

static void absent_row(json_t *t, const char *id, const char *why)
{
    char key[48];
    json_t *row = cells_row(t);
    snprintf(key, sizeof key, "comparator.%s", id);
    words(row, key);
    for (int i = 1; i < 8; i++)
        json_array_append_new(row, json_null());
    words(row, why);
}

/* Another score on the exams of a view beside the model's own. */
static void pair_row(const report_build *b, json_t *t, const char *name, const cohort_view *v,
                     const double *other, tell_sizes told)
{
    metric_in in = v->in;
    in.score = other;
    metric_value ours = metric_auc_report(&v->in), theirs = metric_auc_report(&in);
    metric_pair d = metric_auc_pair(&v->in, other);
    pair_planning plan = pair_detectable(&d, v->events, v->n - v->events, POWER);
    json_t *row = cells_row(t);
    cells_text(row, name);
    int64_t controls = v->n - v->events;
    report_build_coarse(b, &ours, v->events, controls, told.cancers);
    report_build_coarse(b, &theirs, v->events, controls, told.cancers);
    cells_count(row, v->n, told.exams);
    cells_count(row, v->events, told.cancers);
    report_build_auc(row, &theirs);
    cells_num(row, ours.value);
    bool known = !isnan(ours.value) && !isnan(theirs.value) && told.cancers;
    cells_est(row, known ? d.diff : NAN, known ? d.lo : NAN, known ? d.hi : NAN);
    cells_num(row, known ? d.p : NAN);
    cells_num(row, known ? plan.observed : NAN);
    report_build_remark(row, &theirs);
}

static void column_row(report_build *b, json_t *t, const comparator *c)
{
    const exam_table *x = &b->set.exams;
    int64_t *row = MEM_ARRAY(int64_t, x->n + 1), n = 0;
    double *other = MEM_ARRAY(double, x->n + 1);
    char key[48];
    for (int64_t i = 0; i < x->n; i++) {
        double v = c->score(&x->row[i]);
        if (isnan(v))
            continue;
        other[n] = v;
        row[n++] = i;
    }
    if (n) {
        cohort_view v;
        cohort_view_build(&b->set, row, n, &v);
        snprintf(key, sizeof key, "comparator.%s", c->id);
        pair_row(b, t, report_text(key), &v, other, report_tell_subset(b, row, n));
        cohort_view_release(&v);
    } else {
        absent_row(t, c->id, "comparator.no_column");
    }
    mem_free(row);
    mem_free(other);
}

static void chance_row(report_build *b, json_t *t)
{
    metric_value a = metric_auc_report(&b->all.in);
    json_t *row = cells_row(t);
    words(row, "comparator.chance");
    cells_int(row, b->all.n);
    cells_int(row, b->all.events);
    cells_est(row, 0.5, NAN, NAN);
    cells_num(row, a.value);
    cells_est(row, a.value - 0.5, a.lo - 0.5, a.hi - 0.5);
    double z = (a.value - 0.5) / sqrt(a.var);
    cells_num(row, a.var > 0 ? erfc(fabs(z) / sqrt(2)) : NAN);
    cells_num(row, NAN);
    words(row, "comparator.by_definition");
}

static void model_row(report_build *b, json_t *t, const char *id)
{
    char key[48];
    for (int k = 0; k < b->src->n_compare; k++)
        if (!strcmp(b->compare[k].name, id)) {
            snprintf(key, sizeof key, "comparator.%s", id);
            pair_row(b, t, report_text(key), &b->all, b->compare[k].view.score,
                     (tell_sizes){true, true});
            return;
        }
    snprintf(key, sizeof key, "comparator.not_given_%s", id);
    absent_row(t, id, key);
}

/* ---- readers --------------------------------------------------------------------------------- */

/* A rate over exams with its interval: Wilson's, or over women as clusters. */
static void rate_cell(json_t *row, const cohort_view *v, const int *hit, int y, bool simple,
                      bool told)
{
    double n = 0, k = 0, ss = 0, lo = NAN, hi = NAN;
    int clusters = 0;
    double *sum = MEM_ARRAY(double, 2 * (size_t)v->in.n_clusters + 2);
    for (int64_t i = 0; i < v->n; i++) {
        if (v->y[i] != y)
            continue;
        n += v->weight[i];
        k += hit[i] * v->weight[i];
        sum[2 * v->cluster[i]] += v->weight[i];
        sum[2 * v->cluster[i] + 1] += hit[i] * v->weight[i];
    }
    double p = n > 0 ? k / n : NAN;
    for (int c = 0; c < v->in.n_clusters; c++) {
        double r = sum[2 * c + 1] - p * sum[2 * c];
        ss += r * r;
        clusters += sum[2 * c] > 0;
    }
    if (simple) {
        metric_wilson(k, n, &lo, &hi);
    } else if (clusters > 1 && ss > 0) {
        double se = sqrt(ss * clusters / (clusters - 1)) / n;
        lo = fmax(0, p - METRIC_Z95 * se);
        hi = fmin(1, p + METRIC_Z95 * se);
    }
    cells_rate(row, (double[]){p, lo, hi}, told);
    mem_free(sum);
}

/* May it be told how many of these exams with (without) cancer are flagged? */
static bool flags_told(const report_build *b, const int64_t *rows, int64_t n, const bool *flagged)
{
    int64_t *side[2] = {MEM_ARRAY(int64_t, n + 1), MEM_ARRAY(int64_t, n + 1)}, count[2] = {0};
    for (int64_t i = 0; i < n; i++)
        side[flagged[i]][count[flagged[i]]++] = rows[i];
    disclose_level l[2] = {{.row = side[0], .n = count[0]}, {.row = side[1], .n = count[1]}};
    disclose_guard_levels(b->tell.all, l, 2, NULL);
    disclose_tell_levels(b->tell.all, l, 2);
    mem_free(side[0]);
    mem_free(side[1]);
    return l[0].cancers && l[1].cancers;
}

/* Of all exams a threshold is a cut of their scores, too. */
static bool cut_told(const report_build *b, const cohort_view *v, const bool *flagged)
{
    int64_t at[2] = {0};
    for (int64_t i = 0; i < v->n; i++)
        at[v->y[i] != 0] += flagged[i];
    return v->n < b->all.n || report_tell_both(b, at[1], at[0]);
}

/* The model at the threshold that flags as few women without cancer as the readers do. */
static void readers_rows(report_build *b, json_t *t, const cohort_view *v, const int64_t *rows,
                         const int *recall)
{
    tell_sizes told = report_tell_subset(b, rows, v->n);
    bool *flags = MEM_ARRAY(bool, v->n + 1);
    bool simple = !b->set.repeated && !b->set.weighted;
    int *hit = MEM_ARRAY(int, v->n + 1);
    double n0 = 0, k0 = 0;
    curve c = {0};
    for (int64_t i = 0; i < v->n; i++) {
        n0 += v->y[i] ? 0 : v->weight[i];
        k0 += v->y[i] || recall[i] ? 0 : v->weight[i];
    }
    for (int model = 0; model < 2; model++) {
        double threshold = NAN;
        json_t *row = cells_row(t);
        words(row, model ? "readers.model" : "readers.recall");
        if (model && curve_build(&v->in, &c))
            threshold = c.p[curve_at_spec(&c, k0 / n0)].threshold;
        for (int64_t i = 0; i < v->n; i++) {
            flags[i] = model ? v->score[i] >= threshold : recall[i] != 0;
            hit[i] = v->y[i] ? flags[i] : !flags[i];
        }
        bool both =
            told.cancers && flags_told(b, rows, v->n, flags) && (!model || cut_told(b, v, flags));
        cells_count(row, v->n, told.exams);
        cells_count(row, v->events, told.cancers);
        rate_cell(row, v, hit, 1, simple, both);
        rate_cell(row, v, hit, 0, simple, both);
    }
    mem_free(flags);
    curve_release(&c);
    mem_free(hit);
}

/* Exams whose column `recall` says yes or no. */
static void readers_table(report_build *b)
{
    const exam_table *x = &b->set.exams;
    int at = exam_fact(x, "recall");
    if (at < 0)
        at = exam_fact(x, "recalled");
    if (at < 0)
        return;
    int64_t *rows = MEM_ARRAY(int64_t, x->n + 1), n = 0;
    int *recall = MEM_ARRAY(int, x->n + 1);
    for (int64_t i = 0; i < x->n; i++) {
        bool yes;
        if (!text_bool(x->row[i].fact[at], &yes))
            continue;
        recall[n] = yes;
        rows[n++] = i;
    }
    cohort_view v;
    cohort_view_build(&b->set, rows, n, &v);
    if (v.events >= METRIC_FEW && v.n - v.events >= METRIC_FEW) {
        json_t *t = cells_table("readers");
        cells_column(t, "reader", "text");
        cells_column(t, "exams", "int");
        cells_column(t, "cancers", "int");
        cells_column(t, "sens", "est");
        cells_column(t, "spec", "est");
        readers_rows(b, t, &v, rows, recall);
        report_build_table(b, t);
    }
    cohort_view_release(&v);
    mem_free(rows);
    mem_free(recall);
}

/* ---- the part -------------------------------------------------------------------------------- */

static bool add(report_build *b, err *e)
{
    static const char *const columns[][2] = {
        {"comparator", "text"}, {"exams", "int"},      {"cancers", "int"}, {"auc", "auc"},
        {"auc_this", "num"},    {"difference", "auc"}, {"p", "p"},         {"detectable", "num"},
        {"remark", "text"}};
    static const comparator single[] = {{"age", age_of}, {"density", density_of}};
    json_t *t = cells_table("comparators");
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, columns[i][0], columns[i][1]);
    report_build_table(b, t);
    chance_row(b, t);
    for (size_t i = 0; i < COUNT_OF(single); i++)
        column_row(b, t, &single[i]);
    model_row(b, t, "previous");
    model_row(b, t, "whole");
    readers_table(b);
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    report_doc_section(d, "comparators");
    report_doc_table(d, tree, "comparators", false);
    if (report_tree_by_id(tree, "tables", "readers"))
        report_doc_table(d, tree, "readers", false);
    else
        report_doc_text(d, DOC_NOTE, report_text("readers.none"));
}

const report_part part_comparators = {"comparators", add, show};
