/* Tables of the report: metrics, operating points, predictive values, subgroups, sensitivity
 * analyses, views, members. evaluation.md 6, 7, 12. */
#include "eval/report_tables.h"
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/report_text.h"
#include "eval/strata.h"
#include <math.h>

static void add_table(report_build *b, json_t *t)
{
    json_array_append_new(json_object_get(b->tree, "tables"), t);
}

/* ---- all metrics ----------------------------------------------------------------------------- */

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
    add_table(b, t);
}

/* ---- operating points ------------------------------------------------------------------------ */

static void point_name(const operate_point *o, text *out)
{
    static const char *const keys[] = {"point.spec", "point.sens", "point.top"};
    char target[32];
    snprintf(target, sizeof target, "%.4g", 100 * o->target);
    report_fill(out, keys[o->kind], (const char *const[]){"target", target, NULL});
}

static void cell_rate(json_t *row, const operate_rate *r)
{
    cells_est(row, r->value, r->lo, r->hi);
}

static void operating_table(report_build *b)
{
    static const char *const columns[][2] = {
        {"point", "text"},  {"threshold", "score"}, {"sens", "est"},   {"spec", "est"},
        {"flagged", "pct"}, {"tp", "int"},          {"fp", "int"},     {"fn", "int"},
        {"tn", "int"},      {"ci_method", "text"},  {"chosen", "text"}};
    json_t *t = cells_table("operating");
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, columns[i][0], columns[i][1]);
    for (int i = 0; i < b->operate.n_points; i++) {
        const operate_point *o = &b->operate.point[i];
        if (o->kind == OPERATE_TOP)
            continue;
        char key[32];
        text name;
        text_init(&name);
        point_name(o, &name);
        json_t *row = cells_row(t);
        cells_text(row, name.s);
        cells_num(row, isinf(o->threshold) ? NAN : o->threshold);
        cell_rate(row, &o->sens);
        cell_rate(row, &o->spec);
        cells_num(row, o->flagged.value);
        cells_int(row, o->tp);
        cells_int(row, o->fp);
        cells_int(row, o->fn);
        cells_int(row, o->tn);
        snprintf(key, sizeof key, "ci.%s", o->ci[0] ? o->ci : "none");
        cells_text(row, report_text(key));
        cells_text(row, report_text(o->fixed ? "chosen.val" : "chosen.same"));
        text_release(&name);
    }
    add_table(b, t);
}

static void capture_table(report_build *b)
{
    json_t *t = cells_table("capture");
    cells_column(t, "point", "text");
    cells_column(t, "threshold", "score");
    cells_column(t, "capture", "est");
    cells_column(t, "capture_min", "num");
    cells_column(t, "capture_max", "num");
    cells_column(t, "ci_method", "text");
    for (int i = 0; i < b->operate.n_points; i++) {
        const operate_point *o = &b->operate.point[i];
        if (o->kind != OPERATE_TOP)
            continue;
        char key[32];
        text name;
        text_init(&name);
        point_name(o, &name);
        json_t *row = cells_row(t);
        cells_text(row, name.s);
        cells_num(row, o->threshold);
        cell_rate(row, &o->sens);
        cells_num(row, o->capture_min);
        cells_num(row, o->capture_max);
        snprintf(key, sizeof key, "ci.%s", o->ci[0] ? o->ci : "none");
        cells_text(row, report_text(key));
        text_release(&name);
    }
    add_table(b, t);
}

static void predictive_table(report_build *b)
{
    static const char *const columns[][2] = {
        {"point", "text"},      {"prevalence", "pct"}, {"per1000", "num1"}, {"found1000", "num1"},
        {"missed1000", "num1"}, {"ppv", "pct"},        {"npv", "pct4"},     {"nns", "num1"}};
    json_t *t = cells_table("predictive");
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, columns[i][0], columns[i][1]);
    for (int i = 0; i < b->operate.n_points; i++) {
        const operate_point *o = &b->operate.point[i];
        for (int k = 0; o->kind == OPERATE_SPEC && k < b->opts->cfg.prevalence.n; k++) {
            double pi = b->opts->cfg.prevalence.v[k], se = o->sens.value, sp = o->spec.value;
            double ppv = metric_ppv(se, sp, pi);
            text name;
            text_init(&name);
            point_name(o, &name);
            json_t *row = cells_row(t);
            cells_text(row, name.s);
            cells_num(row, pi);
            cells_num(row, 1000 * (se * pi + (1 - sp) * (1 - pi)));
            cells_num(row, 1000 * se * pi);
            cells_num(row, 1000 * (1 - se) * pi);
            cells_num(row, ppv);
            cells_num(row, metric_npv(se, sp, pi));
            cells_num(row, ppv > 0 ? 1 / ppv : NAN);
            text_release(&name);
        }
    }
    add_table(b, t);
}

/* ---- subsets --------------------------------------------------------------------------------- */

/* AUC of the exams in row[n], also as an entry of tree.metrics. */
static metric_value subset_auc(report_build *b, const cohort_set *set, const int64_t *row,
                               int64_t n, const char *subset)
{
    cohort_view v;
    cohort_view_build(set, row, n, &v);
    metric_value a = metric_auc_report(&v.in);
    bool masked = v.events > 0 && v.events < METRIC_FEW;
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
    json_t *j = report_metric_new(&m);
    if (masked)
        json_object_set_new(j, "n_events", json_null()); /* small cells stay hidden */
    json_array_append_new(json_object_get(b->tree, "metrics"), j);
    a.n = v.n_patients; /* handed back for the table */
    a.events = v.events;
    cohort_view_release(&v);
    return a;
}

static void flag_cell(json_t *row, const metric_value *a)
{
    char key[48];
    const char *word = a->reason ? a->reason : a->flag;
    snprintf(key, sizeof key, "%s.%s", a->reason ? "reason" : "flag", word ? word : "none");
    cells_text(row, report_text(key));
}

/* Threshold at which all exams together keep the wanted specificity. */
static double global_threshold(const report_build *b)
{
    curve c = {0};
    double t = NAN;
    const cohort_view *v = b->src->val ? &b->val : &b->all;
    if (curve_build(&v->in, &c))
        t = c.p[curve_at_spec(&c, b->opts->cfg.subgroup_spec)].threshold;
    curve_release(&c);
    return t;
}

static void rates_cells(json_t *row, const report_build *b, const strata_group *g, double threshold)
{
    int64_t hit[2] = {0}, all[2] = {0};
    for (int64_t i = 0; i < g->n; i++) {
        const exam_row *x = &b->set.exams.row[g->row[i]];
        all[x->y]++;
        hit[x->y] += x->score >= threshold;
    }
    for (int y = 1; y >= 0; y--) {
        double lo = NAN, hi = NAN, k = (double)(y ? hit[1] : all[0] - hit[0]);
        if (isnan(threshold) || all[y] < METRIC_FEW) {
            cells_est(row, NAN, NAN, NAN);
            continue;
        }
        if (!b->set.repeated && !b->set.weighted)
            metric_wilson(k, (double)all[y], &lo, &hi);
        cells_est(row, k / (double)all[y], lo, hi);
    }
}

static void subgroup_rows(report_build *b, json_t *t, const strata_var *var, double threshold)
{
    strata_groups groups;
    strata_split(var, &b->set.exams, &groups);
    for (int i = 0; i < groups.n; i++) {
        const strata_group *g = &groups.g[i];
        text subset;
        text_init(&subset);
        text_addf(&subset, "%s=%s", var->name, g->level);
        metric_value a = subset_auc(b, &b->set, g->row, g->n, subset.s);
        char key[48];
        json_t *row = cells_row(t);
        snprintf(key, sizeof key, "var.%s", var->name);
        cells_text(row, report_text(key));
        cells_text(row, g->level);
        cells_count(row, g->n);
        cells_count(row, a.n);
        cells_count(row, a.events);
        cells_est(row, a.value, a.lo, a.hi);
        rates_cells(row, b, g, threshold);
        flag_cell(row, &a);
        text_release(&subset);
    }
    strata_release(&groups);
}

static bool subgroup_table(report_build *b, err *e)
{
    static const char *const columns[][2] = {
        {"variable", "text"}, {"level", "text"},  {"exams", "int"},
        {"patients", "int"},  {"cancers", "int"}, {"auc", "auc"},
        {"sens", "est"},      {"spec", "est"},    {"remark", "text"}};
    json_t *t = cells_table("subgroups");
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, columns[i][0], columns[i][1]);
    add_table(b, t);
    double threshold = global_threshold(b);
    json_object_set_new(t, "threshold", json_num(isinf(threshold) ? NAN : threshold));
    for (int i = 0; i < b->opts->cfg.subgroups.n; i++) {
        const strata_var *var = strata_find(b->opts->cfg.subgroups.v[i], e);
        if (!var)
            return false;
        subgroup_rows(b, t, var, threshold);
    }
    return true;
}

/* ---- sensitivity analyses -------------------------------------------------------------------- */

static void sensitivity_row(report_build *b, json_t *t, const char *id, const metric_value *a,
                            int64_t exams)
{
    char key[64];
    snprintf(key, sizeof key, "subset.%s", id);
    json_t *row = cells_row(t);
    cells_text(row, report_text(key));
    cells_count(row, exams);
    cells_count(row, a->n);
    cells_count(row, a->events);
    cells_est(row, a->value, a->lo, a->hi);
    flag_cell(row, a);
}

/* One exam per patient: the earliest or the latest by exam_day; false if a day is unknown. */
static bool pick_exams(const report_build *b, bool last, int64_t *row, int64_t *n)
{
    const exam_table *t = &b->set.exams;
    int64_t *best = MEM_ARRAY(int64_t, t->n_patients + 1);
    bool known = true;
    for (int p = 0; p < t->n_patients; p++)
        best[p] = -1;
    for (int64_t i = 0; i < t->n; i++) {
        int64_t *k = &best[t->row[i].patient_index];
        known = known && !isnan(t->row[i].exam_day);
        if (*k < 0 || (last ? t->row[i].exam_day >= t->row[*k].exam_day
                            : t->row[i].exam_day < t->row[*k].exam_day))
            *k = i;
    }
    *n = 0;
    for (int64_t i = 0; i < t->n; i++)
        if (best[t->row[i].patient_index] == i)
            row[(*n)++] = i;
    mem_free(best);
    return known;
}

static void other_rules(report_build *b, json_t *t)
{
    for (int r = 0; r < EXAM_RULES; r++) {
        cohort_set set;
        cohort_set *member = MEM_ARRAY(cohort_set, b->src->n_in);
        const scores **s = MEM_ARRAY(const scores *, b->src->n_in);
        char id[64];
        for (int i = 0; i < b->src->n_in; i++)
            s[i] = &b->src->in[i].scores;
        snprintf(id, sizeof id, "rule_%s", exam_rule_name((exam_rule)r));
        /* a rule that these tables cannot carry (no laterality, no view) has no row */
        if (r != b->opts->cfg.rule && cohort_set_ensemble(s, b->src->n_in, r, &set, member, NULL)) {
            metric_value a = subset_auc(b, &set, NULL, set.exams.n, id);
            sensitivity_row(b, t, id, &a, set.exams.n);
            cohort_set_release(&set);
        }
        for (int i = 0; i < b->src->n_in; i++)
            cohort_set_release(&member[i]);
        mem_free(s);
        mem_free(member);
    }
}

static void sensitivity_table(report_build *b)
{
    static const char *const columns[][2] = {{"analysis", "text"}, {"exams", "int"},
                                             {"patients", "int"},  {"cancers", "int"},
                                             {"auc", "auc"},       {"remark", "text"}};
    json_t *t = cells_table("sensitivity");
    const exam_table *x = &b->set.exams;
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        cells_column(t, columns[i][0], columns[i][1]);
    add_table(b, t);
    int64_t *row = MEM_ARRAY(int64_t, x->n + 1), n = 0;
    for (int64_t i = 0; i < x->n; i++)
        if (x->row[i].views == EXAM_ALL_VIEWS)
            row[n++] = i;
    if (n > 0 && n < x->n) {
        metric_value a = subset_auc(b, &b->set, row, n, "four_views");
        sensitivity_row(b, t, "four_views", &a, n);
    }
    for (int last = 0; last < 2 && b->set.repeated; last++) {
        if (!pick_exams(b, last, row, &n))
            continue;
        const char *id = last ? "last_exam" : "first_exam";
        metric_value a = subset_auc(b, &b->set, row, n, id);
        sensitivity_row(b, t, id, &a, n);
    }
    mem_free(row);
    other_rules(b, t);
}

/* ---- single views and members ---------------------------------------------------------------- */

static void views_table(report_build *b)
{
    static const char *const name[] = {"RCC", "LCC", "RMLO", "LMLO"};
    json_t *t = cells_table("views");
    const scores *s = &b->src->in[0].scores;
    cells_column(t, "view", "text");
    cells_column(t, "images", "int");
    cells_column(t, "patients", "int");
    cells_column(t, "cancers", "int");
    cells_column(t, "auc", "auc");
    cells_column(t, "remark", "text");
    for (int v = 0; v < 4; v++) {
        scores one;
        cohort_set set = {0};
        cohort_view view;
        scores_init(&one);
        for (int64_t i = 0; i < s->n; i++) {
            const scores_row *r = &s->row[i];
            if (r->side == (v % 2 ? 'L' : 'R') && r->view == (v < 2 ? 'C' : 'M')) {
                scores_row alone = *r; /* every image is its own unit here */
                alone.exam = r->image[0] ? r->image : r->exam;
                scores_add(&one, &alone);
            }
        }
        if (one.n && cohort_set_build(&one, EXAM_MEAN_IMAGES, &set, NULL) && set.exams.n) {
            cohort_view_build(&set, NULL, set.exams.n, &view);
            metric_value a = metric_auc_report(&view.in);
            json_t *row = cells_row(t);
            cells_text(row, name[v]);
            cells_count(row, view.n);
            cells_count(row, view.n_patients);
            cells_count(row, view.events);
            cells_est(row, a.value, a.lo, a.hi);
            flag_cell(row, &a);
            cohort_view_release(&view);
        }
        cohort_set_release(&set);
        scores_release(&one);
    }
    if (json_array_size(json_object_get(t, "rows")))
        add_table(b, t);
    else
        json_decref(t);
}

static void members_table(report_build *b)
{
    if (b->src->n_in < 2)
        return;
    json_t *t = cells_table("members");
    double sum = 0, ss = 0, value[CFG_LIST_MAX];
    int n = 0;
    cells_column(t, "member", "text");
    cells_column(t, "auc", "auc");
    for (int i = 0; i < b->src->n_in; i++) {
        cohort_view v;
        char name[32];
        cohort_view_build(&b->member[i], NULL, b->member[i].exams.n, &v);
        metric_value a = metric_auc_report(&v.in);
        json_t *row = cells_row(t);
        snprintf(name, sizeof name, "%d", i + 1);
        cells_text(row, name);
        cells_est(row, a.value, a.lo, a.hi);
        if (!isnan(a.value) && n < CFG_LIST_MAX) {
            value[n++] = a.value;
            sum += a.value;
        }
        cohort_view_release(&v);
    }
    for (int i = 0; i < n; i++)
        ss += (value[i] - sum / n) * (value[i] - sum / n);
    json_t *row = cells_row(t);
    cells_text(row, report_text("members.mean"));
    cells_est(row, n ? sum / n : NAN, NAN, NAN);
    row = cells_row(t);
    cells_text(row, report_text("members.sd"));
    cells_est(row, n > 1 ? sqrt(ss / (n - 1)) : NAN, NAN, NAN);
    add_table(b, t);
}

static void flow_table(report_build *b)
{
    json_t *t = cells_table("flow"), *f;
    size_t i;
    static const char *const columns[][2] = {
        {"stage", "text"},   {"step", "text"}, {"unit", "text"},  {"n_in", "int"},
        {"excluded", "int"}, {"n_out", "int"}, {"reason", "text"}};
    for (size_t k = 0; k < COUNT_OF(columns); k++)
        cells_column(t, columns[k][0], columns[k][1]);
    json_array_foreach(json_object_get(b->tree, "flow"), i, f)
    {
        json_t *row = cells_row(t);
        for (size_t k = 0; k < COUNT_OF(columns); k++)
            json_array_append(row, json_object_get(f, columns[k][0]));
    }
    add_table(b, t);
}

bool report_tables_add(report_build *b, err *e)
{
    flow_table(b);
    metrics_table(b);
    operating_table(b);
    capture_table(b);
    predictive_table(b);
    if (!subgroup_table(b, e))
        return false;
    views_table(b);
    sensitivity_table(b);
    members_table(b);
    return true;
}
