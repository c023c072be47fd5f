/* Token reduction inside a block of a plain vision transformer: how many rows go on after the
 * attention, which, and what becomes of the others. One policy = score x count x disposal
 * (token_reduction.md 8.3): EViT = attention x share x drop or fuse, PPT = attention * |v| x share
 * or number x prune or pool. It knows no block; block.c knows this. */
#ifndef MODEL_REDUCE_H
#define MODEL_REDUCE_H

#include "model/net.h"

/* Resolves model.reduction into c->cut; what must not be combined is ERR_CONFIG with the reason. */
MUST_CHECK bool reduce_resolve(net_cfg *c, err *e);

/* ceil(keep * n) in double (token_reduction.md 2.1). */
int reduce_kept(double keep, int n);

/* One reducing layer of one forward pass. */
typedef struct reduce_layer {
    const net_call *call;
    int index; /* of call->cfg->cut */
    int prefix, n_in;
    int keep;           /* EViT: tokens kept */
    bool fuse;          /* the others become one row */
    op_match_spec pool; /* PPT */
    int32_t *dst;       /* of map */
    op_map_spec map;
    tensor *w; /* of map, or NULL */
} reduce_layer;

/* Whether fewer rows leave `block` than the n that enter. Fills *l; the memory made here outlives
 * the block. size: weights of the rows, NULL = 1. */
bool reduce_open(run *r, const net_call *call, int block, int n, const tensor *size,
                 reduce_layer *l);
/* Fills l->map and l->w from the attention of this block. */
void reduce_select(run *r, reduce_layer *l, tensor *score, tensor *qkv);
#endif
