/* Optimiser steps and gradient norms over all parameters: a few launches in all, each over a list
 * of tensors. A step writes the bf16 copy of the weights in the same pass. */
#include "model/cuda/cuda.cuh"

#define LIST_MAX 32   /* tensors of one launch */
#define PIECE    4096 /* elements of one block; a multiple of what its threads take at once */
#define AT_ONCE  4    /* elements of one thread: 16 bytes */

struct step_entry {
    float *x, *g, *m, *v;
    bf16 *copy;
    const float *scale; /* its own factor, or NULL */
    int64_t n;
    int first; /* block that begins with it */
    int decays;
};

struct step_list {
    step_entry e[LIST_MAX];
    int64_t count;
};

/* It has none, and GCC 12 clears other bytes where something follows an array of structs. */
static inline void cuda_clear_gaps(step_list *)
{
}

/* The entry that a block works on. */
__device__ static inline const step_entry &entry_of(const step_list &l, int block)
{
    int i = (int)l.count - 1;
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

/* What changes from step to step is read from memory, so that a step is the same list of calls each
 * time (piece.cu). */
struct step_numbers {
    float factor, lr, decay, momentum;
    float beta1, beta2, eps, rate, root; /* rate = lr / (1 - beta1^t), root = 1/sqrt(1 - beta2^t) */
};
static_assert(sizeof(step_numbers) <= CUDA_NUMBERS * sizeof(float), "room for them");

/* NaN: this tensor stays as it is. */
__device__ static inline float factor_of(const step_entry &e, const step_numbers &o)
{
    return o.factor * (e.scale ? *e.scale : 1.0f);
}

/* Values, gradients, state and copies begin at multiples of 16 bytes. N neighbours, all read before
 * any is written: g += wd*p; v = mom*v + g; p -= lr*v. */
template <int N>
__device__ static inline void sgd_at(const step_entry &e, const step_numbers &o, float scale,
                                     float decay, int64_t i)
{
    pack<N> x = get_pack<N>(e.x, i), g = get_pack<N>(e.g, i), v = get_pack<N>(e.v, i);
    for (int k = 0; k < N; k++) {
        v.v[k] = o.momentum * v.v[k] + (scale * g.v[k] + decay * x.v[k]);
        x.v[k] -= o.lr * v.v[k];
    }
    put_pack(e.v, i, v);
    put_pack(e.x, i, x);
    if (e.copy)
        put_pack(e.copy, i, x);
}

__global__ void sgd_kernel(step_list l, const step_numbers *numbers)
{
    const step_entry &e = entry_of(l, blockIdx.x);
    const step_numbers o = *numbers;
    piece p = piece_of(e, blockIdx.x);
    float scale = factor_of(e, o), decay = e.decays ? o.decay : 0;
    if (isnan(scale))
        return;
    for (int64_t i = p.from + AT_ONCE * threadIdx.x; i < p.to; i += AT_ONCE * CUDA_BLOCK) {
        if (i + AT_ONCE <= p.to)
            sgd_at<AT_ONCE>(e, o, scale, decay, i);
        else
            for (int64_t k = i; k < p.to; k++)
                sgd_at<1>(e, o, scale, decay, k);
    }
}

template <int N>
__device__ static inline void adamw_at(const step_entry &e, const step_numbers &o, float scale,
                                       float decay, int64_t i)
{
    pack<N> x = get_pack<N>(e.x, i), g = get_pack<N>(e.g, i);
    pack<N> m = get_pack<N>(e.m, i), v = get_pack<N>(e.v, i);
    for (int k = 0; k < N; k++) {
        float d = scale * g.v[k];
        x.v[k] -= decay * x.v[k];
        m.v[k] = o.beta1 * m.v[k] + (1 - o.beta1) * d;
        v.v[k] = o.beta2 * v.v[k] + (1 - o.beta2) * d * d;
        x.v[k] -= o.rate * m.v[k] / (sqrtf(v.v[k]) * o.root + o.eps);
    }
    put_pack(e.m, i, m);
    put_pack(e.v, i, v);
    put_pack(e.x, i, x);
    if (e.copy)
        put_pack(e.copy, i, x);
}

__global__ void adamw_kernel(step_list l, const step_numbers *numbers)
{
    const step_entry &e = entry_of(l, blockIdx.x);
    const step_numbers o = *numbers;
    piece p = piece_of(e, blockIdx.x);
    float scale = factor_of(e, o), decay = e.decays ? o.decay : 0;
    if (isnan(scale))
        return;
    for (int64_t i = p.from + AT_ONCE * threadIdx.x; i < p.to; i += AT_ONCE * CUDA_BLOCK) {
        if (i + AT_ONCE <= p.to)
            adamw_at<AT_ONCE>(e, o, scale, decay, i);
        else
            for (int64_t k = i; k < p.to; k++)
                adamw_at<1>(e, o, scale, decay, k);
    }
}

/* part[first of this list + block] = sum of squares of a piece. */
__global__ void norm_kernel(step_list l, double *part)
{
    SHARED(double, slot, [CUDA_WARP]);
    const step_entry &e = entry_of(l, blockIdx.x);
    piece p = piece_of(e, blockIdx.x);
    double sum = 0;
    for (int64_t i = p.from + AT_ONCE * threadIdx.x; i < p.to; i += AT_ONCE * CUDA_BLOCK) {
        if (i + AT_ONCE <= p.to) {
            pack<AT_ONCE> g = get_pack<AT_ONCE>(e.g, i);
            for (int k = 0; k < AT_ONCE; k++)
                sum += (double)g.v[k] * (double)g.v[k];
        } else {
            for (int64_t k = i; k < p.to; k++)
                sum += (double)e.g[k] * (double)e.g[k];
        }
    }
    sum = block_sum(sum, slot);
    if (threadIdx.x == 0)
        part[blockIdx.x] = sum;
}

/* square[i] = the pieces of one tensor: a warp for each, in an order that depends on their number.
 */
__global__ void square_kernel(step_list l, const double *part, double *square)
{
    const step_entry &e = l.e[blockIdx.x];
    double sum = 0;
    for (int64_t k = threadIdx.x; k * PIECE < e.n; k += CUDA_WARP)
        sum += part[e.first + k];
    sum = warp_sum(sum);
    if (threadIdx.x == 0)
        square[blockIdx.x] = sum;
}

struct scale_job {
    double clip, parts;
    int n, each;
};

/* One block. The tensors' squares are added in their order. */
__global__ void scale_kernel(const double *square, scale_job j, float *scale, double *norm)
{
    SHARED(double, known, [1]);
    if (threadIdx.x == 0) {
        double total = 0;
        for (int i = 0; i < j.n; i++)
            total += square[i];
        known[0] = isfinite(*norm) ? sqrt(total) / j.parts : *norm;
        *norm = known[0];
    }
    __syncthreads();
    double all = 1 / j.parts, whole = known[0];
    if (j.clip > 0 && !j.each)
        all *= fmin(1.0, j.clip / (whole + 1e-6));
    for (int i = threadIdx.x; i < j.n; i += CUDA_BLOCK) {
        float v = (float)all;
        if (j.clip > 0 && j.each)
            v *= (float)fmin(1.0, j.clip / (sqrt(square[i]) / j.parts + 1e-6));
        scale[i] = isfinite(whole) ? v : NAN;
    }
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

static const step_numbers *numbers_of(cuda *c, const step_numbers *o)
{
    c->base.ops->to_device(&c->base, c->numbers, o, sizeof *o);
    return (const step_numbers *)(const void *)c->numbers;
}

static void entry_state(step_entry *e, const param *p, const float *scales, int i)
{
    e->scale = scales ? scales + i : NULL;
    e->decays = p->decay;
}

extern "C" void cuda_step_sgd(backend *be, param_set *s, float *const *v, const backend_sgd *o)
{
    step_list l;
    step_numbers w = {};
    w.factor = o->grad_scale;
    w.lr = o->lr;
    w.decay = o->weight_decay;
    w.momentum = o->momentum;
    const step_numbers *at_card = numbers_of(cuda_of(be), &w);
    for (int at = 0; at < s->n;) {
        int from = at, blocks = next_list(s, &at, &l);
        for (int i = 0; i < l.count; i++) {
            l.e[i].v = v[from + i];
            entry_state(&l.e[i], &s->p[from + i], o->per_tensor_scale, from + i);
        }
        cuda_launch(cuda_of(be), "SGD step", sgd_kernel, (unsigned)blocks, CUDA_BLOCK, 0, l,
                    at_card);
    }
    copies_are_new(s);
}

extern "C" void cuda_step_adamw(backend *be, param_set *s, float *const *m, float *const *v,
                                const backend_adamw *o)
{
    step_list l;
    step_numbers w = {};
    w.factor = o->grad_scale;
    w.decay = o->lr * o->weight_decay;
    w.beta1 = o->beta1;
    w.beta2 = o->beta2;
    w.eps = o->eps;
    w.rate = (float)((double)o->lr / (1 - pow((double)o->beta1, (double)o->step)));
    w.root = (float)(1 / sqrt(1 - pow((double)o->beta2, (double)o->step)));
    const step_numbers *at_card = numbers_of(cuda_of(be), &w);
    for (int at = 0; at < s->n;) {
        int from = at, blocks = next_list(s, &at, &l);
        for (int i = 0; i < l.count; i++) {
            l.e[i].m = m[from + i];
            l.e[i].v = v[from + i];
            entry_state(&l.e[i], &s->p[from + i], o->per_tensor_scale, from + i);
        }
        cuda_launch(cuda_of(be), "AdamW step", adamw_kernel, (unsigned)blocks, CUDA_BLOCK, 0, l,
                    at_card);
    }
    copies_are_new(s);
}

/* Sums of squares of all tensors, on the card; scratch memory. */
static double *squares_of(cuda *c, const param_set *s)
{
    step_list l;
    int64_t pieces = 0;
    for (int i = 0; i < s->n; i++)
        pieces += (s->p[i].n + PIECE - 1) / PIECE;
    double *square =
        (double *)cuda_scratch_get(c, &c->scratch, (size_t)(s->n + pieces) * sizeof(double));
    double *part = square + s->n;
    for (int at = 0; at < s->n;) {
        int from = at, blocks = next_list(s, &at, &l);
        cuda_launch(c, "gradient norms", norm_kernel, (unsigned)blocks, CUDA_BLOCK, 0, l, part);
        cuda_launch(c, "gradient norms", square_kernel, (unsigned)l.count, CUDA_WARP, 0, l, part,
                    square + from);
        part += blocks;
    }
    return square;
}

extern "C" void cuda_grad_norms(backend *be, param_set *s, double *out)
{
    be->ops->to_host(be, out, squares_of(cuda_of(be), s), (size_t)s->n * sizeof *out);
}

extern "C" void cuda_grad_scales(backend *be, param_set *s, const backend_clip *o, float *scale,
                                 double *norm)
{
    cuda *c = cuda_of(be);
    scale_job j = {o->clip, (double)o->parts, s->n, o->each};
    cuda_launch(c, "gradient scales", scale_kernel, 1, CUDA_BLOCK, 0, squares_of(c, s), j, scale,
                norm);
}
