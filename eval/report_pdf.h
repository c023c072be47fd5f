/* report.pdf: the same blocks as the HTML on A4 pages, vector figures, bookmarks, fixed dates. */
#ifndef EVAL_REPORT_PDF_H
#define EVAL_REPORT_PDF_H

#include "eval/report_doc.h"
#include "eval/report_in.h"

/* The file's bytes are appended to `out`. The dates in it are SOURCE_DATE_EPOCH or 1970-01-01.
 * Fails ERR_IO when cairo does. */
MUST_CHECK bool report_pdf(const json_t *tree, const report_doc *d, const report_image *images,
                           text *out, err *e);
#endif
