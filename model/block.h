/* Stem, transformer block and head: what plain vision transformers share (timm's names and order).
 */
#ifndef MODEL_BLOCK_H
#define MODEL_BLOCK_H

#include "model/net.h"

typedef struct block {
    param *norm1_w, *norm1_b, *qkv_w, *qkv_b, *proj_w, *proj_b;
    param *norm2_w, *norm2_b, *fc1_w, *fc1_b, *fc2_w, *fc2_b;
    int heads;
    float eps;
} block;
typedef struct stem {
    param *cls, *pos, *proj_w, *proj_b;
    int channels, patch;
} stem;
typedef struct head {
    param *norm_w, *norm_b, *w, *b;
    float eps;
} head;
#define BLOCK_PARAMS 12

/* The residual stream: its value is x + add (add NULL = x); the sum is made by the next norm. */
typedef struct stream {
    tensor *x, *add;
} stream;

void block_params(block *k, param_set *s, const char *prefix, int d, int heads);
stream block_forward(run *r, const block *k, stream in);
/* As block_forward, for the last block of a network whose head reads only the first token:
 * everything that does not reach it is left out. Returns streams of one token. */
stream block_forward_cls(run *r, const block *k, stream in);

void stem_params(stem *k, param_set *s, const net_cfg *c, int d);
/* Tokens [b, 1 + kept, D]: embedded patches and CLS with their positions. */
tensor *stem_forward(run *r, const stem *k, const net_call *call);

void head_params(head *k, param_set *s, const net_cfg *c, int d);
/* Final norm of the first token [b, 1, D]; `first` tells that the stream holds only that token. */
tensor *head_features(run *r, const head *k, stream in, const net_call *call);
tensor *head_logits(run *r, const head *k, tensor *features);
#endif
