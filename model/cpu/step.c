/* Optimiser steps and gradient norms: one pass over all parameters, in pieces of fixed size. */
#include "model/cpu/cpu.h"

#include <math.h>

#define PIECE 32768

typedef struct step_piece {
    int param;
    int n;
    int64_t at;
} step_piece;

typedef struct step_job {
    cpu *c;
    param_set *s;
    step_piece *piece;
    int64_t pieces;
    float *const *m, *const *v;
    const backend_sgd *sgd;
    const backend_adamw *adamw;
    double *norm; /* per piece */
} step_job;

static step_job job_new(backend *be, param_set *s)
{
    step_job j = {.c = cpu_of(be), .s = s};
    int64_t cap = s->n + s->total / PIECE;
    /* norms first (8-byte aligned), then the pieces */
    size_t bytes = (size_t)cap * (sizeof(double) + sizeof(step_piece));
    j.norm = (double *)(void *)cpu_scratch_get(&j.c->shared, bytes / sizeof(float) + 1);
    j.piece = (step_piece *)(void *)(j.norm + cap);
    for (int p = 0; p < s->n; p++) {
        for (int64_t at = 0; at < s->p[p].n; at += PIECE) {
            int64_t left = s->p[p].n - at;
            j.piece[j.pieces++] = (step_piece){p, (int)(left < PIECE ? left : PIECE), at};
        }
    }
    return j;
}

static void sgd_task(void *ctx, int64_t i, int thread)
{
    const step_job *j = ctx;
    const step_piece *k = &j->piece[i];
    const param *p = &j->s->p[k->param];
    const backend_sgd *o = j->sgd;
    float scale = o->grad_scale * (o->per_tensor_scale ? o->per_tensor_scale[k->param] : 1.0f);
    if (isnan(scale))
        return;
    j->c->k->sgd(p->x + k->at, p->g + k->at, j->v[k->param] + k->at, scale,
                 p->decay ? o->weight_decay : 0.0f, o->momentum, o->lr, k->n);
}

void cpu_step_sgd(backend *be, param_set *s, float *const *v, const backend_sgd *o)
{
    step_job j = job_new(be, s);
    j.v = v;
    j.sgd = o;
    pool_for(be->pool, j.pieces, sgd_task, &j);
}

static void adamw_task(void *ctx, int64_t i, int thread)
{
    const step_job *j = ctx;
    const step_piece *k = &j->piece[i];
    const param *p = &j->s->p[k->param];
    const backend_adamw *o = j->adamw;
    kernels_adamw a = {.beta1 = o->beta1, .beta2 = o->beta2, .eps = o->eps};
    a.scale = o->grad_scale * (o->per_tensor_scale ? o->per_tensor_scale[k->param] : 1.0f);
    if (isnan(a.scale))
        return;
    a.decay = p->decay ? o->lr * o->weight_decay : 0.0f;
    a.rate = (float)((double)o->lr / (1 - pow((double)o->beta1, (double)o->step)));
    a.root = (float)(1 / sqrt(1 - pow((double)o->beta2, (double)o->step)));
    j->c->k->adamw(p->x + k->at, p->g + k->at, j->m[k->param] + k->at, j->v[k->param] + k->at, &a,
                   k->n);
}

void cpu_step_adamw(backend *be, param_set *s, float *const *m, float *const *v,
                    const backend_adamw *o)
{
    step_job j = job_new(be, s);
    j.m = m;
    j.v = v;
    j.adamw = o;
    pool_for(be->pool, j.pieces, adamw_task, &j);
}

static void norm_task(void *ctx, int64_t i, int thread)
{
    const step_job *j = ctx;
    const step_piece *k = &j->piece[i];
    j->norm[i] = j->c->k->sumsq(j->s->p[k->param].g + k->at, k->n);
}

void cpu_grad_norms(backend *be, param_set *s, double *out)
{
    step_job j = job_new(be, s);
    pool_for(be->pool, j.pieces, norm_task, &j);
    for (int p = 0; p < s->n; p++)
        out[p] = 0;
    for (int64_t i = 0; i < j.pieces; i++)
        out[j.piece[i].param] += j.norm[i];
}

void cpu_grad_scales(backend *be, param_set *s, const backend_clip *o, float *scale, double *norm)
{
    double total = 0, parts = o->parts;
    double *square = (double *)(void *)cpu_scratch_get(cpu_of(be)->own, 2 * (size_t)s->n);
    cpu_grad_norms(be, s, square);
    for (int i = 0; i < s->n; i++)
        total += square[i];
    *norm = isfinite(*norm) ? sqrt(total) / parts : *norm;
    double all = 1.0 / parts;
    if (o->clip > 0 && !o->each)
        all *= fmin(1, o->clip / (*norm + 1e-6));
    for (int i = 0; i < s->n; i++) {
        scale[i] = (float)all;
        if (o->clip > 0 && o->each)
            scale[i] *= (float)fmin(1, o->clip / (sqrt(square[i]) / parts + 1e-6));
        if (!isfinite(*norm))
            scale[i] = NAN;
    }
}
