/* Threads: the only place that creates them. A pool has a fixed number of workers; the calling
 * thread takes part in pool_for. No spinning. Results never depend on the number of threads: work
 * is cut by the caller, into pieces whose borders come from the problem only. */
#ifndef CORE_POOL_H
#define CORE_POOL_H

#include "core/err.h"

typedef struct pool pool;
/* threads >= 1; 1 means no extra thread. 0 means the number of usable cores. */
pool *pool_new(int threads);
int pool_threads(const pool *p);
void pool_free(pool *p);

/* fn(ctx, i, thread) for i in 0..n-1, each once, in any order; returns when all are done.
 * thread is in 0..pool_threads-1 and stable within a call: for per-thread scratch.
 * Calls may not nest on one pool (BUG). */
typedef void pool_fn(void *ctx, int64_t i, int thread);
void pool_for(pool *p, int64_t n, pool_fn *fn, void *ctx);

/* Ordered pipe: work(ctx, i, item, thread) runs in parallel on the workers for i = 0..n-1, and
 * sink(ctx, i, item, e) runs in the calling thread in strictly increasing i. At most `depth` items
 * exist at once; `item` is one of `depth` slots of item_size zeroed bytes, reused. work reports
 * failure inside the item; sink returning false stops the pipe (running work is waited for).
 * The calling thread does not run work unless the pool has one thread only (work, then sink,
 * inline, in one slot). Slots are zeroed once; what work leaves in one is still there at its next
 * use. */
typedef struct pool_pipe_spec {
    int64_t n;
    int depth; /* 0 = 2 * threads + 2 */
    size_t item_size;
    void (*work)(void *ctx, int64_t i, void *item, int thread);
    bool (*sink)(void *ctx, int64_t i, void *item, err *e);
    void *ctx;
    /* May be NULL; at the end, in the calling thread, once per slot (used or not): free what it
     * holds. */
    void (*drop)(void *ctx, void *item);
} pool_pipe_spec;
MUST_CHECK bool pool_pipe(pool *p, const pool_pipe_spec *s, err *e);

/* One background thread that produces items ahead of the consumer: make(ctx, i, item) for i = 0..
 * n-1 in order; feed_next blocks for the next one and hands the previous slot back. */
typedef struct pool_feed pool_feed;
pool_feed *pool_feed_new(int64_t n, int depth, size_t item_size,
                         void (*make)(void *ctx, int64_t i, void *item), void *ctx);
void *pool_feed_next(pool_feed *f); /* NULL after the last item */
void pool_feed_free(pool_feed *f);  /* stops early if items are left */

/* One background thread that runs jobs in the order in which they were given. */
typedef struct pool_queue pool_queue;
typedef void pool_queue_fn(void *ctx);
pool_queue *pool_queue_new(void);
void pool_queue_add(pool_queue *q, pool_queue_fn *job, void *ctx);
void pool_queue_wait(pool_queue *q); /* until every job so far is done */
void pool_queue_free(pool_queue *q); /* after that */

/* Set by SIGINT, SIGTERM, SIGUSR1 and SIGUSR2 once pool_catch_signals was called: long loops ask
 * and stop at the next safe border with ERR_STOPPED. */
void pool_catch_signals(void);
bool pool_stop_asked(void);
#endif
