/* What split says of its folds: the proof that they share nothing ends the program where they do,
 * and the summary counts what is there. */
#include "tests/unit/split_trial.h"

#include "preprocess/split_job.h"

#include <sys/wait.h>

enum { SAME_PERSON, SAME_EXAM, SAME_IMAGE, SAME_PIXELS, NOTHING, CASES };

static split_id id(int n)
{
    split_id x = {{0}};
    x.b[15] = (uint8_t)n;
    return x;
}

/* Two images in train and val (or in two of k folds) that share one name. */
static void prove(int what, bool kfold)
{
    person who[2] = {{.id = id(1), .fold = COHORT_TRAIN, .cv = -1},
                     {.id = id(what == SAME_PERSON ? 1 : 2), .fold = COHORT_VAL, .cv = -1}};
    int32_t group[2] = {0, 1};
    split_id exam[2] = {id(3), id(what == SAME_EXAM ? 3 : 4)};
    item t[2] = {{.image = id(5), .pixels = id(7), .patient = 0, .exam = 0},
                 {.image = id(what == SAME_IMAGE ? 5 : 6),
                  .pixels = id(what == SAME_PIXELS ? 7 : 8),
                  .patient = 1,
                  .exam = 1}};
    item *p[2] = {&t[0], &t[1]};
    split_job j = {.who = who, .group = group, .exams = {.id = exam}};
    if (kfold) {
        who[1].fold = COHORT_TRAIN;
        who[0].cv = 1;
        who[1].cv = 2;
    }
    split_disjoint(&j, p, 2);
    _exit(j.shared[0] == 2 && j.shared[1] == 2 && j.shared[2] == 2 && j.shared[3] == 2 ? 0 : 1);
}

static void test_disjoint(void **state)
{
    for (int what = 0; what < CASES; what++)
        for (int kfold = 0; kfold < 2; kfold++) {
            int status;
            pid_t child = fork();
            assert_true(child >= 0);
            if (!child) {
                if (!freopen("/dev/null", "w", stderr))
                    _exit(2);
                prove(what, kfold);
            }
            assert_int_equal(waitpid(child, &status, 0), child);
            if (what == NOTHING)
                assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            else if (WIFEXITED(status) && WEXITSTATUS(status) < 3)
                fail_msg("case %d went through", what);
        }
}

static int64_t count_of(const char *split, const char *what, const char *value)
{
    char *path = fs_join(dir, "split_summary.csv");
    csv_reader *r;
    int64_t n = -1;
    OK((r = csv_open(path, e)));
    assert_int_equal(csv_columns(r), 4);
    while (csv_next(r, NULL) > 0)
        if (!strcmp(csv_field(r, 0), split) && !strcmp(csv_field(r, 1), what) &&
            !strcmp(csv_field(r, 2), value))
            assert_true(text_i64(csv_field(r, 3), &n));
    csv_close(r);
    mem_free(path);
    return n;
}

static void test_summary(void **state)
{
    static const shot s[] = {
        {.patient = "A", .study = "a1", .sop = "a1", .age = 49},
        {.patient = "A", .study = "a1", .sop = "a2", .side = 'R', .view = "MLO", .age = 50},
        {.patient = "A", .study = "a2", .sop = "a3", .view = "ML", .day = "2016-06-01", .age = -1},
        {.patient = "B", .study = "b", .sop = "b", .vendor = "GE", .age = 97},
        {.patient = "C", .study = "c", .sop = "c", .vendor = ""},
    };
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,y,site,split\nA,1,north,train\nB,0,south,train\nC,0,,test\n");
    set(&t, "labels.label=y");
    set(&t, "split.mode=column");
    run_it(&t);
    assert_int_equal(count_of("train", "patients", ""), 2);
    assert_int_equal(count_of("train", "positive_patients", ""), 1);
    assert_int_equal(count_of("train", "exams", ""), 3);
    assert_int_equal(count_of("train", "positive_exams", ""), 2);
    assert_int_equal(count_of("train", "images", ""), 4);
    assert_int_equal(count_of("train", "vendor", "HOLOGIC"), 3);
    assert_int_equal(count_of("train", "vendor", "GE"), 1);
    assert_int_equal(count_of("test", "vendor", "unknown"), 1);
    assert_int_equal(count_of("train", "site", "north"), 3);
    assert_int_equal(count_of("train", "site", "south"), 1);
    assert_int_equal(count_of("test", "site", "south"), -1);
    assert_int_equal(count_of("train", "age_from", "40"), 1);
    assert_int_equal(count_of("train", "age_from", "50"), 1);
    assert_int_equal(count_of("train", "age_from", "90"), 1); /* pooled */
    assert_int_equal(count_of("train", "age_from", "unknown"), 1);
    assert_int_equal(count_of("train", "view", "L-CC"), 2);
    assert_int_equal(count_of("train", "view", "R-MLO"), 1);
    assert_int_equal(count_of("train", "view", "L-other"), 1);
    assert_int_equal(count_of("test", "images", ""), 1);
    assert_int_equal(t.result.fold_patients[COHORT_TRAIN], 2);
    assert_int_equal(t.result.patients, 3);
    set(&t, "split.mode=kfold");
    set(&t, "split.folds=2");
    run_it(&t);
    assert_int_equal(count_of("cv_fold_0", "patients", "") + count_of("cv_fold_1", "patients", ""),
                     3);
    assert_int_equal(count_of("train", "images", "") + count_of("val", "images", ""), 5);
    trial_free(&t);
}

static int setup(void **state)
{
    (void)state;
    return trial_setup("split_report");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disjoint),
        cmocka_unit_test(test_summary),
    };
    return cmocka_run_group_tests(tests, setup, trial_teardown);
}
