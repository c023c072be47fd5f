/* Whose women do numbers speak of that depend on how common cancer is? A set in which exams with
 * cancer were sampled more often says nothing of a population as it stands: its calibration, net
 * benefit and predictive values are computed as if its classes were mixed at a stated prevalence.
 * That is right when exams of each class were drawn at random. evaluation.md 7. */
#ifndef EVAL_POPULATION_H
#define EVAL_POPULATION_H

#include "eval/cohort_set.h"

#define POPULATION_ENRICHED                                                                        \
    0.02 /* share of cases above which a set cannot be a screening round                           \
          */

typedef enum population_sampling {
    POPULATION_AUTO,     /* enriched when the (weighted) share of cases is above the constant */
    POPULATION_AS_IT_IS, /* all exams of a population, or weights that make it one */
    POPULATION_SAMPLED   /* enriched whatever the share */
} population_sampling;

typedef struct population {
    bool enriched;     /* classes are mixed anew */
    double share;      /* of cases, with the weights of the table */
    double prevalence; /* that numbers speak of: `share`, or the target of an enriched set */
    double *weight;    /* owned; NULL unless enriched */
    metric_in in;      /* rows of the view with the weights that count; borrows from it */
} population;
/* `v` outlives `out`. An enriched set of both classes gets the weights w * target/share (cases) and
 * w * (1-target)/(1-share) (controls), whose sum is that of w. */
void population_build(const cohort_view *v, population_sampling sampling, double target,
                      population *out);
void population_release(population *p);
const char *population_sampling_name(population_sampling s); /* "auto", "population", "enriched" */
#endif
