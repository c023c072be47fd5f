/* The report as a list of blocks, made from the eval.json tree by the parts (part.h). The HTML and
 * the PDF renderer both walk this list. evaluation.md 17. */
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
    DOC_CODE      /* text, closed at first on screen */
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

/* ---- for parts: append a block at the end ---- */

/* Heading report_text "section.<id>", which is also the anchor #<id>; `id` is a literal. */
void report_doc_section(report_doc *d, const char *id);
/* DOC_TEXT, DOC_NOTE, DOC_WARN, DOC_ITEM or DOC_CODE with these words. */
void report_doc_text(report_doc *d, doc_kind kind, const char *s);
/* The same with the text `key`, its {names} replaced by pairs = {"name", "value", ..., NULL}. */
void report_doc_fill(report_doc *d, doc_kind kind, const char *key, const char *const *pairs);
/* A figure of figure.h; nothing when it has nothing to show. */
void report_doc_figure(report_doc *d, const json_t *tree, const char *id);
/* The table of tree.tables with this id and its note; nothing when it is absent or has no row. */
void report_doc_table(report_doc *d, const json_t *tree, const char *id, bool fold);
/* The sentence `key` with the {names} that a list of this table holds, and {minimum}; nothing when
 * the list is empty. */
void report_doc_names(report_doc *d, const json_t *tree, const char *id, const char *list,
                      const char *key);
/* A note that groups of the table were joined, when they were. */
void report_doc_joined(report_doc *d, const json_t *tree, const json_t *table);
/* DOC_HEADLINE, DOC_PAIRS or DOC_PAGES; takes the reference. */
void report_doc_data(report_doc *d, doc_kind kind, json_t *data);

/* A row of DOC_PAIRS; an empty value is shown as "not recorded". */
void report_doc_pair(json_t *list, const char *label, const char *value);
/* Append any value (a member of the model card) as one line of text; null is nothing. */
void report_doc_value(const json_t *v, text *out);

/* Room for a number as text; calls return n->s. */
typedef struct doc_number {
    char s[40];
} doc_number;
/* kind: "auc" three decimals, "0" none, "1" one, "4g" four digits, "p" with its sign before. */
const char *doc_number_show(doc_number *n, const char *kind, double v);
const char *doc_number_count(doc_number *n, const json_t *v); /* of an integer */
/* "v", "lo" or "hi" of an AUC's cell, with its decimals. */
const char *doc_number_auc(doc_number *n, const json_t *cell, const char *key);
#endif
