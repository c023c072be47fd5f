/* Every sentence, heading and label of the report in one table, so that a hospital can translate
 * it. Sentences hold {names} that report_fill replaces: word order is free. */
#ifndef EVAL_REPORT_TEXT_H
#define EVAL_REPORT_TEXT_H

#include "core/text.h"

typedef struct report_word {
    const char *key, *text;
} report_word;
/* The part of the table that holds the items of reporting guidelines (report_items.c). */
extern const report_word report_items[];
extern const int report_items_n;

/* BUG when the key is not in the table. */
const char *report_text(const char *key);
/* The text of the key, or NULL. */
const char *report_text_find(const char *key);
/* Append the text of `key` with {name} replaced; pairs = {"name", "value", ..., NULL}. A name
 * without a value is a BUG. */
void report_fill(text *out, const char *key, const char *const *pairs);
/* Number of entries and entry i, for tests. */
int report_text_count(void);
const char *report_text_key(int i);
#endif
