/* Random bytes as CSV: the reader ends, every row is complete, and a table that was accepted
 * survives being written and read again. The trial number is printed on failure. */
#include "core/csv.h"
#include "core/mem.h"
#include "core/rng.h"
#include "core/text.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The whole table as a written CSV in out; false when the reader refused it. */
static bool rewritten(const char *data, size_t len, text *out, int *rows)
{
    err e = {0};
    csv_reader *r = csv_open_text(data, len, "t.csv", &e);
    csv_writer *w = csv_create_memory();
    int got = r ? 1 : -1, before = 0;
    *rows = 0;
    if (r) {
        for (int i = 0; i < csv_columns(r); i++)
            csv_put(w, csv_column_name(r, i));
        csv_end_row(w);
    }
    while (got == 1 && (got = csv_next(r, &e)) == 1) {
        assert_true(csv_line(r) > before);
        before = csv_line(r);
        for (int i = 0; i < csv_columns(r); i++)
            csv_put(w, csv_field(r, i));
        csv_end_row(w);
        ++*rows;
    }
    if (got < 0) {
        assert_int_equal(e.code, ERR_INPUT);
        assert_memory_equal(e.msg, "t.csv: ", 7);
    }
    size_t n;
    const char *s = csv_memory(w, &n);
    text_clear(out);
    text_addn(out, s, n);
    csv_discard(w);
    csv_close(r);
    return got == 0;
}

static void random_bytes(void **state)
{
    static const char *const piece[] = {"a",  "b",  ",",  ",",    ";",           "\t", "\"",
                                        "\"", "\n", "\n", "\r\n", "\r",          " ",  "\xc3\xa5",
                                        "\0", "1",  ",",  "\xff", "\xEF\xBB\xBF"};
    text once, twice;
    text_init(&once);
    text_init(&twice);
    int accepted = 0, with_rows = 0;
    for (uint64_t t = 0; t < 60000; t++) {
        rng r;
        rng_init(&r, 11, RNG_TEST, t, 0);
        char data[64];
        size_t n = 0;
        uint32_t kinds = rng_below(&r, 4) ? 14 : COUNT_OF(piece);
        for (int k = (int)rng_below(&r, 20); k > 0; k--) {
            uint32_t i = rng_below(&r, kinds);
            size_t m = piece[i][0] ? strlen(piece[i]) : 1;
            memcpy(data + n, piece[i], m);
            n += m;
        }
        int rows, again;
        if (!rewritten(data, n, &once, &rows))
            continue;
        accepted++;
        with_rows += rows > 0;
        if (!rewritten(once.s, once.len, &twice, &again) || rows != again ||
            strcmp(once.s, twice.s) != 0)
            fail_msg("trial %d", (int)t);
    }
    assert_true(accepted > 5000 && with_rows > 1000); /* the trials were worth something */
    text_release(&once);
    text_release(&twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
