/* Position embedding: each kept token gets the row of its own place. A planar map is stored channel
 * by channel and belongs to all patches. */
#include "model/cpu/cpu.h"

#define COLUMNS                                                                                    \
    64 /* of one piece of the gradient: pieces own columns, so no two threads add to one */

typedef struct position_job {
    cpu *c;
    op_args *a;
} position_job;

static int64_t place(const op_args *a, int64_t s, int i)
{
    int prefix = a->position.prefix, n = a->x->n - prefix;
    if (i < prefix || !a->position.keep)
        return i;
    return prefix + a->position.keep[s * n + i - prefix];
}

static void forward_task(void *ctx, int64_t s, int thread)
{
    const position_job *j = ctx;
    const op_args *a = j->a;
    int c = a->y->c, n = a->y->n;
    for (int i = 0; i < n; i++) {
        int64_t at = (s * n + i) * c;
        j->c->k->sum2(a->y->x + at, a->x->x + at, a->w->x + place(a, s, i) * c, 1.0f, c);
    }
}

static bool is_planar(const op_args *a)
{
    return a->w->ndim == 4;
}

static void planar_task(void *ctx, int64_t s, int thread)
{
    const position_job *j = ctx;
    const op_args *a = j->a;
    int c = a->y->c, n = a->y->n;
    for (int i = 0; i < n; i++) {
        int64_t at = (s * n + i) * c;
        for (int k = 0; k < c; k++)
            a->y->x[at + k] = a->x->x[at + k] + a->w->x[(int64_t)k * n + i];
    }
}

static void check_keep(const op_args *a)
{
    int64_t n = a->x->n - a->position.prefix, rows = a->w->n / a->x->c - a->position.prefix;
    for (int64_t i = 0; a->position.keep && i < a->x->b * n; i++) {
        if (a->position.keep[i] < 0 || a->position.keep[i] >= rows)
            BUG("position: patch %d of %lld", a->position.keep[i], (long long)rows);
    }
}

void cpu_position_forward(backend *be, op_args *a)
{
    position_job j = {cpu_of(be), a};
    check_keep(a);
    pool_for(be->pool, a->y->b, is_planar(a) ? planar_task : forward_task, &j);
}

static void pos_task(void *ctx, int64_t piece, int thread)
{
    const position_job *j = ctx;
    const op_args *a = j->a;
    int c = a->y->c, n = a->y->n, from = (int)piece * COLUMNS;
    int width = c - from < COLUMNS ? c - from : COLUMNS;
    for (int64_t s = 0; s < a->y->b; s++) {
        for (int i = 0; i < n; i++)
            j->c->k->add(a->w->g + place(a, s, i) * c + from, a->y->g + (s * n + i) * c + from,
                         width);
    }
}

static void planar_pos_task(void *ctx, int64_t piece, int thread)
{
    const position_job *j = ctx;
    const op_args *a = j->a;
    int c = a->y->c, n = a->y->n, from = (int)piece * COLUMNS;
    int to = from + COLUMNS < c ? from + COLUMNS : c;
    for (int64_t s = 0; s < a->y->b; s++) {
        for (int i = 0; i < n; i++) {
            for (int k = from; k < to; k++)
                a->w->g[(int64_t)k * n + i] += a->y->g[(s * n + i) * c + k];
        }
    }
}

static void input_task(void *ctx, int64_t s, int thread)
{
    const position_job *j = ctx;
    const op_args *a = j->a;
    int64_t n = (int64_t)a->y->n * a->y->c;
    j->c->k->axpy(a->x->g + s * n, a->y->g + s * n, 1.0f, a->add_x, (int)n);
}

void cpu_position_backward(backend *be, op_args *a)
{
    position_job j = {cpu_of(be), a};
    pool_for(be->pool, (a->y->c + COLUMNS - 1) / COLUMNS, is_planar(a) ? planar_pos_task : pos_task,
             &j);
    if (!a->x->fixed)
        pool_for(be->pool, a->y->b, input_task, &j);
}
