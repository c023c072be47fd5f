/* Sizes of the scratch memory of the CUDA backend's ops: asked for by the ops, and told before a
 * step by a shape-only run. */
#ifndef MODEL_CUDA_PLAN_H
#define MODEL_CUDA_PLAN_H

#include "model/cuda/flash.h"
#include "model/ops_table.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PLAN_PARTS      256  /* most parts of a sum over rows */
#define PLAN_ROWS       128  /* rows in a part of a bias gradient, at least */
#define PLAN_NORM_PART  8    /* LayerNorm: values of a row in one thread, */
#define PLAN_NORM_LANES 1024 /* threads of a row at most, */
#define PLAN_NORM_BLOCK 256  /* of a block, where a row does not take more, */
#define PLAN_NORM_STEPS 4    /* rows of a thread in the backward pass at least, */
#define PLAN_NORM_PARTS 528  /* and its blocks at most: four for each processor of an H100 */
#define PLAN_LOGITS     ((int64_t)64 << 20) /* gradients of logits that are kept at once */

#define PLAN_AHEAD    3                  /* pieces that wait while the host prepares one */
#define PLAN_STAGING  ((size_t)1 << 20)  /* first chunk of memory that small host data go through */
#define PLAN_STAGE    ((size_t)256)      /* what each of them begins at a multiple of */
#define PLAN_PRODUCTS ((size_t)32 << 20) /* workspace of cuBLASLt (gpu.md 6) */
#define PLAN_ANSWERS  8                  /* that a piece brings back */
#define PLAN_ANSWER   64                 /* bytes of one, at most */

/* Scratch memories of the device: values of one op, its sums, cuDNN's workspace. */
enum { PLAN_SCRATCH, PLAN_SUMS, PLAN_LENT };

/* A sum over rows in parts of at least `least` rows: how many parts, and rows in each. */
int plan_parts(int64_t rows, int least);
int64_t plan_rows_per_part(int64_t rows, int least);
/* LayerNorm, rows of c values: threads of one, a power of two up to a warp, else whole warps; rows
 * that a block holds at once; parts of the sums over rows for the gradients of weight and bias. */
int plan_norm_lanes(int c);
int plan_norm_rows(int c);
int plan_norm_parts(int64_t rows, int c);
/* The backward pass of a window op: windows at once, and its scratch. */
int64_t plan_window_chunk(const backend *be, const op_args *a);
size_t plan_window_floats(const backend *be, const op_args *a);

/* Attention by cuDNN 9.19, as its plans for described cards say (test_flash_plan): delta, which the
 * sum of dq lies behind; what the backward pass is lent in all; the workspace at most. isa:
 * "sm_90"; of a card that nobody knows, the largest of all. */
size_t plan_fused_delta(const flash_shape *s);
size_t plan_fused_scratch(const flash_shape *s);
size_t plan_fused_workspace(const char *isa, const flash_shape *s);

/* The next chunk of staging memory beside `have` bytes. */
size_t plan_staging_more(size_t have);
/* backend_ops.fixed of a card; libraries and before are the opened card's to say. */
void plan_fixed(const backend *be, size_t staged, backend_fixed *out);

void plan_op(const backend *be, const op_args *a, bool backward, backend_plan *p);

#ifdef __cplusplus
}
#endif
#endif
