/* Renders the blocks of the report as HTML 5. Everything that came from outside is escaped; the
 * page has a content policy that forbids every request. evaluation.md 19. */
#include "eval/report_html.h"
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/draw.h"
#include "eval/pages_html.h"
#include "eval/report_page.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"

#define FIGURE_ROWS 24 /* points of a curve shown as numbers */

static void tag(text *out, const char *open, const char *s, const char *close)
{
    text_add(out, open);
    draw_escape(out, s);
    text_add(out, close);
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* The number behind a cell, for sorting; words are sorted as they stand. */
static void sort_key(const json_t *cell, text *out)
{
    const json_t *v = json_is_object(cell) ? json_object_get(cell, "v") : cell;
    char s[32];
    if (!json_is_number(v))
        return;
    text_shortest(json_number_value(v), s);
    text_addf(out, " data-v=\"%s\"", s);
}

static void html_table(const json_t *t, const char *fold, text *out)
{
    const json_t *columns = json_object_get(t, "columns");
    size_t i, k;
    json_t *row, *c;
    if (fold) {
        text_addf(out, "<details class=\"%s\">", fold);
        tag(out, "<summary>", report_text("numbers"), "</summary>\n");
    }
    text_add(out, "<h3 id=\"table-");
    draw_escape(out, report_tree_str(t, "id"));
    tag(out, "\">", report_tree_str(t, "title"),
        "</h3>\n<div class=\"scroll\" role=\"region\" tabindex=\"0\" ");
    text_add(out, "aria-labelledby=\"table-");
    draw_escape(out, report_tree_str(t, "id"));
    text_add(out, "\"><table class=\"sortable\">\n<thead><tr>");
    json_array_foreach(columns, i, c)
    {
        bool words = cells_are_words(report_tree_str(c, "kind"));
        tag(out, words ? "<th scope=\"col\" class=\"t\">" : "<th scope=\"col\">",
            report_tree_str(c, "label"), "</th>");
    }
    text_add(out, "</tr></thead>\n<tbody>\n");
    json_array_foreach(json_object_get(t, "rows"), k, row)
    {
        text_add(out, "<tr>");
        json_array_foreach(columns, i, c)
        {
            text cell;
            bool words = cells_are_words(report_tree_str(c, "kind"));
            text_init(&cell);
            cells_show(json_array_get(row, i), report_tree_str(c, "kind"), &cell);
            text_add(out, i == 0 ? "<th scope=\"row\"" : "<td");
            text_add(out, i == 0 || words ? " class=\"t\"" : " class=\"n\"");
            sort_key(json_array_get(row, i), out);
            const char *to = json_string_value(json_array_get(row, i));
            bool link = !strcmp(report_tree_str(c, "kind"), "section") && to && to[0];
            text_add(out, ">");
            if (link)
                tag(out, "<a href=\"#", to, "\">");
            tag(out, "", cell.s, link ? "</a>" : "");
            text_add(out, i == 0 ? "</th>" : "</td>");
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

/* ---- blocks ---------------------------------------------------------------------------------- */

/* The numbers of a figure: folded as a table where no table of the report holds them, and all of
 * them as JSON for programs. */
static void html_numbers(const figure *f, const json_t *tree, text *out)
{
    json_t *few = figure_data(f, tree, FIGURE_ROWS), *all = figure_data(f, tree, 0);
    text json;
    if (few && f->curves)
        html_table(few, "numbers", out);
    if (all) {
        text_init(&json);
        json_write_text(all, false, &json);
        text_addf(out, "<script type=\"application/json\" id=\"data-%s\">", f->id);
        for (const char *p = json.s; *p; p++)
            if (*p == '<') /* nothing inside may end the block */
                text_add(out, "\\u003c");
            else
                text_addn(out, p, 1);
        text_add(out, "</script>\n");
        text_release(&json);
    }
    json_decref(few);
    json_decref(all);
}

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
    html_numbers(f, tree, out);
    mem_free(svg);
}

static void html_headline(const json_t *h, text *out)
{
    tag(out, "<div class=\"headline\"><div class=\"v\">", report_tree_str(h, "value"),
        "</div><div>");
    tag(out, "<p>", report_tree_str(h, "caption"), "</p>");
    tag(out, "<p class=\"i\">", report_tree_str(h, "interval"), "</p>");
    tag(out, "<p class=\"note\">", report_tree_str(h, "method"), "</p></div></div>\n");
}

static void html_block(const doc_block *b, const json_t *tree, const report_image *images,
                       text *out)
{
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
        html_table(b->data, b->fold ? "table" : NULL, out);
        break;
    case DOC_PAIRS:
        html_pairs(b->data, out);
        break;
    case DOC_PAGES:
        pages_html(b->data, images, out);
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
    text_add(out, "\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"");
    report_page_policy(out);
    text_add(out, "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                  "<meta name=\"referrer\" content=\"no-referrer\">\n");
    tag(out, "<title>", d->title, "</title>\n<style>\n");
    draw_css(out);
    text_add(out, report_page_style());
    text_add(out, pages_html_style);
    tag(out, "</style>\n</head>\n<body>\n<header>\n<a class=\"skip\" href=\"#main\">",
        report_text("skip"), "</a>\n");
    tag(out, "<h1>", d->title, "</h1>\n");
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
    text_add(out, "</ul></nav>\n");
    tag(out, "<div class=\"tools\" hidden><button type=\"button\" id=\"theme\">",
        report_text("tools.dark"), "</button>");
    tag(out, "<button type=\"button\" id=\"open-all\">", report_text("tools.open"), "</button>");
    tag(out, "<button type=\"button\" id=\"close-all\">", report_text("tools.close"),
        "</button></div>\n</header>\n<main id=\"main\">\n");
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
    tag(out, "<p>", report_text("banner"), "</p></footer>\n<script>");
    text_add(out, report_page_script());
    text_add(out, "</script>\n</body>\n</html>\n");
}
