/* This test program again as several processes, started by mpirun. */
#ifndef TESTS_UNIT_MPIRUN_H
#define TESTS_UNIT_MPIRUN_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MPIRUN_WORDS 40

/* Ends the calling test as skipped, with the reason, where processes cannot be started. */
#define MPIRUN_OR_SKIP()                                                                           \
    do {                                                                                           \
        if (!mpirun_there()) {                                                                     \
            printf("skip: %s\n", mpirun_lacks());                                                  \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static inline const char *mpirun_lacks(void)
{
    const char *san = getenv("SAN");
    if (san && *san)
        return "Open MPI itself is not clean under a sanitizer";
    return "no mpirun here (package openmpi-bin)";
}

static inline bool mpirun_there(void)
{
    const char *san = getenv("SAN"), *path = getenv("PATH");
    char *all = strdup(path ? path : ""), *keep = NULL, file[4096];
    bool there = false;
    for (char *d = strtok_r(all, ":", &keep); d && !there; d = strtok_r(NULL, ":", &keep)) {
        snprintf(file, sizeof file, "%s/mpirun", d);
        there = access(file, X_OK) == 0;
    }
    free(all);
    return there && !(san && *san);
}

/* What all of them said, until the next call. */
static char mpirun_said[1 << 16];

/* mpirun -n `n` PROGRAM ARGS: its exit status, -signal, or 1000 where it has not ended after
 * `limit` seconds. */
static inline int mpirun_start(int n, int limit, const char *const *args)
{
    char number[16], patience[16];
    const char *argv[MPIRUN_WORDS] = {"timeout",
                                      "-k",
                                      "5",
                                      patience,
                                      "mpirun",
                                      "--oversubscribe",
                                      "--allow-run-as-root",
                                      "--mca",
                                      "btl",
                                      "self,vader",
                                      "-n",
                                      number};
    int at = 12, out[2], status;
    size_t len = 0;
    snprintf(number, sizeof number, "%d", n);
    snprintf(patience, sizeof patience, "%d", limit);
    argv[at++] = program_invocation_name;
    for (int i = 0; args[i] && at + 1 < MPIRUN_WORDS; i++)
        argv[at++] = args[i];
    if (pipe(out))
        abort();
    pid_t pid = fork();
    if (!pid) {
        int none = open("/dev/null", O_RDONLY);
        dup2(none, 0);
        dup2(out[1], 1);
        dup2(out[1], 2);
        close(out[0]);
        close(out[1]);
        execvp("timeout", (char *const *)argv);
        _exit(98);
    }
    close(out[1]);
    for (ssize_t k; len + 1 < sizeof mpirun_said &&
                    (k = read(out[0], mpirun_said + len, sizeof mpirun_said - 1 - len)) > 0;)
        len += (size_t)k;
    mpirun_said[len] = 0;
    close(out[0]);
    if (waitpid(pid, &status, 0) != pid)
        abort();
    if (!WIFEXITED(status))
        return -WTERMSIG(status);
    return WEXITSTATUS(status) == 124 ? 1000 : WEXITSTATUS(status);
}
#define MPIRUN(n, limit, ...) mpirun_start(n, limit, (const char *const[]){__VA_ARGS__, NULL})
#endif
