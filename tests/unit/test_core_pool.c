/* core/pool: every index once, order of the pipe, back-pressure, stopping, feeding, signals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/pool.h"

static void nap_us(long us)
{
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&t, NULL);
}

/* ---- pool_for -------------------------------------------------------------------------------- */

typedef struct counts {
    int threads;
    int hits[1000];        /* each written by one thread only */
    int64_t per_thread[8]; /* scratch of a thread, unguarded on purpose: TSan looks at it */
    atomic_int wrong;
} counts;

static void count(void *ctx, int64_t i, int thread)
{
    counts *c = ctx;
    if (thread < 0 || thread >= c->threads)
        atomic_fetch_add(&c->wrong, 1);
    else
        c->per_thread[thread] += i;
    c->hits[i]++;
}

static void test_for_each_once(void **state)
{
    for (int threads = 1; threads <= 5; threads++) {
        pool *p = pool_new(threads);
        assert_int_equal(pool_threads(p), threads);
        static const int64_t sizes[] = {0, 1, 2, 3, 7, 1000};
        for (int round = 0; round < 20; round++) {
            for (size_t k = 0; k < COUNT_OF(sizes); k++) {
                counts c = {.threads = threads};
                pool_for(p, sizes[k], count, &c);
                int64_t sum = 0;
                for (int t = 0; t < 8; t++)
                    sum += c.per_thread[t];
                assert_int_equal(sum, sizes[k] * (sizes[k] - 1) / 2);
                for (int64_t i = 0; i < 1000; i++)
                    assert_int_equal(c.hits[i], i < sizes[k]);
                assert_int_equal(atomic_load(&c.wrong), 0);
            }
        }
        pool_free(p);
    }
    pool *all = pool_new(0);
    assert_true(pool_threads(all) >= 1);
    pool_free(all);
    pool_free(NULL);
}

typedef struct meeting {
    atomic_int here;
    int want;
    int met[8];
} meeting;

static void meet(void *ctx, int64_t i, int thread)
{
    meeting *m = ctx;
    atomic_fetch_add(&m->here, 1);
    for (int k = 0; k < 10000 && atomic_load(&m->here) < m->want; k++)
        nap_us(1000);
    m->met[i] = atomic_load(&m->here) >= m->want;
}

/* n pieces that wait for each other end only if n threads run them. */
static void test_for_is_parallel(void **state)
{
    pool *p = pool_new(4);
    meeting m = {.want = 4};
    pool_for(p, 4, meet, &m);
    for (int i = 0; i < 4; i++)
        assert_int_equal(m.met[i], 1);
    pool_free(p);
}

typedef struct nest {
    pool *p;
} nest;

static void nothing(void *ctx, int64_t i, int thread)
{
}

static void go_deeper(void *ctx, int64_t i, int thread)
{
    pool_for(((nest *)ctx)->p, 1, nothing, NULL);
}

static void test_nesting_is_a_bug(void **state)
{
    for (int threads = 1; threads <= 2; threads++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (!freopen("/dev/null", "w", stderr))
                _exit(0);
            nest n = {pool_new(threads)};
            pool_for(n.p, 1, go_deeper, &n);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    }
}

/* ---- pool_pipe ------------------------------------------------------------------------------- */

typedef struct item {
    int64_t i;
    uint64_t value;
    char *owned;
    int uses;
} item;

typedef struct flow {
    int64_t next, stop_at;
    uint64_t hash;
    int wrong, depth, dropped;
    atomic_int begun;
    atomic_int alive, most_alive, finished;
    pthread_t caller;
    bool inline_ok; /* work may run in the calling thread */
    atomic_int in_caller;
} flow;

static void flow_work(void *ctx, int64_t i, void *slot, int thread)
{
    flow *f = ctx;
    item *it = slot;
    atomic_fetch_add(&f->begun, 1);
    int alive = atomic_fetch_add(&f->alive, 1) + 1;
    int most = atomic_load(&f->most_alive);
    while (alive > most && !atomic_compare_exchange_weak(&f->most_alive, &most, alive))
        continue;
    if (pthread_equal(pthread_self(), f->caller))
        atomic_fetch_add(&f->in_caller, 1);
    if (i % 5 == 0)
        nap_us(i % 3 * 400);
    if (!it->owned)
        it->owned = mem_strdup("held by the slot");
    it->uses++;
    it->i = i;
    it->value = (uint64_t)i * 2654435761u;
    atomic_fetch_add(&f->finished, 1);
}

static bool flow_sink(void *ctx, int64_t i, void *slot, err *e)
{
    flow *f = ctx;
    item *it = slot;
    f->wrong += it->i != i || i != f->next || !it->owned;
    f->wrong += !pthread_equal(pthread_self(), f->caller);
    f->next = i + 1;
    f->hash = (f->hash ^ it->value) * 1099511628211u;
    if (i % 7 == 0)
        nap_us(300);
    atomic_fetch_sub(&f->alive, 1);
    if (i == f->stop_at)
        return err_set(e, ERR_IO, "sink: stopped at %d", (int)i);
    return true;
}

static void flow_drop(void *ctx, void *slot)
{
    item *it = slot;
    ((flow *)ctx)->dropped++;
    mem_free(it->owned);
    it->owned = NULL;
}

static flow run_flow(pool *p, int64_t n, int depth, int64_t stop_at, bool *ok, err *e)
{
    flow f = {.stop_at = stop_at, .depth = depth, .caller = pthread_self()};
    pool_pipe_spec s = {.n = n,
                        .depth = depth,
                        .item_size = sizeof(item),
                        .work = flow_work,
                        .sink = flow_sink,
                        .ctx = &f,
                        .drop = flow_drop};
    *ok = pool_pipe(p, &s, e);
    assert_int_equal(atomic_load(&f.begun), atomic_load(&f.finished));
    return f;
}

static void test_pipe_is_ordered(void **state)
{
    uint64_t hash = 0;
    for (int threads = 1; threads <= 4; threads++) {
        pool *p = pool_new(threads);
        for (int depth = 0; depth <= 5; depth++) {
            err e = {0};
            bool ok;
            flow f = run_flow(p, 200, depth, -1, &ok, &e);
            assert_true(ok);
            assert_int_equal(e.code, ERR_NONE);
            assert_int_equal(f.next, 200);
            assert_int_equal(f.wrong, 0);
            int slots = threads == 1 ? 1 : depth ? depth : 2 * threads + 2;
            assert_int_equal(f.dropped, slots);
            assert_true(atomic_load(&f.most_alive) <= slots);
            assert_int_equal(atomic_load(&f.in_caller), threads == 1 ? 200 : 0);
            if (hash)
                assert_true(f.hash == hash);
            hash = f.hash;
        }
        pool_free(p);
    }
}

static void test_pipe_stops(void **state)
{
    for (int threads = 1; threads <= 4; threads++) {
        pool *p = pool_new(threads);
        for (int64_t at = 0; at < 60; at += 7) {
            err e = {0};
            bool ok;
            flow f = run_flow(p, 60, 3, at, &ok, &e);
            assert_false(ok);
            assert_int_equal(e.code, ERR_IO);
            assert_int_equal(f.next, at + 1);
            assert_true(atomic_load(&f.begun) <= at + 1 + 3);
            /* The pool is whole afterwards. */
            f = run_flow(p, 5, 0, -1, &ok, &e);
            assert_true(ok);
            assert_int_equal(f.next, 5);
        }
        pool_free(p);
    }
}

static void test_pipe_edges(void **state)
{
    pool *p = pool_new(3);
    for (int64_t n = 0; n < 4; n++) {
        err e = {0};
        bool ok;
        flow f = run_flow(p, n, 1, -1, &ok, &e);
        assert_true(ok);
        assert_int_equal(f.next, n);
        assert_int_equal(f.wrong, 0);
    }
    pool_free(p);
}

/* All threads of the pool work in a pipe, besides the caller. */
typedef struct pair {
    meeting m;
    int ok;
} pair;

static void pair_work(void *ctx, int64_t i, void *slot, int thread)
{
    meet(&((pair *)ctx)->m, i, thread);
}

static bool pair_sink(void *ctx, int64_t i, void *slot, err *e)
{
    ((pair *)ctx)->ok += ((pair *)ctx)->m.met[i];
    return true;
}

static void test_pipe_is_parallel(void **state)
{
    pool *p = pool_new(3);
    pair c = {.m = {.want = 3}};
    pool_pipe_spec s = {.n = 3, .work = pair_work, .sink = pair_sink, .ctx = &c};
    err e = {0};
    assert_true(pool_pipe(p, &s, &e));
    assert_int_equal(c.ok, 3);
    pool_free(p);
}

/* ---- pool_feed ------------------------------------------------------------------------------- */

static void feed_make(void *ctx, int64_t i, void *slot)
{
    *(int64_t *)slot = i * i + 1;
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static void test_feed(void **state)
{
    for (int depth = 0; depth < 5; depth++) {
        atomic_int made = 0;
        pool_feed *f = pool_feed_new(100, depth, sizeof(int64_t), feed_make, &made);
        for (int64_t i = 0; i < 100; i++) {
            int64_t *v = pool_feed_next(f);
            assert_non_null(v);
            if (i % 10 == 0)
                nap_us(500);
            /* Still ours while the thread works ahead. */
            assert_int_equal(*v, i * i + 1);
            assert_true(atomic_load(&made) <= i + (depth ? depth : 2));
        }
        assert_null(pool_feed_next(f));
        assert_null(pool_feed_next(f));
        pool_feed_free(f);
        assert_int_equal(atomic_load(&made), 100);
    }
    atomic_int made = 0;
    pool_feed *f = pool_feed_new(1000000, 3, sizeof(int64_t), feed_make, &made);
    assert_non_null(pool_feed_next(f));
    pool_feed_free(f);
    assert_true(atomic_load(&made) <= 4);
    f = pool_feed_new(0, 3, 8, feed_make, &made);
    assert_null(pool_feed_next(f));
    pool_feed_free(f);
    pool_feed_free(NULL);
}

/* ---- pool_queue ------------------------------------------------------------------------------ */

typedef struct queue_job {
    int number;
    struct queue_case *all;
} queue_job;

typedef struct queue_case {
    int n, seen[100]; /* in the order in which they were done */
    queue_job job[100];
} queue_case;

static void queue_note(void *ctx)
{
    queue_job *k = ctx;
    if (k->number % 30 == 0)
        nap_us(3000); /* the ring grows meanwhile */
    k->all->seen[k->all->n++] = k->number;
}

static void test_queue(void **state)
{
    queue_case c = {0};
    pool_queue *q = pool_queue_new();
    pool_queue_wait(q);
    for (int i = 0; i < 100; i++) {
        c.job[i] = (queue_job){i, &c};
        pool_queue_add(q, queue_note, &c.job[i]);
        if (i % 45 == 44) {
            pool_queue_wait(q);
            assert_int_equal(c.n, i + 1);
        }
    }
    pool_queue_free(q); /* what was given is still done */
    assert_int_equal(c.n, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(c.seen[i], i);
    pool_queue_free(NULL);
}

/* ---- signals --------------------------------------------------------------------------------- */

static void test_signals(void **state)
{
    static const int caught[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < COUNT_OF(caught); i++) {
        pid_t pid = fork();
        if (pid == 0) {
            bool before = pool_stop_asked();
            pool_catch_signals();
            raise(caught[i]);
            _exit(!before && pool_stop_asked() ? 42 : 1);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 42);
    }
    pid_t pid = fork();
    if (pid == 0) {
        pool_catch_signals();
        raise(SIGINT);
        raise(SIGINT); /* the impatient user */
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGINT);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_nesting_is_a_bug),
        cmocka_unit_test(test_for_each_once),
        cmocka_unit_test(test_for_is_parallel),
        cmocka_unit_test(test_pipe_is_ordered),
        cmocka_unit_test(test_pipe_stops),
        cmocka_unit_test(test_pipe_edges),
        cmocka_unit_test(test_pipe_is_parallel),
        cmocka_unit_test(test_feed),
        cmocka_unit_test(test_queue),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
