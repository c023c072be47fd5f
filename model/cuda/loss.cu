/* Softmax cross-entropy with label smoothing: mean over samples of
 * (1-eps) * (-log p_y) + eps/K * sum_c (-log p_c). In double: a handful of numbers per sample. */
#include "model/cuda/cuda.cuh"

__device__ static inline double sample_weight(const float *weight, int64_t s)
{
    return weight ? (double)weight[s] : 1.0;
}

/* One block per sample: part[s] = its weighted loss, save = its softmax. */
template <class T>
__global__ void loss_kernel(const T *z, const int32_t *label, const float *weight, double eps,
                            double *part, float *save, int k)
{
    SHARED(double, slot, [CUDA_WARP]);
    SHARED(float, tops, [CUDA_WARP]);
    int64_t at = (int64_t)blockIdx.x * k;
    float top = -INFINITY;
    double sum = 0, all = 0;
    for (int i = threadIdx.x; i < k; i += CUDA_BLOCK)
        top = fmaxf(top, get(z, at + i));
    top = warp_max(top);
    if (threadIdx.x % CUDA_WARP == 0)
        tops[threadIdx.x / CUDA_WARP] = top;
    __syncthreads();
    for (int w = 0; w < CUDA_WARPS; w++)
        top = fmaxf(top, tops[w]);
    for (int i = threadIdx.x; i < k; i += CUDA_BLOCK) {
        double v = (double)get(z, at + i);
        sum += exp(v - (double)top);
        all += v;
    }
    sum = block_sum(sum, slot);
    all = block_sum(all, slot);
    double lse = (double)top + log(sum);
    for (int i = threadIdx.x; save && i < k; i += CUDA_BLOCK)
        save[at + i] = (float)exp((double)get(z, at + i) - lse);
    if (threadIdx.x == 0) {
        double hit = lse - (double)get(z, at + label[blockIdx.x]);
        part[blockIdx.x] =
            sample_weight(weight, blockIdx.x) * ((1 - eps) * hit + eps * (lse - all / k));
    }
}

/* One thread: the samples in their order. part[b] gets the sum of weights for backward. */
__global__ void loss_sum_kernel(const double *part, const float *weight, float *y, int b)
{
    double total = 0, mass = 0;
    for (int s = 0; s < b; s++) {
        total += part[s];
        mass += sample_weight(weight, s);
    }
    *y = (float)(total / mass);
}

template <class T>
__global__ void loss_back_kernel(const float *save, const int32_t *label, const float *weight,
                                 double eps, const float *dy, T *dz, int b, int k, bool add)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (int64_t)b * k)
        return;
    int64_t s = i / k;
    double mass = 0;
    for (int j = 0; j < b; j++)
        mass += sample_weight(weight, j);
    double target = eps / k + ((int)(i % k) == label[s] ? 1 - eps : 0);
    double g = (double)*dy * sample_weight(weight, s) / mass * ((double)save[i] - target);
    put_or_add(dz, i, (float)g, add);
}

extern "C" void cuda_loss_forward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    int b = a->x->b, k = a->x->c;
    double *part = (double *)cuda_scratch_get(c, &c->scratch, (size_t)b * sizeof(double));
    TYPED(a->x, T,
          cuda_launch(c, "loss", loss_kernel<T>, (unsigned)b, CUDA_BLOCK, 0, values<T>(a->x),
                      a->loss.label, a->loss.weight, (double)a->loss.smoothing, part, a->save, k));
    cuda_launch(c, "loss", loss_sum_kernel, 1, 1, 0, part, a->loss.weight, a->y->x, b);
}

extern "C" void cuda_loss_backward(backend *be, op_args *a)
{
    int64_t n = tensor_count(a->x);
    if (a->x->fixed)
        return;
    TYPED(a->x, T,
          cuda_launch(cuda_of(be), "loss backward", loss_back_kernel<T>, cuda_blocks(n, CUDA_BLOCK),
                      CUDA_BLOCK, 0, a->save, a->loss.label, a->loss.weight,
                      (double)a->loss.smoothing, a->y->g, gradient<T>(a->x), a->x->b, a->x->c,
                      a->add_x));
}
