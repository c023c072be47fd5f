/* safetensors and the import of timm weights: round trips, every kind of broken file, folding,
 * another grid, names, and a new head. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "core/fs.h"
#include "core/mem.h"
#include "core/rng.h"
#include "train/safetensors.h"
#include "train/weights.h"

#define FIXTURE "tests/fixtures/weights/"

static char folder[] = "/tmp/mammovit-weights-XXXXXX";

static char *file(const char *name)
{
    return fs_join(folder, name);
}

/* ---- the container ------------------------------------------------------------------------------
 */

static void put_file(const char *path, const char *header, size_t data)
{
    size_t n = strlen(header), len = 8 + n + data;
    char *b = mem_calloc(1, len);
    for (int i = 0; i < 8; i++)
        b[i] = (char)(n >> 8 * i);
    memcpy(b + 8, header, n);
    for (size_t i = 0; i < data; i++)
        b[8 + n + i] = (char)(i * 37);
    err e = {0};
    assert_true(fs_write(path, b, len, &e));
    mem_free(b);
}

static void round_trip(void **state)
{
    (void)state;
    char *path = file("a.safetensors"), *again = file("b.safetensors");
    const float x[6] = {1, -2.5f, 3e-30f, 4, -0.0f, 6}, one = 7;
    const int64_t shape[2] = {2, 3}, none[1] = {0};
    err e = {0};
    json_t *meta = json_pack("{ss}", "format", "pt");
    char *bytes[2];
    size_t len[2];
    for (int k = 0; k < 2; k++) {
        safetensors_writer *w = safetensors_writer_new(k ? again : path, meta);
        safetensors_writer_add(w, "z.first", 2, shape, x);
        safetensors_writer_add(w, "empty", 1, none, x);
        safetensors_writer_add(w, "a \"quoted\" \xC3\xA9", 0, NULL, &one);
        assert_true(safetensors_writer_finish(w, &e));
        assert_true(fs_read(k ? again : path, 1 << 20, &bytes[k], &len[k], &e));
    }
    assert_int_equal(len[0], len[1]);
    assert_memory_equal(bytes[0], bytes[1], len[0]);
    assert_int_equal((unsigned char)bytes[0][0] % 8, 0); /* the header is padded to 8 bytes */
    safetensors *s = safetensors_open(path, &e);
    assert_non_null(s);
    assert_int_equal(safetensors_count(s), 3);
    assert_string_equal(safetensors_meta(s, "format"), "pt");
    assert_null(safetensors_meta(s, "other"));
    const array_info *a = safetensors_get(s, "z.first");
    assert_int_equal(a->ndim, 2);
    assert_int_equal(a->shape[1], 3);
    float got[6];
    assert_true(safetensors_read(s, a, got, &e));
    assert_memory_equal(got, x, sizeof x);
    a = safetensors_get(s, "a \"quoted\" \xC3\xA9");
    assert_int_equal(a->ndim, 0);
    assert_true(safetensors_read(s, a, got, &e) && got[0] == 7);
    assert_int_equal(safetensors_get(s, "empty")->n, 0);
    assert_null(safetensors_get(s, "absent"));
    safetensors_close(s);
    json_decref(meta);
    mem_free(bytes[0]);
    mem_free(bytes[1]);
    mem_free(path);
    mem_free(again);
}

static void half_precision(void **state)
{
    (void)state;
    char *path = file("half.safetensors");
    static const uint16_t half[8] = {0x3c00, 0xc500, 0x0001, 0x83ff,
                                     0x7bff, 0x7c00, 0x3555, 0x0400};
    static const float want[8] = {1,     -5,       0x1p-24f,     -1023 * 0x1p-24f,
                                  65504, INFINITY, 0.333251953f, 6.103515625e-05f};
    static const char head[] = "{\"h\":{\"dtype\":\"F16\",\"shape\":[8],\"data_offsets\":[0,16]},"
                               "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[16,20]},"
                               "\"i\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[20,24]}}";
    char b[8 + sizeof head - 1 + 24] = {(char)(sizeof head - 1)};
    err e = {0};
    memcpy(b + 8, head, sizeof head - 1);
    memcpy(b + 8 + sizeof head - 1, half, 16);
    static const uint16_t brain[2] = {0x3f80, 0xc2c8};
    memcpy(b + 8 + sizeof head - 1 + 16, brain, 4);
    assert_true(fs_write(path, b, sizeof b, &e));
    safetensors *s = safetensors_open(path, &e);
    assert_non_null(s);
    float got[8];
    assert_true(safetensors_read(s, safetensors_get(s, "h"), got, &e));
    assert_memory_equal(got, want, sizeof want);
    assert_true(safetensors_read(s, safetensors_get(s, "b"), got, &e));
    assert_true(got[0] == 1 && got[1] == -100);
    assert_false(safetensors_read(s, safetensors_get(s, "i"), got, &e));
    assert_non_null(strstr(e.msg, "holds I32; F32, F16, BF16 or F64 wanted"));
    safetensors_close(s);
    mem_free(path);
}

static void broken_files(void **state)
{
    (void)state;
#define A "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
    static const struct {
        const char *header;
        size_t data;
        const char *says;
    } bad[] = {
        {"{\"a\":" A ",\"a\":" A "}", 8, "a key appears twice"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
         "twice"},
        {"{\"a\":" A "}", 12, "the arrays take 8 bytes, the file holds 12"},
        {"{\"a\":" A "}", 4, "the arrays take 8 bytes, the file holds 4"},
        {"{\"a\":" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8,
         "begins at byte 4, 8 was expected"},
        {"{\"a\":" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}}", 16,
         "begins at byte 12, 8 was expected"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8,
         "do not fill 8 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8,
         "not a whole number"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8,
         "not a whole number"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967298],\"data_offsets\":[0,8]}}", 8,
         "does not fit 64 bits"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387906],\"data_offsets\":[0,8]}}", 8,
         "bytes does not fit 64 bits"},
        {"{\"a\":{\"dtype\":\"F31\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
         "type is not known"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "not a pair"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "not a pair"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "exactly dtype, shape and data_offsets"},
        {"{\"a\":[1]}", 8, "exactly dtype, shape and data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", 8,
         "at most 8"},
        {"{\"__metadata__\":{\"k\":1},\"a\":" A "}", 8, "not a string"},
        {"[1, 2]", 8, "does not begin with '{'"},
        {" {}", 0, "does not begin with '{'"},
        {"{\"a\":" A, 8, "not valid JSON"},
    };
#undef A
    char *path = file("bad.safetensors");
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        err e = {0};
        put_file(path, bad[i].header, bad[i].data);
        assert_null(safetensors_open(path, &e));
        assert_int_equal(e.code, ERR_INPUT);
        if (!strstr(e.msg, bad[i].says) || !strstr(e.msg, "bad.safetensors"))
            fail_msg("case %zu: '%s' does not say '%s'", i, e.msg, bad[i].says);
    }
    static const struct {
        char bytes[16];
        size_t len;
        const char *says;
    } raw[] = {{"", 0, "0 bytes are too few"},
               {"\x02\0\0\0\0\0\0\0{", 9, "too few"},
               {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, "a header of 18446744073709551615 bytes"},
               {"\x03\0\0\0\0\0\0\0{}", 10, "a header of 3 bytes"},
               {"\x01\xe1\xf5\x05\0\0\0\0{}", 10, "a header of 100000001 bytes"}};
    for (size_t i = 0; i < COUNT_OF(raw); i++) {
        err e = {0};
        assert_true(fs_write(path, raw[i].bytes, raw[i].len, &e));
        assert_null(safetensors_open(path, &e));
        assert_non_null(strstr(e.msg, raw[i].says));
    }
    err e = {0};
    assert_null(safetensors_open("/no/such/file", &e));
    assert_int_equal(e.code, ERR_IO);
    assert_null(safetensors_open(folder, &e));
    mem_free(path);
}

/* ---- networks -----------------------------------------------------------------------------------
 */

typedef struct world {
    pool *pool;
    backend *be;
} world;

static model *build(const world *w, model_cfg c, uint64_t seed)
{
    c.channels = c.channels ? c.channels : 1;
    c.classes = c.classes ? c.classes : 2;
    c.keep_rate = 1;
    c.head_init = 0.02;
    err e = {0};
    model *m = model_new(&c, w->be, seed, &e);
    assert_non_null(m);
    return m;
}

static model *net(const world *w, int side_h, int side_w, int channels, int classes, int depth,
                  uint64_t seed)
{
    return build(w,
                 (model_cfg){.name = "vit_tiny_patch16_224",
                             .image_h = side_h,
                             .image_w = side_w,
                             .channels = channels,
                             .classes = classes,
                             .depth = depth},
                 seed);
}

static int setup(void **state)
{
    static world w;
    err e = {0};
    w.pool = pool_new(2);
    w.be = backend_new("cpu", w.pool, &e);
    *state = &w;
    return w.be && mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    world *w = *state;
    err e = {0};
    backend_free(w->be);
    pool_free(w->pool);
    return fs_remove_tree(folder, &e) ? 0 : -1;
}

static bool equal(model *a, model *b, const char *name)
{
    const param *p = param_find(model_params(a), name), *q = param_find(model_params(b), name);
    return p->n == q->n && memcmp(p->x, q->x, (size_t)p->n * sizeof(float)) == 0;
}

static const weights_opts plain = {RESAMPLE_BILINEAR, false}, strict = {RESAMPLE_BILINEAR, true};

static void networks_come_back(void **state)
{
    char *path = file("m.safetensors");
    model *a = net(*state, 64, 48, 1, 2, 2, 1), *b = net(*state, 64, 48, 1, 2, 2, 2);
    err e = {0};
    json_t *meta = json_pack("{ss}", "made_by", "test");
    assert_false(equal(a, b, "head.weight"));
    assert_true(weights_save(a, path, meta, &e));
    assert_true(weights_load(b, path, &strict, NULL, &e));
    param_set *s = model_params(a);
    for (int i = 0; i < s->n; i++)
        assert_true(equal(a, b, s->p[i].name));
    /* the same without `exact`: the file names its own grid, so 4x3 is not taken for anything else
     */
    model *c = net(*state, 64, 48, 1, 2, 2, 3);
    weights_report r;
    text_init(&r.table);
    assert_true(weights_load(c, path, &plain, &r, &e));
    assert_int_equal(r.loaded, s->n);
    assert_int_equal(r.resized + r.kept + r.unused, 0);
    assert_true(equal(a, c, "pos_embed"));
    text_release(&r.table);
    safetensors *f = safetensors_open(path, &e);
    assert_string_equal(safetensors_meta(f, "made_by"), "test");
    assert_string_equal(safetensors_meta(f, "pos_grid"), "4x3");
    safetensors_close(f);
    json_decref(meta);
    model_free(a);
    model_free(b);
    model_free(c);
    mem_free(path);
}

/* An ImageNet network into a mammography one: grey stem, other grid, other head, deeper. */
static void pretrained_networks_fit(void **state)
{
    char *path = file("rgb.safetensors");
    model *a = net(*state, 64, 64, 3, 1000, 2, 1), *b = net(*state, 96, 32, 1, 2, 3, 2);
    model *fresh = net(*state, 96, 32, 1, 2, 3, 2);
    err e = {0};
    assert_true(weights_save(a, path, NULL, &e));
    weights_report r;
    text_init(&r.table);
    assert_true(weights_load(b, path, &plain, &r, &e));
    assert_true(equal(a, b, "blocks.1.mlp.fc2.weight") && equal(a, b, "cls_token"));
    assert_true(equal(fresh, b, "head.weight") && equal(fresh, b, "blocks.2.attn.qkv.weight"));
    assert_int_equal(r.resized, 2);
    assert_int_equal(r.kept, 12 + 2);
    assert_non_null(strstr(r.table.s, "resized  patch_embed.proj.weight [192, 1, 16, 16] file "
                                      "[192, 3, 16, 16] (sum over 3 channels)\n"));
    assert_non_null(strstr(r.table.s, "resized  pos_embed [1, 13, 192] file [1, 17, 192] "
                                      "(positions 4x4 to 6x2, bilinear)\n"));
    assert_non_null(strstr(r.table.s, "kept     head.weight [2, 192] file [1000, 192] "
                                      "(a head of other classes)\n"));
    assert_non_null(strstr(r.table.s, "loaded   norm.bias [192]\n"));
    const float *rgb = param_find(model_params(a), "patch_embed.proj.weight")->x;
    const float *grey = param_find(model_params(b), "patch_embed.proj.weight")->x;
    for (int d = 0; d < 192; d++) {
        for (int i = 0; i < 256; i++) {
            const float *p = rgb + d * 768 + i;
            assert_true(fabsf(grey[d * 256 + i] - (p[0] + p[256] + p[512])) < 1e-6f);
        }
    }
    assert_false(weights_load(b, path, &strict, NULL, &e));
    assert_non_null(strstr(e.msg, "has shape [1, 17, 192], the network wants [1, 13, 192]"));
    text_release(&r.table);
    model_free(a);
    model_free(b);
    model_free(fresh);
    mem_free(path);
}

static void logits_of(const world *w, model *m, const uint16_t *image, float out[2])
{
    model_batch batch = {
        .b = 1, .h = 64, .w = 64, .image = &image, .grey = true, .mean = 0.3f, .sd = 0.2f};
    run *r = run_new(w->be, RUN_INFER);
    run_read(r, model_forward(m, r, &batch), out);
    run_free(r);
}

/* A grey image as three equal channels, and as one with the sum of the weights: the same logits. */
static void folding_changes_no_logit(void **state)
{
    char *path = file("grey.safetensors");
    model *a = net(*state, 64, 64, 3, 2, 2, 1), *one = net(*state, 64, 64, 1, 2, 2, 2);
    model *three = net(*state, 64, 64, 3, 2, 2, 3);
    err e = {0};
    uint16_t image[64 * 64];
    float want[2], got[2];
    rng r;
    rng_init(&r, 3, RNG_TEST, 0, 0);
    for (int i = 0; i < 64 * 64; i++)
        image[i] = (uint16_t)rng_below(&r, 65536);
    assert_true(weights_save(a, path, NULL, &e));
    assert_true(weights_load(one, path, &plain, NULL, &e));
    assert_true(weights_load(three, path, &plain, NULL, &e));
    logits_of(*state, a, image, want);
    logits_of(*state, three, image, got);
    assert_memory_equal(got, want, sizeof want);
    logits_of(*state, one, image, got);
    assert_true(want[0] != want[1]);
    for (int i = 0; i < 2; i++)
        assert_true(fabsf(got[i] - want[i]) < 1e-4f * fabsf(want[0] - want[1]));
    model_free(a);
    model_free(one);
    model_free(three);
    mem_free(path);
}

/* Swin: the table of relative positions follows the window, the masks are computed. */
static void windows(void **state)
{
    char *path = file("swin.safetensors");
    model_cfg c = {.name = "swin_tiny_patch4_window7_224", .image_h = 224, .image_w = 224};

    model *a = build(*state, c, 1), *same = build(*state, c, 2);
    c.image_h = c.image_w = 128;
    c.window = 4;
    model *b = build(*state, c, 3);
    err e = {0};
    weights_report r;
    text_init(&r.table);
    assert_true(weights_export(a, path, NAMES_TIMM, NULL, &e));
    assert_true(weights_load(same, path, &plain, &r, &e));
    param_set *s = model_params(a);
    for (int i = 0; i < s->n; i++)
        assert_true(equal(a, same, s->p[i].name));
    assert_non_null(strstr(r.table.s, "loaded   layers.0.downsample.norm.weight [384] from "
                                      "layers.1.downsample.norm.weight\n"));
    assert_non_null(strstr(r.table.s, "loaded   head.bias [2] from head.fc.bias\n"));
    text_clear(&r.table);
    if (!weights_load(b, path, &plain, &r, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(r.resized, 2 + 2 + 6 + 2);
    assert_non_null(strstr(r.table.s, "[49, 3] file [169, 3] (steps of a window 13x13 to 7x7, "
                                      "bicubic)\n"));
    static const char name[] = "layers.2.blocks.5.attn.relative_position_bias_table";
    float want[49 * 12];
    resample_values(&(resample_grid){1, 12, 13, 13, 7, 7}, RESAMPLE_BICUBIC, param_find(s, name)->x,
                    want);
    assert_memory_equal(param_find(model_params(b), name)->x, want, sizeof want);
    text_release(&r.table);
    model_free(a);
    model_free(b);
    model_free(same);
    mem_free(path);
}

static void nothing_changes_on_failure(void **state)
{
    char *path = file("nan.safetensors");
    model *a = net(*state, 64, 64, 1, 2, 2, 1), *b = net(*state, 64, 64, 1, 2, 2, 2);
    model *twin = net(*state, 64, 64, 1, 2, 2, 2);
    err e = {0};
    param *last = param_find(model_params(a), "head.bias");
    last->x[1] = NAN;
    assert_true(weights_save(a, path, NULL, &e));
    assert_false(weights_load(b, path, &plain, NULL, &e));
    assert_non_null(strstr(e.msg, "'head.bias' holds a value that is not finite"));
    param_set *s = model_params(b);
    for (int i = 0; i < s->n; i++)
        assert_true(equal(b, twin, s->p[i].name));
    put_file(path, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
    assert_false(weights_load(b, path, &plain, NULL, &e));
    assert_non_null(strstr(e.msg, "not a file for 'vit_tiny_patch16_224' with timm's names"));
    put_file(path,
             "{\"blocks.0.norm1.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
             8);
    assert_false(weights_load(b, path, &plain, NULL, &e));
    assert_non_null(strstr(e.msg, "'cls_token' is missing"));
    model_free(a);
    model_free(b);
    model_free(twin);
    mem_free(path);
}

/* What is in the model but not in a file, and the other way round, by name. */
static void names_of_a_file(void **state)
{
    char *path = file("named.safetensors");
    model *a = net(*state, 64, 64, 1, 2, 2, 1), *b = net(*state, 64, 64, 1, 2, 2, 2);
    param_set *s = model_params(a);
    static const struct {
        const char *add; /* an array more, or */
        const char *from, *to;
        const char *says;
    } bad[] = {
        {"blocks.1.ls1.gamma", "", "", "'blocks.1.ls1.gamma' is nothing this network computes"},
        {"norm_pre.weight", "", "", "'norm_pre.weight' is nothing this network computes"},
        {NULL, "norm.", "fc_norm.", "a network that averages its patches before the norm"},
        {NULL, "blocks.0.norm1.bias", "x", "'blocks.0.norm1.bias' is missing"},
        {"module.cls_token", "", "", "are names of one parameter"},
    };
    static const struct {
        const char *add, *prefix, *line;
    } good[] = {
        {"head_dist.weight", "", "unused   head_dist.weight [1]\n"},
        {"blocks.2.norm1.weight", "", "unused   blocks.2.norm1.weight [1]\n"},
        {"pre_logits.fc.bias", "module.", "loaded   norm.bias [192] from module.norm.bias\n"},
        {"blocks.0.attn.relative_position_index", "",
         "unused   blocks.0.attn.relative_position_index [1] (follows from the window)\n"},
    };
    for (size_t k = 0; k < COUNT_OF(bad) + COUNT_OF(good); k++) {
        bool fails = k < COUNT_OF(bad);
        size_t g = k - COUNT_OF(bad);
        const char *add = fails ? bad[k].add : good[g].add, *from = fails ? bad[k].from : "";
        err e = {0};
        safetensors_writer *w = safetensors_writer_new(path, NULL);
        for (int i = 0; i < s->n; i++) {
            const param *p = &s->p[i];
            int64_t shape[4];
            char name[128];
            bool change = strncmp(p->name, from, strlen(from)) == 0;
            for (int d = 0; d < p->ndim; d++)
                shape[d] = p->shape[d];
            snprintf(name, sizeof name, "%s%s",
                     fails && change ? bad[k].to
                     : fails         ? ""
                                     : good[g].prefix,
                     p->name + (change ? strlen(from) : 0));
            safetensors_writer_add(w, name, p->ndim, shape, p->x);
        }
        if (add)
            safetensors_writer_add(w, add, 1, (int64_t[]){1}, s->p[0].x);
        assert_true(safetensors_writer_finish(w, &e));
        weights_report r;
        text_init(&r.table);
        bool ok = weights_load(b, path, &plain, &r, &e);
        if (ok == fails || !strstr(fails ? e.msg : r.table.s, fails ? bad[k].says : good[g].line))
            fail_msg("case %zu: %s%s", k, e.msg, ok ? r.table.s : "");
        assert_true(!ok || (r.loaded == s->n && r.unused == 1));
        text_release(&r.table);
    }
    model_free(a);
    model_free(b);
    mem_free(path);
}

/* Networks with one, two and five tokens before the patches, all into one another. */
static void other_tokens(void **state)
{
    static const struct {
        const char *name, *token;
        int tokens;
    } kinds[] = {{"deit_tiny_patch16_224", NULL, 1},
                 {"deit_tiny_distilled_patch16_224", "dist_token", 2},
                 {"vit_tiny_patch16_reg4_224", "reg_token", 5}};
    enum { N = COUNT_OF(kinds), D = 192 };
    char *path = file("tokens.safetensors");
    for (int i = 0; i < N * N; i++) {
        int f = i / N, t = i % N, both = kinds[f].tokens < kinds[t].tokens ? f : t;
        model_cfg c = {.name = kinds[f].name, .image_h = 64, .image_w = 64, .depth = 1};
        model *from = build(*state, c, 1);
        c.name = kinds[t].name;
        model *to = build(*state, c, 2), *fresh = build(*state, c, 2);
        err e = {0};
        weights_report r;
        text_init(&r.table);
        assert_true(weights_save(from, path, NULL, &e));
        if (!weights_load(to, path, &plain, &r, &e))
            fail_msg("%s into %s: %s", kinds[f].name, kinds[t].name, e.msg);
        const float *old = param_find(model_params(from), "pos_embed")->x;
        const float *new = param_find(model_params(to), "pos_embed")->x;
        const float *initial = param_find(model_params(fresh), "pos_embed")->x;
        int rows = kinds[both].tokens;
        assert_memory_equal(new, old, (size_t)rows * D * sizeof *new);
        assert_memory_equal(new + rows *D, initial + rows * D,
                            (size_t)(kinds[t].tokens - rows) * D * sizeof *new);
        assert_memory_equal(new + kinds[t].tokens *D, old + kinds[f].tokens * D,
                            (size_t)16 * D * sizeof *new);
        if (f != t) {
            char line[96];
            snprintf(line, sizeof line, "(positions 4x4 to 4x4, %d rows of tokens to %d)",
                     kinds[f].tokens, kinds[t].tokens);
            assert_non_null(strstr(r.table.s, line));
            assert_true(!kinds[t].token || equal(to, fresh, kinds[t].token));
        }
        text_release(&r.table);
        model_free(from);
        model_free(to);
        model_free(fresh);
    }
    mem_free(path);
}

/* PiT: positions in planes, its pools under three names, its export under timm's. */
static void planes(void **state)
{
    char *path = file("pit.safetensors");
    model_cfg c = {.name = "pit_ti_224", .image_h = 40, .image_w = 40};
    model *a = build(*state, c, 1), *same = build(*state, c, 3);
    c.image_w = 64;
    model *b = build(*state, c, 2);
    err e = {0};
    weights_report r;
    text_init(&r.table);
    assert_true(weights_save(a, path, NULL, &e));
    assert_true(weights_load(b, path, &plain, &r, &e));
    assert_non_null(strstr(r.table.s, "resized  pos_embed [1, 64, 4, 7] file [1, 64, 4, 4] "
                                      "(positions 4x4 to 4x7, bilinear)\n"));
    assert_int_equal(r.resized, 1);
    float want[64 * 28];
    resample_values(&(resample_grid){64, 1, 4, 4, 4, 7}, RESAMPLE_BILINEAR,
                    param_find(model_params(a), "pos_embed")->x, want);
    assert_memory_equal(param_find(model_params(b), "pos_embed")->x, want, sizeof want);
    assert_true(equal(a, b, "pools.1.fc.weight"));
    for (int layout = NAMES_TIMM; layout <= NAMES_TIMM04; layout++) {
        text_clear(&r.table);
        assert_true(weights_export(a, path, (names_layout)layout, NULL, &e));
        assert_true(weights_load(same, path, &plain, &r, &e));
        assert_non_null(strstr(r.table.s, layout == NAMES_TIMM
                                              ? " from transformers.2.pool.fc.weight\n"
                                              : " from transformers.1.pool.fc.weight\n"));
        param_set *s = model_params(a);
        for (int i = 0; i < s->n; i++)
            assert_true(equal(a, same, s->p[i].name));
        assert_false(weights_load(same, path, &strict, NULL, &e)); /* checkpoints keep our names */
    }
    text_release(&r.table);
    model_free(a);
    model_free(b);
    model_free(same);
    mem_free(path);
}

/* Files that are whole and belong to no network here. */
static void other_containers(void **state)
{
    model *a = net(*state, 64, 64, 1, 2, 2, 1);
    err e = {0};
    assert_false(weights_load(a, FIXTURE "tiny.npz", &plain, NULL, &e));
    assert_non_null(
        strstr(e.msg, "'cls_token' has shape [1, 1, 8], the network wants [1, 1, 192]"));
    assert_false(weights_load(a, FIXTURE "types.pth", &plain, NULL, &e));
    assert_non_null(strstr(e.msg, "not a file for 'vit_tiny_patch16_224' with timm's names"));
    assert_false(weights_load(a, FIXTURE "legacy.pth", &plain, NULL, &e));
    assert_non_null(strstr(e.msg, "convert it once"));
    model_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(half_precision),
        cmocka_unit_test(broken_files),
        cmocka_unit_test(networks_come_back),
        cmocka_unit_test(pretrained_networks_fit),
        cmocka_unit_test(nothing_changes_on_failure),
        cmocka_unit_test(names_of_a_file),
        cmocka_unit_test(other_containers),
        cmocka_unit_test(other_tokens),
        cmocka_unit_test(planes),
        cmocka_unit_test(windows),
        cmocka_unit_test(folding_changes_no_logit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
