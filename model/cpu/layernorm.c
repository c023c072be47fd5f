/* LayerNorm, with the residual sum before it where there is one. */
#include "model/cpu/cpu.h"

typedef struct norm_job {
    cpu *c;
    op_args *a;
    float *parts; /* [sample, chunk][dw | db] */
} norm_job;

/* Rows of chunk i; *at = index of the first. */
static int chunk_rows(const tensor *y, int64_t i, int64_t *at)
{
    int chunks = cpu_chunks(y->n), from = (int)(i % chunks) * CPU_CHUNK;
    *at = i / chunks * y->n + from;
    return y->n - from < CPU_CHUNK ? y->n - from : CPU_CHUNK;
}

static float branch_scale(const op_args *a, int64_t row)
{
    return a->norm.scale ? a->norm.scale[row / a->y->n] : 1.0f;
}

static void forward_task(void *ctx, int64_t i, int thread)
{
    const norm_job *j = ctx;
    const op_args *a = j->a;
    int64_t at;
    int n = chunk_rows(a->y, i, &at), c = a->y->c;
    for (int64_t r = at; r < at + n; r++)
        j->c->k->norm(a->x->x + r * c, a->x2 ? a->x2->x + r * c : NULL, branch_scale(a, r), a->w->x,
                      a->b->x, a->norm.eps, a->y2 ? a->y2->x + r * c : NULL, a->y->x + r * c,
                      a->save ? a->save + 2 * r : NULL, c);
}

void cpu_layernorm_forward(backend *be, op_args *a)
{
    norm_job j = {cpu_of(be), a, NULL};
    pool_for(be->pool, (int64_t)a->y->b * cpu_chunks(a->y->n), forward_task, &j);
}

static void backward_task(void *ctx, int64_t i, int thread)
{
    const norm_job *j = ctx;
    const op_args *a = j->a;
    int64_t at;
    int n = chunk_rows(a->y, i, &at), c = a->y->c;
    float *part = j->parts + i * 2 * c;
    memset(part, 0, 2 * (size_t)c * sizeof(float));
    float *dadd = a->x2 && !a->x2->fixed ? a->x2->g : NULL;
    const float *in = a->y2 ? a->y2->x : a->x->x;
    float *dx = a->x->fixed ? cpu_scratch_get(&j->c->own[thread], (size_t)c) : a->x->g;
    for (int64_t r = at; r < at + n; r++) {
        kernels_norm k = {.dy = a->y->g + r * c, .x = in + r * c, .w = a->w->x};
        k.sum_g = a->y2 ? a->y2->g + r * c : NULL;
        k.mean = a->save[2 * r];
        k.rstd = a->save[2 * r + 1];
        k.scale = branch_scale(a, r);
        k.dx = a->x->fixed ? dx : dx + r * c;
        k.dadd = dadd ? dadd + r * c : NULL;
        k.add_x = a->add_x;
        k.add_add = a->add_x2;
        k.dw = part;
        k.db = part + c;
        j->c->k->norm_back(&k, c);
    }
}

void cpu_layernorm_backward(backend *be, op_args *a)
{
    cpu *c = cpu_of(be);
    int64_t count = (int64_t)a->y->b * cpu_chunks(a->y->n);
    int n = a->y->c;
    norm_job j = {c, a, cpu_scratch_get(&c->shared, (size_t)count * 2 * (size_t)n)};
    pool_for(be->pool, count, backward_task, &j);
    for (int64_t i = 0; i < count; i++) {
        c->k->add(a->w->g, j.parts + i * 2 * n, n);
        c->k->add(a->b->g, j.parts + i * 2 * n + n, n);
    }
}
