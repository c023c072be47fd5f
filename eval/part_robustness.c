/* What missing patches and views change (evaluation.md 14): AUC, scores, order and decisions by the
 * share of patches that stays, and how far it can fall. From PRED/robustness.csv. */
#include "eval/part.h"
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/member.h"
#include "eval/report_text.h"
#include "eval/robust.h"
#include <math.h>
#include <stdlib.h>

#define FULL "none"

/* The evaluated exams that were studied. */
typedef struct study {
    report_build *b;
    const robust_in *in;
    const exam_row **exam; /* [in->n_exams], NULL: not evaluated */
    int full;              /* the condition with all patches */
    double threshold;      /* NaN: none for these scores */
    double *score, *whole;
    int *y; /* [in->n_exams] of the exams at hand */
} study;

/* One mask at one share: over its draws. */
typedef struct level {
    const char *mask;
    double keep, auc, auc_sd, auc_full, change, spearman, crossed, tokens, ms;
    int64_t n;
    int draws;
    const char *reason;
} level;

static int by_exam(const void *key, const void *row)
{
    return strcmp(key, ((const exam_row *)row)->exam);
}

static void find_exams(study *s)
{
    const exam_table *t = &s->b->set.exams;
    for (int64_t i = 0; i < s->in->n_exams; i++)
        s->exam[i] =
            t->n ? bsearch(s->in->exam[i], t->row, (size_t)t->n, sizeof *t->row, by_exam) : NULL;
}

static const double *scores_of(const study *s, int condition)
{
    return s->in->score + (size_t)condition * (size_t)s->in->n_exams;
}

/* The exams that have this condition, with their scores under it and with all patches. */
static int64_t take(study *s, int condition)
{
    const double *masked = scores_of(s, condition), *full = scores_of(s, s->full);
    int64_t n = 0;
    for (int64_t i = 0; i < s->in->n_exams; i++) {
        if (!s->exam[i] || isnan(masked[i]) || isnan(full[i]))
            continue;
        s->score[n] = exam_round(masked[i]);
        s->whole[n] = exam_round(full[i]);
        s->y[n++] = s->exam[i]->y;
    }
    return n;
}

static double auc_of(const study *s, const double *score, int64_t n, const char **reason)
{
    metric_value v = metric_auc_report(&(metric_in){.score = score, .y = s->y, .n = n});
    *reason = isnan(v.value) ? v.reason : NULL;
    return v.value;
}

static bool same_level(const robust_condition *a, const robust_condition *b)
{
    return !strcmp(a->mask, b->mask) && (a->keep == b->keep || (isnan(a->keep) && isnan(b->keep)));
}

/* All draws of the level that condition `first` is of. */
static level level_of(study *s, int first)
{
    const robust_condition *c = s->in->condition;
    double *auc = MEM_ARRAY(double, s->in->n_conditions), tokens = 0, ms = 0, rows = 0;
    level l = {.mask = c[first].mask, .keep = c[first].keep};
    robust_change sum = {0, 0, 0};
    for (int k = first; k < s->in->n_conditions; k++) {
        if (!same_level(&c[k], &c[first]))
            continue;
        int64_t n = take(s, k);
        robust_change d = robust_compare(s->whole, s->score, n, s->threshold);
        const char *ignored;
        l.n = n > l.n ? n : l.n;
        l.auc_full = auc_of(s, s->whole, n, &ignored);
        auc[l.draws++] = auc_of(s, s->score, n, &l.reason);
        sum.mean += d.mean;
        sum.spearman += d.spearman;
        sum.crossed += d.crossed;
        tokens += c[k].tokens;
        ms += c[k].ms;
        rows += (double)c[k].n;
    }
    member_spread spread = member_summary(auc, l.draws);
    l.auc = spread.mean;
    l.auc_sd = spread.sd;
    l.change = sum.mean / l.draws;
    l.spearman = sum.spearman / l.draws;
    l.crossed = sum.crossed / l.draws;
    l.tokens = tokens / rows;
    l.ms = ms / rows;
    mem_free(auc);
    return l;
}

/* ---- tables and curves ----------------------------------------------------------------------- */

static const char *mask_words(const char *mask)
{
    char key[48];
    snprintf(key, sizeof key, "mask.%.32s", mask);
    return report_text_find(key) ? report_text_find(key) : mask;
}

/* What may be told of the exams of all levels, or of none: beside a level that nobody crosses at,
 * or that all exams have, another one would tell of few. */
typedef struct told_of {
    bool crossed, exams;
} told_of;

static void may_tell(const study *s, const level *l, bool full, told_of *told)
{
    const int64_t minimum = disclose_minimum(s->b->tell.all);
    /* over several draws the share is a mean: the next whole number of exams */
    int64_t crossed = isnan(l->crossed) ? 0 : (int64_t)ceil(l->crossed * (double)l->n - 1e-9);
    if (!full && minimum > 1 && (crossed < minimum || l->n - crossed < minimum))
        told->crossed = false;
    if (disclose_few(minimum, l->n) || disclose_few(minimum, s->b->all.n - l->n))
        told->exams = false;
}

static void add_row(const study *s, json_t *t, const level *l, told_of told)
{
    json_t *row = cells_row(t);
    cells_text(row, mask_words(l->mask));
    cells_num(row, l->keep);
    cells_num(row, l->auc);
    cells_num(row, l->auc_sd);
    cells_num(row, l->auc_full);
    cells_num(row, l->change);
    cells_num(row, l->spearman);
    cells_num(row, told.crossed ? l->crossed : NAN);
    cells_int(row, llround(l->tokens));
    cells_num(row, l->ms);
    cells_int(row, l->draws);
    cells_count(row, l->n, told.exams);
    char key[48];
    snprintf(key, sizeof key, "reason.%.32s", l->reason ? l->reason : "");
    cells_text(row, l->reason ? report_text(key) : "");
}

typedef struct curve_points {
    double keep[CFG_LIST_MAX + 1], auc[CFG_LIST_MAX + 1], sd[CFG_LIST_MAX + 1];
    int n;
} curve_points;

static void add_curve(const study *s, const char *mask, curve_points *p, json_t *summary)
{
    char id[48];
    snprintf(id, sizeof id, "robust_%.32s", mask);
    json_t *c = report_build_curve(s->b, id), *row = cells_row(summary);
    json_object_set_new(c, "sd", json_array()); /* over draws: no interval */
    for (int done = 0; done < p->n; done++) {   /* ascending */
        int at = done;
        for (int k = done; k < p->n; k++)
            at = p->keep[k] < p->keep[at] ? k : at;
        double keep = p->keep[at], auc = p->auc[at], sd = p->sd[at];
        p->keep[at] = p->keep[done];
        p->auc[at] = p->auc[done];
        p->sd[at] = p->sd[done];
        p->keep[done] = keep;
        p->auc[done] = auc;
        p->sd[done] = sd;
        report_build_point(c, "x", keep);
        report_build_point(c, "y", auc);
        report_build_point(c, "sd", sd);
    }
    cells_text(row, mask_words(mask));
    cells_num(row, robust_area(p->keep, p->auc, p->n));
    cells_num(row, robust_knee(p->keep, p->auc, p->n, ROBUST_LOSS));
}

static bool begins(const study *s, int k, bool mask_only)
{
    const robust_condition *c = s->in->condition;
    for (int i = 0; i < k; i++)
        if (mask_only ? !strcmp(c[i].mask, c[k].mask) : same_level(&c[i], &c[k]))
            return false;
    return true;
}

/* One mask: a row for every share, and its curve, which begins with all patches. */
static void add_mask(study *s, int first, const level *full, told_of told, json_t *t,
                     json_t *summary)
{
    const char *mask = s->in->condition[first].mask;
    curve_points p = {.n = 1, .keep = {1}, .auc = {full->auc}, .sd = {NAN}};
    bool view = isnan(s->in->condition[first].keep);
    for (int k = first; k < s->in->n_conditions; k++) {
        if (strcmp(s->in->condition[k].mask, mask) || !begins(s, k, false))
            continue;
        level l = level_of(s, k);
        add_row(s, t, &l, told);
        if (!view && p.n <= CFG_LIST_MAX) {
            p.keep[p.n] = l.keep;
            p.auc[p.n] = l.auc;
            p.sd[p.n++] = l.auc_sd;
        }
    }
    if (!view)
        add_curve(s, mask, &p, summary);
}

static void add_tables(study *s)
{
    static const char *const columns[][2] = {
        {"mask", "text"},    {"keep", "pct"},          {"robust_auc", "num"}, {"robust_sd", "num"},
        {"auc_full", "num"}, {"mean_change", "score"}, {"spearman", "num"},   {"crossed", "pct"},
        {"tokens", "int"},   {"ms", "num1"},           {"draws", "int"},      {"exams", "int"},
        {"remark", "text"}};
    json_t *t = cells_table("robustness"), *summary = cells_table("robust_summary");
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, columns[i][0], columns[i][1]);
    cells_column(summary, "mask", "text");
    cells_column(summary, "area", "num");
    cells_column(summary, "knee", "pct");
    level full = level_of(s, s->full);
    told_of told = {true, true};
    for (int k = 0; k < s->in->n_conditions; k++)
        if (begins(s, k, false)) {
            level l = level_of(s, k);
            may_tell(s, &l, k == s->full, &told);
        }
    add_row(s, t, &full, told);
    for (int k = 0; k < s->in->n_conditions; k++)
        if (k != s->full && begins(s, k, true))
            add_mask(s, k, &full, told, t, summary);
    report_build_table(s->b, summary);
    report_build_table(s->b, t);
}

static bool add(report_build *b, err *e)
{
    const robust_in *in = &b->src->in[0].robust;
    const operate_point *o = report_build_usual_point(b);
    size_t n = (size_t)in->n_exams + 1;
    study s = {.b = b, .in = in, .full = -1, .threshold = NAN};
    for (int k = 0; k < in->n_conditions; k++)
        if (!strcmp(in->condition[k].mask, FULL))
            s.full = k;
    if (in->n_conditions && s.full < 0)
        return err_set(e, ERR_INPUT, "robustness.csv: no row has the mask '" FULL "'");
    if (!in->n_conditions)
        return true;
    /* a threshold of other scores than these means nothing here */
    if (o && b->opts->cfg.rule == EXAM_MEAN_IMAGES && b->src->n_in == 1)
        s.threshold = o->threshold;
    s.exam = MEM_ARRAY(const exam_row *, n);
    s.score = MEM_ARRAY(double, n);
    s.whole = MEM_ARRAY(double, n);
    s.y = MEM_ARRAY(int, n);
    find_exams(&s);
    if (take(&s, s.full))
        add_tables(&s);
    json_object_set_new(b->tree, "robustness",
                        json_pack("{s:o, s:I, s:I, s:s}", "threshold", json_num(s.threshold),
                                  "exams", (json_int_t)take(&s, s.full), "networks",
                                  (json_int_t)b->src->n_in, "sha256", in->sha256));
    mem_free(s.exam);
    mem_free(s.score);
    mem_free(s.whole);
    mem_free(s.y);
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    const json_t *facts = json_object_get(tree, "robustness"),
                 *threshold = json_object_get(facts, "threshold");
    doc_number n, t;
    if (!report_tree_by_id(tree, "tables", "robustness"))
        return;
    report_doc_section(d, "robustness");
    report_doc_fill(d, DOC_TEXT, "robust.says",
                    (const char *const[]){
                        "exams", doc_number_count(&n, json_object_get(facts, "exams")), NULL});
    if (json_integer_value(json_object_get(facts, "networks")) > 1)
        report_doc_text(d, DOC_NOTE, report_text("robust.first"));
    report_doc_figure(d, tree, "robustness");
    report_doc_table(d, tree, "robust_summary", false);
    report_doc_table(d, tree, "robustness", true);
    if (json_is_number(threshold))
        report_doc_fill(
            d, DOC_NOTE, "robust.threshold",
            (const char *const[]){"threshold",
                                  doc_number_show(&t, "4g", json_number_value(threshold)), NULL});
}

const report_part part_robustness = {"robustness", add, show};
