/* The tape: a step's memory, the record of ops, and the backward walk.
 * Values live in blocks of backend memory that are kept from step to step; gradients are made when
 * the walk first needs them and handed on as soon as the op above has used them. */
#include "model/tape.h"

#include <stdio.h>

#include "core/mem.h"
#include "model/laps.h"
#include "model/ops_table.h"

#define RUN_ALIGN       256
#define RUN_FIRST_BLOCK ((size_t)8 << 20)
#define RUN_BLOCKS      64
#define RUN_NAME_MAX    160

typedef struct run_block {
    char *data;
    size_t size;
} run_block;

typedef struct run_spare {
    float *data;
    size_t bytes;
} run_spare;

struct run {
    backend *be;
    run_mode mode;
    bool shape; /* blocks are sizes without memory, every gradient is `no_values` */
    float no_values;
    backend_plan plan; /* of a shape-only run */
    arena *host;       /* tensor headers, records, maps */
    run_block block[RUN_BLOCKS];
    int blocks;
    run_point at;
    op_args **node;
    int nodes, node_cap;
    run_spare *spare; /* gradients ready for reuse */
    int spares, spare_cap;
    run_counts counts;
    char bad[RUN_NAME_MAX];
};

run *run_new(backend *be, run_mode mode)
{
    if (!be)
        BUG("run: only a shape-only run works without a backend");
    run *r = run_new_shape(be, mode);
    r->shape = false;
    return r;
}

run *run_new_shape(backend *be, run_mode mode)
{
    run *r = MEM_NEW(run);
    r->be = be;
    r->mode = mode;
    r->shape = true;
    r->host = arena_new((size_t)64 << 10);
    return r;
}

bool run_is_shape(const run *r)
{
    return r->shape;
}

size_t run_workspace(const run *r)
{
    return r->plan.kept + r->plan.shared + r->plan.own * (size_t)pool_threads(r->be->pool);
}

void run_reset(run *r)
{
    arena_reset(r->host);
    r->at = (run_point){0};
    r->nodes = 0;
    r->spares = 0;
    r->counts = (run_counts){0};
}

void run_free(run *r)
{
    if (!r)
        return;
    for (int i = 0; i < r->blocks && !r->shape; i++)
        r->be->ops->dealloc(r->be, r->block[i].data);
    arena_free(r->host);
    mem_free(r->node);
    mem_free(r->spare);
    mem_free(r);
}

size_t run_bytes(const run *r)
{
    return r->at.before + r->at.used;
}

size_t run_held(const run *r)
{
    size_t n = 0;
    for (int i = 0; i < r->blocks; i++)
        n += r->block[i].size;
    return n;
}

run_mode run_mode_of(const run *r)
{
    return r->mode;
}

run_counts run_counted(const run *r)
{
    return r->counts;
}

void *run_host(run *r, size_t bytes)
{
    return arena_alloc(r->host, bytes);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* NULL in a shape-only run, which has blocks of the same sizes. */
static void *device_alloc(run *r, size_t bytes)
{
    bytes = (bytes + RUN_ALIGN - 1) / RUN_ALIGN * RUN_ALIGN;
    if (r->shape && r->blocks == RUN_BLOCKS) /* more than any machine has; counts go on */
        r->block[RUN_BLOCKS - 1].size += bytes;
    while (r->at.block < r->blocks && r->block[r->at.block].size - r->at.used < bytes) {
        r->at.before += r->at.used;
        r->at.block++;
        r->at.used = 0;
    }
    if (r->at.block == r->blocks) {
        if (r->blocks == RUN_BLOCKS)
            BUG("run: more than %d blocks of memory", RUN_BLOCKS);
        size_t size = run_held(r) / 4; /* few blocks, little of the last one unused */
        size = size < RUN_FIRST_BLOCK ? RUN_FIRST_BLOCK : size;
        size = size < bytes ? bytes : size;
        void *data = r->shape ? NULL : r->be->ops->alloc(r->be, size);
        r->block[r->blocks++] = (run_block){data, size};
    }
    size_t at = r->at.used;
    r->at.used += bytes;
    return r->shape ? NULL : r->block[r->at.block].data + at;
}

run_point run_mark(const run *r)
{
    run_point at = r->at;
    at.node = r->nodes;
    return at;
}

void run_rewind(run *r, run_point at)
{
    if (r->mode != RUN_INFER)
        return;
    r->at = at;
    r->nodes = at.node;
}

static size_t tensor_bytes(const tensor *t)
{
    int64_t rows = ((int64_t)t->b * t->n + OP_ROW_PAD - 1) / OP_ROW_PAD * OP_ROW_PAD;
    size_t bytes;
    err e;
    err_clear(&e);
    if (!mem_size_mul((size_t)rows, (size_t)t->c * tensor_size(t->type), &bytes, &e))
        BUG("run: tensor [%d, %d, %d]: %s", t->b, t->n, t->c, e.msg);
    return bytes;
}

tensor_type run_type(const run *r)
{
    return r->be ? r->be->type : TENSOR_F32;
}

tensor *run_tensor(run *r, tensor_type type, int b, int n, int c)
{
    if (b < 0 || n < 0 || c < 0)
        BUG("run: tensor [%d, %d, %d]", b, n, c);
    tensor *t = arena_calloc(r->host, sizeof *t);
    *t = (tensor){.b = b, .n = n, .c = c, .type = type};
    t->x = device_alloc(r, tensor_bytes(t));
    return t;
}

tensor *run_alias(run *r, tensor *t)
{
    tensor *a = arena_calloc(r->host, sizeof *a);
    *a = *t;
    a->g = NULL;
    a->leaf = false;
    return a;
}

void *run_memory(run *r, size_t bytes)
{
    return device_alloc(r, bytes);
}

void run_to_host(run *r, void *dst, const void *src, size_t bytes)
{
    r->be->ops->to_host(r->be, dst, src, bytes);
}

float *run_save(run *r, int64_t n)
{
    return r->mode == RUN_TRAIN ? device_alloc(r, (size_t)n * sizeof(float)) : NULL;
}

/* Rounds to the nearest, ties to even; every NaN stays one. */
static uint16_t bf16_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if (x != x)
        return 0x7fff;
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* Host floats into backend memory of the type of `t`, and back. */
static void put_values(run *r, const tensor *t, void *to, const float *x)
{
    size_t n = (size_t)tensor_count(t), bytes = n * tensor_size(t->type);
    if (t->type == TENSOR_F32) {
        r->be->ops->to_device(r->be, to, x, bytes);
        return;
    }
    uint16_t *half = mem_alloc(bytes);
    for (size_t i = 0; i < n; i++)
        half[i] = bf16_of(x[i]);
    r->be->ops->to_device(r->be, to, half, bytes);
    mem_free(half);
}

static void get_values(run *r, const tensor *t, const void *from, float *x)
{
    size_t n = (size_t)tensor_count(t), bytes = n * tensor_size(t->type);
    if (t->type == TENSOR_F32) {
        r->be->ops->to_host(r->be, x, from, bytes);
        return;
    }
    uint16_t *half = mem_alloc(bytes);
    r->be->ops->to_host(r->be, half, from, bytes);
    for (size_t i = 0; i < n; i++) {
        uint32_t u = (uint32_t)half[i] << 16;
        memcpy(&x[i], &u, sizeof u);
    }
    mem_free(half);
}

tensor *run_input_type(run *r, tensor_type type, int b, int n, int c, const float *x, bool fixed)
{
    tensor *t = run_tensor(r, type, b, n, c);
    t->fixed = fixed;
    t->leaf = true;
    if (t->x && x)
        put_values(r, t, t->x, x);
    else if (t->x)
        r->be->ops->zero(r->be, t->x, (size_t)tensor_count(t) * tensor_size(type));
    return t;
}

tensor *run_input(run *r, int b, int n, int c, const float *x, bool fixed)
{
    return run_input_type(r, TENSOR_F32, b, n, c, x, fixed);
}

const void *run_upload_bytes(run *r, const void *x, size_t bytes)
{
    if (!x)
        return NULL;
    void *p = run_memory(r, bytes);
    if (p)
        r->be->ops->to_device(r->be, p, x, bytes);
    return p;
}

const int32_t *run_upload_ints(run *r, const int32_t *x, int64_t n)
{
    return run_upload_bytes(r, x, (size_t)n * sizeof *x);
}

const float *run_upload(run *r, const float *x, int64_t n)
{
    return run_upload_bytes(r, x, (size_t)n * sizeof *x);
}

/* ---- record and walk ------------------------------------------------------------------------- */

static laps_class class_of(op_kind k)
{
    static const laps_class of[OP_COUNT] = {
        [OP_PATCH] = LAPS_PATCH,
        [OP_PREFIX] = LAPS_PATCH,
        [OP_POSITION] = LAPS_PATCH,
        [OP_LINEAR] = LAPS_LINEAR,
        [OP_LAYERNORM] = LAPS_LAYERNORM,
        [OP_GELU] = LAPS_GELU,
        [OP_ATTENTION] = LAPS_ATTENTION,
        [OP_WINDOW] = LAPS_ATTENTION,
        [OP_MAP] = LAPS_MAP,
        [OP_TOPK] = LAPS_MAP,
        [OP_MATCH] = LAPS_MAP,
        [OP_LOSS] = LAPS_LOSS,
    };
    return of[k];
}

tensor *run_record(run *r, const op_args *a, run_counts cost)
{
    r->counts.matmul += cost.matmul;
    r->counts.norm += cost.norm;
    r->counts.scale += cost.scale;
    r->counts.score += cost.score;
    if (r->shape && r->be)
        r->be->ops->plan(r->be, a, r->mode == RUN_TRAIN, &r->plan);
    if (r->nodes == r->node_cap) {
        int cap = r->node_cap ? 2 * r->node_cap : 512;
        r->node = mem_realloc(r->node, (size_t)r->node_cap * sizeof *r->node,
                              (size_t)cap * sizeof *r->node);
        r->node_cap = cap;
    }
    op_args *kept = arena_alloc(r->host, sizeof *kept);
    *kept = *a;
    r->node[r->nodes++] = kept;
    if (!r->shape) {
        laps_class was = laps_enter(r->be, class_of(a->kind));
        r->be->ops->op[a->kind].forward(r->be, kept);
        laps_enter(r->be, was);
    }
    return a->y;
}

static void grad_take(run *r, tensor *t)
{
    size_t bytes = tensor_bytes(t);
    for (int i = r->spares - 1; i >= 0; i--) {
        if (r->spare[i].bytes == bytes) {
            t->g = r->spare[i].data;
            r->spare[i] = r->spare[--r->spares];
            return;
        }
    }
    t->g = device_alloc(r, bytes);
    if (r->shape)
        t->g = &r->no_values;
}

static void grad_give(run *r, tensor *t)
{
    if (!t || !t->g || t->leaf)
        return;
    if (r->spares == r->spare_cap) {
        int cap = r->spare_cap ? 2 * r->spare_cap : 64;
        r->spare = mem_realloc(r->spare, (size_t)r->spare_cap * sizeof *r->spare,
                               (size_t)cap * sizeof *r->spare);
        r->spare_cap = cap;
    }
    r->spare[r->spares++] = (run_spare){t->g, tensor_bytes(t)};
    t->g = NULL;
}

/* true = there is something to add to. */
static bool grad_open(run *r, tensor *t)
{
    if (!t || t->fixed)
        return false;
    if (t->g)
        return true;
    grad_take(r, t);
    return false;
}

static void grad_zero(run *r, tensor *t)
{
    if (t && !t->g) {
        grad_take(r, t);
        if (!r->shape)
            r->be->ops->zero(r->be, t->g, tensor_bytes(t));
    }
}

static void walk(run *r)
{
    for (int i = r->nodes - 1; i >= 0; i--) {
        op_args *a = r->node[i];
        if (a->y->fixed || (!a->y->g && !(a->y2 && a->y2->g)))
            continue;
        grad_zero(r, a->y);
        grad_zero(r, a->y2);
        a->add_x = grad_open(r, a->x);
        a->add_x2 = grad_open(r, a->x2);
        if (!r->shape) {
            laps_class was = laps_enter(r->be, class_of(a->kind));
            r->be->ops->op[a->kind].backward(r->be, a);
            laps_enter(r->be, was);
        }
        grad_give(r, a->y);
        grad_give(r, a->y2);
    }
}

void run_backward_from(run *r, tensor *y, const float *dy)
{
    if (r->mode != RUN_TRAIN)
        BUG("run: backward in a run that was not made for training");
    if (!y->g)
        grad_take(r, y);
    if (!r->shape)
        put_values(r, y, y->g, dy);
    walk(r);
}

void run_backward(run *r, tensor *loss)
{
    if (tensor_count(loss) != 1)
        BUG("run: backward from a tensor of %lld values", (long long)tensor_count(loss));
    const float one = 1;
    run_backward_from(r, loss, &one);
}

void run_read(run *r, const tensor *t, float *out)
{
    if (!t->x)
        BUG("run: a shape-only tensor has no values");
    get_values(r, t, t->x, out);
}

void run_read_grad(run *r, const tensor *t, float *out)
{
    if (t->g)
        get_values(r, t, t->g, out);
    else
        memset(out, 0, (size_t)tensor_count(t) * sizeof(float));
}

const char *run_first_nonfinite(run *r)
{
    for (int i = 0; i < r->nodes; i++) {
        const op_args *a = r->node[i];
        const tensor *out[2] = {a->y2, a->y};
        for (int k = 0; k < 2; k++) {
            if (!out[k] || r->be->ops->nonfinite(r->be, out[k]) < 0)
                continue;
            snprintf(r->bad, sizeof r->bad, "%s%s%s (op %d)", op_name(a->kind), a->w ? " " : "",
                     a->w ? a->w->name : "", i);
            return r->bad;
        }
    }
    return NULL;
}
