/* Optimiser steps and gradient norms against double-precision twins; row kernels of every
 * instruction set of this machine against libm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "core/rng.h"
#include "model/cpu/kernels.h"
#include "model/param.h"
#include "tests/device.h"

enum { N_PARAMS = 4, STEPS = 7 };

typedef struct world {
    pool *pool;
    backend *be;
    param_set *set;
    float *m[N_PARAMS], *v[N_PARAMS];
    float *g[N_PARAMS]; /* on the host: the values at first, then the gradients of new_grads */
    double *x[N_PARAMS], *tm[N_PARAMS], *tv[N_PARAMS]; /* the twin */
    float scale[N_PARAMS];
} world;

static void setup_world(world *w, int threads)
{
    static const struct {
        const char *name;
        int ndim, shape[2];
    } spec[N_PARAMS] = {{"a.weight", 2, {37, 41}},
                        {"a.bias", 1, {37, 0}},
                        {"norm.weight", 1, {5, 0}},
                        {"big.weight", 2, {300, 250}}};
    err e = {0};
    memset(w, 0, sizeof *w);
    w->pool = pool_new(threads);
    w->be = backend_new(test_device(), w->pool, &e);
    assert_non_null(w->be);
    w->set = param_set_new(w->be, N_PARAMS);
    for (int i = 0; i < N_PARAMS; i++)
        param_add(w->set, spec[i].name, spec[i].ndim, spec[i].shape);
    param_set_alloc(w->set);
    for (int i = 0; i < N_PARAMS; i++) {
        param *p = &w->set->p[i];
        w->m[i] = backend_alloc(w->be, (size_t)p->n * sizeof(float));
        w->v[i] = backend_alloc(w->be, (size_t)p->n * sizeof(float));
        w->g[i] = MEM_ARRAY(float, p->n);
        w->x[i] = MEM_ARRAY(double, p->n);
        w->tm[i] = MEM_ARRAY(double, p->n);
        w->tv[i] = MEM_ARRAY(double, p->n);
        w->scale[i] = 1.0f / (float)(i + 1);
        param_init(w->set, p, PARAM_NORMAL, 0.5, 3);
        backend_to_host(w->be, w->g[i], p->x, (size_t)p->n * sizeof(float));
        for (int64_t k = 0; k < p->n; k++)
            w->x[i][k] = (double)w->g[i][k];
    }
}

static void release_world(world *w)
{
    for (int i = 0; i < N_PARAMS; i++) {
        backend_dealloc(w->be, w->m[i]);
        backend_dealloc(w->be, w->v[i]);
        mem_free(w->g[i]);
        mem_free(w->x[i]);
        mem_free(w->tm[i]);
        mem_free(w->tv[i]);
    }
    param_set_free(w->set);
    backend_free(w->be);
    pool_free(w->pool);
}

static void new_grads(world *w, int step)
{
    for (int i = 0; i < N_PARAMS; i++) {
        rng r;
        rng_init(&r, 5, RNG_TEST, (uint64_t)i, (uint64_t)step);
        const param *p = &w->set->p[i];
        for (int64_t k = 0; k < p->n; k++)
            w->g[i][k] = (float)rng_normal(&r);
        backend_to_device(w->be, p->g, w->g[i], (size_t)p->n * sizeof(float));
    }
}

static void compare(const world *w)
{
    for (int i = 0; i < N_PARAMS; i++) {
        const param *p = &w->set->p[i];
        float *now = MEM_ARRAY(float, p->n);
        backend_to_host(w->be, now, p->x, (size_t)p->n * sizeof(float));
        for (int64_t k = 0; k < p->n; k++)
            assert_true(fabs((double)now[k] - w->x[i][k]) < 2e-6);
        mem_free(now);
    }
}

static void decay_groups(void **state)
{
    (void)state;
    world w;
    setup_world(&w, 1);
    static const bool want[N_PARAMS] = {true, false, false, true};
    for (int i = 0; i < N_PARAMS; i++)
        assert_int_equal(w.set->p[i].decay, want[i]);
    release_world(&w);
}

static void sgd_is_the_formula(void **state)
{
    (void)state;
    world w;
    setup_world(&w, 2);
    backend_sgd o = {.lr = 0.05f, .momentum = 0.9f, .weight_decay = 0.01f, .grad_scale = 0.5f};
    o.per_tensor_scale = w.scale;
    uint64_t version = w.set->version;
    for (int s = 1; s <= STEPS; s++) {
        new_grads(&w, s);
        backend_step_sgd(w.be, w.set, w.v, &o);
        for (int i = 0; i < N_PARAMS; i++) {
            const param *p = &w.set->p[i];
            for (int64_t k = 0; k < p->n; k++) {
                double g = 0.5 * (double)w.scale[i] * (double)w.g[i][k];
                g += p->decay ? 0.01 * w.x[i][k] : 0;
                w.tv[i][k] = 0.9 * w.tv[i][k] + g;
                w.x[i][k] -= 0.05 * w.tv[i][k];
            }
        }
        compare(&w);
    }
    assert_true(w.set->version > version); /* packed weights are stale now */
    release_world(&w);
}

static void adamw_is_the_formula(void **state)
{
    (void)state;
    world w;
    setup_world(&w, 2);
    backend_adamw o = {.lr = 0.01f, .beta1 = 0.9f, .beta2 = 0.99f, .eps = 1e-3f};
    o.weight_decay = 0.1f;
    o.grad_scale = 2;
    for (int s = 1; s <= STEPS; s++) {
        new_grads(&w, s);
        o.step = s;
        backend_step_adamw(w.be, w.set, w.m, w.v, &o);
        for (int i = 0; i < N_PARAMS; i++) {
            const param *p = &w.set->p[i];
            for (int64_t k = 0; k < p->n; k++) {
                double g = 2 * (double)w.g[i][k], x = w.x[i][k];
                x *= p->decay ? 1 - 0.01 * 0.1 : 1;
                w.tm[i][k] = 0.9 * w.tm[i][k] + 0.1 * g;
                w.tv[i][k] = 0.99 * w.tv[i][k] + 0.01 * g * g;
                double m = w.tm[i][k] / (1 - pow(0.9, s)), v = w.tv[i][k] / (1 - pow(0.99, s));
                w.x[i][k] = x - 0.01 * m / (sqrt(v) + 1e-3);
            }
        }
        compare(&w);
    }
    release_world(&w);
}

static void norms_are_exact_and_free_of_threads(void **state)
{
    (void)state;
    double first[N_PARAMS];
    for (int threads = 1; threads <= 3; threads++) {
        world w;
        double got[N_PARAMS];
        setup_world(&w, threads);
        new_grads(&w, 9);
        backend_grad_norms(w.be, w.set, got);
        for (int i = 0; i < N_PARAMS; i++) {
            double want = 0;
            for (int64_t k = 0; k < w.set->p[i].n; k++)
                want += (double)w.g[i][k] * (double)w.g[i][k];
            assert_true(fabs(got[i] - want) <= 1e-12 * want);
        }
        if (threads == 1)
            memcpy(first, got, sizeof first);
        assert_memory_equal(got, first, sizeof first);
        param_zero_grad(w.set);
        backend_grad_norms(w.be, w.set, got);
        for (int i = 0; i < N_PARAMS; i++)
            assert_true(got[i] == 0);
        release_world(&w);
    }
}

static double gelu(double x)
{
    return x * 0.5 * erfc(-x / sqrt(2));
}

static double gelu_slope(double x)
{
    return 0.5 * erfc(-x / sqrt(2)) + x * exp(-x * x / 2) / sqrt(2 * M_PI);
}

/* (1 + tanh z) / 2 */
static double gate(double x)
{
    return 1 / (1 + exp(-2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double gelu_tanh(double x)
{
    return x * gate(x);
}

static double gelu_tanh_slope(double x)
{
    return gate(x) + x * gate(x) * gate(-x) * 2 * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
}

/* From -12.5 to 12.5, and what a gradient is added to; a NaN is never swallowed. */
static void check_gelu(const kernels *k, bool tanh)
{
    enum { N = 1003 };
    double (*value)(double) = tanh ? gelu_tanh : gelu;
    double (*slope)(double) = tanh ? gelu_tanh_slope : gelu_slope;
    float x[N], y[N], g[N], two[N];
    for (int i = 0; i < N; i++) {
        x[i] = (float)(i - N / 2) / 40.0f;
        two[i] = 2;
        g[i] = 1;
    }
    k->gelu[tanh](x, y, N);
    k->gelu_back[tanh](x, two, g, true, N);
    for (int i = 0; i < N; i++) {
        double v = (double)x[i];
        assert_true(fabs((double)y[i] - value(v)) <= 2.5e-7 * fmax(fabs(v), 0.1));
        assert_true(fabs((double)g[i] - 1 - 2 * slope(v)) <= 1.5e-6);
        if (v < -1 && value(v) < -1e-30) /* the tail keeps its relative precision */
            assert_true(fabs((double)y[i] / value(v) - 1) < 2e-5);
    }
    x[7] = NAN;
    k->gelu[tanh](x, y, N);
    assert_true(isnan(y[7]) && isfinite(y[8]));
}

static void check_kernels(const kernels *k)
{
    enum { N = 1003 };
    float x[N], y[N], lse;
    double sum = 0, top = -INFINITY;
    check_gelu(k, false);
    check_gelu(k, true);
    for (int i = 0; i < N; i++) {
        x[i] = (float)(i - N / 2) / 40.0f; /* -12.5 .. 12.5 */
        top = fmax(top, 0.7 * (double)x[i]);
    }
    for (int i = 0; i < N; i++)
        sum += exp(0.7 * (double)x[i] - top);
    memcpy(y, x, sizeof y);
    float total = k->softmax(y, N, 0.7f, &lse);
    assert_true(fabs((double)total - sum) < 1e-5 * sum);
    assert_true(fabs((double)lse - (top + log(sum))) < 2e-6);
    for (int i = 0; i < N; i++) {
        double p = exp(0.7 * (double)x[i] - top);
        assert_true(fabs((double)y[i] - p) <= 4e-6 * p + 1e-12);
    }
    y[7] = NAN; /* a NaN is never swallowed */
    assert_true(isnan(k->softmax(y, N, 0.7f, &lse)));
}

static void kernels_are_accurate(void **state)
{
    (void)state;
    check_kernels(kernels_for(false, false));
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        check_kernels(kernels_for(false, true));
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
        check_kernels(kernels_for(true, true));
#endif
}

/* Initial values: a function of seed and name, with the asked spread. */
static void initial_values(void **state)
{
    (void)state;
    world a, b;
    setup_world(&a, 1);
    setup_world(&b, 2);
    const param *p = param_find(a.set, "big.weight"), *q = param_find(b.set, "big.weight");
    const float *x = a.g[N_PARAMS - 1]; /* what the parameter holds at first */
    assert_int_equal(p->n, q->n);
    assert_memory_equal(x, b.g[N_PARAMS - 1], (size_t)p->n * sizeof(float));
    double sum = 0, sq = 0;
    for (int64_t i = 0; i < p->n; i++) {
        sum += (double)x[i];
        sq += (double)x[i] * (double)x[i];
        assert_true(fabsf(p->x[i]) <= 2);
    }
    double n = (double)p->n;
    assert_true(fabs(sum / n) < 0.5 * 4.5 / sqrt(n));
    assert_true(fabs(sqrt(sq / n) - 0.5) < 0.01);
    assert_true(a.g[0][0] != x[0]); /* another name, another stream */
    release_world(&a);
    release_world(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decay_groups),
        cmocka_unit_test(sgd_is_the_formula),
        cmocka_unit_test(adamw_is_the_formula),
        cmocka_unit_test(norms_are_exact_and_free_of_threads),
        cmocka_unit_test(kernels_are_accurate),
        cmocka_unit_test(initial_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
