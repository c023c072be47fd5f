/* The learning rate as a pure function of the step. */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

#include <stdint.h>

typedef enum schedule_kind { SCHEDULE_CONSTANT, SCHEDULE_STEP, SCHEDULE_COSINE } schedule_kind;
typedef struct schedule {
    schedule_kind kind;
    double base, final;          /* final: where cosine ends */
    int64_t warmup, total, drop; /* steps; drop: where step divides by ten */
} schedule;
/* Linear warm-up base * i / (warmup - 1) for i < warmup (0 at the first, base at the last step of
 * the warm-up, patchdropout.md 4), then the chosen kind. step counts from 0. */
double schedule_lr(const schedule *s, int64_t step);
#endif
