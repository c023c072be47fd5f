/* What the files of the CUDA backend share: its struct, scratch memory, launches, and the small
 * device functions of all kernels. Rules for kernels: tests/cuda_on_cpu/README.md. Every sum runs
 * in an order that depends on the shape only; no float atomics. */
#ifndef MODEL_CUDA_CUDA_CUH
#define MODEL_CUDA_CUDA_CUH

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

struct cuda {
    backend base; /* first member */
    int device;
    cudaStream_t stream;
    cuda_scratch scratch, parts; /* of one op: values; partial sums */
    cuda_scratch lent;           /* to cuDNN: its workspace */
    cuda_scratch staging;        /* images on their way */
    cuda_gemm_context *gemm;
    flash *fused; /* opened with the first bf16 attention; NULL: not here */
    bool fused_asked;
    struct cuda_group *group; /* of sums over processes; NULL: alone */
    size_t copies;            /* bytes of bf16 weights */
    long long *bad;           /* one word: answer of nonfinite */
};

static inline cuda *cuda_of(backend *be)
{
    return (cuda *)be;
}

/* Ends the program: memory with exit 5 and what was asked for, anything else as a bug. */
void cuda_check(cudaError_t status, const char *what);
/* At least `bytes` of device memory, uninitialised, 256-byte aligned; kept between calls. The next
 * call may move it: ask once for all that an op needs. */
void *cuda_scratch_get(cuda *c, cuda_scratch *s, size_t bytes);
/* A launch on the backend's stream; a launch that fails ends the program. */
template <class... P, class... A>
static inline void cuda_launch(const cuda *c, const char *name, void (*kernel)(P...), dim3 grid,
                               dim3 block, size_t shared, const A &...args)
{
    if (grid.x == 0 || grid.y == 0 || grid.z == 0)
        return;
    cuda_check(launch(kernel, grid, block, shared, c->stream, args...), name);
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

/* p[i] = v or p[i] += v. */
template <class T> __device__ static inline void put_or_add(T *p, int64_t i, float v, bool add)
{
    put(p, i, add ? get(p, i) + v : v);
}

/* Four neighbours at once; i is a multiple of 4 and p aligned for it. */
__device__ static inline float4 get4(const float *p, int64_t i)
{
    return *reinterpret_cast<const float4 *>(p + i);
}

__device__ static inline float4 get4(const bf16 *p, int64_t i)
{
    ushort4 u = *reinterpret_cast<const ushort4 *>(p + i);
    return make_float4(
        __bfloat162float(__ushort_as_bfloat16(u.x)), __bfloat162float(__ushort_as_bfloat16(u.y)),
        __bfloat162float(__ushort_as_bfloat16(u.z)), __bfloat162float(__ushort_as_bfloat16(u.w)));
}

__device__ static inline void put4(float *p, int64_t i, float4 v)
{
    *reinterpret_cast<float4 *>(p + i) = v;
}

__device__ static inline void put4(bf16 *p, int64_t i, float4 v)
{
    *reinterpret_cast<ushort4 *>(p + i) =
        make_ushort4(__bfloat16_as_ushort(__float2bfloat16_rn(v.x)),
                     __bfloat16_as_ushort(__float2bfloat16_rn(v.y)),
                     __bfloat16_as_ushort(__float2bfloat16_rn(v.z)),
                     __bfloat16_as_ushort(__float2bfloat16_rn(v.w)));
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
