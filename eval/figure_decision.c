/* Decision curve: net benefit over threshold risks, beside flagging every exam and none. */
#include "eval/figure.h"
#include "eval/axes.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include <math.h>

static const struct line {
    const char *curve, *text;
    axes_style style;
} lines[] = {
    {"decision", "decision.model", {DRAW_MAIN, DRAW_BAND, 2.2, 0}},
    {"decision_recalibrated", "decision.after", {DRAW_SECOND, DRAW_NONE, 1.8, 8}},
    {"decision_shifted", "decision.shifted", {DRAW_TEXT, DRAW_NONE, 1.4, 15}},
    {"decision_all", "decision.all", {DRAW_MUTED, DRAW_NONE, 1.6, 4}},
};

static double paint_decision(draw *d, const json_t *tree)
{
    axes a = {62, 12, 400, 300, INFINITY, -INFINITY, 0, 0};
    for (size_t k = 0; k < COUNT_OF(lines); k++) {
        const json_t *c = report_tree_by_id(tree, "curves", lines[k].curve);
        for (size_t i = 0; i < json_array_size(json_object_get(c, "x")); i++) {
            a.x0 = fmin(a.x0, axes_item(c, "x", i));
            a.x1 = fmax(a.x1, axes_item(c, "x", i));
            a.y1 = fmax(a.y1, axes_item(c, "y", i));
        }
    }
    if (!(a.x1 > a.x0) || !(a.y1 > 0))
        return 0;
    a.y1 *= 1.15;
    a.y0 = -0.3 * a.y1;
    axes_round_grid(d, &a, (const double[]){100, 1000});
    draw_line(d, (double[]){a.x, axes_y(&a, 0), a.x + a.w, axes_y(&a, 0)}, DRAW_TEXT, 1.2, 5);
    double y = a.y + a.h + 66;
    for (size_t k = 0; k < COUNT_OF(lines); k++) {
        const json_t *c = report_tree_by_id(tree, "curves", lines[k].curve);
        if (!c)
            continue;
        axes_curve(d, &a, c, lines[k].style);
        draw_line(d, (double[]){a.x, y - 4, a.x + 26, y - 4}, lines[k].style.line,
                  lines[k].style.width, 0);
        if (lines[k].style.marks)
            draw_diamond(d, a.x + 13, y - 4, 4, lines[k].style.line);
        draw_text(d, a.x + 34, y, axes_text, report_text(lines[k].text));
        y += 20;
    }
    draw_line(d, (double[]){a.x, y - 4, a.x + 26, y - 4}, DRAW_TEXT, 1.2, 5);
    draw_text(d, a.x + 34, y, axes_text, report_text("decision.none"));
    draw_text(d, a.x + a.w / 2, a.y + a.h + 40,
              (draw_font){AXES_NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, false},
              report_text("axis.threshold_risk"));
    draw_text(d, 14, a.y + a.h / 2, (draw_font){AXES_NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, true},
              report_text("axis.net_benefit"));
    return y + 10;
}

const figure figure_decision = {"decision", 474, paint_decision,
                                "decision decision_recalibrated decision_shifted decision_all",
                                NULL};
