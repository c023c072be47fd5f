/* Training runs on the tiny cohort, in a process of their own: PROGRAM RUN COHORT [stop] [-jN]
 * [warn|info] [key=value...]. For the tests of trainer and predict. */
#ifndef TESTS_UNIT_TINY_RUN_H
#define TESTS_UNIT_TINY_RUN_H

#include "tests/unit/tiny_cohort.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "core/pool.h"
#include "train/augment.h"
#include "train/keep.h"
#include "train/predict.h"
#include "train/robustness.h"
#include "train/trainer.h"
#include "tests/device.h"

static inline cfg *tiny_config(void)
{
    static const cfg_group *const groups[] = {&model_options,   &train_options, &augment_options,
                                              &keep_options,    &room_options,  &backend_options,
                                              &predict_options, &robust_options};
    static const char *const set[] = {"model.name=deit_tiny_patch16_224",
                                      "model.patch=8",
                                      "model.depth=1",
                                      "model.keep_rate=0.5",
                                      "train.epochs=3",
                                      "train.batch=8",
                                      "train.lr=0.01",
                                      "train.warmup_epochs=1",
                                      "augment.rotate=5",
                                      "augment.contrast=0.1"};
    cfg *c = cfg_new(groups, COUNT_OF(groups));
    for (size_t i = 0; i < COUNT_OF(set); i++)
        OK(cfg_set(c, set[i], e));
    return c;
}

/* The child: exit status err_exit; the message goes to RUN.err. */
static inline int tiny_main(int argc, char **argv)
{
    train_opts o = {
        .run = argv[1], .cohort = argv[2], .device = test_device(), .threads = 1, .seed = 7};
    train_result r;
    err e = {0};
    cfg *c = tiny_config();
    log_set_level(LOG_ERROR);
    bool met = ranks_open(&o.ranks, &e);
    for (int i = 3; i < argc; i++) {
        if (!strcmp(argv[i], "stop")) {
            pool_catch_signals();
            raise(SIGTERM);
        } else if (!strncmp(argv[i], "-j", 2)) {
            o.threads = argv[i][2] - '0';
        } else if (!strncmp(argv[i], "only", 4)) { /* what follows is for that process alone */
            i += ranks_rank(o.ranks) == argv[i][4] - '0' ? 0 : 1;
        } else if (!strcmp(argv[i], "freeze")) {
            raise(SIGSTOP);
        } else if (!strncmp(argv[i], "kill=", 5)) {
            setenv("MAMMOVIT_TEST_KILL", argv[i] + 5, 1);
        } else if (!strncmp(argv[i], "seed=", 5)) {
            o.seed = (uint64_t)(argv[i][5] - '0');
        } else if (!strcmp(argv[i], "force")) {
            o.force = true;
        } else if (!strcmp(argv[i], "warn")) {
            log_set_level(LOG_WARN);
        } else if (!strcmp(argv[i], "info")) {
            log_set_level(LOG_INFO);
        } else if (!cfg_set(c, argv[i], &e)) {
            break;
        }
    }
    o.config = c;
    if (met && e.code == ERR_NONE && train_run(&o, &r, &e))
        e.code = ERR_NONE;
    text t;
    text_init(&t);
    text_addf(&t, "%s.err", argv[1]);
    bool ok = ranks_rank(o.ranks) || fs_write(t.s, e.msg, e.code ? strlen(e.msg) : 0, NULL);
    text_release(&t);
    cfg_free(c);
    ranks_close(o.ranks);
    return ok ? err_exit(e.code) : 99;
}

/* Runs the child; returns its exit status, or -signal. */
static inline int tiny_train(const char *kill, const char *const *args)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        const char *argv[24] = {"train"};
        for (int i = 0; args[i]; i++)
            argv[i + 1] = args[i];
        if (kill)
            setenv("MAMMOVIT_TEST_KILL", kill, 1);
        execv(program_invocation_name, (char *const *)argv); /* a path: tests are run by one */
        _exit(98);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Message of the last failed child. */
static inline void tiny_message(const char *run, char out[1024])
{
    char *s, path[256];
    size_t len;
    snprintf(path, sizeof path, "%s.err", run);
    OK(fs_read(path, 1 << 16, &s, &len, e));
    snprintf(out, 1024, "%s", s);
    mem_free(s);
}

#define TRAIN(kill, ...) tiny_train(kill, (const char *const[]){__VA_ARGS__, NULL})

static inline bool tiny_visit(void *ctx, const fs_entry *f, err *e)
{
    text *t = ctx;
    char sum[65];
    if (strcmp(f->relative, ".lock")) {
        OK(fs_sha256_file(f->path, sum, e));
        text_addf(t, "%s %s\n", f->relative, sum);
    }
    return true;
}

/* Names and hashes of all files of a run. */
static inline void tiny_hash(const char *run, text *out)
{
    text_clear(out);
    OK(fs_walk(run, tiny_visit, out, e));
}

/* ---- the folder of one test program: a cohort, and runs of it ----------------------------------
 */

static char tiny_dir[64], tiny_path[96]; /* the folder; its COHORT.h5 */
static text tiny_wanted;                 /* names and hashes of the run that others equal, or "" */

/* The run of that name; good for seven more calls. */
static inline const char *tiny_name(const char *name)
{
    static char path[8][400];
    static int k;
    k = (k + 1) % 8;
    snprintf(path[k], sizeof path[k], "%s/%s", tiny_dir, name);
    return path[k];
}

static inline bool tiny_setup(const char *name, const tiny_spec *s)
{
    text_init(&tiny_wanted);
    if (!store_tmp(name, tiny_dir))
        return false;
    snprintf(tiny_path, sizeof tiny_path, "%s/COHORT.h5", tiny_dir);
    tiny_write(tiny_dir, "COHORT.h5", s);
    return true;
}

static inline int tiny_teardown(void **state)
{
    (void)state;
    err e = {0};
    text_release(&tiny_wanted);
    return fs_remove_tree(tiny_dir, &e) ? 0 : -1;
}

static inline void tiny_is_wanted(const char *run, const char *what)
{
    text t;
    text_init(&t);
    tiny_hash(run, &t);
    if (strcmp(t.s, tiny_wanted.s))
        fail_msg("%s: the run differs:\n%s\nwanted:\n%s", what, t.s, tiny_wanted.s);
    text_release(&t);
}
#endif
