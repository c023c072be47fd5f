/* Softmax attention over the tokens of an image, with the score of its first rows. In bf16 cuDNN's
 * fused kernels do it; the gradient of a score is added behind them. */
#include "model/cuda/attention.cuh"

template <class T> static attention_job<T> job_of(op_args *a)
{
    const tensor *kv = a->x2 ? a->x2 : a->x;
    attention_job<T> j = {};
    j.d = a->y->c;
    j.heads = a->attention.heads;
    j.head = j.d / j.heads;
    j.q = values<T>(a->x);
    j.k = a->x2 ? values<T>(kv) : values<T>(kv) + j.d;
    j.v = j.k + j.d;
    j.ldq = a->x->c;
    j.ldk = kv->c;
    j.queries = a->y->n;
    j.keys = kv->n;
    j.groups = a->y->b;
    j.scale = (float)(1.0 / sqrt((double)j.head));
    j.extra.bias = a->attention.bias ? a->attention.bias->x : NULL;
    j.readers = a->attention.readers;
    return j;
}

/* ---- cuDNN ------------------------------------------------------------------------------------
 */

static flash_shape shape_of(const op_args *a, bool backward, bool deterministic)
{
    const tensor *kv = a->x2 ? a->x2 : a->x;
    flash_shape s = {};
    s.b = a->y->b;
    s.heads = a->attention.heads;
    s.queries = a->y->n;
    s.keys = kv->n;
    s.head = a->y->c / s.heads;
    s.ldq = a->x->c;
    s.ldk = kv->c;
    s.backward = backward;
    s.deterministic = backward && deterministic;
    s.bias = a->attention.bias != NULL;
    return s;
}

flash *cuda_fused(cuda *c)
{
    if (!c->fused_asked) {
        err e = {};
        int64_t free = cuda_free();
        c->fused_asked = true;
        c->fused = flash_open(c->stream, NULL, &e);
        cuda_opened(c, free, 0);
        if (c->fused)
            flash_keep(c->fused, c->store, c->card);
        else
            log_warn("attention_slow", "why=\"%s\"", e.msg);
    }
    return c->fused;
}

/* The deterministic backward pass keeps all products between tokens; where they do not fit, the
 * program ends with the figure. */
static void want_workspace(cuda *c, const flash_shape *s, size_t workspace)
{
    size_t room = 0, all = 0;
    if (workspace <= c->lent.size)
        return;
    cuda_check(cudaMemGetInfo(&room, &all), "free memory");
    if (workspace - c->lent.size <= room)
        return;
    fprintf(stderr,
            "mammovit: train.deterministic: the backward pass of attention over %d tokens, %d "
            "heads and %d images wants a workspace of %.1f GiB, the card has %.1f GiB free. A "
            "smaller train.batch or model.keep_rate fits; so does train.deterministic=false\n",
            s->keys, s->heads, s->b, (double)workspace / (1 << 30), (double)room / (1 << 30));
    exit(err_exit(ERR_MEMORY));
}

/* Can cuDNN run this op? Then its memory is there. */
static bool is_fused(cuda *c, const op_args *a, const flash_shape *s, flash_call *call)
{
    size_t scratch, workspace;
    err e = {};
    if (a->x->type != TENSOR_BF16 || !flash_takes(s) || !cuda_fused(c))
        return false;
    if (!flash_plan(c->fused, s, &scratch, &workspace, &e))
        return false; /* the first call told why */
    if (s->deterministic)
        want_workspace(c, s, workspace);
    call->workspace = cuda_scratch_get(c, &c->lent, workspace + 1);
    call->scratch = scratch ? cuda_scratch_get(c, &c->scratch, scratch) : NULL;
    return true;
}

struct flash_job {
    flash_shape shape;
    flash_call call;
};

static void run_flash(cuda *c, const flash_job &j)
{
    flash_run(c->fused, &j.shape, &j.call);
}

static void fused_forward(cuda *c, const attention_job<bf16> &j, const flash_shape *s,
                          flash_call *call, bf16 *y)
{
    call->q = j.q;
    call->k = j.k;
    call->v = j.v;
    call->bias = j.extra.bias;
    call->o = y;
    call->lse = j.lse;
    flash_job job = {*s, *call};
    cuda_call<flash_job, run_flash>(c, job);
}

/* The score's part of the gradient, onto that of the fused kernels: one block per image, head and
 * row that is read. e_j = p_j (g_j - sum p g) share; dq += scale sum e_j k_j. The e of a block of
 * keys wait in shared memory; then a lane has channels, a warp every CUDA_WARPS-th key. */
__global__ void __launch_bounds__(CUDA_BLOCK) score_query_kernel(attention_job<bf16> j, bf16 *dq)
{
    SHARED(float, slot, [CUDA_WARP]);
    SHARED(float, e, [2][CUDA_BLOCK]); /* in turn: a slow warp still reads the keys before */
    SHARED(float, part, [CUDA_WARPS][FLASH_HEAD]);
    int row = blockIdx.x % j.readers, h = blockIdx.x / j.readers % j.heads;
    int lane = threadIdx.x % CUDA_WARP, warp = threadIdx.x / CUDA_WARP, turn = 0;
    int64_t g = blockIdx.x / j.readers / j.heads, line = (g * j.heads + h) * j.queries + row;
    float share = 1.0f / (float)(j.heads * j.readers), mean = 0, sum[FLASH_HEAD / CUDA_WARP] = {};
    for (int key = threadIdx.x; key < j.keys; key += CUDA_BLOCK)
        mean += probability(j, g, h, row, key) * j.dscore[g * j.keys + key];
    mean = block_sum(mean, slot);
    if (threadIdx.x == 0)
        j.delta[line] = mean;
    for (int first = 0; first < j.keys && dq; first += CUDA_BLOCK, turn ^= 1) {
        int key = first + threadIdx.x, left = j.keys - first;
        if (key < j.keys)
            e[turn][threadIdx.x] =
                probability(j, g, h, row, key) * (j.dscore[g * j.keys + key] - mean);
        __syncthreads();
        for (int k = warp; k < left && k < CUDA_BLOCK; k += CUDA_WARPS) {
            int64_t at = (g * j.keys + first + k) * j.ldk + h * j.head;
            for (int i = 0; i < FLASH_HEAD / CUDA_WARP; i++) {
                int c = i * CUDA_WARP + lane;
                if (c < j.head)
                    sum[i] += e[turn][k] * get(j.k, at + c);
            }
        }
    }
    for (int i = 0; i < FLASH_HEAD / CUDA_WARP; i++)
        part[warp][i * CUDA_WARP + lane] = sum[i];
    __syncthreads();
    for (int c = threadIdx.x; c < j.head && dq; c += CUDA_BLOCK) {
        float all = 0;
        for (int w = 0; w < CUDA_WARPS; w++)
            all += part[w][c];
        put_or_add(dq, (g * j.queries + row) * j.ldq + h * j.head + c, j.scale * share * all, true);
    }
}

/* dk_j += scale e_j q, over the rows that are read in their order; one thread per key and head. */
__global__ void score_key_kernel(attention_job<bf16> j, bf16 *dk)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= j.groups * j.heads * j.keys)
        return;
    int key = (int)(i % j.keys), h = (int)(i / j.keys % j.heads);
    int64_t g = i / j.keys / j.heads, to = (g * j.keys + key) * j.ldk + h * j.head;
    float share = j.scale / (float)(j.heads * j.readers);
    for (int row = 0; row < j.readers; row++) {
        float e = share * probability(j, g, h, row, key) *
                  (j.dscore[g * j.keys + key] - j.delta[(g * j.heads + h) * j.queries + row]);
        for (int c = 0; c < j.head; c++)
            put_or_add(dk, to + c, e * get(j.q, (g * j.queries + row) * j.ldq + h * j.head + c),
                       true);
    }
}

static void fused_backward(cuda *c, attention_job<bf16> j, const flash_shape *s, flash_call *call,
                           bf16 *dq, bf16 *dk)
{
    call->q = j.q;
    call->k = j.k;
    call->v = j.v;
    call->bias = j.extra.bias;
    call->o = (void *)(uintptr_t)j.y;
    call->lse = j.lse;
    call->dy = j.dy;
    call->dq = dq;
    call->dk = dk;
    call->dv = dk + j.d;
    flash_job job = {*s, *call};
    cuda_call<flash_job, run_flash>(c, job);
    if (!j.readers)
        return;
    j.delta = (float *)cuda_scratch_get(c, &c->parts,
                                        (size_t)(j.groups * j.heads * j.queries) * sizeof(float));
    cuda_launch(c, "score queries", score_query_kernel,
                cuda_blocks(j.groups * j.heads * j.readers, 1), CUDA_BLOCK, 0, j, dq);
    cuda_launch(c, "score keys", score_key_kernel,
                cuda_blocks(j.groups * j.heads * j.keys, CUDA_BLOCK), CUDA_BLOCK, 0, j, dk);
}

/* ---- the op -----------------------------------------------------------------------------------
 */

static bool run_fused(cuda *, op_args *, const attention_job<float> &)
{
    return false;
}

static bool run_fused(cuda *c, op_args *a, const attention_job<bf16> &j)
{
    flash_shape s = shape_of(a, false, false);
    flash_call call = {};
    bool ok = is_fused(c, a, &s, &call);
    if (ok)
        fused_forward(c, j, &s, &call, values<bf16>(a->y));
    return ok;
}

static bool run_fused_back(cuda *, op_args *, const attention_job<float> &, float *, float *)
{
    return false;
}

/* The fused kernels write: where something is to be added to, the others run. */
static bool run_fused_back(cuda *c, op_args *a, const attention_job<bf16> &j, bf16 *dq, bf16 *dk)
{
    flash_shape s = shape_of(a, true, c->base.how.deterministic);
    flash_call call = {};
    bool ok = dq && dk && !a->add_x && !a->add_x2 && is_fused(c, a, &s, &call);
    if (ok)
        fused_backward(c, j, &s, &call, dq, dk);
    return ok;
}

template <class T> static void forward(cuda *c, op_args *a)
{
    attention_job<T> j = job_of<T>(a);
    size_t rows = (size_t)(j.groups * j.heads * j.queries);
    j.lse = a->save ? a->save : (float *)cuda_scratch_get(c, &c->parts, rows * sizeof(float));
    if (!run_fused(c, a, j))
        attention_forward(c, j, values<T>(a->y));
    if (a->y2)
        cuda_launch(c, "attention score", attention_score_kernel<T>,
                    cuda_blocks(j.groups * j.keys, CUDA_BLOCK), CUDA_BLOCK, 0, j, a->y2->x);
}

template <class T> static void backward(cuda *c, op_args *a)
{
    attention_job<T> j = job_of<T>(a);
    const tensor *kv = a->x2 ? a->x2 : a->x;
    size_t rows = (size_t)(j.groups * j.heads * j.queries);
    j.lse = a->save;
    j.dscore = a->y2 ? a->y2->g : NULL;
    j.y = values<T>(a->y);
    j.dy = (const T *)(const void *)a->y->g;
    T *dq = gradient<T>(a->x), *dk = gradient<T>(kv);
    if (dk && !a->x2)
        dk += j.d;
    if (run_fused_back(c, a, j, dq, dk))
        return;
    j.delta = (float *)cuda_scratch_get(c, &c->scratch, rows * sizeof(float));
    attention_backward(c, j, dq, dk, dk ? dk + j.d : NULL, a->add_x, a->x2 ? a->add_x2 : a->add_x);
}

extern "C" void cuda_attention_forward(backend *be, op_args *a)
{
    if (tensor_count(a->y))
        TYPED(a->x, T, forward<T>(cuda_of(be), a));
}

extern "C" void cuda_attention_backward(backend *be, op_args *a)
{
    if (tensor_count(a->y))
        TYPED(a->x, T, backward<T>(cuda_of(be), a));
}
