/* An exam page with real pictures, for the tests of its renderers: white breasts of known size. */
#ifndef TESTS_UNIT_EVAL_PAGE_H
#define TESTS_UNIT_EVAL_PAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <cairo.h>
#include <math.h>

#include "core/mem.h"
#include "core/text.h"
#include "eval/pages_in.h"

static inline cairo_status_t page_collect(void *to, const unsigned char *data, unsigned len)
{
    text_addn(to, (const char *)data, len);
    return CAIRO_STATUS_SUCCESS;
}

/* A grey w x h picture as PNG. */
static inline report_image page_image(int w, int h, double grey)
{
    text t;
    report_image m = {.width = w, .height = h};
    cairo_surface_t *s = cairo_image_surface_create(CAIRO_FORMAT_RGB24, w, h);
    cairo_t *cr = cairo_create(s);
    cairo_set_source_rgb(cr, grey, grey, grey);
    cairo_paint(cr);
    cairo_destroy(cr);
    text_init(&t);
    assert_int_equal(cairo_surface_write_to_png_stream(s, page_collect, &t), CAIRO_STATUS_SUCCESS);
    cairo_surface_destroy(s);
    m.png_len = t.len;
    m.png = text_take(&t);
    text_release(&t);
    return m;
}

/* A view of tree.pages; mm 0: unknown. layers: new reference or NULL. */
static inline json_t *page_view_json(const char *view, int image, const report_image *m, double mm,
                                     json_t *layers)
{
    return json_pack("{s:s, s:i, s:i, s:i, s:o, s:s, s:f, s:o}", "view", view, "image", image,
                     "width", m->width, "height", m->height, "mm_per_px",
                     mm > 0 ? json_real(mm) : json_null(), "chest_wall",
                     view[0] == 'R' ? "right" : "left", "score", 0.125, "layers",
                     layers ? layers : json_array());
}

/* Two classes: tinted red, hatched green; the grid is 2 x 2. */
static inline json_t *page_layer_json(const char *map, const char *top, const char *bottom)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:[{s:s, s:s, s:b}, {s:s, s:s, s:b}], s:[s, s]}", "map",
                     map, "title", "A <map>", "shows", "what it shows", "plain", "nothing here",
                     "classes", "label", "tinted", "colour", "#ff0000", "hatched", 0, "label",
                     "not looked at", "colour", "#00ff00", "hatched", 1, "patches", top, bottom);
}
#endif
