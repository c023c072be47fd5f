/* Lays the blocks of the report out on pages with pango and cairo. evaluation.md 19. */
#include "eval/report_pdf.h"
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/pdf_catalog.h"
#include "eval/pages_pdf.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include <cairo-pdf.h>
#include <math.h>
#include <pango/pangocairo.h>

#define PAGE_W   595.0 /* A4, points */
#define PAGE_H   842.0
#define MARGIN   48.0
#define BODY_W   (PAGE_W - 2 * MARGIN)
#define BOTTOM   (PAGE_H - 58.0)
#define FONT     "DejaVu Sans, Liberation Sans, Sans"
#define BODY_PT  9.0
#define NOTE_PT  7.5
#define TABLE_PT 7.2
#define CELL_PAD 3.0
#define COLUMNS  16
#define READABLE 64.0 /* width of a column of words before numbers give way */

typedef struct pdf {
    cairo_surface_t *surface;
    cairo_t *cr;
    const json_t *tree;
    const report_doc *doc;
    const report_image *images;
    double y;
    int page;
} pdf;

typedef struct pdf_font {
    double size;
    bool bold, mono;
    draw_ink ink;
} pdf_font;

static const pdf_font body = {BODY_PT, false, false, DRAW_TEXT};
static const pdf_font note = {NOTE_PT, false, false, DRAW_MUTED};

/* ---- text and pages -------------------------------------------------------------------------- */

static PangoLayout *layout_of(pdf *p, const char *s, pdf_font f, double width)
{
    PangoLayout *l = pango_cairo_create_layout(p->cr);
    PangoAttrList *attributes = pango_attr_list_new();
    pango_attr_list_insert(attributes, pango_attr_insert_hyphens_new(FALSE));
    pango_context_set_round_glyph_positions(pango_layout_get_context(l), FALSE);
    PangoFontDescription *d =
        pango_font_description_from_string(f.mono ? "DejaVu Sans Mono, Monospace" : FONT);
    pango_font_description_set_absolute_size(d, f.size * PANGO_SCALE);
    pango_font_description_set_weight(d, f.bold ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL);
    pango_layout_set_font_description(l, d);
    pango_layout_set_text(l, s, -1);
    pango_layout_set_attributes(l, attributes);
    pango_attr_list_unref(attributes);
    if (width > 0) {
        pango_layout_set_width(l, (int)(width * PANGO_SCALE));
        pango_layout_set_wrap(l, PANGO_WRAP_WORD_CHAR);
    }
    pango_font_description_free(d);
    return l;
}

static void size_of(PangoLayout *l, double *w, double *h)
{
    int pw, ph;
    pango_layout_get_size(l, &pw, &ph);
    *w = (double)pw / PANGO_SCALE;
    *h = (double)ph / PANGO_SCALE;
}

static void show(pdf *p, PangoLayout *l, double x, double y, draw_ink ink)
{
    double c[4];
    draw_rgba(ink, c);
    cairo_set_source_rgba(p->cr, c[0], c[1], c[2], c[3]);
    cairo_move_to(p->cr, x, y);
    pango_cairo_show_layout(p->cr, l);
    cairo_new_path(p->cr);
}

static void at(pdf *p, const char *s, pdf_font f, double x, double y, double width)
{
    PangoLayout *l = layout_of(p, s, f, width);
    show(p, l, x, y, f.ink);
    g_object_unref(l);
}

static void rule(pdf *p, double y, draw_ink ink, double width)
{
    double c[4];
    draw_rgba(ink, c);
    cairo_set_source_rgba(p->cr, c[0], c[1], c[2], c[3]);
    cairo_set_line_width(p->cr, width);
    cairo_move_to(p->cr, MARGIN, y);
    cairo_line_to(p->cr, PAGE_W - MARGIN, y);
    cairo_stroke(p->cr);
}

static void end_page(pdf *p)
{
    char n[16];
    text t;
    text_init(&t);
    snprintf(n, sizeof n, "%d", p->page);
    report_fill(&t, "page", (const char *const[]){"n", n, NULL});
    rule(p, PAGE_H - 44, DRAW_GRID, 0.6);
    at(p, p->doc->footer, note, MARGIN, PAGE_H - 39, BODY_W - 60);
    PangoLayout *l = layout_of(p, t.s, note, 0);
    double w, h;
    size_of(l, &w, &h);
    show(p, l, PAGE_W - MARGIN - w, PAGE_H - 39, DRAW_MUTED);
    g_object_unref(l);
    text_release(&t);
    cairo_show_page(p->cr);
}

static void new_page(pdf *p)
{
    end_page(p);
    p->page++;
    p->y = MARGIN;
}

/* Makes sure that h points are free below y. */
static void room(pdf *p, double h)
{
    if (p->y + h > BOTTOM && p->y > MARGIN)
        new_page(p);
}

/* A paragraph, broken over pages line by line. */
static void paragraph(pdf *p, const char *s, pdf_font f, double indent)
{
    PangoLayout *l = layout_of(p, s, f, BODY_W - indent);
    double c[4];
    draw_rgba(f.ink, c);
    for (int i = 0; i < pango_layout_get_line_count(l); i++) {
        PangoLayoutLine *line = pango_layout_get_line_readonly(l, i);
        PangoRectangle r;
        pango_layout_line_get_extents(line, NULL, &r);
        double h = (double)r.height / PANGO_SCALE * 1.12;
        room(p, h);
        cairo_set_source_rgba(p->cr, c[0], c[1], c[2], c[3]);
        cairo_move_to(p->cr, MARGIN + indent, p->y - (double)r.y / PANGO_SCALE);
        pango_cairo_show_layout_line(p->cr, line);
        p->y += h;
    }
    cairo_new_path(p->cr);
    g_object_unref(l);
}

static void panel(pdf *p, double h, draw_ink edge)
{
    double c[4];
    draw_rgba(DRAW_PANEL, c);
    cairo_rectangle(p->cr, MARGIN, p->y, BODY_W, h);
    cairo_set_source_rgba(p->cr, c[0], c[1], c[2], c[3]);
    cairo_fill(p->cr);
    draw_rgba(edge, c);
    cairo_rectangle(p->cr, MARGIN, p->y, 3, h);
    cairo_set_source_rgba(p->cr, c[0], c[1], c[2], c[3]);
    cairo_fill(p->cr);
}

static void warning(pdf *p, const char *s)
{
    pdf_font f = {BODY_PT, true, false, DRAW_TEXT};
    PangoLayout *l = layout_of(p, s, f, BODY_W - 24);
    double w, h;
    size_of(l, &w, &h);
    room(p, h + 18);
    panel(p, h + 12, DRAW_SECOND);
    show(p, l, MARGIN + 14, p->y + 6, DRAW_TEXT);
    g_object_unref(l);
    p->y += h + 20;
}

/* ---- tables ---------------------------------------------------------------------------------- */

typedef struct grid {
    int n;
    double width[COLUMNS], least[COLUMNS]; /* least: of the longest word */
    bool words[COLUMNS];
    const char *kind[COLUMNS];
} grid;

static double natural(pdf *p, const char *s, bool bold)
{
    double w, h;
    PangoLayout *l = layout_of(p, s, (pdf_font){TABLE_PT, bold, false, DRAW_TEXT}, 0);
    size_of(l, &w, &h);
    g_object_unref(l);
    return w + 2 * CELL_PAD;
}

/* Width of the longest word: a column of words is not cut through one while there is another way.
 */
static double longest_word(pdf *p, const char *s, bool bold)
{
    double most = 0;
    while (*s) {
        size_t n = strcspn(s, " ");
        char word[64];
        snprintf(word, sizeof word, "%.*s", (int)n, s);
        most = fmax(most, natural(p, word, bold));
        s += n;
        s += strspn(s, " ");
    }
    return most;
}

static double total(const grid *g)
{
    double sum = 0;
    for (int j = 0; j < g->n; j++)
        sum += g->width[j];
    return sum;
}

/* Narrow the widest columns to a common limit until the table fits: those of words to a readable
 * width, those of numbers (an interval goes below its value), words to their longest one, and
 * through words only when nothing else helps. */
static void squeeze(grid *g)
{
    enum { SOME, NUMBERS, WORDS, CUT, STEPS };
    for (int step = 0; step < STEPS; step++)
        for (double limit = BODY_W; limit > 30 && total(g) > BODY_W; limit -= 1)
            for (int j = 0; j < g->n; j++) {
                double least = step == CUT ? 0 : g->least[j];
                if (step == SOME)
                    least = fmax(least, READABLE);
                if (g->width[j] > limit && g->words[j] == (step != NUMBERS))
                    g->width[j] = fmin(g->width[j], fmax(limit, least));
            }
}

/* Natural widths of the columns; heads of numbers may wrap. */
static void measure(pdf *p, const json_t *t, grid *g)
{
    size_t i, k;
    json_t *c, *row;
    double sum = 0, cells[COLUMNS] = {0};
    g->n = 0;
    json_array_foreach(json_object_get(t, "columns"), i, c)
    {
        if (g->n == COLUMNS)
            BUG("pdf: more than %d columns", COLUMNS);
        g->kind[g->n] = report_tree_str(c, "kind");
        g->words[g->n] = cells_are_words(g->kind[g->n]);
        g->least[g->n] = longest_word(p, report_tree_str(c, "label"), true);
        g->width[g->n++] = natural(p, report_tree_str(c, "label"), true);
    }
    json_array_foreach(json_object_get(t, "rows"), k, row)
    {
        for (int j = 0; j < g->n; j++) {
            text s;
            text_init(&s);
            cells_show(json_array_get(row, (size_t)j), g->kind[j], &s);
            cells[j] = fmax(cells[j], natural(p, s.s, false));
            g->least[j] = fmax(g->least[j], longest_word(p, s.s, false));
            text_release(&s);
        }
    }
    for (int j = 0; j < g->n; j++) {
        g->width[j] =
            fmax(cells[j], g->words[j] ? g->width[j] : fmax(g->least[j], fmin(g->width[j], 62)));
        sum += g->width[j];
    }
    if (sum > BODY_W)
        squeeze(g);
    else
        for (int j = 0; j < g->n; j++)
            g->width[j] += (BODY_W - sum) * fmin(1, 0.09 * g->n) / g->n;
}

/* The words of a cell: where a value and its interval do not fit on one line, the interval goes
 * below as a whole. Owned by the caller. */
static char *cell_words(pdf *p, const grid *g, int j, const char *s)
{
    char *out = mem_strdup(s), *gap = strstr(out, " (");
    if (!g->words[j] && gap && natural(p, s, false) > g->width[j])
        *gap = '\n';
    return out;
}

/* Draws (or measures) one row of cells; returns its height. */
static double row_of(pdf *p, const grid *g, const char *const *cell, bool head, bool draw_it)
{
    double x = MARGIN, height = 0;
    for (int j = 0; j < g->n; j++) {
        char *words = cell_words(p, g, j, cell[j]);
        PangoLayout *l = layout_of(p, words, (pdf_font){TABLE_PT, head, false, DRAW_TEXT},
                                   g->width[j] - 2 * CELL_PAD);
        double w, h;
        pango_layout_set_alignment(l, g->words[j] ? PANGO_ALIGN_LEFT : PANGO_ALIGN_RIGHT);
        size_of(l, &w, &h);
        if (draw_it)
            show(p, l, x + CELL_PAD, p->y + 2.5, DRAW_TEXT);
        g_object_unref(l);
        mem_free(words);
        height = fmax(height, h);
        x += g->width[j];
    }
    return height + 5;
}

static void table_head(pdf *p, const grid *g, const json_t *t)
{
    const char *cell[COLUMNS];
    for (int j = 0; j < g->n; j++)
        cell[j] =
            report_tree_str(json_array_get(json_object_get(t, "columns"), (size_t)j), "label");
    p->y += row_of(p, g, cell, true, true);
    rule(p, p->y, DRAW_EDGE, 1);
    p->y += 1;
}

static void table(pdf *p, const json_t *t)
{
    grid g;
    size_t k;
    json_t *row;
    measure(p, t, &g);
    room(p, 80);
    p->y += 6;
    paragraph(p, report_tree_str(t, "title"), (pdf_font){BODY_PT, true, false, DRAW_TEXT}, 0);
    p->y += 2;
    table_head(p, &g, t);
    json_array_foreach(json_object_get(t, "rows"), k, row)
    {
        text cell[COLUMNS];
        const char *s[COLUMNS];
        for (int j = 0; j < g.n; j++) {
            text_init(&cell[j]);
            cells_show(json_array_get(row, (size_t)j), g.kind[j], &cell[j]);
            s[j] = cell[j].s;
        }
        double h = row_of(p, &g, s, false, false);
        if (p->y + h > BOTTOM) {
            new_page(p);
            table_head(p, &g, t);
        }
        row_of(p, &g, s, false, true);
        p->y += h;
        rule(p, p->y, DRAW_GRID, 0.5);
        for (int j = 0; j < g.n; j++)
            text_release(&cell[j]);
    }
    p->y += 6;
}

static void pairs(pdf *p, const json_t *list)
{
    size_t i;
    json_t *row;
    json_array_foreach(list, i, row)
    {
        const char *label = json_string_value(json_array_get(row, 0)),
                   *value = json_string_value(json_array_get(row, 1));
        PangoLayout *a = layout_of(p, label, (pdf_font){BODY_PT - 1, true, false, DRAW_TEXT}, 190),
                    *b = layout_of(p, value, (pdf_font){BODY_PT - 1, false, false, DRAW_TEXT},
                                   BODY_W - 200);
        double w, ha, hb;
        size_of(a, &w, &ha);
        size_of(b, &w, &hb);
        room(p, fmax(ha, hb) + 5);
        show(p, a, MARGIN, p->y + 2, DRAW_TEXT);
        show(p, b, MARGIN + 200, p->y + 2, DRAW_TEXT);
        p->y += fmax(ha, hb) + 5;
        rule(p, p->y, DRAW_GRID, 0.5);
        g_object_unref(a);
        g_object_unref(b);
    }
    p->y += 6;
}

/* ---- figures and images ---------------------------------------------------------------------- */

#define FIGURE_ROOM                                                                                \
    (BOTTOM - MARGIN - 100) /* tallest figure: heading and caption fit beside it                   \
                             */

#define FIGURE_SHRINK 0.7 /* a figure gives way this far before it moves to the next page */

static double figure_height(pdf *p, const figure *f)
{
    double h = f->paint(NULL, p->tree);
    return fmin(h * fmin(0.68, BODY_W / f->width), FIGURE_ROOM);
}

static void figure_block(pdf *p, const figure *f)
{
    double h = f->paint(NULL, p->tree), scale = figure_height(p, f) / h;
    double left = BOTTOM - p->y - 46;
    if (left < h * scale && left > FIGURE_SHRINK * h * scale)
        scale = left / h;
    char key[32];
    text t;
    text_init(&t);
    snprintf(key, sizeof key, "fig.%s", f->id);
    text_addf(&t, "%s. ", report_text(key));
    figure_describe(f, p->tree, &t);
    room(p, h * scale + 40);
    cairo_save(p->cr);
    cairo_translate(p->cr, MARGIN, p->y + 4);
    cairo_scale(p->cr, scale, scale);
    draw *d = draw_cairo_new(p->cr);
    f->paint(d, p->tree);
    draw_cairo_end(d);
    cairo_restore(p->cr);
    p->y += h * scale + 8;
    paragraph(p, t.s, note, 0);
    p->y += 8;
    text_release(&t);
}

static void item(pdf *p, const char *s)
{
    room(p, 14);
    at(p, "\xE2\x80\xA2", body, MARGIN + 2, p->y, 0);
    paragraph(p, s, body, 14);
    p->y += 4;
}

#define VIEWS_W 330.0 /* the plain views of an exam */
#define SMALL_W 152.0 /* the same with a map */
#define KEY_H   8.5   /* a line of its legend */

#define KEY_REST 34.0 /* its title and last words */

static const json_t *layer_of(const json_t *page, const char *map)
{
    const json_t *layer = NULL;
    size_t i;
    json_t *view;
    json_array_foreach(json_object_get(page, "views"), i, view) if (!layer) layer =
        hanging_layer(view, map);
    return layer;
}

/* Height of the copies with their legends, `width` points wide. */
static double layers_height(const pages_pdf *v, const json_t *page, double width)
{
    const hanging *h = pages_pdf_hanging(v);
    double sum = 0;
    for (int k = 0; k < h->n_layers; k++)
        sum +=
            pages_pdf_height(v, width) + KEY_REST +
            KEY_H *
                (double)(json_array_size(json_object_get(layer_of(page, h->layer[k]), "classes")) +
                         1);
    return sum;
}

static void key_line(pdf *p, const json_t *class, const char *words, double x, double y)
{
    pages_pdf_sample(p->cr, class, x, y + 0.5, 6.5);
    at(p, words, (pdf_font){5.8, false, false, DRAW_TEXT}, x + 10, y - 0.5, 0);
}

/* A small copy with a map over it, and its legend; returns the y below. */
static double layer_copy(pdf *p, const pages_pdf *v, const json_t *layer, double width, double y)
{
    const json_t *class;
    double x = MARGIN + BODY_W - SMALL_W;
    pages_pdf_draw(v, p->cr, &(pages_pdf_at){x, y, width, report_tree_str(layer, "map")});
    y += pages_pdf_height(v, width) + 3;
    at(p, report_tree_str(layer, "title"), (pdf_font){6.5, true, false, DRAW_TEXT}, x, y, SMALL_W);
    y += 10;
    for (size_t i = 0; (class = json_array_get(json_object_get(layer, "classes"), i)); i++) {
        key_line(p, class, report_tree_str(class, "label"), x, y);
        y += KEY_H;
    }
    key_line(p, NULL, report_tree_str(layer, "plain"), x, y);
    return y + KEY_H + KEY_REST - 13;
}

static void layer_copies(pdf *p, const pages_pdf *v, const json_t *page)
{
    const hanging *h = pages_pdf_hanging(v);
    double width = SMALL_W, y = p->y;
    while (width > 40 && y + layers_height(v, page, width) > BOTTOM)
        width -= 4;
    for (int k = 0; k < h->n_layers; k++)
        y = layer_copy(p, v, layer_of(page, h->layer[k]), width, y);
    if (h->n_layers)
        at(p, report_text("images.no_suspicion"), (pdf_font){5.8, false, false, DRAW_MUTED},
           MARGIN + BODY_W - SMALL_W, y - KEY_REST + 16, SMALL_W);
}

/* What is said of an exam, its plain views, and beside them small copies with the maps. */
static void exam_page(pdf *p, const json_t *block)
{
    const json_t *page = json_object_get(block, "page"), *says = json_object_get(block, "says");
    const json_t *widest = json_object_get(block, "widest_mm");
    pages_pdf *v =
        pages_pdf_new(page, json_is_number(widest) ? json_number_value(widest) : NAN, p->images);
    double width = VIEWS_W, words = 24 + 26.0 * (double)json_array_size(says) / 2;
    double high = pages_pdf_height(v, width), most = BOTTOM - MARGIN - words;
    if (high > most) {
        width *= most / high;
        high = pages_pdf_height(v, width);
    }
    room(p, fmin(BOTTOM - MARGIN, words + high));
    paragraph(p, report_tree_str(block, "head"), (pdf_font){BODY_PT + 1, true, false, DRAW_TEXT},
              0);
    p->y += 2;
    for (size_t i = 0; i < json_array_size(says); i++)
        item(p, json_string_value(json_array_get(says, i)));
    p->y += 2;
    room(p, high);
    pages_pdf_draw(v, p->cr, &(pages_pdf_at){MARGIN, p->y, width, NULL});
    layer_copies(p, v, page);
    p->y += fmax(high, fmin(layers_height(v, page, SMALL_W), BOTTOM - p->y)) + 14;
    pages_pdf_free(v);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void headline(pdf *p, const json_t *h)
{
    room(p, 70);
    panel(p, 62, DRAW_MAIN);
    at(p, report_tree_str(h, "value"), (pdf_font){30, true, false, DRAW_MAIN}, MARGIN + 16,
       p->y + 12, 0);
    at(p, report_tree_str(h, "caption"), body, MARGIN + 120, p->y + 8, BODY_W - 130);
    at(p, report_tree_str(h, "interval"), (pdf_font){BODY_PT, true, false, DRAW_TEXT}, MARGIN + 120,
       p->y + 22, BODY_W - 130);
    at(p, report_tree_str(h, "method"), note, MARGIN + 120, p->y + 38, BODY_W - 130);
    p->y += 72;
}

/* A heading stays with what follows it. */
static void section(pdf *p, const doc_block *b)
{
    const doc_block *next = b + 1 < p->doc->block + p->doc->n ? b + 1 : NULL;
    double follows = 80;
    if (next && next->kind == DOC_FIGURE)
        follows = 60 + figure_height(p, next->fig);
    room(p, 40 + follows);
    p->y += p->y > MARGIN ? 12 : 0;
    char where[64];
    snprintf(where, sizeof where, "page=%d pos=[%.0f %.0f]", p->page, MARGIN, p->y);
    cairo_pdf_surface_add_outline(p->surface, CAIRO_PDF_OUTLINE_ROOT, b->text, where,
                                  CAIRO_PDF_OUTLINE_FLAG_OPEN);
    paragraph(p, b->text, (pdf_font){13, true, false, DRAW_TEXT}, 0);
    p->y += 3;
    rule(p, p->y, DRAW_MAIN, 1.4);
    p->y += 8;
}

static void block(pdf *p, const doc_block *b)
{
    switch (b->kind) {
    case DOC_SECTION:
        section(p, b);
        break;
    case DOC_TEXT:
        paragraph(p, b->text, body, 0);
        p->y += 4;
        break;
    case DOC_NOTE:
        paragraph(p, b->text, note, 0);
        p->y += 4;
        break;
    case DOC_WARN:
        warning(p, b->text);
        break;
    case DOC_ITEM:
        item(p, b->text);
        break;
    case DOC_HEADLINE:
        headline(p, b->data);
        break;
    case DOC_FIGURE:
        figure_block(p, b->fig);
        break;
    case DOC_TABLE:
        table(p, b->data);
        break;
    case DOC_PAIRS:
        pairs(p, b->data);
        break;
    case DOC_PAGES:
        exam_page(p, b->data);
        break;
    case DOC_CODE:
        paragraph(p, report_text("run.config"), (pdf_font){BODY_PT, true, false, DRAW_TEXT}, 0);
        paragraph(p, b->text, (pdf_font){6.5, false, true, DRAW_TEXT}, 0);
        break;
    }
}

static cairo_status_t collect(void *ctx, const unsigned char *data, unsigned n)
{
    text_addn(ctx, (const char *)data, n);
    return CAIRO_STATUS_SUCCESS;
}

/* SOURCE_DATE_EPOCH as an ISO date, or the epoch: never the clock. */
static void fixed_date(char out[32])
{
    const char *s = getenv("SOURCE_DATE_EPOCH");
    int64_t t = 0;
    char day[11];
    if (!s || !text_i64(s, &t) || t < 0 || t > 253402300799)
        t = 0;
    text_from_days((int32_t)(t / 86400), day);
    snprintf(out, 32, "%sT%02d:%02d:%02dZ", day, (int)(t % 86400 / 3600), (int)(t % 3600 / 60),
             (int)(t % 60));
}

bool report_pdf(const json_t *tree, const report_doc *d, const report_image *images, text *out,
                err *e)
{
    pdf p = {.tree = tree, .doc = d, .images = images, .y = MARGIN, .page = 1};
    char date[32];
    p.surface = cairo_pdf_surface_create_for_stream(collect, out, PAGE_W, PAGE_H);
    /* the last version whose objects stand in the open: pdf_catalog.h */
    cairo_pdf_surface_restrict_to_version(p.surface, CAIRO_PDF_VERSION_1_4);
    fixed_date(date);
    cairo_pdf_surface_set_metadata(p.surface, CAIRO_PDF_METADATA_TITLE, d->title);
    cairo_pdf_surface_set_metadata(p.surface, CAIRO_PDF_METADATA_CREATOR, "mammovit");
    cairo_pdf_surface_set_metadata(p.surface, CAIRO_PDF_METADATA_CREATE_DATE, date);
    cairo_pdf_surface_set_metadata(p.surface, CAIRO_PDF_METADATA_MOD_DATE, date);
    p.cr = cairo_create(p.surface);
    paragraph(&p, d->title, (pdf_font){18, true, false, DRAW_TEXT}, 0);
    paragraph(&p, d->subtitle, (pdf_font){BODY_PT, false, false, DRAW_MUTED}, 0);
    p.y += 8;
    warning(&p, report_text("banner"));
    for (int i = 0; i < d->n; i++)
        block(&p, &d->block[i]);
    end_page(&p);
    cairo_status_t status = cairo_status(p.cr);
    cairo_destroy(p.cr);
    cairo_surface_finish(p.surface);
    if (status == CAIRO_STATUS_SUCCESS)
        status = cairo_surface_status(p.surface);
    cairo_surface_destroy(p.surface);
    if (status != CAIRO_STATUS_SUCCESS)
        return err_set(e, ERR_IO, "report.pdf: %s", cairo_status_to_string(status));
    char entries[96];
    snprintf(entries, sizeof entries,
             "/Lang (%.16s) /ViewerPreferences << /DisplayDocTitle true >>", report_text("lang"));
    return pdf_catalog_add(out, entries, e);
}
