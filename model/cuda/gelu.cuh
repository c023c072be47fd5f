/* GELU and its slope, for the op and for matrix products: x * Phi(x), or the tanh form. */
#ifndef MODEL_CUDA_GELU_CUH
#define MODEL_CUDA_GELU_CUH

#include "model/cuda/cuda.cuh"

/* 2^x and 1/x by one instruction each, to about two units in the last place; what would be
 * subnormal is 0. */
__device__ static inline float quick_exp2(float x)
{
#ifdef __CUDA_ARCH__
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    return exp2f(x);
#endif
}

__device__ static inline float quick_inverse(float x)
{
#ifdef __CUDA_ARCH__
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    return 1 / x;
#endif
}

/* Phi(x), the normal distribution; *bell = exp(-x^2/2), which its density is a multiple of.
 * Phi(-z) = exp(-z^2/2) t Q(t) with t = 1/(1 + 0.304 z): the least largest relative error over z in
 * 0..14 of a Q of degree 7, found by least squares with weights that grow where the error is large
 * (Lawson); 0.304 has the least of all multiples of 0.002. Of the formula 1.3e-7; with the rounding
 * of float32 4e-7 to z = 2, 2e-6 to z = 6, and 2e-7 of Phi itself. */
__device__ static inline float normal(float x, float *bell)
{
    float z = fabsf(x), e = quick_exp2(-0.72134752f * z * z);
    float t = quick_inverse(fmaf(0.304f, z, 1.0f));
    float q = fmaf(0.03662502f, t, -0.1543524f);
    q = fmaf(q, t, 0.19060114f);
    q = fmaf(q, t, -0.041706134f);
    q = fmaf(q, t, 0.12281885f);
    q = fmaf(q, t, 0.10264f);
    q = fmaf(q, t, 0.12213665f);
    q = fmaf(q, t, 0.12123686f);
    float tail = q * t * e;
    *bell = e;
    return x < 0 ? tail : 1 - tail;
}

__device__ static inline float gelu(float x)
{
    float bell;
    return x * normal(x, &bell);
}

__device__ static inline float gelu_slope(float x)
{
    float bell, cdf = normal(x, &bell);
    return fmaf(0.398942280f * x, bell, cdf);
}

/* s = (1 + tanh z) / 2 with z = sqrt(2/pi) (x + 0.044715 x^3); *rest = s (1 - s), *slope = that of
 * 2 z, held beyond +-10, where *rest is 0 and the slope may be infinite. */
__device__ static inline float gelu_gate(float x, float *rest, float *slope)
{
    float a = fabsf(x), aa = a * a;
    float e = quick_exp2(-2.30220820f * a * fmaf(0.044715f, aa, 1.0f)); /* exp(-2 |z|) */
    float s = quick_inverse(1 + e), low = e * s;
    *rest = low * s;
    *slope = 1.59576912f * fmaf(0.134145f, fminf(aa, 100.0f), 1.0f);
    return x < 0 ? low : s;
}

__device__ static inline float gelu_tanh(float x)
{
    float rest, slope;
    return x * gelu_gate(x, &rest, &slope);
}

__device__ static inline float gelu_tanh_slope(float x)
{
    float rest, slope, s = gelu_gate(x, &rest, &slope);
    return fmaf(x * rest, slope, s);
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
