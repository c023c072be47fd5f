/* The folder of what was found out about a card: what comes back, what hostile, damaged and foreign
 * files do, several writers at once, the bound. No toolkit and no card is needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/mem.h"
#include "model/cuda/cache.h"
#include "tests/cuda_on_cpu/cases.h"

#define HEAD 56 /* bytes before the key: docs/formats.md */

typedef struct desk {
    char folder[256], note[300];
    int saved; /* the real stderr */
} desk;

static int desk_open(void **state)
{
    desk *d = MEM_NEW(desk);
    const char *top = getenv("TMPDIR");
    snprintf(d->folder, sizeof d->folder, "%s/cache.XXXXXX", top && *top ? top : "/tmp");
    if (!mkdtemp(d->folder))
        return -1;
    snprintf(d->note, sizeof d->note, "%s.log", d->folder);
    fflush(stderr);
    d->saved = dup(2);
    int fd = open(d->note, O_CREAT | O_TRUNC | O_RDWR | O_APPEND, 0600);
    dup2(fd, 2);
    close(fd);
    *state = d;
    return 0;
}

static int desk_close(void **state)
{
    desk *d = *state;
    err e = {0};
    dup2(d->saved, 2);
    close(d->saved);
    unlink(d->note);
    bool ok = fs_remove_tree(d->folder, &e);
    mem_free(d);
    return ok ? 0 : -1;
}

/* How often the word stands in what was said so far. */
static int said(const desk *d, const char *word)
{
    char *s;
    size_t n;
    int count = 0;
    err e = {0};
    fflush(stderr);
    assert_true(fs_read(d->note, 1 << 20, &s, &n, &e));
    for (const char *p = s; (p = strstr(p, word)); p++)
        count++;
    mem_free(s);
    return count;
}

/* The one entry of the folder. */
static bool first_file(void *ctx, const fs_entry *f, err *e)
{
    (void)e;
    snprintf(ctx, 512, "%s", f->path);
    return true;
}

static void entry_path(const desk *d, char out[512])
{
    err e = {0};
    out[0] = 0;
    assert_true(fs_walk(d->folder, first_file, out, &e));
    assert_true(out[0]);
}

static bool add_file(void *ctx, const fs_entry *f, err *e)
{
    uint64_t *n = ctx;
    (void)e;
    n[0]++;
    n[1] += f->size;
    return true;
}

/* [files, bytes] */
static void count_files(const desk *d, uint64_t n[2])
{
    err e = {0};
    n[0] = n[1] = 0;
    assert_true(fs_walk(d->folder, add_file, n, &e));
}

static bool holds(cache *c, const char *key, const char *want)
{
    size_t len = 0;
    char *s = cache_get(c, key, &len);
    bool same = s && len == strlen(want) && !memcmp(s, want, len) && !s[len];
    mem_free(s);
    return same;
}

static void what_is_kept_comes_back(void **state)
{
    desk *d = *state;
    cache *c = cache_open(d->folder, CACHE_LIMIT);
    size_t len = 1;
    assert_null(cache_get(c, "a", &len));
    cache_put(c, "a", "one", 3);
    cache_put(c, "b", "", 0);
    assert_true(holds(c, "a", "one"));
    assert_true(holds(c, "b", ""));
    cache_put(c, "a", "two!", 4);
    cache_close(c);
    c = cache_open(d->folder, CACHE_LIMIT); /* another run */
    assert_true(holds(c, "a", "two!"));
    assert_null(cache_get(c, "A", &len));
    cache_close(c);
    assert_null(cache_get(NULL, "a", &len));
    cache_put(NULL, "a", "x", 1);
    assert_int_equal(said(d, "warn"), 0);
}

static void write_bytes(const char *path, const void *data, size_t n)
{
    err e = {0};
    assert_true(fs_write_private(path, data, n, &e));
}

/* Every cut and every changed byte of an entry: nothing comes back, one warning, and what is put in
 * its place is found again. */
static void hostile_bytes_are_made_again(void **state)
{
    desk *d = *state;
    char path[512], *good;
    size_t n, len;
    err e = {0};
    cache *c = cache_open(d->folder, CACHE_LIMIT);
    cache_put(c, "key", "some data", 9);
    entry_path(d, path);
    assert_true(fs_read(path, 4096, &good, &n, &e));
    assert_int_equal(n, HEAD + 3 + 9);
    char *bad = mem_alloc(n + 1);
    for (size_t cut = 0; cut < n; cut++) {
        write_bytes(path, good, cut);
        assert_null(cache_get(c, "key", &len));
    }
    for (size_t i = 0; i < n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(bad, good, n);
            bad[i] = (char)(bad[i] ^ (1 << bit));
            write_bytes(path, bad, n);
            if (cache_get(c, "key", &len))
                fail_msg("bit %d of byte %zu is not noticed", bit, i);
        }
    }
    memcpy(bad, good, n);
    bad[n] = 0;
    write_bytes(path, bad, n + 1); /* more than it names */
    assert_null(cache_get(c, "key", &len));
    memset(bad + 16, 0xff, 8); /* lengths of 4 GiB */
    write_bytes(path, bad, n);
    assert_null(cache_get(c, "key", &len));
    assert_int_equal(said(d, "cuda_cache_ignored"), 1);
    cache_put(c, "key", "anew", 4);
    assert_true(holds(c, "key", "anew"));
    mem_free(bad);
    mem_free(good);
    cache_close(c);
}

/* An entry of another key under this key's name, a link, a folder, a file that others may write. */
static void foreign_files_are_left_aside(void **state)
{
    desk *d = *state;
    char path[512], other[600];
    size_t len;
    err e = {0};
    cache *c = cache_open(d->folder, CACHE_LIMIT);
    cache_put(c, "key", "data", 4);
    entry_path(d, path);
    snprintf(other, sizeof other, "%s/elsewhere", d->folder);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(symlink(other, path), 0);
    assert_null(cache_get(c, "key", &len));
    unlink(path);
    assert_int_equal(rename(other, path), 0);
    assert_true(holds(c, "key", "data"));
    chmod(path, 0666);
    assert_null(cache_get(c, "key", &len));
    chmod(path, 0600);
    char *bytes;
    size_t n;
    assert_true(fs_read(path, 4096, &bytes, &n, &e));
    unlink(path);
    cache_put(c, "yek", "gone", 4);
    entry_path(d, other);
    write_bytes(other, bytes, n); /* sound, but of "key" */
    assert_null(cache_get(c, "yek", &len));
    unlink(other);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_null(cache_get(c, "key", &len));
    cache_put(c, "key", "data", 4); /* a folder is not replaced */
    assert_int_equal(said(d, "cuda_cache_ignored"), 1);
    assert_int_equal(said(d, "cuda_cache_not_written"), 1);
    mem_free(bytes);
    cache_close(c);
}

enum { WRITERS = 4, ROUNDS = 40, BLOB = 20000 };

/* A writer's data under the shared key: all bytes equal. */
static void one_writer(const char *folder, int id)
{
    cache *c = cache_open(folder, CACHE_LIMIT);
    char *blob = mem_alloc(BLOB);
    size_t len;
    bool fine = true;
    memset(blob, 'a' + id, BLOB);
    for (int i = 0; i < ROUNDS && fine; i++) {
        cache_put(c, "shared", blob, BLOB - (size_t)id);
        char *s = cache_get(c, "shared", &len);
        fine = s && s[0] >= 'a' && s[0] < 'a' + WRITERS && len == BLOB - (size_t)(s[0] - 'a');
        for (size_t k = 0; fine && k < len; k++)
            fine = s[k] == s[0];
        mem_free(s);
    }
    mem_free(blob);
    cache_close(c);
    _exit(fine ? 0 : 1);
}

static void many_writers_leave_one_sound_file(void **state)
{
    desk *d = *state;
    uint64_t n[2];
    for (int i = 0; i < WRITERS; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (!pid)
            one_writer(d->folder, i);
    }
    for (int i = 0; i < WRITERS; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    count_files(d, n);
    assert_int_equal(n[0], 1);
    assert_int_equal(said(d, "warn"), 0);
}

static void set_age(const char *path, time_t seconds)
{
    struct timespec t[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

typedef struct aging {
    time_t next;
} aging;

static bool age_file(void *ctx, const fs_entry *f, err *e)
{
    aging *a = ctx;
    (void)e;
    set_age(f->path, a->next);
    return true;
}

/* Room for three: the one used longest ago goes, and what a killed program left counts too. A file
 * that is not ours stays. */
static void the_folder_is_bounded(void **state)
{
    desk *d = *state;
    char blob[1000] = {0}, path[600], key[8];
    uint64_t n[2], each = HEAD + 2 + sizeof blob, limit = 3 * each + 100;
    aging old = {1000000};
    err e = {0};
    snprintf(path, sizeof path, "%s/0123456789abcdef0123456789abcdef.12.partial", d->folder);
    write_bytes(path, blob, sizeof blob);
    set_age(path, 1000);
    cache *c = cache_open(d->folder, limit);
    snprintf(path, sizeof path, "%s/notes.txt", d->folder);
    write_bytes(path, "keep", 4);
    for (int i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "k%d", i);
        cache_put(c, key, blob, sizeof blob);
        if (i == 0) {
            assert_true(fs_walk(d->folder, age_file, &old, &e));
            set_age(path, 1); /* the oldest of all */
        }
    }
    count_files(d, n);
    assert_int_equal(n[0], 4); /* three entries and the notes: the left-over went first */
    size_t len;
    cache_put(c, "k3", blob, sizeof blob);
    assert_null(cache_get(c, "k0", &len)); /* the oldest */
    for (int i = 1; i < 4; i++) {
        snprintf(key, sizeof key, "k%d", i);
        char *s = cache_get(c, key, &len);
        assert_true(s && len == sizeof blob);
        mem_free(s);
    }
    /* what is used stays: k1 is used now, k2 and k3 are old */
    assert_true(fs_walk(d->folder, age_file, &old, &e));
    char *s = cache_get(c, "k1", &len);
    mem_free(s);
    cache_put(c, "k4", blob, sizeof blob);
    cache_put(c, "k5", blob, sizeof blob);
    s = cache_get(c, "k1", &len);
    assert_non_null(s);
    mem_free(s);
    assert_true(fs_exists(path));
    count_files(d, n);
    assert_true(n[1] <= limit + 4);
    char large[4000] = {0};
    cache_put(c, "large", large, sizeof large); /* more than the bound: nothing is lost */
    count_files(d, n);
    assert_int_equal(n[0], 4);
    cache_close(c);
    assert_int_equal(said(d, "warn"), 0);
}

static void the_usual_folder(void **state)
{
    desk *d = *state;
    char path[600];
    setenv("XDG_CACHE_HOME", d->folder, 1);
    cache *c = cache_open("", CACHE_LIMIT);
    cache_put(c, "a", "b", 1);
    cache_close(c);
    snprintf(path, sizeof path, "%s/mammovit", d->folder);
    assert_true(fs_is_dir(path));
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", d->folder, 1);
    cache_close(cache_open("", CACHE_LIMIT));
    snprintf(path, sizeof path, "%s/.cache/mammovit", d->folder);
    assert_true(fs_is_dir(path));
    assert_int_equal(said(d, "warn"), 0);
    /* no folder can be made there: one warning, and nothing is kept */
    snprintf(path, sizeof path, "%s/file", d->folder);
    write_bytes(path, "x", 1);
    snprintf(path, sizeof path, "%s/file/below", d->folder);
    c = cache_open(path, CACHE_LIMIT);
    cache_put(c, "a", "b", 1);
    size_t len;
    assert_null(cache_get(c, "a", &len));
    cache_close(c);
    assert_int_equal(said(d, "cuda_cache_off"), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, desk_open, desk_close)

int main(int argc, char **argv)
{
    struct CMUnitTest tests[] = {
        TEST(what_is_kept_comes_back),      TEST(hostile_bytes_are_made_again),
        TEST(foreign_files_are_left_aside), TEST(many_writers_leave_one_sound_file),
        TEST(the_folder_is_bounded),        TEST(the_usual_folder),
    };
    (void)argc;
    size_t n = cases_chosen(tests, COUNT_OF(tests), argv + 1);
    return _cmocka_run_group_tests("cuda_cache", tests, n, NULL, NULL);
}
