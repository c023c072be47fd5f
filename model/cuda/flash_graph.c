/* Attention as operations of cuDNN's graph interface. Forward is one operation; with a bias on the
 * keys it is a graph of eleven, and backward is one of eighteen, in which every product between
 * tokens is virtual: it never leaves the chip. */
#include "model/cuda/flash_graph.h"

typedef flash_graph graph;
typedef flash_descriptor descriptor;

bool flash_graph_note(graph *g, cudnnStatus_t status, const char *step)
{
    if (g->status == CUDNN_STATUS_SUCCESS && status != CUDNN_STATUS_SUCCESS) {
        g->status = status;
        g->failed = step;
    }
    return g->status == CUDNN_STATUS_SUCCESS;
}

descriptor flash_graph_create(graph *g, cudnnBackendDescriptorType_t type)
{
    descriptor d = NULL;
    if (g->n == FLASH_DESCRIPTORS)
        BUG("flash: more than %d descriptors", FLASH_DESCRIPTORS);
    if (flash_graph_note(g, g->lib->cudnnBackendCreateDescriptor(type, &d), "a descriptor"))
        g->all[g->n++] = d;
    return d;
}

void flash_graph_set(graph *g, descriptor d, cudnnBackendAttributeName_t name,
                     cudnnBackendAttributeType_t type, int64_t n, const void *value)
{
    if (g->status == CUDNN_STATUS_SUCCESS)
        flash_graph_note(g, g->lib->cudnnBackendSetAttribute(d, name, type, n, value),
                         "an attribute");
}

void flash_graph_point(graph *g, descriptor d, cudnnBackendAttributeName_t name, descriptor v)
{
    flash_graph_set(g, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, (const void *)&v);
}

void flash_graph_finalize(graph *g, descriptor d, const char *what)
{
    if (g->status == CUDNN_STATUS_SUCCESS)
        flash_graph_note(g, g->lib->cudnnBackendFinalize(d), what);
}

void flash_graph_release(graph *g)
{
    for (int i = 0; i < g->n; i++)
        g->lib->cudnnBackendDestroyDescriptor(g->all[i]);
    g->n = 0;
}

/* ---- tensors --------------------------------------------------------------------------------- */

typedef struct layout {
    int64_t dim[4], stride[4];
} layout;

static descriptor tensor_of(graph *g, int64_t id, cudnnDataType_t type, layout l, bool by_value)
{
    descriptor d = flash_graph_create(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    bool is_virtual = id == FLASH_NONE;
    int64_t align = by_value ? 4 : 16;
    if (is_virtual)
        id = FLASH_VIRTUAL + g->next_virtual++;
    flash_graph_set(g, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    flash_graph_set(g, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, l.dim);
    flash_graph_set(g, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, l.stride);
    flash_graph_set(g, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    flash_graph_set(g, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    if (is_virtual)
        flash_graph_set(g, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    if (by_value)
        flash_graph_set(g, d, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &by_value);
    flash_graph_finalize(g, d, "a tensor");
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
    return tensor_of(g, FLASH_NONE, type, l, false);
}

/* ---- operations -------------------------------------------------------------------------------
 */

static void add_op(graph *g, descriptor d, const char *what)
{
    flash_graph_finalize(g, d, what);
    if (g->ops == FLASH_OPS)
        BUG("flash: more than %d operations", FLASH_OPS);
    g->op[g->ops++] = d;
}

static void matmul(graph *g, descriptor a, descriptor b, descriptor c)
{
    cudnnDataType_t real = CUDNN_DATA_FLOAT;
    descriptor how = flash_graph_create(g, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    flash_graph_set(g, how, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &real);
    flash_graph_finalize(g, how, "how to multiply matrices");
    descriptor op = flash_graph_create(g, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    flash_graph_point(g, op, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
    flash_graph_point(g, op, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    flash_graph_point(g, op, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
    flash_graph_point(g, op, CUDNN_ATTR_OPERATION_MATMUL_DESC, how);
    add_op(g, op, "a matrix product");
}

/* b may be NULL. */
static void pointwise(graph *g, cudnnPointwiseMode_t mode, descriptor x, descriptor b, descriptor y)
{
    cudnnDataType_t real = CUDNN_DATA_FLOAT;
    descriptor how = flash_graph_create(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    flash_graph_set(g, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    flash_graph_set(g, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &real);
    flash_graph_finalize(g, how, "a pointwise function");
    descriptor op = flash_graph_create(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    flash_graph_point(g, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
    flash_graph_point(g, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b)
        flash_graph_point(g, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    flash_graph_point(g, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    add_op(g, op, "a pointwise operation");
}

/* The sum or the largest of every row. */
static void reduce(graph *g, cudnnReduceTensorOp_t sum, descriptor x, descriptor y)
{
    cudnnDataType_t real = CUDNN_DATA_FLOAT;
    descriptor how = flash_graph_create(g, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    flash_graph_set(g, how, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1,
                    &sum);
    flash_graph_set(g, how, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &real);
    flash_graph_finalize(g, how, "how to reduce");
    descriptor op = flash_graph_create(g, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    flash_graph_point(g, op, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
    flash_graph_point(g, op, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
    flash_graph_point(g, op, CUDNN_ATTR_OPERATION_REDUCTION_DESC, how);
    add_op(g, op, "a reduction");
}

static void reshape(graph *g, descriptor x, descriptor y)
{
    descriptor op = flash_graph_create(g, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
    flash_graph_point(g, op, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x);
    flash_graph_point(g, op, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
    add_op(g, op, "a reshape");
}

/* ---- the two graphs ---------------------------------------------------------------------------
 */

static const cudnnDataType_t half = CUDNN_DATA_BFLOAT16, real = CUDNN_DATA_FLOAT;

static void forward_fused(graph *g)
{
    const flash_shape *s = g->s;
    descriptor op = flash_graph_create(g, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
    layout rows = rows_of(s, s->queries, s->heads * s->head);
    const struct {
        cudnnBackendAttributeName_t name;
        descriptor tensor;
    } parts[] = {
        {CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC,
         tensor_of(g, FLASH_Q, half, rows_of(s, s->queries, s->ldq), false)},
        {CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC,
         tensor_of(g, FLASH_K, half, rows_of(s, s->keys, s->ldk), false)},
        {CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC,
         tensor_of(g, FLASH_V, half, rows_of(s, s->keys, s->ldk), false)},
        {CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, tensor_of(g, FLASH_O, half, rows, false)},
        {CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC,
         tensor_of(g, FLASH_LSE, real, dense(s, s->queries, 1), false)},
        {CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, tensor_of(g, FLASH_SCALE, real, scalar(), true)},
    };
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        flash_graph_point(g, op, parts[i].name, parts[i].tensor);
    add_op(g, op, "attention");
}

/* scale * q k^T, and the bias of the keys where there is one. */
static descriptor logits(graph *g, descriptor q, descriptor k_turned)
{
    const flash_shape *s = g->s;
    layout pairs = dense(s, s->queries, s->keys);
    layout per_key = {{s->b, 1, 1, s->keys}, {s->keys, s->keys, s->keys, 1}};
    descriptor product = between(g, real, pairs), scaled = between(g, real, pairs);
    matmul(g, q, k_turned, product);
    pointwise(g, CUDNN_POINTWISE_MUL, product, tensor_of(g, FLASH_SCALE, real, scalar(), true),
              scaled);
    if (!s->bias)
        return scaled;
    descriptor shifted = between(g, real, pairs);
    pointwise(g, CUDNN_POINTWISE_ADD, scaled, tensor_of(g, FLASH_BIAS, real, per_key, false),
              shifted);
    return shifted;
}

static void forward_bias(graph *g)
{
    const flash_shape *s = g->s;
    layout out = rows_of(s, s->queries, s->heads * s->head), k_rows = rows_of(s, s->keys, s->ldk);
    layout pairs = dense(s, s->queries, s->keys), line = dense(s, s->queries, 1);
    descriptor q = tensor_of(g, FLASH_Q, half, rows_of(s, s->queries, s->ldq), false);
    descriptor z = logits(g, q, tensor_of(g, FLASH_K, half, turned(k_rows), false));
    descriptor top = between(g, real, line), off = between(g, real, pairs);
    descriptor e = between(g, real, pairs), sum = between(g, real, line);
    descriptor log = between(g, real, line), p = between(g, half, pairs);
    reduce(g, CUDNN_REDUCE_TENSOR_MAX, z, top);
    pointwise(g, CUDNN_POINTWISE_SUB, z, top, off);
    pointwise(g, CUDNN_POINTWISE_EXP, off, NULL, e);
    reduce(g, CUDNN_REDUCE_TENSOR_ADD, e, sum);
    pointwise(g, CUDNN_POINTWISE_LOG, sum, NULL, log);
    pointwise(g, CUDNN_POINTWISE_ADD, top, log, tensor_of(g, FLASH_LSE, real, line, false));
    pointwise(g, CUDNN_POINTWISE_DIV, e, sum, p);
    matmul(g, p, tensor_of(g, FLASH_V, half, k_rows, false),
           tensor_of(g, FLASH_O, half, out, false));
}

/* delta = sum of y * dy over the head. */
static descriptor delta_of(graph *g, descriptor o, descriptor dy)
{
    const flash_shape *s = g->s;
    descriptor product = between(g, real, dense(s, s->queries, s->head));
    descriptor sum = between(g, real, dense(s, s->queries, 1));
    descriptor delta = tensor_of(g, FLASH_DELTA, real, dense(s, s->queries, 1), false);
    pointwise(g, CUDNN_POINTWISE_MUL, dy, o, product);
    reduce(g, CUDNN_REDUCE_TENSOR_ADD, product, sum);
    pointwise(g, CUDNN_POINTWISE_MUL, sum, tensor_of(g, FLASH_ONE, real, scalar(), true), delta);
    return delta;
}

static void backward_graph(graph *g)
{
    const flash_shape *s = g->s;
    layout out = rows_of(s, s->queries, s->heads * s->head),
           q_rows = rows_of(s, s->queries, s->ldq);
    layout k_rows = rows_of(s, s->keys, s->ldk), pairs = dense(s, s->queries, s->keys);
    descriptor q = tensor_of(g, FLASH_Q, half, q_rows, false);
    descriptor k_turned = tensor_of(g, FLASH_K, half, turned(k_rows), false);
    descriptor v_turned = tensor_of(g, FLASH_V, half, turned(k_rows), false);
    descriptor o = tensor_of(g, FLASH_O, half, out, false),
               dy = tensor_of(g, FLASH_DY, half, out, false);
    descriptor lse = tensor_of(g, FLASH_LSE, real, dense(s, s->queries, 1), false);
    descriptor scale = tensor_of(g, FLASH_SCALE, real, scalar(), true);
    descriptor delta = delta_of(g, o, dy);
    /* probabilities again */
    descriptor shifted = between(g, real, pairs), p = between(g, real, pairs);
    descriptor p_turned = between(g, half, turned(pairs));
    pointwise(g, CUDNN_POINTWISE_SUB, logits(g, q, k_turned), lse, shifted);
    pointwise(g, CUDNN_POINTWISE_EXP, shifted, NULL, p);
    reshape(g, p, p_turned);
    matmul(g, p_turned, dy, tensor_of(g, FLASH_DV, half, k_rows, false));
    /* gradient of the logits */
    descriptor dp = between(g, real, pairs), off = between(g, real, pairs);
    descriptor weighed = between(g, real, pairs), ds = between(g, half, pairs);
    descriptor ds_turned = between(g, half, turned(pairs));
    matmul(g, dy, v_turned, dp);
    pointwise(g, CUDNN_POINTWISE_SUB, dp, delta, off);
    pointwise(g, CUDNN_POINTWISE_MUL, off, p, weighed);
    pointwise(g, CUDNN_POINTWISE_MUL, weighed, scale, ds);
    reshape(g, ds, ds_turned);
    matmul(g, ds_turned, q, tensor_of(g, FLASH_DK, half, k_rows, false));
    descriptor k = between(g, half, k_rows), dq = tensor_of(g, FLASH_DQ, half, q_rows, false);
    reshape(g, k_turned, k);
    if (s->deterministic) {
        matmul(g, ds, k, dq);
    } else {
        descriptor sum = tensor_of(g, FLASH_DQ_SUM, real, dense(s, s->queries, s->head), false);
        matmul(g, ds, k, sum);
        pointwise(g, CUDNN_POINTWISE_IDENTITY, sum, NULL, dq);
    }
}

void flash_graph_fill(graph *g)
{
    if (g->s->backward)
        backward_graph(g);
    else if (g->s->bias)
        forward_bias(g);
    else
        forward_fused(g);
}
