/* The plot area that the figures share: data to drawing units, round ticks, type sizes. Sizes are
 * in CSS pixels; type sizes suit print at 70 %. */
#ifndef EVAL_AXES_H
#define EVAL_AXES_H

#include "core/json.h"
#include "eval/draw.h"

#define AXES_SMALL  12.0
#define AXES_NORMAL 13.5

typedef struct axes {
    double x, y, w, h;     /* of the plot area */
    double x0, x1, y0, y1; /* data range */
} axes;

extern const draw_font axes_label; /* tick labels: small, muted, centred */
extern const draw_font axes_text;  /* small words beside things */

double axes_x(const axes *a, double v);
double axes_y(const axes *a, double v);
/* Grid, ticks and edges of a plot of fractions: 0 to 1 in both directions. */
void axes_unit_grid(draw *d, const axes *a);
/* The same at round steps; numbers are written multiplied by `factor` (100: per cent; 0: no ticks
 * in this direction). */
void axes_round_grid(draw *d, const axes *a, const double factor[2]);
/* Item i of list "x", "y", "lo" or "hi" of a curve of the tree; NaN when null or absent. */
double axes_item(const json_t *curve, const char *list, size_t i);
/* The y of a curve as a line, its lo and hi as a band (band != DRAW_NONE). Points that are null or
 * left or right of the plot break it; above and below it is cut at the edge. marks > 0: a diamond
 * at every marks-th point, the sign beside colour. */
typedef struct axes_style {
    draw_ink line, band;
    double width;
    int marks;
} axes_style;
void axes_curve(draw *d, const axes *a, const json_t *curve, axes_style s);
/* Round step (1, 2 or 5 times a power of ten) that cuts a span into about n. */
double axes_step(double span, int n);
#endif
