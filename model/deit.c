/* ViT and DeiT (non-distilled): stem, `depth` equal blocks, norm, head on the CLS token. */
#include <stdio.h>

#include "core/mem.h"
#include "model/block.h"

#define DEIT_DEPTH_MAX 256

typedef struct deit {
    stem stem;
    head head;
    int depth;
    block block[DEIT_DEPTH_MAX];
} deit;

static int param_cap(const net_cfg *c)
{
    return (int)c->m.depth * BLOCK_PARAMS + 8;
}

static void build(void *net, const net_cfg *c, param_set *s)
{
    deit *d = net;
    if (c->m.depth > DEIT_DEPTH_MAX)
        BUG("deit: depth %lld", (long long)c->m.depth);
    d->depth = (int)c->m.depth;
    stem_params(&d->stem, s, c, c->width);
    for (int i = 0; i < d->depth; i++) {
        char prefix[24];
        snprintf(prefix, sizeof prefix, "blocks.%d.", i);
        block_params(&d->block[i], s, prefix, c->width, c->heads);
    }
    head_params(&d->head, s, c, c->width);
}

static tensor *features(void *net, run *r, const net_call *call)
{
    const deit *d = net;
    stream x = {stem_forward(r, &d->stem, call), NULL};
    for (int i = 0; i < d->depth; i++) {
        if (call->trace)
            call->trace->tokens[call->trace->n_tokens++] = x.x->n;
        bool last = i + 1 == d->depth && !call->published;
        x = last ? block_forward_cls(r, &d->block[i], x) : block_forward(r, &d->block[i], x);
    }
    return head_features(r, &d->head, x, call);
}

static tensor *logits(void *net, run *r, tensor *f)
{
    const deit *d = net;
    return head_logits(r, &d->head, f);
}

const net_kind deit_kind = {
    .size = sizeof(deit),
    .param_cap = param_cap,
    .build = build,
    .features = features,
    .logits = logits,
};
