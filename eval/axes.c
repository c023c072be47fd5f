/* The plot area that the figures share. */
#include "eval/axes.h"
#include <math.h>

const draw_font axes_label = {AXES_SMALL, DRAW_MIDDLE, DRAW_MUTED, false, false};
const draw_font axes_text = {AXES_SMALL, DRAW_START, DRAW_TEXT, false, false};

double axes_x(const axes *a, double v)
{
    return a->x + a->w * (v - a->x0) / (a->x1 - a->x0);
}

double axes_y(const axes *a, double v)
{
    return a->y + a->h * (1 - (v - a->y0) / (a->y1 - a->y0));
}

void axes_unit_grid(draw *d, const axes *a)
{
    for (int i = 0; i <= 5; i++) {
        double v = i / 5.0, x = axes_x(a, v), y = axes_y(a, v);
        char tick[8];
        snprintf(tick, sizeof tick, "%.1f", v);
        draw_line(d, (double[]){x, a->y, x, a->y + a->h}, DRAW_GRID, 1, 0);
        draw_line(d, (double[]){a->x, y, a->x + a->w, y}, DRAW_GRID, 1, 0);
        draw_text(d, x, a->y + a->h + 18, axes_label, tick);
        draw_text(d, a->x - 8, y + 4, (draw_font){AXES_SMALL, DRAW_END, DRAW_MUTED, false, false},
                  tick);
    }
    draw_line(d, (double[]){a->x, a->y, a->x, a->y + a->h}, DRAW_EDGE, 1, 0);
    draw_line(d, (double[]){a->x, a->y + a->h, a->x + a->w, a->y + a->h}, DRAW_EDGE, 1, 0);
}

double axes_step(double span, int n)
{
    double raw = span / n, mag = pow(10, floor(log10(raw))), f = raw / mag;
    return (f < 1.5 ? 1 : f < 3.5 ? 2 : f < 7.5 ? 5 : 10) * mag;
}
