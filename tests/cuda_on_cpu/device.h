/* Both backends side by side, for the tests of this folder. */
#ifndef TESTS_CUDA_ON_CPU_DEVICE_H
#define TESTS_CUDA_ON_CPU_DEVICE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/pool.h"
#include "core/rng.h"
#include "model/cuda/cuda.h"

/* Order of threads and blocks: 0 forwards, 1 backwards, 2 drawn. Absent on a card. */
void cuda_on_cpu_order(int order, uint64_t seed) WEAK;

/* Under a sanitizer (environment SAN) time is short: small shapes, one order of threads, drawn. */
static inline bool device_is_slow(void)
{
    const char *san = getenv("SAN");
    return cuda_on_cpu_order && san && *san;
}

typedef struct device {
    pool *pool;
    backend *cpu, *cuda;
} device;

static inline device device_new(void)
{
    err e = {0};
    device d = {.pool = pool_new(1)};
    d.cpu = backend_new("cpu", d.pool, &e);
    d.cuda = cuda_open(0, d.pool, &e);
    if (!d.cpu || !d.cuda)
        fail_msg("%s", e.msg);
    return d;
}

static inline void device_free(device *d)
{
    backend_free(d->cuda);
    backend_free(d->cpu);
    pool_free(d->pool);
}

/* From now on the device computes so. On a card plans of attention are kept as the program keeps
 * them: compiling one takes half a second, and tests open many devices. */
static inline void device_compute(backend *be, backend_how how)
{
    err e = {0};
    how.cache = cuda_on_cpu_order ? NULL : "";
    if (!backend_compute(be, &how, &e))
        fail_msg("%s", e.msg);
}

/* Largest difference over the largest entry, NaN where one is. */
static inline double device_error(const float *want, const float *got, int64_t n)
{
    double diff = 0, big = 1e-30;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)want[i] - got[i]);
        big = fmax(big, fabs(want[i]));
        diff = isnan(diff) || d <= diff ? diff : d;
    }
    return diff / big;
}
#endif
