/* What a device implements, private to the model room: the list of ops, their arguments, and the
 * table of functions. A new op is one line in OP_LIST; whatever a backend lacks then fails to
 * compile.
 */
#ifndef MODEL_OPS_TABLE_H
#define MODEL_OPS_TABLE_H

#include "model/op.h"

#define OP_LIST(X)                                                                                 \
    X(PATCH, patch)                                                                                \
    X(LINEAR, linear)                                                                              \
    X(LAYERNORM, layernorm)                                                                        \
    X(GELU, gelu)                                                                                  \
    X(ATTENTION, attention)                                                                        \
    X(WINDOW, window)                                                                              \
    X(ADD, add)                                                                                    \
    X(MAP, map)                                                                                    \
    X(PREFIX, prefix)                                                                              \
    X(POSITION, position)                                                                          \
    X(POOL, pool)                                                                                  \
    X(MEAN, mean)                                                                                  \
    X(LOSS, loss)                                                                                  \
    X(TOPK, topk)                                                                                  \
    X(MATCH, match)

typedef enum op_kind {
#define X(upper, lower) OP_##upper,
    OP_LIST(X)
#undef X
        OP_COUNT
} op_kind;

/* Rows of a tensor are allocated up to a multiple of this, so that matrix products run in whole
 * panels; the rows beyond b*n hold nothing that counts. */
#define OP_ROW_PAD 64

typedef struct op_args {
    op_kind kind;
    tensor *y, *y2; /* outputs; y2: the sum of LAYERNORM, the score of ATTENTION, GELU of LINEAR */
    tensor *x, *x2; /* inputs, NULL where absent; x2: added branch, kv, map weights, tokens, what x
                       is GELU of */
    bool add_x, add_x2; /* backward: x->g, x2->g hold something to add to; else overwrite */
    param *w, *b;
    size_t saves; /* bytes that forward leaves for backward, 0 = none */
    float *save;  /* they; NULL in inference */
    union {
        struct {
            model_batch batch;
            int channels, p, stride;
        } patch;
        struct {
            int row0, rows;
            /* y2 = GELU(y), fixed, the same memory in inference; backward knows y->g alone.
             * x2: what x is GELU of; backward writes its gradient and none of x. */
            bool tanh;
        } linear;
        struct {
            bool tanh;
        } gelu;
        struct {
            float eps;
            const float *scale; /* save = mean and 1/sd per row */
        } norm;
        struct {
            int heads; /* save = log-sum-exp [b, heads, rows of q] */
            int readers;
            const tensor *bias;
        } attention;
        struct {
            int heads; /* save = log-sum-exp [b, heads, rows]; w = the bias */
            op_window_spec spec;
        } window;
        struct {
            const float *scale;
        } add;
        op_map_spec map;
        op_topk_spec topk;
        op_match_spec match;
        struct {
            int prefix;
            const int32_t *keep;
        } position;
        struct {
            int h, w;
        } pool;
        struct {
            const int32_t *label;
            const float *weight;
            float smoothing; /* save = softmax, shaped like x */
        } loss;
    };
} op_args;

/* Whose gradient the backward pass of LINEAR writes. */
static inline tensor *op_linear_source(const op_args *a)
{
    return a->x2 ? a->x2 : a->x;
}

/* Whose values the backward pass of an op reads, beside `save`. */
enum { OP_READS_X = 1, OP_READS_X2 = 2, OP_READS_Y = 4, OP_READS_Y2 = 8 };

typedef void op_fn(backend *be, op_args *a);

/* What a device will hold beside tensors and parameters, in bytes. */
#define BACKEND_SCRATCHES 3
typedef struct backend_plan {
    size_t kept; /* of all ops: packed weights */
    size_t
        most[BACKEND_SCRATCHES]; /* of the op that needs most, for each of its scratch memories */
    size_t own;                  /* the same, of each thread */
    size_t staged;               /* small data of the host that a step hands over */
} backend_plan;

typedef struct backend_ops {
    const char *name;
    void (*close)(backend *be);
    bool (*compute)(backend *be, const backend_how *how, err *e); /* can it, and takes note */
    void *(*alloc)(backend *be, size_t bytes);                    /* uninitialised */
    void (*dealloc)(backend *be, void *p);
    void (*zero)(backend *be, void *p, size_t bytes);
    void (*to_host)(backend *be, void *dst, const void *src, size_t bytes);
    void (*to_device)(backend *be, void *dst, const void *src, size_t bytes);
    void (*drop_pack)(backend *be, param *p);
    void (*step_sgd)(backend *be, param_set *s, float *const *v, const backend_sgd *o);
    void (*step_adamw)(backend *be, param_set *s, float *const *m, float *const *v,
                       const backend_adamw *o);
    void (*grad_norms)(backend *be, param_set *s, double *out);
    void (*fold)(backend *be, float *to, const float *from, int64_t n);
    /* Sums over be->ranks (backend.h); the last two only after a join. */
    bool (*join)(backend *be, tensor_type travel, err *e);
    void (*sum_start)(backend *be, float *x, int64_t n, int active);
    void (*sum_wait)(backend *be);
    void (*grad_scales)(backend *be, param_set *s, const backend_clip *o, float *scale,
                        double *norm);
    /* Pieces of work (model/backend.h). stage: backend bytes that hold x for the rest of the
     * piece; NULL outside of one, and where memory of the host is as good. lock_alloc: memory of
     * the host that the device reads by itself, or NULL where it reads all of it. */
    int ahead;
    void (*begin)(backend *be);
    int64_t (*end)(backend *be);
    void (*later)(backend *be, void *dst, const void *src, size_t bytes);
    void (*wait)(backend *be, int64_t piece);
    void (*graphs)(backend *be, bool on);
    void (*graphs_done)(const backend *be, backend_graphed *out); /* NULL: it has none */
    void *(*stage)(backend *be, const void *x, size_t bytes);
    void *(*lock_alloc)(backend *be, size_t bytes);
    void (*lock_free)(backend *be, void *p);
    /* Index of the first element that is not finite, or -1. */
    int64_t (*nonfinite)(backend *be, const tensor *t);
    /* Adds to the plan what one op of a shape-only run would want; and what is really held. */
    void (*plan)(const backend *be, const op_args *a, bool backward, backend_plan *p);
    size_t (*workspace)(const backend *be);
    int64_t (*room)(backend *be); /* bytes that it has free; of a machine: all */
    void (*fixed)(const backend *be, size_t staged, backend_fixed *out);
    void (*copy)(backend *be, void *dst, const void *src, size_t bytes);
    void *(*mark)(backend *be, void *mark);
    double (*between)(backend *be, void *from, void *to);
    void (*unmark)(backend *be, void *mark);
    struct {
        op_fn *forward, *backward;
    } op[OP_COUNT];
} backend_ops;

/* First member of every device's own struct. */
struct backend {
    const backend_ops *ops;
    struct pool *pool;
    tensor_type type;   /* of what matrix products read and write */
    tensor_type stream; /* of the residual stream */
    backend_how how;
    struct ranks *ranks; /* the other processes; NULL: none */
    bool joined;
    char isa[48], title[64];
    bool emulated;
    backend_advice *advise; /* NULL: nobody knows what would fit */
    void *advise_ctx;
    struct laps *laps; /* NULL: nobody asks where the time goes */
};

/* tape.c, for the front ends */
struct run;
tensor *run_tensor(run *r, tensor_type type, int b, int n, int c);
tensor_type run_type(const run *r);   /* of what matrix products read and write */
tensor_type run_stream(const run *r); /* of the residual stream: sums, positions, what is pooled */
tensor *run_alias(run *r, tensor *t); /* a second header over the same values */
/* Count the cost, run the op, record it in training. Returns a.y. */
tensor *run_record(run *r, const op_args *a, run_counts cost);
#endif
