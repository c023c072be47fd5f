/* Pixel criteria from drawn pictures to reason codes: for every rule one picture that hits and one
 * just outside, through the whole chain and the table of exclude.c. */
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
#include "preprocess/facts.h"
#include "preprocess/opencv_shim.h"

enum { R = 700, C = 500, AIR = 60 };

static arena *mem;
static uint16_t v[R * C];

typedef struct scene { /* 0 takes the default of an ordinary left breast */
    double cx, ry, cy; /* half ellipse at the left border, pixels */
    int air_noise;     /* uniform, 0 .. air_noise - 1 */
    double mm;         /* 0: 0.35; below 0: unknown */
    char side;         /* 0: L */
    const char *row;   /* PatientOrientation, row code */
    bool mirror;
    void (*add)(void); /* draws on v */
} scene;

static void breast(const scene *s)
{
    rng g;
    rng_init(&g, 9, RNG_TEST, 2, 0);
    double cx = s->cx > 0 ? s->cx : 330, ry = s->ry > 0 ? s->ry : 250, cy = s->cy > 0 ? s->cy : 330;
    uint32_t noise = s->air_noise ? (uint32_t)s->air_noise : 40;
    for (int y = 0; y < R; y++)
        for (int x = 0; x < C; x++) {
            double e = (double)x * x / (cx * cx) + (y - cy) * (y - cy) / (ry * ry);
            v[y * C + x] = (uint16_t)(e < 1 ? AIR + 900 + 1600 * (1 - e) + rng_below(&g, 40)
                                            : AIR + rng_below(&g, noise));
        }
}

static reason_set judge(const scene *s)
{
    static _Alignas(64) char reply[1 << 18];
    const cfg_group *groups[] = {&prepare_options, &exclude_options};
    prepare_cfg p;
    prepared out;
    pixel_facts f;
    err e = {0};
    reason primary = REASON_NONE;
    reason_set set = {{0}};
    cfg *c = cfg_new(groups, 2);
    assert_true(cfg_set(c, "prepare.sizes=64x64", &e) && prepare_bind(c, &p, &e));
    cfg_free(c);
    breast(s);
    if (s->add)
        s->add();
    for (int y = 0; y < R && s->mirror; y++)
        for (int a = y * C, b = a + C - 1; a < b; a++, b--) {
            uint16_t t = v[a];
            v[a] = v[b];
            v[b] = t;
        }
    memset(&out, 0, sizeof out);
    record_clear(&out.rec);
    snprintf(out.rec.photometric, sizeof out.rec.photometric, "MONOCHROME2");
    snprintf(out.rec.orientation[0], 17, "%s", s->row ? s->row : "");
    out.rec.side = s->side ? s->side : 'L';
    out.rec.view = VIEW_CC;
    out.rec.row_mm = out.rec.col_mm = s->mm < 0 ? 0 : s->mm > 0 ? s->mm : 0.35;
    out.n_sizes = 1;
    out.h[0] = out.w[0] = 64;
    pixels px = {.rows = R, .cols = C, .stored = v, .bits_stored = 12, .high_bit = 11};
    chain steps = {.c = &p, .p = &px, .a = mem, .out = &out, .facts = &f};
    chain_run(&steps, reply);
    arena_reset(mem);
    exclude_judge(&p.exclude, EXCLUDE_PIXELS, &out.rec, &f, &set, &primary);
    return set;
}

/* ---- what may be drawn ----------------------------------------------------------------------- */

static void box(int x0, int y0, int w, int h, int level)
{
    for (int y = y0; y < y0 + h; y++)
        for (int x = x0; x < x0 + w; x++)
            v[y * C + x] = (uint16_t)level;
}

static void disc(double x0, double y0, double rx, double ry, int level)
{
    for (int y = 0; y < R; y++)
        for (int x = 0; x < C; x++)
            if ((x - x0) * (x - x0) / (rx * rx) + (y - y0) * (y - y0) / (ry * ry) < 1)
                v[y * C + x] = (uint16_t)level;
}

static void air(void)
{
    box(0, 0, C, R, AIR);
}

static void clip(void)
{
    box(120, 300, 11, 11, 4095);
}
static void clip_dim(void)
{
    box(120, 300, 11, 11, 3800);
}
static void clip_soft(void) /* fades over 40 pixels, as bright tissue does */
{
    for (int i = 0; i < 40; i++)
        disc(150, 330, 60 - i, 60 - i, 2400 + i * 43);
    disc(150, 330, 20, 20, 4095);
}
static void clip_outside(void)
{
    box(430, 40, 11, 11, 4095);
}
static void pacemaker(void) /* 14 x 14 mm */
{
    box(120, 300, 40, 40, 4095);
}
static void pacemaker_small(void) /* 9.1 x 9.1 mm */
{
    box(120, 300, 26, 26, 4095);
}
static void implant(void)
{
    disc(150, 330, 120, 120, 3900);
}
static void implant_small(void)
{
    disc(150, 330, 70, 70, 3900);
}
static void implant_hollow(void)
{
    disc(150, 330, 130, 130, 3900);
    disc(190, 330, 105, 105, 2400);
}
static void implant_rough(void)
{
    for (int y = 210; y < 450; y++)
        for (int x = 30; x < 270; x++)
            v[y * C + x] = (uint16_t)((x / 3 + y / 3) % 2 ? 4090 : 3700);
}
static void letters6(void)
{
    for (int i = 0; i < 6; i++)
        box(400 + 12 * i, 50, 5, 12, 3900);
}
static void letters5(void)
{
    for (int i = 0; i < 5; i++)
        box(400 + 12 * i, 50, 5, 12, 3900);
}
static void letters_turned(void)
{
    for (int i = 0; i < 6; i++)
        box(450, 50 + 12 * i, 12, 5, 3900);
}
static void letters_large(void) /* 8.4 mm */
{
    for (int i = 0; i < 6; i++)
        box(400 + 24 * i, 50, 10, 24, 3900);
}
static void letters_steps(void) /* no line */
{
    for (int i = 0; i < 6; i++)
        box(400 + 12 * i, 50 + 10 * i, 5, 12, 3900);
}
static void letters_inside(void) /* at the skin, where tissue is darker than letters may be */
{
    for (int i = 0; i < 6; i++)
        box(324, 306 + 12 * i, 4, 5, 3900);
}
static void phantom(void)
{
    air();
    box(120, 150, 260, 300, 2000);
}
static void phantom_round(void)
{
    air();
    disc(250, 300, 150, 170, 2000);
}
static void phantom_rough(void)
{
    air();
    for (int y = 150; y < 450; y++)
        for (int x = 120; x < 380; x++)
            v[y * C + x] = (uint16_t)((x / 3 + y / 3) % 2 ? 2600 : 1400);
}
static void field(void)
{
    for (int i = 0; i < R * C; i++)
        v[i] = (uint16_t)(1900 + i % C * 400 / C);
}
static void field_rough(void)
{
    for (int i = 0; i < R * C; i++)
        v[i] = (uint16_t)((i % C / 3 + i / C / 3) % 2 ? 2600 : 1400);
}
static void specimen(void)
{
    air();
    disc(250, 300, 60, 50, 2500);
}
static void specimen_faint(void)
{
    air();
    disc(250, 300, 60, 50, 900);
}
static void specimen_border(void)
{
    air();
    disc(250, 20, 60, 50, 2500);
}
static void specimen_large(void)
{
    air();
    disc(250, 350, 150, 140, 2500);
}
static void static_of(int spread)
{
    rng g;
    rng_init(&g, 9, RNG_TEST, 3, 0);
    for (int i = 0; i < R * C; i++)
        v[i] = (uint16_t)(200 + (int)rng_below(&g, (uint32_t)spread));
}
static void aborted(void)
{
    static_of(300);
}
static void aborted_wide(void)
{
    static_of(600);
}
static void aborted_calm(void)
{
    for (int i = 0; i < R * C; i++)
        v[i] = (uint16_t)(200 + i % C * 300 / C);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static const struct {
    reason code;
    bool hits;
    scene s;
} cases[] = {
    {REASON_METAL_CLIP, true, {.add = clip}},
    {REASON_METAL_CLIP, false, {.add = clip_dim}},
    {REASON_METAL_CLIP, false, {.add = clip_soft}},
    {REASON_METAL_CLIP, false, {.add = clip_outside}},
    {REASON_METAL_CLIP, true, {.add = pacemaker_small}},
    {REASON_METAL_CLIP, false, {.add = pacemaker}},
    {REASON_PACEMAKER, true, {.add = pacemaker}},
    {REASON_PACEMAKER, false, {.add = pacemaker_small}},
    {REASON_PACEMAKER, false, {.add = implant}},
    {REASON_PACEMAKER, false, {.add = clip_soft}},
    {REASON_IMPLANT, true, {.add = implant}},
    {REASON_IMPLANT, false, {.add = implant_small}},
    {REASON_IMPLANT, false, {.add = implant_hollow}},
    {REASON_IMPLANT, false, {.add = implant_rough}},
    {REASON_IMPLANT, false, {.add = NULL}},
    {REASON_BURNED_IN, true, {.add = letters6}},
    {REASON_BURNED_IN, true, {.add = letters_turned}},
    {REASON_BURNED_IN, true, {.add = letters6, .mirror = true, .side = 'R'}},
    {REASON_BURNED_IN, false, {.add = letters5}},
    {REASON_BURNED_IN, false, {.add = letters_large}},
    {REASON_BURNED_IN, false, {.add = letters_steps}},
    {REASON_BURNED_IN, false, {.add = letters_inside}},
    {REASON_PARTIAL_VIEW, true, {.cx = 560, .ry = 400}},
    {REASON_PARTIAL_VIEW, false, {.cx = 560}},
    {REASON_PARTIAL_VIEW, false, {.ry = 400}},
    {REASON_PHANTOM, true, {.add = phantom}},
    {REASON_PHANTOM, false, {.add = phantom_round}},
    {REASON_PHANTOM, false, {.add = phantom_rough}},
    {REASON_PHANTOM, false, {.add = field}},
    {REASON_QC_IMAGE, true, {.add = field}},
    {REASON_QC_IMAGE, false, {.add = field_rough}},
    {REASON_QC_IMAGE, false, {.add = phantom}},
    {REASON_SPECIMEN, true, {.add = specimen}},
    {REASON_SPECIMEN, false, {.add = specimen_faint}},
    {REASON_SPECIMEN, false, {.add = specimen_border}},
    {REASON_SPECIMEN, false, {.add = specimen_large}},
    {REASON_EXPOSURE_ABORTED, true, {.add = aborted}},
    {REASON_EXPOSURE_ABORTED, false, {.add = aborted_wide}},
    {REASON_EXPOSURE_ABORTED, false, {.add = aborted_calm}},
    {REASON_NOISE, true, {.air_noise = 400}},
    {REASON_NOISE, false, {.air_noise = 150}},
    {REASON_LOW_BREAST_AREA, true, {.mm = 0.1}},
    {REASON_LOW_BREAST_AREA, false, {.mm = 0.115}},
    {REASON_LOW_BREAST_AREA, false, {.mm = -1}},
    {REASON_HIGH_BREAST_AREA, true, {.mm = 0.7}},
    {REASON_HIGH_BREAST_AREA, false, {.mm = 0.65}},
    {REASON_LAT_CONFLICT, true, {.mirror = true}},
    {REASON_LAT_CONFLICT, false, {.mirror = true, .side = 'R'}},
    {REASON_LAT_CONFLICT, false, {.mirror = true, .row = "A"}},
    {REASON_ORIENT_CONFLICT, true, {.mirror = true}},
    {REASON_ORIENT_CONFLICT, true, {.mirror = true, .row = "A"}},
    {REASON_ORIENT_CONFLICT, false, {.mirror = true, .row = "P"}},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        reason_set set = judge(&cases[i].s);
        if (!!reason_has(&set, cases[i].code) != cases[i].hits)
            fail_msg("case %zu: %s %s", i, reason_name(cases[i].code),
                     cases[i].hits ? "does not hit" : "hits");
    }
}

/* Nothing at all is noticed on an ordinary picture, whichever way it lies. */
static void test_ordinary(void **state)
{
    (void)state;
    static const scene plain[] = {{.cx = 330}, {.mirror = true, .side = 'R'}, {.mm = -1}};
    for (size_t i = 0; i < COUNT_OF(plain); i++) {
        reason_set set = judge(&plain[i]);
        for (int r = 1; r < REASON_COUNT; r++)
            if (reason_has(&set, (reason)r))
                fail_msg("picture %zu: %s", i, reason_name((reason)r));
    }
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

static int by_value(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* The median residual of every 16th pixel against its 3x3 median, in words. */
static void test_noise(void **state)
{
    (void)state;
    enum { H = 90, W = 700 }; /* rows of boxes with an odd end */
    static window_lut lut;
    static int d[H * W];
    rng g;
    rng_init(&g, 4, RNG_TEST, 0, 0);
    for (int i = 0; i < 65536; i++)
        lut.y[i] = (uint16_t)(65535 - i);
    for (int i = 0; i < H * W; i++)
        v[i] = (uint16_t)rng_below(&g, 60000);
    int n = 0;
    for (int y = 8; y + 1 < H; y += 16)
        for (int x = 8; x + 1 < W; x += 16) {
            int box9[9];
            for (int k = 0; k < 9; k++)
                box9[k] = 65535 - v[(y + k / 3 - 1) * W + x + k % 3 - 1];
            int mid = box9[4];
            qsort(box9, 9, sizeof *box9, by_value);
            d[n++] = abs(mid - box9[4]);
        }
    qsort(d, (size_t)n, sizeof *d, by_value);
    pixels px = {.rows = H, .cols = W, .stored = v};
    prepared out = {0};
    pixel_facts f = {.range = 0.5};
    chain s = {.p = &px, .a = mem, .lut = &lut, .facts = &f, .out = &out};
    facts_noise(&s);
    assert_true(fabs(f.noise - 1.4826 * d[n / 2] / (0.5 * 65535)) < 1e-12);
    arena_reset(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_ordinary),
        cmocka_unit_test(test_noise),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
