/* The CUDA device: opening, memory, copies, sums over parts, and the table of its functions. */
#include "model/cuda/cuda.cuh"

#include <inttypes.h>

#define SUM_COLUMNS 32 /* of one block of a sum over parts; one warp wide */

void cuda_check(cudaError_t status, const char *what)
{
    if (status == cudaSuccess)
        return;
    if (status == cudaErrorMemoryAllocation) {
        fprintf(stderr, "mammovit: out of device memory (%s)\n", what);
        exit(err_exit(ERR_MEMORY));
    }
    BUG("cuda: %s: %s", what, cudaGetErrorString(status));
}

void *cuda_memory(cuda *c, size_t bytes, const char *what)
{
    void *p = NULL;
    char advice[256] = "a smaller train.batch or model.keep_rate fits";
    size_t room = 0, all = 0;
    cudaError_t status = cudaMalloc(&p, bytes ? bytes : 1);
    if (status != cudaErrorMemoryAllocation) {
        cuda_check(status, what);
        return p;
    }
    cudaMemGetInfo(&room, &all);
    if (c->base.advise)
        c->base.advise(c->base.advise_ctx, (int64_t)all, advice, sizeof advice);
    fprintf(stderr,
            "mammovit: out of device memory: %zu bytes for %s were asked for, %zu of %zu are free; "
            "%s\n",
            bytes, what, room, all, advice);
    exit(err_exit(ERR_MEMORY));
}

void *cuda_scratch_get(cuda *c, cuda_scratch *s, size_t bytes)
{
    if (bytes > s->size) {
        cuda_spill(c); /* what is collected holds the old address */
        cuda_check(cudaStreamSynchronize(c->stream), "waiting for scratch memory");
        cuda_check(cudaFree(s->data), "scratch memory");
        s->data = NULL;
        s->data = (char *)cuda_memory(c, bytes, "scratch");
        s->size = bytes;
    }
    return s->data;
}

/* One column per lane; the warps of a block take parts in turn and are added in their order. */
__global__ void sum_columns_kernel(float *g, const float *parts, int count, int n, int stride)
{
    SHARED(float, slot, [CUDA_WARPS][SUM_COLUMNS]);
    int lane = threadIdx.x % SUM_COLUMNS, warp = threadIdx.x / SUM_COLUMNS;
    int column = blockIdx.x * SUM_COLUMNS + lane;
    float sum = 0;
    for (int i = warp; i < count && column < n; i += CUDA_WARPS)
        sum += parts[(int64_t)i * stride + column];
    slot[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < n) {
        for (int w = 1; w < CUDA_WARPS; w++)
            sum += slot[w][lane];
        g[column] += sum;
    }
}

void cuda_sum_columns(cuda *c, float *g, const float *parts, int count, int n, int stride)
{
    cuda_launch(c, "sum of columns", sum_columns_kernel, cuda_blocks(n, SUM_COLUMNS), CUDA_BLOCK, 0,
                g, parts, count, n, stride);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void *cuda_alloc(backend *be, size_t bytes)
{
    return cuda_memory(cuda_of(be), bytes, "values");
}

static void cuda_dealloc(backend *be, void *p)
{
    cuda_spill(cuda_of(be));
    cuda_check(cudaFree(p), "freeing memory");
}

struct zero_job {
    void *p;
    size_t bytes;
};

static void run_zero(cuda *c, const zero_job &j)
{
    cuda_check(cudaMemsetAsync(j.p, 0, j.bytes, c->stream), "zeroing");
}

void cuda_fill_zero(cuda *c, void *p, size_t bytes)
{
    zero_job j = {p, bytes};
    if (bytes)
        cuda_call<zero_job, run_zero>(c, j);
}

static void cuda_zero(backend *be, void *p, size_t bytes)
{
    cuda_fill_zero(cuda_of(be), p, bytes);
}

static void cuda_to_host(backend *be, void *dst, const void *src, size_t bytes)
{
    cuda *c = cuda_of(be);
    if (!bytes)
        return;
    laps_class was = laps_enter(be, LAPS_COPIES);
    cuda_spill(c);
    cuda_check(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToHost, c->stream), "reading");
    cuda_check(cudaStreamSynchronize(c->stream), "reading");
    laps_enter(be, was);
}

struct move_job {
    void *dst;
    const void *src;
    size_t bytes;
};

static void run_move(cuda *c, const move_job &j)
{
    cuda_check(cudaMemcpyAsync(j.dst, j.src, j.bytes, cudaMemcpyDeviceToDevice, c->stream),
               "moving");
}

/* The source is free again on return: the piece has taken its copy, or the card has read it. (Where
 * the driver need not stage pageable memory, a copy from it may go on behind the call.) */
static void cuda_to_device(backend *be, void *dst, const void *src, size_t bytes)
{
    cuda *c = cuda_of(be);
    if (!bytes)
        return;
    laps_class was = laps_enter(be, LAPS_COPIES);
    move_job j = {dst, cuda_stage(c, src, bytes), bytes};
    if (j.src) {
        cuda_call<move_job, run_move>(c, j);
    } else {
        cuda_check(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyHostToDevice, c->stream), "writing");
        cuda_check(cudaStreamSynchronize(c->stream), "writing");
    }
    laps_enter(be, was);
}

static void cuda_copy_inside(backend *be, void *dst, const void *src, size_t bytes)
{
    move_job j = {dst, src, bytes};
    if (bytes)
        cuda_call<move_job, run_move>(cuda_of(be), j);
}

static void *stage(backend *be, const void *x, size_t bytes)
{
    return cuda_stage(cuda_of(be), x, bytes);
}

void *cuda_locked(size_t bytes)
{
    void *p = NULL;
    if (cudaHostAlloc(&p, bytes ? bytes : 1, cudaHostAllocDefault) != cudaSuccess) {
        fprintf(stderr, "mammovit: out of page-locked memory (%zu bytes were asked for)\n", bytes);
        exit(err_exit(ERR_MEMORY));
    }
    return p;
}

static void *lock_alloc(backend *be, size_t bytes)
{
    (void)be;
    return cuda_locked(bytes);
}

static void lock_free(backend *be, void *p)
{
    (void)be;
    cuda_check(cudaFreeHost(p), "freeing page-locked memory");
}

/* ---- times ----------------------------------------------------------------------------------- */

/* Behind what was asked for so far. */
static void *cuda_mark(backend *be, void *mark)
{
    cudaEvent_t event = (cudaEvent_t)mark;
    cuda_spill(cuda_of(be));
    if (!event)
        cuda_check(cudaEventCreate(&event), "an event");
    cuda_check(cudaEventRecord(event, cuda_of(be)->stream), "an event");
    return event;
}

static double cuda_between(backend *be, void *from, void *to)
{
    float ms = 0;
    (void)be;
    cuda_check(cudaEventSynchronize((cudaEvent_t)to), "waiting for an event");
    cuda_check(cudaEventElapsedTime(&ms, (cudaEvent_t)from, (cudaEvent_t)to), "a time");
    return 1e-3 * ms;
}

static void cuda_unmark(backend *be, void *mark)
{
    (void)be;
    if (mark)
        cudaEventDestroy((cudaEvent_t)mark);
}

static size_t cuda_workspace(const backend *be)
{
    const cuda *c = (const cuda *)be;
    return c->scratch.size + c->parts.size + c->lent.size + c->copies +
           cuda_pieces_images(c->pieces);
}

int64_t cuda_free(void)
{
    size_t room, all;
    cuda_check(cudaMemGetInfo(&room, &all), "asking for free memory");
    return (int64_t)room;
}

void cuda_opened(cuda *c, int64_t free, size_t own)
{
    int64_t took = free - cuda_free() - (int64_t)own;
    c->libraries += took > 0 ? took : 0; /* another program may have given some back */
}

static int64_t cuda_room(backend *be)
{
    (void)be;
    return cuda_free();
}

static void cuda_fixed(const backend *be, size_t staged, backend_fixed *out)
{
    const cuda *c = (const cuda *)be;
    plan_fixed(be, staged, out);
    out->held = out->products + cuda_pieces_staging(c->pieces);
    out->libraries = c->libraries;
    out->before = c->before;
}

/* Attention's library comes with the first plan that has some, so that what it takes is known
 * before a step. */
static void cuda_plan(const backend *be, const op_args *a, bool backward, backend_plan *p)
{
    if (a->kind == OP_ATTENTION && a->x->type == TENSOR_BF16)
        cuda_fused((cuda *)(uintptr_t)be);
    plan_op(be, a, backward, p);
}

/* ---- NaN guard ------------------------------------------------------------------------------- */

template <class T> __global__ void nonfinite_kernel(const T *x, int64_t n, long long *bad)
{
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        if (!isfinite(get(x, i)))
            atomicMin(bad, (long long)i);
    }
}

static int64_t cuda_nonfinite(backend *be, const tensor *t)
{
    cuda *c = cuda_of(be);
    int64_t n = tensor_count(t);
    long long none = INT64_MAX, first;
    unsigned blocks = cuda_blocks(n, CUDA_BLOCK * 8);
    cuda_to_device(be, c->bad, &none, sizeof none);
    TYPED(t, T,
          cuda_launch(c, "NaN guard", nonfinite_kernel<T>, blocks, CUDA_BLOCK, 0, values<T>(t), n,
                      c->bad));
    cuda_to_host(be, &first, c->bad, sizeof first);
    return first == none ? -1 : (int64_t)first;
}

/* ---- the other type -------------------------------------------------------------------------- */

__global__ void to_bf16_kernel(const float *x, bf16 *y, int64_t n)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        put(y, i, x[i]);
}

const void *cuda_param(cuda *c, param *p, tensor_type type)
{
    if (type == TENSOR_F32)
        return p->x;
    cuda_copy *copy = (cuda_copy *)p->pack;
    if (!copy) {
        copy = MEM_NEW(cuda_copy);
        copy->x = (bf16 *)cuda_memory(c, (size_t)p->n * sizeof *copy->x, "bf16 weights");
        c->copies += (size_t)p->n * sizeof *copy->x;
        copy->version = p->set->version - 1;
        p->pack = copy;
    }
    if (copy->version != p->set->version) {
        cuda_launch(c, "bf16 weights", to_bf16_kernel, cuda_blocks(p->n, CUDA_BLOCK), CUDA_BLOCK, 0,
                    p->x, copy->x, p->n);
        copy->version = p->set->version;
    }
    return copy->x;
}

static void cuda_drop_pack(backend *be, param *p)
{
    cuda_copy *copy = (cuda_copy *)p->pack;
    if (copy) {
        cuda_of(be)->copies -= (size_t)p->n * sizeof *copy->x;
        cuda_spill(cuda_of(be));
        cuda_check(cudaFree(copy->x), "bf16 weights");
        mem_free(copy);
        p->pack = NULL;
    }
}

/* ---- how to compute -------------------------------------------------------------------------- */

static bool cuda_compute(backend *be, const backend_how *how, err *)
{
    cuda *c = cuda_of(be);
    bool kept = how->cache && strcmp(how->cache, "none");
    cache_close(c->store);
    c->store = kept ? cache_open(how->cache, CACHE_LIMIT) : NULL;
    /* a choice that was timed once may be another one after the next timing */
    cuda_gemm_choice choice = {how->timed && !how->deterministic, c->store, c->card,
                               2 * c->cache_l2};
    cuda_gemm_choose(c->gemm, &choice);
    if (c->fused)
        flash_keep(c->fused, c->store, c->card);
    return true;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void cuda_close(backend *be)
{
    cuda *c = cuda_of(be);
    cudaStreamSynchronize(c->stream);
    cuda_leave(c);
    cuda_pieces_free(c);
    flash_close(c->fused);
    cuda_gemm_close(c->gemm);
    cache_close(c->store);
    cudaFree(c->lent.data);
    cudaFree(c->scratch.data);
    cudaFree(c->parts.data);
    cudaFree(c->numbers);
    cudaFree(c->bad);
    cudaStreamDestroy(c->stream);
    mem_free(c);
}

#define X(upper, lower)                                                                            \
    extern "C" void cuda_##lower##_forward(backend *be, op_args *a);                               \
    extern "C" void cuda_##lower##_backward(backend *be, op_args *a);
OP_LIST(X)
#undef X

static backend_ops table_of(void)
{
    backend_ops t = {};
    t.name = "cuda";
    t.close = cuda_close;
    t.compute = cuda_compute;
    t.alloc = cuda_alloc;
    t.dealloc = cuda_dealloc;
    t.zero = cuda_zero;
    t.to_host = cuda_to_host;
    t.to_device = cuda_to_device;
    t.drop_pack = cuda_drop_pack;
    t.step_sgd = cuda_step_sgd;
    t.step_adamw = cuda_step_adamw;
    t.grad_norms = cuda_grad_norms;
    t.fold = cuda_fold;
    t.join = cuda_join;
    t.sum_start = cuda_sum_start;
    t.sum_wait = cuda_sum_wait;
    t.grad_scales = cuda_grad_scales;
    t.ahead = PLAN_AHEAD;
    t.begin = cuda_begin;
    t.end = cuda_end;
    t.later = cuda_later;
    t.wait = cuda_wait;
    t.graphs = cuda_graphs;
    t.graphs_done = cuda_graphs_done;
    t.stage = stage;
    t.lock_alloc = lock_alloc;
    t.lock_free = lock_free;
    t.nonfinite = cuda_nonfinite;
    t.plan = cuda_plan;
    t.workspace = cuda_workspace;
    t.room = cuda_room;
    t.fixed = cuda_fixed;
    t.copy = cuda_copy_inside;
    t.mark = cuda_mark;
    t.between = cuda_between;
    t.unmark = cuda_unmark;
#define X(upper, lower)                                                                            \
    t.op[OP_##upper].forward = cuda_##lower##_forward;                                             \
    t.op[OP_##upper].backward = cuda_##lower##_backward;
    OP_LIST(X)
#undef X
    return t;
}

/* The code of our kernels is for architectures that were named when the program was built. */
static bool has_code(int device, const cudaDeviceProp *prop, err *e)
{
    cudaFuncAttributes any;
    cudaError_t status = cudaFuncGetAttributes(&any, sum_columns_kernel);
    return status == cudaSuccess ||
           err_set(e, ERR_CONFIG,
                   "device cuda:%d: this build has no kernels for %.64s, sm_%d%d (%s); build it "
                   "with CUDA_ARCH=%d%d",
                   device, prop->name, prop->major, prop->minor, cudaGetErrorString(status),
                   prop->major, prop->minor);
}

static void describe(cuda *c, const cudaDeviceProp *prop)
{
    int driver = 0;
    cuda_check(cudaDriverGetVersion(&driver), "the driver's version");
    snprintf(c->base.isa, sizeof c->base.isa, "sm_%d%d", prop->major, prop->minor);
    snprintf(c->card, sizeof c->card, "%.64s, %s, %d processors, driver %d", prop->name,
             c->base.isa, prop->multiProcessorCount, driver);
    c->cache_l2 = (size_t)prop->l2CacheSize;
}

backend *cuda_open(int device, pool *p, err *e)
{
    static const backend_ops ops = table_of();
    cudaDeviceProp prop;
    size_t room = 0, all = 0;
    int n = 0;
    cudaError_t status = cudaGetDeviceCount(&n);
    if (status != cudaSuccess || device < 0 || device >= n) {
        if (status == cudaErrorInsufficientDriver || status == cudaErrorNoDevice)
            err_set(e, ERR_CONFIG, "device cuda: this machine has no %s; use device cpu",
                    status == cudaErrorNoDevice ? "NVIDIA card"
                                                : "NVIDIA driver, or one older than CUDA 13");
        else if (status != cudaSuccess)
            err_set(e, ERR_CONFIG, "device cuda: %s; use device cpu, or look at `nvidia-smi`",
                    cudaGetErrorString(status));
        else
            err_set(e, ERR_CONFIG, "device cuda:%d: this machine has %d card%s", device, n,
                    n == 1 ? "" : "s");
        return NULL;
    }
    status = cudaSetDevice(device);
    if (status == cudaSuccess)
        status = cudaGetDeviceProperties(&prop, device);
    if (status == cudaSuccess) /* the first call that needs the driver's context */
        status = cudaMemGetInfo(&room, &all);
    if (status != cudaSuccess || prop.major < 8) {
        err_set(e, ERR_CONFIG, "device cuda:%d: %s", device,
                status != cudaSuccess ? cudaGetErrorString(status)
                                      : "compute capability 8.0 or newer is needed");
        return NULL;
    }
    if (!has_code(device, &prop, e))
        return NULL;
    log_warn("cuda_unproven",
             "why=\"no results of a card stand under docs/gpu-results: compare with the CPU\"");
    cuda *c = MEM_NEW(cuda);
    c->base.ops = &ops;
    c->base.pool = p;
    c->device = device;
    describe(c, &prop);
    snprintf(c->base.title, sizeof c->base.title, "%.63s", prop.name);
    c->base.emulated = CUDA_EMULATED;
    c->before = (int64_t)(all - room);
    cuda_check(cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking), "a stream");
    cuda_check(cudaMalloc((void **)&c->bad, sizeof *c->bad), "a word");
    cuda_check(cudaMalloc((void **)&c->numbers, CUDA_NUMBERS * sizeof *c->numbers), "numbers");
    cuda_pieces_open(c);
    int64_t free = cuda_free();
    c->gemm = cuda_gemm_open(c->stream, cuda_linear_finish, c, e);
    if (!c->gemm) {
        cuda_close(&c->base);
        return NULL;
    }
    cuda_opened(c, free, PLAN_PRODUCTS);
    return &c->base;
}
