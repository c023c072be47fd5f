/* Named parameters with timm's names and shapes, their gradients, and weight-decay groups. */
#ifndef MODEL_PARAM_H
#define MODEL_PARAM_H

#include "core/err.h"
#include "model/backend.h"

typedef struct param {
    char name[96]; /* "blocks.0.attn.qkv.weight" */
    int ndim;
    int shape[4];          /* as timm stores it */
    int64_t n;             /* elements */
    float *x;              /* values, backend memory, owned by the set */
    float *g;              /* gradient, backend memory; ops add into it */
    bool decay;            /* weight decay applies (not for 1-D tensors and biases) */
    struct param_set *set; /* that owns it */
    void *pack;            /* packed copies for matrix products, owned by the backend, or NULL */
} param;

typedef struct param_set {
    param *p; /* fixed addresses once the network is built */
    int n;
    int64_t total;    /* elements of all */
    backend *be;      /* NULL = shapes only, no memory */
    uint64_t version; /* counts changes of values: packed copies of another version are stale */
    float *x, *g;     /* one block each; the parameters' own pointers lie inside */
    int cap;
} param_set;

/* An empty set for up to `cap` parameters. Add them all, then allocate once; be NULL: shapes only.
 */
param_set *param_set_new(backend *be, int cap);
/* -> the parameter, decay set by the rule above. BUG beyond cap or for a name that is there. */
param *param_add(param_set *s, const char *name, int ndim, const int *shape);
void param_set_alloc(param_set *s);
void param_set_free(param_set *s);

/* Initial values, a function of (seed, name) only. normal: mean 0, cut at +-2 as timm's
 * trunc_normal_.
 */
typedef enum param_dist { PARAM_CONST, PARAM_NORMAL, PARAM_UNIFORM } param_dist;
void param_init(param_set *s, param *p, param_dist dist, double scale, uint64_t seed);

param *param_find(param_set *s, const char *name); /* NULL = absent */
void param_zero_grad(param_set *s);
int64_t param_grads(const param_set *s); /* floats of the block of all gradients */
/* Host copies (for checkpoints); buffers of p->n floats. */
void param_read(const param_set *s, const param *p, float *x);
void param_write(param_set *s, param *p, const float *x); /* invalidates packed weights */
/* Every change of values outside the backend's own optimiser step must call this (packed weights).
 */
void param_touched(param_set *s);
#endif
