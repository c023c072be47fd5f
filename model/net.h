/* What model.c and the network files agree on; private to the model room. */
#ifndef MODEL_NET_H
#define MODEL_NET_H

#include "model/op.h"

/* The networks. A new one is its file, its line here and a config: docs/adding-a-network.md. */
#define NET_LIST(X)                                                                                \
    X(deit)                                                                                        \
    X(vit_reg)                                                                                     \
    X(pit)                                                                                         \
    X(swin)

struct net_kind;
/* What a timm name stands for. */
typedef struct net_preset {
    const char *name;
    int width;    /* channels of the first stage; they double from stage to stage */
    int depth[4]; /* blocks of each stage; 0 = no such stage */
    int heads;    /* of the first stage; they double too */
    int patch;    /* px */
    int image;    /* px, the pretraining size */
    int stride;   /* px from patch to patch; 0 = patch */
    int window;   /* tokens along a side of an attention window; 0 = none */
    int prefix;   /* tokens before the patches: CLS and others */
} net_preset;

/* One layer of token reduction, resolved. PPT: tokens that leave, r of n; what decides. */
typedef struct net_cut {
    int block;
    int r, n;
    double below; /* pooled where the spread is smaller */
} net_cut;

typedef struct net_cfg {
    model_cfg m; /* resolved */
    const struct net_kind *kind;
    const net_preset *preset;
    int width, heads;        /* of the first stage */
    bool tanh;               /* GELU's tanh form */
    int rows, cols, patches; /* grid of the stem */
    int cuts;
    net_cut cut[WATCH_LAYERS]; /* by rising block */
} net_cfg;

/* One forward call. published: embed every patch and drop afterwards, keep all tokens to the end,
 * as the literature counts (patchdropout.md 8); else as cheap as it is exact. */
typedef struct net_call {
    const net_cfg *cfg;
    const model_batch *batch;
    bool published;
    model_counts *trace; /* tokens entering each block, or NULL */
    const char *path;    /* shape-only runs: PPT's branches, M or P, or NULL = M */
} net_call;

/* What one network is. An entry that may be NULL means: as a plain sequence of patches does. */
typedef struct net_kind {
    const net_preset *presets; /* the names of this network; ended by one without a name */
    size_t size;               /* of the network's own struct */
    /* Checks sizes that the table and the ranges of the options leave open, fills rows and cols.
     * NULL: the image is cut into whole patches. */
    bool (*grid)(net_cfg *c, err *e);
    /* PatchDropout: number of kept patches, and which (model_kept, model_select). NULL: any subset
     * of the patches, by model.keep_mode. */
    int (*kept)(const net_cfg *c, double rate);
    void (*select)(const net_cfg *c, const model_draw *d, int32_t *keep);
    /* What is wrong with kept patches from elsewhere (model_keep_fault). NULL: any subset is right.
     */
    const char *(*keep_fault)(const net_cfg *c, const model_batch *batch);
    const char *dense; /* why no patch may be missing, or NULL */
    bool sequence;     /* its blocks take any set of tokens: model.reduction works */
    /* Initial values of one parameter, or false for the rule of patchdropout.md 3. May be NULL. */
    bool (*init)(const net_cfg *c, const param *p, param_dist *dist, double *scale);
    int (*param_cap)(const net_cfg *c); /* at least its parameters */
    void (*build)(void *net, const net_cfg *c, param_set *s);
    tensor *(*features)(void *net, run *r, const net_call *call); /* [b, rows of heads, D] */
    tensor *(*logits)(void *net, run *r, tensor *features);       /* [b, 1, classes] */
} net_kind;

/* A refused size of image. `why` ends a sentence that begins with the size; sides of least, least +
 * step, ... px are possible. */
bool model_refuse_size(const model_cfg *m, int64_t least, int64_t step, const char *why, err *e);

#define X(name) extern const net_kind name##_kind;
NET_LIST(X)
#undef X
#endif
