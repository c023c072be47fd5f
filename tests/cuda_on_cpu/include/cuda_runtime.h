// cuda_runtime.h (CUDA-on-CPU) - runs plain CUDA C++ kernels on one CPU thread, for tests without a
// GPU.
//
// A block at a time; every CUDA thread of the block is a fiber that runs until it reaches a barrier
// or a warp collective. Misuse ends the launch with cudaErrorLaunchFailure and a text in
// shim_fault(). Sanitizers work as usual: -fsanitize=address sees shared memory per declaration,
// -fsanitize=thread sees every CUDA thread as a thread. Deliberately absent, so that they do not
// compile: plain __shared__, <<<>>>, __activemask, the non-_sync collectives.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <type_traits>

// ---- language ----
#define CUDA_EMULATED true
#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__    __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__                                                                                 \
    _Pragma("GCC error \"write SHARED(type, name, dims) or SHARED_DYNAMIC(type, name)\"")

// ---- vector types ----
#define SHIM_VEC(name, type, align)                                                                \
    struct alignas(align < 16 ? align : 16) name##2                                                \
    {                                                                                              \
        type x, y;                                                                                 \
    };                                                                                             \
    struct name##3                                                                                 \
    {                                                                                              \
        type x, y, z;                                                                              \
    };                                                                                             \
    struct alignas(2 * align < 16 ? 2 * align : 16) name##4                                        \
    {                                                                                              \
        type x, y, z, w;                                                                           \
    };                                                                                             \
    static inline name##2 make_##name##2(type x, type y)                                           \
    {                                                                                              \
        return {x, y};                                                                             \
    }                                                                                              \
    static inline name##3 make_##name##3(type x, type y, type z)                                   \
    {                                                                                              \
        return {x, y, z};                                                                          \
    }                                                                                              \
    static inline name##4 make_##name##4(type x, type y, type z, type w)                           \
    {                                                                                              \
        return {x, y, z, w};                                                                       \
    }
SHIM_VEC(char, signed char, 2)
SHIM_VEC(uchar, unsigned char, 2)
SHIM_VEC(short, short, 4)
SHIM_VEC(ushort, unsigned short, 4)
SHIM_VEC(int, int, 8)
SHIM_VEC(uint, unsigned, 8)
SHIM_VEC(float, float, 8)
SHIM_VEC(double, double, 16)
#undef SHIM_VEC

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z)
    {
    }
};

// ---- the running thread ----
struct shim_thread {
    uint3 tid;
    unsigned lane;
};
extern shim_thread *shim_self;
extern uint3 shim_block_idx;
extern dim3 shim_block_dim, shim_grid_dim;
#define threadIdx (shim_self->tid)
#define blockIdx  shim_block_idx
#define blockDim  shim_block_dim
#define gridDim   shim_grid_dim
#define warpSize  32

struct shim_site {
    const char *file;
    int line;
};
#define SHIM_HERE                                                                                  \
    const char *file = __builtin_FILE(),                                                           \
               int line = __builtin_LINE() // as default arguments: the caller's
#define SHIM_AT (shim_site{file, line})

// Shared memory of the running block, found by `key` (one address per declaration and template
// instance).
void *shim_shared(const void *key, const char *name, size_t bytes, size_t align);
void *shim_shared_dynamic();
#define SHARED(type, name, dims)                                                                   \
    typedef type name##_shared_type dims;                                                          \
    static const char name##_key = 0;                                                              \
    name##_shared_type &name = *static_cast<name##_shared_type *>(                                 \
        shim_shared(&name##_key, #name, sizeof(name##_shared_type), alignof(name##_shared_type)))
#define SHARED_DYNAMIC(type, name) type *name = static_cast<type *>(shim_shared_dynamic())

// ---- barriers and warp collectives ----
enum shim_op {
    SHIM_SYNCWARP,
    SHIM_SHFL,
    SHIM_SHFL_UP,
    SHIM_SHFL_DOWN,
    SHIM_SHFL_XOR,
    SHIM_BALLOT,
    SHIM_MATCH_ANY,
    SHIM_ADD,
    SHIM_MIN,
    SHIM_MAX,
    SHIM_OR,
    SHIM_AND,
    SHIM_XOR
};
enum shim_vote { SHIM_VOTE_NONE, SHIM_VOTE_COUNT, SHIM_VOTE_AND, SHIM_VOTE_OR };
int shim_barrier(shim_vote vote, int predicate, shim_site at);
uint64_t shim_collective(shim_op op, unsigned mask, uint64_t value, int arg, int width,
                         shim_site at);

static inline void __syncthreads(SHIM_HERE)
{
    shim_barrier(SHIM_VOTE_NONE, 0, SHIM_AT);
}
static inline int __syncthreads_count(int p, SHIM_HERE)
{
    return shim_barrier(SHIM_VOTE_COUNT, p, SHIM_AT);
}
static inline int __syncthreads_and(int p, SHIM_HERE)
{
    return shim_barrier(SHIM_VOTE_AND, p, SHIM_AT);
}
static inline int __syncthreads_or(int p, SHIM_HERE)
{
    return shim_barrier(SHIM_VOTE_OR, p, SHIM_AT);
}
static inline void __syncwarp(unsigned mask = ~0u, SHIM_HERE)
{
    shim_collective(SHIM_SYNCWARP, mask, 0, 0, 32, SHIM_AT);
}
static inline unsigned __ballot_sync(unsigned mask, int p, SHIM_HERE)
{
    return (unsigned)shim_collective(SHIM_BALLOT, mask, p != 0, 0, 32, SHIM_AT);
}
static inline int __any_sync(unsigned mask, int p, SHIM_HERE)
{
    return __ballot_sync(mask, p, file, line) != 0;
}
static inline int __all_sync(unsigned mask, int p, SHIM_HERE)
{
    return __ballot_sync(mask, p, file, line) == mask;
}

template <class T>
static inline T shim_shuffle(shim_op op, unsigned mask, T v, int arg, int width, shim_site at)
{
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value,
                  "a shuffle moves at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &v, sizeof v);
    bits = shim_collective(op, mask, bits, arg, width, at);
    memcpy(&v, &bits, sizeof v);
    return v;
}
#define SHIM_SHUFFLE(name, op, argtype)                                                            \
    template <class T>                                                                             \
    static inline T name(unsigned mask, T v, argtype arg, int width = 32, SHIM_HERE)               \
    {                                                                                              \
        return shim_shuffle(op, mask, v, (int)arg, width, SHIM_AT);                                \
    }
SHIM_SHUFFLE(__shfl_sync, SHIM_SHFL, int)
SHIM_SHUFFLE(__shfl_up_sync, SHIM_SHFL_UP, unsigned)
SHIM_SHUFFLE(__shfl_down_sync, SHIM_SHFL_DOWN, unsigned)
SHIM_SHUFFLE(__shfl_xor_sync, SHIM_SHFL_XOR, int)
#undef SHIM_SHUFFLE

// 32-bit integers only, as on the device. Signed min and max order by flipping the sign bit.
#define SHIM_REDUCE(name, op, type, flip)                                                          \
    static inline type name(unsigned mask, type v, SHIM_HERE)                                      \
    {                                                                                              \
        return (type)((unsigned)shim_collective(op, mask, (unsigned)v ^ (flip), 0, 32, SHIM_AT) ^  \
                      (flip));                                                                     \
    }
SHIM_REDUCE(__reduce_add_sync, SHIM_ADD, unsigned, 0u)
SHIM_REDUCE(__reduce_add_sync, SHIM_ADD, int, 0u)
SHIM_REDUCE(__reduce_min_sync, SHIM_MIN, unsigned, 0u)
SHIM_REDUCE(__reduce_min_sync, SHIM_MIN, int, 0x80000000u)
SHIM_REDUCE(__reduce_max_sync, SHIM_MAX, unsigned, 0u)
SHIM_REDUCE(__reduce_max_sync, SHIM_MAX, int, 0x80000000u)
SHIM_REDUCE(__reduce_or_sync, SHIM_OR, unsigned, 0u)
SHIM_REDUCE(__reduce_and_sync, SHIM_AND, unsigned, 0u)
SHIM_REDUCE(__reduce_xor_sync, SHIM_XOR, unsigned, 0u)
#undef SHIM_REDUCE
static inline unsigned __match_any_sync(unsigned mask, unsigned v, SHIM_HERE)
{
    return (unsigned)shim_collective(SHIM_MATCH_ANY, mask, v, 0, 32, SHIM_AT);
}

// ---- memory ----
void shim_fence();
static inline void __threadfence()
{
    shim_fence();
}
static inline void __threadfence_block()
{
    shim_fence();
}
// Of a vector at an address that is no multiple of its size: ends the launch.
void shim_aligned(const void *p, size_t bytes, shim_site at);
template <class V> static inline V load_wide(const void *p, SHIM_HERE)
{
    V v;
    shim_aligned(p, alignof(V), SHIM_AT);
    memcpy(&v, p, sizeof v);
    return v;
}
template <class V> static inline void store_wide(void *p, V v, SHIM_HERE)
{
    shim_aligned(p, alignof(V), SHIM_AT);
    memcpy(p, &v, sizeof v);
}
template <class T> static inline T __ldg(const T *p)
{
    return *p;
}
template <class T> static inline T __ldcs(const T *p)
{
    return *p;
}
template <class T> static inline void __stcs(T *p, T v)
{
    *p = v;
}

template <class T, class F> static inline T shim_atomic(T *p, F next)
{
    T old, want;
    __atomic_load(p, &old, __ATOMIC_RELAXED);
    do
        want = next(old);
    while (!__atomic_compare_exchange(p, &old, &want, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return old;
}
template <class T> struct shim_same {
    typedef T type;
}; // keeps the value argument out of type deduction
template <class T> using shim_val = typename shim_same<T>::type;
template <class T> static inline T atomicAdd(T *p, shim_val<T> v)
{
    return shim_atomic(p, [=](T o) { return (T)(o + v); });
}
template <class T> static inline T atomicSub(T *p, shim_val<T> v)
{
    return shim_atomic(p, [=](T o) { return (T)(o - v); });
}
template <class T> static inline T atomicMax(T *p, shim_val<T> v)
{
    return shim_atomic(p, [=](T o) { return o > v ? o : v; });
}
template <class T> static inline T atomicMin(T *p, shim_val<T> v)
{
    return shim_atomic(p, [=](T o) { return o < v ? o : v; });
}
template <class T> static inline T atomicOr(T *p, shim_val<T> v)
{
    return shim_atomic(p, [=](T o) { return (T)(o | v); });
}
template <class T> static inline T atomicAnd(T *p, shim_val<T> v)
{
    return shim_atomic(p, [=](T o) { return (T)(o & v); });
}
template <class T> static inline T atomicExch(T *p, shim_val<T> v)
{
    return shim_atomic(p, [=](T) { return v; });
}
template <class T> static inline T atomicCAS(T *p, shim_val<T> c, shim_val<T> v)
{
    return shim_atomic(p, [=](T o) { return o == c ? v : o; });
}

// ---- arithmetic ----
template <class A, class B> static inline A shim_bitcast(B b)
{
    static_assert(sizeof(A) == sizeof(B), "size");
    A a;
    memcpy(&a, &b, sizeof a);
    return a;
}
static inline unsigned __float_as_uint(float f)
{
    return shim_bitcast<unsigned>(f);
}
static inline int __float_as_int(float f)
{
    return shim_bitcast<int>(f);
}
static inline float __uint_as_float(unsigned u)
{
    return shim_bitcast<float>(u);
}
static inline float __int_as_float(int i)
{
    return shim_bitcast<float>(i);
}
static inline float rsqrtf(float x)
{
    return 1.0f / sqrtf(x);
}
#define __expf(x) expf(x) // macros: glibc has functions of these names
#define __logf(x) logf(x)
static inline float __fdividef(float a, float b)
{
    return a / b;
}
static inline float __saturatef(float x)
{
    return x > 0 ? (x < 1 ? x : 1) : 0;
}
static inline int __float2int_rn(float x)
{
    return (int)rintf(x);
}
static inline int __float2int_rd(float x)
{
    return (int)floorf(x);
}
static inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
static inline int __ffs(int x)
{
    return __builtin_ffs(x);
}
static inline int __clz(int x)
{
    return x ? __builtin_clz((unsigned)x) : 32;
}
static inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)(((uint64_t)a * b) >> 32);
}
#define SHIM_MINMAX(type)                                                                          \
    static inline type min(type a, type b)                                                         \
    {                                                                                              \
        return b < a ? b : a;                                                                      \
    }                                                                                              \
    static inline type max(type a, type b)                                                         \
    {                                                                                              \
        return a < b ? b : a;                                                                      \
    }
SHIM_MINMAX(int)
SHIM_MINMAX(unsigned)
SHIM_MINMAX(long)
SHIM_MINMAX(unsigned long)
#undef SHIM_MINMAX
static inline float min(float a, float b)
{
    return fminf(a, b);
}
static inline float max(float a, float b)
{
    return fmaxf(a, b);
}

// ---- host API; streams, copies and graphs: shim_streams.h ----
enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorNoKernelImageForDevice = 209,
    cudaErrorIllegalState = 401,
    cudaErrorNotReady = 600,
    cudaErrorLaunchFailure = 719,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901,
    cudaErrorGraphExecUpdateFailure = 910
};
enum cudaMemcpyKind {
    cudaMemcpyHostToHost,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
struct cudaDeviceProp {
    char name[256];
    int major, minor, multiProcessorCount, l2CacheSize;
};
static inline cudaError_t cudaDriverGetVersion(int *version)
{
    *version = 13000;
    return cudaSuccess;
}
/* What the test says is free, for what is refused where memory lacks. */
extern size_t shim_memory_free;
static inline cudaError_t cudaGetDeviceCount(int *n)
{
    *n = 1;
    return cudaSuccess;
}
static inline cudaError_t cudaSetDevice(int)
{
    return cudaSuccess;
}
static inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int)
{
    *p = {"CUDA on a CPU", 9, 0, 1, 1 << 20};
    return cudaSuccess;
}
cudaError_t cudaGetLastError();
const char *cudaGetErrorString(cudaError_t e);
cudaError_t cudaMalloc(void **p, size_t bytes); // filled with 0xff: NaN in f32 and bf16, -1 in int
cudaError_t cudaFree(void *p);
cudaError_t cudaMemGetInfo(size_t *room, size_t *all);
template <class T> static inline cudaError_t cudaMalloc(T **p, size_t bytes)
{
    return cudaMalloc((void **)p, bytes);
}
struct cudaFuncAttributes {
    int maxDynamicSharedSizeBytes;
};
cudaError_t shim_allow_shared(const void *kernel, size_t bytes);
size_t shim_allowed_shared(const void *kernel);
template <class F>
static inline cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *out, F *kernel)
{
    out->maxDynamicSharedSizeBytes = (int)shim_allowed_shared((const void *)kernel);
    // SHIM_NO_CODE in the environment: a card that the program was not built for
    return getenv("SHIM_NO_CODE") ? cudaErrorNoKernelImageForDevice : cudaSuccess;
}
template <class F>
static inline cudaError_t cudaFuncSetAttribute(F *kernel, cudaFuncAttribute, int bytes)
{
    return shim_allow_shared((const void *)kernel, (size_t)bytes);
}

// ---- launch and test controls ----
enum { SHIM_ARGUMENTS = 4096 }; // bytes of a launch; newer cards take more
cudaError_t shim_configuration(const void *kernel, dim3 grid, dim3 block, size_t shared_bytes);
cudaError_t shim_launch(const void *kernel, dim3 grid, dim3 block, size_t shared_bytes,
                        const std::function<void()> &body);
#include "shim_streams.h"
template <class... P, class... A>
static inline cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes,
                                 cudaStream_t stream, const A &...args)
{
    static_assert((sizeof(P) + ... + 0) <= SHIM_ARGUMENTS, "too many bytes of arguments");
    shim_node n = {SHIM_KERNEL, {}, {}};
    std::function<void()> body = [=] { kernel(static_cast<P>(args)...); };
    n.run = [=] { return shim_launch((const void *)kernel, grid, block, shared_bytes, body); };
    if (shim_capturing(stream))
        (void)std::initializer_list<int>{(shim_words(n.words, static_cast<P>(args)), 0)...};
    cudaError_t status = shim_configuration((const void *)kernel, grid, block, shared_bytes);
    status = status == cudaSuccess ? shim_submit(stream, n) : status;
    cudaError_t left = cudaGetLastError(); // its own, or what nobody looked at before it
    return status == cudaSuccess ? left : status;
}

enum shim_order { SHIM_FORWARD, SHIM_REVERSE, SHIM_RANDOM };
void shim_schedule(shim_order order,
                   uint64_t seed); // order of blocks, and of threads between yield points
// launched.cc counts it; allowed: dynamic shared memory beyond the usual, 0 = none was asked for
void shim_launched(const void *kernel, size_t threads, size_t shared, size_t allowed);
const char *shim_memory_damage(); // which allocation was written outside, or NULL (memory.cc)
const char *shim_fault();         // text of the last fault, "" when none; cleared by the call
uint64_t shim_switches();         // fiber switches so far
