/* NCCL: sums over the cards of a training. Opened at run time as the other libraries are; no header
 * of its own is needed to build. */
#ifndef MODEL_CUDA_NCCL_H
#define MODEL_CUDA_NCCL_H

#include "core/ranks.h"
#include "model/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nccl nccl;
/* All processes, each with its card set as the current one. r NULL: a group of one. ERR_CONFIG in
 * words where the library is missing, too old, or does not join. */
nccl *nccl_open(ranks *r, err *e);
void nccl_close(nccl *n); /* accepts NULL */
/* x[n], device memory, becomes the sum over all, in place, as the next work of the stream. NULL, or
 * in words of the library why not. */
const char *nccl_sum(nccl *n, void *x, int64_t count, tensor_type type, void *stream);
/* What went wrong since, in words of the library; NULL = nothing. */
const char *nccl_fault(nccl *n);

#ifdef __cplusplus
}
#endif
#endif
