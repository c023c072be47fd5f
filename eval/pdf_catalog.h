/* Entries that cairo cannot write into a PDF's catalogue (the language, that the title is shown),
 * added as an incremental update at the end of the file. PDF 1.7 (ISO 32000-1) 7.5.6. */
#ifndef EVAL_PDF_CATALOG_H
#define EVAL_PDF_CATALOG_H

#include "core/err.h"
#include "core/text.h"

/* pdf: a whole file with one classic cross-reference table, as cairo writes it up to PDF 1.4.
 * entries: text inside the dictionary, such as "/Lang (en)". Fails ERR_IO when the file is not of
 * that form. */
MUST_CHECK bool pdf_catalog_add(text *pdf, const char *entries, err *e);
#endif
