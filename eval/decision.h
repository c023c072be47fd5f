/* Decision curves: what acting on a risk threshold is worth (Vickers and Elkin 2006). An exam is
 * flagged when its risk is at least pt. evaluation.md 9. */
#ifndef EVAL_DECISION_H
#define EVAL_DECISION_H

#include "eval/metric.h"

typedef struct decision_point {
    double pt;          /* threshold risk, 0 < pt < 1 */
    double nb, lo, hi;  /* net benefit per exam and its interval (linearised, over clusters) */
    double nb_all;      /* of flagging every exam; flagging none is worth 0 */
    double nb_std;      /* nb / prevalence */
    double avoided;     /* interventions avoided per 100 exams: 100 (nb - nb_all) / odds(pt) */
    double sens, spec;  /* weighted */
    double flagged;     /* share of exams flagged, at the prevalence used */
    int64_t tp, fp;     /* rows, without weights */
    const char *reason; /* NULL, "ONE_CLASS", "EMPTY", "RANGE" (pt or prevalence outside 0..1) */
} decision_point;
/* prevalence: NaN = the (weighted) share of cases in the rows: TP/N and FP/N are counted; else
 * TP/N = sens * prevalence and FP/N = (1 - spec)(1 - prevalence), for sets with a sampling design.
 * Interval: nb +- z se; without a prevalence NB is a mean over rows, with one a sum of two means;
 * se from clusters with the factor G/(G-1). */
void decision_curve(const metric_in *in, double prevalence, const double *pt, int n,
                    decision_point *out);
#endif
