/* Processes of one job over Open MPI. Every call of MPI is made by one background thread, in order:
 * so sums move on while the main thread computes, and MPI needs to know of no other thread. The
 * thread asks and sleeps instead of spinning, since cores are for the work. */
#include "core/ranks.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/pool.h"
#include "core/text.h"

#define LIBRARY       "libmpi.so.40" /* Open MPI 2 to 5 */
#define LIMIT_S       600.0
#define SPEAK_S       2.0 /* the next process waits this much longer: one speaks first */
#define HOST_MAX      64
#define SAME_MAX      128
#define NAP_FIRST_NS  20000
#define NAP_LAST_NS   500000
#define THREAD_FUNNEL 1 /* MPI_THREAD_FUNNELED */

/* Open MPI's binary interface, as far as it is used: handles are pointers to objects that the
 * library exports by name. */
typedef void *handle;
typedef struct mpi {
    int (*Init_thread)(int *argc, char ***argv, int required, int *provided);
    int (*Finalize)(void);
    int (*Abort)(handle comm, int status);
    int (*Comm_rank)(handle comm, int *out);
    int (*Comm_size)(handle comm, int *out);
    int (*Comm_set_errhandler)(handle comm, handle how);
    int (*Error_string)(int code, char *out, int *len);
    int (*Test)(handle *request, int *done, void *status);
    int (*Ibarrier)(handle comm, handle *request);
    int (*Ibcast)(void *x, int n, handle type, int root, handle comm, handle *request);
    int (*Iallgather)(const void *x, int n, handle type, void *all, int each, handle all_type,
                      handle comm, handle *request);
    int (*Ialltoallv)(const void *x, const int *n, const int *at, handle type, void *all,
                      const int *each, const int *all_at, handle all_type, handle comm,
                      handle *request);
    int (*Iallgatherv)(const void *x, int n, handle type, void *all, const int *each, const int *at,
                       handle all_type, handle comm, handle *request);
    handle world, byte, real, returns; /* objects */
} mpi;

/* What every process tells of itself at the start. */
typedef struct seat {
    char host[HOST_MAX];
    cpu_set_t cores;
} seat;

struct ranks {
    mpi m;
    int rank, size, local, local_size, per_cores;
    seat *seat; /* [size] */
    pool_queue *queue;
    double limit;
    float *part; /* room of a sum: a piece of every process; of the thread */
    int64_t part_cap;
};

int ranks_rank(const ranks *r)
{
    return r ? r->rank : 0;
}

int ranks_size(const ranks *r)
{
    return r ? r->size : 1;
}

int ranks_local(const ranks *r)
{
    return r ? r->local : 0;
}

int ranks_local_size(const ranks *r)
{
    return r ? r->local_size : 1;
}

int ranks_per_cores(const ranks *r)
{
    return r ? r->per_cores : 1;
}

void ranks_limit(ranks *r, double seconds)
{
    if (r)
        r->limit = seconds;
}

double ranks_patience(const ranks *r)
{
    return r ? r->limit : LIMIT_S;
}

void ranks_give_up(const ranks *r, const char *why)
{
    fprintf(stderr,
            "mammovit: process %d of %d (%s): %s; the job ends, the same command continues\n",
            ranks_rank(r), ranks_size(r), r ? r->seat[r->rank].host : "alone", why);
    _exit(err_exit(ERR_IO)); /* the launcher ends the others */
}

/* ---- waiting; in the thread ------------------------------------------------------------------ */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The job is over: the launcher ends the other processes. */
static NORETURN void give_up(const ranks *r, const char *why)
{
    fprintf(stderr,
            "mammovit: process %d of %d (%s): %s; the job ends, the same command continues\n",
            r->rank, r->size, r->seat ? r->seat[r->rank].host : "?", why);
    fflush(stderr);
    r->m.Abort(r->m.world, err_exit(ERR_IO));
    _exit(err_exit(ERR_IO));
}

static void must(const ranks *r, int code, const char *what)
{
    char why[1024] = "", line[1200];
    int len = 0;
    if (!code)
        return;
    r->m.Error_string(code, why, &len);
    snprintf(line, sizeof line, "MPI: %s: %s", what, why);
    give_up(r, line);
}

static void wait_for(const ranks *r, handle request, const char *what)
{
    double end = now() + r->limit + SPEAK_S * (r->rank < 30 ? r->rank : 30);
    struct timespec nap = {0, NAP_FIRST_NS};
    for (int done = 0;;) {
        must(r, r->m.Test(&request, &done, NULL), what);
        if (done)
            return;
        if (now() > end) {
            char why[160];
            snprintf(why, sizeof why,
                     "waited %.0f s for the other processes (%s): one has died or hangs", r->limit,
                     what);
            give_up(r, why);
        }
        nanosleep(&nap, NULL);
        nap.tv_nsec = nap.tv_nsec * 2 < NAP_LAST_NS ? nap.tv_nsec * 2 : NAP_LAST_NS;
    }
}

/* ---- small talk ------------------------------------------------------------------------------ */

typedef struct talk {
    ranks *r;
    const void *mine;
    void *all;
    int n;
} talk;

static void gather_job(void *ctx)
{
    talk *k = ctx;
    const mpi *m = &k->r->m;
    handle q;
    must(k->r, m->Iallgather(k->mine, k->n, m->byte, k->all, k->n, m->byte, m->world, &q),
         "gather");
    wait_for(k->r, q, "gather");
}

static void bcast_job(void *ctx)
{
    talk *k = ctx;
    const mpi *m = &k->r->m;
    handle q;
    must(k->r, m->Ibcast(k->all, k->n, m->byte, 0, m->world, &q), "broadcast");
    wait_for(k->r, q, "broadcast");
}

static void say(pool_queue_fn *job, talk *k)
{
    pool_queue_add(k->r->queue, job, k);
    pool_queue_wait(k->r->queue);
}

void ranks_gather(ranks *r, const void *mine, size_t n, void *all)
{
    if (n > INT32_MAX)
        BUG("ranks: %zu bytes at once", n);
    if (r)
        say(gather_job, &(talk){r, mine, all, (int)n});
    else
        memcpy(all, mine, n);
}

void ranks_bcast(ranks *r, void *x, size_t n)
{
    if (n > INT32_MAX)
        BUG("ranks: %zu bytes at once", n);
    if (r)
        say(bcast_job, &(talk){r, NULL, x, (int)n});
}

bool ranks_agree(ranks *r, bool ok, err *e)
{
    if (!r)
        return ok;
    err mine = {0}, *all = MEM_ARRAY(err, r->size);
    if (!ok)
        mine = e ? *e : (err){ERR_IO, "it failed"};
    ranks_gather(r, &mine, sizeof mine, all);
    int first = 0, alike = 0;
    while (first < r->size && !all[first].code)
        first++;
    for (int i = 0; i < r->size && first < r->size; i++)
        alike += all[i].code == all[first].code && !strcmp(all[i].msg, all[first].msg);
    bool good = first == r->size;
    if (!good && alike == r->size)
        err_set(e, all[first].code, "%s", all[first].msg);
    else if (!good)
        err_set(e, all[first].code, "process %d of %d (%s): %s", first, r->size,
                r->seat[first].host, all[first].msg);
    mem_free(all);
    return good;
}

bool ranks_same(ranks *r, const char *what, const char *value, err *e)
{
    if (!r)
        return true;
    char mine[SAME_MAX] = "", (*all)[SAME_MAX] = mem_calloc((size_t)r->size, SAME_MAX);
    text_copy(mine, sizeof mine, value);
    ranks_gather(r, mine, sizeof mine, all);
    bool same = true;
    for (int i = 1; i < r->size && same; i++)
        if (strcmp(all[i], all[0]))
            same = err_set(e, ERR_CONFIG,
                           "%s of process %d (%s) is %s, of process 0 (%s) it is %s; all must have "
                           "the same",
                           what, i, r->seat[i].host, all[i], r->seat[0].host, all[0]);
    mem_free(all);
    return same;
}

/* ---- sums ------------------------------------------------------------------------------------ */

typedef struct sum {
    ranks *r;
    float *x;
    int64_t n;
    int active;
} sum;

/* Elements of piece p; every process adds up one piece. */
static int piece(const sum *s, int p, int64_t *at)
{
    int64_t each = (s->n + s->r->size - 1) / s->r->size;
    *at = each * p < s->n ? each * p : s->n;
    return (int)(s->n - *at < each ? s->n - *at : each);
}

/* part[active][n]: part[0] becomes the sum. */
static FAST_LOOPS void add_tree(float *part, int active, int64_t n)
{
    for (int step = 1; step < active; step *= 2)
        for (int i = 0; i + step < active; i += 2 * step) {
            float *to = part + i * n;
            const float *from = part + (i + step) * n;
            for (int64_t k = 0; k < n; k++)
                to[k] += from[k];
        }
}

/* Piece p of every process that brings something goes to process p, which adds them up and hands
 * the sum round: each process sends and receives twice its share of x, as the best all-reduce does,
 * and the order of the additions is ours. */
static void sum_job(void *ctx)
{
    sum *s = ctx;
    ranks *r = s->r;
    const mpi *m = &r->m;
    int *count = MEM_ARRAY(int, 6 * r->size), *give = count, *give_at = count + r->size,
        *take = count + 2 * r->size, *take_at = count + 3 * r->size, *own = count + 4 * r->size,
        *own_at = count + 5 * r->size;
    int64_t at;
    int mine = piece(s, r->rank, &at);
    for (int p = 0; p < r->size; p++) {
        own[p] = piece(s, p, &at);
        own_at[p] = give_at[p] = (int)at;
        give[p] = r->rank < s->active ? own[p] : 0;
        take[p] = p < s->active ? mine : 0;
        take_at[p] = p < s->active ? p * mine : 0;
    }
    int64_t room = (int64_t)mine * s->active;
    if (room > r->part_cap) {
        mem_free(r->part);
        r->part = mem_alloc((size_t)room * sizeof(float));
        r->part_cap = room;
    }
    handle q;
    must(r,
         m->Ialltoallv(s->x, give, give_at, m->real, r->part, take, take_at, m->real, m->world, &q),
         "sum");
    wait_for(r, q, "sum");
    add_tree(r->part, s->active, mine);
    must(r, m->Iallgatherv(r->part, mine, m->real, s->x, own, own_at, m->real, m->world, &q),
         "sum");
    wait_for(r, q, "sum");
    mem_free(count);
    mem_free(s);
}

void ranks_sum_start(ranks *r, float *x, int64_t n, int active)
{
    if (!r || n == 0)
        return;
    if (n < 0 || n > INT32_MAX || active < 1 || active > r->size)
        BUG("ranks: sum of %lld over %d of %d", (long long)n, active, r->size);
    sum *s = MEM_NEW(sum);
    *s = (sum){r, x, n, active};
    pool_queue_add(r->queue, sum_job, s);
}

void ranks_sum_wait(ranks *r)
{
    if (r)
        pool_queue_wait(r->queue);
}

/* ---- begin and end --------------------------------------------------------------------------- */

static int number(const char *name)
{
    int64_t n;
    const char *s = getenv(name);
    return s && text_i64(s, &n) && n > 0 && n < 1 << 20 ? (int)n : 0;
}

/* SLURM_NTASKS stands in a batch script too, which is one process; the number of a step does not.
 */
int ranks_started(void)
{
    int n = number("OMPI_COMM_WORLD_SIZE");
    n = n ? n : number("SLURM_STEP_NUM_TASKS");
    return n ? n : 1;
}

int ranks_number(void)
{
    int n = number("OMPI_COMM_WORLD_RANK");
    return n || getenv("OMPI_COMM_WORLD_RANK") ? n : number("SLURM_PROCID");
}

static bool load(mpi *m, err *e)
{
    void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_GLOBAL); /* its own plug-ins look into it */
    if (!lib) {
        const char *why = dlerror();
        return err_set(e, ERR_CONFIG,
                       "started as %d processes, but Open MPI's %s was not found (%s)",
                       ranks_started(), LIBRARY, why ? why : "");
    }
    const struct {
        const char *name;
        void *to;
    } want[] = {
        {"MPI_Init_thread", &m->Init_thread},
        {"MPI_Finalize", &m->Finalize},
        {"MPI_Abort", &m->Abort},
        {"MPI_Comm_rank", &m->Comm_rank},
        {"MPI_Comm_size", &m->Comm_size},
        {"MPI_Comm_set_errhandler", &m->Comm_set_errhandler},
        {"MPI_Error_string", &m->Error_string},
        {"MPI_Test", &m->Test},
        {"MPI_Ibarrier", &m->Ibarrier},
        {"MPI_Ibcast", &m->Ibcast},
        {"MPI_Iallgather", &m->Iallgather},
        {"MPI_Ialltoallv", &m->Ialltoallv},
        {"MPI_Iallgatherv", &m->Iallgatherv},
        {"ompi_mpi_comm_world", &m->world},
        {"ompi_mpi_byte", &m->byte},
        {"ompi_mpi_float", &m->real},
        {"ompi_mpi_errors_return", &m->returns},
    };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        void *at = dlsym(lib, want[i].name);
        if (!at)
            return err_set(e, ERR_CONFIG, "%s is not Open MPI's: it has no %s", LIBRARY,
                           want[i].name);
        memcpy(want[i].to, &at, sizeof at);
    }
    return true;
}

static void begin_job(void *ctx)
{
    ranks *r = ctx;
    int level = 0;
    must(r, r->m.Init_thread(NULL, NULL, THREAD_FUNNEL, &level), "MPI_Init_thread");
    must(r, r->m.Comm_set_errhandler(r->m.world, r->m.returns), "error handler");
    must(r, r->m.Comm_rank(r->m.world, &r->rank), "MPI_Comm_rank");
    must(r, r->m.Comm_size(r->m.world, &r->size), "MPI_Comm_size");
}

/* Waiting for the others has a limit here, which MPI_Finalize has not. */
static void end_job(void *ctx)
{
    ranks *r = ctx;
    handle q;
    must(r, r->m.Ibarrier(r->m.world, &q), "end");
    wait_for(r, q, "end");
    must(r, r->m.Finalize(), "MPI_Finalize");
}

/* Who sits where. */
static void meet(ranks *r)
{
    seat mine = {0};
    gethostname(mine.host, sizeof mine.host - 1);
    sched_getaffinity(0, sizeof mine.cores, &mine.cores);
    seat *all = MEM_ARRAY(seat, r->size);
    ranks_gather(r, &mine, sizeof mine, all);
    r->seat = all;
    for (int i = 0; i < r->size; i++) {
        bool here = !strcmp(all[i].host, mine.host);
        r->local += here && i < r->rank;
        r->local_size += here;
        r->per_cores += here && CPU_EQUAL(&all[i].cores, &mine.cores);
    }
}

bool ranks_open(ranks **out, err *e)
{
    int want = ranks_started();
    *out = NULL;
    if (want == 1)
        return true;
    ranks *r = MEM_NEW(ranks);
    if (!load(&r->m, e)) {
        mem_free(r);
        return false;
    }
    r->limit = LIMIT_S;
    r->queue = pool_queue_new();
    pool_queue_add(r->queue, begin_job, r);
    pool_queue_wait(r->queue);
    if (r->size != want) {
        err_set(e, ERR_CONFIG,
                "the launcher started %d processes, MPI has joined %d: start them with mpirun of "
                "the same Open MPI, or with srun --mpi=pmix",
                want, r->size);
        ranks_close(r);
        return false;
    }
    meet(r);
    *out = r;
    return true;
}

void ranks_close(ranks *r)
{
    if (!r)
        return;
    pool_queue_add(r->queue, end_job, r);
    pool_queue_wait(r->queue);
    pool_queue_free(r->queue);
    mem_free(r->part);
    mem_free(r->seat);
    mem_free(r);
}
