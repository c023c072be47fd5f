/* COHORT.h5: what is written is read back, what is damaged or hostile is refused with a reason, and
 * a missing, short or swapped shard is found. */
#include "tests/unit/store.h"

#include <hdf5.h>
#include <math.h>
#include <sys/stat.h>

static char dir[64], path[96];

static cohort_row sample_row(int i)
{
    static const char *const model[] = {"model, 0", "model, 1", "", "model, 1", "m", "model, 0"};
    cohort_row r = {.side = i % 2 ? 'R' : 'L',
                    .view = i % 3 == 2 ? 0 : "CM"[i % 3],
                    .days_to_cancer = i % 2 ? -1 : 100 + i,
                    .days_to_last_negative = 700 + i,
                    .y = {(int8_t)(i % 2), (int8_t)(1 - i % 2 * 2), -1, -1, -1, -1, -1, -1},
                    .fold = (int8_t)(i % COHORT_FOLDS),
                    .cv_fold = (int8_t)(i % 3 - 1),
                    .vendor = i % 2 ? "SIXTEEN-LETTERS1" : "SIXTEEN-LETTERS0",
                    .device_model = model[i],
                    .site = i % 3 ? "north" : "",
                    .density = i % 2 ? "B" : "D",
                    .weight = 0.5f + (float)i,
                    .age = (int16_t)(i - 1),
                    .exam_day = 10 * i,
                    .shard = {i / 3, 2 + i / 3},
                    .shard_row = {i % 3, 2 - i % 3}};
    snprintf(r.image, sizeof r.image, "%032d", i);
    snprintf(r.exam, sizeof r.exam, "%032d", i / 2);
    snprintf(r.patient, sizeof r.patient, "%032d", i / 4);
    return r;
}

/* Six rows, two sizes, two shards each. The shards are files of a few bytes. */
static void sample(cohort *c)
{
    cohort_init(c);
    c->n = 6;
    c->row = MEM_ARRAY(cohort_row, c->n);
    for (int i = 0; i < 6; i++)
        c->row[i] = sample_row(i);
    c->n_shards = 4;
    c->shard = MEM_ARRAY(cohort_shard, 4);
    for (int k = 0; k < 4; k++) {
        char full[128], bytes[16];
        snprintf(c->shard[k].file, sizeof c->shard[k].file, "s%d.bin", k);
        snprintf(bytes, sizeof bytes, "shard %d", k);
        snprintf(full, sizeof full, "%s/s%d.bin", dir, k);
        OK(fs_write(full, bytes, strlen(bytes), e));
        OK(fs_sha256_file(full, c->shard[k].sha256, e));
        c->shard[k].bytes = (int64_t)strlen(bytes);
        c->shard[k].n = 3;
        c->shard[k].size = k / 2;
    }
    c->n_sizes = 2;
    c->h[0] = 32;
    c->w[0] = 16;
    c->h[1] = 64;
    c->w[1] = 48;
    c->n_horizons = 2;
    c->horizon_years[0] = 2;
    c->horizon_years[1] = 5;
    c->mean_all = 0.1;
    c->sd_all = 0.2;
    c->mean_breast = 1.0 / 3;
    c->sd_breast = 0.4;
    text_copy(c->prepare_id, sizeof c->prepare_id, "0123456789abcdef");
    text_copy(c->key_id, sizeof c->key_id, "fedcba9876543210");
    memset(c->config_sha256, 'c', 64);
    c->prepare_yaml = mem_strdup("prepare:\n  sizes: [32x16]\n");
    c->flow = json_pack("[{s:s, s:i}]", "stage", "scan", "n_in", 6);
}

static void write_sample(void)
{
    cohort c;
    sample(&c);
    OK(cohort_write(&c, path, e));
    cohort_release(&c);
}

static void intact(const cohort *c, int i)
{
    char why[160];
    for (int deep = 0; deep < 2; deep++)
        if (cohort_shard_fault(c, i, deep, why))
            fail_msg("%s: %s", c->shard[i].file, why);
}

static void test_round_trip(void **state)
{
    cohort a, b;
    sample(&a);
    OK(cohort_write(&a, path, e));
    OK(cohort_read(&b, path, e));
    assert_int_equal(b.n, a.n);
    for (int64_t i = 0; i < a.n; i++) {
        const cohort_row *x = &a.row[i], *y = &b.row[i];
        assert_string_equal(x->image, y->image);
        assert_string_equal(x->exam, y->exam);
        assert_string_equal(x->patient, y->patient);
        assert_string_equal(x->vendor, y->vendor);
        assert_string_equal(x->device_model, y->device_model);
        assert_string_equal(x->site, y->site);
        assert_string_equal(x->density, y->density);
        assert_int_equal(x->side, y->side);
        assert_int_equal(x->view, y->view);
        assert_int_equal(x->days_to_cancer, y->days_to_cancer);
        assert_int_equal(x->days_to_last_negative, y->days_to_last_negative);
        assert_memory_equal(x->y, y->y, 2);
        assert_int_equal(x->fold, y->fold);
        assert_int_equal(x->cv_fold, y->cv_fold);
        assert_true(x->weight == y->weight);
        assert_int_equal(x->age, y->age);
        assert_int_equal(x->exam_day, y->exam_day);
        assert_memory_equal(x->shard, y->shard, 2 * sizeof(int32_t));
        assert_memory_equal(x->shard_row, y->shard_row, 2 * sizeof(int32_t));
    }
    assert_int_equal(b.n_shards, 4);
    assert_memory_equal(a.shard, b.shard, 4 * sizeof *a.shard);
    assert_int_equal(b.h[1], 64);
    assert_int_equal(b.w[1], 48);
    assert_true(b.horizon_years[1] == 5);
    assert_true(a.mean_breast == b.mean_breast && a.sd_all == b.sd_all);
    assert_string_equal(a.prepare_id, b.prepare_id);
    assert_string_equal(a.key_id, b.key_id);
    assert_string_equal(a.config_sha256, b.config_sha256);
    assert_string_equal(a.prepare_yaml, b.prepare_yaml);
    assert_true(json_equal(a.flow, b.flow));
    for (int i = 0; i < b.n_shards; i++)
        intact(&b, i);
    cohort_release(&a);
    cohort_release(&b);
    cohort_release(&b); /* twice is fine */
}

static void test_same_bytes(void **state)
{
    char sum[2][65];
    write_sample();
    OK(fs_sha256_file(path, sum[0], e));
    usleep(1100000);
    write_sample();
    OK(fs_sha256_file(path, sum[1], e));
    assert_string_equal(sum[0], sum[1]);
}

/* ---- hostile files --------------------------------------------------------------------------- */

static void refuses(const char *words)
{
    cohort c;
    err e = {0};
    if (cohort_read(&c, path, &e))
        fail_msg("read; wanted '%s'", words);
    assert_int_equal(e.code, ERR_INPUT);
    if (!strstr(e.msg, words))
        fail_msg("message '%s' lacks '%s'", e.msg, words);
}

/* Replace a dataset; type of n entries. n < 0: only delete. */
static void put(const char *name, hid_t type, int64_t n, const void *data)
{
    hsize_t dims = (hsize_t)(n < 0 ? 0 : n);
    hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(f >= 0 && H5Ldelete(f, name, H5P_DEFAULT) >= 0);
    if (n >= 0) {
        hid_t s = H5Screate_simple(1, &dims, NULL);
        hid_t d = H5Dcreate2(f, name, type, s, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        assert_true(d >= 0 && H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
        H5Dclose(d);
        H5Sclose(s);
    }
    assert_true(H5Fclose(f) >= 0);
}

static void put_i32(const char *name, int64_t n, const int32_t *v)
{
    write_sample();
    put(name, H5T_NATIVE_INT32, n, v);
}

static void test_missing(void **state)
{
    static const char *const name[] = {"schema",
                                       "normalize",
                                       "sizes",
                                       "horizon_years",
                                       "meta/image_id",
                                       "meta/fold",
                                       "meta/y_h1",
                                       "meta/shard_1",
                                       "meta/row_0",
                                       "meta/age",
                                       "meta/site",
                                       "meta/density",
                                       "shards/file",
                                       "shards/n",
                                       "shards/sha256",
                                       "provenance/flow",
                                       "provenance/prepare_id",
                                       "provenance/prepare_yaml",
                                       "meta",
                                       "shards",
                                       "provenance"};
    for (size_t i = 0; i < COUNT_OF(name); i++) {
        write_sample();
        put(name[i], 0, -1, NULL);
        refuses("COHORT.h5");
    }
    err e = {0};
    cohort c;
    assert_false(cohort_read(&c, "/nowhere/COHORT.h5", &e));
    assert_non_null(strstr(e.msg, "does not exist; make it with 'mammovit split'"));
    OK(fs_write(path, "no HDF5 at all", 14, e));
    refuses("is no readable HDF5 file");
    write_sample();
    assert_int_equal(truncate(path, 3000), 0);
    refuses("is no readable HDF5 file");
}

static void test_out_of_range(void **state)
{
    static const int32_t schema[][4] = {{2, 2, 2, 4}, {3, 0, 2, 4},  {3, 5, 2, 4},
                                        {3, 2, 9, 4}, {3, 2, 2, -1}, {3, 2, 2, 2000000000}};
    static const char *const why[] = {
        "schema version 2", "out of range", "out of range",
        "out of range",     "out of range", "the list of shards has not 2000000000 entries"};
    for (size_t i = 0; i < COUNT_OF(schema); i++) {
        put_i32("schema", 4, schema[i]);
        refuses(why[i]);
    }
    put_i32("sizes", 4, (int32_t[]){32, 16, 0, 48});
    refuses("image size 0 x 48 out of range");
    put_i32("sizes", 3, (int32_t[]){32, 16, 64});
    refuses("dataset 'sizes' is missing or has not 4 entries");
    put_i32("meta/shard_0", 6, (int32_t[]){0, 0, 0, 4, 1, 1});
    refuses("row 3 names shard 4 row 0, which is not there");
    put_i32("meta/shard_0", 6, (int32_t[]){0, 0, 0, -1, 1, 1});
    refuses("row 3 names shard -1");
    put_i32("meta/shard_0", 6, (int32_t[]){0, 0, 0, 2, 1, 1}); /* a shard of the other size */
    refuses("row 3 names shard 2");
    put_i32("meta/row_1", 6, (int32_t[]){2, 1, 0, 3, 1, 0});
    refuses("row 3 names shard 3 row 3");
    put_i32("meta/row_1", 6, (int32_t[]){2, 1, 0, -1, 1, 0});
    refuses("row 3 names shard 3 row -1");
    put_i32("meta/fold", 6, (int32_t[]){0, 1, 2, 3, 4, 0});
    refuses("row 4: fold 4");
    put_i32("meta/y_h0", 6, (int32_t[]){0, 1, -2, 1, 0, 1});
    refuses("row 2: class -2");
    put_i32("meta/age", 5, (int32_t[]){0, 1, 2, 3, 4});
    refuses("dataset 'age' is missing or has not 6 entries");
    put_i32("meta/image_id", 6, (int32_t[]){0, 1, 2, 3, 4, 5});
    refuses("dataset 'image_id' cannot be read");
}

static void test_hostile_numbers(void **state)
{
    static const double norm[][4] = {{0.1, NAN, 0, 1}, {INFINITY, 1, 0, 1}, {0, -1, 0, 1}};
    static const double years[][2] = {{2, 2}, {-1, 2}, {NAN, 2}, {2, NAN}};
    for (size_t i = 0; i < COUNT_OF(norm); i++) {
        write_sample();
        put("normalize", H5T_NATIVE_DOUBLE, 4, norm[i]);
        refuses("normalisation out of range");
    }
    for (size_t i = 0; i < COUNT_OF(years); i++) {
        write_sample();
        put("horizon_years", H5T_NATIVE_DOUBLE, 2, years[i]);
        refuses("horizons do not increase");
    }
}

/* Texts that are lists, of variable length, or lie about their bytes. */
static void test_hostile_texts(void **state)
{
    const char *words[] = {"[]", "[]"};
    hid_t fixed = H5Tcopy(H5T_C_S1), var = H5Tcopy(H5T_C_S1);
    char many[4096] = {0};
    H5Tset_size(fixed, 8);
    H5Tset_size(var, H5T_VARIABLE);
    write_sample();
    put("provenance/prepare_yaml", fixed, 512, many);
    refuses("dataset 'prepare_yaml' cannot be read");
    write_sample();
    put("provenance/prepare_id", var, 1, words);
    refuses("dataset 'prepare_id' cannot be read");
    write_sample();
    put("provenance/flow", fixed, 1, "{\"a\":1}");
    refuses("the flow is no list");
    write_sample();
    put("provenance/flow", fixed, 1, "[1,\0\0\0\0");
    refuses("flow");
    H5Tclose(fixed);
    H5Tclose(var);
}

/* A column that claims a billion rows and holds none must not cost memory. */
static void test_bomb(void **state)
{
    hsize_t n = 1000000000, chunk = 1 << 20;
    write_sample();
    hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t meta = H5Gopen2(f, "meta", H5P_DEFAULT), plist = H5Pcreate(H5P_DATASET_CREATE);
    hid_t s = H5Screate_simple(1, &n, NULL);
    H5Pset_chunk(plist, 1, &chunk);
    H5Ldelete(meta, "fold", H5P_DEFAULT);
    hid_t d = H5Dcreate2(meta, "fold", H5T_NATIVE_INT8, s, H5P_DEFAULT, plist, H5P_DEFAULT);
    assert_true(d >= 0);
    H5Dclose(d);
    H5Sclose(s);
    H5Pclose(plist);
    H5Gclose(meta);
    H5Fclose(f);
    refuses("column 'fold' is missing or too long for its bytes");
}

static void test_names(void **state)
{
    cohort c;
    sample(&c);
    text_copy(c.shard[1].file, sizeof c.shard[1].file, "/etc/passwd");
    OK(cohort_write(&c, path, e));
    refuses("shard 1 has no relative name");
    c.shard[1].file[0] = 0;
    OK(cohort_write(&c, path, e));
    refuses("shard 1 has no relative name");
    cohort_release(&c);
}

/* ---- shards ---------------------------------------------------------------------------------- */

/* Shard 1 is found at fault, as quickly as can be or by its bytes. */
static void faulty(const cohort *c, bool deep, const char *fault, const char *words)
{
    char why[160] = "";
    const char *got = cohort_shard_fault(c, 1, deep, why);
    if (!got)
        fail_msg("no fault; wanted '%s'", words);
    assert_string_equal(got, fault);
    assert_string_equal(why, words);
    for (int i = 0; i < c->n_shards; i++)
        if (i != 1)
            intact(c, i);
    if (deep)
        return;
    err e = {0};
    char whole[200];
    snprintf(whole, sizeof whole, "shard 's1.bin' is %s", words);
    assert_false(cohort_check(c, &e));
    assert_int_equal(e.code, ERR_MISMATCH);
    assert_string_equal(e.msg, whole);
}

static void test_check(void **state)
{
    static const char other[] = "the bytes of nobody";
    cohort c;
    char a[128];
    write_sample();
    OK(cohort_read(&c, path, e));
    snprintf(a, sizeof a, "%s/s1.bin", dir);
    OK(fs_write(a, "shard 2", 7, e)); /* the length of the own bytes: a look does not tell */
    OK(cohort_check(&c, e));
    faulty(&c, true, "swapped", "swapped: it holds the bytes of s2.bin");
    OK(fs_write(a, "SHARD 1", 7, e));
    faulty(&c, true, "damaged", "damaged: its bytes are not those of the split (SHA-256)");
    for (int deep = 0; deep < 2; deep++) {
        OK(fs_write(a, "shard", 5, e));
        faulty(&c, deep, "truncated", "truncated: 5 of 7 bytes");
        OK(fs_write(a, other, sizeof other, e));
        faulty(&c, deep, "damaged", "damaged: 20 of 7 bytes");
        unlink(a);
        faulty(&c, deep, "missing", "missing");
    }
    assert_int_equal(mkdir(a, 0777), 0);
    faulty(&c, true, "damaged", "damaged: it cannot be read");
    assert_int_equal(rmdir(a), 0);
    OK(fs_write(a, "shard 1", 7, e));
    OK(cohort_check(&c, e));
    intact(&c, 1);
    cohort_release(&c);
}

static void test_write_fails(void **state)
{
    cohort c;
    err e = {0};
    sample(&c);
    assert_false(cohort_write(&c, "/nowhere/COHORT.h5", &e));
    assert_int_equal(e.code, ERR_IO);
    assert_non_null(strstr(e.msg, "cohort 'COHORT.h5'"));
    cohort_release(&c);
}

static int setup(void **state)
{
    if (!store_tmp("cohort", dir))
        return -1;
    snprintf(path, sizeof path, "%s/COHORT.h5", dir);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return 0;
}

static int teardown(void **state)
{
    err e = {0};
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_out_of_range),
        cmocka_unit_test(test_hostile_numbers),
        cmocka_unit_test(test_hostile_texts),
        cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_write_fails),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
