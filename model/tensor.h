/* A contiguous [b, n, c] tensor: values, gradient, type. No strides, no views; reshape is free. */
#ifndef MODEL_TENSOR_H
#define MODEL_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

typedef enum tensor_type { TENSOR_F32 } tensor_type;
typedef struct tensor {
    int b, n, c;
    tensor_type type;
    float *x;   /* backend memory in the run's arena; NULL in a shape-only run */
    float *g;   /* gradient or NULL = zero so far */
    bool fixed; /* carries no gradient: pixels, test inputs */
    bool leaf;  /* not the output of an op: its gradient stays readable after the walk */
} tensor;
static inline int64_t tensor_count(const tensor *t)
{
    return (int64_t)t->b * t->n * t->c;
}
#endif
