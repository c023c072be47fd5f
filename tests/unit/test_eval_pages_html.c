/* The exam page as HTML: order of the tiles, their sizes, layers that are off, escapes. */
#include "tests/unit/eval_page.h"

#include "eval/pages_html.h"

static json_t *block_of(json_t *page, double widest)
{
    return json_pack("{s:s, s:[s], s:o, s:i, s:o}", "head", "Exam <1>", "says", "says & more",
                     "page", page, "number", 3, "widest_mm",
                     isnan(widest) ? json_null() : json_real(widest));
}

static const char *after(const char *s, const char *what)
{
    const char *p = strstr(s, what);
    if (!p)
        fail_msg("no '%s' in '%.200s'", what, s);
    return p + strlen(what);
}

static size_t count_of(const char *s, const char *what)
{
    size_t n = 0;
    for (; (s = strstr(s, what)); s += strlen(what))
        n++;
    return n;
}

static void test_tiles(void **state)
{
    report_image m[2] = {page_image(40, 60, 1), page_image(20, 30, 1)};
    json_t *layers = json_pack("[o]", page_layer_json("rollout", "00", "1."));
    json_t *page = json_pack(
        "{s:s, s:[o, o, o]}", "exam_id", "e<x", "views", page_view_json("LMLO", 1, &m[1], 1, NULL),
        page_view_json("RCC", 0, &m[0], 1, layers), page_view_json("L", 1, &m[1], 1, NULL));
    json_t *block = block_of(page, 40);
    text t;
    text_init(&t);
    pages_html(block, m, &t);
    const char *p = after(t.s, "<h3 id=\"exam-3\">Exam &lt;1&gt;</h3>");
    p = after(p, "<li>says &amp; more</li>");
    p = after(p, "class=\"on0\" name=\"layer3\" id=\"l3-0\" checked>"); /* off at first */
    p = after(p, "class=\"on1\" name=\"layer3\" id=\"l3-1\">");
    p = after(p, "A &lt;map&gt;</label>");
    p = after(p, "<div class=\"adjust\" hidden>"); /* until the script runs */
    p = after(p, "<figure class=\"tile r cc\"><div class=\"pic\" style=\"width:100.0%\">");
    p = after(p, "alt=\"RCC view of exam e&lt;x\" src=\"data:image/png;base64,iVBOR");
    p = after(p, "<svg class=\"layer m1\" viewBox=\"0 0 2 2\"");
    p = after(p, "fill=\"#ff0000\" d=\"M0 0h2v1h-2z\"");
    p = after(p, "stroke=\"#00ff00\" stroke-width=\".2\" d=\"M0 2l1-1\"");
    p = after(p, "RCC<br>score 0.125");
    p = after(p, "<figure class=\"tile none l\"><figcaption>LCC</figcaption><p>not acquired</p>");
    p = after(p, "<figure class=\"tile none r\"><figcaption>RMLO</figcaption>");
    p = after(p, "<figure class=\"tile l\"><div class=\"pic\" style=\"width:50.0%\">");
    p = after(p, "LMLO<br>");
    p = after(p, "<div class=\"bar\" style=\"width:62.50%\">"); /* 50 mm of two tiles of 40 */
    p = after(p, "<div class=\"beside\">");
    p = after(p, "L view of exam");
    p = after(p, "<div class=\"key m1\">");
    p = after(p, "not looked at</li>");
    after(p, "It is not a map of suspicion");
    assert_int_equal(count_of(t.s, "<img "), 3);
    assert_int_equal(count_of(t.s, " checked>"), 1);
    assert_int_equal(count_of(t.s, "url("), 0);
    assert_int_equal(count_of(t.s, "not of one scale"), 0);
    text_release(&t);
    json_decref(block);
    mem_free(m[0].png);
    mem_free(m[1].png);
    (void)state;
}

/* Without maps there is nothing to switch; without sizes no scale bar, and it is said. */
static void test_bare(void **state)
{
    report_image m = page_image(40, 60, 1);
    json_t *page =
        json_pack("{s:s, s:[o]}", "exam_id", "e", "views", page_view_json("RCC", 0, &m, 0, NULL));
    json_t *block = block_of(page, NAN);
    text t;
    text_init(&t);
    pages_html(block, &m, &t);
    after(t.s, "No map was made for this exam");
    after(t.s, "not of one scale");
    assert_int_equal(count_of(t.s, "type=\"radio\""), 0);
    assert_int_equal(count_of(t.s, "class=\"bar\""), 0);
    assert_int_equal(count_of(t.s, "data-opacity"), 0);
    assert_int_equal(count_of(t.s, "data-width"), 1);
    text_release(&t);
    json_decref(block);
    mem_free(m.png);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_bare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
