/* Every op of the CUDA backend against the CPU backend: values, gradients of inputs and of
 * parameters, for every mixture of float32 and bf16 inputs that the op takes, on buffers of exact
 * size (guard.h), with inputs as nobody wishes for them. Where the kernels run on the CPU
 * (README.md of this folder) each graph runs under three orders of threads and must give the same
 * bytes. Arguments: names of ops; none = all. */
#include "tests/prop/op_graphs.h"

#include "tests/cuda_on_cpu/cases.h"
#include "tests/cuda_on_cpu/device.h"
#include "tests/cuda_on_cpu/guard.h"

#define SEED 20261121

/* What each op may be off by, of the largest entry; both sides compute from the same values.
 * `huge`: the size of inputs that still leave finite results. */
typedef struct bound {
    const char *op;
    double f32, bf16;
    float huge;
} bound;

static const bound bounds[] = {
    {"linear", 5e-6, 8e-3, 1e15F},
    {"mlp", 5e-6, 8e-3, 1e3F},
    {"mlp_tanh", 5e-6, 8e-3, 1e3F},
    {"layernorm", 5e-6, 8e-3, 1e15F},
    {"add_layernorm", 5e-6, 8e-3, 1e15F},
    {"add", 5e-6, 8e-3, 1e30F},
    {"gelu", 5e-6, 8e-3, 1e15F},
    {"gelu_tanh", 5e-6, 8e-3, 1e15F},
    {"sum of gradients", 5e-6, 8e-3, 1e3F},
    {"attention", 5e-6, 2e-2, 1.5F},
    {"attention_cls", 5e-6, 2e-2, 1.5F},
    {"window", 5e-6, 2e-2, 1},
    {"attention_score", 5e-6, 2e-2, 1.5F},
    {"map", 5e-6, 8e-3, 1e15F},
    {"prefix", 5e-6, 8e-3, 1e30F},
    {"position", 5e-6, 8e-3, 1e30F},
    {"pool", 5e-6, 8e-3, 1e15F},
    {"mean", 5e-6, 8e-3, 1e30F},
};

static const bound *bound_of(const graph *g)
{
    for (size_t i = 0; i < COUNT_OF(bounds); i++)
        if (!strcmp(bounds[i].op, g->op))
            return &bounds[i];
    fail_msg("%s has no row in the table of bounds", g->op);
    return NULL;
}

typedef enum fill {
    DRAWN,
    TIES,
    ZEROS,
    MINUS_ZEROS,
    EQUAL_ROWS,
    HUGE_ONES,
    SMALL,
    DENORMAL,
    FILLS
} fill;
static const char *const fill_name[] = {"drawn",      "ties", "zeros", "minus zeros",
                                        "equal rows", "huge", "small", "denormal"};

/* One way to run a graph. */
typedef struct variant {
    backend_precision precision;
    unsigned float_inputs; /* bit i: input i is float32, the others are bf16 */
    fill how;
    bool twice;
} variant;

static float filled(float drawn, int64_t i, int width, const float *x, const variant *v, float huge)
{
    switch (v->how) {
    case TIES:
        return (float)(int)(2 * drawn) / 2;
    case ZEROS:
        return 0;
    case MINUS_ZEROS:
        return -0.0F;
    case EQUAL_ROWS: /* two rows in turn: were all one, gradients would be rounding alone */
        return x[i % (2 * width)];
    case HUGE_ONES:
        return drawn * huge;
    case SMALL:
        return drawn * 1e-6F;
    case DENORMAL:
        return drawn * 1e-41F;
    default:
        return drawn;
    }
}

/* What is left of a value in bf16: both sides start from this. */
static float rounded(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    u = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000U;
    memcpy(&x, &u, sizeof x);
    return x;
}

static void round_all(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = rounded(x[i]);
}

/* The same inputs, parameters and gradient for both sides. */
static void bench_fill(bench *t, const graph *g, const variant *v)
{
    tensor *in[MAX_IN];
    for (int k = 0; k < t->n_in; k++) {
        for (int64_t i = 0; i < in_count(g, k); i++)
            t->in[k][i] = filled(t->in[k][i], i, g->in[k][2], t->in[k], v, bound_of(g)->huge);
        round_all(t->in[k], in_count(g, k));
    }
    for (int k = 0; k < t->set->n; k++) {
        param *p = &t->set->p[k];
        float *x = MEM_ARRAY(float, p->n);
        param_read(t->set, p, x);
        round_all(x, p->n);
        param_write(t->set, p, x);
        mem_free(x);
    }
    round_all(t->dir, tensor_count(bench_forward(t, t->r, in)));
}

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
static result graph_run(const graph *g, backend *be, const variant *v)
{
    bench t;
    result out = {0};
    tensor *in[MAX_IN], *y = NULL;
    bench_open(&t, g, be, SEED);
    t.type = strcmp(backend_name(be), "cpu") ? TENSOR_BF16 : TENSOR_F32;
    t.float_inputs = v->float_inputs;
    t.twice = v->twice;
    bench_fill(&t, g, v);
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
static int compared;

static int inputs_of(const graph *g)
{
    int n = 0;
    while (n < MAX_IN && g->in[n][0])
        n++;
    return n;
}

static double largest(const float *x, int64_t n)
{
    double big = 1e-30;
    for (int64_t i = 0; i < n; i++)
        big = fmax(big, fabs((double)x[i]));
    return big;
}

/* Of the largest entry. With odd inputs a gradient may be nothing but rounding: it is measured by
 * the largest gradient of the graph then. */
static void compare(const graph *g, const result *want, const result *got, const variant *v)
{
    const bound *b = bound_of(g);
    bool half = v->precision != BACKEND_F32 || v->float_inputs + 1 < 1U << inputs_of(g);
    double limit = half ? b->bf16 : b->f32;
    double floor = 0;
    assert_int_equal(want->parts, got->parts);
    for (int i = 1; i < want->parts && v->how != DRAWN; i++)
        floor = fmax(floor, (v->how == HUGE_ONES ? 0.1 : 1e-3) * largest(want->x[i], want->n[i]));
    for (int i = 0; i < want->parts; i++) {
        double big = largest(want->x[i], want->n[i]);
        double error = device_error(want->x[i], got->x[i], want->n[i]) * big / fmax(big, floor);
        if (getenv("SHOW_ERRORS"))
            fprintf(stderr, "E %s %s %d %d %s %.2e\n", g->op, half ? "bf16" : "f32", i, v->how,
                    g->name, error);
        if (error > worst[half]) {
            worst[half] = error;
            snprintf(worst_at[half], sizeof worst_at[half], "%s, %s, part %d", g->op, g->name, i);
        }
        compared++;
        if (!(error <= limit))
            fail_msg("%s (%s), %s inputs, float32 inputs %x, part %d of y, inputs, parameters: "
                     "error %.3e, limit %.1e in %s",
                     g->op, g->name, fill_name[v->how], v->float_inputs, i, error, limit,
                     half ? "bf16" : "f32");
    }
}

static void same_bytes(const graph *g, const result *a, const result *b, const char *on)
{
    for (int i = 0; i < a->parts; i++)
        if (memcmp(a->x[i], b->x[i], (size_t)a->n[i] * sizeof(float)))
            fail_msg("%s (%s): part %d depends on %s", g->op, g->name, i, on);
}

/* The backward pass of windows, a third of them at a time: the last few are fewer. */
static void chunks_check(const graph *g, backend *be, const result *want, const variant *v)
{
    int64_t windows = (int64_t)g->in[0][0] * g->in[0][1] / g->number;
    int64_t logits = (windows + 2) / 3 * g->heads * g->number * g->number;
    device_compute(be, (backend_how){.precision = (int)v->precision, .logits = logits});
    result got = graph_run(g, be, v);
    same_bytes(g, want, &got, "how many windows come at a time");
    result_free(&got);
}

/* A graph with many rows runs under one other order, and in one way alone: time is short. */
static bool is_long(const graph *g)
{
    return (int64_t)g->in[0][0] * g->in[0][1] > 120;
}

/* One variant on a device of its own, whose scratch memory is NaN when it is first used. */
static void variant_check(const graph *g, const variant *v)
{
    int orders = !cuda_on_cpu_order || device_is_slow() ? 1 : is_long(g) || v->how != DRAWN ? 2 : 3;
    device d = device_new();
    result want = graph_run(g, d.cpu, v);
    device_compute(d.cuda, (backend_how){.precision = (int)v->precision});
    guard_on(d.cuda);
    if (device_is_slow())
        cuda_on_cpu_order(2, SEED);
    result got = graph_run(g, d.cuda, v);
    compare(g, &want, &got, v);
    for (int order = 1; order < orders; order++) {
        cuda_on_cpu_order(3 - order, SEED);
        result again = graph_run(g, d.cuda, v);
        same_bytes(g, &got, &again, "the order of threads");
        result_free(&again);
    }
    if (cuda_on_cpu_order)
        cuda_on_cpu_order(0, 0);
    if (!strcmp(g->op, "window") && !device_is_slow())
        chunks_check(g, d.cuda, &got, v);
    result_free(&got);
    result_free(&want);
    device_free(&d);
}

/* Every input as the device computes, then each mixture that the op takes. */
static void graph_check(const graph *g)
{
    unsigned all = (1U << inputs_of(g)) - 1;
    bool short_of_time = is_long(g) || device_is_slow();
    if (is_long(g) && device_is_slow())
        return;
    for (int type = BACKEND_F32; type <= BACKEND_BF16_FAST; type++) {
        unsigned own = type == BACKEND_F32 ? all : 0;
        if (type != BACKEND_F32 && is_long(g) && cuda_on_cpu_order)
            break;
        if (type == BACKEND_BF16_FAST && !g->streams && !g->stream)
            break; /* no stream, no difference */
        for (int how = DRAWN; how < FILLS && (how == DRAWN || !short_of_time); how++)
            variant_check(g, &(variant){(backend_precision)type, own, (fill)how, false});
        if (!short_of_time)
            variant_check(g, &(variant){(backend_precision)type, own, DRAWN, true});
        for (unsigned mask = 1; type == BACKEND_BF16 && mask <= g->streams; mask++) {
            if ((mask & g->streams) == mask)
                variant_check(g, &(variant){BACKEND_BF16, mask, DRAWN, false});
        }
    }
}

/* All graphs of one op. */
static void ops_are_those_of_the_cpu(void **state)
{
    const graph *first = *state;
    for (const graph *g = first; g < graphs + COUNT_OF(graphs) && !strcmp(g->op, first->op); g++)
        graph_check(g);
}

int main(int argc, char **argv)
{
    (void)argc;
    struct CMUnitTest tests[COUNT_OF(graphs)] = {0};
    size_t n = 0;
    for (size_t i = 0; i < COUNT_OF(graphs); i++) {
        if (i == 0 || strcmp(graphs[i].op, graphs[i - 1].op))
            tests[n++] = (struct CMUnitTest){.name = graphs[i].op,
                                             .test_func = ops_are_those_of_the_cpu,
                                             .initial_state = (void *)(uintptr_t)&graphs[i]};
    }
    n = cases_chosen(tests, n, argv + 1);
    int failed = _cmocka_run_group_tests("cuda_op", tests, n, NULL, NULL);
    print_message("ops on cuda against the cpu: worst error %.2e in f32 (%s), %.2e in bf16 (%s)\n",
                  worst[0], worst_at[0], worst[1], worst_at[1]);
    print_message("%d results compared; %ld calls on %ld guarded buffers\n", compared, guard_calls,
                  guard_loans);
    return failed;
}
