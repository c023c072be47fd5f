/* An attack on the published tables. Random cohorts go through report_write; the attacker takes
 * every number of eval.json that speaks of the groups of a variable, writes down what he knows of
 * totals, shares and signs as linear equations over whole numbers (the levels that were joined in a
 * group are unknowns of their own), and narrows every one as far as bounds go. None of 1 to 4 women
 * may come out; no group may have nobody on one side while others are hidden, which would say where
 * all the few are; steps of curves may not show fewer than 5. The seed is printed when a property
 * fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/rng.h"
#include "eval/report.h"
#include "eval/report_tree.h"
#include <math.h>

#define SEEDS 12
#define MOST  240 /* exams */
#define FEW   5

static char root[64];
static uint64_t seed;

typedef struct person {
    int y, age, vendor, model, type;
    bool whole; /* all four views */
    double score, other;
    int days;
} person;

static person who[MOST];
static int exams;

static const char *const vendors[] = {"AX", "BX", "CX", "DX"};
static const char *const models[] = {"a1", "a2", "b1", "c1", "d1"}; /* of vendors 0 0 1 2 3 */
static const char *const types[] = {"duct", "lobe", "rare"};

static int pick(rng *r, const int *weight, int n)
{
    int sum = 0, k = 0;
    for (int i = 0; i < n; i++)
        sum += weight[i];
    int at = (int)rng_below(r, (uint32_t)sum);
    while (at >= weight[k])
        at -= weight[k++];
    return k;
}

static void draw(void)
{
    static const int common[] = {60, 25, 12, 3}, types_of[] = {12, 6, 2};
    rng r;
    rng_init(&r, seed, RNG_TEST, 61, 0);
    exams = 90 + (int)rng_below(&r, MOST - 90);
    for (int i = 0; i < exams; i++) {
        person *p = &who[i];
        p->y = rng_below(&r, 4) == 0;
        p->age = 45 + (int)rng_below(&r, 30);
        p->vendor = pick(&r, common, 4);
        p->model = p->vendor ? p->vendor + 1 : (int)rng_below(&r, 2);
        p->type = pick(&r, types_of, 3);
        p->whole = rng_below(&r, 20) > 0;
        p->score = round(1e4 * (.05 + .6 * rng_f64(&r) + .25 * p->y)) / 1e4; /* as written */
        p->other = .05 + .7 * rng_f64(&r) + .2 * p->y;
        p->days = (int)rng_below(&r, 2000);
    }
}

static char *at(const char *name)
{
    static char path[8][256];
    static int k;
    k = (k + 1) % 8;
    snprintf(path[k], sizeof path[k], "%s/%s", root, name);
    return path[k];
}

static void save(const char *name, bool other)
{
    static const char *const view[][2] = {{"R", "CC"}, {"L", "CC"}, {"R", "MLO"}, {"L", "MLO"}};
    text t;
    text_init(&t);
    text_add(&t, "exam_id,patient_id,image_id,laterality,view,score,y,age,vendor,device_model,"
                 "cancer_type,T,E\n");
    for (int i = 0; i < exams; i++)
        for (int v = 0; v < (who[i].whole ? 4 : 3); v++)
            text_addf(&t, "e%03d,p%03d,i%03d%d,%s,%s,%.4f,%d,%d,%s,%s,%s,%.3f,%d\n", i, i, i, v,
                      view[v][0], view[v][1], other ? who[i].other : who[i].score, who[i].y,
                      who[i].age, vendors[who[i].vendor], models[who[i].model],
                      who[i].y ? types[who[i].type] : "", who[i].days / 365.25, who[i].y);
    assert_true(fs_write(at(name), t.s, t.len, NULL));
    text_release(&t);
}

static json_t *report(const char *minimum)
{
    static const cfg_group *const groups[] = {&eval_options};
    cfg *c = cfg_new(groups, 1);
    json_t *j = NULL;
    save("a.csv", false);
    save("b.csv", true);
    const char *const inputs[] = {at("a.csv")};
    char compare[300];
    snprintf(compare, sizeof compare, "rival=%s", at("b.csv"));
    const char *const others[] = {compare};
    report_opts o = {.inputs = inputs,
                     .n_inputs = 1,
                     .compare = others,
                     .n_compare = 1,
                     .out_dir = at("out"),
                     .force = true,
                     .threads = 1};
    err e = {0};
    assert_true(cfg_set(c, "eval.bootstrap=20", &e) && cfg_set(c, minimum, &e));
    cfg_bind(c, &eval_options, &o.cfg);
    if (!report_write(&o, NULL, &e))
        fail_msg("%s", e.msg);
    cfg_free(c);
    assert_true(json_read(at("out/eval.json"), &j, NULL));
    return j;
}

/* ---- whole numbers under linear equations ---------------------------------------------------- */

#define VARS  400
#define TERMS 40

typedef struct unknown {
    int64_t lo, hi, truth;
    char what[64];
} unknown;
typedef struct equation {
    int var[TERMS], sign[TERMS], n;
    int64_t sum;
} equation;

static struct {
    unknown v[VARS];
    equation e[VARS];
    int n, m;
} sys;

static int variable(int64_t truth, const char *what, const char *level)
{
    unknown *u = &sys.v[sys.n];
    assert_true(sys.n < VARS);
    *u = (unknown){.lo = 0, .hi = exams, .truth = truth};
    snprintf(u->what, sizeof u->what, "%s %s", what, level);
    return sys.n++;
}

/* total = sum of the parts */
static equation *sum_of(int total)
{
    equation *q = &sys.e[sys.m++];
    assert_true(sys.m < VARS);
    *q = (equation){.n = 1, .var = {total}, .sign = {-1}};
    return q;
}

static void term(equation *q, int var)
{
    assert_true(q->n < TERMS);
    q->var[q->n] = var;
    q->sign[q->n++] = 1;
}

/* Narrow all bounds until nothing moves. */
static void narrow(void)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (int k = 0; k < sys.m; k++) {
            const equation *q = &sys.e[k];
            for (int i = 0; i < q->n; i++) {
                unknown *u = &sys.v[q->var[i]];
                int64_t lo = 0, hi = 0; /* of the other terms */
                for (int j = 0; j < q->n; j++) {
                    const unknown *o = &sys.v[q->var[j]];
                    if (j == i)
                        continue;
                    lo += q->sign[j] > 0 ? o->lo : -o->hi;
                    hi += q->sign[j] > 0 ? o->hi : -o->lo;
                }
                int64_t least = q->sign[i] > 0 ? -hi : lo, most = q->sign[i] > 0 ? -lo : hi;
                moved = moved || least > u->lo || most < u->hi;
                u->lo = least > u->lo ? least : u->lo;
                u->hi = most < u->hi ? most : u->hi;
            }
        }
    }
}

static void nothing_came_out(void)
{
    for (int k = 0; k < sys.n; k++) {
        const unknown *u = &sys.v[k];
        if (u->truth < u->lo || u->truth > u->hi)
            fail_msg("seed %llu: %s is %lld, the tables say %lld to %lld", (unsigned long long)seed,
                     u->what, (long long)u->truth, (long long)u->lo, (long long)u->hi);
        if (u->lo == u->hi && u->truth > 0 && (u->truth < FEW))
            fail_msg("seed %llu: %s comes out as %lld", (unsigned long long)seed, u->what,
                     (long long)u->truth);
    }
}

/* ---- what the attacker reads ----------------------------------------------------------------- */

static const json_t *cell_at(const json_t *table, const json_t *row, const char *column)
{
    int k = report_tree_column(table, column);
    return k < 0 ? NULL : json_array_get(row, (size_t)k);
}

static bool of_vendor(const person *p, int level)
{
    return p->vendor == level;
}

static bool of_model(const person *p, int level)
{
    return p->model == level;
}

static bool of_type(const person *p, int level)
{
    return p->y && p->type == level;
}

static bool of_age(const person *p, int level)
{
    return level == (p->age < 50 ? 0 : p->age < 60 ? 1 : p->age < 70 ? 2 : 3);
}

static bool of_views(const person *p, int level)
{
    return p->whole == !level;
}

#define LEVELS 5

typedef struct grouping {
    const char *title;
    const char *level[LEVELS];
    int n;
    bool (*inside)(const person *p, int level);
    bool cases_only;
} grouping;

static const grouping groupings[] = {
    {"Age", {"under 50", "50-59", "60-69", "70 or older"}, 4, of_age, false},
    {"Views", {"all four views", "incomplete"}, 2, of_views, false},
    {"Type of the cancer", {"duct", "lobe", "rare"}, 3, of_type, true},
    {"Manufacturer", {"AX", "BX", "CX", "DX"}, 4, of_vendor, false},
    {"Device model", {"a1", "a2", "b1", "c1", "d1"}, 5, of_model, false},
};

/* "under 50", "50-69", "60 or older" */
static bool ages_of(const char *name, int *low, int *high)
{
    char rest;
    *low = 0;
    *high = 999;
    return sscanf(name, "%d-%d", low, high) == 2 || sscanf(name, "under %d", high) == 1 ||
           sscanf(name, "%d %c", low, &rest) == 2;
}

/* Is the level one of those that a group is made of, by the group's name? */
static bool member(const char *group, const char *level)
{
    int from, to, low, high;
    if (strchr(group, '('))
        return strstr(strchr(group, '('), level) != NULL;
    if (ages_of(group, &from, &to) && ages_of(level, &low, &high))
        return from <= low && high <= to;
    return !strcmp(group, level);
}

static double threshold;

typedef struct part {
    int n, y, tp, fn, fp, tn; /* unknowns */
} part;

/* What there is to know of some exams. */
static part unknowns(const int64_t count[2], const int64_t flagged[2], const char *title,
                     const char *level)
{
    part p = {.n = variable(count[0] + count[1], title, level),
              .y = variable(count[1], title, level),
              .tp = variable(flagged[1], title, level),
              .fn = variable(count[1] - flagged[1], title, level),
              .fp = variable(flagged[0], title, level),
              .tn = variable(count[0] - flagged[0], title, level)};
    equation *q = sum_of(p.y);
    term(q, p.tp);
    term(q, p.fn);
    q = sum_of(p.n);
    term(q, p.y);
    term(q, p.fp);
    term(q, p.tn);
    return p;
}

static void is(int var, int64_t v)
{
    unknown *u = &sys.v[var];
    if (v != u->truth)
        fail_msg("seed %llu: %s is %lld in the report, not %lld", (unsigned long long)seed, u->what,
                 (long long)v, (long long)u->truth);
    u->lo = u->hi = v;
}

/* One row of the table: its numbers are the sums over the levels in it. */
static void read_group(const json_t *t, const json_t *row, const grouping *g, const part *level)
{
    const char *name = json_string_value(json_array_get(row, 1));
    int64_t count[2] = {0}, flagged[2] = {0};
    for (int i = 0; i < exams; i++)
        for (int k = 0; k < g->n; k++)
            if (member(name, g->level[k]) && g->inside(&who[i], k)) {
                count[who[i].y]++;
                flagged[who[i].y] += who[i].score >= threshold - 1e-9;
            }
    part p = unknowns(count, flagged, g->title, name);
    const json_t *sens = json_object_get(cell_at(t, row, "sens"), "v"),
                 *spec = json_object_get(cell_at(t, row, "spec"), "v");
    int64_t controls = 0;
    for (int i = 0; g->cases_only && i < exams; i++)
        controls += !who[i].y;
    is(p.n, json_integer_value(cell_at(t, row, "exams")) - controls);
    is(p.y, json_integer_value(cell_at(t, row, "cancers")));
    if (json_is_number(sens))
        is(p.tp, llround(json_number_value(sens) * (double)count[1]));
    if (json_is_number(spec) && !g->cases_only)
        is(p.tn, llround(json_number_value(spec) * (double)count[0]));
    equation *q[] = {sum_of(p.n), sum_of(p.y), sum_of(p.tp), sum_of(p.fp)};
    for (int k = 0; k < g->n; k++)
        if (member(name, g->level[k])) {
            term(q[0], level[k].n);
            term(q[1], level[k].y);
            term(q[2], level[k].tp);
            term(q[3], level[k].fp);
        }
}

/* The levels of a variable, which fill the whole, and what the table says of groups of them. */
static int read_variable(const json_t *tree, const grouping *g, const part *all, part *level)
{
    const json_t *t = report_tree_by_id(tree, "tables", "subgroups"), *row;
    equation *sum[] = {sum_of(g->cases_only ? all->y : all->n), sum_of(all->y), sum_of(all->tp)},
             *false_ones = g->cases_only ? NULL : sum_of(all->fp);
    int joined = 0;
    for (int k = 0; k < g->n; k++) {
        int64_t count[2] = {0}, flagged[2] = {0};
        for (int i = 0; i < exams; i++)
            if (g->inside(&who[i], k)) {
                count[who[i].y]++;
                flagged[who[i].y] += who[i].score >= threshold - 1e-9;
            }
        level[k] = unknowns(count, flagged, g->title, g->level[k]);
        term(sum[0], level[k].n);
        term(sum[1], level[k].y);
        term(sum[2], level[k].tp);
        if (g->cases_only) {
            is(level[k].fp, 0);
            is(level[k].tn, 0);
        } else {
            term(false_ones, level[k].fp);
        }
    }
    for (size_t i = 0; (row = json_array_get(json_object_get(t, "rows"), i)) != NULL; i++)
        if (!strcmp(json_string_value(json_array_get(row, 0)), g->title)) {
            int members = 0;
            for (int k = 0; k < g->n; k++)
                members += member(json_string_value(json_array_get(row, 1)), g->level[k]);
            joined += members > 1;
            read_group(t, row, g, level);
        }
    return joined;
}

/* Returns how many groups have several levels. */
static int attack_groups(const json_t *tree)
{
    int64_t n[2] = {0}, flagged[2] = {0};
    part level[COUNT_OF(groupings)][LEVELS];
    static const int parent[] = {0, 0, 1, 2, 3};
    int joined = 0;
    sys.n = sys.m = 0;
    threshold = report_tree_num(report_tree_by_id(tree, "tables", "subgroups"), "threshold");
    for (int i = 0; i < exams; i++) {
        n[who[i].y]++;
        flagged[who[i].y] += who[i].score >= threshold - 1e-9;
    }
    const json_t *t = report_tree_by_id(tree, "tables", "operating"),
                 *row = json_array_get(json_object_get(t, "rows"), 1); /* specificity 90 % */
    static const char *const counts[] = {"tp", "fn", "fp", "tn"};
    part all = unknowns(n, flagged, "all", "exams");
    const int at[] = {all.tp, all.fn, all.fp, all.tn};
    assert_true(fabs(json_number_value(cell_at(t, row, "threshold")) - threshold) < 1e-12);
    is(all.n, exams);
    is(all.y, n[1]);
    for (int k = 0; k < 4; k++)
        if (json_is_integer(cell_at(t, row, counts[k])))
            is(at[k], json_integer_value(cell_at(t, row, counts[k])));
    for (size_t g = 0; g < COUNT_OF(groupings); g++)
        joined += read_variable(tree, &groupings[g], &all, level[g]);
    for (int v = 0; v < 4; v++) { /* a maker's exams are those of its models */
        const part *maker = &level[3][v];
        equation *sum[] = {sum_of(maker->n), sum_of(maker->y), sum_of(maker->tp),
                           sum_of(maker->fp)};
        for (int k = 0; k < 5; k++)
            if (parent[k] == v) {
                term(sum[0], level[4][k].n);
                term(sum[1], level[4][k].y);
                term(sum[2], level[4][k].tp);
                term(sum[3], level[4][k].fp);
            }
    }
    narrow();
    nothing_came_out();
    return joined;
}

/* ---- where the few are ----------------------------------------------------------------------- */

/* Nobody on one side: a count of 0, or a share of 0 or 1. */
static bool says_nobody(const json_t *cell)
{
    const json_t *v = json_is_object(cell) ? json_object_get(cell, "v") : cell;
    double x = json_is_number(v) ? json_number_value(v) : NAN;
    return x == 0 || (json_is_object(cell) && x == 1) ||
           (json_is_string(v) && !strncmp(json_string_value(v), "0 (", 3));
}

static bool says_nothing(const json_t *cell)
{
    const json_t *v = json_is_object(cell) ? json_object_get(cell, "v") : cell;
    return json_is_null(v) || (json_is_string(v) && !strcmp(json_string_value(v), "hidden"));
}

/* In a table whose rows are groups of persons, a row without anybody says that all are in the
 * others: no row beside it (of the same variable) may be hidden, and no few may be left for them.
 * whole: with this many on that side of all exams, 1 to 4. */
static void attack_places(const json_t *tree)
{
    static const char *const places[][2] = {
        {"subgroups", "cancers"},        {"subgroups", "sens"},  {"subgroups", "spec"},
        {"participants", "group_cases"}, {"deciles", "cancers"}, {"reliability", "cancers"},
        {"reliability", "rate"},         {"found", "exams"},     {"views", "cancers"}};
    for (size_t k = 0; k < COUNT_OF(places); k++) {
        const json_t *t = report_tree_by_id(tree, "tables", places[k][0]),
                     *rows = json_object_get(t, "rows");
        bool named = report_tree_column(t, "variable") == 0;
        for (size_t i = 0; i < json_array_size(rows); i++)
            for (size_t j = 0; j < json_array_size(rows); j++) {
                const json_t *a = json_array_get(rows, i), *b = json_array_get(rows, j),
                             *x = cell_at(t, a, places[k][1]), *y = cell_at(t, b, places[k][1]);
                if (!x || !says_nobody(x) ||
                    (named && strcmp(json_string_value(json_array_get(a, 0)),
                                     json_string_value(json_array_get(b, 0)))))
                    continue;
                if (says_nothing(y))
                    fail_msg("seed %llu: %s, %s: nobody in row %zu, and row %zu is hidden",
                             (unsigned long long)seed, places[k][0], places[k][1], i, j);
                if (strcmp(places[k][0], "found") && strcmp(places[k][0], "views") && i != j)
                    fail_msg("seed %llu: %s, %s: nobody in row %zu of several",
                             (unsigned long long)seed, places[k][0], places[k][1], i);
            }
    }
}

/* ---- steps ----------------------------------------------------------------------------------- */

static int cmp_i64(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

typedef struct cuts {
    int64_t at[4 * MOST];
    int n;
} cuts;

static void cut(cuts *c, double share, int64_t of)
{
    if (!isnan(share))
        c->at[c->n++] = llround(share * (double)of);
}

static void steps_are_wide(cuts *c, int64_t of, const char *what)
{
    c->at[c->n++] = 0;
    c->at[c->n++] = of;
    qsort(c->at, (size_t)c->n, sizeof *c->at, cmp_i64);
    for (int i = 1; i < c->n; i++) {
        int64_t step = c->at[i] - c->at[i - 1];
        if (step > 0 && step < FEW)
            fail_msg("seed %llu: %lld %s lie between two cuts (%lld and %lld)",
                     (unsigned long long)seed, (long long)step, what, (long long)c->at[i - 1],
                     (long long)c->at[i]);
    }
}

static double column(const json_t *t, size_t row, const char *name)
{
    const json_t *c = json_array_get(json_array_get(json_object_get(t, "rows"), row),
                                     (size_t)report_tree_column(t, name));
    return json_is_object(c)   ? report_tree_num(c, "v")
           : json_is_number(c) ? json_number_value(c)
                               : NAN;
}

/* All cuts of the scores that are told anywhere: shares of the exams with and without cancer. */
static void attack_steps(const json_t *tree)
{
    static cuts y1, y0;
    int64_t n1 = 0;
    for (int i = 0; i < exams; i++)
        n1 += who[i].y;
    y1.n = y0.n = 0;
    const json_t *roc = report_tree_by_id(tree, "curves", "roc");
    for (size_t i = 0; i < json_array_size(json_object_get(roc, "x")); i++) {
        cut(&y1, json_number_value(json_array_get(json_object_get(roc, "y"), i)), n1);
        cut(&y0, json_number_value(json_array_get(json_object_get(roc, "x"), i)), exams - n1);
    }
    static const char *const with[] = {"operating", "decision"};
    for (size_t k = 0; k < COUNT_OF(with); k++) {
        const json_t *t = report_tree_by_id(tree, "tables", with[k]);
        for (size_t i = 0; i < json_array_size(json_object_get(t, "rows")); i++) {
            cut(&y1, column(t, i, "sens"), n1);
            cut(&y0, 1 - column(t, i, "spec"), exams - n1);
        }
    }
    const json_t *t = report_tree_by_id(tree, "tables", "capture");
    for (size_t i = 0; i < json_array_size(json_object_get(t, "rows")); i++)
        cut(&y1, column(t, i, "capture"), n1);
    t = report_tree_by_id(tree, "tables", "capture_population");
    const double pi = 0.006;
    for (size_t i = 0; i < json_array_size(json_object_get(t, "rows")); i++) {
        double found = column(t, i, "capture_pop");
        cut(&y1, found, n1);
        cut(&y0, (column(t, i, "flagged_pop") - pi * found) / (1 - pi), exams - n1);
    }
    t = report_tree_by_id(tree, "tables", "deciles");
    int64_t below = 0;
    for (size_t i = 0; i < json_array_size(json_object_get(t, "rows")); i++) {
        below += llround(column(t, i, "cancers"));
        y1.at[y1.n++] = n1 - below;
    }
    static const char *const bars[] = {"hist_control", "hist_case"};
    for (int k = 0; k < 2; k++) {
        const json_t *c = report_tree_by_id(tree, "curves", bars[k]), *x = json_object_get(c, "x"),
                     *y = json_object_get(c, "y");
        size_t n = json_array_size(y);
        double lo = json_number_value(json_array_get(x, 0)), sum = 0,
               hi = json_number_value(json_array_get(x, n));
        for (size_t i = 0; i < n; i++) {
            double width = json_number_value(json_array_get(x, i + 1)) -
                           json_number_value(json_array_get(x, i));
            sum += json_number_value(json_array_get(y, i)) * width / (hi - lo) * 24;
            cut(k ? &y1 : &y0, 1 - sum, k ? n1 : exams - n1);
        }
    }
    steps_are_wide(&y1, n1, "exams with cancer");
    steps_are_wide(&y0, exams - n1, "exams without cancer");
}

/* Of two models: cancers that only one of them flags. */
static void attack_rival(const json_t *tree)
{
    const json_t *t = report_tree_by_id(tree, "tables", "compare_points");
    int64_t n1 = 0;
    for (int i = 0; i < exams; i++)
        n1 += who[i].y;
    for (size_t i = 0; i < json_array_size(json_object_get(t, "rows")); i++) {
        double a = column(t, i, "only_this"), b = column(t, i, "only_other"),
               here = column(t, i, "sens_this") * (double)n1,
               there = column(t, i, "sens_other") * (double)n1;
        double told[] = {a,
                         b,
                         here,
                         there,
                         (double)n1 - here,
                         (double)n1 - there,
                         here - a,
                         (double)n1 - here - b};
        for (size_t k = 0; k < COUNT_OF(told); k++)
            if (llround(told[k]) > 0 && told[k] < FEW - .5)
                fail_msg("seed %llu: row %zu of two models tells of %.0f", (unsigned long long)seed,
                         i, told[k]);
        assert_int_equal(isnan(a), isnan(column(t, i, "p")));
    }
}

/* ---- the property ---------------------------------------------------------------------------- */

static void no_hidden_count_comes_out(void **state)
{
    int joined = 0, shown = 0;
    for (seed = 1; seed <= SEEDS; seed++) {
        draw();
        json_t *tree = report("eval.min_count=5");
        joined += attack_groups(tree);
        for (int k = 0; k < sys.n; k++)
            shown += sys.v[k].lo == sys.v[k].hi;
        attack_places(tree);
        attack_steps(tree);
        attack_rival(tree);
        json_decref(tree);
    }
    assert_true(joined > SEEDS && shown > 10 * SEEDS); /* something to find, and to read */
}

/* The same attack finds everything when nothing is hidden. */
static void the_attack_works(void **state)
{
    seed = 1;
    draw();
    json_t *tree = report("eval.min_count=0");
    sys.n = 0;
    const json_t *rows = json_object_get(report_tree_by_id(tree, "tables", "subgroups"), "rows"),
                 *row;
    int few = 0;
    for (size_t i = 0; (row = json_array_get(rows, i)) != NULL; i++) {
        const json_t *y = json_array_get(row, 4);
        assert_true(json_is_integer(y));
        few += json_integer_value(y) > 0 && json_integer_value(y) < FEW;
    }
    assert_true(few > 0);
    assert_true(json_array_size(json_object_get(report_tree_by_id(tree, "curves", "roc"), "x")) >
                40);
    json_decref(tree);
}

static int setup(void **state)
{
    log_set_level(LOG_ERROR);
    snprintf(root, sizeof root, "/tmp/test_disclose.XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
    return fs_remove_tree(root, NULL) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_hidden_count_comes_out),
        cmocka_unit_test(the_attack_works),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
