/* report.html: one file, no script, no request; figures inline, images as data URIs. */
#ifndef EVAL_REPORT_HTML_H
#define EVAL_REPORT_HTML_H

#include "eval/report_doc.h"
#include "eval/report_in.h"

/* images: the page images that tree.pages points into (view.image is the index). */
void report_html(const json_t *tree, const report_doc *d, const report_image *images, text *out);
#endif
