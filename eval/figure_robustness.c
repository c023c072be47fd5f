/* AUC by the share of patches that the network got, a line for each way of leaving patches out. */
#include "eval/figure.h"
#include "eval/axes.h"
#include "eval/report_number.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include <math.h>

static const struct series {
    const char *curve, *text;
    draw_ink ink;
    double dash;
    bool diamond;
} series[] = {
    {"robust_random", "mask.random", DRAW_MAIN, 0, false},
    {"robust_block", "mask.block", DRAW_SECOND, 6, true},
    {"robust_breast", "mask.breast", DRAW_TEXT, 0, true},
    {"robust_background", "mask.background", DRAW_MUTED, 2, false},
    {"robust_border", "mask.border", DRAW_TEXT, 4, false},
};

static double item(const json_t *c, const char *list, size_t i)
{
    const json_t *v = json_array_get(json_object_get(c, list), i);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static size_t points(const json_t *c)
{
    return json_array_size(json_object_get(c, "x"));
}

static void mark(draw *d, const struct series *s, double x, double y)
{
    if (s->diamond)
        draw_diamond(d, x, y, 5, s->ink);
    else
        draw_rect(d, (double[]){x - 4, y - 4, 8, 8}, s->ink, DRAW_PAPER);
}

/* The lowest AUC drawn, down to a tenth; false: nothing is drawn. */
static bool find_range(const json_t *tree, axes *a)
{
    bool any = false;
    a->y0 = 0.5;
    for (size_t k = 0; k < COUNT_OF(series); k++) {
        const json_t *c = report_tree_by_id(tree, "curves", series[k].curve);
        for (size_t i = 0; i < points(c); i++) {
            any |= !isnan(item(c, "y", i));
            a->y0 = fmin(a->y0, fmin(item(c, "y", i), item(c, "y", i) - item(c, "sd", i)));
        }
    }
    a->y0 = fmax(0, floor(a->y0 * 10 + 1e-9) / 10);
    return any;
}

static void grid(draw *d, const axes *a)
{
    char tick[8];
    for (double v = a->y0; v <= 1.0001; v += 0.1) {
        snprintf(tick, sizeof tick, "%.1f", v);
        report_number_in(tick, sizeof tick);
        draw_line(d, (double[]){a->x, axes_y(a, v), a->x + a->w, axes_y(a, v)}, DRAW_GRID, 1, 0);
        draw_text(d, a->x - 8, axes_y(a, v) + 4,
                  (draw_font){AXES_SMALL, DRAW_END, DRAW_MUTED, false, false}, tick);
    }
    for (int v = 0; v <= 100; v += 20) {
        snprintf(tick, sizeof tick, "%d", v);
        draw_text(d, axes_x(a, v / 100.0), a->y + a->h + 18, axes_label, tick);
    }
    draw_line(d, (double[]){a->x, axes_y(a, .5), a->x + a->w, axes_y(a, .5)}, DRAW_MUTED, 1.4, 5);
    draw_line(d, (double[]){a->x, a->y + a->h, a->x + a->w, a->y + a->h}, DRAW_EDGE, 1, 0);
}

static void curve(draw *d, const axes *a, const json_t *c, const struct series *s)
{
    for (size_t i = 0; i < points(c); i++) {
        double x = item(c, "x", i), y = item(c, "y", i), next = item(c, "y", i + 1);
        double lo = y - item(c, "sd", i), hi = y + item(c, "sd", i);
        if (isnan(y))
            continue;
        if (!isnan(next))
            draw_line(d,
                      (double[]){axes_x(a, x), axes_y(a, y), axes_x(a, item(c, "x", i + 1)),
                                 axes_y(a, next)},
                      s->ink, 2, s->dash);
        if (!isnan(lo) && !isnan(hi))
            draw_line(d,
                      (double[]){axes_x(a, x), axes_y(a, fmax(lo, a->y0)), axes_x(a, x),
                                 axes_y(a, fmin(hi, 1))},
                      s->ink, 1.2, 0);
        mark(d, s, axes_x(a, x), axes_y(a, y));
    }
}

static double paint_robustness(draw *d, const json_t *tree)
{
    axes a = {58, 12, 400, 260, 0, 1, 0, 1};
    if (!find_range(tree, &a))
        return 0;
    grid(d, &a);
    double y = a.y + a.h + 66;
    draw_text(d, a.x + a.w / 2, a.y + a.h + 40,
              (draw_font){AXES_NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, false},
              report_text("axis.keep"));
    draw_text(d, 16, a.y + a.h / 2, (draw_font){AXES_NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, true},
              report_text("axis.exam_auc"));
    for (size_t k = 0; k < COUNT_OF(series); k++) {
        const json_t *c = report_tree_by_id(tree, "curves", series[k].curve);
        if (!points(c))
            continue;
        curve(d, &a, c, &series[k]);
        draw_line(d, (double[]){a.x - 4, y - 4, a.x + 20, y - 4}, series[k].ink, 2, series[k].dash);
        mark(d, &series[k], a.x + 8, y - 4);
        draw_text(d, a.x + 30, y, axes_text, report_text(series[k].text));
        y += 20;
    }
    return y;
}

const figure figure_robustness = {"robustness", 470, paint_robustness, NULL, "robustness"};
