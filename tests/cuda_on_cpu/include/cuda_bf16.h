// cuda_bf16.h (CUDA-on-CPU) - the part of the toolkit's bf16 API that our kernels use, bit for bit.
#pragma once
#include <cstdint>
#include <cstring>

struct alignas(2) __nv_bfloat16 {
    uint16_t bits;
};
struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};

static inline float __bfloat162float(__nv_bfloat16 a)
{
    uint32_t u = (uint32_t)a.bits << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

// Round to nearest even; every NaN becomes 0x7fff, as on the device.
static inline __nv_bfloat16 __float2bfloat16_rn(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return {0x7fff};
    return {(uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16)};
}

static inline __nv_bfloat16 __float2bfloat16(float f)
{
    return __float2bfloat16_rn(f);
}
static inline __nv_bfloat162 __floats2bfloat162_rn(float a, float b)
{
    return {__float2bfloat16_rn(a), __float2bfloat16_rn(b)};
}
static inline float __low2float(__nv_bfloat162 a)
{
    return __bfloat162float(a.x);
}
static inline float __high2float(__nv_bfloat162 a)
{
    return __bfloat162float(a.y);
}
static inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short u)
{
    return {u};
}
static inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 a)
{
    return a.bits;
}
