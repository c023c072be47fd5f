/* Fused attention by cuDNN's graph interface, from plain C (gpu.md 3): bf16, packed rows in place,
 * any number of tokens. A plan is made once for each shape. Where there is no card a plan can be
 * built for a described one, which the tests do. */
#ifndef MODEL_CUDA_FLASH_H
#define MODEL_CUDA_FLASH_H

#include "core/err.h"
#include "model/cuda/cache.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLASH_LIBRARY "libcudnn.so.9"
#define FLASH_VERSION 91501 /* before 9.15.1 the backward pass reads beyond its keys */
#define FLASH_HEAD    128   /* values of a head, at most */

/* [b, queries, heads, head] rows of length ldq in q, ldk in k and v, heads * head in the output. */
typedef struct flash_shape {
    int b, heads, queries, keys, head;
    int ldq, ldk;
    bool backward;
    bool deterministic; /* of the backward pass: more memory, the same bytes each time */
    bool bias;          /* on the keys */
} flash_shape;

typedef struct flash flash;
/* stream: a cudaStream_t; NULL: plans only, for the described device (JSON of gpu.md 3).
 * ERR_CONFIG: the library is missing or older than FLASH_VERSION. */
flash *flash_open(void *stream, const char *device_json, err *e);
void flash_close(flash *f);
/* From now on plans are looked for in the store (borrowed, NULL = nowhere) before they are built,
 * and kept there; card: whatever decides what a plan is built for, in words. */
void flash_keep(flash *f, cache *store, const char *card);
bool flash_takes(const flash_shape *s);
/* Bytes that the caller lends to the backward pass besides *workspace, which either pass wants.
 * ERR_CONFIG: the library has no plan for this shape; the first time a warning tells the step that
 * failed. */
MUST_CHECK bool flash_plan(flash *f, const flash_shape *s, size_t *scratch, size_t *workspace,
                           err *e);

/* Device pointers. lse: float32 [b, heads, queries], natural logarithm. */
typedef struct flash_call {
    const void *q, *k, *v;
    const float *bias; /* [b, keys], added to all scaled logits of a key */
    void *o;
    float *lse;
    const void *dy; /* backward */
    void *dq, *dk, *dv;
    void *scratch, *workspace;
} flash_call;
/* A shape that flash_plan took. */
void flash_run(flash *f, const flash_shape *s, const flash_call *call);

#ifdef __cplusplus
}
#endif
#endif
