/* deid-check finds identifiers in text, in binary files, in names of files and inside compressed
 * HDF5 values and attributes, as whole words only; what the corridor writes holds none. */
#include "store.h"

#include <ctype.h>
#include <hdf5.h>

#include "core/text.h"
#include "preprocess/deid.h"

static char dir[64], where[200];
static const shot shots[] = {
    {.patient = "19121212-1212",
     .study = "1.2.752.24.7.99",
     .sop = "1.2.752.24.7.99.1",
     .issuer = "KAROLINSKA",
     .accession = "ACC00471",
     .path = "deep/SVENSSON_01.dcm"},
    {.patient = "AB12", .study = "1.2.3.4.5", .sop = "1.2.3.4.5.6", .day = "2016-07-08"},
    {.patient = "0000000000", .study = "7.7.7.7", .sop = "7.7.7.8"},
    {.patient = "191212121213", .study = "7.7.8.7", .sop = "7.7.8.9"},
    {.patient = "1912121214", .study = "7.7.6.7", .sop = "7.7.6.9"},
    {.patient = "12345", .study = "7.7.9.7", .sop = "7.7.9.8"},
};

static char *in(const char *name)
{
    snprintf(where, sizeof where, "%s/%s", dir, name);
    return where;
}

typedef struct seen {
    char kinds[400];
    int64_t at;
    int n;
} seen;

static void note(void *ctx, const deid_hit *h)
{
    seen *s = ctx;
    size_t len = strlen(s->kinds);
    snprintf(s->kinds + len, sizeof s->kinds - len, "%s:%d ", h->kind, (int)h->count);
    s->at = h->at;
    s->n++;
}

/* The kinds found in the file or folder. */
static const char *search(const char *path, seen *s)
{
    char store[128];
    deid_result r;
    const char *p[1] = {path};
    snprintf(store, sizeof store, "%s/store", dir);
    memset(s, 0, sizeof *s);
    OK(deid_check(store, p, 1, note, s, &r, e));
    assert_int_equal(r.hits > 0, s->n > 0);
    assert_int_equal(r.too_short, 2); /* the filler and the five digits */
    return s->kinds;
}

static const char *search_text(const char *text, size_t n, seen *s)
{
    OK(fs_write(in("text"), text, n, e));
    return search(in("text"), s);
}
#define TEXT(t) search_text(t, sizeof(t) - 1, &s)

static void words(void **state)
{
    seen s;
    assert_string_equal(TEXT("nothing of interest 12345 0000000000 here"), "");
    assert_string_equal(TEXT("id=19121212-1212;"), "patient_id:1 ");
    assert_int_equal(s.at, 3);
    assert_string_equal(TEXT("19121212-1212"), "patient_id:1 ");
    assert_string_equal(TEXT("packed19121212-12121.2.752.24.7.99.1texts"),
                        "sop_uid:1 patient_id:1 ");
    assert_string_equal(TEXT("191212121212 x191212121213 9191212121213 1912121212134"),
                        "patient_id:1 ");
    assert_string_equal(TEXT("1912121214 00000 n"), "patient_id:1 ");
    assert_string_equal(TEXT("%PDF-1.7 xref 1912121214 00000 n "), "");
    /* by chance inside a pseudonym; not so in a shorter word or in capitals */
    assert_string_equal(TEXT("x,0123456789ab1912121214cdef01234567,y"), "");
    assert_string_not_equal(TEXT("x,0123456789ab1912121214cdef012,y"), "");
    assert_string_not_equal(TEXT("x,0123456789AB1912121214CDEF01234567,y"), "");
    assert_string_equal(TEXT("%PDF-1.7 (seen: 1912121214 00001)"), "patient_id:1 ");
    assert_string_equal(TEXT("ab12,Ab12,AB123,ab-12"), "patient_id:2 ");
    assert_string_equal(TEXT("acc00471 Karolinska"), "accession:1 issuer:1 ");
    assert_string_equal(TEXT("on 2016-07-08 and 20160708, not 120160708"), "exam date:2 ");
    assert_string_equal(TEXT("a/svensson_01.dcm"), "name of an image file:1 ");
    assert_string_equal(TEXT("\x00\x01\xff\x00"
                             "1.2.3.4.5.6\x00\x02"),
                        "sop_uid:1 ");
    /* a UID made from another one gives that one away */
    assert_string_equal(TEXT("1.2.752.24.7.99.200"), "study_uid:1 ");
}

static void names_of_files(void **state)
{
    seen s;
    OK(fs_mkdirs(in("out/AB12"), e));
    OK(fs_write(in("out/AB12/x"), "-", 1, e));
    assert_string_equal(search(in("out"), &s), "patient_id:1 ");
    OK(fs_remove_tree(in("out"), e));
}

/* One value in a compressed array of fixed-length, and one of variable-length strings, and one in
 * an attribute: none of them in the clear. */
static void put_hdf5(const char *path, const char *fixed, const char *variable, const char *attr,
                     const char *bytes)
{
    enum { N = 200 };
    hsize_t dims = N, chunk = N;
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t space = H5Screate_simple(1, &dims, NULL), p = H5Pcreate(H5P_DATASET_CREATE);
    hid_t type = H5Tcopy(H5T_C_S1), any = H5Tcopy(H5T_C_S1), one = H5Screate(H5S_SCALAR);
    char text[N][32];
    const char *list[N];
    memset(text, 0, sizeof text);
    for (int i = 0; i < N; i++) {
        snprintf(text[i], 32, "%s", i == 77 ? fixed : "ordinary");
        list[i] = i == 99 ? variable : "ordinary";
    }
    H5Tset_size(type, 32);
    H5Tset_size(any, H5T_VARIABLE);
    H5Pset_chunk(p, 1, &chunk);
    H5Pset_deflate(p, 6);
    hid_t g = H5Gcreate2(f, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hid_t d = H5Dcreate2(g, "fixed", type, space, H5P_DEFAULT, p, H5P_DEFAULT);
    assert_true(H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) >= 0);
    H5Dclose(d);
    d = H5Dcreate2(g, "any", any, space, H5P_DEFAULT, p, H5P_DEFAULT);
    assert_true(H5Dwrite(d, any, H5S_ALL, H5S_ALL, H5P_DEFAULT, list) >= 0);
    hid_t a = H5Acreate2(d, "note", any, one, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(a, any, &attr) >= 0);
    H5Aclose(a);
    H5Dclose(d);
    d = H5Dcreate2(g, "bytes", H5T_STD_U8LE, space, H5P_DEFAULT, p, H5P_DEFAULT);
    uint8_t raw[N] = {0};
    memcpy(raw + 50, bytes, strlen(bytes));
    assert_true(H5Dwrite(d, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) >= 0);
    H5Dclose(d);
    H5Gclose(g);
    H5Sclose(one);
    H5Sclose(space);
    H5Tclose(any);
    H5Tclose(type);
    H5Pclose(p);
    H5Fclose(f);
}

static void hdf5(void **state)
{
    seen s;
    put_hdf5(in("x.h5"), "ordinary", "ordinary", "ordinary", "ordinary");
    assert_string_equal(search(in("x.h5"), &s), "");
    put_hdf5(in("x.h5"), "ordinary", "ordinary", "ordinary", "19121212-1212");
    assert_string_equal(search(in("x.h5"), &s), "patient_id:1 ");
    put_hdf5(in("x.h5"), "19121212-1212", "ordinary", "ordinary", "ordinary");
    assert_string_equal(search(in("x.h5"), &s), "patient_id:1 ");
    assert_int_equal(s.at, -1);
    put_hdf5(in("x.h5"), "ordinary", "1.2.3.4.5", "ordinary", "ordinary");
    assert_non_null(strstr(search(in("x.h5"), &s), "study_uid:"));
    put_hdf5(in("x.h5"), "ordinary", "ordinary", "seen on 2015-06-01", "ordinary");
    assert_non_null(strstr(search(in("x.h5"), &s), "exam date:"));
    /* a damaged container is no clean one */
    char store[128], *data;
    size_t len;
    const char *path[1] = {in("x.h5")};
    deid_result r;
    err e = {0};
    OK(fs_read(path[0], 1 << 20, &data, &len, e));
    memset(data + len / 2, 0x5a, len / 2);
    OK(fs_write(path[0], data, len, e));
    snprintf(store, sizeof store, "%s/store", dir);
    memset(&s, 0, sizeof s);
    assert_false(deid_check(store, path, 1, note, &s, &r, &e));
    mem_free(data);
}

/* The shards that prepare leaves are clean; the catalogue is not. */
static void our_own(void **state)
{
    seen s;
    assert_string_equal(search(in("store/prep"), &s), "");
    assert_non_null(strstr(search(in("store"), &s), "study_uid:"));
}

/* Whoever has the key can name the pseudonyms: it must not leave, in whatever form. */
static void the_key(void **state)
{
    seen s;
    char *key, hex[80];
    size_t len;
    OK(fs_read(in("store/key"), 100, &key, &len, e));
    assert_int_equal(len, 32);
    assert_string_equal(search(in("store/key"), &s), "key of the pseudonyms:1 ");
    snprintf(hex, sizeof hex, "key: ");
    text_hex(key, len, hex + 5);
    assert_string_equal(search_text(hex, strlen(hex), &s), "key of the pseudonyms:1 ");
    assert_int_equal(s.at, 5);
    for (char *c = hex; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    assert_string_equal(search_text(hex, strlen(hex), &s), "key of the pseudonyms:1 ");
    assert_string_equal(search_text(key, len - 1, &s), "");
    mem_free(key);
}

static int setup(void **state)
{
    char store[128];
    if (!store_tmp("deid", dir))
        return -1;
    snprintf(store, sizeof store, "%s/store", dir);
    cfg *c = store_config();
    store_write(store, c, shots, (int)COUNT_OF(shots));
    cfg_free(c);
    return 0;
}

static int teardown(void **state)
{
    err e = {0};
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(words),   cmocka_unit_test(names_of_files), cmocka_unit_test(hdf5),
        cmocka_unit_test(our_own), cmocka_unit_test(the_key),
    };
    return cmocka_run_group_tests(all, setup, teardown);
}
