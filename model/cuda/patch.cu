/* Kept patches of raw 16-bit images: geometry, brightness and contrast, normalisation and the cut
 * into patches in one pass. What is dropped is never read. model.h defines the arithmetic
 * (model_view); it is that of the CPU backend, step by step. */
#include "model/cuda/cuda.cuh"

#define FULL_SCALE 65535.0f

struct patch_job {
    const uint16_t *const *image; /* where [b, planes, h, w] lie: not the same place each time */
    const model_view *view;       /* [b] or NULL */
    const int32_t *keep;          /* [b, n] or NULL */
    int n, h, w, p, stride, grid_w, channels, planes, per_block;
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

/* What is written of one pixel. The divisions are those of the CPU, not products with inverses. */
__device__ static inline float value_of(const patch_job &j, const model_view *v, float value)
{
    value /= FULL_SCALE;
    if (v && !(v->brightness == 0 && v->contrast == 1)) {
        value = v->contrast * (value - 0.5f) + 0.5f + v->brightness;
        value = fminf(fmaxf(value, 0.0f), 1.0f);
    }
    return (value - j.mean) / j.sd;
}

/* N neighbours in a row of `image`. */
template <int N>
__device__ static inline pack<N> pixels_of(const patch_job &j, const uint16_t *image,
                                           const model_view *v, int y, int x)
{
    pack<N> a;
    if (v && !is_still(v->affine)) {
        for (int k = 0; k < N; k++)
            a.v[k] = value_of(j, v, sampled(j, image, v->affine, y, x + k));
        return a;
    }
    const uint16_t *from = image + (int64_t)y * j.w + x;
    uint16_t raw[N];
    if constexpr (N == 4) {
        ushort4 u = load_wide<ushort4>(from);
        raw[0] = u.x;
        raw[1] = u.y;
        raw[2] = u.z;
        raw[3] = u.w;
    } else {
        raw[0] = *from;
    }
    for (int k = 0; k < N; k++)
        a.v[k] = value_of(j, v, (float)raw[k]);
    return a;
}

/* A block holds j.per_block kept patches, or one that is larger than itself. A thread makes N
 * neighbours of a patch's row, for all channels where they are one grey plane. */
template <class T, int N> __global__ void patch_kernel(patch_job j, T *out, int rows)
{
    int across = j.p / N, parts = j.p * across, area = j.p * j.p;
    int slot = (int)threadIdx.x / parts, row = (int)blockIdx.x * j.per_block + slot;
    if (row >= rows || slot >= j.per_block)
        return;
    int s = row / j.n;
    int patch = j.keep ? j.keep[row] : row % j.n;
    int top = patch / j.grid_w * j.stride, left = patch % j.grid_w * j.stride;
    const model_view *v = j.view ? &j.view[s] : NULL;
    T *to = out + (int64_t)row * j.channels * area;
    for (int i = (int)threadIdx.x % parts; i < parts; i += CUDA_BLOCK) {
        int y = i / across, x = i % across * N;
        for (int plane = 0; plane < j.planes; plane++) {
            const uint16_t *image = *j.image + ((int64_t)s * j.planes + plane) * j.h * j.w;
            pack<N> a = pixels_of<N>(j, image, v, top + y, left + x);
            for (int c = plane; c < j.channels; c += j.planes)
                put_pack(to, (int64_t)c * area + i * N, a);
        }
    }
}

template <class T, int N> static void launch_patches(cuda *c, patch_job j, T *out, int rows)
{
    int parts = j.p * (j.p / N);
    j.per_block = parts < CUDA_BLOCK ? CUDA_BLOCK / parts : 1;
    cuda_launch(c, "patch", patch_kernel<T, N>, cuda_blocks(rows, j.per_block), CUDA_BLOCK, 0, j,
                out, rows);
}

extern "C" void cuda_patch_forward(backend *be, op_args *a)
{
    cuda *c = cuda_of(be);
    const model_batch *b = &a->patch.batch;
    int planes = b->grey ? 1 : a->patch.channels;
    size_t bytes = (size_t)planes * (size_t)b->h * (size_t)b->w * sizeof(uint16_t);
    int64_t rows = (int64_t)b->b * a->y->n;
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
    if (rows > INT32_MAX)
        BUG("patch: %lld patches", (long long)rows);
    /* four pixels stand at a multiple of their bytes: as rows of an image and of a patch */
    bool wide = j.p % 4 == 0 && j.stride % 4 == 0 && j.w % 4 == 0;
    TYPED(a->y, T,
          wide ? launch_patches<T, 4>(c, j, values<T>(a->y), (int)rows)
               : launch_patches<T, 1>(c, j, values<T>(a->y), (int)rows));
    cuda_images_used(c);
}

/* Pixels carry no gradient: the walk stops before. */
extern "C" void cuda_patch_backward(backend *be, op_args *a)
{
    (void)be;
    if (!a->y->fixed)
        BUG("patch: pixels were asked for a gradient");
}
