/* cuDNN builds a plan for every attention that the networks ask for, on described cards, without a
 * card (gpu.md 3), and takes kept plans again without compiling. Needs the toolkit's cuDNN; the
 * Makefile puts a driver that stands in beside, and a counting door to the compiler.
 *   test_flash_plan               a part of the matrix of shapes: what `make test` runs
 *   test_flash_plan all           all of it (`make accept`)
 *   test_flash_plan plans FOLDER  the child of the test of kept plans */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/mem.h"
#include "model/cuda/flash.h"
#include "model/cuda/plan.h"
#include "tests/unit/said.h"

int nvrtc_stand_in_compiled(void);

typedef struct card {
    const char *name;
    int version, processors, shared; /* compute capability * 100, shared memory of a block */
    flash *f;
} card;
enum { A100, H200, B200, CARDS };
static card cards[CARDS] = {[A100] = {"NVIDIA A100", 800, 108, 166912, NULL},
                            [H200] = {"NVIDIA H200", 900, 132, 232448, NULL},
                            [B200] = {"NVIDIA B200", 1000, 148, 232448, NULL}};
static bool whole;           /* matrix */
static const char *own_path; /* of this program */

static flash *open_card(const card *c, err *e)
{
    char json[1200];
    snprintf(
        json, sizeof json,
        "{\"cudaDeviceId\":0,\"deviceName\":\"%s\",\"deviceVer\":%d,\"driverVer\":13000,"
        "\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
        "\"regsPerBlock\":65536,\"multiProcessorCount\":%d,\"smCountOrigin\":0,\"warpSize\":32,"
        "\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":%d,"
        "\"oversizedSharedMemoryPerBlock\":0,\"reservedSharedMemoryPerBlock\":1024,"
        "\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":32,"
        "\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"pciDeviceId\":0,"
        "\"isTccDriver\":0,\"supportCoopLaunch\":1,\"smClockRateKHz\":1980000,"
        "\"memClockRateKHz\":3201000,\"memoryBusWidth\":6144,\"l2CacheSize\":62914560,"
        "\"totalGlobalMem\":150754820096}",
        c->name, c->version, c->processors, c->shared);
    return flash_open(NULL, json, e);
}

static char missing[1024];

static int open_library(void **state)
{
    err e = {0};
    (void)state;
    for (int i = 0; i < CARDS; i++)
        cards[i].f = open_card(&cards[i], &e);
    snprintf(missing, sizeof missing, "%s", e.msg);
    return 0;
}

static int close_library(void **state)
{
    (void)state;
    for (int i = 0; i < CARDS; i++)
        flash_close(cards[i].f);
    return 0;
}

static void want_library(void)
{
    if (!cards[H200].f) {
        print_message("skip: %s\n", missing);
        skip();
    }
}

/* A plan wants what the memory of a step is planned with, and with less than a page beside the case
 * of one query, whose keys are parted as the library likes. */
static void plan(const card *c, const flash_shape *s)
{
    size_t scratch = 0, workspace = 0, rows = (size_t)s->b * (size_t)s->heads * (size_t)s->queries;
    char isa[16];
    err e = {0};
    assert_true(flash_takes(s));
    if (!flash_plan(c->f, s, &scratch, &workspace, &e))
        fail_msg("%s: %s", c->name, e.msg);
    if (s->backward && !s->deterministic)
        assert_true(scratch >= rows * (size_t)(s->head + 1) * sizeof(float));
    snprintf(isa, sizeof isa, "sm_%d", c->version / 10);
    size_t most = plan_fused_workspace(isa, s), unknown = plan_fused_workspace("described", s);
    if (workspace > most || most > unknown)
        fail_msg("%s: %d by %d tokens, pass %d %d: %zu bytes are wanted, %zu and %zu planned",
                 c->name, s->queries, s->keys, s->backward, s->deterministic, workspace, most,
                 unknown);
    if (c->version == 900 && (s->queries > 1 || s->backward))
        assert_true(most - workspace <= 4096);
}

static void plan_packed(const card *c, int tokens, int heads, bool bias)
{
    for (int pass = 0; pass < 3; pass++)
        plan(c, &(flash_shape){.b = tokens > 4000 ? 1 : 8,
                               .heads = heads,
                               .queries = tokens,
                               .keys = tokens,
                               .head = 64,
                               .ldq = 3 * 64 * heads,
                               .ldk = 3 * 64 * heads,
                               .backward = pass > 0,
                               .deterministic = pass > 1,
                               .bias = bias});
}

/* The packed rows of a ViT: every number of tokens; forward, backward, deterministic backward. In
 * part: the networks' own numbers of heads by turns. */
static void plans_for_every_length(void **state)
{
    static const int tokens[] = {2, 50, 197, 785, 3137, 16385, 65537}, heads[] = {6, 12, 16};
    (void)state;
    want_library();
    for (int k = 0; k < CARDS; k++) {
        for (size_t t = 0; t < COUNT_OF(tokens); t++) {
            for (size_t h = 0; h < COUNT_OF(heads); h++) {
                if (whole || (k == H200 ? t % 3 == h : t > 0 && t % 3 == 0 && t / 3 == h))
                    plan_packed(&cards[k], tokens[t], heads[h], false);
            }
        }
    }
}

static void plan_one_query(const card *c, int b, int heads, int keys, bool backward, bool bias)
{
    plan(c, &(flash_shape){.b = b,
                           .heads = heads,
                           .queries = 1,
                           .keys = keys,
                           .head = 64,
                           .ldq = 64 * heads,
                           .ldk = 128 * heads,
                           .backward = backward,
                           .bias = bias});
}

/* The last block reads one query of all keys; queries and keys lie apart. */
static void plans_for_one_query(void **state)
{
    (void)state;
    want_library();
    for (int pass = 0; pass < 4; pass++)
        plan_one_query(&cards[H200], 8, 6, 785, pass > 1, pass % 2);
    /* keys in parts, or not: that is the forward pass's */
    static const int shapes[][3] = {{1, 6, 16385}, {2, 6, 785},   {1, 16, 65537},
                                    {64, 6, 785},  {4, 12, 3137}, {1, 3, 197}};
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        plan_one_query(&cards[i % 2 ? A100 : H200], shapes[i][0], shapes[i][1], shapes[i][2], false,
                       false);
}

/* PPT counts merged tokens by a bias on their keys: cuDNN has these plans. */
static void plans_with_a_bias_on_the_keys(void **state)
{
    static const int tokens[] = {2, 147, 785, 3137};
    (void)state;
    want_library();
    for (int k = 0; k < CARDS; k++) {
        for (size_t t = 0; t < COUNT_OF(tokens); t++) {
            if (whole || (k == H200 && t == 1))
                plan_packed(&cards[k], tokens[t], 6, true);
        }
    }
}

/* ---- kept plans -------------------------------------------------------------------------------
 */

enum {
    KEPT = 3,
    COMPILES_ITSELF = 92000 /* 9.28 does not come to the NVRTC that counts, 9.19 does */
};

/* The child: plans through the folder, one line. */
static int plans_of(const char *folder)
{
    err e = {0};
    size_t scratch[KEPT], workspace[KEPT];
    flash *f = open_card(&cards[H200], &e);
    cache *store = cache_open(folder, CACHE_LIMIT);
    bool ok = f != NULL;
    if (ok)
        flash_keep(f, store, cards[H200].name);
    for (int i = 0; ok && i < KEPT; i++) {
        flash_shape s = {.b = 2,
                         .heads = 6,
                         .queries = 197,
                         .keys = 197,
                         .head = 64,
                         .ldq = 1152,
                         .ldk = 1152,
                         .backward = i > 0,
                         .deterministic = i > 1};
        ok = flash_plan(f, &s, &scratch[i], &workspace[i], &e);
    }
    if (ok)
        printf("compiled %d workspaces %zu %zu %zu\n", nvrtc_stand_in_compiled(), workspace[0],
               workspace[1], workspace[2]);
    else
        printf("failed: %s\n", e.msg);
    flash_close(f);
    cache_close(store);
    return ok ? 0 : 1;
}

static FILE *child(const char *folder)
{
    char command[1400];
    snprintf(command, sizeof command, "'%s' plans '%s'", own_path, folder);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    return p;
}

/* Kernels that it compiled, and its workspaces. */
static int answer(FILE *p, size_t workspace[KEPT])
{
    char line[1200] = "";
    int n = -1;
    bool told = fgets(line, sizeof line, p) != NULL;
    if (pclose(p) != 0 || !told ||
        sscanf(line, "compiled %d workspaces %zu %zu %zu", &n, &workspace[0], &workspace[1],
               &workspace[2]) != 4)
        fail_msg("the child said: %s", line);
    return n;
}

typedef struct entries {
    int n;
    char path[8][512];
} entries;

static bool note_entry(void *ctx, const fs_entry *f, err *e)
{
    entries *all = ctx;
    (void)e;
    if (all->n < 8)
        snprintf(all->path[all->n], sizeof all->path[0], "%s", f->path);
    all->n++;
    return true;
}

/* Two programs at once fill an empty folder; the next one compiles nothing and has the same plans;
 * a damaged file, and a sound one whose text is no plan, are built again, one each. */
static void kept_plans_are_not_compiled_again(void **state)
{
    char folder[300], *bytes, key[CACHE_KEY_MAX] = "";
    size_t first[KEPT], second[KEPT], n, len = 0;
    const char *top = getenv("TMPDIR");
    entries all = {0};
    err e = {0};
    (void)state;
    want_library();
    snprintf(folder, sizeof folder, "%s/plans.XXXXXX", top && *top ? top : "/tmp");
    assert_non_null(mkdtemp(folder));
    FILE *one = child(folder), *two = child(folder);
    int compiled = answer(one, first);
    answer(two, second);
    assert_memory_equal(first, second, sizeof first);
    assert_int_equal(answer(child(folder), second), 0);
    assert_memory_equal(first, second, sizeof first);
    assert_true(fs_walk(folder, note_entry, &all, &e));
    assert_int_equal(all.n, KEPT);
    assert_true(fs_read(all.path[0], CACHE_DATA_MAX, &bytes, &n, &e));
    memcpy(&len, bytes + 16, 4);
    memcpy(key, bytes + 56, len);
    const char *version = strstr(key, "cuDNN ");
    assert_non_null(version);
    assert_non_null(strstr(key, cards[H200].name));
    if (atoi(version + 6) >= COMPILES_ITSELF) {
        print_message("skip: this cuDNN compiles out of our sight\n");
        mem_free(bytes);
        assert_true(fs_remove_tree(folder, &e));
        skip();
    }
    assert_true(compiled >= KEPT);
    bytes[n / 2] ^= 1;
    assert_true(fs_write_private(all.path[0], bytes, n, &e));
    assert_true(answer(child(folder), second) >= 1);
    assert_int_equal(answer(child(folder), second), 0);
    static const char *const no_plan[] = {"", "{}", "[1", "{\"engine\": 99999}"};
    for (size_t i = 0; i < COUNT_OF(no_plan); i++) {
        cache *store = cache_open(folder, CACHE_LIMIT);
        cache_put(store, key, no_plan[i], strlen(no_plan[i]));
        cache_close(store);
        assert_true(answer(child(folder), second) >= 1);
        assert_memory_equal(first, second, sizeof first);
    }
    assert_int_equal(answer(child(folder), second), 0);
    mem_free(bytes);
    assert_true(fs_remove_tree(folder, &e));
}

/* ---- what the library has not
 * --------------------------------------------------------------------
 */

/* A card without bf16: told once for each shape, and not asked for again. */
static void what_is_missing_is_told_once(void **state)
{
    static const card v100 = {"NVIDIA V100", 700, 80, 98304, NULL};
    const flash_shape s = {
        .b = 2, .heads = 6, .queries = 197, .keys = 197, .head = 64, .ldq = 1152, .ldk = 1152};
    char path[300], *log;
    const char *top = getenv("TMPDIR");
    size_t scratch, workspace, len;
    err e = {0}, none = {0};
    (void)state;
    want_library();
    flash *f = open_card(&v100, &e);
    assert_non_null(f);
    snprintf(path, sizeof path, "%s/missing.%d", top && *top ? top : "/tmp", (int)getpid());
    said to = said_begin(path);
    for (int i = 0; i < 3; i++)
        assert_false(flash_plan(f, &s, &scratch, &workspace, &e));
    assert_true(said_end(to, path,
                         "warn attention_slow why=\"cuDNN has no forward attention of 2 "
                         "images, 6 heads, 197 by 197 tokens: "));
    assert_true(fs_read(path, 1 << 16, &log, &len, &none));
    assert_null(strstr(strstr(log, "attention_slow") + 1, "attention_slow"));
    assert_string_equal(e.msg, "cuDNN has no forward attention of 197 by 197 tokens");
    unlink(path);
    mem_free(log);
    flash_close(f);
}

/* ---- the library's version --------------------------------------------------------------------
 */

static void older_libraries_are_refused(void **state)
{
    err e = {0};
    (void)state;
    setenv("MAMMOVIT_CUDA_LIBS", STAND_IN_FOLDER, 1);
    setenv("STAND_IN_CUDNN", "91500", 1);
    assert_null(flash_open(NULL, NULL, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_string_equal(e.msg, "device cuda: cuDNN 9.15.0 is older than 9.15.1, whose attention "
                               "is the first that reads no further than its keys");
    setenv("STAND_IN_CUDNN", "8907", 1);
    assert_null(flash_open(NULL, NULL, &e));
    assert_non_null(strstr(e.msg, "cuDNN 8.9.7 is older than 9.15.1"));
    setenv("STAND_IN_CUDNN", "91501", 1);
    flash *f = flash_open(NULL, NULL, &e);
    assert_non_null(f);
    flash_close(f);
    unsetenv("MAMMOVIT_CUDA_LIBS");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_for_every_length),
        cmocka_unit_test(plans_for_one_query),
        cmocka_unit_test(plans_with_a_bias_on_the_keys),
        cmocka_unit_test(kept_plans_are_not_compiled_again),
        cmocka_unit_test(what_is_missing_is_told_once),
        cmocka_unit_test(older_libraries_are_refused),
    };
    if (argc == 3 && !strcmp(argv[1], "plans"))
        return plans_of(argv[2]);
    own_path = argv[0];
    whole = argc == 2 && !strcmp(argv[1], "all");
    return cmocka_run_group_tests_name("flash_plan", tests, open_library, close_library);
}
