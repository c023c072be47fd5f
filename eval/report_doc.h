/* The report as a list of blocks, made from the eval.json tree: what it says and in which order.
 * The HTML and the PDF renderer both walk this list. evaluation.md 17. */
#ifndef EVAL_REPORT_DOC_H
#define EVAL_REPORT_DOC_H

#include "core/json.h"
#include "eval/figure.h"

typedef enum doc_kind {
    DOC_SECTION,  /* text = heading, id = anchor */
    DOC_TEXT,     /* paragraph */
    DOC_NOTE,     /* small paragraph */
    DOC_WARN,     /* paragraph that must not be missed */
    DOC_ITEM,     /* of a bulleted list */
    DOC_HEADLINE, /* data = {value, caption, interval, method} as text */
    DOC_FIGURE,   /* fig */
    DOC_TABLE,    /* data = table of cells.h; fold = closed at first on screen */
    DOC_PAIRS,    /* data = [[label, value], ...] */
    DOC_PAGES,    /* data = tree.pages */
    DOC_CODE      /* text, fold */
} doc_kind;

typedef struct doc_block {
    doc_kind kind;
    const char *id;
    char *text;   /* owned or NULL */
    json_t *data; /* owned reference or NULL */
    const figure *fig;
    bool fold;
} doc_block;

typedef struct report_doc {
    char *title, *subtitle, *footer; /* owned */
    doc_block *block;
    int n, cap;
} report_doc;
void report_doc_build(const json_t *tree, report_doc *out);
void report_doc_release(report_doc *d);
#endif
