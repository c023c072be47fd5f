/* cuDNN builds a plan for every attention that the networks ask for, on a described H200, without a
 * card (gpu.md 3). Needs the toolkit's cuDNN; the Makefile puts the driver that stands in beside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "model/cuda/flash.h"

static const char h200[] =
    "{\"cudaDeviceId\":0,\"deviceName\":\"NVIDIA H200\",\"deviceVer\":900,\"driverVer\":13000,"
    "\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
    "\"regsPerBlock\":65536,\"multiProcessorCount\":132,\"warpSize\":32,"
    "\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":232448,"
    "\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":32,"
    "\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"pciDeviceId\":0,\"isTccDriver\":0,"
    "\"supportCoopLaunch\":1,\"smClockRateKHz\":1980000,\"memClockRateKHz\":3201000,"
    "\"l2CacheSize\":62914560,\"totalGlobalMem\":150754820096}";

static flash *f;
static char missing[1024];

static int open_library(void **state)
{
    err e = {0};
    (void)state;
    f = flash_open(NULL, h200, &e);
    snprintf(missing, sizeof missing, "%s", e.msg);
    return 0;
}

static int close_library(void **state)
{
    (void)state;
    flash_close(f);
    return 0;
}

/* Bytes that the deterministic backward pass keeps its products in. */
static size_t products(const flash_shape *s)
{
    size_t rows = ((size_t)s->queries + 127) / 128 * 128, keys = ((size_t)s->keys + 63) / 64 * 64;
    return (size_t)s->b * (size_t)s->heads * rows * keys * 2;
}

static void plan(const flash_shape *s)
{
    size_t scratch = 0, workspace = 0;
    err e = {0};
    assert_true(flash_takes(s));
    if (!flash_plan(f, s, &scratch, &workspace, &e))
        fail_msg("%s", e.msg);
    size_t rows = (size_t)s->b * (size_t)s->heads * (size_t)s->queries;
    if (s->backward && !s->deterministic)
        assert_true(scratch >= rows * (size_t)(s->head + 1) * sizeof(float));
    if (s->deterministic)
        assert_true(workspace >= products(s) && workspace <= products(s) + 4096);
    else
        assert_true(workspace <= 4096 || s->queries == 1); /* one query: keys in parts */
}

/* The packed rows of a ViT: every number of tokens, both ways. */
static void plans_for_every_length(void **state)
{
    static const int tokens[] = {2, 50, 197, 785, 3137, 16385, 65537}, heads[] = {6, 12, 16};
    (void)state;
    if (!f) {
        print_message("skip: %s\n", missing);
        skip();
    }
    for (size_t t = 0; t < COUNT_OF(tokens); t++) {
        for (size_t h = 0; h < COUNT_OF(heads); h++) {
            int ld = 3 * 64 * heads[h];
            for (int back = 0; back < 2; back++)
                plan(&(flash_shape){.b = tokens[t] > 4000 ? 1 : 8,
                                    .heads = heads[h],
                                    .queries = tokens[t],
                                    .keys = tokens[t],
                                    .head = 64,
                                    .ldq = ld,
                                    .ldk = ld,
                                    .backward = back});
        }
    }
}

/* The last block reads one query of all keys; queries and keys lie apart. */
static void plans_for_one_query(void **state)
{
    (void)state;
    if (!f) {
        print_message("skip: %s\n", missing);
        skip();
    }
    for (int back = 0; back < 2; back++)
        plan(&(flash_shape){.b = 8,
                            .heads = 6,
                            .queries = 1,
                            .keys = 785,
                            .head = 64,
                            .ldq = 384,
                            .ldk = 768,
                            .backward = back});
}

static void deterministic_plans(void **state)
{
    (void)state;
    if (!f) {
        print_message("skip: %s\n", missing);
        skip();
    }
    for (int n = 197; n <= 785; n += 588)
        plan(&(flash_shape){.b = 2,
                            .heads = 6,
                            .queries = n,
                            .keys = n,
                            .head = 64,
                            .ldq = 1152,
                            .ldk = 1152,
                            .backward = true,
                            .deterministic = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_for_every_length),
        cmocka_unit_test(plans_for_one_query),
        cmocka_unit_test(deterministic_plans),
    };
    return cmocka_run_group_tests_name("flash_plan", tests, open_library, close_library);
}
