/* Which images and exams split keeps: clinical windows, horizons, joins with the label table,
 * copies, duplicate and missing views, filters. */
#include "tests/unit/split_trial.h"

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
    fails(&t, ERR_INPUT, "no training image is left: 0 of");
    fails(&t, ERR_INPUT, "left out as NO_LABEL (");
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

/* The rules of preference one after the other: each pair differs in one and against the next. */
static void test_preference(void **state)
{
    static const split_choice pairs[][2] = {
        {{.modifiers = 2, .pixel_hash = "b"}, {.processing = true, .pixel_hash = "a"}},
        {{.processing = true, .synthetic = true, .pixel_hash = "b"},
         {.processing = true, .synthetic = true, .modifiers = 8, .pixel_hash = "a"}},
        {{.modifiers = 4, .pixel_hash = "b"}, {.synthetic = true, .pixel_hash = "a"}},
        {{.breast_pixels = 5, .pixel_hash = "b"},
         {.modifiers = 1, .breast_pixels = 9, .pixel_hash = "a"}},
        {{.prefer_displaced = true, .modifiers = 1, .breast_pixels = 5, .pixel_hash = "b"},
         {.prefer_displaced = true, .breast_pixels = 9, .pixel_hash = "a"}},
        {{.prefer_displaced = true, .breast_pixels = 5, .pixel_hash = "b"},
         {.prefer_displaced = true, .modifiers = 1 | 8, .breast_pixels = 9, .pixel_hash = "a"}},
        {{.breast_pixels = 6, .time = 10, .pixel_hash = "b"},
         {.breast_pixels = 5, .time = 20, .pixel_hash = "a"}},
        {{.time = 20, .pixel_hash = "b"}, {.time = 10, .pixel_hash = "a"}},
        {{.time = 0, .pixel_hash = "b"}, {.time = -1, .pixel_hash = "a"}},
        {{.pixel_hash = "a"}, {.pixel_hash = "b"}},
    };
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        if (split_better(&pairs[i][0], &pairs[i][1]) >= 0 ||
            split_better(&pairs[i][1], &pairs[i][0]) <= 0)
            fail_msg("pair %zu", i);
        assert_int_equal(split_better(&pairs[i][0], &pairs[i][0]), 0);
    }
}

/* The facts reach the rule: every exam has two images of one view. */
static void test_preferred_images(void **state)
{
    static const shot s[] = {
        {.patient = "A", .sop = "a-proc", .processing = true, .breast = 200},
        {.patient = "A", .sop = "a-pres"},
        {.patient = "B", .sop = "b-syn", .synthetic = true, .breast = 200},
        {.patient = "B", .sop = "b-full"},
        {.patient = "C", .sop = "c-id", .modifiers = MODIFIER_IMPLANT_DISPLACED},
        {.patient = "C", .sop = "c-full"},
        {.patient = "D", .sop = "d-early", .time = 36000},
        {.patient = "D", .sop = "d-late", .time = 36060},
        /* the same pixels for processing and for presentation */
        {.patient = "E", .sop = "e-1", .processing = true, .pixels = 3},
        {.patient = "E", .sop = "e-2", .pixels = 3},
    };
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,y\nA,0\nB,0\nC,0\nD,1\nE,0\n");
    set(&t, "labels.label=y");
    run_it(&t);
    assert_string_equal(fate(&t, "a-proc"), "DUP_VIEW");
    assert_string_equal(fate(&t, "b-syn"), "DUP_VIEW");
    assert_string_equal(fate(&t, "c-id"), "DUP_VIEW");
    assert_string_equal(fate(&t, "d-early"), "DUP_VIEW");
    assert_string_equal(fate(&t, "e-1"), "DUP_PIXEL");
    assert_int_equal(t.got.n, 5);
    set(&t, "exam.implant_displaced=prefer");
    run_it(&t);
    assert_string_equal(fate(&t, "c-full"), "DUP_VIEW");
    assert_string_equal(fate(&t, "c-id"), "");
    trial_free(&t);
}

/* Days that cannot be: an exam or an outcome after the end of the data, an exam after the last day
 * of follow-up. Without an end any day may be true. */
static void test_impossible_days(void **state)
{
    static const shot s[] = {
        {.patient = "A", .study = "a", .sop = "a-last", .day = "2020-06-30"},
        {.patient = "A", .study = "a2", .sop = "a-future", .day = "2020-07-01"},
        {.patient = "B", .sop = "b"}, /* diagnosed in the future */
        {.patient = "C", .sop = "c"}, /* followed into the future */
        {.patient = "D", .sop = "d"},
        {.patient = "E", .study = "e", .sop = "e-after", .day = "2019-01-02"},
    };
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,y,diagnosis_date,last_negative_date\nA,0,,2020-06-30\n"
                   "B,1,2020-07-01,\nC,0,,2099-01-01\nD,0,,2019-01-01\nE,0,,2019-01-01\n");
    set(&t, "labels.label=y");
    run_it(&t);
    assert_int_equal(t.got.n, 6);
    assert_int_equal(row(&t, "e-after")->days_to_last_negative, -1); /* never below 0 */
    set(&t, "clinical.end_of_data=2020-06-30");
    run_it(&t);
    assert_string_equal(fate(&t, "a-last"), "");
    assert_string_equal(fate(&t, "a-future"), "NO_DATE");
    assert_string_equal(fate(&t, "b"), "LABEL_CONFLICT");
    assert_string_equal(fate(&t, "c"), "LABEL_CONFLICT");
    assert_string_equal(fate(&t, "d"), "");
    set(&t, "labels.label=");
    run_it(&t);
    assert_string_equal(fate(&t, "e-after"), "SHORT_FOLLOWUP");
    set(&t, "clinical.end_of_data=soon");
    fails(&t, ERR_CONFIG, "clinical.end_of_data: no date");
    trial_free(&t);
}

/* 120 images of GE and 99 of HOLOGIC: the noisy ones of GE are noisier than 0.95 of their kind,
 * those of HOLOGIC have too few to be measured against. */
static void test_noise(void **state)
{
    static shot s[CROWD];
    text csv;
    trial t;
    int ge = 0, n = 0;
    text_init(&csv);
    text_add(&csv, "patient_id,y\n");
    for (int i = 0; i < 219; i++) {
        s[i] = crowd[i];
        s[i].vendor = i < 120 ? "GE" : "HOLOGIC";
        s[i].noise = (float)(i % 120) / 1000 + (i < 120 ? 0.01f : 0.5f);
        text_addf(&csv, "%s,%d\n", crowd_name[i], i % 2);
    }
    s[118].noise = s[113].noise; /* as noisy as the quantile is not noisier */
    trial_init(&t);
    store_write(t.store, t.c, s, 219);
    labels_are(&t, csv.s);
    set(&t, "labels.label=y");
    run_it(&t);
    assert_int_equal(t.got.n, 219); /* off by default */
    set(&t, "split.noise_quantile=0.95");
    run_it(&t);
    for (int i = 0; i < 219; i++) {
        bool out = !strcmp(fate(&t, s[i].sop), "NOISE");
        ge += out && i < 120;
        n += out;
    }
    assert_int_equal(ge, 5); /* 114 to 117, and 119 */
    assert_int_equal(n, 5);
    assert_string_equal(fate(&t, s[119].sop), "NOISE");
    assert_string_equal(fate(&t, s[113].sop), "");
    text_release(&csv);
    trial_free(&t);
}

static void test_weights(void **state)
{
    static const shot s[] = {{.patient = "A", .sop = "a"}, {.patient = "B", .sop = "b"}};
    trial t;
    trial_init(&t);
    store_write(t.store, t.c, s, COUNT_OF(s));
    labels_are(&t, "patient_id,y,weight\nA,0,7.25\nB,1,\n");
    set(&t, "labels.label=y");
    run_it(&t);
    assert_true(row(&t, "a")->weight == 7.25f);
    assert_true(row(&t, "b")->weight == 1);
    trial_free(&t);
}

static int setup(void **state)
{
    (void)state;
    return trial_setup("split_judge");
}

int main(void)
{
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
        cmocka_unit_test(test_preference),
        cmocka_unit_test(test_preferred_images),
        cmocka_unit_test(test_impossible_days),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_weights),
    };
    return cmocka_run_group_tests(tests, setup, trial_teardown);
}
