/* Fills the ledgers of a report, the most important counts first: the threshold of the subgroups
 * and the operating points, then risk groups, then subgroups. */
#include "eval/report_tell.h"
#include "core/mem.h"
#include "eval/calibrate.h"
#include "eval/coarse.h"
#include "eval/part.h"
#include "eval/report_text.h"
#include <math.h>
#include <stdlib.h>

const char *const report_tell_always[REPORT_TELL_ALWAYS] = {"age", "density", "vendor", "views"};

/* ---- variables ------------------------------------------------------------------------------- */

/* The variable in both tables, whose columns may differ; the thirds of a density are those of the
 * evaluated exams. False: they have no such column. */
static bool find(const report_build *b, const char *name, strata_var *here, strata_var *there)
{
    const report_cfg *c = &b->opts->cfg;
    const strata_source a = {&b->set.exams, c->screen_days, c->interval_days},
                        v = {&b->val_set.exams, c->screen_days, c->interval_days};
    if (!strata_find(name, &a, here, NULL))
        return false;
    if (!strata_find(name, &v, there, NULL)) {
        *there = *here;
        there->fact = -1;
    }
    memcpy(there->cut, here->cut, sizeof there->cut);
    return true;
}

/* Splits and guards; nothing is told before all variables are guarded. */
static void add_variable(report_build *b, const char *name, bool asked)
{
    report_tell *t = &b->tell;
    tell_variable *v = (tell_variable *)report_tell_variable(b, name);
    strata_var there;
    if (v) {
        v->asked = v->asked || asked;
        return;
    }
    v = &t->variable[t->n_variables];
    if (!find(b, name, &v->var, &there))
        return; /* the part that shows it refuses an unknown one */
    v->asked = asked;
    v->always = t->n_variables < REPORT_TELL_ALWAYS;
    t->n_variables++;
    strata_split(&v->var, &b->set.exams, &v->groups);
    coarse_guard(t->all, &v->groups, t->positive);
    if (!t->val)
        return;
    strata_split(&there, &b->val_set.exams, &v->val);
    coarse_guard(t->val, &v->val, NULL);
    strata_release(&v->val);
}

static void guard_variables(report_build *b)
{
    const report_cfg *c = &b->opts->cfg;
    b->tell.variable = MEM_ARRAY(tell_variable, REPORT_TELL_ALWAYS + 1 + c->subgroups.n);
    for (int i = 0; i < REPORT_TELL_ALWAYS; i++)
        add_variable(b, report_tell_always[i], false);
    for (int i = 0; i < c->subgroups.n; i++)
        add_variable(b, c->subgroups.v[i], true);
    add_variable(b, "site", false); /* of the exams that thresholds come from */
}

static void tell_variables(report_build *b)
{
    report_tell *t = &b->tell;
    for (int i = 0; i < t->n_variables; i++) {
        tell_variable *v = &t->variable[i];
        strata_var here, there;
        v->shown = coarse_groups(t->all, &v->var, &v->groups);
        for (int k = 0; k < v->groups.n; k++)
            v->joined = v->joined || v->groups.g[k].n_members > 1;
        if (v->shown && t->positive) {
            v->sens = coarse_signs(t->all, &v->groups, DISCLOSE_CASES, t->positive);
            v->spec = !v->var.cases_only &&
                      coarse_signs(t->all, &v->groups, DISCLOSE_CONTROLS, t->positive);
        }
        if (v->shown && t->val && find(b, v->var.name, &here, &there)) {
            strata_follow(&there, &b->val_set.exams, &v->groups, &v->val);
            v->val_told = coarse_counts(t->val, &there, &v->val);
        }
    }
}

int tell_variable_groups(const tell_variable *v)
{
    return v->val_told ? v->val.n : v->groups.n;
}

const tell_variable *report_tell_variable(const report_build *b, const char *name)
{
    for (int i = 0; i < b->tell.n_variables; i++)
        if (!strcmp(b->tell.variable[i].var.name, name))
            return &b->tell.variable[i];
    return NULL;
}

/* ---- scores ---------------------------------------------------------------------------------- */

typedef struct by_score {
    double score;
    int64_t row;
} by_score;

/* Highest first; equal scores in reverse order of exams: the groups of equal count count upwards.
 */
static int cmp_score(const void *x, const void *y)
{
    const by_score *a = x, *b = y;
    if (a->score != b->score)
        return a->score < b->score ? 1 : -1;
    return (a->row < b->row) - (a->row > b->row);
}

int report_tell_order(disclose *d, const cohort_view *v, const double *score, int y)
{
    by_score *by = MEM_ARRAY(by_score, v->n + 1);
    int64_t *row = MEM_ARRAY(int64_t, v->n + 1), n = 0;
    for (int64_t i = 0; i < v->n; i++)
        if ((v->y[i] != 0) == y)
            by[n++] = (by_score){score[i], i};
    qsort(by, (size_t)n, sizeof *by, cmp_score);
    for (int64_t i = 0; i < n; i++)
        row[i] = by[i].row;
    int order = disclose_order(d, row, n);
    mem_free(by);
    mem_free(row);
    return order;
}

bool report_tell_cases(const report_build *b, int64_t flagged)
{
    return disclose_cut(b->tell.all, &b->tell.cases, &flagged, 1);
}

bool report_tell_controls(const report_build *b, int64_t flagged)
{
    return disclose_cut(b->tell.all, &b->tell.controls, &flagged, 1);
}

bool report_tell_both(const report_build *b, int64_t cases, int64_t controls)
{
    return disclose_cut(b->tell.all, (int[]){b->tell.cases, b->tell.controls},
                        (int64_t[]){cases, controls}, 2);
}

/* ---- groups of equal count ------------------------------------------------------------------- */

/* Beside a threshold an edge may tell of few exams without cancer that lie between the two, of whom
 * nothing else is known; of few with cancer it never does. */
static bool edge_fits(void *ctx, int64_t cases, int64_t controls)
{
    report_tell *t = ctx;
    return disclose_cut(t->all, (int[]){t->cases, t->rest}, (int64_t[]){cases, controls}, 2);
}

/* Exams that count, highest scores first. */
static int64_t *falling(const report_build *b, int64_t *n)
{
    by_score *by = MEM_ARRAY(by_score, b->all.n + 1);
    int64_t *row = MEM_ARRAY(int64_t, b->all.n + 1);
    *n = 0;
    for (int64_t i = 0; i < b->all.n; i++)
        if (!b->all.in.weight || b->all.in.weight[i] != 0)
            by[(*n)++] = (by_score){b->all.score[i], i};
    qsort(by, (size_t)*n, sizeof *by, cmp_score);
    for (int64_t i = 0; i < *n; i++)
        row[i] = by[i].row;
    mem_free(by);
    return row;
}

static void add_bands(report_build *b, int k, tell_bands *out)
{
    int64_t n, *row = falling(b, &n), *edge = MEM_ARRAY(int64_t, k + 1);
    k = n < k ? (int)n : k;
    *out = (tell_bands){.asked = k,
                        .of = MEM_ARRAY(int, b->all.n + 1),
                        .first = MEM_ARRAY(int, k + 1),
                        .last = MEM_ARRAY(int, k + 1)};
    for (int g = 1; g < k; g++)
        edge[g - 1] = n - (k - g) * n / k;
    int kept = k - 1;
    if (disclose_minimum(b->tell.all) > 1)
        kept = coarse_edges(b->tell.all, row, n, edge, k - 1, edge_fits, &b->tell);
    out->n = k ? kept + 1 : 0;
    for (int64_t i = 0; i < b->all.n; i++)
        out->of[i] = -1;
    for (int64_t i = 0, at = 0; i < n; i++) {
        while (at < kept && i >= edge[at])
            at++;
        out->of[row[i]] = out->n - 1 - (int)at;
    }
    for (int g = 0, at = 1; g < out->n; g++) { /* edges count from the other end */
        int64_t below = g + 1 < out->n ? n - edge[kept - 1 - g] : n;
        out->first[g] = at;
        while (at < k && at * n / k < below)
            at++;
        out->last[g] = at;
        at++;
    }
    mem_free(edge);
    mem_free(row);
}

void report_tell_band_name(const tell_bands *t, int group, text *out)
{
    char first[16], last[16];
    snprintf(first, sizeof first, "%d", t->first[group]);
    snprintf(last, sizeof last, "%d", t->last[group]);
    if (t->first[group] == t->last[group])
        text_add(out, first);
    else
        report_fill(out, "level.range", (const char *const[]){"first", first, "last", last, NULL});
}

static void release_bands(tell_bands *t)
{
    mem_free(t->of);
    mem_free(t->first);
    mem_free(t->last);
}

/* ---- subsets --------------------------------------------------------------------------------- */

tell_sizes report_tell_subset(const report_build *b, const int64_t *row, int64_t n)
{
    disclose *d = b->tell.all;
    int64_t *side[2] = {MEM_ARRAY(int64_t, n + 1), MEM_ARRAY(int64_t, b->all.n + 1)}, rest = 0;
    bool *in = MEM_ARRAY(bool, b->all.n + 1);
    for (int64_t i = 0; i < n; i++)
        in[side[0][i] = row ? row[i] : i] = true;
    for (int64_t i = 0; i < b->all.n; i++)
        if (!in[i])
            side[1][rest++] = i;
    disclose_level l[2] = {{.row = side[0], .n = n}, {.row = side[1], .n = rest}};
    disclose_guard_levels(d, l, 2, NULL);
    disclose_tell_levels(d, l, 2);
    mem_free(side[0]);
    mem_free(side[1]);
    mem_free(in);
    return (tell_sizes){l[0].exams, l[0].cancers};
}

/* ---- all together ---------------------------------------------------------------------------- */

static disclose *ledger_of(const cohort_view *v, int64_t minimum)
{
    return disclose_new(v->cluster, v->y, v->n, minimum);
}

/* Threshold at which all exams together keep the specificity that subgroups are judged at. */
static double threshold_of(const report_build *b)
{
    curve c = {0};
    double t = NAN;
    const cohort_view *v = b->src->val ? &b->val : &b->all;
    if (curve_build(&v->in, &c))
        t = c.p[curve_at_spec(&c, b->opts->cfg.subgroup_spec)].threshold;
    curve_release(&c);
    return t;
}

/* The sign of every exam at the threshold of the subgroups: the first cut of the scores, and the
 * sum of what is told of the groups. */
static void tell_sign(report_build *b)
{
    report_tell *t = &b->tell;
    int64_t n[2] = {0}, *all = MEM_ARRAY(int64_t, b->all.n + 1);
    t->positive = MEM_ARRAY(bool, b->all.n + 1);
    for (int64_t i = 0; i < b->all.n; i++) {
        all[i] = i;
        t->positive[i] = b->all.score[i] >= t->threshold;
        n[b->all.y[i] != 0] += t->positive[i];
    }
    disclose_guard_levels(t->all, &(disclose_level){.row = all, .n = b->all.n}, 1, t->positive);
    if (report_tell_cases(b, n[1]))
        disclose_tell(t->all, &(disclose_set){all, b->all.n, DISCLOSE_CASES, t->positive, true}, 1);
    if (report_tell_controls(b, n[0]))
        disclose_tell(t->all, &(disclose_set){all, b->all.n, DISCLOSE_CONTROLS, t->positive, true},
                      1);
    mem_free(all);
}

/* Exams with a score above that of a point: those that it flags without the tied ones. */
static bool tell_top(const report_build *b, const operate_point *o)
{
    int64_t above[2] = {0};
    for (int64_t i = 0; i < b->all.n; i++)
        above[b->all.y[i] != 0] += b->all.score[i] > o->threshold;
    return report_tell_both(b, o->tp, o->fp) &&
           (o->capture_min == o->capture_max || report_tell_both(b, above[1], above[0]));
}

/* The point that words speak of first, then all in order. */
static void tell_points(report_build *b)
{
    const operate_point *first = report_build_usual_point(b);
    for (int i = -1; i < b->operate.n_points; i++) {
        operate_point *o = i < 0 ? (operate_point *)first : &b->operate.point[i];
        if (!o)
            continue;
        if (o->kind == OPERATE_TOP) {
            o->cases_told = o->controls_told = tell_top(b, o);
        } else {
            o->cases_told = report_tell_cases(b, o->tp);
            o->controls_told = report_tell_controls(b, o->fp);
        }
    }
}

void report_tell_init(report_build *b)
{
    report_tell *t = &b->tell;
    int64_t minimum = b->opts->cfg.min_count;
    t->all = ledger_of(&b->all, minimum);
    if (b->src->val)
        t->val = ledger_of(&b->val, minimum);
    t->cases = report_tell_order(t->all, &b->all, b->all.score, 1);
    t->controls = report_tell_order(t->all, &b->all, b->all.score, 0);
    t->rest = report_tell_order(t->all, &b->all, b->all.score, 0);
    t->threshold = threshold_of(b);
    if (!isnan(t->threshold))
        tell_sign(b);
    guard_variables(b);
    tell_points(b);
    add_bands(b, (int)b->opts->cfg.risk_groups, &t->deciles);
    add_bands(b, CALIBRATE_BINS, &t->tenths);
    tell_variables(b);
}

void report_tell_release(report_tell *t)
{
    for (int i = 0; i < t->n_variables; i++) {
        strata_release(&t->variable[i].groups);
        strata_release(&t->variable[i].val);
    }
    mem_free(t->variable);
    release_bands(&t->deciles);
    release_bands(&t->tenths);
    disclose_free(t->all);
    disclose_free(t->val);
    mem_free(t->positive);
}
