/* What the ops of a step will hold beside their tensors, by the same sizes that they ask for: the
 * large ones; scratch of a few rows is not counted. */
#include "model/cpu/cpu.h"

static void at_least(size_t *have, int64_t floats)
{
    size_t bytes = (size_t)floats * sizeof(float);
    *have = bytes > *have ? bytes : *have;
}

/* Sums over chunks of rows, n numbers for each chunk. */
static int64_t parts(const tensor *y, int64_t n)
{
    return (int64_t)y->b * cpu_chunks(y->n) * n;
}

void cpu_plan(const backend *be, const op_args *a, bool backward, backend_plan *p)
{
    (void)be;
    switch (a->kind) {
    case OP_LINEAR: {
        size_t pack = (size_t)a->linear.rows * (size_t)a->x->c * sizeof(float);
        p->kept += pack;
        if (backward && !op_linear_source(a)->fixed)
            p->kept += pack;
        if (backward && a->b)
            at_least(&p->most[0], parts(a->y, a->y->c));
        break;
    }
    case OP_LAYERNORM:
        if (backward)
            at_least(&p->most[0], parts(a->y, 2 * a->y->c));
        break;
    case OP_ATTENTION: {
        const tensor *kv = a->x2 ? a->x2 : a->x;
        int64_t tile = (int64_t)cpu_attention_tile(a->y->n) * kv->n;
        at_least(&p->own, backward ? 2 * tile : tile);
        if (a->y2)
            at_least(&p->most[0], (int64_t)a->y->b * a->attention.heads * kv->n);
        break;
    }
    case OP_MATCH:
        at_least(&p->most[0], tensor_count(a->x2) / (3 * a->match.heads));
        break;
    default:
        break;
    }
}
