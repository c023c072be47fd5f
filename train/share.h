/* What the processes of a training do together: who takes which micro-batches, what they tell each
 * other after a step, and that they stand at the same place. The sequence of samples, draws and
 * steps is that of one process. */
#ifndef TRAIN_SHARE_H
#define TRAIN_SHARE_H

#include "core/ranks.h"
#include "model/grads.h"
#include "train/keep_log.h"

/* Micro-batches first .. micro-1 of an epoch, `accum` to a step: the numbers of those that process
 * `rank` of `size` takes, in order, into out (room for micro - first). Returns how many. */
int64_t share_order(int64_t first, int64_t micro, int64_t accum, int rank, int size, int64_t *out);

/* One step as a process has seen it. */
typedef struct share_step {
    int parts;       /* micro-batches of all processes */
    double *loss;    /* [parts]; filled with those of the own share, in its places */
    bool stop;       /* a signal asks for the end */
    keep_log *kept;  /* what the own ones kept, NULL: no log is written */
    keep_log *whole; /* process 0: the log of the epoch, to which all are added in order */
} share_step;
/* All. Losses and requests to stop of all; ok: false where the step failed here. False, with the
 * error of the first that failed, where it failed anywhere. */
MUST_CHECK bool share_step_end(ranks *r, share_step *s, bool ok, err *e);

/* All. ERR_CONFIG unless all processes hold the same values of all parameters. */
MUST_CHECK bool share_same_params(ranks *r, const char *when, param_set *s, err *e);
/* Scores of n rows, scored in batches of `batch`, batch i by process i mod size: x[n] is completed
 * with those of the others. */
void share_scores(ranks *r, double *x, int64_t n, int batch);
#endif
