/* y = x W^T + bias; GELU of y, and GELU's slope behind the input gradient. Forward and that: panels
 * of OP_ROW_PAD rows x one packed weight panel. Weight gradient: one task per tile of W, which adds
 * the samples in order, so that a batch and its parts in sequence give the same bytes. */
#include "model/cpu/gemm.h"

#define TILE_ROWS  192 /* of the weight gradient: the tile stays in the second-level cache */
#define TILE_COLS  384
#define SPAN_MAX   256 /* rows of a sample per product of the weight gradient */
#define OUTER_ROWS 4   /* samples with fewer rows go to the small product */

static int64_t rows_of(const tensor *t)
{
    return (int64_t)t->b * t->n;
}

static const float *bias_of(const op_args *a)
{
    return a->b ? a->b->x + a->linear.row0 : NULL;
}

typedef struct panel_job {
    cpu *c;
    gemm_pack *pack;
    gemm *g, *last; /* products of all panels but the last, of the last */
    const float *in;
    float *out;
    int in_c, out_c;
    const float *bias;
    float *gelu;    /* GELU of what comes out, or NULL; may be `out` */
    const float *u; /* what comes out is multiplied by GELU's slope here, or NULL */
    bool tanh;
} panel_job;

/* A panel of n columns from element `at` on. */
static void panel_gelu(const panel_job *j, int64_t at, int n)
{
    for (int k = 0; k < OP_ROW_PAD; k++, at += j->out_c) {
        if (j->gelu)
            j->c->k->gelu[j->tanh](j->out + at, j->gelu + at, n);
        else
            j->c->k->gelu_back[j->tanh](j->u + at, j->out + at, j->out + at, false, n);
    }
}

static void panel_task(void *ctx, int64_t i, int thread)
{
    const panel_job *j = ctx;
    int64_t row = i / j->pack->panels * OP_ROW_PAD;
    int p = (int)(i % j->pack->panels), col = p * j->pack->width;
    gemm *g = p + 1 < j->pack->panels ? j->g : j->last;
    int64_t at = row * j->out_c + col;
    gemm_run_packed(j->c, g, thread, j->in + row * j->in_c, j->pack->memory[p],
                    j->bias ? j->bias + col : NULL, j->out + at);
    if (j->gelu || j->u)
        panel_gelu(j, at, j->out_c - col < j->pack->width ? j->out_c - col : j->pack->width);
}

static void run_panels(panel_job *j, int64_t rows, bool add)
{
    int last = j->pack->panels - 1;
    j->g = gemm_pack_variant(j->c, j->pack, 0, add, j->bias != NULL);
    j->last = gemm_pack_variant(j->c, j->pack, last, add, j->bias != NULL);
    int64_t bands = (rows + OP_ROW_PAD - 1) / OP_ROW_PAD;
    pool_for(j->c->base.pool, bands * j->pack->panels, panel_task, j);
}

void cpu_linear_forward(backend *be, op_args *a)
{
    cpu *c = cpu_of(be);
    panel_job j = {.c = c, .in = a->x->x, .in_c = a->x->c, .out = a->y->x, .out_c = a->y->c};
    j.pack = gemm_pack_get(c, a->w, true, a->linear.row0, a->linear.rows);
    j.bias = bias_of(a);
    j.gelu = a->y2 ? a->y2->x : NULL;
    j.tanh = a->linear.tanh;
    run_panels(&j, rows_of(a->x), false);
}

/* ---- gradient of the bias -----------------------------------------------------------------------
 */

typedef struct bias_job {
    cpu *c;
    const op_args *a;
    float *parts;
} bias_job;

static void bias_task(void *ctx, int64_t i, int thread)
{
    const bias_job *j = ctx;
    const op_args *a = j->a;
    int n = a->y->n, c = a->y->c, chunks = cpu_chunks(n);
    int from = (int)(i % chunks) * CPU_CHUNK;
    int rows = n - from < CPU_CHUNK ? n - from : CPU_CHUNK;
    int64_t at = (i / chunks * n + from) * c;
    float *part = j->parts + i * c;
    memset(part, 0, (size_t)c * sizeof(float));
    for (int k = 0; k < rows; k++, at += c)
        j->c->k->add(part, a->y->g + at, c);
}

static void bias_backward(cpu *c, const op_args *a)
{
    int64_t count = (int64_t)a->y->b * cpu_chunks(a->y->n);
    if (!a->b)
        return;
    bias_job j = {c, a, cpu_scratch_get(&c->shared, (size_t)count * (size_t)a->y->c)};
    pool_for(c->base.pool, count, bias_task, &j);
    cpu_sum_parts(c, a->b->g + a->linear.row0, j.parts, count, a->y->c);
}

/* ---- gradient of the weight ---------------------------------------------------------------------
 */

typedef struct tile_job {
    cpu *c;
    const op_args *a;
    float *g;
    int rows, cols, tiles_c;
    int spans, span;
    gemm *full[2][2], *rest[2][2]; /* [last row tile][last column tile]; whole spans, last span */
} tile_job;

static int tile_size(int n, int i, int tile)
{
    return n - i * tile < tile ? n - i * tile : tile;
}

static void tile_task(void *ctx, int64_t i, int thread)
{
    const tile_job *j = ctx;
    const tensor *x = j->a->x, *y = j->a->y;
    int tr = (int)(i / j->tiles_c), tc = (int)(i % j->tiles_c);
    int m = tile_size(j->rows, tr, TILE_ROWS), n = tile_size(j->cols, tc, TILE_COLS);
    float *out = j->g + (int64_t)tr * TILE_ROWS * j->cols + (int64_t)tc * TILE_COLS;
    const float *dy = y->g + (int64_t)tr * TILE_ROWS, *in = x->x + (int64_t)tc * TILE_COLS;
    if (x->n < OUTER_ROWS) {
        j->c->k->product(&(kernels_product){.c = out,
                                            .a = dy,
                                            .x = in,
                                            .ldc = j->cols,
                                            .a_row = 1,
                                            .a_step = y->c,
                                            .ldx = x->c,
                                            .m = m,
                                            .n = n,
                                            .depth = x->b * x->n,
                                            .add = true});
        return;
    }
    gemm *full = j->full[m != TILE_ROWS][n != TILE_COLS];
    gemm *rest = j->rest[m != TILE_ROWS][n != TILE_COLS];
    for (int s = 0; s < x->b; s++) {
        for (int k = 0; k < j->spans; k++) {
            int64_t row = (int64_t)s * x->n + (int64_t)k * j->span;
            gemm_run(j->c, k + 1 < j->spans ? full : rest, thread, dy + row * y->c, in + row * x->c,
                     NULL, out);
        }
    }
}

static void tile_products(tile_job *j)
{
    const tensor *x = j->a->x;
    j->spans = (x->n + SPAN_MAX - 1) / SPAN_MAX;
    j->span = (x->n + j->spans - 1) / j->spans;
    int rest = x->n - (j->spans - 1) * j->span;
    for (int lr = 0; lr < 2; lr++) {
        for (int lc = 0; lc < 2; lc++) {
            int m = lr ? j->rows % TILE_ROWS : TILE_ROWS, n = lc ? j->cols % TILE_COLS : TILE_COLS;
            if (m == 0 || n == 0 || m > j->rows || n > j->cols)
                continue;
            gemm_key key = {.m = m, .n = n, .k = j->span, .lda = j->a->y->c, .ldb = x->c};
            key.ldc = j->cols;
            key.ta = true;
            key.add = true;
            j->full[lr][lc] = gemm_get(j->c, &key);
            key.k = rest;
            j->rest[lr][lc] = gemm_get(j->c, &key);
        }
    }
}

static void weight_backward(cpu *c, op_args *a)
{
    tile_job j = {.c = c, .a = a, .rows = a->linear.rows, .cols = a->x->c};
    if (rows_of(a->x) == 0)
        return;
    j.g = a->w->g + (int64_t)a->linear.row0 * j.cols;
    j.tiles_c = (j.cols + TILE_COLS - 1) / TILE_COLS;
    int tiles_r = (j.rows + TILE_ROWS - 1) / TILE_ROWS;
    if (a->x->n >= OUTER_ROWS)
        tile_products(&j);
    pool_for(c->base.pool, (int64_t)tiles_r * j.tiles_c, tile_task, &j);
}

void cpu_linear_backward(backend *be, op_args *a)
{
    cpu *c = cpu_of(be);
    bias_backward(c, a);
    weight_backward(c, a);
    const tensor *x = op_linear_source(a);
    if (x->fixed)
        return;
    panel_job j = {.c = c, .in = a->y->g, .in_c = a->y->c, .out = x->g, .out_c = x->c};
    j.u = a->x2 ? x->x : NULL;
    j.tanh = a->linear.tanh;
    j.pack = gemm_pack_get(c, a->w, false, a->linear.row0, a->linear.rows);
    run_panels(&j, rows_of(x), a->add_x);
}
