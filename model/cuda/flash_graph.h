/* The graphs of attention for cuDNN, private to flash_cudnn.c and flash_graph.c: the library's
 * calls, a graph under construction, and what its tensors are called. */
#ifndef MODEL_CUDA_FLASH_GRAPH_H
#define MODEL_CUDA_FLASH_GRAPH_H

#include <cudnn.h>

#include "model/cuda/flash.h"

#define FLASH_GRAPH_VERSION 1 /* kept plans of other graphs are not asked for */

#define FLASH_CALLS(X)                                                                             \
    X(cudnnGetVersion)                                                                             \
    X(cudnnCreate)                                                                                 \
    X(cudnnDestroy)                                                                                \
    X(cudnnSetStream)                                                                              \
    X(cudnnGetErrorString)                                                                         \
    X(cudnnBackendCreateDescriptor)                                                                \
    X(cudnnBackendDestroyDescriptor)                                                               \
    X(cudnnBackendSetAttribute)                                                                    \
    X(cudnnBackendGetAttribute)                                                                    \
    X(cudnnBackendFinalize)                                                                        \
    X(cudnnBackendExecute)

typedef cudnnBackendDescriptor_t flash_descriptor;

typedef struct flash_calls {
#define X(name) __typeof__(name) *name;
    FLASH_CALLS(X)
#undef X
} flash_calls;

/* What a plan reads and writes, by the id of its tensor. */
enum {
    FLASH_NONE,
    FLASH_Q,
    FLASH_K,
    FLASH_V,
    FLASH_O,
    FLASH_LSE,
    FLASH_SCALE,
    FLASH_BIAS,
    FLASH_DY,
    FLASH_DQ,
    FLASH_DK,
    FLASH_DV,
    FLASH_ONE,
    FLASH_DELTA,
    FLASH_DQ_SUM,
    FLASH_VIRTUAL /* and above */
};

enum { FLASH_OPS = 20, FLASH_DESCRIPTORS = 176 };

/* A graph under construction; the first failure ends it. */
typedef struct flash_graph {
    const flash_calls *lib; /* borrowed, as the shape is */
    const flash_shape *s;
    flash_descriptor op[FLASH_OPS], all[FLASH_DESCRIPTORS];
    int ops, n, next_virtual;
    cudnnStatus_t status;
    const char *failed; /* step */
} flash_graph;

/* Keeps the first failure; is all well so far? */
bool flash_graph_note(flash_graph *g, cudnnStatus_t status, const char *step);
/* Descriptors live as long as the graph. */
flash_descriptor flash_graph_create(flash_graph *g, cudnnBackendDescriptorType_t type);
void flash_graph_set(flash_graph *g, flash_descriptor d, cudnnBackendAttributeName_t name,
                     cudnnBackendAttributeType_t type, int64_t n, const void *value);
void flash_graph_point(flash_graph *g, flash_descriptor d, cudnnBackendAttributeName_t name,
                       flash_descriptor v);
void flash_graph_finalize(flash_graph *g, flash_descriptor d, const char *what);
void flash_graph_release(flash_graph *g);

/* The operations of g->s. */
void flash_graph_fill(flash_graph *g);
#endif
