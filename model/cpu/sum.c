/* Sums of gradients: over micro-batches in memory, over processes by MPI (core/ranks). */
#include "model/cpu/cpu.h"

#define PIECE 65536

typedef struct fold_job {
    float *to;
    const float *from;
    int64_t n;
} fold_job;

static FAST_LOOPS void fold_task(void *ctx, int64_t i, int thread)
{
    const fold_job *j = ctx;
    int64_t at = i * PIECE, n = j->n - at < PIECE ? j->n - at : PIECE;
    float *to = j->to + at;
    const float *from = j->from + at;
    for (int64_t k = 0; k < n; k++)
        to[k] += from[k];
}

void cpu_fold(backend *be, float *to, const float *from, int64_t n)
{
    fold_job j = {to, from, n};
    pool_for(be->pool, (n + PIECE - 1) / PIECE, fold_task, &j);
}

bool cpu_join(backend *be, tensor_type travel, err *e)
{
    return travel == TENSOR_F32 ||
           err_set(e, ERR_CONFIG, "train.reduce bf16: the cpu backend sums in f32");
}

void cpu_sum_start(backend *be, float *x, int64_t n, int active)
{
    ranks_sum_start(be->ranks, x, n, active);
}

void cpu_sum_wait(backend *be)
{
    ranks_sum_wait(be->ranks);
}
