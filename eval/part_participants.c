/* Table 1: who was evaluated, by outcome, and the exams that thresholds come from. evaluation.md 17
 * (block 4). */
#include "eval/part.h"
#include "core/mem.h"
#include "eval/boot.h"
#include "eval/cells.h"
#include "eval/report_text.h"
#include <math.h>

enum { ALL, CASES, CONTROLS, VAL, GROUPS };

/* The exams of one column of the table. */
typedef struct column {
    const cohort_set *set;
    int64_t *row, n;
} column;

static bool belongs(const exam_row *x, int group)
{
    return group == ALL || group == VAL || x->y == (group == CASES);
}

static void columns_of(const report_build *b, column c[GROUPS])
{
    for (int g = 0; g < GROUPS; g++) {
        c[g] = (column){.set = g == VAL ? &b->val_set : &b->set};
        const exam_table *x = &c[g].set->exams;
        c[g].row = MEM_ARRAY(int64_t, x->n + 1);
        for (int64_t i = 0; i < x->n; i++)
            if (belongs(&x->row[i], g))
                c[g].row[c[g].n++] = i;
    }
}

/* "123 (45.6 %)". */
static void share_cell(json_t *row, int64_t k, int64_t n)
{
    char s[48];
    if (n > 0)
        snprintf(s, sizeof s, "%lld (%.1f %%)", (long long)k, 100.0 * (double)k / (double)n);
    else
        snprintf(s, sizeof s, "\xE2\x80\x93");
    cells_text(row, s);
}

static int cmp_double(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* "median (quartile to quartile)" of the known values. */
static void median_cell(json_t *row, const column *c, double (*value)(const exam_row *x),
                        const char *fmt)
{
    double *v = MEM_ARRAY(double, c->n + 1);
    char s[96], part[3][24];
    int64_t n = 0;
    for (int64_t i = 0; i < c->n; i++) {
        double one = value(&c->set->exams.row[c->row[i]]);
        if (!isnan(one))
            v[n++] = one;
    }
    qsort(v, (size_t)n, sizeof *v, cmp_double);
    if (n >= METRIC_FEW) {
        for (int k = 0; k < 3; k++)
            snprintf(part[k], sizeof part[k], fmt, boot_quantile(v, n, 0.25 * (k + 1)));
        snprintf(s, sizeof s, "%s (%s\xE2\x80\x93%s)", part[1], part[0], part[2]);
    } else {
        snprintf(s, sizeof s, "\xE2\x80\x93");
    }
    cells_text(row, s);
    mem_free(v);
}

static double age_of(const exam_row *x)
{
    return x->age >= 0 ? x->age : NAN;
}

static double years_of(const exam_row *x)
{
    return x->t_years;
}

static json_t *row_new(json_t *t, const char *variable, const char *level)
{
    json_t *row = cells_row(t);
    cells_text(row, variable);
    cells_text(row, level);
    return row;
}

static void medians(json_t *t, const column *c, int n, const char *key,
                    double (*value)(const exam_row *x), const char *fmt)
{
    bool any = false;
    for (int64_t i = 0; i < c[ALL].n && !any; i++)
        any = !isnan(value(&c[ALL].set->exams.row[i]));
    if (!any)
        return;
    json_t *row = row_new(t, report_text(key), report_text("participants.median"));
    for (int g = 0; g < n; g++)
        median_cell(row, &c[g], value, fmt);
}

/* Exams of a group that stand in the column; not the controls that groups of cancers share. */
static int64_t hits_of(const strata_var *var, const strata_group *group, const column *c, int g)
{
    int64_t hits = 0;
    for (int64_t i = 0; group && i < group->n; i++) {
        const exam_row *x = &c->set->exams.row[group->row[i]];
        hits += belongs(x, g) && (!var->cases_only || x->y);
    }
    return hits;
}

/* One row for every group that an exam is in, those of the evaluated ones first. */
static void groups_of(json_t *t, const column *c, int n, const tell_variable *v)
{
    for (int i = 0; v->shown && i < tell_variable_groups(v); i++) {
        const strata_group *here = i < v->groups.n ? &v->groups.g[i] : NULL,
                           *there = n > VAL ? &v->val.g[i] : NULL;
        json_t *row = row_new(t, strata_title(&v->var), here ? here->level : there->level);
        for (int g = 0; g < n; g++)
            if (g == VAL && !v->val_told)
                cells_text(row, report_text("hidden"));
            else
                share_cell(row, hits_of(&v->var, g == VAL ? there : here, &c[g], g), c[g].n);
    }
}

/* Women with exams of both kinds are those of both columns less all women. */
static bool overlap_told(const report_build *b, const int64_t women[GROUPS])
{
    return !disclose_few(disclose_minimum(b->tell.all),
                         women[CASES] + women[CONTROLS] - women[ALL]);
}

static void sizes(const report_build *b, json_t *t, const column *c, int n)
{
    json_t *exams = row_new(t, report_text("col.exams"), ""),
           *women = row_new(t, report_text("col.patients"), "");
    int64_t count[GROUPS] = {0};
    for (int g = 0; g < n; g++) {
        cohort_view v;
        cohort_view_build(c[g].set, c[g].row, c[g].n, &v);
        count[g] = v.n_patients;
        cohort_view_release(&v);
    }
    for (int g = 0; g < n; g++) {
        char s[32];
        snprintf(s, sizeof s, "%lld", (long long)c[g].n);
        cells_text(exams, s);
        snprintf(s, sizeof s, "%lld", (long long)count[g]);
        cells_text(women, g == CONTROLS && !overlap_told(b, count) ? report_text("hidden") : s);
    }
}

static bool add(report_build *b, err *e)
{
    column c[GROUPS];
    int n = b->src->val ? GROUPS : VAL;
    json_t *t = cells_table("participants");
    cells_column(t, "variable", "text");
    cells_column(t, "level", "text");
    cells_column(t, "group_all", "text");
    cells_column(t, "group_cases", "text");
    cells_column(t, "group_controls", "text");
    if (n > VAL)
        cells_column(t, "group_val", "text");
    columns_of(b, c);
    sizes(b, t, c, n);
    medians(t, c, n, "participants.age", age_of, "%.0f");
    medians(t, c, n, "participants.years", years_of, "%.1f");
    json_t *single = json_array();
    for (int i = 0; i < b->tell.n_variables; i++) {
        const tell_variable *v = &b->tell.variable[i];
        if (!v->always && !(v->asked && v->groups.known))
            continue;
        groups_of(t, c, n, v);
        if (!v->shown)
            json_array_append_new(single, cells_string(strata_title(&v->var)));
    }
    json_object_set_new(t, "single", single);
    report_build_table(b, t);
    for (int g = 0; g < GROUPS; g++)
        mem_free(c[g].row);
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    report_doc_table(d, tree, "participants", false);
    report_doc_names(d, tree, "participants", "single", "small.single");
}

const report_part part_participants = {"participants", add, show};
