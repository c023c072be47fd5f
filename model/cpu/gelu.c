/* GELU on its own, by both forms. */
#include "model/cpu/cpu.h"

#define PIECE 16384

typedef struct gelu_job {
    cpu *c;
    op_args *a;
    bool back;
} gelu_job;

static void task(void *ctx, int64_t i, int thread)
{
    const gelu_job *j = ctx;
    const op_args *a = j->a;
    int64_t at = i * PIECE, left = tensor_count(a->y) - at;
    int n = left < PIECE ? (int)left : PIECE;
    if (j->back)
        j->c->k->gelu_back[a->gelu.tanh](a->x->x + at, a->y->g + at, a->x->g + at, a->add_x, n);
    else
        j->c->k->gelu[a->gelu.tanh](a->x->x + at, a->y->x + at, n);
}

static void run_pieces(backend *be, op_args *a, bool back)
{
    gelu_job j = {cpu_of(be), a, back};
    pool_for(be->pool, (tensor_count(a->y) + PIECE - 1) / PIECE, task, &j);
}

void cpu_gelu_forward(backend *be, op_args *a)
{
    run_pieces(be, a, false);
}

void cpu_gelu_backward(backend *be, op_args *a)
{
    if (!a->x->fixed)
        run_pieces(be, a, true);
}
