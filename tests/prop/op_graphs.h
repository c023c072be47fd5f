/* Every op on its own small graph, for the tests of gradients and of backends. The shapes cross the
 * borders of panels and tiles and include one row and one token. */
#ifndef TESTS_PROP_OP_GRAPHS_H
#define TESTS_PROP_OP_GRAPHS_H

#include "tests/prop/gradient.h"

#include "model/op.h"
#include "model/ops_table.h"

#define MAX_IN  3
#define MAX_PAR 3

typedef struct graph graph;
struct graph {
    const char *op, *name;
    tensor *(*build)(const graph *g, run *r, tensor **in, param *p);
    int in[MAX_IN][3];   /* b, n, c; b = 0 ends the list */
    int par[MAX_PAR][5]; /* ndim, shape; ndim = 0 ends the list */
    int heads, groups;   /* groups: column blocks of the last input probed one by one */
    const int32_t *index;
    const float *factor;
    int number;
    double spread;    /* size of the inputs' entries, 0 = 1 */
    bool stream;      /* the first input is of the stream's type */
    unsigned streams; /* bit i: input i may be float32 where the others are bf16 */
};

typedef struct bench {
    const graph *g;
    backend *be;
    param_set *set;
    run *r;
    float *in[MAX_IN], *dir; /* values of the inputs; weights r of the functional */
    int n_in;
    uint64_t seed;
    tensor_type type;      /* of the inputs, but for weights of rows, the stream, and */
    unsigned float_inputs; /* bit i: input i is float32 in every precision */
    bool twice; /* the sum of the graph and the graph once more: gradients are added to */
} bench;

static tensor *linear(const graph *g, run *r, tensor **in, param *p)
{
    return op_linear(r, in[0], &p[0], g->par[1][0] ? &p[1] : NULL);
}
static tensor *linear_rows(const graph *g, run *r, tensor **in, param *p)
{
    return op_linear_rows(r, in[0], &p[0], &p[1], g->number, g->number * 2);
}
/* Back to as many channels by a weight of its own, or by the first one where it is square. */
static tensor *mlp_of(const graph *g, run *r, tensor **in, param *p, bool tanh)
{
    param *w2 = g->par[2][0] ? &p[2] : &p[0], *b2 = g->par[2][0] ? NULL : &p[1];
    return op_mlp(r, in[0], &(op_mlp_spec){&p[0], &p[1], w2, b2, tanh});
}
static tensor *mlp(const graph *g, run *r, tensor **in, param *p)
{
    return mlp_of(g, r, in, p, false);
}
static tensor *mlp_tanh(const graph *g, run *r, tensor **in, param *p)
{
    return mlp_of(g, r, in, p, true);
}
/* The parameter is used twice, so that its gradient is a sum of two. */
static tensor *linear_twice(const graph *g, run *r, tensor **in, param *p)
{
    return op_linear(r, op_linear(r, in[0], &p[0], &p[1]), &p[0], &p[1]);
}
static tensor *layernorm(const graph *g, run *r, tensor **in, param *p)
{
    return op_layernorm(r, in[0], &p[0], &p[1], 1e-6F);
}
/* Rows of tiny variance, where eps counts. */
static tensor *layernorm_eps(const graph *g, run *r, tensor **in, param *p)
{
    return op_layernorm(r, in[0], &p[0], &p[1], 0.5F);
}
static tensor *add_layernorm(const graph *g, run *r, tensor **in, param *p)
{
    tensor *sum = NULL,
           *y = op_add_layernorm(r, in[0], in[1], g->factor, &p[0], &p[1], 1e-6F, &sum);
    return op_add(r, sum, y, NULL);
}
static tensor *add_layernorm_alone(const graph *g, run *r, tensor **in, param *p)
{
    tensor *sum = NULL;
    return op_add_layernorm(r, in[0], in[1], g->factor, &p[0], &p[1], 1e-6F, &sum);
}
static tensor *add(const graph *g, run *r, tensor **in, param *p)
{
    return op_add(r, in[0], in[1], g->factor);
}
static tensor *gelu(const graph *g, run *r, tensor **in, param *p)
{
    return op_gelu(r, in[0], false);
}
static tensor *gelu_tanh(const graph *g, run *r, tensor **in, param *p)
{
    return op_gelu(r, in[0], true);
}
/* The input has three readers: its gradient is a sum. The first reader's output comes first in add,
 * since an inference run may reuse it. */
static tensor *three_readers(const graph *g, run *r, tensor **in, param *p)
{
    tensor *a = op_gelu(r, in[0], false);
    tensor *b = op_linear(r, in[0], &p[0], &p[1]);
    tensor *c = op_layernorm(r, in[0], &p[1], &p[1], 1e-6F);
    return op_add(r, op_add(r, a, b, NULL), c, NULL);
}
static tensor *attention(const graph *g, run *r, tensor **in, param *p)
{
    return op_attention(r, in[0], &(op_attention_spec){.heads = g->heads}, NULL);
}
static tensor *attention_cls(const graph *g, run *r, tensor **in, param *p)
{
    return op_attention(r, in[0], &(op_attention_spec){.heads = g->heads, .kv = in[1]}, NULL);
}
/* Windows of g->number tokens with 3 tables in turn; the second one masks pairs. */
static tensor *window(const graph *g, run *r, tensor **in, param *p)
{
    int t = g->number, windows = g->in[0][0] * g->in[0][1] / t, entries = g->par[0][1];
    int32_t *index = run_host(r, 3 * (size_t)(t * t) * sizeof(*index));
    int32_t *table = run_host(r, (size_t)windows * sizeof(*table));
    for (int i = 0; i < 3 * t * t; i++) {
        bool masked = i / (t * t) == 1 && (i / t % t < t / 2) != (i % t < t / 2);
        index[i] = i * 7 % entries + (masked ? entries : 0);
    }
    for (int i = 0; i < windows; i++)
        table[i] = i % 5 < 2 ? 0 : i % 5 - 2;
    op_window_spec how = {t, 3, run_upload_ints(r, index, 3 * t * t),
                          run_upload_ints(r, table, windows)};
    return op_window_attention(r, in[0], g->heads, &p[0], &how);
}
/* The score of the first rows, as weights of the output (or of the keys), so that both carry
 * gradient; `factor`: a bias for every key. */
static tensor *attention_score(const graph *g, run *r, tensor **in, param *p)
{
    op_map_spec *m = run_host(r, sizeof(*m));
    bool apart = g->in[1][0] > 0;
    tensor *rows = apart ? in[1] : in[0], *score;
    op_attention_spec how = {.heads = g->heads, .kv = apart ? in[1] : NULL, .readers = g->number};
    if (g->factor)
        how.bias = run_input(r, rows->b, rows->n, 1, g->factor, true);
    tensor *y = op_attention(r, in[0], &how, &score);
    *m = (op_map_spec){.n_in = rows->n,
                       .n_out = 1,
                       .dst = run_upload_ints(r, g->index, (int64_t)rows->b * rows->n)};
    tensor *fused = op_map(r, apart ? in[1] : y, m, score);
    return apart ? fused : op_add(r, op_mean(r, y), fused, NULL);
}
/* The map of a graph: where rows go, and what they weigh where that is fixed. */
static op_map_spec *map_of(const graph *g, run *r)
{
    op_map_spec *m = run_host(r, sizeof(*m));
    int64_t rows = (int64_t)g->in[0][0] * g->in[0][1];
    *m = (op_map_spec){.n_in = g->in[0][1], .n_out = g->number};
    m->dst = run_upload_ints(r, g->index, rows);
    m->weight = run_upload(r, g->factor, rows);
    return m;
}
static tensor *map(const graph *g, run *r, tensor **in, param *p)
{
    return op_map(r, in[0], map_of(g, r), g->in[1][0] ? in[1] : NULL);
}
/* Only rows that go to the last output row are weighted. */
static tensor *map_fused(const graph *g, run *r, tensor **in, param *p)
{
    op_map_spec *m = map_of(g, r);
    m->w_from = g->number - 1;
    return op_map(r, in[0], m, in[1]);
}
static tensor *prefix(const graph *g, run *r, tensor **in, param *p)
{
    return op_prefix(r, in[0], &p[0]);
}
static tensor *position(const graph *g, run *r, tensor **in, param *p)
{
    return op_position(r, in[0], &p[0], g->number, g->index);
}
/* number = width of the grid. */
static tensor *pooled(const graph *g, run *r, tensor **in, param *p)
{
    int h = (g->in[0][1] - g->in[1][1]) / g->number;
    return op_pool(r, in[0], in[1], h, g->number, &p[0], &p[1]);
}
static tensor *mean(const graph *g, run *r, tensor **in, param *p)
{
    return op_mean(r, in[0]);
}

/* 2 samples, 6 rows in: reorder and drop; drop all of a sample; fuse. */
static const int32_t reorder[] = {2, -1, 0, 3, -1, 1, 3, 2, 1, 0, -1, -1};
static const int32_t fuse[] = {0, 2, 0, 1, 2, 0, -1, -1, -1, -1, -1, 1};
static const int32_t fuse_both[] = {0, 0, 1, 1, 2, 0, 2, 1, 1, 0, 0, 2};
static const float blend[] = {.25F, 1.5F, -2, 1, .5F, .25F, 3, 3, 3, 3, 3, -.5F};
static const float drop_path[] = {0, 1.25F, 1.25F};
static const int32_t to_one[] = {0, -1, 0, 0, 0, -1, 0, 0, 0, 0};
static const int32_t zeros[290];
static const float bias[] = {0, 0.7F, 1.4F, 0, 2, 0, 0, 3, 0.7F, 1};
static const int32_t kept[] = {0, 3, 4, 1, 2, 6};

static const graph graphs[] = {
    {"linear", "7 to 9", linear, .in = {{2, 5, 7}}, .par = {{2, 9, 7}, {1, 9}}},
    {"linear", "no bias", linear, .in = {{2, 5, 7}}, .par = {{2, 9, 7}}},
    {"linear", "panel borders", linear, .in = {{1, 131, 130}}, .par = {{2, 70, 130}, {1, 70}}},
    {"linear", "sums of 16 bytes", linear, .in = {{1, 37, 8}}, .par = {{2, 72, 8}, {1, 72}}},
    {"linear", "one row", linear, .in = {{1, 1, 192}}, .par = {{2, 2, 192}, {1, 2}}},
    {"linear", "4-D weight", linear, .in = {{2, 3, 18}}, .par = {{4, 5, 2, 3, 3}, {1, 5}}},
    {"linear", "shared weight", linear_twice, .in = {{2, 5, 8}}, .par = {{2, 8, 8}, {1, 8}}},
    {"linear", "rows 4 to 11", linear_rows, .in = {{2, 5, 4}}, .par = {{2, 16, 4}, {1, 16}},
     .number = 4},
    {"linear", "rows 5 to 14", linear_rows, .in = {{2, 5, 7}}, .par = {{2, 17, 7}, {1, 17}},
     .number = 5},
    {"mlp", "7 to 9 to 4", mlp, .in = {{2, 5, 7}}, .par = {{2, 9, 7}, {1, 9}, {2, 4, 9}}},
    {"mlp", "shared weight", mlp, .in = {{2, 5, 8}}, .par = {{2, 8, 8}, {1, 8}}},
    {"mlp", "panel borders", mlp, .in = {{2, 67, 48}}, .par = {{2, 96, 48}, {1, 96}, {2, 48, 96}}},
    {"mlp_tanh", "7 to 9 to 4", mlp_tanh, .in = {{2, 5, 7}}, .par = {{2, 9, 7}, {1, 9}, {2, 4, 9}}},
    {"mlp_tanh", "8 to 17 to 5", mlp_tanh, .in = {{2, 5, 8}},
     .par = {{2, 17, 8}, {1, 17}, {2, 5, 17}}},
    {"mlp_tanh", "shared weight", mlp_tanh, .in = {{2, 5, 8}}, .par = {{2, 8, 8}, {1, 8}}},
    {"mlp_tanh", "panel borders", mlp_tanh, .in = {{2, 67, 48}},
     .par = {{2, 96, 48}, {1, 96}, {2, 48, 96}}},
    {"layernorm", "33 wide", layernorm, .in = {{2, 5, 33}}, .par = {{1, 33}, {1, 33}},
     .streams = 1},
    {"layernorm", "two warps, odd", layernorm, .in = {{2, 5, 259}}, .par = {{1, 259}, {1, 259}},
     .streams = 1},
    {"layernorm", "20 wide", layernorm, .in = {{2, 9, 20}}, .par = {{1, 20}, {1, 20}},
     .streams = 1},
    {"layernorm", "192 wide", layernorm, .in = {{3, 27, 192}}, .par = {{1, 192}, {1, 192}}},
    {"layernorm", "many rows", layernorm, .in = {{1, 1030, 3}}, .par = {{1, 3}, {1, 3}}},
    {"layernorm", "large eps", layernorm_eps, .in = {{2, 5, 24}}, .par = {{1, 24}, {1, 24}}},
    {"add_layernorm", "plain", add_layernorm, .in = {{2, 5, 33}, {2, 5, 33}},
     .par = {{1, 33}, {1, 33}}, .streams = 1},
    {"add_layernorm", "two warps", add_layernorm, .in = {{2, 7, 264}, {2, 7, 264}},
     .par = {{1, 264}, {1, 264}}, .factor = drop_path, .streams = 1},
    {"add_layernorm", "one row a block", add_layernorm, .in = {{1, 3, 1032}, {1, 3, 1032}},
     .par = {{1, 1032}, {1, 1032}}, .streams = 1},
    {"add_layernorm", "drop-path", add_layernorm, .in = {{3, 5, 24}, {3, 5, 24}},
     .par = {{1, 24}, {1, 24}}, .factor = drop_path},
    {"add_layernorm", "sum unused", add_layernorm_alone, .in = {{3, 5, 24}, {3, 5, 24}},
     .par = {{1, 24}, {1, 24}}, .factor = drop_path},
    {"add", "plain", add, .in = {{2, 5, 7}, {2, 5, 7}}, .streams = 3},
    {"add", "drop-path", add, .in = {{3, 5, 7}, {3, 5, 7}}, .factor = drop_path},
    {"add", "24 wide", add, .in = {{3, 30, 24}, {3, 30, 24}}, .factor = drop_path, .streams = 3},
    {"gelu", "wide range", gelu, .in = {{2, 9, 35}}, .spread = 2},
    {"gelu_tanh", "wide range", gelu_tanh, .in = {{2, 9, 35}}, .spread = 2},
    {"sum of gradients", "three readers", three_readers, .in = {{2, 5, 8}},
     .par = {{2, 8, 8}, {1, 8}}},
    {"attention", "5 tokens", attention, .in = {{2, 5, 48}}, .heads = 2, .groups = 3,
     .spread = 1.5},
    {"attention", "one token", attention, .in = {{2, 1, 24}}, .heads = 1},
    {"attention", "three tiles", attention, .in = {{1, 290, 96}}, .heads = 2, .groups = 3,
     .spread = 1.3},
    {"attention", "64 wide heads", attention, .in = {{1, 133, 384}}, .heads = 2, .groups = 3,
     .spread = 1.3},
    {"attention", "odd head size", attention, .in = {{2, 71, 45}}, .heads = 3, .groups = 3,
     .spread = 1.3},
    {"attention_cls", "CLS only", attention_cls, .in = {{2, 1, 16}, {2, 9, 32}}, .heads = 2,
     .groups = 2, .spread = 1.5},
    {"attention_cls", "3 queries", attention_cls, .in = {{2, 3, 128}, {2, 70, 256}}, .heads = 2,
     .groups = 2},
    {"window", "9 tokens, 7 windows", window, .in = {{2, 63, 48}}, .par = {{2, 25, 2}}, .heads = 2,
     .groups = 3, .number = 9, .spread = 1.5},
    {"window", "49 tokens, chunks", window, .in = {{1, 1176, 48}}, .par = {{2, 169, 1}}, .heads = 1,
     .groups = 3, .number = 49, .spread = 1.3},
    {"window", "two tokens", window, .in = {{2, 6, 24}}, .par = {{2, 4, 1}}, .heads = 1,
     .number = 2},
    {"window", "odd head size", window, .in = {{2, 20, 45}}, .par = {{2, 9, 3}}, .heads = 3,
     .groups = 3, .number = 4, .spread = 1.3},
    {"attention_score", "CLS, bias", attention_score, .in = {{2, 5, 48}}, .heads = 2, .groups = 3,
     .index = to_one, .factor = bias, .number = 1, .spread = 1.5},
    {"attention_score", "two rows", attention_score, .in = {{2, 5, 48}}, .heads = 2, .groups = 3,
     .index = to_one, .number = 2, .spread = 1.5},
    {"attention_score", "tiles", attention_score, .in = {{1, 290, 96}}, .heads = 2, .groups = 3,
     .index = zeros, .number = 2, .spread = 1.3},
    {"attention_score", "keys apart", attention_score, .in = {{2, 3, 16}, {2, 5, 32}}, .heads = 2,
     .index = to_one, .factor = bias, .number = 2, .spread = 1.5},
    {"map", "drop, reorder", map, .in = {{2, 6, 5}}, .index = reorder, .number = 4},
    {"map", "fuse, weights", map, .in = {{2, 6, 5}}, .index = fuse, .factor = blend, .number = 3},
    {"map", "fused in both samples", map, .in = {{2, 6, 5}}, .index = fuse_both, .number = 3},
    {"map", "weight gradient", map, .in = {{2, 6, 5}, {2, 6, 1}}, .index = fuse, .number = 3},
    {"map", "weights of the last row", map_fused, .in = {{2, 6, 5}, {2, 6, 1}}, .index = fuse,
     .number = 3},
    {"map", "rows of 16 bytes", map, .in = {{2, 6, 8}, {2, 6, 1}}, .index = fuse, .number = 3},
    {"map", "wide rows", map, .in = {{2, 6, 264}, {2, 6, 1}}, .index = fuse, .number = 3},
    {"prefix", "CLS", prefix, .in = {{3, 4, 10}}, .par = {{3, 1, 1, 10}}},
    {"prefix", "two of 16", prefix, .in = {{3, 30, 16}}, .par = {{3, 1, 2, 16}}},
    {"prefix", "4 registers", prefix, .in = {{3, 5, 6}}, .par = {{3, 1, 4, 6}}},
    {"position", "all, prefix 0", position, .in = {{2, 7, 6}}, .par = {{3, 1, 7, 6}}},
    {"position", "kept, prefix 1", position, .in = {{2, 4, 6}}, .par = {{3, 1, 8, 6}},
     .index = kept, .number = 1},
    {"position", "kept, prefix 0", position, .in = {{2, 3, 6}}, .par = {{3, 1, 7, 6}},
     .index = kept, .streams = 1},
    {"position", "16 wide, kept", position, .in = {{2, 4, 16}}, .par = {{3, 1, 8, 16}},
     .index = kept, .number = 1, .streams = 1},
    {"position", "24 wide, all", position, .in = {{3, 30, 24}}, .par = {{3, 1, 31, 24}},
     .number = 1},
    {"position", "planar, 8 wide", position, .in = {{2, 6, 8}}, .par = {{4, 1, 8, 2, 3}},
     .streams = 1},
    {"position", "planar map", position, .in = {{2, 6, 5}}, .par = {{4, 1, 5, 2, 3}}},
    {"pool", "5x4 grid, CLS", pooled, .in = {{2, 21, 3}, {2, 1, 6}},
     .par = {{4, 6, 1, 3, 3}, {1, 6}}, .number = 4, .stream = true},
    {"pool", "4x7 grid, 2 tokens", pooled, .in = {{2, 30, 4}, {2, 2, 8}},
     .par = {{4, 8, 1, 3, 3}, {1, 8}}, .number = 7, .stream = true},
    {"pool", "19x17 grid, chunks", pooled, .in = {{2, 324, 2}, {2, 1, 4}},
     .par = {{4, 4, 1, 3, 3}, {1, 4}}, .number = 17, .stream = true},
    {"pool", "1x6 grid", pooled, .in = {{1, 7, 2}, {1, 1, 4}}, .par = {{4, 4, 1, 3, 3}, {1, 4}},
     .number = 6, .stream = true},
    {"mean", "9 rows", mean, .in = {{2, 9, 6}}},
};

static int64_t in_count(const graph *g, int i)
{
    return (int64_t)g->in[i][0] * g->in[i][1] * g->in[i][2];
}

static tensor *bench_forward(bench *t, run *r, tensor **in)
{
    run_reset(r);
    for (int i = 0; i < t->n_in; i++) {
        const int *shape = t->g->in[i];
        bool f32 = shape[2] == 1 || t->float_inputs >> i & 1;
        tensor_type type = t->g->stream && i == 0 ? run_stream(r) : t->type;
        in[i] = run_input_type(r, f32 ? TENSOR_F32 : type, shape[0], shape[1], shape[2], t->in[i],
                               false);
    }
    tensor *y = t->g->build(t->g, r, in, t->set->p);
    return t->twice ? op_add(r, y, t->g->build(t->g, r, in, t->set->p), NULL) : y;
}

static void bench_open(bench *t, const graph *g, backend *be, uint64_t seed)
{
    rng q;
    rng_init(&q, seed, RNG_TEST, formula_hash(g->op) ^ formula_hash(g->name), 0);
    *t = (bench){.g = g,
                 .be = be,
                 .set = param_set_new(be, MAX_PAR),
                 .r = run_new(be, RUN_TRAIN),
                 .seed = seed};
    t->type = run_type(t->r);
    for (int i = 0; i < MAX_PAR && g->par[i][0]; i++) {
        char name[16];
        snprintf(name, sizeof(name), "par%d", i);
        param_add(t->set, name, g->par[i][0], &g->par[i][1]);
    }
    param_set_alloc(t->set);
    for (int i = 0; i < t->set->n; i++) {
        param *p = &t->set->p[i];
        float *x = mem_alloc((size_t)p->n * sizeof(float));
        double sd = p->ndim == 2 || p->ndim == 4 ? 1 / sqrt((double)(p->n / p->shape[0])) : 1;
        for (int64_t k = 0; k < p->n; k++)
            x[k] = (float)(sd * rng_normal(&q));
        param_write(t->set, p, x);
        mem_free(x);
    }
    while (t->n_in < MAX_IN && g->in[t->n_in][0]) {
        int64_t n = in_count(g, t->n_in);
        float *x = t->in[t->n_in++] = mem_alloc((size_t)n * sizeof(float));
        for (int64_t k = 0; k < n; k++)
            x[k] = (float)(rng_normal(&q) * (g->spread > 0 ? g->spread : 1));
    }
    tensor *in[MAX_IN];
    int64_t n = tensor_count(bench_forward(t, t->r, in));
    t->dir = mem_alloc((size_t)n * sizeof(float));
    for (int64_t k = 0; k < n; k++)
        t->dir[k] = (float)rng_normal(&q);
}

static void bench_close(bench *t)
{
    for (int i = 0; i < t->n_in; i++)
        mem_free(t->in[i]);
    mem_free(t->dir);
    run_free(t->r);
    param_set_free(t->set);
}
#endif
