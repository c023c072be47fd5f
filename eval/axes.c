/* The plot area that the figures share. */
#include "eval/axes.h"
#include "core/mem.h"
#include "eval/report_number.h"
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
        char tick[16];
        snprintf(tick, sizeof tick, "%.1f", v);
        report_number_in(tick, sizeof tick);
        draw_line(d, (double[]){x, a->y, x, a->y + a->h}, DRAW_GRID, 1, 0);
        draw_line(d, (double[]){a->x, y, a->x + a->w, y}, DRAW_GRID, 1, 0);
        draw_text(d, x, a->y + a->h + 18, axes_label, tick);
        draw_text(d, a->x - 8, y + 4, (draw_font){AXES_SMALL, DRAW_END, DRAW_MUTED, false, false},
                  tick);
    }
    draw_line(d, (double[]){a->x, a->y, a->x, a->y + a->h}, DRAW_EDGE, 1, 0);
    draw_line(d, (double[]){a->x, a->y + a->h, a->x + a->w, a->y + a->h}, DRAW_EDGE, 1, 0);
}

void axes_round_grid(draw *d, const axes *a, const double factor[2])
{
    for (int dir = 0; dir < 2; dir++) {
        double from = dir ? a->y0 : a->x0, to = dir ? a->y1 : a->x1, f = factor[dir];
        double step = f > 0 ? axes_step((to - from) * f, 5) / f : INFINITY;
        for (double k = ceil(from / step - 1e-9); f > 0 && k * step <= to + 1e-9 * step; k++) {
            char tick[32];
            double x = axes_x(a, k * step), y = axes_y(a, k * step);
            snprintf(tick, sizeof tick, "%.4g", k * step * f + 0.0); /* no minus zero */
            report_number_in(tick, sizeof tick);
            if (dir) {
                draw_line(d, (double[]){a->x, y, a->x + a->w, y}, DRAW_GRID, 1, 0);
                draw_text(d, a->x - 8, y + 4,
                          (draw_font){AXES_SMALL, DRAW_END, DRAW_MUTED, false, false}, tick);
            } else {
                draw_line(d, (double[]){x, a->y, x, a->y + a->h}, DRAW_GRID, 1, 0);
                draw_text(d, x, a->y + a->h + 18, axes_label, tick);
            }
        }
    }
    draw_line(d, (double[]){a->x, a->y, a->x, a->y + a->h}, DRAW_EDGE, 1, 0);
    draw_line(d, (double[]){a->x, a->y + a->h, a->x + a->w, a->y + a->h}, DRAW_EDGE, 1, 0);
}

double axes_item(const json_t *curve, const char *list, size_t i)
{
    const json_t *v = json_array_get(json_object_get(curve, list), i);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static double inside(const axes *a, double y)
{
    return fmin(fmax(y, a->y0), a->y1);
}

/* Points begin .. end - 1 are in the plot: the band, then the line where it is between the edges.
 */
static void stretch(draw *d, const axes *a, const json_t *c, axes_style s, const size_t range[2])
{
    size_t n = range[1] - range[0];
    double *p = MEM_ARRAY(double, 4 * n + 8);
    for (size_t k = 0; k < n && s.band != DRAW_NONE; k++) {
        size_t i = range[0] + k, back = 2 * n - 1 - k;
        p[2 * k] = p[2 * back] = axes_x(a, axes_item(c, "x", i));
        p[2 * k + 1] = axes_y(a, inside(a, axes_item(c, "hi", i)));
        p[2 * back + 1] = axes_y(a, inside(a, axes_item(c, "lo", i)));
    }
    if (s.band != DRAW_NONE && n > 1)
        draw_path(d, p, (int)(2 * n), s.band, DRAW_NONE, 0);
    int used = 0;
    for (size_t i = range[0]; i < range[1]; i++) {
        double x = axes_item(c, "x", i), y = axes_item(c, "y", i);
        bool in = y >= a->y0 && y <= a->y1;
        if (i > range[0]) { /* where the line crosses an edge it begins or ends */
            double px = axes_item(c, "x", i - 1), py = axes_item(c, "y", i - 1);
            bool before = py >= a->y0 && py <= a->y1;
            if (in != before) {
                double edge = inside(a, in ? py : y), t = (edge - py) / (y - py);
                p[2 * used] = axes_x(a, px + t * (x - px));
                p[2 * used++ + 1] = axes_y(a, edge);
            }
        }
        if (in) {
            p[2 * used] = axes_x(a, x);
            p[2 * used++ + 1] = axes_y(a, y);
        }
        if (in && s.marks && i % (size_t)s.marks == 0)
            draw_diamond(d, axes_x(a, x), axes_y(a, y), 4, s.line);
        if ((!in || i + 1 == range[1]) && used) {
            if (used > 1)
                draw_path(d, p, used, DRAW_NONE, s.line, s.width);
            used = 0;
        }
    }
    mem_free(p);
}

void axes_curve(draw *d, const axes *a, const json_t *curve, axes_style s)
{
    size_t n = json_array_size(json_object_get(curve, "x"));
    for (size_t i = 0, end; i < n; i = end + 1) {
        for (end = i; end < n; end++) {
            double x = axes_item(curve, "x", end);
            if (isnan(axes_item(curve, "y", end)) || !(x >= a->x0 && x <= a->x1))
                break;
        }
        if (end > i)
            stretch(d, a, curve, s, (const size_t[]){i, end});
    }
}

double axes_step(double span, int n)
{
    double raw = span / n, mag = pow(10, floor(log10(raw))), f = raw / mag;
    return (f < 1.5 ? 1 : f < 3.5 ? 2 : f < 7.5 ? 5 : 10) * mag;
}
