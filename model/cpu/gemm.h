/* Matrix products: single-threaded oneDNN calls of fixed shape, made once per shape.
 * The callers cut their work into panels whose borders depend on the shape only and run them on the
 * pool, so that the bytes of a result depend on neither threads nor batch (design.md 4). */
#ifndef MODEL_CPU_GEMM_H
#define MODEL_CPU_GEMM_H

#include "model/cpu/cpu.h"

/* c[m,n] (+)= op(a) op(b) + bias; op(a) is [m,k], stored [k,m] when ta, row length lda; op(b) is
 * [k,n], stored [n,k] when tb. packed: b is a gemm_pack panel. */
typedef struct gemm_key {
    int m, n, k, lda, ldb, ldc;
    bool ta, tb, add, bias, packed;
} gemm_key;
typedef struct gemm gemm;
/* Calling thread only, before the parallel part. Lives as long as the backend. */
gemm *gemm_get(cpu *c, const gemm_key *key);
void gemm_run(cpu *c, gemm *g, int thread, const float *a, const float *b, const float *bias,
              float *out);

/* Panels of a weight's rows row0..row0+rows-1 in oneDNN's own layout; made when first asked for and
 * after every change of the set's version. forward: y = x W^T, panels over the rows of w; else
 * dx = dy W, panels over its columns. */
typedef struct gemm_pack {
    bool forward;
    int row0, rows, cols;
    uint64_t version;
    int panels, width; /* columns of the product in each panel; the last may be narrower */
    gemm **g;          /* per panel, add = bias = false */
    dnnl_memory_t *memory;
    float **data;
    struct gemm_pack *next;
} gemm_pack;
gemm_pack *gemm_pack_get(cpu *c, param *w, bool forward, int row0, int rows);
/* The product of panel i that adds to its output or adds a bias: the same layout of b. */
gemm *gemm_pack_variant(cpu *c, const gemm_pack *p, int i, bool add, bool bias);
void gemm_pack_drop(backend *be, param *w);
void gemm_run_packed(cpu *c, gemm *g, int thread, const float *a, dnnl_memory_t b,
                     const float *bias, float *out);
void gemm_close(cpu *c);
#endif
