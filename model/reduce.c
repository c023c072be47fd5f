/* Token reduction: the resolved layers, how many tokens each leaves, and the map of one layer. */
#include "model/reduce.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"

#define TUNED_PATCHES 196 /* of the images that PPT's published numbers belong to: 224 px by 16 */

/* ---- configuration --------------------------------------------------------------------------- */

/* "3/6/9" -> rising blocks. */
static bool read_layers(net_cfg *c, err *e)
{
    const char *list = c->m.reduction_layers ? c->m.reduction_layers : "", *s = list;
    int before = -1;
    for (c->cuts = 0; *s; c->cuts++) {
        int block = 0, digits = 0;
        for (; *s >= '0' && *s <= '9' && digits < 4; s++, digits++)
            block = 10 * block + (*s - '0');
        if (!digits || (*s && *s != '/') || (*s == '/' && !s[1]))
            return err_set(e, ERR_CONFIG,
                           "model.reduction_layers: '%s' is no list of blocks such as 3/6/9", list);
        if (block <= before)
            return err_set(e, ERR_CONFIG,
                           "model.reduction_layers: '%s' names block %d after block %d; name the "
                           "blocks in rising order, each once, such as 3/6/9",
                           list, block, before);
        if (block + 1 >= c->m.depth)
            return err_set(
                e, ERR_CONFIG,
                "model.reduction_layers: block %d of %lld (counted from 0): after the "
                "last block's attention only the class token is read, so nothing is left "
                "to reduce",
                block, (long long)c->m.depth);
        if (c->cuts == WATCH_LAYERS)
            return err_set(e, ERR_CONFIG, "model.reduction_layers: more than %d blocks",
                           WATCH_LAYERS);
        c->cut[c->cuts] = (net_cut){.block = block};
        before = block;
        s += *s == '/';
    }
    return c->cuts ||
           err_set(e, ERR_CONFIG, "model.reduction_layers: no block is named, such as 3/6/9");
}

static bool check_ranges(const model_cfg *m, err *e)
{
    if (!(m->evit_keep > 0 && m->evit_keep <= 1))
        return err_set(e, ERR_CONFIG, "model.evit_keep: %g is outside 0 < k <= 1", m->evit_keep);
    if (m->reduction == MODEL_PPT && (m->ppt_tokens < 1 || m->ppt_tokens > 1 << 20))
        return err_set(e, ERR_CONFIG, "model.ppt_tokens: %lld is outside 1..1048576",
                       (long long)m->ppt_tokens);
    if (m->reduction == MODEL_PPT && !(m->ppt_tau >= 0 && isfinite(m->ppt_tau)))
        return err_set(e, ERR_CONFIG, "model.ppt_tau: %g is negative", m->ppt_tau);
    return true;
}

/* The published numbers as shares and as spreads free of scale (token_reduction.md 8.2). */
static void scale_ppt(net_cfg *c)
{
    int n = TUNED_PATCHES;
    for (int i = 0; i < c->cuts; i++) {
        int r = c->m.ppt_tokens < n / 2 ? (int)c->m.ppt_tokens : n / 2;
        c->cut[i].r = r;
        c->cut[i].n = n;
        c->cut[i].below = c->m.ppt_tau * n * n;
        n -= r;
    }
}

bool reduce_resolve(net_cfg *c, err *e)
{
    const model_cfg *m = &c->m;
    static const char *const name[] = {"full", "evit", "ppt"};
    c->cuts = 0;
    if (m->reduction == MODEL_FULL)
        return true;
    if (!c->kind->sequence)
        return err_set(e, ERR_CONFIG,
                       "model.reduction: %s cannot lose tokens between its blocks, because %s; "
                       "%s works on ViT and DeiT",
                       m->name,
                       c->kind->dense ? c->kind->dense : "its stages need every place of a grid",
                       name[m->reduction]);
    if (!check_ranges(m, e) || !read_layers(c, e))
        return false;
    scale_ppt(c);
    return true;
}

/* ---- how many -------------------------------------------------------------------------------- */

int reduce_kept(double keep, int n)
{
    return (int)ceil(keep * (double)n);
}

/* A rate of 1 in the configuration switches a network's reduction off; a rate of 1 in the call, for
 * that call. Where only one token would go, fusing it gains nothing and damps it. */
static bool evit_count(const net_call *call, reduce_layer *l)
{
    const model_cfg *m = &call->cfg->m;
    double asked = call->batch->evit_keep;
    if (asked < 0 || asked > 1)
        BUG("model: a keep rate of %g in a batch", asked);
    double keep = asked > 0 && m->evit_keep < 1 ? asked : m->evit_keep;
    int n = l->n_in - l->prefix;
    l->keep = reduce_kept(keep, n);
    l->fuse = m->evit_fuse;
    return l->keep < n && (!l->fuse || l->keep < n - 1 || m->evit_fuse_one);
}

static bool ppt_count(const net_call *call, reduce_layer *l)
{
    const model_cfg *m = &call->cfg->m;
    const net_cut *cut = &call->cfg->cut[l->index];
    int n = l->n_in - l->prefix, half = n / 2;
    bool free = m->ppt_rule == MODEL_SCALE_FREE;
    int64_t r = free ? llround((double)n * cut->r / cut->n) : m->ppt_tokens;
    l->pool = (op_match_spec){.heads = call->cfg->heads,
                              .prefix = l->prefix,
                              .gone = r < half ? (int)r : half,
                              .scale_free = free,
                              .below = free ? cut->below : m->ppt_tau};
    l->pool.prunes = call->path && call->path[l->index] == 'P';
    return l->pool.gone > 0;
}

/* ---- one layer ------------------------------------------------------------------------------- */

static int32_t *ints(run *r, int b, int n)
{
    return run_memory(r, (size_t)b * (size_t)n * sizeof(int32_t));
}

/* Host copy of backend memory. */
static void *fetch(run *r, const void *x, size_t bytes)
{
    void *host = mem_alloc(bytes);
    run_to_host(r, host, x, bytes);
    return host;
}

static watch_layer *watch_add(const reduce_layer *l, int n_out)
{
    model_watch *w = l->call->batch->watch;
    watch_layer *out = &w->layer[w->layers++];
    *out = (watch_layer){.block = l->call->cfg->cut[l->index].block,
                         .n_in = l->n_in,
                         .n_out = n_out,
                         .fused = l->fuse ? l->prefix + l->keep : -1};
    return out;
}

static void watch_nothing(run *r, reduce_layer *l)
{
    l->fuse = false;
    if (!l->call->batch->watch || run_is_shape(r))
        return;
    watch_layer *w = watch_add(l, l->n_in);
    w->dst = MEM_ARRAY(int32_t, l->call->batch->b * l->n_in);
    for (int i = 0; i < l->call->batch->b * l->n_in; i++)
        w->dst[i] = i % l->n_in;
}

bool reduce_open(run *r, const net_call *call, int block, int n, const tensor *size,
                 reduce_layer *l)
{
    const net_cfg *c = call->cfg;
    int index = 0;
    while (index < c->cuts && c->cut[index].block != block)
        index++;
    if (index == c->cuts)
        return false;
    *l = (reduce_layer){.call = call, .index = index, .prefix = c->preset->prefix, .n_in = n};
    bool evit = c->m.reduction == MODEL_EVIT;
    if (!(evit ? evit_count(call, l) : ppt_count(call, l))) {
        watch_nothing(r, l);
        return false;
    }
    int b = call->batch->b;
    l->map.n_in = n;
    l->map.dst = l->dst = ints(r, b, n);
    if (evit) {
        l->map.n_out = l->prefix + l->keep + l->fuse;
        l->map.w_from = l->prefix + l->keep;
        return true;
    }
    op_match_spec *p = &l->pool;
    p->size = c->m.ppt_size_bias ? size : NULL;
    l->map.n_out = n - p->gone;
    p->new_size = run_input(r, b, l->map.n_out, 1, NULL, true);
    p->log_size = run_input(r, b, l->map.n_out, 1, NULL, true);
    p->dst = l->dst;
    p->weight = run_memory(r, (size_t)b * (size_t)n * sizeof(float));
    p->pooled = ints(r, b, 1);
    p->spread = run_memory(r, (size_t)b * sizeof(double));
    l->map.weight = p->weight;
    return true;
}

static void watch_selected(run *r, const reduce_layer *l, const tensor *score)
{
    if (!l->call->batch->watch || run_is_shape(r))
        return;
    watch_layer *w = watch_add(l, l->map.n_out);
    const op_match_spec *p = &l->pool;
    size_t b = (size_t)score->b, n = (size_t)score->n;
    w->dst = fetch(r, l->dst, b * n * sizeof(int32_t));
    w->score = fetch(r, score->x, b * n * sizeof(float));
    if (!p->gone)
        return;
    w->size = fetch(r, p->new_size->x, b * (size_t)l->map.n_out * sizeof(float));
    w->pooled = fetch(r, p->pooled, b * sizeof(int32_t));
    w->spread = fetch(r, p->spread, b * sizeof(double));
}

void reduce_select(run *r, reduce_layer *l, tensor *score, tensor *qkv)
{
    if (l->call->cfg->m.reduction == MODEL_PPT) {
        op_match(r, score, qkv, &l->pool);
    } else {
        op_topk(r, score, &(op_topk_spec){l->prefix, l->keep, l->fuse, l->dst});
        l->w = l->fuse ? score : NULL;
    }
    watch_selected(r, l, score);
}
