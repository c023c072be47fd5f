/* The tape: a step's memory, the record of ops, and the backward walk.
 * Values live in blocks of backend memory that are kept from step to step. What is no longer read
 * is handed on: values at boundaries and behind the walk, gradients as soon as the op above has
 * used them. A device runs ops in the order of the calls, so memory may change hands at once. */
#include "model/tape.h"

#include <stdio.h>

#include "core/mem.h"
#include "model/heap.h"
#include "model/laps.h"
#include "model/ops_table.h"

#define RUN_ALIGN       256
#define RUN_FIRST_BLOCK ((size_t)8 << 20)
#define RUN_NAME_MAX    160
#define RUN_NO_OP       (-1)

/* A tensor, and what the tape knows of it. */
typedef struct slot {
    tensor t; /* first member */
    heap_place x_at, g_at;
    int made;   /* op whose output it is, or RUN_NO_OP: then its values stay */
    bool gone;  /* its values were let go */
    bool read;  /* some op reads its values in the backward pass */
    bool state; /* of a boundary: what comes behind can be made again from it */
} slot;

typedef struct node {
    op_args a; /* first member */
    heap_place save_at;
    bool save_gone;
} node;

/* Memory taken in an inference run, for run_rewind. */
typedef struct run_piece {
    heap_place at;
    size_t bytes;
} run_piece;

struct run {
    backend *be;
    run_mode mode;
    run_level level;
    bool shape; /* an endless block without memory, every gradient is `no_values` */
    float no_values;
    backend_plan plan; /* of a shape-only run */
    arena *host;       /* tensor headers, records, maps */
    heap heap;
    char *block[HEAP_BLOCKS];
    run_piece *piece;
    int pieces, piece_cap;
    node **node;
    int nodes, node_cap;
    int closed;   /* ops before the last boundary */
    slot *passed; /* of that boundary, read behind it */
    run_counts counts;
    run_use_fn *used; /* told after a parameter's gradient was added to; NULL: nobody */
    void *used_ctx;
    char bad[RUN_NAME_MAX];
};

static slot *slot_of(tensor *t)
{
    return (slot *)t;
}

run *run_new(backend *be, run_mode mode)
{
    if (!be)
        BUG("run: only a shape-only run works without a backend");
    run *r = run_new_shape(be, mode);
    r->shape = false;
    heap_release(&r->heap);
    return r;
}

run *run_new_shape(backend *be, run_mode mode)
{
    run *r = MEM_NEW(run);
    r->be = be;
    r->mode = mode;
    r->shape = true;
    r->host = arena_new((size_t)64 << 10);
    heap_add(&r->heap, HEAP_ENDLESS);
    return r;
}

bool run_is_shape(const run *r)
{
    return r->shape;
}

size_t run_workspace(const run *r)
{
    size_t n = r->plan.kept + r->plan.own * (size_t)pool_threads(r->be->pool);
    for (int i = 0; i < BACKEND_SCRATCHES; i++)
        n += r->plan.most[i];
    return n;
}

size_t run_staged(const run *r)
{
    return r->plan.staged;
}

void run_recompute(run *r, run_level level)
{
    r->level = level;
}

void run_reset(run *r)
{
    arena_reset(r->host);
    heap_clear(&r->heap);
    r->pieces = 0;
    r->nodes = r->closed = 0;
    r->passed = NULL;
    r->counts = (run_counts){0};
}

static void free_blocks(run *r)
{
    for (int i = 0; i < r->heap.blocks && !r->shape; i++)
        r->be->ops->dealloc(r->be, r->block[i]);
    heap_release(&r->heap);
}

void run_free(run *r)
{
    if (!r)
        return;
    free_blocks(r);
    arena_free(r->host);
    mem_free(r->node);
    mem_free(r->piece);
    mem_free(r);
}

size_t run_bytes(const run *r)
{
    return r->heap.used;
}

size_t run_held(const run *r)
{
    size_t n = 0;
    if (r->shape)
        return r->heap.top;
    for (int i = 0; i < r->heap.blocks; i++)
        n += r->heap.size[i];
    return n;
}

void run_reserve(run *r, size_t bytes)
{
    if (r->heap.used)
        BUG("run: memory is reserved before a step, not in it");
    if (r->shape || bytes <= run_held(r))
        return;
    free_blocks(r);
    r->block[0] = r->be->ops->alloc(r->be, bytes);
    heap_add(&r->heap, bytes);
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

static size_t aligned(size_t bytes)
{
    return bytes ? (bytes + RUN_ALIGN - 1) / RUN_ALIGN * RUN_ALIGN : RUN_ALIGN;
}

/* NULL in a shape-only run. */
static void *memory_at(const run *r, heap_place at)
{
    return r->shape ? NULL : r->block[at.block] + at.at;
}

static void note_piece(run *r, heap_place at, size_t bytes)
{
    if (r->pieces == r->piece_cap) {
        int cap = r->piece_cap ? 2 * r->piece_cap : 256;
        r->piece = mem_realloc(r->piece, (size_t)r->piece_cap * sizeof *r->piece,
                               (size_t)cap * sizeof *r->piece);
        r->piece_cap = cap;
    }
    r->piece[r->pieces++] = (run_piece){at, bytes};
}

static heap_place take(run *r, size_t bytes)
{
    heap_place at;
    bytes = aligned(bytes);
    if (!heap_take(&r->heap, bytes, &at)) {
        size_t size = run_held(r) / 4; /* few blocks, little of the last one unused */
        size = size < RUN_FIRST_BLOCK ? RUN_FIRST_BLOCK : size;
        size = size < bytes ? bytes : size;
        r->block[r->heap.blocks] = r->be->ops->alloc(r->be, size);
        heap_add(&r->heap, size);
        if (!heap_take(&r->heap, bytes, &at))
            BUG("run: no room for %zu bytes in a new block of %zu", bytes, size);
    }
    if (r->mode == RUN_INFER)
        note_piece(r, at, bytes);
    return at;
}

static void give(run *r, heap_place at, size_t bytes)
{
    heap_give(&r->heap, at, aligned(bytes));
}

run_point run_mark(const run *r)
{
    return (run_point){r->pieces, r->nodes};
}

void run_rewind(run *r, run_point at)
{
    if (r->mode != RUN_INFER)
        return;
    while (r->pieces > at.piece) {
        run_piece *p = &r->piece[--r->pieces];
        heap_give(&r->heap, p->at, p->bytes);
    }
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

tensor_type run_stream(const run *r)
{
    return r->be ? r->be->stream : TENSOR_F32;
}

tensor *run_tensor(run *r, tensor_type type, int b, int n, int c)
{
    if (b < 0 || n < 0 || c < 0)
        BUG("run: tensor [%d, %d, %d]", b, n, c);
    slot *s = arena_calloc(r->host, sizeof *s);
    s->t = (tensor){.b = b, .n = n, .c = c, .type = type};
    s->made = RUN_NO_OP;
    s->x_at = take(r, tensor_bytes(&s->t));
    s->t.x = memory_at(r, s->x_at);
    return &s->t;
}

tensor *run_alias(run *r, tensor *t)
{
    slot *a = arena_calloc(r->host, sizeof *a);
    *a = *slot_of(t);
    a->t.g = NULL;
    a->t.leaf = false;
    return &a->t;
}

void *run_memory(run *r, size_t bytes)
{
    return memory_at(r, take(r, bytes));
}

void run_to_host(run *r, void *dst, const void *src, size_t bytes)
{
    r->be->ops->to_host(r->be, dst, src, bytes);
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
    void *p = x && !r->shape ? r->be->ops->stage(r->be, x, bytes) : NULL;
    if (x && r->shape)
        r->plan.staged += aligned(bytes);
    if (!x || p)
        return p;
    p = run_memory(r, bytes);
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

/* ---- record ---------------------------------------------------------------------------------- */

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

static void run_op(run *r, op_args *a, bool back)
{
    if (r->shape)
        return;
    laps_class was = laps_enter(r->be, class_of(a->kind));
    (back ? r->be->ops->op[a->kind].backward : r->be->ops->op[a->kind].forward)(r->be, a);
    laps_enter(r->be, was);
}

static void check_present(const op_args *a, tensor *t)
{
    if (t && slot_of(t)->gone)
        BUG("run: %s reads what a boundary did not pass on", op_name(a->kind));
}

/* The tensors whose values the backward pass of an op reads. */
static int read_back(const op_args *a, tensor *out[4])
{
    unsigned what = op_reads_back(a);
    int n = 0;
    if (what & OP_READS_X)
        out[n++] = a->x;
    if (what & OP_READS_X2 && a->x2)
        out[n++] = a->x2;
    if (what & OP_READS_Y)
        out[n++] = a->y;
    if (what & OP_READS_Y2)
        out[n++] = a->y2;
    return n;
}

static void note_made(run *r, const op_args *a)
{
    tensor *read[4];
    for (int i = read_back(a, read) - 1; i >= 0; i--)
        slot_of(read[i])->read = true;
    slot_of(a->y)->made = r->nodes;
    if (a->y2)
        slot_of(a->y2)->made = r->nodes;
}

tensor *run_record(run *r, const op_args *a, run_counts cost)
{
    r->counts.matmul += cost.matmul;
    r->counts.norm += cost.norm;
    r->counts.scale += cost.scale;
    r->counts.score += cost.score;
    check_present(a, a->x);
    check_present(a, a->x2);
    if (r->shape && r->be)
        r->be->ops->plan(r->be, a, r->mode == RUN_TRAIN, &r->plan);
    if (r->nodes == r->node_cap) {
        int cap = r->node_cap ? 2 * r->node_cap : 512;
        r->node = mem_realloc(r->node, (size_t)r->node_cap * sizeof *r->node,
                              (size_t)cap * sizeof *r->node);
        r->node_cap = cap;
    }
    node *n = arena_calloc(r->host, sizeof *n);
    n->a = *a;
    if (a->saves && r->mode == RUN_TRAIN) {
        n->save_at = take(r, a->saves);
        n->a.save = memory_at(r, n->save_at);
    }
    note_made(r, a);
    r->node[r->nodes++] = n;
    run_op(r, &n->a, false);
    return a->y;
}

/* ---- values let go and made again ------------------------------------------------------------ */

static bool has_save(const run *r, const node *n)
{
    return n->a.saves && r->mode == RUN_TRAIN;
}

static void let_go(run *r, tensor *t)
{
    slot *s = t ? slot_of(t) : NULL;
    if (!s || s->gone || s->made == RUN_NO_OP)
        return;
    give(r, s->x_at, tensor_bytes(t));
    s->gone = true;
    t->x = NULL; /* a use from here on ends the program */
}

static void let_go_save(run *r, node *n)
{
    if (!has_save(r, n) || n->save_gone)
        return;
    give(r, n->save_at, n->a.saves);
    n->save_gone = true;
    n->a.save = NULL;
}

/* Outputs that one pass over memory makes again, of a norm and of GELU. */
static bool is_cheap(const op_args *a, const tensor *t)
{
    return a->kind == OP_LINEAR ? t == a->y2
                                : t == a->y && (a->kind == OP_LAYERNORM || a->kind == OP_GELU);
}

/* A tensor that no op ahead reads: may its values go until the backward pass wants them? Patches
 * stay: they would be read from the images again. */
static bool may_go(const run *r, const slot *s, run_level level)
{
    if (s->made == RUN_NO_OP || s->state)
        return false;
    const op_args *a = &r->node[s->made]->a;
    if (!s->read || (level == RUN_BLOCK && a->kind != OP_PATCH))
        return true;
    return level == RUN_LN_GELU && is_cheap(a, &s->t);
}

void run_boundary(run *r, tensor *state, tensor *passed)
{
    if (r->mode != RUN_TRAIN)
        return;
    slot *late = r->passed;
    run_level level = !state && r->level == RUN_BLOCK ? RUN_LN_GELU : r->level;
    if (state)
        slot_of(state)->state = true;
    r->passed = slot_of(passed);
    if (late && may_go(r, late, level))
        let_go(r, &late->t);
    for (; r->closed < r->nodes; r->closed++) {
        node *n = r->node[r->closed];
        tensor *out[2] = {n->a.y, n->a.y2};
        for (int i = 0; i < 2; i++)
            if (out[i] && out[i] != passed && may_go(r, slot_of(out[i]), level))
                let_go(r, out[i]);
        if (level == RUN_BLOCK)
            let_go_save(r, n);
    }
}

static void take_again(run *r, tensor *t)
{
    slot *s = t ? slot_of(t) : NULL;
    if (!s || !s->gone)
        return;
    s->x_at = take(r, tensor_bytes(t));
    t->x = memory_at(r, s->x_at);
    s->gone = false;
}

static void make_again(run *r, int i);

static void need(run *r, tensor *t)
{
    if (t && slot_of(t)->gone)
        make_again(r, slot_of(t)->made);
}

/* The shortest way to the outputs of an op that were let go: from a sum that is there, from the
 * value before GELU, else from its inputs, which may have to be made again first. */
static void make_again(run *r, int i)
{
    node *n = r->node[i];
    op_args *a = arena_alloc(r->host, sizeof *a);
    *a = n->a;
    if (a->kind == OP_LAYERNORM && a->y2 && !slot_of(a->y2)->gone) {
        a->x = a->y2;
        a->x2 = a->y2 = NULL;
        a->norm.scale = NULL;
    } else if (a->kind == OP_LINEAR && a->y2 && !slot_of(a->y)->gone) {
        *a = (op_args){.kind = OP_GELU, .x = a->y, .y = a->y2, .gelu.tanh = n->a.linear.tanh};
    } else {
        need(r, a->x);
        need(r, a->x2);
    }
    take_again(r, a->y);
    take_again(r, a->y2);
    if (has_save(r, n) && n->save_gone) {
        n->save_at = take(r, n->a.saves);
        n->a.save = a->save = memory_at(r, n->save_at);
        n->save_gone = false;
    }
    run_op(r, a, false);
}

/* ---- walk ------------------------------------------------------------------------------------ */

static void grad_take(run *r, tensor *t)
{
    slot *s = slot_of(t);
    s->g_at = take(r, tensor_bytes(t));
    t->g = r->shape ? &r->no_values : memory_at(r, s->g_at);
}

static void grad_give(run *r, tensor *t)
{
    if (!t || !t->g || t->leaf)
        return;
    give(r, slot_of(t)->g_at, tensor_bytes(t));
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
    if (t && !t->fixed && !t->g) {
        grad_take(r, t);
        if (!r->shape)
            r->be->ops->zero(r->be, t->g, tensor_bytes(t));
    }
}

static void each_use(const op_args *a, run_use_fn *fn, void *ctx)
{
    if (a->w)
        fn(ctx, a->w);
    if (a->b)
        fn(ctx, a->b);
}

void run_each_use(const run *r, run_use_fn *fn, void *ctx)
{
    for (int i = 0; i < r->nodes; i++)
        each_use(&r->node[i]->a, fn, ctx);
}

void run_watch_uses(run *r, run_use_fn *fn, void *ctx)
{
    r->used = fn;
    r->used_ctx = ctx;
}

static void backward(run *r, int i)
{
    op_args *a = &r->node[i]->a;
    tensor *read[4];
    grad_zero(r, a->y);
    grad_zero(r, a->y2);
    for (int k = read_back(a, read) - 1; k >= 0; k--)
        need(r, read[k]);
    if (has_save(r, r->node[i]) && r->node[i]->save_gone)
        make_again(r, i);
    a->add_x = grad_open(r, a->x);
    a->add_x2 = grad_open(r, a->x2);
    run_op(r, a, true);
    grad_give(r, a->y);
    grad_give(r, a->y2);
}

/* Who reads an op's values has been walked before it. */
static void walk(run *r)
{
    for (int i = r->nodes - 1; i >= 0; i--) {
        op_args *a = &r->node[i]->a;
        if (!a->y->fixed && (a->y->g || (a->y2 && a->y2->g)))
            backward(r, i);
        if (r->used)
            each_use(a, r->used, r->used_ctx);
        if (i < r->closed) {
            let_go(r, a->y);
            let_go(r, a->y2);
            let_go_save(r, r->node[i]);
        }
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
        BUG("run: the values of a shape-only tensor, or of one that a boundary let go, are read");
    get_values(r, t, t->x, out);
}

void run_read_grad(run *r, const tensor *t, float *out)
{
    if (t->g)
        get_values(r, t, t->g, out);
    else
        memset(out, 0, (size_t)tensor_count(t) * sizeof(float));
}

/* Is an output of op i not finite? Those that were let go are made again where `all`. */
static bool is_bad(run *r, int i, bool all)
{
    const op_args *a = &r->node[i]->a;
    tensor *out[2] = {a->y2, a->y};
    for (int k = 0; k < 2; k++) {
        if (out[k] && all)
            need(r, out[k]);
        if (out[k] && out[k]->x && r->be->ops->nonfinite(r->be, out[k]) >= 0)
            return true;
    }
    return false;
}

const char *run_first_nonfinite(run *r)
{
    int bad = 0, good = 0;
    while (bad < r->nodes && !is_bad(r, bad, false))
        good = r->node[bad++]->a.y->x ? bad : good;
    if (bad == r->nodes)
        return NULL;
    while (good < bad && !is_bad(r, good, true)) /* in between, all were let go */
        good++;
    const op_args *a = &r->node[good]->a;
    snprintf(r->bad, sizeof r->bad, "%s%s%s (op %d)", op_name(a->kind), a->w ? " " : "",
             a->w ? a->w->name : "", good);
    return r->bad;
}
