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

int64_t plan_window_chunk(const backend *be, const op_args *a)
{
    int64_t most = be->how.logits ? be->how.logits : PLAN_LOGITS;
    int tokens = a->window.spec.tokens;
    int64_t groups = (int64_t)a->y->b * (a->y->n / tokens);
    int64_t per_group = (int64_t)a->window.heads * tokens * tokens;
    int64_t chunk = most / per_group < groups ? most / per_group : groups;
    return chunk < 1 ? 1 : chunk;
}

size_t plan_window_floats(const backend *be, const op_args *a)
{
    int tokens = a->window.spec.tokens;
    int64_t per_group = (int64_t)a->window.heads * tokens * tokens;
    int64_t chunk = plan_window_chunk(be, a);
    return (size_t)(chunk * a->window.heads * tokens + a->window.spec.tables * per_group +
                    chunk * per_group);
}

static size_t sum_bytes(const op_args *a, int least, int64_t columns)
{
    int64_t rows = (int64_t)a->y->b * a->y->n;
    return (size_t)plan_parts(rows, least) * (size_t)columns * sizeof(float);
}

/* The deterministic backward pass of attention: products between tokens that cuDNN keeps, at most.
 */
static size_t products_bytes(const op_args *a)
{
    const tensor *kv = a->x2 ? a->x2 : a->x;
    size_t rows = ((size_t)a->y->n + 127) / 128 * 128, keys = ((size_t)kv->n + 63) / 64 * 64;
    return (size_t)a->y->b * (size_t)a->attention.heads * rows * keys * 2;
}

static void plan_linear(const op_args *a, bool backward, backend_plan *p)
{
    if (a->x->type == TENSOR_BF16)
        p->kept +=
            (size_t)a->linear.rows * (size_t)(a->x->c + (a->b ? 1 : 0)) * tensor_size(TENSOR_BF16);
    if (backward && a->linear.gelu)
        at_least(&p->most[PLAN_SCRATCH], (size_t)tensor_count(a->y) * tensor_size(a->y->type));
    if (backward && a->b)
        at_least(&p->most[PLAN_SUMS], sum_bytes(a, PLAN_ROWS, a->y->c));
}

/* In bf16 cuDNN's backward pass has a sum of dq in float32; the delta of each row and head is
 * wanted by every kind. */
static void plan_attention(const backend *be, const op_args *a, bool backward, backend_plan *p)
{
    size_t rows = (size_t)a->y->b * (size_t)a->y->n * sizeof(float);
    size_t delta = rows * (size_t)a->attention.heads;
    bool fused = a->x->type == TENSOR_BF16 && !a->attention.bias;
    if (!backward || (fused && a->attention.readers))
        at_least(&p->most[PLAN_SUMS], delta);
    if (backward)
        at_least(&p->most[PLAN_SCRATCH], delta + (fused ? rows * (size_t)a->y->c : 0));
    if (fused)
        at_least(&p->most[PLAN_LENT],
                 backward && be->how.deterministic ? products_bytes(a) : PLAN_FUSED);
}

static void plan_match(const op_args *a, backend_plan *p)
{
    size_t rows = (size_t)a->x->b * (size_t)a->x->n, head = (size_t)(a->x2->c / 3 / a->match.heads);
    at_least(&p->most[PLAN_SCRATCH], rows * (head + 4) * sizeof(float));
}

void plan_op(const backend *be, const op_args *a, bool backward, backend_plan *p)
{
    switch (a->kind) {
    case OP_PATCH: /* images of this step and of the next */
        p->kept += 2 * (size_t)a->y->b * (size_t)a->patch.batch.h * (size_t)a->patch.batch.w *
                   sizeof(uint16_t) * (size_t)(a->patch.batch.grey ? 1 : a->patch.channels);
        break;
    case OP_LINEAR:
        plan_linear(a, backward, p);
        break;
    case OP_LAYERNORM:
        if (backward)
            at_least(&p->most[PLAN_SCRATCH], sum_bytes(a, 1, 2 * (int64_t)a->y->c));
        break;
    case OP_ATTENTION:
        plan_attention(be, a, backward, p);
        break;
    case OP_WINDOW:
        if (backward)
            at_least(&p->most[PLAN_SCRATCH], plan_window_floats(be, a) * sizeof(float));
        else
            at_least(&p->most[PLAN_SCRATCH],
                     (size_t)a->y->b * (size_t)a->y->n * (size_t)a->window.heads * sizeof(float));
        break;
    case OP_MAP:
        at_least(&p->most[PLAN_SCRATCH], (size_t)a->x->b * (size_t)a->map.n_out * sizeof(int32_t));
        break;
    case OP_MATCH:
        plan_match(a, p);
        break;
    default:
        break;
    }
}
