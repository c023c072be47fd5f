/* op_patch against its definition in model.h, in double: random affine views that flip, rotate,
 * scale and leave the image, contrast, brightness, kept patches, several channels; and exactness of
 * the identity. Also op_map, op_position and op_mean against plain loops. */
#include "tests/prop/gradient.h"

#include "model/op.h"
#include "tests/device.h"

enum { B = 3, CH = 2, H = 24, W = 40, P = 8, N = (H / P) * (W / P), K = 6 };

static uint64_t seed = 20240919;

typedef struct scene {
    pool *pool;
    backend *be;
    run *r;
    rng q;
    uint16_t *image[B];
    model_view view[B];
    int32_t keep[B * K];
    model_batch batch;
} scene;

static void scene_open(scene *s)
{
    err e = {0};
    *s = (scene){.pool = pool_new(2)};
    s->be = backend_new(test_device(), s->pool, &e);
    if (!s->be)
        fail_msg("%s", e.msg);
    s->r = run_new(s->be, RUN_INFER);
    rng_init(&s->q, seed, RNG_TEST, 0, 0);
    for (int b = 0; b < B; b++) {
        s->image[b] = mem_alloc(sizeof(uint16_t) * CH * H * W);
        for (int i = 0; i < CH * H * W; i++)
            s->image[b][i] = (uint16_t)rng_u32(&s->q);
        rng_subset(&s->q, N, K, s->keep + b * K);
    }
    s->batch = (model_batch){.b = B,
                             .h = H,
                             .w = W,
                             .image = (const uint16_t *const *)s->image,
                             .mean = 0.4F,
                             .sd = 0.2F};
}

static void scene_close(scene *s)
{
    for (int b = 0; b < B; b++)
        mem_free(s->image[b]);
    run_free(s->r);
    backend_free(s->be);
    pool_free(s->pool);
}

static double tap(const uint16_t *px, int x, int y)
{
    return x < 0 || y < 0 || x >= W || y >= H ? 0 : px[y * W + x] / 65535.0;
}

static double pixel(const scene *s, int b, int c, int x, int y)
{
    const uint16_t *px = s->image[b] + (s->batch.grey ? 0 : c * H * W);
    const model_view *v = &s->view[b];
    double sx = v->affine[0] * (x + 0.5) + v->affine[1] * (y + 0.5) + (double)v->affine[2] - 0.5;
    double sy = v->affine[3] * (x + 0.5) + v->affine[4] * (y + 0.5) + (double)v->affine[5] - 0.5;
    int x0 = (int)floor(sx), y0 = (int)floor(sy);
    double fx = sx - x0, fy = sy - y0;
    double a = tap(px, x0, y0) * (1 - fx) + tap(px, x0 + 1, y0) * fx;
    double z = tap(px, x0, y0 + 1) * (1 - fx) + tap(px, x0 + 1, y0 + 1) * fx;
    double out = v->contrast * (a * (1 - fy) + z * fy - 0.5) + 0.5 + v->brightness;
    return (fmin(1, fmax(0, out)) - s->batch.mean) / s->batch.sd;
}

/* Every element of op_patch against pixel(); limit in normalised units. */
static void check_patches(scene *s, double limit)
{
    const model_batch *m = &s->batch;
    int rows = m->keep ? m->n_keep : N, width = CH * P * P;
    run_reset(s->r);
    tensor *t = op_patch(s->r, m, CH, P, P);
    assert_int_equal(t->b, B);
    assert_int_equal(t->n, rows);
    assert_int_equal(t->c, width);
    float *x = MEM_ARRAY(float, tensor_count(t));
    run_read(s->r, t, x);
    for (int i = 0; i < B * rows * width; i++) {
        int b = i / (rows * width), row = i / width % rows, c = i / (P * P) % CH;
        int at = m->keep ? m->keep[b * rows + row] : row;
        int px = at % (W / P) * P + i % P, py = at / (W / P) * P + i / P % P;
        double want = pixel(s, b, c, px, py);
        if (!(fabs(x[i] - want) <= limit))
            fail_msg("sample %d, channel %d, pixel (%d, %d): %.9g, definition %.9g", b, c, px, py,
                     x[i], want);
    }
    mem_free(x);
}

static void test_identity(void **state)
{
    scene s;
    scene_open(&s);
    for (int b = 0; b < B; b++)
        s.view[b] = model_view_identity;
    check_patches(&s, 1e-6);
    s.batch.view = s.view;
    check_patches(&s, 1e-6);
    s.batch.keep = s.keep;
    s.batch.n_keep = K;
    check_patches(&s, 1e-6);
    s.batch.grey = true; /* the first plane for all channels */
    check_patches(&s, 1e-6);
    scene_close(&s);
}

static void test_views(void **state)
{
    scene s;
    scene_open(&s);
    s.batch.view = s.view;
    for (int round = 0; round < 20; round++) {
        for (int b = 0; b < B; b++) {
            double turn = rng_f64(&s.q) * 6.3, zoom = 0.6 + rng_f64(&s.q);
            double flip = rng_below(&s.q, 2) ? -1 : 1, c = cos(turn) * zoom, t = sin(turn) * zoom;
            double mx = W / 2.0 + 8 * rng_f64(&s.q) - 4, my = H / 2.0 + 8 * rng_f64(&s.q) - 4;
            s.view[b] =
                (model_view){{(float)(flip * c), (float)-t, 0, (float)(flip * t), (float)c, 0},
                             (float)(0.4 * rng_f64(&s.q) - 0.2),
                             (float)(0.6 + 0.9 * rng_f64(&s.q))};
            float *a = s.view[b].affine; /* the centre goes to (mx, my) */
            a[2] = (float)(mx - a[0] * W / 2.0 - a[1] * H / 2.0);
            a[5] = (float)(my - a[3] * W / 2.0 - a[4] * H / 2.0);
        }
        s.batch.keep = round % 2 ? s.keep : NULL;
        s.batch.n_keep = round % 2 ? K : 0;
        s.batch.grey = round % 3 == 0;
        check_patches(&s, 3e-4); /* float32 coordinates on white noise */
    }
    /* A pure flip and a shift by whole pixels meet pixel centres: no interpolation error. */
    for (int b = 0; b < B; b++)
        s.view[b] = (model_view){{-1, 0, W, 0, 1, 3}, 0, 1};
    check_patches(&s, 1e-5);
    scene_close(&s);
}

static void near_to(const char *what, double got, double want)
{
    if (!(fabs(got - want) <= 1e-6))
        fail_msg("%s: %.9g, definition %.9g", what, got, want);
}

static void test_token_ops(void **state)
{
    enum { RN = 7, RC = 5, OUT = 4 };
    scene s;
    scene_open(&s);
    float x[B * RN * RC], w[B * RN], y[B * RN * RC], pos[(RN + 3) * RC];
    for (int round = 0; round < 50; round++) {
        int32_t dst[B * RN], keep[B * (RN - 1)];
        double want[B * OUT * RC] = {0};
        const int shape[3] = {1, RN + 3, RC};
        for (int i = 0; i < B * RN; i++) {
            dst[i] = (int32_t)rng_below(&s.q, OUT + 1) - 1;
            w[i] = rng_f32(&s.q) - 0.5F;
            for (int c = 0; c < RC; c++) {
                x[i * RC + c] = (float)rng_normal(&s.q);
                if (dst[i] >= 0)
                    want[(i / RN * OUT + dst[i]) * RC + c] +=
                        (round % 2 ? w[i] : 1) * (double)x[i * RC + c];
            }
        }
        run_reset(s.r);
        op_map_spec map = {.n_in = RN, .n_out = OUT, .dst = dst, .weight = round % 2 ? w : NULL};
        tensor *t = op_map(s.r, run_input(s.r, B, RN, RC, x, true), &map, NULL);
        run_read(s.r, t, y);
        for (int i = 0; i < B * OUT * RC; i++)
            near_to("op_map", y[i], want[i]);

        param_set *set = param_set_new(s.be, 1);
        param *p = param_add(set, "pos_embed", 3, shape);
        param_set_alloc(set);
        for (int i = 0; i < (RN + 3) * RC; i++)
            pos[i] = (float)rng_normal(&s.q);
        param_write(set, p, pos);
        for (int b = 0; b < B; b++)
            rng_subset(&s.q, RN + 2, RN - 1, keep + b * (RN - 1));
        t = op_position(s.r, run_input(s.r, B, RN, RC, x, true), p, 1, keep);
        run_read(s.r, t, y);
        for (int i = 0; i < B * RN * RC; i++) {
            int b = i / (RN * RC), row = i / RC % RN;
            int from = row ? 1 + keep[b * (RN - 1) + row - 1] : 0;
            near_to("op_position", y[i], (double)x[i] + pos[from * RC + i % RC]);
        }
        param_set_free(set);

        t = op_mean(s.r, run_input(s.r, B, RN, RC, x, true));
        run_read(s.r, t, y);
        for (int i = 0; i < B * RC; i++) {
            double sum = 0;
            for (int row = 0; row < RN; row++)
                sum += x[(i / RC * RN + row) * RC + i % RC];
            near_to("op_mean", y[i], sum / RN);
        }
    }
    scene_close(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_token_ops),
    };
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    print_message("patch: seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests_name("model_patch", tests, NULL, NULL);
}
