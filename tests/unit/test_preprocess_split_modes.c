/* The modes of split and --keep. */
#include "tests/unit/split_trial.h"

static void test_keep(void **state)
{
    trial t;
    char *old = fs_join(dir, "OLD_split.csv");
    trial_init(&t);
    labels_are(&t, crowd_labels.s);
    set(&t, "split.test_fraction=0.25");
    set(&t, "split.val_fraction=0.125");
    store_write(t.store, t.c, crowd, 120);
    run_it(&t);
    char *csv = slurp(t.split_csv);
    OK(fs_write(old, csv, strlen(csv), e));
    int fold[120];
    for (int i = 0; i < 120; i++)
        fold[i] = row(&t, crowd[i].sop)->fold;
    store_write(t.store, t.c, crowd, CROWD); /* as many women again */
    run_it(&t);
    int moved = 0;
    for (int i = 0; i < 120; i++)
        moved += row(&t, crowd[i].sop)->fold != fold[i];
    assert_true(moved > 0); /* or --keep would prove nothing */
    if (!run_keep(&t, old))
        fail_msg("%s", t.e.msg);
    int n[COHORT_FOLDS][2];
    for (int i = 0; i < 120; i++)
        assert_int_equal(row(&t, crowd[i].sop)->fold, fold[i]);
    count_folds(&t.got, n);
    assert_int_equal(n[COHORT_TEST][1], 12); /* the new ones fill what lacks */
    assert_int_equal(n[COHORT_VAL][1], 6);
    assert_int_equal(n[COHORT_TEST][0], 48);
    /* two old women turn out to be one, in two folds: she is taken out */
    shot joined[CROWD];
    int a = -1, b = -1;
    for (int i = 0; i < 120; i++) {
        if (fold[i] == COHORT_TEST && i % 5)
            a = i;
        if (fold[i] == COHORT_TRAIN && i % 5)
            b = i;
    }
    memcpy(joined, crowd, sizeof joined);
    joined[a].pixels = joined[b].pixels = 4711;
    store_write(t.store, t.c, joined, CROWD);
    if (!run_keep(&t, old))
        fail_msg("%s", t.e.msg);
    const char *one = fate(&t, crowd[a].sop);
    assert_true(!strcmp(one, "SPLIT_CONFLICT") || !strcmp(one, "DUP_PIXEL"));
    one = fate(&t, crowd[b].sop);
    assert_true(!strcmp(one, "SPLIT_CONFLICT") || !strcmp(one, "DUP_PIXEL"));
    assert_int_equal(t.got.n, CROWD - 2);
    /* hostile lists */
    static const char two[] = "patient_id,split\nx,train\nx,test\n";
    OK(fs_write(old, two, strlen(two), e));
    assert_false(run_keep(&t, old));
    assert_string_equal(t.e.msg, "--keep: a patient is in two splits");
    static const char odd[] = "patient_id,split\nx,holdout\n";
    OK(fs_write(old, odd, strlen(odd), e));
    assert_false(run_keep(&t, old));
    assert_non_null(strstr(t.e.msg, "line 2: unknown split"));
    static const char other[] = "patient_id,split\nx,test\n";
    OK(fs_write(old, other, strlen(other), e));
    assert_false(run_keep(&t, old));
    assert_non_null(strstr(t.e.msg, "none of its patients is in this store"));
    mem_free(csv);
    mem_free(old);
    trial_free(&t);
}

static int8_t cv_of(trial *t, int i)
{
    return row(t, crowd[i].sop)->cv_fold;
}

/* All folds come from one division: another held-out fold changes who validates, nothing else. */
static void test_kfold(void **state)
{
    trial t;
    int8_t cv[CROWD];
    int n[5][2] = {{0}}, sums[COHORT_FOLDS][2];
    trial_init(&t);
    store_write(t.store, t.c, crowd, CROWD);
    labels_are(&t, crowd_labels.s);
    set(&t, "split.mode=kfold");
    set(&t, "split.test_fraction=0.25");
    set(&t, "split.folds=3");
    for (int held = 0; held < 3; held++) {
        char key[32];
        snprintf(key, sizeof key, "split.fold=%d", held);
        set(&t, key);
        run_it(&t);
        for (int i = 0; i < CROWD; i++) {
            const cohort_row *r = row(&t, crowd[i].sop);
            if (held)
                assert_int_equal(r->cv_fold, cv[i]);
            cv[i] = r->cv_fold;
            assert_int_equal(r->fold, r->cv_fold < 0       ? COHORT_TEST
                                      : r->cv_fold == held ? COHORT_VAL
                                                           : COHORT_TRAIN);
        }
    }
    for (int i = 0; i < CROWD; i++)
        n[cv[i] + 1][row(&t, crowd[i].sop)->y[0]]++;
    for (int f = 0; f < 3; f++) {
        assert_int_equal(n[f + 1][1], 12); /* 48 with cancer, 12 of them in the test set */
        assert_int_equal(n[f + 1][0], 48);
    }
    count_folds(&t.got, sums);
    assert_int_equal(sums[COHORT_TEST][1], 12);
    set(&t, "split.fold=3");
    fails(&t, ERR_CONFIG, "split.fold is 3, but split.folds 3 count from 0");
    set(&t, "split.mode=fractions");
    set(&t, "split.fold=0");
    run_it(&t);
    assert_int_equal(t.got.row[0].cv_fold, -1);
    trial_free(&t);
}

/* --keep of a k-fold split keeps the fold numbers, whichever fold is held out now. */
static void test_keep_kfold(void **state)
{
    trial t;
    int8_t cv[120];
    char *old = fs_join(dir, "OLD_split.csv");
    trial_init(&t);
    labels_are(&t, crowd_labels.s);
    set(&t, "split.mode=kfold");
    set(&t, "split.test_fraction=0.2");
    store_write(t.store, t.c, crowd, 120);
    run_it(&t);
    char *csv = slurp(t.split_csv);
    OK(fs_write(old, csv, strlen(csv), e));
    for (int i = 0; i < 120; i++)
        cv[i] = cv_of(&t, i);
    store_write(t.store, t.c, crowd, CROWD);
    set(&t, "split.fold=2");
    set(&t, "split.seed=9");
    if (!run_keep(&t, old))
        fail_msg("%s", t.e.msg);
    int n[5] = {0};
    for (int i = 0; i < CROWD; i++) {
        if (i < 120)
            assert_int_equal(cv_of(&t, i), cv[i]);
        n[cv_of(&t, i) + 1]++;
    }
    for (int f = 0; f < 5; f++)
        assert_true(n[f] >= 47 && n[f] <= 49);
    set(&t, "split.folds=2");
    set(&t, "split.fold=0");
    assert_false(run_keep(&t, old));
    assert_non_null(strstr(t.e.msg, "cv_fold is none of the 2 of split.folds"));
    mem_free(csv);
    mem_free(old);
    trial_free(&t);
}

/* Woman B was examined at both sites, C by both vendors. */
static const shot left_shots[] = {
    {.patient = "A", .study = "a", .sop = "a", .vendor = "GE"},
    {.patient = "A2", .study = "a2", .sop = "a2", .vendor = "GE"},
    {.patient = "A3", .study = "a3", .sop = "a3", .vendor = "GE"},
    {.patient = "B", .study = "b1", .sop = "b1", .vendor = "GE", .accession = "1"},
    {.patient = "B", .study = "b2", .sop = "b2", .vendor = "GE", .accession = "2"},
    {.patient = "C", .study = "c1", .sop = "c1", .vendor = "SIEMENS", .accession = "2"},
    {.patient = "C", .study = "c2", .sop = "c2", .vendor = "GE", .accession = "2"},
    {.patient = "D", .study = "d", .sop = "d", .vendor = "SIEMENS", .accession = "2"},
};

static void test_leave_out(void **state)
{
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, left_shots, COUNT_OF(left_shots));
    labels_are(&t, "sop,y,site,density\na,0,north,B\na2,1,north,\na3,0,north,C\nb1,0,north,A\n"
                   "b2,0,south,D\nc1,1,south,D\nc2,1,south,D\nd,0,south,B\n");
    set(&t, "labels.label=y");
    set(&t, "labels.id=sop");
    set(&t, "labels.key=sop");
    set(&t, "split.test_fraction=0.5"); /* of no account here */
    set(&t, "split.mode=leave_vendor_out");
    fails(&t, ERR_CONFIG, "split.mode wants the name in split.leave_out");
    set(&t, "split.leave_out=siemens");
    run_it(&t);
    assert_int_equal(row(&t, "c1")->fold, COHORT_TEST);
    assert_int_equal(row(&t, "d")->fold, COHORT_TEST);
    assert_string_equal(fate(&t, "c2"), "SPLIT_CONFLICT"); /* a GE image of a test woman */
    assert_int_equal(row(&t, "b2")->fold, COHORT_TRAIN);
    assert_int_equal(t.result.fold_images[COHORT_TEST], 2);
    set(&t, "split.mode=leave_site_out");
    fails(&t, ERR_INPUT, "split.mode holds out nothing: no image is from 'siemens'");
    set(&t, "split.leave_out=south");
    run_it(&t);
    assert_string_equal(fate(&t, "b1"), "SPLIT_CONFLICT");
    assert_int_equal(row(&t, "b2")->fold, COHORT_TEST);
    assert_string_equal(row(&t, "b2")->site, "south"); /* for the report's subgroups */
    assert_string_equal(row(&t, "b2")->density, "D");
    assert_string_equal(row(&t, "a2")->site, "north");
    assert_string_equal(row(&t, "a2")->density, "");
    assert_int_equal(t.result.fold_images[COHORT_TEST], 4);
    assert_int_equal(t.result.fold_images[COHORT_TRAIN], 3);
    trial_free(&t);
}

/* Exams from 2016-01-01 on are the test; nobody of them is seen in training. */
static void test_temporal(void **state)
{
    static const shot s[] = {
        {.patient = "A", .study = "a", .sop = "a", .day = "2015-12-31"},
        {.patient = "B", .study = "b1", .sop = "b1", .day = "2014-01-01"},
        {.patient = "B", .study = "b2", .sop = "b2", .day = "2016-01-01"},
        {.patient = "C", .study = "c", .sop = "c", .day = "2017-01-01"},
        {.patient = "D", .study = "d", .sop = "d", .day = ""},
    };
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,y\nA,0\nB,0\nC,1\nD,0\n");
    set(&t, "labels.label=y");
    set(&t, "split.mode=temporal");
    fails(&t, ERR_CONFIG, "split.mode temporal wants a date in split.test_from");
    set(&t, "split.test_from=2016-01-01");
    run_it(&t);
    assert_int_equal(row(&t, "a")->fold, COHORT_TRAIN);
    assert_string_equal(fate(&t, "b1"), "SPLIT_CONFLICT");
    assert_int_equal(row(&t, "b2")->fold, COHORT_TEST);
    assert_int_equal(row(&t, "c")->fold, COHORT_TEST);
    assert_string_equal(fate(&t, "d"), "NO_DATE"); /* before or after? */
    set(&t, "split.test_from=2018-01-01");
    fails(&t, ERR_INPUT, "no image is from a day since '2018-01-01'");
    trial_free(&t);
}

static void test_column(void **state)
{
    static const shot s[] = {
        {.patient = "A", .sop = "a"},
        {.patient = "B", .sop = "b"},
        {.patient = "C", .sop = "c"},
        {.patient = "D", .sop = "d"},
        {.patient = "E", .sop = "e"},
        {.patient = "F", .study = "f", .sop = "f", .pixels = 6},
        {.patient = "G", .study = "g", .sop = "g", .pixels = 6}, /* F = G */
        {.patient = "G", .study = "g2", .sop = "g2"},
        {.patient = "H", .sop = "h"},
    };
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,y,split\nA,0,train\nB,0,dev\nC,1,TEST\nD,0,\nE,0,val_natural\n"
                   "F,0,train\nG,0,test\nH,0,train\nH,0,test\n");
    set(&t, "labels.label=y");
    set(&t, "split.mode=column");
    set(&t, "split.test_fraction=0.5");
    run_it(&t);
    assert_int_equal(row(&t, "a")->fold, COHORT_TRAIN);
    assert_int_equal(row(&t, "b")->fold, COHORT_VAL);
    assert_int_equal(row(&t, "c")->fold, COHORT_TEST);
    assert_int_equal(row(&t, "e")->fold, COHORT_VAL_NATURAL);
    assert_string_equal(fate(&t, "d"), "NO_SPLIT");
    assert_true(!strcmp(fate(&t, "f"), "SPLIT_CONFLICT") || !strcmp(fate(&t, "f"), "DUP_PIXEL"));
    assert_string_equal(fate(&t, "g2"), "SPLIT_CONFLICT");
    assert_string_equal(fate(&t, "h"), "SPLIT_CONFLICT");
    labels_are(&t, "patient_id,y,split\nA,0,train\nB,0,holdout\n");
    fails(&t, ERR_INPUT, "column 'split' of the label table holds a split that is none of train");
    labels_are(&t, "patient_id,y\nA,0\n");
    fails(&t, ERR_INPUT, "split.mode is column, but the label table has no column 'split'");
    trial_free(&t);
}

static int setup(void **state)
{
    (void)state;
    return trial_setup("split_modes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep),       cmocka_unit_test(test_kfold),
        cmocka_unit_test(test_keep_kfold), cmocka_unit_test(test_leave_out),
        cmocka_unit_test(test_temporal),   cmocka_unit_test(test_column),
    };
    return cmocka_run_group_tests(tests, setup, trial_teardown);
}
