/* The plot area that the figures share: data to drawing units, round ticks, type sizes. Sizes are
 * in CSS pixels; type sizes suit print at 70 %. */
#ifndef EVAL_AXES_H
#define EVAL_AXES_H

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
/* Round step (1, 2 or 5 times a power of ten) that cuts a span into about n. */
double axes_step(double span, int n);
#endif
