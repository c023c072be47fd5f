/* PiT's pooling: a convolution 3x3 with stride 2 and padding 1 over the grid behind the first rows,
 * output channel o from input channel o / 2 alone. One task per row of a grid; sums over rows are
 * made of parts, as everywhere. */
#include "model/cpu/cpu.h"

#define TAPS 9

typedef struct pool_job {
    const op_args *a;
    int t, h, w, oh, ow, c;      /* first rows; grids of input and output; input channels */
    float *weight_part, *b_part; /* [chunks of all samples][2c * 9], [..][2c] */
} pool_job;

static pool_job job_of(const op_args *a)
{
    int h = a->pool.h, w = a->pool.w;
    return (pool_job){.a = a,
                      .t = a->x2->n,
                      .h = h,
                      .w = w,
                      .oh = op_pool_side(h),
                      .ow = op_pool_side(w),
                      .c = a->x->c};
}

/* Offset of grid point (i, j) of sample s in the input and in the output. */
static int64_t in_at(const pool_job *j, int64_t s, int i, int k)
{
    return (s * j->a->x->n + j->t + (int64_t)i * j->w + k) * j->c;
}

static int64_t out_at(const pool_job *j, int64_t s, int i, int k)
{
    return (s * j->a->y->n + j->t + (int64_t)i * j->ow + k) * 2 * j->c;
}

static void forward_point(const pool_job *j, int64_t s, int oi, int ok)
{
    const float *weight = j->a->w->x;
    float *y = j->a->y->x + out_at(j, s, oi, ok);
    memcpy(y, j->a->b->x, 2 * (size_t)j->c * sizeof(float));
    for (int tap = 0; tap < TAPS; tap++) {
        int i = 2 * oi - 1 + tap / 3, k = 2 * ok - 1 + tap % 3;
        if (i < 0 || i >= j->h || k < 0 || k >= j->w)
            continue;
        const float *x = j->a->x->x + in_at(j, s, i, k), *w = weight + tap;
        for (int c = 0; c < j->c; c++, w += 2 * TAPS) {
            y[2 * c] += w[0] * x[c];
            y[2 * c + 1] += w[TAPS] * x[c];
        }
    }
}

static void forward_task(void *ctx, int64_t i, int thread)
{
    const pool_job *j = ctx;
    int64_t s = i / j->oh;
    int oi = (int)(i % j->oh);
    size_t n = (size_t)j->t * 2 * (size_t)j->c;
    if (oi == 0)
        memcpy(j->a->y->x + out_at(j, s, 0, 0) - n, j->a->x2->x + s * (int64_t)n,
               n * sizeof(float));
    for (int ok = 0; ok < j->ow; ok++)
        forward_point(j, s, oi, ok);
}

void cpu_pool_forward(backend *be, op_args *a)
{
    pool_job j = job_of(a);
    pool_for(be->pool, (int64_t)a->y->b * j.oh, forward_task, &j);
}

/* ---- gradient of the input ----------------------------------------------------------------------
 */

static void input_point(const pool_job *j, int64_t s, int i, int k)
{
    float *dx = j->a->x->g + in_at(j, s, i, k);
    if (!j->a->add_x)
        memset(dx, 0, (size_t)j->c * sizeof(float));
    for (int tap = 0; tap < TAPS; tap++) {
        int row = i + 1 - tap / 3, col = k + 1 - tap % 3; /* twice the output point */
        if (row % 2 || col % 2 || row / 2 >= j->oh || col / 2 >= j->ow)
            continue;
        const float *dy = j->a->y->g + out_at(j, s, row / 2, col / 2), *w = j->a->w->x + tap;
        for (int c = 0; c < j->c; c++, w += 2 * TAPS)
            dx[c] += w[0] * dy[2 * c] + w[TAPS] * dy[2 * c + 1];
    }
}

static void input_task(void *ctx, int64_t i, int thread)
{
    const pool_job *j = ctx;
    int64_t s = i / j->h;
    int row = (int)(i % j->h);
    size_t n = (size_t)j->t * (size_t)j->c; /* the first rows are not read */
    if (row == 0 && !j->a->add_x)
        memset(j->a->x->g + in_at(j, s, 0, 0) - n, 0, n * sizeof(float));
    for (int k = 0; k < j->w; k++)
        input_point(j, s, row, k);
}

static void tokens_backward(cpu *c, const pool_job *j)
{
    int n = j->t * 2 * j->c;
    for (int64_t s = 0; s < j->a->y->b; s++)
        c->k->axpy(j->a->x2->g + s * n, j->a->y->g + out_at(j, s, 0, 0) - n, 1.0f, j->a->add_x2, n);
}

/* ---- gradients of weight and bias ---------------------------------------------------------------
 */

static void weight_point(const pool_job *j, int64_t s, int p, float *dw, float *db)
{
    int oi = p / j->ow, ok = p % j->ow;
    const float *dy = j->a->y->g + out_at(j, s, oi, ok);
    for (int c = 0; c < 2 * j->c; c++)
        db[c] += dy[c];
    for (int tap = 0; tap < TAPS; tap++) {
        int i = 2 * oi - 1 + tap / 3, k = 2 * ok - 1 + tap % 3;
        if (i < 0 || i >= j->h || k < 0 || k >= j->w)
            continue;
        const float *x = j->a->x->x + in_at(j, s, i, k);
        float *g = dw + tap;
        for (int c = 0; c < j->c; c++, g += 2 * TAPS) {
            g[0] += dy[2 * c] * x[c];
            g[TAPS] += dy[2 * c + 1] * x[c];
        }
    }
}

static void weight_task(void *ctx, int64_t i, int thread)
{
    const pool_job *j = ctx;
    int points = j->oh * j->ow, chunks = cpu_chunks(points), n = 2 * j->c;
    int from = (int)(i % chunks) * CPU_CHUNK;
    int to = points - from < CPU_CHUNK ? points : from + CPU_CHUNK;
    float *dw = j->weight_part + i * n * TAPS, *db = j->b_part + i * n;
    memset(dw, 0, (size_t)n * TAPS * sizeof(float));
    memset(db, 0, (size_t)n * sizeof(float));
    for (int p = from; p < to; p++)
        weight_point(j, i / chunks, p, dw, db);
}

void cpu_pool_backward(backend *be, op_args *a)
{
    cpu *c = cpu_of(be);
    pool_job j = job_of(a);
    int64_t count = (int64_t)a->y->b * cpu_chunks(j.oh * j.ow);
    int n = 2 * j.c;
    j.weight_part = cpu_scratch_get(&c->shared, (size_t)count * (size_t)n * (TAPS + 1));
    j.b_part = j.weight_part + count * n * TAPS;
    pool_for(be->pool, count, weight_task, &j);
    cpu_sum_parts(c, a->w->g, j.weight_part, count, n * TAPS);
    cpu_sum_parts(c, a->b->g, j.b_part, count, n);
    if (!a->x2->fixed)
        tokens_backward(c, &j);
    if (!a->x->fixed)
        pool_for(be->pool, (int64_t)a->x->b * j.h, input_task, &j);
}
