/* Maps from risk to risk, learnt on other exams than those they are judged on. A map is a handful
 * of numbers: it can be stored beside a model. evaluation.md 8. */
#ifndef EVAL_RECALIBRATE_H
#define EVAL_RECALIBRATE_H

#include "eval/metric.h"

typedef enum recalibrate_kind {
    RECALIBRATE_NONE,
    RECALIBRATE_PLATT,       /* logit q = a + b logit p, the Cox line; labels are not smoothed */
    RECALIBRATE_ISOTONIC,    /* pool adjacent violators; linear between knots, flat outside */
    RECALIBRATE_TEMPERATURE, /* logit q = b logit p, b = 1/T (Guo 2017) */
    RECALIBRATE_KINDS
} recalibrate_kind;
const char *recalibrate_name(recalibrate_kind k); /* "none", "platt", "isotonic", "temperature" */

typedef struct recalibrate_map {
    recalibrate_kind kind;
    double a, b;   /* PLATT, TEMPERATURE (a = 0) */
    double *x, *y; /* ISOTONIC: knots[n], x ascending, y not falling; owned */
    int64_t n;
    int64_t rows, events; /* that it was learnt on */
    const char *reason;   /* NULL, or why there is no map: "EMPTY", "ONE_CLASS", "CONSTANT",
                             "SEPARATION", "NOT_RISK", "INVERTED" (b <= 0 would reverse the order),
                             "NOT_CONVERGED" */
} recalibrate_map;
/* Always fills *out; false when out->reason is set. Ties in score are one point of the isotonic fit
 * (its weighted mean); knots inside a level stretch are left out. */
bool recalibrate_fit(recalibrate_kind kind, const metric_in *in, recalibrate_map *out);
/* BUG on a map with a reason. Risks are clipped as calibrate_logit does (PLATT, TEMPERATURE). */
double recalibrate_apply(const recalibrate_map *m, double p);
void recalibrate_release(recalibrate_map *m);
#endif
