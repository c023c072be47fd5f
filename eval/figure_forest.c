/* Forest plot: AUC of every subgroup beside that of all exams. */
#include "eval/figure.h"
#include "eval/axes.h"
#include "eval/report_number.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include "eval/cells.h"
#include <math.h>

static double forest_low(const json_t *rows, int auc)
{
    double low = 0.45;
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        double lo = report_tree_num(json_array_get(row, auc), "lo");
        if (!isnan(lo))
            low = fmin(low, lo);
    }
    return fmax(0, floor(low * 10) / 10);
}

static void forest_row(draw *d, const axes *a, double y, const json_t *cell, bool all)
{
    double v = report_tree_num(cell, "v"), lo = report_tree_num(cell, "lo"),
           hi = report_tree_num(cell, "hi");
    text t;
    text_init(&t);
    cells_show(cell, "auc", &t);
    draw_text(d, a->x + a->w + 12, y + 4,
              (draw_font){AXES_SMALL, DRAW_START, DRAW_TEXT, all, false}, t.s);
    text_release(&t);
    if (isnan(v))
        return;
    if (!isnan(lo) && !isnan(hi))
        draw_line(d, (double[]){axes_x(a, lo), y, axes_x(a, hi), y}, DRAW_MAIN, 2, 0);
    if (all)
        draw_diamond(d, axes_x(a, v), y, 7, DRAW_MAIN);
    else
        draw_rect(d, (double[]){axes_x(a, v) - 4, y - 4, 8, 8}, DRAW_MAIN, DRAW_PAPER);
}

#define LEVEL_W 150.0 /* room for the name of a group, */
#define SIZES_X 192.0 /* and a gap for browsers whose letters are wider than measured */

/* The name of a group, cut to its room. */
static void forest_level(draw *d, double y, const char *level)
{
    text t;
    text_init(&t);
    text_add(&t, level);
    while (draw_text_width(AXES_SMALL, t.s) > LEVEL_W && t.len > 4) {
        size_t cut = t.len - 4; /* the last letter and the ellipsis of the round before */
        while (cut > 0 && ((unsigned char)t.s[cut] & 0xC0) == 0x80)
            cut--;
        t.s[cut] = 0;
        t.len = cut;
        text_add(&t, "\xE2\x80\xA6");
    }
    draw_text(d, 22, y, axes_text, t.s);
    text_release(&t);
}

static double paint_forest(draw *d, const json_t *tree)
{
    const json_t *t = report_tree_by_id(tree, "tables", "subgroups"),
                 *rows = json_object_get(t, "rows");
    const json_t *all = report_tree_metric(tree, "auc", "all");
    int auc = report_tree_column(t, "auc"), level = report_tree_column(t, "level"),
        variable = report_tree_column(t, "variable"), exams = report_tree_column(t, "exams"),
        cancers = report_tree_column(t, "cancers");
    if (!json_array_size(rows) || isnan(report_tree_num(all, "value")))
        return 0;
    double step = 24, y = 46, bottom = y + step * ((double)json_array_size(rows) + 1.2);
    const char *before = "";
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const char *v = json_string_value(json_array_get(row, variable));
        bottom += strcmp(v, before) ? step : 0;
        before = v;
    }
    axes a = {300, 34, 250, bottom - 34, forest_low(rows, auc), 1, 0, 1};
    draw_font head = {AXES_SMALL, DRAW_START, DRAW_MUTED, false, false};
    draw_text(d, 10, 20, head, report_text("forest.group"));
    draw_text(d, SIZES_X, 20, head, report_text("forest.sizes"));
    draw_text(d, a.x + a.w + 12, 20, head, report_text("forest.auc"));
    for (double v = ceil(a.x0 * 10 - 1e-9) / 10; v <= 1.0001; v += 0.1) {
        char tick[8];
        snprintf(tick, sizeof tick, "%.1f", v);
        report_number_in(tick, sizeof tick);
        draw_line(d, (double[]){axes_x(&a, v), a.y, axes_x(&a, v), a.y + a.h}, DRAW_GRID, 1, 0);
        draw_text(d, axes_x(&a, v), a.y + a.h + 16, axes_label, tick);
    }
    draw_line(d, (double[]){axes_x(&a, .5), a.y, axes_x(&a, .5), a.y + a.h}, DRAW_MUTED, 1.4, 5);
    double overall = axes_x(&a, report_tree_num(all, "value"));
    draw_line(d, (double[]){overall, a.y, overall, a.y + a.h}, DRAW_MAIN, 1, 2);
    json_t *cell = json_object();
    json_object_set(cell, "v", json_object_get(all, "value"));
    json_object_set(cell, "lo", json_object_get(all, "lo"));
    json_object_set(cell, "hi", json_object_get(all, "hi"));
    draw_text(d, 10, y + 12, (draw_font){AXES_SMALL, DRAW_START, DRAW_TEXT, true, false},
              report_text("forest.all"));
    forest_row(d, &a, y + 8, cell, true);
    json_decref(cell);
    y += step;
    before = "";
    json_array_foreach(rows, i, row)
    {
        const char *v = json_string_value(json_array_get(row, variable));
        text sizes;
        if (strcmp(v, before)) {
            y += step;
            draw_text(d, 10, y, (draw_font){AXES_SMALL, DRAW_START, DRAW_TEXT, true, false}, v);
        }
        before = v;
        y += step;
        text_init(&sizes);
        cells_show(json_array_get(row, exams), "int", &sizes);
        text_add(&sizes, " / ");
        cells_show(json_array_get(row, cancers), "int", &sizes);
        forest_level(d, y, json_string_value(json_array_get(row, level)));
        draw_text(d, SIZES_X, y, axes_text, sizes.s);
        forest_row(d, &a, y - 4, json_array_get(row, auc), false);
        text_release(&sizes);
    }
    draw_text(d, a.x + a.w / 2, a.y + a.h + 36, axes_label, report_text("forest.axis"));
    return a.y + a.h + 46;
}

const figure figure_forest = {"forest", 722, paint_forest, NULL, "subgroups"};
