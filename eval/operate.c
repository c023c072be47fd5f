/* Operating points and the shared bootstrap. */
#include "eval/operate.h"
#include "core/mem.h"
#include "eval/boot.h"
#include <math.h>

#define STATS_PER_POINT 3

typedef struct scratch {
    double *weight;
    curve c;
} scratch;

typedef struct work {
    cohort_view v; /* in ascending order of score */
    metric_in in;  /* of it */
    operate_result *r;
    scratch *thread;
} work;

double operate_fpr(int g)
{
    double part = (double)g / (OPERATE_GRID - 1);
    return part * part;
}

/* ---- rates at a point ------------------------------------------------------------------------ */

/* Sensitivity, specificity and flagged share; ties at the border of a top share count in part. */
static void rates(const curve *c, const operate_point *o, double out[3])
{
    int64_t i;
    double part = 1; /* of the last tie group */
    if (o->kind == OPERATE_TOP) {
        double total = c->w1 + c->w0, want = o->target * total;
        if (total == rint(total)) /* whole exams: as many as curve_capture counts */
            want = fmin(ceil(want - 1e-9), total);
        for (i = 0; i + 1 < c->n && c->p[i].flagged1 + c->p[i].flagged0 < want - 1e-9; i++)
            ;
        if (i > 0) {
            const curve_point *a = &c->p[i - 1], *b = &c->p[i];
            double fa = a->flagged1 + a->flagged0, fb = b->flagged1 + b->flagged0;
            part = (want - fa) / (fb - fa);
        }
    } else if (o->fixed) {
        i = curve_at_threshold(c, o->threshold);
    } else {
        i = o->kind == OPERATE_SPEC ? curve_at_spec(c, o->target) : curve_at_sens(c, o->target);
    }
    double f1 = c->p[i].flagged1, f0 = c->p[i].flagged0;
    if (part < 1 && i > 0) {
        f1 = c->p[i - 1].flagged1 + part * (f1 - c->p[i - 1].flagged1);
        f0 = c->p[i - 1].flagged0 + part * (f0 - c->p[i - 1].flagged0);
    }
    out[0] = f1 / c->w1;
    out[1] = 1 - f0 / c->w0;
    out[2] = (f1 + f0) / (c->w1 + c->w0);
}

static void count_table(const metric_in *in, operate_point *o)
{
    o->tp = o->fp = o->fn = o->tn = 0;
    for (int64_t i = 0; i < in->n; i++) {
        bool flagged = in->score[i] >= o->threshold;
        if (in->y[i])
            flagged ? o->tp++ : o->fn++;
        else
            flagged ? o->fp++ : o->tn++;
    }
}

static void add_points(work *w, const cfg_reals *targets, operate_kind kind, const curve *here,
                       const curve *source)
{
    for (int i = 0; i < targets->n; i++) {
        if (w->r->n_points == OPERATE_POINTS)
            BUG("operate: more than %d points", OPERATE_POINTS);
        operate_point *o = &w->r->point[w->r->n_points];
        *o = (operate_point){.kind = kind, .target = targets->v[i], .ci = ""};
        o->capture_min = o->capture_max = NAN;
        curve_top top;
        if (kind == OPERATE_TOP) {
            if (!curve_capture(&w->in, o->target, &top))
                continue;
            o->threshold = top.threshold;
            o->capture_min = top.capture_min;
            o->capture_max = top.capture_max;
        } else {
            int64_t k = kind == OPERATE_SPEC ? curve_at_spec(source, o->target)
                                             : curve_at_sens(source, o->target);
            o->threshold = source->p[k].threshold;
            o->fixed = source != here;
        }
        double v[3];
        rates(here, o, v);
        o->sens = (operate_rate){v[0], NAN, NAN};
        o->spec = (operate_rate){v[1], NAN, NAN};
        o->flagged = (operate_rate){v[2], NAN, NAN};
        count_table(&w->in, o);
        w->r->n_points++;
    }
}

/* ---- bootstrap ------------------------------------------------------------------------------- */

static bool statistic(void *ctx, const int32_t *times, double *out, int thread)
{
    work *w = ctx;
    scratch *s = &w->thread[thread];
    metric_in in = w->in;
    for (int64_t i = 0; i < in.n; i++)
        s->weight[i] = times[in.cluster[i]] * (w->in.weight ? w->in.weight[i] : 1.0);
    in.weight = s->weight;
    if (!curve_build(&in, &s->c))
        return false;
    for (int k = 0; k < metric_table_n; k++)
        *out++ = metric_table[k].point(&in);
    for (int k = 0; k < w->r->n_points; k++, out += STATS_PER_POINT)
        rates(&s->c, &w->r->point[k], out);
    for (int g = 0; g < OPERATE_GRID; g++)
        *out++ = curve_tpr_at(&s->c, operate_fpr(g));
    return true;
}

static void wilson(operate_point *o)
{
    metric_wilson((double)o->tp, (double)(o->tp + o->fn), &o->sens.lo, &o->sens.hi);
    metric_wilson((double)o->tn, (double)(o->tn + o->fp), &o->spec.lo, &o->spec.hi);
    metric_wilson((double)(o->tp + o->fp), (double)(o->tp + o->fn + o->fp + o->tn), &o->flagged.lo,
                  &o->flagged.hi);
    o->ci = "wilson";
}

/* A rate of 0 or 1 that no replicate moves is not known for certain: its interval is exact. */
static void exact_ends(const metric_in *in, operate_point *o)
{
    bool sens = metric_exact_share(in, 1, o->sens.value, &o->sens.lo, &o->sens.hi),
         spec = metric_exact_share(in, 0, o->spec.value, &o->spec.lo, &o->spec.hi);
    metric_exact_share(in, -1, o->flagged.value, &o->flagged.lo, &o->flagged.hi);
    if (sens || (spec && o->kind != OPERATE_TOP)) /* of a top share only the first is shown */
        o->ci = strcmp(o->ci, "bca") ? "bootstrap-exact" : "bca-exact";
}

static void bootstrap(work *w, const report_cfg *want, pool *p)
{
    operate_result *r = w->r;
    int n_clusters = w->in.n_clusters, n_stats;
    int *ever_case = MEM_ARRAY(int, n_clusters + 1);
    for (int64_t i = 0; i < w->in.n; i++)
        ever_case[w->in.cluster[i]] |= w->in.y[i];
    n_stats = metric_table_n + STATS_PER_POINT * r->n_points + OPERATE_GRID;
    w->thread = MEM_ARRAY(scratch, pool_threads(p));
    for (int t = 0; t < pool_threads(p); t++)
        w->thread[t].weight = MEM_ARRAY(double, w->in.n + 1);
    boot_spec s = {.n_clusters = n_clusters,
                   .stratum = ever_case,
                   .n_strata = 2,
                   .replicates = want->bootstrap,
                   .seed = (uint64_t)want->seed,
                   .n_stats = n_stats,
                   .stat = statistic,
                   .ctx = w,
                   .pool = p,
                   .kind = want->boot_kind};
    boot_result b;
    boot_run(&s, &b);
    r->replicates = b.replicates;
    r->redrawn = b.redrawn;
    r->failed = b.failed;
    int at = 0;
    double sd;
    for (int k = 0; k < metric_table_n; k++, at++) {
        operate_rate *m = &r->metric[k];
        boot_interval(&b, at, 0.95, &m->lo, &m->hi, &r->metric_sd[k]);
        if (m->lo == m->hi) /* nothing to draw from is not certainty */
            m->lo = m->hi = NAN;
    }
    for (int k = 0; k < r->n_points; k++, at += STATS_PER_POINT) {
        operate_point *o = &r->point[k];
        if (!strcmp(o->ci, "wilson"))
            continue;
        if (boot_interval(&b, at, 0.95, &o->sens.lo, &o->sens.hi, &sd) &&
            boot_interval(&b, at + 1, 0.95, &o->spec.lo, &o->spec.hi, &sd) &&
            boot_interval(&b, at + 2, 0.95, &o->flagged.lo, &o->flagged.hi, &sd))
            o->ci = boot_name((boot_kind)want->boot_kind);
        exact_ends(&w->in, o);
        if (!o->fixed) { /* the rate that the threshold was chosen for */
            operate_rate *given = o->kind == OPERATE_SPEC   ? &o->spec
                                  : o->kind == OPERATE_SENS ? &o->sens
                                                            : &o->flagged;
            given->lo = given->hi = NAN;
        }
    }
    r->band = true;
    for (int g = 0; g < OPERATE_GRID; g++, at++)
        r->band = boot_interval(&b, at, 0.95, &r->tpr_lo[g], &r->tpr_hi[g], &sd) && r->band;
    boot_release(&b);
    for (int t = 0; t < pool_threads(p); t++) {
        mem_free(w->thread[t].weight);
        curve_release(&w->thread[t].c);
    }
    mem_free(w->thread);
    mem_free(ever_case);
}

/* ---- all together ---------------------------------------------------------------------------- */

void operate_run(const cohort_view *v, const cohort_view *fixed, bool repeated,
                 const report_cfg *want, pool *p, operate_result *out)
{
    work w = {.r = out};
    curve here = {0}, there = {0};
    memset(out, 0, sizeof *out);
    if (metric_table_n > OPERATE_METRICS)
        BUG("operate: %d metrics", metric_table_n);
    cohort_view_sorted(v, v->score, &w.v);
    w.in = w.v.in;
    for (int k = 0; k < metric_table_n; k++) {
        out->metric[k] = (operate_rate){metric_table[k].point(&w.in), NAN, NAN};
        out->metric_sd[k] = NAN;
    }
    if (curve_build(&w.in, &here) && (!fixed || curve_build(&fixed->in, &there))) {
        const curve *source = fixed ? &there : &here;
        add_points(&w, &want->spec, OPERATE_SPEC, &here, source);
        add_points(&w, &want->sens, OPERATE_SENS, &here, source);
        add_points(&w, &want->top, OPERATE_TOP, &here, source);
        for (int k = 0; k < out->n_points; k++)
            if (out->point[k].fixed && !repeated && !w.in.weight)
                wilson(&out->point[k]);
        for (int g = 0; g < OPERATE_GRID; g++)
            out->tpr[g] = curve_tpr_at(&here, operate_fpr(g));
        if (want->bootstrap > 0)
            bootstrap(&w, want, p);
    }
    curve_release(&here);
    curve_release(&there);
    cohort_view_release(&w.v);
}
