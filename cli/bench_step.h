/* The parts of bench that run networks and single ops on a device. */
#ifndef CLI_BENCH_STEP_H
#define CLI_BENCH_STEP_H

#include "cli/cmd.h"
#include "model/backend.h"

/* training: a whole step; else a forward pass. */
MUST_CHECK bool bench_step(cmd_args *a, bool training, err *e);
MUST_CHECK bool bench_ops(cmd_args *a, err *e);
MUST_CHECK bool bench_sum(cmd_args *a, err *e); /* all processes of a launcher */

/* What both say of the device, as members of a JSON object. */
typedef struct bench_device {
    pool *threads;
    backend *be;
    const char *precision; /* "bf16" */
} bench_device;
MUST_CHECK bool bench_device_open(const cmd_args *a, bench_device *d, err *e);
void bench_device_close(bench_device *d);
void bench_device_tell(const bench_device *d, json_t *o);
/* TFLOP/s of the best of some products of large square matrices. */
double bench_ceiling(const bench_device *d);
double bench_middle(double *x, int n); /* median; sorts */
#endif
