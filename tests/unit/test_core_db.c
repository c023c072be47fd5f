/* core/db: round trips of every type, errors with their sentence, the statement cache, modes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/db.h"
#include "core/fs.h"
#include "core/mem.h"

static char dir[64], file[96];

static int start(void **state)
{
    snprintf(dir, sizeof(dir), "/tmp/mammovit-db-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(file, sizeof(file), "%s/catalog.db", dir);
    return 0;
}

static int stop(void **state)
{
    err e = {0};
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

static db *open_new(void)
{
    err e = {0};
    unlink(file);
    db *d = db_open(file, true, &e);
    if (!d)
        fail_msg("%s", e.msg);
    return d;
}

static void must(bool ok, const err *e)
{
    if (!ok)
        fail_msg("%s", e->msg);
}

static void test_round_trip(void **state)
{
    err e = {0};
    db *d = open_new();
    must(db_exec(d, "CREATE TABLE t(i INTEGER, r REAL, s TEXT, b BLOB); CREATE INDEX ti ON t(i)",
                 &e),
         &e);
    db_stmt *s = db_prepare(d, "INSERT INTO t VALUES(?,?,?,?)", &e);
    assert_non_null(s);
    static const char blob[] = {0, 1, 0, (char)0xff, 0};
    db_bind_i64(s, 1, INT64_MIN);
    db_bind_f64(s, 2, 0.1);
    db_bind_text(s, 3, "Malm\xc3\xb6 'quoted'; DROP TABLE t");
    db_bind_blob(s, 4, blob, sizeof(blob));
    assert_int_equal(db_step(s, &e), 0);
    /* Prepared again, all bindings are gone: a row of NULLs. */
    assert_ptr_equal(db_prepare(d, "INSERT INTO t VALUES(?,?,?,?)", &e), s);
    assert_int_equal(db_step(s, &e), 0);
    assert_ptr_equal(db_prepare(d, "INSERT INTO t VALUES(?,?,?,?)", &e), s);
    db_bind_i64(s, 1, 7);
    db_bind_f64(s, 2, NAN);
    db_bind_text(s, 3, NULL);
    db_bind_blob(s, 4, "", 0);
    assert_int_equal(db_step(s, &e), 0);
    char lent[] = "lent and more"; /* is ours again after the step */
    assert_ptr_equal(db_prepare(d, "INSERT INTO t VALUES(?,?,?,?)", &e), s);
    db_bind_lent(s, 3, lent, 4);
    assert_int_equal(db_step(s, &e), 0);
    memset(lent, 'X', sizeof(lent));
    db_close(d);

    d = db_open(file, false, &e);
    assert_non_null(d);
    s = db_prepare(d, "SELECT i, r, s, b FROM t ORDER BY rowid", &e);
    assert_int_equal(db_step(s, &e), 1);
    size_t n;
    assert_true(db_i64(s, 0) == INT64_MIN);
    assert_true(db_f64(s, 1) == 0.1);
    assert_string_equal(db_text(s, 2), "Malm\xc3\xb6 'quoted'; DROP TABLE t");
    assert_memory_equal(db_blob(s, 3, &n), blob, sizeof(blob));
    assert_int_equal(n, sizeof(blob));
    assert_false(db_is_null(s, 0));
    assert_int_equal(db_step(s, &e), 1);
    for (int i = 0; i < 4; i++)
        assert_true(db_is_null(s, i));
    assert_int_equal(db_i64(s, 0), 0);
    assert_true(isnan(db_f64(s, 1)));
    assert_string_equal(db_text(s, 2), "");
    assert_int_equal(db_step(s, &e), 1);
    assert_int_equal(db_i64(s, 0), 7);
    assert_true(db_is_null(s, 1));
    assert_true(db_is_null(s, 2));
    assert_false(db_is_null(s, 3));
    assert_non_null(db_blob(s, 3, &n));
    assert_int_equal(n, 0);
    assert_int_equal(db_step(s, &e), 1);
    assert_string_equal(db_text(s, 2), "lent");
    assert_int_equal(db_step(s, &e), 0);
    /* Done means rewound: the same statement reads again. */
    assert_int_equal(db_step(s, &e), 1);
    assert_true(db_i64(s, 0) == INT64_MIN);
    db_close(d);
    db_close(NULL);
}

static void test_errors(void **state)
{
    err e = {0};
    db *d = open_new();
    must(db_exec(d,
                 "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT UNIQUE);"
                 "CREATE TABLE c(p INTEGER REFERENCES p(id))",
                 &e),
         &e);
    assert_false(db_exec(d, "CREATE TABLE p(x)", &e));
    assert_string_equal(e.msg, "catalog.db: cannot run a statement: table p already exists");
    assert_int_equal(e.code, ERR_IO);
    err_clear(&e);
    assert_null(db_prepare(d, "SELECT absent FROM p", &e));
    assert_string_equal(e.msg, "catalog.db: cannot prepare a statement: no such column: absent");
    err_clear(&e);
    db_stmt *s = db_prepare(d, "INSERT INTO p(name) VALUES(?)", &e);
    db_bind_text(s, 1, "19340101-1234");
    assert_int_equal(db_step(s, &e), 0);
    s = db_prepare(d, "INSERT INTO p(name) VALUES(?)", &e);
    db_bind_text(s, 1, "19340101-1234");
    assert_int_equal(db_step(s, &e), -1);
    assert_int_equal(e.code, ERR_INPUT);
    /* The message names the column, never the value. */
    assert_string_equal(e.msg,
                        "catalog.db: cannot run a statement: UNIQUE constraint failed: p.name");
    err_clear(&e);
    /* The statement and the connection go on. */
    s = db_prepare(d, "INSERT INTO p(name) VALUES(?)", &e);
    db_bind_text(s, 1, "b");
    assert_int_equal(db_step(s, &e), 0);
    /* Foreign keys are on. */
    assert_false(db_exec(d, "INSERT INTO c VALUES(99)", &e));
    assert_string_equal(e.msg, "catalog.db: cannot run a statement: FOREIGN KEY constraint failed");
    db_close(d);
}

static void test_open(void **state)
{
    err e = {0};
    char path[128];
    snprintf(path, sizeof(path), "%s/absent.db", dir);
    assert_null(db_open(path, false, &e));
    assert_int_equal(e.code, ERR_IO);
    assert_string_equal(e.msg, "absent.db: cannot open: No such file or directory");
    assert_false(fs_exists(path));
    err_clear(&e);
    snprintf(path, sizeof(path), "%s/none/absent.db", dir);
    assert_null(db_open(path, true, &e));
    assert_string_equal(e.msg, "absent.db: cannot open for writing: No such file or directory");
    err_clear(&e);
    /* A file that is no database is not touched. */
    snprintf(path, sizeof(path), "%s/note.db", dir);
    char junk[4096];
    memset(junk, 'x', sizeof(junk));
    must(fs_write(path, junk, sizeof(junk), &e), &e);
    for (int write = 0; write < 2; write++) {
        assert_null(db_open(path, write, &e));
        assert_int_equal(e.code, ERR_INPUT);
        assert_string_equal(e.msg, "note.db: cannot run a statement: file is not a database");
        err_clear(&e);
    }
    char *data;
    size_t n;
    must(fs_read(path, 10000, &data, &n, &e), &e);
    assert_int_equal(n, sizeof(junk));
    assert_memory_equal(data, junk, n);
    mem_free(data);
}

static void test_settings(void **state)
{
    err e = {0};
    mode_t old = umask(0);
    db *d = open_new();
    umask(old);
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    static const struct {
        const char *sql;
        int64_t want;
    } pragmas[] = {{"PRAGMA synchronous", 2}, {"PRAGMA foreign_keys", 1}};
    for (size_t i = 0; i < COUNT_OF(pragmas); i++) {
        db_stmt *s = db_prepare(d, pragmas[i].sql, &e);
        assert_int_equal(db_step(s, &e), 1);
        assert_int_equal(db_i64(s, 0), pragmas[i].want);
        assert_int_equal(db_step(s, &e), 0);
    }
    db_stmt *s = db_prepare(d, "PRAGMA journal_mode", &e);
    assert_int_equal(db_step(s, &e), 1);
    assert_true(!strcmp(db_text(s, 0), "wal") || !strcmp(db_text(s, 0), "delete"));
    assert_int_equal(db_step(s, &e), 0);
    /* The probe left nothing behind. */
    s = db_prepare(d, "SELECT count(*) FROM sqlite_master", &e);
    assert_int_equal(db_step(s, &e), 1);
    assert_int_equal(db_i64(s, 0), 0);
    db_close(d);
    /* A database opened for reading refuses to write. */
    d = db_open(file, false, &e);
    assert_non_null(d);
    assert_false(db_exec(d, "CREATE TABLE t(x)", &e));
    assert_string_equal(e.msg,
                        "catalog.db: cannot run a statement: attempt to write a readonly database");
    db_close(d);
}

/* What an interrupted writer leaves is the last whole transaction. */
static void test_unfinished_transaction(void **state)
{
    err e = {0};
    db *d = open_new();
    must(db_exec(d, "CREATE TABLE t(x); INSERT INTO t VALUES(1); BEGIN; INSERT INTO t VALUES(2)",
                 &e),
         &e);
    db_close(d);
    d = db_open(file, false, &e);
    db_stmt *s = db_prepare(d, "SELECT count(*), max(x) FROM t", &e);
    assert_int_equal(db_step(s, &e), 1);
    assert_int_equal(db_i64(s, 0), 1);
    assert_int_equal(db_i64(s, 1), 1);
    db_close(d);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_unfinished_transaction),
    };
    return cmocka_run_group_tests(all, start, stop);
}
