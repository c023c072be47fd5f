/* The public reader study of DATA/tables (1,440 breasts, 61 with cancer; readers and networks)
 * against the numbers that R's pROC printed for it, to their last digit. Skips without DATA. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/csv.h"
#include "core/fs.h"
#include "core/mem.h"
#include "eval/metric.h"
#include <math.h>

#define ROWS_MAX 2000

typedef struct column {
    double score[ROWS_MAX];
    int y[ROWS_MAX];
    int n;
} column;

static char study[512], reference[512];

static bool skipped(void)
{
    const char *data = getenv("DATA");
    snprintf(study, sizeof study, "%s/tables/nyu_reader_study_breast_level.csv", data ? data : "");
    snprintf(reference, sizeof reference, "%s/tables/pROC_reference_nyu_subset.tsv",
             data ? data : "");
    if (data && data[0] && fs_exists(study) && fs_exists(reference))
        return false;
    puts("skip: DATA=DIR with tables/ is not given");
    return true;
}

static void read_column(const char *name, column *out)
{
    err e = {0};
    int label, score;
    double y;
    csv_reader *r = csv_open(study, &e);
    if (!r || !csv_require(r, "label", &label, &e) || !csv_require(r, name, &score, &e))
        fail_msg("%s", e.msg);
    out->n = 0;
    for (int got; (got = csv_next(r, &e)) != 0;) {
        if (got < 0)
            fail_msg("%s", e.msg);
        assert_true(out->n < ROWS_MAX);
        assert_true(text_f64(csv_field(r, label), &y) && (y == 0 || y == 1));
        assert_true(text_f64(csv_field(r, score), &out->score[out->n]));
        out->y[out->n++] = (int)y;
    }
    csv_close(r);
}

/* The number as the reference prints it: so many decimals, or so many significant digits. */
static void same_digits(double got, const char *want, const char *what, const char *column_name)
{
    char mine[64];
    const char *digits = want + strspn(want, "-0.");
    bool exponent = strpbrk(want, "eE") != NULL;
    int n = 0;
    for (const char *s = digits; *s && *s != 'e' && *s != 'E'; s++)
        n += *s != '.';
    snprintf(mine, sizeof mine, exponent ? "%.*e" : "%.*f",
             exponent ? n - 1 : (int)strlen(strchr(want, '.') + 1), got);
    if (strcmp(mine, want) != 0)
        fail_msg("%s of %s: got %s (%.17g), the reference prints %s", what, column_name, mine, got,
                 want);
}

/* Fields of a line split at tabs; returns how many. */
static int fields(char *line, char **out, int cap)
{
    int n = 0;
    char *save = NULL;
    for (char *f = strtok_r(line, "\t\r", &save); f && n < cap; f = strtok_r(NULL, "\t\r", &save))
        out[n++] = f;
    return n;
}

static metric_in input(const column *c)
{
    return (metric_in){c->score, c->y, NULL, NULL, c->n, 0, false};
}

static void check_score(char **f)
{
    static column c;
    int64_t pos, neg;
    read_column(f[1], &c);
    metric_in in = input(&c);
    metric_value v = metric_auc(&in);
    assert_true(text_i64(f[2], &pos) && text_i64(f[3], &neg));
    assert_int_equal(v.events, pos);
    assert_int_equal(v.n - v.events, neg);
    same_digits(v.value, f[4], "AUC", f[1]);
    same_digits(v.lo, f[5], "lower end", f[1]);
    same_digits(v.hi, f[6], "upper end", f[1]);
    same_digits(v.var, f[7], "variance", f[1]);
}

static void check_pair(char **f)
{
    static column a, b;
    read_column(f[1], &a);
    read_column(f[2], &b);
    metric_in in = input(&a);
    metric_pair p = metric_auc_pair(&in, b.score);
    same_digits(p.z, f[3], "z", f[2]);
    same_digits(p.p, f[4], "p", f[2]);
}

/* Rows of the reference: scores, or pairs of scores (which begin with '#'). */
static int check_rows(bool pairs)
{
    char *s, *save = NULL, *f[8];
    size_t len;
    int done = 0;
    err e = {0};
    if (!fs_read(reference, 1 << 20, &s, &len, &e))
        fail_msg("%s", e.msg);
    for (char *line = strtok_r(s, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        bool pair = line[0] == '#';
        int n = fields(line, f, 8);
        if (pair != pairs || n != (pair ? 5 : 8) || !strcmp(f[1], "score") || !strcmp(f[1], "A"))
            continue;
        pair ? check_pair(f) : check_score(f);
        done++;
    }
    mem_free(s);
    return done;
}

static void auc_and_delong_interval(void **state)
{
    if (skipped())
        skip();
    assert_int_equal(check_rows(false), 7);
}

static void paired_delong(void **state)
{
    if (skipped())
        skip();
    assert_int_equal(check_rows(true), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auc_and_delong_interval),
        cmocka_unit_test(paired_delong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
