/* Renders the blocks of the report as HTML 5. Everything that came from outside is escaped; the
 * page has a content policy that forbids every request. evaluation.md 19. */
#include "eval/report_html.h"
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/draw.h"
#include "eval/report_text.h"

static const char style[] =
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--paper);color:var(--text);font:16px/1.55 "
    "system-ui,-apple-system,"
    "'Segoe UI','Liberation Sans','DejaVu Sans',sans-serif}\n"
    "main,header,footer{max-width:60rem;margin:0 auto;padding:0 1.5rem}\n"
    "header{padding-top:2.2rem}\n"
    "h1{font-size:1.75rem;line-height:1.25;margin:0 0 .3rem;letter-spacing:-.01em}\n"
    "h2{font-size:1.25rem;margin:2.8rem 0 .9rem;padding-bottom:.35rem;border-bottom:2px solid "
    "var(--main)}\n"
    "h3{font-size:1rem;margin:1.8rem 0 .5rem}\n"
    "p{margin:.6rem 0}.sub{color:var(--muted);margin:0}\n"
    ".banner,.warn{border:1px solid var(--second);border-left-width:6px;padding:.7rem 1rem;"
    "margin:1.2rem 0;background:var(--panel);font-weight:600}\n"
    "nav{margin:1rem 0;font-size:.9rem}nav ul{display:flex;flex-wrap:wrap;gap:.2rem "
    "1.1rem;margin:0;padding:0;list-style:none}\n"
    "a{color:var(--main)}\n"
    ".note,figcaption{color:var(--muted);font-size:.875rem}\n"
    ".headline{display:flex;flex-wrap:wrap;align-items:center;gap:.4rem "
    "1.6rem;background:var(--panel);"
    "border:1px solid var(--grid);border-radius:6px;padding:1.1rem 1.4rem;margin:1rem 0}\n"
    ".headline .v{font-size:3.1rem;font-weight:650;line-height:1;color:var(--main);"
    "font-variant-numeric:tabular-nums}\n"
    ".headline p{margin:0}.headline .i{font-weight:600}\n"
    "ul.points{padding-left:1.2rem}ul.points li{margin:.45rem 0}\n"
    "figure{margin:1.4rem 0}figure svg{max-width:100%;height:auto;display:block}\n"
    "svg text{font-family:inherit}\n"
    "@media(min-width:56rem){.split{display:grid;grid-template-columns:5fr 6fr;gap:1.6rem;"
    "align-items:start}.split figure{margin-top:.4rem}}\n"
    ".scroll{overflow-x:auto}\n"
    "table{border-collapse:collapse;width:100%;font-size:.875rem;font-variant-numeric:tabular-nums}"
    "\n"
    "th,td{padding:.38rem .6rem;text-align:right;border-bottom:1px solid "
    "var(--grid);vertical-align:top}"
    "\n"
    "thead th{border-bottom:2px solid var(--edge);font-weight:600;vertical-align:bottom}\n"
    "td.n{white-space:nowrap}th.t,td.t{text-align:left;font-weight:400}tbody "
    "th.t{white-space:nowrap}thead "
    "th.t{font-weight:600}\n"
    "tbody tr:hover{background:var(--panel)}\n"
    "table.pairs{width:auto;min-width:60%}table.pairs th{text-align:left;font-weight:600;"
    "padding-left:0;width:40%}table.pairs td{text-align:left;overflow-wrap:anywhere}\n"
    "details{margin:1rem 0}summary{cursor:pointer;color:var(--main)}\n"
    "pre{background:var(--panel);padding:1rem;overflow-x:auto;font-size:.8rem;line-height:1.4}\n"
    ".exam{border:1px solid var(--grid);border-radius:6px;padding:1rem;margin:1.2rem 0;"
    "break-inside:avoid}.exam h3{margin:0 0 .6rem}\n"
    ".views{display:grid;grid-template-columns:1fr 1fr;gap:2px;background:#000;max-width:34rem}\n"
    ".views figure,.rest figure{margin:0;position:relative;background:#000;color:#e6ebef;"
    "min-height:4rem}\n"
    ".views img,.rest img{width:100%;height:auto;display:block}\n"
    ".views figcaption,.rest figcaption{position:absolute;top:.3rem;left:.4rem;color:#fff;"
    "font-size:.75rem;background:rgba(0,0,0,.6);padding:0 .3rem}\n"
    ".views .left figcaption{left:auto;right:.4rem;text-align:right}\n"
    ".views .none{display:flex;align-items:center;justify-content:center}\n"
    ".rest{display:flex;flex-wrap:wrap;gap:6px;margin-top:6px}.rest figure{width:16rem}\n"
    "footer{margin-top:3rem;padding-bottom:2rem;color:var(--muted);font-size:.8rem;border-top:1px "
    "solid "
    "var(--grid);padding-top:.8rem}\n"
    "@media print{body{font-size:11pt}main,header,footer{max-width:none;padding:0}nav{display:none}"
    "h2{break-after:avoid}figure,table,.headline{break-inside:avoid}"
    ".banner,.warn,.headline,pre{-webkit-print-color-adjust:exact;print-color-adjust:exact}}\n";

static void tag(text *out, const char *open, const char *s, const char *close)
{
    text_add(out, open);
    draw_escape(out, s);
    text_add(out, close);
}

static const char *str(const json_t *obj, const char *key)
{
    const char *v = json_string_value(json_object_get(obj, key));
    return v ? v : "";
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void html_table(const json_t *t, bool fold, text *out)
{
    const json_t *columns = json_object_get(t, "columns");
    size_t i, k;
    json_t *row, *c;
    if (fold)
        tag(out, "<details><summary>", report_text("numbers"), "</summary>\n");
    text_add(out, "<h3 id=\"table-");
    draw_escape(out, str(t, "id"));
    tag(out, "\">", str(t, "title"),
        "</h3>\n<div class=\"scroll\" role=\"region\" tabindex=\"0\" ");
    text_add(out, "aria-labelledby=\"table-");
    draw_escape(out, str(t, "id"));
    text_add(out, "\"><table>\n<thead><tr>");
    json_array_foreach(columns, i, c)
    {
        bool words = !strcmp(str(c, "kind"), "text");
        tag(out, words ? "<th scope=\"col\" class=\"t\">" : "<th scope=\"col\">", str(c, "label"),
            "</th>");
    }
    text_add(out, "</tr></thead>\n<tbody>\n");
    json_array_foreach(json_object_get(t, "rows"), k, row)
    {
        text_add(out, "<tr>");
        json_array_foreach(columns, i, c)
        {
            text cell;
            bool words = !strcmp(str(c, "kind"), "text");
            text_init(&cell);
            cells_show(json_array_get(row, i), str(c, "kind"), &cell);
            tag(out,
                i == 0  ? "<th scope=\"row\" class=\"t\">"
                : words ? "<td class=\"t\">"
                        : "<td class=\"n\">",
                cell.s, i == 0 ? "</th>" : "</td>");
            text_release(&cell);
        }
        text_add(out, "</tr>\n");
    }
    text_add(out, "</tbody></table></div>\n");
    if (fold)
        text_add(out, "</details>\n");
}

static void html_pairs(const json_t *list, text *out)
{
    size_t i;
    json_t *p;
    text_add(out, "<table class=\"pairs\"><tbody>\n");
    json_array_foreach(list, i, p)
    {
        tag(out, "<tr><th scope=\"row\">", json_string_value(json_array_get(p, 0)), "</th>");
        tag(out, "<td>", json_string_value(json_array_get(p, 1)), "</td></tr>\n");
    }
    text_add(out, "</tbody></table>\n");
}

/* ---- images ---------------------------------------------------------------------------------- */

/* One image with its caption in the corner; view == NULL draws an empty tile named `name`. */
static void html_tile(const json_t *view, const char *exam, const char *name,
                      const report_image *images, text *out)
{
    bool left = name[0] == 'L';
    if (!view) {
        text_addf(out, "<figure class=\"none%s\"><figcaption>%s</figcaption>", left ? " left" : "",
                  name);
        tag(out, "<p>", report_text("images.missing"), "</p></figure>\n");
        return;
    }
    const report_image *m = &images[json_integer_value(json_object_get(view, "image"))];
    text alt;
    text_init(&alt);
    report_fill(&alt, "images.alt", (const char *const[]){"view", m->view, "exam", exam, NULL});
    text_addf(out, "<figure%s><img width=\"%d\" height=\"%d\" alt=\"",
              left ? " class=\"left\"" : "", m->width, m->height);
    draw_escape(out, alt.s);
    text_add(out, "\" src=\"data:image/png;base64,");
    text_base64(out, m->png, m->png_len);
    tag(out, "\"><figcaption>", m->view, "");
    if (json_is_number(json_object_get(view, "score"))) {
        char score[32];
        snprintf(score, sizeof score, "%.3f", json_number_value(json_object_get(view, "score")));
        text_clear(&alt);
        report_fill(&alt, "images.score", (const char *const[]){"score", score, NULL});
        tag(out, ", ", alt.s, "");
    }
    if (m->note[0])
        tag(out, "<br>", m->note, "");
    text_add(out, "</figcaption></figure>\n");
    text_release(&alt);
}

static void html_exam(const json_t *page, const report_image *images, text *out)
{
    static const char *const grid[] = {"RCC", "LCC", "RMLO", "LMLO"};
    const json_t *views = json_object_get(page, "views");
    const json_t *place[4] = {NULL};
    size_t i;
    json_t *v;
    text head;
    int rest = 0, placed = 0;
    text_init(&head);
    report_fill(&head, "images.exam", (const char *const[]){"exam", str(page, "exam_id"), NULL});
    tag(out, "<section class=\"exam\"><h3>", head.s, "</h3>\n");
    text_release(&head);
    json_array_foreach(views, i, v)
    {
        int k = 0;
        while (k < 4 && strcmp(grid[k], str(v, "view")))
            k++;
        if (k < 4 && !place[k]) {
            place[k] = v;
            placed++;
        } else {
            rest++;
        }
    }
    if (placed) {
        text_add(out, "<div class=\"views\">\n");
        for (int k = 0; k < 4; k++)
            html_tile(place[k], str(page, "exam_id"), grid[k], images, out);
        text_add(out, "</div>\n");
    }
    if (rest) {
        if (placed)
            tag(out, "<p class=\"note\">", report_text("images.other"), "</p>\n");
        text_add(out, "<div class=\"rest\">\n");
        json_array_foreach(views, i, v)
        {
            if (v != place[0] && v != place[1] && v != place[2] && v != place[3])
                html_tile(v, str(page, "exam_id"), str(v, "view"), images, out);
        }
        text_add(out, "</div>\n");
    }
    text_add(out, "</section>\n");
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void html_figure(const figure *f, const json_t *tree, text *out)
{
    char key[32];
    char *svg = figure_svg(f, tree, false);
    if (!svg)
        return;
    snprintf(key, sizeof key, "fig.%s", f->id);
    text_add(out, "<figure>\n");
    text_add(out, svg);
    tag(out, "<figcaption><strong>", report_text(key), ".</strong> ");
    text desc;
    text_init(&desc);
    figure_describe(f, tree, &desc);
    tag(out, "", desc.s, "</figcaption></figure>\n");
    text_release(&desc);
    mem_free(svg);
}

static void html_headline(const json_t *h, text *out)
{
    tag(out, "<div class=\"headline\"><div class=\"v\">", str(h, "value"), "</div><div>");
    tag(out, "<p>", str(h, "caption"), "</p>");
    tag(out, "<p class=\"i\">", str(h, "interval"), "</p>");
    tag(out, "<p class=\"note\">", str(h, "method"), "</p></div></div>\n");
}

static void html_block(const doc_block *b, const json_t *tree, const report_image *images,
                       text *out)
{
    size_t i;
    json_t *page;
    switch (b->kind) {
    case DOC_SECTION:
        text_addf(out, "<h2 id=\"%s\">", b->id);
        tag(out, "", b->text, "</h2>\n");
        break;
    case DOC_TEXT:
        tag(out, "<p>", b->text, "</p>\n");
        break;
    case DOC_NOTE:
        tag(out, "<p class=\"note\">", b->text, "</p>\n");
        break;
    case DOC_WARN:
        tag(out, "<p class=\"warn\">", b->text, "</p>\n");
        break;
    case DOC_ITEM:
        tag(out, "<li>", b->text, "</li>\n");
        break;
    case DOC_HEADLINE:
        html_headline(b->data, out);
        break;
    case DOC_FIGURE:
        html_figure(b->fig, tree, out);
        break;
    case DOC_TABLE:
        html_table(b->data, b->fold, out);
        break;
    case DOC_PAIRS:
        html_pairs(b->data, out);
        break;
    case DOC_PAGES:
        json_array_foreach(b->data, i, page) html_exam(page, images, out);
        break;
    case DOC_CODE:
        tag(out, "<details><summary>", report_text("run.config"), "</summary>\n");
        tag(out, "<pre>", b->text, "</pre></details>\n");
        break;
    }
}

static void html_head(const report_doc *d, text *out)
{
    text_add(out, "<!DOCTYPE html>\n<html lang=\"");
    draw_escape(out, report_text("lang"));
    text_add(out,
             "\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src "
             "data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
             "<meta name=\"referrer\" content=\"no-referrer\">\n");
    tag(out, "<title>", d->title, "</title>\n<style>\n");
    draw_css(out);
    text_add(out, style);
    tag(out, "</style>\n</head>\n<body>\n<header>\n<h1>", d->title, "</h1>\n");
    tag(out, "<p class=\"sub\">", d->subtitle, "</p>\n");
    tag(out, "<p class=\"banner\" role=\"note\">", report_text("banner"), "</p>\n");
    text_add(out, "<nav aria-label=\"");
    draw_escape(out, report_text("contents"));
    text_add(out, "\"><ul>\n");
    for (int i = 0; i < d->n; i++) {
        if (d->block[i].kind != DOC_SECTION)
            continue;
        text_addf(out, "<li><a href=\"#%s\">", d->block[i].id);
        tag(out, "", d->block[i].text, "</a></li>\n");
    }
    text_add(out, "</ul></nav>\n</header>\n<main>\n");
}

/* A list directly before a narrow figure stands beside it. */
static bool beside_figure(const report_doc *d, int item)
{
    while (item < d->n && d->block[item].kind == DOC_ITEM)
        item++;
    return item < d->n && d->block[item].kind == DOC_FIGURE && d->block[item].fig->width < 500;
}

void report_html(const json_t *tree, const report_doc *d, const report_image *images, text *out)
{
    bool split = false;
    html_head(d, out);
    for (int i = 0; i < d->n; i++) {
        bool item = d->block[i].kind == DOC_ITEM;
        if (item && (i == 0 || d->block[i - 1].kind != DOC_ITEM)) {
            split = beside_figure(d, i);
            text_add(out, split ? "<div class=\"split\">\n<ul class=\"points\">\n"
                                : "<ul class=\"points\">\n");
        }
        html_block(&d->block[i], tree, images, out);
        if (item && (i + 1 == d->n || d->block[i + 1].kind != DOC_ITEM))
            text_add(out, "</ul>\n");
        if (split && d->block[i].kind == DOC_FIGURE) {
            text_add(out, "</div>\n");
            split = false;
        }
    }
    tag(out, "</main>\n<footer><p>", d->footer, "</p>");
    tag(out, "<p>", report_text("banner"), "</p></footer>\n</body>\n</html>\n");
}
