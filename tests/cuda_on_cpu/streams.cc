// streams.cc - streams, events, copies, page-locked memory and graphs of the CUDA-on-CPU shim. A
// stream is a queue; what runs when is legal by CUDA's rules and, on request, as unkind as these
// allow (shim_streams.h).
#include <ctime>
#include <deque>
#include <map>
#include <memory> // before the header, whose words for compilers it uses
#include <random>
#include <set>

#include "include/cuda_runtime.h"

struct shim_event {
    uint64_t asked, done; // records, by number
    shim_stream *in;      // of the last record
    struct timespec at;   // when the last record was reached, by the wall clock
};

struct queued {
    enum { WORK, RECORD, WAIT } what;
    shim_node node;
    std::shared_ptr<shim_event> event;
    uint64_t number; // record that is made or waited for
};

typedef std::vector<shim_node> node_list;

struct shim_graph {
    node_list nodes;
    std::set<uint64_t> memory; // allocations that the nodes point to, by number
};

struct shim_graph_exec {
    std::shared_ptr<node_list> nodes; // kept by launches that wait
    std::set<uint64_t> memory;
};

struct shim_stream {
    std::deque<queued> queue;
    shim_graph *capture;
    bool spoilt;
};

struct memory {
    size_t bytes;
    uint64_t number;
    bool page_locked;
};

// Handles outlive the caller's interest in them: an event that was destroyed may be waited for.
static std::map<cudaEvent_t, std::shared_ptr<shim_event>> events;
static std::vector<shim_stream *> streams; // in order of creation
static shim_stream default_stream;
static std::map<uintptr_t, memory> memories;
static uint64_t next_memory = 1;
static shim_delay delay = SHIM_AT_ONCE;
static std::mt19937_64 rng;
static cudaError_t sticky; // of work that ran late
static shim_counts counts;

static cudaError_t refuse(cudaError_t status)
{
    return shim_failed(status, nullptr);
}

// ---- memory ----
static const memory *memory_at(const void *p, size_t bytes)
{
    auto i = memories.upper_bound((uintptr_t)p);
    if (i == memories.begin())
        return nullptr;
    --i;
    size_t at = (uintptr_t)p - i->first;
    return at < i->second.bytes && bytes <= i->second.bytes - at ? &i->second : nullptr;
}

void shim_memory_made(void *p, size_t bytes, bool page_locked)
{
    memories[(uintptr_t)p] = {bytes ? bytes : 1, next_memory++, page_locked};
    counts.allocations++;
}

static void run_everything();

cudaError_t shim_memory_gone(void *p, bool page_locked)
{
    cudaError_t refused = shim_unsafe();
    auto i = memories.find((uintptr_t)p);
    if (refused != cudaSuccess)
        return refused;
    if (i == memories.end() || i->second.page_locked != page_locked)
        return cudaErrorInvalidValue;
    run_everything(); // the device frees when all work that is under way has been done
    memories.erase(i);
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned)
{
    cudaError_t refused = shim_unsafe();
    if (refused != cudaSuccess)
        return refuse(refused);
    *p = malloc(bytes ? bytes : 1);
    if (!*p)
        return refuse(cudaErrorMemoryAllocation);
    memset(*p, 0xff, bytes);
    shim_memory_made(*p, bytes, true);
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *p)
{
    cudaError_t status = p ? shim_memory_gone(p, true) : cudaSuccess;
    if (status != cudaSuccess)
        return refuse(status);
    free(p);
    return cudaSuccess;
}

// ---- running what waits ----
static bool is_blocked(const queued &q)
{
    return q.what == queued::WAIT && q.event->done < q.number;
}

static void run_head(shim_stream *s)
{
    queued q = s->queue.front();
    s->queue.pop_front();
    if (q.what == queued::RECORD) {
        q.event->done = q.number;
        clock_gettime(CLOCK_MONOTONIC, &q.event->at);
    }
    if (q.what != queued::WORK)
        return;
    cudaError_t status = sticky == cudaSuccess ? q.node.run() : sticky;
    if (status != cudaSuccess)
        sticky = status;
}

static void run_one(shim_stream *s);

static void run_until(const std::shared_ptr<shim_event> &e, uint64_t number)
{
    while (e->done < number)
        run_one(e->in);
}

// The next piece of a stream, and before it what it waits for.
static void run_one(shim_stream *s)
{
    const queued &q = s->queue.front();
    if (is_blocked(q)) {
        std::shared_ptr<shim_event> e = q.event;
        run_until(e, q.number);
    }
    run_head(s);
}

static void run_stream(shim_stream *s)
{
    while (!s->queue.empty())
        run_one(s);
}

static void run_everything()
{
    for (shim_stream *s : streams)
        run_stream(s);
}

// After something was queued: which streams go ahead by themselves?
static void go_ahead()
{
    for (bool moved = delay == SHIM_FIRST_LATE; moved;) {
        moved = false;
        for (size_t i = 1; i < streams.size(); i++) {
            while (!streams[i]->queue.empty() && !is_blocked(streams[i]->queue.front())) {
                run_head(streams[i]);
                moved = true;
            }
        }
    }
    for (uint64_t n = delay == SHIM_DRAWN ? rng() % 4 : 0; n; n--) {
        shim_stream *s = streams[rng() % streams.size()];
        if (!s->queue.empty() && !is_blocked(s->queue.front()))
            run_head(s);
    }
}

static cudaError_t late_error()
{
    cudaError_t status = sticky;
    sticky = cudaSuccess;
    return status == cudaSuccess ? status : refuse(status);
}

static cudaError_t enqueue(shim_stream *s, const queued &q)
{
    if (!s) { // the legacy stream waits for all others
        run_everything();
        s = &default_stream;
    }
    s->queue.push_back(q);
    if (delay == SHIM_AT_ONCE || s == &default_stream)
        run_stream(s);
    else
        go_ahead();
    return late_error();
}

// ---- capture ----
bool shim_capturing(cudaStream_t s)
{
    return s && s->capture;
}

cudaError_t shim_unsafe()
{
    cudaError_t status = cudaSuccess;
    for (shim_stream *s : streams) {
        if (s->capture) {
            s->spoilt = true;
            status = cudaErrorStreamCaptureUnsupported;
        }
    }
    return status;
}

static cudaError_t spoil(shim_stream *s)
{
    s->spoilt = true;
    return refuse(cudaErrorStreamCaptureUnsupported);
}

cudaError_t shim_submit(cudaStream_t s, const shim_node &n)
{
    if (!shim_capturing(s)) {
        counts.submitted++;
        return enqueue(s, {queued::WORK, n, nullptr, 0});
    }
    for (uint64_t w : n.words) {
        const memory *m = memory_at((const void *)(uintptr_t)w, 1);
        if (m)
            s->capture->memory.insert(m->number);
    }
    s->capture->nodes.push_back(n);
    return s->spoilt ? refuse(cudaErrorStreamCaptureInvalidated) : cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode)
{
    if (!s || s->capture)
        return refuse(cudaErrorIllegalState);
    s->capture = new shim_graph();
    s->spoilt = false;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g)
{
    *g = nullptr;
    if (!shim_capturing(s))
        return refuse(cudaErrorIllegalState);
    shim_graph *made = s->capture;
    s->capture = nullptr;
    if (s->spoilt) {
        delete made;
        return refuse(cudaErrorStreamCaptureInvalidated);
    }
    *g = made;
    return cudaSuccess;
}

// ---- graphs ----
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t g, unsigned long long)
{
    *exec = new shim_graph_exec{std::make_shared<node_list>(g->nodes), g->memory};
    counts.instantiated++;
    return cudaSuccess;
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t g,
                                cudaGraphExecUpdateResultInfo *info)
{
    bool same = exec->nodes->size() == g->nodes.size();
    for (size_t i = 0; same && i < g->nodes.size(); i++)
        same = (*exec->nodes)[i].kind == g->nodes[i].kind;
    info->result = !same;
    if (!same)
        return refuse(cudaErrorGraphExecUpdateFailure);
    exec->nodes = std::make_shared<node_list>(g->nodes);
    exec->memory = g->memory;
    counts.updated++;
    return cudaSuccess;
}

static bool is_there(uint64_t number)
{
    for (auto &m : memories)
        if (m.second.number == number)
            return true;
    return false;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s)
{
    for (uint64_t number : exec->memory)
        if (!is_there(number))
            return shim_failed(cudaErrorLaunchFailure, "a graph points to memory that was freed");
    if (shim_capturing(s))
        return spoil(s);
    counts.graphs++;
    std::shared_ptr<node_list> nodes = exec->nodes;
    shim_node all = {SHIM_LIBRARY, {}, {}};
    all.run = [nodes] {
        cudaError_t status = cudaSuccess;
        for (size_t i = 0; i < nodes->size() && status == cudaSuccess; i++)
            status = (*nodes)[i].run();
        return status;
    };
    return enqueue(s, {queued::WORK, all, nullptr, 0});
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
    delete g;
    return cudaSuccess;
}

// ---- streams and events ----
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned)
{
    *s = new shim_stream();
    streams.push_back(*s);
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *s)
{
    return cudaStreamCreateWithFlags(s, cudaStreamDefault);
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    if (!s)
        return refuse(cudaErrorInvalidValue);
    run_stream(s);
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i] == s)
            streams.erase(streams.begin() + (ptrdiff_t)i);
    delete s;
    return late_error();
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    if (shim_capturing(s))
        return spoil(s);
    counts.waits++;
    if (s)
        run_stream(s);
    else
        run_everything();
    return late_error();
}

cudaError_t cudaDeviceSynchronize()
{
    cudaError_t refused = shim_unsafe();
    if (refused != cudaSuccess)
        return refuse(refused);
    counts.waits++;
    run_everything();
    return late_error();
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned)
{
    std::shared_ptr<shim_event> made = std::make_shared<shim_event>();
    *e = made.get();
    events[*e] = made;
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *e)
{
    return cudaEventCreateWithFlags(e, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    return events.erase(e) ? cudaSuccess : refuse(cudaErrorInvalidValue);
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    if (shim_capturing(s))
        return spoil(s);
    auto i = events.find(e);
    if (i == events.end())
        return refuse(cudaErrorIllegalState);
    if (e->in != s && e->done < e->asked)
        run_until(i->second, e->asked); // one stream at a time is enough here
    e->in = s;
    return enqueue(s, {queued::RECORD, {}, i->second, ++e->asked});
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    if (!from->asked || !to->asked)
        return refuse(cudaErrorInvalidValue);
    if (from->done < from->asked || to->done < to->asked)
        return refuse(cudaErrorNotReady);
    *ms = (float)(1e3 * (double)(to->at.tv_sec - from->at.tv_sec) +
                  1e-6 * (double)(to->at.tv_nsec - from->at.tv_nsec));
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t e)
{
    cudaError_t refused = shim_unsafe();
    if (refused != cudaSuccess)
        return refuse(refused);
    if (e->done < e->asked)
        run_one(e->in); // time passes
    return e->done < e->asked ? refuse(cudaErrorNotReady) : late_error();
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    cudaError_t refused = shim_unsafe();
    auto i = events.find(e);
    if (refused != cudaSuccess || i == events.end())
        return refuse(refused != cudaSuccess ? refused : cudaErrorIllegalState);
    counts.waits += e->done < e->asked;
    run_until(i->second, e->asked);
    return late_error();
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned)
{
    if (shim_capturing(s))
        return spoil(s);
    auto i = events.find(e);
    if (i == events.end())
        return refuse(cudaErrorIllegalState);
    return e->asked ? enqueue(s, {queued::WAIT, {}, i->second, e->asked}) : cudaSuccess;
}

// ---- copies ----
static uint64_t sum_of(const void *p, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const unsigned char *)p)[i]) * 0x100000001b3u;
    return h;
}

// From memory of the host: read when the copy runs; the host must not have written meanwhile. So
// for pageable memory, too: a driver that reaches it by itself need not stage it.
static std::function<cudaError_t()> late_read(void *d, const void *s, size_t n, bool locked)
{
    uint64_t before = delay == SHIM_AT_ONCE ? 0 : sum_of(s, n);
    bool checked = delay != SHIM_AT_ONCE;
    return [=] {
        if (checked && sum_of(s, n) != before)
            return shim_failed(
                cudaErrorLaunchFailure,
                locked ? "page-locked memory was written while a copy from it was waiting"
                       : "pageable memory was written while a copy from it was waiting");
        memmove(d, s, n);
        return cudaSuccess;
    };
}

static bool is_device(const void *p, size_t n)
{
    const memory *m = memory_at(p, n);
    return m && !m->page_locked;
}

cudaError_t cudaMemcpyAsync(void *d, const void *s, size_t n, cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    bool to = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool from = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (is_device(d, n) != to || is_device(s, n) != from || kind == cudaMemcpyHostToHost)
        return refuse(cudaErrorInvalidValue);
    bool locked = to && from ? true : memory_at(to ? s : d, n) != nullptr;
    shim_node node = {SHIM_COPY, {}, {}};
    shim_words(node.words, d);
    shim_words(node.words, s);
    node.run = [=] {
        memmove(d, s, n);
        return cudaSuccess;
    };
    if (shim_capturing(stream) && (!locked || !to || !from))
        return spoil(stream); // a graph would keep the host's address
    if (to && !from)
        node.run = late_read(d, s, n, locked);
    if (from && !to && locked && delay != SHIM_AT_ONCE)
        memset(d, 0xff, n); // nothing to be read before the copy has run
    cudaError_t status = shim_submit(stream, node);
    if (status == cudaSuccess && from && !to && !locked)
        status = cudaStreamSynchronize(stream);
    return status;
}

cudaError_t cudaMemsetAsync(void *d, int v, size_t n, cudaStream_t stream)
{
    if (!is_device(d, n))
        return refuse(cudaErrorInvalidValue);
    shim_node node = {SHIM_FILL, {}, {}};
    shim_words(node.words, d);
    node.run = [=] {
        memset(d, v, n);
        return cudaSuccess;
    };
    return shim_submit(stream, node);
}

cudaError_t cudaMemcpy(void *d, const void *s, size_t n, cudaMemcpyKind kind)
{
    cudaError_t status = shim_unsafe();
    if (status != cudaSuccess)
        return refuse(status);
    status = cudaMemcpyAsync(d, s, n, kind, nullptr);
    return status == cudaSuccess ? cudaStreamSynchronize(nullptr) : status;
}

cudaError_t cudaMemset(void *d, int v, size_t n)
{
    cudaError_t status = shim_unsafe();
    return status == cudaSuccess ? cudaMemsetAsync(d, v, n, nullptr) : refuse(status);
}

// ---- test controls ----
void shim_streams(shim_delay d, uint64_t seed)
{
    run_everything();
    delay = d;
    rng.seed(seed);
}

shim_counts shim_counted()
{
    return counts;
}

extern "C" void cuda_on_cpu_streams(int d, uint64_t seed)
{
    shim_streams((shim_delay)d, seed);
}

extern "C" void cuda_on_cpu_counts(uint64_t out[6])
{
    const uint64_t all[] = {counts.allocations, counts.waits,        counts.submitted,
                            counts.graphs,      counts.instantiated, counts.updated};
    memcpy(out, all, sizeof all);
}
