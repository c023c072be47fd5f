/* Runs every op of a device on borrowed buffers of exactly the size that the op's contract names,
 * each in an allocation of its own: tensors without the rows that pad them, parameters apart,
 * results filled with NaN first. The emulator keeps a zone around every allocation, so nothing can
 * be read or written beyond a buffer unnoticed; what an op must only read is compared afterwards.
 */
#ifndef TESTS_CUDA_ON_CPU_GUARD_H
#define TESTS_CUDA_ON_CPU_GUARD_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "core/mem.h"
#include "model/ops_table.h"
#include "model/param.h"

#define GUARD_BUFFERS 32

typedef enum guard_use { GUARD_READ, GUARD_WRITE, GUARD_ADD } guard_use;

typedef struct guard_loan {
    char *home, *lent, *before; /* device, device, host */
    size_t bytes;
    guard_use use;
} guard_loan;

typedef struct guard {
    backend *be;
    const char *op;
    guard_loan loan[GUARD_BUFFERS];
    int n;
} guard;

static const backend_ops *guard_ops;
static long guard_calls, guard_loans;

/* `bytes` of memory like those at `home`, or NULL where that is. What is lent twice (a parameter
 * that is both weight and bias) is one buffer. */
static void *guard_lend(guard *g, const void *home, size_t bytes, guard_use use)
{
    if (!home || !bytes)
        return (void *)(uintptr_t)home;
    for (int i = 0; i < g->n; i++) {
        if (g->loan[i].home == home) {
            assert_true(g->loan[i].bytes == bytes && g->loan[i].use == use);
            return g->loan[i].lent;
        }
    }
    assert_true(g->n < GUARD_BUFFERS);
    guard_loan *l = &g->loan[g->n++];
    *l = (guard_loan){(char *)(uintptr_t)home, guard_ops->alloc(g->be, bytes), NULL, bytes, use};
    l->before = mem_alloc(bytes);
    if (use == GUARD_WRITE)
        return l->lent; /* NaN */
    guard_ops->to_host(g->be, l->before, home, bytes);
    guard_ops->to_device(g->be, l->lent, l->before, bytes);
    return l->lent;
}

static void guard_return(guard *g)
{
    for (int i = 0; i < g->n; i++) {
        guard_loan *l = &g->loan[i];
        char *after = mem_alloc(l->bytes);
        guard_ops->to_host(g->be, after, l->lent, l->bytes);
        if (l->use != GUARD_READ)
            guard_ops->to_device(g->be, l->home, after, l->bytes);
        else if (memcmp(after, l->before, l->bytes))
            fail_msg("%s writes to a buffer of %zu bytes that it may only read", g->op, l->bytes);
        /* an upload may still wait in a stream: nothing is taken away before it is done */
        guard_ops->to_host(g->be, after, l->home, l->bytes);
        mem_free(after);
        mem_free(l->before);
        guard_ops->dealloc(g->be, l->lent);
    }
    guard_loans += g->n;
    guard_calls++;
}

/* ---- which buffers an op has ------------------------------------------------------------------
 */

/* A tensor by its values (forward: written, backward: read) and its gradient. */
static tensor *guard_tensor(guard *g, tensor *own, const tensor *t, guard_use values,
                            guard_use grad)
{
    if (!t)
        return NULL;
    size_t bytes = (size_t)tensor_count(t) * tensor_size(t->type);
    *own = *t;
    own->x = guard_lend(g, t->x, bytes, values);
    own->g = guard_lend(g, t->g, bytes, grad);
    return own;
}

static param *guard_param(guard *g, param *own, const param *p, bool backward)
{
    if (!p)
        return NULL;
    *own = *p;
    own->x = guard_lend(g, p->x, (size_t)p->n * sizeof(float), GUARD_READ);
    if (backward)
        own->g = guard_lend(g, p->g, (size_t)p->n * sizeof(float), GUARD_ADD);
    return own;
}

/* Bytes of `save`. */
static size_t guard_save(const op_args *a)
{
    int64_t rows = a->x ? (int64_t)a->x->b * a->x->n : 0;
    switch (a->kind) {
    case OP_LAYERNORM:
        return 2 * (size_t)rows * sizeof(float);
    case OP_ATTENTION:
        return (size_t)(rows * a->attention.heads) * sizeof(float);
    case OP_WINDOW:
        return (size_t)(rows * a->window.heads) * sizeof(float);
    case OP_LOSS:
        return (size_t)tensor_count(a->x) * sizeof(float);
    default:
        return 0;
    }
}

/* The lists, weights and side tensors that only this kind of op has. */
static void guard_specs(guard *g, op_args *a, tensor side[3])
{
    size_t b = (size_t)(a->x ? a->x->b : a->y->b), n = (size_t)(a->x ? a->x->n : a->y->n), word = 4;
    op_window_spec *w = &a->window.spec;
    op_match_spec *m = &a->match;
    switch (a->kind) {
    case OP_PATCH:
        a->patch.batch.keep = guard_lend(g, a->patch.batch.keep, b * n * word, GUARD_READ);
        a->patch.batch.view =
            guard_lend(g, a->patch.batch.view, b * sizeof(model_view), GUARD_READ);
        break;
    case OP_LAYERNORM:
        a->norm.scale = guard_lend(g, a->norm.scale, b * word, GUARD_READ);
        break;
    case OP_ADD:
        a->add.scale = guard_lend(g, a->add.scale, b * word, GUARD_READ);
        break;
    case OP_ATTENTION:
        a->attention.bias = guard_tensor(g, &side[0], a->attention.bias, GUARD_READ, GUARD_READ);
        break;
    case OP_WINDOW:
        w->index =
            guard_lend(g, w->index, (size_t)(w->tables * w->tokens * w->tokens) * word, GUARD_READ);
        w->table = guard_lend(g, w->table, b * (n / (size_t)w->tokens) * word, GUARD_READ);
        break;
    case OP_MAP:
        a->map.dst = guard_lend(g, a->map.dst, b * n * word, GUARD_READ);
        a->map.weight = guard_lend(g, a->map.weight, b * n * word, GUARD_READ);
        break;
    case OP_TOPK:
        a->topk.dst = guard_lend(g, a->topk.dst, b * n * word, GUARD_WRITE);
        break;
    case OP_MATCH:
        m->dst = guard_lend(g, m->dst, b * n * word, GUARD_WRITE);
        m->weight = guard_lend(g, m->weight, b * n * word, GUARD_WRITE);
        m->pooled = guard_lend(g, m->pooled, b * word, GUARD_WRITE);
        m->spread = guard_lend(g, m->spread, b * sizeof(double), GUARD_WRITE);
        m->size = guard_tensor(g, &side[0], m->size, GUARD_READ, GUARD_READ);
        m->new_size = guard_tensor(g, &side[1], m->new_size, GUARD_WRITE, GUARD_READ);
        m->log_size = guard_tensor(g, &side[2], m->log_size, GUARD_WRITE, GUARD_READ);
        break;
    case OP_POSITION:
        a->position.keep = guard_lend(g, a->position.keep,
                                      b * (n - (size_t)a->position.prefix) * word, GUARD_READ);
        break;
    case OP_LOSS:
        a->loss.label = guard_lend(g, a->loss.label, b * word, GUARD_READ);
        a->loss.weight = guard_lend(g, a->loss.weight, b * word, GUARD_READ);
        break;
    default:
        break;
    }
}

static void guard_run(backend *be, op_args *a, bool backward)
{
    guard g = {.be = be, .op = op_name(a->kind)};
    op_args own = *a;
    tensor y, y2, x, x2, side[3];
    param w, b;
    guard_use result = backward ? GUARD_READ : GUARD_WRITE;
    guard_specs(&g, &own, side);
    own.y = guard_tensor(&g, &y, a->y, result, GUARD_READ);
    own.y2 = guard_tensor(&g, &y2, a->y2, result, GUARD_READ);
    own.x = guard_tensor(&g, &x, a->x, GUARD_READ, a->add_x ? GUARD_ADD : GUARD_WRITE);
    own.x2 = guard_tensor(&g, &x2, a->x2, GUARD_READ, a->add_x2 ? GUARD_ADD : GUARD_WRITE);
    own.w = guard_param(&g, &w, a->w, backward);
    own.b = guard_param(&g, &b, a->b, backward);
    own.save = guard_lend(&g, a->save, guard_save(a), result);
    (backward ? guard_ops->op[a->kind].backward : guard_ops->op[a->kind].forward)(be, &own);
    if (a->w)
        a->w->pack = w.pack;
    if (a->b)
        a->b->pack = b.pack;
    guard_return(&g);
}

static void guard_forward(backend *be, op_args *a)
{
    guard_run(be, a, false);
}

static void guard_backward(backend *be, op_args *a)
{
    guard_run(be, a, true);
}

/* From now on, for training runs: results must not stand on their inputs. */
static inline void guard_on(backend *be)
{
    static backend_ops guarded;
    guard_ops = be->ops;
    guarded = *be->ops;
    for (int i = 0; i < OP_COUNT; i++) {
        guarded.op[i].forward = guard_forward;
        guarded.op[i].backward = guard_backward;
    }
    be->ops = &guarded;
}
#endif
