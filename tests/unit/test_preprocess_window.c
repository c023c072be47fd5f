/* Grey levels: formulas of the standard with numbers worked by hand, the choice of an item,
 * padding, polarity, and what an image records about all that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preprocess/window.h"

static arena *mem;

static prepare_cfg config(const char *const *set, int n)
{
    const cfg_group *groups[] = {&prepare_options, &exclude_options};
    prepare_cfg p;
    err e = {0};
    cfg *c = cfg_new(groups, 2);
    for (int i = 0; i < n; i++)
        assert_true(cfg_set(c, set[i], &e));
    if (!prepare_bind(c, &p, &e))
        fail_msg("%s", e.msg);
    cfg_free(c);
    return p;
}

static record facts(void)
{
    record r;
    memset(&r, 0, sizeof r);
    snprintf(r.photometric, sizeof r.photometric, "MONOCHROME2");
    return r;
}

static uint16_t share(double y)
{
    return (uint16_t)floor(y * 65535 + 0.5);
}

static void build_with(const char *const *set, int n, const record *r, const pixels *p,
                       window_lut *out)
{
    prepare_cfg c = config(set, n);
    static uint32_t hist[WINDOW_WORDS];
    bool conflict;
    window_histogram(p, 1, hist);
    window_build(&c, r, p, hist, NULL, window_inverse(r, &conflict), mem, out);
}

static void build(const char *mode, const record *r, const pixels *p, window_lut *out)
{
    build_with(&mode, 1, r, p, out);
}

static void test_window_formulas(void **state)
{
    (void)state;
    static window_lut l;
    uint16_t stored[4] = {0, 100, 2000, 4000};
    pixels p = {.rows = 2, .cols = 2, .stored = stored, .bits_stored = 12, .high_bit = 11};
    record r = facts();
    r.n_windows = 2;
    r.window_center[0] = 2048;
    r.window_width[0] = 4096;
    r.window_center[1] = 100;
    r.window_width[1] = 11;
    build("prepare.voi=header", &r, &p, &l);
    assert_int_equal(l.y[0], 0);
    assert_int_equal(l.y[4095], 65535);
    assert_int_equal(l.y[1000], share((1000 - 2047.5) / 4095 + 0.5));
    assert_true(l.flags & IMAGE_VOI_WINDOW);
    snprintf(r.window_name[1], 17, "NORMAL"); /* LINEAR, c 100 w 11: 94.5 .. 104.5 */
    build("prepare.voi=header", &r, &p, &l);
    assert_int_equal(l.y[94], 0);
    assert_int_equal(l.y[95], share(0.05));
    assert_int_equal(l.y[100], share(0.55));
    assert_int_equal(l.y[104], share(0.95));
    assert_int_equal(l.y[105], 65535);
    r.window_width[1] = 1; /* a threshold, no division by zero */
    build("prepare.voi=header", &r, &p, &l);
    assert_int_equal(l.y[99], 0);
    assert_int_equal(l.y[100], 65535);
    r.voi = VOI_LINEAR_EXACT;
    r.window_width[1] = 10;
    build("prepare.voi=header", &r, &p, &l);
    assert_int_equal(l.y[95], 0);
    assert_int_equal(l.y[97], share(0.2));
    assert_int_equal(l.y[105], 65535);
    r.voi = VOI_SIGMOID;
    build("prepare.voi=header", &r, &p, &l);
    assert_int_equal(l.y[100], share(0.5));
    assert_int_equal(l.y[103], share(1 / (1 + exp(-1.2))));
    r.window_width[0] = r.window_width[1] = 0; /* invalid: full range */
    build("prepare.voi=header", &r, &p, &l);
    assert_true(l.flags & IMAGE_VOI_FULL);
    assert_int_equal(l.y[1000], share(1000 / 4095.0));
    build("prepare.voi=minmax", &r, &p, &l); /* 0..4000 */
    assert_int_equal(l.y[4000], 65535);
    assert_int_equal(l.y[1000], share((1000 - 2000.0) / 4000 + 0.5));
}

static void test_window_lut_and_modality(void **state)
{
    (void)state;
    static window_lut l;
    uint16_t stored[2] = {0, 1}, entry[4] = {0, 100, 200, 1023};
    pixels p = {.rows = 1, .cols = 2, .stored = stored, .bits_stored = 12, .high_bit = 11};
    record r = facts();
    r.n_windows = 1;
    r.window_center[0] = 2048;
    r.window_width[0] = 4096;
    p.n_voi = 1;
    p.voi[0] = (pixels_lut){.n = 4, .first = 142, .bits = 10, .data = entry};
    build("prepare.voi=header", &r, &p, &l);
    assert_true(l.flags & IMAGE_VOI_LUT);
    assert_int_equal(l.y[0], 0);
    assert_int_equal(l.y[143], share(100 / 1023.0));
    assert_int_equal(l.y[145], 65535);
    assert_int_equal(l.y[4000], 65535);
    build("prepare.voi_prefer=window", &r, &p, &l);
    assert_true(l.flags & IMAGE_VOI_WINDOW);
    p.n_voi = 0;
    r.has_rescale = 1; /* negative slope reverses the order: modality comes before VOI */
    r.slope = -10;
    r.intercept = 3000;
    r.window_center[0] = 1500;
    r.window_width[0] = 1001;
    build("prepare.voi=header", &r, &p, &l);
    assert_int_equal(l.y[0], 65535);
    assert_int_equal(l.y[150], share((1500 - 1499.5) / 1000 + 0.5));
    assert_int_equal(l.y[300], 0);
    build("prepare.voi=raw", &r, &p, &l); /* -37950 .. 3000 */
    assert_int_equal(l.y[0], 65535);
    assert_int_equal(l.y[4095], 0);
    p.modality = (pixels_lut){.n = 4, .bits = 10, .data = entry}; /* a LUT wins over rescale */
    r.window_center[0] = 512;
    r.window_width[0] = 1024;
    build("prepare.voi=header", &r, &p, &l);
    assert_int_equal(l.y[2], share((200 - 511.5) / 1023 + 0.5));
    assert_true(l.flags & IMAGE_MODALITY_LUT);
}

static void test_window_bits_and_padding(void **state)
{
    (void)state;
    static window_lut l;
    uint16_t stored[2] = {0, 1};
    pixels p = {.rows = 1, .cols = 2, .stored = stored, .bits_stored = 12, .high_bit = 15};
    assert_int_equal(window_stored(&p, 0x1230), 0x123); /* value in the high bits */
    p.high_bit = 11;
    assert_int_equal(window_stored(&p, 0xf123), 0x123); /* overlay bits above are dropped */
    p.is_signed = 1;
    assert_int_equal(window_stored(&p, 0x0fff), -1);
    assert_int_equal(window_stored(&p, 0x0800), -2048);
    record r = facts();
    r.has_padding = r.has_padding_limit = 1;
    r.padding = 5;
    r.padding_limit = -3; /* either order */
    build("prepare.voi=raw", &r, &p, &l);
    assert_true(l.pad[5] && l.pad[0] && l.pad[0xffd] && !l.pad[6] && !l.pad[0xffc]);
    p.is_signed = 0;
    r.padding = 0;
    r.padding_limit = 658;
    snprintf(r.photometric, sizeof r.photometric, "MONOCHROME1");
    build("prepare.voi=raw", &r, &p, &l);
    assert_int_equal(l.y[0], 0); /* padding is black after the inversion too */
    assert_int_equal(l.y[658], 0);
    assert_int_equal(l.y[659], 65535 - share(659 / 4095.0));
    assert_int_equal(l.y[4095], 0);
}

static void test_inverse(void **state)
{
    (void)state;
    static const struct {
        const char *pi;
        record_pls pls;
        bool inverse, conflict;
    } c[] = {
        {"MONOCHROME2", PLS_ABSENT, false, false},   {"MONOCHROME1", PLS_ABSENT, true, false},
        {"MONOCHROME2", PLS_IDENTITY, false, false}, {"MONOCHROME1", PLS_INVERSE, true, false},
        {"MONOCHROME1", PLS_IDENTITY, false, true},  {"MONOCHROME2", PLS_INVERSE, true, true},
    };
    for (size_t i = 0; i < COUNT_OF(c); i++) {
        record r = facts();
        bool conflict;
        snprintf(r.photometric, sizeof r.photometric, "%s", c[i].pi);
        r.pls = c[i].pls;
        assert_int_equal(window_inverse(&r, &conflict), c[i].inverse);
        assert_int_equal(conflict, c[i].conflict);
    }
}

/* A curve of one vendor: 3954 entries from 142 on, 12 bits, called NORMAL. 4095 is white, and the
 * table fills all 16 bits: 65535 * 2048 / 4095 = 32775.5. */
static void test_lut_fills_the_range(void **state)
{
    (void)state;
    static window_lut l;
    static uint16_t entry[3954];
    uint16_t stored[1] = {0};
    pixels p = {.rows = 1, .cols = 1, .stored = stored, .bits_stored = 14, .high_bit = 13};
    record r = facts();
    for (int i = 0; i < 3954; i++)
        entry[i] = (uint16_t)(i * 4095 / 3953);
    entry[2000] = 2048;
    p.n_voi = 1;
    p.voi[0] = (pixels_lut){.n = 3954, .first = 142, .bits = 12, .data = entry, .name = "NORMAL"};
    build("prepare.voi=header", &r, &p, &l);
    assert_int_equal(l.y[0], 0);
    assert_int_equal(l.y[142], 0);
    assert_int_equal(l.y[2142], 32776); /* half up */
    assert_int_equal(l.y[142 + 3953], 65535);
    assert_int_equal(l.y[16383], 65535);
    assert_int_equal(l.flags, IMAGE_VOI_LUT);
    p.voi[0].odd = true;
    build("prepare.voi=header", &r, &p, &l);
    assert_int_equal(l.flags, IMAGE_VOI_LUT | IMAGE_LUT_ODD);
}

static void test_choice_of_item(void **state)
{
    (void)state;
    static window_lut l;
    /* every item gives the middle word another value: tables 10 .. 13, windows 0.2 and 0.4 */
    uint16_t stored[1] = {0},
             entry[4][3] = {{0, 10, 100}, {0, 11, 100}, {0, 12, 100}, {0, 13, 100}};
    static const char *const names[] = {"HARDER", "NORMAL", "SOFTER", ""};
    pixels p = {.rows = 1, .cols = 1, .stored = stored, .bits_stored = 2, .high_bit = 1};
    record r = facts();
    p.n_voi = 4;
    for (int i = 0; i < 4; i++) {
        p.voi[i] = (pixels_lut){.n = 3, .bits = 7, .data = entry[i]};
        snprintf(p.voi[i].name, sizeof p.voi[i].name, "%s", names[i]);
    }
    r.voi = VOI_LINEAR_EXACT; /* (1 - c) / w + 0.5 */
    r.n_windows = 2;
    r.window_center[0] = 4;
    r.window_width[0] = 10;
    r.window_center[1] = 2;
    r.window_width[1] = 10;
    snprintf(r.window_name[0], 17, "USER");
    snprintf(r.window_name[1], 17, "NORMAL");
    const uint16_t t[4] = {share(10 / 127.0), share(11 / 127.0), share(12 / 127.0),
                           share(13 / 127.0)},
                   w[2] = {share(0.2), share(0.4)};
    static const char *const lut = "prepare.voi_prefer=lut", *const window =
                                                                 "prepare.voi_prefer=window";
    const struct {
        const char *prefer, *item;
        uint16_t y;
        uint32_t other;
    } c[] = {
        {lut, "", t[1], 0},
        {lut, "HARDER", t[0], 0},
        {lut, "softer", t[2], 0},
        {lut, "4", t[3], 0},
        {lut, "USER", w[0], 0}, /* the only item of that name is a window */
        {lut, "GUMMY", t[1], IMAGE_VOI_OTHER_ITEM},
        {lut, "9", t[1], IMAGE_VOI_OTHER_ITEM},
        {window, "", w[1], 0},
        {window, "1", w[0], 0},
        {window, "HARDER", t[0], 0},
        {window, "3", t[2], 0}, /* there are two windows only */
        {window, "GUMMY", w[1], IMAGE_VOI_OTHER_ITEM},
    };
    for (size_t i = 0; i < COUNT_OF(c); i++) {
        char item[64];
        snprintf(item, sizeof item, "prepare.voi_item=%s", c[i].item);
        build_with((const char *[]){c[i].prefer, item}, 2, &r, &p, &l);
        if (l.y[1] != c[i].y || (l.flags & IMAGE_VOI_OTHER_ITEM) != c[i].other)
            fail_msg("case %zu: %d, wanted %d, flags %u", i, l.y[1], c[i].y, l.flags);
    }
    /* items that make no sense are passed over: the next one of the kind, then the other kind */
    p.voi[1].n = 0;
    build("prepare.voi=header", &r, &p, &l);
    assert_int_equal(l.y[1], t[0]);
    for (int i = 0; i < 4; i++)
        memset(entry[i], 0, sizeof entry[i]);
    build("prepare.voi=header", &r, &p, &l);
    assert_int_equal(l.y[1], w[1]);
    r.window_width[1] = 0;
    build("prepare.voi=header", &r, &p, &l);
    assert_int_equal(l.y[1], w[0]);
    r.window_width[0] = NAN;
    build("prepare.voi=header", &r, &p, &l);
    assert_int_equal(l.y[1], share(1 / 3.0));
    assert_int_equal(l.flags, IMAGE_VOI_FULL);
}

static void test_function_of_the_configuration(void **state)
{
    (void)state;
    static window_lut l;
    uint16_t stored[1] = {0};
    pixels p = {.rows = 1, .cols = 1, .stored = stored, .bits_stored = 12, .high_bit = 11};
    record r = facts();
    const char *set[] = {"prepare.voi=window", "prepare.window_center=1000",
                         "prepare.window_width=200", "prepare.window_function=linear"};
    build_with(set, 4, &r, &p, &l);
    assert_int_equal(l.y[900], share((900 - 999.5) / 199 + 0.5)); /* 0 and all below 900 */
    assert_int_equal(l.y[899], 0);
    assert_int_equal(l.y[1000], 32932); /* (0.5 / 199 + 0.5) * 65535 = 32932.2 */
    assert_int_equal(l.y[1099], 65535);
    set[3] = "prepare.window_function=linear_exact";
    build_with(set, 4, &r, &p, &l);
    assert_int_equal(l.y[900], 0);
    assert_int_equal(l.y[901], 328);    /* 65535 / 200 = 327.7 */
    assert_int_equal(l.y[1000], 32768); /* 32767.5, half up */
    assert_int_equal(l.y[1099], 65207); /* 0.995 * 65535 = 65207.3 */
    assert_int_equal(l.y[1100], 65535);
    set[3] = "prepare.window_function=sigmoid";
    build_with(set, 4, &r, &p, &l);
    assert_int_equal(l.y[1000], 32768);
    assert_int_equal(l.y[1050], 47910); /* 65535 / (1 + e^-1): 65535 * 0.7310586 = 47909.9 */
    assert_int_equal(l.y[900], 7812);   /* 65535 / (1 + e^2): 65535 * 0.1192029 = 7812.0 */
    assert_true(l.flags & IMAGE_VOI_WINDOW);
}

static void test_odd_function(void **state)
{
    (void)state;
    static window_lut l;
    uint16_t stored[1] = {0};
    pixels p = {.rows = 1, .cols = 1, .stored = stored, .bits_stored = 12, .high_bit = 11};
    record r = facts();
    r.n_windows = 1;
    r.window_center[0] = 2048;
    r.window_width[0] = 4096;
    p.odd_function = true;
    build("prepare.voi=header", &r, &p, &l);
    assert_int_equal(l.y[1000], share((1000 - 2047.5) / 4095 + 0.5));
    assert_int_equal(l.flags, IMAGE_VOI_WINDOW | IMAGE_VOI_ODD_FUNCTION);
    build("prepare.voi=raw", &r, &p, &l); /* nobody asked for the function */
    assert_int_equal(l.flags, IMAGE_VOI_FULL);
}

/* 50 pixels of padding at 0, then 10, 20 .. 500: neither the least value nor a percentile may come
 * from the padding. */
static void test_measured_without_padding(void **state)
{
    (void)state;
    static window_lut l;
    uint16_t stored[100];
    pixels p = {.rows = 10, .cols = 10, .stored = stored, .bits_stored = 12, .high_bit = 11};
    record r = facts();
    for (int i = 0; i < 100; i++)
        stored[i] = (uint16_t)(i < 50 ? 0 : (i - 49) * 10);
    r.has_padding = 1;
    build("prepare.voi=minmax", &r, &p, &l); /* c 255.5, w 491: 10 -> 0, 500 -> 1 */
    assert_int_equal(l.y[0], 0);
    assert_int_equal(l.y[10], 0);
    assert_int_equal(l.y[255], share((255 - 255.0) / 490 + 0.5));
    assert_int_equal(l.y[500], 65535);
    const char *set[] = {"prepare.voi=percentile", "prepare.percentile_low=10",
                         "prepare.percentile_high=90"};
    build_with(set, 3, &r, &p, &l); /* the 5th and the 45th of 50 values: 50 and 450 */
    assert_int_equal(l.y[50], 0);
    assert_int_equal(l.y[51], share(1 / 400.0));
    assert_int_equal(l.y[450], 65535);
    assert_int_equal(l.y[449], share(399 / 400.0));
    snprintf(r.photometric, sizeof r.photometric, "MONOCHROME1");
    build_with(set, 3, &r, &p, &l);
    assert_int_equal(l.y[0], 0); /* black, not inverted */
    assert_int_equal(l.y[50], 65535);
    assert_int_equal(l.y[51], 65535 - share(1 / 400.0));
}

/* A padding value above BitsStored stands in the raw word only. */
static void test_padding_above_the_bits(void **state)
{
    (void)state;
    static window_lut l;
    uint16_t stored[1] = {0};
    pixels p = {.rows = 1, .cols = 1, .stored = stored, .bits_stored = 12, .high_bit = 11};
    record r = facts();
    r.has_padding = 1;
    r.padding = 0xFFFF;
    build("prepare.voi=raw", &r, &p, &l);
    assert_true(l.pad[0xFFFF] && !l.pad[0x0FFF]);
    r.padding = 0x0FFF; /* inside: bits above are overlays and are masked away */
    build("prepare.voi=raw", &r, &p, &l);
    assert_true(l.pad[0xFFFF] && l.pad[0x0FFF]);
    p.is_signed = 1;
    r.padding = -32768;
    build("prepare.voi=raw", &r, &p, &l);
    assert_true(l.pad[0x8000] && !l.pad[0]);
}

/* DeepLIBRA's recipe on 10, 100 and 1000 with padding at 0: logarithms 1, 2 and 3 (of 10), squares
 * 1, 4, 9; turned round 2, 1, 0 and 4, 1, 0. The square of the half is not the half of the square.
 */
static void test_images_for_processing(void **state)
{
    (void)state;
    static window_lut l;
    uint16_t stored[4] = {0, 10, 100, 1000};
    pixels p = {.rows = 2, .cols = 2, .stored = stored, .bits_stored = 12, .high_bit = 11};
    record r = facts();
    const char *set[] = {"prepare.processing=deeplibra", "exclude.for_processing=off"};
    r.has_padding = 1;
    r.n_windows = 1; /* not looked at */
    r.window_center[0] = 50;
    r.window_width[0] = 10;
    build_with(set, 2, &r, &p, &l);
    assert_int_equal(l.y[10], 0);
    assert_int_equal(l.y[100], 24576); /* 65535 * 3 / 8 = 24575.6 */
    assert_int_equal(l.y[1000], 65535);
    assert_int_equal(l.y[4095], 65535);
    assert_int_equal(l.flags, IMAGE_PROCESSING | IMAGE_PADDING);
    snprintf(r.photometric, sizeof r.photometric, "MONOCHROME1");
    build_with(set, 2, &r, &p, &l);
    assert_int_equal(l.y[0], 0);
    assert_int_equal(l.y[10], 65535);
    assert_int_equal(l.y[100], 16384); /* 65535 / 4 = 16383.75 */
    assert_int_equal(l.y[1000], 0);
    /* the least value is 0: everything is shifted by 1, 9 -> 10, 99 -> 100 */
    r.has_padding = 0;
    stored[1] = 9;
    stored[2] = stored[3] = 99;
    snprintf(r.photometric, sizeof r.photometric, "MONOCHROME2");
    build_with(set, 2, &r, &p, &l);
    assert_int_equal(l.y[0], 0);
    assert_int_equal(l.y[9], 16384); /* (1 / 2)^2 */
    assert_int_equal(l.y[99], 65535);
    memset(stored, 0, sizeof stored);
    build_with(set, 2, &r, &p, &l);
    assert_true(l.y[0] == 0 && l.y[4095] == 0);
}

static void refused(const char *const *set, int n, const char *why)
{
    const cfg_group *groups[] = {&prepare_options, &exclude_options};
    err e = {0};
    cfg *c = cfg_new(groups, 2);
    for (int i = 0; i < n; i++)
        assert_true(cfg_set(c, set[i], &e));
    assert_false(prepare_check(c, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_string_equal(e.msg, why);
    cfg_free(c);
}

static void test_refused_configurations(void **state)
{
    (void)state;
    refused((const char *[]){"prepare.voi_item=AN EXPLANATION TOO LONG"}, 1,
            "prepare.voi_item 'AN EXPLANATION TOO LONG' is longer than 16 letters");
    refused((const char *[]){"prepare.window_width=0.5"}, 1,
            "prepare.window_width 0.5 is below 1, which prepare.window_function linear does not "
            "know");
    config((const char *[]){"prepare.window_width=0.5", "prepare.window_function=sigmoid"}, 2);
    /* the two domains are never mixed */
    refused((const char *[]){"prepare.processing=deeplibra"}, 1,
            "prepare.processing asks for images that exclude.for_processing excludes; set it to "
            "flag or off");
    refused((const char *[]){"exclude.for_processing=flag"}, 1,
            "exclude.for_processing must be exclude while prepare.processing is refuse");
    refused((const char *[]){"prepare.processing=deeplibra", "exclude.for_processing=flag",
                             "exclude.for_presentation=flag"},
            3,
            "exclude.for_presentation must be exclude while prepare.processing asks for images for "
            "processing");
    prepare_cfg c =
        config((const char *[]){"prepare.processing=deeplibra", "exclude.for_processing=flag"}, 2);
    for (record_intent i = INTENT_UNKNOWN; i <= INTENT_PROCESSING; i++) {
        record r = facts();
        reason_set set = {{0}};
        reason primary = REASON_NONE;
        snprintf(r.modality, sizeof r.modality, "MG");
        r.intent = i;
        exclude_judge(&c.exclude, EXCLUDE_HEADER, &r, NULL, &set, &primary);
        assert_int_equal(reason_has(&set, REASON_FOR_PRESENTATION), i != INTENT_PROCESSING);
        assert_int_equal(primary == REASON_FOR_PRESENTATION, i != INTENT_PROCESSING);
    }
}

static int setup(void **state)
{
    (void)state;
    mem = arena_new(1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(mem);
    return 0;
}

/* Counts of rows with runs of every length, and tables that end where the words do. */
static void test_words(void **state)
{
    (void)state;
    enum { ROWS = 40, COLS = 61 };
    static const char *const mode[] = {"prepare.voi=header", "prepare.voi=minmax",
                                       "prepare.voi=percentile", "prepare.voi=raw"};
    static uint16_t v[ROWS * COLS];
    static uint32_t hist[WINDOW_WORDS], want[WINDOW_WORDS];
    static window_lut a, b;
    for (int i = 0, n = 0; i < ROWS * COLS; i += 1 + n % 23, n++)
        for (int k = i; k < ROWS * COLS; k++)
            v[k] = (uint16_t)(n % 3 ? n * 37 % 1024 : n % 2 * 9);
    pixels p = {.rows = ROWS, .cols = COLS, .stored = v, .bits_stored = 10, .high_bit = 9};
    for (int step = 1; step < 4; step++) {
        memset(want, 0, sizeof want);
        for (int y = 0; y < ROWS; y += step)
            for (int x = 0; x < COLS; x++)
                want[v[y * COLS + x]]++;
        window_histogram(&p, step, hist);
        assert_memory_equal(hist, want, sizeof want);
    }
    record r = facts();
    r.n_windows = 1;
    r.window_center[0] = 300;
    r.window_width[0] = 700;
    r.has_padding = true;
    r.padding = 9;
    for (size_t i = 0; i < COUNT_OF(mode); i++) {
        p.words = 0;
        build(mode[i], &r, &p, &a);
        p.words = 1024;
        build(mode[i], &r, &p, &b);
        assert_memory_equal(a.y, b.y, 1024 * sizeof *a.y);
        assert_memory_equal(a.pad, b.pad, 1024);
        assert_int_equal(a.flags, b.flags);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_formulas),
        cmocka_unit_test(test_window_lut_and_modality),
        cmocka_unit_test(test_window_bits_and_padding),
        cmocka_unit_test(test_inverse),
        cmocka_unit_test(test_lut_fills_the_range),
        cmocka_unit_test(test_choice_of_item),
        cmocka_unit_test(test_function_of_the_configuration),
        cmocka_unit_test(test_odd_function),
        cmocka_unit_test(test_measured_without_padding),
        cmocka_unit_test(test_padding_above_the_bits),
        cmocka_unit_test(test_images_for_processing),
        cmocka_unit_test(test_refused_configurations),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
