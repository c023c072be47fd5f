/* Containers of weights behind one interface: what PyTorch, NumPy and timm wrote comes back to the
 * bit; archives that lie are refused; files cut short or with one byte changed never give other
 * values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/mem.h"
#include "tests/unit/zip_file.h"
#include "train/augreg.h"
#include "train/source.h"

#define FIXTURE  "tests/fixtures/weights/"
#define BYTES(s) s, sizeof(s) - 1

static char folder[] = "/tmp/mammovit-source-XXXXXX";
static char *path; /* the file that every test writes */

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    path = fs_join(folder, "weights");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    err e = {0};
    mem_free(path);
    return fs_remove_tree(folder, &e) ? 0 : -1;
}

/* record_weights.py: values() */
static float value(int k, int64_t i)
{
    return (float)((37 * i + 11 * k) % 101 - 50) / 8;
}

/* A .npy file of version 1.0 with `data` bytes "abcd...". Good until the fourth call after. */
static zip_part npy(const char *name, const char *header, size_t data, bool deflated)
{
    static char buffer[4][512];
    static int next;
    char *b = buffer[next++ % 4];
    size_t n = strlen(header);
    if (10 + n + data > sizeof *buffer)
        BUG("npy: %zu bytes", n);
    memcpy(b, "\x93NUMPY\x01\x00", 8);
    b[8] = (char)n;
    b[9] = (char)(n >> 8);
    memcpy(b + 10, header, n);
    for (size_t i = 0; i < data; i++)
        b[10 + n + i] = (char)('a' + i);
    return (zip_part){name, b, 10 + n + data, deflated};
}

#define END                                                                                        \
    {                                                                                              \
        NULL, NULL, 0, false                                                                       \
    }
#define F4(rest) "{'descr': '<f4', 'fortran_order': False, 'shape': " rest

/* ---- what was written comes back ------------------------------------------------------------- */

static void expect(const source *s, const char *name, array_type type, int ndim,
                   const int64_t *shape, const float *want)
{
    err e = {0};
    const array_info *a = source_get(s, name);
    assert_non_null(a);
    assert_int_equal(a->type, type);
    assert_int_equal(a->ndim, ndim);
    for (int i = 0; i < ndim; i++)
        assert_int_equal(a->shape[i], shape[i]);
    float *x = source_values(s, a, &e);
    assert_non_null(x);
    for (int64_t i = 0; i < a->n; i++)
        assert_true(x[i] == want[i]);
    mem_free(x);
}

static void pytorch_types(void **state)
{
    (void)state;
    err e = {0};
    float w[24];
    source *s = source_open(FIXTURE "types.pth", &e);
    assert_non_null(s);
    assert_int_equal(source_count(s), 11);
    assert_null(source_meta(s, "format"));
    static const struct {
        const char *name;
        array_type type;
        int number;
    } five[] = {{"f16", ARRAY_F16, 1}, {"bf16", ARRAY_BF16, 2}, {"f64", ARRAY_F64, 3}};
    for (size_t k = 0; k < COUNT_OF(five); k++) {
        for (int i = 0; i < 5; i++)
            w[i] = value(five[k].number, i);
        expect(s, five[k].name, five[k].type, 1, (int64_t[]){5}, w);
    }
    for (int i = 0; i < 6; i++)
        w[i] = value(0, i);
    expect(s, "f32", ARRAY_F32, 2, (int64_t[]){2, 3}, w);
    for (int i = 0; i < 12; i++)
        w[i] = value(4, i % 3 * 4 + i / 3);
    expect(s, "turned", ARRAY_F32, 2, (int64_t[]){4, 3}, w);
    for (int i = 0; i < 24; i++) /* [4][2][3] of a [2][3][4] */
        w[i] = value(5, i % 6 * 4 + i / 6);
    expect(s, "permuted", ARRAY_F32, 3, (int64_t[]){4, 2, 3}, w);
    for (int i = 0; i < 4; i++)
        w[i] = value(6, 3 + i);
    expect(s, "part", ARRAY_F32, 1, (int64_t[]){4}, w);
    w[0] = value(7, 0);
    expect(s, "single", ARRAY_F32, 0, NULL, w);
    expect(s, "none", ARRAY_F32, 2, (int64_t[]){0, 3}, w);
    assert_null(source_values(s, source_get(s, "i64"), &e));
    assert_non_null(strstr(e.msg, "array 'i64': holds I64; F32, F16, BF16 or F64 wanted"));
    assert_null(source_values(s, source_get(s, "flag"), &e));
    source_close(s);
}

static void pytorch_nested(void **state)
{
    (void)state;
    err e = {0};
    source *s = source_open(FIXTURE "nested.pth", &e);
    assert_non_null(s);
    assert_int_equal(source_count(s), 2);
    const float a[2] = {value(0, 0), value(0, 1)}, b[2] = {value(1, 0), value(1, 1)};
    expect(s, "module.a", ARRAY_F32, 1, (int64_t[]){2}, a);
    expect(s, "module.b", ARRAY_F32, 1, (int64_t[]){2}, b);
    source_close(s);
    assert_null(source_open(FIXTURE "legacy.pth", &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "before version 1.6; convert it once: python3 -c"));
    assert_null(source_open(FIXTURE "expanded.pth", &e));
    assert_non_null(
        strstr(e.msg, "a tensor of 6 elements from 0 on does not fit its storage of 3"));
}

/* timm's own reader of AugReg files made tiny.safetensors. */
static void augreg(void **state)
{
    (void)state;
    err e = {0};
    source *raw = source_open(FIXTURE "tiny.npz", &e);
    source *want = source_open(FIXTURE "tiny.safetensors", &e);
    assert_non_null(raw);
    assert_non_null(want);
    assert_true(augreg_is(raw) && !augreg_is(want));
    source *s = augreg_open(raw, &e);
    assert_non_null(s);
    assert_int_equal(source_count(s), source_count(want) + 1);
    assert_non_null(source_get(s, "opt/target/pre_logits/bias")); /* nothing timm has a name for */
    for (int i = 0; i < source_count(want); i++) {
        const array_info *a = source_at(want, i);
        float *x = source_values(want, a, &e);
        assert_non_null(x);
        expect(s, a->name, ARRAY_F32, a->ndim, a->shape, x);
        mem_free(x);
    }
    source_close(s);
    source_close(want);
}

static void numpy_arrays(void **state)
{
    (void)state;
    err e = {0};
    static const char newer[] = "\x93NUMPY\x02\x00\x39\x00\x00\x00"
                                "{'shape': ( ), 'fortran_order':False,'descr': \"<f8\"}    \n"
                                "\x00\x00\x00\x00\x00\x00\x04\x40";
    zip_part part[] = {
        npy("t.npy", "{'descr': '<f2', 'fortran_order': True, 'shape': (2, 3), }\n", 12, true),
        {"newer.npy", BYTES(newer), false},
        END};
    zip_file_write(path, part);
    source *s = source_open(path, &e);
    if (!s)
        fail_msg("%s", e.msg);
    /* pairs of letters as half precision, first dimension fastest */
    expect(s, "t", ARRAY_F16, 2, (int64_t[]){2, 3},
           (float[]){816.5f, 1637, 3282, 1123, 2254, 4524});
    expect(s, "newer", ARRAY_F64, 0, NULL, (float[]){2.5f});
    source_close(s);
}

/* ---- archives that lie ----------------------------------------------------------------------- */

static void numpy_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *says;
    } raw[] = {
        {BYTES(""), "not a .npy file"},
        {BYTES("\x93NUMPY\x01\x00"), "not a .npy file"},
        {BYTES("\x93NUMPX\x01\x00\x02\x00{}"), "not a .npy file"},
        {BYTES("\x93NUMPY\x04\x00\x02\x00{}"), ".npy version 4.0 is not known"},
        {BYTES("\x93NUMPY\x01\x01\x02\x00{}"), ".npy version 1.1 is not known"},
        {BYTES("\x93NUMPY\x01\x00\xff\xff{}"), "a header of 65535 bytes"},
        {BYTES("\x93NUMPY\x02\x00\xff\xff\xff\xff{}"), "a header of 4294967295 bytes"},
    };
    static const struct {
        const char *header;
        size_t data;
        const char *says;
    } bad[] = {
        {"[]", 0, "the header is not a dict"},
        {"{}", 0, "exactly descr, fortran_order and shape"},
        {F4("(2,), }"), 0, "2 elements of F32 do not fill 0 bytes"},
        {F4("(2,), }"), 7, "do not fill 7 bytes"},
        {F4("(2,), }"), 9, "do not fill 9 bytes"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}", 8, "type '>f4' are not read"},
        {"{'descr': '|O8', 'fortran_order': False, 'shape': (1,)}", 8, "type '|O8' are not read"},
        {F4("(-2,)}"), 8, "'shape' is not a tuple of at most 8 sizes"},
        {F4("(2)}"), 8, "a comma is missing"},
        {F4("(2 3)}"), 24, "a comma is missing"},
        {F4("(2"), 0, "a comma is missing"},
        {F4("("), 0, "is not a tuple of at most 8"},
        {F4("2}"), 8, "'shape' is not a tuple"},
        {F4("(99999999999999999999,)}"), 8, "a size does not fit 64 bits"},
        {F4("(4294967296, 4294967296)}"), 8, "does not fit 64 bits"},
        {F4("(4611686018427387904,)}"), 8, "bytes does not fit 64 bits"},
        {F4("(1,1,1,1,1,1,1,1,1)}"), 4, "at most 8"},
        {"{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,)}", 8, "neither True nor False"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 8,
         "exactly descr, fortran_order and shape"},
        {"{'descr': '<f4', 'fortran_order': False}", 8, "exactly descr, fortran_order and shape"},
        {F4("(2,)}+1"), 8, "exactly descr, fortran_order and shape"},
        {"{'descr': '<f4'  'fortran_order': False, 'shape': (2,)}", 8,
         "a comma is missing in the header"},
        {"{'descr': [('a')], 'fortran_order': False, 'shape': ()}", 4,
         "not the name of one element type"},
        {"{'descr': '<f4  ", 0, "not the name of one element type"},
        {"{'descr': '<f4<f4<f4<f4<f4<f4<f4<f4'", 0, "not the name of one element type"},
    };
    for (size_t i = 0; i < COUNT_OF(raw) + COUNT_OF(bad); i++) {
        err e = {0};
        size_t k = i - COUNT_OF(raw);
        const char *says = i < COUNT_OF(raw) ? raw[i].says : bad[k].says;
        zip_part part[] = {i < COUNT_OF(raw) ? (zip_part){"x.npy", raw[i].bytes, raw[i].n, false}
                                             : npy("x.npy", bad[k].header, bad[k].data, k % 2),
                           END};
        zip_file_write(path, part);
        assert_null(source_open(path, &e));
        assert_int_equal(e.code, ERR_INPUT);
        if (!strstr(e.msg, says) || !strstr(e.msg, "array 'x': "))
            fail_msg("case %zu: '%s' does not say '%s'", i, e.msg, says);
    }
}

#define STORAGE(n)                                                                                 \
    "(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x00"                             \
    "0X\x03\x00\x00\x00"                                                                           \
    "cpuK" n "tQ"
#define TENSOR(n) "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE(n) "K\x00K" n "\x85K\x01\x85tR"
#define KEY(n, k) "X" n "\x00\x00\x00" k
#define PKL(bytes)                                                                                 \
    {                                                                                              \
        "a/data.pkl", BYTES(bytes), false                                                          \
    }
#define DATA(n)                                                                                    \
    {                                                                                              \
        "a/data/0", "12345678", n, false                                                           \
    }

static void pytorch_refused(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        zip_part part[4];
    } bad[] = {
        {"without 'data.pkl' and not of .npy files", {{"a/version", "3\n", 2, false}, END}},
        {"more than one 'data.pkl'", {PKL("}."), {"b/data.pkl", "}.", 2, false}, END}},
        {"no state dict: neither the file nor", {PKL("}."), END}},
        {"no state dict", {PKL(TENSOR("\x02") "."), DATA(8), END}},
        {"of another byte order", {PKL("}."), {"a/byteorder", "big", 3, false}, END}},
        {"a TorchScript archive", {PKL("}."), {"a/constants.pkl", ").", 2, false}, END}},
        {"a tensor of the state dict has no name",
         {PKL("}K\x01" TENSOR("\x02") "s."), DATA(8), END}},
        {"the storage of 'k' is missing", {PKL("}" KEY("\x01", "k") TENSOR("\x02") "s."), END}},
        {"should hold 2 elements of F32, its entry holds 7 bytes",
         {PKL("}" KEY("\x01", "k") TENSOR("\x02") "s."), DATA(7), END}},
        {"should hold 2 elements of F32, its entry holds 4 bytes",
         {PKL("}" KEY("\x01", "k") TENSOR("\x02") "s."), DATA(4), END}},
        {"is compressed; PyTorch's never is",
         {PKL("}" KEY("\x01", "k") TENSOR("\x02") "s."), {"a/data/0", "12345678", 8, true}, END}},
        {"array 'k' is there twice",
         {PKL("}" KEY("\x01", "k") TENSOR("\x02") "s" KEY("\x01", "k") TENSOR("\x02") "s."),
          DATA(8), END}},
        {"it holds a 'posix.system'",
         {PKL("}" KEY("\x01", "k") TENSOR("\x02") "s" KEY("\x01", "z") "cposix\nsystem\n" KEY(
              "\x02", "id") "\x85Rs."),
          DATA(8), END}},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        err e = {0};
        zip_file_write(path, bad[i].part);
        assert_null(source_open(path, &e));
        assert_int_equal(e.code, ERR_INPUT);
        if (!strstr(e.msg, bad[i].says) || !strstr(e.msg, path))
            fail_msg("case %zu: '%s' does not say '%s'", i, e.msg, bad[i].says);
    }
}

/* Which dict is the state dict: model, state_dict, model_ema, state_dict_ema, else the outermost;
 * one of these words for something else is no wrapper. */
static void pytorch_precedence(void **state)
{
    (void)state;
#define STATE(k)           "}" KEY("\x01", k) TENSOR("\x02") "s"
#define WRAP(n, w, inside) KEY(n, w) inside "s"
    static const struct {
        zip_part part[3];
        const char *name;
    } good[] = {
        {{PKL(STATE("a") "."), DATA(8), END}, "a"},
        {{PKL("}" WRAP("\x09", "model_ema", STATE("e")) WRAP("\x0a", "state_dict", STATE("s")) "."),
          DATA(8), END},
         "s"},
        {{PKL("}" WRAP("\x0a", "state_dict", STATE("s")) WRAP("\x05", "model", STATE("m")) "."),
          DATA(8), END},
         "m"},
        {{PKL("}" WRAP("\x0e", "state_dict_ema", STATE("d"))
                  WRAP("\x09", "model_ema", STATE("e")) "."),
          DATA(8), END},
         "e"},
        {{PKL("}" WRAP("\x05", "model", "}" WRAP("\x0a", "state_dict", STATE("i"))) "."), DATA(8),
          END},
         "i"},
        {{PKL("}" WRAP("\x05", "model", KEY("\x02", "xy")) KEY("\x01", "o") TENSOR("\x02") "s."),
          DATA(8), END},
         "o"},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        err e = {0};
        zip_file_write(path, good[i].part);
        source *s = source_open(path, &e);
        if (!s)
            fail_msg("case %zu: %s", i, e.msg);
        assert_int_equal(source_count(s), 1);
        assert_string_equal(source_at(s, 0)->name, good[i].name);
        source_close(s);
    }
}

/* One field of a directory record changed. */
static void directories_refused(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        int record, at, n;
        const char *to, *says;
    } bad[] = {
        {"types.pth", 0, 24, 4, "\xff\xff\xff\x7f", "claims 2147483647 bytes, packed in"},
        {"types.pth", 0, 20, 4, "\xff\xff\xff\x7f", "packed in 2147483647, in a file of"},
        {"tiny.npz", 0, 24, 4, "\xff\xff\xff\x7f", "claims 2147483647 bytes, packed in"},
        {"types.pth", 0, 10, 2, "\x0c\x00", "packed with method 12; stored or deflated wanted"},
        {"types.pth", 1, 8, 1, "\x01", "is encrypted"},
        {"types.pth", 2, 57, 1, "0", "entry 'types/data/0' is there twice"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char *b, *fixture = fs_join(FIXTURE, bad[i].file);
        size_t n;
        err e = {0};
        assert_true(fs_read(fixture, 1 << 20, &b, &n, &e));
        memcpy(b + zip_file_record(b, n, bad[i].record) + bad[i].at, bad[i].to, (size_t)bad[i].n);
        zip_file_put(path, b, n);
        assert_null(source_open(path, &e));
        assert_int_equal(e.code, ERR_INPUT);
        if (!strstr(e.msg, bad[i].says))
            fail_msg("case %zu: '%s' does not say '%s'", i, e.msg, bad[i].says);
        mem_free(b);
        mem_free(fixture);
    }
}

static void augreg_refused(void **state)
{
    (void)state;
#define KERNEL npy("embedding/kernel.npy", F4("(1,1,1,1)}"), 4, false)
#define QKV    "Transformer/encoderblock_0/MultiHeadDotProductAttention_1/"
    const struct {
        const char *says;
        zip_part part[5];
    } bad[] = {
        {"'patch_embed.proj.weight' has 1 dimensions",
         {npy("opt/target/embedding/kernel.npy", F4("(1,)}"), 4, false), END}},
        {"'blocks.0.attn.qkv.bias' is made of arrays of unequal shapes",
         {KERNEL, npy(QKV "query/bias.npy", F4("(1,)}"), 4, false),
          npy(QKV "key/bias.npy", F4("(2,)}"), 8, false), END}},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        err e = {0};
        zip_file_write(path, bad[i].part);
        source *raw = source_open(path, &e);
        if (!raw)
            fail_msg("case %zu: %s", i, e.msg);
        assert_true(augreg_is(raw));
        assert_null(augreg_open(raw, &e));
        assert_int_equal(e.code, ERR_INPUT);
        if (!strstr(e.msg, bad[i].says))
            fail_msg("case %zu: '%s' does not say '%s'", i, e.msg, bad[i].says);
    }
    /* one name in both layouts */
    err e = {0};
    zip_part part[] = {KERNEL, npy("cls.npy", F4("(1,)}"), 4, false),
                       npy("cls_token.npy", F4("(1,)}"), 4, false), END};
    zip_file_write(path, part);
    assert_null(augreg_open(source_open(path, &e), &e));
    assert_non_null(strstr(e.msg, "array 'cls_token' is there twice"));
}

/* ---- every byte ------------------------------------------------------------------------------ */

/* Open and read everything. What is read under a known name must be what the whole file gives:
 * `checked` containers carry check sums. Returns the number of arrays that were read. */
static int try_file(const source *whole, bool checked)
{
    err e = {0};
    int read = 0;
    source *s = source_open(path, &e);
    if (!s)
        assert_true(e.code != ERR_NONE && strstr(e.msg, path));
    for (int i = 0; s && i < source_count(s); i++) {
        const array_info *a = source_at(s, i), *was = source_get(whole, a->name);
        float *x = source_values(s, a, &e);
        read += x != NULL;
        assert_true(x || (e.code != ERR_NONE && e.msg[0]));
        if (x && was && checked) {
            float *y = source_values(whole, was, &e);
            assert_true(a->n == was->n && a->ndim == was->ndim && a->type == was->type);
            assert_memory_equal(x, y, (size_t)a->n * sizeof *x);
            mem_free(y);
        }
        mem_free(x);
    }
    source_close(s);
    return read;
}

static void every_byte(const char *fixture, bool checked)
{
    err e = {0};
    char *b;
    size_t n;
    int total = 0, all;
    source *whole = source_open(fixture, &e);
    assert_true(whole && fs_read(fixture, 1 << 20, &b, &n, &e));
    zip_file_put(path, b, n);
    all = try_file(whole, true);
    assert_true(all > 0);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    for (size_t i = 0; i < n; i++) {
        static const char flips[] = {1, (char)0x80, (char)0xff};
        for (size_t k = 0; k < sizeof flips; k++) {
            char v = (char)(b[i] ^ flips[k]);
            assert_int_equal(pwrite(fd, &v, 1, (off_t)i), 1);
            total += try_file(whole, checked);
        }
        assert_int_equal(pwrite(fd, b + i, 1, (off_t)i), 1);
    }
    assert_true(total > all); /* some bytes do not matter, such as times */
    total = 0;
    for (size_t cut = n; cut--;) {
        assert_int_equal(ftruncate(fd, (off_t)cut), 0);
        total += try_file(whole, checked);
    }
    assert_int_equal(total, 0);
    close(fd);
    mem_free(b);
    source_close(whole);
}

static void pytorch_every_byte(void **state)
{
    (void)state;
    every_byte(FIXTURE "types.pth", true);
}

static void nested_every_byte(void **state)
{
    (void)state;
    every_byte(FIXTURE "nested.pth", true);
}

static void numpy_every_byte(void **state)
{
    (void)state;
    zip_part part[] = {
        npy("small.npy", F4("(2,)}"), 8, true),
        npy("t.npy", "{'descr': '<f2', 'fortran_order': True, 'shape': (2, 3) }", 12, false), END};
    char *fixture = fs_join(folder, "small.npz");
    zip_file_write(fixture, part);
    every_byte(fixture, true);
    mem_free(fixture);
}

static void safetensors_every_byte(void **state)
{
    (void)state;
    every_byte(FIXTURE "grids.safetensors", false);
}

static void other_files(void **state)
{
    (void)state;
    err e = {0};
    zip_file_put(path, BYTES("no weights at all, but text"));
    assert_null(source_open(path, &e));
    assert_non_null(strstr(e.msg, "neither safetensors nor a zip archive of PyTorch or NumPy"));
    zip_file_put(path, BYTES("PK\3\4 and then nothing of it"));
    assert_null(source_open(path, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "not a whole zip archive"));
    assert_null(source_open(folder, &e));
    assert_null(source_open("/no/such/file", &e));
    assert_int_equal(e.code, ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pytorch_types),
        cmocka_unit_test(pytorch_nested),
        cmocka_unit_test(augreg),
        cmocka_unit_test(numpy_arrays),
        cmocka_unit_test(numpy_refused),
        cmocka_unit_test(pytorch_refused),
        cmocka_unit_test(pytorch_precedence),
        cmocka_unit_test(directories_refused),
        cmocka_unit_test(augreg_refused),
        cmocka_unit_test(pytorch_every_byte),
        cmocka_unit_test(nested_every_byte),
        cmocka_unit_test(numpy_every_byte),
        cmocka_unit_test(safetensors_every_byte),
        cmocka_unit_test(other_files),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
