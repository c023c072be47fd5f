/* Helper of test_eval_peers.sh: what the program's statistics say, for comparison with R and
 * scikit-learn, on the data sets of eval_sets.
 * eval_probe numbers prints what needs no data set.
 * eval_probe pairs FILE... prints the AUC part only, with bootstrap intervals of the first file.
 * eval_probe eval FILE... prints DATASET TAB METRIC TAB VALUE lines; undefined is NA. Every metric
 * comes plain and, where the file has weights or patients with several exams, with them: the prefix
 * w., c. or wc. says which. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/csv.h"
#include "core/mem.h"
#include "core/text.h"
#include "eval/boot.h"
#include "eval/calibrate_boot.h"
#include "eval/curve.h"
#include "eval/decile.h"
#include "eval/decision.h"
#include "eval/member.h"
#include "eval/metric.h"
#include "eval/pair.h"
#include "eval/rate.h"
#include "eval/recalibrate.h"
#include "eval/robust.h"
#include "eval/smooth.h"
#include "eval/survive.h"

/* ---- a data set -------------------------------------------------------------------------------
 */

typedef struct data {
    int64_t n;
    int patients;
    int *patient, *y, *e;
    double *a, *b, *w, *t;
} data;

static void data_new(data *d, int64_t cap)
{
    *d = (data){.patient = MEM_ARRAY(int, (size_t)cap),
                .y = MEM_ARRAY(int, (size_t)cap),
                .e = MEM_ARRAY(int, (size_t)cap),
                .a = MEM_ARRAY(double, (size_t)cap),
                .b = MEM_ARRAY(double, (size_t)cap),
                .w = MEM_ARRAY(double, (size_t)cap),
                .t = MEM_ARRAY(double, (size_t)cap)};
}

static void data_release(data *d)
{
    mem_free(d->patient);
    mem_free(d->y);
    mem_free(d->e);
    mem_free(d->a);
    mem_free(d->b);
    mem_free(d->w);
    mem_free(d->t);
}

static bool load(const char *path, data *d, err *e)
{
    static const char *const columns[] = {"patient", "y", "e", "a", "b", "w", "t"};
    enum { COLUMNS = 7, ROWS_MAX = 200000 };
    int at[COLUMNS], got;
    double v[COLUMNS];
    csv_reader *r = csv_open(path, e);
    data_new(d, ROWS_MAX);
    bool ok = r != NULL;
    for (int k = 0; k < COLUMNS && ok; k++)
        ok = csv_require(r, columns[k], &at[k], e);
    while (ok && (got = csv_next(r, e)) != 0) {
        ok = got > 0 && d->n < ROWS_MAX;
        for (int k = 0; k < COLUMNS && ok; k++)
            ok = text_f64(csv_field(r, at[k]), &v[k]);
        if (!ok)
            return err_set(e, ERR_INPUT, "%s: line %d is not numbers", path, csv_line(r));
        int64_t i = d->n++;
        d->patient[i] = (int)v[0];
        d->y[i] = (int)v[1];
        d->e[i] = (int)v[2];
        d->a[i] = v[3];
        d->b[i] = v[4];
        d->w[i] = v[5];
        d->t[i] = v[6];
        if (d->patient[i] >= d->patients)
            d->patients = d->patient[i] + 1;
    }
    csv_close(r);
    return ok;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static const char *dataset = "numbers", *prefix = "";

static void line(const char *metric, double v)
{
    if (isnan(v))
        printf("%s\t%s%s\tNA\n", dataset, prefix, metric);
    else
        printf("%s\t%s%s\t%.17g\n", dataset, prefix, metric, v);
}

static void line_at(const char *metric, int64_t i, double v)
{
    char name[96];
    snprintf(name, sizeof name, "%s[%" PRId64 "]", metric, i);
    line(name, v);
}

/* ---- discrimination -------------------------------------------------------------------------- */

static void auc_lines(const metric_in *in, const double *b)
{
    metric_value v = metric_auc(in);
    line("auc", v.value);
    line("auc.var", v.var);
    line("auc.lo", v.lo);
    line("auc.hi", v.hi);
    line("auc.logit_lo", v.logit_lo);
    line("auc.logit_hi", v.logit_hi);
    metric_pair p = metric_auc_pair(in, b);
    line("pair.diff", p.diff);
    line("pair.cov", p.cov);
    line("pair.z", p.z);
    line("pair.p", p.p);
    line("pair.lo", p.lo);
    line("pair.hi", p.hi);
}

static void curve_lines(const metric_in *in)
{
    static const double targets[] = {.5, .8, .9, .95, .97};
    curve c = {0};
    if (!curve_build(in, &c))
        return;
    int64_t step = 1 + c.n / 200;
    line("roc.n", (double)c.n);
    for (int64_t i = 1; i < c.n; i += step) {
        line_at("roc.threshold", i, c.p[i].threshold);
        line_at("roc.fpr", i, c.p[i].fpr);
        line_at("roc.tpr", i, c.p[i].tpr);
    }
    for (size_t k = 0; k < COUNT_OF(targets); k++) {
        const curve_point *p = &c.p[curve_at_spec(&c, targets[k])];
        line_at("at_spec.sens", (int64_t)(100 * targets[k] + .5), p->tpr);
        line_at("at_spec.spec", (int64_t)(100 * targets[k] + .5), 1 - p->fpr);
        p = &c.p[curve_at_sens(&c, targets[k])];
        line_at("at_sens.spec", (int64_t)(100 * targets[k] + .5), 1 - p->fpr);
        line_at("at_sens.sens", (int64_t)(100 * targets[k] + .5), p->tpr);
        line_at("at_sens.threshold", (int64_t)(100 * targets[k] + .5), p->threshold);
    }
    curve_release(&c);
}

static void point_lines(const metric_in *in)
{
    for (int i = 0; i < metric_table_n; i++)
        if (strcmp(metric_table[i].id, "auc") != 0)
            line(metric_table[i].id, metric_table[i].point(in));
}

static void capture_lines(const metric_in *in)
{
    static const double q[] = {.01, .05, .1, .2};
    for (size_t k = 0; k < COUNT_OF(q); k++) {
        curve_top t = {0};
        if (!curve_capture(in, q[k], &t))
            continue;
        line_at("capture.k", (int64_t)k, (double)t.k);
        line_at("capture.threshold", (int64_t)k, t.threshold);
        line_at("capture.min", (int64_t)k, t.capture_min);
        line_at("capture.max", (int64_t)k, t.capture_max);
    }
}

/* ---- calibration and utility ----------------------------------------------------------------- */

static void calibration_lines(const metric_in *in)
{
    calibrate_line s = calibrate_slope(in), i = calibrate_intercept(in);
    line("slope.a", s.a);
    line("slope.b", s.b);
    line("slope.se_a", s.se_a);
    line("slope.se_b", s.se_b);
    line("slope.robust_a", s.robust_a);
    line("slope.robust_b", s.robust_b);
    line("slope.clipped", (double)s.clipped);
    line("intercept.a", i.a);
    line("intercept.se_a", i.se_a);
    line("intercept.robust_a", i.robust_a);
    calibrate_total t = calibrate_sums(in);
    line("brier", t.brier);
    line("brier_scaled", t.brier_scaled);
    line("log_loss", t.log_loss);
    line("oe", t.oe);
    line("oe.lo", t.oe_lo);
    line("oe.hi", t.oe_hi);
    line("oe.se", t.oe_se);
    if (in->n < 5000) {
        double at[SMOOTH_GRID];
        smooth_point p[SMOOTH_GRID];
        int n = smooth_grid(in, at);
        line("ici", smooth_curve(in, SMOOTH_SPAN, at, n, p) ? smooth_ici(in, p, n) : NAN);
    }
    for (int how = 0; how < 2; how++) {
        calibrate_group g[CALIBRATE_BINS];
        calibrate_binning binning = how ? CALIBRATE_MASS : CALIBRATE_WIDTH;
        const char *name = how ? "mass" : "width";
        char id[64];
        int k = calibrate_groups(in, binning, CALIBRATE_BINS, g);
        for (int j = 0; j < k; j++) {
            snprintf(id, sizeof id, "%s.n", name);
            line_at(id, j, (double)g[j].n);
            snprintf(id, sizeof id, "%s.mean", name);
            line_at(id, j, g[j].mean_p);
            snprintf(id, sizeof id, "%s.rate", name);
            line_at(id, j, g[j].rate);
            snprintf(id, sizeof id, "%s.lo", name);
            line_at(id, j, g[j].lo);
            snprintf(id, sizeof id, "%s.hi", name);
            line_at(id, j, g[j].hi);
        }
        calibrate_error e = calibrate_ece(in, binning, CALIBRATE_BINS, 5);
        snprintf(id, sizeof id, "%s.ece", name);
        line(id, e.ece);
        snprintf(id, sizeof id, "%s.mce", name);
        line(id, e.mce);
        snprintf(id, sizeof id, "%s.ece_expected", name);
        line(id, e.expected);
    }
}

static void map_lines(const metric_in *in)
{
    recalibrate_map m;
    bool ok = recalibrate_fit(RECALIBRATE_PLATT, in, &m);
    line("platt.a", ok ? m.a : NAN);
    line("platt.b", ok ? m.b : NAN);
    line("platt.of_03", ok ? recalibrate_apply(&m, .3) : NAN);
    recalibrate_release(&m);
    ok = recalibrate_fit(RECALIBRATE_TEMPERATURE, in, &m);
    line("temperature.b", ok ? m.b : NAN);
    line("temperature.of_03", ok ? recalibrate_apply(&m, .3) : NAN);
    recalibrate_release(&m);
    ok = recalibrate_fit(RECALIBRATE_ISOTONIC, in, &m);
    for (int i = 0; i <= 40; i++)
        line_at("isotonic", i, ok ? recalibrate_apply(&m, i / 40.) : NAN);
    recalibrate_release(&m);
}

static void decision_lines(const metric_in *in)
{
    static const double pt[] = {.002, .02, .1, .3, .5};
    decision_point d[COUNT_OF(pt)];
    for (int given = 0; given < 2; given++) {
        const char *name = given ? "nb_at_2" : "nb";
        char id[64];
        decision_curve(in, given ? .02 : NAN, pt, COUNT_OF(pt), d);
        for (size_t i = 0; i < COUNT_OF(pt); i++) {
            line_at(name, (int64_t)i, d[i].nb);
            snprintf(id, sizeof id, "%s.lo", name);
            line_at(id, (int64_t)i, d[i].lo);
            snprintf(id, sizeof id, "%s.hi", name);
            line_at(id, (int64_t)i, d[i].hi);
            snprintf(id, sizeof id, "%s.all", name);
            line_at(id, (int64_t)i, d[i].nb_all);
            snprintf(id, sizeof id, "%s.avoided", name);
            line_at(id, (int64_t)i, d[i].avoided);
        }
    }
}

static void decile_lines(const metric_in *in)
{
    static decile_table t;
    decile_build(in, NULL, 10, &t);
    line("decile.k", t.k);
    for (int i = 0; i < t.k; i++) {
        const decile_row *r = &t.row[i];
        line_at("decile.observed", i, r->observed);
        line_at("decile.expected", i, r->expected);
        line_at("decile.oe", i, r->oe.value);
        line_at("decile.oe_lo", i, r->oe.lo);
        line_at("decile.oe_hi", i, r->oe.hi);
        line_at("decile.share", i, r->share);
        line_at("decile.ratio", i, r->versus_lowest.value);
        if (!in->weight) {
            line_at("decile.ratio_lo", i, r->versus_lowest.lo);
            line_at("decile.ratio_hi", i, r->versus_lowest.hi);
        }
        line_at("decile.middle", i, r->versus_middle.value);
    }
    if (!in->weight) {
        line("decile.trend_z", t.trend.z);
        line("decile.trend_p", t.trend.p);
    }
}

static void rate_lines(const metric_in *in, const double *b)
{
    pair_rate r[2] = {pair_sensitivity(in, b, .4, .35), pair_specificity(in, b, .4, .35)};
    for (int k = 0; k < 2; k++) {
        line_at("rates.a", k, r[k].a);
        line_at("rates.b", k, r[k].b);
        line_at("rates.diff", k, r[k].diff);
        line_at("rates.lo", k, r[k].lo);
        line_at("rates.hi", k, r[k].hi);
        line_at("rates.p", k, r[k].p);
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

static void concordance_lines(const char *name, const survive_c *c)
{
    char id[64];
    const struct {
        const char *what;
        double v;
    } part[] = {{"", c->value},     {".var", c->var}, {".conc", c->conc}, {".disc", c->disc},
                {".tied", c->tied}, {".lo", c->lo},   {".hi", c->hi}};
    for (size_t i = 0; i < COUNT_OF(part); i++) {
        snprintf(id, sizeof id, "%s%s", name, part[i].what);
        line(id, part[i].v);
    }
}

static void time_lines(const survive_in *in)
{
    static const double ask[] = {0, .5, 1, 2, 3.25, 4, 6};
    survive_km s, g;
    survive_km_build(in, SURVIVE_CANCER, &s);
    survive_km_build(in, SURVIVE_CENSORING, &g);
    for (size_t i = 0; i < COUNT_OF(ask); i++) {
        line_at("km", (int64_t)i, survive_km_at(&s, ask[i]));
        line_at("km.before", (int64_t)i, survive_km_before(&s, ask[i]));
        line_at("censoring", (int64_t)i, survive_km_at(&g, ask[i]));
        line_at("censoring.before", (int64_t)i, survive_km_before(&g, ask[i]));
    }
    survive_km_release(&s);
    survive_km_release(&g);
    survive_c c = survive_harrell(in);
    concordance_lines("harrell", &c);
    c = survive_uno(in, NAN);
    concordance_lines("uno", &c);
    c = survive_uno(in, 4);
    concordance_lines("uno4", &c);
    if (in->n < 2000)
        line("mirai_c", survive_mirai_compat(in).value);
    for (int h = 1; h <= 5; h++) {
        metric_value m = survive_auc(in, h, SURVIVE_MIRAI);
        line_at("year.mirai", h, m.value);
        line_at("year.mirai.var", h, m.var);
        m = survive_auc(in, h, SURVIVE_IPCW);
        line_at("year.ipcw", h, m.value);
        survive_risk r = survive_risk_at(in, h);
        line_at("year.brier", h, r.brier);
        line_at("year.incidence", h, r.incidence);
        line_at("year.oe", h, r.oe);
    }
}

static void early_lines(survive_in in)
{
    in.drop_early = true;
    in.early = 1;
    line("early.harrell", survive_harrell(&in).value);
    line("early.ipcw", survive_auc(&in, 3, SURVIVE_IPCW).value);
    line("early.mirai", survive_auc(&in, 3, SURVIVE_MIRAI).value);
}

/* ---- one data set ---------------------------------------------------------------------------- */

static void ensemble_lines(const data *d)
{
    const double *const member[] = {d->a, d->b};
    double *s = MEM_ARRAY(double, (size_t)d->n);
    for (int rule = 0; rule < MEMBER_RULES; rule++) {
        member_combine((member_rule)rule, member, 2, d->n, s);
        for (int64_t i = 0; i < d->n; i += 1 + d->n / 20)
            line_at(member_rule_name((member_rule)rule), i, s[i]);
    }
    robust_change c = robust_compare(d->a, d->b, d->n, .4);
    line("change.mean", c.mean);
    line("change.spearman", c.spearman);
    line("change.crossed", c.crossed);
    metric_in in = {d->a, d->y, NULL, NULL, d->n, 0, false};
    metric_pair p = metric_auc_pair(&in, d->b);
    metric_value v = metric_auc(&in);
    pair_planning plan = pair_detectable(&p, v.events, v.n - v.events, .8);
    line("planning.r", plan.r);
    line("planning.planned", plan.planned);
    line("planning.observed", plan.observed);
    line("planning.hanley", metric_hanley_mcneil(p.a, v.events, v.n - v.events));
    in.score = d->b;
    metric_value other = metric_auc(&in);
    metric_pair apart = pair_unpaired(&v, &other);
    line("unpaired.z", apart.z);
    line("unpaired.p", apart.p);
    line("unpaired.lo", apart.lo);
    mem_free(s);
}

/* ---- BCa ------------------------------------------------------------------------------------- */

/* Statistics of drawn patients: the AUC, and the share of cases at or above .4, which has ties. */
typedef struct bca_ctx {
    metric_in in;
    double *weight; /* [n], one thread */
    FILE *draws;    /* how often every patient was drawn, for R: random numbers are ours */
} bca_ctx;

static bool bca_point(void *ctx, const int32_t *times, double *out, int thread)
{
    bca_ctx *c = ctx;
    metric_in in = c->in;
    double cases = 0, flagged = 0;
    (void)thread;
    if (c->draws) {
        fprintf(c->draws, "%s\t%s\t", dataset, prefix);
        for (int k = 0; k < in.n_clusters; k++)
            fprintf(c->draws, "%d ", (int)times[k]);
        fputc('\n', c->draws);
    }
    for (int64_t i = 0; i < in.n; i++) {
        c->weight[i] = times[in.cluster[i]] * (c->in.weight ? c->in.weight[i] : 1);
        cases += c->weight[i] * in.y[i];
        flagged += c->weight[i] * in.y[i] * (in.score[i] >= .4);
    }
    in.weight = c->weight;
    out[0] = metric_auc(&in).value;
    out[1] = flagged / cases;
    return !isnan(out[0]);
}

/* DRAWS: the file that R reads. Draws that are repeated, and those of the jackknife, come behind
 * the replicates, which R counts. */
static void bca_lines(const data *d, const metric_in *in)
{
    enum { REPLICATES = 200, CALIBRATED = 60, MOST = 600 };
    const char *draws = getenv("DRAWS");
    if (d->n > MOST || !in->cluster || !draws)
        return;
    int *stratum = MEM_ARRAY(int, (size_t)d->patients + 1);
    pool *p = pool_new(1);
    bca_ctx c = {*in, MEM_ARRAY(double, (size_t)d->n), fopen(draws, "a")};
    boot_result r;
    if (!c.draws)
        BUG("DRAWS cannot be written");
    for (int64_t i = 0; i < d->n; i++)
        stratum[d->patient[i]] |= d->y[i];
    boot_run(&(boot_spec){.n_clusters = d->patients,
                          .stratum = stratum,
                          .n_strata = 2,
                          .replicates = REPLICATES,
                          .seed = 11,
                          .n_stats = 2,
                          .stat = bca_point,
                          .ctx = &c,
                          .pool = p,
                          .kind = BOOT_BCA},
             &r);
    for (int k = 0; k < 2; k++) {
        double lo = NAN, hi = NAN, sd;
        if (!boot_interval(&r, k, .95, &lo, &hi, &sd))
            lo = hi = NAN;
        line_at("bca.lo", k, lo);
        line_at("bca.hi", k, hi);
    }
    if (r.redrawn)
        BUG("a draw was repeated: R could not follow");
    static const char *const names[CALIBRATE_MEASURES] = {
        "oe", "intercept", "slope", "brier", "brier_scaled", "log_loss", "ici"};
    for (int mixed = 0; mixed < 2; mixed++) { /* the same seed and strata: the same draws */
        calibrate_interval got[CALIBRATE_MEASURES];
        calibrate_boot(
            in, &(calibrate_draws){mixed ? .02 : NAN, CALIBRATED, 11, BOOT_PERCENTILE, p}, got);
        for (int k = 0; k < CALIBRATE_MEASURES; k++) {
            char id[64];
            snprintf(id, sizeof id, "drawn%s.%s", mixed ? "_at_2" : "", names[k]);
            line_at(id, 0, got[k].lo);
            line_at(id, 1, got[k].hi);
        }
    }
    boot_release(&r);
    fclose(c.draws);
    pool_free(p);
    mem_free(c.weight);
    mem_free(stratum);
}

static void eval_one(const data *d)
{
    bool weighted = false;
    for (int64_t i = 0; i < d->n; i++)
        weighted |= d->w[i] != 1;
    for (int k = 0; k < 4; k++) {
        bool w = k & 1, c = k & 2;
        if ((w && !weighted) || (c && d->patients == d->n))
            continue;
        prefix = ((const char *[]){"", "w.", "c.", "wc."})[k];
        metric_in in = {
            d->a, d->y, w ? d->w : NULL, c ? d->patient : NULL, d->n, c ? d->patients : 0, false};
        survive_in time = {.score = d->a,
                           .n_scores = 1,
                           .t = d->t,
                           .event = d->e,
                           .cluster = in.cluster,
                           .weight = in.weight,
                           .n = d->n,
                           .n_clusters = in.n_clusters};
        auc_lines(&in, d->b);
        calibration_lines(&in);
        decision_lines(&in);
        rate_lines(&in, d->b);
        time_lines(&time);
        bca_lines(d, &in);
        if (c)
            continue; /* the rest does not know of patients */
        curve_lines(&in);
        point_lines(&in);
        decile_lines(&in);
        map_lines(&in);
        early_lines(time);
        if (!w)
            capture_lines(&in);
    }
    prefix = "";
    ensemble_lines(d);
}

/* ---- what needs no data set ------------------------------------------------------------------ */

static void number_lines(void)
{
    static const int64_t counts[][2] = {{0, 1},   {1, 1},   {0, 20},     {20, 20},       {1, 30},
                                        {26, 41}, {58, 72}, {5, 100000}, {99999, 100000}};
    static const double k[] = {0, 1, 2.5, 7, 100, 1234.5, 100000};
    static const double u[] = {1e-12, 1e-4, .025, .2, .5, .8, .975, .999999};
    double lo, hi;
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        if (metric_wilson((double)counts[i][0], (double)counts[i][1], &lo, &hi)) {
            line_at("wilson.lo", (int64_t)i, lo);
            line_at("wilson.hi", (int64_t)i, hi);
        }
        if (metric_clopper_pearson(counts[i][0], counts[i][1], &lo, &hi)) {
            line_at("clopper.lo", (int64_t)i, lo);
            line_at("clopper.hi", (int64_t)i, hi);
        }
    }
    for (size_t i = 0; i < COUNT_OF(k); i++) {
        rate_poisson(k[i], &lo, &hi);
        line_at("poisson.lo", (int64_t)i, lo);
        line_at("poisson.hi", (int64_t)i, hi);
    }
    for (size_t i = 0; i < COUNT_OF(u); i++)
        line_at("normal", (int64_t)i, rate_normal_quantile(u[i]));
    static const int df[] = {1, 2, 3, 12, 49, 400};
    for (size_t i = 0; i < COUNT_OF(df); i++) {
        line_at("student", (int64_t)i, rate_t_quantile(.975, df[i]));
        line_at("student.low", (int64_t)i, rate_t_quantile(.3, df[i]));
        line_at("chi2", (int64_t)i, rate_chi2(df[i] + 3, df[i]));
    }
    static const int64_t discordant[][2] = {{0, 0}, {1, 0},   {3, 3},     {12, 5},
                                            {0, 9}, {40, 17}, {500, 499}, {3000, 2000}};
    for (size_t i = 0; i < COUNT_OF(discordant); i++) {
        pair_discordant d = pair_mcnemar(discordant[i][0], discordant[i][1]);
        line_at("mcnemar.chi2", (int64_t)i, d.chi2);
        line_at("mcnemar.p_chi2", (int64_t)i, d.p_chi2);
        line_at("mcnemar.p_exact", (int64_t)i, d.p_exact);
    }
    double p[] = {.01, .04, NAN, .03, .005, .5, .04, 1, 0, NAN}, adjusted[COUNT_OF(p)];
    pair_holm(p, COUNT_OF(p), adjusted);
    for (size_t i = 0; i < COUNT_OF(p); i++)
        line_at("holm", (int64_t)i, adjusted[i]);
    static const double sorted[] = {-3, -1, 0, .5, .5, 2, 7, 11, 11.25, 40};
    for (int i = 0; i <= 20; i++)
        line_at("quantile", i, boot_quantile(sorted, COUNT_OF(sorted), i / 20.));
    for (int i = 1; i < 20; i++)
        line_at("shift", i, rate_prior_shift(i / 20., .3, .006));
    rate_value v = rate_ratio(7, 90, 3, 110);
    line("ratio", v.value);
    line("ratio.lo", v.lo);
    line("ratio.hi", v.hi);
    const int64_t events[] = {1, 4, 3, 9, 12}, rows[] = {40, 41, 39, 40, 38};
    rate_trend trend = rate_trend_test(events, rows, 5);
    line("trend.chi2", trend.z * trend.z);
    line("trend.p", trend.p);
    static const double runs[] = {.71, .74, .69, .75, .72};
    member_spread m = member_summary(runs, 5);
    line("spread.mean", m.mean);
    line("spread.sd", m.sd);
    static const double keep[] = {.5, 1, .05, .75, .25}, auc[] = {.71, .74, .52, .73, .66};
    line("area", robust_area(keep, auc, 5));
    line("knee", robust_knee(keep, auc, 5, .02));
}

/* ---- the data of pROC ------------------------------------------------------------------------ */

typedef struct boot_ctx {
    metric_in in;
    const metric_def *metric;
    double *weight; /* [threads, n] */
} boot_ctx;

static bool boot_point(void *ctx, const int32_t *times, double *out, int thread)
{
    boot_ctx *c = ctx;
    metric_in in = c->in;
    double *w = c->weight + thread * in.n;
    for (int64_t i = 0; i < in.n; i++)
        w[i] = times[i];
    in.weight = w;
    *out = c->metric->point(&in);
    return !isnan(*out);
}

/* Interval of a metric over 100,000 replicates, stratified by class. */
static void boot_lines(const data *d, const char *id, const char *lo_name, const char *hi_name)
{
    enum { REPLICATES = 100000 };
    pool *p = pool_new(0);
    boot_ctx c = {{d->a, d->y, NULL, NULL, d->n, 0, false},
                  NULL,
                  MEM_ARRAY(double, (size_t)(pool_threads(p) * d->n))};
    for (int i = 0; i < metric_table_n; i++)
        if (!strcmp(metric_table[i].id, id))
            c.metric = &metric_table[i];
    boot_spec s = {(int)d->n, d->y, 2, REPLICATES, 3, 1, boot_point, &c, p, BOOT_PERCENTILE};
    boot_result r;
    double lo, hi, sd;
    boot_run(&s, &r);
    if (boot_interval(&r, 0, .95, &lo, &hi, &sd)) {
        line(lo_name, lo);
        line(hi_name, hi);
    }
    boot_release(&r);
    mem_free(c.weight);
    pool_free(p);
}

static void pair_lines(const data *d, bool boot)
{
    metric_in in = {d->a, d->y, NULL, NULL, d->n, 0, false};
    auc_lines(&in, d->b);
    for (int i = 0; i < metric_table_n; i++)
        if (!strcmp(metric_table[i].id, "pauc_10"))
            line("pauc_10", metric_table[i].point(&in));
    if (boot) {
        boot_lines(d, "auc", "boot.lo", "boot.hi");
        boot_lines(d, "pauc_10", "boot.pauc_lo", "boot.pauc_hi");
    }
}

/* ---- main ------------------------------------------------------------------------------------ */

static int usage(void)
{
    fprintf(stderr, "usage: eval_probe numbers | eval FILE... | pairs FILE...\n");
    return 2;
}

int main(int argc, char **argv)
{
    err e = {0};
    if (argc == 2 && !strcmp(argv[1], "numbers")) {
        number_lines();
        return 0;
    }
    if (argc < 3)
        return usage();
    bool pairs = !strcmp(argv[1], "pairs");
    if (!pairs && strcmp(argv[1], "eval") != 0)
        return usage();
    for (int i = 2; i < argc; i++) {
        data d;
        char name[64];
        const char *slash = strrchr(argv[i], '/');
        if (!load(argv[i], &d, &e)) {
            fprintf(stderr, "%s\n", e.msg);
            return 1;
        }
        text_copy(name, sizeof name, slash ? slash + 1 : argv[i]);
        name[strcspn(name, ".")] = '\0';
        dataset = name;
        pairs ? pair_lines(&d, i == 2) : eval_one(&d);
        data_release(&d);
    }
    return 0;
}
