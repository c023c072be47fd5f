/* Ranks by falling value: how many values come before each one; equal ones by rising index, NaN
 * last. Keys are unique, so the order of counting does not matter. */
#ifndef MODEL_CUDA_RANK_CUH
#define MODEL_CUDA_RANK_CUH

#include "model/cuda/cuda.cuh"

/* Rises as the value falls; the low half is the index. */
__device__ static inline uint64_t rank_key(float v, int i)
{
    uint32_t u = UINT32_MAX;
    if (v == v) {
        u = __float_as_uint(v + 0.0f); /* one zero */
        u = u >> 31 ? u : UINT32_MAX / 2 - u;
    }
    return (uint64_t)u << 32 | (uint32_t)i;
}

/* Rank of value `own` (index < n; any value where the thread has none) among value[n], by a whole
 * block of CUDA_BLOCK threads; tile: CUDA_BLOCK keys of shared memory. Holds barriers. */
__device__ static inline int rank_of(const float *value, int n, int own, uint64_t *tile)
{
    uint64_t key = own < n ? rank_key(value[own], own) : 0;
    int rank = 0;
    for (int from = 0; from < n; from += CUDA_BLOCK) {
        int i = from + (int)threadIdx.x, end = n - from < CUDA_BLOCK ? n - from : CUDA_BLOCK;
        __syncthreads();
        if (i < n)
            tile[threadIdx.x] = rank_key(value[i], i);
        __syncthreads();
        for (int k = 0; k < end; k++)
            rank += tile[k] < key;
    }
    return rank;
}

#endif
