/* The pictures of an exam page on a cairo context: the plain views as they hang, and the same small
 * with a map over them. */
#ifndef EVAL_PAGES_PDF_H
#define EVAL_PAGES_PDF_H

#include "eval/hanging.h"
#include "eval/pages_in.h"

typedef struct pages_pdf pages_pdf;
/* page: of tree.pages; images: that its views point into. Borrowed. */
pages_pdf *pages_pdf_new(const json_t *page, double widest_mm, const report_image *images);
void pages_pdf_free(pages_pdf *p);
const hanging *pages_pdf_hanging(const pages_pdf *p);
/* Height of the views drawn `width` points wide. */
double pages_pdf_height(const pages_pdf *p, double width);
typedef struct pages_pdf_at {
    double x, y, width;
    const char *map; /* NULL: plain, with scores */
} pages_pdf_at;
void pages_pdf_draw(const pages_pdf *p, void *cairo, const pages_pdf_at *at);
/* Sample of a class of a map, side x side; NULL: of a patch without one. */
void pages_pdf_sample(void *cairo, const json_t *class, double x, double y, double side);
#endif
