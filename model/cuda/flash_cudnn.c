/* Plans of attention by cuDNN: built or taken from the cache, run, and the library itself. What a
 * plan computes: flash_graph.c. */
#include "model/cuda/flash_graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "model/cuda/library.h"
#include "model/cuda/plan.h"

typedef flash_graph graph;
typedef flash_descriptor descriptor;

typedef struct plan {
    flash_shape shape;
    descriptor plan; /* NULL: the library has none, which is not asked again */
    int64_t workspace;
} plan;

struct flash {
    flash_calls lib;
    cudnnHandle_t handle; /* NULL: plans only */
    descriptor device;    /* described, or NULL */
    cache *store;         /* borrowed, or NULL */
    char card[256];       /* what plans in the store belong to */
    plan *made;
    int n, cap;
};

/* ---- plans ------------------------------------------------------------------------------------
 */

/* The library's own first choice of a kernel for the operations; at a head of 64 there is one each
 * way. */
static descriptor choose(flash *f, graph *g)
{
    descriptor whole = flash_graph_create(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    flash_graph_set(g, whole, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->ops,
                    g->op);
    if (f->handle)
        flash_graph_set(g, whole, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1,
                        &f->handle);
    flash_graph_finalize(g, whole, "the graph");
    descriptor guess = flash_graph_create(g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    flash_graph_point(g, guess, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, whole);
    flash_graph_set(g, guess, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (f->device)
        flash_graph_point(g, guess, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, f->device);
    flash_graph_finalize(g, guess, "the choice of a kernel");
    descriptor config = flash_graph_create(g, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    int64_t found = 0;
    if (g->status == CUDNN_STATUS_SUCCESS)
        flash_graph_note(g,
                         f->lib.cudnnBackendGetAttribute(guess, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                         CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &found,
                                                         (void *)&config),
                         "the choice of a kernel");
    if (g->status == CUDNN_STATUS_SUCCESS && found < 1)
        flash_graph_note(g, CUDNN_STATUS_NOT_SUPPORTED, "the choice of a kernel");
    return config;
}

/* A plan of a chosen kernel (config) or of a kept text (json); `p` owns it. */
static void finish(flash *f, graph *g, plan *p, descriptor config, const char *json, size_t len)
{
    if (g->status != CUDNN_STATUS_SUCCESS ||
        !flash_graph_note(
            g,
            f->lib.cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &p->plan),
            "the plan"))
        return;
    if (f->handle)
        flash_graph_set(g, p->plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1,
                        &f->handle);
    if (f->device)
        flash_graph_point(g, p->plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, f->device);
    if (json)
        flash_graph_set(g, p->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                        (int64_t)len, json);
    else
        flash_graph_point(g, p->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    flash_graph_finalize(g, p->plan, "the plan");
    if (g->status == CUDNN_STATUS_SUCCESS)
        flash_graph_note(g,
                         f->lib.cudnnBackendGetAttribute(p->plan,
                                                         CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                                         CUDNN_TYPE_INT64, 1, NULL, &p->workspace),
                         "the plan's workspace");
    if (g->status == CUDNN_STATUS_SUCCESS)
        return;
    f->lib.cudnnBackendDestroyDescriptor(p->plan);
    p->plan = NULL;
}

/* ---- plans on disk ----------------------------------------------------------------------------
 */

static void key_of(const flash *f, const flash_shape *s, char key[CACHE_KEY_MAX])
{
    snprintf(key, CACHE_KEY_MAX,
             "cuDNN %zu, %s, attention %d %s%s%s, bf16, b %d, heads %d, queries %d, keys %d, "
             "head %d, rows %d %d",
             f->lib.cudnnGetVersion(), f->card, FLASH_GRAPH_VERSION,
             s->backward ? "backward" : "forward", s->deterministic ? " deterministic" : "",
             s->bias ? " with bias" : "", s->b, s->heads, s->queries, s->keys, s->head, s->ldq,
             s->ldk);
}

/* A kept plan that the library does not take is built again. */
static bool load(flash *f, plan *p, const char *key)
{
    graph g = {.lib = &f->lib};
    size_t len;
    char *json = cache_get(f->store, key, &len);
    if (json)
        finish(f, &g, p, NULL, json, len + 1);
    if (g.status != CUDNN_STATUS_SUCCESS)
        log_warn("attention_plan_ignored", "why=\"%s (%s)\" action=built_again",
                 f->lib.cudnnGetErrorString(g.status), g.failed);
    mem_free(json);
    return p->plan != NULL;
}

static void keep(flash *f, const plan *p, const char *key)
{
    int64_t len = 0;
    if (!f->store ||
        f->lib.cudnnBackendGetAttribute(p->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION,
                                        CUDNN_TYPE_CHAR, 0, &len, NULL) != CUDNN_STATUS_SUCCESS ||
        len < 1 || (size_t)len > CACHE_DATA_MAX)
        return;
    char *json = mem_calloc((size_t)len + 1, 1);
    if (f->lib.cudnnBackendGetAttribute(p->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION,
                                        CUDNN_TYPE_CHAR, len, &len, json) == CUDNN_STATUS_SUCCESS)
        cache_put(f->store, key, json, strlen(json));
    mem_free(json);
}

static bool same_shape(const flash_shape *a, const flash_shape *b)
{
    return a->b == b->b && a->heads == b->heads && a->queries == b->queries && a->keys == b->keys &&
           a->head == b->head && a->ldq == b->ldq && a->ldk == b->ldk &&
           a->backward == b->backward && a->deterministic == b->deterministic && a->bias == b->bias;
}

static plan *plan_find(flash *f, const flash_shape *s)
{
    for (int i = 0; i < f->n; i++) {
        if (same_shape(&f->made[i].shape, s))
            return &f->made[i];
    }
    return NULL;
}

static bool build(flash *f, plan *p, err *e)
{
    const flash_shape *s = &p->shape;
    graph *g = MEM_NEW(graph);
    g->lib = &f->lib;
    g->s = s;
    flash_graph_fill(g);
    finish(f, g, p, choose(f, g), NULL, 0);
    if (!p->plan)
        err_set(e, ERR_CONFIG,
                "cuDNN has no %s attention of %d images, %d heads, %d by %d tokens: "
                "%s (%s)",
                s->backward ? "backward" : "forward", s->b, s->heads, s->queries, s->keys,
                f->lib.cudnnGetErrorString(g->status), g->failed);
    flash_graph_release(g);
    mem_free(g);
    return p->plan != NULL;
}

static plan *plan_make(flash *f, const flash_shape *s)
{
    plan p = {.shape = *s};
    char key[CACHE_KEY_MAX];
    err e = {0};
    key_of(f, s, key);
    if (!load(f, &p, key)) {
        if (build(f, &p, &e))
            keep(f, &p, key);
        else
            log_warn("attention_slow", "why=\"%s\"", e.msg);
    }
    if (f->n == f->cap) {
        int cap = f->cap ? 2 * f->cap : 16;
        f->made =
            mem_realloc(f->made, (size_t)f->cap * sizeof *f->made, (size_t)cap * sizeof *f->made);
        f->cap = cap;
    }
    f->made[f->n] = p;
    return &f->made[f->n++];
}

bool flash_takes(const flash_shape *s)
{
    return s->head % 8 == 0 && s->head <= FLASH_HEAD && s->keys >= 2 && s->queries >= 1 &&
           s->ldq % 8 == 0 && s->ldk % 8 == 0;
}

bool flash_plan(flash *f, const flash_shape *s, size_t *scratch, size_t *workspace, err *e)
{
    plan *p = plan_find(f, s);
    if (!p)
        p = plan_make(f, s);
    if (!p->plan)
        return err_set(e, ERR_CONFIG, "cuDNN has no %s attention of %d by %d tokens",
                       s->backward ? "backward" : "forward", s->queries, s->keys);
    *workspace = (size_t)p->workspace;
    *scratch = plan_fused_scratch(s);
    return true;
}

void flash_run(flash *f, const flash_shape *s, const flash_call *call)
{
    plan *p = plan_find(f, s);
    if (!p || !p->plan || !f->handle)
        BUG("flash: a shape without a plan");
    float scale = (float)(1.0 / sqrt((double)s->head)), one = 1;
    char *scratch = call->scratch;
    int64_t ids[16];
    void *at[16];
    int n = 0;
    const struct {
        int64_t id;
        const void *p;
    } parts[] = {
        {FLASH_Q, call->q},       {FLASH_K, call->k},
        {FLASH_V, call->v},       {FLASH_O, call->o},
        {FLASH_LSE, call->lse},   {FLASH_SCALE, &scale},
        {FLASH_BIAS, call->bias}, {FLASH_DY, call->dy},
        {FLASH_DQ, call->dq},     {FLASH_DK, call->dk},
        {FLASH_DV, call->dv},     {FLASH_ONE, &one},
        {FLASH_DELTA, scratch},   {FLASH_DQ_SUM, scratch ? scratch + plan_fused_delta(s) : NULL}};
    int last = s->backward ? (s->deterministic ? FLASH_DELTA : FLASH_DQ_SUM) : FLASH_BIAS;
    for (size_t i = 0; i < COUNT_OF(parts) && parts[i].id <= last; i++) {
        if (parts[i].id == FLASH_BIAS && !s->bias)
            continue;
        ids[n] = parts[i].id;
        memcpy(&at[n++], &parts[i].p, sizeof at[0]); /* the library's pointers are not const */
    }
    graph g = {.lib = &f->lib};
    descriptor pack = flash_graph_create(&g, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    flash_graph_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, ids);
    flash_graph_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n,
                    (void *)at);
    flash_graph_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1,
                    (const void *)&call->workspace);
    flash_graph_finalize(&g, pack, "the pointers");
    if (g.status == CUDNN_STATUS_SUCCESS)
        flash_graph_note(&g, f->lib.cudnnBackendExecute(f->handle, p->plan, pack), "the run");
    f->lib.cudnnBackendDestroyDescriptor(pack);
    if (g.status != CUDNN_STATUS_SUCCESS)
        BUG("cuDNN: %s: %s", g.failed, f->lib.cudnnGetErrorString(g.status));
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static bool describe(flash *f, const char *json, err *e)
{
    graph g = {.lib = &f->lib};
    cudnnStatus_t status =
        f->lib.cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &f->device);
    flash_graph_note(&g, status, "a device");
    flash_graph_set(&g, f->device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                    (int64_t)strlen(json) + 1, json);
    flash_graph_finalize(&g, f->device, "a device");
    return g.status == CUDNN_STATUS_SUCCESS ||
           err_set(e, ERR_CONFIG, "cuDNN: the described device: %s",
                   f->lib.cudnnGetErrorString(g.status));
}

/* Versions before 9 have digits of their own. */
static bool too_old(size_t v, err *e)
{
    size_t major = v < 10000 ? 1000 : 10000;
    return err_set(e, ERR_CONFIG,
                   "device cuda: cuDNN %zu.%zu.%zu is older than 9.15.1, whose attention is the "
                   "first that reads no further than its keys",
                   v / major, v % major / 100, v % 100);
}

flash *flash_open(void *stream, const char *device_json, err *e)
{
    void *library = library_open(FLASH_LIBRARY, e);
    if (!library)
        return NULL;
    flash *f = MEM_NEW(flash);
    bool ok = true;
#define X(name) ok = ok && library_symbol(library, #name, &f->lib.name, e);
    FLASH_CALLS(X)
#undef X
    if (ok && f->lib.cudnnGetVersion() < FLASH_VERSION)
        ok = too_old(f->lib.cudnnGetVersion(), e);
    if (ok && device_json)
        ok = describe(f, device_json, e);
    if (ok && !device_json &&
        (f->lib.cudnnCreate(&f->handle) != CUDNN_STATUS_SUCCESS ||
         f->lib.cudnnSetStream(f->handle, stream) != CUDNN_STATUS_SUCCESS))
        ok = err_set(e, ERR_CONFIG, "device cuda: " FLASH_LIBRARY " does not start on this card");
    if (!ok) {
        flash_close(f);
        return NULL;
    }
    return f;
}

void flash_keep(flash *f, cache *store, const char *card)
{
    f->store = store;
    snprintf(f->card, sizeof f->card, "%s", card);
}

void flash_close(flash *f)
{
    if (!f)
        return;
    for (int i = 0; i < f->n; i++)
        if (f->made[i].plan)
            f->lib.cudnnBackendDestroyDescriptor(f->made[i].plan);
    if (f->device)
        f->lib.cudnnBackendDestroyDescriptor(f->device);
    if (f->handle)
        f->lib.cudnnDestroy(f->handle);
    mem_free(f->made);
    mem_free(f);
}
