/* AUC by year of follow-up: two rules of counting, all cancers and those that came later. */
#include "eval/figure.h"
#include "eval/axes.h"
#include "eval/report_number.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include <math.h>

/* Blue squares and diamonds are all cancers, vermilion ones the later cancers. */
static const struct series {
    const char *curve, *text;
    bool later, diamond;
} series[] = {
    {"years_mirai", "years.mirai", false, false},
    {"years_ipcw", "years.ipcw", false, true},
    {"years_mirai_later", "years.mirai_later", true, false},
    {"years_ipcw_later", "years.ipcw_later", true, true},
};

static double item(const json_t *c, const char *list, size_t i)
{
    const json_t *v = json_array_get(json_object_get(c, list), i);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static void mark(draw *d, const struct series *s, double x, double y)
{
    draw_ink ink = s->later ? DRAW_SECOND : DRAW_MAIN;
    if (s->diamond)
        draw_diamond(d, x, y, 6, ink);
    else
        draw_rect(d, (double[]){x - 4.5, y - 4.5, 9, 9}, ink, DRAW_PAPER);
}

/* Range of what is drawn; false when nothing is. */
static bool find_range(const json_t *tree, axes *a)
{
    bool any = false;
    a->y0 = 0.45;
    a->y1 = 1;
    a->x0 = INFINITY;
    a->x1 = -INFINITY;
    for (size_t k = 0; k < COUNT_OF(series); k++) {
        const json_t *c = report_tree_by_id(tree, "curves", series[k].curve);
        for (size_t i = 0; i < json_array_size(json_object_get(c, "x")); i++) {
            if (isnan(item(c, "y", i)))
                continue;
            any = true;
            a->x0 = fmin(a->x0, item(c, "x", i));
            a->x1 = fmax(a->x1, item(c, "x", i));
            a->y0 = fmin(a->y0, fmin(item(c, "y", i), item(c, "lo", i)));
        }
    }
    a->y0 = fmax(0, floor(a->y0 * 10 + 1e-9) / 10);
    a->x0 -= 0.6;
    a->x1 += 0.6;
    return any;
}

static void grid(draw *d, const axes *a)
{
    for (double v = a->y0; v <= 1.0001; v += 0.1) {
        char tick[8];
        snprintf(tick, sizeof tick, "%.1f", v);
        report_number_in(tick, sizeof tick);
        draw_line(d, (double[]){a->x, axes_y(a, v), a->x + a->w, axes_y(a, v)}, DRAW_GRID, 1, 0);
        draw_text(d, a->x - 8, axes_y(a, v) + 4,
                  (draw_font){AXES_SMALL, DRAW_END, DRAW_MUTED, false, false}, tick);
    }
    double step = axes_step(a->x1 - a->x0, 8);
    step = fmax(step, 1);
    for (double v = ceil(a->x0 / step) * step; v <= a->x1; v += step) {
        char tick[16];
        snprintf(tick, sizeof tick, "%g", v);
        draw_text(d, axes_x(a, v), a->y + a->h + 18, axes_label, tick);
    }
    draw_line(d, (double[]){a->x, axes_y(a, .5), a->x + a->w, axes_y(a, .5)}, DRAW_MUTED, 1.4, 5);
    draw_line(d, (double[]){a->x, a->y + a->h, a->x + a->w, a->y + a->h}, DRAW_EDGE, 1, 0);
}

static double paint_years(draw *d, const json_t *tree)
{
    axes a = {58, 12, 400, 300, 0, 1, 0, 1};
    if (!find_range(tree, &a))
        return 0;
    grid(d, &a);
    double apart = fmin(14, a.w / (a.x1 - a.x0) / 6);
    for (size_t k = 0; k < COUNT_OF(series); k++) {
        const json_t *c = report_tree_by_id(tree, "curves", series[k].curve);
        draw_ink ink = series[k].later ? DRAW_SECOND : DRAW_MAIN;
        for (size_t i = 0; i < json_array_size(json_object_get(c, "x")); i++) {
            double x = axes_x(&a, item(c, "x", i)) + ((double)k - 1.5) * apart, lo, hi;
            if (isnan(item(c, "y", i)))
                continue;
            lo = item(c, "lo", i);
            hi = item(c, "hi", i);
            if (!isnan(lo) && !isnan(hi))
                draw_line(d, (double[]){x, axes_y(&a, lo), x, axes_y(&a, hi)}, ink, 1.6,
                          series[k].later ? 3 : 0);
            mark(d, &series[k], x, axes_y(&a, item(c, "y", i)));
        }
    }
    draw_text(d, a.x + a.w / 2, a.y + a.h + 40,
              (draw_font){AXES_NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, false},
              report_text("axis.years"));
    draw_text(d, 16, a.y + a.h / 2, (draw_font){AXES_NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, true},
              report_text("axis.auc"));
    double y = a.y + a.h + 66;
    for (size_t k = 0; k < COUNT_OF(series); k++) {
        if (!report_tree_by_id(tree, "curves", series[k].curve))
            continue; /* no early cancers */
        mark(d, &series[k], a.x + 8, y - 4);
        draw_text(d, a.x + 24, y, axes_text, report_text(series[k].text));
        y += 20;
    }
    return y;
}

const figure figure_years = {"years", 470, paint_years, NULL, "years"};
