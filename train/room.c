/* Levels of recompute against the memory of the device (room.h). */
#include "train/room.h"

#include <stdio.h>

#include "core/log.h"

#define AT(f) offsetof(room_cfg, f)
static const cfg_option table[] = {
    {"train.recompute", CFG_ENUM, AT(recompute), "auto", 0, 0, "auto|none|ln_gelu|block", "",
     "what is made again in the backward pass instead of kept: nothing; outputs of LayerNorm and "
     "GELU; all of a block but its input. auto: the first of these that fits the memory. Gradients "
     "are the same, to rounding with GELU's tanh form on a card"},
    {"train.memory_gib", CFG_REAL, AT(memory_gib), "0", 0, 1e6, NULL, "GiB",
     "memory that training may take; 0 = what the card has free, or all of the machine. With "
     "--dry-run --device cuda also of a card that is not here"},
    {"train.cache_mib", CFG_INT, AT(cache_mib), "4096", 0, 1e7, NULL, "MiB",
     "memory for inflated images, of all processes of a machine; changes speed only"},
    {"train.cuda_graphs", CFG_BOOL, AT(cuda_graphs), "true", 0, 0, NULL, "",
     "launch a step that comes again as one CUDA graph; changes speed only"},
    {"train.rank_patience", CFG_REAL, AT(patience_s), "600", 1, 86400, NULL, "seconds",
     "how long a process waits for the others before it ends them all"},
};
const cfg_group room_options = {"Machine", table, COUNT_OF(table)};

const char *room_level_name(run_level level)
{
    static const char *const names[ROOM_LEVELS] = {"none", "ln_gelu", "block"};
    return names[level];
}

void room_fill(const room_cfg *c, const footprint_ask *k, int64_t batch, int64_t room,
               room_plan *out)
{
    *out = (room_plan){.room = room, .batch = batch, .ask = *k, .level = RUN_BLOCK};
    for (int i = ROOM_LEVELS - 1; i >= 0; i--) {
        footprint_of(k, (run_level)i, batch, &out->at[i]);
        out->largest[i] = footprint_largest(k, (run_level)i, room);
        if (out->at[i].total <= room)
            out->level = (run_level)i;
    }
    if (c->recompute)
        out->level = (run_level)(c->recompute - 1);
}

static double gib(int64_t bytes)
{
    return (double)bytes / (double)(1 << 30);
}

void room_advice(void *ctx, int64_t all, char *out, size_t size)
{
    const room_plan *p = ctx;
    const room_cfg same = {.recompute = (int)p->level + 1};
    room_plan now;
    int n = 0;
    room_fill(&same, &p->ask, p->batch, all < p->room ? all : p->room, &now);
    out[0] = 0;
    for (int i = (int)now.level + 1; i < ROOM_LEVELS && !n; i++)
        if (now.at[i].total <= now.room)
            n = snprintf(out, size, "train.recompute=%s fits; ", room_level_name((run_level)i));
    int64_t batch = now.largest[now.level], most = now.largest[RUN_BLOCK];
    if (batch > 0 && batch < p->batch)
        snprintf(out + n, size - (size_t)n, "train.batch=%lld fits with train.recompute=%s",
                 (long long)batch, room_level_name(now.level));
    else if (batch >= p->batch)
        snprintf(out, size,
                 "by the plan train.batch=%lld fits: another program took memory meanwhile",
                 (long long)p->batch);
    else if (most > 0)
        snprintf(out + n, size - (size_t)n, "train.batch=%lld fits with train.recompute=block",
                 (long long)(most < p->batch ? most : p->batch));
    else
        snprintf(out, size,
                 "not even train.batch=1 with train.recompute=block fits; take a smaller "
                 "model.keep_rate, image or network");
}

bool room_enough(const room_plan *p, err *e)
{
    char what[256];
    int64_t total = p->at[p->level].total;
    if (total <= p->room)
        return true;
    room_advice((void *)(uintptr_t)p, p->room, what, sizeof what);
    if (p->ask.card)
        return err_set(
            e, ERR_MEMORY,
            "training with train.batch=%lld and train.recompute=%s takes %.2f GiB of the "
            "card, %.2f are free: %s",
            (long long)p->batch, room_level_name(p->level), gib(total), gib(p->room), what);
    log_warn("memory_short",
             "train.batch=%lld train.recompute=%s wants_gib=%.2f has_gib=%.2f "
             "why=\"%s\"",
             (long long)p->batch, room_level_name(p->level), gib(total), gib(p->room), what);
    return true;
}
