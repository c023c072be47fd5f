/* Private to the import: one line's cells through the sources of a mapping, and words to values. */
#ifndef PREPROCESS_IMPORT_VALUE_H
#define PREPROCESS_IMPORT_VALUE_H

#include "core/csv.h"
#include "core/text.h"
#include "preprocess/import.h"

typedef struct import_cells import_cells;
/* Finds the columns. Fails on one that is missing, naming it and the table. */
import_cells *import_cells_new(csv_reader *r, const mapping *m, const mapping_table *t, err *e);
void import_cells_free(import_cells *c);
/* What every column becomes; the array is the caller's, its names are the reader's. */
void import_cells_columns(const import_cells *c, import_column **out, int *n);
/* Adds the cells of the current line to `filled`. */
void import_cells_count(const import_cells *c, import_column *col, int n);
bool import_cells_has(const import_cells *c, int k); /* are the columns of use k there? */
/* What the current line says for use k of the table; false = nothing. */
bool import_cells_get(import_cells *c, int k, text *out);
/* Does the table's condition `only` hold on this line? */
bool import_cells_wanted(import_cells *c);
const char *import_cells_column(const import_cells *c, const mapping_use *u);
/* Text to value by the kind of the field. ERR_INPUT names line and column. */
MUST_CHECK bool import_value_of(const import_cells *c, const mapping_use *u, const char *s,
                                import_value *out, err *e);
#endif
