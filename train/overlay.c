/* Overlays (overlay.h): a few drawing calls with two outputs, so that PNG and SVG cannot differ in
 * what they show. Widths of text are estimated, not measured: one layout for both, on any machine.
 */
#include "train/overlay.h"

#include <cairo.h>
#include <math.h>
#include <string.h>

#include "core/fs.h"
#include "core/mem.h"
#include "train/picture.h"

#define TINT       0.42 /* opacity of a tinted patch */
#define STROKE     0.9  /* of a hatch */
#define LEGEND_MIN 440  /* px that a legend needs in width */
#define SIDE_MAX   32767
#define GLYPH      0.6 /* mean advance of a letter, in font sizes */
#define WARNING                                                                                    \
    "For research. This shows how the network read the image; it is not a map of suspicion or of " \
    "the probability of a lesion."

typedef struct rect {
    double x, y, w, h;
} rect;
typedef struct segment {
    double x0, y0, x1, y1;
} segment;
typedef struct ink {
    double r, g, b, a;
} ink;
typedef struct pen { /* one of the two */
    cairo_t *cr;
    text *svg;
} pen;

static const ink black = {0.1, 0.12, 0.14, 1}, casing = {0, 0, 0, 0.75}, line = {1, 1, 1, 1};

/* Stops of matplotlib's plasma: lightness rises all the way, so order survives colour blindness. */
void overlay_ramp(int i, int n, double rgb[3])
{
    static const double stop[5][3] = {
        {48, 18, 190}, {156, 23, 158}, {225, 100, 98}, {253, 180, 47}, {240, 249, 33}};
    double at = n > 1 ? 4.0 * i / (n - 1) : 4;
    int k = at >= 3 ? 3 : (int)at;
    for (int c = 0; c < 3; c++)
        rgb[c] = (stop[k][c] + (at - k) * (stop[k + 1][c] - stop[k][c])) / 255;
}

static void svg_ink(text *t, const char *what, ink c)
{
    text_addf(t, " %s=\"rgb(%.0f,%.0f,%.0f)\"", what, c.r * 255, c.g * 255, c.b * 255);
    if (c.a < 1)
        text_addf(t, " %s-opacity=\"%.2f\"", what, c.a);
}

static void fill_rects(const pen *p, const rect *r, int n, ink c)
{
    if (n == 0)
        return;
    if (p->cr) {
        for (int i = 0; i < n; i++)
            cairo_rectangle(p->cr, r[i].x, r[i].y, r[i].w, r[i].h);
        cairo_set_source_rgba(p->cr, c.r, c.g, c.b, c.a);
        cairo_fill(p->cr);
        return;
    }
    text_add(p->svg, "<path");
    svg_ink(p->svg, "fill", c);
    text_add(p->svg, " d=\"");
    for (int i = 0; i < n; i++)
        text_addf(p->svg, "M%g %gh%gv%gh%gz", r[i].x, r[i].y, r[i].w, r[i].h, -r[i].w);
    text_add(p->svg, "\"/>\n");
}

static void stroke(const pen *p, const segment *s, int n, ink c, double width)
{
    if (n == 0)
        return;
    if (p->cr) {
        for (int i = 0; i < n; i++) {
            cairo_move_to(p->cr, s[i].x0, s[i].y0);
            cairo_line_to(p->cr, s[i].x1, s[i].y1);
        }
        cairo_set_source_rgba(p->cr, c.r, c.g, c.b, c.a);
        cairo_set_line_width(p->cr, width);
        cairo_set_line_cap(p->cr, CAIRO_LINE_CAP_SQUARE);
        cairo_stroke(p->cr);
        return;
    }
    text_addf(p->svg, "<path fill=\"none\" stroke-linecap=\"square\" stroke-width=\"%g\"", width);
    svg_ink(p->svg, "stroke", c);
    text_add(p->svg, " d=\"");
    for (int i = 0; i < n; i++)
        text_addf(p->svg, "M%g %gL%g %g", s[i].x0, s[i].y0, s[i].x1, s[i].y1);
    text_add(p->svg, "\"/>\n");
}

static void write_text(const pen *p, double x, double y, double size, bool bold, const char *s)
{
    if (p->cr) {
        cairo_select_font_face(p->cr, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
                               bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
        cairo_set_font_size(p->cr, size);
        cairo_set_source_rgba(p->cr, black.r, black.g, black.b, black.a);
        cairo_move_to(p->cr, x, y);
        cairo_show_text(p->cr, s);
        return;
    }
    text_addf(p->svg, "<text x=\"%g\" y=\"%g\" font-size=\"%g\"%s", x, y, size,
              bold ? " font-weight=\"bold\"" : "");
    svg_ink(p->svg, "fill", black);
    text_addf(p->svg, ">%s</text>\n", s); /* words of ours and checked names: nothing to escape */
}

/* ---- patches --------------------------------------------------------------------------------- */

/* Patches of one class, neighbours in a row as one rectangle; returns their number. */
static int class_rects(const overlay *o, int class, rect *out)
{
    double ph = o->h / o->rows, pw = o->w / o->cols;
    int n = 0;
    for (int r = 0; r < o->rows; r++)
        for (int c = 0, from; c < o->cols; c++) {
            for (from = c; c < o->cols && o->fill[r * o->cols + c] == class; c++)
                ;
            if (c > from)
                out[n++] = (rect){from * pw, r * ph, (c - from) * pw, ph};
        }
    return n;
}

static int class_hatches(const overlay *o, int class, segment *out)
{
    double ph = o->h / o->rows, pw = o->w / o->cols;
    int n = 0;
    for (int i = 0; i < o->rows * o->cols; i++) {
        double x = i % o->cols * pw, y = i / o->cols * ph;
        if (o->fill[i] == class)
            out[n++] = (segment){x + 0.25 * pw, y + 0.75 * ph, x + 0.75 * pw, y + 0.25 * ph};
    }
    return n;
}

static int32_t group_at(const overlay *o, int r, int c)
{
    bool inside = r >= 0 && c >= 0 && r < o->rows && c < o->cols;
    return inside ? o->group[r * o->cols + c] : -1;
}

/* Borders between patches of different groups, neighbours as one segment. */
static int outlines(const overlay *o, segment *out)
{
    double ph = o->h / o->rows, pw = o->w / o->cols;
    int n = 0;
    for (int r = 0; r <= o->rows; r++)
        for (int c = 0, from; c < o->cols; c++) {
            for (from = c; c < o->cols && group_at(o, r - 1, c) != group_at(o, r, c); c++)
                ;
            if (c > from)
                out[n++] = (segment){from * pw, r * ph, c * pw, r * ph};
        }
    for (int c = 0; c <= o->cols; c++)
        for (int r = 0, from; r < o->rows; r++) {
            for (from = r; r < o->rows && group_at(o, r, c - 1) != group_at(o, r, c); r++)
                ;
            if (r > from)
                out[n++] = (segment){c * pw, from * ph, c * pw, r * ph};
        }
    return n;
}

static ink tint(const overlay_class *k)
{
    return (ink){k->rgb[0], k->rgb[1], k->rgb[2], k->hatched ? STROKE : TINT};
}

static double line_width(const overlay *o)
{
    double w = o->w / o->cols / 14.0;
    return w < 1 ? 1 : w;
}

static void draw_patches(const overlay *o, const pen *p)
{
    int n = o->rows * o->cols, edges = 2 * n + o->rows + o->cols;
    rect *r = MEM_ARRAY(rect, n);
    segment *s = MEM_ARRAY(segment, edges);
    double width = line_width(o);
    for (int k = 0; k < o->classes; k++) {
        if (o->class[k].hatched)
            stroke(p, s, class_hatches(o, k, s), tint(&o->class[k]), width);
        else
            fill_rects(p, r, class_rects(o, k, r), tint(&o->class[k]));
    }
    int lines = o->group ? outlines(o, s) : 0;
    stroke(p, s, lines, casing, 2 * width); /* seen on white and on black tissue */
    stroke(p, s, lines, line, width);
    mem_free(r);
    mem_free(s);
}

/* ---- legend ---------------------------------------------------------------------------------- */

typedef struct page {
    const pen *pen; /* NULL: only the height is wanted */
    double size, x, y, width;
} page;

static void put(page *g, double indent, bool bold, const char *s)
{
    if (g->pen)
        write_text(g->pen, g->x + indent, g->y + g->size, g->size, bold, s);
}

static void wrap(page *g, bool bold, const char *s)
{
    size_t most = (size_t)(g->width / (g->size * GLYPH));
    while (*s) {
        size_t n = strlen(s), cut = n;
        char part[512];
        if (n > most) {
            for (cut = most; cut > 0 && s[cut] != ' '; cut--)
                ;
            cut = cut ? cut : most;
        }
        cut = cut < sizeof part ? cut : sizeof part - 1;
        memcpy(part, s, cut);
        part[cut] = 0;
        put(g, 0, bold, part);
        g->y += 1.35 * g->size;
        for (s += cut; *s == ' '; s++)
            ;
    }
}

/* One entry: a sample on grey, as a patch of the picture looks. */
static void entry(page *g, const overlay_class *k, bool outlined, const char *label)
{
    double s = 1.5 * g->size, w = s / 10;
    rect box = {g->x, g->y, s, s};
    segment across = {g->x + 0.25 * s, g->y + 0.75 * s, g->x + 0.75 * s, g->y + 0.25 * s};
    segment edge[4] = {{g->x, g->y, g->x + s, g->y},
                       {g->x + s, g->y, g->x + s, g->y + s},
                       {g->x + s, g->y + s, g->x, g->y + s},
                       {g->x, g->y + s, g->x, g->y}};
    if (!*label)
        return;
    if (g->pen) {
        fill_rects(g->pen, &box, 1, (ink){0.5, 0.5, 0.5, 1});
        if (k && k->hatched)
            stroke(g->pen, &across, 1, tint(k), w);
        else if (k)
            fill_rects(g->pen, &box, 1, tint(k));
        if (outlined) {
            stroke(g->pen, edge, 4, casing, 2 * w);
            stroke(g->pen, edge, 4, line, w);
        }
        g->y += 0.2 * g->size;
        put(g, 1.4 * s, false, label);
        g->y -= 0.2 * g->size;
    }
    g->y += 1.25 * s;
}

/* Returns the height that it takes. */
static double legend(const overlay *o, const pen *p, double width)
{
    double size = width / 56;
    size = size < 11 ? 11 : size > 36 ? 36 : size;
    page g = {p, size, size, o->h + size, width - 2 * size};
    wrap(&g, true, o->title);
    wrap(&g, false, o->says);
    g.y += 0.5 * size;
    for (int k = 0; k < o->classes; k++)
        entry(&g, &o->class[k], false, o->class[k].label);
    entry(&g, NULL, false, o->plain);
    entry(&g, NULL, true, o->outline);
    wrap(&g, false, WARNING);
    wrap(&g, false, o->subject);
    return ceil(g.y + size - o->h);
}

/* ---- files ----------------------------------------------------------------------------------- */

static cairo_status_t collect(void *to, const unsigned char *data, unsigned len)
{
    text_addn(to, (const char *)data, len);
    return CAIRO_STATUS_SUCCESS;
}

/* The picture in the upper left corner of a white page. */
static void paint_grey(const overlay *o, cairo_surface_t *s)
{
    unsigned char *at = cairo_image_surface_get_data(s);
    int stride = cairo_image_surface_get_stride(s);
    memset(at, 255, (size_t)stride * (size_t)cairo_image_surface_get_height(s));
    for (int y = 0; y < o->h; y++)
        for (int x = 0; x < o->w; x++) {
            uint32_t g = picture_grey(o->image[(size_t)y * (size_t)o->w + (size_t)x]);
            g = g << 16 | g << 8 | g;
            memcpy(at + (size_t)y * (size_t)stride + (size_t)x * 4, &g, 4);
        }
    cairo_surface_mark_dirty(s);
}

static bool write_png(const overlay *o, const char *path, int width, int height, err *e)
{
    text out;
    text_init(&out);
    cairo_surface_t *s = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    bool ok = cairo_surface_status(s) == CAIRO_STATUS_SUCCESS;
    if (ok) {
        paint_grey(o, s);
        pen p = {.cr = cairo_create(s)};
        draw_patches(o, &p);
        legend(o, &p, width);
        ok = cairo_status(p.cr) == CAIRO_STATUS_SUCCESS;
        cairo_destroy(p.cr);
        ok = ok && cairo_surface_write_to_png_stream(s, collect, &out) == CAIRO_STATUS_SUCCESS;
    }
    cairo_surface_destroy(s);
    ok = ok ? fs_write(path, out.s, out.len, e)
            : err_set(e, ERR_MEMORY, "a picture of %d x %d could not be drawn", width, height);
    text_release(&out);
    return ok;
}

static bool write_svg(const overlay *o, const char *path, int width, int height, err *e)
{
    text png, svg;
    text_init(&png);
    text_init(&svg);
    bool ok = picture_encode(o->image, o->h, o->w, o->h > o->w ? o->h : o->w, &png, e);
    if (ok) {
        pen p = {.svg = &svg};
        text_addf(&svg,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                  "viewBox=\"0 0 %d %d\" font-family=\"DejaVu Sans, sans-serif\">\n"
                  "<title>%s</title>\n<desc>%s</desc>\n"
                  "<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n"
                  "<image width=\"%d\" height=\"%d\" href=\"data:image/png;base64,",
                  width, height, width, height, o->title, o->says, width, height, o->w, o->h);
        text_base64(&svg, png.s, png.len);
        text_add(&svg, "\"/>\n");
        draw_patches(o, &p);
        legend(o, &p, width);
        text_add(&svg, "</svg>\n");
        ok = fs_write(path, svg.s, svg.len, e);
    }
    text_release(&png);
    text_release(&svg);
    return ok;
}

bool overlay_write(const overlay *o, const char *path, err *e)
{
    int width = o->w > LEGEND_MIN ? o->w : LEGEND_MIN;
    double height = o->h + legend(o, NULL, width);
    if (width > SIDE_MAX || height > SIDE_MAX)
        return err_set(e, ERR_RANGE,
                       "an overlay of %d x %.0f px is more than the %d that can be "
                       "drawn",
                       width, height, SIDE_MAX);
    text png, svg;
    text_init(&png);
    text_init(&svg);
    text_addf(&png, "%s.png", path);
    text_addf(&svg, "%s.svg", path);
    bool ok =
        write_png(o, png.s, width, (int)height, e) && write_svg(o, svg.s, width, (int)height, e);
    text_release(&png);
    text_release(&svg);
    return ok;
}
