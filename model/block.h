/* Stem, transformer block and head: what plain vision transformers share (timm's names and order).
 */
#ifndef MODEL_BLOCK_H
#define MODEL_BLOCK_H

#include "model/net.h"

typedef struct block {
    param *norm1_w, *norm1_b, *qkv_w, *qkv_b, *proj_w, *proj_b;
    param *norm2_w, *norm2_b, *fc1_w, *fc1_b, *fc2_w, *fc2_b;
    param *bias; /* of relative positions in a window, where there are windows */
    int heads;
    bool tanh; /* GELU's tanh form */
    float eps;
} block;
/* Equal blocks in a row. */
#define TRUNK_MAX 256
typedef struct trunk {
    int depth;
    block block[TRUNK_MAX];
} trunk;
typedef struct stem {
    param *cls, *more, *pos, *proj_w, *proj_b; /* more: tokens behind CLS, NULL = none */
    int channels, patch, prefix;               /* prefix: tokens before the patches */
} stem;
typedef struct head {
    param *norm_w, *norm_b, *w, *b;
    param *dist_w, *dist_b; /* of the distillation token, NULL = none */
    int reads;              /* first tokens that heads read, one head each */
    float eps;
} head;
#define BLOCK_PARAMS 12
#define STEM_PARAMS  5
#define HEAD_PARAMS  6

/* The residual stream: its value is x + add (add NULL = x); the sum is made by the next norm. Once
 * tokens were merged it also carries how many each row stands for, and, where attention is to count
 * rows by that, its logarithm; NULL = 1, 0. watch: who wants to know what attention compares, or
 * NULL. */
typedef struct stream {
    tensor *x, *add;
    tensor *size, *bias;
    model_watch *watch;
} stream;

stream stream_first(run *r, stream in, int rows); /* its first rows only */

void block_params(block *k, param_set *s, const char *prefix, int d, int heads);
/* A block whose attention stays within windows, with k->bias. */
stream block_forward_windows(run *r, const block *k, stream in, const op_window_spec *w);

typedef struct trunk_spec {
    const char *prefix; /* of the names: PREFIXblocks.0. ... */
    int depth, width, heads;
    bool tanh;
} trunk_spec;
void trunk_params(trunk *t, param_set *s, const trunk_spec *k);
/* All blocks, with the call's token reduction; of the result only the first `reads` tokens are read
 * (0: all), so the last block makes no others. */
stream trunk_forward(run *r, const trunk *t, stream x, const net_call *call, int reads);

/* Tokens before the patches by the preset's prefix: CLS, then those of the parameter `more`. */
void stem_params(stem *k, param_set *s, const net_cfg *c, const char *more);
/* Tokens [b, prefix + kept, D]: embedded patches and those before them, with their positions. */
tensor *stem_forward(run *r, const stem *k, const net_call *call);

/* A head on the first token, and one on the second where `reads` is 2 (distilled networks). */
void head_params(head *k, param_set *s, const net_cfg *c, int d, int reads);
/* Final norm of the tokens that are read [b, reads, D]. */
tensor *head_features(run *r, const head *k, stream in, const net_call *call);
/* The mean over all tokens of their final norm [b, 1, D]. */
tensor *head_mean(run *r, const head *k, stream in);
tensor *head_logits(run *r, const head *k, tensor *features); /* two heads: their mean */
#endif
