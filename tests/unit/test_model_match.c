/* What token reduction needs of the ops, against their definitions: attention that is handed out,
 * the selectors of EViT and PPT, and the fused token. */
#include "tests/unit/desk.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "core/rng.h"
#include "model/op.h"

static float *noise(uint64_t id, int64_t n, double spread)
{
    float *x = mem_alloc((size_t)n * sizeof *x);
    rng r;
    rng_init(&r, 5, RNG_TEST, id, 0);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(spread * rng_normal(&r));
    return x;
}

static void *read_back(run *r, const void *x, size_t bytes)
{
    void *to = mem_alloc(bytes);
    run_to_host(r, to, x, bytes);
    return to;
}

/* Values of the output and of the score, by definition, in double. */
static void attention_by_definition(const float *qkv, const float *bias, int n, int d, int heads,
                                    int readers, double *y, double *score)
{
    int c = d / heads;
    double *p = MEM_ARRAY(double, n);
    memset(score, 0, (size_t)n * sizeof *score);
    for (int h = 0; h < heads; h++) {
        for (int i = 0; i < n; i++) {
            double sum = 0;
            for (int j = 0; j < n; j++) {
                double z = 0;
                for (int k = 0; k < c; k++)
                    z += (double)qkv[i * 3 * d + h * c + k] * qkv[j * 3 * d + d + h * c + k];
                sum += p[j] = exp(z / sqrt(c) + bias[j]);
            }
            for (int j = 0; j < n; j++) {
                p[j] /= sum;
                score[j] += i < readers ? p[j] / heads / readers : 0;
            }
            for (int k = 0; k < c; k++) {
                y[i * d + h * c + k] = 0;
                for (int j = 0; j < n; j++)
                    y[i * d + h * c + k] += p[j] * qkv[j * 3 * d + 2 * d + h * c + k];
            }
        }
    }
    mem_free(p);
}

static void attention_hands_out_what_the_first_rows_see(void **state)
{
    (void)state;
    enum { B = 2, N = 300, D = 32, HEADS = 4 };
    desk k = desk_new(2);
    float *qkv = noise(1, B * N * 3 * D, 1), *bias = noise(2, B * N, 1);
    double *y = MEM_ARRAY(double, N *D), *want = MEM_ARRAY(double, N);
    for (int readers = 1; readers <= 2; readers++) {
        run_reset(k.r);
        tensor *score, *in = run_input(k.r, B, N, 3 * D, qkv, false);
        op_attention_spec how = {.heads = HEADS, .readers = readers};
        how.bias = run_input(k.r, B, N, 1, bias, true);
        tensor *out = op_attention(k.r, in, &how, &score);
        float got[B * N], *rows = read_back(k.r, out->x, sizeof(float) * B * N * D);
        run_read(k.r, score, got);
        for (int s = 0; s < B; s++) {
            double sum = 0;
            attention_by_definition(qkv + s * N * 3 * D, bias + s * N, N, D, HEADS, readers, y,
                                    want);
            for (int j = 0; j < N; j++) {
                sum += got[s * N + j];
                assert_true(fabs(got[s * N + j] - want[j]) < 1e-6 * (1 + want[j]));
            }
            assert_true(fabs(sum - 1) < 1e-5);
            for (int i = 0; i < N * D; i++)
                assert_true(fabs(rows[s * N * D + i] - y[i]) < 1e-5);
        }
        mem_free(rows);
    }
    mem_free(want);
    mem_free(y);
    mem_free(bias);
    mem_free(qkv);
    desk_free(&k);
}

static void top(desk *k, const float *score, int n, op_topk_spec *how, int32_t *dst)
{
    run_reset(k->r);
    how->dst = run_memory(k->r, sizeof(int32_t) * (size_t)n);
    op_topk(k->r, run_input(k->r, 1, n, 1, score, true), how);
    run_to_host(k->r, dst, how->dst, sizeof(int32_t) * (size_t)n);
}

static void the_most_attended_come_first(void **state)
{
    (void)state;
    static const float score[] = {.1f, .3f, NAN, .3f, -0.f, .9f, 0, -1};
    static const int32_t want[] = {0, 2, 6, 3, 4, 1, 5, 6}, two[] = {0, 1, 4, 3, 4, 2, 4, 4};
    desk k = desk_new(1);
    int32_t dst[8];
    top(&k, score, 8, &(op_topk_spec){.prefix = 1, .keep = 5, .fuse = true}, dst);
    assert_memory_equal(dst, want, sizeof dst);
    top(&k, score, 8, &(op_topk_spec){.prefix = 2, .keep = 2, .fuse = true}, dst);
    assert_memory_equal(dst, two, sizeof dst);
    top(&k, score, 8, &(op_topk_spec){.prefix = 1, .keep = 1}, dst);
    for (int i = 0; i < 8; i++)
        assert_int_equal(dst[i], i == 0 ? 0 : i == 5 ? 1 : -1);
    /* equal scores: the order of the tokens decides */
    float *same = MEM_ARRAY(float, 3000);
    int32_t *all = MEM_ARRAY(int32_t, 3000);
    top(&k, same, 3000, &(op_topk_spec){.prefix = 1, .keep = 1000, .fuse = true}, all);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(all[i], i <= 1000 ? i : 1001);
    mem_free(all);
    mem_free(same);
    desk_free(&k);
}

/* 2.1: the fused token is a sum with raw attention, so nothing that was looked at leaves nothing.
 */
static void the_fused_token_is_not_normalised(void **state)
{
    (void)state;
    enum { N = 6, C = 3 };
    static const float score[2][N] = {{.4f, .3f, .05f, .1f, .1f, .05f}, {.4f, .5f, 0, .1f, 0, 0}};
    desk k = desk_new(1);
    float *x = noise(3, N * C, 1), y[4 * C];
    for (int t = 0; t < 2; t++) {
        op_topk_spec how = {.prefix = 1, .keep = 2, .fuse = true};
        run_reset(k.r);
        tensor *w = run_input(k.r, 1, N, 1, score[t], false);
        how.dst = run_memory(k.r, sizeof(int32_t) * N);
        op_topk(k.r, w, &how);
        op_map_spec map = {.n_in = N, .n_out = 4, .dst = how.dst, .w_from = 3};
        run_read(k.r, op_map(k.r, run_input(k.r, 1, N, C, x, false), &map, w), y);
        for (int c = 0; c < C; c++) {
            float fused = .05f * x[2 * C + c] + .1f * x[4 * C + c] + .05f * x[5 * C + c];
            assert_true(y[c] == x[c] && y[C + c] == x[C + c] && y[2 * C + c] == x[3 * C + c]);
            assert_true(t ? y[3 * C + c] == 0 : fabsf(y[3 * C + c] - fused) < 1e-7f);
        }
    }
    mem_free(x);
    desk_free(&k);
}

/* 3.1 in double, one image. Returns the spread. */
static double match_by_definition(const op_match_spec *how, const float *score, const float *qkv,
                                  int n, int d, int32_t *dst)
{
    int head = d / how->heads, from = how->prefix, others = n - from, at = from;
    double *p = MEM_ARRAY(double, n), *unit = MEM_ARRAY(double, n *head), sum = 0, var = 0;
    int *best = MEM_ARRAY(int, n);
    double *close = MEM_ARRAY(double, n);
    for (int i = from; i < n; i++) {
        double v = 0, key = 0;
        for (int c = 0; c < d; c++)
            v += (double)qkv[i * 3 * d + 2 * d + c] * qkv[i * 3 * d + 2 * d + c];
        sum += p[i] = score[i] * sqrt(v);
        for (int c = 0; c < d; c++)
            unit[i * head + c % head] += qkv[i * 3 * d + d + c];
        for (int c = 0; c < head; c++)
            key += unit[i * head + c] * unit[i * head + c];
        for (int c = 0; c < head; c++)
            unit[i * head + c] /= sqrt(key);
    }
    for (int i = from; i < n; i++)
        var += pow(p[i] / sum - 1.0 / others, 2) / (others - 1);
    bool merge = (how->scale_free ? var * others * others : var) < how->below;
    for (int i = from; i < n; i++) {
        close[i] = -INFINITY;
        for (int j = from; merge && i % 2 == 0 && j < n; j++) {
            double z = 0;
            for (int c = 0; c < head; c++)
                z += unit[i * head + c] * unit[j * head + c];
            if (j % 2 && z > close[i]) {
                close[i] = z;
                best[i] = j;
            }
        }
    }
    for (int i = 0; i < n; i++)
        dst[i] = i < from ? i : -1;
    if (!merge) { /* the most important of those left, one after the other */
        for (; at < n - how->gone; at++) {
            int pick = -1;
            for (int i = from; i < n; i++)
                pick = dst[i] < 0 && (pick < 0 || p[i] > p[pick]) ? i : pick;
            dst[pick] = at;
        }
    } else {
        bool *gone = MEM_ARRAY(bool, n);
        for (int k = 0; k < how->gone; k++) {
            int pick = -1;
            for (int i = from; i < n; i++)
                pick = i % 2 == 0 && !gone[i] && (pick < 0 || close[i] > close[pick]) ? i : pick;
            gone[pick] = true;
        }
        for (int side = 0; side < 2; side++) {
            for (int i = from; i < n; i++)
                dst[i] = i % 2 == side && !gone[i] ? at++ : dst[i];
        }
        for (int i = from; i < n; i++)
            dst[i] = gone[i] ? dst[best[i]] : dst[i];
        mem_free(gone);
    }
    mem_free(close);
    mem_free(best);
    mem_free(unit);
    mem_free(p);
    return var * others * others;
}

/* Weights and sizes follow from where rows go. */
static void check_sizes(const int32_t *dst, const float *size, const float *weight,
                        const float *new_size, const float *log_size, int n, int n_out)
{
    double *sum = MEM_ARRAY(double, n_out);
    for (int i = 0; i < n; i++)
        sum[dst[i] < 0 ? 0 : dst[i]] += dst[i] < 0 ? 0 : size[i];
    for (int i = 0; i < n_out; i++) {
        assert_true(fabs(new_size[i] - sum[i]) < 1e-5 * sum[i]);
        assert_true(fabs(log_size[i] - log(sum[i])) < 1e-6);
    }
    for (int i = 0; i < n; i++)
        assert_true(dst[i] < 0 ? weight[i] == 0 : fabs(weight[i] - size[i] / sum[dst[i]]) < 1e-6);
    mem_free(sum);
}

static void match_trial(desk *k, int b, int n, int prefix, int gone, bool sized, int trial)
{
    enum { D = 48, HEADS = 3 };
    op_match_spec how = {.heads = HEADS, .prefix = prefix, .gone = gone, .scale_free = trial % 2};
    float *score = noise(100 + (uint64_t)trial, b * n, 1), *qkv = noise(7, b * n * 3 * D, 1);
    float *size = MEM_ARRAY(float, b *n);
    int32_t *want = MEM_ARRAY(int32_t, n);
    double *spread = MEM_ARRAY(double, b);
    int branches = 0, others = n - prefix;
    for (int i = 0; i < b * n; i++) {
        score[i] = (float)exp((0.2 + i / n) * score[i]) / (float)n; /* wider from image to image */
        size[i] = sized ? (float)(1 + i * 7 % 5) : 1;
    }
    for (int s = 0; s < b; s++)
        spread[s] = match_by_definition(&how, score + s * n, qkv + s * n * 3 * D, n, D, want);
    how.below = b > 1 ? (spread[0] + spread[1]) / 2 : trial % 3 ? INFINITY : 0;
    how.below /= how.scale_free ? 1 : (double)others * others;
    run_reset(k->r);
    how.size = sized ? run_input(k->r, b, n, 1, size, true) : NULL;
    how.new_size = run_input(k->r, b, n - gone, 1, NULL, true);
    how.log_size = run_input(k->r, b, n - gone, 1, NULL, true);
    how.dst = run_memory(k->r, sizeof(int32_t) * (size_t)(b * n));
    how.weight = run_memory(k->r, sizeof(float) * (size_t)(b * n));
    how.pooled = run_memory(k->r, sizeof(int32_t) * (size_t)b);
    how.spread = run_memory(k->r, sizeof(double) * (size_t)b);
    op_match(k->r, run_input(k->r, b, n, 1, score, true), run_input(k->r, b, n, 3 * D, qkv, true),
             &how);
    int32_t *dst = read_back(k->r, how.dst, sizeof(int32_t) * (size_t)(b * n));
    int32_t *pooled = read_back(k->r, how.pooled, sizeof(int32_t) * (size_t)b);
    double *got = read_back(k->r, how.spread, sizeof(double) * (size_t)b);
    for (int s = 0; s < b; s++) {
        match_by_definition(&how, score + s * n, qkv + s * n * 3 * D, n, D, want);
        assert_memory_equal(dst + s * n, want, sizeof(int32_t) * (size_t)n);
        assert_true(fabs(got[s] - spread[s]) < 1e-5 * spread[s]);
        branches |= 1 << pooled[s];
        check_sizes(want, size + s * n, how.weight + s * n, how.new_size->x + s * (n - gone),
                    how.log_size->x + s * (n - gone), n, n - gone);
    }
    assert_true(b == 1 || branches == 3);
    mem_free(got);
    mem_free(pooled);
    mem_free(dst);
    mem_free(spread);
    mem_free(want);
    mem_free(size);
    mem_free(qkv);
    mem_free(score);
}

/* Batches that hold both branches; odd and even numbers of tokens; several tiles on either side. */
static void matching_is_the_definition(void **state)
{
    (void)state;
    static const int want[][4] = {{3, 17, 1, 5},  {3, 18, 1, 8},     {2, 17, 2, 7},   {3, 18, 2, 8},
                                  {1, 3, 1, 1},   {1, 3, 1, 1},      {1, 4, 2, 1},    {1, 4, 2, 1},
                                  {2, 300, 1, 9}, {2, 1300, 1, 400}, {1, 259, 2, 128}};
    desk k = desk_new(3);
    for (int i = 0; i < (int)COUNT_OF(want); i++)
        match_trial(&k, want[i][0], want[i][1], want[i][2], want[i][3], i % 3 != 0, i);
    desk_free(&k);
}

/* Equal keys: every even token's best partner is the first odd one, and the first even ones go. */
static void equal_keys_are_matched_in_order(void **state)
{
    (void)state;
    enum { N = 9, D = 16 };
    desk k = desk_new(1);
    float qkv[N * 3 * D], score[N];
    for (int i = 0; i < N * 3 * D; i++)
        qkv[i] = 0.25f;
    for (int i = 0; i < N; i++)
        score[i] = 1.0f / N;
    op_match_spec how = {.heads = 1, .prefix = 1, .gone = 2, .below = 1};
    static const int32_t want[][N] = {{0, 3, 3, 4, 3, 5, 1, 6, 2}, {0, 1, 2, 3, 4, 5, 6, -1, -1}};
    for (int prunes = 0; prunes < 2; prunes++) {
        run_reset(k.r);
        how.below = !prunes;
        how.new_size = run_input(k.r, 1, N - 2, 1, NULL, true);
        how.log_size = run_input(k.r, 1, N - 2, 1, NULL, true);
        how.dst = run_memory(k.r, sizeof(int32_t) * N);
        how.weight = run_memory(k.r, sizeof(float) * N);
        how.pooled = run_memory(k.r, sizeof(int32_t));
        how.spread = run_memory(k.r, sizeof(double));
        op_match(k.r, run_input(k.r, 1, N, 1, score, true), run_input(k.r, 1, N, 3 * D, qkv, true),
                 &how);
        int32_t *dst = read_back(k.r, how.dst, sizeof(int32_t) * N);
        assert_memory_equal(dst, want[prunes], sizeof want[0]);
        mem_free(dst);
    }
    desk_free(&k);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_hands_out_what_the_first_rows_see),
        cmocka_unit_test(the_most_attended_come_first),
        cmocka_unit_test(the_fused_token_is_not_normalised),
        cmocka_unit_test(matching_is_the_definition),
        cmocka_unit_test(equal_keys_are_matched_in_order),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
