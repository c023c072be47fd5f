/* model/grads: shares cover a step in blocks of a power of two; the sum is the same tree whoever
 * adds it up; a bucket leaves as soon as its gradients are complete, never before, and in one order
 * on every process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "model/ops_table.h"
#include "tests/step_leaf.h"

#define LEAVES 13
#define CALLS  64

typedef struct world {
    pool *pool;
    backend *be;
    model *net;
    run *r;
    step_image image[LEAVES];
    float *leaf[LEAVES]; /* gradient of each micro-batch by itself */
} world;

/* What a backend was asked for, in place of other processes. */
static struct {
    const float *x;
    int64_t n;
    float *then; /* values when it was asked */
    float stem;  /* the gradient that comes last, at that moment */
    bool waited;
} call[CALLS];
static int calls;
static const float *stem;

static void record_start(backend *be, float *x, int64_t n, int active)
{
    assert_true(calls < CALLS);
    call[calls].x = x;
    call[calls].n = n;
    call[calls].then = mem_alloc((size_t)n * sizeof(float));
    memcpy(call[calls].then, x, (size_t)n * sizeof(float));
    call[calls++].stem = *stem;
}

static void record_wait(backend *be)
{
    call[calls ? calls - 1 : 0].waited = true;
}

static void forget_calls(void)
{
    for (int i = 0; i < calls; i++)
        mem_free(call[i].then);
    memset(call, 0, sizeof call);
    calls = 0;
}

static int64_t grads_count(const world *w)
{
    return param_grads(model_params(w->net));
}

static void walk_leaf(world *w, grads *g, int i)
{
    step_leaf(w->net, w->r, g, w->image, i);
}

/* The gradients of leaves first .. first+count-1 as one process makes them. */
static void make(world *w, grads *g, int first, int count, float *out)
{
    grads_begin(g, &(grads_share){.count = count, .active = 1});
    for (int i = 0; i < count; i++)
        walk_leaf(w, g, first + i);
    grads_end(g);
    if (out)
        memcpy(out, model_params(w->net)->g, (size_t)grads_count(w) * sizeof(float));
}

static int setup(void **state)
{
    world *w = MEM_NEW(world);
    err e = {0};
    w->pool = pool_new(2);
    w->be = backend_new("cpu", w->pool, &e);
    w->net = step_model(w->be, 3);
    w->r = run_new(w->be, RUN_TRAIN);
    step_images(w->image, LEAVES);
    grads *g = grads_new(model_params(w->net), 1 << 20);
    for (int i = 0; i < LEAVES; i++) {
        w->leaf[i] = MEM_ARRAY(float, grads_count(w));
        make(w, g, i, 1, w->leaf[i]);
    }
    grads_free(g);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world *w = *state;
    for (int i = 0; i < LEAVES; i++)
        mem_free(w->leaf[i]);
    run_free(w->r);
    model_free(w->net);
    backend_free(w->be);
    pool_free(w->pool);
    mem_free(w);
    return 0;
}

/* The balanced tree over leaves, by its definition. */
static float tree(const world *w, int first, int n, int64_t k)
{
    int half = 1;
    if (n == 1)
        return w->leaf[first][k];
    while (half * 2 < n)
        half *= 2;
    return tree(w, first, half, k) + tree(w, first + half, n - half, k);
}

static float tree_of(float *const *x, int n, int64_t k)
{
    int half = 1;
    if (n == 1)
        return x[0][k];
    while (half * 2 < n)
        half *= 2;
    return tree_of(x, half, k) + tree_of(x + half, n - half, k);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_deal(void **state)
{
    for (int parts = 1; parts <= 70; parts++)
        for (int size = 1; size <= 9; size++) {
            int at = 0, block = grads_deal(parts, 0, size).count;
            for (int rank = 0; rank < size; rank++) {
                grads_share s = grads_deal(parts, rank, size);
                assert_int_equal(s.first, at);
                assert_true(s.count <= block);
                assert_int_equal(s.count > 0, rank < s.active);
                at += s.count;
            }
            assert_int_equal(at, parts);
            if (parts > block) /* more than one has work: whole branches */
                assert_int_equal(block & (block - 1), 0);
            assert_true(block < 2 * ((parts + size - 1) / size));
        }
}

static void test_copies(void **state)
{
    static const int want[] = {0, 0, 1, 1, 2, 2, 2, 2, 3};
    for (int i = 1; i <= 8; i++)
        assert_int_equal(grads_copies(i), want[i]);
    assert_int_equal(grads_copies(64), 6);
}

/* One process: the tree. Several: shares, then the tree over processes, give the same bytes. */
static void test_tree(void **state)
{
    world *w = *state;
    grads *g = grads_new(model_params(w->net), 1 << 18);
    int64_t n = grads_count(w);
    float *sum[8];
    for (int i = 0; i < 8; i++)
        sum[i] = MEM_ARRAY(float, n);
    bool left_differs = false;
    for (int parts = 1; parts <= LEAVES; parts += parts < 9 ? 1 : 4) {
        make(w, g, 0, parts, sum[0]);
        for (int64_t k = 0; k < n; k++) {
            float left = w->leaf[0][k];
            for (int i = 1; i < parts; i++)
                left += w->leaf[i][k];
            left_differs |= left != sum[0][k];
            if (sum[0][k] != tree(w, 0, parts, k))
                fail_msg("%d parts: gradient %lld", parts, (long long)k);
        }
        for (int size = 2; size <= 8 && parts % 4 == 1; size += 3) {
            int active = grads_deal(parts, 0, size).active;
            for (int rank = 0; rank < active; rank++) {
                grads_share s = grads_deal(parts, rank, size);
                make(w, g, s.first, s.count, sum[rank]);
            }
            for (int64_t k = 0; k < n; k++)
                if (tree_of(sum, active, k) != tree(w, 0, parts, k))
                    fail_msg("%d parts on %d: gradient %lld", parts, size, (long long)k);
        }
    }
    assert_true(left_differs); /* else nothing was proved */
    for (int i = 0; i < 8; i++)
        mem_free(sum[i]);
    grads_free(g);
}

/* Steps of a process that shares, on a table that records. */
static void record(world *w, grads *g, int first, int count)
{
    forget_calls();
    grads_begin(g, &(grads_share){.count = count, .active = 2});
    for (int i = 0; i < count; i++) {
        assert_int_equal(calls, 0); /* nothing leaves before the last micro-batch */
        walk_leaf(w, g, first + i);
    }
    grads_end(g);
    assert_true(call[calls - 1].waited);
}

static void test_buckets(void **state)
{
    world *w = *state;
    param_set *s = model_params(w->net);
    const backend_ops *real = w->be->ops;
    backend_ops ops = *real;
    ops.sum_start = record_start;
    ops.sum_wait = record_wait;
    w->be->ops = &ops;
    w->be->joined = true;
    stem = param_find(s, "patch_embed.proj.weight")->g;
    for (size_t bytes = 1; bytes <= 1 << 24; bytes *= 64) {
        grads *g = grads_new(s, bytes);
        int64_t at[CALLS], end = grads_count(w);
        int n = 0;
        for (int first = 0; first < 2; first++) { /* all patches, half of them */
            for (int count = 1; count <= 3; count += 2) {
                record(w, g, first, count);
                if (n == 0) {
                    for (n = 0; n < calls; n++)
                        at[n] = call[n].x - s->g;
                }
                assert_int_equal(calls, n); /* the same order, whatever was kept */
                for (int i = 0; i < n; i++) {
                    assert_int_equal(call[i].x - s->g, at[i]);
                    /* complete when it left: nobody added to it later */
                    assert_memory_equal(call[i].then, call[i].x, (size_t)call[i].n * sizeof(float));
                }
                /* and the first ones left while the stem's gradient was still to come */
                if (n > 2 && count == 1)
                    assert_true(call[0].stem == 0 && call[n - 1].stem != 0);
            }
        }
        for (int i = 0; i < n; i++) { /* from the end to the begin without a gap */
            assert_int_equal(at[i] + call[i].n, end);
            end = at[i];
            assert_true(i == n - 1 || (size_t)call[i].n * sizeof(float) >= bytes);
        }
        assert_int_equal(end, 0);
        assert_true(bytes > 1 ? n < CALLS : n > 20);
        grads_free(g);
    }
    /* one without work starts the same sums, of zeros */
    grads *g = grads_new(s, 1 << 18);
    record(w, g, 0, 1);
    int n = calls;
    forget_calls();
    grads_begin(g, &(grads_share){.count = 0, .active = 1});
    grads_end(g);
    assert_int_equal(calls, n);
    assert_true(call[0].then[0] == 0);
    forget_calls();
    grads_free(g);
    w->be->ops = real;
    w->be->joined = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deal),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_buckets),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
