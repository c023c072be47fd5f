/* Every op of the CUDA backend against the CPU backend: values, gradients of inputs and of
 * parameters, in float32 and bf16. Where the kernels run on the CPU (README.md of this folder) each
 * graph runs under three orders of threads and must give the same bytes. */
#include "tests/prop/op_graphs.h"

#include "tests/cuda_on_cpu/device.h"

#define F32_LIMIT  1e-5 /* of the largest entry */
#define BF16_LIMIT 2e-2
#define SEED       20261121

/* Values, gradients of inputs and of parameters of one graph, one after the other. */
typedef struct result {
    int64_t n[1 + MAX_IN + MAX_PAR];
    float *x[1 + MAX_IN + MAX_PAR];
    int parts;
} result;

static float *result_add(result *r, int64_t n)
{
    r->n[r->parts] = n;
    return r->x[r->parts++] = MEM_ARRAY(float, n);
}

static void result_free(result *r)
{
    for (int i = 0; i < r->parts; i++)
        mem_free(r->x[i]);
}

/* Two walks: the second one adds to every gradient of a parameter. */
static result graph_run(const graph *g, backend *be, tensor_type type)
{
    bench t;
    result out = {0};
    tensor *in[MAX_IN], *y = NULL;
    bench_open(&t, g, be, SEED);
    t.type = type;
    param_zero_grad(t.set);
    for (int i = 0; i < 2; i++) {
        y = bench_forward(&t, t.r, in);
        run_backward_from(t.r, y, t.dir);
    }
    run_read(t.r, y, result_add(&out, tensor_count(y)));
    for (int i = 0; i < t.n_in; i++)
        run_read_grad(t.r, in[i], result_add(&out, in_count(g, i)));
    for (int i = 0; i < t.set->n; i++) {
        param *p = &t.set->p[i];
        backend_to_host(be, result_add(&out, p->n), p->g, (size_t)p->n * sizeof(float));
    }
    bench_close(&t);
    return out;
}

static double worst[2];
static char worst_at[2][160];

static void compare(const graph *g, const result *want, const result *got, tensor_type type)
{
    double limit = type == TENSOR_BF16 ? BF16_LIMIT : F32_LIMIT;
    assert_int_equal(want->parts, got->parts);
    for (int i = 0; i < want->parts; i++) {
        double error = device_error(want->x[i], got->x[i], want->n[i]);
        if (error > worst[type]) {
            worst[type] = error;
            snprintf(worst_at[type], sizeof worst_at[type], "%s, %s, part %d", g->op, g->name, i);
        }
        if (!(error <= limit))
            fail_msg("%s (%s), part %d of y, inputs, parameters: error %.3e, limit %.0e in %s",
                     g->op, g->name, i, error, limit, type == TENSOR_BF16 ? "bf16" : "f32");
    }
}

static void same_bytes(const graph *g, const result *a, const result *b)
{
    for (int i = 0; i < a->parts; i++)
        if (memcmp(a->x[i], b->x[i], (size_t)a->n[i] * sizeof(float)))
            fail_msg("%s (%s): part %d depends on the order of threads", g->op, g->name, i);
}

/* A graph with many rows runs under one other order, and in float32 alone: time is short. */
static bool is_long(const graph *g)
{
    return (int64_t)g->in[0][0] * g->in[0][1] > 120;
}

static void graph_check(device *d, const graph *g)
{
    int orders = !cuda_on_cpu_order ? 1 : is_long(g) ? 2 : 3;
    err e = {0};
    result want = graph_run(g, d->cpu, TENSOR_F32);
    for (int type = TENSOR_F32;
         type <= (is_long(g) && cuda_on_cpu_order ? TENSOR_F32 : TENSOR_BF16); type++) {
        assert_true(backend_compute(d->cuda, (tensor_type)type, &e));
        result got = graph_run(g, d->cuda, (tensor_type)type);
        compare(g, &want, &got, (tensor_type)type);
        for (int order = 1; order < orders; order++) {
            cuda_on_cpu_order(3 - order, SEED);
            result again = graph_run(g, d->cuda, (tensor_type)type);
            same_bytes(g, &got, &again);
            result_free(&again);
        }
        if (cuda_on_cpu_order)
            cuda_on_cpu_order(0, 0);
        result_free(&got);
    }
    result_free(&want);
}

/* All graphs of one op. */
static void ops_are_those_of_the_cpu(void **state)
{
    const graph *first = *state;
    device d = device_new();
    for (const graph *g = first; g < graphs + COUNT_OF(graphs) && !strcmp(g->op, first->op); g++)
        graph_check(&d, g);
    device_free(&d);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(graphs)] = {0};
    size_t n = 0;
    for (size_t i = 0; i < COUNT_OF(graphs); i++)
        if (i == 0 || strcmp(graphs[i].op, graphs[i - 1].op))
            tests[n++] = (struct CMUnitTest){.name = graphs[i].op,
                                             .test_func = ops_are_those_of_the_cpu,
                                             .initial_state = (void *)(uintptr_t)&graphs[i]};
    int failed = _cmocka_run_group_tests("cuda_op", tests, n, NULL, NULL);
    print_message("ops on cuda against the cpu: worst error %.2e in f32 (%s), %.2e in bf16 (%s)\n",
                  worst[0], worst_at[0], worst[1], worst_at[1]);
    return failed;
}
