/* split as a whole: preconditions, where images lie, normalisation, books, and that the order of
 * files, the clock and the threads change nothing. */
#include "tests/unit/split_trial.h"

#include <math.h>

/* ---- bad input ------------------------------------------------------------------------------- */

static void test_bad_tables(void **state)
{
    static const shot s[] = {{.patient = "SECRET", .sop = "a"}};
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, 1);
    labels_are(&t, "id,diagnosis_date,last_negative_date\nSECRET,,2018-01-01\n");
    fails(&t, ERR_INPUT, "column 'patient_id' is missing");
    labels_are(&t, "patient_id,diagnosis_date\nSECRET,\n");
    fails(&t, ERR_INPUT, "column 'last_negative_date' is missing");
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date\nA,,\nSECRET,2016-02-30,\n");
    fails(&t, ERR_INPUT, "line 3: column 'diagnosis_date' holds no date");
    assert_null(strstr(t.e.msg, "SECRET"));
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date,cancer_laterality\n"
                   "SECRET,,2018-01-01,up\n");
    fails(&t, ERR_INPUT, "line 2: column 'cancer_laterality' wants L, R or B");
    assert_null(strstr(t.e.msg, "SECRET"));
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date\n,,2018-01-01\n");
    fails(&t, ERR_INPUT, "line 2: column 'patient_id' is empty");
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date\nSECRET,,2018-01-01,9\n");
    fails(&t, ERR_INPUT, "labels.csv");
    assert_null(strstr(t.e.msg, "SECRET"));
    OK(fs_remove_tree(t.labels, e));
    assert_false(run_keep(&t, NULL));
    trial_free(&t);
}

static void test_preconditions(void **state)
{
    static const shot s[] = {{.patient = "A", .sop = "a"},
                             {.patient = "B", .sop = "b", .unjudged = true}};
    trial t;
    trial_init(&t);
    OK(fs_remove_tree(t.out, e));
    OK(fs_remove_tree(t.excluded, e));
    store_write(t.store, t.c, s, 2);
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date\nA,,2018-01-01\nB,,2018-01-01\n");
    fails(&t, ERR_INPUT, "1 of 2 files have no outcome under prepare id");
    store_write(t.store, t.c, s, 1);
    set(&t, "prepare.sizes=[24x24]"); /* other images: nothing was prepared that way */
    fails(&t, ERR_INPUT, "1 of 1 files have no outcome");
    set(&t, "prepare.sizes=[16x16, 32x16]");
    set(&t, "split.test_fraction=0.6");
    set(&t, "split.val_fraction=0.4");
    fails(&t, ERR_CONFIG, "leave nothing to train on");
    assert_false(fs_exists(t.out)); /* nothing half-written */
    assert_false(fs_exists(t.excluded));
    set(&t, "split.test_fraction=0");
    set(&t, "split.val_fraction=0");
    run_it(&t);
    split_opts o = {.store = t.store, .labels_csv = t.labels, .out = t.out, .config = t.c};
    err e = {0};
    assert_false(split_run(&o, &t.result, &e));
    assert_string_equal(e.msg, "'COHORT.h5' exists; give --force to replace it");
    trial_free(&t);
}

/* Normalisation knows the training rows only. */
static void test_normalisation(void **state)
{
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, crowd, CROWD);
    labels_are(&t, crowd_labels.s);
    set(&t, "split.test_fraction=0.5");
    run_it(&t);
    double s[4] = {0}, n = 0;
    for (int i = 0; i < CROWD; i++) {
        uint16_t pixels[256];
        shard_meta m = {.breast_pixels = 100};
        if (row(&t, crowd[i].sop)->fold != COHORT_TRAIN)
            continue;
        store_pixels(100000 + i, 16, 16, pixels, &m);
        s[0] += m.sum_all;
        s[1] += m.sumsq_all;
        s[2] += m.sum_breast;
        s[3] += m.sumsq_breast;
        n++;
    }
    double all = s[0] / (n * 256), breast = s[2] / (n * 100);
    assert_true(fabs(t.got.mean_all - all) < 1e-12);
    assert_true(fabs(t.got.sd_all - sqrt(s[1] / (n * 256) - all * all)) < 1e-12);
    assert_true(fabs(t.got.mean_breast - breast) < 1e-12);
    assert_true(fabs(t.got.sd_breast - sqrt(s[3] / (n * 100) - breast * breast)) < 1e-12);
    assert_int_equal(t.got.n_sizes, 2);
    assert_int_equal(t.got.h[1], 32);
    trial_free(&t);
}

/* The rows of every image lie where the cohort says, for both sizes. */
static void test_places(void **state)
{
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, crowd, 60);
    labels_are(&t, crowd_labels.s);
    run_it(&t);
    assert_int_equal(t.got.n_shards, 6);
    for (int64_t i = 0; i < t.got.n; i++)
        for (int z = 0; z < 2; z++) {
            const cohort_row *r = &t.got.row[i];
            char *path = fs_join(t.got.dir, t.got.shard[r->shard[z]].file);
            shard *s;
            shard_meta m;
            int h, w;
            OK((s = shard_open(path, e)));
            OK(shard_read_meta(s, r->shard_row[z], &m, e));
            shard_size(s, &h, &w);
            assert_string_equal(m.image, r->image);
            assert_int_equal(h, t.got.h[z]);
            assert_int_equal(w, t.got.w[z]);
            shard_close(s);
            mem_free(path);
        }
    trial_free(&t);
}

/* The same women in another order of files give the same split.csv, and the same twice. */
static void test_order(void **state)
{
    trial t;
    shot shuffled[CROWD];
    trial_init(&t);
    labels_are(&t, crowd_labels.s);
    set(&t, "split.test_fraction=0.25");
    set(&t, "split.val_fraction=0.125");
    store_write(t.store, t.c, crowd, CROWD);
    run_it(&t);
    char *first = slurp(t.split_csv), sum[2][65];
    OK(fs_sha256_file(t.out, sum[0], e));
    usleep(1100000); /* a clock in the file would show */
    run_it(&t);
    OK(fs_sha256_file(t.out, sum[1], e));
    assert_string_equal(sum[0], sum[1]);
    for (int i = 0; i < CROWD; i++)
        shuffled[i] = crowd[(i * 77 + 5) % CROWD];
    store_write(t.store, t.c, shuffled, CROWD);
    run_it(&t);
    char *second = slurp(t.split_csv);
    assert_string_equal(first, second);
    set(&t, "split.seed=2");
    run_it(&t);
    char *third = slurp(t.split_csv);
    assert_string_not_equal(first, third);
    assert_null(strstr(first, "W0"));      /* no identifier */
    assert_null(strstr(first, "2015-06")); /* no calendar; four digits may stand in a pseudonym */
    assert_null(strstr(first, "-06-01"));
    char *raw = slurp(t.excluded);
    assert_null(strstr(raw, "W0"));
    mem_free(raw);
    mem_free(first);
    mem_free(second);
    mem_free(third);
    trial_free(&t);
}

/* Every step of the books starts where the one before ended. */
static void test_flow(void **state)
{
    static const shot s[] = {
        {.patient = "A", .sop = "a"},
        {.patient = "A", .sop = "a2", .side = 'R'},
        {.patient = "B", .sop = "b"},
        {.patient = "C", .sop = "c", .scanned = REASON_IO_UNREADABLE},
        {.patient = "D", .sop = "d", .primary = REASON_IMPLANT},
        {.patient = "E", .sop = "e", .primary = REASON_IMPLANT},
        {.patient = "F", .sop = "f", .primary = REASON_BLANK},
    };
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date\nA,,2018-01-01\nZ,,\n");
    run_it(&t);
    json_int_t left = 7, implants = -1;
    size_t n = json_array_size(t.got.flow);
    assert_int_equal(n--, 7); /* found, IO_UNREADABLE, BLANK, IMPLANT, NO_LABEL, the proof; rows */
    int64_t rows, matched;
    OK(json_get_i64(json_array_get(t.got.flow, n), "n_in", &rows, e));
    OK(json_get_i64(json_array_get(t.got.flow, n), "n_out", &matched, e));
    assert_true(rows == 2 && matched == 1);
    for (size_t i = 0; i < n; i++) {
        const json_t *f = json_array_get(t.got.flow, i);
        int64_t in, out;
        const char *why;
        OK(json_get_i64(f, "n_in", &in, e));
        OK(json_get_i64(f, "n_out", &out, e));
        OK(json_get_text(f, "reason", &why, e));
        assert_int_equal(in, left);
        assert_true(out <= in);
        if (!strcmp(why, "IMPLANT"))
            implants = in - out;
        left = out;
    }
    const char *proof;
    OK(json_get_text(json_array_get(t.got.flow, n - 1), "step", &proof, e));
    assert_string_equal(proof,
                        "folds share none of 1 patients, 1 exams, 2 images, 2 pixel contents");
    assert_int_equal(left, t.got.n);
    assert_int_equal(left, 2);
    assert_int_equal(implants, 2);
    trial_free(&t);
}

/* Which exams and women went with the files, and which only lost some of theirs. */
static void test_flow_wholes(void **state)
{
    static const shot s[] = {
        {.patient = "A", .study = "1", .sop = "a"},
        {.patient = "A", .study = "1", .sop = "a2", .primary = REASON_BLANK},
        {.patient = "A", .study = "2", .sop = "a3", .primary = REASON_BLANK, .day = "2016-06-01"},
        {.patient = "B", .study = "3", .sop = "b", .primary = REASON_BLANK},
        {.patient = "B", .study = "3", .sop = "b2", .primary = REASON_IMPLANT},
        {.patient = "C", .study = "4", .sop = "c"},
    };
    static const struct {
        const char *why;
        int64_t v[6]; /* exams in, out, touched; women in, out, touched */
    } want[] = {
        {"", {4, 4, 0, 3, 3, 0}},        {"BLANK", {4, 3, 3, 3, 3, 2}},
        {"IMPLANT", {3, 2, 1, 3, 2, 1}}, {"NO_LABEL", {2, 1, 1, 2, 1, 1}},
        {"", {1, 1, 0, 1, 1, 0}},
    };
    static const char *const keys[] = {"exams_in", "exams_out", "exams_touched",
                                       "women_in", "women_out", "women_touched"};
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date\nA,,2018-01-01\n");
    run_it(&t);
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        const json_t *f = json_array_get(t.got.flow, i);
        const char *why;
        int64_t v;
        OK(json_get_text(f, "reason", &why, e));
        assert_string_equal(why, want[i].why);
        for (size_t k = 0; k < COUNT_OF(keys); k++) {
            OK(json_get_i64(f, keys[k], &v, e));
            if (v != want[i].v[k])
                fail_msg("row %zu, %s: %lld", i, keys[k], (long long)v);
        }
    }
    int64_t part;
    OK(json_get_i64(json_array_get(t.got.flow, COUNT_OF(want) - 1), "exams_part", &part, e));
    assert_int_equal(part, 1);
    trial_free(&t);
}

static int setup(void **state)
{
    (void)state;
    return trial_setup("split");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_tables),    cmocka_unit_test(test_preconditions),
        cmocka_unit_test(test_normalisation), cmocka_unit_test(test_places),
        cmocka_unit_test(test_order),         cmocka_unit_test(test_flow),
        cmocka_unit_test(test_flow_wholes),
    };
    return cmocka_run_group_tests(tests, setup, trial_teardown);
}
