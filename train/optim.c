/* Optimiser state in backend memory; the arithmetic is in the backend, one pass per step and one
 * for the norms. Clipping multiplies each gradient by min(1, clip / (norm + 1e-6)): of all tensors
 * together, or of each by itself as the published code does. */
#include "train/optim.h"

#include "core/mem.h"

#include <stdio.h>
#include <string.h>

struct optim {
    optim_cfg c;
    param_set *s;
    float **m, **v; /* m: AdamW only */
    float *scale;   /* backend memory: of each gradient, */
    double *norm;   /* and the norm of all */
};

/* By timm's names: cls_token, dist_token, reg_token, pos_embed, *.relative_position_bias_table. */
static bool is_token(const char *name)
{
    static const char *const tail[] = {"_token", "pos_embed", "relative_position_bias_table"};
    size_t n = strlen(name);
    for (size_t i = 0; i < COUNT_OF(tail); i++)
        if (n >= strlen(tail[i]) && !strcmp(name + n - strlen(tail[i]), tail[i]))
            return true;
    return false;
}

optim *optim_new(const optim_cfg *c, param_set *s)
{
    for (int i = 0; i < s->n && !c->decay_tokens; i++)
        if (is_token(s->p[i].name))
            s->p[i].decay = false;
    optim *o = MEM_NEW(optim);
    o->c = *c;
    o->s = s;
    o->v = MEM_ARRAY(float *, s->n);
    o->scale = backend_alloc(s->be, (size_t)s->n * sizeof *o->scale);
    o->norm = backend_alloc(s->be, sizeof *o->norm);
    if (c->kind == OPTIM_ADAMW)
        o->m = MEM_ARRAY(float *, s->n);
    for (int i = 0; i < s->n; i++) {
        o->v[i] = backend_alloc(s->be, (size_t)s->p[i].n * sizeof(float));
        if (o->m)
            o->m[i] = backend_alloc(s->be, (size_t)s->p[i].n * sizeof(float));
    }
    return o;
}

void optim_free(optim *o)
{
    if (!o)
        return;
    for (int i = 0; i < o->s->n; i++) {
        backend_dealloc(o->s->be, o->v[i]);
        if (o->m)
            backend_dealloc(o->s->be, o->m[i]);
    }
    backend_dealloc(o->s->be, o->scale);
    backend_dealloc(o->s->be, o->norm);
    mem_free(o->m);
    mem_free(o->v);
    mem_free(o);
}

void optim_step(optim *o, double lr, int64_t step, int parts, double *norm)
{
    backend *be = o->s->be;
    backend_clip clip = {o->c.clip, o->c.clip_mode == OPTIM_CLIP_TENSOR, parts};
    backend_grad_scales(be, o->s, &clip, o->scale, o->norm);
    if (o->c.kind == OPTIM_SGD) {
        backend_sgd g = {.lr = (float)lr,
                         .momentum = (float)o->c.momentum,
                         .weight_decay = (float)o->c.weight_decay,
                         .grad_scale = 1,
                         .per_tensor_scale = o->scale};
        backend_step_sgd(be, o->s, o->v, &g);
    } else {
        backend_adamw g = {.lr = (float)lr,
                           .beta1 = (float)o->c.beta1,
                           .beta2 = (float)o->c.beta2,
                           .eps = (float)o->c.eps,
                           .weight_decay = (float)o->c.weight_decay,
                           .grad_scale = 1,
                           .step = step,
                           .per_tensor_scale = o->scale};
        backend_step_adamw(be, o->s, o->m, o->v, &g);
    }
    backend_later(be, norm, o->norm, sizeof *norm);
}

static float *const *state(const optim *o, int which)
{
    return which ? o->v : o->m;
}

bool optim_save(const optim *o, const char *path, err *e)
{
    safetensors_writer *w = safetensors_writer_new(path, NULL);
    float **host = MEM_ARRAY(float *, 2 * o->s->n);
    for (int which = 0; which < 2; which++)
        for (int i = 0; i < o->s->n && state(o, which); i++) {
            const param *p = &o->s->p[i];
            char name[112];
            int64_t n = p->n;
            float *x = mem_alloc((size_t)p->n * sizeof(float));
            host[which * o->s->n + i] = x;
            backend_to_host(o->s->be, x, state(o, which)[i], (size_t)p->n * sizeof(float));
            snprintf(name, sizeof name, "%c.%s", which ? 'v' : 'm', p->name);
            safetensors_writer_add(w, name, 1, &n, x);
        }
    bool ok = safetensors_writer_finish(w, e);
    for (int i = 0; i < 2 * o->s->n; i++)
        mem_free(host[i]);
    mem_free(host);
    return ok;
}

static bool load_one(const optim *o, const safetensors *f, int which, int i, err *e)
{
    const param *p = &o->s->p[i];
    char name[112];
    snprintf(name, sizeof name, "%c.%s", which ? 'v' : 'm', p->name);
    const array_info *a = safetensors_get(f, name);
    if (!a || a->n != p->n)
        return err_set(e, ERR_INPUT, "optimiser state: '%s' is missing or has another size", name);
    float *x = mem_alloc((size_t)p->n * sizeof(float));
    bool ok = safetensors_read(f, a, x, e);
    if (ok)
        backend_to_device(o->s->be, state(o, which)[i], x, (size_t)p->n * sizeof(float));
    mem_free(x);
    return ok ? true : err_wrap(e, "optimiser state: '%s'", name);
}

bool optim_load(optim *o, const char *path, err *e)
{
    safetensors *f = safetensors_open(path, e);
    bool ok = f != NULL;
    for (int which = 0; which < 2 && ok; which++)
        for (int i = 0; i < o->s->n && ok && state(o, which); i++)
            ok = load_one(o, f, which, i, e);
    safetensors_close(f);
    return ok;
}
