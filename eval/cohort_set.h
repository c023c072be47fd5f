/* The exams that are analysed, as arrays for the metrics, and subsets of them. */
#ifndef EVAL_COHORT_SET_H
#define EVAL_COHORT_SET_H

#include "eval/exam.h"
#include "eval/member.h"
#include "eval/metric.h"

typedef struct cohort_set {
    exam_table exams;     /* owned rows; only exams with a known label */
    int64_t n_unlabelled; /* exams left out */
    int64_t n_images;
    bool weighted; /* some weight differs from 1 */
    bool repeated; /* some patient has several exams */
} cohort_set;

/* How many scores become one: those of the images of an exam, then those of several networks. */
typedef struct cohort_how {
    exam_rule rule;
    member_rule ensemble;
} cohort_how;

/* Build the exams of `s` and leave out those without a label. */
MUST_CHECK bool cohort_set_build(const scores *s, int rule, cohort_set *out, err *e);
/* Build from several networks' tables by the rule how.ensemble, which also makes one risk by year
 * of several. All must hold the same exams, patients and labels. Each member's own exams go to
 * member[n], released by the caller. */
MUST_CHECK bool cohort_set_ensemble(const scores *const *s, int n, cohort_how how, cohort_set *out,
                                    cohort_set *member, err *e);
/* The same with the exams whose time and event are known, labelled or not, instead of the labelled
 * ones. n_unlabelled counts the others. */
MUST_CHECK bool cohort_set_followed(const scores *const *s, int n, cohort_how how, cohort_set *out,
                                    err *e);
void cohort_set_release(cohort_set *c);
/* How many exams of a are of patients who are in b too. */
int64_t cohort_set_shared(const cohort_set *a, const cohort_set *b);

/* Arrays of the exams with the given indices (row == NULL: all n of them), owned. */
typedef struct cohort_view {
    double *score, *weight;
    int *y, *cluster;
    int64_t n, events;
    int n_patients; /* with at least one exam here */
    metric_in in;   /* weight NULL when unweighted */
} cohort_view;
void cohort_view_build(const cohort_set *c, const int64_t *row, int64_t n, cohort_view *out);
/* The same exams with another score (v->score: their own), in ascending order of (score, row). */
void cohort_view_sorted(const cohort_view *v, const double *score, cohort_view *out);
void cohort_view_release(cohort_view *v);
#endif
