/* bench ops: what a device can do at most (a copy, a product of large square matrices), then
 * attention and the products of DeiT, forward and backward (gpu.md 8). */
#include "cli/bench_step.h"

#include "core/mem.h"
#include "core/rng.h"
#include "core/text.h"
#include "model/laps.h"
#include "model/op.h"

#include <stdio.h>

#define ROUNDS 7 /* of each op; their median counts, the first warms up */

/* How large a device's tables are: a card's are those of gpu.md 8. */
typedef enum bench_scale { SCALE_CARD, SCALE_CPU, SCALE_EMULATED, SCALES } bench_scale;

static bench_scale scale_of(const bench_device *d)
{
    return backend_emulated(d->be)               ? SCALE_EMULATED
           : strcmp(backend_name(d->be), "cuda") ? SCALE_CPU
                                                 : SCALE_CARD;
}

/* Values that are drawn, then come again and again; no row begins like another. Drawing one takes
 * 30 ns, and there are 60 million in one of a card's inputs. */
#define DRAWN ((int64_t)1000003)

static float *noise(int64_t n)
{
    float *x = MEM_ARRAY(float, n);
    rng r;
    rng_init(&r, 1, RNG_TEST, (uint64_t)n, 0);
    for (int64_t i = 0; i < n; i++)
        x[i] = i < DRAWN ? 2 * rng_f32(&r) - 1 : x[i - DRAWN];
    return x;
}

static tensor_type type_of(const bench_device *d)
{
    return strcmp(d->precision, "f32") ? TENSOR_BF16 : TENSOR_F32;
}

static bool is_fast(const bench_device *d)
{
    return !strcmp(d->precision, "bf16_fast");
}

/* One op in a run of its own: what goes in, and how it is called. */
typedef struct bench_op {
    int b, n, c;     /* of the input */
    int rows;        /* of a linear op's weight; 0 = attention */
    int heads;       /* of attention */
    bool gelu;       /* behind a linear op, and a second one behind that, back to c */
    bool fixed;      /* no gradient of the input */
    laps_class kind; /* whose time counts */
} bench_op;

typedef struct op_times {
    double forward, backward; /* seconds */
    double best;              /* forward */
} op_times;

/* Time of the op itself; where its GELU is a kernel of its own that belongs to it. */
static double lap_of(const bench_op *k, laps *l)
{
    double s[LAPS_CLASSES];
    laps_stop(l, s);
    return s[k->kind] + (k->gelu ? s[LAPS_GELU] : 0);
}

static op_times time_op(const bench_device *d, const bench_op *k, bool backward)
{
    int out = k->gelu ? k->c : k->rows ? k->rows : k->c / 3, shape[4] = {k->rows, k->c, k->rows};
    int64_t rows = (int64_t)k->b * k->n;
    float *x = noise(rows * k->c), *dy = backward ? noise(rows * out) : NULL;
    double f[ROUNDS], g[ROUNDS];
    run *r = run_new(d->be, RUN_TRAIN);
    param_set *set = param_set_new(d->be, 4);
    param *w = k->rows ? param_add(set, "w", 2, shape) : NULL;
    param *b = k->rows ? param_add(set, "b", 1, shape) : NULL;
    param *w2 = k->gelu ? param_add(set, "w2", 2, shape + 1) : NULL;
    param *b2 = k->gelu ? param_add(set, "b2", 1, shape + 1) : NULL;
    param_set_alloc(set);
    if (w)
        param_init(set, w, PARAM_UNIFORM, 0.05, 1);
    if (w2)
        param_init(set, w2, PARAM_UNIFORM, 0.05, 1);
    for (int i = 0; i <= ROUNDS; i++) {
        run_reset(r);
        tensor *in = run_input_type(r, type_of(d), k->b, k->n, k->c, x, k->fixed);
        laps *l = laps_start(d->be);
        tensor *y = !w        ? op_attention(r, in, &(op_attention_spec){.heads = k->heads}, NULL)
                    : k->gelu ? op_mlp(r, in, &(op_mlp_spec){w, b, w2, b2, is_fast(d)})
                              : op_linear(r, in, w, b);
        double s = lap_of(k, l);
        l = laps_start(d->be);
        if (backward)
            run_backward_from(r, y, dy);
        double t = lap_of(k, l);
        if (i) {
            f[i - 1] = s;
            g[i - 1] = t;
        }
    }
    run_free(r);
    param_set_free(set);
    mem_free(x);
    mem_free(dy);
    double forward = bench_middle(f, ROUNDS); /* sorts */
    return (op_times){forward, bench_middle(g, ROUNDS), f[0]};
}

double bench_ceiling(const bench_device *d)
{
    static const int side[SCALES] = {8192, 2048, 128};
    int n = side[scale_of(d)];
    bench_op k = {.b = 1, .n = n, .c = n, .rows = n, .fixed = true, .kind = LAPS_LINEAR};
    return 2e-12 * n * (double)n * n / time_op(d, &k, false).best;
}

/* Terabytes read and written in a second by a copy within the device. */
static double copy_rate(const bench_device *d)
{
    static const size_t bytes[SCALES] = {(size_t)1 << 30, (size_t)256 << 20, (size_t)16 << 20};
    size_t n = bytes[scale_of(d)];
    char *a = backend_alloc(d->be, n), *b = backend_alloc(d->be, n);
    void *from = NULL, *to = NULL;
    double s[ROUNDS];
    backend_copy(d->be, b, a, n);
    for (int i = 0; i < ROUNDS; i++) {
        from = backend_mark(d->be, from);
        backend_copy(d->be, b, a, n);
        to = backend_mark(d->be, to);
        s[i] = backend_between(d->be, from, to);
    }
    backend_unmark(d->be, from);
    backend_unmark(d->be, to);
    backend_dealloc(d->be, a);
    backend_dealloc(d->be, b);
    return 2e-12 * (double)n / bench_middle(s, ROUNDS);
}

static void attention_rows(const bench_device *d, json_t *list, text *t)
{
    static const struct {
        int tokens, batch;
    } shape[SCALES][6] = {
        {{197, 256}, {785, 64}, {3137, 16}, {5185, 8}, {16385, 1}},
        {{197, 8}, {785, 2}},
        {{50, 1}},
    };
    static const int heads[] = {6, 12};
    for (int h = 0; h < (scale_of(d) == SCALE_EMULATED ? 1 : 2); h++)
        for (int i = 0; shape[scale_of(d)][i].tokens; i++) {
            int n = shape[scale_of(d)][i].tokens, b = shape[scale_of(d)][i].batch;
            bench_op k = {b, n, 3 * 64 * heads[h], 0, heads[h], false, false, LAPS_ATTENTION};
            op_times s = time_op(d, &k, true);
            double flops = 4e-12 * b * (double)n * n * 64 * heads[h];
            json_array_append_new(list, json_pack("{s:i, s:i, s:i, s:f, s:f, s:f, s:f}", "tokens",
                                                  n, "batch", b, "heads", heads[h], "forward_ms",
                                                  1e3 * s.forward, "backward_ms", 1e3 * s.backward,
                                                  "forward_tflops", flops / s.forward,
                                                  "backward_tflops", 2.5 * flops / s.backward));
            text_addf(t,
                      "attention %5d tokens, batch %3d, %2d heads: forward %.3f ms %.3f TFLOP/s, "
                      "backward %.3f ms %.3f TFLOP/s\n",
                      n, b, heads[h], 1e3 * s.forward, flops / s.forward, 1e3 * s.backward,
                      2.5 * flops / s.backward);
        }
}

static void product_rows(const bench_device *d, json_t *list, text *t)
{
    static const struct {
        const char *name;
        int in, out; /* in widths */
        bool gelu;
    } layer[] = {{"qkv", 1, 3, false},
                 {"proj", 1, 1, false},
                 {"fc1", 1, 4, false},
                 {"fc2", 4, 1, false},
                 {"mlp", 1, 4, true}};
    static const int batch[SCALES][2] = {{256, 128}, {8, 4}, {1, 1}}, width[2] = {384, 768};
    int tokens = scale_of(d) == SCALE_EMULATED ? 20 : 197;
    for (int i = 0; i < (scale_of(d) == SCALE_EMULATED ? 1 : 2); i++)
        for (int j = 0; j < (int)COUNT_OF(layer); j++) {
            int b = batch[scale_of(d)][i], in = layer[j].in * width[i],
                out = layer[j].out * width[i];
            bench_op k = {b, tokens, in, out, 0, layer[j].gelu, false, LAPS_LINEAR};
            op_times s = time_op(d, &k, true);
            double flops = (k.gelu ? 4e-12 : 2e-12) * b * (double)tokens * in * out;
            json_array_append_new(
                list, json_pack("{s:s, s:i, s:i, s:i, s:b, s:f, s:f, s:f, s:f}", "layer",
                                layer[j].name, "rows", b * tokens, "in", in, "out", out, "gelu",
                                (int)layer[j].gelu, "forward_ms", 1e3 * s.forward, "backward_ms",
                                1e3 * s.backward, "forward_tflops", flops / s.forward,
                                "backward_tflops", 2 * flops / s.backward));
            text_addf(t,
                      "product %-4s %6d x %4d -> %4d%s: forward %.3f ms %.3f TFLOP/s, backward "
                      "%.3f ms %.3f TFLOP/s\n",
                      layer[j].name, b * tokens, in, out, layer[j].gelu ? ", GELU, back" : "",
                      1e3 * s.forward, flops / s.forward, 1e3 * s.backward, 2 * flops / s.backward);
        }
}

bool bench_ops(cmd_args *a, err *e)
{
    bench_device d = {0};
    if (!bench_device_open(a, &d, e)) {
        bench_device_close(&d);
        return false;
    }
    json_t *o = json_object(), *attention = json_array(), *products = json_array();
    text t;
    text_init(&t);
    double top = bench_ceiling(&d), copy = copy_rate(&d);
    text_addf(&t, "ops on %s%s, %s: product %.3f TFLOP/s, copy %.3f TB/s read and written\n",
              backend_title(d.be), backend_emulated(d.be) ? " (emulated: no figure of a card)" : "",
              d.precision, top, copy);
    attention_rows(&d, attention, &t);
    product_rows(&d, products, &t);
    json_object_set_new(o, "bench", json_string("ops"));
    bench_device_tell(&d, o);
    json_object_set_new(o, "ceiling_tflops", json_num(top));
    json_object_set_new(o, "copy_tb_per_second", json_num(copy));
    json_object_set_new(o, "attention", attention);
    json_object_set_new(o, "products", products);
    cmd_result(a, o, "%s", t.s);
    text_release(&t);
    bench_device_close(&d);
    return true;
}
