/* The table of figures, and a figure as SVG with its text alternative. */
#include "eval/figure.h"
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/report_number.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include <math.h>

#define FIGURE_ROW(name) &figure_##name,
static const figure *const figures[] = {FIGURE_LIST(FIGURE_ROW)};

const figure *figure_at(int i)
{
    return i < (int)COUNT_OF(figures) ? figures[i] : NULL;
}

const figure *figure_find(const char *id)
{
    for (size_t i = 0; i < COUNT_OF(figures); i++)
        if (!strcmp(figures[i]->id, id))
            return figures[i];
    BUG("no figure '%s'", id);
}

/* A metric with its interval, as a cell of a table would show it. */
static void describe_metric(const json_t *tree, const char *id, text *out)
{
    const json_t *m = report_tree_metric(tree, id, "all");
    json_t *cell = json_object();
    json_object_set(cell, "v", json_object_get(m, "value"));
    json_object_set(cell, "lo", json_object_get(m, "lo"));
    json_object_set(cell, "hi", json_object_get(m, "hi"));
    cells_show(cell, "est", out);
    json_decref(cell);
}

static void plain(char *s, size_t cap, double v)
{
    snprintf(s, cap, "%.3f", v);
    report_number_in(s, cap);
}

void figure_describe(const figure *f, const json_t *tree, text *out)
{
    const json_t *m = report_tree_metric(tree, "auc", "all");
    char key[32], auc[32] = "?", lo[32] = "?", hi[32] = "?", n[32], cases[32];
    if (json_is_number(json_object_get(m, "value")))
        plain(auc, sizeof auc, report_tree_num(m, "value"));
    if (json_is_number(json_object_get(m, "lo"))) {
        plain(lo, sizeof lo, report_tree_num(m, "lo"));
        plain(hi, sizeof hi, report_tree_num(m, "hi"));
    }
    snprintf(n, sizeof n, "%lld", (long long)json_integer_value(json_object_get(m, "n_exams")));
    snprintf(cases, sizeof cases, "%lld",
             (long long)json_integer_value(json_object_get(m, "n_events")));
    snprintf(key, sizeof key, "figdesc.%s", f->id);
    text slope, oe;
    text_init(&slope);
    text_init(&oe);
    describe_metric(tree, "calibration_slope", &slope);
    describe_metric(tree, "oe", &oe);
    report_fill(out, key,
                (const char *const[]){"slope", slope.s, "oe", oe.s, "auc", auc, "lo", lo, "hi", hi,
                                      "exams", n, "cases", cases, NULL});
    text_release(&slope);
    text_release(&oe);
}

/* Append the points of a curve; lists may be of different lengths (edges of a histogram). */
static void curve_rows(const json_t *c, int max_rows, json_t *table)
{
    static const char *const lists[] = {"x", "y", "lo", "hi"};
    char key[64];
    snprintf(key, sizeof key, "curve.%.56s", report_tree_str(c, "id"));
    const char *name = report_text_find(key);
    size_t n = json_array_size(json_object_get(c, "x")),
           every = max_rows > 0 ? (n + (size_t)max_rows - 1) / (size_t)max_rows : 1;
    for (size_t i = 0; i < n; i++) {
        if (i % every && i != n - 1)
            continue;
        json_t *row = cells_row(table);
        cells_text(row, name ? name : report_tree_str(c, "id"));
        for (size_t k = 0; k < COUNT_OF(lists); k++) {
            const json_t *v = json_array_get(json_object_get(c, lists[k]), i);
            cells_num(row, json_is_number(v) ? json_number_value(v) : NAN);
        }
    }
}

json_t *figure_data(const figure *f, const json_t *tree, int max_rows)
{
    static const char *const columns[] = {"x", "y", "lo", "hi"};
    if (!f->curves)
        return f->table ? json_incref((json_t *)report_tree_by_id(tree, "tables", f->table)) : NULL;
    char key[48];
    json_t *t = cells_table("figure");
    text title;
    text_init(&title);
    snprintf(key, sizeof key, "fig.%s", f->id);
    report_fill(&title, "table.figure_of", (const char *const[]){"figure", report_text(key), NULL});
    json_object_set_new(t, "title", json_string(title.s));
    snprintf(key, sizeof key, "figure-%s", f->id);
    json_object_set_new(t, "id", json_string(key));
    text_release(&title);
    cells_column(t, "curve", "text");
    for (size_t k = 0; k < COUNT_OF(columns); k++)
        cells_column(t, columns[k], "score");
    for (const char *p = f->curves; *p;) {
        char id[64];
        size_t n = strcspn(p, " ");
        snprintf(id, sizeof id, "%.*s", (int)n, p);
        const json_t *c = report_tree_by_id(tree, "curves", id);
        if (c)
            curve_rows(c, max_rows, t);
        p += n;
        p += strspn(p, " ");
    }
    if (json_array_size(json_object_get(t, "rows")))
        return t;
    json_decref(t);
    return NULL;
}

char *figure_svg(const figure *f, const json_t *tree, bool standalone)
{
    double h = f->paint(NULL, tree);
    if (h <= 0)
        return NULL;
    char key[32], id[32];
    text desc;
    text_init(&desc);
    figure_describe(f, tree, &desc);
    snprintf(key, sizeof key, "fig.%s", f->id);
    snprintf(id, sizeof id, "fig-%s", f->id);
    draw *d =
        draw_svg_new(&(draw_svg_spec){f->width, ceil(h), id, report_text(key), desc.s, standalone});
    f->paint(d, tree);
    text_release(&desc);
    return draw_svg_end(d);
}
