/* Attention within windows, with a relative position bias. A window is a group of attention.cuh.
 * The gradient of the bias: those of the logits are summed over the windows of each table, then
 * over the pairs that share an entry. */
#include "model/cuda/attention.cuh"

template <class T> static attention_job<T> job_of(op_args *a)
{
    attention_job<T> j = {};
    const op_window_spec *w = &a->window.spec;
    j.d = a->y->c;
    j.heads = a->window.heads;
    j.head = j.d / j.heads;
    j.q = values<T>(a->x);
    j.k = j.q + j.d;
    j.v = j.k + j.d;
    j.ldq = j.ldk = 3 * j.d;
    j.queries = j.keys = w->tokens;
    j.groups = (int64_t)a->y->b * (a->y->n / w->tokens);
    j.scale = (float)(1.0 / sqrt((double)j.head));
    j.extra.entry = a->w->x;
    j.extra.entries = a->w->shape[0];
    j.extra.index = w->index;
    j.extra.table = w->table;
    return j;
}

/* sum[tables, heads, pairs] goes on over the groups of this table, in their order: the same sum
 * however many groups come at a time. */
__global__ void table_sum_kernel(const float *dlogit, const int32_t *table, float *sum,
                                 int64_t groups, int heads, int pairs, int64_t n)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    int64_t per_table = (int64_t)heads * pairs;
    float total = sum[i];
    for (int64_t g = 0; g < groups; g++) {
        if (table[g] == (int32_t)(i / per_table))
            total += dlogit[g * per_table + i % per_table];
    }
    sum[i] = total;
}

/* One block per entry and head. */
__global__ void entry_sum_kernel(const float *sum, const int32_t *index, float *dentry, int tables,
                                 int heads, int pairs, int entries)
{
    SHARED(float, slot, [CUDA_WARP]);
    int entry = blockIdx.x / heads, h = blockIdx.x % heads;
    float total = 0;
    for (int64_t i = threadIdx.x; i < (int64_t)tables * pairs; i += CUDA_BLOCK) {
        int e = index[i];
        if (e == entry || e == entry + entries)
            total += sum[(i / pairs * heads + h) * pairs + i % pairs];
    }
    total = block_sum(total, slot);
    if (threadIdx.x == 0)
        dentry[blockIdx.x] += total;
}

template <class T> static void forward(cuda *c, op_args *a)
{
    attention_job<T> j = job_of<T>(a);
    size_t rows = (size_t)(j.groups * j.heads * j.queries);
    j.lse = a->save ? a->save : (float *)cuda_scratch_get(c, &c->scratch, rows * sizeof(float));
    attention_forward(c, j, values<T>(a->y));
}

/* Some groups at a time, so that the gradients of their logits fit. */
template <class T> static void backward(cuda *c, op_args *a)
{
    attention_job<T> j = job_of<T>(a);
    int pairs = j.queries * j.keys, tables = a->window.spec.tables;
    int64_t per_group = (int64_t)j.heads * pairs, all = j.groups, sums = tables * per_group;
    int64_t chunk = plan_window_chunk(&c->base, a);
    size_t rows = (size_t)(chunk * j.heads * j.queries);
    float *sum =
        (float *)cuda_scratch_get(c, &c->scratch, plan_window_floats(&c->base, a) * sizeof(float));
    j.delta = sum + sums;
    j.dlogit = j.delta + rows;
    cuda_fill_zero(c, sum, (size_t)sums * sizeof(float));
    T *dx = gradient<T>(a->x);
    for (int64_t from = 0; from < all; from += chunk) {
        int64_t row = from * j.queries;
        attention_job<T> k = j;
        k.groups = all - from < chunk ? all - from : chunk;
        k.q += row * j.ldq;
        k.k += row * j.ldk;
        k.v += row * j.ldk;
        k.extra.table += from;
        k.lse = a->save + from * j.heads * j.queries;
        k.y = values<T>(a->y) + row * j.d;
        k.dy = (const T *)(const void *)a->y->g + row * j.d;
        T *dq = dx ? dx + row * j.ldq : NULL;
        attention_backward(c, k, dq, dq ? dq + j.d : NULL, dq ? dq + 2 * j.d : NULL, a->add_x,
                           a->add_x);
        cuda_launch(c, "window bias", table_sum_kernel, cuda_blocks(sums, CUDA_BLOCK), CUDA_BLOCK,
                    0, k.dlogit, k.extra.table, sum, k.groups, j.heads, pairs, sums);
    }
    cuda_launch(c, "window bias", entry_sum_kernel, (unsigned)(j.extra.entries * j.heads),
                CUDA_BLOCK, 0, sum, j.extra.index, a->w->g, tables, j.heads, pairs,
                j.extra.entries);
}

extern "C" void cuda_window_forward(backend *be, op_args *a)
{
    TYPED(a->x, T, forward<T>(cuda_of(be), a));
}

extern "C" void cuda_window_backward(backend *be, op_args *a)
{
    TYPED(a->x, T, backward<T>(cuda_of(be), a));
}
