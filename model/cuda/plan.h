/* Sizes of the scratch memory of the CUDA backend's ops: asked for by the ops, and told before a
 * step by a shape-only run. */
#ifndef MODEL_CUDA_PLAN_H
#define MODEL_CUDA_PLAN_H

#include "model/ops_table.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PLAN_PARTS  256                 /* most parts of a sum over rows */
#define PLAN_ROWS   128                 /* rows in a part of a bias gradient, at least */
#define PLAN_LOGITS ((int64_t)64 << 20) /* gradients of logits that are kept at once */
#define PLAN_FUSED  256                 /* bytes of workspace of cuDNN's attention */

/* Scratch memories of the device: values of one op, its sums, cuDNN's workspace. */
enum { PLAN_SCRATCH, PLAN_SUMS, PLAN_LENT };

/* A sum over rows in parts of at least `least` rows: how many parts, and rows in each. */
int plan_parts(int64_t rows, int least);
int64_t plan_rows_per_part(int64_t rows, int least);
/* The backward pass of a window op: windows at once, and its scratch. */
int64_t plan_window_chunk(const backend *be, const op_args *a);
size_t plan_window_floats(const backend *be, const op_args *a);

void plan_op(const backend *be, const op_args *a, bool backward, backend_plan *p);

#ifdef __cplusplus
}
#endif
#endif
