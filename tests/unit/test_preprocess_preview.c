/* The preview task beside the prepare task (same verdict, same canvas), the pictures of the stages
 * against the stored samples, replies that lie, and what is drawn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cairo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"
#include "preprocess/preview.h"
#include "tests/unit/small_mammogram.h"

static char dir[] = "/tmp/mammovit-preview-XXXXXX";
static cfg *config;

typedef struct answer {
    preview *v; /* head of the reply */
    size_t len;
} answer;

static answer look(const bytes *b, preview_stage stage)
{
    size_t arg_len, cap = preview_reply_cap(config, stage);
    void *arg = preview_request(config, NULL, stage, &arg_len);
    answer a = {mem_alloc(cap), 0};
    a.len = preview_task(b->p, b->n, arg, arg_len, a.v, cap);
    mem_free(arg);
    assert_true(a.len <= cap);
    return a;
}

static prepared *prepare(const bytes *b)
{
    size_t arg_len, cap = prepare_reply_cap(config);
    void *arg = prepare_request(config, NULL, &arg_len), *reply = mem_alloc(cap);
    prepare_image_task(b->p, b->n, arg, arg_len, reply, cap);
    mem_free(arg);
    return reply;
}

static void expect_png(const char *path, int w, int h)
{
    cairo_surface_t *s = cairo_image_surface_create_from_png(path);
    assert_int_equal(cairo_surface_status(s), CAIRO_STATUS_SUCCESS);
    assert_int_equal(cairo_image_surface_get_width(s), w);
    assert_int_equal(cairo_image_surface_get_height(s), h);
    cairo_surface_destroy(s);
}

static void test_same_as_prepare(void **state)
{
    (void)state;
    static const small kinds[] = {
        {.number = 1}, {.number = 2, .side = "R"}, {.number = 3, .photometric = "MONOCHROME1"}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        bytes b = small_file(&kinds[i]);
        answer a = look(&b, PREVIEW_PANEL);
        prepared *p = prepare(&b);
        assert_int_equal(p->primary, REASON_NONE);
        assert_int_equal(a.v->p.primary, REASON_NONE);
        assert_true(a.v->decoded && preview_ok(config, a.v, a.len));
        assert_string_equal(a.v->p.pixel_hash, p->pixel_hash);
        assert_memory_equal(a.v->p.affine, p->affine, sizeof p->affine);
        assert_memory_equal((char *)a.v + a.v->p.image_at[0], (char *)p + p->image_at[0],
                            128 * 96 * 2);
        assert_int_equal(a.v->orient.flip_h, kinds[i].side != NULL);
        assert_int_equal(a.v->inverted, kinds[i].photometric != NULL);
        assert_true(a.v->ph == SMALL_R && a.v->pw == SMALL_C && a.v->mask);
        int64_t inside = 0;
        for (int k = 0; k < SMALL_R * SMALL_C; k++)
            inside += ((uint8_t *)a.v)[a.v->mask + (size_t)k];
        double share = (double)inside / (SMALL_R * SMALL_C);
        assert_true(share > a.v->facts.breast_area - 0.01 && share < a.v->facts.breast_area + 0.01);
        assert_true(share > 0.33 && share < 0.40); /* half an ellipse of 150 x 120 */
        int chest = kinds[i].side ? a.v->crop[0] + a.v->crop[2] : a.v->crop[0];
        assert_int_equal(chest, kinds[i].side ? SMALL_C : 0);
        mem_free(a.v);
        mem_free(p);
        free(b.p);
    }
}

/* Left out by its header: the same verdict as prepare's, and still a picture. */
static void test_left_out(void **state)
{
    (void)state;
    bytes b = small_file(&(small){.implant = "YES"});
    answer a = look(&b, PREVIEW_PANEL);
    prepared *p = prepare(&b);
    assert_int_equal(p->primary, REASON_IMPLANT);
    assert_int_equal(a.v->p.primary, REASON_IMPLANT);
    assert_true(reason_has(&a.v->by_header, REASON_IMPLANT));
    assert_false(reason_has(&a.v->by_pixels, REASON_IMPLANT));
    assert_true(a.v->decoded && a.v->facts.breast_found && preview_ok(config, a.v, a.len));
    mem_free(a.v);
    mem_free(p);
    b.n -= 1000; /* cut: nothing to see */
    a = look(&b, PREVIEW_PANEL);
    err e = {0};
    assert_int_equal(a.v->p.primary, REASON_IO_TRUNCATED);
    assert_true(reason_has(&a.v->by_decoder, REASON_IO_TRUNCATED));
    assert_true(!a.v->decoded && preview_ok(config, a.v, a.len));
    assert_false(preview_stage_png(a.v, PREVIEW_FINAL, "/nowhere/x.png", &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_string_equal(e.msg, "no picture: the image cannot be decoded (IO_TRUNCATED)");
    mem_free(a.v);
    free(b.p);
}

static void test_stages(void **state)
{
    (void)state;
    bytes b = small_file(&(small){.photometric = "MONOCHROME1"});
    static const preview_stage stages[] = {PREVIEW_STORED, PREVIEW_MODALITY, PREVIEW_DISPLAY};
    for (size_t i = 0; i < COUNT_OF(stages); i++) {
        answer a = look(&b, stages[i]);
        const uint16_t *pic = (const uint16_t *)((const char *)a.v + a.v->pic);
        assert_true(preview_ok(config, a.v, a.len) && !a.v->mask);
        for (int y = 0; y < SMALL_R; y++)
            for (int x = 0; x < SMALL_C; x++) {
                unsigned shown = small_sample(x, y), stored = 4095 - shown;
                unsigned v = stages[i] == PREVIEW_DISPLAY ? shown : stored;
                assert_in_range(pic[y * SMALL_C + x] + 1, v * 65535 / 4095, v * 65535 / 4095 + 2);
            }
        mem_free(a.v);
    }
    free(b.p);
    /* the rescale of the header turns the values round, and is not part of what is stored */
    b = small_file(&(small){.slope = "-1", .intercept = "4095"});
    for (int i = 0; i < 2; i++) {
        answer a = look(&b, i ? PREVIEW_MODALITY : PREVIEW_STORED);
        const uint16_t *pic = (const uint16_t *)((const char *)a.v + a.v->pic);
        unsigned v = i ? 4095 - small_sample(9, 160) : small_sample(9, 160);
        assert_in_range(pic[160 * SMALL_C + 9] + 1, v * 65535 / 4095, v * 65535 / 4095 + 2);
        mem_free(a.v);
    }
    preview_stage s;
    err e = {0};
    assert_true(preview_stage_find("final", &s, &e) && s == PREVIEW_FINAL);
    assert_false(preview_stage_find("panel", &s, &e));
    assert_string_equal(e.msg, "--stage 'panel': wanted stored, modality, display or final");
    free(b.p);
}

static void test_replies_that_lie(void **state)
{
    (void)state;
    bytes b = small_file(&(small){.number = 4});
    answer a = look(&b, PREVIEW_PANEL);
    preview good = *a.v;
    assert_true(preview_ok(config, a.v, a.len));
    assert_false(preview_ok(config, a.v, a.len - 128 * 96));
    assert_false(preview_ok(config, a.v, sizeof(preview) - 1));
#define LIE(change)                                                                                \
    do {                                                                                           \
        *a.v = good;                                                                               \
        a.v->change;                                                                               \
        assert_false(preview_ok(config, a.v, a.len));                                              \
    } while (0)
    LIE(p.primary = REASON_COUNT);
    LIE(p.n_sizes = 2);
    LIE(p.h[0] = 129);
    LIE(p.image_at[0] = a.len);
    LIE(p.image_at[0] = 8);
    LIE(ph = 60000);
    LIE(pw = -1);
    LIE(pic = a.len - 2);
    LIE(pic += 1);
    LIE(mask = UINT64_MAX - 1);
    LIE(decoded = false);
    preview_failed(a.v, REASON_DECODER_CRASH);
    assert_true(preview_ok(config, a.v, sizeof(preview)));
    assert_int_equal(a.v->p.primary, REASON_DECODER_CRASH);
    mem_free(a.v);
    free(b.p);
}

static uint32_t pixel(cairo_surface_t *s, int x, int y)
{
    uint32_t v;
    memcpy(&v,
           cairo_image_surface_get_data(s) + (size_t)y * (size_t)cairo_image_surface_get_stride(s) +
               (size_t)x * 4,
           4);
    return v & 0xffffff;
}

static void test_sheet(void **state)
{
    (void)state;
    char *path = fs_join(dir, "sheet.png");
    err e = {0};
    struct stat st;
    bytes b = small_file(&(small){.number = 5});
    answer a = look(&b, PREVIEW_PANEL);
    const char *lines[] = {"one", "two"};
    preview_sheet *s = preview_sheet_new(3, 2, 320, 2);
    for (int i = 0; i < 3; i++)
        preview_sheet_add(s, a.v, lines, 2);
    assert_true(preview_sheet_write(s, path, &e));
    preview_sheet_free(s);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    expect_png(path, 2 * (2 * 320 + 24), 2 * (320 + 16 + 32));
    cairo_surface_t *png = cairo_image_surface_create_from_png(path);
    int orange = 0, blue = 0;
    for (int y = 0; y < 330; y++)
        for (int x = 0; x < 250; x++) {
            uint32_t v = pixel(png, x, y);
            int r = (int)(v >> 16), g = (int)(v >> 8 & 255), l = (int)(v & 255);
            orange += r > 250 && g > 180 && g < 200 && l < 40;
            blue += l > r + 100 && l > 170;
        }
    assert_true(orange > 200); /* the outline of 150 + 240 pixels at least */
    assert_true(blue > 300);
    uint32_t inside = pixel(png, 8 + 60, 8 + 160);
    assert_int_equal(inside >> 16, inside & 255); /* grey in the breast */
    /* the canvas of 96 x 128 is drawn twice as large, in whole pixels, and no further */
    for (int y = 8; y < 8 + 256; y += 2)
        for (int x = 336; x < 336 + 192; x += 2) {
            assert_int_equal(pixel(png, x, y), pixel(png, x + 1, y + 1));
            assert_int_equal(pixel(png, x, y) >> 16, pixel(png, x, y) & 255);
        }
    assert_int_equal(pixel(png, 336 + 192, 8), pixel(png, 4, 4));
    assert_int_equal(pixel(png, 336, 8 + 256), pixel(png, 4, 4));
    cairo_surface_destroy(png);
    char *one = fs_join(dir, "final.png");
    assert_true(preview_stage_png(a.v, PREVIEW_FINAL, one, &e));
    expect_png(one, 96, 128);
    s = preview_sheet_new(1, 1, 64, 0);
    assert_false(preview_sheet_write(s, "/nowhere/at/all.png", &e));
    preview_sheet_free(s);
    mem_free(one);
    mem_free(path);
    mem_free(a.v);
    free(b.p);
}

static int setup(void **state)
{
    (void)state;
    static const cfg_group *const groups[] = {&prepare_options, &exclude_options};
    err e = {0};
    prepare_init();
    config = cfg_new(groups, 2);
    return cfg_set(config, "prepare.sizes=128x96", &e) && mkdtemp(dir) ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    err e = {0};
    cfg_free(config);
    return fs_remove_tree(dir, &e) ? 0 : 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_prepare), cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_stages),          cmocka_unit_test(test_replies_that_lie),
        cmocka_unit_test(test_sheet),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
