/* Attention rollout against an explicit product of matrices, and the record that it is made from.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "model/rollout.h"
#include "tests/fixtures/deit/formula.h"
#include "tests/device.h"

#define SIDE  40
#define PATCH 8
#define N     26 /* tokens at most: CLS, distillation token or not, 25 patches */
#define DEPTH 4

typedef double matrix[N + 1][N + 1];

typedef struct bench {
    pool *threads;
    backend *be;
    model *net;
    run *tape;
    model_watch watch;
    uint16_t pixels[SIDE * SIDE];
    int32_t keep[25];
    int n_keep;
} bench;

static void forward(bench *b)
{
    const uint16_t *image = b->pixels;
    model_batch in = {.b = 1,
                      .h = SIDE,
                      .w = SIDE,
                      .image = &image,
                      .mean = 0.4f,
                      .sd = 0.2f,
                      .keep = b->n_keep ? b->keep : NULL,
                      .n_keep = b->n_keep,
                      .watch = &b->watch};
    run_reset(b->tape);
    model_forward(b->net, b->tape, &in);
}

/* A network with weights by formula and sharp attention. */
static void open_depth(bench *b, const char *name, int reduction, int threads, int depth)
{
    err e = {0};
    model_cfg c = {.name = name,
                   .image_h = SIDE,
                   .image_w = SIDE,
                   .patch = PATCH,
                   .depth = depth,
                   .channels = 1,
                   .classes = 2,
                   .keep_rate = 1,
                   .reduction = reduction,
                   .reduction_layers = "0/1/2",
                   .evit_keep = 0.7,
                   .evit_fuse = true,
                   .ppt_tokens = 50,
                   .ppt_tau = 1e9,
                   .ppt_size_bias = true};
    memset(b, 0, sizeof *b);
    b->threads = pool_new(threads);
    b->be = backend_new(test_device(), b->threads, &e);
    b->net = model_new(&c, b->be, 1, &e);
    if (!b->net)
        fail_msg("%s", e.msg);
    param_set *s = model_params(b->net);
    for (int i = 0; i < s->n; i++) {
        param *p = &s->p[i];
        float *x = MEM_ARRAY(float, p->n);
        formula_param(p->name, p->ndim, p->shape[0], p->n, 3, x);
        param_write(s, p, x);
        mem_free(x);
    }
    for (int i = 0; i < SIDE * SIDE; i++)
        b->pixels[i] = (uint16_t)(formula_raw(formula_hash("image"), i) >> 48);
    b->watch.attention = true;
    b->tape = run_new(b->be, RUN_INFER);
}

static void open_bench(bench *b, const char *name, int reduction, int threads)
{
    open_depth(b, name, reduction, threads, DEPTH);
}

static void close_bench(bench *b)
{
    run_free(b->tape);
    watch_release(&b->watch);
    model_free(b->net);
    backend_free(b->be);
    pool_free(b->threads);
}

/* Mean over heads of the attention of one block, from queries and keys. */
static void attention(const watch_block *k, matrix a)
{
    int head = k->d / k->heads;
    for (int i = 0; i < k->queries; i++) {
        for (int j = 0; j < k->keys; j++)
            a[i][j] = 0;
        for (int h = 0; h < k->heads; h++) {
            double z[N + 1], sum = 0;
            for (int j = 0; j < k->keys; j++) {
                z[j] = 0;
                for (int c = h * head; c < (h + 1) * head; c++)
                    z[j] += (double)k->q[i * k->d + c] * (double)k->k[j * k->d + c];
                z[j] = exp(z[j] / sqrt(head) + (k->bias ? (double)k->bias[j] : 0));
                sum += z[j];
            }
            for (int j = 0; j < k->keys; j++)
                a[i][j] += z[j] / sum / k->heads;
        }
    }
}

/* The share of each row that entered the layer in the rows that left it. */
static void map_matrix(const model_watch *w, int block, int n, matrix m)
{
    const watch_layer *l = NULL;
    memset(m, 0, sizeof(matrix));
    for (int i = 0; i < w->layers; i++)
        l = w->layer[i].block == block ? &w->layer[i] : l;
    for (int j = 0; j < n; j++) {
        if (!l)
            m[j][j] = 1;
        else if (l->dst[j] >= 0 && l->dst[j] == l->fused)
            m[l->dst[j]][j] = (double)l->score[j];
        else if (l->dst[j] >= 0)
            m[l->dst[j]][j] = w->block[block].bias ? exp((double)w->block[block].bias[j]) : 1;
    }
    for (int i = 0; l && i < l->n_out; i++) {
        double sum = 0;
        for (int j = 0; j < n; j++)
            sum += m[i][j];
        for (int j = 0; j < n; j++)
            m[i][j] /= sum;
    }
}

/* row x a for an a of n rows and columns `to`. */
static void times(double *row, matrix a, int n, int to)
{
    double out[N + 1] = {0};
    for (int i = 0; i < n; i++)
        for (int j = 0; j < to; j++)
            out[j] += row[i] * a[i][j];
    memcpy(row, out, sizeof out);
}

/* product[first block rows]: the whole product of matrices from the first block up, row by row, and
 * then the mean of its first `readers` rows. */
static void expected(const model_watch *w, double *start, double *last)
{
    matrix product, next, a, m;
    int n = w->block[0].keys, from = n;
    memset(product, 0, sizeof product);
    for (int i = 0; i < n; i++)
        product[i][i] = 1;
    for (int block = 0; block < w->blocks; block++) {
        const watch_block *k = &w->block[block];
        int out = k->queries;
        attention(k, a);
        if (block + 1 == w->blocks)
            for (int j = 0; j < k->keys; j++) {
                last[j] = 0;
                for (int i = 0; i < out; i++)
                    last[j] += a[i][j] / out;
            }
        for (int i = 0; i < out; i++) { /* (A + I) / 2 times what was before */
            a[i][i] += 1;
            for (int j = 0; j < k->keys; j++)
                a[i][j] /= 2;
            memcpy(next[i], a[i], sizeof next[i]);
            for (int j = k->keys; j <= N; j++)
                next[i][j] = 0;
            double row[N + 1];
            memcpy(row, next[i], sizeof row);
            times(row, product, k->keys, from);
            memcpy(next[i], row, sizeof row);
        }
        int leave = block + 1 < w->blocks ? w->block[block + 1].keys : out;
        map_matrix(w, block, k->keys, m);
        if (block + 1 == w->blocks) {
            memcpy(product, next, sizeof product);
            continue;
        }
        for (int i = 0; i < leave; i++) {
            double row[N + 1];
            memcpy(row, m[i], sizeof row);
            times(row, next, k->keys, from);
            memcpy(product[i], row, sizeof row);
        }
    }
    int readers = w->block[w->blocks - 1].queries;
    for (int j = 0; j < n; j++) {
        start[j] = 0;
        for (int i = 0; i < readers; i++)
            start[j] += product[i][j] / readers;
    }
}

/* The record is that of the network: the scores that decided follow from it. */
static void record_gives_scores(const model_watch *w)
{
    for (int i = 0; i < w->layers; i++) {
        const watch_layer *l = &w->layer[i];
        matrix a;
        attention(&w->block[l->block], a);
        for (int j = 0; j < l->n_in; j++) {
            double mean = 0;
            for (int q = 0; q < w->prefix; q++)
                mean += a[q][j] / w->prefix;
            assert_true(fabs(mean - (double)l->score[j]) < 2e-6);
        }
    }
}

static void compare(bench *b, bool reduced)
{
    double want[N + 1], want_last[N + 1], got[N + 1], got_last[N + 1], sum = 0, spread = 0;
    forward(b);
    const model_watch *w = &b->watch;
    int n = rollout_rows(w, 0), m = rollout_rows(w, DEPTH - 1);
    assert_int_equal(w->blocks, DEPTH);
    assert_int_equal(w->layers, reduced ? 3 : 0);
    assert_true(reduced ? m < n : m == n);
    record_gives_scores(w);
    expected(w, want, want_last);
    rollout_follow(w, b->be, 0, got, got_last);
    for (int j = 0; j < n; j++) {
        if (!(fabs(got[j] - want[j]) < 2e-6))
            fail_msg("token %d: %.8f instead of %.8f", j, got[j], want[j]);
        sum += got[j];
        spread = fmax(spread, j < w->prefix ? 0 : fabs(got[j] * n - 1));
    }
    for (int j = 0; j < m; j++)
        if (!(fabs(got_last[j] - want_last[j]) < 2e-6))
            fail_msg("last block, token %d: %.8f instead of %.8f", j, got_last[j], want_last[j]);
    assert_true(fabs(sum - 1) < 1e-5); /* nothing is lost on the way */
    assert_true(spread > 0.2);         /* the tokens differ, so the comparison means something */
}

static void is_the_product_of_matrices(void **state)
{
    static const struct {
        const char *name;
        int reduction;
        double tau;
    } kinds[] = {{"deit_tiny_patch16_224", MODEL_FULL, 0},
                 {"deit_tiny_distilled_patch16_224", MODEL_FULL, 0},
                 {"deit_tiny_patch16_224", MODEL_EVIT, 0},
                 {"deit_tiny_distilled_patch16_224", MODEL_EVIT, 0},
                 {"deit_tiny_patch16_224", MODEL_PPT, 0}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        bench b;
        open_bench(&b, kinds[i].name, kinds[i].reduction, 2);
        compare(&b, kinds[i].reduction != MODEL_FULL);
        if (kinds[i].reduction == MODEL_PPT)
            assert_non_null(b.watch.block[DEPTH - 1].bias); /* merged rows count by their size */
        close_bench(&b);
    }
}

static void with_patches_left_out(void **state)
{
    bench b;
    (void)state;
    open_bench(&b, "deit_tiny_patch16_224", MODEL_EVIT, 1);
    for (int i = 0; i < 12; i++)
        b.keep[b.n_keep++] = 2 * i + 1;
    compare(&b, true);
    assert_int_equal(rollout_rows(&b.watch, 0), 13);
    close_bench(&b);
}

/* The last block computes only what its heads read; its record is that of a block in the middle. */
static void the_last_block_is_a_block(void **state)
{
    bench one, two;
    (void)state;
    open_depth(&one, "deit_tiny_distilled_patch16_224", MODEL_FULL, 1, 1);
    open_depth(&two, "deit_tiny_distilled_patch16_224", MODEL_FULL, 1, 2);
    forward(&one);
    forward(&two);
    const watch_block *a = &one.watch.block[0], *b = &two.watch.block[0];
    assert_true(a->queries == 2 && b->queries == 27 && a->keys == 27 && b->keys == 27);
    for (int i = 0; i < 2 * a->d; i++)
        assert_true(fabs((double)(a->q[i] - b->q[i])) < 1e-5);
    for (int i = 0; i < a->keys * a->d; i++)
        assert_true(fabs((double)(a->k[i] - b->k[i])) < 1e-5);
    close_bench(&one);
    close_bench(&two);
}

/* The record asks nothing of the network: the same logits with and without it. */
static void watching_changes_nothing(void **state)
{
    float logits[2][2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        bench b;
        open_bench(&b, "deit_tiny_patch16_224", MODEL_EVIT, 1 + i);
        const uint16_t *image = b.pixels;
        model_batch in = {
            .b = 1, .h = SIDE, .w = SIDE, .image = &image, .sd = 1, .watch = i ? &b.watch : NULL};
        run_read(b.tape, model_forward(b.net, b.tape, &in), logits[i]);
        close_bench(&b);
    }
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
}

static void same_bits_for_any_number_of_threads(void **state)
{
    double start[2][N + 1], last[2][N + 1];
    int n = 0;
    (void)state;
    for (int i = 0; i < 2; i++) {
        bench b;
        open_bench(&b, "deit_tiny_patch16_224", MODEL_PPT, i ? 4 : 1);
        forward(&b);
        rollout_follow(&b.watch, b.be, 0, start[i], last[i]);
        n = rollout_rows(&b.watch, 0);
        close_bench(&b);
    }
    assert_memory_equal(start[0], start[1], (size_t)n * sizeof(double));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_product_of_matrices),
        cmocka_unit_test(with_patches_left_out),
        cmocka_unit_test(the_last_block_is_a_block),
        cmocka_unit_test(watching_changes_nothing),
        cmocka_unit_test(same_bits_for_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
