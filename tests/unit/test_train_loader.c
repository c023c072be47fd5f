/* Loader and sampler: order, resume, cache and errors change nothing but what they should; epochs
 * are balanced vendor by vendor with fresh negatives. */
#include "tests/unit/tiny_cohort.h"

#include "core/pool.h"
#include "train/breast.h"
#include "train/loader.h"
#include "train/sampler.h"

static char dir[64];
static cohort data;
static pool *threads;
static backend *be;
static model *net; /* 16 patches */
static const augment_cfg aug = {.enabled = true,
                                .flip_vertical = 0.5,
                                .rotate = 10,
                                .scale_min = 1,
                                .scale_max = 1,
                                .aspect_max = 1,
                                .contrast = 0.5};

/* 0: any, 4: of the breast (select_mode). */
static model *net_of(int keep_mode)
{
    model *m;
    model_cfg c = {.name = "deit_tiny_patch16_224",
                   .image_h = TINY_SIDE,
                   .image_w = TINY_SIDE,
                   .patch = 8,
                   .depth = 1,
                   .channels = 1,
                   .classes = 2,
                   .keep_rate = 1,
                   .keep_mode = keep_mode};
    OK((m = model_new(&c, be, 1, e)));
    return m;
}

static loader *open_loader(size_t cache)
{
    loader *l;
    OK((l = loader_new(&data, 0, cache, e)));
    return l;
}

static void plan_rows(int64_t *row, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        row[i] = (i * 7 + 3) % data.n;
}

/* All bytes of all batches of a plan, as one hash per batch. */
static int hashes(loader *l, const loader_plan *p, char out[][33])
{
    loader_batch b;
    int n = 0, got;
    err e = {0};
    loader_start(l, p);
    while ((got = loader_next(l, &b, &e)) > 0) {
        text t;
        text_init(&t);
        assert_int_equal(b.first_row, (n + p->first) * p->batch);
        for (int i = 0; i < b.in.b; i++) {
            assert_int_equal(b.row[i], p->row[b.first_row + i]);
            assert_int_equal(b.label[i], data.row[b.row[i]].y[0]);
            text_addn(&t, (const char *)b.in.image[i], TINY_SIDE * TINY_SIDE * 2);
            if (b.in.view)
                text_addn(&t, (const char *)&b.in.view[i], sizeof b.in.view[i]);
        }
        if (b.in.keep)
            text_addn(&t, (const char *)b.in.keep, (size_t)b.in.b * (size_t)b.in.n_keep * 4);
        fs_xxh128_of(t.s, t.len, out[n++]);
        text_release(&t);
    }
    if (got < 0)
        fail_msg("%s", e.msg);
    loader_stop(l);
    return n;
}

static void test_order_and_pixels(void **state)
{
    int64_t row[22];
    loader *l = open_loader(0);
    loader_batch b;
    uint16_t want[TINY_SIDE * TINY_SIDE];
    plan_rows(row, 22);
    loader_plan p = {.row = row, .n = 22, .batch = 5};
    int seen = 0, h, w;
    loader_size(l, &h, &w);
    assert_int_equal(h, TINY_SIDE);
    assert_int_equal(w, TINY_SIDE);
    loader_start(l, &p);
    for (int k = 0; k < 5; k++) {
        OK(loader_next(l, &b, e) == 1);
        assert_int_equal(b.in.b, k < 4 ? 5 : 2);
        assert_null(b.in.view);
        assert_null(b.in.keep);
        for (int i = 0; i < b.in.b; i++, seen++) {
            assert_int_equal(b.row[i], row[seen]);
            tiny_pixels((int)row[seen], data.row[row[seen]].y[0] == 1, want);
            assert_memory_equal(b.in.image[i], want, sizeof want);
        }
    }
    OK(loader_next(l, &b, e) == 0);
    loader_stop(l);
    OK(loader_image(l, 17, want, e));
    uint16_t again[TINY_SIDE * TINY_SIDE];
    tiny_pixels(17, data.row[17].y[0] == 1, again);
    assert_memory_equal(want, again, sizeof want);
    loader_free(l);
}

static void test_resume_and_cache(void **state)
{
    int64_t row[50];
    keep_plan keep = {.net = net, .rate = 5.0 / 16, .seed = 3, .epoch = 2};
    char a[13][33], b[13][33];
    plan_rows(row, 50);
    loader_plan p = {
        .row = row, .n = 50, .batch = 4, .aug = &aug, .seed = 3, .epoch = 2, .keep = &keep};
    loader *l = open_loader(0);
    assert_int_equal(hashes(l, &p, a), 13);
    for (p.first = 1; p.first < 13; p.first += 3) { /* from the middle: the same batches */
        assert_int_equal(hashes(l, &p, b), 13 - p.first);
        for (int64_t i = p.first; i < 13; i++)
            assert_string_equal(a[i], b[i - p.first]);
    }
    p.first = 13;
    assert_int_equal(hashes(l, &p, b), 0);
    loader_free(l);
    p.first = 0;
    size_t image = TINY_SIDE * TINY_SIDE * 2;
    const size_t cache[] = {7 * image, 1000 * image};
    for (int k = 0; k < 2; k++) { /* some or all images kept: the same bytes, twice */
        l = open_loader(cache[k]);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(hashes(l, &p, b), 13);
            assert_memory_equal(a, b, sizeof a);
        }
        loader_free(l);
    }
    l = open_loader(0);
    p.epoch = 3; /* other numbers */
    assert_int_equal(hashes(l, &p, b), 13);
    assert_string_not_equal(a[0], b[0]);
    p.epoch = 2;
    p.batch = 10; /* another batch size and back, in one loader */
    p.keep = NULL;
    assert_int_equal(hashes(l, &p, b), 5);
    p.batch = 4;
    p.keep = &keep;
    assert_int_equal(hashes(l, &p, b), 13);
    assert_memory_equal(a, b, sizeof a);
    loader_free(l);
}

/* The numbers of a sample do not depend on its place in the plan. */
static void test_keyed(void **state)
{
    int64_t x[2] = {4, 9}, y[1] = {9};
    loader_batch b;
    model_view v;
    int32_t keep[5], want[5];
    keep_plan kp = {.net = net, .rate = 5.0 / 16, .seed = 3, .epoch = 6};
    loader_plan p = {.row = x, .n = 2, .batch = 2, .aug = &aug, .seed = 3, .keep = &kp};
    rng r;
    loader *l = open_loader(0);
    loader_start(l, &p);
    OK(loader_next(l, &b, e) == 1);
    v = b.in.view[1];
    memcpy(keep, b.in.keep + 5, sizeof keep);
    rng_init(&r, 3, RNG_PATCHDROP, 9, 6); /* the draw of one sample, by hand */
    rng_subset(&r, 16, 5, want);
    assert_int_equal(b.in.n_keep, 5);
    assert_memory_equal(keep, want, sizeof want);
    p.row = y;
    p.n = p.batch = 1;
    loader_start(l, &p);
    OK(loader_next(l, &b, e) == 1);
    assert_memory_equal(&v, &b.in.view[0], sizeof v);
    assert_memory_equal(keep, b.in.keep, sizeof keep);
    loader_free(l); /* in the middle of a plan */
}

/* Keyed by the image's name, kept patches do not depend on where its row stands in the cohort. */
static void test_keyed_by_image(void **state)
{
    int64_t row[1] = {9};
    loader_batch b;
    int32_t first[5];
    keep_plan kp = {.net = net, .rate = 5.0 / 16, .seed = 3};
    loader_plan p = {.row = row, .n = 1, .batch = 1, .keep = &kp, .by_image = true};
    loader *l = open_loader(0);
    loader_start(l, &p);
    OK(loader_next(l, &b, e) == 1);
    memcpy(first, b.in.keep, sizeof first);
    loader_stop(l);
    cohort_row nine = data.row[9], four = data.row[4];
    data.row[4] = nine;
    data.row[9] = four;
    row[0] = 4;
    loader_start(l, &p);
    OK(loader_next(l, &b, e) == 1);
    assert_memory_equal(first, b.in.keep, sizeof first);
    p.by_image = false;
    loader_start(l, &p);
    OK(loader_next(l, &b, e) == 1);
    assert_memory_not_equal(first, b.in.keep, sizeof first);
    loader_free(l);
    data.row[9] = nine;
    data.row[4] = four;
}

/* A rate for every batch: what it keeps is what the rate of that batch says, all or fewer. */
static void test_rates(void **state)
{
    int64_t row[60];
    loader_batch b;
    int all = 0, fewer = 0;
    plan_rows(row, 60);
    keep_plan kp = {.net = net, .schedule = KEEP_CODE, .seed = 5, .epoch = 1};
    loader_plan p = {.row = row, .n = 60, .batch = 2, .keep = &kp};
    loader *l = open_loader(0);
    loader_start(l, &p);
    for (int64_t k = 0; k < 30; k++) {
        OK(loader_next(l, &b, e) == 1);
        double rate = keep_rate(&kp, k);
        assert_int_equal(b.in.n_keep, rate == 1 ? 0 : (int)(16 * rate));
        assert_true((b.in.keep == NULL) == (rate == 1));
        all += rate == 1;
        fewer += rate < 0.8;
    }
    assert_true(all > 5 && fewer > 3);
    loader_free(l);
}

/* ---- breast ---------------------------------------------------------------------------------- */

/* By the definition, pixel by pixel. */
static void brute_breast(int64_t row, const model_view *v, uint8_t *out)
{
    uint8_t mask[TINY_SIDE * TINY_SIDE];
    const float *a = v->affine;
    tiny_mask((int)row, mask);
    memset(out, 0, 16);
    for (int y = 0; y < TINY_SIDE; y++)
        for (int x = 0; x < TINY_SIDE; x++) {
            double sx = (double)a[0] * (x + .5) + (double)a[1] * (y + .5) + (double)a[2];
            double sy = (double)a[3] * (x + .5) + (double)a[4] * (y + .5) + (double)a[5];
            if (sx >= 0 && sy >= 0 && sx < TINY_SIDE && sy < TINY_SIDE)
                out[y / 8 * 4 + x / 8] |= mask[(int)sy * TINY_SIDE + (int)sx];
        }
}

static void test_breast_patches(void **state)
{
    enum { H = 4, W = 6 };
    uint8_t mask[H * W] = {0}, out[6];
    model_view flip = {.affine = {-1, 0, W, 0, 1, 0}};
    mask[1 * W + 3] = 1;
    breast_patches(mask, H, W, &model_view_identity, 2, 3, out);
    assert_memory_equal(out, ((const uint8_t[]){0, 1, 0, 0, 0, 0}), 6);
    breast_patches(mask, H, W, &flip, 2, 3, out); /* column 3 is seen at column 2 */
    assert_memory_equal(out, ((const uint8_t[]){0, 1, 0, 0, 0, 0}), 6);
    mask[3 * W + 5] = 1;
    breast_patches(mask, H, W, &flip, 2, 3, out);
    assert_memory_equal(out, ((const uint8_t[]){0, 1, 0, 1, 0, 0}), 6);
    model_view away = {.affine = {1, 0, 100, 0, 1, 0}}; /* outside the image there is none */
    breast_patches(mask, H, W, &away, 2, 3, out);
    assert_memory_equal(out, ((const uint8_t[]){0, 0, 0, 0, 0, 0}), 6);
}

/* Background goes first, seen through the same view as the pixels; the number kept stays. */
static void test_breast_mode(void **state)
{
    int64_t row[60];
    loader_batch b;
    int enough = 0, few = 0;
    model *m = net_of(4);
    plan_rows(row, 60);
    keep_plan kp = {.net = m, .rate = 0.5, .seed = 5, .epoch = 1};
    loader_plan p = {
        .row = row, .n = 60, .batch = 4, .aug = &aug, .seed = 5, .epoch = 1, .keep = &kp};
    loader *l = open_loader(0);
    OK(loader_need_masks(l, e));
    loader_start(l, &p);
    while (loader_next(l, &b, NULL) == 1) {
        assert_int_equal(b.in.n_keep, 8);
        for (int i = 0; i < b.in.b; i++) {
            const int32_t *keep = b.in.keep + 8 * i;
            uint8_t breast[16];
            int n = 0, kept = 0;
            brute_breast(b.row[i], &b.in.view[i], breast);
            for (int k = 0; k < 16; k++)
                n += breast[k];
            for (int k = 0; k < 8; k++) {
                assert_true(keep[k] >= 0 && keep[k] < 16 && (!k || keep[k] > keep[k - 1]));
                kept += breast[keep[k]];
            }
            assert_int_equal(kept, n < 8 ? n : 8);
            enough += n > 8;
            few += n < 8;
        }
    }
    assert_true(enough > 5 && few > 5);
    loader_free(l);
    model_free(m);
}

static void test_no_masks(void **state)
{
    cohort c;
    loader *l;
    err e = {0};
    char *bare = fs_join(dir, "bare"), *path = fs_join(bare, "COHORT.h5");
    OK(fs_mkdirs(bare, e));
    tiny_write(bare, "COHORT.h5", &(tiny_spec){.train = 3, .val = 1, .test = 1});
    OK(cohort_read(&c, path, e));
    OK((l = loader_new(&c, 0, 0, e)));
    assert_false(loader_need_masks(l, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_string_equal(e.msg, "model.keep_mode: breast needs masks, and shard 'tiny-00.h5' has "
                               "none; prepare the images with prepare.mask: true");
    loader_free(l);
    cohort_release(&c);
    mem_free(path);
    mem_free(bare);
}

static void test_bad_shards(void **state)
{
    cohort c;
    loader *l;
    loader_batch b;
    int64_t row[3] = {0, 1, 2};
    loader_plan p = {.row = row, .n = 3, .batch = 2};
    char *path = fs_join(dir, "COHORT.h5");
    OK(cohort_read(&c, path, e));
    err e = {0};
    assert_null(loader_new(&c, 1, 0, &e));
    assert_string_equal(e.msg, "the cohort has 1 sizes, size 1 was asked for");
    snprintf(c.shard[0].file, sizeof c.shard[0].file, "none.h5");
    OK((l = loader_new(&c, 0, 1 << 20, e)));
    loader_start(l, &p);
    assert_int_equal(loader_next(l, &b, &e), -1);
    assert_non_null(strstr(e.msg, "loader: "));
    assert_non_null(strstr(e.msg, "none.h5"));
    loader_free(l);
    snprintf(c.shard[0].file, sizeof c.shard[0].file, "%s", c.shard[1].file);
    c.shard[0].n = 5; /* a shard of other content */
    OK((l = loader_new(&c, 0, 1 << 20, e)));
    for (int again = 0; again < 2; again++) { /* and it stays refused */
        uint16_t image[TINY_SIDE * TINY_SIDE];
        memset(&e, 0, sizeof e);
        assert_false(loader_image(l, 0, image, &e));
        assert_int_equal(e.code, ERR_MISMATCH);
        assert_non_null(strstr(e.msg, "is not the one of the cohort"));
    }
    loader_free(l);
    cohort_release(&c);
    mem_free(path);
}

/* ---- sampler --------------------------------------------------------------------------------- */

static void test_balanced(void **state)
{
    int64_t *a = MEM_ARRAY(int64_t, sampler_cap(&data)),
            *b = MEM_ARRAY(int64_t, sampler_cap(&data));
    int64_t n = sampler_draw(&data, 0, true, 1, 0, a);
    int count[2][2] = {{0}}, times[400] = {0};
    for (int64_t i = 0; i < n; i++) {
        const cohort_row *r = &data.row[a[i]];
        assert_int_equal(r->fold, COHORT_TRAIN);
        count[r->vendor[0] == 'H'][r->y[0]]++;
        times[a[i]]++;
        assert_int_equal(times[a[i]], 1); /* enough negatives: nobody twice */
    }
    for (int v = 0; v < 2; v++) {
        assert_true(count[v][1] > 0);
        assert_int_equal(count[v][0], count[v][1]);
    }
    for (int64_t i = 0; i < data.n; i++) /* every positive is there */
        if (data.row[i].fold == COHORT_TRAIN && data.row[i].y[0] == 1)
            assert_int_equal(times[i], 1);
    assert_int_equal(sampler_draw(&data, 0, true, 1, 0, b), n);
    assert_memory_equal(a, b, (size_t)n * sizeof *a);
    /* another epoch: the same positives, other negatives */
    assert_int_equal(sampler_draw(&data, 0, true, 1, 1, b), n);
    int fresh = 0;
    for (int64_t i = 0; i < n; i++)
        fresh += times[b[i]] == 0;
    assert_true(fresh > 0);
    for (int64_t i = 0; i < n; i++)
        if (times[b[i]] == 0)
            assert_int_equal(data.row[b[i]].y[0], 0);
    assert_int_equal(sampler_draw(&data, 0, true, 2, 0, b), n);
    assert_memory_not_equal(a, b, (size_t)n * sizeof *a);
    mem_free(a);
    mem_free(b);
}

static void test_few_negatives(void **state)
{
    cohort_row r[6];
    cohort c = {.row = r, .n = 6, .n_horizons = 1};
    int64_t out[14];
    memset(r, 0, sizeof r);
    for (int i = 0; i < 6; i++) {
        r[i].y[0] = i < 3 ? 1 : i == 3 ? 0 : -1;
        r[i].fold = i == 5 ? COHORT_TEST : COHORT_TRAIN;
        r[i].vendor = "";
    }
    assert_int_equal(sampler_draw(&c, 0, true, 1, 0, out), 6); /* the one negative three times */
    int n = 0;
    for (int i = 0; i < 6; i++)
        n += out[i] == 3;
    assert_int_equal(n, 3);
    assert_int_equal(sampler_draw(&c, 0, false, 1, 0, out), 4);
    r[3].y[0] = -1;
    assert_int_equal(sampler_draw(&c, 0, true, 1, 0, out), 3);
    r[0].y[0] = r[1].y[0] = r[2].y[0] = -1;
    assert_int_equal(sampler_draw(&c, 0, true, 1, 0, out), 0);
}

/* As many vendors as there are rows: no limit is built in. */
static void test_many_vendors(void **state)
{
    enum { N = 300 };
    cohort_row *r = MEM_ARRAY(cohort_row, N);
    cohort c = {.row = r, .n = N, .n_horizons = 1};
    int64_t *out = MEM_ARRAY(int64_t, sampler_cap(&c));
    static char name[N][8];
    for (int i = 0; i < N; i++) {
        snprintf(name[i], sizeof name[i], "V%d", i / 2);
        r[i].vendor = name[i];
        r[i].y[0] = (int8_t)(i % 2);
    }
    assert_int_equal(sampler_draw(&c, 0, true, 1, 0, out), N);
    mem_free(r);
    mem_free(out);
}

static int setup(void **state)
{
    if (!store_tmp("loader", dir))
        return -1;
    tiny_write(dir, "COHORT.h5", &(tiny_spec){.train = 27, .val = 3, .test = 3, .masks = true});
    threads = pool_new(1);
    OK((be = backend_new("cpu", threads, e)));
    net = net_of(0);
    char *path = fs_join(dir, "COHORT.h5");
    OK(cohort_read(&data, path, e));
    mem_free(path);
    return 0;
}

static int teardown(void **state)
{
    err e = {0};
    cohort_release(&data);
    model_free(net);
    backend_free(be);
    pool_free(threads);
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_pixels),
        cmocka_unit_test(test_resume_and_cache),
        cmocka_unit_test(test_keyed),
        cmocka_unit_test(test_keyed_by_image),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_breast_patches),
        cmocka_unit_test(test_breast_mode),
        cmocka_unit_test(test_no_masks),
        cmocka_unit_test(test_bad_shards),
        cmocka_unit_test(test_balanced),
        cmocka_unit_test(test_few_negatives),
        cmocka_unit_test(test_many_vendors),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
