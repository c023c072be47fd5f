/* Do risks agree with what happened: lines, errors, groups and a smooth curve, before and after
 * recalibration. evaluation.md 8. */
#include "eval/part.h"
#include "core/mem.h"
#include "eval/boot.h"
#include "eval/calibrate_boot.h"
#include "eval/cells.h"
#include "eval/report_text.h"
#include "eval/smooth.h"
#include <math.h>

#define HIST_BINS 40

/* ---- one form of risk ------------------------------------------------------------------------ */

typedef struct found {
    calibrate_total total;
    calibrate_line slope, intercept;
    calibrate_est oe, a, b; /* of them, with intervals */
    calibrate_error width, mass;
    double ici;
    smooth_point curve[SMOOTH_GRID]; /* [n_curve] */
    int n_curve;
    calibrate_interval boot[CALIBRATE_MEASURES];
    bool robust; /* repeated exams or weights */
} found;

static found examine(const report_build *b, const metric_in *in)
{
    const report_cfg *c = &b->opts->cfg;
    uint64_t seed = (uint64_t)c->seed;
    found f = {.total = calibrate_sums(in),
               .slope = calibrate_slope(in),
               .intercept = calibrate_intercept(in),
               .width = calibrate_ece(in, CALIBRATE_WIDTH, CALIBRATE_BINS, seed),
               .mass = calibrate_ece(in, CALIBRATE_MASS, CALIBRATE_BINS, seed)};
    f.robust = f.intercept.repeated;
    f.oe = calibrate_oe_est(&f.total, f.robust);
    f.a = calibrate_intercept_est(&f.intercept);
    f.b = calibrate_slope_est(&f.slope);
    double at[SMOOTH_GRID];
    f.n_curve = smooth_grid(in, at);
    if (!smooth_curve(in, SMOOTH_SPAN, at, f.n_curve, f.curve))
        f.n_curve = 0;
    f.ici = smooth_ici(in, f.curve, f.n_curve);
    calibrate_boot(in,
                   &(calibrate_draws){b->risks.pop.enriched ? b->risks.pop.prevalence : NAN,
                                      c->bootstrap, seed, c->boot_kind, b->pool},
                   f.boot);
    return f;
}

static void add_metrics(report_build *b, const found *f, const char *subset)
{
    const char *line = f->robust ? "robust" : "wald",
               *boot = boot_name((boot_kind)b->opts->cfg.boot_kind);
    const calibrate_interval *i2 = f->boot;
    const struct {
        const char *id, *ci, *reason;
        double value, lo, hi;
    } row[] = {
        {"oe", f->robust ? "robust" : "poisson", NULL, f->oe.value, f->oe.lo, f->oe.hi},
        {"calibration_intercept", line, f->intercept.reason, f->a.value, f->a.lo, f->a.hi},
        {"calibration_slope", line, f->slope.reason, f->b.value, f->b.lo, f->b.hi},
        {"brier", boot, NULL, f->total.brier, i2[CALIBRATE_BRIER].lo, i2[CALIBRATE_BRIER].hi},
        {"brier_scaled", boot, NULL, f->total.brier_scaled, i2[CALIBRATE_BRIER_SCALED].lo,
         i2[CALIBRATE_BRIER_SCALED].hi},
        {"log_loss", boot, NULL, f->total.log_loss, i2[CALIBRATE_LOG_LOSS].lo,
         i2[CALIBRATE_LOG_LOSS].hi},
        {"ici", boot, NULL, f->ici, i2[CALIBRATE_ICI].lo, i2[CALIBRATE_ICI].hi},
        {"ece_width", "", NULL, f->width.ece, NAN, NAN},
        {"ece_width_expected", "", NULL, f->width.expected, NAN, NAN},
        {"ece_mass", "", NULL, f->mass.ece, NAN, NAN},
        {"ece_mass_expected", "", NULL, f->mass.expected, NAN, NAN},
        {"mce", "", NULL, f->width.mce, NAN, NAN},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        report_metric m = {.id = row[i].id,
                           .unit = "exam",
                           .subset = subset,
                           .horizon = json_object_get(b->model, "horizon_years"),
                           .value = row[i].value,
                           .lo = row[i].lo,
                           .hi = row[i].hi,
                           .ci = isnan(row[i].lo) ? "" : row[i].ci,
                           .reason = row[i].reason,
                           .flag = b->risks.unstable ? "UNSTABLE" : NULL,
                           .n_exams = b->all.n,
                           .n_patients = b->all.n_patients,
                           .n_events = b->all.events};
        json_t *j = report_build_metric(b, &m);
        if (b->risks.pop.enriched)
            json_array_append_new(json_object_get(j, "flags"), json_string("REWEIGHTED"));
    }
}

static void add_rows(json_t *lines, json_t *errors, const found *f, const char *words,
                     int64_t minimum)
{
    char key[64];
    json_t *row = cells_row(lines);
    cells_text(row, words);
    cells_est(row, f->oe.value, f->oe.lo, f->oe.hi);
    cells_est(row, f->a.value, f->a.lo, f->a.hi);
    cells_est(row, f->b.value, f->b.lo, f->b.hi);
    cells_count(row, f->total.clipped, !disclose_few(minimum, f->total.clipped));
    snprintf(key, sizeof key, "reason.%s", f->slope.reason ? f->slope.reason : "none");
    cells_text(row, report_text(key));
    row = cells_row(errors);
    cells_text(row, words);
    cells_num(row, f->total.brier);
    cells_num(row, f->total.brier_scaled);
    cells_num(row, f->total.log_loss);
    cells_num(row, f->width.ece);
    cells_num(row, f->width.expected);
    cells_num(row, f->mass.ece);
    cells_num(row, f->mass.expected);
    cells_num(row, f->width.mce);
}

/* Every measure with the interval of the bootstrap, in the order of calibrate_measure. */
static void add_boot_row(json_t *t, const found *f, const char *words)
{
    const double value[CALIBRATE_MEASURES] = {
        f->oe.value,           f->a.value,        f->b.value, f->total.brier,
        f->total.brier_scaled, f->total.log_loss, f->ici};
    json_t *row = cells_row(t);
    cells_text(row, words);
    for (int k = 0; k < CALIBRATE_MEASURES; k++)
        cells_est(row, value[k], f->boot[k].lo, f->boot[k].hi);
}

/* ---- groups and curve ------------------------------------------------------------------------ */

static void curve_name(char out[64], const char *stem, risks_form f)
{
    snprintf(out, 64, f == RISKS_GIVEN ? "%s" : "%s_%s", stem, risks_name(f));
}

static void add_groups(report_build *b, const metric_in *in, risks_form form, json_t *t)
{
    calibrate_group g[CALIBRATE_BINS];
    const tell_bands *bands = &b->tell.tenths;
    char id[64];
    int k = bands->n > 1 ? calibrate_groups_of(in, bands->of, bands->n, g) : 0;
    curve_name(id, "reliability", form);
    json_t *c = report_build_curve(b, id);
    for (int i = 0; i < k; i++) {
        text name;
        text_init(&name);
        report_tell_band_name(bands, i, &name);
        report_build_point(c, "x", g[i].mean_p);
        report_build_point(c, "y", g[i].rate);
        report_build_point(c, "lo", g[i].lo);
        report_build_point(c, "hi", g[i].hi);
        json_t *row = cells_row(t);
        cells_text(row, risks_words(&b->risks, form));
        cells_text(row, name.s);
        cells_int(row, g[i].n);
        cells_int(row, g[i].events);
        cells_est(row, g[i].mean_p, NAN, NAN);
        cells_est(row, g[i].rate, g[i].lo, g[i].hi);
        cells_text(row, g[i].tie_split ? report_text("tie_split") : "");
        text_release(&name);
    }
}

/* At the percentiles of the risks, so that points lie where exams are. */
static void add_smooth(report_build *b, const found *f, risks_form form)
{
    char id[64];
    curve_name(id, "smooth", form);
    json_t *c = f->n_curve ? report_build_curve(b, id) : NULL;
    for (int k = 0; k < f->n_curve; k++) {
        report_build_point(c, "x", f->curve[k].x);
        report_build_point(c, "y", f->curve[k].y);
        report_build_point(c, "lo", f->curve[k].lo);
        report_build_point(c, "hi", f->curve[k].hi);
    }
}

/* The exams with and without cancer by risk as predicted, as far as the groups reach: higher risks
 * count in the last bin. */
static void add_histogram(report_build *b, const metric_in *in)
{
    calibrate_group g[CALIBRATE_BINS];
    int64_t bin[2][HIST_BINS] = {{0}};
    int k = calibrate_groups(in, CALIBRATE_MASS, CALIBRATE_BINS, g);
    double top = k ? fmin(1, 1.05 * g[k - 1].mean_p) : 0;
    if (!(top > 0))
        return;
    for (int64_t i = 0; i < in->n; i++)
        bin[in->y[i] != 0][(int)fmin(in->score[i] / top * HIST_BINS, HIST_BINS - 1)]++;
    for (int y = 1; y >= 0; y--)
        report_build_histogram(b, y ? "risk_case" : "risk_control", (double[]){0, top}, bin[y],
                               HIST_BINS, y == 1);
}

/* ---- the map --------------------------------------------------------------------------------- */

/* tree.recalibration: what it takes to apply the map elsewhere, and what it was learnt on. */
static void add_map(report_build *b)
{
    const recalibrate_map *m = &b->risks.map;
    if (m->kind == RECALIBRATE_NONE)
        return;
    char hash[65];
    json_t *j = json_object(), *x = json_array(), *y = json_array();
    scores_hash(&b->src->val->scores, hash);
    json_object_set_new(j, "kind", json_string(recalibrate_name(m->kind)));
    json_object_set_new(j, "reason", m->reason ? json_string(m->reason) : json_null());
    json_object_set_new(j, "a", json_num(m->reason ? NAN : m->a));
    json_object_set_new(j, "b", json_num(m->reason ? NAN : m->b));
    for (int64_t i = 0; i < m->n; i++) {
        json_array_append_new(x, json_num(m->x[i]));
        json_array_append_new(y, json_num(m->y[i]));
    }
    json_object_set_new(j, "x", x);
    json_object_set_new(j, "y", y);
    json_object_set_new(j, "n_exams", json_integer(m->rows));
    json_object_set_new(j, "data_sha256", json_string(hash));
    json_object_set_new(b->tree, "recalibration", j);
}

/* ---- all together ---------------------------------------------------------------------------- */

static json_t *table_of(const char *id, const char *const columns[][2], size_t n)
{
    json_t *t = cells_table(id);
    for (size_t i = 0; i < n; i++)
        cells_column(t, columns[i][0], columns[i][1]);
    return t;
}

static void add_population(report_build *b)
{
    const population *p = &b->risks.pop;
    json_t *j = json_object();
    json_object_set_new(j, "enriched", json_boolean(p->enriched));
    json_object_set_new(j, "share", json_num(p->share));
    json_object_set_new(j, "prevalence", json_num(p->prevalence));
    json_object_set_new(j, "weighted", json_boolean(b->set.weighted));
    json_object_set_new(j, "shift_from", json_num(b->risks.shift_from));
    json_object_set_new(j, "reason", b->risks.reason ? json_string(b->risks.reason) : json_null());
    json_object_set_new(b->tree, "population", j);
}

static bool add(report_build *b, err *e)
{
    static const char *const lines[][2] = {{"risks", "text"},    {"oe", "est"},
                                           {"intercept", "est"}, {"slope", "est"},
                                           {"clipped", "int"},   {"remark", "text"}};
    static const char *const errors[][2] = {
        {"risks", "text"},     {"brier", "score"},           {"brier_scaled", "num"},
        {"log_loss", "score"}, {"ece_width", "num"},         {"ece_width_expected", "num"},
        {"ece_mass", "num"},   {"ece_mass_expected", "num"}, {"mce", "num"}};
    static const char *const boot[][2] = {
        {"risks", "text"}, {"oe", "est"},           {"intercept", "est"}, {"slope", "est"},
        {"brier", "est4"}, {"brier_scaled", "est"}, {"log_loss", "est4"}, {"ici", "est4"}};
    static const char *const groups[][2] = {
        {"risks", "text"},  {"group", "text"}, {"exams", "int"},  {"cancers", "int"},
        {"mean_p", "risk"}, {"rate", "risk"},  {"remark", "text"}};
    add_population(b);
    if (b->risks.reason) {
        report_build_limit(b,
                           !strcmp(b->risks.reason, "RANKS") ? "limit.ranks" : "limit.calibration",
                           (const char *const[]){NULL});
        return true;
    }
    json_t *t = table_of("calibration", lines, COUNT_OF(lines)),
           *u = table_of("calibration_error", errors, COUNT_OF(errors)),
           *g = table_of("reliability", groups, COUNT_OF(groups)),
           *v = table_of("calibration_bootstrap", boot, COUNT_OF(boot));
    report_build_table(b, t);
    report_build_table(b, u);
    report_build_table(b, v);
    report_build_table(b, g);
    json_object_set_new(g, "joined", json_boolean(b->tell.tenths.n < b->tell.tenths.asked));
    if (b->tell.tenths.n < 2)
        json_object_set_new(g, "single", json_pack("[s]", report_text("table.reliability")));
    for (int f = 0; f < RISKS_FORMS; f++) {
        metric_in in;
        if (!risks_rows(&b->risks, (risks_form)f, &in))
            continue;
        found got = examine(b, &in);
        add_groups(b, &in, (risks_form)f, g);
        if (b->tell.tenths.n < b->tell.tenths.asked) /* sums over the groups that were joined */
            got.mass.ece = got.width.ece = got.width.mce = NAN;
        add_metrics(b, &got, f == RISKS_GIVEN ? "all" : risks_name((risks_form)f));
        add_rows(t, u, &got, risks_words(&b->risks, (risks_form)f), b->opts->cfg.min_count);
        add_boot_row(v, &got, risks_words(&b->risks, (risks_form)f));
        add_smooth(b, &got, (risks_form)f);
        if (f == RISKS_GIVEN)
            add_histogram(b, &in);
    }
    add_map(b);
    return true;
}

/* Which women the numbers speak of; also for the parts on decisions and risk groups. */
static void show_population(report_doc *d, const json_t *tree)
{
    const json_t *p = json_object_get(tree, "population");
    doc_number share, prevalence, from;
    bool enriched = json_is_true(json_object_get(p, "enriched"));
    report_doc_fill(
        d, enriched ? DOC_WARN : DOC_NOTE,
        enriched                                       ? "population.enriched"
        : json_is_true(json_object_get(p, "weighted")) ? "population.weighted"
                                                       : "population.as_it_is",
        (const char *const[]){
            "share", doc_number_show(&share, "4g", 100 * report_tree_num(p, "share")), "prevalence",
            doc_number_show(&prevalence, "4g", 100 * report_tree_num(p, "prevalence")), "from",
            doc_number_show(&from, "4g", 100 * report_tree_num(p, "shift_from")), NULL});
}

/* Three ratios with one name: what each of them compares. */
static void show_ratios(report_doc *d, const json_t *tree)
{
    const json_t *p = json_object_get(tree, "population"),
                 *risk = report_tree_by_id(tree, "tables", "risk"),
                 *rows = json_object_get(risk, "rows"),
                 *last = json_array_get(rows, json_array_size(rows) - 1);
    const bool learnt = report_tree_metric(tree, "oe", risks_name(RISKS_RECALIBRATED)) != NULL;
    const risks_form form = learnt ? RISKS_RECALIBRATED : RISKS_SHIFTED;
    doc_number given, set, moved, prevalence, share;
    const double v[] = {
        report_tree_num(report_tree_metric(tree, "oe", "all"), "value"),
        last ? report_tree_num(json_array_get(last, (size_t)report_tree_column(risk, "oe")), "v")
             : NAN,
        report_tree_num(report_tree_metric(tree, "oe", risks_name(form)), "value")};
    if (!json_is_true(json_object_get(p, "enriched")) || isnan(v[0]) || isnan(v[1]) || isnan(v[2]))
        return;
    report_doc_fill(
        d, DOC_NOTE, "calibration.relate",
        (const char *const[]){
            "given", doc_number_show(&given, "2", v[0]), "set", doc_number_show(&set, "2", v[1]),
            "moved", doc_number_show(&moved, "2", v[2]), "how",
            report_text(learnt ? "calibration.learnt" : "calibration.moved"), "prevalence",
            doc_number_show(&prevalence, "4g", 100 * report_tree_num(p, "prevalence")), "share",
            doc_number_show(&share, "4g", 100 * report_tree_num(p, "share")), NULL});
}

/* What a slope away from 1 means for the risks that the reader sees. */
static void show_slope(report_doc *d, const json_t *tree)
{
    static const risks_form forms[] = {RISKS_RECALIBRATED, RISKS_SHIFTED, RISKS_GIVEN};
    const json_t *m = NULL;
    doc_number slope;
    for (size_t k = 0; !m && k < COUNT_OF(forms); k++)
        m = report_tree_metric(tree, "calibration_slope",
                               forms[k] == RISKS_GIVEN ? "all" : risks_name(forms[k]));
    double lo = report_tree_num(m, "lo"), hi = report_tree_num(m, "hi");
    if (!(lo > 1 || hi < 1))
        return; /* NaN, or 1 is inside */
    report_doc_fill(d, DOC_WARN, lo > 1 ? "calibration.close" : "calibration.far",
                    (const char *const[]){
                        "slope", doc_number_show(&slope, "2", report_tree_num(m, "value")), NULL});
}

static void show_map(report_doc *d, const json_t *tree)
{
    const json_t *m = json_object_get(tree, "recalibration");
    const char *reason = report_tree_str(m, "reason");
    doc_number exams;
    char key[64];
    if (!m) {
        report_doc_text(d, DOC_NOTE, report_text("recalibration.none"));
        return;
    }
    snprintf(key, sizeof key, "reason.%s", reason[0] ? reason : "none");
    report_doc_fill(d, DOC_NOTE, reason[0] ? "recalibration.failed" : "recalibration.done",
                    (const char *const[]){
                        "n", doc_number_count(&exams, json_object_get(m, "n_exams")), "reason",
                        report_text(key), "hash", report_tree_str(m, "data_sha256"), NULL});
}

static void show(report_doc *d, const json_t *tree)
{
    if (!report_tree_by_id(tree, "tables", "calibration"))
        return;
    report_doc_section(d, "calibration");
    show_population(d, tree);
    report_doc_figure(d, tree, "calibration");
    report_doc_joined(d, tree, report_tree_by_id(tree, "tables", "reliability"));
    report_doc_names(d, tree, "reliability", "single", "small.single");
    report_doc_table(d, tree, "calibration", false);
    show_ratios(d, tree);
    show_slope(d, tree);
    show_map(d, tree);
    report_doc_table(d, tree, "calibration_error", true);
    report_doc_table(d, tree, "calibration_bootstrap", true);
    report_doc_table(d, tree, "reliability", true);
}

const report_part part_calibration = {"calibration", add, show};
