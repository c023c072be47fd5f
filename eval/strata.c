/* The variables by which exams are grouped, and the grouping. */
#include "eval/strata.h"
#include "core/mem.h"
#include "core/text.h"
#include "eval/report_text.h"
#include "eval/survive.h"
#include <limits.h>
#include <math.h>

#define UNKNOWN "unknown"
#define MIXED   "mixed"       /* rows of an exam differ */
#define BESIDE  (INT_MAX - 1) /* rank of levels that have no place in an order */

/* ---- levels ---------------------------------------------------------------------------------- */

static int level_unknown(char *out, size_t cap)
{
    text_copy(out, cap, UNKNOWN);
    return INT_MAX;
}

/* Free text has one rank, so that levels sort by name; what is no level of its own comes last. */
static int level_text(const char *v, char *out, size_t cap)
{
    if (!v[0] || !strcmp(v, "?") || text_ieq(v, UNKNOWN))
        return level_unknown(out, cap);
    text_copy(out, cap, v);
    return strcmp(v, MIXED) ? 0 : BESIDE;
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

/* Four bands of a number. Names: of the lowest, of one with both borders, of the highest. */
typedef struct strata_bands {
    int border[3];
    bool upper; /* a border belongs to the band below it */
    int less;   /* this much less than the upper border is said */
    const char *lowest, *between, *highest;
} strata_bands;

static const strata_bands ages = {{50, 60, 70}, false, 1, "under %d", "%d-%d", "%d or older"},
                          sizes = {{10, 20, 50},  true,          0,
                                   "up to %d mm", "%d to %d mm", "over %d mm"};

/* Of the bands first..last together. */
static void band_name(const strata_bands *b, int first, int last, char *out, size_t cap)
{
    if (!first)
        snprintf(out, cap, b->lowest, b->border[last < 3 ? last : 2]);
    else if (last == 3)
        snprintf(out, cap, b->highest, b->border[first - 1]);
    else
        snprintf(out, cap, b->between, b->border[first - 1], b->border[last] - b->less);
}

static int level_band(const strata_bands *b, double value, char *out, size_t cap)
{
    int k = 0;
    while (k < 3 && (b->upper ? value > b->border[k] : value >= b->border[k]))
        k++;
    band_name(b, k, k, out, cap);
    return k;
}

static int level_age(const strata_var *v, const exam_row *x, char *out, size_t cap)
{
    return x->age < 0 ? level_unknown(out, cap) : level_band(v->bands, x->age, out, cap);
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
    double mm;
    if (!text_f64(fact_of(v, x), &mm) || !(mm >= 0))
        return level_text(fact_of(v, x), out, cap) == INT_MAX ? INT_MAX : BESIDE;
    return level_band(v->bands, mm, out, cap);
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
    bool cases_only, ordered;
    const char *column; /* of the facts, or NULL: the exam knows */
    const strata_bands *bands;
} rows[] = {
    {"age", level_age, false, true, NULL, &ages},
    {"density", level_density, false, true, NULL, NULL},
    {"vendor", level_vendor, false, false, NULL, NULL},
    {"device_model", level_device, false, false, NULL, NULL},
    {"site", level_site, false, false, NULL, NULL},
    {"year", level_fact, false, true, "exam_year", NULL},
    {"views", level_views, false, false, NULL, NULL},
    {"round", level_round, false, false, "round", NULL},
    {"prior_surgery", level_yes, false, false, "prior_surgery", NULL},
    {"implant", level_yes, false, false, "implant", NULL},
    {"quality", level_fact, false, false, "quality", NULL},
    {"cancer_side", level_side, true, false, "cancer_laterality", NULL},
    {"cancer_type", level_fact, true, false, "cancer_type", NULL},
    {"cancer_size", level_size, true, true, "cancer_size_mm", &sizes},
    {"mode", level_mode, true, false, "mode", NULL},
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
        if (!s[0] || !strcmp(s, MIXED))
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
        out->ordered = rows[i].ordered;
        out->bands = rows[i].bands;
        out->fact = rows[i].column ? exam_fact(s->exams, rows[i].column) : -1;
        if (rows[i].level == level_density)
            cut_density(s->exams, out->cut);
        if (rows[i].level == level_mode) /* from the time, unless the table says it */
            out->ordered = out->fact < 0;
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
        g->level = mem_strdup(l[i].level);
        g->member = MEM_ARRAY(char *, 1);
        g->member[g->n_members++] = mem_strdup(l[i].level);
        g->unknown = l[i].rank == INT_MAX;
        g->first = g->last = l[i].rank;
        out->known = out->known || !g->unknown;
        g->own = end - i;
        fill_rows(v, t, l + i, g);
        i = end;
    }
    mem_free(l);
}

static void group_release(strata_group *g)
{
    for (int i = 0; i < g->n_members; i++)
        mem_free(g->member[i]);
    mem_free(g->member);
    mem_free(g->level);
    mem_free(g->row);
}

/* Both are ascending; the controls of cases_only stand in both. */
static void add_rows(strata_group *to, const strata_group *from)
{
    int64_t *row = MEM_ARRAY(int64_t, to->n + from->n + 1), n = 0;
    for (int64_t i = 0, j = 0; i < to->n || j < from->n;) {
        bool left = j == from->n || (i < to->n && to->row[i] <= from->row[j]),
             right = i == to->n || (j < from->n && from->row[j] <= to->row[i]);
        row[n++] = left ? to->row[i] : from->row[j];
        i += left;
        j += right;
    }
    mem_free(to->row);
    to->row = row;
    to->n = n;
    to->own += from->own;
}

static int cmp_names(const void *x, const void *y)
{
    const char *a = *(char *const *)x, *b = *(char *const *)y;
    int last = !strcmp(a, UNKNOWN) - !strcmp(b, UNKNOWN);
    return last ? last : strcmp(a, b);
}

static void add_members(strata_group *to, const strata_group *from)
{
    int n = to->n_members + from->n_members;
    to->member = mem_realloc(to->member, (size_t)to->n_members * sizeof *to->member,
                             (size_t)n * sizeof *to->member);
    for (int i = 0; i < from->n_members; i++)
        to->member[to->n_members++] = mem_strdup(from->member[i]);
    if (from->last < BESIDE)
        to->last = from->last;
    to->unknown = to->unknown || from->unknown;
}

/* "50-69 or unknown": those that have a place in the order, and then the others. */
static void name_range(const strata_var *v, const strata_group *g, text *out)
{
    int placed = g->n_members;
    while (placed > 1 &&
           (!strcmp(g->member[placed - 1], UNKNOWN) || !strcmp(g->member[placed - 1], MIXED)))
        placed--;
    if (v->bands && g->last < BESIDE) {
        char band[64];
        band_name(v->bands, g->first, g->last, band, sizeof band);
        text_add(out, band);
    } else if (placed > 1) {
        report_fill(
            out, "level.range",
            (const char *const[]){"first", g->member[0], "last", g->member[placed - 1], NULL});
    } else {
        text_add(out, g->member[0]);
    }
    for (int i = placed; i < g->n_members; i++) {
        char *before = text_take(out);
        report_fill(out, "level.or",
                    (const char *const[]){"level", before, "other", g->member[i], NULL});
        mem_free(before);
    }
}

static void name_joined(const strata_var *v, strata_group *g)
{
    text name, members;
    text_init(&name);
    text_init(&members);
    if (v->ordered) {
        name_range(v, g, &name);
    } else {
        qsort(g->member, (size_t)g->n_members, sizeof *g->member, cmp_names);
        for (int i = 0; i < g->n_members; i++)
            text_addf(&members, "%s%s", i ? ", " : "", g->member[i]);
        report_fill(&name, "level.others", (const char *const[]){"names", members.s, NULL});
    }
    mem_free(g->level);
    g->level = text_take(&name);
    text_release(&members);
}

void strata_join(const strata_var *v, strata_groups *g, int a, int b)
{
    strata_group *to = &g->g[a], *from = &g->g[b];
    add_rows(to, from);
    add_members(to, from);
    name_joined(v, to);
    group_release(from);
    memmove(from, from + 1, (size_t)(--g->n - b) * sizeof *from);
    if (!v->ordered) { /* the others stand last, before what is not known */
        strata_group others = *to;
        int last = g->n - 1;
        if (last > a && g->g[last].unknown)
            last--;
        memmove(to, to + 1, (size_t)(last - a) * sizeof *to);
        g->g[last] = others;
    }
}

static bool has_member(const strata_group *g, const char *level)
{
    for (int i = 0; i < g->n_members; i++)
        if (!strcmp(g->member[i], level))
            return true;
    return false;
}

void strata_follow(const strata_var *v, const exam_table *t, const strata_groups *like,
                   strata_groups *out)
{
    strata_groups own;
    strata_split(v, t, &own);
    *out = (strata_groups){
        .g = MEM_ARRAY(strata_group, like->n + own.n + 1), .n = like->n, .known = own.known};
    for (int i = 0; i < like->n; i++)
        out->g[i].level = mem_strdup(like->g[i].level);
    for (int k = 0; k < own.n; k++) {
        int at = 0;
        while (at < like->n && !has_member(&like->g[at], own.g[k].member[0]))
            at++;
        if (at == like->n) {
            out->g[out->n++] = own.g[k];
            continue;
        }
        add_rows(&out->g[at], &own.g[k]);
        group_release(&own.g[k]);
    }
    mem_free(own.g);
}

void strata_release(strata_groups *s)
{
    for (int i = 0; i < s->n; i++)
        group_release(&s->g[i]);
    mem_free(s->g);
    memset(s, 0, sizeof *s);
}
