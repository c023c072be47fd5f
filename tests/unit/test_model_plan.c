/* Memory of a step that is not run, against that of the same step when it is: arena, what is saved
 * from forward to backward, and workspace, of every kind of network, for training at every level of
 * recompute and for inference. */
#include "tests/unit/reduction.h"

#include <math.h>

#include "core/mem.h"

enum { B = 4, EDGE = 224 };

typedef struct plan_case {
    const char *name;
    int depth; /* 0 = its own */
    int reduction;
    double keep; /* rate of PatchDropout */
    double evit_keep;
    run_level level;
} plan_case;

static const plan_case cases[] = {
    {"deit_tiny_patch16_224", 3, MODEL_FULL, 1, 0, RUN_KEEP},
    {"deit_tiny_patch16_224", 3, MODEL_FULL, 0.25, 0, RUN_KEEP},
    {"deit_tiny_patch16_224", 3, MODEL_FULL, 0.25, 0, RUN_LN_GELU},
    {"deit_tiny_patch16_224", 3, MODEL_FULL, 0.25, 0, RUN_BLOCK},
    {"deit_tiny_distilled_patch16_224", 3, MODEL_FULL, 0.5, 0, RUN_KEEP},
    {"vit_tiny_patch16_reg4_224", 2, MODEL_FULL, 1, 0, RUN_KEEP},
    {"deit_tiny_patch16_224", 12, MODEL_EVIT, 1, 0, RUN_KEEP},
    {"deit_tiny_patch16_224", 12, MODEL_EVIT, 1, 1, RUN_KEEP},
    {"deit_tiny_patch16_224", 12, MODEL_PPT, 1, 0, RUN_KEEP},
    {"deit_tiny_patch16_224", 12, MODEL_PPT, 1, 0, RUN_BLOCK},
    {"pit_ti_224", 0, MODEL_FULL, 1, 0, RUN_KEEP},
    {"pit_ti_224", 0, MODEL_FULL, 1, 0, RUN_LN_GELU},
    {"swin_tiny_patch4_window7_224", 0, MODEL_FULL, 1, 0, RUN_KEEP},
    {"swin_tiny_patch4_window7_224", 0, MODEL_FULL, 3.0 / 7, 0, RUN_KEEP},
    {"swin_tiny_patch4_window7_224", 0, MODEL_FULL, 3.0 / 7, 0, RUN_BLOCK},
};

/* A thread that got no work has no scratch of its own: the plan is an upper bound. */
static void near(const plan_case *k, const char *what, size_t planned, size_t real, double within)
{
    if (fabs((double)planned - (double)real) > within * (double)real)
        fail_msg("%s keep %g reduction %d level %d: %s planned %zu, held %zu", k->name, k->keep,
                 k->reduction, (int)k->level, what, planned, real);
}

static void check(const plan_case *k)
{
    err e = {0};
    pool *threads = pool_new(2);
    backend *be = backend_new("cpu", threads, &e);
    assert_non_null(be);
    model_cfg c = config(k->name, EDGE, k->reduction);
    c.depth = k->depth;
    model *m = model_new(&c, be, 1, &e);
    if (!m)
        fail_msg("%s", e.msg);
    uint16_t *pixels = MEM_ARRAY(uint16_t, 3 * EDGE * EDGE);
    const uint16_t *image[B] = {pixels, pixels, pixels, pixels};
    uint64_t sample[B] = {1, 2, 3, 4};
    int32_t label[B] = {0, 1, 2, 3}, *keep = NULL;
    model_batch batch = {.b = B, .h = EDGE, .w = EDGE, .image = image, .sd = 1};
    batch.evit_keep = k->evit_keep;
    if (k->keep < 1) {
        model_draw d = {.b = B, .sample = sample, .seed = 1, .rate = k->keep};
        batch.n_keep = model_kept(m, k->keep);
        batch.keep = keep = MEM_ARRAY(int32_t, B * batch.n_keep);
        model_select(m, &d, keep);
    }
    model_bytes train = model_plan(m, RUN_TRAIN, k->level, &batch);
    model_bytes infer = model_plan(m, RUN_INFER, k->level, &batch);
    run *t = run_new(be, RUN_TRAIN), *i = run_new(be, RUN_INFER);
    run_reserve(i, infer.arena);
    model_forward(m, i, &batch);
    near(k, "workspace of inference", infer.workspace, backend_workspace(be), 0.05);
    near(k, "arena of inference", infer.arena, run_held(i), 0);
    run_recompute(t, k->level);
    run_reserve(t, train.arena);
    for (int step = 0; step < 2; step++) {
        run_reset(t);
        tensor *l = op_loss(t, model_forward(m, t, &batch), label, NULL, 0);
        /* windows that hold different patches may share a table: the plan is an upper bound */
        near(k, "saved", train.saved, run_bytes(t), k->keep < 1 ? 0.01 : 0);
        run_backward(t, l);
        near(k, "arena of training", train.arena, run_held(t), 0);
    }
    near(k, "workspace of training", train.workspace, backend_workspace(be), 0.05);
    assert_true(train.saved < train.arena && train.workspace > infer.workspace);
    /* labels, and the patches that are kept */
    assert_true(train.staged >= (size_t)(B * (batch.n_keep + 1)) * sizeof(int32_t));
    run_free(t);
    run_free(i);
    mem_free(pixels);
    mem_free(keep);
    model_free(m);
    backend_free(be);
    pool_free(threads);
}

static void plan_is_what_is_held(void **state)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        check(&cases[i]);
}

/* ---- what a token costs ------------------------------------------------------------------------
 */

/* Saved bytes at each level of DeiT-S with so many blocks at 224 px for a batch of 64, whose rows
 * fill panels. */
static void saved_by(backend_precision precision, int depth, bool full_last,
                     size_t saved[RUN_BLOCK + 1])
{
    err e = {0};
    pool *threads = pool_new(1);
    backend *be = backend_described(threads);
    model_cfg c = {.name = "deit_small_patch16_224",
                   .channels = 1,
                   .classes = 2,
                   .keep_rate = 1,
                   .depth = depth,
                   .full_last = full_last};
    assert_true(backend_compute(be, &(backend_how){.precision = precision}, &e));
    model *m = model_new(&c, be, 1, &e);
    assert_non_null(m);
    assert_int_equal(model_config(m)->gelu,
                     precision == BACKEND_BF16_FAST ? MODEL_GELU_TANH : MODEL_GELU_ERF);
    model_batch batch = {.b = 64};
    for (int level = RUN_KEEP; level <= RUN_BLOCK; level++)
        saved[level] = model_plan(m, RUN_TRAIN, (run_level)level, &batch).saved;
    model_free(m);
    backend_free(be);
    pool_free(threads);
}

/* Of a block and a token, d = 384, 6 heads. Every level keeps x, the residual sum that the block
 * begins with. none: also x2, the sum in the middle; the outputs of norm1, qkv (3 d),
 * attention, norm2, fc1 before and behind GELU (4 d each); 8 bytes for each norm, 4 for each head.
 * ln_gelu: without the outputs of norms and GELU. gpu.md 1. x and x2 are bf16 in bf16_fast alone,
 * where both sides of GELU are written by one product. */
static void a_token_costs_what_its_parts_cost(void **state)
{
    (void)state;
    enum { D = 384, HEADS = 6, T = 197, IMAGES = 64 };
    for (int how = BACKEND_F32; how <= BACKEND_BF16_FAST; how++) {
        size_t e = how == BACKEND_F32 ? 4 : 2, stat = 2 * 8 + 4 * HEADS;
        size_t stream = how == BACKEND_BF16_FAST ? 2 : 4;
        const size_t want[] = {2 * stream * D + (1 + 3 + 1 + 1 + 4 + 4) * e * D + stat,
                               2 * stream * D + (3 + 1 + 4) * e * D + stat, stream * D};
        for (int full = 0; full < 2; full++) {
            size_t three[RUN_BLOCK + 1], four[RUN_BLOCK + 1];
            saved_by((backend_precision)how, 3, full, three);
            saved_by((backend_precision)how, 4, full, four);
            for (int level = RUN_KEEP; level <= RUN_BLOCK; level++)
                assert_int_equal(four[level] - three[level], want[level] * T * IMAGES);
        }
    }
}

/* The goals of gpu.md 2 for the whole network, patches and last block included; with all tokens in
 * the last block a little more. */
static void ln_gelu_saves_what_is_wanted(void **state)
{
    (void)state;
    enum { D = 384, T = 197, IMAGES = 64, L = 12 };
    for (int i = 0; i < 4; i++) {
        bool fast = i >= 2, full = i % 2;
        size_t saved[RUN_BLOCK + 1];
        saved_by(fast ? BACKEND_BF16_FAST : BACKEND_BF16, L, full, saved);
        double per = (double)saved[RUN_LN_GELU] / ((double)L * T * IMAGES * D);
        print_message("%s, %s last block: %.2f d bytes per token and layer\n",
                      fast ? "bf16_fast" : "bf16", full ? "full" : "small", per);
        assert_true(per <= (fast ? 21 : 25));
    }
}

/* Table 1 of PatchDropout (patchdropout.md 8): B/16, SGD, one image. The paper's GB are taken as
 * 1e9 bytes, the smaller reading. `most`: GB that docs/cuda.md says. */
typedef struct paper_row {
    int64_t side;
    double keep, paper, most;
} paper_row;

static const paper_row table1[] = {
    {224, 1, 1.46, 1.32},    {896, 0.05, 1.50, 1.33}, {896, 0.1, 1.65, 1.37},
    {896, 0.25, 2.51, 1.54}, {896, 0.5, 5.15, 1.79},  {896, 1, 14.86, 2.32},
};

/* What a training holds of a described card in bf16, beside the 14 bytes that weights, gradients,
 * momentum and bf16 copies of the weights take of each parameter. */
static double beside_parameters(model *m, backend *be, const paper_row *row, run_level level)
{
    backend_fixed fixed;
    model_batch batch = {.b = 1,
                         .grey = true,
                         .view = &model_view_identity,
                         .n_keep = row->keep < 1 ? model_kept(m, row->keep) : 0};
    model_bytes plan = model_plan(m, RUN_TRAIN, level, &batch);
    backend_fixed_of(be, plan.staged, &fixed);
    double params = (double)model_params(m)->total;
    return 12 * params + (double)(plan.arena + plan.workspace + fixed.products) +
           (double)fixed.staging - 14 * params;
}

/* The rows of one image size, which one network serves. */
static void rows_of_size(int64_t side)
{
    err e = {0};
    pool *threads = pool_new(1);
    backend *be = backend_described(threads);
    model_cfg c = {.name = "deit_base_patch16_224",
                   .image_h = side,
                   .image_w = side,
                   .channels = 3,
                   .classes = 2,
                   .keep_rate = 0.5};
    assert_true(backend_compute(be, &(backend_how){.precision = BACKEND_BF16}, &e));
    model *m = model_new(&c, be, 1, &e);
    assert_non_null(m);
    double params = (double)model_params(m)->total;
    for (size_t i = 0; i < COUNT_OF(table1); i++) {
        const paper_row *row = &table1[i];
        if (row->side != side)
            continue;
        double ours = beside_parameters(m, be, row, RUN_KEEP),
               less = beside_parameters(m, be, row, RUN_LN_GELU);
        double theirs = 1e9 * row->paper - 12 * params;
        print_message("%d px keep %g: %.2f GB planned (ln_gelu %.2f), %.2f beside parameters "
                      "(%.2f), the paper %.2f\n",
                      (int)row->side, row->keep, 1e-9 * (ours + 14 * params),
                      1e-9 * (less + 14 * params), 1e-9 * ours, 1e-9 * less, 1e-9 * theirs);
        assert_true(ours > 0 && less < ours && ours < theirs / 2);
        assert_true(ours + 14 * params < 1e9 * (row->most + 0.005));
    }
    model_free(m);
    backend_free(be);
    pool_free(threads);
}

static void the_papers_rows_take_less_than_half(void **state)
{
    (void)state;
    rows_of_size(224);
    rows_of_size(896);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_papers_rows_take_less_than_half),
        cmocka_unit_test(plan_is_what_is_held),
        cmocka_unit_test(a_token_costs_what_its_parts_cost),
        cmocka_unit_test(ln_gelu_saves_what_is_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
