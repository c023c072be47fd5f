/* Sums of gradients: over micro-batches in memory, over processes by NCCL on a stream of its own,
 * so that they run beside the backward pass. An event of the compute stream marks that the
 * gradients of a bucket are written; one of the sums' stream that all buckets are back.
 *
 * No sum is captured: NCCL wants a captured sum to be captured, and its graph launched, by all
 * processes together, and theirs differ in what they have met (token counts, shares of a step,
 * graphs given up). A piece is cut where a sum starts, so the calls around it are graphs all the
 * same. */
#include "model/cuda/cuda.cuh"

extern "C" {
#include "model/cuda/nccl.h"
}

#define CUTS      8 /* of a piece by its sums, about: each part has a graph */
#define POLL_NS   20000
#define TRY_BYTES ((size_t)16 << 20) /* as train.bucket_mib has it */

struct cuda_group {
    nccl *library;
    tensor_type travel;
    cudaStream_t stream;
    cudaEvent_t written, back;
    cuda_scratch half; /* a bucket as bf16 */
    bool sent;         /* since the last wait */
};

__global__ void fold_kernel(float *to, const float *from, int64_t n)
{
    int64_t i = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (i + 4 <= n) {
        put_or_add_pack(to, i, get_pack<4>(from, i), true);
        return;
    }
    for (; i < n; i++)
        to[i] += from[i];
}

extern "C" void cuda_fold(backend *be, float *to, const float *from, int64_t n)
{
    cuda_launch(cuda_of(be), "fold", fold_kernel, cuda_blocks(n, CUDA_BLOCK * 4), CUDA_BLOCK, 0, to,
                from, n);
}

template <class A, class B> __global__ void convert_kernel(const A *from, B *to, int64_t n)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        put(to, i, get(from, i));
}

/* Room for a bucket in bf16; buckets take turns in it, in the order of the stream. */
static bf16 *room_of(cuda *c, int64_t n)
{
    cuda_group *g = c->group;
    size_t bytes = (size_t)n * sizeof(bf16);
    if (bytes > g->half.size) {
        cuda_check(cudaStreamSynchronize(g->stream), "waiting for a sum");
        cuda_check(cudaFree(g->half.data), "room of sums");
        g->half.data = NULL;
        g->half.data = (char *)cuda_memory(c, bytes, "sums as bf16");
        g->half.size = bytes;
    }
    return (bf16 *)g->half.data;
}

/* To the library, in the type that sums travel as. What it refuses now (a cable, a peer that is
 * gone) ends all processes. */
static void give(cuda *c, void *x, int64_t n)
{
    const char *fault = nccl_sum(c->group->library, x, n, c->group->travel, c->group->stream);
    if (!fault)
        return;
    char why[160];
    snprintf(why, sizeof why, "a sum of %lld values by NCCL: %s", (long long)n, fault);
    ranks_give_up(c->base.ranks, why);
}

/* A process beyond `active` brings zeros, which is what its gradients are. */
extern "C" void cuda_sum_start(backend *be, float *x, int64_t n, int active)
{
    cuda_group *g = cuda_of(be)->group;
    unsigned blocks = cuda_blocks(n, CUDA_BLOCK);
    (void)active;
    cuda_cut(cuda_of(be)); /* NCCL is on no list */
    cuda_check(cudaEventRecord(g->written, cuda_of(be)->stream), "marking gradients");
    cuda_check(cudaStreamWaitEvent(g->stream, g->written, 0), "waiting for gradients");
    g->sent = true;
    if (g->travel == TENSOR_F32) {
        give(cuda_of(be), x, n);
        return;
    }
    bf16 *half = room_of(cuda_of(be), n);
    cuda_check(launch(convert_kernel<float, bf16>, blocks, CUDA_BLOCK, 0, g->stream, x, half, n),
               "gradients as bf16");
    give(cuda_of(be), half, n);
    cuda_check(launch(convert_kernel<bf16, float>, blocks, CUDA_BLOCK, 0, g->stream, half, x, n),
               "gradients from bf16");
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Until the last record of g->back, asking meanwhile: a process that has died or a cable that was
 * pulled ends the others in time instead of leaving them in a kernel. */
static void wait_for_sums(cuda *c)
{
    cuda_group *g = c->group;
    struct timespec nap = {0, POLL_NS};
    double end = seconds() + ranks_patience(c->base.ranks);
    for (cudaError_t status; (status = cudaEventQuery(g->back)) != cudaSuccess;) {
        const char *fault = nccl_fault(g->library);
        if (status != cudaErrorNotReady)
            cuda_check(status, "waiting for sums");
        cudaGetLastError(); /* that it is not ready is no error of the next launch */
        if (fault || seconds() > end)
            ranks_give_up(c->base.ranks,
                          fault ? fault : "waited too long for the sums of other cards");
        nanosleep(&nap, NULL);
    }
}

/* The host waits, too: it has a step to agree on anyway. */
extern "C" void cuda_sum_wait(backend *be)
{
    cuda *c = cuda_of(be);
    cuda_group *g = c->group;
    if (!g->sent)
        return;
    g->sent = false;
    cuda_spill(c);
    cuda_check(cudaEventRecord(g->back, g->stream), "marking sums");
    cuda_check(cudaStreamWaitEvent(c->stream, g->back, 0), "waiting for sums");
    wait_for_sums(c);
}

/* ---- joining and leaving -----------------------------------------------------------------------
 */

/* A sum of zeros: with its first one the library takes what it wants of the card, and so what that
 * is is known before the memory of a step is planned. */
static void try_sum(cuda *c)
{
    cuda_group *g = c->group;
    void *x = cuda_memory(c, TRY_BYTES, "a first sum over cards");
    cuda_check(cudaMemsetAsync(x, 0, TRY_BYTES, g->stream), "a first sum");
    give(c, x, (int64_t)(TRY_BYTES / tensor_size(g->travel)));
    cuda_check(cudaEventRecord(g->back, g->stream), "a first sum");
    wait_for_sums(c);
    cuda_check(cudaFree(x), "a first sum");
}

extern "C" bool cuda_join(backend *be, tensor_type travel, err *e)
{
    cuda *c = cuda_of(be);
    int64_t free = cuda_free();
    nccl *library = nccl_open(be->ranks, e);
    if (!library)
        return false;
    cuda_group *g = c->group = MEM_NEW(cuda_group);
    g->library = library;
    g->travel = travel;
    cuda_check(cudaStreamCreateWithFlags(&g->stream, cudaStreamNonBlocking), "a stream for sums");
    cuda_check(cudaEventCreateWithFlags(&g->written, cudaEventDisableTiming), "an event");
    cuda_check(cudaEventCreateWithFlags(&g->back, cudaEventDisableTiming), "an event");
    try_sum(c);
    cuda_opened(c, free, 0);
    cuda_graph_limit(be, CUDA_GRAPHS * CUTS);
    return true;
}

void cuda_leave(cuda *c)
{
    cuda_group *g = c->group;
    if (!g)
        return;
    cudaStreamSynchronize(g->stream);
    nccl_close(g->library);
    cudaEventDestroy(g->written);
    cudaEventDestroy(g->back);
    cudaStreamDestroy(g->stream);
    cudaFree(g->half.data);
    mem_free(g);
    c->group = NULL;
}
