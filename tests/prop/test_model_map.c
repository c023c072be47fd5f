/* op_map as a partial function with weights: forward against its definition, gradients of input and
 * weights against theirs, over random maps; selectors give valid, reproducible, uniform choices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "core/rng.h"
#include "model/op.h"
#include "model/select.h"
#include "tests/device.h"

enum { CASES = 60, SEED = 20240921 };

typedef struct map_case {
    int b, n_in, n_out, c;
    int32_t *dst;
    float *x, *w, *dy;
    bool weighted, learned;
} map_case;

static map_case case_new(rng *r, int i)
{
    map_case k = {.b = 1 + (int)rng_below(r, 3), .n_in = 1 + (int)rng_below(r, 40)};
    k.n_out = 1 + (int)rng_below(r, 40);
    k.c = 1 + (int)rng_below(r, 70);
    k.learned = i % 3 == 0;
    k.weighted = i % 3 != 1;
    int rows = k.b * k.n_in;
    k.dst = MEM_ARRAY(int32_t, rows);
    k.w = MEM_ARRAY(float, rows);
    k.x = MEM_ARRAY(float, rows *k.c);
    k.dy = MEM_ARRAY(float, k.b *k.n_out *k.c);
    for (int j = 0; j < rows; j++) {
        k.dst[j] = (int32_t)rng_below(r, (uint32_t)k.n_out + 1) - 1;
        k.w[j] = (float)rng_normal(r);
    }
    for (int j = 0; j < rows * k.c; j++)
        k.x[j] = (float)rng_normal(r);
    for (int j = 0; j < k.b * k.n_out * k.c; j++)
        k.dy[j] = (float)rng_normal(r);
    return k;
}

static void case_free(map_case *k)
{
    mem_free(k->dst);
    mem_free(k->x);
    mem_free(k->w);
    mem_free(k->dy);
}

static double weight(const map_case *k, int row)
{
    return k->weighted ? (double)k->w[row] : 1.0;
}

static void close_to(const float *got, const double *want, int n)
{
    for (int i = 0; i < n; i++)
        assert_true(fabs((double)got[i] - want[i]) <= 1e-5 * (1 + fabs(want[i])));
}

static void check_forward(const map_case *k, const float *y)
{
    double *want = MEM_ARRAY(double, k->b * k->n_out * k->c);
    for (int row = 0; row < k->b * k->n_in; row++) {
        for (int c = 0; k->dst[row] >= 0 && c < k->c; c++) {
            int to = (row / k->n_in * k->n_out + k->dst[row]) * k->c + c;
            want[to] += weight(k, row) * (double)k->x[row * k->c + c];
        }
    }
    close_to(y, want, k->b * k->n_out * k->c);
    mem_free(want);
}

static void check_backward(const map_case *k, const float *gx, const float *gw)
{
    double *x = MEM_ARRAY(double, k->b * k->n_in * k->c), *w = MEM_ARRAY(double, k->b * k->n_in);
    for (int row = 0; row < k->b * k->n_in; row++) {
        for (int c = 0; k->dst[row] >= 0 && c < k->c; c++) {
            int from = (row / k->n_in * k->n_out + k->dst[row]) * k->c + c, at = row * k->c + c;
            x[at] = weight(k, row) * (double)k->dy[from];
            w[row] += (double)k->x[at] * (double)k->dy[from];
        }
    }
    close_to(gx, x, k->b * k->n_in * k->c);
    if (k->learned)
        close_to(gw, w, k->b * k->n_in);
    mem_free(x);
    mem_free(w);
}

static void maps_follow_their_definition(void **state)
{
    backend *be = *state;
    run *r = run_new(be, RUN_TRAIN);
    rng q;
    rng_init(&q, SEED, RNG_TEST, 0, 0);
    for (int i = 0; i < CASES; i++) {
        map_case k = case_new(&q, i);
        run_reset(r);
        tensor *x = run_input(r, k.b, k.n_in, k.c, k.x, false);
        tensor *w = k.learned ? run_input(r, k.b, k.n_in, 1, k.w, false) : NULL;
        op_map_spec map = {.n_in = k.n_in, .n_out = k.n_out, .dst = k.dst};
        map.weight = k.weighted && !k.learned ? k.w : NULL;
        tensor *y = op_map(r, x, &map, w);
        assert_int_equal(y->n, k.n_out);
        float *host = MEM_ARRAY(float, (k.n_out + k.n_in) * k.b * k.c);
        float *gw = MEM_ARRAY(float, k.b *k.n_in);
        run_read(r, y, host);
        check_forward(&k, host);
        run_backward_from(r, y, k.dy);
        run_read_grad(r, x, host);
        if (w)
            run_read_grad(r, w, gw);
        check_backward(&k, host, gw);
        mem_free(host);
        mem_free(gw);
        case_free(&k);
    }
    run_free(r);
}

/* Two maps of one input: the gradients add up. */
static void gradients_of_two_maps_add(void **state)
{
    run *r = run_new(*state, RUN_TRAIN);
    const float x[6] = {1, 2, 3, 4, 5, 6}, da[2] = {10, 20}, db[2] = {1, 2};
    const int32_t first[3] = {0, -1, -1}, all[3] = {0, 0, 0};
    op_map_spec a = {.n_in = 3, .n_out = 1, .dst = first}, b = {.n_in = 3, .n_out = 1, .dst = all};
    tensor *in = run_input(r, 1, 3, 2, x, false);
    tensor *sum = op_add(r, op_map(r, in, &a, NULL), op_map(r, in, &b, NULL), NULL);
    float y[2], g[6];
    run_read(r, sum, y);
    assert_true(y[0] == 10 && y[1] == 14);
    const float both[2] = {da[0] + db[0], da[1] + db[1]};
    run_backward_from(r, sum, both);
    run_read_grad(r, in, g);
    const float want[6] = {22, 44, 11, 22, 11, 22};
    assert_memory_equal(g, want, sizeof want);
    run_free(r);
}

static void selections_are_valid(void **state)
{
    (void)state;
    static const double rates[] = {0.05, 0.25, 0.5, 0.9, 1};
    int32_t a[400], b[400];
    for (int mode = SELECT_RANDOM; mode <= SELECT_GRID; mode++) {
        for (size_t k = 0; k < COUNT_OF(rates); k++) {
            for (uint64_t sample = 0; sample < 40; sample++) {
                int n = select_count((select_mode)mode, 14, 20, rates[k]);
                assert_true(n >= 0 && n <= 280);
                select_patches((select_mode)mode, 14, 20, rates[k], SEED, sample, 3, a);
                select_patches((select_mode)mode, 14, 20, rates[k], SEED, sample, 3, b);
                assert_memory_equal(a, b, (size_t)n * sizeof *a);
                for (int i = 0; i < n; i++)
                    assert_true(a[i] >= 0 && a[i] < 280 && (i == 0 || a[i] > a[i - 1]));
            }
        }
    }
    assert_int_equal(select_count(SELECT_RANDOM, 14, 14, 0.25), 49);
    assert_int_equal(select_count(SELECT_STRUCTURED, 14, 14, 0.25), 49);
    assert_int_equal(select_count(SELECT_CROPPING, 14, 14, 0.25), 49);
    assert_int_equal(select_count(SELECT_GRID, 14, 14, 0.25), 49);
    assert_int_equal(select_count(SELECT_RANDOM, 4, 4, 0.05), 0);
}

/* Every patch is kept in k/N of the draws; pairs in k(k-1)/(N(N-1)). */
static void random_selection_is_uniform(void **state)
{
    (void)state;
    enum { DRAWS = 20000 };
    int count[16] = {0}, pair = 0;
    int32_t keep[16];
    for (int i = 0; i < DRAWS; i++) {
        select_patches(SELECT_RANDOM, 4, 4, 0.25, SEED, (uint64_t)i % 100, (uint64_t)i / 100, keep);
        bool in[16] = {false};
        for (int k = 0; k < 4; k++)
            in[keep[k]] = true;
        for (int p = 0; p < 16; p++)
            count[p] += in[p];
        pair += in[2] && in[13];
    }
    double sd = sqrt(DRAWS * 0.25 * 0.75);
    for (int p = 0; p < 16; p++)
        assert_true(fabs(count[p] - DRAWS * 0.25) < 4.5 * sd);
    assert_true(fabs(pair - DRAWS * 0.05) < 4.5 * sqrt(DRAWS * 0.05 * 0.95));
}

static pool *threads;

static int setup(void **state)
{
    err e = {0};
    threads = pool_new(2);
    *state = backend_new(test_device(), threads, &e);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    backend_free(*state);
    pool_free(threads);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_follow_their_definition),
        cmocka_unit_test(gradients_of_two_maps_add),
        cmocka_unit_test(selections_are_valid),
        cmocka_unit_test(random_selection_is_uniform),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
