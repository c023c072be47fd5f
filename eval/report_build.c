/* What every part of the report needs to add to the eval.json tree. */
#include "eval/report_build.h"
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/report_text.h"
#include <math.h>

#define USUAL_SPEC    0.90
#define DIGITS_MOST   3 /* of an AUC */
#define DIGITS_HIDDEN 2 /* of one beside numbers that are not told, at most */

cohort_how report_build_how(const report_build *b)
{
    return (cohort_how){(exam_rule)b->opts->cfg.rule, (member_rule)b->opts->cfg.ensemble};
}

json_t *report_build_metric(report_build *b, const report_metric *m)
{
    json_t *j = json_object(), *flags = json_array();
    json_object_set_new(j, "id", json_string(m->id));
    json_object_set_new(j, "unit", json_string(m->unit));
    json_object_set_new(j, "subset", cells_string(m->subset));
    json_object_set_new(j, "horizon", m->horizon ? json_deep_copy(m->horizon) : json_null());
    json_object_set_new(j, "value", json_num(m->value));
    json_object_set_new(j, "lo", json_num(m->lo));
    json_object_set_new(j, "hi", json_num(m->hi));
    json_object_set_new(j, "ci", m->ci && m->ci[0] ? json_string(m->ci) : json_null());
    json_object_set_new(j, "reason", m->reason ? json_string(m->reason) : json_null());
    json_object_set_new(j, "n_exams", json_integer(m->n_exams));
    json_object_set_new(j, "n_patients", json_integer(m->n_patients));
    json_object_set_new(j, "n_events", json_integer(m->n_events));
    if (m->flag)
        json_array_append_new(flags, json_string(m->flag));
    json_object_set_new(j, "flags", flags);
    json_array_append_new(json_object_get(b->tree, "metrics"), j);
    return j;
}

void report_build_table(report_build *b, json_t *t)
{
    json_array_append_new(json_object_get(b->tree, "tables"), t);
}

json_t *report_build_curve(report_build *b, const char *id)
{
    static const char *const members[] = {"x", "y", "lo", "hi", NULL};
    json_t *c = json_object();
    json_object_set_new(c, "id", json_string(id));
    for (int i = 0; members[i]; i++)
        json_object_set_new(c, members[i], json_array());
    json_array_append_new(json_object_get(b->tree, "curves"), c);
    return c;
}

void report_build_point(json_t *c, const char *list, double v)
{
    json_array_append_new(json_object_get(c, list), json_num(v));
}

void report_build_sentence(json_t *list, const char *key, const char *const *pairs)
{
    text t;
    text_init(&t);
    report_fill(&t, key, pairs);
    json_array_append_new(list, cells_string(t.s));
    text_release(&t);
}

void report_build_histogram(report_build *b, const char *id, const double edge[2],
                            const int64_t *count, int n, bool cases)
{
    int *end = MEM_ARRAY(int, n + 1), bars = 0;
    int64_t *inside = MEM_ARRAY(int64_t, n + 1), total = 0, above;
    json_t *c = report_build_curve(b, id);
    for (int k = 0; k < n; k++)
        total += count[k];
    above = total;
    for (int k = 0; k < n; k++, bars++) {
        inside[bars] = 0;
        for (bool fits = false; !fits && k < n; k++) {
            inside[bars] += count[k];
            above -= count[k];
            end[bars] = k + 1;
            fits = cases ? report_tell_cases(b, above) : report_tell_controls(b, above);
        }
        k--;
    }
    for (int k = -1; k < bars; k++)
        report_build_point(c, "x", edge[0] + (edge[1] - edge[0]) * (k < 0 ? 0 : end[k]) / n);
    for (int k = 0; k < bars; k++) {
        int width = end[k] - (k ? end[k - 1] : 0);
        report_build_point(c, "y",
                           total >= METRIC_FEW ? (double)inside[k] / (double)total / width : 0);
    }
    mem_free(inside);
    mem_free(end);
}

void report_build_limit(report_build *b, const char *key, const char *const *pairs)
{
    report_build_sentence(json_object_get(b->tree, "limits"), key, pairs);
}

/* One step of the last decimal is worth at least the minimum of pairs. */
int report_build_digits(const report_build *b, int64_t events, int64_t controls, bool told)
{
    double least = (double)b->opts->cfg.min_count, pairs = (double)events * (double)controls;
    if (least <= 1 || events + controls == b->all.n || !(pairs > 0))
        return told ? 0 : DIGITS_HIDDEN;
    int digits = (int)fmax(1, fmin(DIGITS_MOST, floor(log10(pairs / least))));
    return told || digits < DIGITS_HIDDEN ? digits : DIGITS_HIDDEN;
}

static double rounded(double v, int digits)
{
    double unit = pow(10, digits);
    return digits ? round(v * unit) / unit : v;
}

void report_build_coarse(const report_build *b, metric_value *a, int64_t events, int64_t controls,
                         bool told)
{
    double unit;
    a->digits = report_build_digits(b, events, controls, told);
    if (!a->digits)
        return;
    unit = pow(10, a->digits);
    a->value = rounded(a->value, a->digits);
    a->lo = floor(a->lo * unit + 1e-9) / unit; /* outward: an interval stays one */
    a->hi = ceil(a->hi * unit - 1e-9) / unit;
    if (!told && !strcmp(a->ci, "exact-pairs")) { /* follows from the number of women */
        a->lo = a->hi = NAN;
        a->ci = "";
        a->reason = "DEGENERATE";
    }
}

metric_value report_build_subset(report_build *b, const cohort_set *set, const int64_t *row,
                                 int64_t n, const char *subset, tell_sizes told)
{
    cohort_view v;
    cohort_view_build(set, row, n, &v);
    metric_value a = metric_auc_report(&v.in);
    report_build_coarse(b, &a, v.events, v.n - v.events, told.cancers);
    report_metric m = {.id = "auc",
                       .unit = "exam",
                       .subset = subset,
                       .value = a.value,
                       .lo = a.lo,
                       .hi = a.hi,
                       .ci = a.ci,
                       .reason = a.reason,
                       .flag = a.flag,
                       .n_exams = v.n,
                       .n_patients = v.n_patients,
                       .n_events = v.events};
    json_t *j = report_build_metric(b, &m);
    if (!told.cancers)
        json_object_set_new(j, "n_events", json_null());
    if (!told.exams) {
        json_object_set_new(j, "n_exams", json_null());
        json_object_set_new(j, "n_patients", json_null());
    }
    a.n = v.n_patients; /* handed back for the table */
    a.events = v.events;
    cohort_view_release(&v);
    return a;
}

void report_build_auc(json_t *row, const metric_value *a)
{
    cells_rounded(row, (double[]){a->value, a->lo, a->hi}, a->digits);
}

void report_build_remark(json_t *row, const metric_value *a)
{
    char key[48];
    const char *word = a->reason ? a->reason : a->flag;
    snprintf(key, sizeof key, "%s.%s", a->reason ? "reason" : "flag", word ? word : "none");
    cells_text(row, report_text(key));
}

const operate_point *report_build_usual_point(const report_build *b)
{
    const operate_point *found = NULL;
    for (int i = 0; i < b->operate.n_points; i++) {
        const operate_point *o = &b->operate.point[i];
        if (o->kind == OPERATE_SPEC && isfinite(o->threshold) &&
            (!found || fabs(o->target - USUAL_SPEC) < fabs(found->target - USUAL_SPEC)))
            found = o;
    }
    return found;
}
