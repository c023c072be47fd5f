/* What the files of the CPU backend share: its struct, scratch memory, row chunks. */
#ifndef MODEL_CPU_CPU_H
#define MODEL_CPU_CPU_H

#include <dnnl.h>

#include "core/mem.h"
#include "core/pool.h"
#include "model/cpu/kernels.h"
#include "model/ops_table.h"

backend *cpu_open(pool *p, err *e);

typedef struct cpu_scratch {
    float *data;
    size_t n; /* floats */
} cpu_scratch;

struct gemm;
typedef struct cpu {
    backend base;
    int threads;
    const kernels *k;
    dnnl_engine_t engine;
    dnnl_stream_t *stream; /* one per thread */
    cpu_scratch *own;      /* one per thread */
    cpu_scratch *library;  /* one per thread: oneDNN's scratchpads */
    cpu_scratch shared;    /* partial sums of one op */
    struct gemm **gemm;    /* products by shape, open addressing */
    int gemms, gemm_cap;
    size_t packed; /* bytes of packed weights */
} cpu;

static inline cpu *cpu_of(backend *be)
{
    return (cpu *)be; /* base is the first member */
}
/* At least n floats, uninitialised; kept between calls. */
float *cpu_scratch_get(cpu_scratch *s, size_t n);

/* Rows of each sample are cut into chunks of this many for sums over rows: borders depend on the
 * number of rows per sample only, and sums run in order of sample and chunk, so that a batch and
 * its parts in sequence give the same bytes. */
#define CPU_CHUNK 64
static inline int cpu_chunks(int rows)
{
    return (rows + CPU_CHUNK - 1) / CPU_CHUNK;
}
/* key[n]: low 32 bits = indices of x by falling value, equal ones by rising index, NaN last. */
void cpu_rank(const float *x, int n, uint64_t *key);
/* g[0..n) += parts in order; parts are [count][n]. */
void cpu_sum_parts(cpu *c, float *g, const float *parts, int64_t count, int n);

#define X(upper, lower)                                                                            \
    void cpu_##lower##_forward(backend *be, op_args *a);                                           \
    void cpu_##lower##_backward(backend *be, op_args *a);
OP_LIST(X)
#undef X
int cpu_attention_tile(int queries); /* rows of queries that are worked on together */
void cpu_plan(const backend *be, const op_args *a, bool backward, backend_plan *p);
void cpu_fold(backend *be, float *to, const float *from, int64_t n);
bool cpu_join(backend *be, tensor_type travel, err *e);
void cpu_sum_start(backend *be, float *x, int64_t n, int active);
void cpu_sum_wait(backend *be);
void cpu_step_sgd(backend *be, param_set *s, float *const *v, const backend_sgd *o);
void cpu_step_adamw(backend *be, param_set *s, float *const *m, float *const *v,
                    const backend_adamw *o);
void cpu_grad_norms(backend *be, param_set *s, double *out);
void cpu_grad_scales(backend *be, param_set *s, const backend_clip *o, float *scale, double *norm);
#endif
