/* Reading of prediction tables and the rules from images to exams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/fs.h"
#include "core/mem.h"
#include "eval/cohort_set.h"
#include "eval/exam.h"
#include "eval/scores.h"
#include <math.h>

static char path[64];

static bool read_text(const char *csv, scores *s, err *e)
{
    assert_true(fs_write(path, csv, strlen(csv), NULL));
    scores_init(s);
    return scores_read(s, path, e);
}

static void fails(const char *csv, const char *wanted)
{
    scores s;
    err e = {0};
    assert_false(read_text(csv, &s, &e));
    if (!strstr(e.msg, wanted))
        fail_msg("message '%s' lacks '%s'", e.msg, wanted);
    assert_int_equal(e.code, ERR_INPUT);
    scores_release(&s);
}

#define HEAD "exam_id,patient_id,image_id,laterality,view,score,y,T,E,age,weight,split,vendor\n"

static void errors_name_line_and_value(void **state)
{
    fails("exam_id,score\na,.5\n", "column 'y' is missing");
    fails("exam_id,y\na,1\n", "column 'score' is missing");
    fails("exam_id,score,y\na,1.5,1\n",
          "line 2: column 'score' is '1.5'; wanted a number from 0 to 1");
    fails("exam_id,score,y\na,nan,1\n", "column 'score'");
    fails("exam_id,score,y\na,,1\n", "wanted a probability");
    fails("exam_id,score,y\na,.5,1\nb,0x,0\n", "line 3: column 'score' is '0x'");
    fails("exam_id,score,y\na,.5,2\n", "column 'y' is '2'; wanted 0, 1 or empty");
    fails("exam_id,score,y\n,.5,1\n", "line 2: exam_id is empty");
    fails("exam_id,patient_id,score,y\na,,.5,1\n", "line 2: patient_id is empty");
    fails("exam_id,score,y,weight\na,.5,1,0\n", "wanted a weight above 0");
    fails("exam_id,score,y,laterality\na,.5,1,X\n", "wanted L, R or empty");
    fails("exam_id,score,y\n", "the table has no rows");
}

static void errors_across_rows(void **state)
{
    fails("exam_id,image_id,score,y\na,i,.5,1\na,i,.5,0\n",
          "lines 2 and 3: one image has two labels");
    fails("exam_id,image_id,score,y\na,i,.5,1\na,i,.6,1\n",
          "lines 2 and 3: one image has two scores");
    fails("exam_id,image_id,score,y\na,i,.5,1\nx,j,.5,1\nb,i,.5,1\n",
          "lines 2 and 4: one image belongs to two exams");
    fails("exam_id,patient_id,score,y,split\nSECRET1,SECRET2,.5,1,train\nb,SECRET2,.5,1,test\n",
          "lines 2 and 3: one patient is in two splits");
}

static void messages_hold_no_identifier(void **state)
{
    scores s;
    err e = {0};
    assert_false(
        read_text("exam_id,patient_id,image_id,score,y,split\nSECRET1,SECRET2,SECRET3,.5,1,a\n"
                  "SECRET4,SECRET2,SECRET3,.5,1,b\n",
                  &s, &e));
    assert_null(strstr(e.msg, "SECRET"));
    scores_release(&s);
}

static void repeated_rows_are_merged_and_counted(void **state)
{
    scores s;
    err e = {0};
    assert_true(read_text("exam_id,image_id,score,y\nb,j,.2,0\na,i,.5,1\nb,j,.2,0\n", &s, &e));
    assert_int_equal(s.n, 2);
    assert_int_equal(s.n_merged, 1);
    assert_string_equal(s.row[0].exam, "a"); /* canonical order */
    assert_string_equal(s.row[0].patient, "a");
    assert_false(s.columns & SCORES_HAS_PATIENT);
    scores_release(&s);
}

static void columns_are_read(void **state)
{
    scores s;
    err e = {0};
    assert_true(read_text(HEAD "e,p,i,L,MLO,.25,1,2.5,1,61,3,val,\"ACME, Inc.\"\n"
                               "e2,p,i2,R,cc,.5,,NA,,,1,val,\n",
                          &s, &e));
    const scores_row *r = &s.row[0];
    assert_int_equal(r->side, 'L');
    assert_int_equal(r->view, 'M');
    assert_true(r->score == .25 && r->t_years == 2.5 && r->weight == 3);
    assert_int_equal(r->y, 1);
    assert_int_equal(r->event, 1);
    assert_int_equal(r->age, 61);
    assert_string_equal(r->vendor, "ACME, Inc.");
    r++;
    assert_int_equal(r->view, 'C');
    assert_int_equal(r->y, -1);
    assert_true(isnan(r->t_years));
    assert_int_equal(r->age, -1);
    assert_int_equal(r->event, -1);
    scores_release(&s);
}

static void hash_ignores_row_order_only(void **state)
{
    static const char *const csv[] = {"exam_id,image_id,score,y\na,i,.5,1\nb,j,.2,0\n",
                                      "y,score,exam_id,image_id\n0,0.2,b,j\n1,0.5,a,i\n",
                                      "exam_id,image_id,score,y\na,i,.5,1\nb,j,.3,0\n"};
    char h[3][65];
    for (int i = 0; i < 3; i++) {
        scores s;
        assert_true(read_text(csv[i], &s, NULL));
        scores_hash(&s, h[i]);
        scores_release(&s);
    }
    assert_string_equal(h[0], h[1]);
    assert_string_not_equal(h[0], h[2]);
}

#define WIDE "Round,exam_id,image_id,score,y,logit,score_h1,score_h2,mode\n"

static void other_columns_are_kept(void **state)
{
    scores s, again;
    char h[2][65];
    assert_true(read_text(WIDE "1,e,i,.2,1,x,.1,.3,screen\n,e,j,.4,1,y,.2,.5,NA\n", &s, NULL));
    assert_int_equal(s.n_years, 2);
    assert_int_equal(s.n_facts, 2); /* logit says what score says */
    assert_string_equal(s.fact_name[0], "mode");
    assert_string_equal(s.fact_name[1], "round");
    assert_true(s.row[0].more->year[0] == .1 && s.row[1].more->year[1] == .5);
    assert_string_equal(s.row[0].more->fact[0], "screen");
    assert_string_equal(s.row[1].more->fact[0], "");
    assert_string_equal(s.row[0].more->fact[1], "1");
    scores_hash(&s, h[0]);
    assert_true(read_text("mode,score_h2,score_h1,y,exam_id,score,image_id,round\n"
                          ",.5,.2,1,e,.4,j,\nscreen,.3,.1,1,e,.2,i,1\n",
                          &again, NULL));
    scores_hash(&again, h[1]);
    assert_string_equal(h[0], h[1]);
    scores_release(&again);
    assert_true(read_text(WIDE "1,e,i,.2,1,x,.1,.3,screen\n,e,j,.4,1,y,.2,.6,NA\n", &again, NULL));
    scores_hash(&again, h[1]);
    assert_string_not_equal(h[0], h[1]);
    scores_release(&again);
    assert_true(read_text(WIDE "1,e,i,.2,1,x,.1,.3,screen\n,e,j,.4,1,y,.2,.5,b\n", &again, NULL));
    scores_hash(&again, h[1]);
    assert_string_not_equal(h[0], h[1]);
    scores_release(&again);
    scores_release(&s);
    fails(WIDE "1,e,i,.2,1,x,.1,,a\n",
          "line 2: column 'score_h2' is ''; wanted a probability from 0 to 1");
    fails(WIDE "1,e,i,.2,1,x,.1,1.1,a\n", "column 'score_h2' is '1.1'");
    fails("exam_id,score,y,score_h2\n", "column 'score_h2' is there without 'score_h1'");
    fails(WIDE "1,e,i,.2,1,x,.1,.3,a\n1,e,i,.2,1,x,.1,.3,b\n",
          "one image has two rows that differ");
    fails(WIDE "1,e,i,.2,1,x,.1,.3,a\n1,e,i,.2,1,x,.1,.4,a\n",
          "one image has two rows that differ");
    assert_true(read_text(WIDE "1,e,i,.2,1,x,.1,.3,a\n1,e,i,.2,1,x,.1,.3,a\n", &s, NULL));
    assert_int_equal(s.n_merged, 1);
    scores_release(&s);
}

/* ---- exams ----------------------------------------------------------------------------------- */

static void add(scores *s, char side, char view, double score, int y)
{
    static int image;
    char name[16];
    snprintf(name, sizeof name, "i%d", image++);
    scores_add(s, &(scores_row){.exam = "e",
                                .patient = "p",
                                .image = name,
                                .side = side,
                                .view = view,
                                .score = score,
                                .y = y,
                                .t_years = NAN,
                                .event = -1,
                                .weight = 1,
                                .age = 50,
                                .vendor = "V"});
}

/* evaluation.md 1: RCC .2 and .4, LCC .6, RMLO .1, LMLO .7. */
static void rules_on_the_worked_example(void **state)
{
    const double wanted[EXAM_RULES] = {.400, .425, .650, .700, 0};
    scores s;
    scores_init(&s);
    add(&s, 'R', 'C', .2, 0);
    add(&s, 'R', 'C', .4, 0);
    add(&s, 'L', 'C', .6, 1);
    add(&s, 'R', 'M', .1, 0);
    add(&s, 'L', 'M', .7, 0);
    for (int r = 0; r < EXAM_RULES; r++) {
        exam_table t;
        assert_true(exam_build(&s, (exam_rule)r, &t, NULL));
        assert_int_equal(t.n, 1);
        assert_int_equal(t.row[0].y, 1); /* max over images */
        assert_int_equal(t.row[0].n_images, 5);
        assert_int_equal(t.row[0].n_views, 4);
        double want = wanted[r];
        if (r == EXAM_MEAN_LOGIT) {
            const double p[] = {.2, .4, .6, .1, .7};
            double sum = 0;
            for (int i = 0; i < 5; i++)
                sum += log(p[i] / (1 - p[i])) / 5;
            want = 1 / (1 + exp(-sum));
        }
        assert_true(fabs(t.row[0].score - want) < 1e-12);
        exam_release(&t);
    }
    scores_release(&s);
}

static void exam_fails(const char *csv, exam_rule rule, const char *wanted)
{
    scores s;
    exam_table t;
    err e = {0};
    assert_true(read_text(csv, &s, &e));
    assert_false(exam_build(&s, rule, &t, &e));
    if (!strstr(e.msg, wanted))
        fail_msg("message '%s' lacks '%s'", e.msg, wanted);
    scores_release(&s);
}

static void contradictions_in_an_exam(void **state)
{
    exam_fails("exam_id,patient_id,score,y\ne,p,.5,1\ne,q,.5,1\n", EXAM_MEAN_IMAGES,
               "lines 2 and 3: one exam has two patients");
    exam_fails("exam_id,score,y,T\ne,.5,1,2\ne,.5,1,3\n", EXAM_MEAN_IMAGES, "two times");
    exam_fails("exam_id,score,y,age\ne,.5,1,50\ne,.5,1,51\n", EXAM_MEAN_IMAGES, "two ages");
    exam_fails("exam_id,score,y,weight\ne,.5,1,1\ne,.5,1,2\n", EXAM_MEAN_IMAGES, "two weights");
    exam_fails("exam_id,score,y\ne,.5,1\n", EXAM_MAX_BREAST, "needs the laterality");
    exam_fails("exam_id,score,y,laterality\ne,.5,1,L\n", EXAM_MEAN_VIEWS, "needs the view");
    exam_fails("exam_id,image_id,score,y,seed\ne,i,.5,1,1\ne,j,.5,1,1\ne,i,.5,1,2\n",
               EXAM_MEAN_IMAGES, "two sets of images from two networks");
    exam_fails("exam_id,image_id,score,y,seed\ne,i,.5,1,1\ne,i,.6,1,2\nf,j,.5,1,1\n",
               EXAM_MEAN_IMAGES, "every network must score every exam");
}

static void members_are_averaged_after_the_rule(void **state)
{
    scores s;
    exam_table t;
    assert_true(read_text("exam_id,image_id,score,y,seed\n"
                          "e,i,.1,1,1\ne,j,.8,1,1\ne,i,.6,1,2\ne,j,.2,1,2\n",
                          &s, NULL));
    assert_true(exam_build(&s, EXAM_MAX_IMAGES, &t, NULL));
    assert_true(fabs(t.row[0].score - .7) < 1e-12); /* (.8 + .6) / 2 */
    assert_int_equal(t.row[0].n_images, 2);
    exam_release(&t);
    scores_release(&s);
}

/* Many names over many blocks of text, among them one longer than a block: each is kept whole and
 * once, and a table of exams has the room it needs. */
static void many_names(void **state)
{
    enum { EXAMS = 9000 };
    scores s;
    exam_table t;
    err e = {0};
    char exam[64], image[64], *longest = mem_alloc(400000);
    memset(longest, 'x', 399999);
    longest[399999] = 0;
    scores_init(&s);
    for (int i = 0; i < 4 * EXAMS; i++) {
        snprintf(exam, sizeof exam, "exam of a rather long name %06d", i / 4);
        snprintf(image, sizeof image, "image of a rather long name %06d", i);
        scores_row r = {.exam = exam, .patient = i / 4 == 7 ? longest : exam, .image = image};
        r.score = i % 4 * 0.25;
        r.y = i / 4 % 2;
        r.side = '?';
        r.view = '?';
        r.weight = 1;
        r.t_years = r.exam_day = NAN;
        r.event = r.age = -1;
        scores_add(&s, &r);
    }
    for (int i = 0; i < 4 * EXAMS; i++) {
        snprintf(image, sizeof image, "image of a rather long name %06d", i);
        assert_string_equal(s.row[i].image, image);
        assert_ptr_equal(s.row[i].exam, s.row[i / 4 * 4].exam);
    }
    assert_string_equal(s.row[28].patient, longest);
    assert_ptr_equal(s.row[28].patient, s.row[31].patient);
    assert_true(exam_build(&s, EXAM_MEAN_IMAGES, &t, &e));
    assert_int_equal(t.n, EXAMS);
    assert_int_equal(t.n_patients, EXAMS);
    for (int i = 0; i < EXAMS; i++)
        assert_true(t.row[i].score == 0.375 && t.row[i].n_images == 4 && t.row[i].y == i % 2);
    exam_release(&t);
    scores_release(&s);
    mem_free(longest);
}

static void unknown_label_makes_the_exam_unknown(void **state)
{
    scores s;
    exam_table t;
    assert_true(read_text("exam_id,image_id,score,y\ne,i,.1,1\ne,j,.8,\nf,k,.2,0\n", &s, NULL));
    assert_true(exam_build(&s, EXAM_MEAN_IMAGES, &t, NULL));
    assert_int_equal(t.row[0].y, -1);
    assert_int_equal(t.row[1].y, 0);
    assert_int_equal(t.n_patients, 2);
    exam_release(&t);
    scores_release(&s);
}

static void other_columns_of_an_exam(void **state)
{
    scores s;
    exam_table t, copy;
    assert_true(read_text("exam_id,image_id,score,y,score_h1,score_h2,mode,round,seed\n"
                          "e,i,.2,1,.1,.3,screen,1,1\ne,j,.4,1,.2,.5,,2,1\n"
                          "e,i,.4,1,.5,.7,screen,1,2\ne,j,.6,1,.6,.9,,2,2\n"
                          "f,k,.2,0,0,.5,,,1\nf,k,.2,0,0,.5,,,2\n",
                          &s, NULL));
    assert_true(exam_build(&s, EXAM_MAX_IMAGES, &t, NULL));
    exam_copy(&t, &copy);
    exam_release(&t);
    assert_int_equal(copy.n, 2);
    assert_true(fabs(copy.row[0].score - .5) < 1e-12);
    assert_true(fabs(copy.row[0].year[0] - .4) < 1e-12); /* mean over seeds of the higher image */
    assert_true(fabs(copy.row[0].year[1] - .7) < 1e-12);
    assert_true(fabs(copy.row[1].year[1] - .5) < 1e-12);
    assert_int_equal(exam_fact(&copy, "mode"), 0);
    assert_int_equal(exam_fact(&copy, "round"), 1);
    assert_int_equal(exam_fact(&copy, "site"), -1);
    assert_string_equal(copy.row[0].fact[0], "screen");
    assert_string_equal(copy.row[0].fact[1], "mixed");
    assert_string_equal(copy.row[1].fact[0], "");
    exam_release(&copy);
    scores_release(&s);
}

static void followed_exams_of_several_networks(void **state)
{
    static const char *const csv[] = {
        "exam_id,score,y,T,E,score_h1\na,.1,0,5,0,.1\nb,.2,,1,0,.2\nc,.3,1,1,1,.3\nd,.4,0,,0,.4\n",
        "exam_id,score,y,T,E,score_h1\na,.3,0,5,0,.2\nb,.4,,1,0,.3\nc,.5,1,1,1,.5\nd,.6,0,,0,.4\n",
        "exam_id,score,y,T,E\na,.3,0,5,0\nb,.4,,1,0\nc,.5,1,1,1\nd,.6,0,,0\n"};
    scores s[3];
    cohort_set set, member[2];
    err e = {0};
    const scores *both[] = {&s[0], &s[1]}, *odd[] = {&s[0], &s[2]};
    for (int i = 0; i < 3; i++)
        assert_true(read_text(csv[i], &s[i], NULL));
    assert_true(
        cohort_set_followed(both, 2, (cohort_how){EXAM_MEAN_IMAGES, MEMBER_MEAN_PROB}, &set, NULL));
    assert_int_equal(set.exams.n, 3); /* b has no label, d no time */
    assert_int_equal(set.n_unlabelled, 1);
    assert_string_equal(set.exams.row[1].exam, "b");
    assert_true(fabs(set.exams.row[1].score - .3) < 1e-12);
    assert_true(fabs(set.exams.row[2].year[0] - .4) < 1e-12);
    cohort_set_release(&set);
    assert_true(cohort_set_ensemble(both, 2, (cohort_how){EXAM_MEAN_IMAGES, MEMBER_MEAN_PROB}, &set,
                                    member, NULL));
    assert_int_equal(set.exams.n, 3);
    assert_string_equal(set.exams.row[1].exam, "c");
    assert_true(fabs(set.exams.row[1].year[0] - .4) < 1e-12);
    assert_true(fabs(member[0].exams.row[1].year[0] - .3) < 1e-12);
    cohort_set_release(&set);
    cohort_set_release(&member[0]);
    cohort_set_release(&member[1]);
    assert_false(
        cohort_set_followed(odd, 2, (cohort_how){EXAM_MEAN_IMAGES, MEMBER_MEAN_PROB}, &set, &e));
    assert_non_null(strstr(e.msg, "input 1 has 1 columns of risk by year"));
    for (int i = 0; i < 3; i++)
        scores_release(&s[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_name_line_and_value),
        cmocka_unit_test(errors_across_rows),
        cmocka_unit_test(messages_hold_no_identifier),
        cmocka_unit_test(repeated_rows_are_merged_and_counted),
        cmocka_unit_test(columns_are_read),
        cmocka_unit_test(hash_ignores_row_order_only),
        cmocka_unit_test(rules_on_the_worked_example),
        cmocka_unit_test(contradictions_in_an_exam),
        cmocka_unit_test(members_are_averaged_after_the_rule),
        cmocka_unit_test(many_names),
        cmocka_unit_test(unknown_label_makes_the_exam_unknown),
        cmocka_unit_test(other_columns_are_kept),
        cmocka_unit_test(other_columns_of_an_exam),
        cmocka_unit_test(followed_exams_of_several_networks),
    };
    snprintf(path, sizeof path, "/tmp/test_eval_scores.%d.csv", (int)getpid());
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return rc;
}
