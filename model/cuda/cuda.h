/* Opening the CUDA device; the rest of the backend is behind its table (model/ops_table.h). */
#ifndef MODEL_CUDA_CUDA_H
#define MODEL_CUDA_CUDA_H

#include "model/ops_table.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The card with this number. ERR_CONFIG says in words what is missing: driver, card, library. The
 * pool is borrowed. */
backend *cuda_open(int device, pool *p, err *e);

#define CUDA_GRAPHS 32 /* that are kept, where nothing else is said */
/* Keep so many graphs from now on, none at first. */
void cuda_graph_limit(backend *be, int most);

#ifdef __cplusplus
}
#endif
#endif
