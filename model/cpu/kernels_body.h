/* The kernels' text, included by kernels.c once per instruction set. The includer defines V (vector
 * of VL floats), ISA(name), and v_load v_store v_set v_add v_sub v_mul v_div v_fma (a*b+c) v_max
 * v_min v_abs v_round v_scale2 (x * 2^k) v_sqrt v_sum (fixed tree) v_select_neg (x<0 ? a : b)
 * v_hmax; all of them are undefined at the end. */

#include <math.h>

#include "core/err.h"
#include "model/cpu/kernels.h"

#ifndef V /* portable C: vectors of one */
#define ISA(f)                f##_plain
#define ISA_NAME              "plain"
#define VL                    1
#define V                     float
#define v_load(p)             (*(p))
#define v_store(p, v)         (*(p) = (v))
#define v_set(f)              (f)
#define v_add(a, b)           ((a) + (b))
#define v_sub(a, b)           ((a) - (b))
#define v_mul(a, b)           ((a) * (b))
#define v_div(a, b)           ((a) / (b))
#define v_fma(a, b, c)        ((a) * (b) + (c))
#define v_max(a, b)           ((a) > (b) ? (a) : (b))
#define v_min(a, b)           ((a) < (b) ? (a) : (b))
#define v_abs(a)              fabsf(a)
#define v_round(a)            nearbyintf(a)
#define v_scale2(a, k)        ldexpf(a, (int)(k))
#define v_sqrt(a)             sqrtf(a)
#define v_sum(a)              (a)
#define v_hmax(a)             (a)
#define v_select_neg(x, a, b) ((x) < 0 ? (a) : (b))
#endif

/* exp: x = k ln2 + r, |r| <= ln2/2; the polynomial is a Chebyshev fit with error below 1e-8. */
static inline V ISA(v_exp)(V x)
{
    x = v_max(v_set(-87.0f), v_min(v_set(88.0f), x)); /* this order keeps a NaN */
    V k = v_round(v_mul(x, v_set(1.44269504f)));
    V r = v_fma(k, v_set(-0.693145752f), x);
    r = v_fma(k, v_set(-1.42860682e-6f), r);
    V p = v_set(0.00139261762f);
    p = v_fma(p, r, v_set(0.00836317307f));
    p = v_fma(p, r, v_set(0.0416665547f));
    p = v_fma(p, r, v_set(0.16666577f));
    p = v_fma(p, r, v_set(0.5f));
    p = v_fma(v_mul(p, r), r, r);
    p = v_add(p, v_set(1.0f));
    return v_scale2(p, k);
}

/* *cdf = Phi(x), *pdf = phi(x)*sqrt(2 pi) = exp(-x^2/2). Phi(-z) = exp(-z^2/2) t Q(t) with
 * t = 1/(1 + 0.24 z); Q is a Chebyshev fit over z in 0..13 with relative error below 4e-9. */
static inline void ISA(v_normal)(V x, V *cdf, V *pdf)
{
    V z = v_min(v_set(13.0f), v_abs(x));
    V g = ISA(v_exp)(v_mul(v_mul(z, z), v_set(-0.5f)));
    V t = v_div(v_set(1.0f), v_fma(z, v_set(0.24f), v_set(1.0f)));
    V q = v_set(0.0253415528f);
    q = v_fma(q, t, v_set(-0.123628342f));
    q = v_fma(q, t, v_set(0.203081231f));
    q = v_fma(q, t, v_set(-0.141018587f));
    q = v_fma(q, t, v_set(0.138681854f));
    q = v_fma(q, t, v_set(0.0296902217f));
    q = v_fma(q, t, v_set(0.0872083132f));
    q = v_fma(q, t, v_set(0.0890596214f));
    q = v_fma(q, t, v_set(0.0958411680f));
    q = v_fma(q, t, v_set(0.0957429681f));
    V tail = v_mul(v_mul(q, t), g);
    *cdf = v_select_neg(x, tail, v_sub(v_set(1.0f), tail));
    *pdf = g;
}

/* The last n % VL elements, padded with zeros; what is computed beyond them is not stored. */
static inline V ISA(v_head)(const float *x, int n)
{
    float t[VL] = {0};
    for (int i = 0; i < n; i++)
        t[i] = x[i];
    return v_load(t);
}

static inline void ISA(v_put)(float *y, V v, int n)
{
    float t[VL];
    v_store(t, v);
    for (int i = 0; i < n; i++)
        y[i] = t[i];
}

static inline V ISA(gelu_value)(V x)
{
    V cdf, pdf;
    ISA(v_normal)(x, &cdf, &pdf);
    return v_mul(x, cdf);
}

static inline V ISA(gelu_slope)(V x)
{
    V cdf, pdf;
    ISA(v_normal)(x, &cdf, &pdf);
    return v_fma(v_mul(x, v_set(0.398942280f)), pdf, cdf);
}

/* The tanh form, (1 + tanh z) / 2 written as s = 1 / (1 + exp(-2 z)), z = sqrt(2/pi) (x + 0.044715
 * x^3); beyond +-10, where s is 0 or 1, z stays. *rest = 1 - s, *slope = the slope of 2 z. */
static inline V ISA(v_gate)(V x, V *rest, V *slope)
{
    x = v_max(v_set(-10.0f), v_min(v_set(10.0f), x));
    V xx = v_mul(x, x);
    V e =
        ISA(v_exp)(v_mul(v_mul(x, v_set(-1.59576912f)), v_fma(xx, v_set(0.044715f), v_set(1.0f))));
    V s = v_div(v_set(1.0f), v_add(v_set(1.0f), e));
    *rest = v_mul(e, s);
    *slope = v_mul(v_set(1.59576912f), v_fma(xx, v_set(0.134145f), v_set(1.0f)));
    return s;
}

static inline V ISA(gelu_tanh_value)(V x)
{
    V rest, slope;
    return v_mul(x, ISA(v_gate)(x, &rest, &slope));
}

static inline V ISA(gelu_tanh_slope)(V x)
{
    V rest, slope, s = ISA(v_gate)(x, &rest, &slope);
    return v_fma(v_mul(v_mul(x, s), rest), slope, s);
}

/* A row by a function of one vector, and its gradient by the slope. */
#define GELU(form)                                                                                 \
    static void ISA(form)(const float *u, float *y, int n)                                         \
    {                                                                                              \
        int i = 0;                                                                                 \
        for (; i + VL <= n; i += VL)                                                               \
            v_store(y + i, ISA(form##_value)(v_load(u + i)));                                      \
        if (i < n)                                                                                 \
            ISA(v_put)(y + i, ISA(form##_value)(ISA(v_head)(u + i, n - i)), n - i);                \
    }                                                                                              \
    static void ISA(form##_back)(const float *u, const float *dy, float *du, bool add, int n)      \
    {                                                                                              \
        int i = 0;                                                                                 \
        for (; i + VL <= n; i += VL) {                                                             \
            V d = v_mul(ISA(form##_slope)(v_load(u + i)), v_load(dy + i));                         \
            v_store(du + i, add ? v_add(v_load(du + i), d) : d);                                   \
        }                                                                                          \
        if (i < n) {                                                                               \
            int k = n - i;                                                                         \
            V d = v_mul(ISA(form##_slope)(ISA(v_head)(u + i, k)), ISA(v_head)(dy + i, k));         \
            ISA(v_put)(du + i, add ? v_add(ISA(v_head)(du + i, k), d) : d, k);                     \
        }                                                                                          \
    }
GELU(gelu)
GELU(gelu_tanh)
#undef GELU

static void ISA(sum2)(float *y, const float *a, const float *b, float scale, int n)
{
    V f = v_set(scale);
    int i = 0;
    for (; i + VL <= n; i += VL)
        v_store(y + i, v_fma(f, v_load(b + i), v_load(a + i)));
    if (i < n)
        ISA(v_put)(y + i, v_fma(f, ISA(v_head)(b + i, n - i), ISA(v_head)(a + i, n - i)), n - i);
}

static void ISA(norm)(const float *x, const float *add, float scale, const float *w, const float *b,
                      float eps, float *s, float *y, float *stat, int n)
{
    if (add) {
        ISA(sum2)(s, x, add, scale, n);
        x = s;
    }
    V sum = v_set(0.0f), sq = v_set(0.0f);
    int i = 0, whole = n / VL * VL;
    for (; i < whole; i += VL)
        sum = v_add(sum, v_load(x + i));
    float total = v_sum(sum);
    for (; i < n; i++)
        total += x[i];
    float mean = total / (float)n;
    V m = v_set(mean);
    for (i = 0; i < whole; i += VL) {
        V d = v_sub(v_load(x + i), m);
        sq = v_fma(d, d, sq);
    }
    float var = v_sum(sq);
    for (; i < n; i++)
        var += (x[i] - mean) * (x[i] - mean);
    float rstd = 1.0f / sqrtf(var / (float)n + eps);
    V f = v_set(rstd);
    for (i = 0; i < whole; i += VL)
        v_store(y + i, v_fma(v_mul(v_sub(v_load(x + i), m), f), v_load(w + i), v_load(b + i)));
    for (; i < n; i++)
        y[i] = (x[i] - mean) * rstd * w[i] + b[i];
    if (stat) {
        stat[0] = mean;
        stat[1] = rstd;
    }
}

static void ISA(norm_back)(const kernels_norm *k, int n)
{
    V s1 = v_set(0.0f), s2 = v_set(0.0f), m = v_set(k->mean), f = v_set(k->rstd);
    int i = 0, whole = n / VL * VL;
    for (; i < whole; i += VL) {
        V dy = v_load(k->dy + i), h = v_mul(v_sub(v_load(k->x + i), m), f);
        V g = v_mul(dy, v_load(k->w + i));
        s1 = v_add(s1, g);
        s2 = v_fma(g, h, s2);
        v_store(k->dw + i, v_fma(dy, h, v_load(k->dw + i)));
        v_store(k->db + i, v_add(dy, v_load(k->db + i)));
    }
    float a = v_sum(s1), c = v_sum(s2);
    for (; i < n; i++) {
        float h = (k->x[i] - k->mean) * k->rstd, g = k->dy[i] * k->w[i];
        a += g;
        c += g * h;
        k->dw[i] += k->dy[i] * h;
        k->db[i] += k->dy[i];
    }
    a /= (float)n;
    c /= (float)n;
    V va = v_set(a), vc = v_set(-c), sc = v_set(k->scale);
    for (i = 0; i < whole; i += VL) {
        V h = v_mul(v_sub(v_load(k->x + i), m), f);
        V d = v_sub(v_mul(v_load(k->dy + i), v_load(k->w + i)), va);
        d = v_mul(v_fma(vc, h, d), f);
        if (k->sum_g)
            d = v_add(d, v_load(k->sum_g + i));
        v_store(k->dx + i, k->add_x ? v_add(v_load(k->dx + i), d) : d);
        if (k->dadd)
            v_store(k->dadd + i, k->add_add ? v_fma(sc, d, v_load(k->dadd + i)) : v_mul(sc, d));
    }
    for (; i < n; i++) {
        float h = (k->x[i] - k->mean) * k->rstd;
        float d = (k->dy[i] * k->w[i] - a - c * h) * k->rstd + (k->sum_g ? k->sum_g[i] : 0);
        k->dx[i] = k->add_x ? k->dx[i] + d : d;
        if (k->dadd)
            k->dadd[i] = k->add_add ? k->dadd[i] + k->scale * d : k->scale * d;
    }
}

static float ISA(softmax)(float *s, int n, float scale, float *lse)
{
    int i = 0, whole = n / VL * VL;
    V top = v_set(s[0]), f = v_set(scale), sum = v_set(0.0f);
    for (; i < whole; i += VL)
        top = v_max(top, v_load(s + i));
    float max = v_hmax(top);
    for (; i < n; i++)
        max = s[i] > max ? s[i] : max;
    max *= scale;
    V m = v_set(-max);
    for (i = 0; i < whole; i += VL) {
        V p = ISA(v_exp)(v_fma(f, v_load(s + i), m));
        v_store(s + i, p);
        sum = v_add(sum, p);
    }
    float total = v_sum(sum);
    if (i < n) {
        float t[VL];
        v_store(t, ISA(v_exp)(v_fma(f, ISA(v_head)(s + i, n - i), m)));
        for (int k = 0; i < n; i++, k++) {
            s[i] = t[k];
            total += t[k];
        }
    }
    *lse = max + logf(total);
    return total;
}

static void ISA(softmax_back)(float *s, float *dp, int n, float scale, float lse, float delta)
{
    V f = v_set(scale), l = v_set(-lse), d = v_set(delta);
    int i = 0;
    for (; i + VL <= n; i += VL) {
        V p = ISA(v_exp)(v_fma(f, v_load(s + i), l));
        v_store(s + i, p);
        v_store(dp + i, v_mul(v_mul(p, f), v_sub(v_load(dp + i), d)));
    }
    if (i < n) {
        V p = ISA(v_exp)(v_fma(f, ISA(v_head)(s + i, n - i), l));
        V g = v_mul(v_mul(p, f), v_sub(ISA(v_head)(dp + i, n - i), d));
        ISA(v_put)(s + i, p, n - i);
        ISA(v_put)(dp + i, g, n - i);
    }
}

static float ISA(dot)(const float *a, const float *b, int n)
{
    V s = v_set(0.0f);
    int i = 0;
    for (; i + VL <= n; i += VL)
        s = v_fma(v_load(a + i), v_load(b + i), s);
    float total = v_sum(s);
    for (; i < n; i++)
        total += a[i] * b[i];
    return total;
}

static void ISA(axpy)(float *y, const float *x, float a, bool add, int n)
{
    V f = v_set(a);
    int i = 0;
    for (; i + VL <= n; i += VL) {
        V v = v_load(x + i);
        v_store(y + i, add ? v_fma(f, v, v_load(y + i)) : v_mul(f, v));
    }
    if (i < n) {
        int k = n - i;
        V v = ISA(v_head)(x + i, k);
        ISA(v_put)(y + i, add ? v_fma(f, v, ISA(v_head)(y + i, k)) : v_mul(f, v), k);
    }
}

static void ISA(add)(float *y, const float *x, int n)
{
    int i = 0;
    for (; i + VL <= n; i += VL)
        v_store(y + i, v_add(v_load(y + i), v_load(x + i)));
    for (; i < n; i++)
        y[i] += x[i];
}

/* Rows i.. (four or one) and columns j.. (two vectors or one) of a product, held in registers. */
static ALWAYS_INLINE void ISA(tile)(const kernels_product *k, int i, int j, bool four, bool two)
{
    float *c0 = k->c + (int64_t)i * k->ldc + j, *c1 = c0, *c2 = c0, *c3 = c0;
    const float *a0 = k->a + (int64_t)i * k->a_row, *a1 = a0, *a2 = a0, *a3 = a0;
    const float *x = k->x + j;
    V l0 = v_set(0.0f), l1 = l0, l2 = l0, l3 = l0, h0 = l0, h1 = l0, h2 = l0, h3 = l0, xh = l0;
    if (four) {
        c1 = c0 + k->ldc;
        c2 = c1 + k->ldc;
        c3 = c2 + k->ldc;
        a1 = a0 + k->a_row;
        a2 = a1 + k->a_row;
        a3 = a2 + k->a_row;
    }
    if (k->add) {
        l0 = v_load(c0);
        l1 = v_load(c1);
        l2 = v_load(c2);
        l3 = v_load(c3);
        if (two) {
            h0 = v_load(c0 + VL);
            h1 = v_load(c1 + VL);
            h2 = v_load(c2 + VL);
            h3 = v_load(c3 + VL);
        }
    }
    for (int s = 0; s < k->depth; s++, x += k->ldx) {
        int64_t at = (int64_t)s * k->a_step;
        V xl = v_load(x), f = v_set(a0[at]);
        if (two)
            xh = v_load(x + VL);
        l0 = v_fma(f, xl, l0);
        h0 = v_fma(f, xh, h0);
        if (four) {
            f = v_set(a1[at]);
            l1 = v_fma(f, xl, l1);
            h1 = v_fma(f, xh, h1);
            f = v_set(a2[at]);
            l2 = v_fma(f, xl, l2);
            h2 = v_fma(f, xh, h2);
            f = v_set(a3[at]);
            l3 = v_fma(f, xl, l3);
            h3 = v_fma(f, xh, h3);
        }
    }
    if (four) {
        v_store(c3, l3);
        v_store(c2, l2);
        v_store(c1, l1);
    }
    v_store(c0, l0);
    if (two) {
        if (four) {
            v_store(c3 + VL, h3);
            v_store(c2 + VL, h2);
            v_store(c1 + VL, h1);
        }
        v_store(c0 + VL, h0);
    }
}

static void ISA(product)(const kernels_product *k)
{
    int j = 0, whole = k->m / 4 * 4;
    for (; j + 2 * VL <= k->n; j += 2 * VL) {
        for (int i = 0; i < whole; i += 4)
            ISA(tile)(k, i, j, true, true);
        for (int i = whole; i < k->m; i++)
            ISA(tile)(k, i, j, false, true);
    }
    for (; j + VL <= k->n; j += VL) {
        for (int i = 0; i < whole; i += 4)
            ISA(tile)(k, i, j, true, false);
        for (int i = whole; i < k->m; i++)
            ISA(tile)(k, i, j, false, false);
    }
    int rest = k->n - j;
    for (int i = 0; rest && i < k->m; i++) {
        float *c = k->c + (int64_t)i * k->ldc + j;
        V sum = k->add ? ISA(v_head)(c, rest) : v_set(0.0f);
        for (int s = 0; s < k->depth; s++)
            sum = v_fma(v_set(k->a[(int64_t)i * k->a_row + (int64_t)s * k->a_step]),
                        ISA(v_head)(k->x + (int64_t)s * k->ldx + j, rest), sum);
        ISA(v_put)(c, sum, rest);
    }
}

static double ISA(sumsq)(const float *x, int n)
{
    double part[8] = {0}, rest = 0;
    int i = 0;
    for (; i + 8 <= n; i += 8) {
        for (int k = 0; k < 8; k++)
            part[k] += (double)x[i + k] * x[i + k];
    }
    for (; i < n; i++)
        rest += (double)x[i] * x[i];
    for (int k = 0; k < 8; k++)
        rest += part[k];
    return rest;
}

static void ISA(sgd)(float *p, const float *g, float *v, float scale, float decay, float momentum,
                     float lr, int n)
{
    V f = v_set(scale), d = v_set(decay), m = v_set(momentum), l = v_set(-lr);
    int i = 0;
    for (; i + VL <= n; i += VL) {
        V x = v_load(p + i);
        V step = v_fma(f, v_load(g + i), v_mul(d, x));
        step = v_fma(m, v_load(v + i), step);
        v_store(v + i, step);
        v_store(p + i, v_fma(l, step, x));
    }
    for (; i < n; i++) {
        v[i] = momentum * v[i] + (scale * g[i] + decay * p[i]);
        p[i] -= lr * v[i];
    }
}

static void ISA(adamw)(float *p, const float *g, float *m, float *v, const kernels_adamw *k, int n)
{
    V f = v_set(k->scale), keep = v_set(1 - k->decay), b1 = v_set(k->beta1), b2 = v_set(k->beta2);
    V c1 = v_set(1 - k->beta1), c2 = v_set(1 - k->beta2), root = v_set(k->root);
    V eps = v_set(k->eps), rate = v_set(-k->rate);
    int i = 0;
    for (; i + VL <= n; i += VL) {
        V x = v_mul(v_load(p + i), keep), h = v_mul(v_load(g + i), f);
        V a = v_fma(b1, v_load(m + i), v_mul(c1, h));
        V s = v_fma(b2, v_load(v + i), v_mul(v_mul(c2, h), h));
        v_store(m + i, a);
        v_store(v + i, s);
        V d = v_fma(v_sqrt(s), root, eps);
        v_store(p + i, v_fma(rate, v_div(a, d), x));
    }
    for (; i < n; i++) {
        float h = g[i] * k->scale;
        m[i] = k->beta1 * m[i] + (1 - k->beta1) * h;
        v[i] = k->beta2 * v[i] + (1 - k->beta2) * h * h;
        p[i] = p[i] * (1 - k->decay) - k->rate * (m[i] / (sqrtf(v[i]) * k->root + k->eps));
    }
}

static const kernels ISA(table) = {
    .name = ISA_NAME,
    .lanes = VL,
    .gelu = {ISA(gelu), ISA(gelu_tanh)},
    .gelu_back = {ISA(gelu_back), ISA(gelu_tanh_back)},
    .norm = ISA(norm),
    .norm_back = ISA(norm_back),
    .softmax = ISA(softmax),
    .softmax_back = ISA(softmax_back),
    .dot = ISA(dot),
    .add = ISA(add),
    .axpy = ISA(axpy),
    .sum2 = ISA(sum2),
    .product = ISA(product),
    .sumsq = ISA(sumsq),
    .sgd = ISA(sgd),
    .adamw = ISA(adamw),
};

#undef ISA
#undef ISA_NAME
#undef VL
#undef V
#undef v_load
#undef v_store
#undef v_set
#undef v_add
#undef v_sub
#undef v_mul
#undef v_div
#undef v_fma
#undef v_max
#undef v_min
#undef v_abs
#undef v_round
#undef v_scale2
#undef v_sqrt
#undef v_sum
#undef v_hmax
#undef v_select_neg
