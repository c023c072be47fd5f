/* Table 1: who was evaluated, by outcome, and the exams that thresholds come from. evaluation.md 17
 * (block 4). */
#include "eval/part.h"
#include "core/mem.h"
#include "eval/boot.h"
#include "eval/cells.h"
#include "eval/report_text.h"
#include "eval/strata.h"
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
static void share_cell(json_t *row, int64_t k, int64_t n, bool told)
{
    char s[48];
    if (!told)
        snprintf(s, sizeof s, "%s", report_text("hidden"));
    else if (n > 0)
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

/* The levels of a variable in one set of exams, and what may be told of them. */
typedef struct levels_in {
    strata_groups groups;
    tell_groups told;
} levels_in;

static int level_named(const levels_in *in, const char *level)
{
    for (int i = 0; i < in->groups.n; i++)
        if (!strcmp(in->groups.g[i].level, level))
            return i;
    return -1;
}

static void level_row(json_t *t, const column *c, int n, const strata_var *var,
                      const levels_in in[2], const char *level)
{
    json_t *row = row_new(t, strata_title(var), level);
    for (int g = 0; g < n; g++) {
        const levels_in *of = &in[g == VAL];
        int at = level_named(of, level);
        const strata_group *group = at < 0 ? NULL : &of->groups.g[at];
        bool told =
            at < 0 || (g == CASES || g == CONTROLS || var->cases_only ? of->told.l[at].cancers
                                                                      : of->told.l[at].exams);
        int64_t hits = 0;
        for (int64_t i = 0; group && i < group->n; i++) {
            const exam_row *x = &c[g].set->exams.row[group->row[i]];
            hits += belongs(x, g) && (!var->cases_only || x->y); /* not the controls it shares */
        }
        share_cell(row, hits, c[g].n, told);
    }
}

/* The variable in both tables, whose columns may differ; the thirds of a density are those of the
 * evaluated exams. False when the tables have no such column. */
static bool find_variable(const report_build *b, const column *c, const char *name,
                          strata_var var[2])
{
    const report_cfg *want = &b->opts->cfg;
    for (int k = 0; k < 2; k++) {
        strata_source s = {&c[k ? VAL : ALL].set->exams, want->screen_days, want->interval_days};
        if (!strata_find(name, &s, &var[k], NULL)) {
            if (k == 0)
                return false;
            var[1] = var[0];
            var[1].fact = -1;
        }
    }
    memcpy(var[1].cut, var[0].cut, sizeof var[1].cut);
    return true;
}

/* One row for every level that an exam has, those of the evaluated ones first. */
static void levels(const report_build *b, json_t *t, const column *c, int n,
                   const strata_var var[2], bool always)
{
    levels_in in[2] = {{{0}, {0}}};
    for (int k = 0; k < (n > VAL ? 2 : 1); k++) {
        strata_split(&var[k], &c[k ? VAL : ALL].set->exams, &in[k].groups);
        report_tell_groups(b, k == 1, &in[k].groups, &var[k], &in[k].told);
    }
    for (int k = 0; k < 2 && (always || in[0].groups.known || in[1].groups.known); k++)
        for (int i = 0; i < in[k].groups.n; i++) {
            const char *level = in[k].groups.g[i].level;
            if (k == 0 || level_named(&in[0], level) < 0)
                level_row(t, c, n, &var[0], in, level);
        }
    for (int k = 0; k < 2; k++) {
        tell_groups_release(&in[k].told);
        strata_release(&in[k].groups);
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
    strata_var var[2];
    for (int i = 0; i < REPORT_TELL_ALWAYS; i++)
        if (find_variable(b, c, report_tell_always[i], var))
            levels(b, t, c, n, var, true);
    for (int i = 0; i < b->opts->cfg.subgroups.n; i++) {
        const char *name = b->opts->cfg.subgroups.v[i];
        bool again = false;
        for (int k = 0; k < REPORT_TELL_ALWAYS; k++)
            again = again || !strcmp(name, report_tell_always[k]);
        if (!again && find_variable(b, c, name, var))
            levels(b, t, c, n, var, false);
    }
    report_build_table(b, t);
    for (int g = 0; g < GROUPS; g++)
        mem_free(c[g].row);
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    report_doc_table(d, tree, "participants", false);
}

const report_part part_participants = {"participants", add, show};
