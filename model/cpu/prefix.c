/* A learned token put before the rows of every sample. */
#include "model/cpu/cpu.h"

typedef struct prefix_job {
    cpu *c;
    op_args *a;
} prefix_job;

static void forward_task(void *ctx, int64_t s, int thread)
{
    const prefix_job *j = ctx;
    const op_args *a = j->a;
    size_t c = (size_t)a->y->c, n = (size_t)a->x->n;
    float *y = a->y->x + (size_t)s * (n + 1) * c;
    memcpy(y, a->w->x, c * sizeof(float));
    memcpy(y + c, a->x->x + (size_t)s * n * c, n * c * sizeof(float));
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
    int c = a->y->c, n = a->x->n;
    j->c->k->axpy(a->x->g + s * n * c, a->y->g + (s * (n + 1) + 1) * c, 1.0f, a->add_x, n * c);
}

void cpu_prefix_backward(backend *be, op_args *a)
{
    cpu *c = cpu_of(be);
    prefix_job j = {c, a};
    if (!a->x->fixed)
        pool_for(be->pool, a->y->b, backward_task, &j);
    for (int s = 0; s < a->y->b; s++)
        c->k->add(a->w->g, a->y->g + (int64_t)s * a->y->n * a->y->c, a->y->c);
}
