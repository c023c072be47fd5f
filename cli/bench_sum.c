/* bench sum: gradients of a network summed over processes, bucket by bucket as in training, with
 * values that are known beforehand. Alone it is a group of one: what the library itself costs. */
#include "cli/bench_step.h"

#include "core/mem.h"
#include "core/text.h"
#include "model/model.h"
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WARMUP 3
#define ROUNDS 10
#define VALUES 97 /* whole numbers that come again and again: exact in f32 */

typedef struct sum_bench {
    bench_device d;
    ranks *r;
    tensor_type travel;
    int64_t n, bucket; /* floats */
    float *x, *host;   /* device; values of this process */
} sum_bench;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds from the moment when all are ready until the sums are read. */
static double once(const sum_bench *b)
{
    float last;
    err e = {0};
    backend_to_device(b->d.be, b->x, b->host, (size_t)b->n * sizeof(float));
    backend_to_host(b->d.be, &last, b->x, sizeof last); /* it has arrived */
    bool ready = ranks_agree(b->r, true, &e);
    double t = now();
    for (int64_t end = b->n; end > 0 && ready; end -= b->bucket) {
        int64_t at = end > b->bucket ? end - b->bucket : 0;
        backend_sum_start(b->d.be, b->x + at, end - at, ranks_size(b->r));
    }
    backend_sum_wait(b->d.be);
    backend_to_host(b->d.be, &last, b->x, sizeof last);
    return now() - t;
}

/* The largest difference to the sum that is known, as a share of it. */
static double error_of(const sum_bench *b)
{
    double worst = 0, size = ranks_size(b->r);
    float *got = mem_alloc((size_t)b->n * sizeof(float));
    backend_to_host(b->d.be, got, b->x, (size_t)b->n * sizeof(float));
    for (int64_t i = 0; i < b->n; i++) {
        double want = size * (double)(i % VALUES + 1) + size * (size - 1) / 2;
        double off = fabs((double)got[i] - want) / want;
        worst = off <= worst ? worst : off; /* NaN counts */
    }
    mem_free(got);
    return worst;
}

static bool open_all(cmd_args *a, sum_bench *b, err *e)
{
    const char *name = cmd_value(a, "--model");
    model_cfg mc;
    model_counts count;
    int64_t mib = 0;
    cfg_bind(a->config, &model_options, &mc);
    mc.name = name ? name : "deit_small_patch16_224";
    mc.image_h = mc.image_w = 224;
    b->r = a->ranks;
    b->travel = !strcmp(cfg_text(a->config, "train.reduce"), "bf16") ? TENSOR_BF16 : TENSOR_F32;
    b->d.precision = cfg_text(a->config, "train.precision");
    if (!text_i64(cfg_text(a->config, "train.bucket_mib"), &mib))
        BUG("train.bucket_mib is no number");
    b->bucket = (mib << 20) / (int64_t)sizeof(float);
    b->d.threads = pool_new(a->threads);
    b->d.be = backend_new_shared(a->device, a->ranks, b->d.threads, e);
    if (!b->d.be || !model_count(&mc, &count, e))
        return false;
    b->n = count.params;
    return true;
}

static void tell(cmd_args *a, const sum_bench *b, double s, double error)
{
    int size = ranks_size(b->r);
    double bytes = (double)b->n * (b->travel == TENSOR_F32 ? 4 : 2);
    double bus = bytes * 2 * (size - 1) / size / s * 1e-9;
    json_t *o = json_object();
    json_object_set_new(o, "bench", json_string("sum"));
    bench_device_tell(&b->d, o);
    json_object_set_new(o, "processes", json_integer(size));
    json_object_set_new(o, "values", json_integer(b->n));
    json_object_set_new(o, "travel", json_string(b->travel == TENSOR_F32 ? "f32" : "bf16"));
    json_object_set_new(o, "seconds", json_num(s));
    json_object_set_new(o, "bus_gb_per_second", json_num(bus));
    json_object_set_new(o, "largest_error", json_num(error));
    cmd_result(a, o,
               "sum    %" PRId64 " gradients as %s over %d process%s on %s%s: %.2f ms, each sends "
               "%.2f GB/s, largest error %.2g\n",
               b->n, b->travel == TENSOR_F32 ? "f32" : "bf16", size, size == 1 ? "" : "es",
               backend_title(b->d.be),
               backend_emulated(b->d.be) ? " (emulated: no figure of a card)" : "", 1e3 * s, bus,
               error);
}

bool bench_sum(cmd_args *a, err *e)
{
    sum_bench b = {0};
    double s[ROUNDS], limit;
    bool ok = ranks_agree(a->ranks, open_all(a, &b, e), e);
    ok = ok && ranks_agree(a->ranks, backend_join(b.d.be, b.r, b.travel, e), e);
    if (ok) {
        b.x = backend_alloc(b.d.be, (size_t)b.n * sizeof(float));
        b.host = mem_alloc((size_t)b.n * sizeof(float));
        for (int64_t i = 0; i < b.n; i++)
            b.host[i] = (float)(i % VALUES + 1 + ranks_rank(b.r));
        for (int i = -WARMUP; i < ROUNDS; i++)
            s[i < 0 ? 0 : i] = once(&b);
        limit = b.travel == TENSOR_F32 ? 0 : 0.02;
        double error = error_of(&b);
        if (!(error <= limit))
            ok = err_set(e, ERR_MISMATCH, "the sums are off by %g of their values", error);
        ok = ranks_agree(b.r, ok, e);
        if (ok && ranks_rank(b.r) == 0)
            tell(a, &b, bench_middle(s, ROUNDS), error);
        backend_dealloc(b.d.be, b.x);
        mem_free(b.host);
    }
    bench_device_close(&b.d);
    return ok;
}
