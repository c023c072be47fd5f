/* The variables by which exams are grouped, and the grouping. */
#include "eval/strata.h"
#include "core/mem.h"
#include "core/text.h"
#include "eval/report_text.h"
#include "eval/survive.h"
#include <limits.h>
#include <math.h>

#define UNKNOWN "unknown"

/* ---- levels ---------------------------------------------------------------------------------- */

static int level_unknown(char *out, size_t cap)
{
    text_copy(out, cap, UNKNOWN);
    return INT_MAX;
}

/* Free text has one rank, so that levels sort by name; unknown comes last. */
static int level_text(const char *v, char *out, size_t cap)
{
    if (!v[0] || !strcmp(v, "?") || text_ieq(v, UNKNOWN))
        return level_unknown(out, cap);
    text_copy(out, cap, v);
    return 0;
}

static const char *fact_of(const strata_var *v, const exam_row *x)
{
    return v->fact < 0 ? "" : x->fact[v->fact];
}

static int level_fact(const strata_var *v, const exam_row *x, char *out, size_t cap)
{
    return level_text(fact_of(v, x), out, cap);
}

static int level_vendor(const strata_var *v, const exam_row *x, char *out, size_t cap)
{
    return level_text(x->vendor, out, cap);
}

static int level_device(const strata_var *v, const exam_row *x, char *out, size_t cap)
{
    return level_text(x->device_model, out, cap);
}

static int level_site(const strata_var *v, const exam_row *x, char *out, size_t cap)
{
    return level_text(x->site, out, cap);
}

static int level_age(const strata_var *v, const exam_row *x, char *out, size_t cap)
{
    static const char *const bands[] = {"under 50", "50-59", "60-69", "70 or older"};
    if (x->age < 0)
        return level_unknown(out, cap);
    int k = x->age < 50 ? 0 : x->age < 60 ? 1 : x->age < 70 ? 2 : 3;
    text_copy(out, cap, bands[k]);
    return k;
}

static int level_views(const strata_var *v, const exam_row *x, char *out, size_t cap)
{
    if (!x->n_views)
        return level_unknown(out, cap);
    text_copy(out, cap, x->n_views == 4 ? "all four views" : "incomplete");
    return x->n_views == 4 ? 0 : 1;
}

/* Categories by name, or tertiles of a share. */
static int level_density(const strata_var *v, const exam_row *x, char *out, size_t cap)
{
    static const char *const third[] = {"lowest", "middle", "highest"};
    double share;
    if (isnan(v->cut[0]) || !text_f64(x->density, &share))
        return level_text(x->density, out, cap);
    int k = share <= v->cut[0] ? 0 : share <= v->cut[1] ? 1 : 2;
    if (k == 0)
        snprintf(out, cap, "%s third (to %.4g)", third[k], v->cut[0]);
    else
        snprintf(out, cap, "%s third (over %.4g)", third[k], v->cut[k - 1]);
    return k;
}

/* Words and numbers for yes and no, as tables have them. */
static int level_yes(const strata_var *v, const exam_row *x, char *out, size_t cap)
{
    static const char *const yes[] = {"1", "yes", "y", "true"}, *const no[] = {"0", "no", "n",
                                                                               "false"};
    const char *s = fact_of(v, x);
    for (size_t k = 0; k < COUNT_OF(yes); k++)
        if (text_ieq(s, yes[k]) || text_ieq(s, no[k])) {
            text_copy(out, cap, text_ieq(s, yes[k]) ? "yes" : "no");
            return 0;
        }
    return level_text(s, out, cap);
}

static int level_round(const strata_var *v, const exam_row *x, char *out, size_t cap)
{
    const char *s = fact_of(v, x);
    int64_t k;
    if (!text_i64(s, &k) || k < 1)
        return level_text(s, out, cap);
    text_copy(out, cap, k == 1 ? "first" : "subsequent");
    return 0;
}

static int level_side(const strata_var *v, const exam_row *x, char *out, size_t cap)
{
    static const char *const side[][3] = {
        {"L", "left", "left"}, {"R", "right", "right"}, {"B", "both", "both"}};
    const char *s = fact_of(v, x);
    for (int k = 0; k < 3; k++)
        if (text_ieq(s, side[k][0]) || text_ieq(s, side[k][1])) {
            text_copy(out, cap, side[k][2]);
            return k;
        }
    return level_text(s, out, cap);
}

/* Size classes of the T stage. */
static int level_size(const strata_var *v, const exam_row *x, char *out, size_t cap)
{
    static const char *const band[] = {"up to 10 mm", "10 to 20 mm", "20 to 50 mm", "over 50 mm"};
    double mm;
    if (!text_f64(fact_of(v, x), &mm) || !(mm >= 0))
        return level_text(fact_of(v, x), out, cap);
    int k = mm <= 10 ? 0 : mm <= 20 ? 1 : mm <= 50 ? 2 : 3;
    text_copy(out, cap, band[k]);
    return k;
}

/* As recorded, or from the time to diagnosis where the table has no such column. */
static int level_mode(const strata_var *v, const exam_row *x, char *out, size_t cap)
{
    static const char *const bin[] = {[SURVIVE_SCREEN] = "found by the exam",
                                      [SURVIVE_INTERVAL] = "interval",
                                      [SURVIVE_LATER] = "later"};
    if (v->fact >= 0)
        return level_fact(v, x, out, cap);
    survive_bin k = survive_bin_of(x->t_years, x->event, v->screen_days, v->interval_days);
    if (k == SURVIVE_NONE)
        return level_unknown(out, cap);
    text_copy(out, cap, bin[k]);
    return (int)k;
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct row {
    const char *name;
    strata_level *level;
    bool cases_only;
    const char *column; /* of the facts, or NULL: the exam knows */
} rows[] = {
    {"age", level_age, false, NULL},
    {"density", level_density, false, NULL},
    {"vendor", level_vendor, false, NULL},
    {"device_model", level_device, false, NULL},
    {"site", level_site, false, NULL},
    {"year", level_fact, false, "exam_year"},
    {"views", level_views, false, NULL},
    {"round", level_round, false, "round"},
    {"prior_surgery", level_yes, false, "prior_surgery"},
    {"implant", level_yes, false, "implant"},
    {"quality", level_fact, false, "quality"},
    {"cancer_side", level_side, true, "cancer_laterality"},
    {"cancer_type", level_fact, true, "cancer_type"},
    {"cancer_size", level_size, true, "cancer_size_mm"},
    {"mode", level_mode, true, "mode"},
};

static int cmp_f64(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* Borders of the thirds of a density in per cent or as a share. Categories, by letter or as 1 to 4,
 * have none. */
static void cut_density(const exam_table *t, double cut[2])
{
    double *v = MEM_ARRAY(double, t->n + 1);
    int64_t n = 0;
    bool names = false, share = false;
    cut[0] = cut[1] = NAN;
    for (int64_t i = 0; i < t->n; i++) {
        const char *s = t->row[i].density;
        if (!s[0] || !strcmp(s, "mixed"))
            continue;
        bool number = text_f64(s, &v[n]);
        names = names || !number;
        share = share || (number && v[n] != 1 && v[n] != 2 && v[n] != 3 && v[n] != 4);
        n += number;
    }
    if (!names && share) {
        qsort(v, (size_t)n, sizeof *v, cmp_f64);
        cut[0] = v[(n - 1) / 3];
        cut[1] = v[2 * (n - 1) / 3];
    }
    mem_free(v);
}

bool strata_find(const char *name, const strata_source *s, strata_var *out, err *e)
{
    text known;
    *out = (strata_var){.name = name,
                        .level = level_fact,
                        .fact = exam_fact(s->exams, name),
                        .cut = {NAN, NAN},
                        .screen_days = s->screen_days,
                        .interval_days = s->interval_days};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (strcmp(rows[i].name, name))
            continue;
        out->name = rows[i].name;
        out->level = rows[i].level;
        out->cases_only = rows[i].cases_only;
        out->fact = rows[i].column ? exam_fact(s->exams, rows[i].column) : -1;
        if (rows[i].level == level_density)
            cut_density(s->exams, out->cut);
        return true;
    }
    if (out->fact >= 0)
        return true;
    text_init(&known);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        text_addf(&known, "%s%s", i ? ", " : "", rows[i].name);
    err_set(e, ERR_CONFIG,
            "eval.subgroups: '%s' is neither a subgroup (known: %s) nor a column of the table",
            name, known.s);
    text_release(&known);
    return false;
}

const char *strata_title(const strata_var *v)
{
    char key[80];
    snprintf(key, sizeof key, "var.%.64s", v->name);
    const char *known = report_text_find(key);
    return known ? known : v->name;
}

/* ---- grouping -------------------------------------------------------------------------------- */

typedef struct labelled {
    char level[64];
    int rank;
    int64_t row;
} labelled;

static int cmp_labelled(const void *x, const void *y)
{
    const labelled *a = x, *b = y;
    int c = (a->rank > b->rank) - (a->rank < b->rank);
    c = c ? c : strcmp(a->level, b->level);
    return c ? c : (a->row > b->row) - (a->row < b->row);
}

/* l[g->own]: the exams of this level. */
static void fill_rows(const strata_var *v, const exam_table *t, const labelled *l, strata_group *g)
{
    int64_t controls = 0, at = 0;
    for (int64_t i = 0; i < t->n && v->cases_only; i++)
        controls += t->row[i].y == 0;
    g->row = MEM_ARRAY(int64_t, g->own + controls);
    for (int64_t i = 0; i < t->n && v->cases_only; i++) {
        bool own = at < g->own && l[at].row == i;
        at += own;
        if (own || t->row[i].y == 0)
            g->row[g->n++] = i;
    }
    for (; !v->cases_only && at < g->own; at++)
        g->row[g->n++] = l[at].row;
}

void strata_split(const strata_var *v, const exam_table *t, strata_groups *out)
{
    labelled *l = MEM_ARRAY(labelled, t->n + 1);
    int64_t count = 0;
    int n = 0;
    for (int64_t i = 0; i < t->n; i++) {
        if (v->cases_only && t->row[i].y != 1)
            continue;
        labelled *x = &l[count++];
        x->rank = v->level(v, &t->row[i], x->level, sizeof x->level);
        x->row = i;
    }
    qsort(l, (size_t)count, sizeof *l, cmp_labelled);
    for (int64_t i = 0; i < count; i++)
        n += !i || strcmp(l[i].level, l[i - 1].level);
    *out = (strata_groups){.g = MEM_ARRAY(strata_group, n + 1)};
    for (int64_t i = 0; i < count;) {
        strata_group *g = &out->g[out->n++];
        int64_t end = i;
        while (end < count && !strcmp(l[end].level, l[i].level))
            end++;
        text_copy(g->level, sizeof g->level, l[i].level);
        g->unknown = l[i].rank == INT_MAX;
        out->known = out->known || !g->unknown;
        g->own = end - i;
        fill_rows(v, t, l + i, g);
        i = end;
    }
    mem_free(l);
}

void strata_release(strata_groups *s)
{
    for (int i = 0; i < s->n; i++)
        mem_free(s->g[i].row);
    mem_free(s->g);
    memset(s, 0, sizeof *s);
}
