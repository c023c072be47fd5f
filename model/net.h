/* What model.c and the network files agree on; private to the model room. */
#ifndef MODEL_NET_H
#define MODEL_NET_H

#include "model/op.h"

typedef struct net_cfg {
    model_cfg m; /* resolved */
    int width, heads;
    int rows, cols, patches; /* grid */
} net_cfg;

/* One forward call. published: embed every patch and drop afterwards, keep all tokens to the end,
 * as the literature counts (patchdropout.md 8); else as cheap as it is exact. */
typedef struct net_call {
    const net_cfg *cfg;
    const model_batch *batch;
    bool published;
    model_counts *trace; /* tokens entering each block, or NULL */
} net_call;

typedef struct net_kind {
    size_t size;                        /* of the network's own struct */
    int (*param_cap)(const net_cfg *c); /* at least its parameters */
    void (*build)(void *net, const net_cfg *c, param_set *s);
    tensor *(*features)(void *net, run *r, const net_call *call); /* [b, 1, D] */
    tensor *(*logits)(void *net, run *r, tensor *features);       /* [b, 1, classes] */
} net_kind;
extern const net_kind deit_kind;
#endif
