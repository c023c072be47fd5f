/* The ops at the ends of a network on the CUDA backend against the CPU backend: patches from
 * images, the loss, the selectors, the NaN guard; and the bf16 weights after a step. Sizes stand
 * around the borders of warps and blocks; inputs have ties, zeros of both signs and what is not a
 * number. Arguments: names of tests; none = all. */
#include "tests/cuda_on_cpu/cases.h"
#include "tests/cuda_on_cpu/device.h"
#include "tests/cuda_on_cpu/guard.h"

#include <stdio.h>

#include "model/op.h"

#define SEED 20261122

typedef enum fill { DRAWN, TIES, ZEROS, EQUAL, ODD, FILLS } fill;

/* ODD: infinities, NaN, zeros of both signs and the smallest numbers among the others. */
static float *filled(uint64_t id, int64_t n, fill how)
{
    static const float odd[] = {INFINITY, 0, -0.0F, 1e-41F, -INFINITY, NAN, -1e-41F, NAN};
    float *x = MEM_ARRAY(float, n);
    rng q;
    rng_init(&q, SEED, RNG_TEST, id, 0);
    for (int64_t i = 0; i < n; i++) {
        float drawn = (float)rng_normal(&q);
        x[i] = how == TIES                ? (float)(int)(2 * drawn)
               : how == ZEROS             ? (i % 2 ? 0 : -0.0F)
               : how == EQUAL             ? 0.37F
               : how == ODD && i % 3 == 1 ? odd[i / 3 % 8]
                                          : drawn;
    }
    return x;
}

static void round_to_bf16(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, &x[i], sizeof u);
        u = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000U;
        memcpy(&x[i], &u, sizeof u);
    }
}

static void *read_back(run *r, const void *x, size_t bytes)
{
    void *to = mem_alloc(bytes);
    run_to_host(r, to, x, bytes);
    return to;
}

/* Both devices; the second one guarded. `orders` times: forwards, backwards, drawn. */
typedef struct pair {
    device d;
    run *r[2];
} pair;

static pair pair_new(backend_precision precision)
{
    pair p = {.d = device_new()};
    device_compute(p.d.cuda, (backend_how){.precision = precision});
    guard_on(p.d.cuda);
    p.r[0] = run_new(p.d.cpu, RUN_TRAIN);
    p.r[1] = run_new(p.d.cuda, RUN_TRAIN);
    return p;
}

static void pair_free(pair *p)
{
    if (cuda_on_cpu_order)
        cuda_on_cpu_order(0, 0);
    run_free(p->r[0]);
    run_free(p->r[1]);
    device_free(&p->d);
}

/* The run of a turn: 0 = the CPU, then the card under one order after the other; NULL = enough. */
static run *pair_turn(pair *p, int turn)
{
    if (turn > (cuda_on_cpu_order && !device_is_slow() ? 3 : 1))
        return NULL;
    if (turn > 0 && cuda_on_cpu_order)
        cuda_on_cpu_order(device_is_slow() ? 2 : turn - 1, SEED);
    run *r = p->r[turn > 0];
    run_reset(r);
    return r;
}

static void same_or_close(const char *what, const float *want, const float *got, int64_t n,
                          double limit)
{
    for (int64_t i = 0; i < n; i++) {
        if (isnan(want[i]) && isnan(got[i]))
            continue;
        if (!(want[i] == got[i] || fabs((double)want[i] - got[i]) <= limit * fabs(want[i])))
            fail_msg("%s: value %lld is %.9g, error: the CPU has %.9g", what, (long long)i,
                     (double)got[i], (double)want[i]);
    }
}

static void same_ints(const char *what, const int32_t *want, const int32_t *got, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (want[i] != got[i])
            fail_msg("%s: row %lld goes to %d, error: on the CPU to %d", what, (long long)i, got[i],
                     want[i]);
}

/* ---- topk ------------------------------------------------------------------------------------ */

static void topk_is_that_of_the_cpu(void **state)
{
    static const struct {
        int b, n, prefix, keep;
        bool fuse;
    } cases[] = {{2, 5, 1, 2, true},      {1, 1, 0, 1, false},    {1, 1, 1, 0, true},
                 {2, 33, 0, 0, false},    {1, 257, 1, 256, true}, {2, 300, 2, 100, true},
                 {1, 600, 1, 300, false}, {1, 256, 0, 32, false}};
    (void)state;
    for (size_t k = 0; k < COUNT_OF(cases); k++) {
        for (int how = DRAWN; how < FILLS; how++) {
            int b = cases[k].b, n = cases[k].n;
            pair p = pair_new(BACKEND_F32);
            float *x = filled(k, b * n, (fill)how);
            int32_t *want = NULL;
            run *r;
            for (int turn = 0; (r = pair_turn(&p, turn)); turn++) {
                op_topk_spec spec = {cases[k].prefix, cases[k].keep, cases[k].fuse, NULL};
                size_t bytes = (size_t)(b * n) * sizeof *spec.dst;
                spec.dst = run_memory(r, bytes);
                op_topk(r, run_input(r, b, n, 1, x, true), &spec);
                int32_t *got = read_back(r, spec.dst, bytes);
                if (turn == 0)
                    want = got;
                else
                    same_ints("topk", want, got, b * n);
                if (turn > 0)
                    mem_free(got);
            }
            mem_free(want);
            mem_free(x);
            pair_free(&p);
        }
    }
}

/* ---- match ----------------------------------------------------------------------------------- */

typedef struct match_case {
    int b, n, prefix, gone, heads, head;
    double below; /* 1e30: all images are pooled, 0: all pruned */
    bool sizes;
} match_case;

typedef struct match_result {
    int32_t *dst, *pooled;
    float *weight, *size, *log_size;
    double *spread;
} match_result;

/* One-hot keys have similarities 0 and 1, so equal ones are exactly equal. */
static float *tokens(const match_case *c, uint64_t id, fill how)
{
    int d = c->heads * c->head;
    float *x = filled(id, (int64_t)c->b * c->n * 3 * d, how == DRAWN ? DRAWN : EQUAL);
    for (int64_t row = 0; how != DRAWN && row < (int64_t)c->b * c->n; row++) {
        float *key = x + row * 3 * d + d, *value = key + d;
        memset(key, 0, (size_t)(2 * d) * sizeof *key);
        float hot = how == TIES && row % 2 ? -1 : 1; /* no pair of tokens is alike then */
        key[row * 7 / 3 % c->head] = how == ZEROS || (how == TIES && row % 5 == 4) ? 0 : hot;
        value[row % d] = how == ZEROS ? 0 : (float)(1 + (how == TIES ? row % 3 : 0));
    }
    round_to_bf16(x, (int64_t)c->b * c->n * 3 * d);
    return x;
}

static match_result match_run(run *r, const match_case *c, const float *score, const float *qkv,
                              const float *size, tensor_type type)
{
    int n_out = c->n - c->gone;
    size_t rows = (size_t)(c->b * c->n), out = (size_t)(c->b * n_out), b = (size_t)c->b;
    op_match_spec how = {.heads = c->heads, .prefix = c->prefix, .gone = c->gone};
    how.scale_free = true;
    how.below = c->below;
    how.size = size ? run_input(r, c->b, c->n, 1, size, true) : NULL;
    how.dst = run_memory(r, rows * sizeof(int32_t));
    how.weight = run_memory(r, rows * sizeof(float));
    how.new_size = run_tensor(r, TENSOR_F32, c->b, n_out, 1);
    how.log_size = run_tensor(r, TENSOR_F32, c->b, n_out, 1);
    how.pooled = run_memory(r, b * sizeof(int32_t));
    how.spread = run_memory(r, b * sizeof(double));
    op_match(r, run_input(r, c->b, c->n, 1, score, true),
             run_input_type(r, type, c->b, c->n, 3 * c->heads * c->head, qkv, true), &how);
    return (match_result){read_back(r, how.dst, rows * sizeof(int32_t)),
                          read_back(r, how.pooled, b * sizeof(int32_t)),
                          read_back(r, how.weight, rows * sizeof(float)),
                          read_back(r, how.new_size->x, out * sizeof(float)),
                          read_back(r, how.log_size->x, out * sizeof(float)),
                          read_back(r, how.spread, b * sizeof(double))};
}

static void match_free(match_result *m)
{
    mem_free(m->dst);
    mem_free(m->pooled);
    mem_free(m->weight);
    mem_free(m->size);
    mem_free(m->log_size);
    mem_free(m->spread);
}

static void match_compare(const match_case *c, const match_result *want, const match_result *got)
{
    int rows = c->b * c->n, out = c->b * (c->n - c->gone);
    same_ints("match, pooled", want->pooled, got->pooled, c->b);
    same_ints("match", want->dst, got->dst, rows);
    same_or_close("match, weight", want->weight, got->weight, rows, 1e-6);
    same_or_close("match, size", want->size, got->size, out, 1e-6);
    for (int i = 0; i < out; i++)
        if (!(fabs((double)want->log_size[i] - got->log_size[i]) <= 1e-6))
            fail_msg("match: error of the logarithm of size %d", i);
    for (int i = 0; i < c->b; i++)
        if (!(fabs(want->spread[i] - got->spread[i]) <= 1e-6 * want->spread[i]) &&
            !(isnan(want->spread[i]) && isnan(got->spread[i])))
            fail_msg("match: error: spread %g, on the CPU %g", got->spread[i], want->spread[i]);
}

static void match_is_that_of_the_cpu(void **state)
{
    static const match_case cases[] = {
        {2, 9, 1, 3, 2, 4, 1e30, false},    {2, 9, 1, 3, 2, 4, 0, true},
        {2, 10, 0, 5, 1, 3, 1e30, true},    {1, 67, 2, 20, 3, 8, 1e30, true},
        {3, 66, 1, 32, 2, 33, 4.5, true},   {1, 261, 1, 60, 1, 8, 0, false},
        {1, 530, 1, 200, 1, 4, 1e30, true}, {1, 3, 1, 1, 1, 2, 1e30, false}};
    (void)state;
    for (size_t k = 0; k < COUNT_OF(cases); k++) {
        const match_case *c = &cases[k];
        for (int how = DRAWN; how < ODD; how++) {
            for (int type = TENSOR_F32; type <= TENSOR_BF16; type++) {
                pair p = pair_new(type ? BACKEND_BF16 : BACKEND_F32);
                float *score = filled(10 + k, c->b * c->n, how == DRAWN ? DRAWN : EQUAL);
                float *size = c->sizes ? filled(20 + k, c->b * c->n, DRAWN) : NULL;
                float *qkv = tokens(c, 30 + k, (fill)how);
                for (int i = 0; i < c->b * c->n; i++) {
                    score[i] = fabsf(score[i]);
                    if (size)
                        size[i] = 1 + (float)(int)fabsf(3 * size[i]);
                }
                match_result want = {0};
                run *r;
                for (int turn = 0; (r = pair_turn(&p, turn)); turn++) {
                    match_result got =
                        match_run(r, c, score, qkv, size, turn ? (tensor_type)type : TENSOR_F32);
                    if (turn) {
                        match_compare(c, &want, &got);
                        match_free(&got);
                    } else {
                        want = got;
                    }
                }
                match_free(&want);
                mem_free(qkv);
                mem_free(size);
                mem_free(score);
                pair_free(&p);
            }
        }
    }
}

/* ---- loss ------------------------------------------------------------------------------------ */

/* The gradient starts from the logits themselves, so that it has something to add to. */
static void loss_run(run *r, int b, int k, const float *x, const int32_t *label,
                     const float *weight, float smoothing, tensor_type type, float *out)
{
    const float slope = 0.75F;
    tensor *z = run_input_type(r, type, b, 1, k, x, false);
    tensor *l = op_loss(r, z, label, weight, smoothing);
    run_backward_from(r, z, x);
    run_backward_from(r, l, &slope);
    run_read(r, l, out);
    run_read_grad(r, z, out + 1);
}

static void loss_is_that_of_the_cpu(void **state)
{
    static const struct {
        int b, k;
        float smoothing;
        bool weights;
        double spread;
    } cases[] = {{3, 2, 0, false, 2},     {4, 5, 0.1F, true, 2},  {2, 1000, 0.1F, false, 2},
                 {1, 3, 0.3F, true, 2},   {5, 257, 0, true, 2},   {2, 1, 0.2F, false, 1},
                 {2, 256, 0, false, 1e4}, {3, 33, 0.1F, true, 0}, {40, 8, 0.1F, true, 1e-41}};
    float weight[40];
    int32_t label[40];
    (void)state;
    for (size_t k = 0; k < COUNT_OF(cases); k++) {
        for (int type = TENSOR_F32; type <= TENSOR_BF16; type++) {
            int b = cases[k].b, c = cases[k].k, n = b * c;
            pair p = pair_new(type ? BACKEND_BF16 : BACKEND_F32);
            float *x = filled(40 + k, n, DRAWN), *want = MEM_ARRAY(float, n + 1);
            float *got = MEM_ARRAY(float, n + 1);
            run *r;
            for (int i = 0; i < n; i++)
                x[i] *= (float)cases[k].spread;
            round_to_bf16(x, n);
            for (int i = 0; i < b; i++) {
                label[i] = (i * 5 + 1) % c;
                weight[i] = i % 3 == 1 ? 0 : 0.5F + (float)i;
            }
            for (int turn = 0; (r = pair_turn(&p, turn)); turn++) {
                loss_run(r, b, c, x, label, cases[k].weights ? weight : NULL, cases[k].smoothing,
                         turn ? (tensor_type)type : TENSOR_F32, turn ? got : want);
                double value = device_error(want, turn ? got : want, 1);
                double grad = device_error(want + 1, (turn ? got : want) + 1, n);
                if (!(value <= 2e-7 && grad <= (type == TENSOR_BF16 ? 4e-3 : 1e-6)))
                    fail_msg("loss (%d classes): error %.2e of the loss, %.2e of its gradient", c,
                             value, grad);
            }
            mem_free(got);
            mem_free(want);
            mem_free(x);
            pair_free(&p);
        }
    }
}

/* ---- patch ----------------------------------------------------------------------------------- */

typedef struct patch_case {
    int h, w, p, stride, channels;
    bool grey, views, keep;
} patch_case;

enum { IMAGES = 3, KEPT = 3 };

static void patch_is_that_of_the_cpu(void **state)
{
    static const patch_case cases[] = {
        {32, 48, 16, 16, 1, true, false, false}, {32, 48, 16, 16, 3, true, true, true},
        {33, 47, 16, 8, 3, false, true, false},  {21, 35, 7, 7, 3, false, false, true},
        {17, 16, 16, 1, 1, true, true, false},   {12, 20, 4, 4, 3, false, true, true},
        {33, 67, 32, 32, 1, true, false, false}, {40, 80, 40, 40, 3, true, true, false},
        {8, 12, 4, 1, 1, true, false, false}};
    static const int32_t keep[IMAGES * KEPT] = {0, 2, 5, 1, 3, 4, 0, 1, 2};
    static const model_view view[IMAGES] = {{{0.9F, 0.1F, 1.3F, -0.07F, 1.05F, -2}, 0.05F, 1.2F},
                                            {{-1, 0, 15.5F, 0, 1, 0}, -0.6F, 3},
                                            {{1, 0, 0, 0, 1, 2.5F}, 0, 1}};
    (void)state;
    for (size_t k = 0; k < COUNT_OF(cases); k++) {
        for (int type = TENSOR_F32; type <= TENSOR_BF16; type++) {
            const patch_case *c = &cases[k];
            pair p = pair_new(type ? BACKEND_BF16 : BACKEND_F32);
            size_t pixels = (size_t)((c->grey ? 1 : c->channels) * c->h * c->w);
            uint16_t *image[IMAGES];
            for (size_t i = 0; i < IMAGES; i++) {
                rng q;
                rng_init(&q, SEED, RNG_TEST, 60 + i, 0);
                image[i] = MEM_ARRAY(uint16_t, pixels);
                for (size_t j = 0; j < pixels; j++)
                    image[i][j] = j % 11 ? (uint16_t)rng_below(&q, 65536) : j % 2 ? 65535 : 0;
            }
            model_batch batch = {.b = IMAGES,
                                 .h = c->h,
                                 .w = c->w,
                                 .image = (const uint16_t *const *)image,
                                 .grey = c->grey,
                                 .view = c->views ? view : NULL,
                                 .mean = 0.4F,
                                 .sd = 0.3F,
                                 .keep = c->keep ? keep : NULL,
                                 .n_keep = c->keep ? KEPT : 0};
            float *want = NULL;
            run *r;
            for (int turn = 0; (r = pair_turn(&p, turn)); turn++) {
                tensor *y = op_patch(r, &batch, c->channels, c->p, c->stride);
                float *got = MEM_ARRAY(float, tensor_count(y));
                run_read(r, y, got);
                if (turn == 0) {
                    want = got;
                    continue;
                }
                double error = device_error(want, got, tensor_count(y));
                /* a card multiplies and adds with one rounding, and a contrast of 3 over an sd of
                 * 0.3 makes ten of each */
                double exact = cuda_on_cpu_order ? 2e-7 : 2e-6;
                if (!(error <= (type == TENSOR_BF16 ? 4e-3 : exact)))
                    fail_msg("patch (%dx%d, %d px): error %.2e", c->h, c->w, c->p, error);
                mem_free(got);
            }
            mem_free(want);
            for (size_t i = 0; i < IMAGES; i++)
                mem_free(image[i]);
            pair_free(&p);
        }
    }
}

/* ---- the NaN guard, the weights after a step ---------------------------------------------------
 */

static void nan_guard_finds_the_first(void **state)
{
    static const int size[] = {1, 31, 256, 2048, 2049, 5000};
    (void)state;
    for (size_t k = 0; k < COUNT_OF(size); k++) {
        for (int type = TENSOR_F32; type <= TENSOR_BF16; type++) {
            pair p = pair_new(type ? BACKEND_BF16 : BACKEND_F32);
            int n = size[k], last = n - 1, at[] = {-1, 0, n / 2, last};
            run *r;
            for (size_t i = 0; i < COUNT_OF(at); i++) {
                float *x = filled(80, n, DRAWN);
                if (at[i] >= 0) {
                    x[last] = INFINITY;
                    x[at[i]] = i == 2 ? NAN : -INFINITY;
                }
                for (int turn = 1; (r = pair_turn(&p, turn)); turn++) {
                    tensor *t = run_input_type(r, (tensor_type)type, 1, 1, n, x, true);
                    int64_t got = p.d.cuda->ops->nonfinite(p.d.cuda, t);
                    if (got != at[i])
                        fail_msg("NaN guard: error: %lld of %d found, %d is the first",
                                 (long long)got, n, at[i]);
                }
                mem_free(x);
            }
            pair_free(&p);
        }
    }
}

/* A product in bf16 reads a copy of the weights, which every step makes anew. */
static void steps_renew_the_bf16_weights(void **state)
{
    enum { OUT = 70, IN = 40, ROWS = 3 };
    int shape[2] = {OUT, IN};
    float x[ROWS * IN], w[OUT * IN], y[ROWS * OUT];
    (void)state;
    for (int adam = 0; adam < 2; adam++) {
        pair p = pair_new(BACKEND_BF16);
        param_set *set = param_set_new(p.d.cuda, 1);
        param *weight = param_add(set, "weight", 2, shape);
        param_set_alloc(set);
        float *drawn = filled(90, OUT * IN, DRAWN), *in = filled(91, ROWS * IN, DRAWN);
        param_write(set, weight, drawn);
        backend_to_device(p.d.cuda, weight->g, drawn, sizeof w);
        memcpy(x, in, sizeof x);
        round_to_bf16(x, ROWS * IN);
        float *m = backend_alloc(p.d.cuda, sizeof w), *v = backend_alloc(p.d.cuda, sizeof w);
        for (int step = 1; step <= 3; step++) {
            run_reset(p.r[1]);
            tensor *t = op_linear(p.r[1], run_input_type(p.r[1], TENSOR_BF16, 1, ROWS, IN, x, true),
                                  weight, NULL);
            run_read(p.r[1], t, y);
            param_read(set, weight, w);
            round_to_bf16(w, OUT * IN);
            for (int i = 0; i < ROWS * OUT; i++) {
                double want = 0;
                for (int k = 0; k < IN; k++)
                    want += (double)x[i / OUT * IN + k] * w[i % OUT * IN + k];
                if (!(fabs(want - y[i]) <= 4e-3 * fabs(want) + 1e-4))
                    fail_msg("step %d: error: %g by weights that are worth %g", step, (double)y[i],
                             want);
            }
            if (adam)
                backend_step_adamw(p.d.cuda, set, &m, &v,
                                   &(backend_adamw){0.1F, 0.9F, 0.999F, 1e-8F, 0, 1, step, NULL});
            else
                backend_step_sgd(p.d.cuda, set, &v, &(backend_sgd){0.1F, 0.9F, 0, 1, NULL});
        }
        backend_dealloc(p.d.cuda, m);
        backend_dealloc(p.d.cuda, v);
        mem_free(in);
        mem_free(drawn);
        param_set_free(set);
        pair_free(&p);
    }
}

/* The backward pass, and what makes rows again, read the sum from memory: the forward pass has
 * normalised that one, not what it was before it was stored as bf16. */
static void a_norm_reads_the_sum_as_it_is_stored(void **state)
{
    enum { ROWS = 9, WIDTH = 264 };
    int width = WIDTH;
    (void)state;
    pair p = pair_new(BACKEND_BF16_FAST);
    param_set *set = param_set_new(p.d.cuda, 2);
    param *w = param_add(set, "weight", 1, &width), *b = param_add(set, "bias", 1, &width);
    param_set_alloc(set);
    float *drawn = filled(92, WIDTH, DRAWN), *x = filled(93, ROWS * WIDTH, DRAWN),
          *add = filled(94, ROWS * WIDTH, DRAWN), y[ROWS * WIDTH], again[ROWS * WIDTH];
    param_write(set, w, drawn);
    param_write(set, b, drawn);
    round_to_bf16(x, ROWS * WIDTH);
    round_to_bf16(add, ROWS * WIDTH);
    run *r = p.r[1];
    tensor *sum = NULL,
           *rows = op_add_layernorm(r, run_input_type(r, TENSOR_BF16, 1, ROWS, WIDTH, x, true),
                                    run_input_type(r, TENSOR_BF16, 1, ROWS, WIDTH, add, true), NULL,
                                    w, b, 1e-6F, &sum);
    assert_int_equal(sum->type, TENSOR_BF16);
    run_read(r, rows, y);
    run_read(r, op_layernorm(r, sum, w, b, 1e-6F), again);
    for (int i = 0; i < ROWS * WIDTH; i++) {
        if (y[i] != again[i] || !(fabsf(y[i]) < 100))
            fail_msg("value %d: error: %g, by the stored sum %g", i, (double)y[i],
                     (double)again[i]);
    }
    mem_free(drawn);
    mem_free(x);
    mem_free(add);
    param_set_free(set);
    pair_free(&p);
}

/* More tensors than a block has threads; the norm of the step before is known, or is not a number.
 */
static void gradient_scales_are_those_of_the_cpu(void **state)
{
    enum { SETS = 300 };
    static const backend_clip clips[] = {{0, false, 2}, {0.5, false, 1}, {0.25, true, 3}};
    static float want[SETS], got[SETS];
    (void)state;
    for (size_t k = 0; k < 2 * COUNT_OF(clips); k++) {
        pair p = pair_new(BACKEND_F32);
        double known = k % 2 ? NAN : 3, norm[2];
        run *r;
        for (int turn = 0; (r = pair_turn(&p, turn)); turn++) {
            backend *be = turn ? p.d.cuda : p.d.cpu;
            param_set *set = param_set_new(be, SETS);
            for (int i = 0; i < SETS; i++) {
                char name[16];
                int shape[1] = {1 + i % 37};
                snprintf(name, sizeof name, "part%d", i);
                param_add(set, name, 1, shape);
            }
            param_set_alloc(set);
            for (int i = 0; i < SETS; i++) {
                float *g = filled(100 + (uint64_t)i, set->p[i].n, DRAWN);
                backend_to_device(be, set->p[i].g, g, (size_t)set->p[i].n * sizeof *g);
                mem_free(g);
            }
            float *scale = backend_alloc(be, sizeof want);
            double *at = backend_alloc(be, sizeof *at);
            backend_to_device(be, at, &known, sizeof known);
            backend_grad_scales(be, set, &clips[k / 2], scale, at);
            backend_to_host(be, turn ? got : want, scale, sizeof want);
            backend_to_host(be, &norm[turn > 0], at, sizeof *at);
            if (turn) {
                same_or_close("gradient scales", want, got, SETS, 1e-6);
                assert_true(fabs(norm[0] - norm[1]) <= 1e-9 * norm[0] ||
                            (isnan(norm[0]) && isnan(norm[1])));
            }
            backend_dealloc(be, at);
            backend_dealloc(be, scale);
            param_set_free(set);
        }
        pair_free(&p);
    }
}

/* A card that the program holds no code for is refused with what would help. */
static void a_card_without_kernels(void **state)
{
    err e = {0};
    (void)state;
    if (!cuda_on_cpu_order) {
        print_message("skip: the card is one that the program is for\n");
        skip();
    }
    pool *threads = pool_new(1);
    setenv("SHIM_NO_CODE", "1", 1);
    assert_null(cuda_open(0, threads, &e));
    unsetenv("SHIM_NO_CODE");
    assert_int_equal(e.code, ERR_CONFIG);
    assert_string_equal(e.msg, "device cuda:0: this build has no kernels for CUDA on a CPU, sm_90 "
                               "(no kernel image is available for execution on the device); build "
                               "it with CUDA_ARCH=90");
    pool_free(threads);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[] = {
        {"topk", topk_is_that_of_the_cpu, NULL, NULL, NULL},
        {"match", match_is_that_of_the_cpu, NULL, NULL, NULL},
        {"loss", loss_is_that_of_the_cpu, NULL, NULL, NULL},
        {"patch", patch_is_that_of_the_cpu, NULL, NULL, NULL},
        {"nan_guard", nan_guard_finds_the_first, NULL, NULL, NULL},
        {"gradient_scales", gradient_scales_are_those_of_the_cpu, NULL, NULL, NULL},
        {"bf16_weights", steps_renew_the_bf16_weights, NULL, NULL, NULL},
        {"stored_sum", a_norm_reads_the_sum_as_it_is_stored, NULL, NULL, NULL},
        {"no_kernels", a_card_without_kernels, NULL, NULL, NULL},
    };
    (void)argc;
    size_t n = cases_chosen(tests, COUNT_OF(tests), argv + 1);
    return _cmocka_run_group_tests("cuda_ends", tests, n, NULL, NULL);
}
