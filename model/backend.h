/* The contract that every device implements (cpu now; cuda is the second), and selection by name.
 * train uses only the functions declared here; the op table itself is in model/ops_table.h, private
 * to the model room. */
#ifndef MODEL_BACKEND_H
#define MODEL_BACKEND_H

#include "core/cfg.h"
#include "core/pool.h"
#include "core/ranks.h"
#include "model/tensor.h"

typedef struct backend backend;
struct param_set;

/* device: "auto", "cpu", "cuda", "cuda:n". auto = cpu, as long as no card has
 * proven the CUDA backend (docs/gpu-results). Asking for cuda where it is not built, or where no
 * card is, is ERR_CONFIG with a plain sentence. The pool is borrowed. */
backend *backend_new(const char *device, pool *p, err *e);
/* The same for each process of a job: "cuda" is a card of its own for each on a machine. */
backend *backend_new_shared(const char *device, const ranks *r, pool *p, err *e);
/* Who can say what would fit into `all` bytes of a card, in words, when its memory runs out and the
 * program ends. */
typedef void backend_advice(void *ctx, int64_t all, char *out, size_t size);
void backend_on_shortage(backend *b, backend_advice *advise, void *ctx);
/* A card that is not here: networks are built and steps planned for it (run_new_shape), nothing
 * runs. The pool is borrowed. */
backend *backend_described(pool *p);
void backend_free(backend *b);
/* f32: everything. bf16: what matrix products read and write; weights, sums and the residual stream
 * stay float32. bf16_fast: the stream and its gradient are bf16, too, and networks take GELU's tanh
 * form, which products can end in. */
typedef enum backend_precision { BACKEND_F32, BACKEND_BF16, BACKEND_BF16_FAST } backend_precision;
#define BACKEND_PRECISIONS "f32|bf16|bf16_fast"

/* How a device computes; zeros are how it does so at first. */
typedef struct backend_how {
    int precision;      /* backend_precision */
    bool deterministic; /* the same bytes each time; the CPU knows nothing else */
    bool timed;        /* matrix products of a card: by the fastest algorithm (not deterministic) */
    const char *cache; /* folder of what was found out about a card: "" the user's, "none" or NULL
                          nowhere; borrowed for the call */
    int64_t logits;    /* gradients of the logits of windows that a card keeps at once; 0 = its own
                          measure. Results do not depend on it */
} backend_how;
extern const cfg_group backend_options; /* "cuda.*": timed and cache */
/* From now on. ERR_CONFIG where the device cannot. */
MUST_CHECK bool backend_compute(backend *b, const backend_how *how, err *e);
const char *backend_name(const backend *b); /* "cpu" */
size_t backend_workspace(const backend *b); /* bytes held beside what was asked for */
int64_t backend_room(backend *b);           /* bytes free on a card; all that a machine has */

/* Memory that a device has beside what was asked for and backend_workspace, in bytes. */
typedef struct backend_fixed {
    size_t products; /* workspace of the library of matrix products, from the start */
    size_t staging;  /* that small data of the host go through */
    size_t locked;   /* the same on the host's side, page-locked; not on the device */
    size_t held;     /* of products and staging: is there already */
    int64_t
        libraries;  /* what libraries took when they were opened, as the device said; -1 unknown */
    int64_t before; /* taken before that: by the driver for us, by other programs; -1 unknown */
} backend_fixed;
/* For steps that hand over `staged` bytes (model_bytes). All zero where the device is the machine.
 */
void backend_fixed_of(const backend *b, size_t staged, backend_fixed *out);
const char *backend_isa(const backend *b);   /* "avx512_core_amx", what identity holds for */
const char *backend_title(const backend *b); /* a card's own name; the instruction set of a CPU */
bool backend_emulated(const backend *b);     /* CUDA on a CPU: its times say nothing about a card */

void *backend_alloc(backend *b, size_t bytes); /* zeroed device memory */
void backend_dealloc(backend *b, void *p);
void backend_to_host(backend *b, void *dst, const void *src, size_t bytes);
void backend_to_device(backend *b, void *dst, const void *src, size_t bytes);
void backend_copy(backend *b, void *dst, const void *src, size_t bytes); /* on the device */

/* A point in the device's work, for times: made (mark NULL), or set again. */
void *backend_mark(backend *b, void *mark);
double backend_between(backend *b, void *from, void *to); /* seconds; waits for `to` */
void backend_unmark(backend *b, void *mark);

void backend_fold(backend *b, float *to, const float *from, int64_t n); /* to[n] += from */

/* Sums over the processes of a training, each with a backend of the same kind. All processes join;
 * travel: what sums are sent as, f32 or bf16. ERR_CONFIG where the device cannot. r is borrowed;
 * NULL: a group of one. */
MUST_CHECK bool backend_join(backend *b, ranks *r, tensor_type travel, err *e);
/* x[n] (backend memory) becomes the sum of those of processes 0 .. active-1 (others: zeros), beside
 * what the device does next. All processes start the same sums in the same order. A device that has
 * not joined is alone: its sums are what they are. */
void backend_sum_start(backend *b, float *x, int64_t n, int active);
/* What follows on the device sees the sums. */
void backend_sum_wait(backend *b);

/* Work in pieces. What is asked between begin and end may wait on the device while the host goes on
 * to the next piece; the CPU does it at once. Memory of the host that a call was given is free
 * again when the call returns, but for raw images in locked memory: they are read until two
 * more batches were given. A call that reads (backend_to_host) may stand in a piece and makes it
 * slow. Pieces follow each other. */
void backend_begin(backend *b);
int64_t backend_end(backend *b); /* number of the piece, for backend_wait */
/* In a piece: dst will hold the bytes that src (backend memory) has at its end; known after
 * backend_wait. */
void backend_later(backend *b, void *dst, const void *src, size_t bytes);
void backend_wait(backend *b, int64_t piece); /* for it and all before */
/* Pieces that may wait while the host prepares another one; 0: what was asked is done. */
int backend_ahead(const backend *b);
/* Are pieces that come again launched as one (CUDA graphs)? On at first; no result depends on it.
 */
void backend_graphs(backend *b, bool on);
/* How pieces, or their parts, were done so far: as a graph, or call by call; and graphs made. All
 * zero where there is no such thing. */
typedef struct backend_graphed {
    int64_t launched, issued;
    int64_t instantiated, updated, evicted;
} backend_graphed;
void backend_graphs_done(const backend *b, backend_graphed *out);
/* Memory of the host that the device can copy from while the host goes on. NULL: any memory is as
 * good. */
void *backend_lock_alloc(backend *b, size_t bytes);
void backend_lock_free(backend *b, void *p);

/* Factors for the gradients of a step: 1/parts, and clipping to a norm of `clip` (0 = off) of all
 * tensors together or of each by itself. scale [s->n] and norm [1]: backend memory; norm = that of
 * all gradients over parts, before clipping. A norm that is not finite stays, and makes every
 * factor NaN from then on. */
typedef struct backend_clip {
    double clip;
    bool each;
    int parts;
} backend_clip;
void backend_grad_scales(backend *b, struct param_set *s, const backend_clip *o, float *scale,
                         double *norm);

/* Optimiser steps over all parameters, in one pass each; m, v: one state buffer per parameter, same
 * order (backend memory). Gradients are multiplied by grad_scale and by their tensor's scale first;
 * a tensor whose factor is NaN stays as it is.
 * SGD: g += wd*p; v = mom*v + g; p -= lr*v. AdamW: decoupled decay, bias correction by `step`
 * (1-based), eps outside the root's sum as in PyTorch. Decay only where param.decay. */
typedef struct backend_sgd {
    float lr, momentum, weight_decay, grad_scale;
    const float *per_tensor_scale; /* backend memory, one per parameter, or NULL */
} backend_sgd;
typedef struct backend_adamw {
    float lr, beta1, beta2, eps, weight_decay, grad_scale;
    int64_t step;
    const float *per_tensor_scale;
} backend_adamw;
void backend_step_sgd(backend *b, struct param_set *s, float *const *v, const backend_sgd *o);
void backend_step_adamw(backend *b, struct param_set *s, float *const *m, float *const *v,
                        const backend_adamw *o);
/* Sum of squares of each gradient, double, fixed order of summation; out[s->n]. */
void backend_grad_norms(backend *b, struct param_set *s, double *out);
#endif
