/* Fills the ledgers of a report, the most important counts first: the threshold of the subgroups
 * and the operating points, then the sizes of subgroups. */
#include "eval/report_tell.h"
#include "core/mem.h"
#include "eval/part.h"
#include <math.h>
#include <stdlib.h>

const char *const report_tell_always[REPORT_TELL_ALWAYS] = {"age", "density", "vendor", "views"};

/* ---- groups ---------------------------------------------------------------------------------- */

/* The groups of a variable, exams of one set. */
static void groups_of(const strata_groups *g, const strata_var *v, const exam_table *t,
                      tell_groups *out)
{
    int64_t at = 0;
    *out = (tell_groups){.l = MEM_ARRAY(disclose_level, g->n + 1), .n = g->n};
    for (int i = 0; i < g->n; i++)
        out->rows += g->g[i].n;
    out->row = MEM_ARRAY(int64_t, out->rows + 1);
    for (int i = 0; i < g->n; i++) {
        out->l[i].row = out->row + at;
        for (int64_t k = 0; k < g->g[i].n; k++)
            if (!v->cases_only || t->row[g->g[i].row[k]].y)
                out->row[at++] = g->g[i].row[k];
        out->l[i].n = out->row + at - out->l[i].row;
    }
}

void tell_groups_release(tell_groups *t)
{
    mem_free(t->l);
    mem_free(t->row);
    *t = (tell_groups){0};
}

void report_tell_groups(const report_build *b, bool val, const strata_groups *g,
                        const strata_var *v, tell_groups *out)
{
    disclose *d = val ? b->tell.val : b->tell.all;
    const bool *positive = val ? NULL : b->tell.positive;
    groups_of(g, v, val ? &b->val_set.exams : &b->set.exams, out);
    disclose_guard_levels(d, out->l, out->n, positive);
    disclose_tell_levels(d, out->l, out->n, positive);
}

/* All variables of the report on one set of exams; those that are shown in any case first. */
static void tell_variables(const report_build *b, bool val, bool guard)
{
    const report_cfg *c = &b->opts->cfg;
    const exam_table *t = val ? &b->val_set.exams : &b->set.exams;
    const strata_source source = {t, c->screen_days, c->interval_days};
    disclose *d = val ? b->tell.val : b->tell.all;
    const bool *positive = val ? NULL : b->tell.positive;
    for (int i = 0; d && i < REPORT_TELL_ALWAYS + c->subgroups.n; i++) {
        const char *name =
            i < REPORT_TELL_ALWAYS ? report_tell_always[i] : c->subgroups.v[i - REPORT_TELL_ALWAYS];
        strata_var v;
        strata_groups g;
        tell_groups mine;
        if (!strata_find(name, &source, &v, NULL))
            continue; /* the part that shows it refuses it */
        strata_split(&v, t, &g);
        groups_of(&g, &v, t, &mine);
        if (guard)
            disclose_guard_levels(d, mine.l, mine.n, positive);
        else
            disclose_tell_levels(d, mine.l, mine.n, positive);
        tell_groups_release(&mine);
        strata_release(&g);
    }
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

bool report_tell_edge(const report_build *b, int64_t cases, int64_t controls)
{
    return disclose_cut(b->tell.all, (int[]){b->tell.cases, b->tell.rest},
                        (int64_t[]){cases, controls}, 2);
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
    disclose_tell_levels(d, l, 2, NULL);
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
    tell_variables(b, false, true);
    tell_variables(b, true, true);
    tell_points(b);
    tell_variables(b, false, false);
    tell_variables(b, true, false);
}

void report_tell_release(report_tell *t)
{
    disclose_free(t->all);
    disclose_free(t->val);
    mem_free(t->positive);
}
