/* Kept patches of raw 16-bit images: geometry, brightness and contrast, normalisation and the cut
 * into patches in one pass. What is dropped is never read. model.h defines the arithmetic
 * (model_view); it is that of the CPU backend, step by step. */
#include "model/cuda/cuda.cuh"

#define FULL_SCALE 65535.0f

struct patch_job {
    const uint16_t *const *image; /* where [b, planes, h, w] lie: not the same place each time */
    const model_view *view;       /* [b] or NULL */
    const int32_t *keep;          /* [b, n] or NULL */
    int n, h, w, p, stride, grid_w, channels, planes;
    float mean, sd;
};

__device__ static inline float pixel(const uint16_t *image, int h, int w, int64_t y, int64_t x)
{
    return y >= 0 && y < h && x >= 0 && x < w ? (float)image[y * w + x] : 0.0f;
}

__device__ static inline bool is_still(const float *m)
{
    return m[0] == 1 && m[1] == 0 && m[2] == 0 && m[3] == 0 && m[4] == 1 && m[5] == 0;
}

/* Bilinear at the place that output pixel (row, col) comes from; positions in double, so that they
 * are those of the CPU. */
__device__ static float sampled(const patch_job &j, const uint16_t *image, const float *m, int row,
                                int col)
{
    double oy = row + 0.5, ox = col + 0.5;
    double x = (double)m[0] * ox + (double)m[1] * oy + (double)m[2] - 0.5;
    double y = (double)m[3] * ox + (double)m[4] * oy + (double)m[5] - 0.5;
    if (!(x > -1 && x < j.w && y > -1 && y < j.h))
        return 0;
    double fx = floor(x), fy = floor(y);
    int64_t x0 = (int64_t)fx, y0 = (int64_t)fy;
    float ax = (float)(x - fx), ay = (float)(y - fy);
    float p00 = pixel(image, j.h, j.w, y0, x0), p01 = pixel(image, j.h, j.w, y0, x0 + 1);
    float p10 = pixel(image, j.h, j.w, y0 + 1, x0);
    float p11 = pixel(image, j.h, j.w, y0 + 1, x0 + 1);
    float top = p00 + ax * (p01 - p00), low = p10 + ax * (p11 - p10);
    return top + ay * (low - top);
}

/* One block per kept patch. */
template <class T> __global__ void patch_kernel(patch_job j, T *out)
{
    int64_t row = blockIdx.x, s = row / j.n;
    int patch = j.keep ? j.keep[row] : (int)(row % j.n), area = j.p * j.p;
    int top = patch / j.grid_w * j.stride, left = patch % j.grid_w * j.stride;
    const model_view *v = j.view ? &j.view[s] : NULL;
    for (int i = threadIdx.x; i < j.channels * area; i += blockDim.x) {
        int plane = j.planes == 1 ? 0 : i / area, y = top + i % area / j.p, x = left + i % j.p;
        const uint16_t *image = *j.image + (s * j.planes + plane) * j.h * j.w;
        float value = !v || is_still(v->affine) ? (float)image[(int64_t)y * j.w + x]
                                                : sampled(j, image, v->affine, y, x);
        value /= FULL_SCALE;
        if (v && !(v->brightness == 0 && v->contrast == 1)) {
            value = v->contrast * (value - 0.5f) + 0.5f + v->brightness;
            value = fminf(fmaxf(value, 0.0f), 1.0f);
        }
        put(out, row * j.channels * area + i, (value - j.mean) / j.sd);
    }
}

extern "C" void cuda_patch_forward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    const model_batch *b = &a->patch.batch;
    int planes = b->grey ? 1 : a->patch.channels;
    size_t bytes = (size_t)planes * (size_t)b->h * (size_t)b->w * sizeof(uint16_t);
    patch_job j = {};
    j.image = cuda_images(c, b, bytes);
    j.view = b->view;
    j.keep = b->keep;
    j.n = a->y->n;
    j.h = b->h;
    j.w = b->w;
    j.p = a->patch.p;
    j.stride = a->patch.stride;
    j.grid_w = op_patch_side(b->w, j.p, j.stride);
    j.channels = a->patch.channels;
    j.planes = planes;
    j.mean = b->mean;
    j.sd = b->sd;
    TYPED(a->y, T,
          cuda_launch(c, "patch", patch_kernel<T>, cuda_blocks((int64_t)b->b * j.n, 1), CUDA_BLOCK,
                      0, j, values<T>(a->y)));
    cuda_images_used(c);
}

/* Pixels carry no gradient: the walk stops before. */
extern "C" void cuda_patch_backward(backend *be, op_args *a)
{
    (void)be;
    if (!a->y->fixed)
        BUG("patch: pixels were asked for a gradient");
}
