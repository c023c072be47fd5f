/* The scores of the evaluated exams read as risks, in every form that the report judges: as
 * predicted, recalibrated on other women, moved to the prevalence of a population. Made once;
 * calibration, decision curve and risk groups use the same. evaluation.md 7, 8. */
#ifndef EVAL_RISKS_H
#define EVAL_RISKS_H

#include "eval/population.h"
#include "eval/recalibrate.h"
#include "eval/report.h"

typedef enum risks_form { RISKS_GIVEN, RISKS_RECALIBRATED, RISKS_SHIFTED, RISKS_FORMS } risks_form;
const char *risks_name(risks_form f); /* "given", "recalibrated", "shifted" */

typedef struct risks {
    const char *reason; /* NULL; or why nothing is judged: "FEW_EVENTS" (fewer than METRIC_FEW of a
                           class), "RANKS" (eval.ensemble=mean_rank makes no risks) */
    bool unstable;      /* fewer than METRIC_UNSTABLE of a class */
    population pop;
    recalibrate_map map; /* of kind NONE without other exams; else learnt on them, mixed like pop */
    double shift_from;   /* share of cases that the scores were learnt at: that of the other exams,
                            else of these; NaN unless the set is enriched */
    double *score[RISKS_FORMS]; /* [n] owned; NULL where a form does not exist, and for GIVEN, which
                                   is the view's own */
} risks;
/* val: exams of other women, or NULL. Views outlive `out`. */
void risks_build(const cohort_view *all, const cohort_view *val, const report_cfg *want,
                 risks *out);
void risks_release(risks *r);
/* The form in words of report_text. */
const char *risks_words(const risks *r, risks_form f);
/* The form that speaks of the population: as predicted, unless the set is enriched. */
risks_form risks_of_population(const risks *r);
/* False when the form does not exist. The rows carry the population's weights. */
bool risks_rows(const risks *r, risks_form f, metric_in *out);
#endif
