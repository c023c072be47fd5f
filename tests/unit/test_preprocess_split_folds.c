/* Folds by person: shares, strata, the balanced and the natural validation set. */
#include "tests/unit/split_trial.h"

static void test_folds(void **state)
{
    trial t;
    int n[COHORT_FOLDS][2];
    trial_init(&t);
    store_write(t.store, t.c, crowd, CROWD);
    labels_are(&t, crowd_labels.s);
    set(&t, "split.test_fraction=0.25");
    set(&t, "split.val_fraction=0.125");
    run_it(&t);
    count_folds(&t.got, n); /* 48 with, 192 without cancer */
    assert_int_equal(n[COHORT_TEST][1], 12);
    assert_int_equal(n[COHORT_VAL][1], 6);
    assert_int_equal(n[COHORT_TRAIN][1], 30);
    assert_int_equal(n[COHORT_TEST][0], 48);
    assert_int_equal(n[COHORT_VAL][0], 6); /* balanced */
    assert_int_equal(n[COHORT_TRAIN][0], 138);
    assert_int_equal(t.result.fold_exams[COHORT_VAL], 12);
    assert_int_equal(t.result.fold_positives[COHORT_TEST], 12);
    int by_vendor[3][2] = {{0}}; /* matched on the vendor */
    for (int64_t i = 0; i < t.got.n; i++)
        if (t.got.row[i].fold == COHORT_VAL)
            by_vendor[t.got.row[i].vendor[0] == 'G' ? 0 : t.got.row[i].vendor[0] == 'H']
                     [t.got.row[i].y[0]]++;
    for (int v = 0; v < 2; v++)
        assert_int_equal(by_vendor[v][0], by_vendor[v][1]);
    set(&t, "split.val=natural");
    run_it(&t);
    count_folds(&t.got, n);
    assert_int_equal(n[COHORT_VAL][1], 6);
    assert_int_equal(n[COHORT_VAL][0], 24);
    assert_int_equal(n[COHORT_TEST][0], 48);
    trial_free(&t);
}

/* Sites of women are i / 60; every tenth woman of each has cancer. */
static void write_sites(trial *t)
{
    text csv;
    text_init(&csv);
    text_add(&csv, "patient_id,y,site,density\n");
    for (int i = 0; i < CROWD; i++)
        text_addf(&csv, "%s,%d,%c,%d\n", crowd_name[i], i % 10 == 0, 'p' + i / 60, i % 4);
    labels_are(t, csv.s);
    text_release(&csv);
}

/* Each stratum has its share in the test set, of both outcomes. */
static void test_strata(void **state)
{
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, crowd, CROWD);
    write_sites(&t);
    set(&t, "labels.label=y");
    set(&t, "split.strata=[outcome, site]");
    set(&t, "split.test_fraction=0.5");
    run_it(&t);
    int n[4][2] = {{0}};
    for (int i = 0; i < CROWD; i++)
        n[i / 60][i % 10 == 0] += row(&t, crowd[i].sop)->fold == COHORT_TEST;
    for (int site = 0; site < 4; site++) {
        assert_int_equal(n[site][0], 27);
        assert_int_equal(n[site][1], 3);
    }
    set(&t, "split.strata=[outcome, density]");
    run_it(&t);
    int d[4] = {0};
    for (int i = 0; i < CROWD; i++)
        d[i % 4] += row(&t, crowd[i].sop)->fold == COHORT_TEST;
    for (int k = 0; k < 4; k++)
        assert_true(d[k] >= 29 && d[k] <= 31);
    set(&t, "split.strata=[outcome, colour]");
    fails(&t, ERR_CONFIG, "split.strata: 'colour' is none of outcome, vendor, site");
    set(&t, "split.strata=[site]");
    fails(&t, ERR_CONFIG, "split.val balanced needs 'outcome' among split.strata");
    trial_free(&t);
}

static void test_natural_too(void **state)
{
    trial t;
    int n[COHORT_FOLDS][2];
    trial_init(&t);
    store_write(t.store, t.c, crowd, CROWD);
    labels_are(&t, crowd_labels.s);
    set(&t, "split.test_fraction=0.25");
    set(&t, "split.val_fraction=0.125");
    set(&t, "split.val_natural_fraction=0.125");
    run_it(&t);
    count_folds(&t.got, n); /* 48 with, 192 without cancer */
    assert_int_equal(n[COHORT_TEST][1], 12);
    assert_int_equal(n[COHORT_TEST][0], 48); /* never balanced */
    assert_int_equal(n[COHORT_VAL_NATURAL][1], 6);
    assert_int_equal(n[COHORT_VAL_NATURAL][0], 24);
    assert_int_equal(n[COHORT_VAL][1], 6);
    assert_int_equal(n[COHORT_VAL][0], 6);
    assert_int_equal(t.result.fold_patients[COHORT_VAL_NATURAL], 30);
    trial_free(&t);
}

/* Controls are matched on vendor, year and age: cases are either old and early or young and late,
 * most controls are neither. */
static void test_matched(void **state)
{
    static shot s[CROWD];
    text csv;
    trial t;
    text_init(&csv);
    text_add(&csv, "patient_id,y\n");
    for (int i = 0; i < CROWD; i++) {
        s[i] = crowd[i];
        int kind = i % 12 == 0 ? 0 : i % 12 == 6 ? 1 : i % 12 < 3 ? 0 : i % 12 < 5 ? 1 : 2;
        s[i].age = kind == 0 ? 71 : kind == 1 ? 45 : 58;
        s[i].day = kind == 0 ? "2004-05-06" : kind == 1 ? "2018-05-06" : "2011-05-06";
        text_addf(&csv, "%s,%d\n", crowd_name[i], i % 6 == 0);
    }
    trial_init(&t);
    store_write(t.store, t.c, s, CROWD);
    labels_are(&t, csv.s);
    set(&t, "labels.label=y");
    set(&t, "split.val_fraction=0.25");
    run_it(&t);
    int n[3][3][2] = {{{0}}};
    for (int i = 0; i < CROWD; i++) {
        const cohort_row *r = row(&t, s[i].sop);
        int v = r->vendor[0] == 'G' ? 0 : r->vendor[0] == 'H' ? 1 : 2;
        if (r->fold == COHORT_VAL)
            n[v][r->age == 71 ? 0 : r->age == 45 ? 1 : 2][r->y[0]]++;
    }
    for (int v = 0; v < 3; v++)
        for (int k = 0; k < 3; k++)
            assert_int_equal(n[v][k][0], n[v][k][1]);
    assert_int_equal(t.result.fold_positives[COHORT_VAL], 10);
    assert_int_equal(t.result.fold_exams[COHORT_VAL], 20);
    text_release(&csv);
    trial_free(&t);
}

/* Where no control of the cell is left, the next best one is taken, but never more than half of
 * those that training could have. */
static void test_match_relaxed(void **state)
{
    static const shot s[] = {
        {.patient = "P1", .sop = "p1", .age = 71}, {.patient = "P2", .sop = "p2", .age = 71},
        {.patient = "P3", .sop = "p3", .age = 71}, {.patient = "P4", .sop = "p4", .age = 71},
        {.patient = "N1", .sop = "n1", .age = 45}, {.patient = "N2", .sop = "n2", .age = 45},
    };
    trial t;
    int n[COHORT_FOLDS][2];
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,y\nP1,1\nP2,1\nP3,1\nP4,1\nN1,0\nN2,0\n");
    set(&t, "labels.label=y");
    set(&t, "split.val_fraction=0.5");
    run_it(&t);
    count_folds(&t.got, n);
    assert_int_equal(n[COHORT_VAL][1], 2);
    assert_int_equal(n[COHORT_VAL][0], 1);
    assert_int_equal(n[COHORT_TRAIN][0], 1);
    /* no control is as old; those of the vendor and of her years come before the others */
    static const shot near[] = {
        {.patient = "P1", .sop = "p1", .age = 71},
        {.patient = "P2", .sop = "p2", .age = 71},
        {.patient = "N1", .sop = "n1", .age = 45, .vendor = "GE"},
        {.patient = "N2", .sop = "n2", .age = 45, .day = "2005-01-01"},
        {.patient = "N3", .sop = "n3", .age = 45},
        {.patient = "N4", .sop = "n4", .age = 45, .vendor = "SIEMENS"},
    };
    store_write(t.store, t.c, near, COUNT_OF(near));
    labels_are(&t, "patient_id,y\nP1,1\nP2,1\nN1,0\nN2,0\nN3,0\nN4,0\n");
    for (int seed = 1; seed <= 4; seed++) {
        char key[32];
        snprintf(key, sizeof key, "split.seed=%d", seed);
        set(&t, key);
        run_it(&t);
        assert_int_equal(row(&t, "n3")->fold, COHORT_VAL);
        assert_int_equal(t.result.fold_images[COHORT_VAL], 2);
    }
    store_write(t.store, t.c, near, 4); /* without N3: the vendor */
    labels_are(&t, "patient_id,y\nP1,1\nP2,1\nN1,0\nN2,0\n");
    for (int seed = 1; seed <= 4; seed++) {
        char key[32];
        snprintf(key, sizeof key, "split.seed=%d", seed);
        set(&t, key);
        run_it(&t);
        assert_int_equal(row(&t, "n2")->fold, COHORT_VAL);
    }
    trial_free(&t);
}

/* One woman with many exams does not tip the division: the largest are given out first. */
static void test_largest_first(void **state)
{
    static shot s[64];
    static char name[64][8];
    text csv;
    trial t;
    text_init(&csv);
    text_add(&csv, "patient_id,y\n");
    for (int i = 0; i < 64; i++) { /* women 0..3: 8 exams each; the others: one */
        int who = i < 32 ? i / 8 : i - 28;
        snprintf(name[i], sizeof name[i], "X%d", i);
        s[i] = (shot){.patient = crowd_name[who], .study = name[i], .sop = name[i]};
        if (i >= 32 || i % 8 == 0)
            text_addf(&csv, "%s,%d\n", crowd_name[who], 0);
    }
    trial_init(&t);
    store_write(t.store, t.c, s, 64);
    labels_are(&t, csv.s);
    set(&t, "labels.label=y");
    set(&t, "split.test_fraction=0.5");
    for (int seed = 1; seed <= 5; seed++) {
        char key[32];
        snprintf(key, sizeof key, "split.seed=%d", seed);
        set(&t, key);
        run_it(&t);
        assert_int_equal(t.result.fold_images[COHORT_TEST], 32);
        assert_int_equal(t.result.fold_patients[COHORT_TEST], 18);
    }
    text_release(&csv);
    trial_free(&t);
}

/* Which of the crowd torch 1.13 gives for the last 36 of randperm(240), seed 42. */
static const int of_val[] = {9,   11,  12,  13,  31,  33,  35,  54,  75,  85,  87,  88,
                             89,  97,  100, 106, 108, 114, 117, 120, 145, 147, 153, 155,
                             158, 164, 168, 170, 176, 190, 191, 212, 223, 224, 225, 235};

static bool is_of_val(int i)
{
    for (size_t k = 0; k < COUNT_OF(of_val); k++)
        if (of_val[k] == i)
            return true;
    return false;
}

static void torch_draw(trial *t)
{
    set(t, "split.draw=torch");
    set(t, "split.seed=42");
    set(t, "split.val=natural");
    set(t, "split.strata=");
}

/* patchdropout.md 4: an image of its own each, so the persons of validation are the published ones,
 * counted in the order of the table. */
static void test_published_draw(void **state)
{
    trial t;
    text backwards;
    trial_init(&t);
    store_write(t.store, t.c, crowd, CROWD);
    labels_are(&t, crowd_labels.s);
    torch_draw(&t);
    set(&t, "split.val_fraction=0.1529"); /* 36.7 persons: truncated */
    run_it(&t);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(row(&t, crowd_name[i])->fold, is_of_val(i) ? COHORT_VAL : COHORT_TRAIN);
    text_init(&backwards);
    text_add(&backwards, "patient_id,diagnosis_date,last_negative_date\n");
    for (int i = CROWD - 1; i >= 0; i--)
        text_addf(&backwards, "%s,%s\n", crowd_name[i], i % 5 ? ",2019-01-01" : "2016-06-01,");
    labels_are(&t, backwards.s);
    run_it(&t);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(row(&t, crowd_name[i])->fold,
                         is_of_val(CROWD - 1 - i) ? COHORT_VAL : COHORT_TRAIN);
    text_release(&backwards);
    trial_free(&t);
}

/* All images of a woman go with her, and who has a split already is not in the draw. */
static void test_published_draw_of_persons(void **state)
{
    enum { WOMEN = 20, OLD = 4 };
    static const int val[] = {19, 9, 5, 16}; /* the last of torch.randperm(20), seed 42 */
    static shot s[2 * (WOMEN + OLD)];
    static char name[2 * (WOMEN + OLD)][8];
    char *old = fs_join(dir, "old_split.csv");
    text csv, kept;
    trial t;
    text_init(&csv);
    text_init(&kept);
    text_add(&csv, "patient_id,y\n");
    text_add(&kept, "patient_id,split\n");
    trial_init(&t);
    for (int i = 0; i < 2 * (WOMEN + OLD); i++) {
        snprintf(name[i], sizeof name[i], "X%d", i);
        s[i] = (shot){.patient = crowd_name[i / 2], .study = name[i], .sop = name[i]};
        if (i % 2 == 0)
            text_addf(&csv, "%s,%d\n", crowd_name[i / 2], i % 4 == 0);
    }
    store_write(t.store, t.c, s, 2 * (WOMEN + OLD));
    labels_are(&t, csv.s);
    set(&t, "labels.label=y");
    run_it(&t); /* only to learn pseudonyms */
    for (int i = 0; i < OLD; i++)
        text_addf(&kept, "%s,test\n", row(&t, name[2 * i])->patient);
    OK(fs_write(old, kept.s, kept.len, e));
    torch_draw(&t);
    set(&t, "split.val_fraction=0.2");
    if (!run_keep(&t, old))
        fail_msg("split: %s", t.e.msg);
    for (int i = 0; i < WOMEN + OLD; i++) {
        int want = i < OLD ? COHORT_TEST : COHORT_TRAIN;
        for (size_t k = 0; k < COUNT_OF(val); k++)
            want = i == OLD + val[k] ? COHORT_VAL : want;
        assert_int_equal(row(&t, name[2 * i])->fold, want);
        assert_int_equal(row(&t, name[2 * i + 1])->fold, want);
    }
    mem_free(old);
    text_release(&csv);
    text_release(&kept);
    trial_free(&t);
}

static void test_published_draw_refuses(void **state)
{
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, crowd, 8);
    labels_are(&t, crowd_labels.s);
    set(&t, "split.draw=torch");
    fails(&t, ERR_CONFIG, "it wants split.val natural");
    set(&t, "split.val=natural");
    fails(&t, ERR_CONFIG, "it wants an empty split.strata");
    torch_draw(&t);
    set(&t, "split.test_fraction=0.2");
    fails(&t, ERR_CONFIG, "it wants split.test_fraction 0");
    set(&t, "split.test_fraction=0");
    set(&t, "split.val_natural_fraction=0.1");
    fails(&t, ERR_CONFIG, "it wants split.val_natural_fraction 0");
    set(&t, "split.mode=kfold");
    fails(&t, ERR_CONFIG, "it wants another split.mode");
    trial_free(&t);
}

static int setup(void **state)
{
    (void)state;
    return trial_setup("split_folds");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folds),
        cmocka_unit_test(test_strata),
        cmocka_unit_test(test_natural_too),
        cmocka_unit_test(test_matched),
        cmocka_unit_test(test_match_relaxed),
        cmocka_unit_test(test_largest_first),
        cmocka_unit_test(test_published_draw),
        cmocka_unit_test(test_published_draw_of_persons),
        cmocka_unit_test(test_published_draw_refuses),
    };
    return cmocka_run_group_tests(tests, setup, trial_teardown);
}
