/* cuDNN's attention in the terms of its contract (model/cuda/flash.h), in double: what the score's
 * gradient and the strides of packed rows are tested against where there is no card. */
#include "model/cuda/flash.h"
#include "model/cuda/plan.h"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

struct flash {
    cudaStream_t stream;
    void *code; // SHIM_LIBRARY_KIB: what a library takes of the card when it is opened
};

extern "C" flash *flash_open(void *stream, const char *, err *)
{
    const char *set = getenv("SHIM_LIBRARY_KIB");
    void *code = nullptr;
    if (set && cudaMalloc(&code, (size_t)atoll(set) << 10) != cudaSuccess)
        return nullptr;
    return new flash{static_cast<cudaStream_t>(stream), code};
}

extern "C" void flash_close(flash *f)
{
    if (f)
        cudaFree(f->code);
    delete f;
}

extern "C" void flash_keep(flash *, cache *, const char *)
{
}

extern "C" bool flash_takes(const flash_shape *s)
{
    return s->head % 8 == 0 && s->head <= FLASH_HEAD && s->keys >= 2 && s->ldq % 8 == 0 &&
           s->ldk % 8 == 0;
}

extern "C" bool flash_plan(flash *, const flash_shape *s, size_t *scratch, size_t *workspace, err *)
{
    *scratch = plan_fused_scratch(s);
    *workspace = plan_fused_workspace("sm_90", s);
    return true;
}

static double get(const void *p, int64_t i)
{
    return (double)__bfloat162float(static_cast<const __nv_bfloat16 *>(p)[i]);
}

static void put(void *p, int64_t i, double v)
{
    static_cast<__nv_bfloat16 *>(p)[i] = __float2bfloat16_rn((float)v);
}

/* One image and head; p[queries][keys] are its probabilities. */
struct slice {
    const flash_shape *s;
    const flash_call *c;
    int64_t q, k, o, lse, bias;
    std::vector<double> p;
};

static void probabilities(slice &t)
{
    const flash_shape *s = t.s;
    double scale = 1 / sqrt((double)s->head);
    t.p.resize((size_t)s->queries * s->keys);
    for (int i = 0; i < s->queries; i++) {
        double sum = 0, top = -1e300;
        double *row = &t.p[(size_t)i * s->keys];
        for (int j = 0; j < s->keys; j++) {
            double dot = 0;
            for (int c = 0; c < s->head; c++)
                dot += get(t.c->q, t.q + (int64_t)i * s->ldq + c) *
                       get(t.c->k, t.k + (int64_t)j * s->ldk + c);
            row[j] = scale * dot + (s->bias ? (double)t.c->bias[t.bias + j] : 0);
            top = fmax(top, row[j]);
        }
        for (int j = 0; j < s->keys; j++)
            sum += exp(row[j] - top);
        double lse = s->backward ? (double)t.c->lse[t.lse + i] : top + log(sum);
        if (!s->backward)
            t.c->lse[t.lse + i] = (float)lse;
        for (int j = 0; j < s->keys; j++)
            row[j] = exp(row[j] - lse);
    }
}

static void forward(slice &t)
{
    const flash_shape *s = t.s;
    int64_t ld = (int64_t)s->heads * s->head;
    for (int i = 0; i < s->queries; i++) {
        for (int c = 0; c < s->head; c++) {
            double sum = 0;
            for (int j = 0; j < s->keys; j++)
                sum += t.p[(size_t)i * s->keys + j] * get(t.c->v, t.k + (int64_t)j * s->ldk + c);
            put(t.c->o, t.o + i * ld + c, sum);
        }
    }
}

static void backward(slice &t)
{
    const flash_shape *s = t.s;
    int64_t ld = (int64_t)s->heads * s->head;
    double scale = 1 / sqrt((double)s->head);
    std::vector<double> ds(t.p.size());
    for (int i = 0; i < s->queries; i++) {
        double delta = 0;
        for (int c = 0; c < s->head; c++)
            delta += get(t.c->o, t.o + i * ld + c) * get(t.c->dy, t.o + i * ld + c);
        for (int j = 0; j < s->keys; j++) {
            double dp = 0;
            for (int c = 0; c < s->head; c++)
                dp += get(t.c->dy, t.o + i * ld + c) * get(t.c->v, t.k + (int64_t)j * s->ldk + c);
            size_t at = (size_t)i * s->keys + j;
            ds[at] = scale * t.p[at] * (dp - delta);
        }
    }
    for (int c = 0; c < s->head; c++) {
        for (int i = 0; i < s->queries; i++) {
            double sum = 0;
            for (int j = 0; j < s->keys; j++)
                sum += ds[(size_t)i * s->keys + j] * get(t.c->k, t.k + (int64_t)j * s->ldk + c);
            put(t.c->dq, t.q + (int64_t)i * s->ldq + c, sum);
        }
        for (int j = 0; j < s->keys; j++) {
            double to_k = 0, to_v = 0;
            for (int i = 0; i < s->queries; i++) {
                size_t at = (size_t)i * s->keys + j;
                to_k += ds[at] * get(t.c->q, t.q + (int64_t)i * s->ldq + c);
                to_v += t.p[at] * get(t.c->dy, t.o + i * ld + c);
            }
            put(t.c->dk, t.k + (int64_t)j * s->ldk + c, to_k);
            put(t.c->dv, t.k + (int64_t)j * s->ldk + c, to_v);
        }
    }
}

static cudaError_t attend(const flash_shape *s, const flash_call *call)
{
    for (int b = 0; b < s->b; b++) {
        for (int h = 0; h < s->heads; h++) {
            slice t = {s,
                       call,
                       (int64_t)b * s->queries * s->ldq + h * s->head,
                       (int64_t)b * s->keys * s->ldk + h * s->head,
                       (int64_t)b * s->queries * s->heads * s->head + h * s->head,
                       ((int64_t)b * s->heads + h) * s->queries,
                       (int64_t)b * s->keys,
                       {}};
            probabilities(t);
            if (s->backward)
                backward(t);
            else
                forward(t);
        }
    }
    return cudaSuccess;
}

extern "C" void flash_run(flash *f, const flash_shape *s, const flash_call *call)
{
    flash_shape shape = *s;
    flash_call at = *call;
    shim_node n = {SHIM_LIBRARY, [=] { return attend(&shape, &at); }, {}};
    shim_words(n.words, at);
    if (shim_submit(f->stream, n) != cudaSuccess)
        abort();
}
