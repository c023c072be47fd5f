/* SVG emitter and cairo painter behind one set of drawing calls. */
#include "eval/draw.h"
#include "core/mem.h"
#include <math.h>
#include <pango/pangocairo.h>

#define LINE_HEIGHT 1.35 /* of wrapped text, in font sizes */
#define GLYPH_WIDTH 0.54 /* estimated mean advance of a sans-serif glyph, in font sizes */
#define FONT        "DejaVu Sans, Liberation Sans, Sans"

struct draw {
    text svg;    /* when svg output */
    cairo_t *cr; /* when cairo output */
};

static const struct ink {
    const char *name, *light, *dark;
    double alpha;
} inks[DRAW_INKS] = {
    [DRAW_NONE] = {"none", "#000000", "#000000", 0},
    [DRAW_TEXT] = {"text", "#1c2730", "#e6ebef", 1},
    [DRAW_MUTED] = {"muted", "#55626d", "#a9b6c1", 1},
    [DRAW_GRID] = {"grid", "#d9dfe4", "#36424c", 1},
    [DRAW_MAIN] = {"main", "#0b62a0", "#63b3ed", 1},
    [DRAW_SECOND] = {"second", "#b84c00", "#f0a35e", 1},
    [DRAW_BAND] = {"band", "#0b62a0", "#63b3ed", 0.16},
    [DRAW_PANEL] = {"panel", "#f4f7f9", "#1d262e", 1},
    [DRAW_EDGE] = {"edge", "#7d8b97", "#7d8b97", 1},
    [DRAW_PAPER] = {"paper", "#ffffff", "#141b21", 1},
};

void draw_escape(text *out, const char *s)
{
    for (; *s; s++) {
        switch (*s) {
        case '&':
            text_add(out, "&amp;");
            break;
        case '<':
            text_add(out, "&lt;");
            break;
        case '>':
            text_add(out, "&gt;");
            break;
        case '"':
            text_add(out, "&quot;");
            break;
        case '\'':
            text_add(out, "&#39;");
            break;
        default:
            text_addn(out, (unsigned char)*s < 32 && *s != '\n' ? " " : s, 1);
        }
    }
}

void draw_rgba(draw_ink ink, double out[4])
{
    const char *c = inks[ink].light + 1;
    for (int i = 0; i < 3; i++) {
        int v = 0;
        for (int k = 0; k < 2; k++) {
            char h = c[2 * i + k];
            v = 16 * v + (h <= '9' ? h - '0' : h - 'a' + 10);
        }
        out[i] = v / 255.0;
    }
    out[3] = inks[ink].alpha;
}

static void css_variables(text *out, bool dark)
{
    for (int i = 1; i < DRAW_INKS; i++)
        text_addf(out, "--%s:%s;", inks[i].name, dark ? inks[i].dark : inks[i].light);
}

static void css_classes(text *out, bool variables)
{
    for (int i = 1; i < DRAW_INKS; i++) {
        text value;
        text_init(&value);
        if (variables)
            text_addf(&value, "var(--%s)", inks[i].name);
        else
            text_add(&value, inks[i].light);
        text_addf(out, ".f-%s{fill:%s", inks[i].name, value.s);
        if (inks[i].alpha < 1)
            text_addf(out, ";fill-opacity:%.2f", inks[i].alpha);
        text_addf(out, "}.s-%s{stroke:%s}", inks[i].name, value.s);
        text_release(&value);
    }
    text_add(out, ".f-none{fill:none}.s-none{stroke:none}\n");
}

void draw_css(text *out)
{
    text_add(out, ":root{color-scheme:light dark;");
    css_variables(out, false);
    text_add(out,
             "}\n@media screen and (prefers-color-scheme:dark){:root:not([data-theme=light]){");
    css_variables(out, true);
    text_add(out, "}}\n@media screen{:root[data-theme=light]{color-scheme:light}"
                  ":root[data-theme=dark]{color-scheme:dark;");
    css_variables(out, true);
    text_add(out, "}}\n");
    css_classes(out, true);
}

draw *draw_svg_new(const draw_svg_spec *s)
{
    draw *d = MEM_NEW(draw);
    text_init(&d->svg);
    text_addf(&d->svg,
              "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
              "height=\"%.0f\" role=\"img\" aria-labelledby=\"%s-t %s-d\">\n<title id=\"%s-t\">",
              s->w, s->h, s->w, s->h, s->id, s->id, s->id);
    draw_escape(&d->svg, s->title);
    text_addf(&d->svg, "</title>\n<desc id=\"%s-d\">", s->id);
    draw_escape(&d->svg, s->desc);
    text_add(&d->svg, "</desc>\n");
    if (s->standalone) {
        text_add(&d->svg, "<style>text{font-family:system-ui,'DejaVu Sans',sans-serif}");
        css_classes(&d->svg, false);
        text_addf(&d->svg, "</style>\n<rect class=\"f-paper\" width=\"%.0f\" height=\"%.0f\"/>\n",
                  s->w, s->h);
    }
    return d;
}

char *draw_svg_end(draw *d)
{
    text_add(&d->svg, "</svg>\n");
    char *s = text_take(&d->svg);
    text_release(&d->svg);
    mem_free(d);
    return s;
}

draw *draw_cairo_new(void *cairo)
{
    draw *d = MEM_NEW(draw);
    text_init(&d->svg);
    d->cr = cairo;
    return d;
}

void draw_cairo_end(draw *d)
{
    text_release(&d->svg);
    mem_free(d);
}

static void ink_cairo(draw *d, draw_ink ink)
{
    double c[4];
    draw_rgba(ink, c);
    cairo_set_source_rgba(d->cr, c[0], c[1], c[2], c[3]);
}

/* Fill and stroke the current cairo path. */
static void paint(draw *d, draw_ink fill, draw_ink stroke, double width)
{
    if (fill != DRAW_NONE) {
        ink_cairo(d, fill);
        cairo_fill_preserve(d->cr);
    }
    if (stroke != DRAW_NONE) {
        ink_cairo(d, stroke);
        cairo_set_line_width(d->cr, width);
        cairo_stroke_preserve(d->cr);
    }
    cairo_new_path(d->cr);
}

void draw_line(draw *d, const double p[4], draw_ink ink, double width, double dash)
{
    if (!d)
        return;
    if (d->cr) {
        if (dash > 0)
            cairo_set_dash(d->cr, &dash, 1, 0);
        cairo_move_to(d->cr, p[0], p[1]);
        cairo_line_to(d->cr, p[2], p[3]);
        paint(d, DRAW_NONE, ink, width);
        cairo_set_dash(d->cr, NULL, 0, 0);
        return;
    }
    text_addf(&d->svg,
              "<line x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\" class=\"s-%s\" "
              "stroke-width=\"%.2f\"",
              p[0], p[1], p[2], p[3], inks[ink].name, width);
    if (dash > 0)
        text_addf(&d->svg, " stroke-dasharray=\"%.1f\"", dash);
    text_add(&d->svg, "/>\n");
}

void draw_path(draw *d, const double *xy, int n, draw_ink fill, draw_ink stroke, double width)
{
    if (!d || n < 2)
        return;
    if (d->cr) {
        cairo_move_to(d->cr, xy[0], xy[1]);
        for (int i = 1; i < n; i++)
            cairo_line_to(d->cr, xy[2 * i], xy[2 * i + 1]);
        if (fill != DRAW_NONE)
            cairo_close_path(d->cr);
        paint(d, fill, stroke, width);
        return;
    }
    text_addf(&d->svg,
              "<path class=\"f-%s s-%s\" stroke-width=\"%.2f\" stroke-linejoin=\"round\" d=\"",
              inks[fill].name, inks[stroke].name, width);
    for (int i = 0; i < n; i++)
        text_addf(&d->svg, "%c%.2f %.2f", i ? 'L' : 'M', xy[2 * i], xy[2 * i + 1]);
    text_add(&d->svg, fill != DRAW_NONE ? "Z\"/>\n" : "\"/>\n");
}

void draw_rect(draw *d, const double r[4], draw_ink fill, draw_ink stroke)
{
    if (!d)
        return;
    if (d->cr) {
        cairo_rectangle(d->cr, r[0], r[1], r[2], r[3]);
        paint(d, fill, stroke, 1);
        return;
    }
    text_addf(&d->svg,
              "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" class=\"f-%s s-%s\"/>\n",
              r[0], r[1], r[2], r[3], inks[fill].name, inks[stroke].name);
}

void draw_diamond(draw *d, double x, double y, double r, draw_ink fill)
{
    double p[] = {x - r, y, x, y - r, x + r, y, x, y + r};
    draw_path(d, p, 4, fill, DRAW_PAPER, 1);
}

/* ---- text ------------------------------------------------------------------------------------ */

double draw_text_width(double size, const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80; /* UTF-8 characters */
    return n * size * GLYPH_WIDTH;
}

static void text_cairo(draw *d, double x, double y, draw_font f, const char *s)
{
    PangoLayout *layout = pango_cairo_create_layout(d->cr);
    pango_context_set_round_glyph_positions(pango_layout_get_context(layout), FALSE);
    PangoFontDescription *font = pango_font_description_from_string(FONT);
    pango_font_description_set_absolute_size(font, f.size * PANGO_SCALE);
    pango_font_description_set_weight(font, f.bold ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL);
    pango_layout_set_font_description(layout, font);
    pango_layout_set_text(layout, s, -1);
    int w = 0;
    pango_layout_get_size(layout, &w, NULL);
    double shift = f.anchor == DRAW_START ? 0 : f.anchor == DRAW_MIDDLE ? 0.5 : 1;
    double base = (double)pango_layout_get_baseline(layout) / PANGO_SCALE;
    cairo_save(d->cr);
    cairo_translate(d->cr, x, y);
    if (f.upright)
        cairo_rotate(d->cr, -M_PI / 2);
    ink_cairo(d, f.ink);
    cairo_move_to(d->cr, -shift * w / PANGO_SCALE, -base);
    pango_cairo_show_layout(d->cr, layout);
    cairo_restore(d->cr);
    cairo_new_path(d->cr);
    pango_font_description_free(font);
    g_object_unref(layout);
}

void draw_text(draw *d, double x, double y, draw_font f, const char *s)
{
    static const char *const anchors[] = {"start", "middle", "end"};
    if (!d || !*s)
        return;
    if (d->cr) {
        text_cairo(d, x, y, f, s);
        return;
    }
    text_addf(&d->svg,
              "<text x=\"%.2f\" y=\"%.2f\" font-size=\"%.1f\" text-anchor=\"%s\" class=\"f-%s\"", x,
              y, f.size, anchors[f.anchor], inks[f.ink].name);
    if (f.bold)
        text_add(&d->svg, " font-weight=\"600\"");
    if (f.upright)
        text_addf(&d->svg, " transform=\"rotate(-90 %.2f %.2f)\"", x, y);
    text_add(&d->svg, ">");
    draw_escape(&d->svg, s);
    text_add(&d->svg, "</text>\n");
}

double draw_text_wrap(draw *d, double x, double y, double width, draw_font f, const char *s)
{
    text line;
    text_init(&line);
    while (*s) {
        size_t word = strcspn(s, " ");
        size_t keep = line.len;
        if (line.len)
            text_add(&line, " ");
        text_addn(&line, s, word);
        if (keep && draw_text_width(f.size, line.s) > width) {
            text_addn(&line, "", 0);
            line.s[keep] = 0;
            draw_text(d, x, y, f, line.s);
            y += f.size * LINE_HEIGHT;
            text_clear(&line);
            text_addn(&line, s, word);
        }
        s += word;
        while (*s == ' ')
            s++;
    }
    if (line.len) {
        draw_text(d, x, y, f, line.s);
        y += f.size * LINE_HEIGHT;
    }
    text_release(&line);
    return y;
}
