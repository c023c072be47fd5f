/* Log lines and progress, seen through a pipe and through a pseudo-terminal. */
#include "core/log.h"
#include "core/pool.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

static int saved_stderr = -1, reader = -1;
static char got[1 << 17];

/* stderr goes to a pipe or to a terminal of the given width until captured() is called. */
static void capture(int terminal_columns)
{
    int fd;
    saved_stderr = dup(STDERR_FILENO);
    if (terminal_columns) {
        reader = posix_openpt(O_RDWR | O_NOCTTY);
        if (reader < 0) { /* a bare chroot mounts no /dev/pts */
            close(saved_stderr);
            print_message("skip: this system gives no pseudo-terminal\n");
            skip();
        }
        assert_int_equal(grantpt(reader), 0);
        assert_int_equal(unlockpt(reader), 0);
        fd = open(ptsname(reader), O_RDWR | O_NOCTTY);
        assert_true(fd >= 0);
        struct termios t;
        tcgetattr(fd, &t);
        cfmakeraw(&t);
        tcsetattr(fd, TCSANOW, &t);
        struct winsize w = {.ws_row = 24, .ws_col = (unsigned short)terminal_columns};
        assert_int_equal(ioctl(fd, TIOCSWINSZ, &w), 0);
    } else {
        int p[2];
        assert_int_equal(pipe(p), 0);
        fcntl(p[1], F_SETPIPE_SZ, 1 << 17);
        reader = p[0];
        fd = p[1];
    }
    dup2(fd, STDERR_FILENO);
    close(fd);
    fcntl(reader, F_SETFL, O_NONBLOCK);
}

static const char *captured(void)
{
    size_t n = 0;
    for (ssize_t k; n + 1 < sizeof got && (k = read(reader, got + n, sizeof got - 1 - n)) > 0;)
        n += (size_t)k;
    got[n] = 0;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(reader);
    return got;
}

static void levels(void **state)
{
    static const char *const want[] = {"error a x=1\n", "error a x=1\nwarn b\n",
                                       "error a x=1\nwarn b\ninfo c y=2\n",
                                       "error a x=1\nwarn b\ninfo c y=2\ndebug d z=3\n"};
    assert_int_equal(log_get_level(), LOG_INFO);
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        log_set_level((log_level)level);
        assert_int_equal(log_get_level(), level);
        capture(0);
        log_error("a", "x=%d", 1);
        log_warn("b", "%s", "");
        log_info("c", "y=%d", 2);
        log_debug("d", "z=%d", 3);
        assert_string_equal(captured(), want[level]);
    }
    log_set_level(LOG_INFO);
}

static void one_event_is_one_line(void **state)
{
    char big[9000];
    memset(big, 'x', sizeof big);
    big[8999] = 0;
    capture(0);
    log_info("e", "k=%s", "a\nerror forged\r\033[2Jb");
    log_info("long", "%s", big);
    log_info("next", "k=1");
    const char *s = captured();
    assert_memory_equal(s, "info e k=a?error forged??[2Jb\ninfo long xxx", 43);
    const char *end = strstr(s, "x...\ninfo next k=1\n");
    assert_non_null(end);
    assert_string_equal(end, "x...\ninfo next k=1\n");
    assert_in_range(strlen(s), 4000, 4300);
}

static void colours(void **state)
{
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    capture(80);
    log_error("e", "k=1");
    assert_string_equal(captured(), "\033[31merror\033[0m e k=1\n");
    setenv("NO_COLOR", "1", 1);
    capture(80);
    log_error("e", "k=1");
    assert_string_equal(captured(), "error e k=1\n");
    setenv("NO_COLOR", "", 1); /* empty means not set */
    capture(80);
    log_warn("e", "k=1");
    assert_string_equal(captured(), "\033[33mwarn\033[0m e k=1\n");
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    capture(80);
    log_error("e", "k=1");
    assert_string_equal(captured(), "error e k=1\n");
    setenv("TERM", "xterm", 1);
    capture(0);
    log_error("e", "k=1");
    assert_string_equal(captured(), "error e k=1\n");
}

static void progress_without_a_terminal(void **state)
{
    log_progress p;
    capture(0);
    log_progress_init(&p, "prepare", "images", 200);
    assert_false(p.terminal);
    for (uint64_t i = 0; i < 50; i++)
        log_progress_step(&p, i, NULL); /* the first minute is silent */
    p.t_start -= 100;
    p.t_last -= 61;
    log_progress_step(&p, 50, "auc=0.7");
    for (uint64_t i = 50; i < 100; i++)
        log_progress_step(&p, i, NULL);
    log_progress_end(&p);
    const char *s = captured();
    assert_string_equal(s, "info progress stage=prepare done=50 total=200 unit=images per_s=0.5 "
                           "left_s=300 spent_s=100 auc=0.7\n"
                           "info progress stage=prepare done=99 total=200 unit=images per_s=0.99 "
                           "left_s=102 spent_s=100\n");
}

static void progress_on_a_terminal(void **state)
{
    log_progress p;
    setenv("TERM", "xterm", 1);
    setenv("NO_COLOR", "1", 1);
    capture(200);
    log_progress_init(&p, "prepare", "images", 200);
    assert_true(p.terminal);
    p.t_start -= 100;
    log_progress_step(&p, 50, "auc=0.7");
    for (uint64_t i = 51; i < 1000; i++)
        log_progress_step(&p, i % 200, NULL); /* within the same second: not drawn */
    log_info("event", "k=1");                 /* wipes the line first */
    p.t_last -= 1;
    log_progress_step(&p, 100, "bad\nnote\033");
    log_progress_step(&p, 200, NULL);
    log_progress_end(&p);
    assert_string_equal(captured(),
                        "\r\033[Kprepare 50/200 images (25.0 %), 0.50/s, 0:05:00 left  auc=0.7"
                        "\r\033[Kinfo event k=1\n"
                        "\r\033[Kprepare 100/200 images (50.0 %), 1.00/s, 0:01:40 left  bad?note?"
                        "\r\033[Kprepare 200/200 images (100.0 %), 2.00/s\n");
    unsetenv("NO_COLOR");
}

static void progress_fits_the_width(void **state)
{
    log_progress p;
    setenv("TERM", "xterm", 1);
    capture(21);
    log_progress_init(&p, "prepare", "images", 0);
    log_progress_step(&p, 12345678901, "note");
    log_progress_end(&p);
    assert_string_equal(captured(), "\r\033[Kprepare 12345678901 \r\033[Kprepare 12345678901 \n");
}

static void quiet_means_no_progress(void **state)
{
    log_progress p;
    log_set_level(LOG_WARN);
    setenv("TERM", "xterm", 1);
    for (int columns = 0; columns <= 80; columns += 80) {
        capture(columns);
        log_progress_init(&p, "prepare", "images", 10);
        p.t_last -= 100;
        log_progress_step(&p, 5, NULL);
        log_progress_end(&p);
        assert_string_equal(captured(), "");
    }
    log_set_level(LOG_INFO);
}

typedef struct talker {
    const char *word;
    log_progress progress;
} talker;

static void talk(void *ctx, int64_t i, int thread)
{
    talker *t = ctx;
    log_info("talk", "i=%lld text=%s", (long long)i, t->word);
    log_progress_step(&t->progress, (uint64_t)i, NULL);
}

/* Many threads: every line comes out whole and once. */
static void threads(void **state)
{
    enum { N = 1000 };
    talker ctx = {.word = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"};
    static bool seen[N];
    log_set_level(LOG_INFO); /* whatever a skipped test left */
    capture(0);
    log_progress_init(&ctx.progress, "x", "y", N);
    pool *p = pool_new(8);
    pool_for(p, N, talk, &ctx);
    pool_free(p);
    char *s = (char *)(uintptr_t)captured();
    int lines = 0;
    for (char *line = s, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        int i = -1;
        char word[64];
        if (sscanf(line, "info talk i=%d text=%63s", &i, word) != 2)
            fail_msg("%s", line);
        assert_string_equal(word, ctx.word);
        assert_in_range(i, 0, N - 1);
        assert_false(seen[i]);
        seen[i] = true;
        lines++;
    }
    assert_int_equal(lines, N);
}

static void closed_stderr_is_no_error(void **state)
{
    int keep = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    log_error("lost", "k=1");
    log_progress p;
    log_progress_init(&p, "a", "b", 1);
    log_progress_end(&p);
    dup2(keep, STDERR_FILENO);
    close(keep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),
        cmocka_unit_test(one_event_is_one_line),
        cmocka_unit_test(colours),
        cmocka_unit_test(progress_without_a_terminal),
        cmocka_unit_test(progress_on_a_terminal),
        cmocka_unit_test(progress_fits_the_width),
        cmocka_unit_test(quiet_means_no_progress),
        cmocka_unit_test(threads),
        cmocka_unit_test(closed_stderr_is_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
