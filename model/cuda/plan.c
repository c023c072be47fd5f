/* What the ops of a step will hold beside their tensors, by the same sizes that they ask for. */
#include "model/cuda/plan.h"

#include <string.h>

static void at_least(size_t *have, size_t bytes)
{
    *have = bytes > *have ? bytes : *have;
}

int plan_parts(int64_t rows, int least)
{
    int64_t per_part = plan_rows_per_part(rows, least);
    return (int)((rows + per_part - 1) / per_part);
}

int plan_norm_lanes(int c)
{
    int threads = (c + PLAN_NORM_PART - 1) / PLAN_NORM_PART, lanes = 1;
    if (threads > 32)
        return (threads + 31) / 32 * 32;
    while (lanes < threads)
        lanes *= 2;
    return lanes;
}

int plan_norm_rows(int c)
{
    int rows = PLAN_NORM_BLOCK / plan_norm_lanes(c);
    return rows ? rows : 1;
}

int plan_norm_parts(int64_t rows, int c)
{
    int64_t least = PLAN_NORM_STEPS * plan_norm_rows(c), parts = (rows + least - 1) / least;
    return parts < PLAN_NORM_PARTS ? (int)parts : PLAN_NORM_PARTS;
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

static size_t rounded(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* ---- attention by cuDNN ---------------------------------------------------------------------- */

#define FUSED_LEAST 256 /* workspace of a plan that wants none to speak of */
#define FUSED_KEYS  128 /* one query: keys go in parts of so many at least, */
#define FUSED_PARTS 512 /* so many in all at most, as many as keep a card busy */

size_t plan_fused_delta(const flash_shape *s)
{
    return rounded((size_t)s->b * (size_t)s->heads * (size_t)s->queries * sizeof(float), 256);
}

size_t plan_fused_scratch(const flash_shape *s)
{
    return s->backward ? plan_fused_delta(s) * (size_t)(1 + (s->deterministic ? 0 : s->head)) : 0;
}

/* Each part leaves its sums, its maximum and its total. */
static size_t one_query_bytes(const flash_shape *s)
{
    size_t parts = (size_t)s->b * (size_t)s->heads * (((size_t)s->keys - 1) / FUSED_KEYS + 1);
    parts = parts < FUSED_PARTS ? parts : FUSED_PARTS;
    return parts * (size_t)(s->head + 2) * sizeof(float) + FUSED_LEAST;
}

/* Only the kernels of sm_90 and sm_100 are lent the sum of dq; the deterministic ones keep all
 * products between tokens. */
size_t plan_fused_workspace(const char *isa, const flash_shape *s)
{
    size_t groups = (size_t)s->b * (size_t)s->heads;
    size_t queries = (size_t)s->queries, keys = (size_t)s->keys;
    if (!s->backward)
        return s->queries == 1 ? one_query_bytes(s) : FUSED_LEAST;
    if (s->deterministic)
        return groups * rounded(queries, 64) * rounded(keys, 128) * 2 + FUSED_LEAST;
    if (!strcmp(isa, "sm_90") || !strcmp(isa, "sm_100"))
        return FUSED_LEAST;
    return groups * rounded(queries, 8) * (size_t)s->head * sizeof(float) + FUSED_LEAST;
}

/* ---- what is there from the start ------------------------------------------------------------ */

size_t plan_staging_more(size_t have)
{
    return PLAN_STAGING + 2 * have;
}

/* Staging memory once a piece handed over so many bytes. */
static size_t staging_for(size_t staged)
{
    size_t have = PLAN_STAGING;
    while (have < staged)
        have += plan_staging_more(have);
    return have;
}

void plan_fixed(const backend *be, size_t staged, backend_fixed *out)
{
    size_t staging = staging_for(staged), copies = PLAN_AHEAD + 1;
    (void)be;
    *out = (backend_fixed){.products = PLAN_PRODUCTS,
                           .staging = staging,
                           .locked = copies * (staging + PLAN_ANSWERS * PLAN_ANSWER),
                           .libraries = -1,
                           .before = -1};
}

/* ---- ops ------------------------------------------------------------------------------------- */

static size_t norm_bytes(const op_args *a)
{
    int parts = plan_norm_parts((int64_t)a->y->b * a->y->n, a->y->c);
    return (size_t)parts * 2 * (size_t)a->y->c * sizeof(float);
}

static void plan_linear(const op_args *a, bool backward, backend_plan *p)
{
    if (a->x->type == TENSOR_BF16)
        p->kept +=
            (size_t)a->linear.rows * (size_t)(a->x->c + (a->b ? 1 : 0)) * tensor_size(TENSOR_BF16);
    if (backward && a->b)
        at_least(&p->most[PLAN_SUMS], (size_t)plan_parts((int64_t)a->y->b * a->y->n, PLAN_ROWS) *
                                          (size_t)a->y->c * sizeof(float));
}

/* Where cuDNN does it, it is lent a sum of dq in float32; the delta of each row and head is wanted
 * by every kind. */
static void plan_attention(const backend *be, const op_args *a, bool backward, backend_plan *p)
{
    const tensor *kv = a->x2 ? a->x2 : a->x;
    flash_shape s = {.b = a->y->b,
                     .heads = a->attention.heads,
                     .queries = a->y->n,
                     .keys = kv->n,
                     .head = a->y->c / a->attention.heads};
    bool fused = a->x->type == TENSOR_BF16;
    size_t delta = plan_fused_delta(&s);
    if (!backward || (fused && a->attention.readers))
        at_least(&p->most[PLAN_SUMS], delta);
    if (backward)
        at_least(&p->most[PLAN_SCRATCH], delta);
    for (int back = 0; fused && back <= backward; back++) {
        s.backward = back;
        s.deterministic = back && be->how.deterministic;
        at_least(&p->most[PLAN_SCRATCH], plan_fused_scratch(&s));
        at_least(&p->most[PLAN_LENT], plan_fused_workspace(be->isa, &s));
    }
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
            at_least(&p->most[PLAN_SCRATCH], norm_bytes(a));
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
