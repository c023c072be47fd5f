/* Row kernels of the CPU backend that are no matrix products, one build per instruction set.
 * Every sum runs in an order fixed by the length alone, so results depend on the instruction set
 * but never on threads or batch. */
#ifndef MODEL_CPU_KERNELS_H
#define MODEL_CPU_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct kernels_adamw {
    float scale, decay, beta1, beta2, eps, rate, root; /* rate = lr/bc1, root = 1/sqrt(bc2) */
} kernels_adamw;

/* Backward of one LayerNorm row; sum_g (or NULL) is added to what reaches the row. */
typedef struct kernels_norm {
    const float *dy, *x, *w, *sum_g;
    float mean, rstd, scale;
    float *dx, *dadd;    /* dadd NULL = no branch; receives scale * gradient */
    bool add_x, add_add; /* add to dx, dadd instead of overwriting */
    float *dw, *db;      /* added to */
} kernels_norm;

/* c[i][0..n) (+)= sum over s < depth of a[i*a_row + s*a_step] * x[s*ldx ..], s in order, i < m: for
 * products too small for oneDNN's overhead. */
typedef struct kernels_product {
    float *c;
    const float *a, *x;
    int ldc, a_row, a_step, ldx;
    int m, n, depth;
    bool add;
} kernels_product;

typedef struct kernels {
    const char *name;
    int lanes; /* floats of a vector */
    /* [0]: the exact form, [1]: the tanh form */
    void (*gelu[2])(const float *u, float *y, int n);
    void (*gelu_back[2])(const float *u, const float *dy, float *du, bool add, int n);
    /* s = x + scale*add (add may be NULL; s may be x or NULL), y = norm(s); stat[2] or NULL. */
    void (*norm)(const float *x, const float *add, float scale, const float *w, const float *b,
                 float eps, float *s, float *y, float *stat, int n);
    void (*norm_back)(const kernels_norm *k, int n);
    /* s[i] = exp(scale*s[i] - max); returns the sum, *lse = log-sum-exp of scale*s. */
    float (*softmax)(float *s, int n, float scale, float *lse);
    /* s = p = exp(scale*s - lse), dp = p * (dp - delta) * scale. */
    void (*softmax_back)(float *s, float *dp, int n, float scale, float lse, float delta);
    float (*dot)(const float *a, const float *b, int n);
    void (*add)(float *y, const float *x, int n);                               /* y += x */
    void (*axpy)(float *y, const float *x, float a, bool add, int n);           /* y (+)= a*x */
    void (*sum2)(float *y, const float *a, const float *b, float scale, int n); /* a + scale*b */
    void (*product)(const kernels_product *k);
    double (*sumsq)(const float *x, int n);
    void (*sgd)(float *p, const float *g, float *v, float scale, float decay, float momentum,
                float lr, int n);
    void (*adamw)(float *p, const float *g, float *m, float *v, const kernels_adamw *k, int n);
} kernels;

/* By the name of oneDNN's effective instruction set, so that both agree. */
const kernels *kernels_for(bool avx512, bool avx2);
#endif
