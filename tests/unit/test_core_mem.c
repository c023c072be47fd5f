/* Allocation: alignment, zeroing, overflow, exhaustion, the arena. */
#include "core/mem.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* AddressSanitizer must hand back NULL as malloc does, so that exhaustion can be tested. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static bool aligned(const void *p)
{
    return (uintptr_t)p % 64 == 0;
}

static void sizes(void **state)
{
    size_t out = 5;
    err e = {0};
    assert_true(mem_size_mul(3, 4, &out, &e));
    assert_int_equal(out, 12);
    assert_true(mem_size_mul(0, SIZE_MAX, &out, &e));
    assert_int_equal(out, 0);
    assert_true(mem_size_mul(SIZE_MAX, 1, &out, &e));
    assert_true(out == SIZE_MAX);
    out = 5;
    assert_false(mem_size_mul(SIZE_MAX / 2 + 1, 2, &out, &e));
    assert_int_equal(e.code, ERR_RANGE);
    assert_int_equal(out, 5);
}

static void alloc_realloc(void **state)
{
    for (size_t n = 0; n < 300; n += 7) {
        char *p = mem_alloc(n);
        assert_non_null(p);
        assert_true(aligned(p));
        memset(p, 0xAB, n);
        char *z = mem_calloc(n, 3);
        assert_true(aligned(z));
        for (size_t i = 0; i < 3 * n; i++)
            assert_int_equal(z[i], 0);
        mem_free(z);
        p = mem_realloc(p, n, 2 * n + 1);
        assert_true(aligned(p));
        for (size_t i = 0; i < n; i++)
            assert_int_equal((unsigned char)p[i], 0xAB);
        p = mem_realloc(p, 2 * n + 1, n / 2);
        for (size_t i = 0; i < n / 2; i++)
            assert_int_equal((unsigned char)p[i], 0xAB);
        mem_free(p);
    }
    mem_free(mem_realloc(NULL, 0, 10));
    mem_free(NULL);
    char *s = mem_strdup("caf\xc3\xa9");
    assert_string_equal(s, "caf\xc3\xa9");
    mem_free(s);
}

/* Run f in a child and return its exit status; its stderr line goes to out. */
static int in_child(void (*f)(void), char *out, size_t cap)
{
    int p[2], status = 0;
    assert_int_equal(pipe(p), 0);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(p[1], STDERR_FILENO);
        f();
        _exit(0);
    }
    close(p[1]);
    size_t n = 0;
    for (ssize_t k; n + 1 < cap && (k = read(p[0], out + n, cap - 1 - n)) > 0;)
        n += (size_t)k;
    out[n] = 0;
    close(p[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static volatile size_t huge = SIZE_MAX / 4;
static void *volatile sink;

static void ask_too_much(void)
{
    sink = mem_alloc(huge);
}
static void overflow_calloc(void)
{
    sink = mem_calloc(huge, 16);
}
static void overflow_round(void)
{
    sink = mem_alloc(huge * 4 + 3);
}
static void arena_too_much(void)
{
    arena *a = arena_new(64);
    sink = arena_alloc(a, huge);
}

static void exhaustion_ends_with_5(void **state)
{
    void (*const cases[])(void) = {ask_too_much, overflow_calloc, overflow_round, arena_too_much};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char out[4096];
        assert_int_equal(in_child(cases[i], out, sizeof out), 5);
        assert_non_null(strstr(out, "out_of_memory"));
    }
}

static void arena_hands_out_disjoint_aligned_pieces(void **state)
{
    enum { N = 400 };
    arena *a = arena_new(1000);
    char *p[N];
    for (int round = 0; round < 3; round++) {
        size_t sum = 0, held = arena_held(a);
        for (int i = 0; i < N; i++) {
            size_t n = (size_t)(i * 37 % 5000);
            p[i] = i % 2 ? arena_alloc(a, n) : arena_calloc(a, n);
            assert_true(aligned(p[i]));
            if (i % 2 == 0)
                for (size_t k = 0; k < n; k++)
                    assert_int_equal(p[i][k], 0);
            memset(p[i], i & 0xFF, n);
            sum += n;
        }
        for (int i = 0; i < N; i++)
            for (size_t k = 0; k < (size_t)(i * 37 % 5000); k++)
                assert_int_equal((unsigned char)p[i][k], i & 0xFF);
        assert_true(arena_used(a) >= sum);
        assert_true(arena_held(a) >= arena_used(a));
        if (round)
            assert_int_equal(arena_held(a), held); /* the same work needs no new block */
        arena_reset(a);
        assert_int_equal(arena_used(a), 0);
    }
    arena_free(a);
    arena_free(NULL);
}

static void arena_block_larger_than_any(void **state)
{
    arena *a = arena_new(0);
    char *small = arena_alloc(a, 10);
    char *big = arena_alloc(a, (size_t)5 << 20);
    memset(big, 1, (size_t)5 << 20);
    memset(small, 2, 10);
    assert_int_equal(big[0], 1);
    arena_reset(a);
    /* the big block serves again although a small one comes first */
    size_t held = arena_held(a);
    big = arena_alloc(a, (size_t)5 << 20);
    memset(big, 3, (size_t)5 << 20);
    assert_int_equal(arena_held(a), held);
    arena_free(a);
}

/* Once a large block was freed, the C library keeps the next ones of that size. */
static void large_blocks_go_back(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    puts("skip: a sanitizer's allocator has no such limit");
    skip();
#endif
    mem_large_apart();
    mem_free(mem_alloc((size_t)24 << 20));
    size_t before = mallinfo2().hblkhd;
    char *large = mem_alloc((size_t)2 << 20);
    assert_true(mallinfo2().hblkhd >= before + ((size_t)2 << 20));
    memset(large, 1, (size_t)2 << 20);
    mem_free(large);
    assert_int_equal(mallinfo2().hblkhd, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(alloc_realloc),
        cmocka_unit_test(exhaustion_ends_with_5),
        cmocka_unit_test(arena_hands_out_disjoint_aligned_pieces),
        cmocka_unit_test(arena_block_larger_than_any),
        cmocka_unit_test(large_blocks_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
