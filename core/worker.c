/* Isolated child processes. Three parties: the program, the nursery (a fork of the program made
 * before any thread exists, which forks, kills and reaps) and the workers. The program talks to
 * the nursery and to each worker over SOCK_SEQPACKET; descriptors travel as SCM_RIGHTS; the reply
 * lies in a memfd of sealed size, so that a worker cannot make the program fault. All sockets and
 * PDEATHSIG lead back to the program: when it dies, by whatever means, nobody is left. */
#include "core/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WORKER_CAP_MEMORY false /* the shadow memory of the sanitizers needs terabytes */
#else
#define WORKER_CAP_MEMORY true
#endif

#define WORKER_ARG_MAX     ((size_t)64 * 1024)
#define WORKER_EXIT_MEMORY 5  /* the status core/mem.h ends with */
#define WORKER_EXIT_IO     90 /* the input shrank or could not be read while it was mapped */
#define WORKER_EXIT_SETUP  91
#define WORKER_NULL_PAGE   65536
#define WORKER_READY_MS    60000
#define WORKER_TRIES       3
#define WORKER_FORK_TRIES  100
#define WORKER_FORK_MS     50
#define WORKER_REPORT_FD   256 /* out of the way of every other descriptor */

/* Exists in sanitizer builds only. */
WEAK void __sanitizer_set_report_fd(void *fd);

typedef enum nursery_op { NURSERY_SPAWN = 1, NURSERY_REAP } nursery_op;

typedef struct nursery_request {
    nursery_op op;
    pid_t pid;        /* NURSERY_REAP */
    size_t memory;    /* NURSERY_SPAWN */
    size_t reply_cap; /* NURSERY_SPAWN: of one input */
    int batch;        /* NURSERY_SPAWN */
} nursery_request;

typedef struct nursery_reply {
    int error;  /* errno of a failed fork, or 0 */
    pid_t pid;  /* NURSERY_SPAWN */
    int status; /* NURSERY_REAP: of waitpid */
} nursery_reply;

typedef struct call_head {
    int task;
    int first, n;     /* slots first..n-1 are to be filled; one descriptor for each */
    uint64_t request; /* counts the messages of one worker */
    size_t arg_len;
    size_t data_len[WORKER_BATCH];
} call_head;

/* A message of a child: that it is ready, or that all of a request is done. */
typedef struct call_tail {
    int ready;
} call_tail;

/* The start of the shared memory; the replies follow it, one slot for each input. The child alone
 * writes it, so the program believes none of it. */
typedef struct call_board {
    uint64_t request; /* that `done` speaks of: the child may die before it sees the next one */
    int done;         /* inputs finished, which tells the program whose fault a death was */
    struct board_slot {
        int io_error; /* the input could not be mapped */
        int memory;   /* ... because of the memory limit */
        size_t reply_len;
    } slot[WORKER_BATCH];
} call_board;
#define BOARD_BYTES ((size_t)4096)
_Static_assert(sizeof(call_board) <= BOARD_BYTES, "the board fits before the replies");

struct worker {
    worker_limits limits;
    int batch;       /* slots */
    int socket, shm; /* -1 while there is none */
    pid_t pid;
    uint64_t request;
    const call_board *board; /* the shared memory */
};

static struct {
    const worker_task *tasks;
    int n_tasks;
    pid_t owner, nursery;
    int socket;
    bool running, sandboxed, at_exit;
    pthread_mutex_t lock; /* one request to the nursery at a time */
} w_state = {.socket = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- messages -------------------------------------------------------------------------------- */

/* Send head, body and up to WORKER_BATCH descriptors as one packet. False: the other side is gone.
 */
static bool packet_send(int fd, const void *head, size_t head_len, const void *body,
                        size_t body_len, const int *fds, size_t n_fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(WORKER_BATCH * sizeof(int))];
    } control;
    struct iovec iov[2] = {{(void *)(uintptr_t)head, head_len},
                           {(void *)(uintptr_t)body, body_len}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = body_len ? 2 : 1};
    if (n_fds) {
        memset(&control, 0, sizeof(control));
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    ssize_t n;
    do {
        n = sendmsg(fd, &m, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)(head_len + body_len);
}

/* Receive one packet with its descriptors (-1 where absent). Length, 0 at the end, or -1. */
static ssize_t packet_receive(int fd, void *buf, size_t cap, int fds[WORKER_BATCH])
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(WORKER_BATCH * sizeof(int))];
    } control;
    struct iovec iov = {buf, cap};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    m.msg_control = control.bytes;
    m.msg_controllen = sizeof(control.bytes);
    for (int i = 0; i < WORKER_BATCH; i++)
        fds[i] = -1;
    ssize_t n;
    do {
        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        size_t bytes = c->cmsg_len - CMSG_LEN(0);
        size_t room = WORKER_BATCH * sizeof(int);
        memcpy(fds, CMSG_DATA(c), bytes <= room ? bytes : room);
    }
    return n;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- in the child: input --------------------------------------------------------------------- */

static const char *volatile child_input;
static volatile size_t child_input_len;

/* _exit by hand, and not declared NORETURN: AddressSanitizer's wrappers of such calls open files
 * and look for leaks, which the filter refuses. */
static void child_exit(int status)
{
    syscall(SYS_exit_group, status);
}

/* A fault inside the mapped input is a read error; a NULL dereference or an abort right after a
 * failed allocation is the memory limit; all else dies by its signal (SA_RESETHAND). */
static void child_fault(int sig, siginfo_t *info, void *context)
{
    (void)context;
    uintptr_t at = (uintptr_t)info->si_addr;
    uintptr_t lo = (uintptr_t)child_input;
    if (sig == SIGBUS && lo && at >= lo && at - lo < child_input_len + WORKER_NULL_PAGE)
        child_exit(WORKER_EXIT_IO);
    if (errno == ENOMEM && (sig == SIGABRT || (sig == SIGSEGV && at < WORKER_NULL_PAGE)))
        child_exit(WORKER_EXIT_MEMORY);
    if (info->si_code <= 0) /* sent by raise(), so nothing faults again: deliver it once more */
        raise(sig);
}

static void child_signals(void)
{
    static char stack[64 * 1024];
    stack_t alt = {.ss_sp = stack, .ss_size = sizeof(stack)};
    sigaltstack(&alt, NULL);
    static const int caught[] = {SIGBUS, SIGSEGV, SIGABRT};
    for (size_t i = 0; i < COUNT_OF(caught); i++) {
        struct sigaction sa = {.sa_sigaction = child_fault};
        sa.sa_flags = (int)(SA_SIGINFO | SA_RESETHAND | SA_ONSTACK);
        sigemptyset(&sa.sa_mask);
        sigaction(caught[i], &sa, NULL);
    }
    /* Handlers of the program would run its code here (a jump back into a test, for instance). */
    static const int deadly[] = {SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    for (size_t i = 0; i < COUNT_OF(deadly); i++)
        signal(deadly[i], SIG_DFL);
}

/* Ctrl-C reaches the whole process group; only the program decides when its children end. */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE};
    for (size_t i = 0; i < COUNT_OF(ignored); i++)
        signal(ignored[i], SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* ---- in the child: limits and filter --------------------------------------------------------- */

static bool filter_load(void)
{
    static const int allowed[] = {SCMP_SYS(read),
                                  SCMP_SYS(write),
                                  SCMP_SYS(recvmsg),
                                  SCMP_SYS(sendmsg),
                                  SCMP_SYS(mmap),
                                  SCMP_SYS(munmap),
                                  SCMP_SYS(mremap),
                                  SCMP_SYS(mprotect),
                                  SCMP_SYS(madvise),
                                  SCMP_SYS(brk),
                                  SCMP_SYS(futex),
                                  SCMP_SYS(clock_gettime),
                                  SCMP_SYS(gettimeofday),
                                  SCMP_SYS(time),
                                  SCMP_SYS(getrandom),
                                  SCMP_SYS(rt_sigreturn),
                                  SCMP_SYS(rt_sigaction),
                                  SCMP_SYS(rt_sigprocmask),
                                  SCMP_SYS(sigaltstack),
                                  SCMP_SYS(exit),
                                  SCMP_SYS(exit_group),
                                  SCMP_SYS(close),
                                  SCMP_SYS(fstat),
                                  SCMP_SYS(lseek),
                                  SCMP_SYS(pread64),
                                  SCMP_SYS(sched_yield),
                                  SCMP_SYS(getpid),
                                  SCMP_SYS(gettid),
                                  SCMP_SYS(restart_syscall),
                                  SCMP_SYS(poll)};
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!c)
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < COUNT_OF(allowed); i++)
        ok = seccomp_rule_add(c, SCMP_ACT_ALLOW, allowed[i], 0) == 0;
    /* fstat of glibc is newfstatat(fd, "", AT_EMPTY_PATH); it shows metadata at most. */
    ok = ok && seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
                                SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH)) == 0;
    /* abort() signals the own process only. */
    ok = ok && seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid())) == 0;
    ok = ok && seccomp_load(c) == 0;
    seccomp_release(c);
    return ok;
}

/* True if the filter loads here and really refuses to open a file. */
static bool filter_probe(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        bool ok = filter_load() && open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 && errno == EPERM;
        child_exit(ok ? 0 : 1);
    }
    int status = 1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The smallest limit under which one more page can be mapped. */
static bool address_probe(size_t *bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), lo = 0, hi = ((size_t)1 << 47) / page;
    struct rlimit old;
    if (getrlimit(RLIMIT_AS, &old) != 0)
        return false;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        struct rlimit r = {.rlim_cur = mid * page, .rlim_max = old.rlim_max};
        if (r.rlim_cur > r.rlim_max || setrlimit(RLIMIT_AS, &r) != 0) {
            hi = mid;
            continue;
        }
        void *p = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p != MAP_FAILED)
            munmap(p, page);
        *(p == MAP_FAILED ? &lo : &hi) = mid;
    }
    *bytes = hi * page;
    return setrlimit(RLIMIT_AS, &old) == 0;
}

/* Address space in use; a bare chroot has no /proc to ask. */
static bool address_space(size_t *bytes)
{
    char buf[64] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return address_probe(bytes);
    ssize_t n = read(fd, buf, sizeof(buf) - 1);
    close(fd);
    if (n <= 0)
        return false;
    *bytes = (size_t)strtoull(buf, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
    return *bytes > 0;
}

static void set_limit(int what, size_t bytes)
{
    struct rlimit r = {.rlim_cur = bytes, .rlim_max = bytes};
    if (setrlimit((__rlimit_resource_t)what, &r) != 0)
        _exit(WORKER_EXIT_SETUP);
}

/* What a sanitizer finds in a worker, which has no stderr and may open nothing, goes to the file
 * the tests name in MAMMOVIT_TEST_REPORTS; it would be one more crash of a decoder otherwise. */
static bool keep_report(void)
{
    const char *path = __sanitizer_set_report_fd ? getenv("MAMMOVIT_TEST_REPORTS") : NULL;
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    int high = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, WORKER_REPORT_FD) : -1;
    close_fd(&fd);
    if (high >= 0)
        __sanitizer_set_report_fd((void *)(intptr_t)high);
    return high >= 0;
}

static void set_limits(size_t memory)
{
    set_limit(RLIMIT_CORE, 0);
    if (!keep_report())
        set_limit(RLIMIT_FSIZE, 0);
    size_t now;
    if (!memory || !WORKER_CAP_MEMORY)
        return;
    if (!address_space(&now))
        _exit(WORKER_EXIT_SETUP);
    if (memory < SIZE_MAX - now)
        set_limit(RLIMIT_AS, now + memory);
}

/* Descriptors `keep` become 3, 4, ...; 0 to 2 become /dev/null (a decoder's talk may name a
 * patient); everything else is closed. */
static void only_descriptors(const int *keep, int n)
{
    int high[2] = {-1, -1};
    for (int i = 0; i < n; i++)
        high[i] = fcntl(keep[i], F_DUPFD_CLOEXEC, 16);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool ok = null >= 0;
    for (int i = 0; i < 3; i++)
        ok = ok && dup2(null, i) == i;
    for (int i = 0; i < n; i++)
        ok = ok && high[i] >= 0 && dup2(high[i], 3 + i) == 3 + i;
    if (!ok)
        _exit(WORKER_EXIT_SETUP);
    if (close_range((unsigned)(3 + n), ~0u, 0) == 0)
        return;
    long max = sysconf(_SC_OPEN_MAX);
    for (int fd = 3 + n; fd < (max > 0 && max < 65536 ? (int)max : 65536); fd++)
        close(fd);
}

static void die_with_parent(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(WORKER_EXIT_SETUP);
}

/* ---- in the child: requests ------------------------------------------------------------------ */

static void serve_one(const call_head *h, const char *arg, int slot, int fd, call_board *board,
                      size_t cap)
{
    struct board_slot *t = &board->slot[slot];
    size_t len = h->data_len[slot];
    char *reply = (char *)board + BOARD_BYTES + (size_t)slot * cap;
    void *data = NULL;
    memset(t, 0, sizeof(*t));
    if (len) {
        data = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            t->io_error = 1;
            t->memory = errno == ENOMEM;
            data = NULL;
        }
    }
    close(fd);
    if (!t->io_error) {
        child_input = data;
        child_input_len = len;
        errno = 0;
        const worker_task *task = &w_state.tasks[h->task];
        t->reply_len = task->fn(data ? data : "", len, arg, h->arg_len, reply, cap);
        child_input = NULL;
        if (t->reply_len > cap)
            BUG("worker task %s: reply of %zu bytes, room for %zu", task->name, t->reply_len, cap);
    }
    if (data)
        munmap(data, len);
}

/* Runs one request; false if no reply can be given any more. */
static bool child_serve(const char *packet, size_t len, const int *fds, const nursery_request *q,
                        call_board *board)
{
    static char arg[WORKER_ARG_MAX] __attribute__((aligned(64)));
    call_head h;
    memcpy(&h, packet, sizeof(h));
    if (h.task < 0 || h.task >= w_state.n_tasks || h.arg_len != len - sizeof(h) || h.first < 0 ||
        h.first >= h.n || h.n > q->batch)
        _exit(WORKER_EXIT_SETUP);
    if (h.arg_len)
        memcpy(arg, packet + sizeof(h), h.arg_len);
    __atomic_store_n(&board->done, h.first, __ATOMIC_RELEASE);
    __atomic_store_n(&board->request, h.request, __ATOMIC_RELEASE);
    for (int i = h.first; i < h.n; i++) {
        serve_one(&h, arg, i, fds[i - h.first], board, q->reply_cap);
        __atomic_store_n(&board->done, i + 1, __ATOMIC_RELEASE);
    }
    call_tail t = {0};
    return packet_send(3, &t, sizeof(t), NULL, 0, NULL, 0);
}

/* All of the memory that a worker shares with the program. */
static size_t shared_bytes(size_t reply_cap, int batch)
{
    return BOARD_BYTES + reply_cap * (size_t)batch;
}

NORETURN static void child_main(const nursery_request *q, const int fds[2], pid_t nursery)
{
    static char packet[sizeof(call_head) + WORKER_ARG_MAX];
    prctl(PR_SET_NAME, "mammovit-work");
    die_with_parent(nursery);
    only_descriptors(fds, 2);
    call_board *board =
        mmap(NULL, shared_bytes(q->reply_cap, q->batch), PROT_READ | PROT_WRITE, MAP_SHARED, 4, 0);
    if (board == MAP_FAILED)
        _exit(WORKER_EXIT_SETUP);
    close(4);
    prctl(PR_SET_DUMPABLE, 0);
    for (int i = 0; i < w_state.n_tasks; i++) {
        if (w_state.tasks[i].init)
            w_state.tasks[i].init();
    }
    child_signals();
    set_limits(q->memory);
    if (w_state.sandboxed && !filter_load())
        _exit(WORKER_EXIT_SETUP);
    call_tail hello = {.ready = 1};
    bool go_on = packet_send(3, &hello, sizeof(hello), NULL, 0, NULL, 0);
    while (go_on) {
        int in[WORKER_BATCH];
        ssize_t n = packet_receive(3, packet, sizeof(packet), in);
        if (n < (ssize_t)sizeof(call_head))
            break;
        go_on = child_serve(packet, (size_t)n, in, q, board);
    }
    for (;;)
        child_exit(0);
}

/* ---- the nursery ----------------------------------------------------------------------------- */

NORETURN static void nursery_main(int socket, pid_t program)
{
    prctl(PR_SET_NAME, "mammovit-nurse");
    ignore_signals();
    die_with_parent(program);
    only_descriptors(&socket, 1);
    set_limit(RLIMIT_CORE, 0);
    pid_t self = getpid();
    w_state.sandboxed = filter_probe();
    bool ok = packet_send(3, &w_state.sandboxed, sizeof(bool), NULL, 0, NULL, 0);
    while (ok) {
        nursery_request q;
        nursery_reply r = {0};
        int fds[WORKER_BATCH];
        if (packet_receive(3, &q, sizeof(q), fds) != (ssize_t)sizeof(q))
            break;
        if (q.op == NURSERY_SPAWN) {
            r.pid = fork();
            if (r.pid == 0)
                child_main(&q, fds, self);
            r.error = r.pid < 0 ? errno : 0;
        } else {
            /* A child that is dead already keeps the status it died with. */
            kill(q.pid, SIGKILL);
            while (waitpid(q.pid, &r.status, 0) < 0 && errno == EINTR)
                continue;
        }
        close_fd(&fds[0]);
        close_fd(&fds[1]);
        ok = packet_send(3, &r, sizeof(r), NULL, 0, NULL, 0);
    }
    _exit(0);
}

/* Without the nursery every further file would count as a crash of its decoder; the run ends
 * instead, resumable. */
NORETURN static void worker_fatal(const char *why)
{
    int error = errno;
    char text[128] = "";
    const char *s = strerror_r(error, text, sizeof(text));
    log_error("worker_failed", "reason=\"%s\" error=\"%s\"", why, s);
    _exit(err_exit(ERR_MEMORY));
}

static nursery_reply nursery_ask(const nursery_request *q, const int *fds, size_t n_fds)
{
    nursery_reply r;
    int none[WORKER_BATCH];
    pthread_mutex_lock(&w_state.lock);
    if (!w_state.running)
        BUG("worker: used before worker_start or after worker_stop");
    if (!packet_send(w_state.socket, q, sizeof(*q), NULL, 0, fds, n_fds) ||
        packet_receive(w_state.socket, &r, sizeof(r), none) != (ssize_t)sizeof(r))
        worker_fatal("the process that starts the workers is gone");
    pthread_mutex_unlock(&w_state.lock);
    return r;
}

bool worker_start(const worker_task *tasks, int n_tasks, err *e)
{
    if (w_state.running)
        BUG("worker_start: called twice");
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_errno(e, "workers: cannot make a socket pair");
    w_state.tasks = tasks;
    w_state.n_tasks = n_tasks;
    w_state.owner = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        err_errno(e, "workers: cannot fork");
        close(pair[0]);
        close(pair[1]);
        return false;
    }
    if (pid == 0)
        nursery_main(pair[1], w_state.owner);
    close(pair[1]);
    w_state.nursery = pid;
    w_state.socket = pair[0];
    w_state.running = true;
    int none[WORKER_BATCH];
    if (packet_receive(pair[0], &w_state.sandboxed, sizeof(bool), none) != (ssize_t)sizeof(bool)) {
        worker_stop();
        return err_set(e, ERR_IO, "workers: the process that starts them did not come up");
    }
    if (!w_state.at_exit && atexit(worker_stop) == 0)
        w_state.at_exit = true;
    if (!w_state.sandboxed)
        log_warn("worker_sandbox", "seccomp=unavailable protection=\"resource limits only\"");
    return true;
}

void worker_stop(void)
{
    if (!w_state.running || w_state.owner != getpid())
        return;
    pthread_mutex_lock(&w_state.lock);
    w_state.running = false;
    close_fd(&w_state.socket);
    while (waitpid(w_state.nursery, NULL, 0) < 0 && errno == EINTR)
        continue;
    pthread_mutex_unlock(&w_state.lock);
}

bool worker_sandboxed(void)
{
    return w_state.sandboxed;
}

/* ---- one worker, seen from the program ------------------------------------------------------- */

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Anonymous memory of a size that nobody can change any more. */
static int sealed_memory(const char *name, size_t size)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        worker_fatal("cannot make shared memory");
    return fd;
}

static worker *make_worker(const worker_limits *limits, int batch)
{
    worker *w = MEM_NEW(worker);
    w->limits = *limits;
    w->batch = batch;
    w->socket = -1;
    w->shm = -1;
    /* every slot starts on a boundary that suits any struct */
    w->limits.reply_cap = (limits->reply_cap + 63 + !limits->reply_cap) / 64 * 64;
    return w;
}

worker *worker_new(const worker_limits *limits)
{
    return make_worker(limits, 1);
}

worker *worker_new_batch(const worker_limits *limits)
{
    return make_worker(limits, WORKER_BATCH);
}

/* Kill and reap the child; its wait status. */
static int worker_end(worker *w)
{
    nursery_request q = {.op = NURSERY_REAP, .pid = w->pid};
    nursery_reply r = nursery_ask(&q, NULL, 0);
    close_fd(&w->socket);
    w->pid = 0;
    return r.status;
}

void worker_free(worker *w)
{
    if (!w)
        return;
    if (w->pid && w_state.running && w_state.owner == getpid())
        worker_end(w);
    close_fd(&w->socket);
    close_fd(&w->shm);
    if (w->board)
        munmap((void *)(uintptr_t)w->board, shared_bytes(w->limits.reply_cap, w->batch));
    mem_free(w);
}

/* Inputs of the present request that are finished, as the child says; -1 = it has not begun. */
static int board_done(const worker *w)
{
    if (__atomic_load_n(&w->board->request, __ATOMIC_ACQUIRE) != w->request)
        return -1;
    return __atomic_load_n(&w->board->done, __ATOMIC_ACQUIRE);
}

/* Wait for one message: 1 it is there, 0 the child is gone, -1 the time is over. The time counts
 * from the last input that was finished; `n` inputs are looked at in steps of a quarter of it. */
static int worker_wait(worker *w, int n, call_tail *t, double seconds)
{
    double end = now_seconds() + seconds, step = n > 1 ? 250 * seconds : 1e6;
    int done = board_done(w);
    for (;;) {
        int now = board_done(w);
        if (now > done && now <= n) { /* at most n times, whatever the child writes there */
            done = now;
            end = now_seconds() + seconds;
        }
        double left = seconds > 0 ? (end - now_seconds()) * 1000.0 : 1e6;
        if (left <= 0)
            return -1;
        struct pollfd p = {.fd = w->socket, .events = POLLIN};
        int got = poll(&p, 1, (int)ceil(left < step ? left : step));
        if (got < 0 && errno != EINTR)
            worker_fatal("cannot wait for a worker");
        if (got <= 0)
            continue;
        ssize_t len;
        do {
            len = recv(w->socket, t, sizeof(*t), 0);
        } while (len < 0 && errno == EINTR);
        return len == (ssize_t)sizeof(*t);
    }
}

static void worker_spawn(worker *w)
{
    if (w->shm < 0) {
        size_t bytes = shared_bytes(w->limits.reply_cap, w->batch);
        w->shm = sealed_memory("mammovit-reply", bytes);
        void *p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, w->shm, 0);
        if (p == MAP_FAILED)
            worker_fatal("cannot map shared memory");
        w->board = p;
    }
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        worker_fatal("cannot make a socket pair");
    nursery_request q = {.op = NURSERY_SPAWN,
                         .memory = w->limits.memory,
                         .reply_cap = w->limits.reply_cap,
                         .batch = w->batch};
    nursery_reply r = {.error = EAGAIN};
    for (int i = 0; i < WORKER_FORK_TRIES && r.error; i++) {
        if (i)
            poll(NULL, 0, WORKER_FORK_MS);
        r = nursery_ask(&q, (const int[]){pair[1], w->shm}, 2);
    }
    close(pair[1]);
    errno = r.error;
    if (r.error)
        worker_fatal("cannot fork a worker");
    w->socket = pair[0];
    w->pid = r.pid;
    call_tail t;
    if (worker_wait(w, 0, &t, WORKER_READY_MS / 1000.0) != 1 || !t.ready) {
        worker_end(w);
        errno = 0;
        worker_fatal("a worker did not come up");
    }
}

static worker_result result_of(int status)
{
    if (WIFSIGNALED(status)) /* SIGKILL that is not ours: the kernel was out of memory */
        return WTERMSIG(status) == SIGKILL ? WORKER_LIMIT : WORKER_CRASH;
    if (WEXITSTATUS(status) == WORKER_EXIT_IO)
        return WORKER_IO;
    return WEXITSTATUS(status) == WORKER_EXIT_MEMORY ? WORKER_LIMIT : WORKER_CRASH;
}

/* A descriptor of the request's input, or -1; *len is its size. */
static int open_input(const char *path, const void *data, size_t *len)
{
    if (!path) {
        int fd = memfd_create("mammovit-input", MFD_CLOEXEC);
        if (fd < 0)
            worker_fatal("cannot make shared memory");
        for (size_t done = 0; done < *len;) {
            ssize_t n = write(fd, (const char *)data + done, *len - done);
            if (n < 0 && errno != EINTR)
                worker_fatal("cannot fill shared memory");
            done += n > 0 ? (size_t)n : 0;
        }
        return fd;
    }
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)))
        close_fd(&fd);
    if (fd >= 0)
        *len = (size_t)st.st_size;
    return fd;
}

/* What slot i holds after the child said that it was done. What comes from a worker is foreign: it
 * has seen foreign bytes. */
static worker_answer answer_of(const worker *w, int i)
{
    struct board_slot s = w->board->slot[i];
    if (s.io_error)
        return (worker_answer){.result = s.memory ? WORKER_LIMIT : WORKER_IO};
    if (s.reply_len > w->limits.reply_cap)
        return (worker_answer){.result = WORKER_CRASH};
    return (worker_answer){WORKER_OK,
                           (const char *)w->board + BOARD_BYTES + (size_t)i * w->limits.reply_cap,
                           s.reply_len};
}

/* One round: the inputs first..n-1 go to a child. Returns how many have an answer now, n when all
 * went well; if the child died over input k, k + 1, and *tries counts the deaths that were not its
 * fault. */
static int one_round(worker *w, call_head *h, const void *arg, const int *fds, int *tries,
                     worker_answer *out)
{
    int got = 0, status = 0, n = h->n;
    call_tail t = {0};
    if (!w->pid)
        worker_spawn(w);
    h->request = ++w->request;
    if (packet_send(w->socket, h, sizeof(*h), arg, h->arg_len, fds + h->first,
                    (size_t)(n - h->first)))
        got = worker_wait(w, n, &t, w->limits.seconds);
    int done = board_done(w);
    if (got > 0 && (t.ready || done != n))
        got = 0, done = h->first; /* no child of ours says so */
    if (got <= 0) {
        status = worker_end(w);
        if (done < h->first || done > n)
            done = h->first; /* it never began, or lies */
    }
    for (int i = h->first; i < done; i++)
        out[i] = answer_of(w, i);
    if (done == n)
        return n;
    if (done > h->first)
        *tries = 0;
    /* SIGKILL comes from outside, most often for the memory of the machine, and may have met the
     * worker before this request: such a file gets a second chance. */
    if (got == 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && ++*tries < WORKER_TRIES)
        return done;
    *tries = 0;
    out[done] = (worker_answer){.result = got < 0 ? WORKER_LIMIT : result_of(status)};
    return done + 1;
}

static void run_all(worker *w, call_head *h, const void *arg, const int *fds, worker_answer *out)
{
    int tries = 0;
    while (h->first < h->n)
        h->first = one_round(w, h, arg, fds, &tries, out);
    for (int i = 0; i < h->n; i++)
        close(fds[i]);
}

static void check_call(const worker *w, int task, int n, size_t arg_len)
{
    if (task < 0 || task >= w_state.n_tasks || arg_len > WORKER_ARG_MAX || n > w->batch)
        BUG("worker_call: task %d of %d, argument of %zu bytes, %d inputs", task, w_state.n_tasks,
            arg_len, n);
}

worker_result worker_call(worker *w, int task, const char *path, const void *data, size_t len,
                          const void *arg, size_t arg_len, const void **reply, size_t *reply_len)
{
    *reply = NULL;
    *reply_len = 0;
    check_call(w, task, 1, arg_len);
    int fd = open_input(path, data, &len);
    if (fd < 0)
        return WORKER_IO;
    call_head h = {.task = task, .n = 1, .arg_len = arg_len, .data_len = {len}};
    worker_answer a;
    run_all(w, &h, arg, &fd, &a);
    *reply = a.reply;
    *reply_len = a.len;
    return a.result;
}

void worker_batch(worker *w, int task, const char *const *paths, int n, worker_answer *out)
{
    int fds[WORKER_BATCH], at[WORKER_BATCH];
    worker_answer a[WORKER_BATCH];
    check_call(w, task, n, 0);
    call_head h = {.task = task};
    for (int i = 0; i < n; i++) {
        size_t len = 0;
        int fd = open_input(paths[i], NULL, &len);
        out[i] = (worker_answer){.result = WORKER_IO};
        if (fd < 0)
            continue;
        h.data_len[h.n] = len;
        at[h.n] = i;
        fds[h.n++] = fd;
    }
    run_all(w, &h, NULL, fds, a);
    for (int i = 0; i < h.n; i++)
        out[at[i]] = a[i];
}
