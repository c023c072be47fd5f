/* GELU and its slope, for the op and for matrix products: x * Phi(x), or the tanh form. */
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

/* (1 + tanh z) / 2 with z = sqrt(2/pi) (x + 0.044715 x^3). */
__device__ static inline float gelu_gate(float x)
{
    return 1 / (1 + expf(-1.59576912f * x * (1 + 0.044715f * x * x)));
}

__device__ static inline float gelu_tanh(float x)
{
    return x * gelu_gate(x);
}

__device__ static inline float gelu_tanh_slope(float x)
{
    float s = gelu_gate(x);
    return s + x * s * gelu_gate(-x) * 1.59576912f * (1 + 0.134145f * x * x);
}

/* Over n values of one type; y may be x. back: dx = or += dy * slope(x), dx may be dy. */
struct cuda_gelu_job {
    tensor_type type;
    bool tanh, add;
    const void *x, *dy;
    void *to;
    int64_t n;
};
void cuda_gelu(cuda *c, const cuda_gelu_job &j);
void cuda_gelu_back(cuda *c, const cuda_gelu_job &j);

#endif
