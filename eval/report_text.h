/* Every sentence, heading and label of the report in tables (words_<name>.c), so that a hospital
 * can translate it. Sentences hold {names} that report_fill replaces: word order is free. The
 * language is one for the program: set before a report is built, by one thread, and only read while
 * it is. */
#ifndef EVAL_REPORT_TEXT_H
#define EVAL_REPORT_TEXT_H

#include "core/json.h"
#include "core/text.h"

typedef struct report_word {
    const char *key, *text;
} report_word;
/* The rows of one file words_<name>.c. A key stands in one of them only. */
typedef struct report_words {
    const report_word *row;
    int n;
} report_words;
extern const report_words words_page, words_figures, words_tables, words_analyses, words_guidelines;

/* Words of another language: a JSON object {key: text}; keys that are absent stay English. NULL
 * goes back to English. ERR_INPUT: an unknown key, a value that is no text, or a {name} that the
 * English text has not. */
MUST_CHECK bool report_text_use(const char *path, err *e);
/* All words as they are used now: what a translator begins with. A new reference. */
json_t *report_text_all(void);

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
