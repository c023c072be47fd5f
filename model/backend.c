/* Selection of a device by name, and the calls that go straight to its table. */
#include "model/backend.h"

#include <stdio.h>
#include <string.h>

#include "model/cpu/cpu.h"
#include "model/cuda/described.h"
#include "model/laps.h"
#include "model/param.h"

#ifdef MAMMOVIT_CUDA
#include "model/cuda/cuda.h"
#else
/* What a build without nvcc says of a card. */
static backend *cuda_open(int device, pool *p, err *e)
{
    err_set(e, ERR_CONFIG, "device cuda: this build has no CUDA backend; use cpu or auto");
    return NULL;
}
#endif

#define AT(f) offsetof(backend_how, f)
static const cfg_option table[] = {
    {"cuda.timed", CFG_BOOL, AT(timed), "true", 0, 0, NULL, "",
     "matrix products on a card: the fastest of 16 algorithms, timed when a shape is first seen; "
     "false: the library's first guess, as with train.deterministic"},
    {"cuda.cache", CFG_TEXT, AT(cache), "", 0, 0, NULL, "",
     "folder that keeps timed choices and compiled plans of cards; empty: $XDG_CACHE_HOME/mammovit "
     "or ~/.cache/mammovit; none: every run makes them anew"},
};
const cfg_group backend_options = {"CUDA", table, COUNT_OF(table)};

/* The number behind "cuda:", 0 without one; -1 = no device of that name. */
static int cuda_number(const char *device)
{
    if (!strcmp(device, "cuda"))
        return 0;
    int64_t n;
    if (strncmp(device, "cuda:", 5) || !text_i64(device + 5, &n) || n < 0 || n > 255)
        return -1;
    return (int)n;
}

backend *backend_new(const char *device, pool *p, err *e)
{
    if (!strcmp(device, "cpu") || !strcmp(device, "auto"))
        return cpu_open(p, e);
    int n = cuda_number(device);
    if (n >= 0)
        return cuda_open(n, p, e);
    err_set(e, ERR_CONFIG, "device '%s' is not one of auto, cpu, cuda, cuda:N", device);
    return NULL;
}

backend *backend_new_shared(const char *device, const ranks *r, pool *p, err *e)
{
    char own[32];
    int here = ranks_local_size(r);
    if (here > 1 && !strncmp(device, "cuda:", 5)) {
        err_set(e, ERR_CONFIG,
                "device %s is one card, and %d processes on this machine want one each; say cuda",
                device, here);
        return NULL;
    }
    snprintf(own, sizeof own, "cuda:%d", ranks_local(r));
    return backend_new(here > 1 && !strcmp(device, "cuda") ? own : device, p, e);
}

backend *backend_described(pool *p)
{
    return described_open(p);
}

bool backend_compute(backend *b, const backend_how *how, err *e)
{
    if (!b->ops->compute(b, how, e))
        return false;
    b->how = *how;
    b->how.cache = NULL; /* it was borrowed */
    b->type = how->precision == BACKEND_F32 ? TENSOR_F32 : TENSOR_BF16;
    b->stream = how->precision == BACKEND_BF16_FAST ? TENSOR_BF16 : TENSOR_F32;
    return true;
}

void backend_free(backend *b)
{
    if (b)
        b->ops->close(b);
}

const char *backend_name(const backend *b)
{
    return b->ops->name;
}

size_t backend_workspace(const backend *b)
{
    return b->ops->workspace(b);
}

void backend_on_shortage(backend *b, backend_advice *advise, void *ctx)
{
    b->advise = advise;
    b->advise_ctx = ctx;
}

int64_t backend_room(backend *b)
{
    return b->ops->room(b);
}

void backend_fixed_of(const backend *b, size_t staged, backend_fixed *out)
{
    b->ops->fixed(b, staged, out);
}

const char *backend_isa(const backend *b)
{
    return b->isa;
}

const char *backend_title(const backend *b)
{
    return b->title[0] ? b->title : b->isa;
}

bool backend_emulated(const backend *b)
{
    return b->emulated;
}

void *backend_alloc(backend *b, size_t bytes)
{
    void *p = b->ops->alloc(b, bytes);
    b->ops->zero(b, p, bytes);
    return p;
}

void backend_dealloc(backend *b, void *p)
{
    if (p)
        b->ops->dealloc(b, p);
}

void backend_to_host(backend *b, void *dst, const void *src, size_t bytes)
{
    b->ops->to_host(b, dst, src, bytes);
}

void backend_to_device(backend *b, void *dst, const void *src, size_t bytes)
{
    b->ops->to_device(b, dst, src, bytes);
}

void backend_copy(backend *b, void *dst, const void *src, size_t bytes)
{
    b->ops->copy(b, dst, src, bytes);
}

void *backend_mark(backend *b, void *mark)
{
    return b->ops->mark(b, mark);
}

double backend_between(backend *b, void *from, void *to)
{
    return b->ops->between(b, from, to);
}

void backend_unmark(backend *b, void *mark)
{
    b->ops->unmark(b, mark);
}

void backend_fold(backend *b, float *to, const float *from, int64_t n)
{
    b->ops->fold(b, to, from, n);
}

bool backend_join(backend *b, ranks *r, tensor_type travel, err *e)
{
    b->ranks = r;
    b->joined = b->ops->join(b, travel, e);
    return b->joined;
}

void backend_sum_start(backend *b, float *x, int64_t n, int active)
{
    if (b->joined && n)
        b->ops->sum_start(b, x, n, active);
}

void backend_sum_wait(backend *b)
{
    if (b->joined)
        b->ops->sum_wait(b);
}

void backend_begin(backend *b)
{
    b->ops->begin(b);
}

int64_t backend_end(backend *b)
{
    return b->ops->end(b);
}

void backend_later(backend *b, void *dst, const void *src, size_t bytes)
{
    b->ops->later(b, dst, src, bytes);
}

void backend_wait(backend *b, int64_t piece)
{
    b->ops->wait(b, piece);
}

int backend_ahead(const backend *b)
{
    return b->ops->ahead;
}

void backend_graphs(backend *b, bool on)
{
    b->ops->graphs(b, on);
}

void backend_graphs_done(const backend *b, backend_graphed *out)
{
    *out = (backend_graphed){0};
    if (b->ops->graphs_done)
        b->ops->graphs_done(b, out);
}

void *backend_lock_alloc(backend *b, size_t bytes)
{
    return b->ops->lock_alloc(b, bytes);
}

void backend_lock_free(backend *b, void *p)
{
    if (p)
        b->ops->lock_free(b, p);
}

void backend_grad_scales(backend *b, param_set *s, const backend_clip *o, float *scale,
                         double *norm)
{
    laps_class was = laps_enter(b, LAPS_OPTIMISER);
    b->ops->grad_scales(b, s, o, scale, norm);
    laps_enter(b, was);
}

void backend_step_sgd(backend *b, param_set *s, float *const *v, const backend_sgd *o)
{
    laps_class was = laps_enter(b, LAPS_OPTIMISER);
    b->ops->step_sgd(b, s, v, o);
    laps_enter(b, was);
    param_touched(s);
}

void backend_step_adamw(backend *b, param_set *s, float *const *m, float *const *v,
                        const backend_adamw *o)
{
    laps_class was = laps_enter(b, LAPS_OPTIMISER);
    b->ops->step_adamw(b, s, m, v, o);
    laps_enter(b, was);
    param_touched(s);
}

void backend_grad_norms(backend *b, param_set *s, double *out)
{
    laps_class was = laps_enter(b, LAPS_OPTIMISER);
    b->ops->grad_norms(b, s, out);
    laps_enter(b, was);
}
