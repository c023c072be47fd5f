/* Which exams the image page shows: kinds by hand on ten exams, ties, order of rows, seeds. */
#include "tests/unit/store.h"

#include <math.h>

#include "train/page_choice.h"

#define EXAMS 10

typedef struct bench { /* exams of two images each */
    cohort c;
    cohort_row row[2 * EXAMS];
    int64_t at[2 * EXAMS];
    double score[2 * EXAMS];
} bench;

static void fill(bench *b, const double score[EXAMS], const char *y)
{
    memset(b, 0, sizeof *b);
    cohort_init(&b->c);
    b->c.row = b->row;
    b->c.n = 2 * EXAMS;
    for (int i = 0; i < 2 * EXAMS; i++) {
        snprintf(b->row[i].exam, sizeof b->row[i].exam, "exam%d", i / 2);
        b->row[i].y[0] = (int8_t)(y[i / 2] == '?' ? -1 : y[i / 2] - '0');
        b->at[i] = i;
        b->score[i] = score[i / 2] + (i % 2 ? 0.01 : -0.01);
    }
}

static page_scored of(bench *b, int64_t n)
{
    return (page_scored){&b->c, b->at, b->score, n, 0};
}

static const page_exam *find(const page_exam *x, int64_t n, const char *id)
{
    for (int64_t i = 0; i < n; i++)
        if (!strcmp(x[i].id, id))
            return &x[i];
    fail_msg("no exam %s", id);
    return NULL;
}

static void has(const page_exam *x, int64_t n, const char *id, page_why why)
{
    const page_exam *t = find(x, n, id);
    if (t->why != why)
        fail_msg("%s is '%s', wanted '%s'", id, page_why_name(t->why), page_why_name(why));
}

static const double rising[EXAMS] = {.05, .15, .25, .35, .45, .55, .65, .75, .85, .95};

static void test_kinds(void **state)
{
    bench b;
    int64_t n;
    /* cancers: exams 1 and 3 (lower half), 8 (upper half) */
    fill(&b, rising, "0101000010");
    page_scored s = of(&b, 2 * EXAMS);
    page_exam *x = page_choice_make(&s, 4, 1, &n);
    assert_int_equal(n, EXAMS);
    assert_string_equal(x[0].id, "exam0");
    assert_true(fabs(x[3].score - .35) < 1e-12);
    has(x, n, "exam9", PAGE_HIGHEST);
    has(x, n, "exam1", PAGE_MISSED);
    has(x, n, "exam7", PAGE_FALSE_ALARM); /* exam 8 has cancer, exam 9 is taken */
    has(x, n, "exam0", PAGE_LOWEST);
    int chosen = 0;
    for (int i = 0; i < n; i++)
        chosen += x[i].why != PAGE_NOT_CHOSEN;
    assert_int_equal(chosen, 4);
    mem_free(x);
    x = page_choice_make(&s, 9, 1, &n);
    has(x, n, "exam3", PAGE_MISSED);
    has(x, n, "exam8", PAGE_HIGHEST);
    has(x, n, "exam6", PAGE_FALSE_ALARM);
    has(x, n, "exam2", PAGE_LOWEST);
    mem_free(x);
    x = page_choice_make(&s, 100, 1, &n); /* all of them, and no more */
    for (int i = 0; i < n; i++)
        assert_int_not_equal(x[i].why, PAGE_NOT_CHOSEN);
    mem_free(x);
    x = page_choice_make(&s, 0, 1, &n);
    for (int i = 0; i < n; i++)
        assert_int_equal(x[i].why, PAGE_NOT_CHOSEN);
    mem_free(x);
    (void)state;
}

/* A cancer that scores high is not missed, a woman without cancer who scores low no false alarm,
 * and an unknown label is neither. */
static void test_not_misjudged(void **state)
{
    bench b;
    int64_t n;
    fill(&b, rising, "0000????11");
    page_scored s = of(&b, 2 * EXAMS);
    page_exam *x = page_choice_make(&s, EXAMS, 1, &n);
    for (int i = 0; i < n; i++)
        assert_true(x[i].why != PAGE_MISSED && x[i].why != PAGE_FALSE_ALARM);
    mem_free(x);
    (void)state;
}

static void test_percentile(void **state)
{
    static const double tied[EXAMS] = {.1, .2, .2, .2, .3, .4, .5, .6, .7, .8};
    bench b;
    int64_t n;
    fill(&b, tied, "0000000000");
    page_scored s = of(&b, 2 * EXAMS);
    page_exam *x = page_choice_make(&s, 1, 1, &n);
    assert_true(find(x, n, "exam0")->percentile == 5);
    for (int i = 1; i < 4; i++) /* one lower, three alike */
        assert_true(x[i].percentile == 25);
    assert_true(find(x, n, "exam9")->percentile == 95);
    mem_free(x);
    (void)state;
}

static const char *drawn(const page_scored *s, uint64_t seed)
{
    int64_t n;
    const char *id = NULL;
    page_exam *x = page_choice_make(s, 5, seed, &n);
    for (int i = 0; i < n; i++)
        if (x[i].why == PAGE_RANDOM)
            id = x[i].id;
    mem_free(x);
    return id;
}

/* The draw goes by the exam's name: the same in any order of rows, another one for another seed. */
static void test_random(void **state)
{
    bench b, back;
    int seen = 0;
    fill(&b, rising, "0101000010");
    fill(&back, rising, "0101000010");
    for (int i = 0; i < 2 * EXAMS; i++) {
        back.at[i] = 2 * EXAMS - 1 - i;
        back.score[i] = b.score[2 * EXAMS - 1 - i];
    }
    page_scored s = of(&b, 2 * EXAMS), t = of(&back, 2 * EXAMS);
    const char *first = drawn(&s, 1);
    for (uint64_t seed = 1; seed < 30; seed++) {
        const char *a = drawn(&s, seed), *c = drawn(&t, seed);
        assert_non_null(a);
        assert_string_equal(a, c);
        seen += strcmp(a, first) != 0;
    }
    assert_true(seen > 10);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_not_misjudged),
        cmocka_unit_test(test_percentile),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
