/* Files: the order and honesty of the walk, atomic writing under interruption, removal, the lock,
 * hashes against published vectors (FIPS 180-2, RFC 4231, xxHash's own). */
#include "core/fs.h"
#include "core/mem.h"
#include "core/rng.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/mammovit-fs-XXXXXX";
static char path_buf[8][4096];

/* dir/name, from a small ring. */
static const char *in_dir(const char *name)
{
    static int next;
    char *p = path_buf[next++ % 8];
    snprintf(p, sizeof path_buf[0], "%s/%s", dir, name);
    return p;
}

static void put(const char *name, const char *data)
{
    err e = {0};
    if (!fs_write(in_dir(name), data, strlen(data), &e))
        fail_msg("%s", e.msg);
}

static void put_dir(const char *name)
{
    err e = {0};
    if (!fs_mkdirs(in_dir(name), &e))
        fail_msg("%s", e.msg);
}

static int make_dir(void **state)
{
    memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    err e = {0};
    if (fs_remove_tree(dir, &e) && !fs_exists(dir))
        return 0;
    print_error("%s\n", e.msg);
    return -1;
}

/* ---- walk ------------------------------------------------------------------------------------ */

typedef struct seen {
    text list; /* "relative[:bad] " per entry */
    int n, stop_at;
    char last[5000];
    bool sorted;
} seen;

static bool visit(void *ctx, const fs_entry *f, err *e)
{
    seen *s = ctx;
    if (s->n && strcmp(s->last, f->relative) >= 0)
        s->sorted = false;
    snprintf(s->last, sizeof s->last, "%s", f->relative);
    size_t n = strlen(f->path), k = strlen(f->relative);
    assert_true(n >= k);
    assert_string_equal(f->path + n - k, f->relative);
    text_addf(&s->list, "%s%s%s ", f->relative, f->bad ? ":" : "", f->bad ? f->bad : "");
    if (++s->n == s->stop_at)
        return err_set(e, ERR_STOPPED, "enough");
    return true;
}

static void walks(const char *root, const char *want)
{
    seen s = {.sorted = true};
    err e = {0};
    text_init(&s.list);
    if (!fs_walk(root, visit, &s, &e))
        fail_msg("%s", e.msg);
    assert_string_equal(s.list.s, want);
    assert_true(s.sorted);
    text_release(&s.list);
}

static void walk_order_is_of_whole_paths(void **state)
{
    put_dir("a");
    put_dir("a/z");
    put_dir("empty");
    put_dir("B");
    put("a/1", "x");
    put("a/z/2", "x");
    put("a-b", "x");
    put("a0", "x");
    put("a.txt", "x");
    put("B/q", "x");
    put(".hidden", "x");
    const char *want = ".hidden B/q a-b a.txt a/1 a/z/2 a0 ";
    walks(dir, want);
    walks(in_dir(""), want); /* a slash at the end changes nothing */
    walks(in_dir("a/z"), "2 ");
    walks(in_dir("empty"), "");
    walks(in_dir("a/1"), "1 "); /* a file is its own tree */
}

static bool check_facts(void *ctx, const fs_entry *f, err *e)
{
    assert_int_equal(f->size, 5);
    assert_true(f->mtime_ns == 1234567890ll * 1000000000 + 987654321);
    assert_null(f->bad);
    ++*(int *)ctx;
    return true;
}
static void walk_facts(void **state)
{
    put("f", "12345");
    struct timespec t[2] = {{1, 0}, {1234567890, 987654321}};
    assert_int_equal(utimensat(AT_FDCWD, in_dir("f"), t, 0), 0);
    int n = 0;
    err e = {0};
    assert_true(fs_walk(dir, check_facts, &n, &e));
    assert_true(fs_walk(in_dir("f"), check_facts, &n, &e));
    assert_int_equal(n, 2);
}

static void walk_strange_entries(void **state)
{
    put_dir("d");
    put("d/f", "x");
    assert_int_equal(symlink("..", in_dir("d/loop")), 0);
    assert_int_equal(symlink("loop2", in_dir("loop2")), 0);
    assert_int_equal(symlink("/etc/passwd", in_dir("out")), 0);
    assert_int_equal(symlink("nowhere", in_dir("broken")), 0);
    assert_int_equal(mkfifo(in_dir("d/fifo"), 0600), 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s/sock", dir);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    put("caf\xe9\xff", "x"); /* not UTF-8 */
    put("new\nline", "x");
    alarm(20); /* a FIFO that is opened would hang */
    walks(dir, "broken:symbolic link caf\xe9\xff d/f d/fifo:not a regular file "
               "d/loop:symbolic link loop2:symbolic link new\nline out:symbolic link "
               "sock:not a regular file ");
    walks(in_dir("d/fifo"), "fifo:not a regular file ");
    walks(in_dir("d/loop"), "broken:symbolic link caf\xe9\xff d/f d/fifo:not a regular file "
                            "d/loop:symbolic link loop2:symbolic link new\nline "
                            "out:symbolic link sock:not a regular file ");
    alarm(0);
    close(fd);
}

/* Permissions bind only ordinary users: run as one. */
static void walk_unreadable(void **state)
{
    put_dir("closed");
    put("closed/inside", "x");
    put_dir("a");
    put("a/f", "x");
    put("closed-", "x");
    put("secret", "x");
    assert_int_equal(chmod(in_dir("secret"), 0), 0);
    assert_int_equal(chmod(in_dir("closed"), 0), 0);
    assert_int_equal(chmod(dir, 0755), 0);
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(2);
        seen s = {.sorted = true};
        err e = {0};
        text_init(&s.list);
        bool ok = fs_walk(dir, visit, &s, &e) && s.sorted;
        bool same = strcmp(s.list.s, "a/f closed:permission denied closed- "
                                     "secret:permission denied ") == 0;
        if (!ok || !same)
            fprintf(stderr, "got '%s' %s\n", s.list.s, e.msg);
        bool refused = !fs_walk(in_dir("closed"), visit, &s, &e) && e.code == ERR_IO;
        _exit(ok && same && refused ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(chmod(in_dir("closed"), 0700), 0);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 2)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void walk_stops_and_fails(void **state)
{
    put("1", "x");
    put("2", "x");
    put("3", "x");
    seen s = {.stop_at = 2};
    err e = {0};
    text_init(&s.list);
    assert_false(fs_walk(dir, visit, &s, &e));
    assert_int_equal(e.code, ERR_STOPPED);
    assert_string_equal(e.msg, "enough");
    assert_string_equal(s.list.s, "1 2 ");
    text_release(&s.list);
    assert_false(fs_walk(in_dir("absent"), visit, &s, &e));
    assert_int_equal(e.code, ERR_IO);
}

/* A tree deeper than any descriptor limit: no crash, and it says where it stopped. */
static void walk_and_remove_deep(void **state)
{
    int at = open(dir, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 1500; i++) {
        assert_int_equal(mkdirat(at, "deep", 0700), 0);
        int below = openat(at, "deep", O_RDONLY | O_DIRECTORY);
        close(at);
        assert_true(below >= 0);
        at = below;
    }
    close(at);
    seen s = {.sorted = true};
    err e = {0};
    text_init(&s.list);
    assert_true(fs_walk(dir, visit, &s, &e));
    assert_int_equal(s.n, 1);
    assert_non_null(strstr(s.list.s, ":nested too deeply"));
    text_release(&s.list);
    if (!fs_remove_tree(in_dir("deep"), &e))
        fail_msg("%s", e.msg);
    assert_false(fs_exists(in_dir("deep")));
}

static bool count_one(void *ctx, const fs_entry *f, err *e)
{
    seen *s = ctx;
    if (s->n++ && strcmp(s->last, f->relative) >= 0)
        s->sorted = false;
    snprintf(s->last, sizeof s->last, "%s", f->relative);
    return true;
}

/* Random names with bytes around '/': every file once, in byte order of the path. */
static void walk_random_trees(void **state)
{
    for (uint64_t t = 0; t < 20; t++) {
        char top[32];
        snprintf(top, sizeof top, "t%02d", (int)t);
        put_dir(top);
        rng r;
        rng_init(&r, 5, RNG_TEST, t, 0);
        int files = 0;
        for (int i = 0; i < 60; i++) {
            char name[64];
            int n = snprintf(name, sizeof name, "%s", top), depth = 1 + (int)rng_below(&r, 4);
            for (int k = 0; k < depth; k++) {
                name[n++] = '/';
                name[n++] = "-.0a"[rng_below(&r, 4)];
                name[n++] = "+-,0\xff"[rng_below(&r, 5)];
                name[n] = 0;
                if (k + 1 < depth && mkdir(in_dir(name), 0700) != 0 && errno != EEXIST)
                    break;
                if (k + 1 == depth) {
                    int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_EXCL, 0600);
                    files += fd >= 0;
                    if (fd >= 0)
                        close(fd);
                }
            }
        }
        seen s = {.sorted = true};
        err e = {0};
        assert_true(fs_walk(in_dir(top), count_one, &s, &e));
        assert_int_equal(s.n, files);
        assert_true(s.sorted);
        assert_true(files > 10);
    }
}

/* ---- read, write, names ---------------------------------------------------------------------- */

static void reads_and_writes(void **state)
{
    err e = {0};
    char *data = NULL;
    size_t len = 0;
    put("f", "");
    assert_true(fs_read(in_dir("f"), 0, &data, &len, &e));
    assert_int_equal(len, 0);
    assert_string_equal(data, "");
    mem_free(data);
    assert_true(fs_write(in_dir("f"), "a\0b", 3, &e));
    assert_true(fs_read(in_dir("f"), 3, &data, &len, &e));
    assert_int_equal(len, 3);
    assert_memory_equal(data, "a\0b", 4);
    mem_free(data);
    data = NULL;
    assert_false(fs_read(in_dir("f"), 2, &data, &len, &e));
    assert_int_equal(e.code, ERR_RANGE);
    assert_null(data);
    assert_false(fs_read("/dev/zero", 1000000, &data, &len, &e));
    assert_int_equal(e.code, ERR_RANGE);
    if (fs_exists("/proc/self/status")) { /* size 0, yet content; a bare chroot has none */
        assert_true(fs_read("/proc/self/status", 1000000, &data, &len, &e));
        assert_memory_equal(data, "Name:", 5);
        mem_free(data);
    }
    assert_false(fs_read(dir, 100, &data, &len, &e));
    assert_int_equal(e.code, ERR_IO);
    assert_false(fs_read(in_dir("absent"), 100, &data, &len, &e));
    assert_non_null(strstr(e.msg, "No such file"));
    assert_false(fs_write(in_dir("no/such/place"), "x", 1, &e));
    assert_int_equal(e.code, ERR_IO);
    /* a whole megabyte and a bit, through every buffer */
    size_t n = ((size_t)1 << 20) + 13;
    char *big = mem_alloc(n);
    for (size_t i = 0; i < n; i++)
        big[i] = (char)(i * 7 + i / 251);
    assert_true(fs_write(in_dir("big"), big, n, &e));
    assert_true(fs_read(in_dir("big"), n, &data, &len, &e));
    assert_int_equal(len, n);
    assert_memory_equal(data, big, n);
    mem_free(data);
    mem_free(big);
}

/* The owner's files are closed to others from their first byte, whatever the umask. */
static void modes(void **state)
{
    static const struct {
        mode_t umask, open;
    } t[] = {{0, 0666}, {022, 0644}, {077, 0600}};
    mode_t before = umask(0);
    umask(before);
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        struct stat st, own, tmp;
        char *name;
        err e = {0};
        umask(t[i].umask);
        bool ok = fs_write(in_dir("mode"), "x", 1, &e) &&
                  fs_write(in_dir("mode-own"), "x", 1, &e) &&
                  fs_write_private(in_dir("mode-own"), "yz", 2, &e);
        int fd = fs_create_partial(in_dir("mode-tmp"), 0600, &name, &e);
        umask(before);
        assert_true(ok && fd >= 0);
        assert_int_equal(stat(in_dir("mode"), &st), 0);
        assert_int_equal(stat(in_dir("mode-own"), &own), 0);
        assert_int_equal(fstat(fd, &tmp), 0);
        assert_int_equal(st.st_mode & 07777, t[i].open);
        assert_int_equal(own.st_mode & 07777, 0600);
        assert_int_equal(own.st_size, 2);
        assert_int_equal(tmp.st_mode & 07777, 0600);
        close(fd);
        unlink(name);
        mem_free(name);
    }
}

/* What another program is about to write to the same path stays where it is, and nothing of ours is
 * left over. */
static void several_programs_write_one_path(void **state)
{
    err e = {0};
    struct stat st;
    char *theirs, *data;
    size_t len;
    int fd = fs_create_partial(in_dir("among"), 0600, &theirs, &e);
    assert_true(fd >= 0 && fs_write_all(fd, "theirs", 6));
    assert_true(fs_write_among(in_dir("among"), "first", 5, &e));
    assert_true(fs_write_among(in_dir("among"), "second", 6, &e));
    assert_int_equal(stat(in_dir("among"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true(fs_read(in_dir("among"), 100, &data, &len, &e));
    assert_string_equal(data, "second");
    mem_free(data);
    close(fd);
    assert_true(fs_read(theirs, 100, &data, &len, &e));
    assert_string_equal(data, "theirs");
    mem_free(data);
    assert_true(fs_commit(theirs, in_dir("among"), &e));
    mem_free(theirs);
    assert_true(fs_mkdirs(in_dir("among-taken/x"), &e)); /* a folder does not give way */
    assert_false(fs_write_among(in_dir("among-taken"), "x", 1, &e));
    assert_non_null(strstr(e.msg, "cannot rename"));
    DIR *d = opendir(in_dir(""));
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d));)
        assert_true(strncmp(f->d_name, "among", 5) || !strstr(f->d_name, ".partial"));
    closedir(d);
}

/* A trap behind the temporary name is neither followed nor fatal. */
static void temporary_name_is_hostile(void **state)
{
    err e = {0};
    char *data;
    size_t len;
    put("victim", "precious");
    assert_int_equal(symlink("victim", in_dir("f.partial")), 0);
    put("f", "new");
    assert_true(fs_read(in_dir("victim"), 100, &data, &len, &e));
    assert_string_equal(data, "precious");
    mem_free(data);
    assert_int_equal(link(in_dir("victim"), in_dir("g.partial")), 0);
    put("g", "new");
    assert_true(fs_read(in_dir("victim"), 100, &data, &len, &e));
    assert_string_equal(data, "precious");
    mem_free(data);
    put_dir("h.partial");
    assert_false(fs_write(in_dir("h"), "x", 1, &e));
    assert_int_equal(e.code, ERR_IO);
    /* a link at the final name is replaced, not written through */
    assert_int_equal(symlink("victim", in_dir("l")), 0);
    put("l", "new");
    assert_true(fs_read(in_dir("victim"), 100, &data, &len, &e));
    assert_string_equal(data, "precious");
    mem_free(data);
}

/* The disk is full in the middle: the old content stays and no temporary file is left. */
static void full_disk_keeps_the_old(void **state)
{
    err e = {0};
    char *data, *big = mem_calloc(1, 300000);
    size_t len;
    put("f", "old");
    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 100000;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    bool ok = fs_write(in_dir("f"), big, 300000, &e);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_false(ok);
    assert_int_equal(e.code, ERR_IO);
    assert_false(fs_exists(in_dir("f.partial")));
    assert_true(fs_read(in_dir("f"), 100, &data, &len, &e));
    assert_string_equal(data, "old");
    mem_free(data);
    mem_free(big);
    if (access("/dev/full", W_OK) == 0) {
        int fd = open("/dev/full", O_WRONLY);
        assert_false(fs_write_all(fd, "x", 1));
        err_errno(&e, "cannot write");
        assert_non_null(strstr(e.msg, "the disk is full"));
        close(fd);
    }
}

/* A writer that is killed at random moments: a reader only ever sees one of the two contents. */
static void killed_writer_leaves_old_or_new(void **state)
{
    enum { N = 200000 };
    char *a = mem_alloc(N), *b = mem_alloc(N), *data;
    memset(a, 'a', N);
    memset(b, 'b', N);
    err e = {0};
    assert_true(fs_write(in_dir("f"), a, N, &e));
    rng r;
    rng_init(&r, 6, RNG_TEST, 0, 0);
    for (int i = 0; i < 40; i++) {
        pid_t child = fork();
        if (child == 0)
            for (bool flip = i % 2;; flip = !flip)
                if (!fs_write(in_dir("f"), flip ? a : b, N, NULL))
                    _exit(1);
        usleep(200 + rng_below(&r, 8000));
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        size_t len;
        assert_true(fs_read(in_dir("f"), N, &data, &len, &e));
        assert_int_equal(len, N);
        assert_true(memcmp(data, a, N) == 0 || memcmp(data, b, N) == 0);
        mem_free(data);
    }
    assert_true(fs_write(in_dir("f"), b, N, &e)); /* what the kills left behind is no obstacle */
    assert_false(fs_exists(in_dir("f.partial")));
    mem_free(a);
    mem_free(b);
}

static void folders(void **state)
{
    err e = {0};
    assert_true(fs_mkdirs(in_dir("x//y/z/"), &e));
    assert_true(fs_is_dir(in_dir("x/y/z")));
    assert_true(fs_mkdirs(in_dir("x/y/z"), &e));
    assert_true(fs_mkdirs("/", &e));
    put("file", "x");
    assert_false(fs_is_dir(in_dir("file")));
    assert_false(fs_mkdirs(in_dir("file/below"), &e));
    assert_int_equal(e.code, ERR_IO);
    assert_false(fs_mkdirs(in_dir("file"), &e));
    assert_false(fs_mkdirs("", &e));
}

static void names(void **state)
{
    static const char *const joins[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"},           {"a", "/b", "/b"},
        {"/", "b", "/b"},  {"a", "", "a"},     {"a/b", "c/d", "a/b/c/d"}};
    for (size_t i = 0; i < COUNT_OF(joins); i++) {
        char *s = fs_join(joins[i][0], joins[i][1]);
        assert_string_equal(s, joins[i][2]);
        mem_free(s);
    }
    assert_string_equal(fs_base("a/b.c"), "b.c");
    assert_string_equal(fs_base("b.c"), "b.c");
    assert_string_equal(fs_base("/b"), "b");
    assert_string_equal(fs_base("a/b/"), "b/");
    assert_string_equal(fs_base(""), "");
}

static void removal(void **state)
{
    err e = {0};
    put_dir("victim");
    put("victim/keep", "x");
    put_dir("tree/a/b");
    put("tree/a/f", "x");
    assert_int_equal(symlink("../../victim", in_dir("tree/a/link")), 0);
    assert_int_equal(mkfifo(in_dir("tree/fifo"), 0600), 0);
    for (int i = 0; i < 500; i++) {
        char name[64];
        snprintf(name, sizeof name, "tree/a/b/%d", i);
        int fd = open(in_dir(name), O_WRONLY | O_CREAT, 0600);
        close(fd);
    }
    assert_true(fs_remove_tree(in_dir("tree"), &e));
    assert_false(fs_exists(in_dir("tree")));
    assert_true(fs_exists(in_dir("victim/keep")));
    assert_true(fs_remove_tree(in_dir("tree"), &e)); /* missing is fine */
    assert_int_equal(symlink("victim", in_dir("link")), 0);
    assert_true(fs_remove_tree(in_dir("link"), &e));
    assert_true(fs_exists(in_dir("victim/keep")));
    put("single", "x");
    assert_true(fs_remove_tree(in_dir("single"), &e));
    assert_false(fs_exists(in_dir("single")));
    static const char *const never[] = {"/", "//", "", ".", "..", "./", "a/..", "a/.", "../"};
    for (size_t i = 0; i < COUNT_OF(never); i++) {
        err_clear(&e);
        assert_false(fs_remove_tree(never[i], &e));
        assert_memory_equal(e.msg, "refusing to remove", 18);
    }
}

static void lock(void **state)
{
    err e = {0};
    fs_lock *l = fs_lock_take(dir, &e);
    assert_non_null(l);
    char want[64];
    snprintf(want, sizeof want, "is in use by process %ld on ", (long)getpid());
    assert_null(fs_lock_take(dir, &e)); /* not even by the same process */
    assert_int_equal(e.code, ERR_IO);
    assert_non_null(strstr(e.msg, want));
    pid_t child = fork();
    if (child == 0)
        _exit(!fs_lock_take(dir, &e) && strstr(e.msg, want) ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    fs_lock_release(l);
    assert_false(fs_exists(in_dir(".lock")));
    /* a holder that dies gives it back */
    int p[2];
    char c;
    assert_int_equal(pipe(p), 0);
    child = fork();
    if (child == 0) {
        c = fs_lock_take(dir, &e) ? 'y' : 'n';
        if (write(p[1], &c, 1) != 1)
            _exit(1);
        pause();
    }
    assert_int_equal(read(p[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    assert_null(fs_lock_take(dir, &e));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    l = fs_lock_take(dir, &e);
    assert_non_null(l);
    fs_lock_release(l);
    fs_lock_release(NULL);
    assert_null(fs_lock_take(in_dir("absent"), &e));
    close(p[0]);
    close(p[1]);
}

/* Four processes take, check and give back as fast as they can: never two inside at once. */
static void lock_excludes(void **state)
{
    pid_t child[4];
    for (int i = 0; i < 4; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            int won = 0;
            for (int k = 0; k < 100000 && won < 150; k++) {
                fs_lock *l = fs_lock_take(dir, NULL);
                if (!l)
                    continue;
                int fd = open(in_dir("inside"), O_WRONLY | O_CREAT | O_EXCL, 0600);
                if (fd < 0)
                    _exit(1);
                close(fd);
                unlink(in_dir("inside"));
                fs_lock_release(l);
                won++;
            }
            _exit(won ? 0 : 2);
        }
    }
    for (int i = 0; i < 4; i++) {
        int status;
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_int_equal(status, 0);
    }
}

/* ---- hashes ---------------------------------------------------------------------------------- */

static void sha256(void **state)
{
    char out[65], file[65];
    fs_sha256_of("abc", 3, out);
    assert_string_equal(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    fs_sha256_of("", 0, out);
    assert_string_equal(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    char *a = mem_alloc(1000000);
    memset(a, 'a', 1000000);
    fs_sha256 *h = fs_sha256_new();
    for (int i = 0; i < 1000; i++)
        fs_sha256_add(h, a, 1000);
    fs_sha256_end(h, out);
    assert_string_equal(out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    err e = {0};
    assert_true(fs_write(in_dir("f"), a, 1000000, &e));
    assert_true(fs_sha256_file(in_dir("f"), file, &e));
    assert_string_equal(file, out);
    memcpy(file, "untouched", 10);
    assert_false(fs_sha256_file(in_dir("absent"), file, &e));
    assert_false(fs_sha256_file(dir, file, &e));
    assert_string_equal(file, "untouched");
    mem_free(a);
}

static void hmac(void **state)
{
    uint8_t mac[32], key[131];
    char hex[65];
    fs_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac);
    text_hex(mac, 32, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    fs_hmac_sha256(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", 54,
                   mac);
    text_hex(mac, 32, hex);
    assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    fs_hmac_sha256(NULL, 0, "", 0, mac);
    text_hex(mac, 32, hex);
    assert_string_equal(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void xxh128(void **state)
{
    char out[33], other[33];
    fs_xxh128_of("", 0, out);
    assert_string_equal(out, "99aa06d3014798d86001c324468d497f");
    fs_xxh128_of("abc", 3, out);
    assert_string_equal(out, "06b05ab6733a618578af5f94892f3950");
    char long_text[1000], pieces[33];
    for (size_t i = 0; i < sizeof(long_text); i++)
        long_text[i] = (char)(i * i % 251);
    fs_xxh128_of(long_text, sizeof(long_text), other);
    fs_xxh128 *h = fs_xxh128_new();
    for (size_t at = 0, n = 1; at < sizeof(long_text); at += n, n = n * 3 % 97)
        fs_xxh128_add(h, long_text + at, at + n < sizeof(long_text) ? n : sizeof(long_text) - at);
    fs_xxh128_end(h, pieces);
    assert_string_equal(pieces, other);
    fs_xxh128_of("abd", 3, other);
    assert_string_not_equal(out, other);
}

static void random_bytes(void **state)
{
    uint8_t a[1000], b[1000];
    err e = {0};
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    assert_true(fs_random(a, sizeof a, &e));
    assert_true(fs_random(b, sizeof b, &e));
    assert_memory_not_equal(a, b, 32);
    assert_memory_not_equal(a + 968, b + 968, 32); /* filled to the end */
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, drop_dir)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(walk_order_is_of_whole_paths),
        T(walk_facts),
        T(walk_strange_entries),
        T(walk_unreadable),
        T(walk_stops_and_fails),
        T(walk_and_remove_deep),
        T(walk_random_trees),
        T(reads_and_writes),
        T(modes),
        T(several_programs_write_one_path),
        T(temporary_name_is_hostile),
        T(full_disk_keeps_the_old),
        T(killed_writer_leaves_old_or_new),
        T(folders),
        T(names),
        T(removal),
        T(lock),
        T(lock_excludes),
        T(sha256),
        T(hmac),
        T(xxh128),
        T(random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
