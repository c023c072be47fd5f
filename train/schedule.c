/* Learning-rate schedules: constant, one drop to a tenth, cosine to a floor; all after a linear
 * warm-up. patchdropout.md 4. And how fast tokens are taken away. */
#include "train/schedule.h"

#include <math.h>

double schedule_lr(const schedule *s, int64_t step)
{
    if (step < s->warmup)
        return s->warmup > 1 ? s->base * (double)step / (double)(s->warmup - 1) : s->base;
    if (s->kind == SCHEDULE_STEP)
        return step >= s->drop ? s->base / 10 : s->base;
    if (s->kind == SCHEDULE_COSINE && s->total > s->warmup) {
        double t = (double)(step - s->warmup) / (double)(s->total - s->warmup);
        return s->final + 0.5 * (s->base - s->final) * (1 + cos(M_PI * fmin(t, 1)));
    }
    return s->base;
}

double schedule_evit(const schedule_evit_ramp *s, int64_t step)
{
    int64_t epoch = step / s->steps;
    if (epoch < s->start)
        return 1;
    if (epoch >= s->start + s->ramp)
        return s->keep;
    double t = (double)(step - s->steps * s->start) / (double)(s->steps * s->ramp);
    return s->keep + (1 - s->keep) * (1 + cos(M_PI * t)) / 2;
}
