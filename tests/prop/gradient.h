/* Directional derivatives of a loss against the tape's gradients. For each parameter and each of 8
 * random directions u: (L(x + hu) - L(x - hu)) must equal the gradient times the step really taken.
 * L is summed in double on the host from the logits, so only the forward pass is float32. */
#ifndef TESTS_PROP_GRADIENT_H
#define TESTS_PROP_GRADIENT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/rng.h"
#include "model/model.h"
#include "tests/fixtures/deit/formula.h"

#define GRADIENT_LIMIT 2e-3

/* Directions per tensor: 8, fewer under a sanitizer (environment SAN), where time is short. */
static inline int gradient_directions(void)
{
    const char *san = getenv("SAN");
    return san && *san ? 2 : 8;
}

/* A function under test: builds logits [b,1,k] on a run from the parameters of `set`. */
typedef struct gradient_case {
    const char *name;
    backend *be;
    param_set *set;
    tensor *(*build)(void *ctx, run *r);
    void *ctx;
    run_mode probe; /* mode of the forward passes that are differenced */
    const int32_t *labels;
    const float *weights; /* per sample, or NULL */
    float smoothing;
    bool quick;       /* many blocks: 2 directions, and of the blocks of a stage the first alone */
    int directions;   /* of each tensor; 0 = gradient_directions, or 2 where quick */
    const int *flips; /* counts forward passes whose selection of tokens is another one, or NULL */
} gradient_case;

typedef struct gradient_worst {
    double error;
    char where[160];
    int directions, crossed; /* crossed: no step small enough to keep the selection */
} gradient_worst;

/* Cross-entropy with label smoothing, by its definition, in double. */
static inline double gradient_loss(const float *z, int b, int k, const gradient_case *c)
{
    double total = 0, mass = 0;
    for (int i = 0; i < b; i++) {
        const float *row = z + (int64_t)i * k;
        double top = row[0], sum = 0, mean = 0, w = c->weights ? c->weights[i] : 1.0;
        for (int j = 1; j < k; j++)
            top = fmax(top, row[j]);
        for (int j = 0; j < k; j++) {
            sum += exp(row[j] - top);
            mean += row[j] / (double)k;
        }
        double lse = top + log(sum), eps = c->smoothing;
        total += w * (lse - (1 - eps) * row[c->labels[i]] - eps * mean);
        mass += w;
    }
    return total / mass;
}

static inline double gradient_eval(const gradient_case *c, run *r)
{
    run_reset(r);
    tensor *z = c->build(c->ctx, r);
    assert_int_equal(z->n, 1);
    float *host = mem_alloc((size_t)tensor_count(z) * sizeof(float));
    run_read(r, z, host);
    double loss = gradient_loss(host, z->b, z->c, c);
    mem_free(host);
    return loss;
}

/* Fill p->g of every parameter; the device's loss must be the host's. */
static inline void gradient_backward(const gradient_case *c)
{
    run *r = run_new(c->be, RUN_TRAIN);
    float device;
    param_zero_grad(c->set);
    tensor *z = c->build(c->ctx, r);
    tensor *l = op_loss(r, z, c->labels, c->weights, c->smoothing);
    run_backward(r, l);
    run_read(r, l, &device);
    float *host = mem_alloc((size_t)tensor_count(z) * sizeof(float));
    run_read(r, z, host);
    double want = gradient_loss(host, z->b, z->c, c);
    if (!(fabs(device - want) <= 2e-6 * fmax(1.0, fabs(want))))
        fail_msg("%s: op_loss gives %.9g, the definition %.9g", c->name, device, want);
    mem_free(host);
    run_free(r);
}

/* Error of one direction: best of three step sizes, in units of the larger derivative (or of a
 * fifth of the gradient's norm, where the direction happens to be almost across the gradient). Four
 * points per step: a large step then keeps the curvature out and the rounding of the forward pass
 * small. A step that crosses a border between selections proves nothing and is left out; -1 = all
 * did. */
static inline double gradient_direction(const gradient_case *c, run *r, param *p, const float *x0,
                                        const float *g, const double *u)
{
    static const double drop[3] = {0.008, 0.0025, 0.03}; /* wanted change of the loss */
    static const double at[4] = {1, -1, 2, -2}, factor[4] = {8, -8, -1, 1};
    double gg = 0, uu = 0, xx = 0, best = INFINITY;
    int crossed = 0;
    for (int64_t i = 0; i < p->n; i++) {
        gg += (double)g[i] * g[i];
        uu += u[i] * u[i];
        xx += (double)x0[i] * x0[i];
    }
    double size = sqrt(uu / (double)p->n), reach = 0.25 * sqrt(xx / (double)p->n) + 1e-3;
    float *x = mem_alloc((size_t)p->n * sizeof(float));
    for (int s = 0; s < 3 && !(best < GRADIENT_LIMIT / 5); s++) {
        double h = fmin(drop[s] / (size * sqrt(gg) + 1e-30), reach / size * drop[s] / drop[2]);
        double seen = 0, moved = 0;
        int before = c->flips ? *c->flips : 0;
        for (int k = 0; k < 4; k++) {
            for (int64_t i = 0; i < p->n; i++) {
                x[i] = (float)(x0[i] + at[k] * h * u[i]);
                moved += factor[k] * (double)g[i] * ((double)x[i] - x0[i]);
            }
            param_write(c->set, p, x);
            seen += factor[k] * gradient_eval(c, r);
        }
        double unit = fmax(fmax(fabs(seen), fabs(moved)), 0.2 * 12 * h * size * sqrt(gg));
        double error = seen == moved ? 0 : fabs(seen - moved) / unit;
        if (error < best && (!c->flips || *c->flips == before))
            best = error;
        crossed += c->flips && *c->flips != before;
    }
    mem_free(x);
    return crossed == 3 ? -1 : best;
}

/* Check every parameter of the case; notes the worst. Fails on an error above the limit and on a
 * gradient that vanishes altogether, unless `dead` names that parameter. */
static inline void gradient_check(const gradient_case *c, uint64_t seed, const char *dead,
                                  gradient_worst *w)
{
    run *r = run_new(c->be, c->probe);
    gradient_backward(c);
    for (int i = 0; i < c->set->n; i++) {
        param *p = &c->set->p[i];
        if (c->quick && strstr(p->name, "blocks.") && !strstr(p->name, "blocks.0."))
            continue;
        size_t bytes = (size_t)p->n * sizeof(float);
        float *x0 = mem_alloc(bytes), *g = mem_alloc(bytes);
        double *u = mem_alloc((size_t)p->n * sizeof(double)), gg = 0;
        param_read(c->set, p, x0);
        backend_to_host(c->be, g, p->g, bytes);
        for (int64_t k = 0; k < p->n; k++)
            gg += (double)g[k] * g[k];
        if (!(gg > 0) && !(dead && !strcmp(dead, p->name)))
            fail_msg("%s: gradient of %s is zero (or NaN)", c->name, p->name);
        int directions = c->directions ? c->directions : c->quick ? 2 : gradient_directions();
        for (int d = 0; d < directions; d++) {
            rng q;
            rng_init(&q, seed, RNG_PROBE, formula_hash(p->name), (uint64_t)d);
            for (int64_t k = 0; k < p->n; k++)
                u[k] = rng_normal(&q);
            double error = gradient_direction(c, r, p, x0, g, u);
            w->directions++;
            w->crossed += error < 0;
            if (!(error <= w->error)) {
                w->error = error;
                snprintf(w->where, sizeof(w->where), "%s %s direction %d", c->name, p->name, d);
            }
            if (!(error <= GRADIENT_LIMIT))
                fail_msg("%s: %s direction %d: error %.3e, limit %.0e (seed %llu)", c->name,
                         p->name, d, error, GRADIENT_LIMIT, (unsigned long long)seed);
        }
        param_write(c->set, p, x0);
        mem_free(u);
        mem_free(g);
        mem_free(x0);
    }
    run_free(r);
}
#endif
