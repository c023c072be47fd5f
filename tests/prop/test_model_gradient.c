/* Whole networks: directional derivatives for every parameter tensor, over grids that are not
 * square and have odd sides, with and without PatchDropout, sample weights, label smoothing and
 * views. A seed may be given as the only argument; the one used is printed. */
#include "tests/prop/gradient.h"

typedef struct net_case {
    const char *name;
    model_cfg cfg; /* name, sizes, depth */
    int channels, classes, b;
    double keep;
    bool weights, views;
    float smoothing;
    bool quick; /* gradient_case */
} net_case;

typedef struct net {
    model *m;
    model_batch batch;
    model_watch watch;
    int32_t *first[WATCH_LAYERS]; /* fates in the first pass */
    int flips;
} net;

static uint64_t seed = 20240917;
static gradient_worst worst = {.error = -1};

/* What became of every patch in layer i, as far as values depend on it: dropped, by itself, fused
 * now or before, or the row that it was merged into. */
static void fates(const net *n, int i, int32_t *out)
{
    const watch_layer *l = &n->watch.layer[i];
    int patches = model_patches(n->m);
    int32_t *alone = MEM_ARRAY(int32_t, l->n_out);
    for (int s = 0; s < n->watch.b; s++, out += patches) {
        const int32_t *keep = n->batch.keep ? n->batch.keep + s * n->batch.n_keep : NULL;
        watch_patches(&n->watch, s, i + 1, keep, patches, out, alone);
        for (int k = 0; k < patches; k++) {
            if (out[k] >= 0 && !(l->pooled && l->pooled[s]))
                out[k] = alone[out[k]] == k ? 0 : 1 + (out[k] == l->fused);
        }
    }
    mem_free(alone);
}

static tensor *build(void *ctx, run *r)
{
    net *n = ctx;
    tensor *z = model_forward(n->m, r, &n->batch);
    size_t bytes = (size_t)(n->batch.b * model_patches(n->m)) * sizeof(int32_t);
    bool same = true;
    for (int i = 0; i < n->watch.layers; i++) {
        int32_t *now = mem_alloc(bytes);
        fates(n, i, now);
        if (!n->first[i]) {
            n->first[i] = now;
            continue;
        }
        same &= memcmp(n->first[i], now, bytes) == 0;
        mem_free(now);
    }
    n->flips += !same;
    return z;
}

#define REDUCED(h, w, blocks, how, layers)                                                         \
    .name = "deit_tiny_patch16_224", .image_h = (h), .image_w = (w), .depth = (blocks),            \
    .reduction = (how), .reduction_layers = (layers), .evit_keep = 0.6
#define EVIT(h, w, blocks, layers) REDUCED(h, w, blocks, MODEL_EVIT, layers)
#define PPT(h, w, blocks, layers)  REDUCED(h, w, blocks, MODEL_PPT, layers), .ppt_tokens = 50

static const net_case nets[] = {
    {.name = "3x5 grid, all patches",
     .cfg = {.name = "deit_tiny_patch16_224", .image_h = 48, .image_w = 80, .depth = 2},
     .channels = 3,
     .classes = 3,
     .b = 2,
     .keep = 1,
     .smoothing = 0.1F},
    {.name = "5x3 grid, 7 kept, weights, views",
     .cfg = {.name = "deit_tiny_patch16_224", .image_h = 80, .image_w = 48, .depth = 2},
     .channels = 1,
     .classes = 2,
     .b = 3,
     .keep = 0.5,
     .weights = true,
     .views = true,
     .smoothing = 0.05F},
    {.name = "1x7 grid, 1 kept, no smoothing",
     .cfg = {.name = "deit_tiny_patch16_224", .image_h = 16, .image_w = 112, .depth = 1},
     .channels = 1,
     .classes = 2,
     .b = 4,
     .keep = 0.2},
    {.name = "patch 8, 11x9 grid, 24 kept",
     .cfg = {.name = "deit_tiny_patch16_224", .image_h = 88, .image_w = 72, .patch = 8, .depth = 2},
     .channels = 1,
     .classes = 5,
     .b = 2,
     .keep = 0.25,
     .weights = true,
     .smoothing = 0.1F},
    {.name = "distilled, 5x3 grid, 7 kept",
     .cfg = {.name = "deit_tiny_distilled_patch16_224", .image_h = 80, .image_w = 48, .depth = 2},
     .channels = 1,
     .classes = 3,
     .b = 2,
     .keep = 0.5,
     .weights = true,
     .smoothing = 0.1F},
    {.name = "registers, 3x5 grid, 7 kept",
     .cfg = {.name = "vit_tiny_patch16_reg4_224", .image_h = 48, .image_w = 80, .depth = 2},
     .channels = 1,
     .classes = 2,
     .b = 2,
     .keep = 0.5,
     .views = true},
    {.name = "distilled PiT, 5x4 grid of patches of 12 px every 5 px",
     .cfg =
         {.name = "pit_ti_distilled_224", .image_h = 32, .image_w = 27, .patch = 12, .stride = 5},
     .channels = 2,
     .classes = 3,
     .b = 2,
     .keep = 1,
     .weights = true,
     .views = true,
     .smoothing = 0.1F,
     .quick = true},
    {.name = "EViT, 5x3 grid, 11 kept",
     .cfg = {EVIT(80, 48, 3, "0/1"), .evit_fuse = true},
     .channels = 1,
     .classes = 3,
     .b = 2,
     .keep = .75,
     .weights = true,
     .smoothing = .1F},
    {.name = "EViT, 1x7 grid, nothing fused",
     .cfg = {EVIT(16, 112, 2, "0")},
     .channels = 1,
     .classes = 3,
     .b = 2,
     .keep = 1},
    {.name = "PPT pools, 3x5 grid",
     .cfg = {PPT(48, 80, 3, "0/1"), .ppt_tau = 1e6, .ppt_size_bias = true},
     .channels = 1,
     .classes = 3,
     .b = 2,
     .keep = 1,
     .smoothing = .1F},
    {.name = "PPT pools, no size bias, 9 kept",
     .cfg = {PPT(48, 64, 2, "0"), .ppt_tau = 1e6},
     .channels = 1,
     .classes = 3,
     .b = 1,
     .keep = .75,
     .weights = true,
     .views = true},
    {.name = "PPT prunes, 5x3 grid, 11 kept",
     .cfg = {PPT(80, 48, 2, "0"), .ppt_size_bias = true},
     .channels = 1,
     .classes = 3,
     .b = 2,
     .keep = .75,
     .weights = true,
     .smoothing = .1F},
};

/* Rows of pos_embed that no sample keeps get exactly no gradient, the others some, those of the
 * tokens before the patches always. */
static void check_dropped(net *n, backend *be)
{
    param *pos = param_find(model_params(n->m), "pos_embed");
    assert_non_null(pos);
    if (pos->ndim == 4) /* a map, for all patches */
        return;
    int d = model_width(n->m), patches = model_patches(n->m);
    int prefix = (int)(pos->n / d) - patches;
    assert_in_range(prefix, 1, 5);
    float *g = mem_alloc((size_t)pos->n * sizeof(float));
    backend_to_host(be, g, pos->g, (size_t)pos->n * sizeof(float));
    for (int i = -prefix; i < patches; i++) {
        bool kept = i < 0 || !n->batch.keep, moved = false;
        for (int k = 0; k < n->batch.b * n->batch.n_keep; k++)
            kept |= n->batch.keep[k] == i;
        for (int c = 0; c < d; c++)
            moved |= g[(int64_t)(prefix + i) * d + c] != 0.0F;
        assert_int_equal(kept, moved);
    }
    mem_free(g);
}

static void test_net(void **state)
{
    const net_case *t = *state;
    err e = {0};
    uint16_t *image[4];
    int32_t labels[4];
    float weights[4];
    model_view views[4];
    pool *pl = pool_new(0);
    backend *be = backend_new("cpu", pl, &e);
    if (!be)
        fail_msg("%s", e.msg);
    model_cfg want = t->cfg;
    want.channels = t->channels;
    want.classes = t->classes;
    want.keep_rate = 1;
    want.head_init = 0.02;
    net n = {.m = model_new(&want, be, 7, &e)};
    if (!n.m)
        fail_msg("%s", e.msg);
    const model_cfg *mc = model_config(n.m);
    int ch = (int)mc->channels, h = (int)mc->image_h, w = (int)mc->image_w;
    int k = model_kept(n.m, t->keep), patches = model_patches(n.m);
    int32_t *keep = MEM_ARRAY(int32_t, t->b * k);
    param_set *s = model_params(n.m);
    for (int i = 0; i < s->n; i++) {
        param *p = &s->p[i];
        float *x = mem_alloc((size_t)p->n * sizeof(float));
        formula_param(p->name, p->ndim, p->shape[0], p->n, 1.3, x);
        param_write(s, p, x);
        mem_free(x);
    }
    for (int b = 0; b < t->b; b++) {
        rng q;
        rng_init(&q, seed, RNG_TEST, (uint64_t)b, 0);
        image[b] = mem_alloc((size_t)ch * h * w * sizeof(uint16_t));
        formula_image(b, ch, h, w, image[b]);
        labels[b] = (int32_t)rng_below(&q, (uint32_t)mc->classes);
        weights[b] = 0.25F + rng_f32(&q);
        views[b] = (model_view){
            {0.9F, 0.2F * rng_f32(&q), 1.5F, -0.15F, 1.1F, -2.0F + 4 * rng_f32(&q)}, 0.05F, 0.9F};
        rng_subset(&q, patches, k, keep + (int64_t)b * k);
    }
    n.batch = (model_batch){.b = t->b,
                            .h = h,
                            .w = w,
                            .image = (const uint16_t *const *)image,
                            .view = t->views ? views : NULL,
                            .mean = 0.5F,
                            .sd = 0.25F,
                            .keep = t->keep < 1.0 ? keep : NULL,
                            .n_keep = t->keep < 1.0 ? k : 0};
    n.batch.watch = &n.watch;
    gradient_case c = {.name = t->name,
                       .be = be,
                       .set = s,
                       .build = build,
                       .ctx = &n,
                       .probe = RUN_INFER,
                       .labels = labels,
                       .weights = t->weights ? weights : NULL,
                       .smoothing = t->smoothing,
                       .quick = t->quick,
                       .flips = &n.flips};
    gradient_check(&c, seed, NULL, &worst);
    check_dropped(&n, be);
    for (int b = 0; b < t->b; b++)
        mem_free(image[b]);
    for (int i = 0; i < WATCH_LAYERS; i++)
        mem_free(n.first[i]);
    watch_release(&n.watch);
    mem_free(keep);
    model_free(n.m);
    backend_free(be);
    pool_free(pl);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[COUNT_OF(nets)] = {0};
    for (size_t i = 0; i < COUNT_OF(nets); i++)
        tests[i] = (struct CMUnitTest){.name = nets[i].name,
                                       .test_func = test_net,
                                       .initial_state = (void *)(uintptr_t)&nets[i]};
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    int failed = cmocka_run_group_tests_name("model_gradient", tests, NULL, NULL);
    print_message(
        "network gradients: seed %llu, %d directions, worst error %.2e (%s), %d crossed\n",
        (unsigned long long)seed, worst.directions, worst.error, worst.where, worst.crossed);
    return failed || worst.crossed > worst.directions / 20;
}
