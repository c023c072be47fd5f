/* One small drawing surface with two outputs: SVG text (screen) and cairo (PDF). A figure is drawn
 * once, with inks instead of colours, so that the page decides between light and dark. Text widths
 * are estimated, not measured: the layout is the same on both outputs and on every machine. */
#ifndef EVAL_DRAW_H
#define EVAL_DRAW_H

#include "core/text.h"

typedef enum draw_ink {
    DRAW_NONE,
    DRAW_TEXT,
    DRAW_MUTED,
    DRAW_GRID,
    DRAW_MAIN,   /* blue */
    DRAW_SECOND, /* vermilion */
    DRAW_BAND,   /* translucent blue */
    DRAW_PANEL,  /* box background */
    DRAW_EDGE,   /* box outline */
    DRAW_PAPER,
    DRAW_INKS
} draw_ink;

typedef enum draw_anchor { DRAW_START, DRAW_MIDDLE, DRAW_END } draw_anchor;

typedef struct draw draw; /* every call accepts NULL and then does nothing: a layout run */

/* Figure of w x h units. `id` prefixes every id inside; title and desc are its text alternative. A
 * standalone file brings its own style; an inlined one uses the classes of draw_css(). */
typedef struct draw_svg_spec {
    double w, h;
    const char *id, *title, *desc;
    bool standalone;
} draw_svg_spec;
draw *draw_svg_new(const draw_svg_spec *s);
char *draw_svg_end(draw *d); /* the document, owned by the caller; frees d */
/* Draws on a cairo context (cairo_t *), which the caller has moved and scaled. */
draw *draw_cairo_new(void *cairo);
void draw_cairo_end(draw *d);
/* Style rules of the classes, with CSS variables for light and dark. */
void draw_css(text *out);
/* Colour of an ink on white paper, 0..1. */
void draw_rgba(draw_ink ink, double out[4]);

void draw_line(draw *d, const double p[4], draw_ink ink, double width, double dash);
/* n points x,y,x,y...; fill closes the path. */
void draw_path(draw *d, const double *xy, int n, draw_ink fill, draw_ink stroke, double width);
void draw_rect(draw *d, const double xywh[4], draw_ink fill, draw_ink stroke);
void draw_diamond(draw *d, double x, double y, double r, draw_ink fill);

typedef struct draw_font {
    double size;
    draw_anchor anchor;
    draw_ink ink;
    bool bold, upright; /* upright: turned by -90 degrees */
} draw_font;
void draw_text(draw *d, double x, double y, draw_font f, const char *s);
double draw_text_width(double size, const char *s);
/* Lines of at most `width` units, drawn downwards from baseline y; returns the y after the last
 * one. Starts at x; long words are not broken. */
double draw_text_wrap(draw *d, double x, double y, double width, draw_font f, const char *s);

/* Append s with & < > " ' escaped; control characters become spaces. */
void draw_escape(text *out, const char *s);
#endif
