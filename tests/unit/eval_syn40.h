/* Data set SYN-40 of evaluation.md 15: 40 exams of 30 patients, 20 cases. */
#ifndef EVAL_SYN40_H
#define EVAL_SYN40_H

static const int syn_y[40] = {0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 1,
                              0, 1, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 0};
static const double syn_a[40] = {.27, .54, .34, .36, .17, .71, .69, .59, .30, .83,
                                 .16, .68, .70, .27, .22, .46, .61, .18, .40, .22,
                                 .18, .49, .51, .48, .65, .45, .23, .25, .42, .65,
                                 .07, .41, .44, .56, .56, .80, .52, .42, .42, .13};
static const double syn_b[40] = {.08, .30, .52, .29, .13, .72, .62, .54, .19, .54,
                                 .18, .44, .29, .47, .09, .34, .63, .32, .17, .15,
                                 .22, .50, .66, .17, .52, .17, .19, .08, .16, .46,
                                 .23, .15, .36, .26, .32, .26, .19, .46, .41, .21};
/* T: time to diagnosis (y = 1) or of the last contact, years. */
static const double syn_t[40] = {6, 5, 4, 2, 2, 3, 1, 4, 4, 5, 7, 2, 3, 4, 5, 4, 4, 5, 2, 5,
                                 5, 4, 2, 3, 6, 1, 2, 3, 3, 6, 4, 4, 4, 2, 5, 1, 4, 5, 4, 5};

/* Patient of exam i, 0..29. */
static inline int syn_patient(int i)
{
    return i < 30 ? i : (i - 30) * 3;
}
#endif
