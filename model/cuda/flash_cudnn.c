/* The graphs of attention for cuDNN. Forward is one operation; backward is a graph of eighteen, in
 * which every product between tokens is virtual: it never leaves the chip. */
#include "model/cuda/flash.h"

#include <cudnn.h>
#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "model/cuda/library.h"

#define FUNCTIONS(X)                                                                               \
    X(cudnnGetVersion)                                                                             \
    X(cudnnCreate)                                                                                 \
    X(cudnnDestroy)                                                                                \
    X(cudnnSetStream)                                                                              \
    X(cudnnGetErrorString)                                                                         \
    X(cudnnBackendCreateDescriptor)                                                                \
    X(cudnnBackendDestroyDescriptor)                                                               \
    X(cudnnBackendSetAttribute)                                                                    \
    X(cudnnBackendGetAttribute)                                                                    \
    X(cudnnBackendFinalize)                                                                        \
    X(cudnnBackendExecute)

typedef cudnnBackendDescriptor_t descriptor;

/* What a plan reads and writes, by the id of its tensor. */
enum {
    ID_NONE,
    ID_Q,
    ID_K,
    ID_V,
    ID_O,
    ID_LSE,
    ID_SCALE,
    ID_DY,
    ID_DQ,
    ID_DK,
    ID_DV,
    ID_ONE,
    ID_DELTA,
    ID_DQ_SUM,
    ID_VIRTUAL /* and above */
};

enum { GRAPH_OPS = 20, GRAPH_DESCRIPTORS = 160 };

typedef struct plan {
    flash_shape shape;
    descriptor plan;
    int64_t workspace;
} plan;

struct flash {
#define X(name) __typeof__(name) *name;
    FUNCTIONS(X)
#undef X
    cudnnHandle_t handle; /* NULL: plans only */
    descriptor device;    /* described, or NULL */
    plan *made;
    int n, cap;
};

/* A graph under construction; the first failure ends it. */
typedef struct graph {
    flash *f;
    const flash_shape *s;
    descriptor op[GRAPH_OPS], all[GRAPH_DESCRIPTORS];
    int ops, n, next_virtual;
    cudnnStatus_t status;
    const char *failed; /* step */
} graph;

static bool keep_status(graph *g, cudnnStatus_t status, const char *step)
{
    if (g->status == CUDNN_STATUS_SUCCESS && status != CUDNN_STATUS_SUCCESS) {
        g->status = status;
        g->failed = step;
    }
    return g->status == CUDNN_STATUS_SUCCESS;
}

static descriptor create(graph *g, cudnnBackendDescriptorType_t type)
{
    descriptor d = NULL;
    if (g->n == GRAPH_DESCRIPTORS)
        BUG("flash: more than %d descriptors", GRAPH_DESCRIPTORS);
    if (keep_status(g, g->f->cudnnBackendCreateDescriptor(type, &d), "a descriptor"))
        g->all[g->n++] = d;
    return d;
}

static void set(graph *g, descriptor d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t n, const void *value)
{
    if (g->status == CUDNN_STATUS_SUCCESS)
        keep_status(g, g->f->cudnnBackendSetAttribute(d, name, type, n, value), "an attribute");
}

static void set_descriptor(graph *g, descriptor d, cudnnBackendAttributeName_t name, descriptor v)
{
    set(g, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, (const void *)&v);
}

static void finalize(graph *g, descriptor d, const char *what)
{
    if (g->status == CUDNN_STATUS_SUCCESS)
        keep_status(g, g->f->cudnnBackendFinalize(d), what);
}

/* ---- tensors --------------------------------------------------------------------------------- */

typedef struct layout {
    int64_t dim[4], stride[4];
} layout;

static descriptor tensor_of(graph *g, int64_t id, cudnnDataType_t type, layout l, bool by_value)
{
    descriptor d = create(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    bool is_virtual = id == ID_NONE;
    int64_t align = by_value ? 4 : 16;
    if (is_virtual)
        id = ID_VIRTUAL + g->next_virtual++;
    set(g, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(g, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, l.dim);
    set(g, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, l.stride);
    set(g, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    set(g, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    if (is_virtual)
        set(g, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    if (by_value)
        set(g, d, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &by_value);
    finalize(g, d, "a tensor");
    return d;
}

static layout rows_of(const flash_shape *s, int rows, int ld)
{
    return (layout){{s->b, s->heads, rows, s->head}, {(int64_t)rows * ld, s->head, ld, 1}};
}

static layout turned(layout l)
{
    int64_t dim = l.dim[2], stride = l.stride[2];
    l.dim[2] = l.dim[3];
    l.stride[2] = l.stride[3];
    l.dim[3] = dim;
    l.stride[3] = stride;
    return l;
}

/* [b, heads, rows, columns] one after the other. */
static layout dense(const flash_shape *s, int64_t rows, int64_t columns)
{
    return (layout){{s->b, s->heads, rows, columns},
                    {s->heads * rows * columns, rows * columns, columns, 1}};
}

static layout scalar(void)
{
    return (layout){{1, 1, 1, 1}, {1, 1, 1, 1}};
}

static descriptor between(graph *g, cudnnDataType_t type, layout l)
{
    return tensor_of(g, ID_NONE, type, l, false);
}

/* ---- operations -------------------------------------------------------------------------------
 */

static void add_op(graph *g, descriptor d, const char *what)
{
    finalize(g, d, what);
    if (g->ops == GRAPH_OPS)
        BUG("flash: more than %d operations", GRAPH_OPS);
    g->op[g->ops++] = d;
}

static void matmul(graph *g, descriptor a, descriptor b, descriptor c)
{
    cudnnDataType_t real = CUDNN_DATA_FLOAT;
    descriptor how = create(g, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    set(g, how, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &real);
    finalize(g, how, "how to multiply matrices");
    descriptor op = create(g, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    set_descriptor(g, op, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
    set_descriptor(g, op, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    set_descriptor(g, op, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
    set_descriptor(g, op, CUDNN_ATTR_OPERATION_MATMUL_DESC, how);
    add_op(g, op, "a matrix product");
}

/* b may be NULL. */
static void pointwise(graph *g, cudnnPointwiseMode_t mode, descriptor x, descriptor b, descriptor y)
{
    cudnnDataType_t real = CUDNN_DATA_FLOAT;
    descriptor how = create(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    set(g, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set(g, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &real);
    finalize(g, how, "a pointwise function");
    descriptor op = create(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set_descriptor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
    set_descriptor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b)
        set_descriptor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    set_descriptor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    add_op(g, op, "a pointwise operation");
}

static void sum_rows(graph *g, descriptor x, descriptor y)
{
    cudnnDataType_t real = CUDNN_DATA_FLOAT;
    cudnnReduceTensorOp_t sum = CUDNN_REDUCE_TENSOR_ADD;
    descriptor how = create(g, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    set(g, how, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &sum);
    set(g, how, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &real);
    finalize(g, how, "how to sum");
    descriptor op = create(g, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    set_descriptor(g, op, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
    set_descriptor(g, op, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
    set_descriptor(g, op, CUDNN_ATTR_OPERATION_REDUCTION_DESC, how);
    add_op(g, op, "a sum");
}

static void reshape(graph *g, descriptor x, descriptor y)
{
    descriptor op = create(g, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
    set_descriptor(g, op, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x);
    set_descriptor(g, op, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
    add_op(g, op, "a reshape");
}

/* ---- the two graphs ---------------------------------------------------------------------------
 */

static const cudnnDataType_t half = CUDNN_DATA_BFLOAT16, real = CUDNN_DATA_FLOAT;

static void forward_graph(graph *g)
{
    const flash_shape *s = g->s;
    descriptor op = create(g, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
    layout rows = rows_of(s, s->queries, s->heads * s->head);
    const struct {
        cudnnBackendAttributeName_t name;
        descriptor tensor;
    } parts[] = {
        {CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC,
         tensor_of(g, ID_Q, half, rows_of(s, s->queries, s->ldq), false)},
        {CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC,
         tensor_of(g, ID_K, half, rows_of(s, s->keys, s->ldk), false)},
        {CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC,
         tensor_of(g, ID_V, half, rows_of(s, s->keys, s->ldk), false)},
        {CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, tensor_of(g, ID_O, half, rows, false)},
        {CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC,
         tensor_of(g, ID_LSE, real, dense(s, s->queries, 1), false)},
        {CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, tensor_of(g, ID_SCALE, real, scalar(), true)},
    };
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        set_descriptor(g, op, parts[i].name, parts[i].tensor);
    add_op(g, op, "attention");
}

/* delta = sum of y * dy over the head. */
static descriptor delta_of(graph *g, descriptor o, descriptor dy)
{
    const flash_shape *s = g->s;
    descriptor product = between(g, real, dense(s, s->queries, s->head));
    descriptor sum = between(g, real, dense(s, s->queries, 1));
    descriptor delta = tensor_of(g, ID_DELTA, real, dense(s, s->queries, 1), false);
    pointwise(g, CUDNN_POINTWISE_MUL, dy, o, product);
    sum_rows(g, product, sum);
    pointwise(g, CUDNN_POINTWISE_MUL, sum, tensor_of(g, ID_ONE, real, scalar(), true), delta);
    return delta;
}

static void backward_graph(graph *g)
{
    const flash_shape *s = g->s;
    layout out = rows_of(s, s->queries, s->heads * s->head),
           q_rows = rows_of(s, s->queries, s->ldq);
    layout k_rows = rows_of(s, s->keys, s->ldk), pairs = dense(s, s->queries, s->keys);
    descriptor q = tensor_of(g, ID_Q, half, q_rows, false);
    descriptor k_turned = tensor_of(g, ID_K, half, turned(k_rows), false);
    descriptor v_turned = tensor_of(g, ID_V, half, turned(k_rows), false);
    descriptor o = tensor_of(g, ID_O, half, out, false), dy = tensor_of(g, ID_DY, half, out, false);
    descriptor lse = tensor_of(g, ID_LSE, real, dense(s, s->queries, 1), false);
    descriptor scale = tensor_of(g, ID_SCALE, real, scalar(), true);
    descriptor delta = delta_of(g, o, dy);
    /* probabilities again */
    descriptor logit = between(g, real, pairs), scaled = between(g, real, pairs);
    descriptor shifted = between(g, real, pairs), p = between(g, real, pairs);
    descriptor p_turned = between(g, half, turned(pairs));
    matmul(g, q, k_turned, logit);
    pointwise(g, CUDNN_POINTWISE_MUL, logit, scale, scaled);
    pointwise(g, CUDNN_POINTWISE_SUB, scaled, lse, shifted);
    pointwise(g, CUDNN_POINTWISE_EXP, shifted, NULL, p);
    reshape(g, p, p_turned);
    matmul(g, p_turned, dy, tensor_of(g, ID_DV, half, k_rows, false));
    /* gradient of the logits */
    descriptor dp = between(g, real, pairs), off = between(g, real, pairs);
    descriptor weighed = between(g, real, pairs), ds = between(g, half, pairs);
    descriptor ds_turned = between(g, half, turned(pairs));
    matmul(g, dy, v_turned, dp);
    pointwise(g, CUDNN_POINTWISE_SUB, dp, delta, off);
    pointwise(g, CUDNN_POINTWISE_MUL, off, p, weighed);
    pointwise(g, CUDNN_POINTWISE_MUL, weighed, scale, ds);
    reshape(g, ds, ds_turned);
    matmul(g, ds_turned, q, tensor_of(g, ID_DK, half, k_rows, false));
    descriptor k = between(g, half, k_rows), dq = tensor_of(g, ID_DQ, half, q_rows, false);
    reshape(g, k_turned, k);
    if (s->deterministic) {
        matmul(g, ds, k, dq);
    } else {
        descriptor sum = tensor_of(g, ID_DQ_SUM, real, dense(s, s->queries, s->head), false);
        matmul(g, ds, k, sum);
        pointwise(g, CUDNN_POINTWISE_IDENTITY, sum, NULL, dq);
    }
}

/* ---- plans ------------------------------------------------------------------------------------
 */

/* The library's own first choice; at a head of 64 there is one kernel each way. */
static void choose(graph *g, plan *p)
{
    flash *f = g->f;
    descriptor whole = create(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set(g, whole, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->ops, g->op);
    if (f->handle)
        set(g, whole, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &f->handle);
    finalize(g, whole, "the graph");
    descriptor guess = create(g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    set_descriptor(g, guess, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, whole);
    set(g, guess, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (f->device)
        set_descriptor(g, guess, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, f->device);
    finalize(g, guess, "the choice of a kernel");
    descriptor config = create(g, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    int64_t found = 0;
    if (g->status == CUDNN_STATUS_SUCCESS)
        keep_status(g,
                    f->cudnnBackendGetAttribute(guess, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &found,
                                                (void *)&config),
                    "the choice of a kernel");
    if (g->status == CUDNN_STATUS_SUCCESS && found < 1)
        keep_status(g, CUDNN_STATUS_NOT_SUPPORTED, "the choice of a kernel");
    if (g->status != CUDNN_STATUS_SUCCESS ||
        !keep_status(
            g, f->cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &p->plan),
            "the plan"))
        return;
    if (f->handle)
        set(g, p->plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &f->handle);
    if (f->device)
        set_descriptor(g, p->plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, f->device);
    set_descriptor(g, p->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    finalize(g, p->plan, "the plan");
    if (g->status == CUDNN_STATUS_SUCCESS)
        keep_status(g,
                    f->cudnnBackendGetAttribute(p->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                                CUDNN_TYPE_INT64, 1, NULL, &p->workspace),
                    "the plan's workspace");
}

static bool same_shape(const flash_shape *a, const flash_shape *b)
{
    return a->b == b->b && a->heads == b->heads && a->queries == b->queries && a->keys == b->keys &&
           a->head == b->head && a->ldq == b->ldq && a->ldk == b->ldk &&
           a->backward == b->backward && a->deterministic == b->deterministic;
}

static plan *plan_find(flash *f, const flash_shape *s)
{
    for (int i = 0; i < f->n; i++) {
        if (same_shape(&f->made[i].shape, s))
            return &f->made[i];
    }
    return NULL;
}

static plan *plan_make(flash *f, const flash_shape *s, err *e)
{
    graph *g = MEM_NEW(graph);
    plan p = {.shape = *s};
    g->f = f;
    g->s = s;
    if (s->backward)
        backward_graph(g);
    else
        forward_graph(g);
    choose(g, &p);
    bool ok = g->status == CUDNN_STATUS_SUCCESS;
    if (!ok) {
        err_set(e, ERR_CONFIG,
                "cuDNN has no %s attention of %d images, %d heads, %d by %d tokens: "
                "%s (%s)",
                s->backward ? "backward" : "forward", s->b, s->heads, s->queries, s->keys,
                f->cudnnGetErrorString(g->status), g->failed);
        if (p.plan)
            f->cudnnBackendDestroyDescriptor(p.plan);
    }
    for (int i = 0; i < g->n; i++)
        f->cudnnBackendDestroyDescriptor(g->all[i]);
    mem_free(g);
    if (!ok)
        return NULL;
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
    return s->head % 8 == 0 && s->head <= 128 && s->keys >= 2 && s->queries >= 1 &&
           s->ldq % 8 == 0 && s->ldk % 8 == 0;
}

/* Where delta and the float32 sum of dq lie in the scratch. */
static size_t delta_bytes(const flash_shape *s)
{
    size_t n = (size_t)s->b * (size_t)s->heads * (size_t)s->queries * sizeof(float);
    return (n + 255) / 256 * 256;
}

bool flash_plan(flash *f, const flash_shape *s, size_t *scratch, size_t *workspace, err *e)
{
    plan *p = plan_find(f, s);
    if (!p)
        p = plan_make(f, s, e);
    if (!p)
        return false;
    *workspace = (size_t)p->workspace;
    *scratch = s->backward ? delta_bytes(s) * (size_t)(1 + (s->deterministic ? 0 : s->head)) : 0;
    return true;
}

void flash_run(flash *f, const flash_shape *s, const flash_call *call)
{
    plan *p = plan_find(f, s);
    if (!p || !f->handle)
        BUG("flash: a shape without a plan");
    float scale = (float)(1.0 / sqrt((double)s->head)), one = 1;
    char *scratch = call->scratch;
    int64_t ids[16];
    void *at[16];
    int n = 0;
    const struct {
        int64_t id;
        const void *p;
    } parts[] = {{ID_Q, call->q},
                 {ID_K, call->k},
                 {ID_V, call->v},
                 {ID_O, call->o},
                 {ID_LSE, call->lse},
                 {ID_SCALE, &scale},
                 {ID_DY, call->dy},
                 {ID_DQ, call->dq},
                 {ID_DK, call->dk},
                 {ID_DV, call->dv},
                 {ID_ONE, &one},
                 {ID_DELTA, scratch},
                 {ID_DQ_SUM, scratch ? scratch + delta_bytes(s) : NULL}};
    int last = s->backward ? (s->deterministic ? ID_DELTA : ID_DQ_SUM) : ID_SCALE;
    for (size_t i = 0; i < COUNT_OF(parts) && parts[i].id <= last; i++) {
        ids[n] = parts[i].id;
        memcpy(&at[n++], &parts[i].p, sizeof at[0]); /* the library's pointers are not const */
    }
    graph g = {.f = f};
    descriptor pack = create(&g, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    set(&g, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, ids);
    set(&g, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, (void *)at);
    set(&g, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1,
        (const void *)&call->workspace);
    finalize(&g, pack, "the pointers");
    if (g.status == CUDNN_STATUS_SUCCESS)
        keep_status(&g, f->cudnnBackendExecute(f->handle, p->plan, pack), "the run");
    f->cudnnBackendDestroyDescriptor(pack);
    if (g.status != CUDNN_STATUS_SUCCESS)
        BUG("cuDNN: %s: %s", g.failed, f->cudnnGetErrorString(g.status));
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static bool describe(flash *f, const char *json, err *e)
{
    graph g = {.f = f};
    cudnnStatus_t status =
        f->cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &f->device);
    keep_status(&g, status, "a device");
    set(&g, f->device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
        (int64_t)strlen(json) + 1, json);
    finalize(&g, f->device, "a device");
    return g.status == CUDNN_STATUS_SUCCESS ||
           err_set(e, ERR_CONFIG, "cuDNN: the described device: %s",
                   f->cudnnGetErrorString(g.status));
}

flash *flash_open(void *stream, const char *device_json, err *e)
{
    void *library = library_open(FLASH_LIBRARY, e);
    if (!library)
        return NULL;
    flash *f = MEM_NEW(flash);
    bool ok = true;
#define X(name) ok = ok && library_symbol(library, #name, &f->name, e);
    FUNCTIONS(X)
#undef X
    if (ok && f->cudnnGetVersion() < FLASH_VERSION)
        ok = err_set(e, ERR_CONFIG,
                     "device cuda: cuDNN %zu is older than 9.15.1, whose attention "
                     "reads beyond its keys",
                     f->cudnnGetVersion());
    if (ok && device_json)
        ok = describe(f, device_json, e);
    if (ok && !device_json &&
        (f->cudnnCreate(&f->handle) != CUDNN_STATUS_SUCCESS ||
         f->cudnnSetStream(f->handle, stream) != CUDNN_STATUS_SUCCESS))
        ok = err_set(e, ERR_CONFIG, "device cuda: " FLASH_LIBRARY " does not start on this card");
    if (!ok) {
        flash_close(f);
        return NULL;
    }
    return f;
}

void flash_close(flash *f)
{
    if (!f)
        return;
    for (int i = 0; i < f->n; i++)
        f->cudnnBackendDestroyDescriptor(f->made[i].plan);
    if (f->device)
        f->cudnnBackendDestroyDescriptor(f->device);
    if (f->handle)
        f->cudnnDestroy(f->handle);
    mem_free(f->made);
    mem_free(f);
}
