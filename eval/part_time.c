/* Time to diagnosis: AUC by year, concordance, observed and predicted risk, for all cancers and for
 * those that came later than the exam could show. evaluation.md 11. */
#include "eval/part.h"
#include "core/mem.h"
#include "eval/boot.h"
#include "eval/cells.h"
#include "eval/report_text.h"
#include "eval/survive.h"
#include <math.h>

#define LABELS 2 /* all cancers; without the early ones */

/* The followed exams in ascending order of time. */
typedef struct followed {
    cohort_set set;
    double *score, *t, *weight;
    int *event, *cluster;
    survive_in in;
    int64_t events, early; /* early: events that the exam itself found */
    disclose *ledger;      /* of these exams; its orders by time: */
    int found, lost, left; /* events and others, first ones first; all exams, last ones first */
} followed;

typedef struct by_time {
    double t;
    int64_t row;
} by_time;

static int cmp_time(const void *x, const void *y)
{
    const by_time *a = x, *b = y;
    if (a->t != b->t)
        return a->t < b->t ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

static void fill(followed *f)
{
    const exam_table *x = &f->set.exams;
    int columns = x->n_years ? x->n_years : 1;
    by_time *order = MEM_ARRAY(by_time, x->n + 1);
    f->score = MEM_ARRAY(double, columns * x->n + 1);
    f->t = MEM_ARRAY(double, x->n + 1);
    f->weight = MEM_ARRAY(double, x->n + 1);
    f->event = MEM_ARRAY(int, x->n + 1);
    f->cluster = MEM_ARRAY(int, x->n + 1);
    for (int64_t i = 0; i < x->n; i++)
        order[i] = (by_time){x->row[i].t_years, i};
    qsort(order, (size_t)x->n, sizeof *order, cmp_time);
    for (int64_t i = 0; i < x->n; i++) {
        const exam_row *r = &x->row[order[i].row];
        for (int k = 0; k < columns; k++)
            f->score[k * x->n + i] = x->n_years ? r->year[k] : r->score;
        f->t[i] = r->t_years;
        f->weight[i] = r->weight;
        f->event[i] = r->event;
        f->cluster[i] = r->patient_index;
        f->events += r->event;
    }
    mem_free(order);
    f->in = (survive_in){.score = f->score,
                         .n_scores = columns,
                         .t = f->t,
                         .event = f->event,
                         .cluster = f->cluster,
                         .weight = f->set.weighted ? f->weight : NULL,
                         .n = x->n,
                         .n_clusters = x->n_patients,
                         .sorted = true};
}

/* Last ones first; at one time those with cancer are the first to go. */
static int cmp_left(const void *x, const void *y)
{
    return -cmp_time(x, y);
}

/* The ledger of the followed exams, and where time cuts them. */
static void tell(const report_build *b, followed *f)
{
    int64_t *row = MEM_ARRAY(int64_t, f->in.n + 1);
    by_time *left = MEM_ARRAY(by_time, f->in.n + 1);
    f->ledger = disclose_new(f->cluster, f->event, f->in.n, b->opts->cfg.min_count);
    for (int event = 0; event < 2; event++) {
        int64_t n = 0;
        for (int64_t i = 0; i < f->in.n; i++)
            if (f->event[i] == event)
                row[n++] = i;
        *(event ? &f->found : &f->lost) = disclose_order(f->ledger, row, n);
    }
    for (int64_t i = 0; i < f->in.n; i++) /* cancers sort before others of their time */
        left[i] = (by_time){f->t[i], f->event[i] ? i - f->in.n : i};
    qsort(left, (size_t)f->in.n, sizeof *left, cmp_left);
    for (int64_t i = 0; i < f->in.n; i++)
        row[i] = left[i].row < 0 ? left[i].row + f->in.n : left[i].row;
    f->left = disclose_order(f->ledger, row, f->in.n);
    mem_free(row);
    mem_free(left);
}

static bool found_told(const followed *f, int64_t events)
{
    return disclose_cut(f->ledger, &f->found, &events, 1);
}

/* May it be told that of all followed exams so many had cancer until a time, and so many were left
 * after it? The rest was lost before. */
static bool time_told(const followed *f, int64_t events, int64_t left)
{
    return disclose_cut(f->ledger, (int[]){f->found, f->left, f->lost},
                        (int64_t[]){events, left, f->in.n - events - left}, 3);
}

static bool load(const report_build *b, followed *f, err *e)
{
    const scores **s = MEM_ARRAY(const scores *, b->src->n_in);
    for (int i = 0; i < b->src->n_in; i++)
        s[i] = &b->src->in[i].scores;
    bool ok = cohort_set_followed(s, b->src->n_in, report_build_how(b), &f->set, e);
    mem_free(s);
    if (ok) {
        fill(f);
        tell(b, f);
    }
    return ok;
}

static void release(followed *f)
{
    cohort_set_release(&f->set);
    mem_free(f->score);
    mem_free(f->t);
    mem_free(f->weight);
    mem_free(f->event);
    mem_free(f->cluster);
    disclose_free(f->ledger);
}

static survive_in without_early(const report_build *b, const followed *f)
{
    survive_in in = f->in;
    in.drop_early = true;
    in.early = b->opts->cfg.screen_days / SURVIVE_YEAR;
    return in;
}

/* Women with exams in the bins from..to, which are in order of time. */
static int64_t patients_of(const survive_in *in, survive_bin from, survive_bin to,
                           const report_cfg *c, int64_t *exams)
{
    bool *seen = MEM_ARRAY(bool, in->n_clusters + 1);
    int64_t patients = 0;
    *exams = 0;
    for (int64_t i = 0; i < in->n; i++) {
        survive_bin k = survive_bin_of(in->t[i], in->event[i], c->screen_days, c->interval_days);
        if (k < from || k > to)
            continue;
        patients += !seen[in->cluster[i]];
        seen[in->cluster[i]] = true;
        ++*exams;
    }
    mem_free(seen);
    return patients;
}

/* ---- entries of tree.metrics ----------------------------------------------------------------- */

typedef struct entry {
    const char *id;
    bool later; /* without the early cancers */
    double year;
    double value, lo, hi;
    const char *ci, *reason, *flag;
    int64_t exams, cases;
    bool told; /* may these two be told? */
} entry;

static void add_metric(report_build *b, const followed *f, const entry *x)
{
    json_t *year = isnan(x->year) ? NULL : json_num(x->year);
    report_metric m = {.id = x->id,
                       .unit = "exam",
                       .subset = x->later ? "later_cancers" : "followed",
                       .horizon = year,
                       .value = x->value,
                       .lo = x->lo,
                       .hi = x->hi,
                       .ci = x->ci,
                       .reason = x->reason,
                       .flag = x->flag,
                       .n_exams = x->exams,
                       .n_patients = f->set.exams.n_patients,
                       .n_events = x->cases};
    json_t *j = report_build_metric(b, &m);
    if (!x->told) {
        json_object_set_new(j, "n_exams", json_null());
        json_object_set_new(j, "n_events", json_null());
    }
    json_decref(year);
}

/* Without early cancers the second set would be the first again. */
static int labels_of(const followed *f)
{
    return f->early ? LABELS : 1;
}

static const char *label_text(bool later)
{
    return report_text(later ? "time.later" : "time.all");
}

static void year_cell(json_t *row, double h)
{
    char n[32];
    text t;
    text_init(&t);
    snprintf(n, sizeof n, "%.4g", h);
    report_fill(&t, "time.year", (const char *const[]){"year", n, NULL});
    cells_text(row, t.s);
    text_release(&t);
}

/* ---- AUC by year ----------------------------------------------------------------------------- */

/* told: may its numbers be told? */
static metric_value yearly_auc(const followed *f, const survive_in *in, double h, survive_rule rule,
                               bool *told)
{
    survive_rows r;
    survive_rows_build(in, h, rule, &r);
    metric_value v = metric_auc_report(&r.in);
    int64_t early = in->drop_early ? f->early : 0;
    *told = found_told(f, early) && time_told(f, r.cases + early, r.n - r.cases);
    survive_rows_release(&r);
    return v;
}

static void yearly_metric(report_build *b, const followed *f, const survive_in *in, double h,
                          survive_rule rule, const metric_value *v)
{
    add_metric(b, f,
               &(entry){.id = rule == SURVIVE_MIRAI ? "auc_year_mirai" : "auc_year_ipcw",
                        .later = in->drop_early,
                        .year = h,
                        .value = v->value,
                        .lo = v->lo,
                        .hi = v->hi,
                        .ci = v->ci,
                        .reason = v->reason,
                        .flag = v->flag,
                        .exams = v->n,
                        .cases = v->events,
                        .told = true});
}

static void curve_point_of(json_t *c, double h, const metric_value *v)
{
    report_build_point(c, "x", h);
    report_build_point(c, "y", v->value);
    report_build_point(c, "lo", v->lo);
    report_build_point(c, "hi", v->hi);
}

/* One year: a row for each label. False: its numbers may not be told, so that it is no step of time
 * of its own. */
static bool year_rows(report_build *b, const followed *f, json_t *t, double h,
                      json_t *line[LABELS][2])
{
    static const survive_rule rule[2] = {SURVIVE_MIRAI, SURVIVE_IPCW};
    metric_value v[LABELS][2];
    bool told = true, one;
    for (int later = 0; later < labels_of(f); later++)
        for (int r = 0; r < 2; r++) {
            survive_in in = later ? without_early(b, f) : f->in;
            v[later][r] = yearly_auc(f, &in, h, rule[r], &one);
            told = told && one;
        }
    for (int later = 0; told && later < labels_of(f); later++) {
        const metric_value *m = &v[later][0], *u = &v[later][1];
        survive_in in = later ? without_early(b, f) : f->in;
        for (int r = 0; r < 2; r++) {
            yearly_metric(b, f, &in, h, rule[r], &v[later][r]);
            curve_point_of(line[later][r], h, &v[later][r]);
        }
        json_t *row = cells_row(t);
        year_cell(row, h);
        cells_text(row, label_text(later));
        cells_int(row, m->events);
        cells_int(row, m->n - m->events);
        cells_est(row, m->value, m->lo, m->hi);
        cells_int(row, u->n - u->events);
        cells_est(row, u->value, u->lo, u->hi);
        report_build_remark(row, isnan(m->value) ? m : u);
    }
    return told;
}

static void years_table(report_build *b, const followed *f)
{
    static const char *const columns[][2] = {
        {"year", "text"}, {"counted", "text"},      {"cancers", "int"}, {"controls_mirai", "int"},
        {"mirai", "auc"}, {"controls_ipcw", "int"}, {"ipcw", "auc"},    {"remark", "text"}};
    static const char *const curves[LABELS][2] = {{"years_mirai", "years_ipcw"},
                                                  {"years_mirai_later", "years_ipcw_later"}};
    const cfg_reals *years = &b->opts->cfg.years;
    json_t *t = cells_table("years"), *line[LABELS][2] = {{NULL}};
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, columns[i][0], columns[i][1]);
    for (int later = 0; later < labels_of(f); later++)
        for (int r = 0; r < 2; r++)
            line[later][r] = report_build_curve(b, curves[later][r]);
    json_t *left_out = json_array();
    for (int k = 0; k < years->n; k++)
        if (!year_rows(b, f, t, years->v[k], line))
            year_cell(left_out, years->v[k]);
    json_object_set_new(t, "left_out", left_out);
    report_build_table(b, t);
}

/* ---- concordance ----------------------------------------------------------------------------- */

/* One row of the table, held to the sizes that every metric is held to. */
static void concordance_row(report_build *b, const followed *f, json_t *t, survive_c c,
                            const char *id, bool later)
{
    char key[64];
    int64_t controls = c.n - c.events, least = c.events < controls ? c.events : controls;
    if (c.value == c.value && least < METRIC_FEW) {
        c.value = c.lo = c.hi = NAN;
        c.reason = "FEW_EVENTS";
        c.ci = "";
    } else if (!c.flag && least < METRIC_UNSTABLE) {
        c.flag = "UNSTABLE";
    }
    int64_t early = later ? f->early : 0;
    bool told = found_told(f, early) && found_told(f, c.events + early);
    bool whole = told && !strcmp(id, "cindex_harrell") && !f->set.weighted && !isnan(c.value);
    json_t *row = cells_row(t);
    snprintf(key, sizeof key, "metric.%s", id);
    cells_text(row, report_text(key));
    cells_text(row, label_text(later));
    cells_count(row, c.n, told);
    cells_count(row, c.events, told);
    cells_est(row, c.value, c.lo, c.hi);
    const double pairs[] = {c.conc, c.disc, c.tied};
    for (int k = 0; k < 3; k++) {
        if (whole)
            cells_int(row, (int64_t)llround(pairs[k]));
        else
            cells_num(row, NAN);
    }
    snprintf(key, sizeof key, "ci.%s", c.ci[0] ? c.ci : "none");
    cells_text(row, report_text(key));
    report_build_remark(row, &(metric_value){.reason = c.reason, .flag = c.flag});
    add_metric(b, f,
               &(entry){.id = id,
                        .later = later,
                        .year = NAN,
                        .value = c.value,
                        .lo = c.lo,
                        .hi = c.hi,
                        .ci = c.ci,
                        .reason = c.reason,
                        .flag = c.flag,
                        .exams = c.n,
                        .cases = c.events,
                        .told = told});
}

/* Uno's C looks no further than this. */
static double tau_of(const report_cfg *c)
{
    double tau = c->tau;
    for (int k = 0; !(c->tau > 0) && k < c->years.n; k++)
        tau = fmax(tau, c->years.v[k]);
    return tau > 0 ? tau : NAN;
}

static void concordance_table(report_build *b, const followed *f)
{
    static const char *const columns[][2] = {
        {"metric", "text"},     {"counted", "text"},   {"exams", "int"},      {"cancers", "int"},
        {"concordance", "auc"}, {"concordant", "int"}, {"discordant", "int"}, {"tied", "int"},
        {"ci_method", "text"},  {"remark", "text"}};
    json_t *t = cells_table("concordance");
    double tau = tau_of(&b->opts->cfg);
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, columns[i][0], columns[i][1]);
    json_object_set_new(t, "tau", json_num(tau));
    for (int later = 0; later < labels_of(f); later++) {
        survive_in in = later ? without_early(b, f) : f->in;
        concordance_row(b, f, t, survive_uno(&in, tau), "cindex_uno", later);
        concordance_row(b, f, t, survive_harrell(&in), "cindex_harrell", later);
        concordance_row(b, f, t, survive_mirai_compat(&in), "cindex_mirai_compat", later);
    }
    report_build_table(b, t);
}

/* ---- predicted and observed risk ------------------------------------------------------------- */

enum { RISK_OBSERVED, RISK_EXPECTED, RISK_OE, RISK_BRIER, RISKS };

typedef struct risk_work {
    survive_in in;
    const double *year;
    int n;
    double **weight; /* [threads][n rows] */
} risk_work;

static void risk_values(const survive_risk *r, double out[RISKS])
{
    out[RISK_OBSERVED] = r->incidence;
    out[RISK_EXPECTED] = r->expected;
    out[RISK_OE] = r->oe;
    out[RISK_BRIER] = r->brier;
}

static bool risk_statistic(void *ctx, const int32_t *times, double *out, int thread)
{
    const risk_work *w = ctx;
    survive_in in = w->in;
    survive_risk r[SCORES_YEARS];
    double *weight = w->weight[thread];
    for (int64_t i = 0; i < in.n; i++)
        weight[i] = times[in.cluster[i]] * (w->in.weight ? w->in.weight[i] : 1.0);
    in.weight = weight;
    survive_risk_years(&in, w->year, w->n, r);
    for (int k = 0; k < w->n; k++)
        risk_values(&r[k], out + k * RISKS);
    return true;
}

/* Intervals of every value at every year. Women are drawn from all: with as many cancers in every
 * replicate the observed risk would seem too sure. */
static void risk_intervals(report_build *b, const followed *f, risk_work *w, boot_result *out)
{
    int threads = pool_threads(b->pool);
    w->weight = MEM_ARRAY(double *, threads);
    for (int t = 0; t < threads; t++)
        w->weight[t] = MEM_ARRAY(double, f->in.n + 1);
    boot_run(&(boot_spec){.n_clusters = f->in.n_clusters,
                          .replicates = b->opts->cfg.bootstrap,
                          .seed = (uint64_t)b->opts->cfg.seed,
                          .n_stats = w->n * RISKS,
                          .stat = risk_statistic,
                          .ctx = w,
                          .pool = b->pool,
                          .kind = b->opts->cfg.boot_kind},
             out);
    for (int t = 0; t < threads; t++)
        mem_free(w->weight[t]);
    mem_free(w->weight);
}

/* The years that a score is a probability for: score_h<k> speaks of year k, a single score of the
 * horizon of its label. */
static int risk_years(const report_build *b, const followed *f, double year[SCORES_YEARS])
{
    const report_cfg *c = &b->opts->cfg;
    int n = 0;
    for (int k = 0; k < f->set.exams.n_years; k++)
        year[n++] = k + 1;
    if (n)
        return n;
    double horizon =
        c->horizon > 0 ? c->horizon : json_number_value(json_object_get(b->model, "horizon_years"));
    if (horizon > 0)
        year[n++] = horizon;
    return n;
}

static void risk_row(report_build *b, const followed *f, json_t *t, double year,
                     const survive_risk *r, const double lo[RISKS], const double hi[RISKS],
                     bool told)
{
    static const char *const id[RISKS] = {"risk_observed", "risk_expected", "risk_oe", "brier"};
    bool few = r->cases < METRIC_FEW || r->beyond < METRIC_FEW;
    const char *reason = r->reason ? r->reason : few ? "FEW_EVENTS" : NULL;
    double v[RISKS];
    risk_values(r, v);
    json_t *row = cells_row(t);
    year_cell(row, year);
    cells_int(row, r->n);
    cells_count(row, r->cases, told);
    cells_count(row, r->lost, told);
    for (int k = 0; k < RISKS; k++) {
        bool known = !reason && !isnan(v[k]), bounded = known && !isnan(lo[k]);
        double low = bounded ? lo[k] : NAN, high = bounded ? hi[k] : NAN;
        cells_est(row, known ? v[k] : NAN, low, high);
        add_metric(b, f,
                   &(entry){.id = id[k],
                            .year = year,
                            .value = known ? v[k] : NAN,
                            .lo = low,
                            .hi = high,
                            .ci = bounded ? boot_name((boot_kind)b->opts->cfg.boot_kind) : "",
                            .reason = reason,
                            .exams = r->n,
                            .cases = r->cases,
                            .told = told});
    }
    report_build_remark(row, &(metric_value){.reason = reason});
}

static void risk_table(report_build *b, const followed *f)
{
    static const char *const columns[][2] = {
        {"year", "text"}, {"exams", "int"},     {"cancers", "int"},
        {"lost", "int"},  {"observed", "risk"}, {"expected", "risk"},
        {"oe", "est"},    {"brier", "est4"},    {"remark", "text"}};
    double year[SCORES_YEARS];
    survive_risk r[SCORES_YEARS];
    boot_result boot = {0};
    risk_work w = {.in = f->in, .year = year, .n = risk_years(b, f, year)};
    if (!w.n)
        return;
    json_t *t = cells_table("risk");
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, columns[i][0], columns[i][1]);
    survive_risk_years(&f->in, year, w.n, r);
    if (b->opts->cfg.bootstrap > 0)
        risk_intervals(b, f, &w, &boot);
    bool told = true; /* of all years or of none */
    for (int k = 0; k < w.n; k++)
        told = time_told(f, r[k].cases, r[k].beyond) && told;
    for (int k = 0; k < w.n; k++) {
        double lo[RISKS], hi[RISKS], sd;
        for (int i = 0; i < RISKS; i++)
            if (!boot.replicates || !boot_interval(&boot, k * RISKS + i, 0.95, &lo[i], &hi[i], &sd))
                lo[i] = hi[i] = NAN;
        risk_row(b, f, t, year[k], &r[k], lo, hi, told);
    }
    boot_release(&boot);
    report_build_table(b, t);
}

/* ---- when cancers were found ----------------------------------------------------------------- */

static void found_row(report_build *b, const followed *f, json_t *t, survive_bin from,
                      survive_bin to)
{
    static const char *const key[] = {[SURVIVE_SCREEN] = "time.bin.screen",
                                      [SURVIVE_INTERVAL] = "time.bin.interval",
                                      [SURVIVE_LATER] = "time.bin.later",
                                      [SURVIVE_NONE] = "time.bin.none"};
    const report_cfg *c = &b->opts->cfg;
    char screen[32], interval[32];
    text name, last;
    int64_t exams, patients = patients_of(&f->in, from, to, c, &exams);
    snprintf(screen, sizeof screen, "%g", c->screen_days);
    snprintf(interval, sizeof interval, "%g", c->interval_days);
    const char *const days[] = {"screen", screen, "interval", interval, NULL};
    text_init(&name);
    text_init(&last);
    report_fill(&name, key[from], days);
    report_fill(&last, key[to], days);
    if (from != to) {
        char *first = text_take(&name);
        report_fill(&name, "level.range",
                    (const char *const[]){"first", first, "last", last.s, NULL});
        mem_free(first);
    }
    json_t *row = cells_row(t);
    cells_text(row, name.s);
    cells_int(row, exams);
    cells_int(row, patients);
    text_release(&name);
    text_release(&last);
}

/* Times without enough women go with those beside them. */
static void found_table(report_build *b, followed *f)
{
    const report_cfg *c = &b->opts->cfg;
    json_t *t = cells_table("found"), *row;
    int64_t until, shown = 0;
    cells_column(t, "level", "text");
    cells_column(t, "exams", "int");
    cells_column(t, "patients", "int");
    patients_of(&f->in, SURVIVE_SCREEN, SURVIVE_SCREEN, c, &f->early);
    survive_bin from = SURVIVE_SCREEN;
    for (survive_bin k = SURVIVE_SCREEN; k < SURVIVE_LATER; k++) {
        patients_of(&f->in, SURVIVE_SCREEN, k, c, &until);
        if (c->min_count > 1 && (until == shown || until == f->events || !found_told(f, until)))
            continue;
        found_row(b, f, t, from, k);
        from = k + 1;
        shown = until;
    }
    found_row(b, f, t, from, SURVIVE_LATER);
    found_row(b, f, t, SURVIVE_NONE, SURVIVE_NONE);
    row = cells_row(t);
    cells_text(row, report_text("time.bin.unknown"));
    cells_count(row, f->set.n_unlabelled, !disclose_few(c->min_count, f->set.n_unlabelled));
    cells_num(row, NAN);
    /* exams whose cancer the exam found: none may be told; a few may not */
    json_object_set_new(
        t, "early", !f->early || found_told(f, f->early) ? json_integer(f->early) : json_null());
    report_build_table(b, t);
}

static bool add(report_build *b, err *e)
{
    followed f = {0};
    if (!load(b, &f, e))
        return false;
    if (f.events > 0) {
        found_table(b, &f);
        years_table(b, &f);
        concordance_table(b, &f);
        risk_table(b, &f);
    } else {
        report_build_limit(b, "limit.no_time", (const char *const[]){NULL});
    }
    release(&f);
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    const json_t *t = report_tree_by_id(tree, "tables", "concordance");
    doc_number tau;
    if (!t)
        return;
    report_doc_section(d, "time");
    const json_t *early = json_object_get(report_tree_by_id(tree, "tables", "found"), "early");
    report_doc_text(d, DOC_TEXT, report_text("time.intro"));
    report_doc_text(d, DOC_TEXT,
                    report_text(json_is_integer(early) && !json_integer_value(early)
                                    ? "time.once"
                                    : "time.twice"));
    report_doc_table(d, tree, "found", false);
    report_doc_figure(d, tree, "years");
    report_doc_table(d, tree, "years", false);
    report_doc_names(d, tree, "years", "left_out", "small.years");
    report_doc_table(d, tree, "concordance", false);
    report_doc_fill(
        d, DOC_NOTE, "time.tau",
        (const char *const[]){"tau", doc_number_show(&tau, "4g", report_tree_num(t, "tau")), NULL});
    report_doc_table(d, tree, "risk", false);
}

const report_part part_time = {"time", add, show};
