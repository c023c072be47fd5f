/* The processes of one job that a launcher (mpirun, srun) started together, over MPI. Open MPI's
 * library is opened at run time, and only where a launcher says that there is more than one
 * process: a program that runs alone neither needs MPI nor pays for it. NULL is a process alone,
 * for which every call here is a no-op.
 *
 * A call that says "all" is made by all processes in the same order. A process that waits longer
 * than ranks_limit for the others ends the whole job with exit 4 (the same command continues). */
#ifndef CORE_RANKS_H
#define CORE_RANKS_H

#include "core/err.h"

typedef struct ranks ranks;

/* How many processes the launcher started, by the environment; 1 = alone. */
int ranks_started(void);
int ranks_number(void); /* of this process among them, likewise */
/* All. *out: NULL when alone. ERR_CONFIG without Open MPI, or where the launcher's processes do not
 * find each other. */
MUST_CHECK bool ranks_open(ranks **out, err *e);
void ranks_close(ranks *r); /* all */

int ranks_rank(const ranks *r); /* 0..size-1 */
int ranks_size(const ranks *r);
int ranks_local(const ranks *r);            /* number of this process on its machine */
int ranks_local_size(const ranks *r);       /* processes on this machine */
int ranks_per_cores(const ranks *r);        /* of these, those that may use the very same cores */
void ranks_limit(ranks *r, double seconds); /* 600 at first */
double ranks_patience(const ranks *r);      /* that limit */
/* Ends the whole job at once with this sentence and exit 4: nobody else can be asked any more. */
NORETURN void ranks_give_up(const ranks *r, const char *why);

/* All. Did it go well everywhere? Where not, `e` becomes that of the first process that failed, its
 * number and machine before the message (unless all say the same), and all return false. */
MUST_CHECK bool ranks_agree(ranks *r, bool ok, err *e);
/* All. ERR_CONFIG unless all processes have the same value (up to 127 bytes count). */
MUST_CHECK bool ranks_same(ranks *r, const char *what, const char *value, err *e);
/* All: n bytes of process 0 to every process. */
void ranks_bcast(ranks *r, void *x, size_t n);
/* All: n bytes of each into all[size * n], by number of process. */
void ranks_gather(ranks *r, const void *mine, size_t n, void *all);

/* All. x[n] becomes the sum of the x of processes 0 .. active-1, added as a balanced tree:
 * ((0 + 1) + (2 + 3)) + ...; the others bring nothing. The same bytes everywhere. The sum runs in
 * the background, sums one after the other; x belongs to it until ranks_sum_wait. */
void ranks_sum_start(ranks *r, float *x, int64_t n, int active);
void ranks_sum_wait(ranks *r);
#endif
