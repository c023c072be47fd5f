/* The table of networks, and the one way to build and run them. */
#include "model/model.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "model/net.h"
#include "model/ops_table.h"
#include "model/reduce.h"
#include "model/select.h"

#define INIT_SD  0.02 /* of every weight matrix, CLS and positions: timm 0.4.12 */
#define SIDE_MAX 65536

/* Names of the same networks with weights of the large ImageNet, where these exist. */
static const struct {
    const net_kind *kind;
    const char *head, *tail;
} aliases[] = {{&deit_kind, "vit_", "_in21k"},
               {&swin_kind, "swin_base_", "_in22k"},
               {&swin_kind, "swin_large_", "_in22k"}};

static const net_kind *const kinds[] = {
#define X(name) &name##_kind,
    NET_LIST(X)
#undef X
};

#define AT(field) offsetof(model_cfg, field)
static const cfg_option options[] = {
    {"model.name", CFG_TEXT, AT(name), "deit_small_patch16_224", 0, 0, NULL, "",
     "network, by its timm name; vit_* without registers also with _in21k, swin_base_* and "
     "swin_large_* with _in22k"},
    {"model.image_h", CFG_INT, AT(image_h), "0", 0, SIDE_MAX, NULL, "px",
     "height of the network's input; 0 = the name's own size"},
    {"model.image_w", CFG_INT, AT(image_w), "0", 0, SIDE_MAX, NULL, "px",
     "width of the network's input; 0 = the name's own size"},
    {"model.patch", CFG_INT, AT(patch), "0", 0, 1024, NULL, "px",
     "side of a patch; 0 = the name's own"},
    {"model.depth", CFG_INT, AT(depth), "0", 0, 256, NULL, "blocks",
     "number of transformer blocks, for networks of one stage; 0 = the name's own"},
    {"model.stride", CFG_INT, AT(stride), "0", 0, 1024, NULL, "px",
     "from patch to patch, where patches overlap; 0 = in the name's proportion to the patch"},
    {"model.window", CFG_INT, AT(window), "0", 0, 64, NULL, "tokens",
     "side of an attention window, for networks that have windows; 0 = the name's own"},
    {"model.channels", CFG_INT, AT(channels), "1", 1, 4, NULL, "",
     "channels of the stem: 1, or 3 equal ones as published programs feed grey images"},
    {"model.classes", CFG_INT, AT(classes), "2", 2, 100000, NULL, "", "classes of the head"},
    {"model.keep_rate", CFG_REAL, AT(keep_rate), "1", 1e-6, 1, NULL, "",
     "fraction of patches kept in training (PatchDropout), of Swin that of a window's rows and of "
     "its "
     "columns; validation keeps all"},
    {"model.full_last", CFG_BOOL, AT(full_last), "false", 0, 0, NULL, "",
     "true: the last block makes every token; false: only the class token where heads read nothing "
     "else, the same result for less work"},
    {"model.keep_mode", CFG_ENUM, AT(keep_mode), "random", 0, 0,
     "random|structured|cropping|grid|breast", "",
     "which patches are kept: any (PatchDropout), random rows x random columns, one block, a grid; "
     "breast: any that hold breast by the mask (prepare.mask), background only when these are too "
     "few"},
    {"model.reduction", CFG_ENUM, AT(reduction), "none", 0, 0, "none|evit|ppt", "",
     "tokens leave between blocks: by attention of the class token (EViT), pruned or pooled (PPT)"},
    {"model.reduction_layers", CFG_TEXT, AT(reduction_layers), "3/6/9", 0, 0, NULL, "",
     "blocks, counted from 0, after whose attention tokens leave"},
    {"model.evit_keep", CFG_REAL, AT(evit_keep), "0.7", 1e-6, 1, NULL, "",
     "fraction of the patch tokens that every such block keeps"},
    {"model.evit_fuse", CFG_BOOL, AT(evit_fuse), "true", 0, 0, NULL, "",
     "the tokens that leave become one token, weighted by the attention they got"},
    {"model.evit_fuse_one", CFG_BOOL, AT(evit_fuse_one), "false", 0, 0, NULL, "",
     "fuse even a single token, as published; it only damps that token"},
    {"model.ppt_rule", CFG_ENUM, AT(ppt_rule), "scale_free", 0, 0, "scale_free|absolute", "",
     "scale_free: ppt_tokens and ppt_tau mean 196 patches and are scaled to others"},
    {"model.ppt_tokens", CFG_INT, AT(ppt_tokens), "50", 1, 1 << 20, NULL, "tokens",
     "tokens that leave in every such block, at most half of those there"},
    {"model.ppt_tau", CFG_REAL, AT(ppt_tau), "7e-5", 0, 1e9, NULL, "",
     "an image is pooled where the variance of its tokens' importance is smaller, else pruned"},
    {"model.ppt_size_bias", CFG_BOOL, AT(ppt_size_bias), "true", 0, 0, NULL, "",
     "attention counts a merged token as often as tokens went into it"},
    {"model.swin_sets", CFG_ENUM, AT(swin_sets), "window", 0, 0, "window|image|tile", "",
     "rows and columns that PatchDropout keeps in Swin's windows: drawn for every window; once for "
     "all windows of an image; tile: one set per image of the batch, dealt out to all windows in "
     "turn, with positions and masks as in the published program"},
    {"model.swin_init", CFG_ENUM, AT(swin_init), "timm", 0, 0, "timm|torch", "",
     "initial weights of Swin's blocks: normal with sd 0.02, or uniform in +-1/sqrt(inputs) with "
     "biases, as in the published program"},
    {"model.gelu", CFG_ENUM, AT(gelu), "auto", 0, 0, "auto|erf|tanh", "",
     "form of GELU: erf is exact, as in published weights; tanh differs by 4.7e-4 at most. auto: "
     "tanh with train.precision bf16_fast, else erf. Checkpoints keep the form"},
    {"model.head_init", CFG_REAL, AT(head_init), "0.02", 0, 10, NULL, "",
     "standard deviation of the head's initial weights"},
};
const cfg_group model_options = {"Network", options, COUNT_OF(options)};

struct model {
    const net_kind *kind;
    net_cfg cfg;
    char *name, *layers; /* cfg.m.name, cfg.m.reduction_layers */
    param_set *params;
    void *net;
};

/* Preset i of all networks in order, and its kind; NULL beyond. */
static const net_preset *preset_at(int i, const net_kind **kind)
{
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        for (const net_preset *p = kinds[k]->presets; p->name; p++) {
            *kind = kinds[k];
            if (i-- == 0)
                return p;
        }
    }
    return NULL;
}

static bool find_preset(const char *name, net_cfg *c, err *e)
{
    size_t n = strlen(name);
    const char *near = "";
    const net_kind *only = NULL;
    int best = INT_MAX;
    for (size_t i = 0; i < COUNT_OF(aliases); i++) {
        size_t tail = strlen(aliases[i].tail);
        if (n > tail && strncmp(name, aliases[i].head, strlen(aliases[i].head)) == 0 &&
            strcmp(name + n - tail, aliases[i].tail) == 0) {
            n -= tail;
            only = aliases[i].kind;
        }
    }
    for (int i = 0; (c->preset = preset_at(i, &c->kind)); i++) {
        if (strlen(c->preset->name) == n && memcmp(c->preset->name, name, n) == 0 &&
            (!only || only == c->kind))
            return true;
        int d = text_distance(name, c->preset->name);
        if (d < best) {
            best = d;
            near = c->preset->name;
        }
    }
    return err_set(
        e, ERR_CONFIG,
        "model.name: '%s' is not known; did you mean '%s'? docs/networks.md has all names", name,
        near);
}

static bool in_range(const char *key, int64_t v, int64_t min, int64_t max, err *e)
{
    if (v >= min && v <= max)
        return true;
    return err_set(e, ERR_CONFIG, "%s: %lld is outside %lld..%lld", key, (long long)v,
                   (long long)min, (long long)max);
}

static int stages(const net_preset *k)
{
    int n = 0;
    while (n < (int)COUNT_OF(k->depth) && k->depth[n])
        n++;
    return n;
}

static int depth_of(const net_preset *k)
{
    int n = 0;
    for (int i = 0; i < stages(k); i++)
        n += k->depth[i];
    return n;
}

/* Fills what the configuration leaves to the name. */
static bool fill(net_cfg *c, err *e)
{
    const net_preset *k = c->preset;
    model_cfg *m = &c->m;
    if (m->depth && stages(k) > 1 && m->depth != depth_of(k))
        return err_set(e, ERR_CONFIG,
                       "model.depth: %s has %d stages of fixed depth; leave it 0 or take another "
                       "network",
                       m->name, stages(k));
    if (m->window && !k->window)
        return err_set(e, ERR_CONFIG, "model.window: %s has no windows", m->name);
    if ((m->swin_sets || m->swin_init) && c->kind != &swin_kind)
        return err_set(e, ERR_CONFIG, "model.swin_%s: %s is no Swin",
                       m->swin_sets ? "sets" : "init", m->name);
    m->image_h = m->image_h ? m->image_h : k->image;
    m->image_w = m->image_w ? m->image_w : k->image;
    m->patch = m->patch ? m->patch : k->patch;
    m->depth = m->depth ? m->depth : depth_of(k);
    m->window = m->window ? m->window : k->window;
    if (m->stride && !k->stride && m->stride != m->patch)
        return err_set(e, ERR_CONFIG, "model.stride: patches of %s do not overlap", m->name);
    if (!m->stride)
        m->stride = k->stride ? (m->patch * k->stride + k->patch - 1) / k->patch : m->patch;
    return true;
}

static bool check_ranges(const model_cfg *m, err *e)
{
    if (!in_range("model.image_h", m->image_h, 1, SIDE_MAX, e) ||
        !in_range("model.image_w", m->image_w, 1, SIDE_MAX, e) ||
        !in_range("model.patch", m->patch, 1, 1024, e) ||
        !in_range("model.stride", m->stride, 1, 1024, e) ||
        !in_range("model.depth", m->depth, 1, 256, e) ||
        !in_range("model.channels", m->channels, 1, 4, e) ||
        !in_range("model.classes", m->classes, 1, 100000, e))
        return false;
    if (!(m->keep_rate > 0 && m->keep_rate <= 1))
        return err_set(e, ERR_CONFIG, "model.keep_rate: %g is outside 0 < k <= 1", m->keep_rate);
    if (!(m->head_init >= 0 && m->head_init <= 10))
        return err_set(e, ERR_CONFIG, "model.head_init: %g is outside 0..10", m->head_init);
    return true;
}

static int64_t nearest(int64_t side, int64_t least, int64_t step)
{
    return side <= least ? least : least + (side - least + (step - 1) / 2) / step * step;
}

bool model_refuse_size(const model_cfg *m, int64_t least, int64_t step, const char *why, err *e)
{
    return err_set(e, ERR_CONFIG,
                   "model.image_h, model.image_w: an image of %lldx%lld px %s; the nearest height "
                   "and width are %lld and %lld (both keys follow prepare.sizes)",
                   (long long)m->image_h, (long long)m->image_w, why,
                   (long long)nearest(m->image_h, least, step),
                   (long long)nearest(m->image_w, least, step));
}

static bool grid_plain(net_cfg *c, err *e)
{
    const model_cfg *m = &c->m;
    char why[96];
    snprintf(why, sizeof why, "is not divisible by patches of %lld px", (long long)m->patch);
    if (m->image_h % m->patch || m->image_w % m->patch)
        return model_refuse_size(m, m->patch, m->patch, why, e);
    c->rows = (int)(m->image_h / m->patch);
    c->cols = (int)(m->image_w / m->patch);
    return true;
}

/* What must not be combined, with the reason (token_reduction.md 8.3). */
static bool check_sound(net_cfg *c, err *e)
{
    if (c->m.keep_mode != SELECT_RANDOM && c->kind->select)
        return err_set(e, ERR_CONFIG,
                       "model.keep_mode: %s keeps random rows and columns of its windows, nothing "
                       "else; leave it random",
                       c->m.name);
    return reduce_resolve(c, e);
}

static int kept(const net_cfg *c, double rate)
{
    return c->kind->kept ? c->kind->kept(c, rate)
                         : select_count((select_mode)c->m.keep_mode, c->rows, c->cols, rate);
}

/* The smallest rate of six decimals that keeps a patch. */
static double least_rate(const net_cfg *c)
{
    int64_t low = 0, high = 1000000;
    while (high - low > 1) {
        int64_t mid = (low + high) / 2;
        *(kept(c, (double)mid / 1e6) > 0 ? &high : &low) = mid;
    }
    return (double)high / 1e6;
}

static bool check_rate(const net_cfg *c, const char *key, double rate, err *e)
{
    const model_cfg *m = &c->m;
    char what[64];
    if (rate >= 1)
        return true;
    if (c->kind->dense)
        return err_set(e, ERR_CONFIG, "%s: %s cannot drop patches: %s", key, m->name,
                       c->kind->dense);
    if (m->reduction == MODEL_PPT && m->ppt_rule == MODEL_ABSOLUTE)
        return err_set(e, ERR_CONFIG,
                       "model.ppt_rule: %s drops patches; absolute numbers and thresholds then "
                       "mean something else than with all of them; take scale_free",
                       key);
    if (kept(c, rate) > 0)
        return true;
    if (m->window)
        snprintf(what, sizeof what, "the %lld rows and columns of a window", (long long)m->window);
    else
        snprintf(what, sizeof what, "%d patches", c->patches);
    return err_set(e, ERR_CONFIG, "%s: %g keeps none of %s; the smallest rate is %g", key, rate,
                   what, least_rate(c));
}

static bool resolve(const model_cfg *in, net_cfg *out, err *e)
{
    *out = (net_cfg){.m = *in};
    if (!find_preset(in->name ? in->name : "", out, e))
        return false;
    out->width = out->preset->width;
    out->heads = out->preset->heads;
    if (!fill(out, e) || !check_ranges(&out->m, e) || !check_sound(out, e) ||
        !(out->kind->grid ? out->kind->grid : grid_plain)(out, e))
        return false;
    int64_t patches = (int64_t)out->rows * out->cols;
    if (!in_range("model: number of patches", patches, 1, 1 << 20, e))
        return false;
    out->patches = (int)patches;
    return check_rate(out, "model.keep_rate", out->m.keep_rate, e);
}

/* The form of GELU on this device; be NULL: shapes only. */
static bool resolve_gelu(net_cfg *c, const backend *be, err *e)
{
    bool fast = be && be->how.precision == BACKEND_BF16_FAST;
    if (c->m.gelu == MODEL_GELU_AUTO)
        c->m.gelu = fast ? MODEL_GELU_TANH : MODEL_GELU_ERF;
    c->tanh = c->m.gelu == MODEL_GELU_TANH;
    return c->tanh || !fast ||
           err_set(e, ERR_CONFIG,
                   "model.gelu: erf, and train.precision: bf16_fast, which is bf16 with the tanh "
                   "form; say bf16, or leave model.gelu auto");
}

/* Whether the weight belongs to a head: "head.weight", "head_dist.weight". */
static bool is_head(const param *p)
{
    return strncmp(p->name, "head", 4) == 0 && text_ends(p->name, ".weight");
}

static bool is_norm(const param *p)
{
    return p->ndim == 1 && text_ends(p->name, ".weight");
}

/* Initial values by kind of parameter, patchdropout.md 3. */
static void init_all(model *m, uint64_t seed)
{
    const model_cfg *c = &m->cfg.m;
    double fan_in = (double)(c->channels * c->patch * c->patch);
    for (int i = 0; i < m->params->n; i++) {
        param *p = &m->params->p[i];
        param_dist dist;
        double scale;
        if (m->kind->init && m->kind->init(&m->cfg, p, &dist, &scale))
            param_init(m->params, p, dist, scale, seed);
        else if (strncmp(p->name, "patch_embed.proj.", 17) == 0)
            param_init(m->params, p, PARAM_UNIFORM, 1 / sqrt(fan_in), seed);
        else if (is_norm(p))
            param_init(m->params, p, PARAM_CONST, 1, seed);
        else if (p->ndim == 1)
            param_init(m->params, p, PARAM_CONST, 0, seed);
        else
            param_init(m->params, p, PARAM_NORMAL, is_head(p) ? c->head_init : INIT_SD, seed);
    }
}

/* be NULL: shapes only. */
static model *build(const model_cfg *want, backend *be, err *e)
{
    net_cfg c;
    if (!resolve(want, &c, e) || !resolve_gelu(&c, be, e))
        return NULL;
    model *m = MEM_NEW(model);
    m->kind = c.kind;
    m->cfg = c;
    m->name = mem_strdup(want->name);
    m->cfg.m.name = m->name;
    m->layers = mem_strdup(want->reduction_layers ? want->reduction_layers : "");
    m->cfg.m.reduction_layers = m->layers;
    m->params = param_set_new(be, m->kind->param_cap(&m->cfg));
    m->net = mem_calloc(1, m->kind->size);
    m->kind->build(m->net, &m->cfg, m->params);
    param_set_alloc(m->params);
    return m;
}

model *model_new(const model_cfg *want, backend *be, uint64_t seed, err *e)
{
    model *m = build(want, be, e);
    if (m)
        init_all(m, seed);
    return m;
}

void model_free(model *m)
{
    if (!m)
        return;
    param_set_free(m->params);
    mem_free(m->net);
    mem_free(m->name);
    mem_free(m->layers);
    mem_free(m);
}

const model_cfg *model_config(const model *m)
{
    return &m->cfg.m;
}

param_set *model_params(model *m)
{
    return m->params;
}

int model_patches(const model *m)
{
    return m->cfg.patches;
}

int model_width(const model *m)
{
    return m->cfg.width << (stages(m->cfg.preset) - 1);
}

void model_grid(const model *m, int *rows, int *cols)
{
    *rows = m->cfg.rows;
    *cols = m->cfg.cols;
}

bool model_is_sequence(const model *m)
{
    return m->kind->sequence;
}

int model_kept(const model *m, double rate)
{
    return kept(&m->cfg, rate);
}

bool model_check_rate(const model *m, const char *key, double rate, err *e)
{
    return check_rate(&m->cfg, key, rate, e);
}

bool model_wants_breast(const model *m)
{
    return m->cfg.m.keep_mode == SELECT_BREAST;
}

void model_select(const model *m, const model_draw *d, int32_t *keep)
{
    const net_cfg *c = &m->cfg;
    int n = model_kept(m, d->rate);
    if (m->kind->select) {
        m->kind->select(c, d, keep);
        return;
    }
    if (model_wants_breast(m) && !d->breast)
        BUG("model: nothing is known of the breast");
    for (int s = 0; s < d->b; s++) {
        int32_t *out = keep + (int64_t)s * n;
        if (model_wants_breast(m))
            select_breast(d->breast + (int64_t)s * c->patches, c->patches, n, d->seed, d->sample[s],
                          d->epoch, out);
        else
            select_patches((select_mode)c->m.keep_mode, c->rows, c->cols, d->rate, d->seed,
                           d->sample[s], d->epoch, out);
    }
}

const char *model_keep_fault(const model *m, int b, const int32_t *keep, int n_keep)
{
    model_batch batch = {.b = b, .keep = keep, .n_keep = n_keep};
    return m->kind->keep_fault ? m->kind->keep_fault(&m->cfg, &batch) : NULL;
}

static void check_batch(const model *m, const model_batch *b)
{
    const model_cfg *c = &m->cfg.m;
    if (b->b < 1 || b->h != c->image_h || b->w != c->image_w)
        BUG("model: batch of %d images of %dx%d, the network takes %lldx%lld", b->b, b->h, b->w,
            (long long)c->image_h, (long long)c->image_w);
    if (b->keep && (b->n_keep < 0 || b->n_keep > m->cfg.patches))
        BUG("model: %d kept patches of %d", b->n_keep, m->cfg.patches);
    if (!(b->sd > 0))
        BUG("model: normalisation by a standard deviation of %g", (double)b->sd);
}

tensor *model_features(model *m, run *r, const model_batch *batch)
{
    check_batch(m, batch);
    if (batch->watch) {
        watch_release(batch->watch);
        batch->watch->b = batch->b;
        batch->watch->prefix = m->cfg.preset->prefix;
    }
    net_call call = {.cfg = &m->cfg, .batch = batch};
    return m->kind->features(m->net, r, &call);
}

tensor *model_forward(model *m, run *r, const model_batch *batch)
{
    return m->kind->logits(m->net, r, model_features(m, r, batch));
}

bool model_count(const model_cfg *want, model_counts *out, err *e)
{
    return model_count_path(want, NULL, out, e);
}

bool model_count_path(const model_cfg *want, const char *path, model_counts *out, err *e)
{
    model *m = build(want, NULL, e);
    if (!m)
        return false;
    if (path && (m->cfg.m.reduction != MODEL_PPT || (int)strlen(path) != m->cfg.cuts ||
                 strspn(path, "MP") != strlen(path))) {
        err_set(e, ERR_CONFIG, "path '%s': wanted M (merge) or P (prune) for each layer of PPT",
                path);
        model_free(m);
        return false;
    }
    memset(out, 0, sizeof *out);
    run *r = run_new_shape(NULL, RUN_TRAIN);
    static const int32_t some = 0; /* a shape-only run reads no index */
    model_batch batch = {.b = 1, .h = (int)m->cfg.m.image_h, .w = (int)m->cfg.m.image_w, .sd = 1};
    if (m->cfg.m.keep_rate < 1) {
        batch.keep = &some;
        batch.n_keep = model_kept(m, m->cfg.m.keep_rate);
    }
    for (int published = 0; published < 2; published++) {
        net_call call = {.cfg = &m->cfg, .batch = &batch, .published = published, .path = path};
        call.trace = published ? out : NULL;
        run_reset(r);
        m->kind->logits(m->net, r, m->kind->features(m->net, r, &call));
        *(published ? &out->published : &out->executed) = run_counted(r);
    }
    out->params = m->params->total;
    out->image_h = m->cfg.m.image_h;
    out->image_w = m->cfg.m.image_w;
    run_free(r);
    model_free(m);
    return true;
}

int64_t model_macs(const run_counts *c, model_convention how)
{
    switch (how) {
    case MODEL_FVCORE:
        return c->matmul + 5 * c->norm;
    case MODEL_TORCHPROFILE:
        return c->matmul + c->norm + c->scale + c->score;
    case MODEL_CORE:
        return c->matmul;
    }
    BUG("model: convention %d", (int)how);
}

model_bytes model_plan(model *m, run_mode mode, run_level level, const model_batch *like)
{
    static const int32_t some = 0; /* a shape-only run reads no index */
    model_batch batch = *like;
    model_bytes n = {0};
    run *r = run_new_shape(m->params->be, mode);
    run_recompute(r, level);
    batch.h = (int)m->cfg.m.image_h;
    batch.w = (int)m->cfg.m.image_w;
    batch.sd = 1;
    batch.keep = batch.n_keep ? &some : NULL;
    tensor *y = model_forward(m, r, &batch);
    if (mode == RUN_TRAIN) {
        tensor *loss = op_loss(r, y, &some, NULL, 0);
        n.saved = run_bytes(r);
        run_backward(r, loss);
    }
    n.arena = run_held(r);
    n.workspace = run_workspace(r);
    n.staged = run_staged(r);
    run_free(r);
    return n;
}
