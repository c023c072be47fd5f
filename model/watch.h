/* What token reduction did to the tokens of one forward pass, and what attention compared, copied
 * to the host: for maps, and for tests. Ask for it by model_batch.watch.
 * token_reduction.md 2.6, 3.3, 8.4. */
#ifndef MODEL_WATCH_H
#define MODEL_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#define WATCH_LAYERS 32 /* reducing layers of one network at most */

/* One reducing layer, in order. Rows 0 .. prefix-1 are CLS (and distillation) and stay. */
typedef struct watch_layer {
    int block;       /* 0-based; tokens leave after its attention */
    int n_in, n_out; /* rows before and after; equal where nothing was done */
    int fused;       /* row of the output that holds the tokens fused here, -1 = none */
    int32_t *dst;    /* [b, n_in] row of the output, -1 = dropped */
    float
        *score; /* [b, n_in] mean attention of the prefix rows to each row; NULL if not computed */
    /* PPT where it merged or pruned, else NULL */
    float *size;     /* [b, n_out] weight of each row: input tokens merged into it */
    int32_t *pooled; /* [b] 1 = merged, 0 = pruned */
    double *spread;  /* [b] n^2 * variance of the importance, which decided */
} watch_layer;

/* Queries and keys of one block: from them its attention can be computed again (rollout.h). The
 * last block may have asked for its first rows only. */
typedef struct watch_block {
    int queries, keys, d, heads;
    int read;     /* first queries that count */
    float *q, *k; /* [b, queries, d], [b, keys, d], each head-major */
    float *bias;  /* [b, keys] added to all logits of that key, or NULL */
} watch_block;

/* Starts as {0}, with `attention` set where queries and keys are wanted too; every forward pass
 * forgets what was there but that wish. */
typedef struct model_watch {
    bool attention;
    int b, prefix, layers;
    watch_layer layer[WATCH_LAYERS];
    int blocks; /* with attention: all blocks in order */
    watch_block *block;
} model_watch;
void watch_release(model_watch *w);

/* Where the patches of one sample stand after the first `layers` layers. keep [n]: patch of each
 * row that came after the prefix, as in model_batch, or NULL = 0 .. n-1. row [patches]: row of the
 * output that holds the patch (kept, merged or fused), or -1 = left out. alone [rows after these
 * layers]: the patch that this row is, untouched, or -1 = prefix, merged or fused row. Either may
 * be NULL. */
void watch_patches(const model_watch *w, int sample, int layers, const int32_t *keep, int patches,
                   int32_t *row, int32_t *alone);
#endif
