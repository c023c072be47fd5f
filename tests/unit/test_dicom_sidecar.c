/* The sidecar fills what is absent, reports what contradicts, and never quotes a value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/mem.h"
#include "core/text.h"
#include "dicom/record.h"

static char path[64];

static sidecar *open_text(const char *csv, err *e)
{
    err w = {0};
    memset(e, 0, sizeof(*e));
    assert_true(fs_write(path, csv, strlen(csv), &w));
    return sidecar_open(path, e);
}

static void fills(void **state)
{
    err e;
    record r;
    int32_t day;
    sidecar *s = open_text("file;patient_id;study_uid;exam_date;laterality;view;age;modality;"
                           "manufacturer;row_mm;note\n"
                           "a.dcm;007;1.2;2020-05-06;left;mlo;61;mg;Hologic;0.07;x\n"
                           "deep/b.dcm;008;;;R;;;;;;\n"
                           "b.dcm;009;;;;;;;;;\n",
                           &e);
    assert_non_null(s);
    record_clear(&r);
    assert_true(sidecar_apply(s, "x/y/a.dcm", &r, &e));
    assert_true(text_date("20200506", &day));
    assert_string_equal(r.patient_id, "007");
    assert_string_equal(r.study_uid, "1.2");
    assert_int_equal(r.exam_day, day);
    assert_int_equal(r.side, 'L');
    assert_string_equal(r.side_source, "sidecar");
    assert_int_equal(r.view, VIEW_MLO);
    assert_int_equal(r.age, 61);
    assert_string_equal(r.modality, "MG");
    assert_string_equal(r.vendor, "HOLOGIC");
    assert_float_equal(r.row_mm, 0.07, 0);
    assert_float_equal(r.col_mm, 0.07, 0);
    /* the relative path wins over the base name */
    record_clear(&r);
    assert_true(sidecar_apply(s, "deep/b.dcm", &r, &e));
    assert_string_equal(r.patient_id, "008");
    record_clear(&r);
    assert_true(sidecar_apply(s, "other/b.dcm", &r, &e));
    assert_string_equal(r.patient_id, "009");
    record_clear(&r);
    assert_true(sidecar_apply(s, "unknown.dcm", &r, &e));
    assert_string_equal(r.patient_id, "");
    sidecar_free(s);
}

/* Rows about no file are counted, whichever name the file was found by. */
static void unmet(void **state)
{
    err e;
    int line = -1;
    sidecar *s = open_text("file,view\nz.dcm,CC\nb.dcm,CC\ndeep/b.dcm,CC\na.dcm,CC\n", &e);
    assert_non_null(s);
    assert_int_equal(sidecar_unmet(s, &line), 4);
    assert_int_equal(line, 2);
    sidecar_meet(s, "deep/b.dcm"); /* not b.dcm: the path goes first */
    sidecar_meet(s, "x/y/z.dcm");
    sidecar_meet(s, "unknown.dcm");
    assert_int_equal(sidecar_unmet(s, &line), 2);
    assert_int_equal(line, 3);
    sidecar_meet(s, "b.dcm");
    sidecar_meet(s, "deep/a.dcm");
    assert_int_equal(sidecar_unmet(s, &line), 0);
    assert_int_equal(line, 0);
    sidecar_free(s);
}

static void contradictions(void **state)
{
    err e;
    record r;
    sidecar *s = open_text("file,patient_id,laterality,view,row_mm\na.dcm,SECRET7,L,CC,0.07\n", &e);
    assert_non_null(s);
    record_clear(&r);
    r.side = 'R';
    r.row_mm = 0.0702;
    assert_true(sidecar_apply(s, "a.dcm", &r, &e));
    assert_int_equal(r.side, 'R');
    assert_int_equal(r.side_conflict, TRI_YES);
    assert_float_equal(r.row_mm, 0.0702, 0);
    record_clear(&r);
    r.view = VIEW_MLO;
    assert_false(sidecar_apply(s, "a.dcm", &r, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "line 2: view contradicts the header"));
    record_clear(&r);
    text_copy(r.patient_id, sizeof(r.patient_id), "SECRET8");
    assert_false(sidecar_apply(s, "a.dcm", &r, &e));
    assert_non_null(strstr(e.msg, "patient_id contradicts"));
    assert_null(strstr(e.msg, "SECRET"));
    sidecar_free(s);
}

/* What the samples of a picture mean, and who it is of, comes from the table alone. */
static void pictures(void **state)
{
    err e;
    record r;
    sidecar *s = open_text("file,sop_uid,accession,sex,intent,implant,model,row_mm,bits_stored,"
                           "photometric,window_center,window_width\n"
                           "a.png,1.2.3,ACC1,female,FOR PRESENTATION,yes,Dim,0.07,12,MONOCHROME1,"
                           "2000.5,3000\n"
                           "b.png,,,,,no,,,,,,\n",
                           &e);
    assert_non_null(s);
    record_clear(&r);
    text_copy(r.transfer_syntax, sizeof r.transfer_syntax, "PNG");
    text_copy(r.sop_uid, sizeof r.sop_uid, "raster.00");
    text_copy(r.photometric, sizeof r.photometric, "MONOCHROME2");
    r.bits_stored = 16;
    r.row_mm = r.col_mm = 0.2; /* of a program's default */
    assert_true(sidecar_apply(s, "a.png", &r, &e));
    assert_string_equal(r.sop_uid, "1.2.3");
    assert_string_equal(r.accession, "ACC1");
    assert_int_equal(r.sex, 'F');
    assert_int_equal(r.intent, INTENT_PRESENTATION);
    assert_int_equal(r.implant, TRI_YES);
    assert_string_equal(r.model, "Dim");
    assert_float_equal(r.row_mm, 0.07, 0);
    assert_string_equal(r.spacing_source, "sidecar");
    assert_int_equal(r.bits_stored, 12);
    assert_int_equal(r.high_bit, 11);
    assert_string_equal(r.photometric, "MONOCHROME1");
    assert_int_equal(r.n_windows, 1);
    assert_float_equal(r.window_center[0], 2000.5, 0);
    assert_float_equal(r.window_width[0], 3000, 0);
    r.implant = TRI_YES; /* one source that knows of an implant is enough */
    assert_true(sidecar_apply(s, "b.png", &r, &e));
    assert_int_equal(r.implant, TRI_YES);
    record_clear(&r);
    text_copy(r.sop_uid, sizeof r.sop_uid, "1.2.4");
    assert_false(sidecar_apply(s, "a.png", &r, &e)); /* a DICOM file, whatever its name */
    assert_non_null(strstr(e.msg, "sop_uid contradicts"));
    text_copy(r.sop_uid, sizeof r.sop_uid, "1.2.3");
    assert_false(sidecar_apply(s, "a.png", &r, &e));
    assert_non_null(strstr(e.msg, "bits_stored is for PNG and TIFF pictures only"));
    record_clear(&r);
    r.sex = 'M';
    assert_false(sidecar_apply(s, "a.png", &r, &e));
    assert_non_null(strstr(e.msg, "sex contradicts"));
    record_clear(&r);
    r.intent = INTENT_PROCESSING;
    assert_false(sidecar_apply(s, "a.png", &r, &e));
    assert_non_null(strstr(e.msg, "intent contradicts"));
    sidecar_free(s);
}

static void refused(void **state)
{
    static const struct {
        const char *csv, *want;
    } t[] = {
        {"name,view\na,CC\n", "file"},
        {"file,view\na.dcm,QQ\n", "line 2: view is no known view"},
        {"file,laterality\na.dcm,X\n", "laterality must be L, R or B"},
        {"file,exam_date\na.dcm,31.1.2020\n", "exam_date is no date"},
        {"file,age\na.dcm,old\n", "age must be whole years"},
        {"file,sex\na.dcm,x\n", "sex must be"},
        {"file,intent\na.dcm,x\n", "intent must be"},
        {"file,implant\na.dcm,perhaps\n", "implant must be yes or no"},
        {"file,bits_stored\na.png,17\n", "bits_stored must be whole bits"},
        {"file,photometric\na.png,RGB\n", "photometric must be"},
        {"file,window_center\na.png,3\n", "need each other"},
        {"file,window_center,window_width\na.png,3,0\n", "window_width must be"},
        {"file,row_mm\na.dcm,-1\n", "row_mm must be a pixel size"},
        {"file,view\na.dcm,CC\nb.dcm,CC\na.dcm,MLO\n", "lines 2 and 4 are about the same file"},
        {"file,view\n,CC\n", "file is empty"},
    };
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        err e;
        assert_null(open_text(t[i].csv, &e));
        assert_int_equal(e.code, ERR_INPUT);
        if (!strstr(e.msg, t[i].want))
            fail_msg("'%s' lacks '%s'", e.msg, t[i].want);
    }
}

/* A misspelt column is named, a known one is not. */
static void ignored_columns(void **state)
{
    char said[64] = "/tmp/mammovit-sidecar-log-XXXXXX", *line;
    size_t n;
    err e = {0}, w = {0};
    int fd = mkstemp(said), old = dup(STDERR_FILENO);
    assert_true(fd >= 0 && old >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    sidecar *s = open_text("file,side,VIEW,hint\na.png,L,CC,x\n", &e);
    dup2(old, STDERR_FILENO);
    close(old);
    close(fd);
    assert_non_null(s);
    sidecar_free(s);
    assert_true(fs_read(said, 1000, &line, &n, &w));
    assert_non_null(strstr(line, "columns_ignored"));
    assert_non_null(strstr(line, "n=2 columns=\"side, hint\""));
    mem_free(line);
    unlink(said);
}

static int setup(void **state)
{
    memcpy(path, "/tmp/mammovit-sidecar-XXXXXX", 29);
    int fd = mkstemp(path);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}
static int teardown(void **state)
{
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills),    cmocka_unit_test(unmet),   cmocka_unit_test(contradictions),
        cmocka_unit_test(pictures), cmocka_unit_test(refused), cmocka_unit_test(ignored_columns)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
