/* What the ops of a step will hold beside their tensors, by the same sizes that they ask for. */
#include "model/cuda/plan.h"

static void at_least(size_t *have, size_t bytes)
{
    *have = bytes > *have ? bytes : *have;
}

int plan_parts(int64_t rows, int least)
{
    int64_t per_part = plan_rows_per_part(rows, least);
    return (int)((rows + per_part - 1) / per_part);
}

int64_t plan_rows_per_part(int64_t rows, int least)
{
    int64_t per_part = (rows + PLAN_PARTS - 1) / PLAN_PARTS;
    return per_part < least ? least : per_part;
}

int64_t plan_window_chunk(const op_args *a)
{
    int tokens = a->window.spec.tokens;
    int64_t groups = (int64_t)a->y->b * (a->y->n / tokens);
    int64_t per_group = (int64_t)a->window.heads * tokens * tokens;
    int64_t chunk = PLAN_LOGITS / per_group < groups ? PLAN_LOGITS / per_group : groups;
    return chunk < 1 ? 1 : chunk;
}

size_t plan_window_floats(const op_args *a)
{
    int tokens = a->window.spec.tokens;
    int64_t per_group = (int64_t)a->window.heads * tokens * tokens, chunk = plan_window_chunk(a);
    return (size_t)(chunk * a->window.heads * tokens + a->window.spec.tables * per_group +
                    chunk * per_group);
}

static size_t sum_bytes(const op_args *a, int least, int64_t columns)
{
    int64_t rows = (int64_t)a->y->b * a->y->n;
    return (size_t)plan_parts(rows, least) * (size_t)columns * sizeof(float);
}

size_t plan_products(const op_args *a)
{
    const tensor *kv = a->x2 ? a->x2 : a->x;
    size_t rows = ((size_t)a->y->n + 127) / 128 * 128, keys = ((size_t)kv->n + 63) / 64 * 64;
    return (size_t)a->y->b * (size_t)a->attention.heads * rows * keys * 2;
}

void plan_op(const backend *be, const op_args *a, bool backward, backend_plan *p)
{
    size_t scores = 0;
    switch (a->kind) {
    case OP_PATCH: /* images of this step and of the next */
        p->kept += 2 * (size_t)a->y->b * (size_t)a->patch.batch.h * (size_t)a->patch.batch.w *
                   sizeof(uint16_t) * (size_t)(a->patch.batch.grey ? 1 : a->patch.channels);
        break;
    case OP_LINEAR:
        if (a->x->type == TENSOR_BF16)
            p->kept += (size_t)a->linear.rows * (size_t)a->x->c * tensor_size(TENSOR_BF16);
        if (backward && a->linear.gelu)
            at_least(&p->shared, (size_t)tensor_count(a->y) * tensor_size(a->y->type));
        if (backward && a->b)
            at_least(&p->shared, sum_bytes(a, PLAN_ROWS, a->y->c));
        break;
    case OP_LAYERNORM:
        if (backward)
            at_least(&p->shared, sum_bytes(a, 1, 2 * (int64_t)a->y->c));
        break;
    case OP_ATTENTION:
        scores = (size_t)a->y->b * (size_t)a->attention.heads * (size_t)a->y->n;
        at_least(&p->shared, scores * sizeof(float));
        if (backward && be->how.deterministic && a->x->type == TENSOR_BF16)
            at_least(&p->shared, plan_products(a));
        break;
    case OP_WINDOW:
        if (backward)
            at_least(&p->shared, plan_window_floats(a) * sizeof(float));
        break;
    case OP_MAP:
        at_least(&p->shared, (size_t)a->x->b * (size_t)a->map.n_out * sizeof(int32_t));
        break;
    case OP_MATCH:
        at_least(&p->shared,
                 (size_t)tensor_count(a->x2) / (size_t)(3 * a->match.heads) * sizeof(float));
        break;
    default:
        break;
    }
}
