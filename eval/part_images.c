/* Images of chosen exams, as the predict stage put them into PRED/pages. */
#include "eval/part.h"
#include "eval/cells.h"
#include "eval/report_text.h"

static bool add(report_build *b, err *e)
{
    json_t *pages = json_array();
    const report_in *in = &b->src->in[0];
    for (int i = 0; i < in->n_images; i++) {
        const report_image *m = &in->image[i];
        json_t *page = NULL, *view = json_object(), *p;
        size_t k;
        json_array_foreach(
            pages, k, p) if (!strcmp(json_string_value(json_object_get(p, "exam_id")), m->exam))
            page = p;
        if (!page) {
            page = json_object();
            json_object_set_new(page, "exam_id", cells_string(m->exam));
            json_object_set_new(page, "views", json_array());
            json_array_append_new(pages, page);
        }
        json_object_set_new(view, "view", cells_string(m->view));
        json_object_set_new(view, "file", cells_string(m->file));
        json_object_set_new(view, "note", cells_string(m->note));
        json_object_set_new(view, "sha256", json_string(m->sha256));
        json_object_set_new(view, "score", json_num(m->score));
        json_object_set_new(view, "width", json_integer(m->width));
        json_object_set_new(view, "height", json_integer(m->height));
        json_object_set_new(view, "image", json_integer(i));
        json_array_append_new(json_object_get(page, "views"), view);
    }
    json_object_set_new(b->tree, "pages", pages);
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    json_t *pages = json_object_get(tree, "pages");
    if (!json_array_size(pages))
        return;
    report_doc_section(d, "images");
    report_doc_text(d, DOC_NOTE, report_text("images.note"));
    report_doc_data(d, DOC_PAGES, json_incref(pages));
}

const report_part part_images = {"images", add, show};
