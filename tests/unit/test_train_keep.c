/* PatchDropout's draws (patchdropout.md 1, 11): rates of micro-batches and kept patches of images.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/rng.h"
#include "model/select.h"
#include "train/keep.h"

static pool *threads;
static backend *be;

static model_cfg cfg_of(int keep_mode)
{
    return (model_cfg){.name = "deit_tiny_patch16_224",
                       .image_h = 56,
                       .image_w = 56,
                       .patch = 8,
                       .depth = 1,
                       .channels = 1,
                       .classes = 2,
                       .keep_rate = 1,
                       .keep_mode = keep_mode};
}

static model *net_of(int keep_mode)
{
    err e = {0};
    model_cfg c = cfg_of(keep_mode);
    model *m = model_new(&c, be, 1, &e);
    if (!m)
        fail_msg("%s", e.msg);
    return m;
}

/* keep 0.25 of 49 patches: every row strictly increasing, trunc(N keep) = 12 distinct values of
 * 0..48, every patch in k/N of the draws, another draw every epoch. */
static void kept_rows_are_subsets(void **state)
{
    enum { N = 49, K = 12, B = 50, EPOCHS = 80 };
    model *m = net_of(SELECT_RANDOM);
    uint64_t sample[B];
    int32_t keep[B * K], before[B * K];
    int count[N] = {0}, same = 0;
    for (int i = 0; i < B; i++)
        sample[i] = (uint64_t)i;
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        keep_plan p = {.net = m, .rate = 0.25, .seed = 3, .epoch = (uint64_t)epoch};
        assert_int_equal(keep_most(&p), K);
        assert_int_equal(keep_draw(&p, 7, B, sample, NULL, keep), K);
        for (int i = 0; i < B * K; i++) {
            assert_true(keep[i] >= 0 && keep[i] < N && (i % K == 0 || keep[i] > keep[i - 1]));
            count[keep[i]]++;
        }
        same += epoch && !memcmp(keep, before, sizeof keep);
        memcpy(before, keep, sizeof keep);
    }
    assert_int_equal(same, 0);
    double draws = B * EPOCHS, p = (double)K / N;
    for (int i = 0; i < N; i++)
        if (fabs(count[i] - draws * p) > 4.5 * sqrt(draws * p * (1 - p)))
            fail_msg("patch %d kept %d times in %g draws", i, count[i], draws);
    model_free(m);
}

/* keep 1: all patches, and no number is drawn: the buffer stays as it was. */
static void keep_one_draws_nothing(void **state)
{
    model *m = net_of(SELECT_RANDOM);
    uint64_t sample[2] = {1, 2};
    int32_t keep[2 * 49];
    memset(keep, 0x5a, sizeof keep);
    keep_plan p = {.net = m, .rate = 1, .seed = 3};
    assert_int_equal(keep_draw(&p, 0, 2, sample, NULL, keep), 49);
    for (int i = 0; i < 2 * 49; i++)
        assert_int_equal(keep[i], 0x5a5a5a5a);
    model_free(m);
}

/* One rate per batch, the same when asked again: P(1) = .5 + .5/11, each other step .5/11. */
static void code_schedule_is_the_published_mixture(void **state)
{
    enum { DRAWS = 44000 };
    keep_plan p = {.schedule = KEEP_CODE, .rate = 0.3, .seed = 9};
    int count[11] = {0};
    for (int i = 0; i < DRAWS; i++) {
        p.epoch = (uint64_t)i / 1000;
        double rate = keep_rate(&p, i % 1000);
        assert_true(rate == keep_rate(&p, i % 1000));
        int m = (int)lround((1 - rate) * 20);
        assert_true(m >= 0 && m <= 10 && rate == 1 - m / 20.0);
        count[m]++;
    }
    for (int m = 0; m <= 10; m++) {
        double want = m ? 0.5 / 11 : 0.5 + 0.5 / 11;
        if (fabs(count[m] - DRAWS * want) > 4.5 * sqrt(DRAWS * want * (1 - want)))
            fail_msg("rate %g: %d of %d", 1 - m / 20.0, count[m], DRAWS);
    }
}

static void paper_schedule_is_uniform(void **state)
{
    enum { DRAWS = 22000 };
    int bin[10] = {0}, step[11] = {0};
    for (int i = 0; i < DRAWS; i++) {
        keep_plan p = {.schedule = KEEP_PAPER, .rate = 0.3, .seed = 9, .epoch = 4};
        double rate = keep_rate(&p, i);
        assert_true(rate > 0.5 && rate <= 1);
        bin[(int)((1 - rate) * 20)]++;
        p.grid = true;
        rate = keep_rate(&p, i);
        int m = (int)lround((1 - rate) * 20);
        assert_true(m >= 0 && m <= 10 && rate == 1 - m / 20.0);
        step[m]++;
    }
    for (int i = 0; i < 10; i++)
        assert_true(fabs(bin[i] - DRAWS / 10.0) < 4.5 * sqrt(DRAWS * 0.09));
    for (int i = 0; i <= 10; i++)
        assert_true(fabs(step[i] - DRAWS / 11.0) < 4.5 * sqrt(DRAWS * 10 / 121.0));
}

/* A device that wants few shapes: rates by steps, counts by quanta, the nearest ones; draws have as
 * many patches. A fixed rate and modes that keep rows or blocks are left as they are. */
static void few_shapes(void **state)
{
    enum { N = 49, B = 2, Q = 4 };
    static const uint64_t sample[B] = {1, 2};
    int32_t keep[B * N];
    model *m = net_of(SELECT_RANDOM), *rows = net_of(SELECT_STRUCTURED);
    int seen[N + 1] = {0}, shapes = 0, any = 0;
    for (int i = 0; i < 500; i++) {
        keep_plan exact = {.net = m, .schedule = KEEP_PAPER, .seed = 9}, p = exact;
        p.rate_grid = 0.05;
        double rate = keep_rate(&p, i), was = keep_rate(&exact, i);
        assert_true(fabs(rate - was) <= 0.025 + 1e-12 && rate >= 0.5 && rate <= 1);
        assert_true(fabs((1 - rate) * 20 - lround((1 - rate) * 20)) < 1e-9);
        p.quantum = Q;
        int n = keep_count(&p, i), near = model_kept(m, rate);
        assert_true(n == N || (n > 0 && n % Q == 0));
        assert_true(abs(n - near) <= Q / 2);
        assert_int_equal(keep_draw(&p, i, B, sample, NULL, keep), n);
        for (int k = 1; n < N && k < n; k++)
            assert_true(keep[k] > keep[k - 1] && keep[n + k] > keep[n + k - 1] && keep[n + k] < N);
        shapes += !seen[n]++;
        any += model_kept(m, was) % Q != 0;
        p.net = rows;
        assert_true(keep_rate(&p, i) == rate);
    }
    assert_true(any > 300); /* exact counts are mostly no multiples */
    assert_true(shapes >= 6 && shapes <= 8);
    keep_plan fixed = {.net = m, .rate = 0.3, .rate_grid = 0.05, .quantum = 16};
    assert_true(keep_rate(&fixed, 0) == 0.3);
    assert_true(keep_rate_step(0.72, 0.05, 0.5) == 1 - 6 * 0.05);
    assert_true(keep_rate_step(0.72, 0, 0.5) == 0.72);
    assert_true(keep_rate_step(0.51, 0.05, 0.7) == 0.7);
    keep_plan few = {.net = m, .schedule = KEEP_PAPER, .seed = 9, .quantum = 48};
    for (int i = 0; i < 50; i++)
        assert_int_equal(keep_count(&few, i), 48);
    few.quantum = 60;
    for (int i = 0; i < 50; i++)
        assert_int_equal(keep_count(&few, i), N); /* never none */
    model_free(rows);
    model_free(m);
}

/* The rate is one of the run: it follows the seed, the epoch and the batch. */
static void rates_are_keyed(void **state)
{
    int other[3] = {0};
    for (int i = 0; i < 200; i++) {
        keep_plan p = {.schedule = KEEP_PAPER, .seed = 9, .epoch = 4};
        double a = keep_rate(&p, i);
        other[0] += a != keep_rate(&p, i + 1);
        p.epoch = 5;
        other[1] += a != keep_rate(&p, i);
        p.epoch = 4;
        p.seed = 10;
        other[2] += a != keep_rate(&p, i);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(other[i], 200);
    keep_plan fixed = {.rate = 0.3, .seed = 9};
    assert_true(keep_rate(&fixed, 0) == 0.3 && keep_rate(&fixed, 8) == 0.3);
}

/* ---- breast ---------------------------------------------------------------------------------- */

/* All breast: PatchDropout's own numbers. Too little breast: all of it, and background at random.
 * Enough: no background, every breast patch alike. */
static void background_goes_first(void **state)
{
    enum { N = 49, K = 12, DRAWS = 6000 };
    uint8_t breast[N];
    int32_t a[K], b[K];
    int count[N] = {0};
    memset(breast, 1, sizeof breast);
    for (uint64_t s = 0; s < 20; s++) {
        select_breast(breast, N, K, 3, s, 1, a);
        select_patches(SELECT_RANDOM, 7, 7, 0.25, 3, s, 1, b);
        assert_memory_equal(a, b, sizeof a);
    }
    for (int i = 0; i < N; i++)
        breast[i] = i % 2; /* 24 */
    for (int s = 0; s < DRAWS; s++) {
        select_breast(breast, N, K, 3, (uint64_t)s, 2, a);
        for (int k = 0; k < K; k++) {
            assert_true(breast[a[k]] && (!k || a[k] > a[k - 1]));
            count[a[k]]++;
        }
    }
    for (int i = 1; i < N; i += 2)
        assert_true(fabs(count[i] - DRAWS / 2.0) < 4.5 * sqrt(DRAWS / 4.0));
    memset(count, 0, sizeof count);
    for (int i = 0; i < N; i++)
        breast[i] = i >= 40 && i < 45; /* 5 */
    for (int s = 0; s < DRAWS; s++) {
        select_breast(breast, N, K, 3, (uint64_t)s, 3, a);
        for (int k = 0; k < K; k++) {
            assert_true(a[k] >= 0 && a[k] < N && (!k || a[k] > a[k - 1]));
            count[a[k]]++;
        }
    }
    double p = 7.0 / 44;
    for (int i = 0; i < N; i++) {
        if (breast[i])
            assert_int_equal(count[i], DRAWS);
        else
            assert_true(fabs(count[i] - DRAWS * p) < 4.5 * sqrt(DRAWS * p * (1 - p)));
    }
}

/* Each image of a batch by its own flags. */
static void flags_are_per_image(void **state)
{
    enum { N = 49, K = 4 };
    model *m = net_of(SELECT_BREAST);
    uint8_t breast[2 * N] = {0};
    int32_t keep[2 * K];
    assert_true(model_wants_breast(m));
    memset(breast, 1, 10);
    memset(breast + N + 30, 1, 10);
    keep_plan p = {.net = m, .rate = 0.1, .seed = 3};
    assert_int_equal(keep_draw(&p, 0, 2, (const uint64_t[]){7, 7}, breast, keep), K);
    for (int k = 0; k < K; k++)
        assert_true(keep[k] < 10 && keep[K + k] >= 30 && keep[K + k] < 40);
    model_free(m);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void nothing_left_is_refused(void **state)
{
    err e = {0};
    model_cfg c = cfg_of(SELECT_RANDOM);
    model *m = model_new(&c, be, 1, &e);
    assert_non_null(m);
    assert_false(keep_check(KEEP_FIXED, "model.keep_rate", 0.02, m, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_string_equal(
        e.msg, "model.keep_rate: 0.02 keeps none of 49 patches; the smallest rate is 0.020409");
    memset(&e, 0, sizeof e);
    assert_true(keep_check(KEEP_FIXED, "model.keep_rate", 0.020409, m, &e));
    if (!keep_check(KEEP_CODE, "model.keep_rate", 0.02, m,
                    &e)) /* the configured rate does not count */
        fail_msg("%s", e.msg);
    model_free(m);
}

/* A refusal names the option that somebody set, not the rate that stands beside it. */
static void refusals_name_the_option(void **state)
{
    err e = {0};
    model_cfg c = cfg_of(SELECT_RANDOM);
    c.name = "pit_ti_224";
    c.depth = 0;
    model *m = model_new(&c, be, 1, &e);
    if (!m)
        fail_msg("%s", e.msg);
    assert_false(keep_check(KEEP_PAPER, "model.keep_rate", 1, m, &e));
    assert_non_null(strstr(e.msg, "train.keep_schedule: pit_ti_224 cannot drop patches"));
    assert_false(keep_check(KEEP_FIXED, "predict.keep_rate", 0.5, m, &e));
    assert_non_null(strstr(e.msg, "predict.keep_rate: pit_ti_224 cannot drop patches"));
    model_free(m);
    c = cfg_of(SELECT_RANDOM);
    c.reduction = MODEL_PPT;
    c.reduction_layers = "3";
    c.ppt_rule = MODEL_ABSOLUTE;
    c.ppt_tokens = 5;
    c.evit_keep = 1;
    c.depth = 0;
    m = model_new(&c, be, 1, &e);
    if (!m)
        fail_msg("%s", e.msg);
    assert_false(keep_check(KEEP_PAPER, "model.keep_rate", 1, m, &e));
    assert_non_null(strstr(e.msg, "model.ppt_rule: train.keep_schedule drops patches"));
    assert_true(keep_check(KEEP_FIXED, "model.keep_rate", 1, m, &e));
    model_free(m);
}

/* Windows want one rate, and draws of their own; a rate of less than one row is refused. */
static void windows_want_one_rate(void **state)
{
    err e = {0};
    model_cfg c = {.name = "swin_tiny_patch4_window7_224",
                   .image_h = 224,
                   .image_w = 224,
                   .channels = 1,
                   .classes = 2,
                   .keep_rate = 3.0 / 7};
    model *m = model_new(&c, be, 1, &e);
    if (!m)
        fail_msg("%s", e.msg);
    for (int schedule = KEEP_PAPER; schedule <= KEEP_CODE; schedule++) {
        memset(&e, 0, sizeof e);
        assert_false(keep_check((keep_schedule)schedule, "model.keep_rate", 1, m, &e));
        assert_int_equal(e.code, ERR_CONFIG);
        assert_non_null(strstr(e.msg,
                               "train.keep_schedule: a rate that varies is drawn as a share of "
                               "all patches, but swin_tiny_patch4_window7_224 keeps whole"));
    }
    memset(&e, 0, sizeof e);
    if (!keep_check(KEEP_FIXED, "model.keep_rate", 3.0 / 7, m, &e))
        fail_msg("%s", e.msg);
    assert_false(keep_check(KEEP_FIXED, "model.keep_rate", 0.1, m, &e));
    keep_plan p = {.net = m, .rate = 3.0 / 7, .seed = 3};
    enum { KEPT = 64 * 9, N = 56 * 56 };
    static int32_t keep[KEPT];
    assert_int_equal(keep_draw(&p, 0, 1, (const uint64_t[]){7}, NULL, keep), KEPT);
    for (int i = 0; i < KEPT; i++)
        assert_true(keep[i] >= 0 && keep[i] < N && (!i || keep[i] > keep[i - 1]));
    model_free(m);
}

static int setup(void **state)
{
    err e = {0};
    threads = pool_new(1);
    be = backend_new("cpu", threads, &e);
    return be ? 0 : -1;
}

static int teardown(void **state)
{
    backend_free(be);
    pool_free(threads);
    return 0;
}

static void fault_is(const model *m, keep_log *l, const char *want)
{
    err e = {0};
    bool ok = keep_replay_check(l, m, &e);
    assert_int_equal(ok, want == NULL);
    if (want && (e.code != ERR_INPUT || !strstr(e.msg, want)))
        fail_msg("'%s' does not say '%s'", e.msg, want);
}

/* A log is replayed only where the network can keep what it says: Swin rows x columns of every
 * window, with tiled sets those of its place in the batch. */
static void a_replay_fits_the_network(void **state)
{
    (void)state;
    enum { B = 2, WINDOW = 2 };
    err e = {0};
    model_cfg c = {.name = "swin_tiny_patch4_window7_224", .image_h = 64, .image_w = 64};
    c.window = WINDOW;
    c.channels = 1;
    c.classes = 2;
    c.keep_rate = 1;
    model *plain = net_of(SELECT_RANDOM), *window = model_new(&c, be, 1, &e);
    c.swin_sets = 2; /* tile */
    model *tile = model_new(&c, be, 1, &e);
    assert_true(window && tile);
    int kept = model_kept(window, 0.5);
    const uint64_t sample[B] = {4, 9};
    const int64_t row[B] = {0, 1};
    model_draw d = {.b = B, .sample = sample, .seed = 5, .rate = 0.5};
    int32_t *keep = MEM_ARRAY(int32_t, B * kept);
    keep_log l;
    keep_log_init(&l, 1, model_patches(window));
    keep_log_add(&l, B, row, NULL, model_patches(window)); /* a batch that keeps all */
    model_select(tile, &d, keep);
    keep_log_add(&l, B, row, keep, kept);
    fault_is(tile, &l, NULL);
    fault_is(window, &l, NULL);
    fault_is(plain, &l, NULL);
    model_select(window, &d, keep);
    keep_log_add(&l, B, row, keep, kept);
    fault_is(window, &l, NULL);
    fault_is(tile, &l,
             "micro-batch 2 is nothing for swin_tiny_patch4_window7_224: a window does not "
             "hold the set of its place");
    keep_log_cut(&l, 2);
    keep[0] = keep[1] ^ 1; /* a second patch of another window */
    keep_log_add(&l, B, row, keep, kept);
    fault_is(window, &l, "a window keeps more patches than others");
    keep_log_cut(&l, 2);
    keep_log_add(&l, B, row, keep, kept - 1);
    fault_is(window, &l, "their number is no rows x columns of every window");
    fault_is(plain, &l, NULL);
    keep_log_release(&l);
    mem_free(keep);
    model_free(plain);
    model_free(window);
    model_free(tile);
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_rows_are_subsets),
        cmocka_unit_test(keep_one_draws_nothing),
        cmocka_unit_test(code_schedule_is_the_published_mixture),
        cmocka_unit_test(paper_schedule_is_uniform),
        cmocka_unit_test(few_shapes),
        cmocka_unit_test(rates_are_keyed),
        cmocka_unit_test(background_goes_first),
        cmocka_unit_test(flags_are_per_image),
        cmocka_unit_test(refusals_name_the_option),
        cmocka_unit_test(nothing_left_is_refused),
        cmocka_unit_test(windows_want_one_rate),
        cmocka_unit_test(a_replay_fits_the_network),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
