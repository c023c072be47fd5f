/* SQLite behind few calls. One connection per process, one thread. WAL on a local disk, rollback
 * journal where WAL fails (network file systems); synchronous=FULL; foreign keys on. */
#ifndef CORE_DB_H
#define CORE_DB_H

#include "core/err.h"

typedef struct db db;
typedef struct db_stmt db_stmt;
db *db_open(const char *path, bool write, err *e); /* created with mode 0600 when writing */
void db_close(db *d);
MUST_CHECK bool db_exec(db *d, const char *sql, err *e); /* one or more statements, no result */
/* Prepared and cached by the text of sql; bindings are cleared. Finish reading before reuse. */
db_stmt *db_prepare(db *d, const char *sql, err *e);
void db_bind_i64(db_stmt *s, int col, int64_t v);      /* col is 1-based, as in SQLite */
void db_bind_f64(db_stmt *s, int col, double v);       /* NaN binds NULL */
void db_bind_text(db_stmt *s, int col, const char *v); /* copied; NULL binds NULL */
/* The same without a copy: v must live until the statement has been stepped. */
void db_bind_lent(db_stmt *s, int col, const char *v, size_t len);
void db_bind_blob(db_stmt *s, int col, const void *v, size_t len);
int db_step(db_stmt *s, err *e);          /* 1 row, 0 done, -1 error */
int64_t db_i64(db_stmt *s, int col);      /* col is 0-based; NULL gives 0 */
double db_f64(db_stmt *s, int col);       /* NULL gives NaN */
const char *db_text(db_stmt *s, int col); /* NULL gives ""; valid until the next step */
const void *db_blob(db_stmt *s, int col, size_t *len);
bool db_is_null(db_stmt *s, int col);
#endif
