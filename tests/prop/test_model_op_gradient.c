/* Every op on its own small graph: directional derivatives of L = sum(r * y), summed in double on
 * the host, against run_backward_from with dy = r; 8 directions per input and per parameter. The
 * shapes cross the borders of panels and tiles and include one row and one token. Each graph also
 * has to give the same values in an inference run. A seed may be given as the only argument. */
#include "tests/prop/op_graphs.h"

static uint64_t seed = 20240918;
static gradient_worst worst = {.error = -1};

static double bench_eval(bench *t)
{
    tensor *in[MAX_IN], *y = bench_forward(t, t->r, in);
    int64_t n = tensor_count(y);
    float *v = mem_alloc((size_t)n * sizeof(float));
    double sum = 0;
    run_read(t->r, y, v);
    for (int64_t i = 0; i < n; i++)
        sum += (double)t->dir[i] * v[i];
    mem_free(v);
    return sum;
}

/* Errors of 8 directions of one variable x[n], whose columns lo <= i % c < hi move. `p` is the
 * parameter behind x, or NULL for an input. */
static void probe(bench *t, const char *what, float *x, const float *grad, int64_t n,
                  const int cut[3], param *p)
{
    static const double steps[3] = {1e-2, 3e-2, 3e-3}; /* in units of the size of x's entries */
    static const double at[4] = {1, -1, 2, -2}, factor[4] = {8, -8, -1, 1};
    float *x0 = mem_alloc((size_t)n * sizeof(float));
    double size = 0;
    memcpy(x0, x, (size_t)n * sizeof(float));
    for (int64_t i = 0; i < n; i++)
        size += (double)x[i] * x[i];
    size = sqrt(size / (double)n);
    for (int d = 0; d < gradient_directions(); d++) {
        double best = INFINITY, gg = 0;
        rng q;
        rng_init(&q, seed, RNG_PROBE, formula_hash(what) ^ formula_hash(t->g->name), (uint64_t)d);
        double *u = MEM_ARRAY(double, n);
        for (int64_t i = 0; i < n; i++) {
            double z = rng_normal(&q);
            if (i % cut[0] >= cut[1] && i % cut[0] < cut[2]) {
                u[i] = z;
                gg += (double)grad[i] * grad[i];
            }
        }
        for (int s = 0; s < 3 && !(best < GRADIENT_LIMIT / 5); s++) {
            double seen = 0, moved = 0;
            for (int k = 0; k < 4; k++) {
                for (int64_t i = 0; i < n; i++) {
                    x[i] = (float)(x0[i] + at[k] * steps[s] * size * u[i]);
                    moved += factor[k] * (double)grad[i] * ((double)x[i] - x0[i]);
                }
                if (p)
                    param_write(t->set, p, x);
                seen += factor[k] * bench_eval(t);
            }
            double unit =
                fmax(fmax(fabs(seen), fabs(moved)), 0.2 * 12 * steps[s] * size * sqrt(gg));
            double error = seen == moved ? 0 : fabs(seen - moved) / unit;
            best = fmin(best, isnan(error) ? INFINITY : error);
        }
        mem_free(u);
        worst.directions++;
        if (best > worst.error) {
            worst.error = best;
            snprintf(worst.where, sizeof(worst.where), "%s, %s: %s", t->g->op, t->g->name, what);
        }
        if (!(best <= GRADIENT_LIMIT))
            fail_msg("%s (%s): %s direction %d: error %.3e, limit %.0e (seed %llu)", t->g->op,
                     t->g->name, what, d, best, GRADIENT_LIMIT, (unsigned long long)seed);
    }
    memcpy(x, x0, (size_t)n * sizeof(float));
    if (p)
        param_write(t->set, p, x);
    mem_free(x0);
}

/* An inference run may reuse memory and skip what only backward needs; the values stay. */
static void check_inference(bench *t)
{
    tensor *in[MAX_IN], *y = bench_forward(t, t->r, in);
    size_t n = (size_t)tensor_count(y);
    float *a = mem_alloc(n * sizeof(float)), *b = mem_alloc(n * sizeof(float));
    run_read(t->r, y, a);
    run *r = run_new(t->be, RUN_INFER);
    y = bench_forward(t, r, in);
    assert_int_equal(tensor_count(y), n);
    run_read(r, y, b);
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - b[i]) <= 1e-6 * (1 + fabs(a[i]))))
            fail_msg("%s (%s): element %zu is %.9g in training, %.9g in inference", t->g->op,
                     t->g->name, i, a[i], b[i]);
    run_free(r);
    mem_free(a);
    mem_free(b);
}

/* Gradients that are there already are added to: the inputs start from one of their own. */
static void check_adds(bench *t, float *const *grad)
{
    tensor *in[MAX_IN], *y = bench_forward(t, t->r, in);
    float *before[MAX_IN];
    rng q;
    rng_init(&q, seed, RNG_TEST, formula_hash(t->g->name), 2);
    for (int i = 0; i < t->n_in; i++) {
        before[i] = mem_alloc((size_t)in_count(t->g, i) * sizeof(float));
        for (int64_t k = 0; k < in_count(t->g, i); k++)
            before[i][k] = (float)rng_normal(&q);
        run_backward_from(t->r, in[i], before[i]);
    }
    run_backward_from(t->r, y, t->dir);
    for (int i = 0; i < t->n_in; i++) {
        int64_t n = in_count(t->g, i);
        float *sum = mem_alloc((size_t)n * sizeof(float));
        double big = 1, diff = 0;
        run_read_grad(t->r, in[i], sum);
        for (int64_t k = 0; k < n; k++) {
            double d = fabs(sum[k] - ((double)grad[i][k] + before[i][k]));
            big = fmax(big, fabs(grad[i][k]));
            diff = d <= diff ? diff : d;
        }
        if (!(diff <= 1e-5 * big))
            fail_msg("%s (%s): input %d: gradient is not added, error %.3e", t->g->op, t->g->name,
                     i, diff / big);
        mem_free(sum);
        mem_free(before[i]);
    }
}

static void test_graph(const graph *g, backend *be)
{
    bench t;
    bench_open(&t, g, be, seed);
    tensor *in[MAX_IN];
    float *grad[MAX_IN + MAX_PAR];
    /* Two backward walks without zeroing in between: parameter gradients are sums. */
    param_zero_grad(t.set);
    for (int twice = 0; twice < 2; twice++) {
        tensor *y = bench_forward(&t, t.r, in);
        run_backward_from(t.r, y, t.dir);
    }
    for (int i = 0; i < t.n_in; i++) {
        grad[i] = mem_alloc((size_t)in_count(g, i) * sizeof(float));
        run_read_grad(t.r, in[i], grad[i]);
    }
    for (int i = 0; i < t.set->n; i++) {
        param *p = &t.set->p[i];
        float *x = grad[t.n_in + i] = mem_alloc((size_t)p->n * sizeof(float));
        backend_to_host(be, x, p->g, (size_t)p->n * sizeof(float));
        for (int64_t k = 0; k < p->n; k++)
            x[k] *= 0.5F;
    }
    check_inference(&t);
    check_adds(&t, grad);
    for (int i = 0; i < t.n_in; i++) {
        char what[32];
        int c = g->in[i][2], parts = i == t.n_in - 1 && g->groups ? g->groups : 1;
        for (int k = 0; k < parts; k++) {
            snprintf(what, sizeof(what), parts > 1 ? "input %d part %d" : "input %d", i, k);
            probe(&t, what, t.in[i], grad[i], in_count(g, i),
                  (const int[]){c, c / parts * k, c / parts * (k + 1)}, NULL);
        }
    }
    for (int i = 0; i < t.set->n; i++) {
        param *p = &t.set->p[i];
        float *x = mem_alloc((size_t)p->n * sizeof(float));
        param_read(t.set, p, x);
        probe(&t, p->name, x, grad[t.n_in + i], p->n, (const int[]){1, 0, 1}, p);
        mem_free(x);
    }
    for (int i = 0; i < t.n_in + t.set->n; i++)
        mem_free(grad[i]);
    bench_close(&t);
}

/* All graphs of one op. */
static void test_op(void **state)
{
    const graph *first = *state;
    err e = {0};
    pool *pl = pool_new(0);
    backend *be = backend_new("cpu", pl, &e);
    if (!be)
        fail_msg("%s", e.msg);
    for (const graph *g = first; g < graphs + COUNT_OF(graphs) && !strcmp(g->op, first->op); g++)
        test_graph(g, be);
    backend_free(be);
    pool_free(pl);
}

/* The loss: logits are the variable; L is the definition in double. */
static void test_loss(void **state)
{
    static const struct {
        int b, k;
        float smoothing;
        bool weights;
    } cases[] = {{3, 2, 0, false}, {4, 5, 0.1F, true}, {2, 1000, 0.1F, false}, {1, 3, 0.3F, true}};
    err e = {0};
    pool *pl = pool_new(0);
    backend *be = backend_new("cpu", pl, &e);
    if (!be)
        fail_msg("%s", e.msg);
    run *r = run_new(be, RUN_TRAIN);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int b = cases[i].b, k = cases[i].k, n = b * k;
        rng q;
        int32_t labels[4];
        float weights[4] = {0.5F, 0, 2, 1.25F}, device;
        float *x = MEM_ARRAY(float, n), *g = MEM_ARRAY(float, n);
        double *u = MEM_ARRAY(double, n);
        gradient_case c = {.labels = labels,
                           .weights = cases[i].weights ? weights : NULL,
                           .smoothing = cases[i].smoothing};
        rng_init(&q, seed, RNG_TEST, i, 1);
        for (int j = 0; j < n; j++)
            x[j] = (float)(2 * rng_normal(&q));
        for (int j = 0; j < b; j++)
            labels[j] = (int32_t)rng_below(&q, (uint32_t)k);
        run_reset(r);
        tensor *z = run_input(r, b, 1, k, x, false);
        tensor *l = op_loss(r, z, labels, c.weights, c.smoothing);
        run_backward_from(r, z, x); /* the gradient starts from x and is added to */
        run_backward(r, l);
        run_read(r, l, &device);
        run_read_grad(r, z, g);
        for (int j = 0; j < n; j++)
            g[j] -= x[j];
        assert_true(fabs(device - gradient_loss(x, b, k, &c)) < 2e-6 * fabs(device));
        for (int d = 0; d < gradient_directions(); d++) {
            float *y = MEM_ARRAY(float, n);
            double side[2], moved = 0;
            for (int j = 0; j < n; j++)
                u[j] = rng_normal(&q);
            for (int s = 0; s < 2; s++) {
                for (int j = 0; j < n; j++) {
                    y[j] = (float)(x[j] + (s ? -1e-3 : 1e-3) * u[j]);
                    moved += (s ? -1.0 : 1.0) * (double)g[j] * y[j];
                }
                side[s] = gradient_loss(y, b, k, &c);
            }
            double error = fabs(side[0] - side[1] - moved) / fmax(fabs(side[0] - side[1]), 1e-5);
            worst.directions++;
            if (!(error <= GRADIENT_LIMIT))
                fail_msg("loss (%d classes): direction %d: error %.3e (seed %llu)", k, d, error,
                         (unsigned long long)seed);
            mem_free(y);
        }
        mem_free(u);
        mem_free(g);
        mem_free(x);
    }
    run_free(r);
    backend_free(be);
    pool_free(pl);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[COUNT_OF(graphs) + 1] = {0};
    size_t n = 0;
    for (size_t i = 0; i < COUNT_OF(graphs); i++)
        if (i == 0 || strcmp(graphs[i].op, graphs[i - 1].op))
            tests[n++] = (struct CMUnitTest){.name = graphs[i].op,
                                             .test_func = test_op,
                                             .initial_state = (void *)(uintptr_t)&graphs[i]};
    tests[n++] = (struct CMUnitTest){.name = "loss", .test_func = test_loss};
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    int failed = _cmocka_run_group_tests("model_op_gradient", tests, n, NULL, NULL);
    print_message("op gradients: seed %llu, %d directions, worst error %.2e (%s)\n",
                  (unsigned long long)seed, worst.directions, worst.error, worst.where);
    return failed;
}
