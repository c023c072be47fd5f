/* Attention within windows against its definition in double, and the promises of docs/ops.md: no
 * byte depends on threads or on the cut of a batch. Derivatives: tests/prop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "core/pool.h"
#include "core/rng.h"
#include "model/op.h"
#include "tests/device.h"

enum { TABLES = 4 };

/* One call: shapes, values and tables. */
typedef struct call {
    int b, windows, tokens, heads, head, entries;
    float *x, *bias, *dy;
    int32_t *index, *table;
} call;

static int64_t rows(const call *c)
{
    return (int64_t)c->b * c->windows * c->tokens;
}

static call call_new(int b, int windows, int tokens, int heads, int head, int entries)
{
    call c = {b, windows, tokens, heads, head, entries, NULL, NULL, NULL, NULL, NULL};
    rng r;
    rng_init(&r, 5, RNG_TEST, (uint64_t)tokens, (uint64_t)head);
    int64_t d = (int64_t)heads * head, n = rows(&c) * d;
    c.x = MEM_ARRAY(float, 3 * n);
    c.dy = MEM_ARRAY(float, n);
    c.bias = MEM_ARRAY(float, entries *heads);
    c.index = MEM_ARRAY(int32_t, TABLES * tokens * tokens);
    c.table = MEM_ARRAY(int32_t, b * windows);
    for (int64_t i = 0; i < 3 * n; i++)
        c.x[i] = (float)(1.5 * rng_normal(&r));
    for (int64_t i = 0; i < n; i++)
        c.dy[i] = (float)rng_normal(&r);
    for (int i = 0; i < entries * heads; i++)
        c.bias[i] = (float)rng_normal(&r);
    for (int i = 0; i < TABLES * tokens * tokens; i++) {
        bool alone = i / tokens == 0 && tokens > 1; /* all masked: as if none were */
        bool masked = alone || (i % tokens != i / tokens % tokens && rng_below(&r, 4) == 0);
        c.index[i] = (int32_t)rng_below(&r, (uint32_t)entries) + (masked ? entries : 0);
    }
    for (int i = 0; i < b * windows; i++)
        c.table[i] = (int32_t)rng_below(&r, TABLES);
    return c;
}

static void call_free(call *c)
{
    mem_free(c->x);
    mem_free(c->bias);
    mem_free(c->dy);
    mem_free(c->index);
    mem_free(c->table);
}

/* y [rows, d], gradients of x and of the bias; the batch runs in parts of `part` samples. */
static void run_call(const call *c, int threads, int part, float *y, float *dx, float *dbias)
{
    err e = {0};
    pool *p = pool_new(threads);
    backend *be = backend_new(test_device(), p, &e);
    assert_non_null(be);
    param_set *s = param_set_new(be, 1);
    param *bias = param_add(s, "bias", 2, (const int[]){c->entries, c->heads});
    param_set_alloc(s);
    param_write(s, bias, c->bias);
    param_zero_grad(s);
    run *r = run_new(be, RUN_TRAIN);
    int n = c->windows * c->tokens, d = c->heads * c->head;
    for (int from = 0; from < c->b; from += part) {
        int b = from + part < c->b ? part : c->b - from;
        int64_t at = (int64_t)from * n * d;
        run_reset(r);
        tensor *x = run_input(r, b, n, 3 * d, c->x + 3 * at, false);
        op_window_spec w = {c->tokens, TABLES, c->index, c->table + from * c->windows};
        tensor *out = op_window_attention(r, x, c->heads, bias, &w);
        run_read(r, out, y + at);
        run_backward_from(r, out, c->dy + at);
        run_read_grad(r, x, dx + 3 * at);
    }
    backend_to_host(be, dbias, bias->g, (size_t)bias->n * sizeof(float));
    run_free(r);
    param_set_free(s);
    backend_free(be);
    pool_free(p);
}

/* Logits of one query as the definition says, softmaxed. */
static void probabilities(const call *c, int64_t window, int head, int q, double *p)
{
    int d = c->heads * c->head, t = c->tokens;
    const float *x = c->x + window * t * 3 * d + head * c->head;
    const int32_t *index = c->index + (int64_t)c->table[window] * t * t + q * t;
    double top = -INFINITY, sum = 0;
    for (int k = 0; k < t; k++) {
        p[k] = c->bias[index[k] % c->entries * c->heads + head];
        p[k] += index[k] >= c->entries ? -100 : 0;
        for (int i = 0; i < c->head; i++)
            p[k] += (double)x[(int64_t)q * 3 * d + i] * x[(int64_t)k * 3 * d + d + i] /
                    sqrt((double)c->head);
        top = fmax(top, p[k]);
    }
    for (int k = 0; k < t; k++)
        sum += p[k] = exp(p[k] - top);
    for (int k = 0; k < t; k++)
        p[k] /= sum;
}

static void check_definition(const call *c)
{
    int d = c->heads * c->head, t = c->tokens;
    int64_t n = rows(c) * d;
    float *y = MEM_ARRAY(float, n), *dx = MEM_ARRAY(float, 3 * n);
    float *db = MEM_ARRAY(float, c->entries * c->heads);
    double *p = MEM_ARRAY(double, t), *want = MEM_ARRAY(double, c->entries * c->heads), worst = 0;
    run_call(c, 2, c->b, y, dx, db);
    for (int64_t w = 0; w < (int64_t)c->b * c->windows; w++) {
        for (int h = 0; h < c->heads; h++) {
            const float *v = c->x + w * t * 3 * d + 2 * d + h * c->head;
            for (int q = 0; q < t; q++) {
                int64_t at = (w * t + q) * d + h * c->head;
                double delta = 0;
                probabilities(c, w, h, q, p);
                for (int i = 0; i < c->head; i++) {
                    double sum = 0;
                    for (int k = 0; k < t; k++)
                        sum += p[k] * v[(int64_t)k * 3 * d + i];
                    delta += sum * c->dy[at + i];
                    worst = fmax(worst, fabs(sum - y[at + i]));
                }
                for (int k = 0; k < t; k++) { /* gradient of the logit = that of its entry */
                    double dp = 0;
                    for (int i = 0; i < c->head; i++)
                        dp += (double)c->dy[at + i] * v[(int64_t)k * 3 * d + i];
                    int e = c->index[((int64_t)c->table[w] * t + q) * t + k] % c->entries;
                    want[e * c->heads + h] += p[k] * (dp - delta);
                }
            }
        }
    }
    assert_true(worst < 2e-5);
    double size = 0, diff = 0;
    for (int i = 0; i < c->entries * c->heads; i++) {
        size = fmax(size, fabs(want[i]));
        diff = fmax(diff, fabs(want[i] - db[i]));
    }
    assert_true(size > 0.1 && diff < 2e-5 * (1 + size));
    mem_free(y);
    mem_free(dx);
    mem_free(db);
    mem_free(p);
    mem_free(want);
}

static void as_defined(void **state)
{
    (void)state;
    static const int shape[][6] = {{2, 4, 49, 3, 32, 169}, {1, 30, 49, 1, 8, 169},
                                   {3, 5, 9, 2, 7, 25},    {2, 3, 2, 2, 32, 9},
                                   {1, 2, 25, 2, 32, 40},  {1, 1, 144, 1, 32, 529}};
    for (size_t i = 0; i < COUNT_OF(shape); i++) {
        const int *s = shape[i];
        call c = call_new(s[0], s[1], s[2], s[3], s[4], s[5]);
        check_definition(&c);
        call_free(&c);
    }
}

/* A window of one token: its own value, whatever the bias; no gradient reaches q, k and the bias.
 */
static void one_token_is_its_own_value(void **state)
{
    (void)state;
    call c = call_new(2, 3, 1, 1, 4, 5);
    float y[24], dx[72], db[5];
    run_call(&c, 1, 2, y, dx, db);
    for (int r = 0; r < 6; r++) {
        for (int i = 0; i < 4; i++) {
            assert_true(fabsf(y[4 * r + i] - c.x[12 * r + 8 + i]) < 1e-6f);
            assert_true(fabsf(dx[12 * r + 8 + i] - c.dy[4 * r + i]) < 1e-6f);
            assert_true(fabsf(dx[12 * r + i]) < 1e-5f && fabsf(dx[12 * r + 4 + i]) < 1e-5f);
        }
    }
    for (int i = 0; i < 5; i++)
        assert_true(fabsf(db[i]) < 1e-5f);
    call_free(&c);
}

static void threads_and_cuts_change_no_byte(void **state)
{
    (void)state;
    call c = call_new(5, 50, 49, 2, 16, 169); /* three chunks of windows */
    int64_t n = rows(&c) * c.heads * c.head, m = (int64_t)c.entries * c.heads;
    float *want = MEM_ARRAY(float, 4 * n + m), *got = MEM_ARRAY(float, 4 * n + m);
    run_call(&c, 1, 5, want, want + n, want + 4 * n);
    for (int threads = 1; threads <= 4; threads += 3) {
        for (int part = 5; part >= 1; part -= 2) {
            run_call(&c, threads, part, got, got + n, got + 4 * n);
            assert_memory_equal(got, want, (size_t)(4 * n + m) * sizeof(float));
        }
    }
    mem_free(want);
    mem_free(got);
    call_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_defined),
        cmocka_unit_test(one_token_is_its_own_value),
        cmocka_unit_test(threads_and_cuts_change_no_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
