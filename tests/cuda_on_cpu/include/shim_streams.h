// shim_streams.h (CUDA-on-CPU) - streams, events, copies, page-locked memory and graphs. Work may
// wait in its stream until something forces it (shim_streams), so that a missing event or a buffer
// that is used again too early shows as other bytes or as an error.
#pragma once
#include <initializer_list>
#include <vector>

typedef struct shim_stream *cudaStream_t;
typedef struct shim_event *cudaEvent_t;
typedef struct shim_graph *cudaGraph_t;
typedef struct shim_graph_exec *cudaGraphExec_t;
enum { cudaStreamDefault = 0, cudaStreamNonBlocking = 1 };
enum { cudaEventDefault = 0, cudaEventDisableTiming = 2 };
enum { cudaHostAllocDefault = 0 };
enum cudaStreamCaptureMode {
    cudaStreamCaptureModeGlobal,
    cudaStreamCaptureModeThreadLocal,
    cudaStreamCaptureModeRelaxed
};
struct cudaGraphExecUpdateResultInfo {
    int result;
};

cudaError_t cudaMemcpyAsync(void *d, const void *s, size_t n, cudaMemcpyKind kind,
                            cudaStream_t stream = nullptr);
cudaError_t cudaMemsetAsync(void *d, int v, size_t n, cudaStream_t stream = nullptr);
cudaError_t cudaMemcpy(void *d, const void *s, size_t n, cudaMemcpyKind kind);
cudaError_t cudaMemset(void *d, int v, size_t n);
cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void *p);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags);
cudaError_t cudaStreamCreate(cudaStream_t *s);
cudaError_t cudaStreamDestroy(cudaStream_t s);
cudaError_t cudaStreamSynchronize(cudaStream_t s);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags);
cudaError_t cudaEventCreate(cudaEvent_t *e);
cudaError_t cudaEventDestroy(cudaEvent_t e);
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s = nullptr);
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to); // by the wall clock
cudaError_t cudaEventQuery(cudaEvent_t e);
cudaError_t cudaEventSynchronize(cudaEvent_t e);
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned flags = 0);
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t g,
                                 unsigned long long flags = 0);
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t g,
                                cudaGraphExecUpdateResultInfo *info);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaGraphDestroy(cudaGraph_t g);

// ---- inside ----
enum shim_kind { SHIM_KERNEL, SHIM_COPY, SHIM_FILL, SHIM_LIBRARY };
// A piece of work; `words` are what may be addresses among its arguments, filled while a stream is
// captured: a graph is refused once memory that they point to is gone.
struct shim_node {
    shim_kind kind;
    std::function<cudaError_t()> run;
    std::vector<uint64_t> words;
};
cudaError_t shim_submit(cudaStream_t s, const shim_node &n);
bool shim_capturing(cudaStream_t s);
template <class T> static inline void shim_words(std::vector<uint64_t> &words, const T &v)
{
    uint64_t w;
    for (size_t at = 0; at + sizeof w <= sizeof v; at += sizeof w) {
        memcpy(&w, (const char *)&v + at, sizeof w);
        words.push_back(w);
    }
}
cudaError_t shim_unsafe(); // a call that a capture on this thread forbids: spoils it
void shim_memory_made(void *p, size_t bytes, bool page_locked);
cudaError_t shim_memory_gone(void *p, bool page_locked);
cudaError_t shim_failed(cudaError_t status, const char *why); // why: for shim_fault, or null

// When work runs: at once; when something waits for it; the first stream late and the others as
// soon as they may; drawn. A change runs all that waits.
enum shim_delay { SHIM_AT_ONCE, SHIM_WHEN_FORCED, SHIM_FIRST_LATE, SHIM_DRAWN };
void shim_streams(shim_delay delay, uint64_t seed);
struct shim_counts {
    uint64_t allocations; // of device and page-locked memory
    uint64_t waits;       // calls that held the host until work had been done
    uint64_t submitted;   // pieces of work that a stream got one by one
    uint64_t graphs;      // launches of graphs
    uint64_t instantiated, updated;
};
shim_counts shim_counted();
