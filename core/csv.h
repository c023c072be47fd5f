/* Streaming CSV. Reading: UTF-8 with or without BOM, separator , ; or tab found from the header
 * line, quoted fields with doubled quotes and newlines, CR LF. Fields longer than 1 MiB, NUL bytes
 * and rows whose number of fields differs from the header are errors that name file and line
 * (the base name only). Writing: comma, LF, quotes only where needed, atomic. */
#ifndef CORE_CSV_H
#define CORE_CSV_H

#include "core/err.h"

typedef struct csv_reader csv_reader;
csv_reader *csv_open(const char *path, err *e);
csv_reader *csv_open_text(const char *data, size_t len, const char *name, err *e); /* borrowed */
int csv_columns(const csv_reader *r);
const char *csv_column_name(const csv_reader *r, int col);
int csv_find(const csv_reader *r, const char *name); /* case-insensitive; -1 = absent */
/* ERR_INPUT "labels.csv: column 'patient_id' is missing (found: a, b, c)". */
MUST_CHECK bool csv_require(const csv_reader *r, const char *name, int *col, err *e);
/* Next row: 1, end of file: 0, error: -1. Fields are trimmed of spaces unless quoted. */
int csv_next(csv_reader *r, err *e);
const char *csv_field(const csv_reader *r, int col); /* valid until the next csv_next */
bool csv_missing(const csv_reader *r, int col);      /* empty, NA, N/A, NaN, NULL, None */
int csv_line(const csv_reader *r);                   /* 1-based line where the row begins */
void csv_close(csv_reader *r);

typedef struct csv_writer csv_writer;
csv_writer *csv_create(const char *path, err *e);         /* temporary name until csv_commit */
csv_writer *csv_create_private(const char *path, err *e); /* the same with mode 0600 */
csv_writer *csv_create_memory(void);
void csv_put(csv_writer *w, const char *field);
void csv_put_i64(csv_writer *w, int64_t v);
void csv_put_f64(csv_writer *w, double v); /* shortest round trip; NaN, inf: empty field */
void csv_end_row(csv_writer *w);
MUST_CHECK bool csv_commit(csv_writer *w, err *e); /* fsync, rename; frees w in every case */
const char *csv_memory(const csv_writer *w, size_t *len);
void csv_discard(csv_writer *w);
#endif
