/* The ROC curve with its pointwise band and the operating points. */
#include "eval/figure.h"
#include "eval/axes.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include "core/mem.h"
#include "eval/cells.h"
#include <math.h>

static void roc_band(draw *d, const axes *a, const json_t *band)
{
    const json_t *x = json_object_get(band, "x"), *lo = json_object_get(band, "lo"),
                 *hi = json_object_get(band, "hi");
    int n = (int)json_array_size(x);
    double *p = MEM_ARRAY(double, 4 * n + 4);
    for (int i = 0; i < n; i++) {
        double v = json_number_value(json_array_get(x, i));
        int k = 2 * n - 1 - i;
        p[2 * i] = p[2 * k] = axes_x(a, v);
        p[2 * i + 1] = axes_y(a, json_number_value(json_array_get(hi, i)));
        p[2 * k + 1] = axes_y(a, json_number_value(json_array_get(lo, i)));
    }
    if (n > 1)
        draw_path(d, p, 2 * n, DRAW_BAND, DRAW_NONE, 0);
    mem_free(p);
}

static void roc_line(draw *d, const axes *a, const json_t *roc)
{
    const json_t *x = json_object_get(roc, "x"), *y = json_object_get(roc, "y");
    int n = (int)json_array_size(x);
    double *p = MEM_ARRAY(double, 2 * n + 2);
    for (int i = 0; i < n; i++) {
        p[2 * i] = axes_x(a, json_number_value(json_array_get(x, i)));
        p[2 * i + 1] = axes_y(a, json_number_value(json_array_get(y, i)));
    }
    draw_path(d, p, n, DRAW_NONE, DRAW_MAIN, 2.2);
    mem_free(p);
}

static void roc_points(draw *d, const axes *a, const json_t *tree)
{
    const json_t *t = report_tree_by_id(tree, "tables", "operating");
    int sens = report_tree_column(t, "sens"), spec = report_tree_column(t, "spec");
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(t, "rows"), i, row)
    {
        double x = 1 - report_tree_num(json_array_get(row, spec), "v"),
               y = report_tree_num(json_array_get(row, sens), "v");
        if (!isnan(x) && !isnan(y))
            draw_diamond(d, axes_x(a, x), axes_y(a, y), 5, DRAW_SECOND);
    }
}

/* The radiologists' recall decision: a square with its intervals as a cross. */
static void roc_readers(draw *d, const axes *a, const json_t *tree)
{
    const json_t *t = report_tree_by_id(tree, "tables", "readers"),
                 *row = json_array_get(json_object_get(t, "rows"), 0);
    const json_t *sens = json_array_get(row, (size_t)report_tree_column(t, "sens")),
                 *spec = json_array_get(row, (size_t)report_tree_column(t, "spec"));
    double x = 1 - report_tree_num(spec, "v"), y = report_tree_num(sens, "v"),
           lo = report_tree_num(sens, "lo"), hi = report_tree_num(sens, "hi"),
           left = 1 - report_tree_num(spec, "hi"), right = 1 - report_tree_num(spec, "lo");
    if (isnan(x) || isnan(y))
        return;
    if (!isnan(lo))
        draw_line(d, (double[]){axes_x(a, x), axes_y(a, lo), axes_x(a, x), axes_y(a, hi)},
                  DRAW_TEXT, 1.6, 0);
    if (!isnan(left))
        draw_line(d, (double[]){axes_x(a, left), axes_y(a, y), axes_x(a, right), axes_y(a, y)},
                  DRAW_TEXT, 1.6, 0);
    draw_rect(d, (double[]){axes_x(a, x) - 4.5, axes_y(a, y) - 4.5, 9, 9}, DRAW_TEXT, DRAW_PAPER);
}

static void legend_roc(draw *d, const axes *a, const json_t *tree)
{
    const json_t *m = report_tree_metric(tree, "auc", "all");
    bool readers = report_tree_by_id(tree, "tables", "readers") != NULL;
    double x = a->x + a->w - 228, y = a->y + a->h - (readers ? 110 : 92);
    text t;
    text_init(&t);
    draw_rect(d, (double[]){x - 10, y - 18, 230, readers ? 120 : 102}, DRAW_PAPER, DRAW_GRID);
    json_t *cell = json_object();
    json_object_set(cell, "v", json_object_get(m, "value"));
    json_object_set(cell, "lo", json_object_get(m, "lo"));
    json_object_set(cell, "hi", json_object_get(m, "hi"));
    text_add(&t, "AUC ");
    cells_show(cell, "auc", &t);
    json_decref(cell);
    draw_text(d, x, y, (draw_font){AXES_NORMAL, DRAW_START, DRAW_TEXT, true, false}, t.s);
    draw_line(d, (double[]){x, y + 16, x + 26, y + 16}, DRAW_MAIN, 2.2, 0);
    draw_text(d, x + 34, y + 20, axes_text, report_text("roc.model"));
    draw_rect(d, (double[]){x, y + 29, 26, 10}, DRAW_BAND, DRAW_NONE);
    draw_text(d, x + 34, y + 38, axes_text, report_text("roc.band"));
    draw_diamond(d, x + 13, y + 52, 5, DRAW_SECOND);
    draw_text(d, x + 34, y + 56, axes_text, report_text("roc.points"));
    draw_line(d, (double[]){x, y + 70, x + 26, y + 70}, DRAW_MUTED, 1.4, 5);
    draw_text(d, x + 34, y + 74, axes_text, report_text("roc.chance"));
    if (readers) {
        draw_rect(d, (double[]){x + 8.5, y + 83.5, 9, 9}, DRAW_TEXT, DRAW_PAPER);
        draw_text(d, x + 34, y + 92, axes_text, report_text("roc.readers"));
    }
    text_release(&t);
}

static double paint_roc(draw *d, const json_t *tree)
{
    const json_t *roc = report_tree_by_id(tree, "curves", "roc");
    axes a = {58, 12, 400, 400, 0, 1, 0, 1};
    if (json_array_size(json_object_get(roc, "x")) < 2)
        return 0;
    axes_unit_grid(d, &a);
    roc_band(d, &a, report_tree_by_id(tree, "curves", "roc_band"));
    draw_line(d, (double[]){axes_x(&a, 0), axes_y(&a, 0), axes_x(&a, 1), axes_y(&a, 1)}, DRAW_MUTED,
              1.4, 5);
    roc_line(d, &a, roc);
    roc_points(d, &a, tree);
    roc_readers(d, &a, tree);
    legend_roc(d, &a, tree);
    draw_text(d, a.x + a.w / 2, a.y + a.h + 40,
              (draw_font){AXES_NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, false},
              report_text("axis.fpr"));
    draw_text(d, 16, a.y + a.h / 2, (draw_font){AXES_NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, true},
              report_text("axis.tpr"));
    return a.y + a.h + 52;
}

const figure figure_roc = {"roc", 470, paint_roc, "roc roc_band", "operating"};
