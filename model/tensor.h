/* A contiguous [b, n, c] tensor: values, gradient, type. No strides, no views; reshape is free. */
#ifndef MODEL_TENSOR_H
#define MODEL_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Losses, scores and weights are float32 always; what matrix products read and write, and the
 * residual stream, are of the backend's types (model/backend.h). */
typedef enum tensor_type { TENSOR_F32, TENSOR_BF16 } tensor_type;
typedef struct tensor {
    int b, n, c;
    tensor_type type;
    float *x;   /* backend memory in the run's arena (of bf16 values, where that is the type); NULL
                   in a shape-only run */
    float *g;   /* gradient, of the same type, or NULL = zero so far */
    bool fixed; /* carries no gradient: pixels, test inputs */
    bool leaf;  /* not the output of an op: its gradient stays readable after the walk */
} tensor;
static inline size_t tensor_size(tensor_type type) /* bytes of an element */
{
    return type == TENSOR_BF16 ? 2 : 4;
}
static inline int64_t tensor_count(const tensor *t)
{
    return (int64_t)t->b * t->n * t->c;
}
#endif
