/* The ops: front ends that check shapes, allocate the output, run it and record it (design.md 3).
 * Network files are written over these. A wrong shape is a BUG: configurations are checked before.
 * Backward adds into gradients of inputs and parameters. Maths of each op: docs/ops.md. */
#ifndef MODEL_OP_H
#define MODEL_OP_H

#include "model/model.h"

/* Kept patches of the raw images, normalised, as rows: [b, n_keep (all: N), channels*p*p], elements
 * channel-major as in a convolution's weight. Patches of p x p px begin every `stride` px, without
 * padding. No gradient. */
tensor *op_patch(run *r, const model_batch *batch, int channels, int p, int stride);
static inline int op_patch_side(int side, int p, int stride) /* patches along one axis */
{
    return (side - p) / stride + 1;
}

/* y = x W^T + bias; w [out, in] (or [out, ...] with `in` elements per row), bias [out] or NULL.
 * op_linear_rows uses rows row0 .. row0+rows-1 of w and bias only. */
tensor *op_linear(run *r, tensor *x, param *w, param *bias);
tensor *op_linear_rows(run *r, tensor *x, param *w, param *bias, int row0, int rows);
/* Two linear layers with GELU between them, in the passes of the first one forward and of the
 * second one backward. */
typedef struct op_mlp_spec {
    param *w1, *b1, *w2, *b2;
    bool tanh; /* GELU's tanh form, else the exact one (erf) */
} op_mlp_spec;
tensor *op_mlp(run *r, tensor *x, const op_mlp_spec *how);

/* LayerNorm over c; biased variance. */
tensor *op_layernorm(run *r, tensor *x, param *w, param *b, float eps);
/* s = x + scale[sample] * add; returns LayerNorm(s), *sum = s. scale: drop-path factors [b],
 * borrowed until run_reset, NULL = 1. In a RUN_INFER run s takes the place of x, which must not be
 * used again. */
tensor *op_add_layernorm(run *r, tensor *x, tensor *add, const float *scale, param *w, param *b,
                         float eps, tensor **sum);
/* x + scale[sample] * add; same rules. */
tensor *op_add(run *r, tensor *x, tensor *add, const float *scale);
tensor *op_gelu(run *r, tensor *x, bool tanh); /* alone; false: exact, erf */

/* Softmax attention, heads of c/heads channels, scale 1/sqrt(head size). x: [b, n, 3*D] rows
 * [q|k|v], each head-major; with kv: q [b, m, D] (m = 1: CLS only). */
typedef struct op_attention_spec {
    int heads;
    tensor *kv;         /* keys and values [b, n, 2*D]; NULL: they stand beside the queries */
    const tensor *bias; /* [b, keys, 1], fixed: added to all logits of that key; NULL = 0 */
    int readers;        /* first query rows whose attention is wanted */
} op_attention_spec;
/* *score [b, keys, 1]: probabilities of the `readers` first query rows, averaged over heads and
 * these rows (token_reduction.md 8.1); it carries gradient. NULL: not wanted. */
tensor *op_attention(run *r, tensor *x, const op_attention_spec *how, tensor **score);

/* Attention within windows: qkv as above, its rows in runs of `tokens`, each of which attends
 * within itself; bias [entries, heads] is added to the scaled logits by a table of each window:
 * index[table][i][j] = the entry for query i and key j, plus `entries` where the pair is masked
 * (OP_WINDOW_MASK is added to the logit then). */
#define OP_WINDOW_MASK (-100.0f) /* the published code's */
typedef struct op_window_spec {
    int tokens, tables;
    const int32_t *index; /* [tables, tokens, tokens], in 0 .. 2 * entries - 1 */
    const int32_t *table; /* [b, windows], in 0 .. tables - 1; both in backend memory */
} op_window_spec;
tensor *op_window_attention(run *r, tensor *qkv, int heads, param *bias, const op_window_spec *w);

/* The one way in which tokens are kept, dropped, reordered, fused or merged: input row i of sample
 * s adds weight * x to output row dst[s*n_in + i] (-1 = dropped). */
typedef struct op_map_spec {
    int n_in, n_out;
    const int32_t *dst;  /* [b, n_in], in -1 .. n_out-1 */
    const float *weight; /* [b, n_in] or NULL = 1 */
    int w_from;   /* with w: only rows that go to output rows w_from .. are weighted by it, others 1
                   */
    int merge;    /* neighbouring output rows that stand as one row of the result; 0 = 1 */
    tensor *into; /* at least as large, not used again: a RUN_INFER run puts the result there */
} op_map_spec;
/* -> [b, n_out/merge, c*merge]. dst and weight lie in backend memory until run_reset (a selector's,
 * or run_upload's). w: weights that carry gradient, [b, n_in, 1], or NULL (never both kinds). */
tensor *op_map(run *r, tensor *x, const op_map_spec *map, tensor *w);

/* Selectors: they fill memory of the caller (run_memory) that a map then uses; no gradient.
 * topk: score [b, n, 1]. Rows below `prefix` stay; behind them go the `keep` largest of the others
 * in falling order (ties: smaller index first), the rest to row prefix + keep, all of them, or
 * nowhere. */
typedef struct op_topk_spec {
    int prefix, keep;
    bool fuse;
    int32_t *dst; /* out [b, n] */
} op_topk_spec;
void op_topk(run *r, tensor *score, const op_topk_spec *how);

/* PPT (token_reduction.md 3.1): importance = score * |v| of each row behind the prefix, normalised
 * to sum 1; an image whose importance is spread evenly is pooled, the others are pruned. Both leave
 * n - gone rows. */
typedef struct op_match_spec {
    int heads, prefix, gone;
    bool scale_free;    /* compare n^2 * variance, else the variance */
    double below;       /* pooled where that is smaller */
    const tensor *size; /* [b, n, 1] weight of each row, NULL = 1 */
    bool prunes;        /* the branch that is counted */
    int32_t *dst;       /* out [b, n] */
    float *weight;      /* out [b, n] share of each row in its output row */
    tensor *new_size;   /* out [b, n - gone, 1], and its logarithm */
    tensor *log_size;
    int32_t *pooled; /* out [b] */
    double *spread;  /* out [b] n^2 * variance */
} op_match_spec;
void op_match(run *r, tensor *score, tensor *qkv, const op_match_spec *how);

/* Put the rows of `tokens` [1, t, c] before those of every sample: [b, t+n, c]. */
tensor *op_prefix(run *r, tensor *x, param *tokens);
/* x + rows of `pos` [1, prefix + N, c]: row j < prefix gets pos[j], row prefix + j gets
 * pos[prefix + keep[s, j]] (keep NULL: pos[prefix + j]). keep borrowed until run_reset.
 * A planar pos [1, c, h, w] goes to the h*w patches alone: prefix 0, no keep. */
tensor *op_position(run *r, tensor *x, param *pos, int prefix, const int32_t *keep);

/* Halves the h x w grid of patches behind the first rows of x and doubles their channels: a
 * convolution 3x3 with stride 2 and zero padding 1 in which output channel o reads input channel
 * o / 2 alone; weight [2c, 1, 3, 3], bias [2c]. The first rows are not read: those of the result
 * are tokens [b, t, 2c]. -> [b, t + h' * w', 2c] */
tensor *op_pool(run *r, tensor *x, tensor *tokens, int h, int w, param *weight, param *bias);
static inline int op_pool_side(int side) /* h' of h */
{
    return (side - 1) / 2 + 1;
}

tensor *op_mean(run *r, tensor *x); /* over rows: [b, 1, c] */

struct op_args;
unsigned op_reads_back(const struct op_args *a); /* OP_READS_*, model/ops_table.h */
const char *op_name(int kind);                   /* of an op_kind (model/ops_table.h) */
#endif
