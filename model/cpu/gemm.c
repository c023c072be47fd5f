/* The oneDNN matmul cache and the packing of weights. oneDNN's status codes other than success can
 * only mean a shape we should never ask for, or no memory: both end the program. */
#include "model/cpu/gemm.h"

#include <omp.h>

#define GEMM_WIDTH_MAX  512 /* columns of a packed panel: it stays in the second-level cache */
#define GEMM_WIDTH_STEP 64

struct gemm {
    gemm_key key;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_primitive_t pack; /* plain -> packed layout; NULL where not packed */
    dnnl_memory_desc_t plain_b;
    size_t packed_bytes;
    dnnl_memory_t *memory; /* [thread][MEMORY_COUNT] */
    size_t scratch;        /* floats */
};
enum { MEMORY_A, MEMORY_B, MEMORY_BIAS, MEMORY_OUT, MEMORY_SCRATCH, MEMORY_COUNT };

static void check(dnnl_status_t s, const char *what)
{
    if (s != dnnl_success)
        BUG("oneDNN: %s failed with status %d", what, (int)s);
}

static void matrix(dnnl_memory_desc_t *d, int rows, int cols, int ld, bool transposed)
{
    const dnnl_dims_t dims = {rows, cols};
    const dnnl_dims_t strides = {transposed ? 1 : ld, transposed ? ld : 1};
    check(dnnl_memory_desc_init_by_strides(d, 2, dims, dnnl_f32, strides), "memory descriptor");
}

static dnnl_memory_t memory_new(cpu *c, const dnnl_memory_desc_t *d, void *handle)
{
    dnnl_memory_t m;
    check(dnnl_memory_create(&m, d, c->engine, handle), "memory");
    return m;
}

static dnnl_primitive_attr_t attributes(bool add)
{
    dnnl_primitive_attr_t attr;
    check(dnnl_primitive_attr_create(&attr), "attributes");
    check(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user), "scratchpad");
    if (add) {
        dnnl_post_ops_t post;
        check(dnnl_post_ops_create(&post), "post-ops");
        check(dnnl_post_ops_append_sum(post, 1.0f), "sum");
        check(dnnl_primitive_attr_set_post_ops(attr, post), "post-ops");
        check(dnnl_post_ops_destroy(post), "post-ops");
    }
    return attr;
}

static void make_pack(cpu *c, gemm *g, const dnnl_memory_desc_t *packed)
{
    dnnl_primitive_desc_t d;
    check(dnnl_reorder_primitive_desc_create(&d, &g->plain_b, c->engine, packed, c->engine, NULL),
          "reorder descriptor");
    check(dnnl_primitive_create(&g->pack, d), "reorder");
    check(dnnl_primitive_desc_destroy(d), "reorder descriptor");
    g->packed_bytes = dnnl_memory_desc_get_size(packed);
}

static gemm *make(cpu *c, const gemm_key *key)
{
    gemm *g = MEM_NEW(gemm);
    g->key = *key;
    dnnl_memory_desc_t a, b, bias, out;
    matrix(&a, key->m, key->k, key->lda, key->ta);
    matrix(&g->plain_b, key->k, key->n, key->ldb, key->tb);
    matrix(&bias, 1, key->n, key->n, false);
    matrix(&out, key->m, key->n, key->ldc, false);
    b = g->plain_b;
    if (key->packed) {
        const dnnl_dims_t dims = {key->k, key->n};
        check(dnnl_memory_desc_init_by_tag(&b, 2, dims, dnnl_f32, dnnl_format_tag_any), "any");
    }
    dnnl_matmul_desc_t desc;
    check(dnnl_matmul_desc_init(&desc, &a, &b, key->bias ? &bias : NULL, &out), "matmul");
    dnnl_primitive_attr_t attr = attributes(key->add);
    omp_set_num_threads(1);
    check(dnnl_primitive_desc_create(&g->desc, &desc, attr, c->engine, NULL), "matmul descriptor");
    check(dnnl_primitive_create(&g->primitive, g->desc), "matmul");
    check(dnnl_primitive_attr_destroy(attr), "attributes");
    const dnnl_memory_desc_t *wb = dnnl_primitive_desc_query_md(g->desc, dnnl_query_weights_md, 0);
    const dnnl_memory_desc_t *sp =
        dnnl_primitive_desc_query_md(g->desc, dnnl_query_scratchpad_md, 0);
    g->scratch = (dnnl_memory_desc_get_size(sp) + sizeof(float) - 1) / sizeof(float);
    if (key->packed)
        make_pack(c, g, wb);
    g->memory = MEM_ARRAY(dnnl_memory_t, (size_t)c->threads * MEMORY_COUNT);
    for (int t = 0; t < c->threads; t++) {
        dnnl_memory_t *m = g->memory + (size_t)t * MEMORY_COUNT;
        m[MEMORY_A] = memory_new(c, &a, NULL);
        m[MEMORY_B] = memory_new(c, &g->plain_b, NULL);
        m[MEMORY_BIAS] = memory_new(c, &bias, NULL);
        m[MEMORY_OUT] = memory_new(c, &out, NULL);
        m[MEMORY_SCRATCH] = memory_new(c, sp, NULL);
        cpu_scratch_get(&c->library[t], g->scratch);
    }
    return g;
}

static size_t key_hash(const gemm_key *k)
{
    const int v[] = {k->m,  k->n,  k->k,   k->lda,  k->ldb,   k->ldc,
                     k->ta, k->tb, k->add, k->bias, k->packed};
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < COUNT_OF(v); i++)
        h = (h ^ (uint32_t)v[i]) * 0x100000001b3u;
    return (size_t)(h ^ h >> 29);
}

static bool key_same(const gemm_key *a, const gemm_key *b)
{
    return a->m == b->m && a->n == b->n && a->k == b->k && a->lda == b->lda && a->ldb == b->ldb &&
           a->ldc == b->ldc && a->ta == b->ta && a->tb == b->tb && a->add == b->add &&
           a->bias == b->bias && a->packed == b->packed;
}

static gemm **slot_of(cpu *c, const gemm_key *key)
{
    size_t mask = (size_t)c->gemm_cap - 1, i = key_hash(key) & mask;
    while (c->gemm[i] && !key_same(&c->gemm[i]->key, key))
        i = (i + 1) & mask;
    return &c->gemm[i];
}

gemm *gemm_get(cpu *c, const gemm_key *key)
{
    if (2 * c->gemms >= c->gemm_cap) {
        gemm **old = c->gemm;
        int n = c->gemm_cap;
        c->gemm_cap = n ? 2 * n : 256;
        c->gemm = MEM_ARRAY(gemm *, c->gemm_cap);
        for (int i = 0; i < n; i++) {
            if (old[i])
                *slot_of(c, &old[i]->key) = old[i];
        }
        mem_free(old);
    }
    gemm **slot = slot_of(c, key);
    if (!*slot) {
        *slot = make(c, key);
        c->gemms++;
    }
    return *slot;
}

static void execute(cpu *c, gemm *g, int thread, const float *a, dnnl_memory_t b, const float *bias,
                    float *out)
{
    dnnl_memory_t *m = g->memory + (size_t)thread * MEMORY_COUNT;
    /* the library's interface has no const; it does not write to sources */
    check(dnnl_memory_set_data_handle(m[MEMORY_A], (void *)(uintptr_t)a), "handle");
    check(dnnl_memory_set_data_handle(m[MEMORY_OUT], out), "handle");
    check(dnnl_memory_set_data_handle(m[MEMORY_SCRATCH],
                                      cpu_scratch_get(&c->library[thread], g->scratch)),
          "handle");
    dnnl_exec_arg_t arg[5] = {{DNNL_ARG_SRC, m[MEMORY_A]},
                              {DNNL_ARG_WEIGHTS, b},
                              {DNNL_ARG_DST, m[MEMORY_OUT]},
                              {DNNL_ARG_SCRATCHPAD, m[MEMORY_SCRATCH]}};
    int n = 4;
    if (g->key.bias) {
        check(dnnl_memory_set_data_handle(m[MEMORY_BIAS], (void *)(uintptr_t)bias), "handle");
        arg[n++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, m[MEMORY_BIAS]};
    }
    omp_set_num_threads(1); /* this thread's own setting: the library must not start threads */
    check(dnnl_primitive_execute(g->primitive, c->stream[thread], n, arg), "matmul");
}

void gemm_run(cpu *c, gemm *g, int thread, const float *a, const float *b, const float *bias,
              float *out)
{
    dnnl_memory_t m = g->memory[(size_t)thread * MEMORY_COUNT + MEMORY_B];
    check(dnnl_memory_set_data_handle(m, (void *)(uintptr_t)b), "handle");
    execute(c, g, thread, a, m, bias, out);
}

void gemm_run_packed(cpu *c, gemm *g, int thread, const float *a, dnnl_memory_t b,
                     const float *bias, float *out)
{
    execute(c, g, thread, a, b, bias, out);
}

/* ---- packed weights -------------------------------------------------------------------------- */

/* The widest panel that cuts `n` evenly, so that ranges of n/cols blocks stay whole; else the
 * widest there is with a narrower last one. */
static int panel_width(int n)
{
    for (int w = GEMM_WIDTH_MAX; w >= 2 * GEMM_WIDTH_STEP; w -= GEMM_WIDTH_STEP) {
        if (n % w == 0)
            return w;
    }
    return n < GEMM_WIDTH_MAX ? n : GEMM_WIDTH_MAX;
}

static gemm_pack *pack_new(cpu *c, param *w, bool forward, int row0, int rows)
{
    gemm_pack *p = MEM_NEW(gemm_pack);
    *p = (gemm_pack){.forward = forward, .row0 = row0, .rows = rows};
    p->cols = (int)(w->n / w->shape[0]);
    int n = forward ? rows : p->cols, k = forward ? p->cols : rows;
    p->width = panel_width(forward && rows % p->cols == 0 ? p->cols : n);
    p->panels = (n + p->width - 1) / p->width;
    p->g = MEM_ARRAY(gemm *, p->panels);
    p->memory = MEM_ARRAY(dnnl_memory_t, p->panels);
    p->data = MEM_ARRAY(float *, p->panels);
    for (int i = 0; i < p->panels; i++) {
        int width = i + 1 < p->panels ? p->width : n - i * p->width;
        gemm_key key = {.m = OP_ROW_PAD, .n = width, .k = k, .lda = k, .ldb = p->cols, .ldc = n};
        key.tb = forward;
        key.packed = true;
        p->g[i] = gemm_get(c, &key);
        p->data[i] = mem_calloc(1, p->g[i]->packed_bytes); /* zeros between blocks stay zeros */
        c->packed += p->g[i]->packed_bytes;
        const dnnl_memory_desc_t *d =
            dnnl_primitive_desc_query_md(p->g[i]->desc, dnnl_query_weights_md, 0);
        p->memory[i] = memory_new(c, d, p->data[i]);
    }
    return p;
}

typedef struct pack_job {
    cpu *c;
    const param *w;
    gemm_pack *p;
} pack_job;

static void pack_panel(void *ctx, int64_t i, int thread)
{
    const pack_job *j = ctx;
    gemm *g = j->p->g[i];
    const float *from = j->w->x + (int64_t)j->p->row0 * j->p->cols;
    from += i * j->p->width * (j->p->forward ? (int64_t)j->p->cols : 1);
    dnnl_memory_t plain = g->memory[(size_t)thread * MEMORY_COUNT + MEMORY_B];
    check(dnnl_memory_set_data_handle(plain, (void *)(uintptr_t)from), "handle");
    const dnnl_exec_arg_t arg[2] = {{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, j->p->memory[i]}};
    omp_set_num_threads(1);
    check(dnnl_primitive_execute(g->pack, j->c->stream[thread], 2, arg), "reorder");
}

gemm_pack *gemm_pack_get(cpu *c, param *w, bool forward, int row0, int rows)
{
    uint64_t version = w->set->version;
    gemm_pack *p = w->pack;
    while (p && (p->forward != forward || p->row0 != row0 || p->rows != rows))
        p = p->next;
    if (!p) {
        p = pack_new(c, w, forward, row0, rows);
        p->next = w->pack;
        w->pack = p;
    }
    if (p->version != version) {
        pack_job j = {c, w, p};
        pool_for(c->base.pool, p->panels, pack_panel, &j);
        p->version = version;
    }
    return p;
}

gemm *gemm_pack_variant(cpu *c, const gemm_pack *p, int i, bool add, bool bias)
{
    gemm_key key = p->g[i]->key;
    key.add = add;
    key.bias = bias;
    gemm *g = gemm_get(c, &key);
    const dnnl_memory_desc_t *a =
        dnnl_primitive_desc_query_md(p->g[i]->desc, dnnl_query_weights_md, 0);
    const dnnl_memory_desc_t *b = dnnl_primitive_desc_query_md(g->desc, dnnl_query_weights_md, 0);
    if (g != p->g[i] && !dnnl_memory_desc_equal(a, b))
        BUG("oneDNN packs the same weight in two ways");
    return g;
}

void gemm_pack_drop(backend *be, param *w)
{
    for (gemm_pack *p = w->pack, *next; p; p = next) {
        next = p->next;
        for (int i = 0; i < p->panels; i++) {
            dnnl_memory_destroy(p->memory[i]);
            mem_free(p->data[i]);
            cpu_of(be)->packed -= p->g[i]->packed_bytes;
        }
        mem_free(p->memory);
        mem_free(p->data);
        mem_free(p->g);
        mem_free(p);
    }
    w->pack = NULL;
}

void gemm_close(cpu *c)
{
    for (int i = 0; i < c->gemm_cap; i++) {
        gemm *g = c->gemm[i];
        if (!g)
            continue;
        for (int m = 0; m < c->threads * MEMORY_COUNT; m++)
            dnnl_memory_destroy(g->memory[m]);
        if (g->pack)
            dnnl_primitive_destroy(g->pack);
        dnnl_primitive_destroy(g->primitive);
        dnnl_primitive_desc_destroy(g->desc);
        mem_free(g->memory);
        mem_free(g);
    }
    mem_free(c->gemm);
}
