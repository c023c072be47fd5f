/* Three builds of the row kernels: AVX-512, AVX2 with FMA, and portable C. */
#include "model/cpu/kernels.h"

#include <math.h>

#if defined(__x86_64__)
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,fma,avx2")
#define ISA(f)         f##_avx512
#define ISA_NAME       "avx512"
#define VL             16
#define V              __m512
#define v_load(p)      _mm512_loadu_ps(p)
#define v_store(p, v)  _mm512_storeu_ps(p, v)
#define v_set(f)       _mm512_set1_ps(f)
#define v_add(a, b)    _mm512_add_ps(a, b)
#define v_sub(a, b)    _mm512_sub_ps(a, b)
#define v_mul(a, b)    _mm512_mul_ps(a, b)
#define v_div(a, b)    _mm512_div_ps(a, b)
#define v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define v_max(a, b)    _mm512_max_ps(a, b)
#define v_min(a, b)    _mm512_min_ps(a, b)
#define v_abs(a)       _mm512_abs_ps(a)
#define v_round(a)     _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define v_scale2(a, k) _mm512_scalef_ps(a, k)
#define v_sqrt(a)      _mm512_sqrt_ps(a)
#define v_sum(a)       _mm512_reduce_add_ps(a)
#define v_hmax(a)      _mm512_reduce_max_ps(a)
#define v_select_neg(x, a, b)                                                                      \
    _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), b, a)
#include "model/cpu/kernels_body.h"
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma")
static inline float sum_avx2(__m256 a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
static inline float max_avx2(__m256 a)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
static inline __m256 scale2_avx2(__m256 a, __m256 k)
{
    __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(k), _mm256_set1_epi32(127));
    return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(e, 23)));
}
#define ISA(f)         f##_avx2
#define ISA_NAME       "avx2"
#define VL             8
#define V              __m256
#define v_load(p)      _mm256_loadu_ps(p)
#define v_store(p, v)  _mm256_storeu_ps(p, v)
#define v_set(f)       _mm256_set1_ps(f)
#define v_add(a, b)    _mm256_add_ps(a, b)
#define v_sub(a, b)    _mm256_sub_ps(a, b)
#define v_mul(a, b)    _mm256_mul_ps(a, b)
#define v_div(a, b)    _mm256_div_ps(a, b)
#define v_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define v_max(a, b)    _mm256_max_ps(a, b)
#define v_min(a, b)    _mm256_min_ps(a, b)
#define v_abs(a)       _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a)
#define v_round(a)     _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define v_scale2(a, k) scale2_avx2(a, k)
#define v_sqrt(a)      _mm256_sqrt_ps(a)
#define v_sum(a)       sum_avx2(a)
#define v_hmax(a)      max_avx2(a)
#define v_select_neg(x, a, b)                                                                      \
    _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ))
#include "model/cpu/kernels_body.h"
#pragma GCC pop_options
#endif

#include "model/cpu/kernels_body.h"

const kernels *kernels_for(bool avx512, bool avx2)
{
#if defined(__x86_64__)
    if (avx512)
        return &table_avx512;
    if (avx2)
        return &table_avx2;
#endif
    (void)avx512;
    (void)avx2;
    return &table_plain;
}
