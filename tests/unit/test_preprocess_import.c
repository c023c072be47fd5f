/* Mappings: how a mapping is checked, what the shipped ones make of tables with the published
 * headers (and of the real tables, where DATA names them), joins, levels, flags, and what is said
 * of rows and images without a partner. */
#include "tests/unit/store.h"

#include "preprocess/mapping.h"

#include <dirent.h>

static char dir[64];

typedef struct world {
    cfg *c;
    labels *l;
    err e;
} world;

static char *put(const char *name, const char *content)
{
    char *path = fs_join(dir, name);
    OK(fs_write(path, content, strlen(content), e));
    return path;
}

static void world_free(world *w)
{
    labels_free(w->l);
    cfg_free(w->c);
}

static bool read_files(world *w, const char *mapping, const char *set, const char *first,
                       const char *second)
{
    char key[300];
    labels_cfg lc;
    memset(w, 0, sizeof *w);
    w->c = store_config();
    snprintf(key, sizeof key, "labels.mapping=%s", mapping);
    OK(cfg_set(w->c, key, e));
    if (set)
        OK(cfg_set(w->c, set, e));
    if (second) {
        snprintf(key, sizeof key, "labels.tables=[%s]", second);
        OK(cfg_set(w->c, key, e));
    }
    cfg_bind(w->c, &labels_options, &lc);
    w->l = labels_read(first, &lc, &w->e);
    return w->l != NULL;
}

static bool read_tables(world *w, const char *mapping, const char *set, const char *csv,
                        const char *second)
{
    char *a = put("a.csv", csv), *b = second ? put("b.csv", second) : NULL;
    bool ok = read_files(w, mapping, set, a, b);
    mem_free(a);
    mem_free(b);
    return ok;
}

static void tables(world *w, const char *mapping, const char *set, const char *csv,
                   const char *second)
{
    if (!read_tables(w, mapping, set, csv, second))
        fail_msg("%s", w->e.msg);
}

/* An image that only its path, patient, side and view are known of. */
static label *image(world *w, const char *path, const char *patient, char side)
{
    catalog_row r = {.path = path};
    text_copy(r.rec.patient_id, sizeof r.rec.patient_id, patient);
    text_copy(r.patient, sizeof r.patient, patient);
    r.rec.side = side;
    return labels_find(w->l, &r);
}

static label *accession(world *w, const char *path, const char *acc, char side)
{
    catalog_row r = {.path = path};
    text_copy(r.rec.accession, sizeof r.rec.accession, acc);
    r.rec.side = side;
    return labels_find(w->l, &r);
}

static labels_matches matches(const world *w)
{
    labels_matches m;
    labels_count(w->l, &m);
    return m;
}

static void says(world *w, const char *words)
{
    if (w->l)
        fail_msg("no error; wanted '%s'", words);
    if (!strstr(w->e.msg, words))
        fail_msg("message '%s' lacks '%s'", w->e.msg, words);
    world_free(w);
}

/* ---- the format ------------------------------------------------------------------------------ */

static void refused(const char *yaml, const char *words)
{
    err e = {0};
    mapping *m = mapping_parse(yaml, strlen(yaml), "my.yaml", &e);
    if (m)
        fail_msg("accepted; wanted '%s'", words);
    assert_int_equal(e.code, ERR_CONFIG);
    if (!strstr(e.msg, words))
        fail_msg("message '%s' lacks '%s'", e.msg, words);
}

#define TOP "tables:\n  t:\n    join: patient\n    patient: id\n"

static void test_format(void **state)
{
    refused("tabels:\n  t: 1\n",
            "my.yaml:2: unknown key 'tabels'; the nearest known one is 'tables'");
    refused("outcome: time\n", "unknown word 'time'; the nearest known one is 'times'");
    refused(TOP "    cancr: y\n",
            "my.yaml:5: unknown field or key 'cancr'; the nearest known one is "
            "'cancer'");
    refused(TOP "    cancer:\n      colum: y\n", "unknown key 'colum'; the nearest known one is "
                                                 "'column'");
    refused(TOP "    cancer:\n      level: breasts\n", "the nearest known one is 'breast'");
    refused(TOP "    cancer: y\n    cancer: z\n", "the key is there twice");
    refused(TOP "    flags:\n      IMPLNT: y\n",
            "unknown reason code 'IMPLNT'; the nearest known one "
            "is 'IMPLANT'");
    refused(TOP "    flags:\n      IMPLANT: y\n", "'is' is missing: the words that mean IMPLANT");
    refused(TOP "    cancer:\n      level: exam\n", "a column or a text is wanted for cancer");
    refused(TOP "    cancer:\n      column: y\n      level: breast\n",
            "table 't': too few keys for the level of cancer");
    refused(TOP "    cancer:\n      column: y\n      values:\n        A: 1\n        a: 0\n",
            "the word is there twice");
    refused("tables:\n  t:\n    patient: id\n", "'join' is missing");
    refused("tables:\n  t:\n    join: exam\n    patient: p\n    exam: id\n",
            "images do not hold exam");
    refused("tables:\n  t:\n    join: [path, side]\n    path: p\n    side: s\n",
            "joined by path or folder alone");
    refused("tables:\n  t:\n    join: patient\n", "no column is named for the key patient");
    refused("about: nothing\n", "'tables' is missing");
    refused("tables: [1, 2]\n", "indented keys are wanted");
    refused("tables:\n  t:\n    part: 0\n", "unknown field or key 'part'");
    refused(TOP "    cancer:\n      column: y\n      part: 0\n", "a number of -64..64 but 0");
    err e = {0};
    assert_null(mapping_load("csaw_c", &e));
    assert_non_null(strstr(e.msg, "nor one of configs/import; the nearest known one is 'csaw_cc'"));
    assert_null(mapping_load("no/such.yaml", &e));
}

static void test_shipped_mappings_are_whole(void **state)
{
    int n = 0;
    DIR *d = opendir("configs/import");
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d));) {
        char name[64];
        size_t k = strlen(f->d_name);
        if (k < 6 || strcmp(f->d_name + k - 5, ".yaml"))
            continue;
        text_copy(name, k - 4, f->d_name);
        mapping *m;
        OK((m = mapping_load(name, e)));
        assert_true(m->n_tables >= 1 && m->n_slots >= 1 && m->about[0]);
        mapping_free(m);
        n++;
    }
    closedir(d);
    assert_int_equal(n, 12);
}

/* ---- CSAW-CC --------------------------------------------------------------------------------- */

#define CSAW_HEADER                                                                                \
    "anon_patientid,exam_year,x_age,x_case,x_cancer_laterality,x_type,x_lymphnode_met,rad_timing," \
    "rad_r1,rad_r2,rad_recall,rad_recall_type_right,rad_recall_type_left,imagelaterality,"         \
    "viewposition,libra_breastarea,libra_densearea,libra_percentdensity,anon_filename\n"
#define CSAW_ROW(who, year, age, is_case, side, timing, image, view, file)                         \
    who "," year "," age "," is_case "," side ",,," timing ",,,,,," image "," view                 \
        ",1.5,0.2,13," file "\n"

static const char csaw[] = CSAW_HEADER
    /* a case: exams of three classes of time, one without, both sides of the first */
    CSAW_ROW("00007", "2009", "1", "1", "Left", "3", "Left", "CC", "00007_20990909_L_CC_1.dcm")
        CSAW_ROW("00007", "2009", "1", "1", "Left", "3", "Right", "CC", "00007_20990909_R_CC_2.dcm")
            CSAW_ROW("00007", "2011", "1", "1", "Left", "2", "Left", "CC",
                     "00007_20990909_L_CC_3.dcm")
                CSAW_ROW("00007", "2011", "1", "1", "Left", "2", "Right", "CC",
                         "00007_20990909_R_CC_4.dcm")
                    CSAW_ROW("00007", "2012", "2", "1", "Left", "1", "Left", "MLO",
                             "00007_20990909_L_MLO_5.dcm")
                        CSAW_ROW("00007", "2008", "1", "1", "Left", "", "Left", "MLO",
                                 "00007_20990909_L_MLO_6.dcm")
    /* a control, and one whose rows disagree about the patient */
    CSAW_ROW("8", "2009", "2", "0", "", "", "Left", "CC", "8_20990909_L_CC_1.dcm")
        CSAW_ROW("9", "2009", "2", "0", "", "", "Left", "CC", "9_20990909_L_CC_1.dcm")
            CSAW_ROW("9", "2011", "2", "1", "Right", "2", "Left", "CC", "9_20990909_L_CC_2.dcm");

static void test_csaw_cc(void **state)
{
    world w;
    tables(&w, "csaw_cc", "labels.strict=true", csaw, NULL);
    label *x = image(&w, "any/where/00007_20990909_L_CC_1.dcm", "raw", 'L');
    assert_non_null(x);
    label_times t = labels_times(x, RECORD_UNKNOWN); /* the images have no date */
    assert_true(t.known && !t.before && t.cancer_lo == 731 && t.cancer_hi == INT32_MAX);
    assert_true(x->side == 'L' && x->image_side == 'L' && x->age_lo == 40 && x->age_hi == 55);
    assert_string_equal(x->person, "00007"); /* leading zeros stay */
    t = labels_times(image(&w, "00007_20990909_R_CC_4", "raw", 'R'), RECORD_UNKNOWN);
    assert_true(t.cancer_lo == 60 && t.cancer_hi == 729);
    t = labels_times(image(&w, "00007_20990909_L_MLO_5.png", "raw", 'L'), RECORD_UNKNOWN);
    assert_true(t.cancer_lo == 0 && t.cancer_hi == 59);
    assert_true(labels_silent(image(&w, "00007_20990909_L_MLO_6.dcm", "raw", 'L')));
    x = image(&w, "8_20990909_L_CC_1.dcm", "raw", 'L');
    t = labels_times(x, RECORD_UNKNOWN);
    assert_true(t.known && t.cancer_lo == -1 && t.free_days == 730 && !labels_silent(x));
    assert_true(x->age_lo == 55 && x->age_hi == 150);
    assert_true(image(&w, "9_20990909_L_CC_1.dcm", "raw", 'L')->conflict);
    assert_true(image(&w, "9_20990909_L_CC_2.dcm", "raw", 'L')->conflict);
    assert_false(x->conflict);
    assert_null(image(&w, "10_20990909_L_CC_1.dcm", "raw", 'L'));
    assert_int_equal(labels_scope_of(w.l), LABELS_OF_EXAM);
    assert_false(labels_ready(w.l));
    labels_matches m = matches(&w);
    assert_true(m.images == 8 && m.images_matched == 7 && m.rows == 9 && m.rows_matched == 7);
    world_free(&w);
    tables(&w, "csaw_cc", NULL, csaw, NULL);
    x = image(&w, "8_20990909_L_CC_1.dcm", "raw", 'R'); /* the image says another side */
    assert_true(reason_has(&x->flags, REASON_LAT_CONFLICT));
    world_free(&w);
}

typedef struct fates {
    char *store, *out, *csv, *table;
    cfg *c;
    err e;
} fates;

/* Why split left an image out; "in 1" and so on: its class at the first horizon. */
static const char *fate(const fates *f, const char *sop)
{
    static char why[64];
    char id[33], *list = fs_join(dir, "split_exclusions.csv");
    cohort c;
    csv_reader *r;
    store_image(f->store, sop, id);
    snprintf(why, sizeof why, "?");
    OK((r = csv_open(list, e)));
    while (csv_next(r, NULL) > 0)
        if (!strcmp(csv_field(r, 1), id))
            snprintf(why, sizeof why, "%s", csv_field(r, 4));
    csv_close(r);
    mem_free(list);
    OK(cohort_read(&c, f->out, e));
    const cohort_row *row = store_find(f->store, &c, sop);
    if (row)
        snprintf(why, sizeof why, "in %d", row->y[0]);
    cohort_release(&c);
    return why;
}

static void split_it(fates *f, const shot *s, int n, const char *mapping, const char *csv,
                     const char *set)
{
    char key[128];
    memset(f, 0, sizeof *f);
    f->c = store_config();
    f->store = fs_join(dir, "store");
    f->out = fs_join(dir, "COHORT.h5");
    f->csv = put("labels.csv", csv);
    snprintf(key, sizeof key, "labels.mapping=%s", mapping);
    OK(cfg_set(f->c, key, e));
    OK(cfg_set(f->c, "split.test_fraction=0", e));
    OK(cfg_set(f->c, "split.val_fraction=0", e));
    if (set)
        OK(cfg_set(f->c, set, e));
    store_write(f->store, f->c, s, n);
    split_opts o = {.store = f->store,
                    .labels_csv = f->csv,
                    .out = f->out,
                    .config = f->c,
                    .threads = 1,
                    .force = true};
    split_result got;
    OK(split_run(&o, &got, e));
}

static void fates_free(fates *f)
{
    cfg_free(f->c);
    mem_free(f->store);
    mem_free(f->out);
    mem_free(f->csv);
}

static const shot csaw_shots[] = {
    {.patient = "p7", .study = "e1", .sop = "L1", .day = "", .path = "00007_20990909_L_CC_1.dcm"},
    {.patient = "p7",
     .study = "e1",
     .sop = "R2",
     .day = "",
     .path = "00007_20990909_R_CC_2.dcm",
     .side = 'R'},
    {.patient = "p7", .study = "e2", .sop = "L3", .day = "", .path = "00007_20990909_L_CC_3.dcm"},
    {.patient = "p7",
     .study = "e2",
     .sop = "R4",
     .day = "",
     .path = "00007_20990909_R_CC_4.dcm",
     .side = 'R'},
    {.patient = "p7",
     .study = "e3",
     .sop = "L5",
     .day = "",
     .path = "00007_20990909_L_MLO_5.dcm",
     .view = "MLO"},
    {.patient = "p7",
     .study = "e4",
     .sop = "L6",
     .day = "",
     .path = "00007_20990909_L_MLO_6.dcm",
     .view = "MLO"},
    {.patient = "p8", .study = "e5", .sop = "C", .day = "", .path = "8_20990909_L_CC_1.dcm"},
    {.patient = "p9", .study = "e6", .sop = "X1", .day = "", .path = "9_20990909_L_CC_1.dcm"},
    {.patient = "p9", .study = "e7", .sop = "X2", .day = "", .path = "9_20990909_L_CC_2.dcm"},
    {.patient = "pN", .study = "e8", .sop = "N", .day = "", .path = "10_20990909_L_CC_1.dcm"},
};

/* From the table to the cohort: the two-year question is decided from classes of time alone. */
static void test_csaw_cc_cohort(void **state)
{
    fates f;
    split_it(&f, csaw_shots, COUNT_OF(csaw_shots), "csaw_cc", csaw, NULL);
    assert_string_equal(fate(&f, "L1"), "in 0");
    assert_string_equal(fate(&f, "L3"), "in 1");
    assert_string_equal(fate(&f, "R4"), "in 1"); /* the exam's label */
    assert_string_equal(fate(&f, "L5"), "WITHIN_DETECTION");
    assert_string_equal(fate(&f, "L6"), "NO_LABEL");
    assert_string_equal(fate(&f, "C"), "in 0");
    assert_string_equal(fate(&f, "X1"), "LABEL_CONFLICT");
    assert_string_equal(fate(&f, "N"), "NO_LABEL");
    fates_free(&f);
    split_it(&f, csaw_shots, COUNT_OF(csaw_shots), "csaw_cc", csaw, "labels.level=breast");
    assert_string_equal(fate(&f, "L3"), "in 1");
    assert_string_equal(fate(&f, "R4"), "in 0");
    fates_free(&f);
    split_it(&f, csaw_shots, COUNT_OF(csaw_shots), "csaw_cc", csaw, "labels.horizons=[1]");
    assert_string_equal(fate(&f, "L3"),
                        "LABEL_COARSE"); /* 60..729 days hold the first year's end */
    assert_string_equal(fate(&f, "L1"), "in 0");
    fates_free(&f);
    split_it(&f, csaw_shots, COUNT_OF(csaw_shots), "csaw_cc", csaw, "clinical.age_min=56");
    assert_string_equal(fate(&f, "L3"), "AGE_RANGE");
    assert_string_equal(fate(&f, "C"), "in 0"); /* 55 and older: not surely outside */
    fates_free(&f);
}

/* ---- what found no partner ------------------------------------------------------------------- */

static void test_unmatched_list(void **state)
{
    fates f;
    err e = {0};
    split_it(&f, csaw_shots + 6, 4, "csaw_cc", csaw, NULL);
    char *list = fs_join(dir, "split_unmatched.csv"), *text = NULL, id[33];
    size_t len;
    int images = 0, rows = 0;
    OK(fs_read(list, 1 << 20, &text, &len, e));
    assert_null(strstr(text, "20990909")); /* no identifier */
    mem_free(text);
    csv_reader *r = csv_open(list, &e);
    assert_non_null(r);
    store_image(f.store, "N", id);
    while (csv_next(r, &e) > 0) {
        if (!strcmp(csv_field(r, 0), "image")) {
            assert_string_equal(csv_field(r, csv_find(r, "image_id")), id);
            assert_string_equal(csv_field(r, csv_find(r, "why")), "no row");
            images++;
        } else {
            char line[16];
            snprintf(line, sizeof line, "%d", 2 + rows++);
            assert_string_equal(csv_field(r, csv_find(r, "line")), line);
            assert_string_equal(csv_field(r, csv_find(r, "table")), "images");
            assert_int_equal(strlen(csv_field(r, csv_find(r, "patient_id"))), 32);
        }
    }
    assert_int_equal(images, 1);
    assert_int_equal(rows, 6);
    csv_close(r);
    mem_free(list);
    fates_free(&f);
}

static void test_hint(void **state)
{
    static const char csv[] =
        "patient_id,diagnosis_date,last_negative_date\n12,,\n7 7,,\nAb,,\n205,,\n";
    world w;
    tables(&w, "generic", NULL, csv, NULL);
    assert_null(image(&w, "x", "0012", 'L'));
    assert_null(image(&w, "x", "0099", 'L'));
    labels_matches m = matches(&w);
    assert_true(m.images == 2 && m.images_matched == 0 && m.would == 1);
    assert_string_equal(m.how, "zeros");
    world_free(&w);
    tables(&w, "generic", "labels.normalise=zeros", csv, NULL);
    assert_non_null(image(&w, "x", "0012", 'L'));
    assert_null(image(&w, "x", "77", 'L'));
    assert_null(image(&w, "x", "25", 'L')); /* zeros inside count */
    assert_string_equal(matches(&w).how, "spaces");
    world_free(&w);
    tables(&w, "generic", "labels.normalise=all", csv, NULL);
    assert_true(image(&w, "x", "077", 'L') && image(&w, "x", "aB", 'L'));
    m = matches(&w);
    assert_true(m.would == 0 && !m.how[0]);
    world_free(&w);
}

/* ---- EMBED: two tables ----------------------------------------------------------------------- */

static const char embed_files[] =
    "empi_anon,acc_anon,anon_dicom_path,study_date_anon,StudyDescription,SeriesDescription,"
    "FinalImageType,ImageLateralityFinal,ViewPosition,spot_mag,num_roi,ROI_coords,match_level\n"
    "1,10,/mnt/a/10_lcc.dcm,2013-01-01 00:00:00,,,2D,L,CC,,0,(),1\n"
    "1,10,/mnt/a/10_rcc.dcm,2013-01-01 00:00:00,,,2D,R,CC,,0,(),1\n"
    "1,11,/mnt/a/11_lcc.dcm,2015-01-01 00:00:00,,,2D,L,CC,1,0,(),1\n"
    "2,20,/mnt/a/20_lcc.dcm,2013-01-01 00:00:00,,,cview,L,CC,,0,(),1\n"
    "2,20,/mnt/a/20_rcc.dcm,2013-01-01 00:00:00,,,ROI_SS,R,ML,,0,(),1\n"
    "3,30,/mnt/a/30_rcc.dcm,2013-01-01 00:00:00,,,3D,R,CC,,0,(),1\n";
static const char embed_findings[] =
    "empi_anon,acc_anon,study_date_anon,desc,tissueden,asses,numfind,side,total_l_find,total_r_"
    "find,"
    "massshape,massmargin,massdens,calcfind,calcdistri,bside,procdate_anon,type,path1,path10,"
    "path_severity,RACE_DESC,ETHNIC_GROUP_DESC,implanfind,vtype,technique\n"
    "1,10,2013-01-01,,2,N,1,,0,0,,,,,,,,,,,,,,,,\n"
    "1,11,2015-01-01,,3,M,1,L,0,0,,,,,,L,2014-12-30,,,,4,,,,,\n"
    "1,11,2015-01-01,,3,M,2,L,0,0,,,,,,L,2015-01-20,,,,0,,,,,\n"
    "1,11,2015-01-01,,3,N,3,R,0,0,,,,,,R,2015-01-05,,,,3,,,,,\n"
    "2,20,2013-01-01,,1,N,1,L,0,0,,,,,,,,,,,,,,,,\n"
    "3,30,2013-01-01,,5,N,1,B,0,0,,,,,,,,,,,,,,1,,\n"
    "4,40,2013-01-01,,1,N,1,B,0,0,,,,,,,,,,,,,,,,\n";

static void test_embed(void **state)
{
    world w;
    tables(&w, "embed", "labels.strict=true", embed_files, embed_findings);
    label *early = accession(&w, "a/10_lcc.dcm", "10", 'L');
    label *late = accession(&w, "a/11_lcc.dcm", "11", 'L');
    label *other = accession(&w, "a/10_rcc.dcm", "10", 'R');
    assert_true(early && late && other);
    /* the cancer of 2015 is the future of the exam of 2013: the earliest procedure, the left side
     */
    label_times t = labels_times(early, store_day("2013-01-01"));
    assert_int_equal(t.cancer_lo, store_day("2015-01-20") - store_day("2013-01-01"));
    assert_int_equal(t.cancer_hi, t.cancer_lo);
    assert_true(early->side == 'L' && other->side == 'L');
    assert_int_equal(early->last_negative, store_day("2015-01-01")); /* her last exam */
    assert_int_equal(early->exam_day, store_day("2013-01-01"));
    assert_string_equal(labels_word(w.l, early->density), "B");
    assert_true(reason_has(&late->flags, REASON_SPOT_COMPRESSION));
    assert_false(reason_has(&early->flags, REASON_SPOT_COMPRESSION));
    label *two = accession(&w, "a/20_lcc.dcm", "20", 'L');
    label *ml = accession(&w, "a/20_rcc.dcm", "20", 'R');
    label *man = accession(&w, "a/30_rcc.dcm", "30", 'R');
    assert_true(reason_has(&two->flags, REASON_SYN_2D) && two->diagnosis == INT32_MIN);
    assert_true(reason_has(&ml->flags, REASON_SC_CAPTURE));
    assert_true(reason_has(&ml->flags, REASON_VIEW_NONSTANDARD));
    assert_true(reason_has(&man->flags, REASON_NOT_FEMALE) &&
                reason_has(&man->flags, REASON_IMPLANT));
    assert_true(reason_has(&man->flags, REASON_MF_TOMO));
    assert_int_equal(labels_scope_of(w.l), LABELS_OF_PATIENT);
    /* findings of an exam without files, and of a breast without a file, have no image */
    labels_matches m = matches(&w);
    assert_true(m.rows == 13 && m.rows_matched == 11);
    world_free(&w);
    if (read_tables(&w, "embed", NULL, embed_files, NULL))
        fail_msg("one table was enough");
    says(&w, "mapping embed.yaml has 2 tables, 1 files were given");
}

/* The class of a breast comes from findings of its side only, the worst of them. */
static void test_findings_by_side(void **state)
{
    static const char *const sides[] = {"L", "R", "B", ""};
    static const bool left[] = {true, false, true, true}, right[] = {false, true, true, true};
    static const char yaml[] =
        "outcome: class\ntables:\n  f:\n    join: path\n    path: path\n"
        "    accession: acc\n    side: side\n"
        "  g:\n    join: [accession, side]\n    accession: acc\n"
        "    side: side\n    cancer:\n      column: sev\n      level: breast\n"
        "      merge: max\n      values:\n        0: 1\n      others: 0\n";
    char *file = put("two.yaml", yaml);
    for (size_t i = 0; i < COUNT_OF(sides); i++) {
        world w;
        char findings[100];
        snprintf(findings, sizeof findings, "acc,side,sev\nA,%s,0\nA,B,4\n", sides[i]);
        tables(&w, file, "labels.level=breast", "acc,side,path\nA,L,l.dcm\nA,R,r.dcm\n", findings);
        assert_int_equal(accession(&w, "l.dcm", "A", 'L')->cls, left[i]);
        assert_int_equal(accession(&w, "r.dcm", "A", 'R')->cls, right[i]);
        assert_true(labels_knows_breast(w.l));
        assert_int_equal(matches(&w).rows_matched, 4);
        world_free(&w);
    }
    mem_free(file);
    /* findings that must agree and do not: the label of their breast is a contradiction, too */
    static const char max[] = "      merge: max\n";
    const char *merge = strstr(yaml, max);
    world w;
    text agree;
    text_init(&agree);
    text_addn(&agree, yaml, (size_t)(merge - yaml));
    text_add(&agree, merge + strlen(max));
    file = put("agree.yaml", agree.s);
    tables(&w, file, "labels.level=breast", "acc,side,path\nA,L,l.dcm\nA,R,r.dcm\n",
           "acc,side,sev\nA,L,0\nA,L,4\nA,R,4\n");
    assert_true(accession(&w, "l.dcm", "A", 'L')->conflict);
    assert_false(accession(&w, "r.dcm", "A", 'R')->conflict);
    world_free(&w);
    text_release(&agree);
    mem_free(file);
}

/* ---- the others ------------------------------------------------------------------------------ */

static const char rsna[] =
    "site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,BIRADS,implant,"
    "density,machine_id,difficult_negative_case\n"
    "2,10006,462822612,L,CC,61.0,0,0,0,,0,,29,False\n"
    "2,10006,1459541791,L,MLO,61.0,0,0,0,,0,,29,False\n"
    "2,10006,1864590858,R,MLO,61.0,1,1,1,,0,,29,False\n"
    "1,10007,1864590858,R,AT,,0,0,0,1,1,B,29,False\n"
    "1,10007,5,L,CC,,0,0,0,1,0,B,29,False\n";

static void test_rsna(void **state)
{
    world w;
    tables(&w, "rsna", "labels.strict=true", rsna, NULL);
    label *l = image(&w, "train_images/10006/462822612.dcm", "x", 'L');
    label *r = image(&w, "train_images/10006/1864590858.dcm", "x", 'R');
    label *at = image(&w, "10007/1864590858.dcm", "y", 'R');
    label *cc = image(&w, "10007/5.dcm", "y", 'L');
    assert_true(l && r && at && cc && r != at); /* one image number, two patients */
    assert_true(l->cls == 1 && r->cls == 1);    /* the exam has a cancer */
    assert_true(l->age_lo == 61 && at->age_lo == INT32_MIN);
    assert_true(reason_has(&at->flags, REASON_VIEW_NONSTANDARD));
    assert_true(reason_has(&cc->flags, REASON_IMPLANT)); /* known of the patient */
    assert_false(reason_has(&l->flags, REASON_IMPLANT));
    assert_string_equal(labels_word(w.l, cc->site), "1");
    assert_int_equal(labels_scope_of(w.l), LABELS_OF_EXAM);
    world_free(&w);
    tables(&w, "rsna", "labels.level=breast", rsna, NULL);
    assert_int_equal(image(&w, "train_images/10006/462822612.dcm", "x", 'L')->cls, 0);
    assert_int_equal(image(&w, "train_images/10006/1864590858.dcm", "x", 'R')->cls, 1);
    assert_true(labels_knows_breast(w.l));
    assert_int_equal(labels_scope_of(w.l), LABELS_OF_BREAST);
    world_free(&w);
}

static const shot rsna_shots[] = {
    {.patient = "10006", .study = "a", .sop = "L", .path = "x/10006/462822612.dcm"},
    {.patient = "10006",
     .study = "a",
     .sop = "R",
     .side = 'R',
     .view = "MLO",
     .path = "x/10006/1864590858.dcm"},
    {.patient = "10007", .study = "b", .sop = "I", .path = "x/10007/5.dcm"},
};

/* Flags of the table act as the exclude.* keys say; a class of the breast stays on its side. */
static void test_rsna_cohort(void **state)
{
    fates f;
    split_it(&f, rsna_shots, COUNT_OF(rsna_shots), "rsna", rsna, NULL);
    assert_string_equal(fate(&f, "L"), "in 1");
    assert_string_equal(fate(&f, "R"), "in 1");
    assert_string_equal(fate(&f, "I"), "IMPLANT");
    fates_free(&f);
    split_it(&f, rsna_shots, COUNT_OF(rsna_shots), "rsna", rsna, "exclude.implant=flag");
    assert_string_equal(fate(&f, "I"), "in 0");
    fates_free(&f);
    split_it(&f, rsna_shots, COUNT_OF(rsna_shots), "rsna", rsna, "labels.level=breast");
    assert_string_equal(fate(&f, "L"), "in 0");
    assert_string_equal(fate(&f, "R"), "in 1");
    fates_free(&f);
}

static void test_vindr(void **state)
{
    static const char csv[] =
        "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,"
        "breast_density,split\n"
        "s1,r1,aa,L,CC,3518,2800,BI-RADS 4,DENSITY C,training\n"
        "s1,r1,bb,R,CC,3518,2800,BI-RADS 3,DENSITY C,training\n"
        "s2,r2,cc,R,MLO,3518,2800,BI-RADS 1,DENSITY A,test\n";
    static const char meta[] = "SOP Instance UID,Series Instance UID,Patient's Age,Manufacturer\n"
                               "aa,r1,053Y,SIEMENS\nbb,r1,,SIEMENS\ndd,r9,060Y,IMS s.r.l.\n";
    world w;
    tables(&w, "vindr", "labels.level=breast", csv, meta);
    label *a = image(&w, "images/s1/aa.dicom", "x", 'L');
    label *b = image(&w, "images/s1/bb.dicom", "x", 'R');
    label *c = image(&w, "images/s2/cc.dicom", "y", 'R');
    assert_true(a->cls == 1 && b->cls == 0 && c->cls == 0);
    assert_true(a->age_lo == 53 && b->age_lo == INT32_MIN);
    assert_string_equal(labels_word(w.l, a->split), "train");
    assert_string_equal(labels_word(w.l, c->split), "test");
    assert_string_equal(labels_word(w.l, c->density), "A");
    labels_matches m = matches(&w);
    assert_true(m.rows == 6 && m.rows_matched == 5);
    world_free(&w);
    tables(&w, "vindr", "labels.strict=true", csv, NULL); /* metadata.csv is optional */
    assert_int_equal(image(&w, "images/s1/bb.dicom", "x", 'R')->cls, 1); /* of the exam */
    world_free(&w);
}

static void test_mirai(void **state)
{
    static const char csv[] =
        "\xef\xbb\xbfpatient_id,exam_id,laterality,view,file_path,years_to_cancer,"
        "years_to_last_followup,split_group\r\n"
        "1,0,R,MLO,/d/1.png,0,10,train\r\n1,1,R,MLO,/d/2.png,2,10,train\r\n"
        "2,0,R,CC,/d/3.png,100,3,dev\r\n3,0,R,CC,/d/4.png,1,1,test\r\n";
    world w;
    tables(&w, "mirai", "labels.strict=true", csv, NULL);
    label_times t = labels_times(image(&w, "4/1.dcm", "x", 'R'), RECORD_UNKNOWN);
    assert_true(t.known && t.cancer_lo == 0 && t.cancer_hi == 0);
    label *two = image(&w, "x/2.dcm", "x", 'R');
    t = labels_times(two, RECORD_UNKNOWN);
    assert_true(t.cancer_lo == 731 && t.cancer_hi == 1095); /* two years and a day to three years */
    label *none = image(&w, "x/3.dcm", "y", 'R');
    t = labels_times(none, RECORD_UNKNOWN);
    assert_true(t.cancer_lo == -1 && t.free_days == 1096);
    assert_string_equal(labels_word(w.l, none->split), "val");
    assert_string_equal(labels_word(w.l, two->split), "train");
    t = labels_times(image(&w, "x/4.dcm", "z", 'R'), RECORD_UNKNOWN);
    assert_true(t.cancer_lo == 366 && t.cancer_hi == 730); /* within a horizon of two years */
    world_free(&w);
}

static void test_csaw_tables(void **state)
{
    world w;
    tables(&w, "csaw_m", NULL,
           "Filename;Label;Dicom_image_laterality;If_cancer;If_interval_cancer;"
           "If_large_invasive_cancer;If_composite;Libra_percent_density\n"
           "1.png;8;Left;1;0;1;1;12,5\n2.png;1;Right;0;0;0;0;3,25\n",
           NULL);
    assert_int_equal(image(&w, "1.dcm", "a", 'L')->cls, 1);
    assert_int_equal(image(&w, "2.png", "b", 'R')->cls, 0);
    assert_true(labels_ready(w.l));
    world_free(&w);
    tables(&w, "csaw_internal", NULL,
           "basename;split;split_risk;risk_prediction_patient_selected;breast_level_risk;exam_note;"
           "num_fgnd\n"
           "1.dcm;train;val_selected;1;1;e1;900\n2.dcm;train;train;1;0;e2;900\n"
           "3.dcm;test;;1;0;e3;900\n4.dcm;train;;0;1;e4;900\n",
           NULL);
    assert_string_equal(labels_word(w.l, image(&w, "1.dcm", "a", 'L')->split), "val");
    assert_string_equal(labels_word(w.l, image(&w, "2.dcm", "a", 'L')->split), "train");
    assert_string_equal(labels_word(w.l, image(&w, "3.dcm", "a", 'L')->split), "test");
    assert_null(image(&w, "4.dcm", "a", 'L')); /* not selected */
    assert_int_equal(matches(&w).rows, 3);
    world_free(&w);
}

static void test_cbis(void **state)
{
    static const char csv[] =
        "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality "
        "type,mass shape,mass margins,assessment,pathology,subtlety,image file path,cropped image "
        "file path,ROI mask file path\n"
        "P_1,3,LEFT,CC,1,mass,,,4,BENIGN,4,Mass_P_1_LEFT_CC/1.2/1.3.6.7/000000.dcm,x,\"x\n\"\n"
        "P_1,3,LEFT,CC,2,mass,,,4,MALIGNANT,4,Mass_P_1_LEFT_CC/1.2/1.3.6.7/000000.dcm,x,x\n"
        "P_2,2,RIGHT,CC,1,mass,,,4,BENIGN_WITHOUT_CALLBACK,4,Mass_P_2/1.2/1.3.6.9/000000.dcm,x,x\n";
    world w;
    catalog_row r = {.path = "000000.dcm"};
    tables(&w, "cbis_ddsm", "labels.strict=true", csv, NULL);
    text_copy(r.rec.series_uid, sizeof r.rec.series_uid, "1.3.6.7");
    label *x = labels_find(w.l, &r);
    assert_true(x && x->cls == 1 && !x->conflict); /* the worst of two */
    text_copy(r.rec.series_uid, sizeof r.rec.series_uid, "1.3.6.9");
    assert_int_equal(labels_find(w.l, &r)->cls, 0);
    assert_int_equal(matches(&w).rows_matched, 3);
    world_free(&w);
}

/* ---- cells ----------------------------------------------------------------------------------- */

#define DATES                                                                                      \
    "tables:\n  t:\n    join: patient\n    patient: id\n    last_negative_date: n\n"               \
    "    diagnosis_date:\n      column: d\n      dates: "

static void test_dates(void **state)
{
    static const struct {
        const char *cell, *order, *lo, *hi; /* NULL = nothing said */
    } cases[] = {
        {"2016-02-29", "ymd", "2016-02-29", "2016-02-29"},
        {"20160229", "ymd", "2016-02-29", "2016-02-29"},
        {"2016-02-29 00:00:00", "ymd", "2016-02-29", "2016-02-29"},
        {"2016-02-29T10:30:00", "ymd", "2016-02-29", "2016-02-29"},
        {"201602", "ymd", "2016-02-01", "2016-02-29"},
        {"2016-12", "ymd", "2016-12-01", "2016-12-31"},
        {"2016", "ymd", "2016-01-01", "2016-12-31"},
        {"29/02/2016", "dmy", "2016-02-29", "2016-02-29"},
        {"2.3.2016", "dmy", "2016-03-02", "2016-03-02"},
        {"2/3/2016", "mdy", "2016-02-03", "2016-02-03"},
        {"20990909", "ymd", NULL, NULL},
        {"1900-01-01", "ymd", NULL, NULL},
        {"00000000", "ymd", NULL, NULL},
        {"NA", "ymd", NULL, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char yaml[300], csv[100];
        world w;
        snprintf(yaml, sizeof yaml, DATES "%s\n", cases[i].order);
        snprintf(csv, sizeof csv, "id,d,n\nA,%s,\n", cases[i].cell);
        char *file = put("dates.yaml", yaml);
        tables(&w, file, NULL, csv, NULL);
        label *x = image(&w, "x", "A", 'L');
        assert_int_equal(x->diagnosis, cases[i].lo ? store_day(cases[i].lo) : INT32_MIN);
        assert_int_equal(x->diagnosis_end, cases[i].hi ? store_day(cases[i].hi) : INT32_MIN);
        world_free(&w);
        mem_free(file);
    }
    static const char *const bad[] = {"2016-13", "31/12/2016", "soon", "2016-02-30", "99"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char csv[100];
        world w;
        char *file = put("dates.yaml", DATES "ymd\n");
        snprintf(csv, sizeof csv, "id,d,n\nA,%s,\n", bad[i]);
        read_tables(&w, file, NULL, csv, NULL);
        assert_null(strstr(w.e.msg, bad[i])); /* never the value */
        says(&w, "line 2: column 'd' holds no date");
        mem_free(file);
    }
}

/* A year that holds the exam's day: the exam may be the one that found the cancer. */
static void test_coarse_dates(void **state)
{
    world w;
    char *file = put("dates.yaml", DATES "ymd\n");
    tables(&w, file, NULL, "id,d,n\nA,2015,\nB,,2015\n", NULL);
    label *a = image(&w, "x", "A", 'L'), *b = image(&w, "x", "B", 'L');
    label_times t = labels_times(a, store_day("2015-06-01"));
    assert_true(t.cancer_lo == 0 && t.cancer_hi == 0 && !t.before);
    t = labels_times(a, store_day("2014-12-31"));
    assert_true(t.cancer_lo == 1 && t.cancer_hi == 365);
    assert_true(labels_times(a, store_day("2016-01-01")).before);
    t = labels_times(b, store_day("2014-12-31"));
    assert_int_equal(t.free_days, 1); /* what is sure */
    assert_false(labels_times(a, RECORD_UNKNOWN).known);
    world_free(&w);
    mem_free(file);
}

#define CELLS                                                                                      \
    "missing: [unknown]\ntables:\n  t:\n    join: patient\n    patient: id\n"                      \
    "    cancer_in:\n      column: y\n      unit: years\n    weight:\n      column: w\n"           \
    "      optional: true\n    flags:\n      IMPLANT:\n        column: i\n        is: [1, yes]\n"

static void test_cells(void **state)
{
    static const struct {
        const char *cell;
        int32_t lo, hi;
    } cases[] = {{"1,5", 547, 547},
                 {"1.5", 547, 547},
                 {"3", 1096, 1460},
                 {"None", INT32_MIN, INT32_MIN},
                 {"10 days", 10, 10},
                 {"0..59 days", 0, 59},
                 {"unknown", INT32_MIN, INT32_MIN},
                 {"2..", 731, INT32_MAX}};
    char *file = put("cells.yaml", CELLS);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        world w;
        char csv[100];
        snprintf(csv, sizeof csv, "id;y;w;i\nA;%s;2,5;Yes\n", cases[i].cell);
        tables(&w, file, NULL, csv, NULL);
        label *x = image(&w, "x", "A", 'L');
        assert_int_equal(x->cancer_lo, cases[i].lo);
        assert_int_equal(x->cancer_hi, cases[i].hi);
        assert_true(x->weight == 2.5f && reason_has(&x->flags, REASON_IMPLANT));
        world_free(&w);
    }
    static const struct {
        const char *csv, *words;
    } bad[] = {
        {"id,y,w,i\nA,-1,1,0\n", "line 2: column 'y' holds no number of years"},
        {"id,y,w,i\nA,1 month,1,0\n", "column 'y' holds no number of years"},
        {"id,y,w,i\nA,9..1,1,0\n", "column 'y' holds no number of years"},
        {"id,y,w,i\nB,1,1,0\nA,1,0,0\n", "line 3: column 'w' wants a number above 0"},
        {"id,w,i\nA,1,0\n", "column 'y' is missing"},
        {"id,y,y,i\nA,1,0\n", "columns 2 and 3 have the same name"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        world w;
        read_tables(&w, file, NULL, bad[i].csv, NULL);
        says(&w, bad[i].words);
    }
    world w;
    read_tables(&w, file, "labels.strict=true", "id,y,w,i,zip,name\nA,1,1,0,,\n", NULL);
    says(&w, "2 columns are unknown to the mapping (labels.strict): zip, name");
    tables(&w, file, NULL, "id,y,i,zip\nA,1,0,\n,1,0,\n", NULL); /* unknown: ignored */
    assert_non_null(image(&w, "x", "A", 'L'));
    assert_true(matches(&w).rows == 2 && matches(&w).rows_matched == 1); /* one has no id */
    world_free(&w);
    read_tables(&w, file, "labels.key=pid", "id,y,w,i\nA,1,1,0\n", NULL);
    says(&w, "labels.key does nothing beside labels.mapping");
    mem_free(file);
}

/* ---- paths ----------------------------------------------------------------------------------- */

static void test_paths(void **state)
{
    static const char yaml[] = "outcome: class\ntables:\n  t:\n    join: path\n    path: p\n"
                               "    cancer: y\n";
    char *file = put("paths.yaml", yaml);
    world w;
    tables(&w, file, NULL,
           "p,y\n/mnt/x/a/1.png,1\n/mnt/x/b/1.png,0\nC\\2.dcm,1\n./d/3.dcm,1\ne-5/4,1\n", NULL);
    assert_int_equal(image(&w, "a/1.dcm", "x", 'L')->cls, 1);
    assert_int_equal(image(&w, "b/1.dcm", "x", 'L')->cls, 0);
    assert_null(image(&w, "1.dcm", "x", 'L'));   /* of a or of b? */
    assert_null(image(&w, "c/1.dcm", "x", 'L')); /* another folder */
    assert_non_null(image(&w, "archive/C/2.dcm", "x", 'L'));
    assert_non_null(image(&w, "d/3.dcm", "x", 'L'));
    assert_null(image(&w, "dd/3.dcm", "x", 'L')); /* whole parts only */
    assert_non_null(image(&w, "q/e-5/4.jpeg", "x", 'L'));
    world_free(&w);
    mem_free(file);
    /* by base name, one row met by two women is nobody's */
    file = put("files.yaml", "outcome: class\ntables:\n  t:\n    join: file\n    file: p\n"
                             "    cancer: y\n");
    tables(&w, file, NULL, "p,y\n1.png,1\n2.png,0\n", NULL);
    label *x = image(&w, "a/1.dcm", "woman A", 'L');
    assert_false(x->conflict);
    assert_ptr_equal(image(&w, "b/1.dcm", "woman B", 'L'), x);
    assert_true(x->conflict);
    assert_false(image(&w, "a/2.dcm", "woman A", 'L')->conflict);
    world_free(&w);
    mem_free(file);
}

/* ---- the real tables ------------------------------------------------------------------------- */

static char *real(const char *name)
{
    const char *data = getenv("DATA");
    char *tables_dir = data && *data ? fs_join(data, "tables") : NULL;
    char *path = tables_dir ? fs_join(tables_dir, name) : NULL;
    mem_free(tables_dir);
    if (path && fs_exists(path))
        return path;
    mem_free(path);
    printf("skip: DATA does not name a folder with tables/%s\n", name);
    return NULL;
}

static void real_table(world *w, const char *mapping, const char *set, const char *path)
{
    if (!read_files(w, mapping, set, path, NULL))
        fail_msg("%s", w->e.msg);
}

static void test_real_mirai(void **state)
{
    char *path = real("mirai_demo_sample_metadata.csv"),
         *asym = real("asymmirai_example_data_format.csv");
    if (!path || !asym)
        skip();
    world w;
    real_table(&w, "mirai", "labels.strict=true", path);
    assert_int_equal(matches(&w).rows, 32);
    label *x = image(&w, "pngs/386_01_sx_PRO_MLO_R_2.png", "x", 'R');
    label_times t = labels_times(x, RECORD_UNKNOWN);
    assert_true(t.cancer_lo == 0 && t.cancer_hi == 0 && t.free_days == 3653);
    assert_string_equal(labels_word(w.l, x->split), "train");
    world_free(&w);
    real_table(&w, "mirai", "labels.strict=true", asym);
    x = image(&w, "img_1.dcm", "x", 'L');
    t = labels_times(x, RECORD_UNKNOWN);
    assert_true(t.known && t.cancer_lo == -1 && t.free_days == 1474);
    assert_string_equal(x->person, "000000000"); /* nine zeros */
    world_free(&w);
    mem_free(path);
    mem_free(asym);
}

static void test_real_inbreast(void **state)
{
    char *path = real("inbreast_table_v01.tsv");
    if (!path)
        skip();
    world w;
    real_table(&w, "inbreast", "labels.strict=true", path);
    assert_int_equal(matches(&w).rows, 300);
    label *x = image(&w, "ALL-IMGS/20588020_024ee3569b2605dc_MG_L_CC_ANON.dcm", "x", 'L');
    assert_true(x && x->cls == -1 && x->image_side == 'L'); /* this table has no BI-RADS */
    assert_string_equal(x->person, "024ee3569b2605dc");
    assert_int_equal(x->exam_day, INT32_MIN); /* known by its month only */
    assert_null(image(&w, "2058802_024ee3569b2605dc_MG_L_CC_ANON.dcm", "x", 'L'));
    world_free(&w);
    mem_free(path);
}

static void test_real_cmmd(void **state)
{
    char *path = real("cmmd_raw_label.csv");
    if (!path)
        skip();
    world w;
    int malignant = 0, benign = 0;
    real_table(&w, "cmmd", "labels.strict=true", path);
    err e = {0};
    csv_reader *r = csv_open(path, &e);
    while (csv_next(r, &e) > 0) { /* every row finds its own breast */
        label *x = image(&w, "any.dcm", csv_field(r, 0), csv_field(r, 1)[0]);
        assert_non_null(x);
        malignant += x->cls == 1;
        benign += x->cls == 0;
    }
    csv_close(r);
    labels_matches m = matches(&w);
    assert_true(m.rows == 1872 && m.rows_matched == 1872 && malignant + benign == 1872);
    assert_true(malignant >= 1316); /* the malignant rows, and benign ones of women with both */
    world_free(&w);
    mem_free(path);
}

static void test_real_bmcd(void **state)
{
    char *path = real("bmcd_raw_label.csv");
    if (!path)
        skip();
    world w;
    int n[3] = {0};
    real_table(&w, "bmcd", "labels.normalise=case", path);
    for (int i = 1; i <= 50; i++)
        for (int k = 0; k < 2; k++) {
            char file[64];
            snprintf(file, sizeof file, "BMCD/%s_cases/%d/CC_prior.dcm",
                     k ? "Suspicious" : "Normal", i);
            label *x = image(&w, file, "x", 'L');
            assert_non_null(x);
            n[x->cls + 1]++;
        }
    assert_int_equal(n[0], 18); /* no biopsy result */
    assert_int_equal(n[1], 71); /* 50 normal, 21 benign */
    assert_int_equal(n[2], 11); /* 5 malignant, 6 DCIS */
    assert_int_equal(matches(&w).rows_matched, 100);
    world_free(&w);
    mem_free(path);
}

static int setup(void **state)
{
    return store_tmp("import", dir) ? 0 : -1;
}

static int teardown(void **state)
{
    err e = {0};
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),         cmocka_unit_test(test_shipped_mappings_are_whole),
        cmocka_unit_test(test_csaw_cc),        cmocka_unit_test(test_csaw_cc_cohort),
        cmocka_unit_test(test_unmatched_list), cmocka_unit_test(test_hint),
        cmocka_unit_test(test_embed),          cmocka_unit_test(test_findings_by_side),
        cmocka_unit_test(test_rsna),           cmocka_unit_test(test_rsna_cohort),
        cmocka_unit_test(test_vindr),          cmocka_unit_test(test_mirai),
        cmocka_unit_test(test_csaw_tables),    cmocka_unit_test(test_cbis),
        cmocka_unit_test(test_dates),          cmocka_unit_test(test_coarse_dates),
        cmocka_unit_test(test_cells),          cmocka_unit_test(test_paths),
        cmocka_unit_test(test_real_mirai),     cmocka_unit_test(test_real_inbreast),
        cmocka_unit_test(test_real_cmmd),      cmocka_unit_test(test_real_bmcd),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
