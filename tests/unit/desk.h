/* Threads, a backend and a tape for training: what a test of ops works on. */
#ifndef TESTS_UNIT_DESK_H
#define TESTS_UNIT_DESK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/tape.h"
#include "tests/device.h"

typedef struct desk {
    pool *pool;
    backend *be;
    run *r;
} desk;

static inline desk desk_new(int threads)
{
    err e = {0};
    desk d = {.pool = pool_new(threads)};
    d.be = backend_new(test_device(), d.pool, &e);
    assert_non_null(d.be);
    d.r = run_new(d.be, RUN_TRAIN);
    return d;
}

static inline void desk_free(desk *d)
{
    run_free(d->r);
    backend_free(d->be);
    pool_free(d->pool);
}
#endif
