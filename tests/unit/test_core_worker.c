/* core/worker: replies, isolation, limits, concurrency, and that nobody outlives the program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/pool.h"
#include "core/worker.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

#define WALK_SECONDS 15 /* a busy machine may be late to shorten a file */

static int init_count;
static int64_t init_core = -1; /* the filter refuses getrlimit later */

static size_t t_sum(const void *data, size_t len, const void *arg, size_t arg_len, void *reply,
                    size_t cap)
{
    uint64_t r[3] = {len, 0, 0};
    for (size_t i = 0; i < len; i++)
        r[1] += ((const uint8_t *)data)[i];
    for (size_t i = 0; i < arg_len; i++)
        r[2] = r[2] * 31 + ((const uint8_t *)arg)[i];
    memcpy(reply, r, sizeof(r));
    return sizeof(r);
}

static size_t t_crash(const void *data, size_t len, const void *arg, size_t arg_len, void *reply,
                      size_t cap)
{
    raise(*(const int *)arg);
    return 0;
}

static size_t t_loop(const void *data, size_t len, const void *arg, size_t arg_len, void *reply,
                     size_t cap)
{
    volatile size_t i = 0;
    while (i < 2)
        i = !i;
    return i;
}

__attribute__((no_sanitize("undefined"))) static size_t
t_bomb(const void *data, size_t len, const void *arg, size_t arg_len, void *reply, size_t cap)
{
    int kind = *(const int *)arg;
    if (kind == 0) { /* our own allocation */
        for (int i = 0;; i++)
            memset(mem_alloc((size_t)8 << 20), i, 1);
    }
    volatile char *p = malloc((size_t)1 << 40);
    if (kind == 1) {
        *p = 1; /* foreign code that does not look at malloc's answer */
    } else if (!p) {
        abort(); /* what std::bad_alloc ends in */
    }
    return 0;
}

/* What the filter must refuse: each entry is the errno reached (0 = it worked). */
static size_t t_escape(const void *data, size_t len, const void *arg, size_t arg_len, void *reply,
                       size_t cap)
{
    int *r = reply;
    int fd = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
    r[0] = fd < 0 ? errno : 0;
    fd = socket(AF_INET, SOCK_STREAM, 0);
    r[1] = fd < 0 ? errno : 0;
    r[2] = execl("/bin/true", "true", (char *)NULL) < 0 ? errno : 0;
    r[3] = kill(getppid(), 0) < 0 ? errno : 0;
    pid_t pid = fork();
    r[4] = pid < 0 ? errno : 0;
    if (pid == 0)
        _exit(0);
    r[5] = unlink("/nonexistent") < 0 ? errno : 0;
    return 6 * sizeof(int);
}

static size_t t_facts(const void *data, size_t len, const void *arg, size_t arg_len, void *reply,
                      size_t cap)
{
    int64_t open_fds = 0;
    struct stat st;
    for (int fd = 0; fd < 256; fd++)
        open_fds += fstat(fd, &st) == 0;
    int64_t r[5] = {getpid(), init_count, init_core, open_fds, write(2, "patient name\n", 13)};
    memcpy(reply, r, sizeof(r));
    return sizeof(r);
}

static size_t t_too_much(const void *data, size_t len, const void *arg, size_t arg_len, void *reply,
                         size_t cap)
{
    return cap + 1;
}

static size_t t_walk(const void *data, size_t len, const void *arg, size_t arg_len, void *reply,
                     size_t cap)
{
    /* Read the last byte until the test shortens the file, which ends this process. */
    struct timespec now;
    time_t end = 0;
    uint64_t sum = 0;
    do {
        sum += ((const volatile uint8_t *)data)[len - 1];
        clock_gettime(CLOCK_MONOTONIC, &now);
        end = end ? end : now.tv_sec + WALK_SECONDS;
    } while (now.tv_sec < end);
    memcpy(reply, &sum, sizeof(sum));
    return sizeof(sum);
}

/* What a file says is done to the reader of it; its answer holds the reader's pid. */
static size_t t_obey(const void *data, size_t len, const void *arg, size_t arg_len, void *reply,
                     size_t cap)
{
    char word[8] = "";
    memcpy(word, data, len < 7 ? len : 7);
    if (!strcmp(word, "crash"))
        raise(SIGILL);
    if (!strcmp(word, "kill")) /* from outside, as the program sees it */
        raise(SIGKILL);
    if (!strcmp(word, "slow"))
        poll(NULL, 0, 500);
    for (volatile int forever = !strcmp(word, "loop"); forever;)
        ;
    int64_t r[2] = {getpid(), len ? word[0] : 0};
    memcpy(reply, r, sizeof(r));
    return sizeof(r);
}

static void do_init(void)
{
    struct rlimit core;
    if (getrlimit(RLIMIT_CORE, &core) == 0)
        init_core = (int64_t)core.rlim_max;
    init_count++;
}

enum { SUM, CRASH, LOOP, BOMB, ESCAPE, FACTS, TOO_MUCH, WALK, OBEY };
static const worker_task tasks[] = {
    {"sum", t_sum, NULL},           {"crash", t_crash, NULL},   {"loop", t_loop, NULL},
    {"bomb", t_bomb, NULL},         {"escape", t_escape, NULL}, {"facts", t_facts, do_init},
    {"too_much", t_too_much, NULL}, {"walk", t_walk, NULL},     {"obey", t_obey, NULL}};

static const worker_limits normal = {.seconds = 20, .memory = (size_t)256 << 20, .reply_cap = 4096};

static worker_result call(worker *w, int task, const void *data, size_t len, int arg,
                          const void **reply, size_t *reply_len)
{
    return worker_call(w, task, NULL, data, len, &arg, sizeof(arg), reply, reply_len);
}

/* The worker still answers, and rightly. */
static void assert_works(worker *w)
{
    const void *reply;
    size_t n;
    int arg = 7;
    assert_int_equal(worker_call(w, SUM, NULL, "abc", 3, &arg, 1, &reply, &n), WORKER_OK);
    assert_int_equal(n, 24);
    uint64_t r[3];
    memcpy(r, reply, sizeof(r));
    assert_int_equal(r[0], 3);
    assert_int_equal(r[1], 'a' + 'b' + 'c');
    assert_int_equal(r[2], 7);
}

static int fixture(char path[64], size_t size)
{
    snprintf(path, 64, "/tmp/mammovit-worker-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (size_t i = 0; i < size; i += 4096) {
        char page[4096];
        memset(page, (int)(1 + i / 4096 % 250), sizeof(page));
        assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
    }
    return fd;
}

static void test_memory_and_file(void **state)
{
    worker *w = worker_new(&normal);
    const void *reply;
    size_t n;
    assert_works(w);
    char path[64];
    int fd = fixture(path, 40960);
    assert_int_equal(worker_call(w, SUM, path, NULL, 0, NULL, 0, &reply, &n), WORKER_OK);
    uint64_t r[3];
    memcpy(r, reply, sizeof(r));
    assert_int_equal(r[0], 40960);
    assert_int_equal(r[1], 4096 * 55);
    /* An empty file and no data at all. */
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(worker_call(w, SUM, path, NULL, 0, NULL, 0, &reply, &n), WORKER_OK);
    assert_int_equal(((const uint64_t *)reply)[0], 0);
    assert_int_equal(worker_call(w, SUM, NULL, NULL, 0, NULL, 0, &reply, &n), WORKER_OK);
    assert_int_equal(((const uint64_t *)reply)[0], 0);
    close(fd);
    unlink(path);
    worker_free(w);
}

static void test_bad_paths(void **state)
{
    worker *w = worker_new(&normal);
    const void *reply;
    size_t n;
    char path[64], other[80];
    int fd = fixture(path, 4096);
    close(fd);
    snprintf(other, sizeof(other), "%s.link", path);
    assert_int_equal(symlink(path, other), 0);
    assert_int_equal(worker_call(w, SUM, other, NULL, 0, NULL, 0, &reply, &n), WORKER_IO);
    unlink(other);
    assert_int_equal(mkfifo(other, 0600), 0);
    assert_int_equal(worker_call(w, SUM, other, NULL, 0, NULL, 0, &reply, &n), WORKER_IO);
    unlink(other);
    assert_int_equal(worker_call(w, SUM, other, NULL, 0, NULL, 0, &reply, &n), WORKER_IO);
    assert_int_equal(worker_call(w, SUM, "/tmp", NULL, 0, NULL, 0, &reply, &n), WORKER_IO);
    assert_int_equal(worker_call(w, SUM, "/dev/zero", NULL, 0, NULL, 0, &reply, &n), WORKER_IO);
    assert_null(reply);
    unlink(path);
    worker_free(w);
}

static void test_crash(void **state)
{
    worker *w = worker_new(&normal);
    const void *reply;
    size_t n;
    static const int signals[] = {SIGSEGV, SIGABRT, SIGILL, SIGFPE, SIGTRAP};
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        /* Sanitizers may answer SIGSEGV themselves, which is a crash as well. */
        assert_int_equal(call(w, CRASH, "x", 1, signals[i], &reply, &n), WORKER_CRASH);
        assert_null(reply);
        assert_works(w);
    }
    assert_int_equal(call(w, TOO_MUCH, "x", 1, 0, &reply, &n), WORKER_CRASH);
    assert_works(w);
    worker_free(w);
}

static void test_time_limit(void **state)
{
    worker_limits fast = normal;
    fast.seconds = 0.3;
    worker *w = worker_new(&fast);
    const void *reply;
    size_t n;
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    assert_int_equal(call(w, LOOP, "x", 1, 0, &reply, &n), WORKER_LIMIT);
    clock_gettime(CLOCK_MONOTONIC, &b);
    double s = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
    assert_true(s >= 0.3 && s < 60); /* a busy machine is late */
    assert_works(w);
    worker_free(w);
}

static void test_memory_limit(void **state)
{
    if (SANITIZED) {
        print_message("skip: a sanitizer's shadow memory does not fit under RLIMIT_AS\n");
        skip();
    }
    worker *w = worker_new(&normal);
    const void *reply;
    size_t n;
    for (int kind = 0; kind < 3; kind++) {
        assert_int_equal(call(w, BOMB, "x", 1, kind, &reply, &n), WORKER_LIMIT);
        assert_works(w);
    }
    /* A file that is larger than the limit. */
    char path[64];
    int fd = fixture(path, 0);
    assert_int_equal(ftruncate(fd, (off_t)1 << 30), 0);
    assert_int_equal(worker_call(w, SUM, path, NULL, 0, NULL, 0, &reply, &n), WORKER_LIMIT);
    close(fd);
    unlink(path);
    assert_works(w);
    worker_free(w);
}

static void test_shrinking_file(void **state)
{
    worker *w = worker_new(&normal);
    char path[64];
    int fd = fixture(path, 65536);
    assert_works(w); /* the child exists: the file is opened long before it is shortened */
    pid_t pid = fork();
    if (pid == 0) {
        struct timespec t = {0, 300000000};
        nanosleep(&t, NULL);
        _exit(ftruncate(fd, 4096) == 0 ? 0 : 1);
    }
    const void *reply;
    size_t n;
    worker_result r = worker_call(w, WALK, path, NULL, 0, NULL, 0, &reply, &n);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(r, WORKER_IO);
    close(fd);
    unlink(path);
    assert_works(w);
    worker_free(w);
}

static void test_sandbox(void **state)
{
    if (!worker_sandboxed()) {
        print_message("skip: this kernel does not allow seccomp here\n");
        skip();
    }
    worker *w = worker_new(&normal);
    const void *reply;
    size_t n;
    assert_int_equal(call(w, ESCAPE, "x", 1, 0, &reply, &n), WORKER_OK);
    assert_int_equal(n, 6 * sizeof(int));
    for (int i = 0; i < 6; i++)
        assert_int_equal(((const int *)reply)[i], EPERM);
    worker_free(w);
}

static void test_child_facts(void **state)
{
    worker *w = worker_new(&normal);
    const void *reply;
    size_t n;
    int64_t first[5], again[5], fresh[5];
    assert_int_equal(call(w, FACTS, "x", 1, 0, &reply, &n), WORKER_OK);
    memcpy(first, reply, sizeof(first));
    assert_int_equal(call(w, FACTS, "x", 1, 0, &reply, &n), WORKER_OK);
    memcpy(again, reply, sizeof(again));
    assert_int_equal(first[0], again[0]); /* one child serves many requests */
    assert_int_equal(again[1], 1);        /* init ran once */
    assert_int_equal(again[2], 0);        /* no core dumps */
    assert_int_equal(again[3], 4);        /* null three times and the socket */
    assert_int_equal(again[4], 13);       /* its talk goes nowhere, not to our stderr */
    assert_int_not_equal(first[0], getpid());
    assert_int_equal(call(w, CRASH, "x", 1, SIGILL, &reply, &n), WORKER_CRASH);
    assert_int_equal(call(w, FACTS, "x", 1, 0, &reply, &n), WORKER_OK);
    memcpy(fresh, reply, sizeof(fresh));
    assert_int_not_equal(fresh[0], first[0]);
    assert_int_equal(fresh[1], 1);
    /* A worker that dies between two calls costs nothing. */
    assert_int_equal(kill((pid_t)fresh[0], SIGKILL), 0);
    assert_works(w);
    worker_free(w);
    worker_free(NULL);
}

typedef struct crowd {
    worker *w[4];
    int bad[4];
    int crashes[4];
} crowd;

static void crowd_call(void *ctx, int64_t i, int thread)
{
    crowd *c = ctx;
    const void *reply;
    size_t n;
    uint8_t data[100];
    memset(data, (int)(i % 200), sizeof(data));
    bool die = i % 7 == 3;
    worker_result r = call(c->w[thread], die ? CRASH : SUM, data, sizeof(data), SIGILL, &reply, &n);
    c->crashes[thread] += r == WORKER_CRASH;
    if (die)
        c->bad[thread] += r != WORKER_CRASH;
    else
        c->bad[thread] +=
            r != WORKER_OK || ((const uint64_t *)reply)[1] != (uint64_t)(100 * (i % 200));
}

static void test_many_threads(void **state)
{
    crowd c = {0};
    pool *p = pool_new(4);
    for (int i = 0; i < 4; i++)
        c.w[i] = worker_new(&normal);
    pool_for(p, 280, crowd_call, &c);
    int crashes = 0;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(c.bad[i], 0);
        crashes += c.crashes[i];
        worker_free(c.w[i]);
    }
    assert_int_equal(crashes, 40);
    pool_free(p);
}

/* True if the process is gone or a zombie that nobody has collected yet. */
static bool is_gone(int64_t pid)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
    FILE *f = fopen(path, "r");
    if (!f) /* gone, or there is no /proc */
        return kill((pid_t)pid, 0) != 0;
    size_t n = fread(line, 1, sizeof(line) - 1, f);
    fclose(f);
    const char *p = n ? strrchr(line, ')') : NULL;
    return !p || p[2] == 'Z' || p[2] == 'X';
}

static size_t t_family(const void *data, size_t len, const void *arg, size_t arg_len, void *reply,
                       size_t cap)
{
    int64_t r[2] = {getpid(), *(const int64_t *)arg};
    memcpy(reply, r, sizeof(r));
    return sizeof(r);
}
static const worker_task family[] = {{"family", t_family, NULL}, {"loop", t_loop, NULL}};

/* A program of its own that leaves one idle and one endless worker when it dies. */
static void family_main(int out)
{
    err e = {0};
    if (!worker_start(family, 2, &e))
        _exit(1);
    int64_t pids[2] = {0, 0}, arg = 5;
    worker *w[2];
    for (int i = 0; i < 2; i++) {
        const void *reply;
        size_t n;
        w[i] = worker_new(&normal);
        if (worker_call(w[i], 0, NULL, "x", 1, &arg, sizeof(arg), &reply, &n) != WORKER_OK)
            _exit(1);
        memcpy(&pids[i], reply, sizeof(pids[i]));
    }
    if (write(out, pids, sizeof(pids)) != (ssize_t)sizeof(pids))
        _exit(1);
    const void *reply;
    size_t n;
    worker_result r = worker_call(w[1], 1, NULL, "x", 1, NULL, 0, &reply, &n);
    _exit(r == WORKER_LIMIT ? 0 : 1);
}

static void test_nobody_is_left(void **state)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0)
        family_main(ends[1]);
    close(ends[1]);
    int64_t pids[2];
    assert_int_equal(read(ends[0], pids, sizeof(pids)), sizeof(pids));
    close(ends[0]);
    struct timespec t = {0, 200000000};
    nanosleep(&t, NULL);
    assert_false(is_gone(pids[0]));
    assert_false(is_gone(pids[1]));
    assert_int_equal(kill(pid, SIGKILL), 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    for (int i = 0; i < 100 && !(is_gone(pids[0]) && is_gone(pids[1])); i++) {
        t.tv_nsec = 50000000;
        nanosleep(&t, NULL);
    }
    assert_true(is_gone(pids[0]));
    assert_true(is_gone(pids[1]));
}

/* Files with these words in a new folder; "none" is a name without a file. */
static void write_words(char dir[64], const char *const *words, int n, char (*path)[80],
                        const char **paths)
{
    snprintf(dir, 64, "/tmp/mammovit-batch-XXXXXX");
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < n; i++) {
        snprintf(path[i], 80, "%s/%02d", dir, i);
        paths[i] = path[i];
        if (!strcmp(words[i], "none"))
            continue;
        FILE *f = fopen(path[i], "w");
        assert_non_null(f);
        fputs(words[i], f);
        fclose(f);
    }
}

static void remove_words(const char *dir, int n, char (*path)[80])
{
    for (int i = 0; i < n; i++)
        unlink(path[i]);
    assert_int_equal(rmdir(dir), 0);
}

static void expect_answers(const char *const *words, int n, const worker_answer *a)
{
    for (int i = 0; i < n; i++) {
        worker_result want = !strcmp(words[i], "crash")  ? WORKER_CRASH
                             : !strcmp(words[i], "loop") ? WORKER_LIMIT
                             : !strcmp(words[i], "kill") ? WORKER_LIMIT
                             : !strcmp(words[i], "none") ? WORKER_IO
                                                         : WORKER_OK;
        if (a[i].result != want)
            fail_msg("file %d (%s): result %d, wanted %d", i, words[i], a[i].result, want);
        if (want == WORKER_OK) {
            assert_int_equal(a[i].len, 16);
            assert_int_equal(((const int64_t *)a[i].reply)[1], words[i][0]);
        } else {
            assert_null(a[i].reply);
        }
    }
}

/* What kills or holds up a worker costs one file; the answers before and behind it stand. */
static void test_batch(void **state)
{
    static const char *const words[] = {"none", "a", "b", "crash", "c", "crash", "crash", "d",
                                        "loop", "",  "e", "kill",  "f", "none",  "g",     "crash"};
    enum { N = COUNT_OF(words) };
    char dir[64], path[N][80];
    const char *paths[N];
    worker_limits fast = normal;
    fast.seconds = 0.4;
    worker *w = worker_new_batch(&fast);
    worker_answer a[N];
    write_words(dir, words, N, path, paths);
    for (int round = 0; round < 2; round++) {
        worker_batch(w, OBEY, paths, N, a);
        expect_answers(words, N, a);
        /* 'a' and 'b' were read by one child, 'c' by another */
        const int64_t *p1 = a[1].reply, *p2 = a[2].reply, *p4 = a[4].reply;
        assert_int_equal(p1[0], p2[0]);
        assert_int_not_equal(p1[0], p4[0]);
    }
    worker_batch(w, OBEY, paths + 1, 0, a);
    assert_works(w);
    worker_free(w);
    remove_words(dir, N, path);
}

/* The time limit is for one file: many slow ones may take longer together. */
static void test_batch_time(void **state)
{
    static const char *const words[] = {"slow", "slow", "slow", "slow", "slow", "x"};
    enum { N = COUNT_OF(words) };
    char dir[64], path[N][80];
    const char *paths[N];
    worker_limits fast = normal;
    fast.seconds = 1.5;
    worker *w = worker_new_batch(&fast);
    worker_answer a[N];
    write_words(dir, words, N, path, paths);
    worker_batch(w, OBEY, paths, N, a);
    expect_answers(words, N, a);
    assert_int_equal(((const int64_t *)a[0].reply)[0], ((const int64_t *)a[N - 1].reply)[0]);
    worker_free(w);
    remove_words(dir, N, path);
}

/* A child that dies between two batches has answered nothing of the second one: what it wrote for
 * the first must not be taken for it. */
static void test_batch_stale(void **state)
{
    static const char *const first[] = {"a", "b", "c"}, *const second[] = {"x", "crash", "z"};
    char dir1[64], dir2[64], path1[3][80], path2[3][80];
    const char *paths1[3], *paths2[3];
    worker *w = worker_new_batch(&normal);
    worker_answer a[3];
    write_words(dir1, first, 3, path1, paths1);
    write_words(dir2, second, 3, path2, paths2);
    worker_batch(w, OBEY, paths1, 3, a);
    expect_answers(first, 3, a);
    assert_int_equal(kill((pid_t)((const int64_t *)a[0].reply)[0], SIGKILL), 0);
    worker_batch(w, OBEY, paths2, 3, a);
    expect_answers(second, 3, a);
    worker_free(w);
    remove_words(dir1, 3, path1);
    remove_words(dir2, 3, path2);
}

static int start(void **state)
{
    err e = {0};
    return worker_start(tasks, COUNT_OF(tasks), &e) ? 0 : -1;
}

static int stop(void **state)
{
    worker_stop();
    worker_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest first[] = {cmocka_unit_test(test_nobody_is_left)};
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_memory_and_file), cmocka_unit_test(test_bad_paths),
        cmocka_unit_test(test_crash),           cmocka_unit_test(test_time_limit),
        cmocka_unit_test(test_memory_limit),    cmocka_unit_test(test_shrinking_file),
        cmocka_unit_test(test_sandbox),         cmocka_unit_test(test_child_facts),
        cmocka_unit_test(test_many_threads),    cmocka_unit_test(test_batch),
        cmocka_unit_test(test_batch_time),      cmocka_unit_test(test_batch_stale),
    };
    int bad = cmocka_run_group_tests(first, NULL, NULL);
    return bad + cmocka_run_group_tests(all, start, stop);
}
