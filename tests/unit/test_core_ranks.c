/* core/ranks: alone it is nothing; several processes agree, gather, broadcast and sum in one order;
 * an error, a death and a hang on one of them ends all in time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "core/mem.h"
#include "core/ranks.h"
#include "tests/unit/mpirun.h"

#define SAY(...)                                                                                   \
    do {                                                                                           \
        printf(__VA_ARGS__);                                                                       \
        fflush(stdout);                                                                            \
    } while (0)

/* ---- what each process does ------------------------------------------------------------------ */

/* Any order of additions but the right one gives other bytes. */
static float value(int rank, int64_t i)
{
    return (float)(i % 97 + 1) * 0.1f + (float)rank * 1000.3f;
}

static float tree(int first, int n, int64_t i)
{
    int half = 1;
    if (n == 1)
        return value(first, i);
    while (half * 2 < n)
        half *= 2;
    return tree(first, half, i) + tree(first + half, n - half, i);
}

static int sums(ranks *r)
{
    static const int64_t sizes[] = {1, 2, 3, 1000, 70001};
    int wrong = 0;
    for (int active = 1; active <= ranks_size(r); active++) {
        float *x[COUNT_OF(sizes)];
        for (size_t k = 0; k < COUNT_OF(sizes); k++) { /* several on their way at once */
            x[k] = MEM_ARRAY(float, sizes[k]);
            for (int64_t i = 0; i < sizes[k]; i++)
                x[k][i] = value(ranks_rank(r), i);
            ranks_sum_start(r, x[k], sizes[k], active);
        }
        ranks_sum_wait(r);
        for (size_t k = 0; k < COUNT_OF(sizes); k++) {
            for (int64_t i = 0; i < sizes[k]; i++)
                wrong += x[k][i] != tree(0, active, i);
            mem_free(x[k]);
        }
    }
    return wrong;
}

static int talk(ranks *r)
{
    int rank = ranks_rank(r), size = ranks_size(r), wrong = sums(r);
    char word[16] = "";
    int mine[2] = {rank, 7 * rank}, *all = MEM_ARRAY(int, 2 * size);
    err e = {0};
    ranks_gather(r, mine, sizeof mine, all);
    for (int i = 0; i < size; i++)
        wrong += all[2 * i] != i || all[2 * i + 1] != 7 * i;
    mem_free(all);
    if (rank == 0)
        strcpy(word, "from zero");
    ranks_bcast(r, word, sizeof word);
    wrong += strcmp(word, "from zero") != 0;
    wrong += !ranks_agree(r, true, &e) || e.code;
    wrong += !ranks_same(r, "the word", word, &e) || e.code;
    wrong += ranks_local(r) != rank || ranks_local_size(r) != size;
    /* one fails: all hear whose error it is */
    if (rank == size - 1)
        err_set(&e, ERR_INPUT, "a file is odd");
    wrong += ranks_agree(r, rank != size - 1, &e);
    char want[64];
    snprintf(want, sizeof want, "process %d of %d (", size - 1, size);
    wrong += e.code != ERR_INPUT || strncmp(e.msg, want, strlen(want)) != 0 ||
             !strstr(e.msg, "): a file is odd");
    /* all fail in the same way: said as it is */
    err_set(&e, ERR_CONFIG, "a key is wrong");
    wrong += ranks_agree(r, false, &e) || strcmp(e.msg, "a key is wrong") != 0;
    wrong += ranks_same(r, "the seed", rank == 1 ? "8" : "7", &e) ||
             !strstr(e.msg, "the seed of process 1");
    SAY("process %d: %d wrong\n", rank, wrong);
    return wrong;
}

static int child(const char *what)
{
    ranks *r;
    err e = {0};
    float x[8] = {0};
    if (!ranks_open(&r, &e)) {
        SAY("open: %s\n", e.msg);
        return err_exit(e.code);
    }
    int status = 0;
    ranks_limit(r, 2);
    if (!strcmp(what, "talk"))
        status = talk(r) != 0;
    else if (ranks_rank(r) == 1)
        raise(!strcmp(what, "kill") ? SIGKILL : SIGSTOP);
    ranks_sum_start(r, x, 8, ranks_size(r));
    ranks_sum_wait(r);
    ranks_close(r);
    return status;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_alone(void **state)
{
    ranks *r = (ranks *)&state; /* must be overwritten */
    err e = {0};
    float x = 3;
    int v = 5, all = 0;
    unsetenv("OMPI_COMM_WORLD_SIZE");
    unsetenv("SLURM_STEP_NUM_TASKS");
    assert_int_equal(ranks_started(), 1);
    assert_true(ranks_open(&r, &e));
    assert_null(r);
    assert_int_equal(ranks_size(r), 1);
    assert_int_equal(ranks_rank(r), 0);
    assert_int_equal(ranks_per_cores(r), 1);
    ranks_sum_start(r, &x, 1, 1);
    ranks_sum_wait(r);
    assert_true(x == 3);
    ranks_gather(r, &v, sizeof v, &all);
    assert_int_equal(all, 5);
    assert_true(ranks_agree(r, true, &e));
    err_set(&e, ERR_INPUT, "as it was");
    assert_false(ranks_agree(r, false, &e));
    assert_string_equal(e.msg, "as it was");
    ranks_close(r);
}

/* A batch script of Slurm has SLURM_NTASKS too, and is one process. */
static void test_started(void **state)
{
    setenv("SLURM_NTASKS", "8", 1);
    assert_int_equal(ranks_started(), 1);
    setenv("SLURM_STEP_NUM_TASKS", "8", 1);
    setenv("SLURM_PROCID", "3", 1);
    assert_int_equal(ranks_started(), 8);
    assert_int_equal(ranks_number(), 3);
    setenv("OMPI_COMM_WORLD_SIZE", "4", 1);
    setenv("OMPI_COMM_WORLD_RANK", "0", 1);
    assert_int_equal(ranks_started(), 4);
    assert_int_equal(ranks_number(), 0);
    setenv("OMPI_COMM_WORLD_SIZE", "four", 1);
    assert_int_equal(ranks_started(), 8);
    unsetenv("OMPI_COMM_WORLD_SIZE");
    unsetenv("OMPI_COMM_WORLD_RANK");
    unsetenv("SLURM_STEP_NUM_TASKS");
    unsetenv("SLURM_PROCID");
    unsetenv("SLURM_NTASKS");
}

static void test_talk(void **state)
{
    MPIRUN_OR_SKIP();
    for (int n = 2; n <= 5; n++) {
        int status = MPIRUN(n, 60, "child", "talk");
        for (int i = 0; i < n; i++) {
            char want[32];
            snprintf(want, sizeof want, "process %d: 0 wrong", i);
            if (status || !strstr(mpirun_said, want))
                fail_msg("%d processes, status %d: %s", n, status, mpirun_said);
        }
    }
}

static void ends(const char *how, const char *words, int status)
{
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    int got = MPIRUN(3, 60, "child", how);
    clock_gettime(CLOCK_MONOTONIC, &b);
    if (got != status || !strstr(mpirun_said, words) || b.tv_sec - a.tv_sec > 30)
        fail_msg("%s: status %d after %ld s: %s", how, got, (long)(b.tv_sec - a.tv_sec),
                 mpirun_said);
}

/* One is killed: the launcher tells which. One stands still: the others do not wait for ever. */
static void test_death(void **state)
{
    MPIRUN_OR_SKIP();
    ends("kill", "exited on signal 9", 137);
    ends("stop", "process 0 of 3 (", 4);
    assert_non_null(strstr(mpirun_said, "waited 2 s for the other processes (sum)"));
}

/* Two processes that no launcher joins. */
static void test_strangers(void **state)
{
    MPIRUN_OR_SKIP();
    int out[2], status;
    char said[4096];
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    if (!pid) {
        setenv("SLURM_STEP_NUM_TASKS", "2", 1);
        dup2(out[1], 1);
        close(out[0]);
        execl(program_invocation_name, "test", "child", "talk", (char *)NULL);
        _exit(98);
    }
    close(out[1]);
    ssize_t n = read(out[0], said, sizeof said - 1);
    said[n > 0 ? n : 0] = 0;
    close(out[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 3 ||
        !strstr(said, "the launcher started 2 processes, MPI has joined 1: "))
        fail_msg("status %d: %s", status, said);
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return child(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone), cmocka_unit_test(test_started),   cmocka_unit_test(test_talk),
        cmocka_unit_test(test_death), cmocka_unit_test(test_strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
