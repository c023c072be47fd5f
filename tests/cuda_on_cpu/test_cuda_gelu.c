/* GELU's kernels against the definition in double: every bf16 value, a dense grid of float32, both
 * forms; every start beside a multiple of 16 bytes, lengths around a thread's and a block's share,
 * results in place of what they are made of. On a card this measures its quick exp2 and 1/x.
 * Arguments: names of tests; none = all. */
#include "tests/cuda_on_cpu/cases.h"
#include "tests/cuda_on_cpu/device.h"

#include <stdio.h>

#include "core/err.h"
#include "model/ops_table.h"

#define HALF_BF16 0x1p-8 /* half a unit in the last place of bf16, of the value */

static double cdf(double x, bool tanh_form)
{
    return tanh_form ? 1 / (1 + exp(-2 * 0.7978845608028654 * (x + 0.044715 * x * x * x)))
                     : 0.5 * erfc(-x * 0.7071067811865476);
}

static double value(double x, bool tanh_form)
{
    return x * cdf(x, tanh_form);
}

static double slope(double x, bool tanh_form)
{
    if (!tanh_form)
        return cdf(x, false) + x * 0.3989422804014327 * exp(-0.5 * x * x);
    double s = cdf(x, true), rest = cdf(-x, true);
    return s + x * 2 * 0.7978845608028654 * s * rest * (1 + 0.134145 * x * x);
}

static float of_bf16(uint16_t half)
{
    uint32_t u = (uint32_t)half << 16;
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* x is a value of bf16. */
static uint16_t to_bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return (uint16_t)(u >> 16);
}

/* n values on the device that begin `at` elements behind a multiple of 16 bytes and fill their
 * allocation to its end. */
typedef struct values {
    char *home;
    float *x; /* of the type, as a tensor has it */
} values;

static values values_new(backend *be, tensor_type type, int64_t n, int at, const float *x)
{
    size_t size = tensor_size(type), all = (size_t)(n + at) * size;
    char *host = mem_calloc((size_t)(n + at), size);
    values v = {backend_alloc(be, all), NULL};
    for (int64_t i = 0; x && i < n; i++) {
        uint16_t half = to_bf16(x[i]);
        memcpy(host + (size_t)(i + at) * size,
               type == TENSOR_BF16 ? (const void *)&half : (const void *)&x[i], size);
    }
    backend_to_device(be, v.home, host, all);
    v.x = (float *)(void *)(v.home + (size_t)at * size);
    mem_free(host);
    return v;
}

static void values_read(backend *be, const values *v, tensor_type type, int64_t n, float *out)
{
    uint16_t *half = MEM_ARRAY(uint16_t, 2 * n);
    backend_to_host(be, half, v->x, (size_t)n * tensor_size(type));
    if (type == TENSOR_F32)
        memcpy(out, half, (size_t)n * sizeof *out);
    for (int64_t i = 0; i < n && type == TENSOR_BF16; i++)
        out[i] = of_bf16(half[i]);
    mem_free(half);
}

typedef struct gelu_way {
    tensor_type type;
    bool tanh, back, add, in_place;
    int at_x, at_dy, at_to; /* elements */
} gelu_way;

/* to = gelu(x), or = or += dy * slope(x). */
static void gelu_run(backend *be, const gelu_way *w, int64_t n, const float *x, const float *dy,
                     float *to)
{
    values in = values_new(be, w->type, n, w->at_x, x);
    values d = values_new(be, w->type, n, w->at_dy, dy);
    values own = values_new(be, w->type, n, w->at_to, to);
    values out = !w->in_place ? own : w->back ? d : in;
    tensor y = {1, 1, (int)n, w->type, out.x, d.x, false, false}, t = y;
    t.x = in.x;
    t.g = out.x;
    op_args a = {.kind = OP_GELU, .y = &y, .x = &t, .add_x = w->add, .gelu = {w->tanh}};
    (w->back ? be->ops->op[OP_GELU].backward : be->ops->op[OP_GELU].forward)(be, &a);
    values_read(be, &out, w->type, n, to);
    backend_dealloc(be, in.home);
    backend_dealloc(be, d.home);
    backend_dealloc(be, own.home);
}

/* ---- the formula ----------------------------------------------------------------------------- */

/* Largest error over its bound; what is not finite has to be so on both sides. */
static void formula_check(backend *be, const gelu_way *w, int64_t n, const float *x)
{
    float *got = MEM_ARRAY(float, n), *one = MEM_ARRAY(float, n);
    double worst = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++)
        one[i] = 1;
    gelu_run(be, w, n, x, one, got);
    for (int64_t i = 0; i < n; i++) {
        double want = (w->back ? slope : value)(x[i], w->tanh), size = fabs(want);
        if (!isfinite(x[i])) { /* infinity itself stays, where the value has it */
            assert_true(w->back || x[i] == INFINITY ? got[i] == want || isnan(got[i])
                                                    : isnan(got[i]) || got[i] == 0);
            continue;
        }
        /* float32: of the value near 0, where bf16 networks live; of 1 for a slope, which crosses
         * 0. Far below 0 the exponent of exp(-x^2/2) is what is rounded. */
        double limit = (w->type == TENSOR_BF16 ? 1.001 * HALF_BF16 : 0) * size + 1e-36;
        limit += w->back ? 1e-6 : (x[i] < -2 ? 4e-7 * x[i] * x[i] : 1e-6) * size;
        double error = fabs(got[i] - want) / limit;
        if (!(error <= worst)) {
            worst = error;
            at = i;
        }
        if (!(error <= 1))
            fail_msg("%s of %s at %.9g is %.9g, error %.3g of %.3g: %.9g is wanted",
                     w->back ? "slope" : "value", w->tanh ? "the tanh form" : "GELU", (double)x[i],
                     (double)got[i], fabs(got[i] - want), limit, want);
    }
    print_message("%s, %s, %s: worst at %.7g, %.2f of the bound\n",
                  w->type == TENSOR_BF16 ? "bf16" : "float32", w->tanh ? "tanh" : "erf",
                  w->back ? "slope" : "value", (double)x[at], worst);
    mem_free(got);
    mem_free(one);
}

static void formula_checks(tensor_type type, int64_t n, const float *x)
{
    err e = {0};
    device d = device_new();
    assert_true(backend_compute(d.cuda, &(backend_how){.precision = type}, &e));
    for (int how = 0; how < 4; how++)
        formula_check(d.cuda, &(gelu_way){.type = type, .tanh = how & 1, .back = how & 2}, n, x);
    device_free(&d);
}

static void every_bf16_value(void **state)
{
    enum { ALL = 1 << 16 };
    float *x = MEM_ARRAY(float, ALL);
    (void)state;
    for (int i = 0; i < ALL; i++)
        x[i] = of_bf16((uint16_t)i);
    formula_checks(TENSOR_BF16, ALL, x);
    mem_free(x);
}

static void a_grid_of_float32(void **state)
{
    enum { STEPS = 1 << 12, SIDE = 13 * STEPS, ALL = 2 * SIDE + 1 };
    float *x = MEM_ARRAY(float, ALL);
    (void)state;
    for (int i = 0; i < ALL; i++) /* a little beside round numbers */
        x[i] = (float)(i - SIDE) * (1.0F / STEPS) * (1 + 0x1p-20F * (float)(i % 17));
    formula_checks(TENSOR_F32, ALL, x);
    mem_free(x);
}

/* ---- places and lengths ---------------------------------------------------------------------- */

/* Values that bf16 holds, unlike their neighbours. */
static void fill(float *x, int64_t n, int step)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)((i * step) % 61 - 30) / 8;
}

/* The same value wherever it lies: what the kernel of one place gives, all give. */
static void starts_and_lengths(void **state)
{
    enum { MOST = 2 * 8 * 256 + 3 };
    static const int lengths[] = {1, 3, 4, 7, 8, 9, 15, 1023, 1024, 1025, 2047, 2048, 2049, MOST};
    static float x[MOST], dy[MOST], want[MOST], got[MOST], old[MOST];
    device d = device_new();
    err e = {0};
    (void)state;
    fill(x, MOST, 7);
    fill(dy, MOST, 11);
    fill(old, MOST, 5);
    assert_true(backend_compute(d.cuda, &(backend_how){.precision = TENSOR_BF16}, &e));
    for (int k = 0; k < (int)COUNT_OF(lengths); k++) {
        int n = lengths[k];
        size_t bytes = (size_t)n * sizeof *x;
        for (int how = 0; how < 2 * 64; how++) {
            gelu_way w = {how & 64 ? TENSOR_BF16 : TENSOR_F32,
                          n % 3 == 1,
                          how & 1,
                          how & 2,
                          how & 4,
                          (how >> 3) & 1,
                          (how >> 4) & 1,
                          (how >> 5) & 1};
            if ((w.add && (!w.back || w.in_place)) || (!w.back && w.at_dy) ||
                (w.in_place && w.at_to))
                continue;
            gelu_way plain = {w.type, w.tanh, w.back, w.add, false, 0, 0, 0};
            memcpy(want, old, bytes);
            memcpy(got, old, bytes);
            gelu_run(d.cuda, &plain, n, x, dy, want);
            if (cuda_on_cpu_order)
                cuda_on_cpu_order(how % 3, 5);
            gelu_run(d.cuda, &w, n, x, dy, got);
            if (memcmp(want, got, bytes))
                fail_msg("%d values of %zu bytes%s%s%s, starts %d %d %d: error, other bytes", n,
                         tensor_size(w.type), w.back ? ", slope" : "", w.add ? ", added" : "",
                         w.in_place ? ", in place" : "", w.at_x, w.at_dy, w.at_to);
            for (int i = 0; i < n; i++) {
                double right = w.back ? dy[i] * slope(x[i], w.tanh) : value(x[i], w.tanh);
                right += w.add ? old[i] : 0;
                assert_true(fabs(right - want[i]) <=
                            8e-3 * fabs(right) + 1e-5 + (w.add ? 8e-3 : 0));
            }
        }
    }
    if (cuda_on_cpu_order)
        cuda_on_cpu_order(0, 0);
    device_free(&d);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[] = {
        {"every_bf16_value", every_bf16_value, NULL, NULL, NULL},
        {"grid_of_float32", a_grid_of_float32, NULL, NULL, NULL},
        {"starts_and_lengths", starts_and_lengths, NULL, NULL, NULL},
    };
    (void)argc;
    size_t n = cases_chosen(tests, COUNT_OF(tests), argv + 1);
    return _cmocka_run_group_tests("cuda_gelu", tests, n, NULL, NULL);
}
