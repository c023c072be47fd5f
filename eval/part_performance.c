/* How well the scores separate: AUC and its intervals, the metric table, ROC and precision-recall
 * points, distribution of scores. evaluation.md 2-5. */
#include "eval/part.h"
#include "core/mem.h"
#include "eval/boot.h"
#include "eval/cells.h"
#include "eval/report_text.h"
#include <math.h>

#define CURVE_MAX 250 /* points of a curve in eval.json */
#define HIST_BINS 24

static void add_metrics(report_build *b)
{
    const cohort_view *v = &b->all;
    metric_value a = metric_auc(&v->in), shown = metric_auc_report(&v->in);
    report_metric m = {.id = "auc",
                       .unit = "exam",
                       .subset = "all",
                       .horizon = json_object_get(b->model, "horizon_years"),
                       .value = shown.value,
                       .lo = shown.lo,
                       .hi = shown.hi,
                       .ci = shown.ci,
                       .reason = shown.reason,
                       .flag = shown.flag,
                       .n_exams = v->n,
                       .n_patients = v->n_patients,
                       .n_events = v->events};
    report_build_metric(b, &m);
    bool counts_only = isnan(shown.value);
    const char *boot = boot_name((boot_kind)b->opts->cfg.boot_kind);
    const struct {
        const char *id, *ci;
        double lo, hi;
    } other[] = {
        {"auc_wald", a.ci, a.lo, a.hi},
        {"auc_logit", a.ci, a.logit_lo, a.logit_hi},
        {"auc_bootstrap", b->operate.replicates ? boot : "", b->operate.metric[0].lo,
         b->operate.metric[0].hi},
    };
    for (size_t i = 0; i < COUNT_OF(other); i++) {
        m.id = other[i].id;
        m.ci = other[i].ci;
        m.lo = counts_only ? NAN : other[i].lo;
        m.hi = counts_only ? NAN : other[i].hi;
        report_build_metric(b, &m);
    }
    for (int k = 1; k < metric_table_n; k++) {
        const operate_rate *r = &b->operate.metric[k];
        m.id = metric_table[k].id;
        m.value = counts_only ? NAN : r->value;
        m.lo = counts_only ? NAN : r->lo;
        m.hi = counts_only ? NAN : r->hi;
        m.ci = isnan(m.lo) ? "" : boot;
        report_build_metric(b, &m);
    }
}

/* Exams with (y) and without cancer at or above every point of a curve: at[y][point]. */
static void flagged_at(const report_build *b, const curve *c, int64_t *at[2])
{
    for (int y = 0; y < 2; y++)
        at[y] = MEM_ARRAY(int64_t, c->n + 1);
    for (int64_t i = 0; i < b->all.n; i++) {
        int64_t lo = 0, hi = c->n - 1; /* the first point that flags the exam */
        while (lo < hi) {
            int64_t middle = (lo + hi) / 2;
            if (c->p[middle].threshold <= b->all.score[i])
                hi = middle;
            else
                lo = middle + 1;
        }
        at[b->all.y[i] != 0][lo]++;
    }
    for (int64_t i = 1; i < c->n; i++)
        for (int y = 0; y < 2; y++)
            at[y][i] += at[y][i - 1];
}

/* The height of the line through the told points at a false-positive rate. */
static double height_at(const json_t *roc, double fpr)
{
    const json_t *x = json_object_get(roc, "x"), *y = json_object_get(roc, "y");
    double x0 = 0, y0 = 0;
    for (size_t i = 0; i < json_array_size(x); i++) {
        double x1 = json_number_value(json_array_get(x, i)),
               y1 = json_number_value(json_array_get(y, i));
        if (x1 > fpr)
            return y0 + (y1 - y0) * (fpr - x0) / (x1 - x0);
        x0 = x1;
        y0 = y1;
    }
    return y0;
}

static double cents(const report_build *b, double v)
{
    return disclose_minimum(b->tell.all) > 1 ? round(100 * v) / 100 : v;
}

/* The ROC and precision-recall points that may be told, thinned when there are very many. Between
 * them the band would tell of single exams as the curve would: it follows the line through them,
 * which it holds even where the line runs below the band of the curve, and its ends are whole per
 * cents. */
static void add_curves(report_build *b)
{
    curve c = {0};
    json_t *roc = report_build_curve(b, "roc"), *band = report_build_curve(b, "roc_band"),
           *pr = report_build_curve(b, "pr"), *threshold = json_array();
    if (b->all.events >= METRIC_FEW && b->all.n - b->all.events >= METRIC_FEW &&
        curve_build(&b->all.in, &c)) {
        int64_t every = c.n > CURVE_MAX ? c.n / CURVE_MAX + 1 : 1, *at[2];
        bool band_told = disclose_minimum(b->tell.all) > 1;
        flagged_at(b, &c, at);
        for (int64_t i = 0; i < c.n; i++) {
            const curve_point *p = &c.p[i];
            if ((i % every && i != c.n - 1) || !report_tell_both(b, at[1][i], at[0][i]))
                continue;
            report_build_point(roc, "x", p->fpr);
            report_build_point(roc, "y", p->tpr);
            json_array_append_new(threshold, json_num(p->threshold));
            if (i == 0)
                continue;
            report_build_point(pr, "x", p->tpr);
            report_build_point(pr, "y", p->flagged1 / (p->flagged1 + p->flagged0));
        }
        for (int g = 0; b->operate.band && g < OPERATE_GRID; g++) {
            double fpr = operate_fpr(g), y = band_told ? height_at(roc, fpr) : b->operate.tpr[g];
            report_build_point(band, "x", fpr);
            report_build_point(band, "y", y);
            report_build_point(band, "lo", fmin(y, cents(b, b->operate.tpr_lo[g])));
            report_build_point(band, "hi", cents(b, b->operate.tpr_hi[g]));
        }
        mem_free(at[0]);
        mem_free(at[1]);
    }
    json_object_set_new(roc, "threshold", threshold);
    curve_release(&c);
}

static void add_histogram(report_build *b)
{
    double lo = INFINITY, hi = -INFINITY;
    int64_t bin[2][HIST_BINS] = {{0}};
    for (int64_t i = 0; i < b->all.n; i++) {
        lo = fmin(lo, b->all.score[i]);
        hi = fmax(hi, b->all.score[i]);
    }
    if (!(hi > lo)) {
        lo = lo - 0.01;
        hi = lo + 0.02;
    }
    for (int64_t i = 0; i < b->all.n; i++) {
        int k = (int)((b->all.score[i] - lo) / (hi - lo) * HIST_BINS);
        bin[b->all.y[i] != 0][k < 0 ? 0 : k >= HIST_BINS ? HIST_BINS - 1 : k]++;
    }
    for (int y = 0; y < 2; y++)
        report_build_histogram(b, y ? "hist_case" : "hist_control", (double[]){lo, hi}, bin[y],
                               HIST_BINS, y == 1);
}

static void metrics_table(report_build *b)
{
    json_t *t = cells_table("metrics");
    size_t i;
    json_t *m;
    cells_column(t, "metric", "text");
    cells_column(t, "value", "auc");
    cells_column(t, "method", "text");
    json_array_foreach(json_object_get(b->tree, "metrics"), i, m)
    {
        char key[64];
        const char *ci = json_string_value(json_object_get(m, "ci"));
        const char *reason = json_string_value(json_object_get(m, "reason"));
        snprintf(key, sizeof key, "metric.%s", json_string_value(json_object_get(m, "id")));
        json_t *row = cells_row(t), *est = json_object();
        cells_text(row, report_text(key));
        json_object_set(est, "v", json_object_get(m, "value"));
        json_object_set(est, "lo", json_object_get(m, "lo"));
        json_object_set(est, "hi", json_object_get(m, "hi"));
        json_array_append_new(row, est);
        const char *word = reason ? reason : ci;
        snprintf(key, sizeof key, "%s.%s", reason ? "reason" : "ci", word ? word : "none");
        cells_text(row, report_text(key));
    }
    report_build_table(b, t);
}

static void show(report_doc *d, const json_t *tree)
{
    const json_t *boot = json_object_get(tree, "bootstrap");
    bool bca =
        !strcmp(report_tree_str(json_object_get(tree, "options"), "bootstrap_interval"), "bca");
    doc_number r, again, seed;
    report_doc_section(d, "performance");
    report_doc_figure(d, tree, "scores");
    report_doc_table(d, tree, "metrics", false);
    if (json_integer_value(json_object_get(boot, "replicates")) > 0)
        report_doc_fill(
            d, DOC_NOTE, "bootstrap.note",
            (const char *const[]){
                "replicates", doc_number_count(&r, json_object_get(boot, "replicates")), "redrawn",
                doc_number_count(&again, json_object_get(boot, "redrawn")), "seed",
                doc_number_count(&seed, json_object_get(json_object_get(tree, "run"), "seed")),
                "kind", report_text(bca ? "bootstrap.bca" : "bootstrap.percentile"), NULL});
    else
        report_doc_text(d, DOC_NOTE, report_text("bootstrap.none"));
}

static void add_bootstrap(report_build *b)
{
    json_t *boot = json_object();
    json_object_set_new(boot, "replicates", json_integer(b->operate.replicates));
    json_object_set_new(boot, "redrawn", json_integer(b->operate.redrawn));
    json_object_set_new(boot, "failed", json_integer(b->operate.failed));
    json_object_set_new(boot, "auc_sd", json_num(b->operate.metric_sd[0]));
    json_object_set_new(b->tree, "bootstrap", boot);
}

static bool add(report_build *b, err *e)
{
    add_metrics(b);
    add_curves(b);
    add_histogram(b);
    add_bootstrap(b);
    metrics_table(b);
    return true;
}

const report_part part_performance = {"performance", add, show};
