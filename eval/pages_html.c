/* Exam pages in report.html (pages_html.h). evaluation.md 18, 19. */
#include "eval/pages_html.h"

#include "eval/draw.h"
#include "eval/hanging.h"
#include "eval/report_number.h"
#include "eval/report_text.h"

#include <math.h>
#include <string.h>

#define SCALE_BAR 50.0 /* mm */

const char pages_html_style[] =
    ".exam{border:1px solid var(--grid);border-radius:6px;padding:1rem 1.2rem;margin:1.4rem 0}"
    ".exam h3{margin:0 0 .4rem;overflow-wrap:anywhere}\n"
    ".viewer{border:0;margin:.8rem 0 0;padding:0;min-width:0}"
    ".viewer>legend{font-weight:600;padding:0;font-size:.9rem}\n"
    ".viewer>label{display:inline-block;margin:.2rem 1rem .5rem .3rem;font-size:.9rem}\n"
    ".adjust{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;align-items:center;font-size:.9rem;"
    "margin:.2rem 0 .6rem}.adjust[hidden]{display:none}.adjust input{vertical-align:middle}\n"
    ".views{display:grid;grid-template-columns:1fr 1fr;background:#000;max-width:46rem;"
    "padding:2px}\n"
    ".tile{margin:0;position:relative;display:flex;min-height:5rem;color:#e6ebef;padding:1px 0}"
    ".tile.r{justify-content:flex-end}.tile.cc{align-items:center}\n"
    ".pic{position:relative;line-height:0}.pic img{width:100%;height:auto;display:block}\n"
    ".tile figcaption{position:absolute;top:.3rem;margin:0;color:#fff;font-size:.8rem;"
    "font-weight:600;line-height:1.3;background:rgba(0,0,0,.6);padding:0 .35rem}"
    ".tile.r figcaption{left:.3rem}.tile.l figcaption{right:.3rem;text-align:right}\n"
    ".tile.none{justify-content:center;align-items:center;border:1px dashed #6b7680}\n"
    ".beside{display:flex;flex-wrap:wrap;gap:6px;margin-top:6px}"
    ".beside .tile{background:#000;width:15rem}\n"
    ".bar{height:6px;border:1px solid #fff;border-top:0;margin:4px 0 3px .5rem}"
    ".scale{grid-column:1/3;color:#e6ebef;font-size:.75rem;line-height:1}"
    ".scale span{margin-left:.5rem}\n"
    ".layer{display:none;position:absolute;left:0;top:0;width:100%;height:100%;"
    "opacity:var(--layer,.5)}.key{display:none;font-size:.875rem;max-width:46rem}"
    ".key ul{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;list-style:none;margin:.3rem 0;"
    "padding:0}.key svg{width:1.5em;height:1.5em;vertical-align:-.4em;margin-right:.4em;"
    "background:#777;border:1px solid var(--edge)}"
    ".key path{opacity:var(--layer,.5)}\n"
    ".on1:checked~.views .m1,.on2:checked~.views .m2,.on3:checked~.views .m3,"
    ".on4:checked~.views .m4,.on5:checked~.views .m5,.on6:checked~.views .m6,"
    ".on7:checked~.views .m7,.on8:checked~.views .m8,"
    ".on1:checked~.beside .m1,.on2:checked~.beside .m2,.on3:checked~.beside .m3,"
    ".on4:checked~.beside .m4,.on5:checked~.beside .m5,.on6:checked~.beside .m6,"
    ".on7:checked~.beside .m7,.on8:checked~.beside .m8,"
    ".on1:checked~.m1,.on2:checked~.m2,.on3:checked~.m3,.on4:checked~.m4,.on5:checked~.m5,"
    ".on6:checked~.m6,.on7:checked~.m7,.on8:checked~.m8{display:block}\n"
    "@media print{.exam{break-inside:avoid}.viewer>legend,.viewer>input,.viewer>label,.adjust,"
    ".viewer .layer,.viewer .key{display:none!important}.views{max-width:30rem;"
    "-webkit-print-color-adjust:exact;print-color-adjust:exact}}\n";

static void tag(text *out, const char *open, const char *s, const char *close)
{
    text_add(out, open);
    draw_escape(out, s);
    text_add(out, close);
}

static const char *word(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* The patches of class k as one path: tinted runs of a row, or a stroke across each. */
static void class_path(const json_t *rows, int k, bool hatched, text *out)
{
    size_t r;
    json_t *row;
    json_array_foreach(rows, r, row)
    {
        const char *s = json_string_value(row);
        for (int c = 0, from; s[c]; c++) {
            for (from = c; s[c] && pages_in_class(s[c]) == k; c++)
                if (hatched)
                    text_addf(out, "M%d %zul1-1", c, r + 1);
            if (c > from && !hatched)
                text_addf(out, "M%d %zuh%dv1h-%dz", from, r, c - from, c - from);
            if (!s[c])
                break;
        }
    }
}

static void path_style(const json_t *class, text *out)
{
    const char *colour = word(class, "colour");
    if (json_is_true(json_object_get(class, "hatched")))
        text_addf(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\".2\" d=\"", colour);
    else
        text_addf(out, "<path fill=\"%s\" d=\"", colour);
}

static void layer_svg(const json_t *layer, int number, const char *view, text *out)
{
    const json_t *rows = json_object_get(layer, "patches");
    size_t k;
    json_t *class;
    text_addf(out,
              "<svg class=\"layer m%d\" viewBox=\"0 0 %zu %zu\" preserveAspectRatio=\"none\" "
              "role=\"img\" aria-label=\"",
              number, json_string_length(json_array_get(rows, 0)), json_array_size(rows));
    tag(out, "", view, ": ");
    tag(out, "", word(layer, "title"), "\">");
    json_array_foreach(json_object_get(layer, "classes"), k, class)
    {
        path_style(class, out);
        class_path(rows, (int)k, json_is_true(json_object_get(class, "hatched")), out);
        text_add(out, "\"/>");
    }
    text_add(out, "</svg>");
}

/* Colour bar and words of a map; the first view that has it names the classes. */
static void layer_key(const json_t *layer, int number, text *out)
{
    size_t k;
    json_t *class;
    text_addf(out, "<div class=\"key m%d\">", number);
    tag(out, "<p><strong>", word(layer, "title"), ".</strong> ");
    tag(out, "", word(layer, "shows"), "</p><ul>");
    json_array_foreach(json_object_get(layer, "classes"), k, class)
    {
        bool hatched = json_is_true(json_object_get(class, "hatched"));
        text_add(out, "<li><svg viewBox=\"0 0 1 1\" aria-hidden=\"true\">");
        path_style(class, out);
        text_add(out, hatched ? "M0 1L1 0\"/></svg>" : "M0 0h1v1h-1z\"/></svg>");
        tag(out, "", word(class, "label"), "</li>");
    }
    tag(out, "<li><svg viewBox=\"0 0 1 1\" aria-hidden=\"true\"></svg>", word(layer, "plain"),
        "</li></ul>");
    tag(out, "<p class=\"note\">", report_text("images.no_suspicion"), "</p></div>\n");
}

static const json_t *any_layer(const json_t *page, const char *map)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(page, "views"), i, v)
    {
        const json_t *l = hanging_layer(v, map);
        if (l)
            return l;
    }
    return NULL;
}

/* ---- controls -------------------------------------------------------------------------------- */

static void choices(const hanging *h, const json_t *page, int exam, text *out)
{
    tag(out, "<legend>", report_text(h->n_layers ? "images.layers" : "images.viewer"),
        "</legend>\n");
    if (!h->n_layers) {
        tag(out, "<p class=\"note\">", report_text("images.no_layers"), "</p>\n");
        return;
    }
    for (int k = 0; k <= h->n_layers; k++) {
        text_addf(out, "<input type=\"radio\" class=\"on%d\" name=\"layer%d\" id=\"l%d-%d\"%s>", k,
                  exam, exam, k, k ? "" : " checked");
        text_addf(out, "<label for=\"l%d-%d\">", exam, k);
        tag(out, "",
            k ? word(any_layer(page, h->layer[k - 1]), "title") : report_text("images.plain"),
            "</label>\n");
    }
}

static void slider(const char *name, const char *words, int low, int high, int value, text *out)
{
    tag(out, "<label>", report_text(words), " ");
    text_addf(out, "<input type=\"range\" data-%s min=\"%d\" max=\"%d\" value=\"%d\"></label>",
              name, low, high, value);
}

static void adjust(const hanging *h, text *out)
{
    text_add(out, "<div class=\"adjust\" hidden>");
    slider("width", "images.width", 5, 200, 100, out);
    slider("level", "images.level", 1, 100, 50, out);
    if (h->n_layers)
        slider("opacity", "images.opacity", 5, 80, 50, out);
    tag(out, "<button type=\"button\" data-reset>", report_text("images.reset"),
        "</button></div>\n");
}

/* ---- tiles ----------------------------------------------------------------------------------- */

static void tile(const hanging *h, const json_t *view, const report_image *images, const char *exam,
                 const char *name, text *out)
{
    bool right = !strcmp(word(view, "chest_wall"), "right");
    const report_image *m = &images[json_integer_value(json_object_get(view, "image"))];
    text t;
    text_init(&t);
    report_fill(&t, "images.alt", (const char *const[]){"view", name, "exam", exam, NULL});
    text_addf(out, "<figure class=\"tile %s%s\"><div class=\"pic\" style=\"width:%.1f%%\">",
              right ? "r" : "l", strstr(name, "CC") ? " cc" : "",
              100 * hanging_width(h, view) / h->widest);
    text_addf(out, "<img width=\"%d\" height=\"%d\" alt=\"", m->width, m->height);
    draw_escape(out, t.s);
    text_add(out, "\" src=\"data:image/png;base64,");
    text_base64(out, m->png, m->png_len);
    text_add(out, "\">");
    for (int k = 0; k < h->n_layers; k++) {
        const json_t *l = hanging_layer(view, h->layer[k]);
        if (l)
            layer_svg(l, k + 1, name, out);
    }
    tag(out, "</div><figcaption>", name, "");
    const json_t *score = json_object_get(view, "score");
    if (json_is_number(score)) {
        char s[32];
        snprintf(s, sizeof s, "%.3f", json_number_value(score));
        report_number_in(s, sizeof s);
        text_clear(&t);
        report_fill(&t, "images.score", (const char *const[]){"score", s, NULL});
        tag(out, "<br>", t.s, "");
    }
    text_add(out, "</figcaption></figure>\n");
    text_release(&t);
}

static void empty_tile(int place, text *out)
{
    text_addf(out, "<figure class=\"tile none %s\"><figcaption>%s</figcaption>",
              place % 2 ? "l" : "r", hanging_name[place]);
    tag(out, "<p>", report_text("images.missing"), "</p></figure>\n");
}

static void views(const hanging *h, const json_t *page, const report_image *images, text *out)
{
    const char *exam = word(page, "exam_id");
    size_t i;
    json_t *v;
    if (h->n_placed) {
        text_add(out, "<div class=\"views\">\n");
        for (int k = 0; k < HANGING_PLACES; k++) {
            if (h->place[k])
                tile(h, h->place[k], images, exam, hanging_name[k], out);
            else
                empty_tile(k, out);
        }
        if (h->in_mm) {
            text_addf(out, "<div class=\"scale\"><div class=\"bar\" style=\"width:%.2f%%\"></div>",
                      50 * SCALE_BAR / h->widest);
            tag(out, "<span>", report_text("images.bar"), "</span></div>\n");
        }
        text_add(out, "</div>\n");
    }
    if ((size_t)h->n_placed == json_array_size(json_object_get(page, "views")))
        return;
    text_add(out, "<div class=\"beside\">\n");
    json_array_foreach(json_object_get(page, "views"), i, v)
    {
        if (!hanging_holds(h, v))
            tile(h, v, images, exam, word(v, "view"), out);
    }
    text_add(out, "</div>\n");
}

void pages_html(const json_t *block, const report_image *images, text *out)
{
    const json_t *page = json_object_get(block, "page");
    const json_t *widest = json_object_get(block, "widest_mm");
    int number = (int)json_integer_value(json_object_get(block, "number"));
    hanging h;
    size_t i;
    json_t *s;
    hanging_of(page, json_is_number(widest) ? json_number_value(widest) : NAN, &h);
    text_addf(out, "<section class=\"exam\" aria-labelledby=\"exam-%d\"><h3 id=\"exam-%d\">",
              number, number);
    tag(out, "", word(block, "head"), "</h3>\n<ul class=\"points\">\n");
    json_array_foreach(json_object_get(block, "says"), i, s)
        tag(out, "<li>", json_string_value(s), "</li>\n");
    text_add(out, "</ul>\n<fieldset class=\"viewer\">");
    choices(&h, page, number, out);
    adjust(&h, out);
    views(&h, page, images, out);
    for (int k = 0; k < h.n_layers; k++)
        layer_key(any_layer(page, h.layer[k]), k + 1, out);
    if (!h.in_mm)
        tag(out, "<p class=\"note\">", report_text("images.no_scale"), "</p>\n");
    text_add(out, "</fieldset></section>\n");
}
