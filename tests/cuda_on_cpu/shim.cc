// shim.cc - scheduler of the CUDA-on-CPU shim. Compile it WITHOUT sanitizers: it finds their
// runtimes by weak symbols, and its own bookkeeping must stay invisible to them. See
// include/cuda_runtime.h for what it promises.
#include "include/cuda_runtime.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <map>
#include <random>
#include <sys/mman.h>
#include <vector>
#ifndef __x86_64__
#define SHIM_UCONTEXT 1
#endif
#ifdef SHIM_UCONTEXT
#include <ucontext.h>
#endif

extern "C" {
#define WEAK __attribute__((weak))
void __asan_poison_memory_region(const volatile void *, size_t) WEAK;
void __asan_unpoison_memory_region(const volatile void *, size_t) WEAK;
void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size) WEAK;
void __sanitizer_finish_switch_fiber(void *save, const void **old_bottom, size_t *old_size) WEAK;
void *__tsan_get_current_fiber() WEAK;
void *__tsan_create_fiber(unsigned flags) WEAK;
void __tsan_destroy_fiber(void *fiber) WEAK;
void __tsan_switch_to_fiber(void *fiber, unsigned flags) WEAK;
void __tsan_acquire(void *) WEAK;
void __tsan_release(void *) WEAK;
}

// ---- context switch ----
#ifdef SHIM_UCONTEXT
typedef ucontext_t context;
static void context_switch(context *from, context *to)
{
    swapcontext(from, to);
}
static void context_make(context *c, char *stack, size_t size, void (*entry)())
{
    getcontext(c);
    c->uc_stack.ss_sp = stack;
    c->uc_stack.ss_size = size;
    c->uc_link = nullptr;
    makecontext(c, entry, 0);
}
#else
typedef void *context; // the stack pointer; the callee-saved registers lie on the stack
extern "C" void shim_context_switch(context *from, context *to);
__asm__(".text\n.type shim_context_switch,@function\nshim_context_switch:\n"
        "push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
        "mov %rsp,(%rdi)\n mov (%rsi),%rsp\n"
        "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n"
        ".size shim_context_switch,.-shim_context_switch\n");
static void context_switch(context *from, context *to)
{
    shim_context_switch(from, to);
}
static void context_make(context *c, char *stack, size_t size, void (*entry)())
{
    void **top = (void **)(stack + size) - 2; // 16-byte aligned; entry sees the ABI's rsp = 16n + 8
    top[0] = (void *)entry;
    top[1] = nullptr;
    *c = top - 6;
    std::fill(top - 6, top, nullptr);
}
#endif

// ---- state ----
enum {
    MAX_THREADS = 1024,
    STACK = 128 << 10,
    GUARD = 4096,
    REDZONE = 128,
    TAGS = 1024,
    SETS = 4,
    MAX_DECLARED = 32
};
enum { SHARED_STATIC_MAX = 48 << 10, SHARED_MAX = 227 << 10, ARENA = 1 << 20 };
enum { POISON = 0xff, CANARY = 0xfb };
enum fiber_state { READY, IN_BARRIER, IN_COLLECTIVE, RETURNED };

struct fiber : shim_thread {
    context ctx;
    char *stack;
    void *asan_save, *tsan;
    fiber_state state;
    shim_site at;
    shim_op op;
    unsigned mask, index, tag;
    int arg, width, predicate, vote_result;
    uint64_t value, result;
};

struct block_shared { // one declaration
    const void *key;
    const char *name;
    char *at;
    size_t bytes;
};

shim_thread *shim_self;
uint3 shim_block_idx;
dim3 shim_block_dim, shim_grid_dim;

size_t shim_memory_free = (size_t)64 << 30;

static std::vector<fiber> fibers(MAX_THREADS);
static unsigned n_threads, n_returned, n_in_barrier, barrier_tag, next_tag;
static unsigned warp_waiting[MAX_THREADS / 32];
static fiber *queue[MAX_THREADS];
static unsigned queue_head, queue_tail; // each fiber is queued at most once
static fiber scheduler;
static char *stacks, *arena;
static size_t arena_used, shared_bytes_used, shared_most;
static char *dynamic_at;
static block_shared declared[MAX_DECLARED];
static unsigned n_declared, set,
    round_of[SETS]; // `set`: stacks, arena and TSan fibers of this block, see prepare_memory
static void *tsan_fibers[SETS][MAX_THREADS]; // made once: making one costs about 0.3 ms
static std::map<const void *, size_t> allowed_shared;
static const std::function<void()> *kernel_body;
static shim_order order = SHIM_FORWARD;
static std::mt19937_64 rng;
static char fault_text[1024];
static bool faulted, in_launch;
static cudaError_t last_error;
static uint64_t switches;
static char hb_tags[TAGS], hb_set[SETS][2], hb_host, hb_launch,
    hb_fence; // addresses that carry happens-before edges for TSan

static void fill(char *p, int byte,
                 size_t n) // not memset: TSan would count the call as a write by the scheduler
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (char)byte;
        __asm__ volatile("" ::: "memory");
    }
}

// ---- fibers ----
static void switch_to(fiber *from, fiber *to)
{
    switches++;
    shim_self = to;
    if (__tsan_switch_to_fiber)
        __tsan_switch_to_fiber(to->tsan, 1); // 1: no happens-before
    if (__sanitizer_start_switch_fiber)
        __sanitizer_start_switch_fiber(from->state == RETURNED ? nullptr : &from->asan_save,
                                       to->stack, STACK);
    context_switch(&from->ctx, &to->ctx);
    if (__sanitizer_finish_switch_fiber)
        __sanitizer_finish_switch_fiber(from->asan_save, nullptr, nullptr);
}

static void yield(fiber *self)
{
    fiber *next =
        queue_head == queue_tail || faulted ? &scheduler : queue[queue_head++ % MAX_THREADS];
    if (next != self)
        switch_to(self, next);
}

static void enqueue(fiber **f, unsigned n) // f is in ascending order
{
    if (order == SHIM_REVERSE)
        std::reverse(f, f + n);
    else if (order == SHIM_RANDOM)
        std::shuffle(f, f + n, rng);
    for (unsigned i = 0; i < n; i++) {
        f[i]->state = READY;
        queue[queue_tail++ % MAX_THREADS] = f[i];
    }
}

static void set_fault(const char *format, ...)
{
    if (faulted)
        return;
    faulted = true;
    int n = snprintf(fault_text, sizeof fault_text, "block (%u,%u,%u): ", shim_block_idx.x,
                     shim_block_idx.y, shim_block_idx.z);
    va_list ap;
    va_start(ap, format);
    vsnprintf(fault_text + n, sizeof fault_text - (size_t)n, format, ap);
    va_end(ap);
}

static void die(fiber *self) // leaves a faulted launch; the stack is dropped
{
    for (;;)
        yield(self);
}

static void fiber_entry()
{
    fiber *self = static_cast<fiber *>(shim_self);
    if (__sanitizer_finish_switch_fiber)
        __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
    if (__tsan_acquire) {
        __tsan_acquire(&hb_host);
        __tsan_acquire(&hb_set[set][~round_of[set] & 1]);
    }
    (*kernel_body)();
    if (__tsan_release) {
        __tsan_release(&hb_set[set][round_of[set] & 1]);
        __tsan_release(&hb_launch);
    }
    self->state = RETURNED;
    n_returned++;
    yield(self);
    abort();
}

// ---- barriers and collectives ----
static const char *base(const char *path)
{
    const char *s = strrchr(path, '/');
    return s ? s + 1 : path;
}

int shim_barrier(shim_vote vote, int predicate, shim_site at)
{
    fiber *self = static_cast<fiber *>(shim_self);
    if (n_in_barrier == 0)
        barrier_tag = next_tag++ % TAGS;
    self->at = at;
    self->predicate = predicate != 0;
    self->state = IN_BARRIER;
    unsigned tag = barrier_tag;
    if (__tsan_release)
        __tsan_release(&hb_tags[tag]);
    if (++n_in_barrier == n_threads) {
        fiber *all[MAX_THREADS];
        unsigned count = 0;
        for (unsigned i = 0; i < n_threads; i++) {
            all[i] = &fibers[i];
            count += (unsigned)fibers[i].predicate;
            if (fibers[i].at.line != at.line || strcmp(fibers[i].at.file, at.file)) {
                set_fault("thread %u is at __syncthreads %s:%d while thread %u is at %s:%d", i,
                          base(fibers[i].at.file), fibers[i].at.line, self->index, base(at.file),
                          at.line);
                die(self);
            }
        }
        for (unsigned i = 0; i < n_threads; i++)
            fibers[i].vote_result = vote == SHIM_VOTE_AND  ? count == n_threads
                                    : vote == SHIM_VOTE_OR ? count > 0
                                                           : (int)count;
        n_in_barrier = 0;
        enqueue(all, n_threads);
    }
    yield(self);
    if (__tsan_acquire)
        __tsan_acquire(&hb_tags[tag]);
    return self->vote_result;
}

static uint64_t combine(shim_op op, uint64_t a, uint64_t b)
{
    uint32_t x = (uint32_t)a, y = (uint32_t)b;
    switch (op) {
    case SHIM_ADD:
        return x + y;
    case SHIM_MIN:
        return std::min(x, y);
    case SHIM_MAX:
        return std::max(x, y);
    case SHIM_OR:
        return x | y;
    case SHIM_AND:
        return x & y;
    case SHIM_XOR:
        return x ^ y;
    default:
        return 0;
    }
}

static int shuffle_source(const fiber &f)
{
    int lane = (int)f.lane, first = lane & ~(f.width - 1), src = lane;
    switch (f.op) {
    case SHIM_SHFL:
        return first + (f.arg & (f.width - 1));
    case SHIM_SHFL_UP:
        src = lane - f.arg;
        return src < first ? lane : src;
    case SHIM_SHFL_DOWN:
        src = lane + f.arg;
        return src >= first + f.width ? lane : src;
    case SHIM_SHFL_XOR:
        src = lane ^ f.arg;
        return src >= first + f.width ? lane : src;
    default:
        return lane;
    }
}

// All lanes of `mask` have arrived: gives each its result.
static void resolve(fiber *self, fiber *warp, unsigned mask)
{
    uint64_t ballot = 0, reduced = 0;
    bool first = true;
    for (unsigned l = 0; l < 32; l++) {
        if (!(mask >> l & 1))
            continue;
        fiber &f = warp[l];
        if (f.op != self->op || f.mask != mask || f.at.line != self->at.line ||
            strcmp(f.at.file, self->at.file)) {
            set_fault("warp collective at %s:%d, mask %08x: lane %u is in another one at %s:%d, "
                      "mask %08x",
                      base(self->at.file), self->at.line, mask, l, base(f.at.file), f.at.line,
                      f.mask);
            die(self);
        }
        ballot |= (f.value & 1) << l;
        reduced = first ? f.value : combine(f.op, reduced, f.value);
        first = false;
    }
    for (unsigned l = 0; l < 32; l++) {
        if (!(mask >> l & 1))
            continue;
        fiber &f = warp[l];
        if (f.op >= SHIM_SHFL && f.op <= SHIM_SHFL_XOR) {
            int src = shuffle_source(f);
            if (!(mask >> src & 1)) {
                set_fault("shuffle at %s:%d: lane %u reads lane %d, which is not in mask %08x",
                          base(f.at.file), f.at.line, l, src, mask);
                die(self);
            }
            f.result = warp[src].value;
        } else if (f.op == SHIM_MATCH_ANY) {
            f.result = 0;
            for (unsigned k = 0; k < 32; k++)
                f.result |= (uint64_t)((mask >> k & 1) && warp[k].value == f.value) << k;
        } else {
            f.result = f.op == SHIM_BALLOT ? ballot : reduced;
        }
    }
}

void shim_aligned(const void *p, size_t bytes, shim_site at)
{
    if ((uintptr_t)p % bytes == 0)
        return;
    set_fault("thread %u at %s:%d: %zu bytes at an address that is no multiple of them",
              static_cast<fiber *>(shim_self)->index, base(at.file), at.line, bytes);
    die(static_cast<fiber *>(shim_self));
}

uint64_t shim_collective(shim_op op, unsigned mask, uint64_t value, int arg, int width,
                         shim_site at)
{
    fiber *self = static_cast<fiber *>(shim_self);
    unsigned w = self->index / 32, lanes = std::min(32u, n_threads - w * 32);
    unsigned exist = lanes == 32 ? ~0u : (1u << lanes) - 1;
    fiber *warp = &fibers[w * 32];
    if (!(mask >> self->lane & 1) || (mask & ~exist)) {
        set_fault("thread %u at %s:%d: mask %08x %s", self->index, base(at.file), at.line, mask,
                  mask & ~exist ? "names lanes that the block does not have"
                                : "does not name the calling lane");
        die(self);
    }
    self->at = at, self->op = op, self->mask = mask, self->value = value, self->arg = arg,
    self->width = width;
    self->state = IN_COLLECTIVE;
    unsigned peers = warp_waiting[w] & mask;
    self->tag = peers ? warp[__builtin_ctz(peers)].tag : next_tag++ % TAGS;
    unsigned tag = self->tag;
    if (op == SHIM_SYNCWARP && __tsan_release)
        __tsan_release(&hb_tags[tag]);
    warp_waiting[w] |= 1u << self->lane;
    if ((warp_waiting[w] & mask) == mask) {
        resolve(self, warp, mask);
        warp_waiting[w] &= ~mask;
        fiber *all[32];
        unsigned n = 0;
        for (unsigned l = 0; l < 32; l++)
            if (mask >> l & 1)
                all[n++] = &warp[l];
        enqueue(all, n);
    }
    yield(self);
    if (op == SHIM_SYNCWARP && __tsan_acquire) // the others exchange values but order no memory
        __tsan_acquire(&hb_tags[tag]);
    return self->result;
}

void shim_fence()
{
    if (__tsan_release) {
        __tsan_release(&hb_fence);
        __tsan_acquire(&hb_fence);
    }
}

// Nobody can run and not everybody has returned.
static void diagnose()
{
    for (unsigned i = 0; i < n_threads; i++) {
        fiber &f = fibers[i];
        if (f.state != IN_COLLECTIVE)
            continue;
        fiber *warp = &fibers[i / 32 * 32];
        for (unsigned l = 0; l < 32; l++)
            if ((f.mask >> l & 1) && warp[l].state != IN_COLLECTIVE) {
                bool gone = warp[l].state == RETURNED;
                set_fault(
                    "thread %u waits in a warp collective at %s:%d, mask %08x; lane %u %s %s%s%.0d",
                    i, base(f.at.file), f.at.line, f.mask, l,
                    gone ? "has returned" : "waits at __syncthreads",
                    gone ? "" : base(warp[l].at.file), gone ? "" : ":", gone ? 0 : warp[l].at.line);
                return;
            }
    }
    for (unsigned i = 0; i < n_threads; i++)
        if (fibers[i].state == IN_BARRIER) {
            set_fault("__syncthreads at %s:%d reached by %u of %u threads; %u returned without it",
                      base(fibers[i].at.file), fibers[i].at.line, n_in_barrier, n_threads,
                      n_returned);
            return;
        }
    set_fault("the threads of a warp wait for each other in different collectives (first at %s:%d)",
              base(fibers[0].at.file), fibers[0].at.line);
}

// ---- shared memory ----
static char *carve(const char *name, size_t bytes, size_t align)
{
    align = std::max<size_t>(align, 16);
    size_t start = (arena_used + REDZONE + align - 1) / align * align;
    shared_bytes_used += bytes;
    if (start + bytes + REDZONE > ARENA || shared_bytes_used > shared_most) {
        set_fault("shared memory of the block exceeds %zu bytes at '%s'", shared_most, name);
        return nullptr;
    }
    char *p = arena + start;
    fill(arena + arena_used, CANARY, start - arena_used);
    fill(p, POISON, bytes);
    fill(p + bytes, CANARY, REDZONE);
    if (__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(p, bytes);
    arena_used = start + bytes;
    return p;
}

static char *declare(const void *key, const char *name, size_t bytes, size_t align)
{
    if (n_declared == MAX_DECLARED)
        set_fault("more than %d shared declarations", MAX_DECLARED);
    char *p = n_declared < MAX_DECLARED ? carve(name, bytes, align) : nullptr;
    if (p)
        declared[n_declared++] = {key, name, p, bytes};
    return p;
}

void *shim_shared(const void *key, const char *name, size_t bytes, size_t align)
{
    for (unsigned i = 0; i < n_declared; i++)
        if (declared[i].key == key)
            return declared[i].at;
    char *p = declare(key, name, bytes, align);
    if (!p)
        die(static_cast<fiber *>(shim_self));
    return p;
}

void *shim_shared_dynamic()
{
    return dynamic_at;
}

static void check_canaries()
{
    for (block_shared *d = declared; d < declared + n_declared; d++)
        for (size_t i = 0; i < REDZONE; i++)
            if ((unsigned char)d->at[d->bytes + i] != CANARY ||
                (i < 16 && (unsigned char)d->at[-1 - (ptrdiff_t)i] != CANARY)) {
                set_fault("write outside shared '%s' (%zu bytes)", d->name, d->bytes);
                return;
            }
}

// ---- a block, a launch ----
static char *map_pages(size_t bytes)
{
    void *p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        perror("cuda-on-cpu: mmap");
        abort();
    }
    return (char *)p;
}

// Blocks take turns on SETS sets of stacks and arenas. TSan gets a happens-before edge from a block
// to the next user of its set, or it would call the reuse a race; so it sees races on global memory
// within any SETS consecutive blocks.
static void prepare_memory()
{
    static char *all_stacks, *all_arenas;
    if (!all_stacks) {
        all_stacks = map_pages((size_t)SETS * MAX_THREADS * STACK);
        all_arenas = map_pages((size_t)SETS * ARENA);
        for (size_t i = 0; i < SETS * MAX_THREADS; i++)
            mprotect(all_stacks + i * STACK, GUARD, PROT_NONE);
    }
    set = __tsan_create_fiber ? (set + 1) % SETS : 0;
    round_of[set]++;
    stacks = all_stacks + (size_t)set * MAX_THREADS * STACK;
    arena = all_arenas + (size_t)set * ARENA;
    if (__asan_poison_memory_region)
        __asan_poison_memory_region(arena, ARENA);
    n_declared = 0;
    arena_used = shared_bytes_used = 0;
}

static void run_block(size_t dynamic_bytes)
{
    prepare_memory();
    dynamic_at = declare(&dynamic_at, "dynamic", dynamic_bytes, 16);
    n_returned = n_in_barrier = queue_head = queue_tail = 0;
    fill((char *)warp_waiting, 0, sizeof warp_waiting);
    fiber *all[MAX_THREADS];
    for (unsigned i = 0; i < n_threads; i++) {
        fiber &f = fibers[i];
        f.tid = {i % shim_block_dim.x, i / shim_block_dim.x % shim_block_dim.y,
                 i / (shim_block_dim.x * shim_block_dim.y)};
        f.index = i;
        f.lane = i % 32;
        f.stack = stacks + (size_t)i * STACK;
        if (__tsan_create_fiber && !tsan_fibers[set][i])
            tsan_fibers[set][i] = __tsan_create_fiber(0);
        f.tsan = tsan_fibers[set][i];
        context_make(&f.ctx, f.stack, STACK, fiber_entry);
        all[i] = &f;
    }
    enqueue(all, n_threads);
    scheduler.tsan = __tsan_get_current_fiber ? __tsan_get_current_fiber() : nullptr;
    scheduler.state = READY;
    yield(&scheduler);
    shim_self = nullptr;
    if (!faulted && n_returned < n_threads)
        diagnose();
    if (!faulted)
        check_canaries();
    for (unsigned i = 0; i < n_threads && faulted && __tsan_create_fiber;
         i++) { // in the name of those that never returned
        __tsan_switch_to_fiber(fibers[i].tsan, 1);
        __tsan_release(&hb_launch);
        __tsan_switch_to_fiber(scheduler.tsan, 1);
        __tsan_destroy_fiber(fibers[i].tsan);
        tsan_fibers[set][i] = nullptr;
    }
    if (faulted && __asan_unpoison_memory_region) // frames of fibers that never returned
        __asan_unpoison_memory_region(stacks, (size_t)STACK * MAX_THREADS);
}

// When it is asked for: what a kernel may have may be another thing when it runs.
cudaError_t shim_configuration(const void *kernel, dim3 grid, dim3 block, size_t shared)
{
    size_t threads = (size_t)block.x * block.y * block.z, blocks = (size_t)grid.x * grid.y * grid.z;
    if (in_launch || !threads || threads > MAX_THREADS || block.z > 64 || !blocks ||
        grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
        return last_error = cudaErrorInvalidConfiguration;
    if (shared > shim_allowed_shared(kernel))
        return last_error = cudaErrorInvalidValue;
    return cudaSuccess;
}

cudaError_t shim_launch(const void *kernel, dim3 grid, dim3 block, size_t shared,
                        const std::function<void()> &body)
{
    size_t threads = (size_t)block.x * block.y * block.z, blocks = (size_t)grid.x * grid.y * grid.z;
    in_launch = true;
    shared_most = allowed_shared.count(kernel) ? SHARED_MAX : SHARED_STATIC_MAX;
    shim_launched(kernel, threads, shared,
                  allowed_shared.count(kernel) ? allowed_shared[kernel] : 0);
    if (__tsan_release)
        __tsan_release(&hb_host);
    n_threads = (unsigned)threads;
    shim_block_dim = block;
    shim_grid_dim = grid;
    kernel_body = &body;
    std::vector<size_t> sequence(blocks);
    for (size_t i = 0; i < blocks; i++)
        sequence[i] = order == SHIM_REVERSE ? blocks - 1 - i : i;
    if (order == SHIM_RANDOM)
        std::shuffle(sequence.begin(), sequence.end(), rng);
    for (size_t i = 0; i < blocks && !faulted; i++) {
        size_t b = sequence[i];
        shim_block_idx = {(unsigned)(b % grid.x), (unsigned)(b / grid.x % grid.y),
                          (unsigned)(b / ((size_t)grid.x * grid.y))};
        run_block(shared);
    }
    if (__tsan_acquire)
        __tsan_acquire(&hb_launch);
    in_launch = false;
    const char *damage = shim_memory_damage();
    if (damage)
        set_fault("%s", damage);
    if (!faulted)
        return cudaSuccess;
    faulted = false;
    return last_error = cudaErrorLaunchFailure;
}

// ---- host side ----
cudaError_t cudaGetLastError()
{
    cudaError_t e = last_error;
    last_error = cudaSuccess;
    return e;
}

const char *cudaGetErrorString(cudaError_t e)
{
    switch (e) {
    case cudaSuccess:
        return "no error";
    case cudaErrorInvalidValue:
        return "invalid argument";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorInvalidConfiguration:
        return "invalid configuration argument";
    case cudaErrorLaunchFailure:
        return fault_text;
    case cudaErrorInsufficientDriver:
        return "no driver";
    case cudaErrorNoDevice:
        return "no device";
    case cudaErrorNoKernelImageForDevice:
        return "no kernel image is available for execution on the device";
    case cudaErrorIllegalState:
        return "the object is gone, or not in a state for this call";
    case cudaErrorNotReady:
        return "not ready";
    case cudaErrorStreamCaptureUnsupported:
        return "not permitted while a stream is captured";
    case cudaErrorStreamCaptureInvalidated:
        return "the capture was spoilt by an earlier call";
    case cudaErrorGraphExecUpdateFailure:
        return "the graph has another topology";
    }
    return "unknown error";
}

cudaError_t shim_allow_shared(const void *kernel, size_t bytes)
{
    if (bytes > SHARED_MAX)
        return last_error = cudaErrorInvalidValue;
    allowed_shared[kernel] = bytes;
    return cudaSuccess;
}

size_t shim_allowed_shared(const void *kernel)
{
    auto at = allowed_shared.find(kernel);
    return at == allowed_shared.end() ? (size_t)SHARED_STATIC_MAX : at->second;
}

cudaError_t shim_failed(cudaError_t status, const char *why)
{
    if (why)
        snprintf(fault_text, sizeof fault_text, "%s", why);
    return last_error = status;
}

void shim_schedule(shim_order o, uint64_t seed)
{
    order = o;
    rng.seed(seed);
}

const char *shim_fault()
{
    static char text[sizeof fault_text];
    memcpy(text, fault_text, sizeof text);
    fault_text[0] = 0;
    return text;
}

uint64_t shim_switches()
{
    return switches;
}

extern "C" void cuda_on_cpu_order(int o, uint64_t seed)
{
    shim_schedule((shim_order)o, seed);
}
