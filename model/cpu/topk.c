/* The most attended tokens of each image, in falling order. */
#include <string.h>

#include "model/cpu/cpu.h"

static int rising(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Bits that rise as the value falls: positive numbers turned round, negative ones as they are. */
static uint32_t falling_bits(float v)
{
    uint32_t u;
    if (v != v)
        return UINT32_MAX;
    v += 0.0f; /* one zero */
    memcpy(&u, &v, sizeof u);
    return u >> 31 ? u : UINT32_MAX / 2 - u;
}

void cpu_rank(const float *x, int n, uint64_t *key)
{
    for (int i = 0; i < n; i++)
        key[i] = (uint64_t)falling_bits(x[i]) << 32 | (uint32_t)i;
    qsort(key, (size_t)n, sizeof *key, rising);
}

typedef struct topk_job {
    cpu *c;
    op_args *a;
} topk_job;

static void topk_task(void *ctx, int64_t s, int thread)
{
    const topk_job *j = ctx;
    const op_topk_spec *how = &j->a->topk;
    int n = j->a->x->n, others = n - how->prefix;
    uint64_t *key = (uint64_t *)(void *)cpu_scratch_get(&j->c->own[thread], 2 * (size_t)others);
    int32_t *dst = how->dst + s * n;
    cpu_rank(j->a->x->x + s * n + how->prefix, others, key);
    for (int i = 0; i < how->prefix; i++)
        dst[i] = i;
    for (int i = 0; i < others; i++) {
        int32_t rest = how->fuse ? how->prefix + how->keep : -1;
        dst[how->prefix + (int32_t)(uint32_t)key[i]] = i < how->keep ? how->prefix + i : rest;
    }
}

void cpu_topk_forward(backend *be, op_args *a)
{
    topk_job j = {cpu_of(be), a};
    pool_for(be->pool, a->x->b, topk_task, &j);
}

void cpu_topk_backward(backend *be, op_args *a)
{
    BUG("a selector has no gradient");
}
