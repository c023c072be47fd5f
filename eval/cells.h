/* Tables of the eval.json tree: columns with an id, a label and a kind; rows of cells.
 * A cell is text, an integer, a number, null, or an estimate {"v","lo","hi"}. */
#ifndef EVAL_CELLS_H
#define EVAL_CELLS_H

#include "core/json.h"

/* "table.<id>" is its title in report_text, "note.<id>" its note where there is one. */
json_t *cells_table(const char *id);
/* kind: text, int, num (3 decimals), num1 (1 decimal), pct and pct4 (fraction shown in per cent),
 * score (4 digits), p (3 decimals, or <0.001), est (estimate of a fraction with 2 decimals), est4
 * (with 4 digits), risk (estimate shown in per cent with 2 decimals), auc,
 * section (id of a section; "": the authors). The label is report_text
 * "col.<id>". */
void cells_column(json_t *table, const char *id, const char *kind);
json_t *cells_row(json_t *table);
void cells_text(json_t *row, const char *s); /* invalid UTF-8 is replaced */
void cells_int(json_t *row, int64_t v);
void cells_num(json_t *row, double v); /* NaN: null */
void cells_est(json_t *row, double v, double lo, double hi);
/* The same of numbers that are rounded to so many decimals, which are shown; 0: as cells_est. */
void cells_rounded(json_t *row, const double value[3], int digits);
/* The decimals of such a cell, or 0. */
int cells_digits(const json_t *cell);
/* A count that may be told or not (disclose.h). */
void cells_count(json_t *row, int64_t v, bool told);
/* An estimate that a count could be worked out from: null when that one is not told. */
void cells_rate(json_t *row, const double value[3], bool told); /* value, lo, hi */
json_t *cells_string(const char *s);
/* A cell as a person reads it, by the kind of its column. */
void cells_show(const json_t *cell, const char *kind, text *out);
/* Words (set to the left) or numbers? */
bool cells_are_words(const char *kind);
/* The table as CSV, estimates in three columns; atomic. */
MUST_CHECK bool cells_csv(const json_t *table, const char *path, err *e);
#endif
