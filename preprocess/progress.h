/* How far a long task is: STORE/progress/<task>.json, renamed into place every few seconds, for
 * `show STORE` while the task runs and after it. Counts and rates only, no clock time. Losing one
 * loses nothing: the truth is in the catalogue. */
#ifndef PREPROCESS_PROGRESS_H
#define PREPROCESS_PROGRESS_H

#include "core/err.h"

typedef struct progress {
    char *path;                  /* owned */
    int64_t total, done, failed; /* of this session */
    double start, last;          /* seconds, monotonic */
    bool broken;                 /* could not be written: said once */
} progress;

/* `task`: prepare id, or <id>-k-of-n. */
void progress_begin(progress *p, const char *store, const char *task, int64_t total);
void progress_step(progress *p, bool failed);
void progress_end(progress *p); /* writes the last state, frees */

typedef struct progress_state {
    int64_t total, done, failed;
    double seconds, per_second;
    bool ended; /* false: running, or killed */
} progress_state;
/* False: there is none, or it cannot be read. */
bool progress_read(const char *store, const char *task, progress_state *out);

double progress_now(void); /* seconds, monotonic */
#endif
