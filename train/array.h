/* Named arrays as weight files hold them: element types, shapes, conversion to f32. What every
 * container (safetensors, PyTorch, NumPy) tells of one array; knows no container. */
#ifndef TRAIN_ARRAY_H
#define TRAIN_ARRAY_H

#include "core/err.h"

#define ARRAY_NDIM_MAX 8
#define ARRAY_SHOWN    80 /* of a name in messages */

typedef enum array_type {
    ARRAY_F32,
    ARRAY_F16,
    ARRAY_BF16,
    ARRAY_F64,
    ARRAY_I64,
    ARRAY_I32,
    ARRAY_I16,
    ARRAY_I8,
    ARRAY_U64,
    ARRAY_U32,
    ARRAY_U16,
    ARRAY_U8,
    ARRAY_BOOL,
    ARRAY_F8_E5M2,
    ARRAY_F8_E4M3,
    ARRAY_TYPES
} array_type;

typedef struct array_info {
    const char *name; /* owned by the file it was read from */
    array_type type;
    int ndim; /* 0 = a single number */
    int64_t shape[ARRAY_NDIM_MAX];
    int64_t n;   /* elements */
    uint64_t at; /* where its values are, in the container's own terms */
} array_info;

const char *array_type_name(array_type t);                       /* "F32", "I64" */
bool array_type_find(const char *name, size_t n, array_type *t); /* by that name */
int array_width(array_type t);                                   /* bytes of an element */
bool array_is_real(array_type t); /* a type that array_read converts */

/* Set shape and n. Fails ERR_INPUT on a negative size or more elements than 64 bits of bytes. */
MUST_CHECK bool array_set_shape(array_info *a, int ndim, const int64_t *shape, err *e);
bool array_same_shape(const array_info *a, int ndim, const int *shape);

/* The next n bytes of a file's data, in order. */
typedef bool array_bytes(void *ctx, void *to, size_t n, err *e);
/* n elements of type t (little-endian) from `next`, as f32 into out[n]. ERR_INPUT for a type that
 * is no floating-point number. */
MUST_CHECK bool array_read(array_type t, int64_t n, array_bytes *next, void *ctx, float *out,
                           err *e);
/* src has `a`'s elements at sum(index[i] * stride[i]); out[a->n] gets them in row-major order. */
void array_gather(const array_info *a, const int64_t *stride, const float *src, float *out);

/* Indices of a[n] in order of their names; owned by the caller, mem_free. */
int *array_by_name(const array_info *a, int n);
/* NULL = absent. */
const array_info *array_find(const array_info *a, int n, const int *by_name, const char *name);
/* "name" shortened and without control characters: names come from foreign files. */
void array_shown(const char *name, char out[ARRAY_SHOWN]);
#endif
