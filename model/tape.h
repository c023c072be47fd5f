/* The tape: a step's arena, the record of ops, and the backward walk (design.md 3). */
#ifndef MODEL_TAPE_H
#define MODEL_TAPE_H

#include "model/backend.h"
#include "model/param.h"
#include "model/tensor.h"

typedef struct run run;
/* What a training run lets go at boundaries and makes again in the backward pass; gradients are the
 * same bytes. */
typedef enum run_level {
    RUN_KEEP,    /* nothing: only what no op reads back goes */
    RUN_LN_GELU, /* outputs of LayerNorm and GELU, from what they were made of */
    RUN_BLOCK    /* all but the states of boundaries */
} run_level;
typedef enum run_mode {
    RUN_INFER, /* no record, activations freed early where possible */
    RUN_TRAIN  /* record for run_backward */
} run_mode;

run *run_new(backend *be, run_mode mode);
/* A run of shapes only: counts, and the bytes that a run of this mode would take; no values. be:
 * whose workspace is to be planned; NULL: none. */
run *run_new_shape(backend *be, run_mode mode);
bool run_is_shape(const run *r);
size_t run_workspace(const run *r); /* of a shape-only run: beside the arena, since run_new */
size_t run_staged(const run *r);    /* the same: small data of the host that were handed over */
void run_recompute(run *r, run_level level); /* before the first op of a step; RUN_KEEP at first */
/* One block of so many bytes in place of those held; between steps only. A step that a shape-only
 * run of `bytes` planned fits into it. */
void run_reserve(run *r, size_t bytes);
void run_reset(run *r); /* forget tensors and record; memory is kept for the next step */
void run_free(run *r);
/* Walk the record in reverse from `loss` [1,1,1]; parameter gradients are added to. */
void run_backward(run *r, tensor *loss);
/* As run_backward from any tensor, with its gradient given (host, count floats). */
void run_backward_from(run *r, tensor *y, const float *dy);
/* Calls fn(ctx, p) for every use of a parameter by an op of the record, in any order. */
typedef void run_use_fn(void *ctx, param *p);
void run_each_use(const run *r, run_use_fn *fn, void *ctx);
/* In later walks, fn(ctx, p) follows the backward of each of these uses: after the last one of a
 * parameter its gradient is complete. NULL: no more. */
void run_watch_uses(run *r, run_use_fn *fn, void *ctx);
size_t run_bytes(const run *r); /* in use now; between forward and backward: what is saved */
/* Bytes owned: flat once the largest step has run. Shape-only: what such a step takes. */
size_t run_held(const run *r);
/* A tensor with the given values (host, b*n*c floats; NULL = zeros); fixed: it wants no gradient.
 */
tensor *run_input(run *r, int b, int n, int c, const float *x, bool fixed);
/* The same, rounded to a type. */
tensor *run_input_type(run *r, tensor_type type, int b, int n, int c, const float *x, bool fixed);
/* Host copy of the gradient of a tensor made by run_input, zeros if nothing reached it. */
void run_read_grad(run *r, const tensor *t, float *out);

/* Softmax cross-entropy with label smoothing, mean over the batch (weights: sum(w*l)/sum(w)).
 * logits [b,1,K]; labels [b] in 0..K-1; weights [b] or NULL. -> [1,1,1] */
tensor *op_loss(run *r, tensor *logits, const int32_t *labels, const float *weights,
                float smoothing);
/* Host copy of a tensor's values, b*n*c floats. */
void run_read(run *r, const tensor *t, float *out);
/* First tensor with a non-finite value since the last reset, by op name, or NULL (NaN guard). */
const char *run_first_nonfinite(run *r);

/* What network files may ask of a run. */
run_mode run_mode_of(const run *r);
void *run_host(run *r, size_t bytes); /* host memory until run_reset, uninitialised */
/* Backend memory until run_reset, uninitialised; NULL in a shape-only run, where it
 * is counted. */
void *run_memory(run *r, size_t bytes);
void run_to_host(run *r, void *dst, const void *src, size_t bytes);
/* In a RUN_INFER run: forget every tensor made since the mark. A no-op otherwise. */
typedef struct run_point {
    int piece, node;
} run_point;
run_point run_mark(const run *r);
void run_rewind(run *r, run_point at);
/* Of all that was made so far, the ops ahead read `state` and `passed` only. In a training run the
 * level says what of the rest goes; `state` stays until the walk is behind it. NULL: the walk comes
 * back here first, so that RUN_BLOCK lets go no more than RUN_LN_GELU. No-op in inference. */
void run_boundary(run *r, tensor *state, tensor *passed);
/* What the forward ops since the last reset cost, by kind of work, so that every convention of the
 * literature is a sum of these (model_counts). */
typedef struct run_counts {
    int64_t matmul; /* multiply-adds of matrix products and convolutions */
    int64_t norm;   /* elements that a LayerNorm wrote */
    int64_t scale;  /* attention logits, each multiplied by 1/sqrt(d) once */
    int64_t score;  /* multiplications and sums of token selectors, torchprofile's count */
} run_counts;
run_counts run_counted(const run *r);
/* Backend copy of n host values, until run_reset; NULL in a shape-only run and of NULL. */
const void *run_upload_bytes(run *r, const void *x, size_t bytes);
const int32_t *run_upload_ints(run *r, const int32_t *x, int64_t n);
const float *run_upload(run *r, const float *x, int64_t n);
#endif
