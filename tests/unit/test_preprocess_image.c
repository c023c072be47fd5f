/* The pixel chain: resize against a brute-force twin, orientation, polarity, segmentation and
 * canvases on drawn breasts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "preprocess/chain.h"
#include "preprocess/opencv_shim.h"

static arena *mem;

static prepare_cfg config(const char *const *set, int n)
{
    const cfg_group *groups[] = {&prepare_options, &exclude_options};
    prepare_cfg p;
    err e = {0};
    cfg *c = cfg_new(groups, 2);
    for (int i = 0; i < n; i++)
        assert_true(cfg_set(c, set[i], &e));
    assert_true(prepare_bind(c, &p, &e));
    cfg_free(c);
    return p;
}

static record facts(void)
{
    record r;
    memset(&r, 0, sizeof r);
    snprintf(r.photometric, sizeof r.photometric, "MONOCHROME2");
    r.side = 'L';
    r.view = VIEW_CC;
    return r;
}

/* ---- resize ---------------------------------------------------------------------------------- */

static double overlap(double a0, double a1, double b0, double b1)
{
    double lo = a0 > b0 ? a0 : b0, hi = a1 < b1 ? a1 : b1;
    return hi > lo ? hi - lo : 0;
}

static void test_resize_twin(void **state)
{
    (void)state;
    enum { S = 60, LONG = 400 };
    static uint16_t src[S * S], dst[S * S], turned[S * S], line[LONG], narrow[LONG], lut[65536];
    rng g;
    rng_init(&g, 3, RNG_TEST, 0, 0);
    for (int i = 0; i < S * S; i++)
        src[i] = (uint16_t)rng_u32(&g);
    for (int round = 0; round < 200; round++) {
        int x0 = (int)rng_below(&g, 20), y0 = (int)rng_below(&g, 20);
        int w = 1 + (int)rng_below(&g, S - 20), h = 1 + (int)rng_below(&g, S - 20);
        int dw = 1 + (int)rng_below(&g, (uint32_t)w), dh = 1 + (int)rng_below(&g, (uint32_t)h);
        resize j = {src, S, x0, y0, w, h, NULL, dst, dw, dh, dw, false};
        resize_run(&j, mem);
        j.dst =
            turned + (size_t)(dh - 1) * (size_t)dw; /* upside down and mirrored: all backwards */
        j.dst_stride = -dw;
        j.mirror = true;
        resize_run(&j, mem);
        for (int k = 0; k < dw * dh; k++) {
            assert_int_equal(turned[dw * dh - 1 - k], dst[k]);
            int x = k % dw, y = k / dw;
            double sum = 0, sx = (double)w / dw, sy = (double)h / dh;
            for (int v = 0; v < h; v++)
                for (int u = 0; u < w; u++)
                    sum += src[(y0 + v) * S + x0 + u] * overlap(x * sx, (x + 1) * sx, u, u + 1) *
                           overlap(y * sy, (y + 1) * sy, v, v + 1);
            assert_true(fabs(sum / (sx * sy) - dst[k]) <= 0.5 + 1e-6);
        }
        arena_reset(mem);
    }
    for (int i = 0; i < 65536; i++)
        lut[i] = (uint16_t)(65535 - i);
    for (int i = 0; i < LONG; i++) /* stretches of one value and others, through a table */
        line[i] = i % 50 < 25 ? 65535 : (uint16_t)rng_u32(&g);
    resize l = {line, LONG, 0, 0, LONG, 1, lut, narrow, LONG / 2, 1, 0, false};
    resize_run(&l, mem);
    for (int k = 0; k < LONG / 2; k++)
        assert_int_equal(narrow[k], (lut[line[2 * k]] + lut[line[2 * k + 1]] + 1) / 2);
    uint16_t one[4] = {0, 1000, 0, 1000}, up[16]; /* growing: linear between the centres */
    resize j = {one, 2, 0, 0, 2, 2, NULL, up, 4, 4, 4, false};
    resize_run(&j, mem);
    assert_true(up[0] == 0 && up[1] == 250 && up[2] == 750 && up[3] == 1000);
    assert_memory_equal(up, up + 12, 8);
}

static void test_orient_copy(void **state)
{
    (void)state;
    const uint16_t src[6] = {1, 2, 3, 4, 5, 6}; /* 2 x 3 */
    uint16_t d[6];
    static const struct {
        image_orient o;
        uint16_t want[6];
    } c[] = {
        {{false, true, false}, {3, 2, 1, 6, 5, 4}},
        {{false, false, true}, {4, 5, 6, 1, 2, 3}},
        {{true, false, false}, {1, 4, 2, 5, 3, 6}},
        {{true, true, false}, {4, 1, 5, 2, 6, 3}},
    };
    for (size_t i = 0; i < COUNT_OF(c); i++) {
        image_orient_copy(c[i].o, src, 2, 3, d, c[i].o.transpose ? 2 : 3);
        assert_memory_equal(d, c[i].want, sizeof d);
    }
}

static void test_orientation_codes(void **state)
{
    (void)state;
    static const struct {
        const char *row, *col;
        char side;
        record_view view;
        bool t, h, v;
        segment_source by;
    } c[] = {
        {"A", "R", 'L', VIEW_CC, false, false, false, SEGMENT_BY_CODES},
        {"P", "L", 'R', VIEW_CC, false, true, false, SEGMENT_BY_CODES},
        {"P", "R", 'R', VIEW_CC, false, true, true, SEGMENT_BY_CODES},
        {"A", "L", 'L', VIEW_CC, false, false, true, SEGMENT_BY_CODES},
        {"P", "FL", 'R', VIEW_MLO, false, true, false, SEGMENT_BY_CODES},
        {"A", "HR", 'L', VIEW_MLO, false, false, true, SEGMENT_BY_CODES},
        {"R", "P", 'L', VIEW_CC, true, true, false, SEGMENT_BY_CODES},
        {"", "", 'R', VIEW_CC, false, true, false, SEGMENT_BY_SIDE},
        {"", "", 0, VIEW_CC, false, false, false, SEGMENT_BY_NOTHING},
    };
    for (size_t i = 0; i < COUNT_OF(c); i++) {
        record r = facts();
        segment_source by;
        snprintf(r.orientation[0], 17, "%s", c[i].row);
        snprintf(r.orientation[1], 17, "%s", c[i].col);
        r.side = c[i].side;
        r.view = c[i].view;
        image_orient o = segment_orient(&r, &by);
        if (o.transpose != c[i].t || o.flip_h != c[i].h || o.flip_v != c[i].v || by != c[i].by)
            fail_msg("case %zu: %d%d%d%d", i, o.transpose, o.flip_h, o.flip_v, by);
    }
}

/* ---- drawn breasts --------------------------------------------------------------------------- */

enum { R = 700, C = 500, AIR = 60, CX = 330, CY = 330, RY = 250 };
static uint16_t canvas_px[R * C];

/* A half ellipse of tissue at the left edge, skin falling to air, a bright landmark, a marker. */
static pixels draw(bool right, int air)
{
    rng g;
    rng_init(&g, 5, RNG_TEST, 1, 0);
    for (int y = 0; y < R; y++)
        for (int x = 0; x < C; x++) {
            double e = (double)x * x / (CX * CX) + (double)(y - CY) * (y - CY) / (RY * RY);
            double v = air + (e < 1 ? 900 + 1600 * (1 - e) : 0) + rng_below(&g, 40);
            if (x >= 100 && x < 108 && y >= 300 && y < 308)
                v = 4095; /* landmark inside */
            if (x >= 430 && x < 460 && y >= 40 && y < 80)
                v = 4000; /* side marker in the air */
            canvas_px[y * C + (right ? C - 1 - x : x)] = (uint16_t)v;
        }
    return (pixels){.rows = R, .cols = C, .stored = canvas_px, .bits_stored = 12, .high_bit = 11};
}

typedef struct outcome {
    prepared p;
    pixel_facts f;
    uint16_t v[256 * 208];
} outcome;

static void run(const pixels *px, const record *r, const char *const *set, int n, outcome *out)
{
    static _Alignas(64) char reply[1 << 18];
    prepare_cfg c = config(set, n);
    memset(&out->p, 0, sizeof out->p);
    out->p.rec = *r;
    out->p.n_sizes = 1;
    out->p.h[0] = c.h[0];
    out->p.w[0] = c.w[0];
    assert_true(c.h[0] == 256 && c.w[0] == 208);
    chain s = {.c = &c, .p = px, .a = mem, .out = &out->p, .facts = &out->f};
    chain_run(&s, reply);
    memcpy(out->v, reply, sizeof out->v);
    arena_reset(mem);
}

static const char *const base[] = {"prepare.sizes=256x208"};

/* Brightest canvas pixel must be where the affine says the landmark is. */
static void check_landmark(const outcome *o, double x, double y)
{
    const float *m = o->p.affine[0];
    double cx = m[0] * x + m[1] * y + m[2], cy = m[3] * x + m[4] * y + m[5];
    int best = 0;
    for (int i = 0; i < 256 * 208; i++)
        if (o->v[i] > o->v[best])
            best = i;
    if (fabs(best % 208 - cx) > 2 || fabs(best / 208 - cy) > 2)
        fail_msg("landmark at %d,%d, affine says %.1f,%.1f", best % 208, best / 208, cx, cy);
}

static void test_chain(void **state)
{
    (void)state;
    static outcome left, right;
    record r = facts();
    pixels p = draw(false, AIR);
    run(&p, &r, base, 1, &left);
    assert_true(left.f.breast_found && !left.f.orient_conflict && !left.f.polarity_fixed);
    assert_false(left.f.polarity_uncertain);
    assert_false(left.p.flip_h);
    check_landmark(&left, 103.5, 303.5);
    double want = 3.14159265 / 2 * CX * RY / (R * C);
    assert_true(fabs(left.f.breast_area - want) < 0.02);
    /* letterbox: the crop is taller than wide, so height fills and the aspect stays */
    double scale = left.p.affine[0][0];
    assert_true(fabs(left.p.affine[0][4] / scale - 1) < 0.02);
    assert_true(fabs(scale - 256 / (2.0 * RY + 20)) < 0.02);
    uint64_t sum = 0, sq = 0;
    for (int i = 0; i < 256 * 208; i++) {
        sum += left.v[i];
        sq += (uint64_t)left.v[i] * left.v[i];
    }
    assert_true(left.p.sum_all[0] == (double)sum / 65535);
    assert_true(left.p.sumsq_all[0] == (double)sq / 65535 / 65535 ||
                fabs(left.p.sumsq_all[0] / ((double)sq / 65535 / 65535) - 1) < 1e-15);
    double area = want * R * C * scale * scale;
    assert_true(fabs(left.p.breast_pixels[0] / area - 1) < 0.04);
    assert_true(left.p.sum_breast[0] < left.p.sum_all[0]);
    assert_true(left.p.noise > 0 && left.p.noise < 1);
    assert_true(left.p.sum_breast[0] / left.p.breast_pixels[0] > 0.3);
    /* the mirrored right breast gives the same canvas but for its noise */
    r.side = 'R';
    p = draw(true, AIR);
    run(&p, &r, base, 1, &right);
    assert_true(right.p.flip_h && right.f.breast_found && !right.f.orient_conflict);
    check_landmark(&right, C - 1 - 103.5, 303.5);
    assert_memory_equal(left.v, right.v, sizeof left.v);
    /* pixels win over a stale side, and say so */
    r.side = 'L';
    run(&p, &r, base, 1, &right);
    assert_true(right.p.flip_h && right.f.orient_conflict);
    assert_memory_equal(left.v, right.v, sizeof left.v);
}

static void test_chain_polarity(void **state)
{
    (void)state;
    static outcome plain, inverted;
    record r = facts();
    pixels p = draw(false, AIR);
    run(&p, &r, base, 1, &plain);
    for (int i = 0; i < R * C; i++)
        canvas_px[i] = (uint16_t)(4095 - canvas_px[i]);
    run(&p, &r, base, 1, &inverted); /* MONOCHROME2 says nothing: the pixels do */
    assert_true(inverted.f.polarity_fixed && inverted.f.breast_found);
    assert_true(inverted.p.proc_flags & IMAGE_POLARITY_FIXED);
    assert_memory_equal(plain.v, inverted.v, sizeof plain.v);
    snprintf(r.photometric, sizeof r.photometric, "MONOCHROME1");
    run(&p, &r, base, 1, &inverted);
    assert_false(inverted.f.polarity_fixed);
    assert_memory_equal(plain.v, inverted.v, sizeof plain.v);
    r.pls = PLS_IDENTITY; /* illegal pair */
    run(&p, &r, base, 1, &inverted);
    assert_true(inverted.f.polarity_conflict && inverted.f.polarity_fixed);
    assert_memory_equal(plain.v, inverted.v, sizeof plain.v);
    const char *header[] = {"prepare.sizes=256x208", "prepare.polarity=header"};
    r.pls = PLS_ABSENT;
    snprintf(r.photometric, sizeof r.photometric, "MONOCHROME2");
    run(&p, &r, header, 2, &inverted);
    assert_true(inverted.f.polarity_conflict && !inverted.f.polarity_fixed);
}

static void test_chain_marker_and_crop(void **state)
{
    (void)state;
    static outcome o;
    record r = facts();
    pixels p = draw(false, AIR);
    const char *full[] = {"prepare.sizes=256x208", "prepare.crop=false",
                          "prepare.erase_outside=false"};
    run(&p, &r, full, 3, &o);
    const float *m = o.p.affine[0];
    int mx = (int)(m[0] * 445 + m[2]), my = (int)(m[4] * 60 + m[5]);
    assert_true(o.v[my * 208 + mx] > 60000);
    assert_true(fabs(m[0] - 256.0 / R) < 1e-3 || fabs(m[0] - 208.0 / C) < 1e-3);
    const char *erase[] = {"prepare.sizes=256x208", "prepare.crop=false"};
    run(&p, &r, erase, 2, &o);
    assert_true(o.v[my * 208 + mx] < 3000); /* the marker is gone */
    assert_true(o.p.proc_flags & IMAGE_ERASED);
    check_landmark(&o, 103.5, 303.5); /* the breast is not */
    const char *mm[] = {"prepare.sizes=256x208", "prepare.fit=mm", "prepare.mm=0.25"};
    r.row_mm = r.col_mm = 0.1;
    run(&p, &r, mm, 3, &o);
    assert_true(fabs(o.p.mm_per_px[0] - 0.25) < 0.002 && !o.f.canvas_cut);
    check_landmark(&o, 103.5, 303.5);
    mm[2] = "prepare.mm=0.12";
    run(&p, &r, mm, 3, &o);
    assert_true(o.f.canvas_cut && fabs(o.p.mm_per_px[0] - 0.12) < 0.002);
    const char *squash[] = {"prepare.sizes=256x208", "prepare.fit=squash"};
    run(&p, &r, squash, 2, &o);
    assert_true(fabs(o.p.affine[0][0] - 208.0 / (CX + 30)) < 0.02);
    check_landmark(&o, 103.5, 303.5);
}

/* ---- canvases by brute force
 * --------------------------------------------------------------------- */

enum { SIZES = 3 };
static const int size_h[SIZES] = {256, 64, 900}, size_w[SIZES] = {208, 80, 700};

typedef struct multi {
    prepared p;
    pixel_facts f;
    const uint16_t *v[SIZES];
    const uint8_t *mask[SIZES];
} multi;

/* One call with three canvases, as the task makes it. */
static void run_sizes(const pixels *px, const record *r, const char *const *set, int n, multi *out)
{
    static _Alignas(64) char reply[1 << 22];
    prepare_cfg c = config(set, n);
    size_t at = sizeof(prepared);
    memset(&out->p, 0, sizeof out->p);
    memset(reply, 0xA5, sizeof reply);
    out->p.rec = *r;
    out->p.n_sizes = c.n_sizes;
    assert_int_equal(c.n_sizes, SIZES);
    for (int i = 0; i < SIZES; i++) {
        size_t px_n = (size_t)c.h[i] * (size_t)c.w[i];
        assert_true(c.h[i] == size_h[i] && c.w[i] == size_w[i]);
        out->p.h[i] = c.h[i];
        out->p.w[i] = c.w[i];
        at = (at + 63) / 64 * 64;
        out->p.image_at[i] = at;
        out->v[i] = (const uint16_t *)(reply + at);
        at += px_n * 2;
        out->p.mask_at[i] = at;
        out->mask[i] = (const uint8_t *)(reply + at);
        at += px_n;
    }
    assert_true(at <= sizeof reply);
    chain s = {.c = &c, .p = px, .a = mem, .out = &out->p, .facts = &out->f};
    chain_run(&s, reply);
    arena_reset(mem);
}

/* Interval of stored pixels that canvas pixel k covers along one axis: v' = a v + b. */
static void cover(double a, double b, int k, double *lo, double *hi)
{
    double u = (k - 0.5 - b) / a + 0.5, v = (k + 0.5 - b) / a + 0.5;
    *lo = u < v ? u : v;
    *hi = u < v ? v : u;
}

/* Mean of the display values under a canvas pixel, in double, from the affine alone. */
static double box_mean(const float *m, const uint16_t *y, int cx, int cy)
{
    double x0, x1, y0, y1, sum = 0, area = 0;
    cover(m[0], m[2], cx, &x0, &x1);
    cover(m[4], m[5], cy, &y0, &y1);
    for (int v = (int)floor(y0 + 1e-3); v < y1 - 1e-3 && v < R; v++)
        for (int u = (int)floor(x0 + 1e-3); u < x1 - 1e-3 && u < C; u++) {
            double w = overlap(x0, x1, u, u + 1) * overlap(y0, y1, v, v + 1);
            if (u < 0 || v < 0)
                return -1;
            sum += w * y[canvas_px[v * C + u]];
            area += w;
        }
    return sum / area;
}

static void check_canvas(const multi *o, int i, const uint16_t *y)
{
    const float *m = o->p.affine[i];
    int h = o->p.h[i], w = o->p.w[i], filled_h = 0, filled_w = 0, n = 0;
    double sum = 0, sq = 0, bsum = 0, bsq = 0;
    uint32_t breast = 0;
    for (int k = 0; k < h * w; k++) { /* statistics against the bytes that came out */
        double v = o->v[i][k] / 65535.0;
        assert_true(o->mask[i][k] <= 1);
        sum += v;
        sq += v * v;
        breast += o->mask[i][k];
        bsum += o->mask[i][k] ? v : 0;
        bsq += o->mask[i][k] ? v * v : 0;
        if (o->v[i][k]) {
            filled_h = k / w + 1;
            filled_w = k % w + 1 > filled_w ? k % w + 1 : filled_w;
        }
    }
    assert_int_equal(breast, o->p.breast_pixels[i]);
    assert_true(breast > 1000);
    assert_true(fabs(sum - o->p.sum_all[i]) < 1e-6 && fabs(sq - o->p.sumsq_all[i]) < 1e-6);
    assert_true(fabs(bsum - o->p.sum_breast[i]) < 1e-6 && fabs(bsq - o->p.sumsq_breast[i]) < 1e-6);
    if (fabs((double)m[0]) > 1 || fabs((double)m[4]) > 1)
        return; /* enlarged: linear between centres, tested apart */
    for (int k = 0; k < h * w; k++) {
        if (k / w >= filled_h || k % w >= filled_w)
            continue; /* padding */
        double want = box_mean(m, y, k % w, k / w);
        /* the affine is stored in single precision: 1e-5 of a pixel at an edge of full height */
        if (fabs(want - o->v[i][k]) > 3)
            fail_msg("canvas %d, pixel %d,%d: %u, by the affine %.2f", i, k % w, k / w, o->v[i][k],
                     want);
        n++;
    }
    assert_true(n > 2000);
}

static void test_canvas_brute_force(void **state)
{
    (void)state;
    static const char *const fits[] = {"prepare.fit=squash", "prepare.fit=letterbox",
                                       "prepare.fit=long", "prepare.fit=mm"};
    static multi o;
    static window_lut lut;
    static uint32_t hist[WINDOW_WORDS];
    for (size_t k = 0; k < 2 * COUNT_OF(fits); k++) {
        const char *set[] = {"prepare.sizes=[256x208, 64x80, 900x700]",
                             fits[k / 2],
                             "prepare.mm=0.3",
                             "prepare.erase_outside=false",
                             "prepare.mask=true",
                             k % 2 ? "prepare.crop=true" : "prepare.crop=false"};
        record r = facts();
        r.row_mm = 0.1;
        r.col_mm = 0.12;
        r.side = k % 2 ? 'R' : 'L';
        pixels p = draw(k % 2, AIR);
        prepare_cfg c = config(set, COUNT_OF(set));
        window_histogram(&p, 1, hist);
        window_build(&c, &r, &p, hist, NULL, false, mem, &lut);
        run_sizes(&p, &r, set, COUNT_OF(set), &o);
        assert_true(o.f.breast_found);
        assert_true((o.p.proc_flags & IMAGE_UPSCALED) || k / 2 == 3);
        for (int i = 0; i < SIZES; i++)
            check_canvas(&o, i, lut.y);
        arena_reset(mem);
    }
}

/* A size prepared beside others is the size prepared alone; a mask changes no pixel; a marked pixel
 * is never erased, one far outside always. */
static void test_sizes_and_mask(void **state)
{
    (void)state;
    static multi o;
    static outcome alone;
    record r = facts();
    pixels p = draw(false, AIR);
    const char *set[] = {"prepare.sizes=[256x208, 64x80, 900x700]", "prepare.mask=true"};
    run(&p, &r, base, 1, &alone);
    run_sizes(&p, &r, set, 2, &o);
    assert_memory_equal(o.v[0], alone.v, sizeof alone.v);
    assert_memory_equal(o.p.affine[0], alone.p.affine[0], sizeof alone.p.affine[0]);
    assert_true(o.p.breast_pixels[0] == alone.p.breast_pixels[0]);
    const float *a = o.p.affine[0], *b = o.p.affine[2];
    assert_true(fabs(b[0] / a[0] - 900.0 / 256) < 0.02); /* each size has its own */
    int erased = 0;
    uint16_t air = o.v[2][900 * 700 - 1];
    for (int k = 0; k < 900 * 700; k++)
        erased += o.v[2][k] == air && !o.mask[2][k];
    assert_true(erased > 900 * 700 / 10);
    const float *m = o.p.affine[2];
    for (int y = 0; y < R; y += 3)
        for (int x = 0; x < C; x += 3) {
            double e = (double)x * x / (CX * CX) + (double)(y - CY) * (y - CY) / (RY * RY);
            int cx = (int)floor(m[0] * x + m[2] + 0.5), cy = (int)floor(m[4] * y + m[5] + 0.5);
            if (cx < 0 || cy < 0 || cx >= 700 || cy >= 900)
                continue;
            if (e < 0.95)
                assert_true(o.mask[2][cy * 700 + cx] == 1 && o.v[2][cy * 700 + cx] != air);
            else if (e > 1.06)
                assert_int_equal(o.mask[2][cy * 700 + cx], 0);
        }
    /* no breast, no mask */
    for (int i = 0; i < R * C; i++)
        canvas_px[i] = (uint16_t)(AIR + i % 7);
    run_sizes(&p, &r, set, 2, &o);
    assert_false(o.f.breast_found);
    for (int i = 0; i < SIZES; i++) {
        assert_int_equal(o.p.breast_pixels[i], 0);
        for (int k = 0; k < size_h[i] * size_w[i]; k++)
            assert_int_equal(o.mask[i][k], 0);
    }
}

static void test_chain_rotated(void **state)
{
    (void)state;
    static outcome plain, turned;
    static uint16_t t[R * C];
    record r = facts();
    pixels p = draw(false, AIR);
    run(&p, &r, base, 1, &plain);
    for (int y = 0; y < R; y++) /* transposed: rows run left-right, columns run from the chest */
        for (int x = 0; x < C; x++)
            t[x * R + y] = canvas_px[y * C + x];
    pixels q = {.rows = C, .cols = R, .stored = t, .bits_stored = 12, .high_bit = 11};
    snprintf(r.orientation[0], 17, "R");
    snprintf(r.orientation[1], 17, "A");
    run(&q, &r, base, 1, &turned);
    assert_true(turned.p.proc_flags & IMAGE_TRANSPOSED);
    assert_memory_equal(plain.v, turned.v, sizeof plain.v);
    check_landmark(&turned, 303.5, 103.5);
}

static void test_chain_no_breast(void **state)
{
    (void)state;
    static outcome o;
    record r = facts();
    pixels p = draw(false, AIR);
    for (int i = 0; i < R * C; i++)
        canvas_px[i] = (uint16_t)(AIR + i % 7);
    run(&p, &r, base, 1, &o);
    assert_false(o.f.breast_found);
    assert_true(o.f.range < 0.02); /* BLANK */
    assert_int_equal(o.p.breast_pixels[0], 0);
    for (int i = 0; i < R * C; i++) /* a bright rectangle in the middle is no breast */
        canvas_px[i] =
            (uint16_t)(i % C > 200 && i % C < 300 && i / C > 200 && i / C < 400 ? 3000 : 60);
    run(&p, &r, base, 1, &o);
    assert_false(o.f.breast_found);
    p = draw(false, 900); /* bright air must not hide the breast */
    run(&p, &r, base, 1, &o);
    assert_true(o.f.breast_found);
    assert_true(fabs(o.f.breast_area - 0.37) < 0.03);
}

static void test_percentile(void **state)
{
    (void)state;
    static outcome o;
    record r = facts();
    pixels p = draw(false, AIR);
    const char *set[] = {"prepare.sizes=256x208", "prepare.voi=percentile",
                         "prepare.percentile_low=5", "prepare.percentile_high=95"};
    run(&p, &r, set, 4, &o);
    int black = 0, white = 0, n = (int)o.p.breast_pixels[0];
    for (int i = 0; i < 256 * 208; i++)
        white += o.v[i] == 65535;
    for (int y = 0; y < 256; y++)
        black += o.v[y * 208 + 10] == 0;
    assert_true(o.f.breast_found);
    assert_true(white > n * 0.02 && white < n * 0.08);
    assert_true(black < 40);
}

static int setup(void **state)
{
    (void)state;
    opencv_init();
    mem = arena_new(1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(mem);
    return 0;
}

/* A passage that leads into the breast and there up and down is outside; what is closed is not. */
static void test_holes(void **state)
{
    (void)state;
    enum { H = 200, W = 150 };
    static uint16_t v[H * W];
    static uint8_t pad[H * W];
    segment_thumb t = {H, W, v, pad};
    segment_found f = {0};
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            bool in = x * x / 1e4 + (y - 100) * (y - 100) / 6.4e3 < 1;
            bool way = (x > 50 && y > 98 && y < 104) || (x > 50 && x < 56 && y > 60 && y < 140);
            bool hole = x > 20 && x < 30 && y > 40 && y < 50;
            v[y * W + x] = in && !way && !hole ? 40000 : 300;
        }
    assert_true(segment_find(&t, mem, &f));
    assert_true(f.mask[45 * W + 25]);
    assert_false(f.mask[101 * W + 90]);
    assert_false(f.mask[65 * W + 53]);
    assert_false(f.mask[135 * W + 53]);
    assert_true(f.mask[65 * W + 70] && f.mask[135 * W + 70]);
    int64_t area = 0;
    int x1 = 0, y0 = H, y1 = 0;
    for (int i = 0; i < H * W; i++)
        if (f.mask[i]) {
            area++;
            x1 = i % W >= x1 ? i % W + 1 : x1;
            y0 = i / W < y0 ? i / W : y0;
            y1 = i / W + 1;
        }
    assert_int_equal(f.area, area);
    assert_true(f.x0 == 0 && f.x1 == x1 && f.y0 == y0 && f.y1 == y1);
    arena_reset(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holes),
        cmocka_unit_test(test_resize_twin),
        cmocka_unit_test(test_canvas_brute_force),
        cmocka_unit_test(test_sizes_and_mask),
        cmocka_unit_test(test_orient_copy),
        cmocka_unit_test(test_orientation_codes),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_chain_polarity),
        cmocka_unit_test(test_chain_marker_and_crop),
        cmocka_unit_test(test_chain_rotated),
        cmocka_unit_test(test_chain_no_breast),
        cmocka_unit_test(test_percentile),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
