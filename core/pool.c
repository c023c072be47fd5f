/* Threads: a fixed pool, parallel for, ordered pipe, background feed, queue of jobs, and the stop
 * flag.
 * A pool of one thread owns no thread at all and runs everything inline; a pool of n > 1 owns n
 * threads: all of them work in a pipe (the caller only sinks), n - 1 of them help the caller in
 * pool_for. Everything waits on condition variables; the loop counter of pool_for is the only
 * atomic, and it decides who runs a piece, never what the piece is. */
#include "core/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/mem.h"

#define POOL_MAX_THREADS 1024
#define POOL_SLOT_ALIGN  64
#define HANDLER_STACK    65536 /* bytes */

typedef struct pool_seat {
    pool *owner;
    int index;
} pool_seat;

/* State of one pool_pipe call; all fields but spec and slots are guarded by pool.lock. */
typedef struct pipe_run {
    const pool_pipe_spec *spec;
    char *slots;
    size_t stride;
    int depth;
    int64_t next; /* first index nobody has claimed */
    int64_t sunk; /* indices handed to the sink and returned */
    bool *ready;  /* per slot: work is done, the sink may take it */
    bool stop;
    pthread_cond_t room, filled;
} pipe_run;

/* State of one pool_for call. */
typedef struct for_run {
    pool_fn *fn;
    void *ctx;
    int64_t n;
    atomic_int_fast64_t next;
} for_run;

struct pool {
    int threads;
    pthread_t *thread; /* `threads` of them; NULL when threads == 1 */
    pool_seat *seat;
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    uint64_t call;     /* number of the current call; threads run each call once */
    int first, active; /* threads with index >= first take part; still running */
    for_run *loop;     /* exactly one of loop and pipe is set during a call */
    pipe_run *pipe;
    bool busy, quit;
};

static void check(int rc, const char *what)
{
    if (rc)
        BUG("pool: %s failed with error %d", what, rc);
}

static void lock(pthread_mutex_t *m)
{
    check(pthread_mutex_lock(m), "lock");
}

static void unlock(pthread_mutex_t *m)
{
    check(pthread_mutex_unlock(m), "unlock");
}

/* Threads take no signals: the main thread's handler runs alone, and no wait is interrupted. */
static void start_thread(pthread_t *t, void *(*fn)(void *), void *arg)
{
    sigset_t all, old;
    sigfillset(&all);
    check(pthread_sigmask(SIG_SETMASK, &all, &old), "sigmask");
    check(pthread_create(t, NULL, fn, arg), "pthread_create");
    check(pthread_sigmask(SIG_SETMASK, &old, NULL), "sigmask");
}

static size_t slot_stride(size_t item_size)
{
    if (item_size > SIZE_MAX / 2)
        BUG("pool: item of %zu bytes", item_size);
    size_t n = item_size ? item_size : 1;
    return (n + POOL_SLOT_ALIGN - 1) / POOL_SLOT_ALIGN * POOL_SLOT_ALIGN;
}

static int usable_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    return 1;
}

/* ---- the pieces each thread runs ------------------------------------------------------------- */

static void run_loop(for_run *r, int thread)
{
    for (;;) {
        int64_t i = atomic_fetch_add_explicit(&r->next, 1, memory_order_relaxed);
        if (i >= r->n)
            return;
        r->fn(r->ctx, i, thread);
    }
}

static void run_pipe(pool *p, pipe_run *r, int thread)
{
    const pool_pipe_spec *s = r->spec;
    lock(&p->lock);
    for (;;) {
        while (!r->stop && r->next < s->n && r->next - r->sunk >= r->depth)
            check(pthread_cond_wait(&r->room, &p->lock), "wait");
        if (r->stop || r->next >= s->n)
            break;
        int64_t i = r->next++;
        size_t slot = (size_t)(i % r->depth);
        unlock(&p->lock);
        s->work(s->ctx, i, r->slots + slot * r->stride, thread);
        lock(&p->lock);
        r->ready[slot] = true;
        if (i == r->sunk)
            check(pthread_cond_signal(&r->filled), "signal");
    }
    unlock(&p->lock);
}

static void *thread_main(void *arg)
{
    pool_seat *seat = arg;
    pool *p = seat->owner;
    uint64_t seen = 0;
    lock(&p->lock);
    for (;;) {
        while (!p->quit && p->call == seen)
            check(pthread_cond_wait(&p->wake, &p->lock), "wait");
        if (p->quit)
            break;
        seen = p->call;
        if (seat->index < p->first)
            continue;
        for_run *loop = p->loop;
        pipe_run *pipe = p->pipe;
        unlock(&p->lock);
        if (loop)
            run_loop(loop, seat->index);
        else
            run_pipe(p, pipe, seat->index);
        lock(&p->lock);
        if (--p->active == 0)
            check(pthread_cond_signal(&p->idle), "signal");
    }
    unlock(&p->lock);
    return NULL;
}

/* Claim the pool; p->lock is held on return when threads are to be woken. */
static void begin(pool *p, const char *what)
{
    lock(&p->lock);
    if (p->busy)
        BUG("%s: the pool is already at work (calls may not nest)", what);
    p->busy = true;
    unlock(&p->lock);
}

static void wake(pool *p, for_run *loop, pipe_run *pipe, int first)
{
    lock(&p->lock);
    p->loop = loop;
    p->pipe = pipe;
    p->first = first;
    p->active = p->threads - first;
    p->call++;
    check(pthread_cond_broadcast(&p->wake), "broadcast");
    unlock(&p->lock);
}

static void end(pool *p)
{
    lock(&p->lock);
    while (p->active > 0)
        check(pthread_cond_wait(&p->idle, &p->lock), "wait");
    p->loop = NULL;
    p->pipe = NULL;
    p->busy = false;
    unlock(&p->lock);
}

/* ---- pool ------------------------------------------------------------------------------------ */

pool *pool_new(int threads)
{
    if (threads < 0 || threads > POOL_MAX_THREADS)
        BUG("pool_new: %d threads, allowed are 0..%d", threads, POOL_MAX_THREADS);
    pool *p = MEM_NEW(pool);
    p->threads = threads ? threads : usable_cores();
    if (p->threads > POOL_MAX_THREADS)
        p->threads = POOL_MAX_THREADS;
    check(pthread_mutex_init(&p->lock, NULL), "mutex");
    check(pthread_cond_init(&p->wake, NULL), "cond");
    check(pthread_cond_init(&p->idle, NULL), "cond");
    if (p->threads == 1)
        return p;
    p->thread = MEM_ARRAY(pthread_t, p->threads);
    p->seat = MEM_ARRAY(pool_seat, p->threads);
    for (int i = 0; i < p->threads; i++) {
        p->seat[i] = (pool_seat){.owner = p, .index = i};
        start_thread(&p->thread[i], thread_main, &p->seat[i]);
    }
    return p;
}

int pool_threads(const pool *p)
{
    return p->threads;
}

void pool_free(pool *p)
{
    if (!p)
        return;
    lock(&p->lock);
    if (p->busy)
        BUG("pool_free: the pool is at work");
    p->quit = true;
    check(pthread_cond_broadcast(&p->wake), "broadcast");
    unlock(&p->lock);
    for (int i = 0; p->thread && i < p->threads; i++)
        check(pthread_join(p->thread[i], NULL), "join");
    pthread_cond_destroy(&p->idle);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    mem_free(p->seat);
    mem_free(p->thread);
    mem_free(p);
}

void pool_for(pool *p, int64_t n, pool_fn *fn, void *ctx)
{
    begin(p, "pool_for");
    for_run r = {.fn = fn, .ctx = ctx, .n = n};
    atomic_init(&r.next, 0);
    if (p->threads > 1 && n > 1)
        wake(p, &r, NULL, 1);
    run_loop(&r, 0);
    end(p);
}

/* ---- ordered pipe ---------------------------------------------------------------------------- */

static bool pipe_inline(const pool_pipe_spec *s, void *item, err *e)
{
    for (int64_t i = 0; i < s->n; i++) {
        s->work(s->ctx, i, item, 0);
        if (!s->sink(s->ctx, i, item, e))
            return false;
    }
    return true;
}

static bool pipe_sink(pool *p, pipe_run *r, err *e)
{
    const pool_pipe_spec *s = r->spec;
    bool ok = true;
    for (int64_t i = 0; i < s->n && ok; i++) {
        size_t slot = (size_t)(i % r->depth);
        lock(&p->lock);
        while (!r->ready[slot])
            check(pthread_cond_wait(&r->filled, &p->lock), "wait");
        r->ready[slot] = false;
        unlock(&p->lock);
        ok = s->sink(s->ctx, i, r->slots + slot * r->stride, e);
        lock(&p->lock);
        r->sunk = i + 1;
        r->stop = !ok;
        if (ok)
            check(pthread_cond_signal(&r->room), "signal");
        else
            check(pthread_cond_broadcast(&r->room), "broadcast");
        unlock(&p->lock);
    }
    /* Threads that wait for room after the last index was claimed see next == n and leave. */
    lock(&p->lock);
    check(pthread_cond_broadcast(&r->room), "broadcast");
    unlock(&p->lock);
    return ok;
}

bool pool_pipe(pool *p, const pool_pipe_spec *s, err *e)
{
    if (s->n < 0 || s->depth < 0)
        BUG("pool_pipe: n %lld, depth %d", (long long)s->n, s->depth);
    begin(p, "pool_pipe");
    pipe_run r = {.spec = s, .stride = slot_stride(s->item_size)};
    r.depth = p->threads == 1 ? 1 : s->depth ? s->depth : 2 * p->threads + 2;
    r.slots = mem_calloc((size_t)r.depth, r.stride);
    bool ok = true;
    if (p->threads == 1) {
        ok = pipe_inline(s, r.slots, e);
    } else if (s->n > 0) {
        r.ready = MEM_ARRAY(bool, r.depth);
        check(pthread_cond_init(&r.room, NULL), "cond");
        check(pthread_cond_init(&r.filled, NULL), "cond");
        wake(p, NULL, &r, 0);
        ok = pipe_sink(p, &r, e);
    }
    end(p);
    if (r.ready) {
        pthread_cond_destroy(&r.filled);
        pthread_cond_destroy(&r.room);
        mem_free(r.ready);
    }
    for (int i = 0; s->drop && i < r.depth; i++)
        s->drop(s->ctx, r.slots + (size_t)i * r.stride);
    mem_free(r.slots);
    return ok;
}

/* ---- background feed ------------------------------------------------------------------------- */

struct pool_feed {
    int64_t n;
    int depth;
    size_t stride;
    char *slots;
    void (*make)(void *ctx, int64_t i, void *item);
    void *ctx;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t room, filled;
    int64_t made, taken, returned; /* made >= taken >= returned; guarded by lock */
    bool stop;
};

static void *feed_main(void *arg)
{
    pool_feed *f = arg;
    for (int64_t i = 0; i < f->n; i++) {
        lock(&f->lock);
        while (!f->stop && i - f->returned >= f->depth)
            check(pthread_cond_wait(&f->room, &f->lock), "wait");
        bool stop = f->stop;
        unlock(&f->lock);
        if (stop)
            break;
        f->make(f->ctx, i, f->slots + (size_t)(i % f->depth) * f->stride);
        lock(&f->lock);
        f->made = i + 1;
        check(pthread_cond_signal(&f->filled), "signal");
        unlock(&f->lock);
    }
    return NULL;
}

pool_feed *pool_feed_new(int64_t n, int depth, size_t item_size,
                         void (*make)(void *ctx, int64_t i, void *item), void *ctx)
{
    if (n < 0 || depth < 0)
        BUG("pool_feed_new: n %lld, depth %d", (long long)n, depth);
    pool_feed *f = MEM_NEW(pool_feed);
    f->n = n;
    f->depth = depth ? depth : 2;
    f->stride = slot_stride(item_size);
    f->slots = mem_calloc((size_t)f->depth, f->stride);
    f->make = make;
    f->ctx = ctx;
    check(pthread_mutex_init(&f->lock, NULL), "mutex");
    check(pthread_cond_init(&f->room, NULL), "cond");
    check(pthread_cond_init(&f->filled, NULL), "cond");
    start_thread(&f->thread, feed_main, f);
    return f;
}

void *pool_feed_next(pool_feed *f)
{
    void *item = NULL;
    lock(&f->lock);
    if (f->returned < f->taken) {
        f->returned = f->taken;
        check(pthread_cond_signal(&f->room), "signal");
    }
    if (f->taken < f->n) {
        while (f->made <= f->taken)
            check(pthread_cond_wait(&f->filled, &f->lock), "wait");
        item = f->slots + (size_t)(f->taken % f->depth) * f->stride;
        f->taken++;
    }
    unlock(&f->lock);
    return item;
}

void pool_feed_free(pool_feed *f)
{
    if (!f)
        return;
    lock(&f->lock);
    f->stop = true;
    check(pthread_cond_signal(&f->room), "signal");
    unlock(&f->lock);
    check(pthread_join(f->thread, NULL), "join");
    pthread_cond_destroy(&f->filled);
    pthread_cond_destroy(&f->room);
    pthread_mutex_destroy(&f->lock);
    mem_free(f->slots);
    mem_free(f);
}

/* ---- queue of jobs --------------------------------------------------------------------------- */

typedef struct queue_entry {
    pool_queue_fn *job;
    void *ctx;
} queue_entry;

struct pool_queue {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more, empty;
    queue_entry *entry; /* a ring; all below is guarded by lock */
    int64_t cap, given, done;
    bool quit;
};

static void *queue_main(void *arg)
{
    pool_queue *q = arg;
    lock(&q->lock);
    for (;;) {
        while (q->done == q->given && !q->quit)
            check(pthread_cond_wait(&q->more, &q->lock), "wait");
        if (q->done == q->given)
            break;
        queue_entry k = q->entry[q->done % q->cap];
        unlock(&q->lock);
        k.job(k.ctx);
        lock(&q->lock);
        q->done++;
        if (q->done == q->given)
            check(pthread_cond_signal(&q->empty), "signal");
    }
    unlock(&q->lock);
    return NULL;
}

pool_queue *pool_queue_new(void)
{
    pool_queue *q = MEM_NEW(pool_queue);
    check(pthread_mutex_init(&q->lock, NULL), "mutex");
    check(pthread_cond_init(&q->more, NULL), "cond");
    check(pthread_cond_init(&q->empty, NULL), "cond");
    start_thread(&q->thread, queue_main, q);
    return q;
}

void pool_queue_add(pool_queue *q, pool_queue_fn *job, void *ctx)
{
    lock(&q->lock);
    if (q->given - q->done == q->cap) {
        int64_t cap = q->cap ? 2 * q->cap : 16;
        queue_entry *entry = MEM_ARRAY(queue_entry, cap);
        for (int64_t i = q->done; i < q->given; i++)
            entry[i % cap] = q->entry[i % q->cap];
        mem_free(q->entry);
        q->entry = entry;
        q->cap = cap;
    }
    q->entry[q->given++ % q->cap] = (queue_entry){job, ctx};
    check(pthread_cond_signal(&q->more), "signal");
    unlock(&q->lock);
}

void pool_queue_wait(pool_queue *q)
{
    lock(&q->lock);
    while (q->done < q->given)
        check(pthread_cond_wait(&q->empty, &q->lock), "wait");
    unlock(&q->lock);
}

void pool_queue_free(pool_queue *q)
{
    if (!q)
        return;
    lock(&q->lock);
    q->quit = true;
    check(pthread_cond_signal(&q->more), "signal");
    unlock(&q->lock);
    check(pthread_join(q->thread, NULL), "join");
    pthread_cond_destroy(&q->empty);
    pthread_cond_destroy(&q->more);
    pthread_mutex_destroy(&q->lock);
    mem_free(q->entry);
    mem_free(q);
}

/* ---- stop flag ------------------------------------------------------------------------------- */

static atomic_int stop_asked;

static void on_signal(int sig)
{
    (void)sig;
    atomic_store(&stop_asked, 1);
}

/* The handler gets a stack of its own: numeric libraries lead the stack pointer of this thread into
 * the heap for a while (oneDNN issue 4845), and a handler on that stack would overwrite the heap.
 */
static void own_stack(void)
{
    static void *stack;
    if (!stack) {
        size_t size = 2 * (size_t)sysconf(_SC_SIGSTKSZ);
        size = size < HANDLER_STACK ? HANDLER_STACK : size;
        stack = mem_alloc(size);
        if (sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = size}, NULL) != 0)
            BUG("pool_catch_signals: no stack for the handler, error %d", errno);
    }
}

void pool_catch_signals(void)
{
    own_stack();
    static const int caught[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < COUNT_OF(caught); i++) {
        struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
        /* A second Ctrl-C ends a program that does not reach a border. */
        if (caught[i] == SIGINT)
            sa.sa_flags |= (int)SA_RESETHAND;
        sigemptyset(&sa.sa_mask);
        if (sigaction(caught[i], &sa, NULL) != 0)
            BUG("pool_catch_signals: signal %d, error %d", caught[i], errno);
    }
}

bool pool_stop_asked(void)
{
    return atomic_load(&stop_asked) != 0;
}
