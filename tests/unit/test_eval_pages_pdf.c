/* The drawn exam page, pixel by pixel on an image: chest walls touch in the middle, nipples point
 * outward, one scale, no map over the plain views, a map over the small copy. */
#include "tests/unit/eval_page.h"

#include "eval/pages_pdf.h"

#define SIDE 200

typedef struct bench {
    report_image image[3];
    json_t *page;
    cairo_surface_t *s;
    cairo_t *cr;
} bench;

/* RCC of 40 x 60 mm, LCC of 20 x 30 mm, LMLO of 40 x 40 mm with pixels of half the size; no RMLO.
 */
static void open_bench(bench *b)
{
    json_t *layers = json_pack("[o]", page_layer_json("m", "0.", ".1"));
    b->image[0] = page_image(40, 60, 1);
    b->image[1] = page_image(20, 30, 1);
    b->image[2] = page_image(80, 80, 1);
    b->page = json_pack("{s:[o, o, o]}", "views", page_view_json("RCC", 0, &b->image[0], 1, layers),
                        page_view_json("LCC", 1, &b->image[1], 1, NULL),
                        page_view_json("LMLO", 2, &b->image[2], 0.5, NULL));
    b->s = cairo_image_surface_create(CAIRO_FORMAT_RGB24, SIDE, 2 * SIDE);
    b->cr = cairo_create(b->s);
}

static void close_bench(bench *b)
{
    for (int i = 0; i < 3; i++)
        mem_free(b->image[i].png);
    json_decref(b->page);
    cairo_destroy(b->cr);
    cairo_surface_destroy(b->s);
}

static uint32_t at(const bench *b, int x, int y)
{
    uint32_t v;
    cairo_surface_flush(b->s);
    memcpy(&v,
           cairo_image_surface_get_data(b->s) + y * cairo_image_surface_get_stride(b->s) + 4 * x,
           4);
    return v & 0xffffff;
}

static void test_plain(void **state)
{
    bench b;
    open_bench(&b);
    pages_pdf *p = pages_pdf_new(b.page, 40, b.image);
    /* 100 points a tile of 40 mm: rows of 60 and 40 mm, gaps of 2 */
    assert_true(fabs(pages_pdf_height(p, SIDE) - (150 + 100 + 3 * 2)) < 1e-9);
    pages_pdf_draw(p, b.cr, &(pages_pdf_at){0, 0, SIDE, NULL});
    assert_int_equal(at(&b, 97, 75), 0xffffff); /* RCC fills its tile up to the middle */
    assert_int_equal(at(&b, 50, 140), 0xffffff);
    assert_int_equal(at(&b, 103, 77), 0xffffff); /* LCC: from the middle, half as large */
    assert_int_equal(at(&b, 147, 77), 0xffffff);
    assert_int_equal(at(&b, 155, 77), 0);
    assert_int_equal(at(&b, 120, 30), 0); /* and centred */
    assert_int_equal(at(&b, 120, 50), 0xffffff);
    assert_int_equal(at(&b, 120, 130), 0);
    assert_int_equal(at(&b, 160, 200), 0xffffff); /* LMLO: 80 pixels of half a millimetre */
    assert_int_equal(at(&b, 90, 160), 0);         /* RMLO is not there */
    pages_pdf_free(p);
    close_bench(&b);
    (void)state;
}

/* Beside larger exams the same pictures take half of their tiles, still from the middle outward. */
static void test_middle(void **state)
{
    bench b;
    open_bench(&b);
    pages_pdf *p = pages_pdf_new(b.page, 80, b.image);
    pages_pdf_draw(p, b.cr, &(pages_pdf_at){0, 0, SIDE, NULL});
    assert_int_equal(at(&b, 97, 40), 0xffffff);
    assert_int_equal(at(&b, 53, 40), 0xffffff);
    assert_int_equal(at(&b, 45, 40), 0);
    assert_int_equal(at(&b, 103, 40), 0xffffff);
    assert_int_equal(at(&b, 128, 40), 0);
    pages_pdf_free(p);
    close_bench(&b);
    (void)state;
}

static void test_map(void **state)
{
    bench b;
    open_bench(&b);
    pages_pdf *p = pages_pdf_new(b.page, 40, b.image);
    pages_pdf_draw(p, b.cr, &(pages_pdf_at){0, 0, SIDE, "m"});
    uint32_t tinted = at(&b, 25, 50), plain = at(&b, 75, 40), hatch = at(&b, 75, 114);
    assert_true(tinted >> 16 == 255 && abs((int)(tinted & 255) - 127) < 3); /* half red */
    assert_int_equal(plain, 0xffffff);
    assert_true((hatch >> 8 & 255) > 240 && hatch >> 16 < 60); /* on the stroke */
    assert_int_equal(at(&b, 55, 84), 0xffffff);                /* beside it */
    assert_int_equal(at(&b, 25, 114), 0xffffff);
    assert_int_equal(at(&b, 120, 75), 0xffffff); /* LCC has no such map */
    pages_pdf_free(p);
    close_bench(&b);
    (void)state;
}

/* A picture that is no picture stays black; nothing else suffers. */
static void test_broken_picture(void **state)
{
    bench b;
    open_bench(&b);
    b.image[0].png_len /= 2;
    pages_pdf *p = pages_pdf_new(b.page, 40, b.image);
    pages_pdf_draw(p, b.cr, &(pages_pdf_at){0, 0, SIDE, NULL});
    assert_int_equal(at(&b, 60, 75), 0);
    assert_int_equal(at(&b, 120, 75), 0xffffff);
    assert_int_equal(cairo_status(b.cr), CAIRO_STATUS_SUCCESS);
    pages_pdf_free(p);
    close_bench(&b);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_middle),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_broken_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
