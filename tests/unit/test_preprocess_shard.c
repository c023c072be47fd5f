/* The shard: chunks invert, files read back through stock HDF5 filters, bytes repeat, damage is
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hdf5.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/mem.h"
#include "core/rng.h"
#include "preprocess/shard.h"

enum { H = 48, W = 36, N = 70 }; /* N crosses the growth step of the dataset */

static char dir[64];

static char *in_dir(const char *name)
{
    return fs_join(dir, name);
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/mammovit_shard_XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    err e = {0};
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

/* Smooth ramp plus noise and a black region: all three kinds of runs. */
static void fill(uint16_t *v, int seed)
{
    rng r;
    rng_init(&r, 7, RNG_TEST, (uint64_t)seed, 0);
    for (int i = 0; i < H * W; i++) {
        int x = i % W;
        v[i] = x < 9 ? 0 : (uint16_t)(x * 1700 + (int)rng_below(&r, 64) + seed);
    }
}

static shard_meta meta_of(int i)
{
    shard_meta m = {.side = i % 2 ? 'L' : 'R', .view = i % 3 ? 'C' : 'M'};
    snprintf(m.image, sizeof m.image, "%032x", (unsigned)i * 77 + 1);
    snprintf(m.exam, sizeof m.exam, "%032x", (unsigned)i / 4 + 1000);
    snprintf(m.patient, sizeof m.patient, "%032x", (unsigned)i / 8 + 2000);
    snprintf(m.pixel_hash, sizeof m.pixel_hash, "%032x", (unsigned)i + 3000);
    for (int k = 0; k < 6; k++)
        m.affine[k] = (float)(i + k * 0.25);
    m.mm_per_px = 0.07f + (float)i;
    m.breast_pixels = 11u * (unsigned)i;
    m.noise = 0.25f * (float)i;
    m.proc_flags = (uint32_t)i;
    m.sum_all = i * 1.5;
    m.sumsq_all = i * 1.25 + 1;
    m.sum_breast = i / 3.0;
    m.sumsq_breast = i / 7.0;
    reason_set s = {{0, 0}};
    if (i % 5 == 0)
        reason_add(&s, REASON_BURNED_IN);
    if (i % 7 == 0)
        reason_add(&s, REASON_CANVAS_CUT);
    memcpy(m.reasons, s.bits, sizeof s.bits);
    return m;
}

static void write_shard(const char *path, int n, int first, char sha[65])
{
    err e = {0};
    uint16_t v[H * W];
    shard_writer *w = shard_create(path, H, W, &e);
    assert_non_null(w);
    for (int i = 0; i < n; i++) {
        size_t len;
        fill(v, i + first);
        void *chunk = shard_compress(v, H, W, &len);
        shard_meta m = meta_of(i);
        assert_true(shard_append(w, chunk, len, &m, &e));
        mem_free(chunk);
    }
    assert_int_equal(shard_rows(w), n);
    assert_true(shard_bytes(w) > 0);
    assert_true(shard_commit(w, "{\"prepare_id\": \"0123\"}", sha, &e));
}

static void test_chunk(void **state)
{
    (void)state;
    err e = {0};
    uint16_t v[H * W], back[H * W];
    size_t len;
    for (int i = 0; i < 20; i++) {
        fill(v, i * 311);
        void *c = shard_compress(v, H, W, &len);
        assert_true(len < sizeof v);
        assert_true(shard_inflate(c, len, H, W, back, &e));
        assert_memory_equal(v, back, sizeof v);
        assert_false(shard_inflate(c, len / 2, H, W, back, &e));
        assert_false(shard_inflate(c, len, H, W + 1, back, &e));
        ((uint8_t *)c)[len / 2] ^= 0x5a;
        e.code = ERR_NONE;
        assert_false(shard_inflate(c, len, H, W, back, &e));
        assert_int_equal(e.code, ERR_INPUT);
        mem_free(c);
    }
    rng r; /* incompressible data must not overflow the output */
    rng_init(&r, 1, RNG_TEST, 0, 0);
    for (int i = 0; i < H * W; i++)
        v[i] = (uint16_t)rng_u32(&r);
    void *c = shard_compress(v, H, W, &len);
    assert_true(shard_inflate(c, len, H, W, back, &e));
    assert_memory_equal(v, back, sizeof v);
    mem_free(c);
}

/* Leaves a number in the memory that the next call uses as its stack. */
static void __attribute__((noinline)) soil_stack(uint16_t number)
{
    uint16_t room[128 * 1024];
    for (size_t i = 0; i < sizeof room / sizeof *room; i++)
        room[i] = number;
    __asm__ volatile("" : : "r"(room) : "memory");
}

/* The bytes of a chunk depend on the image only. */
static void test_chunk_repeats(void **state)
{
    (void)state;
    uint16_t v[H * W];
    uint8_t k[H * W];
    char first[2][33], now[2][33];
    fill(v, 5);
    for (int i = 0; i < H * W; i++)
        k[i] = i % W < i / W % 17;
    for (int round = 0; round < 8; round++) {
        size_t len;
        soil_stack((uint16_t)round);
        void *c = shard_compress(v, H, W, &len);
        fs_xxh128_of(c, len, now[0]);
        mem_free(c);
        soil_stack((uint16_t)(15 - round));
        c = shard_compress_mask(k, H, W, &len);
        fs_xxh128_of(c, len, now[1]);
        mem_free(c);
        if (!round)
            memcpy(first, now, sizeof first);
        assert_string_equal(first[0], now[0]);
        assert_string_equal(first[1], now[1]);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    err e = {0};
    char sha[65], *path = in_dir("00000.h5");
    uint16_t v[H * W], back[H * W];
    void *buf = NULL;
    size_t cap = 0, len;
    int h, w;
    write_shard(path, N, 0, sha);
    shard *s = shard_open(path, &e);
    assert_non_null(s);
    assert_int_equal(shard_n(s), N);
    shard_size(s, &h, &w);
    assert_int_equal(h, H);
    assert_int_equal(w, W);
    for (int i = N - 1; i >= 0; i--) {
        shard_meta m, want = meta_of(i);
        assert_true(shard_read_meta(s, i, &m, &e));
        assert_string_equal(m.image, want.image);
        assert_string_equal(m.exam, want.exam);
        assert_string_equal(m.patient, want.patient);
        assert_string_equal(m.pixel_hash, want.pixel_hash);
        assert_int_equal(m.side, want.side);
        assert_int_equal(m.view, want.view);
        assert_memory_equal(m.affine, want.affine, sizeof m.affine);
        assert_memory_equal(m.reasons, want.reasons, sizeof m.reasons);
        assert_true(m.mm_per_px == want.mm_per_px && m.breast_pixels == want.breast_pixels);
        assert_true(m.noise == want.noise);
        assert_true(m.proc_flags == want.proc_flags && m.sum_all == want.sum_all);
        assert_true(m.sumsq_all == want.sumsq_all && m.sum_breast == want.sum_breast);
        assert_true(m.sumsq_breast == want.sumsq_breast);
        assert_true(shard_read_chunk(s, i, &buf, &cap, &len, &e));
        assert_true(shard_inflate(buf, len, H, W, back, &e));
        fill(v, i);
        assert_memory_equal(v, back, sizeof v);
    }
    assert_false(shard_read_chunk(s, N, &buf, &cap, &len, &e));
    assert_false(shard_read_chunk(s, -1, &buf, &cap, &len, &e));
    char *json = shard_provenance(s, &e);
    assert_string_equal(json, "{\"prepare_id\": \"0123\"}");
    mem_free(json);
    mem_free(buf);
    shard_close(s);
    mem_free(path);
}

/* The file is plain HDF5: the library's own filters give the same pixels. */
static void test_stock_filters(void **state)
{
    (void)state;
    char sha[65], *path = in_dir("stock.h5");
    static uint16_t all[5][H * W];
    uint16_t v[H * W];
    int32_t n = 0;
    write_shard(path, 5, 40, sha);
    hid_t f = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t d = H5Dopen2(f, "images", H5P_DEFAULT);
    assert_true(H5Dread(d, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, all) >= 0);
    for (int i = 0; i < 5; i++) {
        fill(v, i + 40);
        assert_memory_equal(v, all[i], sizeof v);
    }
    hid_t a = H5Aopen(f, "n", H5P_DEFAULT);
    assert_true(H5Aread(a, H5T_NATIVE_INT32, &n) >= 0);
    assert_int_equal(n, 5);
    H5Aclose(a);
    H5Dclose(d);
    H5Fclose(f);
    mem_free(path);
}

static void test_bytes_repeat(void **state)
{
    (void)state;
    char a[65], b[65], c[65];
    char *pa = in_dir("a.h5"), *pb = in_dir("b.h5"), *pc = in_dir("c.h5");
    write_shard(pa, 9, 0, a);
    sleep(1); /* a time stamp anywhere would show */
    write_shard(pb, 9, 0, b);
    write_shard(pc, 9, 1, c);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    mem_free(pa);
    mem_free(pb);
    mem_free(pc);
}

static void fill_mask(uint8_t *v, int seed)
{
    for (int i = 0; i < H * W; i++)
        v[i] = (i % W) < (i / W + seed) % W;
}

static char *write_masked(const char *name, int n, char sha[65])
{
    err e = {0};
    char *path = in_dir(name);
    uint16_t v[H * W];
    uint8_t k[H * W];
    size_t len;
    shard_writer *w = shard_create(path, H, W, &e);
    assert_non_null(w);
    for (int i = 0; i < n; i++) {
        fill(v, i);
        fill_mask(k, i);
        k[3] = k[3] ? 255 : 0; /* any value but 0 becomes 1 */
        void *chunk = shard_compress(v, H, W, &len);
        shard_meta m = meta_of(i);
        assert_true(shard_append(w, chunk, len, &m, &e));
        mem_free(chunk);
        chunk = shard_compress_mask(k, H, W, &len);
        assert_true(shard_append_mask(w, chunk, len, &e));
        mem_free(chunk);
    }
    assert_true(shard_commit(w, "{}", sha, &e));
    return path;
}

/* Masks beside images: read back by us and by the library, none where none was written. */
static void test_masks(void **state)
{
    (void)state;
    err e = {0};
    static uint8_t all[N][H * W];
    uint8_t want[H * W], got[H * W];
    uint16_t v[H * W], back[H * W];
    char sha[65], again[65], *path = write_masked("masks.h5", N, sha);
    void *buf = NULL;
    size_t cap = 0, len;
    shard *s = shard_open(path, &e);
    assert_non_null(s);
    assert_true(shard_has_mask(s));
    for (int i = N - 1; i >= 0; i--) {
        fill_mask(want, i);
        fill(v, i);
        assert_true(shard_read_mask(s, i, &buf, &cap, &len, &e));
        assert_true(shard_inflate_mask(buf, len, H, W, got, &e));
        assert_memory_equal(got, want, sizeof want);
        assert_true(shard_read_chunk(s, i, &buf, &cap, &len, &e));
        assert_true(shard_inflate(buf, len, H, W, back, &e));
        assert_memory_equal(back, v, sizeof v);
    }
    assert_false(shard_read_mask(s, N, &buf, &cap, &len, &e));
    /* breast_pixels of meta_of is a number of its own: only a row that counts right is accepted */
    int agreed = 0;
    for (int i = 0; i < N; i++) {
        uint32_t sum = 0;
        fill_mask(want, i);
        for (int k = 0; k < H * W; k++)
            sum += want[k];
        bool right = shard_check_mask(s, i, &e);
        assert_int_equal(right, sum == meta_of(i).breast_pixels);
        agreed += right;
        if (!right)
            assert_int_equal(e.code, ERR_MISMATCH);
    }
    assert_true(agreed < N);
    shard_close(s);
    hid_t f = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), d = H5Dopen2(f, "mask", H5P_DEFAULT);
    assert_true(H5Dread(d, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, all) >= 0);
    for (int i = 0; i < N; i++) {
        fill_mask(want, i);
        assert_memory_equal(all[i], want, sizeof want);
    }
    H5Dclose(d);
    H5Fclose(f);
    mem_free(path);
    path = write_masked("again.h5", N, again);
    assert_string_equal(sha, again);
    mem_free(path);
    path = in_dir("unmasked.h5");
    write_shard(path, 3, 0, sha);
    s = shard_open(path, &e);
    assert_non_null(s);
    assert_false(shard_has_mask(s));
    assert_false(shard_read_mask(s, 0, &buf, &cap, &len, &e));
    assert_non_null(strstr(e.msg, "no masks"));
    shard_close(s);
    /* a stack that does not fit the images */
    hsize_t dims[3] = {2, H, W}, one[3] = {1, H, W};
    f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t sp = H5Screate_simple(3, dims, NULL), pl = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(pl, 3, one);
    H5Pset_deflate(pl, 1);
    d = H5Dcreate2(f, "mask", H5T_STD_U8LE, sp, H5P_DEFAULT, pl, H5P_DEFAULT);
    assert_true(d >= 0);
    H5Dclose(d);
    H5Sclose(sp);
    H5Pclose(pl);
    H5Fclose(f);
    assert_null(shard_open(path, &e));
    assert_non_null(strstr(e.msg, "/mask is not u8"));
    mem_free(buf);
    mem_free(path);
}

static void test_refusals(void **state)
{
    (void)state;
    err e = {0};
    char sha[65], *data, *path = in_dir("whole.h5"), *bad = in_dir("bad.h5");
    size_t len;
    assert_null(shard_open(bad, &e));
    assert_int_equal(e.code, ERR_IO);
    write_shard(path, 3, 0, sha);
    assert_true(fs_read(path, 1 << 24, &data, &len, &e));
    assert_true(fs_write(bad, data, len / 2, &e));
    assert_null(shard_open(bad, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_string_equal(e.msg, "bad.h5: not a shard, or damaged");
    assert_true(fs_write(bad, "not a file of this kind", 23, &e));
    assert_null(shard_open(bad, &e));
    mem_free(data);
    /* another layout: no filters */
    hsize_t dims[3] = {1, 4, 4};
    hid_t f = H5Fcreate(bad, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t sp = H5Screate_simple(3, dims, NULL);
    hid_t d = H5Dcreate2(f, "images", H5T_STD_U16LE, sp, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dclose(d);
    H5Sclose(sp);
    H5Fclose(f);
    assert_null(shard_open(bad, &e));
    assert_non_null(strstr(e.msg, "one shuffled and deflated chunk per image"));
    /* a shard of another version */
    for (int32_t k = 0; k < 3; k++) {
        const int32_t version[2] = {k == 1 ? 2 : 1, 2};
        hsize_t n = k == 2 ? 2 : 1; /* two numbers are none */
        write_shard(path, 3, 0, sha);
        f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
        assert_true(H5Adelete(f, "schema_version") >= 0);
        sp = H5Screate_simple(1, &n, NULL);
        d = H5Acreate2(f, "schema_version", H5T_STD_I32LE, sp, H5P_DEFAULT, H5P_DEFAULT);
        assert_true(H5Awrite(d, H5T_NATIVE_INT32, version) >= 0);
        H5Aclose(d);
        H5Sclose(sp);
        H5Fclose(f);
        shard *s = shard_open(path, &e);
        assert_int_equal(s != NULL, k == 1);
        shard_close(s);
        if (k != 1)
            assert_string_equal(e.msg,
                                k ? "whole.h5: its layout is version 0, this program reads 2; "
                                    "prepare the images again"
                                  : "whole.h5: its layout is version 1, this program reads 2; "
                                    "prepare the images again");
    }
    f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(H5Adelete(f, "schema_version") >= 0);
    H5Fclose(f);
    assert_null(shard_open(path, &e));
    assert_non_null(strstr(e.msg, "its layout is version 0"));
    mem_free(path);
    mem_free(bad);
}

static void test_discard(void **state)
{
    (void)state;
    err e = {0};
    char *path = in_dir("gone.h5"), *partial = in_dir("gone.h5.partial");
    shard_writer *w = shard_create(path, H, W, &e);
    assert_non_null(w);
    assert_true(fs_exists(partial));
    shard_discard(w);
    assert_false(fs_exists(partial));
    assert_false(fs_exists(path));
    assert_null(shard_create("/nonexistent/x.h5", H, W, &e));
    assert_int_equal(e.code, ERR_IO);
    assert_null(shard_create(path, 0, W, &e));
    assert_int_equal(e.code, ERR_RANGE);
    mem_free(path);
    mem_free(partial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunk),         cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_stock_filters), cmocka_unit_test(test_bytes_repeat),
        cmocka_unit_test(test_masks),         cmocka_unit_test(test_chunk_repeats),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_discard),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
