/* Error values: messages, wrapping, cutting, exit statuses, BUG. */
#include "core/err.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void set_and_wrap(void **state)
{
    err e = {0};
    assert_false(err_set(&e, ERR_INPUT, "row %d: %s", 7, "bad"));
    assert_int_equal(e.code, ERR_INPUT);
    assert_string_equal(e.msg, "row 7: bad");
    assert_false(err_wrap(&e, "loader: fold '%s'", "2"));
    assert_int_equal(e.code, ERR_INPUT);
    assert_string_equal(e.msg, "loader: fold '2': row 7: bad");
    err_clear(&e);
    assert_int_equal(e.code, ERR_NONE);
    assert_string_equal(e.msg, "");
    assert_false(err_set(NULL, ERR_IO, "nobody listens"));
    assert_false(err_wrap(NULL, "nobody"));
    assert_false(err_errno(NULL, "nobody"));
}

static void argument_may_be_the_message(void **state)
{
    err e = {0};
    err_set(&e, ERR_IO, "inner");
    err_set(&e, ERR_INPUT, "<%s|%s>", e.msg, e.msg);
    assert_string_equal(e.msg, "<inner|inner>");
    err_wrap(&e, "again %s", e.msg);
    assert_string_equal(e.msg, "again <inner|inner>: <inner|inner>");
}

static void control_characters_do_not_pass(void **state)
{
    err e = {0};
    err_set(&e, ERR_INPUT, "name '%s'", "a\nb\033[31m\x7f\tc");
    assert_string_equal(e.msg, "name 'a?b?[31m??c'");
    err_set(&e, ERR_INPUT, "%s", "Bj\xc3\xb6rk");
    assert_string_equal(e.msg, "Bj\xc3\xb6rk");
}

static void too_long_is_cut_between_characters(void **state)
{
    char big[4001];
    for (int shift = 0; shift < 3; shift++) { /* every alignment of the cut in "aa€€€..." */
        memset(big, 'a', sizeof big);
        for (int i = shift; i + 3 < 4000; i += 3)
            memcpy(big + i, "\xe2\x82\xac", 3);
        big[4000] = 0;
        err e = {0};
        err_set(&e, ERR_INPUT, "%s", big);
        size_t n = strlen(e.msg);
        assert_in_range(n, sizeof e.msg - 4, sizeof e.msg - 1);
        assert_int_equal((n - (size_t)shift) % 3, 0);
        assert_memory_equal(e.msg, big, n);
        err_wrap(&e, "prefix");
        assert_memory_equal(e.msg, "prefix: ", 8);
        assert_memory_equal(e.msg + 8, big, strlen(e.msg) - 8);
        assert_in_range(strlen(e.msg), sizeof e.msg - 4, sizeof e.msg - 1);
    }
    memset(big, 'b', sizeof big);
    big[4000] = 0;
    err e = {0};
    err_set(&e, ERR_IO, "tail");
    err_wrap(&e, "%s", big);
    assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
}

static void errno_sentences(void **state)
{
    err e = {0};
    errno = ENOENT;
    assert_false(err_errno(&e, "cannot open '%s'", "x"));
    assert_int_equal(errno, ENOENT);
    assert_int_equal(e.code, ERR_IO);
    assert_string_equal(e.msg, "cannot open 'x': No such file or directory");
    errno = ENOSPC;
    err_errno(&e, "cannot write 'y'");
    assert_int_equal(e.code, ERR_IO);
    assert_non_null(strstr(e.msg, "cannot write 'y': the disk is full"));
    errno = EDQUOT;
    err_errno(&e, "cannot write 'y'");
    assert_non_null(strstr(e.msg, "quota"));
    errno = ENOMEM;
    err_errno(&e, "cannot map");
    assert_int_equal(e.code, ERR_MEMORY);
}

static void exit_statuses(void **state)
{
    static const struct {
        err_code code;
        int status;
        const char *name;
    } table[] = {
        {ERR_NONE, 0, "none"},     {ERR_USAGE, 2, "usage"},       {ERR_CONFIG, 3, "config"},
        {ERR_INPUT, 3, "input"},   {ERR_RANGE, 3, "range"},       {ERR_IO, 4, "io"},
        {ERR_MEMORY, 5, "memory"}, {ERR_MISMATCH, 6, "mismatch"}, {ERR_STOPPED, 75, "stopped"}};
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        assert_int_equal(err_exit(table[i].code), table[i].status);
        assert_string_equal(err_code_name(table[i].code), table[i].name);
    }
}

static void bug_aborts_with_its_place(void **state)
{
    int p[2], status;
    assert_int_equal(pipe(p), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(p[1], STDERR_FILENO);
        err_bug("a/b.c", 12, "shape %d\nx", 3);
    }
    close(p[1]);
    char out[256] = "";
    ssize_t n = read(p[0], out, sizeof out - 1);
    close(p[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_true(n > 0);
    assert_memory_equal(out, "bug a/b.c:12: shape 3?x\n", 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_and_wrap),
        cmocka_unit_test(argument_may_be_the_message),
        cmocka_unit_test(control_characters_do_not_pass),
        cmocka_unit_test(too_long_is_cut_between_characters),
        cmocka_unit_test(errno_sentences),
        cmocka_unit_test(exit_statuses),
        cmocka_unit_test(bug_aborts_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
