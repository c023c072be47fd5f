/* The learning rate, and EViT's keep rate, as pure functions of the step. */
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

/* EViT's keep rate in training (token_reduction.md 2.3): all tokens for `start` epochs, then down a
 * half cosine to `keep` over `ramp` epochs. */
typedef struct schedule_evit_ramp {
    double keep;
    int64_t start, ramp; /* epochs */
    int64_t steps;       /* of one epoch */
} schedule_evit_ramp;
double schedule_evit(const schedule_evit_ramp *s, int64_t step);
#endif
