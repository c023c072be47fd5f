/* Named parameters: one block of values and one of gradients, initial values by name, decay groups.
 */
#include "model/param.h"

#include <string.h>

#include "core/mem.h"
#include "core/rng.h"
#include "core/text.h"
#include "model/laps.h"
#include "model/ops_table.h"

#define PARAM_ALIGN 16 /* floats: every parameter starts on a cache line */

param_set *param_set_new(backend *be, int cap)
{
    param_set *s = MEM_NEW(param_set);
    s->be = be;
    s->cap = cap;
    s->p = MEM_ARRAY(param, cap);
    s->version = 1;
    return s;
}

param *param_add(param_set *s, const char *name, int ndim, const int *shape)
{
    if (s->n == s->cap || s->x || ndim < 1 || ndim > 4)
        BUG("param %s: set of %d is full or closed, %d dimensions", name, s->cap, ndim);
    if (param_find(s, name))
        BUG("param %s is there already", name);
    param *p = &s->p[s->n++];
    text_copy(p->name, sizeof p->name, name);
    p->set = s;
    p->ndim = ndim;
    p->n = 1;
    for (int i = 0; i < ndim; i++) {
        p->shape[i] = shape[i];
        p->n *= shape[i];
    }
    p->decay = ndim > 1 && !text_ends(name, ".bias");
    s->total += p->n;
    return p;
}

void param_set_alloc(param_set *s)
{
    if (!s->be)
        return;
    size_t total = 0;
    for (int i = 0; i < s->n; i++)
        total += ((size_t)s->p[i].n + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN;
    s->x = backend_alloc(s->be, total * sizeof(float));
    s->g = backend_alloc(s->be, total * sizeof(float));
    size_t at = 0;
    for (int i = 0; i < s->n; i++) {
        s->p[i].x = s->x + at;
        s->p[i].g = s->g + at;
        at += ((size_t)s->p[i].n + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN;
    }
}

void param_set_free(param_set *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->n; i++) {
        if (s->p[i].pack)
            s->be->ops->drop_pack(s->be, &s->p[i]);
    }
    if (s->be) {
        backend_dealloc(s->be, s->x);
        backend_dealloc(s->be, s->g);
    }
    mem_free(s->p);
    mem_free(s);
}

/* FNV-1a, 64 bits: the name's own stream of random numbers. */
static uint64_t name_hash(const char *s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    return h;
}

void param_init(param_set *s, param *p, param_dist dist, double scale, uint64_t seed)
{
    if (!s->be)
        return;
    float *x = mem_alloc((size_t)p->n * sizeof(float));
    rng r;
    rng_init(&r, seed, RNG_INIT, name_hash(p->name), 0);
    for (int64_t i = 0; i < p->n; i++) {
        double v = scale;
        if (dist == PARAM_UNIFORM) {
            v = scale * (2 * rng_f64(&r) - 1);
        } else if (dist == PARAM_NORMAL) {
            do
                v = scale * rng_normal(&r);
            while (v < -2 || v > 2);
        }
        x[i] = (float)v;
    }
    param_write(s, p, x);
    mem_free(x);
}

param *param_find(param_set *s, const char *name)
{
    for (int i = 0; i < s->n; i++) {
        if (strcmp(s->p[i].name, name) == 0)
            return &s->p[i];
    }
    return NULL;
}

int64_t param_grads(const param_set *s)
{
    if (s->n == 0)
        return 0;
    const param *last = &s->p[s->n - 1];
    return last->g - s->g + last->n;
}

void param_zero_grad(param_set *s)
{
    if (s->n == 0)
        return;
    laps_class was = laps_enter(s->be, LAPS_OPTIMISER);
    s->be->ops->zero(s->be, s->g, (size_t)param_grads(s) * sizeof(float));
    laps_enter(s->be, was);
}

void param_read(const param_set *s, const param *p, float *x)
{
    backend_to_host(s->be, x, p->x, (size_t)p->n * sizeof(float));
}

void param_write(param_set *s, param *p, const float *x)
{
    backend_to_device(s->be, p->x, x, (size_t)p->n * sizeof(float));
    param_touched(s);
}

void param_touched(param_set *s)
{
    s->version++;
}
