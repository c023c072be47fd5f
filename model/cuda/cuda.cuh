/* What the files of the CUDA backend share: its struct, scratch memory, calls, and the small
 * device functions of all kernels. Rules for kernels: tests/cuda_on_cpu/README.md. Every sum runs
 * in an order that depends on the shape only; no float atomics. */
#ifndef MODEL_CUDA_CUDA_CUH
#define MODEL_CUDA_CUDA_CUH

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tuple>

#include "model/cuda/kernel.cuh"

extern "C" {
#include "core/mem.h"
#include "core/pool.h"
#include "core/log.h"
#include "model/cuda/cuda.h"
#include "model/cuda/flash.h"
#include "model/cuda/gemm.h"
#include "model/cuda/plan.h"
#include "model/laps.h"
}

typedef __nv_bfloat16 bf16;

struct cuda_scratch {
    char *data;
    size_t size;
};

#define CUDA_NUMBERS 9 /* of an optimiser step */

struct cuda_pieces; /* piece.cu */

struct cuda {
    backend base; /* first member */
    int device;
    cudaStream_t stream;
    cuda_scratch scratch, parts; /* of one op: values; partial sums */
    cuda_scratch lent;           /* to cuDNN: its workspace */
    cuda_gemm_context *gemm;
    flash *fused; /* opened with the first bf16 attention; NULL: not here */
    bool fused_asked;
    struct cuda_group *group; /* of sums over processes; NULL: alone */
    char card[160];           /* what times and plans depend on, in words */
    size_t cache_l2;          /* bytes */
    cache *store;             /* of choices and plans on disk, or NULL */
    size_t copies;            /* bytes of bf16 weights */
    int64_t before;           /* bytes of the card that were taken when it was opened */
    int64_t libraries;        /* what it lost when libraries were opened */
    long long *bad;           /* one word: answer of nonfinite */
    float *numbers;           /* of an optimiser step (step.cu) */
    bool collecting;          /* calls go on the list of a piece */
    cuda_pieces *pieces;
};

static inline cuda *cuda_of(backend *be)
{
    return (cuda *)be;
}

/* Ends the program: memory with exit 5 and what was asked for, anything else as a bug. */
void cuda_check(cudaError_t status, const char *what);
/* Device memory, uninitialised; where there is too little the program ends with what would fit. */
void *cuda_memory(cuda *c, size_t bytes, const char *what);
/* Page-locked memory of the host, which the card reads by itself; or the program ends. */
void *cuda_locked(size_t bytes);
/* Bytes that the card has free; and, behind the opening of a library, what that took of the `free`
 * bytes before it, beside `own` that we asked for. */
int64_t cuda_free(void);
void cuda_opened(cuda *c, int64_t free, size_t own);
/* At least `bytes` of device memory, uninitialised, 256-byte aligned; kept between calls. The next
 * call may move it: ask once for all that an op needs. */
void *cuda_scratch_get(cuda *c, cuda_scratch *s, size_t bytes);

/* ---- calls -------------------------------------------------------------------------------------
 * Whatever runs on the stream goes through cuda_launch or cuda_call: at once, or in a piece
 * (piece.cu) onto its list, with its arguments byte for byte. Two lists of equal bytes do the same
 * work, so a graph that was made of one stands for the other. */

typedef void cuda_call_fn(cuda *c, const char *args);
/* Room on the list for the arguments of a call, zeroed, 16-byte aligned. */
char *cuda_call_add(cuda *c, cuda_call_fn *run, size_t bytes);

/* The bytes between the members of a struct hold anything. (Structs that hold arrays: have no gaps
 * and say so, as in step.cu.) */
template <class T> static inline void cuda_clear_gaps(T *v)
{
#if defined(__GNUC__) && !defined(__clang__)
    __builtin_clear_padding(v);
#endif
    (void)v;
}

template <class T, void (*run)(cuda *, const T &)>
static void cuda_call_stored(cuda *c, const char *args)
{
    run(c, *reinterpret_cast<const T *>(args));
}

/* cuda_call<job, run>(c, j): run(c, j), now or when the piece is issued. */
template <class T, void (*run)(cuda *, const T &)> static inline void cuda_call(cuda *c, T job)
{
    if (!c->collecting) {
        run(c, job);
        return;
    }
    cuda_clear_gaps(&job);
    memcpy(cuda_call_add(c, cuda_call_stored<T, run>, sizeof job), &job, sizeof job);
}

struct cuda_launch_head {
    const char *name;
    void (*kernel)(void);
    size_t shared;
    dim3 grid, block;
};

/* Arguments one after the other, each as aligned as its type wants. */
template <class T> static inline size_t cuda_arg_at(size_t *end)
{
    size_t at = (*end + alignof(T) - 1) / alignof(T) * alignof(T);
    *end = at + sizeof(T);
    return at;
}

template <class T> static inline void cuda_arg_put(char *args, size_t *end, T v)
{
    cuda_clear_gaps(&v);
    memcpy(args + cuda_arg_at<T>(end), &v, sizeof v);
}

template <class T> static inline const T &cuda_arg_get(const char *args, size_t *end)
{
    return *reinterpret_cast<const T *>(args + cuda_arg_at<T>(end));
}

template <class... P> static void cuda_launch_stored(cuda *c, const char *args)
{
    cuda_launch_head h = *reinterpret_cast<const cuda_launch_head *>(args);
    size_t end = sizeof h;
    void (*kernel)(P...) = reinterpret_cast<void (*)(P...)>(h.kernel);
    std::tuple<P...> all{cuda_arg_get<P>(args, &end)...};
    cuda_check(std::apply(
                   [&](const P &...p) {
                       return launch(kernel, h.grid, h.block, h.shared, c->stream, p...);
                   },
                   all),
               h.name);
}

/* A launch on the backend's stream; a launch that fails ends the program. */
template <class... P, class... A>
static inline void cuda_launch(cuda *c, const char *name, void (*kernel)(P...), dim3 grid,
                               dim3 block, size_t shared, const A &...args)
{
    if (grid.x == 0 || grid.y == 0 || grid.z == 0)
        return;
    if (!c->collecting) {
        cuda_check(launch(kernel, grid, block, shared, c->stream, args...), name);
        return;
    }
    cuda_launch_head h = {name, reinterpret_cast<void (*)(void)>(kernel), shared, grid, block};
    size_t bytes = sizeof h, end = sizeof h;
    (void)std::initializer_list<size_t>{cuda_arg_at<P>(&bytes)...};
    char *to = cuda_call_add(c, cuda_launch_stored<P...>, bytes);
    memcpy(to, &h, sizeof h);
    (void)std::initializer_list<int>{(cuda_arg_put<P>(to, &end, static_cast<P>(args)), 0)...};
}

#define CUDA_SHARED ((size_t)48 << 10) /* dynamic shared memory that any kernel may have */

/* Lets a kernel have more. A piece is issued after all of its launches were asked for, so a smaller
 * wish must not take back a larger one. */
template <class K> static inline void cuda_shared(K *kernel, size_t bytes, const char *what)
{
    cudaFuncAttributes have;
    if (bytes <= CUDA_SHARED)
        return;
    cuda_check(cudaFuncGetAttributes(&have, kernel), what);
    if ((size_t)have.maxDynamicSharedSizeBytes < bytes)
        cuda_check(
            cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes),
            what);
}

/* cuDNN, opened with the first call; NULL, with one warning, where it is not here. */
flash *cuda_fused(cuda *c);
void cuda_fill_zero(cuda *c, void *p, size_t bytes);
extern "C" cuda_gemm_finish cuda_linear_finish;

/* ---- pieces (piece.cu) ------------------------------------------------------------------------
 */

/* Device bytes that hold x for the rest of the piece; NULL outside of a piece. */
void *cuda_stage(cuda *c, const void *x, size_t bytes);
/* What was collected so far is issued now, one by one: memory will move, or the host wants to
 * read. */
void cuda_spill(cuda *c);
/* What was collected so far is issued now as a list, and a graph, of its own; the piece goes on
 * with another: work that no list holds comes in between. */
void cuda_cut(cuda *c);
/* Raw images on their way to the card, on a stream of their own: the device address of the word
 * that says where they lie. One image has `bytes`. cuda_images_used goes behind what read them. */
const uint16_t *const *cuda_images(cuda *c, const model_batch *b, size_t bytes);
void cuda_images_used(cuda *c);
size_t cuda_pieces_images(const cuda_pieces *p);  /* bytes of the device */
size_t cuda_pieces_staging(const cuda_pieces *p); /* the same */
void cuda_pieces_open(cuda *c);
void cuda_pieces_free(cuda *c);
extern "C" {
void cuda_begin(backend *be);
int64_t cuda_end(backend *be);
void cuda_later(backend *be, void *dst, const void *src, size_t bytes);
void cuda_wait(backend *be, int64_t piece);
void cuda_graphs(backend *be, bool on);
void cuda_graphs_done(const backend *be, backend_graphed *out);
}

#define CUDA_WARP  32
#define CUDA_BLOCK 256 /* threads of a block where nothing else is said */
#define CUDA_WARPS (CUDA_BLOCK / CUDA_WARP)

static inline unsigned cuda_blocks(int64_t n, int64_t per_block)
{
    int64_t blocks = (n + per_block - 1) / per_block;
    if (blocks > INT32_MAX)
        BUG("cuda: a grid of %lld blocks", (long long)blocks);
    return (unsigned)blocks;
}

/* `values` in packs of n, as threads number them: 32-bit divisions are cheap. */
static inline uint32_t cuda_packs(int64_t values, int n)
{
    int64_t packs = values / n;
    if (packs * n != values || packs > INT32_MAX)
        BUG("cuda: %lld values in packs of %d", (long long)values, n);
    return (uint32_t)packs;
}

/* PACKED(width, N, (types), statement): the statement with N = cuda_pack of the types where that
 * divides the width, else 1. */
#define PACKED_TYPES(...) cuda_pack<__VA_ARGS__>()
#define PACKED(width, N, types, ...)                                                               \
    do {                                                                                           \
        constexpr int widest = PACKED_TYPES types;                                                 \
        if ((width) % widest == 0) {                                                               \
            constexpr int N = widest;                                                              \
            __VA_ARGS__;                                                                           \
        } else {                                                                                   \
            constexpr int N = 1;                                                                   \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    } while (0)

/* A parameter's values in the given type: its own, or the bf16 copy that is made again after every
 * change of the set's version. */
typedef struct cuda_copy {
    bf16 *x;
    uint64_t version;
} cuda_copy;
const void *cuda_param(cuda *c, param *p, tensor_type type);
extern "C" void cuda_fold(backend *be, float *to, const float *from, int64_t n);
extern "C" bool cuda_join(backend *be, tensor_type travel, err *e);
extern "C" void cuda_sum_start(backend *be, float *x, int64_t n, int active);
extern "C" void cuda_sum_wait(backend *be);
void cuda_leave(cuda *c);
extern "C" void cuda_step_sgd(backend *be, param_set *s, float *const *v, const backend_sgd *o);
extern "C" void cuda_step_adamw(backend *be, param_set *s, float *const *m, float *const *v,
                                const backend_adamw *o);
extern "C" void cuda_grad_norms(backend *be, param_set *s, double *out);
extern "C" void cuda_grad_scales(backend *be, param_set *s, const backend_clip *o, float *scale,
                                 double *norm);

/* g[n] += sum of the rows parts[count][stride] (their first n columns), in a fixed order. */
void cuda_sum_columns(cuda *c, float *g, const float *parts, int count, int n, int stride);

/* TYPED(tensor, T, statement): the statement with T = the tensor's element type. */
#define TYPED(tensor_, T, ...)                                                                     \
    do {                                                                                           \
        if ((tensor_)->type == TENSOR_BF16) {                                                      \
            typedef bf16 T;                                                                        \
            __VA_ARGS__;                                                                           \
        } else {                                                                                   \
            typedef float T;                                                                       \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    } while (0)

template <class T> static inline T *values(const tensor *t)
{
    return t ? (T *)(void *)t->x : NULL;
}

template <class T> static inline T *gradient(const tensor *t)
{
    return t && !t->fixed ? (T *)(void *)t->g : NULL;
}

/* ---- device functions ------------------------------------------------------------------------ */

#define FULL_MASK 0xffffffffu

__device__ static inline float get(const float *p, int64_t i)
{
    return p[i];
}

__device__ static inline float get(const bf16 *p, int64_t i)
{
    return __bfloat162float(p[i]);
}

__device__ static inline void put(float *p, int64_t i, float v)
{
    p[i] = v;
}

__device__ static inline void put(bf16 *p, int64_t i, float v)
{
    p[i] = __float2bfloat16_rn(v);
}

/* What is left of v where it is written as a T. */
template <class T> __device__ static inline float rounded(float v)
{
    return sizeof(T) == sizeof(bf16) ? __bfloat162float(__float2bfloat16_rn(v)) : v;
}

/* p[i] = v or p[i] += v. */
template <class T> __device__ static inline void put_or_add(T *p, int64_t i, float v, bool add)
{
    put(p, i, add ? get(p, i) + v : v);
}

/* N neighbours in float, N = 1, 4 or 8; i is a multiple of N and p aligned for it, as all tensors
 * and parameters are. With N = cuda_pack of a kernel's types the widest of them moves by 16 bytes,
 * and what a warp reads or writes at once has no gaps. */
template <int N> struct pack {
    float v[N];
};

/* Values of the widest type in 16 bytes. */
template <class... T> constexpr int cuda_pack()
{
    size_t widest = 0;
    (void)std::initializer_list<size_t>{(widest = sizeof(T) > widest ? sizeof(T) : widest)...};
    return (int)(16 / widest);
}

template <int N> __device__ static inline pack<N> get_pack(const float *p, int64_t i)
{
    pack<N> a;
    if constexpr (N == 1)
        a.v[0] = p[i];
    for (int k = 0; k + 4 <= N; k += 4) {
        float4 u = load_wide<float4>(p + i + k);
        a.v[k] = u.x;
        a.v[k + 1] = u.y;
        a.v[k + 2] = u.z;
        a.v[k + 3] = u.w;
    }
    return a;
}

__device__ static inline void bf16_split(unsigned two, float *v)
{
    v[0] = __uint_as_float(two << 16);
    v[1] = __uint_as_float(two & 0xffff0000u);
}

__device__ static inline unsigned bf16_join(const float *v)
{
    return (unsigned)__bfloat16_as_ushort(__float2bfloat16_rn(v[0])) |
           (unsigned)__bfloat16_as_ushort(__float2bfloat16_rn(v[1])) << 16;
}

template <int N> __device__ static inline pack<N> get_pack(const bf16 *p, int64_t i)
{
    pack<N> a;
    if constexpr (N == 1) {
        a.v[0] = get(p, i);
    } else if constexpr (N == 4) {
        uint2 u = load_wide<uint2>(p + i);
        bf16_split(u.x, a.v);
        bf16_split(u.y, a.v + 2);
    } else {
        uint4 u = load_wide<uint4>(p + i);
        bf16_split(u.x, a.v);
        bf16_split(u.y, a.v + 2);
        bf16_split(u.z, a.v + 4);
        bf16_split(u.w, a.v + 6);
    }
    return a;
}

template <int N> __device__ static inline void put_pack(float *p, int64_t i, const pack<N> &a)
{
    if constexpr (N == 1)
        p[i] = a.v[0];
    for (int k = 0; k + 4 <= N; k += 4)
        store_wide(p + i + k, make_float4(a.v[k], a.v[k + 1], a.v[k + 2], a.v[k + 3]));
}

template <int N> __device__ static inline void put_pack(bf16 *p, int64_t i, const pack<N> &a)
{
    if constexpr (N == 1)
        put(p, i, a.v[0]);
    else if constexpr (N == 4)
        store_wide(p + i, bf16_join(a.v) | (uint64_t)bf16_join(a.v + 2) << 32);
    else
        store_wide(p + i, make_uint4(bf16_join(a.v), bf16_join(a.v + 2), bf16_join(a.v + 4),
                                     bf16_join(a.v + 6)));
}

/* p[i..] = a or p[i..] += a. */
template <int N, class T>
__device__ static inline void put_or_add_pack(T *p, int64_t i, pack<N> a, bool add)
{
    if (add) {
        pack<N> old = get_pack<N>(p, i);
        for (int k = 0; k < N; k++)
            a.v[k] += old.v[k];
    }
    put_pack(p, i, a);
}

__device__ static inline float warp_sum(float v)
{
    for (int d = CUDA_WARP / 2; d > 0; d /= 2)
        v += __shfl_xor_sync(FULL_MASK, v, d);
    return v;
}

__device__ static inline double warp_sum(double v)
{
    for (int d = CUDA_WARP / 2; d > 0; d /= 2)
        v += __shfl_xor_sync(FULL_MASK, v, d);
    return v;
}

__device__ static inline float warp_max(float v)
{
    for (int d = CUDA_WARP / 2; d > 0; d /= 2)
        v = fmaxf(v, __shfl_xor_sync(FULL_MASK, v, d));
    return v;
}

/* Sum over a block of CUDA_BLOCK threads, known to all of them. `slot`: CUDA_WARPS values of shared
 * memory. Holds two barriers. */
template <class T> __device__ static inline T block_sum(T v, T *slot)
{
    v = warp_sum(v);
    __syncthreads(); /* the slots are free again */
    if (threadIdx.x % CUDA_WARP == 0)
        slot[threadIdx.x / CUDA_WARP] = v;
    __syncthreads();
    T sum = 0;
    for (int i = 0; i < CUDA_WARPS; i++)
        sum += slot[i];
    return sum;
}

#endif
