/* Loader and sampler: order, resume, cache and errors change nothing but what they should; epochs
 * are balanced vendor by vendor with fresh negatives. */
#include "tests/unit/tiny_cohort.h"

#include "train/loader.h"
#include "train/sampler.h"

static char dir[64];
static cohort data;
static const augment_cfg aug = {.enabled = true,
                                .flip_vertical = 0.5,
                                .rotate = 10,
                                .scale_min = 1,
                                .scale_max = 1,
                                .aspect_max = 1,
                                .contrast = 0.5};

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
    char a[13][33], b[13][33];
    plan_rows(row, 50);
    loader_plan p = {.row = row,
                     .n = 50,
                     .batch = 4,
                     .aug = &aug,
                     .seed = 3,
                     .epoch = 2,
                     .n_patches = 16,
                     .n_keep = 5};
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
    p.n_keep = 0;
    assert_int_equal(hashes(l, &p, b), 5);
    p.batch = 4;
    p.n_keep = 5;
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
    int32_t keep[5];
    loader_plan p = {
        .row = x, .n = 2, .batch = 2, .aug = &aug, .seed = 3, .n_patches = 16, .n_keep = 5};
    loader *l = open_loader(0);
    loader_start(l, &p);
    OK(loader_next(l, &b, e) == 1);
    v = b.in.view[1];
    memcpy(keep, b.in.keep + 5, sizeof keep);
    for (int i = 0; i < 5; i++)
        assert_true(keep[i] >= 0 && keep[i] < 16 && (!i || keep[i] > keep[i - 1]));
    p.row = y;
    p.n = p.batch = 1;
    loader_start(l, &p);
    OK(loader_next(l, &b, e) == 1);
    assert_memory_equal(&v, &b.in.view[0], sizeof v);
    assert_memory_equal(keep, b.in.keep, sizeof keep);
    loader_free(l); /* in the middle of a plan */
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
    tiny_write(dir, "COHORT.h5", &(tiny_spec){.train = 27, .val = 3, .test = 3});
    char *path = fs_join(dir, "COHORT.h5");
    OK(cohort_read(&data, path, e));
    mem_free(path);
    return 0;
}

static int teardown(void **state)
{
    err e = {0};
    cohort_release(&data);
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_pixels),
        cmocka_unit_test(test_resume_and_cache),
        cmocka_unit_test(test_keyed),
        cmocka_unit_test(test_bad_shards),
        cmocka_unit_test(test_balanced),
        cmocka_unit_test(test_few_negatives),
        cmocka_unit_test(test_many_vendors),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
