// test_streams.cc - the emulator's own promises about streams: work that is ordered by events gives
// the same bytes under every delay; what is not ordered, read or reused too early, or forbidden
// while a stream is captured, shows.
#include <cmath>
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>

extern "C" {
#include <cmocka.h>
}
#include <cuda_runtime.h>

enum { N = 64, ROUNDS = 6 };

static void ok(cudaError_t status)
{
    if (status != cudaSuccess)
        fail_msg("%s", cudaGetErrorString(status));
}

// The call fails so, and the program has looked at it.
static void refused(cudaError_t status, cudaError_t want)
{
    assert_int_equal(status, want);
    cudaGetLastError();
}

__global__ static void add_kernel(int *x, const int *y, int n)
{
    int i = (int)threadIdx.x;
    if (i < n)
        x[i] = 3 * x[i] + y[i];
}

struct bench {
    cudaStream_t work, copy;
    cudaEvent_t copied, used;
    int *sum, *in, *host, *back; // device, device, page-locked, page-locked
};

static bench bench_new()
{
    bench b = {};
    ok(cudaStreamCreateWithFlags(&b.work, cudaStreamNonBlocking));
    ok(cudaStreamCreateWithFlags(&b.copy, cudaStreamNonBlocking));
    ok(cudaEventCreateWithFlags(&b.copied, cudaEventDisableTiming));
    ok(cudaEventCreateWithFlags(&b.used, cudaEventDisableTiming));
    ok(cudaMalloc(&b.sum, N * sizeof(int)));
    ok(cudaMalloc(&b.in, N * sizeof(int)));
    ok(cudaHostAlloc((void **)&b.host, ROUNDS * N * sizeof(int), cudaHostAllocDefault));
    ok(cudaHostAlloc((void **)&b.back, N * sizeof(int), cudaHostAllocDefault));
    for (int i = 0; i < ROUNDS * N; i++)
        b.host[i] = i;
    return b;
}

static void bench_free(bench *b)
{
    ok(cudaFreeHost(b->back));
    ok(cudaFreeHost(b->host));
    ok(cudaFree(b->in));
    ok(cudaFree(b->sum));
    ok(cudaEventDestroy(b->used));
    ok(cudaEventDestroy(b->copied));
    ok(cudaStreamDestroy(b->copy));
    ok(cudaStreamDestroy(b->work));
}

// A sum over copies that arrive on a stream of their own; the two events are optional.
static bool sums_are_right(bench *b, bool wait_copied, bool wait_used)
{
    int want[N] = {0};
    ok(cudaMemsetAsync(b->sum, 0, N * sizeof(int), b->work));
    for (int r = 0; r < ROUNDS; r++) {
        if (wait_used && r)
            ok(cudaStreamWaitEvent(b->copy, b->used));
        ok(cudaMemcpyAsync(b->in, b->host + r * N, N * sizeof(int), cudaMemcpyHostToDevice,
                           b->copy));
        ok(cudaEventRecord(b->copied, b->copy));
        if (wait_copied)
            ok(cudaStreamWaitEvent(b->work, b->copied));
        ok(launch(add_kernel, 1, N, 0, b->work, b->sum, b->in, (int)N));
        ok(cudaEventRecord(b->used, b->work));
        for (int i = 0; i < N; i++)
            want[i] = 3 * want[i] + b->host[r * N + i];
    }
    ok(cudaMemcpyAsync(b->back, b->sum, N * sizeof(int), cudaMemcpyDeviceToHost, b->work));
    ok(cudaStreamSynchronize(b->work));
    bool right = !memcmp(b->back, want, sizeof want);
    ok(cudaDeviceSynchronize());
    return right;
}

static void events_order_streams(void **)
{
    for (int delay = SHIM_AT_ONCE; delay <= SHIM_DRAWN; delay++) {
        bench b = bench_new();
        for (uint64_t seed = 1; seed <= 5; seed++) {
            shim_streams((shim_delay)delay, seed);
            assert_true(sums_are_right(&b, true, true));
        }
        bench_free(&b);
    }
    shim_streams(SHIM_AT_ONCE, 0);
}

// Each missing event shows under at least one delay; at once none does.
static void missing_events_show(void **)
{
    for (int which = 0; which < 2; which++) {
        int wrong[4] = {0};
        for (int delay = SHIM_AT_ONCE; delay <= SHIM_DRAWN; delay++) {
            bench b = bench_new();
            for (uint64_t seed = 1; seed <= 5; seed++) {
                shim_streams((shim_delay)delay, seed);
                wrong[delay] += !sums_are_right(&b, which != 0, which != 1);
            }
            bench_free(&b);
        }
        print_message("event %d missing: wrong %d, %d, %d, %d of 5\n", which, wrong[0], wrong[1],
                      wrong[2], wrong[3]);
        assert_int_equal(wrong[SHIM_AT_ONCE], 0);
        assert_true(wrong[which ? SHIM_FIRST_LATE : SHIM_WHEN_FORCED] == 5);
        assert_true(wrong[SHIM_DRAWN] > 0);
    }
    shim_streams(SHIM_AT_ONCE, 0);
}

static void early_hands_show(void **)
{
    shim_streams(SHIM_WHEN_FORCED, 0);
    bench b = bench_new();
    size_t bytes = N * sizeof(int);
    /* the result is read before anybody waited */
    ok(cudaMemsetAsync(b.sum, 0, bytes, b.work));
    memset(b.back, 0, bytes);
    ok(cudaMemcpyAsync(b.back, b.sum, bytes, cudaMemcpyDeviceToHost, b.work));
    assert_int_equal(b.back[0], -1);
    ok(cudaStreamSynchronize(b.work));
    assert_int_equal(b.back[0], 0);
    /* the source is written before the copy ran */
    ok(cudaMemcpyAsync(b.in, b.host, bytes, cudaMemcpyHostToDevice, b.copy));
    b.host[3]++;
    refused(cudaStreamSynchronize(b.copy), cudaErrorLaunchFailure);
    assert_string_equal(shim_fault(),
                        "page-locked memory was written while a copy from it was waiting");
    /* so it is with pageable memory */
    int own[N] = {7};
    ok(cudaMemcpyAsync(b.in, own, bytes, cudaMemcpyHostToDevice, b.copy));
    own[0] = 8;
    refused(cudaStreamSynchronize(b.copy), cudaErrorLaunchFailure);
    assert_string_equal(shim_fault(),
                        "pageable memory was written while a copy from it was waiting");
    own[0] = 7;
    ok(cudaMemcpyAsync(b.in, own, bytes, cudaMemcpyHostToDevice, b.copy));
    ok(cudaMemcpyAsync(own + 1, b.in, sizeof(int), cudaMemcpyDeviceToHost, b.copy));
    assert_int_equal(own[1], 7);
    /* a copy names its direction, and stays inside */
    refused(cudaMemcpyAsync(b.in, b.sum, bytes, cudaMemcpyHostToDevice, b.copy),
            cudaErrorInvalidValue);
    refused(cudaMemsetAsync(b.in + 1, 0, bytes, b.copy), cudaErrorInvalidValue);
    bench_free(&b);
    shim_streams(SHIM_AT_ONCE, 0);
}

__global__ static void greedy_kernel(int *x)
{
    SHARED(char, own, [40 << 10]);
    SHARED_DYNAMIC(char, lent);
    own[0] = lent[0] = (char)threadIdx.x;
    x[0] = own[0];
}

// A launch tells of what nobody looked at before it; what a kernel may have counts when it is asked
// for, its own and what is lent together.
static void launches_are_judged(void **)
{
    shim_streams(SHIM_WHEN_FORCED, 0);
    bench b = bench_new();
    ok(cudaMemsetAsync(b.sum, 0, N * sizeof(int), b.work));
    ok(cudaMemsetAsync(b.sum, 0, N * sizeof(int), b.work));
    ok(cudaEventRecord(b.used, b.work));
    assert_int_equal(cudaEventQuery(b.used), cudaErrorNotReady);
    assert_int_equal(launch(add_kernel, 1, N, 0, b.work, b.sum, b.in, (int)N), cudaErrorNotReady);
    ok(launch(add_kernel, 1, N, 0, b.work, b.sum, b.in, (int)N));
    size_t more = (size_t)60 << 10;
    assert_int_equal(launch(greedy_kernel, 1, 1, more, b.work, b.sum), cudaErrorInvalidValue);
    ok(cudaFuncSetAttribute(greedy_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)more));
    ok(launch(greedy_kernel, 1, 1, more, b.work, b.sum));
    ok(cudaFuncSetAttribute(greedy_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 16));
    ok(cudaStreamSynchronize(b.work));
    assert_int_equal(launch(greedy_kernel, 1, 1, 32, b.work, b.sum), cudaErrorInvalidValue);
    assert_int_equal(launch(add_kernel, dim3(0x80000000u), N, 0, b.work, b.sum, b.in, (int)N),
                     cudaErrorInvalidConfiguration);
    assert_int_equal(launch(add_kernel, dim3(1, 65536), N, 0, b.work, b.sum, b.in, (int)N),
                     cudaErrorInvalidConfiguration);
    bench_free(&b);
    shim_streams(SHIM_AT_ONCE, 0);
}

__global__ static void roomy_kernel(int *x)
{
    SHARED(char, own, [40 << 10]);
    SHARED_DYNAMIC(char, lent);
    own[0] = lent[0] = 1;
    x[0] = own[0];
}

static void shared_memory_adds_up(void **)
{
    bench b = bench_new();
    ok(launch(roomy_kernel, 1, 1, 4096, b.work, b.sum));
    assert_int_equal(launch(roomy_kernel, 1, 1, 9 << 10, b.work, b.sum), cudaErrorLaunchFailure);
    assert_non_null(strstr(shim_fault(), "shared memory of the block exceeds 49152 bytes"));
    bench_free(&b);
}

static cudaGraph_t captured(bench *b, int adds)
{
    cudaGraph_t g;
    ok(cudaStreamBeginCapture(b->work, cudaStreamCaptureModeThreadLocal));
    ok(cudaMemsetAsync(b->sum, 0, N * sizeof(int), b->work));
    for (int i = 0; i < adds; i++)
        ok(launch(add_kernel, 1, N, 0, b->work, b->sum, b->in, (int)N));
    ok(cudaStreamEndCapture(b->work, &g));
    return g;
}

static int first_of(bench *b)
{
    ok(cudaMemcpyAsync(b->back, b->sum, sizeof(int), cudaMemcpyDeviceToHost, b->work));
    ok(cudaStreamSynchronize(b->work));
    return b->back[0];
}

static void graphs_run_when_launched(void **)
{
    bench b = bench_new();
    cudaGraphExec_t exec;
    cudaGraphExecUpdateResultInfo info;
    ok(cudaMemcpyAsync(b.in, b.host + N, N * sizeof(int), cudaMemcpyHostToDevice, b.work));
    ok(cudaMemsetAsync(b.sum, 0, N * sizeof(int), b.work));
    cudaGraph_t g = captured(&b, 2);
    assert_int_equal(first_of(&b), 0); /* a capture runs nothing */
    ok(cudaGraphInstantiate(&exec, g));
    ok(cudaGraphDestroy(g));
    ok(cudaGraphLaunch(exec, b.work));
    assert_int_equal(first_of(&b), 4 * N);
    g = captured(&b, 3); /* more nodes: another topology */
    refused(cudaGraphExecUpdate(exec, g, &info), cudaErrorGraphExecUpdateFailure);
    ok(cudaGraphDestroy(g));
    int *old = b.sum;
    ok(cudaMalloc(&b.sum, N * sizeof(int)));
    g = captured(&b, 2); /* the same one elsewhere */
    ok(cudaGraphExecUpdate(exec, g, &info));
    ok(cudaGraphDestroy(g));
    ok(cudaFree(old));
    ok(cudaGraphLaunch(exec, b.work));
    assert_int_equal(first_of(&b), 4 * N);
    old = b.sum;
    ok(cudaMalloc(&b.sum, N * sizeof(int)));
    ok(cudaFree(old));
    refused(cudaGraphLaunch(exec, b.work), cudaErrorLaunchFailure);
    assert_string_equal(shim_fault(), "a graph points to memory that was freed");
    ok(cudaGraphExecDestroy(exec));
    bench_free(&b);
}

static void captures_forbid(void **)
{
    bench b = bench_new();
    for (int what = 0; what < 6; what++) {
        cudaGraph_t g;
        void *p;
        int own[N];
        cudaError_t status = cudaSuccess;
        ok(cudaStreamBeginCapture(b.work, cudaStreamCaptureModeThreadLocal));
        if (what == 0)
            status = cudaMalloc(&p, 16);
        else if (what == 1)
            status = cudaFree(b.in);
        else if (what == 2)
            status = cudaStreamSynchronize(b.work);
        else if (what == 3)
            status = cudaMemcpyAsync(b.in, own, sizeof own, cudaMemcpyHostToDevice, b.work);
        else if (what == 4)
            status = cudaHostAlloc(&p, 16, cudaHostAllocDefault);
        else
            status = cudaDeviceSynchronize();
        assert_int_equal(status, cudaErrorStreamCaptureUnsupported);
        refused(cudaStreamEndCapture(b.work, &g), cudaErrorStreamCaptureInvalidated);
        assert_null(g);
    }
    bench_free(&b);
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_order_streams),  cmocka_unit_test(missing_events_show),
        cmocka_unit_test(early_hands_show),      cmocka_unit_test(launches_are_judged),
        cmocka_unit_test(shared_memory_adds_up), cmocka_unit_test(graphs_run_when_launched),
        cmocka_unit_test(captures_forbid),
    };
    return _cmocka_run_group_tests("streams", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
