/* AugReg's arrays under timm's names. */
#include "train/augreg.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"

#define PREFIX    "opt/target/"
#define BLOCK     "Transformer/encoderblock_%d/"
#define DEPTH_MAX 256
#define PARTS     3

/* How a Flax array becomes timm's. */
typedef enum way {
    WAY_SAME, /* same shape */
    WAY_FLAT, /* one dimension */
    WAY_CONV, /* (h, w, in, out) -> (out, in, h, w) */
    WAY_IN1,  /* (in, ...) -> (out, in): a matrix whose first dimension is the input */
    WAY_OUT1  /* (..., out) -> (out, in): whose last dimension is the output */
} way;

typedef struct rule {
    const char *flax, *timm;
    way way;
    bool stacked; /* '*' in flax stands for query, key and value, one below the other */
} rule;

static const rule whole[] = {
    {"cls", "cls_token", WAY_SAME, false},
    {"Transformer/posembed_input/pos_embedding", "pos_embed", WAY_SAME, false},
    {"embedding/kernel", "patch_embed.proj.weight", WAY_CONV, false},
    {"embedding/bias", "patch_embed.proj.bias", WAY_FLAT, false},
    {"Transformer/encoder_norm/scale", "norm.weight", WAY_FLAT, false},
    {"Transformer/encoder_norm/bias", "norm.bias", WAY_FLAT, false},
    {"head/kernel", "head.weight", WAY_IN1, false},
    {"head/bias", "head.bias", WAY_FLAT, false},
};

#define HEADS "MultiHeadDotProductAttention_1/"
static const rule of_block[] = {
    {"LayerNorm_0/scale", "norm1.weight", WAY_FLAT, false},
    {"LayerNorm_0/bias", "norm1.bias", WAY_FLAT, false},
    {HEADS "*/kernel", "attn.qkv.weight", WAY_IN1, true},
    {HEADS "*/bias", "attn.qkv.bias", WAY_FLAT, true},
    {HEADS "out/kernel", "attn.proj.weight", WAY_OUT1, false},
    {HEADS "out/bias", "attn.proj.bias", WAY_FLAT, false},
    {"LayerNorm_2/scale", "norm2.weight", WAY_FLAT, false},
    {"LayerNorm_2/bias", "norm2.bias", WAY_FLAT, false},
    {"MlpBlock_3/Dense_0/kernel", "mlp.fc1.weight", WAY_IN1, false},
    {"MlpBlock_3/Dense_0/bias", "mlp.fc1.bias", WAY_FLAT, false},
    {"MlpBlock_3/Dense_1/kernel", "mlp.fc2.weight", WAY_IN1, false},
    {"MlpBlock_3/Dense_1/bias", "mlp.fc2.bias", WAY_FLAT, false},
};

typedef struct item {
    char name[96];
    const array_info *part[PARTS];
    int parts;
    array_info shape;               /* of one part after it is turned, */
    int64_t stride[ARRAY_NDIM_MAX]; /* and where its elements are before */
} item;

typedef struct augreg {
    source *from;
    const char *prefix;
    item *item;
    array_info *array;
    bool *used; /* of the arrays of `from` */
    int n;
} augreg;

static const array_info *find(const augreg *g, const char *name)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", g->prefix, name);
    return source_get(g->from, full);
}

static bool set(item *k, int ndim, const int64_t *shape, const int64_t *stride, err *e)
{
    memcpy(k->stride, stride, (size_t)ndim * sizeof *stride);
    return array_set_shape(&k->shape, ndim, shape, e);
}

/* Shape and strides of one part after it is turned. */
static bool turn(const array_info *a, way how, item *k, err *e)
{
    const int64_t *s = a->shape;
    int64_t in = how == WAY_IN1 ? s[0] : 0, out = 0;
    if (how == WAY_OUT1 && a->ndim)
        out = s[a->ndim - 1];
    bool fits = how == WAY_CONV   ? a->ndim == 4
                : how == WAY_IN1  ? a->ndim >= 2 && in > 0
                : how == WAY_OUT1 ? a->ndim >= 2 && out > 0
                                  : true;
    if (!fits)
        return err_set(e, ERR_INPUT, "'%s' has %d dimensions, or none: not AugReg's shape", k->name,
                       a->ndim);
    k->shape.type = a->type;
    switch (how) {
    case WAY_CONV:
        return set(k, 4, (int64_t[]){s[3], s[2], s[0], s[1]},
                   (int64_t[]){1, s[3], s[1] * s[2] * s[3], s[2] * s[3]}, e);
    case WAY_IN1:
    case WAY_OUT1:
        in = in ? in : a->n / out;
        out = out ? out : a->n / in;
        return set(k, 2, (int64_t[]){out, in}, (int64_t[]){1, out}, e);
    case WAY_FLAT:
        return set(k, 1, &a->n, (int64_t[]){1}, e);
    case WAY_SAME:
        break;
    }
    for (int d = a->ndim - 1, n = 0; d >= 0; d--, n++)
        k->stride[d] = n ? k->stride[d + 1] * s[d + 1] : 1;
    return array_set_shape(&k->shape, a->ndim, s, e);
}

static bool same(const array_info *a, const array_info *b)
{
    return a->type == b->type && a->ndim == b->ndim &&
           memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape) == 0;
}

/* All arrays of one rule -> the next item; nothing where the file has none of them. */
static bool add(augreg *g, const char *block, const char *timm_block, const rule *r, err *e)
{
    static const char *const heads[PARTS] = {"query", "key", "value"};
    item *k = &g->item[g->n];
    *k = (item){.parts = r->stacked ? PARTS : 1};
    snprintf(k->name, sizeof k->name, "%s%s", timm_block, r->timm);
    for (int i = 0; i < k->parts; i++) {
        char name[160];
        const char *star = strchr(r->flax, '*');
        int before = star ? (int)(star - r->flax) : (int)strlen(r->flax);
        snprintf(name, sizeof name, "%s%.*s%s%s", block, before, r->flax, star ? heads[i] : "",
                 star ? star + 1 : "");
        k->part[i] = find(g, name);
        if (!k->part[i])
            return true; /* the network will miss it */
        if (!same(k->part[i], k->part[0]))
            return err_set(e, ERR_INPUT, "'%s' is made of arrays of unequal shapes", k->name);
    }
    if (!turn(k->part[0], r->way, k, e))
        return false;
    array_info *a = &g->array[g->n];
    *a = k->shape;
    a->name = k->name;
    a->shape[0] *= k->parts;
    a->n *= k->parts;
    g->n++;
    for (int i = 0; i < k->parts; i++)
        g->used[k->part[i] - source_at(g->from, 0)] = true;
    return true;
}

static bool add_all(augreg *g, err *e)
{
    for (size_t i = 0; i < COUNT_OF(whole); i++) {
        if (!add(g, "", "", &whole[i], e))
            return false;
    }
    for (int b = 0; b < DEPTH_MAX; b++) {
        char block[48], timm[24];
        snprintf(block, sizeof block, BLOCK, b);
        snprintf(timm, sizeof timm, "blocks.%d.", b);
        for (size_t i = 0; i < COUNT_OF(of_block); i++) {
            if (!add(g, block, timm, &of_block[i], e))
                return false;
        }
    }
    int n = source_count(g->from);
    for (int i = 0; i < n; i++) {
        const array_info *a = source_at(g->from, i);
        if (g->used[i])
            continue;
        g->item[g->n] = (item){.part = {a}};
        g->array[g->n++] = *a;
    }
    return true;
}

static void close_view(void *self)
{
    augreg *g = self;
    source_close(g->from);
    mem_free(g->item);
    mem_free(g->array);
    mem_free(g->used);
    mem_free(g);
}

static bool read_values(void *self, const array_info *a, float *out, err *e)
{
    augreg *g = self;
    const item *k = &g->item[a - g->array];
    int64_t n = k->parts ? k->shape.n : a->n;
    for (int i = 0; i < (k->parts ? k->parts : 1); i++) {
        float *raw = source_values(g->from, k->part[i], e);
        if (!raw)
            return false;
        if (k->parts)
            array_gather(&k->shape, k->stride, raw, out + i * n);
        else
            memcpy(out, raw, (size_t)n * sizeof *out);
        mem_free(raw);
    }
    return true;
}

bool augreg_is(const source *s)
{
    return source_get(s, "embedding/kernel") || source_get(s, PREFIX "embedding/kernel");
}

source *augreg_open(source *s, err *e)
{
    static const source_kind kind = {read_values, NULL, close_view};
    int room = source_count(s) + 1; /* every item but the last uses an array of its own */
    augreg *g = MEM_NEW(augreg);
    *g = (augreg){.from = s, .prefix = source_get(s, "embedding/kernel") ? "" : PREFIX};
    g->item = MEM_ARRAY(item, room);
    g->array = MEM_ARRAY(array_info, room);
    g->used = MEM_ARRAY(bool, room);
    if (add_all(g, e))
        return source_new(&kind, g, g->array, g->n, e);
    close_view(g);
    return NULL;
}
