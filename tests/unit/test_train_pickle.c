/* The restricted pickle reader: values, tensors, everything that must be refused, and bytes changed
 * at random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/mem.h"
#include "core/rng.h"
#include "train/pickle.h"
#include "train/unzip.h"

#define FIXTURE  "tests/fixtures/weights/types.pth"
#define BYTES(s) s, sizeof(s) - 1

static void values(void **state)
{
    (void)state;
    static const char bytes[] = "\x80\x02"
                                "(J\xfe\xff\xff\xffK\xffM\x01\x02\x8a\x02\x00\xff\x8a\x00"
                                "G\x40\x04\x00\x00\x00\x00\x00\x00\x88\x89N"
                                "X\x02\x00\x00\x00hiC\x01z\x8a\x09"
                                "123456789"
                                "]q\x00(K\x01K\x02"
                                "e}(U\x01kK\x07X\x01\x00\x00\x00kK\x08u)\x85t.";
    err e = {0};
    pickle *p = pickle_new(BYTES(bytes), &e);
    assert_non_null(p);
    const pickle_value *v = pickle_root(p);
    assert_int_equal(v->kind, PICKLE_TUPLE);
    assert_int_equal(v->n, 15);
    static const int64_t ints[5] = {-2, 255, 513, -256, 0};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(v->item[i]->kind, PICKLE_INT);
        assert_int_equal(v->item[i]->i, ints[i]);
    }
    assert_true(v->item[5]->kind == PICKLE_REAL && v->item[5]->d == 2.5);
    assert_true(v->item[6]->kind == PICKLE_BOOL && v->item[6]->i == 1 && v->item[7]->i == 0);
    assert_int_equal(v->item[8]->kind, PICKLE_NONE);
    assert_true(v->item[9]->kind == PICKLE_TEXT && !strcmp(v->item[9]->text, "hi"));
    assert_int_equal(v->item[10]->kind, PICKLE_BYTES);
    assert_int_equal(v->item[11]->kind, PICKLE_INERT); /* 72 bits */
    assert_true(v->item[12]->kind == PICKLE_LIST && v->item[12]->n == 2);
    assert_int_equal(pickle_get(v->item[13], "k")->i, 8); /* the last one counts, as in Python */
    assert_null(pickle_get(v->item[13], "x"));
    assert_null(pickle_get(v->item[12], "k"));
    assert_true(v->item[14]->n == 1 && v->item[14]->item[0]->n == 0);
    pickle_free(p);
}

/* A storage "0" of n elements; a tensor on it. */
#define STORAGE(n)                                                                                 \
    "(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x00"                             \
    "0X\x03\x00\x00\x00"                                                                           \
    "cpuK" n "tQ"
#define TENSOR(n, offset, size, stride)                                                            \
    "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE(n) "K" offset size stride "\x89NtR"

static void tensors(void **state)
{
    (void)state;
    static const char bytes[] = "ctorch._utils\n_rebuild_parameter\n(" TENSOR(
        "\x0a", "\x02", "K\x02K\x03\x86", "K\x04K\x01\x86") "\x88NtR}b.";
    err e = {0};
    pickle *p = pickle_new(BYTES(bytes), &e);
    assert_non_null(p);
    const pickle_value *v = pickle_root(p);
    assert_int_equal(v->kind, PICKLE_TENSOR);
    assert_string_equal(v->tensor->storage->key, "0");
    assert_true(v->tensor->storage->type == ARRAY_F32 && v->tensor->storage->n == 10);
    assert_true(v->tensor->shape.n == 6 && v->tensor->shape.ndim == 2);
    assert_true(v->tensor->offset == 2 && v->tensor->stride[0] == 4);
    pickle_free(p);
    /* no element at all: strides reach nowhere */
    p = pickle_new(
        BYTES(TENSOR("\x00", "\x00", "K\x00K\x03\x86",
                     "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x8a\x08\xff\xff\xff\xff\xff\xff\xff"
                     "\x7f\x86") "."),
        &e);
    assert_non_null(p);
    pickle_free(p);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *says;
    } bad[] = {
        {BYTES(""), "ends too early"},
        {BYTES("N"), "ends too early"},
        {BYTES("\x80\x06N."), "pickle protocol 6 is not known"},
        {BYTES("."), "exactly one value"},
        {BYTES("NN."), "exactly one value"},
        {BYTES("N(."), "exactly one value"},
        {BYTES("N.N"), "exactly one value"},
        {BYTES("0."), "empty stack"},
        {BYTES("N(0."), "empty stack"}, /* not below the mark */
        {BYTES("N(\x85."), "empty stack"},
        {BYTES("N(2."), "empty stack"},
        {BYTES("a."), "empty stack"},
        {BYTES("u."), "a mark is missing"},
        {BYTES("t."), "a mark is missing"},
        {BYTES("1."), "a mark is missing"},
        {BYTES("}(Nu."), "does not take them"},
        {BYTES("](NNu."), "does not take them"},
        {BYTES("}Na."), "does not take them"},
        {BYTES("(Nd."), "a key that has no value"},
        {BYTES("cos\nsystem\n(X\x04\x00\x00\x00true\x85R."), "it holds a 'os.system'"},
        {BYTES("cbuiltins\neval\n."), "'builtins.eval', which is not part of a state dict"},
        {BYTES("c\x01\x1b[\nx\n."), "'??[.x'"},
        {BYTES("\x8c\x05posix\x8c\x06system\x93."), "'posix.system'"},
        {BYTES("K\x01K\x02\x93."), "a name that is no text"},
        {BYTES("cposix"), "ends too early"},
        {BYTES("iposix\nsystem\n."), "opcode 0x69 is not"},
        {BYTES("(cposix\nsystem\no."), "'posix.system'"},
        {BYTES("(o."), "opcode 0x6f is not"},
        {BYTES("P1\n."), "opcode 0x50 is not"},
        {BYTES("\x82\x01."), "opcode 0x82 is not"},
        {BYTES("N)R."), "no known function is called"},
        {BYTES("ctorch\nFloatStorage\n)R."), "a storage is made without a reference"},
        {BYTES("ctorch\nFloatStorage\n)\x81."), "a storage is made without a reference"},
        {BYTES("ccollections\nOrderedDict\n]R."), "no known function is called"},
        {BYTES("ccollections\nOrderedDict\nK\x01\x85R."), "a dict is made from something else"},
        {BYTES("ctorch._utils\n_rebuild_parameter\n)R."), "a parameter without a tensor"},
        {BYTES("ctorch._utils\n_rebuild_tensor_v2\n)R."), "a tensor without storage"},
        {BYTES("K\x01}b."), "state is given to something that has none"},
        {BYTES("h\x00."), "memo 0 is read but was never written"},
        {BYTES("Nq\x05."), "memo 5 is written before 0"},
        {BYTES("Nr\xff\xff\xff\xff."), "memo 4294967295 is written before 0"},
        {BYTES("X\xff\xff\xff\xff."), "ends too early"},
        {BYTES("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), "ends too early"},
        {BYTES("\x8b\xff\xff\xff\xff."), "ends too early"},
        {BYTES("K\x01Q."), "a reference that is not ('storage'"},
        {BYTES("(X\x07\x00\x00\x00storageNNNNtQ."), "a reference that is not ('storage'"},
        {BYTES(TENSOR("\x03", "\x00", "K\x04\x85", "K\x01\x85") "."), "does not fit its storage"},
        {BYTES(TENSOR("\x03", "\x02", "K\x02\x85", "K\x01\x85") "."),
         "a tensor of 2 elements from 2 on does not fit its storage of 3"},
        {BYTES(TENSOR("\x03", "\x00", "K\x02\x85", "K\x03\x85") "."), "does not fit its storage"},
        {BYTES(TENSOR("\x03", "\x00", "K\x04\x85", "K\x00\x85") "."), "does not fit its storage"},
        {BYTES(TENSOR("\x03", "\x00", "K\x02\x85",
                      "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85") "."),
         "does not fit its storage"},
        {BYTES(TENSOR("\x03", "\x00", "J\xff\xff\xff\xff\x85", "K\x01\x85") "."),
         "not a whole number >= 0"},
        {BYTES(TENSOR("\x03", "\x00", "K\x01\x85", "J\xff\xff\xff\xff\x85") "."),
         "not a whole number >= 0"},
        {BYTES(TENSOR("\x03", "\x00", "K\x01\x85", ")") "."), "1 sizes and 0 strides"},
        {BYTES(TENSOR("\x03", "\x00", "(K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01t", ")") "."),
         "a tuple of at most 8 sizes"},
        {BYTES(TENSOR("\x03", "\x00", "]", ")") "."), "a tuple of at most 8 sizes"},
        {BYTES(TENSOR("\x03", "\x00",
                      "\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40"
                      "\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40\x86",
                      "K\x01K\x01\x86") "."),
         "does not fit 64 bits"},
        {BYTES(TENSOR("\x03", "\x00", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85",
                      "K\x01\x85") "."),
         "bytes does not fit 64 bits"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        err e = {0};
        assert_null(pickle_new(bad[i].bytes, bad[i].n, &e));
        assert_int_equal(e.code, ERR_INPUT);
        if (!strstr(e.msg, bad[i].says))
            fail_msg("case %zu: '%s' does not say '%s'", i, e.msg, bad[i].says);
    }
}

/* Memory and depth are bounded by numbers of ours, not of the file's. */
static void bounded(void **state)
{
    (void)state;
    err e = {0};
    size_t n = 2 * ((size_t)PICKLE_VALUES_MAX + 2);
    char *b = mem_alloc(n);
    for (size_t i = 0; i < n; i += 2)
        memcpy(b + i, "K\x01", 2);
    assert_null(pickle_new(b, n, &e));
    assert_non_null(strstr(e.msg, "more than 1048576 values"));
    memset(b, 0x85, n); /* tuples in tuples */
    b[0] = ')';
    b[500000] = '.';
    pickle *p = pickle_new(b, 500001, &e);
    assert_non_null(p);
    pickle_free(p);
    memset(b, '(', n);
    assert_null(pickle_new(b, n, &e));
    mem_free(b);
    b = mem_calloc(1, PICKLE_BYTES_MAX + 1);
    assert_null(pickle_new(b, PICKLE_BYTES_MAX + 1, &e));
    assert_non_null(strstr(e.msg, "at most 16777216 are read"));
    mem_free(b);
    p = pickle_new(BYTES("]q\x00h\x00"
                         "a."),
                   &e); /* a list that contains itself */
    assert_non_null(p);
    assert_ptr_equal(pickle_root(p)->item[0], pickle_root(p));
    pickle_free(p);
}

static void try_bytes(const char *b, size_t n, int *whole)
{
    err e = {0};
    pickle *p = pickle_new(b, n, &e);
    *whole += p != NULL;
    assert_true(p || (e.code == ERR_INPUT && e.msg[0]));
    pickle_free(p);
}

static void changed_bytes(void **state)
{
    (void)state;
    err e = {0};
    char *b;
    size_t n;
    int whole = 0;
    unzip *z = unzip_open(FIXTURE, &e);
    assert_non_null(z);
    assert_true(unzip_read(z, unzip_find(z, "types/data.pkl"), PICKLE_BYTES_MAX, &b, &n, &e));
    unzip_close(z);
    try_bytes(b, n, &whole);
    assert_int_equal(whole, 1);
    for (size_t len = 0; len < n; len++) {
        char *cut = mem_alloc(len); /* of its own size, so that a read beyond is seen */
        memcpy(cut, b, len);
        try_bytes(cut, len, &whole);
        mem_free(cut);
    }
    assert_int_equal(whole, 1);
    for (size_t i = 0; i < n; i++) {
        char was = b[i];
        for (int v = 0; v < 256; v++) {
            b[i] = (char)v;
            try_bytes(b, n, &whole);
        }
        b[i] = was;
    }
    assert_true(whole > (int)n);
    /* programs of known opcodes in any order */
    static const char ops[] = "N\x88K\x01X\x01\x00\x00\x00z()t]}asue\x85\x86\x87q\x00h\x00"
                              "02.RQb\x94\x93";
    rng r;
    rng_init(&r, 7, RNG_TEST, 0, 0);
    for (int k = 0; k < 20000; k++) {
        char program[64];
        for (size_t i = 0; i < sizeof program; i++)
            program[i] = ops[rng_below(&r, sizeof ops - 1)];
        try_bytes(program, sizeof program, &whole);
    }
    mem_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),  cmocka_unit_test(tensors),       cmocka_unit_test(refused),
        cmocka_unit_test(bounded), cmocka_unit_test(changed_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
