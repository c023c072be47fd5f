/* SQLite behind few calls: open with safe settings, exec, cached statements, errors with the base
 * name of the file and SQLite's sentence. Statements are cached by their text for the life of the
 * connection; the programs of this project use a few dozen. */
#include "core/db.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"

#define DB_BUSY_MS   30000
#define DB_CACHE_KIB "65536" /* of pages: tables of millions of rows are read out of order */

struct db_stmt {
    db *owner;
    sqlite3_stmt *s;
    char *sql;
    bool running; /* stepped and not reset since */
    db_stmt *next;
};

struct db {
    sqlite3 *h;
    char *name; /* base name, for messages */
    db_stmt *cache;
};

static bool db_fail(const db *d, int rc, const char *what, err *e)
{
    err_code code = ERR_IO;
    if (rc == SQLITE_NOMEM)
        code = ERR_MEMORY;
    else if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB || rc == SQLITE_CONSTRAINT)
        code = ERR_INPUT;
    if ((rc & 0xff) == SQLITE_FULL)
        return err_set(e, ERR_IO, "%s: cannot %s: the disk is full", d->name, what);
    return err_set(e, code, "%s: cannot %s: %s", d->name, what, sqlite3_errmsg(d->h));
}

bool db_exec(db *d, const char *sql, err *e)
{
    int rc = sqlite3_exec(d->h, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK || db_fail(d, rc & 0xff, "run a statement", e);
}

/* A network file system may accept WAL and fail at the first write or lock of the shared memory:
 * only a write that worked counts. */
static bool wal_works(db *d)
{
    char mode[16] = "";
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(d->h, "PRAGMA journal_mode=WAL", -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW && sqlite3_column_text(s, 0))
        text_copy(mode, sizeof(mode), (const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
    if (!text_ieq(mode, "wal"))
        return false;
    static const char probe[] = "BEGIN IMMEDIATE;"
                                "CREATE TABLE db_probe(x INTEGER);"
                                "INSERT INTO db_probe VALUES(1);"
                                "DROP TABLE db_probe;"
                                "COMMIT;";
    if (sqlite3_exec(d->h, probe, NULL, NULL, NULL) == SQLITE_OK)
        return true;
    sqlite3_exec(d->h, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

static bool settings(db *d, bool write, err *e)
{
    sqlite3_busy_timeout(d->h, DB_BUSY_MS);
    sqlite3_extended_result_codes(d->h, 0);
    sqlite3_db_config(d->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(d->h, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (!db_exec(d,
                 "PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL; PRAGMA cell_size_check=ON;"
                 "PRAGMA temp_store=FILE; PRAGMA cache_size=-" DB_CACHE_KIB,
                 e))
        return false;
    /* Any read shows whether this is a database at all. */
    if (!db_exec(d, "SELECT count(*) FROM sqlite_master", e))
        return false;
    if (!write || wal_works(d))
        return true;
    log_warn("db_journal", "file=%s mode=delete reason=\"WAL does not work here\"", d->name);
    return db_exec(d, "PRAGMA journal_mode=DELETE", e);
}

/* SQLite would create the file with the umask's mode; its journals then copy ours. */
static bool create_private(const char *path, err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(e, "%s: cannot open for writing", fs_base(path));
    close(fd);
    return true;
}

db *db_open(const char *path, bool write, err *e)
{
    if (write && !create_private(path, e))
        return NULL;
    struct stat st;
    if (!write && stat(path, &st) != 0) {
        err_errno(e, "%s: cannot open", fs_base(path));
        return NULL;
    }
    db *d = MEM_NEW(db);
    d->name = mem_strdup(fs_base(path));
    int flags = (write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX;
    int rc = sqlite3_open_v2(path, &d->h, flags, NULL);
    if (rc != SQLITE_OK) {
        db_fail(d, rc & 0xff, "open", e);
        db_close(d);
        return NULL;
    }
    if (!settings(d, write, e)) {
        db_close(d);
        return NULL;
    }
    return d;
}

void db_close(db *d)
{
    if (!d)
        return;
    while (d->cache) {
        db_stmt *s = d->cache;
        d->cache = s->next;
        sqlite3_finalize(s->s);
        mem_free(s->sql);
        mem_free(s);
    }
    if (d->h && sqlite3_close(d->h) != SQLITE_OK)
        BUG("db_close %s: %s", d->name, sqlite3_errmsg(d->h));
    mem_free(d->name);
    mem_free(d);
}

db_stmt *db_prepare(db *d, const char *sql, err *e)
{
    db_stmt **at = &d->cache;
    while (*at && strcmp((*at)->sql, sql) != 0)
        at = &(*at)->next;
    db_stmt *s = *at;
    if (s) {
        *at = s->next; /* to the front: hot statements are found first */
        sqlite3_reset(s->s);
        sqlite3_clear_bindings(s->s);
        s->running = false;
    } else {
        sqlite3_stmt *h = NULL;
        const char *tail = "";
        int rc = sqlite3_prepare_v3(d->h, sql, -1, SQLITE_PREPARE_PERSISTENT, &h, &tail);
        if (rc != SQLITE_OK) {
            db_fail(d, rc & 0xff, "prepare a statement", e);
            return NULL;
        }
        if (!h || tail[strspn(tail, " \t\r\n;")])
            BUG("db_prepare: not exactly one statement: %s", sql);
        s = MEM_NEW(db_stmt);
        s->owner = d;
        s->s = h;
        s->sql = mem_strdup(sql);
    }
    s->next = d->cache;
    d->cache = s;
    return s;
}

static void bound(db_stmt *s, int col, int rc)
{
    if (rc != SQLITE_OK)
        BUG("db: cannot bind parameter %d (%s) of: %s", col, sqlite3_errstr(rc), s->sql);
}

void db_bind_i64(db_stmt *s, int col, int64_t v)
{
    bound(s, col, sqlite3_bind_int64(s->s, col, v));
}

void db_bind_f64(db_stmt *s, int col, double v)
{
    bound(s, col, isnan(v) ? sqlite3_bind_null(s->s, col) : sqlite3_bind_double(s->s, col, v));
}

void db_bind_text(db_stmt *s, int col, const char *v)
{
    bound(s, col,
          v ? sqlite3_bind_text64(s->s, col, v, strlen(v), SQLITE_TRANSIENT, SQLITE_UTF8)
            : sqlite3_bind_null(s->s, col));
}

void db_bind_lent(db_stmt *s, int col, const char *v, size_t len)
{
    bound(s, col, sqlite3_bind_text64(s->s, col, v, len, SQLITE_STATIC, SQLITE_UTF8));
}

void db_bind_blob(db_stmt *s, int col, const void *v, size_t len)
{
    if (!v && len)
        BUG("db: blob of %zu bytes at NULL in: %s", len, s->sql);
    bound(s, col,
          !v    ? sqlite3_bind_null(s->s, col)
          : len ? sqlite3_bind_blob64(s->s, col, v, len, SQLITE_TRANSIENT)
                : sqlite3_bind_zeroblob(s->s, col, 0));
}

int db_step(db_stmt *s, err *e)
{
    int rc = sqlite3_step(s->s);
    s->running = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE) {
        sqlite3_reset(s->s);
        return 0;
    }
    db_fail(s->owner, rc & 0xff, "run a statement", e);
    sqlite3_reset(s->s);
    return -1;
}

static void has_column(const db_stmt *s, int col)
{
    if (!s->running || col < 0 || col >= sqlite3_column_count(s->s))
        BUG("db: column %d is not there in: %s", col, s->sql);
}

int64_t db_i64(db_stmt *s, int col)
{
    has_column(s, col);
    return sqlite3_column_int64(s->s, col);
}

double db_f64(db_stmt *s, int col)
{
    return db_is_null(s, col) ? NAN : sqlite3_column_double(s->s, col);
}

const char *db_text(db_stmt *s, int col)
{
    has_column(s, col);
    const unsigned char *t = sqlite3_column_text(s->s, col);
    return t ? (const char *)t : "";
}

const void *db_blob(db_stmt *s, int col, size_t *len)
{
    has_column(s, col);
    const void *v = sqlite3_column_blob(s->s, col);
    *len = (size_t)sqlite3_column_bytes(s->s, col);
    return v ? v : "";
}

bool db_is_null(db_stmt *s, int col)
{
    has_column(s, col);
    return sqlite3_column_type(s->s, col) == SQLITE_NULL;
}
