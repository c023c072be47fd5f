/* Signals that arrive in the midst of a product harm nothing. oneDNN's AVX2 and AVX-512 products
 * lead the stack pointer into the heap while a sum is long (oneDNN issue 4845): a handler that runs
 * there overwrites its neighbours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/pool.h"

enum { M = 64, N = 384, K = 1536, ROUNDS = 400, BLOCK = 320 };

static void product(const float *a, const float *b, float *out)
{
    if (dnnl_sgemm('N', 'T', M, N, K, 1, a, K, b, K, 0, out, N) != dnnl_success)
        _exit(1);
}

static void multiply_under_signals(void)
{
    float *a = MEM_ARRAY(float, M *K), *b = MEM_ARRAY(float, N *K);
    float *want = MEM_ARRAY(float, M *N), *got = MEM_ARRAY(float, M *N);
    omp_set_num_threads(1);
    for (int i = 0; i < M * K; i++)
        a[i] = (float)(i % 7) - 3;
    for (int i = 0; i < N * K; i++)
        b[i] = (float)(i % 5) - 2;
    pool_catch_signals();
    product(a, b, want);
    struct sigevent how = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec often = {{0, 50000}, {0, 50000}};
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &how, &timer) || timer_settime(timer, 0, &often, NULL))
        _exit(2);
    uint8_t *block[ROUNDS]; /* neighbours of the library's own buffers */
    for (int i = 0; i < ROUNDS; i++) {
        block[i] = memset(mem_alloc(BLOCK), i, BLOCK);
        product(a, b, got);
        if (memcmp(got, want, (size_t)M * N * sizeof(float)))
            _exit(3);
    }
    timer_delete(timer);
    for (int i = 0; i < ROUNDS; i++) {
        for (int k = 0; k < BLOCK; k++)
            if (block[i][k] != (uint8_t)i)
                _exit(5);
        mem_free(block[i]);
    }
    mem_free(a);
    mem_free(b);
    mem_free(want);
    mem_free(got);
    _exit(pool_stop_asked() ? 42 : 4);
}

static void signals_leave_the_heap_alone(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0)
        multiply_under_signals();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

int main(void)
{
    const struct CMUnitTest all[] = {cmocka_unit_test(signals_leave_the_heap_alone)};
    return cmocka_run_group_tests(all, NULL, NULL);
}
