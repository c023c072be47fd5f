/* The clinical table: how it is read, what rows of one key mean, and what a lookup finds. The rules
 * built on it are in test_preprocess_split.c. */
#include "tests/unit/store.h"

static char dir[64], path[96];

static labels_cfg bind(const char *set)
{
    labels_cfg lc;
    static cfg *c; /* its texts live as long as the test */
    cfg_free(c);
    c = store_config();
    if (set)
        OK(cfg_set(c, set, e));
    cfg_bind(c, &labels_options, &lc);
    return lc;
}

static labels *read_table(const char *csv, const char *set)
{
    labels_cfg c = bind(set);
    labels *l;
    OK(fs_write(path, csv, strlen(csv), e));
    OK((l = labels_read(path, &c, e)));
    return l;
}

/* The label of an image that has `id` where the table looks for one. */
static label *find(labels *l, const char *id)
{
    catalog_row r = {.path = id};
    text_copy(r.rec.patient_id, sizeof r.rec.patient_id, id);
    return labels_find(l, &r);
}

static int64_t unmatched_rows(const labels *l)
{
    labels_matches m;
    labels_count(l, &m);
    return m.rows - m.rows_matched;
}

static void test_values(void **state)
{
    labels *l = read_table("\xef\xbb\xbfPatient_ID;diagnosis_date;last_negative_date;"
                           "prior_cancer_date;cancer_laterality\n"
                           " A ;20160229;NA;2001-12-31;Left\n\"B;1\";;2018-01-01;;BOTH\nC;;;;r\n",
                           NULL);
    label *a = find(l, "A"), *b = find(l, "B;1"), *c = find(l, "C");
    assert_true(a && b && c && !find(l, "D") && !find(l, ""));
    assert_int_equal(a->diagnosis, store_day("2016-02-29"));
    assert_int_equal(a->last_negative, INT32_MIN);
    assert_int_equal(a->prior, store_day("2001-12-31"));
    assert_int_equal(a->side, 'L');
    assert_int_equal(a->cls, -1);
    assert_int_equal(b->diagnosis, INT32_MIN);
    assert_int_equal(b->last_negative, store_day("2018-01-01"));
    assert_int_equal(b->side, 'B');
    assert_int_equal(c->side, 'R');
    assert_false(a->conflict || b->conflict || c->conflict);
    assert_int_equal(unmatched_rows(l), 0);
    labels_free(l);
    labels_free(NULL);
}

static void test_same_key(void **state)
{
    static const char *const second[] = {"A,2016-01-01,,L,",           "A,2016-01-02,,L,",
                                         "A,2016-01-01,2017-01-01,L,", "A,2016-01-01,,R,",
                                         "A,2016-01-01,,L,2000-01-01", "a,,,,"};
    static const bool conflict[] = {false, true, true, true, true, false};
    for (size_t i = 0; i < COUNT_OF(second); i++) {
        char csv[200];
        snprintf(
            csv, sizeof csv,
            "patient_id,diagnosis_date,last_negative_date,cancer_laterality,prior_cancer_date\n"
            "A,2016-01-01,,L,\nB,,,,\n%s\n",
            second[i]);
        labels *l = read_table(csv, NULL);
        assert_int_equal(find(l, "A")->conflict, conflict[i]);
        assert_false(find(l, "B")->conflict);
        assert_int_equal(unmatched_rows(l), second[i][0] == 'a');
        labels_free(l);
    }
}

static void test_kinds(void **state)
{
    static const char csv[] = "patient_id,diagnosis_date,last_negative_date\nA,,\n";
    static const char *const kind[] = {"labels.id=patient", "labels.id=accession", "labels.id=sop",
                                       "labels.id=file"};
    for (size_t i = 0; i < COUNT_OF(kind); i++) {
        labels *l = read_table(csv, kind[i]);
        catalog_row r = {.path = i == 3 ? "x/A" : "x/B"};
        text_copy(r.rec.patient_id, sizeof r.rec.patient_id, i == 0 ? "A" : "B");
        text_copy(r.rec.accession, sizeof r.rec.accession, i == 1 ? "A" : "B");
        text_copy(r.rec.sop_uid, sizeof r.rec.sop_uid, i == 2 ? "A" : "B");
        label *f = labels_find(l, &r);
        assert_non_null(f);
        assert_string_equal(f->person, i == 0 ? "A" : "");
        assert_int_equal(labels_scope_of(l), i == 0 ? LABELS_OF_PATIENT : LABELS_OF_EXAM);
        labels_free(l);
    }
    char set[160];
    static const char map[] = "patient_id,key\nraw1,A\nraw2,A\nraw3,Z\n";
    snprintf(set, sizeof set, "%s/map.csv", dir);
    OK(fs_write(set, map, strlen(map), e));
    snprintf(set, sizeof set, "labels.id=map:%s/map.csv", dir);
    labels *l = read_table(csv, set);
    assert_int_equal(labels_scope_of(l), LABELS_OF_PATIENT);
    assert_ptr_equal(find(l, "raw1"), find(l, "raw2"));
    assert_non_null(find(l, "raw1"));
    assert_null(find(l, "raw3")); /* mapped to nothing */
    assert_null(find(l, "A"));    /* the key itself is not an identifier */
    labels_free(l);
}

/* Dates are optional beside a ready class, and needed without one. */
static void test_columns(void **state)
{
    labels *l = read_table("patient_id,y\nA,1\nB,NA\n", "labels.label=y");
    assert_int_equal(find(l, "A")->cls, 1);
    assert_int_equal(find(l, "B")->cls, -1);
    assert_int_equal(find(l, "A")->diagnosis, INT32_MIN);
    labels_free(l);
    labels_cfg c = bind("labels.label=z");
    err e = {0};
    assert_null(labels_read(path, &c, &e));
    assert_non_null(strstr(e.msg, "labels 'labels.csv'"));
    assert_non_null(strstr(e.msg, "column 'z' is missing; the first line names 2 columns"));
}

/* Site, density, split and weight are there where the table has them. */
static void test_optional(void **state)
{
    labels *l =
        read_table("patient_id,diagnosis_date,last_negative_date,site,density,split,weight\n"
                   "A,,,north,2,train,2.5\nB,,,south,,dev,\n"
                   "C,,,south,3,test,1\nC,,,north,,dev,1\nD,,,,,,1\nD,,,,,,2\n",
                   NULL);
    label *a = find(l, "A"), *b = find(l, "B"), *c = find(l, "C");
    assert_true(labels_has_split(l));
    assert_string_equal(labels_word(l, a->site), "north");
    assert_string_equal(labels_word(l, a->density), "2");
    assert_string_equal(labels_word(l, a->split), "train");
    assert_true(a->weight == 2.5f && b->weight == 1);
    assert_string_equal(labels_word(l, b->density), "");
    assert_string_equal(labels_word(l, c->site), "north"); /* first in byte order */
    assert_string_equal(labels_word(l, c->density), "3");
    assert_true(c->split_conflict && !c->conflict && !a->split_conflict);
    assert_true(find(l, "D")->conflict);
    labels_free(l);
    l = read_table("patient_id,diagnosis_date,last_negative_date\nA,,\n", NULL);
    assert_false(labels_has_split(l));
    assert_string_equal(labels_word(l, find(l, "A")->site), "");
    labels_free(l);
    static const char bad[] = "patient_id,diagnosis_date,last_negative_date,weight\nA,,,0\n";
    labels_cfg lc = bind(NULL);
    err e = {0};
    OK(fs_write(path, bad, strlen(bad), e));
    assert_null(labels_read(path, &lc, &e));
    assert_non_null(strstr(e.msg, "line 2: column 'weight' wants a number above 0"));
}

static int setup(void **state)
{
    if (!store_tmp("labels", dir))
        return -1;
    snprintf(path, sizeof path, "%s/labels.csv", dir);
    return 0;
}

static int teardown(void **state)
{
    err e = {0};
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values),
                                       cmocka_unit_test(test_same_key),
                                       cmocka_unit_test(test_kinds), cmocka_unit_test(test_columns),
                                       cmocka_unit_test(test_optional)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
