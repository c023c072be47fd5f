/* Calibration plot: groups and smooth curve against the line of agreement, before and after
 * recalibration; scores with and without cancer below. The axes end where the groups do; when most
 * groups lie below 5 % an inset shows them. */
#include "eval/figure.h"
#include "eval/axes.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include <math.h>

#define INSET_TOP  0.05 /* risk up to which the inset goes */
#define INSET_WHEN 0.20 /* it is drawn when the axes go further than this ... */
#define INSET_MIN  3    /* ... and at least so many groups are inside */
#define STRIP      56.0 /* height of the distribution */

static const axes_style before = {DRAW_MAIN, DRAW_BAND, 2.2, 0},
                        after = {DRAW_SECOND, DRAW_NONE, 1.8, 12};

static const json_t *of(const json_t *tree, const char *id)
{
    return report_tree_by_id(tree, "curves", id);
}

/* The second form of risk, where there is one. */
static const json_t *second(const json_t *tree, const char *stem)
{
    char id[64];
    snprintf(id, sizeof id, "%s_recalibrated", stem);
    const json_t *c = of(tree, id);
    snprintf(id, sizeof id, "%s_shifted", stem);
    return c ? c : of(tree, id);
}

static double top_of(const json_t *c)
{
    double top = 0;
    for (size_t i = 0; i < json_array_size(json_object_get(c, "x")); i++) {
        top = fmax(top, axes_item(c, "x", i));
        top = fmax(top, fmin(axes_item(c, "hi", i), 2 * axes_item(c, "y", i) + 0.01));
    }
    return top;
}

static void marks(draw *d, const axes *a, const json_t *c, bool diamond)
{
    for (size_t i = 0; i < json_array_size(json_object_get(c, "x")); i++) {
        double x = axes_item(c, "x", i), y = axes_item(c, "y", i);
        double lo = axes_item(c, "lo", i), hi = axes_item(c, "hi", i);
        if (isnan(y) || x > a->x1 || y > a->y1)
            continue;
        double px = axes_x(a, x), py = axes_y(a, y);
        draw_ink ink = diamond ? DRAW_SECOND : DRAW_MAIN;
        draw_line(d, (double[]){px, axes_y(a, fmax(lo, a->y0)), px, axes_y(a, fmin(hi, a->y1))},
                  ink, 1.4, 0);
        if (diamond)
            draw_diamond(d, px, py, 5, ink);
        else
            draw_rect(d, (double[]){px - 4, py - 4, 8, 8}, ink, DRAW_PAPER);
    }
}

static void contents(draw *d, const axes *a, const json_t *tree)
{
    axes_round_grid(d, a, (const double[]){100, 100});
    draw_line(d, (double[]){a->x, a->y + a->h, a->x + a->w, a->y}, DRAW_MUTED, 1.4, 5);
    axes_curve(d, a, of(tree, "smooth"), before);
    if (second(tree, "smooth"))
        axes_curve(d, a, second(tree, "smooth"), after);
    marks(d, a, of(tree, "reliability"), false);
    marks(d, a, second(tree, "reliability"), true);
}

static void inset(draw *d, const axes *main, const json_t *tree)
{
    const json_t *forms[] = {of(tree, "reliability"), second(tree, "reliability")};
    int inside = 0;
    for (size_t k = 0; k < COUNT_OF(forms); k++)
        for (size_t i = 0; i < json_array_size(json_object_get(forms[k], "x")); i++)
            inside += axes_item(forms[k], "x", i) < INSET_TOP;
    if (main->x1 <= INSET_WHEN || inside < INSET_MIN)
        return;
    axes a = {main->x + 46, main->y + 14, 150, 130, 0, INSET_TOP, 0, INSET_TOP};
    draw_rect(d, (double[]){a.x - 34, a.y - 10, a.w + 50, a.h + 38}, DRAW_PAPER, DRAW_GRID);
    contents(d, &a, tree);
}

static void bars(draw *d, const axes *a, const json_t *c, bool up)
{
    size_t n = json_array_size(json_object_get(c, "y"));
    double most = 0;
    for (size_t k = 0; k < n; k++)
        most = fmax(most, axes_item(c, "y", k));
    for (size_t k = 0; k < n && most > 0; k++) {
        double x0 = axes_item(c, "x", k), x1 = fmin(axes_item(c, "x", k + 1), a->x1);
        double h = axes_item(c, "y", k) / most * (STRIP / 2 - 3), y = a->y + STRIP / 2;
        if (x0 >= x1 || !(h > 0))
            continue;
        draw_rect(d,
                  (double[]){axes_x(a, x0) + .6, up ? y - h : y,
                             fmax(axes_x(a, x1) - axes_x(a, x0) - 1.2, .6), h},
                  up ? DRAW_SECOND : DRAW_MAIN, DRAW_NONE);
    }
}

static void legend(draw *d, double y, const json_t *tree)
{
    double x = 58;
    draw_rect(d, (double[]){x + 9, y - 8, 8, 8}, DRAW_MAIN, DRAW_PAPER);
    draw_text(d, x + 34, y, axes_text, report_text("calibration.groups"));
    draw_line(d, (double[]){x, y + 16, x + 26, y + 16}, DRAW_MAIN, 2.2, 0);
    draw_text(d, x + 34, y + 20, axes_text, report_text("calibration.smooth"));
    draw_line(d, (double[]){x, y + 36, x + 26, y + 36}, DRAW_MUTED, 1.4, 5);
    draw_text(d, x + 34, y + 40, axes_text, report_text("calibration.line"));
    draw_rect(d, (double[]){x, y + 49, 26, 7}, DRAW_SECOND, DRAW_NONE);
    draw_rect(d, (double[]){x, y + 57, 26, 7}, DRAW_MAIN, DRAW_NONE);
    draw_text(d, x + 34, y + 61, axes_text, report_text("calibration.strip"));
    if (!second(tree, "smooth"))
        return;
    y += 22;
    draw_line(d, (double[]){x, y + 56, x + 26, y + 56}, DRAW_SECOND, 1.8, 0);
    draw_diamond(d, x + 13, y + 56, 5, DRAW_SECOND);
    draw_text(
        d, x + 34, y + 60, axes_text,
        report_text(of(tree, "smooth_recalibrated") ? "calibration.after" : "calibration.shifted"));
}

static double paint_calibration(draw *d, const json_t *tree)
{
    double top = fmax(top_of(of(tree, "reliability")), top_of(second(tree, "reliability")));
    if (!(top > 0))
        return 0;
    top = fmin(1, 1.05 * top);
    axes a = {58, 12, 400, 400, 0, top, 0, top};
    contents(d, &a, tree);
    inset(d, &a, tree);
    draw_text(d, a.x + a.w / 2, a.y + a.h + 40,
              (draw_font){AXES_NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, false},
              report_text("axis.risk"));
    draw_text(d, 14, a.y + a.h / 2, (draw_font){AXES_NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, true},
              report_text("axis.observed"));
    axes strip = a;
    strip.y = a.y + a.h + 54;
    bars(d, &strip, of(tree, "risk_case"), true);
    bars(d, &strip, of(tree, "risk_control"), false);
    draw_line(d, (double[]){a.x, strip.y + STRIP / 2, a.x + a.w, strip.y + STRIP / 2}, DRAW_TEXT, 1,
              0);
    double y = strip.y + STRIP + 24;
    legend(d, y, tree);
    return y + (second(tree, "smooth") ? 92 : 70);
}

const figure figure_calibration = {
    "calibration", 470, paint_calibration,
    "reliability smooth reliability_recalibrated smooth_recalibrated reliability_shifted "
    "smooth_shifted risk_case risk_control",
    NULL};
