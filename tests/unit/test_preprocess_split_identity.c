/* Who is one person: shared exams, images, pixels, rows of the table, aliases; exams of one day. */
#include "tests/unit/split_trial.h"

static void test_identities(void **state)
{
    static const shot s[] = {
        {.patient = "A", .study = "s1", .sop = "a1"},
        {.patient = "B", .study = "s1", .sop = "b1", .side = 'R'}, /* A = B by the study */
        {.patient = "B", .study = "s2", .sop = "b2", .pixels = 5, .day = "2017-01-01"},
        {.patient = "C", .study = "s3", .sop = "c1", .pixels = 5, .day = "2018-01-01"}, /* = C */
        {.patient = "C", .study = "s4", .sop = "c2", .day = ""}, /* no date: no first day */
        {.patient = "D", .study = "s5", .sop = "d1"},
        {.patient = "D", .study = "s6", .sop = "d1", .issuer = "SITE", .path = "again.dcm"},
        {.patient = "D", .study = "s7", .sop = "d2", .issuer = "SITE"}, /* D = SITE^D */
        {.patient = "E", .study = "s8", .sop = "e1"},
    };
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,y\nA,0\nB,0\nC,0\nD,1\nE,0\n");
    set(&t, "labels.label=y");
    run_it(&t);
    const char *abc = row(&t, "a1")->patient;
    assert_string_equal(row(&t, "b1")->patient, abc);
    assert_string_equal(row(&t, "b2")->patient, abc);
    assert_string_equal(row(&t, "c2")->patient, abc);
    assert_string_equal(fate(&t, "c1"), "DUP_PIXEL");
    assert_string_equal(row(&t, "d1")->patient, row(&t, "d2")->patient);
    assert_string_not_equal(row(&t, "d1")->patient, abc);
    assert_string_not_equal(row(&t, "e1")->patient, abc);
    assert_int_equal(t.result.patients, 3);
    assert_int_equal(row(&t, "a1")->exam_day, 0);
    assert_int_equal(row(&t, "b2")->exam_day, 580); /* 2015-06-01 to 2017-01-01 */
    trial_free(&t);
}

/* How often a reason stands in split_merges.csv; the class that it names must be a patient. */
static int merges(const char *reason)
{
    char *path = fs_join(dir, "split_merges.csv");
    csv_reader *r;
    int why, who, n = 0;
    OK((r = csv_open(path, e)));
    OK(csv_require(r, "reason", &why, e));
    OK(csv_require(r, "patient_id", &who, e));
    while (csv_next(r, NULL) > 0) {
        assert_int_equal(strlen(csv_field(r, who)), 32);
        n += !strcmp(csv_field(r, why), reason);
    }
    csv_close(r);
    mem_free(path);
    return n;
}

/* Every reason of a merge, alone. */
static void test_reasons(void **state)
{
    static const shot s[] = {
        {.patient = "A1", .study = "a", .sop = "a1"},
        {.patient = "A2", .study = "a", .sop = "a2", .side = 'R'},
        {.patient = "B1", .study = "b1", .sop = "b"},
        {.patient = "B2", .study = "b2", .sop = "b", .path = "b2.dcm"},
        {.patient = "C1", .study = "c1", .sop = "c1", .pixels = 7},
        {.patient = "C2", .study = "c2", .sop = "c2", .pixels = 7},
        {.patient = "D", .study = "d1", .sop = "d1"},
        {.patient = "D", .study = "d2", .sop = "d2", .issuer = "SITE"},
        {.patient = "E", .study = "e", .sop = "e"},
    };
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,y\nA1,0\nA2,0\nB1,0\nB2,0\nC1,0\nC2,0\nD,1\nE,0\n");
    set(&t, "labels.label=y");
    run_it(&t);
    assert_int_equal(t.result.patients, 5);
    assert_int_equal(merges("SAME_EXAM"), 1);
    assert_int_equal(merges("SAME_IMAGE"), 1);
    assert_int_equal(merges("SAME_PIXELS"), 1);
    assert_int_equal(merges("SAME_LABEL"), 1);
    assert_int_equal(merges("ALIAS") + merges("OTHER_ID"), 0);
    trial_free(&t);
}

/* Numbers of the header: of an image's PatientID (A = B), of nobody's but shared (C = D), of
 * another house (not E = F). */
static void test_other_ids(void **state)
{
    static const shot s[] = {
        {.patient = "A", .study = "a", .sop = "a", .issuer = "S", .other_ids = "x|9\\T|b"},
        {.patient = "B", .study = "b", .sop = "b", .issuer = "T"},
        {.patient = "C", .study = "c", .sop = "c", .other_ids = "R|77"},
        {.patient = "D", .study = "d", .sop = "d", .other_ids = "R|77"},
        {.patient = "E", .study = "e", .sop = "e", .issuer = "S", .other_ids = "S|F"},
        {.patient = "F", .study = "f", .sop = "f", .issuer = "T"},
    };
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,y\nA,0\nB,0\nC,0\nD,0\nE,1\nF,0\n");
    set(&t, "labels.label=y");
    run_it(&t);
    assert_int_equal(t.result.patients, 4);
    assert_int_equal(merges("OTHER_ID"), 4); /* both of A's, one of C and of D; none of E's */
    assert_string_equal(row(&t, "a")->patient, row(&t, "b")->patient);
    assert_string_equal(row(&t, "c")->patient, row(&t, "d")->patient);
    assert_string_not_equal(row(&t, "e")->patient, row(&t, "f")->patient);
    trial_free(&t);
}

/* A chain of aliases, one of them an id without images; issuers do not matter to the table. */
static void test_aliases(void **state)
{
    static const shot s[] = {
        {.patient = "A", .study = "a", .sop = "a"},
        {.patient = "B", .study = "b", .sop = "b", .issuer = "SITE"},
        {.patient = "C", .study = "c", .sop = "c"},
        {.patient = "D", .study = "d", .sop = "d"},
    };
    static const char table[] = "patient_id;alias\nA;unseen\nunseen; b \nD;D\n";
    static const char empty[] = "patient_id;alias\nA;\n", other[] = "id;alias\nA;B\n";
    trial t;
    char *path = fs_join(dir, "alias.csv"), key[300];
    trial_init(&t);
    snprintf(key, sizeof key, "split.aliases=%s", path);
    set(&t, key);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,y\nA,0\nB,0\nC,1\nD,0\n");
    set(&t, "labels.label=y");
    OK(fs_write(path, table, strlen(table), e));
    run_it(&t);
    assert_int_equal(t.result.patients, 3);
    assert_string_equal(row(&t, "a")->patient, row(&t, "b")->patient);
    assert_string_not_equal(row(&t, "a")->patient, row(&t, "c")->patient);
    assert_int_equal(merges("ALIAS"), 1);
    OK(fs_write(path, empty, strlen(empty), e));
    fails(&t, ERR_INPUT, "split.aliases: line 2: an id is empty");
    OK(fs_write(path, other, strlen(other), e));
    fails(&t, ERR_INPUT, "column 'patient_id' is missing");
    assert_null(strstr(t.e.msg, "unseen"));
    OK(fs_remove_tree(path, e));
    assert_false(run_keep(&t, NULL));
    mem_free(path);
    trial_free(&t);
}

/* Two studies of a day are one exam where the configuration says so; another day, another woman and
 * an unknown day are not. */
static void test_same_day(void **state)
{
    static const shot s[] = {
        {.patient = "A", .study = "a1", .sop = "a1", .side = 'L'},
        {.patient = "A", .study = "a2", .sop = "a2", .side = 'R'},
        {.patient = "A", .study = "a3", .sop = "a3", .view = "MLO"},
        {.patient = "A", .study = "a4", .sop = "a4", .day = "2015-06-02"},
        {.patient = "B", .study = "b1", .sop = "b1"},
        {.patient = "C", .study = "c1", .sop = "c1", .day = ""},
        {.patient = "C", .study = "c2", .sop = "c2", .day = ""},
    };
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,y\nA,0\nB,0\nC,1\n");
    set(&t, "labels.label=y");
    run_it(&t);
    assert_int_equal(t.result.exams, 7);
    set(&t, "exam.merge_same_day=true");
    run_it(&t);
    assert_int_equal(t.result.exams, 5);
    assert_string_equal(row(&t, "a1")->exam, row(&t, "a2")->exam);
    assert_string_equal(row(&t, "a1")->exam, row(&t, "a3")->exam);
    assert_string_not_equal(row(&t, "a1")->exam, row(&t, "a4")->exam);
    assert_string_not_equal(row(&t, "c1")->exam, row(&t, "c2")->exam);
    trial_free(&t);
}

static int setup(void **state)
{
    (void)state;
    return trial_setup("split_identity");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identities), cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_other_ids),  cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_same_day),
    };
    return cmocka_run_group_tests(tests, setup, trial_teardown);
}
