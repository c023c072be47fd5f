/* Distribution of the exam scores, with and without cancer back to back. */
#include "eval/figure.h"
#include "eval/axes.h"
#include "eval/report_number.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include <math.h>

static double largest(const json_t *list)
{
    double m = 0;
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v) m = fmax(m, json_number_value(v));
    return m;
}

static void bars(draw *d, const axes *a, const json_t *c, bool up)
{
    const json_t *x = json_object_get(c, "x"), *y = json_object_get(c, "y");
    for (size_t k = 0; k < json_array_size(y); k++) {
        double x0 = axes_x(a, json_number_value(json_array_get(x, k))),
               x1 = axes_x(a, json_number_value(json_array_get(x, k + 1)));
        double v = json_number_value(json_array_get(y, k)), y0 = axes_y(a, 0),
               y1 = axes_y(a, up ? v : -v);
        if (v > 0)
            draw_rect(d, (double[]){x0 + .6, fmin(y0, y1), x1 - x0 - 1.2, fabs(y1 - y0)},
                      up ? DRAW_SECOND : DRAW_MAIN, DRAW_NONE);
    }
}

static double paint_scores(draw *d, const json_t *tree)
{
    const json_t *c1 = report_tree_by_id(tree, "curves", "hist_case"),
                 *c0 = report_tree_by_id(tree, "curves", "hist_control"),
                 *x = json_object_get(c1, "x");
    double most = fmax(largest(json_object_get(c1, "y")), largest(json_object_get(c0, "y")));
    if (json_array_size(x) < 2 || most <= 0)
        return 0;
    axes a = {58,
              12,
              400,
              300,
              json_number_value(json_array_get(x, 0)),
              json_number_value(json_array_get(x, json_array_size(x) - 1)),
              -1.12 * most,
              1.12 * most};
    double ystep = axes_step(most, 2), xstep = axes_step(a.x1 - a.x0, 5);
    for (int k = (int)ceil(a.y0 / ystep); k * ystep <= a.y1; k++) {
        char tick[16];
        snprintf(tick, sizeof tick, "%.0f %%", 100 * fabs(k * ystep));
        draw_line(d, (double[]){a.x, axes_y(&a, k * ystep), a.x + a.w, axes_y(&a, k * ystep)},
                  DRAW_GRID, 1, 0);
        draw_text(d, a.x - 8, axes_y(&a, k * ystep) + 4,
                  (draw_font){AXES_SMALL, DRAW_END, DRAW_MUTED, false, false}, tick);
    }
    for (int64_t k = (int64_t)ceil(a.x0 / xstep - 1e-9); (double)k * xstep <= a.x1 * (1 + 1e-9);
         k++) {
        char tick[32];
        snprintf(tick, sizeof tick, "%.4g", (double)k * xstep);
        report_number_in(tick, sizeof tick);
        draw_text(d, axes_x(&a, (double)k * xstep), a.y + a.h + 18, axes_label, tick);
    }
    bars(d, &a, c1, true);
    bars(d, &a, c0, false);
    draw_line(d, (double[]){a.x, axes_y(&a, 0), a.x + a.w, axes_y(&a, 0)}, DRAW_TEXT, 1.2, 0);
    draw_line(d, (double[]){a.x, a.y + a.h, a.x + a.w, a.y + a.h}, DRAW_EDGE, 1, 0);
    draw_font f = {AXES_SMALL, DRAW_END, DRAW_TEXT, true, false};
    draw_text(d, a.x + a.w - 4, a.y + 14, f, report_text("scores.case"));
    draw_text(d, a.x + a.w - 4, a.y + a.h - 8, f, report_text("scores.control"));
    draw_text(d, a.x + a.w / 2, a.y + a.h + 40,
              (draw_font){AXES_NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, false},
              report_text("axis.score"));
    draw_text(d, 13, a.y + a.h / 2, (draw_font){AXES_NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, true},
              report_text("axis.share"));
    return a.y + a.h + 52;
}

const figure figure_scores = {"scores", 470, paint_scores, "hist_case hist_control", NULL};
