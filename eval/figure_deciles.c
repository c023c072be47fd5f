/* Risk groups: share with cancer in each, its interval, and what the scores predicted. */
#include "eval/figure.h"
#include "eval/axes.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include <math.h>

static double paint_deciles(draw *d, const json_t *tree)
{
    const json_t *seen = report_tree_by_id(tree, "curves", "deciles"),
                 *expected = report_tree_by_id(tree, "curves", "deciles_expected");
    size_t n = json_array_size(json_object_get(seen, "x"));
    axes a = {62, 12, 400, 260, 0.4, 0.6, 0, 0};
    for (size_t i = 0; i < n; i++) {
        a.x1 += axes_item(seen, "width", i);
        a.y1 = fmax(a.y1, axes_item(expected, "y", i));
        a.y1 = fmax(a.y1, axes_item(seen, "y", i));
        a.y1 = fmax(a.y1, fmin(axes_item(seen, "hi", i), 2 * axes_item(seen, "y", i)));
    }
    if (!n || !(a.y1 > 0))
        return 0;
    a.y1 = fmin(1, 1.08 * a.y1);
    double unit = a.w / (a.x1 - a.x0);
    axes_round_grid(d, &a, (const double[]){0, 100});
    int groups = (int)(a.x1 - 0.5), every = (groups + 11) / 12; /* ticks */
    for (int i = 0; i < groups; i += every) {
        char tick[24];
        snprintf(tick, sizeof tick, "%d", i + 1);
        draw_text(d, axes_x(&a, (double)i + 1), a.y + a.h + 18, axes_label, tick);
    }
    for (size_t i = 0; i < n; i++) {
        double w = unit * (axes_item(seen, "width", i) - 0.3);
        double x = axes_x(&a, axes_item(seen, "x", i)), y = axes_item(seen, "y", i);
        double lo = axes_item(seen, "lo", i), hi = axes_item(seen, "hi", i);
        if (!isnan(y)) {
            double top = axes_y(&a, y);
            draw_rect(d, (double[]){x - w / 2, top, w, a.y + a.h - top}, DRAW_BAND, DRAW_MAIN);
            draw_line(d, (double[]){x, axes_y(&a, lo), x, axes_y(&a, fmin(hi, a.y1))}, DRAW_MAIN,
                      1.6, 0);
        }
        draw_diamond(d, x, axes_y(&a, axes_item(expected, "y", i)), 5, DRAW_SECOND);
    }
    double y = a.y + a.h + 64;
    draw_rect(d, (double[]){a.x, y - 10, 26, 10}, DRAW_BAND, DRAW_MAIN);
    draw_text(d, a.x + 34, y, axes_text, report_text("deciles.seen"));
    draw_diamond(d, a.x + 13, y + 16, 5, DRAW_SECOND);
    draw_text(d, a.x + 34, y + 20, axes_text, report_text("deciles.expected"));
    draw_text(d, a.x + a.w / 2, a.y + a.h + 40,
              (draw_font){AXES_NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, false},
              report_text("axis.group"));
    draw_text(d, 14, a.y + a.h / 2, (draw_font){AXES_NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, true},
              report_text("axis.observed"));
    return y + 32;
}

const figure figure_deciles = {"deciles", 474, paint_deciles, "deciles deciles_expected", NULL};
