/* Optimiser steps and gradient norms over all parameters: a few launches in all, each over a list
 * of tensors. A step writes the bf16 copy of the weights in the same pass. */
#include "model/cuda/cuda.cuh"

#define LIST_MAX 32    /* tensors of one launch */
#define PIECE    16384 /* elements of one block */

struct step_entry {
    float *x, *g, *m, *v;
    bf16 *copy;
    int64_t n;
    float scale, decay;
    int first; /* block that begins with it */
};

struct step_list {
    step_entry e[LIST_MAX];
    int count;
};

/* The entry that a block works on. */
__device__ static inline const step_entry &entry_of(const step_list &l, int block)
{
    int i = l.count - 1;
    while (i > 0 && l.e[i].first > block)
        i--;
    return l.e[i];
}

struct piece {
    int64_t from, to;
};

__device__ static inline piece piece_of(const step_entry &e, int block)
{
    int64_t from = (int64_t)(block - e.first) * PIECE;
    piece p = {from, e.n < from + PIECE ? e.n : from + PIECE};
    return p;
}

/* g += wd*p; v = mom*v + g; p -= lr*v. */
__global__ void sgd_kernel(step_list l, float momentum, float lr)
{
    const step_entry &e = entry_of(l, blockIdx.x);
    piece p = piece_of(e, blockIdx.x);
    for (int64_t i = p.from + threadIdx.x; i < p.to; i += CUDA_BLOCK) {
        float x = e.x[i], v = momentum * e.v[i] + (e.scale * e.g[i] + e.decay * x);
        e.v[i] = v;
        x -= lr * v;
        e.x[i] = x;
        if (e.copy)
            put(e.copy, i, x);
    }
}

struct step_adamw {
    float beta1, beta2, eps, rate, root; /* rate = lr / (1 - beta1^t), root = 1/sqrt(1 - beta2^t) */
};

__global__ void adamw_kernel(step_list l, step_adamw o)
{
    const step_entry &e = entry_of(l, blockIdx.x);
    piece p = piece_of(e, blockIdx.x);
    for (int64_t i = p.from + threadIdx.x; i < p.to; i += CUDA_BLOCK) {
        float g = e.scale * e.g[i], x = e.x[i] - e.decay * e.x[i];
        float m = o.beta1 * e.m[i] + (1 - o.beta1) * g;
        float v = o.beta2 * e.v[i] + (1 - o.beta2) * g * g;
        e.m[i] = m;
        e.v[i] = v;
        x -= o.rate * m / (sqrtf(v) * o.root + o.eps);
        e.x[i] = x;
        if (e.copy)
            put(e.copy, i, x);
    }
}

/* part[first of this list + block] = sum of squares of a piece. */
__global__ void norm_kernel(step_list l, double *part)
{
    SHARED(double, slot, [CUDA_WARP]);
    const step_entry &e = entry_of(l, blockIdx.x);
    piece p = piece_of(e, blockIdx.x);
    double sum = 0;
    for (int64_t i = p.from + threadIdx.x; i < p.to; i += CUDA_BLOCK)
        sum += (double)e.g[i] * (double)e.g[i];
    sum = block_sum(sum, slot);
    if (threadIdx.x == 0)
        part[blockIdx.x] = sum;
}

/* The next tensors of the set from *at on; returns the blocks that they need. */
static int next_list(const param_set *s, int *at, step_list *l)
{
    int blocks = 0;
    memset(l, 0, sizeof *l);
    for (; *at < s->n && l->count < LIST_MAX; ++*at) {
        const param *p = &s->p[*at];
        cuda_copy *copy = (cuda_copy *)p->pack;
        step_entry *e = &l->e[l->count++];
        e->x = p->x;
        e->g = p->g;
        e->copy = copy ? copy->x : NULL;
        e->n = p->n;
        e->first = blocks;
        blocks += (int)((p->n + PIECE - 1) / PIECE);
    }
    return blocks;
}

/* The copies are those of the version that param_touched is about to make. */
static void copies_are_new(param_set *s)
{
    for (int i = 0; i < s->n; i++) {
        cuda_copy *copy = (cuda_copy *)s->p[i].pack;
        if (copy)
            copy->version = s->version + 1;
    }
}

static float scale_of(float all, const float *each, int i)
{
    return all * (each ? each[i] : 1.0f);
}

extern "C" void cuda_step_sgd(backend *be, param_set *s, float *const *v, const backend_sgd *o)
{
    step_list l;
    for (int at = 0; at < s->n;) {
        int from = at, blocks = next_list(s, &at, &l);
        for (int i = 0; i < l.count; i++) {
            l.e[i].v = v[from + i];
            l.e[i].scale = scale_of(o->grad_scale, o->per_tensor_scale, from + i);
            l.e[i].decay = s->p[from + i].decay ? o->weight_decay : 0;
        }
        cuda_launch(cuda_of(be), "SGD step", sgd_kernel, (unsigned)blocks, CUDA_BLOCK, 0, l,
                    o->momentum, o->lr);
    }
    copies_are_new(s);
}

extern "C" void cuda_step_adamw(backend *be, param_set *s, float *const *m, float *const *v,
                                const backend_adamw *o)
{
    step_list l;
    step_adamw w = {o->beta1, o->beta2, o->eps, 0, 0};
    w.rate = (float)((double)o->lr / (1 - pow((double)o->beta1, (double)o->step)));
    w.root = (float)(1 / sqrt(1 - pow((double)o->beta2, (double)o->step)));
    for (int at = 0; at < s->n;) {
        int from = at, blocks = next_list(s, &at, &l);
        for (int i = 0; i < l.count; i++) {
            l.e[i].m = m[from + i];
            l.e[i].v = v[from + i];
            l.e[i].scale = scale_of(o->grad_scale, o->per_tensor_scale, from + i);
            l.e[i].decay = s->p[from + i].decay ? o->lr * o->weight_decay : 0;
        }
        cuda_launch(cuda_of(be), "AdamW step", adamw_kernel, (unsigned)blocks, CUDA_BLOCK, 0, l, w);
    }
    copies_are_new(s);
}

extern "C" void cuda_grad_norms(backend *be, param_set *s, double *out)
{
    cuda *c = cuda_of(be);
    step_list l;
    int64_t pieces = 0, done = 0;
    for (int i = 0; i < s->n; i++)
        pieces += (s->p[i].n + PIECE - 1) / PIECE;
    double *part = (double *)cuda_scratch_get(c, &c->scratch, (size_t)pieces * sizeof(double));
    for (int at = 0; at < s->n;) {
        int blocks = next_list(s, &at, &l);
        cuda_launch(c, "gradient norms", norm_kernel, (unsigned)blocks, CUDA_BLOCK, 0, l,
                    part + done);
        done += blocks;
    }
    double *host = (double *)mem_alloc((size_t)pieces * sizeof(double));
    be->ops->to_host(be, host, part, (size_t)pieces * sizeof(double));
    for (int i = 0, k = 0; i < s->n; i++) {
        out[i] = 0;
        for (int64_t n = 0; n < s->p[i].n; n += PIECE)
            out[i] += host[k++];
    }
    mem_free(host);
}
