/* Residual addition; the branch may carry a drop-path factor per sample. */
#include "model/cpu/cpu.h"

typedef struct add_job {
    cpu *c;
    op_args *a;
    bool back;
} add_job;

static void task(void *ctx, int64_t i, int thread)
{
    const add_job *j = ctx;
    const op_args *a = j->a;
    int chunks = cpu_chunks(a->y->n), from = (int)(i % chunks) * CPU_CHUNK;
    int rows = a->y->n - from < CPU_CHUNK ? a->y->n - from : CPU_CHUNK;
    int64_t sample = i / chunks, at = (sample * a->y->n + from) * a->y->c;
    int n = rows * a->y->c;
    float scale = a->add.scale ? a->add.scale[sample] : 1.0f;
    if (!j->back) {
        j->c->k->sum2(a->y->x + at, a->x->x + at, a->x2->x + at, scale, n);
        return;
    }
    if (!a->x->fixed)
        j->c->k->axpy(a->x->g + at, a->y->g + at, 1.0f, a->add_x, n);
    if (!a->x2->fixed)
        j->c->k->axpy(a->x2->g + at, a->y->g + at, scale, a->add_x2, n);
}

static void run_chunks(backend *be, op_args *a, bool back)
{
    add_job j = {cpu_of(be), a, back};
    pool_for(be->pool, (int64_t)a->y->b * cpu_chunks(a->y->n), task, &j);
}

void cpu_add_forward(backend *be, op_args *a)
{
    run_chunks(be, a, false);
}

void cpu_add_backward(backend *be, op_args *a)
{
    run_chunks(be, a, true);
}
