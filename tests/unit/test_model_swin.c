/* Swin, dense and with PatchDropout in its three forms: bytes; orders, maps and tables; draws; what
 * must be refused; initial weights. Its numbers: test_model_fixture.c. */
#include "tests/swin_small.h"

#include <math.h>
#include <stdio.h>

#include "core/rng.h"
#include "model/ops_table.h"
#include "model/select.h"
#include "tests/device.h"

static void infer(const small *n, const model_batch *b, bool published, float *logits)
{
    run *r = run_new(n->be, RUN_INFER);
    run_read(r, small_logits(n, r, b, published), logits);
    run_free(r);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static void keeping_all_is_the_plain_network(void **state)
{
    (void)state;
    float want[SMALL_BATCH * SMALL_CLASSES], got[SMALL_BATCH * SMALL_CLASSES];
    for (int sets = SWIN_WINDOW; sets <= SWIN_TILE; sets++) {
        small *n = small_new(2, 64, 32, 2, sets);
        infer(n, &n->batch, false, got);
        if (sets == SWIN_WINDOW)
            memcpy(want, got, sizeof want);
        assert_memory_equal(got, want, sizeof want);
        small_draw(n, SMALL_BATCH, 1, 0);
        assert_int_equal(n->batch.n_keep, n->cfg.patches);
        infer(n, &n->batch, false, got);
        assert_memory_equal(got, want, sizeof want);
        small_free(n);
    }
}

/* The form whose costs are published does more and gives the same. */
static void published_form_gives_the_same(void **state)
{
    (void)state;
    for (int sets = SWIN_WINDOW; sets <= SWIN_TILE; sets++) {
        small *n = small_new(2, 48, 96, 3, sets);
        float want[SMALL_BATCH * SMALL_CLASSES], got[SMALL_BATCH * SMALL_CLASSES];
        for (int kept = 1; kept <= 3; kept++) {
            small_draw(n, SMALL_BATCH, kept / 3.0 + 1e-9 * (kept < 3), 4);
            infer(n, &n->batch, false, want);
            infer(n, &n->batch, true, got);
            assert_memory_equal(got, want, sizeof want);
        }
        small_free(n);
    }
}

/* A token alone in its window meets nobody: places, shift and mask change nothing, so the three
 * forms are one network. */
static void alone_in_its_window(void **state)
{
    (void)state;
    float want[SMALL_CLASSES], got[SMALL_CLASSES];
    for (int sets = SWIN_WINDOW; sets <= SWIN_TILE; sets++) {
        small *n = small_new(1, 48, 96, 3, SWIN_IMAGE);
        small_draw(n, 1, 0.34, 2);
        n->cfg.m.swin_sets = sets;
        assert_null(swin_plan_fault(&n->cfg, &n->batch));
        infer(n, &n->batch, false, sets == SWIN_WINDOW ? want : got);
        if (sets != SWIN_WINDOW)
            assert_memory_equal(got, want, sizeof want);
        small_free(n);
    }
}

/* Logits and gradients of all parameters, the batch in parts. */
static void pass(small *n, int part, float *logits, float *grads)
{
    run *r = run_new(n->be, RUN_TRAIN);
    param_zero_grad(n->set);
    for (int from = 0; from < n->batch.b; from += part) {
        model_batch b = n->batch;
        float dz[SMALL_BATCH * SMALL_CLASSES];
        b.b = from + part < b.b ? part : b.b - from;
        b.image += from;
        b.keep = b.keep ? b.keep + (int64_t)from * b.n_keep : NULL;
        for (int i = 0; i < b.b * SMALL_CLASSES; i++)
            dz[i] = (float)((from * SMALL_CLASSES + i) * 7 % 11 - 5) / 4;
        run_reset(r);
        tensor *z = small_logits(n, r, &b, false);
        run_read(r, z, logits + (int64_t)from * SMALL_CLASSES);
        run_backward_from(r, z, dz);
    }
    for (int i = 0; i < n->set->n; grads += n->set->p[i].n, i++)
        backend_to_host(n->be, grads, n->set->p[i].g, (size_t)n->set->p[i].n * sizeof(float));
    run_free(r);
}

static void threads_and_cuts_change_no_byte(void **state)
{
    (void)state;
    static const double rates[] = {1, 0.67, 0.67, 0.67};
    static const int sets[] = {SWIN_WINDOW, SWIN_WINDOW, SWIN_IMAGE, SWIN_TILE};
    for (size_t k = 0; k < COUNT_OF(rates); k++) {
        float want[SMALL_BATCH * SMALL_CLASSES], got[SMALL_BATCH * SMALL_CLASSES], *want_g = NULL;
        for (int threads = 1; threads <= 4; threads += 3) {
            small *n = small_new(threads, 48, 48, 3, sets[k]);
            if (rates[k] < 1)
                small_draw(n, SMALL_BATCH, rates[k], 5);
            size_t total = (size_t)n->set->total;
            float *g = MEM_ARRAY(float, total);
            /* tiled sets belong to their batch: it must not be cut */
            for (int part = SMALL_BATCH; part >= (sets[k] == SWIN_TILE ? SMALL_BATCH : 1);
                 part -= 2) {
                pass(n, part, want_g ? got : want, g);
                if (!want_g) {
                    want_g = g;
                    g = MEM_ARRAY(float, total);
                    infer(n, &n->batch, false, got); /* inference gives the bytes of training */
                    assert_memory_equal(got, want, sizeof want);
                    continue;
                }
                assert_memory_equal(got, want, sizeof want);
                assert_memory_equal(g, want_g, total * sizeof(float));
            }
            mem_free(g);
            small_free(n);
        }
        assert_true(want[0] != want[SMALL_CLASSES]); /* samples differ */
        mem_free(want_g);
    }
}

/* Pixels that no kept patch holds are never looked at. */
static void dropped_patches_leave_no_trace(void **state)
{
    (void)state;
    small *n = small_new(1, 48, 48, 3, SWIN_WINDOW);
    float a[SMALL_BATCH * SMALL_CLASSES], b[SMALL_BATCH * SMALL_CLASSES];
    small_draw(n, 1, 0.67, 3);
    infer(n, &n->batch, false, a);
    for (int i = 0, k = 0; i < n->cfg.patches; i++) {
        if (k < n->batch.n_keep && n->keep[k] == i) {
            k++;
            continue;
        }
        for (int y = 0; y < SMALL_CHANNELS * 2; y++)
            n->image[0][(y / 2 * 48 + i / 24 * 2 + y % 2) * 48 + i % 24 * 2] ^= 0x5555;
    }
    infer(n, &n->batch, false, b);
    assert_memory_equal(a, b, SMALL_CLASSES * sizeof(float));
    n->image[0][n->keep[0] / 24 * 2 * 48 + n->keep[0] % 24 * 2] ^= 0x5555;
    infer(n, &n->batch, false, b);
    assert_true(a[0] != b[0]);
    small_free(n);
}

/* In inference the maps between orders take turns in two places: blocks add nothing. */
static void blocks_add_no_memory_in_inference(void **state)
{
    (void)state;
    size_t bytes[2];
    for (int k = 0; k < 2; k++) {
        small_preset.depth[0] = 4 + 2 * k;
        small *n = small_new(1, 48, 48, 3, SWIN_WINDOW);
        run *r = run_new(n->be, RUN_INFER);
        small_logits(n, r, &n->batch, false);
        bytes[k] = run_bytes(r);
        run_free(r);
        small_free(n);
    }
    small_preset.depth[0] = 2;
    assert_int_equal(bytes[0], bytes[1]);
}

/* ---- orders, maps, tables -------------------------------------------------------------------- */

static void orders_are_permutations(void **state)
{
    (void)state;
    static const swin_grid grids[] = {{7, 8, 8, 3}, {3, 8, 4, 1}, {2, 2, 6, 3}, {1, 4, 4, 3}};
    for (size_t k = 0; k < COUNT_OF(grids); k++) {
        const swin_grid *g = &grids[k];
        int cols = g->side * g->across, n = g->side * g->side * g->down * g->across;
        int32_t *plain = MEM_ARRAY(int32_t, n), *moved = MEM_ARRAY(int32_t, n);
        bool *seen = MEM_ARRAY(bool, n);
        swin_plan_order(g, false, plain);
        swin_plan_order(g, true, moved);
        for (int i = 0; i < n; i++) {
            assert_false(seen[moved[i]]);
            seen[moved[i]] = true;
            assert_int_equal(plain[i] / cols / g->side * g->across + plain[i] % cols / g->side,
                             i / (g->side * g->side));
            assert_int_equal((plain[i] / cols + g->shift) % (g->side * g->down), moved[i] / cols);
            assert_int_equal((plain[i] + g->shift) % cols, moved[i] % cols);
        }
        mem_free(plain);
        mem_free(moved);
        mem_free(seen);
    }
}

static int maps;
static op_fn *map_forward;

static void counted_map(backend *be, op_args *a)
{
    maps++;
    map_forward(be, a);
}

/* One map where neighbouring blocks stand in different orders, one for each merging, no other. */
static void at_most_one_map_for_a_block(void **state)
{
    (void)state;
    static const struct {
        int h, window;
        double rate;
        int maps;
    } cases[] = {{64, 2, 1, 1 + 1 + 1 + 1 + 1}, /* stages of 2, 2, 1, 1 blocks */
                 {48, 3, 0.67, 5},
                 {48, 3, 0.34, 3}}; /* one row: nothing shifts */
    for (size_t k = 0; k < COUNT_OF(cases); k++) {
        small *n = small_new(1, cases[k].h, cases[k].h, cases[k].window, SWIN_WINDOW);
        float z[SMALL_BATCH * SMALL_CLASSES];
        backend_ops ops = *n->be->ops;
        const backend_ops *own = n->be->ops;
        map_forward = ops.op[OP_MAP].forward;
        ops.op[OP_MAP].forward = counted_map;
        n->be->ops = &ops;
        maps = 0;
        if (cases[k].rate < 1)
            small_draw(n, 2, cases[k].rate, 1);
        infer(n, &n->batch, false, z);
        assert_int_equal(maps, cases[k].maps);
        n->be->ops = own;
        small_free(n);
    }
}

/* Region of a place along one axis of a rolled map: before the last window, in it, wrapped. */
static int region_of(int place, int length, int window, int shift)
{
    return place < length - window ? 0 : place < length - shift ? 1 : 2;
}

/* Tables of the dense network: one for plain windows; four kinds of shifted ones, masked where the
 * published mask has its borders. Entries are (row + M-1) (2M-1) + column + M-1. */
static void dense_tables(void **state)
{
    (void)state;
    enum { M = 3, WIDE = 2 * M - 1 };
    small *n = small_new(1, 48, 96, M, SWIN_WINDOW);
    swin_plan *p = swin_plan_new(&n->cfg, &n->batch, false);
    run *r = run_new(n->be, RUN_INFER);
    for (int stage = 0; stage < SWIN_STAGES; stage++) {
        const swin_grid *g = swin_plan_grid(p, stage);
        assert_int_equal(g->shift, stage < 3 ? 1 : 0);
        for (int shifted = 0; shifted < 2; shifted++) {
            op_window_spec s = swin_plan_windows(p, r, stage, shifted);
            assert_int_equal(s.tables, shifted && g->shift ? 4 : 1);
            for (int w = 0; w < n->batch.b * g->down * g->across; w++) {
                int wr = w / g->across % g->down, wc = w % g->across;
                for (int i = 0; i < M * M * M * M; i++) {
                    int q = i / (M * M), k = i % (M * M), by = shifted ? g->shift : 0, region[2];
                    for (int t = 0; t < 2; t++) {
                        int at = t ? k : q;
                        region[t] = 3 * region_of(wr * M + at / M, g->down * M, M, by) +
                                    region_of(wc * M + at % M, g->across * M, M, by);
                    }
                    int entry = (q / M - k / M + M - 1) * WIDE + q % M - k % M + M - 1;
                    if (by && region[0] != region[1])
                        entry += WIDE * WIDE;
                    assert_int_equal(s.index[s.table[w] * M * M * M * M + i], entry);
                }
            }
        }
    }
    run_free(r);
    swin_plan_free(p);
    small_free(n);
}

/* ---- draws ----------------------------------------------------------------------------------- */

static bool same_window(const int32_t *a, const int32_t *b, int side, int cols, int window)
{
    for (int i = 0; i < side * side; i++) {
        if (a[i] / cols % window != b[i] / cols % window ||
            a[i] % cols % window != b[i] % cols % window)
            return false;
    }
    return true;
}

/* Which windows hold the same rows and columns, for each form; lists ascend. */
static void windows_share_sets(void **state)
{
    (void)state;
    enum { SIDE = 3, WINDOW = 6, EACH = SIDE * SIDE, COLS = 48, WINDOWS = 64, B = 5 };
    for (int sets = SWIN_WINDOW; sets <= SWIN_TILE; sets++) {
        small *n = small_new(1, 96, 96, WINDOW, sets);
        small_draw(n, B, 0.5, 1);
        assert_int_equal(n->batch.n_keep, EACH * WINDOWS);
        for (int i = 1; i < B * EACH * WINDOWS; i++)
            assert_true(i % (EACH * WINDOWS) == 0 || n->keep[i] > n->keep[i - 1]);
        swin_plan *p = swin_plan_new(&n->cfg, &n->batch, false);
        run *r = run_new(n->be, RUN_INFER);
        const int32_t *at = swin_plan_stem(p, r);
        int equal = 0, pairs = 0;
        for (int a = 0; a < B * WINDOWS; a++) {
            for (int b = 0; b < a; b++) {
                bool same = same_window(at + a * EACH, at + b * EACH, SIDE, COLS, WINDOW);
                bool must = sets == SWIN_IMAGE  ? a / WINDOWS == b / WINDOWS
                            : sets == SWIN_TILE ? a % B == b % B
                                                : false;
                assert_true(same || !must);
                equal += same && !must;
                pairs += !must;
            }
        }
        /* others agree by chance: 1 in 20 * 20; few draws make the sets of two forms */
        assert_true(sets == SWIN_WINDOW ? equal > pairs / 800 && equal < pairs / 200
                                        : equal <= pairs / 2);
        if (sets == SWIN_TILE) {
            for (int s = 0; s < B; s++)
                assert_int_equal(at[s * EACH] % COLS / WINDOW, s); /* set s is window s */
        }
        run_free(r);
        swin_plan_free(p);
        small_free(n);
    }
}

/* Kept patches from elsewhere: as many for every window, but not its rows x columns. */
static void other_patches_are_faults(void **state)
{
    (void)state;
    small *n = small_new(1, 64, 64, 4, SWIN_WINDOW);
    small_draw(n, 2, 0.5, 1);
    assert_null(swin_plan_fault(&n->cfg, &n->batch));
    swin_plan *p = swin_plan_new(&n->cfg, &n->batch, false);
    run *r = run_new(n->be, RUN_INFER);
    const int32_t *at = swin_plan_stem(p, r); /* 2 x 2 of the first window stand first */
    int32_t other = at[0] / 4 * 4; /* in the last patch's row, a column that no patch has */
    while (other % 4 == at[0] % 4 || other % 4 == at[1] % 4)
        other++;
    other += (at[3] / 32 - at[0] / 32) * 32;
    for (int i = 0; i < n->batch.n_keep; i++)
        n->keep[i] = n->keep[i] == at[3] ? other : n->keep[i];
    assert_string_equal(swin_plan_fault(&n->cfg, &n->batch),
                        "the patches of a window are not its rows x columns");
    run_free(r);
    swin_plan_free(p);
    small_free(n);
}

static void every_row_is_kept_as_often(void **state)
{
    (void)state;
    int count[6] = {0}, other = 0;
    small *n = small_new(1, 96, 96, 6, SWIN_WINDOW);
    int32_t *first = MEM_ARRAY(int32_t, 1024);
    for (uint64_t epoch = 0; epoch < 50; epoch++) {
        small_draw(n, 1, 0.34, epoch);
        assert_int_equal(n->batch.n_keep, 4 * 64);
        for (int i = 0; i < 4 * 64; i++)
            count[n->keep[i] / 48 % 6]++;
        if (epoch)
            other += memcmp(first, n->keep, 4 * 64 * sizeof *first) != 0;
        memcpy(first, n->keep, 4 * 64 * sizeof *first);
    }
    for (int i = 0; i < 6; i++) /* 12800 / 6 = 2133; sd of a binomial 42, times two for the pairs */
        assert_in_range(count[i], 1800, 2470);
    assert_int_equal(other, 49);
    mem_free(first);
    small_free(n);
}

/* ---- the table of networks ------------------------------------------------------------------- */

static model_cfg config(const char *name, int h, int w)
{
    return (model_cfg){.name = name,
                       .image_h = h,
                       .image_w = w,
                       .channels = 1,
                       .classes = 2,
                       .keep_rate = 1,
                       .head_init = 0.02};
}

static void refuse(const model_cfg *c, const char *want)
{
    model_counts n;
    err e = {0};
    assert_false(model_count(c, &n, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    if (!strstr(e.msg, want))
        fail_msg("'%s' does not say '%s'", e.msg, want);
}

static void refusals(void **state)
{
    (void)state;
    const char *tiny = "swin_tiny_patch4_window7_224";
    model_cfg c = config(tiny, 896, 800);
    refuse(&c, "896x800 px is not divisible by 224 px");
    refuse(&c, "the nearest height and width are 896 and 896 (both keys follow prepare.sizes)");
    c = config(tiny, 768, 512);
    refuse(&c, "; model.window=8 would be possible; the nearest height and width are 672 and 448");
    c = config(tiny, 64, 100);
    c.window = 2;
    refuse(&c, "the nearest height and width are 64 and 128");
    c = config(tiny, 224, 224);
    c.keep_rate = 0.1;
    refuse(&c,
           "model.keep_rate: 0.1 keeps none of the 7 rows and columns of a window; the smallest "
           "rate is 0.142858");
    c.keep_rate = 0.5;
    c.keep_mode = SELECT_CROPPING;
    refuse(&c, "model.keep_mode: swin_tiny_patch4_window7_224 keeps random rows and columns");
    c = config(tiny, 224, 224);
    c.depth = 4;
    refuse(&c, "4 stages of fixed depth");
    c = config(tiny, 224, 224);
    c.window = 65;
    refuse(&c, "model.window: 65 is outside 1..64");
    c = config("deit_tiny_patch16_224", 224, 224);
    c.swin_sets = SWIN_TILE;
    refuse(&c, "model.swin_sets: deit_tiny_patch16_224 is no Swin");
    c.swin_sets = 0;
    c.swin_init = 1;
    refuse(&c, "model.swin_init: deit_tiny_patch16_224 is no Swin");
    c = config("swin_tiny_patch4_window7_224_in22k", 224, 224);
    refuse(&c, "is not known");
}

static void names_and_shapes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t params; /* timm 0.4.12's, 1000 classes, 3 channels */
    } want[] = {{"swin_tiny_patch4_window7_224", 28288354},
                {"swin_small_patch4_window7_224", 49606258},
                {"swin_base_patch4_window7_224_in22k", 87768224},
                {"swin_large_patch4_window7_224_in22k", 196532476}};
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        model_cfg c = config(want[i].name, 0, 0);
        model_counts n;
        err e = {0};
        c.channels = 3;
        c.classes = 1000;
        assert_true(model_count(&c, &n, &e));
        assert_int_equal(n.params, want[i].params);
    }
}

static double spread(param_set *s, const char *name, double *most)
{
    const param *p = param_find(s, name);
    double sum = 0;
    assert_non_null(p);
    *most = 0;
    for (int64_t i = 0; i < p->n; i++) {
        sum += (double)p->x[i] * p->x[i];
        *most = fmax(*most, fabs((double)p->x[i]));
    }
    return sqrt(sum / (double)p->n);
}

static void initial_weights(void **state)
{
    (void)state;
    err e = {0};
    pool *pl = pool_new(1);
    backend *be = backend_new(test_device(), pl, &e);
    for (int torch = 0; torch < 2; torch++) {
        static const struct {
            const char *name;
            int inputs; /* of PyTorch's bound; 0 = timm's in both */
            double sd;  /* timm's */
        } want[] = {{"layers.0.blocks.0.attn.qkv.weight", 96, 0.02},
                    {"layers.0.blocks.0.attn.qkv.bias", 96, 0},
                    {"layers.1.blocks.1.mlp.fc1.bias", 192, 0},
                    {"layers.1.blocks.1.mlp.fc2.bias", 768, 0},
                    {"layers.3.blocks.1.attn.proj.bias", 768, 0},
                    {"layers.2.blocks.5.mlp.fc2.weight", 1536, 0.02},
                    {"layers.0.blocks.0.attn.relative_position_bias_table", 0, 0.02},
                    {"layers.0.downsample.reduction.weight", 0, 0.02},
                    {"layers.3.blocks.0.norm1.weight", 0, 1},
                    {"layers.3.blocks.0.norm1.bias", 0, 0}};
        model_cfg c = config("swin_tiny_patch4_window7_224", 64, 64);
        c.window = 2;
        c.swin_init = torch;
        model *m = model_new(&c, be, 3, &e);
        if (!m)
            fail_msg("%s", e.msg);
        for (size_t i = 0; i < COUNT_OF(want); i++) {
            double most, sd = spread(model_params(m), want[i].name, &most);
            double bound = torch && want[i].inputs ? 1 / sqrt(want[i].inputs) : 0;
            double expected = bound > 0 ? bound / sqrt(3.0) : want[i].sd;
            if (!(fabs(sd - expected) <= 0.12 * expected) || (bound > 0 && most > bound))
                fail_msg("%s (torch %d): sd %g, not %g; largest %g", want[i].name, torch, sd,
                         expected, most);
        }
        assert_true(
            param_find(model_params(m), "layers.0.blocks.0.attn.relative_position_bias_table")
                ->decay);
        model_free(m);
    }
    backend_free(be);
    pool_free(pl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeping_all_is_the_plain_network),
        cmocka_unit_test(published_form_gives_the_same),
        cmocka_unit_test(alone_in_its_window),
        cmocka_unit_test(threads_and_cuts_change_no_byte),
        cmocka_unit_test(dropped_patches_leave_no_trace),
        cmocka_unit_test(blocks_add_no_memory_in_inference),
        cmocka_unit_test(orders_are_permutations),
        cmocka_unit_test(at_most_one_map_for_a_block),
        cmocka_unit_test(dense_tables),
        cmocka_unit_test(windows_share_sets),
        cmocka_unit_test(other_patches_are_faults),
        cmocka_unit_test(every_row_is_kept_as_often),
        cmocka_unit_test(refusals),
        cmocka_unit_test(names_and_shapes),
        cmocka_unit_test(initial_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
