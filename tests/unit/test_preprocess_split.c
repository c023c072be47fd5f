/* split on hand-worked cases: clinical windows, horizons, joins, copies, duplicate and missing
 * views, identities, folds, --keep, books, and what may not leave the hospital. */
#include "tests/unit/store.h"

#include <math.h>

static char dir[64];

/* One run of split in the store of this test program. */
typedef struct trial {
    cfg *c;
    char *store, *labels, *out, *split_csv, *excluded;
    cohort got;
    split_result result;
    err e;
} trial;

static void trial_init(trial *t)
{
    memset(t, 0, sizeof *t);
    t->c = store_config();
    t->store = fs_join(dir, "store");
    t->labels = fs_join(dir, "labels.csv");
    t->out = fs_join(dir, "COHORT.h5");
    t->split_csv = fs_join(dir, "split.csv");
    t->excluded = fs_join(dir, "split_exclusions.csv");
    cohort_init(&t->got);
    OK(cfg_set(t->c, "split.test_fraction=0", e));
    OK(cfg_set(t->c, "split.val_fraction=0", e));
}

static void trial_free(trial *t)
{
    cohort_release(&t->got);
    cfg_free(t->c);
    mem_free(t->store);
    mem_free(t->labels);
    mem_free(t->out);
    mem_free(t->split_csv);
    mem_free(t->excluded);
}

static void set(trial *t, const char *key_value)
{
    OK(cfg_set(t->c, key_value, e));
}

static void labels_are(trial *t, const char *csv)
{
    OK(fs_write(t->labels, csv, strlen(csv), e));
}

static bool run_keep(trial *t, const char *keep)
{
    split_opts o = {.store = t->store,
                    .labels_csv = t->labels,
                    .out = t->out,
                    .keep = keep,
                    .config = t->c,
                    .threads = 1,
                    .force = true};
    cohort_release(&t->got);
    memset(&t->e, 0, sizeof t->e);
    if (!split_run(&o, &t->result, &t->e))
        return false;
    OK(cohort_read(&t->got, t->out, e));
    OK(cohort_check(&t->got, true, e));
    return true;
}

static void run_it(trial *t)
{
    if (!run_keep(t, NULL))
        fail_msg("split: %s", t->e.msg);
}

static void fails(trial *t, err_code code, const char *words)
{
    if (run_keep(t, NULL))
        fail_msg("split did not fail; wanted '%s'", words);
    assert_int_equal(t->e.code, code);
    if (!strstr(t->e.msg, words))
        fail_msg("message '%s' lacks '%s'", t->e.msg, words);
}

/* Why an image was left out; "" = it is in the cohort, "?" = nothing is known of it. */
static const char *fate(trial *t, const char *sop)
{
    static char why[40];
    char image[33];
    csv_reader *r;
    int col, reason_col, found = 0;
    store_image(t->store, sop, image);
    OK((r = csv_open(t->excluded, e)));
    OK(csv_require(r, "image_id", &col, e));
    OK(csv_require(r, "reason", &reason_col, e));
    while (csv_next(r, NULL) > 0)
        if (!strcmp(csv_field(r, col), image)) {
            snprintf(why, sizeof why, "%s", csv_field(r, reason_col));
            found++;
        }
    csv_close(r);
    const cohort_row *in = store_find(t->store, &t->got, sop);
    if (found + (in != NULL) != 1)
        return "?";
    return in ? "" : why;
}

static const cohort_row *row(trial *t, const char *sop)
{
    const cohort_row *r = store_find(t->store, &t->got, sop);
    if (!r)
        fail_msg("image %s is not in the cohort: %s", sop, fate(t, sop));
    return r;
}

/* ---- clinical windows ------------------------------------------------------------------------ */

/* The exams of woman D lie 61, 60, 59 and 0 days before her diagnosis on 2015-06-01, and one day
 * after it. F is a control to keep a training set. */
static const shot window_shots[] = {
    {.patient = "D", .study = "d61", .sop = "d61", .day = "2015-04-01"},
    {.patient = "D", .study = "d60", .sop = "d60", .day = "2015-04-02"},
    {.patient = "D", .study = "d59", .sop = "d59", .day = "2015-04-03"},
    {.patient = "D", .study = "d0", .sop = "d0", .day = "2015-06-01"},
    {.patient = "D", .study = "d-1", .sop = "d-1", .day = "2015-06-02"},
    {.patient = "F", .study = "f", .sop = "f", .day = "2010-01-01"},
};
static const char window_labels[] = "patient_id,diagnosis_date,last_negative_date\n"
                                    "D,2015-06-01,\n"
                                    "F,,2018-01-01\n";

static void test_detection_window(void **state)
{
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, window_shots, COUNT_OF(window_shots));
    labels_are(&t, window_labels);
    run_it(&t);
    assert_string_equal(fate(&t, "d61"), "");
    assert_string_equal(fate(&t, "d60"), "WITHIN_DETECTION");
    assert_string_equal(fate(&t, "d59"), "WITHIN_DETECTION");
    assert_string_equal(fate(&t, "d0"), "WITHIN_DETECTION");
    assert_string_equal(fate(&t, "d-1"), "PRIOR_CANCER");
    assert_int_equal(row(&t, "d61")->y[0], 1);
    assert_int_equal(row(&t, "d61")->days_to_cancer, 61);
    assert_int_equal(row(&t, "d61")->days_to_last_negative, -1);
    assert_int_equal(row(&t, "f")->y[0], 0);
    assert_int_equal(row(&t, "f")->days_to_cancer, -1);
    assert_int_equal(row(&t, "f")->days_to_last_negative, 2922);
    set(&t, "clinical.detection_inclusive=false");
    run_it(&t);
    assert_string_equal(fate(&t, "d60"), "");
    assert_string_equal(fate(&t, "d59"), "WITHIN_DETECTION");
    set(&t, "clinical.detection_days=59");
    run_it(&t);
    assert_string_equal(fate(&t, "d59"), "");
    set(&t, "clinical.prior_cancer=keep");
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date\n"
                   "D,2015-06-01,2018-01-01\nF,,2018-01-01\n");
    run_it(&t);
    assert_int_equal(row(&t, "d-1")->y[0], 0); /* free of a new one for more than two years */
    assert_int_equal(row(&t, "d-1")->days_to_cancer, -1);
    trial_free(&t);
}

static void test_prior_column(void **state)
{
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, window_shots, COUNT_OF(window_shots));
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date,prior_cancer_date\n"
                   "D,2015-06-01,,2015-04-02\nF,,2018-01-01,NA\n");
    set(&t, "clinical.detection_days=0");
    set(&t, "clinical.detection_inclusive=false");
    run_it(&t);
    assert_string_equal(fate(&t, "d61"), "");
    assert_string_equal(fate(&t, "d60"), ""); /* on the day itself it is not earlier */
    assert_string_equal(fate(&t, "d59"), "PRIOR_CANCER");
    trial_free(&t);
}

/* Follow-up and horizons; the exams are on 2015-06-01. 2017-05-31 is day 730. */
static void test_followup(void **state)
{
    static const shot s[] = {
        {.patient = "C729", .sop = "c729"}, {.patient = "C730", .sop = "c730"},
        {.patient = "C0", .sop = "c0"},     {.patient = "P730", .sop = "p730"},
        {.patient = "P731", .sop = "p731"},
    };
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date\n"
                   "C729,,2017-05-30\nC730,,2017-05-31\nC0,,\n"
                   "P730,2017-05-31,\nP731,2017-06-01,\n");
    run_it(&t);
    assert_string_equal(fate(&t, "c729"), "SHORT_FOLLOWUP");
    assert_string_equal(fate(&t, "c0"), "SHORT_FOLLOWUP");
    assert_int_equal(row(&t, "c730")->y[0], 0);
    assert_int_equal(row(&t, "p730")->y[0], 1);
    assert_int_equal(row(&t, "p731")->y[0], 0);
    assert_int_equal(t.result.images, 3);
    assert_int_equal(t.result.positives, 1);
    set(&t, "clinical.followup_days=731"); /* a case proves its own follow-up */
    run_it(&t);
    assert_string_equal(fate(&t, "c730"), "SHORT_FOLLOWUP");
    assert_int_equal(row(&t, "p731")->y[0], 0);
    trial_free(&t);
}

static void expect_y(trial *t, const char *sop, int a, int b, int c)
{
    const cohort_row *r = row(t, sop);
    assert_int_equal(r->y[0], a);
    assert_int_equal(r->y[1], b);
    assert_int_equal(r->y[2], c);
}

static void test_horizons(void **state)
{
    static const shot s[] = {
        {.patient = "C400", .sop = "c400"},
        {.patient = "C800", .sop = "c800"},
        {.patient = "P500", .sop = "p500"},
        {.patient = "P1800", .sop = "p1800"},
    };
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date\n"
                   "C400,,2016-07-05\nC800,,2017-08-09\nP500,2016-10-13,\nP1800,2020-05-05,\n");
    set(&t, "labels.horizons=[1, 2, 5]");
    run_it(&t);
    assert_int_equal(t.got.n_horizons, 3);
    assert_string_equal(fate(&t, "c400"), "SHORT_FOLLOWUP");
    expect_y(&t, "c800", 0, 0, -1);
    expect_y(&t, "p500", 0, 1, 1);
    expect_y(&t, "p1800", 0, 0, 1);
    assert_int_equal(row(&t, "p500")->days_to_cancer, 500);
    set(&t, "clinical.followup_days=0");
    run_it(&t);
    expect_y(&t, "c400", 0, -1, -1);
    set(&t, "labels.horizons=[2, 2]");
    fails(&t, ERR_CONFIG, "labels.horizons must increase");
    set(&t, "labels.horizons=[1,2,3,4,5,6,7,8,9]");
    fails(&t, ERR_CONFIG, "labels.horizons wants 1 to 8 values, found 9");
    trial_free(&t);
}

static void test_breast_level(void **state)
{
    static const shot s[] = {
        {.patient = "LEFT", .sop = "ll", .side = 'L'},
        {.patient = "LEFT", .sop = "lr", .side = 'R'},
        {.patient = "BOTH", .sop = "bl", .side = 'L'},
        {.patient = "BOTH", .sop = "br", .side = 'R'},
        {.patient = "NOSIDE", .sop = "nl", .side = 'L'},
        {.patient = "CTRL", .sop = "cl", .side = 'L'},
        {.patient = "ODD", .sop = "ol", .side = 'L'},
    };
    static const char csv[] = "patient_id;diagnosis_date;last_negative_date;cancer_laterality\n"
                              "LEFT;2016-01-01;;left\nBOTH;2016-01-01;;B\nNOSIDE;2016-01-01;;\n"
                              "CTRL;;20190101;\nODD;;20180101;R\n";
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, csv);
    set(&t, "labels.horizons=[2, 5]");
    run_it(&t);
    assert_int_equal(row(&t, "lr")->y[0], 1); /* exam level */
    assert_int_equal(row(&t, "nl")->y[0], 1);
    set(&t, "labels.level=breast");
    run_it(&t);
    assert_int_equal(row(&t, "ll")->y[0], 1);
    assert_int_equal(row(&t, "lr")->y[0], 0);
    assert_int_equal(row(&t, "lr")->y[1], 0);
    assert_int_equal(row(&t, "bl")->y[0], 1);
    assert_int_equal(row(&t, "br")->y[0], 1);
    assert_int_equal(row(&t, "cl")->y[0], 0);
    assert_int_equal(row(&t, "cl")->y[1], -1);
    assert_int_equal(row(&t, "ol")->y[1], -1); /* a side without a cancer changes nothing */
    assert_string_equal(fate(&t, "nl"), "NO_LABEL");
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date\nLEFT,2016-01-01,\n");
    fails(&t, ERR_INPUT, "labels.level is breast, but column 'cancer_laterality' is missing");
    trial_free(&t);
}

static void test_ready_class(void **state)
{
    static const shot s[] = {
        {.patient = "P", .sop = "p"},
        {.patient = "N", .sop = "n"},
        {.patient = "E", .sop = "e"},
        {.patient = "S", .sop = "s"},
        {.patient = "U", .sop = "u", .day = ""},
    };
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,x_case\nP,1\nN,0\nE,\nS,1\nU,0\n");
    set(&t, "labels.label=x_case");
    run_it(&t);
    assert_int_equal(row(&t, "p")->y[0], 1);
    assert_int_equal(row(&t, "n")->y[0], 0);
    assert_int_equal(row(&t, "u")->y[0], 0);
    assert_string_equal(fate(&t, "e"), "NO_LABEL");
    /* where dates are given as well, their windows hold */
    labels_are(&t,
               "patient_id,x_case,diagnosis_date\nP,1,2016-05-01\nN,0,\nS,1,2015-06-20\nU,0,\n");
    run_it(&t);
    assert_string_equal(fate(&t, "s"), "WITHIN_DETECTION");
    assert_int_equal(row(&t, "p")->y[0], 1);
    labels_are(&t, "patient_id,x_case\nP,2\n");
    fails(&t, ERR_INPUT, "line 2: column 'x_case' wants 0 or 1");
    set(&t, "labels.label=");
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date\nU,,2019-01-01\nN,,2019-01-01\n");
    run_it(&t);
    assert_string_equal(fate(&t, "u"), "NO_DATE");
    trial_free(&t);
}

/* ---- joins and contradictions ---------------------------------------------------------------- */

static const shot join_shots[] = {
    {.patient = "A", .study = "a1", .sop = "1.1", .accession = "acc1", .path = "x/one.dcm"},
    {.patient = "A", .study = "a2", .sop = "1.2", .accession = "acc2", .path = "x/two.dcm"},
    {.patient = "B", .study = "b1", .sop = "2.1", .accession = "acc3", .path = "y/three.dcm"},
    {.patient = "B",
     .study = "b1",
     .sop = "2.2",
     .accession = "acc4",
     .path = "y/four.dcm",
     .side = 'R'},
};

static void test_joins(void **state)
{
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, join_shots, COUNT_OF(join_shots));
    labels_are(&t, "acc;diagnosis_date;last_negative_date\n"
                   "acc1;2016-01-01;\nacc3;;2018-01-01\nacc4;;2018-01-01\n");
    set(&t, "labels.key=acc");
    set(&t, "labels.id=accession");
    run_it(&t);
    assert_int_equal(row(&t, "1.1")->y[0], 1);
    assert_string_equal(fate(&t, "1.2"), "NO_LABEL");
    assert_int_equal(row(&t, "2.1")->y[0], 0);
    /* two labels for one exam */
    labels_are(&t, "acc;diagnosis_date;last_negative_date\n"
                   "acc1;2016-01-01;\nacc3;;2018-01-01\nacc4;2016-02-01;\n");
    run_it(&t);
    assert_string_equal(fate(&t, "2.1"), "LABEL_CONFLICT");
    assert_string_equal(fate(&t, "2.2"), "LABEL_CONFLICT");
    labels_are(&t, "acc;diagnosis_date;last_negative_date\n1.1;2016-01-01;\n2.2;;2018-01-01\n");
    set(&t, "labels.id=sop");
    run_it(&t);
    assert_int_equal(row(&t, "1.1")->y[0], 1);
    assert_int_equal(row(&t, "2.2")->y[0], 0);
    assert_string_equal(fate(&t, "2.1"), "NO_LABEL");
    labels_are(&t, "acc;diagnosis_date;last_negative_date\ntwo.dcm;2016-01-01;\n"
                   "four.dcm;;2018-01-01\n");
    set(&t, "labels.id=file");
    run_it(&t);
    assert_int_equal(row(&t, "1.2")->y[0], 1);
    assert_int_equal(row(&t, "2.2")->y[0], 0);
    set(&t, "labels.id=name");
    fails(&t, ERR_CONFIG, "labels.id is 'name'; wanted patient, accession, sop, file or map:FILE");
    set(&t, "labels.id=patient");
    fails(&t, ERR_INPUT, "no training image is left");
    trial_free(&t);
}

static void test_map(void **state)
{
    static const shot s[] = {{.patient = "A", .study = "a", .sop = "a"},
                             {.patient = "B", .study = "b", .sop = "b"},
                             {.patient = "C", .study = "c", .sop = "c"},
                             {.patient = "D", .study = "d", .sop = "d"}};
    trial t;
    char *map = fs_join(dir, "map.csv"), key[300];
    static const char pairs[] = "patient_id,key\nA,woman1\nB,woman1\nC,woman2\n";
    trial_init(&t);
    OK(fs_write(map, pairs, strlen(pairs), e));
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "k,diagnosis_date,last_negative_date\nwoman1,2016-01-01,\nwoman2,,2019-01-01\n"
                   "D,,2019-01-01\n");
    snprintf(key, sizeof key, "labels.id=map:%s", map);
    set(&t, key);
    set(&t, "labels.key=k");
    run_it(&t);
    assert_int_equal(row(&t, "a")->y[0], 1);
    assert_int_equal(row(&t, "b")->y[0], 1);
    assert_int_equal(row(&t, "c")->y[0], 0);
    assert_string_equal(fate(&t, "d"), "NO_LABEL");                    /* not in the map */
    assert_string_equal(row(&t, "a")->patient, row(&t, "b")->patient); /* one woman */
    assert_int_equal(t.result.patients, 2);
    static const char twice[] = "patient_id,key\nA,woman1\nA,woman2\n";
    OK(fs_write(map, twice, strlen(twice), e));
    fails(&t, ERR_INPUT, "one patient_id is mapped to two keys");
    assert_null(strstr(t.e.msg, "woman"));
    mem_free(map);
    trial_free(&t);
}

static void test_conflict(void **state)
{
    static const shot s[] = {{.patient = "A", .sop = "a"},
                             {.patient = "B", .sop = "b"},
                             /* one woman under two numbers, joined by her pixels */
                             {.patient = "X", .study = "x", .sop = "x", .pixels = 7},
                             {.patient = "Y", .study = "y", .sop = "y", .pixels = 7},
                             {.patient = "Y", .study = "y2", .sop = "y2"}};
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date\n"
                   "A,2016-01-01,\nB,,2018-01-01\nA,2016-01-02,\nB,,2018-01-01\n"
                   "X,,2018-01-01\nY,2016-01-01,\n");
    run_it(&t);
    assert_string_equal(fate(&t, "a"), "LABEL_CONFLICT");
    assert_int_equal(row(&t, "b")->y[0], 0); /* the same said twice */
    assert_true(!strcmp(fate(&t, "x"), "LABEL_CONFLICT") || !strcmp(fate(&t, "x"), "DUP_PIXEL"));
    assert_true(!strcmp(fate(&t, "y"), "LABEL_CONFLICT") || !strcmp(fate(&t, "y"), "DUP_PIXEL"));
    assert_string_equal(fate(&t, "y2"), "LABEL_CONFLICT");
    trial_free(&t);
}

/* ---- copies, views, exams -------------------------------------------------------------------- */

static void test_copies(void **state)
{
    static const shot s[] = {
        {.patient = "A", .sop = "a1", .path = "1.dcm"},
        {.patient = "A", .sop = "a1", .path = "2.dcm"},          /* the same image again */
        {.patient = "A", .sop = "a2", .side = 'R', .pixels = 9}, /* the same pixels twice */
        {.patient = "A", .sop = "a3", .view = "MLO", .pixels = 9},
        {.patient = "B", .sop = "b1", .breast = 90},
        {.patient = "B", .sop = "b2", .breast = 120}, /* the best of the three */
        {.patient = "B", .sop = "b3", .breast = 200, .modifiers = MODIFIER_OTHER},
    };
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date\nA,,2018-01-01\nB,,2018-01-01\n");
    run_it(&t);
    assert_int_equal(t.got.n, 3);
    assert_non_null(store_find(t.store, &t.got, "a1"));
    assert_string_equal(fate(&t, "a2"), "DUP_PIXEL"); /* L before R in the catalogue's order */
    assert_string_equal(fate(&t, "a3"), "");
    assert_string_equal(fate(&t, "b1"), "DUP_VIEW");
    assert_string_equal(fate(&t, "b2"), "");
    assert_string_equal(fate(&t, "b3"), "DUP_VIEW");
    set(&t, "exam.duplicate_view=keep");
    run_it(&t);
    assert_string_equal(fate(&t, "b1"), "");
    assert_string_equal(fate(&t, "b3"), "");
    trial_free(&t);
    assert_true(split_better(&(split_choice){0, 5, "a"}, &(split_choice){0, 5, "b"}) < 0);
    assert_true(split_better(&(split_choice){0, 5, "b"}, &(split_choice){0, 6, "a"}) > 0);
}

static void test_complete_exams(void **state)
{
    static const shot s[] = {
        {.patient = "A", .sop = "a1", .side = 'L', .view = "CC"},
        {.patient = "A", .sop = "a2", .side = 'L', .view = "MLO"},
        {.patient = "A", .sop = "a3", .side = 'R', .view = "CC"},
        {.patient = "A", .sop = "a4", .side = 'R', .view = "MLO"},
        {.patient = "B", .sop = "b1", .side = 'L', .view = "CC"},
        {.patient = "B", .sop = "b2", .side = 'L', .view = "MLO"},
        {.patient = "B", .sop = "b3", .side = 'R', .view = "CC"},
        {.patient = "C", .sop = "c1", .side = 'L', .view = "CC"},
        {.patient = "C", .sop = "c2", .side = 'L', .view = "CC"},
        {.patient = "C", .sop = "c3", .side = 'L', .view = "MLO"},
        {.patient = "C", .sop = "c4", .side = 'R', .view = "CC"},
        {.patient = "E", .sop = "e1", .side = 'L', .view = "ML"},
    };
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date\nA,,2018-01-01\nB,,2018-01-01\n"
                   "C,,2018-01-01\nE,,2018-01-01\n");
    set(&t, "exam.duplicate_view=keep");
    run_it(&t);
    assert_int_equal(t.got.n, 12);
    assert_int_equal(row(&t, "a2")->view, 'M');
    assert_int_equal(row(&t, "e1")->view, 0); /* neither CC nor MLO is claimed */
    set(&t, "exam.require=four_views");
    run_it(&t);
    assert_int_equal(t.got.n, 4);
    assert_string_equal(fate(&t, "b1"), "INCOMPLETE_EXAM");
    assert_string_equal(fate(&t, "c1"), "INCOMPLETE_EXAM");
    set(&t, "exam.require=exactly4");
    run_it(&t);
    assert_int_equal(t.got.n, 8);
    assert_string_equal(fate(&t, "c1"), "");
    trial_free(&t);
}

static void test_filters(void **state)
{
    static const shot s[] = {
        {.patient = "A", .sop = "a", .vendor = "GE"},
        {.patient = "B", .sop = "b", .age = 39},
        {.patient = "C", .sop = "c", .age = 40},
        {.patient = "D", .sop = "d", .age = 96},
        {.patient = "E", .sop = "e", .sex = 'M'},
        {.patient = "F", .sop = "f", .age = -1},
        {.patient = "G", .sop = "g", .primary = REASON_IMPLANT},
        {.patient = "H", .sop = "h", .scanned = REASON_IO_TRUNCATED},
    };
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date\nA,,2018-01-01\nB,,2018-01-01\n"
                   "C,,2018-01-01\nD,,2018-01-01\nE,,2018-01-01\nF,,2018-01-01\n");
    set(&t, "clinical.age_min=40");
    set(&t, "clinical.require_female=true");
    set(&t, "split.vendors=[hologic]");
    run_it(&t);
    assert_string_equal(fate(&t, "a"), "VENDOR_FILTER");
    assert_string_equal(fate(&t, "b"), "AGE_RANGE");
    assert_string_equal(fate(&t, "c"), "");
    assert_string_equal(fate(&t, "e"), "NOT_FEMALE");
    assert_string_equal(fate(&t, "f"), "");
    assert_string_equal(fate(&t, "g"), "?"); /* prepare's books, not split's */
    assert_int_equal(row(&t, "d")->age, 90); /* pooled before it leaves the hospital */
    assert_int_equal(row(&t, "f")->age, -1);
    trial_free(&t);
}

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

/* ---- identities and folds -------------------------------------------------------------------- */

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

/* Many women: number i has cancer when i % 5 == 0; three vendors; one exam of one image each. */
enum { CROWD = 240 };
static shot crowd[CROWD];
static char crowd_name[CROWD][8];
static text crowd_labels;

static void make_crowd(void)
{
    static const char *const vendor[] = {"GE", "HOLOGIC", "SIEMENS"};
    text_init(&crowd_labels);
    text_add(&crowd_labels, "patient_id,diagnosis_date,last_negative_date\n");
    for (int i = 0; i < CROWD; i++) {
        snprintf(crowd_name[i], sizeof crowd_name[i], "W%03d", i);
        crowd[i] = (shot){.patient = crowd_name[i],
                          .sop = crowd_name[i],
                          .study = crowd_name[i],
                          .vendor = vendor[i % 7 < 4   ? 0
                                           : i % 7 < 6 ? 1
                                                       : 2]};
        text_addf(&crowd_labels, "%s,%s\n", crowd_name[i], i % 5 ? ",2019-01-01" : "2016-06-01,");
    }
}

static void count_folds(const cohort *c, int n[COHORT_FOLDS][2])
{
    memset(n, 0, sizeof(int) * COHORT_FOLDS * 2);
    for (int64_t i = 0; i < c->n; i++)
        n[c->row[i].fold][c->row[i].y[0]]++;
}

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

static char *slurp(const char *path)
{
    char *s;
    size_t len;
    OK(fs_read(path, 1 << 24, &s, &len, e));
    return s;
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
    assert_null(strstr(first, "W0"));   /* no identifier */
    assert_null(strstr(first, "2015")); /* no calendar */
    assert_null(strstr(first, "-06-01"));
    char *raw = slurp(t.excluded);
    assert_null(strstr(raw, "W0"));
    mem_free(raw);
    mem_free(first);
    mem_free(second);
    mem_free(third);
    trial_free(&t);
}

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

/* Every step of the books starts where the one before ended. */
static void test_flow(void **state)
{
    static const shot s[] = {
        {.patient = "A", .sop = "a"},
        {.patient = "B", .sop = "b"},
        {.patient = "C", .sop = "c", .scanned = REASON_IO_UNREADABLE},
        {.patient = "D", .sop = "d", .primary = REASON_IMPLANT},
        {.patient = "E", .sop = "e", .primary = REASON_IMPLANT},
        {.patient = "F", .sop = "f", .primary = REASON_BLANK},
    };
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,diagnosis_date,last_negative_date\nA,,2018-01-01\n");
    run_it(&t);
    json_int_t left = 6, implants = -1;
    size_t n = json_array_size(t.got.flow);
    assert_int_equal(n, 5); /* found, IO_UNREADABLE, BLANK, IMPLANT, NO_LABEL */
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
    assert_int_equal(left, t.got.n);
    assert_int_equal(left, 1);
    assert_int_equal(implants, 2);
    trial_free(&t);
}

static int setup(void **state)
{
    (void)state;
    make_crowd();
    return store_tmp("split", dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    err e = {0};
    text_release(&crowd_labels);
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detection_window),
        cmocka_unit_test(test_prior_column),
        cmocka_unit_test(test_followup),
        cmocka_unit_test(test_horizons),
        cmocka_unit_test(test_breast_level),
        cmocka_unit_test(test_ready_class),
        cmocka_unit_test(test_joins),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_conflict),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_complete_exams),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_bad_tables),
        cmocka_unit_test(test_preconditions),
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_folds),
        cmocka_unit_test(test_normalisation),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_keep),
        cmocka_unit_test(test_flow),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
