/* The table of a card that is only planned for (described.h). In every build: a login node without
 * a card, or without CUDA, can plan for one. */
#include "model/cuda/described.h"

#include <string.h>

#include "core/mem.h"
#include "model/cuda/plan.h"

static void described_close(backend *be)
{
    mem_free(be);
}

static bool described_compute(backend *be, const backend_how *how, err *e)
{
    (void)be;
    (void)how;
    (void)e;
    return true;
}

static void *described_alloc(backend *be, size_t bytes)
{
    (void)be;
    return mem_alloc(bytes);
}

static void described_dealloc(backend *be, void *p)
{
    (void)be;
    mem_free(p);
}

static void described_zero(backend *be, void *p, size_t bytes)
{
    (void)be;
    memset(p, 0, bytes);
}

static void described_copy(backend *be, void *dst, const void *src, size_t bytes)
{
    (void)be;
    if (bytes)
        memcpy(dst, src, bytes);
}

static void described_drop_pack(backend *be, param *p)
{
    (void)be;
    (void)p;
}

static size_t described_workspace(const backend *be)
{
    (void)be;
    return 0;
}

/* Nobody knows: it is told, by train.memory_gib. */
static int64_t described_room(backend *be)
{
    (void)be;
    return 0;
}

/* Nobody is there to sum with. */
static bool described_join(backend *be, tensor_type travel, err *e)
{
    (void)be;
    (void)travel;
    (void)e;
    return true;
}

static void described_graphs(backend *be, bool on)
{
    (void)be;
    (void)on;
}

static void described_unlock(backend *be, void *p)
{
    (void)be;
    (void)p;
}

static void refuse(backend *be, op_args *a)
{
    (void)be;
    BUG("%s: run on a card that is only described", op_name(a->kind));
}

static const backend_ops described_ops = {
    .name = "cuda",
    .close = described_close,
    .compute = described_compute,
    .alloc = described_alloc,
    .dealloc = described_dealloc,
    .zero = described_zero,
    .to_host = described_copy,
    .to_device = described_copy,
    .copy = described_copy,
    .drop_pack = described_drop_pack,
    .join = described_join,
    .graphs = described_graphs,
    .lock_free = described_unlock,
    .plan = plan_op,
    .workspace = described_workspace,
    .room = described_room,
    .fixed = plan_fixed,
    .op =
        {
#define X(upper, lower) [OP_##upper] = {refuse, refuse},
            OP_LIST(X)
#undef X
        },
};

backend *described_open(pool *p)
{
    backend *be = MEM_NEW(backend);
    be->ops = &described_ops;
    be->pool = p;
    text_copy(be->isa, sizeof be->isa, "described");
    return be;
}
