/* Named parameters with timm's names and shapes, their gradients, and weight-decay groups. */
#ifndef MODEL_PARAM_H
#define MODEL_PARAM_H

#include "core/err.h"
#include "model/backend.h"

typedef struct param {
    char name[96];  /* "blocks.0.attn.qkv.weight" */
    int ndim;
    int shape[4];   /* as timm stores it */
    int64_t n;      /* elements */
    float *x;       /* values, backend memory, owned by the set */
    float *g;       /* gradient, backend memory; ops add into it */
    bool decay;     /* weight decay applies (not for 1-D tensors and biases) */
} param;

typedef struct param_set {
    param *p; /* fixed addresses once the network is built */
    int n;
    int64_t total; /* elements of all */
    backend *be;
} param_set;

param *param_find(param_set *s, const char *name); /* NULL = absent */
void param_zero_grad(param_set *s);
/* Host copies (for checkpoints); buffers of p->n floats. */
void param_read(const param_set *s, const param *p, float *x);
void param_write(param_set *s, param *p, const float *x); /* invalidates packed weights */
/* Every change of values outside the backend's own optimiser step must call this (packed weights). */
void param_touched(param_set *s);
#endif
