/* The most attended tokens of each image, in falling order. */
#include "model/cuda/rank.cuh"

__global__ void topk_kernel(const float *score, int32_t *dst, int n, int prefix, int keep,
                            int32_t rest)
{
    SHARED(uint64_t, tile, [CUDA_BLOCK]);
    int64_t first = (int64_t)blockIdx.y * n;
    int i = (int)(blockIdx.x * CUDA_BLOCK + threadIdx.x), others = n - prefix;
    int rank = rank_of(score + first + prefix, others, i, tile);
    if (i < others)
        dst[first + prefix + i] = rank < keep ? prefix + rank : rest;
    if (i < prefix)
        dst[first + i] = i;
}

extern "C" void cuda_topk_forward(backend *be, op_args *a)
{
    const op_topk_spec *how = &a->topk;
    int n = a->x->n, most = n - how->prefix > how->prefix ? n - how->prefix : how->prefix;
    dim3 grid(cuda_blocks(most, CUDA_BLOCK), (unsigned)a->x->b);
    cuda_launch(cuda_of(be), "topk", topk_kernel, grid, CUDA_BLOCK, 0, a->x->x, how->dst, n,
                how->prefix, how->keep, how->fuse ? how->prefix + how->keep : -1);
}

extern "C" void cuda_topk_backward(backend *be, op_args *a)
{
    (void)be;
    (void)a;
    BUG("a selector has no gradient");
}
