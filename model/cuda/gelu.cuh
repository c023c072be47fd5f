/* GELU x * Phi(x) and its slope, for the op and for the matrix product that ends in it. */
#ifndef MODEL_CUDA_GELU_CUH
#define MODEL_CUDA_GELU_CUH

#include "model/cuda/cuda.cuh"

__device__ static inline float gelu(float x)
{
    return 0.5f * x * erfcf(-0.707106781f * x);
}

__device__ static inline float gelu_slope(float x)
{
    return 0.5f * erfcf(-0.707106781f * x) + 0.398942280f * x * expf(-0.5f * x * x);
}

/* Over n values of one type; dx = or += dy * slope(x). */
void cuda_gelu(cuda *c, tensor_type type, const void *x, void *y, int64_t n);
void cuda_gelu_back(cuda *c, tensor_type type, const void *x, const void *dy, void *dx, int64_t n,
                    bool add);

#endif
