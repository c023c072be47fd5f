/* Are two trainings the same? Their losses, step by step, over a window: they may not part by more
 * than a share at any step, and both must fall. */
#ifndef TESTS_CUDA_ON_CPU_CURVES_H
#define TESTS_CUDA_ON_CPU_CURVES_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#define CURVES_WINDOW 10
#define CURVES_PART   0.02 /* of the reference */
#define CURVES_FALL   0.20 /* from the first window to the last */

typedef struct curves_verdict {
    bool agree;
    double part; /* largest, and the last step of its window */
    int at;
    double fall[2]; /* of the reference, of the other */
    char why[160];
} curves_verdict;

/* Mean of the CURVES_WINDOW losses that end with step i. */
static inline double curves_mean(const float *loss, int i)
{
    double sum = 0;
    for (int k = i - CURVES_WINDOW + 1; k <= i; k++)
        sum += (double)loss[k];
    return sum / CURVES_WINDOW;
}

static inline curves_verdict curves_compare(const float *want, const float *got, int n)
{
    curves_verdict v = {.agree = true};
    if (n < 2 * CURVES_WINDOW) {
        v.agree = false;
        snprintf(v.why, sizeof v.why, "%d steps are too few", n);
        return v;
    }
    for (int i = CURVES_WINDOW - 1; i < n; i++) {
        double a = curves_mean(want, i), b = curves_mean(got, i), part = fabs(b - a) / fabs(a);
        if (!(part <= v.part) && !isnan(v.part)) { /* NaN stays the largest */
            v.part = part;
            v.at = i;
        }
    }
    const float *loss[2] = {want, got};
    for (int k = 0; k < 2; k++)
        v.fall[k] = 1 - curves_mean(loss[k], n - 1) / curves_mean(loss[k], CURVES_WINDOW - 1);
    if (!(v.part <= CURVES_PART)) {
        v.agree = false;
        snprintf(v.why, sizeof v.why, "they part by %.2f %% at step %d, %.0f %% are allowed",
                 100 * v.part, v.at + 1, 100 * CURVES_PART);
    } else if (!(v.fall[0] >= CURVES_FALL && v.fall[1] >= CURVES_FALL)) {
        v.agree = false;
        snprintf(v.why, sizeof v.why, "they fall by %.1f %% and %.1f %%, %.0f %% are wanted",
                 100 * v.fall[0], 100 * v.fall[1], 100 * CURVES_FALL);
    }
    return v;
}
#endif
