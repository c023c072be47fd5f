/* Exam pages in report.pdf (pages_pdf.h). evaluation.md 18. */
#include "eval/pages_pdf.h"

#include "core/mem.h"
#include "eval/draw.h"
#include "eval/report_number.h"
#include "eval/report_text.h"

#include <cairo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BESIDE    3    /* other views in a row */
#define GAP       2.0  /* points between rows and around the views */
#define EMPTY     40.0 /* height of a row without a picture */
#define TINT      0.5  /* opacity of a patch */
#define SCALE_BAR 50.0 /* mm */

struct pages_pdf {
    const json_t *views;
    const json_t **beside;
    int n_beside;
    hanging h;
    cairo_surface_t **picture; /* of each view */
};

typedef struct bytes {
    const char *p;
    size_t left;
} bytes;

static cairo_status_t feed(void *ctx, unsigned char *data, unsigned n)
{
    bytes *b = ctx;
    if (n > b->left)
        return CAIRO_STATUS_READ_ERROR;
    memcpy(data, b->p, n);
    b->p += n;
    b->left -= n;
    return CAIRO_STATUS_SUCCESS;
}

pages_pdf *pages_pdf_new(const json_t *page, double widest_mm, const report_image *images)
{
    pages_pdf *p = MEM_NEW(pages_pdf);
    size_t i;
    json_t *v;
    p->views = json_object_get(page, "views");
    hanging_of(page, widest_mm, &p->h);
    p->picture = MEM_ARRAY(cairo_surface_t *, json_array_size(p->views) + 1);
    p->beside = MEM_ARRAY(const json_t *, json_array_size(p->views) + 1);
    json_array_foreach(p->views, i, v)
    {
        const report_image *m = &images[json_integer_value(json_object_get(v, "image"))];
        bytes b = {m->png, m->png_len};
        p->picture[i] = cairo_image_surface_create_from_png_stream(feed, &b);
        if (!hanging_holds(&p->h, v))
            p->beside[p->n_beside++] = v;
    }
    return p;
}

void pages_pdf_free(pages_pdf *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < json_array_size(p->views); i++)
        cairo_surface_destroy(p->picture[i]);
    mem_free(p->picture);
    mem_free(p->beside);
    mem_free(p);
}

const hanging *pages_pdf_hanging(const pages_pdf *p)
{
    return &p->h;
}

/* ---- layout ---------------------------------------------------------------------------------- */

static int rows_of(const pages_pdf *p)
{
    return (p->h.n_placed ? 2 : 0) + (p->n_beside + BESIDE - 1) / BESIDE;
}

/* The views of row r and how wide their tiles are; NULL = an empty tile. */
static int row_of(const pages_pdf *p, int r, const json_t *const **view, int *columns)
{
    int first = p->h.n_placed ? 2 : 0, left;
    if (r < first) {
        *view = &p->h.place[2 * r];
        return *columns = 2;
    }
    *view = p->beside + BESIDE * (r - first);
    left = p->n_beside - BESIDE * (r - first);
    *columns = BESIDE;
    return left < BESIDE ? left : BESIDE;
}

static double row_height(const pages_pdf *p, int r, double width)
{
    const json_t *const *view;
    int columns, n = row_of(p, r, &view, &columns);
    double high = 0;
    for (int k = 0; k < n; k++)
        if (view[k])
            high = fmax(high, hanging_height(&p->h, view[k]) / p->h.widest * width / columns);
    return high > 0 ? high : EMPTY;
}

double pages_pdf_height(const pages_pdf *p, double width)
{
    double sum = GAP;
    for (int r = 0; r < rows_of(p); r++)
        sum += row_height(p, r, width) + GAP;
    return sum;
}

/* ---- drawing --------------------------------------------------------------------------------- */

static const char *word(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* "#rrggbb", checked by pages_in. */
static void set_colour(cairo_t *cr, const json_t *class, double alpha)
{
    unsigned long rgb = strtoul(word(class, "colour") + 1, NULL, 16);
    cairo_set_source_rgba(cr, (double)(rgb >> 16 & 255) / 255, (double)(rgb >> 8 & 255) / 255,
                          (double)(rgb & 255) / 255, alpha);
}

/* One unit square of a class; the paint comes afterwards. */
static void patch_path(cairo_t *cr, bool hatched, double x, double y)
{
    if (hatched) {
        cairo_move_to(cr, x, y + 1);
        cairo_line_to(cr, x + 1, y);
    } else {
        cairo_rectangle(cr, x, y, 1, 1);
    }
}

static void class_paint(cairo_t *cr, const json_t *class)
{
    if (json_is_true(json_object_get(class, "hatched"))) {
        set_colour(cr, class, 0.9);
        cairo_set_line_width(cr, 0.2);
        cairo_stroke(cr);
    } else {
        set_colour(cr, class, TINT);
        cairo_fill(cr);
    }
}

/* A map over a picture whose grid is scaled to unit patches. */
static void draw_layer(cairo_t *cr, const json_t *layer)
{
    size_t k, r;
    json_t *class, *row;
    json_array_foreach(json_object_get(layer, "classes"), k, class)
    {
        bool hatched = json_is_true(json_object_get(class, "hatched"));
        json_array_foreach(json_object_get(layer, "patches"), r, row)
        {
            const char *s = json_string_value(row);
            for (int c = 0; s[c]; c++)
                if (pages_in_class(s[c]) == (int)k)
                    patch_path(cr, hatched, c, (double)r);
        }
        class_paint(cr, class);
    }
}

void pages_pdf_sample(void *cairo, const json_t *class, double x, double y, double side)
{
    cairo_t *cr = cairo;
    cairo_save(cr);
    cairo_translate(cr, x, y);
    cairo_scale(cr, side, side);
    cairo_rectangle(cr, 0, 0, 1, 1);
    cairo_clip(cr);
    cairo_set_source_rgb(cr, 0.47, 0.47, 0.47);
    cairo_paint(cr);
    if (class) {
        patch_path(cr, json_is_true(json_object_get(class, "hatched")), 0, 0);
        class_paint(cr, class);
    }
    cairo_restore(cr);
}

static cairo_surface_t *picture_of(const pages_pdf *p, const json_t *view)
{
    for (size_t i = 0; i < json_array_size(p->views); i++)
        if (json_array_get(p->views, i) == view)
            return p->picture[i];
    return NULL;
}

/* Half as large: a copy of its own, as a page must not hold one picture twice (its list of
 * resources would name it twice). */
static cairo_surface_t *half_of(cairo_surface_t *s)
{
    int w = cairo_image_surface_get_width(s), h = cairo_image_surface_get_height(s);
    cairo_surface_t *out = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (w + 1) / 2, (h + 1) / 2);
    cairo_t *cr = cairo_create(out);
    cairo_scale(cr, (w + 1) / 2 / (double)w, (h + 1) / 2 / (double)h);
    cairo_set_source_surface(cr, s, 0, 0);
    cairo_pattern_set_extend(cairo_get_source(cr), CAIRO_EXTEND_PAD);
    cairo_paint(cr);
    cairo_destroy(cr);
    return out;
}

/* The picture into a box; what cannot be decoded stays black, with its name. */
static void draw_picture(const pages_pdf *p, cairo_t *cr, const json_t *view, const char *map,
                         const double box[4])
{
    cairo_surface_t *s = picture_of(p, view);
    const json_t *layer = map ? hanging_layer(view, map) : NULL;
    if (cairo_surface_status(s) != CAIRO_STATUS_SUCCESS)
        return;
    s = map ? half_of(s) : cairo_surface_reference(s);
    cairo_save(cr);
    cairo_rectangle(cr, box[0], box[1], box[2], box[3]);
    cairo_clip(cr);
    cairo_translate(cr, box[0], box[1]);
    cairo_save(cr);
    cairo_scale(cr, box[2] / cairo_image_surface_get_width(s),
                box[3] / cairo_image_surface_get_height(s));
    cairo_set_source_surface(cr, s, 0, 0);
    cairo_paint(cr);
    cairo_restore(cr);
    if (layer) {
        const json_t *rows = json_object_get(layer, "patches");
        cairo_scale(cr, box[2] / (double)json_string_length(json_array_get(rows, 0)),
                    box[3] / (double)json_array_size(rows));
        draw_layer(cr, layer);
    }
    cairo_restore(cr);
    cairo_surface_destroy(s);
}

static void label(cairo_t *cr, const json_t *view, const char *name, bool right, bool score,
                  const double tile[4])
{
    char s[32];
    draw *d = draw_cairo_new(cr);
    draw_font f = {7, right ? DRAW_START : DRAW_END, DRAW_PAPER, true, false};
    double x = right ? tile[0] + 4 : tile[0] + tile[2] - 4;
    const json_t *v = json_object_get(view, "score");
    draw_text(d, x, tile[1] + 9, f, name);
    if (score && json_is_number(v)) {
        snprintf(s, sizeof s, "%.3f", json_number_value(v));
        report_number_in(s, sizeof s);
        f.bold = false;
        draw_text(d, x, tile[1] + 18, f, s);
    }
    if (!view) {
        f.anchor = DRAW_MIDDLE;
        f.bold = false;
        draw_text(d, tile[0] + tile[2] / 2, tile[1] + tile[3] / 2, f,
                  report_text("images.missing"));
    }
    draw_cairo_end(d);
}

static void draw_tile(const pages_pdf *p, cairo_t *cr, const json_t *view, const char *name,
                      const char *map, const double tile[4])
{
    bool right = view ? !strcmp(word(view, "chest_wall"), "right") : name[0] == 'R';
    if (view) {
        double w = hanging_width(&p->h, view) / p->h.widest * tile[2],
               h = hanging_height(&p->h, view) / p->h.widest * tile[2];
        double top = strstr(name, "CC") ? (tile[3] - h) / 2 : 0; /* muscle at the top for MLO */
        draw_picture(
            p, cr, view, map,
            (const double[4]){right ? tile[0] + tile[2] - w : tile[0], tile[1] + top, w, h});
    }
    label(cr, view, name, right, !map, tile);
}

static void draw_bar(const pages_pdf *p, cairo_t *cr, const pages_pdf_at *at, double bottom)
{
    double w = SCALE_BAR / p->h.widest * at->width / 2, x = at->x + 5, y = bottom - 6;
    draw *d = draw_cairo_new(cr);
    draw_line(d, (const double[4]){x, y, x + w, y}, DRAW_PAPER, 0.8, 0);
    draw_line(d, (const double[4]){x, y - 3, x, y}, DRAW_PAPER, 0.8, 0);
    draw_line(d, (const double[4]){x + w, y - 3, x + w, y}, DRAW_PAPER, 0.8, 0);
    draw_text(d, x + w + 4, y, (draw_font){6, DRAW_START, DRAW_PAPER, false, false},
              report_text("images.bar"));
    draw_cairo_end(d);
}

void pages_pdf_draw(const pages_pdf *p, void *cairo, const pages_pdf_at *at)
{
    cairo_t *cr = cairo;
    double y = at->y + GAP, height = pages_pdf_height(p, at->width);
    cairo_set_source_rgb(cr, 0, 0, 0);
    cairo_rectangle(cr, at->x, at->y, at->width, height);
    cairo_fill(cr);
    for (int r = 0; r < rows_of(p); r++) {
        const json_t *const *view;
        int columns, n = row_of(p, r, &view, &columns);
        double high = row_height(p, r, at->width), wide = at->width / columns;
        for (int k = 0; k < n; k++)
            draw_tile(p, cr, view[k],
                      p->h.n_placed && r < 2 ? hanging_name[2 * r + k] : word(view[k], "view"),
                      at->map, (const double[4]){at->x + k * wide, y, wide, high});
        y += high + GAP;
    }
    if (p->h.in_mm && !at->map)
        draw_bar(p, cr, at, at->y + height);
}
