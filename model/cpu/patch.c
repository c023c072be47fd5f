/* Kept patches of raw 16-bit images: geometry, brightness and contrast, normalisation and the cut
 * into patches in one pass. What is dropped is never read. model.h defines the arithmetic
 * (model_view). */
#include "model/cpu/cpu.h"

#include <math.h>
#include <string.h>

#define PATCHES_PER_TASK 16
#define FULL_SCALE       65535.0f

const model_view model_view_identity = {{1, 0, 0, 0, 1, 0}, 0, 1};

typedef struct patch_job {
    const op_args *a;
    int per_sample; /* tasks */
} patch_job;

static bool is_still(const model_view *v)
{
    return memcmp(v->affine, model_view_identity.affine, sizeof v->affine) == 0;
}

static bool is_plain(const model_view *v)
{
    return v->brightness == 0 && v->contrast == 1;
}

static float pixel(const uint16_t *image, int h, int w, int64_t y, int64_t x)
{
    return y >= 0 && y < h && x >= 0 && x < w ? (float)image[y * w + x] : 0.0f;
}

/* `n` pixels of output row `row` from column `col`, 0..65535. */
static void sample_row(const model_batch *b, const uint16_t *image, const model_view *v, int row,
                       int col, int n, float *out)
{
    if (is_still(v)) {
        const uint16_t *from = image + (int64_t)row * b->w + col;
        for (int i = 0; i < n; i++)
            out[i] = (float)from[i];
        return;
    }
    const float *m = v->affine;
    double oy = row + 0.5;
    for (int i = 0; i < n; i++) {
        double ox = col + i + 0.5;
        double x = (double)m[0] * ox + (double)m[1] * oy + (double)m[2] - 0.5;
        double y = (double)m[3] * ox + (double)m[4] * oy + (double)m[5] - 0.5;
        if (!(x > -1 && x < b->w && y > -1 && y < b->h)) {
            out[i] = 0;
            continue;
        }
        double fx = floor(x), fy = floor(y);
        int64_t x0 = (int64_t)fx, y0 = (int64_t)fy;
        float ax = (float)(x - fx), ay = (float)(y - fy);
        float p00 = pixel(image, b->h, b->w, y0, x0), p01 = pixel(image, b->h, b->w, y0, x0 + 1);
        float p10 = pixel(image, b->h, b->w, y0 + 1, x0);
        float p11 = pixel(image, b->h, b->w, y0 + 1, x0 + 1);
        float top = p00 + ax * (p01 - p00), low = p10 + ax * (p11 - p10);
        out[i] = top + ay * (low - top);
    }
}

static void finish_row(const model_batch *b, const model_view *v, int n, float *out)
{
    bool plain = is_plain(v);
    for (int i = 0; i < n; i++) {
        float x = out[i] / FULL_SCALE;
        if (!plain) {
            x = v->contrast * (x - 0.5f) + 0.5f + v->brightness;
            x = x < 0 ? 0 : x > 1 ? 1 : x;
        }
        out[i] = (x - b->mean) / b->sd;
    }
}

static void task(void *ctx, int64_t i, int thread)
{
    const patch_job *j = ctx;
    const model_batch *b = &j->a->patch.batch;
    int p = j->a->patch.p, stride = j->a->patch.stride, channels = j->a->patch.channels;
    int grid_w = op_patch_side(b->w, p, stride), n = j->a->y->n;
    int64_t s = i / j->per_sample;
    int from = (int)(i % j->per_sample) * PATCHES_PER_TASK;
    int to = from + PATCHES_PER_TASK < n ? from + PATCHES_PER_TASK : n;
    const model_view *v = b->view ? &b->view[s] : &model_view_identity;
    for (int k = from; k < to; k++) {
        int patch = b->keep ? b->keep[s * n + k] : k;
        int row = patch / grid_w * stride, col = patch % grid_w * stride;
        float *out = j->a->y->x + (s * n + k) * j->a->y->c;
        for (int c = 0; c < channels; c++) {
            if (b->grey && c) { /* the plane is read once */
                memcpy(out, out - p * p, (size_t)(p * p) * sizeof *out);
                out += p * p;
                continue;
            }
            const uint16_t *image = b->image[s] + (int64_t)c * b->h * b->w;
            for (int y = 0; y < p; y++, out += p) {
                sample_row(b, image, v, row + y, col, p, out);
                finish_row(b, v, p, out);
            }
        }
    }
}

void cpu_patch_forward(backend *be, op_args *a)
{
    const model_batch *b = &a->patch.batch;
    int p = a->patch.p, stride = a->patch.stride;
    int patches = op_patch_side(b->h, p, stride) * op_patch_side(b->w, p, stride);
    for (int64_t i = 0; b->keep && i < (int64_t)b->b * b->n_keep; i++) {
        if (b->keep[i] < 0 || b->keep[i] >= patches)
            BUG("patch %d of %d", b->keep[i], patches);
    }
    patch_job j = {a, (a->y->n + PATCHES_PER_TASK - 1) / PATCHES_PER_TASK};
    pool_for(be->pool, (int64_t)b->b * j.per_sample, task, &j);
}

/* Pixels carry no gradient: the walk stops before. */
void cpu_patch_backward(backend *be, op_args *a)
{
    (void)be;
    if (!a->y->fixed)
        BUG("patch: pixels were asked for a gradient");
}
