/* Isolated child processes for foreign bytes. A crash, an endless loop or a memory bomb in a
 * decoder costs one request, never the run.
 *
 * worker_start() forks a small, single-threaded "nursery" process before any thread exists; the
 * nursery forks the workers on demand, so no process is ever forked from a threaded one. A worker
 * has no core dumps, an address-space limit, and a seccomp filter (reads, writes to its reply,
 * memory, time; no open, no socket, no exec) where the kernel allows it. The file to decode is
 * opened by the parent and passed as a descriptor; the reply lies in shared memory. */
#ifndef CORE_WORKER_H
#define CORE_WORKER_H

#include "core/err.h"

/* Runs in the child. data: the whole file (mapped, borrowed); arg: the request's POD argument.
 * Writes at most reply_cap bytes and returns their number. */
typedef size_t worker_fn(const void *data, size_t len, const void *arg, size_t arg_len, void *reply,
                         size_t reply_cap);
/* What a worker may do, by index; the table is fixed before worker_start. init runs once per child
 * before the filter closes (register codecs, load dictionaries). */
typedef struct worker_task {
    const char *name;
    worker_fn *fn;
    void (*init)(void);
} worker_task;
typedef struct worker_limits {
    double seconds;   /* wall clock per input */
    size_t memory;    /* bytes of address space above the start */
    size_t reply_cap; /* bytes per input */
} worker_limits;
#define WORKER_BATCH 32 /* files in one worker_batch at most */

/* Call once, early, single-threaded. tasks is static. */
MUST_CHECK bool worker_start(const worker_task *tasks, int n_tasks, err *e);
void worker_stop(void);

typedef enum worker_result {
    WORKER_OK,
    WORKER_CRASH, /* the child died: signal */
    WORKER_LIMIT, /* time or memory limit */
    WORKER_IO     /* the file could not be opened or read */
} worker_result;
/* One worker handle belongs to one thread at a time. The child is made at the first call and again
 * after a crash. */
typedef struct worker worker;
worker *worker_new(const worker_limits *limits);
worker *worker_new_batch(const worker_limits *limits); /* for worker_batch as well */
void worker_free(worker *w);
/* Run task on the file at `path` (O_NOFOLLOW, regular files only) or, if path is NULL, on data.
 * *reply points into the shared memory, valid until the next call. The isolation level reached
 * (seccomp or rlimits only) is in worker_sandboxed(). */
worker_result worker_call(worker *w, int task, const char *path, const void *data, size_t len,
                          const void *arg, size_t arg_len, const void **reply, size_t *reply_len);
/* Run task on n files, n <= WORKER_BATCH: one message instead of n. A file that kills the worker or
 * takes too long costs itself only; a new child goes on with those behind it. The replies are valid
 * until the next call. */
typedef struct worker_answer {
    worker_result result;
    const void *reply; /* WORKER_OK: len bytes */
    size_t len;
} worker_answer;
void worker_batch(worker *w, int task, const char *const *paths, int n, worker_answer *out);
bool worker_sandboxed(void);
#endif
