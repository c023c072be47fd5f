/* Learned tokens put before the rows of every sample. */
#include "model/cpu/cpu.h"

typedef struct prefix_job {
    cpu *c;
    op_args *a;
} prefix_job;

static void forward_task(void *ctx, int64_t s, int thread)
{
    const prefix_job *j = ctx;
    const op_args *a = j->a;
    size_t first = (size_t)a->w->n, rest = (size_t)a->x->n * (size_t)a->x->c;
    float *y = a->y->x + (size_t)s * (first + rest);
    memcpy(y, a->w->x, first * sizeof(float));
    memcpy(y + first, a->x->x + (size_t)s * rest, rest * sizeof(float));
}

void cpu_prefix_forward(backend *be, op_args *a)
{
    prefix_job j = {cpu_of(be), a};
    pool_for(be->pool, a->y->b, forward_task, &j);
}

static void backward_task(void *ctx, int64_t s, int thread)
{
    const prefix_job *j = ctx;
    const op_args *a = j->a;
    int64_t first = a->w->n, rest = (int64_t)a->x->n * a->x->c;
    j->c->k->axpy(a->x->g + s * rest, a->y->g + s * (first + rest) + first, 1.0f, a->add_x,
                  (int)rest);
}

void cpu_prefix_backward(backend *be, op_args *a)
{
    cpu *c = cpu_of(be);
    prefix_job j = {c, a};
    if (!a->x->fixed)
        pool_for(be->pool, a->y->b, backward_task, &j);
    for (int64_t s = 0; s < a->y->b; s++)
        c->k->add(a->w->g, a->y->g + s * a->y->n * a->y->c, (int)a->w->n);
}
